package models

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Graph is a pipeline loaded whole, to be changed under its lock. It keeps
// account of which rows a change touched. Everything it decides it derives from
// the rows, so that Advance may run at any time and any number of times.
type Graph struct {
	*Pipeline
	Groups map[int64]*RunGroup // those made for this pipeline, by id

	runs    map[int64]bool // changed since loading
	groups  map[int64]bool
	steps   map[int64]bool
	touched bool
	ended   bool // the pipeline came to its end
}

// Visible reports whether anything that people see was changed since loading.
func (g *Graph) Visible() bool { return g.touched || len(g.runs) > 0 || len(g.steps) > 0 }

// Touch notes that fields of the pipeline itself were changed.
func (g *Graph) Touch() { g.touched = true }

// NewGraph wraps a pipeline whose Steps, Needs, Targets and Runs are loaded,
// steps in the order of their positions.
func NewGraph(p *Pipeline, groups []*RunGroup) *Graph {
	g := &Graph{
		Pipeline: p, Groups: make(map[int64]*RunGroup, len(groups)),
		runs: map[int64]bool{}, groups: map[int64]bool{}, steps: map[int64]bool{},
	}
	for _, group := range groups {
		group.Members = nil
		g.Groups[group.ID] = group
	}
	for _, step := range p.Steps {
		for _, target := range step.Targets {
			if group := g.Groups[target.Run.GroupID]; group != nil && !target.Reused {
				group.Members = append(group.Members, target.Run)
			}
		}
	}
	return g
}

// Step returns the step with that id, or nil.
func (p *Pipeline) Step(id int64) *Step {
	for _, s := range p.Steps {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// Target returns the step's target of that name, or nil.
func (s *Step) Target(name string) *Target {
	for _, t := range s.Targets {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// ChangedRuns returns the runs that were changed since loading, by id.
func (g *Graph) ChangedRuns() []*Run {
	var changed []*Run
	for _, step := range g.Steps {
		for _, target := range step.Targets {
			if g.runs[target.RunID] {
				changed = append(changed, target.Run)
			}
		}
	}
	return changed
}

// ChangedGroups returns the groups that were changed since loading.
func (g *Graph) ChangedGroups() []*RunGroup {
	var changed []*RunGroup
	for id := range g.groups {
		changed = append(changed, g.Groups[id])
	}
	slices.SortFunc(changed, func(a, b *RunGroup) int { return int(a.ID - b.ID) })
	return changed
}

// ChangedSteps returns the steps whose state was changed since loading.
func (g *Graph) ChangedSteps() []*Step {
	var changed []*Step
	for _, step := range g.Steps {
		if g.steps[step.ID] {
			changed = append(changed, step)
		}
	}
	return changed
}

// TouchRun notes that run's fields other than its state were changed.
func (g *Graph) TouchRun(run *Run) { g.runs[run.ID] = true }

// TouchGroup notes that group was changed.
func (g *Graph) TouchGroup(group *RunGroup, now time.Time) {
	group.UpdatedAt = now
	g.groups[group.ID] = true
}

// Claim gives a queued group to worker until its lease ends, under a new epoch.
func (g *Graph) Claim(group *RunGroup, worker string, until, now time.Time) {
	group.Phase, group.Worker, group.LeaseUntil = PhaseWorking, worker, until
	group.Epoch++
	g.TouchGroup(group, now)
}

// SetRun moves a run to a state, with the reason for people, and keeps its
// times. Staying where it is may change the reason. A finished run stays as it
// is: an answer that comes twice or late is no error, and changes nothing.
func (g *Graph) SetRun(run *Run, next State, reason string, now time.Time) error {
	if run.State.Finished() {
		return nil
	}
	if run.State != next && !run.State.CanFollow(next) {
		return fmt.Errorf("run %d: %s cannot follow %s", run.ID, next, run.State)
	}
	if run.State == next && run.Reason == reason {
		return nil
	}
	if run.State != next {
		switch {
		case next == Queued && run.QueuedAt.IsZero():
			run.QueuedAt = now
		case next == Running && run.StartedAt.IsZero():
			run.StartedAt = now
		case next.Finished() && run.FinishedAt.IsZero():
			run.FinishedAt = now
		}
	}
	run.State, run.Reason = next, reason
	g.runs[run.ID] = true
	return nil
}

// Advance queues the groups whose needs have passed, skips the runs whose needs
// never will, settles the groups whose runs are finished, and derives the states
// of steps and pipeline. It returns the groups that it queued.
func (g *Graph) Advance(now time.Time) ([]*RunGroup, error) {
	var queued []*RunGroup
	ready := map[int64]bool{} // runs
	for _, step := range g.Steps {
		for _, target := range step.Targets {
			run := target.Run
			if run.State != Waiting || g.Groups[run.GroupID] == nil || target.Reused {
				continue
			}
			ok, obstacle := g.needsPassed(step, target)
			switch {
			case obstacle != "":
				if err := g.SetRun(run, Skipped, obstacle, now); err != nil {
					return nil, err
				}
			case ok:
				ready[run.ID] = true
			}
		}
		for _, group := range g.groupsOf(step) {
			if g.finishGroup(group, now) || group.Phase != PhasePlanned || !allReady(group, ready) {
				continue
			}
			group.Phase = PhaseQueued
			g.TouchGroup(group, now)
			for _, run := range group.Members {
				if err := g.SetRun(run, Queued, "", now); err != nil {
					return nil, err
				}
			}
			queued = append(queued, group)
		}
	}
	g.derive(now)
	return queued, nil
}

// needsPassed reports whether everything that target needs has passed, or else
// what makes that impossible.
func (g *Graph) needsPassed(step *Step, target *Target) (ok bool, obstacle string) {
	ok = true
	for _, need := range step.Needs {
		needed := g.Step(need.NeedsID)
		if needed == nil {
			return false, "What it needs is not part of this pipeline."
		}
		among := needed.Targets
		if need.PerTarget {
			followed := needed.Target(target.FollowedTarget())
			if followed == nil {
				return false, fmt.Sprintf("There is no %s for %s.", strings.TrimPrefix(needed.InWords(), "the "), target.FollowedTarget())
			}
			among = []*Target{followed}
		}
		for _, t := range among {
			if t.Run.State.Bad() {
				return false, notPassed(needed, t)
			}
			ok = ok && t.Run.State == Passed
		}
	}
	return ok, ""
}

// endWords say how something ended, after its name.
var endWords = map[State]string{
	Passed: "passed", Failed: "failed", Error: "ended in an error", Canceled: "was canceled", Skipped: "was skipped", Superseded: "was superseded",
}

// notPassed says for people why something that needs a target of step never runs.
func notPassed(step *Step, target *Target) string {
	if step.Kind == SRPMStep {
		return fmt.Sprintf("It needs the source RPM, whose build %s.", endWords[target.Run.State])
	}
	return fmt.Sprintf("It needs %s of %s, which %s.", step.InWords(), target.Name, endWords[target.Run.State])
}

func (g *Graph) groupsOf(step *Step) []*RunGroup {
	var groups []*RunGroup
	for _, target := range step.Targets {
		group := g.Groups[target.Run.GroupID]
		if group != nil && !target.Reused && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups
}

// finishGroup settles a group all of whose runs are finished. One that is to be
// canceled outside stays until that is done.
func (g *Graph) finishGroup(group *RunGroup, now time.Time) bool {
	for _, run := range group.Members {
		if !run.State.Finished() {
			return false
		}
	}
	if group.Phase != PhaseSettled && group.Phase != PhaseCanceling {
		group.Phase, group.Worker, group.LeaseUntil, group.PollAt = PhaseSettled, "", time.Time{}, time.Time{}
		g.TouchGroup(group, now)
	}
	return true
}

func allReady(group *RunGroup, ready map[int64]bool) bool {
	for _, run := range group.Members {
		if !run.State.Finished() && !ready[run.ID] {
			return false
		}
	}
	return true
}

// derive sets what follows from the runs: the states of steps and pipeline, its
// counts and times.
func (g *Graph) derive(now time.Time) {
	var all []State
	g.Runs, g.RunsDone, g.RunsBad = 0, 0, 0
	for _, step := range g.Steps {
		states := make([]State, len(step.Targets))
		for i, target := range step.Targets {
			run := target.Run
			states[i] = run.State
			g.Runs++
			if run.State.Finished() {
				g.RunsDone++
			}
			if run.State == Failed || run.State == Error {
				g.RunsBad++
			}
			if !target.Reused && !run.StartedAt.IsZero() && (g.StartedAt.IsZero() || run.StartedAt.Before(g.StartedAt)) {
				g.StartedAt = run.StartedAt
			}
		}
		if state := Combine(states); state != step.State {
			step.State = state
			g.steps[step.ID] = true
		}
		all = append(all, states...)
	}
	if state := Combine(all); state != g.State {
		g.State, g.touched, g.ended = state, true, state.Finished()
	}
	if g.State.Finished() && g.FinishedAt.IsZero() {
		g.FinishedAt = now
	}
}

// Stop ends every run that is not finished with the state end (Canceled or
// Superseded). Groups that an outside service works on, or that a worker is
// just handing over, are left to be canceled there.
func (g *Graph) Stop(end State, reason string, now time.Time) error {
	return g.StopRuns(func(*Run) bool { return true }, end, reason, now)
}

// StopRuns is Stop of the runs that are meant. A service is told to stop only
// when nothing of a submission is wanted any more; of one that goes on for
// others, what it says about a stopped run is ignored.
func (g *Graph) StopRuns(meant func(*Run) bool, end State, reason string, now time.Time) error {
	for _, id := range slices.Sorted(maps.Keys(g.Groups)) {
		group := g.Groups[id]
		wanted := slices.ContainsFunc(group.Members, func(r *Run) bool { return !r.State.Finished() && !meant(r) })
		stopped := false
		for _, run := range group.Members {
			if run.State.Finished() || !meant(run) {
				continue
			}
			if err := g.SetRun(run, end, reason, now); err != nil {
				return err
			}
			stopped = true
		}
		if stopped && !wanted {
			g.stopGroup(group, now)
		}
	}
	return nil
}

func (g *Graph) stopGroup(group *RunGroup, now time.Time) {
	switch group.Phase {
	case PhaseSubmitted, PhaseWorking:
		group.Phase, group.Polls, group.PollAt = PhaseCanceling, 0, now
	case PhaseCanceling:
	default:
		group.Phase, group.PollAt = PhaseSettled, time.Time{}
	}
	group.Worker, group.LeaseUntil, group.NotBefore = "", time.Time{}, time.Time{}
	group.Epoch++ // whoever holds it has lost it
	g.TouchGroup(group, now)
}

// Run returns the run with that id, or nil.
func (g *Graph) Run(id int64) *Run {
	for _, step := range g.Steps {
		for _, target := range step.Targets {
			if target.RunID == id {
				return target.Run
			}
		}
	}
	return nil
}
