package bodhi

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"millrace/clients/httpx"
)

// ErrNoAccount says that a Client without an account was told to write.
var ErrNoAccount = errors.New("bodhi: there is no account to write with")

// LoginError says why no session began: a matter for the operator, unless it is
// temporary.
type LoginError struct {
	Doing string // such as "asking for a code"
	Err   error
}

func (e *LoginError) Error() string {
	return "logging in to bodhi: " + e.Doing + ": " + e.Err.Error()
}

func (e *LoginError) Unwrap() error { return e.Err }

// Temporary reports whether the same may succeed later.
func (e *LoginError) Temporary() bool { return httpx.Temporary(e.Err) }

// passing is a refusal of Bodhi's that says that another service did not answer
// it: the status does not tell.
type passing struct{ refusal *Error }

func (e passing) Error() string { return e.refusal.Error() }

func (e passing) Unwrap() error { return e.refusal }

// Temporary reports true.
func (passing) Temporary() bool { return true }

var othersAway = regexp.MustCompile(`(?i)ACL validation mechanism was unable to determine ACLs|Koji error getting build|Unable to create update\.\s+(?:Connection|HTTP|.*[Tt]imed? ?out)`)

// understand marks refusals that are no fault of the request.
func understand(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusBadRequest && othersAway.MatchString(e.Message) {
		return passing{e}
	}
	return err
}

// Text is what Bodhi said, without the names of its fields, or else the whole
// error.
func Text(err error) string {
	if err == nil {
		return ""
	}
	said := message(err)
	if said == "" {
		return err.Error()
	}
	return fieldName.ReplaceAllString(said, "$1")
}

var fieldName = regexp.MustCompile(`(^|; )(?:builds|body|from_tag|edited|severity|csrf_token|request|notes|bugs|id|nvr|expiration_date|type): `)

func message(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return ""
}

var (
	existing = regexp.MustCompile(`Update for \S+ already exists|Update already exists using this side tag`)
	tooEarly = regexp.MustCompile(`Invalid tag: |Build does not exist: |not tagged in |from_tag doesn't contain any builds|is not tagged|Cannot find release associated with build`)
	forbids  = regexp.MustCompile(`does not have commit access|mandatory packager group|ACL`)
)

// IsExisting reports whether Bodhi refused a new update because one of the
// builds, or the side tag, is in an update already.
func IsExisting(err error) bool { return refused(err) && existing.MatchString(message(err)) }

// IsTooEarly reports whether Bodhi did not find the builds where they have to
// be. Koji tags a build a moment after it has finished, so the same may be right
// later; for builds of another release it never will.
func IsTooEarly(err error) bool { return refused(err) && tooEarly.MatchString(message(err)) }

// IsNotComposed reports whether the release takes no updates from people, as
// Rawhide, where Bodhi makes them by itself.
func IsNotComposed(err error) bool {
	return refused(err) && strings.Contains(message(err), "not composed by Bodhi")
}

// IsPermission reports whether our account may not do this to this package.
func IsPermission(err error) bool { return httpx.Status(err) == http.StatusForbidden }

// IsNotFound reports whether what was asked for does not exist.
func IsNotFound(err error) bool { return httpx.Status(err) == http.StatusNotFound }

// IsNotReady reports whether an update has not yet been tested enough for what
// was requested, or is locked by a compose: the same may be right later.
func IsNotReady(err error) bool {
	text := message(err)
	return refused(err) && (strings.Contains(text, "minimum testing requirements") || strings.Contains(text, "locked") ||
		strings.Contains(text, "Required tests did not pass") || strings.Contains(text, "Requirement not met"))
}

func refused(err error) bool { return httpx.Status(err) == http.StatusBadRequest }

// isSessionOver reports whether a call was refused for lack of a session. What
// was asked has not been done then.
func isSessionOver(err error) bool {
	switch httpx.Status(err) {
	case http.StatusUnauthorized:
		return true
	case http.StatusForbidden:
		return !forbids.MatchString(message(err))
	}
	return false
}

// isTokenStale reports whether a call was refused because of the CSRF token.
func isTokenStale(err error) bool {
	text := message(err)
	return refused(err) && (strings.Contains(text, "csrf_token") || strings.Contains(text, "CSRF tokens do not match"))
}
