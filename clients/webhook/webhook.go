// Package webhook tells programs of our users what happened: by HTTP, signed as
// GitHub signs, at addresses that users chose and that are therefore not
// trusted.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/wire"
)

// Limits of what is sent and taken.
const (
	MaxBody   = 1 << 20 // bytes of a message
	MaxAnswer = 4 << 10 // bytes of an answer that are kept
	maxRead   = 64 << 10

	defaultTimeout = 10 * time.Second
	connectTimeout = 5 * time.Second
)

// Client sends messages. It repeats none, follows no redirection, uses no proxy,
// and connects to public addresses only.
type Client struct {
	UserAgent string
	// Allowed are networks that are not public and may be sent to nevertheless,
	// also without TLS.
	Allowed []netip.Prefix
	Timeout time.Duration // from the connection to the end of the answer; 0 means 10 s
	TLS     *tls.Config   // for authorities of the operator's own; nil means the system's

	once   sync.Once
	client *http.Client
}

// Message is what a program is told.
type Message struct {
	ID      string // the same when it is sent again
	Event   string // what it is about, such as pipeline.finished
	URL     string
	Secrets []string  // sign it, the newest first; none: it is not signed
	At      time.Time // when it is sent
	Body    []byte    // JSON
}

// Answer is what came back.
type Answer struct {
	Status int
	Body   string // its beginning
	Took   time.Duration
}

// Headers of a message. The first has the HMAC of the body, as GitHub's has, so
// that who can verify those can verify ours; it has room for one, which is that
// of the oldest secret: as long as there are two, not all know the newer. The
// second is the HMAC of the time, a dot, and the body, one for each secret with a
// blank between them: who verifies this too knows that nobody replays an old
// message. The last three say the same as Standard Webhooks does
// (https://www.standardwebhooks.com).
const (
	SignatureHeader      = "X-Hub-Signature-256"
	TimestampHeader      = "X-Millrace-Timestamp" // seconds since 1970
	TimedSignatureHeader = "X-Millrace-Signature-256"
	EventHeader          = "X-Millrace-Event"
	DeliveryHeader       = "X-Millrace-Delivery"

	StandardIDHeader        = "Webhook-Id"
	StandardTimestampHeader = "Webhook-Timestamp"
	StandardSignatureHeader = "Webhook-Signature"
)

// Headers are those of a message, without what HTTP itself needs.
func (c *Client) Headers(m Message) http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", cmp.Or(c.UserAgent, httpx.DefaultUserAgent))
	h.Set(EventHeader, m.Event)
	h.Set(DeliveryHeader, m.ID)
	stamp := strconv.FormatInt(m.At.Unix(), 10)
	h.Set(TimestampHeader, stamp)
	h.Set(StandardIDHeader, m.ID)
	h.Set(StandardTimestampHeader, stamp)
	if len(m.Secrets) == 0 {
		return h
	}
	var timed, standard []string
	for _, secret := range m.Secrets {
		timed = append(timed, sign(secret, []byte(stamp+"."), m.Body))
		standard = append(standard, "v1,"+base64.StdEncoding.EncodeToString(mac(standardKey(secret), []byte(m.ID+"."+stamp+"."), m.Body)))
	}
	h.Set(SignatureHeader, sign(m.Secrets[len(m.Secrets)-1], m.Body))
	h.Set(TimedSignatureHeader, strings.Join(timed, " "))
	h.Set(StandardSignatureHeader, strings.Join(standard, " "))
	return h
}

// standardKey is the key that a secret stands for: after whsec_ it is written in
// base64.
func standardKey(secret string) []byte {
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if key, err := base64.StdEncoding.DecodeString(text); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// Refusal says that a message will never be sent to an address, because of what
// it is.
type Refusal struct{ Reason string }

func (e *Refusal) Error() string { return "webhook: " + e.Reason }

// Temporary reports false.
func (*Refusal) Temporary() bool { return false }

// Send sends a message once. Any status but 2xx is an *httpx.Error; the answer is
// returned beside it if one came.
func (c *Client) Send(ctx context.Context, m Message) (*Answer, error) {
	if err := c.Check(m.URL); err != nil {
		return nil, err
	}
	if len(m.Body) > MaxBody {
		return nil, &Refusal{fmt.Sprintf("the message has %d bytes, more than %d", len(m.Body), MaxBody)}
	}
	req, err := http.NewRequestWithContext(httpx.WithOperation(ctx, "webhook.send"), http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return nil, &Refusal{"the address cannot be used"}
	}
	req.Header = c.Headers(m)
	begin := time.Now()
	res, err := c.http().Do(req)
	if err != nil {
		return nil, failure(req, err)
	}
	defer res.Body.Close()
	// What cannot be read of an answer is of no use, and neither is the error.
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxRead))
	answer := &Answer{Status: res.StatusCode, Body: httpx.Clean(string(body), MaxAnswer), Took: time.Since(begin)}
	if res.StatusCode/100 == 2 {
		return answer, nil
	}
	e := &httpx.Error{Service: "webhook", Method: req.Method, URL: req.URL.Path, Status: res.StatusCode}
	if at := retryAfter(res.Header.Get("Retry-After"), time.Now()); temporary(res.StatusCode) {
		e.RetryAfter = at
	}
	if res.StatusCode/100 == 3 {
		e.Message = "it redirects, which is not followed"
	}
	return answer, e
}

// temporary reports whether a later try may be answered otherwise.
func temporary(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// maxRetryAfter is what is believed at most of how long a receiver wants to be
// left alone.
const maxRetryAfter = 6 * time.Hour

// retryAfter reads when a receiver wants to be asked again; zero if it does not
// say.
func retryAfter(text string, now time.Time) time.Time {
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return now.Add(min(time.Duration(min(seconds, 1_000_000))*time.Second, maxRetryAfter))
	}
	at, err := http.ParseTime(text)
	if err != nil || !at.After(now) {
		return time.Time{}
	}
	return now.Add(min(at.Sub(now), maxRetryAfter))
}

func sign(secret string, parts ...[]byte) string {
	return "sha256=" + hex.EncodeToString(mac([]byte(secret), parts...))
}

func mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, part := range parts {
		m.Write(part)
	}
	return m.Sum(nil)
}

func failure(req *http.Request, err error) error {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the address, which may hold a secret
	}
	return &httpx.Error{Service: "webhook", Method: req.Method, URL: req.URL.Path, Err: err}
}

// Check says what is wrong with an address, as far as it can be known before a
// connection, in words for who typed it in: the error is a *Refusal.
func (c *Client) Check(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || wire.WebURL(address) == "" || u.Opaque != "":
		return &Refusal{"the address must be one of https, without a login in it"}
	case u.Fragment != "":
		return &Refusal{"the address must have no #fragment"}
	}
	host := u.Hostname()
	literal, err := netip.ParseAddr(host)
	if err == nil && !c.may(literal) {
		return &Refusal{fmt.Sprintf("%s is not a public address", literal)}
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") && len(c.Allowed) == 0 {
		return &Refusal{"localhost is not a public address"}
	}
	if u.Scheme == "http" && len(c.Allowed) == 0 {
		return &Refusal{"the address must be one of https"}
	}
	return nil
}

// http is made once: what it dials is looked at after names are resolved, when
// they can no longer change.
func (c *Client) http() *http.Client {
	c.once.Do(func() {
		t := &http.Transport{
			TLSClientConfig: c.TLS.Clone(), TLSHandshakeTimeout: connectTimeout, ForceAttemptHTTP2: true, DisableKeepAlives: true,
			MaxResponseHeaderBytes: maxRead,
		}
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			plain := isPlain(ctx)
			dialer := &net.Dialer{Timeout: connectTimeout, Control: func(_, address string, _ syscall.RawConn) error {
				return c.control(address, plain)
			}}
			return dialer.DialContext(ctx, network, address)
		}
		c.client = &http.Client{
			Transport: marking{t}, Timeout: cmp.Or(c.Timeout, defaultTimeout),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	return c.client
}

type plainKey struct{}

// marking tells the dialer whether the request it dials for has no TLS.
type marking struct{ next http.RoundTripper }

func (m marking) RoundTrip(req *http.Request) (*http.Response, error) {
	return m.next.RoundTrip(req.WithContext(context.WithValue(req.Context(), plainKey{}, req.URL.Scheme == "http")))
}

func isPlain(ctx context.Context) bool {
	plain, _ := ctx.Value(plainKey{}).(bool)
	return plain
}

// control is asked before each connection, with the address itself.
func (c *Client) control(address string, plain bool) error {
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil:
		return &Refusal{"the address cannot be understood"}
	case !c.may(at.Addr()):
		return &Refusal{fmt.Sprintf("its name leads to %s, which is not a public address", at.Addr())}
	case plain && !c.allowed(at.Addr()):
		return &Refusal{"the address must be one of https"}
	}
	return nil
}

func (c *Client) allowed(a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range c.Allowed {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// may reports whether a may be connected to.
func (c *Client) may(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	return c.allowed(a) || public(a.Unmap())
}

// special are networks that are not of the public internet, or lead out of it by
// another address inside: https://www.iana.org/assignments/iana-ipv4-special-registry
// and its counterpart for IPv6.
var special = func() (all []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}()

func public(a netip.Addr) bool {
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
