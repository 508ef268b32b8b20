// Package bugzilla speaks to Bugzilla, as far as new versions of packages are
// concerned (https://bugzilla.readthedocs.io/en/latest/api/). It understands
// the instance of Red Hat, which differs from others, and these others.
package bugzilla

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/httpx"
)

// DefaultURL is the instance that Fedora uses.
const DefaultURL = "https://bugzilla.redhat.com"

// MonitoringAccount files the bugs about new versions.
const MonitoringAccount = "upstream-release-monitoring@fedoraproject.org"

// Client calls one Bugzilla instance. Reading public bugs needs no key.
type Client struct {
	BaseURL string // empty means DefaultURL
	APIKey  string
	// KeyInHeader is how instances other than Red Hat's take the key: in a header
	// of Bugzilla's own instead of as a bearer token.
	KeyInHeader bool
	HTTP        *http.Client // nil means one with httpx.DefaultTimeout
}

// Error is a call that did not work, and whether it may work later.
type Error = httpx.Error

// Bug is a report.
type Bug struct {
	ID         int       `json:"id"`
	Summary    string    `json:"summary"`
	Status     string    `json:"status"`     // such as NEW
	Resolution string    `json:"resolution"` // such as ERRATA; empty: it is open
	Product    string    `json:"product"`
	Components words     `json:"component"`
	Versions   words     `json:"version"`
	AssignedTo string    `json:"assigned_to"`
	Creator    string    `json:"creator"`
	Keywords   []string  `json:"keywords"`
	Open       bool      `json:"is_open"`
	Created    time.Time `json:"creation_time"`
	Changed    time.Time `json:"last_change_time"`
}

const bugFields = "id,summary,status,resolution,product,component,version,assigned_to,creator,keywords,is_open,creation_time,last_change_time"

// words is a list, or what stands alone: Red Hat's instance has several
// components where others have one.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

var available = regexp.MustCompile(`^(\S+)-([^-\s]+) is available$`)

// Release reads from the summary of a monitoring bug which package has which new
// version.
func (b *Bug) Release() (pkg, version string, ok bool) {
	m := available.FindStringSubmatch(strings.TrimSpace(b.Summary))
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// BugURL is the web page of a bug.
func (c *Client) BugURL(id int) string {
	return c.base() + "/show_bug.cgi?id=" + strconv.Itoa(id)
}

// Bug returns a bug. One that may not be seen is not found, or refused.
func (c *Client) Bug(ctx context.Context, id int) (*Bug, error) {
	var answer struct {
		Bugs []*Bug `json:"bugs"`
	}
	err := c.call(ctx, "bugs.get", http.MethodGet, "/bug/"+strconv.Itoa(id), url.Values{"include_fields": {bugFields}}, nil, &answer)
	if err == nil && (len(answer.Bugs) != 1 || answer.Bugs[0] == nil) {
		err = &Error{Service: "bugzilla", Method: http.MethodGet, URL: "/rest/bug", Status: http.StatusNotFound, Message: "the answer has no bug"}
	}
	if err != nil {
		return nil, fmt.Errorf("reading bug %d: %w", id, err)
	}
	return answer.Bugs[0], nil
}

// openStates are those of bugs that are not closed.
var openStates = []string{"NEW", "ASSIGNED", "POST", "MODIFIED", "ON_DEV", "ON_QA", "VERIFIED", "FAILS_QA", "RELEASE_PENDING"}

// ReleaseBugs are the open bugs that say that a package of Fedora or EPEL has a
// new version, the newest first. There is one as a rule: its summary changes
// with each further version.
func (c *Client) ReleaseBugs(ctx context.Context, pkg string) ([]*Bug, error) {
	// Not by its creator: that is matched by words, and hidden from some.
	query := url.Values{
		"product": {"Fedora", "Fedora EPEL"}, "component": {pkg}, "status": openStates, "summary": {pkg + "-"},
		"include_fields": {bugFields}, "limit": {"100"}, "order": {"bug_id"},
	}
	var answer struct {
		Bugs []*Bug `json:"bugs"`
	}
	if err := c.call(ctx, "bugs.search", http.MethodGet, "/bug", query, nil, &answer); err != nil {
		return nil, fmt.Errorf("looking for bugs about new versions of %s: %w", pkg, err)
	}
	found := slices.DeleteFunc(answer.Bugs, func(b *Bug) bool {
		if b == nil || !b.Open || !slices.Contains(b.Components, pkg) {
			return true
		}
		of, _, ok := b.Release()
		return !ok || of != pkg || b.Creator != "" && b.Creator != MonitoringAccount && !slices.Contains(b.Keywords, "FutureFeature")
	})
	slices.SortFunc(found, func(a, b *Bug) int { return cmp.Compare(b.ID, a.ID) })
	return found, nil
}

// ReleaseBug is the open bug about this version of a package; without one it is
// nil.
func (c *Client) ReleaseBug(ctx context.Context, pkg, version string) (*Bug, error) {
	found, err := c.ReleaseBugs(ctx, pkg)
	if err != nil {
		return nil, err
	}
	for _, b := range found {
		if _, of, _ := b.Release(); of == version {
			return b, nil
		}
	}
	return nil, nil
}

// Comment is what somebody said about a bug.
type Comment struct {
	ID      int64     `json:"id"`
	Creator string    `json:"creator"`
	Text    string    `json:"text"`
	At      time.Time `json:"creation_time"`
}

// Comments are those of a bug, the oldest first. The first describes it.
func (c *Client) Comments(ctx context.Context, id int) ([]Comment, error) {
	var answer struct {
		Bugs map[string]struct {
			Comments []Comment `json:"comments"`
		} `json:"bugs"`
	}
	key := strconv.Itoa(id)
	if err := c.call(ctx, "comments.list", http.MethodGet, "/bug/"+key+"/comment", nil, nil, &answer); err != nil {
		return nil, fmt.Errorf("reading the comments of bug %d: %w", id, err)
	}
	return answer.Bugs[key].Comments, nil
}

// Change is what is done to a bug. What is empty stays.
type Change struct {
	Comment    string
	Status     string // such as CLOSED
	Resolution string // with CLOSED
}

// maxComment is how long a comment may be, in characters.
const maxComment = 65535

// ChangeBug comments on a bug and changes its state, both or nothing. Said twice,
// a comment stands there twice: who is not sure whether it arrived looks at
// Comments.
func (c *Client) ChangeBug(ctx context.Context, id int, change Change) error {
	body := map[string]any{}
	if change.Comment != "" {
		text := change.Comment
		if r := []rune(text); len(r) > maxComment {
			text = string(r[:maxComment-1]) + "…"
		}
		body["comment"] = map[string]any{"body": text, "is_private": false}
	}
	if change.Status != "" {
		body["status"] = change.Status
	}
	if change.Resolution != "" {
		body["resolution"] = change.Resolution
	}
	if err := c.call(ctx, "bugs.change", http.MethodPut, "/bug/"+strconv.Itoa(id), nil, body, nil); err != nil {
		return fmt.Errorf("changing bug %d: %w", id, err)
	}
	return nil
}

// User is the login that the key belongs to.
func (c *Client) User(ctx context.Context) (string, error) {
	var answer struct {
		Name string `json:"name"`
	}
	if err := c.call(ctx, "login.user", http.MethodGet, "/whoami", nil, nil, &answer); err != nil {
		return "", fmt.Errorf("asking whose key it is: %w", err)
	}
	return answer.Name, nil
}

func (c *Client) base() string { return strings.TrimSuffix(cmp.Or(c.BaseURL, DefaultURL), "/") }

func (c *Client) call(ctx context.Context, operation, method, path string, query url.Values, in, out any) error {
	address := c.base() + "/rest" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := httpx.NewRequest(ctx, method, address, in)
	if err != nil {
		return err
	}
	switch {
	case c.APIKey == "":
	case c.KeyInHeader:
		req.Header.Set("X-BUGZILLA-API-KEY", c.APIKey)
	default:
		req.Header.Set("Authorization", "Bearer "+c.APIKey)
	}
	return httpx.Caller{Service: "bugzilla", HTTP: c.HTTP, Explain: explain}.Do(ctx, operation, req, out)
}

// explain keeps Bugzilla's number beside its words: several refusals share a
// status.
func explain(body []byte) string {
	var answer struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Message == "" {
		return ""
	}
	return fmt.Sprintf("%s (code %d)", answer.Message, answer.Code)
}

var refusalCode = regexp.MustCompile(`\(code (\d+)\)$`)

// Code is Bugzilla's number for why it refused, 0 if there is none.
func Code(err error) int {
	if m := refusalCode.FindStringSubmatch(message(err)); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits alone; too many are no code
		return n
	}
	return 0
}
