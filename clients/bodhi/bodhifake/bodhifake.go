// Package bodhifake is a small Bodhi that speaks its protocol over HTTP: logins
// by the identity provider that it has with it, releases, updates with their way
// to users, comments, buildroot overrides, messages for the bus, and a page for
// each update. Time passes in it when Advance says so.
package bodhifake

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/fault"
	"millrace/models"
)

// Fault is how the server answers a request instead of doing its work.
type Fault = fault.Fault

// Server is a Bodhi. It is an http.Handler and safe for concurrent use. Its
// zero value has no releases; New has those of Fedora. The exported fields are
// set before it serves; what they hold may be nil or empty.
type Server struct {
	// Address is where it is served, without a slash at the end, for addresses
	// in answers; empty means where the request was sent to.
	Address string
	// Users may log in, with the groups they are in; nil means packit, who is a
	// packager.
	Users map[string][]string
	// Commits reports whether a user may commit to a package; nil means that all
	// packagers may.
	Commits func(user, pkg string) bool
	// Tags are the tags that Koji has on a build, and whether it knows the build
	// at all; without it every build is believed to be where it should.
	Tags func(nvr string) (tags []string, known bool)
	// Tagged are the builds that Koji has in a side tag, by NVR, the newest of
	// each package; without it there are no side tags.
	Tagged func(tag string) (builds []string, known bool)
	// Publish sends a message to the bus; it is called with no lock held, in the
	// order of what happened.
	Publish func(topic string, body []byte)
	// Moved is called when a compose has carried an update's builds into a new
	// status, so that Koji can move their tags.
	Moved func(u Update)
	// Topic is the prefix of topics; empty means org.fedoraproject.prod.
	Topic string

	faults  fault.Faults
	sending sync.Mutex // held while messages are published, so that they stay in order

	mu       sync.Mutex // above what follows
	file     string     // that keeps the state; empty: memory alone
	releases models.Releases
	state    state
	logins   logins
	outgoing []outgoing // messages to publish when the lock is gone
	moved    []Update
}

// state is what outlives the process.
type state struct {
	Now       time.Duration // how far the clock is ahead
	Composed  time.Time     // when the last compose was
	LastID    int64         // of comments
	Updates   []*Update     // the oldest first
	Overrides []*override
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

// Open keeps what happens in a file of dir, and goes on from what is there.
func (s *Server) Open(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("opening bodhi: %w", err)
	}
	s.file = filepath.Join(dir, "bodhi.json")
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s.state)
	}
	if err != nil {
		return fmt.Errorf("opening bodhi: %w", err)
	}
	return nil
}

// keep writes the state down. The lock is held.
func (s *Server) keep() error {
	if s.file == "" {
		return nil
	}
	text, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	next := s.file + ".new"
	if err := os.WriteFile(next, text, 0o644); err != nil {
		return err
	}
	return os.Rename(next, s.file)
}

// SetReleases replaces the releases.
func (s *Server) SetReleases(rs models.Releases) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releases = slices.Clone(rs)
}

// Misbehave spoils the next requests, one each.
func (s *Server) Misbehave(faults ...Fault) { s.faults.Misbehave(faults...) }

// Requests are the addresses that were asked for, in order, without host; those
// that were not asked for with GET have their method before them.
func (s *Server) Requests() []string { return s.faults.Requests() }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.faults.Serve(w, r, s.serve)
}

const maxForm = 1 << 20

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	path := r.URL.Path
	if strings.HasPrefix(path, providerPath+"/") {
		s.provide(w, r)
		return
	}
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		s.showPage(w, r) // content negotiation: browsers get HTML
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.read(w, r)
	case http.MethodPost:
		s.post(w, r)
	default:
		refuse(w, http.StatusMethodNotAllowed, "header", "method", "The method is not allowed here")
	}
	s.send()
}

// read answers what changes nothing.
func (s *Server) read(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch path := r.URL.Path; {
	case path == "/releases/":
		listReleases(w, r, s.releases)
	case strings.HasPrefix(path, "/releases/"):
		showRelease(w, strings.TrimPrefix(path, "/releases/"), s.releases)
	case path == "/updates/":
		s.listUpdates(w, r)
	case strings.HasPrefix(path, "/updates/"):
		s.showUpdate(w, r, strings.TrimPrefix(path, "/updates/"))
	case path == "/overrides/":
		s.listOverrides(w, r)
	case strings.HasPrefix(path, "/overrides/"):
		s.showOverride(w, strings.TrimPrefix(path, "/overrides/"))
	case path == "/oidc/login-token":
		s.loginToken(w, r)
	case path == "/csrf":
		s.csrf(w, r)
	default:
		refuse(w, http.StatusNotFound, "url", "path", "The resource could not be found.")
	}
}

var states = []string{"disabled", "pending", "frozen", "current", "archived"}

// paging reads the numbers of a list's page; it has refused them if ok is false.
func paging(w http.ResponseWriter, r *http.Request, most int) (page, rows int, ok bool) {
	query := r.URL.Query()
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
	if page, ok = number("page", 1, 1<<20); !ok {
		return 0, 0, false
	}
	rows, ok = number("rows_per_page", 20, most)
	return page, rows, ok
}

func listReleases(w http.ResponseWriter, r *http.Request, all models.Releases) {
	query := r.URL.Query()
	for _, state := range query["state"] {
		if !slices.Contains(states, state) {
			refuse(w, http.StatusBadRequest, "querystring", "state",
				fmt.Sprintf("%q is not one of %s", state, strings.Join(states, ", ")))
			return
		}
	}
	page, rows, ok := paging(w, r, 100)
	if !ok {
		return
	}
	matching := []release{}
	for _, rel := range all {
		switch {
		case query.Has("state") && !slices.Contains(query["state"], rel.State),
			query.Has("name") && query.Get("name") != rel.Name,
			query.Get("exclude_archived") == "true" && rel.State == "archived":
			continue
		}
		matching = append(matching, release{rel})
	}
	slices.SortFunc(matching, func(a, b release) int { return cmp.Compare(a.Name, b.Name) })
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
	answer(w, http.StatusOK, release{all[i]})
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
