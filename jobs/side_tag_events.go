package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/httpx"
	"millrace/clients/koji"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
)

// maxDependents is how many packages one build in a side tag starts at most.
const maxDependents = 100

// handleKojiTag follows up a build that came to a side tag of ours. What it starts
// is planned in each package's own project, for a message of our own that names
// the branch.
func (r *Runner) handleKojiTag(ctx context.Context, d *models.Delivery, m *models.Message) error {
	tag, err := r.Store.SideTagNamed(ctx, m.Tag)
	if errors.Is(err, models.ErrNotFound) || r.Koji == nil {
		return r.unheard(ctx, d, "It is about no side tag of this service.") // Koji tells of every tag of every build
	}
	if err != nil {
		return err
	}
	e, err := r.event(ctx, d, m)
	if err != nil || e.State != models.EventNew {
		return err
	}
	if !r.Packages.Holds(e.Project) {
		return r.conclude(ctx, e, models.EventNothing, "It is not about a package of the dist-git that this service works with.")
	}
	if m.Branch != "" {
		return r.planDependent(ctx, e, m, tag)
	}
	return r.startDependents(ctx, e, m, tag)
}

// startDependents tells the packages that wait for a build in a side tag.
func (r *Runner) startDependents(ctx context.Context, e *models.Event, m *models.Message, tag *models.SideTag) error {
	builds, err := r.Koji.Client.Tagged(ctx, tag.Name, koji.TaggedFilter{})
	if koji.IsNoTag(err) {
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("The side tag %s is gone.", tag.Name))
	}
	if err != nil {
		return fmt.Errorf("looking into the side tag %s: %w", tag.Name, err)
	}
	started, err := r.dependents(ctx, e, m, tag, builds)
	if err != nil {
		return err
	}
	news, err := r.taggedNews(e, m, tag, builds)
	if err != nil {
		return err
	}
	if slices.Contains(started, m.Package) {
		news = nil // the package's own event tells of its build
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if other, err := r.announce(ctx, tx, e, news); err != nil || other != 0 {
			if err == nil {
				err = r.decided(ctx, tx, e, models.EventNothing, fmt.Sprintf("Event %d told of it already.", other))
			}
			return err
		}
		fresh := 0
		for _, name := range started {
			project, err := r.Packages.Project("rpms/" + name)
			if err != nil {
				return err
			}
			follow := *m
			follow.ProjectURL, follow.Branch = project.URL, tag.Branch
			is, err := r.deliver(ctx, tx, fmt.Sprintf("koji tag %s %s for %s", tag.Name, m.NVR, name), &follow)
			if err != nil {
				return err
			}
			if is {
				fresh++
			}
		}
		switch {
		case len(started) == 0:
			return r.decided(ctx, tx, e, models.EventNothing, fmt.Sprintf("No package waits for it in the group %s.", tag.Group))
		case fresh == 0:
			return r.decided(ctx, tx, e, models.EventNothing, "Another event told of it already.")
		}
		return r.decided(ctx, tx, e, models.EventApplied, fmt.Sprintf("It is for %s, in the group %s.", strings.Join(started, ", "), tag.Group))
	})
}

// dependents are the packages that are to be looked at because of a build: those
// that jobs of the packages in the side tag name, or, where they name none, the
// package that was built.
func (r *Runner) dependents(ctx context.Context, e *models.Event, m *models.Message, tag *models.SideTag, builds []koji.Build) ([]string, error) {
	var started []string
	add := func(name string) {
		if !slices.Contains(started, name) && len(started) < maxDependents && validPackage(name) {
			started = append(started, name)
		}
	}
	names := []string{m.Package}
	for _, b := range builds {
		if !slices.Contains(names, b.Package) && len(names) < maxDependents {
			names = append(names, b.Package)
		}
	}
	for _, name := range names {
		config, err := r.packageConfig(ctx, e, name)
		if err != nil {
			return nil, err
		}
		if config == nil {
			continue
		}
		for i := range config.Jobs {
			view := &config.Jobs[i]
			switch {
			case view.Type != models.JobKojiBuild || view.Group() != tag.Group || !view.RunsOn(r.Deployment):
			case len(view.Dependents) == 0 && name == m.Package:
				add(name)
			default:
				for _, dependent := range view.Dependents {
					add(dependent)
				}
			}
		}
	}
	return started, nil
}

// validPackage reports whether a name from a package config can be that of a
// package.
func validPackage(name string) bool {
	return name != "" && len(name) < 200 && !strings.ContainsAny(name, "/?#% \t\n\\") && name[0] != '.'
}

// packageConfig reads what counts for a package now; nil if it has none, or one
// with mistakes, which are for events of its own to tell.
func (r *Runner) packageConfig(ctx context.Context, like *models.Event, name string) (*models.PackageConfig, error) {
	project, err := r.Packages.Project("rpms/" + name)
	if err != nil {
		return nil, nil
	}
	if stored, err := r.Store.ProjectAt(ctx, project.Forge, project.Namespace, project.Name); err == nil {
		project = stored
	} else if !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	forge, err := r.Forge(project)
	if err != nil {
		return nil, err
	}
	e := &models.Event{Kind: like.Kind, ProjectID: project.ID, Project: project}
	if err := r.learn(ctx, forge, e); err != nil {
		if httpx.Status(err) == http.StatusNotFound {
			return nil, nil
		}
		return nil, err
	}
	config, missing, err := r.configOf(ctx, forge, e)
	if _, wrong := packageconfig.AsErrors(err); wrong || missing != "" {
		return nil, nil
	}
	return config, err
}

// planDependent plans what a build in a side tag means for one package, at the
// newest commit of its branch.
func (r *Runner) planDependent(ctx context.Context, e *models.Event, m *models.Message, tag *models.SideTag) error {
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	head, err := forge.BranchHead(ctx, e.Project, m.Branch)
	if httpx.Status(err) == http.StatusNotFound {
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("The package has no branch %s.", m.Branch))
	}
	if err != nil {
		return fmt.Errorf("reading the head of %s in %s: %w", m.Branch, e.Project.Path(), err)
	}
	var news []Made
	if e.Project.Name == m.Package {
		builds, err := r.Koji.Client.Tagged(ctx, tag.Name, koji.TaggedFilter{Package: m.Package})
		if err != nil {
			return fmt.Errorf("looking into the side tag %s: %w", tag.Name, err)
		}
		if news, err = r.taggedNews(e, m, tag, builds); err != nil {
			return err
		}
	}
	return r.planCommit(ctx, forge, e, &models.Commit{
		ProjectID: e.ProjectID, Kind: models.BranchRef, Ref: m.Branch, SHA: head, Title: m.NVR,
	}, circumstances{downstream: models.Downstream{
		IsPackage: true, Branch: m.Branch, Actor: m.Actor, Group: tag.Group, Tagged: m.Package,
	}, news: news})
}

// taggedNews is the build that was tagged, if it still is.
func (r *Runner) taggedNews(e *models.Event, m *models.Message, tag *models.SideTag, builds []koji.Build) ([]Made, error) {
	id, err := strconv.ParseInt(m.ExternalID, 10, 64)
	if err != nil {
		return nil, nil
	}
	i := slices.IndexFunc(builds, func(b koji.Build) bool { return b.ID == id })
	if i < 0 {
		return nil, nil
	}
	project, err := r.Packages.Project("rpms/" + m.Package)
	if err != nil {
		return nil, err
	}
	p := r.Koji.product(builds[i], tag.Branch)
	p.Data.SideTag, p.PollAt = tag.Name, store.Now().Add(r.Timing.Poll)
	made := Made{Product: p, Project: project}
	if p.Data.Commit != "" {
		made.From = []models.ProductRef{models.CommitRefOf(project, tag.Branch, p.Data.Commit)}
	}
	return []Made{made}, nil
}
