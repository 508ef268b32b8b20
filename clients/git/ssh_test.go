package git_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
	"millrace/clients/git/sshtest"
	"millrace/clients/httpx"
)

// local is a work tree with a commit, and a bare repository that it can be pushed to.
func local(t *testing.T) (repo *git.Repo, bare string) {
	t.Helper()
	ctx := t.Context()
	bare = filepath.Join(t.TempDir(), "hello.git")
	if err := gitserver.Init(ctx, bare, "rawhide", "[core]\n\tbare = true\n"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "hello")
	repo, err := new(git.Git).Init(ctx, dir, git.Remote{})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "hello.spec"), []byte("Name: hello\n"), 0o644)
	}
	if err == nil {
		err = repo.Add(ctx)
	}
	if err == nil {
		_, err = repo.Commit(ctx, "Begin", git.Identity{Name: "Packit", Email: "packit@example.org"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return repo, bare
}

func TestPushOverSSH(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	repo, bare := local(t)
	ctx := t.Context()
	remote := git.Remote{URL: server.URL(bare), SSH: &server.SSH}
	if err := repo.Push(ctx, remote, "HEAD", "refs/heads/rawhide", git.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	head, err := repo.RevParse(ctx, "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	refs, _, err := new(git.Git).LsRemote(ctx, remote)
	if err != nil || len(refs) != 1 || refs[0].SHA != head {
		t.Errorf("what is there after the push of %s: %+v, %v", head, refs, err)
	}
	if err := repo.Push(ctx, git.Remote{URL: server.URL(bare)}, "HEAD", "refs/heads/f43", git.PushOptions{}); !errors.Is(err, git.ErrBadName) {
		t.Errorf("an address over SSH without a key: %v", err)
	}
}

// TestSSHRefusals: whom we do not know, who does not know us, and who says nothing.
func TestSSHRefusals(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	repo, bare := local(t)
	push := func(ssh git.SSH, url string) error {
		return repo.Push(t.Context(), git.Remote{URL: url, SSH: &ssh}, "HEAD", "refs/heads/rawhide", git.PushOptions{})
	}
	stranger := server.SSH
	stranger.Key = server.NewKey(t, "stranger")
	if err := push(stranger, server.URL(bare)); !errors.Is(err, git.ErrDenied) || httpx.Temporary(err) || !strings.Contains(err.Error(), "Permission denied (publickey)") {
		t.Errorf("a key that is not known there: %v", err)
	}
	right := server.SSH.KnownHosts
	server.Trust(t, server.NewKey(t, "another")) // the file is another now
	if err := push(server.SSH, server.URL(bare)); !errors.Is(err, git.ErrUntrusted) || httpx.Temporary(err) || !strings.Contains(err.Error(), "IDENTIFICATION HAS CHANGED") {
		t.Errorf("a host with another key: %v", err)
	}
	if right != server.SSH.KnownHosts {
		t.Fatal("the file of known hosts was not replaced")
	}
	if err := os.WriteFile(right, []byte("elsewhere.example.org ssh-ed25519 AAAA\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := push(server.SSH, server.URL(bare)); !errors.Is(err, git.ErrUntrusted) || !strings.Contains(err.Error(), "No ED25519 host key is known") {
		t.Errorf("a host of which nothing is known: %v", err)
	}
	if text, err := os.ReadFile(right); err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("the file of known hosts is changed to %q, %v", text, err)
	}
}

// silent takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	held, done := []net.Conn(nil), make(chan struct{})
	go func() { // ends with the listener
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range held {
			c.Close()
		}
	})
	return l.Addr().String()
}

func TestSSHServerHangs(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t) // whose keys will do
	repo, bare := local(t)
	ssh := server.SSH
	ssh.Timeout = time.Second
	push := func(host string) error {
		return repo.Push(t.Context(), git.Remote{URL: "ssh://git@" + host + bare, SSH: &ssh}, "HEAD", "refs/heads/rawhide", git.PushOptions{})
	}
	if err := push(silent(t)); !httpx.Temporary(err) || !strings.Contains(err.Error(), "timed out") {
		t.Errorf("a host that says nothing: %v", err)
	}
	if err := push("127.0.0.1:1"); !httpx.Temporary(err) {
		t.Errorf("a host that is not there: %v", err)
	}
	// Whatever ssh waits for, git is given up in time, and ssh with it.
	ssh.Timeout = time.Hour
	g := &git.Git{NetworkTimeout: time.Second}
	if _, _, err := g.LsRemote(t.Context(), git.Remote{URL: "ssh://git@" + silent(t) + bare, SSH: &ssh}); !httpx.Temporary(err) || !strings.Contains(err.Error(), "took too long") {
		t.Errorf("a host that says nothing for long: %v", err)
	}
}

func TestSSHFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const private = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
	key, hosts := write("key", private, 0o600), write("hosts", "# ours\ngit.example.org ssh-ed25519 AAAA\n", 0o644)
	tests := []struct {
		name string
		ssh  git.SSH
		want string // in the error
	}{
		{"all is well", git.SSH{Key: key, KnownHosts: hosts}, ""},
		{"no key", git.SSH{Key: filepath.Join(dir, "gone"), KnownHosts: hosts}, "no such file"},
		{"a directory", git.SSH{Key: dir, KnownHosts: hosts}, "is not a file"},
		{"a relative path", git.SSH{Key: "key", KnownHosts: hosts}, "a whole path"},
		{"an option", git.SSH{Key: key, KnownHosts: `/x" -o ProxyCommand="touch`}, "plain characters"},
		{"a public key", git.SSH{Key: write("public", "ssh-ed25519 AAAA\n", 0o600), KnownHosts: hosts}, "no private key"},
		{"open to others", git.SSH{Key: write("open", private, 0o640), KnownHosts: hosts}, "chmod 600"},
		{"a passphrase", git.SSH{Key: write("locked", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", 0o600), KnownHosts: hosts}, "passphrase"},
		{"no hosts", git.SSH{Key: key, KnownHosts: write("nobody", "# git.example.org ssh-ed25519 AAAA\n\n", 0o644)}, "names none"},
		{"no file of hosts", git.SSH{Key: key}, "known hosts"},
	}
	for _, test := range tests {
		err := test.ssh.Check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestSSHAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		address string
		ok      bool
	}{
		{"ssh://packit@pkgs.fedoraproject.org/forks/packit/rpms/hello.git", true},
		{"ssh://git@forge.example.org:2222/packit/libstdc++.git", true},
		{"ssh://git@[::1]:22/packit/hello.git", true},
		{"git@forge.example.org:packit/hello.git", true},
		{"ssh://forge.example.org/packit/hello.git", false},
		{"ssh://git:secret@forge.example.org/packit/hello.git", false},
		{"ssh://-oProxyCommand=id@forge.example.org/x", false},
		{"ssh://git@-oProxyCommand=id/x", false},
		{"-oProxyCommand=id@forge:x", false},
		{"git@forge.example.org:-x", false},
		{"git@forge.example.org:$(id)", false},
		{"ssh://git@forge.example.org/a/../b", false},
		{"ssh://git@forge.example.org/a b", false},
		{"ssh://git@forge.example.org", false},
		{"https://forge.example.org/packit/hello.git", false},
		{"ext::sh -c id", false},
		{"file:///etc/passwd", false},
	}
	for _, test := range tests {
		if err := git.CheckSSH(test.address); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.address, err)
		}
	}
}
