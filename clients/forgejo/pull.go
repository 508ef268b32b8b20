package forgejo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/clients/forge"
	"millrace/clients/httpx"
)

type pullJSON struct {
	Number  int       `json:"number"`
	Title   string    `json:"title"`
	Body    string    `json:"body"`
	State   string    `json:"state"`
	Merged  bool      `json:"merged"`
	Merge   string    `json:"merge_commit_sha"` // null until it is merged
	User    userJSON  `json:"user"`
	Head    endJSON   `json:"head"`
	Base    endJSON   `json:"base"`
	Updated time.Time `json:"updated_at"`
	Labels  []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

type endJSON struct {
	Ref  string    `json:"ref"`
	SHA  string    `json:"sha"`
	Repo *repoJSON `json:"repo"` // null if the fork is gone
}

func (c *Client) pull(repo string, in pullJSON) forge.PullRequest {
	out := forge.PullRequest{
		Number: in.Number, URL: c.PullURL(repo, in.Number), Title: in.Title, Body: in.Body, Author: in.User.Login, Open: in.State == "open",
		Merged: in.Merged, Target: in.Base.Ref, Source: in.Head.Ref, Head: in.Head.SHA, Updated: in.Updated.UTC(),
	}
	if in.Merged {
		out.Merge = in.Merge
	}
	for _, label := range in.Labels {
		out.Labels = append(out.Labels, label.Name)
	}
	if in.Head.Repo != nil {
		out.SourceRepo = in.Head.Repo.FullName
	}
	return out
}

// PullURL is the web page of a pull request.
func (c *Client) PullURL(repo string, number int) string {
	return c.base() + "/" + repo + "/pulls/" + strconv.Itoa(number)
}

func numbered(repo, what string, number int, rest string) (string, error) {
	at, err := address(repo)
	if err == nil && number <= 0 {
		err = fmt.Errorf("%d is not the number of a pull request", number)
	}
	return at + what + strconv.Itoa(number) + rest, err
}

// CreatePull opens a pull request against repo. Forgejo refuses a second one
// for the same branches, with a conflict.
func (c *Client) CreatePull(ctx context.Context, repo string, n forge.NewPull) (forge.PullRequest, error) {
	at, err := address(repo)
	if err != nil {
		return forge.PullRequest{}, err
	}
	head := n.Source
	if owner, _, ok := strings.Cut(n.SourceRepo, "/"); ok && n.SourceRepo != repo {
		head = owner + ":" + n.Source
	}
	var in pullJSON
	body := map[string]string{"title": n.Title, "body": n.Body, "base": n.Target, "head": head}
	if err := c.call(ctx, "pull.create", http.MethodPost, at+"/pulls", nil, body, &in); err != nil {
		return forge.PullRequest{}, fmt.Errorf("opening a pull request for %s of %s: %w", n.Target, repo, err)
	}
	return c.pull(repo, in), nil
}

// Pull returns a pull request. Forgejo does not say which is its first commit.
func (c *Client) Pull(ctx context.Context, repo string, number int) (forge.PullRequest, error) {
	at, err := numbered(repo, "/pulls/", number, "")
	if err != nil {
		return forge.PullRequest{}, err
	}
	var in pullJSON
	if err := c.call(ctx, "pull.get", http.MethodGet, at, nil, nil, &in); err != nil {
		return forge.PullRequest{}, fmt.Errorf("asking for pull request %d of %s: %w", number, repo, err)
	}
	return c.pull(repo, in), nil
}

// Pulls lists the pull requests that match, the newest first.
func (c *Client) Pulls(ctx context.Context, repo string, f forge.Filter) ([]forge.PullRequest, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	query := url.Values{"state": {"open"}, "sort": {"newest"}}
	if f.Ended {
		query.Set("state", "all")
	}
	var all []forge.PullRequest
	err = list(ctx, c, "pull.list", at+"/pulls", query, func(in pullJSON) {
		// One may come twice if another was opened meanwhile.
		known := slices.ContainsFunc(all, func(p forge.PullRequest) bool { return p.Number == in.Number })
		if p := c.pull(repo, in); f.Matches(p) && !known {
			all = append(all, p)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listing the pull requests of %s: %w", repo, err)
	}
	return all, nil
}

func (c *Client) act(ctx context.Context, operation, doing, method, repo, what string, number int, rest string, in any) error {
	at, err := numbered(repo, what, number, rest)
	if err != nil {
		return err
	}
	if err := c.call(ctx, operation, method, at, nil, in, nil); err != nil {
		return fmt.Errorf("%s %d of %s: %w", doing, number, repo, err)
	}
	return nil
}

// EditPull changes the title and the text of a pull request.
func (c *Client) EditPull(ctx context.Context, repo string, number int, title, body string) error {
	in := map[string]string{"title": title, "body": body}
	return c.act(ctx, "pull.edit", "changing pull request", http.MethodPatch, repo, "/pulls/", number, "", in)
}

// ClosePull closes a pull request without merging it.
func (c *Client) ClosePull(ctx context.Context, repo string, number int) error {
	return c.act(ctx, "pull.close", "closing pull request", http.MethodPatch, repo, "/pulls/", number, "", map[string]string{"state": "closed"})
}

// Comment says something about a pull request.
func (c *Client) Comment(ctx context.Context, repo string, number int, text string) error {
	return c.act(ctx, "pull.comment", "commenting on pull request", http.MethodPost, repo, "/issues/", number, "/comments", map[string]string{"body": text})
}

// Comments lists what people said about a pull request, the oldest first.
func (c *Client) Comments(ctx context.Context, repo string, number int) ([]forge.Comment, error) {
	at, err := numbered(repo, "/issues/", number, "/comments")
	if err != nil {
		return nil, err
	}
	var in []struct {
		ID      int64     `json:"id"`
		Body    string    `json:"body"`
		User    userJSON  `json:"user"`
		Created time.Time `json:"created_at"`
	}
	// This list has no pages.
	if err := c.call(ctx, "pull.comments", http.MethodGet, at, nil, nil, &in); err != nil {
		return nil, fmt.Errorf("asking for the comments on pull request %d of %s: %w", number, repo, err)
	}
	var all []forge.Comment
	for _, one := range in {
		all = append(all, forge.Comment{ID: one.ID, Author: one.User.Login, Text: one.Body, Created: one.Created.UTC()})
	}
	return all, nil
}

// letters are how forge.Stat says what happened to a file.
var letters = map[string]string{"added": "A", "changed": "M", "modified": "M", "deleted": "D", "removed": "D", "renamed": "R"}

// Stats lists the files that a pull request changes, by path.
func (c *Client) Stats(ctx context.Context, repo string, number int) ([]forge.Stat, error) {
	at, err := numbered(repo, "/pulls/", number, "/files")
	if err != nil {
		return nil, err
	}
	type file struct {
		Filename  string `json:"filename"`
		Status    string `json:"status"`
		Additions int    `json:"additions"`
		Deletions int    `json:"deletions"`
	}
	var all []forge.Stat
	err = list(ctx, c, "pull.files", at, nil, func(f file) {
		all = append(all, forge.Stat{Path: f.Filename, Status: letters[f.Status], Added: f.Additions, Removed: f.Deletions})
	})
	if err != nil {
		return nil, fmt.Errorf("asking what pull request %d of %s changes: %w", number, repo, err)
	}
	slices.SortFunc(all, func(a, b forge.Stat) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// maxDescription is how long the text of a status is on the forge's pages, in
// characters.
const maxDescription = 140

// SetPullStatus sets a status on the newest commit of a pull request: in the
// repository that it is for, where Forgejo shows it, and in the one that it comes
// from, where other programs look for it; where one of them is not ours to write to,
// in the other alone.
func (c *Client) SetPullStatus(ctx context.Context, repo string, p forge.PullRequest, s forge.Status) error {
	err := c.SetCommitStatus(ctx, repo, p.Head, s)
	if p.SourceRepo == "" || p.SourceRepo == repo || err != nil && !httpx.Hidden(err) {
		return err
	}
	also := c.SetCommitStatus(ctx, p.SourceRepo, p.Head, s)
	switch {
	case err == nil && httpx.Hidden(also), also == nil:
		return nil
	case err == nil:
		return also
	}
	return err
}

// SetCommitStatus sets a status on a commit.
func (c *Client) SetCommitStatus(ctx context.Context, repo, sha string, s forge.Status) error {
	at, err := address(repo)
	if err != nil {
		return err
	}
	text := s.Text
	if utf8.RuneCountInString(text) > maxDescription {
		text = string([]rune(text)[:maxDescription-1]) + "…"
	}
	in := map[string]string{"state": string(s.State), "target_url": s.URL, "description": text, "context": s.Name}
	if err := c.call(ctx, "commit.status", http.MethodPost, at+"/statuses/"+url.PathEscape(sha), nil, in, nil); err != nil {
		return fmt.Errorf("setting a status of commit %s of %s: %w", sha, repo, err)
	}
	return nil
}

// MergedBy is the number of the pull request by which a branch came to be at a
// commit; 0 if it did not come by one. A push can be heard of before Forgejo has
// noted which pull request it merged: then it is the open one with that commit.
func (c *Client) MergedBy(ctx context.Context, repo, branch, sha string) (int, error) {
	at, err := address(repo)
	if err != nil {
		return 0, err
	}
	var in pullJSON
	err = c.call(ctx, "commit.pull", http.MethodGet, at+"/commits/"+url.PathEscape(sha)+"/pull", nil, nil, &in)
	found := !IsNotFound(err)
	switch {
	case found && err != nil:
		return 0, fmt.Errorf("asking which pull request commit %.7s of %s came by: %w", sha, repo, err)
	case found && in.Merged && in.Base.Ref == branch:
		return in.Number, nil
	}
	// Found, but of another branch: one commit can come to several by a pull request
	// each, of which Forgejo names any.
	all, err := c.Pulls(ctx, repo, forge.Filter{Ended: found, Target: branch})
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		if p.Merge == sha || p.Head == sha && (p.Open || p.Merged) {
			return p.Number, nil
		}
	}
	return 0, nil
}

// Statuses lists the newest status of each name on a commit.
func (c *Client) Statuses(ctx context.Context, repo, sha string) ([]forge.Status, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	type status struct {
		Context     string      `json:"context"`
		State       forge.State `json:"status"` // which is "state" when it is set
		Description string      `json:"description"`
		TargetURL   string      `json:"target_url"`
	}
	var all []forge.Status
	err = list(ctx, c, "commit.statuses", at+"/statuses/"+url.PathEscape(sha), url.Values{"sort": {"recentupdate"}}, func(in status) {
		if !slices.ContainsFunc(all, func(s forge.Status) bool { return s.Name == in.Context }) {
			all = append(all, forge.Status{Name: in.Context, State: in.State, Text: in.Description, URL: in.TargetURL})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the statuses of commit %s of %s: %w", sha, repo, err)
	}
	return all, nil
}

type issueJSON struct {
	Number int      `json:"number"`
	Title  string   `json:"title"`
	Body   string   `json:"body"`
	User   userJSON `json:"user"`
}

func (c *Client) issue(repo string, in issueJSON) forge.Issue {
	return forge.Issue{Number: in.Number, Title: in.Title, Author: in.User.Login, Text: in.Body, URL: c.base() + "/" + repo + "/issues/" + strconv.Itoa(in.Number)}
}

// OpenIssues lists the open issues of an author, or all without one, the newest
// first.
func (c *Client) OpenIssues(ctx context.Context, repo, author string) ([]forge.Issue, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	query := url.Values{"state": {"open"}, "type": {"issues"}}
	if author != "" {
		query.Set("created_by", author)
	}
	var all []forge.Issue
	err = list(ctx, c, "issue.list", at+"/issues", query, func(in issueJSON) { all = append(all, c.issue(repo, in)) })
	if err != nil {
		return nil, fmt.Errorf("listing the issues of %s: %w", repo, err)
	}
	return all, nil
}

// CreateIssue opens an issue.
func (c *Client) CreateIssue(ctx context.Context, repo, title, body string) (forge.Issue, error) {
	at, err := address(repo)
	if err != nil {
		return forge.Issue{}, err
	}
	var in issueJSON
	if err := c.call(ctx, "issue.create", http.MethodPost, at+"/issues", nil, map[string]string{"title": title, "body": body}, &in); err != nil {
		return forge.Issue{}, fmt.Errorf("opening an issue of %s: %w", repo, err)
	}
	return c.issue(repo, in), nil
}

// CommentIssue says something about an issue.
func (c *Client) CommentIssue(ctx context.Context, repo string, number int, text string) error {
	return c.act(ctx, "issue.comment", "commenting on issue", http.MethodPost, repo, "/issues/", number, "/comments", map[string]string{"body": text})
}

// CloseIssue closes an issue.
func (c *Client) CloseIssue(ctx context.Context, repo string, number int) error {
	return c.act(ctx, "issue.close", "closing issue", http.MethodPatch, repo, "/issues/", number, "", map[string]string{"state": "closed"})
}
