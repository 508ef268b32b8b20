package handlers

import (
	"net/http"
	"slices"

	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// changeHook takes the forms of a hook's page.
func (s *Server) changeHook(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	if visitOf(r).json {
		return noMethod(w, r)
	}
	form, err := formOf(w, r)
	if err != nil {
		return err
	}
	entry, do := hookEntryOf(form), form.Get("do")
	change, known := hookChanges[do]
	if !known {
		return &refusal{status: http.StatusBadRequest, detail: "The form does not say what to do."}
	}
	hook, err := s.alterHook(r, p, hookID, "hook."+do, func(hook *models.Subscription) error { return change(hook, entry) })
	if problem := mistake(err); problem != "" {
		if len(entry.Topics) == 0 && do != "save" && hook != nil {
			entry.URL, entry.Topics = hook.URL, hook.Topics
		}
		return s.renderHook(w, r, p, hookID, views.HookPage{Problem: problem, Entry: entry}, http.StatusUnprocessableEntity)
	}
	if err != nil {
		return err
	}
	if do == "rotate" {
		return s.renderHook(w, r, p, hookID, views.HookPage{Secret: hook.Secret}, http.StatusOK)
	}
	redirect(w, views.HookURL(p, hookID), http.StatusSeeOther)
	return nil
}

// rotate changes the secret of a hook: to one that is given, or a new one.
func rotate(hook *models.Subscription, secret string) error {
	if secret == "" {
		secret = models.NewHookSecret()
	}
	if secret == hook.Secret {
		return &models.InputError{Field: "secret", Message: "it is the one that is used already"}
	}
	hook.Rotate(secret, store.Now())
	return nil
}

// alterHook changes a hook for whoever asks, if they may, and returns it as it is
// then.
func (s *Server) alterHook(r *http.Request, p *models.Project, hookID int64, action string, change func(*models.Subscription) error) (*models.Subscription, error) {
	hook, err := s.hookFor(r, models.HooksRight, action, p, hookID)
	if err != nil {
		return nil, err
	}
	return hook.Subscription, s.Store.InTx(r.Context(), func(tx *store.Tx) error {
		was := *hook.Subscription
		if err := change(hook.Subscription); err != nil {
			return err
		}
		// What the rules were when it was made does not keep anybody from ending it.
		if hook.On() || hook.URL != was.URL || hook.Secret != was.Secret || !slices.Equal(hook.Topics, was.Topics) {
			if err := s.checkHook(hook.Subscription); err != nil {
				return err
			}
		}
		if err := tx.SaveHook(r.Context(), hook.Subscription); err != nil {
			return err
		}
		if hook.State != was.State {
			if err := tx.SaveHealth(r.Context(), hook.Subscription); err != nil {
				return err
			}
			if !hook.On() {
				if err := tx.DropDispatches(r.Context(), hook.ID, "The hook was switched off."); err != nil {
					return err
				}
			}
		}
		hook.note.Detail["topics"] = views.TopicWords(hook.Topics)
		hook.note.Detail["to"] = clip(hook.Host(), 200)
		return tx.Audit(r.Context(), hook.note)
	})
}

// hookWish is a hook that somebody may do something to, and what the audit log
// says of that.
type hookWish struct {
	*models.Subscription
	note *models.AuditEntry
}

// hookFor finds a hook for who wants to do something to it. To those who may not
// even see hooks it makes no difference whether there is one.
func (s *Server) hookFor(r *http.Request, right models.Right, action string, p *models.Project, hookID int64) (*hookWish, error) {
	if _, err := s.hookEntry(r, right, action, p, &models.Subscription{ID: hookID}); err != nil {
		return nil, err
	}
	hook, err := s.Store.Hook(r.Context(), p.ID, hookID)
	if err != nil {
		return nil, err
	}
	note, err := s.hookEntry(r, right, action, p, hook)
	return &hookWish{hook, note}, err
}

// testHook tries a hook.
func (s *Server) testHook(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	hook, err := s.hookFor(r, models.HooksRight, "hook.test", p, hookID)
	if err != nil {
		return err
	}
	d, err := s.Telling.PingHook(r.Context(), hook.Subscription, hook.note)
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.sendMade(w, r, http.StatusAccepted, dispatchPath(p, hookID, d.ID), s.apiDispatch(p, d))
	}
	redirect(w, views.DispatchURL(p, hookID, d.ID), http.StatusSeeOther)
	return nil
}

// askDelete asks whether a hook is to be deleted, and says what that means.
func (s *Server) askDelete(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	if err := s.refused(r, s.mayManageHooks(r, p)); err != nil {
		return err
	}
	hook, err := s.Store.Hook(r.Context(), p.ID, hookID)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.DeleteHook(views.HookPage{Project: p, Hook: hook}))
}

func (s *Server) deleteHook(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	if err := s.removeHook(r, p, hookID); err != nil {
		return err
	}
	redirect(w, views.HooksURL(p), http.StatusSeeOther)
	return nil
}

func (s *Server) removeHook(r *http.Request, p *models.Project, hookID int64) error {
	hook, err := s.hookFor(r, models.HooksRight, "hook.delete", p, hookID)
	if err != nil {
		return err
	}
	return s.Store.InTx(r.Context(), func(tx *store.Tx) error {
		if err := tx.RemoveHook(r.Context(), hookID); err != nil {
			return err
		}
		return tx.Audit(r.Context(), hook.note)
	})
}
