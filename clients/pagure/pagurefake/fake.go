// Package pagurefake is a small Pagure, as it serves Fedora's dist-git: its API
// below /api/0/, git at /rpms/hello.git, files, the extras below /_dg/, simple
// pages, and messages on the bus, on the repositories of a fakeforge.Forge.
package pagurefake

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"millrace/clients/git/fakeforge"
	"millrace/clients/git/gitserver"
)

// Config says what a fake is. All of it has defaults.
type Config struct {
	URL string // where it is reached, for links and messages; empty means where the request was sent to
	// Publish sends a message to the bus, with its full topic. It is called from
	// many goroutines, before whoever caused the message gets an answer.
	Publish func(topic string, body []byte)
	Topic   string // before "pagure."; empty means "org.fedoraproject.prod"
	// Visitor is who presses the buttons on pages; without one there are none.
	Visitor string
	Log     *slog.Logger // nil discards
}

// Fake is a small Pagure, an http.Handler and safe for concurrent use.
type Fake struct {
	forge   *fakeforge.Forge
	config  Config
	mux     *http.ServeMux
	pages   *fakeforge.Pages
	working sync.WaitGroup // on messages that are late
	closed  chan struct{}
	closing sync.Once

	mu     sync.Mutex
	faults Faults
	nth    counters
}

// New puts Pagure on a forge.
func New(forge *fakeforge.Forge, config Config) *Fake {
	config.URL = strings.TrimSuffix(config.URL, "/")
	config.Topic = cmp.Or(config.Topic, "org.fedoraproject.prod")
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	f := &Fake{forge: forge, config: config, closed: make(chan struct{})}
	f.pages = &fakeforge.Pages{
		Forge: forge, Service: "Pagure", Visitor: config.Visitor,
		Style:    config.URL + "/-/style.css",
		RepoPath: func(path string) string { return config.URL + "/" + urlPath(path) },
		PullPath: func(path string, n int) string { return f.pullURL(config.URL, path, n) },
	}
	f.mux = f.routes()
	if config.Publish != nil {
		forge.Subscribe(f.publish)
	}
	return f
}

// Close drops messages that are late and have not been sent.
func (f *Fake) Close() {
	f.closing.Do(func() { close(f.closed) })
	f.working.Wait()
}

// Serves reports whether a request is for the API or for git. The rest are
// pages, which others may show instead.
func Serves(r *http.Request) bool {
	_, isGit := gitserver.Parse(r)
	return isGit || strings.HasPrefix(r.URL.Path, "/api/0/") || strings.HasPrefix(r.URL.Path, "/_dg/")
}

// ServeHTTP answers the API, git and browsers.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if request, ok := gitserver.Parse(r); ok {
		f.serveGit(w, r, request)
		return
	}
	f.mux.ServeHTTP(w, r)
}

// serveGit speaks git's protocol. Fedora's proxy asks nobody who only reads who
// they are.
func (f *Fake) serveGit(w http.ResponseWriter, r *http.Request, request gitserver.Request) {
	if answered, _ := f.misbehave(w, r); answered {
		return
	}
	login := ""
	if user, password, ok := r.BasicAuth(); ok {
		t, known := f.forge.Token(password)
		if known && t.Login == user && t.May("commit") && (t.Expires.IsZero() || f.forge.Now().Before(t.Expires)) {
			login = user
		}
	}
	f.forge.ServeGit(w, r, request, request.Repository, login, func() {
		w.Header().Set("WWW-Authenticate", `Basic realm="Pagure"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	})
}

// object is how JSON is written.
type object = map[string]any

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever asked may have gone; nobody is left to tell.
	_ = json.NewEncoder(w).Encode(v)
}
