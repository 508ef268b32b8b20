package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"millrace/models"
	"millrace/views"
)

// manyAtOnce is how many packages are looked into at once.
const manyAtOnce = 8

// showMany is the form that switches jobs of several packages.
func (s *Server) showMany(w http.ResponseWriter, r *http.Request) error {
	names, err := namesOf(r.URL.Query())
	if err != nil {
		return err
	}
	page := views.ManyPage{Form: savedForm(new(models.Project), nil), Do: map[models.JobType]string{}}
	_, page.Packages, err = s.manyRows(r, names)
	if err != nil {
		return err
	}
	return s.renderMany(w, r, http.StatusOK, page)
}

// namesOf are the packages that are meant, each once.
func namesOf(values url.Values) ([]string, error) {
	var names []string
	for _, name := range values["package"] {
		if name = storable(strings.TrimSpace(name)); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return nil, &refusal{status: http.StatusUnprocessableEntity, detail: "No package is marked. Go back and mark some.", near: []views.Link{{Text: "Packages", URL: views.PackagesURL()}}}
	case len(names) > views.MostPackages:
		return nil, &refusal{status: http.StatusUnprocessableEntity, detail: fmt.Sprintf("At most %d packages are switched at once; %d are marked.", views.MostPackages, len(names))}
	}
	return names, nil
}

// manyRows finds packages, what is switched on for them, and whether the viewer
// may change that. Those that are not found are nil.
func (s *Server) manyRows(r *http.Request, names []string) ([]*models.Project, []views.ManyRow, error) {
	projects, rows, trouble := make([]*models.Project, len(names)), make([]views.ManyRow, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	turns := make(chan struct{}, manyAtOnce)
	for i, name := range names {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			rows[i].Name = clip(name, 200)
			p, err := s.packageNamed(r, name)
			if why, ok := errors.AsType[*refusal](err); ok && s.Automating != nil {
				rows[i].Problem = why.detail
				return
			}
			if err == nil {
				projects[i], rows[i].Verdict = p, s.mayAutomate(r, p)
				rows[i].Jobs, err = s.Store.Automations(r.Context(), p.ID)
			}
			trouble[i] = err
		})
	}
	all.Wait()
	return projects, rows, errors.Join(trouble...)
}

func (s *Server) renderMany(w http.ResponseWriter, r *http.Request, status int, page views.ManyPage) (err error) {
	if page.Releases, err = s.Automating.Releases(r.Context()); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.render(w, r, status, views.ManyAutomation(page))
}

// takeMany previews or saves the form for each package by itself.
func (s *Server) takeMany(w http.ResponseWriter, r *http.Request) error {
	values, err := formOf(w, r)
	if err != nil {
		return err
	}
	names, err := namesOf(values)
	if err != nil {
		return err
	}
	do := values.Get("do")
	if do != "save" && do != "preview" {
		return &refusal{status: http.StatusBadRequest, detail: "The form does not say what to do."}
	}
	if do == "save" && viewerOf(r) == nil { // once, not for each of them
		return s.may(r, models.PersonalRight, models.About{})
	}
	page := views.ManyPage{Form: readForm(values), Do: map[models.JobType]string{}, Tried: true}
	for i := range page.Form.Jobs {
		j := &page.Form.Jobs[i]
		page.Do[j.Job] = values.Get(string(j.Job) + ".do")
		j.On = page.Do[j.Job] == "on"
	}
	projects, rows, err := s.manyRows(r, names)
	if err != nil {
		return err
	}
	page.Packages = rows
	probe := &models.Project{Name: "package"}
	if checkForm(probe, &page.Form, automationsOf(probe, page.Form)); page.Form.Wrong() {
		page.Tried = false
		return s.renderMany(w, r, http.StatusUnprocessableEntity, page)
	}
	page.Done = do == "save"
	for i, p := range projects {
		if p != nil {
			s.switchOne(r, p, &page, &page.Packages[i], values)
		}
	}
	return s.renderMany(w, r, http.StatusOK, page)
}

// switchOne does for one package what the form says, if it is to be done now, and
// notes what changes.
func (s *Server) switchOne(r *http.Request, p *models.Project, page *views.ManyPage, row *views.ManyRow, values url.Values) {
	var wishes []automationWish
	for _, a := range automationsOf(p, page.Form) {
		var now *models.Automation
		if i := slices.IndexFunc(row.Jobs, func(n *models.Automation) bool { return n.Job == a.Job }); i >= 0 {
			now = row.Jobs[i]
		}
		switch page.Do[a.Job] {
		case "on":
			keepShared(a, now)
		case "off":
			if now == nil {
				continue
			}
			off := *now
			off.Enabled = false
			a = &off
		default:
			continue
		}
		if now == nil || !now.Same(a) {
			row.Changes = append(row.Changes, changeWords(now, a))
		}
		version, err := strconv.Atoi(values.Get("version." + p.Name + "." + string(a.Job)))
		if err != nil {
			version = 0
		}
		wishes = append(wishes, automationWish{Automation: a, expected: version})
	}
	if !page.Done || !row.Verdict.Allowed || len(wishes) == 0 {
		return
	}
	err := s.saveAutomations(r, p, wishes)
	if conflict, ok := errors.AsType[*automationConflict](err); ok {
		row.Problem = conflict.Error() + " Look at it, and save again."
	} else if err != nil {
		row.Problem = s.explain(r, err).detail
		if row.Problem == "" {
			row.Problem = "It could not be saved."
		}
	}
	if now, err := s.Store.Automations(r.Context(), p.ID); err == nil { // its versions are what the next save is made from
		row.Jobs = now
	}
}

// keepShared keeps what is each package's own: where it is upstream, and how its
// releases are called there.
func keepShared(a, now *models.Automation) {
	for _, f := range models.AutomationFields(a.Job) {
		if !f.Shared || f.Key == issuesKey {
			continue
		}
		delete(a.Settings, f.Key)
		if now != nil && now.Settings[f.Key] != nil {
			a.Settings[f.Key] = now.Settings[f.Key]
		}
	}
}

// changeWords say what a version changes.
func changeWords(before, after *models.Automation) string {
	words := string(after.Job) + " "
	switch {
	case !after.Enabled:
		return words + "off"
	case before == nil || !before.Enabled:
		words += "on"
	default:
		words += "changed"
	}
	if keys := models.ChangedSettings(before, after); len(keys) > 0 {
		words += ": " + strings.Join(keys, ", ")
	}
	return words
}
