package githubfake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"millrace/clients/git"
)

// notice looks what changed in a repository behind our back.
func (f *Fake) notice(ctx context.Context, fullName, login string) error {
	f.pushing.Lock()
	defer f.pushing.Unlock()
	return f.noticed(ctx, fullName, login)
}

// update is a ref that changed.
type update struct{ ref, before, after string }

// noticed compares the refs of a repository with those known before and tells
// the world of the difference. The caller holds pushing, but not mu.
func (f *Fake) noticed(ctx context.Context, fullName, login string) error {
	now := make(map[string]string)
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		refs, err := f.Bare(fullName).Refs(ctx, prefix)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			now[ref.Name] = ref.SHA
		}
	}
	f.mu.Lock()
	r, err := f.repo(fullName)
	if err != nil {
		f.mu.Unlock()
		return err
	}
	var updates []update
	for ref, sha := range now {
		if before := cmp.Or(r.Refs[ref], zeroSHA); before != sha {
			updates = append(updates, update{ref, before, sha})
		}
	}
	for ref, sha := range r.Refs {
		if _, ok := now[ref]; !ok {
			updates = append(updates, update{ref, sha, zeroSHA})
		}
	}
	f.mu.Unlock()
	slices.SortFunc(updates, func(a, b update) int { return strings.Compare(a.ref, b.ref) })
	for _, u := range updates {
		if err := f.pushed(ctx, fullName, login, u); err != nil {
			return err
		}
	}
	return nil
}

// pushed records one changed ref and everything that follows from it. The
// caller holds pushing.
func (f *Fake) pushed(ctx context.Context, fullName, login string, u update) error {
	push := f.describePush(ctx, fullName, u)
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return err
	}
	if r.Refs == nil {
		r.Refs = make(map[string]string)
	}
	if u.after == zeroSHA {
		delete(r.Refs, u.ref)
	} else {
		r.Refs[u.ref] = u.after
	}
	f.sendPush(r, login, u, push)
	branch, isBranch := strings.CutPrefix(u.ref, "refs/heads/")
	if !isBranch || u.after == zeroSHA {
		return f.save(r)
	}
	for _, base := range f.repos {
		changed := false
		for _, p := range base.Pulls {
			if p.State != "open" {
				continue
			}
			if equalFold(p.HeadRepo, fullName) && p.HeadBranch == branch && p.HeadSHA != u.after {
				if err := f.synchronize(ctx, base, p, login, u.after); err != nil {
					return err
				}
				changed = true
			}
			if base == r && p.BaseBranch == branch {
				f.basePushed(ctx, r, p, login, u.after)
			}
		}
		if changed && base != r {
			if err := f.save(base); err != nil {
				return err
			}
		}
	}
	return f.save(r)
}

// synchronize gives a pull request a new head. The caller holds mu.
func (f *Fake) synchronize(ctx context.Context, base *repo, p *Pull, login, sha string) error {
	before := p.HeadSHA
	p.HeadSHA, p.Updated = sha, f.now()
	if err := f.bringHead(ctx, base.FullName(), p); err != nil {
		return err
	}
	f.sendPull(base, p, "synchronize", login, object{"before": before, "after": sha})
	return nil
}

// bringHead makes refs/pull/N/head of the base repository what the pull
// request's head is.
func (f *Fake) bringHead(ctx context.Context, base string, p *Pull) error {
	_, err := f.run(ctx, base, nil, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", f.gitDir(p.HeadRepo),
		fmt.Sprintf("+%s:refs/pull/%d/head", p.HeadSHA, p.Number))
	return err
}

// basePushed looks whether a push to the base branch merged a pull request.
// The caller holds mu.
func (f *Fake) basePushed(ctx context.Context, r *repo, p *Pull, login, sha string) {
	p.BaseSHA = sha
	if merged, err := f.Bare(r.FullName()).IsAncestor(ctx, p.HeadSHA, sha); err != nil || !merged {
		return
	}
	p.State, p.Merged, p.MergedBy, p.Closed, p.Updated = "closed", true, login, f.now(), f.now()
	f.sendPull(r, p, "closed", login, nil)
}

// describePush finds out what the payload of a push says about commits.
func (f *Fake) describePush(ctx context.Context, fullName string, u update) pushInfo {
	var info pushInfo
	if u.after == zeroSHA {
		return info
	}
	bare := f.Bare(fullName)
	span := git.Range{From: u.before, To: u.after}
	if u.before == zeroSHA {
		span.From = ""
	} else if ancestor, err := bare.IsAncestor(ctx, u.before, u.after); err == nil && !ancestor {
		info.forced = true
	}
	commits, err := bare.Commits(ctx, span, 20)
	if err != nil || len(commits) == 0 {
		commits, err = bare.Commits(ctx, git.Range{To: u.after}, 1)
	}
	if err != nil {
		return info
	}
	if len(commits) > 0 {
		info.head = &commits[0]
	}
	if u.before != zeroSHA {
		slices.Reverse(commits)
		info.commits = commits
	}
	return info
}
