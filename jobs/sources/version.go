package sources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"millrace/models"
	"millrace/models/rpm"
	"millrace/models/specfile"
)

// findVersion asks the action, then the tags, then the spec file.
func (p *preparation) findVersion(ctx context.Context) error {
	version, err := p.upstreamVersion(ctx)
	if err != nil {
		return err
	}
	p.version = rpm.SanitizeVersion(version)
	if p.version == "" {
		return userError("The version is empty.")
	}
	p.log.printf("Version %s\n", p.version)
	return nil
}

func (p *preparation) upstreamVersion(ctx context.Context) (string, error) {
	if p.overrides("get-current-version") {
		outputs, err := p.runAction(ctx, "get-current-version", p.baseEnv())
		if err != nil {
			return "", err
		}
		if len(outputs) == 0 || strings.TrimSpace(outputs[len(outputs)-1]) == "" {
			return "", userError("The action get-current-version did not print a version.")
		}
		return strings.TrimSpace(outputs[len(outputs)-1]), nil
	}
	if p.pkg.Settings.UpstreamRef != nil {
		return p.specVersion(ctx)
	}
	tag, err := p.latestTag(ctx)
	if err != nil {
		return "", err
	}
	if tag != "" {
		version, err := rpm.VersionFromTag(p.pkg.Settings.UpstreamTagTemplate, tag)
		if err != nil {
			return "", &UserError{Message: "The tag " + tag + " gives no version:", Err: err}
		}
		p.log.printf("The latest tag is %s\n", tag)
		return version, nil
	}
	p.log.printf("There is no tag: the version is that of the spec file\n")
	return p.specVersion(ctx)
}

// latestTag is the newest tag that counts, or "".
func (p *preparation) latestTag(ctx context.Context) (string, error) {
	if p.tagDone {
		return p.tag, nil
	}
	s := &p.pkg.Settings
	include, err := tagPattern("upstream_tag_include", s.UpstreamTagInclude)
	if err != nil {
		return "", err
	}
	exclude, err := tagPattern("upstream_tag_exclude", s.UpstreamTagExclude)
	if err != nil {
		return "", err
	}
	merged := ""
	if p.req.MergedRef != "" {
		found, err := p.repo.Find(ctx, p.req.MergedRef)
		if err != nil {
			return "", p.gitError(err)
		}
		merged = found.SHA
	}
	names, err := p.repo.TagsByDate(ctx, merged)
	if err != nil {
		return "", p.gitError(err)
	}
	p.tagDone = true
	for _, name := range names {
		if (include == nil || include.MatchString(name)) && (exclude == nil || !exclude.MatchString(name)) {
			p.tag = name
			break
		}
	}
	return p.tag, nil
}

func tagPattern(key, pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	re, err := models.CompilePrefix(pattern)
	if err != nil {
		return nil, &UserError{Message: fmt.Sprintf("%s is not a usable regular expression:", key), Err: err}
	}
	return re, nil
}

// specVersion is the Version tag, expanded by rpm if it has to be.
func (p *preparation) specVersion(ctx context.Context) (string, error) {
	if v := p.spec.Version(); v != "" && specfile.IsExpanded(v) {
		return v, nil
	}
	return p.askRPM(ctx, "%{version}")
}

// specRelease is the Release tag without dist, expanded by rpm if it has to be.
func (p *preparation) specRelease(ctx context.Context) (string, error) {
	if p.spec.HasAutorelease() {
		return "1", nil // outside of dist-git there is nothing to count
	}
	release := p.spec.BaseRelease()
	if specfile.IsExpanded(rpm.OriginalNumber(release)) {
		return release, nil
	}
	return p.askRPM(ctx, "%{release}")
}

// askRPM lets rpm read the spec file, for what only rpm can tell.
func (p *preparation) askRPM(ctx context.Context, format string) (string, error) {
	out, err := p.rpmspec(ctx, "-q", "--srpm", "--qf", format+`\n`)
	if err != nil {
		return "", err
	}
	value, _, _ := strings.Cut(out, "\n")
	if value == "" || value == "(none)" || !specfile.IsExpanded(value) {
		return "", userError("rpm cannot tell %s of %s.", strings.Trim(format, "%{}"), p.specPath)
	}
	return value, nil
}

// gitHash is what is checked out.
func (p *preparation) gitHash(ctx context.Context) (string, error) {
	sha, err := p.repo.RevParse(ctx, "HEAD")
	if err != nil {
		return "", p.gitError(err)
	}
	return sha, nil
}

// snapshot names the moment that is being built.
func (p *preparation) snapshot(ctx context.Context) (id, branch string, err error) {
	branch, err = p.branch(ctx)
	if err != nil {
		return "", "", err
	}
	describe, err := p.repo.Describe(ctx, describeAll)
	if err != nil {
		describe = "" // a repository without tags
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return "", "", ctxErr
	}
	id = rpm.Snapshot{Time: p.now(), Branch: branch, Describe: describe}.ID()
	return id, rpm.SanitizeVersion(branch), nil
}

var errNoRPM = errors.New("rpmspec is not installed here")
