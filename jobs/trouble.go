package jobs

import (
	"context"
	"errors"
	"strconv"

	"millrace/clients/pagure"
	"millrace/models"
	"millrace/models/store"
)

// wantTroubles stores what people are to be told of the steps of a pipeline that
// are part of the release chain, as far as they are at their ends.
func (e *Engine) wantTroubles(ctx context.Context, tx *store.Tx, g *models.Graph) error {
	if !g.ChainEnded() {
		return nil
	}
	telling := models.Telling{Base: e.Base, Prefix: e.Prefix, Hears: e.Hears}
	var err error
	if telling.Project, err = tx.Project(ctx, g.ProjectID); err != nil {
		return err
	}
	if telling.Event, err = tx.Event(ctx, g.EventID); err != nil {
		return err
	}
	if telling.Pull, err = pullBehind(ctx, tx, g, &telling); err != nil {
		return err
	}
	for _, report := range g.Troubles(telling) {
		if err := e.wantTrouble(ctx, tx, report); err != nil {
			return err
		}
	}
	return nil
}

// pullBehind is the pull request in dist-git that a pipeline is about, or that
// its commit came from; 0 if there is none.
func pullBehind(ctx context.Context, tx *store.Tx, g *models.Graph, t *models.Telling) (int, error) {
	if g.Kind == models.PullRequestRef {
		return strconv.Atoi(g.Ref)
	}
	if m := t.Event.Message; m != nil && m.PR > 0 && (t.Event.Kind == models.PushEvent || t.Event.Kind == models.CommentEvent) {
		return m.PR, nil
	}
	if g.Kind != models.BranchRef || g.SHA == "" {
		return 0, nil
	}
	pull, err := tx.PullOf(ctx, models.CommitRefOf(t.Project, g.Ref, g.SHA))
	if errors.Is(err, models.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return pull.Data.Number, nil
}

// wantTrouble stores a report about a thing of the release chain: an issue, or a
// comment on a pull request.
func (e *Engine) wantTrouble(ctx context.Context, tx *store.Tx, report *models.Report) error {
	if report.Thing == "" {
		commit := &models.Commit{ProjectID: report.ProjectID, Kind: models.PullRequestRef, Ref: strconv.Itoa(report.Pull), SHA: report.SHA}
		if err := tx.EnsureCommit(ctx, commit); err != nil {
			return err
		}
		report.CommitID = commit.ID
		return e.want(ctx, tx, []*models.Report{report})
	}
	if report.Tracker.ID == 0 {
		if err := tx.EnsureProject(ctx, report.Tracker); err != nil {
			return err
		}
	}
	report.ProjectID = report.Tracker.ID
	news, err := tx.WantIssue(ctx, report)
	if err != nil || news == nil {
		return err
	}
	return e.Queue.Add(ctx, tx, reportArgs{news.ID})
}

// Tracker is where issues are. Every forge is one.
type Tracker interface {
	// SetIssue opens an issue, or finds the open one of ours with that title.
	SetIssue(ctx context.Context, p *models.Project, title, text string) (Issue, error)
	// SetComment writes a comment on an issue unless our last one there says so.
	SetComment(ctx context.Context, p *models.Project, number int, id, text string) (string, error)
	CloseIssue(ctx context.Context, p *models.Project, number int) error
}

// tracker is where the issues of a project are.
func (r *Runner) tracker(p *models.Project) (Tracker, error) {
	if t := r.Trackers[p.Forge]; t != nil {
		return t, nil
	}
	return r.Forge(p)
}

// sendTrouble opens an issue about a thing that fails, writes below the open one
// that it failed again, or that it works, and closes it then.
func (r *Runner) sendTrouble(ctx context.Context, project *models.Project, report *models.Report) error {
	tracker, err := r.tracker(project)
	if err != nil {
		return err
	}
	if report.Wanted != models.CheckSuccess {
		issue, err := setIssue(ctx, tracker, project, report.Title, report.Body)
		if err == nil {
			report.ExternalID = strconv.Itoa(issue.Number)
		}
		return err
	}
	number, err := strconv.Atoi(report.ExternalID)
	if err != nil {
		return nil // it was never opened
	}
	if _, err := tracker.SetComment(ctx, project, number, "", report.Body); err != nil {
		return err
	}
	// Things that share a title share the issue; it stays for those that still fail.
	others, err := r.Store.OpenThings(ctx, project.ID, report.ExternalID)
	if err == nil && len(others) == 0 {
		err = tracker.CloseIssue(ctx, project, number)
	}
	if err == nil {
		report.ExternalID = ""
	}
	return err
}

// setIssue opens an issue, or writes below the one that is open what it does not
// say already.
func setIssue(ctx context.Context, tracker Tracker, project *models.Project, title, text string) (Issue, error) {
	issue, err := tracker.SetIssue(ctx, project, title, text)
	if err != nil || issue.Fresh || sameText(issue.Text, text+commentMark) || sameText(issue.Text, text) {
		return issue, err
	}
	_, err = tracker.SetComment(ctx, project, issue.Number, "", text)
	return issue, err
}

// Pagure is a Pagure of which we use the issues alone.
type Pagure struct {
	Client *pagure.Client
	User   string // our account there
}

// SetIssue is part of Tracker.
func (t Pagure) SetIssue(ctx context.Context, p *models.Project, title, text string) (Issue, error) {
	open, err := t.Client.OpenIssues(ctx, pathOf(p), t.User)
	if err != nil {
		return Issue{}, err
	}
	for _, i := range open {
		if i.Title == title {
			return Issue{Number: i.Number, URL: i.URL, Text: i.Text}, nil
		}
	}
	made, err := t.Client.CreateIssue(ctx, pathOf(p), title, text)
	return Issue{Number: made.Number, URL: made.URL, Fresh: true}, err
}

// SetComment is part of Tracker. A comment cannot be rewritten.
func (t Pagure) SetComment(ctx context.Context, p *models.Project, number int, _, text string) (string, error) {
	said, err := t.Client.IssueComments(ctx, pathOf(p), number)
	if err != nil {
		return "", err
	}
	for i := len(said) - 1; i >= 0; i-- {
		if said[i].Author != t.User {
			continue
		}
		if sameText(said[i].Text, text) {
			return strconv.FormatInt(said[i].ID, 10), nil
		}
		break
	}
	return "", t.Client.CommentIssue(ctx, pathOf(p), number, text)
}

// CloseIssue is part of Tracker.
func (t Pagure) CloseIssue(ctx context.Context, p *models.Project, number int) error {
	return t.Client.CloseIssue(ctx, pathOf(p), number)
}
