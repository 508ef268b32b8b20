package jobs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"millrace/clients/forge"
	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
)

// PackagesForge is dist-git as the forge of packages.
type PackagesForge struct{ *Packages }

// Repository is part of Forge.
func (f PackagesForge) Repository(ctx context.Context, p *models.Project) (Repository, error) {
	r, err := f.DistGit.Repository(ctx, pathOf(p))
	return Repository{DefaultBranch: r.DefaultBranch, CloneURL: r.CloneURL}, err
}

// PullRequest is part of Forge.
func (f PackagesForge) PullRequest(ctx context.Context, p *models.Project, number int) (PullRequest, error) {
	pull, err := f.Pull(ctx, pathOf(p), number)
	if err != nil {
		return PullRequest{}, err
	}
	source := ""
	if pull.SourceRepo != "" {
		source = f.URL + "/" + pull.SourceRepo
	}
	return PullRequest{
		Open: pull.Open, HeadSHA: pull.Head, Branch: pull.Source, SourceURL: source, Target: pull.Target, Title: pull.Title, Author: pull.Author, Labels: pull.Labels,
	}, nil
}

// maxProbe is the largest file that is looked for by reading it.
const maxProbe = 1 << 20

// Files is part of Forge. Dist-git does not list files, so those that matter are
// looked for: the package config and the spec file.
func (f PackagesForge) Files(ctx context.Context, p *models.Project, sha string) ([]string, error) {
	var files []string
	for _, name := range append(slices.Clone(packageconfig.Names), p.Name+".spec") {
		_, err := f.DistGit.File(ctx, pathOf(p), sha, name, maxProbe)
		if httpx.Status(err) == http.StatusNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, name)
	}
	return files, nil
}

// File is part of Forge.
func (f PackagesForge) File(ctx context.Context, p *models.Project, sha, path string, limit int64) ([]byte, error) {
	return f.DistGit.File(ctx, pathOf(p), sha, path, limit)
}

// BranchHead is part of Forge.
func (f PackagesForge) BranchHead(ctx context.Context, p *models.Project, branch string) (string, error) {
	branches, err := f.Branches(ctx, pathOf(p))
	if err != nil {
		return "", err
	}
	head, ok := branches[branch]
	if !ok {
		return "", &httpx.Error{Service: "dist-git", Method: http.MethodGet, URL: "/" + pathOf(p), Status: http.StatusNotFound, Message: fmt.Sprintf("there is no branch %s", branch)}
	}
	return head, nil
}

// TagCommit is part of Forge. Packages are not released by tags.
func (f PackagesForge) TagCommit(context.Context, *models.Project, string) (string, error) {
	return "", broken(nil, "Packages in dist-git are not released by tags.")
}

// CanMerge is part of Forge.
func (f PackagesForge) CanMerge(ctx context.Context, p *models.Project, login string) (bool, error) {
	return f.HasCommit(ctx, pathOf(p), login, p.DefaultBranch)
}

// SetCheck is part of Forge. What is about the newest commit of a pull request is
// said of that: to say something of commits takes more rights.
func (f PackagesForge) SetCheck(ctx context.Context, p *models.Project, r *models.Report) (string, bool, error) {
	status := forge.Status{Name: r.Name, State: distGitStates[r.Wanted], Text: r.Title, URL: r.URL}
	if r.Pull > 0 {
		pull, err := f.Pull(ctx, pathOf(p), r.Pull)
		if err != nil {
			return "", true, err
		}
		if pull.Head == r.SHA {
			return "", true, f.SetPullStatus(ctx, pathOf(p), pull, status)
		}
	}
	return "", true, f.SetCommitStatus(ctx, pathOf(p), r.SHA, status)
}

// distGitStates are dist-git's words; it has none for what is neither good nor bad.
var distGitStates = map[models.CheckState]forge.State{
	models.CheckPending: forge.Pending, models.CheckRunning: forge.Pending, models.CheckSuccess: forge.Success, models.CheckNeutral: forge.Success,
	models.CheckFailure: forge.Failure, models.CheckError: forge.Error, models.CheckCanceled: forge.Error,
}

// SetComment is part of Forge. A comment in dist-git cannot be rewritten, so one
// that says something else follows it.
func (f PackagesForge) SetComment(ctx context.Context, p *models.Project, number int, _, text string) (string, error) {
	said, err := f.said(ctx, p, number, text)
	if err != nil || said != "" {
		return said, err
	}
	if err := f.Comment(ctx, pathOf(p), number, text); err != nil {
		return "", err
	}
	return f.said(ctx, p, number, text)
}

// said is the id of our last comment if that is what it says.
func (f PackagesForge) said(ctx context.Context, p *models.Project, number int, text string) (string, error) {
	comments, err := f.Comments(ctx, pathOf(p), number)
	if err != nil {
		return "", err
	}
	for _, c := range slices.Backward(comments) {
		if c.Author != f.User {
			continue
		}
		if c.Text == text {
			return strconv.FormatInt(c.ID, 10), nil
		}
		break
	}
	return "", nil
}

// CommentCommit is part of Forge. Dist-git takes no comments on commits.
func (f PackagesForge) CommentCommit(context.Context, *models.Project, string, string) error {
	return broken(nil, "Dist-git takes no comments on commits.")
}

// SetIssue is part of Forge. Dist-git has no issues; those of packages are in a
// tracker elsewhere.
func (f PackagesForge) SetIssue(context.Context, *models.Project, string, string) (Issue, error) {
	return Issue{}, broken(nil, "Dist-git has no issues.")
}

// CloseIssue is part of Forge.
func (f PackagesForge) CloseIssue(context.Context, *models.Project, int) error {
	return broken(nil, "Dist-git has no issues.")
}

// React is part of Forge. Dist-git has no signs on comments.
func (f PackagesForge) React(context.Context, *models.Project, int64, string) error { return nil }
