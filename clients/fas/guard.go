package fas

import (
	"io"
	"net/http"
	"sync"

	"millrace/clients/httpx"
)

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 1 << 20

// guard is between the OpenID libraries and the network: they read answers of
// any size, and do not tell a provider in trouble from a forged token.
type guard struct {
	next    http.RoundTripper
	trouble *trouble
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	next := g.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(req)
	if err != nil {
		return nil, g.trouble.note(&httpx.Error{Service: "fas", Method: req.Method, URL: req.URL.Path, Err: err})
	}
	if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
		res.Body.Close()
		return nil, g.trouble.note(&httpx.Error{Service: "fas", Method: req.Method, URL: req.URL.Path, Status: res.StatusCode})
	}
	res.Body = &limited{http.MaxBytesReader(nil, res.Body, maxAnswer), g.trouble, req}
	return res, nil
}

// limited notes what goes wrong while an answer is read.
type limited struct {
	io.ReadCloser
	trouble *trouble
	req     *http.Request
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		err = l.trouble.note(&httpx.Error{Service: "fas", Method: l.req.Method, URL: l.req.URL.Path, Err: err})
	}
	return n, err
}

// trouble is what went wrong on the way to the provider in one login.
type trouble struct {
	mu    sync.Mutex // above first
	first *httpx.Error
}

func (t *trouble) note(e *httpx.Error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = e
	}
	return e
}

func (t *trouble) error() *httpx.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first
}

// wrap makes an Error of err, or of what the way to the provider lacked.
func (t *trouble) wrap(doing string, err error) error {
	if e := t.error(); e != nil {
		err = e
	}
	return &Error{Doing: doing, Err: err}
}
