// Package bodhifake is a small Bodhi that speaks its protocol over HTTP, in
// memory.
package bodhifake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/clients/bodhi"
	"millrace/models"
)

// Server is a Bodhi. It is an http.Handler and safe for concurrent use. Its
// zero value has no releases; New has those of Fedora.
type Server struct {
	mu       sync.Mutex
	releases models.Releases
	faults   []Fault
	requests []string
}

// A Fault is how the server answers a request instead of doing its work. The
// zero value does nothing.
type Fault struct {
	Delay  time.Duration // before anything else
	Status int           // with a web page, as the proxy in front of Bodhi sends it
	Body   string        // with status 200, in place of the answer
	Cut    bool          // break the connection in the middle of the answer
	Retry  string        // the header Retry-After, with Status
}

// New returns a server that knows the releases of November 2026, with those
// that are of no use to us: containers, Flatpaks, and what is archived.
func New() *Server {
	s := &Server{releases: bodhi.LastKnown()}
	for _, v := range []string{"43", "44", "45"} {
		s.releases = append(s.releases,
			models.Release{Name: "F" + v + "C", LongName: "Fedora " + v + " Containers", Version: v, IDPrefix: "FEDORA-CONTAINER", Branch: "f" + v, State: "current"},
			models.Release{Name: "F" + v + "F", LongName: "Fedora " + v + " Flatpaks", Version: v, IDPrefix: "FEDORA-FLATPAK", Branch: "f" + v, State: "current"})
	}
	for v := 28; v <= 42; v++ {
		n := strconv.Itoa(v)
		s.releases = append(s.releases,
			models.Release{Name: "F" + n, LongName: "Fedora " + n, Version: n, IDPrefix: "FEDORA", Branch: "f" + n, State: "archived"})
	}
	for _, v := range []string{"10.0", "10.1"} {
		s.releases = append(s.releases,
			models.Release{Name: "EPEL-" + v, LongName: "Fedora EPEL " + v, Version: v, IDPrefix: "FEDORA-EPEL", Branch: "epel" + v, State: "archived"})
	}
	s.releases = append(s.releases,
		models.Release{Name: "EPEL-9N", LongName: "Fedora EPEL 9 Next", Version: "9", IDPrefix: "FEDORA-EPEL-NEXT", Branch: "epel9-next", State: "archived"},
		models.Release{Name: "EPEL-7", LongName: "Fedora EPEL 7", Version: "7", IDPrefix: "FEDORA-EPEL", Branch: "epel7", State: "archived"})
	return s
}

// SetReleases replaces the releases.
func (s *Server) SetReleases(rs models.Releases) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releases = slices.Clone(rs)
}

// Misbehave makes the server answer the next requests with these faults, one
// each.
func (s *Server) Misbehave(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Requests are the addresses that were asked for, in order, without host.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var fault Fault
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.RequestURI())
	if len(s.requests) > 1000 { // a demo runs for days
		s.requests = s.requests[len(s.requests)-1000:]
	}
	if len(s.faults) > 0 {
		fault, s.faults = s.faults[0], s.faults[1:]
	}
	releases := slices.Clone(s.releases)
	s.mu.Unlock()

	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case fault.Status != 0:
		if fault.Retry != "" {
			w.Header().Set("Retry-After", fault.Retry)
		}
		page(w, fault.Status)
	case fault.Body != "":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, fault.Body)
	case fault.Cut:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"releases": [`)
	case !strings.Contains(r.Header.Get("Accept"), "application/json"):
		page(w, http.StatusOK) // content negotiation: browsers get HTML
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "header", "method", "The method is not allowed here")
	case r.URL.Path == "/releases/":
		listReleases(w, r, releases)
	case strings.HasPrefix(r.URL.Path, "/releases/"):
		showRelease(w, strings.TrimPrefix(r.URL.Path, "/releases/"), releases)
	default:
		refuse(w, http.StatusNotFound, "url", "path", "The resource could not be found.")
	}
}

var states = []string{"disabled", "pending", "frozen", "current", "archived"}

func listReleases(w http.ResponseWriter, r *http.Request, all models.Releases) {
	query := r.URL.Query()
	for _, state := range query["state"] {
		if !slices.Contains(states, state) {
			refuse(w, http.StatusBadRequest, "querystring", "state",
				fmt.Sprintf("%q is not one of %s", state, strings.Join(states, ", ")))
			return
		}
	}
	number := func(name string, otherwise, most int) (int, bool) {
		if !query.Has(name) {
			return otherwise, true
		}
		n, err := strconv.Atoi(query.Get(name))
		switch {
		case err != nil:
			refuse(w, http.StatusBadRequest, "querystring", name, fmt.Sprintf("%q is not a number", query.Get(name)))
			return 0, false
		case n < 1:
			refuse(w, http.StatusBadRequest, "querystring", name, fmt.Sprintf("%d is less than minimum value 1", n))
			return 0, false
		case n > most:
			refuse(w, http.StatusBadRequest, "querystring", name, fmt.Sprintf("%d is greater than maximum value %d", n, most))
			return 0, false
		}
		return n, true
	}
	page, ok := number("page", 1, 1<<20)
	if !ok {
		return
	}
	rows, ok := number("rows_per_page", 20, 100)
	if !ok {
		return
	}
	matching := models.Releases{}
	for _, rel := range all {
		switch {
		case query.Has("state") && !slices.Contains(query["state"], rel.State),
			query.Has("name") && query.Get("name") != rel.Name,
			query.Get("exclude_archived") == "true" && rel.State == "archived":
			continue
		}
		matching = append(matching, rel)
	}
	slices.SortFunc(matching, func(a, b models.Release) int { return cmp.Compare(a.Name, b.Name) })
	from := min((page-1)*rows, len(matching))
	to := min(from+rows, len(matching))
	answer(w, http.StatusOK, map[string]any{
		"releases": matching[from:to], "page": page, "rows_per_page": rows,
		"pages": (len(matching) + rows - 1) / rows, "total": len(matching),
	})
}

func showRelease(w http.ResponseWriter, name string, all models.Releases) {
	i := slices.IndexFunc(all, func(r models.Release) bool { return r.Name == name })
	if i < 0 {
		refuse(w, http.StatusNotFound, "body", "name", "No such release")
		return
	}
	answer(w, http.StatusOK, all[i])
}

func refuse(w http.ResponseWriter, status int, location, name, description string) {
	answer(w, status, map[string]any{"status": "error", "errors": []map[string]string{
		{"location": location, "name": name, "description": description},
	}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever asked may have gone; nobody is left to tell.
	_ = json.NewEncoder(w).Encode(v)
}

func page(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<!DOCTYPE html><title>%d %s</title><p>Fedora Infrastructure", status, http.StatusText(status))
}
