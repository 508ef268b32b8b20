package views

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/models"
)

// AutomationPage is what is done for a package without a config file.
type AutomationPage struct {
	Project   *models.Project // without an id if nothing was switched on yet
	Form      AutomationForm
	Releases  models.Releases // what aliases stand for
	Verdict   models.Verdict  // whether the viewer may save
	File      PackageFile
	Overruled []models.Decision   // what the form has and the file has too
	Foresight *models.Foresight   // nil if the form has mistakes
	Text      string              // the form as a file; empty if it has mistakes
	History   []AutomationVersion // newest first
	Saved     bool
	Conflicts []AutomationVersion // what others saved meanwhile
	Now       map[models.JobType]*models.Automation
	Entry     *models.ListEntry // what the list of repositories says; nil: it does not name the package
}

// PackageFile is the package config in dist-git, as far as it is known.
type PackageFile struct {
	Name     string // empty: there is none
	SHA      string
	URL      string           // of its page in dist-git
	Mistakes string           // why it cannot be used
	Jobs     []models.JobType // that it has
	At       time.Time        // when dist-git was asked
	Unknown  bool             // dist-git does not answer
}

// has reports whether the file counts for a type of job.
func (f PackageFile) has(job models.JobType) bool { return slices.Contains(f.Jobs, job) }

// AutomationForm is the form of a package, as it was filled in.
type AutomationForm struct {
	Jobs    []AutomationJob // in the order of models.AutomationJobs
	Issues  AutomationInput // where failures are told
	Problem string          // with the form as a whole
}

// AutomationJob is the part of the form that is about a job.
type AutomationJob struct {
	Job     models.JobType
	On      bool
	Version int // that it was made from; 0: there was none
	Fields  []AutomationInput
	Problem string // with the job as a whole
}

// AutomationInput is a field of the form.
type AutomationInput struct {
	models.AutomationField
	Name    string // of the control
	Texts   []string
	Problem string
}

// AutomationVersion is a version and what it changed.
type AutomationVersion struct {
	*models.Automation
	Changed []string // keys
	Newest  int      // number of the newest version of the job
	ToOn    bool     // it was switched on with this version
	ToOff   bool     // it was switched off with this version
}

// Wrong reports whether something in the form is wrong.
func (f AutomationForm) Wrong() bool {
	if f.Problem != "" || f.Issues.Problem != "" {
		return true
	}
	return slices.ContainsFunc(f.Jobs, AutomationJob.wrong)
}

// VersionOf is the version of a job that the form was made from.
func (f AutomationForm) VersionOf(job models.JobType) int {
	for _, j := range f.Jobs {
		if j.Job == job {
			return j.Version
		}
	}
	return 0
}

func (j AutomationJob) wrong() bool {
	return j.Problem != "" || slices.ContainsFunc(j.Fields, func(in AutomationInput) bool { return in.Problem != "" })
}

// unusual reports whether a field that is not shown at once says something else
// than a new form does.
func (j AutomationJob) unusual() bool {
	return slices.ContainsFunc(j.Fields, func(in AutomationInput) bool {
		if in.Simple {
			return false
		}
		fresh := in.AutomationField.Texts(in.Default)
		if in.Default == nil && (in.Kind == models.SwitchField || len(in.Texts) > 0) {
			fresh = in.AutomationField.Texts(in.Usual)
		}
		return in.Problem != "" || !slices.Equal(in.Texts, fresh)
	})
}

func (in AutomationInput) id() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(in.Name)
}

// AutomationURL is the page of a package's automation.
func AutomationURL(pkg string) string { return PackageURL(pkg) + "/automation" }

// AutomationListURL is how the list of repositories was read.
func AutomationListURL() string { return "/admin/automation-list" }

// AutomationListPage is the list of repositories for operators.
type AutomationListPage struct {
	State   models.ListState
	Entries []*models.ListEntry // those with mistakes first
}

// ReadinessURL has the checks of a package alone.
func ReadinessURL(pkg string) string { return AutomationURL(pkg) + "/readiness" }

func (p AutomationPage) page() page {
	return page{
		Name: "Automation of " + p.Project.Name, Nav: "packages",
		Crumbs: []crumb{{"Packages", PackagesURL()}, {p.Project.Name, PackageURL(p.Project.Name)}, {"Automation", ""}},
	}
}

// foreseenWith says what a preview goes by.
func (p AutomationPage) foreseenWith() string {
	words := "with the switches as they stand in the form"
	if len(p.File.Jobs) > 0 {
		words += " and the jobs of the file in dist-git"
	}
	return words
}

// source says where a job is from now, and why.
func (p AutomationPage) source(job models.JobType) (look, string) {
	now := p.Now[job]
	where := ""
	if now != nil {
		where = OriginWords(now.Origin())
	}
	switch {
	case p.File.Mistakes != "":
		return look{"failed", "Nothing"}, p.File.Name + " in dist-git cannot be used, and as long as it is wrong nothing is done for the package."
	case p.File.has(job) && now != nil && now.Enabled:
		return look{"passed", "The file"}, fmt.Sprintf("%s in dist-git has a job of this type, which counts. What is switched on %s is not in force.", p.File.Name, where)
	case p.File.has(job):
		return look{"passed", "The file"}, p.File.Name + " in dist-git has a job of this type."
	case now == nil:
		return look{"skipped", "Off"}, "Nobody switched it on, and no file in dist-git asks for it."
	case !now.Enabled:
		return look{"skipped", "Off"}, "It was switched off " + where + "."
	}
	return look{"passed", "On"}, "Switched on " + where + p.noFile() + "."
}

func (p AutomationPage) noFile() string {
	switch {
	case p.File.Unknown:
		return "; whether a file in dist-git counts instead cannot be told now"
	case p.File.Name == "":
		return "; there is no file in dist-git"
	}
	return "; " + p.File.Name + " in dist-git has no job of this type"
}

// byList says what the list of repositories wants of a job that is not as the list
// has it because it was switched in the browser; empty if there is no such thing.
func (p AutomationPage) byList(job models.JobType) string {
	if p.Entry == nil || len(p.Entry.Problems) > 0 || p.Now[job] == nil || p.Now[job].Source == models.FromList {
		return ""
	}
	if _, on := p.Entry.Jobs[job]; on {
		return "The list has it on, and does not count because it was switched in the browser."
	}
	return "The list names the package, and not this job, and does not count because it was switched in the browser."
}

// OriginWords says where a job is from that is in no file: "from the browser,
// version 3, by maren".
func OriginWords(o models.Origin) string {
	where := map[models.AutomationSource]string{models.FromBrowser: "in the browser", models.FromList: "from the list"}[o.Source]
	if where == "" {
		return ""
	}
	text := fmt.Sprintf("%s, version %d", where, o.Version)
	if o.Who != "" {
		text += ", by " + o.Who
	}
	return text
}

// originsOf are where the jobs of a pipeline are from that are in no file, each
// once, in the order of its steps.
func (p PipelinePage) originsOf() []models.Origin {
	var all []models.Origin
	for _, s := range p.Pipeline.Steps {
		if o, ok := p.Origins[s.Name]; ok && !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}

// offer is something that can be picked in a list.
type offer struct {
	value, means string
	picked       bool
	single       bool // it is a branch of its own, whose meaning need not be told
}

// people are what lists of people may name besides logins.
var people = []offer{
	{value: "packit", means: "this service"},
	{value: "all_committers", means: "who may commit to the package"},
	{value: "all_admins", means: "who administers it"},
}

// choices are what a list offers to pick, and the texts that are not among it.
func (p AutomationPage) choices(in AutomationInput) (offered []offer, others []string) {
	switch in.Key {
	case "dist_git_branches":
		offered = branchChoices(p.Releases)
	case "allowed_pr_authors", "allowed_committers", "allowed_builders":
		offered = slices.Clone(people)
	}
	for _, text := range in.Texts {
		i := slices.IndexFunc(offered, func(c offer) bool { return c.value == text || c.single && c.means == text })
		if i < 0 {
			others = append(others, text)
			continue
		}
		offered[i].picked = true
		if offered[i].single { // as it was written: a branch, or the name of its release
			offered[i].value, offered[i].means = text, offered[i].value
		}
	}
	return offered, others
}

// branchChoices are the aliases, with what they mean today, and then today's
// branches.
func branchChoices(releases models.Releases) []offer {
	var aliases, branches []offer
	for _, a := range releases.Aliases() {
		var names []string
		for _, d := range a.Distros {
			names = append(names, d.Branch)
			if !slices.ContainsFunc(branches, func(c offer) bool { return c.value == d.Branch }) {
				branches = append(branches, offer{value: d.Branch, means: d.Name, single: true})
			}
		}
		if len(names) > 0 {
			aliases = append(aliases, offer{value: a.Name, means: strings.Join(names, ", ")})
		}
	}
	return append(aliases, branches...)
}

// branchesToday are what a list of branches means today.
func (p AutomationPage) branchesToday(in AutomationInput) string {
	if len(in.Texts) == 0 {
		return ""
	}
	base := p.Project.DefaultBranch
	if base == "" {
		base = models.DefaultDistGitBranch
	}
	return strings.Join(p.Releases.Branches(base, in.Texts...), ", ")
}
