package models

import (
	"bytes"
	"slices"
)

// Share lets a plan show runs of earlier pipelines for the same commit instead
// of doing their work again, where its source RPMs and builds are the same: what
// passed, unless it is gone, and what is still on its way. earlier are loaded
// with their steps, the ones to prefer first; gone says of runs, by id, that
// their result cannot be used any more.
func (p *Planned) Share(earlier []*Pipeline, gone map[int64]string) error {
	shared := map[*Run]bool{}
	for i, step := range slices.Backward(p.Pipeline.Steps) {
		if step.Kind != SRPMStep && step.Kind != CoprBuildStep {
			continue
		}
		asSource := step.Kind == SRPMStep && !p.neededFresh(i)
		for _, target := range step.Targets {
			run, err := sameWork(p.Pipeline, step, target, earlier, func(r *Run) bool {
				return !r.State.Finished() || (r.State == Passed && (asSource || gone[r.ID] == ""))
			})
			if err != nil {
				return err
			}
			if run != nil {
				shared[target.Run] = true
				target.Run, target.RunID, target.Reused = run, run.ID, true
			}
		}
	}
	for _, g := range p.Groups {
		g.Members = slices.DeleteFunc(g.Members, func(r *Run) bool { return shared[r] })
	}
	p.Groups = slices.DeleteFunc(p.Groups, func(g *RunGroup) bool { return len(g.Members) == 0 })
	var states []State
	for _, step := range p.Pipeline.Steps {
		var own []State
		for _, t := range step.Targets {
			own = append(own, t.Run.State)
		}
		step.State = Combine(own)
		states = append(states, own...)
	}
	p.Pipeline.count(states)
	return nil
}

// neededFresh reports whether a step that has work of its own to do needs the
// step at that position.
func (p *Planned) neededFresh(position int) bool {
	return slices.ContainsFunc(p.Needs, func(n PlannedNeed) bool {
		return n.Needs == position && slices.ContainsFunc(p.Pipeline.Steps[n.Step].Targets, func(t *Target) bool { return !t.Reused })
	})
}

// sameWork finds a run that does what a target of step is to do, and is usable.
func sameWork(p *Pipeline, step *Step, target *Target, earlier []*Pipeline, usable func(*Run) bool) (*Run, error) {
	for _, e := range earlier {
		if e.Package != p.Package || e.ProjectID != p.ProjectID || e.Kind != p.Kind || e.Ref != p.Ref || e.SHA != p.SHA {
			continue
		}
		for _, other := range e.Steps {
			t := other.Target(target.Name)
			if t == nil || other.Kind != step.Kind || !usable(t.Run) {
				continue
			}
			same, err := sameConfig(step, other)
			if err != nil {
				return nil, err
			}
			if same {
				return t.Run, nil
			}
		}
	}
	return nil, nil
}

// sameConfig reports whether two steps of a kind do the same: of source RPMs the
// recipe counts, of all others everything that their job says.
func sameConfig(a, b *Step) (bool, error) {
	x, err := a.View()
	if err != nil {
		return false, err
	}
	y, err := b.View()
	if err != nil {
		return false, err
	}
	if a.Kind == SRPMStep {
		return x.SRPMHash() == y.SRPMHash(), nil
	}
	return bytes.Equal(snapshot(x), snapshot(y)), nil
}

// Passed are the builds of a pipeline that passed, as other pull requests' tests
// install them. of names the pull request that they are of.
func (p *Pipeline) Passed(of string) []OtherBuild {
	var builds []OtherBuild
	for _, step := range p.Steps {
		if step.Kind != CoprBuildStep {
			continue
		}
		for _, t := range step.Targets {
			if t.Run.State == Passed && t.Run.ExternalID != "" {
				data := &t.Run.Data
				builds = append(builds, OtherBuild{
					Of: of, Chroot: t.Name, BuildID: t.Run.ExternalID, Project: data.CoprOwner + "/" + data.CoprProject, Packages: data.Packages,
				})
			}
		}
	}
	return builds
}
