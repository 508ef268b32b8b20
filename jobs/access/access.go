// Package access finds out who may do what: it asks dist-git, forges and the
// account system what somebody is to a project or package, and models.May what
// follows from that. Everything that people may not all do asks here, at the
// click and again before it is carried out.
//
// What a source says is believed for minutes. A source that does not answer
// gives no right, and takes away none that another gives: whoever needs it is
// told that it cannot be told now.
package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"millrace/clients/fasjson"
	"millrace/clients/forge"
	"millrace/models"
	"millrace/models/store"
)

const (
	fresh    = 5 * time.Minute // as long is believed what a source said
	patience = 4 * time.Second // with one question
	pause    = 5 * time.Second // after which a source that did not answer is asked again
	maxAsked = 16              // questions at once in one process
)

// Rights says who may do what. Its fields are set before use and not changed
// afterwards; sources that are nil are not asked. It is safe for concurrent use,
// and a nil *Rights knows nothing but who is an operator.
type Rights struct {
	Store     *store.Store
	Log       *slog.Logger
	Operators []string // groups whose members operate this service

	DistGit     Packages
	DistGitHost string           // forge of the projects that are packages: src.fedoraproject.org
	Forges      map[string]Forge // by host
	Accounts    *fasjson.Client

	Fresh    time.Duration // instead of the usual 5 minutes; 0: those
	Patience time.Duration // instead of the usual 4 seconds; 0: those

	questions questions
}

// Packages knows who may commit to packages, which are paths: "rpms/hello".
type Packages interface {
	Access(ctx context.Context, repo string) (*forge.Access, error)
	// GroupMembers are those of a group that Access has named.
	GroupMembers(ctx context.Context, repo, group string) ([]string, error)
}

// Forge knows who may write to its projects.
type Forge interface {
	// Service is the account system's word for it.
	Service() fasjson.Service
	// AccountID is the number that an account keeps when it is renamed; 0: there is
	// none of that name.
	AccountID(ctx context.Context, login string) (int64, error)
	// Role is what an account there may do with a project.
	Role(ctx context.Context, p *models.Project, login string) (models.Role, error)
}

// May says whether the viewer may do right to a pipeline: to all of it, or to
// these steps of it. It loads what p lacks.
func (r *Rights) May(ctx context.Context, viewer *models.Viewer, right models.Right, p *models.Pipeline, steps ...*models.Step) models.Verdict {
	if verdict, done := hopeless(viewer, right, p.Project); done {
		return verdict
	}
	o, err := r.pipelineObject(ctx, right, p, steps)
	return r.decide(ctx, viewer, right, o, err)
}

// StillMay says whether the user who asked for a pipeline may still have a step
// of it carried out. It is for pipelines that a user asked for.
func (r *Rights) StillMay(ctx context.Context, p *models.Pipeline, step *models.Step) models.Verdict {
	user, err := r.Store.User(ctx, p.RequesterID)
	if err != nil {
		return models.May(&models.Viewer{}, models.RerunRight, r.silent(ctx, models.About{}, "the database", err))
	}
	return r.May(ctx, r.Viewer(ctx, user, r.Operators), models.RerunRight, p, step)
}

// MayProject is May about a project as such: its settings, its hooks.
func (r *Rights) MayProject(ctx context.Context, viewer *models.Viewer, right models.Right, p *models.Project) models.Verdict {
	if verdict, done := hopeless(viewer, right, p); done {
		return verdict
	}
	return r.decide(ctx, viewer, right, object{project: p}, nil)
}

// About is all that can be found out of what the viewer is to a project and a
// pipeline of it, which may be nil, for what writes nothing to Fedora.
func (r *Rights) About(ctx context.Context, viewer *models.Viewer, project *models.Project, pipeline *models.Pipeline) models.About {
	o, err := object{project: project}, error(nil)
	if pipeline != nil {
		o, err = r.pipelineObject(ctx, models.CancelRight, pipeline, nil)
	}
	about := o.about()
	if err != nil {
		return r.silent(ctx, about, "the database", err)
	}
	return r.find(ctx, viewer, o, func(models.About) bool { return false })
}

// Links are the accounts that the viewer names at the forges, by the forge's
// name; none if the account system cannot be asked at all.
func (r *Rights) Links(ctx context.Context, viewer *models.Viewer) ([]models.Link, error) {
	if r == nil || r.Accounts == nil {
		return nil, nil
	}
	var all []models.Link
	for _, host := range slices.Sorted(maps.Keys(r.Forges)) {
		l, err := r.link(ctx, viewer, host, r.Forges[host])
		if err != nil {
			return nil, fmt.Errorf("asking for the account of %s at %s: %w", viewer.Login, host, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// Login is the login that the user who asked for a pipeline has at the forge of
// its project, if that is proved; else nothing. It is for pipelines that a user
// asked for.
func (r *Rights) Login(ctx context.Context, p *models.Pipeline) (string, error) {
	user, err := r.Store.User(ctx, p.RequesterID)
	if err != nil {
		return "", err
	}
	if p.Project.Forge == r.DistGitHost { // where accounts are those of here
		return user.Login, nil
	}
	forge := r.Forges[p.Project.Forge]
	if forge == nil || r.Accounts == nil {
		return "", nil
	}
	link, err := r.link(ctx, r.Viewer(ctx, user, r.Operators), p.Project.Forge, forge)
	if err != nil || !link.Proved() {
		return "", err
	}
	return link.Account, nil
}

// hopeless decides without asking anybody, where the answer is the same
// whatever the sources would say.
func hopeless(viewer *models.Viewer, right models.Right, p *models.Project) (models.Verdict, bool) {
	best := models.About{Role: models.Maintainer}
	if viewer != nil {
		best.Author, best.Requester = viewer.Login, viewer.Login
	}
	if p != nil {
		best.Object = p.FullName()
	}
	verdict := models.May(viewer, right, best)
	return verdict, !verdict.Allowed
}

func (r *Rights) decide(ctx context.Context, viewer *models.Viewer, right models.Right, o object, err error) models.Verdict {
	about := o.about()
	if err != nil {
		about = r.silent(ctx, about, "the database", err)
	} else {
		about = r.find(ctx, viewer, o, func(f models.About) bool { return models.May(viewer, right, f).Allowed })
	}
	return models.May(viewer, right, about)
}

// find asks one source after the other until enough is known.
func (r *Rights) find(ctx context.Context, viewer *models.Viewer, o object, enough func(models.About) bool) models.About {
	f := o.about()
	if viewer == nil || r == nil {
		return f
	}
	if o.pipeline != nil && o.pipeline.RequesterID != 0 && o.pipeline.RequesterID == viewer.ID {
		f.Requester = viewer.Login
	}
	if o.project.Forge == r.DistGitHost { // where accounts are those of here
		f = o.own(f, viewer, viewer.Login)
	}
	if enough(f) {
		return f
	}
	if o.production {
		return r.findPackages(ctx, viewer, o, f)
	}
	for _, ask := range []func(context.Context, *models.Viewer, object, models.About) models.About{r.findAtForge, r.findPackages} {
		if f = ask(ctx, viewer, o, f); enough(f) {
			break
		}
	}
	return f
}

// findAtForge asks what the account that the viewer has at the project's forge
// is to the project and the pull request.
func (r *Rights) findAtForge(ctx context.Context, viewer *models.Viewer, o object, f models.About) models.About {
	forge := r.Forges[o.project.Forge]
	if forge == nil || r.Accounts == nil {
		return f
	}
	link, err := r.link(ctx, viewer, o.project.Forge, forge)
	switch {
	case errors.Is(err, errHolder):
		return r.silent(ctx, f, o.project.Forge, err)
	case err != nil:
		return r.silent(ctx, f, "the account system", err)
	case link.Account == "":
		f.Unlinked = o.project.Forge
		return f
	case !link.Proved():
		f.Unproved = link
		return f
	}
	account := link.Account
	f = o.own(f, viewer, account)
	grant, err := r.grant(ctx, viewer, o.project.Path(), o.project.Forge, func(ctx context.Context) (models.Grant, error) {
		role, err := forge.Role(ctx, o.project, account)
		return models.Grant{Role: role}, err
	})
	f.Role = max(f.Role, grant.Role)
	if err != nil {
		f = r.silent(ctx, f, o.project.Forge, err)
	}
	return f
}

// findPackages asks what the viewer is to all packages that the object is about.
func (r *Rights) findPackages(ctx context.Context, viewer *models.Viewer, o object, f models.About) models.About {
	concerns := o.packages(r.DistGitHost)
	if r.DistGit == nil || len(concerns) == 0 {
		return f
	}
	role := models.Maintainer
	var silent error
	for _, c := range concerns {
		grant, err := r.grant(ctx, viewer, c.Package, "dist-git", func(ctx context.Context) (models.Grant, error) {
			return r.grantOf(ctx, viewer.Login, c.Package)
		})
		if err != nil {
			silent = err
		}
		role = min(role, grant.On(c.Branches...))
	}
	if silent != nil {
		f = r.silent(ctx, f, "dist-git", silent)
	}
	if !o.production && o.project.Forge != r.DistGitHost {
		role = min(role, models.Committer) // a config names the package; that makes nobody administrator here
	}
	f.Role = max(f.Role, role)
	return f
}

// silent notes that a source could not be asked.
func (r *Rights) silent(ctx context.Context, f models.About, source string, err error) models.About {
	f.Silent = append(f.Silent, source)
	if ctx.Err() == nil && r != nil {
		r.Log.WarnContext(ctx, "rights cannot be told", "source", source, "object", f.Object, "error", err)
	}
	return f
}
