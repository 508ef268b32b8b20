package sources

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"millrace/clients/git"
)

const remoteBranches = "refs/remotes/origin/"

// checkout fetches the repository and puts the wanted revision, or the merge
// of the pull request, into the work tree.
func (p *preparation) checkout(ctx context.Context) error {
	p.log.step("Fetching %s", p.req.Remote.URL)
	p.home = p.work.abs("home")
	if err := p.work.root.Mkdir("home", 0o755); err != nil {
		return fmt.Errorf("making a home for commands: %w", err)
	}
	mirror, err := p.mirror(ctx)
	if err != nil {
		return p.gitError(err)
	}
	if err := mirror.Fetch(ctx); err != nil {
		return p.gitError(err)
	}
	var extra []string
	if p.req.PR > 0 {
		ref, err := p.pullRef(ctx)
		if err != nil {
			return p.gitError(err)
		}
		if err := mirror.Fetch(ctx, ref); err != nil {
			return p.gitError(err)
		}
		extra = append(extra, ref)
	}
	dir := p.work.abs(repositoryName(p.req.Remote.URL))
	p.repo, err = mirror.Clone(ctx, dir, extra...)
	if err != nil {
		return p.gitError(err)
	}
	// A mirror for this time only has done its work.
	if err := os.RemoveAll(p.work.abs("mirror")); err != nil {
		return fmt.Errorf("removing a mirror: %w", err)
	}
	p.tree, err = openTree(dir)
	if err != nil {
		return fmt.Errorf("opening the work tree: %w", err)
	}
	if err := p.fetchCommit(ctx); err != nil {
		return p.gitError(err)
	}
	if p.req.PR > 0 {
		err = p.checkoutPR(ctx, extra[0])
	} else {
		err = p.checkoutRef(ctx)
	}
	if err != nil {
		return p.gitError(err)
	}
	head, err := p.repo.RevParse(ctx, "HEAD")
	if err != nil {
		return p.gitError(err)
	}
	p.log.printf("HEAD is now at %s\n", head)
	return nil
}

// mirror is a mirror that lives on, or for this time only.
func (p *preparation) mirror(ctx context.Context) (*git.Mirror, error) {
	cache := p.Cache
	if cache == nil {
		cache = &git.Cache{Git: p.Git, Dir: p.work.abs("mirror")}
	}
	return cache.Mirror(ctx, p.req.Remote)
}

// fetchCommit makes sure that the wanted commit is there, also if no branch
// leads to it any more.
func (p *preparation) fetchCommit(ctx context.Context) error {
	if !git.IsSHA(p.req.Ref) {
		return nil
	}
	_, err := p.repo.RevParse(ctx, p.req.Ref)
	if err == nil || !errors.Is(err, git.ErrNotFound) {
		return err
	}
	err = p.repo.Fetch(ctx, p.req.Remote, p.req.Ref)
	if errors.Is(err, git.ErrNotFound) {
		return userError("The commit %s is not in the repository any more.", p.req.Ref)
	}
	return err
}

// pullRef is the ref under which the forge keeps a pull request.
func (p *preparation) pullRef(ctx context.Context) (string, error) {
	if p.req.PRRef != "" {
		return p.req.PRRef, nil
	}
	number := strconv.Itoa(p.req.PR)
	known := []string{"refs/pull/" + number + "/head", "refs/merge-requests/" + number + "/head"}
	refs, _, err := p.Git.LsRemote(ctx, p.req.Remote, known...)
	if err != nil {
		return "", err
	}
	for _, ref := range refs {
		for _, name := range known {
			if ref.Name == name {
				return name, nil
			}
		}
	}
	return "", userError("The repository has no pull request %s.", number)
}

func (p *preparation) checkoutPR(ctx context.Context, ref string) error {
	branch := "pr/" + strconv.Itoa(p.req.PR)
	head := ref
	if git.IsSHA(p.req.Ref) {
		head = p.req.Ref
	}
	if p.req.TargetBranch == "" {
		var err error
		if p.req.TargetBranch, err = p.defaultBranch(ctx); err != nil {
			return err
		}
	}
	if p.req.NoMerge {
		p.log.step("Checking out pull request %d", p.req.PR)
		return p.repo.CheckoutBranch(ctx, branch, head)
	}
	p.log.step("Merging pull request %d into %s", p.req.PR, p.req.TargetBranch)
	if err := p.repo.CheckoutBranch(ctx, branch, remoteBranches+p.req.TargetBranch); err != nil {
		return err
	}
	message := fmt.Sprintf("Merge pull request %d into %s", p.req.PR, p.req.TargetBranch)
	return p.repo.Merge(ctx, head, message, p.Identity)
}

// checkoutRef checks out a branch, or something else with a detached HEAD.
func (p *preparation) checkoutRef(ctx context.Context) error {
	name := p.req.Ref
	if name == "" {
		var err error
		if name, err = p.defaultBranch(ctx); err != nil {
			return err
		}
	}
	p.log.step("Checking out %s", name)
	found, err := p.repo.Find(ctx, name)
	if err != nil {
		return err
	}
	if branch, ok := strings.CutPrefix(found.Name, remoteBranches); ok {
		return p.repo.CheckoutBranch(ctx, branch, found.Name)
	}
	return p.repo.Checkout(ctx, found.SHA)
}

func (p *preparation) defaultBranch(ctx context.Context) (string, error) {
	_, head, err := p.Git.LsRemote(ctx, p.req.Remote, "HEAD")
	if err != nil {
		return "", err
	}
	branch, ok := strings.CutPrefix(head, "refs/heads/")
	if !ok {
		return "", userError("The repository does not say what its default branch is.")
	}
	return branch, nil
}

var nameBytes = regexp.MustCompile(`[^A-Za-z0-9._+-]+`)

// repositoryName is the last part of an address, fit for a directory.
func repositoryName(address string) string {
	name := path.Base(strings.TrimSuffix(strings.TrimRight(filepath.ToSlash(address), "/"), ".git"))
	name = strings.TrimLeft(nameBytes.ReplaceAllString(name, "-"), "-.")
	switch {
	case name == "", name == "home", name == "mirror", name == "dist-git":
		return "upstream"
	case len(name) > 100:
		return name[:100]
	}
	return name
}

// setDirectory finds where the package's actions run.
func (p *preparation) setDirectory() error {
	p.cwd = "."
	if paths := p.pkg.Settings.Paths; len(paths) > 0 {
		p.cwd = path.Clean(strings.TrimPrefix(paths[0], "./"))
	}
	if p.cwd == "." {
		return nil
	}
	if err := git.CheckPath(p.cwd); err != nil {
		return userError("The path %q of the package is not inside of the repository.", p.pkg.Settings.Paths[0])
	}
	if info, err := p.tree.root.Stat(filepath.FromSlash(p.cwd)); err != nil {
		return unreadable(p.cwd, err)
	} else if !info.IsDir() {
		return userError("The path %s of the package is not a directory.", p.cwd)
	}
	return nil
}

// branch is what the snapshot is named after: the branch, or the hash of a
// detached HEAD.
func (p *preparation) branch(ctx context.Context) (string, error) {
	branch, err := p.repo.Branch(ctx)
	if err == nil && branch == "" {
		branch, err = p.repo.RevParse(ctx, "HEAD")
	}
	if err != nil {
		return "", p.gitError(err)
	}
	return branch, nil
}
