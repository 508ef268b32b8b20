package views

import (
	"millrace/models"
)

// MostPackages is how many packages are switched at once.
const MostPackages = 50

// PackagesPage lists packages in dist-git.
type PackagesPage struct {
	Query string // q: part of the name
	Mine  bool   // only those of the viewer, as far as is known here
	Own   bool   // the viewer has some
	Rows  []PackageRow
	models.Cursors
}

// PackageRow is a package in the list.
type PackageRow struct {
	*models.Project
	Last *models.Pipeline // may be nil
	Jobs []*models.Automation
}

func (p PackagesPage) at(before, after string) string {
	if before == "" && after == "" {
		return ""
	}
	return withQuery(PackagesURL(), "q", p.Query, "all", "1", "before", before, "after", after)
}

// ManyAutomationURL switches jobs of several packages.
func ManyAutomationURL() string { return PackagesURL() + "/-/automation" }

// ManyPage switches jobs of several packages.
type ManyPage struct {
	Form     AutomationForm
	Do       map[models.JobType]string // what to do with each job: on, off, or nothing
	Packages []ManyRow
	Releases models.Releases
	Tried    bool // it is said of each what would become of it
	Done     bool // it is said of each what became of it
}

// ManyRow is one of them.
type ManyRow struct {
	Name    string
	Jobs    []*models.Automation // as they are
	Verdict models.Verdict
	Changes []string // what would change, or did
	Problem string   // why nothing did
}

// version is the number of the version of a job that the page was made from.
func (r ManyRow) version(job models.JobType) int {
	for _, a := range r.Jobs {
		if a.Job == job {
			return a.Version
		}
	}
	return 0
}

// look says what would become of a package, or did.
func (r ManyRow) look(done bool) look {
	switch {
	case r.Problem != "" && !done:
		return look{"failed", "Not possible"}
	case r.Problem != "":
		return look{"failed", "Not saved"}
	case !r.Verdict.Allowed:
		return look{"failed", "You may not"}
	case len(r.Changes) == 0:
		return look{"skipped", "Nothing to change"}
	case done:
		return look{"passed", "Saved"}
	}
	return look{"waiting", "Would change"}
}

// jobsOn names the jobs that are on.
func jobsOn(all []*models.Automation) []models.JobType {
	var on []models.JobType
	for _, a := range all {
		if a.Enabled {
			on = append(on, a.Job)
		}
	}
	return on
}
