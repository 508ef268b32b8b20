package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
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

// builder puts the steps of one pipeline together.
type builder struct {
	*planner
	pipeline *Pipeline
	groups   []*RunGroup
	needs    []PlannedNeed
	builds   []builtStep
	sources  map[string]int  // position of the SRPM step, by the recipe's hash
	steps    map[string]bool // names that are used
}

type builtStep struct {
	position int
	view     *JobView
	chroots  []string
}

func (b *builder) add(c candidate) {
	d := &b.decisions[c.decision]
	switch {
	case b.targets >= maxPlanned:
		d.Reason = fmt.Sprintf("The jobs before it have %d targets already; more are not planned for one event.", b.targets)
	case c.view.Type == JobCoprBuild:
		b.addBuild(c.view, d)
	case downstreamTypes[c.view.Type] != "":
		b.addDownstream(c.view, d)
	default:
		b.addTests(c.view, d)
	}
	d.Planned = len(d.Targets) > 0
	if d.Planned {
		d.Reason = ""
	}
}

func (b *builder) addBuild(view *JobView, d *Decision) {
	chroots := b.chroots(view)
	if len(chroots) == 0 {
		d.Reason = fmt.Sprintf("Its targets (%s) stand for no chroot.", strings.Join(view.Targets.Names(), ", "))
		return
	}
	var targets []*Target
	for _, chroot := range chroots {
		if other := b.builtBy(view, chroot); other != nil {
			d.Dropped = append(d.Dropped, Dropped{Target: chroot, Reason: fmt.Sprintf("Job %d already builds it.", other.Index)})
			continue
		}
		targets = append(targets, &Target{Name: chroot})
	}
	targets = distinct(targets)
	if len(targets) == 0 {
		d.Reason = "Every target of it is built by another job with the same identifier."
		return
	}
	source := b.source(view)
	position := b.addStep(CoprBuildStep, view, targets)
	b.needs = append(b.needs, PlannedNeed{Step: position, Needs: source})
	b.builds = append(b.builds, builtStep{position, view, names(targets)})
	d.Targets = names(targets)
}

// chroots are those of the job; a custom Copr project without targets means
// what that project has enabled.
func (b *builder) chroots(view *JobView) []string {
	if len(view.Targets) == 0 && view.Owner != nil && view.Project != nil {
		if own, ok := b.facts.CoprChroots[*view.Owner+"/"+*view.Project]; ok {
			return own
		}
	}
	return view.Chroots(b.facts.Releases)
}

// builtBy finds the view that builds the chroot for the same place already.
func (b *builder) builtBy(view *JobView, chroot string) *JobView {
	for _, built := range b.builds {
		same := built.view.ID() == view.ID() && textOr(built.view.Owner, "") == textOr(view.Owner, "") &&
			textOr(built.view.Project, "") == textOr(view.Project, "")
		if same && slices.Contains(built.chroots, chroot) {
			return built.view
		}
	}
	return nil
}

// source returns the position of the step that makes the view's source RPM.
// Views with the same recipe share it.
func (b *builder) source(view *JobView) int {
	hash := view.SRPMHash()
	position, ok := b.sources[hash]
	if !ok {
		position = b.addStep(SRPMStep, view, []*Target{{Name: "source"}})
		b.sources[hash] = position
	}
	return position
}

func (b *builder) addTests(view *JobView, d *Decision) {
	switch {
	case view.SkipBuild:
		var targets []*Target
		for _, t := range view.TestTargets(b.facts.Releases, nil) {
			targets = append(targets, &Target{Name: t.Name})
		}
		targets = distinct(targets)
		if len(targets) == 0 {
			d.Reason = fmt.Sprintf("Its targets (%s) stand for no distribution.", strings.Join(view.Targets.Names(), ", "))
			return
		}
		b.addStep(TestsStep, view, targets)
		d.Targets = names(targets)
	case len(b.builds) == 0:
		d.Reason = b.noBuild(view)
		for _, t := range view.TestTargets(b.facts.Releases, nil) {
			if name := CheckName(view, TestsStep, b.event.Commit, t.Name); !slices.Contains(d.Checks, name) && len(d.Checks) < maxRefusedChecks {
				d.Checks = append(d.Checks, name)
			}
		}
	default:
		b.addTestsOfBuilds(view, d)
	}
}

// maxRefusedChecks is how many checks say at most why a job was not planned.
const maxRefusedChecks = 50

// noBuild says why tests have no build to follow.
func (b *builder) noBuild(view *JobView) string {
	for _, d := range b.decisions {
		if d.Job == JobCoprBuild && d.Trigger == b.trigger && d.Package == view.Package && d.Reason != "" {
			return fmt.Sprintf("Its build, job %d, does not run. %s", d.JobIndex, d.Reason)
		}
	}
	return "Test job requires build job definition in the configuration."
}

// addTestsOfBuilds plans tests that follow builds, target by target. A build job
// with the same identifier is preferred to the first one.
func (b *builder) addTestsOfBuilds(view *JobView, d *Decision) {
	builds := slices.Clone(b.builds)
	slices.SortStableFunc(builds, func(x, y builtStep) int {
		return boolRank(x.view.ID() == view.ID()) - boolRank(y.view.ID() == view.ID())
	})
	var own []string // nil: those of the build
	if len(view.Targets) == 0 {
		own = builds[0].chroots
	}
	byBuild := map[int][]*Target{}
	tested := map[string]string{} // chroot whose packages are tested, by target
	for _, t := range view.TestTargets(b.facts.Releases, own) {
		at := slices.IndexFunc(builds, func(s builtStep) bool { return slices.Contains(s.chroots, t.Chroot) })
		if at < 0 {
			d.Dropped = append(d.Dropped, Dropped{
				Target: t.Name, Reason: fmt.Sprintf("No build defined for the target '%s'.", t.Chroot),
				Check: CheckName(view, TestsStep, b.event.Commit, t.Name),
			})
			continue
		}
		if other, twice := tested[t.Name]; twice {
			d.Dropped = append(d.Dropped, Dropped{Target: t.Name, Reason: fmt.Sprintf("It is tested with the packages of %s; those of %s would be tested on the same.", other, t.Chroot)})
			continue
		}
		tested[t.Name] = t.Chroot
		target := &Target{Name: t.Name}
		if t.Chroot != t.Name {
			target.Follows = t.Chroot
		}
		byBuild[builds[at].position] = append(byBuild[builds[at].position], target)
	}
	for _, build := range builds {
		targets := byBuild[build.position]
		if len(targets) == 0 {
			continue
		}
		position := b.addStep(TestsStep, view, targets)
		b.needs = append(b.needs, PlannedNeed{Step: position, Needs: build.position, PerTarget: true})
		d.Targets = append(d.Targets, names(targets)...)
	}
	if len(d.Targets) == 0 {
		d.Reason = "None of its targets is built."
	}
}

func boolRank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// together reports whether the targets of a step of that kind go to the service
// in one request. Tests, branches and builds in Koji are asked for one by one.
func together(kind StepKind) bool { return kind == SRPMStep || kind == CoprBuildStep }

// join puts the run of a step's target into the submission that it is part of,
// which may be a new one. groups are those of the step so far.
func join(groups []*RunGroup, p *Pipeline, step *Step, target *Target, now time.Time) []*RunGroup {
	if len(groups) == 0 || !together(step.Kind) {
		groups = append(groups, &RunGroup{
			Kind: step.Kind, Phase: PhasePlanned, Key: submissionKey(p, step, target, now), CreatedAt: now, UpdatedAt: now,
		})
	}
	group := groups[len(groups)-1]
	group.Members = append(group.Members, target.Run)
	return groups
}

func (b *builder) addStep(kind StepKind, view *JobView, targets []*Target) int {
	var others []OtherBuild
	if asked := b.facts.Asked; asked != nil && kind == TestsStep {
		others = asked.Others
		if env := asked.env(); len(env) > 0 {
			with := *view
			with.Env = overlay(view.Env, env)
			view = &with
		}
	}
	position := len(b.pipeline.Steps)
	step := &Step{
		Position: position, Kind: kind, Name: b.stepName(kind, view), State: Waiting,
		JobIndex: view.Index, Config: snapshot(view), Targets: targets, Others: others,
	}
	if kind == SRPMStep {
		step.JobIndex = -1
	} else {
		step.Identifier = view.ID()
		step.Mirrors = kind == TestsStep && !view.SkipBuild && view.SyncTestJobStatusesWithBuilds
		step.Notices = noticesOf(view)
	}
	b.targets += len(targets)
	b.pipeline.Steps = append(b.pipeline.Steps, step)
	var groups []*RunGroup
	for i, target := range targets {
		target.Position = i
		target.Check = CheckName(view, kind, b.event.Commit, target.Name)
		target.Run = &Run{Kind: kind, Target: target.Name, State: Waiting, CreatedAt: b.facts.Now}
		groups = join(groups, b.pipeline, step, target, b.facts.Now)
	}
	b.groups = append(b.groups, groups...)
	return position
}

var notInStepName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// stepName is unique in the pipeline and part of addresses.
func (b *builder) stepName(kind StepKind, view *JobView) string {
	base := string(kind)
	if id := view.ID(); kind != SRPMStep && id != "" && id != view.Package {
		id = notInStepName.ReplaceAllString(id, "-")
		base += ":" + id[:min(len(id), 100)]
	}
	name := base
	for n := 2; b.steps[name]; n++ {
		name = fmt.Sprintf("%s~%d", base, n)
	}
	b.steps[name] = true
	return name
}

// submissionKey identifies a submission for ever, among those of other
// deployments too: what it is made of never comes together twice. It consists of
// letters and digits, so that every service can carry it.
func submissionKey(p *Pipeline, step *Step, target *Target, now time.Time) string {
	parts := []string{fmt.Sprint(p.EventID, p.Attempt, p.SHA, now.UnixNano()), p.Package, step.Name}
	if !together(step.Kind) {
		parts = append(parts, target.Name)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "mr" + hex.EncodeToString(sum[:16])
}

// hasTests reports whether builds have been planned for something.
func (b *builder) hasTests() bool {
	return slices.ContainsFunc(b.pipeline.Steps, func(s *Step) bool { return s.Kind == TestsStep })
}

func (b *builder) countRuns() {
	var states []State
	for _, s := range b.pipeline.Steps {
		for _, t := range s.Targets {
			states = append(states, t.Run.State)
		}
	}
	b.pipeline.count(states)
}

func names(targets []*Target) []string {
	list := make([]string, len(targets))
	for i, t := range targets {
		list[i] = t.Name
	}
	return list
}

// distinct drops targets whose name came before: two chroots may be tested on
// the same distribution, and its name is the target's.
func distinct(targets []*Target) []*Target {
	var kept []*Target
	seen := make(map[string]bool, len(targets))
	for _, t := range targets {
		if !seen[t.Name] {
			seen[t.Name] = true
			kept = append(kept, t)
		}
	}
	return kept
}
