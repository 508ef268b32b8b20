package koji

import (
	"errors"
	"fmt"
	"strings"

	"millrace/clients/httpx"
	"millrace/clients/xmlrpc"
)

// Codes of faults.
// https://pagure.io/koji/blob/master/f/koji/__init__.py
const (
	pythonFault    = 1 // any exception that is not Koji's own
	GenericFault   = 1000
	LockFault      = 1001
	AuthFault      = 1002
	TagFault       = 1003
	DeniedFault    = 1004
	BuildFault     = 1005
	AuthLockFault  = 1006
	ExpiredFault   = 1007
	SequenceFault  = 1008
	RetryFault     = 1009
	OfflineFault   = 1014
	ParameterFault = 1019
	GSSAPIFault    = 1023
)

// Fault is the hub's refusal of a call, or what a task failed with.
type Fault struct {
	Method string // that was called; empty if it is a task's
	Code   int
	Text   string
}

func (f *Fault) Error() string {
	if f.Method == "" {
		return "koji: " + f.Text
	}
	return fmt.Sprintf("koji: %s: %s", f.Method, f.Text)
}

// Temporary reports whether the same call may succeed later: the hub is down
// for maintenance, somebody else holds a lock, the session was lost, or its
// database was in trouble. A call that was done already, but whose answer was
// lost, counts too: who looks before repeating it will find what it did.
func (f *Fault) Temporary() bool {
	switch f.Code {
	case LockFault, AuthLockFault, ExpiredFault, SequenceFault, RetryFault, OfflineFault:
		return true
	case AuthFault:
		return strings.Contains(f.Text, "Invalid session")
	case pythonFault:
		return strings.Contains(f.Text, "psycopg2.")
	}
	return false
}

func faultOf(method string, f *xmlrpc.Fault) *Fault {
	return &Fault{Method: method, Code: int(f.Code), Text: httpx.Clean(f.Text, maxText)}
}

func faultCode(err error) int {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Code
	}
	return 0
}

func faultText(err error) string {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Text
	}
	return ""
}

// IsPermission reports whether the hub's policy or an owner's right forbids
// what was asked.
func IsPermission(err error) bool {
	return faultCode(err) == DeniedFault && !needsLogin(err)
}

// IsLogin reports whether the hub refused the login itself: a matter for the
// operator.
func IsLogin(err error) bool {
	code := faultCode(err)
	return httpx.Status(err) == 401 || code == GSSAPIFault || errors.Is(err, ErrNoLogin) ||
		(code == AuthFault && !lostSession(err)) || needsLogin(err)
}

// IsUnknownMethod reports whether the hub does not know what was called, as it
// is with plugins that it does not have.
func IsUnknownMethod(err error) bool {
	return faultCode(err) == GenericFault && strings.HasPrefix(faultText(err), "Invalid method")
}

// IsNoTag reports whether the hub does not have the tag that was named, as side
// tags whose time is over.
func IsNoTag(err error) bool {
	return faultCode(err) == GenericFault && strings.HasPrefix(faultText(err), "No such tag")
}

// IsDone reports whether the call was carried out before, and only its answer
// was lost.
func IsDone(err error) bool { return faultCode(err) == RetryFault }

// IsBuildExists reports whether a build could not be made because there is one
// of the same name, version and release that is finished or on its way.
func IsBuildExists(err error) bool {
	text := faultText(err)
	return faultCode(err) == GenericFault &&
		(strings.HasPrefix(text, "Build already exists") || strings.HasPrefix(text, "Build already in progress"))
}

// Text is what Koji said, or else the whole error.
func Text(err error) string {
	if err == nil {
		return ""
	}
	if text := faultText(err); text != "" {
		return text
	}
	return err.Error()
}

// needsLogin and lostSession say why a call in a session was refused before
// anything was done, so that it may be repeated in a new one.
func needsLogin(err error) bool {
	return faultCode(err) == DeniedFault && strings.Contains(faultText(err), "must be logged")
}

func lostSession(err error) bool {
	switch faultCode(err) {
	case ExpiredFault, SequenceFault:
		return true
	case AuthFault:
		return strings.Contains(faultText(err), "Invalid session")
	}
	return needsLogin(err)
}
