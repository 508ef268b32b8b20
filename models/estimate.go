package models

import (
	"slices"
	"time"
)

// Durations are how long runs of a project took lately: half of them longer,
// half of them less.
type Durations struct {
	targets map[durationKey]time.Duration
	kinds   map[StepKind]time.Duration
}

type durationKey struct {
	kind   StepKind
	target string
}

// DurationsOf sums up runs that passed.
func DurationsOf(runs []*Run) Durations {
	targets, kinds := map[durationKey][]time.Duration{}, map[StepKind][]time.Duration{}
	for _, r := range runs {
		if r.StartedAt.IsZero() || r.FinishedAt.Before(r.StartedAt) {
			continue
		}
		took, key := r.FinishedAt.Sub(r.StartedAt), durationKey{r.Kind, r.Target}
		targets[key], kinds[r.Kind] = append(targets[key], took), append(kinds[r.Kind], took)
	}
	d := Durations{map[durationKey]time.Duration{}, map[StepKind]time.Duration{}}
	for key, all := range targets {
		d.targets[key] = middle(all)
	}
	for kind, all := range kinds {
		d.kinds[kind] = middle(all)
	}
	return d
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// Typical is how long a run for a target takes: as the last ones for the same
// target did, or for any target of the kind. ok is false if there were none.
func (d Durations) Typical(kind StepKind, target string) (took time.Duration, ok bool) {
	if took, ok = d.targets[durationKey{kind, target}]; !ok {
		took, ok = d.kinds[kind]
	}
	return took, ok
}

// Estimate is how long a rerun will take, without the time for which it waits
// in queues.
type Estimate struct {
	Own   map[*Target]time.Duration // how long a new run takes; absent: nobody knows
	Ready map[*Target]time.Duration // how long until a new or awaited one has ended; absent: nobody knows
	Total time.Duration             // until the last of those that can be told has ended
	Whole bool                      // all could be told
}

// Estimate works out how long a rerun will take if its runs take as long as
// lately.
func (r *Rerun) Estimate(d Durations, now time.Time) Estimate {
	e := Estimate{Own: map[*Target]time.Duration{}, Ready: map[*Target]time.Duration{}, Whole: true}
	shape := r.Earlier
	if r.Replan != nil {
		shape = r.Replan.shape
	}
	pending := map[*Target]bool{} // true: gets a new run
	for _, t := range r.Awaited {
		pending[t.Target] = false
	}
	for _, t := range r.Run {
		pending[t.Target] = true
	}
	unknown := map[*Target]bool{}
	for _, step := range shape.Steps {
		for _, t := range step.Targets {
			anew, is := pending[t]
			if !is && t.Run.State.Finished() {
				continue
			}
			took, ok := d.Typical(step.Kind, t.Name)
			if anew && ok {
				e.Own[t] = took
			}
			if !anew && !t.Run.StartedAt.IsZero() {
				took = max(0, took-now.Sub(t.Run.StartedAt))
			}
			var from time.Duration
			for _, n := range shape.neededBy(step, t) {
				from, ok = max(from, e.Ready[n]), ok && !unknown[n]
			}
			if !ok {
				unknown[t], e.Whole = true, false
				continue
			}
			e.Ready[t] = from + took
			e.Total = max(e.Total, e.Ready[t])
		}
	}
	return e
}
