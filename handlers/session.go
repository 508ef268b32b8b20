package handlers

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"millrace/models"
	"millrace/models/store"
)

// Logins say how people log in. Without Accounts nobody can.
type Logins struct {
	Accounts  Accounts
	Operators []string      // groups whose members operate this service
	Life      time.Duration // of a session, however it is used
	TokenLife time.Duration // of a token, unless its user chooses otherwise
	TokenMost time.Duration // of a token
	Idle      time.Duration // after which an unused one ends
}

const (
	attemptLife  = 10 * time.Minute // as long somebody may take at the account system
	mostAttempts = 5                // in one browser at once
	longestTouch = 5 * time.Minute  // between two notes that a session is used

	// What a session holds.
	userKey     = "user"     // id
	issuerKey   = "issuer"   // who said so
	touchedKey  = "touched"  // seconds since 1970
	attemptsKey = "attempts" // JSON
)

// sessionsOf makes the manager of sessions. It only looks after tokens and data:
// its middleware would hold back what we stream.
func (s *Server) sessionsOf() *scs.SessionManager {
	m := scs.New()
	m.Store, m.HashTokenInStore = sessionStore{s.Store}, true
	m.Lifetime, m.IdleTimeout = s.Logins.Life, s.Logins.Idle
	return m
}

// cookieName is that of the session's cookie. Browsers take a name with that
// prefix from us alone, not from a neighbour under the same domain.
func (s *Server) cookieName() string {
	if s.secure() {
		return "__Host-millrace"
	}
	return "millrace"
}

func (s *Server) secure() bool { return strings.HasPrefix(s.Base, "https://") }

// setSession writes the cookie; an empty token removes it. A lax cookie comes
// along when the account system sends somebody back, and with no foreign form.
func (s *Server) setSession(w http.ResponseWriter, token string, till time.Time) {
	c := &http.Cookie{
		Name: s.cookieName(), Value: token, Path: "/", HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode,
	}
	if token == "" {
		c.MaxAge = -1
	} else {
		c.Expires, c.MaxAge = till, max(1, int(time.Until(till).Seconds()))
	}
	http.SetCookie(w, c)
}

type viewerKey struct{}

// viewerOf is who sent a request; nil if nobody is logged in.
func viewerOf(r *http.Request) *models.Viewer {
	v, _ := r.Context().Value(viewerKey{}).(*models.Viewer)
	return v
}

// recognized finds out who sends a request, by the token that it shows or the
// session that its cookie names. Who has neither costs nothing. A token counts
// alone: a program says who it is, a cookie comes along by itself.
func (s *Server) recognized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if secret, shown := bearer(r); shown {
			ctx, err := s.withToken(r.Context(), w, secret)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		cookie, err := r.Cookie(s.cookieName())
		if err != nil || s.Logins.Accounts == nil || len(cookie.Value) > 200 {
			next.ServeHTTP(w, r)
			return
		}
		ctx, err := s.sessions.Load(r.Context(), cookie.Value)
		if err == nil {
			ctx, err = s.withViewer(ctx, w)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// withViewer adds the viewer that the session in ctx is of, if it is anybody's,
// and notes that the session is used.
func (s *Server) withViewer(ctx context.Context, w http.ResponseWriter) (context.Context, error) {
	id := s.sessions.GetInt64(ctx, userKey)
	if id == 0 || s.sessions.GetString(ctx, issuerKey) != s.Logins.Accounts.Name() {
		return ctx, nil
	}
	user, err := s.Store.User(ctx, id)
	if errors.Is(err, models.ErrNotFound) {
		return ctx, nil
	}
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, viewerKey{}, s.Rights.Viewer(ctx, user, s.Logins.Operators))
	now := time.Now()
	if now.Sub(time.Unix(s.sessions.GetInt64(ctx, touchedKey), 0)) < min(longestTouch, s.Logins.Idle/4) {
		return ctx, nil
	}
	s.sessions.Put(ctx, touchedKey, now.Unix())
	token, till, err := s.sessions.Commit(context.WithValue(ctx, commitKey{}, commit{user: id, again: true}))
	if err != nil {
		return nil, err
	}
	s.setSession(w, token, till)
	return ctx, nil
}

type commitKey struct{}

// commit is what the store is to know of a session that is written, besides what
// the manager tells.
type commit struct {
	user  int64
	again bool // only if it is there: it may just have been ended by another request
}

// sessionStore keeps sessions in the database.
type sessionStore struct{ *store.Store }

var _ scs.CtxStore = sessionStore{}

func (s sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	return s.Session(ctx, token, time.Now())
}

func (s sessionStore) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	c, _ := ctx.Value(commitKey{}).(commit)
	row := &store.Session{Token: token, UserID: c.user, Data: data, Expiry: expiry}
	return s.InTx(ctx, func(tx *store.Tx) error {
		if c.again {
			return tx.ExtendSession(ctx, row)
		}
		return tx.SaveSession(ctx, row)
	})
}

func (s sessionStore) DeleteCtx(ctx context.Context, token string) error {
	return s.InTx(ctx, func(tx *store.Tx) error { return tx.RemoveSession(ctx, token) })
}

func (s sessionStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

func (s sessionStore) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

func (s sessionStore) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
