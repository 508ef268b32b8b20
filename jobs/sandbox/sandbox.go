// Package sandbox runs commands that strangers wrote: the actions of a
// package config, and rpm, which executes what a spec file says.
//
// A command sees a read-only system, an empty home, a /tmp of its own and the
// directories it was given; no other process, no network unless allowed, no
// secret of the host. It has limits on time, memory, processes, output and
// the size of files, and none of its processes outlives it. bubblewrap does
// the work; where it cannot, commands are refused unless the operator said
// otherwise.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrNoSandbox is in the chain of the error of Run where no sandbox works and
// running without one was not allowed.
var ErrNoSandbox = errors.New("commands of users are not run without a sandbox")

// NoSandboxError says why there is no sandbox, and what would give one.
type NoSandboxError struct {
	Reason string
}

func (e *NoSandboxError) Error() string { return ErrNoSandbox.Error() + ": " + e.Reason }

// Unwrap makes the error recognisable as ErrNoSandbox.
func (e *NoSandboxError) Unwrap() error { return ErrNoSandbox }

// Kind is how commands are kept apart from the host.
type Kind string

const (
	// None: user namespaces, bubblewrap or util-linux are missing.
	None Kind = "none"
	// Bubblewrap: namespaces and limits.
	Bubblewrap Kind = "bubblewrap"
	// Unconfined: limits and a clean environment only, because the operator
	// allowed it.
	Unconfined Kind = "unconfined"
	// Trusted: the environment of this process, because all of the machine is
	// thrown away afterwards.
	Trusted Kind = "trusted"
)

// Default limits, for each that a command does not set.
const (
	DefaultTime      = 10 * time.Minute
	DefaultMemory    = 2 << 30
	DefaultOutput    = 8 << 20
	DefaultProcesses = 1024
	DefaultFileSize  = 2 << 30
)

// Sizes of /tmp and /dev/shm, which take memory that Limits.Memory does not
// count.
const (
	scratch      = 512 << 20
	sharedMemory = 64 << 20
)

// Sandbox runs commands. The zero value uses the bubblewrap of the search
// path. It must not be copied after its first use.
type Sandbox struct {
	// Bwrap is the path of bubblewrap's program; empty means to look for bwrap.
	Bwrap string
	// ReadOnly are paths of the host which all commands may read, besides the
	// system itself.
	ReadOnly []string
	// AllowUnsandboxed runs commands with limits and a clean environment only
	// where there is no sandbox. They can then read and change whatever the
	// user of this process can.
	AllowUnsandboxed bool
	// Trusted runs commands as this process itself would, with limits on time
	// and output alone. It is for machines that are thrown away afterwards.
	Trusted bool

	mu       sync.Mutex // guards what follows
	kind     Kind
	reason   string
	detected time.Time
}

// Limits of one command with all of its children. Zero means the default.
type Limits struct {
	Time      time.Duration // from start to end
	Memory    int64         // bytes that all processes together may use
	Output    int64         // bytes kept of standard output and error together
	Processes int           // at once, threads included
	FileSize  int64         // bytes of each file written
}

// Command is a program to run. No shell is involved.
type Command struct {
	Args []string
	Dir  string // absolute, in or below one of the writable or read-only paths

	// Env holds NAME=value pairs besides PATH, HOME, USER, LANG and TMPDIR,
	// which it may replace.
	Env []string

	// Writable and ReadOnly are absolute paths of the host that the command
	// sees under the same names. Directories in Writable must be for this
	// purpose alone: they are given to the user that the command runs as. None
	// of the paths may be inside of a writable one.
	Writable []string
	ReadOnly []string

	// Home is a writable directory of the host that becomes the command's home
	// and outlives it. Empty means one that is thrown away. In a trusted
	// environment the home is that of this process.
	Home string

	Network bool // with the host's network, its loopback included
	Limits  Limits

	// Output gets what the command prints, as it comes, up to the limit. Nil
	// means that nobody listens. Its errors are ignored.
	Output io.Writer
}

// Result is how a command ended.
type Result struct {
	ExitCode    int // 128 + the signal's number if one ended it
	TimedOut    bool
	OutOfMemory bool // all processes together passed the limit
	Stdout      []byte
	Stderr      []byte
	Output      []byte // standard output and error as they came
	Dropped     int64  // bytes printed beyond the limit
	Duration    time.Duration
}

// Passed reports whether the command did its work.
func (r *Result) Passed() bool { return r.ExitCode == 0 && !r.TimedOut && !r.OutOfMemory }

// Explain says in a few words how the command ended.
func (r *Result) Explain() string {
	switch {
	case r.TimedOut:
		return fmt.Sprintf("ended after its time limit of %s", r.Duration.Round(time.Second))
	case r.OutOfMemory:
		return "ended because it used more memory than allowed"
	case r.ExitCode > 128 && r.ExitCode < 128+65:
		return fmt.Sprintf("ended by signal %d", r.ExitCode-128)
	}
	return fmt.Sprintf("exit status %d", r.ExitCode)
}

// Run runs c to its end. A command that fails, or is ended for passing its
// limits, is a Result; an error means that it could not be run or that ctx
// ended first.
func (s *Sandbox) Run(ctx context.Context, c Command) (*Result, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c.Limits = c.Limits.withDefaults()
	switch kind, reason := s.Detect(ctx); kind {
	case Bubblewrap:
		return s.runConfined(ctx, c)
	case Unconfined, Trusted:
		return s.runOpen(ctx, c, kind)
	default:
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, &NoSandboxError{Reason: reason}
	}
}

func (c *Command) check() error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return errors.New("running a command: there is none")
	}
	for _, text := range append(append([]string{}, c.Args...), c.Env...) {
		if strings.ContainsRune(text, 0) {
			return errors.New("running a command: a NUL byte in its arguments or environment")
		}
	}
	for _, path := range c.paths() {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
			return fmt.Errorf("running a command: %q is not a clean absolute path below the root", path)
		}
	}
	// What a command can replace must not decide what is mounted.
	for _, path := range c.paths() {
		for _, outer := range c.writable() {
			if strings.HasPrefix(path, outer+"/") {
				return fmt.Errorf("running a command: %q is inside of %q, which is writable", path, outer)
			}
		}
	}
	if !filepath.IsAbs(c.Dir) {
		return fmt.Errorf("running a command: the directory %q is not absolute", c.Dir)
	}
	return nil
}

func (c *Command) writable() []string {
	paths := slices.Clone(c.Writable)
	if c.Home != "" {
		paths = append(paths, c.Home)
	}
	return paths
}

// paths are all that c shares with the host.
func (c *Command) paths() []string { return append(c.writable(), c.ReadOnly...) }

func (l Limits) withDefaults() Limits {
	if l.Time <= 0 {
		l.Time = DefaultTime
	}
	if l.Memory <= 0 {
		l.Memory = DefaultMemory
	}
	if l.Output <= 0 {
		l.Output = DefaultOutput
	}
	if l.Processes <= 0 {
		l.Processes = DefaultProcesses
	}
	if l.FileSize <= 0 {
		l.FileSize = DefaultFileSize
	}
	return l
}
