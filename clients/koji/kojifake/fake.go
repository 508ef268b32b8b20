// Package kojifake is a small Koji: the hub's XML-RPC with its sessions and
// faults, tasks that go through their states, tags with inheritance, side tags,
// uploads, logs over HTTP, pages of tasks, and bus messages. It keeps
// everything but sessions in a directory and goes on where it was when it is
// opened again. It can be told to misbehave.
package kojifake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"millrace/clients/koji"
)

// User is an account. Others are made when they log in for the first time.
type User struct {
	ID      int64
	Name    string
	Admin   bool
	Blocked bool
}

// Pace is how long things take. The zero value is a Koji that has done
// everything as soon as it is asked.
type Pace struct {
	Queue time.Duration // until a builder takes a task
	SRPM  time.Duration
	Repo  time.Duration // until a buildroot has what a build waits for
	Arch  time.Duration // the build for an architecture
	Tag   time.Duration
}

// Options say what kind of Koji a Fake is.
type Options struct {
	Dir     string // keeps state, logs and uploads; empty means a temporary one that Close removes
	BaseURL string // in messages and on pages; empty means DefaultBaseURL
	Users   []User
	FirstID int64  // of tasks; 0 means 121230001. Builds have ids of their own
	Topic   string // prefix of topics; empty means "org.fedoraproject.prod"

	// Releases are the branches that have tags and targets; nil means DefaultReleases.
	Releases []Release
	// Packages may be built for all releases; nil means that all may.
	Packages []string

	// Publish sends a message to the bus. It is called from many goroutines.
	Publish func(topic string, body []byte)

	// Source looks at the commit that a build is asked for; see FromGit. An
	// error is why the build fails, in words for people. If it is nil, only
	// uploaded source RPMs can be built.
	Source func(ctx context.Context, s Source) (Spec, error)
	// SRPM reads an uploaded source RPM; nil means that its name says all.
	SRPM func(path string) (Spec, error)

	Pace Pace
	// Manual says that nothing goes on by itself, but by Step and Settle.
	Manual bool
	// Fails decides that a task fails when its time has come; nil means never.
	Fails func(t Task) bool

	Log *slog.Logger // nil discards
}

// DefaultBaseURL is used where nobody can be asked for the real one.
const DefaultBaseURL = "http://koji.example"

// Source is what a build is asked for.
type Source struct {
	URL    string // of the repository
	Commit string
	Dist   string // such as ".fc43", for the release
}

// Spec is what a spec file or a source RPM says.
type Spec struct {
	Name, Version, Release string
	Epoch                  int64
	NoArch                 bool // one build does for all architectures
	Changelog              []koji.ChangelogEntry
}

// NVR is the name that a build of it has.
func (s Spec) NVR() string { return s.Name + "-" + s.Version + "-" + s.Release }

// Fake is a small Koji, and an http.Handler: "/kojihub" for programs, "/koji/"
// for people, "/work/" and "/packages/" for files.
type Fake struct {
	options   Options
	log       *slog.Logger
	temporary bool
	root      *os.Root // of Options.Dir
	mux       *http.ServeMux
	methods   map[string]method

	ctx     context.Context // of all work; ends in Close
	stop    context.CancelFunc
	working sync.WaitGroup
	wake    chan struct{}
	stepMu  sync.Mutex // one step at a time; taken before mu

	mu         sync.Mutex
	world      world
	tasks      map[int64]*Task
	builds     map[int64]*Build
	sessions   map[int64]*session
	faults     Faults
	faultCalls int // that have gone wrong by them
	calls      []string
	moment     time.Time      // of the step that is being made; zero between steps
	dirty      map[string]any // what must be written before anybody is told
	messages   []message      // that go out with it
}

// New opens a Fake and carries on with the tasks in its directory.
func New(o Options) (*Fake, error) {
	temporary := o.Dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "koji-")
		if err != nil {
			return nil, fmt.Errorf("making a directory for koji: %w", err)
		}
		o.Dir = dir
	}
	o.BaseURL = cmp.Or(o.BaseURL, DefaultBaseURL)
	o.FirstID = cmp.Or(o.FirstID, 121230001)
	o.Topic = cmp.Or(o.Topic, "org.fedoraproject.prod")
	if o.Releases == nil {
		o.Releases = DefaultReleases()
	}
	f := &Fake{options: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), temporary: temporary, methods: allMethods(),
		wake: make(chan struct{}, 1), tasks: map[int64]*Task{}, builds: map[int64]*Build{}, sessions: map[int64]*session{}, dirty: map[string]any{}}
	f.mux = f.routes()
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("opening koji in %s: %w", o.Dir, err)
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	if !o.Manual {
		f.working.Go(f.run)
	}
	return f, nil
}

// Close stops all work, as if the process had been killed: unfinished tasks go
// on when the directory is opened again.
func (f *Fake) Close() error {
	f.stop()
	f.working.Wait()
	err := f.root.Close()
	if f.temporary {
		err = errors.Join(err, os.RemoveAll(f.options.Dir))
	}
	return err
}

// Negotiate makes the tokens by which a Fake knows a user, for koji.Client.
func Negotiate(user string) func(context.Context, string) ([]byte, error) {
	return func(context.Context, string) ([]byte, error) { return []byte(tokenPrefix + user), nil }
}

// Now is the time of this Koji: that of the machine, and what it was advanced.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now()
}

// now is when what is being done happens: in a step that is made late, as
// after a push of the clock, that is when it was due.
func (f *Fake) now() time.Time {
	if !f.moment.IsZero() {
		return f.moment
	}
	return time.Now().Add(f.world.Advanced).UTC()
}

// Advance lets time pass.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	f.world.Advanced += d
	f.touchWorld()
	f.unlock()
	f.nudge()
}

func (f *Fake) path(elements ...string) string {
	return filepath.Join(append([]string{f.options.Dir}, elements...)...)
}

// unlock gives back mu after what was changed has been written, and then sends
// the messages about it.
func (f *Fake) unlock() {
	for name, v := range f.dirty {
		if err := writeFile(f.path(name), v); err != nil {
			f.log.Error("koji cannot write its state down", "file", name, "error", err)
		}
	}
	clear(f.dirty)
	messages := f.messages
	f.messages = nil
	lose, double := f.faults.LoseMessages, f.faults.DoubleMessages
	f.mu.Unlock()
	if f.options.Publish == nil || lose {
		return
	}
	for _, m := range messages {
		f.options.Publish(m.topic, m.body)
		if double {
			f.options.Publish(m.topic, m.body)
		}
	}
}
