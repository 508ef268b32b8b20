package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const wheelSpec = `Name: wheel
Version: 0.1
Release: 1%{?dist}
Summary: Turns
License: MIT
Source0: wheel.tar.gz
BuildArch: noarch

%description
It turns.

%prep
%setup -q -n wheel

%changelog
`

// wheelRepository is a repository of this machine with one tag.
func wheelRepository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "wheel")
	for name, text := range map[string]string{
		".packit.yaml": "specfile_path: wheel.spec\nactions:\n  post-upstream-clone: sh -c 'echo home is $HOME'\n" +
			"jobs:\n- job: copr_build\n  trigger: pull_request\n  release_suffix: of.the.job\n",
		"wheel.spec": wheelSpec,
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."},
		{"-c", "user.name=Ada", "-c", "user.email=ada@mill.example", "commit", "-q", "-m", "Begin"}, {"tag", "1.5"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

func TestPrepareSourcesInTrustedEnvironment(t *testing.T) {
	t.Setenv("RPM_PACKAGER", "Mill (Wright) <wright@mill.example>")
	t.Setenv("HOME", t.TempDir())
	out := filepath.Join(t.TempDir(), "result")
	var stdout, stderr bytes.Buffer
	code := run([]string{"prepare-sources", wheelRepository(t), "--trusted-environment", "--result-dir", out,
		"--job-config-index", "0", "--no-create-symlinks", "-p", "wheel"}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, stdout.String(), stderr.String())
	}
	spec, err := os.ReadFile(filepath.Join(out, "wheel.spec"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(spec), "\n")
	for _, want := range []string{"Version: 1.5", "Release: 1.of.the.job%{?dist}", "Source0: wheel-1.5.tar.gz", "%setup -q -n wheel-1.5"} {
		if !slices.Contains(lines, want) {
			t.Errorf("the spec file has no line %q:\n%s", want, spec)
		}
	}
	if !strings.Contains(string(spec), " Mill (Wright) <wright@mill.example> - 1.5-1.of.the.job\n") {
		t.Errorf("the packager is not in the changelog:\n%s", spec)
	}
	if want := "home is " + os.Getenv("HOME") + "\n"; !strings.Contains(stdout.String(), want) {
		t.Errorf("the log lacks %q:\n%s", want, stdout.String())
	}
	if _, err := os.Stat(filepath.Join(out, "wheel-1.5.tar.gz")); err != nil {
		t.Error(err)
	}
}

func TestPrepareSourcesWithSRPM(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"rpmbuild", "bwrap"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("%s is not installed", tool)
		}
	}
	out := filepath.Join(t.TempDir(), "result")
	var stdout, stderr bytes.Buffer
	code := run([]string{"prepare-sources", "--srpm", "--no-update-release", "--result-dir=" + out, "--", wheelRepository(t)}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, stdout.String(), stderr.String())
	}
	entries, err := os.ReadDir(out)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"wheel-1.5-1.src.rpm", "wheel-1.5.tar.gz", "wheel.spec"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("made %q, %v, want %q", names, err, want)
	}
	if want := filepath.Join(out, "wheel-1.5-1.src.rpm") + "\n"; !strings.HasSuffix(stdout.String(), want) {
		t.Errorf("the last line is not %q:\n%s", want, stdout.String())
	}
}

func TestPrepareSourcesUsage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing":      {nil, 2, "give one URL and --result-dir"},
		"no result":    {[]string{"https://mill.example/x"}, 2, "give one URL and --result-dir"},
		"two":          {[]string{"--result-dir", "x", "a", "b"}, 2, "give one URL and --result-dir"},
		"unknown flag": {[]string{"--nonsense"}, 2, "nonsense"},
		"help":         {[]string{"--help"}, 0, "Usage: millrace prepare-sources"},
		"bad address":  {[]string{"--result-dir", t.TempDir(), "ssh://mill.example/x"}, 1, "The repository cannot be used"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"prepare-sources"}, c.args...), &stdout, &stderr)
		said := stderr.String()
		if c.code == 0 { // who asks for help gets it where it can be read page by page
			said = stdout.String()
		}
		if code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit status %d, %q, want %d, %q", name, code, said, c.code, c.want)
		}
	}
}
