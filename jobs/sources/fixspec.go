package sources

import (
	"context"
	"errors"
	"strings"

	"millrace/clients/git"
	"millrace/models/rpm"
	"millrace/models/specfile"
)

// maxChangelog bounds the commits of an entry. Behind so many nobody reads.
const maxChangelog = 1000

// identity is how the build calls itself.
type identity struct {
	commit   string // 8 characters
	snapshot string
	branch   string // fit for a release
	version  string // for the spec file
	release  string // for the spec file, without dist
}

// fixSpec brings the spec file in line with what is being built.
func (p *preparation) fixSpec(ctx context.Context) error {
	if p.pkg.Settings.PreserveSpec {
		p.log.printf("The spec file stays as it is, because of preserve_spec\n")
		return nil
	}
	if p.pkg.Settings.UpstreamRef != nil {
		return p.fixSourceGit(ctx)
	}
	id, env, err := p.identify(ctx)
	if err != nil {
		return err
	}
	if p.overrides("fix-spec-file") {
		if _, err := p.runAction(ctx, "fix-spec-file", p.baseEnv().with(env)); err != nil {
			return err
		}
		return p.rereadSpec()
	}
	p.log.step("Updating %s to %s-%s", p.specPath, id.version, id.release)
	if err := p.setSource(); err != nil {
		return err
	}
	if err := p.spec.SetVersionLiteral(id.version); err != nil {
		return specRefused("Version", err)
	}
	if p.updatesRelease() {
		if err := p.setRelease(id.release); err != nil {
			return err
		}
	}
	if err := p.addEntry(ctx, id); err != nil {
		return err
	}
	if err := p.writeSpec(); err != nil {
		return err
	}
	return p.rereadSpec()
}

// identify computes version and release, and the variables of fix-spec-file.
func (p *preparation) identify(ctx context.Context) (identity, variables, error) {
	sha, err := p.gitHash(ctx)
	if err != nil {
		return identity{}, nil, err
	}
	id := identity{commit: sha[:8]}
	id.snapshot, id.branch, err = p.snapshot(ctx)
	if err != nil {
		return identity{}, nil, err
	}
	original, err := p.specRelease(ctx)
	if err != nil {
		return identity{}, nil, err
	}
	env := variables{
		"PACKIT_PROJECT_VERSION":    p.version,
		"PACKIT_PROJECT_COMMIT":     id.commit,
		"PACKIT_PROJECT_ARCHIVE":    p.archive,
		"PACKIT_PROJECT_BRANCH":     id.branch,
		"PACKIT_PROJECT_SNAPSHOTID": id.snapshot,
		"PACKIT_RPMSPEC_VERSION":    p.version,
	}
	rules := rpm.ReleaseRules{Original: original, Suffix: p.releaseSuffix(), Snapshot: id.snapshot, Env: env}
	id.release, err = rules.Release()
	if err != nil {
		return identity{}, nil, &UserError{Message: "The release cannot be made:", Err: err}
	}
	id.version = p.version
	if suffix := p.pkg.Settings.VersionSuffix; suffix != nil && *suffix != "" {
		id.version, err = rpm.SuffixedVersion(p.version, *suffix, env)
		if err != nil {
			return identity{}, nil, &UserError{Message: "The version cannot be made:", Err: err}
		}
	}
	env["PACKIT_RPMSPEC_VERSION"] = id.version
	env["PACKIT_RPMSPEC_RELEASE"] = id.release
	return id, env, nil
}

func (p *preparation) releaseSuffix() string {
	suffix := p.req.ReleaseSuffix
	if suffix == nil {
		suffix = p.pkg.Settings.ReleaseSuffix
	}
	if suffix == nil {
		return ""
	}
	return *suffix
}

func (p *preparation) updatesRelease() bool {
	if p.req.UpdateRelease != nil {
		return *p.req.UpdateRelease
	}
	return p.pkg.Settings.UpdateRelease
}

// setSource makes the spec file take the archive, and enter its directory.
func (p *preparation) setSource() error {
	id := p.pkg.Settings.SpecSourceID
	number, ok := specfile.SourceNumber(id)
	if !ok {
		return userError("spec_source_id %q is not the name of a source, such as Source0.", id)
	}
	err := p.spec.SetSource(number, p.archive)
	if errors.Is(err, specfile.ErrNoTag) {
		return userError("The spec file doesn't have sources set via %s nor Source.", id)
	}
	if err != nil {
		return specRefused(id, err)
	}
	changed, err := p.spec.SetPrepDirectory(p.archiveRoot)
	if err != nil {
		return specRefused("the directory of %setup", err)
	}
	if !changed {
		p.log.printf("%%prep has no %%setup or %%autosetup with an option -n to change\n")
	}
	return nil
}

// setRelease writes the release, followed by dist once.
func (p *preparation) setRelease(release string) error {
	const dist = "%{?dist}"
	release = strings.TrimSuffix(release, dist)
	if _, has, _ := specfile.SplitRelease(p.spec.RawRelease()); has == "" {
		release += dist
	}
	if err := p.spec.SetRelease(release); err != nil {
		return specRefused("Release", err)
	}
	return nil
}

func specRefused(what string, err error) error {
	if errors.Is(err, specfile.ErrNoTag) {
		return userError("The spec file has no tag %s to change. It may come from an included file or a macro: "+
			"use the action fix-spec-file or preserve_spec.", what)
	}
	return &UserError{Message: what + " of the spec file cannot be set:", Err: err}
}

// addEntry adds a changelog entry, if there is anything to say.
func (p *preparation) addEntry(ctx context.Context, id identity) error {
	lines, err := p.entryLines(ctx, id)
	if err != nil || len(lines) == 0 {
		return err
	}
	return p.addEntryLines(lines)
}

func (p *preparation) addEntryLines(lines []string) error {
	author := p.Identity
	if author.Name == "" {
		author = git.Identity{Name: "Millrace", Email: "noreply@localhost"}
	}
	err := p.spec.AddChangelogEntry(specfile.ChangelogEntry{
		Author: author.Name + " <" + author.Email + ">", Time: p.now(), Lines: lines,
	})
	if err != nil {
		return specRefused("The changelog", err)
	}
	return nil
}

func (p *preparation) entryLines(ctx context.Context, id identity) ([]string, error) {
	if p.overrides("changelog-entry") {
		return p.actionEntry(ctx)
	}
	if !p.updatesRelease() {
		return nil, nil
	}
	tag, err := p.latestTag(ctx)
	if err != nil {
		return nil, err
	}
	text := ""
	if tag != "" {
		text, err = p.repo.Log(ctx, git.LogOptions{
			Range: git.Range{From: "refs/tags/" + tag}, Format: "- %s (%an)", NoMerges: true, Max: maxChangelog,
		})
		if err != nil {
			return nil, p.gitError(err)
		}
	}
	if strings.TrimSpace(text) == "" {
		text = "- Development snapshot (" + id.commit + ")"
	}
	return strings.Split(strings.TrimRight(text, "\n"), "\n"), nil
}

// actionEntry is the entry that the package's action writes.
func (p *preparation) actionEntry(ctx context.Context) ([]string, error) {
	tag, err := p.latestTag(ctx)
	if err != nil {
		return nil, err
	}
	outputs, err := p.runAction(ctx, "changelog-entry", p.baseEnv().with(variables{
		"PACKIT_PROJECT_VERSION":          p.version,
		"PACKIT_RESOLVED_BUGS":            strings.Join(p.req.ResolvedBugs, " "),
		"PACKIT_PROJECT_UPSTREAM_TAG":     tag,
		"PACKIT_PROJECT_PREVIOUS_VERSION": p.previous,
	}))
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, output := range outputs {
		for line := range strings.SplitSeq(strings.TrimRight(output, "\n"), "\n") {
			lines = append(lines, strings.TrimRight(line, " \t\r"))
		}
	}
	if strings.TrimSpace(strings.Join(lines, "")) == "" {
		return nil, nil
	}
	return lines, nil
}
