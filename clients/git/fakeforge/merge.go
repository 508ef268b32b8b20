package fakeforge

import (
	"context"
	"fmt"
	"strings"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
)

// MergePull merges a pull request, by moving its branch forward where that is
// possible. ErrConflict says that it cannot be merged.
func (f *Forge) MergePull(ctx context.Context, path string, number int, actor string) (*Pull, error) {
	f.pushing.Lock()
	defer f.pushing.Unlock()
	p, err := f.Pull(path, number)
	if err != nil {
		return nil, err
	}
	if p.State != Open || p.Head == "" {
		return nil, fmt.Errorf("pull request %d has nothing to merge: %w", number, ErrState)
	}
	base, err := f.Bare(path).RevParse(ctx, "refs/heads/"+p.Branch)
	if err != nil {
		return nil, err
	}
	merged, err := f.merge(ctx, path, p, base, actor)
	if err != nil {
		return nil, err
	}
	if _, err := gitserver.Run(ctx, f.gitDir(path), nil, "update-ref", "refs/heads/"+p.Branch, merged, base); err != nil {
		return nil, err
	}
	p, err = f.change(path, number, Closed, actor, func(r *repo, p *Pull) error {
		p.Merge = merged
		return f.end(p, Merged, actor)
	})
	if err != nil {
		return nil, err
	}
	return p, f.noticed(ctx, path, actor, number)
}

// merge returns a commit that has the branch and the head of p in it.
func (f *Forge) merge(ctx context.Context, path string, p *Pull, base, actor string) (string, error) {
	if p.Base == base {
		return p.Head, nil
	}
	if ahead, err := f.Bare(path).IsAncestor(ctx, base, p.Head); err != nil || ahead {
		return p.Head, err
	}
	dir := f.gitDir(path)
	tree, err := gitserver.Run(ctx, dir, nil, "merge-tree", "--write-tree", "--no-messages", base, p.Head)
	if err != nil {
		return "", fmt.Errorf("merging pull request %d: %w", p.Number, ErrConflict)
	}
	when := fmt.Sprintf("%d +0000", f.Now().Unix())
	env := []string{
		"GIT_AUTHOR_NAME=" + actor, "GIT_AUTHOR_EMAIL=" + actor + "@example.org", "GIT_AUTHOR_DATE=" + when,
		"GIT_COMMITTER_NAME=" + actor, "GIT_COMMITTER_EMAIL=" + actor + "@example.org", "GIT_COMMITTER_DATE=" + when,
	}
	message := strings.NewReader(fmt.Sprintf("Merge #%d `%s`\n", p.Number, p.Title))
	return gitserver.RunAs(ctx, dir, env, message, "commit-tree", "-p", base, "-p", p.Head, tree)
}

// Mergeable says, in Pagure's words, how a pull request can be merged now.
func (f *Forge) Mergeable(ctx context.Context, path string, p *Pull) string {
	base, err := f.Bare(path).RevParse(ctx, "refs/heads/"+p.Branch)
	switch {
	case err != nil || p.State != Open:
		return "unknown"
	case p.Head == "":
		return "NO_CHANGE"
	}
	if ahead, err := f.Bare(path).IsAncestor(ctx, base, p.Head); err == nil && ahead {
		return "FFORWARD"
	}
	if _, err := gitserver.Run(ctx, f.gitDir(path), nil, "merge-tree", "--write-tree", "--no-messages", base, p.Head); err != nil {
		return "CONFLICTS"
	}
	return "MERGE"
}

// Commits are those of a pull request, newest first.
func (f *Forge) Commits(ctx context.Context, path string, p *Pull) ([]git.Commit, error) {
	if p.Head == "" {
		return nil, nil
	}
	return f.Bare(path).Commits(ctx, git.Range{From: p.Base, To: p.Head}, maxCommits)
}
