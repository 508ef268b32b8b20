package box

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/git"
	"millrace/clients/github/githubfake"
)

// action is what a form asks for: it returns where to go on.
type action func(ctx context.Context, r *http.Request) (to string, err error)

const maxForm = 256 << 10

// do answers a form.
func (b *Box) do(a action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			b.refuse(w, r, cannot("The form cannot be read: %v.", err))
			return
		}
		to, err := a(r.Context(), r)
		if err != nil {
			b.refuse(w, r, err)
			return
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}

func repoOf(r *http.Request) string { return r.PathValue("owner") + "/" + r.PathValue("repo") }

func pullOf(r *http.Request) (int, error) {
	text := r.PathValue("number")
	if !pullNumber.MatchString(text) {
		return 0, fmt.Errorf("pull request %q: %w", text, githubfake.ErrNotFound)
	}
	return strconv.Atoi(text)
}

func pullURL(repo string, number int) string { return fmt.Sprintf("/%s/pull/%d", repo, number) }

// back is the page that a form came from, if it says so and the page is ours.
func back(r *http.Request, otherwise string) string {
	to := r.PostForm.Get("back")
	if u, err := url.Parse(to); err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(to, "/") &&
		!strings.HasPrefix(to, "//") && !strings.ContainsAny(to, "\\\r\n") {
		return to
	}
	return otherwise
}

func (b *Box) actOpen(ctx context.Context, r *http.Request) (string, error) {
	p, err := b.Open(ctx, repoOf(r), Scenario(r.PostForm.Get("scenario")))
	return pullURL(repoOf(r), p.Number), err
}

// actOpenFrom opens a pull request from a branch that somebody has pushed.
func (b *Box) actOpenFrom(ctx context.Context, r *http.Request) (string, error) {
	repo, err := b.repository(repoOf(r))
	if err != nil {
		return "", err
	}
	head, title := r.PostForm.Get("head"), strings.TrimSpace(r.PostForm.Get("title"))
	from, branch := repo, head
	if who, name, fork := strings.Cut(head, ":"); fork {
		if from, err = b.repository(who + "/" + repo.Name); err != nil {
			return "", err
		}
		branch = name
	}
	sha := b.Forge.Branches(from.FullName())[branch]
	if sha == "" {
		return "", cannot("There is no branch %q in %s.", branch, from.FullName())
	}
	if sha == b.Forge.Branches(repo.FullName())[repo.DefaultBranch] {
		return "", cannot("Branch %s has nothing that %s has not.", branch, repo.DefaultBranch)
	}
	for _, p := range b.Forge.Pulls(repo.FullName()) {
		if p.State == "open" && p.HeadRepo == from.FullName() && p.HeadBranch == branch {
			return pullURL(repo.FullName(), p.Number), nil
		}
	}
	if title == "" {
		commits, err := b.bare(from.FullName()).Commits(ctx, git.Range{To: sha}, 1)
		if err != nil {
			return "", err
		}
		if len(commits) > 0 {
			title = commits[0].Subject
		}
	}
	p, err := b.Forge.OpenPull(ctx, repo.FullName(), githubfake.NewPull{Title: cmp.Or(title, "No title"), Body: r.PostForm.Get("body"), Head: head, Author: visitor})
	return pullURL(repo.FullName(), p.Number), err
}

// onPull is an action on a pull request, after which its page is shown again.
func (b *Box) onPull(do func(ctx context.Context, repo string, number int, r *http.Request) error) action {
	return func(ctx context.Context, r *http.Request) (string, error) {
		number, err := pullOf(r)
		if err != nil {
			return "", err
		}
		return pullURL(repoOf(r), number), do(ctx, repoOf(r), number, r)
	}
}

func (b *Box) actPush(ctx context.Context, repo string, number int, _ *http.Request) error {
	_, err := b.Push(ctx, repo, number)
	return err
}

func (b *Box) actClose(_ context.Context, repo string, number int, _ *http.Request) error {
	_, err := b.Forge.ClosePull(repo, number, visitor)
	return err
}

func (b *Box) actReopen(ctx context.Context, repo string, number int, _ *http.Request) error {
	p, err := b.Forge.Pull(repo, number)
	if err != nil {
		return err
	}
	if p.Merged || b.Forge.Branches(p.HeadRepo)[p.HeadBranch] == "" {
		return cannot("It cannot be opened again: its branch was merged or deleted.")
	}
	_, err = b.Forge.ReopenPull(ctx, repo, number, visitor)
	return err
}

func (b *Box) actMerge(ctx context.Context, repo string, number int, _ *http.Request) error {
	_, err := b.Forge.MergePull(ctx, repo, number, visitor)
	return err
}

func (b *Box) actComment(_ context.Context, repo string, number int, r *http.Request) error {
	body, who, err := b.said(r, repo)
	if err != nil {
		return err
	}
	_, err = b.Forge.Comment(repo, number, who, body)
	return err
}

// said is what a form wants to have written, and by whom: the visitor, unless it
// names another who is around.
func (b *Box) said(r *http.Request, repo string) (body, who string, err error) {
	body, who = r.PostForm.Get("body"), cmp.Or(r.PostForm.Get("who"), visitor)
	if strings.TrimSpace(body) == "" || len(body) > 65536 {
		return "", "", cannot("A comment has one character at least, and 65536 at most.")
	}
	if !slices.Contains(b.around(repo), who) {
		return "", "", cannot("Nobody of that name is around.")
	}
	return body, who, nil
}

// around are those as whom one can write in a repository: the visitor, who may
// write to it, its maintainer, and people who may not.
func (b *Box) around(repo string) []string {
	people := []string{visitor}
	owner, _, _ := strings.Cut(repo, "/")
	for _, who := range append([]string{maintainers[owner]}, strangers...) {
		if who != "" && !slices.Contains(people, who) {
			people = append(people, who)
		}
	}
	return people
}

func (b *Box) actCommentIssue(_ context.Context, r *http.Request) (string, error) {
	number, err := pullOf(r)
	if err != nil {
		return "", err
	}
	return issueURL(repoOf(r), number), b.actComment(r.Context(), repoOf(r), number, r)
}

func issueURL(repo string, number int) string { return fmt.Sprintf("/%s/issues/%d", repo, number) }

// actOpenIssue opens an issue.
func (b *Box) actOpenIssue(_ context.Context, r *http.Request) (string, error) {
	title := strings.TrimSpace(r.PostForm.Get("title"))
	if title == "" || len(title) > 200 {
		return "", cannot("An issue needs a title of at most 200 characters.")
	}
	i, err := b.Forge.OpenIssue(repoOf(r), visitor, title, r.PostForm.Get("body"))
	return issueURL(repoOf(r), i.Number), err
}

// actCommentCommit writes below a commit.
func (b *Box) actCommentCommit(ctx context.Context, r *http.Request) (string, error) {
	body, who, err := b.said(r, repoOf(r))
	if err != nil {
		return "", err
	}
	c, err := b.Forge.CommentCommit(ctx, repoOf(r), r.PathValue("rev"), who, body)
	return "/" + repoOf(r) + "/commit/" + c.SHA, err
}

// actInstall installs the App on the account of an owner of repositories, by
// somebody. Where it is installed already it is removed first.
func (b *Box) actInstall(_ context.Context, r *http.Request) (string, error) {
	owner, who := r.PathValue("owner"), r.PostForm.Get("who")
	if !slices.Contains(b.around(owner+"/"), who) {
		return "", cannot("Nobody of that name is around.")
	}
	if !slices.ContainsFunc(b.Forge.Repos(), func(repo githubfake.Repo) bool { return strings.EqualFold(repo.Owner, owner) }) {
		return "", fmt.Errorf("owner %s: %w", owner, githubfake.ErrNotFound)
	}
	if err := b.Forge.Uninstall(owner); err != nil && !errors.Is(err, githubfake.ErrNotFound) {
		return "", err
	}
	_, err := b.Forge.InstallAs(who, owner)
	return "/" + owner, err
}

func (b *Box) actRerequest(_ context.Context, repo string, _ int, r *http.Request) error {
	id, err := strconv.ParseInt(r.PostForm.Get("check"), 10, 64)
	if err != nil {
		return cannot("There is no such check run.")
	}
	return b.Forge.Rerequest(repo, id, visitor)
}

func (b *Box) actRerequestAll(_ context.Context, repo string, number int, _ *http.Request) error {
	p, err := b.Forge.Pull(repo, number)
	if err != nil {
		return err
	}
	return b.Forge.RerequestAll(repo, p.HeadSHA, visitor)
}

// actRequest clicks on a button that the service put on a check.
func (b *Box) actRequest(_ context.Context, repo string, _ int, r *http.Request) error {
	id, err := strconv.ParseInt(r.PostForm.Get("check"), 10, 64)
	if err != nil {
		return cannot("There is no such check run.")
	}
	action := r.PostForm.Get("action")
	if action == "" || len(action) > 20 {
		return cannot("The check has no such button.")
	}
	return b.Forge.RequestAction(repo, id, action, visitor)
}

func (b *Box) actTrouble(_ context.Context, r *http.Request) (string, error) {
	while := time.Duration(0)
	if r.PostForm.Get("end") != "" {
		while = -1
	}
	if err := b.Trouble(Trouble(r.PostForm.Get("trouble")), while); err != nil {
		return "", cannot("There is no such trouble.")
	}
	return back(r, "/#services"), nil
}

func (b *Box) actRedeliver(_ context.Context, r *http.Request) (string, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return "", fmt.Errorf("delivery %q: %w", r.PathValue("id"), githubfake.ErrNotFound)
	}
	if r.PathValue("kind") == "bus" {
		if !b.bus.again(id) {
			return "", fmt.Errorf("message %d: %w", id, githubfake.ErrNotFound)
		}
		return fmt.Sprintf("/-/bus/%d", id), nil
	}
	return fmt.Sprintf("/-/webhooks/%d", id), b.Forge.Redeliver(id)
}

// refuse answers a request with a page that says why not.
func (b *Box) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, words := http.StatusInternalServerError, "This is a mistake of the box. Its log says more."
	no, _ := errors.AsType[*CannotError](err)
	switch {
	case no != nil:
		status, words = http.StatusUnprocessableEntity, no.Reason
	case notThere(err) && r.Method == http.MethodGet && b.inPast(r.URL.Path):
		b.render(w, r, http.StatusOK, madeUp(strings.Trim(r.URL.Path, "/")))
		return
	case notThere(err):
		status, words = http.StatusNotFound, "There is nothing at this address."
	case errors.Is(err, githubfake.ErrConflict):
		status, words = http.StatusConflict, "It cannot be merged: "+err.Error()+"."
	case errors.Is(err, githubfake.ErrExists):
		status, words = http.StatusConflict, err.Error()+"."
	default:
		b.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	}
	b.render(w, r, status, refused(status, words))
}

// inPast reports whether an address would be of a project that the service's
// history made up, of a fork or the owner of one, or of a build of theirs.
func (b *Box) inPast(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(b.options.Past) == 0 {
		return false
	}
	if parts[0] == "copr" {
		return slices.Contains(parts, "build")
	}
	return slices.ContainsFunc(b.options.Past, func(full string) bool {
		owner, name, _ := strings.Cut(full, "/")
		return len(parts) > 1 && strings.EqualFold(parts[1], name) || len(parts) == 1 && strings.EqualFold(parts[0], owner)
	})
}
