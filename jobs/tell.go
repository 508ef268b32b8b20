package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"millrace/clients/httpx"
	"millrace/clients/mail"
	"millrace/clients/webhook"
	"millrace/models"
	"millrace/models/store"
)

// Teller tells people and programs what happened.
type Teller struct {
	Hooks *webhook.Client // nil: no hooks are sent
	Mail  *mail.Client    // nil: nobody gets mail
	// Body is what hooks are sent about something.
	Body func(ctx context.Context, h *models.Happening) ([]byte, error)

	MailsAnHour int // to one person; what is more goes together. 0: a default

	Retry    time.Duration // before the second try; each further one waits twice as long; 0: a default
	RetryMax time.Duration // between two tries at most; 0: a default
	Patience time.Duration // after which a hook at which nothing arrives is switched off; 0: a default

	Sent func(channel models.Channel, state models.DispatchState, took time.Duration) // for metrics; may be nil
}

const (
	usualMails    = 20
	tellRetry     = 10 * time.Second
	tellRetryMax  = time.Hour
	tellPatience  = 3 * 24 * time.Hour
	slowReceiver  = 2 * time.Second // after which others get the worker
	longestDigest = 100             // dispatches that go in one mail
	mailWindow    = time.Hour
)

// tellOf stores what happened to a pipeline for those who want to hear of it. If
// nobody does, that costs one read, and only when something ended or began.
func (e *Engine) tellOf(ctx context.Context, tx *store.Tx, g *models.Graph) error {
	if e.Teller == nil {
		return nil
	}
	all := g.Happenings(e.Base)
	if len(all) == 0 {
		return nil
	}
	subscribers, err := e.subscribers(ctx, tx, g.ProjectID, g.RequesterID)
	if err != nil || len(subscribers) == 0 {
		return err
	}
	for _, h := range all {
		if h.Topic != models.PipelineFinished || g.State != models.Passed {
			continue
		}
		if h.Data.Again, err = tx.FailedBefore(ctx, g.Pipeline); err != nil {
			return err
		}
	}
	return e.tellAll(ctx, tx, all, subscribers)
}

// saveProduct stores a product, and what happened to it for those who want to
// hear of it.
func (e *Engine) saveProduct(ctx context.Context, tx *store.Tx, p *models.Product, from ...models.ProductRef) error {
	if e.Teller == nil {
		return tx.SaveProduct(ctx, p, from...)
	}
	before, err := tx.ProductStateBefore(ctx, p.Ref())
	if err != nil {
		return err
	}
	if err := tx.SaveProduct(ctx, p, from...); err != nil {
		return err
	}
	h := models.HappeningOf(p, before, e.Base)
	if h == nil {
		return nil
	}
	subscribers, err := e.subscribers(ctx, tx, p.ProjectID, 0)
	if err != nil {
		return err
	}
	return e.tellAll(ctx, tx, []*models.Happening{h}, subscribers)
}

// subscribers are those who may be told, by the channels that there are.
func (e *Engine) subscribers(ctx context.Context, tx *store.Tx, projectID, requesterID int64) ([]*models.Subscription, error) {
	all, err := tx.Subscribers(ctx, projectID, requesterID)
	return slices.DeleteFunc(all, func(s *models.Subscription) bool {
		return s.Channel == models.MailChannel && e.Teller.Mail == nil || s.Channel == models.HookChannel && e.Teller.Hooks == nil
	}), err
}

// tellAll stores what of all somebody wants to hear of, with the dispatches and
// their jobs.
func (e *Engine) tellAll(ctx context.Context, tx *store.Tx, all []*models.Happening, subscribers []*models.Subscription) error {
	all = slices.DeleteFunc(all, func(h *models.Happening) bool {
		return !slices.ContainsFunc(subscribers, func(s *models.Subscription) bool { return s.Wants(h) })
	})
	fresh, err := tx.SaveHappenings(ctx, all)
	if err != nil || len(fresh) == 0 {
		return err
	}
	return e.dispatch(ctx, tx, models.DispatchesOf(fresh, subscribers, store.Now()))
}

// dispatch stores dispatches, with a job for each receiver.
func (e *Engine) dispatch(ctx context.Context, tx *store.Tx, all []*models.Dispatch) error {
	if err := tx.CreateDispatches(ctx, all); err != nil {
		return err
	}
	return e.Queue.AddAll(ctx, tx, tellJobs(all))
}

// tellJobs are the jobs that dispatches call for: one for each receiver.
func tellJobs(all []*models.Dispatch) []river.JobArgs {
	var wanted []river.JobArgs
	for _, d := range all {
		if d.ID == 0 || !d.NotBefore.IsZero() {
			continue
		}
		var job river.JobArgs = hookArgs{d.SubscriptionID}
		if d.Channel == models.MailChannel {
			job = mailArgs{d.UserID}
		}
		if !slices.Contains(wanted, job) {
			wanted = append(wanted, job)
		}
	}
	return wanted
}

// tellDue makes jobs for what is to be sent and has none.
func (r *Runner) tellDue(ctx context.Context, tx *store.Tx) error {
	due, err := tx.DueDispatches(ctx, store.Now().Add(-2*r.Timing.Lease))
	if err != nil {
		return err
	}
	return r.Queue.AddAll(ctx, tx, tellJobs(due))
}

// inTurn calls next for a receiver until it reports that nothing is due, while
// nobody else does so in any process: one receiver never takes more than one
// worker, and what it gets is in order. What comes while somebody else is at it
// is found by them: they look again when they have given it back.
func (r *Runner) inTurn(ctx context.Context, key string, due func() (bool, error), next func() error) error {
	holder := r.Worker + "/" + rand.Text()
	for {
		if some, err := due(); err != nil || !some {
			return err
		}
		if ok, err := r.lease(ctx, key, holder); err != nil || !ok {
			return err
		}
		err := next()
		r.release(ctx, key, holder)
		if err != nil {
			return err
		}
	}
}

// tellHook sends what is due to a hook. One that takes long gets one message, and
// then others have the worker.
func (r *Runner) tellHook(ctx context.Context, id int64) error {
	var d *models.Dispatch
	slow := false
	due := func() (some bool, err error) {
		if slow || r.Teller == nil || r.Teller.Hooks == nil {
			return false, nil
		}
		d, err = r.Store.NextDispatch(ctx, id)
		return d != nil, err
	}
	err := r.inTurn(ctx, fmt.Sprintf("hook/%d", id), due, func() (err error) {
		if d, err = r.Store.NextDispatch(ctx, id); err != nil || d == nil { // as it is now that it is ours
			return err
		}
		began := time.Now()
		err = r.sendHook(ctx, d)
		slow = time.Since(began) > slowReceiver
		return err
	})
	if err != nil || !slow {
		return err
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error { return r.Queue.Add(ctx, tx, hookArgs{id}) })
}

// sendHook tries to hand over a dispatch once, and notes how that went.
func (r *Runner) sendHook(ctx context.Context, d *models.Dispatch) error {
	if err := r.withBody(ctx, d.Happening); err != nil {
		if store.Now().Before(d.Until) || ctx.Err() != nil {
			return err // and again, when the sweep finds it
		}
		d.State, d.Error, d.FinishedAt = models.DispatchFailed, "What is to be sent could not be made.", store.Now()
		r.Log.ErrorContext(ctx, "dispatch given up", "dispatch", d.ID, "error", err)
		return r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.SaveTry(ctx, d, nil) })
	}
	hook := d.Subscription
	m := webhook.Message{
		ID: d.Key, Event: string(d.Happening.Topic), URL: hook.URL, Secrets: hook.Secrets(), At: store.Now(), Body: d.Happening.Body,
	}
	limited, cancel := context.WithTimeout(ctx, r.Timing.Lease*9/10)
	defer cancel()
	began := time.Now()
	answer, problem := r.Teller.Hooks.Send(limited, m)
	took := time.Since(began)
	if ctx.Err() != nil {
		return ctx.Err() // the row still waits, and is found by the sweep
	}
	try := &models.DispatchTry{At: m.At, AskedBy: d.AskedBy, Milliseconds: took.Milliseconds(), Request: headerLines(r.Teller.Hooks.Headers(m))}
	if answer != nil {
		try.Status, try.Answer = answer.Status, answer.Body
	}
	if problem != nil {
		try.Error = whyNot(problem)
	}
	err := r.Store.InTx(context.WithoutCancel(ctx), func(tx *store.Tx) error { return r.noteTry(ctx, tx, d, try, problem) })
	if err == nil && r.Teller.Sent != nil {
		r.Teller.Sent(models.HookChannel, d.State, took)
	}
	return err
}

// withBody fills in what hooks are sent about something. It is made once, so that
// all tries have the same.
func (r *Runner) withBody(ctx context.Context, h *models.Happening) error {
	if len(h.Body) > 0 {
		return nil
	}
	body, err := r.Teller.Body(ctx, h)
	if err != nil {
		return err
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		h.Body, err = tx.KeepBody(ctx, h, body)
		return err
	})
}

func headerLines(h http.Header) string {
	var lines []string
	for name, values := range h {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// whyNot says for people why a message did not arrive.
func whyNot(err error) string {
	if refusal, ok := errors.AsType[*webhook.Refusal](err); ok {
		return "It was not sent: " + refusal.Reason + "."
	}
	e, ok := errors.AsType[*httpx.Error](err)
	switch {
	case ok && e.Message != "":
		return fmt.Sprintf("The answer was status %d: %s.", e.Status, e.Message)
	case ok && e.Status != 0:
		return fmt.Sprintf("The answer was status %d.", e.Status)
	case ok && errors.Is(e.Err, io.EOF):
		return "The receiver ended the connection without an answer."
	case ok && e.Err != nil:
		return "Nobody answered: " + httpx.Clean(e.Err.Error(), 300) + "."
	}
	return httpx.Clean(err.Error(), 300)
}

// mayTakeLater reports whether a receiver may take later what it did not take
// now: nobody answered, or it was in trouble.
func mayTakeLater(err error) bool {
	switch status := httpx.Status(err); {
	case status == 0:
		return httpx.Temporary(err)
	default:
		return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
	}
}

// noteTry writes how a try went, and what follows: another later, the end, or
// that the hook is switched off.
func (r *Runner) noteTry(ctx context.Context, tx *store.Tx, d *models.Dispatch, try *models.DispatchTry, problem error) error {
	now := store.Now()
	hook, err := tx.Subscription(ctx, d.SubscriptionID)
	if errors.Is(err, models.ErrNotFound) {
		return nil // it was deleted meanwhile, and all of this with it
	}
	if err != nil {
		return err
	}
	d.Tries++
	d.Error, d.AskedBy, d.HintedAt, d.NotBefore = try.Error, "", now, time.Time{}
	wait := backoff(cmp.Or(r.Teller.Retry, tellRetry), cmp.Or(r.Teller.RetryMax, tellRetryMax), d.Tries)
	again := now.Add(wait)
	if at := httpx.RetryAfter(problem).UTC().Truncate(time.Microsecond); at.After(again) {
		again = at
	}
	silent := problem != nil && try.Status == 0 && mayTakeLater(problem)
	switch {
	case problem == nil:
		d.State, d.FinishedAt = models.DispatchArrived, now
		hook.FailingSince, hook.Silences, hook.RestsUntil = time.Time{}, 0, time.Time{}
	case mayTakeLater(problem) && again.Before(d.Until):
		d.NotBefore, d.HintedAt = again, time.Time{}
	default:
		d.State, d.FinishedAt = models.DispatchFailed, now
	}
	if err := tx.SaveTry(ctx, d, try); err != nil {
		return err
	}
	if problem != nil && hook.FailingSince.IsZero() {
		hook.FailingSince = now
	}
	if silent { // what waits would take as long: one is enough to find out when somebody answers
		hook.Silences++
		hook.RestsUntil = now.Add(backoff(cmp.Or(r.Teller.Retry, tellRetry), cmp.Or(r.Teller.RetryMax, tellRetryMax), hook.Silences))
		if err := tx.RestDispatches(ctx, hook.ID, hook.RestsUntil); err != nil {
			return err
		}
	}
	if problem != nil && hook.On() && now.Sub(hook.FailingSince) >= cmp.Or(r.Teller.Patience, tellPatience) {
		return r.switchHookOff(ctx, tx, hook, try.Error)
	}
	return tx.SaveHealth(ctx, hook)
}

// switchHookOff ends a hook at which nothing has arrived for days, and tells who
// made it.
func (r *Runner) switchHookOff(ctx context.Context, tx *store.Tx, hook *models.Subscription, last string) error {
	now := store.Now()
	hook.SwitchOff(fmt.Sprintf("Nothing has arrived since %s. The last try: %s", hook.FailingSince.UTC().Format("2006-01-02 15:04 UTC"), last))
	if err := tx.SaveHealth(ctx, hook); err != nil {
		return err
	}
	if err := tx.DropDispatches(ctx, hook.ID, "The hook was switched off."); err != nil {
		return err
	}
	r.Log.WarnContext(ctx, "hook switched off, as nothing arrives", "hook", hook.ID, "since", hook.FailingSince)
	if r.Teller.Mail == nil || hook.User == nil || hook.User.Email == "" {
		return nil
	}
	page := fmt.Sprintf("%s/projects/%s/-/settings/hooks/%d", r.Base, hook.Project.Path(), hook.ID)
	fresh, err := tx.SaveHappenings(ctx, []*models.Happening{models.DisabledOf(hook, page, now)})
	if err != nil || len(fresh) == 0 {
		return err
	}
	d := models.NewDispatch(fresh[0], &models.Subscription{Channel: models.MailChannel, UserID: hook.UserID}, now)
	return r.dispatch(ctx, tx, []*models.Dispatch{d})
}

// Redeliver has a dispatch to a hook sent again, with the same id, because
// somebody asks; who it was is noted in the same transaction.
func (r *Runner) Redeliver(ctx context.Context, dispatchID int64, entry *models.AuditEntry) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		d, err := tx.Dispatch(ctx, dispatchID)
		if err != nil {
			return err
		}
		if d.Channel != models.HookChannel {
			return fmt.Errorf("dispatch %d: %w", dispatchID, models.ErrNotFound)
		}
		d.Again(entry.Actor, store.Now())
		if err := tx.SaveTry(ctx, d, nil); err != nil {
			return err
		}
		if err := r.Queue.Add(ctx, tx, hookArgs{d.SubscriptionID}); err != nil {
			return err
		}
		return tx.Audit(ctx, entry)
	})
}

// PingHook has a hook tried, because somebody asks, and returns the dispatch.
func (r *Runner) PingHook(ctx context.Context, hook *models.Subscription, entry *models.AuditEntry) (d *models.Dispatch, err error) {
	page := fmt.Sprintf("%s/projects/%s/-/settings/hooks/%d", r.Base, hook.Project.Path(), hook.ID)
	err = r.Store.InTx(ctx, func(tx *store.Tx) error {
		fresh, err := tx.SaveHappenings(ctx, []*models.Happening{models.PingOf(hook, rand.Text(), entry.Actor, page)})
		if err != nil {
			return err
		}
		d = models.NewDispatch(fresh[0], hook, store.Now())
		d.AskedBy, d.NotBefore = entry.Actor, time.Time{} // whoever asks does not wait
		if err := r.dispatch(ctx, tx, []*models.Dispatch{d}); err != nil {
			return err
		}
		return tx.Audit(ctx, entry)
	})
	return d, err
}

// CheckHook says what is wrong with the address of a hook, in words for who typed
// it in.
func (r *Runner) CheckHook(address string) error {
	if r.Teller == nil || r.Teller.Hooks == nil {
		return errors.New("no hooks are sent here")
	}
	err := r.Teller.Hooks.Check(address)
	if refusal, ok := errors.AsType[*webhook.Refusal](err); ok {
		return &models.InputError{Field: "url", Message: refusal.Reason}
	}
	return err
}
