package handlers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/clients/wire"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func signed(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, body)
	return hex.EncodeToString(mac.Sum(nil))
}

func byGitHub(secret, key, body string) []string {
	return []string{"X-GitHub-Event", "pull_request", "X-GitHub-Delivery", key, "X-Hub-Signature-256", "sha256=" + signed(secret, body)}
}

const ping = `{"zen": "Water finds its way."}`

// TestIntake sends what forges and services send, and what nobody should.
func TestIntake(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		site := newSite(t, s)
		const bus = `{"topic": "org.fedoraproject.prod.copr.build.end", "id": "b-1", "headers": {}, "body": {"build": 1}}`
		const other = `{"topic": "org.fedoraproject.prod.copr.build.end", "id": "b-2", "headers": {}, "body": {"build": 2}}`
		farm := func(token string) string {
			return `{"request_id": "11111111-2222-3333-4444-555555555555", "token": "` + token + `"}`
		}
		bearer := []string{"Authorization", "Bearer " + busToken}
		for _, c := range []struct {
			name, path, body string
			headers          []string
			status           int
			says             string
		}{
			{"fresh", "/hooks/github", ping, byGitHub(hubSecret, "1", ping), 202, "Accepted."},
			{"repeated", "/hooks/github", ping, byGitHub(hubSecret, "1", ping), 200, "came before"},
			{"repeated by the other address", "/api/webhooks/github", ping, byGitHub(hubSecret, "1", ping), 200, "came before"},
			{"older secret", "/hooks/github", ping, byGitHub("older", "2", ping), 202, "Accepted."},
			{"with a slash", "/hooks/github/", ping, byGitHub(hubSecret, "3", ping), 202, "Accepted."},
			{"forged", "/hooks/github", ping, byGitHub("guess", "4", ping), 401, "does not prove that it comes from GitHub"},
			{"unsigned", "/hooks/github", ping, []string{"X-GitHub-Event", "ping", "X-GitHub-Delivery", "5"}, 401, "does not prove"},
			{"broken", "/hooks/github", `{"zen"`, byGitHub(hubSecret, "6", `{"zen"`), 400, "JSON"},
			{"no object", "/hooks/github", `[]`, byGitHub(hubSecret, "7", `[]`), 400, "JSON object"},
			{"too deep", "/hooks/github", deep, byGitHub(hubSecret, "8", deep), 400, "nested deeper"},
			{"no key", "/hooks/github", ping, byGitHub(hubSecret, "", ping), 400, "X-GitHub-Delivery"},
			{"gitlab", "/hooks/gitlab", ping, []string{"X-Gitlab-Token", "lab", "X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", "1"}, 202, "Accepted."},
			{"gitlab for packit", "/api/webhooks/gitlab", ping, []string{"X-Gitlab-Token", "lab", "X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", "1"}, 200, "came before"},
			{"gitlab guessed", "/hooks/gitlab", ping, []string{"X-Gitlab-Token", "la", "X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", "2"}, 401, "comes from GitLab"},
			{"forgejo", "/hooks/forgejo", ping, []string{"X-Forgejo-Signature", signed("forge", ping), "X-Forgejo-Event", "push", "X-Forgejo-Delivery", "1"}, 202, "Accepted."},
			{"forgejo forged", "/hooks/forgejo", ping, []string{"X-Forgejo-Signature", signed("x", ping), "X-Forgejo-Event", "push", "X-Forgejo-Delivery", "1"}, 401, "comes from Forgejo"},
			{"testing farm", "/hooks/testing-farm", farm(farmToken), nil, 202, "Accepted."},
			{"testing farm for packit", "/api/testing-farm/results", farm(farmToken), nil, 202, "Accepted."},
			{"testing farm guessed", "/hooks/testing-farm", farm("guess"), nil, 401, "comes from Testing Farm"},
			{"testing farm broken", "/hooks/testing-farm", `token`, nil, 400, "JSON object"},
			{"bus", "/hooks/bus", bus, bearer, 202, "Accepted."},
			{"bus list", "/hooks/bus", "[" + bus + "," + other + "]", bearer, 202, "Accepted 1 of 2"},
			{"bus list repeated", "/hooks/bus", " [" + bus + "," + other + "]", bearer, 200, "came before"},
			{"bus empty list", "/hooks/bus", "[]", bearer, 200, "nothing in the list"},
			{"bus list of other things", "/hooks/bus", `[` + bus + `, 7]`, bearer, 400, "message 1"},
			{"bus long list", "/hooks/bus", "[" + strings.Repeat("{},", maxMessages) + "{}]", bearer, 400, "more than 1000"},
			{"bus without topic", "/hooks/bus", `{"id": "x", "headers": {}, "body": {}}`, bearer, 400, "topic"},
			{"bus without token", "/hooks/bus", bus, nil, 401, "comes from the message bus"},
			{"bus with another token", "/hooks/bus", bus, []string{"Authorization", "Bearer bus"}, 401, "comes from the message bus"},
			{"bus with a password", "/hooks/bus", bus, []string{"Authorization", "Basic " + busToken}, 401, "comes from the message bus"},
		} {
			w := site.request(t, http.MethodPost, c.path, c.body, c.headers...)
			answer := decode[struct{ Message string }](t, w.Body)
			if w.Code != c.status || !strings.Contains(answer.Message, c.says) {
				t.Errorf("%s: %d %q, want %d %q", c.name, w.Code, answer.Message, c.status, c.says)
			}
			if !strings.HasSuffix(answer.Message, ".") {
				t.Errorf("%s: %q is not a sentence", c.name, answer.Message)
			}
		}
		w := site.get(t, "/metrics")
		for _, line := range []string{
			`{result="accepted",source="github"} 3`, `{result="repeated",source="github"} 2`, `{result="unproven",source="github"} 2`,
			`{result="malformed",source="github"} 4`, `{result="accepted",source="bus"} 2`, `{result="unproven",source="testing-farm"} 1`,
		} {
			contains(t, w, "millrace_intake_total"+line+"\n")
		}
		d, err := s.Delivery(t.Context(), 1)
		if err != nil || string(d.Body) != ping || d.Key != "1" || d.Type != "pull_request" {
			t.Errorf("stored: %+v, %v", d, err)
		}
	})
}

var deep = `{"a":` + strings.Repeat("[", wire.MaxDepth) + strings.Repeat("]", wire.MaxDepth) + "}"

func TestIntakeLimits(t *testing.T) {
	t.Parallel()
	site := newSite(t, storetest.SQLite(t))
	server := httptest.NewServer(site.web)
	defer server.Close()
	post := func(body io.Reader, length int64) (*http.Response, error) {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/hooks/github", body)
		r.ContentLength = length
		return http.DefaultClient.Do(r)
	}
	t.Run("declared", func(t *testing.T) {
		res, err := post(strings.NewReader("x"), wire.MaxBody+1)
		if err == nil && res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", res.StatusCode)
		}
		if err == nil {
			res.Body.Close()
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/github", strings.NewReader("x"))
		r.ContentLength = wire.MaxBody + 1
		site.web.ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", w.Code)
		}
		contains(t, w, "too large: at most 26214400 bytes")
	})
	t.Run("not declared", func(t *testing.T) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/github", io.LimitReader(endless{}, wire.MaxBody+10))
		r.ContentLength = -1
		site.web.ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", w.Code)
		}
	})
	t.Run("too many large ones", func(t *testing.T) {
		for range maxBigHooks {
			site.big <- struct{}{}
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/github", endless{})
		r.ContentLength = bigHook + 1
		site.web.ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("status %d", w.Code)
		}
		for range maxBigHooks {
			<-site.big
		}
	})
	t.Run("cut off", func(t *testing.T) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/github", io.MultiReader(strings.NewReader("{"), broken{}))
		site.web.ServeHTTP(w, r)
		if w.Code != http.StatusRequestTimeout {
			t.Errorf("status %d", w.Code)
		}
	})
	t.Run("without secrets", func(t *testing.T) {
		bare := &Server{Store: site.Store, Log: quietLog(), Accept: site.Accept, Live: site.Live}
		w := httptest.NewRecorder()
		bare.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/github", strings.NewReader(ping)))
		if w.Code != http.StatusUnauthorized {
			t.Errorf("status %d", w.Code)
		}
		contains(t, w, "No secret for GitHub is set up here")
	})
	t.Run("store away", func(t *testing.T) {
		away := *site.Server
		away.Accept = func(context.Context, *models.Delivery) (bool, error) { return false, errors.New("the disk is full") }
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/github", strings.NewReader(ping))
		h := byGitHub(hubSecret, "1", ping)
		for i := 0; i < len(h); i += 2 {
			r.Header.Set(h[i], h[i+1])
		}
		away.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "disk") {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// BenchmarkIntake stores deliveries of the usual size over 16 connections.
func BenchmarkIntake(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.Store{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			site := newSite(b, open(b))
			server := httptest.NewServer(site.web)
			defer server.Close()
			body := `{"padding": "` + strings.Repeat("mill wheel ", 2400) + `"}`
			signature := "sha256=" + signed(hubSecret, body)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
			var n atomic.Int64
			b.SetParallelism(8) // times two processors
			start := time.Now()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+"/hooks/github", strings.NewReader(body))
					r.Header.Set("X-GitHub-Event", "push")
					r.Header.Set("X-GitHub-Delivery", fmt.Sprint(n.Add(1)))
					r.Header.Set("X-Hub-Signature-256", signature)
					res, err := client.Do(r)
					if err != nil || res.StatusCode != http.StatusAccepted {
						b.Error(err, res)
						return
					}
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			})
			b.ReportMetric(float64(n.Load())/time.Since(start).Seconds(), "deliveries/s")
		})
	}
}

// TestSlowSender announces a body and keeps it.
func TestSlowSender(t *testing.T) {
	t.Parallel()
	site := newSite(t, storetest.SQLite(t))
	listener := newPipes()
	var deadline atomic.Int64
	server := &http.Server{Handler: site.web}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	here, there := net.Pipe()
	listener.conns <- noted{here, &deadline}
	io.WriteString(there, "POST /hooks/github HTTP/1.1\r\nHost: millrace.example\r\nContent-Length: 26000\r\n\r\n{")
	waitFor(t, func() bool { return deadline.Load() != 0 })
	if left := time.Until(time.Unix(0, deadline.Load())); left > hookPatience || left < hookPatience-5*time.Second {
		t.Errorf("the body may take %v", left)
	}
}

// noted notes the read deadline.
type noted struct {
	net.Conn
	deadline *atomic.Int64
}

func (n noted) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		n.deadline.Store(at.UnixNano())
	}
	return n.Conn.SetReadDeadline(at)
}
