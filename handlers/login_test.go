package handlers

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

	"millrace/clients/fas"
	"millrace/clients/fas/fasfake"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

const callback = "https://millrace.example/login/callback"

// doors is a site that people can log in to.
type doors struct {
	*site
	fas *fasfake.Fake
}

func newDoors(t testing.TB, s *store.Store) *doors {
	t.Helper()
	var fake http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	issuer := server.URL + "/openidc/"
	f, err := fasfake.New(fasfake.Config{
		Issuer: issuer, ClientID: "millrace", ClientSecret: "secret", RedirectURIs: []string{callback},
		LoginPage: func(request string) string { return server.URL + "/choose?request=" + request },
		People: []fasfake.Person{
			{Login: "ada", Name: "Ada Lace", Email: "ada@example.org", Groups: []string{"packager"}},
			{Login: "olga", Name: "Olga", Groups: []string{"sysadmin-main"}},
			{Login: "otto", Groups: []string{"sysadmin-main"}},
			{Login: "bo"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	fake = f
	d := &doors{newSite(t, s), f}
	d.Logins = Logins{
		Accounts:  &fas.Client{Issuer: issuer, ID: "millrace", Secret: "secret", RedirectURL: callback},
		Operators: []string{"sysadmin-main"}, Life: time.Hour, Idle: 30 * time.Minute,
		TokenLife: 90 * 24 * time.Hour, TokenMost: 365 * 24 * time.Hour,
	}
	d.Flat = "github.com"
	d.web = d.Handler()
	return d
}

// browser keeps cookies as browsers do.
type browser struct {
	*doors
	cookies map[string]string
	set     []*http.Cookie // with the last answer
}

func (d *doors) browser() *browser { return &browser{doors: d, cookies: map[string]string{}} }

func (b *browser) do(t testing.TB, method, path, form string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	var all []string
	for name, value := range b.cookies {
		all = append(all, name+"="+value)
	}
	headers = append([]string{"Cookie", strings.Join(all, "; "), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}, headers...)
	w := b.request(t, method, path, form, headers...)
	b.set = w.Result().Cookies()
	for _, c := range b.set {
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

func (b *browser) open(t testing.TB, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return b.do(t, http.MethodGet, path, "", headers...)
}

// leave begins a login and returns the path with which the account system sends
// the browser back.
func (b *browser) leave(t testing.TB, login, back string) string {
	t.Helper()
	w := b.open(t, "/login?back="+url.QueryEscape(back))
	if w.Code != http.StatusFound {
		t.Fatalf("/login: status %d: %s", w.Code, w.Body)
	}
	return b.choose(t, login, w.Header().Get("Location"))
}

// choose is what the account system's pages do.
func (b *browser) choose(t testing.TB, login, to string) string {
	t.Helper()
	page := location(t, to)
	chosen, err := b.fas.Allow(page.Query().Get("request"), login)
	if err != nil {
		t.Fatal(err)
	}
	return location(t, chosen).RequestURI()
}

func location(t testing.TB, address string) *url.URL {
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

func (b *browser) login(t testing.TB, login string) {
	t.Helper()
	if w := b.open(t, b.leave(t, login, "/")); w.Code != http.StatusSeeOther {
		t.Fatalf("the login ends with status %d: %s", w.Code, w.Body)
	}
	b.is(t, login)
}

// is fails the test unless the pages show that login is logged in; "" is nobody.
func (b *browser) is(t testing.TB, login string) {
	t.Helper()
	w := b.open(t, "/help")
	body := w.Body.String()
	who := "Logged in as " + login
	if login == "" && (strings.Contains(body, "Logged in as") || !strings.Contains(body, ">Log in</a>")) || login != "" && !strings.Contains(body, who) {
		head, _, _ := strings.Cut(body, "<main")
		t.Errorf("want %q logged in: status %d, %s", login, w.Code, clip(head, 3000))
	}
}

const cookieOfSession = "__Host-millrace"

func TestLoginAndLogout(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDoors(t, s)
		b := d.browser()
		b.is(t, "")
		back := b.leave(t, "ada", "/pipelines?state=failed")
		before := b.cookies[cookieOfSession]
		w := b.open(t, back)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/pipelines?state=failed" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
		}
		if len(b.set) != 1 {
			t.Fatalf("cookies %v", b.set)
		}
		c := b.set[0]
		if c.Name != cookieOfSession || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" ||
			c.MaxAge < 1790 || c.MaxAge > 1800 || c.Value == before {
			t.Errorf("the cookie is %+v", c)
		}
		b.is(t, "ada")
		var rows []store.Session
		if err := s.Writer().NewSelect().Model(&rows).Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1 || rows[0].Token == c.Value || rows[0].UserID == 0 {
			t.Errorf("the database has %+v; the token must not be in it", rows)
		}

		second := d.browser()
		second.login(t, "ada")
		other := d.browser()
		other.login(t, "olga")
		if w := b.open(t, "/login?back=/queue"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/queue" {
			t.Errorf("logging in again: status %d to %q", w.Code, w.Header().Get("Location"))
		}
		stolen := d.browser()
		stolen.cookies[cookieOfSession] = b.cookies[cookieOfSession]
		w = b.do(t, http.MethodPost, "/logout", "back=/queue")
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/queue" || b.cookies[cookieOfSession] != "" {
			t.Errorf("logout: status %d to %q, %v", w.Code, w.Header().Get("Location"), b.cookies)
		}
		stolen.is(t, "")
		second.is(t, "ada")

		b.login(t, "ada")
		b.do(t, http.MethodPost, "/logout/everywhere", "")
		b.is(t, "")
		second.is(t, "")
		other.is(t, "olga")
	})
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	move := func(column string, value any) {
		t.Helper()
		if _, err := d.Store.Writer().NewUpdate().Table("sessions").Set(column+" = ?", value).Where("1 = 1").Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := d.browser()
	b.login(t, "ada")
	if len(b.set) != 0 {
		t.Errorf("a session that was just used is written again: %v", b.set)
	}
	move("expiry", store.Now().Add(-time.Second))
	b.is(t, "")

	// An idle limit that passes ends it; use before then puts it off, but never
	// beyond its life.
	ends := func() (at time.Time) {
		t.Helper()
		err := d.Store.Writer().NewSelect().Table("sessions").ColumnExpr("max(expiry)").Scan(t.Context(), &at)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	d.sessions.IdleTimeout, d.Logins.Idle = time.Hour, 4*time.Second // a note a second that it is used
	b.login(t, "ada")
	move("expiry", store.Now().Add(time.Minute)) // as if it had not been used for long
	time.Sleep(2100 * time.Millisecond)          // the time of use is kept in seconds
	b.is(t, "ada")
	if left := time.Until(ends()); len(b.set) != 1 || left < 50*time.Minute {
		t.Errorf("using a session does not put off its end: %v are left", left)
	}
	d.sessions.Lifetime = 20 * time.Minute
	b = d.browser()
	move("expiry", store.Now().Add(-time.Second))
	b.login(t, "ada")
	time.Sleep(2100 * time.Millisecond)
	b.open(t, "/help")
	if left := time.Until(ends()); len(b.set) != 1 || left > 20*time.Minute {
		t.Errorf("using a session puts its end off beyond its life: %v are left", left)
	}

	// The account system is another one now.
	d.sessions.Lifetime, d.sessions.IdleTimeout, d.Logins.Idle = time.Hour, time.Hour, time.Hour
	b = d.browser()
	b.login(t, "ada")
	d.Logins.Accounts.(*fas.Client).Issuer += "other/"
	b.is(t, "")
}

// TestExtendedWhileEnded: a request that puts off the end of a session does not
// bring it back after a logout.
func TestExtendedWhileEnded(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	b := d.browser()
	b.login(t, "ada")
	ctx, err := d.sessions.Load(t.Context(), b.cookies[cookieOfSession])
	if err != nil {
		t.Fatal(err)
	}
	twin := d.browser()
	twin.cookies[cookieOfSession] = b.cookies[cookieOfSession]
	b.do(t, http.MethodPost, "/logout", "")
	d.sessions.Put(ctx, touchedKey, int64(0))
	if _, err := d.withViewer(ctx, httptest.NewRecorder()); err != nil {
		t.Fatal(err)
	}
	twin.is(t, "")
}

// TestForeignAnswers: what the account system did not send to this browser logs
// nobody in.
func TestForeignAnswers(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	refuse := func(b *browser, path string, status int, says string) {
		t.Helper()
		w := b.open(t, path)
		if w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
		contains(t, w, says)
		b.is(t, "")
	}
	// Somebody lures another to the end of a login of their own.
	attacker, victim := d.browser(), d.browser()
	lure := attacker.leave(t, "ada", "/")
	refuse(victim, lure, http.StatusBadRequest, "did not begin in this browser")
	victim.leave(t, "olga", "/")
	refuse(victim, lure, http.StatusBadRequest, "did not begin in this browser")

	b := d.browser()
	path := b.leave(t, "ada", "/")
	u, _ := url.Parse(path)
	q := u.Query()
	for name, values := range map[string]string{"state": "other", "code": "x", "iss": "https://evil.example/"} {
		changed, _ := url.ParseQuery(u.RawQuery)
		changed.Set(name, values)
		fresh := d.browser()
		at, _ := url.Parse(fresh.leave(t, "ada", "/"))
		own := at.Query()
		own.Set(name, values)
		status, says := http.StatusForbidden, "does not prove who you are"
		if name == "state" {
			status, says = http.StatusBadRequest, "did not begin in this browser"
		}
		refuse(fresh, "/login/callback?"+own.Encode(), status, says)
	}
	refuse(b, "/login/callback?code="+q.Get("code"), http.StatusBadRequest, "did not begin")
	if w := b.open(t, path); w.Code != http.StatusSeeOther {
		t.Fatalf("the true answer: status %d", w.Code)
	}
	b.do(t, http.MethodPost, "/logout", "")
	refuse(b, path, http.StatusBadRequest, "did not begin") // the same again

	// An answer is used up by being looked at.
	b = d.browser()
	path = b.leave(t, "ada", "/")
	refuse(b, path+"&iss=https://evil.example/", http.StatusForbidden, "does not prove")
	refuse(b, path, http.StatusBadRequest, "did not begin")

	for name, fault := range map[string]fasfake.Fault{
		"wrong nonce":  {Token: map[string]any{"nonce": "other"}},
		"wrong issuer": {Token: map[string]any{"iss": "https://evil.example/"}},
		"foreign key":  {Foreign: true},
		"expired key":  {Expired: true},
		"expired":      {Token: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}},
	} {
		b := d.browser()
		path := b.leave(t, "ada", "/")
		if err := d.fas.Misbehave(fault); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		refuse(b, path, http.StatusForbidden, "does not prove who you are")
		if err := d.fas.Misbehave(fasfake.Fault{}); err != nil {
			t.Fatal(err)
		}
	}
	var people int
	if err := d.Store.Writer().NewSelect().TableExpr("users").ColumnExpr("count(*)").Where("login <> 'ada'").Scan(t.Context(), &people); err != nil || people != 0 {
		t.Errorf("%d others have become users, %v", people, err)
	}
}

func TestWhereOneComesBack(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	for from, to := range map[string]string{
		"/queue":                "/queue",
		"":                      "/",
		"https://evil.example/": "/",
		"//evil.example/":       "/",
		"/\\evil.example/":      "/",
		"\\\\evil.example":      "/",
		"/%0d%0aSet-Cookie:x":   "/%0d%0aSet-Cookie:x",
		"javascript:alert(1)":   "/",
		"/x\r\nLocation: /y":    "/",
	} {
		b := d.browser()
		if w := b.open(t, b.leave(t, "ada", from)); w.Code != http.StatusSeeOther || w.Header().Get("Location") != to {
			t.Errorf("%q: status %d to %q, want %q", from, w.Code, w.Header().Get("Location"), to)
		}
		d.tries = new(tries)
	}
}

// TestFixation: a token that somebody knew before the login is worth nothing
// after it.
func TestFixation(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	attacker := d.browser()
	attacker.leave(t, "ada", "/") // has a session, but nobody's
	victim := d.browser()
	victim.cookies[cookieOfSession] = attacker.cookies[cookieOfSession]
	victim.login(t, "olga")
	attacker.is(t, "")
	if victim.cookies[cookieOfSession] == attacker.cookies[cookieOfSession] {
		t.Error("the token was kept")
	}
	invented := d.browser()
	invented.cookies[cookieOfSession] = "chosen-by-somebody"
	invented.leave(t, "ada", "/")
	if invented.cookies[cookieOfSession] == "chosen-by-somebody" {
		t.Error("an invented token was taken")
	}
	invented.cookies[cookieOfSession] = strings.Repeat("x", 5000)
	invented.is(t, "")
	if w := invented.do(t, http.MethodPost, "/logout", ""); w.Code != http.StatusSeeOther {
		t.Errorf("logout with a cookie that is none: status %d", w.Code)
	}
}

func TestCrossOriginForms(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	b := d.browser()
	b.login(t, "olga")
	for _, path := range []string{"/logout", "/logout/everywhere", "/admin/allowlist"} {
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
		} {
			if w := b.do(t, http.MethodPost, path, "do=allow&path=github.com/evil", headers...); w.Code != http.StatusForbidden {
				t.Errorf("%s with %v: status %d", path, headers, w.Code)
			}
		}
		if w := b.open(t, path); path != "/admin/allowlist" && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s by a link: status %d", path, w.Code)
		}
	}
	b.is(t, "olga")
	if all, err := d.Store.AllAllowances(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("the allowlist has %v, %v", all, err)
	}
}

func TestLoginThatIsNotSetUp(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	b := d.browser()
	path := b.leave(t, "olga", "/")
	b.login(t, "olga")
	d.Logins.Accounts = nil
	for _, at := range []string{"/login", "/login?back=/queue", path} {
		w := b.open(t, at)
		if w.Code != http.StatusNotImplemented || len(b.set) != 0 {
			t.Errorf("%s: status %d, cookies %v", at, w.Code, b.set)
		}
		contains(t, w, "Nobody can log in here", "login.issuer")
	}
	w := b.open(t, "/help")
	if body := w.Body.String(); strings.Contains(body, "Logged in as") || strings.Contains(body, ">Log in<") {
		t.Error("the pages know somebody, or offer to log in")
	}
	if w := b.open(t, "/admin/audit"); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), `href="/login`) {
		t.Errorf("a page of operators: status %d", w.Code)
	}
	if w := b.do(t, http.MethodPost, "/logout", ""); w.Code != http.StatusSeeOther {
		t.Errorf("logout: status %d", w.Code)
	}
}

func TestAccountsInTrouble(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	if err := d.fas.Misbehave(fasfake.Fault{Status: 502}); err != nil {
		t.Fatal(err)
	}
	b := d.browser()
	w := b.open(t, "/login?back=/queue")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d", w.Code)
	}
	contains(t, w, "does not answer", `href="/login?back=%2Fqueue"`)
	d.Logins.Accounts = brokenAccounts{}
	if w := b.open(t, "/login"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("too slow: status %d", w.Code)
	}

	d = newDoors(t, storetest.SQLite(t))
	b = d.browser()
	to := b.open(t, "/login?back=/queue").Header().Get("Location")
	denied, err := d.fas.Deny(location(t, to).Query().Get("request"))
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(denied)
	w = b.open(t, u.RequestURI())
	if w.Code != http.StatusForbidden {
		t.Errorf("a person who does not want to: status %d", w.Code)
	}
	contains(t, w, "access_denied", `href="/login?back=%2Fqueue"`)
}

type brokenAccounts struct{}

func (brokenAccounts) Name() string { return "broken" }
func (brokenAccounts) Begin(context.Context) (*fas.Attempt, string, error) {
	return nil, "", fmt.Errorf("asking: %w", context.DeadlineExceeded)
}

func (brokenAccounts) Finish(context.Context, *fas.Attempt, url.Values) (*fas.Person, error) {
	return nil, errors.New("never")
}

func TestOtherNameOfTheMachine(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	d.Base = "https://millrace.example:8443"
	w := d.get(t, "/login?back=/queue")
	if got := w.Header().Get("Location"); got != "https://millrace.example:8443/login?back=%2Fqueue&moved=1" {
		t.Errorf("sent to %q", got)
	}
	if w := d.get(t, "/login?back=/queue&moved=1"); strings.HasPrefix(w.Header().Get("Location"), d.Base) {
		t.Error("a proxy that renames us makes a circle")
	}
}

func TestTooManyTries(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	d.Logins.Accounts = brokenAccounts{}
	from := func(forwarded string) int {
		return d.get(t, "/login", "X-Forwarded-For", forwarded).Code // the test's own address is 192.0.2.1
	}
	for range mostTries {
		if code := from("1.2.3.4"); code == http.StatusTooManyRequests {
			t.Fatal("too early")
		}
	}
	if from("1.2.3.5") != http.StatusTooManyRequests {
		t.Error("an address that tries too often is not stopped, or is believed whatever it says")
	}

	var n tries
	now := time.Now()
	request := func(remote, forwarded string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = remote
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		return r
	}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.7:99", "", "192.0.2.7/32"},
		{"192.0.2.7:99", "10.0.0.1", "192.0.2.7/32"},
		{"127.0.0.1:99", "6.6.6.6, 192.0.2.9", "192.0.2.9/32"},
		{"10.1.2.3:99", "nonsense", "10.1.2.3/32"},
		{"[::1]:99", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.7]:99", "", "192.0.2.7/32"},
		{"[fe80::1%eth0]:99", "", "fe80::/64"},
		{"@", "", "invalid Prefix"},
	} {
		if got := asker(request(c.remote, c.forwarded)).String(); got != c.want {
			t.Errorf("asker(%q, %q) = %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
	who := asker(request("192.0.2.7:99", ""))
	for range mostTries {
		n.take(who, now)
	}
	if wait := n.take(who, now.Add(time.Minute)); wait != triesWindow-time.Minute {
		t.Errorf("to wait: %v", wait)
	}
	if n.take(who, now.Add(triesWindow+time.Second)) != 0 {
		t.Error("it never ends")
	}
}

func TestManyTabs(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	b := d.browser()
	var paths []string
	for i := range mostAttempts + 1 {
		paths = append(paths, b.leave(t, "ada", fmt.Sprintf("/runs/%d", i)))
	}
	if w := b.open(t, paths[0]); w.Code != http.StatusBadRequest {
		t.Errorf("the oldest of too many: status %d", w.Code)
	}
	if w := b.open(t, paths[1]); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/runs/1" {
		t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	b.is(t, "ada")
}

func TestViewerChangesTheTag(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	d := newDoors(t, s)
	p := storetest.Pipeline(t, s, "mill/wheel", 7, storetest.PullRequest)
	b := d.browser()
	path := fmt.Sprintf("/pipelines/%d", p.ID)
	before := b.open(t, path).Header().Get("Etag")
	b.login(t, "ada")
	w := b.open(t, path, "If-None-Match", before)
	if before == "" || w.Code != http.StatusOK {
		t.Errorf("status %d for the page of somebody else, tag %q", w.Code, before)
	}
	contains(t, w, "</html>")
}

func TestRightsFollowGroups(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	b := d.browser()
	b.login(t, "olga")
	if w := b.open(t, "/admin/audit"); w.Code != http.StatusOK {
		t.Errorf("an operator: status %d", w.Code)
	}
	// The account system says something else at another login.
	d.write(t, func(tx *store.Tx) error { return tx.SaveUser(t.Context(), &models.User{Login: "olga"}) })
	if w := b.open(t, "/admin/audit"); w.Code != http.StatusForbidden {
		t.Errorf("an operator no longer: status %d", w.Code)
	}
}
