package kojifake_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/clients/git"
	"millrace/clients/koji/kojifake"
)

// repository is a real one in a directory.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("git is not installed")
	}
	r := repository{t, filepath.Join(t.TempDir(), "hello")}
	r.git("init", "-q", "-b", "rawhide", r.dir)
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	if args[0] != "init" {
		cmd.Dir = r.dir
	}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.example")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes a file and returns the commit with it.
func (r repository) commit(name, text string) string {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.git("add", name)
	r.git("commit", "-q", "-m", "Change "+name)
	return r.git("rev-parse", "HEAD")
}

func TestFromGit(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	look := kojifake.FromGit(&git.Git{AllowFile: true}, t.TempDir())
	none := r.commit("README", "x")
	plain := r.commit("hello.spec", "%global v 1.2\nName: hello\nEpoch: 1\nVersion: %{v}\nRelease: 4%{?dist}\n")
	auto1 := r.commit("hello.spec", "Name: hello\nVersion: 2.0\nRelease: %autorelease\nBuildArch: noarch\n")
	r.commit("README", "y")
	auto3 := r.commit("hello.spec", "Name: hello\nVersion: 2.0\nRelease: %autorelease\nSummary: x\n")
	vague := r.commit("hello.spec", "Name: hello\nVersion: %{nobody_knows}\nRelease: 1\n")
	unsaid := r.commit("hello.spec", "Name: hello\nVersion: 1\n")
	two := r.commit("other.spec", "Name: other\nVersion: 1\nRelease: 1\n")

	tests := map[string]struct {
		commit string
		want   kojifake.Spec
		err    string
	}{
		"macros":           {commit: plain, want: kojifake.Spec{Name: "hello", Version: "1.2", Release: "4.fc43", Epoch: 1}},
		"first with it":    {commit: auto1, want: kojifake.Spec{Name: "hello", Version: "2.0", Release: "1.fc43", NoArch: true}},
		"two more commits": {commit: auto3, want: kojifake.Spec{Name: "hello", Version: "2.0", Release: "3.fc43"}},
		"no spec file":     {commit: none, err: "no spec file found"},
		"two":              {commit: two, err: "multiple spec files found"},
		"no version":       {commit: vague, err: "cannot be known"},
		"no release":       {commit: unsaid, err: "does not say what it builds"},
		"no commit":        {commit: strings.Repeat("1", 40), err: "fetching"},
		"a branch":         {commit: "rawhide", err: "not the full hash"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := look(t.Context(), kojifake.Source{URL: "file://" + r.dir, Commit: test.commit, Dist: ".fc43"})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%+v, error %v", got, err)
				}
				return
			}
			if err != nil || got.NVR() != test.want.NVR() || got.Epoch != test.want.Epoch || got.NoArch != test.want.NoArch {
				t.Errorf("%+v, error %v, want %+v", got, err, test.want)
			}
		})
	}
}
