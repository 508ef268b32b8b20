package coprfake

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"millrace/clients/copr"
)

// Pace is how long simulated work takes. Each chroot takes up to half as long
// again, one more than the other.
type Pace struct {
	Source, Build time.Duration
}

// Simulated returns a builder that does no work, but takes its time, writes
// plausible logs as it goes, and succeeds. What it was told to have started in
// the past is as far as it would be by now.
func Simulated(p Pace) Builder {
	return func(ctx context.Context, t Task) (Outcome, error) {
		name, version := t.Build.Package, t.Build.Version
		o := Outcome{}
		took := p.Build
		lines := buildLines
		if t.Chroot == copr.SourceChroot {
			name, version = describe(t.Build)
			o.Package, o.Version = name, version
			took, lines = p.Source, sourceLines
		}
		took += time.Duration(float64(took) * share(t.Build.ID, t.Chroot) / 2)
		words := strings.NewReplacer("{name}", name, "{version}", version, "{chroot}", t.Chroot, "{arch}", arch(t.Chroot),
			"{owner}", t.Build.Owner, "{project}", t.Build.Project, "{id}", fmt.Sprint(t.Build.ID))
		for i, line := range lines {
			if !sleepUntil(ctx, t.Started.Add(took*time.Duration(i)/time.Duration(len(lines)))) {
				return Outcome{}, ctx.Err()
			}
			if _, err := fmt.Fprintln(t.Log, words.Replace(line)); err != nil {
				return Outcome{}, err
			}
		}
		o.Ended = t.Started.Add(took)
		if !sleepUntil(ctx, o.Ended) {
			return Outcome{}, ctx.Err()
		}
		if t.Chroot != copr.SourceChroot {
			o.Packages = simulatedPackages(t.Build, t.Chroot)
		}
		return o, nil
	}
}

// share is a number from 0 to 1, always the same for a part.
func share(id int64, chroot string) float64 {
	h := fnv.New32a()
	fmt.Fprint(h, id, chroot)
	return float64(h.Sum32()%1000) / 1000
}

func arch(chroot string) string { return chroot[strings.LastIndex(chroot, "-")+1:] }

func simulatedPackages(b Build, chroot string) []copr.Package {
	version, release, _ := strings.Cut(b.Version, "-")
	release += dist(chroot)
	return []copr.Package{
		{Name: b.Package, Version: version, Release: release, Arch: "src"},
		{Name: b.Package, Version: version, Release: release, Arch: "noarch"},
	}
}

var (
	srpmParts = regexp.MustCompile(`^(.+)-([^-]+)-([^-]+?)(?:\.(?:fc|el)\d+)?\.(?:no)?src\.rpm$`)
	address   = regexp.MustCompile(`https?://[^\s"'<>]+`)
	unsafe    = regexp.MustCompile(`[^\w.+-]+`)
)

// describe guesses the package of a build that nobody really makes: from the
// name of its SRPM, or from the repository that its script clones.
func describe(b Build) (name, version string) {
	if b.Upload != "" {
		if h, err := readRPM(b.Upload); err == nil {
			return h.Name, h.Version + "-" + h.Release
		}
	}
	for _, text := range []string{b.Source.Data["pkg"], b.Source.Data["url"]} {
		if m := srpmParts.FindStringSubmatch(path.Base(text)); m != nil {
			return m[1], m[2] + "-" + m[3]
		}
	}
	for _, text := range address.FindAllString(b.Source.Data["script"], -1) {
		u, err := url.Parse(strings.TrimRight(text, ".,;)"))
		if err != nil {
			continue
		}
		name := strings.Trim(unsafe.ReplaceAllString(strings.TrimSuffix(path.Base(u.Path), ".git"), "-"), "-.")
		if name != "" {
			return name, "1.0-1"
		}
	}
	return b.Project, "1.0-1"
}

var sourceLines = []string{
	"Running (timeout=18000): copr-rpmbuild --verbose --drop-resultdir --srpm --task-url /backend/get-srpm-build-task/{id}",
	"INFO: Build root is ready.",
	"Start: installing the script's dependencies",
	"Finish: installing the script's dependencies",
	"+ cd /workdir",
	"+ /script",
	"Cloning into '{name}'...",
	"Preparing sources of {name} {version}",
	"Start: rpmbuild -bs",
	"Wrote: /builddir/build/SRPMS/{name}-{version}.src.rpm",
	"Finish: rpmbuild -bs",
	"Output: ['{name}-{version}.src.rpm', '{name}.spec']",
}

var buildLines = []string{
	"Running (timeout=18000): copr-rpmbuild --verbose --drop-resultdir --task-url /backend/get-build-task/{id}-{chroot} --chroot {chroot}",
	"INFO: mock.py version 6.1 starting...",
	"INFO: Start(/var/lib/copr-rpmbuild/{name}-{version}.src.rpm)  Config({chroot})",
	"Start: chroot init",
	"INFO: calling preinit hooks",
	"Start: installing minimal buildroot with dnf5",
	"Complete!",
	"Finish: installing minimal buildroot with dnf5",
	"Finish: chroot init",
	"Start: build phase for {name}-{version}.src.rpm",
	"Start: build setup for {name}-{version}.src.rpm",
	"Building target platforms: {arch}",
	"Building for target {arch}",
	"Finish: build setup for {name}-{version}.src.rpm",
	"Start: rpmbuild {name}-{version}.src.rpm",
	"Executing(%prep): /bin/sh -e /var/tmp/rpm-tmp.prep",
	"+ cd {name}",
	"+ exit 0",
	"Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.build",
	"+ make -O -j2 V=1 VERBOSE=1",
	"+ exit 0",
	"Executing(%install): /bin/sh -e /var/tmp/rpm-tmp.install",
	"+ exit 0",
	"Executing(%check): /bin/sh -e /var/tmp/rpm-tmp.check",
	"+ make check",
	"+ exit 0",
	"Processing files: {name}-{version}.noarch",
	"Checking for unpackaged file(s): /usr/lib/rpm/check-files",
	"Wrote: /builddir/build/RPMS/{name}-{version}.noarch.rpm",
	"Finish: rpmbuild {name}-{version}.src.rpm",
	"Finish: build phase for {name}-{version}.src.rpm",
	"INFO: Done(/var/lib/copr-rpmbuild/{name}-{version}.src.rpm) Config({chroot})",
	"INFO: Results and/or logs in: /var/lib/copr-rpmbuild/results",
	"Finish: run",
}
