package githubfake

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
)

const zeroSHA = gitserver.ZeroSHA

func (f *Fake) gitDir(fullName string) string {
	return filepath.Join(f.config.Dir, "git", key(fullName)+".git")
}

// Bare reads the repository of that full name, owner/name, whoever pushes to it
// meanwhile.
func (f *Fake) Bare(fullName string) *git.Bare { return f.git.Bare(f.gitDir(fullName)) }

// run carries out a git command that writes to a repository of ours.
func (f *Fake) run(ctx context.Context, fullName string, stdin io.Reader, args ...string) (string, error) {
	return gitserver.Run(ctx, f.gitDir(fullName), stdin, args...)
}

// repositoryConfig lets people read everything and push everything but the
// heads of pull requests, as on GitHub.
const repositoryConfig = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
[http]
	receivepack = true
[receive]
	hideRefs = refs/pull
	denyDeleteCurrent = ignore
	autogc = false
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[gc]
	auto = 0
`

// initRepo makes a repository on disk, empty or as a copy of another.
func (f *Fake) initRepo(ctx context.Context, fullName, branch, copyOf string) error {
	if err := gitserver.Init(ctx, f.gitDir(fullName), branch, repositoryConfig); err != nil || copyOf == "" {
		return err
	}
	return gitserver.Copy(ctx, f.gitDir(copyOf), f.gitDir(fullName))
}

// Change is a commit to be made.
type Change struct {
	Branch  string            // the default branch if empty; made if missing
	From    string            // where a new branch starts; the default branch if empty
	Message string            // "Change files" if empty
	Author  string            // a login; the owner if empty
	Files   map[string]string // path and new text; "#!" makes it executable
	Remove  []string
}

// Commit makes a commit on a branch, as if it had been pushed, and returns it.
func (f *Fake) Commit(ctx context.Context, fullName string, c Change) (sha string, err error) {
	f.mu.Lock()
	r, err := f.repo(fullName)
	if err != nil {
		f.mu.Unlock()
		return "", err
	}
	c.Branch, c.Author, c.Message = cmp.Or(c.Branch, r.DefaultBranch), cmp.Or(c.Author, r.Owner), cmp.Or(c.Message, "Change files")
	c.From = cmp.Or(c.From, r.DefaultBranch)
	f.mu.Unlock()

	f.pushing.Lock()
	defer f.pushing.Unlock()
	start := ""
	for _, branch := range []string{c.Branch, c.From} {
		if start, err = f.Bare(fullName).RevParse(ctx, "refs/heads/"+branch); err == nil {
			break
		}
		if !errors.Is(err, git.ErrNotFound) {
			return "", err
		}
	}
	if err := gitserver.Commit(ctx, f.gitDir(fullName), gitserver.Change{
		Branch: c.Branch, Start: start, Message: c.Message, Author: c.Author, Files: c.Files, Remove: c.Remove, At: f.now(),
	}); err != nil {
		return "", err
	}
	if sha, err = f.Bare(fullName).RevParse(ctx, "refs/heads/"+c.Branch); err != nil {
		return "", err
	}
	return sha, f.noticed(ctx, fullName, c.Author)
}

// serveGit speaks git's protocol, and afterwards looks what a push changed.
func (f *Fake) serveGit(w http.ResponseWriter, r *http.Request) {
	request, ok := gitserver.Parse(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	fullName := request.Repository
	f.mu.Lock()
	repository, err := f.repo(fullName)
	fail := err == nil && every(f.faults.GitFailEvery, &f.nth.git)
	login := ""
	if err == nil && request.Push {
		login = f.pusher(repository, r)
	}
	f.mu.Unlock()
	switch {
	case err != nil:
		http.Error(w, "Repository not found.", http.StatusNotFound)
		return
	case fail:
		http.Error(w, "Service unavailable.", http.StatusServiceUnavailable)
		return
	case request.Push && login == "":
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "You may not push here.", http.StatusUnauthorized)
		return
	}
	gitserver.Serve(w, r, request, f.gitDir(fullName), login)
	if !request.Changes() {
		return
	}
	// The client may be gone, but its push is there. If it is not gone, its
	// answer ends when we return, and by then the push was noticed.
	if err := f.notice(context.WithoutCancel(r.Context()), fullName, login); err != nil {
		f.config.Log.ErrorContext(r.Context(), "push not noticed", "repository", fullName, "error", err)
	}
}

// pusher says who pushes, or "" if nobody may. The caller holds mu.
func (f *Fake) pusher(r *repo, req *http.Request) string {
	user, password, ok := req.BasicAuth()
	if !ok {
		if f.config.OpenPush {
			return r.Owner
		}
		return ""
	}
	if t, ok := f.world.Tokens[password]; ok && f.now().Before(t.Expires) {
		if i := f.installation(r); i != nil && i.ID == t.Installation {
			return f.bot().Login
		}
		return ""
	}
	if login, ok := f.config.Tokens[password]; ok {
		user = login
	} else if !f.config.OpenPush {
		return ""
	}
	if canWrite(r.permission(user)) {
		return user
	}
	return ""
}
