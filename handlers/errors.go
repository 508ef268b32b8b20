package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"millrace/models"
	"millrace/views"
)

// clientGone is what proxies call a request whose sender left.
const clientGone = 499

// refusal is an error whose answer a handler has chosen itself.
type refusal struct {
	status int
	detail string // for people; may be empty
	retry  time.Duration
	near   []views.Link // what was perhaps meant
	login  string       // address to log in at, if that would help
	fields []FieldProblem
}

func (e *refusal) Error() string {
	if e.detail == "" {
		return http.StatusText(e.status)
	}
	return e.detail
}

// Is makes a 404 with hints as good as one without.
func (e *refusal) Is(target error) bool {
	return target == models.ErrNotFound && e.status == http.StatusNotFound
}

// Problem is how errors are told to programs (RFC 9457), as
// application/problem+json.
type Problem struct {
	Type      string         `json:"type" doc:"about:blank: the status says it all"`
	Title     string         `json:"title" doc:"the status in words"`
	Status    int            `json:"status" doc:"of the answer"`
	Detail    string         `json:"detail,omitempty" doc:"what exactly is wrong, for people"`
	Instance  string         `json:"instance,omitempty" doc:"the path that was asked for"`
	RequestID string         `json:"request_id" doc:"under which our log has it"`
	Link      string         `json:"link,omitempty" doc:"what leads on: the attempt of who was faster, the login"`
	Errors    []FieldProblem `json:"errors,omitempty" doc:"the fields that something is wrong with"`
}

// explain chooses the status for err and the words for whoever asked. Errors
// that are our fault are logged, not shown.
func (s *Server) explain(r *http.Request, err error) *refusal {
	if chosen, ok := errors.AsType[*refusal](err); ok {
		return chosen
	}
	if vain := s.inVain(err); vain != nil {
		return vain
	}
	if bad, ok := errors.AsType[*models.InputError](err); ok {
		no := &refusal{status: http.StatusBadRequest, detail: bad.Error()}
		if bad.Field != "" {
			no.fields = []FieldProblem{{Field: bad.Field, Message: bad.Message}}
		}
		return no
	}
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &refusal{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("At most %d bytes are taken here.", big.Limit)}
	}
	switch {
	case errors.Is(err, models.ErrNotFound):
		return &refusal{status: http.StatusNotFound}
	case errors.Is(err, models.ErrUnproven):
		return &refusal{status: http.StatusUnauthorized, detail: "The signature does not match any secret that is known here."}
	case errors.Is(r.Context().Err(), context.Canceled):
		return &refusal{status: clientGone, detail: "You left before the answer was ready."}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &refusal{status: http.StatusBadRequest, detail: "The body ended before it was complete."}
	}
	visit := visitOf(r)
	if tooSlow(err) {
		s.Log.WarnContext(r.Context(), "request took too long", "error", err, "route", visit.route, "request", visit.id)
		return &refusal{status: http.StatusServiceUnavailable, retry: 10 * time.Second, detail: "Finding the answer took too long. If this is a search, a narrower one may succeed."}
	}
	s.Log.ErrorContext(r.Context(), "request failed", "error", err, "route", visit.route, "request", visit.id)
	if unreachable(err) {
		return &refusal{status: http.StatusServiceUnavailable, retry: 10 * time.Second, detail: "The database does not answer."}
	}
	return &refusal{status: http.StatusInternalServerError}
}

// tooSlow reports whether err says that time was up: the request's own, or that
// of one query.
func tooSlow(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "57014" // query_canceled
}

// unreachable reports whether err is about the way to the database, not about
// what was asked of it.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return len(pg.Code) == 5 && (pg.Code[:3] == "57P" || pg.Code[:2] == "08" || pg.Code == "53300")
	}
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// fail answers err in the form that was asked for.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	visit := visitOf(r)
	if visit.wrote() {
		// Half an answer is out; cutting it off is the only way to say so.
		s.Log.WarnContext(r.Context(), "answer not completed", "error", err, "route", visit.route, "request", visit.id)
		panic(http.ErrAbortHandler)
	}
	why := s.explain(r, err)
	h := w.Header()
	h.Del("Etag")
	h.Del("Content-Disposition")
	h.Set("Cache-Control", "no-store")
	if why.retry > 0 {
		h.Set("Retry-After", fmt.Sprint(int(why.retry.Seconds())))
	}
	if visit.json {
		s.failJSON(w, r, why)
		return
	}
	r = r.WithContext(s.withFrame(r.Context(), r))
	page := views.ErrorPage{Status: why.status, Detail: why.detail, RequestID: visit.id, Near: why.near, RetryIn: why.retry, Login: why.login}
	component := views.Error(page)
	if isFragment(r) {
		component = views.ErrorFragment(page)
	}
	if err := s.render(w, r, why.status, component); err != nil {
		s.Log.ErrorContext(r.Context(), "error page failed", "error", err, "request", visit.id)
		http.Error(w, http.StatusText(why.status), why.status)
	}
}

func (s *Server) failJSON(w http.ResponseWriter, r *http.Request, why *refusal) {
	s.sendJSON(w, r, why.status, "application/problem+json", s.problem(r, why))
}

// problem is a refusal in the form for programs.
func (s *Server) problem(r *http.Request, why *refusal) Problem {
	visit := visitOf(r)
	title := http.StatusText(why.status)
	if why.status == clientGone {
		title = "Client Closed Request"
	}
	return Problem{
		Type: "about:blank", Title: title, Status: why.status, Detail: why.detail,
		Instance: visit.path, RequestID: visit.id, Link: s.leadsOn(why), Errors: why.fields,
	}
}

// leadsOn is the address of what helps somebody who was refused.
func (s *Server) leadsOn(why *refusal) string {
	switch {
	case len(why.near) == 1:
		return s.Base + why.near[0].URL
	case why.login != "":
		return s.Base + why.login
	}
	return ""
}

// isFragment reports whether a part of a page was asked for, not a whole one.
func isFragment(r *http.Request) bool {
	return r.Header.Get("HX-Request") == "true" || r.URL.Query().Get("fragment") != ""
}
