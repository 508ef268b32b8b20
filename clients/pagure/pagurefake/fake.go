// Package pagurefake is a small Pagure, as it serves Fedora's dist-git: its API
// below /api/0/, on the repositories of a fakeforge.Forge.
package pagurefake

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"millrace/clients/git/fakeforge"
)

// Config says what a fake is.
type Config struct {
	URL string       // where it is reached, in links; empty means where the request was sent to
	Log *slog.Logger // nil discards
}

// Fake is a small Pagure, an http.Handler and safe for concurrent use.
type Fake struct {
	forge  *fakeforge.Forge
	config Config
	mux    *http.ServeMux

	mu     sync.Mutex
	faults Faults
	nth    counters
}

// New puts Pagure on a forge.
func New(forge *fakeforge.Forge, config Config) *Fake {
	config.URL = strings.TrimSuffix(config.URL, "/")
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	f := &Fake{forge: forge, config: config}
	f.mux = f.routes()
	return f
}

// ServeHTTP answers the API.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mux.ServeHTTP(w, r)
}

// object is how JSON is written.
type object = map[string]any

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever asked may have gone; nobody is left to tell.
	_ = json.NewEncoder(w).Encode(v)
}
