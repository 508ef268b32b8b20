package bodhi

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"millrace/clients/httpx"
)

// Fedora's identity provider, and the public client that all programs which
// write to Bodhi share.
const (
	DefaultIssuer   = "https://id.fedoraproject.org/openidc"
	DefaultClientID = "bodhi-client"
)

// Account is who writes: the owner of a Kerberos ticket.
type Account struct {
	Issuer   string // of the identity provider; empty means DefaultIssuer
	ClientID string // empty means DefaultClientID

	// Negotiate makes the token of a login by Kerberos (SPNEGO) for the service
	// HTTP at a host.
	Negotiate func(ctx context.Context, host string) ([]byte, error)
}

func (a *Account) issuer() string {
	return strings.TrimSuffix(cmp.Or(a.Issuer, DefaultIssuer), "/")
}

func (a *Account) clientID() string { return cmp.Or(a.ClientID, DefaultClientID) }

const scopes = "openid email profile https://id.fedoraproject.org/scope/groups https://id.fedoraproject.org/scope/agreements"

const (
	outOfBand = "urn:ietf:wg:oauth:2.0:oob"
	// localListener is registered for programs that people use; nobody listens
	// there in our case, and nothing is sent: the address is read.
	localListener = "http://localhost:45678/auth"

	sessionLife  = 20 * time.Hour  // Bodhi's cookie is good for 24
	writeTimeout = 2 * time.Minute // Bodhi asks Koji, dist-git and Bugzilla before it answers
	loginTimeout = time.Minute
	maxHops      = 20
	maxPage      = 1 << 20
)

// session is a login: cookies, and the token that every form needs. It is not
// changed once made.
type session struct {
	http *http.Client
	csrf string
	till time.Time
}

// begun returns the session, and begins one if there is none or old is it.
func (c *Client) begun(ctx context.Context, old *session) (*session, error) {
	if c.Account == nil || c.Account.Negotiate == nil {
		return nil, ErrNoAccount
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.session != old && time.Now().Before(c.session.till) {
		return c.session, nil
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	s, err := c.login(ctx)
	if err != nil {
		return nil, err
	}
	c.session = s
	return s, nil
}

// Login makes sure that there is a session, for those who want to know whether
// there can be one.
func (c *Client) Login(ctx context.Context) error {
	_, err := c.begun(ctx, nil)
	return err
}

// refreshed returns the session with a new token for forms.
func (c *Client) refreshed(ctx context.Context, old *session) (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.session != old {
		return c.session, nil
	}
	csrf, err := c.csrf(ctx, old.http)
	if err != nil {
		return nil, err
	}
	c.session = &session{http: old.http, csrf: csrf, till: old.till}
	return c.session, nil
}

// login goes the way of a browser without one: a code for the ticket, a token
// for the code, a cookie for the token.
func (c *Client) login(ctx context.Context) (*session, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, &LoginError{"making room for cookies", err}
	}
	s := &session{till: time.Now().Add(sessionLife), http: &http.Client{
		Timeout: writeTimeout, Transport: c.transport(), Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	provider, err := c.discover(ctx, s.http)
	if err != nil {
		return nil, &LoginError{"asking the identity provider what it offers", err}
	}
	code, redirect, err := c.code(ctx, s.http, provider)
	if err != nil {
		return nil, &LoginError{"asking for a code", err}
	}
	token, err := c.token(ctx, s.http, provider, code, redirect)
	if err != nil {
		return nil, &LoginError{"exchanging the code", err}
	}
	req, err := httpx.NewRequest(ctx, http.MethodGet, c.base()+"/oidc/login-token", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if err := c.caller(s.http).Do(ctx, "login.token", req, nil); err != nil {
		return nil, &LoginError{"showing the token", err}
	}
	if s.csrf, err = c.csrf(ctx, s.http); err != nil {
		return nil, &LoginError{"asking for the token of forms", err}
	}
	return s, nil
}

func (c *Client) transport() http.RoundTripper {
	if c.HTTP != nil {
		return c.HTTP.Transport
	}
	return &httpx.Transport{}
}

func (c *Client) csrf(ctx context.Context, client *http.Client) (string, error) {
	var answer struct {
		Token string `json:"csrf_token"`
	}
	req, err := httpx.NewRequest(ctx, http.MethodGet, c.base()+"/csrf", nil)
	if err != nil {
		return "", err
	}
	if err := c.caller(client).Do(ctx, "login.csrf", req, &answer); err != nil {
		return "", err
	}
	if answer.Token == "" || len(answer.Token) > 1024 {
		return "", errors.New("the answer has no token")
	}
	return answer.Token, nil
}

type provider struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Modes         []string `json:"response_modes_supported"`
}

// discover asks where to go. It must be the host that was configured: the ticket
// is shown there.
func (c *Client) discover(ctx context.Context, client *http.Client) (*provider, error) {
	issuer := c.Account.issuer()
	req, err := httpx.NewRequest(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return nil, err
	}
	p := new(provider)
	if err := c.caller(client).Do(ctx, "login.discover", req, p); err != nil {
		return nil, err
	}
	for _, address := range []string{p.Authorization, p.Token} {
		if !sameOrigin(address, issuer) {
			return nil, fmt.Errorf("it sends us to %q, which is not at %s", httpx.Clean(address, 200), issuer)
		}
	}
	return p, nil
}

func sameOrigin(a, b string) bool {
	u, err := url.Parse(a)
	if err != nil {
		return false
	}
	v, err := url.Parse(b)
	return err == nil && u.Scheme == v.Scheme && u.Host == v.Host && u.User == nil && u.Host != ""
}

// code follows the provider's redirections until one brings the code, or a page
// shows it.
func (c *Client) code(ctx context.Context, client *http.Client, p *provider) (code, redirect string, err error) {
	redirect = localListener
	if slices.Contains(p.Modes, "oob") {
		redirect = outOfBand
	}
	state := rand.Text()
	at, err := url.Parse(p.Authorization)
	if err != nil {
		return "", "", err
	}
	query := at.Query()
	for key, value := range map[string]string{
		"response_type": "code", "client_id": c.Account.clientID(), "redirect_uri": redirect, "scope": scopes,
		"state": state, "nonce": rand.Text(),
	} {
		query.Set(key, value)
	}
	at.RawQuery = query.Encode()
	for range maxHops {
		res, err := c.hop(ctx, client, at)
		if err != nil {
			return "", "", err
		}
		next, found, err := read(res, at)
		if err != nil {
			return "", "", err
		}
		if next == nil {
			code, err = checked(found, state)
			return code, redirect, err
		}
		if strings.HasPrefix(next.String(), localListener+"?") {
			code, err = checked(next.Query(), state)
			return code, redirect, err
		}
		if !sameOrigin(next.String(), p.Authorization) {
			return "", "", fmt.Errorf("it sends us to %q", httpx.Clean(next.Redacted(), 200))
		}
		at = next
	}
	return "", "", fmt.Errorf("it sent us on more than %d times", maxHops)
}

// hop asks for a page, with a ticket if it wants one. Its answer to the ticket
// is not looked at: it does not send a last one.
func (c *Client) hop(ctx context.Context, client *http.Client, at *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html")
	ask := func(req *http.Request) (*http.Response, error) {
		res, err := client.Do(req)
		if err != nil {
			if e, ok := errors.AsType[*url.Error](err); ok {
				err = e.Err // without the address, which has the state
			}
			return nil, &Error{Service: "identity provider", Method: req.Method, URL: at.Path, Err: err}
		}
		return res, nil
	}
	res, err := ask(req)
	if err != nil || res.StatusCode != http.StatusUnauthorized || !offersNegotiate(res.Header) {
		return res, err
	}
	res.Body.Close()
	token, err := c.Account.Negotiate(ctx, at.Hostname())
	if err != nil {
		return nil, fmt.Errorf("making a Kerberos token for %s: %w", at.Hostname(), err)
	}
	again := req.Clone(ctx)
	again.Header.Set("Authorization", "Negotiate "+base64.StdEncoding.EncodeToString(token))
	return ask(again)
}

func offersNegotiate(h http.Header) bool {
	return slices.ContainsFunc(h.Values("WWW-Authenticate"), func(v string) bool {
		return strings.HasPrefix(strings.ToLower(v), "negotiate")
	})
}

var (
	pageTitle = regexp.MustCompile(`(?is)<title>(.*?)</title>`)
	titleCode = regexp.MustCompile(`code=[\w\-_=;&.~]+`)
	titleFail = regexp.MustCompile(`error=[\w\-_=;&.~+% ]+`)
)

// read finds in an answer where it leads, or the words of the page's title.
func read(res *http.Response, at *url.URL) (next *url.URL, found url.Values, err error) {
	defer res.Body.Close()
	switch {
	case res.StatusCode/100 == 3:
		next, err = at.Parse(res.Header.Get("Location"))
		if err != nil || res.Header.Get("Location") == "" {
			return nil, nil, errors.New("it sends us nowhere")
		}
		return next, nil, nil
	case res.StatusCode == http.StatusUnauthorized:
		return nil, nil, errors.New("it does not take our Kerberos ticket")
	case res.StatusCode != http.StatusOK:
		return nil, nil, &Error{Service: "identity provider", Method: http.MethodGet, URL: at.Path, Status: res.StatusCode}
	}
	page, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return nil, nil, &Error{Service: "identity provider", Method: http.MethodGet, URL: at.Path, Err: err}
	}
	title := pageTitle.FindSubmatch(page)
	if title == nil {
		return nil, nil, errors.New("it shows a page without a title")
	}
	text := html.UnescapeString(string(title[1]))
	words := titleCode.FindString(text)
	if words == "" {
		words = titleFail.FindString(text)
	}
	if words == "" {
		return nil, nil, fmt.Errorf("it shows the page %q instead of a code", httpx.Clean(text, 100))
	}
	found = url.Values{}
	for _, pair := range strings.FieldsFunc(words, func(r rune) bool { return r == ';' || r == '&' }) {
		key, value, _ := strings.Cut(pair, "=")
		found.Set(key, value)
	}
	return nil, found, nil
}

// checked is the code, if it came for what we asked.
func checked(found url.Values, state string) (string, error) {
	if refusal := found.Get("error"); refusal != "" {
		return "", fmt.Errorf("it refuses: %s", httpx.Clean(strings.TrimSpace(refusal+" "+found.Get("error_description")), 300))
	}
	if subtle.ConstantTimeCompare([]byte(found.Get("state")), []byte(state)) != 1 {
		return "", errors.New("the answer is not to what we asked")
	}
	code := found.Get("code")
	if code == "" || len(code) > 4096 {
		return "", errors.New("there is no code in the answer")
	}
	return code, nil
}

// token exchanges the code. The provider refuses with status 200.
func (c *Client) token(ctx context.Context, client *http.Client, p *provider, code, redirect string) (string, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "client_id": {c.Account.clientID()},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	var answer struct {
		Token   string `json:"access_token"`
		Error   string `json:"error"`
		Details string `json:"error_description"`
	}
	if err := c.caller(client).Do(ctx, "login.exchange", req, &answer); err != nil {
		return "", err
	}
	switch {
	case answer.Error != "":
		return "", fmt.Errorf("the provider refuses it: %s", httpx.Clean(strings.TrimSpace(answer.Error+" "+answer.Details), 300))
	case answer.Token == "" || len(answer.Token) > 16<<10 || strings.ContainsAny(answer.Token, "\r\n"):
		return "", errors.New("there is no token in the answer")
	}
	return answer.Token, nil
}
