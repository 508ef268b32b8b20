// Package jobs is the work: what happens after a delivery is stored. Rows are
// the truth and jobs are hints: a job may be lost, doubled or late, and a
// process may die at any line. The Engine carries groups of runs through their
// phases under leases; one file for each kind of step says how it is done.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"millrace/clients/httpx"
	"millrace/jobs/access"
	"millrace/models"
	"millrace/models/store"
)

// Engine carries out pipelines.
type Engine struct {
	Store *store.Store
	Queue *Queue
	Log   *slog.Logger
	Kinds map[models.StepKind]Kind

	Worker string                  // name of this process, unique among those alive
	Base   string                  // address of our pages, without a trailing slash
	Limits map[models.StepKind]int // groups of a kind worked on at once in all processes; 0 or absent: no limit
	Timing Timing
	Watch  Watcher
	Rights *access.Rights // of people who ask for attempts, looked at again before they run; nil: they are not
	Prefix string         // of comment commands, such as /packit
	// Hears reports whether comments on issues of a project reach us; nil: none do.
	Hears func(*models.Project) bool

	LogLimit int // bytes of a log that are kept; 0: a default

	Teller *Teller // nil: nobody is told what happened, but forges

	arrivals arrivals
}

// Timing is how long things take at most, or wait.
type Timing struct {
	Lease    time.Duration // a worker that does not renew it for so long is taken for dead
	Sweep    time.Duration // between two looks for what was lost or is due
	Retry    time.Duration // before the first retry; each further one waits twice as long
	RetryMax time.Duration // between two retries at most
	Tries    int           // before a group ends in error
	Doubt    time.Duration // after a crash, until a request that was on its way then has arrived or never will
	Poll     time.Duration // before the first poll; later ones wait longer and longer
	PollMax  time.Duration // between two polls at most
	GiveUp   time.Duration // after which a submitted group that never ends is an error
	Collect  time.Duration // for which clicks on checks are collected, to become one attempt
}

// DefaultTiming suits Fedora's services.
var DefaultTiming = Timing{
	Lease: 30 * time.Second, Sweep: time.Second,
	Retry: 30 * time.Second, RetryMax: 30 * time.Minute, Tries: 8, Doubt: 5 * time.Second,
	Poll: 30 * time.Second, PollMax: 10 * time.Minute, GiveUp: 7 * 24 * time.Hour,
	Collect: 3 * time.Second,
}

// Watcher hears what the engine does, for metrics. Its functions may be nil.
type Watcher struct {
	Settled func(kind models.StepKind, state models.State, took time.Duration)
	Retried func(kind models.StepKind)
}

// change is how anything alters a pipeline: f under the pipeline's lock, what
// follows from it, the jobs and reports that are due now, and the word to the
// browsers, all or nothing.
func (e *Engine) change(ctx context.Context, pipelineID int64, f func(tx *store.Tx, g *models.Graph) error) error {
	return e.Store.InTx(ctx, func(tx *store.Tx) error {
		g, err := tx.LockGraph(ctx, pipelineID)
		if err != nil {
			return err
		}
		return e.changeLocked(ctx, tx, g, f)
	})
}

// changeKnown is change of a pipeline that was read before: if nobody changed it
// since, it is not read again. known is used up.
//
// With goOn, a worker takes one of the groups up at once that the change makes
// ready, if nobody waits for that kind: it is claimed in the same transaction,
// and next is the work.
func (e *Engine) changeKnown(ctx context.Context, known *models.Pipeline, goOn bool, f func(tx *store.Tx, g *models.Graph) error) (next *Work, err error) {
	var g *models.Graph
	var taken *models.RunGroup
	err = e.Store.InTx(ctx, func(tx *store.Tx) (err error) {
		if g, err = tx.LockKnown(ctx, known); err != nil {
			return err
		}
		if err = f(tx, g); err != nil {
			return err
		}
		taken, err = e.advanceTaking(ctx, tx, g, goOn)
		return err
	})
	if err != nil || taken == nil {
		return nil, err
	}
	return e.newWork(ctx, taken, g.Pipeline)
}

func (e *Engine) changeLocked(ctx context.Context, tx *store.Tx, g *models.Graph, f func(tx *store.Tx, g *models.Graph) error) error {
	if err := f(tx, g); err != nil {
		return err
	}
	return e.advance(ctx, tx, g)
}

// advance derives what follows from the rows and saves it. It may be called at
// any time and any number of times.
func (e *Engine) advance(ctx context.Context, tx *store.Tx, g *models.Graph) error {
	_, err := e.advanceTaking(ctx, tx, g, false)
	return err
}

// advanceTaking is advance, in which this worker may take a group up.
func (e *Engine) advanceTaking(ctx context.Context, tx *store.Tx, g *models.Graph, take bool) (taken *models.RunGroup, err error) {
	queued, err := g.Advance(store.Now())
	if err != nil {
		return nil, err
	}
	if taken, err = e.enqueue(ctx, tx, g, queued, take); err != nil {
		return nil, err
	}
	if g.Visible() {
		if err := e.finishRuns(ctx, tx, g); err != nil {
			return nil, err
		}
		if err := e.want(ctx, tx, g.Reports(e.Base)); err != nil {
			return nil, err
		}
		if err := e.wantTroubles(ctx, tx, g); err != nil {
			return nil, err
		}
		if err := e.tellOf(ctx, tx, g); err != nil {
			return nil, err
		}
	}
	return taken, tx.SaveGraph(ctx, g)
}

// enqueue gives groups their places in the queue and makes a job for each. One
// that would be the next to be claimed can be taken instead: it needs no job. Of
// kinds with a limit none is taken, as their claims must be counted.
func (e *Engine) enqueue(ctx context.Context, tx *store.Tx, g *models.Graph, queued []*models.RunGroup, take bool) (taken *models.RunGroup, err error) {
	places := map[models.StepKind]store.Place{}
	var wanted []river.JobArgs
	for _, group := range queued {
		place, ok := places[group.Kind]
		if !ok {
			if place, err = tx.NextPlace(ctx, group.Kind, group.ProjectID); err != nil {
				return nil, err
			}
		}
		now := store.Now()
		if take && taken == nil && place.Free && e.Limits[group.Kind] == 0 {
			g.Claim(group, e.Worker, now.Add(e.Timing.Lease), now)
			taken = group
			continue
		}
		group.Rank, group.HintedAt = place.Rank, now
		place.Rank++
		places[group.Kind] = place
		g.TouchGroup(group, now)
		wanted = append(wanted, workArgs{group.Kind})
	}
	return taken, e.Queue.AddAll(ctx, tx, wanted)
}

// finishRuns has the logs of finished runs fetched, and other pipelines that
// show them advanced.
func (e *Engine) finishRuns(ctx context.Context, tx *store.Tx, g *models.Graph) error {
	var finished []int64
	for _, run := range g.ChangedRuns() {
		if !run.State.Finished() {
			continue
		}
		finished = append(finished, run.ID)
		if run.LogURL != "" {
			if err := e.Queue.Add(ctx, tx, fetchLogArgs{run.ID}); err != nil {
				return err
			}
		}
	}
	sharing, err := tx.SharingPipelines(ctx, finished)
	if err != nil {
		return err
	}
	for _, id := range sharing {
		if id != g.ID {
			if err := e.Queue.Add(ctx, tx, advanceArgs{id}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Advance derives what follows from a pipeline's rows.
func (e *Engine) Advance(ctx context.Context, pipelineID int64) error {
	return e.change(ctx, pipelineID, func(*store.Tx, *models.Graph) error { return nil })
}

// stint is how long a job goes on to what it made ready. Then others get its
// place in this process.
const stint = time.Second

// work claims the fairest queued group of a kind, carries it out, and settles
// it; then, for a while, what that makes ready and nobody waits for. Without a
// group to claim it has nothing to do: the hint came late.
func (e *Engine) work(ctx context.Context, kind models.StepKind) error {
	group, err := e.Store.Claim(ctx, kind, e.Worker, e.Timing.Lease, e.Limits[kind])
	if err != nil || group == nil {
		return err
	}
	w, err := e.load(ctx, group)
	for begin := time.Now(); err == nil && w != nil; {
		w, err = e.carryOut(ctx, w, time.Since(begin) < stint)
	}
	return err // the lease of what is not settled lapses, and another tries
}

// carryOut carries a claimed group out and settles it. If it may go on, it
// returns the work that follows and is claimed already, or nil.
func (e *Engine) carryOut(ctx context.Context, w *Work, goOn bool) (next *Work, err error) {
	if len(w.Runs) == 0 { // canceled just now
		return e.settle(ctx, w, Outcome{}, nil, goOn)
	}
	carrier := e.Kinds[w.Group.Kind]
	if carrier == nil {
		return e.settle(ctx, w, Outcome{}, broken(nil, "This service does not carry out steps of the kind %s.", w.Group.Kind), goOn)
	}
	if _, here := carrier.(local); here {
		if err := e.start(ctx, w); err != nil {
			return nil, err
		}
	}
	held, release := e.hold(ctx, w.Group)
	outcome, err := e.submit(held, carrier, w)
	release()
	switch {
	case errors.Is(context.Cause(held), models.ErrLost):
		return nil, e.undo(ctx, carrier, w, outcome)
	case ctx.Err() != nil && err != nil:
		return nil, e.giveBack(ctx, w.Group)
	}
	next, err = e.settle(context.WithoutCancel(ctx), w, outcome, err, goOn && ctx.Err() == nil)
	if errors.Is(err, models.ErrLost) {
		return nil, e.undo(ctx, carrier, w, outcome) // canceled between the last renewal and now
	}
	return next, err
}

// start shows that the runs of a claimed group are being carried out.
func (e *Engine) start(ctx context.Context, w *Work) error {
	return e.change(ctx, w.Group.PipelineID, func(_ *store.Tx, g *models.Graph) error {
		group := g.Groups[w.Group.ID]
		if group == nil || group.Epoch != w.Group.Epoch || group.Phase != models.PhaseWorking {
			return nil // lost already; the lease will tell
		}
		for _, run := range group.Members {
			if err := g.SetRun(run, models.Running, "", store.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// hold renews the lease of a group until release is called. The context it
// returns ends with the cause ErrLost when the group is no longer ours.
func (e *Engine) hold(ctx context.Context, group *models.RunGroup) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() { // ends with held; release waits for it
		defer close(done)
		tick := time.NewTicker(e.Timing.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-tick.C:
			}
			err := e.Store.InTx(held, func(tx *store.Tx) error { return tx.Renew(held, group, e.Timing.Lease) })
			if errors.Is(err, models.ErrLost) {
				cancel(models.ErrLost)
				return
			}
			if err != nil && held.Err() == nil {
				e.Log.WarnContext(ctx, "lease not renewed", "group", group.ID, "error", err)
			}
		}
	}()
	return held, func() {
		cancel(nil)
		<-done
	}
}

// giveBack queues a group again because this process shuts down.
func (e *Engine) giveBack(ctx context.Context, group *models.RunGroup) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return e.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.GiveBack(ctx, group); err != nil {
			return err
		}
		return e.Queue.Add(ctx, tx, workArgs{group.Kind})
	})
}

// undo has the service stop what was submitted for a group that was canceled, or
// given to another worker, meanwhile. An heir finds the submission by its key.
func (e *Engine) undo(ctx context.Context, carrier Kind, w *Work, outcome Outcome) error {
	ctx = context.WithoutCancel(ctx)
	now, err := e.Store.Group(ctx, w.Group.ID)
	if err != nil {
		return err
	}
	if now.Phase != models.PhaseCanceling && now.Phase != models.PhaseSettled {
		return nil
	}
	if outcome.ExternalID != "" {
		w.Group.ExternalID = outcome.ExternalID
	}
	if err := carrier.Cancel(ctx, w); err != nil {
		e.Log.WarnContext(ctx, "canceled work may still run at its service", "group", w.Group.ID, "error", err)
	}
	return nil
}

// load reads what carrying a group out needs to know.
func (e *Engine) load(ctx context.Context, group *models.RunGroup) (*Work, error) {
	p, err := e.Store.Pipeline(ctx, group.PipelineID)
	if err != nil {
		return nil, err
	}
	return e.newWork(ctx, group, p)
}

// newWork is the work on a group of a pipeline that was read.
func (e *Engine) newWork(ctx context.Context, group *models.RunGroup, p *models.Pipeline) (w *Work, err error) {
	w = &Work{Group: group, Pipeline: p, Step: p.Step(group.StepID), log: func(run *models.Run, text []byte) error {
		return e.appendLog(ctx, run, text)
	}}
	if w.Step == nil {
		return nil, fmt.Errorf("group %d: step %d is not in pipeline %d", group.ID, group.StepID, p.ID)
	}
	if w.View, err = w.Step.View(); err != nil {
		return nil, err
	}
	for _, t := range w.Step.Targets {
		if t.Run.GroupID == group.ID && !t.Run.State.Finished() {
			w.Runs = append(w.Runs, t.Run)
		}
	}
	return w, nil
}

// settle writes what became of a group that this worker holds. If it does not
// hold it any more nothing is written, and the error is models.ErrLost. If the
// worker may go on, next is what it took up, or nil.
func (e *Engine) settle(ctx context.Context, w *Work, outcome Outcome, problem error, goOn bool) (next *Work, err error) {
	next, err = e.changeKnown(ctx, w.Pipeline, goOn, func(tx *store.Tx, g *models.Graph) error {
		group := g.Groups[w.Group.ID]
		if group == nil || group.Epoch != w.Group.Epoch || group.Phase != models.PhaseWorking {
			return models.ErrLost
		}
		now := store.Now()
		group.Worker, group.LeaseUntil = "", time.Time{}
		g.TouchGroup(group, now)
		if e.Limits[group.Kind] > 0 { // a place is free; others may have looked in vain
			if err := e.Queue.Add(ctx, tx, workArgs{group.Kind}); err != nil {
				return err
			}
		}
		if problem != nil {
			return e.trouble(g, group, problem, now)
		}
		group.Tries, group.Error = 0, ""
		if outcome.ExternalID != "" {
			group.ExternalID = outcome.ExternalID
		}
		if outcome.Waiting {
			group.Phase, group.Polls, group.PollAt = models.PhaseSubmitted, 0, now.Add(e.Timing.Poll)
		}
		return e.apply(ctx, tx, g, outcome, now)
	})
	if err != nil || !outcome.Waiting {
		return next, err
	}
	return next, e.heardEarly(ctx, w.Group, outcome.ExternalID)
}

// heardEarly has a service asked at once if it answered before we knew the
// submission's id. It looks after the id is committed: an answer that is stored
// later finds the id.
func (e *Engine) heardEarly(ctx context.Context, group *models.RunGroup, externalID string) error {
	kind, ok := answers[group.Kind]
	if !ok {
		return nil
	}
	early, err := e.Store.EarlyEvents(ctx, kind, externalID)
	if err != nil || !early {
		return err
	}
	return e.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.PollNow(ctx, group.ID); err != nil {
			return err
		}
		return e.Queue.Add(ctx, tx, pollArgs{group.ID})
	})
}

// answers says which events answer submissions of which kind of step.
var answers = map[models.StepKind]models.EventKind{
	models.SRPMStep:      models.CoprBuildEvent,
	models.CoprBuildStep: models.CoprBuildEvent,
	models.TestsStep:     models.TestResultEvent,

	models.KojiScratchStep: models.KojiTaskEvent,
}

// trouble ends a group with a refusal, or queues it to be tried again later.
func (e *Engine) trouble(g *models.Graph, group *models.RunGroup, problem error, now time.Time) error {
	refusal, final := errors.AsType[*Refusal](problem)
	if !final && !temporary(problem) {
		refusal, final = &Refusal{State: models.Error, Reason: inWords(problem)}, true
	}
	group.Tries++
	group.Error = inWords(problem)
	if !final && group.Tries >= e.Timing.Tries {
		refusal, final = &Refusal{State: models.Error, Reason: fmt.Sprintf("Given up after %d tries: %s", group.Tries, inWords(problem))}, true
	}
	if final {
		for _, run := range group.Members {
			if err := g.SetRun(run, refusal.State, refusal.Reason, now); err != nil {
				return err
			}
		}
		return nil
	}
	wait := backoff(e.Timing.Retry, e.Timing.RetryMax, group.Tries)
	if at := httpx.RetryAfter(problem); at.After(now.Add(wait)) {
		wait = at.Sub(now)
	}
	group.Phase, group.NotBefore, group.HintedAt = models.PhaseQueued, now.Add(wait), time.Time{}
	if e.Watch.Retried != nil {
		e.Watch.Retried(group.Kind)
	}
	for _, run := range group.Members {
		run.Retries = group.Tries
		g.TouchRun(run)
		reason := fmt.Sprintf("Try %d of %d did not work, the next is in %s: %s", group.Tries, e.Timing.Tries, wait.Round(time.Second), inWords(problem))
		if err := g.SetRun(run, models.Queued, reason, now); err != nil {
			return err
		}
	}
	return nil
}

// apply writes updates to the runs, as far as they are not finished, and what
// they made outside.
func (e *Engine) apply(ctx context.Context, tx *store.Tx, g *models.Graph, outcome Outcome, now time.Time) error {
	for _, made := range outcome.Products {
		if err := tx.EnsureProject(ctx, made.Project); err != nil {
			return err
		}
		made.ProjectID = made.Project.ID
		if err := e.saveProduct(ctx, tx, made.Product, made.From...); err != nil {
			return err
		}
	}
	for _, u := range outcome.Runs {
		run := g.Run(u.Run.ID)
		if run == nil || run.State.Finished() {
			continue
		}
		u.fill(g, run)
		if u.State == "" {
			continue
		}
		if err := g.SetRun(run, u.State, u.Reason, now); err != nil {
			return err
		}
		if run.State.Finished() && e.Watch.Settled != nil {
			e.Watch.Settled(run.Kind, run.State, took(run))
		}
	}
	return nil
}

// fill copies what is set and different, so that an answer that says nothing new
// changes nothing.
func (u *Update) fill(g *models.Graph, run *models.Run) {
	text := func(field *string, value string) {
		if value != "" && *field != value {
			*field = value
			g.TouchRun(run)
		}
	}
	moment := func(field *time.Time, value time.Time) {
		if value = value.UTC().Truncate(time.Microsecond); !value.IsZero() && !field.Equal(value) {
			*field = value
			g.TouchRun(run)
		}
	}
	text(&run.ExternalID, u.ExternalID)
	text(&run.ExternalURL, u.ExternalURL)
	text(&run.LogURL, u.LogURL)
	moment(&run.StartedAt, u.StartedAt)
	moment(&run.FinishedAt, u.FinishedAt)
	if u.Data != nil && !u.Data.Equal(&run.Data) {
		run.Data = *u.Data
		g.TouchRun(run)
	}
}

func took(run *models.Run) time.Duration {
	if run.StartedAt.IsZero() {
		return 0
	}
	return run.FinishedAt.Sub(run.StartedAt)
}

// backoff doubles first for every try after the first, up to most.
func backoff(first, most time.Duration, tries int) time.Duration {
	wait := first
	for range tries - 1 {
		if wait *= 2; wait >= most {
			return most
		}
	}
	return min(wait, most)
}

// inWords is an error for people: without Go's chain where the service said
// something itself.
func inWords(err error) string {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Reason
	}
	if e, ok := errors.AsType[*httpx.Error](err); ok {
		switch {
		case e.Message != "":
			return fmt.Sprintf("%s said: %s", e.Service, e.Message)
		case e.Status != 0:
			return fmt.Sprintf("%s answered with status %d.", e.Service, e.Status)
		}
		return fmt.Sprintf("%s could not be reached.", e.Service)
	}
	return err.Error()
}
