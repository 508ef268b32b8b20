package models

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// MaxAttempts is how many attempts a pipeline may have.
const MaxAttempts = 20

// How often things may be done within SteerWindow.
const (
	SteerWindow = 10 * time.Minute
	UserActions = 60  // by one person, of all that the audit log notes
	ProjectRuns = 120 // reruns of the pipelines of one project, whoever asks
)

// Until says when somebody may act again whose n-th last action was at; the zero
// time if they may now.
func Until(at, now time.Time) time.Time {
	if until := at.Add(SteerWindow); until.After(now) {
		return until
	}
	return time.Time{}
}

// TooManyActions is the limit for one person.
func TooManyActions(until time.Time) error {
	return tooMany(fmt.Sprintf("A person does at most %d things", UserActions), until)
}

// TooManyReruns is the limit for one project.
func TooManyReruns(until time.Time) error {
	return tooMany(fmt.Sprintf("The pipelines of a project are rerun at most %d times", ProjectRuns), until)
}

func tooMany(limit string, until time.Time) error {
	return &LimitError{
		Reason: fmt.Sprintf("%s within %.0f minutes. The next is possible at %s UTC.", limit, SteerWindow.Minutes(), until.UTC().Format("15:04:05")),
		Until:  until,
	}
}

// ErrNothing says that nothing would run again, or nothing is left to stop.
var ErrNothing = errors.New("there is nothing to do")

// NothingError is ErrNothing with the reason, a whole sentence for people.
type NothingError struct{ Reason string }

func (e *NothingError) Error() string { return e.Reason }

// Is makes errors.Is(err, ErrNothing) true.
func (e *NothingError) Is(target error) bool { return target == ErrNothing }

// LimitError says that somebody asked for more than there may be, in words for
// people.
type LimitError struct {
	Reason string
	Until  time.Time // when there may be more; zero: never
}

func (e *LimitError) Error() string { return e.Reason }

// ConflictError says that somebody else was faster: Pipeline is the newest
// attempt now.
type ConflictError struct {
	Pipeline int64
	Attempt  int
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("somebody was faster: attempt %d is pipeline %d", e.Attempt, e.Pipeline)
}

// Scope says what of a pipeline is asked for.
type Scope string

const (
	ScopeAll    Scope = "all"
	ScopeFailed Scope = "failed" // what failed, could not be found out or was canceled, and what was skipped because of it
	ScopeStep   Scope = "step"   // all targets of Step
	ScopeTarget Scope = "target" // Target of Step
	ScopeFrom   Scope = "from"   // what of Step has not passed, and all steps that follow it
	ScopeChosen Scope = "chosen" // Picks
)

// Pick names a step, or one target of it.
type Pick struct {
	Step   string `json:"step"`
	Target string `json:"target,omitempty"` // empty: all
}

// RerunRequest is what somebody wants to have run again.
type RerunRequest struct {
	Scope   Scope             `json:"scope"`
	Step    string            `json:"step,omitempty"`
	Target  string            `json:"target,omitempty"`
	Picks   []Pick            `json:"picks,omitempty"`
	Restart bool              `json:"restart,omitempty"` // what still runs is stopped and begun anew, instead of waited for
	Env     map[string]string `json:"env,omitempty"`     // for tests, over what their jobs say; an empty value takes one away
	Others  []OtherBuild      `json:"-"`                 // for tests, instead of those that they installed before
	Current bool              `json:"current,omitempty"` // with the package config as it is now, instead of as it was at the event
	Seen    string            `json:"seen,omitempty"`    // commit whose config the asker has seen; empty: they take what there is
}

// RerunFacts is what a rerun must know beside the pipeline.
type RerunFacts struct {
	// Gone says of runs that passed, by id, why what needs them cannot use their
	// result any more. The words follow "It": "was deleted".
	Gone map[int64]string
	// Fixed says of runs, by id, why they cannot be repeated: a whole sentence.
	Fixed map[int64]string
	// Attempts are the numbers of the attempts that runs were made for, by the id
	// of their pipeline.
	Attempts map[int64]int
	// Replan is what the package config as it is now makes of the event; needed
	// if the request is for that.
	Replan *Replan
}

// RerunTarget is a target as a rerun sees it.
type RerunTarget struct {
	Step    *Step
	Target  *Target
	Why     string // a whole sentence for people; empty for what is reused because nothing asks for more
	Attempt int    // which made its run
}

// Rerun is what would happen if a request was granted. Each target of the next
// attempt is in exactly one of the first four lists, which are in planned order.
type Rerun struct {
	Earlier *Pipeline // its newest attempt so far
	Request RerunRequest

	Run     []RerunTarget // gets a new run
	Awaited []RerunTarget // asked for, but its run is still on its way and will do
	Fixed   []RerunTarget // asked for, but it cannot be repeated
	Reused  []RerunTarget // not asked for: its run is shared

	Stopped []RerunTarget // those whose earlier run is to be stopped, because another takes its place or nothing does
	Removed []RerunTarget // what the config does not have any more; the next attempt is without
	Replan  *Replan       // the plan of the config as it is now; nil: the plan stays
}

// PlanRerun works out what a request means for p, the newest attempt of its
// plan, loaded with its steps. Nothing is ever widened: if nothing would run
// the error matches ErrNothing.
func PlanRerun(p *Pipeline, request RerunRequest, facts RerunFacts) (*Rerun, error) {
	if p.Attempt >= MaxAttempts {
		return nil, &LimitError{Reason: fmt.Sprintf("A pipeline has %d attempts at most, and this one has them. A new push starts a new one.", MaxAttempts)}
	}
	c := &closure{Pipeline: p, request: request, facts: facts, wanted: map[*Target]string{}, fresh: map[*Target]bool{}}
	if request.Current {
		if facts.Replan == nil {
			return nil, fmt.Errorf("rerunning pipeline %d with the config as it is now: nobody has read it", p.ID)
		}
		if request.Seen != "" && request.Seen != facts.Replan.SHA {
			return nil, &NothingError{"The config has changed since you saw what would be different. Look at it again."}
		}
		c.Pipeline, c.forced = facts.Replan.shape, facts.Replan.forced
	}
	if err := c.choose(); err != nil {
		return nil, err
	}
	for t, why := range c.forced {
		c.wanted[t], c.fresh[t] = why, true
	}
	c.follow()
	c.need()
	return c.sort(p)
}

// closure finds out what belongs to a rerun.
type closure struct {
	*Pipeline
	request RerunRequest
	facts   RerunFacts
	wanted  map[*Target]string // why, in words
	fresh   map[*Target]bool   // of wanted: those that get new runs
	forced  map[*Target]string // those that cannot do without, and why
}

// choose puts into the set what is asked for itself.
func (c *closure) choose() error {
	r := c.request
	switch r.Scope {
	case ScopeAll:
		for _, step := range c.Steps {
			c.want(step, "", "It was asked for.")
		}
		return nil
	case ScopeFailed:
		for _, pick := range c.Failed() {
			step := c.stepNamed(pick.Step)
			c.wanted[step.Target(pick.Target)] = failedWords(step.Target(pick.Target))
		}
		return nil
	case ScopeStep:
		return c.pick(Pick{Step: r.Step})
	case ScopeTarget:
		if r.Target == "" {
			return &InputError{Field: "target", Message: "say which target"}
		}
		return c.pick(Pick{Step: r.Step, Target: r.Target})
	case ScopeFrom:
		return c.from(r.Step)
	case ScopeChosen:
		for _, p := range r.Picks {
			if err := c.pick(p); err != nil {
				return err
			}
		}
		return nil
	}
	return &InputError{Field: "scope", Message: fmt.Sprintf("there is no scope %q", r.Scope)}
}

func (c *closure) want(step *Step, target, why string) {
	for _, t := range step.Targets {
		if target == "" || t.Name == target {
			c.wanted[t] = why
		}
	}
}

func (c *closure) pick(p Pick) error {
	step := c.stepNamed(p.Step)
	if step == nil {
		return &InputError{Field: "step", Message: fmt.Sprintf("this pipeline has no step %q", p.Step)}
	}
	if p.Target != "" && step.Target(p.Target) == nil {
		return &InputError{Field: "target", Message: fmt.Sprintf("step %s has no target %q", step.Name, p.Target)}
	}
	c.want(step, p.Target, "It was asked for.")
	return nil
}

// from wants what of a step has not passed, and all of the steps that follow it.
func (c *closure) from(name string) error {
	first := c.stepNamed(name)
	if first == nil {
		return &InputError{Field: "step", Message: fmt.Sprintf("this pipeline has no step %q", name)}
	}
	for _, t := range first.Targets {
		if t.Run.State != Passed {
			c.wanted[t] = "It has not passed."
		}
	}
	later := map[int64]bool{first.ID: true}
	for _, step := range c.Steps {
		if slices.ContainsFunc(step.Needs, func(n *Need) bool { return later[n.NeedsID] }) {
			later[step.ID] = true
			c.want(step, "", fmt.Sprintf("It comes after %s.", first.Name))
		}
	}
	return nil
}

func (p *Pipeline) stepNamed(name string) *Step {
	for _, s := range p.Steps {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Failed lists the targets that failed, could not be found out or were canceled,
// and those that were skipped because of them, in planned order.
func (p *Pipeline) Failed() []Pick {
	var picks []Pick
	failed := map[*Target]bool{}
	for _, step := range p.Steps {
		for _, t := range step.Targets {
			because := func() bool {
				return slices.ContainsFunc(p.neededBy(step, t), func(n *Target) bool { return failed[n] })
			}
			switch t.Run.State {
			case Failed, Error, Canceled:
			case Skipped:
				if !because() {
					continue
				}
			default:
				continue
			}
			failed[t] = true
			picks = append(picks, Pick{step.Name, t.Name})
		}
	}
	return picks
}

func failedWords(t *Target) string {
	words := endWords[t.Run.State]
	if words == "" {
		return "It has not passed."
	}
	return "It " + words + "."
}

// neededBy are the targets that a target of step needs.
func (p *Pipeline) neededBy(step *Step, target *Target) []*Target {
	var needed []*Target
	for _, need := range step.Needs {
		from := p.Step(need.NeedsID)
		if from == nil {
			continue
		}
		if !need.PerTarget {
			needed = append(needed, from.Targets...)
		} else if t := from.Target(target.FollowedTarget()); t != nil {
			needed = append(needed, t)
		}
	}
	return needed
}

// follow adds what follows from what is wanted, and decides what of all that
// gets new runs: what is still on its way will do, unless what it came from is
// made anew. Needs come before what needs them, so one pass is enough.
func (c *closure) follow() {
	for _, step := range c.Steps {
		for _, t := range step.Targets {
			for _, n := range c.neededBy(step, t) {
				if _, in := c.wanted[n]; !in {
					continue
				}
				if _, in := c.wanted[t]; !in {
					c.wanted[t] = fmt.Sprintf("It needs %s of %s.", c.stepOf(n).InWords(), n.Name)
				}
				c.fresh[t] = c.fresh[t] || c.fresh[n]
			}
			if _, in := c.wanted[t]; in {
				c.fresh[t] = c.facts.Fixed[t.RunID] == "" && (c.fresh[t] || c.request.Restart || t.Run.State.Finished())
			}
		}
	}
}

// need adds what those that run cannot do without and do not have.
func (c *closure) need() {
	for _, step := range slices.Backward(c.Steps) {
		for _, t := range step.Targets {
			if !c.fresh[t] {
				continue
			}
			for _, n := range c.neededBy(step, t) {
				_, in := c.wanted[n]
				gone := c.facts.Gone[n.RunID]
				if c.fresh[n] || c.facts.Fixed[n.RunID] != "" || (!n.Run.State.Bad() && gone == "") {
					continue
				}
				c.fresh[n] = true
				if in {
					continue
				}
				c.wanted[n] = fmt.Sprintf("%s of %s needs it, and it %s.", step.Name, t.Name, firstOf(endWords[n.Run.State], gone))
			}
		}
	}
}

func (c *closure) stepOf(target *Target) *Step { return c.Step(target.StepID) }

// sort puts each target where it belongs. p is the newest attempt.
func (c *closure) sort(p *Pipeline) (*Rerun, error) {
	r := &Rerun{Earlier: p, Request: c.request}
	c.drop(r)
	for _, step := range c.Steps {
		for _, t := range step.Targets {
			why, in := c.wanted[t]
			one := RerunTarget{step, t, why, c.facts.Attempts[t.Run.PipelineID]}
			switch {
			case !in:
				r.Reused = append(r.Reused, one)
			case c.fresh[t]:
				r.Run = append(r.Run, one)
				if c.request.Restart && t.born() && !t.Run.State.Finished() {
					r.Stopped = append(r.Stopped, one)
				}
			case c.facts.Fixed[t.RunID] != "":
				one.Why = c.facts.Fixed[t.RunID]
				r.Fixed = append(r.Fixed, one)
			default:
				one.Why = "It is still on its way."
				r.Awaited = append(r.Awaited, one)
			}
		}
	}
	switch {
	case len(r.Run) > 0, len(r.Removed) > 0 && len(r.Reused)+len(r.Awaited)+len(r.Fixed) > 0:
		return r, nil
	case len(r.Fixed) > 0:
		return nil, &NothingError{"Nothing of it can be repeated. " + r.Fixed[0].Why}
	case len(r.Awaited) > 0:
		return nil, &NothingError{"All of it is still on its way."}
	case c.request.Scope == ScopeFailed:
		return nil, &NothingError{"Nothing has failed."}
	}
	return nil, &NothingError{"Nothing of it is to be run again."}
}

// drop notes what the config does not have any more.
func (c *closure) drop(r *Rerun) {
	if !c.request.Current {
		return
	}
	r.Replan = c.facts.Replan
	for _, t := range c.facts.Replan.removed {
		t.Attempt = c.facts.Attempts[t.Target.Run.PipelineID]
		r.Removed = append(r.Removed, t)
		if c.request.Restart && !t.Target.Run.State.Finished() {
			r.Stopped = append(r.Stopped, t)
		}
	}
}

// Steps are those that get new runs.
func (r *Rerun) Steps() []*Step {
	var steps []*Step
	for _, t := range r.Run {
		if !slices.Contains(steps, t.Step) {
			steps = append(steps, t.Step)
		}
	}
	return steps
}

// Plan makes the next attempt: what is to run gets new runs, submitted together
// as they were before, and the rest shares its runs. actor asked for it.
func (r *Rerun) Plan(now time.Time, actor string) (Planned, error) {
	e := r.Earlier
	shape := e
	if r.Replan != nil {
		shape = r.Replan.shape
	}
	p := &Pipeline{
		EventID: e.EventID, ProjectID: e.ProjectID, CommitID: e.CommitID, Package: e.Package, Attempt: e.Attempt + 1,
		FirstAttemptID: e.FirstAttemptID, Kind: e.Kind, Ref: e.Ref, SHA: e.SHA, Title: e.Title, Actor: actor, CreatedAt: now,
	}
	if p.FirstAttemptID == 0 {
		p.FirstAttemptID = e.ID
	}
	fresh := make(map[*Target]bool, len(r.Run))
	for _, t := range r.Run {
		fresh[t.Target] = true
	}
	planned := Planned{Pipeline: p}
	positions := make(map[int64]int, len(shape.Steps))
	var states []State
	for i, old := range shape.Steps {
		positions[old.ID] = i
		step, groups, err := r.planStep(p, old, fresh, now)
		if err != nil {
			return Planned{}, err
		}
		step.Position = i
		p.Steps, planned.Groups = append(p.Steps, step), append(planned.Groups, groups...)
		for _, t := range step.Targets {
			states = append(states, t.Run.State)
		}
	}
	for i, old := range shape.Steps {
		for _, n := range old.Needs {
			planned.Needs = append(planned.Needs, PlannedNeed{Step: i, Needs: positions[n.NeedsID], PerTarget: n.PerTarget})
		}
	}
	p.count(states)
	return planned, nil
}

func (p *Pipeline) count(states []State) {
	p.State, p.Runs = Combine(states), len(states)
	for _, s := range states {
		if s.Finished() {
			p.RunsDone++
		}
		if s == Failed || s == Error {
			p.RunsBad++
		}
	}
}

// planStep copies a step for the next attempt.
func (r *Rerun) planStep(p *Pipeline, old *Step, fresh map[*Target]bool, now time.Time) (*Step, []*RunGroup, error) {
	step := &Step{
		Kind: old.Kind, Name: old.Name, Identifier: old.Identifier, JobIndex: old.JobIndex, Config: old.Config,
		Mirrors: old.Mirrors, Notices: old.Notices, Others: old.Others,
	}
	if len(r.Request.Others) > 0 && old.Kind == TestsStep {
		step.Others = r.Request.Others
	}
	if len(r.Request.Env) > 0 && old.Kind == TestsStep {
		view, err := old.View()
		if err != nil {
			return nil, nil, err
		}
		view.Env = overlay(view.Env, r.Request.Env)
		step.Config = snapshot(view)
	}
	var groups []*RunGroup
	var states []State
	for _, t := range old.Targets {
		target := &Target{Position: t.Position, Name: t.Name, Follows: t.Follows, Check: t.Check}
		if fresh[t] {
			target.Run = &Run{Kind: old.Kind, Target: t.Name, State: Waiting, CreatedAt: now}
			groups = join(groups, p, step, target, now)
		} else {
			target.Run, target.RunID, target.Reused = t.Run, t.RunID, true
		}
		step.Targets = append(step.Targets, target)
		states = append(states, target.Run.State)
	}
	step.State = Combine(states)
	return step, groups, nil
}

// overlay is env with the values of over in it. Without a value a variable is
// taken away, also where the service would set it.
func overlay(env map[string]any, over map[string]string) map[string]any {
	env = maps.Clone(env)
	if env == nil {
		env = map[string]any{}
	}
	for name, value := range over {
		if value == "" {
			env[name] = nil
		} else {
			env[name] = value
		}
	}
	return env
}
