package models_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/packageconfig"
)

func TestProposalSays(t *testing.T) {
	t.Parallel()
	p := &models.Proposal{
		Branch: "f43", Version: "1.2", Tag: "v1.2", TagURL: "https://forge.test/ada/hello/tree/v1.2", Commit: "0123456789abcdef", CommitURL: "https://forge.test/ada/hello/commit/0123456789abcdef",
		Monitoring: 4711, Bugs: []string{"rhbz#2300001", "fedora#7"}, Package: "hello", Fork: "https://git.test/forks/packit/rpms/hello.git",
		Push: "ssh://YOUR_ACCOUNT@git.test/forks/packit/rpms/hello.git", Head: "f43-update-pull_from_upstream", Author: "packit",
		Gates:  []models.BuildGate{{PRAuthors: []string{"packit", "@sig"}}},
		RunURL: "https://mill.test/runs/1",
	}
	want := "Upstream tag: [v1.2](https://forge.test/ada/hello/tree/v1.2)\n" +
		"Upstream commit: [01234567](https://forge.test/ada/hello/commit/0123456789abcdef)\n" +
		"Release monitoring project: [4711](https://release-monitoring.org/project/4711)\n" +
		"Resolves: [rhbz#2300001](https://bugzilla.redhat.com/show_bug.cgi?id=2300001)\n" +
		"Resolves: [fedora#7](https://bugzilla.redhat.com/show_bug.cgi?id=7)\n" +
		"\n---\n\n" +
		"Who may commit to the package may change this pull request too, by commits to its branch. The next release makes that branch anew.\n" +
		"```\n" +
		"git clone --branch f43-update-pull_from_upstream https://git.test/forks/packit/rpms/hello.git hello\n" +
		"cd hello\n" +
		"git remote set-url --push origin ssh://YOUR_ACCOUNT@git.test/forks/packit/rpms/hello.git\n" +
		"git push origin f43-update-pull_from_upstream\n" +
		"```\n" +
		"\n---\n\n" +
		"Merged here, it is built in Koji if `packit`, who opened this pull request, is among `allowed_pr_authors` of the package's job `koji_build`: `packit`, `@sig`. " +
		"What is pushed to `f43` by hand is built if who pushed it is among `allowed_committers`: nobody.\n" +
		"\n---\n\n" +
		"Before you merge it, please look whether\n\n" +
		"* the new sources contain nothing that Fedora may not ship,\n" +
		"* the licence is still what the spec file says,\n" +
		"* the programming or binary interface changed in ways that other packages must follow,\n" +
		"* the changelog, most of which was written by a program, says what users should know.\n" +
		"\n---\n" +
		"Logs and details of the syncing: [how this was made](https://mill.test/runs/1)\n"
	if diff := cmp.Diff(want, p.Body()); diff != "" {
		t.Error(diff)
	}
	if got := p.News(); !strings.HasPrefix(got, "This pull request brings version 1.2 now.\n\nUpstream tag: ") || !strings.HasSuffix(got, "](https://mill.test/runs/1)\n") {
		t.Errorf("the comment says\n%s", got)
	}
}

// TestProposalIsEscaped: names are chosen by strangers, and mean nothing but themselves.
func TestProposalIsEscaped(t *testing.T) {
	t.Parallel()
	p := &models.Proposal{
		Branch: "f43`x", Version: "1_2", Tag: "v1](http://bad.test)<b>`@ada", TagURL: "https://forge.test/tree/a)b", Commit: "0123456789",
		Package: "hello", Fork: "https://git.test/x.git", Head: "a;$(rm -rf ~)`'b", Author: "packit", Gates: []models.BuildGate{{}}, RunURL: "https://mill.test/runs/1",
	}
	body := p.Body()
	for _, want := range []string{
		"[v1\\](http://bad.test)&lt;b>\\`&#64;ada](https://forge.test/tree/a%29b)\n", "Upstream commit: 01234567\n",
		`git clone --branch 'a;$(rm -rf ~)'\''b' https://git.test/x.git hello` + "\n", "pushed to `f43'x` by hand",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the body lacks %s:\n%s", want, body)
		}
	}
	if strings.Contains(body, "set-url") {
		t.Errorf("it says how to push over SSH where that is not known:\n%s", body)
	}
	if got := p.NewsLine(); got != `This pull request brings version 1\_2 now.` {
		t.Error(got)
	}
}

func TestDescriptionHash(t *testing.T) {
	t.Parallel()
	hash := models.DescriptionHash("a\nb\n")
	if models.DescriptionHash(" a\r\nb") != hash || models.DescriptionHash("a\nc\n") == hash {
		t.Error("a browser's line ends count, or a change does not")
	}
}

func TestBuildGates(t *testing.T) {
	t.Parallel()
	releases := models.Releases{
		{Name: "F45", LongName: "Fedora 45", Version: "45", IDPrefix: "FEDORA", Branch: "rawhide", State: "pending"},
		{Name: "F44", LongName: "Fedora 44", Version: "44", IDPrefix: "FEDORA", Branch: "f44", State: "current"},
	}
	config, err := packageconfig.Parse([]byte(`
jobs:
- {job: koji_build, trigger: commit, dist_git_branches: [fedora-all], allowed_committers: [ada]}
- {job: koji_build, trigger: commit, dist_git_branches: [f44], allowed_committers: [ada], sidetag_group: x}
- {job: koji_build, trigger: commit, dist_git_branches: [f44], allowed_pr_authors: [bo]}
- {job: koji_build, trigger: commit, dist_git_branches: [f44], scratch: true, allowed_pr_authors: [cy]}
- {job: koji_build, trigger: koji_build, dist_git_branches: [f44], sidetag_group: x, allowed_pr_authors: [di]}
- {job: pull_from_upstream, trigger: release, dist_git_branches: [f44]}
`), packageconfig.Options{RepoName: "hello", RepoFiles: []string{"hello.spec"}})
	if err != nil {
		t.Fatal(err)
	}
	usual := models.BuildGate{PRAuthors: []string{"packit"}, Committers: []string{"ada"}}
	for branch, want := range map[string][]models.BuildGate{
		"rawhide": {usual}, "epel9": nil, "f44": {usual, {PRAuthors: []string{"bo"}, Committers: []string{}}},
	} {
		got := config.BuildGates(releases, "rawhide", branch)
		if len(got) != len(want) {
			t.Errorf("%s: %+v", branch, got)
			continue
		}
		for i := range got {
			if strings.Join(got[i].PRAuthors, " ") != strings.Join(want[i].PRAuthors, " ") || strings.Join(got[i].Committers, " ") != strings.Join(want[i].Committers, " ") {
				t.Errorf("%s: %+v, want %+v", branch, got[i], want[i])
			}
		}
	}
}
