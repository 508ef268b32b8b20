// Package github speaks to GitHub: its REST API as an App or as a user, and
// its webhooks.
//
// See https://docs.github.com/rest (version 2022-11-28).
package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	gh "github.com/google/go-github/v92/github"

	"millrace/clients/httpx"
)

const (
	// DefaultBaseURL is the API of github.com.
	DefaultBaseURL = "https://api.github.com/"

	callTimeout  = 30 * time.Second
	maxAnswer    = 24 << 20
	installedTTL = time.Hour // an App is seldom installed anew under another number
	perPage      = 100
	maxPages     = 30 // GitHub itself ends most lists at 3,000
)

// Client calls GitHub. With an AppID it acts as that App's installation on the
// account that owns the repository; with a Token as that token's user; with
// neither as a stranger. It is for use by many goroutines, and its fields must
// not change after the first call.
type Client struct {
	BaseURL string // of the API; DefaultBaseURL if empty

	AppID      int64
	PrivateKey []byte // of the App, PEM
	Token      string // personal; not used with an AppID

	HTTP      *http.Client // its Transport and Timeout are used; nil means the defaults
	UserAgent string       // httpx.DefaultUserAgent if empty

	mu      sync.Mutex
	app     *gh.Client // speaks as the App itself
	byToken *seat      // of the personal token
	byOwner map[string]*seat
}

// seat is where we sit to make calls: an installation or a user. The library
// stops calls of a seat that GitHub asked to wait.
type seat struct {
	client    *gh.Client
	transport *ghinstallation.Transport // nil for a user
	since     time.Time

	mu   sync.Mutex
	rate Rate
}

// Repo names a repository.
type Repo struct{ Owner, Name string }

func (r Repo) String() string { return r.Owner + "/" + r.Name }

// Rate is how many calls GitHub still allows, as it last said.
type Rate struct {
	Limit, Remaining int
	Reset            time.Time // when Remaining becomes Limit again
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// check refuses names that would lead to another address than the one meant.
func (r Repo) check() error {
	for _, name := range []string{r.Owner, r.Name} {
		if !namePattern.MatchString(name) || name == "." || name == ".." {
			return fmt.Errorf("github has no repository %q: %w", r.String(), ErrBadName)
		}
	}
	return nil
}

// ErrBadName is matched when a name cannot be one of GitHub's; nothing was sent.
var ErrBadName = errors.New("bad name")

// ErrNotInstalled is matched when the App is not installed on a repository.
var ErrNotInstalled = errors.New("the app is not installed there")

// call makes one call for a repository. operation is for metrics and errors.
func call[T any](ctx context.Context, c *Client, operation string, repo Repo,
	f func(context.Context, *gh.Client) (T, *gh.Response, error)) (T, error) {
	var none T
	if err := repo.check(); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ctx = httpx.WithOperation(ctx, operation)
	s, err := c.seat(ctx, repo)
	if err != nil {
		return none, fmt.Errorf("acting for %s: %w", repo, err)
	}
	result, response, err := f(ctx, s.client)
	s.note(response)
	if err != nil {
		return none, fmt.Errorf("%s of %s: %w", operation, repo, c.outdated(repo, explain(err)))
	}
	return result, nil
}

// outdated looks whether err means that the App was removed and perhaps
// installed anew, under another number. The next try then begins afresh.
func (c *Client) outdated(repo Repo, err error) error {
	e, ok := errors.AsType[*httpx.Error](err)
	if !ok || c.AppID == 0 {
		return err
	}
	token := strings.HasSuffix(e.URL, "/access_tokens") && IsNotFound(err)
	if e.Status == http.StatusUnauthorized || token {
		c.Forget(repo.Owner)
		e.RetryAfter = time.Now()
	}
	return err
}

// pages collects a list. f gets the page to ask for.
func pages[T any](ctx context.Context, c *Client, operation string, repo Repo,
	f func(context.Context, *gh.Client, gh.ListOptions) ([]T, *gh.Response, error)) ([]T, error) {
	var all []T
	for page := 1; page != 0 && page <= maxPages; {
		type part struct {
			items []T
			next  int
		}
		got, err := call(ctx, c, operation, repo, func(ctx context.Context, g *gh.Client) (part, *gh.Response, error) {
			items, response, err := f(ctx, g, gh.ListOptions{Page: page, PerPage: perPage})
			if err != nil {
				return part{}, response, err
			}
			return part{items, response.NextPage}, response, nil
		})
		if err != nil {
			return nil, err
		}
		all, page = append(all, got.items...), got.next
	}
	return all, nil
}

func (s *seat) note(r *gh.Response) {
	if r == nil || r.Rate.Limit == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate = Rate{Limit: r.Rate.Limit, Remaining: r.Rate.Remaining, Reset: r.Rate.Reset.Time}
}

// Rates returns what GitHub last said about the limits of each owner's
// installation; of a personal token under "".
func (c *Client) Rates() map[string]Rate {
	c.mu.Lock()
	defer c.mu.Unlock()
	rates := make(map[string]Rate)
	for owner, s := range c.byOwner {
		rates[owner] = s.lastRate()
	}
	if c.byToken != nil {
		rates[""] = c.byToken.lastRate()
	}
	return rates
}

func (s *seat) lastRate() Rate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rate
}

// Forget drops what is known about the App's installation for an owner. Call
// it when a webhook tells of an installation that came, went or changed.
func (c *Client) Forget(owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byOwner, strings.ToLower(owner))
}

// seat returns whom to be for a repository.
func (c *Client) seat(ctx context.Context, repo Repo) (*seat, error) {
	owner := strings.ToLower(repo.Owner)
	c.mu.Lock()
	if c.AppID == 0 {
		defer c.mu.Unlock()
		return c.user()
	}
	if s, ok := c.byOwner[owner]; ok && time.Since(s.since) < installedTTL {
		c.mu.Unlock()
		return s, nil
	}
	app, err := c.asApp()
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	found, _, err := app.Apps.GetRepositoryInstallation(ctx, repo.Owner, repo.Name)
	if err != nil {
		err = explain(err)
		if IsNotFound(err) {
			return nil, fmt.Errorf("%w: %w", ErrNotInstalled, err)
		}
		return nil, err
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.byOwner[owner]; ok && s.transport.InstallationID() == found.GetID() {
		s.since = time.Now() // its token stays good
		return s, nil
	}
	signer, err := c.signer() // its own, because refreshing a token writes to it
	if err != nil {
		return nil, err
	}
	transport := ghinstallation.NewFromAppsTransport(signer, found.GetID())
	client, err := c.client(transport)
	if err != nil {
		return nil, err
	}
	if c.byOwner == nil {
		c.byOwner = make(map[string]*seat)
	}
	s := &seat{client: client, transport: transport, since: time.Now()}
	c.byOwner[owner] = s
	return s, nil
}

// anySeat returns one for what everybody may ask: that of an installation, where
// more questions are allowed than to a stranger.
func (c *Client) anySeat() (*seat, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.byOwner {
		return s, nil
	}
	return c.user()
}

// user returns the seat of the personal token, or of a stranger. The caller
// holds mu.
func (c *Client) user() (*seat, error) {
	if c.byToken == nil {
		client, err := c.client(c.transport())
		if err != nil {
			return nil, err
		}
		c.byToken = &seat{client: client}
	}
	return c.byToken, nil
}

// asApp returns a client that speaks as the App itself. The caller holds mu.
func (c *Client) asApp() (*gh.Client, error) {
	if c.app != nil {
		return c.app, nil
	}
	signer, err := c.signer()
	if err != nil {
		return nil, err
	}
	app, err := c.client(signer)
	if err != nil {
		return nil, err
	}
	c.app = app
	return app, nil
}

func (c *Client) signer() (*ghinstallation.AppsTransport, error) {
	signer, err := ghinstallation.NewAppsTransport(c.transport(), c.AppID, c.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("reading the private key of the github app: %w", err)
	}
	signer.BaseURL = strings.TrimSuffix(c.baseURL(), "/")
	return signer, nil
}

func (c *Client) baseURL() string {
	base := c.BaseURL
	if base == "" {
		base = DefaultBaseURL
	}
	return strings.TrimSuffix(base, "/") + "/"
}

func (c *Client) transport() http.RoundTripper {
	var next http.RoundTripper
	if c.HTTP != nil {
		next = c.HTTP.Transport
	}
	return &bounded{next}
}

func (c *Client) client(transport http.RoundTripper) (*gh.Client, error) {
	agent := c.UserAgent
	if agent == "" {
		agent = httpx.DefaultUserAgent
	}
	base := c.baseURL()
	hc := &http.Client{Transport: transport, Timeout: callTimeout, CheckRedirect: c.stayHome}
	if c.HTTP != nil && c.HTTP.Timeout > 0 {
		hc.Timeout = c.HTTP.Timeout
	}
	options := []gh.ClientOptionsFunc{gh.WithHTTPClient(hc), gh.WithUserAgent(agent), gh.WithURLs(&base, &base)}
	if c.AppID == 0 && c.Token != "" {
		options = append(options, gh.WithAuthToken(c.Token))
	}
	client, err := gh.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("making a github client: %w", err)
	}
	return client, nil
}

// stayHome follows redirects, which GitHub sends for renamed repositories, but
// not to other hosts: our transports sign whatever they send.
func (c *Client) stayHome(req *http.Request, via []*http.Request) error {
	if len(via) >= 5 || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return errors.New("redirected to somewhere else")
	}
	return nil
}

// bounded reads each answer whole, up to a limit.
type bounded struct{ next http.RoundTripper }

func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, httpx.ErrTooLarge
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}
