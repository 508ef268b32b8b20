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
	return r.planCommit(ctx, forge, e, commitOf(e, m, pull), circumstances{labels: pull.Labels})
}

// planCommit reads the package config at a commit, plans, and lets the pipelines
// take the place of those of older commits of the same reference.
func (r *Runner) planCommit(ctx context.Context, forge Forge, e *models.Event, commit *models.Commit, about circumstances) error {
	if err := r.remember(ctx, forge, e, commit); err != nil {
		return err
	}
	config, missing, err := r.configOf(ctx, forge, e)
	if problems, ok := packageconfig.AsErrors(err); ok {
		return r.refuseConfig(ctx, e, problems)
	}
	if err != nil {
		return err
	}
	if missing != "" {
		return r.conclude(ctx, e, models.EventNothing, missing, about.news...)
	}
	if err := r.aboutVersions(ctx, e, config, &about); err != nil {
		return err
	}
	facts, err := r.facts(ctx, e, config, about)
	if err != nil {
		return err
	}
	planned, decisions := models.Plan(e, config, facts)
	e.Decisions = append(decisions, e.Decisions...) // what is not in force comes last
	reason, err := r.notAllowed(ctx, e)
	if err != nil {
		return err
	}
	if reason != "" {
		return r.refuse(ctx, e, planned, reason)
	}
	return r.create(ctx, e, planned, about)
}

// circumstances are what was found out about an event before it is planned.
type circumstances struct {
	labels     []string // of the pull request
	downstream models.Downstream
	news       []Made   // what the event tells of, on the way of a release
	older      []string // versions that were announced with the event's, the newest first, and are to be looked at too
	said       string   // what became of the others
}

// notAllowed says why nothing may be done for the project of an event, or for
// whom it is by, or nothing. In the first case the event is held: an entry of the
// allowlist lets it go on.
func (r *Runner) notAllowed(ctx context.Context, e *models.Event) (string, error) {
	if r.AllowAll {
		return "", nil
	}
	entries, err := r.Store.Allowances(ctx, e.Project)
	if err != nil {
		return "", err
	}
	reason := models.Refusal(e.Project, entries, models.Advice{Base: r.Base, Prefix: r.Prefix})
	e.Held = reason != ""
	if reason == "" && e.Actor != "" && e.Actor != e.Project.Namespace {
		own, err := r.Store.Allowances(ctx, &models.Project{Forge: e.Project.Forge, Namespace: e.Actor})
		if err != nil {
			return "", err
		}
		for _, a := range own {
			if a.State == models.DeniedState && a.Namespace != "" && a.Name == "" {
				reason = fmt.Sprintf("%s is denied, and with it what %s does: %s", a.Path(), e.Actor, a.Why())
			}
		}
	}
	return reason, nil
}

// remember stores the commit that an event is about, and what the forge says of
// its project.
func (r *Runner) remember(ctx context.Context, forge Forge, e *models.Event, commit *models.Commit) error {
	if err := r.learn(ctx, forge, e); err != nil {
		return err
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

// learn asks the forge about the project of an event, if it is new here.
func (r *Runner) learn(ctx context.Context, forge Forge, e *models.Event) error {
	if e.Project.DefaultBranch != "" {
		return nil
	}
	repository, err := forge.Repository(ctx, e.Project)
	if err != nil {
		return fmt.Errorf("reading about %s: %w", e.Project.Path(), err)
	}
	if repository.Private {
		return &Refusal{Reason: "The repository is private, and everything here is public."}
	}
	e.Project.DefaultBranch = repository.DefaultBranch
	return nil
}

// readConfig reads the package config at a commit of the event's project, or says
// that there is none.
func (r *Runner) readConfig(ctx context.Context, forge Forge, e *models.Event, sha string) (config *models.PackageConfig, missing string, err error) {
	files, err := forge.Files(ctx, e.Project, sha)
	if err != nil {
		return nil, "", fmt.Errorf("listing the files of %s at %s: %w", e.Project.Path(), sha, err)
	}
	name := packageconfig.Find(files)
	if name == "" {
		return nil, fmt.Sprintf("There is no package config (%s) at this commit.", strings.Join(packageconfig.Names, ", ")), nil
	}
	text, err := forge.File(ctx, e.Project, sha, name, packageconfig.MaxSize)
	if err != nil {
		return nil, "", fmt.Errorf("reading %s of %s at %s: %w", name, e.Project.Path(), sha, err)
	}
	e.ConfigFile, e.ConfigSHA, e.ConfigText = name, sha, strings.ToValidUTF8(strings.ReplaceAll(string(text), "\x00", "�"), "�")
	config, err = packageconfig.Parse(text, packageconfig.Options{FileName: name, RepoName: e.Project.Name, RepoFiles: files})
	return config, "", err
}

// facts gathers what planning needs to know.
func (r *Runner) facts(ctx context.Context, e *models.Event, config *models.PackageConfig, about circumstances) (models.Facts, error) {
	facts := models.Facts{
		Now: store.Now(), Deployment: r.Deployment, DefaultBranch: e.Project.DefaultBranch, Labels: about.labels,
		CoprChroots: map[string][]string{}, Kinds: make(map[models.StepKind]bool, len(r.Kinds)), Downstream: about.downstream,
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
	return facts, r.downstreamFacts(ctx, e, config, &facts)
}

// create writes the pipelines and what comes with them, once an event. What the
// event tells of may have been told of by another, whose pipelines do then.
func (r *Runner) create(ctx context.Context, e *models.Event, planned []models.Planned, about circumstances) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		now, err := tx.LockEvent(ctx, e.ID)
		if err != nil || now.State != models.EventNew {
			return err
		}
		if err := r.deliverOlder(ctx, tx, e, about.older); err != nil {
			return err
		}
		if other, err := r.announce(ctx, tx, e, about.news); err != nil || other != 0 {
			if err == nil {
				e.Decisions = nil
				err = r.decided(ctx, tx, e, models.EventNothing, fmt.Sprintf("Event %d told of it already.", other))
			}
			return err
		}
		for _, p := range planned {
			g, err := r.createOne(ctx, tx, e, p)
			if err != nil {
				return err
			}
			if r.Packages.Holds(e.Project) {
				continue // what Fedora is built of goes on until it is there, whatever is pushed next
			}
			if err := r.supersede(ctx, tx, g); err != nil {
				return err
			}
		}
		if err := r.want(ctx, tx, r.unplanned(e)); err != nil {
			return err
		}
		if len(planned) == 0 {
			return r.decided(ctx, tx, e, models.EventNothing, strings.TrimSpace("No job of the package config is for this. "+about.said))
		}
		return r.decided(ctx, tx, e, models.EventPlanned, about.said)
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
// checks that there would have been, or below the commit if nobody asked to
// merge it.
func (r *Runner) refuse(ctx context.Context, e *models.Event, planned []models.Planned, reason string) error {
	var reports []*models.Report
	report := func(name string) *models.Report {
		return &models.Report{
			ProjectID: e.ProjectID, CommitID: e.CommitID, EventID: e.ID, SHA: e.Commit.SHA, Name: name,
			Wanted: models.CheckNeutral, Title: e.Project.URL + " not allowed!", Body: reason, URL: fmt.Sprintf("%s/events/%d", r.Base, e.ID),
		}
	}
	for _, p := range planned {
		for _, step := range p.Pipeline.Steps {
			for _, target := range step.Targets {
				if target.Check != "" && e.Commit.Kind == models.PullRequestRef {
					reports = append(reports, report(target.Check))
				}
			}
		}
	}
	if e.Commit.Kind != models.PullRequestRef && len(planned) > 0 {
		below := report(commentPrefix + "allowlist")
		below.Body = below.Title + "\n\n" + below.Body
		reports = append(reports, below)
	}
	for i := range e.Decisions {
		if d := &e.Decisions[i]; d.Planned {
			d.Planned, d.Reason, d.Condition = false, reason, ""
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
// author in a comment on the pull request, or in an issue, as Packit does.
func (r *Runner) refuseConfig(ctx context.Context, e *models.Event, problems packageconfig.Errors) error {
	name := commentPrefix + "config"
	if e.Commit.Kind != models.PullRequestRef {
		name = models.IssuePrefix + "Invalid config"
	}
	report := &models.Report{
		ProjectID: e.ProjectID, CommitID: e.CommitID, EventID: e.ID, SHA: e.Commit.SHA, Name: name,
		Wanted: models.CheckFailure, Title: "The package config is invalid.",
		Body: fmt.Sprintf("%s\n\n%s/events/%d", r.configMistakes(e, problems), r.Base, e.ID),
		URL:  fmt.Sprintf("%s/events/%d", r.Base, e.ID),
	}
	reports := []*models.Report{report}
	if allowed, err := r.allowed(ctx, e.Project); err != nil {
		return err
	} else if !allowed && e.Commit.Kind != models.PullRequestRef {
		reports = nil // a stranger's repository is none of our business
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.want(ctx, tx, reports); err != nil {
			return err
		}
		return r.decided(ctx, tx, e, models.EventRefused, mistakes(e, problems))
	})
}

// allowed reports whether a project may use the service.
func (r *Runner) allowed(ctx context.Context, p *models.Project) (bool, error) {
	if r.AllowAll {
		return true, nil
	}
	entries, err := r.Store.Allowances(ctx, p)
	return err == nil && models.Refusal(p, entries, models.Advice{}) == "", err
}

// mistakes counts what is wrong with a package config.
func mistakes(e *models.Event, problems packageconfig.Errors) string {
	return fmt.Sprintf("The package config %s has %s.", e.ConfigFile, count(len(problems), "mistake", "mistakes"))
}

// configMistakes lists what is wrong with a package config, in Markdown and among
// the event's decisions.
func (r *Runner) configMistakes(e *models.Event, problems packageconfig.Errors) string {
	lines := make([]string, len(problems))
	e.Decisions = nil
	for i, p := range problems {
		lines[i] = e.ConfigFile + ":" + p.Error()
		e.Decisions = append(e.Decisions, models.Decision{JobIndex: -1, Reason: lines[i]})
	}
	return fmt.Sprintf("Failed to load packit config file:\n```\n%s\n```", strings.ReplaceAll(strings.Join(lines, "\n"), "```", "'''"))
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
