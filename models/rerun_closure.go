package models

import (
	"fmt"
	"slices"
)

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
