package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/clients/forge/forgetest"
	"millrace/clients/git/fakeforge"
	"millrace/clients/git/gitserver"
	"millrace/clients/git/sshtest"
	"millrace/jobs"
)

func TestDistGitSettings(t *testing.T) {
	t.Parallel()
	key := writeFile(t, "key", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
	hosts := writeFile(t, "hosts", "git.example.org ssh-ed25519 AAAA\n")
	open := writeFile(t, "open", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		env  map[string]string // without its common beginning
		want string            // in the error; empty: none
	}{
		{"Forgejo", map[string]string{"FORGE": "forgejo", "WEBHOOK_SECRETS": "one,two"}, ""},
		{"another forge", map[string]string{"FORGE": "gitlab"}, `distgit.forge: "gitlab" is neither pagure nor forgejo`},
		{"webhooks of Pagure", map[string]string{"WEBHOOK_SECRETS": "one"}, "distgit.webhook_secrets: webhooks are taken of forgejo only"},
		{"SSH", map[string]string{"SSH_KEY": key, "SSH_KNOWN_HOSTS": hosts}, ""},
		{"no known hosts", map[string]string{"SSH_KEY": key}, "distgit.ssh_known_hosts: it goes together"},
		{"no key", map[string]string{"SSH_KNOWN_HOSTS": hosts}, "distgit.ssh_known_hosts: it goes together"},
		{"a key that others may read", map[string]string{"SSH_KEY": open, "SSH_KNOWN_HOSTS": hosts}, "chmod 600 " + open},
		{"a key that is gone", map[string]string{"SSH_KEY": open + "x", "SSH_KNOWN_HOSTS": hosts}, "distgit.ssh_key: the key: open " + open + "x"},
		{"hosts that are none", map[string]string{"SSH_KEY": key, "SSH_KNOWN_HOSTS": key}, "names none"},
	} {
		set := map[string]string{}
		for name, value := range test.env {
			set["MILLRACE_DISTGIT_"+name] = value
		}
		_, err := readSettings("", env(set))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// patient is a service whose dist-git is a forge with the package bash.
func patient(t *testing.T, forge forgetest.Forge, packages *fakeforge.Forge, set func(s *settings)) *service {
	t.Helper()
	s := defaults()
	s.Database, s.DataDir = filepath.Join(t.TempDir(), "millrace.db"), t.TempDir()
	s.DistGit.Forge, s.DistGit.Token = string(forge), "ours"
	s.DistGit.URL = forgetest.Serve(t, forge, packages, forgetest.Options{Admins: []string{"packit"}}).URL
	set(s)
	v, err := openService(t.Context(), s, slog.New(slog.DiscardHandler), jobs.Capacity{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.store.Close() })
	return v
}

func packagesWithBash(t *testing.T) *fakeforge.Forge {
	t.Helper()
	f, err := fakeforge.New(fakeforge.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	for _, err := range []error{
		f.CreateRepo(t.Context(), wellKnown, "ada"), f.SetToken("ours", fakeforge.Token{Login: "packit"}), f.SetToken("tim's", fakeforge.Token{Login: "tim"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// TestDoctorOnDistGit: both forges are looked at, and each mistake is named.
func TestDoctorOnDistGit(t *testing.T) {
	t.Parallel()
	packages := packagesWithBash(t)
	for _, forge := range forgetest.Forges {
		other := map[forgetest.Forge]string{forgetest.Pagure: onForgejo, forgetest.Forgejo: onPagure}[forge]
		for _, test := range []struct {
			name string
			set  func(s *settings)
			want string
		}{
			{"all is well", func(*settings) {}, "as packit; bash belongs to ada"},
			{"the other forge", func(s *settings) { s.DistGit.Forge = other }, "there is no " + other + " at http://127.0.0.1:"},
			{"another's token", func(s *settings) { s.DistGit.Token = "tim's" }, "the token is that of tim, but distgit.user is packit"},
			{"a wrong token", func(s *settings) { s.DistGit.Token = "guessed" }, "it does not take distgit.token"},
			{"no token", func(s *settings) { s.DistGit.Token = "" },
				map[forgetest.Forge]string{forgetest.Pagure: "without distgit.token nothing is proposed", forgetest.Forgejo: "set distgit.token"}[forge]},
			{"nobody there", func(s *settings) { s.DistGit.URL = "http://127.0.0.1:1" }, "it does not answer"},
			{"none", func(s *settings) { s.DistGit.URL, s.DistGit.Token = "", "" }, "not configured"},
		} {
			t.Run(string(forge)+" "+test.name, func(t *testing.T) {
				t.Parallel()
				found, err := patient(t, forge, packages, test.set).checkDistGit(t.Context())
				if err != nil {
					found = err.Error()
				}
				if !strings.Contains(found, test.want) {
					t.Errorf("it says %q, want %q", found, test.want)
				}
			})
		}
	}
}

// where has a forge say that it is pushed to at another address.
type where struct {
	jobs.DistGit
	address string
}

func (w where) PushURL(context.Context, string, string) (string, error) { return w.address, nil }

func TestDoctorOnPushing(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	packages := packagesWithBash(t)
	bare := filepath.Join(t.TempDir(), "bash.git")
	if err := gitserver.Init(t.Context(), bare, "rawhide", "[core]\n\tbare = true\n"); err != nil {
		t.Fatal(err)
	}
	look := func(set func(s *settings)) string {
		t.Helper()
		v := patient(t, forgetest.Forgejo, packages, set)
		if v.runner.Packages != nil {
			v.runner.Packages.DistGit = where{v.runner.Packages.DistGit, server.URL(bare)}
		}
		found, err := v.checkPush(t.Context())
		if err != nil {
			return err.Error()
		}
		return found
	}
	with := func(key, hosts string) func(s *settings) {
		return func(s *settings) { s.DistGit.SSHKey, s.DistGit.SSHKnownHosts = key, hosts }
	}
	elsewhere := writeFile(t, "hosts", "git.example.org ssh-ed25519 AAAA\n")
	for _, test := range []struct {
		name string
		set  func(s *settings)
		want string
	}{
		{"over SSH", with(server.SSH.Key, server.SSH.KnownHosts), "over SSH, to " + server.URL(bare)},
		{"another key", with(server.NewKey(t, "stranger"), server.SSH.KnownHosts), "put its public key into the settings of the account packit"},
		{"an unknown host", with(server.SSH.Key, elsewhere), "is not the one that distgit.ssh_known_hosts knows"},
		{"over HTTPS", func(*settings) {}, "over HTTPS"},
		{"not at all", func(s *settings) { s.DistGit.Token = "" }, "not needed"},
	} {
		if found := look(test.set); !strings.Contains(found, test.want) {
			t.Errorf("%s: it says %q, want %q", test.name, found, test.want)
		}
	}
}
