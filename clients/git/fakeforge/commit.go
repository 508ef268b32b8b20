package fakeforge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
)

// Change is a commit to be made.
type Change struct {
	Branch  string            // the default branch if empty; made if missing
	From    string            // where a new branch starts; the default branch if empty
	Message string            // "Change files" if empty
	Author  string            // a login; the owner if empty
	Files   map[string]string // path and new text
	Remove  []string
}

// Commit makes a commit on a branch, as if it had been pushed, and returns it.
func (f *Forge) Commit(ctx context.Context, path string, c Change) (sha string, err error) {
	r, err := f.Repo(path)
	if err != nil {
		return "", err
	}
	branch, author := cmp.Or(c.Branch, r.DefaultBranch), cmp.Or(c.Author, r.Access.Owner)
	f.pushing.Lock()
	defer f.pushing.Unlock()
	start := ""
	for _, name := range []string{branch, cmp.Or(c.From, r.DefaultBranch)} {
		if start, err = f.Bare(path).RevParse(ctx, "refs/heads/"+name); err == nil {
			break
		}
		if !errors.Is(err, git.ErrNotFound) {
			return "", err
		}
	}
	if err := gitserver.Commit(ctx, f.gitDir(path), gitserver.Change{
		Branch: branch, Start: start, Message: cmp.Or(c.Message, "Change files"), Author: author, Files: c.Files, Remove: c.Remove, At: f.Now(),
	}); err != nil {
		return "", fmt.Errorf("committing to %s: %w", path, err)
	}
	if sha, err = f.Bare(path).RevParse(ctx, "refs/heads/"+branch); err != nil {
		return "", err
	}
	return sha, f.noticed(ctx, path, author, 0)
}

// Branch makes a branch where another one is, or the default branch.
func (f *Forge) Branch(ctx context.Context, path, branch, from string) error {
	r, err := f.Repo(path)
	if err != nil {
		return err
	}
	if err := git.CheckRef("refs/heads/" + branch); err != nil {
		return err
	}
	f.pushing.Lock()
	defer f.pushing.Unlock()
	sha, err := f.Bare(path).RevParse(ctx, "refs/heads/"+cmp.Or(from, r.DefaultBranch))
	if err != nil {
		return err
	}
	if _, err := gitserver.Run(ctx, f.gitDir(path), nil, "update-ref", "refs/heads/"+branch, sha, gitserver.ZeroSHA); err != nil {
		return fmt.Errorf("making branch %s of %s: %w", branch, path, err)
	}
	return f.noticed(ctx, path, r.Access.Owner, 0)
}

// Fork makes a login's fork of a repository and returns its path. It exists at
// once; its branches come when delay is over, as at a forge that is busy.
func (f *Forge) Fork(ctx context.Context, parent, login string, delay time.Duration) (string, error) {
	from, err := f.Repo(parent)
	if err != nil {
		return "", err
	}
	// A forge does it in the background: who asked may go away meanwhile.
	ctx = context.WithoutCancel(ctx)
	path := ForkPath(login, parent)
	if !repoPath.MatchString(path) {
		return "", fmt.Errorf("%.80q is not the path of a repository", path)
	}
	config := strings.NewReplacer("denyNonFastForwards = true", "denyDeleteCurrent = ignore", "\tdenyDeletes = true\n", "").Replace(mainConfig)
	err = f.create(ctx, Repo{
		Path: path, Parent: parent, Description: from.Description, DefaultBranch: from.DefaultBranch, OpenPulls: true, Access: Access{Owner: login},
	}, config)
	if err != nil {
		return path, err
	}
	if delay <= 0 {
		return path, f.fill(ctx, parent, path)
	}
	f.working.Go(func() {
		select {
		case <-time.After(delay):
		case <-f.ctx.Done(): // CatchUp of the next process fills it
			return
		}
		if err := f.fill(f.ctx, parent, path); err != nil {
			f.config.Log.Error("a fork could not be filled", "fork", path, "error", err)
		}
	})
	return path, nil
}

// fill gives a new fork the branches of its parent. Nobody is told of them.
func (f *Forge) fill(ctx context.Context, parent, path string) error {
	f.pushing.Lock()
	defer f.pushing.Unlock()
	if err := gitserver.Copy(ctx, f.gitDir(parent), f.gitDir(path)); err != nil {
		return fmt.Errorf("forking %s: %w", parent, err)
	}
	refs, err := f.refs(ctx, path)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return err
	}
	r.Refs = refs
	return f.save(r)
}

// guard is run by git for each ref that is pushed. GIT_PATTERNS are those of
// branches that who pushes may write to, a line each.
const guard = `#!/bin/sh
set -f
IFS='
'
for pattern in $GIT_PATTERNS; do
	case ${1#refs/heads/} in $pattern) exit 0 ;; esac
done
echo "Denied push for ref '$1' for user '$REMOTE_USER'" >&2
exit 1
`

func (f *Forge) protect(path string) error {
	hooks := filepath.Join(f.gitDir(path), "hooks")
	if err := os.MkdirAll(hooks, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(hooks, "update"), []byte(guard), 0o755)
}

// ServeGit answers a request of git's protocol for a repository. login is who
// asks, empty if that is not known; challenge asks who it is when something is
// pushed, in the words of the forge.
func (f *Forge) ServeGit(w http.ResponseWriter, r *http.Request, request gitserver.Request, path, login string, challenge func()) {
	f.mu.Lock()
	repository, err := f.repo(path)
	var patterns []string
	if err == nil {
		patterns = f.writable(repository, login)
	}
	f.mu.Unlock()
	switch {
	case err != nil:
		http.Error(w, "Repository not found.", http.StatusNotFound)
		return
	case request.Push && login == "":
		challenge()
		return
	case request.Push && len(patterns) == 0:
		http.Error(w, "You may not push here.", http.StatusForbidden)
		return
	}
	gitserver.Serve(w, r, request, f.gitDir(path), login, "GIT_PATTERNS="+strings.Join(patterns, "\n"))
	if !request.Changes() {
		return
	}
	// The client may be gone, but its push is there. If it is not gone, its
	// answer ends when we return, and by then the push was noticed.
	f.pushing.Lock()
	defer f.pushing.Unlock()
	if err := f.noticed(context.WithoutCancel(r.Context()), path, login, 0); err != nil {
		f.config.Log.ErrorContext(r.Context(), "push not noticed", "repository", path, "error", err)
	}
}
