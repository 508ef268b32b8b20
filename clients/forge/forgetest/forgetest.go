// Package forgetest tests that the client of a forge does what the others do:
// the same story is told to each, over real HTTP and with real git.
package forgetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"millrace/clients/forge"
	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
)

// Client is what the clients of all forges can do.
type Client interface {
	Repository(ctx context.Context, repo string) (forge.Repository, error)
	Branches(ctx context.Context, repo string) (map[string]string, error)
	File(ctx context.Context, repo, ref, path string, limit int64) ([]byte, error)
	Retired(ctx context.Context, repo, branch string) (retired bool, why string, err error)
	HasCommit(ctx context.Context, repo, user, branch string) (bool, error)
	Access(ctx context.Context, repo string) (*forge.Access, error)
	Grant(ctx context.Context, repo string, g forge.Grant) error
	GroupMembers(ctx context.Context, repo, group string) ([]string, error)
	User(ctx context.Context) (string, error)
	RepositoriesOf(ctx context.Context, user, namespace string) ([]string, error)
	Version(ctx context.Context) (string, error)
	Fork(ctx context.Context, repo, user string) (forge.Repository, error)

	CreatePull(ctx context.Context, repo string, n forge.NewPull) (forge.PullRequest, error)
	Pull(ctx context.Context, repo string, number int) (forge.PullRequest, error)
	PullURL(repo string, number int) string
	Pulls(ctx context.Context, repo string, f forge.Filter) ([]forge.PullRequest, error)
	EditPull(ctx context.Context, repo string, number int, title, body string) error
	ClosePull(ctx context.Context, repo string, number int) error
	Comment(ctx context.Context, repo string, number int, text string) error
	Comments(ctx context.Context, repo string, number int) ([]forge.Comment, error)
	Stats(ctx context.Context, repo string, number int) ([]forge.Stat, error)
	MergedBy(ctx context.Context, repo, branch, sha string) (int, error)
	PushURL(ctx context.Context, repo, user string) (string, error)
	CommitURL(repo, sha string) string
	FileURL(repo, sha, path string) string

	SetPullStatus(ctx context.Context, repo string, p forge.PullRequest, s forge.Status) error
	SetCommitStatus(ctx context.Context, repo, sha string, s forge.Status) error
	Statuses(ctx context.Context, repo, sha string) ([]forge.Status, error)

	OpenIssues(ctx context.Context, repo, author string) ([]forge.Issue, error)
	CreateIssue(ctx context.Context, repo, title, body string) (forge.Issue, error)
	CommentIssue(ctx context.Context, repo string, number int, text string) error
	CloseIssue(ctx context.Context, repo string, number int) error
}

// The repository, the program and the person of the story.
const (
	Repo  = "rpms/hello"
	Bot   = "packit"
	Owner = "alice"
	Token = "a-secret-token" // of Bot
)

// Seed makes a forge with Repo, which has branches rawhide and f44.
func Seed(t *testing.T) *fakeforge.Forge {
	t.Helper()
	f, err := fakeforge.New(fakeforge.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	if err := errors.Join(f.CreateRepo(t.Context(), Repo, Owner), f.SetToken(Token, fakeforge.Token{Login: Bot})); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Commit(t.Context(), Repo, fakeforge.Change{Message: "Begin", Files: map[string]string{"hello.spec": "Name: hello\nVersion: 1.0\n", "sources": ""}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Branch(t.Context(), Repo, "f44", ""); err != nil {
		t.Fatal(err)
	}
	return f
}

// Update commits a new version to a branch of the bot's own, in a clone of the
// package, and pushes it to the fork, over what is there. It returns the commit.
func Update(t *testing.T, from, to forge.Repository, branch, version string) (sha string) {
	t.Helper()
	ctx, g := t.Context(), &git.Git{}
	dir := filepath.Join(t.TempDir(), "hello")
	repo, err := g.Init(ctx, dir, git.Remote{URL: from.CloneURL})
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(repo.Fetch(ctx, git.Remote{URL: from.CloneURL}))
	check(repo.CheckoutBranch(ctx, branch, "refs/remotes/origin/rawhide"))
	check(os.WriteFile(filepath.Join(dir, "hello.spec"), []byte("Name: hello\nVersion: "+version+"\n"), 0o644))
	check(repo.Add(ctx))
	sha, err = repo.Commit(ctx, "Update to "+version, git.Identity{Name: "Packit", Email: "packit@example.org"})
	check(err)
	remote := git.Remote{URL: to.CloneURL, Authorization: git.BasicAuth(Bot, Token)}
	check(repo.Push(ctx, remote, "HEAD", "refs/heads/"+branch, git.PushOptions{Force: true}))
	return sha
}

// Story proposes an update of the package in every way that a client can.
func Story(t *testing.T, f *fakeforge.Forge, c Client) {
	ctx := t.Context()
	repo, err := c.Repository(ctx, Repo)
	if err != nil || repo.DefaultBranch != "rawhide" || repo.Parent != "" || !strings.HasSuffix(repo.CloneURL, "/rpms/hello.git") {
		t.Fatalf("repository %+v, %v", repo, err)
	}
	if name, err := c.User(ctx); err != nil || name != Bot {
		t.Errorf("whose token it is: %q, %v", name, err)
	}
	looksAround(t, f, c)
	fork := forks(t, c)
	shares(t, f, c, fork)
	sha := Update(t, repo, fork, "1.1-rawhide", "1.1")
	n := forge.NewPull{Title: "Update to 1.1", Body: "Upstream tag: 1.1\n\nSays *everything*.", Target: "rawhide", SourceRepo: fork.Path, Source: "1.1-rawhide"}
	pull, err := c.CreatePull(ctx, Repo, n)
	if err != nil {
		t.Fatal(err)
	}
	want := forge.PullRequest{
		Number: 1, URL: c.PullURL(Repo, 1), Title: n.Title, Body: n.Body, Author: Bot, Open: true, Target: "rawhide", Source: n.Source,
		SourceRepo: fork.Path, First: sha, Head: sha,
	}
	unsure := cmpopts.IgnoreFields(forge.PullRequest{}, "Updated", "First")
	if diff := cmp.Diff(want, pull, unsure); diff != "" || pull.Updated.IsZero() || pull.First != "" && pull.First != sha {
		t.Fatalf("pull request (-want +got):\n%s", diff)
	}
	finds(t, c, fork, pull)
	changes(t, c, repo, fork, pull)
	says(t, c, pull)
	flags(t, c, pull.Number)
	ends(t, f, c, repo, fork)
}

func looksAround(t *testing.T, f *fakeforge.Forge, c Client) {
	t.Helper()
	ctx := t.Context()
	head, err := f.Bare(Repo).RevParse(ctx, "refs/heads/rawhide")
	if err != nil {
		t.Fatal(err)
	}
	branches, err := c.Branches(ctx, Repo)
	if diff := cmp.Diff(map[string]string{"rawhide": head, "f44": head}, branches); diff != "" || err != nil {
		t.Errorf("branches (-want +got):\n%s\n%v", diff, err)
	}
	text, err := c.File(ctx, Repo, "rawhide", "hello.spec", 1000)
	if err != nil || !strings.HasPrefix(string(text), "Name: hello\nVersion: 1.0\n") {
		t.Errorf("hello.spec: %q, %v", text, err)
	}
	if _, err := c.File(ctx, Repo, "rawhide", "hello.spec", 5); err == nil {
		t.Error("a file larger than wanted was read")
	}
	if _, err := f.Commit(ctx, Repo, fakeforge.Change{Branch: "f44", Files: map[string]string{"dead.package": "Nobody needs it.\n"}, Remove: []string{"hello.spec"}}); err != nil {
		t.Fatal(err)
	}
	if retired, why, err := c.Retired(ctx, Repo, "f44"); err != nil || !retired || why != "Nobody needs it." {
		t.Errorf("retired on f44: %t, %q, %v", retired, why, err)
	}
	if retired, _, err := c.Retired(ctx, Repo, "rawhide"); err != nil || retired {
		t.Errorf("retired on rawhide: %t, %v", retired, err)
	}
	belong(t, f, c)
	for user, want := range map[string]bool{Owner: true, Bot: false, "nobody": false} {
		if got, err := c.HasCommit(ctx, Repo, user, "rawhide"); err != nil || got != want {
			t.Errorf("%s may commit: %t, %v", user, got, err)
		}
	}
}

// belong lists what people have, more than a page of it.
func belong(t *testing.T, f *fakeforge.Forge, c Client) {
	t.Helper()
	ctx := t.Context()
	var many []string
	for i := range 103 {
		name := fmt.Sprintf("many-%03d", i)
		many = append(many, name)
		if err := f.CreateRepo(ctx, "rpms/"+name, "mona"); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(
		f.CreateRepo(ctx, "container/many-000", "mona"), f.SetGroup("looms", "lea"),
		f.SetAccess("rpms/many-007", fakeforge.Access{Admins: []string{"adm"}, Committers: []string{"com"}, Collaborators: map[string]string{"col": "epel*"}, CommitterGroups: []string{"looms"}}),
		f.SetAccess("rpms/many-005", fakeforge.Access{Ticketers: []string{"adm"}, Committers: []string{"com"}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string][]string{
		Owner: {"hello"}, "adm": {"many-007"}, "com": {"many-005", "many-007"}, "col": {"many-007"}, "lea": {"many-007"}, "nobody": nil, "mona": many,
	} {
		got, err := c.RepositoriesOf(ctx, user, "rpms")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("repositories of %s (-want +got):\n%s\n%v", user, diff, err)
		}
	}
	if _, err := c.RepositoriesOf(ctx, "../x", "rpms"); err == nil {
		t.Error("a name that is none was asked for")
	}
}

func forks(t *testing.T, c Client) forge.Repository {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fork, err := c.Fork(ctx, Repo, Bot)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Fork(ctx, Repo, Bot)
	if diff := cmp.Diff(fork, again); diff != "" || err != nil {
		t.Errorf("the fork, asked for again (-first +second):\n%s\n%v", diff, err)
	}
	if fork.Parent != Repo || fork.Owner != Bot || fork.DefaultBranch != "rawhide" {
		t.Errorf("fork %+v", fork)
	}
	return fork
}

// shares lets others commit to the fork, as whose it is may, and to nothing else.
func shares(t *testing.T, f *fakeforge.Forge, c Client, fork forge.Repository) {
	t.Helper()
	ctx := t.Context()
	if err := errors.Join(f.AddPerson("bo", "Bo"), f.AddPerson("cy", "Cy")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		grant forge.Grant
		want  []string // committers afterwards
	}{
		{forge.Grant{Name: "bo", Commit: true}, []string{"bo"}},
		{forge.Grant{Name: "bo", Commit: true}, []string{"bo"}},
		{forge.Grant{Name: "cy", Commit: true}, []string{"bo", "cy"}},
		{forge.Grant{Name: "bo"}, []string{"cy"}},
		{forge.Grant{Name: "cy"}, nil},
	} {
		if err := c.Grant(ctx, fork.Path, step.grant); err != nil {
			t.Errorf("%+v: %v", step.grant, err)
		}
		access, err := c.Access(ctx, fork.Path)
		if err != nil || access.Owner != Bot || len(access.Admins) != 0 || !slices.Equal(access.Committers, step.want) {
			t.Errorf("after %+v: %+v, %v", step.grant, access, err)
		}
	}
	if err := c.Grant(ctx, Repo, forge.Grant{Name: "bo", Commit: true}); err == nil || f.MayCommit(Repo, "bo", "rawhide") {
		t.Errorf("who may not change the rights of a package did: %v", err)
	}
	for _, name := range []string{"nobody-there", "../x"} {
		if err := c.Grant(ctx, fork.Path, forge.Grant{Name: name, Commit: true}); err == nil {
			t.Errorf("%s may commit", name)
		}
	}
}

func finds(t *testing.T, c Client, fork forge.Repository, pull forge.PullRequest) {
	t.Helper()
	tests := []struct {
		filter forge.Filter
		found  bool
	}{
		{forge.Filter{}, true},
		{forge.Filter{Target: "rawhide", Source: pull.Source, SourceRepo: fork.Path, Author: Bot}, true},
		{forge.Filter{Target: "f44"}, false},
		{forge.Filter{Source: "other"}, false},
		{forge.Filter{SourceRepo: Repo}, false},
		{forge.Filter{Author: Owner}, false},
	}
	for _, test := range tests {
		got, err := c.Pulls(t.Context(), Repo, test.filter)
		if err != nil || (len(got) == 1) != test.found {
			t.Errorf("open pull requests with %+v: %v, %v", test.filter, got, err)
		}
	}
	stats, err := c.Stats(t.Context(), Repo, pull.Number)
	if diff := cmp.Diff([]forge.Stat{{Path: "hello.spec", Status: "M", Added: 1, Removed: 1}}, stats); diff != "" || err != nil {
		t.Errorf("what it changes (-want +got):\n%s\n%v", diff, err)
	}
}

func changes(t *testing.T, c Client, repo, fork forge.Repository, pull forge.PullRequest) {
	t.Helper()
	ctx := t.Context()
	if err := c.EditPull(ctx, Repo, pull.Number, "Update to 1.2", "Newer."); err != nil {
		t.Fatal(err)
	}
	sha := Update(t, repo, fork, pull.Source, "1.2")
	got, err := c.Pull(ctx, Repo, pull.Number)
	if err != nil || got.Title != "Update to 1.2" || got.Body != "Newer." || got.Head != sha || got.Head == pull.Head {
		t.Errorf("after a push of %s: %+v, %v", sha, got, err)
	}
}

func says(t *testing.T, c Client, pull forge.PullRequest) {
	t.Helper()
	ctx := t.Context()
	for _, text := range []string{"First & foremost: <b>ü</b>", "Second"} {
		if err := c.Comment(ctx, Repo, pull.Number, text); err != nil {
			t.Fatal(err)
		}
	}
	comments, err := c.Comments(ctx, Repo, pull.Number)
	if err != nil || len(comments) != 2 || comments[0].Text != "First & foremost: <b>ü</b>" || comments[1].Author != Bot || comments[1].ID <= comments[0].ID || comments[0].Created.IsZero() {
		t.Errorf("comments %+v, %v", comments, err)
	}
}

func flags(t *testing.T, c Client, number int) {
	t.Helper()
	ctx := t.Context()
	pull, err := c.Pull(ctx, Repo, number)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []forge.Status{
		{Name: "koji - rawhide", State: forge.Pending, Text: "Waiting", URL: "https://example.org/1"},
		{Name: "tests", State: forge.Failure, Text: "Broken", URL: "https://example.org/2"},
		{Name: "koji - rawhide", State: forge.Success, Text: "Built", URL: "https://example.org/1"},
	} {
		if err := c.SetPullStatus(ctx, Repo, pull, s); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Statuses(ctx, Repo, pull.Head)
	if err != nil {
		// At forges that keep them there, they are in the fork.
		t.Fatal(err)
	}
	if len(got) == 0 {
		got, err = c.Statuses(ctx, pull.SourceRepo, pull.Head)
	}
	slices.SortFunc(got, func(a, b forge.Status) int { return strings.Compare(a.Name, b.Name) })
	want := []forge.Status{
		{Name: "koji - rawhide", State: forge.Success, Text: "Built", URL: "https://example.org/1"},
		{Name: "tests", State: forge.Failure, Text: "Broken", URL: "https://example.org/2"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("statuses (-want +got):\n%s\n%v", diff, err)
	}
}

func ends(t *testing.T, f *fakeforge.Forge, c Client, repo, fork forge.Repository) {
	t.Helper()
	ctx := t.Context()
	merged, err := f.MergePull(ctx, Repo, 1, Owner)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Pull(ctx, Repo, 1)
	if err != nil || got.Open || !got.Merged {
		t.Errorf("after the merge: %+v, %v", got, err)
	}
	if branches, err := c.Branches(ctx, Repo); err != nil || branches["rawhide"] != merged.Head {
		t.Errorf("rawhide after the merge of %s: %v, %v", merged.Head, branches, err)
	}
	Update(t, repo, fork, "1.3-rawhide", "1.3")
	second, err := c.CreatePull(ctx, Repo, forge.NewPull{Title: "Update to 1.3", Target: "rawhide", SourceRepo: fork.Path, Source: "1.3-rawhide"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ClosePull(ctx, Repo, second.Number); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Pull(ctx, Repo, second.Number); err != nil || got.Open || got.Merged {
		t.Errorf("after it was closed: %+v, %v", got, err)
	}
	if open, err := c.Pulls(ctx, Repo, forge.Filter{}); err != nil || len(open) != 0 {
		t.Errorf("still open: %+v, %v", open, err)
	}
}

// Issues opens, finds and closes issues.
func Issues(t *testing.T, f *fakeforge.Forge, c Client) {
	ctx := t.Context()
	if err := f.SwitchIssues(Repo, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.OpenIssue(Repo, Owner, "Another", "text"); err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateIssue(ctx, Repo, "Propose downstream failed for release 1.1", "A table.")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CommentIssue(ctx, Repo, made.Number, "Again."); err != nil {
		t.Fatal(err)
	}
	open, err := c.OpenIssues(ctx, Repo, Bot)
	want := []forge.Issue{{Number: made.Number, Title: "Propose downstream failed for release 1.1", Author: Bot, Text: "A table.", URL: made.URL}}
	if diff := cmp.Diff(want, open); diff != "" || err != nil || made.URL == "" {
		t.Errorf("open issues (-want +got):\n%s\n%v", diff, err)
	}
	if err := c.CloseIssue(ctx, Repo, made.Number); err != nil {
		t.Fatal(err)
	}
	if open, err = c.OpenIssues(ctx, Repo, ""); err != nil || len(open) != 1 || open[0].Author != Owner {
		t.Errorf("open issues after one was closed: %+v, %v", open, err)
	}
}
