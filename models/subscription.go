package models

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// Subscription says who wants to hear of what, and by which channel: a hook of a
// project, or mail for a person.
type Subscription struct {
	bun.BaseModel `bun:"table:subscriptions,alias:subscription"`

	ID        int64 `bun:",pk,autoincrement"`
	Channel   Channel
	Interest  Interest
	ProjectID int64 `bun:",nullzero"` // whose happenings; 0: of the interests own and all
	UserID    int64 `bun:",nullzero"` // who gets mail, or made the hook

	Topics []Topic // of a hook
	Level  Level   // of mail

	URL          string    // of a hook: where it is sent
	Secret       string    // of a hook: what signs it
	SecretBefore string    // of a hook: what signs it too, until the change of the secret is finished
	RotatedAt    time.Time `bun:",nullzero"` // when that change began

	Token string // unguessable: who shows it may end the mail

	State        SubscriptionState
	Reason       string    // why it is off, a whole sentence; may be empty
	FailingSince time.Time `bun:",nullzero"` // of a hook: since when nothing arrived
	Silences     int       // of a hook: tries in a row that nobody answered
	RestsUntil   time.Time `bun:",nullzero"` // of a hook: nobody answers, so that nothing is sent until then

	CreatedAt time.Time
	UpdatedAt time.Time

	Project *Project `bun:"rel:belongs-to,join:project_id=id"`
	User    *User    `bun:"rel:belongs-to,join:user_id=id"`
}

// Channel is how somebody is told.
type Channel string

const (
	HookChannel Channel = "webhook"
	MailChannel Channel = "mail"
)

// Interest is what a subscription is about.
type Interest string

const (
	ProjectInterest Interest = "project" // one project; of mail: a watch
	OwnInterest     Interest = "own"     // what the person asked for or switched on
	AllInterest     Interest = "all"     // nothing by itself; its token ends all mail to the person
)

// Level is how much of it.
type Level string

const (
	UrgentLevel     Level = "urgent" // failures, what waits for a person, and what works again
	EverythingLevel Level = "everything"
)

// Levels lists them, the usual first.
var Levels = []Level{UrgentLevel, EverythingLevel}

// SubscriptionState is whether anything is sent.
type SubscriptionState string

const (
	SubscriptionOn  SubscriptionState = "on"
	SubscriptionOff SubscriptionState = "off"
)

// On reports whether anything is sent.
func (s *Subscription) On() bool { return s.State == SubscriptionOn }

// Wants reports whether a happening is one that the subscription is for.
func (s *Subscription) Wants(h *Happening) bool {
	if !s.On() || s.Interest == AllInterest {
		return false
	}
	if s.Channel == HookChannel {
		return slices.Contains(s.Topics, h.Topic)
	}
	switch h.Topic {
	case PipelineFinished:
		if h.State == string(Superseded) {
			return false // the newer will be told
		}
	case BuildChanged:
		if h.RunID != 0 {
			return false // its pipeline tells of it
		}
	case PullChanged, UpdateChanged:
	default:
		return false
	}
	return s.Level == EverythingLevel || h.Urgent()
}

// Host is where a hook is sent, without what may be secret in its address.
func (s *Subscription) Host() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Secrets are what a message of a hook is signed with, the newest first.
func (s *Subscription) Secrets() []string {
	var all []string
	for _, secret := range []string{s.Secret, s.SecretBefore} {
		if secret != "" {
			all = append(all, secret)
		}
	}
	return all
}

const (
	// MostHooks is how many hooks a project may have.
	MostHooks = 20
	// MostWatches is how many projects a person may watch.
	MostWatches = 500

	maxHookURL  = 1000
	minSecret   = 16
	maxSecret   = 200
	secretStart = "whsec_" // as Standard Webhooks has it
)

// NewHookSecret makes a secret that signs messages.
func NewHookSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return secretStart + base64.StdEncoding.EncodeToString(b[:])
}

// CheckSecret finds out what is wrong with a secret that somebody gives.
func CheckSecret(secret string) error {
	if len(secret) < minSecret || len(secret) > maxSecret || strings.ContainsFunc(secret, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return &InputError{"secret", fmt.Sprintf("it has from %d to %d characters, all of them printable ASCII without blanks", minSecret, maxSecret)}
	}
	if text, ok := strings.CutPrefix(secret, secretStart); ok {
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			return &InputError{"secret", "after " + secretStart + " comes base64"}
		}
	}
	return nil
}

// TokenLength is how many characters the token of a subscription has.
const TokenLength = 43

// NewToken makes the token of a subscription.
func (s *Subscription) NewToken() {
	var b [32]byte
	rand.Read(b[:])
	s.Token = base64.RawURLEncoding.EncodeToString(b[:])
}

// Check finds out what is wrong with a hook that somebody wants to have, and
// brings its topics into order. Whether its address may be sent to is not looked
// at here.
func (s *Subscription) Check() error {
	switch {
	case s.URL == "":
		return &InputError{"url", "say where it is to be sent"}
	case len(s.URL) > maxHookURL:
		return &InputError{"url", fmt.Sprintf("it has at most %d bytes", maxHookURL)}
	case len(s.Topics) == 0:
		return &InputError{"topics", "choose at least one topic"}
	}
	for _, topic := range s.Topics {
		if !slices.Contains(Topics, topic) {
			return &InputError{"topics", fmt.Sprintf("there is no topic %q", oneLine(string(topic), 60))}
		}
	}
	wanted := s.Topics
	s.Topics = slices.DeleteFunc(slices.Clone(Topics), func(t Topic) bool { return !slices.Contains(wanted, t) })
	return CheckSecret(s.Secret)
}

// CheckLevel finds out what is wrong with a level that somebody chose.
func CheckLevel(level Level) error {
	if !slices.Contains(Levels, level) {
		return &InputError{"level", "it is one of urgent, everything"}
	}
	return nil
}

// Rotate changes the secret of a hook. The one before signs too, until
// FinishRotation.
func (s *Subscription) Rotate(secret string, now time.Time) {
	s.SecretBefore, s.Secret, s.RotatedAt = s.Secret, secret, now
}

// FinishRotation ends the use of the secret before.
func (s *Subscription) FinishRotation() { s.SecretBefore, s.RotatedAt = "", time.Time{} }

// SwitchOn lets a hook send again, as if it had never failed.
func (s *Subscription) SwitchOn() {
	s.State, s.Reason, s.FailingSince, s.Silences, s.RestsUntil = SubscriptionOn, "", time.Time{}, 0, time.Time{}
}

// SwitchOff ends what is sent.
func (s *Subscription) SwitchOff(reason string) { s.State, s.Reason = SubscriptionOff, reason }
