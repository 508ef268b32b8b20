// Package fasjson asks the Fedora Account System about people and groups:
// https://fasjson.fedoraproject.org/docs/v1/.
//
// Every call needs a Kerberos token (SPNEGO): the server keeps no session. What
// a person keeps private comes as null.
package fasjson

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"millrace/clients/httpx"
)

// DefaultURL is Fedora's.
const DefaultURL = "https://fasjson.fedoraproject.org"

const (
	pageSize = 40
	maxPages = 100
	limit    = 1 << 20 // bytes of an answer
)

// Client calls one FASJSON. No method repeats a call. It is safe for concurrent
// use if Negotiate is.
type Client struct {
	BaseURL string       // without "/v1"; empty means DefaultURL
	HTTP    *http.Client // nil means one with a timeout

	// Negotiate makes the token of a login by Kerberos (SPNEGO) for the service
	// HTTP at a host. It is called for every call.
	Negotiate func(ctx context.Context, host string) ([]byte, error)
}

// Error is a call that did not work, and whether it may work later.
type Error = httpx.Error

// Service is another place where people have accounts that they name in their
// profile.
type Service string

// The services whose accounts can be looked for.
const (
	GitHub Service = "github"
	GitLab Service = "gitlab"
)

// User is somebody's profile, as far as they show it.
type User struct {
	Login    string
	Private  bool // they show little more than the login
	Locked   bool // the account may not be used
	Accounts map[Service]string
}

// loginPattern is what the account system allows; names below are parts of
// addresses.
var loginPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)

// User returns somebody's profile.
func (c *Client) User(ctx context.Context, login string) (*User, error) {
	if !loginPattern.MatchString(login) {
		return nil, badName("user", login)
	}
	var answer struct {
		Result struct {
			Username string  `json:"username"`
			Private  bool    `json:"is_private"`
			Locked   bool    `json:"locked"`
			GitHub   *string `json:"github_username"`
			GitLab   *string `json:"gitlab_username"`
		} `json:"result"`
	}
	// The mask keeps people's addresses and telephones out of our memory.
	fields := "{username,is_private,locked,github_username,gitlab_username}"
	if err := c.get(ctx, "user.get", "/v1/users/"+login+"/", nil, fields, &answer); err != nil {
		return nil, fmt.Errorf("asking who %s is: %w", login, err)
	}
	u := &User{Login: answer.Result.Username, Private: answer.Result.Private, Locked: answer.Result.Locked, Accounts: map[Service]string{}}
	for service, name := range map[Service]*string{GitHub: answer.Result.GitHub, GitLab: answer.Result.GitLab} {
		if name != nil && strings.TrimSpace(*name) != "" {
			u.Accounts[service] = strings.TrimSpace(*name)
		}
	}
	return u, nil
}

// GroupMembers lists the logins of those in a group.
func (c *Client) GroupMembers(ctx context.Context, group string) ([]string, error) {
	if !loginPattern.MatchString(group) {
		return nil, badName("group", group)
	}
	members, err := c.names(ctx, "group.members", "/v1/groups/"+group+"/members/", url.Values{}, "")
	if err != nil {
		return nil, fmt.Errorf("asking who is in the group %s: %w", group, err)
	}
	return members, nil
}

// Me is the account that we are.
func (c *Client) Me(ctx context.Context) (string, error) {
	var answer struct {
		Result struct {
			Username string `json:"username"`
			Service  string `json:"service"`
		} `json:"result"`
	}
	if err := c.get(ctx, "me.get", "/v1/me/", nil, "", &answer); err != nil {
		return "", fmt.Errorf("asking who we are: %w", err)
	}
	if answer.Result.Username == "" {
		return answer.Result.Service, nil
	}
	return answer.Result.Username, nil
}

// names collects a list of people, page by page. The addresses of further pages
// that answers name are not followed: they would be sent our token.
func (c *Client) names(ctx context.Context, operation, path string, query url.Values, fields string) ([]string, error) {
	var all []string
	query.Set("page_size", strconv.Itoa(pageSize))
	for n := 1; n <= maxPages; n++ {
		query.Set("page_number", strconv.Itoa(n))
		var answer struct {
			Result []struct {
				Username string `json:"username"`
			} `json:"result"`
			Page struct {
				Total int `json:"total_pages"`
			} `json:"page"`
		}
		if err := c.get(ctx, operation, path, query, fields, &answer); err != nil {
			return nil, err
		}
		for _, one := range answer.Result {
			all = append(all, one.Username)
		}
		if n >= answer.Page.Total || len(answer.Result) == 0 {
			break
		}
	}
	return all, nil
}

func (c *Client) get(ctx context.Context, operation, path string, query url.Values, fields string, out any) error {
	base := c.BaseURL
	if base == "" {
		base = DefaultURL
	}
	at := strings.TrimSuffix(base, "/") + path
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	req, err := httpx.NewRequest(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	if fields != "" {
		req.Header.Set("X-Fields", fields)
	}
	if c.Negotiate != nil {
		token, err := c.Negotiate(ctx, req.URL.Hostname())
		if err != nil {
			return &Error{Service: "fasjson", Method: req.Method, URL: req.URL.Path, Err: fmt.Errorf("making a Kerberos token: %w", err)}
		}
		req.Header.Set("Authorization", "Negotiate "+base64.StdEncoding.EncodeToString(token))
	}
	return httpx.Caller{Service: "fasjson", HTTP: c.HTTP, Limit: limit, Explain: explain}.Do(ctx, operation, req, out)
}

// explain joins what the server says with where in it the trouble was.
func explain(body []byte) string {
	var answer struct{ Message, Details, Source string }
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	text := answer.Message
	if answer.Details != "" {
		text += ": " + answer.Details
	}
	if answer.Source != "" {
		text += " (" + answer.Source + ")"
	}
	return text
}

// badName is the answer to a name that there cannot be; nothing was sent.
func badName(kind, name string) error {
	return &Error{Service: "fasjson", Status: http.StatusNotFound, Message: fmt.Sprintf("%.80q is not the name of a %s", name, kind)}
}

// IsNotFound reports whether there is no such user or group.
func IsNotFound(err error) bool { return httpx.Status(err) == http.StatusNotFound }

// IsUnknown reports whether the server does not know us: it did not take our
// Kerberos token.
func IsUnknown(err error) bool { return httpx.Status(err) == http.StatusUnauthorized }
