package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/models"
	"millrace/models/store"
)

// Requester is somebody who asks for something, and the door they came by.
type Requester struct {
	Actor  string // login
	UserID int64  // 0: nobody who logged in here
	Via    models.AuditVia
}

// RerunRequest asks for the next attempt of a pipeline. Whoever makes one has
// seen to it that the requester may.
type RerunRequest struct {
	models.RerunRequest
	Requester
	Pipeline int64  // any attempt
	Expected int    // number of the attempt that the requester takes for the newest; 0: whatever is
	Key      string // repeats of a request with the same key make nothing new; empty: there are none
}

// PreviewRerun says what a request would do. Errors are those of Rerun.
func (r *Runner) PreviewRerun(ctx context.Context, pipelineID int64, request models.RerunRequest) (*models.Rerun, error) {
	newest, err := r.Store.AttemptOf(ctx, pipelineID)
	if err != nil {
		return nil, err
	}
	ready, err := r.prepareRerun(ctx, newest, request.Current)
	if err != nil {
		return nil, err
	}
	return models.PlanRerun(ready.newest, request, ready.facts)
}

// Rerun makes the next attempt of a pipeline and returns its id. Several at once
// make one: the others get a *models.ConflictError with the winner, or, with the
// same key, its id. An error that matches models.ErrNothing, a
// *models.LimitError, *models.InputError, *models.ConfigError or
// *models.NotAllowedError says why there is none.
func (r *Runner) Rerun(ctx context.Context, request RerunRequest) (int64, error) {
	newest, err := r.Store.AttemptOf(ctx, request.Pipeline)
	if err != nil {
		return 0, err
	}
	ready, err := r.prepareRerun(ctx, newest, request.Current)
	if err != nil {
		return 0, err
	}
	var id int64
	err = r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.lockPlans(ctx, tx, ready); err != nil {
			return err
		}
		id, err = r.rerun(ctx, tx, ready, request)
		return err
	})
	return id, err
}

// readied is a plan with what was looked up about it before the transaction that
// makes its next attempt.
type readied struct {
	newest *models.Pipeline // attempt that was the newest
	facts  models.RerunFacts
	owners []int64 // pipelines whose runs it shows, itself included
}

// prepareRerun looks up what a rerun must know. current says that it is to be
// with the package config as it is now.
func (r *Runner) prepareRerun(ctx context.Context, newest *models.Pipeline, current bool) (readied, error) {
	p, err := r.Store.Pipeline(ctx, newest.ID)
	if err != nil {
		return readied{}, err
	}
	event := *p.Event // is never stored
	event.Project = p.Project
	reason, err := r.notAllowed(ctx, &event)
	if err != nil {
		return readied{}, err
	}
	if reason != "" {
		return readied{}, &models.NotAllowedError{Reason: reason}
	}
	facts, err := r.rerunFacts(ctx, p)
	if err != nil {
		return readied{}, err
	}
	if current {
		facts.Replan, err = r.replan(ctx, p)
	}
	return readied{p, facts, ownersOf(p)}, err
}

// ownersOf are the pipelines that the runs of p were made for, and p itself.
func ownersOf(p *models.Pipeline) []int64 {
	ids := []int64{p.ID}
	for _, step := range p.Steps {
		for _, t := range step.Targets {
			ids = append(ids, t.Run.PipelineID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// lockPlans keeps everybody else from making attempts of these plans, and from
// finishing runs that they show, until the transaction ends: a run that
// finishes meanwhile would not know of the attempt that shares it.
func (r *Runner) lockPlans(ctx context.Context, tx *store.Tx, plans ...readied) error {
	var events, pipelines []int64
	for _, p := range plans {
		events, pipelines = append(events, p.newest.EventID), append(pipelines, p.owners...)
	}
	slices.Sort(events)
	for _, id := range slices.Compact(events) {
		if _, err := tx.LockEvent(ctx, id); err != nil {
			return err
		}
	}
	return tx.LockPipelines(ctx, pipelines)
}

// rerun is Rerun under the locks of lockPlans.
func (r *Runner) rerun(ctx context.Context, tx *store.Tx, ready readied, request RerunRequest) (int64, error) {
	key := request.storedKey()
	if key != "" {
		made, err := tx.PipelineOfRequest(ctx, key)
		if err == nil || !errors.Is(err, models.ErrNotFound) {
			return made.ID, err
		}
	}
	newest, err := tx.AttemptOf(ctx, ready.newest.ID)
	if err != nil {
		return 0, err
	}
	if newest.ID != ready.newest.ID || (request.Expected != 0 && request.Expected != newest.Attempt) {
		return 0, &models.ConflictError{Pipeline: newest.ID, Attempt: newest.Attempt}
	}
	if err := r.withinLimit(ctx, tx, newest.ProjectID); err != nil {
		return 0, err
	}
	p, err := tx.Pipeline(ctx, newest.ID) // as it is under the locks
	if err != nil {
		return 0, err
	}
	again, err := models.PlanRerun(p, request.RerunRequest, ready.facts)
	if err != nil {
		return 0, err
	}
	planned, err := again.Plan(store.Now(), request.Actor)
	if err != nil {
		return 0, err
	}
	planned.Pipeline.RequestKey, planned.Pipeline.RequesterID, planned.Pipeline.Via = key, request.UserID, request.Via
	g, err := tx.CreatePipeline(ctx, planned.Pipeline, planned.Groups, planned.Needs)
	if err != nil {
		return 0, err
	}
	if err := r.advance(ctx, tx, g); err != nil {
		return 0, err
	}
	if err := r.takeOver(ctx, tx, again, g); err != nil {
		return 0, err
	}
	if err := tx.Announce(ctx, newerAttempt(ready.facts.Attempts, g.ProjectID)...); err != nil {
		return 0, err
	}
	return g.ID, tx.Audit(ctx, request.audit(again, g))
}

// withinLimit refuses to rerun the pipelines of a project more often than is good
// for the services.
func (r *Runner) withinLimit(ctx context.Context, tx *store.Tx, projectID int64) error {
	at, err := tx.RerunAt(ctx, projectID, models.ProjectRuns)
	if err != nil {
		return err
	}
	if until := models.Until(at, store.Now()); !until.IsZero() {
		return models.TooManyReruns(until)
	}
	return nil
}

// newerAttempt tells those who look at earlier attempts that there is another.
func newerAttempt(attempts map[int64]int, projectID int64) []models.Change {
	var changes []models.Change
	for _, id := range slices.Sorted(maps.Keys(attempts)) {
		changes = append(changes, models.Change{Topic: models.PipelineTopic, Object: id, ProjectID: projectID})
	}
	return changes
}

// storedKey tells the keys of different people apart.
func (q *RerunRequest) storedKey() string {
	if q.Key == "" {
		return ""
	}
	return fmt.Sprintf("%s/%s/%s", q.Via, q.Actor, q.Key)
}

func (q *RerunRequest) audit(again *models.Rerun, made *models.Graph) *models.AuditEntry {
	detail := map[string]string{
		"scope": string(q.Scope), "runs": strconv.Itoa(len(again.Run)), "reused": strconv.Itoa(len(again.Reused)),
		"pipeline": strconv.FormatInt(made.ID, 10), "set": setOf(again.Run),
	}
	if q.Restart {
		detail["restart"] = "true"
	}
	if again.Replan != nil {
		detail["config"] = again.Replan.SHA
	}
	return &models.AuditEntry{
		Actor: q.Actor, UserID: q.UserID, Via: q.Via, Action: "pipeline.rerun", Result: models.AuditDone,
		Object: fmt.Sprintf("pipeline %d, attempt %d", made.ID, made.Attempt), Detail: detail, ProjectID: made.ProjectID,
	}
}

// setOf names targets, as many as fit into a line.
func setOf(targets []models.RerunTarget) string {
	const most = 20
	var names []string
	for _, t := range targets[:min(len(targets), most)] {
		names = append(names, t.Step.Name+"/"+t.Target.Name)
	}
	if more := len(targets) - most; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// takeOver stops the runs whose place the next attempt's take.
func (r *Runner) takeOver(ctx context.Context, tx *store.Tx, again *models.Rerun, next *models.Graph) error {
	stopped := map[int64]bool{}
	owners := map[int64]bool{}
	for _, t := range again.Stopped {
		stopped[t.Target.RunID], owners[t.Target.Run.PipelineID] = true, true
	}
	reason := fmt.Sprintf("Attempt %d, pipeline %d, took over.", next.Attempt, next.ID)
	for _, id := range slices.Sorted(maps.Keys(owners)) {
		if err := r.stopRuns(ctx, tx, id, stopped, models.Superseded, reason); err != nil {
			return err
		}
	}
	return nil
}

// stopRuns ends runs that were made for a pipeline, as far as they still run.
func (e *Engine) stopRuns(ctx context.Context, tx *store.Tx, pipelineID int64, runs map[int64]bool, end models.State, reason string) error {
	g, err := tx.LockGraph(ctx, pipelineID)
	if err != nil {
		return err
	}
	return e.changeLocked(ctx, tx, g, func(_ *store.Tx, g *models.Graph) error {
		return g.StopRuns(func(run *models.Run) bool { return runs[run.ID] }, end, reason, store.Now())
	})
}

// keeper is a kind that knows when results are not there any more.
type keeper interface {
	// Gone says what became of the result of a run that passed, in words that
	// follow "It", or nothing if it is still there.
	Gone(ctx context.Context, view *models.JobView, run *models.Run, now time.Time) (string, error)
}

// onceOnly is a kind some of whose results can be made only once.
type onceOnly interface {
	// Fixed says why a run cannot be repeated, a whole sentence, or nothing if it
	// can.
	Fixed(view *models.JobView, run *models.Run) string
}

// rerunFacts looks up what of a pipeline can be used and done again.
func (r *Runner) rerunFacts(ctx context.Context, p *models.Pipeline) (models.RerunFacts, error) {
	facts := models.RerunFacts{Gone: map[int64]string{}, Fixed: map[int64]string{}, Attempts: map[int64]int{}}
	attempts, err := r.Store.Attempts(ctx, p)
	if err != nil {
		return facts, err
	}
	for _, a := range attempts {
		facts.Attempts[a.ID] = a.Attempt
	}
	for _, step := range p.Steps {
		view, err := step.View()
		if err != nil {
			return facts, err
		}
		for _, t := range step.Targets {
			carrier := r.Kinds[step.Kind]
			if carrier == nil {
				facts.Fixed[t.RunID] = fmt.Sprintf("This service does not carry out steps of the kind %s.", step.Kind)
				continue
			}
			if once, ok := carrier.(onceOnly); ok {
				if reason := once.Fixed(view, t.Run); reason != "" {
					facts.Fixed[t.RunID] = reason
				}
			}
			keeps, ok := carrier.(keeper)
			if !ok || t.Run.State != models.Passed {
				continue
			}
			gone, err := keeps.Gone(ctx, view, t.Run, store.Now())
			if err != nil {
				return facts, err
			}
			if gone != "" {
				facts.Gone[t.RunID] = gone
			}
		}
	}
	return facts, nil
}

// CancelRequest asks to stop a pipeline, a step of it, or one target.
type CancelRequest struct {
	Requester
	Pipeline int64
	Step     string // empty: all of it
	Target   string // empty: all of the step
}

// Cancel stops what is still on its way, at the services too, and returns how
// many runs it stopped. What depends on them is skipped. Runs that attempts
// share end in all of them. If nothing is on its way the error matches
// models.ErrNothing.
func (r *Runner) Cancel(ctx context.Context, request CancelRequest) (int, error) {
	p, err := r.Store.Pipeline(ctx, request.Pipeline)
	if err != nil {
		return 0, err
	}
	runs, owners, err := request.set(p)
	if err != nil {
		return 0, err
	}
	if len(runs) == 0 {
		return 0, &models.NothingError{Reason: "Nothing of it is still on its way."}
	}
	reason := fmt.Sprintf("Canceled by %s.", request.Actor)
	err = r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.LockPipelines(ctx, append(owners, p.ID)); err != nil {
			return err
		}
		for _, id := range owners {
			if err := r.stopRuns(ctx, tx, id, runs, models.Canceled, reason); err != nil {
				return err
			}
		}
		if !slices.Contains(owners, p.ID) { // it shows runs of others only
			if err := r.stopRuns(ctx, tx, p.ID, nil, models.Canceled, reason); err != nil {
				return err
			}
		}
		return tx.Audit(ctx, request.audit(p, len(runs)))
	})
	return len(runs), err
}

// set is the unfinished runs that are meant, and the pipelines that they were
// made for.
func (q *CancelRequest) set(p *models.Pipeline) (runs map[int64]bool, owners []int64, err error) {
	runs = map[int64]bool{}
	found := false
	for _, step := range p.Steps {
		for _, t := range step.Targets {
			if (q.Step != "" && step.Name != q.Step) || (q.Target != "" && t.Name != q.Target) {
				continue
			}
			found = true
			if !t.Run.State.Finished() {
				runs[t.RunID] = true
				owners = append(owners, t.Run.PipelineID)
			}
		}
	}
	if !found {
		return nil, nil, &models.InputError{Field: "step", Message: fmt.Sprintf("this pipeline has no %s", strings.Trim(q.Step+"/"+q.Target, "/"))}
	}
	slices.Sort(owners)
	return runs, slices.Compact(owners), nil
}

func (q *CancelRequest) audit(p *models.Pipeline, n int) *models.AuditEntry {
	detail := map[string]string{"runs": strconv.Itoa(n), "scope": "all"}
	if q.Step != "" {
		detail["scope"] = strings.TrimSuffix(q.Step+"/"+q.Target, "/")
	}
	return &models.AuditEntry{
		Actor: q.Actor, UserID: q.UserID, Via: q.Via, Action: "pipeline.cancel", Result: models.AuditDone,
		Object: fmt.Sprintf("pipeline %d", p.ID), Detail: detail, ProjectID: p.ProjectID,
	}
}
