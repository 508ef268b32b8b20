package gitserver_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, address string
		ok              bool
		repository      string
		push, changes   bool
	}{
		{"GET", "/rpms/hello.git/info/refs?service=git-upload-pack", true, "rpms/hello", false, false},
		{"GET", "/forks/a/rpms/hello/info/refs?service=git-receive-pack", true, "forks/a/rpms/hello", true, false},
		{"POST", "/hello.git/git-receive-pack", true, "hello", true, true},
		{"POST", "/hello.git/git-upload-pack", true, "hello", false, false},
		{"GET", "/hello.git/info/refs", false, "", false, false}, // the old protocol
		{"GET", "/hello.git/info/refs?service=rm", false, "", false, false},
		{"GET", "/hello.git/config", false, "", false, false},
		{"GET", "/", false, "", false, false},
	}
	for _, test := range tests {
		got, ok := gitserver.Parse(httptest.NewRequest(test.method, test.address, nil))
		if diff := cmp.Diff([]any{test.ok, test.repository, test.push, test.changes}, []any{ok, got.Repository, got.Push, got.Changes()}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.address, diff)
		}
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "hello.git")
	const config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[http]\n\treceivepack = true\n"
	if err := gitserver.Init(ctx, dir, "main", config); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	if err := gitserver.Commit(ctx, dir, gitserver.Change{Branch: "main", Message: "Begin", Author: "ann", Files: map[string]string{"a": "1\n", "run": "#!/bin/sh\n"}, At: at}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, ok := gitserver.Parse(r)
		if !ok || request.Repository != "hello" {
			http.NotFound(w, r)
			return
		}
		gitserver.Serve(w, r, request, dir, "ann")
	}))
	t.Cleanup(server.Close)
	remote := git.Remote{URL: server.URL + "/hello.git"}
	clone, err := (&git.Git{}).Init(ctx, filepath.Join(t.TempDir(), "clone"), remote)
	if err != nil {
		t.Fatal(err)
	}
	if err := clone.Fetch(ctx, remote); err != nil {
		t.Fatal(err)
	}
	if err := clone.Push(ctx, remote, "refs/remotes/origin/main", "refs/heads/copy", git.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	bare := (&git.Git{}).Bare(dir)
	first, err := bare.RevParse(ctx, "refs/heads/copy")
	if err != nil {
		t.Fatal(err)
	}
	if err := gitserver.Commit(ctx, dir, gitserver.Change{Branch: "main", Start: first, Message: "More", Author: "ann", Files: map[string]string{"b": "1\n2\n"}, Remove: []string{"a"}, At: at}); err != nil {
		t.Fatal(err)
	}
	stats, err := bare.Stats(ctx, "refs/heads/copy", "refs/heads/main")
	want := []git.Stat{{Change: git.Change{Status: "D", Path: "a"}, Removed: 1}, {Change: git.Change{Status: "A", Path: "b"}, Added: 2}}
	if diff := cmp.Diff(want, stats); diff != "" || err != nil {
		t.Errorf("what changed (-want +got):\n%s\n%v", diff, err)
	}
	for _, c := range []gitserver.Change{
		{Branch: "a..b", Author: "ann"}, {Branch: "main", Author: "x <y>"}, {Branch: "main", Author: "ann", Files: map[string]string{"../x": ""}},
		{Branch: "main", Author: "ann", Remove: []string{`"x"`}},
	} {
		if err := gitserver.Commit(ctx, dir, c); !errors.Is(err, git.ErrBadName) {
			t.Errorf("commit %+v: %v", c, err)
		}
	}
}
