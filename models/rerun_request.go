package models

import (
	"errors"
	"fmt"
	"time"
)

// MaxAttempts is how many attempts a pipeline may have.
const MaxAttempts = 20

// How often things may be done within SteerWindow.
const (
	SteerWindow = 10 * time.Minute
	UserActions = 60  // by one person, of all that the audit log notes
	ProjectRuns = 120 // reruns of the pipelines of one project, whoever asks
)

// Until says when somebody may act again whose n-th last action was at; the zero
// time if they may now.
func Until(at, now time.Time) time.Time {
	if until := at.Add(SteerWindow); until.After(now) {
		return until
	}
	return time.Time{}
}

// TooManyActions is the limit for one person.
func TooManyActions(until time.Time) error {
	return tooMany(fmt.Sprintf("A person does at most %d things", UserActions), until)
}

// TooManyReruns is the limit for one project.
func TooManyReruns(until time.Time) error {
	return tooMany(fmt.Sprintf("The pipelines of a project are rerun at most %d times", ProjectRuns), until)
}

func tooMany(limit string, until time.Time) error {
	return &LimitError{
		Reason: fmt.Sprintf("%s within %.0f minutes. The next is possible at %s UTC.", limit, SteerWindow.Minutes(), until.UTC().Format("15:04:05")),
		Until:  until,
	}
}

// ErrNothing says that nothing would run again, or nothing is left to stop.
var ErrNothing = errors.New("there is nothing to do")

// NothingError is ErrNothing with the reason, a whole sentence for people.
type NothingError struct{ Reason string }

func (e *NothingError) Error() string { return e.Reason }

// Is makes errors.Is(err, ErrNothing) true.
func (e *NothingError) Is(target error) bool { return target == ErrNothing }

// LimitError says that somebody asked for more than there may be, in words for
// people.
type LimitError struct {
	Reason string
	Until  time.Time // when there may be more; zero: never
}

func (e *LimitError) Error() string { return e.Reason }

// ConflictError says that somebody else was faster: Pipeline is the newest
// attempt now.
type ConflictError struct {
	Pipeline int64
	Attempt  int
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("somebody was faster: attempt %d is pipeline %d", e.Attempt, e.Pipeline)
}

// Scope says what of a pipeline is asked for.
type Scope string

const (
	ScopeAll    Scope = "all"
	ScopeFailed Scope = "failed" // what failed, could not be found out or was canceled, and what was skipped because of it
	ScopeStep   Scope = "step"   // all targets of Step
	ScopeTarget Scope = "target" // Target of Step
	ScopeFrom   Scope = "from"   // what of Step has not passed, and all steps that follow it
	ScopeChosen Scope = "chosen" // Picks
)

// Pick names a step, or one target of it.
type Pick struct {
	Step   string `json:"step"`
	Target string `json:"target,omitempty"` // empty: all
}

// RerunRequest is what somebody wants to have run again.
type RerunRequest struct {
	Scope   Scope             `json:"scope"`
	Step    string            `json:"step,omitempty"`
	Target  string            `json:"target,omitempty"`
	Picks   []Pick            `json:"picks,omitempty"`
	Restart bool              `json:"restart,omitempty"` // what still runs is stopped and begun anew, instead of waited for
	Env     map[string]string `json:"env,omitempty"`     // for tests, over what their jobs say; an empty value takes one away
	Others  []OtherBuild      `json:"-"`                 // for tests, instead of those that they installed before
	Current bool              `json:"current,omitempty"` // with the package config as it is now, instead of as it was at the event
	Seen    string            `json:"seen,omitempty"`    // commit whose config the asker has seen; empty: they take what there is
}
