package jobs

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"millrace/clients/anitya"
	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
)

// forbiddenOnIssue says why nothing is done about a command in a comment on an
// issue, or nothing. Issues are about what failed, or, upstream, about anything.
func (r *Runner) forbiddenOnIssue(ctx context.Context, o *order, c *models.Command) (string, error) {
	actor := o.event.Actor
	can, err := o.forge.CanMerge(ctx, o.event.Project, actor)
	if err != nil {
		return "", fmt.Errorf("asking what %s may do in %s: %w", actor, o.event.Project.Path(), err)
	}
	if !can {
		return "This is for those who may merge pull requests of the project. Ask one of them to write the command.", nil
	}
	things, err := r.thingsOf(ctx, o, c)
	if err != nil {
		return "", err
	}
	if len(things) == 0 && c.Name != models.ProposeCommand {
		return fmt.Sprintf("This issue is not about something that failed and that %s would repeat. Elsewhere the command is for pull requests of packages in dist-git.", c.Name), nil
	}
	if len(things) > 0 { // of a project that is looked at when they are run again
		return "", nil
	}
	if r.Kinds[models.ProposeStep] == nil {
		return fmt.Sprintf("This service understands the command %s, but does not carry it out yet.", c.Name), nil
	}
	return r.notAllowed(ctx, o.event)
}

// thingsOf are the failing things that the issue of a comment is about, and that a
// command repeats: the newest attempt of the pipeline of each.
func (r *Runner) thingsOf(ctx context.Context, o *order, c *models.Command) ([]*models.Pipeline, error) {
	reports, err := r.Store.OpenThings(ctx, o.event.ProjectID, o.event.Commit.Ref)
	if err != nil {
		return nil, err
	}
	var found []*models.Pipeline
	seen := map[int64]bool{}
	for _, report := range reports {
		newest, err := r.Store.AttemptOf(ctx, report.PipelineID)
		if err != nil {
			return nil, err
		}
		if seen[newest.ID] || !c.About(newest.Package) {
			continue
		}
		seen[newest.ID] = true
		p, err := r.Store.Pipeline(ctx, newest.ID)
		if err != nil {
			return nil, err
		}
		for _, step := range p.Steps {
			if step.Kind.ForCommand(c.Name) {
				found = append(found, p)
				break
			}
		}
	}
	return found, nil
}

// onIssue carries out a command in a comment on an issue: it repeats what failed
// if the issue is about that, or proposes the newest release.
func (r *Runner) onIssue(ctx context.Context, o *order, c *models.Command) error {
	things, err := r.thingsOf(ctx, o, c)
	if err != nil {
		return err
	}
	if len(things) == 0 {
		return r.proposeNewest(ctx, o, c)
	}
	for _, p := range things {
		if err := r.repeat(ctx, o, c, p); err != nil {
			return err
		}
	}
	return nil
}

// repeat runs again what failed of the steps of a pipeline that a command is for.
func (r *Runner) repeat(ctx context.Context, o *order, c *models.Command, p *models.Pipeline) error {
	var picks []models.Pick
	for _, pick := range p.Failed() {
		for _, step := range p.Steps {
			if step.Name == pick.Step && step.Kind.ForCommand(c.Name) {
				picks = append(picks, pick)
			}
		}
	}
	if len(picks) == 0 {
		reason := fmt.Sprintf("Nothing of pipeline %d has failed that could be repeated now.", p.ID)
		o.note(models.EventNothing, reason, reason)
		return nil
	}
	if allowed, err := r.allowed(ctx, p.Project); err != nil || !allowed {
		if err == nil {
			reason := fmt.Sprintf("%s is not allowed to use this service.", p.Project.Path())
			o.note(models.EventRefused, reason, reason)
		}
		return err
	}
	var id int64
	err := r.untilAgreed(func() (err error) {
		id, err = r.Rerun(ctx, RerunRequest{
			RerunRequest: models.RerunRequest{Scope: models.ScopeChosen, Picks: picks},
			Requester:    Requester{Actor: o.event.Actor, Via: models.ViaComment},
			Pipeline:     p.ID, Key: fmt.Sprintf("event %d, plan %d %s", o.event.ID, p.EventID, p.Package),
		})
		return err
	})
	if reason, no := refusedRerun(err); no {
		o.note(models.EventNothing, reason, reason)
		return nil
	}
	if err != nil {
		return err
	}
	o.note(models.EventApplied, fmt.Sprintf("It is run again as pipeline %d.", id), fmt.Sprintf("%s/pipelines/%d", r.Base, id))
	return nil
}

// releaser is a forge that knows of releases.
type releaser interface {
	// NewestRelease is the tag of the newest release, "" if there is none.
	NewestRelease(ctx context.Context, p *models.Project) (string, error)
}

// proposeNewest plans to propose the newest release of a project to dist-git.
func (r *Runner) proposeNewest(ctx context.Context, o *order, c *models.Command) error {
	nothing := func(reason string) error {
		o.note(models.EventNothing, reason, reason)
		return nil
	}
	releases, ok := o.forge.(releaser)
	if !ok {
		return nothing("This service does not know what the newest release here is.")
	}
	if err := r.learn(ctx, o.forge, o.event); err != nil {
		return err
	}
	tag, err := releases.NewestRelease(ctx, o.event.Project)
	if err != nil {
		return fmt.Errorf("asking for the newest release of %s: %w", o.event.Project.Path(), err)
	}
	if tag == "" {
		return nothing("There is no release yet.")
	}
	sha, err := o.forge.TagCommit(ctx, o.event.Project, tag)
	if httpx.Status(err) == http.StatusNotFound {
		return nothing(fmt.Sprintf("The tag %s is gone.", shortWord(tag)))
	}
	if err != nil {
		return fmt.Errorf("reading the tag %s of %s: %w", tag, o.event.Project.Path(), err)
	}
	commit := &models.Commit{ProjectID: o.event.ProjectID, Kind: models.ReleaseRef, Ref: tag, SHA: sha}
	return r.planAsked(ctx, o, c, commit, circumstances{news: []Made{told(releaseOf(o.event, tag, tag))}})
}

// told is what a comment brought up, which is no page about it.
func told(made Made) Made {
	made.URL = ""
	return made
}

// shortWord is a word of a stranger in a sentence of ours.
func shortWord(word string) string {
	if r := []rune(word); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return word
}

// planAsked plans what a command asks for at another commit than the one that its
// comment is on.
func (r *Runner) planAsked(ctx context.Context, o *order, c *models.Command, commit *models.Commit, about circumstances) error {
	e := *o.event
	if err := r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.EnsureCommit(ctx, commit) }); err != nil {
		return err
	}
	e.Commit, e.CommitID = commit, commit.ID
	config, err := r.askedConfig(ctx, o, c, &e)
	if err != nil || config == nil {
		return err
	}
	facts, err := r.facts(ctx, &e, config, about)
	if err != nil {
		return err
	}
	facts.Asked = &models.Asked{Commands: []*models.Command{c}}
	planned, decisions := models.Plan(&e, config, facts)
	o.event.Decisions = append(o.event.Decisions, decisions...)
	if len(planned) == 0 {
		reason := fmt.Sprintf("No job of the package config is for %s of %s.", c.Name, shortWord(commit.Ref))
		o.note(models.EventNothing, reason, reason)
		return nil
	}
	o.planned, o.news = append(o.planned, planned...), append(o.news, about.news...)
	return nil
}

// askedConfig is the package config that a command is about: that of the pull
// request if it says so. It is nil if there is none, which the order then says.
func (r *Runner) askedConfig(ctx context.Context, o *order, c *models.Command, e *models.Event) (*models.PackageConfig, error) {
	e.Decisions = nil
	config, missing, err := r.configAt(ctx, o, c, e)
	o.event.ConfigFile, o.event.ConfigSHA, o.event.ConfigText = e.ConfigFile, e.ConfigSHA, e.ConfigText
	if problems, ok := packageconfig.AsErrors(err); ok {
		o.note(models.EventRefused, mistakes(e, problems), r.configMistakes(e, problems))
		return nil, nil
	}
	if err == nil && missing != "" {
		o.note(models.EventNothing, missing, missing)
	}
	return config, err
}

func (r *Runner) configAt(ctx context.Context, o *order, c *models.Command, e *models.Event) (*models.PackageConfig, string, error) {
	if !c.WithPRConfig {
		return r.configOf(ctx, o.forge, e)
	}
	source, err := models.ParseProjectURL(o.pull.SourceURL)
	if err != nil || source.Forge != e.Project.Forge {
		return nil, "The repository that the pull request comes from is gone, and its package config with it.", nil
	}
	there := *e
	there.Project = source
	config, missing, err := r.readConfig(ctx, o.forge, &there, o.pull.HeadSHA)
	e.ConfigFile, e.ConfigSHA, e.ConfigText = there.ConfigFile, there.ConfigSHA, there.ConfigText
	return config, missing, err
}

// pull plans to bring a version to dist-git, as a comment on a pull request there
// asks.
func (r *Runner) pull(ctx context.Context, o *order, c *models.Command) error {
	version := c.Version
	if version == "" && r.Monitoring != nil {
		project, err := r.Monitoring.Project(ctx, anitya.Fedora, o.event.Project.Name)
		if err != nil {
			return err
		}
		if project != nil { // without prereleases, if release monitoring can tell
			version = cmp.Or(project.NewestStable(), project.Version)
		}
	}
	if version == "" {
		const reason = "Could not figure out version of latest upstream release. You can specify it as an argument: --version VERSION."
		o.note(models.EventNothing, reason, reason)
		return nil
	}
	commit := &models.Commit{ProjectID: o.event.ProjectID, Kind: models.UpstreamRef, Ref: version}
	return r.planAsked(ctx, o, c, commit, circumstances{
		downstream: models.Downstream{IsPackage: true}, news: []Made{told(releaseOf(o.event, version, version))},
	})
}
