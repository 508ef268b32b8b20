package gpg_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/clients/gpg"
	"millrace/clients/gpg/gpgtest"
)

const past, then = "20200101T000000", "20200102T000000"

func TestVerify(t *testing.T) {
	t.Parallel()
	h := gpgtest.New(t)
	payload := []byte("tree 1234\n\nChange it\n")
	good := h.Key("Ada <ada@mill.example>", "0")
	sub := h.Subkey(good, "0")
	other := h.Key("Mallory <mallory@mill.example>", "0")
	old := h.Key("Old <old@mill.example>", "1d", "--faked-system-time", past)
	oldSignature := h.Sign(payload, old, "--faked-system-time", past)
	revoked := h.Key("Eve <eve@mill.example>", "0")
	revokedSignature := h.Sign(payload, revoked)
	h.Revoke(revoked)
	signature := h.Sign(payload, good)
	expired := h.Sign(payload, h.Key("Early <early@mill.example>", "0", "--faked-system-time", past), "--faked-system-time", then, "--default-sig-expire", "1d")
	keyring := &gpg.Keyring{Path: h.Export(good, old, revoked, "early@mill.example")}
	two := append(append([]byte{}, signature...), h.Sign(payload, sub)...)
	tests := []struct {
		name               string
		payload, signature []byte
		key, primary, want string
	}{
		{"good", payload, signature, good, good, ""},
		{"by a subkey", payload, h.Sign(payload, sub), sub, good, ""},
		{"of something else", []byte("tree 1234\n\nChange it!\n"), signature, "", "", "its signature is bad"},
		{"by a key that we do not have", payload, h.Sign(payload, other), "", "", "not in the keyring"},
		{"by a key that has expired", payload, oldSignature, old, old, "the key that signed it has expired"},
		{"by a key that was revoked", payload, revokedSignature, revoked, revoked, "the key that signed it was revoked"},
		{"that has expired", payload, expired, "", "", "its signature has expired"},
		{"over a weak hash", payload, h.Sign(payload, good, "--digest-algo", "SHA1"), good, good, "SHA-1"},
		{"none", payload, nil, "", "", "it is not signed"},
		{"empty", payload, []byte{}, "", "", "of no known kind"},
		{"SSH", payload, []byte("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"), "", "", "SSH key"},
		{"X.509", payload, []byte("-----BEGIN SIGNED MESSAGE-----\n"), "", "", "X.509"},
		{"rubbish", payload, []byte("-----BEGIN PGP SIGNATURE-----\n\nrubbish\n-----END PGP SIGNATURE-----\n"), "", "", "does not say"},
		{"a message in its place", payload, []byte(strings.Replace(string(h.Run(payload, "--local-user", good, "--armor", "--sign")), "MESSAGE", "SIGNATURE", 2)), "", "", "does not say"},
		{"huge", payload, append([]byte("-----BEGIN PGP SIGNATURE-----\n"), make([]byte, 1<<20)...), "", "", "too large"},
	}
	for _, test := range tests {
		v, err := keyring.Verify(t.Context(), test.payload, test.signature)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if (test.want == "") != (v.Problem == "") || !strings.Contains(v.Problem, test.want) || test.key != "" && (v.Key != test.key || v.Primary != test.primary) {
			t.Errorf("%s: %+v, want %q by %s", test.name, v, test.want, test.key)
		}
	}
	// Whatever gpg makes of two signatures: never good for a key that only one of them is of.
	if v, err := keyring.Verify(t.Context(), payload, two); err != nil || v.Problem == "" && v.Key != good && v.Key != sub {
		t.Errorf("two: %+v, %v", v, err)
	}
}

func TestKeyrings(t *testing.T) {
	t.Parallel()
	h := gpgtest.New(t)
	payload := []byte("payload")
	ada, eve := h.Key("Ada <ada@mill.example>", "0"), h.Key("Eve <eve@mill.example>", "0")
	both := t.TempDir()
	for name, key := range map[string]string{"ada.asc": ada, "eve.asc": eve, ".hidden": eve} {
		text, err := os.ReadFile(h.Export(key))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(both, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(t.TempDir(), "keys.gpg")
	if err := os.WriteFile(binary, h.Run(nil, "--export", ada), 0o644); err != nil {
		t.Fatal(err)
	}
	mixed := filepath.Join(both, "notes.txt")
	if err := os.WriteFile(mixed, []byte("These are our keys.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{both: 2, binary: 1, h.Export(ada, eve): 2} {
		k := &gpg.Keyring{Path: path}
		if n, err := k.Keys(t.Context()); err != nil || n != want {
			t.Errorf("%s has %d keys, %v, want %d", path, n, err, want)
		}
		if v, err := k.Verify(t.Context(), payload, h.Sign(payload, ada)); err != nil || v.Problem != "" {
			t.Errorf("%s: %+v, %v", path, v, err)
		}
	}
	refused := map[string]*gpg.Keyring{
		"has no keyring":                    {},
		"no such file":                      {Path: filepath.Join(both, "nowhere")},
		"has 0 files":                       {Path: t.TempDir()},
		"GnuPG's own store":                 {Path: filepath.Join(h.Dir, "pubring.kbx")},
		"no key that gpg can read":          {Path: mixed},
		"The program gpg is not installed ": {Path: both, Program: filepath.Join(both, "gpg")},
	}
	for want, k := range refused {
		_, err := k.Verify(t.Context(), payload, h.Sign(payload, ada))
		if no, ok := errors.AsType[*gpg.SetupError](err); !ok || !strings.Contains(no.Reason, want) {
			t.Errorf("%+v: %v, want it to say %s", k, err, want)
		}
	}
	var none *gpg.Keyring
	if _, err := none.Verify(t.Context(), payload, h.Sign(payload, ada)); err == nil {
		t.Error("no keyring at all verifies")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&gpg.Keyring{Path: both}).Verify(ended, payload, h.Sign(payload, ada))
	if _, answer := errors.AsType[*gpg.SetupError](err); err == nil || answer || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
