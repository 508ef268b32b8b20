package httpx

import (
	"context"
	"net/http"
	"time"
)

// DefaultUserAgent is sent by a Transport that was not given another.
const DefaultUserAgent = "Millrace"

// Transport names the sender of each request and tells how the request went.
type Transport struct {
	Service   string
	UserAgent string // such as "Millrace/1.2 (+https://example.org; admin@example.org)"

	// Observe, if set, is called once a request, from many goroutines: after
	// the head of its answer has come, or err (and status 0) instead of it.
	Observe func(service, operation string, status int, err error, took time.Duration)

	Next http.RoundTripper // nil means http.DefaultTransport
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("User-Agent") == "" {
		agent := t.UserAgent
		if agent == "" {
			agent = DefaultUserAgent
		}
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", agent)
	}
	next := t.Next
	if next == nil {
		next = http.DefaultTransport
	}
	start := time.Now()
	res, err := next.RoundTrip(req)
	if t.Observe != nil {
		status := 0
		if err == nil {
			status = res.StatusCode
		}
		t.Observe(t.Service, Operation(req.Context()), status, err, time.Since(start))
	}
	return res, err
}

type operationKey struct{}

// WithOperation names the call made under ctx for the observer of a Transport.
func WithOperation(ctx context.Context, operation string) context.Context {
	return context.WithValue(ctx, operationKey{}, operation)
}

// Operation is the name given by WithOperation, "other" without one.
func Operation(ctx context.Context) string {
	if name, ok := ctx.Value(operationKey{}).(string); ok && name != "" {
		return name
	}
	return "other"
}
