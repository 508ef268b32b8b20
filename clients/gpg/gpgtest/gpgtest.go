// Package gpgtest makes keys and signatures with the real gpg, for tests.
package gpgtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Home has secret keys.
type Home struct {
	t   *testing.T
	Dir string
}

// New makes an empty home. Where gpg is not installed the test is skipped, unless CI
// is set: then it must be.
func New(t *testing.T) *Home {
	t.Helper()
	for _, program := range []string{"gpg", "gpg-agent", "gpgconf"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("signatures cannot be tested: %v", err)
		} else if err != nil {
			t.Skipf("signatures cannot be tested: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "gpg-") // short enough for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	h := &Home{t: t, Dir: dir}
	t.Cleanup(func() {
		if err := exec.Command("gpgconf", "--homedir", dir, "--kill", "gpg-agent").Run(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil && !os.IsNotExist(err) {
			t.Log(err) // the agent takes its socket away itself
		}
	})
	return h
}

// Run runs gpg and returns what it writes.
func (h *Home) Run(stdin []byte, args ...string) []byte {
	h.t.Helper()
	args = append([]string{"--homedir", h.Dir, "--batch", "--no-tty", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)
	cmd := exec.Command("gpg", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("gpg %s: %v\n%s", strings.Join(args[8:], " "), err, said.String())
	}
	return out
}

var fingerprint = regexp.MustCompile(`(?m)^fpr:+([0-9A-F]{40,64}):`)

// Key makes a key that signs, and returns its fingerprint. More arguments go before
// the command, as --faked-system-time; expire is as gpg has it, "0" for never.
func (h *Home) Key(name, expire string, more ...string) string {
	h.t.Helper()
	h.Run(nil, append(more, "--quick-generate-key", name, "ed25519", "sign", expire)...)
	all := h.Fingerprints("=" + name)
	return all[0]
}

// Subkey adds a key that signs to a primary one, and returns its fingerprint.
func (h *Home) Subkey(primary, expire string, more ...string) string {
	h.t.Helper()
	h.Run(nil, append(more, "--quick-add-key", primary, "ed25519", "sign", expire)...)
	all := h.Fingerprints(primary)
	return all[len(all)-1]
}

// Fingerprints are those of a key and its subkeys.
func (h *Home) Fingerprints(key string) []string {
	h.t.Helper()
	var all []string
	for _, found := range fingerprint.FindAllSubmatch(h.Run(nil, "--with-colons", "--with-subkey-fingerprint", "--list-keys", key), -1) {
		all = append(all, string(found[1]))
	}
	return all
}

// Revoke revokes a key, by the certificate that gpg wrote when it made it.
func (h *Home) Revoke(key string) {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Dir, "openpgp-revocs.d", key+".rev"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.Run(bytes.Replace(text, []byte("\n:-----BEGIN"), []byte("\n-----BEGIN"), 1), "--import")
}

// Sign signs with exactly this key, a subkey too.
func (h *Home) Sign(payload []byte, key string, more ...string) []byte {
	h.t.Helper()
	return h.Run(payload, append(more, "--local-user", key+"!", "--armor", "--detach-sign")...)
}

// Export writes the public part of keys into a file, and returns its path.
func (h *Home) Export(keys ...string) string {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "keys.asc")
	if err := os.WriteFile(file, h.Run(nil, append([]string{"--armor", "--export"}, keys...)...), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// Program writes a program that is gpg with this home, for git.
func (h *Home) Program() string {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "gpg")
	text := "#!/bin/sh\nexec gpg --homedir '" + h.Dir + "' --batch --no-tty --pinentry-mode loopback --passphrase '' \"$@\"\n"
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		h.t.Fatal(err)
	}
	return file
}
