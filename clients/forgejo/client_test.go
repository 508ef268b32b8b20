package forgejo_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/fault"
	"millrace/clients/forge"
	"millrace/clients/forge/forgetest"
	"millrace/clients/forgejo"
	"millrace/clients/forgejo/forgejofake"
	"millrace/clients/git/fakeforge"
	"millrace/clients/httpx"
	"millrace/models"
)

var _ forgetest.Client = (*forgejo.Client)(nil)

func start(t *testing.T, config forgejofake.Config) (*fakeforge.Forge, *forgejofake.Fake, *forgejo.Client) {
	t.Helper()
	f := forgetest.Seed(t)
	server := httptest.NewUnstartedServer(nil)
	config.URL = "http://" + server.Listener.Addr().String()
	fake := forgejofake.New(f, config)
	server.Config.Handler = fake
	server.Start()
	t.Cleanup(server.Close)
	return f, fake, &forgejo.Client{BaseURL: server.URL, Token: forgetest.Token, Pause: 5 * time.Millisecond}
}

func TestStory(t *testing.T) {
	t.Parallel()
	f, _, client := start(t, forgejofake.Config{})
	forgetest.Story(t, f, client)
	forgetest.Issues(t, f, client)
}

// What happens is told on the bus in the words that ParseEvent reads.
func TestMessages(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var said []string
	f, _, client := start(t, forgejofake.Config{Publish: func(topic string, body []byte) {
		kind := topic[strings.LastIndex(topic, ".")+1:]
		m, reason, err := forgejo.ParseEvent(kind, inner(t, body))
		if err != nil || m == nil {
			t.Errorf("%s: %q, %v\n%s", topic, reason, err, body)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		said = append(said, kind+" "+string(m.Kind)+" "+string(m.Action)+" "+m.Actor)
	}})
	ctx := t.Context()
	if _, err := f.Commit(ctx, forgetest.Repo, fakeforge.Change{Branch: "next", Files: map[string]string{"x": "y"}}); err != nil {
		t.Fatal(err)
	}
	pull, err := client.CreatePull(ctx, forgetest.Repo, forge.NewPull{Title: "Update", Target: "rawhide", Source: "next"})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Comment(ctx, forgetest.Repo, pull.Number, "/packit build"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{
		"push " + string(models.PushEvent) + "  alice",
		"pull_request " + string(models.PullRequestEvent) + " " + string(models.Opened) + " packit",
		"issue_comment " + string(models.CommentEvent) + " " + string(models.Created) + " packit",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// inner takes the webhook out of a message.
func inner(t *testing.T, body []byte) []byte {
	t.Helper()
	var message struct {
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		t.Error(err)
	}
	return message.Body
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f, fake, client := start(t, forgejofake.Config{})
	ctx := t.Context()
	if _, err := f.Commit(ctx, forgetest.Repo, fakeforge.Change{Branch: "next", Files: map[string]string{"x": "y"}}); err != nil {
		t.Fatal(err)
	}
	n := forge.NewPull{Title: "Update", Target: "rawhide", Source: "next"}
	if _, err := client.CreatePull(ctx, forgetest.Repo, n); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreatePull(ctx, forgetest.Repo, n); !forgejo.IsConflict(err) {
		t.Errorf("the same again: %v", err)
	}
	if err := f.SetToken("reads", fakeforge.Token{Login: forgetest.Bot, Rights: []string{"read:repository"}}); err != nil {
		t.Fatal(err)
	}
	for token, is := range map[string]func(error) bool{"guessed": forgejo.IsToken, "": forgejo.IsToken, "reads": forgejo.IsForbidden} {
		c := *client
		c.Token = token
		if err := c.Comment(ctx, forgetest.Repo, 1, "x"); !is(err) || httpx.Temporary(err) || forgejo.Words(err) == "" {
			t.Errorf("with the token %q: %v", token, err)
		}
	}
	for _, fault := range []fault.Fault{{Status: 502}, {Cut: true}, {Lose: true}, {Status: 429, Retry: "7"}} {
		fake.Misbehave(fault)
		if _, err := client.Pull(ctx, forgetest.Repo, 1); !httpx.Temporary(err) {
			t.Errorf("with %+v: %v, want a temporary error", fault, err)
		}
	}
	if _, err := client.Pull(ctx, forgetest.Repo, 99); !forgejo.IsNotFound(err) {
		t.Errorf("a pull request that is not there: %v", err)
	}
	if _, err := client.Pull(ctx, "../x", 1); err == nil || httpx.Status(err) != 0 {
		t.Errorf("a repository that cannot be: %v", err)
	}
	// Whose fork it is not, it is not taken for one.
	if err := f.CreateRepo(ctx, forgetest.Bot+"/hello", forgetest.Bot); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Fork(ctx, forgetest.Repo, forgetest.Bot); err == nil || !strings.Contains(err.Error(), "no fork") {
		t.Errorf("a fork that is none: %v", err)
	}
}

// What happens is posted as a webhook that proves itself.
func TestWebhooksOfTheFake(t *testing.T) {
	t.Parallel()
	came := make(chan *models.Delivery, 10)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		d, err := forgejo.ParseWebhook(r.Header, body, []string{"hush"})
		if err != nil {
			t.Error(err)
			return
		}
		came <- d
	}))
	t.Cleanup(service.Close)
	f, _, _ := start(t, forgejofake.Config{Webhook: service.URL + "/hooks/forgejo", Secret: "hush"})
	fork, err := f.Fork(t.Context(), forgetest.Repo, forgetest.Bot, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{forgetest.Repo, fork} {
		sha, err := f.Commit(t.Context(), path, fakeforge.Change{Files: map[string]string{"x": path}})
		if err != nil {
			t.Fatal(err)
		}
		d := <-came // it is posted before the commit is done
		m, reason, err := forgejo.ParseEvent(d.Type, d.Body)
		if err != nil || m == nil || m.Commit != sha || m.Branch != "rawhide" || m.Fork != (path == fork) {
			t.Errorf("a push to %s: %+v, %q, %v", path, m, reason, err)
		}
	}
}
