package access

import (
	"context"
	"strings"

	"millrace/models"
)

// object is what somebody wants to do something to.
type object struct {
	project    *models.Project
	pipeline   *models.Pipeline // nil: the project as such
	production bool             // what is to be done writes to Fedora
	concerns   []models.Concern // packages that it is about by the package config
	unclear    bool             // it is about packages that the config does not name
}

// pipelineObject is a pipeline, or steps of it, with all that is needed to
// decide about it.
func (r *Rights) pipelineObject(ctx context.Context, right models.Right, p *models.Pipeline, steps []*models.Step) (object, error) {
	if p.Project == nil || p.Commit == nil || (len(p.Steps) == 0 && len(steps) == 0) {
		if r == nil {
			return object{project: projectOf(p), pipeline: p, production: true, unclear: true}, nil
		}
		loaded, err := r.Store.Pipeline(ctx, p.ID)
		if err != nil {
			return object{project: projectOf(p), pipeline: p, unclear: true}, err
		}
		p = loaded
	}
	if len(steps) == 0 {
		steps = p.Steps
	}
	o := object{project: p.Project, pipeline: p}
	if right == models.RerunRight {
		var writing []*models.Step
		for _, s := range steps {
			if s.WritesToFedora() {
				writing = append(writing, s)
			}
		}
		if o.production = len(writing) > 0; o.production {
			steps = writing
		}
	}
	var named bool
	o.concerns, named = models.Concerns(steps)
	o.unclear = !named
	return o, nil
}

func projectOf(p *models.Pipeline) *models.Project {
	if p.Project != nil {
		return p.Project
	}
	return &models.Project{ID: p.ProjectID}
}

// packages are those in dist-git whose committers may do what is to be done; all
// of them are needed. A project that is a package is one of them whatever its
// config says.
func (o *object) packages(distGit string) []models.Concern {
	if o.project.Forge != distGit || distGit == "" {
		if o.unclear {
			return nil
		}
		return o.concerns
	}
	own := models.Concern{Package: o.project.FullName()}
	if o.pipeline != nil {
		own.Branches = branchesOf(o.pipeline)
	}
	if !o.production {
		return []models.Concern{own}
	}
	if o.unclear {
		return nil
	}
	all := []models.Concern{own}
	for _, c := range o.concerns {
		if c.Package == own.Package {
			all[0].Branches = append(all[0].Branches, c.Branches...)
			continue
		}
		all = append(all, c)
	}
	return all
}

// branchesOf is the branch that a pipeline of a package is about.
func branchesOf(p *models.Pipeline) []string {
	switch {
	case p.Kind == models.BranchRef:
		return []string{p.Ref}
	case p.Kind == models.PullRequestRef && p.Commit != nil && p.Commit.TargetRef != "":
		return []string{p.Commit.TargetRef}
	}
	return nil
}

// own notes what of the object is the viewer's, who has that account at its
// forge.
func (o *object) own(f models.About, viewer *models.Viewer, account string) models.About {
	p := o.pipeline
	if p == nil || account == "" {
		return f
	}
	if p.Kind == models.PullRequestRef && p.Commit != nil && strings.EqualFold(account, p.Commit.Author) {
		f.Author = viewer.Login
	}
	if p.RequesterID == 0 && strings.EqualFold(account, p.Actor) {
		f.Requester = viewer.Login
	}
	return f
}

func (o *object) about() models.About {
	f := models.About{Object: o.project.FullName(), Production: o.production}
	if o.production {
		var names []string
		for _, c := range o.concerns {
			names = append(names, c.Package)
		}
		f.Object = strings.Join(names, ", ")
	}
	return f
}
