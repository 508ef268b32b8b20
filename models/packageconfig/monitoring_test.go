package packageconfig

import (
	"strings"
	"testing"
)

func TestMonitoring(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text    string
		all     bool
		mistake string
	}{
		{"", false, ""},
		{"monitoring = true\nbugzilla = false\nall_versions = true\nstable_only = false\n", true, ""},
		{"all_versions = false\n", false, ""},
		{"[nested]\nall_versions = true\n", false, ""},
		{"all_versions = 'yes'\n", false, "incompatible types"},
		{"monitoring = true\nall_versions = \n", false, "line 2"},
		{strings.Repeat("# much\n", MaxSize), false, "may have"},
	}
	for _, test := range tests {
		m, err := ParseMonitoring([]byte(test.text))
		if m.AllVersions != test.all || (err != nil) != (test.mistake != "") || err != nil && !strings.Contains(err.Error(), test.mistake) {
			t.Errorf("%.60q: %+v, %v", test.text, m, err)
		}
	}
}

// FuzzMonitoring: bad text is an error, and never means all versions.
func FuzzMonitoring(f *testing.F) {
	f.Add([]byte("all_versions = true"))
	f.Add([]byte("[[all_versions"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseMonitoring(text)
		if m.AllVersions && (err != nil || !strings.Contains(string(text), "true")) {
			t.Errorf("%q means all versions, with the error %v", text, err)
		}
	})
}
