package coprfake

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace/clients/copr"
)

// Project is a project with its settings.
type Project struct {
	ID              int64
	Owner, Name     string
	Creator         string
	Settings        map[string]any // as the API takes and gives them, the rest of this struct apart
	Chroots         []string
	ChrootOptions   map[string]copr.ChrootOptions
	AdditionalRepos []string
	ForgeProjects   []string
	Permissions     map[string]copr.Role
	Created         time.Time
}

func (p *Project) fullName() string { return p.Owner + "/" + p.Name }

func (p *Project) clone() Project {
	c := *p
	c.Settings = maps.Clone(p.Settings)
	c.Chroots = slices.Clone(p.Chroots)
	c.ChrootOptions = maps.Clone(p.ChrootOptions)
	c.AdditionalRepos = slices.Clone(p.AdditionalRepos)
	c.ForgeProjects = slices.Clone(p.ForgeProjects)
	c.Permissions = maps.Clone(p.Permissions)
	return c
}

// Build is a build and all its parts.
type Build struct {
	ID             int64
	Owner, Project string
	Dirname        string
	Submitter      string
	ForgeProject   string
	Source         copr.Source
	Upload         string // path of the uploaded SRPM, if there is one
	Package        string // known when the SRPM is
	Version        string // with the release
	SRPM           string // file name; empty if none is kept
	EnableNet      bool
	Background     bool
	Timeout        time.Duration
	Submitted      time.Time
	Canceled       bool
	Deleted        bool
	SourcePart     Part
	Chroots        []Part
}

// Part is the making of the SRPM, or of the RPMs in one chroot.
type Part struct {
	Chroot    string // copr.SourceChroot for the SRPM
	State     string // in Copr's words
	Queued    time.Time
	Started   time.Time
	Ended     time.Time
	ResultDir string // its last element; empty until it is running
	Announced bool   // its start has been published
	Packages  []copr.Package
}

// State is made of the states of the parts as Copr makes it.
func (b *Build) State() string {
	if b.Canceled {
		return copr.Canceled
	}
	switch s := b.SourcePart.State; s {
	case copr.Starting, copr.Pending, copr.Running, copr.Importing, copr.Failed:
		return s
	}
	for _, state := range []string{copr.Running, copr.Starting, copr.Pending, copr.Waiting, copr.Failed, copr.Succeeded, copr.Skipped, copr.Forked} {
		if slices.ContainsFunc(b.Chroots, func(p Part) bool { return p.State == state }) {
			return state
		}
	}
	return copr.Unknown
}

func (b *Build) part(chroot string) *Part {
	if chroot == copr.SourceChroot {
		return &b.SourcePart
	}
	for i := range b.Chroots {
		if b.Chroots[i].Chroot == chroot {
			return &b.Chroots[i]
		}
	}
	return nil
}

// resultDir is where a part's results are, relative to the Fake's directory.
func (b *Build) resultDir(p *Part) string {
	return path.Join("results", b.Owner, b.Dirname, p.Chroot, p.ResultDir)
}

func (b *Build) clone() Build {
	c := *b
	c.Source.Data = maps.Clone(b.Source.Data)
	c.SourcePart.Packages = slices.Clone(b.SourcePart.Packages)
	c.Chroots = slices.Clone(b.Chroots)
	for i := range c.Chroots {
		c.Chroots[i].Packages = slices.Clone(c.Chroots[i].Packages)
	}
	return c
}

// saveBuild and saveProject write what must outlive the process. They are
// called with the lock held, before anybody is told.
func (f *Fake) saveBuild(b *Build) error {
	return writeFile(f.path("builds", fmt.Sprintf("%08d.json", b.ID)), b)
}

func (f *Fake) saveProject(p *Project) error {
	return writeFile(f.path("projects", projectFile(p.Owner, p.Name)), p)
}

func projectFile(owner, name string) string { return owner + "," + name + ".json" }

func writeFile(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	// The name of a temporary file ends differently, so that readAll passes
	// over what a killed process left.
	t, err := os.CreateTemp(filepath.Dir(name), "*.tmp")
	if err != nil {
		return err
	}
	_, err = t.Write(data)
	if closeErr := t.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(t.Name(), name)
	}
	if err != nil {
		os.Remove(t.Name()) // best effort: the error matters more
	}
	return err
}

func readAll[T any](dir fs.FS, name string, each func(*T)) error {
	entries, err := fs.ReadDir(dir, name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		data, err := fs.ReadFile(dir, path.Join(name, entry.Name()))
		if err != nil {
			return err
		}
		v := new(T)
		if err := json.Unmarshal(data, v); err != nil {
			return fmt.Errorf("reading %s: %w", entry.Name(), err)
		}
		each(v)
	}
	return nil
}
