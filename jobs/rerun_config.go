package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"millrace/models"
	"millrace/models/packageconfig"
)

// replan makes the plan of a pipeline's event again, from the package config as
// it is now where the event happened: at the head of the pull request or the
// branch. What is built stays the commit of the event. If there is no such
// config the error is a *models.ConfigError.
func (r *Runner) replan(ctx context.Context, p *models.Pipeline) (*models.Replan, error) {
	e, err := r.Store.Event(ctx, p.EventID)
	if err != nil {
		return nil, err
	}
	e.Project, e.Commit, e.ProjectID, e.CommitID = p.Project, p.Commit, p.ProjectID, p.CommitID
	forge, err := r.Forge(e.Project)
	if err != nil {
		return nil, unreadable(e, err)
	}
	sha, about, err := r.head(ctx, forge, e)
	if err != nil {
		return nil, unreadable(e, err)
	}
	commit := *e.Commit
	commit.SHA = sha
	now := *e // is never stored
	now.Commit, now.ConfigFile, now.ConfigSHA = &commit, "", sha
	config, missing, err := r.configOf(ctx, forge, &now)
	if err != nil {
		return nil, unreadable(&now, err)
	}
	if missing != "" {
		return nil, &models.ConfigError{SHA: now.ConfigSHA, Problems: []string{missing}}
	}
	facts, err := r.facts(ctx, e, config, about)
	if err != nil {
		return nil, err
	}
	if facts.Asked, err = r.askedAgain(ctx, e, p, config); err != nil {
		return nil, err
	}
	planned, decisions := models.Plan(e, config, facts)
	for _, one := range planned {
		if one.Pipeline.Package != p.Package {
			continue
		}
		again, err := models.NewReplan(p, one)
		if err != nil {
			return nil, err
		}
		again.File, again.SHA = now.ConfigFile, now.ConfigSHA
		return again, nil
	}
	return nil, &models.ConfigError{File: now.ConfigFile, SHA: now.ConfigSHA, Problems: whyNothing(p.Package, decisions)}
}

// head is where an event happened as it stands now, and what else is known of
// it. A release does not move.
func (r *Runner) head(ctx context.Context, forge Forge, e *models.Event) (sha string, about circumstances, err error) {
	switch {
	case e.Kind != models.PullRequestEvent && e.Kind != models.CommentEvent && e.Kind != models.PushEvent && e.Kind != models.ReleaseEvent:
		return "", about, &Refusal{Reason: "Only what was planned for pull requests, pushes, releases and comments can be planned again."}
	case e.Commit.Kind == models.PullRequestRef:
		number, err := strconv.Atoi(e.Commit.Ref)
		if err != nil {
			return "", about, fmt.Errorf("reading the number of pull request %s: %w", e.Commit.Ref, err)
		}
		pull, err := forge.PullRequest(ctx, e.Project, number)
		if err != nil {
			return "", about, fmt.Errorf("reading pull request %d of %s: %w", number, e.Project.Path(), err)
		}
		return pull.HeadSHA, circumstances{labels: pull.Labels}, nil
	case e.Commit.Kind == models.BranchRef:
		sha, err := forge.BranchHead(ctx, e.Project, e.Commit.Ref)
		if err != nil {
			return "", about, fmt.Errorf("reading branch %s of %s: %w", e.Commit.Ref, e.Project.Path(), err)
		}
		if e.Kind == models.PushEvent && e.Message != nil {
			about, err = r.aboutPush(ctx, e, e.Message)
		}
		return sha, about, err
	}
	return e.Commit.SHA, about, nil
}

// unreadable makes an error of reading the config of an event one for people,
// unless it may go away by itself.
func unreadable(e *models.Event, err error) error {
	bad := &models.ConfigError{File: e.ConfigFile, SHA: e.ConfigSHA}
	if problems, ok := packageconfig.AsErrors(err); ok {
		for _, p := range problems {
			bad.Problems = append(bad.Problems, p.Error())
		}
		return bad
	}
	if _, final := errors.AsType[*Refusal](err); final || !temporary(err) {
		bad.Problems = []string{inWords(err)}
		return bad
	}
	return err
}

// askedAgain is what a comment asked for whose event that is, without the jobs
// that plans of earlier events have; nil for other events.
func (r *Runner) askedAgain(ctx context.Context, e *models.Event, p *models.Pipeline, config *models.PackageConfig) (*models.Asked, error) {
	if e.Kind != models.CommentEvent || e.Message == nil {
		return nil, nil
	}
	asked := &models.Asked{Have: map[models.JobRef]int64{}}
	for _, said := range models.ParseCommands(r.Prefix, e.Message.Comment) {
		if said.Command != nil && said.Command.Name.StartsRuns() {
			asked.Commands = append(asked.Commands, said.Command)
		}
	}
	if len(asked.Commands) == 0 {
		return nil, &models.ConfigError{Problems: []string{"The comment that asked for it cannot be understood any more."}}
	}
	plans, err := r.Store.NewestAt(ctx, p.ProjectID, p.Kind, p.Ref, p.SHA)
	if err != nil {
		return nil, err
	}
	for _, other := range plans {
		if other.EventID >= p.EventID || other.Package != p.Package {
			continue
		}
		full, err := r.Store.Pipeline(ctx, other.ID)
		if err != nil {
			return nil, err
		}
		if err := haveJobs(asked.Have, full, config); err != nil {
			return nil, err
		}
	}
	return asked, nil
}

// haveJobs notes which jobs of a config a pipeline has, though their places in
// the file may be others now.
func haveJobs(have map[models.JobRef]int64, p *models.Pipeline, config *models.PackageConfig) error {
	for _, step := range p.Steps {
		if step.JobIndex < 0 {
			continue
		}
		was, err := step.View()
		if err != nil {
			return err
		}
		for i := range config.Jobs {
			view := &config.Jobs[i]
			if view.Type == was.Type && view.Trigger == was.Trigger && view.Package == was.Package && view.ID() == was.ID() {
				have[models.JobRef{Index: view.Index, Package: view.Package}] = p.ID
			}
		}
	}
	return nil
}

// whyNothing says why a config plans nothing for a package.
func whyNothing(name string, decisions []models.Decision) []string {
	lines := []string{"It plans nothing for this any more."}
	for _, d := range decisions {
		if d.Package == name && d.Reason != "" && len(lines) < 20 {
			lines = append(lines, fmt.Sprintf("Job %d, %s: %s", d.JobIndex, d.Job, d.Reason))
		}
	}
	return lines
}
