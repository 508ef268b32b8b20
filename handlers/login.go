package handlers

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millrace/clients/fas"
	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// Accounts is an account system that says who people are.
type Accounts interface {
	// Name is its address. Sessions that another one began do not count.
	Name() string
	Begin(ctx context.Context) (a *fas.Attempt, to string, err error)
	Finish(ctx context.Context, a *fas.Attempt, query url.Values) (*fas.Person, error)
}

// loginPatience is how long one step of a login may take.
const loginPatience = 30 * time.Second

// attempt is a login that began in this browser.
type attempt struct {
	fas.Attempt
	Back string // page of ours that the person came from
	At   time.Time
}

// beginLogin sends the reader to the account system.
func (s *Server) beginLogin(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	back := local(q.Get("back"))
	if err := s.mayLogIn(w, r); err != nil {
		return err
	}
	if viewerOf(r) != nil {
		redirect(w, back, http.StatusSeeOther)
		return nil
	}
	// The account system sends people to our own address, where the cookie of
	// another name of this machine does not come along.
	if base, err := url.Parse(s.Base); err == nil && base.Host != r.Host && q.Get("moved") == "" {
		redirect(w, s.Base+views.LoginURL(back)+"&moved=1", http.StatusFound)
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginPatience)
	defer cancel()
	made, to, err := s.Logins.Accounts.Begin(ctx)
	if err != nil {
		return s.notLoggedIn(r, err, back)
	}
	ctx, err = s.sessions.Load(ctx, "") // that of the cookie, if there is one
	if err != nil {
		return err
	}
	all := append(s.attempts(ctx), attempt{Attempt: *made, Back: back, At: time.Now()})
	if err := s.keepAttempts(ctx, w, all[max(0, len(all)-mostAttempts):]); err != nil {
		return err
	}
	redirect(w, to, http.StatusFound)
	return nil
}

// mayLogIn refuses everybody if there is no account system, and those who try
// too often.
func (s *Server) mayLogIn(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if s.Logins.Accounts == nil {
		return &refusal{status: http.StatusNotImplemented, detail: "Nobody can log in here: the operators have not set up an account system (login.issuer). Everything can be read without."}
	}
	if wait := s.tries.take(asker(r), time.Now()); wait > 0 {
		return &refusal{status: http.StatusTooManyRequests, retry: wait, detail: "From your address somebody tried to log in too often."}
	}
	return nil
}

// attempts are the logins under way in the session of ctx.
func (s *Server) attempts(ctx context.Context) []attempt {
	var all, fresh []attempt
	if json.Unmarshal([]byte(s.sessions.GetString(ctx, attemptsKey)), &all) != nil {
		return nil
	}
	for _, a := range all {
		if time.Since(a.At) < attemptLife {
			fresh = append(fresh, a)
		}
	}
	return fresh
}

func (s *Server) keepAttempts(ctx context.Context, w http.ResponseWriter, all []attempt) error {
	text, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("keeping a login: %w", err)
	}
	s.sessions.Put(ctx, attemptsKey, string(text))
	s.sessions.SetDeadline(ctx, time.Now().Add(attemptLife).UTC())
	token, till, err := s.sessions.Commit(ctx)
	if err != nil {
		return err
	}
	s.setSession(w, token, till)
	return nil
}

// finishLogin takes the reader back from the account system.
func (s *Server) finishLogin(w http.ResponseWriter, r *http.Request) error {
	if err := s.mayLogIn(w, r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginPatience)
	defer cancel()
	ctx, err := s.sessions.Load(ctx, "")
	if err != nil {
		return err
	}
	mine, others := pick(s.attempts(ctx), r.URL.Query().Get("state"))
	if mine == nil {
		return &refusal{
			status: http.StatusBadRequest, login: views.LoginURL("/"),
			detail: "This login did not begin in this browser, or it took more than ten minutes, or it was ended before.",
		}
	}
	// It is used up, whatever comes of it.
	if err := s.keepAttempts(ctx, w, others); err != nil {
		return err
	}
	person, err := s.Logins.Accounts.Finish(ctx, &mine.Attempt, r.URL.Query())
	if err != nil {
		return s.notLoggedIn(r, err, mine.Back)
	}
	if err := s.enterSession(ctx, w, person); err != nil {
		return err
	}
	redirect(w, local(mine.Back), http.StatusSeeOther)
	return nil
}

// pick takes the attempt with that state out of all.
func pick(all []attempt, state string) (mine *attempt, others []attempt) {
	for _, a := range all {
		if mine == nil && state != "" && subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) == 1 {
			mine = &a
			continue
		}
		others = append(others, a)
	}
	return mine, others
}

// enterSession makes the session in ctx that of a person, under a new token: who
// knew the one before knows nothing.
func (s *Server) enterSession(ctx context.Context, w http.ResponseWriter, p *fas.Person) error {
	user := &models.User{Login: p.Login, Name: p.Name, Email: p.Email, Groups: p.Groups}
	err := s.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.SaveUser(ctx, user); err != nil {
			return err
		}
		if err := tx.ForgetGrants(ctx, user.ID); err != nil { // logging in again is how people have them looked up anew
			return err
		}
		return tx.Audit(ctx, &models.AuditEntry{
			Actor: user.Login, UserID: user.ID, Via: models.ViaButton, Action: "login", Object: s.Logins.Accounts.Name(), Result: models.AuditDone,
		})
	})
	if err != nil {
		return err
	}
	if err := errors.Join(s.sessions.Clear(ctx), s.sessions.RenewToken(ctx)); err != nil {
		return err
	}
	s.sessions.Put(ctx, userKey, user.ID)
	s.sessions.Put(ctx, issuerKey, s.Logins.Accounts.Name())
	s.sessions.Put(ctx, touchedKey, time.Now().Unix())
	token, till, err := s.sessions.Commit(context.WithValue(ctx, commitKey{}, commit{user: user.ID}))
	if err != nil {
		return err
	}
	replaceCookies(w)
	s.setSession(w, token, till)
	return nil
}

// replaceCookies forgets the cookies that were to be set until now.
func replaceCookies(w http.ResponseWriter) { w.Header().Del("Set-Cookie") }

// notLoggedIn tells why somebody could not log in, and what is for the log.
func (s *Server) notLoggedIn(r *http.Request, err error, back string) error {
	e, ok := errors.AsType[*fas.Error](err)
	switch {
	case !ok && errors.Is(err, context.DeadlineExceeded), httpx.Temporary(err):
		s.Log.WarnContext(r.Context(), "account system in trouble", "error", err, "request", visitOf(r).id)
		return &refusal{
			status: http.StatusServiceUnavailable, login: views.LoginURL(back), retry: 10 * time.Second,
			detail: "The account system does not answer. Nobody can log in until it does; everything can be read without.",
		}
	case !ok:
		return err
	case e.Denied:
		return &refusal{status: http.StatusForbidden, login: views.LoginURL(back), detail: "You are not logged in: the account system says " + e.Err.Error() + "."}
	}
	s.Log.WarnContext(r.Context(), "login refused", "error", err, "request", visitOf(r).id)
	return &refusal{
		status: http.StatusForbidden, login: views.LoginURL(back),
		detail: "What came back from the account system does not prove who you are. If trying again does not help, tell the operators the number below.",
	}
}

// logout ends the session; everywhere ends all sessions of the reader.
func (s *Server) logout(everywhere bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		if err := r.ParseForm(); err != nil {
			return &refusal{status: http.StatusBadRequest, detail: "The form cannot be read."}
		}
		w.Header().Set("Cache-Control", "no-store")
		if _, err := r.Cookie(s.cookieName()); err == nil {
			if err := s.endSessions(r, everywhere); err != nil {
				return err
			}
		}
		replaceCookies(w) // that of a session that was just extended
		s.setSession(w, "", time.Time{})
		redirect(w, local(r.PostForm.Get("back")), http.StatusSeeOther)
		return nil
	}
}

func (s *Server) endSessions(r *http.Request, everywhere bool) error {
	ctx := r.Context()
	viewer := viewerOf(r)
	if everywhere && viewer != nil {
		return s.Store.InTx(ctx, func(tx *store.Tx) error {
			n, err := tx.RemoveSessionsOf(ctx, viewer.ID)
			if err != nil {
				return err
			}
			// Who had a session in their hands could have made a token with it.
			tokens, err := tx.RemoveTokensOf(ctx, viewer.ID)
			if err != nil {
				return err
			}
			return tx.Audit(ctx, &models.AuditEntry{
				Actor: viewer.Login, UserID: viewer.ID, Via: models.ViaButton, Action: "logout.everywhere", Object: viewer.Login,
				Detail: map[string]string{"sessions": fmt.Sprint(n), "tokens": fmt.Sprint(tokens)}, Result: models.AuditDone,
			})
		})
	}
	if s.Logins.Accounts == nil { // then sessions are not even looked at
		return nil
	}
	ctx, err := s.sessions.Load(ctx, "")
	if err != nil {
		return err
	}
	return s.sessions.Destroy(ctx)
}

// may returns an error that explains itself unless the reader has the right.
func (s *Server) may(r *http.Request, right models.Right, about models.About) error {
	return s.refused(r, models.May(viewerOf(r), right, about))
}

// refused is the answer to a verdict, nil if that is yes.
func (s *Server) refused(r *http.Request, verdict models.Verdict) error {
	switch {
	case verdict.Allowed:
		return nil
	case verdict.Unknown:
		return &refusal{status: http.StatusServiceUnavailable, retry: 10 * time.Second, detail: verdict.Reason + " " + verdict.HowTo}
	}
	no := &refusal{status: http.StatusForbidden, detail: verdict.Reason + " " + verdict.HowTo}
	if viewerOf(r) == nil && s.Logins.Accounts != nil {
		back := here(r)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			back = "/"
			if referer, err := url.Parse(r.Referer()); err == nil && strings.HasPrefix(r.Referer(), s.Base+"/") {
				back = local(referer.RequestURI())
			}
		}
		no.login = views.LoginURL(back)
	}
	return no
}
