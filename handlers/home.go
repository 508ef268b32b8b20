package handlers

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"millrace/models"
	"millrace/views"
)

const (
	homePipelines = 10
	homeEvents    = 6
)

// doings finds the events that begin something, not the answers of services.
var doings = func() *models.Query {
	q, err := models.ParseQuery("kind:pull_request,comment,push,tag_push,release,check_rerun,upstream_version", models.EventFields, time.Time{})
	if err != nil {
		panic(err) // it is written above
	}
	return q
}()

func (s *Server) showHome(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	counters, err := s.Store.Counters(ctx)
	if err != nil {
		return err
	}
	page := listPage(r)
	recent, err := s.Store.Pipelines(ctx, models.PipelineFilter{}, models.Page{UpTo: page.UpTo, Limit: homePipelines})
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, Home{
			Running: counters.Running, Queued: counters.Queued, OldestWaitSeconds: counters.OldestWait.Seconds(),
			Last24Hours:   HomeDay{counters.Pipelines, counters.Failed, counters.Errors},
			NeedAttention: counters.Attention(), Recent: each(recent.Rows, s.apiRow),
		})
	}
	events, err := s.Store.Events(ctx, models.EventFilter{Query: doings}, models.Page{Limit: homeEvents})
	if err != nil {
		return err
	}
	home := views.HomePage{Counters: *counters, Recent: *recent, Events: events.Rows}
	part, err := fragment(r, map[string]func(views.HomePage) templ.Component{
		"numbers": views.HomeNumbers, "recent": views.HomeRecent, "events": views.HomeEvents,
	}, views.Home)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(home))
}

func (s *Server) showHelp(w http.ResponseWriter, r *http.Request) error {
	if visitOf(r).json {
		return &refusal{status: http.StatusNotAcceptable, detail: "Help is for people; ask for HTML."}
	}
	return s.render(w, r, http.StatusOK, views.Help(views.HelpPage{CommandPrefix: s.Prefix}))
}

var hash = regexp.MustCompile(`^[0-9a-fA-F]{7,64}$`)

// find opens what the search of the frame recognises: a number, an address at a
// forge, the name of a project. Everything else is a search for projects.
func (s *Server) find(w http.ResponseWriter, r *http.Request) error {
	text, err := textParam(r.URL.Query(), "q")
	if err != nil {
		return err
	}
	to, err := s.found(r, text)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, to, http.StatusSeeOther)
	return nil
}

func (s *Server) found(r *http.Request, text string) (string, error) {
	if text == "" {
		return views.ProjectsURL("", ""), nil
	}
	if id, ok := number(strings.TrimPrefix(text, "#")); ok {
		return views.PipelineURL(id), nil
	}
	if u, err := url.Parse(text); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		return s.foundAddress(r, u)
	}
	if hash.MatchString(text) {
		return views.PipelinesURL(views.PipelineFilter{Query: term("sha", text)}), nil
	}
	if p, err := s.onlyProject(r, text); err != nil || p != nil {
		if err != nil {
			return "", err
		}
		return views.ProjectURL(p), nil
	}
	return views.ProjectsURL(text, ""), nil
}

// pageOf cuts off what forges put after the name of a repository, and finds the
// reference in it.
var pageOf = regexp.MustCompile(`^(.+?)/(?:-/)?(?:(pull|pulls|merge_requests|pull-request|issues?)/(\d+)|(?:tree|commits?|c|blob|releases|tags|actions|src)/?.*)(?:[/#?].*)?$`)

// foundAddress opens what an address at a forge shows, as far as it is known.
func (s *Server) foundAddress(r *http.Request, u *url.URL) (string, error) {
	path, kind, ref := u.Path, models.RefKind(""), ""
	if m := pageOf.FindStringSubmatch(strings.TrimSuffix(path, "/")); m != nil {
		path, ref = m[1], m[3]
		if ref != "" {
			kind = models.PullRequestRef
		}
		if strings.HasPrefix(m[2], "issue") {
			kind = models.IssueRef
		}
	}
	p, err := models.ParseProjectURL(u.Scheme + "://" + u.Host + path)
	if err != nil {
		return views.ProjectsURL(u.Path, ""), nil
	}
	known, err := s.Store.ProjectAt(r.Context(), p.Forge, p.Namespace, p.Name)
	switch {
	case isMissing(err):
		return views.ProjectsURL(p.FullName(), p.Forge), nil
	case err != nil:
		return "", err
	case ref != "":
		return views.RefURL(known, kind, ref), nil
	}
	return views.ProjectURL(known), nil
}

// onlyProject returns the one project of that name; nil if there is none, or
// more than one.
func (s *Server) onlyProject(r *http.Request, name string) (*models.Project, error) {
	list, err := s.Store.Projects(r.Context(), models.ProjectFilter{Query: name}, models.Page{Limit: 25})
	if err != nil {
		return nil, err
	}
	var exact []*models.Project
	for _, row := range list.Rows {
		if strings.EqualFold(row.FullName(), name) || strings.EqualFold(row.Name, name) || strings.EqualFold(row.Path(), name) {
			exact = append(exact, row.Project)
		}
	}
	switch {
	case len(exact) == 1:
		return exact[0], nil
	case len(list.Rows) == 1:
		return list.Rows[0].Project, nil
	}
	return nil, nil
}

// nothingHere is the answer where no route leads. It offers what a word in the
// address may have meant.
func (s *Server) nothingHere(_ http.ResponseWriter, r *http.Request) error {
	word := strings.Trim(r.URL.Path, "/")
	missing := &refusal{status: http.StatusNotFound}
	first, _, deeper := strings.Cut(word, "/")
	switch {
	case first == "jobs" || first == "results" || first == "pipeline":
		missing.detail = "This is an address of another service with the same tasks. Pipelines are found by project here."
		missing.near = []views.Link{{Text: "Pipelines", URL: views.PipelinesURL(views.PipelineFilter{})}}
	case deeper || word == "" || len(word) > 100:
	default:
		for _, root := range pageRoots {
			if distance(strings.ToLower(word), root) <= 2 {
				missing.near = append(missing.near, views.Link{Text: "/" + root, URL: "/" + root})
			}
		}
		missing.near = append(missing.near,
			views.Link{Text: "Projects called " + word, URL: views.ProjectsURL(word, "")},
			views.Link{Text: "Pipelines of the package " + word, URL: views.PipelinesURL(views.PipelineFilter{Query: term("package", word)})})
	}
	return missing
}

var pageRoots = []string{"projects", "pipelines", "events", "queue", "help"}

// term is a search for one value of a field.
func term(field, value string) string {
	q := &models.Query{Op: models.QueryIs, Term: &models.QueryTerm{Field: field, Values: []models.Pattern{{strings.ToLower(value)}}}}
	return q.String()
}

// distance is how many letters are to be changed, added or dropped to make a
// word of another, up to three.
func distance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return min(row[len(b)], 3)
}

// decimal is an id as text.
func decimal(id int64) string { return strconv.FormatInt(id, 10) }
