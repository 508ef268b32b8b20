package models

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ChangeKind says how a part of one plan differs from another.
type ChangeKind string

const (
	PlanAdded   ChangeKind = "added"
	PlanRemoved ChangeKind = "removed"
	PlanChanged ChangeKind = "changed"
)

// PlanChange is a difference between two plans of an event: a step, or a target
// of a step that both have.
type PlanChange struct {
	Change   ChangeKind
	Step     *Step  // of the plan that has it; of both, the new one
	Target   string // empty: the step itself
	Settings []SettingChange
}

// SettingChange is a setting that differs, with its values as JSON. A value that
// is not set, or what it is without being set, is empty.
type SettingChange struct {
	Name     string
	From, To string
}

// Replan is a plan for an event, made again, laid over the newest attempt of
// the plan before.
type Replan struct {
	Changes []PlanChange
	File    string // the config
	SHA     string // of the commit whose config it is

	shape   *Pipeline          // the new plan, whose targets have the runs that the earlier attempt has for them
	forced  map[*Target]string // of shape: those that need a run of their own, and why
	removed []RerunTarget      // of the earlier attempt
}

// NewReplan compares p, the newest attempt of a plan, with a plan that was made
// now for the same event and package.
func NewReplan(p *Pipeline, planned Planned) (*Replan, error) {
	r := &Replan{forced: map[*Target]string{}}
	shape := *p
	shape.Steps = nil
	for i, step := range planned.Pipeline.Steps {
		laid := *step
		laid.ID, laid.PipelineID, laid.Targets, laid.Needs = int64(i)+1, p.ID, nil, nil
		for _, n := range planned.Needs {
			if n.Step == i {
				laid.Needs = append(laid.Needs, &Need{StepID: laid.ID, NeedsID: int64(n.Needs) + 1, PerTarget: n.PerTarget})
			}
		}
		shape.Steps = append(shape.Steps, &laid)
	}
	r.shape = &shape
	for i, step := range planned.Pipeline.Steps {
		if err := r.lay(p, shape.Steps[i], step.Targets); err != nil {
			return nil, err
		}
	}
	r.remove(p)
	return r, nil
}

// lay gives a step of the new plan its targets, with the runs of the step of the
// same name in p.
func (r *Replan) lay(p *Pipeline, step *Step, targets []*Target) error {
	old := p.stepNamed(step.Name)
	if old != nil && old.Kind != step.Kind {
		old = nil
	}
	why := ""
	if old == nil {
		r.Changes = append(r.Changes, PlanChange{Change: PlanAdded, Step: step})
		why = "It is new in the config."
	} else {
		settings, err := settingDifferences(old, step)
		if err != nil {
			return err
		}
		if needs, was := needsOf(r.shape, step), needsOf(p, old); needs != was {
			settings = append(settings, SettingChange{"needs", was, needs})
		}
		if len(settings) > 0 {
			r.Changes = append(r.Changes, PlanChange{Change: PlanChanged, Step: step, Settings: settings})
			why = "Its settings have changed."
		}
	}
	for _, t := range targets {
		target := &Target{StepID: step.ID, Position: t.Position, Name: t.Name, Follows: t.Follows, Check: t.Check}
		step.Targets = append(step.Targets, target)
		var had *Target
		if old != nil {
			had = old.Target(t.Name)
		}
		reason := why
		switch {
		case had == nil:
			target.RunID, target.Run = r.unborn(), &Run{Kind: step.Kind, Target: t.Name, State: Waiting}
			reason = "It is new in the config."
			if old != nil {
				r.Changes = append(r.Changes, PlanChange{Change: PlanAdded, Step: step, Target: t.Name})
			}
		case had.FollowedTarget() != t.FollowedTarget():
			reason = fmt.Sprintf("It follows %s now.", t.FollowedTarget())
			fallthrough
		default:
			target.RunID, target.Run, target.Reused = had.RunID, had.Run, had.Reused
		}
		if reason != "" {
			r.forced[target] = reason
		}
	}
	return nil
}

// unborn is the id of a run that is not there yet: no other has it.
func (r *Replan) unborn() int64 { return -int64(len(r.forced)) - 1 }

// born reports whether there is a run of a target already.
func (t *Target) born() bool { return t.RunID >= 0 }

// remove notes what the new plan does not have.
func (r *Replan) remove(p *Pipeline) {
	for _, old := range p.Steps {
		step := r.shape.stepNamed(old.Name)
		if step != nil && step.Kind != old.Kind {
			step = nil
		}
		if step == nil {
			r.Changes = append(r.Changes, PlanChange{Change: PlanRemoved, Step: old})
		}
		for _, t := range old.Targets {
			if step != nil && step.Target(t.Name) != nil {
				continue
			}
			if step != nil {
				r.Changes = append(r.Changes, PlanChange{Change: PlanRemoved, Step: old, Target: t.Name})
			}
			r.removed = append(r.removed, RerunTarget{Step: old, Target: t, Why: "The config does not have it any more."})
		}
	}
}

// needsOf says what a step needs, in a form that can be compared.
func needsOf(p *Pipeline, step *Step) string {
	var names []string
	for _, n := range step.Needs {
		if needed := p.Step(n.NeedsID); needed != nil {
			name := needed.Name
			if n.PerTarget {
				name += " of the same target"
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// planningKeys are settings that say whether and for whom a job is planned, or
// what is told about it, but not how its runs are carried out. That targets come
// and go is told of them.
var planningKeys = []string{
	"job_index", "type", "trigger", "package", "identifier", "targets", "targets_config", "dist_git_branches", "dist_git_branches_config",
	"branch", "require", "packit_instances", "manual_trigger", "labels", "test_command", "allowed_pr_authors", "allowed_committers",
	"allowed_builders", "notifications", "status_name_template", "sync_test_job_statuses_with_builds", "issue_repository",
	"config_file_path", "list_on_homepage",
}

// settingDifferences are the settings with which the runs of a step would be carried
// out differently.
func settingDifferences(old, now *Step) ([]SettingChange, error) {
	if bytes.Equal(old.Config, now.Config) {
		return nil, nil
	}
	was, err := old.View()
	if err != nil {
		return nil, err
	}
	is, err := now.View()
	if err != nil {
		return nil, err
	}
	before, after := carriedOut(was), carriedOut(is)
	var found []SettingChange
	for _, name := range slices.Sorted(maps.Keys(merged(before, after))) {
		if now.Kind == SRPMStep && !slices.Contains(srpmKeys, name) {
			continue
		}
		if before[name] != after[name] {
			found = append(found, SettingChange{name, before[name], after[name]})
		}
	}
	slices.SortFunc(found, func(a, b SettingChange) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

// carriedOut are the settings of a view that its runs depend on, as JSON.
func carriedOut(view *JobView) map[string]string {
	all := view.Changed()
	for _, key := range planningKeys {
		delete(all, key)
	}
	for key, to := range view.jobKeys() {
		if !slices.Contains(planningKeys, key) {
			all[key] = to
		}
	}
	targets := map[string]TargetSettings{}
	for _, t := range view.Targets {
		plain := TargetSettings{Name: t.Name}
		if asJSON(t) != asJSON(plain) {
			targets[t.Name] = t
		}
	}
	if len(targets) > 0 {
		all["targets_config"] = targets
	}
	texts := make(map[string]string, len(all))
	for key, value := range all {
		if t := asJSON(value); t != "null" && t != "false" && t != "[]" {
			texts[key] = t
		}
	}
	return texts
}

func merged[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// asJSON is a value of a config as JSON. What a config holds came from JSON's
// types, so this cannot fail.
func asJSON(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
