// Package pagure is a client of Pagure, the forge of Fedora's dist-git
// (https://src.fedoraproject.org/api/0/): projects and who may do what to them,
// forks, pull requests, comments and flags. What moves commits is git itself.
//
// A project is named by its full name as Pagure says it: "rpms/hello", or
// "forks/packit/rpms/hello" for packit's fork of it.
package pagure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/forge"
	"millrace/clients/httpx"
)

// DefaultURL is Fedora's dist-git.
const DefaultURL = "https://src.fedoraproject.org"

// Client calls one Pagure instance. No method repeats a call.
type Client struct {
	BaseURL string       // without "/api/0"; empty means DefaultURL
	Token   string       // of the API; empty for reading only
	HTTP    *http.Client // nil means one with a timeout
	// Pause is how long to wait before looking again at a fork that is being
	// made; zero means two seconds.
	Pause time.Duration
}

// Error is a call that did not work, and whether it may work later.
type Error = httpx.Error

// address is where the API has a project, with the slash before it.
func address(repo string) (string, error) {
	parts := strings.Split(repo, "/")
	if len(parts) > 2 && (parts[0] == "forks" || parts[0] == "fork") {
		parts[0] = "fork"
	} else if len(parts) > 2 {
		parts = nil
	}
	if len(parts) == 0 || len(parts) > 4 || slices.ContainsFunc(parts, func(p string) bool { return !forge.Name(p) }) {
		return "", fmt.Errorf("%.80q is not the name of a project", repo)
	}
	return "/" + strings.Join(parts, "/"), nil
}

func (c *Client) base() string {
	if c.BaseURL == "" {
		return DefaultURL
	}
	return strings.TrimSuffix(c.BaseURL, "/")
}

// get asks for a path below that of the API.
func (c *Client) get(ctx context.Context, operation, path string, query url.Values, out any) error {
	at := c.base() + "/api/0" + path
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	req, err := httpx.NewRequest(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	return c.do(ctx, operation, req, out)
}

// post sends a form, with the given fields, to a path below that of the API.
func (c *Client) post(ctx context.Context, operation, path string, form url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base()+"/api/0"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return c.do(ctx, operation, req, out)
}

func (c *Client) do(ctx context.Context, operation string, req *http.Request, out any) error {
	if c.Token != "" {
		req.Header.Set("Authorization", "token "+c.Token)
	}
	return httpx.Caller{Service: "pagure", HTTP: c.HTTP, Explain: explain}.Do(ctx, operation, req, out)
}

// explain joins what Pagure says with the details that it puts beside it: a
// text, a list, or lists by the field of the form.
func explain(body []byte) string {
	var answer struct {
		Error  string          `json:"error"`
		Code   string          `json:"error_code"`
		Errors json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	text := answer.Error
	if details := detailsOf(answer.Errors); details != "" && details != text {
		text = strings.TrimPrefix(text+": "+details, ": ")
	}
	if answer.Code != "" && answer.Code != "ENOCODE" {
		text += " (" + answer.Code + ")"
	}
	return text
}

func detailsOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, "; ")
	}
	var fields map[string][]string
	if json.Unmarshal(raw, &fields) != nil {
		return ""
	}
	for field, said := range fields {
		list = append(list, field+": "+strings.Join(said, " "))
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// seconds reads a time as Pagure writes it: a text with the seconds since 1970.
// The zero time stands for none.
func seconds(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > 1<<40 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// both decodes one JSON value twice.
type both [2]any

func (b both) UnmarshalJSON(body []byte) error {
	return errors.Join(json.Unmarshal(body, b[0]), json.Unmarshal(body, b[1]))
}
