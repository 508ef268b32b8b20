package coprfake

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody   = 1 << 20
	maxUpload = 1 << 30
)

// refusal is an answer other than 200, with Copr's words.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// operation carries out a call by user (nil for one who did not log in) and
// returns what is answered.
type operation func(r *http.Request, user *User) (any, error)

func (f *Fake) routes() *http.ServeMux {
	mux := http.NewServeMux()
	open := func(pattern string, o operation) { mux.Handle(pattern, f.handle(o, false)) }
	private := func(pattern string, o operation) { mux.Handle(pattern, f.handle(o, true)) }

	open("GET /api_3", func(*http.Request, *User) (any, error) { return map[string]int{"version": 3}, nil })
	private("GET /api_3/auth-check", func(_ *http.Request, u *User) (any, error) { return map[string]string{"name": u.Name}, nil })
	open("GET /api_3/mock-chroots/list", f.listChroots)
	open("GET /api_3/project", f.getProject)
	open("GET /api_3/project/list", f.listProjects)
	private("POST /api_3/project/add/{owner}", f.addProject)
	for _, method := range []string{"PUT", "POST"} {
		private(method+" /api_3/project/edit/{owner}/{name}", f.editProject)
		private(method+" /api_3/project-chroot/edit/{owner}/{name}/{chroot}", f.editChroot)
		private(method+" /api_3/build/cancel/{id}", f.cancelBuild)
	}
	for _, method := range []string{"DELETE", "POST"} {
		private(method+" /api_3/project/delete/{owner}/{name}", f.deleteProject)
		private(method+" /api_3/build/delete/{id}", f.deleteBuild)
	}
	open("GET /api_3/project-chroot", f.getChroot)
	private("GET /api_3/project/permissions/get/{owner}/{name}", f.getPermissions)
	private("PUT /api_3/project/permissions/set/{owner}/{name}", f.setPermissions)
	private("PUT /api_3/project/permissions/request/{owner}/{name}", f.requestPermissions)
	open("GET /api_3/project/permissions/can_build_in/{who}/{owner}/{name}", f.canBuildIn)

	private("POST /api_3/build/create/custom", f.createCustom)
	private("POST /api_3/build/create/url", f.createURL)
	private("POST /api_3/build/create/upload", f.createUpload)
	open("GET /api_3/build/list", f.listBuilds)
	open("GET /api_3/build/{id}", f.getBuild)
	open("GET /api_3/build/source-chroot/{id}", f.getSourceChroot)
	open("GET /api_3/build/source-build-config/{id}", f.getSourceConfig)
	open("GET /api_3/build/built-packages/{id}", f.getBuiltPackages)
	open("GET /api_3/build-chroot", f.getBuildChroot)
	open("GET /api_3/build-chroot/list", f.listBuildChroots)
	mux.HandleFunc("/api_3/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "The requested URL was not found on the server.")
	})
	mux.Handle("GET /results/", f.serveResults())
	mux.Handle("GET /tmp/", http.StripPrefix("/tmp/", f.serveFiles("uploads")))
	return mux
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/api_3") {
		f.mux.ServeHTTP(w, r)
		return
	}
	// The API takes paths with and without a slash at the end.
	if trimmed := strings.TrimRight(r.URL.Path, "/"); trimmed != r.URL.Path {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = trimmed, strings.TrimRight(r.URL.RawPath, "/")
	}
	faults := f.faultsOf(r)
	if faults.Down || faults.Status != 0 {
		faults.refuse(w)
		return
	}
	if faults.Delay == 0 && !faults.LoseAnswers {
		f.mux.ServeHTTP(w, r)
		return
	}
	answer := &recorder{header: make(http.Header), status: http.StatusOK}
	f.mux.ServeHTTP(answer, r)
	select {
	case <-time.After(faults.Delay):
	case <-r.Context().Done():
	}
	if faults.LoseAnswers {
		Faults{Down: true}.refuse(w)
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.status)
	w.Write(answer.body.Bytes()) // whoever asked may have left
}

// recorder keeps an answer back.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func (f *Fake) handle(o operation, private bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := f.login(r)
		if private && user == nil {
			writeJSON(w, http.StatusUnauthorized, map[string]string{"output": "notok", "error": "Login invalid/expired. Please visit " +
				f.base(r) + "/api to get or renew your API token."})
			return
		}
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		answer, err := o(r, user)
		if refused, ok := errors.AsType[*refusal](err); ok {
			writeError(w, refused.status, refused.text)
			return
		}
		if err != nil {
			f.log.ErrorContext(r.Context(), "copr failed", "path", r.URL.Path, "error", err)
			writeError(w, http.StatusInternalServerError, "Request wasn't successful, there is probably a bug in the API code.")
			return
		}
		writeJSON(w, http.StatusOK, answer)
	})
}

func (f *Fake) login(r *http.Request) *User {
	login, token, ok := r.BasicAuth()
	if !ok || f.Faults().LoginExpired {
		return nil
	}
	for i := range f.options.Users {
		u := &f.options.Users[i]
		if u.Login == login && subtle.ConstantTimeCompare([]byte(u.Token), []byte(token)) == 1 {
			return u
		}
	}
	return nil
}

// base is the address that answers name.
func (f *Fake) base(r *http.Request) string {
	if f.options.BaseURL != "" {
		return strings.TrimSuffix(f.options.BaseURL, "/")
	}
	return "http://" + r.Host
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // whoever asked may have left
}

func readJSON(r io.Reader, v any) error {
	if err := json.NewDecoder(io.LimitReader(r, maxBody)).Decode(v); err != nil {
		return refuse(http.StatusBadRequest, "Bad request parameters: %v", err)
	}
	return nil
}

// serveResults serves the directories of results, and says of logs that they
// are text so that a browser shows them.
func (f *Fake) serveResults() http.Handler {
	files := http.StripPrefix("/results/", f.serveFiles("results"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path.Ext(r.URL.Path) {
		case ".log":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
		case ".gz":
			w.Header().Set("Content-Type", "application/x-gzip")
		case ".rpm":
			w.Header().Set("Content-Type", "application/x-rpm")
		}
		files.ServeHTTP(w, r)
	})
}

// serveFiles serves what is below a directory of ours. What was built there
// comes from strangers: it is not to run in anybody's browser, and its links
// lead nowhere else.
func (f *Fake) serveFiles(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
		sub := http.FS(subFS{f.root.FS(), dir})
		http.FileServer(sub).ServeHTTP(w, r)
	})
}

// page cuts out the items that the query asks for, and repeats the question.
func page[T any](r *http.Request, items []T) ([]T, map[string]any) {
	meta := map[string]any{"limit": nil, "offset": 0, "order": "id", "order_type": "ASC"}
	query := r.URL.Query()
	if query.Get("order_type") != "DESC" {
		items = slices.Clone(items)
		slices.Reverse(items) // they come newest first
	} else {
		meta["order_type"] = "DESC"
	}
	if offset, err := strconv.Atoi(query.Get("offset")); err == nil && offset > 0 {
		items = items[min(offset, len(items)):]
		meta["offset"] = offset
	}
	if limit, err := strconv.Atoi(query.Get("limit")); err == nil && limit > 0 {
		items = items[:min(limit, len(items))]
		meta["limit"] = limit
	}
	return items, meta
}
