package fakeforge

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
)

// State is how far a pull request is.
type State string

// The states of pull requests, as Pagure writes them.
const (
	Open     State = "Open"
	Merged   State = "Merged"
	Rejected State = "Closed"
)

// Pull is a pull request.
type Pull struct {
	Number      int
	UID         string // 32 hexadecimal digits
	Title, Body string
	Author      string
	Branch      string // where it is to go
	HeadRepo    string // path
	HeadBranch  string
	State       State
	Base        string // the newest commit that both branches have
	First, Head string // the oldest and the newest commit that is asked to be merged; empty if there is none
	Merge       string // what Branch became by its merge; empty if it was not merged
	Created     time.Time
	Updated     time.Time
	Ended       time.Time // zero while it is open
	EndedBy     string
	Comments    []Comment
	Labels      []string // Pagure calls them tags
}

// Comment is something said about a pull request or an issue.
type Comment struct {
	ID      int64
	Author  string
	Text    string
	Created time.Time
	// Notification is set where the forge itself says what happened.
	Notification bool
}

func (p *Pull) clone() *Pull {
	c := *p
	c.Comments, c.Labels = slices.Clone(p.Comments), slices.Clone(p.Labels)
	return &c
}

var (
	// ErrInvalid is matched when what is asked for makes no sense.
	ErrInvalid = errors.New("invalid")
	// ErrConflict is matched when branches cannot be merged.
	ErrConflict = errors.New("conflict")
	// ErrState is matched when something is closed already, or open.
	ErrState = errors.New("not in this state")
)

// NewPull is what a pull request begins with.
type NewPull struct {
	Title, Body string
	Author      string
	Branch      string
	HeadRepo    string // path; the repository itself if empty
	HeadBranch  string
}

// OpenPull opens a pull request against a repository. Several may be open for
// the same branches.
func (f *Forge) OpenPull(ctx context.Context, path string, n NewPull) (*Pull, error) {
	f.pushing.Lock()
	defer f.pushing.Unlock()
	base, err := f.Repo(path)
	if err != nil {
		return nil, err
	}
	head, err := f.Repo(cmp.Or(n.HeadRepo, path))
	if err != nil {
		return nil, err
	}
	id := make([]byte, 16)
	rand.Read(id) // never fails
	p := &Pull{
		UID: hex.EncodeToString(id), Title: strings.TrimSpace(n.Title), Body: strings.TrimSpace(n.Body), Author: n.Author, State: Open,
		Branch: n.Branch, HeadRepo: head.Path, HeadBranch: n.HeadBranch, Created: f.Now(), Updated: f.Now(),
	}
	if err := f.measure(ctx, base.Path, p); err != nil {
		return nil, err
	}
	f.mu.Lock()
	r, err := f.repo(path)
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	f.person(n.Author)
	p.Number = r.nextNumber()
	r.Pulls = append(r.Pulls, p)
	e := Event{Kind: Opened, Actor: n.Author, Repo: r.clone(), Pull: p.clone()}
	err = f.save(r)
	f.mu.Unlock()
	if err == nil {
		err = f.keepHead(ctx, path, e.Pull)
	}
	if err != nil {
		return nil, err
	}
	f.tell(e)
	return e.Pull, nil
}

// nextNumber is for a pull request or an issue, which share them. The caller
// holds mu.
func (r *repo) nextNumber() int {
	r.LastNumber++
	return r.LastNumber
}

// measure finds out which commits a pull request is about. It changes p only.
func (f *Forge) measure(ctx context.Context, path string, p *Pull) error {
	for _, name := range []string{p.Branch, p.HeadBranch} {
		if err := git.CheckRef("refs/heads/" + name); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	head, err := f.Bare(p.HeadRepo).RevParse(ctx, "refs/heads/"+p.HeadBranch)
	if err != nil {
		return fmt.Errorf("%w: branch %s of %s does not exist", ErrInvalid, p.HeadBranch, p.HeadRepo)
	}
	base, err := f.Bare(path).RevParse(ctx, "refs/heads/"+p.Branch)
	if err != nil {
		return fmt.Errorf("%w: branch %s of %s does not exist", ErrInvalid, p.Branch, path)
	}
	// Brings the objects; whether the ref is kept is known once there is a number.
	if _, err := gitserver.Run(ctx, f.gitDir(path), nil, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", f.gitDir(p.HeadRepo), head); err != nil {
		return err
	}
	p.Base, err = f.Bare(path).MergeBase(ctx, base, head)
	if errors.Is(err, git.ErrNotFound) {
		return fmt.Errorf("%w: the branches have no commit in common", ErrInvalid)
	}
	if err != nil {
		return err
	}
	commits, err := f.Bare(path).Commits(ctx, git.Range{From: base, To: head}, maxCommits)
	if err != nil {
		return err
	}
	p.First, p.Head = "", ""
	if len(commits) > 0 {
		p.First, p.Head = commits[len(commits)-1].SHA, commits[0].SHA
	}
	return nil
}

// HeadRef is where a repository keeps the head of a pull request.
func HeadRef(number int) string { return fmt.Sprintf("refs/pull/%d/head", number) }

func (f *Forge) keepHead(ctx context.Context, path string, p *Pull) error {
	if p.Head == "" {
		return nil
	}
	_, err := gitserver.Run(ctx, f.gitDir(path), nil, "update-ref", HeadRef(p.Number), p.Head)
	return err
}

// pull finds a pull request. The caller holds mu.
func (r *repo) pull(number int) (*Pull, error) {
	for _, p := range r.Pulls {
		if p.Number == number {
			return p, nil
		}
	}
	return nil, fmt.Errorf("pull request %d of %s: %w", number, r.Path, ErrNotFound)
}

// Pull returns a pull request.
func (f *Forge) Pull(path string, number int) (*Pull, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return nil, err
	}
	p, err := r.pull(number)
	if err != nil {
		return nil, err
	}
	return p.clone(), nil
}

// Pulls returns the pull requests of a repository, newest first.
func (f *Forge) Pulls(path string) ([]*Pull, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return nil, err
	}
	var all []*Pull
	for _, p := range slices.Backward(r.Pulls) {
		all = append(all, p.clone())
	}
	return all, nil
}

// change changes a pull request, or not if do returns an error, and tells of
// it.
func (f *Forge) change(path string, number int, kind EventKind, actor string, do func(r *repo, p *Pull) error) (*Pull, error) {
	f.mu.Lock()
	r, err := f.repo(path)
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	p, err := r.pull(number)
	if err == nil {
		err = do(r, p)
	}
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	f.person(actor)
	p.Updated = f.Now()
	e := Event{Kind: kind, Actor: actor, Repo: r.clone(), Pull: p.clone()}
	err = f.save(r)
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f.tell(e)
	return e.Pull, nil
}

// EditPull changes title and text.
func (f *Forge) EditPull(path string, number int, actor, title, body string) (*Pull, error) {
	return f.change(path, number, Edited, actor, func(r *repo, p *Pull) error {
		p.Title, p.Body = strings.TrimSpace(title), strings.TrimSpace(body)
		return nil
	})
}

// LabelPull puts labels on a pull request, and takes others off.
func (f *Forge) LabelPull(path string, number int, actor string, labels ...string) (*Pull, error) {
	return f.change(path, number, Edited, actor, func(r *repo, p *Pull) error {
		p.Labels = labels
		return nil
	})
}

// CommentPull says something about a pull request.
func (f *Forge) CommentPull(path string, number int, actor, text string) (*Pull, error) {
	return f.change(path, number, Commented, actor, func(r *repo, p *Pull) error {
		p.Comments = append(p.Comments, f.comment(actor, text, false))
		return nil
	})
}

// comment makes one. The caller holds mu.
func (f *Forge) comment(author, text string, notification bool) Comment {
	return Comment{ID: f.newID(), Author: author, Text: text, Created: f.Now(), Notification: notification}
}

// ClosePull closes a pull request without merging it.
func (f *Forge) ClosePull(path string, number int, actor string) (*Pull, error) {
	return f.change(path, number, Closed, actor, func(r *repo, p *Pull) error {
		return f.end(p, Rejected, actor)
	})
}

// end closes a pull request. The caller holds mu.
func (f *Forge) end(p *Pull, as State, actor string) error {
	if p.State != Open {
		return fmt.Errorf("pull request %d is %s: %w", p.Number, strings.ToLower(string(p.State)), ErrState)
	}
	what := "closed"
	if as == Merged {
		what = "merged"
	}
	p.State, p.Ended, p.EndedBy = as, f.Now(), actor
	p.Comments = append(p.Comments, f.comment(actor, "Pull-Request has been "+what+" by "+actor, true))
	return nil
}

// ReopenPull opens one that was closed, but not merged.
func (f *Forge) ReopenPull(ctx context.Context, path string, number int, actor string) (*Pull, error) {
	p, err := f.change(path, number, Reopened, actor, func(r *repo, p *Pull) error {
		if p.State != Rejected {
			return fmt.Errorf("pull request %d is %s: %w", p.Number, strings.ToLower(string(p.State)), ErrState)
		}
		p.State, p.Ended, p.EndedBy = Open, time.Time{}, ""
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.pushing.Lock()
	defer f.pushing.Unlock()
	return p, f.refresh(ctx, path, number)
}

// refresh gives a pull request the commits that its branch has now. The caller
// holds pushing.
func (f *Forge) refresh(ctx context.Context, path string, number int) error {
	found, err := f.Pull(path, number)
	if err != nil {
		return err
	}
	p := *found
	if err := f.measure(ctx, path, &p); err != nil {
		return err
	}
	if p.Head == found.Head && p.First == found.First {
		return nil
	}
	kind, said := Updated, "1 new commit added"
	if kept, err := f.Bare(path).IsAncestor(ctx, cmp.Or(found.Head, p.Base), cmp.Or(p.Head, p.Base)); err != nil || !kept {
		kind, said = Rebased, "rebased onto "+p.Base
	}
	changed, err := f.change(path, number, kind, "pagure", func(r *repo, now *Pull) error {
		now.Base, now.First, now.Head = p.Base, p.First, p.Head
		now.Comments = append(now.Comments, f.comment(now.Author, said, true))
		return nil
	})
	if err != nil {
		return err
	}
	return f.keepHead(ctx, path, changed)
}

// mergedByPush closes a pull request whose commits are all in its branch now.
// The caller holds pushing.
func (f *Forge) mergedByPush(ctx context.Context, path string, number int, actor, tip string) error {
	p, err := f.Pull(path, number)
	if err != nil || p.Head == "" {
		return err
	}
	if merged, err := f.Bare(path).IsAncestor(ctx, p.Head, tip); err != nil || !merged {
		return err
	}
	_, err = f.change(path, number, Closed, actor, func(r *repo, p *Pull) error {
		p.Merge = tip
		return f.end(p, Merged, actor)
	})
	return err
}
