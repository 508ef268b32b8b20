package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/forge"
	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
)

// announce stores what an event tells of, on the way of a release. If an event told of
// the first of it already it returns that event's id.
func (r *Runner) announce(ctx context.Context, tx *store.Tx, e *models.Event, news []Made) (other int64, err error) {
	for _, made := range news {
		if err := tx.EnsureProject(ctx, made.Project); err != nil {
			return 0, err
		}
		made.ProjectID, made.EventID = made.Project.ID, e.ID
		if err := r.saveProduct(ctx, tx, made.Product, made.From...); err != nil {
			return 0, err
		}
		if made.EventID != e.ID {
			return made.EventID, nil
		}
	}
	return 0, nil
}

// releaseOf is the release that an event tells of.
func releaseOf(e *models.Event, ref, version string) Made {
	project := *e.Project
	return Made{
		Product: &models.Product{
			Kind: models.ReleaseProduct, Key: models.ReleaseRefOf(&project, ref).Key, Package: project.Name,
			Name: ref, Version: version, State: models.ProductDone, URL: e.Message.URL,
		},
		Project: &project,
	}
}

// aboutPush is what a push means on the way of a release, if it is to a package in
// dist-git: a commit on a branch, of a merged pull request or of somebody who
// pushed.
func (r *Runner) aboutPush(ctx context.Context, e *models.Event, m *models.Message) (circumstances, error) {
	if !r.Packages.Holds(e.Project) {
		return circumstances{}, nil
	}
	about := circumstances{downstream: models.Downstream{IsPackage: true, Branch: m.Branch, Actor: m.Actor, Changed: m.Changed}}
	project := *e.Project
	commit := Made{
		Product: &models.Product{
			Kind: models.CommitProduct, Key: models.CommitRefOf(&project, m.Branch, m.Commit).Key, Package: project.Name, Branch: m.Branch,
			Name: fmt.Sprintf("%.7s", m.Commit), State: models.ProductDone, URL: r.Packages.CommitURL(pathOf(&project), m.Commit),
			Data: models.ProductData{Commit: m.Commit, Author: m.Actor},
		},
		Project: &project,
	}
	number := m.PR
	if number == 0 {
		var err error
		if number, err = r.Packages.MergedBy(ctx, pathOf(e.Project), m.Branch, m.Commit); err != nil {
			return about, err
		}
	}
	if number > 0 {
		pull, err := r.Packages.Pull(ctx, pathOf(e.Project), number)
		if err != nil && httpx.Status(err) != http.StatusNotFound {
			return about, fmt.Errorf("reading pull request %d of %s: %w", number, e.Project.Path(), err)
		}
		if err == nil {
			about.downstream.Author, about.labels = pull.Author, pull.Labels
		}
		commit.From = []models.ProductRef{models.PullRefOf(&project, number)}
		if err := r.watchNow(ctx, commit.From[0]); err != nil {
			return about, err
		}
	}
	about.news = []Made{commit}
	return about, nil
}

// handleKojiBuild has Koji asked about a build of ours, and plans what is to be
// done for one that is complete, whoever made it.
func (r *Runner) handleKojiBuild(ctx context.Context, e *models.Event, m *models.Message) error {
	ours, err := r.pollOwn(ctx, models.KojiBuildStep, m.TaskID)
	if err != nil {
		return err
	}
	switch {
	case !r.Packages.Holds(e.Project) && ours != nil:
		return r.conclude(ctx, e, models.EventApplied, fmt.Sprintf("It is about pipeline %d.", ours.PipelineID))
	case !r.Packages.Holds(e.Project):
		return r.conclude(ctx, e, models.EventNothing, "It was not built from the dist-git that this service works with.")
	case m.State != "complete" && ours != nil:
		return r.conclude(ctx, e, models.EventApplied, fmt.Sprintf("It is about pipeline %d.", ours.PipelineID))
	case m.State != "complete":
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("The build is %s; what follows waits until it is complete.", m.State))
	case m.Branch == "":
		return r.conclude(ctx, e, models.EventNothing, "It was built for no branch of dist-git.")
	}
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	project := *e.Project
	built := Made{Product: buildProduct(m), Project: &project}
	built.PollAt = store.Now().Add(r.Timing.Poll) // for its updates
	if m.Commit != "" {
		built.From = []models.ProductRef{models.CommitRefOf(&project, m.Branch, m.Commit)}
	}
	return r.planCommit(ctx, forge, e, &models.Commit{
		ProjectID: e.ProjectID, Kind: models.BranchRef, Ref: m.Branch, SHA: m.Commit, Title: m.NVR,
	}, circumstances{downstream: models.Downstream{IsPackage: true, Branch: m.Branch, Actor: m.Actor}, news: []Made{built}})
}

// buildProduct is the build that a message is about.
func buildProduct(m *models.Message) *models.Product {
	task, _ := strconv.ParseInt(m.TaskID, 10, 64) // zero: Koji did not build it, it was imported
	build, _ := strconv.ParseInt(m.ExternalID, 10, 64)
	p := &models.Product{
		Kind: models.BuildProduct, Key: models.BuildRefOf(task).Key, Package: m.Package, Branch: m.Branch, Name: m.NVR,
		State: models.ProductComplete, URL: m.URL, Data: models.ProductData{TaskID: task, BuildID: build, Author: m.Actor, Commit: m.Commit},
	}
	if task == 0 {
		p.Key = models.ImportRefOf(build).Key
	}
	return p
}

// pollOwn has the service asked at once about the submission that it knows by an
// id, and returns it; nil if none of ours is.
func (r *Runner) pollOwn(ctx context.Context, kind models.StepKind, externalID string) (*models.RunGroup, error) {
	if externalID == "" {
		return nil, nil
	}
	group, err := r.Store.GroupByExternalID(ctx, kind, externalID)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil || group.Phase != models.PhaseSubmitted {
		return group, err
	}
	return group, r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.PollNow(ctx, group.ID); err != nil {
			return err
		}
		return r.Queue.Add(ctx, tx, pollArgs{group.ID})
	})
}

// configOf is the package config that counts for an event: the file at its
// commit, or, for a package in dist-git, the file on its default branch and what
// is switched on without one. missing says that there is neither.
func (r *Runner) configOf(ctx context.Context, forge Forge, e *models.Event) (config *models.PackageConfig, missing string, err error) {
	if !r.Packages.Holds(e.Project) {
		return r.readConfig(ctx, forge, e, e.Commit.SHA)
	}
	head, err := forge.BranchHead(ctx, e.Project, e.Project.DefaultBranch)
	if err != nil {
		return nil, "", fmt.Errorf("reading the head of %s in %s: %w", e.Project.DefaultBranch, e.Project.Path(), err)
	}
	file, missing, err := r.readConfig(ctx, forge, e, head)
	if err != nil {
		return nil, "", err
	}
	switched, err := r.Store.Automations(ctx, e.ProjectID)
	if err != nil || !slices.ContainsFunc(switched, func(a *models.Automation) bool { return a.Enabled }) {
		if missing != "" {
			missing = strings.TrimSuffix(missing, ".") + ", and nothing is switched on for the package."
		}
		return file, missing, err
	}
	automated, err := packageconfig.ParseAutomations(switched, packageconfig.Options{
		RepoName: e.Project.Name, RepoFiles: []string{e.Project.Name + ".spec"},
	})
	if err != nil {
		return nil, "", err
	}
	if file == nil {
		text, err := packageconfig.WriteAutomations(switched)
		if err != nil {
			return nil, "", err
		}
		e.ConfigFile, e.ConfigText = "", string(text)
	}
	config, e.Decisions = packageconfig.Join(file, automated, e.ConfigFile)
	return config, "", nil
}

// ConfigOfPackage is the package config that counts for a package in dist-git, nil
// if it has none.
func (r *Runner) ConfigOfPackage(ctx context.Context, p *models.Project) (*models.PackageConfig, error) {
	forge, err := r.Forge(p)
	if err != nil {
		return nil, err
	}
	e := &models.Event{Project: p}
	known, err := r.Store.ProjectAt(ctx, p.Forge, p.Namespace, p.Name)
	if err == nil {
		e.ProjectID = known.ID
	} else if !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	config, _, err := r.configOf(ctx, forge, e)
	return config, err
}

// downstreamFacts looks up what planning must know of dist-git for the jobs that
// are about it.
func (r *Runner) downstreamFacts(ctx context.Context, e *models.Event, config *models.PackageConfig, facts *models.Facts) error {
	d := &facts.Downstream
	if err := r.lookUpAuthor(ctx, e, config, facts); err != nil {
		return err
	}
	if r.Packages == nil {
		return nil
	}
	d.Defaults = map[string]string{}
	if d.IsPackage {
		d.Defaults[pathOf(e.Project)] = e.Project.DefaultBranch
	}
	trigger, _ := models.TriggerOf(e.Kind)
	for i := range config.Jobs {
		view := &config.Jobs[i]
		if !d.IsPackage && view.Type == models.JobProposeDownstream && view.Trigger == trigger {
			if err := r.lookUpDefault(ctx, d, view.DistGitPath()); err != nil {
				return err
			}
		}
		if !d.IsPackage {
			continue
		}
		for _, list := range [][]string{view.AllowedPRAuthors, view.AllowedCommitters, view.AllowedBuilders} {
			for _, name := range list {
				if err := r.lookUpMembers(ctx, d, pathOf(e.Project), name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lookUpAuthor finds out whether the author of a pull request may write to the
// repository, if a job asks.
func (r *Runner) lookUpAuthor(ctx context.Context, e *models.Event, config *models.PackageConfig, facts *models.Facts) error {
	asks := slices.ContainsFunc(config.Jobs, func(v models.JobView) bool { return v.Type == models.JobUpstreamKojiBuild })
	if !asks || !facts.Kinds[models.KojiScratchStep] || e.Commit.Kind != models.PullRequestRef || e.Commit.Author == "" {
		return nil
	}
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	may, err := forge.CanMerge(ctx, e.Project, e.Commit.Author)
	if err != nil {
		return fmt.Errorf("asking what %s may do in %s: %w", e.Commit.Author, e.Project.Path(), err)
	}
	facts.Downstream.MayWrite = may
	return nil
}

func (r *Runner) lookUpDefault(ctx context.Context, d *models.Downstream, repo string) error {
	if d.Defaults[repo] != "" {
		return nil
	}
	found, err := r.Packages.Repository(ctx, repo)
	if httpx.Status(err) == http.StatusNotFound {
		return nil // the step says so, with the branch
	}
	if err != nil {
		return fmt.Errorf("asking dist-git about %s: %w", repo, err)
	}
	d.Defaults[repo] = found.DefaultBranch
	return nil
}

// lookUpMembers finds out who is meant by a name that means several.
func (r *Runner) lookUpMembers(ctx context.Context, d *models.Downstream, repo, name string) error {
	if _, known := d.Members[name]; known {
		return nil
	}
	var members []string
	group, isGroup := strings.CutPrefix(name, "@")
	switch {
	case isGroup:
		var err error
		if members, err = r.Packages.GroupMembers(ctx, repo, group); err != nil && httpx.Status(err) != http.StatusNotFound {
			return fmt.Errorf("asking who is in %s: %w", name, err)
		}
	case name == "all_admins" || name == "all_committers":
		access, err := r.Packages.Access(ctx, repo)
		if err != nil {
			return fmt.Errorf("asking who may commit to %s: %w", repo, err)
		}
		if members, err = r.withGroups(ctx, repo, access, name == "all_committers"); err != nil {
			return err
		}
	default:
		return nil
	}
	if d.Members == nil {
		d.Members = map[string][]string{}
	}
	d.Members[name] = members
	return nil
}

// withGroups are all who may administer a package, or commit to it too.
func (r *Runner) withGroups(ctx context.Context, repo string, access *forge.Access, committers bool) ([]string, error) {
	members := slices.Clone(access.Admins)
	if access.Owner != "" {
		members = append(members, access.Owner)
	}
	groups := slices.Clone(access.AdminGroups)
	if committers {
		members, groups = append(members, access.Committers...), append(groups, access.CommitterGroups...)
	}
	for _, group := range groups {
		more, err := r.Packages.GroupMembers(ctx, repo, group)
		if httpx.Hidden(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("asking who is in @%s: %w", group, err)
		}
		members = append(members, more...)
	}
	return members, nil
}
