package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"millrace/jobs"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
	"millrace/views"
)

// Automating is what pages of automation ask about packages; *jobs.Runner knows.
type Automating interface {
	FindPackage(ctx context.Context, name string) (*models.Project, error)
	OwnPackages(ctx context.Context, login string) (*jobs.OwnPackages, error)
	PackageFile(ctx context.Context, p *models.Project) (*jobs.PackageFile, error)
	Foresee(ctx context.Context, p *models.Project, automated *models.PackageConfig, file *jobs.PackageFile) (*models.Foresight, []models.Decision, error)
	Readiness(ctx context.Context, p *models.Project) []models.Readiness
	Releases(ctx context.Context) (models.Releases, error)
}

// automationAction is what saving is called in the audit log.
const automationAction = "automation.save"

// packageNamed finds a package by its name in dist-git, whether anything happened
// to it or not.
func (s *Server) packageNamed(r *http.Request, name string) (*models.Project, error) {
	if s.Automating == nil {
		return nil, &refusal{status: http.StatusNotFound, detail: "This service works with no dist-git."}
	}
	p, err := s.Automating.FindPackage(r.Context(), name)
	if isMissing(err) {
		missing := &refusal{status: http.StatusNotFound, detail: "Dist-git has no package of that name. Is it spelled as there?"}
		near, err := s.Store.NearProjects(r.Context(), s.PackageForge+"/"+packageSpace+"/"+name, 5)
		if err != nil {
			return nil, err
		}
		for _, other := range near {
			if other.Forge == s.PackageForge && other.Namespace == packageSpace {
				missing.near = append(missing.near, views.Link{Text: other.FullName(), URL: views.AutomationURL(other.Name)})
			}
		}
		return nil, missing
	}
	if err != nil && elsewhere(err) {
		return nil, &refusal{status: http.StatusServiceUnavailable, retry: retryElsewhere, detail: "Nothing happened to this package yet, and dist-git does not tell now whether there is one of that name."}
	}
	return p, err
}

// mayAutomate decides whether the reader may switch jobs on and off for a
// package.
func (s *Server) mayAutomate(r *http.Request, p *models.Project) models.Verdict {
	return s.Rights.MayProject(r.Context(), viewerOf(r), models.AutomateRight, p)
}

func (s *Server) showAutomation(w http.ResponseWriter, r *http.Request) error {
	p, err := s.packageNamed(r, param(r, "name"))
	if err != nil {
		return err
	}
	now, err := s.Store.Automations(r.Context(), p.ID)
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.sendAutomation(w, r, p)
	}
	page := views.AutomationPage{Project: p, Form: savedForm(p, now), Saved: r.URL.Query().Get("saved") != ""}
	part, err := fragment(r, map[string]func(views.AutomationPage) templ.Component{"preview": views.AutomationPreview}, views.Automation)
	if err != nil {
		return err
	}
	return s.renderAutomation(w, r, http.StatusOK, page, part)
}

// renderAutomation adds what a form means and where it stands.
func (s *Server) renderAutomation(w http.ResponseWriter, r *http.Request, status int, page views.AutomationPage, part func(views.AutomationPage) templ.Component) error {
	ctx, p := r.Context(), page.Project
	all, err := s.Store.AutomationHistory(ctx, p.ID)
	if err != nil {
		return err
	}
	page.History, page.Now = versions(all), map[models.JobType]*models.Automation{}
	for _, a := range models.NewestAutomations(all) {
		page.Now[a.Job] = a
	}
	if page.Releases, err = s.Automating.Releases(ctx); err != nil {
		return err
	}
	if page.Entry, err = s.Store.ListEntry(ctx, p.Name); err != nil && !isMissing(err) {
		return err
	} else if err != nil {
		page.Entry = nil
	}
	page.Verdict = s.mayAutomate(r, p)
	file := s.packageFile(r, &page)
	if err := s.foresee(ctx, &page, file); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.render(w, r, status, part(page))
}

// packageFile tells the page about the file in dist-git; nil if that cannot be
// told.
func (s *Server) packageFile(r *http.Request, page *views.AutomationPage) *jobs.PackageFile {
	file, err := s.Automating.PackageFile(r.Context(), page.Project)
	if err != nil {
		s.Log.WarnContext(r.Context(), "a package config cannot be read", "project", page.Project.Path(), "error", err, "request", visitOf(r).id)
		page.File.Unknown = true
		return nil
	}
	page.File = views.PackageFile{Name: file.Name, SHA: file.SHA, URL: file.URL, Mistakes: file.Mistakes, At: file.At}
	if file.Config != nil {
		for _, job := range file.Config.Jobs {
			page.File.Jobs = append(page.File.Jobs, job.Type)
		}
	}
	return file
}

// foresee checks the form, and says what it means.
func (s *Server) foresee(ctx context.Context, page *views.AutomationPage, file *jobs.PackageFile) error {
	automations := automationsOf(page.Project, page.Form)
	config := checkForm(page.Project, &page.Form, automations)
	if config == nil || page.Form.Wrong() {
		return nil
	}
	text, err := packageconfig.WriteAutomations(automations)
	if err != nil {
		return err
	}
	if len(config.Jobs) > 0 {
		page.Text = string(text)
	}
	page.Foresight, page.Overruled, err = s.Automating.Foresee(ctx, page.Project, config, file)
	return err
}

// versions says of each what it changed, newest first.
func versions(all []*models.Automation) []views.AutomationVersion {
	newest := map[models.JobType]int{}
	out := make([]views.AutomationVersion, len(all))
	for i, a := range all {
		newest[a.Job] = max(newest[a.Job], a.Version)
		var before *models.Automation
		if j := slices.IndexFunc(all[i+1:], func(b *models.Automation) bool { return b.Job == a.Job }); j >= 0 {
			before = all[i+1+j]
		}
		wasOn := before != nil && before.Enabled
		out[i] = views.AutomationVersion{
			Automation: a, Changed: models.ChangedSettings(before, a), Newest: newest[a.Job], ToOn: a.Enabled && !wasOn, ToOff: !a.Enabled && wasOn,
		}
	}
	return out
}

// takeAutomation takes the forms of the page.
func (s *Server) takeAutomation(w http.ResponseWriter, r *http.Request) error {
	values, err := formOf(w, r)
	if err != nil {
		return err
	}
	p, err := s.packageNamed(r, param(r, "name"))
	if err != nil {
		return err
	}
	switch do := values.Get("do"); do {
	case "preview":
		part := views.Automation
		if isFragment(r) {
			part = views.AutomationPreview
		}
		return s.renderAutomation(w, r, http.StatusOK, views.AutomationPage{Project: p, Form: readForm(values)}, part)
	case "save", "off":
		form := readForm(values)
		if do == "off" {
			return s.switchOff(w, r, p, form)
		}
		return s.saveForm(w, r, p, form)
	case "restore":
		return s.restoreAutomation(w, r, p)
	case "list":
		return s.goByList(w, r, p)
	}
	return &refusal{status: http.StatusBadRequest, detail: "The form does not say what to do."}
}

// saveForm saves a form if it may be and is right, or shows it again.
func (s *Server) saveForm(w http.ResponseWriter, r *http.Request, p *models.Project, form views.AutomationForm) error {
	automations := automationsOf(p, form)
	if checkForm(p, &form, automations); form.Wrong() {
		if err := s.refused(r, s.mayAutomate(r, p)); err != nil {
			return s.noteRefusal(r, err, automationAction, p.Path())
		}
		return s.renderAutomation(w, r, http.StatusUnprocessableEntity, views.AutomationPage{Project: p, Form: form}, views.Automation)
	}
	var wishes []automationWish
	for i, a := range automations {
		wishes = append(wishes, automationWish{Automation: a, expected: form.Jobs[i].Version})
	}
	return s.saved(w, r, p, form, s.saveAutomations(r, p, wishes))
}

// switchOff switches off what is on, and leaves settings as they are.
func (s *Server) switchOff(w http.ResponseWriter, r *http.Request, p *models.Project, form views.AutomationForm) error {
	now, err := s.Store.Automations(r.Context(), p.ID)
	if err != nil {
		return err
	}
	var wishes []automationWish
	for _, a := range now {
		off := *a
		off.Enabled = false
		wishes = append(wishes, automationWish{Automation: &off, expected: form.VersionOf(a.Job)})
	}
	return s.saved(w, r, p, savedForm(p, now), s.saveAutomations(r, p, wishes))
}

// restoreAutomation saves an earlier version of a job again.
func (s *Server) restoreAutomation(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	id, ok := number(r.PostForm.Get("version"))
	newest, ok2 := number(r.PostForm.Get("newest"))
	if !ok || !ok2 {
		return &refusal{status: http.StatusBadRequest, detail: "The form does not say which version."}
	}
	all, err := s.Store.AutomationHistory(r.Context(), p.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(a *models.Automation) bool { return a.ID == id })
	if i < 0 {
		return &refusal{status: http.StatusNotFound, detail: "The package has no such version."}
	}
	now := models.NewestAutomations(all)
	again := *all[i]
	form := savedForm(p, append(slices.DeleteFunc(slices.Clone(now), func(a *models.Automation) bool { return a.Job == again.Job }), &again))
	if checkForm(p, &form, automationsOf(p, form)); form.Wrong() {
		form.Problem = "What that version said cannot be used any more: " + form.Problem
		return s.renderAutomation(w, r, http.StatusUnprocessableEntity, views.AutomationPage{Project: p, Form: form}, views.Automation)
	}
	return s.saved(w, r, p, form, s.saveAutomations(r, p, []automationWish{{Automation: &again, expected: int(newest)}}))
}

// goByList makes a job what the list of repositories has, and lets it follow the
// list from then on.
func (s *Server) goByList(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	entry, err := s.Store.ListEntry(r.Context(), p.Name)
	job, newest := models.JobType(r.PostForm.Get("job")), int64(0)
	ok := err == nil && len(entry.Problems) == 0 && slices.Contains(models.AutomationJobs, job)
	if ok {
		newest, ok = number(r.PostForm.Get("newest"))
	}
	switch {
	case err != nil && !isMissing(err):
		return err
	case !ok:
		return &refusal{status: http.StatusUnprocessableEntity, detail: "The list does not say anything about this that could be followed."}
	}
	now, err := s.Store.Automations(r.Context(), p.ID)
	if err != nil {
		return err
	}
	wish := automationWish{Automation: models.NewAutomation(p, job), expected: int(newest), byList: true}
	if i := slices.IndexFunc(now, func(a *models.Automation) bool { return a.Job == job }); i >= 0 {
		wish.Settings = now[i].Settings
	}
	if settings, on := entry.Jobs[job]; on {
		wish.Settings, wish.Enabled = settings, true
	}
	return s.saved(w, r, p, savedForm(p, now), s.saveAutomations(r, p, []automationWish{wish}))
}

// showAutomationList shows operators how the list of repositories was read.
func (s *Server) showAutomationList(w http.ResponseWriter, r *http.Request) error {
	if err := s.may(r, models.OperateRight, models.About{}); err != nil {
		return err
	}
	state, err := s.Store.ListState(r.Context())
	if err != nil {
		return err
	}
	entries, err := s.Store.ListEntries(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.render(w, r, http.StatusOK, views.AutomationList(views.AutomationListPage{State: *state, Entries: entries}))
}

// saved answers a form after an attempt to save it.
func (s *Server) saved(w http.ResponseWriter, r *http.Request, p *models.Project, form views.AutomationForm, err error) error {
	conflict, isConflict := errors.AsType[*automationConflict](err)
	switch {
	case isConflict:
		page := views.AutomationPage{Project: p, Form: form, Conflicts: conflict.versions}
		for i := range page.Form.Jobs {
			j := &page.Form.Jobs[i]
			for _, v := range conflict.versions {
				if v.Job == j.Job {
					j.Version = v.Newest // who saves again has seen it
				}
			}
		}
		return s.renderAutomation(w, r, http.StatusConflict, page, views.Automation)
	case err != nil:
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, views.AutomationURL(p.Name)+"?saved=1", http.StatusSeeOther)
	return nil
}

// automationWish is a job as somebody wants it, and the number of the version
// that they made it from.
type automationWish struct {
	*models.Automation
	expected int
	byList   bool // it is to be as the list has it, from now on
}

// automationConflict says what others saved meanwhile.
type automationConflict struct{ versions []views.AutomationVersion }

func (e *automationConflict) Error() string {
	words := make([]string, len(e.versions))
	for i, v := range e.versions {
		words[i] = fmt.Sprintf("version %d of %s", v.Version, v.Job)
		if v.Who() != "" {
			words[i] += " by " + v.Who()
		}
	}
	return "Somebody else was faster: " + strings.Join(words, ", ") + "."
}

// saveAutomations saves jobs for whoever asks, if they may: those of them that
// differ from what is there. They are checked already. If somebody else saved
// something different meanwhile nothing is saved, and the error is an
// *automationConflict.
func (s *Server) saveAutomations(r *http.Request, p *models.Project, wishes []automationWish) error {
	ctx, viewer := r.Context(), viewerOf(r)
	if err := s.refused(r, s.mayAutomate(r, p)); err != nil {
		return s.noteRefusal(r, err, automationAction, p.Path())
	}
	if err := s.withinLimit(r, viewer); err != nil {
		return err
	}
	var newer []models.JobType
	err := s.Store.InTx(ctx, func(tx *store.Tx) error {
		newer = nil // the transaction may be tried again
		if p.ID == 0 {
			if err := tx.EnsureProject(ctx, p); err != nil {
				return err
			}
		}
		changed, err := s.changedOf(ctx, tx, p, wishes, &newer)
		if err != nil || len(newer) > 0 || len(changed) == 0 {
			return err
		}
		entry := &models.AuditEntry{
			Actor: viewer.Login, UserID: viewer.ID, Via: viaOf(r), Action: automationAction, Object: p.Path(), ProjectID: p.ID,
			Detail: map[string]string{}, Result: models.AuditDone,
		}
		for _, wish := range changed {
			a := &models.Automation{
				ProjectID: p.ID, Package: p.Name, Job: wish.Job, Enabled: wish.Enabled, Settings: wish.Settings, Source: models.FromBrowser, UserID: viewer.ID,
			}
			if wish.byList {
				a.Source = models.FromList
			}
			if err := tx.SaveAutomation(ctx, a, wish.expected); err != nil {
				return err
			}
			entry.Detail[string(a.Job)] = auditWords(a)
		}
		return tx.Audit(ctx, entry)
	})
	if version, ok := errors.AsType[*models.VersionError](err); ok {
		newer, err = []models.JobType{version.Job}, nil
	}
	if err != nil || len(newer) == 0 {
		return err
	}
	all, err := s.Store.AutomationHistory(ctx, p.ID)
	if err != nil {
		return err
	}
	conflict := new(automationConflict)
	for _, v := range versions(all) {
		if v.Version == v.Newest && slices.Contains(newer, v.Job) {
			conflict.versions = append(conflict.versions, v)
		}
	}
	return conflict
}

// changedOf are those wishes that differ from what is there, with newer for those
// that were made from an older version.
func (s *Server) changedOf(ctx context.Context, tx *store.Tx, p *models.Project, wishes []automationWish, newer *[]models.JobType) ([]automationWish, error) {
	now, err := tx.Automations(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	var changed []automationWish
	for _, wish := range wishes {
		i := slices.IndexFunc(now, func(a *models.Automation) bool { return a.Job == wish.Job })
		switch {
		case i < 0 && !wish.Enabled, i >= 0 && now[i].Same(wish.Automation) && (!wish.byList || now[i].Source == models.FromList):
		case i >= 0 && now[i].Version != wish.expected, i < 0 && wish.expected != 0:
			*newer = append(*newer, wish.Job)
		default:
			changed = append(changed, wish)
		}
	}
	return changed, nil
}

// auditWords say what a version is, for the audit log.
func auditWords(a *models.Automation) string {
	state := "off"
	if a.Enabled {
		state = "on"
	}
	words := fmt.Sprintf("version %d, %s", a.Version, state)
	for _, f := range models.AutomationFields(a.Job) {
		if texts := f.Texts(a.Settings[f.Key]); len(texts) > 0 {
			words += "; " + f.Key + ": " + strings.Join(texts, " ")
		}
	}
	return clip(words, 1000)
}

// showReadiness shows what automation of a package takes besides switches.
func (s *Server) showReadiness(w http.ResponseWriter, r *http.Request) error {
	p, err := s.packageNamed(r, param(r, "name"))
	if err != nil {
		return err
	}
	page := views.ReadinessPage{Project: p, Found: s.Automating.Readiness(r.Context(), p)}
	w.Header().Set("Cache-Control", "no-store")
	if isFragment(r) {
		return s.render(w, r, http.StatusOK, views.AutomationReadiness(page))
	}
	return s.render(w, r, http.StatusOK, views.Readiness(page))
}

// originsOf says where the jobs of a pipeline are from that are in no file; only
// packages have such.
func (s *Server) originsOf(ctx context.Context, p *models.Pipeline) (map[string]models.Origin, error) {
	if p.Project == nil || s.PackageForge == "" || p.Project.Forge != s.PackageForge {
		return nil, nil
	}
	return s.Store.StepOrigins(ctx, p.ID)
}
