package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
)

// start runs again what is there already for the commit, and plans what is not:
// jobs with manual_trigger, or all of them. Several commands make one attempt.
func (r *Runner) start(ctx context.Context, o *order) error {
	others, problem, err := r.otherBuilds(ctx, o)
	if err != nil {
		return err
	}
	found, err := r.ordered(ctx, o, others)
	if err != nil {
		return err
	}
	planned, out, err := r.planOrdered(ctx, o, found, others)
	if err != nil {
		return err
	}
	if problem != "" {
		planned, found.plans, out = nil, nil, copied(o.outcome)
		out.note(models.EventRefused, problem, problem)
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.lockPlans(ctx, tx, found.known...); err != nil {
			return err
		}
		now, err := tx.LockEvent(ctx, o.event.ID)
		if err != nil || now.State != models.EventNew {
			return err
		}
		if err := r.rerunOrdered(ctx, tx, o, found, &out); err != nil {
			return err
		}
		if err := r.createOrdered(ctx, tx, o, found, planned, &out); err != nil {
			return err
		}
		if len(out.said) == len(o.said) {
			reason := nothingOrdered[o.commands[0].Name]
			out.note(models.EventNothing, reason, reason+" So nothing was started.")
		}
		return r.finish(ctx, tx, o.event, out)
	})
}

// copied is an outcome that grows without o's growing: what is tried again
// begins afresh.
func copied(o outcome) outcome {
	o.said, o.answers = slices.Clone(o.said), slices.Clone(o.answers)
	return o
}

// foundPlans is what commands mean among what was planned for a commit.
type foundPlans struct {
	known    []readied // the newest attempts of all plans
	plans    []readied // those of which something is to run again
	requests []models.RerunRequest
	have     map[models.JobRef]int64 // pipelines by the jobs that are part of them; the newest counts
}

func (r *Runner) rerunOrdered(ctx context.Context, tx *store.Tx, o *order, found *foundPlans, out *outcome) error {
	for i, ready := range found.plans {
		id, err := r.rerun(ctx, tx, ready, RerunRequest{
			RerunRequest: found.requests[i], Requester: Requester{Actor: o.event.Actor, Via: models.ViaComment},
			Key: fmt.Sprintf("event %d, plan %d %s", o.event.ID, ready.newest.EventID, ready.newest.Package),
		})
		if reason, no := refusedRerun(err); no {
			out.note(models.EventNothing, reason, reason)
			continue
		}
		if err != nil {
			return err
		}
		out.note(models.EventApplied, fmt.Sprintf("Attempt %d is pipeline %d.", ready.newest.Attempt+1, id), "")
	}
	return nil
}

// createOrdered writes the pipelines of jobs that no other has. Tests that were
// asked for use the builds that are there.
func (r *Runner) createOrdered(ctx context.Context, tx *store.Tx, o *order, found *foundPlans, planned []models.Planned, out *outcome) error {
	builds := slices.ContainsFunc(o.commands, func(c *models.Command) bool { return c.Name == models.BuildCommand })
	for _, p := range planned {
		if !builds {
			if err := r.shareRuns(ctx, tx, found, &p); err != nil {
				return err
			}
		}
		g, err := r.createOne(ctx, tx, o.event, p)
		if err != nil {
			return err
		}
		out.note(models.EventPlanned, fmt.Sprintf("Pipeline %d was planned.", g.ID), "")
	}
	return r.want(ctx, tx, r.unplanned(o.event))
}

// shareRuns lets a plan show what other pipelines for the commit have made, under
// their locks.
func (r *Runner) shareRuns(ctx context.Context, tx *store.Tx, found *foundPlans, p *models.Planned) error {
	gone := map[int64]string{}
	var earlier []*models.Pipeline
	for _, ready := range slices.Backward(found.known) {
		now, err := tx.Pipeline(ctx, ready.newest.ID)
		if err != nil {
			return err
		}
		earlier = append(earlier, now)
		for id, why := range ready.facts.Gone {
			gone[id] = why
		}
	}
	return p.Share(earlier, gone)
}

var nothingOrdered = map[models.CommandName]string{
	models.BuildCommand:    "The package config has no build for this that the command means.",
	models.TestCommandName: "The package config has no tests for this that the command means.",
	models.RebuildFailed:   "No build of this commit has failed.",
	models.RetestFailed:    "No tests of this commit have failed.",
}

// ordered finds what commands mean among what was planned for the commit, and
// which jobs that covers. Of a job that is in several plans the newest counts.
func (r *Runner) ordered(ctx context.Context, o *order, others []models.OtherBuild) (*foundPlans, error) {
	e := o.event
	newest, err := r.Store.NewestAt(ctx, e.ProjectID, e.Commit.Kind, e.Commit.Ref, e.Commit.SHA)
	if err != nil {
		return nil, err
	}
	found := &foundPlans{have: map[models.JobRef]int64{}}
	env := map[string]string{}
	for _, c := range o.commands {
		for name, value := range c.Env {
			env[name] = value
		}
	}
	for _, p := range slices.Backward(newest) {
		ready, err := r.prepareRerun(ctx, p, false)
		if err != nil {
			return nil, err
		}
		picks, err := o.picks(ready.newest, found.have)
		if err != nil {
			return nil, err
		}
		for _, step := range ready.newest.Steps {
			ref := models.JobRef{Index: step.JobIndex, Package: p.Package}
			if step.JobIndex >= 0 && found.have[ref] == 0 {
				found.have[ref] = p.ID
			}
		}
		found.known = append(found.known, ready)
		if len(picks) > 0 {
			found.plans = append(found.plans, ready)
			found.requests = append(found.requests, models.RerunRequest{Scope: models.ScopeChosen, Picks: picks, Env: env, Others: others})
		}
	}
	slices.Reverse(found.known) // the oldest first, as they came
	return found, nil
}

// picks are the parts of a pipeline that commands mean, but for jobs that a
// newer plan has.
func (o *order) picks(p *models.Pipeline, newer map[models.JobRef]int64) ([]models.Pick, error) {
	var picks []models.Pick
	failed := p.Failed()
	for _, step := range p.Steps {
		if newer[models.JobRef{Index: step.JobIndex, Package: p.Package}] != 0 {
			continue
		}
		view, err := step.View()
		if err != nil {
			return nil, err
		}
		for _, c := range o.commands {
			if c.About(p.Package) {
				picks = append(picks, picksOf(c, p, step, view, failed, newer)...)
			}
		}
	}
	return picks, nil
}

func picksOf(c *models.Command, p *models.Pipeline, step *models.Step, view *models.JobView, failed []models.Pick, newer map[models.JobRef]int64) []models.Pick {
	built := step.Kind == models.SRPMStep || step.Kind == models.CoprBuildStep
	switch {
	case c.Name == models.BuildCommand && built && buildsNew(p, step, newer),
		c.Name == models.TestCommandName && step.Kind == models.TestsStep && c.MatchesTest(view):
		return []models.Pick{{Step: step.Name}}
	case c.Name == models.RebuildFailed && built, c.Name == models.RetestFailed && step.Kind == models.TestsStep:
		return slices.DeleteFunc(slices.Clone(failed), func(pick models.Pick) bool {
			return pick.Step != step.Name || (step.Kind == models.TestsStep && step.Target(pick.Target).Run.State == models.Skipped)
		})
	}
	return nil
}

// buildsNew reports whether a step is a build, or makes the source of one, that
// no newer plan has.
func buildsNew(p *models.Pipeline, step *models.Step, newer map[models.JobRef]int64) bool {
	return step.Kind == models.CoprBuildStep || slices.ContainsFunc(buildsOf(p, step), func(s *models.Step) bool {
		return newer[models.JobRef{Index: s.JobIndex, Package: p.Package}] == 0
	})
}

// planOrdered plans the jobs that commands mean and no pipeline has. The outcome
// is o's, with what there is to say about the config.
func (r *Runner) planOrdered(ctx context.Context, o *order, found *foundPlans, others []models.OtherBuild) ([]models.Planned, outcome, error) {
	out := copied(o.outcome)
	plans := func(c *models.Command) bool { return c.Name == models.BuildCommand || c.Name == models.TestCommandName }
	if !slices.ContainsFunc(o.commands, plans) {
		return nil, out, nil
	}
	config, missing, err := r.configOf(ctx, o.forge, o.event)
	if problems, ok := packageconfig.AsErrors(err); ok {
		out.note(models.EventRefused, mistakes(o.event, problems), r.configMistakes(o.event, problems))
		return nil, out, nil
	}
	if err != nil {
		return nil, out, err
	}
	if missing != "" {
		if len(found.plans) == 0 { // else the config of the time is kept with them
			out.note(models.EventNothing, missing, fmt.Sprintf("No config file for packit (e.g. `%s`) found in %s on commit %s",
				packageconfig.Names[0], o.event.Project.FullName(), o.event.Commit.SHA))
		}
		return nil, out, nil
	}
	asked := &models.Asked{Commands: o.commands, Have: found.have, Others: others}
	trigger := models.TriggerAt(o.event.Commit.Kind)
	wants := func(view models.JobView) bool { return view.Trigger == trigger && asked.Wants(&view) }
	if !slices.ContainsFunc(config.Jobs, wants) {
		return nil, out, nil
	}
	facts, err := r.facts(ctx, o.event, config, circumstances{labels: o.pull.Labels})
	if err != nil {
		return nil, out, err
	}
	facts.Asked = asked
	var planned []models.Planned
	planned, o.event.Decisions = models.Plan(o.event, config, facts)
	return planned, out, nil
}

// otherBuilds finds the builds of the other pull requests that tests shall
// install: those that passed of the newest commit of each. A problem says that
// there are none.
func (r *Runner) otherBuilds(ctx context.Context, o *order) (builds []models.OtherBuild, problem string, err error) {
	seen := map[models.PullName]bool{}
	for _, c := range o.commands {
		for _, name := range c.Pulls {
			if seen[name] {
				continue
			}
			seen[name] = true
			own, err := r.buildsOfPull(ctx, o, name)
			if err != nil {
				return nil, "", err
			}
			if len(own) == 0 {
				return nil, fmt.Sprintf("This service knows of no successful build of the newest commit of %s, which the tests were to install.", name), nil
			}
			builds = append(builds, own...)
		}
	}
	return builds, "", nil
}

func (r *Runner) buildsOfPull(ctx context.Context, o *order, name models.PullName) ([]models.OtherBuild, error) {
	host := o.event.Project.Forge
	if name.Forge != "" && name.Forge != host {
		return nil, nil
	}
	project, err := r.Store.ProjectAt(ctx, host, name.Namespace, name.Name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pull, err := o.forge.PullRequest(ctx, project, name.Number)
	if httpx.Status(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	newest, err := r.Store.NewestAt(ctx, project.ID, models.PullRequestRef, strconv.Itoa(name.Number), pull.HeadSHA)
	if err != nil {
		return nil, err
	}
	var builds []models.OtherBuild
	for _, p := range slices.Backward(newest) {
		whole, err := r.Store.Pipeline(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		builds = append(builds, whole.Passed(name.String())...)
	}
	return builds, nil
}
