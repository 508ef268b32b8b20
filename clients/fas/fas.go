// Package fas logs people in with the Fedora Account System, or with any other
// provider of OpenID Connect.
//
// What is special about the Fedora Account System, as of November 2026: its
// issuer ends with a slash, and is compared with it; the name of an account is
// the claim nickname; nearly all claims come from the userinfo endpoint; a scope
// that it does not know is an error; the secret is taken in the form of a
// request, and in its header only by clients registered so; refused codes are
// answered with status 200.
package fas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"millrace/clients/httpx"
)

const (
	patience = 10 * time.Second // of one call
	fresh    = time.Hour        // as long is believed what the provider says of itself
	stale    = 24 * time.Hour   // and as long if it does not answer
	pause    = 3 * time.Second  // between two questions that are not answered
)

// Client asks one provider who somebody is. It is safe for concurrent use.
type Client struct {
	Issuer      string // with or without the slash at its end
	ID          string // that the provider gave us
	Secret      string // that goes with it; empty: none, which the code challenge allows
	RedirectURL string // page of ours where people come back; registered with the provider
	HTTP        *http.Client

	mu      sync.Mutex // held while the provider is asked about itself
	known   *provider
	failure error     // of the last question
	asked   time.Time // when that was
}

// provider is what a provider says about itself.
type provider struct {
	*oidc.Provider
	issuer string
	scopes []string
	style  oauth2.AuthStyle
	at     time.Time
}

// Error is a login that did not succeed.
type Error struct {
	Doing  string // what was being done
	Denied bool   // the person did not want to, or may not
	Err    error
}

func (e *Error) Error() string { return "fas: " + e.Doing + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the provider was in trouble, not the login.
func (e *Error) Temporary() bool {
	if h, ok := errors.AsType[*httpx.Error](e.Err); ok {
		return h.Temporary()
	}
	return errors.Is(e.Err, context.DeadlineExceeded)
}

// discover returns what the provider says about itself. It asks when somebody
// logs in, not when the program starts: the provider may be away then.
func (c *Client) discover(ctx context.Context) (*provider, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if p := c.known; p != nil && now.Sub(p.at) < fresh {
		return p, nil
	}
	if c.failure == nil || now.Sub(c.asked) > pause {
		p, err := c.ask(ctx)
		if ctx.Err() == nil || err == nil { // that somebody left says nothing about the provider
			c.asked, c.failure = time.Now(), err
		}
		if err == nil {
			c.known = p
			return p, nil
		}
		if c.failure == nil {
			return nil, err
		}
	}
	if p := c.known; p != nil && now.Sub(p.at) < stale && httpx.Temporary(c.failure) {
		return p, nil
	}
	return nil, c.failure
}

// ask reads the provider's description of itself. The issuer is compared letter
// by letter, and people forget the slash at its end: the other way is tried too.
func (c *Client) ask(ctx context.Context) (*provider, error) {
	ctx, trouble := c.watched(ctx, "discovery")
	issuer := c.Issuer
	p, err := oidc.NewProvider(ctx, issuer)
	if wrong, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok && strings.TrimSuffix(wrong.Discovered, "/") == strings.TrimSuffix(issuer, "/") {
		issuer = wrong.Discovered
		p, err = oidc.NewProvider(ctx, issuer)
	}
	if err != nil {
		return nil, trouble.wrap("asking "+c.Issuer+" how to log in", err)
	}
	var says struct {
		Scopes  []string `json:"scopes_supported"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := p.Claims(&says); err != nil {
		return nil, trouble.wrap("reading how to log in", err)
	}
	if e := p.Endpoint(); e.AuthURL == "" || e.TokenURL == "" {
		return nil, trouble.wrap("reading how to log in", errors.New("the provider does not name its endpoints"))
	}
	// Not detected by trial, as the library would: a code can be tried once.
	style := oauth2.AuthStyleInParams
	if len(says.Methods) > 0 && !slices.Contains(says.Methods, "client_secret_post") {
		style = oauth2.AuthStyleInHeader
	}
	return &provider{Provider: p, issuer: issuer, scopes: scopes(says.Scopes), style: style, at: time.Now()}, nil
}

// scopes are what we ask for of what there is. That of groups has no fixed name.
func scopes(there []string) []string {
	wanted := []string{oidc.ScopeOpenID}
	for _, s := range there {
		if s == "profile" || s == "email" || s == "groups" || strings.HasSuffix(s, "/scope/groups") {
			wanted = append(wanted, s)
		}
	}
	if len(there) == 0 { // which is allowed to say nothing
		wanted = append(wanted, "profile", "email")
	}
	return wanted
}

func (c *Client) config(p *provider) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = p.style
	return &oauth2.Config{ClientID: c.ID, ClientSecret: c.Secret, Endpoint: endpoint, RedirectURL: c.RedirectURL, Scopes: p.scopes}
}

// Check asks the provider about itself and returns its issuer.
func (c *Client) Check(ctx context.Context) (string, error) {
	p, err := c.discover(ctx)
	if err != nil {
		return "", err
	}
	keys, trouble := c.watched(ctx, "keys")
	_, err = oidc.NewRemoteKeySet(keys, keysOf(p)).VerifySignature(keys, unsigned)
	if e := trouble.error(); e != nil {
		return "", trouble.wrap("reading the keys of "+p.issuer, err)
	}
	return p.issuer, nil
}

// unsigned is a token that nobody signed: verifying it makes the keys be read.
const unsigned = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vbmUifQ.e30.AA"

func keysOf(p *provider) string {
	var says struct {
		Keys string `json:"jwks_uri"`
	}
	_ = p.Claims(&says) // it was read before
	return says.Keys
}

// watched is a context for the OpenID libraries: with a client that limits time
// and size, and that notes what went wrong, which they do not tell.
func (c *Client) watched(ctx context.Context, operation string) (context.Context, *trouble) {
	t := new(trouble)
	client := &http.Client{Timeout: patience, Transport: &guard{trouble: t}}
	if c.HTTP != nil {
		client.Transport.(*guard).next = c.HTTP.Transport
		if c.HTTP.Timeout > 0 {
			client.Timeout = min(patience, c.HTTP.Timeout)
		}
	}
	return httpx.WithOperation(oidc.ClientContext(ctx, client), operation), t
}

func wrong(doing, format string, args ...any) error {
	return &Error{Doing: doing, Err: fmt.Errorf(format, args...)}
}

// Name is the provider's address, as it was configured.
func (c *Client) Name() string { return c.Issuer }
