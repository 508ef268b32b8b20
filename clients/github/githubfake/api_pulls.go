package githubfake

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"millrace/clients/git"
)

func (f *Fake) routesOfPulls(on func(string, right, handler)) {
	on("GET /repos/{owner}/{repo}/pulls", anyone, f.listPulls)
	on("POST /repos/{owner}/{repo}/pulls", someone, f.openPull)
	on("GET /repos/{owner}/{repo}/pulls/{number}", anyone, f.withPull(func(q *request, p *Pull) (answer, error) {
		return ok(f.pullJSON(q.repo, p))
	}))
	on("PATCH /repos/{owner}/{repo}/pulls/{number}", someone, f.withPull(f.patchPull))
	on("GET /repos/{owner}/{repo}/pulls/{number}/files", anyone, f.withPull(f.listFiles))
	on("GET /repos/{owner}/{repo}/pulls/{number}/commits", anyone, f.withPull(f.listCommits))
	on("PUT /repos/{owner}/{repo}/pulls/{number}/merge", writer, f.withPull(f.merge))

	on("GET /repos/{owner}/{repo}/issues", anyone, f.listIssues)
	on("POST /repos/{owner}/{repo}/issues", someone, f.openIssue)
	on("GET /repos/{owner}/{repo}/issues/{number}", anyone, f.withIssue(func(q *request) (answer, error) {
		return ok(f.issueJSON(q.repo, q.number("number")))
	}))
	on("PATCH /repos/{owner}/{repo}/issues/{number}", someone, f.withIssue(f.patchIssue))
	on("GET /repos/{owner}/{repo}/issues/{number}/{what}", anyone, f.withIssue(func(q *request) (answer, error) {
		switch q.PathValue("what") {
		case "comments":
			return f.listComments(q)
		case "labels":
			return ok(f.issueJSON(q.repo, q.number("number"))["labels"])
		}
		return answer{}, notFound()
	}))
	on("POST /repos/{owner}/{repo}/issues/{number}/comments", someone, f.withIssue(f.createComment))
	on("POST /repos/{owner}/{repo}/issues/{number}/labels", writer, f.withPull(f.addLabels))
	on("DELETE /repos/{owner}/{repo}/issues/{number}/labels/{label}", writer, f.withPull(f.removeLabel))
	on("GET /repos/{owner}/{repo}/issues/comments/{id}", anyone, f.withComment(func(q *request, c *Comment) (answer, error) {
		return ok(f.commentJSON(q.repo, c))
	}))
	on("PATCH /repos/{owner}/{repo}/issues/comments/{id}", someone, f.withComment(f.updateComment))
	on("DELETE /repos/{owner}/{repo}/issues/comments/{id}", someone, f.withComment(f.deleteComment))
	on("POST /repos/{owner}/{repo}/issues/comments/{id}/reactions", someone, f.withComment(f.react))
	on("GET /repos/{owner}/{repo}/issues/comments/{id}/reactions", anyone, f.withComment(func(q *request, c *Comment) (answer, error) {
		return ok(objects(page(q, c.Reactions), f.reactionJSON))
	}))
}

func (f *Fake) withPull(h func(*request, *Pull) (answer, error)) handler {
	return func(q *request) (answer, error) {
		p := q.repo.pull(q.number("number"))
		if p == nil {
			return answer{}, notFound()
		}
		return h(q, p)
	}
}

func (f *Fake) withIssue(h handler) handler {
	return func(q *request) (answer, error) {
		if n := q.number("number"); q.repo.pull(n) == nil && q.repo.issue(n) == nil {
			return answer{}, notFound()
		}
		return h(q)
	}
}

func (f *Fake) withComment(h func(*request, *Comment) (answer, error)) handler {
	return func(q *request) (answer, error) {
		c := q.repo.comment(q.id("id"))
		if c == nil {
			return answer{}, notFound()
		}
		return h(q, c)
	}
}

// wanted tells whether something in a state is asked for.
func wanted(q *request, state string) bool {
	asked := cmp.Or(q.URL.Query().Get("state"), "open")
	return asked == "all" || asked == state
}

func (f *Fake) listPulls(q *request) (answer, error) {
	query := q.URL.Query()
	var all []*Pull
	for _, p := range slices.Backward(q.repo.Pulls) {
		head, _ := f.pullJSON(q.repo, p)["head"].(object)
		if wanted(q, p.State) && (query.Get("base") == "" || query.Get("base") == p.BaseBranch) &&
			(query.Get("head") == "" || query.Get("head") == head["label"]) {
			all = append(all, p)
		}
	}
	return ok(objects(page(q, all), func(p *Pull) object { return f.pullJSON(q.repo, p) }))
}

func (f *Fake) openPull(q *request) (answer, error) {
	var in struct {
		Title string `json:"title"`
		Body  string `json:"body"`
		Head  string `json:"head"`
		Base  string `json:"base"`
		Draft bool   `json:"draft"`
	}
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	p, err := unlocked(f, func() (Pull, error) {
		return f.OpenPull(q.Context(), q.repo.FullName(),
			NewPull{Title: in.Title, Body: in.Body, Head: in.Head, Base: in.Base, Draft: in.Draft, Author: q.who.login})
	})
	if err != nil {
		return answer{}, err
	}
	return created(f.pullJSON(q.repo, &p))
}

func (f *Fake) patchPull(q *request, p *Pull) (answer, error) {
	var in struct{ Title, Body, State *string }
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	if !equalFold(p.Author, q.who.login) && f.allowed(q.who, writer, q.repo) != nil {
		return answer{}, notFound()
	}
	name, number, by := q.repo.FullName(), p.Number, q.who.login
	title, body := p.Title, p.Body
	set(&title, in.Title)
	set(&body, in.Body)
	edited := title != p.Title || body != p.Body
	_, err := unlocked(f, func() (p Pull, err error) {
		if edited {
			if p, err = f.EditPull(name, number, title, body, by); err != nil {
				return p, err
			}
		}
		switch {
		case in.State == nil:
			return p, nil
		case *in.State == "closed":
			return f.ClosePull(name, number, by)
		case *in.State == "open":
			return f.ReopenPull(q.Context(), name, number, by)
		}
		return p, invalid("PullRequest", "state", "invalid", "")
	})
	if err != nil {
		return answer{}, err
	}
	return ok(f.pullJSON(q.repo, p))
}

func (f *Fake) listFiles(q *request, p *Pull) (answer, error) {
	bare := f.Bare(q.repo.FullName())
	base, err := bare.MergeBase(q.Context(), p.BaseSHA, p.HeadSHA)
	if err != nil {
		return answer{}, err
	}
	changes, err := bare.Changes(q.Context(), base, p.HeadSHA)
	if err != nil {
		return answer{}, err
	}
	words := map[string]string{"A": "added", "D": "removed"}
	return ok(objects(page(q, changes), func(c git.Change) object {
		return object{"filename": c.Path, "status": cmp.Or(words[c.Status], "modified"), "additions": 0, "deletions": 0, "changes": 0}
	}))
}

func (f *Fake) listCommits(q *request, p *Pull) (answer, error) {
	commits, err := f.Bare(q.repo.FullName()).Commits(q.Context(), git.Range{From: p.BaseSHA, To: p.HeadSHA}, 250)
	if err != nil {
		return answer{}, err
	}
	slices.Reverse(commits)
	return ok(objects(page(q, commits), func(c git.Commit) object { return f.commitJSON(q.repo, c) }))
}

func (f *Fake) merge(q *request, p *Pull) (answer, error) {
	name, number := q.repo.FullName(), p.Number
	sha, err := unlocked(f, func() (string, error) { return f.MergePull(q.Context(), name, number, q.who.login) })
	if errors.Is(err, ErrConflict) {
		return answer{}, &refusal{Status: http.StatusMethodNotAllowed, Message: "Pull Request is not mergeable"}
	}
	if err != nil {
		return answer{}, err
	}
	return ok(object{"sha": sha, "merged": true, "message": "Pull Request successfully merged"})
}

func (f *Fake) listIssues(q *request) (answer, error) {
	var numbers []int
	for _, p := range q.repo.Pulls {
		if wanted(q, p.State) {
			numbers = append(numbers, p.Number)
		}
	}
	for _, i := range q.repo.Issues {
		if wanted(q, i.State) {
			numbers = append(numbers, i.Number)
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	return ok(objects(page(q, numbers), func(n int) object { return f.issueJSON(q.repo, n) }))
}

func (f *Fake) openIssue(q *request) (answer, error) {
	var in struct{ Title, Body string }
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	i, err := unlocked(f, func() (Issue, error) { return f.OpenIssue(q.repo.FullName(), q.who.login, in.Title, in.Body) })
	if err != nil {
		return answer{}, err
	}
	return created(f.issueJSON(q.repo, i.Number))
}

func (f *Fake) patchIssue(q *request) (answer, error) {
	number := q.number("number")
	if p := q.repo.pull(number); p != nil {
		return f.patchPull(q, p)
	}
	var in struct{ State string }
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	if in.State == "closed" {
		_, err := unlocked(f, func() (int, error) { return 0, f.CloseIssue(q.repo.FullName(), number, q.who.login) })
		if err != nil {
			return answer{}, err
		}
	}
	return ok(f.issueJSON(q.repo, number))
}

func (f *Fake) listComments(q *request) (answer, error) {
	var all []*Comment
	for _, c := range q.repo.Comments {
		if c.Number == q.number("number") {
			all = append(all, c)
		}
	}
	return ok(objects(page(q, all), func(c *Comment) object { return f.commentJSON(q.repo, c) }))
}

func (f *Fake) createComment(q *request) (answer, error) {
	var in struct{ Body string }
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	c, err := unlocked(f, func() (Comment, error) {
		return f.Comment(q.repo.FullName(), q.number("number"), q.who.login, in.Body)
	})
	if err != nil {
		return answer{}, err
	}
	return created(f.commentJSON(q.repo, &c))
}

// mine refuses to change what others wrote, unless one may write.
func (f *Fake) mine(q *request, c *Comment) error {
	if equalFold(c.Author, q.who.login) {
		return nil
	}
	if q.who.installation != nil || f.allowed(q.who, writer, q.repo) != nil {
		return &refusal{Status: http.StatusForbidden, Message: "Resource not accessible by integration"}
	}
	return nil
}

func (f *Fake) updateComment(q *request, c *Comment) (answer, error) {
	var in struct{ Body string }
	if err := errors.Join(q.decode(&in), f.mine(q, c)); err != nil {
		return answer{}, err
	}
	edited, err := unlocked(f, func() (Comment, error) { return f.EditComment(q.repo.FullName(), c.ID, in.Body, q.who.login) })
	if err != nil {
		return answer{}, err
	}
	return ok(f.commentJSON(q.repo, &edited))
}

func (f *Fake) deleteComment(q *request, c *Comment) (answer, error) {
	if err := f.mine(q, c); err != nil {
		return answer{}, err
	}
	q.repo.Comments = slices.DeleteFunc(q.repo.Comments, func(other *Comment) bool { return other == c })
	f.sendComment(q.repo, c, "deleted", q.who.login)
	return answer{status: http.StatusNoContent}, f.save(q.repo)
}

var reactions = []string{"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"}

func (f *Fake) reactionJSON(r Reaction) object {
	return object{"id": r.ID, "content": r.Content, "user": f.userJSON(r.User)}
}

func (f *Fake) react(q *request, c *Comment) (answer, error) {
	var in struct{ Content string }
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	if !slices.Contains(reactions, in.Content) {
		return answer{}, invalid("Reaction", "content", "invalid", "")
	}
	for _, old := range c.Reactions {
		if old.User == q.who.login && old.Content == in.Content {
			return ok(f.reactionJSON(old))
		}
	}
	c.Reactions = append(c.Reactions, Reaction{ID: f.newID(), User: q.who.login, Content: in.Content})
	if err := f.save(q.repo); err != nil {
		return answer{}, err
	}
	return created(f.reactionJSON(c.Reactions[len(c.Reactions)-1]))
}

func (f *Fake) addLabels(q *request, p *Pull) (answer, error) {
	var in struct{ Labels []string }
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	for _, label := range in.Labels {
		_, err := unlocked(f, func() (Pull, error) { return f.LabelPull(q.repo.FullName(), p.Number, label, q.who.login) })
		if err != nil {
			return answer{}, err
		}
	}
	return ok(labelsJSON(p.Labels))
}

func (f *Fake) removeLabel(q *request, p *Pull) (answer, error) {
	_, err := unlocked(f, func() (Pull, error) {
		return f.UnlabelPull(q.repo.FullName(), p.Number, q.PathValue("label"), q.who.login)
	})
	if err != nil {
		return answer{}, err
	}
	return ok(labelsJSON(p.Labels))
}
