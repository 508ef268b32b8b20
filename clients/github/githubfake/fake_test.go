package githubfake

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/git"
	"millrace/clients/github"
	"millrace/models"
)

const secret = "s3cret"

// testWorld is a fake, its server, and a receiver of its webhooks.
type testWorld struct {
	*Fake
	t   *testing.T
	URL string

	mu   sync.Mutex
	got  []received
	code int // what the receiver answers
}

type received struct {
	event, guid string
	message     *models.Message // nil if there is nothing to do
	payload     map[string]any
}

func (r received) String() string {
	action, _ := r.payload["action"].(string)
	return strings.TrimSuffix(r.event+"."+action, ".")
}

func newWorld(t *testing.T, config Config) *testWorld {
	t.Helper()
	w := &testWorld{t: t, code: http.StatusAccepted}
	receiver := httptest.NewServer(w)
	t.Cleanup(receiver.Close)
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	config.WebhookURL, config.WebhookSecret, config.OpenPush = receiver.URL, secret, true
	config.Tokens = map[string]string{"bob's": "bob", "ann's": "ann"}
	f, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	w.Fake = f
	server := httptest.NewServer(f)
	t.Cleanup(f.Close)
	t.Cleanup(server.Close)
	w.URL = server.URL
	f.SetURL(server.URL)
	return w
}

// seeded has a repository with the App installed, and no webhooks so far.
func seeded(t *testing.T) *testWorld {
	t.Helper()
	w := newWorld(t, Config{})
	_, err := w.CreateRepo(t.Context(), "example", "hello", map[string]string{"README": "hello\n"}, RepoOptions{Collaborators: map[string]string{"ann": "write"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Install("example"); err != nil {
		t.Fatal(err)
	}
	w.events()
	return w
}

func (w *testWorld) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	delivery, err := github.ParseWebhook(r.Header, body, []string{secret})
	if err != nil {
		w.t.Errorf("webhook that our handler refuses: %v", err)
		return
	}
	message, ignored, err := github.ParseEvent(r.Header.Get("X-GitHub-Event"), delivery.Body)
	if err != nil || message == nil && ignored == "" {
		w.t.Errorf("webhook that our parser refuses: %v\n%s", err, body)
	}
	got := received{message: message, event: r.Header.Get("X-GitHub-Event"), guid: r.Header.Get("X-GitHub-Delivery")}
	if err := json.Unmarshal(body, &got.payload); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, got)
	rw.WriteHeader(w.code)
}

// take waits until all webhooks have come and returns them, once.
func (w *testWorld) take() []received {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	if err := w.Flush(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.got
	w.got = nil
	return got
}

func (w *testWorld) events() []string {
	w.t.Helper()
	var all []string
	for _, r := range w.take() {
		all = append(all, r.String())
	}
	return all
}

func (w *testWorld) want(what string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.events()); diff != "" {
		w.t.Errorf("webhooks of %s (-want +got):\n%s", what, diff)
	}
}

// at follows a path like "pull_request.head.sha" into a payload.
func at(payload any, path string) any {
	for _, name := range strings.Split(path, ".") {
		fields, ok := payload.(map[string]any)
		if !ok {
			return nil
		}
		payload = fields[name]
	}
	return payload
}

// cli runs git as a person would.
func (w *testWorld) cli(dir string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Bob", "GIT_AUTHOR_EMAIL=bob@example.org", "GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit changes a file in a work tree.
func (w *testWorld) commit(dir, text string) string {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.cli(dir, "commit", "-q", "-a", "-m", "Change README")
	return w.cli(dir, "rev-parse", "HEAD")
}

// call uses the REST API as a user.
func (w *testWorld) call(token, method, path string, in any) (int, map[string]any) {
	w.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequest(method, w.URL+"/api/v3"+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil && res.StatusCode != http.StatusNoContent {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, out
}

// A person clones, pushes a branch to a fork, opens a pull request, pushes
// again, and a maintainer merges.
func TestContribution(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	if status, _ := w.call("bob's", "POST", "/repos/example/hello/forks", map[string]string{}); status != 202 {
		t.Fatalf("fork = %d", status)
	}
	dir := filepath.Join(t.TempDir(), "hello")
	w.cli("/", "clone", "-q", strings.Replace(w.URL, "://", "://bob:bob's@", 1)+"/bob/hello", dir)
	w.cli(dir, "checkout", "-q", "-b", "topic")
	first := w.commit(dir, "hallo\n")
	w.cli(dir, "push", "-q", "origin", "topic")
	w.want("a push to a fork without the App")

	status, pull := w.call("bob's", "POST", "/repos/example/hello/pulls", map[string]string{"title": "Translate", "head": "bob:topic", "base": "main"})
	if status != 201 || at(pull, "head.sha") != first {
		t.Fatalf("pull request = %d %v", status, pull["message"])
	}
	opened := w.take()
	if len(opened) != 1 || opened[0].String() != "pull_request.opened" {
		t.Fatalf("webhooks = %v", opened)
	}
	for path, want := range map[string]any{
		"number": 1.0, "pull_request.head.sha": first, "pull_request.head.ref": "topic", "pull_request.head.repo.full_name": "bob/hello",
		"pull_request.head.repo.owner.login": "bob", "pull_request.base.ref": "main", "pull_request.base.repo.full_name": "example/hello",
		"pull_request.user.login": "bob", "repository.full_name": "example/hello", "repository.html_url": w.URL + "/example/hello",
		"sender.login": "bob", "installation.id": float64(w.Installations()[0].ID),
	} {
		if got := at(opened[0].payload, path); got != want {
			t.Errorf("%s = %v, want %v", path, got, want)
		}
	}

	if m := opened[0].message; m == nil || m.PR != 1 || m.Commit != first || m.ProjectURL != w.URL+"/example/hello" ||
		m.SourceProjectURL != w.URL+"/bob/hello" || m.Installation != w.Installations()[0].ID {
		t.Errorf("our parser reads %+v", m)
	}

	second := w.commit(dir, "salut\n")
	w.cli(dir, "push", "-q", "origin", "topic")
	pushed := w.take()
	if len(pushed) != 1 || pushed[0].String() != "pull_request.synchronize" ||
		at(pushed[0].payload, "before") != first || at(pushed[0].payload, "after") != second {
		t.Fatalf("webhooks of a push = %v", pushed)
	}
	if head := w.cli("/", "ls-remote", w.URL+"/example/hello.git", "refs/pull/1/head"); !strings.HasPrefix(head, second) {
		t.Errorf("refs/pull/1/head = %q, want %s", head, second)
	}
	if status, _ := w.call("bob's", "PUT", "/repos/example/hello/pulls/1/merge", nil); status != 404 {
		t.Errorf("merge by a stranger = %d, want 404", status)
	}
	if status, _ := w.call("ann's", "PUT", "/repos/example/hello/pulls/1/merge", nil); status != 200 {
		t.Errorf("merge = %d", status)
	}
	w.want("a merge", "push", "pull_request.closed")
	if p, err := w.Pull("example/hello", 1); !p.Merged || p.MergedBy != "ann" || err != nil {
		t.Errorf("Pull = %+v, %v", p, err)
	}
}

func TestPushes(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	dir := filepath.Join(t.TempDir(), "hello")
	w.cli("/", "clone", "-q", w.URL+"/example/hello.git", dir)
	before := w.cli(dir, "rev-parse", "HEAD")
	after := w.commit(dir, "one\n")
	w.cli(dir, "push", "-q", "origin", "main")
	got := w.take()
	if len(got) != 1 || got[0].event != "push" {
		t.Fatalf("webhooks = %v", got)
	}
	for path, want := range map[string]any{
		"ref": "refs/heads/main", "before": before, "after": after, "created": false, "deleted": false, "forced": false,
		"head_commit.id": after, "head_commit.message": "Change README", "pusher.name": "example",
	} {
		if value := at(got[0].payload, path); value != want {
			t.Errorf("%s = %v, want %v", path, value, want)
		}
	}
	w.cli(dir, "reset", "-q", "--hard", before)
	w.commit(dir, "two\n")
	w.cli(dir, "push", "-q", "-f", "origin", "main")
	if got := w.take(); len(got) != 1 || at(got[0].payload, "forced") != true {
		t.Errorf("webhooks of a forced push = %v", got)
	}
	w.cli(dir, "tag", "v1")
	w.cli(dir, "push", "-q", "origin", "v1", "HEAD:refs/heads/other")
	w.want("a new branch and a tag", "push", "create", "push", "create")
	w.cli(dir, "push", "-q", "origin", ":other")
	w.want("a deleted branch", "push", "delete")
	// Large pushes come in chunks of unknown length.
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(i*i*31>>7) ^ byte(i*7919>>3) ^ byte(i)
	}
	w.commit(dir, string(noise))
	w.cli(dir, "-c", "http.postBuffer=1000", "-c", "core.compression=0", "push", "-q", "origin", "main")
	w.want("a large push", "push")
	if out, err := exec.Command("git", "-C", dir, "push", "-q", "origin", "HEAD:refs/pull/9/head").CombinedOutput(); err == nil {
		t.Errorf("the head of a pull request could be pushed: %s", out)
	}
}

// Without OpenPush one has to be somebody.
func TestPushNeedsAPassword(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	w.config.OpenPush = false // before anybody asks
	dir := filepath.Join(t.TempDir(), "hello")
	w.cli("/", "clone", "-q", w.URL+"/example/hello.git", dir)
	w.commit(dir, "one\n")
	for who, want := range map[string]bool{"": false, "x:wrong@": false, "bob:bob's@": false, "ann:ann's@": true} {
		cmd := exec.Command("git", "-C", dir, "push", "-q", strings.Replace(w.URL, "://", "://"+who, 1)+"/example/hello.git", "main")
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
		if out, err := cmd.CombinedOutput(); (err == nil) != want {
			t.Errorf("push by %q: %v %s, want success %v", who, err, out, want)
		}
	}
}

func TestActionsAreTold(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sha, err := w.Commit(ctx, "example/hello", Change{Branch: "topic", Author: "ann", Files: map[string]string{"x": "y"}})
	must(err)
	w.want("a commit", "push", "create")
	p, err := w.OpenPull(ctx, "example/hello", NewPull{Title: "T", Head: "topic"})
	must(err)
	for _, label := range []string{"a", "a"} {
		_, err = w.LabelPull("example/hello", p.Number, label, "ann")
		must(err)
	}
	_, err = w.UnlabelPull("example/hello", p.Number, "a", "ann")
	must(err)
	_, err = w.EditPull("example/hello", p.Number, "New", "", "ann")
	must(err)
	_, err = w.ClosePull("example/hello", p.Number, "ann")
	must(err)
	_, err = w.Commit(ctx, "example/hello", Change{Branch: "topic", Files: map[string]string{"x": "z"}})
	must(err)
	reopened, err := w.ReopenPull(ctx, "example/hello", p.Number, "ann")
	must(err)
	if reopened.HeadSHA == sha || reopened.State != "open" || !reopened.Closed.IsZero() {
		t.Errorf("reopened = %+v", reopened)
	}
	w.want("a pull request's life", "pull_request.opened", "pull_request.labeled", "pull_request.unlabeled", "pull_request.edited",
		"pull_request.closed", "push", "pull_request.reopened")
	comment, err := w.Comment("example/hello", p.Number, "bob", "/packit build")
	must(err)
	_, err = w.EditComment("example/hello", comment.ID, "/packit test", "")
	must(err)
	issue, err := w.OpenIssue("example/hello", "bob", "It breaks", "")
	must(err)
	_, err = w.Comment("example/hello", issue.Number, "bob", "here too")
	must(err)
	_, err = w.CommentCommit(ctx, "example/hello", sha, "bob", "/packit build")
	must(err)
	must(w.CloseIssue("example/hello", issue.Number, ""))
	got := w.take()
	var names []string
	for _, r := range got {
		names = append(names, r.String())
	}
	want := []string{"issue_comment.created", "issue_comment.edited", "issues.opened", "issue_comment.created", "commit_comment.created", "issues.closed"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatalf("webhooks of comments (-want +got):\n%s", diff)
	}
	if at(got[0].payload, "issue.pull_request.url") == nil || at(got[3].payload, "issue.pull_request") != nil {
		t.Error("only comments of pull requests may have issue.pull_request")
	}
	_, err = w.PublishRelease(ctx, "example/hello", NewRelease{Tag: "v1.0"})
	must(err)
	w.want("a release", "push", "create", "release.created", "release.published", "release.released")
	if _, err := w.PublishRelease(ctx, "example/hello", NewRelease{Tag: "v1.0"}); err == nil {
		t.Error("a release could be published twice")
	}
	must(w.Uninstall("example"))
	w.want("an uninstallation", "installation.deleted")
	_, err = w.Comment("example/hello", p.Number, "bob", "anybody there?")
	must(err)
	w.want("a comment without the App")
}

func TestChecksAreReRequested(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	sha := w.Branches("example/hello")["main"]
	token := w.token()
	status, run := w.call(token, "POST", "/repos/example/hello/check-runs", map[string]any{"name": "build", "head_sha": sha, "external_id": "5"})
	if status != 201 || run["status"] != "queued" || run["conclusion"] != nil {
		t.Fatalf("check run = %d %v", status, run)
	}
	for _, bad := range []map[string]any{
		{"status": "completed"}, {"details_url": ""}, {"conclusion": "stale"}, {"output": map[string]any{"title": "x"}},
		{"actions": []map[string]any{{"label": "a very long label indeed", "description": "d", "identifier": "i"}}},
	} {
		if status, _ := w.call(token, "PATCH", fmt.Sprintf("/repos/example/hello/check-runs/%.0f", run["id"]), bad); status != 422 {
			t.Errorf("PATCH %v = %d, want 422", bad, status)
		}
	}
	id := w.CheckRuns("example/hello", sha)[0].ID
	if status, _ := w.call("ann's", "POST", fmt.Sprintf("/repos/example/hello/check-runs/%d/rerequest", id), nil); status != 201 {
		t.Errorf("rerequest = %d", status)
	}
	if err := errors.Join(w.Rerequest("example/hello", id, "ann"), w.RequestAction("example/hello", id, "retry", "ann"),
		w.RerequestAll("example/hello", sha, "ann")); err != nil {
		t.Fatal(err)
	}
	got := w.take()
	if len(got) != 5 || at(got[2].payload, "check_run.external_id") != "5" || at(got[2].payload, "sender.login") != "ann" ||
		at(got[2].payload, "check_run.app.slug") != "millrace" || at(got[3].payload, "requested_action.identifier") != "retry" ||
		got[4].String() != "check_suite.rerequested" {
		t.Errorf("webhooks = %v", got)
	}
	if r := w.Reports("example/hello"); len(r) != 1 || !r[0].Created || r[0].ExternalID != "5" {
		t.Errorf("reports = %+v", r)
	}
}

// token is one of the installation on example.
func (w *testWorld) token() string {
	w.Fake.mu.Lock()
	defer w.Fake.mu.Unlock()
	token, _ := w.newToken(w.Fake.world.Installations[0])
	return token
}

func TestDeliveryFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		faults Faults
		want   []string
	}{
		{"none", Faults{}, []string{"1", "2", "3", "4"}},
		{"lost", Faults{HookLoseEvery: 2}, []string{"1", "3"}},
		{"doubled", Faults{HookDoubleEvery: 3}, []string{"1", "2", "3", "3", "4"}},
		{"out of order", Faults{HookSwapEvery: 2}, []string{"1", "3", "2", "4"}},
		{"last one out of order", Faults{HookSwapEvery: 4}, []string{"1", "2", "3", "4"}},
		{"late", Faults{HookDelay: 20 * time.Millisecond}, []string{"1", "2", "3", "4"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := seeded(t)
			i, err := w.OpenIssue("example/hello", "bob", "It breaks", "")
			if err != nil {
				t.Fatal(err)
			}
			w.take()
			w.SetFaults(test.faults)
			for n := 1; n <= 4; n++ {
				if _, err := w.Comment("example/hello", i.Number, "bob", fmt.Sprint(n)); err != nil {
					t.Fatal(err)
				}
			}
			guids := make(map[string]string)
			var got []string
			for _, r := range w.take() {
				body := at(r.payload, "comment.body").(string)
				if old, ok := guids[r.guid]; ok && old != body {
					t.Errorf("two webhooks share the GUID %s", r.guid)
				}
				guids[r.guid] = body
				got = append(got, body)
			}
			if test.name == "late" {
				slices.Sort(got)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("webhooks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRedelivery(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	w.code = http.StatusInternalServerError
	if _, err := w.OpenIssue("example/hello", "bob", "It breaks", ""); err != nil {
		t.Fatal(err)
	}
	first := w.take()
	log := w.Deliveries()
	d := log[len(log)-1]
	if len(first) != 1 || d.State != "refused" || d.StatusCode != 500 || d.Attempts != 1 {
		t.Fatalf("%d webhooks, delivery %+v", len(first), d)
	}
	w.mu.Lock()
	w.code = http.StatusOK
	w.mu.Unlock()
	if err := w.Redeliver(d.ID); err != nil {
		t.Fatal(err)
	}
	again := w.take()
	log = w.Deliveries()
	if d := log[len(log)-1]; len(again) != 1 || again[0].guid != first[0].guid || d.State != "delivered" || d.Attempts != 2 {
		t.Errorf("redelivered %v, delivery %+v", again, d)
	}
	w.SetWebhook("http://127.0.0.1:1/", secret)
	if err := w.Redeliver(d.ID); err != nil {
		t.Fatal(err)
	}
	w.take()
	log = w.Deliveries()
	if d := log[len(log)-1]; d.State != "unreachable" {
		t.Errorf("delivery to nobody = %+v", d)
	}
}

// What another process finds after this one was killed: nothing is closed
// here but the one that takes over.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	ctx := t.Context()
	sha, err := w.Commit(ctx, "example/hello", Change{Branch: "topic", Files: map[string]string{"x": "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.OpenPull(ctx, "example/hello", NewPull{Title: "T", Head: "topic"}); err != nil {
		t.Fatal(err)
	}
	token := w.token()
	if status, _ := w.call(token, "POST", "/repos/example/hello/check-runs", map[string]any{"name": "build", "head_sha": sha}); status != 201 {
		t.Fatalf("check run = %d", status)
	}
	w.take()
	// A push that the process did not live to notice.
	if _, err := w.run(ctx, "example/hello", nil, "update-ref", "refs/heads/topic", w.Branches("example/hello")["main"]); err != nil {
		t.Fatal(err)
	}

	after := newWorld(t, Config{Dir: w.config.Dir})
	if diff := cmp.Diff(w.CheckRuns("example/hello", ""), after.CheckRuns("example/hello", "")); diff != "" {
		t.Errorf("check runs (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(w.Reports("example/hello"), after.Reports("example/hello")); diff != "" {
		t.Errorf("reports (-before +after):\n%s", diff)
	}
	after.want("an unnoticed push", "push", "pull_request.synchronize")
	if n := len(after.Deliveries()); n != len(w.Deliveries())+2 {
		t.Errorf("%d deliveries, want those of both processes", n)
	}
	if status, _ := after.call(token, "GET", "/repos/example/hello", nil); status != 200 {
		t.Errorf("a token of the first process = %d", status)
	}
}

// The whole way of our own git client, over HTTP.
func TestOurGitClient(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.config.PublicKey = &key.PublicKey // before anybody asks
	ctx := t.Context()
	if _, err := w.Commit(ctx, "example/hello", Change{Branch: "topic", Files: map[string]string{"x": "y"}}); err != nil {
		t.Fatal(err)
	}
	p, err := w.OpenPull(ctx, "example/hello", NewPull{Title: "T", Head: "topic"})
	if err != nil {
		t.Fatal(err)
	}
	remote := git.Remote{URL: w.URL + "/example/hello.git"}
	g := &git.Git{}
	refs, head, err := g.LsRemote(ctx, remote, "refs/pull/*")
	if err != nil || head != "refs/heads/main" || len(refs) != 1 || refs[0].SHA != p.HeadSHA {
		t.Errorf("LsRemote = %v, %s, %v", refs, head, err)
	}
	m, err := (&git.Cache{Git: g, Dir: t.TempDir()}).Mirror(ctx, remote)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Fetch(ctx), m.Fetch(ctx, "refs/pull/1/head")); err != nil {
		t.Fatal(err)
	}
	repo, err := m.Clone(ctx, filepath.Join(t.TempDir(), "tree"), "refs/pull/1/head")
	if err != nil {
		t.Fatal(err)
	}
	bot := git.Identity{Name: "bot", Email: "bot@example.org"}
	err = errors.Join(repo.CheckoutBranch(ctx, "work", "refs/remotes/origin/main"), repo.Merge(ctx, "refs/pull/1/head", "Merge", bot))
	if err != nil {
		t.Fatal(err)
	}
	w.take()
	w.Fake.mu.Lock()
	w.config.OpenPush = false
	w.Fake.mu.Unlock()
	client := &github.Client{BaseURL: w.URL + "/api/v3/", AppID: 1, PrivateKey: pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})}
	if remote.Authorization, err = client.GitAuthorization(ctx, github.Repo{Owner: "example", Name: "hello"}); err != nil {
		t.Fatal(err)
	}
	if err := repo.Push(ctx, remote, "HEAD", "refs/heads/main", git.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	got := w.take()
	if len(got) != 2 || got[0].String() != "push" || at(got[0].payload, "pusher.name") != "millrace[bot]" || got[1].String() != "pull_request.closed" {
		t.Errorf("webhooks of our push = %v", got)
	}
	w.SetFaults(Faults{GitFailEvery: 1})
	err = m.Fetch(ctx)
	if e, ok := errors.AsType[*git.Error](err); !ok || !e.Temporary() {
		t.Errorf("Fetch = %v, want a temporary error", err)
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/api/v3/repos/a/b": true, "/a/b.git/info/refs?service=git-upload-pack": true, "/a/b/git-receive-pack": true,
		"/": false, "/a/b": false, "/a/b/pull/1": false, "/a/b.git/info/refs": false, "/a/b.git/config": false,
	} {
		if got := Serves(httptest.NewRequest("GET", path, nil)); got != want {
			t.Errorf("Serves(%s) = %v", path, got)
		}
	}
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	w := seeded(t)
	for _, name := range []string{"../x", ".git", "a b", "-x", "", "x.git", "a..b"} {
		if _, err := w.CreateRepo(t.Context(), "example", name, nil, RepoOptions{}); err == nil {
			t.Errorf("repository %q was made", name)
		}
	}
	for _, path := range []string{"../x", "/x", ".git/config", `"x"`, "a\nD README"} {
		if _, err := w.Commit(t.Context(), "example/hello", Change{Files: map[string]string{path: "x"}}); !errors.Is(err, git.ErrBadName) {
			t.Errorf("commit of %q = %v", path, err)
		}
	}
	for _, path := range []string{"/example/hello.git/config", "/example/hello.git/../../world.json", "/x/y/info/refs?service=git-upload-pack",
		"/example/hello.git/info/refs", "/example/hello.git/objects/info/packs", "/api/v3/nothing"} {
		res, err := http.Get(w.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 404 {
			t.Errorf("GET %s = %d, want 404", path, res.StatusCode)
		}
	}
}
