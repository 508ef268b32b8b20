package jobs

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"millrace/clients/httpx"
	"millrace/models"
)

// handlePush plans what is to be done for the new head of a branch. Of several
// pushes the last counts, in whatever order they are heard of.
func (r *Runner) handlePush(ctx context.Context, e *models.Event, m *models.Message) error {
	if r.Packages.Holds(e.Project) && (m.Fork || isFork(e.Project)) {
		return r.conclude(ctx, e, models.EventNothing, "It is a push to a fork, where packages are prepared and not built.")
	}
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	head, err := forge.BranchHead(ctx, e.Project, m.Branch)
	switch {
	case httpx.Status(err) == http.StatusNotFound:
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("The branch %s is gone.", m.Branch))
	case err != nil:
		return fmt.Errorf("reading the head of %s in %s: %w", m.Branch, e.Project.Path(), err)
	case head != m.Commit:
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("The branch has moved on to %.7s; this is about %.7s.", head, m.Commit))
	}
	commit := &models.Commit{ProjectID: e.ProjectID, Kind: models.BranchRef, Ref: m.Branch, SHA: m.Commit, Title: m.Title, Author: m.Actor}
	about, err := r.aboutPush(ctx, e, m)
	if err != nil {
		return err
	}
	return r.planCommit(ctx, forge, e, commit, about)
}

// handleRelease plans what is to be done for a release, at the commit of its tag.
func (r *Runner) handleRelease(ctx context.Context, e *models.Event, m *models.Message) error {
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	sha, err := forge.TagCommit(ctx, e.Project, m.Tag)
	if httpx.Status(err) == http.StatusNotFound {
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("The tag %s is gone.", m.Tag))
	}
	if err != nil {
		return fmt.Errorf("reading the tag %s of %s: %w", m.Tag, e.Project.Path(), err)
	}
	commit := &models.Commit{ProjectID: e.ProjectID, Kind: models.ReleaseRef, Ref: m.Tag, SHA: sha, Title: m.Title, Author: m.Actor}
	return r.planCommit(ctx, forge, e, commit, circumstances{news: []Made{releaseOf(e, m.Tag, m.Tag)}})
}

// isFork reports whether a project in dist-git is somebody's fork of a package by its
// path, as on Pagure. Forgejo says it in its messages.
func isFork(p *models.Project) bool {
	first, _, _ := strings.Cut(p.Namespace, "/")
	return first == "fork" || first == "forks"
}
