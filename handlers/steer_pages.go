package handlers

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"millrace/models"
	"millrace/views"
)

const (
	maxPicks    = 500      // in one choice
	maxSelected = 25       // pipelines at once
	maxForm     = 64 << 10 // bytes
)

// rerunChoice reads what is to be run again. What has no meaning is an error.
func rerunChoice(q url.Values) (views.RerunChoice, error) {
	c := views.RerunChoice{RerunRequest: models.RerunRequest{
		Scope: models.Scope(clipParam(q, "scope")), Step: clipParam(q, "step"), Target: clipParam(q, "target"),
		Current: q.Get("config") == "current", Restart: q.Get("restart") == "yes",
	}}
	if c.Scope == "" {
		c.Scope = models.ScopeFailed
	}
	if c.Current {
		c.Seen = clipParam(q, "seen")
	}
	picks := q["pick"]
	if len(picks) > maxPicks {
		return c, &models.InputError{Field: "pick", Message: fmt.Sprintf("at most %d can be chosen", maxPicks)}
	}
	if c.Scope != models.ScopeChosen {
		return c, nil
	}
	for _, pick := range picks {
		if len(pick) > maxParam {
			return c, &models.InputError{Field: "pick", Message: "it is too long"}
		}
		step, target, _ := strings.Cut(strings.ToValidUTF8(pick, ""), "/")
		c.Picks = append(c.Picks, models.Pick{Step: step, Target: target})
	}
	return c, nil
}

// showRerun shows what a rerun would do.
func (s *Server) showRerun(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	choice, err := rerunChoice(r.URL.Query())
	if err != nil {
		return err
	}
	choice.Seen = "" // it is about to be seen
	return s.rerunPage(w, r, id, views.RerunPage{Choice: choice}, nil)
}

// startRerun takes the form that shows what a rerun would do. What cannot be is
// told there, with what was chosen kept.
func (s *Server) startRerun(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	form, err := formOf(w, r)
	if err != nil {
		return err
	}
	choice, err := rerunChoice(form)
	if err != nil {
		return err
	}
	page := views.RerunPage{Choice: choice}
	if shown := form.Get("shown"); shown != "" && shown != choice.Mark() {
		page.Changed = true
		return s.rerunPage(w, r, id, page, nil)
	}
	ask := rerunAsk{RerunRequest: choice.RerunRequest, Pipeline: id, Expected: attemptOf(form.Get("expected_attempt")), Key: clipParam(form, "key")}
	made, err := s.rerun(r, ask)
	if err != nil {
		return s.rerunPage(w, r, id, page, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, views.PipelineURL(made), http.StatusSeeOther)
	return nil
}

// attemptOf is the attempt that somebody takes for the newest; 0 if they do not
// say.
func attemptOf(text string) int {
	n, _ := number(text)
	return int(min(n, models.MaxAttempts+1))
}

// formOf reads a small form.
func formOf(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, &refusal{status: http.StatusBadRequest, detail: "The form cannot be read."}
	}
	return r.PostForm, nil
}

// rerunPage shows what a rerun would do; problem is why it was not done just now.
func (s *Server) rerunPage(w http.ResponseWriter, r *http.Request, id int64, page views.RerunPage, problem error) error {
	status := http.StatusOK
	if s.Steering == nil {
		return noSteering()
	}
	newest, err := s.Store.AttemptOf(r.Context(), id)
	if err != nil {
		return err
	}
	if page.Pipeline, err = s.Store.Pipeline(r.Context(), newest.ID); err != nil {
		return err
	}
	page.Failed, page.Key, page.Limits = views.FailedOf(page.Pipeline), rand.Text(), s.Limits
	if page.Choice.Scope != models.ScopeChosen || len(page.Choice.Picks) > 0 || problem != nil { // otherwise nothing is chosen yet
		if status, err = s.fillPreview(r, &page, problem); err != nil {
			return err
		}
	}
	if viewerOf(r) == nil {
		page.Login = s.loginAddress(r)
		if r.Method == http.MethodPost {
			page.Login = views.LoginURL(views.RerunURL(id, page.Choice))
		}
	}
	part, err := fragment(r, map[string]func(views.RerunPage) templ.Component{"body": views.RerunBody}, views.Rerun)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.render(w, r, status, part(page))
}

// fillPreview works out what the choice does, or why it does nothing. What is
// nobody's fault but ours is an error.
func (s *Server) fillPreview(r *http.Request, page *views.RerunPage, problem error) (status int, err error) {
	ctx := r.Context()
	ask := rerunAsk{RerunRequest: page.Choice.RerunRequest, Pipeline: page.Pipeline.ID}
	ask.Seen = ""
	preview, err := s.previewRerun(r, ask)
	if problem == nil {
		problem = err
	}
	if err == nil {
		page.Rerun, page.Verdict, page.Newer = preview.Rerun, preview.Verdict, preview.Newer
		runs, err := s.Store.PassedRuns(ctx, page.Pipeline.ProjectID)
		if err != nil {
			return 0, err
		}
		page.Expect = preview.Estimate(models.DurationsOf(runs), time.Now())
		if page.Ahead, err = s.ahead(r, preview.Rerun); err != nil {
			return 0, err
		}
	}
	if problem == nil {
		return http.StatusOK, nil
	}
	why := s.explain(r, problem)
	if why.status >= http.StatusInternalServerError && why.status != http.StatusServiceUnavailable {
		return 0, why
	}
	page.Problem, page.Retry = why.detail, why.retry
	if bad, ok := errors.AsType[*models.ConfigError](problem); ok {
		page.Problem, page.Mistakes = configProblem(&models.ConfigError{File: bad.File}), bad.Problems
	}
	if _, faster := errors.AsType[*models.ConflictError](problem); faster && len(why.near) > 0 {
		page.Faster = &why.near[0]
	}
	return why.status, nil
}

// ahead is what stands in the queues of the kinds that a rerun begins with or
// comes to.
func (s *Server) ahead(r *http.Request, again *models.Rerun) ([]models.Ahead, error) {
	var all []models.Ahead
	seen := map[models.StepKind]bool{}
	for _, step := range again.Steps() {
		if seen[step.Kind] {
			continue
		}
		seen[step.Kind] = true
		a, err := s.Store.Ahead(r.Context(), step.Kind, again.Earlier.ProjectID)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// stop takes the forms that stop a pipeline, a step or a target, and leads back
// to where they stand.
func (s *Server) stop(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	form, err := formOf(w, r)
	if err != nil {
		return err
	}
	ask := cancelAsk{Pipeline: id, Step: clipParam(form, "step"), Target: clipParam(form, "target")}
	if ask.Step == "" && ask.Target != "" {
		return &models.InputError{Field: "step", Message: "say which step's target"}
	}
	if _, err := s.cancel(r, ask); err != nil {
		return err
	}
	back := views.PipelineURL(id)
	if form.Get("back") == "run" && ask.Target != "" {
		back = views.TargetURL(id, ask.Step, ask.Target)
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, back, http.StatusSeeOther)
	return nil
}

// showSelected shows what would be done to several pipelines.
func (s *Server) showSelected(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := views.SelectedPage{Cancel: q.Get("do") == "cancel", Most: maxSelected, Key: rand.Text()}
	if viewerOf(r) == nil {
		page.Login = s.loginAddress(r)
	}
	ids := selectedIDs(q)
	page.Over = max(0, len(ids)-maxSelected)
	for _, id := range ids[:min(len(ids), maxSelected)] {
		row, err := s.selectedRow(r, id, page.Cancel)
		if isMissing(err) {
			continue
		}
		if err != nil {
			return err
		}
		page.Rows = append(page.Rows, row)
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.render(w, r, http.StatusOK, views.Selected(page))
}

// selectedIDs are the pipelines that are marked, each once, in their order.
func selectedIDs(q url.Values) []int64 {
	var ids []int64
	seen := map[int64]bool{}
	for _, text := range q["id"] {
		if id, ok := number(text); ok && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// selectedRow works out what would happen to a pipeline.
func (s *Server) selectedRow(r *http.Request, id int64, cancel bool) (views.SelectedRow, error) {
	var row views.SelectedRow
	if s.Steering == nil {
		return row, noSteering()
	}
	if cancel {
		p, err := s.Store.Pipeline(r.Context(), id)
		if err != nil {
			return row, err
		}
		row.Pipeline, row.Runs = p, p.Runs-p.RunsDone
		if row.Runs == 0 {
			row.Problem = "Nothing of it is still on its way."
		} else if v := s.mayOn(r, models.CancelRight, p); !v.Allowed {
			row.Problem, row.HowTo = v.Reason, v.HowTo
		}
		return row, nil
	}
	newest, err := s.Store.AttemptOf(r.Context(), id)
	if err != nil {
		return row, err
	}
	if row.Pipeline, err = s.Store.Pipeline(r.Context(), newest.ID); err != nil {
		return row, err
	}
	preview, err := s.previewRerun(r, rerunAsk{RerunRequest: models.RerunRequest{Scope: models.ScopeFailed}, Pipeline: newest.ID})
	if err != nil {
		return s.refusedRow(r, row, err)
	}
	row.Runs, row.Reused = len(preview.Run), len(preview.Reused)+len(preview.Awaited)
	if !preview.Verdict.Allowed {
		row.Problem, row.HowTo = preview.Verdict.Reason, preview.Verdict.HowTo
	}
	return row, nil
}

// refusedRow says of a pipeline why nothing happens to it.
func (s *Server) refusedRow(r *http.Request, row views.SelectedRow, err error) (views.SelectedRow, error) {
	why := s.explain(r, err)
	if why.status == http.StatusInternalServerError {
		return row, err
	}
	row.Problem = why.detail
	if row.Problem == "" {
		row.Problem = http.StatusText(why.status) + "."
	}
	return row, nil
}

// steerSelected takes the form that was shown for several pipelines. Each is
// asked about by itself: what is refused for one holds up no other.
func (s *Server) steerSelected(w http.ResponseWriter, r *http.Request) error {
	form, err := formOf(w, r)
	if err != nil {
		return err
	}
	do := form.Get("do")
	if do != "rerun" && do != "cancel" {
		return &refusal{status: http.StatusBadRequest, detail: "The form does not say what to do."}
	}
	ids, attempts := selectedIDs(form), form["attempt"]
	if len(ids) > maxSelected {
		return &refusal{status: http.StatusUnprocessableEntity, detail: fmt.Sprintf("At most %d pipelines can be chosen at once.", maxSelected)}
	}
	page := views.SelectedPage{Cancel: do == "cancel", Done: true, Most: maxSelected}
	for i, id := range ids {
		var row views.SelectedRow
		if row.Pipeline, err = s.Store.Pipeline(r.Context(), id); err != nil {
			return err
		}
		if page.Cancel {
			row.Runs, err = s.cancel(r, cancelAsk{Pipeline: id})
		} else {
			ask := rerunAsk{RerunRequest: models.RerunRequest{Scope: models.ScopeFailed}, Pipeline: id, Key: fmt.Sprintf("%s/%d", clipParam(form, "key"), id)}
			if i < len(attempts) {
				ask.Expected = attemptOf(attempts[i])
			}
			row.Next, err = s.rerun(r, ask)
		}
		if err != nil {
			if row, err = s.refusedRow(r, row, err); err != nil {
				return err
			}
		}
		page.Rows = append(page.Rows, row)
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.render(w, r, http.StatusOK, views.Selected(page))
}

// steerOf is what the reader may do with a pipeline, of which these are all
// attempts.
func (s *Server) steerOf(r *http.Request, p *models.Pipeline, newest int64, number int) views.Steer {
	if s.Steering == nil {
		return views.Steer{}
	}
	steer := views.Steer{On: true, Rerun: s.mayOn(r, models.RerunRight, p), Cancel: s.mayOn(r, models.CancelRight, p)}
	steer.Rest = steer.Rerun
	rest := slices.DeleteFunc(slices.Clone(p.Steps), (*models.Step).WritesToFedora)
	if !steer.Rerun.Allowed && len(rest) > 0 && len(rest) < len(p.Steps) {
		steer.Rest = s.mayOn(r, models.RerunRight, p, rest...)
	}
	if viewerOf(r) == nil && s.Logins.Accounts != nil {
		u := *r.URL
		q := u.Query()
		q.Del("fragment")
		u.RawQuery = q.Encode()
		steer.Login = views.LoginURL(u.RequestURI())
	}
	if newest != p.ID {
		steer.Newest, steer.NewestNumber = newest, number
	}
	return steer
}
