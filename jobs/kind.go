package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace/models"
)

// Kind carries out the steps of one kind. Its methods talk to the outside; they
// change no rows, nor anything in w: what they return is written by the engine.
//
// An error means "try again later"; a *Refusal is an answer, and final.
type Kind interface {
	// Submit does the work of a group, or hands it to a service. It may be called
	// again for a group whose first submission was cut off: then it must find what
	// it submitted by the group's key rather than submit again.
	Submit(ctx context.Context, w *Work) (Outcome, error)
	// Poll asks how a submitted group is doing.
	Poll(ctx context.Context, w *Work) (Outcome, error)
	// Cancel asks the service to stop, if it can. It may be called although the
	// group was never submitted.
	Cancel(ctx context.Context, w *Work) error
}

// local is a kind whose work begins when a worker claims it; the others' runs
// begin when their service says so.
type local interface{ startsAtOnce() }

// Work is a group with all that carrying it out needs to know, as it was read
// outside any transaction.
type Work struct {
	Group    *models.RunGroup
	Pipeline *models.Pipeline // with event, project, commit and steps
	Step     *models.Step
	View     *models.JobView
	Runs     []*models.Run // of the group, not finished when it was read

	log func(run *models.Run, text []byte) error
}

// Needed returns the targets that target needs, in the steps that its step
// needs.
func (w *Work) Needed(target *models.Target) []*models.Target {
	var needed []*models.Target
	for _, need := range w.Step.Needs {
		step := w.Pipeline.Step(need.NeedsID)
		if step == nil {
			continue
		}
		if !need.PerTarget {
			needed = append(needed, step.Targets...)
		} else if t := step.Target(target.FollowedTarget()); t != nil {
			needed = append(needed, t)
		}
	}
	return needed
}

// Target returns the target whose run that is.
func (w *Work) Target(run *models.Run) *models.Target {
	for _, t := range w.Step.Targets {
		if t.RunID == run.ID {
			return t
		}
	}
	return nil
}

// Followers returns the steps that need this one.
func (w *Work) Followers() []*models.Step {
	var followers []*models.Step
	for _, step := range w.Pipeline.Steps {
		for _, need := range step.Needs {
			if need.NeedsID == w.Step.ID {
				followers = append(followers, step)
			}
		}
	}
	return followers
}

// Log adds text to the log of a run, for people who watch.
func (w *Work) Log(run *models.Run, text []byte) error { return w.log(run, text) }

// Outcome is what became of a group.
type Outcome struct {
	ExternalID string   // of the submission, if it is known now
	Waiting    bool     // a service is at it: poll
	Runs       []Update // what changed
	Products   []Made   // what there is outside now
}

// Made is something outside that a run made, or that is different now, and what
// it followed from.
type Made struct {
	*models.Product
	Project *models.Project // that it belongs to; stored if nobody has heard of it
	From    []models.ProductRef
}

// Update is what became of a run. Fields that are empty leave what is there.
type Update struct {
	Run         *models.Run
	State       models.State // empty: as it is
	Reason      string       // one sentence for people
	ExternalID  string
	ExternalURL string
	LogURL      string
	StartedAt   time.Time
	FinishedAt  time.Time
	Data        *models.RunData
}

// Refusal is an answer that ends a group: the user's own failure, or a service
// or setting that will not do it however often it is asked.
type Refusal struct {
	State  models.State // Failed if the user must mend it, Error otherwise
	Reason string       // for people
	Err    error        // for the log; may be nil
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return r.Reason + ": " + r.Err.Error()
	}
	return r.Reason
}

func (r *Refusal) Unwrap() error { return r.Err }

// fail is a refusal that the user must mend.
func fail(format string, args ...any) error {
	return &Refusal{State: models.Failed, Reason: fmt.Sprintf(format, args...)}
}

// broken is a refusal that is not the user's fault.
func broken(err error, format string, args ...any) error {
	return &Refusal{State: models.Error, Reason: fmt.Sprintf(format, args...), Err: err}
}

// everyRun is the outcome in which all runs of the group have the same fate.
func everyRun(w *Work, state models.State, reason string) Outcome {
	var o Outcome
	for _, run := range w.Runs {
		o.Runs = append(o.Runs, Update{Run: run, State: state, Reason: reason})
	}
	return o
}

// temporary reports whether trying again may help.
func temporary(err error) bool {
	if t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err); ok {
		return t.Temporary()
	}
	return true
}
