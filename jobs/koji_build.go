package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"millrace/clients/koji"
	"millrace/jobs/sources"
	"millrace/models"
	"millrace/models/rpm"
	"millrace/models/store"
)

// KojiBuild builds what is on a branch of dist-git in Koji.
type KojiBuild struct{ *Koji }

// Submit is part of Kind. It builds the branch's newest commit, also if that is
// not the one that the pipeline is about: that is how packagers build. What is
// built already, or needs builds that its side tag lacks, is skipped.
func (k *KojiBuild) Submit(ctx context.Context, w *Work) (Outcome, error) {
	run, project := w.Runs[0], w.Pipeline.Project
	task, err := k.find(ctx, w, koji.BuildRequest{Key: w.Group.Key})
	if err != nil {
		return Outcome{}, err
	}
	if task != 0 {
		return k.found(ctx, w, run, task)
	}
	stop, err := k.Conditions.check(ctx, w, run, func() (sources.ConditionRequest, error) { return k.condition(ctx, w, run.Target) })
	if err != nil {
		return Outcome{}, err
	}
	if stop != nil {
		return *stop, nil
	}
	target, tag := kojiTarget(run.Target), ""
	if group := w.View.Group(); group != "" {
		side, err := k.sideTag(ctx, w.Group.Key, group, run.Target)
		if err != nil {
			return Outcome{}, err
		}
		missing, err := k.missing(ctx, side.Name, w.View.Dependencies)
		if err != nil {
			return Outcome{}, err
		}
		if len(missing) > 0 {
			return everyRun(w, models.Skipped, fmt.Sprintf("Its side tag %s has no build yet of what it depends on: %s.", side.Name, strings.Join(missing, ", "))), nil
		}
		target, tag = side.Name, side.Name
	}
	head, source, err := k.source(ctx, project, run.Target)
	if err != nil {
		return Outcome{}, err
	}
	nvr := ""
	if !w.View.Scratch {
		var built *koji.Build
		if nvr, built, err = k.built(ctx, w, run.Target, head); err != nil {
			return Outcome{}, err
		}
		if built != nil {
			return k.repeated(w, run, *built), nil
		}
	}
	task, err = k.submit(ctx, koji.BuildRequest{Source: source, Target: target, Key: w.Group.Key, Scratch: w.View.Scratch})
	if err != nil {
		return Outcome{}, err
	}
	return k.submitted(w, run, task, head, nvr, tag), nil
}

// condition is what run-condition is asked about: the newest commit of a branch.
func (k *KojiBuild) condition(ctx context.Context, w *Work, branch string) (sources.ConditionRequest, error) {
	head, err := k.head(ctx, w.Pipeline.Project, branch)
	if err != nil {
		return sources.ConditionRequest{}, err
	}
	r, err := k.Koji.condition(ctx, w, head)
	if err != nil {
		return r, err
	}
	text, err := k.specfile(ctx, w, head)
	if err != nil {
		return r, err
	}
	releases, err := k.Releases(ctx)
	if err != nil {
		return r, err
	}
	r.Version = specVersion(text, releases.Dist(branch))
	return r, nil
}

// source is the newest commit of a branch, as it is and as Koji wants it.
func (k *KojiBuild) source(ctx context.Context, project *models.Project, branch string) (head, source string, err error) {
	if head, err = k.head(ctx, project, branch); err != nil {
		return "", "", err
	}
	address, err := k.cloneURL(ctx, project)
	return head, koji.GitSource(address, head), err
}

func (k *Koji) head(ctx context.Context, project *models.Project, branch string) (string, error) {
	forge, err := k.Forge(project)
	if err != nil {
		return "", err
	}
	head, err := forge.BranchHead(ctx, project, branch)
	if err != nil {
		return "", fmt.Errorf("reading the head of %s in %s: %w", branch, project.Path(), err)
	}
	return head, nil
}

// cloneURL is where everybody can clone a package.
func (k *Koji) cloneURL(ctx context.Context, project *models.Project) (string, error) {
	forge, err := k.Forge(project)
	if err != nil {
		return "", err
	}
	repository, err := forge.Repository(ctx, project)
	if err != nil {
		return "", fmt.Errorf("asking where %s can be cloned: %w", project.Path(), err)
	}
	return repository.CloneURL, nil
}

// specfile is the spec file of the package at a commit.
func (k *Koji) specfile(ctx context.Context, w *Work, sha string) ([]byte, error) {
	project := w.Pipeline.Project
	forge, err := k.Forge(project)
	if err != nil {
		return nil, err
	}
	name := w.View.Specfile()
	if name == "" {
		name = project.Name + ".spec"
	}
	text, err := forge.File(ctx, project, sha, name, maxSpecfile)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s at %.7s: %w", name, project.Path(), sha, err)
	}
	return text, nil
}

// condition is what run-condition is asked about, but for the version.
func (k *Koji) condition(ctx context.Context, w *Work, ref string) (r sources.ConditionRequest, err error) {
	r.Ref = ref
	if w.View.CloneReposBeforeRunCondition {
		r.DistGit.URL, err = k.cloneURL(ctx, w.Pipeline.Project)
	}
	return r, err
}

// built says what a commit would be built as, as far as that is known, and finds
// the build that it would repeat.
func (k *KojiBuild) built(ctx context.Context, w *Work, branch, head string) (nvr string, b *koji.Build, err error) {
	text, err := k.specfile(ctx, w, head)
	if err != nil {
		return "", nil, err
	}
	releases, err := k.Releases(ctx)
	if err != nil {
		return "", nil, err
	}
	dist := releases.Dist(branch)
	nvr = identity(text, dist)
	b, err = k.existing(ctx, w.Pipeline.Project.Name, nvr, head, dist)
	return nvr, b, err
}

// repeated is the outcome where there is such a build already.
func (k *KojiBuild) repeated(w *Work, run *models.Run, b koji.Build) Outcome {
	data := run.Data
	data.NVR, data.Commit = b.NVR, commitOfSource(b.Source)
	state := "has"
	if b.State == koji.BuildBuilding {
		state = "is building"
	}
	o := Outcome{Runs: []Update{{
		Run: run, State: models.Skipped, ExternalURL: k.Client.BuildURL(b.ID), Data: &data,
		Reason: fmt.Sprintf("Koji %s %s already, and builds a version and release once. A new release needs a commit.", state, b.NVR),
	}}}
	product := k.product(b, run.Target)
	product.PollAt = store.Now().Add(k.Engine.Timing.Poll)
	o.Products = []Made{k.made(w, product, data.Commit)}
	return o
}

// made is a build that came of a commit, and of that which the pipeline is about.
func (k *KojiBuild) made(w *Work, p *models.Product, commit string) Made {
	project := *w.Pipeline.Project
	m := Made{Product: p, Project: &project}
	for _, sha := range []string{commit, w.Pipeline.SHA} {
		if sha != "" {
			m.From = append(m.From, models.CommitRefOf(&project, p.Branch, sha))
		}
	}
	return m
}

// submitted is the outcome of a submission.
func (k *KojiBuild) submitted(w *Work, run *models.Run, task int64, head, nvr, tag string) Outcome {
	data := run.Data
	data.Commit, data.NVR, data.SideTag = head, nvr, tag
	id := strconv.FormatInt(task, 10)
	o := Outcome{ExternalID: id, Waiting: true, Runs: []Update{{
		Run: run, State: models.Queued, Reason: "In Koji's queue.", ExternalID: id, ExternalURL: k.Client.TaskURL(task), Data: &data,
	}}}
	if w.View.Scratch {
		return o // it is kept for some days, and goes nowhere
	}
	name := nvr
	if name == "" {
		name = "task " + id
	}
	o.Products = []Made{k.made(w, &models.Product{
		Kind: models.BuildProduct, Key: models.BuildRefOf(task).Key, Package: w.Pipeline.Project.Name, Branch: run.Target, Name: name,
		State: models.ProductBuilding, URL: k.Client.TaskURL(task), RunID: run.ID, PollAt: store.Now().Add(2 * k.Engine.Timing.PollMax),
		Data: models.ProductData{TaskID: task, Commit: head, SideTag: tag},
	}, head)}
	return o
}

// found is the outcome of a submission whose answer was lost: Koji knows what was
// asked for.
func (k *KojiBuild) found(ctx context.Context, w *Work, run *models.Run, id int64) (Outcome, error) {
	task, err := k.Client.Task(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	request, _ := task.BuildRequest()
	tag := ""
	if w.View.Group() != "" {
		tag = request.Target
	}
	return k.submitted(w, run, id, commitOfSource(request.Source), "", tag), nil
}

// Poll is part of Kind.
func (k *KojiBuild) Poll(ctx context.Context, w *Work) (Outcome, error) {
	run := w.Runs[0]
	id, err := kojiTask(w.Group.ExternalID)
	if err != nil {
		return Outcome{}, err
	}
	u, fault, err := k.observe(ctx, run, id)
	if err != nil {
		return Outcome{}, err
	}
	if fault != nil && koji.IsBuildExists(fault) {
		u.State, u.Reason = models.Skipped, "Koji has such a build already, and builds a version and release once. A new release needs a commit. It says: "+sentence(firstLine(fault.Text))
	}
	o := Outcome{Runs: []Update{u}}
	if w.View.Scratch || u.Data == nil {
		return o, nil
	}
	product, err := k.progress(ctx, w, id, &o.Runs[0])
	if product != nil {
		o.Products = []Made{k.made(w, product, run.Data.Commit)}
	}
	return o, err
}

// progress is the build of a task as it is now, which it writes into u too. A task
// that ended before there was a build has none.
func (k *KojiBuild) progress(ctx context.Context, w *Work, id int64, u *Update) (*models.Product, error) {
	run := u.Run
	b, err := k.buildOfTask(ctx, id)
	var p *models.Product
	switch {
	case err == nil:
		p = k.product(b, run.Target)
		u.Data.NVR, u.ExternalURL = b.NVR, p.URL
	case !errors.Is(err, models.ErrNotFound):
		return nil, err
	case !u.State.Finished():
		return nil, nil
	default:
		p = &models.Product{
			Kind: models.BuildProduct, Key: models.BuildRefOf(id).Key, Package: w.Pipeline.Project.Name, Branch: run.Target, Name: "task " + strconv.FormatInt(id, 10),
			State: models.ProductFailed, URL: k.Client.TaskURL(id), Data: models.ProductData{TaskID: id},
		}
		if u.State == models.Canceled || u.State == models.Skipped {
			p.State = models.ProductCanceled
		}
	}
	p.RunID, p.Data.SideTag = run.ID, run.Data.SideTag
	p.Data.Commit = run.Data.Commit
	if u.State.Finished() && u.State != models.Passed {
		p.Data.Reason = u.Reason
	}
	switch p.State {
	case models.ProductBuilding:
		p.PollAt = store.Now().Add(2 * k.Engine.Timing.PollMax) // should nobody ask about the run any more
	case models.ProductComplete:
		p.PollAt = store.Now().Add(2 * k.Engine.Timing.Poll) // until then Koji's message has come, or is lost
	}
	return p, nil
}

// Cancel is part of Kind.
func (k *KojiBuild) Cancel(ctx context.Context, w *Work) error { return k.cancel(ctx, w) }

// Fixed is part of onceOnly.
func (k *KojiBuild) Fixed(view *models.JobView, run *models.Run) string {
	if view.Scratch || run.State != models.Passed {
		return ""
	}
	nvr := run.Data.NVR
	if nvr == "" {
		nvr = "this version and release"
	}
	return fmt.Sprintf("Koji has built %s, and builds a version and release once. Commit a new release to build again.", nvr)
}

// evrOf is what orders builds.
func evrOf(b koji.Build) rpm.EVR {
	return rpm.EVR{Epoch: uint32(b.Epoch), Version: b.Version, Release: b.Release}
}
