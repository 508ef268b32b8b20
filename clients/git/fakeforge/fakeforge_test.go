package fakeforge_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/git/fakeforge"
)

const hello = "rpms/hello"

func open(t *testing.T, dir string) *fakeforge.Forge {
	t.Helper()
	f, err := fakeforge.New(fakeforge.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin makes a forge with a repository, and a branch "next" that changes a.
func begin(t *testing.T, dir string) *fakeforge.Forge {
	t.Helper()
	f := open(t, dir)
	must(t, f.CreateRepo(t.Context(), hello, "alice"))
	commit(t, f, "", "a", "1\n")
	must(t, f.Branch(t.Context(), hello, "next", ""))
	commit(t, f, "next", "a", "2\n")
	return f
}

func commit(t *testing.T, f *fakeforge.Forge, branch, file, text string) string {
	t.Helper()
	sha, err := f.Commit(t.Context(), hello, fakeforge.Change{Branch: branch, Files: map[string]string{file: text}})
	must(t, err)
	return sha
}

func pull(t *testing.T, f *fakeforge.Forge, title string) *fakeforge.Pull {
	t.Helper()
	p, err := f.OpenPull(t.Context(), hello, fakeforge.NewPull{Title: title, Author: "bob", Branch: "rawhide", HeadBranch: "next"})
	must(t, err)
	return p
}

func TestMerge(t *testing.T) {
	t.Parallel()
	f := begin(t, t.TempDir())
	ctx := t.Context()
	p := pull(t, f, "Forward")
	if how := f.Mergeable(ctx, hello, p); how != "FFORWARD" {
		t.Errorf("it can be merged by %s", how)
	}
	commit(t, f, "", "b", "1\n")
	if how := f.Mergeable(ctx, hello, p); how != "MERGE" {
		t.Errorf("beside another commit it can be merged by %s", how)
	}
	_, err := f.MergePull(ctx, hello, p.Number, "alice")
	must(t, err)
	for file, want := range map[string]string{"a": "2\n", "b": "1\n"} {
		if got, err := f.Bare(hello).ShowFile(ctx, "refs/heads/rawhide", file, 100); err != nil || string(got) != want {
			t.Errorf("%s after the merge: %q, %v", file, got, err)
		}
	}
	if _, err := f.MergePull(ctx, hello, p.Number, "alice"); !errors.Is(err, fakeforge.ErrState) {
		t.Errorf("merged again: %v", err)
	}
	commit(t, f, "", "a", "3\n")
	commit(t, f, "next", "a", "4\n")
	p = pull(t, f, "Conflict")
	if how := f.Mergeable(ctx, hello, p); how != "CONFLICTS" {
		t.Errorf("what conflicts can be merged by %s", how)
	}
	if _, err := f.MergePull(ctx, hello, p.Number, "alice"); !errors.Is(err, fakeforge.ErrConflict) {
		t.Errorf("merge of a conflict: %v", err)
	}
}

// Everything is there after a restart, and a fork that was not made yet is made.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := begin(t, dir)
	p := pull(t, f, "Update")
	_, err := f.CommentPull(hello, p.Number, "alice", "Good")
	must(t, err)
	path, err := f.Fork(t.Context(), hello, "bob", time.Hour)
	must(t, err)
	must(t, f.SetToken("secret", fakeforge.Token{Login: "bob"}))
	before, err := f.Pull(hello, p.Number)
	must(t, err)
	f.Close()

	f = open(t, dir)
	told := 0
	f.Subscribe(func(fakeforge.Event) { told++ })
	must(t, f.CatchUp(t.Context()))
	after, err := f.Pull(hello, p.Number)
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("pull request after the restart (-before +after):\n%s\n%v", diff, err)
	}
	if _, err := f.Bare(path).RevParse(t.Context(), "refs/heads/next"); err != nil || told != 0 {
		t.Errorf("the fork: %v; %d events", err, told)
	}
	if token, ok := f.Token("secret"); !ok || token.Login != "bob" {
		t.Errorf("token %+v", token)
	}
	next := pull(t, f, "Another")
	if next.Number != p.Number+1 {
		t.Errorf("the next pull request is #%d", next.Number)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	f := begin(t, t.TempDir())
	p := pull(t, f, `<script>alert(1)</script>`)
	pages := &fakeforge.Pages{
		Forge: f, Service: "Forge", Visitor: "alice",
		RepoPath: func(path string) string { return "/" + path },
		PullPath: func(path string, n int) string { return "/" + path + "/" + strconv.Itoa(n) },
	}
	ask := func(form url.Values) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if form != nil {
			r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if form.Has("foreign") {
				r.Header.Set("Sec-Fetch-Site", "cross-site")
			}
		}
		pages.ServePull(w, r, hello, strconv.Itoa(p.Number))
		return w
	}
	shown := ask(nil)
	if body := shown.Body.String(); shown.Code != http.StatusOK || strings.Contains(body, "<script") || !strings.Contains(body, "&#43;2") || !strings.Contains(body, `value="merge"`) {
		t.Errorf("the page, %d:\n%s", shown.Code, body)
	}
	if w := ask(url.Values{"do": {"merge"}, "foreign": {"1"}}); w.Code != http.StatusForbidden {
		t.Errorf("merge from another site: %d", w.Code)
	}
	if w := ask(url.Values{"do": {"merge"}}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/rpms/hello/1" {
		t.Errorf("merge: %d, %s", w.Code, w.Header().Get("Location"))
	}
	if p, err := f.Pull(hello, p.Number); err != nil || p.State != fakeforge.Merged || p.EndedBy != "alice" {
		t.Errorf("after the merge: %+v, %v", p, err)
	}
	if w := ask(url.Values{"do": {"close"}}); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "is merged") {
		t.Errorf("closing what is merged: %d", w.Code)
	}
	pages.Visitor = ""
	if w := ask(url.Values{"do": {"comment"}, "text": {"x"}}); w.Code != http.StatusForbidden || strings.Contains(ask(nil).Body.String(), "<button") {
		t.Errorf("a comment of nobody: %d", w.Code)
	}
	w := httptest.NewRecorder()
	pages.ServePull(w, httptest.NewRequest(http.MethodGet, "/", nil), hello, "99")
	if w.Code != http.StatusNotFound {
		t.Errorf("a page that is not there: %d", w.Code)
	}
}
