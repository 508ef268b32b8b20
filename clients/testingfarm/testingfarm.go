// Package testingfarm speaks to Testing Farm, which runs tmt plans on fresh
// machines: https://api.dev.testing-farm.io/docs.
package testingfarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millrace/clients/httpx"
)

// Client speaks for one token, and so for one ranch. No method repeats a call.
type Client struct {
	BaseURL string // with the version: https://api.dev.testing-farm.io/v0.1
	Token   string
	HTTP    *http.Client // nil means one with httpx.DefaultTimeout
}

const (
	// maxRequest allows for results inside the answer.
	maxRequest = 64 << 20
	// maxResults is how much of a results file is read.
	maxResults = 64 << 20
)

// Create submits s and returns the request it became, of which only some
// fields are known. Testing Farm does not recognise a repeat: after an error
// that is temporary, and after a crash, ask FindRequest first.
func (c *Client) Create(ctx context.Context, s Submission) (*Request, error) {
	payload, err := s.Payload()
	if err != nil {
		return nil, err
	}
	var w wireRequest
	if err := c.call(ctx, "request.create", http.MethodPost, "/requests", payload, &w); err != nil {
		return nil, fmt.Errorf("submitting tests of %s: %w", s.Test.URL, err)
	}
	r, err := w.request()
	if err != nil {
		return nil, fmt.Errorf("submitting tests of %s: %w", s.Test.URL, err)
	}
	if r.State == "" { // the first answer has none
		r.State = New
	}
	return r, nil
}

// Request asks how a request is doing.
func (c *Client) Request(ctx context.Context, id string) (*Request, error) {
	if !validID(id) {
		return nil, fmt.Errorf("reading request %.80q: this is not an id", id)
	}
	var w wireRequest
	err := c.call(ctx, "request.get", http.MethodGet, "/requests/"+id, nil, &w)
	if httpx.Status(err) == http.StatusForbidden {
		// A token may be refused where nobody in particular is welcome.
		public := Client{BaseURL: c.BaseURL, HTTP: c.HTTP}
		err = public.call(ctx, "request.get", http.MethodGet, "/requests/"+id, nil, &w)
	}
	if err != nil {
		return nil, fmt.Errorf("reading request %s: %w", id, err)
	}
	r, err := w.request()
	if err != nil {
		return nil, fmt.Errorf("reading request %s: %w", id, err)
	}
	return r, nil
}

// FindRequest looks among the token's requests for the one that was submitted
// with key, and returns nil if there is none. Only requests made after since
// are looked at: give the time of the submission less a few minutes, for
// clocks that disagree. If a submission was repeated, it returns the first.
func (c *Client) FindRequest(ctx context.Context, key string, since time.Time) (*Request, error) {
	if key == "" {
		return nil, errors.New("looking for a request: no key")
	}
	query := url.Values{"created_after": {since.UTC().Format("2006-01-02T15:04:05")}}
	var list []wireRequest // null if empty
	if err := c.call(ctx, "request.list", http.MethodGet, "/requests?"+query.Encode(), nil, &list); err != nil {
		return nil, fmt.Errorf("looking for the request of submission %s: %w", key, err)
	}
	var found *Request
	for i := range list {
		r, err := list[i].request()
		if err != nil || r.Key() != key {
			continue // another's, and if it cannot be read it is not ours
		}
		if found == nil || r.Created.Before(found.Created) {
			found = r
		}
	}
	return found, nil
}

// Cancel asks for the end of a request. It succeeds if the request had ended
// already: what became of it, Request tells.
func (c *Client) Cancel(ctx context.Context, id string) error {
	if !validID(id) {
		return fmt.Errorf("canceling request %.80q: this is not an id", id)
	}
	err := c.call(ctx, "request.cancel", http.MethodDelete, "/requests/"+id, nil, nil)
	if err != nil && httpx.Status(err) != http.StatusConflict {
		return fmt.Errorf("canceling request %s: %w", id, err)
	}
	return nil
}

// Composes lists the composes of a ranch: names and regular expressions, as
// Compose takes them.
func (c *Client) Composes(ctx context.Context, ranch string) ([]string, error) {
	var answer struct {
		Composes []struct {
			Name string `json:"name"`
		} `json:"composes"`
	}
	path := "/composes/" + url.PathEscape(ranch)
	if err := c.call(ctx, "composes", http.MethodGet, path, nil, &answer); err != nil {
		return nil, fmt.Errorf("listing the composes of ranch %s: %w", ranch, err)
	}
	names := make([]string, 0, len(answer.Composes))
	for _, compose := range answer.Composes {
		names = append(names, compose.Name)
	}
	return names, nil
}

// Results returns the XML of a finished request's results, for Summarize. The
// farm leaves big ones out of its answer; they are fetched from the artifacts.
func (c *Client) Results(ctx context.Context, r *Request) ([]byte, error) {
	if r.XUnit != "" {
		return []byte(r.XUnit), nil
	}
	if r.Artifacts == "" {
		return nil, fmt.Errorf("fetching the results of request %s: it has no artifacts", r.ID)
	}
	results, err := c.Artifact(ctx, strings.TrimSuffix(r.Artifacts, "/")+"/results.xml", maxResults)
	if err != nil {
		return nil, fmt.Errorf("fetching the results of request %s: %w", r.ID, err)
	}
	return results, nil
}

// Artifact fetches a log or other file of a request, of at most limit bytes.
// The token is not sent: artifacts lie on another host, for everyone.
func (c *Client) Artifact(ctx context.Context, address string, limit int64) ([]byte, error) {
	if !isWebURL(address) {
		return nil, fmt.Errorf("fetching %.200q: not a web address", address)
	}
	req, err := httpx.NewRequest(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "*/*")
	res, err := c.caller(limit).Open(ctx, "artifact", req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	failure := &httpx.Error{Service: service, Method: http.MethodGet, URL: req.URL.Path}
	switch {
	case err != nil:
		failure.Err = fmt.Errorf("reading the answer: %w", err)
		return nil, failure
	case int64(len(body)) > limit:
		failure.Status, failure.Err = res.StatusCode, fmt.Errorf("%w (limit %d bytes)", httpx.ErrTooLarge, limit)
		return nil, failure
	}
	return body, nil
}

const service = "testing farm"

func (c *Client) caller(limit int64) httpx.Caller {
	return httpx.Caller{Service: service, HTTP: c.HTTP, Limit: limit, Explain: explain}
}

func (c *Client) call(ctx context.Context, operation, method, path string, in, out any) error {
	req, err := httpx.NewRequest(ctx, method, strings.TrimSuffix(c.BaseURL, "/")+path, in)
	if err != nil {
		return err
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return c.caller(maxRequest).Do(ctx, operation, req, out)
}

// explain finds the farm's words in a refusal: a tree of messages that follows
// the request's shape, one sentence, or a list of places and messages.
func explain(body []byte) string {
	var refusal struct {
		Errors  any    `json:"errors"`
		Message string `json:"message"`
		Detail  any    `json:"detail"`
	}
	if json.Unmarshal(body, &refusal) != nil {
		return ""
	}
	if lines := flatten(refusal.Errors, "", nil); len(lines) > 0 {
		return strings.Join(lines, "; ")
	}
	if refusal.Message != "" {
		return refusal.Message
	}
	details, _ := refusal.Detail.([]any)
	var lines []string
	for _, d := range details {
		detail, _ := d.(map[string]any)
		place, _ := detail["loc"].([]any)
		var path string
		for _, part := range place {
			path = join(path, fmt.Sprint(part))
		}
		lines = flatten(detail["msg"], path, lines)
	}
	return strings.Join(lines, "; ")
}
