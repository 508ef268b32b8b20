package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"millrace/clients/forge"
	"millrace/jobs/sources"
	"millrace/models"
	"millrace/models/rpm"
	"millrace/models/store"
)

// giveWay skips a release that would take the place of a newer one: the pull request
// that is open for it. In which order they come to their turn does not matter.
func (k *Propose) giveWay(ctx context.Context, w *Work, run *models.Run, head, version string) error {
	repo := k.repo(w)
	open, err := k.Packages.Pulls(ctx, repo, forge.Filter{Target: run.Target, Source: head, Author: k.Packages.User})
	if err != nil {
		return fmt.Errorf("looking for our pull request to %s of %s: %w", run.Target, repo, err)
	}
	for _, pull := range open {
		proposed := models.ProposedVersion(pull.Title, run.Target)
		if proposed == "" {
			// What we remember it to be about, whatever somebody called it since.
			known, err := k.known(ctx, repo, pull.Number)
			if err != nil {
				return err
			}
			proposed = known.Version
		}
		if proposed != "" && rpm.CompareVersions(proposed, version) > 0 {
			return &sources.SkipError{Reason: fmt.Sprintf("Pull request %d is open for the newer version %s, and %s does not take its place.", pull.Number, proposed, version)}
		}
	}
	return nil
}

// known is what we remember of a pull request; nothing if we do not know it.
func (k *Propose) known(ctx context.Context, repo string, number int) (*models.Product, error) {
	project, err := k.Packages.Project(repo)
	if err != nil {
		return nil, err
	}
	known, err := k.Engine.Store.Product(ctx, models.PullRefOf(project, number))
	if errors.Is(err, models.ErrNotFound) {
		return new(models.Product), nil
	}
	return known, err
}

func (k *Propose) runURL(run *models.Run) string {
	return fmt.Sprintf("%s/runs/%d", k.Engine.Base, run.ID)
}

// proposal is what the pull request for a branch says of the release.
func (k *Propose) proposal(w *Work, run *models.Run, synced *sources.Synced, r sources.SyncRequest) *models.Proposal {
	p := &models.Proposal{
		Branch: run.Target, Version: synced.Version, Bugs: r.ResolvedBugs, Package: w.View.Downstream(), Head: r.Head, Author: k.Packages.User,
		Tag: synced.Tag, Commit: synced.UpstreamCommit, RunURL: k.runURL(run),
	}
	if m := w.Pipeline.Event.Message; m != nil {
		p.Monitoring = m.UpstreamID
	}
	upstream := w.Pipeline.Project.URL
	if w.Step.Kind == models.PullFromUpstreamStep {
		upstream = ""
		if url := w.View.UpstreamProjectURL; url != nil {
			upstream = *url
		}
	}
	if project, err := models.ParseProjectURL(upstream); err == nil && synced.Tag != "" {
		p.TagURL, p.CommitURL = project.TreeURL(synced.Tag), project.CommitURL(synced.UpstreamCommit)
	}
	return p
}

// someone stands for the account of who reads how to push.
const someone = "YOUR_ACCOUNT"

// addCustoms adds how the package is worked on: where our branch can be changed, and
// whose commits are built. That this cannot be found out holds nothing up.
func (k *Propose) addCustoms(ctx context.Context, w *Work, p *models.Proposal, origin, fork forge.Repository) {
	p.Fork = fork.CloneURL
	var err error
	if p.Push, err = k.Packages.PushURL(ctx, fork.Path, someone); err != nil {
		k.Engine.Log.WarnContext(ctx, "where people push to our fork is not known", "fork", fork.Path, "error", err)
	}
	if k.Config == nil {
		return
	}
	project, err := k.Packages.Project(k.repo(w))
	if err == nil {
		project.DefaultBranch = origin.DefaultBranch
		p.Gates, err = k.gates(ctx, project, p.Branch)
	}
	if err != nil {
		k.Engine.Log.WarnContext(ctx, "whose commits are built is not known", "package", k.repo(w), "error", err)
	}
}

func (k *Propose) gates(ctx context.Context, project *models.Project, branch string) ([]models.BuildGate, error) {
	config, err := k.Config(ctx, project)
	if err != nil || config == nil {
		return nil, err
	}
	releases, err := k.Releases(ctx)
	return config.BuildGates(releases, project.DefaultBranch, branch), err
}

// opened is a pull request of ours.
type opened struct {
	forge.PullRequest
	described string // hash of the description that we gave it; empty if we do not know
}

// open opens the pull request, or brings the open one up to date: there is at
// most one for a branch and kind of job. again says that this is not the first
// try.
func (k *Propose) open(ctx context.Context, repo, fork string, p *models.Proposal, body string, again bool) (opened, error) {
	open, err := k.Packages.Pulls(ctx, repo, forge.Filter{Target: p.Branch, Source: p.Head, SourceRepo: fork, Author: k.Packages.User})
	if err != nil {
		return opened{}, fmt.Errorf("looking for our pull request to %s of %s: %w", p.Branch, repo, err)
	}
	if len(open) > 0 {
		return k.bringUp(ctx, repo, open[0], p, body)
	}
	if again {
		// An earlier try may have opened it although we do not know, and somebody
		// merged it already: it names the run, or says the same.
		ended, err := k.Packages.Pulls(ctx, repo, forge.Filter{Ended: true, Target: p.Branch, Source: p.Head, Author: k.Packages.User})
		if err != nil {
			return opened{}, fmt.Errorf("looking for our pull request to %s of %s: %w", p.Branch, repo, err)
		}
		for _, pull := range ended {
			if strings.Contains(pull.Body, "("+p.RunURL+")") || models.DescriptionHash(pull.Body) == models.DescriptionHash(body) {
				return opened{PullRequest: pull}, nil
			}
		}
	}
	pull, err := k.Packages.CreatePull(ctx, repo, forge.NewPull{Title: p.Title(), Body: body, Target: p.Branch, SourceRepo: fork, Source: p.Head})
	return opened{pull, models.DescriptionHash(body)}, err
}

// bringUp has an open pull request say what it brings now. A description that people
// have edited is left to them: a comment says what is new, once for each version.
func (k *Propose) bringUp(ctx context.Context, repo string, pull forge.PullRequest, p *models.Proposal, body string) (opened, error) {
	wanted := models.DescriptionHash(body)
	found := models.DescriptionHash(pull.Body)
	if pull.Title == p.Title() && found == wanted {
		return opened{pull, wanted}, nil
	}
	known, err := k.known(ctx, repo, pull.Number)
	if err != nil {
		return opened{}, err
	}
	edited := found != wanted && found != known.Data.Described
	if edited {
		body, wanted = pull.Body, known.Data.Described
	}
	if pull.Title != p.Title() || !edited {
		if err := k.Packages.EditPull(ctx, repo, pull.Number, p.Title(), body); err != nil {
			return opened{}, fmt.Errorf("update of existing PR %s failed: %w", pull.URL, err)
		}
	}
	if edited {
		err = k.tell(ctx, repo, pull.Number, p)
	}
	return opened{pull, wanted}, err
}

// tell comments on what a pull request brings now, unless we have done so.
func (k *Propose) tell(ctx context.Context, repo string, number int, p *models.Proposal) error {
	comments, err := k.Packages.Comments(ctx, repo, number)
	if err != nil {
		return fmt.Errorf("reading what we said about pull request %d of %s: %w", number, repo, err)
	}
	for _, c := range comments {
		if first, _, _ := strings.Cut(c.Text, "\n"); c.Author == k.Packages.User && strings.TrimSpace(first) == p.NewsLine() {
			return nil
		}
	}
	return k.Packages.Comment(ctx, repo, number, p.News())
}

// follow proposes the commit of another branch to the run's branch, as it is.
func (k *Propose) follow(ctx context.Context, w *Work, run, followed *models.Run) (Outcome, error) {
	repo := k.repo(w)
	fork, err := k.Packages.Fork(ctx, repo, k.Packages.User)
	if err != nil {
		return Outcome{}, fmt.Errorf("getting our fork of %s: %w", repo, err)
	}
	made, err := k.Packages.Pull(ctx, repo, followed.Data.PullNumber)
	if err != nil {
		return Outcome{}, fmt.Errorf("reading the pull request to %s: %w", followed.Target, err)
	}
	p := &models.Proposal{Branch: run.Target, Version: followed.Data.Version, Head: followed.Data.HeadBranch, RunURL: k.runURL(run)}
	if err := k.mayFollow(ctx, w, run, p.Version); err != nil {
		return Outcome{}, err
	}
	var pull opened
	err = k.Engine.alone(ctx, "git:"+fork.CloneURL, w.Group.Key, func(ctx context.Context) error {
		if err := k.giveWay(ctx, w, run, p.Head, p.Version); err != nil {
			return err
		}
		pull, err = k.open(ctx, repo, fork.Path, p, made.Body, w.Group.Epoch > 1)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	return k.proposed(w, run, pull, p.Version, followed.Data.Commit, p.Head), nil
}

// proposed is the outcome with a pull request.
func (k *Propose) proposed(w *Work, run *models.Run, pull opened, version, commit, head string) Outcome {
	data := run.Data
	data.PullNumber, data.HeadBranch, data.Commit, data.Version = pull.Number, head, commit, version
	o := Outcome{Runs: []Update{{
		Run: run, State: models.Passed, ExternalID: fmt.Sprintf("%s#%d", k.repo(w), pull.Number), ExternalURL: pull.URL, Data: &data,
	}}}
	project, err := k.Packages.Project(k.repo(w))
	if err != nil {
		return o
	}
	o.Products = []Made{{
		Product: &models.Product{
			Kind: models.PullProduct, Key: models.PullRefOf(project, pull.Number).Key, Package: w.View.Downstream(),
			Branch: run.Target, Name: fmt.Sprintf("PR %d", pull.Number), Version: version, State: models.ProductOpen, URL: pull.URL, RunID: run.ID,
			PollAt: store.Now().Add(k.Engine.Timing.Poll),
			Data:   models.ProductData{Number: pull.Number, Head: commit, Author: k.Packages.User, Described: pull.described},
		},
		Project: project,
		From:    []models.ProductRef{models.ReleaseRefOf(w.Pipeline.Project, w.Pipeline.Ref)},
	}}
	return o
}
