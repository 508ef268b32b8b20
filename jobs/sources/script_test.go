package sources

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/clients/git"
)

func scriptOptions(change func(*ScriptOptions)) ScriptOptions {
	o := ScriptOptions{
		BinaryURL: "https://mill.example/millrace", SHA256: strings.Repeat("0", 64),
		URL: "https://forge.example/mill/wheel", Job: -1, Identity: millwright,
	}
	if change != nil {
		change(&o)
	}
	return o
}

// runScript runs a script as Copr does, with a program in millrace's place
// that writes down its arguments.
func runScript(t *testing.T, o ScriptOptions, corrupt bool) (arguments []string, dir, output string, err error) {
	t.Helper()
	program := []byte("#!/bin/sh\nprintf '%s\\n' \"$RPM_PACKAGER\" > packager\nfor a; do printf '%s\\0' \"$a\"; done > arguments\n")
	sum := sha256.Sum256(program)
	if corrupt {
		program = append(program, '#')
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(program) }))
	t.Cleanup(s.Close)
	o.BinaryURL, o.SHA256 = s.URL+"/millrace?a='b'&c=d", hex.EncodeToString(sum[:])
	text, err := CoprScript(o)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-n", path).CombinedOutput(); err != nil {
		t.Fatalf("sh -n: %v\n%s\n%s", err, out, text)
	}
	cmd := exec.Command("sh", path)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "no_proxy=*"}
	out, err := cmd.CombinedOutput()
	b, _ := os.ReadFile(filepath.Join(dir, "arguments"))
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), dir, string(out), err
}

func TestCoprScript(t *testing.T) {
	t.Parallel()
	got, dir, out, err := runScript(t, scriptOptions(func(o *ScriptOptions) {
		o.Package, o.Job, o.Ref, o.MergedRef, o.NoUpdate = "wheel", 3, "v1", "v1", true
	}), false)
	want := []string{"prepare-sources", "--trusted-environment", "--result-dir", dir, "--no-create-symlinks",
		"--package", "wheel", "--ref", "v1", "--job-config-index", "3", "--no-update-release", "--merged-ref", "v1",
		"--", "https://forge.example/mill/wheel"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: arguments\n%q\nwant\n%q\n%s", err, got, want, out)
	}
}

func TestCoprScriptWithHostileValues(t *testing.T) {
	t.Parallel()
	evil := "a'b\"c $(touch pwned) `touch pwned` ; touch pwned # \\ \n touch pwned\n'"
	got, dir, out, err := runScript(t, scriptOptions(func(o *ScriptOptions) {
		o.Package, o.Ref, o.PR, o.TargetBranch, o.MergedRef, o.URL = evil, "--srpm", 7, evil, "-x", "--evil"
		o.ReleaseSuffix = &evil
		o.Identity = git.Identity{Name: evil, Email: "x'y"}
	}), false)
	want := []string{"prepare-sources", "--trusted-environment", "--result-dir", dir, "--no-create-symlinks",
		"--package", evil, "--ref", "--srpm", "--pr-id", "7", "--merge-pr", "--target-branch", evil,
		"--release-suffix", evil, "--merged-ref", "-x", "--", "--evil"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: arguments\n%q\nwant\n%q\n%s", err, got, want, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("a value was run")
	}
	packager, err := os.ReadFile(filepath.Join(dir, "packager"))
	if err != nil || string(packager) != evil+" <x'y>\n" {
		t.Errorf("RPM_PACKAGER is %q, %v", packager, err)
	}
}

func TestCoprScriptChecksTheBinary(t *testing.T) {
	t.Parallel()
	_, dir, out, err := runScript(t, scriptOptions(nil), true)
	if err == nil || !strings.Contains(out, "FAILED") {
		t.Errorf("err = %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "arguments")); err == nil {
		t.Error("another binary ran")
	}
}

func TestCoprScriptRefusals(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*ScriptOptions){
		"no SHA-256 sum":      func(o *ScriptOptions) { o.SHA256 = "x; id" },
		"not where a binary":  func(o *ScriptOptions) { o.BinaryURL = "file:///bin/sh" },
		"there is no project": func(o *ScriptOptions) { o.URL = "" },
		"no git identity":     func(o *ScriptOptions) { o.Identity = git.Identity{} },
		"is no pull request":  func(o *ScriptOptions) { o.PR = -1 },
		"NUL":                 func(o *ScriptOptions) { o.Ref = "a\x00b" },
		"of which Copr takes": func(o *ScriptOptions) { o.Ref = strings.Repeat("x", 4000) },
	} {
		if text, err := CoprScript(scriptOptions(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q; script %q", err, want, text)
		}
	}
}
