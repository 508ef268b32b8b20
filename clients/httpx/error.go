package httpx

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Error says which call to which service went wrong, and how.
type Error struct {
	Service string
	Method  string
	URL     string // the path alone: queries and hosts may be secret
	Status  int    // HTTP status of the answer; 0 if none came, or not whole
	Message string // what the service said, in its own words
	// RetryAfter is when the service wants to be asked again; zero if it did
	// not say.
	RetryAfter time.Time
	Err        error // the cause, if it is not the status
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s", e.Service, e.Method, e.URL)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same call may succeed later: no whole answer
// came, the service was in trouble, or it said when to come back.
func (e *Error) Temporary() bool {
	switch e.Status {
	case 0, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return e.Status >= 500 || !e.RetryAfter.IsZero()
}

// Temporary reports whether err comes from a call that may succeed later. Any
// error with a method of that name is asked.
func Temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// RetryAfter is when the service that caused err wants to be asked again; zero
// if it did not say.
func RetryAfter(err error) time.Time {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return time.Time{}
}

// Status is the HTTP status that caused err, 0 if none did.
func Status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// Hidden reports whether there is no such thing, or none that is shown to us.
func Hidden(err error) bool {
	status := Status(err)
	return status == http.StatusNotFound || status == http.StatusForbidden && !Temporary(err)
}
