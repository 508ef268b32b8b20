// Package anityafake is a small Anitya that speaks its protocol over HTTP and
// tells the bus of new versions, with the program beside it that files bugs about
// them.
package anityafake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"millrace/clients/anitya"
	"millrace/clients/fault"
)

// Fault is how the server answers a request instead of doing its work.
type Fault = fault.Fault

// Server is an Anitya. It is an http.Handler and safe for concurrent use. The
// exported fields are set before it serves and may be nil.
type Server struct {
	// Publish sends a message to the bus, with its full topic.
	Publish func(topic string, body []byte)
	// FileBug files, or brings up to date, the bug that says that a package of
	// Fedora has a new version, and returns its number, or 0 for a package whose
	// owners do not want it. Without a bug, nobody is told of new versions in
	// Fedora.
	FileBug func(pkg, version string) int

	faults fault.Faults

	mu       sync.Mutex // above what follows
	file     string     // that keeps the rest; empty: memory alone
	projects []*anitya.Project
	mappings []anitya.Mapping
}

// world is what outlives the process.
type world struct {
	Projects []*anitya.Project
	Mappings []anitya.Mapping
}

// Open keeps what is watched in a file of dir, and goes on from what is there.
func (s *Server) Open(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = filepath.Join(dir, "anitya.json")
	var w world
	if err := fault.Load(s.file, &w); err != nil {
		return fmt.Errorf("opening anitya: %w", err)
	}
	s.projects, s.mappings = w.Projects, w.Mappings
	return nil
}

// keep writes down what is watched. The lock is held.
func (s *Server) keep() error { return fault.Keep(s.file, world{s.projects, s.mappings}) }

const (
	versionTopic = "org.release-monitoring.prod.anitya.project.version.update.v2"
	hotnessTopic = "org.fedoraproject.prod.hotness.update.bug.file"
)

// Misbehave spoils the next requests, one each.
func (s *Server) Misbehave(faults ...Fault) { s.faults.Misbehave(faults...) }

// Requests are the addresses that were asked for, in order.
func (s *Server) Requests() []string { return s.faults.Requests() }

// Add has a project watched and returns its number. Its versions are given the
// newest first. What is kept in a file is written down by the next Map or Release.
func (s *Server) Add(p anitya.Project) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.ID == 0 {
		p.ID = int64(4242 + len(s.projects))
	}
	if p.Version == "" && len(p.Versions) > 0 {
		p.Version = p.Versions[0]
	}
	p.Versions, p.StableVersions = slices.Clone(p.Versions), slices.Clone(p.StableVersions)
	s.projects = append(s.projects, &p)
	return p.ID
}

// Map says that a distribution's package is made of a project.
func (s *Server) Map(distribution, pkg string, project int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(project)
	if p == nil {
		return fmt.Errorf("there is no project %d", project)
	}
	s.mappings = append(s.mappings, anitya.Mapping{Distribution: distribution, Package: pkg, Project: p.Name, Ecosystem: p.Ecosystem})
	return s.keep()
}

// Projects are those that are watched.
func (s *Server) Projects() []anitya.Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []anitya.Project
	for _, p := range s.projects {
		found = append(found, *p)
	}
	return found
}

func (s *Server) find(id int64) *anitya.Project {
	for _, p := range s.projects {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// Release has versions of a project found, the newest first, of which those that
// are no prereleases are named again. The bus is told, and then of the bug of
// each package in Fedora.
func (s *Server) Release(project int64, versions, stable []string) error {
	if len(versions) == 0 {
		return fmt.Errorf("project %d: there is no version to be found", project)
	}
	s.mu.Lock()
	p := s.find(project)
	if p == nil {
		s.mu.Unlock()
		return fmt.Errorf("there is no project %d", project)
	}
	old := p.Version
	p.Version = versions[0]
	p.Versions, p.StableVersions = slices.Concat(versions, p.Versions), slices.Concat(stable, p.StableVersions)
	now := shown(p)
	var fedora []string
	packages := []map[string]string{}
	for _, m := range s.mappings {
		if m.Project != p.Name || m.Ecosystem != p.Ecosystem {
			continue
		}
		packages = append(packages, map[string]string{"distro": m.Distribution, "package_name": m.Package})
		if m.Distribution == anitya.Fedora {
			fedora = append(fedora, m.Package)
		}
	}
	err := s.keep()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	message := map[string]any{"distro": nil, "project": now, "message": map[string]any{
		"agent": "anitya", "ecosystem": p.Ecosystem, "old_version": null(old), "upstream_versions": versions,
		"versions": now["versions"], "stable_versions": now["stable_versions"], "packages": packages, "project": now,
	}}
	if err := s.publish(versionTopic, message); err != nil {
		return err
	}
	for _, pkg := range fedora {
		if s.FileBug == nil {
			continue
		}
		bug := s.FileBug(pkg, versions[0])
		if bug == 0 {
			continue
		}
		err := s.publish(hotnessTopic, map[string]any{
			"package": pkg, "bug": map[string]any{"bug_id": bug}, "trigger": map[string]any{"topic": versionTopic, "msg": message},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) publish(topic string, body any) error {
	if s.Publish == nil {
		return nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing a message: %w", err)
	}
	s.Publish(topic, text)
	return nil
}

// shown is a project in Anitya's words. What it says of versions does not change
// with the project.
func shown(p *anitya.Project) map[string]any {
	return map[string]any{
		"id": p.ID, "name": p.Name, "homepage": p.Homepage, "backend": p.Backend, "ecosystem": p.Ecosystem, "regex": nil,
		"version": null(p.Version), "version_url": nil, "versions": all(p.Versions), "stable_versions": all(p.StableVersions),
		"created_on": 1600000000.0, "updated_on": 1741083072.0,
	}
}

func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func all(list []string) []string { return append([]string{}, list...) }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.faults.Serve(w, r, s.serve)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	path, v2 := strings.CutPrefix(r.URL.Path, "/api/v2/")
	switch {
	case r.Method != http.MethodGet && v2: // there are no accounts here
		w.Header().Set("WWW-Authenticate", "Token")
		answer(w, http.StatusUnauthorized, map[string]string{"error": "authentication_required", "error_description": "Authentication is required to access this API."})
	case path == "packages/":
		var found []any
		for _, m := range s.mappings {
			if !matches(query["name"], m.Package) || !matches(query["distribution"], m.Distribution) {
				continue
			}
			for _, p := range s.projects {
				if p.Name == m.Project && p.Ecosystem == m.Ecosystem {
					found = append(found, map[string]any{"distribution": m.Distribution, "name": m.Package, "project": p.Name, "ecosystem": p.Ecosystem,
						"version": null(p.Version), "stable_version": null(p.NewestStable())})
				}
			}
		}
		page(w, r, found)
	case path == "projects/":
		var found []any
		for _, p := range s.projects {
			if matches(query["name"], p.Name) && matches(query["ecosystem"], p.Ecosystem) {
				found = append(found, shown(p))
			}
		}
		page(w, r, found)
	case path == "versions/":
		id, _ := strconv.ParseInt(query.Get("project_id"), 10, 64)
		p := s.find(id)
		if p == nil {
			answer(w, http.StatusNotFound, map[string]string{"output": "notok", "error": "No such project"})
			return
		}
		answer(w, http.StatusOK, map[string]any{"latest_version": null(p.Version), "versions": all(p.Versions), "stable_versions": all(p.StableVersions)})
	default:
		http.NotFound(w, r)
	}
}

func matches(wanted []string, has string) bool {
	return len(wanted) == 0 || wanted[0] == "" || wanted[0] == has
}

// page cuts out what was asked for.
func page(w http.ResponseWriter, r *http.Request, items []any) {
	at, each := 1, 25
	for name, to := range map[string]*int{"page": &at, "items_per_page": &each} {
		if text := r.URL.Query().Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || name == "items_per_page" && n > 250 {
				answer(w, http.StatusBadRequest, map[string]any{"message": map[string]string{name: "Value must be between 1 and 250."}})
				return
			}
			*to = n
		}
	}
	from := min((at-1)*each, len(items))
	answer(w, http.StatusOK, map[string]any{
		"items": append([]any{}, items[from:min(from+each, len(items))]...), "items_per_page": each, "page": at, "total_items": len(items),
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked may have left
}
