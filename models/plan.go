package models

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxPlanned is how many targets one event may be planned to have. A config can
// ask for millions with a few lines.
const maxPlanned = 5000

// Facts is what planning must know beside the event and the config.
type Facts struct {
	Now           time.Time
	Deployment    string              // ours, for packit_instances: prod, stg or dev
	DefaultBranch string              // of the project
	Releases      Releases            // what aliases stand for
	Labels        []string            // of the pull request, as they are now
	CoprChroots   map[string][]string // by "owner/project": what custom Copr projects have enabled
	Asked         *Asked              // nil: nobody asked, it happened by itself
	Kinds         map[StepKind]bool   // those beyond Copr builds and tests that this service carries out
	Downstream    Downstream
}

// Asked is what the commands in a comment on a pull request or a commit ask to
// plan. Jobs with manual_trigger then start too.
type Asked struct {
	Commands []*Command
	Have     map[JobRef]int64 // jobs that are part of a pipeline already, which is run again instead
	Others   []OtherBuild     // that the tests install too
}

// JobRef tells the jobs of a config apart: a job's position and a package.
type JobRef struct {
	Index   int
	Package string
}

// Wants reports whether a view is what a command is about, and not something
// that comes along with it.
func (a *Asked) Wants(view *JobView) bool {
	if a.Have[JobRef{view.Index, view.Package}] != 0 {
		return false
	}
	return slices.ContainsFunc(a.Commands, func(c *Command) bool {
		switch {
		case !c.About(view.Package):
			return false
		case c.Name == BuildCommand:
			return view.Type == JobCoprBuild
		case c.Name == ProposeCommand:
			return view.Type == JobProposeDownstream
		case c.Name == PullCommand:
			return view.Type == JobPullFromUpstream
		case c.Name == KojiBuildCommand:
			return view.Type == JobKojiBuild
		case c.Name == UpdateCommand:
			return view.Type == JobBodhiUpdate
		}
		return c.Name == TestCommandName && view.Type == JobTests && c.MatchesTest(view)
	})
}

// has reports whether a command of that name is about a package.
func (a *Asked) has(name CommandName, pkg string) bool {
	return slices.ContainsFunc(a.Commands, func(c *Command) bool { return c.Name == name && c.About(pkg) })
}

// env are the variables that the commands set for tests.
func (a *Asked) env() map[string]string {
	env := map[string]string{}
	for _, c := range a.Commands {
		maps.Copy(env, c.Env)
	}
	return env
}

// obstacle says why a view is not planned by a command, or nothing. Builds come
// along with the tests that need them, and tests with the builds that they
// follow. tested says that tests of the package that need builds are wanted.
func (a *Asked) obstacle(view *JobView, tested bool) string {
	if a.Wants(view) {
		return ""
	}
	have := a.Have[JobRef{view.Index, view.Package}]
	about := func(c *Command) bool { return c.About(view.Package) }
	switch {
	case !slices.ContainsFunc(a.Commands, about):
		return fmt.Sprintf("Only the package %s was asked for.", a.Commands[0].Package)
	case view.Type != JobCoprBuild && view.Type != JobTests:
		return "Another command asks for it."
	case view.Type == JobCoprBuild && tested:
		return ""
	case have != 0:
		return fmt.Sprintf("It is part of pipeline %d, and runs again there.", have)
	case !a.has(BuildCommand, view.Package):
		return "Other tests were asked for."
	case view.ManualTrigger:
		return "It has manual_trigger, and was not asked for."
	}
	return ""
}

// Planned is a pipeline as it will be created, before rows have ids.
type Planned struct {
	Pipeline *Pipeline
	Groups   []*RunGroup // their Members are the runs of the pipeline's targets
	Needs    []PlannedNeed
}

// PlannedNeed is an edge between steps, named by their positions.
type PlannedNeed struct {
	Step, Needs int
	PerTarget   bool
}

// TriggerOf is the config's word for what an event is, and false if no job can
// wait for it.
func TriggerOf(kind EventKind) (Trigger, bool) {
	switch kind {
	case PullRequestEvent:
		return TriggerPullRequest, true
	case PushEvent:
		return TriggerCommit, true
	case ReleaseEvent, UpstreamVersionEvent:
		return TriggerRelease, true
	case KojiBuildEvent, KojiTagEvent:
		return TriggerKojiBuild, true
	}
	return "", false
}

// TriggerAt is the config's word for what happens at a reference.
func TriggerAt(kind RefKind) Trigger {
	switch kind {
	case PullRequestRef:
		return TriggerPullRequest
	case BranchRef:
		return TriggerCommit
	case ReleaseRef, UpstreamRef:
		return TriggerRelease
	}
	return ""
}

// Plan decides for every job of config what event means for it, and plans one
// pipeline for each package that has something to do. The event's Commit must be
// loaded. Plan looks nothing up and changes nothing: what it returns depends on
// its arguments alone.
func Plan(event *Event, config *PackageConfig, facts Facts) ([]Planned, []Decision) {
	p := &planner{event: event, facts: facts, decisions: make([]Decision, len(config.Jobs)), tested: map[string]bool{}}
	p.trigger, _ = TriggerOf(event.Kind)
	if facts.Asked != nil {
		p.trigger = TriggerAt(event.Commit.Kind)
	}
	for i := range config.Jobs {
		if view := &config.Jobs[i]; facts.Asked != nil && view.Type == JobTests && view.Trigger == p.trigger && !view.SkipBuild && facts.Asked.Wants(view) {
			p.tested[view.Package] = true
		}
	}
	for i := range config.Jobs {
		p.decide(i, &config.Jobs[i])
	}
	var planned []Planned
	for _, name := range p.packages() {
		if pipeline, ok := p.plan(name); ok {
			planned = append(planned, pipeline)
		}
	}
	return planned, p.decisions
}

type planner struct {
	event     *Event
	facts     Facts
	trigger   Trigger
	decisions []Decision // one for each view, in the order of the config
	wanted    []candidate
	targets   int             // planned so far, in all pipelines
	tested    map[string]bool // packages of which tests that need builds were asked for
}

// candidate is a view that passed all conditions and asks for a step.
type candidate struct {
	decision int
	view     *JobView
}

// decide applies the conditions that a view meets or not by itself.
func (p *planner) decide(i int, view *JobView) {
	p.decisions[i] = Decision{
		JobIndex: view.Index, Job: view.Type, Trigger: view.Trigger, Package: view.Package, Identifier: view.ID(), Origin: view.Origin,
	}
	reason := p.obstacle(view)
	if reason == "" {
		p.wanted = append(p.wanted, candidate{i, view})
	}
	p.decisions[i].Reason = reason
	if reason != "" && view.Type == JobUpstreamKojiBuild && p.generalObstacle(view) == "" && p.referenceObstacle(view) == "" {
		for _, target := range view.KojiTargets(p.facts.Releases) { // somebody may wait for its checks
			if len(p.decisions[i].Checks) < maxRefusedChecks {
				p.decisions[i].Checks = append(p.decisions[i].Checks, CheckName(view, KojiScratchStep, p.event.Commit, target))
			}
		}
	}
}

// obstacle says why a view does not ask for a step, or nothing if it does.
func (p *planner) obstacle(view *JobView) string {
	if reason := p.generalObstacle(view); reason != "" {
		return reason
	}
	if downstreamTypes[view.Type] != "" {
		if reason := p.downstreamObstacle(view); reason != "" || view.Type != JobUpstreamKojiBuild {
			return reason
		}
	}
	return p.referenceObstacle(view)
}

// generalObstacle is obstacle as far as it is the same for all types.
func (p *planner) generalObstacle(view *JobView) string {
	kind, downstream := downstreamTypes[view.Type]
	upstream := view.Type == JobCoprBuild || view.Type == JobTests
	switch {
	case !p.starts(view):
		return fmt.Sprintf("It waits for %s; this is %s.", triggerWords[view.Trigger], triggerWords[p.trigger])
	case !view.RunsOn(p.facts.Deployment):
		return fmt.Sprintf("It is meant for %s (packit_instances); this is %s.", orNothing(view.PackitInstances), p.facts.Deployment)
	case !upstream && !view.Type.CanRun(view.Trigger):
		return fmt.Sprintf("A %s job does nothing for %s.", view.Type, triggerWords[view.Trigger])
	case !upstream && !(downstream && p.facts.Kinds[kind]):
		return fmt.Sprintf("Jobs of type %s are not carried out by this service.", view.Type)
	case upstream && p.facts.Downstream.IsPackage:
		return fmt.Sprintf("Jobs of type %s belong into the package config upstream; this is dist-git.", view.Type)
	case p.facts.Asked != nil:
		return p.facts.Asked.obstacle(view, p.tested[view.Package])
	case view.ManualTrigger:
		return "It has manual_trigger, so it starts only when somebody asks for it."
	}
	return ""
}

// referenceObstacle says why the branch or labels of an upstream event are not
// what a view is for, or nothing.
func (p *planner) referenceObstacle(view *JobView) string {
	branch := p.event.Commit.TargetRef
	if p.trigger != TriggerPullRequest {
		branch = p.event.Commit.Ref
	}
	matches, err := view.BranchMatches(branch, p.facts.DefaultBranch)
	switch {
	case err != nil:
		return fmt.Sprintf("Its branch pattern cannot be used: %v.", err)
	case !matches && view.Branch != nil:
		return fmt.Sprintf("Branch %s does not match its pattern %q.", branch, *view.Branch)
	case !matches:
		return fmt.Sprintf("It is for the default branch %s; this is branch %s.", p.facts.DefaultBranch, branch)
	case p.trigger == TriggerPullRequest && !view.LabelsAllow(p.facts.Labels):
		return labelObstacle(view.Require.Label, p.facts.Labels)
	}
	return ""
}

var triggerWords = map[Trigger]string{
	TriggerRelease: "a release", TriggerPullRequest: "a pull request", TriggerCommit: "a push",
	TriggerKojiBuild: "a Koji build", TriggerIgnore: "nothing (trigger: ignore)", "": "none of these",
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "no deployment"
	}
	return strings.Join(names, ", ")
}

func labelObstacle(want LabelRequirement, have []string) string {
	for _, l := range want.Absent {
		if slices.Contains(have, l) {
			return fmt.Sprintf("The pull request has the label %q, which it must not have.", l)
		}
	}
	return fmt.Sprintf("The pull request has none of the labels that it requires: %s.", strings.Join(want.Present, ", "))
}

func (p *planner) packages() []string {
	var names []string
	for _, c := range p.wanted {
		if !slices.Contains(names, c.view.Package) {
			names = append(names, c.view.Package)
		}
	}
	return names
}

// plannedTypes are the job types that are carried out, in the order in which
// their steps are planned: builds come before their tests.
var plannedTypes = []JobType{
	JobCoprBuild, JobTests, JobUpstreamKojiBuild, JobProposeDownstream, JobPullFromUpstream, JobKojiBuild, JobBodhiUpdate,
}

// plan makes the pipeline of one package: a source RPM for each different
// recipe, the builds that use it, and the tests that follow them.
func (p *planner) plan(name string) (Planned, bool) {
	b := &builder{planner: p, sources: map[string]int{}, steps: map[string]bool{}}
	b.pipeline = &Pipeline{
		EventID: p.event.ID, ProjectID: p.event.ProjectID, CommitID: p.event.CommitID,
		Package: name, Attempt: 1, Kind: p.event.Commit.Kind, Ref: p.event.Commit.Ref, SHA: p.event.Commit.SHA,
		Title: p.event.Commit.Title, Actor: p.event.Actor, CreatedAt: p.facts.Now,
	}
	for _, kind := range plannedTypes {
		for _, c := range p.wanted {
			if c.view.Package == name && c.view.Type == kind {
				b.add(c)
			}
		}
	}
	if len(b.pipeline.Steps) == 0 {
		return Planned{}, false
	}
	if asked := p.facts.Asked; asked != nil && !p.facts.Downstream.IsPackage && !asked.has(BuildCommand, name) && !asked.has(ProposeCommand, name) && !b.hasTests() {
		p.drop(name, "No tests that were asked for need it.")
		return Planned{}, false
	}
	b.countRuns()
	return Planned{b.pipeline, b.groups, b.needs}, true
}

// drop takes back what was decided for a package.
func (p *planner) drop(name, reason string) {
	for i := range p.decisions {
		if d := &p.decisions[i]; d.Package == name && d.Planned {
			d.Planned, d.Reason, d.Condition, d.Targets = false, reason, "", nil
		}
	}
}
