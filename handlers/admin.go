package handlers

import (
	"net/http"
	"net/url"
	"strings"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// waitingShown is how many requests to be allowed stand above the list.
const waitingShown = 50

func (s *Server) listAllowances(w http.ResponseWriter, r *http.Request) error {
	if err := s.may(r, models.AllowlistRight, models.About{}); err != nil {
		return err
	}
	return s.showAllowlist(w, r, views.AllowlistPage{}, http.StatusOK)
}

// showAllowlist adds the entries that the query asks for.
func (s *Server) showAllowlist(w http.ResponseWriter, r *http.Request, page views.AllowlistPage, status int) error {
	q := r.URL.Query()
	page.Filter = views.AllowFilter{Query: clipParam(q, "q"), State: allowStateParam(q), Before: clipParam(q, "before"), After: clipParam(q, "after")}
	list, err := s.Store.Allowlist(r.Context(), page.Filter.State, page.Filter.Query, listPage(r))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if visitOf(r).json {
		return s.writeJSON(w, r, listOf(s, w, r, each(list.Rows, apiAllowance), list.Cursors))
	}
	page.AllowList = *list
	if page.Waiting, err = s.Store.Waiting(r.Context(), waitingShown); err != nil {
		return err
	}
	return s.render(w, r, status, views.Allowlist(page))
}

func allowStateParam(q url.Values) models.AllowState {
	switch state := models.AllowState(q.Get("state")); state {
	case models.AllowedState, models.DeniedState, models.PendingState:
		return state
	}
	return ""
}

// changeAllowance takes the forms of the allowlist.
func (s *Server) changeAllowance(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		return &refusal{status: http.StatusBadRequest, detail: "The form cannot be read."}
	}
	form := r.PostForm
	entry := views.AllowEntry{
		Path: strings.TrimSpace(form.Get("path")), Project: form.Get("kind") == "project", Reason: httpx.Clean(form.Get("reason"), 500),
	}
	do := form.Get("do")
	if do != "allow" && do != "deny" && do != "remove" {
		return &refusal{status: http.StatusBadRequest, detail: "The form does not say what to do."}
	}
	_, err := s.decide(r, entry, do)
	if problem := mistake(err); problem != "" {
		return s.showAllowlist(w, r, views.AllowlistPage{Problem: problem, Entry: entry}, http.StatusUnprocessableEntity)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, views.AllowlistURL(views.AllowFilter{}), http.StatusSeeOther)
	return nil
}

// decide allows or denies what an entry names, or removes it from the list, for
// an operator.
func (s *Server) decide(r *http.Request, entry views.AllowEntry, do string) (*models.Allowance, error) {
	if err := s.may(r, models.AllowlistRight, models.About{}); err != nil {
		return nil, s.noteRefusal(r, err, "allowlist."+do, httpx.Clean(entry.Path, 200))
	}
	a, err := models.ParseAllowance(entry.Path, entry.Project, s.Flat)
	if err != nil {
		return nil, err
	}
	a.State, a.Reason = models.AllowedState, entry.Reason
	if do == "deny" {
		a.State = models.DeniedState
	}
	return a, s.applyAllowance(r, a, do == "remove")
}

func (s *Server) applyAllowance(r *http.Request, a *models.Allowance, remove bool) error {
	viewer, ctx := viewerOf(r), r.Context()
	if err := s.withinLimit(r, viewer); err != nil {
		return err
	}
	a.Actor = viewer.Login
	action := map[models.AllowState]string{models.AllowedState: "allowlist.allow", models.DeniedState: "allowlist.deny"}[a.State]
	return s.Store.InTx(ctx, func(tx *store.Tx) error {
		if remove {
			action = "allowlist.remove"
			if err := tx.RemoveAllowance(ctx, a); err != nil {
				return err
			}
		} else if err := tx.SetAllowance(ctx, a); err != nil {
			return err
		}
		return tx.Audit(ctx, &models.AuditEntry{
			Actor: viewer.Login, UserID: viewer.ID, Via: viaOf(r), Action: action, Object: a.Path(), Detail: a.Facts(), Result: models.AuditDone,
		})
	})
}

// noteRefusal notes that somebody tried what they may not, and returns the
// refusal. Of those who are not logged in there would be no end.
func (s *Server) noteRefusal(r *http.Request, refused error, action, object string) error {
	viewer := viewerOf(r)
	if viewer == nil {
		return refused
	}
	if err := s.withinLimit(r, viewer); err != nil {
		return err
	}
	err := s.Store.InTx(r.Context(), func(tx *store.Tx) error {
		return tx.Audit(r.Context(), &models.AuditEntry{
			Actor: viewer.Login, UserID: viewer.ID, Via: viaOf(r), Action: action, Object: object, Result: models.AuditRefused,
		})
	})
	if err != nil {
		return err
	}
	return refused
}

func (s *Server) listAudit(w http.ResponseWriter, r *http.Request) error {
	if err := s.may(r, models.AuditRight, models.About{}); err != nil {
		return err
	}
	list, err := s.Store.AuditLog(r.Context(), listPage(r))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if visitOf(r).json {
		return s.writeJSON(w, r, listOf(s, w, r, each(list.Rows, apiAuditEntry), list.Cursors))
	}
	return s.render(w, r, http.StatusOK, views.Audit(views.AuditPage{AuditList: *list}))
}
