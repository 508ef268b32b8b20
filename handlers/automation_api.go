package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/views"
)

// AutomationDetail is what is done for a package without a config file.
type AutomationDetail struct {
	Package string          `json:"package" doc:"its name in dist-git"`
	Path    string          `json:"path" doc:"forge/namespace/name"`
	HTMLURL string          `json:"html_url"`
	Jobs    []AutomationJob `json:"jobs" doc:"those that can be switched on, in the order of a release's way"`
	YAML    string          `json:"yaml" doc:"the same as a package config"`
	File    *AutomationFile `json:"file" doc:"the package config in dist-git; null if there is none, or it cannot be told"`
	Allowed bool            `json:"allowed" doc:"you may change this"`
	Reason  string          `json:"reason" doc:"why not"`
	HowTo   string          `json:"how_to" doc:"how to get the right"`
}

// AutomationJob is a job as it is switched on or off.
type AutomationJob struct {
	Job      models.JobType            `json:"job"`
	Enabled  bool                      `json:"enabled"`
	Version  int                       `json:"version" doc:"0: nobody ever saved it; settings are those that a form begins with"`
	Source   models.AutomationSource   `json:"source" doc:"browser, list; empty if nobody ever saved it"`
	Settings models.AutomationSettings `json:"settings" doc:"keys of the package config; those below others with dots between them"`
	By       string                    `json:"by" doc:"login of who saved it; may be empty"`
	At       *time.Time                `json:"at" doc:"when"`
	InForce  bool                      `json:"in_force" doc:"it is on, and the file in dist-git has no job of its type"`
}

// AutomationFile is the package config in dist-git.
type AutomationFile struct {
	Name     string           `json:"name"`
	SHA      string           `json:"sha" doc:"commit at which it was read"`
	Mistakes string           `json:"mistakes" doc:"why it cannot be used; nothing is done for the package then"`
	Jobs     []models.JobType `json:"jobs" doc:"types of jobs in it, which count instead of those that are switched on"`
}

// AutomationBody switches jobs on and off. Those that are not named stay as they
// are.
type AutomationBody struct {
	Jobs []AutomationJobBody `json:"jobs" minItems:"1" maxItems:"3" nullable:"false"`
}

// AutomationJobBody is a job as somebody wants it.
type AutomationJobBody struct {
	Job             models.JobType            `json:"job" enum:"pull_from_upstream,koji_build,bodhi_update"`
	Enabled         bool                      `json:"enabled"`
	Settings        models.AutomationSettings `json:"settings,omitempty" nullable:"false" doc:"keys of the package config; what is missing has the format's default. Without settings those of the version before stay"`
	ExpectedVersion int                       `json:"expected_version" minimum:"0" doc:"number of the version that you take for the newest, 0 for none; if it is not, nothing is saved and the answer is 409"`
}

func (s *Server) sendAutomation(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	detail, err := s.apiAutomation(r, p)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.writeJSON(w, r, detail)
}

func (s *Server) apiAutomation(r *http.Request, p *models.Project) (*AutomationDetail, error) {
	now, err := s.Store.Automations(r.Context(), p.ID)
	if err != nil {
		return nil, err
	}
	text, err := packageconfig.WriteAutomations(now)
	if err != nil {
		return nil, err
	}
	verdict := s.mayAutomate(r, p)
	out := &AutomationDetail{
		Package: p.Name, Path: p.Path(), HTMLURL: s.Base + views.AutomationURL(p.Name), YAML: string(text), Jobs: []AutomationJob{},
		Allowed: verdict.Allowed, Reason: verdict.Reason, HowTo: verdict.HowTo,
	}
	page := views.AutomationPage{Project: p}
	if s.packageFile(r, &page); page.File.Name != "" {
		out.File = &AutomationFile{Name: page.File.Name, SHA: page.File.SHA, Mistakes: page.File.Mistakes, Jobs: some(page.File.Jobs)}
	}
	for _, job := range models.AutomationJobs {
		a := models.NewAutomation(p, job)
		a.Source = ""
		if i := slices.IndexFunc(now, func(a *models.Automation) bool { return a.Job == job }); i >= 0 {
			a = now[i]
		}
		out.Jobs = append(out.Jobs, AutomationJob{
			Job: job, Enabled: a.Enabled, Version: a.Version, Source: a.Source, Settings: a.Settings, By: a.Who(), At: when(a.CreatedAt),
			InForce: a.Enabled && page.File.Mistakes == "" && !slices.Contains(page.File.Jobs, job),
		})
	}
	return out, nil
}

// putAutomation switches jobs of a package on and off.
func (s *Server) putAutomation(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody[AutomationBody](s, w, r)
	if err != nil {
		return err
	}
	if viewerOf(r) == nil {
		return s.mustLogIn(r)
	}
	p, err := s.packageNamed(r, param(r, "name"))
	if err != nil {
		return err
	}
	wishes, err := s.wishesOf(r, p, body)
	if err != nil {
		return err
	}
	err = s.saveAutomations(r, p, wishes)
	if conflict, ok := errors.AsType[*automationConflict](err); ok {
		return &refusal{status: http.StatusConflict, detail: conflict.Error()}
	}
	if err != nil {
		return err
	}
	return s.sendAutomation(w, r, p)
}

// wishesOf checks what a program wants, by itself and together with what stays
// as it is.
func (s *Server) wishesOf(r *http.Request, p *models.Project, body AutomationBody) ([]automationWish, error) {
	now, err := s.Store.Automations(r.Context(), p.ID)
	if err != nil {
		return nil, err
	}
	var wishes []automationWish
	for i, job := range body.Jobs {
		field := fmt.Sprintf("jobs[%d]", i)
		if slices.ContainsFunc(wishes, func(w automationWish) bool { return w.Job == job.Job }) {
			return nil, wrongFields([]FieldProblem{{Field: field + ".job", Message: "it is named twice"}})
		}
		a := models.NewAutomation(p, job.Job)
		k := slices.IndexFunc(now, func(a *models.Automation) bool { return a.Job == job.Job })
		if k >= 0 {
			a.Settings = now[k].Settings
			now = slices.Delete(slices.Clone(now), k, k+1)
		}
		a.Enabled = job.Enabled
		if job.Settings != nil {
			a.Settings, err = job.Settings.Check(job.Job)
		}
		if bad, ok := errors.AsType[*models.InputError](err); ok {
			return nil, wrongFields([]FieldProblem{{Field: field + ".settings." + clip(bad.Field, 100), Message: bad.Message}})
		}
		wishes = append(wishes, automationWish{Automation: a, expected: job.ExpectedVersion})
	}
	together := now
	for _, wish := range wishes {
		together = append(together, wish.Automation)
	}
	form := savedForm(p, together)
	if checkForm(p, &form, automationsOf(p, form)); form.Wrong() {
		return nil, wrongFields(formProblems(form))
	}
	return wishes, nil
}

// formProblems are what is wrong with a form, by the keys of settings.
func formProblems(form views.AutomationForm) []FieldProblem {
	var problems []FieldProblem
	add := func(field, message string) {
		if message != "" {
			problems = append(problems, FieldProblem{Field: field, Message: message})
		}
	}
	add("", form.Problem)
	for _, j := range form.Jobs {
		add(string(j.Job), j.Problem)
		for _, in := range j.Fields {
			add(in.Name, in.Problem)
		}
	}
	add(form.Issues.Key, form.Issues.Problem)
	return problems
}
