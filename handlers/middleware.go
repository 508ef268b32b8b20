package handlers

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// visit is what is known of a request besides the request itself.
type visit struct {
	id    string    // random; in the answer, in the log, on error pages
	path  string    // as it was asked for, without the query
	route string    // pattern of its route; "none" if there is no such route
	json  bool      // the answer is to be JSON
	api   bool      // it came below /api/v3
	start time.Time //

	status int // of the answer; 0 before it began
	bytes  int64
}

type visitKey struct{}

func visitOf(r *http.Request) *visit {
	if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
		return v
	}
	return &visit{route: "none", start: time.Now()} // a handler that is called alone
}

func (v *visit) wrote() bool { return v.status != 0 }

// writer notes what is answered. ResponseController finds the real one below.
type writer struct {
	http.ResponseWriter
	visit *visit
}

func (w *writer) WriteHeader(status int) {
	if w.visit.status == 0 && status >= 200 {
		w.visit.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.visit.status == 0 {
		w.visit.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.visit.bytes += int64(n)
	return n, err
}

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func newRequestID() string {
	var b [10]byte
	rand.Read(b[:])
	return idEncoding.EncodeToString(b[:])
}

const (
	maxURL = 8 << 10 // bytes of an address
	// answerPatience is how long a reader may take for an answer.
	answerPatience = 2 * time.Minute
	// policy forbids everything that our pages do not need. They have no inline
	// script or style, so an injected one does nothing.
	policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// enter begins every request: it gets its number, its headers, and its form.
func (s *Server) enter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v := &visit{id: newRequestID(), path: r.URL.Path, route: "none", start: time.Now()}
		w := &writer{rw, v}
		h := w.Header()
		h.Set("X-Request-Id", v.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")

		// Only connections have deadlines; what takes longer sets its own.
		conn := http.NewResponseController(rw)
		_ = conn.SetWriteDeadline(v.start.Add(answerPatience))
		if r.ContentLength != 0 {
			_ = conn.SetReadDeadline(v.start.Add(hookPatience))
		}
		r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		defer s.leave(w, r)
		choose(r, v)
		if len(r.RequestURI) > maxURL || len(r.URL.Path) > maxURL {
			v.path = ""
			s.fail(w, r, &refusal{status: http.StatusRequestURITooLong, detail: "Addresses have at most 8192 bytes here."})
			return
		}
		if strings.ContainsRune(r.URL.Path, 0) {
			s.fail(w, r, &refusal{status: http.StatusBadRequest, detail: "An address cannot contain that."})
			return
		}
		if to := canonical(r.URL); to != "" {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				if v.api {
					to = apiPrefix + to
				}
				h.Set("Cache-Control", "public, max-age=3600")
				redirect(w, to, http.StatusPermanentRedirect)
				return
			}
			// Whoever sends something is not sent elsewhere.
			r.URL.Path, r.URL.RawPath = strings.TrimRight(r.URL.Path, "/"), ""
		}
		next.ServeHTTP(w, r)
	})
}

// leave ends every request: what panicked becomes an answer, and what was
// answered is noted.
func (s *Server) leave(w *writer, r *http.Request) {
	v := w.visit
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler { // meant to cut the connection
			s.Metrics.request(v.route, r.Method, v.status, time.Since(v.start))
			panic(p)
		}
		s.Log.ErrorContext(r.Context(), "request panicked", "panic", p, "request", v.id, "stack", string(debug.Stack()))
		if v.wrote() {
			panic(http.ErrAbortHandler)
		}
		s.fail(w, r, &refusal{status: http.StatusInternalServerError})
	}
	took := time.Since(v.start)
	if v.status == 0 {
		v.status = http.StatusOK // net/http will say so
	}
	s.Metrics.request(v.route, r.Method, v.status, took)
	level := slog.LevelInfo
	if quiet[v.route] {
		level = slog.LevelDebug
	}
	if s.Log.Enabled(r.Context(), level) {
		s.Log.LogAttrs(r.Context(), level, "request",
			slog.String("method", r.Method), slog.String("path", clip(v.path, 300)), slog.Int("status", v.status),
			slog.Int64("bytes", v.bytes), slog.Duration("took", took), slog.String("route", v.route),
			slog.String("remote", r.RemoteAddr), slog.String("request", v.id))
	}
}

// quiet are routes that machines ask all the time.
var quiet = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, "/static/*": true}

// clip cuts what is written to the log.
func clip(text string, n int) string {
	if len(text) > n {
		return strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}

// routed notes the pattern of the route that a request takes.
func routed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visitOf(r)
		defer func() {
			if v.route == "none" {
				if pattern := chi.RouteContext(r.Context()).RoutePattern(); pattern != "" && v.status != http.StatusMethodNotAllowed {
					v.route = pattern
				}
			}
		}()
		next.ServeHTTP(w, r)
	})
}

const apiPrefix = "/api/v3"

// choose finds out whether JSON is wanted: below /api/v3, with .json at the end
// of the path, or by the Accept header.
func choose(r *http.Request, v *visit) {
	if rest, ok := strings.CutPrefix(r.URL.Path, apiPrefix); ok && (rest == "" || rest[0] == '/') {
		v.json, v.api = true, true
		if rest == "" {
			rest = "/"
		}
		raw := strings.TrimPrefix(r.URL.RawPath, apiPrefix)
		setPath(r, rest, raw)
	}
	if prefersJSON(r.Header.Get("Accept")) {
		v.json = true
	}
	// Names of projects and references may themselves end so; their own handler
	// decides.
	path := r.URL.Path
	if strings.HasSuffix(path, ".json") && path != "/version.json" && !strings.HasPrefix(path, "/projects/") && !strings.HasPrefix(path, "/static/") {
		v.json = true
		setPath(r, strings.TrimSuffix(path, ".json"), strings.TrimSuffix(r.URL.RawPath, ".json"))
	}
}

// setPath changes the path of a request without changing the URL of others.
func setPath(r *http.Request, path, raw string) {
	u := *r.URL
	u.Path, u.RawPath = path, raw
	r.URL = &u
}

// prefersJSON reports whether an Accept header names JSON and, before it, no
// HTML.
func prefersJSON(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "text/html", "application/xhtml+xml", "*/*", "text/*":
			return false
		case "application/json", "application/problem+json":
			return true
		}
	}
	return false
}

// roots are the first segments of our pages: fixed, in lower case.
var roots = map[string]bool{
	"projects": true, "pipelines": true, "runs": true, "events": true, "queue": true, "help": true, "find": true,
	"live": true, "healthz": true, "readyz": true, "metrics": true, "version.json": true, "robots.txt": true,
	"hooks": true, "srpms": true, "srpm-tool": true, "settings": true, "me": true, "openapi": true, "static": true, "jobs": true, "login": true, "logout": true, "admin": true,
}

// canonical returns the address that a page really has, or nothing if u is it:
// without empty segments or a slash at its end, with its fixed first segment in
// lower case. It always begins with one slash and stays with us.
func canonical(u *url.URL) string {
	path := u.EscapedPath()
	if path == "/" {
		return ""
	}
	segments := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	if len(segments) > 0 {
		if low := strings.ToLower(segments[0]); low != segments[0] && roots[low] {
			segments[0] = low
		}
	}
	clean := "/" + strings.Join(segments, "/")
	if clean == path {
		return ""
	}
	if u.RawQuery != "" {
		clean += "?" + u.RawQuery
	}
	return clean
}

// inForm is the address of a page in the form in which the reader wants it.
func inForm(r *http.Request, page string) string {
	switch v := visitOf(r); {
	case v.api:
		return apiPrefix + page
	case v.json:
		return page + ".json"
	}
	return page
}

// redirect sends the reader to an address of ours.
func redirect(w http.ResponseWriter, to string, status int) {
	w.Header().Set("Location", to)
	w.WriteHeader(status)
}
