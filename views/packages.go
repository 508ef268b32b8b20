package views

import (
	"time"

	"millrace/models"
)

// MostPackages is how many packages are switched at once.
const MostPackages = 50

// PackagesPage lists packages in dist-git.
type PackagesPage struct {
	Query string // q: part of the name
	Own   bool   // somebody is logged in, and may see theirs alone
	Mine  bool   // only those of the viewer
	Rows  []PackageRow
	// Of all, these are cursors; of the viewer's, names with which a part begins.
	models.Cursors

	// Of the viewer's:
	AskedAt time.Time // when dist-git said which they are; zero: it has not yet
	Known   int       // how many there are
	Found   int       // how many have Query in their names
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
	if p.Mine {
		return withQuery(PackagesURL(), "q", p.Query, "from", before+after)
	}
	return withQuery(PackagesURL(), "q", p.Query, "all", "1", "before", before, "after", after)
}

// all is "1" for the list of all packages, for who could see theirs alone.
func (p PackagesPage) all() string {
	if p.Own && !p.Mine {
		return "1"
	}
	return ""
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
