package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
)

// poll asks the service of a submitted group how it is doing, and writes the
// answer. Several may ask at once: answers are applied under the pipeline's
// lock, and what is finished stays as it is.
func (e *Engine) poll(ctx context.Context, groupID int64) error {
	group, err := e.Store.Group(ctx, groupID)
	if err != nil {
		return err
	}
	if group.Phase == models.PhaseCanceling {
		return e.cancelOutside(ctx, group)
	}
	carrier := e.Kinds[group.Kind]
	if group.Phase != models.PhaseSubmitted || carrier == nil {
		return nil
	}
	w, err := e.load(ctx, group)
	if err != nil || len(w.Runs) == 0 { // settled since we looked
		return err
	}
	outcome, problem := carrier.Poll(ctx, w)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err = e.changeKnown(context.WithoutCancel(ctx), w.Pipeline, false, func(tx *store.Tx, g *models.Graph) error {
		if err := e.polled(ctx, tx, g, w, outcome, problem); err != nil {
			return err
		}
		return e.followLogs(ctx, tx, g, w)
	})
	return err
}

// followLogs has the logs of runs fetched that grow at a service. Those of
// finished runs are fetched anyway.
func (e *Engine) followLogs(ctx context.Context, tx *store.Tx, g *models.Graph, w *Work) error {
	for _, polled := range w.Runs {
		run := g.Run(polled.ID)
		if run == nil || run.State != models.Running || run.LogURL == "" {
			continue
		}
		if err := e.Queue.Add(ctx, tx, fetchLogArgs{run.ID}); err != nil {
			return err
		}
	}
	return nil
}

// polled writes an answer, and when to ask again. A service that cannot be
// asked does not end the group before its time is up.
func (e *Engine) polled(ctx context.Context, tx *store.Tx, g *models.Graph, w *Work, outcome Outcome, problem error) error {
	group := g.Groups[w.Group.ID]
	now := store.Now()
	if group == nil || group.Epoch != w.Group.Epoch || group.Phase != models.PhaseSubmitted {
		return nil // canceled meanwhile
	}
	group.Polls++
	group.PollAt = now.Add(pollWait(e.Timing, group.Polls))
	group.Error = ""
	g.TouchGroup(group, now)
	if outcome.ExternalID != "" {
		group.ExternalID = outcome.ExternalID
	}
	if refusal, final := errors.AsType[*Refusal](problem); final {
		for _, run := range group.Members {
			if err := g.SetRun(run, refusal.State, refusal.Reason, now); err != nil {
				return err
			}
		}
		return nil
	}
	if problem != nil {
		group.Error = inWords(problem)
		if at := httpx.RetryAfter(problem); at.After(group.PollAt) {
			group.PollAt = at
		}
		e.Log.WarnContext(ctx, "poll failed", "kind", group.Kind, "group", group.ID, "error", problem)
	}
	if problem == nil {
		if err := e.apply(ctx, tx, g, outcome, now); err != nil {
			return err
		}
	}
	if age := now.Sub(group.CreatedAt); age > e.Timing.GiveUp {
		for _, run := range group.Members {
			reason := fmt.Sprintf("Given up: no end was heard of in %s.", e.Timing.GiveUp)
			if err := g.SetRun(run, models.Error, reason, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// pollWait grows by half with every poll.
func pollWait(t Timing, polls int) time.Duration {
	wait := t.Poll
	for range polls {
		if wait += wait / 2; wait >= t.PollMax {
			return t.PollMax
		}
	}
	return wait
}

// cancelOutside tells the service of a canceled group to stop, and settles the
// group. What the service will not stop goes on there, and its result is
// ignored.
func (e *Engine) cancelOutside(ctx context.Context, group *models.RunGroup) error {
	var problem error
	if carrier := e.Kinds[group.Kind]; carrier != nil {
		w, err := e.load(ctx, group)
		if err != nil {
			return err
		}
		problem = carrier.Cancel(ctx, w)
	}
	return e.change(context.WithoutCancel(ctx), group.PipelineID, func(_ *store.Tx, g *models.Graph) error {
		group, now := g.Groups[group.ID], store.Now()
		if group == nil || group.Phase != models.PhaseCanceling {
			return nil
		}
		group.Polls++
		if problem != nil && temporary(problem) && group.Polls < e.Timing.Tries {
			group.Error = inWords(problem)
			group.PollAt = now.Add(backoff(e.Timing.Retry, e.Timing.RetryMax, group.Polls))
		} else {
			group.Phase, group.PollAt = models.PhaseSettled, time.Time{}
		}
		g.TouchGroup(group, now)
		return nil
	})
}
