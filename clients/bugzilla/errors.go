package bugzilla

import (
	"errors"
	"net/http"

	"millrace/clients/httpx"
)

func message(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return ""
}

// Bugzilla's numbers.
const (
	codeKeyRevoked = 306
	codeNeedsLogin = 410
	codeBadLogin   = 300
	codeOther      = 32000 // Red Hat's for ways to log in that it does not take
)

// IsLogin reports whether the key was refused, or one is needed: a matter for the
// operator.
func IsLogin(err error) bool {
	switch Code(err) {
	case codeKeyRevoked, codeNeedsLogin, codeBadLogin, codeOther:
		return true
	}
	return Code(err) == 0 && httpx.Status(err) == http.StatusUnauthorized
}

// IsNotFound reports whether there is no such bug.
func IsNotFound(err error) bool { return httpx.Status(err) == http.StatusNotFound }

// IsPermission reports whether the bug may not be seen, or not be changed, by who
// asks.
func IsPermission(err error) bool {
	const denied, editDenied = 102, 109
	code := Code(err)
	return code == denied || code == editDenied || httpx.Status(err) == http.StatusForbidden
}
