package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// NewestAttempts returns the newest attempt of each plan of an event, one for
// each package, without steps, the oldest first.
func (q queries) NewestAttempts(ctx context.Context, eventID int64) ([]*models.Pipeline, error) {
	var all []*models.Pipeline
	if err := q.db.NewSelect().Model(&all).Where("event_id = ?", eventID).Order("id DESC").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the attempts of event %d: %w", eventID, err)
	}
	return newestOf(all), nil
}

// NewestAt returns the newest attempts of all plans for a commit of a reference,
// without steps, the oldest first.
func (q queries) NewestAt(ctx context.Context, projectID int64, kind models.RefKind, ref, sha string) ([]*models.Pipeline, error) {
	var all []*models.Pipeline
	err := q.db.NewSelect().Model(&all).Where("project_id = ?", projectID).Where("kind = ?", kind).Where("ref = ?", ref).
		Where("sha = ?", sha).Order("id DESC").Limit(500).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what was planned for %s: %w", sha, err)
	}
	return newestOf(all), nil
}

// newestOf keeps the first of each plan, and turns the order round.
func newestOf(all []*models.Pipeline) []*models.Pipeline {
	type plan struct {
		event int64
		name  string
	}
	seen := map[plan]bool{}
	all = slices.DeleteFunc(all, func(p *models.Pipeline) bool {
		key := plan{p.EventID, p.Package}
		had := seen[key]
		seen[key] = true
		return had
	})
	slices.Reverse(all)
	return all
}

// PipelineOfRequest returns the pipeline that a request made, or
// models.ErrNotFound.
func (q queries) PipelineOfRequest(ctx context.Context, key string) (*models.Pipeline, error) {
	p := new(models.Pipeline)
	if err := q.db.NewSelect().Model(p).Where("request_key = ?", key).Scan(ctx); err != nil {
		return nil, fmt.Errorf("finding what a request made: %w", notFound(err))
	}
	return p, nil
}

// LockPipelines locks pipelines in the order of their ids, which is the order in
// which everybody does: what is shown of their runs then stays as it is.
func (tx *Tx) LockPipelines(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	var locked []int64
	err := forUpdate(tx.db.NewSelect().Model((*models.Pipeline)(nil)).Column("id").
		Where("id IN (?)", bun.List(ids)).Order("id")).Scan(ctx, &locked)
	if err != nil {
		return fmt.Errorf("locking pipelines: %w", err)
	}
	return nil
}

// ReportedEvents are the events whose pipelines a forge was told about in the
// checks of a commit, by its hash.
func (q queries) ReportedEvents(ctx context.Context, projectID int64, sha string) ([]int64, error) {
	var ids []int64
	err := q.db.NewSelect().Model((*models.Pipeline)(nil)).ColumnExpr("DISTINCT pipeline.event_id").
		Where("pipeline.sha = ?", sha).Where("pipeline.project_id = ?", projectID).
		Where("EXISTS (SELECT 1 FROM reports r WHERE r.pipeline_id = pipeline.id)").
		Order("pipeline.event_id").Limit(100).Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("finding what was reported on %s: %w", sha, err)
	}
	return ids, nil
}

// Undecided returns the events of a kind in a project that nobody has decided
// about, the oldest first.
func (q queries) Undecided(ctx context.Context, projectID int64, kind models.EventKind) ([]*models.Event, error) {
	return undecided(ctx, q.db.NewSelect(), projectID, kind)
}

// LockUndecided is Undecided, and locks them.
func (tx *Tx) LockUndecided(ctx context.Context, projectID int64, kind models.EventKind) ([]*models.Event, error) {
	return undecided(ctx, forUpdate(tx.db.NewSelect()), projectID, kind)
}

func undecided(ctx context.Context, q *bun.SelectQuery, projectID int64, kind models.EventKind) ([]*models.Event, error) {
	var events []*models.Event
	err := q.Model(&events).Where("event.project_id = ?", projectID).Where("event.kind = ?", kind).
		Where("event.state = 'new'").Order("event.id").Limit(500).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding undecided events: %w", err)
	}
	return events, nil
}

// PutOff has a delivery handled later. It is not counted as a try.
func (tx *Tx) PutOff(ctx context.Context, deliveryID int64, until time.Time) error {
	_, err := tx.db.NewUpdate().Model((*models.Delivery)(nil)).Set("not_before = ?", until).Set("hinted_at = NULL").
		Where("id = ?", deliveryID).Where("handled_at IS NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("putting delivery %d off: %w", deliveryID, err)
	}
	return nil
}

// AttemptOf returns the newest attempt of the plan that a pipeline is one of,
// without steps.
func (q queries) AttemptOf(ctx context.Context, pipelineID int64) (*models.Pipeline, error) {
	p := new(models.Pipeline)
	err := q.db.NewSelect().Model(p).Join("JOIN pipelines AS mine ON mine.event_id = pipeline.event_id AND mine.package = pipeline.package").
		Where("mine.id = ?", pipelineID).Order("pipeline.attempt DESC").Limit(1).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the newest attempt of pipeline %d: %w", pipelineID, notFound(err))
	}
	return p, nil
}

// PassedRuns returns the runs that passed in the last pipelines of a project,
// with what tells how long they took.
func (q queries) PassedRuns(ctx context.Context, projectID int64) ([]*models.Run, error) {
	var runs []*models.Run
	last := q.db.NewSelect().Model((*models.Pipeline)(nil)).Column("id").Where("project_id = ?", projectID).Order("id DESC").Limit(20)
	err := q.db.NewSelect().Model(&runs).Column("kind", "target", "started_at", "finished_at").
		Where("run.pipeline_id IN (?)", last).Where("run.state = 'passed'").Limit(2000).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading how long runs of project %d took: %w", projectID, err)
	}
	return runs, nil
}

// Ahead says what would come before a new group of a project in the queue of a
// kind.
func (q queries) Ahead(ctx context.Context, kind models.StepKind, projectID int64) (models.Ahead, error) {
	a := models.Ahead{Kind: kind}
	err := q.db.NewSelect().
		ColumnExpr(`(SELECT count(*) FROM run_groups w WHERE w.kind = ? AND w.phase = 'working') AS working`, kind).
		ColumnExpr(`(SELECT count(*) FROM run_groups w WHERE w.kind = ? AND w.phase = 'queued' AND w.rank <=
			COALESCE((SELECT max(own.rank) + 1 FROM run_groups own WHERE own.project_id = ? AND own.kind = ? AND own.phase = 'queued'),
			(SELECT min(first.rank) FROM run_groups first WHERE first.kind = ? AND first.phase = 'queued'))) AS before`, kind, projectID, kind, kind).
		ColumnExpr(`EXISTS (SELECT 1 FROM paused_kinds p WHERE p.kind = ?) AS paused`, kind).
		Scan(ctx, &a.Working, &a.Before, &a.Paused)
	if err != nil {
		return a, fmt.Errorf("finding what is ahead in the queue of %s: %w", kind, err)
	}
	return a, nil
}
