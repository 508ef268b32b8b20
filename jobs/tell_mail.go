package jobs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/mail"
	"millrace/models"
	"millrace/models/store"
)

// tellPerson sends the mail that is due to a person.
func (r *Runner) tellPerson(ctx context.Context, userID int64) error {
	due := func() (bool, error) {
		if r.Teller == nil || r.Teller.Mail == nil {
			return false, nil
		}
		all, err := r.Store.DueMail(ctx, userID, 1)
		return len(all) > 0, err
	}
	return r.inTurn(ctx, fmt.Sprintf("mail/%d", userID), due, func() error {
		all, err := r.Store.DueMail(ctx, userID, longestDigest)
		if err != nil || len(all) == 0 {
			return err
		}
		return r.sendMail(ctx, userID, all)
	})
}

// sendMail sends the first of what is due to a person. Who got too many mails
// lately gets the rest together, once it is time.
func (r *Runner) sendMail(ctx context.Context, userID int64, due []*models.Dispatch) error {
	most := cmp.Or(r.Teller.MailsAnHour, usualMails)
	sent, first, err := r.Store.MailsSince(ctx, userID, store.Now().Add(-mailWindow))
	if err != nil {
		return err
	}
	if sent >= most {
		return r.hold(ctx, due, first.Add(mailWindow))
	}
	user, err := r.Store.User(ctx, userID)
	if err != nil {
		return err
	}
	if user.Email == "" {
		return r.noteMail(ctx, due, "", fmt.Errorf("the account system knows no address of %s", user.Login), 0)
	}
	batch := due[:1]
	if len(due) > 1 && slices.ContainsFunc(due, func(d *models.Dispatch) bool { return d.Held }) {
		batch = due
	}
	m, err := r.letter(ctx, batch)
	if err != nil {
		return err
	}
	m.To, m.At = user.Email, store.Now()
	limited, cancel := context.WithTimeout(ctx, r.Timing.Lease*9/10)
	defer cancel()
	began := time.Now()
	problem := r.Teller.Mail.Send(limited, *m)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.noteMail(context.WithoutCancel(ctx), batch, m.ID, problem, time.Since(began))
}

// letter writes the mail about dispatches: one, or several together.
func (r *Runner) letter(ctx context.Context, batch []*models.Dispatch) (*mail.Message, error) {
	one := batch[0]
	m := &mail.Message{ID: one.Key, Manage: r.Base + "/settings/notifications"}
	var words models.Mail
	switch {
	case len(batch) > 1:
		var all *models.Subscription
		err := r.Store.InTx(ctx, func(tx *store.Tx) (err error) {
			all, err = tx.Subscribe(ctx, one.UserID, models.AllInterest, 0, models.UrgentLevel)
			return err
		})
		if err != nil {
			return nil, err
		}
		m.ID += "-digest"
		m.Manage, m.OneStep = r.stopPage(all), true
		var told []*models.Happening
		for _, d := range batch {
			told = append(told, d.Happening)
		}
		words = models.DigestOf(told, m.Manage)
	case one.Subscription == nil:
		words = models.MailOf(one.Happening, one.Subscription.Why(), m.Manage)
	default:
		m.Manage, m.OneStep = r.stopPage(one.Subscription), true
		words = models.MailOf(one.Happening, one.Subscription.Why(), m.Manage)
	}
	m.Subject, m.Text, m.Thread = words.Subject, words.Text, words.Thread
	return m, nil
}

// stopPage is where mail of a subscription ends, for whoever has its address.
func (r *Runner) stopPage(s *models.Subscription) string { return r.Base + "/mail/stop/" + s.Token }

// hold puts mail off, to be told together.
func (r *Runner) hold(ctx context.Context, due []*models.Dispatch, until time.Time) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		for _, d := range due {
			d.Held, d.NotBefore, d.HintedAt = true, until, time.Time{}
			if d.Until.Before(until) {
				d.Until = until.Add(time.Hour)
			}
			if err := tx.SaveTry(ctx, d, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// noteMail writes how it went.
func (r *Runner) noteMail(ctx context.Context, batch []*models.Dispatch, id string, problem error, took time.Duration) error {
	err := r.Store.InTx(ctx, func(tx *store.Tx) error {
		now := store.Now()
		for _, d := range batch {
			d.Tries++
			d.Error, d.HintedAt, d.NotBefore = "", now, time.Time{}
			again := now.Add(backoff(cmp.Or(r.Teller.Retry, tellRetry), cmp.Or(r.Teller.RetryMax, tellRetryMax), d.Tries))
			switch {
			case problem == nil:
				d.State, d.Mail, d.FinishedAt = models.DispatchArrived, id, now
			case httpx.Temporary(problem) && again.Before(d.Until):
				d.NotBefore, d.HintedAt = again, time.Time{}
			default:
				d.State, d.FinishedAt = models.DispatchFailed, now
			}
			try := &models.DispatchTry{At: now, Milliseconds: took.Milliseconds()}
			if problem != nil {
				d.Error = httpx.Clean(problem.Error(), 500)
				try.Error = d.Error
			}
			if err := tx.SaveTry(ctx, d, try); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && r.Teller.Sent != nil {
		r.Teller.Sent(models.MailChannel, batch[0].State, took)
	}
	if problem != nil {
		r.Log.WarnContext(ctx, "mail not sent", "user", batch[0].UserID, "dispatch", batch[0].ID, "error", problem)
	}
	return err
}
