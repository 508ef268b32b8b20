package handlers

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// Telling is what pages of hooks ask of whoever sends; *jobs.Runner does.
type Telling interface {
	// CheckHook says what is wrong with an address; *models.InputError.
	CheckHook(address string) error
	PingHook(ctx context.Context, hook *models.Subscription, entry *models.AuditEntry) (*models.Dispatch, error)
	Redeliver(ctx context.Context, dispatchID int64, entry *models.AuditEntry) error
}

// inHooks answers what is below the hooks of a project: for people below
// settings/hooks, for programs below hooks. who may write to the project sees
// them, who administers it manages them.
func (s *Server) inHooks(w http.ResponseWriter, r *http.Request, p *models.Project, rest []string) error {
	if s.Telling == nil {
		return &refusal{status: http.StatusNotFound, detail: "This process sends no hooks."}
	}
	visitOf(r).route = "/projects/{fp}/-/settings/hooks"
	w.Header().Set("Cache-Control", "no-store")
	if len(rest) == 0 {
		return s.allHooks(w, r, p)
	}
	visitOf(r).route += "/{id}"
	hookID, ok := number(rest[0])
	if !ok {
		return models.ErrNotFound
	}
	if len(rest) >= 2 && rest[1] == "dispatches" {
		return s.inDispatches(w, r, p, hookID, rest[2:])
	}
	what := strings.Join(rest[1:], "/")
	if what != "" {
		visitOf(r).route += "/" + what
	}
	switch r.Method + " " + what {
	case "GET ", "HEAD ":
		return s.showHook(w, r, p, hookID)
	case "PUT ":
		return s.putHook(w, r, p, hookID)
	case "DELETE ":
		return s.takeHookEnd(w, r, p, hookID)
	case "POST ":
		return s.changeHook(w, r, p, hookID)
	case "POST test":
		return s.testHook(w, r, p, hookID)
	case "POST secret":
		return s.takeSecret(w, r, p, hookID)
	case "GET delete", "HEAD delete":
		return s.askDelete(w, r, p, hookID)
	case "POST delete":
		return s.deleteHook(w, r, p, hookID)
	}
	return noMethod(w, r)
}

// noMethod is the answer where something is, and does not take that.
func noMethod(w http.ResponseWriter, r *http.Request) error {
	visitOf(r).route = "none"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return models.ErrNotFound
	}
	w.Header().Set("Allow", http.MethodGet)
	return &refusal{status: http.StatusMethodNotAllowed}
}

func (s *Server) allHooks(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		entry := views.HookEntry{
			URL: clipParam(r.URL.Query(), "url"), Secret: clipParam(r.URL.Query(), "secret"), Topics: []models.Topic{models.PipelineFinished},
		}
		return s.listHooks(w, r, p, views.HooksPage{Entry: entry}, http.StatusOK)
	case http.MethodPost:
		if visitOf(r).json {
			return s.takeHook(w, r, p)
		}
		return s.makeHook(w, r, p)
	}
	return noMethod(w, r)
}

// maySeeHooks refuses those who may not write to the project: what is in
// addresses and messages is not for everybody.
func (s *Server) maySeeHooks(r *http.Request, p *models.Project) error {
	if viewerOf(r) == nil && visitOf(r).json {
		return s.mustLogIn(r)
	}
	return s.refused(r, s.Rights.MayProject(r.Context(), viewerOf(r), models.RedeliverRight, p))
}

func (s *Server) mayManageHooks(r *http.Request, p *models.Project) models.Verdict {
	return s.Rights.MayProject(r.Context(), viewerOf(r), models.HooksRight, p)
}

// hookEntry is what the audit log says of something done to a hook, if whoever
// asks may do it. That they may not is noted.
func (s *Server) hookEntry(r *http.Request, right models.Right, action string, p *models.Project, hook *models.Subscription) (*models.AuditEntry, error) {
	viewer, object := viewerOf(r), p.Path()
	if viewer == nil && visitOf(r).json {
		return nil, s.mustLogIn(r)
	}
	if hook != nil && hook.ID != 0 {
		object = "hook " + decimal(hook.ID) + " of " + object
	}
	if err := s.refused(r, s.Rights.MayProject(r.Context(), viewer, right, p)); err != nil {
		return nil, s.noteRefusal(r, err, action, object)
	}
	if err := s.withinLimit(r, viewer); err != nil {
		return nil, err
	}
	entry := &models.AuditEntry{
		Actor: viewer.Login, UserID: viewer.ID, Via: viaOf(r), Action: action, Object: object, Result: models.AuditDone, ProjectID: p.ID, Detail: map[string]string{},
	}
	if hook != nil {
		entry.Detail["to"] = clip(hook.Host(), 200)
		entry.Detail["topics"] = views.TopicWords(hook.Topics)
	}
	return entry, nil
}

func (s *Server) listHooks(w http.ResponseWriter, r *http.Request, p *models.Project, page views.HooksPage, status int) error {
	if err := s.maySeeHooks(r, p); err != nil {
		return err
	}
	hooks, err := s.Store.Hooks(r.Context(), p.ID)
	if err != nil {
		return err
	}
	ids := make([]int64, len(hooks))
	for i, h := range hooks {
		ids[i] = h.ID
	}
	last, err := s.Store.LastDispatches(r.Context(), ids)
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, listOf(s, w, r, each(hooks, func(h *models.Subscription) Hook { return s.apiHook(p, h, last[h.ID]) }), models.Cursors{}))
	}
	page.Project, page.Hooks, page.Last, page.Manage = p, hooks, last, s.mayManageHooks(r, p)
	return s.render(w, r, status, views.Hooks(page))
}

// newHook makes a hook for whoever asks. Without a secret one is made.
func (s *Server) newHook(r *http.Request, p *models.Project, entry views.HookEntry) (*models.Subscription, error) {
	hook := &models.Subscription{ProjectID: p.ID, URL: entry.URL, Secret: entry.Secret, Topics: entry.Topics}
	note, err := s.hookEntry(r, models.HooksRight, "hook.create", p, hook)
	if err != nil {
		return nil, err
	}
	if hook.Secret == "" {
		hook.Secret = models.NewHookSecret()
	}
	if err := s.checkHook(hook); err != nil {
		return nil, err
	}
	hook.UserID = viewerOf(r).ID
	return hook, s.Store.InTx(r.Context(), func(tx *store.Tx) error {
		if err := tx.CreateHook(r.Context(), hook); err != nil {
			return err
		}
		note.Object = "hook " + decimal(hook.ID) + " of " + p.Path()
		return tx.Audit(r.Context(), note)
	})
}

func (s *Server) checkHook(hook *models.Subscription) error {
	if err := hook.Check(); err != nil {
		return err
	}
	return s.Telling.CheckHook(hook.URL)
}

func hookEntryOf(form url.Values) views.HookEntry {
	entry := views.HookEntry{URL: clipParam(form, "url"), Secret: clipParam(form, "secret")}
	for _, topic := range form["topic"] {
		entry.Topics = append(entry.Topics, models.Topic(topic))
	}
	return entry
}

// makeHook takes the form for a new hook, and shows its secret once.
func (s *Server) makeHook(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	form, err := formOf(w, r)
	if err != nil {
		return err
	}
	entry := hookEntryOf(form)
	hook, err := s.newHook(r, p, entry)
	if problem := mistake(err); problem != "" {
		return s.listHooks(w, r, p, views.HooksPage{Entry: entry, Problem: problem}, http.StatusUnprocessableEntity)
	}
	if err != nil {
		return err
	}
	return s.renderHook(w, r, p, hook.ID, views.HookPage{Secret: hook.Secret}, http.StatusOK)
}

func (s *Server) showHook(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	return s.renderHook(w, r, p, hookID, views.HookPage{}, http.StatusOK)
}

// renderHook shows a hook to who may see it.
func (s *Server) renderHook(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64, page views.HookPage, status int) error {
	if err := s.maySeeHooks(r, p); err != nil {
		return err
	}
	hook, err := s.Store.Hook(r.Context(), p.ID, hookID)
	if err != nil {
		return err
	}
	list, err := s.Store.Dispatches(r.Context(), hookID, listPage(r))
	if err != nil {
		return err
	}
	if visitOf(r).json {
		var last *models.Dispatch
		if len(list.Rows) > 0 {
			last = list.Rows[0]
		}
		return s.writeJSON(w, r, s.apiHook(p, hook, last))
	}
	page.Project, page.Hook, page.DispatchList, page.Manage = p, hook, *list, s.mayManageHooks(r, p)
	if page.Problem == "" {
		page.Entry = views.HookEntry{URL: hook.URL, Topics: hook.Topics}
	}
	if isFragment(r) && r.URL.Query().Get("fragment") == "dispatches" {
		return s.render(w, r, status, views.HookDispatches(page))
	}
	return s.render(w, r, status, views.Hook(page))
}

// hookChanges are what the forms of a hook's page do.
var hookChanges = map[string]func(hook *models.Subscription, entry views.HookEntry) error{
	"save": func(hook *models.Subscription, entry views.HookEntry) error {
		hook.URL, hook.Topics = entry.URL, entry.Topics
		return nil
	},
	"on": func(hook *models.Subscription, _ views.HookEntry) error {
		hook.SwitchOn()
		return nil
	},
	"off": func(hook *models.Subscription, _ views.HookEntry) error {
		hook.SwitchOff("Somebody switched it off.")
		return nil
	},
	"rotate": func(hook *models.Subscription, entry views.HookEntry) error { return rotate(hook, entry.Secret) },
	"finish": func(hook *models.Subscription, _ views.HookEntry) error {
		hook.FinishRotation()
		return nil
	},
}
