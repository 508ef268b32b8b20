package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

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
