// Package coprfake is a small Copr: version 3 of its API over HTTP, results
// with logs that grow, bus messages, and builds that are simulated or real. It
// keeps everything in a directory and goes on where it was when it is opened
// again; what should have ended meanwhile then has. It can be told to
// misbehave.
package coprfake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"millrace/clients/copr"
)

// User may log in to the API.
type User struct {
	Name   string
	Login  string
	Token  string
	Groups []string // without "@"
	Admin  bool     // of the instance
}

// Options say what kind of Copr a Fake is.
type Options struct {
	Dir     string // keeps state and results; empty means a temporary one that Close removes
	BaseURL string // in answers; empty means where the request was sent to
	Users   []User
	Chroots []string // that it can build for; nil means DefaultChroots
	FirstID int64    // of builds; 0 means 9000001
	Topic   string   // prefix of topics; empty means "org.fedoraproject.prod"

	// Publish sends a message to the bus. It is called from many goroutines.
	Publish func(topic string, body []byte)

	Builder Builder // nil means Simulated(Pace{})
	// Queue is how long each part of a build is pending or starting, Import how
	// long an SRPM is importing.
	Queue, Import time.Duration
	Workers       int // that build at once; 0 means any number

	// Fails decides that a part of a build fails, before it is started; nil
	// means never. The chroot may be copr.SourceChroot.
	Fails func(b Build, chroot string) bool

	Log *slog.Logger // nil discards
}

// DefaultChroots are what a Fake can build for if it is not told.
func DefaultChroots() []string {
	var chroots []string
	for _, release := range []string{"centos-stream-10", "epel-9", "epel-10", "fedora-42", "fedora-43", "fedora-44", "fedora-rawhide"} {
		for _, arch := range []string{"aarch64", "x86_64"} {
			chroots = append(chroots, release+"-"+arch)
		}
	}
	return chroots
}

// Fake is a small Copr, and an http.Handler for its API ("/api_3/") and its
// results ("/results/").
type Fake struct {
	options   Options
	log       *slog.Logger
	temporary bool
	root      *os.Root // of Options.Dir
	mux       *http.ServeMux
	workers   chan struct{} // nil if there is no limit

	ctx     context.Context // of all builds; ends in Close
	stop    context.CancelFunc
	working sync.WaitGroup

	mu         sync.Mutex
	chroots    []string
	projects   map[string]*Project // by "owner/name"
	builds     map[int64]*Build
	cancels    map[int64]context.CancelFunc
	lastID     int64
	faults     Faults
	faultCalls int // that have gone wrong by them
	closed     bool
}

// New opens a Fake and carries on with the builds in its directory.
func New(o Options) (*Fake, error) {
	temporary := o.Dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "copr-")
		if err != nil {
			return nil, fmt.Errorf("making a directory for copr: %w", err)
		}
		o.Dir = dir
	}
	if o.Chroots == nil {
		o.Chroots = DefaultChroots()
	}
	if o.Builder == nil {
		o.Builder = Simulated(Pace{})
	}
	o.FirstID = cmp.Or(o.FirstID, 9000001)
	o.Topic = cmp.Or(o.Topic, "org.fedoraproject.prod")
	f := &Fake{options: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), temporary: temporary, chroots: slices.Clone(o.Chroots),
		projects: make(map[string]*Project), builds: make(map[int64]*Build), cancels: make(map[int64]context.CancelFunc), lastID: o.FirstID - 1}
	if o.Workers > 0 {
		f.workers = make(chan struct{}, o.Workers)
	}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("opening copr in %s: %w", o.Dir, err)
	}
	f.mux = f.routes()
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(f.builds)) {
		if b := f.builds[id]; !b.Deleted && !copr.Finished(b.State()) {
			f.begin(id)
		}
	}
	return f, nil
}

// Close stops the builds, as if the process had been killed: unfinished ones go
// on when the directory is opened again.
func (f *Fake) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.stop()
	f.working.Wait()
	err := f.root.Close()
	if f.temporary {
		err = errors.Join(err, os.RemoveAll(f.options.Dir))
	}
	return err
}

// SetChroots changes what the instance can build for, as when a release comes
// to its end.
func (f *Fake) SetChroots(chroots []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chroots = slices.Clone(chroots)
}

// Projects returns copies of all projects, by owner and name.
func (f *Fake) Projects() []Project {
	f.mu.Lock()
	defer f.mu.Unlock()
	projects := make([]Project, 0, len(f.projects))
	for _, key := range slices.Sorted(maps.Keys(f.projects)) {
		projects = append(projects, f.projects[key].clone())
	}
	return projects
}

// Builds returns copies of all builds that are not deleted, newest first.
func (f *Fake) Builds() []Build {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest(func(*Build) bool { return true })
}

// newest returns copies of the builds for which keep is true, newest first.
// The lock is held.
func (f *Fake) newest(keep func(*Build) bool) []Build {
	builds := make([]Build, 0, len(f.builds))
	for _, b := range f.builds {
		if !b.Deleted && keep(b) {
			builds = append(builds, b.clone())
		}
	}
	slices.SortFunc(builds, func(a, b Build) int { return cmp.Compare(b.ID, a.ID) })
	return builds
}

// Build returns a copy of a build.
func (f *Fake) Build(id int64) (Build, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.builds[id]
	if !ok || b.Deleted {
		return Build{}, false
	}
	return b.clone(), true
}

// Submissions counts the builds that were submitted with an idempotency key,
// deleted ones included: more than one means that a submission was repeated.
func (f *Fake) Submissions(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, b := range f.builds {
		if copr.HasKey(b.Source, key) {
			n++
		}
	}
	return n
}

// Keys counts the submissions of each key; those by address are not known to
// have one.
func (f *Fake) Keys() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := make(map[string]int)
	for _, b := range f.builds {
		if key := copr.KeyOf(b.Source); key != "" {
			keys[key]++
		}
	}
	return keys
}

func (f *Fake) path(elements ...string) string {
	return filepath.Join(append([]string{f.options.Dir}, elements...)...)
}

// open makes the directories and reads the state in them.
func (f *Fake) open() error {
	for _, dir := range []string{"builds", "projects", "results", "uploads"} {
		if err := os.MkdirAll(f.path(dir), 0o755); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(f.options.Dir)
	if err != nil {
		return err
	}
	f.root = root
	err = readAll(root.FS(), "projects", func(p *Project) { f.projects[p.Owner+"/"+p.Name] = p })
	if err != nil {
		return err
	}
	return readAll(root.FS(), "builds", func(b *Build) {
		f.builds[b.ID] = b
		f.lastID = max(f.lastID, b.ID)
	})
}
