package sources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/git"
	"millrace/clients/lookaside"
	"millrace/clients/lookaside/lookasidefake"
	"millrace/models"
	"millrace/models/packageconfig"
)

// mill is an upstream repository with a release, the package in dist-git, and
// what lies around them.
type mill struct {
	t        *testing.T
	builder  *Builder
	upstream *upstream
	dist     *upstream
	cellar   *lookasidefake.Server
	cache    *lookaside.Client
	archives *httptest.Server
	log      bytes.Buffer
}

const distSpecOf = `%%global base %s/archives
Name:           hello
Version:        0.9
Release:        3%%{?dist}
Summary:        Says hello
License:        MIT
Source0:        %%{base}/%%{name}-%%{version}.tar.gz
BuildArch:      noarch

%%description
Hello.

%%changelog
* Thu Jan 01 2026 Grace <grace@mill.example> - 0.9-3
- Packaged
`

func newMill(t *testing.T) *mill {
	t.Helper()
	cellar, err := lookasidefake.New(lookasidefake.Config{Dir: t.TempDir(), Prefix: "/pkgs", Users: map[string]string{"ticket": "packit"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(cellar)
	t.Cleanup(server.Close)
	m := &mill{t: t, builder: newBuilder(t), cellar: cellar, cache: &lookaside.Client{
		BaseURL: server.URL + "/pkgs", Negotiate: func(context.Context, string) (string, error) { return "ticket", nil },
	}}
	m.archives = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "3.0") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "the archive %s", filepath.Base(r.URL.Path))
	}))
	t.Cleanup(m.archives.Close)
	m.upstream = hello(t, helloConfig)
	m.upstream.write("hello.spec", strings.Replace(helloSpec, "Summary:        Says hello", "Summary:        Says hello to all", 1))
	m.upstream.write("extra/one.conf", "one")
	m.upstream.commit("Say hello to all")
	m.upstream.git("tag", "1.2")
	m.dist = newUpstream(t)
	m.dist.write("hello.spec", fmt.Sprintf(distSpecOf, m.archives.URL))
	m.dist.write("sources", "SHA512 (hello-0.9.tar.gz) = "+strings.Repeat("ab", 64)+"\n")
	m.dist.write(".gitignore", "/hello-0.9.tar.gz")
	m.dist.commit("Import")
	m.dist.git("branch", "f43")
	return m
}

// request asks for a job of the config text.
func (m *mill) request(config string, change func(*SyncRequest)) SyncRequest {
	m.t.Helper()
	parsed, err := packageconfig.Parse([]byte(config), packageconfig.Options{RepoName: "hello", RepoFiles: []string{"hello.spec"}})
	if err != nil {
		m.t.Fatal(err)
	}
	job := parsed.Jobs[0]
	m.log.Reset()
	req := SyncRequest{
		Upstream: git.Remote{URL: m.upstream.dir}, DistGit: git.Remote{URL: m.dist.dir},
		Package: &models.ConfigPackage{Name: job.Package, Settings: job.PackageSettings},
		Tag:     "1.2", Branch: "f43", Head: "f43-update", Lookaside: m.cache, Work: m.t.TempDir(), Log: &m.log,
		Pull: job.Type == models.JobPullFromUpstream,
	}
	if change != nil {
		change(&req)
	}
	return req
}

// must syncs a release and returns the files of the new commit.
func (m *mill) must(req SyncRequest) (*Synced, func(name string) string) {
	m.t.Helper()
	synced, err := m.builder.SyncRelease(m.t.Context(), req)
	if err != nil {
		m.t.Fatalf("%v\n%s", err, m.log.String())
	}
	return synced, func(name string) string {
		text, err := synced.Repo.ShowFile(m.t.Context(), synced.Commit, name, 1<<20)
		if err != nil {
			m.t.Errorf("%s: %v", name, err)
		}
		return string(text)
	}
}

const (
	propose = "jobs:\n- {job: propose_downstream, trigger: release}\n"
	pull    = "jobs:\n- {job: pull_from_upstream, trigger: release}\n"
)

func TestPullARelease(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	synced, file := m.must(m.request(pull, func(r *SyncRequest) {
		r.Tag, r.Version, r.ResolvedBugs, r.MadeBy = "", "1.2", []string{"rhbz#2300001"}, "Millrace 1"
	}))
	spec := file("hello.spec")
	for _, want := range []string{
		"Version:        1.2\n", "Release:        1%{?dist}\n", "Summary:        Says hello\n",
		"* Wed Aug 05 2026 Mill Wright <wright@mill.example> - 1.2-1\n- Update to version 1.2\n- Resolves: rhbz#2300001\n\n* Thu Jan 01 2026 Grace",
	} {
		if !strings.Contains(spec, want) {
			t.Errorf("the spec file lacks %q:\n%s", want, spec)
		}
	}
	if got := file(".gitignore"); got != "/hello-0.9.tar.gz\n/hello-1.2.tar.gz\n" {
		t.Errorf(".gitignore is %q", got)
	}
	entries, err := lookaside.ParseSources([]byte(file("sources")))
	if err != nil || len(entries) != 1 || entries[0].Name != "hello-1.2.tar.gz" || entries[0].HashType != "sha512" {
		t.Fatalf("sources are %v, %v", entries, err)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	if err := m.cache.Download(t.Context(), "rpms/hello", entries[0], kept); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "the archive hello-1.2.tar.gz" {
		t.Errorf("the lookaside cache has %q, %v", text, err)
	}
	sha := m.upstream.git("rev-parse", "1.2")
	want := "Update to 1.2 upstream release\n\n- Resolves: rhbz#2300001\n\nUpstream tag: 1.2\nUpstream commit: " + sha[:8] +
		"\n\nCommit authored by Packit automation (https://packit.dev/)\n"
	if diff := cmp.Diff(want, synced.Message); diff != "" {
		t.Error(diff)
	}
	if synced.Version != "1.2" || synced.Tag != "1.2" || synced.UpstreamCommit != sha || synced.Base != m.dist.git("rev-parse", "f43") {
		t.Errorf("synced: %+v", synced)
	}
	const note = "This repository is maintained by packit.\nhttps://packit.dev/\nThe file was generated using Millrace 1.\n"
	if got := file("README.packit"); got != note {
		t.Errorf("the note is %q", got)
	}
	files, err := synced.Repo.LsTree(t.Context(), synced.Commit, "", true)
	if err != nil || slices.ContainsFunc(files, func(e git.Entry) bool { return strings.HasSuffix(e.Path, ".gz") }) {
		t.Errorf("the archive is in git: %v, %v", files, err)
	}

}

// TestNoteAlone: another version of the program, which the note names, is no commit
// of its own.
func TestNoteAlone(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	m.dist.write("hello.spec", "Name: hello\nVersion: 1.2\nRelease: %autorelease\nSummary: x\nLicense: MIT\n%description\nx\n%changelog\n%autochangelog\n")
	m.dist.write("README.packit", "This repository is maintained by packit.\nhttps://packit.dev/\nThe file was generated using Millrace 1.\n")
	m.dist.commit("Update to 1.2")
	m.dist.git("branch", "--force", "f43")
	to := func(version string) SyncRequest {
		return m.request(pull, func(r *SyncRequest) {
			r.Tag, r.Version, r.Upstream.URL, r.Lookaside, r.MadeBy = "", version, "", nil, "Millrace 2"
		})
	}
	_, err := m.builder.SyncRelease(t.Context(), to("1.2"))
	if skipped, ok := errors.AsType[*SkipError](err); !ok || !strings.Contains(skipped.Reason, "nothing to change") {
		t.Errorf("the same version: %v", err)
	}
	if _, file := m.must(to("1.3")); !strings.HasSuffix(file("README.packit"), "using Millrace 2.\n") {
		t.Errorf("the note with a new version is %q", file("README.packit"))
	}
}

// TestProposeARelease: upstream's spec file comes, downstream's history stays.
func TestProposeARelease(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	m.upstream.write("hello.spec", strings.NewReplacer("Version:        0.9", "Version:        1.2",
		"https://mill.example/", m.archives.URL+"/").Replace(helloSpec))
	m.upstream.commit("Release it")
	m.upstream.git("tag", "-f", "1.2")
	_, file := m.must(m.request(propose, nil))
	spec := file("hello.spec")
	for _, want := range []string{"Version:        1.2\n", "%autosetup -n", "- 1.2-1\n- Update to version 1.2\n", "Grace <grace@mill.example> - 0.9-3"} {
		if !strings.Contains(spec, want) {
			t.Errorf("the spec file lacks %q:\n%s", want, spec)
		}
	}
	if strings.Contains(spec, "The beginning") {
		t.Error("upstream's changelog came along")
	}
}

func TestReleasesThatAreSkipped(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, config string
		change       func(*SyncRequest)
		want         string
	}{
		{"older", pull, func(r *SyncRequest) { r.Tag, r.Version, r.Upstream.URL = "", "0.8", "" },
			"Downstream specfile version 0.9 is higher than the version to propose (0.8). Skipping the update."},
		{"masked", "version_update_mask: '\\d+'\n" + pull, func(r *SyncRequest) { r.Masked = true },
			`The upstream released version 1.2 does not match specfile version 0.9 at branch f43 using the version_update_mask "\\d+". ` +
				"If the branch shall have it, change version_update_mask in the package config: https://packit.dev/docs/configuration#version_update_mask"},
		{"specifiers", "version_update_specifiers: '<1'\n" + pull, nil,
			`The upstream released version 1.2 does not satisfy the version_update_specifiers "<1". ` +
				"If the branch shall have it, change version_update_specifiers in the package config: https://packit.dev/docs/configuration#version_update_specifiers"},
	}
	m := newMill(t)
	for _, test := range tests {
		_, err := m.builder.SyncRelease(t.Context(), m.request(test.config, test.change))
		skipped, ok := errors.AsType[*SkipError](err)
		if !ok || skipped.Reason != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	m.must(m.request("version_update_mask: '\\d+'\n"+pull, nil)) // rawhide has no mask
}

func TestReleasesThatFail(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	tests := []struct {
		name, config string
		change       func(*SyncRequest)
		want         string
		user         bool
	}{
		{"no such tag", pull, func(r *SyncRequest) { r.Tag = "9.9" }, "Cannot checkout release tag.", true},
		{"no such branch", pull, func(r *SyncRequest) { r.Branch = "f99" }, "The package has no branch f99 in dist-git.", true},
		{"neither tag nor version", pull, func(r *SyncRequest) { r.Tag = "" }, "Could not figure out version", true},
		{"the archive is not there yet", pull, func(r *SyncRequest) { r.Tag, r.Version, r.Upstream.URL = "", "3.0", "" }, "the archive of the release is not there yet: Failed to download source from", false},
		{"an action fails", pull + "actions: {pre-sync: 'false'}\n", nil, "Command 'false' failed.", true},
		{"a path out of dist-git", propose + "files_to_sync: [{src: extra, dest: ../../out}]\n", nil, "Illegal path! ../../out", true},
		{"a path out of upstream", propose + "files_to_sync: [{src: ../../etc/passwd, dest: .}]\n", nil, "Illegal path! ../../etc/passwd", true},
		{"a package that is none", pull + "downstream_package_name: ../hello\n", nil, "cannot be that of a spec file", true},
	}
	for _, test := range tests {
		_, err := m.builder.SyncRelease(t.Context(), m.request(test.config, test.change))
		if err == nil || !strings.Contains(err.Error(), test.want) || IsUserError(err) != test.user {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	m.cellar.SetMoves(lookasidefake.Moves{CutUpload: 5})
	if _, err := m.builder.SyncRelease(t.Context(), m.request(pull, nil)); err == nil || IsUserError(err) || !strings.Contains(err.Error(), "uploading hello-1.2.tar.gz") {
		t.Errorf("an interrupted upload: %v", err)
	}
	m.cellar.SetMoves(lookasidefake.Moves{})
	m.must(m.request(pull, nil)) // the next try does it all
}

// TestActionsOfAReleaseSync: they find both repositories, and what they change
// counts.
func TestActionsOfAReleaseSync(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	synced, file := m.must(m.request(`
actions:
  post-upstream-clone: "bash -c 'echo $PACKIT_PROJECT_VERSION > $PACKIT_DOWNSTREAM_REPO/from-clone'"
  pre-sync: ["bash -c 'cp $PACKIT_UPSTREAM_REPO/extra/one.conf $PACKIT_DOWNSTREAM_REPO/'"]
  changelog-entry: "bash -c 'echo - From $PACKIT_PROJECT_PREVIOUS_VERSION with 100%{x}'"
  commit-message: "bash -c 'echo chatter; echo $PACKIT_DEBUG_DIVIDER; echo New hello; echo; echo Tag $PACKIT_UPSTREAM_TAG'"
create_sync_note: false
`+pull, nil))
	if got := file("from-clone") + file("one.conf"); got != "1.2\none" {
		t.Errorf("the actions left %q", got)
	}
	if !strings.Contains(file("hello.spec"), "- From 0.9 with 100%%{x}\n") {
		t.Error("the entry of the action is not there")
	}
	if synced.Message != "New hello\n\nTag 1.2\n" || synced.Title != "New hello" {
		t.Errorf("the message is %q", synced.Message)
	}
	entries, err := synced.Repo.LsTree(t.Context(), synced.Commit, "", true)
	if err != nil || slices.ContainsFunc(entries, func(e git.Entry) bool { return e.Path == "README.packit" }) {
		t.Errorf("the note was not wanted: %v", err)
	}
}

// TestLinksAreNotUploaded: what an action puts in the place of the archive does
// not make a file of this machine public.
func TestLinksAreNotUploaded(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	_, err := m.builder.SyncRelease(t.Context(), m.request(`
actions:
  post-modifications: "bash -c 'ln -sf /etc/passwd $PACKIT_DOWNSTREAM_REPO/hello-1.2.tar.gz'"
`+pull, nil))
	if !IsUserError(err) {
		t.Errorf("a link in the archive's place: %v", err)
	}
}

// TestReleaseWithoutARepository: a release that only release monitoring knows of.
func TestReleaseWithoutARepository(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	synced, _ := m.must(m.request(pull, func(r *SyncRequest) { r.Upstream.URL, r.Tag, r.Version = "", "", "2.0" }))
	if synced.Tag != "" || synced.UpstreamCommit != "" || strings.Contains(synced.Message, "Upstream") && strings.Contains(synced.Message, "tag:") {
		t.Errorf("synced %+v", synced)
	}
}

func TestFilesToSync(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("rsync"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("rsync is missing")
	}
	m := newMill(t)
	_, file := m.must(m.request(propose+`
files_to_sync:
- hello.spec
- {src: extra/*.conf, dest: conf/, mkpath: true}
`, func(r *SyncRequest) { r.Lookaside = nil }))
	if file("conf/one.conf") != "one" {
		t.Error("the file did not come")
	}
	if !strings.Contains(file("hello.spec"), "Grace") {
		t.Error("the spec file was copied instead of brought up to date")
	}
}
