package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"millrace/clients/git"
	"millrace/clients/httpx"
	"millrace/jobs/sandbox"
	"millrace/jobs/sources"
	"millrace/models"
)

// Propose brings upstream releases to dist-git: a pull request for each branch.
type Propose struct {
	Engine    *Engine
	Builder   *sources.Builder
	Packages  *Packages
	Forge     func(p *models.Project) (Forge, error) // of upstream projects
	Releases  func(context.Context) (models.Releases, error)
	Lookaside sources.Lookaside // nil: archives stay where they are
	DataDir   string            // of work directories
	Program   string            // this one with its version, as notes in dist-git name it
	// Config is what counts for a package in dist-git, nil if nothing does; its
	// DefaultBranch must be known. A nil Config looks for none.
	Config func(ctx context.Context, pkg *models.Project) (*models.PackageConfig, error)
	// Bug finds the bug by which release monitoring announced a version of a
	// package, "" if there is none; nil looks for none.
	Bug func(ctx context.Context, pkg, version string) (string, error)
}

// startsAtOnce is part of local: the work begins when a worker claims it.
func (*Propose) startsAtOnce() {}

// Submit is part of Kind. A pull request that an earlier try opened is found by
// its branches, and brought up to date.
func (k *Propose) Submit(ctx context.Context, w *Work) (Outcome, error) {
	run := w.Runs[0]
	target := w.Target(run)
	log := newLogWriter(func(text []byte) error { return w.Log(run, text) })
	var outcome Outcome
	var err error
	if followed := k.followed(w, target); followed != nil {
		outcome, err = k.follow(ctx, w, run, followed)
	} else {
		outcome, err = k.bringIfWanted(ctx, w, run, log)
	}
	logErr := log.Close()
	if skip, ok := errors.AsType[*sources.SkipError](err); ok {
		return everyRun(w, models.Skipped, skip.Reason), nil
	}
	if err != nil && sources.IsUserError(err) {
		user, _ := errors.AsType[*sources.UserError](err)
		return failed(run, user, log), nil
	}
	if undecided, ok := errors.AsType[*sources.UndecidedError](err); ok {
		return Outcome{}, broken(nil, "%s", undecided.Reason)
	}
	if no, ok := errors.AsType[*sandbox.NoSandboxError](err); ok {
		return Outcome{}, broken(err, "The commands of this package are not run here without a sandbox: %s", no.Reason)
	}
	if err != nil {
		return Outcome{}, err
	}
	if logErr != nil {
		return Outcome{}, fmt.Errorf("keeping the log: %w", logErr)
	}
	return outcome, nil
}

// Poll is part of Kind; nothing is waited for.
func (k *Propose) Poll(context.Context, *Work) (Outcome, error) { return Outcome{}, nil }

// Cancel is part of Kind: the work ends with its lease, and a pull request that
// was opened is for people to close.
func (k *Propose) Cancel(context.Context, *Work) error { return nil }

// followed is the run whose commit is to come to target's branch unchanged; nil
// if the branch gets a commit of its own.
func (k *Propose) followed(w *Work, target *models.Target) *models.Run {
	for _, need := range w.Step.Needs {
		if step := w.Pipeline.Step(need.NeedsID); step != nil && step.Kind == w.Step.Kind {
			if t := step.Target(target.FollowedTarget()); t != nil {
				return t.Run
			}
		}
	}
	return nil
}

// bringIfWanted asks run-condition first, if the package has it.
func (k *Propose) bringIfWanted(ctx context.Context, w *Work, run *models.Run, log *logWriter) (Outcome, error) {
	conditions := &Conditions{Builder: k.Builder, DataDir: k.DataDir}
	stop, err := conditions.check(ctx, w, run, func() (sources.ConditionRequest, error) { return k.condition(ctx, w, run) })
	if err != nil {
		return Outcome{}, err
	}
	if stop != nil {
		return *stop, nil
	}
	return k.bring(ctx, w, run, log)
}

// condition is what run-condition is asked about: the version to pull, with the
// branch that it is for and the tag upstream.
func (k *Propose) condition(ctx context.Context, w *Work, run *models.Run) (sources.ConditionRequest, error) {
	version := w.Pipeline.Ref
	r := sources.ConditionRequest{Version: version, Ref: run.Target}
	if !w.View.CloneReposBeforeRunCondition {
		return r, nil
	}
	origin, err := k.Packages.Repository(ctx, k.repo(w))
	if err != nil {
		return r, fmt.Errorf("asking dist-git about %s: %w", k.repo(w), err)
	}
	r.DistGit.URL = origin.CloneURL
	if url := w.View.UpstreamProjectURL; url != nil && *url != "" {
		r.Upstream.URL, r.Tag = *url, w.View.TagOf(version)
	}
	return r, nil
}

// bring makes the commit for a branch, pushes it to our fork, and proposes it.
func (k *Propose) bring(ctx context.Context, w *Work, run *models.Run, log *logWriter) (Outcome, error) {
	repo := k.repo(w)
	origin, err := k.Packages.Repository(ctx, repo)
	if err != nil {
		return Outcome{}, fmt.Errorf("asking dist-git about %s: %w", repo, err)
	}
	if err := k.giveWay(ctx, w, run, k.head(w, run), k.version(w)); err != nil {
		return Outcome{}, err
	}
	work := filepath.Join(k.DataDir, "work", w.Group.Key)
	if err := sandbox.RemoveAll(work); err != nil {
		return Outcome{}, fmt.Errorf("clearing the work directory: %w", err)
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return Outcome{}, fmt.Errorf("making the work directory: %w", err)
	}
	defer sandbox.RemoveAll(work)
	request, err := k.request(ctx, w, run, git.Remote{URL: origin.CloneURL})
	if err != nil {
		return Outcome{}, err
	}
	request.Work, request.Log = work, log
	synced, err := k.Builder.SyncRelease(ctx, request)
	if err != nil {
		return Outcome{}, err
	}
	fork, err := k.Packages.Fork(ctx, repo, k.Packages.User)
	if err != nil {
		return Outcome{}, fmt.Errorf("getting our fork of %s: %w", repo, err)
	}
	proposal := k.proposal(w, run, synced, request)
	k.addCustoms(ctx, w, proposal, origin, fork)
	var pull opened
	err = k.Engine.alone(ctx, "git:"+fork.CloneURL, w.Group.Key, func(ctx context.Context) error {
		if err := k.giveWay(ctx, w, run, request.Head, synced.Version); err != nil { // who was here first may have brought a newer one
			return err
		}
		remote, err := k.Packages.Remote(ctx, fork)
		if err != nil {
			return err
		}
		err = synced.Repo.Push(ctx, remote, synced.Commit, "refs/heads/"+request.Head, git.PushOptions{Force: true})
		if err != nil {
			return notPushed(repo, remote, err)
		}
		pull, err = k.open(ctx, repo, fork.Path, proposal, proposal.Body(), w.Group.Epoch > 1)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	fmt.Fprintf(log, "==> Pull request %s\n", pull.URL)
	k.share(ctx, w, repo, fork)
	return k.proposed(w, run, pull, synced.Version, synced.Commit, request.Head), nil
}

// notPushed says why a fork cannot be pushed to, and who can do something about it.
func notPushed(repo string, remote git.Remote, err error) error {
	switch {
	case errors.Is(err, git.ErrUntrusted):
		return broken(err, "The host of %s is not the one whose keys this service knows, so nothing is pushed there; ask an operator.", remote.URL)
	case errors.Is(err, git.ErrDenied) && remote.SSH != nil:
		return broken(err, "Dist-git does not let us push to %s with our key; ask an operator.", remote.URL)
	}
	return fmt.Errorf("pushing to our fork of %s: %w", repo, err)
}

// head is the branch of our fork from which a branch of dist-git is proposed to. It is
// the same for all releases: there is at most one pull request for a branch and
// kind of job.
func (k *Propose) head(w *Work, run *models.Run) string {
	if w.Step.Kind == models.PullFromUpstreamStep {
		return run.Target + "-update-pull_from_upstream"
	}
	return run.Target + "-update-propose_downstream"
}

// version is that of the release, as its tag has it.
func (k *Propose) version(w *Work) string {
	if w.Step.Kind == models.PullFromUpstreamStep {
		return w.Pipeline.Ref
	}
	return w.View.VersionOf(w.Pipeline.Ref)
}

// repo is the package that the step is about.
func (k *Propose) repo(w *Work) string {
	if w.Step.Kind == models.PullFromUpstreamStep {
		return pathOf(w.Pipeline.Project)
	}
	return w.View.DistGitPath()
}

// request says what to bring.
func (k *Propose) request(ctx context.Context, w *Work, run *models.Run, origin git.Remote) (sources.SyncRequest, error) {
	p := w.Pipeline
	r := sources.SyncRequest{
		DistGit: origin, Package: &models.ConfigPackage{Name: w.View.Package, Settings: w.View.PackageSettings},
		Branch: run.Target, Head: k.head(w, run), Lookaside: k.Lookaside, MadeBy: k.Program,
	}
	if w.Step.Kind == models.PullFromUpstreamStep {
		r.Pull, r.Version = true, p.Ref
		if url := w.View.UpstreamProjectURL; url != nil {
			r.Upstream.URL = *url
		}
	} else {
		r.Tag = p.Ref
		forge, err := k.Forge(p.Project)
		if err != nil {
			return r, err
		}
		repository, err := forge.Repository(ctx, p.Project)
		if err != nil {
			return r, fmt.Errorf("asking where to clone %s: %w", p.Project.Path(), err)
		}
		r.Upstream.URL = repository.CloneURL
	}
	releases, err := k.Releases(ctx)
	if err != nil {
		return r, err
	}
	r.Masked = masked(releases, run.Target)
	if r.ResolvedBugs, err = k.bugs(ctx, w, r); err != nil {
		return r, err
	}
	r.Description, err = k.description(ctx, w, r)
	return r, err
}

// describer is a forge whose releases say something of themselves.
type describer interface {
	// ReleaseText is what the release of a tag says, "" if there is no release.
	ReleaseText(ctx context.Context, p *models.Project, tag string) (string, error)
}

// description is what upstream says of the release, if the package wants that in its
// changelog and we can ask.
func (k *Propose) description(ctx context.Context, w *Work, r sources.SyncRequest) (string, error) {
	project, tag := w.Pipeline.Project, r.Tag
	if !w.View.CopyUpstreamReleaseDescription || r.Upstream.URL == "" {
		return "", nil
	}
	if r.Pull {
		var err error
		if project, err = models.ParseProjectURL(r.Upstream.URL); err != nil {
			return "", nil // a repository, but of no forge
		}
		tag = w.View.TagOf(r.Version)
	}
	known, err := k.Forge(project)
	if err != nil {
		return "", nil // of a forge that we do not serve
	}
	forge, ok := known.(describer)
	if !ok {
		return "", nil
	}
	text, err := forge.ReleaseText(ctx, project, tag)
	if err != nil {
		return "", fmt.Errorf("reading what %s says of its release %s: %w", project.Path(), tag, err)
	}
	return text, nil
}

// bugs are those that the release resolves: what the event names, or what release
// monitoring filed. That they cannot be found out holds nothing up.
func (k *Propose) bugs(ctx context.Context, w *Work, r sources.SyncRequest) ([]string, error) {
	if m := w.Pipeline.Event.Message; m != nil && m.Bug > 0 {
		return []string{"rhbz#" + strconv.Itoa(m.Bug)}, nil
	} else if m != nil && m.Comment != "" {
		for _, said := range models.ParseCommands(k.Engine.Prefix, m.Comment) {
			if c := said.Command; c != nil && c.Name == models.PullCommand && c.About(w.View.Package) && len(c.Bugs) > 0 {
				return c.Bugs, nil
			}
		}
	}
	if tool := w.View.PkgTool; k.Bug == nil || tool != nil && *tool != "fedpkg" {
		return nil, nil // bugs of release monitoring are about Fedora's packages
	}
	version := r.Version
	if version == "" {
		version = w.View.VersionOf(r.Tag)
	}
	bug, err := k.Bug(ctx, w.View.Downstream(), version)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil || bug == "" {
		return nil, nil
	}
	return []string{bug}, nil
}

// mayFollow applies to a branch that gets the commit of another what its own spec file
// says of the release, as for any branch.
func (k *Propose) mayFollow(ctx context.Context, w *Work, run *models.Run, version string) error {
	repo := k.repo(w)
	branches, err := k.Packages.Branches(ctx, repo)
	if err != nil {
		return fmt.Errorf("asking for the branches of %s: %w", repo, err)
	}
	head := branches[run.Target]
	if head == "" {
		return fail("The package has no branch %s in dist-git.", run.Target)
	}
	name := w.View.Downstream() + ".spec"
	text, err := k.Packages.File(ctx, repo, head, name, maxSpecfile)
	if httpx.Status(err) == http.StatusNotFound {
		return &sources.SkipError{Reason: fmt.Sprintf("Branch %s of dist-git has no file %s.", run.Target, name)}
	}
	if err != nil {
		return fmt.Errorf("reading %s on branch %s of %s: %w", name, run.Target, repo, err)
	}
	releases, err := k.Releases(ctx)
	if err != nil {
		return err
	}
	return sources.Policy(&w.View.PackageSettings, sources.PolicyFacts{
		Branch: run.Target, Version: version, Downstream: specVersion(text, releases.Dist(run.Target)), Masked: masked(releases, run.Target),
	})
}

// masked reports whether version_update_mask is for a branch: for all that are
// released, and not for Rawhide.
func masked(releases models.Releases, branch string) bool {
	return slices.Contains(releases.Branches("", "fedora-branched", "epel-all"), branch)
}
