// Package testingfarmfake is a small Testing Farm that speaks the real one's
// protocol. Its requests run no tests: time and rules decide how they end.
package testingfarmfake

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says what a farm is like. The zero value is a farm in memory that is
// done with everything after a few seconds.
type Config struct {
	// Dir keeps the requests, one file each, so that a farm started again on
	// it carries on where time has got to. "" means memory.
	Dir string
	// Tokens maps each token to its ranch, "public" or "redhat". Without any,
	// the token "token" belongs to the public ranch.
	Tokens map[string]string
	// BaseURL is where the farm is reached, without the version. "" means the
	// host that each call asked for.
	BaseURL string
	// Composes are the names and regular expressions of each ranch; nil means
	// a few of each.
	Composes map[string][]string
	Pace     Pace
	Now      func() time.Time // nil means time.Now
	HTTP     *http.Client     // for notifications; nil means one with a timeout
}

// Pace is how long a request stays in each state.
type Pace struct {
	New     time.Duration
	Queued  time.Duration
	Running time.Duration
}

// DefaultPace is that of a farm with nothing else to do.
var DefaultPace = Pace{New: time.Second, Queued: 2 * time.Second, Running: 6 * time.Second}

var defaultComposes = map[string][]string{
	"public": {
		"Fedora-Rawhide", "Fedora-4[0-9]", "Fedora-eln", "CentOS-Stream-8", "CentOS-Stream-9", "CentOS-Stream-10",
		"CentOS-7", "Oracle-Linux-8.6",
	},
	"redhat": {
		"Fedora-Rawhide-Nightly", "Fedora-4[0-9]-Updated", "CentOS-Stream-9", "CentOS-Stream-10", "CentOS-7-latest",
		`RHEL-9\.[0-9]+.*`, "RHEL-8.5.0-Nightly", "RHEL-7-LatestReleased", "RHEL-6-LatestReleased",
	},
}

// Faults is how the farm misbehaves. The zero value is a farm that does not.
type Faults struct {
	// Delay is added to each call.
	Delay time.Duration
	// FailNext calls are refused with FailStatus (503 if 0) before anything
	// happens. A negative number refuses all.
	FailNext   int
	FailStatus int
	RetryAfter time.Duration // sent with a refusal, in whole seconds
	// FailOperation limits failing to one of create, get, list, cancel,
	// composes, whoami, artifact.
	FailOperation string
	// LoseAnswers is how many submissions are accepted without an answer: the
	// connection breaks. A negative number means all.
	LoseAnswers int
	// HTMLNext calls are answered with a proxy's page and status 200.
	HTMLNext int

	// LoseNotifications, DoubleNotifications and LateNotifications (by that
	// much) concern what is posted to webhooks. NotifyBeforeAnswer posts the
	// first before the submission is answered.
	LoseNotifications   bool
	DoubleNotifications bool
	LateNotifications   time.Duration
	NotifyBeforeAnswer  bool
}

// Server is the farm. It is an http.Handler for the API below /v0.1/, for
// /artifacts/ and for a page about all requests at /.
type Server struct {
	config Config
	mux    *http.ServeMux
	cancel context.CancelFunc
	work   sync.WaitGroup // the notifier and what it sends
	ctx    context.Context
	wake   chan struct{}

	mu       sync.Mutex
	requests map[string]*record
	rules    []Rule
	faults   Faults
}

// New starts a farm. Close ends it.
func New(config Config) (*Server, error) {
	if config.Tokens == nil {
		config.Tokens = map[string]string{"token": "public"}
	}
	if config.Composes == nil {
		config.Composes = defaultComposes
	}
	if config.Pace == (Pace{}) {
		config.Pace = DefaultPace
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.HTTP == nil {
		config.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	s := &Server{config: config, requests: map[string]*record{}, wake: make(chan struct{}, 1)}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.mux = s.routes()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.notifyAll)
	return s, nil
}

// Close stops notifying and waits until that is done.
func (s *Server) Close() {
	s.cancel()
	s.work.Wait()
}

// SetFaults changes how the farm misbehaves from now on.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Faults returns how the farm misbehaves, with what is left of the counts.
func (s *Server) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v0.1/requests", s.faulty("create", s.create))
	mux.HandleFunc("GET /v0.1/requests", s.faulty("list", s.list))
	mux.HandleFunc("GET /v0.1/requests/{id}", s.faulty("get", s.show))
	mux.HandleFunc("DELETE /v0.1/requests/{id}", s.faulty("cancel", s.cancelRequest))
	mux.HandleFunc("GET /v0.1/composes", s.faulty("composes", s.composes))
	mux.HandleFunc("GET /v0.1/composes/{ranch}", s.faulty("composes", s.composes))
	mux.HandleFunc("GET /v0.1/whoami", s.faulty("whoami", s.whoami))
	mux.HandleFunc("GET /v0.1/about", s.about)
	mux.HandleFunc("GET /artifacts/{id}/{path...}", s.faulty("artifact", s.artifact))
	mux.HandleFunc("GET /{$}", s.home)
	return mux
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// faulty lets the current faults happen to a call.
func (s *Server) faulty(operation string, handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		delay := s.faults.Delay
		status, after := s.failure(operation)
		html := status == 0 && spend(&s.faults.HTMLNext)
		s.mu.Unlock()
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				return
			}
		}
		switch {
		case status != 0:
			if after > 0 {
				w.Header().Set("Retry-After", fmt.Sprint(int((after+time.Second-1)/time.Second)))
			}
			refuse(w, status, "try again later")
		case html:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<html><body>Maintenance</body></html>")
		default:
			handle(w, r)
		}
	}
}

// failure is called with s.mu held.
func (s *Server) failure(operation string) (status int, after time.Duration) {
	f := &s.faults
	if f.FailOperation != "" && f.FailOperation != operation || !spend(&f.FailNext) {
		return 0, 0
	}
	if f.FailStatus == 0 {
		return http.StatusServiceUnavailable, f.RetryAfter
	}
	return f.FailStatus, f.RetryAfter
}

// spend takes one from a count, and reports whether there was one. A negative
// count never ends.
func spend(count *int) bool {
	if *count > 0 {
		*count--
		return true
	}
	return *count < 0
}

func (s *Server) base(r *http.Request) string {
	if s.config.BaseURL != "" {
		return strings.TrimSuffix(s.config.BaseURL, "/")
	}
	return "http://" + r.Host
}

// load reads the requests of an earlier farm.
func (s *Server) load() error {
	if s.config.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(s.config.Dir, 0o755); err != nil {
		return fmt.Errorf("opening the farm's directory: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(s.config.Dir, "*.json"))
	if err != nil {
		return fmt.Errorf("reading the farm's directory: %w", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		rec := new(record)
		if err := json.Unmarshal(b, rec); err != nil {
			return fmt.Errorf("reading the request in %s: %w", file, err)
		}
		s.requests[rec.ID] = rec
	}
	return nil
}

// save writes a request down, whole or not at all. It is called with s.mu held.
func (s *Server) save(rec *record) error {
	if s.config.Dir == "" {
		return nil
	}
	b, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encoding request %s: %w", rec.ID, err)
	}
	file := filepath.Join(s.config.Dir, rec.ID+".json")
	if err := os.WriteFile(file+".new", b, 0o644); err != nil {
		return fmt.Errorf("writing request %s: %w", rec.ID, err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("writing request %s: %w", rec.ID, err)
	}
	return nil
}

// caller names who makes a call: the ranch of the token, "" if there is none.
// ok is false if the token is unknown.
func (s *Server) caller(r *http.Request) (token, ranch string, ok bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", "", true
	}
	token, _ = strings.CutPrefix(header, "Bearer ")
	ranch, ok = s.config.Tokens[token]
	return token, ranch, ok
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The caller has gone if this fails.
	_ = json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"code": status, "message": message})
}

func (s *Server) composes(w http.ResponseWriter, r *http.Request) {
	ranch := r.PathValue("ranch")
	if ranch == "" {
		ranch = "public"
	}
	names, ok := s.config.Composes[ranch]
	if !ok {
		refuse(w, http.StatusNotFound, "No such ranch")
		return
	}
	type compose struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	list := []compose{}
	for _, name := range names {
		kind := "compose"
		if strings.ContainsAny(name, `[]*+\`) {
			kind = "regex"
		}
		list = append(list, compose{name, kind})
	}
	answer(w, http.StatusOK, map[string]any{"composes": list})
}

func (s *Server) whoami(w http.ResponseWriter, r *http.Request) {
	token, ranch, ok := s.caller(r)
	if !ok || token == "" {
		refuse(w, http.StatusUnauthorized, "Not authorized")
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"token": map[string]any{
			"id": identity("token", token), "name": "fake", "ranch": ranch, "role": "user",
			"enabled": true, "user_id": identity("user", token),
		},
		"user": map[string]any{"id": identity("user", token)},
	})
}

func (s *Server) about(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"app_name": "Testing Farm", "version": "0.1"})
}

// sorted returns copies of the requests, oldest first. It is called with s.mu
// held.
func (s *Server) sorted() []record {
	list := make([]record, 0, len(s.requests))
	for _, rec := range s.requests {
		list = append(list, *rec)
	}
	slices.SortFunc(list, func(a, b record) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}
