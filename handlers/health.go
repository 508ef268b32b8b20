package handlers

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"time"
)

// checkPatience is how long what readiness needs may take to answer.
const checkPatience = 3 * time.Second

// healthy says that the process lives.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, err := w.Write([]byte("ok\n"))
	return err
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"` // by name: "ok", or what is wrong
}

// ready says whether what the process needs answers: the database, the queue.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), checkPatience)
	defer cancel()
	answer := Readiness{Ready: true, Checks: map[string]string{}}
	check := func(name string, ask func(context.Context) error) {
		answer.Checks[name] = "ok"
		if err := ask(ctx); err != nil {
			// Addresses and users of databases are in such errors; they are for the log.
			s.Log.WarnContext(ctx, "not ready", "check", name, "error", err)
			answer.Ready, answer.Checks[name] = false, "does not answer"
		}
	}
	check("database", s.Store.Ping)
	for name, ask := range s.Checks {
		check(name, ask)
	}
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	s.sendJSON(w, r, status, "application/json", answer)
	return nil
}

// Version is the answer of /version.json.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Go      string `json:"go"`
	Source  string `json:"source,omitempty"`
}

func (s *Server) showVersion(w http.ResponseWriter, r *http.Request) error {
	return s.writeJSON(w, r, Version{"millrace", s.Version, runtime.Version(), s.Source})
}

// robots keeps crawlers from what has no end: logs, filters, machine forms.
func (s *Server) robots(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, err := fmt.Fprint(w, "User-agent: *\nDisallow: /api/\nDisallow: /find\nDisallow: /live\nDisallow: /runs/\nDisallow: /srpm\nDisallow: /*?\n")
	return err
}
