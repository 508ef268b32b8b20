package sources

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/jobs/sandbox"
	"millrace/models"
)

const everyAction = `actions:
  post-upstream-clone:
  - sh -c 'env | sort > env-clone; git log -1 --format=%an > author; touch made-by-hook'
  get-current-version:
  - echo not this
  - [sh, -c, "env | sort > env-version; echo; echo ' v5.6-beta/1 '"]
  create-archive:
  - sh -c 'env | sort > env-archive; mkdir -p dist; tar -czf dist/source-$PACKIT_PROJECT_VERSION.tgz --transform s,^,deep/inside/, hello.txt made-by-hook'
  - sh -c 'echo dist/source-$PACKIT_PROJECT_VERSION.tgz; echo made it; echo'
  fix-spec-file:
  - >-
    sh -c 'env | sort > env-fix; sed -i "s/^Version:.*/Version: $PACKIT_RPMSPEC_VERSION/;s/^Release:.*/Release: $PACKIT_RPMSPEC_RELEASE/;s,^Source0:.*,Source0: $PACKIT_PROJECT_ARCHIVE," hello.spec'
  post-modifications:
  - sh -c 'env | sort > env-post; echo "# touched" >> hello.spec'
  changelog-entry: "false"
release_suffix: mine
`

func TestEveryActionOverrides(t *testing.T) {
	t.Parallel()
	u := hello(t, everyAction)
	o := succeed(t, newBuilder(t), u, nil)
	o.wantLines(t, "Version: v5.6.beta1", "Release: 3.mine", "Source0: source-v5.6.beta1.tgz", "# touched",
		"%autosetup -n %{name}-%{version}")
	if !slices.Equal(o.Files, []string{"source-v5.6.beta1.tgz"}) || o.Version != "v5.6.beta1" {
		t.Errorf("result %+v", o.Result)
	}
	files := contents(t, filepath.Join(o.Dir, "source-v5.6.beta1.tgz"))
	if len(files) != 2 || files["deep/inside/hello.txt"] != "hello, world\n" {
		t.Errorf("the archive has %q", files)
	}
	repo := filepath.Join(o.work, "hello")
	base := []string{"PACKIT_CONFIG_PACKAGE_NAME=hello", "PACKIT_DOWNSTREAM_PACKAGE_NAME=hello"}
	names := []string{"PACKIT_SPECFILE_PATH=hello.spec", "PACKIT_UPSTREAM_PACKAGE_NAME=hello"}
	short := u.git("rev-parse", "--short=8", "HEAD")
	for file, own := range map[string][]string{
		"env-clone":   {"PACKIT_PWD=" + repo, "PACKIT_UPSTREAM_REPO=" + repo},
		"env-version": nil,
		"env-archive": {"PACKIT_PROJECT_NAME_VERSION=hello-v5.6.beta1", "PACKIT_PROJECT_VERSION=v5.6.beta1"},
		"env-fix": {
			"PACKIT_PROJECT_ARCHIVE=source-v5.6.beta1.tgz", "PACKIT_PROJECT_BRANCH=main", "PACKIT_PROJECT_COMMIT=" + short,
			"PACKIT_PROJECT_SNAPSHOTID=20260805102030123456.main.1.g" + short[:7], "PACKIT_PROJECT_VERSION=v5.6.beta1",
			"PACKIT_RPMSPEC_RELEASE=3.mine", "PACKIT_RPMSPEC_VERSION=v5.6.beta1",
		},
		"env-post": {"PACKIT_PROJECT_VERSION=v5.6.beta1", "PACKIT_PWD=" + repo, "PACKIT_UPSTREAM_REPO=" + repo},
	} {
		text, err := os.ReadFile(filepath.Join(repo, file))
		if err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(strings.Fields(string(text)), func(s string) bool { return !strings.HasPrefix(s, "PACKIT_") })
		want := slices.Concat(base, own, names)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if !strings.Contains(o.log, "$ sh -c 'env | sort > env-clone;") || !strings.Contains(o.log, "made it\n") {
		t.Errorf("the log lacks a command or its output:\n%s", o.log)
	}
}

func TestChangelogAction(t *testing.T) {
	t.Parallel()
	u := hello(t, `update_release: false
actions:
  changelog-entry:
  - sh -c 'printf -- "- %s from %s  \n" "$PACKIT_PROJECT_VERSION" "$PACKIT_PROJECT_UPSTREAM_TAG"'
  - echo "  $HOME 100%{name} $PACKIT_RESOLVED_BUGS"
  - printenv PACKIT_RESOLVED_BUGS
`)
	o := succeed(t, newBuilder(t), u, func(r *Request) { r.ResolvedBugs = []string{"rhbz#1", "rhbz#2"} })
	o.wantLines(t, "Release:        3%{?dist}", "* Wed Aug 05 2026 Mill Wright <wright@mill.example> - 1.2.3-3",
		"- 1.2.3 from 1.2.3", "  $HOME 100%%{name} $PACKIT_RESOLVED_BUGS", "rhbz#1 rhbz#2")
}

func TestFailingActions(t *testing.T) {
	t.Parallel()
	for action, c := range map[string]struct {
		commands any
		want     string
	}{
		"post-upstream-clone": {[]any{"echo fine", []any{"sh", "-c", "echo broken >&2; exit 7"}, "touch never"},
			"Command 'sh -c 'echo broken >&2; exit 7'' failed. it belongs to the action post-upstream-clone; exit status 7"},
		"get-current-version": {"true", "The action get-current-version did not print a version."},
		"create-archive":      {"true", "No output from create-archive action."},
		"fix-spec-file":       {"no-such-program", "Command 'no-such-program' failed."},
		"post-modifications":  {"sleep 30", "You have reached 5-second timeout while creating SRPM."},
		"changelog-entry":     {7, "a command is neither a string nor a list of strings"},
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t)
			if action == "post-modifications" { // the one that shall run out of time
				b.Timeout = 5 * time.Second
			}
			u := hello(t, "")
			refused(t, b, u, c.want, func(r *Request) {
				r.Package = helloPackage(func(s *models.PackageSettings) {
					s.Actions[action] = models.ConfigAction{Raw: c.commands}
				})
			})
		})
	}
}

// withAction is a request for a package with one action, whose command a shell
// runs.
func withAction(action, script string) func(*Request) {
	return func(r *Request) {
		r.Package = helloPackage(func(s *models.PackageSettings) {
			s.Actions[action] = models.ConfigAction{Raw: []any{[]any{"sh", "-c", script}}}
		})
	}
}

func TestEmptyActionReplacesDefault(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), hello(t, "")
	o := succeed(t, b, u, func(r *Request) {
		r.Package = helloPackage(func(s *models.PackageSettings) {
			s.Actions["fix-spec-file"] = models.ConfigAction{Raw: []any{}}
			s.SpecSourceID = "Source9"
		})
		u.write("sources", "")
		u.commit("Keep sources elsewhere")
	})
	if o.spec != helloSpec {
		t.Errorf("the spec file was changed:\n%s", o.spec)
	}
}

func TestNoShellStarts(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), hello(t, "")
	o := succeed(t, b, u, func(r *Request) {
		r.Package = helloPackage(func(s *models.PackageSettings) {
			s.Actions["post-upstream-clone"] = models.ConfigAction{Raw: "echo a; touch pwned && $(touch pwned) | `touch pwned` > pwned * $HOME"}
		})
	})
	if want := "a; touch pwned && $(touch pwned) | `touch pwned` > pwned * $HOME\n"; !strings.Contains(o.log, "\n"+want) {
		t.Errorf("the log lacks %q:\n%s", want, o.log)
	}
	if _, err := os.Stat(filepath.Join(o.work, "hello", "pwned")); err == nil {
		t.Error("a shell ran")
	}
}

func TestArchiveOutsideOfSpecDirectory(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), hello(t, "")
	script := "mkdir -p out; tar -cJf out/my.tar.xz --transform s,^,top-dir/, hello.txt; echo $PWD/out/my.tar.xz"
	for _, copied := range []bool{false, true} {
		o := succeed(t, b, u, func(r *Request) {
			withAction("create-archive", script)(r)
			r.CopyArchive = copied
		})
		o.wantLines(t, "Source0:        my.tar.xz", "%autosetup -n top-dir")
		target, err := os.Readlink(filepath.Join(o.work, "hello", "my.tar.xz"))
		if copied == (err == nil) || !copied && target != "out/my.tar.xz" {
			t.Errorf("copied %t: link to %q, %v", copied, target, err)
		}
		if info, err := os.Lstat(filepath.Join(o.Dir, "my.tar.xz")); err != nil || !info.Mode().IsRegular() {
			t.Errorf("the result is %v, %v", info, err)
		}
	}
}

func TestArchiveWithoutSingleRoot(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), hello(t, "")
	for _, script := range []string{
		"mkdir a b; touch a/x b/x; tar -cf my.tar a b; echo my.tar",
		"echo this is no tar > my.tar; echo my.tar",
		"head -c 100000 /dev/urandom > my.zip; echo my.zip",
	} {
		succeed(t, b, u, withAction("create-archive", script)).wantLines(t, "%autosetup -n hello-1.2.3")
	}
}

func TestHostileArchives(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("hunter2"), 0o644); err != nil {
		t.Fatal(err)
	}
	const notFound = "The create-archive action did not output a path to the generated archive."
	for name, c := range map[string]struct{ script, want string }{
		"a link to outside":       {"ln -s " + outside + " a.tar.gz; echo a.tar.gz", notFound},
		"a directory link":        {"ln -s / d; echo d" + outside, notFound},
		"outside":                 {"echo " + outside, notFound},
		"dots":                    {"echo ../../../../../../../../" + outside, notFound},
		"a directory":             {"echo .", notFound},
		"a pipe":                  {"mkfifo a.tar.gz; echo a.tar.gz", notFound},
		"a macro":                 {"touch 'a%(id).tar.gz'; echo 'a%(id).tar.gz'", "cannot be a source"},
		"the spec's place linked": {"mkdir o; touch o/x.tgz; ln -s /etc x.tgz; echo o/x.tgz", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := hello(t, "")
			if c.want == "" {
				succeed(t, b, u, withAction("create-archive", c.script))
				return
			}
			refused(t, b, u, c.want, withAction("create-archive", c.script))
		})
	}
}

func TestHostileSpecPaths(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	outside := filepath.Join(t.TempDir(), "outside.spec")
	if err := os.WriteFile(outside, []byte(helloSpec), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ spec, script, want string }{
		"a link to outside":   {"link.spec", "ln -s " + outside + " link.spec", "leads out of the repository"},
		"through a directory": {"d/outside.spec", "ln -s " + filepath.Dir(outside) + " d", "leads out of the repository"},
		"dots":                {"../outside.spec", "true", "cannot be that of a spec file"},
		"absolute":            {outside, "true", "cannot be that of a spec file"},
		"git's own":           {".git/config", "true", "cannot be that of a spec file"},
		"a pipe":              {"p.spec", "mkfifo p.spec", "cannot be used"},
		"a directory":         {"d.spec", "mkdir d.spec", "cannot be used"},
		"huge":                {"h.spec", "truncate -s 30M h.spec", "it has more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, b, hello(t, ""), c.want, func(r *Request) {
				withAction("post-upstream-clone", c.script)(r)
				r.Package.Settings.SpecfilePath = &c.spec
			})
		})
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != helloSpec {
		t.Errorf("the file outside is now %q, %v", text, err)
	}
}

// A command that replaces files must not make us write elsewhere, nor run
// anything when we use git again.
func TestHostileLeftovers(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("untouched"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ action, script, want string }{
		"the spec becomes a link":    {"create-archive", "ln -sf " + target + " hello.spec; touch a.tgz; echo a.tgz", "leads out of the repository"},
		"the archive is a link":      {"post-upstream-clone", "ln -s " + target + " hello-1.2.3.tar.gz", "leads out of the repository"},
		"the work tree is a link":    {"post-upstream-clone", "set -e; cd ..; mv hello gone; ln -s " + dir + " hello", "failed. it belongs to"},
		"the home is a link":         {"post-upstream-clone", "set -e; mv ~ ~/../gone; ln -s " + dir + " ~", "failed. it belongs to"},
		"git runs a program":         {"post-upstream-clone", "git config core.fsmonitor 'touch " + target + "-x'; echo 'touch " + target + "-x' > .git/hooks/post-checkout", ""},
		"git is a link":              {"post-upstream-clone", "mv .git g; ln -s " + dir + " .git", "The repository cannot be used"},
		"the output never ends":      {"post-upstream-clone", "yes | head -c 30000000", ""},
		"a source is a link":         {"post-modifications", "ln -sf " + target + " hello-1.2.3.tar.gz", ""},
		"deep directories":           {"post-upstream-clone", "for i in $(seq 100); do mkdir aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; cd aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", ""},
		"directories without rights": {"post-upstream-clone", "mkdir -p a/b; chmod 0 a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := prepare(t, b, hello(t, ""), withAction(c.action, c.script))
			if c.want != "" && (!IsUserError(o.err) || !strings.Contains(o.err.Error(), c.want)) {
				t.Errorf("err = %v, want a user's with %q", o.err, c.want)
			}
			if len(o.log) > sandbox.DefaultOutput+100_000 {
				t.Errorf("the log has %d bytes", len(o.log))
			}
			if o.err == nil {
				for _, name := range o.Files {
					if text, _ := os.ReadFile(filepath.Join(o.Dir, name)); string(text) == "untouched" {
						t.Error("a file from outside came into the result")
					}
				}
			}
		})
	}
	t.Cleanup(func() {
		entries, err := os.ReadDir(dir)
		text, _ := os.ReadFile(target)
		if err != nil || len(entries) != 1 || string(text) != "untouched" {
			t.Errorf("outside there is now %v with %q, %v", entries, text, err)
		}
	})
}

func TestQuoteCommand(t *testing.T) {
	t.Parallel()
	got := quoteCommand([]string{"make", "-j4", "a b", "", "it's", "$HOME", "~x", "x=~/y"})
	if want := `make -j4 'a b' '' 'it'\''s' '$HOME' '~x' x=~/y`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSingleRoot(t *testing.T) {
	t.Parallel()
	for listing, want := range map[string]string{
		"a/\na/b\na/c/d\n":   "a",
		"./a/\n./a/b\n":      "a",
		"./\n./a/b\nc\n":     "a",
		"a/b\nc/d\n":         "",
		"a/\nb/\n":           "",
		"a\nb\n":             "",
		"":                   "",
		"/a/b\n":             "",
		"x/1\nREADME\nx/2\n": "x",
	} {
		if got, _ := singleRoot(listing); got != want {
			t.Errorf("singleRoot(%q) = %q, want %q", listing, got, want)
		}
	}
}

func TestRepositoryName(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://forge.example/mill/wheel.git":  "wheel",
		"https://forge.example/mill/wheel/":     "wheel",
		"https://forge.example/mill/-x y$(id)/": "x-y-id-",
		"/home":                                 "upstream",
		"/":                                     "upstream",
		"https://forge.example/a/..":            "upstream",
		"https://forge.example/a/.git":          "a",
	} {
		if got := repositoryName(address); got != want {
			t.Errorf("repositoryName(%q) = %q, want %q", address, got, want)
		}
	}
}
