package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const helperEnv = "SANDBOX_TEST_HELPER"

func TestMain(m *testing.M) {
	if what := os.Getenv(helperEnv); what != "" {
		os.Exit(helper(what, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// helper is what this binary does inside of sandboxes.
func helper(what string, args []string) int {
	switch what {
	case "connect":
		conn, err := net.DialTimeout(args[0], args[1], time.Second)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		conn.Close()
	}
	return 0
}

// self is a command of this binary as helper, and the directory that has to
// be readable for it.
func self(t *testing.T, args ...string) (argv []string, dir string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{path}, args...), filepath.Dir(path)
}

func working(t *testing.T) *Sandbox {
	t.Helper()
	s := &Sandbox{}
	if kind, reason := s.Detect(t.Context()); kind != Bubblewrap {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no sandbox here: %s", reason)
		}
		t.Skipf("no sandbox here: %s", reason)
	}
	return s
}

func run(t *testing.T, s *Sandbox, c Command) *Result {
	t.Helper()
	if c.Limits.Time == 0 {
		c.Limits.Time = 20 * time.Second
	}
	r, err := s.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCommandDoesItsWork(t *testing.T) {
	t.Parallel()
	s, dir, home := working(t), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ours"), []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	var heard bytes.Buffer
	r := run(t, s, Command{
		Args: []string{"sh", "-c", `cat ours && echo " $GREETING" && echo aside >&2 && echo after > ours && echo kept > ~/kept &&
			cp ours /tmp/x && cat /tmp/x && id -un && exit 3`},
		Dir: dir, Writable: []string{dir}, Home: home,
		Env:    []string{"GREETING=hello  $HOME"},
		Output: &heard,
	})
	want := "before hello  $HOME\nafter\nbuilder\n"
	if string(r.Stdout) != want || r.ExitCode != 3 || r.Passed() || r.Explain() != "exit status 3" {
		t.Errorf("stdout %q, %s, want %q, exit status 3", r.Stdout, r.Explain(), want)
	}
	if !strings.Contains(string(r.Output), "aside\n") || heard.String() != string(r.Output) {
		t.Errorf("output %q, heard %q", r.Output, heard.String())
	}
	if b, err := os.ReadFile(filepath.Join(dir, "ours")); err != nil || string(b) != "after\n" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	r = run(t, s, Command{Args: []string{"cat", filepath.Join(home, "kept")}, Dir: dir, Writable: []string{dir}, Home: home})
	if string(r.Stdout) != "kept\n" {
		t.Errorf("the home was not kept: %s", r.Output)
	}
}

func TestNothingOutsideCanBeReached(t *testing.T) {
	t.Parallel()
	s, dir, outside := working(t), t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("hunter2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"read a file":            "cat " + secret,
		"read it through a link": "cat link",
		"write beside":           "echo x > " + filepath.Join(outside, "x"),
		"write to the system":    "echo x > /usr/bin/x",
		"write to the root":      "echo x > /x",
		"write to /etc":          "echo x >> /etc/passwd",
		"write to /dev":          "echo x > /dev/x",
		"write to the kernel":    "echo x > /proc/sys/kernel/core_pattern",
		"read shadow":            "cat /etc/shadow",
		"look into root's home":  "ls /root/.",
		"look into /home":        "ls /home",
		"see a process of ours":  "test -e /proc/" + strconv.Itoa(os.Getpid()) + "/status && ps -e | grep -q sandbox.test",
		"read our environment":   "grep -qz PATH_OF_THE_HOST /proc/1/environ",
		"signal our process":     "kill -0 " + strconv.Itoa(os.Getpid()),
		"mount":                  "mount -t tmpfs none /tmp",
		"remount":                "mount -o remount,rw /",
		"become root":            "sudo -n true || setpriv --reuid 0 true",
		"make a device":          "mknod x c 1 1 && cat x",
		"fill the memory":        "head -c 100M /dev/zero > /dev/shm/x",
		"use sysfs":              "ls /sys/class",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			work := filepath.Join(dir, strings.NewReplacer(" ", "-", "/", "").Replace(name))
			if err := os.Mkdir(work, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(secret, filepath.Join(work, "link")); err != nil {
				t.Fatal(err)
			}
			r := run(t, s, Command{Args: []string{"sh", "-c", script}, Dir: work, Writable: []string{work}})
			if r.Passed() {
				t.Errorf("%s worked: %s", script, r.Output)
			}
			if strings.Contains(string(r.Output), "hunter2") {
				t.Error("the secret came out")
			}
		})
	}
}

func TestReadOnlyPaths(t *testing.T) {
	t.Parallel()
	s, dir, shared := working(t), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(shared, "file"), []byte("shared"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, s, Command{
		Args: []string{"sh", "-c", "cat " + shared + "/file; echo x > " + shared + "/file; echo x > " + shared + "/y; exit 0"},
		Dir:  dir, Writable: []string{dir}, ReadOnly: []string{shared},
	})
	if string(r.Stdout) != "shared" {
		t.Errorf("read %q", r.Stdout)
	}
	b, err := os.ReadFile(filepath.Join(shared, "file"))
	entries, _ := os.ReadDir(shared)
	if err != nil || string(b) != "shared" || len(entries) != 1 {
		t.Errorf("a read-only path was written: %q, %d files, %v", b, len(entries), err)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	name := fmt.Sprintf("@millrace-sandbox-%d", os.Getpid())
	abstract, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	for _, target := range [][]string{{"tcp", tcp.Addr().String()}, {"unix", name}} {
		argv, bin := self(t, target...)
		c := Command{Args: argv, Dir: dir, Writable: []string{dir}, ReadOnly: []string{bin}, Env: []string{helperEnv + "=connect"}}
		if r := run(t, s, c); r.ExitCode != 1 {
			t.Errorf("%s can be reached without a network: %s, %s", target, r.Explain(), r.Output)
		}
		c.Network = true
		if r := run(t, s, c); !r.Passed() {
			t.Errorf("%s cannot be reached with the network: %s", target, r.Output)
		}
	}
}

func TestForkBomb(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	begin := time.Now()
	r := run(t, s, Command{
		Args: []string{"sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 300 & echo started; done; echo all"},
		Dir:  dir, Writable: []string{dir},
		Limits: Limits{Processes: 8, Time: 2 * time.Minute},
	})
	if n := strings.Count(string(r.Stdout), "started"); r.Passed() || n > 8 {
		t.Errorf("%d processes of at most 8 were started: %s\n%s", n, r.Explain(), r.Output)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("children held the sandbox open for %s", took)
	}
	// Another sandbox at the same time has processes of its own.
	other := t.TempDir()
	if r := run(t, s, Command{Args: []string{"sh", "-c", "true & wait"}, Dir: other, Writable: []string{other}}); !r.Passed() {
		t.Errorf("another sandbox suffers: %s", r.Output)
	}
}

func TestEndlessOutput(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	var heard bytes.Buffer
	r := run(t, s, Command{
		Args: []string{"sh", "-c", "yes line | head -c 3000000"},
		Dir:  dir, Writable: []string{dir}, Output: &heard, Limits: Limits{Output: 1000},
	})
	if len(r.Output) != 1000 || r.Dropped != 3000000-1000 || !r.Passed() {
		t.Errorf("kept %d bytes, dropped %d, %s", len(r.Output), r.Dropped, r.Explain())
	}
	if got := heard.String(); !strings.HasSuffix(got, "\n[output cut here: 2999000 more bytes]\n") || len(got) > 1100 {
		t.Errorf("the listener got %d bytes, at the end %q", len(got), got[max(0, len(got)-50):])
	}
}

func TestTimeLimitEndsAllChildren(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	begin := time.Now()
	r := run(t, s, Command{
		Args: []string{"sh", "-c", "(trap '' TERM HUP; setsid sh -c 'while :; do echo >> alive; sleep 0.05; done') & sleep 300"},
		Dir:  dir, Writable: []string{dir}, Limits: Limits{Time: 500 * time.Millisecond},
	})
	if took := time.Since(begin); !r.TimedOut || r.Passed() || took > time.Minute {
		t.Fatalf("%s after %s, want a timeout after 0.5s", r.Explain(), took)
	}
	noneAlive(t, dir)
}

// noneAlive looks whether a child that writes to the file "alive" as long as it
// lives does so still.
func noneAlive(t *testing.T, dir string) {
	t.Helper()
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "alive"))
		if err != nil {
			return 0 // it ended before it wrote anything
		}
		return info.Size()
	}
	before := size()
	time.Sleep(400 * time.Millisecond) // in which it would have written
	if size() != before {
		t.Error("a child lived on")
	}
}

func TestCanceledContext(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := s.Run(ctx, Command{Args: []string{"sleep", "30"}, Dir: dir, Writable: []string{dir}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want that of the context", err)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	// dd fills a buffer and then waits for somebody to read it.
	hold := "dd if=/dev/zero bs=%dM count=1 | sleep 10 &"
	c := Command{Dir: dir, Writable: []string{dir}, Limits: Limits{Memory: 200 << 20}}
	c.Args = []string{"sh", "-c", "dd if=/dev/zero bs=600M count=1 | wc -c"}
	if r := run(t, s, c); string(r.Stdout) != "0\n" {
		t.Errorf("a process got more than its memory: %s", r.Output)
	}
	// Each of three may have as much, but not all together.
	hold = fmt.Sprintf(hold, 120)
	c.Args = []string{"sh", "-c", hold + hold + hold + "wait"}
	if r := run(t, s, c); !r.OutOfMemory || r.Passed() {
		t.Errorf("three processes got more than their memory: %s\n%s", r.Explain(), r.Output)
	}
}

func TestFileSize(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	r := run(t, s, Command{
		Args: []string{"dd", "if=/dev/zero", "of=big", "bs=1M", "count=5"},
		Dir:  dir, Writable: []string{dir}, Limits: Limits{FileSize: 1 << 20},
	})
	info, err := os.Stat(filepath.Join(dir, "big"))
	if r.Passed() || err != nil || info.Size() > 1<<20 {
		t.Errorf("%s; %v, %v", r.Explain(), info, err)
	}
}

func TestSignalIsTold(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	r := run(t, s, Command{Args: []string{"sh", "-c", "kill -SEGV $$"}, Dir: dir, Writable: []string{dir}})
	if r.ExitCode != 128+int(syscall.SIGSEGV) || r.Explain() != "ended by signal 11" {
		t.Errorf("%s", r.Explain())
	}
}

func TestUnknownProgram(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	r := run(t, s, Command{Args: []string{"no-such-program"}, Dir: dir, Writable: []string{dir}})
	if r.Passed() || !strings.Contains(string(r.Output), "no-such-program") {
		t.Errorf("%s: %s", r.Explain(), r.Output)
	}
}

func TestNoShell(t *testing.T) {
	t.Parallel()
	s, dir := working(t), t.TempDir()
	args := []string{"printf", "%s|", "a;b", "$(id)", "`id`", "*", "$HOME", "a b", "'", "--", "-n"}
	r := run(t, s, Command{Args: args, Dir: dir, Writable: []string{dir}})
	if want := strings.Join(args[2:], "|") + "|"; string(r.Stdout) != want {
		t.Errorf("the arguments became %q, want %q", r.Stdout, want)
	}
}

func TestBadCommands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Command{
		"none":              {Dir: "/tmp"},
		"relative":          {Args: []string{"true"}, Dir: "x"},
		"relative writable": {Args: []string{"true"}, Dir: "/tmp", Writable: []string{"x"}},
		"the root":          {Args: []string{"true"}, Dir: "/tmp", Writable: []string{"/"}},
		"dots":              {Args: []string{"true"}, Dir: "/tmp", ReadOnly: []string{"/tmp/../etc"}},
		"inside a writable": {Args: []string{"true"}, Dir: "/tmp", Writable: []string{"/tmp/x"}, Home: "/tmp/x/home"},
		"NUL":               {Args: []string{"true", "a\x00b"}, Dir: "/tmp"},
	} {
		if _, err := new(Sandbox).Run(t.Context(), c); err == nil || errors.Is(err, ErrNoSandbox) {
			t.Errorf("%s: err = %v, want a refusal of the command", name, err)
		}
	}
}

func TestWithoutSandboxCommandsAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := Command{Args: []string{"touch", "x"}, Dir: dir, Writable: []string{dir}}
	for bwrap, want := range map[string]string{
		"/no/such/bwrap":       "install the package bubblewrap",
		fakeBwrap(t, "0.4.1"):  "bubblewrap 0.4.1 is too old: 0.8 or newer is needed",
		fakeBwrap(t, "0.10.0"): "setting up uid map: Permission denied",
	} {
		_, err := (&Sandbox{Bwrap: bwrap}).Run(t.Context(), c)
		if !errors.Is(err, ErrNoSandbox) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v, want ErrNoSandbox with %q", bwrap, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("the command ran")
	}
}

// fakeBwrap is a bubblewrap on a machine that forbids what it needs.
func fakeBwrap(t *testing.T, version string) string {
	path := filepath.Join(t.TempDir(), "bwrap")
	script := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo bubblewrap " + version + "; exit 0; fi\n" +
		"echo 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnconfined(t *testing.T) {
	t.Setenv("HOST_SECRET", "hunter2")
	dir := t.TempDir()
	s := &Sandbox{Bwrap: "/no/such/bwrap", AllowUnsandboxed: true}
	if kind, reason := s.Detect(t.Context()); kind != Unconfined || reason == "" {
		t.Fatalf("Detect = %s, %q", kind, reason)
	}
	r := run(t, s, Command{
		Args: []string{"sh", "-c", "pwd; echo $X; env; dd if=/dev/zero of=big bs=1M count=3; (while :; do echo >> alive; sleep 0.05; done) & exit 4"},
		Dir:  dir, Env: []string{"X=y"}, Writable: []string{dir}, Limits: Limits{FileSize: 1 << 20},
	})
	if !strings.HasPrefix(string(r.Stdout), dir+"\ny\n") || r.ExitCode != 4 {
		t.Errorf("%s: %s", r.Explain(), r.Output)
	}
	if strings.Contains(string(r.Output), "hunter2") {
		t.Error("the environment was not clean")
	}
	if info, err := os.Stat(filepath.Join(dir, "big")); err != nil || info.Size() > 1<<20 {
		t.Errorf("no limits: %v, %v", info, err)
	}
	noneAlive(t, dir)
}

func TestTrusted(t *testing.T) {
	t.Setenv("OF_THE_HOST", "yes")
	dir := t.TempDir()
	s := &Sandbox{Trusted: true}
	r := run(t, s, Command{Args: []string{"sh", "-c", "pwd; echo $OF_THE_HOST $X"}, Dir: dir, Env: []string{"X=y"}})
	if got, want := string(r.Stdout), dir+"\nyes y\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	r = run(t, s, Command{Args: []string{"sleep", "30"}, Dir: dir, Limits: Limits{Time: 200 * time.Millisecond}})
	if !r.TimedOut {
		t.Errorf("%s", r.Explain())
	}
}

func TestRemoveAllWithoutRights(t *testing.T) {
	t.Parallel()
	s, dir := working(t), filepath.Join(t.TempDir(), "work")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, s, Command{Args: []string{"sh", "-c", "mkdir -p a/b/c; touch a/b/c/f; chmod 0 a/b/c a/b a"}, Dir: dir, Writable: []string{dir}})
	if err := RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("it is still there")
	}
}

func TestOwn(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("without root's powers nothing changes its owner")
	}
	outside, dir := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := Own(dir); err != nil {
		t.Fatal(err)
	}
	owner, err := ownerOf(dir)
	if err != nil || !hostPool().has(owner) {
		t.Fatalf("the directory belongs to %d, %v", owner, err)
	}
	if again := userFor(dir); again != owner {
		t.Errorf("the next command would be %d, not %d", again, owner)
	}
	if owner, err := ownerOf(secret); err != nil || owner != 0 {
		t.Errorf("the target of a link belongs to %d, %v", owner, err)
	}
	if err := os.Link(secret, filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	if err := Own(dir); err == nil {
		t.Error("a hard link was given away")
	}
}

func TestUserIDMaps(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"         0          0 4294967295\n": true,
		"         0     100000      65536\n": false,
		"0 1000 1\n1 100000 65536\n":         false,
		"0 0 1\n1900000000 5 100000\n":       true,
		"not a map":                          false,
	} {
		if got := maps(text, widePool); got != want {
			t.Errorf("maps(%q) = %t", text, got)
		}
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{{"0.4.1", "0.8", true}, {"0.8.0", "0.8", false}, {"0.10", "0.8", false}, {"1", "0.8", false}, {"", "0.8", true}} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("older(%q, %q) = %t", c.a, c.b, got)
		}
	}
}
