package githubfake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// NewPull is a pull request to be opened.
type NewPull struct {
	Title, Body string
	Head        string // branch, or owner:branch of a fork
	Base        string // the default branch if empty
	Author      string // the head's owner if empty
	Draft       bool
}

// OpenPull opens a pull request.
func (f *Fake) OpenPull(ctx context.Context, fullName string, n NewPull) (Pull, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return Pull{}, err
	}
	head := r
	owner, branch, fork := strings.Cut(n.Head, ":")
	if !fork {
		branch = n.Head
	} else if !equalFold(owner, r.Owner) {
		if head = f.forkOf(r, owner); head == nil {
			return Pull{}, invalid("PullRequest", "head", "invalid", "")
		}
	}
	base := cmp.Or(n.Base, r.DefaultBranch)
	p := &Pull{
		Title: n.Title, Body: n.Body, Author: f.user(cmp.Or(n.Author, head.Owner)).Login, State: "open", Draft: n.Draft,
		HeadRepo: head.FullName(), HeadBranch: branch, HeadSHA: head.Refs["refs/heads/"+branch],
		BaseBranch: base, BaseSHA: r.Refs["refs/heads/"+base], Created: f.now(), Updated: f.now(),
	}
	switch {
	case p.Title == "":
		return Pull{}, invalid("PullRequest", "title", "missing_field", "")
	case p.HeadSHA == "":
		return Pull{}, invalid("PullRequest", "head", "invalid", "")
	case p.BaseSHA == "":
		return Pull{}, invalid("PullRequest", "base", "invalid", "")
	case p.HeadSHA == p.BaseSHA:
		return Pull{}, invalid("PullRequest", "head", "custom", "No commits between "+base+" and "+n.Head)
	}
	for _, old := range r.Pulls {
		if old.State == "open" && old.HeadRepo == p.HeadRepo && old.HeadBranch == branch && old.BaseBranch == base {
			return Pull{}, invalid("PullRequest", "head", "custom", "A pull request already exists for "+head.Owner+":"+branch+".")
		}
	}
	p.ID, p.Number = f.newID(), r.nextNumber()
	if err := f.bringHead(ctx, r.FullName(), p); err != nil {
		return Pull{}, err
	}
	r.Pulls = append(r.Pulls, p)
	f.sendPull(r, p, "opened", p.Author, nil)
	return p.copy(), f.save(r)
}

// forkOf finds an owner's fork of a repository. The caller holds mu.
func (f *Fake) forkOf(r *repo, owner string) *repo {
	for _, fork := range f.repos {
		if equalFold(fork.Owner, owner) && equalFold(fork.ForkOf, r.FullName()) {
			return fork
		}
	}
	return nil
}

// onPull changes a pull request and keeps it. change holds mu.
func (f *Fake) onPull(fullName string, number int, change func(r *repo, p *Pull) error) (Pull, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return Pull{}, err
	}
	p := r.pull(number)
	if p == nil {
		return Pull{}, fmt.Errorf("pull request %d of %s: %w", number, fullName, ErrNotFound)
	}
	if err := change(r, p); err != nil {
		return Pull{}, err
	}
	p.Updated = f.now()
	return p.copy(), f.save(r)
}

// ClosePull closes a pull request without merging it.
func (f *Fake) ClosePull(fullName string, number int, by string) (Pull, error) {
	return f.onPull(fullName, number, func(r *repo, p *Pull) error {
		if p.State == "closed" {
			return nil
		}
		p.State, p.Closed = "closed", f.now()
		f.sendPull(r, p, "closed", cmp.Or(by, p.Author), nil)
		return nil
	})
}

// ReopenPull opens a closed pull request again, with the present head of its
// branch.
func (f *Fake) ReopenPull(ctx context.Context, fullName string, number int, by string) (Pull, error) {
	return f.onPull(fullName, number, func(r *repo, p *Pull) error {
		if p.State == "open" {
			return nil
		}
		head, err := f.repo(p.HeadRepo)
		if err != nil || p.Merged || head.Refs["refs/heads/"+p.HeadBranch] == "" {
			return invalid("PullRequest", "state", "invalid", "state cannot be changed. The branch was deleted or merged.")
		}
		p.State, p.HeadSHA = "open", head.Refs["refs/heads/"+p.HeadBranch]
		p.Closed = time.Time{}
		if err := f.bringHead(ctx, r.FullName(), p); err != nil {
			return err
		}
		f.sendPull(r, p, "reopened", cmp.Or(by, p.Author), nil)
		return nil
	})
}

// EditPull changes title and body of a pull request.
func (f *Fake) EditPull(fullName string, number int, title, body, by string) (Pull, error) {
	return f.onPull(fullName, number, func(r *repo, p *Pull) error {
		changes := object{}
		if p.Title != title {
			changes["title"] = object{"from": p.Title}
		}
		if p.Body != body {
			changes["body"] = object{"from": p.Body}
		}
		p.Title, p.Body = title, body
		f.sendPull(r, p, "edited", cmp.Or(by, p.Author), object{"changes": changes})
		return nil
	})
}

// LabelPull adds a label to a pull request.
func (f *Fake) LabelPull(fullName string, number int, label, by string) (Pull, error) {
	return f.onPull(fullName, number, func(r *repo, p *Pull) error {
		if slices.Contains(p.Labels, label) {
			return nil
		}
		p.Labels = append(p.Labels, label)
		f.sendPull(r, p, "labeled", cmp.Or(by, r.Owner), object{"label": labelsJSON([]string{label})[0]})
		return nil
	})
}

// UnlabelPull takes a label from a pull request.
func (f *Fake) UnlabelPull(fullName string, number int, label, by string) (Pull, error) {
	return f.onPull(fullName, number, func(r *repo, p *Pull) error {
		if !slices.Contains(p.Labels, label) {
			return fmt.Errorf("label %s: %w", label, ErrNotFound)
		}
		p.Labels = slices.DeleteFunc(p.Labels, func(l string) bool { return l == label })
		f.sendPull(r, p, "unlabeled", cmp.Or(by, r.Owner), object{"label": labelsJSON([]string{label})[0]})
		return nil
	})
}

// ErrConflict is matched when a pull request cannot be merged.
var ErrConflict = errors.New("merge conflict")

// MergePull merges a pull request with a merge commit, which it returns.
func (f *Fake) MergePull(ctx context.Context, fullName string, number int, by string) (sha string, err error) {
	p, err := f.Pull(fullName, number)
	if err != nil {
		return "", err
	}
	if p.State != "open" {
		return "", fmt.Errorf("pull request %d of %s is closed: %w", number, fullName, ErrConflict)
	}
	f.mu.Lock()
	r, err := f.repo(fullName)
	if err == nil {
		by = cmp.Or(by, r.Owner)
	}
	f.mu.Unlock()
	if err != nil {
		return "", err
	}
	tree, err := f.run(ctx, fullName, nil, "merge-tree", "--write-tree", p.BaseSHA, p.HeadSHA)
	if err != nil {
		return "", fmt.Errorf("pull request %d of %s: %w", number, fullName, ErrConflict)
	}
	text := fmt.Sprintf("tree %s\nparent %s\nparent %s\nauthor %s <%s@example.org> %d +0000\ncommitter %[4]s <%[5]s@example.org> %[6]d +0000\n\n"+
		"Merge pull request #%d from %s\n\n%s\n", tree, p.BaseSHA, p.HeadSHA, by, by, f.now().Unix(), p.Number, p.HeadBranch, p.Title)
	sha, err = f.run(ctx, fullName, strings.NewReader(text), "hash-object", "-t", "commit", "-w", "--stdin")
	if err != nil {
		return "", err
	}
	// Noticing the push closes the pull request.
	return sha, f.setRef(ctx, fullName, "refs/heads/"+p.BaseBranch, sha, p.BaseSHA, by)
}

// Comment writes below an issue or a pull request.
func (f *Fake) Comment(fullName string, number int, author, body string) (Comment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return Comment{}, err
	}
	if r.pull(number) == nil && r.issue(number) == nil {
		return Comment{}, fmt.Errorf("issue %d of %s: %w", number, fullName, ErrNotFound)
	}
	if strings.TrimSpace(body) == "" {
		return Comment{}, invalid("IssueComment", "body", "missing_field", "Body can't be blank")
	}
	if len(body) > 65536 {
		return Comment{}, invalid("IssueComment", "body", "custom", "body is too long (maximum is 65536 characters)")
	}
	c := &Comment{ID: f.newID(), Number: number, Author: f.user(author).Login, Body: body, Created: f.now(), Updated: f.now()}
	r.Comments = append(r.Comments, c)
	f.sendComment(r, c, "created", c.Author)
	return c.copy(), f.save(r)
}

// EditComment changes a comment.
func (f *Fake) EditComment(fullName string, id int64, body, by string) (Comment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return Comment{}, err
	}
	c := r.comment(id)
	if c == nil {
		return Comment{}, fmt.Errorf("comment %d of %s: %w", id, fullName, ErrNotFound)
	}
	c.Body, c.Updated = body, f.now()
	f.sendComment(r, c, "edited", cmp.Or(by, c.Author))
	return c.copy(), f.save(r)
}
