package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/git"
	"millrace/clients/github"
	"millrace/clients/github/githubfake"
	"millrace/jobs/sandbox"
	"millrace/jobs/sources"
	"millrace/models"
)

const wheelSpec = `Name: wheel
Version: 1.2
Release: 3%{?dist}
Summary: Turns
Source0: wheel-%{version}.tar.gz
License: MIT
BuildArch: noarch

%description
It turns.

%files

%changelog
* Thu Nov 20 2025 Ada <ada@mill.test> - 1.2-3
- First
`

var oneSandbox sandbox.Sandbox

// needTools skips a test where source RPMs cannot be built; where CI is set they
// must be.
func needTools(t *testing.T) {
	t.Helper()
	problem := ""
	if _, err := exec.LookPath("rpmbuild"); err != nil {
		problem = err.Error()
	} else if kind, reason := oneSandbox.Detect(t.Context()); kind != sandbox.Bubblewrap {
		problem = "no sandbox: " + reason
	}
	if problem != "" && os.Getenv("CI") == "true" {
		t.Fatal(problem)
	}
	if problem != "" {
		t.Skip(problem)
	}
}

// mill is a forge with the repository milling/hello and a pull request in it.
type mill struct {
	*githubfake.Fake
	forge Forge
	url   string
	pull  githubfake.Pull
}

// newMill makes the pull request change files.
func newMill(t *testing.T, files, change map[string]string) *mill {
	t.Helper()
	f, err := githubfake.New(githubfake.Config{Dir: t.TempDir(), Tokens: map[string]string{"token": "ada"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.SetURL(server.URL)
	if _, err := f.CreateRepo(t.Context(), "milling", "hello", files, githubfake.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Commit(t.Context(), "milling/hello", githubfake.Change{Branch: "topic", Message: "Change it", Files: change}); err != nil {
		t.Fatal(err)
	}
	pull, err := f.OpenPull(t.Context(), "milling/hello", githubfake.NewPull{Title: "Change it", Head: "topic"})
	if err != nil {
		t.Fatal(err)
	}
	return &mill{f, GitHub{&github.Client{BaseURL: server.URL + "/api/v3/", Token: "token"}}, server.URL, pull}
}

// event is the one of the pull request.
func (m *mill) event(t *testing.T) *models.Event {
	t.Helper()
	p, err := models.ParseProjectURL(m.url + "/milling/hello")
	if err != nil {
		t.Fatal(err)
	}
	e := event()
	e.Project, e.Commit.Ref, e.Commit.SHA = p, fmt.Sprint(m.pull.Number), m.pull.HeadSHA
	return e
}

// here is a kind that builds what is in a mill, and the log that it writes.
func here(t *testing.T, m *mill, box *sandbox.Sandbox) (*SRPMHere, func(w *Work) *strings.Builder) {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { sandbox.RemoveAll(filepath.Join(dir, "work")) })
	k := &SRPMHere{
		Builder: &sources.Builder{
			Git: &git.Git{}, Sandbox: box, Identity: git.Identity{Name: "Millwright", Email: "millwright@mill.test"}, Timeout: time.Minute,
		},
		Forge: func(*models.Project) (Forge, error) { return m.forge, nil }, DataDir: dir,
	}
	return k, func(w *Work) *strings.Builder {
		var mu sync.Mutex
		var log strings.Builder
		w.log = func(_ *models.Run, text []byte) error {
			mu.Lock()
			defer mu.Unlock()
			log.Write(text)
			return nil
		}
		return &log
	}
}

const buildHere = "specfile_path: wheel.spec\ndownstream_package_name: wheel\n%sjobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-43]}\n"

func TestSourceIsBuiltHere(t *testing.T) {
	t.Parallel()
	needTools(t)
	m := newMill(t, map[string]string{"wheel.spec": wheelSpec, "turn.sh": "echo turn\n"}, map[string]string{"turn.sh": "echo turned\n"})
	k, logOf := here(t, m, &oneSandbox)
	config := fmt.Sprintf(buildHere, "release_suffix: '7'\nactions: {create-archive: ['sh -c \"echo archiving >&2; tar -czf wheel.tar.gz turn.sh; echo wheel.tar.gz\"']}\n")
	w := workOf(t, planOf(t, m.event(t), config), "srpm", "source")
	log := logOf(w)
	submitTo(t, k, w)
	run := w.Runs[0]
	if run.State != models.Passed || run.Data.NVR != "wheel-1.2-3.7" || run.Data.Version != "1.2" {
		t.Fatalf("the run is %s (%s) and remembers %+v\n%s", run.State, run.Reason, run.Data, log)
	}
	if want := "srpms/" + w.Group.Key + "/wheel-1.2-3.7.src.rpm"; run.Data.SRPMPath != want {
		t.Errorf("it is at %s, want %s", run.Data.SRPMPath, want)
	}
	file, err := k.Open(run.Data.SRPMPath)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	out, err := exec.Command("rpm", "-qp", "--qf", "%{NAME} %{SOURCEPACKAGE}", filepath.Join(k.DataDir, run.Data.SRPMPath)).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "wheel 1") {
		t.Errorf("rpm says %q, %v", out, err)
	}
	if !strings.Contains(log.String(), "archiving\n") || !strings.Contains(log.String(), "rpmbuild -bs") {
		t.Errorf("the log is\n%s", log)
	}
	if left, err := os.ReadDir(filepath.Join(k.DataDir, "work")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	// A second try, after a crash before the answer was written, finds it.
	k.Builder, k.Forge = nil, nil
	run.State, run.Data = models.Running, models.RunData{}
	submitTo(t, k, w)
	if run.State != models.Passed || run.Data.NVR != "wheel-1.2-3.7" || run.Data.Version != "1.2" {
		t.Errorf("found again it is %s and remembers %+v", run.State, run.Data)
	}
}

func TestSourceFailsHere(t *testing.T) {
	t.Parallel()
	needTools(t)
	broken := strings.Replace(wheelSpec, "%description", "%if 1\n%description", 1)
	tests := []struct {
		name, more, reason, tail string
		change                   map[string]string
	}{
		{"spec file", "", "Preparation of the repository for creation of an SRPM failed", "error: ", map[string]string{"wheel.spec": broken}},
		{"action", "actions: {post-upstream-clone: ['sh -c \"echo fatal: no water >&2; exit 3\"']}\n", "", "fatal: no water", map[string]string{"x": "y"}},
		{"no spec file", "", "wheel.spec", "", map[string]string{"wheel.spec": ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"wheel.spec": wheelSpec}
			if test.name == "no spec file" {
				files, test.change = map[string]string{"a": "b"}, map[string]string{"a": "c"}
			}
			m := newMill(t, files, test.change)
			k, logOf := here(t, m, &oneSandbox)
			w := workOf(t, planOf(t, m.event(t), fmt.Sprintf(buildHere, test.more)), "srpm", "source")
			log := logOf(w)
			submitTo(t, k, w)
			run := w.Runs[0]
			if run.State != models.Failed || !strings.Contains(run.Reason, test.reason) || run.Reason == "" {
				t.Errorf("it is %s: %q, want it to fail because of %q", run.State, run.Reason, test.reason)
			}
			if !strings.Contains(run.Data.LogTail, test.tail) || run.Data.LogTail == "" {
				t.Errorf("the end of the log is %q, want %q in it", run.Data.LogTail, test.tail)
			}
			if lines := strings.Split(log.String(), "\n"); run.Data.LogLine > 0 && !strings.Contains(run.Data.LogTail, lines[run.Data.LogLine-1]) {
				t.Errorf("line %d of the log is not in its tail:\n%s\n--\n%s", run.Data.LogLine, log, run.Data.LogTail)
			}
			if test.tail != "" && run.Data.LogLine == 0 {
				t.Errorf("no line explains it:\n%s", log)
			}
			if _, ok := built(filepath.Join(k.DataDir, "srpms", w.Group.Key)); ok {
				t.Error("a failed build left a source RPM")
			}
		})
	}
}

// TestSourceNotBuiltHere: what is not the user's failure.
func TestSourceNotBuiltHere(t *testing.T) {
	t.Parallel()
	m := newMill(t, map[string]string{"wheel.spec": wheelSpec}, map[string]string{"a": "b"})
	k, _ := here(t, m, &sandbox.Sandbox{Bwrap: "/nonexistent/bwrap"})
	work := func() *Work { return workOf(t, planOf(t, m.event(t), fmt.Sprintf(buildHere, "")), "srpm", "source") }
	_, err := k.Submit(t.Context(), work())
	refusedAs(t, err, models.Error, "not run here without a sandbox")

	m.SetFaults(githubfake.Faults{GitFailEvery: 1})
	_, err = k.Submit(t.Context(), work())
	tryLater(t, err)
	m.SetFaults(githubfake.Faults{APIFailEvery: 1})
	_, err = k.Submit(t.Context(), work())
	tryLater(t, err)
	m.SetFaults(githubfake.Faults{})

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Submit(ctx, work()); !errors.Is(err, context.Canceled) {
		t.Errorf("a shutdown gives %v", err)
	}
}

// TestHalfWrittenSourceIsNotFound: only whole source RPMs are found again.
func TestHalfWrittenSourceIsNotFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from := filepath.Join(dir, "a-1-1.src.rpm")
	if err := os.WriteFile(from, []byte("whole"), 0o644); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "srpms", "key")
	if err := os.MkdirAll(to+".part", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to+".part", "a-1-1.src.rpm"), []byte("wh"), 0o644); err != nil {
		t.Fatal(err)
	}
	if path, ok := built(to); ok {
		t.Fatalf("found %s", path)
	}
	path, err := keep(from, to)
	if err != nil {
		t.Fatal(err)
	}
	found, ok := built(to)
	text, err := os.ReadFile(found)
	if !ok || found != path || err != nil || string(text) != "whole" {
		t.Errorf("found %s with %q, %v", found, text, err)
	}
	if err := os.Remove(from); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", from); err != nil {
		t.Fatal(err)
	}
	if _, err := keep(from, to+"2"); err == nil {
		t.Error("a symbolic link was followed")
	}
}

func TestSourceRequest(t *testing.T) {
	t.Parallel()
	work := func(kind models.RefKind, ref string) *Work {
		e := event()
		e.Commit.Kind, e.Commit.Ref = kind, ref
		p := &models.Pipeline{Kind: kind, Ref: ref, SHA: e.Commit.SHA, Commit: e.Commit}
		view := &models.JobView{Package: "hello", PackageSettings: models.DefaultSettings()}
		return &Work{Pipeline: p, View: view}
	}
	r, err := sourceRequest(work(models.PullRequestRef, "7"), "url")
	if err != nil || r.PR != 7 || r.TargetBranch != "main" || r.MergedRef != "main" || r.NoMerge || r.UpdateRelease != nil || r.Ref != strings.Repeat("a", 40) {
		t.Errorf("a pull request: %+v, %v", r, err)
	}
	r, err = sourceRequest(work(models.ReleaseRef, "v1"), "url")
	if err != nil || r.PR != 0 || r.MergedRef != "v1" || r.UpdateRelease == nil || *r.UpdateRelease {
		t.Errorf("a release: %+v, %v", r, err)
	}
	r, err = sourceRequest(work(models.BranchRef, "main"), "url")
	if err != nil || r.PR != 0 || r.MergedRef != strings.Repeat("a", 40) || r.UpdateRelease != nil {
		t.Errorf("a push: %+v, %v", r, err)
	}
	if _, err := sourceRequest(work(models.PullRequestRef, "x"), "url"); err == nil {
		t.Error("x is the number of a pull request")
	}
}

func TestLogWriter(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var pieces []string
	l := newLogWriter(func(text []byte) error {
		mu.Lock()
		defer mu.Unlock()
		pieces = append(pieces, string(text))
		return nil
	})
	fmt.Fprint(l, "one\ntw")
	deadline := time.Now().Add(patience)
	for done := false; !done; time.Sleep(10 * time.Millisecond) { // without further writes
		mu.Lock()
		done = len(pieces) == 1 && pieces[0] == "one\n"
		mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("pieces: %q", pieces)
		}
	}
	fmt.Fprint(l, "o\n")
	for i := range 200 {
		fmt.Fprintf(l, "line %d\n", i)
	}
	fmt.Fprint(l, "x.c:1: error: no wheel\n")
	for i := range 200 {
		fmt.Fprintf(l, "after %d\n", i)
	}
	fmt.Fprint(l, strings.Repeat("z", 3*flushSize))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(pieces, "")
	if !strings.HasPrefix(all, "one\ntwo\nline 0\n") || !strings.HasSuffix(all, "z\n") || strings.Count(all, "z") != 3*flushSize {
		t.Errorf("%d bytes: %.60q...", len(all), all)
	}
	line, tail := l.explain()
	if want := strings.Split(all, "\n")[202]; line != 203 || !strings.Contains(tail, want) || !strings.Contains(tail, "line 195\n") || !strings.Contains(tail, "after 13") {
		t.Errorf("line %d (%q) with the tail\n%s", line, want, tail)
	}

	sad := newLogWriter(func([]byte) error { return errors.New("no room") })
	if _, err := fmt.Fprint(sad, "a\n"); err != nil {
		t.Errorf("a command hears of the log's troubles: %v", err)
	}
	if err := sad.Close(); err == nil {
		t.Error("nobody hears of the log's troubles")
	}
	if line, tail := sad.explain(); line != 0 || tail != "a" {
		t.Errorf("without an error: line %d, tail %q", line, tail)
	}
}
