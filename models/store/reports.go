package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// Want stores what a forge is to be told about a commit and returns the reports
// that differ from what was wanted before. A pipeline of an older event does not
// take a check back from a newer one's, nor does an earlier attempt.
func (tx *Tx) Want(ctx context.Context, wanted []*models.Report) ([]*models.Report, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	names := make([]string, len(wanted))
	for i, r := range wanted {
		names[i] = r.Name
	}
	byName, err := tx.reports(ctx, wanted[0].CommitID, names)
	if err != nil {
		return nil, err
	}
	var created, changed []*models.Report
	for _, w := range wanted {
		w.UpdatedAt, w.HintedAt = Now(), Now()
		old := byName[w.Name]
		switch {
		case w.IfFailing && (old == nil || old.Wanted == models.CheckSuccess):
		case old == nil:
			w.Revision = 1
			created = append(created, w)
			byName[w.Name] = w
		case older(w, old), same(old, w):
		default:
			renew(old, w)
			changed = append(changed, old)
		}
	}
	if len(created) > 0 {
		if _, err := tx.db.NewInsert().Model(&created).Exec(ctx); err != nil {
			return nil, fmt.Errorf("storing reports on commit %d: %w", wanted[0].CommitID, err)
		}
	}
	err = updateAll(ctx, tx.db, changed, "pipeline_id", "run_id", "event_id", "wanted", "title", "body", "url",
		"revision", "tries", "not_before", "hinted_at", "error", "updated_at")
	if err != nil {
		return nil, fmt.Errorf("updating reports on commit %d: %w", wanted[0].CommitID, err)
	}
	return append(created, changed...), nil
}

// renew makes of a report the next revision, which says what w does.
func renew(old, w *models.Report) {
	old.PipelineID, old.RunID, old.EventID = w.PipelineID, w.RunID, w.EventID
	old.Wanted, old.Title, old.Body, old.URL, old.UpdatedAt = w.Wanted, w.Title, w.Body, w.URL, w.UpdatedAt
	old.Revision++
	old.Tries, old.NotBefore, old.HintedAt, old.Error = 0, time.Time{}, Now(), ""
}

// reports are those on a commit with these names, locked, by name.
func (tx *Tx) reports(ctx context.Context, commitID int64, names []string) (map[string]*models.Report, error) {
	var stored []*models.Report
	err := forUpdate(tx.db.NewSelect().Model(&stored).Where("commit_id = ?", commitID).Where("name IN (?)", bun.List(names))).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what was reported on commit %d: %w", commitID, err)
	}
	byName := make(map[string]*models.Report, len(stored))
	for _, r := range stored {
		byName[r.Name] = r
	}
	return byName, nil
}

// WantIssue is Want for the issue about a thing, at whatever commit it failed.
// The report is nil if nothing is news.
func (tx *Tx) WantIssue(ctx context.Context, w *models.Report) (*models.Report, error) {
	w.UpdatedAt, w.HintedAt, w.Revision = Now(), Now(), 1
	if !w.IfFailing { // of two at once one comes second, and finds the other's
		_, err := tx.db.NewInsert().Model(w).On("CONFLICT DO NOTHING").Returning("id").Exec(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("storing the report of %s: %w", w.Thing, err)
		}
		if w.ID != 0 {
			return w, nil
		}
	}
	old := new(models.Report)
	err := forUpdate(tx.db.NewSelect().Model(old).Where("thing = ?", w.Thing)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the report of %s: %w", w.Thing, err)
	}
	if older(w, old) || same(old, w) || (w.IfFailing && old.Wanted == models.CheckSuccess) {
		return nil, nil
	}
	if old.ProjectID != w.ProjectID && !w.IfFailing {
		old.ProjectID, old.ExternalID = w.ProjectID, "" // the issue elsewhere is left to people
	}
	old.CommitID, old.SHA = w.CommitID, w.SHA
	renew(old, w)
	return old, updateAll(ctx, tx.db, []*models.Report{old}, "project_id", "commit_id", "sha", "external_id", "pipeline_id", "run_id", "event_id",
		"wanted", "title", "body", "url", "revision", "tries", "not_before", "hinted_at", "error", "updated_at")
}

// OpenThings are the reports of things that fail and have their issue in a
// project under that number.
func (q queries) OpenThings(ctx context.Context, projectID int64, issue string) ([]*models.Report, error) {
	var found []*models.Report
	err := q.db.NewSelect().Model(&found).Where("project_id = ?", projectID).Where("external_id = ?", issue).Where("thing IS NOT NULL").
		Where("wanted <> ?", models.CheckSuccess).Order("id").Limit(100).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what issue %s of project %d is about: %w", issue, projectID, err)
	}
	return found, nil
}

// older reports whether a is of an earlier event than b, or of an earlier attempt.
func older(a, b *models.Report) bool {
	if a.EventID != b.EventID {
		return a.EventID < b.EventID
	}
	return a.PipelineID != 0 && a.PipelineID < b.PipelineID
}

// same reports whether a forge that knows a need not be told b: its text matters
// for a comment, which is nothing else; that of a check comes along when its
// state or title is news, or is news itself if a link is new in it. A run has few
// links, so that this is seldom.
func same(a, b *models.Report) bool {
	said := strings.HasPrefix(a.Name, models.CommentPrefix) || strings.HasPrefix(a.Name, models.IssuePrefix)
	if said && a.Body != b.Body {
		return false
	}
	return a.Wanted == b.Wanted && a.Title == b.Title && a.URL == b.URL && !models.MoreLinks(a.Body, b.Body)
}

// Report returns a report.
func (q queries) Report(ctx context.Context, id int64) (*models.Report, error) {
	r := new(models.Report)
	if err := q.db.NewSelect().Model(r).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading report %d: %w", id, notFound(err))
	}
	return r, nil
}

// ReportSent notes that the forge was told r as it was at its revision.
func (tx *Tx) ReportSent(ctx context.Context, r *models.Report) error {
	_, err := tx.db.NewUpdate().Model(r).WherePK().Where("sent_rev < ?", r.Revision).Where("project_id = ?", r.ProjectID).
		Set("sent_rev = ?", r.Revision).Set("sent_state = ?", r.Wanted).Set("external_id = ?", r.ExternalID).
		Set("as_status = ?", r.AsStatus).Set("sent_at = ?", Now()).Set("error = ''").Set("tries = 0").Set("not_before = NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("noting that report %d was sent: %w", r.ID, err)
	}
	return nil
}

// ReportFailed notes that the forge could not be told, and when to try again.
func (tx *Tx) ReportFailed(ctx context.Context, r *models.Report, problem string, again time.Time) error {
	_, err := tx.db.NewUpdate().Model(r).WherePK().
		Set("error = ?", problem).Set("tries = tries + 1").Set("not_before = ?", again).Set("hinted_at = NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("noting that report %d failed: %w", r.ID, err)
	}
	return nil
}

// GiveUpReport notes that the forge will never take report r, and why.
func (tx *Tx) GiveUpReport(ctx context.Context, r *models.Report, problem string) error {
	_, err := tx.db.NewUpdate().Model(r).WherePK().Where("revision = ?", r.Revision).
		Set("error = ?", problem).Set("sent_rev = revision").Exec(ctx)
	if err != nil {
		return fmt.Errorf("giving report %d up: %w", r.ID, err)
	}
	return nil
}

// DueReports returns reports that the forge has not been told, that are due, and
// for which no job was made since before; it notes that one is made now.
func (tx *Tx) DueReports(ctx context.Context, before time.Time) ([]int64, error) {
	return hinted(ctx, tx.db, (*models.Report)(nil), before, "sent_rev < revision")
}
