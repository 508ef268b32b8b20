package handlers

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

var secretOnPage = regexp.MustCompile(models.TokenPrefix + `[a-z2-7]{52}`)

// token makes a token on the page and returns its secret.
func (b *browser) token(t testing.TB, name string, scopes ...models.TokenScope) string {
	t.Helper()
	form := "name=" + name + "&days=90"
	for _, scope := range scopes {
		form += "&scope=" + string(scope)
	}
	w := b.do(t, http.MethodPost, "/settings/tokens", form)
	secret := secretOnPage.FindString(w.Body.String())
	if w.Code != http.StatusOK || secret == "" {
		t.Fatalf("making a token: status %d: %s", w.Code, clip(w.Body.String(), 2000))
	}
	return secret
}

// with asks as a program does, with a token.
func (d *doors) with(t testing.TB, secret, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return d.request(t, method, path, body, append([]string{"Authorization", "Bearer " + secret}, headers...)...)
}

func TestTokensPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDoors(t, s)
		b := d.browser()
		if w := b.open(t, "/settings/tokens"); w.Code != http.StatusForbidden {
			t.Errorf("not logged in: status %d", w.Code)
		} else {
			contains(t, w, `href="/login?back=%2Fsettings%2Ftokens"`)
		}
		b.login(t, "ada")
		contains(t, b.open(t, "/settings/tokens"), "No token", `<option value="90" selected`, `value="365"`)
		for form, says := range map[string]string{
			"days=90&scope=read":                                           "say what the token is for",
			"name=CI&days=90":                                              "choose at least one scope",
			"name=CI&days=90&scope=root":                                   "there is no scope &#34;root&#34;",
			"name=CI&days=366&scope=read":                                  "from 1 to 365 days",
			"name=CI&days=0&scope=read":                                    "from 1 to 365 days",
			"name=CI&days=-5&scope=read":                                   "from 1 to 365 days",
			"name=CI&days=9223372036854775807&scope=read":                  "from 1 to 365 days",
			"name=CI&days=soon&scope=read":                                 "from 1 to 365 days",
			"name=%3Cb%3E%00&days=90&scope=read":                           "all of them printable",
			"name=" + strings.Repeat("x", 101) + "&days=90&scope=read":     "at most 100 bytes",
			"name=%ff&days=90&scope=read":                                  "all of them printable",
			"name=CI&days=90&scope=" + strings.Repeat("a", 300) + "%0a%22": "there is no scope",
		} {
			w := b.do(t, http.MethodPost, "/settings/tokens", form)
			if w.Code != http.StatusUnprocessableEntity || secretOnPage.MatchString(w.Body.String()) {
				t.Errorf("%s: status %d", form, w.Code)
			}
			contains(t, w, says)
		}

		secret := b.token(t, "CI+of+wheel", models.RerunScope, models.ReadScope)
		w := b.open(t, "/settings/tokens")
		contains(t, w, "CI of wheel", "read, rerun", secret[:len(models.TokenPrefix)+4]+"…", "never")
		if strings.Contains(w.Body.String(), secret) || w.Header().Get("Cache-Control") != "no-store" {
			t.Error("the secret is shown again, or the page is kept")
		}
		list := decode[List[Token]](t, b.open(t, "/api/v3/settings/tokens").Body)
		if len(list.Items) != 1 || list.Items[0].Name != "CI of wheel" || list.Items[0].UsedAt != nil {
			t.Fatalf("tokens %+v", list.Items)
		}
		var rows []*models.Token
		if err := s.Writer().NewSelect().Model(&rows).Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rows[0].Hash != models.HashToken(secret) || rows[0].Issuer != d.Logins.Accounts.Name() {
			t.Errorf("stored as %+v", rows[0])
		}

		other := d.browser()
		other.login(t, "olga")
		revoke := "/settings/tokens/" + decimal(rows[0].ID) + "/revoke"
		if w := other.do(t, http.MethodPost, revoke, ""); w.Code != http.StatusNotFound {
			t.Errorf("revoking the token of somebody else: status %d", w.Code)
		}
		if w := d.with(t, secret, http.MethodGet, "/api/v3/pipelines", ""); w.Code != http.StatusOK {
			t.Errorf("with the token: status %d", w.Code)
		}
		if w := b.do(t, http.MethodPost, revoke, ""); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/settings/tokens" {
			t.Errorf("revoking: status %d to %s", w.Code, w.Header().Get("Location"))
		}
		if w := d.with(t, secret, http.MethodGet, "/api/v3/pipelines", ""); w.Code != http.StatusUnauthorized {
			t.Errorf("with a token that was revoked: status %d", w.Code)
		}
		if w := b.do(t, http.MethodPost, revoke, ""); w.Code != http.StatusNotFound {
			t.Errorf("revoking again: status %d", w.Code)
		}
		log, err := s.AuditLog(t.Context(), models.Page{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range log.Rows {
			if strings.HasPrefix(e.Action, "token.") {
				got = append(got, e.Actor+" "+string(e.Via)+" "+e.Action+" "+e.Object+" "+e.Detail["scopes"]+" "+string(e.Result))
			}
		}
		if diff := cmp.Diff([]string{"ada button token.revoke CI of wheel read, rerun done", "ada button token.create CI of wheel read, rerun done"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTokensAct: a program may what its user may, within the scopes of its token.
func TestTokensAct(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	olga, ada := d.browser(), d.browser()
	olga.login(t, "olga")
	ada.login(t, "ada")
	admin, reader := olga.token(t, "admin", models.AdminScope), olga.token(t, "reader", models.ReadScope, models.RerunScope)
	hopeful := ada.token(t, "hopeful", models.AdminScope)
	for _, c := range []struct {
		name, secret, method, path, body string
		status                           int
		says                             string
	}{
		{"operator", admin, http.MethodGet, "/api/v3/admin/audit", "", 200, `"items"`},
		{"operator, as HTML", admin, http.MethodGet, "/admin/allowlist", "", 200, "Logged in as olga"},
		{"scope too small", reader, http.MethodGet, "/api/v3/admin/audit", "", 403, `has not the scope admin`},
		{"scope too small to change", reader, http.MethodPost, "/api/v3/admin/allowlist", `{"path":"github.com/mill","state":"allowed"}`, 403, `has not the scope admin`},
		{"no operator", hopeful, http.MethodGet, "/api/v3/admin/audit", "", 403, "Only operators"},
		{"tokens", admin, http.MethodGet, "/api/v3/settings/tokens", "", 403, "cannot be done with a token"},
		{"a new token", admin, http.MethodPost, "/api/v3/settings/tokens", `{"name":"x","scopes":["read"]}`, 403, "cannot be done with a token"},
		{"revoking", admin, http.MethodDelete, "/api/v3/settings/tokens/1", "", 403, "cannot be done with a token"},
		{"a form with what cannot be stored", admin, http.MethodPost, "/settings/tokens", "name=%00&scope=read&days=9", 403, "cannot be done with a token"},
		{"an entry with it", hopeful, http.MethodPost, "/admin/allowlist", "do=allow&path=%00", 403, "Only operators"},
		{"a change", admin, http.MethodPost, "/admin/allowlist", "do=allow&path=github.com/mill", 303, ""},
		{"not a token of ours", "ghp_abc", http.MethodGet, "/api/v3/pipelines", "", 401, "begin with millrace_"},
		{"nothing", "", http.MethodGet, "/api/v3/pipelines", "", 401, "begin with millrace_"},
		{"long", models.TokenPrefix + strings.Repeat("a", 5000), http.MethodGet, "/api/v3/pipelines", "", 401, "begin with millrace_"},
		{"one letter off", admin[:len(admin)-1] + "1", http.MethodGet, "/api/v3/pipelines", "", 401, "no such token, or it was revoked"},
		{"nowhere", "x", http.MethodGet, "/api/v3/nowhere", "", 401, "begin with"},
	} {
		kind := "application/x-www-form-urlencoded"
		if strings.HasPrefix(c.body, "{") {
			kind = jsonMediaType
		}
		w := d.with(t, c.secret, c.method, c.path, c.body, "Content-Type", kind)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: status %d, want %d: %s", c.name, w.Code, c.status, clip(w.Body.String(), 500))
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (c.status == 401) != (challenge != "") {
			t.Errorf("%s: challenge %q", c.name, challenge)
		}
	}
	log, err := d.Store.AuditLog(t.Context(), models.Page{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range log.Rows[:6] {
		got = append(got, e.Actor+" "+string(e.Via)+" "+e.Action+" "+string(e.Result))
	}
	if diff := cmp.Diff([]string{
		"olga API allowlist.allow done", "ada API allowlist.allow refused", "olga API token.create refused", "olga API token.revoke refused", "olga API token.create refused", "olga API allowlist.allow refused",
	}, got); diff != "" {
		t.Error(diff)
	}

	// The cookie of one person and the token of another: the token counts.
	if w := ada.open(t, "/admin/audit", "Authorization", "bearer  "+admin); w.Code != http.StatusOK {
		t.Errorf("token and cookie: status %d", w.Code)
	}
	if w := olga.open(t, "/admin/audit", "Authorization", "Bearer "+hopeful); w.Code != http.StatusForbidden {
		t.Errorf("the cookie helps the token: status %d", w.Code)
	}
	// What is not about tokens stays with the cookie.
	if w := olga.open(t, "/admin/audit", "Authorization", "Basic b2xnYTpvbGdh"); w.Code != http.StatusOK {
		t.Errorf("another kind of proof: status %d", w.Code)
	}
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDoors(t, s)
		b := d.browser()
		b.login(t, "olga")
		secret := b.token(t, "admin", models.AdminScope)
		find := func() *models.Token {
			t.Helper()
			token, err := s.TokenByHash(t.Context(), models.HashToken(secret))
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		set := func(what string, value any) {
			t.Helper()
			if _, err := s.Writer().NewUpdate().Model(find()).Set(what, value).WherePK().Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		is := func(when string, status int, says string) {
			t.Helper()
			w := d.with(t, secret, http.MethodGet, "/api/v3/admin/audit", "")
			if w.Code != status || !strings.Contains(w.Body.String(), says) {
				t.Errorf("%s: status %d, want %d: %s", when, w.Code, status, clip(w.Body.String(), 300))
			}
		}
		is("now", 200, "")
		used := find().UsedAt
		if time.Since(used) > time.Minute {
			t.Errorf("last used at %v", used)
		}
		is("again", 200, "")
		if again := find().UsedAt; !again.Equal(used) {
			t.Error("each use is a write")
		}
		set("used_at = ?", used.Add(-tokenNoted-time.Second))
		is("later", 200, "")
		if again := find().UsedAt; again.Before(used) {
			t.Error("a later use is not noted")
		}

		expiry := find().ExpiresAt
		set("expires_at = ?", time.Now().UTC().Add(-time.Second))
		is("expired", 401, "expired on")
		set("expires_at = ?", expiry)
		set("issuer = ?", "https://other.example")
		is("of another account system", 401, "another account system")
		set("issuer = ?", d.Logins.Accounts.Name())

		// Groups that were heard long ago do not count.
		user := &models.User{ID: find().UserID}
		if _, err := s.Writer().NewUpdate().Model(user).Set("seen_at = ?", time.Now().UTC().Add(-2*time.Hour)).WherePK().Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		is("long after the last login", 403, "log in again")
		d.browser().login(t, "olga")
		is("after another login", 200, "")

		other := d.browser()
		other.login(t, "ada")
		stays := other.token(t, "stays", models.ReadScope)
		b.do(t, http.MethodPost, "/logout", "")
		is("logged out", 200, "")
		b.login(t, "olga")
		b.do(t, http.MethodPost, "/logout/everywhere", "")
		is("logged out everywhere", 401, "revoked")
		if w := d.with(t, stays, http.MethodGet, "/api/v3/pipelines", ""); w.Code != http.StatusOK {
			t.Errorf("the token of somebody else: status %d", w.Code)
		}
		d.Logins.Accounts = nil
		if w := d.with(t, stays, http.MethodGet, "/api/v3/pipelines", ""); w.Code != http.StatusUnauthorized {
			t.Errorf("nobody can log in: status %d", w.Code)
		}
	})
}
