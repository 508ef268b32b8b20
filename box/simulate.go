package box

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/models/specfile"
)

// Where builds are not real, Copr in the box reads the spec file of the commit
// that it is asked to build: name and version are those of the spec file, a
// pull request that cannot be merged has no source package, and %build or %check
// fails where it has a line that is nothing but "false" or "exit 1", or
// "%{?fc44:... exit 1}" for one release only.

// subject is what a build is about.
type subject struct {
	repo   string // full name
	pull   int    // 0 if it is not about a pull request
	rev    string
	pack   string // name of the package; may be empty
	target string // branch that a pull request is merged into; may be empty
}

var (
	flagPull    = regexp.MustCompile(`--pr-id[ =]'?([0-9]{1,9})`)
	flagRef     = regexp.MustCompile(`--ref[ =]'?([0-9A-Za-z][0-9A-Za-z._/-]{0,200})`)
	flagPackage = regexp.MustCompile(`--package[ =]'?([0-9A-Za-z][0-9A-Za-z._+-]{0,100})`)
	flagTarget  = regexp.MustCompile(`--target-branch[ =]'?([0-9A-Za-z][0-9A-Za-z._/-]{0,200})`)
	inProject   = regexp.MustCompile(`-([0-9]{1,9})(?:-[\w.-]*)?$`)
	repoPath    = regexp.MustCompile(`^/([\w.-]+/[\w.-]+?)(?:\.git)?/?$`)
)

func submatch(re *regexp.Regexp, text string) string {
	if m := re.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// subject finds out what a build is about, from the script that makes its
// sources or, failing that, from what Copr was told of the project.
func (b *Box) subject(build *coprfake.Build) (subject, bool) {
	script := build.Source.Data["script"]
	s := subject{rev: submatch(flagRef, script), pack: submatch(flagPackage, script), target: submatch(flagTarget, script)}
	s.pull, _ = strconv.Atoi(submatch(flagPull, script)) // 0 if there is none
	for word := range strings.FieldsSeq(script) {
		address := strings.Trim(word, `'"`)
		if u, err := url.Parse(address); err == nil && strings.HasPrefix(address, b.access.URL+"/") {
			if name := submatch(repoPath, u.Path); name != "" {
				if r, err := b.repository(name); err == nil {
					s.repo = r.FullName()
				}
			}
		}
	}
	if s.repo == "" {
		_, name, _ := strings.Cut(build.ForgeProject, "/")
		r, err := b.repository(name)
		if err != nil {
			return s, false
		}
		s.repo = r.FullName()
		s.pull, _ = strconv.Atoi(submatch(inProject, build.Project))
	}
	if s.pull == 0 {
		s.rev = cmp.Or(s.rev, "HEAD")
		return s, true
	}
	p, err := b.Forge.Pull(s.repo, s.pull)
	if err != nil {
		return s, false
	}
	s.rev, s.target = cmp.Or(s.rev, p.HeadSHA), cmp.Or(s.target, p.BaseBranch)
	return s, true
}

// simulate is a coprfake.Builder.
func (b *Box) simulate(ctx context.Context, t coprfake.Task) (coprfake.Outcome, error) {
	pace := coprfake.Pace{Source: b.options.Pace.SRPM, Build: b.options.Pace.Chroot}
	run := coprfake.Simulated(pace)
	s, known := b.subject(&t.Build)
	if !known {
		return run(ctx, t)
	}
	spec, err := b.spec(ctx, s)
	if err != nil {
		return coprfake.Outcome{}, err
	}
	file, err := specfile.Parse(spec)
	if err != nil {
		return coprfake.Outcome{}, err
	}
	t.Build.Source.Data = maps.Clone(t.Build.Source.Data)
	if t.Build.Source.Data == nil {
		t.Build.Source.Data = make(map[string]string)
	}
	if name := file.Name(); specfile.IsExpanded(name) && name != "" && t.Chroot == copr.SourceChroot && t.Build.Upload == "" {
		t.Build.Source.Data["pkg"] = fmt.Sprintf("%s-%s-1.src.rpm", name, cmp.Or(file.Version(), "0"))
	}
	problem, said := "", ""
	if t.Chroot == copr.SourceChroot {
		said, problem = b.unmergeable(ctx, s)
	} else {
		said, problem = breaks(file, t.Chroot)
	}
	if problem == "" {
		return run(ctx, t)
	}
	log := &untilStage{to: t.Log, mark: "+ make"}
	if t.Chroot == copr.SourceChroot {
		log.mark = "Preparing sources"
	}
	t.Log = log
	outcome, err := run(ctx, t)
	if err != nil {
		return outcome, err
	}
	outcome.Failed, outcome.Packages = true, nil
	_, err = fmt.Fprintf(log.to, "%s\n%s\n", said, problem)
	return outcome, err
}

// paced lets a real build take as long as people need to see it move.
func (b *Box) paced(build coprfake.Builder) coprfake.Builder {
	return func(ctx context.Context, t coprfake.Task) (coprfake.Outcome, error) {
		wait := b.options.Pace.Chroot
		if t.Chroot == copr.SourceChroot {
			wait = b.options.Pace.SRPM
		}
		h := fnv.New32a()
		fmt.Fprint(h, t.Build.ID, t.Chroot)
		wait += wait / 2 * time.Duration(h.Sum32()%100) / 100
		if _, err := fmt.Fprintln(t.Log, "INFO: preparing a machine"); err != nil {
			return coprfake.Outcome{}, err
		}
		if !sleep(ctx, time.Until(t.Started.Add(wait))) {
			return coprfake.Outcome{}, ctx.Err()
		}
		return build(ctx, t)
	}
}

// untilStage passes lines on until one begins with mark.
type untilStage struct {
	to   io.Writer
	mark string
	over bool
}

func (u *untilStage) Write(p []byte) (int, error) {
	if u.over = u.over || bytes.HasPrefix(p, []byte(u.mark)); u.over {
		return len(p), nil
	}
	return u.to.Write(p)
}

// spec is the spec file that a build is made of.
func (b *Box) spec(ctx context.Context, s subject) ([]byte, error) {
	bare := b.bare(s.repo)
	entries, err := bare.LsTree(ctx, s.rev, "", true)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.repo, err)
	}
	found := ""
	for _, e := range entries {
		if !strings.HasSuffix(e.Path, ".spec") {
			continue
		}
		if found == "" || path.Base(e.Path) == s.pack+".spec" {
			found = e.Path
		}
	}
	if found == "" {
		return nil, fmt.Errorf("there is no spec file in %s at %.12s", s.repo, s.rev)
	}
	return bare.ShowFile(ctx, s.rev, found, maxText)
}

// unmergeable says why a pull request cannot be merged, if so.
func (b *Box) unmergeable(ctx context.Context, s subject) (said, problem string) {
	if s.pull == 0 {
		return "", ""
	}
	conflicts, err := b.bare(s.repo).Conflicts(ctx, "refs/heads/"+s.target, s.rev)
	if err != nil || len(conflicts) == 0 {
		return "", ""
	}
	return "CONFLICT (content): Merge conflict in " + strings.Join(conflicts, ", "),
		fmt.Sprintf("Merging pull request %d into %s failed; fix conflicts and push again.", s.pull, s.target)
}

var echoed = regexp.MustCompile(`echo "((?:[^"\\]|\\.)*)"`)

// breaks says how the build fails in a chroot, if it does.
func breaks(file *specfile.File, chroot string) (said, problem string) {
	only := dist(chroot)
	for _, section := range file.Sections() {
		stage := section.Name
		if !slices.Contains([]string{"build", "install", "check"}, stage) {
			continue
		}
		for line := range strings.Lines(file.SectionText(section)) {
			line = strings.TrimSpace(line)
			if macro, ok := strings.CutPrefix(line, "%{?"); ok && strings.HasSuffix(macro, "}") {
				name, body, _ := strings.Cut(strings.TrimSuffix(macro, "}"), ":")
				if name != only {
					continue
				}
				line = strings.TrimSpace(body)
			}
			if line != "false" && line != "exit 1" && !strings.HasSuffix(line, "; exit 1") && !strings.HasSuffix(line, "; false") {
				continue
			}
			return cmp.Or(submatch(echoed, line), "+ "+line),
				fmt.Sprintf("error: Bad exit status from /var/tmp/rpm-tmp.%s (%%%[1]s)\n\nRPM build errors:\n"+
					"    Bad exit status from /var/tmp/rpm-tmp.%[1]s (%%%[1]s)\nERROR: Exception(%s)", stage, chroot)
		}
	}
	return "", ""
}

// dist is the macro that is set in the chroots of a release: fc44, el9.
func dist(chroot string) string {
	parts := strings.Split(chroot, "-")
	if len(parts) < 3 {
		return ""
	}
	number := parts[len(parts)-2]
	switch {
	case number == "rawhide":
		return "fc45"
	case parts[0] == "fedora":
		return "fc" + number
	}
	return "el" + number
}
