package pagurefake

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
)

func (f *Fake) pullURL(base, path string, number int) string {
	return fmt.Sprintf("%s/%s/pull-request/%d", base, urlPath(path), number)
}

// orNull is how Pagure writes what is not there.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// pullJSON is a pull request as Pagure writes it. Whether it can be merged is
// for the caller to find out: it takes git.
func (f *Fake) pullJSON(base, path string, p *fakeforge.Pull, comments bool) object {
	var project, from, closedAt, closedBy any
	if r, err := f.forge.Repo(path); err == nil {
		project = f.projectJSON(base, r)
	}
	if r, err := f.forge.Repo(p.HeadRepo); err == nil {
		from = f.projectJSON(base, r)
	}
	if !p.Ended.IsZero() {
		closedAt, closedBy = stamp(p.Ended), f.userJSON(base, p.EndedBy)
	}
	said := []object{}
	if comments {
		for _, c := range p.Comments {
			said = append(said, f.commentJSON(base, c))
		}
	}
	return object{
		"id": p.Number, "uid": p.UID, "title": p.Title, "branch": p.Branch, "branch_from": p.HeadBranch, "status": string(p.State),
		"project": project, "repo_from": from, "remote_git": nil, "user": f.userJSON(base, p.Author), "assignee": nil,
		"commit_start": orNull(p.First), "commit_stop": orNull(p.Head), "initial_comment": orNull(p.Body),
		"date_created": stamp(p.Created), "updated_on": stamp(p.Updated), "last_updated": stamp(p.Updated),
		"closed_at": closedAt, "closed_by": closedBy, "cached_merge_status": "unknown",
		"threshold_reached": nil, "tags": list(p.Labels), "comments": said, "full_url": f.pullURL(base, path, p.Number),
	}
}

func (f *Fake) commentJSON(base string, c fakeforge.Comment) object {
	return object{
		"id": c.ID, "comment": c.Text, "commit": nil, "date_created": stamp(c.Created), "edited_on": nil, "editor": nil, "filename": nil,
		"line": nil, "notification": c.Notification, "parent": nil, "reactions": object{}, "tree": nil, "user": f.userJSON(base, c.Author),
	}
}

// number reads the one in the path.
func (c *call) number() (int, error) {
	n, err := strconv.Atoi(c.rest[0])
	if err != nil || n <= 0 {
		return 0, &refusal{404, "ENOREQ", "Pull-Request not found", nil}
	}
	return n, nil
}

func (f *Fake) openPull(c *call) (any, error) {
	from := c.repo.Path
	if name := c.form.Get("repo_from"); name != "" {
		path := strings.TrimPrefix(c.form.Get("repo_from_namespace")+"/"+name, "/")
		if user := c.form.Get("repo_from_username"); user != "" {
			path = fakeforge.ForkPath(user, path)
		}
		r, err := f.forge.Repo(path)
		if err != nil {
			return nil, noProject()
		}
		from = r.Path
	}
	if err := required(c.form, "title", "branch_to", "branch_from"); err != nil {
		return nil, err
	}
	if !c.repo.OpenPulls {
		return nil, &refusal{404, "EPULLREQUESTSDISABLED", "Pull-Request have been deactivated for this project", nil}
	}
	if f.forge.Level(from, c.login) < fakeforge.Committer {
		return nil, notHighEnough()
	}
	p, err := f.forge.OpenPull(c.r.Context(), c.repo.Path, fakeforge.NewPull{
		Title: c.form.Get("title"), Body: c.form.Get("initial_comment"), Author: c.login,
		Branch: c.form.Get("branch_to"), HeadRepo: from, HeadBranch: c.form.Get("branch_from"),
	})
	if err != nil {
		return nil, err
	}
	return f.pullJSON(f.address(c.r), c.repo.Path, p, true), nil
}

func notHighEnough() *refusal {
	return &refusal{401, "ENOTHIGHENOUGH", "You do not have sufficient permissions to perform this action", nil}
}

func (f *Fake) listPulls(c *call) (any, error) {
	all, err := f.forge.Pulls(c.repo.Path)
	if err != nil {
		return nil, err
	}
	status, author := strings.ToLower(c.form.Get("status")), c.form.Get("author")
	all = slices.DeleteFunc(all, func(p *fakeforge.Pull) bool {
		wanted := p.State == fakeforge.Open
		switch status {
		case "all":
			wanted = true
		case "closed", "merged":
			wanted = strings.EqualFold(string(p.State), status)
		case "0", "false":
			wanted = p.State != fakeforge.Open
		}
		return !wanted || author != "" && p.Author != author
	})
	of, pagination, err := paged(c, f.address(c.r), all)
	if err != nil {
		return nil, err
	}
	requests := []object{}
	for _, p := range of {
		requests = append(requests, f.pullJSON(f.address(c.r), c.repo.Path, p, true))
	}
	return object{"requests": requests, "total_requests": len(all), "pagination": pagination, "args": object{"status": status, "author": author}}, nil
}

// paged cuts out the page that is asked for.
func paged[T any](c *call, base string, all []T) (page []T, pagination object, err error) {
	per, errPer := strconv.Atoi(cmp.Or(c.form.Get("per_page"), "20"))
	number, errPage := strconv.Atoi(cmp.Or(c.form.Get("page"), "1"))
	if errPer != nil || per < 1 || per > 100 {
		return nil, nil, &refusal{400, "EINVALIDPERPAGEVALUE", "The per_page value must be between 1 and 100", nil}
	}
	if errPage != nil || number < 1 {
		return nil, nil, &refusal{400, "EINVALIDREQ", "Invalid or incomplete input submitted", "page"}
	}
	pages := max((len(all)+per-1)/per, 1)
	at := func(n int) any {
		if n < 1 || n > pages {
			return nil
		}
		query := c.r.URL.Query()
		query.Set("page", strconv.Itoa(n))
		query.Set("per_page", strconv.Itoa(per))
		return base + c.r.URL.Path + "?" + query.Encode()
	}
	from := min((number-1)*per, len(all))
	return all[from:min(from+per, len(all))], object{
		"page": number, "pages": pages, "per_page": per, "first": at(1), "last": at(pages), "next": at(number + 1), "prev": at(number - 1),
	}, nil
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
	out := f.pullJSON(f.address(c.r), c.repo.Path, p, true)
	out["cached_merge_status"] = f.forge.Mergeable(c.r.Context(), c.repo.Path, p)
	return out, nil
}

func (f *Fake) editPull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Committer && p.Author != c.login {
		return nil, notHighEnough()
	}
	if err := required(c.form, "title"); err != nil {
		return nil, err
	}
	// Without a text, the one there is goes away.
	p, err = f.forge.EditPull(c.repo.Path, p.Number, c.login, c.form.Get("title"), c.form.Get("initial_comment"))
	if err != nil {
		return nil, err
	}
	return f.pullJSON(f.address(c.r), c.repo.Path, p, true), nil
}

func (f *Fake) commentPull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	if err := required(c.form, "comment"); err != nil {
		return nil, err
	}
	if _, err := f.forge.CommentPull(c.repo.Path, p.Number, c.login, c.form.Get("comment")); err != nil {
		return nil, err
	}
	return object{"message": "Comment added"}, nil
}

func (f *Fake) closePull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Committer && p.Author != c.login {
		return nil, mayNotClose()
	}
	if _, err := f.forge.ClosePull(c.repo.Path, p.Number, c.login); err != nil {
		return nil, err
	}
	return object{"message": "Pull-request closed!"}, nil
}

func mayNotClose() *refusal {
	return &refusal{http.StatusForbidden, "ENOPRCLOSE", "You are not allowed to merge/close pull-request for this project", nil}
}

func (f *Fake) reopenPull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Committer && p.Author != c.login {
		return nil, mayNotClose()
	}
	if _, err := f.forge.ReopenPull(c.r.Context(), c.repo.Path, p.Number, c.login); err != nil {
		return nil, err
	}
	return object{"message": "Pull-request reopened!"}, nil
}

func (f *Fake) mergePull(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Committer {
		return nil, mayNotClose()
	}
	if _, err := f.forge.MergePull(c.r.Context(), c.repo.Path, p.Number, c.login); err != nil {
		return nil, err
	}
	return object{"message": "Changes merged!"}, nil
}

func (f *Fake) showDiffStats(c *call) (any, error) {
	p, err := f.pull(c)
	if err != nil {
		return nil, err
	}
	if p.Head == "" {
		return nil, &refusal{400, "ENOPRSTATS", "No statistics could be computed for this PR", nil}
	}
	stats, err := f.forge.Bare(c.repo.Path).Stats(c.r.Context(), p.Base, p.Head)
	if err != nil {
		return nil, err
	}
	all := object{}
	for _, s := range stats {
		all[s.Path] = object{"lines_added": s.Added, "lines_removed": s.Removed, "status": s.Status, "old_path": s.Path}
	}
	return all, nil
}

func (f *Fake) showCommit(c *call) (any, error) {
	no := &refusal{404, "ENOCOMMIT", "No such commit found in this repository", nil}
	if !git.IsSHA(c.rest[0]) {
		return nil, no
	}
	commits, err := f.forge.Bare(c.repo.Path).Commits(c.r.Context(), git.Range{To: c.rest[0]}, 1)
	if err != nil || len(commits) == 0 {
		return nil, no
	}
	one := commits[0]
	return object{
		"hash": one.SHA, "author": one.Author.Name, "committer": one.Author.Name, "commit_time": one.Author.When.Unix(), "commit_time_offset": 0,
		"message": strings.TrimSpace(one.Subject+"\n\n"+one.Body) + "\n", "parent_ids": list(one.Parents),
	}, nil
}
