package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// Notification is something that somebody hears of by mail.
type Notification struct {
	Interest models.Interest `json:"interest" doc:"own: what you asked for or switched on; project: one that you watch"`
	Project  string          `json:"project" doc:"forge/namespace/name; empty of own"`
	Level    models.Level    `json:"level" doc:"urgent, everything"`
}

// showNotifications shows what the viewer hears of by mail.
func (s *Server) showNotifications(w http.ResponseWriter, r *http.Request) error {
	if err := s.may(r, models.PersonalRight, models.About{}); err != nil {
		return err
	}
	return s.renderNotifications(w, r, views.NotificationsPage{Saved: r.URL.Query().Get("saved") != ""}, http.StatusOK)
}

func (s *Server) renderNotifications(w http.ResponseWriter, r *http.Request, page views.NotificationsPage, status int) (err error) {
	ctx, viewer := r.Context(), viewerOf(r)
	all, err := s.Store.MailSubscriptions(ctx, viewer.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if visitOf(r).json {
		return s.writeJSON(w, r, listOf(s, w, r, each(all, apiNotification), models.Cursors{}))
	}
	if page.User, err = s.Store.User(ctx, viewer.ID); err != nil {
		return err
	}
	for _, sub := range all {
		if sub.Interest == models.OwnInterest {
			page.Own = sub.Level
		} else {
			page.Watches = append(page.Watches, sub)
		}
	}
	if page.Packages, err = s.unwatched(r, page.Watches); err != nil {
		return err
	}
	page.Off = !s.Mails
	return s.render(w, r, status, views.Notifications(page))
}

func apiNotification(s *models.Subscription) Notification {
	n := Notification{Interest: s.Interest, Level: s.Level}
	if s.Project != nil {
		n.Project = s.Project.Path()
	}
	return n
}

// unwatched are the packages of the viewer to which something happened here, and
// that are not watched.
func (s *Server) unwatched(r *http.Request, watches []*models.Subscription) ([]*models.Project, error) {
	if s.PackageForge == "" {
		return nil, nil
	}
	ctx, viewer := r.Context(), viewerOf(r)
	own, err := s.Store.PackagesOf(ctx, viewer.ID, s.PackageForge, packageSpace)
	if err != nil {
		return nil, err
	}
	if s.Automating != nil {
		listed, err := s.Automating.OwnPackages(ctx, viewer.Login)
		if err != nil {
			return nil, err
		}
		known, err := s.Store.ProjectsNamed(ctx, s.PackageForge, packageSpace, listed.Names)
		if err != nil {
			return nil, err
		}
		for _, row := range known {
			own = append(own, row.Project)
		}
	}
	slices.SortFunc(own, func(a, b *models.Project) int { return strings.Compare(a.Name, b.Name) })
	own = slices.CompactFunc(own, func(a, b *models.Project) bool { return a.ID == b.ID })
	return slices.DeleteFunc(own, func(p *models.Project) bool {
		return slices.ContainsFunc(watches, func(w *models.Subscription) bool { return w.ProjectID == p.ID })
	}), nil
}

// takeNotifications takes the forms of that page.
func (s *Server) takeNotifications(w http.ResponseWriter, r *http.Request) error {
	form, err := formOf(w, r)
	if err != nil {
		return err
	}
	if err := s.may(r, models.PersonalRight, models.About{}); err != nil {
		return err
	}
	level := models.Level(form.Get("level"))
	switch form.Get("do") {
	case "own":
		err = s.hearOf(r, models.OwnInterest, nil, level)
	case "watch", "stop":
		projectID, ok := number(form.Get("project"))
		if !ok {
			return models.ErrNotFound
		}
		var p *models.Project
		if p, err = s.Store.Project(r.Context(), projectID); err != nil {
			return err
		}
		if form.Get("do") == "stop" {
			level = ""
		}
		err = s.hearOf(r, models.ProjectInterest, []*models.Project{p}, level)
	case "packages":
		err = s.watchPackages(r)
	default:
		return &refusal{status: http.StatusBadRequest, detail: "The form does not say what to do."}
	}
	if problem := mistake(err); problem != "" {
		return s.renderNotifications(w, r, views.NotificationsPage{Problem: problem}, http.StatusUnprocessableEntity)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, views.NotificationsURL()+"?saved=1", http.StatusSeeOther)
	return nil
}

// watchPackages watches all packages of the viewer that are known here.
func (s *Server) watchPackages(r *http.Request) error {
	all, err := s.Store.MailSubscriptions(r.Context(), viewerOf(r).ID)
	if err != nil {
		return err
	}
	packages, err := s.unwatched(r, all)
	if err != nil || len(packages) == 0 {
		return err
	}
	return s.hearOf(r, models.ProjectInterest, packages, models.UrgentLevel)
}

// hearOf has the viewer hear of something by mail; with no level not any more.
// Projects are nil of the interest own.
func (s *Server) hearOf(r *http.Request, interest models.Interest, projects []*models.Project, level models.Level) error {
	ctx, viewer := r.Context(), viewerOf(r)
	if level != "" {
		if err := models.CheckLevel(level); err != nil {
			return err
		}
	}
	if err := s.withinLimit(r, viewer); err != nil {
		return err
	}
	if interest == models.OwnInterest {
		projects = []*models.Project{{}}
	}
	return s.Store.InTx(ctx, func(tx *store.Tx) error {
		for _, p := range projects {
			if err := s.setInterest(tx, r, interest, p, level); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Server) setInterest(tx *store.Tx, r *http.Request, interest models.Interest, p *models.Project, level models.Level) error {
	ctx, viewer := r.Context(), viewerOf(r)
	object := "own doings"
	if p.ID != 0 {
		object = p.Path()
	}
	entry := &models.AuditEntry{
		Actor: viewer.Login, UserID: viewer.ID, Via: viaOf(r), Action: "mail.subscribe", Object: object, Result: models.AuditDone, ProjectID: p.ID,
		Detail: map[string]string{"level": string(level)},
	}
	if level != "" {
		if _, err := tx.Subscribe(ctx, viewer.ID, interest, p.ID, level); err != nil {
			return err
		}
		return tx.Audit(ctx, entry)
	}
	all, err := tx.MailSubscriptions(ctx, viewer.ID)
	if err != nil {
		return err
	}
	for _, sub := range all {
		if sub.Interest == interest && sub.ProjectID == p.ID {
			if _, err := tx.Unsubscribe(ctx, sub); err != nil {
				return err
			}
			entry.Action, entry.Detail = "mail.unsubscribe", nil
			return tx.Audit(ctx, entry)
		}
	}
	return nil
}

// watch takes the button on the page of a project or a package.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	if r.Method != http.MethodPost || visitOf(r).json {
		return noMethod(w, r)
	}
	form, err := formOf(w, r)
	if err != nil {
		return err
	}
	if err := s.may(r, models.PersonalRight, models.About{}); err != nil {
		return err
	}
	level := models.UrgentLevel
	if form.Get("do") == "stop" {
		level = ""
	}
	if err := s.hearOf(r, models.ProjectInterest, []*models.Project{p}, level); err != nil {
		return err
	}
	back := local(form.Get("back"))
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, back, http.StatusSeeOther)
	return nil
}

// watchingOf is whether the viewer hears of a project.
func (s *Server) watchingOf(r *http.Request, p *models.Project) (views.Watching, error) {
	viewer := viewerOf(r)
	if viewer == nil || !s.Mails || viewer.ByToken || p.ID == 0 {
		return views.Watching{}, nil
	}
	_, err := s.Store.Watch(r.Context(), viewer.ID, p.ID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return views.Watching{}, err
	}
	return views.Watching{Offered: true, On: err == nil}, nil
}

// askStop asks whoever has the address from a mail whether that is to end. It
// changes nothing: programs look at addresses in mails, too.
func (s *Server) askStop(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.stoppable(r)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	stopped := !sub.On() && sub.Interest != models.AllInterest
	return s.render(w, r, http.StatusOK, views.Stop(views.StopPage{Subscription: sub, Token: param(r, "token"), Stopped: stopped}))
}

// stopMail ends mail for whoever has the address from one (RFC 8058): without a
// login, and as often as it is sent.
func (s *Server) stopMail(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.stoppable(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	err = s.Store.InTx(ctx, func(tx *store.Tx) error {
		n, err := tx.Unsubscribe(ctx, sub)
		if err != nil || n == 0 {
			return err
		}
		entry := &models.AuditEntry{Via: models.ViaMail, Action: "mail.unsubscribe", Object: "all mail", UserID: sub.UserID, ProjectID: sub.ProjectID, Result: models.AuditDone}
		switch {
		case sub.Interest == models.OwnInterest:
			entry.Object = "own doings"
		case sub.Project != nil:
			entry.Object = sub.Project.Path()
		}
		if sub.User != nil {
			entry.Actor = sub.User.Login
		}
		return tx.Audit(ctx, entry)
	})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.render(w, r, http.StatusOK, views.Stop(views.StopPage{Subscription: sub, Token: param(r, "token"), Stopped: true}))
}

// stoppable is the mail that the address is about.
func (s *Server) stoppable(r *http.Request) (*models.Subscription, error) {
	token := storable(param(r, "token"))
	no := &refusal{status: http.StatusNotFound, detail: "This address ends nothing. Is it whole? Programs for mail may break long lines."}
	if len(token) != models.TokenLength {
		return nil, no
	}
	sub, err := s.Store.SubscriptionByToken(r.Context(), token)
	if isMissing(err) || err == nil && sub.Channel != models.MailChannel {
		return nil, no
	}
	return sub, err
}
