package forgejo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/forge"
	"millrace/clients/forge/forgetest"
	"millrace/clients/forgejo"
	"millrace/clients/forgejo/forgejofake"
	"millrace/clients/git/fakeforge"
	"millrace/clients/httpx"
)

// crew gives the repository people and groups of every level.
func crew(t *testing.T, f *fakeforge.Forge) {
	t.Helper()
	for group, members := range map[string][]string{"infra-sig": {"ina"}, "hello-sig": {"hal", "carol"}, "epel-sig": {"erin"}, "elsewhere": {"eve"}} {
		if err := f.SetGroup(group, members...); err != nil {
			t.Fatal(err)
		}
	}
	err := f.SetAccess(forgetest.Repo, fakeforge.Access{
		Admins: []string{"zoe", "bob"}, Committers: []string{"carol"}, Ticketers: []string{"tim"}, Collaborators: map[string]string{"dave": "epel*"},
		AdminGroups: []string{"infra-sig"}, CommitterGroups: []string{"hello-sig", "gone-sig"}, CollaboratorGroups: map[string]string{"epel-sig": "epel*"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	f, fake, client := start(t, forgejofake.Config{Admins: []string{forgetest.Bot}})
	crew(t, f)
	ctx := t.Context()
	want := &forge.Access{
		Admins: []string{"alice", "bob", "zoe"}, Committers: []string{"carol", "dave", "erin", "hal", "ina"},
		AdminGroups: []string{"rpms/infra-sig"}, CommitterGroups: []string{"rpms/epel-sig", "rpms/hello-sig"},
	}
	got, err := client.Access(ctx, forgetest.Repo)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("as an admin of the instance (-want +got):\n%s\n%v", diff, err)
	}
	if _, err := client.Fork(ctx, forgetest.Repo, forgetest.Bot); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Access(ctx, forgetest.Bot+"/hello"); err != nil || got.Owner != forgetest.Bot || len(got.Admins)+len(got.Committers) != 0 {
		t.Errorf("of a person's own repository: %+v, %v", got, err)
	}
	if err := f.SetToken("of tim", fakeforge.Token{Login: "tim"}); err != nil {
		t.Fatal(err)
	}
	stranger := &forgejo.Client{BaseURL: client.BaseURL, Token: "of tim"}
	want.Admins, want.Committers = nil, []string{"alice", "bob", "carol", "dave", "erin", "hal", "ina", "zoe"}
	got, err = stranger.Access(ctx, forgetest.Repo)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("as a stranger (-want +got):\n%s\n%v", diff, err)
	}
	for user, may := range map[string]bool{"alice": true, "carol": true, "hal": true, "dave": true, "tim": false, "eve": false, "nobody": false} {
		for name, c := range map[string]*forgejo.Client{"an admin": client, "a stranger": stranger} {
			if got, err := c.HasCommit(ctx, forgetest.Repo, user, "rawhide"); got != may || err != nil {
				t.Errorf("%s may commit, as %s is told: %t, %v", user, name, got, err)
			}
		}
	}
	nobody := &forgejo.Client{BaseURL: client.BaseURL}
	if _, err := nobody.Access(ctx, forgetest.Repo); !forgejo.IsToken(err) {
		t.Errorf("without a token: %v", err)
	}
	if _, err := client.Access(ctx, "rpms/gone"); !forgejo.IsNotFound(err) {
		t.Errorf("of a repository that is not there: %v", err)
	}
	if _, err := client.HasCommit(ctx, forgetest.Repo, "../alice", "rawhide"); err == nil || httpx.Status(err) != 0 {
		t.Errorf("of a name that cannot be: %v", err)
	}
	asked := len(fake.Requests())
	if _, err := client.Access(ctx, forgetest.Repo); err != nil || len(fake.Requests())-asked > 4+2*5 {
		t.Errorf("it takes %d requests, %v", len(fake.Requests())-asked, err)
	}
}

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	f, _, client := start(t, forgejofake.Config{Admins: []string{forgetest.Bot}})
	crew(t, f)
	ctx := t.Context()
	for group, want := range map[string][]string{
		"hello-sig": {"carol", "hal"}, "rpms/hello-sig": {"carol", "hal"}, "rpms/Infra-SIG": {"ina"}, "elsewhere": {"eve"},
	} {
		got, err := client.GroupMembers(ctx, forgetest.Repo, group)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s\n%v", group, diff, err)
		}
	}
	for _, group := range []string{"gone-sig", "others/hello-sig"} {
		if _, err := client.GroupMembers(ctx, forgetest.Repo, group); !forgejo.IsNotFound(err) {
			t.Errorf("%s: %v", group, err)
		}
	}
	if _, err := client.GroupMembers(ctx, forgetest.Repo, "../x/y"); err == nil || httpx.Status(err) != 0 {
		t.Errorf("a name that cannot be: %v", err)
	}
	for login, group := range map[string]string{"tim": "hello-sig", "eve": "hello-sig"} { // a stranger, and one of another team
		if err := f.SetToken("of "+login, fakeforge.Token{Login: login}); err != nil {
			t.Fatal(err)
		}
		c := &forgejo.Client{BaseURL: client.BaseURL, Token: "of " + login}
		if _, err := c.GroupMembers(ctx, forgetest.Repo, group); !httpx.Hidden(err) {
			t.Errorf("%s asks who is in %s: %v", login, group, err)
		}
	}
}

// TestMergedBy: a push does not say by which pull request it came, and one commit can
// come to several branches by a pull request each.
func TestMergedBy(t *testing.T) {
	t.Parallel()
	f, _, client := start(t, forgejofake.Config{})
	ctx := t.Context()
	sha, err := f.Commit(ctx, forgetest.Repo, fakeforge.Change{Branch: "next", Files: map[string]string{"x": "y"}})
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	for _, branch := range []string{"rawhide", "f44"} {
		pull, err := client.CreatePull(ctx, forgetest.Repo, forge.NewPull{Title: "Update", Target: branch, Source: "next"})
		if err != nil {
			t.Fatal(err)
		}
		numbers[branch] = pull.Number
	}
	by := func(branch, sha string) int {
		t.Helper()
		n, err := client.MergedBy(ctx, forgetest.Repo, branch, sha)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := by("f44", sha); n != numbers["f44"] {
		t.Errorf("before it was noted that it is merged: %d, want %d", n, numbers["f44"])
	}
	for branch, number := range numbers {
		if _, err := f.MergePull(ctx, forgetest.Repo, number, forgetest.Owner); err != nil {
			t.Fatal(err)
		}
		if n := by(branch, sha); n != number {
			t.Errorf("%s came by %d, want %d", branch, n, number)
		}
	}
	if _, err := f.Commit(ctx, forgetest.Repo, fakeforge.Change{Files: map[string]string{"z": "z"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Commit(ctx, forgetest.Repo, fakeforge.Change{Branch: "more", From: "f44", Files: map[string]string{"more": "y"}}); err != nil {
		t.Fatal(err)
	}
	beside, err := client.CreatePull(ctx, forgetest.Repo, forge.NewPull{Title: "More", Target: "rawhide", Source: "more"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.MergePull(ctx, forgetest.Repo, beside.Number, forgetest.Owner); err != nil {
		t.Fatal(err)
	}
	branches, err := client.Branches(ctx, forgetest.Repo)
	if err != nil {
		t.Fatal(err)
	}
	pull, err := client.Pull(ctx, forgetest.Repo, beside.Number)
	if err != nil || pull.Merge != branches["rawhide"] || pull.Merge == pull.Head {
		t.Errorf("merged beside another commit: %+v, %v, and rawhide is at %s", pull, err, branches["rawhide"])
	}
	if n := by("rawhide", branches["rawhide"]); n != beside.Number {
		t.Errorf("the commit of the merge came by %d, want %d", n, beside.Number)
	}
	direct, err := f.Commit(ctx, forgetest.Repo, fakeforge.Change{Files: map[string]string{"direct": "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := by("rawhide", direct); n != 0 {
		t.Errorf("a commit that was pushed came by %d", n)
	}
}

// TestStatusesWhereWeMay: a status is set where the pull request is, and where it
// comes from, as far as both are ours to write to.
func TestStatusesWhereWeMay(t *testing.T) {
	t.Parallel()
	f, _, client := start(t, forgejofake.Config{})
	ctx := t.Context()
	repo, err := client.Repository(ctx, forgetest.Repo)
	if err != nil {
		t.Fatal(err)
	}
	fork, err := client.Fork(ctx, forgetest.Repo, forgetest.Bot)
	if err != nil {
		t.Fatal(err)
	}
	forgetest.Update(t, repo, fork, "1.1", "1.1")
	pull, err := client.CreatePull(ctx, forgetest.Repo, forge.NewPull{Title: "Update", Target: "rawhide", SourceRepo: fork.Path, Source: "1.1"})
	if err != nil {
		t.Fatal(err)
	}
	status := forge.Status{Name: "koji", State: forge.Success, Text: "Built", URL: "https://example.org/1"}
	set := func(name string, here, there int) {
		t.Helper()
		if err := client.SetPullStatus(ctx, forgetest.Repo, pull, status); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]int{forgetest.Repo: here, fork.Path: there} {
			if all, err := client.Statuses(ctx, path, pull.Head); err != nil || len(all) != want {
				t.Errorf("%s: %s has %+v, %v", name, path, all, err)
			}
		}
	}
	set("who may not commit to the package", 0, 1)
	if err := f.SetAccess(forgetest.Repo, fakeforge.Access{Committers: []string{forgetest.Bot}}); err != nil {
		t.Fatal(err)
	}
	set("a committer", 1, 1)
	if err := f.SetToken("of tim", fakeforge.Token{Login: "tim"}); err != nil {
		t.Fatal(err)
	}
	stranger := &forgejo.Client{BaseURL: client.BaseURL, Token: "of tim"}
	if err := stranger.SetPullStatus(ctx, forgetest.Repo, pull, status); !forgejo.IsForbidden(err) {
		t.Errorf("a stranger: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	c := &forgejo.Client{BaseURL: "https://git.example.org/"}
	for got, want := range map[string]string{
		c.PullURL("rpms/hello", 12):                      "https://git.example.org/rpms/hello/pulls/12",
		c.CommitURL("rpms/hello", "abc"):                 "https://git.example.org/rpms/hello/commit/abc",
		c.FileURL("rpms/hello", "abc", "tests/a b.yaml"): "https://git.example.org/rpms/hello/src/commit/abc/tests/a%20b.yaml",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
