package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
	}
	tests := []struct {
		name, body string
		wrong      string // part of the error; empty if there is none
	}{
		{"object", ` {"n": 1, "other": [1, {"x": "}]"}]} `, ""},
		{"empty", ``, "not a JSON object"},
		{"list", `[{}]`, "not a JSON object"},
		{"two", `{} {}`, "well-formed"},
		{"cut", `{"n": 1`, "well-formed"},
		{"wrong type", `{"n": "one"}`, `"n" cannot be a JSON string`},
		{"fraction", `{"n": 1.5}`, `"n" cannot be a JSON number 1.5`},
		{"as deep as allowed", deep(MaxDepth), ""},
		{"too deep", deep(MaxDepth + 1), "nested deeper"},
		{"brackets in strings", `{"a": "` + strings.Repeat("[{", 100) + `\"["}`, ""},
		{"endless escape", `{"a": "\`, "well-formed"},
		{"too large", `{"a": "` + strings.Repeat("x", MaxBody) + `"}`, "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var in struct {
				N int `json:"n"`
			}
			err := Decode([]byte(tt.body), &in)
			switch {
			case tt.wrong == "" && err != nil:
				t.Errorf("Decode = %v, want no error", err)
			case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)):
				t.Errorf("Decode = %v, want an error with %q", err, tt.wrong)
			}
		})
	}
}

func TestSigned(t *testing.T) {
	t.Parallel()
	body := []byte(`{"zen": "calm"}`)
	mac := hmac.New(sha256.New, []byte("new"))
	mac.Write(body)
	good := hex.EncodeToString(mac.Sum(nil))
	tests := []struct {
		name      string
		secrets   []string
		body      []byte
		signature string
		want      bool
	}{
		{"right", []string{"new"}, body, good, true},
		{"while rotating, first", []string{"new", "old"}, body, good, true},
		{"while rotating, last", []string{"old", "new"}, body, good, true},
		{"other secret", []string{"old"}, body, good, false},
		{"other body", []string{"new"}, []byte(`{}`), good, false},
		{"no secret", nil, body, good, false},
		{"cut", []string{"new"}, body, good[:32], false},
		{"missing", []string{"new"}, body, "", false},
		{"not hexadecimal", []string{"new"}, body, strings.Repeat("z", 64), false},
	}
	for _, tt := range tests {
		if got := Signed(tt.secrets, tt.body, tt.signature); got != tt.want {
			t.Errorf("%s: Signed = %t, want %t", tt.name, got, tt.want)
		}
	}

	empty := hmac.New(sha256.New, nil)
	empty.Write(body)
	if Signed([]string{""}, body, hex.EncodeToString(empty.Sum(nil))) {
		t.Error("an empty secret proved a signature that anybody can make")
	}
}

func TestKnownSecret(t *testing.T) {
	t.Parallel()
	if !KnownSecret([]string{"a", "b"}, "b") {
		t.Error("the second secret is not known")
	}
	for _, got := range []string{"", "c", "ab"} {
		if KnownSecret([]string{"a", "", "b"}, got) {
			t.Errorf("%q is known", got)
		}
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	sha1, sha256 := strings.Repeat("aB", 20), strings.Repeat("0f", 32)
	tests := []struct {
		name string
		f    func(string) string
		in   string
		want string
	}{
		{"SHA-1", Hash, sha1, strings.ToLower(sha1)},
		{"SHA-256", Hash, sha256, sha256},
		{"no object", Hash, strings.Repeat("0", 40), ""},
		{"short hash", Hash, "abcdef1", ""},
		{"option for a hash", Hash, "--upload-pack=" + strings.Repeat("a", 26), ""},
		{"digit beyond f", Hash, strings.Repeat("0", 39) + "g", ""},
		{"branch", RefName, "feature/x.y", "feature/x.y"},
		{"option for a branch", RefName, "-f", ""},
		{"space", RefName, "a b", ""},
		{"parent", RefName, "a/../b", ""},
		{"line", RefName, "a\nb", ""},
		{"page", WebURL, "https://forge.example.org/a/b/", "https://forge.example.org/a/b"},
		{"script", WebURL, "javascript:alert(1)", ""},
		{"bare host", WebURL, "www.example.org", ""},
		{"credentials", WebURL, "https://u:p@example.org/", ""},
		{"long", WebURL, "https://example.org/" + strings.Repeat("a", maxURL), ""},
		{"title", FirstLine, "\n Fix it \n\nLong story", "Fix it"},
		{"quote", Quote, "a\x00b", `"a\x00b"`},
		{"cut quote", Quote, strings.Repeat("é", 30), `"` + strings.Repeat("é", 20) + `…"`},
	}
	for _, tt := range tests {
		if got := tt.f(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRef(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"refs/heads/a/b": {"a/b", ""},
		"refs/tags/v1":   {"", "v1"},
		"refs/notes/x":   {},
		"main":           {},
		"refs/heads/":    {},
		"refs/heads/-x":  {},
	} {
		branch, tag := Ref(in)
		if got := [2]string{branch, tag}; got != want {
			t.Errorf("Ref(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"Push Hook": true, "": false, " x": false, "a\nb": false, "é": false, "12345678901": false,
	} {
		if got := Printable(in, 10); got != want {
			t.Errorf("Printable(%q, 10) = %t, want %t", in, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":"\"[{"}`, `[[[`, `{"a":"\`, strings.Repeat("{", 100)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var in map[string]any
		if Decode(body, &in) == nil && !json.Valid(body) {
			t.Errorf("Decode accepted %q", body)
		}
	})
}
