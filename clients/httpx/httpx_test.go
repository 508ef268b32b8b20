package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"millrace/clients/httpx"
)

type answer struct {
	Value string `json:"value"`
}

func serve(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, c httpx.Caller, address string, out any) error {
	t.Helper()
	req, err := httpx.NewRequest(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(t.Context(), "test.get", req, out)
}

func TestDoDecodes(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"value":"x"}`) })
	var out answer
	if err := get(t, httpx.Caller{Service: "s"}, url, &out); err != nil {
		t.Fatal(err)
	}
	if out.Value != "x" {
		t.Errorf("decoded %q", out.Value)
	}
	var raw []byte
	if err := get(t, httpx.Caller{Service: "s"}, url, &raw); err != nil {
		t.Fatal(err)
	}
	if string(raw) != `{"value":"x"}` {
		t.Errorf("raw answer %q", raw)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		status      int
		contentType string
		retryAfter  string
		body        string
		limit       int64

		message   string
		temporary bool
		retry     bool // a time is known
		large     bool
	}{
		{name: "error key", status: 400, body: `{"error":"no such chroot"}`, message: "no such chroot"},
		{name: "message key", status: 404, body: `{"message":"gone"}`, message: "gone"},
		{name: "plain text", status: 403, body: "go\x07 away\n", message: "go away"},
		{name: "proxy page", status: 502, contentType: "text/html", body: "<h1>Bad</h1>", temporary: true},
		{name: "page without a type", status: 503, body: "<h1>Bad</h1>", temporary: true},
		{name: "slow down", status: 429, retryAfter: "7", body: `{}`, temporary: true, retry: true},
		{name: "forbidden for a while", status: 403, retryAfter: "60", body: `{}`, temporary: true, retry: true},
		{name: "not implemented", status: 501, body: `{}`},
		{name: "bad Retry-After", status: 429, retryAfter: "soon", temporary: true},
		{name: "not JSON", status: 200, body: "hello"},
		{name: "a page with status 200", status: 200, contentType: "text/html", body: "<h1>Maintenance</h1>", temporary: true},
		{name: "too large", status: 200, body: `{"value":"` + strings.Repeat("x", 100) + `"}`, limit: 50, large: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				contentType := test.contentType
				if contentType == "" {
					contentType = "application/octet-stream"
				}
				w.Header().Set("Content-Type", contentType)
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			})
			var out answer
			err := get(t, httpx.Caller{Service: "s", Limit: test.limit}, url+"/a/b?token=secret", &out)
			e, ok := errors.AsType[*httpx.Error](err)
			if !ok {
				t.Fatalf("error = %v, want an *httpx.Error", err)
			}
			if diff := cmp.Diff([]any{"s", "GET", "/a/b", test.message, test.temporary, test.retry, test.large},
				[]any{e.Service, e.Method, e.URL, e.Message, httpx.Temporary(err), !httpx.RetryAfter(err).IsZero(), errors.Is(err, httpx.ErrTooLarge)}); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the query is in the error: %v", err)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	err := get(t, httpx.Caller{Service: "s"}, server.URL+"/x?token=secret", nil)
	if !httpx.Temporary(err) || httpx.Status(err) != 0 || strings.Contains(err.Error(), "secret") {
		t.Errorf("error of a closed server: %v", err)
	}

	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, `{"va`)
	})
	var out answer
	if err := get(t, httpx.Caller{Service: "s"}, url, &out); !httpx.Temporary(err) {
		t.Errorf("error of half an answer: %v, want a temporary one", err)
	}
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	req, err := httpx.NewRequest(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = httpx.Caller{Service: "s", HTTP: &http.Client{}}.Do(ctx, "x", req, nil)
	if !errors.Is(err, context.DeadlineExceeded) || !httpx.Temporary(err) {
		t.Errorf("error = %v, want a temporary deadline", err)
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	agents := make(chan string, 2)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		w.WriteHeader(http.StatusTeapot)
	})
	var mu sync.Mutex
	var seen []string
	client := &http.Client{Transport: &httpx.Transport{Service: "s", UserAgent: "Miller/1",
		Observe: func(service, operation string, status int, err error, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprint(service, " ", operation, " ", status, " ", err != nil, " ", took >= 0))
		}}}
	get(t, httpx.Caller{Service: "s", HTTP: client}, url, nil)
	if agent := <-agents; agent != "Miller/1" {
		t.Errorf("user agent %q", agent)
	}
	res, err := client.Get("http://127.0.0.1:1/") // nobody listens there
	if err == nil {
		res.Body.Close()
		t.Fatal("port 1 answered")
	}
	if diff := cmp.Diff([]string{"s test.get 418 false true", "s other 0 true true"}, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}
