package pagurefake

import (
	"errors"
	"slices"
	"strings"

	"millrace/clients/git/fakeforge"
)

func (f *Fake) issueJSON(base, path string, i *fakeforge.Issue) object {
	status := "Open"
	if i.Closed {
		status = "Closed"
	}
	said := []object{}
	for _, c := range i.Comments {
		said = append(said, f.commentJSON(base, c))
	}
	return object{
		"id": i.Number, "title": i.Title, "content": i.Body, "status": status, "user": f.userJSON(base, i.Author), "private": false,
		"date_created": stamp(i.Created), "last_updated": stamp(i.Updated), "comments": said, "tags": []string{},
		"full_url": base + "/" + urlPath(path) + "/issue/" + numberText(i.Number),
	}
}

func (c *call) tracker() error {
	if !c.repo.OpenIssues {
		return &refusal{404, "ETRACKERDISABLED", "Issue tracker disabled", nil}
	}
	return nil
}

func (f *Fake) listIssues(c *call) (any, error) {
	if err := c.tracker(); err != nil {
		return nil, err
	}
	all, err := f.forge.Issues(c.repo.Path)
	if err != nil {
		return nil, err
	}
	status, author := strings.ToLower(c.form.Get("status")), c.form.Get("author")
	all = slices.DeleteFunc(all, func(i *fakeforge.Issue) bool {
		return status != "all" && i.Closed != (status == "closed") || author != "" && i.Author != author
	})
	of, pagination, err := paged(c, f.address(c.r), all)
	if err != nil {
		return nil, err
	}
	issues := []object{}
	for _, i := range of {
		issues = append(issues, f.issueJSON(f.address(c.r), c.repo.Path, i))
	}
	return object{"issues": issues, "total_issues": len(all), "pagination": pagination, "args": object{"status": status, "author": author}}, nil
}

func (f *Fake) openIssue(c *call) (any, error) {
	if err := c.tracker(); err != nil {
		return nil, err
	}
	if err := required(c.form, "title", "issue_content"); err != nil {
		return nil, err
	}
	i, err := f.forge.OpenIssue(c.repo.Path, c.login, c.form.Get("title"), c.form.Get("issue_content"))
	if err != nil {
		return nil, err
	}
	return object{"message": "Issue created", "issue": f.issueJSON(f.address(c.r), c.repo.Path, i)}, nil
}

func (f *Fake) showIssue(c *call) (any, error) {
	n, err := c.issue()
	if err != nil {
		return nil, err
	}
	all, err := f.forge.Issues(c.repo.Path)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.Number == n {
			return f.issueJSON(f.address(c.r), c.repo.Path, i), nil
		}
	}
	return nil, noIssue(fakeforge.ErrNotFound)
}

func (f *Fake) commentIssue(c *call) (any, error) {
	n, err := c.issue()
	if err != nil {
		return nil, err
	}
	if err := required(c.form, "comment"); err != nil {
		return nil, err
	}
	if _, err := f.forge.CommentIssue(c.repo.Path, n, c.login, c.form.Get("comment")); err != nil {
		return nil, noIssue(err)
	}
	return object{"message": "Comment added", "avatar_url": f.address(c.r) + "/avatar.png", "user": c.login}, nil
}

func (f *Fake) changeIssue(c *call) (any, error) {
	n, err := c.issue()
	if err != nil {
		return nil, err
	}
	if c.form.Get("status") != "Closed" {
		return nil, invalid("status", "Not a valid choice")
	}
	all, err := f.forge.Issues(c.repo.Path)
	if err != nil {
		return nil, err
	}
	mine := slices.ContainsFunc(all, func(i *fakeforge.Issue) bool { return i.Number == n && i.Author == c.login })
	if !mine && f.forge.Level(c.repo.Path, c.login) < fakeforge.Ticketer {
		return nil, &refusal{403, "EISSUENOTALLOWED", "You are not allowed to view this issue", nil}
	}
	if _, err := f.forge.CloseIssue(c.repo.Path, n, c.login); err != nil {
		return nil, noIssue(err)
	}
	return object{"message": []string{"Issue status updated to: Closed (was: Open)"}}, nil
}

func (c *call) issue() (int, error) {
	if err := c.tracker(); err != nil {
		return 0, err
	}
	n, err := c.number()
	if err != nil {
		return 0, noIssue(fakeforge.ErrNotFound)
	}
	return n, nil
}

func noIssue(err error) error {
	if errors.Is(err, fakeforge.ErrNotFound) {
		return &refusal{404, "ENOISSUE", "Issue not found", nil}
	}
	return err
}
