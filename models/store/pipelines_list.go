package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"millrace/models"
)

// Pipelines returns a part of the list of pipelines that meet a filter, newest
// first.
func (q queries) Pipelines(ctx context.Context, f models.PipelineFilter, page models.Page) (*models.PipelineList, error) {
	k, err := readPage(page)
	if err != nil {
		return nil, err
	}
	var list *models.PipelineList
	read := func(ctx context.Context, db bun.IDB) (err error) {
		list, err = listPipelines(ctx, db, f, k)
		return err
	}
	if f.Query.Empty() {
		err = read(ctx, q.db)
	} else {
		err = q.inSearchTime(ctx, read)
	}
	if err != nil {
		return nil, fmt.Errorf("listing pipelines: %w", err)
	}
	return list, nil
}

func listPipelines(ctx context.Context, db bun.IDB, f models.PipelineFilter, k keyset) (*models.PipelineList, error) {
	condition, err := pipelineCondition(ctx, db, f)
	if err != nil {
		return nil, err
	}
	list := new(models.PipelineList)
	if condition.sql == never.sql {
		_, list.Cursors = cut(k, list.Rows, nil)
		return list, nil
	}
	var pipelines []*models.Pipeline
	query := db.NewSelect().Model(&pipelines).Relation("Project").Where(condition.sql, condition.args...)
	if err := k.apply(query, "pipeline.id").Scan(ctx); err != nil {
		return nil, err
	}
	pipelines, list.Cursors = cut(k, pipelines, func(p *models.Pipeline) int64 { return p.ID })
	if list.Rows, err = withFlow(ctx, db, pipelines); err != nil {
		return nil, err
	}
	if k.upTo != 0 {
		newer := db.NewSelect().Model((*models.Pipeline)(nil)).ColumnExpr("1").
			Where(condition.sql, condition.args...).Where("pipeline.id > ?", k.upTo).Order("pipeline.id").Limit(mostFresh)
		list.Fresh, err = countRows(ctx, db, newer)
	}
	return list, err
}

// countRows counts the rows of a query that has a limit.
func countRows(ctx context.Context, db bun.IDB, q *bun.SelectQuery) (n int, err error) {
	err = db.NewSelect().TableExpr("(?) AS counted", q).ColumnExpr("count(*)").Scan(ctx, &n)
	return n, err
}

func pipelineCondition(ctx context.Context, db bun.IDB, f models.PipelineFilter) (condition, error) {
	s := &search{db: db, row: "pipeline"}
	var parts []condition
	if f.ProjectID != 0 {
		parts = append(parts, where("pipeline.project_id = ?", f.ProjectID))
	}
	if f.State != "" {
		parts = append(parts, where("pipeline.state = ?", f.State))
	}
	if f.Kind != "" {
		parts = append(parts, where("pipeline.kind = ?", f.Kind))
	}
	if f.Package != "" {
		parts = append(parts, where("lower(pipeline.package) = lower(?)", f.Package))
	}
	byName, err := s.projectFilter(ctx, f.Project)
	if err != nil {
		return never, err
	}
	searched, err := s.compile(ctx, f.Query, true)
	if err != nil {
		return never, err
	}
	return all(append(parts, byName, searched)), nil
}

// longestName is how long the name of a project to look for may be, in bytes.
const longestName = 300

// projectFilter is the condition that a row's project is called name, in which *
// stands for anything.
func (s *search) projectFilter(ctx context.Context, name string) (condition, error) {
	if name == "" {
		return always, nil
	}
	if len(name) > longestName {
		return never, &models.InputError{Field: "project", Message: "No project has such a long name."}
	}
	return s.projectsWhere(ctx, &models.QueryTerm{Field: "project", Values: []models.Pattern{models.ParsePattern(name)}})
}

// withFlow adds what the steps of pipelines have come to.
func withFlow(ctx context.Context, db bun.IDB, pipelines []*models.Pipeline) ([]*models.PipelineRow, error) {
	rows := make([]*models.PipelineRow, len(pipelines))
	byID := make(map[int64]*models.PipelineRow, len(pipelines))
	ids := make([]int64, len(pipelines))
	for i, p := range pipelines {
		rows[i] = &models.PipelineRow{Pipeline: p}
		ids[i], byID[p.ID] = p.ID, rows[i]
	}
	if len(ids) == 0 {
		return rows, nil
	}
	var sums []models.StepSum
	err := db.NewSelect().TableExpr("steps AS s").
		Join("LEFT JOIN targets AS t ON t.step_id = s.id").Join("LEFT JOIN runs AS r ON r.id = t.run_id").
		Column("s.pipeline_id", "s.name", "s.kind", "s.state").
		ColumnExpr("count(r.id) AS total").
		ColumnExpr("count(CASE WHEN r.state NOT IN ('waiting', 'queued', 'running') THEN 1 END) AS done").
		ColumnExpr("count(CASE WHEN r.state = 'passed' THEN 1 END) AS passed").
		ColumnExpr("count(CASE WHEN r.state IN ('failed', 'error') THEN 1 END) AS bad").
		Where("s.pipeline_id IN (?)", bun.List(ids)).
		GroupExpr("s.pipeline_id, s.position, s.id, s.name, s.kind, s.state").
		OrderExpr("s.pipeline_id, s.position").Scan(ctx, &sums)
	if err != nil {
		return nil, fmt.Errorf("reading what steps have come to: %w", err)
	}
	for _, sum := range sums {
		row := byID[sum.PipelineID]
		row.Flow = append(row.Flow, sum)
	}
	return rows, nil
}

// RecentPipelines returns the newest pipelines of a project, without their
// project.
func (q queries) RecentPipelines(ctx context.Context, projectID int64, limit int) ([]*models.Pipeline, error) {
	var pipelines []*models.Pipeline
	err := q.db.NewSelect().Model(&pipelines).Where("project_id = ?", projectID).
		Order("id DESC").Limit(rowsWanted(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the newest pipelines of project %d: %w", projectID, err)
	}
	return pipelines, nil
}

// NewestPipeline returns the newest pipeline of a project, of that kind and
// reference if they are given.
func (q queries) NewestPipeline(ctx context.Context, projectID int64, kind models.RefKind, ref string) (*models.PipelineRow, error) {
	var pipelines []*models.Pipeline
	query := q.db.NewSelect().Model(&pipelines).Relation("Project").Where("pipeline.project_id = ?", projectID)
	if kind != "" {
		query = query.Where("pipeline.kind = ?", kind)
	}
	if ref != "" {
		query = query.Where("pipeline.ref = ?", ref)
	}
	if err := query.Order("pipeline.id DESC").Limit(1).Scan(ctx); err != nil {
		return nil, fmt.Errorf("finding the newest pipeline of project %d: %w", projectID, err)
	}
	rows, err := withFlow(ctx, q.db, pipelines)
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, fmt.Errorf("finding the newest pipeline of project %d: %w", projectID, models.ErrNotFound)
	}
	return rows[0], nil
}

// Attempts returns all attempts of the plan that p is one of, in their order.
func (q queries) Attempts(ctx context.Context, p *models.Pipeline) ([]*models.Pipeline, error) {
	first := p.ID
	if p.FirstAttemptID != 0 {
		first = p.FirstAttemptID
	}
	var attempts []*models.Pipeline
	err := q.db.NewSelect().Model(&attempts).Where("id = ? OR first_attempt_id = ?", first, first).
		Order("attempt").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the attempts of pipeline %d: %w", p.ID, err)
	}
	return attempts, nil
}

// Neighbors returns the pipelines of the same reference and package that were
// made for the event before and the one after p's; nil where there is none. Of
// several attempts it is the last.
func (q queries) Neighbors(ctx context.Context, p *models.Pipeline) (earlier, later *models.Pipeline, err error) {
	same := func() (*models.Pipeline, *bun.SelectQuery) {
		n := new(models.Pipeline)
		return n, q.db.NewSelect().Model(n).Where("project_id = ?", p.ProjectID).Where("kind = ?", p.Kind).
			Where("ref = ?", p.Ref).Where("package = ?", p.Package).Limit(1)
	}
	before, query := same()
	if err := query.Where("event_id < ?", p.EventID).Where("id < ?", p.ID).Order("id DESC").Scan(ctx); err == nil {
		earlier = before
	} else if !errors.Is(notFound(err), models.ErrNotFound) {
		return nil, nil, fmt.Errorf("finding the pipeline before %d: %w", p.ID, err)
	}
	after, query := same()
	if err := query.Where("event_id > ?", p.EventID).Where("id > ?", p.ID).Order("id").Scan(ctx); err == nil {
		later = after
	} else if !errors.Is(notFound(err), models.ErrNotFound) {
		return nil, nil, fmt.Errorf("finding the pipeline after %d: %w", p.ID, err)
	}
	return earlier, later, nil
}

// SameCommit returns the pipelines made for the same commit as p for other
// events or packages, or under another reference, newest first.
func (q queries) SameCommit(ctx context.Context, p *models.Pipeline, limit int) ([]*models.Pipeline, error) {
	if p.SHA == "" {
		return nil, nil
	}
	var others []*models.Pipeline
	err := q.db.NewSelect().Model(&others).Where("sha = ?", p.SHA).Where("project_id = ?", p.ProjectID).
		Where("event_id <> ? OR package <> ?", p.EventID, p.Package).
		Order("id DESC").Limit(rowsWanted(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the pipelines of commit %s: %w", p.SHA, err)
	}
	return others, nil
}
