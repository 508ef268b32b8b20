package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/views"
)

// The types in this file are what programs send, and what is answered to them.
// The document of the API describes them, and what comes is checked against it.

// mostPicks is how many picks a program names at once, and mostReruns how many
// pipelines.
const (
	mostPicks  = 500
	mostReruns = 50
)

// Pick names a step, or one target of it.
type Pick struct {
	Step   string `json:"step" minLength:"1" maxLength:"200"`
	Target string `json:"target,omitempty" maxLength:"200" doc:"empty: all of them"`
}

// Which is what of a pipeline is to be run again.
type Which struct {
	Scope   models.Scope      `json:"scope" enum:"all,failed,step,target,from,chosen"`
	Step    string            `json:"step,omitempty" maxLength:"200" doc:"for the scopes step, target and from"`
	Target  string            `json:"target,omitempty" maxLength:"200" doc:"for the scope target"`
	Picks   []Pick            `json:"picks,omitempty" maxItems:"500" nullable:"false" doc:"for the scope chosen"`
	Restart bool              `json:"restart,omitempty" doc:"what still runs is stopped and begun anew, instead of waited for"`
	Config  string            `json:"config,omitempty" enum:"snapshot,current" doc:"the package config as it was at the event, or as it is now; snapshot if nothing is said"`
	Seen    string            `json:"seen,omitempty" maxLength:"64" doc:"config_sha of the preview; if the config has changed since, nothing is done and the answer is 422"`
	Env     map[string]string `json:"env,omitempty" maxProperties:"50" doc:"variables for tests, over what their jobs say; an empty value takes one away"`
}

// RerunBody asks for the next attempt of a pipeline.
type RerunBody struct {
	Which
	ExpectedAttempt int `json:"expected_attempt,omitempty" minimum:"1" maximum:"1000" doc:"number of the attempt that you take for the newest; if it is not, nothing is done and the answer is 409"`
}

// RerunManyBody asks for the next attempts of several pipelines.
type RerunManyBody struct {
	Pipelines []int64 `json:"pipelines" minItems:"1" maxItems:"50" nullable:"false"`
	Which
}

// CancelBody says what of a pipeline is to be stopped.
type CancelBody struct {
	Step   string `json:"step,omitempty" maxLength:"200" doc:"empty: all of the pipeline"`
	Target string `json:"target,omitempty" maxLength:"200" doc:"empty: all of the step" dependentRequired:"step"`
}

// TokenBody asks for a token.
type TokenBody struct {
	Name   string              `json:"name" minLength:"1" maxLength:"100" doc:"what it is for"`
	Scopes []models.TokenScope `json:"scopes" minItems:"1" maxItems:"6" nullable:"false" enum:"read,rerun,cancel,hooks,settings,admin"`
	Days   int                 `json:"days,omitempty" minimum:"1" maximum:"365" doc:"after which it expires; the service may allow fewer, and has its own number if you give none"`
}

// AllowanceBody decides about a namespace or a project.
type AllowanceBody struct {
	Path    string            `json:"path" minLength:"3" maxLength:"500" doc:"forge/namespace, or forge/namespace/name of a project"`
	Project bool              `json:"project,omitempty" doc:"the last word of the path is the name of a project"`
	State   models.AllowState `json:"state" enum:"allowed,denied"`
	Reason  string            `json:"reason,omitempty" maxLength:"500" doc:"for those who are concerned"`
}

// RerunPreview is what a rerun would do. Each target of the pipeline is in one
// of the first four lists.
type RerunPreview struct {
	PipelineID int64         `json:"pipeline_id" doc:"the newest attempt"`
	Attempt    int           `json:"attempt" doc:"number of the newest attempt"`
	Run        []RerunTarget `json:"run" doc:"get new runs"`
	Awaited    []RerunTarget `json:"awaited" doc:"are still on their way, and that will do"`
	Fixed      []RerunTarget `json:"fixed" doc:"cannot be repeated"`
	Reused     []RerunTarget `json:"reused" doc:"share their runs with the attempt before"`
	Stopped    []RerunTarget `json:"stopped" doc:"those whose earlier run is stopped"`
	Removed    []RerunTarget `json:"removed" doc:"what the config as it is now does not have any more"`
	Changes    []PlanChange  `json:"changes" doc:"how the plan of the config as it is now differs"`
	ConfigFile string        `json:"config_file" doc:"that is read anew; empty: none"`
	ConfigSHA  string        `json:"config_sha" doc:"commit that it was read at"`
	NewerID    *int64        `json:"newer_id" doc:"pipeline of a later push to the same reference"`
	Allowed    bool          `json:"allowed" doc:"you may have it done"`
	Reason     string        `json:"reason" doc:"why not"`
	HowTo      string        `json:"how_to" doc:"how to get the right"`
}

// RerunTarget is a target as a rerun sees it.
type RerunTarget struct {
	Step    string       `json:"step"`
	Target  string       `json:"target"`
	State   models.State `json:"state" doc:"of its run so far"`
	Attempt int          `json:"attempt" doc:"that its run was made for"`
	Why     string       `json:"why"`
}

// PlanChange is a difference between two plans: a step, or a target of a step
// that both have.
type PlanChange struct {
	Change   models.ChangeKind `json:"change" doc:"added, removed or changed"`
	Step     string            `json:"step"`
	Target   string            `json:"target" doc:"empty: the step itself"`
	Settings []SettingChange   `json:"settings"`
}

// SettingChange is a setting of a step that differs.
type SettingChange struct {
	Name string `json:"name"`
	From string `json:"from" doc:"as JSON; empty: not set"`
	To   string `json:"to" doc:"as JSON; empty: not set"`
}

// RerunResults says what became of several wishes, in their order.
type RerunResults struct {
	Items []RerunResult `json:"items"`
}

// RerunResult is what became of one wish.
type RerunResult struct {
	PipelineID int64          `json:"pipeline_id" doc:"that was asked about"`
	Made       *PipelineBrief `json:"made"`
	Problem    *Problem       `json:"problem" doc:"why nothing was made"`
}

// Canceled says how much was stopped.
type Canceled struct {
	Runs     int             `json:"runs"`
	Pipeline PipelineSummary `json:"pipeline"`
}

// Me is who somebody is to the service.
type Me struct {
	Login    string   `json:"login"`
	Name     string   `json:"name"`
	Groups   []string `json:"groups" doc:"at the last login"`
	Operator bool     `json:"operator"`
	Token    *Token   `json:"token" doc:"by which you ask"`
}

// NewToken is a token that was just made.
type NewToken struct {
	Token
	Secret string `json:"secret" doc:"what to send as Authorization: Bearer; it is shown this once"`
}

func (w Which) request() models.RerunRequest {
	out := models.RerunRequest{
		Scope: w.Scope, Step: w.Step, Target: w.Target, Restart: w.Restart, Env: w.Env,
		Current: w.Config == currentConfig, Seen: w.Seen,
	}
	for _, p := range w.Picks {
		out.Picks = append(out.Picks, models.Pick(p))
	}
	return out
}

// currentConfig asks for the package config as it is now.
const currentConfig = "current"

// whichParam is the same in an address.
func whichParam(q url.Values) (models.RerunRequest, error) {
	out := models.RerunRequest{Scope: models.Scope(clipParam(q, "scope")), Step: clipParam(q, "step"), Target: clipParam(q, "target")}
	if out.Scope == "" {
		out.Scope = models.ScopeFailed
	}
	switch restart := q.Get("restart"); restart {
	case "", "false":
	case "true":
		out.Restart = true
	default:
		return out, &models.InputError{Field: "restart", Message: "it is true or false"}
	}
	switch config := q.Get("config"); config {
	case "", "snapshot":
	case currentConfig:
		out.Current = true
	default:
		return out, &models.InputError{Field: "config", Message: "it is snapshot or current"}
	}
	picks := q["pick"]
	if len(picks) > mostPicks {
		return out, &models.InputError{Field: "pick", Message: "there are too many"}
	}
	for _, pick := range picks {
		step, target, _ := strings.Cut(pick, "/")
		out.Picks = append(out.Picks, models.Pick{Step: step, Target: target})
	}
	return out, nil
}

// sendPreview says what a rerun would do.
func (s *Server) sendPreview(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	which, err := whichParam(r.URL.Query())
	if err != nil {
		return err
	}
	preview, err := s.previewRerun(r, rerunAsk{RerunRequest: which, Pipeline: id})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.writeJSON(w, r, apiPreview(preview))
}

func apiPreview(p *rerunPreview) RerunPreview {
	target := func(t models.RerunTarget) RerunTarget {
		return RerunTarget{Step: t.Step.Name, Target: t.Target.Name, State: t.Target.Run.State, Attempt: t.Attempt, Why: t.Why}
	}
	out := RerunPreview{
		PipelineID: p.Earlier.ID, Attempt: p.Earlier.Attempt, Run: each(p.Run, target), Awaited: each(p.Awaited, target),
		Fixed: each(p.Fixed, target), Reused: each(p.Reused, target), Stopped: each(p.Stopped, target),
		Removed: each(p.Removed, target), Changes: []PlanChange{},
		Allowed: p.Verdict.Allowed, Reason: p.Verdict.Reason, HowTo: p.Verdict.HowTo,
	}
	if p.Newer != 0 {
		out.NewerID = &p.Newer
	}
	if now := p.Replan; now != nil {
		out.ConfigFile, out.ConfigSHA = now.File, now.SHA
		out.Changes = each(now.Changes, func(c models.PlanChange) PlanChange {
			return PlanChange{c.Change, c.Step.Name, c.Target, each(c.Settings, func(s models.SettingChange) SettingChange { return SettingChange(s) })}
		})
	}
	return out
}

// takeRerun makes the next attempt of a pipeline.
func (s *Server) takeRerun(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := readBody[RerunBody](s, w, r)
	if err != nil {
		return err
	}
	made, err := s.rerun(r, rerunAsk{RerunRequest: body.request(), Pipeline: id, Expected: body.ExpectedAttempt, Key: r.Header.Get("Idempotency-Key")})
	if err != nil {
		return err
	}
	p, attempts, err := s.madePipeline(r, made)
	if err != nil {
		return err
	}
	return s.sendMade(w, r, http.StatusAccepted, views.PipelineURL(made), s.apiPipeline(p, attempts))
}

func (s *Server) madePipeline(r *http.Request, id int64) (*models.Pipeline, []*models.Pipeline, error) {
	return s.pipelineNow(r.Context(), id)
}

// pipelineNow is a pipeline as it stands, with all attempts of its plan.
func (s *Server) pipelineNow(ctx context.Context, id int64) (*models.Pipeline, []*models.Pipeline, error) {
	p, err := s.Store.Pipeline(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	attempts, err := s.Store.Attempts(ctx, p)
	return p, attempts, err
}

// sendMade answers with what was made, and says where it is from now on.
func (s *Server) sendMade(w http.ResponseWriter, r *http.Request, status int, path string, v any) error {
	w.Header().Set("Location", apiPrefix+path)
	w.Header().Set("Cache-Control", "no-store")
	s.sendJSON(w, r, status, jsonMediaType, v)
	return nil
}

// takeReruns makes the next attempts of several pipelines, one after the other.
func (s *Server) takeReruns(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody[RerunManyBody](s, w, r)
	if err != nil {
		return err
	}
	if viewerOf(r) == nil { // once, not for each of them
		return s.mustLogIn(r)
	}
	results := RerunResults{Items: []RerunResult{}}
	key := r.Header.Get("Idempotency-Key")
	for _, id := range body.Pipelines {
		ask := rerunAsk{RerunRequest: body.request(), Pipeline: id}
		if key != "" {
			ask.Key = key + "/" + decimal(id)
		}
		result, err := s.rerunOne(r, ask)
		if err != nil {
			return err
		}
		results.Items = append(results.Items, result)
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.writeJSON(w, r, results)
}

// rerunOne is rerun, with what keeps a pipeline from it as a result.
func (s *Server) rerunOne(r *http.Request, ask rerunAsk) (RerunResult, error) {
	result := RerunResult{PipelineID: ask.Pipeline}
	made, err := s.rerun(r, ask)
	if err == nil {
		p, err := s.Store.PipelineOutline(r.Context(), made)
		if err != nil {
			return result, err
		}
		brief := s.apiBrief(p)
		result.Made = &brief
		return result, nil
	}
	why := s.explain(r, err)
	if why.status >= 500 && why.status != http.StatusNotImplemented || why.status == clientGone {
		return result, why
	}
	problem := s.problem(r, why)
	result.Problem = &problem
	return result, nil
}

// takeCancel stops a pipeline, a step of it, or a target.
func (s *Server) takeCancel(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := readBody[CancelBody](s, w, r)
	if err != nil {
		return err
	}
	return s.sendCanceled(w, r, cancelAsk{Pipeline: id, Step: body.Step, Target: body.Target})
}

// takeRunCancel stops a run.
func (s *Server) takeRunCancel(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	place, err := s.Store.RunPlace(r.Context(), id)
	if err != nil {
		return err
	}
	return s.sendCanceled(w, r, cancelAsk{Pipeline: place.Pipeline.ID, Step: place.Step.Name, Target: place.Target.Name})
}

func (s *Server) sendCanceled(w http.ResponseWriter, r *http.Request, ask cancelAsk) error {
	n, err := s.cancel(r, ask)
	if err != nil {
		return err
	}
	p, attempts, err := s.madePipeline(r, ask.Pipeline)
	if err != nil {
		return err
	}
	return s.sendMade(w, r, http.StatusAccepted, views.PipelineURL(p.ID), Canceled{Runs: n, Pipeline: s.apiPipeline(p, attempts).PipelineSummary})
}

// mustLogIn is the answer to a program that does not say who it is.
func (s *Server) mustLogIn(r *http.Request) error {
	err := s.may(r, models.PersonalRight, models.About{})
	if no, ok := errors.AsType[*refusal](err); ok {
		no.status = http.StatusUnauthorized
	}
	return err
}

// sendMe says who somebody is.
func (s *Server) sendMe(w http.ResponseWriter, r *http.Request) error {
	viewer := viewerOf(r)
	if viewer == nil {
		return s.mustLogIn(r)
	}
	me := Me{Login: viewer.Login, Name: viewer.Name, Groups: some(viewer.Groups), Operator: viewer.Operator}
	if token, ok := r.Context().Value(tokenKey{}).(*models.Token); ok {
		shown := apiToken(token)
		me.Token = &shown
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.writeJSON(w, r, me)
}

// takeToken makes a token, for a person in a browser's session.
func (s *Server) takeToken(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody[TokenBody](s, w, r)
	if err != nil {
		return err
	}
	if body.Days == 0 {
		body.Days = int(s.Logins.TokenLife.Hours() / 24)
	}
	token, secret, err := s.newToken(r, views.TokenEntry{Name: body.Name, Scopes: body.Scopes, Days: body.Days})
	if err != nil {
		return err
	}
	return s.sendMade(w, r, http.StatusCreated, views.TokensURL(), NewToken{apiToken(token), secret})
}

func (s *Server) takeTokenEnd(w http.ResponseWriter, r *http.Request) error {
	if err := s.removeToken(r); err != nil {
		return err
	}
	return sendNothing(w)
}

func sendNothing(w http.ResponseWriter) error {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// takeAllowance allows or denies a namespace or a project.
func (s *Server) takeAllowance(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody[AllowanceBody](s, w, r)
	if err != nil {
		return err
	}
	do := map[models.AllowState]string{models.AllowedState: "allow", models.DeniedState: "deny"}[body.State]
	a, err := s.decide(r, views.AllowEntry{Path: body.Path, Project: body.Project, Reason: httpx.Clean(body.Reason, 500)}, do)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.writeJSON(w, r, apiAllowance(a))
}

// takeAllowanceEnd takes an entry off the allowlist.
func (s *Server) takeAllowanceEnd(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	project, err := strconv.ParseBool(cmp.Or(q.Get("project"), "false"))
	if err != nil {
		return &models.InputError{Field: "project", Message: "it is true or false"}
	}
	if _, err := s.decide(r, views.AllowEntry{Path: clipParam(q, "path"), Project: project}, "remove"); err != nil {
		return err
	}
	return sendNothing(w)
}
