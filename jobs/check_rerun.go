package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace/models"
	"millrace/models/store"
)

// What the buttons on our checks ask for.
const (
	rerunFailedAction = "rerun-failed"
	rerunAllAction    = "rerun-all"
)

// click is somebody's wish on a check: an event, and the events whose checks it
// is about.
type click struct {
	*models.Event
	about   []int64
	refused bool // whoever clicked may not write to the project
}

// handleCheckRerun makes the next attempt of what somebody clicked on. Clicks
// come one by one, so it waits for a moment, and takes all that came for the same
// commit together: whoever is first decides for all.
func (r *Runner) handleCheckRerun(ctx context.Context, e *models.Event, m *models.Message) error {
	reason, err := r.notAllowed(ctx, e)
	if err != nil {
		return err
	}
	if reason != "" {
		e.Held = false // what the check is about goes on, and this with it
		return r.conclude(ctx, e, models.EventRefused, reason)
	}
	if m.RequestedID != "" && m.RequestedID != rerunFailedAction && m.RequestedID != rerunAllAction {
		return r.conclude(ctx, e, models.EventNothing, "Our checks have no such button.")
	}
	if until := e.CreatedAt.Add(r.Timing.Collect); store.Now().Before(until) {
		return r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.PutOff(ctx, e.DeliveryID, until) })
	}
	return r.untilAgreed(func() error {
		clicks, err := r.clicks(ctx, e, m)
		if err != nil {
			return err
		}
		return r.followClicks(ctx, clicks)
	})
}

// untilAgreed does something again that somebody else was faster with.
func (r *Runner) untilAgreed(do func() error) error {
	var err error
	for range 5 {
		err = do()
		if _, faster := errors.AsType[*models.ConflictError](err); !faster {
			return err
		}
	}
	return err
}

// clicks are those about the same commit that nobody has decided about. The forge
// shows its buttons only to those who may write, but who they are counts now.
func (r *Runner) clicks(ctx context.Context, e *models.Event, m *models.Message) ([]click, error) {
	events, err := r.Store.Undecided(ctx, e.ProjectID, models.CheckRerunEvent)
	if err != nil {
		return nil, err
	}
	forge, err := r.Forge(e.Project)
	if err != nil {
		return nil, err
	}
	var clicks []click
	may := map[string]bool{}
	for _, other := range events {
		if other.Message == nil || other.Message.Commit != m.Commit {
			continue
		}
		if _, asked := may[other.Actor]; !asked {
			if may[other.Actor], err = forge.CanMerge(ctx, e.Project, other.Actor); err != nil {
				return nil, fmt.Errorf("asking what %s may do in %s: %w", other.Actor, e.Project.Path(), err)
			}
		}
		about, err := r.clickedEvents(ctx, other)
		if err != nil {
			return nil, err
		}
		clicks = append(clicks, click{other, about, !may[other.Actor]})
	}
	return clicks, nil
}

// clickedEvents are the events whose checks a click is about. Only what this
// service itself knows about the project counts.
func (r *Runner) clickedEvents(ctx context.Context, e *models.Event) ([]int64, error) {
	m := e.Message
	if m.Suite {
		return r.Store.ReportedEvents(ctx, e.ProjectID, m.Commit)
	}
	id, err := strconv.ParseInt(m.ExternalID, 10, 64)
	if err != nil {
		return nil, nil // another's check, or one of another deployment
	}
	about, err := r.Store.Event(ctx, id)
	if errors.Is(err, models.ErrNotFound) || (err == nil && (about.ProjectID != e.ProjectID || about.Commit == nil || about.Commit.SHA != m.Commit)) {
		return nil, nil
	}
	return []int64{id}, err
}

// followClicks makes one attempt of each plan that any of the clicks is about.
func (r *Runner) followClicks(ctx context.Context, clicks []click) error {
	var plans []readied
	var requests []models.RerunRequest
	var events []int64
	for _, c := range clicks {
		events = append(events, c.about...)
	}
	slices.Sort(events)
	for _, id := range slices.Compact(events) {
		newest, err := r.Store.NewestAttempts(ctx, id)
		if err != nil {
			return err
		}
		for _, p := range newest {
			ready, err := r.prepareRerun(ctx, p, false)
			if err != nil {
				return err
			}
			if request := clicked(ready.newest, clicks); request.Scope != "" {
				plans, requests = append(plans, ready), append(requests, request)
			}
		}
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.lockPlans(ctx, tx, plans...); err != nil {
			return err
		}
		return r.decideClicks(ctx, tx, clicks, plans, requests)
	})
}

// clicked is what clicks together ask of a plan; without a scope nothing.
func clicked(p *models.Pipeline, clicks []click) models.RerunRequest {
	request := models.RerunRequest{}
	for _, c := range clicks {
		m := c.Message
		switch {
		case c.refused || !slices.Contains(c.about, p.EventID):
		case m.Suite || m.RequestedID == rerunAllAction:
			return models.RerunRequest{Scope: models.ScopeAll}
		case m.RequestedID == rerunFailedAction:
			request.Scope = models.ScopeChosen
			request.Picks = append(request.Picks, p.Failed()...)
		default:
			for _, step := range p.Steps {
				for _, t := range step.Targets {
					if t.Check == m.CheckName {
						request.Scope = models.ScopeChosen
						request.Picks = append(request.Picks, models.Pick{Step: step.Name, Target: t.Name})
					}
				}
			}
		}
	}
	return request
}

// decideClicks makes the attempts and writes down what became of each click.
// Those that somebody else has decided about meanwhile are left alone.
func (r *Runner) decideClicks(ctx context.Context, tx *store.Tx, clicks []click, plans []readied, requests []models.RerunRequest) error {
	open, err := tx.LockUndecided(ctx, clicks[0].ProjectID, models.CheckRerunEvent)
	if err != nil {
		return err
	}
	clicks = slices.DeleteFunc(clicks, func(c click) bool {
		return !slices.ContainsFunc(open, func(e *models.Event) bool { return e.ID == c.ID })
	})
	if len(clicks) == 0 {
		return nil
	}
	var said []string
	state := models.EventNothing
	first := clicks[0] // of those that count
	if i := slices.IndexFunc(clicks, func(c click) bool { return !c.refused }); i >= 0 {
		first = clicks[i]
	}
	for i, ready := range plans {
		id, err := r.rerun(ctx, tx, ready, RerunRequest{
			RerunRequest: requests[i], Requester: Requester{Actor: first.Actor, Via: models.ViaCheck},
			Key: fmt.Sprintf("event %d, plan %d %s", first.ID, ready.newest.EventID, ready.newest.Package),
		})
		if reason, no := refusedRerun(err); no {
			said = append(said, reason)
			continue
		}
		if err != nil {
			return err
		}
		state = models.EventApplied
		said = append(said, fmt.Sprintf("Attempt %d is pipeline %d.", ready.newest.Attempt+1, id))
	}
	if len(plans) == 0 {
		said = []string{"No pipeline here has this check. A new push, or a command in a comment, starts one."}
	}
	for _, c := range clicks {
		if len(plans) > 0 {
			c.CommitID = plans[0].newest.CommitID
		}
		if c.refused {
			if err := r.refuseClick(ctx, tx, c); err != nil {
				return err
			}
			continue
		}
		if err := r.decided(ctx, tx, c.Event, state, strings.Join(said, " ")); err != nil {
			return err
		}
	}
	return nil
}

// refuseClick writes down that somebody clicked who may not.
func (r *Runner) refuseClick(ctx context.Context, tx *store.Tx, c click) error {
	err := tx.Audit(ctx, &models.AuditEntry{
		Actor: c.Actor, Via: models.ViaCheck, Action: "pipeline.rerun", Result: models.AuditRefused,
		Object: fmt.Sprintf("checks of %.12s", c.Message.Commit), Detail: map[string]string{"check": c.Message.CheckName, "button": c.Message.RequestedID},
	})
	if err != nil {
		return err
	}
	return r.decided(ctx, tx, c.Event, models.EventRefused, "Only those who may write to the project can run its checks again.")
}

// refusedRerun is the reason why a request makes no attempt, if err is one for
// people.
func refusedRerun(err error) (string, bool) {
	if nothing, ok := errors.AsType[*models.NothingError](err); ok {
		return nothing.Reason, true
	}
	if limit, ok := errors.AsType[*models.LimitError](err); ok {
		return limit.Reason, true
	}
	return "", false
}
