package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"millrace/models"
)

// withoutLong leaves out what only an event's own page shows.
func withoutLong(q *bun.SelectQuery) *bun.SelectQuery {
	return q.ExcludeColumn("decisions", "config_text")
}

// Pipeline returns a pipeline with its event (without its decisions and the text
// of its config), project, commit, and its steps
// with needs, targets and runs, in planned order.
func (q queries) Pipeline(ctx context.Context, id int64) (*models.Pipeline, error) {
	p := new(models.Pipeline)
	err := q.db.NewSelect().Model(p).Conn(fixed(q.db, id)).Relation("Event", withoutLong).Relation("Project").Relation("Commit").
		Where("pipeline.id = $1").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading pipeline %d: %w", id, notFound(err))
	}
	if err := loadSteps(ctx, q.db, p, true); err != nil {
		return nil, err
	}
	return p, nil
}

// OlderUnfinished returns the pipelines of the same reference (a pull request, a
// branch) and package that were made for other commits before pipeline id, and
// have not finished.
func (q queries) OlderUnfinished(ctx context.Context, p *models.Pipeline) ([]int64, error) {
	var ids []int64
	err := q.db.NewSelect().Model((*models.Pipeline)(nil)).Column("id").
		Where("project_id = ?", p.ProjectID).Where("kind = ?", p.Kind).Where("ref = ?", p.Ref).
		Where("package = ?", p.Package).Where("id < ?", p.ID).Where("event_id <> ?", p.EventID).
		Where("finished_at IS NULL").Order("id").Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("finding what pipeline %d supersedes: %w", p.ID, err)
	}
	return ids, nil
}

// NewerPipeline returns the id of the newest pipeline of the same reference and
// package for a later event, or 0.
func (q queries) NewerPipeline(ctx context.Context, p *models.Pipeline) (int64, error) {
	var id int64
	err := q.db.NewSelect().Model((*models.Pipeline)(nil)).ColumnExpr("COALESCE(max(id), 0)").
		Where("project_id = ?", p.ProjectID).Where("kind = ?", p.Kind).Where("ref = ?", p.Ref).
		Where("package = ?", p.Package).Where("event_id > ?", p.EventID).Scan(ctx, &id)
	if err != nil {
		return 0, fmt.Errorf("finding what supersedes pipeline %d: %w", p.ID, err)
	}
	return id, nil
}

// Run returns a run with its group.
func (q queries) Run(ctx context.Context, id int64) (*models.Run, error) {
	r := new(models.Run)
	if err := q.db.NewSelect().Model(r).Relation("Group").Where("run.id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading run %d: %w", id, notFound(err))
	}
	return r, nil
}
