package store

import (
	"context"
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
	var stored []*models.Report
	names := make([]string, len(wanted))
	for i, r := range wanted {
		names[i] = r.Name
	}
	err := forUpdate(tx.db.NewSelect().Model(&stored).
		Where("commit_id = ?", wanted[0].CommitID).Where("name IN (?)", bun.List(names))).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what was reported on commit %d: %w", wanted[0].CommitID, err)
	}
	byName := make(map[string]*models.Report, len(stored))
	for _, r := range stored {
		byName[r.Name] = r
	}
	var created, changed []*models.Report
	for _, w := range wanted {
		w.UpdatedAt, w.HintedAt = Now(), Now()
		old := byName[w.Name]
		switch {
		case old == nil:
			w.Revision = 1
			created = append(created, w)
			byName[w.Name] = w
		case older(w, old), same(old, w):
		default:
			old.PipelineID, old.RunID, old.EventID = w.PipelineID, w.RunID, w.EventID
			old.Wanted, old.Title, old.Body, old.URL, old.UpdatedAt = w.Wanted, w.Title, w.Body, w.URL, w.UpdatedAt
			old.Revision++
			old.Tries, old.NotBefore, old.HintedAt, old.Error = 0, time.Time{}, Now(), ""
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
	_, err := tx.db.NewUpdate().Model(r).WherePK().Where("sent_rev < ?", r.Revision).
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
