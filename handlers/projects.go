package handlers

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"millrace/models"
	"millrace/views"
)

const (
	stripLength = 20
	pullsShown  = 20
	pullHistory = 10 // pipelines of one pull request
)

func (s *Server) listProjects(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	text, err := textParam(q, "q")
	if err != nil {
		return err
	}
	return s.projectList(w, r, text, models.ProjectFilter{Query: text, Forge: strings.ToLower(clipParam(q, "forge"))})
}

func (s *Server) projectList(w http.ResponseWriter, r *http.Request, text string, filter models.ProjectFilter) error {
	list, err := s.Store.Projects(r.Context(), filter, listPage(r))
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, listOf(s, w, r, each(list.Rows, func(row *models.ProjectRow) ProjectSummary {
			out := ProjectSummary{Project: *s.apiProject(row.Project)}
			if row.Last != nil {
				last := s.apiBrief(row.Last)
				out.LastPipeline = &last
			}
			return out
		}), list.Cursors))
	}
	part, err := fragment(r, map[string]func(views.ProjectsPage) templ.Component{"rows": views.ProjectRows}, views.Projects)
	if err != nil {
		return err
	}
	forges, err := s.Store.Forges(r.Context())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(views.ProjectsPage{Query: text, Forge: filter.Forge, Forges: forges, ProjectList: *list}))
}

// inProject answers everything below /projects/: a forge, a namespace, a
// project, or what is in a project after a lone hyphen. The longest name that is
// a project wins.
func (s *Server) inProject(w http.ResponseWriter, r *http.Request) error {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/projects/"), "/")
	split := slices.Index(segments, "-")
	var inside []string
	if split >= 0 {
		segments, inside = segments[:split], segments[split+1:]
	}
	place := unescaped(strings.Join(segments, "/"))
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reads && slices.ContainsFunc(segments, func(segment string) bool { return strings.Contains(unescaped(segment), "/") }) {
		redirect(w, s.plainAddress(r, place, inside), http.StatusPermanentRedirect)
		return nil
	}
	if split >= 0 {
		return s.insideProject(w, r, place, inside)
	}
	if !reads {
		return noMethod(w, r)
	}
	visitOf(r).route = "/projects/{fp}"
	p, err := s.projectAt(r, &place)
	if err == nil {
		return s.showProject(w, r, p)
	}
	if !isMissing(err) {
		return err
	}
	return s.showNamespace(w, r, place)
}

// plainAddress is the address of a project without escaped slashes.
func (s *Server) plainAddress(r *http.Request, place string, inside []string) string {
	to := "/projects"
	for segment := range strings.SplitSeq(place, "/") {
		if segment != "" {
			to += "/" + escaped(segment)
		}
	}
	if inside != nil {
		to += "/-/" + strings.Join(inside, "/")
	}
	if visitOf(r).api {
		to = apiPrefix + to
	}
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	return to
}

// projectAt finds the project at a place. Without one there, and with .json at
// its end, that says which form is wanted.
func (s *Server) projectAt(r *http.Request, place *string) (*models.Project, error) {
	p, err := s.Store.ProjectAtPath(r.Context(), *place)
	short, isJSON := strings.CutSuffix(*place, ".json")
	if err == nil || !isMissing(err) || !isJSON {
		return p, err
	}
	visitOf(r).json = true
	*place = short
	return s.Store.ProjectAtPath(r.Context(), short)
}

// showNamespace lists the projects of a forge or of a namespace on it.
func (s *Server) showNamespace(w http.ResponseWriter, r *http.Request, place string) error {
	forge, namespace, _ := strings.Cut(place, "/")
	filter := models.ProjectFilter{Forge: strings.ToLower(forge), Namespace: namespace}
	list, err := s.Store.Projects(r.Context(), filter, models.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(list.Rows) == 0 {
		return s.noProject(r, place)
	}
	visitOf(r).route = "/projects/{forge}/{namespace}"
	text := ""
	if namespace != "" {
		text = namespace + "/*"
	}
	return s.projectList(w, r, text, filter)
}

// noProject is the answer where no project is: those that were perhaps meant.
func (s *Server) noProject(r *http.Request, place string) error {
	missing := &refusal{status: http.StatusNotFound, detail: "No project is known by that name. A project is known once something happened in it."}
	near, err := s.Store.NearProjects(r.Context(), place, 5)
	if err != nil {
		return err
	}
	for _, p := range near {
		missing.near = append(missing.near, views.Link{Text: p.Path(), URL: views.ProjectURL(p)})
	}
	return missing
}

// historyShown is how many events of a reference are shown.
const historyShown = 20

// collections are the kinds of references by the word in addresses. Commits are
// found by their hash, at whatever reference.
var collections = map[string]models.RefKind{
	"pulls": models.PullRequestRef, "issues": models.IssueRef, "releases": models.ReleaseRef,
	"branches": models.BranchRef, "versions": models.UpstreamRef, "commits": "",
}

// insideProject answers what comes after /-/.
func (s *Server) insideProject(w http.ResponseWriter, r *http.Request, place string, inside []string) error {
	p, err := s.Store.ProjectAtPath(r.Context(), place)
	if isMissing(err) {
		return s.noProject(r, place)
	}
	if err != nil {
		return err
	}
	what, rest := strings.Join(inside, "/"), ""
	if len(inside) > 1 {
		what, rest = inside[0], unescaped(strings.Join(inside[1:], "/"))
	}
	switch {
	case inside[0] == "hooks" && visitOf(r).json:
		return s.inHooks(w, r, p, inside[1:])
	case len(inside) > 1 && inside[0] == "settings" && inside[1] == "hooks":
		return s.inHooks(w, r, p, inside[2:])
	case what == "watch":
		visitOf(r).route = "/projects/{fp}/-/watch"
		return s.watch(w, r, p)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return noMethod(w, r)
	}
	pages := map[string]func(http.ResponseWriter, *http.Request, *models.Project) error{
		"latest": s.showLatest, "badge.svg": s.showBadge, "feed.atom": s.showFeed,
	}
	if page, ok := pages[what]; ok && rest == "" {
		visitOf(r).route = "/projects/{fp}/-/" + what
		return page(w, r, p)
	}
	if what == "ways" && rest != "" {
		visitOf(r).route = "/projects/{fp}/-/ways/{ref}"
		return s.showWay(w, r, p, rest)
	}
	kind, ok := collections[what]
	if !ok || rest == "" {
		return models.ErrNotFound
	}
	visitOf(r).route = "/projects/{fp}/-/" + what + "/{ref}"
	if (kind == models.ReleaseRef || kind == models.UpstreamRef) && !visitOf(r).json {
		if shown, err := s.showRelease(w, r, p, rest); shown {
			return err
		}
	}
	return s.showReference(w, r, p, kind, rest)
}

// showReference has what happened to one git reference; for programs its
// pipelines, newest first.
func (s *Server) showReference(w http.ResponseWriter, r *http.Request, p *models.Project, kind models.RefKind, ref string) error {
	commit, err := s.Store.Reference(r.Context(), p.ID, kind, ref)
	if short, isJSON := strings.CutSuffix(ref, ".json"); isMissing(err) && isJSON {
		visitOf(r).json, ref = true, short
		commit, err = s.Store.Reference(r.Context(), p.ID, kind, ref)
	}
	if isMissing(err) {
		return &refusal{status: http.StatusNotFound, detail: "Nothing ever happened here at that reference.", near: []views.Link{{Text: p.Path(), URL: views.ProjectURL(p)}}}
	}
	if err != nil {
		return err
	}
	list, err := s.Store.ReferencePipelines(r.Context(), p.ID, kind, ref, listPage(r))
	if err != nil {
		return err
	}
	switch {
	case visitOf(r).json:
		return s.writeJSON(w, r, listOf(s, w, r, each(list.Rows, s.apiRow), list.Cursors))
	case kind == "": // a commit is of several references
		return s.render(w, r, http.StatusOK, views.Pipelines(views.PipelinesPage{
			Filter: views.PipelineFilter{Query: term(refField(kind), ref), Kind: kind, Project: p.Path()}, PipelineList: *list,
		}))
	}
	page := views.ReferencePage{Project: p, Commit: commit, PipelineList: *list}
	if page.Events, err = s.Store.ReferenceHistory(r.Context(), p.ID, kind, ref, historyShown); err != nil {
		return err
	}
	part, err := fragment(r, map[string]func(views.ReferencePage) templ.Component{
		"head": views.ReferenceHead, "events": views.ReferenceEvents, "rows": views.ReferencePipelines,
	}, views.Reference)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(page))
}

// refField is the field of the search language for references of a kind.
func refField(kind models.RefKind) string {
	switch kind {
	case models.PullRequestRef:
		return "pr"
	case models.BranchRef:
		return "branch"
	case models.ReleaseRef, models.UpstreamRef:
		return "tag"
	case models.IssueRef:
		return "issue"
	}
	return "sha"
}

func (s *Server) showProject(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	ctx := r.Context()
	list, err := s.Store.Pipelines(ctx, models.PipelineFilter{ProjectID: p.ID}, listPage(r))
	if err != nil {
		return err
	}
	stats, err := s.Store.ProjectStats(ctx, p.ID, time.Now().AddDate(0, 0, -30), time.Now())
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, ProjectDetail{
			Project: *s.apiProject(p), Pipelines: listOf(s, w, r, each(list.Rows, s.apiRow), list.Cursors),
			Last30Days: ProjectStats{stats.Decided, stats.Passed, stats.Median.Seconds(), stats.Events},
		})
	}
	part, err := fragment(r, map[string]func(views.ProjectPage) templ.Component{
		"facts": views.ProjectFacts, "pulls": views.ProjectPulls, "rows": views.ProjectPipelines,
	}, views.Project)
	if err != nil {
		return err
	}
	page := views.ProjectPage{Project: p, Stats: *stats, PipelineList: *list, Hooks: s.Telling != nil}
	if page.Watching, err = s.watchingOf(r, p); err != nil {
		return err
	}
	if err := s.fillProject(ctx, &page, listPage(r).UpTo); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(page))
}

func (s *Server) fillProject(ctx context.Context, page *views.ProjectPage, upTo int64) (err error) {
	p := page.Project
	if page.Strip, err = s.Store.RecentPipelines(ctx, p.ID, stripLength); err != nil {
		return err
	}
	pulls, err := s.Store.References(ctx, p.ID, models.PullRequestRef, models.Page{Limit: pullsShown, UpTo: upTo}, pullHistory)
	if err != nil {
		return err
	}
	page.Pulls = *pulls
	page.Config, err = s.Store.LastConfig(ctx, p.ID)
	if isMissing(err) {
		return nil
	}
	return err
}

// eventParam is the ?event= of badges and of the newest pipeline.
func eventParam(r *http.Request) (models.RefKind, error) {
	q := r.URL.Query()
	if q.Get("event") == "" {
		return "", nil
	}
	q.Set("kind", q.Get("event"))
	if kind := refKindParam(q); kind != "" {
		return kind, nil
	}
	return "", &models.InputError{Field: "event", Message: "it is one of pr, push, release, issue, upstream"}
}

// showLatest leads to the newest pipeline of a project.
func (s *Server) showLatest(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	kind, err := eventParam(r)
	if err != nil {
		return err
	}
	newest, err := s.Store.NewestPipeline(r.Context(), p.ID, kind, "")
	if isMissing(err) {
		return &refusal{status: http.StatusNotFound, detail: "This project has no such pipeline yet.", near: []views.Link{{Text: p.Path(), URL: views.ProjectURL(p)}}}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, inForm(r, views.PipelineURL(newest.ID)), http.StatusFound)
	return nil
}
