package githubfake

import (
	"fmt"
	"strings"
	"time"

	"millrace/clients/git"
)

// The functions of this file write things as GitHub does, in answers and in
// webhooks. Their callers hold mu.

func (f *Fake) api(parts ...any) string {
	return f.config.URL + "/api/v3" + join(parts)
}

func (f *Fake) html(r *repo, parts ...any) string {
	return f.config.URL + "/" + r.FullName() + join(parts)
}

func join(parts []any) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "/%v", p)
	}
	return b.String()
}

// stamp is a time, or null.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

// text is a string, or null.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (f *Fake) userJSON(login string) object {
	u := f.user(login)
	return object{
		"login": u.Login, "id": u.ID, "node_id": fmt.Sprint(u.ID), "type": u.Type, "site_admin": false,
		"avatar_url": "", "url": f.api("users", u.Login), "html_url": f.config.URL + "/" + u.Login,
	}
}

func (f *Fake) repoJSON(r *repo) object {
	o := object{
		"id": r.ID, "node_id": fmt.Sprint(r.ID), "name": r.Name, "full_name": r.FullName(), "private": false,
		"owner": f.userJSON(r.Owner), "html_url": f.html(r), "url": f.api("repos", r.FullName()),
		"description": text(r.Description), "fork": r.ForkOf != "", "default_branch": r.DefaultBranch, "archived": false,
		"clone_url": f.html(r) + ".git", "git_url": f.html(r) + ".git", "ssh_url": "", "visibility": "public",
		"created_at": stamp(r.Created), "updated_at": stamp(r.Created), "pushed_at": stamp(r.Created),
	}
	if parent, ok := f.repos[key(r.ForkOf)]; ok {
		o["parent"] = object{"id": parent.ID, "name": parent.Name, "full_name": parent.FullName(),
			"owner": f.userJSON(parent.Owner), "html_url": f.html(parent), "default_branch": parent.DefaultBranch}
	}
	return o
}

func labelsJSON(labels []string) []object {
	all := []object{}
	for i, name := range labels {
		all = append(all, object{"id": i + 1, "name": name, "color": "ededed", "default": false})
	}
	return all
}

func (f *Fake) pullJSON(r *repo, p *Pull) object {
	headOwner, _, _ := strings.Cut(p.HeadRepo, "/")
	head := object{"label": headOwner + ":" + p.HeadBranch, "ref": p.HeadBranch, "sha": p.HeadSHA, "user": f.userJSON(headOwner), "repo": nil}
	if from, ok := f.repos[key(p.HeadRepo)]; ok {
		head["repo"] = f.repoJSON(from)
	}
	var mergedAt, mergedBy any
	if p.Merged {
		mergedAt, mergedBy = stamp(p.Closed), f.userJSON(p.MergedBy)
	}
	return object{
		"id": p.ID, "node_id": fmt.Sprint(p.ID), "number": p.Number, "state": p.State, "locked": false, "draft": p.Draft,
		"title": p.Title, "body": text(p.Body), "user": f.userJSON(p.Author), "labels": labelsJSON(p.Labels),
		"merged": p.Merged, "merged_at": mergedAt, "merged_by": mergedBy, "mergeable": nil,
		"created_at": stamp(p.Created), "updated_at": stamp(p.Updated), "closed_at": stamp(p.Closed),
		"head": head,
		"base": object{"label": r.Owner + ":" + p.BaseBranch, "ref": p.BaseBranch, "sha": p.BaseSHA,
			"user": f.userJSON(r.Owner), "repo": f.repoJSON(r)},
		"url": f.api("repos", r.FullName(), "pulls", p.Number), "html_url": f.html(r, "pull", p.Number),
		"issue_url": f.api("repos", r.FullName(), "issues", p.Number), "diff_url": f.html(r, "pull", p.Number) + ".diff",
		"patch_url":          f.html(r, "pull", p.Number) + ".patch",
		"author_association": association(r, p.Author),
	}
}

func association(r *repo, login string) string {
	switch {
	case equalFold(r.Owner, login):
		return "OWNER"
	case canWrite(r.permission(login)):
		return "COLLABORATOR"
	}
	return "CONTRIBUTOR"
}

// issueJSON writes an issue, or a pull request as the issue that it also is.
func (f *Fake) issueJSON(r *repo, number int) object {
	i, page := r.issue(number), "issues"
	p := r.pull(number)
	if p != nil {
		i, page = &Issue{ID: p.ID, Number: p.Number, Title: p.Title, Body: p.Body, Author: p.Author, State: p.State,
			Labels: p.Labels, Created: p.Created}, "pull"
	}
	if i == nil {
		return nil
	}
	o := object{
		"id": i.ID, "node_id": fmt.Sprint(i.ID), "number": i.Number, "title": i.Title, "body": text(i.Body), "state": i.State,
		"user": f.userJSON(i.Author), "labels": labelsJSON(i.Labels), "created_at": stamp(i.Created), "updated_at": stamp(i.Created),
		"url": f.api("repos", r.FullName(), "issues", number), "html_url": f.html(r, page, number),
		"repository_url": f.api("repos", r.FullName()), "author_association": association(r, i.Author),
	}
	if p != nil {
		o["draft"] = p.Draft
		o["pull_request"] = object{"url": f.api("repos", r.FullName(), "pulls", number), "html_url": f.html(r, "pull", number)}
	}
	return o
}

func (f *Fake) commentJSON(r *repo, c *Comment) object {
	page := "issues"
	if r.pull(c.Number) != nil {
		page = "pull"
	}
	counts := object{"total_count": len(c.Reactions)}
	for _, reaction := range c.Reactions {
		n, _ := counts[reaction.Content].(int)
		counts[reaction.Content] = n + 1
	}
	return object{
		"id": c.ID, "node_id": fmt.Sprint(c.ID), "body": c.Body, "user": f.userJSON(c.Author),
		"created_at": stamp(c.Created), "updated_at": stamp(c.Updated), "reactions": counts,
		"url":                f.api("repos", r.FullName(), "issues/comments", c.ID),
		"html_url":           f.html(r, page, c.Number) + fmt.Sprintf("#issuecomment-%d", c.ID),
		"issue_url":          f.api("repos", r.FullName(), "issues", c.Number),
		"author_association": association(r, c.Author),
	}
}

func (f *Fake) commitCommentJSON(r *repo, c *CommitComment) object {
	return object{
		"id": c.ID, "node_id": fmt.Sprint(c.ID), "body": c.Body, "commit_id": c.SHA, "user": f.userJSON(c.Author),
		"created_at": stamp(c.Created), "updated_at": stamp(c.Created), "path": nil, "line": nil, "position": nil,
		"url":                f.api("repos", r.FullName(), "comments", c.ID),
		"html_url":           f.html(r, "commit", c.SHA) + fmt.Sprintf("#commitcomment-%d", c.ID),
		"author_association": association(r, c.Author),
	}
}

func (f *Fake) appJSON() object {
	return object{
		"id": f.config.AppID, "slug": f.config.AppSlug, "name": f.config.AppSlug, "node_id": fmt.Sprint(f.config.AppID),
		"owner": f.userJSON(f.config.AppSlug), "html_url": f.config.URL + "/apps/" + f.config.AppSlug,
		"permissions": permissions(), "events": events,
	}
}

var events = []string{"check_run", "check_suite", "commit_comment", "issue_comment", "issues", "pull_request", "push", "release"}

func permissions() object {
	return object{"checks": "write", "contents": "write", "issues": "write", "metadata": "read", "pull_requests": "write", "statuses": "write"}
}

func (f *Fake) installationJSON(i *Installation) object {
	account := f.userJSON(i.Account)
	selection := "all"
	if len(i.Repos) > 0 {
		selection = "selected"
	}
	return object{
		"id": i.ID, "account": account, "app_id": f.config.AppID, "app_slug": f.config.AppSlug, "target_id": account["id"],
		"target_type": account["type"], "repository_selection": selection, "permissions": permissions(), "events": events,
		"created_at": stamp(i.Created), "updated_at": stamp(i.Created), "html_url": f.config.URL + "/settings/installations/" + fmt.Sprint(i.ID),
		"access_tokens_url": f.api("app/installations", i.ID, "access_tokens"), "repositories_url": f.api("installation/repositories"),
	}
}

func (f *Fake) suiteJSON(r *repo, id int64, sha string) object {
	status, conclusion := "queued", ""
	var runs, completed int
	for _, c := range r.CheckRuns {
		if c.Suite != id {
			continue
		}
		runs++
		if c.Status == "completed" {
			completed++
			if conclusion == "" || c.Conclusion != "success" {
				conclusion = c.Conclusion
			}
		} else {
			status = "in_progress"
		}
	}
	if runs > 0 && runs == completed {
		status = "completed"
	} else {
		conclusion = ""
	}
	return object{
		"id": id, "node_id": fmt.Sprint(id), "head_sha": sha, "head_branch": text(branchOf(r, sha)), "status": status,
		"conclusion": text(conclusion), "app": f.appJSON(), "pull_requests": f.pullsAt(r, sha), "latest_check_runs_count": runs,
		"url": f.api("repos", r.FullName(), "check-suites", id), "before": nil, "after": sha,
	}
}

// branchOf returns a branch with the commit as its head, if there is one.
func branchOf(r *repo, sha string) string {
	found := ""
	for ref, head := range r.Refs {
		if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok && head == sha && (found == "" || branch < found) {
			found = branch
		}
	}
	return found
}

// pullsAt lists the open pull requests of the repository's own branches with
// the commit as their head. As on GitHub those of forks are not in it.
func (f *Fake) pullsAt(r *repo, sha string) []object {
	all := []object{}
	for _, p := range r.Pulls {
		if p.State == "open" && p.HeadSHA == sha && equalFold(p.HeadRepo, r.FullName()) {
			small := object{"id": r.ID, "name": r.Name, "url": f.api("repos", r.FullName())}
			all = append(all, object{
				"id": p.ID, "number": p.Number, "url": f.api("repos", r.FullName(), "pulls", p.Number),
				"head": object{"ref": p.HeadBranch, "sha": p.HeadSHA, "repo": small},
				"base": object{"ref": p.BaseBranch, "sha": p.BaseSHA, "repo": small},
			})
		}
	}
	return all
}

func (f *Fake) checkRunJSON(r *repo, c *CheckRun) object {
	return object{
		"id": c.ID, "node_id": fmt.Sprint(c.ID), "name": c.Name, "head_sha": c.SHA, "external_id": c.ExternalID,
		"details_url": c.DetailsURL, "status": c.Status, "conclusion": text(c.Conclusion),
		"started_at": stamp(c.Started), "completed_at": stamp(c.Completed),
		"output": object{"title": text(c.Title), "summary": text(c.Summary), "text": text(c.Text), "annotations_count": 0,
			"annotations_url": f.api("repos", r.FullName(), "check-runs", c.ID, "annotations")},
		"check_suite": f.suiteJSON(r, c.Suite, c.SHA), "app": f.appJSON(), "pull_requests": f.pullsAt(r, c.SHA),
		"url": f.api("repos", r.FullName(), "check-runs", c.ID), "html_url": f.html(r, "runs", c.ID),
	}
}

func (f *Fake) statusJSON(r *repo, s *Status) object {
	return object{
		"id": s.ID, "node_id": fmt.Sprint(s.ID), "state": s.State, "description": text(s.Description), "target_url": text(s.TargetURL),
		"context": s.Context, "creator": f.userJSON(s.Creator), "created_at": stamp(s.Created), "updated_at": stamp(s.Created),
		"url": f.api("repos", r.FullName(), "statuses", s.SHA),
	}
}

func (f *Fake) releaseJSON(r *repo, release *Release) object {
	return object{
		"id": release.ID, "node_id": fmt.Sprint(release.ID), "tag_name": release.Tag, "name": text(release.Name), "body": text(release.Body),
		"target_commitish": release.Target, "draft": release.Draft, "prerelease": release.Prerelease, "author": f.userJSON(release.Author),
		"created_at": stamp(release.Created), "published_at": stamp(release.Created), "assets": []object{},
		"url": f.api("repos", r.FullName(), "releases", release.ID), "html_url": f.html(r, "releases/tag", release.Tag),
		"tarball_url": f.api("repos", r.FullName(), "tarball", release.Tag), "zipball_url": f.api("repos", r.FullName(), "zipball", release.Tag),
	}
}

func identityJSON(i git.Identity) object {
	return object{"name": i.Name, "email": i.Email, "date": stamp(i.When), "username": i.Name}
}

func (f *Fake) pushedCommitJSON(r *repo, c git.Commit) object {
	return object{
		"id": c.SHA, "message": message(c), "timestamp": stamp(c.Author.When), "author": identityJSON(c.Author),
		"committer": identityJSON(c.Author), "distinct": true, "url": f.html(r, "commit", c.SHA),
		"added": []string{}, "removed": []string{}, "modified": []string{},
	}
}

func (f *Fake) commitJSON(r *repo, c git.Commit) object {
	parents := []object{}
	for _, sha := range c.Parents {
		parents = append(parents, object{"sha": sha, "url": f.api("repos", r.FullName(), "commits", sha)})
	}
	return object{
		"sha": c.SHA, "url": f.api("repos", r.FullName(), "commits", c.SHA), "html_url": f.html(r, "commit", c.SHA), "parents": parents,
		"commit": object{"message": message(c), "author": identityJSON(c.Author), "committer": identityJSON(c.Author)},
	}
}

func message(c git.Commit) string {
	if c.Body == "" {
		return c.Subject
	}
	return c.Subject + "\n\n" + c.Body
}
