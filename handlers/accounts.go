package handlers

import (
	"net/http"
	"time"

	"millrace/models"
	"millrace/views"
)

// showAccounts shows which accounts at forges are the viewer's.
func (s *Server) showAccounts(w http.ResponseWriter, r *http.Request) error {
	if err := s.may(r, models.PersonalRight, models.About{}); err != nil {
		return err
	}
	viewer := viewerOf(r)
	links, err := s.Rights.Links(r.Context(), viewer)
	if err != nil {
		s.Log.WarnContext(r.Context(), "accounts elsewhere cannot be told", "user", viewer.Login, "error", err)
		return &refusal{
			status: http.StatusServiceUnavailable, retry: 10 * time.Second,
			detail: "Which accounts at forges are yours cannot be told now: the account system does not answer. Try again in a moment.",
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if visitOf(r).json {
		return s.writeJSON(w, r, listOf(s, w, r, each(links, apiAccount), models.Cursors{}))
	}
	return s.render(w, r, http.StatusOK, views.Accounts(views.AccountsPage{Login: viewer.Login, Prefix: s.Prefix, Links: links}))
}
