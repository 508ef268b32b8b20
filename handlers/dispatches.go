package handlers

import (
	"net/http"

	"millrace/models"
	"millrace/views"
)

// inDispatches answers what is below the dispatches of a hook.
func (s *Server) inDispatches(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64, rest []string) error {
	visitOf(r).route += "/dispatches"
	if len(rest) == 0 {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return noMethod(w, r)
		}
		return s.listDispatches(w, r, p, hookID)
	}
	dispatchID, ok := number(rest[0])
	if !ok {
		return models.ErrNotFound
	}
	visitOf(r).route += "/{dispatch}"
	switch {
	case len(rest) == 1 && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return s.showDispatch(w, r, p, hookID, dispatchID)
	case len(rest) == 2 && rest[1] == "redeliver" && r.Method == http.MethodPost:
		visitOf(r).route += "/redeliver"
		return s.redeliver(w, r, p, hookID, dispatchID)
	}
	return noMethod(w, r)
}

func (s *Server) listDispatches(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	if !visitOf(r).json {
		redirect(w, views.HookURL(p, hookID), http.StatusFound)
		return nil
	}
	if err := s.maySeeHooks(r, p); err != nil {
		return err
	}
	if _, err := s.Store.Hook(r.Context(), p.ID, hookID); err != nil {
		return err
	}
	list, err := s.Store.Dispatches(r.Context(), hookID, listPage(r))
	if err != nil {
		return err
	}
	return s.writeJSON(w, r, listOf(s, w, r, each(list.Rows, func(d *models.Dispatch) Dispatch { return s.apiDispatch(p, d) }), list.Cursors))
}

// dispatchOf finds a dispatch of a hook of a project.
func (s *Server) dispatchOf(r *http.Request, p *models.Project, hookID, dispatchID int64) (*models.Subscription, *models.Dispatch, error) {
	hook, err := s.Store.Hook(r.Context(), p.ID, hookID)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.Store.Dispatch(r.Context(), dispatchID)
	if err == nil && d.SubscriptionID != hookID {
		err = models.ErrNotFound
	}
	return hook, d, err
}

func (s *Server) showDispatch(w http.ResponseWriter, r *http.Request, p *models.Project, hookID, dispatchID int64) error {
	if err := s.maySeeHooks(r, p); err != nil {
		return err
	}
	hook, d, err := s.dispatchOf(r, p, hookID, dispatchID)
	if err != nil {
		return err
	}
	tries, err := s.Store.DispatchTries(r.Context(), dispatchID)
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, DispatchDetail{Dispatch: s.apiDispatch(p, d), Body: string(d.Happening.Body), Attempts: each(tries, apiTry)})
	}
	page := views.DispatchPage{Project: p, Hook: hook, Dispatch: d, Tries: tries}
	if isFragment(r) {
		return s.render(w, r, http.StatusOK, views.DispatchParts(page))
	}
	return s.render(w, r, http.StatusOK, views.Dispatch(page))
}

// redeliver has a dispatch sent again.
func (s *Server) redeliver(w http.ResponseWriter, r *http.Request, p *models.Project, hookID, dispatchID int64) error {
	hook, err := s.hookFor(r, models.RedeliverRight, "hook.redeliver", p, hookID)
	if err != nil {
		return err
	}
	if _, _, err := s.dispatchOf(r, p, hookID, dispatchID); err != nil {
		return err
	}
	hook.note.Detail["dispatch"] = decimal(dispatchID)
	if err := s.Telling.Redeliver(r.Context(), dispatchID, hook.note); err != nil {
		return err
	}
	if !visitOf(r).json {
		redirect(w, views.DispatchURL(p, hookID, dispatchID), http.StatusSeeOther)
		return nil
	}
	_, d, err := s.dispatchOf(r, p, hookID, dispatchID)
	if err != nil {
		return err
	}
	return s.sendMade(w, r, http.StatusAccepted, dispatchPath(p, hookID, dispatchID), s.apiDispatch(p, d))
}
