package sources

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/models"
)

// one sandbox for all tests, so that it is tried out once.
var oneSandbox = &sandbox.Sandbox{}

var millwright = git.Identity{Name: "Mill Wright", Email: "wright@mill.example"}

func newBuilder(t *testing.T) *Builder {
	t.Helper()
	if kind, reason := oneSandbox.Detect(t.Context()); kind != sandbox.Bubblewrap {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no sandbox here: %s", reason)
		}
		t.Skipf("no sandbox here: %s", reason)
	}
	g := &git.Git{AllowFile: true}
	return &Builder{
		Git: g, Cache: &git.Cache{Git: g, Dir: t.TempDir()}, Sandbox: oneSandbox, Identity: millwright,
		Timeout: time.Minute, Download: Download{AllowPrivate: true},
		Now: func() time.Time { return time.Date(2026, 8, 5, 10, 20, 30, 123456000, time.UTC) },
	}
}

// upstream is a repository that people push to.
type upstream struct {
	t   *testing.T
	dir string
	at  time.Time
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{t: t, dir: filepath.Join(t.TempDir(), "hello.git"), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err := os.Mkdir(u.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	u.git("init", "--quiet", "--initial-branch=main")
	return u
}

func (u *upstream) git(args ...string) string {
	u.t.Helper()
	u.at = u.at.Add(time.Hour)
	cmd := exec.Command("git", args...)
	cmd.Dir = u.dir
	date := u.at.Format(time.RFC3339)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@mill.example", "GIT_AUTHOR_DATE="+date,
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@mill.example", "GIT_COMMITTER_DATE="+date)
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (u *upstream) write(name, content string) {
	u.t.Helper()
	path := filepath.Join(u.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		u.t.Fatal(err)
	}
}

// commit records everything and returns the commit.
func (u *upstream) commit(message string) string {
	u.t.Helper()
	u.git("add", "--all")
	u.git("commit", "--quiet", "-m", message)
	return u.git("rev-parse", "HEAD")
}

const helloSpec = `Name:           hello
Version:        0.9
Release:        3%{?dist}
Summary:        Says hello
License:        MIT
Source0:        https://mill.example/%{name}-%{version}.tar.gz
BuildArch:      noarch

%description
Hello.

%prep
%autosetup -n %{name}-%{version}

%files

%changelog
* Thu Jan 01 2026 Ada <ada@mill.example> - 0.9-3
- The beginning
`

const helloConfig = "specfile_path: hello.spec\nupstream_package_name: hello\ndownstream_package_name: hello\n"

// hello is a repository with a config, a spec file, one tag and a commit after
// it.
func hello(t *testing.T, config string) *upstream {
	t.Helper()
	u := newUpstream(t)
	u.write(".packit.yaml", helloConfig+config)
	u.write("hello.spec", helloSpec)
	u.write("hello.txt", "hello\n")
	u.commit("Begin")
	u.git("tag", "1.2.3")
	u.write("hello.txt", "hello, world\n")
	u.commit("Greet the world")
	return u
}

// outcome is what a test looks at.
type outcome struct {
	*Result
	err  error
	log  string
	work string
	spec string
}

func prepare(t *testing.T, b *Builder, u *upstream, change func(*Request)) outcome {
	t.Helper()
	var log bytes.Buffer
	work := filepath.Join(t.TempDir(), "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sandbox.RemoveAll(work); err != nil {
			t.Error(err)
		}
	})
	req := Request{
		Remote: git.Remote{URL: u.dir}, Choice: Choice{Job: -1}, Work: work,
		ResultDir: filepath.Join(t.TempDir(), "result"), Log: &log,
	}
	if change != nil {
		change(&req)
	}
	r, err := b.Prepare(t.Context(), req)
	o := outcome{Result: r, err: err, log: log.String(), work: work}
	if err == nil {
		text, err := os.ReadFile(filepath.Join(r.Dir, r.Spec))
		if err != nil {
			t.Fatal(err)
		}
		o.spec = string(text)
	}
	return o
}

func succeed(t *testing.T, b *Builder, u *upstream, change func(*Request)) outcome {
	t.Helper()
	o := prepare(t, b, u, change)
	if o.err != nil {
		t.Fatalf("%v\n%s", o.err, o.log)
	}
	return o
}

// refused checks that a preparation fails for a reason that is the user's.
func refused(t *testing.T, b *Builder, u *upstream, want string, change func(*Request)) {
	t.Helper()
	o := prepare(t, b, u, change)
	if !IsUserError(o.err) || !strings.Contains(o.err.Error(), want) {
		t.Errorf("err = %v, want a user's with %q\n%s", o.err, want, o.log)
	}
	if o.err != nil && !strings.Contains(o.log, o.err.Error()) {
		t.Errorf("the log does not tell the error:\n%s", o.log)
	}
}

func (o outcome) wantLines(t *testing.T, lines ...string) {
	t.Helper()
	have := strings.Split(o.spec, "\n")
	for _, line := range lines {
		if !slices.Contains(have, line) {
			t.Errorf("the spec file has no line %q:\n%s", line, o.spec)
		}
	}
}

// contents are the regular files of a tar.gz.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			files[h.Name] = string(b)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestVersionFromTag(t *testing.T) {
	t.Parallel()
	u := hello(t, "")
	o := succeed(t, newBuilder(t), u, nil)
	short := u.git("rev-parse", "--short=8", "HEAD")
	describe := strings.ReplaceAll(strings.TrimPrefix(u.git("describe", "--tags", "--long"), "1.2.3-"), "-", ".")
	o.wantLines(t,
		"Version:        1.2.3",
		"Release:        3.20260805102030123456.main."+describe+"%{?dist}",
		"Source0:        hello-1.2.3.tar.gz",
		"%autosetup -n hello-1.2.3",
		"* Wed Aug 05 2026 Mill Wright <wright@mill.example> - 1.2.3-3.20260805102030123456.main."+describe,
		"- Greet the world (Ada)",
	)
	if o.Version != "1.2.3" || o.Tag != "1.2.3" || o.Package != "hello" || o.Spec != "hello.spec" ||
		!strings.HasPrefix(o.Commit, short) || o.Release != "3.20260805102030123456.main."+describe ||
		!slices.Equal(o.Files, []string{"hello-1.2.3.tar.gz"}) {
		t.Errorf("result %+v", o.Result)
	}
	files := contents(t, filepath.Join(o.Dir, "hello-1.2.3.tar.gz"))
	if files["hello-1.2.3/hello.txt"] != "hello, world\n" || len(files) != 3 {
		t.Errorf("the archive has %q", files)
	}
	if !strings.Contains(o.spec, "- The beginning\n") {
		t.Error("the old changelog is gone")
	}
}

func TestDetachedHeadAndSameTag(t *testing.T) {
	t.Parallel()
	u := hello(t, "")
	o := succeed(t, newBuilder(t), u, func(r *Request) { r.Ref = "1.2.3" })
	sha := u.git("rev-parse", "1.2.3")
	if o.Commit != sha || !strings.Contains(o.Release, "."+sha+".0.g") {
		t.Errorf("result %+v", o.Result)
	}
	// Nothing happened since the tag.
	o.wantLines(t, "- Development snapshot ("+sha[:8]+")")
}

func TestTagRules(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	u := hello(t, "upstream_tag_template: v{version}\nupstream_tag_include: 'v\\d'\nupstream_tag_exclude: 'v\\d.*rc'\n")
	refused(t, b, u, "gives no version", func(r *Request) {
		r.Package = helloPackage(func(s *models.PackageSettings) { s.UpstreamTagTemplate = "v{version}" })
	})
	refused(t, b, u, "upstream_tag_include is not a usable regular expression", func(r *Request) {
		r.Package = helloPackage(func(s *models.PackageSettings) { s.UpstreamTagInclude = "(?<=x)" })
	})
	u.git("tag", "v2.0")
	u.write("x", "x")
	u.commit("More")
	u.git("tag", "-a", "-m", "x", "v2.1-rc1")
	u.git("tag", "other")
	if o := succeed(t, b, u, nil); o.Version != "2.0" || o.Tag != "v2.0" {
		t.Errorf("version %s of tag %s", o.Version, o.Tag)
	}
	if o := succeed(t, b, u, func(r *Request) { r.Choice.File, r.MergedRef = "", "v2.0" }); o.Tag != "v2.0" {
		t.Errorf("tag %s", o.Tag)
	}
	refused(t, b, u, "The repository cannot be used", func(r *Request) { r.MergedRef = "nowhere" })
}

func TestMergedRef(t *testing.T) {
	t.Parallel()
	u := hello(t, "")
	u.git("checkout", "--quiet", "-b", "next")
	u.write("next", "x")
	u.commit("Next")
	u.git("tag", "2.0")
	u.git("checkout", "--quiet", "main")
	b := newBuilder(t)
	if o := succeed(t, b, u, nil); o.Version != "2.0" {
		t.Errorf("version %s, want that of the newest tag of all", o.Version)
	}
	if o := succeed(t, b, u, func(r *Request) { r.MergedRef = "main" }); o.Version != "1.2.3" {
		t.Errorf("version %s, want that of the newest tag of main", o.Version)
	}
}

func helloPackage(change func(*models.PackageSettings)) *models.ConfigPackage {
	s := models.DefaultSettings()
	s.SpecfilePath, s.UpstreamPackageName, s.DownstreamPackageName = ptr("hello.spec"), ptr("hello"), ptr("hello")
	if change != nil {
		change(&s)
	}
	return &models.ConfigPackage{Name: "hello", Settings: s}
}

func TestNoTag(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.write("hello.spec", helloSpec)
	sha := u.commit("Begin")
	b := newBuilder(t)
	use := func(r *Request) { r.Package = helloPackage(nil) }
	o := succeed(t, b, u, use)
	o.wantLines(t, "Version:        0.9", "Release:        3.20260805102030123456.main%{?dist}",
		"- Development snapshot ("+sha[:8]+")")

	// Only rpm can tell this one.
	u.write("hello.spec", strings.Replace(helloSpec, "0.9", "%(echo 4.5-6 | cut -d- -f1)", 1))
	u.commit("Compute the version")
	if o := succeed(t, b, u, use); o.Version != "4.5" {
		t.Errorf("version %q", o.Version)
	}
	u.write("hello.spec", "Name: hello\nVersion: %nothing\n%if\n")
	u.commit("Break the spec")
	refused(t, b, u, "rpm cannot read the spec file hello.spec", use)
}

func TestMissingThings(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	u := hello(t, "")
	pkg := func(change func(*models.PackageSettings)) func(*Request) {
		return func(r *Request) { r.Package = helloPackage(change) }
	}
	refused(t, b, u, "The file no.spec does not exist", pkg(func(s *models.PackageSettings) { s.SpecfilePath = ptr("no.spec") }))
	refused(t, b, u, "Specfile path is not defined", pkg(func(s *models.PackageSettings) { s.SpecfilePath = nil }))
	refused(t, b, u, "The spec file doesn't have sources set via Source7 nor Source.",
		pkg(func(s *models.PackageSettings) { s.SpecSourceID = "Source7" }))
	refused(t, b, u, "no job 5", func(r *Request) { r.Choice.Job = 5 })
	refused(t, b, u, `no package "other"`, func(r *Request) { r.Choice.Package = "other" })
	refused(t, b, u, "no pull request 7", func(r *Request) { r.PR = 7 })
	refused(t, b, u, "The repository cannot be used", func(r *Request) { r.Ref = "nowhere" })
	refused(t, b, u, "is not in the repository any more", func(r *Request) { r.Ref = strings.Repeat("ab", 20) })
	refused(t, b, u, "The repository cannot be used", func(r *Request) { r.Ref = "--upload-pack=touch /tmp/x" })
	refused(t, b, u, "The repository cannot be used", func(r *Request) { r.Remote.URL = "ext::sh -c id" })
	u.write(".packit.yaml", "jobs: 7\n")
	u.commit("Break the config")
	refused(t, b, u, "The package config .packit.yaml is wrong", nil)
	u.git("rm", "--quiet", ".packit.yaml")
	u.commit("No config")
	refused(t, b, u, "No package config was found", nil)
}

func TestPullRequest(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	u := hello(t, "")
	u.git("checkout", "--quiet", "-b", "topic", "1.2.3")
	u.write("new.txt", "new\n")
	first := u.commit("Add a file")
	u.write("new.txt", "newer\n")
	head := u.commit("Change it")
	u.git("update-ref", "refs/pull/7/head", head)
	u.git("checkout", "--quiet", "main")
	u.git("branch", "--quiet", "-D", "topic")

	o := succeed(t, b, u, func(r *Request) { r.PR, r.TargetBranch = 7, "main" })
	files := contents(t, filepath.Join(o.Dir, "hello-1.2.3.tar.gz"))
	if files["hello-1.2.3/new.txt"] != "newer\n" || files["hello-1.2.3/hello.txt"] != "hello, world\n" {
		t.Errorf("the merge has %q", files)
	}
	if !strings.Contains(o.Release, ".pr7.4.g") {
		t.Errorf("release %s is not that of a branch pr/7", o.Release)
	}
	o.wantLines(t, "- Change it (Ada)", "- Add a file (Ada)", "- Greet the world (Ada)")

	o = succeed(t, b, u, func(r *Request) { r.PR, r.NoMerge = 7, true })
	files = contents(t, filepath.Join(o.Dir, "hello-1.2.3.tar.gz"))
	if o.Commit != head || files["hello-1.2.3/hello.txt"] != "hello\n" {
		t.Errorf("unmerged: %s has %q", o.Commit, files)
	}
	o = succeed(t, b, u, func(r *Request) { r.PR, r.Ref = 7, first })
	if files := contents(t, filepath.Join(o.Dir, "hello-1.2.3.tar.gz")); files["hello-1.2.3/new.txt"] != "new\n" {
		t.Errorf("of the first commit: %q", files)
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	u := hello(t, "")
	u.git("checkout", "--quiet", "-b", "topic", "1.2.3")
	u.write("hello.txt", "goodbye\n")
	u.git("update-ref", "refs/merge-requests/3/head", u.commit("Say goodbye"))
	u.git("checkout", "--quiet", "main")
	refused(t, newBuilder(t), u, "Merging the pull request into main led to conflicts in: hello.txt.", func(r *Request) { r.PR = 3 })
}

func TestCommitOfNoBranch(t *testing.T) {
	t.Parallel()
	u := hello(t, "")
	u.write("hello.txt", "gone\n")
	gone := u.commit("Gone soon")
	u.git("reset", "--quiet", "--hard", "HEAD~")
	u.git("config", "uploadpack.allowAnySHA1InWant", "true")
	if o := succeed(t, newBuilder(t), u, func(r *Request) { r.Ref = gone }); o.Commit != gone {
		t.Errorf("checked out %s", o.Commit)
	}
}

func TestMonorepo(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.write(".packit.yaml", `packages:
  one:
    paths: [one]
    specfile_path: one.spec
    downstream_package_name: rpm-one
    upstream_package_name: one
  two:
    paths: [two]
    specfile_path: two/two.spec
    downstream_package_name: rpm-two
    upstream_package_name: two
    upstream_tag_template: two-{version}
    upstream_tag_include: two-
    actions:
      post-upstream-clone: [[touch, made]]
jobs:
- job: copr_build
  trigger: pull_request
  packages: [one, two]
  release_suffix: job
`)
	u.write("one/one.spec", strings.ReplaceAll(helloSpec, "hello", "one"))
	u.write("two/two.spec", strings.ReplaceAll(helloSpec, "hello", "two"))
	u.commit("Begin")
	u.git("tag", "two-7.0")
	u.git("tag", "1.0")
	b := newBuilder(t)
	o := succeed(t, b, u, func(r *Request) { r.Choice.Package = "two" })
	if o.Package != "rpm-two" || o.Version != "7.0" || o.Spec != "two.spec" {
		t.Errorf("result %+v", o.Result)
	}
	if _, err := os.Stat(filepath.Join(o.work, "hello", "two", "made")); err != nil {
		t.Errorf("the action ran elsewhere: %v", err)
	}
	o = succeed(t, b, u, func(r *Request) { r.Choice = Choice{Job: 0, Package: "one"} })
	if o.Package != "rpm-one" || o.Release != "3.job" || o.Version != "1.0" {
		t.Errorf("result %+v", o.Result)
	}
}

func TestReleaseSuffix(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), hello(t, "")
	short := u.git("rev-parse", "--short=8", "HEAD")
	for suffix, want := range map[string]string{
		"":        "3.20260805102030123456.main.1.g" + u.git("rev-parse", "--short", "HEAD"),
		"plain.4": "3.plain.4",
		"{PACKIT_PROJECT_BRANCH}.{PACKIT_PROJECT_COMMIT}": "main." + short,
		"0.{PACKIT_PROJECT_VERSION}":                      "0.1.2.3",
		"{PACKIT_RPMSPEC_RELEASE}.x":                      "3.20260805102030123456.main.1.g" + u.git("rev-parse", "--short", "HEAD") + ".x",
	} {
		o := succeed(t, b, u, func(r *Request) { r.ReleaseSuffix = &suffix })
		o.wantLines(t, "Release:        "+want+"%{?dist}")
	}
	refused(t, b, u, "The release cannot be made", func(r *Request) { r.ReleaseSuffix = ptr("{PACKIT_PROJECT_BRANCH}{NOPE}") })
	o := succeed(t, b, u, func(r *Request) {
		r.Package = helloPackage(func(s *models.PackageSettings) { s.VersionSuffix = ptr("^git{PACKIT_PROJECT_COMMIT}") })
	})
	o.wantLines(t, "Version:        1.2.3^git"+short, "Source0:        hello-1.2.3.tar.gz")

	u.write("bumped.spec", strings.Replace(helloSpec, "3%{?dist}", "3%{?dist}.2", 1))
	u.write("plain.spec", strings.Replace(helloSpec, "3%{?dist}", "3", 1))
	u.write("auto.spec", strings.Replace(helloSpec, "3%{?dist}", "%autorelease", 1))
	u.commit("More specs")
	for spec, want := range map[string]string{"bumped.spec": "3.x", "plain.spec": "3.x", "auto.spec": "1.x"} {
		for _, suffix := range []string{"x", "x%{?dist}"} {
			o := succeed(t, b, u, func(r *Request) {
				r.Package = helloPackage(func(s *models.PackageSettings) { s.SpecfilePath, s.ReleaseSuffix = &spec, &suffix })
			})
			o.wantLines(t, "Release:        "+want+"%{?dist}")
		}
	}
}

func TestReleaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), hello(t, "")
	o := succeed(t, b, u, func(r *Request) { r.UpdateRelease = ptr(false) })
	want := strings.NewReplacer("0.9\nR", "1.2.3\nR", "https://mill.example/%{name}-%{version}.tar.gz", "hello-1.2.3.tar.gz",
		"-n %{name}-%{version}", "-n hello-1.2.3").Replace(helloSpec)
	if o.spec != want {
		t.Errorf("the spec file is\n%s\nwant\n%s", o.spec, want)
	}
	o = succeed(t, b, u, func(r *Request) {
		r.Package = helloPackage(func(s *models.PackageSettings) { s.PreserveSpec = true })
		u.write("hello.spec", strings.ReplaceAll(helloSpec, "https://mill.example/", ""))
		u.commit("No address")
	})
	if o.spec != strings.ReplaceAll(helloSpec, "https://mill.example/", "") {
		t.Errorf("the preserved spec file is\n%s", o.spec)
	}
}

func TestNoSandbox(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), hello(t, "actions:\n  post-upstream-clone: id\n")
	b.Sandbox = &sandbox.Sandbox{Bwrap: "/no/such/bwrap"}
	o := prepare(t, b, u, nil)
	if o.err == nil || IsUserError(o.err) || !strings.Contains(o.err.Error(), "install the package bubblewrap") {
		t.Errorf("err = %v", o.err)
	}
}
