package pagure

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"millrace/clients/forge"
)

type issueJSON struct {
	ID       int           `json:"id"`
	Title    string        `json:"title"`
	Content  string        `json:"content"`
	User     userJSON      `json:"user"`
	Comments []commentJSON `json:"comments"`
}

func (c *Client) issue(at string, in issueJSON) forge.Issue {
	return forge.Issue{Number: in.ID, Title: in.Title, Author: in.User.Name, Text: in.Content, URL: c.base() + at + "/issue/" + strconv.Itoa(in.ID)}
}

// OpenIssues lists the open issues of an author, or all without one, the newest
// first. Dist-git has none; other projects of a Pagure may.
func (c *Client) OpenIssues(ctx context.Context, repo, author string) ([]forge.Issue, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	query := url.Values{"status": {"Open"}}
	if author != "" {
		query.Set("author", author)
	}
	var all []forge.Issue
	err = c.pages(ctx, "issue.list", at+"/issues", query, func() (page any, take func()) {
		var in struct {
			Issues []issueJSON `json:"issues"`
		}
		return &in, func() {
			for _, one := range in.Issues {
				all = append(all, c.issue(at, one))
			}
		}
	})
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
	var in struct {
		Issue issueJSON `json:"issue"`
	}
	if err := c.post(ctx, "issue.create", at+"/new_issue", url.Values{"title": {title}, "issue_content": {body}}, &in); err != nil {
		return forge.Issue{}, fmt.Errorf("opening an issue of %s: %w", repo, err)
	}
	return c.issue(at, in.Issue), nil
}

// IssueComments are what was said about an issue, the oldest first.
func (c *Client) IssueComments(ctx context.Context, repo string, number int) ([]forge.Comment, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	var in issueJSON
	if err := c.get(ctx, "issue.get", at+"/issue/"+strconv.Itoa(number), nil, &in); err != nil {
		return nil, fmt.Errorf("reading issue %d of %s: %w", number, repo, err)
	}
	return comments(in.Comments), nil
}

// CommentIssue says something about an issue.
func (c *Client) CommentIssue(ctx context.Context, repo string, number int, text string) error {
	return c.actOnIssue(ctx, "issue.comment", "commenting on", repo, number, "/comment", url.Values{"comment": {text}})
}

// CloseIssue closes an issue.
func (c *Client) CloseIssue(ctx context.Context, repo string, number int) error {
	return c.actOnIssue(ctx, "issue.close", "closing", repo, number, "/status", url.Values{"status": {"Closed"}})
}

func (c *Client) actOnIssue(ctx context.Context, operation, doing, repo string, number int, path string, form url.Values) error {
	at, err := address(repo)
	if err != nil {
		return err
	}
	if err := c.post(ctx, operation, at+"/issue/"+strconv.Itoa(number)+path, form, nil); err != nil {
		return fmt.Errorf("%s issue %d of %s: %w", doing, number, repo, err)
	}
	return nil
}
