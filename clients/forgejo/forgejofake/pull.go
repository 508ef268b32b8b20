package forgejofake

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"millrace/clients/git/fakeforge"
)

func (f *Fake) pullJSON(base, path string, p *fakeforge.Pull) object {
	end := func(ref, sha, path string) object {
		var repo any
		if r, err := f.forge.Repo(path); err == nil {
			repo = f.repoJSON(base, r, false)
		}
		return object{"label": ref, "ref": ref, "sha": sha, "repo": repo}
	}
	state, merge := "open", any(nil)
	if p.State != fakeforge.Open {
		state = "closed"
	}
	if p.Merge != "" {
		merge = p.Merge
	}
	labels := []object{}
	for i, name := range p.Labels {
		labels = append(labels, object{"id": i + 1, "name": name, "color": "207de5", "exclusive": false, "is_archived": false, "description": ""})
	}
	return object{
		"merge_commit_sha": merge,
		"id":               p.Number, "number": p.Number, "title": p.Title, "body": p.Body, "state": state, "merged": p.State == fakeforge.Merged, "draft": false,
		"user": f.userJSON(p.Author), "html_url": base + "/" + f.name(path) + "/pulls/" + fmt.Sprint(p.Number), "labels": labels,
		"head": end(p.HeadBranch, p.Head, p.HeadRepo), "base": end(p.Branch, p.Base, path), "merge_base": p.Base,
		"created_at": stamp(p.Created), "updated_at": stamp(p.Updated),
	}
}

func (f *Fake) listPulls(c *call) (any, error) {
	all, err := f.forge.Pulls(c.repo.Path)
	if err != nil {
		return nil, err
	}
	state := cmp.Or(c.r.URL.Query().Get("state"), "open")
	all = slices.DeleteFunc(all, func(p *fakeforge.Pull) bool {
		return state != "all" && (p.State == fakeforge.Open) != (state == "open")
	})
	out := []object{}
	for _, p := range paged(c, all) {
		out = append(out, f.pullJSON(c.base, c.repo.Path, p))
	}
	return out, nil
}

func (f *Fake) openPull(c *call) (any, error) {
	from, branch := c.repo.Path, c.in["head"]
	if owner, name, ok := strings.Cut(c.in["head"], ":"); ok {
		from, branch = f.path(owner, c.repo.Name()), name
	}
	if strings.TrimSpace(c.in["title"]) == "" {
		return nil, &refusal{http.StatusUnprocessableEntity, "[Title]: Required"}
	}
	if !c.repo.OpenPulls {
		return nil, notFound()
	}
	all, err := f.forge.Pulls(c.repo.Path)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.State == fakeforge.Open && p.Branch == c.in["base"] && p.HeadRepo == from && p.HeadBranch == branch {
			return nil, &refusal{http.StatusConflict, fmt.Sprintf("pull request already exists for these targets [id: %d, issue_id: %d, head_branch: %s, base_branch: %s]", p.Number, p.Number, branch, p.Branch)}
		}
	}
	p, err := f.forge.OpenPull(c.r.Context(), c.repo.Path, fakeforge.NewPull{
		Title: c.in["title"], Body: c.in["body"], Author: c.login, Branch: c.in["base"], HeadRepo: from, HeadBranch: branch,
	})
	if err != nil {
		return nil, err
	}
	return f.pullJSON(c.base, c.repo.Path, p), nil
}

// showMerger shows the pull request whose merge made a commit the newest of a
// branch; of several any.
func (f *Fake) showMerger(c *call) (any, error) {
	all, err := f.forge.Pulls(c.repo.Path)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(p *fakeforge.Pull) bool { return p.Merge != "" && p.Merge == c.r.PathValue("sha") })
	if i < 0 {
		return nil, notFound()
	}
	return f.pullJSON(c.base, c.repo.Path, all[i]), nil
}

// pull finds the pull request that the path names.
func (f *Fake) pull(c *call) (*fakeforge.Pull, error) {
	n, err := c.number()
	if err != nil {
		return nil, err
	}
	return f.forge.Pull(c.repo.Path, n)
}

func (f *Fake) showPull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	return f.pullJSON(c.base, c.repo.Path, p), nil
}

func (f *Fake) editPull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Committer && p.Author != c.login {
		return nil, &refusal{http.StatusForbidden, "must be the author or have write access"}
	}
	title, newTitle := c.in["title"]
	body, newBody := c.in["body"]
	if newTitle || newBody {
		if !newTitle {
			title = p.Title
		}
		if !newBody {
			body = p.Body
		}
		if p, err = f.forge.EditPull(c.repo.Path, p.Number, c.login, title, body); err != nil {
			return nil, err
		}
	}
	switch c.in["state"] {
	case "closed":
		p, err = f.forge.ClosePull(c.repo.Path, p.Number, c.login)
	case "open":
		p, err = f.forge.ReopenPull(c.r.Context(), c.repo.Path, p.Number, c.login)
	}
	if err != nil {
		return nil, err
	}
	return f.pullJSON(c.base, c.repo.Path, p), nil
}

func (f *Fake) mergePull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Committer {
		return nil, &refusal{http.StatusMethodNotAllowed, "User not allowed to merge PR"}
	}
	_, err = f.forge.MergePull(c.r.Context(), c.repo.Path, p.Number, c.login)
	return nil, err
}

// words are how it says what happened to a file.
var words = map[string]string{"A": "added", "M": "changed", "T": "changed", "D": "deleted"}

func (f *Fake) listFiles(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	out := []object{}
	if p.Head == "" {
		return out, nil
	}
	stats, err := f.forge.Bare(c.repo.Path).Stats(c.r.Context(), p.Base, p.Head)
	if err != nil {
		return nil, err
	}
	for _, s := range paged(c, stats) {
		out = append(out, object{"filename": s.Path, "status": words[s.Status], "additions": s.Added, "deletions": s.Removed, "changes": s.Added + s.Removed})
	}
	return out, nil
}

func (f *Fake) commentJSON(base, path string, n int, comment fakeforge.Comment) object {
	return object{
		"id": comment.ID, "body": comment.Text, "user": f.userJSON(comment.Author), "created_at": stamp(comment.Created), "updated_at": stamp(comment.Created),
		"html_url": fmt.Sprintf("%s/%s/issues/%d#issuecomment-%d", base, f.name(path), n, comment.ID),
	}
}

// listComments are those of a pull request or an issue. What the forge itself
// remarked is none here.
func (f *Fake) listComments(c *call) (any, error) {
	n, err := c.number()
	if err != nil {
		return nil, err
	}
	var said []fakeforge.Comment
	if p, err := f.forge.Pull(c.repo.Path, n); err == nil {
		said = p.Comments
	} else if i, err := f.issue(c.repo.Path, n); err == nil {
		said = i.Comments
	} else {
		return nil, notFound()
	}
	out := []object{}
	for _, one := range said {
		if !one.Notification {
			out = append(out, f.commentJSON(c.base, c.repo.Path, n, one))
		}
	}
	return out, nil
}

func (f *Fake) comment(c *call) (any, error) {
	n, err := c.number()
	if err != nil {
		return nil, err
	}
	if c.in["body"] == "" {
		return nil, &refusal{http.StatusUnprocessableEntity, "[Body]: Required"}
	}
	var said []fakeforge.Comment
	if p, err := f.forge.CommentPull(c.repo.Path, n, c.login, c.in["body"]); err == nil {
		said = p.Comments
	} else if i, err := f.forge.CommentIssue(c.repo.Path, n, c.login, c.in["body"]); err == nil {
		said = i.Comments
	} else {
		return nil, err
	}
	return f.commentJSON(c.base, c.repo.Path, n, said[len(said)-1]), nil
}

func (f *Fake) issue(path string, n int) (*fakeforge.Issue, error) {
	all, err := f.forge.Issues(path)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(i *fakeforge.Issue) bool { return i.Number == n })
	if i < 0 {
		return nil, notFound()
	}
	return all[i], nil
}

func (f *Fake) issueJSON(base, path string, i *fakeforge.Issue) object {
	state := "open"
	if i.Closed {
		state = "closed"
	}
	return object{
		"id": i.Number, "number": i.Number, "title": i.Title, "body": i.Body, "state": state, "user": f.userJSON(i.Author), "pull_request": nil,
		"html_url": base + "/" + f.name(path) + "/issues/" + fmt.Sprint(i.Number), "created_at": stamp(i.Created), "updated_at": stamp(i.Updated),
	}
}

func (f *Fake) listIssues(c *call) (any, error) {
	if !c.repo.OpenIssues {
		return nil, notFound()
	}
	all, err := f.forge.Issues(c.repo.Path)
	if err != nil {
		return nil, err
	}
	q := c.r.URL.Query()
	state, author := cmp.Or(q.Get("state"), "open"), q.Get("created_by")
	all = slices.DeleteFunc(all, func(i *fakeforge.Issue) bool {
		return state != "all" && i.Closed != (state == "closed") || author != "" && i.Author != author
	})
	out := []object{}
	for _, i := range paged(c, all) {
		out = append(out, f.issueJSON(c.base, c.repo.Path, i))
	}
	return out, nil
}

func (f *Fake) openIssue(c *call) (any, error) {
	if !c.repo.OpenIssues {
		return nil, notFound()
	}
	if strings.TrimSpace(c.in["title"]) == "" {
		return nil, &refusal{http.StatusUnprocessableEntity, "[Title]: Required"}
	}
	i, err := f.forge.OpenIssue(c.repo.Path, c.login, c.in["title"], c.in["body"])
	if err != nil {
		return nil, err
	}
	return f.issueJSON(c.base, c.repo.Path, i), nil
}

func (f *Fake) editIssue(c *call) (any, error) {
	n, err := c.number()
	if err != nil {
		return nil, err
	}
	i, err := f.issue(c.repo.Path, n)
	if err != nil {
		return nil, err
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Ticketer && i.Author != c.login {
		return nil, &refusal{http.StatusForbidden, "must be the author or have write access"}
	}
	if c.in["state"] == "closed" && !i.Closed {
		if i, err = f.forge.CloseIssue(c.repo.Path, n, c.login); err != nil {
			return nil, err
		}
	}
	return f.issueJSON(c.base, c.repo.Path, i), nil
}
