package pagure_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/fedbus"
	"millrace/clients/forge"
	"millrace/clients/forge/forgetest"
	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
	"millrace/clients/httpx"
	"millrace/clients/pagure"
	"millrace/clients/pagure/pagurefake"
	"millrace/models"
)

var _ forgetest.Client = (*pagure.Client)(nil)

// bus keeps messages.
type bus struct {
	mu   sync.Mutex
	sent []message
}

type message struct {
	topic string
	body  []byte
}

func (b *bus) publish(topic string, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, message{topic, body})
}

// take returns the messages since it was last called.
func (b *bus) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	sent := b.sent
	b.sent = nil
	return sent
}

func start(t *testing.T, config pagurefake.Config) (*fakeforge.Forge, *pagurefake.Fake, *pagure.Client) {
	t.Helper()
	f := forgetest.Seed(t)
	server := httptest.NewUnstartedServer(nil)
	config.URL = "http://" + server.Listener.Addr().String()
	fake := pagurefake.New(f, config)
	server.Config.Handler = fake
	server.Start()
	t.Cleanup(func() { server.Close(); fake.Close() })
	return f, fake, &pagure.Client{BaseURL: server.URL, Token: forgetest.Token, Pause: 5 * time.Millisecond}
}

func TestStory(t *testing.T) {
	t.Parallel()
	f, _, client := start(t, pagurefake.Config{})
	forgetest.Story(t, f, client)
	forgetest.Issues(t, f, client)
}

// What happens is told on the bus in the words that the rest of us reads.
func TestMessages(t *testing.T) {
	t.Parallel()
	b := new(bus)
	f, fake, client := start(t, pagurefake.Config{Publish: b.publish})
	ctx := t.Context()
	repo, err := client.Repository(ctx, forgetest.Repo)
	if err != nil {
		t.Fatal(err)
	}
	fork, err := client.Fork(ctx, forgetest.Repo, forgetest.Bot)
	if err != nil {
		t.Fatal(err)
	}
	b.take()
	before, err := f.Bare(forgetest.Repo).RevParse(ctx, "refs/heads/rawhide")
	if err != nil {
		t.Fatal(err)
	}
	forgetest.Update(t, repo, fork, "update", "1.1")
	pull, err := client.CreatePull(ctx, forgetest.Repo, forge.NewPull{Title: "Update to 1.1", Target: "rawhide", SourceRepo: fork.Path, Source: "update"})
	if err != nil {
		t.Fatal(err)
	}
	head := forgetest.Update(t, repo, fork, "update", "1.2")
	if err := client.Comment(ctx, forgetest.Repo, pull.Number, "/packit build"); err != nil {
		t.Fatal(err)
	}
	status := forge.Status{Name: "koji", State: forge.Pending, Text: "Waiting", URL: "https://example.org/1"}
	if err := client.SetPullStatus(ctx, forgetest.Repo, pull, status); err != nil {
		t.Fatal(err)
	}
	if _, err := f.MergePull(ctx, forgetest.Repo, pull.Number, forgetest.Owner); err != nil {
		t.Fatal(err)
	}
	var topics []string
	var said []*models.Message
	for _, m := range b.take() {
		topics = append(topics, strings.TrimPrefix(m.topic, "org.fedoraproject.prod.pagure."))
		parsed, reason, err := fedbus.Parser{DistGit: client.BaseURL}.ParseEvent(m.topic, m.body)
		if err != nil || parsed == nil && !strings.Contains(reason, "nothing is done") {
			t.Errorf("%s: %q, %v\n%s", m.topic, reason, err, m.body)
		}
		if parsed != nil {
			said = append(said, parsed)
		}
	}
	wantTopics := []string{
		"git.receive", "pull-request.new", "git.receive", "pull-request.rebased", "pull-request.comment.added", "pull-request.flag.added",
		"pull-request.closed", "git.receive",
	}
	if diff := cmp.Diff(wantTopics, topics); diff != "" {
		t.Fatalf("topics (-want +got):\n%s", diff)
	}
	last := said[len(said)-1]
	want := &models.Message{
		Kind: models.PushEvent, ProjectURL: client.BaseURL + "/rpms/hello", PR: 1, Branch: "rawhide", Commit: head, CommitBefore: before,
		Actor: forgetest.Owner, Changed: []string{"hello.spec"},
	}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("the push of the merge (-want +got):\n%s", diff)
	}
	comment := said[4]
	if comment.Kind != models.CommentEvent || comment.Comment != "/packit build" || comment.Actor != forgetest.Bot || comment.Commit != head {
		t.Errorf("the comment: %+v", comment)
	}
	trouble(t, f, fake, b)
}

func trouble(t *testing.T, f *fakeforge.Forge, fake *pagurefake.Fake, b *bus) {
	t.Helper()
	comment := func() int {
		t.Helper()
		if _, err := f.CommentPull(forgetest.Repo, 1, forgetest.Owner, "x"); err != nil {
			t.Fatal(err)
		}
		return len(b.take())
	}
	for _, test := range []struct {
		faults pagurefake.Faults
		want   int
	}{{pagurefake.Faults{LoseEvery: 1}, 0}, {pagurefake.Faults{DoubleEvery: 1}, 2}, {pagurefake.Faults{Late: time.Hour}, 0}, {pagurefake.Faults{}, 1}} {
		fake.SetFaults(test.faults)
		if got := comment(); got != test.want {
			t.Errorf("with %+v: %d messages, want %d", test.faults, got, test.want)
		}
	}
}

// A fork that takes long is waited for, and no other is asked for meanwhile.
func TestForkTakesLong(t *testing.T) {
	t.Parallel()
	_, fake, client := start(t, pagurefake.Config{})
	fake.SetFaults(pagurefake.Faults{ForksTake: 100 * time.Millisecond})
	fork, err := client.Fork(t.Context(), forgetest.Repo, forgetest.Bot)
	if err != nil || fork.DefaultBranch != "rawhide" {
		t.Fatalf("fork %+v, %v", fork, err)
	}

	_, fake, client = start(t, pagurefake.Config{})
	fake.SetFaults(pagurefake.Faults{ForksTake: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Fork(ctx, forgetest.Repo, forgetest.Bot); !httpx.Temporary(err) {
		t.Errorf("a fork that never comes: %v, want a temporary error", err)
	}
	// Somebody made the fork since we looked.
	f, _, client := start(t, pagurefake.Config{})
	if _, err := f.Fork(t.Context(), forgetest.Repo, forgetest.Bot, 0); err != nil {
		t.Fatal(err)
	}
	client.HTTP = &http.Client{Transport: &blind{}, Timeout: time.Minute}
	if fork, err := client.Fork(t.Context(), forgetest.Repo, forgetest.Bot); err != nil || fork.Parent != forgetest.Repo {
		t.Errorf("a fork that was made meanwhile: %+v, %v", fork, err)
	}
	// The answer to the first call was lost, or another worker was faster.
	_, fake, client = start(t, pagurefake.Config{})
	fake.SetFaults(pagurefake.Faults{Match: "POST", DropEvery: 1})
	if _, err := client.Fork(t.Context(), forgetest.Repo, forgetest.Bot); !httpx.Temporary(err) {
		t.Errorf("a fork whose answer is lost: %v, want a temporary error", err)
	}
	fake.SetFaults(pagurefake.Faults{})
	if _, err := client.Fork(t.Context(), forgetest.Repo, forgetest.Bot); err != nil {
		t.Errorf("the fork after that: %v", err)
	}
}

// blind does not see what it is asked for first.
type blind struct{ asked atomic.Bool }

func (b *blind) RoundTrip(req *http.Request) (*http.Response, error) {
	if b.asked.Swap(true) {
		return http.DefaultTransport.RoundTrip(req)
	}
	body := io.NopCloser(strings.NewReader(`{"error":"Project not found","error_code":"ENOPROJECT"}`))
	return &http.Response{StatusCode: http.StatusNotFound, Header: make(http.Header), Body: body, Request: req}, nil
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f, _, client := start(t, pagurefake.Config{})
	ctx := t.Context()
	fork, err := client.Fork(ctx, forgetest.Repo, forgetest.Bot)
	if err != nil {
		t.Fatal(err)
	}
	for secret, token := range map[string]fakeforge.Token{
		"few":     {Login: forgetest.Bot, Rights: []string{"fork_project", "pull_request_comment"}},
		"expired": {Login: forgetest.Bot, Expires: f.Now().Add(-time.Minute)},
		"other":   {Login: "mallory"},
	} {
		if err := f.SetToken(secret, token); err != nil {
			t.Fatal(err)
		}
	}
	n := forge.NewPull{Title: "Update", Target: "rawhide", SourceRepo: fork.Path, Source: "rawhide"}
	tests := []struct {
		name, token string
		n           forge.NewPull
		says, words string
		is          func(error) bool
	}{
		{"a token that lacks a right", "few", n, "Missing ACLs: pull_request_create", "lacks the right pull_request_create", pagure.IsToken},
		{"an expired token", "expired", n, "Expired token", "has expired", pagure.IsToken},
		{"an unknown token", "guessed", n, "Invalid token", "does not know", pagure.IsToken},
		{"no token", "", n, "Invalid token", "does not know", pagure.IsToken},
		{"somebody else's fork", "other", n, "sufficient permissions", "may not commit", pagure.IsForbidden},
		{"no title", forgetest.Token, forge.NewPull{Target: "rawhide", SourceRepo: fork.Path, Source: "rawhide"}, "title: This field is required.", "", nil},
		{"no such branch", forgetest.Token, forge.NewPull{Title: "x", Target: "f99", SourceRepo: fork.Path, Source: "rawhide"}, "f99", "", nil},
		{"no such fork", forgetest.Token, forge.NewPull{Title: "x", Target: "f44", SourceRepo: "forks/x/rpms/hello", Source: "rawhide"}, "Project not found", "", pagure.IsNotFound},
	}
	for _, test := range tests {
		c := *client
		c.Token = test.token
		_, err := c.CreatePull(ctx, forgetest.Repo, test.n)
		if err == nil || !strings.Contains(err.Error(), test.says) || httpx.Temporary(err) || (test.is != nil && !test.is(err)) {
			t.Errorf("%s: %v", test.name, err)
		}
		if words := pagure.Words(err); (words == "") != (test.words == "") || !strings.Contains(words, test.words) {
			t.Errorf("%s in words: %q", test.name, words)
		}
	}
	if err := f.SwitchPulls(forgetest.Repo, false); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreatePull(ctx, forgetest.Repo, n); !pagure.IsSwitchedOff(err) || pagure.IsNotFound(err) || pagure.Words(err) == "" {
		t.Errorf("a pull request where there are none: %v", err)
	}
	if _, err := client.OpenIssues(ctx, forgetest.Repo, ""); !pagure.IsSwitchedOff(err) {
		t.Errorf("issues where there are none: %v", err)
	}
	if _, err := client.Pull(ctx, forgetest.Repo, 99); !pagure.IsNotFound(err) {
		t.Errorf("a pull request that is not there: %v", err)
	}
}

// Many open pull requests come on several pages, each once.
func TestManyPulls(t *testing.T) {
	t.Parallel()
	f, _, client := start(t, pagurefake.Config{})
	if _, err := f.Commit(t.Context(), forgetest.Repo, fakeforge.Change{Branch: "next", Files: map[string]string{"x": "y"}}); err != nil {
		t.Fatal(err)
	}
	const many = 105
	for range many {
		if _, err := f.OpenPull(t.Context(), forgetest.Repo, fakeforge.NewPull{Title: "x", Author: "alice", Branch: "rawhide", HeadBranch: "next"}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.Pulls(t.Context(), forgetest.Repo, forge.Filter{Target: "rawhide"})
	if err != nil || len(got) != many || got[0].Number != many || got[many-1].Number != 1 {
		t.Errorf("%d pull requests, %v", len(got), err)
	}
}

func TestExtras(t *testing.T) {
	t.Parallel()
	_, fake, client := start(t, pagurefake.Config{})
	ctx := t.Context()
	if orphaned, _, err := client.Orphaned(ctx, forgetest.Repo); err != nil || orphaned {
		t.Errorf("orphaned: %t, %v", orphaned, err)
	}
	if err := fake.Orphan(forgetest.Repo, "Lack of time"); err != nil {
		t.Fatal(err)
	}
	if orphaned, why, err := client.Orphaned(ctx, forgetest.Repo); err != nil || !orphaned || why != "Lack of time" {
		t.Errorf("orphaned: %t, %q, %v", orphaned, why, err)
	}
	if err := fake.SetMonitoring(forgetest.Repo, "monitoring-with-scratch"); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Monitoring(ctx, forgetest.Repo); err != nil || got != "monitoring-with-scratch" {
		t.Errorf("monitoring: %q, %v", got, err)
	}
	if got, err := client.PushURL(ctx, "forks/packit/rpms/hello", "packit"); !pagure.IsNotFound(err) {
		t.Errorf("push address of no fork: %q, %v", got, err)
	}
	got, err := client.PushURL(ctx, forgetest.Repo, "packit")
	if want := "ssh://packit@" + strings.TrimPrefix(client.BaseURL, "http://") + "/rpms/hello.git"; err != nil || got != want {
		t.Errorf("push address %q, %v", got, err)
	}
}

// Who may push what is what the forge says, also to git.
func TestPushRights(t *testing.T) {
	t.Parallel()
	f, _, client := start(t, pagurefake.Config{})
	ctx := t.Context()
	if err := f.SetAccess(forgetest.Repo, fakeforge.Access{Collaborators: map[string]string{forgetest.Bot: "epel*, f4[34]"}}); err != nil {
		t.Fatal(err)
	}
	repo, err := client.Repository(ctx, forgetest.Repo)
	if err != nil {
		t.Fatal(err)
	}
	clone, err := (&git.Git{}).Init(ctx, filepath.Join(t.TempDir(), "hello"), git.Remote{URL: repo.CloneURL})
	if err != nil {
		t.Fatal(err)
	}
	if err := clone.Fetch(ctx, git.Remote{URL: repo.CloneURL}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		user, password, branch string
		want                   bool
	}{
		{forgetest.Bot, forgetest.Token, "epel10", true},
		{forgetest.Bot, forgetest.Token, "f43", true},
		{forgetest.Bot, forgetest.Token, "f42", false},
		{forgetest.Owner, forgetest.Token, "epel9", false},
		{forgetest.Bot, "guessed", "epel9", false},
	}
	for _, test := range tests {
		remote := git.Remote{URL: repo.CloneURL, Authorization: git.BasicAuth(test.user, test.password)}
		err := clone.Push(ctx, remote, "refs/remotes/origin/rawhide", "refs/heads/"+test.branch, git.PushOptions{})
		if (err == nil) != test.want || err != nil && (!errors.Is(err, git.ErrDenied) || strings.Contains(err.Error(), test.password)) {
			t.Errorf("push of %s to %s: %v", test.user, test.branch, err)
		}
		branches, err := client.Branches(ctx, forgetest.Repo)
		if _, there := branches[test.branch]; err != nil || there != test.want {
			t.Errorf("%s is there: %t, %v", test.branch, there, err)
		}
	}
	// All or nothing, and only over what is expected to be there.
	if _, err := f.Commit(ctx, forgetest.Repo, fakeforge.Change{Branch: "epel10", Files: map[string]string{"x": "y"}}); err != nil {
		t.Fatal(err)
	}
	remote := git.Remote{URL: repo.CloneURL, Authorization: git.BasicAuth(forgetest.Bot, forgetest.Token)}
	push := func(branch, expect string) git.Update {
		return git.Update{Rev: "refs/remotes/origin/rawhide", Ref: "refs/heads/" + branch, PushOptions: git.PushOptions{Expect: expect}}
	}
	if err := clone.PushAll(ctx, remote, push("epel7", ""), push("epel10", strings.Repeat("0", 40))); !errors.Is(err, git.ErrRejected) {
		t.Errorf("push over what is not expected: %v", err)
	}
	if branches, err := client.Branches(ctx, forgetest.Repo); err != nil || branches["epel7"] != "" {
		t.Errorf("half of a push was kept: %v, %v", branches, err)
	}
	if err := clone.PushAll(ctx, remote, push("epel7", ""), push("epel8", strings.Repeat("0", 40))); err != nil {
		t.Errorf("push of two: %v", err)
	}
}
