package models

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// JobType is what a job does.
type JobType string

const (
	JobProposeDownstream  JobType = "propose_downstream"
	JobPullFromUpstream   JobType = "pull_from_upstream"
	JobSyncFromDownstream JobType = "sync_from_downstream"
	JobCoprBuild          JobType = "copr_build"
	JobUpstreamKojiBuild  JobType = "upstream_koji_build"
	JobKojiBuild          JobType = "koji_build"
	JobTests              JobType = "tests"
	JobBodhiUpdate        JobType = "bodhi_update"
	JobVMImageBuild       JobType = "vm_image_build"
	JobKojiBuildTag       JobType = "koji_build_tag"
)

// JobTypes are all job types, in the order in which they are listed to users.
var JobTypes = []JobType{
	JobProposeDownstream, JobPullFromUpstream, JobSyncFromDownstream, JobCoprBuild, JobUpstreamKojiBuild,
	JobKojiBuild, JobTests, JobBodhiUpdate, JobVMImageBuild, JobKojiBuildTag,
}

// Trigger is the sort of event a job waits for.
type Trigger string

const (
	TriggerRelease     Trigger = "release"
	TriggerPullRequest Trigger = "pull_request"
	TriggerCommit      Trigger = "commit"
	TriggerKojiBuild   Trigger = "koji_build"
	TriggerIgnore      Trigger = "ignore" // never happens
)

// Triggers are all triggers, in the order in which they are listed to users.
var Triggers = []Trigger{TriggerRelease, TriggerPullRequest, TriggerCommit, TriggerKojiBuild, TriggerIgnore}

// usefulTriggers are the triggers each job type does something for.
var usefulTriggers = map[JobType][]Trigger{
	JobProposeDownstream:  {TriggerRelease},
	JobPullFromUpstream:   {TriggerRelease},
	JobSyncFromDownstream: {TriggerCommit},
	JobCoprBuild:          {TriggerPullRequest, TriggerCommit, TriggerRelease},
	JobUpstreamKojiBuild:  {TriggerPullRequest, TriggerCommit, TriggerRelease},
	JobKojiBuild:          {TriggerCommit, TriggerKojiBuild},
	JobTests:              {TriggerPullRequest, TriggerCommit, TriggerRelease},
	JobBodhiUpdate:        {TriggerCommit, TriggerKojiBuild},
	JobVMImageBuild:       {TriggerPullRequest},
	JobKojiBuildTag:       {TriggerKojiBuild},
}

// UsefulTriggers are the triggers for which a job of this type does something.
// Any other pair is legal and never runs.
func (t JobType) UsefulTriggers() []Trigger { return slices.Clone(usefulTriggers[t]) }

// CanRun reports whether a job of this type does anything for the trigger.
func (t JobType) CanRun(trigger Trigger) bool { return slices.Contains(usefulTriggers[t], trigger) }

// JobView is a job of a config as one package sees it: the settings of the
// package with those of the job laid over them. It is all that planning and
// the work itself look at, and is kept with each step as JSON.
type JobView struct {
	// Index counts jobs after `trigger: a | b` became two; views of one job
	// share it. FileIndex is the job's place in the file, -1 for the jobs of a
	// config that lists none.
	Index     int
	FileIndex int
	Line      int // of the job in the file

	Type    JobType
	Trigger Trigger
	Package string // name within the config, not the name in dist-git
	Origin  string // where it is from if not from a file: an AutomationSource and a version

	SkipBuild     bool
	ManualTrigger bool
	Labels        []string // nil means none were given
	SidetagGroup  *string
	Dependents    []string
	Dependencies  []string

	// PackageSettings.Identifier is the effective one: in a config with several
	// packages it falls back to the package's name.
	PackageSettings
}

// ID is what tells equal jobs of one config apart, "" if nothing does.
func (v *JobView) ID() string { return textOr(v.Identifier, "") }

// Group is the name that the side tags of the job's builds go by, "" if it builds
// for everybody.
func (v *JobView) Group() string { return textOr(v.SidetagGroup, "") }

// conditionTypes are the job types that the action run-condition is asked about.
var conditionTypes = map[JobType]bool{JobPullFromUpstream: true, JobKojiBuild: true, JobBodhiUpdate: true}

// HasCondition reports whether the package decides for itself, when it comes to it,
// whether the job does anything: by its action run-condition. One without
// commands has no objection.
func (v *JobView) HasCondition() bool {
	action, ok := v.Actions["run-condition"]
	if list, isList := action.Raw.([]any); isList && len(list) == 0 {
		return false
	}
	return ok && conditionTypes[v.Type]
}

// jobKeys are a view's own fields, by key.
func (v *JobView) jobKeys() map[string]any {
	return map[string]any{
		"skip_build": &v.SkipBuild, "manual_trigger": &v.ManualTrigger, "labels": &v.Labels,
		"sidetag_group": &v.SidetagGroup, "dependents": &v.Dependents, "dependencies": &v.Dependencies,
	}
}

// Changed is the view as `millrace config check --json` shows it: what it is,
// its targets and names, and every key that differs from its default.
func (v *JobView) Changed() map[string]any {
	all := v.PackageSettings.Changed()
	all["job_index"] = v.Index
	all["type"] = v.Type
	all["trigger"] = v.Trigger
	all["package"] = v.Package
	all["identifier"] = v.Identifier
	all["targets"] = v.Targets.Names()
	all["dist_git_branches"] = v.DistGitBranches.Names()
	for key, field := range v.jobKeys() {
		if value := reflect.ValueOf(field).Elem(); !value.IsZero() {
			all[key] = value.Interface()
		}
	}
	return all
}

// MarshalJSON writes what Changed returns and where the job stands in the file.
func (v JobView) MarshalJSON() ([]byte, error) {
	all := v.Changed()
	all["file_index"] = v.FileIndex
	all["line"] = v.Line
	if v.Origin != "" {
		all["origin"] = v.Origin
	}
	return json.Marshal(all)
}

func (v *JobView) UnmarshalJSON(data []byte) error {
	fields, err := decodeObject(data)
	if err != nil {
		return err
	}
	*v = JobView{}
	if err := v.PackageSettings.UnmarshalJSON(data); err != nil {
		return err
	}
	own := v.jobKeys()
	maps.Copy(own, map[string]any{
		"job_index": &v.Index, "file_index": &v.FileIndex, "line": &v.Line,
		"type": &v.Type, "trigger": &v.Trigger, "package": &v.Package, "origin": &v.Origin,
	})
	if err := readKeys(fields, own); err != nil {
		return fmt.Errorf("reading a job: %w", err)
	}
	return nil
}
