package pagurefake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millrace/clients/git/fakeforge"
)

// refusal is how Pagure says no.
type refusal struct {
	Status int
	Code   string
	Text   string
	Errors any // details, or nil
}

func (e *refusal) Error() string { return e.Text }

func noProject() *refusal { return &refusal{404, "ENOPROJECT", "Project not found", nil} }

// invalid is a refused form: what is wrong, by field.
func invalid(field, said string) *refusal {
	return &refusal{400, "EINVALIDREQ", "Invalid or incomplete input submitted", object{field: []string{said}}}
}

func inWords(status int, format string, args ...any) *refusal {
	return &refusal{status, "ENOCODE", fmt.Sprintf(format, args...), nil}
}

// call is one call of the API about a project.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	repo  fakeforge.Repo
	login string   // of the token; empty without one
	rest  []string // words of the path that stand for themselves
	form  url.Values
}

// endpoint is a method and the path behind that of a project. "*" stands for
// any word, which is then in call.rest.
type endpoint struct {
	method, path string
	right        string // that the token must give; empty if none is needed
	serve        func(*Fake, *call) (any, error)
}

var endpoints = []endpoint{
	{"GET", "", "", (*Fake).showProject},
	{"GET", "contributors", "", (*Fake).showContributors},
	{"GET", "hascommit", "", (*Fake).showHasCommit},
	{"POST", "git/modifyacls", "modify_project", (*Fake).modifyACLs},
	{"GET", "git/urls", "", (*Fake).showURLs},
	{"GET", "git/branches", "", (*Fake).listBranches},
	{"POST", "git/branch", "create_branch", (*Fake).createBranch},
	{"POST", "pull-request/new", "pull_request_create", (*Fake).openPull},
	{"GET", "pull-requests", "", (*Fake).listPulls},
	{"GET", "pull-request/*", "", (*Fake).showPull},
	{"POST", "pull-request/*", "pull_request_update", (*Fake).editPull},
	{"GET", "pull-request/*/diffstats", "", (*Fake).showDiffStats},
	{"POST", "pull-request/*/comment", "pull_request_comment", (*Fake).commentPull},
	{"POST", "pull-request/*/close", "pull_request_close", (*Fake).closePull},
	{"POST", "pull-request/*/reopen", "pull_request_close", (*Fake).reopenPull},
	{"POST", "pull-request/*/merge", "pull_request_merge", (*Fake).mergePull},
	{"GET", "pull-request/*/flag", "", (*Fake).listPullFlags},
	{"POST", "pull-request/*/flag", "pull_request_flag", (*Fake).flagPull},
	{"GET", "c/*/flag", "", (*Fake).listFlags},
	{"POST", "c/*/flag", "commit_flag", (*Fake).flagCommit},
	{"GET", "c/*/info", "", (*Fake).showCommit},
	{"GET", "issues", "", (*Fake).listIssues},
	{"POST", "new_issue", "issue_create", (*Fake).openIssue},
	{"GET", "issue/*", "", (*Fake).showIssue},
	{"POST", "issue/*/comment", "issue_comment", (*Fake).commentIssue},
	{"POST", "issue/*/status", "issue_change_status", (*Fake).changeIssue},
}

func (f *Fake) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/0/-/version", f.plain(func(r *http.Request) (any, error) { return object{"version": "5.14.1"}, nil }))
	mux.HandleFunc("POST /api/0/-/whoami", f.plain(func(r *http.Request) (any, error) {
		login, err := f.authorize(r, "")
		return object{"username": login}, err
	}))
	mux.HandleFunc("GET /api/0/group/{group}", f.plain(f.showGroup))
	mux.HandleFunc("GET /api/0/projects", f.plain(f.listProjects))
	mux.HandleFunc("POST /api/0/fork", f.plain(f.fork))
	mux.HandleFunc("/api/0/", f.serveProject)
	mux.HandleFunc("GET /_dg/anitya/{namespace}/{name}", f.showExtra(monitoring))
	mux.HandleFunc("GET /_dg/orphan/{namespace}/{name}", f.showExtra(orphan))
	mux.HandleFunc("GET /-/style.css", fakeforge.ServeStyle)
	mux.HandleFunc("/", f.servePage)
	return mux
}

// plain makes a handler of what needs no project.
func (f *Fake) plain(serve func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { f.respond(w, r, func() (any, error) { return serve(r) }) }
}

const maxForm = 4 << 20

// respond carries a call out and writes what comes of it.
func (f *Fake) respond(w http.ResponseWriter, r *http.Request, carryOut func() (any, error)) {
	answered, drop := f.misbehave(w, r)
	if answered {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	v, err := carryOut()
	if drop {
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
	if err == nil {
		answer(w, http.StatusOK, v)
		return
	}
	no := refusalOf(err)
	if no == nil {
		f.config.Log.ErrorContext(r.Context(), "pagure could not answer", "path", r.URL.Path, "error", err)
		no = &refusal{500, "EDBERROR", "An error occurred at the database level and prevent the action from reaching completion", nil}
	}
	body := object{"error": no.Text, "error_code": no.Code}
	if no.Errors != nil {
		body["errors"] = no.Errors
	}
	answer(w, no.Status, body)
}

// refusalOf is what the API says about an error of the forge; nil if it is no
// fault of the caller.
func refusalOf(err error) *refusal {
	if no, ok := errors.AsType[*refusal](err); ok {
		return no
	}
	switch {
	case errors.Is(err, fakeforge.ErrInvalid):
		return &refusal{400, "EINVALIDREQ", "Invalid or incomplete input submitted", err.Error()}
	case errors.Is(err, fakeforge.ErrConflict):
		return &refusal{409, "EPRCONFLICTS", "This pull-request conflicts and thus cannot be merged", nil}
	case errors.Is(err, fakeforge.ErrState):
		return inWords(400, "%v", err)
	case errors.Is(err, fakeforge.ErrNotFound):
		return &refusal{404, "ENOREQ", "Pull-Request not found", nil}
	}
	return nil
}

// form reads the fields of a body, which is a form or JSON.
func form(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return r.URL.Query(), nil
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var in map[string]any
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, &refusal{400, "EINVALIDREQ", "Invalid or incomplete input submitted", err.Error()}
		}
		values := make(url.Values)
		for key, value := range in {
			values.Set(key, fmt.Sprint(value))
		}
		return values, nil
	}
	if err := r.ParseForm(); err != nil {
		return nil, &refusal{400, "EINVALIDREQ", "Invalid or incomplete input submitted", err.Error()}
	}
	return r.PostForm, nil
}

// required checks that fields are filled in.
func required(form url.Values, fields ...string) error {
	missing := object{}
	for _, field := range fields {
		if strings.TrimSpace(form.Get(field)) == "" {
			missing[field] = []string{"This field is required."}
		}
	}
	if len(missing) > 0 {
		return &refusal{400, "EINVALIDREQ", "Invalid or incomplete input submitted", missing}
	}
	return nil
}

// authorize returns whose token comes with a request, which must give a right.
func (f *Fake) authorize(r *http.Request, right string) (login string, err error) {
	no := func(details string) error {
		return &refusal{401, "EINVALIDTOK", "Invalid or expired token. Please visit the settings page to get or renew your API token.", details}
	}
	header := r.Header.Get("Authorization")
	secret, ok := strings.CutPrefix(header, "token ")
	token, known := f.forge.Token(strings.TrimSpace(secret))
	switch {
	case !ok || !known:
		return "", no("Invalid token")
	case !token.Expires.IsZero() && !f.forge.Now().Before(token.Expires):
		return "", no("Expired token")
	case right != "" && !token.May(right):
		return "", no("Missing ACLs: " + right)
	}
	return token.Login, nil
}

// serveProject finds the project and the endpoint that a path names.
func (f *Fake) serveProject(w http.ResponseWriter, r *http.Request) {
	f.respond(w, r, func() (answer any, err error) {
		path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/api/0/"), "/")
		repo, rest, ok := f.find(path)
		if !ok {
			return nil, noProject()
		}
		for _, e := range endpoints {
			words, ok := e.match(r.Method, rest)
			if !ok {
				continue
			}
			c := &call{w: w, r: r, repo: repo, rest: words}
			if c.form, err = form(r); err != nil {
				return nil, err
			}
			if e.right != "" {
				if c.login, err = f.authorize(r, e.right); err != nil {
					return nil, err
				}
			}
			return e.serve(f, c)
		}
		return nil, &refusal{404, "ENOCODE", "Not found", nil}
	})
}

// match compares a request with the endpoint. Words for stars are returned.
func (e endpoint) match(method string, rest []string) (words []string, ok bool) {
	if method != e.method {
		return nil, false
	}
	var pattern []string
	if e.path != "" {
		pattern = strings.Split(e.path, "/")
	}
	if len(pattern) != len(rest) {
		return nil, false
	}
	for i, p := range pattern {
		if p == "*" {
			words = append(words, rest[i])
		} else if p != rest[i] {
			return nil, false
		}
	}
	return words, true
}

// find cuts the longest path of a project from the beginning of a path.
func (f *Fake) find(path string) (repo fakeforge.Repo, rest []string, ok bool) {
	parts := strings.Split(path, "/")
	if parts[0] == "fork" {
		parts[0] = "forks"
	}
	for n := min(4, len(parts)); n > 0; n-- {
		if r, err := f.forge.Repo(strings.Join(parts[:n], "/")); err == nil {
			return r, slices.Clone(parts[n:]), true
		}
	}
	return repo, nil, false
}
