package models

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

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
