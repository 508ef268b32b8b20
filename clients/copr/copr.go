// Package copr is a client of Copr, which builds RPM packages in public
// projects, and a reader of its messages. It speaks version 3 of the API
// (https://copr.fedorainfracloud.org/api_3/docs).
package copr

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"millrace/clients/httpx"
)

// Fedora's instance.
const (
	DefaultURL        = "https://copr.fedorainfracloud.org"
	DefaultResultsURL = "https://download.copr.fedorainfracloud.org/results"
)

// answerLimit bounds the JSON of any answer: the largest is the list of builds
// of FindBuild, some 100 kB.
const answerLimit = 16 << 20

// Client calls one Copr instance.
type Client struct {
	BaseURL string // without "/api_3"; empty means DefaultURL
	Login   string // of the API, not of the user; empty for reading only
	Token   string
	HTTP    *http.Client // nil means one with a timeout
}

// User returns the name of the user that the login belongs to.
func (c *Client) User(ctx context.Context) (string, error) {
	var out struct {
		Name string `json:"name"`
	}
	err := c.call(ctx, "auth.check", http.MethodGet, "/auth-check", nil, nil, &out)
	return out.Name, err
}

// Chroots lists the chroots that the instance can build for. Which of them a
// project builds for is in Project.Chroots.
func (c *Client) Chroots(ctx context.Context) ([]string, error) {
	out := make(map[string]string)
	if err := c.call(ctx, "chroots.list", http.MethodGet, "/mock-chroots/list", nil, nil, &out); err != nil {
		return nil, err
	}
	return sortedKeys(out), nil
}

// BuildURL is the web page of a build.
func (c *Client) BuildURL(id int64) string {
	return fmt.Sprintf("%s/coprs/build/%d/", c.base(), id)
}

// ProjectURL is the web page of a project. The names of groups start with "@".
func (c *Client) ProjectURL(owner, project string) string {
	if group, ok := strings.CutPrefix(owner, "@"); ok {
		owner = "g/" + url.PathEscape(group)
	} else {
		owner = url.PathEscape(owner)
	}
	return c.base() + "/coprs/" + owner + "/" + url.PathEscape(project) + "/"
}

func (c *Client) base() string {
	if c.BaseURL == "" {
		return DefaultURL
	}
	return strings.TrimSuffix(c.BaseURL, "/")
}

func (c *Client) caller() httpx.Caller {
	return httpx.Caller{Service: "copr", HTTP: c.HTTP, Limit: answerLimit, Explain: explain}
}

// call speaks JSON with the API: path is below "/api_3".
func (c *Client) call(ctx context.Context, operation, method, path string, query url.Values, in, out any) error {
	address := c.base() + "/api_3" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := httpx.NewRequest(ctx, method, address, in)
	if err != nil {
		return err
	}
	c.authorize(req)
	return c.caller().Do(ctx, operation, req, out)
}

func (c *Client) authorize(req *http.Request) {
	if c.Login != "" {
		req.SetBasicAuth(c.Login, c.Token)
	}
}

// explain finds Copr's words. The text of a refused form is the printed form
// of a Python dict, which we leave as it is: it names the fields.
func explain(body []byte) string {
	var refusal struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &refusal) != nil {
		return ""
	}
	if refusal.Error != "" {
		return refusal.Error
	}
	return refusal.Message
}

// IsPermission reports whether Copr refused because the login may not do this
// to this project.
func IsPermission(err error) bool { return httpx.Status(err) == http.StatusForbidden }

// IsLogin reports whether Copr refused the login itself, as it does when the
// token has expired: a matter for the operator.
func IsLogin(err error) bool { return httpx.Status(err) == http.StatusUnauthorized }

// IsNotFound reports whether what was asked for does not exist.
func IsNotFound(err error) bool { return httpx.Status(err) == http.StatusNotFound }

// IsConflict reports whether the state of things forbids the change: chroots
// with running builds that were to be dropped, or a finished build that was to
// be canceled.
func IsConflict(err error) bool { return httpx.Status(err) == http.StatusConflict }

// IsForgeProjectRefused reports whether the project does not list the forge
// project of the build among those that may build in it.
func IsForgeProjectRefused(err error) bool {
	return IsPermission(err) && strings.HasPrefix(Text(err), "Forge project ")
}

// Text is what Copr said, or else the whole error.
func Text(err error) string {
	if err == nil {
		return ""
	}
	if said := message(err); said != "" {
		return said
	}
	return err.Error()
}

// Copr tells about chroots in three ways: the first when a project is made or
// edited, the second when a build is submitted, the third in other forms.
var (
	chrootLists = regexp.MustCompile(`(?:Unexpected chroot|Such chroot is not available): ([\w.+, -]+)`)
	chrootValue = regexp.MustCompile(`'([\w.+-]+)' is not a valid choice`)
)

// UnknownChroots are the chroots that Copr does not know, or that the project
// does not have, if that is why it refused; else none.
func UnknownChroots(err error) []string {
	text := message(err)
	var chroots []string
	for _, match := range chrootLists.FindAllStringSubmatch(text, -1) {
		for name := range strings.SplitSeq(match[1], ",") {
			if name = strings.Trim(name, " ."); name != "" {
				chroots = append(chroots, name)
			}
		}
	}
	if !strings.Contains(strings.ToLower(text), "chroots") {
		return chroots
	}
	for _, match := range chrootValue.FindAllStringSubmatch(text, -1) {
		chroots = append(chroots, match[1])
	}
	return chroots
}

// Copr's times are seconds since 1970, or null.
type epoch int64

func (e *epoch) time() time.Time {
	if e == nil || *e <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(*e), 0).UTC()
}
