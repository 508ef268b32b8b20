package jobs

import (
	"context"
	"fmt"

	"millrace/models"
)

// Forge is what we ask of a place where git repositories and pull requests
// live. There is one implementation for each kind of forge.
type Forge interface {
	Repository(ctx context.Context, p *models.Project) (Repository, error)
	PullRequest(ctx context.Context, p *models.Project, number int) (PullRequest, error)
	// Files lists the paths of all files at a commit, as far as the forge tells.
	Files(ctx context.Context, p *models.Project, sha string) ([]string, error)
	// File returns a file at a commit, of at most limit bytes.
	File(ctx context.Context, p *models.Project, sha, path string, limit int64) ([]byte, error)
	// BranchHead returns the hash that a branch points at.
	BranchHead(ctx context.Context, p *models.Project, branch string) (string, error)
	// TagCommit returns the hash of the commit that a tag is of.
	TagCommit(ctx context.Context, p *models.Project, tag string) (string, error)
	// CanMerge reports whether a user may merge pull requests of the project.
	CanMerge(ctx context.Context, p *models.Project, login string) (bool, error)
	// SetCheck shows a check on a commit, over its earlier state, and returns the
	// id under which the forge knows it and whether it is a commit status because
	// the forge would not take more.
	SetCheck(ctx context.Context, p *models.Project, r *models.Report) (id string, asStatus bool, err error)
	// SetComment writes a comment on a pull request or issue, or rewrites it if it
	// has an id, and returns the id.
	SetComment(ctx context.Context, p *models.Project, number int, id, text string) (string, error)
	// CommentCommit writes below a commit what our last comment there does not say.
	CommentCommit(ctx context.Context, p *models.Project, sha, text string) error
	// SetIssue opens an issue, or finds the open one of ours with that title.
	SetIssue(ctx context.Context, p *models.Project, title, text string) (Issue, error)
	CloseIssue(ctx context.Context, p *models.Project, number int) error
	// React puts a sign on a comment on a pull request or issue: eyes, confused.
	// Doing it twice leaves one.
	React(ctx context.Context, p *models.Project, comment int64, sign string) error
}

// Issue is where people and this service talk.
type Issue struct {
	Number int
	URL    string // for people
	Text   string // what it says at its top
	Fresh  bool   // it was opened just now
}

// Repository is what a forge knows about a project.
type Repository struct {
	DefaultBranch string
	CloneURL      string
	Private       bool
}

// PullRequest is a pull request as it is now.
type PullRequest struct {
	Open      bool
	HeadSHA   string
	Branch    string // its source
	SourceURL string // repository that it comes from; empty if that is gone
	Target    string
	Labels    []string
	Title     string
	Author    string
}

// Forge returns the forge of a project.
func (r *Runner) Forge(p *models.Project) (Forge, error) {
	f := r.Forges[p.Forge]
	if f == nil {
		return nil, broken(nil, "This service does not know the forge %s.", p.Forge)
	}
	return f, nil
}

// projectAt reads the address of a project, and refuses those of forges that
// this service does not serve.
func (r *Runner) projectAt(url string) (*models.Project, error) {
	p, err := models.ParseProjectURL(url)
	if err != nil {
		return nil, err
	}
	if r.Forges[p.Forge] == nil {
		return nil, fmt.Errorf("%s is on %s, which this service does not serve", url, p.Forge)
	}
	return p, nil
}
