package jobs

import (
	"context"
	"fmt"
	"strings"

	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
)

// handlePullRequest reads the package config at the head of the pull request,
// plans, and lets the pipelines take the place of those of older pushes.
func (r *Runner) handlePullRequest(ctx context.Context, e *models.Event, m *models.Message) error {
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	pull, err := forge.PullRequest(ctx, e.Project, m.PR)
	if err != nil {
		return fmt.Errorf("reading pull request %d of %s: %w", m.PR, e.Project.Path(), err)
	}
	if reason := stale(pull, m); reason != "" {
		return r.conclude(ctx, e, models.EventNothing, reason)
	}
	if err := r.remember(ctx, forge, e, commitOf(e, m, pull)); err != nil {
		return err
	}
	config, err := r.readConfig(ctx, forge, e)
	if problems, ok := packageconfig.AsErrors(err); ok {
		return r.refuseConfig(ctx, e, problems)
	}
	if err != nil || config == nil {
		return err
	}
	facts, err := r.facts(ctx, e, config, pull.Labels)
	if err != nil {
		return err
	}
	planned, decisions := models.Plan(e, config, facts)
	e.Decisions = decisions
	reason, err := r.notAllowed(ctx, e.Project)
	if err != nil {
		return err
	}
	if reason != "" {
		return r.refuse(ctx, e, planned, reason)
	}
	return r.create(ctx, e, planned)
}

// notAllowed says why a project may not use the service, or nothing.
func (r *Runner) notAllowed(ctx context.Context, p *models.Project) (string, error) {
	entries, err := r.Store.Allowances(ctx, p)
	if err != nil || r.AllowAll {
		return "", err
	}
	return models.Refusal(p, entries), nil
}

// remember stores the commit that an event is about, and what the forge says of
// its project.
func (r *Runner) remember(ctx context.Context, forge Forge, e *models.Event, commit *models.Commit) error {
	if e.Project.DefaultBranch == "" {
		repository, err := forge.Repository(ctx, e.Project)
		if err != nil {
			return fmt.Errorf("reading about %s: %w", e.Project.Path(), err)
		}
		if repository.Private {
			return &Refusal{Reason: "The repository is private, and everything here is public."}
		}
		e.Project.DefaultBranch = repository.DefaultBranch
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.EnsureProject(ctx, e.Project); err != nil {
			return err
		}
		if err := tx.EnsureCommit(ctx, commit); err != nil {
			return err
		}
		e.Commit, e.CommitID = commit, commit.ID
		return nil
	})
}

// readConfig reads the package config at the event's commit. If there is none it
// concludes the event and returns nil.
func (r *Runner) readConfig(ctx context.Context, forge Forge, e *models.Event) (*models.PackageConfig, error) {
	files, err := forge.Files(ctx, e.Project, e.Commit.SHA)
	if err != nil {
		return nil, fmt.Errorf("listing the files of %s at %s: %w", e.Project.Path(), e.Commit.SHA, err)
	}
	name := packageconfig.Find(files)
	if name == "" {
		return nil, r.conclude(ctx, e, models.EventNothing,
			fmt.Sprintf("There is no package config (%s) at this commit.", strings.Join(packageconfig.Names, ", ")))
	}
	text, err := forge.File(ctx, e.Project, e.Commit.SHA, name, packageconfig.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s at %s: %w", name, e.Project.Path(), e.Commit.SHA, err)
	}
	e.ConfigFile, e.ConfigSHA, e.ConfigText = name, e.Commit.SHA, strings.ToValidUTF8(strings.ReplaceAll(string(text), "\x00", "�"), "�")
	return packageconfig.Parse(text, packageconfig.Options{FileName: name, RepoName: e.Project.Name, RepoFiles: files})
}

// facts gathers what planning needs to know.
func (r *Runner) facts(ctx context.Context, e *models.Event, config *models.PackageConfig, labels []string) (models.Facts, error) {
	facts := models.Facts{
		Now: store.Now(), Deployment: r.Deployment, DefaultBranch: e.Project.DefaultBranch, Labels: labels,
		CoprChroots: map[string][]string{}, Kinds: make(map[models.StepKind]bool, len(r.Kinds)),
	}
	for kind := range r.Kinds {
		facts.Kinds[kind] = true
	}
	var err error
	if facts.Releases, err = r.Releases(ctx); err != nil {
		return facts, err
	}
	for i := range config.Jobs {
		view := &config.Jobs[i]
		if r.Chroots == nil || len(view.Targets) > 0 || view.Owner == nil || view.Project == nil {
			continue
		}
		name := *view.Owner + "/" + *view.Project
		if _, asked := facts.CoprChroots[name]; asked {
			continue
		}
		chroots, err := r.Chroots(ctx, *view.Owner, *view.Project)
		if err != nil && temporary(err) {
			return facts, fmt.Errorf("reading the chroots of %s: %w", name, err)
		}
		if err == nil {
			facts.CoprChroots[name] = chroots
		}
	}
	return facts, nil
}

// create writes the pipelines and what comes with them, once an event.
func (r *Runner) create(ctx context.Context, e *models.Event, planned []models.Planned) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		now, err := tx.LockEvent(ctx, e.ID)
		if err != nil || now.State != models.EventNew {
			return err
		}
		for _, p := range planned {
			g, err := r.createOne(ctx, tx, e, p)
			if err != nil {
				return err
			}
			if err := r.supersede(ctx, tx, g); err != nil {
				return err
			}
		}
		if err := r.want(ctx, tx, r.unplanned(e)); err != nil {
			return err
		}
		if len(planned) == 0 {
			return r.decided(ctx, tx, e, models.EventNothing, "No job of the package config is for this.")
		}
		return r.decided(ctx, tx, e, models.EventPlanned, "")
	})
}

// createOne writes a planned pipeline of an event, and starts it.
func (r *Runner) createOne(ctx context.Context, tx *store.Tx, e *models.Event, p models.Planned) (*models.Graph, error) {
	g, err := tx.CreatePipeline(ctx, p.Pipeline, p.Groups, p.Needs)
	if err != nil {
		return nil, err
	}
	for i := range e.Decisions {
		if d := &e.Decisions[i]; d.Planned && d.Package == g.Package {
			d.PipelineID = g.ID
		}
	}
	return g, r.advance(ctx, tx, g)
}

// unplanned are the checks that say why what somebody may wait for does not
// happen: tests without a build.
func (r *Runner) unplanned(e *models.Event) []*models.Report {
	var reports []*models.Report
	say := func(check, reason string, state models.CheckState) {
		if check != "" {
			reports = append(reports, &models.Report{
				ProjectID: e.ProjectID, CommitID: e.CommitID, EventID: e.ID, SHA: e.Commit.SHA, Name: check,
				Wanted: state, Title: reason, URL: fmt.Sprintf("%s/events/%d", r.Base, e.ID),
			})
		}
	}
	for _, d := range e.Decisions {
		for _, check := range d.Checks {
			say(check, d.Reason, models.CheckNeutral)
		}
		for _, dropped := range d.Dropped {
			say(dropped.Check, dropped.Reason, models.CheckError)
		}
	}
	return reports
}

// supersede stops the unfinished pipelines of older pushes to the same reference.
func (r *Runner) supersede(ctx context.Context, tx *store.Tx, newer *models.Graph) error {
	older, err := tx.OlderUnfinished(ctx, newer.Pipeline)
	if err != nil {
		return err
	}
	for _, id := range older {
		g, err := tx.LockGraph(ctx, id)
		if err != nil {
			return err
		}
		if g.State.Finished() {
			continue // meanwhile
		}
		g.SupersededBy = newer.ID
		g.Touch()
		if err := g.Stop(models.Superseded, fmt.Sprintf("Pipeline %d of a newer push took over.", newer.ID), store.Now()); err != nil {
			return err
		}
		if err := r.advance(ctx, tx, g); err != nil {
			return err
		}
	}
	return nil
}

// refuse writes down that a project may not use the service, and says so in the
// checks that there would have been.
func (r *Runner) refuse(ctx context.Context, e *models.Event, planned []models.Planned, reason string) error {
	var reports []*models.Report
	for _, p := range planned {
		for _, step := range p.Pipeline.Steps {
			for _, target := range step.Targets {
				if target.Check == "" {
					continue
				}
				reports = append(reports, &models.Report{
					ProjectID: e.ProjectID, CommitID: e.CommitID, EventID: e.ID, SHA: e.Commit.SHA, Name: target.Check,
					Wanted: models.CheckNeutral, Title: e.Project.URL + " not allowed!", Body: reason,
					URL: fmt.Sprintf("%s/events/%d", r.Base, e.ID),
				})
			}
		}
	}
	for i := range e.Decisions {
		if d := &e.Decisions[i]; d.Planned {
			d.Planned, d.Reason = false, reason
		}
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.want(ctx, tx, reports); err != nil {
			return err
		}
		return r.decided(ctx, tx, e, models.EventRefused, reason)
	})
}

// refuseConfig writes down what is wrong with the package config, and tells the
// author in a comment, as Packit does.
func (r *Runner) refuseConfig(ctx context.Context, e *models.Event, problems packageconfig.Errors) error {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = e.ConfigFile + ":" + p.Error()
		e.Decisions = append(e.Decisions, models.Decision{JobIndex: -1, Reason: lines[i]})
	}
	body := fmt.Sprintf("Failed to load packit config file:\n```\n%s\n```\n\n%s/events/%d",
		strings.ReplaceAll(strings.Join(lines, "\n"), "```", "'''"), r.Base, e.ID)
	comment := &models.Report{
		ProjectID: e.ProjectID, CommitID: e.CommitID, EventID: e.ID, SHA: e.Commit.SHA, Name: commentPrefix + "config",
		Wanted: models.CheckFailure, Title: "The package config is invalid.", Body: body,
		URL: fmt.Sprintf("%s/events/%d", r.Base, e.ID),
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.want(ctx, tx, []*models.Report{comment}); err != nil {
			return err
		}
		return r.decided(ctx, tx, e, models.EventRefused,
			fmt.Sprintf("The package config %s has %s.", e.ConfigFile, count(len(problems), "mistake", "mistakes")))
	})
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
