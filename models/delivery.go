package models

import (
	"time"

	"github.com/uptrace/bun"
)

// Sources of deliveries.
const (
	FromGitHub      = "github"
	FromGitLab      = "gitlab"
	FromForgejo     = "forgejo"
	FromBus         = "bus"
	FromTestingFarm = "testing-farm"
	FromPoll        = "poll" // ourselves: we asked, and a message that should have come has not; or one told several things
)

// Delivery is a message as it reached us. It is stored, under the key that its
// source gives it, before anything in it is understood.
type Delivery struct {
	bun.BaseModel `bun:"table:deliveries,alias:delivery"`

	ID         int64     `bun:",pk,autoincrement"`
	Source     string    // one of the sources above
	Key        string    // unique for the source: X-GitHub-Delivery, message id, ...
	Type       string    // X-GitHub-Event, topic, ...
	Body       []byte    // emptied by retention; Size keeps its length
	Size       int       // of the body as it came, in bytes
	ReceivedAt time.Time //
	HandledAt  time.Time `bun:",nullzero"` // when its job had made an event of it
	Tries      int       // how often its job could not do it
	NotBefore  time.Time `bun:",nullzero"` // when to try again
	HintedAt   time.Time `bun:",nullzero"` // when a job was last made for it
	Error      string    // why it could not be understood, or not yet, for people
}
