package forgetest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/forgejo"
	"millrace/clients/forgejo/forgejofake"
	"millrace/clients/git/fakeforge"
	"millrace/clients/pagure"
	"millrace/clients/pagure/pagurefake"
)

// Forge is one of those that packages can be on.
type Forge string

// The forges that there are.
const (
	Pagure  Forge = "pagure"
	Forgejo Forge = "forgejo"
)

// Forges are all of them, for tests that are run on each.
var Forges = []Forge{Pagure, Forgejo}

// Options say how packages are served.
type Options struct {
	Token   string // of Client
	Publish func(topic string, body []byte)
	// Admins are those whom Forgejo tells what others may do.
	Admins []string
	HTTP   *http.Client // of Client; nil: a usual one
}

// Server is packages on a forge.
type Server struct {
	URL    string // without a slash at the end
	Client Client

	mu     sync.Mutex
	faults Faults
}

// Faults is how a server misbehaves from now on. The zero value does not.
type Faults struct {
	Match  string // part of the paths that go wrong; empty: all
	Status int    // that is answered with, nothing done; a Retry-After comes with 429
	Break  bool   // the connection, without an answer
}

// SetFaults has the server misbehave.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

func (s *Server) misbehave(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	f := s.faults
	s.mu.Unlock()
	switch {
	case !strings.Contains(r.URL.Path, f.Match):
		return false
	case f.Break:
		panic(http.ErrAbortHandler) // the server's word for breaking a connection
	case f.Status == 0:
		return false
	case f.Status == http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "30")
	}
	http.Error(w, http.StatusText(f.Status), f.Status)
	return true
}

// pause is how long clients wait for a fork before they look again.
const pause = 10 * time.Millisecond

// Serve puts packages on a forge until the test ends.
func Serve(t testing.TB, forge Forge, packages *fakeforge.Forge, o Options) *Server {
	t.Helper()
	s := new(Server)
	server := httptest.NewUnstartedServer(nil)
	s.URL = "http://" + server.Listener.Addr().String()
	var handler http.Handler
	switch forge {
	case Pagure:
		fake := pagurefake.New(packages, pagurefake.Config{URL: s.URL, Publish: o.Publish})
		t.Cleanup(fake.Close)
		handler, s.Client = fake, &pagure.Client{BaseURL: s.URL, Token: o.Token, HTTP: o.HTTP, Pause: pause}
	case Forgejo:
		handler = forgejofake.New(packages, forgejofake.Config{URL: s.URL, Publish: o.Publish, Admins: o.Admins})
		s.Client = &forgejo.Client{BaseURL: s.URL, Token: o.Token, HTTP: o.HTTP, Pause: pause}
	default:
		t.Fatalf("there is no forge %q", forge)
	}
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.misbehave(w, r) {
			handler.ServeHTTP(w, r)
		}
	})
	server.Start()
	t.Cleanup(server.Close)
	return s
}
