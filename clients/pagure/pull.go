package pagure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/forge"
)

// maxPages of a hundred are read of any list.
const maxPages = 50

type userJSON struct {
	Name string `json:"name"`
}

type pullJSON struct {
	ID          int           `json:"id"`
	Title       string        `json:"title"`
	Body        string        `json:"initial_comment"`
	Status      string        `json:"status"`
	Branch      string        `json:"branch"`
	BranchFrom  string        `json:"branch_from"`
	RepoFrom    *projectJSON  `json:"repo_from"` // null if the fork is gone
	User        userJSON      `json:"user"`
	CommitStart string        `json:"commit_start"`
	CommitStop  string        `json:"commit_stop"`
	Updated     string        `json:"last_updated"`
	Comments    []commentJSON `json:"comments"`
	Tags        []string      `json:"tags"`
}

type commentJSON struct {
	ID           int64    `json:"id"`
	Comment      string   `json:"comment"`
	Created      string   `json:"date_created"`
	User         userJSON `json:"user"`
	Notification bool     `json:"notification"`
}

func (c *Client) pull(repo string, in pullJSON) forge.PullRequest {
	out := forge.PullRequest{
		Number: in.ID, URL: c.PullURL(repo, in.ID), Title: in.Title, Body: in.Body, Author: in.User.Name, Open: in.Status == "Open",
		Merged: in.Status == "Merged", Target: in.Branch, Source: in.BranchFrom, First: in.CommitStart, Head: in.CommitStop, Updated: seconds(in.Updated),
		Labels: append([]string(nil), in.Tags...), // nil if there are none
	}
	if in.RepoFrom != nil {
		out.SourceRepo = in.RepoFrom.FullName
	}
	return out
}

// PullURL is the web page of a pull request.
func (c *Client) PullURL(repo string, number int) string {
	at, err := address(repo)
	if err != nil {
		return ""
	}
	return c.base() + at + "/pull-request/" + strconv.Itoa(number)
}

// at is the path of a pull request, or of something about it.
func pullAt(repo string, number int, rest string) (string, error) {
	at, err := address(repo)
	if err == nil && number <= 0 {
		err = fmt.Errorf("%d is not the number of a pull request", number)
	}
	return at + "/pull-request/" + strconv.Itoa(number) + rest, err
}

// CreatePull opens a pull request against repo. Pagure opens as many as it is
// asked for: look for an open one first.
func (c *Client) CreatePull(ctx context.Context, repo string, n forge.NewPull) (forge.PullRequest, error) {
	at, err := address(repo)
	if err != nil {
		return forge.PullRequest{}, err
	}
	form := url.Values{"title": {n.Title}, "initial_comment": {n.Body}, "branch_to": {n.Target}, "branch_from": {n.Source}}
	if n.SourceRepo != "" {
		from, err := address(n.SourceRepo)
		if err != nil {
			return forge.PullRequest{}, err
		}
		from = from[1:]
		if rest, ok := strings.CutPrefix(from, "fork/"); ok {
			user, path, _ := strings.Cut(rest, "/")
			form.Set("repo_from_username", user)
			from = path
		}
		if i := strings.LastIndex(from, "/"); i >= 0 {
			form.Set("repo_from_namespace", from[:i])
			from = from[i+1:]
		}
		form.Set("repo_from", from)
	}
	var in pullJSON
	if err := c.post(ctx, "pull.create", at+"/pull-request/new", form, &in); err != nil {
		return forge.PullRequest{}, fmt.Errorf("opening a pull request for %s of %s: %w", n.Target, repo, err)
	}
	return c.pull(repo, in), nil
}

// Pull returns a pull request.
func (c *Client) Pull(ctx context.Context, repo string, number int) (forge.PullRequest, error) {
	in, err := c.pullJSON(ctx, repo, number)
	return c.pull(repo, in), err
}

func (c *Client) pullJSON(ctx context.Context, repo string, number int) (in pullJSON, err error) {
	at, err := pullAt(repo, number, "")
	if err != nil {
		return in, err
	}
	if err := c.get(ctx, "pull.get", at, nil, &in); err != nil {
		return in, fmt.Errorf("asking for pull request %d of %s: %w", number, repo, err)
	}
	return in, nil
}

// Pulls lists the pull requests that match, the newest first.
func (c *Client) Pulls(ctx context.Context, repo string, f forge.Filter) ([]forge.PullRequest, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	query := url.Values{"status": {"Open"}}
	if f.Ended {
		query.Set("status", "all")
	}
	if f.Author != "" {
		query.Set("author", f.Author)
	}
	var all []forge.PullRequest
	err = c.pages(ctx, "pull.list", at+"/pull-requests", query, func() (page any, take func()) {
		var in struct {
			Requests []pullJSON `json:"requests"`
		}
		return &in, func() {
			for _, one := range in.Requests {
				// One may come twice if another was opened meanwhile.
				known := slices.ContainsFunc(all, func(p forge.PullRequest) bool { return p.Number == one.ID })
				if p := c.pull(repo, one); f.Matches(p) && !known {
					all = append(all, p)
				}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listing the pull requests of %s: %w", repo, err)
	}
	return all, nil
}

// pages reads a list page by page. next gives what a page is decoded into, and
// what is done with it then.
func (c *Client) pages(ctx context.Context, operation, path string, query url.Values, next func() (page any, take func())) error {
	query.Set("per_page", "100")
	for number := 1; ; number++ {
		query.Set("page", strconv.Itoa(number))
		var about struct {
			Pagination struct {
				Pages int `json:"pages"`
			} `json:"pagination"`
		}
		page, take := next()
		if err := c.get(ctx, operation, path, query, &both{&about, page}); err != nil {
			return err
		}
		take()
		switch {
		case number >= about.Pagination.Pages:
			return nil
		case number == maxPages:
			return fmt.Errorf("there are %d pages, more than %d", about.Pagination.Pages, maxPages)
		}
	}
}

// EditPull changes the title and the text of a pull request.
func (c *Client) EditPull(ctx context.Context, repo string, number int, title, body string) error {
	return c.act(ctx, "pull.edit", "changing", repo, number, "", url.Values{"title": {title}, "initial_comment": {body}})
}

// ClosePull closes a pull request without merging it.
func (c *Client) ClosePull(ctx context.Context, repo string, number int) error {
	return c.act(ctx, "pull.close", "closing", repo, number, "/close", url.Values{})
}

// Comment says something about a pull request. Pagure does not tell the id of
// the comment.
func (c *Client) Comment(ctx context.Context, repo string, number int, text string) error {
	return c.act(ctx, "pull.comment", "commenting on", repo, number, "/comment", url.Values{"comment": {text}})
}

func (c *Client) act(ctx context.Context, operation, doing, repo string, number int, path string, form url.Values) error {
	at, err := pullAt(repo, number, path)
	if err != nil {
		return err
	}
	if err := c.post(ctx, operation, at, form, nil); err != nil {
		return fmt.Errorf("%s pull request %d of %s: %w", doing, number, repo, err)
	}
	return nil
}

// Comments lists what people said about a pull request, the oldest first.
// Pagure's own remarks are left out.
func (c *Client) Comments(ctx context.Context, repo string, number int) ([]forge.Comment, error) {
	in, err := c.pullJSON(ctx, repo, number)
	return comments(in.Comments), err
}

func comments(in []commentJSON) []forge.Comment {
	var all []forge.Comment
	for _, one := range in {
		if !one.Notification {
			all = append(all, forge.Comment{ID: one.ID, Author: one.User.Name, Text: one.Comment, Created: seconds(one.Created)})
		}
	}
	return all
}

// ErrNoStats is matched when Pagure cannot tell how much a pull request
// changes, as when it changes nothing.
var ErrNoStats = errors.New("the forge cannot tell")

// Stats lists the files that a pull request changes, by path.
func (c *Client) Stats(ctx context.Context, repo string, number int) ([]forge.Stat, error) {
	at, err := pullAt(repo, number, "/diffstats")
	if err != nil {
		return nil, err
	}
	var in map[string]struct {
		Added   int    `json:"lines_added"`
		Removed int    `json:"lines_removed"`
		Status  string `json:"status"`
	}
	err = c.get(ctx, "pull.stats", at, nil, &in)
	if Code(err) == "ENOPRSTATS" {
		err = errors.Join(ErrNoStats, err)
	}
	if err != nil {
		return nil, fmt.Errorf("asking what pull request %d of %s changes: %w", number, repo, err)
	}
	var all []forge.Stat
	for _, path := range slices.Sorted(maps.Keys(in)) {
		s := in[path]
		all = append(all, forge.Stat{Path: path, Status: s.Status, Added: s.Added, Removed: s.Removed})
	}
	return all, nil
}
