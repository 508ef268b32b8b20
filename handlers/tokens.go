package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// tokenNoted is how exactly the last use of a token is noted: what a program
// reads is not to become a write.
const tokenNoted = 5 * time.Minute

// bearer returns the secret that a request shows, if it shows one.
func bearer(r *http.Request) (secret string, shown bool) {
	scheme, secret, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	return strings.TrimSpace(secret), strings.EqualFold(scheme, "Bearer")
}

// withToken adds the viewer as whom a program acts to ctx, and notes that its
// token is used.
func (s *Server) withToken(ctx context.Context, w http.ResponseWriter, secret string) (context.Context, error) {
	now := time.Now()
	token, err := s.tokenOf(ctx, secret, now)
	if err != nil {
		if no, ok := errors.AsType[*refusal](err); ok && no.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="millrace", error="invalid_token"`)
		}
		return nil, err
	}
	user, err := s.Store.User(ctx, token.UserID)
	if err != nil {
		return nil, err
	}
	operators := s.Logins.Operators
	if now.Sub(user.SeenAt) > s.Logins.Life {
		// What groups somebody is in was heard at their last login. A session does
		// not live longer than this; its word is not good for longer here either.
		operators = nil
	}
	viewer := s.Rights.Viewer(ctx, user, operators)
	viewer.ByToken, viewer.Scopes = true, token.Scopes
	if now.Sub(token.UsedAt) > tokenNoted {
		err := s.Store.InTx(ctx, func(tx *store.Tx) error { return tx.UseToken(ctx, token.ID, now) })
		if err != nil {
			return nil, err
		}
	}
	return context.WithValue(context.WithValue(ctx, viewerKey{}, viewer), tokenKey{}, token), nil
}

// tokenKey leads to the token that a request showed.
type tokenKey struct{}

// tokenOf finds the token of a secret, or says why it is none.
func (s *Server) tokenOf(ctx context.Context, secret string, now time.Time) (*models.Token, error) {
	no := func(detail string) (*models.Token, error) {
		return nil, &refusal{status: http.StatusUnauthorized, detail: detail}
	}
	if s.Logins.Accounts == nil {
		return no("Nobody can log in here, so there are no tokens either. Everything can be read without.")
	}
	if !strings.HasPrefix(secret, models.TokenPrefix) || len(secret) > 200 {
		return no("The token is not one of this service; those begin with " + models.TokenPrefix + ".")
	}
	token, err := s.Store.TokenByHash(ctx, models.HashToken(secret))
	switch {
	case errors.Is(err, models.ErrNotFound):
		return no("There is no such token, or it was revoked. Make one at " + s.Base + views.TokensURL() + ".")
	case err != nil:
		return nil, err
	case token.Expired(now):
		return no(fmt.Sprintf("The token %q expired on %s. Make one at %s%s.", token.Name, token.ExpiresAt.UTC().Format("2006-01-02"), s.Base, views.TokensURL()))
	case token.Issuer != s.Logins.Accounts.Name():
		return no("The token was made while this service had another account system. Log in and make a new one.")
	}
	return token, nil
}

func (s *Server) listTokens(w http.ResponseWriter, r *http.Request) error {
	if err := s.may(r, models.PersonalRight, models.About{}); err != nil {
		return err
	}
	return s.showTokens(w, r, views.TokensPage{}, http.StatusOK)
}

// showTokens adds the tokens of the viewer, and what can be chosen.
func (s *Server) showTokens(w http.ResponseWriter, r *http.Request, page views.TokensPage, status int) error {
	tokens, err := s.Store.Tokens(r.Context(), viewerOf(r).ID)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if visitOf(r).json {
		return s.writeJSON(w, r, listOf(s, w, r, each(tokens, apiToken), models.Cursors{}))
	}
	page.Tokens, page.MostDays, page.Days = tokens, int(s.Logins.TokenMost.Hours()/24), s.tokenDays()
	if page.Entry.Days == 0 {
		page.Entry.Days = int(s.Logins.TokenLife.Hours() / 24)
	}
	return s.render(w, r, status, views.Tokens(page))
}

// tokenDays are the lifetimes that are offered.
func (s *Server) tokenDays() (days []int) {
	usual, most := int(s.Logins.TokenLife.Hours()/24), int(s.Logins.TokenMost.Hours()/24)
	for _, n := range []int{7, 30, 90, 180, 365} {
		if n != usual && n < most {
			days = append(days, n)
		}
	}
	return append(days, usual, most)
}

// makeToken takes the form for a new token, and shows its secret once.
func (s *Server) makeToken(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		return &refusal{status: http.StatusBadRequest, detail: "The form cannot be read."}
	}
	entry := views.TokenEntry{Name: strings.TrimSpace(r.PostForm.Get("name"))}
	for _, scope := range r.PostForm["scope"] {
		entry.Scopes = append(entry.Scopes, models.TokenScope(scope))
	}
	entry.Days, _ = strconv.Atoi(r.PostForm.Get("days")) // 0 is as wrong as no number
	token, secret, err := s.newToken(r, entry)
	if problem := mistake(err); problem != "" {
		return s.showTokens(w, r, views.TokensPage{Problem: problem, Entry: entry}, http.StatusUnprocessableEntity)
	}
	if err != nil {
		return err
	}
	return s.showTokens(w, r, views.TokensPage{Made: token, Secret: secret}, http.StatusOK)
}

// newToken makes a token for the viewer.
func (s *Server) newToken(r *http.Request, entry views.TokenEntry) (token *models.Token, secret string, err error) {
	if err := s.may(r, models.PersonalRight, models.About{}); err != nil {
		return nil, "", s.noteRefusal(r, err, "token.create", httpx.Clean(entry.Name, 100))
	}
	ctx, viewer, now := r.Context(), viewerOf(r), store.Now()
	if err := s.withinLimit(r, viewer); err != nil {
		return nil, "", err
	}
	days := min(max(entry.Days, 0), 100_000) // far from where durations end
	token = &models.Token{
		UserID: viewer.ID, Issuer: s.Logins.Accounts.Name(), Name: entry.Name, Scopes: entry.Scopes,
		ExpiresAt: now.Add(time.Duration(days) * 24 * time.Hour),
	}
	if err := token.Check(now, s.Logins.TokenMost); err != nil {
		return nil, "", err
	}
	secret = token.NewSecret()
	err = s.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.CreateToken(ctx, token); err != nil {
			return err
		}
		return tx.Audit(ctx, tokenAudit(r, token, "token.create"))
	})
	return token, secret, err
}

func tokenAudit(r *http.Request, t *models.Token, action string) *models.AuditEntry {
	viewer := viewerOf(r)
	return &models.AuditEntry{
		Actor: viewer.Login, UserID: viewer.ID, Via: viaOf(r), Action: action, Object: t.Name, Result: models.AuditDone,
		Detail: map[string]string{"begins with": t.Hint, "scopes": views.ScopeWords(t.Scopes), "until": t.ExpiresAt.UTC().Format(time.DateOnly)},
	}
}

// endToken takes the form that revokes a token.
func (s *Server) endToken(w http.ResponseWriter, r *http.Request) error {
	if err := s.removeToken(r); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, views.TokensURL(), http.StatusSeeOther)
	return nil
}

// removeToken revokes the token that the address names.
func (s *Server) removeToken(r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := s.may(r, models.PersonalRight, models.About{}); err != nil {
		return s.noteRefusal(r, err, "token.revoke", "token "+decimal(id))
	}
	ctx := r.Context()
	return s.Store.InTx(ctx, func(tx *store.Tx) error {
		token, err := tx.RemoveToken(ctx, viewerOf(r).ID, id)
		if err != nil {
			return err
		}
		return tx.Audit(ctx, tokenAudit(r, token, "token.revoke"))
	})
}
