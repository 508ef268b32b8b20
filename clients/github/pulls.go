package github

import (
	"context"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	gh "github.com/google/go-github/v92/github"
)

const (
	maxComment = 65_000 // GitHub's limit is 65,536
	maxTitle   = 250
)

// PullRequest is a request to merge Head into Base.
type PullRequest struct {
	Number int
	State  string // open or closed
	Merged bool
	Draft  bool
	Title  string
	Body   string
	Author string
	URL    string // for people
	Labels []string

	HeadSHA    string
	HeadBranch string
	HeadRepo   Repo // zero if the fork was deleted
	BaseSHA    string
	BaseBranch string
	BaseRepo   Repo
}

func pullOf(p *gh.PullRequest) PullRequest {
	pull := PullRequest{
		Number: p.GetNumber(), State: p.GetState(), Merged: p.GetMerged() || p.MergedAt != nil, Draft: p.GetDraft(),
		Title: p.GetTitle(), Body: p.GetBody(), Author: p.GetUser().GetLogin(), URL: p.GetHTMLURL(),
		HeadSHA: p.GetHead().GetSHA(), HeadBranch: p.GetHead().GetRef(), HeadRepo: repoOf(p.GetHead().GetRepo()),
		BaseSHA: p.GetBase().GetSHA(), BaseBranch: p.GetBase().GetRef(), BaseRepo: repoOf(p.GetBase().GetRepo()),
	}
	if p.Head == nil || p.Head.Repo == nil {
		pull.HeadRepo = Repo{}
	}
	for _, l := range p.Labels {
		pull.Labels = append(pull.Labels, l.GetName())
	}
	return pull
}

// PullRequest returns a pull request.
func (c *Client) PullRequest(ctx context.Context, repo Repo, number int) (PullRequest, error) {
	p, err := call(ctx, c, "pulls.get", repo, func(ctx context.Context, g *gh.Client) (*gh.PullRequest, *gh.Response, error) {
		return g.PullRequests.Get(ctx, repo.Owner, repo.Name, number)
	})
	if err != nil {
		return PullRequest{}, err
	}
	return pullOf(p), nil
}

// PullRequests lists the pull requests in a state: open, closed or all.
func (c *Client) PullRequests(ctx context.Context, repo Repo, state string) ([]PullRequest, error) {
	found, err := pages(ctx, c, "pulls.list", repo, func(ctx context.Context, g *gh.Client, page gh.ListOptions) ([]*gh.PullRequest, *gh.Response, error) {
		return g.PullRequests.List(ctx, repo.Owner, repo.Name, &gh.PullRequestListOptions{State: state, ListOptions: page})
	})
	var all []PullRequest
	for _, p := range found {
		all = append(all, pullOf(p))
	}
	return all, err
}

// PullRequestFiles lists the paths that a pull request changes, a renamed
// file's old one too, up to 3,000.
func (c *Client) PullRequestFiles(ctx context.Context, repo Repo, number int) ([]string, error) {
	found, err := pages(ctx, c, "pulls.files", repo, func(ctx context.Context, g *gh.Client, page gh.ListOptions) ([]*gh.CommitFile, *gh.Response, error) {
		return g.PullRequests.ListFiles(ctx, repo.Owner, repo.Name, number, &page)
	})
	var all []string
	for _, f := range found {
		all = append(all, f.GetFilename())
		if old := f.GetPreviousFilename(); old != "" {
			all = append(all, old)
		}
	}
	return all, err
}

// Comment is what somebody wrote below a pull request or an issue.
type Comment struct {
	ID      int64
	Author  string
	Body    string
	URL     string // for people
	Created time.Time
}

func commentOf(c *gh.IssueComment) Comment {
	return Comment{ID: c.GetID(), Author: c.GetUser().GetLogin(), Body: c.GetBody(), URL: c.GetHTMLURL(), Created: c.GetCreatedAt().Time}
}

// CreateComment writes below a pull request or an issue. A text that is too
// long for GitHub is cut.
func (c *Client) CreateComment(ctx context.Context, repo Repo, number int, body string) (Comment, error) {
	made, err := call(ctx, c, "comments.create", repo, func(ctx context.Context, g *gh.Client) (*gh.IssueComment, *gh.Response, error) {
		return g.Issues.CreateComment(ctx, repo.Owner, repo.Name, number, gh.IssueCommentRequest{Body: cut(body, maxComment)})
	})
	if err != nil {
		return Comment{}, err
	}
	return commentOf(made), nil
}

// UpdateComment replaces the text of a comment of ours.
func (c *Client) UpdateComment(ctx context.Context, repo Repo, id int64, body string) (Comment, error) {
	made, err := call(ctx, c, "comments.update", repo, func(ctx context.Context, g *gh.Client) (*gh.IssueComment, *gh.Response, error) {
		return g.Issues.UpdateComment(ctx, repo.Owner, repo.Name, id, gh.IssueCommentRequest{Body: cut(body, maxComment)})
	})
	if err != nil {
		return Comment{}, err
	}
	return commentOf(made), nil
}

// Comments lists the comments below a pull request or an issue, the oldest
// first.
func (c *Client) Comments(ctx context.Context, repo Repo, number int) ([]Comment, error) {
	found, err := pages(ctx, c, "comments.list", repo, func(ctx context.Context, g *gh.Client, page gh.ListOptions) ([]*gh.IssueComment, *gh.Response, error) {
		return g.Issues.ListComments(ctx, repo.Owner, repo.Name, number, &gh.IssueListCommentsOptions{ListOptions: page})
	})
	var all []Comment
	for _, comment := range found {
		all = append(all, commentOf(comment))
	}
	return all, err
}

// React puts a sign on a comment: +1, -1, laugh, confused, heart, hooray,
// rocket or eyes. Doing it twice leaves one.
func (c *Client) React(ctx context.Context, repo Repo, comment int64, content string) error {
	_, err := call(ctx, c, "reactions.create", repo, func(ctx context.Context, g *gh.Client) (*gh.Reaction, *gh.Response, error) {
		return g.Reactions.CreateIssueCommentReaction(ctx, repo.Owner, repo.Name, comment, content)
	})
	return err
}

// CommentCommit writes below a commit and returns the comment's address.
func (c *Client) CommentCommit(ctx context.Context, repo Repo, sha, body string) (string, error) {
	if err := checkRef(sha); err != nil {
		return "", err
	}
	made, err := call(ctx, c, "commits.comment", repo, func(ctx context.Context, g *gh.Client) (*gh.RepositoryComment, *gh.Response, error) {
		return g.Repositories.CreateComment(ctx, repo.Owner, repo.Name, url.PathEscape(sha), gh.CreateCommitCommentRequest{Body: cut(body, maxComment)})
	})
	return made.GetHTMLURL(), err
}

// CommitComments lists the comments below a commit, the oldest first.
func (c *Client) CommitComments(ctx context.Context, repo Repo, sha string) ([]Comment, error) {
	if err := checkRef(sha); err != nil {
		return nil, err
	}
	found, err := pages(ctx, c, "commits.comments", repo, func(ctx context.Context, g *gh.Client, page gh.ListOptions) ([]*gh.RepositoryComment, *gh.Response, error) {
		return g.Repositories.ListCommitComments(ctx, repo.Owner, repo.Name, url.PathEscape(sha), &page)
	})
	var all []Comment
	for _, comment := range found {
		all = append(all, Comment{
			ID: comment.GetID(), Author: comment.GetUser().GetLogin(), Body: comment.GetBody(), URL: comment.GetHTMLURL(), Created: comment.GetCreatedAt().Time,
		})
	}
	return all, err
}

// Issue is an open question to a project.
type Issue struct {
	Number int
	Title  string
	Body   string
	Author string
	URL    string // for people
}

// OpenIssues lists the open issues without the pull requests.
func (c *Client) OpenIssues(ctx context.Context, repo Repo) ([]Issue, error) {
	found, err := pages(ctx, c, "issues.list", repo, func(ctx context.Context, g *gh.Client, page gh.ListOptions) ([]*gh.Issue, *gh.Response, error) {
		return g.Issues.ListByRepo(ctx, repo.Owner, repo.Name, &gh.IssueListByRepoOptions{State: "open", ListOptions: page})
	})
	var all []Issue
	for _, i := range found {
		if !i.IsPullRequest() {
			all = append(all, issueOf(i))
		}
	}
	return all, err
}

func issueOf(i *gh.Issue) Issue {
	return Issue{Number: i.GetNumber(), Title: i.GetTitle(), Body: i.GetBody(), Author: i.GetUser().GetLogin(), URL: i.GetHTMLURL()}
}

// CreateIssue opens an issue.
func (c *Client) CreateIssue(ctx context.Context, repo Repo, title, body string) (Issue, error) {
	body = cut(body, maxComment)
	made, err := call(ctx, c, "issues.create", repo, func(ctx context.Context, g *gh.Client) (*gh.Issue, *gh.Response, error) {
		return g.Issues.Create(ctx, repo.Owner, repo.Name, gh.CreateIssueRequest{Title: cut(title, maxTitle), Body: &body})
	})
	if err != nil {
		return Issue{}, err
	}
	return issueOf(made), nil
}

// CloseIssue closes an issue, as done.
func (c *Client) CloseIssue(ctx context.Context, repo Repo, number int) error {
	closed := "closed"
	_, err := call(ctx, c, "issues.close", repo, func(ctx context.Context, g *gh.Client) (*gh.Issue, *gh.Response, error) {
		return g.Issues.Update(ctx, repo.Owner, repo.Name, number, gh.UpdateIssueRequest{State: &closed})
	})
	return err
}

// cut shortens text to a number of bytes, whole characters, and marks the cut.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= most {
		return text
	}
	end := most - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
