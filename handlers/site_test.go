package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// site is the whole server on a store with a few things in it.
type site struct {
	*Server
	web      http.Handler
	pipeline *models.Graph // of mill/wheel, pull request 7
}

const (
	hubSecret = "hub-secret"
	farmToken = "farm-token"
	busToken  = "bus-token"
)

// newSite makes a server with an empty store.
func newSite(t testing.TB, s *store.Store) *site {
	t.Helper()
	if err := jobs.Migrate(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(s, (&jobs.Runner{Engine: &jobs.Engine{Store: s, Log: quietLog()}}).RiverConfig(jobs.Capacity{}))
	if err != nil {
		t.Fatal(err)
	}
	engine := &jobs.Engine{Store: s, Queue: queue, Log: quietLog()}
	web := &site{Server: &Server{
		Store: s, Log: quietLog(), Metrics: NewMetrics("1.2.3"), Accept: engine.Accept, Base: "https://millrace.example",
		Version: "1.2.3", Prefix: "/packit", KeepRaw: 24 * time.Hour,
		Secrets: Secrets{
			GitHub: []string{"older", hubSecret}, GitLab: []string{"lab"}, Forgejo: []string{"forge"},
			TestingFarm: []string{farmToken}, Bus: []string{busToken},
		},
		Checks: map[string]func(context.Context) error{"queue": queue.Ping},
	}}
	web.Live = web.NewHub()
	web.web = web.Handler()
	return web
}

// newMill makes a server whose store has a pipeline with a log, and events.
func newMill(t testing.TB, s *store.Store) *site {
	t.Helper()
	web := newSite(t, s)
	web.pipeline = storetest.Pipeline(t, s, "mill/wheel", 7, storetest.PullRequest)
	storetest.Pipeline(t, s, "mill/stone", 8, storetest.PullRequest)
	web.write(t, func(tx *store.Tx) error {
		text := strings.Repeat("+ make\nok\n", 600) + "error: no water\n"
		return tx.ReplaceLog(t.Context(), web.run(0, 0).ID, "https://logs.example/1", []byte(text), 0, true)
	})
	return web
}

func (s *site) write(t testing.TB, f func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Store.InTx(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func (s *site) run(step, target int) *models.Run {
	return s.pipeline.Steps[step].Targets[target].Run
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// request sends one through the router. headers are pairs.
func (s *site) request(t testing.TB, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://millrace.example/", strings.NewReader(body))
	u, err := url.ParseRequestURI(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	r.URL, r.RequestURI = u, path
	r.Host = "millrace.example"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.web.ServeHTTP(w, r)
	return w
}

func (s *site) get(t testing.TB, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return s.request(t, http.MethodGet, path, "", headers...)
}

func decode[T any](t testing.TB, body io.Reader) T {
	t.Helper()
	var v T
	if err := json.NewDecoder(body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func contains(t testing.TB, w *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !bytes.Contains(w.Body.Bytes(), []byte(text)) {
			_, main, _ := strings.Cut(w.Body.String(), "<main")
			t.Errorf("the answer does not have %q:\n%s", text, clip(main, 1500))
		}
	}
}
