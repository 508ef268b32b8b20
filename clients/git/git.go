// Package git runs the git command line on repositories that strangers wrote.
//
// Nothing of the machine's or the user's git configuration is read, no hook,
// filter, credential helper, submodule or pager runs, only HTTP(S) remotes are
// spoken to (local ones, and those over SSH, where the caller says so), and each command is
// bounded in time and in what it may print or download. Names and addresses
// are checked before they reach an argument list.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Git says how git is run. The zero value works.
type Git struct {
	Path      string // of the program; "git" if empty
	AllowFile bool   // remotes may be file:// addresses or absolute paths

	LocalTimeout   time.Duration // of a command that stays on this machine; 2 minutes if zero
	NetworkTimeout time.Duration // of a command that moves a repository; 10 minutes if zero
	MaxOutput      int64         // bytes that a command may print into memory; 32 MiB if zero
	MaxRepository  int64         // bytes that a repository may take on disk; 4 GiB if zero
}

// Remote is a repository somewhere else.
type Remote struct {
	URL string
	// Authorization is the value of the HTTP header of that name, or empty. It
	// is sent to the host of URL only and never stands in an argument list or
	// on disk. See BasicAuth.
	Authorization string
	SSH           *SSH // how to log in, if URL is an address over SSH; see CheckSSH
}

func (g *Git) localTimeout() time.Duration   { return or(g.LocalTimeout, 2*time.Minute) }
func (g *Git) networkTimeout() time.Duration { return or(g.NetworkTimeout, 10*time.Minute) }
func (g *Git) maxOutput() int64              { return or(g.MaxOutput, 32<<20) }
func (g *Git) maxRepository() int64          { return or(g.MaxRepository, 4<<30) }

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// settings hold for every command. They come from the environment, which git
// ranks above each configuration file.
var settings = [][2]string{
	{"core.hooksPath", "/dev/null"},
	{"core.fsmonitor", "false"},
	{"core.askPass", ""},
	{"core.sshCommand", "false"},
	{"core.pager", "cat"},
	{"core.editor", "false"},
	{"core.protectHFS", "true"},
	{"core.protectNTFS", "true"},
	{"core.quotePath", "false"},
	{"core.attributesFile", "/dev/null"},
	{"core.excludesFile", "/dev/null"},
	{"core.logAllRefUpdates", "false"},
	{"credential.helper", ""},
	{"protocol.allow", "never"},
	{"protocol.https.allow", "always"},
	{"protocol.http.allow", "always"},
	{"submodule.recurse", "false"},
	{"fetch.recurseSubmodules", "false"},
	{"filter.lfs.smudge", ""},
	{"filter.lfs.clean", ""},
	{"filter.lfs.process", ""},
	{"filter.lfs.required", "false"},
	{"commit.gpgSign", "false"},
	{"tag.gpgSign", "false"},
	{"gpg.program", "false"},
	{"gpg.ssh.program", "false"},
	{"log.showSignature", "false"},
	{"diff.external", ""},
	{"diff.noprefix", "false"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"advice.detachedHead", "false"},
	{"init.defaultBranch", "main"},
	{"init.templateDir", ""},
	{"user.useConfigOnly", "true"},
	{"http.lowSpeedLimit", "1000"},
	{"http.lowSpeedTime", "60"},
	{"pack.windowMemory", "256m"},
}

// passed on from our own environment: how to reach the network, and nothing else.
var inherited = []string{
	"PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
	"http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY",
}

// command is one call of git.
type command struct {
	args   []string
	remote *Remote // spoken to, or nil

	gitDir, workTree string    // the repository, if the command has one
	local            bool      // may read another repository of this machine
	identity         []string  // GIT_AUTHOR_... of commands that commit
	stdin            io.Reader // nothing if nil
	stdout           io.Writer // if nil, the output is returned
	limit            int64     // bytes of output; the default if zero
	watch            string    // directory that must not outgrow MaxRepository meanwhile
	lock             *os.File  // a lock that the command holds as long as it lives
}

// run carries out a command and returns what it printed. Its error is an
// *Error if git said no.
func (g *Git) run(ctx context.Context, c command) ([]byte, error) {
	timeout := g.localTimeout()
	if c.remote != nil || c.local {
		timeout = g.networkTimeout()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var buffer bytes.Buffer
	out := &limited{w: &buffer, left: or(c.limit, g.maxOutput()), full: func() { stop(ErrTooLarge) }}
	if c.stdout != nil {
		out.w = c.stdout
	}
	said := &tail{size: 8 << 10}

	cmd := exec.CommandContext(ctx, or(g.Path, "git"), c.arguments()...)
	cmd.Env = g.environment(c)
	cmd.Dir = os.TempDir()
	if c.workTree != "" {
		cmd.Dir = c.workTree
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, out, said
	if c.lock != nil {
		cmd.ExtraFiles = []*os.File{c.lock}
	}
	// git starts helpers, which must die with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second

	if c.watch != "" {
		watching := g.watchSize(ctx, c.watch, stop)
		defer watching()
	}
	err := cmd.Run()
	if err == nil && c.watch != "" && treeSize(c.watch) > g.maxRepository() {
		return nil, fmt.Errorf("git %s: %w", c.args[0], ErrTooLarge)
	}
	if err == nil && out.err == nil {
		return buffer.Bytes(), nil
	}
	return buffer.Bytes(), g.explain(ctx, c, cmp(out.err, err), said.String())
}

func cmp(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// explain makes an error of a command that did not end well.
func (g *Git) explain(ctx context.Context, c command, err error, said string) error {
	what := "git " + c.args[0]
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return &Error{Op: what, Said: "took too long", Err: cause, temporary: true}
		}
		return fmt.Errorf("%s: %w", what, cause)
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	return newError(what, exit.ExitCode(), said)
}

func (c command) arguments() []string {
	var args []string
	if c.gitDir != "" {
		args = append(args, "--git-dir="+c.gitDir)
	}
	if c.workTree != "" {
		args = append(args, "--work-tree="+c.workTree)
	}
	return append(args, c.args...)
}

// environment is all that git gets to know of where it runs.
func (g *Git) environment(c command) []string {
	env := []string{
		"HOME=/nonexistent", "XDG_CONFIG_HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=",
		"GIT_EDITOR=false", "GIT_PAGER=cat", "GIT_LFS_SKIP_SMUDGE=1",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_LITERAL_PATHSPECS=1", "GIT_MERGE_AUTOEDIT=no",
	}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	own := settings
	protocols := "https:http"
	if c.local || c.remote != nil && g.AllowFile {
		protocols += ":file"
		own = append(own[:len(own):len(own)], [2]string{"protocol.file.allow", "always"})
	}
	// Unlike protocol.allow this cannot be undone by a repository's configuration.
	if c.remote != nil && c.remote.SSH != nil {
		protocols = "ssh"
		own = append(own[:len(own):len(own)], [2]string{"protocol.ssh.allow", "always"})
		env = append(env, "GIT_SSH_COMMAND="+c.remote.SSH.command(), "GIT_SSH_VARIANT=ssh")
	} else {
		env = append(env, "GIT_SSH_COMMAND=false")
	}
	env = append(env, "GIT_ALLOW_PROTOCOL="+protocols)
	if c.remote != nil && c.remote.Authorization != "" {
		own = append(own[:len(own):len(own)],
			[2]string{"http." + origin(c.remote.URL) + ".extraHeader", "Authorization: " + c.remote.Authorization},
			[2]string{"http.followRedirects", "false"})
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(own)))
	for i, s := range own {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+s[0], "GIT_CONFIG_VALUE_"+n+"="+s[1])
	}
	return append(env, c.identity...)
}

// Ref is a name and the object it stands for.
type Ref struct {
	Name string // as refs/heads/main
	SHA  string
}

// LsRemote asks a remote for its refs that match the patterns (all without
// any), and for the full name of its default branch, empty if it has none.
func (g *Git) LsRemote(ctx context.Context, remote Remote, patterns ...string) (refs []Ref, head string, err error) {
	if err := g.checkRemote(remote); err != nil {
		return nil, "", err
	}
	args := []string{"ls-remote", "--quiet", "--symref", "--", remote.URL}
	for _, p := range patterns {
		if err := checkPattern(p); err != nil {
			return nil, "", err
		}
		args = append(args, p)
	}
	if len(patterns) > 0 {
		args = append(args, "HEAD")
	}
	out, err := g.run(ctx, command{args: args, remote: &remote})
	if err != nil {
		return nil, "", fmt.Errorf("asking %s for its refs: %w", remote.URL, err)
	}
	for line := range strings.Lines(string(out)) {
		left, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch target, symbolic := strings.CutPrefix(left, "ref: "); {
		case !ok:
		case symbolic && name == "HEAD":
			head = target
		case !symbolic && name != "HEAD":
			refs = append(refs, Ref{Name: name, SHA: left})
		}
	}
	return refs, head, nil
}

// limited passes on a number of bytes and then refuses.
type limited struct {
	w    io.Writer
	left int64
	full func()
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		l.err = ErrTooLarge
		l.full()
		return 0, ErrTooLarge
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}

// tail keeps the end of what is written to it.
type tail struct {
	size int
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.size; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(string(t.kept), "�") }
