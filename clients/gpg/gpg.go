// Package gpg verifies OpenPGP signatures with the program of that name, by keys
// that an operator put into a keyring.
//
// Each verification has a home of its own that is thrown away, into which the keys
// of the keyring are brought. No network is spoken to, no agent is started, and
// nothing of the user's own GnuPG is read: a key that is not in the keyring is
// unknown, whoever wants it trusted.
package gpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Keyring is where the public keys are.
type Keyring struct {
	Path    string        // a file as gpg --export writes it, armored or not, or a directory of such files
	Program string        // "gpg" if empty
	Timeout time.Duration // of one verification; a minute if zero
}

// SetupError is a keyring that cannot be used: the operator must do something. It is
// a sentence for people.
type SetupError struct{ Reason string }

func (e *SetupError) Error() string { return e.Reason }

// Temporary says that nothing changes before the operator has done so.
func (*SetupError) Temporary() bool { return false }

func setup(format string, args ...any) error { return &SetupError{fmt.Sprintf(format, args...)} }

const (
	maxKeys      = 64 << 20 // bytes of all keys of a keyring
	maxKeyFiles  = 10_000
	maxSignature = 64 << 10
	maxStatus    = 1 << 20 // of what gpg says
)

// Verify says who signed payload, and what is wrong with the signature. A signature
// that is not good is an answer; an error means that it could not be found out,
// and is a *SetupError if the operator must do something.
func (k *Keyring) Verify(ctx context.Context, payload, signature []byte) (*Verdict, error) {
	if k == nil {
		k = new(Keyring)
	}
	switch kind := kindOf(signature); {
	case kind != openPGP:
		return &Verdict{Problem: string(kind)}, nil
	case len(signature) > maxSignature:
		return &Verdict{Problem: "its signature is too large"}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, orElse(k.Timeout, time.Minute))
	defer cancel()
	home, err := k.open(ctx)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home.dir)
	for name, content := range map[string][]byte{"signature": signature, "payload": payload} {
		if err := os.WriteFile(filepath.Join(home.dir, name), content, 0o600); err != nil {
			return nil, fmt.Errorf("verifying a signature: %w", err)
		}
	}
	status, _, err := home.run(ctx, "--verify", filepath.Join(home.dir, "signature"), filepath.Join(home.dir, "payload"))
	exit, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && (!failed || ctx.Err() != nil || exit.ExitCode() < 0) {
		return nil, fmt.Errorf("verifying a signature: %w", err)
	}
	v := readStatus(status)
	if failed && v.Problem == "" {
		v.Problem = "gpg does not say that its signature is good"
	}
	return v, nil
}

// Keys counts the keys of the keyring, which proves that it can be used.
func (k *Keyring) Keys(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, orElse(k.Timeout, time.Minute))
	defer cancel()
	home, err := k.open(ctx)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(home.dir)
	status, _, err := home.run(ctx, "--with-colons", "--list-keys")
	if err != nil {
		return 0, fmt.Errorf("listing keys: %w", err)
	}
	n := 0
	for line := range strings.Lines(status) {
		if strings.HasPrefix(line, "pub:") {
			n++
		}
	}
	return n, nil
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// home is a home of GnuPG for one verification.
type home struct{ program, dir string }

// open makes a home with the keys of the keyring.
func (k *Keyring) open(ctx context.Context) (*home, error) {
	if k == nil || k.Path == "" {
		return nil, setup("This service has no keyring with the keys of those who may sign.")
	}
	files, err := k.files()
	if err != nil {
		return nil, err
	}
	program, err := exec.LookPath(orElse(k.Program, "gpg"))
	if err != nil {
		return nil, setup("The program gpg is not installed here, which verifies signatures.")
	}
	dir, err := os.MkdirTemp("", "gpg-")
	if err != nil {
		return nil, fmt.Errorf("making a home for gpg: %w", err)
	}
	h := &home{program: program, dir: dir}
	status, said, err := h.run(ctx, append([]string{"--import"}, files...)...)
	// It complains of keys that it cannot read, and takes the others.
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && (!failed || ctx.Err() != nil) {
		return nil, errors.Join(fmt.Errorf("reading the keyring %s: %w", k.Path, err), os.RemoveAll(dir))
	}
	if !strings.Contains(status, "[GNUPG:] IMPORT_OK ") {
		return nil, errors.Join(setup("The keyring %s has no key that gpg can read; it says: %s", k.Path, lastLine(said)), os.RemoveAll(dir))
	}
	return h, nil
}

// files are those of the keyring, in the order of their names.
func (k *Keyring) files() ([]string, error) {
	info, err := os.Stat(k.Path)
	if err != nil {
		return nil, setup("The keyring %s cannot be read: %s.", k.Path, reasonOf(err))
	}
	files := []string{k.Path}
	if info.IsDir() {
		entries, err := os.ReadDir(k.Path)
		if err != nil {
			return nil, setup("The keyring %s cannot be read: %s.", k.Path, reasonOf(err))
		}
		files = files[:0]
		for _, e := range entries {
			if name := filepath.Join(k.Path, e.Name()); !strings.HasPrefix(e.Name(), ".") && isFile(name) {
				files = append(files, name)
			}
		}
	}
	if len(files) == 0 || len(files) > maxKeyFiles {
		return nil, setup("The keyring %s has %d files with keys; it needs one at least and may have %d.", k.Path, len(files), maxKeyFiles)
	}
	var size int64
	for i, name := range files {
		if files[i], err = filepath.Abs(name); err != nil {
			return nil, fmt.Errorf("reading the keyring: %w", err)
		}
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
		if isKeybox(name) {
			return nil, setup("The file %s is GnuPG's own store of keys; export them from there with gpg --export.", name)
		}
	}
	if size > maxKeys {
		return nil, setup("The keyring %s has %d bytes, and may have %d.", k.Path, size, maxKeys)
	}
	return files, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// isKeybox reports whether a file is one that gpg --import does not read.
func isKeybox(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 12)
	_, err = io.ReadFull(f, head)
	return err == nil && string(head[8:]) == "KBXf"
}

func reasonOf(err error) string {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// alone keeps gpg to itself: no options of others, no agent, no network, no keys
// from elsewhere, and no opinion of who is trusted.
var alone = []string{
	"--no-options", "--batch", "--no-tty", "--no-autostart", "--disable-dirmngr", "--no-auto-key-retrieve", "--no-auto-key-locate",
	"--no-auto-check-trustdb", "--trust-model", "always", "--no-verbose", "--status-fd", "1",
}

// run runs gpg, and returns what it wrote for programs and what for people.
func (h *home) run(ctx context.Context, args ...string) (status, said string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, h.program, slices.Concat([]string{"--homedir", h.dir}, alone, args)...)
	cmd.Dir = h.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "GNUPGHOME=" + h.dir, "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = &bounded{w: &out, left: maxStatus}, &bounded{w: &errs, left: maxStatus}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err = cmd.Run(); ctx.Err() != nil {
		err = fmt.Errorf("gpg: %w", context.Cause(ctx))
	}
	return strings.ToValidUTF8(out.String(), "�"), strings.ToValidUTF8(errs.String(), "�"), err
}

var errTooMuch = errors.New("gpg says too much")

// bounded passes on so many bytes and then refuses, which ends the program.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errTooMuch
	}
	return b.w.Write(p)
}
