package jobs

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
)

// commentPrefix begins the names of reports that are comments.
const commentPrefix = models.CommentPrefix

// want stores what the forge is to be told and makes a job for each news.
func (e *Engine) want(ctx context.Context, tx *store.Tx, reports []*models.Report) error {
	changed, err := tx.Want(ctx, reports)
	if err != nil {
		return err
	}
	for _, r := range changed {
		if err := e.Queue.Add(ctx, tx, reportArgs{r.ID}); err != nil {
			return err
		}
	}
	return nil
}

// report tells a forge the newest of what is wanted. What was wanted in between
// is not sent: only the newest counts. Two at once could arrive in the wrong
// order, so one takes a lease, and looks again after it.
func (r *Runner) report(ctx context.Context, id int64) error {
	holder := r.Worker + "/" + rand.Text()
	key := fmt.Sprintf("report/%d", id)
	for {
		report, err := r.Store.Report(ctx, id)
		if err != nil || report.SentRev >= report.Revision || report.NotBefore.After(store.Now()) {
			return err
		}
		ok, err := r.lease(ctx, key, holder)
		if err != nil || !ok {
			return err
		}
		report, err = r.Store.Report(ctx, id) // as it is now that it is ours
		if err == nil && report.SentRev < report.Revision {
			err = r.tell(ctx, report)
		}
		r.release(ctx, key, holder)
		if err != nil {
			return err
		}
	}
}

// reportTries is how often a forge is asked to take a report that it does not
// take.
const reportTries = 20

func (r *Runner) tell(ctx context.Context, report *models.Report) error {
	project, err := r.Store.Project(ctx, report.ProjectID)
	if err != nil {
		return err
	}
	err = r.send(ctx, project, report)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		switch {
		case err == nil:
			if err := tx.ReportSent(ctx, report); err != nil || report.PipelineID == 0 {
				return err
			}
			return tx.Announce(ctx, models.Change{Topic: models.ReportsTopic, Object: report.PipelineID})
		case !temporary(err) || report.Tries+1 >= reportTries:
			r.Log.ErrorContext(ctx, "report given up", "report", report.ID, "check", report.Name, "error", err)
			return tx.GiveUpReport(ctx, report, inWords(err))
		}
		again := store.Now().Add(backoff(r.Timing.Retry/10, r.Timing.RetryMax, report.Tries+1))
		if at := httpx.RetryAfter(err); at.After(again) {
			again = at
		}
		r.Log.WarnContext(ctx, "report not sent", "report", report.ID, "check", report.Name, "again", again, "error", err)
		return tx.ReportFailed(ctx, report, inWords(err), again)
	})
}

func (r *Runner) send(ctx context.Context, project *models.Project, report *models.Report) (err error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timing.Lease*9/10)
	defer cancel()
	if report.Thing != "" {
		return r.sendTrouble(ctx, project, report)
	}
	forge, err := r.Forge(project)
	if err != nil {
		return err
	}
	if title, ok := strings.CutPrefix(report.Name, models.IssuePrefix); ok {
		_, err := setIssue(ctx, forge, project, "[packit] "+title, report.Body)
		return err
	}
	commit, err := r.Store.Commit(ctx, report.CommitID)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(report.Name, commentPrefix) {
		if commit.Kind == models.PullRequestRef {
			report.Pull, _ = strconv.Atoi(commit.Ref) // it is a number
		}
		report.ExternalID, report.AsStatus, err = forge.SetCheck(ctx, project, report)
		return err
	}
	if commit.Kind != models.PullRequestRef && commit.Kind != models.IssueRef {
		return forge.CommentCommit(ctx, project, commit.SHA, report.Body)
	}
	number, err := strconv.Atoi(commit.Ref)
	if err != nil {
		return broken(err, "There is no pull request or issue to comment on.")
	}
	report.ExternalID, err = forge.SetComment(ctx, project, number, report.ExternalID, report.Body)
	return err
}
