package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Repo is a work tree with a repository of its own.
//
// Others may write into it between our commands, as the actions of a package
// do. Before each command its administrative files are therefore brought back
// to what they were, or the command fails with ErrTampered. While a command
// runs nobody else may write. What is checked out can contain symbolic links
// to anywhere: open files below Dir with os.Root.
type Repo struct{ objects }

// Dir is the work tree.
func (r *Repo) Dir() string { return r.workTree }

// Init makes an empty repository in dir, which must not exist or be empty.
// remote is written down as origin, without its Authorization, if it has a URL.
func (g *Git) Init(ctx context.Context, dir string, remote Remote) (*Repo, error) {
	if remote.URL != "" {
		if err := g.checkRemote(remote); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("making a work tree: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a work tree: %w", err)
	}
	if found, err := os.ReadDir(dir); err != nil || len(found) > 0 {
		return nil, fmt.Errorf("making a work tree in %s: %w", dir, cmp(err, fs.ErrExist))
	}
	repo := &Repo{objects: objects{git: g, gitDir: filepath.Join(dir, ".git"), workTree: dir}}
	if _, err := g.run(ctx, command{args: []string{"init", "--quiet", "--", dir}}); err != nil {
		return nil, fmt.Errorf("making a work tree in %s: %w", dir, err)
	}
	return repo, os.WriteFile(filepath.Join(repo.gitDir, "config"), repo.config(remote.URL), 0o644)
}

// Open returns the work tree that Init or Clone made in dir before, with the
// same remote.
func (g *Git) Open(dir string, remote Remote) (*Repo, error) {
	if remote.URL != "" {
		if err := g.checkRemote(remote); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening a work tree: %w", err)
	}
	repo := &Repo{objects: objects{git: g, gitDir: filepath.Join(dir, ".git"), workTree: dir}}
	repo.config(remote.URL)
	return repo, repo.seal()
}

// Fetch brings refs from a remote, as Mirror.Fetch with refs does.
func (r *Repo) Fetch(ctx context.Context, remote Remote, refspecs ...string) error {
	if err := r.git.checkRemote(remote); err != nil {
		return err
	}
	args := []string{"fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--", remote.URL}
	for _, ref := range refspecs {
		spec, err := refspec(ref)
		if err != nil {
			return err
		}
		args = append(args, spec)
	}
	if len(refspecs) == 0 {
		args = append(args, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
	}
	_, err := r.run(ctx, command{args: args, remote: &remote, watch: r.gitDir})
	if err != nil {
		return fmt.Errorf("fetching from %s: %w", remote.URL, err)
	}
	return nil
}

// Checkout puts a revision into the work tree, throwing away changes to
// tracked files. HEAD is then detached.
func (r *Repo) Checkout(ctx context.Context, rev string) error {
	if err := CheckRevision(rev); err != nil {
		return err
	}
	return r.checkout(ctx, rev, "--detach", rev)
}

// CheckoutBranch checks out a local branch, which is made or moved to start
// at a revision.
func (r *Repo) CheckoutBranch(ctx context.Context, branch, start string) error {
	if err := cmp(CheckRef(branch), CheckRevision(start)); err != nil {
		return err
	}
	return r.checkout(ctx, branch, "--no-track", "-B", branch, start)
}

func (r *Repo) checkout(ctx context.Context, what string, args ...string) error {
	args = append([]string{"checkout", "--quiet", "--force", "--no-recurse-submodules"}, args...)
	if _, err := r.read(ctx, append(args, "--")...); err != nil {
		return fmt.Errorf("checking out %s: %w", what, err)
	}
	return nil
}

// Branch returns the branch that is checked out, or "" if HEAD is detached.
func (r *Repo) Branch(ctx context.Context) (string, error) {
	out, err := r.read(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	if e, ok := errors.AsType[*Error](err); ok && e.Code == 1 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking for the branch: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Reset brings branch, index and tracked files to a revision.
func (r *Repo) Reset(ctx context.Context, rev string) error {
	if err := CheckRevision(rev); err != nil {
		return err
	}
	if _, err := r.read(ctx, "reset", "--quiet", "--hard", rev, "--"); err != nil {
		return fmt.Errorf("resetting to %s: %w", rev, err)
	}
	return nil
}

// Identity is who writes a commit, and when.
type Identity struct {
	Name, Email string
	When        time.Time // now if zero
}

func (i Identity) environment() ([]string, error) {
	if i.Name == "" || i.Email == "" || strings.ContainsAny(i.Name+i.Email, "<>\n\x00") {
		return nil, bad("identity", i.Name+" <"+i.Email+">")
	}
	when := i.When
	if when.IsZero() {
		when = time.Now()
	}
	date := strconv.FormatInt(when.Unix(), 10) + " +0000"
	return []string{
		"GIT_AUTHOR_NAME=" + i.Name, "GIT_AUTHOR_EMAIL=" + i.Email, "GIT_AUTHOR_DATE=" + date,
		"GIT_COMMITTER_NAME=" + i.Name, "GIT_COMMITTER_EMAIL=" + i.Email, "GIT_COMMITTER_DATE=" + date,
	}, nil
}

// Merge merges a revision into what is checked out, by a merge commit where
// HEAD cannot just move forward. Conflicts are a *ConflictError.
func (r *Repo) Merge(ctx context.Context, rev, message string, by Identity) error {
	if err := CheckRevision(rev); err != nil {
		return err
	}
	identity, err := by.environment()
	if err != nil {
		return err
	}
	_, err = r.run(ctx, command{
		args:     []string{"merge", "--quiet", "--no-edit", "--no-stat", "-m", message, rev},
		identity: identity,
	})
	if err == nil {
		return nil
	}
	files, conflictErr := r.read(ctx, "diff", "--name-only", "--diff-filter=U", "-z")
	var conflict *ConflictError
	if conflictErr == nil && len(files) > 0 {
		conflict = &ConflictError{Files: strings.Split(string(bytes.TrimSuffix(files, []byte{0})), "\x00")}
		slices.Sort(conflict.Files)
	}
	if _, abortErr := r.read(ctx, "reset", "--quiet", "--merge"); abortErr != nil {
		return fmt.Errorf("undoing a failed merge of %s: %w", rev, abortErr)
	}
	if conflict != nil {
		return fmt.Errorf("merging %s: %w", rev, conflict)
	}
	return fmt.Errorf("merging %s: %w", rev, err)
}

// Dirty lists what differs from HEAD in the work tree, untracked files
// included.
func (r *Repo) Dirty(ctx context.Context) ([]Change, error) {
	out, err := r.read(ctx, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all")
	if err != nil {
		return nil, fmt.Errorf("looking for changes: %w", err)
	}
	var changes []Change
	for record := range strings.SplitSeq(string(out), "\x00") {
		if len(record) > 3 {
			changes = append(changes, Change{Status: strings.TrimSpace(record[:2]), Path: record[3:]})
		}
	}
	return changes, nil
}

// Add puts paths into the next commit, removed ones and ignored ones too; all
// changes without any path. Submodules stay as they are: to look for changes
// in one, git would run what its configuration says.
func (r *Repo) Add(ctx context.Context, paths ...string) error {
	args := []string{"add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul"}
	if len(paths) > 0 {
		args = append(args, "--force")
		if err := r.refuseSubmodules(ctx, paths); err != nil {
			return err
		}
	} else {
		changes, err := r.Dirty(ctx)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if !strings.HasSuffix(c.Path, "/") { // or it is a repository that nobody knows
				paths = append(paths, c.Path)
			}
		}
		if len(paths) == 0 {
			return nil
		}
	}
	if _, err := r.run(ctx, command{args: args, stdin: strings.NewReader(strings.Join(paths, "\x00"))}); err != nil {
		return fmt.Errorf("adding files: %w", err)
	}
	return nil
}

func (r *Repo) refuseSubmodules(ctx context.Context, paths []string) error {
	args := []string{"ls-files", "--stage", "-z", "--"}
	for _, path := range paths {
		if err := CheckPath(path); err != nil {
			return err
		}
		args = append(args, path)
	}
	out, err := r.read(ctx, args...)
	if err != nil {
		return fmt.Errorf("adding files: %w", err)
	}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		if _, path, _ := strings.Cut(entry, "\t"); strings.HasPrefix(entry, "160000 ") {
			return bad("path of a submodule", path)
		}
	}
	return nil
}

// Commit commits what was added and returns the new commit. It is an
// ErrNothingToCommit if nothing was.
func (r *Repo) Commit(ctx context.Context, message string, by Identity) (sha string, err error) {
	identity, err := by.environment()
	if err != nil {
		return "", err
	}
	_, err = r.read(ctx, "diff", "--cached", "--quiet", "--no-ext-diff", "--ignore-submodules=all")
	if err == nil {
		if _, headErr := r.RevParse(ctx, "HEAD"); headErr == nil {
			return "", ErrNothingToCommit
		}
	} else if e, ok := errors.AsType[*Error](err); !ok || e.Code != 1 {
		return "", fmt.Errorf("looking for what to commit: %w", err)
	}
	_, err = r.run(ctx, command{
		args:     []string{"commit", "--quiet", "--no-verify", "--cleanup=whitespace", "--file=-"},
		identity: identity, stdin: strings.NewReader(message),
	})
	if err != nil {
		return "", fmt.Errorf("committing: %w", err)
	}
	return r.RevParse(ctx, "HEAD")
}

// PushOptions say how Push treats what the remote has.
type PushOptions struct {
	Force bool
	// Expect is the commit that the remote's ref must have for a forced push
	// to replace it; forty zeros mean that it must not exist.
	Expect string
}

// Push sends a local revision to a ref of a remote, as refs/heads/f43. It is
// ErrRejected if that would lose commits of the remote, and ErrDenied if the
// remote does not let us.
func (r *Repo) Push(ctx context.Context, remote Remote, rev, ref string, opts PushOptions) error {
	return r.PushAll(ctx, remote, Update{Rev: rev, Ref: ref, PushOptions: opts})
}

// Update is a ref of a remote that shall stand for a local revision.
type Update struct {
	Rev string
	Ref string // as refs/heads/f43
	PushOptions
}

// PushAll sends several revisions to refs of a remote: all of them, or none if
// one cannot be. The errors are those of Push.
func (r *Repo) PushAll(ctx context.Context, remote Remote, updates ...Update) error {
	if err := r.git.checkRemote(remote); err != nil {
		return err
	}
	args := []string{"push", "--quiet", "--no-verify", "--recurse-submodules=no"}
	if len(updates) > 1 {
		args = append(args, "--atomic")
	}
	var specs, refs []string
	for _, u := range updates {
		if err := cmp(CheckRevision(u.Rev), CheckRef(u.Ref)); err != nil {
			return err
		}
		if !strings.HasPrefix(u.Ref, "refs/") {
			return bad("ref to push to", u.Ref)
		}
		sha, err := r.RevParse(ctx, u.Rev)
		if err != nil {
			return err
		}
		spec := sha + ":" + u.Ref
		switch {
		case u.Expect != "" && !IsSHA(u.Expect):
			return bad("expected commit", u.Expect)
		case u.Expect != "":
			expect := u.Expect
			if strings.Trim(expect, "0") == "" {
				expect = "" // git's word for "does not exist"
			}
			args = append(args, "--force-with-lease="+u.Ref+":"+expect)
		case u.Force:
			spec = "+" + spec
		}
		specs, refs = append(specs, spec), append(refs, u.Ref)
	}
	if len(specs) == 0 {
		return nil
	}
	args = append(append(args, "--", remote.URL), specs...)
	if _, err := r.run(ctx, command{args: args, remote: &remote}); err != nil {
		return fmt.Errorf("pushing to %s of %s: %w", strings.Join(refs, ", "), remote.URL, err)
	}
	return nil
}
