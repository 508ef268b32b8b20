package jobs

import (
	"cmp"
	"context"

	"millrace/clients/forge"
	"millrace/clients/git"
	"millrace/models"
)

// DistGit is what we ask of the forge where packages live. Repositories are
// "rpms/hello", or what Fork returned.
type DistGit interface {
	Repository(ctx context.Context, repo string) (forge.Repository, error)
	// Fork returns user's fork, which is ours; it is made if there is none.
	Fork(ctx context.Context, repo, user string) (forge.Repository, error)
	Pulls(ctx context.Context, repo string, f forge.Filter) ([]forge.PullRequest, error)
	Pull(ctx context.Context, repo string, number int) (forge.PullRequest, error)
	CreatePull(ctx context.Context, repo string, n forge.NewPull) (forge.PullRequest, error)
	EditPull(ctx context.Context, repo string, number int, title, body string) error
	Comment(ctx context.Context, repo string, number int, text string) error
	// Access says who may commit to a package, and GroupMembers who is in a group
	// of those that are there.
	Access(ctx context.Context, repo string) (*forge.Access, error)
	GroupMembers(ctx context.Context, repo, group string) ([]string, error)
	HasCommit(ctx context.Context, repo, user, branch string) (bool, error)

	// Grant lets somebody commit to a repository that is ours, or takes that away.
	Grant(ctx context.Context, repo string, g forge.Grant) error

	// RepositoriesOf are the names of the repositories in a namespace that user may
	// do anything with, sorted.
	RepositoriesOf(ctx context.Context, user, namespace string) ([]string, error)

	// Branches are the heads of all branches, by name.
	Branches(ctx context.Context, repo string) (map[string]string, error)
	// File returns a file at a branch or commit, of at most limit bytes.
	File(ctx context.Context, repo, ref, path string, limit int64) ([]byte, error)
	Comments(ctx context.Context, repo string, number int) ([]forge.Comment, error)
	Statuses(ctx context.Context, repo, sha string) ([]forge.Status, error)
	SetCommitStatus(ctx context.Context, repo, sha string, s forge.Status) error
	// SetPullStatus is SetCommitStatus for the newest commit of a pull request,
	// which more accounts may do.
	SetPullStatus(ctx context.Context, repo string, p forge.PullRequest, s forge.Status) error
	// MergedBy is the number of the pull request by which a branch came to be at a
	// commit; 0 if it did not come by one, or where the forge's messages say it.
	MergedBy(ctx context.Context, repo, branch, sha string) (int, error)
	// PushURL is where a user pushes to over SSH.
	PushURL(ctx context.Context, repo, user string) (string, error)
	// CommitURL is the web page of a commit, FileURL that of a file there.
	CommitURL(repo, sha string) string
	FileURL(repo, sha, path string) string
}

// Packages is the dist-git that this service works with.
type Packages struct {
	DistGit
	Host     string   // as projects are named: "src.fedoraproject.org"
	URL      string   // of its pages, without a trailing slash
	User     string   // our account
	Password string   // with which User pushes to its forks over HTTP
	SSH      *git.SSH // with which it pushes over SSH instead; nil: over HTTP
	Group    string   // of packagers; empty: "packager"
}

// Project is a package, with the path that packages have: "rpms/hello".
func (k *Packages) Project(path string) (*models.Project, error) {
	return models.ParseProjectURL(k.URL + "/" + path)
}

// Holds reports whether a project is a package in this dist-git.
func (k *Packages) Holds(p *models.Project) bool { return k != nil && p != nil && p.Forge == k.Host }

func (k *Packages) packagerGroup() string { return cmp.Or(k.Group, "packager") }

// pathOf is what dist-git calls a package: "rpms/hello".
func pathOf(p *models.Project) string { return p.Namespace + "/" + p.Name }

// Remote is a repository with what it takes to push to it.
func (k *Packages) Remote(ctx context.Context, r forge.Repository) (git.Remote, error) {
	if k.SSH == nil {
		return git.Remote{URL: r.CloneURL, Authorization: git.BasicAuth(k.User, k.Password)}, nil
	}
	address, err := k.PushURL(ctx, r.Path, k.User)
	return git.Remote{URL: address, SSH: k.SSH}, err
}
