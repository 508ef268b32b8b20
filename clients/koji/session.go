package koji

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"millrace/clients/xmlrpc"
)

// ErrNoLogin says that a call needs a login, and none is configured.
var ErrNoLogin = errors.New("koji: this needs a login, and none is configured")

// session is a login. The hub binds it to the address that it came from, and
// wants the calls in it numbered: one number may never be used for two calls.
type session struct {
	id     int64
	key    string
	number int64
}

// sign adds the session to a request and takes the next number.
func (s *session) sign(req *http.Request) {
	if s == nil {
		return
	}
	req.Header.Set("Koji-Session-Id", strconv.FormatInt(s.id, 10))
	req.Header.Set("Koji-Session-Key", s.key)
	req.Header.Set("Koji-Session-Callnum", strconv.FormatInt(s.number, 10))
	s.number++
}

// User is an account of Koji's.
type User struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// LoggedInUser is who we are for Koji.
func (c *Client) LoggedInUser(ctx context.Context) (User, error) {
	var u User
	if err := c.callIn(ctx, "getLoggedInUser", &u); err != nil {
		return User{}, err
	}
	if u.ID <= 0 {
		return User{}, c.garbled(errors.New("koji does not say who is logged in"))
	}
	return u, nil
}

// Logout ends the session, if there is one.
func (c *Client) Logout(ctx context.Context) error {
	release, err := c.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	if c.session == nil {
		return nil
	}
	_, err = c.send(ctx, c.session, "logout", nil)
	c.session = nil
	if lostSession(err) {
		return nil
	}
	return err
}

// callIn makes a call in a session; see call. It logs in when that is needed.
func (c *Client) callIn(ctx context.Context, method string, out any, args ...any) error {
	value, err := c.inSession(ctx, func(s *session) (any, error) { return c.send(ctx, s, method, args) })
	if err != nil {
		return err
	}
	return c.store(method, value, out)
}

// inSession does something in a session. If the hub has forgotten it, which it
// says before it does anything, it is done once more in a new one.
func (c *Client) inSession(ctx context.Context, do func(*session) (any, error)) (any, error) {
	release, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if c.session != nil {
		value, err := do(c.session)
		if !lostSession(err) {
			return value, err
		}
		c.session = nil
	}
	s, err := c.login(ctx)
	if err != nil {
		return nil, err
	}
	c.session = s
	value, err := do(s)
	if lostSession(err) {
		c.session = nil
	}
	return value, err
}

// take waits for the turn to use the session.
func (c *Client) take(ctx context.Context) (release func(), err error) {
	c.begin.Do(func() {
		c.turn = make(chan struct{}, 1)
		c.turn <- struct{}{}
	})
	select {
	case <-c.turn:
		return func() { c.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for koji's session: %w", ctx.Err())
	}
}

func (c *Client) login(ctx context.Context) (*session, error) {
	if c.Negotiate == nil && !c.Certificate {
		return nil, ErrNoLogin
	}
	address, err := url.Parse(c.hub())
	if err != nil {
		return nil, fmt.Errorf("logging in to koji: %w", err)
	}
	body, err := xmlrpc.EncodeCall("sslLogin", wireArgs([]any{Keywords{"proxyuser": nil}})...)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.hub()+"/ssllogin", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("logging in to koji: %w", err)
	}
	req.Header.Set("Content-Type", "text/xml")
	if c.Negotiate != nil {
		token, err := c.Negotiate(ctx, address.Hostname())
		if err != nil {
			return nil, fmt.Errorf("logging in to koji: %w", err)
		}
		req.Header.Set("Authorization", "Negotiate "+base64.StdEncoding.EncodeToString(token))
	}
	value, err := c.answer(ctx, "sslLogin", req)
	if err != nil {
		return nil, fmt.Errorf("logging in to koji: %w", err)
	}
	var in struct {
		ID     int64  `json:"session-id"`
		Key    string `json:"session-key"`
		Header bool   `json:"header-auth"`
	}
	if err := c.store("sslLogin", value, &in); err != nil {
		return nil, err
	}
	if in.ID <= 0 || in.Key == "" {
		return nil, c.garbled(errors.New("the login has no session"))
	}
	if !in.Header {
		// They want the key of the session in addresses, which end up in logs.
		return nil, errors.New("logging in to koji: the hub is older than version 1.30")
	}
	return &session{id: in.ID, key: in.Key}, nil
}
