package packageconfig

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"millrace/models"
)

// maxListed is how many packages a list has at most.
const maxListed = 5000

// ParseList reads a list of packages and what is switched on for each:
//
//	packages:
//	  hello:
//	    pull_from_upstream: true
//	    koji_build:
//	      dist_git_branches: [f44, rawhide]
//
// A job that is true has the settings that a new form has; those of a mapping are
// put over them, and null takes one away. The entries are by name. What is wrong
// with an entry is part of it; an error, of type Errors, is about the file.
func ParseList(text []byte) ([]models.ListEntry, error) {
	p := newProblems(text)
	root := read(text, p)
	if errs := p.errors(); len(errs) > 0 {
		return nil, errs
	}
	if root.kind != dict {
		p.fail(place{line: root.line, column: root.column}, "The list must be a mapping with the key packages, got "+root.typeRepr()+".", "")
		return nil, p.errors()
	}
	for _, e := range root.entries {
		if name := e.key.name(); name != "packages" {
			p.fail(atKey(e), unknownField, didYouMean(name, []string{"packages"}))
		}
	}
	packages := root.get("packages")
	switch {
	case packages == nil || packages.kind == null:
	case packages.kind != dict:
		p.fail(at(packages), "'packages' must be a mapping of names to jobs, got "+packages.typeRepr()+".", "")
	case len(packages.entries) > maxListed:
		p.fail(at(packages), fmt.Sprintf("%d packages are too many; at most %d are read.", len(packages.entries), maxListed), "")
	}
	if errs := p.errors(); len(errs) > 0 || packages == nil {
		return nil, asError(errs)
	}
	entries := make([]models.ListEntry, 0, len(packages.entries))
	for _, e := range packages.entries {
		entries = append(entries, listed(e, p.lines))
	}
	slices.SortFunc(entries, func(a, b models.ListEntry) int { return compareText(a.Package, b.Package) })
	return entries, nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// asError keeps no mistakes from being an error that is not nil.
func asError(errs Errors) error {
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// listed reads the entry of a package.
func listed(e *entry, lines int) models.ListEntry {
	p := &problems{lines: lines, seen: map[models.ConfigProblem]bool{}}
	out := models.ListEntry{Package: clip(e.key.name(), 200), Line: e.key.line, Jobs: map[models.JobType]models.AutomationSettings{}}
	if e.key.kind != text || !models.IsPackageName(e.key.s) {
		p.fail(atKey(e), "This is no name of a package.", "")
	}
	if e.val.kind != dict {
		p.fail(at(e.val), "A package must be a mapping of jobs, got "+e.val.typeRepr()+".", "Such as `pull_from_upstream: true`.")
	}
	places := map[models.JobType]*value{}
	for _, job := range e.val.entries {
		name := models.JobType(job.key.name())
		if !slices.Contains(models.AutomationJobs, name) {
			p.fail(atKey(job), fmt.Sprintf("%s cannot be switched on by a list.", clip(string(name), 100)), didYouMean(string(name), jobNames()))
			continue
		}
		if settings, on := listedJob(name, job.val, p); on {
			out.Jobs[name], places[name] = settings, job.val
		}
	}
	if len(p.found) == 0 {
		checkListed(&out, places, p)
	}
	out.Problems = p.errors()
	return out
}

func jobNames() []string {
	names := make([]string, len(models.AutomationJobs))
	for i, job := range models.AutomationJobs {
		names[i] = string(job)
	}
	return names
}

// listedJob reads what an entry says of a job.
func listedJob(job models.JobType, v *value, p *problems) (settings models.AutomationSettings, on bool) {
	if v.kind == boolean {
		return models.NewAutomation(new(models.Project), job).Settings, v.b
	}
	if v.kind != dict {
		p.fail(at(v), "A job is true, false, or a mapping of settings, got "+v.typeRepr()+".", "")
		return nil, false
	}
	settings = maps.Clone(models.NewAutomation(new(models.Project), job).Settings)
	for _, e := range v.entries {
		key := e.key.name()
		checked, err := models.AutomationSettings{key: e.val.plain()}.Check(job)
		if bad, ok := errors.AsType[*models.InputError](err); ok {
			p.fail(at(e.val), bad.Message, "")
			continue
		}
		delete(settings, key)
		maps.Copy(settings, checked)
	}
	return settings, true
}

// checkListed reads the jobs of an entry as the file that would mean the same.
func checkListed(entry *models.ListEntry, places map[models.JobType]*value, p *problems) {
	automations := entry.Automations(&models.Project{Name: entry.Package})
	_, err := ParseAutomations(automations, Options{RepoName: entry.Package, RepoFiles: []string{entry.Package + ".spec"}})
	mistakes, ok := AsErrors(err)
	if !ok && err != nil {
		p.fail(place{line: entry.Line}, "It cannot be read.", "")
	}
	for _, m := range mistakes {
		where := place{line: entry.Line, column: 1, key: m.Key}
		var index int
		if _, err := fmt.Sscanf(m.Key, "jobs[%d]", &index); err == nil && index < len(automations) {
			where = at(places[automations[index].Job])
			where.key = m.Key
		}
		p.fail(where, m.Message, m.Hint)
	}
}
