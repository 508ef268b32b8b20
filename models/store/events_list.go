package store

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// eventLong are the columns of events that may be long, which lists do not show.
var eventLong = []string{"message", "decisions", "config_text"}

// Events returns a part of the list of events that meet a filter, newest first.
func (q queries) Events(ctx context.Context, f models.EventFilter, page models.Page) (*models.EventList, error) {
	k, err := readPage(page)
	if err != nil {
		return nil, err
	}
	var list *models.EventList
	read := func(ctx context.Context, db bun.IDB) (err error) {
		list, err = listEvents(ctx, db, f, k)
		return err
	}
	if f.Query.Empty() {
		err = read(ctx, q.db)
	} else {
		err = q.inSearchTime(ctx, read)
	}
	if err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	return list, nil
}

func listEvents(ctx context.Context, db bun.IDB, f models.EventFilter, k keyset) (*models.EventList, error) {
	condition, err := eventCondition(ctx, db, f)
	if err != nil {
		return nil, err
	}
	list := new(models.EventList)
	if condition.sql == never.sql {
		_, list.Cursors = cut(k, list.Rows, nil)
		return list, nil
	}
	query := db.NewSelect().Model(&list.Rows).ExcludeColumn(eventLong...).Relation("Project").Relation("Commit").
		Where(condition.sql, condition.args...)
	if err := k.apply(query, "event.id").Scan(ctx); err != nil {
		return nil, err
	}
	list.Rows, list.Cursors = cut(k, list.Rows, func(e *models.Event) int64 { return e.ID })
	if k.upTo != 0 {
		newer := db.NewSelect().Model((*models.Event)(nil)).ColumnExpr("1").
			Where(condition.sql, condition.args...).Where("event.id > ?", k.upTo).Order("event.id").Limit(mostFresh)
		list.Fresh, err = countRows(ctx, db, newer)
	}
	return list, err
}

func eventCondition(ctx context.Context, db bun.IDB, f models.EventFilter) (condition, error) {
	s := &search{db: db, row: "event"}
	var parts []condition
	if f.ProjectID != 0 {
		parts = append(parts, where("event.project_id = ?", f.ProjectID))
	}
	if f.Kind != "" {
		parts = append(parts, where("event.kind = ?", f.Kind))
	}
	if f.State != "" {
		parts = append(parts, where("event.state = ?", f.State))
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

// EventsAround returns at most limit other events about the reference that e is
// about, newest first.
func (q queries) EventsAround(ctx context.Context, e *models.Event, limit int) ([]*models.Event, error) {
	if e.Commit == nil {
		return nil, nil
	}
	events, err := q.refEvents(ctx, e.Commit.ProjectID, e.Commit.Kind, e.Commit.Ref, int(rowsWanted(limit))+1, eventLong...)
	if err != nil {
		return nil, err
	}
	var others []*models.Event
	for _, other := range events {
		if other.ID != e.ID && len(others) < int(rowsWanted(limit)) {
			others = append(others, other)
		}
	}
	return others, nil
}

// ReferenceHistory is ReferenceEvents with what arrived and what was decided.
func (q queries) ReferenceHistory(ctx context.Context, projectID int64, kind models.RefKind, ref string, limit int) ([]*models.Event, error) {
	return q.refEvents(ctx, projectID, kind, ref, int(rowsWanted(limit)), "config_text")
}

// ReferenceEvents returns the newest events about a reference of a project,
// newest first.
func (q queries) ReferenceEvents(ctx context.Context, projectID int64, kind models.RefKind, ref string, limit int) ([]*models.Event, error) {
	return q.refEvents(ctx, projectID, kind, ref, int(rowsWanted(limit)), eventLong...)
}

func (q queries) refEvents(ctx context.Context, projectID int64, kind models.RefKind, ref string, limit int, without ...string) ([]*models.Event, error) {
	var events []*models.Event
	err := q.db.NewSelect().Model(&events).ExcludeColumn(without...).Relation("Project").Relation("Commit").
		Where("event.commit_id IN (SELECT c.id FROM commits AS c WHERE c.project_id = ? AND c.kind = ? AND c.ref = ?)", projectID, kind, ref).
		Order("event.id DESC").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the events of %s in project %d: %w", models.RefName(kind, ref), projectID, err)
	}
	return events, nil
}

// Reference returns the newest commit of a reference of a project. Of a commit's
// hash, kind is empty and ref the hash.
func (q queries) Reference(ctx context.Context, projectID int64, kind models.RefKind, ref string) (*models.Commit, error) {
	c := new(models.Commit)
	query := q.db.NewSelect().Model(c).Relation("Project").Where("git_commit.project_id = ?", projectID)
	if kind == "" {
		query = query.Where("git_commit.sha = ?", ref).Where("git_commit.sha <> ''")
	} else {
		query = query.Where("git_commit.kind = ?", kind).Where("git_commit.ref = ?", ref)
	}
	if err := query.Order("git_commit.id DESC").Limit(1).Scan(ctx); err != nil {
		return nil, fmt.Errorf("finding %s in project %d: %w", models.RefName(kind, ref), projectID, notFound(err))
	}
	return c, nil
}

// ReferencePipelines returns a part of the list of the pipelines of a reference,
// newest first. Of a commit's hash, kind is empty and ref the hash.
func (q queries) ReferencePipelines(ctx context.Context, projectID int64, kind models.RefKind, ref string, page models.Page) (*models.PipelineList, error) {
	k, err := readPage(page)
	if err != nil {
		return nil, err
	}
	var pipelines []*models.Pipeline
	query := q.db.NewSelect().Model(&pipelines).Relation("Project").Where("pipeline.project_id = ?", projectID)
	if kind == "" {
		query = query.Where("pipeline.sha = ?", ref).Where("pipeline.sha <> ''")
	} else {
		query = query.Where("pipeline.kind = ?", kind).Where("pipeline.ref = ?", ref)
	}
	if err := k.apply(query, "pipeline.id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("listing the pipelines of %s in project %d: %w", models.RefName(kind, ref), projectID, err)
	}
	list := new(models.PipelineList)
	pipelines, list.Cursors = cut(k, pipelines, func(p *models.Pipeline) int64 { return p.ID })
	if list.Rows, err = withFlow(ctx, q.db, pipelines); err != nil {
		return nil, err
	}
	return list, nil
}

// SentReports returns how many checks and comments about a commit the forge was
// told, and when the last time; zero if never.
func (q queries) SentReports(ctx context.Context, commitID int64) (int, time.Time, error) {
	var sent struct {
		N    int
		Last time.Time
	}
	err := q.db.NewSelect().TableExpr("reports").ColumnExpr("count(*) AS n, max(sent_at) AS last").
		Where("commit_id = ?", commitID).Where("sent_rev > 0").Scan(ctx, &sent)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("reading what was reported on commit %d: %w", commitID, err)
	}
	return sent.N, utc(sent.Last), nil
}
