package jobs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
)

// handleDelivery makes an event of a stored delivery, decides what it means, and
// does that. It may run again at any point: what is stored is looked at first.
func (r *Runner) handleDelivery(ctx context.Context, id int64) error {
	// Of two jobs for one delivery one does it: what the other would find is half
	// done. If the one dies the sweep makes another.
	_, err := r.ifAlone(ctx, fmt.Sprint("delivery:", id), rand.Text(), func(ctx context.Context) error {
		d, err := r.Store.Delivery(ctx, id)
		if err != nil || !d.HandledAt.IsZero() {
			return err
		}
		err = r.understand(ctx, d)
		if err == nil || ctx.Err() != nil {
			return err // what a shutdown cut off is taken up again
		}
		return r.deliveryTrouble(ctx, d, err)
	})
	return err
}

// deliveryTries is how often a delivery is tried before its event is marked as
// failed: over half a day with the waits in between.
const deliveryTries = 14

func (r *Runner) deliveryTrouble(ctx context.Context, d *models.Delivery, problem error) error {
	refusal, final := errors.AsType[*Refusal](problem)
	if bad, ok := errors.AsType[*models.InputError](problem); ok {
		refusal, final = &Refusal{Reason: "The message cannot be understood: " + bad.Error() + "."}, true
	}
	if !final && (!temporary(problem) || d.Tries+1 >= deliveryTries) {
		refusal, final = &Refusal{Reason: inWords(problem)}, true
	}
	if !final {
		r.Log.WarnContext(ctx, "delivery not handled yet", "delivery", d.ID, "tries", d.Tries+1, "error", problem)
		again := store.Now().Add(backoff(r.Timing.Retry, r.Timing.RetryMax, d.Tries+1))
		if at := httpx.RetryAfter(problem); at.After(again) {
			again = at
		}
		return r.Store.InTx(ctx, func(tx *store.Tx) error {
			return tx.DeliveryFailed(ctx, d.ID, inWords(problem), again)
		})
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		e, err := tx.CreateEvent(ctx, &models.Event{DeliveryID: d.ID, State: models.EventNew})
		if err != nil {
			return err
		}
		return r.decided(ctx, tx, e, models.EventFailed, refusal.Reason)
	})
}

// understand reads a delivery and handles the event in it.
func (r *Runner) understand(ctx context.Context, d *models.Delivery) error {
	m, reason, err := r.Parser.Parse(d.Source, d.Type, d.Body)
	if err != nil {
		return err
	}
	if m == nil {
		return r.ignore(ctx, d, sentence(reason))
	}
	switch m.Kind { // those that are mostly about what is none of our business
	case models.KojiTagEvent:
		return r.handleKojiTag(ctx, d, m)
	case models.BodhiUpdateEvent:
		return r.handleUpdate(ctx, d, m)
	}
	e, err := r.event(ctx, d, m)
	if err != nil || e.State != models.EventNew {
		return err
	}
	switch m.Kind {
	case models.PullRequestEvent:
		return r.handlePullRequest(ctx, e, m)
	case models.PushEvent:
		return r.handlePush(ctx, e, m)
	case models.ReleaseEvent:
		return r.handleRelease(ctx, e, m)
	case models.TagPushEvent:
		return r.conclude(ctx, e, models.EventNothing, "A tag alone starts nothing; a release of it does.")
	case models.InstallationEvent:
		return r.handleInstallation(ctx, e, m)
	case models.UpstreamVersionEvent:
		return r.handleUpstreamVersion(ctx, e, m)
	case models.KojiBuildEvent:
		return r.handleKojiBuild(ctx, e, m)
	case models.CoprBuildEvent, models.TestResultEvent, models.KojiTaskEvent:
		return r.handleAnswer(ctx, e, m)
	case models.CheckRerunEvent:
		return r.handleCheckRerun(ctx, e, m)
	case models.CommentEvent:
		return r.handleComment(ctx, e, m)
	}
	return r.conclude(ctx, e, models.EventNothing, "Nothing handles events of this kind yet.")
}

// echoes are the types of messages by which a forge tells us what we ourselves
// just told it. Nobody wonders why nothing came of them.
var echoes = map[string]bool{"check_run": true, "check_suite": true, "status": true, "workflow_run": true, "workflow_job": true}

// ignore writes down why nothing came of a message: with an event that people
// find, unless it is an echo.
func (r *Runner) ignore(ctx context.Context, d *models.Delivery, reason string) error {
	if echoes[d.Type] {
		return r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.DeliveryHandled(ctx, d.ID, reason) })
	}
	e, err := r.event(ctx, d, outline(d))
	if err != nil || e.State != models.EventNew {
		return err
	}
	return r.conclude(ctx, e, models.EventNothing, reason)
}

// unheard writes down why nothing came of a message that nobody misses an event of.
func (r *Runner) unheard(ctx context.Context, d *models.Delivery, reason string) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.DeliveryHandled(ctx, d.ID, reason) })
}

// outline reads of a webhook that no parser makes a message of where it is from
// and whose doing it was, as far as it says so in the usual places.
func outline(d *models.Delivery) *models.Message {
	var body struct {
		Number     int
		Repository struct {
			URL string `json:"html_url"`
		}
		Sender struct{ Login string }
	}
	m := &models.Message{Kind: models.EventKind(d.Type)}
	if d.Source != models.FromGitHub || json.Unmarshal(d.Body, &body) != nil {
		return m
	}
	m.ProjectURL, m.Actor, m.PR = body.Repository.URL, body.Sender.Login, body.Number
	return m
}

// event stores what a message says, with the project it speaks of.
func (r *Runner) event(ctx context.Context, d *models.Delivery, m *models.Message) (*models.Event, error) {
	e := &models.Event{
		DeliveryID: d.ID, Kind: m.Kind, Action: m.Action, Actor: m.Actor, State: models.EventNew,
		ExternalID: m.ExternalID, Message: m,
	}
	if m.CommentID != 0 { // what is edited is the same comment
		e.ExternalID = fmt.Sprintf("%s/%d", m.CommentOn, m.CommentID)
	}
	var project *models.Project
	if m.ProjectURL != "" {
		p, err := r.projectAt(m.ProjectURL)
		if err != nil {
			return nil, &Refusal{Reason: sentence(err.Error())}
		}
		project = p
	}
	err := r.Store.InTx(ctx, func(tx *store.Tx) (err error) {
		if project != nil {
			if err := tx.EnsureProject(ctx, project); err != nil {
				return err
			}
			e.ProjectID = project.ID
		}
		e, err = tx.CreateEvent(ctx, e)
		return err
	})
	if e != nil && e.Project == nil {
		e.Project = project
	}
	return e, err
}

// conclude writes the decision about an event that makes no pipeline, and what
// it tells of all the same.
func (r *Runner) conclude(ctx context.Context, e *models.Event, state models.EventState, reason string, news ...Made) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if _, err := r.announce(ctx, tx, e, news); err != nil {
			return err
		}
		return r.decided(ctx, tx, e, state, reason)
	})
}

func (r *Runner) decided(ctx context.Context, tx *store.Tx, e *models.Event, state models.EventState, reason string) error {
	e.State, e.Reason, e.DecidedAt = state, reason, store.Now()
	if err := tx.SaveEvent(ctx, e); err != nil {
		return err
	}
	return tx.DeliveryHandled(ctx, e.DeliveryID, "")
}

// handleAnswer has the service of the run that a message is about asked at once.
// Messages are hints: they may be late, doubled, or from another time.
func (r *Runner) handleAnswer(ctx context.Context, e *models.Event, m *models.Message) error {
	var found []*models.RunGroup
	for kind, answer := range answers {
		if answer != m.Kind {
			continue
		}
		group, err := r.Store.GroupByExternalID(ctx, kind, m.ExternalID)
		if errors.Is(err, models.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		found = append(found, group)
	}
	if len(found) == 0 {
		// It may be that of a submission whose id we are just about to learn:
		// settle looks for this event then.
		return r.conclude(ctx, e, models.EventNothing,
			fmt.Sprintf("No run here is known as %s at that service; if one becomes known by this id, it is asked about at once.", m.ExternalID))
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		for _, group := range found {
			e.ProjectID = group.ProjectID
			if group.Phase != models.PhaseSubmitted {
				continue
			}
			if err := tx.PollNow(ctx, group.ID); err != nil {
				return err
			}
			if err := r.Queue.Add(ctx, tx, pollArgs{group.ID}); err != nil {
				return err
			}
		}
		return r.decided(ctx, tx, e, models.EventApplied, fmt.Sprintf("It is about pipeline %d.", found[0].PipelineID))
	})
}

// sentence makes a reason look like one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = string(upper(text[0])) + text[1:]
	if last := text[len(text)-1]; last != '.' && last != '?' && last != '!' {
		text += "."
	}
	return text
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// stale says why a message about a pull request no longer counts, or nothing.
func stale(pull PullRequest, m *models.Message) string {
	switch {
	case !pull.Open:
		return "The pull request is closed."
	case m.Commit != "" && pull.HeadSHA != m.Commit:
		return fmt.Sprintf("The pull request has moved on to %.7s; this is about %.7s.", pull.HeadSHA, m.Commit)
	}
	return ""
}

// commitOf is the commit that an event about a pull request is about.
func commitOf(e *models.Event, m *models.Message, pull PullRequest) *models.Commit {
	return &models.Commit{
		ProjectID: e.ProjectID, Kind: models.PullRequestRef, Ref: strconv.Itoa(m.PR), SHA: pull.HeadSHA,
		Title: pull.Title, TargetRef: pull.Target, SourceURL: pull.SourceURL, Author: pull.Author, CreatedAt: time.Time{},
	}
}
