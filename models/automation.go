package models

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// Automation is a job that somebody switched on for a package without a config
// file in dist-git: one version of its settings. Versions are never changed;
// the newest counts.
type Automation struct {
	bun.BaseModel `bun:"table:automations,alias:automation"`

	ID        int64 `bun:",pk,autoincrement"`
	ProjectID int64 // of the package in dist-git
	Package   string
	Job       JobType
	Version   int // from 1
	Enabled   bool
	Settings  AutomationSettings
	Source    AutomationSource
	UserID    int64 `bun:",nullzero"` // who saved it; 0: nobody who logged in
	CreatedAt time.Time

	User *User `bun:"rel:belongs-to,join:user_id=id"`
}

// VersionError says that somebody else saved a newer version meanwhile.
type VersionError struct {
	Job    JobType
	Newest int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("somebody else saved version %d meanwhile", e.Newest)
}

// AutomationSource is where an automation comes from.
type AutomationSource string

const (
	FromBrowser AutomationSource = "browser"
	FromList    AutomationSource = "list" // a list of repositories that people send pull requests to
)

// Who is who saved it; empty if nobody who logged in did.
func (a *Automation) Who() string {
	if a.User == nil {
		return ""
	}
	return a.User.Login
}

// Origin is what JobView.Origin says of jobs that come from here.
func (a *Automation) Origin() Origin { return Origin{a.Source, a.Version, a.Who()} }

// Origin says where a job is from that is in no file. The zero value is a file.
type Origin struct {
	Source  AutomationSource
	Version int
	Who     string // login of who saved it; may be empty
}

// String is the origin as it is stored with a job; ParseOrigin reads it.
func (o Origin) String() string {
	if o.Source == "" {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s %d %s", o.Source, o.Version, o.Who))
}

// ParseOrigin reads what String wrote. Anything else is the zero value.
func ParseOrigin(text string) Origin {
	words := strings.Fields(text)
	if len(words) < 2 || len(words) > 3 {
		return Origin{}
	}
	version, err := strconv.Atoi(words[1])
	if err != nil {
		return Origin{}
	}
	o := Origin{Source: AutomationSource(words[0]), Version: version}
	if len(words) == 3 {
		o.Who = words[2]
	}
	return o
}

// AutomationSettings are keys of the package config and their values: texts,
// lists of texts, whole numbers and booleans. Keys below other keys are written
// with dots. What is missing has its default.
type AutomationSettings map[string]any

// AutomationJobs are the jobs that can be switched on without a config file, in
// the order of a release's way.
var AutomationJobs = []JobType{JobPullFromUpstream, JobKojiBuild, JobBodhiUpdate}

// automationTriggers are what these jobs wait for.
var automationTriggers = map[JobType]Trigger{
	JobPullFromUpstream: TriggerRelease, JobKojiBuild: TriggerCommit, JobBodhiUpdate: TriggerKojiBuild,
}

// TriggerOfAutomation is what a job waits for that is switched on without a
// config file.
func TriggerOfAutomation(job JobType) Trigger { return automationTriggers[job] }

// FieldKind says what a field of a form takes.
type FieldKind string

const (
	TextField   FieldKind = "text"
	ListField   FieldKind = "list" // texts, in a form one a line or with blanks between them
	NumberField FieldKind = "number"
	SwitchField FieldKind = "switch"
	ChoiceField FieldKind = "choice"
)

// AutomationField is a key of the package config that can be set in the form of a
// job.
type AutomationField struct {
	Key     string
	Kind    FieldKind
	Shared  bool     // stands above the jobs in the file, where all of them see it
	Choices []string // of a ChoiceField
	Default any      // what a new form begins with; nil: empty, which leaves the format's own default
	Usual   any      // the format's own default, which need not be written
	Simple  bool     // shown without opening more
}

// automationFields are the fields of each job's form, in the order of the form.
var automationFields = map[JobType][]AutomationField{
	JobPullFromUpstream: {
		{Key: "dist_git_branches", Kind: ListField, Default: []string{"fedora-rawhide"}, Simple: true},
		{Key: "upstream_project_url", Kind: TextField, Shared: true, Simple: true},
		{Key: "upstream_tag_template", Kind: TextField, Shared: true, Usual: "{version}"},
		{Key: "upstream_tag_include", Kind: TextField},
		{Key: "upstream_tag_exclude", Kind: TextField},
		{Key: "version_update_mask", Kind: TextField},
		{Key: "version_update_specifiers", Kind: TextField},
		{Key: "copy_upstream_release_description", Kind: SwitchField, Usual: false},
		{Key: "create_sync_note", Kind: SwitchField, Default: false, Usual: true},
	},
	JobKojiBuild: {
		{Key: "dist_git_branches", Kind: ListField, Default: []string{"fedora-all"}, Simple: true},
		{Key: "allowed_pr_authors", Kind: ListField, Default: []string{"packit", "all_committers"}, Usual: []string{"packit"}, Simple: true},
		{Key: "allowed_committers", Kind: ListField, Usual: []string{}, Simple: true},
		{Key: "scratch", Kind: SwitchField, Usual: false},
		{Key: "sidetag_group", Kind: TextField},
		{Key: "dependencies", Kind: ListField, Usual: []string{}},
	},
	JobBodhiUpdate: {
		{Key: "dist_git_branches", Kind: ListField, Default: []string{"fedora-branched"}, Simple: true},
		{Key: "allowed_builders", Kind: ListField, Default: []string{"packit", "all_committers"}, Usual: []string{"packit"}, Simple: true},
		{Key: "bodhi_extra_params.autokarma", Kind: SwitchField, Usual: true},
		{Key: "bodhi_extra_params.stable_karma", Kind: NumberField},
		{Key: "bodhi_extra_params.unstable_karma", Kind: NumberField},
		{Key: "bodhi_extra_params.autotime", Kind: SwitchField, Usual: true},
		{Key: "bodhi_extra_params.stable_days", Kind: NumberField},
		{Key: "bodhi_extra_params.type", Kind: ChoiceField, Choices: []string{"", "bugfix", "security", "enhancement", "newpackage"}},
		{Key: "sidetag_group", Kind: TextField},
		{Key: "dependencies", Kind: ListField, Usual: []string{}},
	},
}

// sharedFields are those that all jobs have.
var sharedFields = []AutomationField{
	{Key: "issue_repository", Kind: TextField, Shared: true},
}

// AutomationFields are the fields of a job's form, in the order of the form.
func AutomationFields(job JobType) []AutomationField {
	return append(slices.Clone(automationFields[job]), sharedFields...)
}

// NewestAutomations keeps the newest version of each job, in the order of
// AutomationJobs.
func NewestAutomations(all []*Automation) []*Automation {
	var newest []*Automation
	for _, job := range AutomationJobs {
		var best *Automation
		for _, a := range all {
			if a.Job == job && (best == nil || a.Version > best.Version) {
				best = a
			}
		}
		if best != nil {
			newest = append(newest, best)
		}
	}
	return newest
}

// ListEntry is what a list of repositories says of one package.
type ListEntry struct {
	bun.BaseModel `bun:"table:list_entries,alias:entry"`

	Package   string `bun:",pk"`
	Line      int    // in the list
	Jobs      map[JobType]AutomationSettings
	Problems  []ConfigProblem // why it does not count; what it said before does then
	ProjectID int64           `bun:",nullzero"` // of the package; 0: it was not found yet
	UpdatedAt time.Time
}

// Automations are the jobs that the entry switches on, in the order of
// AutomationJobs.
func (e *ListEntry) Automations(p *Project) []*Automation {
	var all []*Automation
	for _, job := range AutomationJobs {
		if settings, on := e.Jobs[job]; on {
			all = append(all, &Automation{ProjectID: p.ID, Package: p.Name, Job: job, Enabled: true, Settings: settings, Source: FromList})
		}
	}
	return all
}

// ListState is how a list of repositories was read the last time.
type ListState struct {
	URL      string // of its repository
	Path     string // in it
	SHA      string // of the commit that counts; empty: none ever did
	TriedAt  time.Time
	ReadAt   time.Time       // when that commit was read
	Problem  string          // why the newest could not be read; empty: it was
	Problems []ConfigProblem // what is wrong with the file as a whole
	Pending  int             // entries whose packages are still to be looked for
}

// IsPackageName reports whether dist-git may have a package of that name.
func IsPackageName(name string) bool {
	return len(name) <= maxProjectPart && packageName.MatchString(name)
}
