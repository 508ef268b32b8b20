package fakeforge

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Issue is an open question to a repository.
type Issue struct {
	Number      int
	Title, Body string
	Author      string
	Closed      bool
	Created     time.Time
	Updated     time.Time
	Comments    []Comment
}

func (i *Issue) clone() *Issue {
	c := *i
	c.Comments = slices.Clone(i.Comments)
	return &c
}

// SwitchIssues says whether a repository has issues. Those of dist-git have
// none, as at Fedora, until they are told otherwise.
func (f *Forge) SwitchIssues(path string, on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return err
	}
	r.OpenIssues = on
	return f.save(r)
}

// SwitchPulls says whether pull requests can be opened.
func (f *Forge) SwitchPulls(path string, on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return err
	}
	r.OpenPulls = on
	return f.save(r)
}

// OpenIssue opens an issue.
func (f *Forge) OpenIssue(path, author, title, body string) (*Issue, error) {
	return f.changeIssue(path, 0, IssueOpened, author, func(i *Issue) error {
		i.Title, i.Body, i.Author, i.Created = strings.TrimSpace(title), body, author, f.Now()
		return nil
	})
}

// CommentIssue says something about an issue.
func (f *Forge) CommentIssue(path string, number int, author, text string) (*Issue, error) {
	return f.changeIssue(path, number, IssueSaid, author, func(i *Issue) error {
		i.Comments = append(i.Comments, f.comment(author, text, false))
		return nil
	})
}

// CloseIssue closes an issue.
func (f *Forge) CloseIssue(path string, number int, actor string) (*Issue, error) {
	return f.changeIssue(path, number, IssueClosed, actor, func(i *Issue) error {
		if i.Closed {
			return fmt.Errorf("issue %d is closed: %w", number, ErrState)
		}
		i.Closed = true
		return nil
	})
}

// changeIssue changes an issue, or makes one if number is 0, and tells of it.
func (f *Forge) changeIssue(path string, number int, kind EventKind, actor string, do func(i *Issue) error) (*Issue, error) {
	f.mu.Lock()
	r, err := f.repo(path)
	var issue *Issue
	if err == nil {
		issue, err = r.issue(number)
	}
	if err == nil {
		err = do(issue)
	}
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	if issue.Number == 0 {
		issue.Number = r.nextNumber()
		r.Issues = append(r.Issues, issue)
	}
	f.person(actor)
	issue.Updated = f.Now()
	e := Event{Kind: kind, Actor: actor, Repo: r.clone(), Issue: issue.clone()}
	err = f.save(r)
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f.tell(e)
	return e.Issue, nil
}

// issue finds an issue, or begins one if number is 0. The caller holds mu.
func (r *repo) issue(number int) (*Issue, error) {
	if number == 0 {
		return new(Issue), nil
	}
	for _, i := range r.Issues {
		if i.Number == number {
			return i, nil
		}
	}
	return nil, fmt.Errorf("issue %d of %s: %w", number, r.Path, ErrNotFound)
}

// Issues returns the issues of a repository, newest first.
func (f *Forge) Issues(path string) ([]*Issue, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return nil, err
	}
	var all []*Issue
	for _, i := range slices.Backward(r.Issues) {
		all = append(all, i.clone())
	}
	return all, nil
}
