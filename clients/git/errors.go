package git

import (
	"errors"
	"regexp"
	"strings"
)

var (
	// ErrNotFound is matched by errors about a repository, ref, revision or
	// file that does not exist, or that we may not see.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge is matched when a limit of Git was reached.
	ErrTooLarge = errors.New("larger than allowed")
	// ErrBadName is matched by errors about a name, path or address that is
	// never handed to git.
	ErrBadName = errors.New("bad name")
	// ErrTampered is matched when the administrative files of a work tree
	// were changed into something we do not run git on.
	ErrTampered = errors.New("repository was tampered with")
	// ErrRejected is matched when a remote refused a push because it has
	// commits that we do not.
	ErrRejected = errors.New("push rejected")
	// ErrDenied is matched when a remote does not let us push, whoever we are to
	// it: we lack the right, or a hook of it says no.
	ErrDenied = errors.New("push denied")
	// ErrNothingToCommit is matched by a commit that would change nothing.
	ErrNothingToCommit = errors.New("nothing to commit")
)

// Error is a git command that ended with a failure.
type Error struct {
	Op   string // as "git fetch"
	Code int    // exit status
	Said string // the end of its error output
	Err  error  // ErrNotFound, ErrRejected, ErrDenied, ErrUntrusted or nil

	temporary bool
}

func (e *Error) Error() string {
	said := strings.TrimSpace(e.Said)
	if said == "" {
		said = "failed without a word"
	}
	return e.Op + ": " + said
}

func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same command may succeed later: the network
// or the remote was at fault.
func (e *Error) Temporary() bool { return e.temporary }

// ConflictError says which files could not be merged. The work tree is as it
// was before the merge.
type ConflictError struct {
	Files []string // relative to the top of the repository, sorted
}

func (e *ConflictError) Error() string {
	return "merge conflict in " + strings.Join(e.Files, ", ")
}

// What git and curl say, in the locale that we set.
var (
	saysTemporary = regexp.MustCompile(`(?i)could not resolve host|connection (refused|reset|timed out)|failed to connect|` +
		`timed out|too slow|returned error: (5\d\d|429|408)|early eof|hung up unexpectedly|rpc failed|` +
		`empty reply|network is unreachable|no route to host|temporary failure|connection closed|broken pipe|not responding|gnutls|ssl_|unexpected disconnect`)
	saysNotFound = regexp.MustCompile(`(?i)returned error: (404|410|401|403)|repository '.*' not found|` +
		`couldn't find remote ref|could not read (username|password)|authentication failed|` +
		`does not appear to be a git repository|not our ref|unknown revision|bad revision|` +
		`needed a single revision|not a valid object name|not a tree object|malformed object name|` +
		`no names found|no tags can describe|bad object|invalid reference|did not match any|not something we can merge`)
	saysDenied = regexp.MustCompile(`(?i)returned error: (401|403)|authentication failed|could not read (username|password)|` +
		`hook declined|permission denied|denied push`)
	saysUntrusted = regexp.MustCompile(`(?i)host key verification failed`)
	saysRejected  = regexp.MustCompile(`(?i)\[rejected\]|\[remote rejected\]|stale info|non-fast-forward`)
)

func newError(op string, code int, said string) *Error {
	e := &Error{Op: op, Code: code, Said: said}
	switch {
	case saysUntrusted.MatchString(said):
		e.Err = ErrUntrusted
	case op == "git push" && saysDenied.MatchString(said):
		e.Err = ErrDenied
	case saysRejected.MatchString(said):
		e.Err = ErrRejected
	case saysNotFound.MatchString(said):
		e.Err = ErrNotFound
	default:
		e.temporary = saysTemporary.MatchString(said)
	}
	return e
}
