// Package bugzillafake is a small Bugzilla, as Red Hat's is, that speaks its
// protocol over HTTP: bearer tokens only, several components to a
// bug, twenty results where no limit is given.
package bugzillafake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/clients/bugzilla"
	"millrace/clients/fault"
)

// Fault is how the server answers a request instead of doing its work.
type Fault = fault.Fault

// Server is a Bugzilla. It is an http.Handler and safe for concurrent use. Its
// zero value has no bugs and no users.
type Server struct {
	Keys map[string]string // logins by API key; set before it serves

	faults fault.Faults

	mu   sync.Mutex // above what follows
	file string     // that keeps the bugs; empty: memory alone
	bugs []*bug
}

type bug struct {
	bugzilla.Bug
	Private bool
	Said    []bugzilla.Comment
}

// Open keeps the bugs in a file of dir, and goes on from what is there.
func (s *Server) Open(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = filepath.Join(dir, "bugs.json")
	if err := fault.Load(s.file, &s.bugs); err != nil {
		return fmt.Errorf("opening bugzilla: %w", err)
	}
	return nil
}

// Bugs are all bugs with what was said of them, the oldest first.
func (s *Server) Bugs() []Bug {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Bug
	for _, b := range s.bugs {
		all = append(all, Bug{b.Bug, slices.Clone(b.Said)})
	}
	return all
}

// Bug is a bug with what was said of it, the oldest first.
type Bug struct {
	bugzilla.Bug
	Said []bugzilla.Comment
}

const firstID = 2300001

// Misbehave spoils the next requests, one each.
func (s *Server) Misbehave(faults ...Fault) { s.faults.Misbehave(faults...) }

// Requests are the addresses that were asked for, in order; those that were not
// asked for with GET have their method before them.
func (s *Server) Requests() []string { return s.faults.Requests() }

// File files a bug and returns its number. What is empty gets what such bugs
// mostly have.
func (s *Server) File(b bugzilla.Bug, description string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	filed := s.add(b, description)
	s.keep()
	return filed.ID
}

// keep writes the bugs down; what cannot be written is remembered all the same.
// The lock is held.
func (s *Server) keep() { _ = fault.Keep(s.file, s.bugs) }

func (s *Server) add(b bugzilla.Bug, description string) *bug {
	now := time.Now().UTC().Truncate(time.Second)
	b.ID, b.Created, b.Changed = firstID+len(s.bugs), now, now
	for to, otherwise := range map[*string]string{&b.Status: "NEW", &b.Product: "Fedora", &b.AssignedTo: "nobody@fedoraproject.org", &b.Creator: "ann@example.org"} {
		if *to == "" {
			*to = otherwise
		}
	}
	if b.Versions == nil {
		b.Versions = []string{"rawhide"}
	}
	b.Open = b.Status != "CLOSED"
	filed := &bug{Bug: b}
	s.bugs = append(s.bugs, filed)
	filed.say(b.Creator, description)
	return filed
}

func (b *bug) say(who, text string) {
	b.Changed = time.Now().UTC().Truncate(time.Second)
	b.Said = append(b.Said, bugzilla.Comment{ID: int64(b.ID)*100 + int64(len(b.Said)), Creator: who, Text: text, At: b.Changed})
}

// Release files the bug that says that a package has a new version, or brings the
// open one up to date, and returns its number.
func (s *Server) Release(pkg, version string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	summary := pkg + "-" + version + " is available"
	for _, b := range s.bugs {
		if of, _, ok := b.Release(); ok && of == pkg && b.Open && b.Product == "Fedora" && b.Creator == bugzilla.MonitoringAccount {
			b.Summary = summary
			b.say(b.Creator, "Releases retrieved: "+version)
			s.keep()
			return b.ID
		}
	}
	filed := s.add(bugzilla.Bug{
		Summary: summary, Components: []string{pkg}, Creator: bugzilla.MonitoringAccount, Keywords: []string{"FutureFeature", "Triaged"},
	}, "Releases retrieved: "+version+"\nUpstream release that is considered latest: "+version)
	s.keep()
	return filed.ID
}

// Hide makes a bug one that only those who are logged in may see.
func (s *Server) Hide(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.find(id); b != nil {
		b.Private = true
		s.keep()
	}
}

func (s *Server) find(id int) *bug {
	if i := id - firstID; i >= 0 && i < len(s.bugs) {
		return s.bugs[i]
	}
	return nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.faults.Serve(w, r, s.serve)
}

const maxForm = 1 << 20

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	s.mu.Lock()
	defer s.mu.Unlock()
	user, ok := s.user(w, r)
	if !ok {
		return
	}
	path, ok := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), "/rest")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if path == "/whoami" {
		if user == "" {
			fail(w, http.StatusUnauthorized, 410, "You must log in before using this part of Bugzilla.")
			return
		}
		answer(w, map[string]any{"id": 1, "name": user, "real_name": user})
		return
	}
	if path == "/bug" && r.Method == http.MethodGet {
		s.search(w, r, user)
		return
	}
	key, what, _ := strings.Cut(strings.TrimPrefix(path, "/bug/"), "/")
	id, err := strconv.Atoi(key)
	b := s.find(id)
	switch {
	case err != nil:
		fail(w, http.StatusNotFound, 100, fmt.Sprintf("'%s' is not a valid bug number nor an alias to a bug.", key))
	case b == nil:
		fail(w, http.StatusNotFound, 101, fmt.Sprintf("Bug #%d does not exist.", id))
	case b.Private && user == "":
		fail(w, http.StatusUnauthorized, 102, fmt.Sprintf("You are not authorized to access bug #%d.", id))
	case what == "" && r.Method == http.MethodGet:
		answer(w, map[string]any{"bugs": []any{b.Bug}, "faults": []any{}})
	case what == "comment" && r.Method == http.MethodGet:
		answer(w, map[string]any{"bugs": map[string]any{key: map[string]any{"comments": b.Said}}, "comments": map[string]any{}})
	case what == "" && r.Method == http.MethodPut:
		s.change(w, r, user, b)
	default:
		fail(w, http.StatusNotFound, 32614, "The requested method was not found.")
	}
}

// user is who asks, empty if nobody in particular. Red Hat's takes bearer tokens
// alone.
func (s *Server) user(w http.ResponseWriter, r *http.Request) (string, bool) {
	if r.URL.Query().Has("api_key") || r.URL.Query().Has("Bugzilla_api_key") || r.Header.Get("X-BUGZILLA-API-KEY") != "" {
		fail(w, http.StatusBadRequest, 32000, "The method is not supported without using API keys and the authentication header")
		return "", false
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", true
	}
	key, bearer := strings.CutPrefix(header, "Bearer ")
	login := s.Keys[key]
	if !bearer || login == "" {
		fail(w, http.StatusBadRequest, 306, "The API key you specified is invalid. Please check that you typed it correctly.")
		return "", false
	}
	return login, true
}

func (s *Server) search(w http.ResponseWriter, r *http.Request, user string) {
	query := r.URL.Query()
	limit := 20
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			fail(w, http.StatusBadRequest, 53, "The limit is not a number.")
			return
		}
		limit = n
		if n == 0 || n > 1000 {
			limit = 1000
		}
	}
	one := func(key string, has ...string) bool {
		wanted := query[key]
		return len(wanted) == 0 || slices.ContainsFunc(has, func(h string) bool { return slices.Contains(wanted, h) })
	}
	found := []any{}
	total := 0
	for _, b := range s.bugs {
		if b.Private && user == "" || !one("product", b.Product) || !one("component", b.Components...) || !one("status", b.Status) ||
			!one("version", b.Versions...) || !strings.Contains(strings.ToLower(b.Summary), strings.ToLower(query.Get("summary"))) {
			continue
		}
		if total++; len(found) < limit {
			found = append(found, b.Bug)
		}
	}
	answer(w, map[string]any{"bugs": found, "faults": []any{}, "total_matches": total, "limit": strconv.Itoa(limit), "offset": 0})
}

func (s *Server) change(w http.ResponseWriter, r *http.Request, user string, b *bug) {
	if user == "" {
		fail(w, http.StatusUnauthorized, 410, "You must log in before using this part of Bugzilla.")
		return
	}
	var in struct {
		Status, Resolution string
		Comment            struct{ Body string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, 32700, "The request is not valid JSON.")
		return
	}
	if in.Status == "CLOSED" && in.Resolution == "" {
		fail(w, http.StatusBadRequest, 120, "You must select a resolution when you close a bug.")
		return
	}
	if in.Status != "" {
		b.Status, b.Resolution, b.Open = in.Status, in.Resolution, in.Status != "CLOSED"
	}
	if in.Comment.Body != "" {
		b.say(user, in.Comment.Body)
	}
	s.keep()
	answer(w, map[string]any{"bugs": []any{map[string]any{"id": b.ID, "last_change_time": b.Changed, "changes": map[string]any{}}}})
}

func fail(w http.ResponseWriter, status, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": true, "code": code, "message": text, "documentation": "https://bugzilla.redhat.com/docs/en/html/api/"})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // whoever asked may have left
}
