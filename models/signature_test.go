package models_test

import (
	"strings"
	"testing"

	"millrace/models"
)

func TestKeyNames(t *testing.T) {
	t.Parallel()
	const (
		key     = "0123456789ABCDEF0123456789ABCDEF01234567"
		primary = "FEDCBA9876543210FEDCBA9876543210FEDCBA98"
		long    = "89ABCDEF01234567"
	)
	v5 := strings.Repeat("0123456789ABCDEF", 4)
	tests := []struct {
		names        []string
		key, primary string
		want         bool
		mistake      string
	}{
		{[]string{key}, key, key, true, ""},
		{[]string{primary}, key, primary, true, ""},
		{[]string{"0123 4567 89AB CDEF 0123  4567 89ab cdef 0123 4567"}, key, primary, true, ""},
		{[]string{"0x" + strings.ToLower(key)}, key, primary, true, ""},
		{[]string{long}, key, primary, true, ""},
		{[]string{"0123456789ABCDEF"}, key, primary, false, ""}, // the beginning
		{[]string{"0123456789ABCDEF"}, v5, v5, true, ""},
		{[]string{v5}, v5, v5, true, ""},
		{[]string{long}, v5, v5, false, ""},
		{[]string{primary[:39] + "9"}, key, primary, false, ""},
		{nil, key, key, false, ""},
		{[]string{key, "01234567"}, key, key, false, "names no key"},
		{[]string{"ada@mill.example"}, key, key, false, "names no key"},
		{[]string{""}, key, key, false, "names no key"},
		{[]string{key}, "", "", false, ""},
	}
	for _, test := range tests {
		got, err := models.KeyAllowed(test.names, test.key, test.primary)
		if got != test.want || (err != nil) != (test.mistake != "") || err != nil && !strings.Contains(err.Error(), test.mistake) {
			t.Errorf("%q for %s of %s: %v, %v", test.names, test.key, test.primary, got, err)
		}
	}
}

// FuzzKeyNames: a name means only keys whose fingerprints have it at an end.
func FuzzKeyNames(f *testing.F) {
	f.Add("0x89abcdef01234567", "0123456789ABCDEF0123456789ABCDEF01234567")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, text, fingerprint string) {
		name, err := models.ParseKeyName(text)
		if err != nil {
			return
		}
		again, err := models.ParseKeyName(string(name))
		if err != nil || again != name {
			t.Errorf("%q becomes %q, which becomes %q (%v)", text, name, again, err)
		}
		if name.Means(fingerprint) && !strings.HasPrefix(fingerprint, string(name)) && !strings.HasSuffix(fingerprint, string(name)) {
			t.Errorf("%s means %s", name, fingerprint)
		}
	})
}
