package koji_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
)

// hub is a Koji with all that it said on the bus.
type hub struct {
	*kojifake.Fake
	url string

	mu       sync.Mutex
	messages []said
}

type said struct {
	Topic string
	Body  map[string]any
}

const commit = "1111111111111111111111111111111111111111"

// start starts a Koji that moves by Step and Settle only, unless o says
// otherwise, and knows one repository.
func start(t *testing.T, o kojifake.Options) *hub {
	t.Helper()
	h := new(hub)
	o.Publish = func(topic string, body []byte) {
		m := said{Topic: topic}
		if err := json.Unmarshal(body, &m.Body); err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.messages = append(h.messages, m)
	}
	if o.Source == nil {
		o.Source = func(_ context.Context, s kojifake.Source) (kojifake.Spec, error) {
			return kojifake.Spec{Name: "hello", Version: "1.0", Release: "3" + s.Dist}, nil
		}
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	fake, err := kojifake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(fake)
	t.Cleanup(func() {
		server.Close()
		fake.Close()
	})
	h.Fake, h.url = fake, server.URL
	return h
}

// said returns what was said on a topic, and forgets all.
func (h *hub) said(topic string) []map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []map[string]any
	for _, m := range h.messages {
		if m.Topic == "org.fedoraproject.prod."+topic {
			out = append(out, m.Body)
		}
	}
	h.messages = nil
	return out
}

// as is a client that logs in as a user.
func (h *hub) as(user string) *koji.Client {
	c := h.anonymous()
	c.Negotiate = kojifake.Negotiate(user)
	return c
}

func (h *hub) anonymous() *koji.Client {
	return &koji.Client{HubURL: h.url + "/kojihub", WebURL: h.url + "/koji", FilesURL: h.url}
}

var helloBuild = koji.BuildRequest{Source: koji.GitSource("https://git.example/rpms/hello.git", commit), Target: "f43-candidate", Key: "key-00000001"}

func submit(t *testing.T, c *koji.Client, r koji.BuildRequest) int64 {
	t.Helper()
	id, err := c.SubmitBuild(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func taskOf(t *testing.T, c *koji.Client, id int64) koji.Task {
	t.Helper()
	task, err := c.Task(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// await waits until a task of a Koji that moves by itself is finished.
func await(t *testing.T, c *koji.Client, id int64) koji.Task {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if task := taskOf(t, c, id); task.State.Finished() {
			return task
		}
		if time.Now().After(deadline) {
			t.Fatalf("task %d is not finished after a minute", id)
		}
	}
}
