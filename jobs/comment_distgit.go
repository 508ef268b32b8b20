package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"millrace/clients/httpx"
	"millrace/clients/koji"
	"millrace/models"
	"millrace/models/store"
)

// forbiddenInDistGit says why nothing is done about a command that is for pull
// requests in dist-git, or nothing. Open or merged, they are about the branch that
// the pull request is for.
func (r *Runner) forbiddenInDistGit(ctx context.Context, o *order, c *models.Command) (string, error) {
	kind := models.KojiBuildStep
	switch c.Name {
	case models.UpdateCommand:
		kind = models.BodhiUpdateStep
	case models.PullCommand:
		kind = models.PullFromUpstreamStep
	}
	switch {
	case r.Kinds[kind] == nil || (r.Koji == nil && c.Name != models.PullCommand):
		return fmt.Sprintf("This service understands the command %s, but does not carry it out yet.", c.Name), nil
	case !r.Packages.Holds(o.event.Project) || o.on != onPull:
		return fmt.Sprintf("The command %s is for pull requests of packages in dist-git.", c.Name), nil
	}
	reason, err := r.notAllowed(ctx, o.event)
	if reason != "" || err != nil {
		return reason, err
	}
	actor := o.event.Actor
	can, err := o.forge.CanMerge(ctx, o.event.Project, actor)
	if err != nil {
		return "", fmt.Errorf("asking what %s may do in %s: %w", actor, o.event.Project.Path(), err)
	}
	switch {
	case can:
		return "", nil
	case c.Name == models.UpdateCommand:
		return "This is for those who may commit to the package.", nil
	}
	packagers, err := r.packagers(ctx, o.event.Project)
	if err != nil {
		return "", fmt.Errorf("asking who is a packager: %w", err)
	}
	if !slices.Contains(packagers, actor) {
		return fmt.Sprintf("This is for packagers: members of the group %s, or those who may commit to the package.", r.Packages.packagerGroup()), nil
	}
	return "", nil
}

// packagers are the members of the group of packagers, as the account system
// knows them, or dist-git where there is none.
func (r *Runner) packagers(ctx context.Context, p *models.Project) (members []string, err error) {
	if group := r.Packages.packagerGroup(); r.GroupMembers != nil {
		members, err = r.GroupMembers(ctx, group)
	} else {
		members, err = r.Packages.GroupMembers(ctx, pathOf(p), group)
	}
	if httpx.Status(err) == http.StatusNotFound {
		return nil, nil
	}
	return members, err
}

// inDistGit carries out a command in a comment on a pull request of a package, for
// the newest commit of the branch that it is for.
func (r *Runner) inDistGit(ctx context.Context, o *order, c *models.Command) error {
	if c.Name == models.KojiTagCommand {
		return r.tagForSideTags(ctx, o, c)
	}
	project, target := o.event.Project, o.pull.Target
	head, err := o.forge.BranchHead(ctx, project, target)
	if httpx.Status(err) == http.StatusNotFound {
		reason := fmt.Sprintf("The branch %s is gone.", target)
		o.note(models.EventNothing, reason, reason)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the head of %s in %s: %w", target, project.Path(), err)
	}
	commit := &models.Commit{ProjectID: project.ID, Kind: models.BranchRef, Ref: target, SHA: head, Title: o.pull.Title}
	return r.planAsked(ctx, o, c, commit, circumstances{
		downstream: models.Downstream{IsPackage: true, Branch: target, Actor: o.event.Actor},
	})
}

// createPlanned writes the pipelines that commands in dist-git ask for.
func (r *Runner) createPlanned(ctx context.Context, o *order) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		now, err := tx.LockEvent(ctx, o.event.ID)
		if err != nil || now.State != models.EventNew {
			return err
		}
		if _, err := r.announce(ctx, tx, o.event, o.news); err != nil { // that others told of it before changes nothing
			return err
		}
		out := copied(o.outcome)
		for _, p := range o.planned {
			g, err := r.createOne(ctx, tx, o.event, p)
			if err != nil {
				return err
			}
			out.note(models.EventPlanned, fmt.Sprintf("Pipeline %d was planned.", g.ID), fmt.Sprintf("%s/pipelines/%d", r.Base, g.ID))
		}
		return r.finish(ctx, tx, o.event, out)
	})
}

// tagForSideTags puts the stable build of a package into the side tags of its
// groups, so that others are built against it there.
func (r *Runner) tagForSideTags(ctx context.Context, o *order, c *models.Command) error {
	e := *o.event
	config, err := r.askedConfig(ctx, o, c, &e)
	if err != nil || config == nil {
		return err
	}
	releases, err := r.Releases(ctx)
	if err != nil {
		return err
	}
	base, done := o.event.Project.DefaultBranch, map[string]bool{}
	for i := range config.Jobs {
		view := &config.Jobs[i]
		if view.Type != models.JobKojiBuild || view.Group() == "" || !c.About(view.Package) {
			continue
		}
		branches := []string{o.pull.Target}
		if c.AllBranches {
			branches = view.Branches(releases, base)
		}
		for _, branch := range branches {
			if key := view.Group() + " " + branch; done[key] || !view.ForBranch(releases, base, branch) {
				continue
			} else {
				done[key] = true
			}
			said, err := r.tagStable(ctx, o, view.Group(), branch)
			if refusal, ok := errors.AsType[*Refusal](err); ok {
				said, err = refusal.Reason, nil
			}
			if err != nil {
				return err
			}
			o.note(models.EventApplied, said, said)
		}
	}
	if len(done) == 0 {
		reason := fmt.Sprintf("No koji_build job of the package config with a sidetag_group is for %s.", o.pull.Target)
		o.note(models.EventNothing, reason, reason)
	}
	return nil
}

// tagStable has the stable build of a package tagged with the side tag of a group,
// and says so.
func (r *Runner) tagStable(ctx context.Context, o *order, group, branch string) (string, error) {
	name := o.event.Project.Name
	stable, err := r.Koji.stable(ctx, branch, name)
	if err != nil {
		return "", err
	}
	if stable == nil {
		return fmt.Sprintf("There is no stable build of %s for %s.", name, branch), nil
	}
	tag, err := r.Koji.sideTag(ctx, fmt.Sprintf("event %d", o.event.ID), group, branch)
	if err != nil {
		return "", err
	}
	there, err := r.Koji.Client.Tagged(ctx, tag.Name, koji.TaggedFilter{Package: name})
	if err != nil {
		return "", fmt.Errorf("looking into the side tag %s: %w", tag.Name, err)
	}
	if slices.ContainsFunc(there, func(b koji.Build) bool { return b.NVR == stable.NVR }) {
		return fmt.Sprintf("%s is in the side tag %s already.", stable.NVR, tag.Name), nil
	}
	if _, err := r.Koji.Client.TagBuild(ctx, tag.Name, stable.NVR); err != nil {
		return "", r.Koji.refused(err, "tagging "+stable.NVR+" with "+tag.Name)
	}
	return fmt.Sprintf("%s is being tagged with %s.", stable.NVR, tag.Name), nil
}
