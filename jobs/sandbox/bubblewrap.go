package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// home is where a command without a home of its own has one.
const home = "/tmp/home"

// systemFiles are what programs need of /etc. The rest of it may hold secrets
// that our own user can read.
var systemFiles = []string{
	"/etc/alternatives", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/debian_version",
	"/etc/fedora-release", "/etc/java", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
	"/etc/localtime", "/etc/magic", "/etc/mime.types", "/etc/nsswitch.conf", "/etc/os-release",
	"/etc/perl", "/etc/pki/ca-trust", "/etc/pki/java", "/etc/pki/tls/cert.pem", "/etc/pki/tls/certs",
	"/etc/pki/tls/openssl.cnf", "/etc/protocols", "/etc/python3", "/etc/redhat-release", "/etc/rpm",
	"/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/system-release", "/etc/terminfo",
}

// tools are the programs of the host that build a sandbox.
type tools struct {
	bwrap, setpriv, prlimit string
}

func (s *Sandbox) tools() (tools, error) {
	bwrap := s.Bwrap
	if bwrap == "" {
		bwrap = "bwrap"
	}
	path, err := exec.LookPath(bwrap)
	if err != nil {
		return tools{}, &NoSandboxError{Reason: "bubblewrap is not installed: install the package bubblewrap (" + bwrap + " was not found)"}
	}
	t := tools{bwrap: path}
	for name, field := range map[string]*string{"setpriv": &t.setpriv, "prlimit": &t.prlimit} {
		*field, err = exec.LookPath(name)
		if err != nil {
			return tools{}, &NoSandboxError{Reason: name + " is not installed: install the package util-linux"}
		}
	}
	return t, nil
}

// runConfined runs c in namespaces of its own.
func (s *Sandbox) runConfined(ctx context.Context, c Command) (*Result, error) {
	t, err := s.tools()
	if err != nil {
		return nil, err
	}
	user, err := c.user()
	if err != nil {
		return nil, err
	}
	files, err := s.dataFiles(user)
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	statusRead, statusWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("preparing a sandbox: %w", err)
	}
	defer statusRead.Close()
	files = append(files, statusWrite)

	argv := s.bubblewrapArgs(t, c, user, len(files)+2)
	// Commands can read the environment of their namespace's first process.
	r, err := start(ctx, c, argv, []string{"LC_ALL=C"}, files)
	statusWrite.Close()
	if err != nil {
		return nil, err
	}
	code, ran := exitStatus(statusRead)
	if !ran && !r.TimedOut && !r.OutOfMemory {
		return nil, fmt.Errorf("building a sandbox: bubblewrap ended with status %d: %s", r.ExitCode, lastLine(r.Output))
	}
	if ran {
		r.ExitCode = code
	}
	return r, nil
}

// user is whom c runs as. Its writable directories are given to that user
// unless they already are.
func (c *Command) user() (uint32, error) {
	writable := c.writable()
	if len(writable) == 0 {
		return userFor(""), nil
	}
	user := userFor(writable[0])
	for _, dir := range writable {
		owner, err := ownerOf(dir)
		if err != nil {
			return 0, fmt.Errorf("sharing a directory with a command: %w", err)
		}
		if owner == user {
			continue
		}
		if err := own(dir, user); err != nil {
			return 0, fmt.Errorf("giving %s to the sandbox: %w", dir, err)
		}
	}
	return user, nil
}

// dataFiles are the small files that a command finds in /etc instead of the
// host's. Their descriptors in the child begin at 3.
func (s *Sandbox) dataFiles(user uint32) ([]*os.File, error) {
	var files []*os.File
	for _, text := range []string{
		fmt.Sprintf("root:x:0:0:root:/root:/bin/sh\nbuilder:x:%d:%d:builder:%s:/bin/sh\n", user, user, home),
		fmt.Sprintf("root:x:0:\nbuilder:x:%d:\n", user),
		"127.0.0.1 localhost sandbox\n::1 localhost\n",
	} {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("preparing a sandbox: %w", err)
		}
		files = append(files, r)
		// A pipe holds at least a page, so that nobody has to read yet.
		_, err = w.WriteString(text)
		w.Close()
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("preparing a sandbox: %w", err)
		}
	}
	return files, nil
}

// bubblewrapArgs is the whole command line. statusFD is where bubblewrap tells
// how the command ended; dataFiles begin at descriptor 3.
func (s *Sandbox) bubblewrapArgs(t tools, c Command, user uint32, statusFD int) []string {
	root := os.Geteuid() == 0
	args := []string{t.bwrap,
		"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox",
		"--die-with-parent", "--new-session", "--json-status-fd", strconv.Itoa(statusFD),
	}
	if !c.Network {
		args = append(args, "--unshare-net")
	}
	if root {
		// Root of the host would stay the owner of root's files in a user
		// namespace. So there is none, and another user takes over below.
		args = append(args, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP")
	} else {
		args = append(args, "--unshare-user", "--disable-userns",
			"--uid", strconv.Itoa(int(user)), "--gid", strconv.Itoa(int(user)))
	}
	args = append(args, s.mounts(c)...)
	args = append(args, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", c.Dir, "--clearenv")
	inside := home
	if c.Home != "" {
		inside = c.Home
	}
	for _, pair := range setEnv(baseEnv(inside), append(slices.Clone(c.Env), "PWD="+c.Dir)...) {
		name, value, _ := strings.Cut(pair, "=")
		args = append(args, "--setenv", name, value)
	}
	args = append(args, "--")
	if root {
		id := strconv.Itoa(int(user))
		args = append(args, t.setpriv, "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--")
	}
	args = append(args, limitArgs(t.prlimit, c.Limits)...)
	return append(args, c.Args...)
}

// mounts are the file systems of a sandbox. All directories on the way are
// made here: bubblewrap's own are closed to all but root.
func (s *Sandbox) mounts(c Command) []string {
	var m mountArgs
	m.add("--size", strconv.Itoa(scratch), "--perms", "0755", "--tmpfs", "/")
	for _, dir := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		info, err := os.Lstat(dir)
		switch {
		case err != nil:
		case info.Mode()&os.ModeSymlink != 0:
			if target, err := os.Readlink(dir); err == nil {
				m.add("--symlink", target, dir)
			}
		default:
			m.bind("--ro-bind", dir)
		}
	}
	m.parents("/etc/passwd")
	for i, path := range []string{"/etc/passwd", "/etc/group", "/etc/hosts"} {
		m.add("--perms", "0644", "--ro-bind-data", strconv.Itoa(3+i), path)
	}
	for _, path := range systemFiles {
		m.bind("--ro-bind-try", path)
	}
	if c.Network {
		m.bind("--ro-bind-try", "/etc/resolv.conf")
	}
	m.add("--proc", "/proc", "--dev", "/dev")
	m.add("--size", strconv.Itoa(scratch), "--perms", "1777", "--tmpfs", "/tmp")
	m.add("--size", strconv.Itoa(sharedMemory), "--perms", "1777", "--tmpfs", "/dev/shm")
	m.parents("/var/tmp")
	m.add("--symlink", "../tmp", "/var/tmp")
	if c.Home == "" {
		m.add("--perms", "0777", "--dir", home)
	}
	for _, path := range s.ReadOnly {
		m.bind("--ro-bind", path)
	}
	// A path inside of another has to come after it.
	paths := c.paths()
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		if slices.Contains(c.ReadOnly, path) {
			m.bind("--ro-bind", path)
		} else {
			m.bind("--bind", path)
		}
	}
	return m.args
}

type mountArgs struct {
	args []string
	made map[string]bool
}

func (m *mountArgs) add(args ...string) { m.args = append(m.args, args...) }

func (m *mountArgs) bind(how, path string) {
	m.parents(path)
	m.add(how, path, path)
}

// parents makes the directories above path that do not exist yet.
func (m *mountArgs) parents(path string) {
	dir := filepath.Dir(path)
	if dir == "/" || m.made[dir] {
		return
	}
	m.parents(dir)
	if m.made == nil {
		m.made = map[string]bool{}
	}
	m.made[dir] = true
	for _, mounted := range []string{"/tmp", "/dev", "/usr"} {
		if dir == mounted {
			return
		}
	}
	m.add("--perms", "0755", "--dir", dir)
}

// exitStatus reads what bubblewrap tells: one JSON object a line. It reports
// false if the command was never started.
func exitStatus(f *os.File) (code int, ran bool) {
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var status struct {
			ExitCode *int `json:"exit-code"`
		}
		if json.Unmarshal(lines.Bytes(), &status) == nil && status.ExitCode != nil {
			return *status.ExitCode, true
		}
	}
	return 0, false
}

func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	const most = 300
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// unwrapReason is the text of a NoSandboxError, or err's.
func unwrapReason(err error) string {
	if e, ok := errors.AsType[*NoSandboxError](err); ok {
		return e.Reason
	}
	return err.Error()
}
