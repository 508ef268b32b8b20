// Package forgejofake is a small Forgejo, as dist-git may move to: its API below
// /api/v1/, git at /rpms/hello.git, simple pages, and its webhooks as messages on
// the bus, on the repositories of a fakeforge.Forge. A fork that the forge keeps
// as forks/packit/rpms/hello is packit/hello here.
package forgejofake

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/fault"
	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
	"millrace/clients/git/gitserver"
)

// Config says what a fake is. All of it has defaults.
type Config struct {
	URL string // where it is reached, for links and messages; empty means where the request was sent to
	// Publish sends a message to the bus, with its full topic. It is called from
	// many goroutines, before whoever caused the message gets an answer.
	Publish func(topic string, body []byte)
	Topic   string // before "forgejo."; empty means "org.fedoraproject.prod"
	SSH     string // "ssh://host:port", for addresses; empty means the host of the rest
	// Admins may ask what others may do in any repository, and see every team.
	Admins []string
	// Webhook posts what happens to this address, signed with Secret; empty posts
	// nothing.
	Webhook, Secret string
	// Visitor is who presses the buttons on pages; without one there are none.
	Visitor string
	Log     *slog.Logger // nil discards
}

// Fake is a small Forgejo, an http.Handler and safe for concurrent use.
// Misbehave, of its Faults, spoils single requests.
type Fake struct {
	fault.Faults
	forge  *fakeforge.Forge
	config Config
	mux    *http.ServeMux
	pages  *fakeforge.Pages
}

// New puts Forgejo on a forge.
func New(forge *fakeforge.Forge, config Config) *Fake {
	config.URL = strings.TrimSuffix(config.URL, "/")
	config.Topic = cmp.Or(config.Topic, "org.fedoraproject.prod")
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	f := &Fake{forge: forge, config: config}
	f.pages = &fakeforge.Pages{
		Forge: forge, Service: "Forgejo", Visitor: config.Visitor, Style: config.URL + "/-/style.css",
		RepoPath: func(path string) string { return config.URL + "/" + f.name(path) },
		PullPath: func(path string, n int) string { return config.URL + "/" + f.name(path) + "/pulls/" + strconv.Itoa(n) },
	}
	f.mux = f.routes()
	if config.Publish != nil {
		forge.Subscribe(f.publish)
	}
	if config.Webhook != "" {
		forge.Subscribe(f.post)
	}
	return f
}

// Serves reports whether a request is for the API or for git.
func Serves(r *http.Request) bool {
	_, isGit := gitserver.Parse(r)
	return isGit || strings.HasPrefix(r.URL.Path, "/api/v1/")
}

// ServeHTTP answers the API, git and browsers.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.Serve(w, r, func(w http.ResponseWriter, r *http.Request) {
		if request, ok := gitserver.Parse(r); ok {
			f.serveGit(w, r, request)
			return
		}
		f.mux.ServeHTTP(w, r)
	})
}

func (f *Fake) serveGit(w http.ResponseWriter, r *http.Request, request gitserver.Request) {
	login := ""
	if _, password, ok := r.BasicAuth(); ok {
		if t, known := f.forge.Token(password); known && t.May(write) && f.alive(t) {
			login = t.Login
		}
	}
	owner, name, _ := strings.Cut(request.Repository, "/")
	f.forge.ServeGit(w, r, request, f.path(owner, name), login, func() {
		w.Header().Set("WWW-Authenticate", `Basic realm="Gitea"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	})
}

func (f *Fake) alive(t fakeforge.Token) bool {
	return t.Expires.IsZero() || f.forge.Now().Before(t.Expires)
}

// path is where the forge keeps a repository of that owner and name.
func (f *Fake) path(owner, name string) string {
	if _, err := f.forge.Repo(owner + "/" + name); err == nil {
		return owner + "/" + name
	}
	for _, r := range f.forge.Repos() {
		if r.ForkOwner() == owner && r.Name() == name {
			return r.Path
		}
	}
	return owner + "/" + name
}

// name is what a repository is called here.
func (f *Fake) name(path string) string {
	if rest, ok := strings.CutPrefix(path, "forks/"); ok {
		owner, parent, _ := strings.Cut(rest, "/")
		return owner + "/" + parent[strings.LastIndex(parent, "/")+1:]
	}
	return path
}

type object = map[string]any

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if v != nil {
		// Whoever asked may have gone; nobody is left to tell.
		_ = json.NewEncoder(w).Encode(v)
	}
}

// refusal is how Forgejo says no.
type refusal struct {
	Status int
	Text   string
}

func (e *refusal) Error() string { return e.Text }

func notFound() *refusal { return &refusal{http.StatusNotFound, "The target couldn't be found."} }

// write is the scope of a token that may change things.
const write = "write:repository"

// call is one call of the API about a repository.
type call struct {
	r     *http.Request
	w     http.ResponseWriter
	repo  fakeforge.Repo
	login string
	in    map[string]string // of the body
	base  string            // address of the fake
}

func (c *call) number() (int, error) {
	n, err := strconv.Atoi(c.r.PathValue("number"))
	if err != nil || n <= 0 {
		return 0, notFound()
	}
	return n, nil
}

const maxBody = 4 << 20

// on makes a handler of a call about a repository, which answers with status
// if all goes well. What is not GET needs a token.
func (f *Fake) on(status int, serve func(*call) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := func() (any, error) {
			login, err := f.authorize(r)
			if err != nil {
				return nil, err
			}
			c := &call{r: r, w: w, login: login, base: cmp.Or(f.config.URL, "http://"+r.Host)}
			if owner := r.PathValue("owner"); owner != "" {
				if c.repo, err = f.forge.Repo(f.path(owner, r.PathValue("name"))); err != nil {
					return nil, notFound()
				}
			}
			if r.Method != http.MethodGet && r.Method != http.MethodDelete {
				if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&c.in); err != nil {
					return nil, &refusal{http.StatusUnprocessableEntity, err.Error()}
				}
			}
			return serve(c)
		}()
		if err == nil {
			answer(w, status, out)
			return
		}
		no := refusalOf(err)
		if no == nil {
			f.config.Log.ErrorContext(r.Context(), "forgejo could not answer", "path", r.URL.Path, "error", err)
			no = &refusal{http.StatusInternalServerError, "Internal Server Error"}
		}
		answer(w, no.Status, object{"message": no.Text, "url": cmp.Or(f.config.URL, "http://"+r.Host) + "/api/swagger"})
	}
}

func refusalOf(err error) *refusal {
	if no, ok := errors.AsType[*refusal](err); ok {
		return no
	}
	switch {
	case errors.Is(err, fakeforge.ErrNotFound) || errors.Is(err, fakeforge.ErrInvalid) || errors.Is(err, git.ErrNotFound) || errors.Is(err, git.ErrBadName):
		return notFound()
	case errors.Is(err, fakeforge.ErrExists) || errors.Is(err, fakeforge.ErrConflict):
		return &refusal{http.StatusConflict, err.Error()}
	case errors.Is(err, fakeforge.ErrState):
		return &refusal{http.StatusPreconditionFailed, err.Error()}
	}
	return nil
}

// authorize says whose token comes with a request. Who only reads needs none.
func (f *Fake) authorize(r *http.Request) (login string, err error) {
	header := r.Header.Get("Authorization")
	secret, ok := strings.CutPrefix(header, "token ")
	if !ok {
		secret, ok = strings.CutPrefix(header, "Bearer ")
	}
	t, known := f.forge.Token(secret)
	switch {
	case !ok && header == "" && r.Method == http.MethodGet && !needsToken(r.URL.Path):
		return "", nil
	case !ok && header == "":
		return "", &refusal{http.StatusUnauthorized, "token is required"}
	case !ok || !known || !f.alive(t):
		return "", &refusal{http.StatusUnauthorized, "invalid username, password or token"}
	case r.Method != http.MethodGet && !t.May(write):
		return "", &refusal{http.StatusForbidden, "token does not have at least one of required scope(s): [" + write + "]"}
	}
	return t.Login, nil
}

// needsToken reports whether a path is shown to those alone who say who they are.
func needsToken(path string) bool {
	if path == "/api/v1/user" || strings.HasPrefix(path, "/api/v1/orgs/") || strings.HasPrefix(path, "/api/v1/teams/") {
		return true
	}
	parts := strings.Split(path, "/")
	return len(parts) > 6 && slices.Contains([]string{"collaborators", "assignees", "teams"}, parts[6])
}

func (f *Fake) routes() *http.ServeMux {
	mux := http.NewServeMux()
	const repo = "/api/v1/repos/{owner}/{name}"
	ok, created := http.StatusOK, http.StatusCreated
	mux.HandleFunc("GET /api/v1/user", f.on(ok, func(c *call) (any, error) { return f.userJSON(c.login), nil }))
	mux.HandleFunc("GET /api/v1/users/{user}", f.on(ok, f.showUser))
	mux.HandleFunc("GET /api/v1/repos/search", f.on(ok, f.searchRepos))
	mux.HandleFunc("GET "+repo, f.on(ok, f.showRepo))
	mux.HandleFunc("GET "+repo+"/branches", f.on(ok, f.listBranches))
	mux.HandleFunc("GET "+repo+"/raw/{path...}", f.serveRaw)
	mux.HandleFunc("GET /api/v1/version", f.on(ok, func(*call) (any, error) { return object{"version": "12.0.4+gitea-1.22.0"}, nil }))
	mux.HandleFunc("GET "+repo+"/collaborators", f.on(ok, f.listCollaborators))
	mux.HandleFunc("GET "+repo+"/collaborators/{user}/permission", f.on(ok, f.showPermission))
	mux.HandleFunc("PUT "+repo+"/collaborators/{user}", f.on(http.StatusNoContent, f.putCollaborator))
	mux.HandleFunc("DELETE "+repo+"/collaborators/{user}", f.on(http.StatusNoContent, f.deleteCollaborator))
	mux.HandleFunc("GET "+repo+"/assignees", f.on(ok, f.listAssignees))
	mux.HandleFunc("GET "+repo+"/teams", f.on(ok, f.listRepoTeams))
	mux.HandleFunc("GET /api/v1/orgs/{organization}/teams", f.on(ok, f.listTeams))
	mux.HandleFunc("GET /api/v1/teams/{id}/members", f.on(ok, f.listMembers))
	mux.HandleFunc("GET "+repo+"/commits/{sha}/pull", f.on(ok, f.showMerger))
	mux.HandleFunc("POST "+repo+"/forks", f.on(http.StatusAccepted, f.fork))
	mux.HandleFunc("GET "+repo+"/pulls", f.on(ok, f.listPulls))
	mux.HandleFunc("POST "+repo+"/pulls", f.on(created, f.openPull))
	mux.HandleFunc("GET "+repo+"/pulls/{number}", f.on(ok, f.showPull))
	mux.HandleFunc("PATCH "+repo+"/pulls/{number}", f.on(created, f.editPull))
	mux.HandleFunc("GET "+repo+"/pulls/{number}/files", f.on(ok, f.listFiles))
	mux.HandleFunc("POST "+repo+"/pulls/{number}/merge", f.on(ok, f.mergePull))
	mux.HandleFunc("GET "+repo+"/issues", f.on(ok, f.listIssues))
	mux.HandleFunc("POST "+repo+"/issues", f.on(created, f.openIssue))
	mux.HandleFunc("PATCH "+repo+"/issues/{number}", f.on(created, f.editIssue))
	mux.HandleFunc("GET "+repo+"/issues/{number}/comments", f.on(ok, f.listComments))
	mux.HandleFunc("POST "+repo+"/issues/{number}/comments", f.on(created, f.comment))
	mux.HandleFunc("GET "+repo+"/statuses/{sha}", f.on(ok, f.listStatuses))
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", f.on(created, f.setStatus))
	mux.HandleFunc("GET /-/style.css", fakeforge.ServeStyle)
	mux.HandleFunc("GET /{$}", f.pages.ShowAll)
	mux.HandleFunc("GET /{owner}/{name}", func(w http.ResponseWriter, r *http.Request) {
		f.pages.ShowRepo(w, r, f.path(r.PathValue("owner"), r.PathValue("name")))
	})
	mux.HandleFunc("/{owner}/{name}/pulls/{number}", func(w http.ResponseWriter, r *http.Request) {
		f.pages.ServePull(w, r, f.path(r.PathValue("owner"), r.PathValue("name")), r.PathValue("number"))
	})
	mux.HandleFunc("GET /{owner}/{name}/commit/{sha}", func(w http.ResponseWriter, r *http.Request) {
		f.pages.ShowCommit(w, r, f.path(r.PathValue("owner"), r.PathValue("name")), r.PathValue("sha"))
	})
	return mux
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// paged cuts out the page that is asked for.
func paged[T any](c *call, all []T) []T {
	limit, err := strconv.Atoi(c.r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > 50 {
		limit = 50
	}
	page, err := strconv.Atoi(c.r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	c.w.Header().Set("X-Total-Count", strconv.Itoa(len(all)))
	from := min((page-1)*limit, len(all))
	return all[from:min(from+limit, len(all))]
}
