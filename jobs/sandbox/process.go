package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// drain is how long the output of a command that has ended may stay open, if a
// child escaped that end.
const drain = 2 * time.Second

// errTime is the cause of a context that a command's own limit ended.
var errTime = errors.New("time limit")

// start runs argv, which is c with what confines it around it, and waits.
func start(ctx context.Context, c Command, argv, env []string, files []*os.File) (*Result, error) {
	limited, cancel := context.WithTimeoutCause(ctx, c.Limits.Time, errTime)
	defer cancel()
	cmd := exec.CommandContext(limited, argv[0], argv[1:]...)
	cmd.Env = env
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	out := &output{room: c.Limits.Output, listener: c.Output}
	heard, err := out.attach(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}

	// bubblewrap ends its children with the thread that started it, so this
	// thread has to stay until then.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	begin := time.Now()
	if err := cmd.Start(); err != nil {
		heard(0)
		return nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	var greedy atomic.Bool
	watched := make(chan struct{})
	go func() { // ends with limited; waited for below
		defer close(watched)
		if watchMemory(limited, cmd.Process.Pid, c.Limits.Memory) {
			greedy.Store(true)
			// Whatever goes wrong here, the time limit is next.
			_ = killGroup(cmd.Process.Pid)
		}
	}()
	err = cmd.Wait()
	// Children that are left have lost their leader. Usually there are none,
	// which is the only error possible.
	_ = killGroup(cmd.Process.Pid)
	cause := context.Cause(limited)
	cancel()
	<-watched
	heard(drain)

	r := &Result{TimedOut: cause == errTime, OutOfMemory: greedy.Load(), Duration: time.Since(begin)}
	out.finish(r)
	if cause != nil && !r.TimedOut {
		return nil, fmt.Errorf("running %s: %w", c.Args[0], cause)
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited && !r.TimedOut {
		return nil, fmt.Errorf("running %s: %w", argv[0], err)
	}
	r.ExitCode = exitCode(cmd.ProcessState)
	return r, nil
}

func exitCode(p *os.ProcessState) int {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.ExitCode()
}

func killGroup(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// runOpen runs c without namespaces.
func (s *Sandbox) runOpen(ctx context.Context, c Command, kind Kind) (*Result, error) {
	home := c.Home
	if home == "" && kind == Unconfined {
		dir, err := os.MkdirTemp("", "millrace-home-")
		if err != nil {
			return nil, fmt.Errorf("making a home for a command: %w", err)
		}
		defer RemoveAll(dir)
		home = dir
	}
	var argv, env []string
	if kind == Trusted {
		env = os.Environ()
		c.Limits.Memory = math.MaxInt64
	} else {
		prlimit, err := exec.LookPath("prlimit")
		if err != nil {
			return nil, &NoSandboxError{Reason: "limits need prlimit of util-linux, which is not installed"}
		}
		env = baseEnv(home)
		argv = limitArgs(prlimit, c.Limits)
	}
	env = setEnv(env, c.Env...)
	env = setEnv(env, "PWD="+c.Dir)
	return startIn(ctx, c, append(argv, c.Args...), env)
}

// startIn is start for commands that are not given their directory by
// bubblewrap. The program is looked for in env's PATH, as execvp does.
func startIn(ctx context.Context, c Command, argv, env []string) (*Result, error) {
	wrapped := append([]string{"/usr/bin/env", "-C", c.Dir, "--"}, argv...)
	return start(ctx, c, wrapped, env, nil)
}

// baseEnv is the whole environment of a command that asks for no more.
func baseEnv(home string) []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + home,
		"USER=builder",
		"LOGNAME=builder",
		"LANG=C.UTF-8",
		"TMPDIR=/tmp",
		"TERM=dumb",
		"SHELL=/bin/sh",
	}
}

// setEnv returns env with pairs added; later ones replace earlier ones of the
// same name.
func setEnv(env []string, pairs ...string) []string {
	env = slices.Clone(env)
	for _, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		env = slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		env = append(env, pair)
	}
	return env
}

// limitArgs is the beginning of a command line that sets l for what follows.
// A limit that this process has itself cannot be raised.
func limitArgs(prlimit string, l Limits) []string {
	seconds := int64(l.Time/time.Second) + 1
	return []string{
		prlimit,
		flag("nproc", rlimitProcesses, int64(l.Processes)),
		// This counts what is set aside and never used too, as stacks of
		// threads. What is used is watched by watchMemory.
		flag("data", syscall.RLIMIT_DATA, 2*l.Memory),
		flag("fsize", syscall.RLIMIT_FSIZE, l.FileSize),
		// Only what runs on all processors until the end comes near this.
		flag("cpu", syscall.RLIMIT_CPU, seconds*int64(runtime.NumCPU())),
		"--core=0",
		"--",
	}
}

// rlimitProcesses is RLIMIT_NPROC of Linux, which package syscall lacks.
const rlimitProcesses = 6

func flag(name string, resource int, limit int64) string {
	var own syscall.Rlimit
	if err := syscall.Getrlimit(resource, &own); err == nil && own.Max < uint64(limit) {
		limit = int64(own.Max)
	}
	return fmt.Sprintf("--%s=%d", name, limit)
}
