// Package koji is a client of Koji, which builds Fedora's packages. It speaks
// the XML-RPC of the hub (https://docs.pagure.org/koji/), anonymously for what
// only reads and in a session for what changes something.
package koji

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/xmlrpc"
)

// Fedora's instance.
const (
	DefaultHubURL   = "https://koji.fedoraproject.org/kojihub"
	DefaultWebURL   = "https://koji.fedoraproject.org/koji"
	DefaultFilesURL = "https://kojipkgs.fedoraproject.org"
)

const (
	// answerLimit bounds any answer. The largest are the builds in a tag, some
	// 1 kB each.
	answerLimit = 32 << 20
	// maxRequest is what a hub takes, if it is not configured otherwise.
	maxRequest = 4 << 20
	maxText    = 4 << 10 // of a fault, which may hold a whole traceback

	apiVersion = 1
)

// Client calls one Koji. It may be used by many goroutines: calls that need no
// login run side by side, the others one after another, as the hub wants them.
type Client struct {
	HubURL   string       // empty means DefaultHubURL
	WebURL   string       // of the pages for people; empty means DefaultWebURL
	FilesURL string       // of logs and packages; empty means DefaultFilesURL
	HTTP     *http.Client // nil means one with a timeout

	// Negotiate makes the token of a login by Kerberos (SPNEGO) for the service
	// HTTP at a host. If it is nil, there is no login but by Certificate.
	Negotiate func(ctx context.Context, host string) ([]byte, error)
	// Certificate says that the transport of HTTP shows a client certificate,
	// which some hubs take in place of Kerberos.
	Certificate bool

	begin   sync.Once
	turn    chan struct{} // has one item, which who uses the session takes out
	session *session      // nil if there is none; for who has the turn
}

// Keywords are arguments by name, and go last.
type Keywords map[string]any

// starstar is the member by which the hub knows Keywords from a struct.
const starstar = "__starstar"

// Call is one call of a MultiCall.
type Call struct {
	Method string
	Args   []any
}

// Answer is what came of a Call: a value, or a *Fault.
type Answer struct {
	Value any
	Err   error
}

// Ping asks the hub for its version, such as "1.35.1", and makes sure that it
// speaks the API that we do.
func (c *Client) Ping(ctx context.Context) (string, error) {
	var api int64
	if err := c.call(ctx, "getAPIVersion", &api); err != nil {
		return "", err
	}
	if api != apiVersion {
		return "", fmt.Errorf("koji speaks version %d of its API, not %d", api, apiVersion)
	}
	var version string
	err := c.call(ctx, "getKojiVersion", &version)
	if IsUnknownMethod(err) { // hubs before 1.23
		return "", nil
	}
	return version, err
}

// MultiCall makes several calls that only read in one request. The error is
// that of the whole; what single calls met is in their answers.
func (c *Client) MultiCall(ctx context.Context, calls []Call) ([]Answer, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	list := make([]any, len(calls))
	for i, call := range calls {
		list[i] = map[string]any{"methodName": call.Method, "params": wireArgs(call.Args)}
	}
	var results []any
	if err := c.call(ctx, "multiCall", &results, list); err != nil {
		return nil, err
	}
	if len(results) != len(calls) {
		return nil, c.garbled(fmt.Errorf("%d calls have %d answers", len(calls), len(results)))
	}
	answers := make([]Answer, len(calls))
	for i, result := range results {
		if values, ok := result.([]any); ok && len(values) == 1 {
			answers[i].Value = values[0]
			continue
		}
		fault, err := xmlrpc.FaultOf(result)
		if err != nil {
			return nil, c.garbled(fmt.Errorf("answer %d: %w", i+1, err))
		}
		answers[i].Err = faultOf(calls[i].Method, fault)
	}
	return answers, nil
}

// TaskURL is the page of a task.
func (c *Client) TaskURL(id int64) string {
	return c.web() + "/taskinfo?taskID=" + strconv.FormatInt(id, 10)
}

// BuildURL is the page of a build.
func (c *Client) BuildURL(id int64) string {
	return c.web() + "/buildinfo?buildID=" + strconv.FormatInt(id, 10)
}

// call makes a call that needs no login and stores its result in out; see
// xmlrpc.Into, whose rules hold but for a *[]any, which gets the list as it
// is. A result that is nil leaves out as it was.
func (c *Client) call(ctx context.Context, method string, out any, args ...any) error {
	value, err := c.send(ctx, nil, method, args)
	if err != nil {
		return err
	}
	return c.store(method, value, out)
}

func (c *Client) store(method string, value, out any) error {
	if list, ok := out.(*[]any); ok {
		values, isList := value.([]any)
		if !isList {
			return c.garbled(fmt.Errorf("%s did not answer with a list", method))
		}
		*list = values
		return nil
	}
	if out == nil {
		return nil
	}
	if err := xmlrpc.Into(value, out); err != nil {
		return c.garbled(fmt.Errorf("the answer to %s: %w", method, err))
	}
	return nil
}

// send makes a call in a session, or without one if s is nil.
func (c *Client) send(ctx context.Context, s *session, method string, args []any) (any, error) {
	body, err := xmlrpc.EncodeCall(method, wireArgs(args)...)
	if err != nil {
		return nil, err
	}
	return c.post(ctx, s, method, c.hub(), "text/xml", body)
}

// post sends a body and reads the answer, the same for calls and uploads.
func (c *Client) post(ctx context.Context, s *session, method, address, contentType string, body []byte) (any, error) {
	if len(body) > maxRequest {
		return nil, fmt.Errorf("calling %s of koji: the request has %d bytes, the hub takes %d", method, len(body), maxRequest)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making a request of koji: %w", err)
	}
	req.Header.Set("Content-Type", contentType)
	s.sign(req)
	return c.answer(ctx, method, req)
}

func (c *Client) answer(ctx context.Context, method string, req *http.Request) (any, error) {
	var raw []byte
	if err := c.caller().Do(ctx, method, req, &raw); err != nil {
		return nil, err
	}
	value, err := xmlrpc.DecodeResponse(raw)
	if fault, ok := errors.AsType[*xmlrpc.Fault](err); ok {
		return nil, faultOf(method, fault)
	}
	if err != nil {
		return nil, c.garbled(err)
	}
	return value, nil
}

// garbled is the error of an answer that the hub did not give like this: most
// often a proxy's page in its place. It will be back.
func (c *Client) garbled(err error) error {
	path := ""
	if u, parseErr := url.Parse(c.hub()); parseErr == nil {
		path = u.Path
	}
	return &httpx.Error{Service: "koji", Method: http.MethodPost, URL: path, Status: http.StatusBadGateway, Err: err}
}

func (c *Client) caller() httpx.Caller {
	return httpx.Caller{Service: "koji", HTTP: c.HTTP, Limit: answerLimit}
}

func (c *Client) hub() string   { return orDefault(c.HubURL, DefaultHubURL) }
func (c *Client) web() string   { return orDefault(c.WebURL, DefaultWebURL) }
func (c *Client) files() string { return orDefault(c.FilesURL, DefaultFilesURL) }

func orDefault(address, otherwise string) string {
	if address == "" {
		return otherwise
	}
	return strings.TrimSuffix(address, "/")
}

// wireArgs writes Keywords as the hub wants them.
func wireArgs(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		if keywords, ok := arg.(Keywords); ok {
			members := make(map[string]any, len(keywords)+1)
			for name, value := range keywords {
				members[name] = value
			}
			members[starstar] = true
			arg = members
		}
		out[i] = arg
	}
	return out
}

// stamp is a time as the hub's members ending in _ts have it: seconds since
// 1970 with a fraction, or nil.
type stamp float64

func (s *stamp) time() time.Time {
	if s == nil || *s <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(float64(*s) * 1e6)).UTC()
}
