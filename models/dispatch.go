package models

import (
	"crypto/rand"
	"time"

	"github.com/uptrace/bun"
)

// Dispatch is a happening on its way to one subscription. It has the same key at
// each try, by which a receiver tells repeats.
type Dispatch struct {
	bun.BaseModel `bun:"table:dispatches,alias:dispatch"`

	ID             int64  `bun:",pk,autoincrement"`
	Key            string // unique, and unguessable
	Channel        Channel
	HappeningID    int64
	SubscriptionID int64 `bun:",nullzero"` // 0: mail that needs none, about a hook that was switched off
	UserID         int64 `bun:",nullzero"` // who gets the mail
	State          DispatchState
	Held           bool   // too much mail went to the person; it is told together with others
	Mail           string // id of the mail in which it went
	Tries          int
	NotBefore      time.Time `bun:",nullzero"` // of the next try
	HintedAt       time.Time `bun:",nullzero"` // when a job was last made for it
	Until          time.Time // when it is given up
	AskedBy        string    // login of who wants the next try; empty: nobody asked
	Error          string    // of the last try, for people
	CreatedAt      time.Time
	FinishedAt     time.Time `bun:",nullzero"`

	Happening    *Happening    `bun:"rel:belongs-to,join:happening_id=id"`
	Subscription *Subscription `bun:"rel:belongs-to,join:subscription_id=id"`
}

// DispatchState is how far a dispatch has come.
type DispatchState string

const (
	DispatchWaiting DispatchState = "waiting" // for its first try, or the next
	DispatchArrived DispatchState = "arrived"
	DispatchFailed  DispatchState = "failed"
)

// DispatchPatience is how long a dispatch is tried.
const DispatchPatience = 24 * time.Hour

// NewDispatch makes the dispatch of a happening to a subscription. One that rests
// gets it later.
func NewDispatch(h *Happening, s *Subscription, now time.Time) *Dispatch {
	d := &Dispatch{
		Key: "msg_" + rand.Text(), Channel: s.Channel, HappeningID: h.ID, SubscriptionID: s.ID, State: DispatchWaiting,
		HintedAt: now, Until: now.Add(DispatchPatience), CreatedAt: now, Happening: h, Subscription: s,
	}
	if s.Channel == MailChannel {
		d.UserID = s.UserID
	}
	if s.RestsUntil.After(now) {
		d.NotBefore, d.HintedAt = s.RestsUntil, time.Time{}
	}
	return d
}

// DispatchesOf are the dispatches of happenings, which are stored, to those who
// want them. Nobody gets two mails about one.
func DispatchesOf(happenings []*Happening, subscriptions []*Subscription, now time.Time) []*Dispatch {
	var all []*Dispatch
	for _, h := range happenings {
		told := map[int64]bool{}
		for _, s := range subscriptions {
			if !s.Wants(h) || s.Channel == MailChannel && told[s.UserID] {
				continue
			}
			if s.Channel == MailChannel {
				told[s.UserID] = true
			}
			all = append(all, NewDispatch(h, s, now))
		}
	}
	return all
}

// Again has a dispatch sent once more because somebody asks.
func (d *Dispatch) Again(login string, now time.Time) {
	d.State, d.AskedBy, d.NotBefore, d.HintedAt, d.Until, d.FinishedAt = DispatchWaiting, login, time.Time{}, now, now.Add(DispatchPatience), time.Time{}
}

// DispatchTry is one try to hand over a dispatch.
type DispatchTry struct {
	bun.BaseModel `bun:"table:dispatch_tries,alias:try"`

	ID           int64 `bun:",pk,autoincrement"`
	DispatchID   int64
	At           time.Time
	AskedBy      string // login of who asked for it; empty: nobody did
	Milliseconds int64  // that it took
	Status       int    // of the answer; 0: none came
	Request      string // headers that were sent
	Answer       string // its beginning
	Error        string // why it did not arrive; empty: it did
}

// Took is how long the try took.
func (t *DispatchTry) Took() time.Duration { return time.Duration(t.Milliseconds) * time.Millisecond }

// DispatchList is a part of the list of a hook's dispatches, newest first.
type DispatchList struct {
	Rows []*Dispatch // with Happening
	Cursors
}
