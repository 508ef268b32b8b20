package fakeforge

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
)

// maxCommits is how many commits of a push or a pull request are looked at.
const maxCommits = 500

// CatchUp tells of what was pushed just before the last process died, and makes
// the forks whole that it left empty. Call it once the listeners are there.
func (f *Forge) CatchUp(ctx context.Context) error {
	for _, r := range f.Repos() {
		if r.Parent == "" {
			continue
		}
		if refs, err := f.refs(ctx, r.Path); err != nil {
			return err
		} else if len(refs) == 0 {
			if err := f.fill(ctx, r.Parent, r.Path); err != nil {
				return err
			}
		}
	}
	f.pushing.Lock()
	defer f.pushing.Unlock()
	for _, r := range f.Repos() {
		if err := f.noticed(ctx, r.Path, r.Access.Owner, 0); err != nil {
			return err
		}
	}
	return nil
}

// refs are the branches and tags of a repository.
func (f *Forge) refs(ctx context.Context, path string) (map[string]string, error) {
	all := make(map[string]string)
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		refs, err := f.Bare(path).Refs(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			all[ref.Name] = ref.SHA
		}
	}
	return all, nil
}

// noticed compares the refs of a repository with those known before and tells
// the world of the difference. pull is the request that was merged so, or 0.
// The caller holds pushing, but not mu.
func (f *Forge) noticed(ctx context.Context, path, login string, pull int) error {
	now, err := f.refs(ctx, path)
	if err != nil {
		return err
	}
	f.mu.Lock()
	r, err := f.repo(path)
	if err != nil {
		f.mu.Unlock()
		return err
	}
	var pushes []*Push
	for ref, sha := range now {
		if before := cmp.Or(r.Refs[ref], gitserver.ZeroSHA); before != sha {
			pushes = append(pushes, &Push{Ref: ref, Before: before, After: sha, Pull: pull})
		}
	}
	for ref, sha := range r.Refs {
		if _, ok := now[ref]; !ok {
			pushes = append(pushes, &Push{Ref: ref, Before: sha, After: gitserver.ZeroSHA, Pull: pull})
		}
	}
	r.Refs = now
	err = f.save(r)
	described := r.clone()
	f.mu.Unlock()
	if err != nil {
		return err
	}
	slices.SortFunc(pushes, func(a, b *Push) int { return strings.Compare(a.Ref, b.Ref) })
	for _, p := range pushes {
		f.describe(ctx, path, p)
		f.tell(Event{Kind: Pushed, Actor: login, Repo: described, Push: p})
		if err := f.pushed(ctx, path, login, p); err != nil {
			return err
		}
	}
	return nil
}

// describe finds out what is new in a push. What cannot be found out stays
// empty, as it does at real forges.
func (f *Forge) describe(ctx context.Context, path string, p *Push) {
	if p.After == gitserver.ZeroSHA {
		return
	}
	bare := f.Bare(path)
	span := git.Range{From: p.Before, To: p.After}
	if p.Before == gitserver.ZeroSHA {
		span.From = ""
	} else if ancestor, err := bare.IsAncestor(ctx, p.Before, p.After); err == nil && !ancestor {
		p.Forced = true
	}
	commits, err := bare.Commits(ctx, span, maxCommits)
	if err != nil || len(commits) == 0 {
		return
	}
	p.Commits, p.First = len(commits), commits[len(commits)-1].SHA
	for _, c := range commits {
		if !slices.Contains(p.Authors, c.Author.Name) {
			p.Authors = append(p.Authors, c.Author.Name)
		}
	}
	from := p.Before
	if span.From == "" {
		if from, err = bare.RevParse(ctx, p.First+"^"); err != nil {
			return
		}
	}
	changes, err := bare.Changes(ctx, from, p.After)
	if err != nil {
		return
	}
	p.Files = make(map[string]string)
	for _, c := range changes {
		p.Files[c.Path] = c.Status
	}
}

// pushed does to pull requests what follows from a push. The caller holds
// pushing.
func (f *Forge) pushed(ctx context.Context, path, login string, p *Push) error {
	branch, isBranch := strings.CutPrefix(p.Ref, "refs/heads/")
	if !isBranch || p.After == gitserver.ZeroSHA {
		return nil
	}
	type affected struct {
		base   string
		number int
		head   bool
	}
	var all []affected
	f.mu.Lock()
	for _, r := range f.repos {
		for _, pull := range r.Pulls {
			switch {
			case pull.State != Open:
			case pull.HeadRepo == path && pull.HeadBranch == branch:
				all = append(all, affected{r.Path, pull.Number, true})
			case r.Path == path && pull.Branch == branch && pull.Number != p.Pull:
				all = append(all, affected{r.Path, pull.Number, false})
			}
		}
	}
	f.mu.Unlock()
	slices.SortFunc(all, func(a, b affected) int { return strings.Compare(a.base, b.base)*1000 + a.number - b.number })
	for _, a := range all {
		var err error
		if a.head {
			err = f.refresh(ctx, a.base, a.number)
		} else {
			err = f.mergedByPush(ctx, a.base, a.number, login, p.After)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
