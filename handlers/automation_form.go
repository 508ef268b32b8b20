package handlers

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/httpx"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/views"
)

// issuesKey is set for all jobs at once.
const issuesKey = "issue_repository"

// retryElsewhere is when to try again what another service did not answer.
const retryElsewhere = 10 * time.Second

// elsewhere reports whether err is about another service.
func elsewhere(err error) bool {
	_, ok := errors.AsType[*httpx.Error](err)
	return ok || tooSlow(err)
}

// savedForm is the form of what is switched on and off now.
func savedForm(p *models.Project, now []*models.Automation) views.AutomationForm {
	var form views.AutomationForm
	for _, job := range models.AutomationJobs {
		a := models.NewAutomation(p, job)
		if i := slices.IndexFunc(now, func(a *models.Automation) bool { return a.Job == job }); i >= 0 {
			a = now[i]
		}
		j := views.AutomationJob{Job: job, On: a.Enabled, Version: a.Version}
		for _, f := range models.AutomationFields(job) {
			value, set := a.Settings[f.Key]
			if !set && f.Kind == models.SwitchField {
				value = f.Usual
			}
			in := views.AutomationInput{AutomationField: f, Name: string(job) + "." + f.Key, Texts: f.Texts(value)}
			if f.Key == issuesKey {
				in.Name = issuesKey
				if len(form.Issues.Texts) == 0 {
					form.Issues = in
				}
				continue
			}
			j.Fields = append(j.Fields, in)
		}
		form.Jobs = append(form.Jobs, j)
	}
	return form
}

// readForm reads what somebody filled in. It is kept as it came, with what is
// wrong with it.
func readForm(values url.Values) views.AutomationForm {
	form := savedForm(new(models.Project), nil)
	for i := range form.Jobs {
		j := &form.Jobs[i]
		j.On = values.Get(string(j.Job)+".on") != ""
		version, err := strconv.Atoi(values.Get(string(j.Job) + ".version"))
		if err != nil || version < 0 {
			version = 0
		}
		j.Version = version
		for k := range j.Fields {
			readInput(&j.Fields[k], values)
		}
	}
	readInput(&form.Issues, values)
	return form
}

// readInput fills a field in.
func readInput(in *views.AutomationInput, values url.Values) {
	in.Texts, in.Problem = nil, ""
	for _, text := range values[in.Name] {
		if text = storable(strings.TrimSpace(text)); text != "" {
			in.Texts = append(in.Texts, text)
		}
	}
	value, err := in.Value(values[in.Name])
	if bad, ok := errors.AsType[*models.InputError](err); ok {
		in.Problem = bad.Message
		return
	}
	if in.Kind == models.ListField { // one by one, whether they were picked or typed
		in.Texts = in.AutomationField.Texts(value)
	}
}

// automationsOf are the jobs that a form means, in the order of the form.
func automationsOf(p *models.Project, form views.AutomationForm) []*models.Automation {
	var all []*models.Automation
	for _, j := range form.Jobs {
		a := models.NewAutomation(p, j.Job)
		a.Enabled, a.Version, a.Settings = j.On, j.Version, models.AutomationSettings{}
		for _, in := range append(slices.Clone(j.Fields), form.Issues) {
			if value, err := in.Value(in.Texts); err == nil && value != nil {
				a.Settings[in.Key] = value
			}
		}
		all = append(all, a)
	}
	return all
}

var jobKey = regexp.MustCompile(`^jobs\[(\d+)\]\.?`)

// checkForm reads the jobs as the file that they mean is read, puts what is wrong
// at the fields, and returns the config if there is one.
func checkForm(p *models.Project, form *views.AutomationForm, automations []*models.Automation) *models.PackageConfig {
	config, err := packageconfig.ParseAutomations(automations, jobs.PackageOptions(p.Name))
	if err == nil {
		return config
	}
	problems, ok := packageconfig.AsErrors(err)
	if !ok {
		form.Problem = "The settings cannot be read."
		return nil
	}
	var on []*views.AutomationJob
	for i := range form.Jobs {
		if form.Jobs[i].On {
			on = append(on, &form.Jobs[i])
		}
	}
	for _, problem := range problems {
		text := strings.TrimSpace(problem.Message + " " + problem.Hint)
		if !place(form, on, problem.Key, text) {
			form.Problem = strings.TrimSpace(fmt.Sprintf("%s %s: %s", form.Problem, problem.Key, text))
		}
	}
	return nil
}

// place puts what is wrong with a key at its field, if there is one.
func place(form *views.AutomationForm, on []*views.AutomationJob, key, text string) bool {
	among := on
	if m := jobKey.FindStringSubmatch(key); m != nil {
		i, err := strconv.Atoi(m[1])
		if err != nil || i >= len(on) {
			return false
		}
		among, key = on[i:i+1], key[len(m[0]):]
	}
	of := func(in *views.AutomationInput) bool {
		if key != in.Key && !strings.HasPrefix(key, in.Key+"[") && !strings.HasPrefix(key, in.Key+".") {
			return false
		}
		if in.Problem == "" {
			in.Problem = text
		}
		return true
	}
	if of(&form.Issues) {
		return true
	}
	for _, j := range among {
		for k := range j.Fields {
			if of(&j.Fields[k]) {
				return true
			}
		}
	}
	if len(among) == 1 && key != "" {
		among[0].Problem = key + ": " + text
		return true
	}
	return false
}
