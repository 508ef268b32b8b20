package fas

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"millrace/clients/httpx"
)

// Attempt is a login that has begun. It is kept where only the browser that
// began it can use it, and used once.
type Attempt struct {
	State    string // comes back with the person
	Nonce    string // comes back in the signed token
	Verifier string // proves that who takes the code is who asked for it
}

// Person is who somebody is, as the provider says.
type Person struct {
	Login  string
	Name   string
	Email  string // may be hidden, and empty then
	Groups []string
}

// Begin returns a new attempt, and the address to send the browser to.
func (c *Client) Begin(ctx context.Context) (*Attempt, string, error) {
	p, err := c.discover(ctx)
	if err != nil {
		return nil, "", err
	}
	a := &Attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	to := c.config(p).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier))
	return a, to, nil
}

// Finish finds out who came back from the provider with query. Everything must
// fit together: the state is that of the attempt, and the token is signed with a
// key of the provider, made by it, for us, for this attempt, and not too old.
func (c *Client) Finish(ctx context.Context, a *Attempt, query url.Values) (*Person, error) {
	const coming = "coming back"
	if a.State == "" || subtle.ConstantTimeCompare([]byte(a.State), []byte(query.Get("state"))) != 1 {
		return nil, wrong(coming, "the state is not that of the login that began here")
	}
	if refusal := query.Get("error"); refusal != "" {
		return nil, refused(refusal, query.Get("error_description"))
	}
	code := query.Get("code")
	if code == "" || len(code) > 4096 {
		return nil, wrong(coming, "there is no code")
	}
	p, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	if iss := query.Get("iss"); iss != "" && iss != p.issuer { // RFC 9207
		return nil, wrong(coming, "the answer is of another provider, %q", httpx.Clean(iss, 200))
	}
	called, trouble := c.watched(ctx, "token")
	tokens, err := c.config(p).Exchange(called, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, trouble.wrap("exchanging the code", plain(err))
	}
	signed, ok := tokens.Extra("id_token").(string)
	if !ok {
		return nil, wrong("exchanging the code", "there is no id token in the answer")
	}
	called, trouble = c.watched(ctx, "keys")
	token, err := p.VerifierContext(called, &oidc.Config{ClientID: c.ID}).Verify(called, signed)
	if err != nil {
		return nil, trouble.wrap("verifying the token", err)
	}
	said := new(claims)
	if err := token.Claims(said); err != nil {
		return nil, wrong("reading the token", "%w", err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.Nonce)) != 1:
		return nil, wrong("verifying the token", "it was made for another login")
	case token.Subject == "":
		return nil, wrong("verifying the token", "it is about nobody")
	case said.Party != "" && said.Party != c.ID:
		return nil, wrong("verifying the token", "it was made for %q, not for us", httpx.Clean(said.Party, 200))
	}
	if p.UserInfoEndpoint() != "" {
		if err := c.userinfo(ctx, p, tokens, token.Subject, said); err != nil {
			return nil, err
		}
	}
	return said.person()
}

// userinfo asks the provider for what it did not say in the token.
func (c *Client) userinfo(ctx context.Context, p *provider, tokens *oauth2.Token, subject string, said *claims) error {
	const doing = "asking who it is"
	called, trouble := c.watched(ctx, "userinfo")
	info, err := p.UserInfo(called, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return trouble.wrap(doing, err)
	}
	if info.Subject != subject {
		return wrong(doing, "the answer is about somebody else")
	}
	if err := info.Claims(said); err != nil {
		return wrong(doing, "%w", err)
	}
	return nil
}

// refused is what the provider's own refusal means.
func refused(code, description string) error {
	text := httpx.Clean(code, 100)
	if description = httpx.Clean(description, 300); description != "" {
		text += ": " + description
	}
	denied := slices.Contains([]string{"access_denied", "consent_required", "login_required", "interaction_required"}, code)
	e := &Error{Doing: "coming back", Denied: denied, Err: errors.New(text)}
	if code == "temporarily_unavailable" || code == "server_error" {
		e.Err = &httpx.Error{Service: "fas", Method: "GET", URL: "/", Status: 503, Message: text}
	}
	return e
}

// plain is the provider's refusal of a code, without the rest of its answer.
func plain(err error) error {
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		text := "the provider refuses it"
		if r.ErrorCode != "" {
			text += ": " + httpx.Clean(r.ErrorCode, 100)
		}
		return errors.New(text)
	}
	return err
}

// claims is what a provider says of somebody, in the token or in the userinfo.
// What the second says goes over the first.
type claims struct {
	Party    string `json:"azp"`
	Nickname string `json:"nickname"`
	Username string `json:"preferred_username"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Groups   words  `json:"groups"`
}

// words is a list of strings, or one that stands alone.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = nil
		if one != "" {
			*w = words{one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

const (
	maxGroups = 2000
	maxText   = 200
)

// login is what names of accounts look like. It keeps what is shown and
// compared free of surprises.
var login = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)

func (c *claims) person() (*Person, error) {
	p := &Person{Login: c.Nickname, Name: line(c.Name), Email: line(c.Email)}
	if p.Login == "" {
		p.Login = c.Username
	}
	if !login.MatchString(p.Login) {
		return nil, wrong("reading who it is", "%q is no name of an account", httpx.Clean(p.Login, 100))
	}
	for _, g := range c.Groups {
		if g != "" && len(g) <= maxText && g == line(g) {
			p.Groups = append(p.Groups, g)
		}
	}
	slices.Sort(p.Groups)
	p.Groups = slices.Compact(p.Groups)
	if len(p.Groups) > maxGroups {
		return nil, wrong("reading who it is", "%s is in %d groups; at most %d are taken", p.Login, len(p.Groups), maxGroups)
	}
	return p, nil
}

// line is text of one line and a decent length.
func line(text string) string {
	return httpx.Clean(strings.Join(strings.Fields(text), " "), maxText)
}
