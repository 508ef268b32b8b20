package fas_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"millrace/clients/fas"
	"millrace/clients/fas/fasfake"
	"millrace/clients/httpx"
)

const comeBack = "http://millrace.test/login/callback"

var ada = fasfake.Person{Login: "ada", Name: "Ada  Lace", Email: "ada@example.org", Groups: []string{"packager", "fedora-contributor"}}

// start serves an account system, and returns a client of it.
func start(t *testing.T, dir string) (*fasfake.Fake, *fas.Client) {
	t.Helper()
	var fake http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	c := &fas.Client{Issuer: server.URL + "/openidc/", ID: "millrace", Secret: "secret", RedirectURL: comeBack}
	f, err := fasfake.New(fasfake.Config{
		Dir: dir, Issuer: c.Issuer, ClientID: c.ID, ClientSecret: c.Secret, RedirectURIs: []string{comeBack},
		LoginPage: func(request string) string { return server.URL + "/choose?request=" + request }, People: []fasfake.Person{ada},
	})
	if err != nil {
		t.Fatal(err)
	}
	fake = f
	return f, c
}

// follow asks for an address and returns where it leads.
func follow(t *testing.T, address string) *url.URL {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatalf("%s: %s, %v", address, res.Status, err)
	}
	return to
}

// visit goes the way of a browser: to the provider, where a person lets it
// happen, and back with an answer.
func visit(t *testing.T, f *fasfake.Fake, to string) url.Values {
	t.Helper()
	chosen, err := f.Allow(follow(t, to).Query().Get("request"), "ada")
	if err != nil {
		t.Fatal(err)
	}
	at := follow(t, chosen)
	if !strings.HasPrefix(at.String(), comeBack+"?") {
		t.Fatalf("came back to %s", at)
	}
	return at.Query()
}

func begin(t *testing.T, c *fas.Client) (*fas.Attempt, string) {
	t.Helper()
	a, to, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a, to
}

func TestLogin(t *testing.T) {
	t.Parallel()
	f, c := start(t, "")
	a, to := begin(t, c)
	answer := visit(t, f, to)
	got, err := c.Finish(t.Context(), a, answer)
	if err != nil {
		t.Fatal(err)
	}
	want := &fas.Person{Login: "ada", Name: "Ada Lace", Email: "ada@example.org", Groups: []string{"fedora-contributor", "packager"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	q := mustParse(t, to).Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("nonce") != a.Nonce || q.Get("state") != a.State ||
		q.Get("scope") != "openid profile email "+fasfake.GroupsScope {
		t.Errorf("the request is %v", q)
	}
	if _, err := c.Finish(t.Context(), a, answer); err == nil || httpx.Temporary(err) || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("the same answer again: %v", err)
	}
	if b, _ := begin(t, c); b.State == a.State || b.Nonce == a.Nonce || b.Verifier == a.Verifier {
		t.Error("two attempts have something in common")
	}
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestIssuerWithoutItsSlash(t *testing.T) {
	t.Parallel()
	f, c := start(t, "")
	with := c.Issuer
	c.Issuer = strings.TrimSuffix(c.Issuer, "/")
	a, to := begin(t, c)
	if _, err := c.Finish(t.Context(), a, visit(t, f, to)); err != nil {
		t.Error(err)
	}
	if issuer, err := c.Check(t.Context()); err != nil || issuer != with {
		t.Errorf("Check = %q, %v", issuer, err)
	}
}

// TestForgeries: whatever does not fit together is refused, and not as if trying
// again would help.
func TestForgeries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  fasfake.Fault
		change func(a *fas.Attempt, answer url.Values)
		says   string
	}{
		{name: "foreign state", change: func(_ *fas.Attempt, q url.Values) { q.Set("state", "other") }, says: "state"},
		{name: "no state", change: func(_ *fas.Attempt, q url.Values) { q.Del("state") }, says: "state"},
		{name: "no attempt", change: func(a *fas.Attempt, q url.Values) { a.State = ""; q.Del("state") }, says: "state"},
		{name: "no code", change: func(_ *fas.Attempt, q url.Values) { q.Del("code") }, says: "no code"},
		{name: "invented code", change: func(_ *fas.Attempt, q url.Values) { q.Set("code", "x") }, says: "invalid_grant"},
		{name: "another's verifier", change: func(a *fas.Attempt, _ url.Values) { a.Verifier += "x" }, says: "invalid_grant"},
		{name: "another provider answers", change: func(_ *fas.Attempt, q url.Values) { q.Set("iss", "https://evil.test/") }, says: "another provider"},
		{name: "wrong nonce", change: func(a *fas.Attempt, _ url.Values) { a.Nonce = "other" }, says: "another login"},
		{name: "no nonce", fault: fasfake.Fault{Token: map[string]any{"nonce": nil}}, says: "another login"},
		{name: "wrong issuer", fault: fasfake.Fault{Token: map[string]any{"iss": "https://evil.test/"}}, says: "different provider"},
		{name: "for another client", fault: fasfake.Fault{Token: map[string]any{"aud": "other"}}, says: "audience"},
		{name: "for another party", fault: fasfake.Fault{Token: map[string]any{"aud": []string{"other", "millrace"}, "azp": "other"}}, says: "not for us"},
		{name: "expired", fault: fasfake.Fault{Token: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}}, says: "expired"},
		{name: "about nobody", fault: fasfake.Fault{Token: map[string]any{"sub": ""}, Info: map[string]any{"sub": ""}}, says: "about nobody"},
		{name: "foreign key", fault: fasfake.Fault{Foreign: true}, says: "signature"},
		{name: "expired key", fault: fasfake.Fault{Expired: true}, says: "signature"},
		{name: "info about somebody else", fault: fasfake.Fault{Info: map[string]any{"sub": "bo"}}, says: "somebody else"},
		{name: "no name", fault: fasfake.Fault{Info: map[string]any{"nickname": nil, "preferred_username": nil}}, says: "no name"},
		{name: "evil name", fault: fasfake.Fault{Info: map[string]any{"nickname": "../x"}}, says: "no name"},
		{name: "name of two lines", fault: fasfake.Fault{Info: map[string]any{"nickname": "ada\n"}}, says: "no name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, client := start(t, "")
			a, to := begin(t, client)
			answer := visit(t, f, to)
			if err := f.Misbehave(c.fault); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(a, answer)
			}
			p, err := client.Finish(t.Context(), a, answer)
			if err == nil || !strings.Contains(err.Error(), c.says) || httpx.Temporary(err) {
				t.Errorf("Finish = %+v, %v; want %q, for good", p, err, c.says)
			}
		})
	}
}

func TestWhatIsTakenLeniently(t *testing.T) {
	t.Parallel()
	f, c := start(t, "")
	err := f.Misbehave(fasfake.Fault{Info: map[string]any{
		"nickname": nil, "groups": "packager", "email": nil, "name": "Ada\u0000 " + strings.Repeat("x", 300),
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, to := begin(t, c)
	got, err := c.Finish(t.Context(), a, visit(t, f, to))
	if err != nil {
		t.Fatal(err)
	}
	if got.Login != "ada" || len(got.Groups) != 1 || got.Groups[0] != "packager" || got.Email != "" || len(got.Name) > 210 || strings.Contains(got.Name, "\x00") {
		t.Errorf("%+v", got)
	}
}

func TestRefusalOfThePerson(t *testing.T) {
	t.Parallel()
	f, c := start(t, "")
	a, to := begin(t, c)
	back, err := f.Deny(follow(t, to).Query().Get("request"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Finish(t.Context(), a, mustParse(t, back).Query())
	if e, ok := errors.AsType[*fas.Error](err); !ok || !e.Denied || e.Temporary() {
		t.Errorf("Finish = %v", err)
	}
	for code, temporary := range map[string]bool{"temporarily_unavailable": true, "server_error": true, "invalid_scope": false} {
		_, err := c.Finish(t.Context(), a, url.Values{"state": {a.State}, "error": {code}})
		if e, ok := errors.AsType[*fas.Error](err); !ok || e.Denied || e.Temporary() != temporary {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// TestProviderInTrouble: that it does not answer is told from forgeries, at every
// call.
func TestProviderInTrouble(t *testing.T) {
	t.Parallel()
	var breaks string // the path that does
	f, c := start(t, "")
	c.HTTP = &http.Client{Transport: through(func(r *http.Request) (*http.Response, error) {
		if breaks != "" && strings.HasSuffix(r.URL.Path, breaks) {
			if breaks == "/Jwks" {
				return nil, errors.New("the cable is cut")
			}
			w := httptest.NewRecorder()
			w.WriteHeader(http.StatusBadGateway)
			return w.Result(), nil
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	breaks = "openid-configuration"
	for range 2 { // the second is not asked again so soon
		if _, _, err := c.Begin(t.Context()); !httpx.Temporary(err) {
			t.Errorf("%s: %v", breaks, err)
		}
	}
	fresh := &fas.Client{Issuer: c.Issuer, ID: c.ID, Secret: c.Secret, RedirectURL: c.RedirectURL, HTTP: c.HTTP}
	for _, path := range []string{"/Token", "/Jwks", "/UserInfo"} {
		breaks = ""
		a, to := begin(t, fresh)
		breaks = path
		if _, err := fresh.Finish(t.Context(), a, visit(t, f, to)); !httpx.Temporary(err) {
			t.Errorf("%s: %v", breaks, err)
		}
	}
	breaks = ""
	a, to := begin(t, fresh)
	if _, err := fresh.Finish(t.Context(), a, visit(t, f, to)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

type through func(r *http.Request) (*http.Response, error)

func (f through) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSlowAndHugeProviders(t *testing.T) {
	t.Parallel()
	f, c := start(t, "")
	if err := f.Misbehave(fasfake.Fault{Delay: time.Minute}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := c.Begin(ctx); !httpx.Temporary(err) {
		t.Errorf("slow: %v", err)
	}
	if err := f.Misbehave(fasfake.Fault{}); err != nil {
		t.Fatal(err)
	}
	begin(t, c) // who gave up did not spoil it for others

	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q}`, strings.Repeat("x", 2<<20))
	}))
	defer huge.Close()
	if _, _, err := (&fas.Client{Issuer: huge.URL}).Begin(t.Context()); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("huge: %v", err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"issuer":"https://evil.test/"}`)
	}))
	defer other.Close()
	if _, err := (&fas.Client{Issuer: other.URL}).Check(t.Context()); err == nil || httpx.Temporary(err) {
		t.Errorf("a provider that is another: %v", err)
	}
}

func TestAccountsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, c := start(t, dir)
	a, to := begin(t, c)
	answer := visit(t, f, to)
	again, err := fasfake.New(fasfake.Config{
		Dir: dir, Issuer: c.Issuer, ClientID: c.ID, ClientSecret: c.Secret, RedirectURIs: []string{comeBack},
		LoginPage: func(string) string { return "" }, People: []fasfake.Person{ada},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.HTTP = &http.Client{Transport: through(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		again.ServeHTTP(w, r)
		return w.Result(), nil
	})}
	if p, err := c.Finish(t.Context(), a, answer); err != nil || p.Login != "ada" {
		t.Errorf("Finish = %+v, %v", p, err)
	}
}

// TestRealManners: the ways of the account system that a client stumbles over.
func TestRealManners(t *testing.T) {
	t.Parallel()
	f, c := start(t, "")
	_, to := begin(t, c)
	u := mustParse(t, to)
	q := u.Query()
	q.Set("scope", "openid unknown")
	u.RawQuery = q.Encode()
	if got := follow(t, u.String()).Query(); got.Get("error") != "invalid_scope" || got.Get("state") == "" {
		t.Errorf("an unknown scope: %v", got)
	}
	q.Set("scope", "openid")
	q.Set("redirect_uri", comeBack+"/x")
	u.RawQuery = q.Encode()
	res, err := http.Get(u.String())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusBadRequest || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Errorf("a foreign address: %s", res.Status)
	}
	post := func(basic bool, form url.Values) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Issuer+"Token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if basic {
			r.SetBasicAuth(c.ID, c.Secret)
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {"none"}, "redirect_uri": {comeBack}, "client_id": {c.ID}, "client_secret": {c.Secret}}
	if code, body := post(false, form); code != http.StatusOK || !strings.Contains(body, "invalid_grant") {
		t.Errorf("a refused code: %d, %s", code, body)
	}
	if code, body := post(true, form); code != http.StatusBadRequest || !strings.Contains(body, "invalid_client") {
		t.Errorf("the secret in the header: %d, %s", code, body)
	}
	for path, want := range map[string]int{"UserInfo": 403, "Registration": 400, "end_session": 404, "revoke": 404} {
		res, err := http.Get(c.Issuer + path)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != want {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// TestAnotherProvider logs in with the example of a library, as it is: what we
// wrote is not for our own fake alone.
//
// It is not parallel: the example changes variables of its library.
func TestAnotherProvider(t *testing.T) {
	var example http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { example.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	accounts := storage.NewStorageWithClients(storage.NewUserStore(server.URL), map[string]*storage.Client{
		"web": storage.WebClient("web", "other secret", comeBack),
	})
	example = exampleop.SetupServer(server.URL, accounts, nil, false, op.WithAllowInsecure())
	for _, c := range []struct {
		secret string
		says   string // empty: succeeds
	}{{"other secret", ""}, {"wrong", "exchanging the code"}} {
		client := &fas.Client{Issuer: server.URL + "/", ID: "web", Secret: c.secret, RedirectURL: comeBack}
		a, to := begin(t, client)
		page := follow(t, to)
		if err := accounts.CheckUsernamePassword("test-user2", "verysecure", page.Query().Get("authRequestID")); err != nil {
			t.Fatal(err)
		}
		back := follow(t, server.URL+"/auth/callback?id="+page.Query().Get("authRequestID"))
		p, err := client.Finish(t.Context(), a, back.Query())
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) || httpx.Temporary(err) {
				t.Errorf("a wrong secret: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&fas.Person{Login: "test-user2", Name: "Test User2", Email: "test-user2@zitadel.ch"}, p); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzFinish(f *testing.F) {
	f.Add("state=s&code=c&iss=x")
	f.Add("state=s&error=access_denied&error_description=%00%ff")
	f.Fuzz(func(t *testing.T, query string) {
		q, _ := url.ParseQuery(query)
		c := &fas.Client{Issuer: "http://127.0.0.1:0/", HTTP: &http.Client{Transport: through(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("nobody is there")
		})}}
		p, err := c.Finish(context.Background(), &fas.Attempt{State: "s"}, q)
		if err == nil {
			t.Errorf("%q logs in %+v", query, p)
		}
	})
}
