package gpg

import (
	"strings"
	"testing"
)

const (
	keyOne = "0123456789ABCDEF0123456789ABCDEF01234567"
	valid  = "[GNUPG:] VALIDSIG " + keyOne + " 2026-01-01 1767225600 0 4 0 22 10 00 " + keyOne + "\n"
)

// TestStatus: what gpg has hardly ever to say.
func TestStatus(t *testing.T) {
	t.Parallel()
	const start, good = "[GNUPG:] NEWSIG\n", "[GNUPG:] GOODSIG 89ABCDEF01234567 Ada\n"
	tests := map[string]string{
		start + good + valid:     "",
		"":                       "does not say",
		start + good:             "does not say",
		start + valid:            "does not say",
		"gpg: GOODSIG\n" + valid: "does not say",
		start + good + valid + start + good + valid:                   "several",
		start + good + valid + "[GNUPG:] BADSIG 1 Eve\n":              "bad",
		start + "[GNUPG:] EXPKEYSIG 1 Ada\n" + valid:                  "key that signed it has expired",
		start + "[GNUPG:] ERRSIG 1 1 1 1 1 9\n":                       "cannot be checked",
		start + "[GNUPG:] ERRSIG\n[GNUPG:] NO_PUBKEY 1\n":             "not in the keyring",
		start + good + "[GNUPG:] VALIDSIG nobody\n":                   "who signed it",
		start + good + strings.Replace(valid, "00", "10", 1):          "", // the time, not the class
		start + good + strings.Replace(valid, " 00 ", " 10 ", 1):      "not one over a document",
		start + good + strings.Replace(valid, " 10 00 ", " 1 00 ", 1): "MD5",
	}
	for status, want := range tests {
		if v := readStatus(status); (want == "") != (v.Problem == "") || !strings.Contains(v.Problem, want) {
			t.Errorf("%q\nis %+v, want %q", status, v, want)
		}
	}
}

// FuzzStatus: nothing that gpg does not say is good.
func FuzzStatus(f *testing.F) {
	f.Add("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1 Ada\n" + valid)
	f.Add("[GNUPG:] VALIDSIG\n")
	f.Fuzz(func(t *testing.T, status string) {
		v := readStatus(status)
		if v.Problem == "" && (strings.Count(status, "GOODSIG") == 0 || !fingerprint.MatchString(v.Key) || !fingerprint.MatchString(v.Primary)) {
			t.Errorf("%q is good: %+v", status, v)
		}
	})
}
