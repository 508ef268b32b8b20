package github_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/github"
	"millrace/clients/github/githubfake"
	"millrace/clients/httpx"
)

// key is the App's, made once: it takes a while.
var key = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

var hello = github.Repo{Owner: "example", Name: "hello"}

type world struct {
	*githubfake.Fake
	URL    string
	Client *github.Client
	clock  atomic.Int64 // seconds that the fake is ahead
	head   string       // of main
}

// newWorld starts a fake with one repository, and a client that is its App.
func newWorld(t *testing.T, config githubfake.Config) *world {
	t.Helper()
	private, err := key()
	if err != nil {
		t.Fatal(err)
	}
	w := new(world)
	config.Dir, config.PublicKey, config.AppID = t.TempDir(), &private.PublicKey, 77
	config.Tokens = map[string]string{"ann's": "ann", "bob's": "bob"}
	config.Now = func() time.Time { return time.Now().Add(time.Duration(w.clock.Load()) * time.Second) }
	if w.Fake, err = githubfake.New(config); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Fake)
	t.Cleanup(w.Fake.Close)
	t.Cleanup(server.Close)
	w.URL = server.URL
	w.SetURL(server.URL)
	_, err = w.CreateRepo(t.Context(), "example", "hello", map[string]string{
		".packit.yaml": "jobs: []\n", "hello.spec": "Name: hello\n", "src/main.c": "int main;\n",
	}, githubfake.RepoOptions{Collaborators: map[string]string{"ann": "write"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddUser("bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Install("example"); err != nil {
		t.Fatal(err)
	}
	w.head = w.Branches("example/hello")["main"]
	w.Client = &github.Client{BaseURL: server.URL + "/api/v3", AppID: 77,
		PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})}
	return w
}

func (w *world) pull(t *testing.T) githubfake.Pull {
	t.Helper()
	if _, err := w.Commit(t.Context(), "example/hello", githubfake.Change{Branch: "topic", Author: "ann", Files: map[string]string{"a/ü": "x"}}); err != nil {
		t.Fatal(err)
	}
	p, err := w.OpenPull(t.Context(), "example/hello", githubfake.NewPull{Title: "Add a file", Body: "Because.", Head: "topic", Author: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReadRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	ctx, c := t.Context(), w.Client
	r, err := c.Repository(ctx, hello)
	if err != nil || r.DefaultBranch != "main" || r.CloneURL != w.URL+"/example/hello.git" || r.Repo != hello {
		t.Errorf("Repository = %+v, %v", r, err)
	}
	for _, ref := range []string{"main", w.head} {
		if text, err := c.File(ctx, hello, ref, "src/main.c", 100); string(text) != "int main;\n" || err != nil {
			t.Errorf("File at %s = %q, %v", ref, text, err)
		}
	}
	if _, err := c.File(ctx, hello, "main", "src/main.c", 3); !errors.Is(err, httpx.ErrTooLarge) || httpx.Temporary(err) {
		t.Errorf("File over its limit = %v, want ErrTooLarge for good", err)
	}
	for ref, name := range map[string]string{"main": "none", "none": "src/main.c", w.head: "src"} {
		if _, err := c.File(ctx, hello, ref, name, 100); !github.IsNotFound(err) {
			t.Errorf("File(%s, %s) = %v, want not found", ref, name, err)
		}
	}
	want := []github.Entry{{".packit.yaml", "file", 9}, {"hello.spec", "file", 12}, {"src", "dir", 0}}
	entries, whole, err := c.Tree(ctx, hello, "main", false)
	if diff := cmp.Diff(want, entries); diff != "" || !whole || err != nil {
		t.Errorf("Tree (-want +got), %v, %v:\n%s", whole, err, diff)
	}
	entries, err = c.Dir(ctx, hello, "main", "")
	if diff := cmp.Diff(want, entries); diff != "" || err != nil {
		t.Errorf("Dir (-want +got), %v:\n%s", err, diff)
	}
	if sha, err := c.BranchSHA(ctx, hello, "main"); sha != w.head || err != nil {
		t.Errorf("BranchSHA = %s, %v; want %s", sha, err, w.head)
	}
}

func TestTagsAndReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	ctx, c := t.Context(), w.Client
	for tag, message := range map[string]string{"v1": "", "v2": "Version 2"} {
		if err := w.Tag(ctx, "example/hello", tag, "", message, "ann"); err != nil {
			t.Fatal(err)
		}
		if sha, err := c.TagSHA(ctx, hello, tag); sha != w.head || err != nil {
			t.Errorf("TagSHA(%s) = %s, %v; want %s", tag, sha, err, w.head)
		}
	}
	for _, n := range []githubfake.NewRelease{{Tag: "v2", Name: "Two", Author: "ann"}, {Tag: "rel/3", Prerelease: true}} {
		if _, err := w.PublishRelease(ctx, "example/hello", n); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.LatestRelease(ctx, hello); r.Tag != "v2" || r.Author != "ann" || err != nil {
		t.Errorf("LatestRelease = %+v, %v", r, err)
	}
	if r, err := c.Release(ctx, hello, "rel/3"); !r.Prerelease || err != nil {
		t.Errorf("Release = %+v, %v", r, err)
	}
	if all, err := c.Releases(ctx, hello); len(all) != 2 || err != nil {
		t.Errorf("Releases = %v, %v", all, err)
	}
	if _, err := c.TagSHA(ctx, hello, "v9"); !github.IsNotFound(err) {
		t.Errorf("TagSHA of nothing = %v", err)
	}
}

// Names that mean something in an address.
func TestOddRefs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	ctx, c, odd := t.Context(), w.Client, "fix-#12/a%2fb&c+ü"
	sha, err := w.Commit(ctx, "example/hello", githubfake.Change{Branch: odd, Files: map[string]string{"a#b/c%41 d": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.PublishRelease(ctx, "example/hello", githubfake.NewRelease{Tag: odd, Target: odd}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.BranchSHA(ctx, hello, odd); got != sha || err != nil {
		t.Errorf("BranchSHA = %s, %v", got, err)
	}
	if got, err := c.TagSHA(ctx, hello, odd); got != sha || err != nil {
		t.Errorf("TagSHA = %s, %v", got, err)
	}
	if text, err := c.File(ctx, hello, odd, "a#b/c%41 d", 9); string(text) != "x" || err != nil {
		t.Errorf("File = %q, %v", text, err)
	}
	if all, _, err := c.Tree(ctx, hello, odd, false); len(all) != 4 || err != nil {
		t.Errorf("Tree = %v, %v", all, err)
	}
	if r, err := c.Release(ctx, hello, odd); r.Tag != odd || err != nil {
		t.Errorf("Release = %+v, %v", r, err)
	}
	if all, err := c.CheckRuns(ctx, hello, odd, ""); len(all) != 0 || err != nil {
		t.Errorf("CheckRuns = %v, %v", all, err)
	}
}

func TestPullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	p := w.pull(t)
	if _, err := w.LabelPull("example/hello", p.Number, "build it", "ann"); err != nil {
		t.Fatal(err)
	}
	got, err := w.Client.PullRequest(t.Context(), hello, p.Number)
	want := github.PullRequest{
		Number: p.Number, State: "open", Title: "Add a file", Body: "Because.", Author: "ann", Labels: []string{"build it"},
		URL: w.URL + "/example/hello/pull/1", HeadSHA: w.Branches("example/hello")["topic"], HeadBranch: "topic", HeadRepo: hello,
		BaseSHA: w.head, BaseBranch: "main", BaseRepo: hello,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("PullRequest (-want +got), %v:\n%s", err, diff)
	}
	if files, err := w.Client.PullRequestFiles(t.Context(), hello, p.Number); !cmp.Equal(files, []string{"a/ü"}) || err != nil {
		t.Errorf("PullRequestFiles = %v, %v", files, err)
	}
	if all, err := w.Client.PullRequests(t.Context(), hello, "closed"); len(all) != 0 || err != nil {
		t.Errorf("closed pull requests = %v, %v", all, err)
	}
	if _, err := w.MergePull(t.Context(), "example/hello", p.Number, "ann"); err != nil {
		t.Fatal(err)
	}
	if all, err := w.Client.PullRequests(t.Context(), hello, "closed"); len(all) != 1 || !all[0].Merged || err != nil {
		t.Errorf("merged pull requests = %v, %v", all, err)
	}
}

func TestComments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	ctx, c, p := t.Context(), w.Client, w.pull(t)
	long := strings.Repeat("ü", 40_000) // 80,000 bytes
	made, err := c.CreateComment(ctx, hello, p.Number, long)
	if err != nil || made.Author != "millrace[bot]" || len(made.Body) > 65_536 || !strings.HasSuffix(made.Body, "ü…") {
		t.Fatalf("CreateComment = %d bytes by %s, %v", len(made.Body), made.Author, err)
	}
	if _, err := c.UpdateComment(ctx, hello, made.ID, "new"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.React(ctx, hello, made.ID, "+1"); err != nil {
			t.Fatal(err)
		}
	}
	kept := w.Comments("example/hello", p.Number)
	if len(kept) != 1 || kept[0].Body != "new" || len(kept[0].Reactions) != 1 {
		t.Errorf("comments = %+v", kept)
	}
	for range 150 { // more than a page
		if _, err := w.Comment("example/hello", p.Number, "bob", "me too"); err != nil {
			t.Fatal(err)
		}
	}
	all, err := c.Comments(ctx, hello, p.Number)
	if len(all) != 151 || err != nil || all[0].Body != "new" || all[150].Author != "bob" {
		t.Errorf("Comments lists %d, %v", len(all), err)
	}
	if url, err := c.CommentCommit(ctx, hello, p.HeadSHA, "failed"); !strings.Contains(url, p.HeadSHA) || err != nil {
		t.Errorf("CommentCommit = %s, %v", url, err)
	}
	if _, err := c.CreateIssue(ctx, hello, "Broken config", "line 1"); err != nil {
		t.Fatal(err)
	}
	issues, err := c.OpenIssues(ctx, hello)
	if len(issues) != 1 || issues[0].Title != "Broken config" || err != nil {
		t.Errorf("OpenIssues = %v, %v; want the issue without the pull request", issues, err)
	}
	for user, role := range map[string]string{"may": "maintain", "tri": "triage"} {
		if err := w.SetCollaborator("example/hello", user, role); err != nil {
			t.Fatal(err)
		}
	}
	for user, want := range map[string]string{"ann": "write", "bob": "read", "example": "admin", "may": "write", "tri": "read"} {
		if got, err := c.Permission(ctx, hello, user); got != want || err != nil {
			t.Errorf("Permission(%s) = %s, %v; want %s", user, got, err, want)
		}
	}
	if _, err := c.Permission(ctx, hello, "nobody"); !github.IsNotFound(err) {
		t.Errorf("Permission of nobody = %v", err)
	}
}

func TestCheckRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	ctx, c := t.Context(), w.Client
	run := github.CheckRun{
		Name: "rpm-build:fedora-43-x86_64", HeadSHA: w.head, ExternalID: "17", DetailsURL: "https://example.org/17",
		Status: github.InProgress, Title: "Building", Summary: strings.Repeat("é", 70_000),
		Actions: []github.Action{{Label: strings.Repeat("l", 30), Description: "d", Identifier: "retry"}},
	}
	made, err := c.CreateCheckRun(ctx, hello, run)
	if err != nil {
		t.Fatal(err)
	}
	made.Status, made.Conclusion, made.Title = github.Completed, github.Failure, "It failed"
	if _, err := c.UpdateCheckRun(ctx, hello, made); err != nil {
		t.Fatal(err)
	}
	found, ok, err := c.FindCheckRun(ctx, hello, w.head, run.Name, "17")
	if !ok || err != nil || found.ID != made.ID || found.Conclusion != github.Failure || found.Completed.IsZero() {
		t.Errorf("FindCheckRun = %v %v, %v", found, ok, err)
	}
	if _, ok, err := c.FindCheckRun(ctx, hello, w.head, run.Name, "18"); ok || err != nil {
		t.Errorf("FindCheckRun of another id = %v, %v", ok, err)
	}
	var told []string
	for _, r := range w.Reports("example/hello") {
		told = append(told, r.Name+" "+r.ExternalID+" "+r.Status+" "+r.Conclusion)
	}
	want := []string{run.Name + " 17 in_progress ", run.Name + " 17 completed failure"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	run.HeadSHA = strings.Repeat("1", 40)
	if _, err := c.CreateCheckRun(ctx, hello, run); !github.IsInvalid(err) || httpx.Temporary(err) {
		t.Errorf("check run of no commit = %v, want invalid for good", err)
	}
	w.SetFaults(githubfake.Faults{ChecksForbidden: true})
	run.HeadSHA = w.head
	if _, err := c.CreateCheckRun(ctx, hello, run); !github.IsForbidden(err) || httpx.Temporary(err) {
		t.Errorf("forbidden check run = %v, want forbidden for good", err)
	}
	status := github.Status{Context: "build", State: "success", Description: strings.Repeat("ü", 200)}
	if err := c.CreateStatus(ctx, hello, w.head, status); err != nil {
		t.Error(err)
	}
	if s := w.Statuses("example/hello", w.head); len(s) != 1 || !strings.HasSuffix(s[0].Description, "ü…") {
		t.Errorf("statuses = %+v", s)
	}

	// A newer run of that name hides the older one, but not from us.
	w.SetFaults(githubfake.Faults{})
	run.ExternalID = "18"
	if _, err := c.CreateCheckRun(ctx, hello, run); err != nil {
		t.Fatal(err)
	}
	if found, ok, err := c.FindCheckRun(ctx, hello, w.head, run.Name, "17"); !ok || err != nil || found.ID != made.ID {
		t.Errorf("FindCheckRun of a replaced run = %v %v, %v", found, ok, err)
	}
}

func TestUserMayNotWriteChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	for _, token := range []string{"ann's", "bob's", "wrong", ""} {
		c := &github.Client{BaseURL: w.URL + "/api/v3/", Token: token}
		_, err := c.CreateCheckRun(t.Context(), hello, github.CheckRun{Name: "x", HeadSHA: w.head})
		if got, want := httpx.Status(err), map[string]int{"ann's": 403, "bob's": 403, "wrong": 401, "": 401}[token]; got != want {
			t.Errorf("check run by token %q = %v, want %d", token, err, want)
		}
		err = c.CreateStatus(t.Context(), hello, w.head, github.Status{Context: "x", State: "success"})
		if got, want := httpx.Status(err), map[string]int{"ann's": 0, "bob's": 404, "wrong": 401, "": 401}[token]; got != want {
			t.Errorf("status by token %q = %v, want %d", token, err, want)
		}
	}
}

// counting counts the tokens that are asked for.
type counting struct{ tokens, lookups atomic.Int32 }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/access_tokens") {
		c.tokens.Add(1)
	}
	if strings.HasSuffix(r.URL.Path, "/installation") {
		c.lookups.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestInstallationTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	ctx, count := t.Context(), new(counting)
	c := w.Client
	c.HTTP = &http.Client{Transport: count}
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			if _, err := c.Repository(ctx, hello); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := count.tokens.Load(); n != 1 {
		t.Errorf("%d tokens for ten calls, want 1", n)
	}
	looked := count.lookups.Load()
	if _, err := c.Repository(ctx, hello); err != nil || count.lookups.Load() != looked {
		t.Errorf("the installation was looked up again, %v", err)
	}

	// A token that GitHub has ended makes one call fail, for now.
	w.RevokeTokens()
	_, err := c.Repository(ctx, hello)
	if httpx.Status(err) != 401 || !httpx.Temporary(err) {
		t.Errorf("call with an ended token = %v, want 401 for now", err)
	}
	if _, err := c.Repository(ctx, hello); err != nil {
		t.Errorf("call after that = %v", err)
	}

	// Removed and installed anew, the App has another number.
	if err := w.Uninstall("example"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Repository(ctx, hello); err == nil {
		t.Error("call of a removed App passed")
	}
	if _, err := c.Repository(ctx, hello); !errors.Is(err, github.ErrNotInstalled) {
		t.Errorf("call of a removed App = %v, want ErrNotInstalled", err)
	}
	if _, err := w.Install("example"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Repository(ctx, hello); err != nil {
		t.Errorf("call of an App that was installed anew = %v", err)
	}
	if all, err := c.Installations(ctx); len(all) != 1 || all[0].Account != "example" || err != nil {
		t.Errorf("Installations = %v, %v", all, err)
	}
}

func TestTokenIsRefreshed(t *testing.T) {
	t.Parallel()
	// The library renews a token a minute before its end: this one always.
	w := newWorld(t, githubfake.Config{TokenLife: 30 * time.Second})
	count := new(counting)
	w.Client.HTTP = &http.Client{Transport: count}
	for range 3 {
		if _, err := w.Client.Repository(t.Context(), hello); err != nil {
			t.Fatal(err)
		}
	}
	if n := count.tokens.Load(); n != 3 {
		t.Errorf("%d tokens, want 3", n)
	}
}

func TestForeignKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.Client.PrivateKey = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(foreign)})
	if _, err := w.Client.Repository(t.Context(), hello); httpx.Status(err) != 401 || httpx.Temporary(err) {
		t.Errorf("call with a foreign key = %v, want 401 for good", err)
	}
	late := newWorld(t, githubfake.Config{})
	late.clock.Store(3600)
	if _, err := late.Client.Repository(t.Context(), hello); httpx.Status(err) != 401 {
		t.Errorf("call with an old token = %v, want 401", err)
	}
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]githubfake.Faults{
		"primary":   {RateLimited: 90 * time.Second},
		"secondary": {SecondaryLimit: 90 * time.Second, APIMatch: "/repos/example/hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, githubfake.Config{})
			if _, err := w.Client.Repository(t.Context(), hello); err != nil {
				t.Fatal(err)
			}
			if rate := w.Client.Rates()["example"]; rate.Limit != 5000 || rate.Remaining != 4999 {
				t.Errorf("rate = %+v", rate)
			}
			w.SetFaults(faults)
			for range 2 { // the second is stopped before it is sent
				_, err := w.Client.Repository(t.Context(), hello)
				wait := time.Until(httpx.RetryAfter(err))
				if !httpx.Temporary(err) || github.IsForbidden(err) || wait < 80*time.Second || wait > 100*time.Second {
					t.Errorf("%v: temporary %v, after %v", err, httpx.Temporary(err), wait)
				}
			}
		})
	}
}

// The limit is counted, and a token that has used it up is refused.
func TestRateLimitIsReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{RateLimit: 3})
	c := &github.Client{BaseURL: w.URL + "/api/v3/", Token: "bob's"}
	for range 3 {
		if _, err := c.Repository(t.Context(), hello); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Repository(t.Context(), hello); httpx.RetryAfter(err).IsZero() {
		t.Errorf("call over the limit = %v, want a time to come back", err)
	}
	if rate := c.Rates()[""]; rate.Remaining != 0 || rate.Limit != 3 {
		t.Errorf("rate = %+v", rate)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	if _, err := w.Client.Repository(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	w.SetFaults(githubfake.Faults{APIFailEvery: 1})
	if _, err := w.Client.Repository(t.Context(), hello); httpx.Status(err) != 502 || !httpx.Temporary(err) {
		t.Errorf("call = %v, want 502 for now", err)
	}
	w.SetFaults(githubfake.Faults{APIDropEvery: 1, APIMatch: "POST"})
	run := github.CheckRun{Name: "x", HeadSHA: w.head, ExternalID: "1", Status: github.Queued}
	if _, err := w.Client.CreateCheckRun(t.Context(), hello, run); !httpx.Temporary(err) || httpx.Status(err) != 0 {
		t.Errorf("call without an answer = %v, want no status, for now", err)
	}
	if _, found, err := w.Client.FindCheckRun(t.Context(), hello, w.head, "x", "1"); !found || err != nil {
		t.Errorf("the lost check run: %v, %v", found, err)
	}
	w.SetFaults(githubfake.Faults{APIDelay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.Client.Repository(ctx, hello); !errors.Is(err, context.DeadlineExceeded) || !httpx.Temporary(err) {
		t.Errorf("slow call = %v, want a timeout for now", err)
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	c := &github.Client{BaseURL: "http://127.0.0.1:1/"}
	ctx := t.Context()
	for _, repo := range []github.Repo{{}, {"a", ".."}, {"..", "b"}, {"a/b", "c"}, {"a", "b?x"}, {"a", "b#"}, {"a", "b%2f"}} {
		if _, err := c.Repository(ctx, repo); !errors.Is(err, github.ErrBadName) {
			t.Errorf("Repository(%v) = %v", repo, err)
		}
	}
	for _, name := range []string{"../../user", "/etc", "a//b", "a/./b"} {
		if _, err := c.File(ctx, hello, "main", name, 1); !errors.Is(err, github.ErrBadName) {
			t.Errorf("File(%q) = %v", name, err)
		}
	}
	for _, ref := range []string{"", "../x", "-x", "a b", "a?b", "/x"} {
		if _, err := c.BranchSHA(ctx, hello, ref); ref != "" && ref[0] != '-' && ref[0] != '/' && !errors.Is(err, github.ErrBadName) {
			t.Errorf("BranchSHA(%q) = %v", ref, err)
		}
		if _, err := c.File(ctx, hello, ref, "x", 1); !errors.Is(err, github.ErrBadName) {
			t.Errorf("File at %q = %v", ref, err)
		}
	}
	if _, err := c.Permission(ctx, hello, "../../user"); !errors.Is(err, github.ErrBadName) {
		t.Errorf("Permission = %v", err)
	}
}

// Signed requests must not follow a redirect to another host.
func TestRedirectsStayAtHome(t *testing.T) {
	t.Parallel()
	var leaked atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { leaked.Store(true) }))
	t.Cleanup(thief.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusMovedPermanently)
	}))
	t.Cleanup(server.Close)
	c := &github.Client{BaseURL: server.URL, Token: "secret"}
	if _, err := c.Repository(t.Context(), hello); err == nil || leaked.Load() {
		t.Errorf("err %v, leaked %v", err, leaked.Load())
	}
}

func TestAnswerTooLarge(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{"name":"`))
		chunk := []byte(strings.Repeat("x", 1<<20))
		for range 30 {
			w.Write(chunk)
		}
	}))
	t.Cleanup(server.Close)
	c := &github.Client{BaseURL: server.URL, Token: "x"}
	if _, err := c.Repository(t.Context(), hello); !errors.Is(err, httpx.ErrTooLarge) || httpx.Temporary(err) {
		t.Errorf("Repository = %v, want ErrTooLarge for good", err)
	}
}

// What GitHub could not deliver is found and asked for again.
func TestLostWebhooksAreRedelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, githubfake.Config{})
	var got atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) }))
	t.Cleanup(receiver.Close)
	ctx := t.Context()
	w.SetWebhook(receiver.URL, "secret")
	w.SetFaults(githubfake.Faults{HookLoseEvery: 2})
	begin := time.Now().Add(-time.Second).Truncate(time.Second)
	issue, err := w.OpenIssue("example/hello", "bob", "It breaks", "")
	if err != nil {
		t.Fatal(err)
	}
	for range 240 { // more than two pages
		if _, err := w.Comment("example/hello", issue.Number, "bob", "me too"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	all, err := w.Client.HookDeliveries(ctx, begin)
	if err != nil || len(all) < 241 {
		t.Fatalf("%d deliveries, %v; want all 241", len(all), err)
	}
	for _, d := range all {
		if d.OK || d.Event == "installation" {
			continue
		}
		if err := w.Client.Redeliver(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got.Load() < 241 {
		t.Errorf("%d webhooks came, want all 241", got.Load())
	}
	if err := w.Client.Redeliver(ctx, 1); !github.IsNotFound(err) {
		t.Errorf("redelivery of nothing = %v", err)
	}
	if later, err := w.Client.HookDeliveries(ctx, time.Now().Add(time.Hour)); len(later) != 0 || err != nil {
		t.Errorf("deliveries of the future = %v, %v", later, err)
	}
}
