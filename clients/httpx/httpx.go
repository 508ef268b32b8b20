// Package httpx holds what the clients of all outside services share: one
// error, one way to make a call whose answer is limited in time and size, and
// a transport that tells how calls went. Nothing in it repeats a call.
package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// DefaultTimeout ends calls through a client that has no timeout of its
	// own, from the connection to the last byte of the answer.
	DefaultTimeout = time.Minute
	// DefaultLimit is how many bytes of an answer are read if the caller does
	// not say.
	DefaultLimit = 8 << 20

	errorBodyLimit = 64 << 10
	maxMessage     = 4 << 10
	maxRetryAfter  = 24 * time.Hour
)

var defaultClient = &http.Client{Timeout: DefaultTimeout, Transport: &Transport{}}

// ErrTooLarge is in the chain of the error of a call whose answer was larger
// than its limit.
var ErrTooLarge = errors.New("the answer is too large")

// Caller is what a client says about all of its calls. The zero value of each
// field but Service has a default.
type Caller struct {
	Service string       // for errors, such as "copr"
	HTTP    *http.Client // nil means one with DefaultTimeout
	Limit   int64        // bytes of an answer; 0 means DefaultLimit

	// Explain finds the service's own words in the body of a refusal. If it is
	// nil or finds nothing, the usual JSON keys and short plain texts are tried.
	Explain func(body []byte) string
}

// Do sends req and decodes the answer's JSON into out. If out is nil, the
// answer is read and forgotten; if it is a *[]byte, it is stored as it came.
// Any status but 2xx, and anything else that goes wrong, is an *Error.
//
// The operation, such as "build.get", is for the observer of a Transport.
func (c Caller) Do(ctx context.Context, operation string, req *http.Request, out any) error {
	res, err := c.Open(ctx, operation, req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	limit := c.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return c.failure(req, 0, fmt.Errorf("reading the answer: %w", withoutURL(err)))
	case int64(len(body)) > limit:
		return c.failure(req, res.StatusCode, fmt.Errorf("%w (limit %d bytes)", ErrTooLarge, limit))
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = body
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		if isHTML(res.Header) {
			// A proxy's page in the service's place; the service will be back.
			return c.failure(req, http.StatusBadGateway, errors.New("a web page came instead of an answer"))
		}
		return c.failure(req, res.StatusCode, fmt.Errorf("decoding the answer: %w", err))
	}
	return nil
}

// Open sends req and returns the answer once it is known to be 2xx. The caller
// limits, reads and closes its body; DefaultTimeout still ends it if neither
// ctx nor the HTTP client has a limit.
func (c Caller) Open(ctx context.Context, operation string, req *http.Request) (*http.Response, error) {
	client := c.HTTP
	if client == nil {
		client = defaultClient
	}
	ctx = WithOperation(ctx, operation)
	cancel := context.CancelFunc(func() {})
	if _, limited := ctx.Deadline(); !limited && client.Timeout == 0 {
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout)
	}
	res, err := client.Do(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, c.failure(req, 0, withoutURL(err))
	}
	res.Body = &closer{res.Body, cancel}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	// The rest of a refusal is of no use, and neither is an error in reading it.
	body, _ := io.ReadAll(io.LimitReader(res.Body, errorBodyLimit))
	e := c.failure(req, res.StatusCode, nil)
	e.Message = c.explain(res.Header, body)
	e.RetryAfter = retryAfter(res.Header, time.Now())
	return nil, e
}

func (c Caller) failure(req *http.Request, status int, err error) *Error {
	return &Error{Service: c.Service, Method: req.Method, URL: req.URL.Path, Status: status, Err: err}
}

func (c Caller) explain(h http.Header, body []byte) string {
	var text string
	if c.Explain != nil {
		text = c.Explain(body)
	}
	if text == "" {
		text = usualWords(h, body)
	}
	return Clean(text, maxMessage)
}

// usualWords looks for a message under the names that most services give it.
func usualWords(h http.Header, body []byte) string {
	var object map[string]any
	if json.Unmarshal(body, &object) == nil {
		for _, key := range []string{"error", "message", "detail", "description"} {
			if text, ok := object[key].(string); ok && text != "" {
				return text
			}
		}
		return ""
	}
	if isHTML(h) || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return ""
	}
	return string(body)
}

// Clean makes text of unknown origin fit for a page or a log: valid UTF-8,
// without control characters but line breaks, at most limit bytes long.
func Clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || !unicode.IsControl(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// NewRequest makes a request whose body is in as JSON, or none if in is nil.
func NewRequest(ctx context.Context, method, address string, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encoding the body: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", withoutURL(err))
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// withoutURL drops the address from an error of net/http, whose query may hold
// a secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func isHTML(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/html")
}

// retryAfter reads the header of that name: seconds or a date. The zero time
// means that the service did not say.
func retryAfter(h http.Header, now time.Time) time.Time {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return time.Time{}
	}
	at, err := http.ParseTime(text)
	if seconds, numErr := strconv.ParseUint(text, 10, 31); numErr == nil {
		at, err = now.Add(time.Duration(seconds)*time.Second), nil
	}
	if err != nil {
		return time.Time{}
	}
	if last := now.Add(maxRetryAfter); at.After(last) {
		return last
	}
	return at
}

type closer struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *closer) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}
