// Package fasfake is a small Fedora Account System: a provider of OpenID Connect
// with the manners of the real one. People have no passwords; who serves the
// fake shows a page on which one chooses who one is.
//
// The protocol is that of a library. On top of it come the real one's own ways:
// the slash at the end of the issuer, hardly any claims in the id token, "amr"
// as a text, refused codes with status 200, unknown scopes refused, the client's
// secret in the form only, and no page to end a session.
package fasfake

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// GroupsScope is asked for to be told the groups of a person.
const GroupsScope = "https://id.fedoraproject.org/scope/groups"

var scopes = []string{"openid", "profile", "email", GroupsScope, "https://id.fedoraproject.org/scope/agreements"}

// Person has an account.
type Person struct {
	Login  string
	Name   string
	Email  string
	Groups []string
	About  string // for those who choose
}

// Config says what to serve. All but Dir and Log is needed.
type Config struct {
	Dir          string // keeps keys and sessions; empty: memory does
	Issuer       string // address at which the fake is served, with a slash at its end
	ClientID     string // of the one client that is registered
	ClientSecret string
	RedirectURIs []string                    // of that client; compared letter by letter
	LoginPage    func(request string) string // address of the page on which one chooses who one is
	People       []Person
	Log          *slog.Logger
}

// Fake is an account system. It is an http.Handler for paths at and below that of
// its issuer, and safe for concurrent use.
type Fake struct {
	config Config
	path   string // of the issuer
	op     *op.Provider

	mu        sync.Mutex // above what follows
	redirects []string
	kept      kept
	keys      keys
	fault     Fault
}

// Fault is how the fake answers instead of as it should. The zero value does
// nothing.
type Fault struct {
	Status  int            // of every answer
	Delay   time.Duration  // before every answer
	Token   map[string]any // claims of id tokens that are set; nil values are removed
	Foreign bool           // sign id tokens with a key that is not published
	Expired bool           // publish a new key, and sign with the one before
	Info    map[string]any // claims of the userinfo that are set; nil values are removed
}

// New opens the account system in c.Dir, or makes a new one.
func New(c Config) (*Fake, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || !strings.HasSuffix(c.Issuer, "/") || issuer.Host == "" || c.ClientID == "" || c.LoginPage == nil {
		return nil, fmt.Errorf("the account system at %q lacks an issuer, a client or a page", c.Issuer)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	f := &Fake{config: c, path: strings.TrimSuffix(issuer.Path, "/"), redirects: slices.Clone(c.RedirectURIs)}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("opening the account system: %w", err)
	}
	config := &op.Config{CryptoKey: f.kept.Secret, CodeMethodS256: true, AuthMethodPost: true, SupportedScopes: scopes}
	f.op, err = op.NewProvider(config, (*storage)(f), op.StaticIssuer(c.Issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, fmt.Errorf("opening the account system: %w", err)
	}
	return f, nil
}

// SetRedirectURIs says where people may be sent back to.
func (f *Fake) SetRedirectURIs(addresses ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.redirects = slices.Clone(addresses)
}

// Misbehave lets the fake answer wrongly until it is told otherwise.
func (f *Fake) Misbehave(fault Fault) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Expired && !f.fault.Expired {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	f.fault = fault
	return nil
}

// People are those who have accounts.
func (f *Fake) People() []Person { return f.config.People }

func (f *Fake) person(login string) (Person, bool) {
	i := slices.IndexFunc(f.config.People, func(p Person) bool { return p.Login == login })
	if i < 0 {
		return Person{}, false
	}
	return f.config.People[i], true
}

// Request is a login that waits for a person.
type Request struct {
	ID     string
	Client string
	Scopes []string
	Back   string // where the person is sent afterwards
}

// ErrNoRequest says that nobody is waiting to log in so, or no longer.
var ErrNoRequest = errors.New("there is no such login, or it is over")

// Request returns the login of that id.
func (f *Fake) Request(id string) (Request, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.request(id)
	if !ok || r.IsDone {
		return Request{}, ErrNoRequest
	}
	return Request{ID: r.ID, Client: r.Client, Scopes: slices.Clone(r.Scopes), Back: r.Redirect}, nil
}

// Allow logs a person in, who lets the client know them, and returns where to
// send the browser.
func (f *Fake) Allow(id, login string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.request(id)
	if !ok || r.IsDone {
		return "", ErrNoRequest
	}
	if _, known := f.person(login); !known {
		return "", fmt.Errorf("%q has no account", login)
	}
	r.Login, r.IsDone, r.LoggedIn = login, true, time.Now().UTC()
	if err := f.save(); err != nil {
		return "", err
	}
	return f.config.Issuer + "Authorization/callback?id=" + url.QueryEscape(r.ID), nil
}

// Deny ends a login: the person does not want the client to know them. It
// returns where to send the browser.
func (f *Fake) Deny(id string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.request(id)
	if !ok || r.IsDone {
		return "", ErrNoRequest
	}
	f.forget(id)
	return back(r.Redirect, r.State, "access_denied", "The user refused to let the client know them."), f.save()
}

// back is the address that tells a client what went wrong.
func back(redirect, state, code, description string) string {
	u, err := url.Parse(redirect)
	if err != nil {
		return redirect
	}
	q := u.Query()
	q.Set("error", code)
	q.Set("error_description", description)
	if state != "" {
		q.Set("state", state)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Serves reports whether a request is for the fake.
func (f *Fake) Serves(r *http.Request) bool {
	return r.URL.Path == f.path || strings.HasPrefix(r.URL.Path, f.path+"/")
}
