package kojifake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"millrace/clients/git"
	"millrace/models/rpm"
	"millrace/models/specfile"
)

// lookTimeout bounds how long it takes to look at a source.
const lookTimeout = 5 * time.Minute

// asked is what a task that makes a source package begins with.
type asked struct {
	source string // as the build was asked for
	dist   string
}

// sourceOf is what the source package of a task is made from. The lock is held.
func (f *Fake) sourceOf(t *Task) asked {
	parent := f.tasks[t.Parent]
	if t.Label != "srpm" || parent == nil {
		return asked{}
	}
	r := parent.request()
	a := asked{source: r.Source}
	if target := f.targetNamed(r.Target); target != nil {
		if tag := f.world.Tags[target.BuildTag]; tag != nil {
			a.dist = tag.Dist
		}
	}
	return a
}

// lookAt finds out what a source package is. An error is for people.
func (f *Fake) lookAt(a asked) (Spec, error) {
	ctx, cancel := context.WithTimeout(f.ctx, lookTimeout)
	defer cancel()
	if !strings.Contains(a.source, "://") {
		return f.lookAtSRPM(a.source)
	}
	address, commit, ok := strings.Cut(a.source, "#")
	address, isGit := strings.CutPrefix(address, "git+")
	address, _, _ = strings.Cut(address, "?") // a directory in it, which we do not know
	if !ok || commit == "" || !isGit {
		return Spec{}, fmt.Errorf("invalid source specification: %s", a.source)
	}
	if f.options.Source == nil {
		return Spec{}, fmt.Errorf("%s is not in the list of allowed SCMs", address)
	}
	return f.options.Source(ctx, Source{URL: address, Commit: commit, Dist: a.dist})
}

func (f *Fake) lookAtSRPM(source string) (Spec, error) {
	file, err := uploadPath(path.Dir(source), path.Base(source))
	if err != nil {
		return Spec{}, errors.New("invalid path of a source package: " + source)
	}
	if info, err := f.root.Stat(file); err != nil || !info.Mode().IsRegular() {
		return Spec{}, fmt.Errorf("there is no %s", source)
	}
	if f.options.SRPM != nil {
		return f.options.SRPM(f.path(filepath.FromSlash(file)))
	}
	name, err := rpm.ParseNEVR(strings.TrimSuffix(path.Base(source), ".src.rpm"))
	if err != nil {
		return Spec{}, fmt.Errorf("%s is not a source package", source)
	}
	return Spec{Name: name.Name, Version: name.Version, Release: name.Release, Epoch: int64(name.Epoch)}, nil
}

const (
	maxSpec    = 1 << 20
	maxHistory = 200 // commits that are looked at for %autorelease
)

// FromGit looks at real repositories: it fetches the commit and reads the one
// spec file in it. work is a directory for clones, which it may remove at any
// time; g is how to reach the repositories.
func FromGit(g *git.Git, work string) func(context.Context, Source) (Spec, error) {
	return func(ctx context.Context, s Source) (Spec, error) {
		dir, err := os.MkdirTemp(work, "source-")
		if err != nil {
			return Spec{}, fmt.Errorf("making a directory: %w", err)
		}
		defer os.RemoveAll(dir)
		if !git.IsSHA(s.Commit) {
			return Spec{}, fmt.Errorf("%q is not the full hash of a commit", s.Commit)
		}
		remote := git.Remote{URL: s.URL}
		repo, err := g.Init(ctx, filepath.Join(dir, "repository"), remote)
		if err == nil {
			err = repo.Fetch(ctx, remote, s.Commit)
		}
		if err != nil {
			return Spec{}, fmt.Errorf("fetching %s at %s: %w", s.URL, s.Commit, err)
		}
		return readSpec(ctx, repo, s)
	}
}

func readSpec(ctx context.Context, repo *git.Repo, s Source) (Spec, error) {
	entries, err := repo.LsTree(ctx, s.Commit, "", false)
	if err != nil {
		return Spec{}, fmt.Errorf("looking into %s: %w", s.URL, err)
	}
	name := ""
	for _, entry := range entries {
		if strings.HasSuffix(entry.Path, ".spec") {
			if name != "" {
				return Spec{}, errors.New("multiple spec files found")
			}
			name = entry.Path
		}
	}
	if name == "" {
		return Spec{}, errors.New("no spec file found")
	}
	file, err := specAt(ctx, repo, s.Commit, name, s.Dist)
	if err != nil {
		return Spec{}, err
	}
	if file.HasAutorelease() {
		n, err := autorelease(ctx, repo, s, name, file.Version())
		if err != nil {
			return Spec{}, err
		}
		file.Define("autorelease", strconv.Itoa(n)+"%{?dist}")
	}
	evr, err := file.EVR()
	if err != nil {
		return Spec{}, fmt.Errorf("reading %s: %w", name, err)
	}
	arch, _ := file.Tag("BuildArch")
	out := Spec{Name: file.Name(), Version: evr.Version, Release: file.Expand(file.RawRelease()), Epoch: int64(evr.Epoch), NoArch: file.Expand(arch.Value) == "noarch"}
	if _, err := rpm.ParseNEVR(out.NVR()); err != nil || out.Name == "" || !specfile.IsExpanded(out.NVR()) {
		return Spec{}, fmt.Errorf("%s does not say what it builds: %s", name, out.NVR())
	}
	return out, nil
}

func specAt(ctx context.Context, repo *git.Repo, commit, name, dist string) (*specfile.File, error) {
	text, err := repo.ShowFile(ctx, commit, name, maxSpec)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	file, err := specfile.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	file.Define("dist", dist)
	return file, nil
}

// autorelease is the number of commits that have had this version: what
// %autorelease stands for in Fedora's branches.
func autorelease(ctx context.Context, repo *git.Repo, s Source, name, version string) (int, error) {
	commits, err := repo.Commits(ctx, git.Range{To: s.Commit}, maxHistory)
	if err != nil {
		return 0, fmt.Errorf("counting commits: %w", err)
	}
	n := 0
	for _, c := range commits {
		file, err := specAt(ctx, repo, c.SHA, name, s.Dist)
		if err != nil || file.Version() != version {
			break // before there was a spec file, or with another version
		}
		n++
	}
	return max(n, 1), nil
}
