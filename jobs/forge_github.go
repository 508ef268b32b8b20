package jobs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/github"
	"millrace/models"
)

// GitHub is the forge of that name.
type GitHub struct{ Client *github.Client }

func repoOf(p *models.Project) github.Repo { return github.Repo{Owner: p.Namespace, Name: p.Name} }

// Repository is part of Forge.
func (f GitHub) Repository(ctx context.Context, p *models.Project) (Repository, error) {
	r, err := f.Client.Repository(ctx, repoOf(p))
	return Repository{DefaultBranch: r.DefaultBranch, CloneURL: r.CloneURL, Private: r.Private}, err
}

// PullRequest is part of Forge.
func (f GitHub) PullRequest(ctx context.Context, p *models.Project, number int) (PullRequest, error) {
	pull, err := f.Client.PullRequest(ctx, repoOf(p), number)
	if err != nil {
		return PullRequest{}, err
	}
	source := ""
	if pull.HeadRepo != (github.Repo{}) {
		web, err := models.ParseProjectURL(p.URL)
		if err != nil {
			return PullRequest{}, err
		}
		source = web.URL[:len(web.URL)-len(web.FullName())] + pull.HeadRepo.String()
	}
	return PullRequest{
		Open: pull.State == "open", HeadSHA: pull.HeadSHA, Branch: pull.HeadBranch, SourceURL: source,
		Target: pull.BaseBranch, Labels: pull.Labels, Title: pull.Title, Author: pull.Author,
	}, nil
}

// Files is part of Forge.
func (f GitHub) Files(ctx context.Context, p *models.Project, sha string) ([]string, error) {
	entries, _, err := f.Client.Tree(ctx, repoOf(p), sha, true)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if e.Type == "file" || e.Type == "symlink" {
			files = append(files, e.Path)
		}
	}
	return files, nil
}

// File is part of Forge.
func (f GitHub) File(ctx context.Context, p *models.Project, sha, path string, limit int64) ([]byte, error) {
	return f.Client.File(ctx, repoOf(p), sha, path, limit)
}

// BranchHead is part of Forge.
func (f GitHub) BranchHead(ctx context.Context, p *models.Project, branch string) (string, error) {
	return f.Client.BranchSHA(ctx, repoOf(p), branch)
}

// TagCommit is part of Forge.
func (f GitHub) TagCommit(ctx context.Context, p *models.Project, tag string) (string, error) {
	return f.Client.TagSHA(ctx, repoOf(p), tag)
}

// NewestRelease is the tag of the newest release that is neither a draft nor a
// prerelease.
func (f GitHub) NewestRelease(ctx context.Context, p *models.Project) (string, error) {
	release, err := f.Client.LatestRelease(ctx, repoOf(p))
	if github.IsNotFound(err) {
		return "", nil
	}
	return release.Tag, err
}

// ReleaseText is what the release of a tag says of itself, "" if there is no release.
func (f GitHub) ReleaseText(ctx context.Context, p *models.Project, tag string) (string, error) {
	release, err := f.Client.Release(ctx, repoOf(p), tag)
	if github.IsNotFound(err) {
		return "", nil
	}
	return release.Body, err
}

// CanMerge is part of Forge.
func (f GitHub) CanMerge(ctx context.Context, p *models.Project, login string) (bool, error) {
	permission, err := f.Client.Permission(ctx, repoOf(p), login)
	if github.IsNotFound(err) {
		return false, nil
	}
	return permission == "admin" || permission == "maintain" || permission == "write", err
}

// SetCheck writes a check run, or a commit status where the App may not. A check
// run is made once and then updated, so that it keeps its place in the list;
// one that ended is followed by a new one, because GitHub shows no way back.
func (f GitHub) SetCheck(ctx context.Context, p *models.Project, r *models.Report) (id string, asStatus bool, err error) {
	if r.AsStatus {
		return "", true, f.setStatus(ctx, p, r)
	}
	id, err = f.writeCheckRun(ctx, p, r)
	if github.IsForbidden(err) {
		return "", true, f.setStatus(ctx, p, r)
	}
	return id, false, err
}

// writeCheckRun makes or updates a check run and returns its id, also when it
// did not succeed and the id was known.
func (f GitHub) writeCheckRun(ctx context.Context, p *models.Project, r *models.Report) (id string, err error) {
	run := checkRun(r)
	if r.ExternalID != "" && !(r.SentState.Final() && !r.Wanted.Final()) {
		if run.ID, err = strconv.ParseInt(r.ExternalID, 10, 64); err != nil {
			return r.ExternalID, fmt.Errorf("reading the id of check run %q: %w", r.ExternalID, err)
		}
		_, err = f.Client.UpdateCheckRun(ctx, repoOf(p), run)
		if !github.IsNotFound(err) {
			return r.ExternalID, err
		}
	}
	if r.Tries > 0 || r.ExternalID == "" {
		// An earlier try may have arrived although its answer did not.
		found, ok, err := f.Client.FindCheckRun(ctx, repoOf(p), r.SHA, r.Name, run.ExternalID)
		if err != nil && temporary(err) {
			return r.ExternalID, err
		}
		if err == nil && ok && found.Status != github.Completed {
			run.ID = found.ID
			_, err = f.Client.UpdateCheckRun(ctx, repoOf(p), run)
			return strconv.FormatInt(found.ID, 10), err
		}
	}
	made, err := f.Client.CreateCheckRun(ctx, repoOf(p), run)
	if err != nil {
		return r.ExternalID, err
	}
	return strconv.FormatInt(made.ID, 10), nil
}

func checkRun(r *models.Report) github.CheckRun {
	run := github.CheckRun{
		Name: r.Name, HeadSHA: r.SHA, DetailsURL: r.URL, ExternalID: fmt.Sprintf("%d", r.EventID),
		Title: r.Title, Summary: r.Body, Status: github.Completed,
	}
	switch r.Wanted {
	case models.CheckPending:
		run.Status = github.Queued
	case models.CheckRunning:
		run.Status = github.InProgress
	case models.CheckSuccess:
		run.Conclusion = "success"
	case models.CheckNeutral:
		run.Conclusion = "neutral"
	case models.CheckCanceled:
		run.Conclusion = "cancelled"
	default:
		run.Conclusion = "failure"
	}
	if run.Status == github.Completed {
		run.Completed = time.Now()
	}
	if run.Summary == "" {
		run.Summary = r.Title
	}
	switch r.Wanted {
	case models.CheckFailure, models.CheckError, models.CheckCanceled:
		if r.PipelineID != 0 {
			run.Actions = rerunButtons
		}
	}
	return run
}

// rerunButtons are on checks that did not pass.
var rerunButtons = []github.Action{
	{Label: "Rerun failed", Description: "All that failed, and what follows it", Identifier: rerunFailedAction},
	{Label: "Rerun all", Description: "The whole pipeline, from the source", Identifier: rerunAllAction},
}

// statusWords are the four states of a commit status.
var statusWords = map[models.CheckState]string{
	models.CheckPending: "pending", models.CheckRunning: "pending", models.CheckSuccess: "success",
	models.CheckFailure: "failure",
}

func (f GitHub) setStatus(ctx context.Context, p *models.Project, r *models.Report) error {
	word, ok := statusWords[r.Wanted]
	if !ok {
		word = "error"
	}
	return f.Client.CreateStatus(ctx, repoOf(p), r.SHA, github.Status{
		Context: r.Name, State: word, Description: r.Title, TargetURL: r.URL,
	})
}

// commentMark ends our comments, so that we know them again. It is not shown.
const commentMark = "\n\n<!-- millrace -->"

// SetComment is part of Forge. What our last comment says already is not said
// again: not by a later commit, nor by a try whose answer was lost.
func (f GitHub) SetComment(ctx context.Context, p *models.Project, number int, id, text string) (string, error) {
	text += commentMark
	if id != "" {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return id, fmt.Errorf("reading the id of comment %q: %w", id, err)
		}
		_, err = f.Client.UpdateComment(ctx, repoOf(p), n, text)
		if !github.IsNotFound(err) {
			return id, err
		}
	}
	comments, err := f.Client.Comments(ctx, repoOf(p), number)
	if err != nil && temporary(err) {
		return id, err
	}
	for _, c := range slices.Backward(comments) {
		if !isOurs(c.Author, c.Body) {
			continue
		}
		if sameText(c.Body, text) {
			return strconv.FormatInt(c.ID, 10), nil
		}
		break
	}
	c, err := f.Client.CreateComment(ctx, repoOf(p), number, text)
	if err != nil {
		return id, err
	}
	return strconv.FormatInt(c.ID, 10), nil
}

// CommentCommit is part of Forge.
func (f GitHub) CommentCommit(ctx context.Context, p *models.Project, sha, text string) error {
	text += commentMark
	comments, err := f.Client.CommitComments(ctx, repoOf(p), sha)
	if err != nil && temporary(err) {
		return err
	}
	for _, c := range slices.Backward(comments) {
		if isOurs(c.Author, c.Body) {
			if sameText(c.Body, text) {
				return nil
			}
			break
		}
	}
	_, err = f.Client.CommentCommit(ctx, repoOf(p), sha, text)
	return err
}

// SetIssue is part of Forge.
func (f GitHub) SetIssue(ctx context.Context, p *models.Project, title, text string) (Issue, error) {
	open, err := f.Client.OpenIssues(ctx, repoOf(p))
	if err != nil {
		return Issue{}, err
	}
	for _, i := range open {
		if i.Title == title && strings.HasSuffix(i.Author, "[bot]") {
			return Issue{Number: i.Number, URL: i.URL, Text: i.Body}, nil
		}
	}
	made, err := f.Client.CreateIssue(ctx, repoOf(p), title, text+commentMark)
	return Issue{Number: made.Number, URL: made.URL, Fresh: true}, err
}

// CloseIssue is part of Forge.
func (f GitHub) CloseIssue(ctx context.Context, p *models.Project, number int) error {
	return f.Client.CloseIssue(ctx, repoOf(p), number)
}

// React is part of Forge.
func (f GitHub) React(ctx context.Context, p *models.Project, comment int64, sign string) error {
	return f.Client.React(ctx, repoOf(p), comment, sign)
}

// isOurs reports whether an App, and so not just anybody, wrote a comment with
// our mark.
func isOurs(author, text string) bool {
	return strings.HasSuffix(author, "[bot]") && strings.HasSuffix(strings.TrimSpace(text), strings.TrimSpace(commentMark))
}

// sameText compares texts that forges may store with other line ends.
func sameText(a, b string) bool {
	plain := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return plain(a) == plain(b)
}
