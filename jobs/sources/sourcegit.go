package sources

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"millrace/models/rpm"
	"millrace/models/specfile"
)

// In a source-git repository the commits after upstream_ref are what a
// distribution changes. They become patches; archive and version stay those
// of the spec file.

// makeSourceGit writes the patches and names them in the spec file.
func (p *preparation) makeSourceGit(ctx context.Context) error {
	if p.overrides("create-patches") {
		if _, err := p.runAction(ctx, "create-patches", p.baseEnv()); err != nil {
			return err
		}
		return p.rereadSpec()
	}
	if err := p.addPatches(ctx, patchPlace{p.tree, p.specDir(), nil}, p.spec); err != nil {
		return err
	}
	if err := p.writeSpec(); err != nil {
		return err
	}
	return p.rereadSpec()
}

// upstreamBase is the commit that upstream_ref names. A pattern stands for the
// newest tag that it matches, or, after "branches/", for the branch with the
// highest version in its name.
func (p *preparation) upstreamBase(ctx context.Context) (string, error) {
	ref := *p.pkg.Settings.UpstreamRef
	if strings.ContainsAny(ref, "[?*") {
		var err error
		if ref, err = p.matchRef(ctx, ref); err != nil {
			return "", err
		}
	}
	found, err := p.repo.Find(ctx, ref)
	if err != nil {
		return "", &UserError{Message: fmt.Sprintf("upstream_ref %q is not in the repository:", ref), Err: p.gitError(err)}
	}
	return found.SHA, nil
}

func (p *preparation) matchRef(ctx context.Context, pattern string) (string, error) {
	glob, isBranch := strings.CutPrefix(pattern, "branches/")
	var names []string
	if isBranch {
		refs, err := p.repo.Refs(ctx, remoteBranches)
		if err != nil {
			return "", p.gitError(err)
		}
		for _, r := range refs {
			names = append(names, strings.TrimPrefix(r.Name, remoteBranches))
		}
		slices.SortFunc(names, func(a, b string) int { return rpm.Vercmp(b, a) })
	} else {
		var err error
		if names, err = p.repo.TagsByDate(ctx, "HEAD"); err != nil {
			return "", p.gitError(err)
		}
	}
	for _, name := range names {
		if ok, err := path.Match(flat(glob), flat(name)); err != nil {
			return "", userError("upstream_ref %q is not a pattern.", pattern)
		} else if ok {
			return name, nil
		}
	}
	return "", userError("Nothing in the repository matches upstream_ref %q.", pattern)
}

// flat lets a star match slashes, as it does for git.
func flat(name string) string { return strings.ReplaceAll(name, "/", "\x01") }

// fixSourceGit gives the spec file a release and a changelog entry of its own.
func (p *preparation) fixSourceGit(ctx context.Context) error {
	if !p.updatesRelease() {
		return nil
	}
	sha, err := p.gitHash(ctx)
	if err != nil {
		return err
	}
	old := p.spec.Release()
	if p.spec.HasAutorelease() || !specfile.IsExpanded(old) {
		if old, err = p.specRelease(ctx); err != nil {
			return err
		}
	}
	release := old + "." + p.releaseSuffix()
	if p.releaseSuffix() == "" {
		if n, err := strconv.Atoi(old); err == nil {
			old = strconv.Itoa(n + 1)
		}
		release = old + ".g" + sha[:8]
	}
	if err := p.setRelease(release); err != nil {
		return err
	}
	if err := p.addEntryLines([]string{"- Downstream changes (" + sha[:8] + ")"}); err != nil {
		return err
	}
	if err := p.writeSpec(); err != nil {
		return err
	}
	return p.rereadSpec()
}
