package pagure

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"millrace/clients/httpx"
)

var (
	codeAtEnd   = regexp.MustCompile(`\((E[A-Z]+)\)$`)
	missingACLs = regexp.MustCompile(`Missing ACLs: ([a-z_, ]+)`)
)

// Code is Pagure's own word for why it refused a call, such as "ENOPROJECT";
// empty if it said so in a sentence only, or if err is of another kind.
func Code(err error) string {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return ""
	}
	if found := codeAtEnd.FindStringSubmatch(e.Message); found != nil {
		return found[1]
	}
	return ""
}

// IsNotFound reports whether there is no such thing, or none that we may see.
func IsNotFound(err error) bool {
	switch Code(err) {
	case "EPULLREQUESTSDISABLED", "ETRACKERDISABLED": // which come with 404, too
		return false
	}
	return httpx.Status(err) == http.StatusNotFound
}

// IsToken reports whether Pagure refused the API token itself, because it is
// unknown, has expired, or lacks a right: a matter for the operator.
func IsToken(err error) bool { return Code(err) == "EINVALIDTOK" }

// IsForbidden reports whether whose token it is may not do this to this project.
func IsForbidden(err error) bool {
	switch Code(err) {
	case "ENOTHIGHENOUGH", "ENOPRCLOSE", "EUBLOCKED", "EMODIFYPROJECTNOTALLOWED", "EISSUENOTALLOWED":
		return true
	}
	return httpx.Status(err) == http.StatusForbidden && !httpx.Temporary(err)
}

// IsSwitchedOff reports whether the project has no pull requests, or no issues.
func IsSwitchedOff(err error) bool {
	code := Code(err)
	return code == "EPULLREQUESTSDISABLED" || code == "ETRACKERDISABLED"
}

// Words says in a sentence what stands in the way and who can do something
// about it, for refusals that people can do something about; otherwise it
// returns "".
func Words(err error) string {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return ""
	}
	switch Code(err) {
	case "EINVALIDTOK":
		if found := missingACLs.FindStringSubmatch(e.Message); found != nil {
			return "The API token for dist-git lacks the right " + strings.TrimSpace(found[1]) + ": its owner has to make a new one that has it."
		}
		if strings.Contains(e.Message, "Expired token") {
			return "The API token for dist-git has expired: its owner has to renew it."
		}
		return "Dist-git does not know the API token: its owner has to make a new one."
	case "ENOTHIGHENOUGH":
		return "The owner of the API token may not commit to the repository that the changes come from."
	case "ENOPRCLOSE":
		return "The owner of the API token may not close this pull request: it is neither theirs nor is the package."
	case "EUBLOCKED":
		return "The project has blocked the owner of the API token."
	case "EPULLREQUESTSDISABLED":
		return "The project has switched off pull requests: one of its admins can switch them on in its settings."
	case "ETRACKERDISABLED":
		return "The project has no issue tracker."
	}
	return ""
}
