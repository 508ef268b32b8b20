package git

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"archive/tar"

	gocmp "github.com/google/go-cmp/cmp"
)

// upstream is a repository that plain git commands fill, and its server.
type upstream struct {
	t      *testing.T
	dir    string // work tree
	URL    string
	wanted atomic.Value // string: the Authorization that is demanded
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{t: t, dir: filepath.Join(t.TempDir(), "hello")}
	u.wanted.Store("")
	u.git("init", "-q", "-b", "main", u.dir)
	u.git("-C", u.dir, "config", "http.receivepack", "true")
	u.git("-C", u.dir, "config", "receive.denyCurrentBranch", "ignore")
	backend, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	handler := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(backend)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(u.dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := u.wanted.Load().(string); want != "" && r.Header.Get("Authorization") != want {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	u.URL = server.URL + "/hello/.git"
	u.commit("README", "hello\n", "Say hello")
	return u
}

func (u *upstream) git(args ...string) string {
	u.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (u *upstream) commit(name, text, message string) string {
	u.t.Helper()
	path := filepath.Join(u.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		u.t.Fatal(err)
	}
	u.git("-C", u.dir, "add", "-A")
	u.git("-C", u.dir, "commit", "-q", "-m", message)
	return u.git("-C", u.dir, "rev-parse", "HEAD")
}

// mirror fetches u into a cache of the test.
func (u *upstream) mirror(g *Git) *Mirror {
	u.t.Helper()
	cache := &Cache{Git: g, Dir: filepath.Join(u.t.TempDir(), "cache")}
	m, err := cache.Mirror(u.t.Context(), Remote{URL: u.URL})
	if err != nil {
		u.t.Fatal(err)
	}
	if err := m.Fetch(u.t.Context()); err != nil {
		u.t.Fatal(err)
	}
	return m
}

func (u *upstream) clone(g *Git, extra ...string) *Repo {
	u.t.Helper()
	m := u.mirror(g)
	if len(extra) > 0 {
		if err := m.Fetch(u.t.Context(), extra...); err != nil {
			u.t.Fatal(err)
		}
	}
	repo, err := m.Clone(u.t.Context(), filepath.Join(u.t.TempDir(), "tree"), extra...)
	if err != nil {
		u.t.Fatal(err)
	}
	return repo
}

var ann = Identity{Name: "Ann", Email: "ann@example.org", When: time.Unix(1_700_000_000, 0).UTC()}

func TestCloneAndRead(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.git("-C", u.dir, "tag", "v1.0")
	second := u.commit("hello.spec", "Name: hello\n", "Add a spec file")
	u.git("-C", u.dir, "update-ref", "refs/pull/7/head", second)
	u.git("-C", u.dir, "reset", "-q", "--hard", "v1.0")

	repo := u.clone(&Git{}, "refs/pull/7/head")
	ctx := t.Context()
	if err := repo.CheckoutBranch(ctx, "pr/7", "refs/pull/7/head"); err != nil {
		t.Fatal(err)
	}
	if branch, err := repo.Branch(ctx); branch != "pr/7" || err != nil {
		t.Errorf("Branch = %q, %v", branch, err)
	}
	if text, err := os.ReadFile(filepath.Join(repo.Dir(), "hello.spec")); string(text) != "Name: hello\n" {
		t.Errorf("hello.spec = %q, %v", text, err)
	}
	description, err := repo.Describe(ctx, DescribeOptions{Tags: true, Long: true, Match: "*"})
	if want := "v1.0-1-g" + second[:7]; description != want || err != nil {
		t.Errorf("Describe = %q, %v; want %q", description, err, want)
	}
	log, err := repo.Log(ctx, LogOptions{Range: Range{From: "v1.0"}, Format: "- %s (%an)", NoMerges: true})
	if want := "- Add a spec file (Ann)"; log != want || err != nil {
		t.Errorf("Log = %q, %v; want %q", log, err, want)
	}
	changes, err := repo.Changes(ctx, "v1.0", "HEAD")
	if diff := gocmp.Diff([]Change{{"A", "hello.spec"}}, changes); diff != "" || err != nil {
		t.Errorf("Changes (-want +got), %v:\n%s", err, diff)
	}
	entries, err := repo.LsTree(ctx, "HEAD", "", false)
	if err != nil || len(entries) != 2 || entries[1].Path != "hello.spec" || entries[1].Size != 12 {
		t.Errorf("LsTree = %v, %v", entries, err)
	}
	for name, want := range map[string]string{"main": "refs/remotes/origin/main", "v1.0": "refs/tags/v1.0", second: second} {
		if ref, err := repo.Find(ctx, name); ref.Name != want || err != nil {
			t.Errorf("Find(%s) = %v, %v; want %s", name, ref, err, want)
		}
	}
	if _, err := repo.Find(ctx, "nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Find(nothing) = %v, want ErrNotFound", err)
	}
}

func TestTagsByDate(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	for i, name := range []string{"v2", "v10", "v1"} {
		u.commit("version", name, "Version "+name)
		cmd := exec.Command("git", "-C", u.dir, "-c", "user.name=A", "-c", "user.email=a@b", "tag", "-a", "-m", name, name)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE="+time.Unix(1_700_000_000+int64(i)*1000, 0).Format(time.RFC3339))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	m := u.mirror(&Git{})
	tags, err := m.TagsByDate(t.Context(), "")
	if diff := gocmp.Diff([]string{"v1", "v10", "v2"}, tags); diff != "" || err != nil {
		t.Errorf("TagsByDate (-want +got), %v:\n%s", err, diff)
	}
	tags, err = m.TagsByDate(t.Context(), "v10")
	if diff := gocmp.Diff([]string{"v10", "v2"}, tags); diff != "" || err != nil {
		t.Errorf("TagsByDate merged into v10 (-want +got), %v:\n%s", err, diff)
	}
}

func TestMirrorFollowsItsRemote(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.git("-C", u.dir, "branch", "old")
	m := u.mirror(&Git{})
	u.git("-C", u.dir, "branch", "-D", "old")
	u.git("-C", u.dir, "branch", "old/er") // a directory where a file was
	tip := u.commit("README", "hello again\n", "Say it again")
	u.git("-C", u.dir, "reset", "-q", "--hard", "HEAD^") // the tip is in no branch now

	if err := m.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	refs, err := m.Refs(t.Context(), "refs/heads/")
	if err != nil || len(refs) != 2 || refs[0].Name != "refs/heads/main" || refs[1].Name != "refs/heads/old/er" {
		t.Errorf("refs = %v, %v", refs, err)
	}
	if err := m.Fetch(t.Context(), tip); err != nil {
		t.Fatal(err)
	}
	if sha, err := m.RevParse(t.Context(), KeepRef(tip)); sha != tip || err != nil {
		t.Errorf("a commit fetched by name is %s, %v; want %s", sha, err, tip)
	}
	if m.Fetched().IsZero() {
		t.Error("Fetched is zero after fetching")
	}
}

// A work tree outlives its mirror and everything done to it.
func TestCloneStandsAlone(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	m := u.mirror(&Git{})
	repo, err := m.Clone(t.Context(), filepath.Join(t.TempDir(), "tree"))
	if err != nil {
		t.Fatal(err)
	}
	if err := (&Cache{Git: m.git, Dir: filepath.Dir(m.gitDir)}).Trim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.gitDir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Trim left the mirror: %v", err)
	}
	_, err = m.Clone(t.Context(), filepath.Join(t.TempDir(), "tree"))
	if e, ok := errors.AsType[*Error](err); !ok || !e.Temporary() {
		t.Errorf("cloning a mirror that was trimmed = %v, want a temporary error", err)
	}
	if err := m.Fetch(t.Context()); err != nil {
		t.Errorf("fetching a mirror that was trimmed = %v", err)
	}
	if err := repo.Checkout(t.Context(), "refs/remotes/origin/main"); err != nil {
		t.Fatal(err)
	}
	if out := u.git("-C", repo.Dir(), "fsck", "--full"); strings.Contains(out, "missing") {
		t.Error(out)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.git("-C", u.dir, "checkout", "-q", "-b", "topic")
	u.commit("other", "x\n", "Add another file")
	u.git("-C", u.dir, "checkout", "-q", "-b", "clash", "main")
	u.commit("README", "salut\n", "Say it in French")
	u.git("-C", u.dir, "checkout", "-q", "main")
	u.commit("README", "hallo\n", "Say it in German")

	repo, ctx := u.clone(&Git{}), t.Context()
	if err := repo.CheckoutBranch(ctx, "work", "refs/remotes/origin/main"); err != nil {
		t.Fatal(err)
	}
	if err := repo.Merge(ctx, "refs/remotes/origin/topic", "Merge topic", ann); err != nil {
		t.Fatal(err)
	}
	commits, err := repo.Commits(ctx, Range{}, 1)
	if err != nil || len(commits[0].Parents) != 2 || commits[0].Subject != "Merge topic" || commits[0].Author != ann {
		t.Errorf("merge commit = %+v, %v", commits, err)
	}
	err = repo.Merge(ctx, "refs/remotes/origin/clash", "Merge clash", ann)
	conflict, ok := errors.AsType[*ConflictError](err)
	if !ok || !gocmp.Equal(conflict.Files, []string{"README"}) {
		t.Fatalf("Merge = %v, want a conflict in README", err)
	}
	if dirty, err := repo.Dirty(ctx); len(dirty) > 0 || err != nil {
		t.Errorf("a failed merge left %v, %v", dirty, err)
	}
	if err := repo.Merge(ctx, "refs/remotes/origin/none", "m", ann); !errors.Is(err, ErrNotFound) {
		t.Errorf("merging nothing = %v, want ErrNotFound", err)
	}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	m := newUpstream(t).mirror(&Git{})
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := m.Archive(t.Context(), w, ArchiveOptions{Rev: "main", Prefix: "hello-1.0/"}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of one commit differ")
	}
	z, err := gzip.NewReader(&first)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeXGlobalHeader {
			names = append(names, h.Name)
		}
	}
	if diff := gocmp.Diff([]string{"hello-1.0/", "hello-1.0/README"}, names); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
	err = m.Archive(t.Context(), io.Discard, ArchiveOptions{Rev: "main", Limit: 10})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("archive over its limit = %v, want ErrTooLarge", err)
	}
}

func TestShowFile(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(u.dir, "link")); err != nil {
		t.Fatal(err)
	}
	u.commit("dir/file", "12345", "Add files")
	m := u.mirror(&Git{})
	if text, err := m.ShowFile(t.Context(), "main", "dir/file", 5); string(text) != "12345" || err != nil {
		t.Errorf("ShowFile = %q, %v", text, err)
	}
	for path, want := range map[string]error{
		"dir/file": ErrTooLarge, "dir": ErrNotFound, "none": ErrNotFound, "link": ErrNotFound,
		"../x": ErrBadName, "/etc/passwd": ErrBadName, "dir/../.git/config": ErrBadName,
	} {
		if text, err := m.ShowFile(t.Context(), "main", path, 4); !errors.Is(err, want) {
			t.Errorf("ShowFile(%s) = %q, %v; want %v", path, text, err, want)
		}
	}
}

func TestCommitAndPush(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	repo, ctx, remote := u.clone(&Git{}), t.Context(), Remote{URL: u.URL}
	if err := repo.CheckoutBranch(ctx, "update", "refs/remotes/origin/main"); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Commit(ctx, "nothing", ann); !errors.Is(err, ErrNothingToCommit) {
		t.Errorf("Commit = %v, want ErrNothingToCommit", err)
	}
	if err := os.WriteFile(filepath.Join(repo.Dir(), "-x"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := repo.Add(ctx, "-x"); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Commit(ctx, "-m looks like an option\n", ann); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(repo.Dir(), "README")); err != nil {
		t.Fatal(err)
	}
	if err := repo.Add(ctx); err != nil {
		t.Fatal(err)
	}
	sha, err := repo.Commit(ctx, "Remove a file", ann)
	if err != nil {
		t.Fatal(err)
	}
	if changes, err := repo.Changes(ctx, "HEAD^", "HEAD"); err != nil || !gocmp.Equal(changes, []Change{{"D", "README"}}) {
		t.Errorf("Changes = %v, %v", changes, err)
	}
	for _, opts := range []PushOptions{{}, {}, {Expect: sha}} {
		if err := repo.Push(ctx, remote, "HEAD", "refs/heads/update", opts); err != nil {
			t.Fatal(err)
		}
	}
	if got := u.git("-C", u.dir, "rev-parse", "update"); got != sha {
		t.Errorf("the remote has %s, want %s", got, sha)
	}
	if err := repo.Push(ctx, remote, "HEAD^", "refs/heads/update", PushOptions{}); !errors.Is(err, ErrRejected) {
		t.Errorf("pushing backwards = %v, want ErrRejected", err)
	}
	zeros := strings.Repeat("0", 40)
	if err := repo.Push(ctx, remote, "HEAD^", "refs/heads/update", PushOptions{Expect: zeros}); !errors.Is(err, ErrRejected) {
		t.Errorf("pushing over an unexpected branch = %v, want ErrRejected", err)
	}
	if err := repo.Push(ctx, remote, "HEAD^", "refs/heads/update", PushOptions{Expect: sha}); err != nil {
		t.Errorf("pushing over the expected commit = %v", err)
	}
}

// An action of a package may write what it likes below its work tree.
func TestSealedAgainstItsOwnWorkTree(t *testing.T) {
	t.Parallel()
	repo := newUpstream(t).clone(&Git{})
	ctx, proof := t.Context(), filepath.Join(t.TempDir(), "ran")
	if err := repo.Checkout(ctx, "refs/remotes/origin/main"); err != nil {
		t.Fatal(err)
	}
	evil := filepath.Join(t.TempDir(), "evil")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(evil, "#!/bin/sh\ntouch "+proof+"\ncat\n")
	admin := filepath.Join(repo.Dir(), ".git")
	write(filepath.Join(admin, "config"), "[core]\n\trepositoryformatversion = 0\n\tfsmonitor = "+evil+
		"\n\tpager = "+evil+"\n[filter \"x\"]\n\tclean = "+evil+"\n\tsmudge = "+evil+"\n[diff]\n\texternal = "+evil+
		"\n[tar \"tar.gz\"]\n\tcommand = "+evil+"\n[diff \"x\"]\n\ttextconv = "+evil+"\n[merge \"x\"]\n\tdriver = "+evil+"\n")
	write(filepath.Join(admin, "info", "attributes"), "* filter=x diff=x merge=x\n")
	write(filepath.Join(repo.Dir(), ".gitattributes"), "* filter=x diff=x merge=x\n")
	write(filepath.Join(admin, "hooks", "post-checkout"), "#!/bin/sh\ntouch "+proof+"\n")
	write(filepath.Join(admin, "hooks", "pre-commit"), "#!/bin/sh\ntouch "+proof+"\n")

	if err := repo.Add(ctx); err != nil {
		t.Error(err)
	}
	if _, err := repo.Commit(ctx, "x", ann); err != nil {
		t.Error(err)
	}
	if _, err := repo.Diff(ctx, "HEAD^", "HEAD"); err != nil {
		t.Error(err)
	}
	if err := repo.Archive(ctx, io.Discard, ArchiveOptions{}); err != nil {
		t.Error(err)
	}
	if err := repo.Checkout(ctx, "HEAD^"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(proof); !errors.Is(err, os.ErrNotExist) {
		t.Error("a command of the work tree's configuration ran")
	}
	os.Remove(filepath.Join(admin, "index"))
	if err := os.Symlink(proof, filepath.Join(admin, "index")); err != nil {
		t.Fatal(err)
	}
	if err := repo.Checkout(ctx, "refs/remotes/origin/main"); !errors.Is(err, ErrTampered) {
		t.Errorf("Checkout through a symbolic link = %v, want ErrTampered", err)
	}
}

// A directory that upstream says is a submodule, and in which an action made a
// repository whose configuration runs commands.
func TestSealedAgainstNestedRepositories(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	link := u.git("-C", u.dir, "rev-parse", "HEAD")
	u.git("-C", u.dir, "update-index", "--add", "--cacheinfo", "160000,"+link+",sub")
	u.git("-C", u.dir, "commit", "-q", "-m", "Add a submodule")
	repo, ctx, proof := u.clone(&Git{}), t.Context(), filepath.Join(t.TempDir(), "ran")
	if err := repo.CheckoutBranch(ctx, "work", "refs/remotes/origin/main"); err != nil {
		t.Fatal(err)
	}
	sub := filepath.Join(repo.Dir(), "sub")
	u.git("clone", "-q", u.dir, sub)
	u.git("-C", sub, "checkout", "-q", link) // not obviously another commit, so git has to look closer
	for name, text := range map[string]string{"evil": "#!/bin/sh\ntouch " + proof + "\ncat\n", ".gitattributes": "* filter=x\n"} {
		if err := os.WriteFile(filepath.Join(sub, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"filter.x.clean", "filter.x.smudge", "core.fsmonitor"} {
		u.git("-C", sub, "config", name, filepath.Join(sub, "evil"))
	}
	if err := os.WriteFile(filepath.Join(sub, "README"), []byte("HELLO\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo.Dir(), "new"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ran := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if os.Remove(proof) == nil {
			t.Errorf("%s ran a command of a nested repository", what)
		}
	}
	_, err := repo.Dirty(ctx)
	ran("Dirty", err)
	ran("Add", repo.Add(ctx))
	if err := repo.Add(ctx, "sub"); !errors.Is(err, ErrBadName) {
		t.Errorf("Add of a submodule = %v, want ErrBadName", err)
	}
	ran("Add of a submodule", nil)
	_, err = repo.Commit(ctx, "x", ann)
	ran("Commit", err)
	changes, err := repo.Changes(ctx, "HEAD^", "HEAD")
	if diff := gocmp.Diff([]Change{{"A", "new"}}, changes); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
	ran("Changes", err)
	_, err = repo.Describe(ctx, DescribeOptions{Rev: "HEAD", Tags: true})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("Describe = %v", err)
	}
	ran("Merge", repo.Merge(ctx, "refs/remotes/origin/main", "m", ann))
	ran("Reset", repo.Reset(ctx, "HEAD^"))
	ran("Checkout", repo.Checkout(ctx, "HEAD^"))
	ran("CheckoutBranch", repo.CheckoutBranch(ctx, "again", "refs/remotes/origin/main"))
}

func TestAuthorization(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.wanted.Store(BasicAuth("x-access-token", "secret"))
	cache := &Cache{Git: &Git{}, Dir: filepath.Join(t.TempDir(), "cache")}
	for _, try := range []struct {
		header string
		want   error
	}{{"", ErrNotFound}, {BasicAuth("x-access-token", "wrong"), ErrNotFound}, {BasicAuth("x-access-token", "secret"), nil}} {
		m, err := cache.Mirror(t.Context(), Remote{URL: u.URL, Authorization: try.header})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.RevParse(t.Context(), "main"); !errors.Is(err, ErrNotFound) {
			t.Errorf("before a Fetch main is %v, want ErrNotFound", err)
		}
		if err := m.Fetch(t.Context()); !errors.Is(err, try.want) {
			t.Errorf("Fetch with %q = %v, want %v", try.header, err, try.want)
		}
	}
	if found := u.grep(cache.Dir, "Authorization"); found != "" {
		t.Errorf("the secret was written to %s", found)
	}
}

// Whoever can make a server redirect must not get what is meant for it.
func TestSecretsAreNotRedirected(t *testing.T) {
	t.Parallel()
	var asked, leaked atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(true)
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
	}))
	t.Cleanup(thief.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.RequestURI(), http.StatusFound)
	}))
	t.Cleanup(server.Close)
	remote := Remote{URL: server.URL + "/x.git", Authorization: BasicAuth("x-access-token", "secret")}
	if _, _, err := (&Git{}).LsRemote(t.Context(), remote); err == nil || asked.Load() || leaked.Load() {
		t.Errorf("LsRemote = %v; asked %v, leaked %v", err, asked.Load(), leaked.Load())
	}
}

func (u *upstream) grep(dir, word string) (found string) {
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(word)) {
			found = path
		}
		return nil
	})
	return found
}

func TestRemoteErrors(t *testing.T) {
	t.Parallel()
	status := atomic.Int64{}
	slow := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status.Load() == 0 {
			<-slow
			return
		}
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(slow) })
	g := &Git{}
	for code, temporary := range map[int64]bool{404: false, 500: true, 503: true, 429: true} {
		status.Store(code)
		_, _, err := g.LsRemote(t.Context(), Remote{URL: server.URL + "/x.git"})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Temporary() != temporary || errors.Is(err, ErrNotFound) != (code == 404) {
			t.Errorf("%d: %v, temporary %v", code, err, ok && e.Temporary())
		}
	}
	status.Store(0)
	_, _, err := (&Git{NetworkTimeout: 200 * time.Millisecond}).LsRemote(t.Context(), Remote{URL: server.URL + "/x.git"})
	if e, ok := errors.AsType[*Error](err); !ok || !e.Temporary() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a remote that does not answer = %v, want a temporary timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, _, err := g.LsRemote(ctx, Remote{URL: server.URL + "/x.git"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled command = %v, want context.Canceled", err)
	}
}

// git starts helpers; a command that is given up takes them along.
func TestHelpersDieToo(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "git")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 300 &\nwait\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, _, err := (&Git{Path: script, NetworkTimeout: 100 * time.Millisecond}).LsRemote(t.Context(), Remote{URL: "https://example.org/x"})
	// A helper that lives keeps the output open, and us waiting.
	if took := time.Since(start); took > time.Minute || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("LsRemote = %v after %v", err, took)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	cache := &Cache{Git: &Git{}, Dir: filepath.Join(t.TempDir(), "cache")}
	trees := t.TempDir()
	var wait sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		wait.Go(func() {
			m, err := cache.Mirror(t.Context(), Remote{URL: u.URL})
			if err != nil {
				t.Error(err)
				return
			}
			if err := m.Fetch(t.Context()); err != nil {
				t.Error(err)
			}
			repo, err := m.Clone(t.Context(), filepath.Join(trees, name))
			if err != nil {
				t.Error(err)
				return
			}
			if err := repo.Checkout(t.Context(), "refs/remotes/origin/main"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if _, err := cache.Git.Open(filepath.Join(trees, "a"), Remote{URL: u.URL}); err != nil {
		t.Errorf("Open = %v", err)
	}
	if _, err := cache.Git.Open(trees, Remote{}); !errors.Is(err, ErrTampered) {
		t.Errorf("Open of no repository = %v, want ErrTampered", err)
	}
}

func TestPatch(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.commit("dir/a", "a\n", "Add a")
	u.commit("b", "b\n", "Add b")
	m := u.mirror(&Git{})
	patch, err := m.Patch(t.Context(), "main^")
	if err != nil || !bytes.Contains(patch, []byte("Subject: Add a\n")) || !bytes.Contains(patch, []byte("+++ b/dir/a\n")) {
		t.Errorf("Patch = %s, %v", patch, err)
	}
	if patch, err := m.Patch(t.Context(), "main", "dir"); len(patch) != 0 || err != nil {
		t.Errorf("Patch of what did not change = %s, %v", patch, err)
	}
}

func TestRepositoryTooLarge(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	noise := make([]byte, 300<<10)
	rand.NewChaCha8([32]byte{}).Read(noise)
	u.commit("noise", string(noise), "Add noise")
	cache := &Cache{Git: &Git{MaxRepository: 50 << 10}, Dir: filepath.Join(t.TempDir(), "cache")}
	m, err := cache.Mirror(t.Context(), Remote{URL: u.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Fetch(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Fetch = %v, want ErrTooLarge", err)
	}
}

func TestLocksLeftBehind(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	m := u.mirror(&Git{})
	u.commit("README", "new\n", "Change")
	for _, name := range []string{"packed-refs.lock", "refs/heads/main.lock", "config.lock", "objects/pack/tmp_pack_x"} {
		if err := os.WriteFile(filepath.Join(m.gitDir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Fetch(t.Context()); err != nil {
		t.Errorf("Fetch after a crash = %v", err)
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.git("-C", u.dir, "checkout", "-q", "-b", "ours")
	u.commit("README", "ours\n", "Change it")
	ours := u.commit("ü b", "same\n", "Add a file")
	u.git("-C", u.dir, "checkout", "-q", "-b", "apart", ours+"~2")
	apart := u.commit("other", "text\n", "Change another")
	u.commit("README", "theirs\n", "Change it too")
	theirs := u.commit("ü b", "different\n", "Add it too")
	bare := (&Git{}).Bare(filepath.Join(u.dir, ".git"))
	for _, tt := range []struct {
		with string
		want []string
	}{{apart, nil}, {theirs, []string{"README", "ü b"}}} {
		got, err := bare.Conflicts(t.Context(), ours, tt.with)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("with %.7s: %q, %v; want %q", tt.with, got, err, tt.want)
		}
	}
	for _, evil := range []string{"--help", "none"} {
		if _, err := bare.Conflicts(t.Context(), ours, evil); err == nil {
			t.Errorf("%q can be merged", evil)
		}
	}
}
