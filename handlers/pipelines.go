package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"millrace/models"
	"millrace/views"
)

func isMissing(err error) bool { return errors.Is(err, models.ErrNotFound) }

func (s *Server) listPipelines(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	text, err := textParam(q, "q")
	if err != nil {
		return err
	}
	shown := views.PipelineFilter{
		Query: text, State: stateParam(q), Kind: refKindParam(q), Project: clipParam(q, "project"),
		Before: clipParam(q, "before"), After: clipParam(q, "after"),
	}
	return s.pipelineList(w, r, shown, models.PipelineFilter{State: shown.State, Kind: shown.Kind, Project: shown.Project})
}

// pipelineList answers with the pipelines that meet filter and what was typed
// into shown.
func (s *Server) pipelineList(w http.ResponseWriter, r *http.Request, shown views.PipelineFilter, filter models.PipelineFilter) error {
	list := new(models.PipelineList)
	query, err := models.ParseQuery(shown.Query, models.PipelineFields, time.Now())
	if err == nil {
		filter.Query = query
		var found *models.PipelineList
		if found, err = s.Store.Pipelines(r.Context(), filter, listPage(r)); err == nil {
			list = found
		}
	}
	problem := mistake(err)
	if err != nil && problem == "" {
		return err
	}
	if visitOf(r).json {
		if problem != "" {
			return &refusal{status: http.StatusUnprocessableEntity, detail: problem}
		}
		return s.writeJSON(w, r, listOf(s, w, r, each(list.Rows, s.apiRow), list.Cursors))
	}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	part, err := fragment(r, map[string]func(views.PipelinesPage) templ.Component{"rows": views.PipelineRows}, views.Pipelines)
	if err != nil {
		return err
	}
	return s.render(w, r, status, part(views.PipelinesPage{Filter: shown, Problem: problem, Steer: s.Steering != nil, PipelineList: *list}))
}

// mistake is what is wrong with a search, in words for people; nothing if err is
// about something else.
func mistake(err error) string {
	if bad, ok := errors.AsType[*models.QueryError](err); ok {
		return bad.Error()
	}
	if bad, ok := errors.AsType[*models.InputError](err); ok {
		return bad.Message
	}
	return ""
}

func stateParam(q url.Values) models.State {
	if state := models.State(q.Get("state")); state.Valid() {
		return state
	}
	return ""
}

func refKindParam(q url.Values) models.RefKind {
	switch kind := models.RefKind(q.Get("kind")); kind {
	case models.PullRequestRef, models.BranchRef, models.ReleaseRef, models.IssueRef, models.UpstreamRef:
		return kind
	}
	return ""
}

func (s *Server) showPipeline(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	p, err := s.Store.Pipeline(ctx, id)
	if err != nil {
		return err
	}
	part, err := fragment(r, map[string]func(views.PipelinePage) templ.Component{
		"head": views.PipelineHead, "facts": views.PipelineFacts, "plan": views.PipelinePlan,
		"failure": views.PipelineFailure, "steps": views.PipelineSteps, "history": views.PipelineHistory,
	}, views.Pipeline)
	if err != nil {
		return err
	}
	attempts, err := s.Store.Attempts(ctx, p)
	if err != nil {
		return err
	}
	if n, ok := number(r.URL.Query().Get("attempt")); ok && n != int64(p.Attempt) {
		return s.otherAttempt(w, r, attempts, n)
	}
	if visitOf(r).json {
		if unchanged(w, r, s.pageTag(r, "pipeline "+decimal(id)+" "+decimal(int64(len(attempts))), p.Version)) {
			return nil
		}
		return s.writeJSON(w, r, s.apiPipeline(p, attempts))
	}
	newest := attempts[len(attempts)-1]
	page := views.PipelinePage{Pipeline: p, Attempts: attempts, View: viewParam(r), Steer: s.steerOf(r, p, newest.ID, newest.Attempt)}
	if err := s.around(r, &page); err != nil {
		return err
	}
	if unchanged(w, r, s.pageTag(r, pipelineTag(&page), p.Version)) {
		return nil
	}
	if page.Failure, err = s.failure(r, p); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(page))
}

// around fills in what is around a pipeline. Parts of the page do not show it,
// but for what the forge was told.
func (s *Server) around(r *http.Request, page *views.PipelinePage) (err error) {
	ctx, p := r.Context(), page.Pipeline
	part := r.URL.Query().Get("fragment")
	if part == "" || part == "facts" {
		if page.Reports, page.ReportedAt, err = s.Store.SentReports(ctx, p.CommitID); err != nil {
			return err
		}
		if page.Origins, err = s.originsOf(ctx, p); err != nil {
			return err
		}
	}
	if isFragment(r) {
		return nil
	}
	if page.Earlier, page.Later, err = s.Store.Neighbors(ctx, p); err != nil {
		return err
	}
	page.SameCommit, err = s.Store.SameCommit(ctx, p, 10)
	return err
}

// pipelineTag names all that a pipeline's page shows besides the pipeline.
func pipelineTag(page *views.PipelinePage) string {
	tag := "pipeline " + decimal(page.Pipeline.ID) + " " + decimal(int64(page.Reports)) + " " + decimal(page.ReportedAt.UnixMicro())
	for _, v := range []models.Verdict{page.Steer.Rerun, page.Steer.Cancel} {
		tag += " " + strconv.FormatBool(v.Allowed) + v.Reason + v.HowTo
	}
	others := append(slices.Clone(page.Attempts), page.SameCommit...)
	for _, p := range append(others, page.Earlier, page.Later) {
		if p != nil {
			tag += " " + decimal(p.ID) + string(p.State)
		}
	}
	return tag
}

func viewParam(r *http.Request) views.View {
	switch v := views.View(r.URL.Query().Get("view")); v {
	case views.ListView, views.TimeView:
		return v
	}
	return views.GraphView
}

// otherAttempt sends the reader to another attempt of the same plan.
func (s *Server) otherAttempt(w http.ResponseWriter, r *http.Request, attempts []*models.Pipeline, n int64) error {
	for _, a := range attempts {
		if int64(a.Attempt) == n {
			redirect(w, inForm(r, views.PipelineURL(a.ID)), http.StatusSeeOther)
			return nil
		}
	}
	return &refusal{status: http.StatusNotFound, detail: "This pipeline has no attempt of that number."}
}

// showStep leads to the place of a step on its pipeline's page.
func (s *Server) showStep(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	p, err := s.Store.Pipeline(r.Context(), id)
	if err != nil {
		return err
	}
	name := param(r, "step")
	i := slices.IndexFunc(p.Steps, func(step *models.Step) bool { return step.Name == name })
	if i < 0 {
		return models.ErrNotFound
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, s.apiStep(p.Steps[i]))
	}
	to := views.PipelineURL(id) + "#" + url.PathEscape(views.StepAnchor(name))
	if targets := p.Steps[i].Targets; len(targets) == 1 {
		to = views.TargetURL(id, name, targets[0].Name)
	}
	redirect(w, to, http.StatusSeeOther)
	return nil
}
