package bodhifake

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// providerPath is where the identity provider is served.
const providerPath = "/openidc"

const (
	clientID   = "bodhi-client"
	outOfBand  = "urn:ietf:wg:oauth:2.0:oob"
	local      = "http://localhost:45678/auth"
	cookieLife = 24 * time.Hour
	tokenLife  = time.Hour
	codeLife   = 10 * time.Minute
)

// logins are who is logged in, and on the way there.
type logins struct {
	codes    map[string]login
	tokens   map[string]login
	sessions map[string]login
	visits   map[string]string // user by the provider's cookie
	noOOB    bool
}

type login struct {
	user, redirect string
	csrf           string
	till           time.Time
}

// tokenPrefix is what stands before the login in what is shown for a ticket, as in
// the other small services.
const tokenPrefix = "sim:"

// Negotiate makes the tokens by which the identity provider knows a user, for
// bodhi.Account.
func Negotiate(user string) func(context.Context, string) ([]byte, error) {
	return func(context.Context, string) ([]byte, error) { return []byte(tokenPrefix + user), nil }
}

func ticketOf(header string) (user string, ok bool) {
	text, ok := strings.CutPrefix(header, "Negotiate ")
	if !ok {
		return "", false
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), tokenPrefix)
}

// ExpireSessions ends all logins: cookies are no longer of use.
func (s *Server) ExpireSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins.sessions = nil
}

// ChangeForms makes the tokens of forms worthless that were given out, as when
// the session begins anew.
func (s *Server) ChangeForms() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, l := range s.logins.sessions {
		l.csrf = strings.ToLower(rand.Text())
		s.logins.sessions[key] = l
	}
}

// ShowNoCodes takes from the identity provider the page that shows a code, as
// those have it that are not Fedora's.
func (s *Server) ShowNoCodes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins.noOOB = true
}

func (s *Server) groups(user string) (groups []string, ok bool) {
	if s.Users == nil {
		return []string{"packager"}, user == "packit"
	}
	groups, ok = s.Users[user]
	return groups, ok
}

// address is where we are served.
func (s *Server) address(r *http.Request) string {
	if s.Address != "" {
		return s.Address
	}
	return "http://" + r.Host
}

// provide answers as the identity provider.
func (s *Server) provide(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.address(r) + providerPath
	switch strings.TrimPrefix(r.URL.Path, providerPath) {
	case "/.well-known/openid-configuration":
		modes := []string{"query", "fragment", "form_post", "oob", "none"}
		if s.logins.noOOB {
			modes = []string{"query"}
		}
		answer(w, http.StatusOK, map[string]any{
			"issuer": at + "/", "authorization_endpoint": at + "/Authorization", "token_endpoint": at + "/Token",
			"userinfo_endpoint": at + "/UserInfo", "response_modes_supported": modes, "response_types_supported": []string{"code"},
		})
	case "/Authorization":
		s.authorize(w, r, at)
	case "/login/negotiate":
		s.negotiate(w, r, at)
	case "/Token":
		s.exchange(w, r)
	default:
		http.NotFound(w, r)
	}
}

// authorize sends who is not known to show a ticket, and gives the code to who
// is.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, at string) {
	query := r.URL.Query()
	redirect := query.Get("redirect_uri")
	if query.Get("client_id") != clientID || redirect != outOfBand && redirect != local || s.logins.noOOB && redirect == outOfBand {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, "<!doctype html><title>Error</title><p>The client or its redirect address is not registered.")
		return
	}
	if query.Get("response_type") != "code" || !strings.Contains(query.Get("scope"), "openid") {
		s.back(w, r, redirect, url.Values{"error": {"invalid_request"}, "state": {query.Get("state")}})
		return
	}
	cookie, err := r.Cookie("visit")
	user := ""
	if err == nil {
		user = s.logins.visits[cookie.Value]
	}
	if user == "" {
		http.Redirect(w, r, at+"/login/negotiate?to="+url.QueryEscape(r.URL.RawQuery), http.StatusFound)
		return
	}
	code := rand.Text()
	put(&s.logins.codes, code, login{user: user, redirect: redirect, till: time.Now().Add(codeLife)})
	s.back(w, r, redirect, url.Values{"code": {code}, "state": {query.Get("state")}})
}

func (s *Server) back(w http.ResponseWriter, r *http.Request, redirect string, said url.Values) {
	if redirect != outOfBand {
		http.Redirect(w, r, redirect+"?"+said.Encode(), http.StatusFound)
		return
	}
	var parts []string
	for _, key := range []string{"code", "error", "state"} {
		if said.Has(key) {
			parts = append(parts, key+"="+said.Get(key))
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!doctype html>\n<html><head><title>%s</title></head><body>You may close this page.</body></html>\n", html.EscapeString(strings.Join(parts, ";")))
}

// negotiate asks for a ticket. What it answers to a good one lacks the last
// token, as the real one's does.
func (s *Server) negotiate(w http.ResponseWriter, r *http.Request, at string) {
	user, shown := ticketOf(r.Header.Get("Authorization"))
	if _, known := s.groups(user); !shown || !known {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "<!doctype html><title>Login</title><form><input name=login_name><input name=login_password type=password></form>")
		return
	}
	visit := rand.Text()
	if s.logins.visits == nil {
		s.logins.visits = map[string]string{}
	}
	s.logins.visits[visit] = user
	http.SetCookie(w, &http.Cookie{Name: "visit", Value: visit, Path: "/", HttpOnly: true})
	http.Redirect(w, r, at+"/Authorization?"+r.URL.Query().Get("to"), http.StatusFound)
}

// exchange gives a token for a code; it refuses with status 200.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.ParseForm() != nil || r.Form.Get("client_id") != clientID || r.Header.Get("Authorization") != "" {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_client", "error_description": "client authentication error"})
		return
	}
	code := r.Form.Get("code")
	l, ok := s.logins.codes[code]
	delete(s.logins.codes, code)
	if !ok || l.redirect != r.Form.Get("redirect_uri") || r.Form.Get("grant_type") != "authorization_code" || time.Now().After(l.till) {
		answer(w, http.StatusOK, map[string]string{"error": "invalid_grant", "error_description": "the code is not valid"})
		return
	}
	token := rand.Text()
	put(&s.logins.tokens, token, login{user: l.user, till: time.Now().Add(tokenLife)})
	answer(w, http.StatusOK, map[string]any{
		"access_token": token, "refresh_token": "R_" + rand.Text(), "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()),
	})
}

// put adds a login, and forgets those that are over.
func put(to *map[string]login, key string, l login) {
	if *to == nil {
		*to = map[string]login{}
	}
	for k, old := range *to {
		if time.Now().After(old.till) {
			delete(*to, k)
		}
	}
	(*to)[key] = l
}

// loginToken begins a session of Bodhi's for a token.
func (s *Server) loginToken(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	l, ok := s.logins.tokens[token]
	if !ok || time.Now().After(l.till) {
		refuse(w, http.StatusUnauthorized, "header", "Authorization", "The token is not valid")
		return
	}
	cookie := rand.Text()
	put(&s.logins.sessions, cookie, login{user: l.user, csrf: strings.ToLower(rand.Text()), till: time.Now().Add(cookieLife)})
	http.SetCookie(w, &http.Cookie{Name: "auth_tkt", Value: cookie, Path: "/", HttpOnly: true, MaxAge: int(cookieLife.Seconds())})
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) session(r *http.Request) (login, bool) {
	cookie, err := r.Cookie("auth_tkt")
	if err != nil {
		return login{}, false
	}
	l, ok := s.logins.sessions[cookie.Value]
	return l, ok && time.Now().Before(l.till)
}

func (s *Server) csrf(w http.ResponseWriter, r *http.Request) {
	l, ok := s.session(r)
	if !ok { // anybody has one, but it is of no use
		l.csrf = strings.ToLower(rand.Text())
	}
	answer(w, http.StatusOK, map[string]string{"csrf_token": l.csrf})
}

// allowed reports whether a user may make updates of these packages, and has
// refused if not.
func (s *Server) allowed(w http.ResponseWriter, user string, packages []string) bool {
	groups, _ := s.groups(user)
	for _, all := range []string{"provenpackager", "releng", "security_respons"} {
		if slices.Contains(groups, all) {
			return true
		}
	}
	if !slices.Contains(groups, "packager") {
		refuse(w, http.StatusForbidden, "body", "builds", user+` is not a member of "packager", which is a mandatory packager group`)
		return false
	}
	for _, pkg := range packages {
		if s.Commits != nil && !s.Commits(user, pkg) {
			refuse(w, http.StatusForbidden, "body", "builds", user+" does not have commit access to "+pkg)
			return false
		}
	}
	return true
}
