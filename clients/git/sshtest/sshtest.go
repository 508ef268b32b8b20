// Package sshtest starts OpenSSH's server for tests: on a port of its own, with keys
// and everything else in a directory of the test's, for the user who runs the test.
// It carries out nothing but git's own commands.
package sshtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/clients/git"
)

// Server is a running sshd.
type Server struct {
	SSH  git.SSH // with which it lets in
	Host string  // "127.0.0.1:port"
	User string
	dir  string
}

// URL is the address of a repository on this machine.
func (s *Server) URL(path string) string { return "ssh://" + s.User + "@" + s.Host + path }

// Start starts a server that ends with the test. Without sshd the test is skipped,
// or fails in CI.
func Start(t *testing.T) *Server {
	t.Helper()
	sshd := program(t, "sshd", "/usr/sbin/sshd")
	for _, name := range []string{"ssh", "ssh-keygen", "git-shell"} {
		program(t, name)
	}
	me, err := user.Current()
	check(t, err)
	s := &Server{User: me.Username, dir: t.TempDir()}
	if os.Getuid() == 0 { // as whom sshd demands it, wherever its other files are
		check(t, os.MkdirAll("/run/sshd", 0o755))
	}
	host := s.NewKey(t, "host")
	s.SSH.Key = s.NewKey(t, "user")
	public, err := os.ReadFile(s.SSH.Key + ".pub")
	check(t, err)
	s.write(t, "authorized_keys", string(public), 0o600)
	// Hooks of package forges ask which branches may be written to: all.
	s.write(t, "shell", "#!/bin/sh\nGIT_PATTERNS='*' exec git-shell -c \"$SSH_ORIGINAL_COMMAND\"\n", 0o755)
	s.run(t, sshd, host)
	s.Trust(t, host)
	return s
}

func program(t *testing.T, name string, also ...string) string {
	t.Helper()
	for _, candidate := range append([]string{name}, also...) {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", name)
	}
	t.Skipf("%s is missing", name)
	return ""
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *Server) write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	check(t, os.WriteFile(path, []byte(text), mode))
	return path
}

// NewKey makes a pair of keys, of which nobody knows anything yet.
func (s *Server) NewKey(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return path
}

// Trust makes a key that of the server, for those who log in with s.SSH.
func (s *Server) Trust(t *testing.T, key string) {
	t.Helper()
	public, err := os.ReadFile(key + ".pub")
	check(t, err)
	host, port, err := net.SplitHostPort(s.Host)
	check(t, err)
	s.SSH.KnownHosts = s.write(t, "known_hosts", fmt.Sprintf("[%s]:%s %s", host, port, public), 0o644)
}

// tries are how many ports are tried: another process may take one before sshd does.
const tries = 5

func (s *Server) run(t *testing.T, sshd, key string) {
	t.Helper()
	var said string
	for range tries {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		s.Host = l.Addr().String()
		l.Close()
		_, port, _ := net.SplitHostPort(s.Host) // the address of a listener has one
		config := s.write(t, "sshd_config", strings.Join([]string{
			"ListenAddress 127.0.0.1", "Port " + port, "HostKey " + key, "PidFile none", "AuthorizedKeysFile " + filepath.Join(s.dir, "authorized_keys"),
			"StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
			"ForceCommand " + filepath.Join(s.dir, "shell"), "PermitTTY no", "AllowTcpForwarding no", "X11Forwarding no", "PermitUserRC no", "",
		}, "\n"), 0o600)
		var ok bool
		if said, ok = s.start(t, sshd, config); ok {
			return
		}
	}
	t.Fatalf("sshd does not start:\n%s", said)
}

// start runs sshd until the test ends. It says what sshd said if that ended at once.
func (s *Server) start(t *testing.T, sshd, config string) (said string, ok bool) {
	t.Helper()
	log := filepath.Join(s.dir, "log")
	cmd := exec.Command(sshd, "-D", "-f", config, "-E", log)
	// What it starts for each who logs in ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends when the process does, which is killed below
	for {
		if c, err := net.Dial("tcp", s.Host); err == nil {
			c.Close()
			t.Cleanup(func() {
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
				<-ended
			})
			return "", true
		}
		select {
		case err := <-ended:
			text, _ := os.ReadFile(log) // what there is of it
			return fmt.Sprintf("%v\n%s", err, text), false
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Fatal("sshd does not listen")
		}
	}
}
