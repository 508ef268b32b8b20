package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// Projects returns a part of the list of projects that meet a filter, the most
// active first, each with its newest pipeline.
func (q queries) Projects(ctx context.Context, f models.ProjectFilter, page models.Page) (*models.ProjectList, error) {
	limit := int(rowsWanted(page.Limit))
	var projects []*models.Project
	query := q.db.NewSelect().Model(&projects).Limit(int64(limit) + 1)
	if f.Forge != "" {
		query = query.Where("project.forge = ?", strings.ToLower(f.Forge))
	}
	if f.Namespace != "" {
		below := models.Pattern{strings.ToLower(f.Namespace) + "/", ""}
		query = query.Where(`lower(project.namespace) = lower(?) OR lower(project.namespace) LIKE ? ESCAPE '\'`, f.Namespace, below.Like())
	}
	if f.Query != "" {
		if len(f.Query) > longestName {
			return nil, &models.InputError{Field: "q", Message: "No project has such a long name."}
		}
		pattern := models.ParsePattern(f.Query)
		const name = "lower(project.namespace || '/' || project.name)"
		const path = "lower(project.forge || '/' || project.namespace || '/' || project.name)"
		c := like(path, []models.Pattern{pattern})
		if word, exact := pattern.Exact(); exact {
			c = like(path, []models.Pattern{{"", word, ""}})
		} else {
			c = either([]condition{c, like(name, []models.Pattern{pattern}), like("lower(project.name)", []models.Pattern{pattern})})
		}
		query = query.Where(c.sql, c.args...)
	}
	query, backward, err := byActivity(query, page)
	if err != nil {
		return nil, err
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("listing projects: %w", err)
	}
	list := new(models.ProjectList)
	more := len(projects) > limit
	projects = projects[:min(limit, len(projects))]
	if backward {
		slices.Reverse(projects)
	}
	if len(projects) > 0 {
		if more || backward {
			list.Older = activityCursor(projects[len(projects)-1])
		}
		if backward && more || page.Before != "" {
			list.Newer = activityCursor(projects[0])
		}
	}
	list.Rows, err = withLast(ctx, q.db, projects)
	return list, err
}

// ProjectsNamed returns those projects of a namespace that are known, by these
// names and in their order.
func (q queries) ProjectsNamed(ctx context.Context, forge, namespace string, names []string) ([]*models.ProjectRow, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var projects []*models.Project
	err := q.db.NewSelect().Model(&projects).Where("project.forge = ?", forge).Where("project.namespace = ?", namespace).
		Where("project.name IN (?)", bun.List(names)).Order("project.name").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading projects of %s: %w", namespace, err)
	}
	return withLast(ctx, q.db, projects)
}

// byActivity orders projects by their last activity, newest first, from a
// cursor on; backward says that they come in the opposite order.
func byActivity(q *bun.SelectQuery, page models.Page) (_ *bun.SelectQuery, backward bool, err error) {
	if page.Before != "" && page.After != "" {
		return nil, false, &models.InputError{Field: "after", Message: "A list is read in one direction: before or after, not both."}
	}
	if page.After != "" {
		at, id, err := readActivity("after", page.After)
		return q.Where("(project.active_at, project.id) > (?, ?)", at, id).Order("project.active_at", "project.id"), true, err
	}
	if page.Before != "" {
		at, id, err := readActivity("before", page.Before)
		return q.Where("(project.active_at, project.id) < (?, ?)", at, id).Order("project.active_at DESC", "project.id DESC"), false, err
	}
	return q.Order("project.active_at DESC", "project.id DESC"), false, nil
}

func activityCursor(p *models.Project) string {
	return fmt.Sprintf("%d-%d", p.ActiveAt.UnixMicro(), p.ID)
}

func readActivity(field, cursor string) (time.Time, int64, error) {
	micros, number, _ := strings.Cut(cursor, "-")
	at, err := strconv.ParseInt(micros, 10, 52)
	id, err2 := strconv.ParseInt(number, 10, 64)
	if err != nil || err2 != nil || at < 0 || id <= 0 {
		return time.Time{}, 0, &models.InputError{Field: field, Message: "This is not a place in the list."}
	}
	return time.UnixMicro(at).UTC(), id, nil
}

// withLast adds the newest pipeline of each project.
func withLast(ctx context.Context, db bun.IDB, projects []*models.Project) ([]*models.ProjectRow, error) {
	rows := make([]*models.ProjectRow, len(projects))
	byID := make(map[int64]*models.ProjectRow, len(projects))
	ids := make([]int64, len(projects))
	for i, p := range projects {
		rows[i] = &models.ProjectRow{Project: p}
		ids[i], byID[p.ID] = p.ID, rows[i]
	}
	if len(ids) == 0 {
		return rows, nil
	}
	var newest []int64
	err := db.NewSelect().TableExpr("projects AS p").Where("p.id IN (?)", bun.List(ids)).
		ColumnExpr("COALESCE((SELECT n.id FROM pipelines AS n WHERE n.project_id = p.id ORDER BY n.id DESC LIMIT 1), 0)").
		Scan(ctx, &newest)
	if err != nil {
		return nil, fmt.Errorf("finding the newest pipelines of projects: %w", err)
	}
	var last []*models.Pipeline
	if err := db.NewSelect().Model(&last).Where("pipeline.id IN (?)", bun.List(newest)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the newest pipelines of projects: %w", err)
	}
	for _, p := range last {
		byID[p.ProjectID].Last = p
	}
	return rows, nil
}

// Forges returns the hosts that projects are on, in alphabetical order.
func (q queries) Forges(ctx context.Context) ([]string, error) {
	var forges []string
	err := q.db.NewSelect().Model((*models.Project)(nil)).ColumnExpr("DISTINCT forge").Order("forge").Scan(ctx, &forges)
	if err != nil {
		return nil, fmt.Errorf("listing forges: %w", err)
	}
	return forges, nil
}

// ProjectAtPath returns the project whose path is forge/namespace/name, in
// whatever case it is written; if there is none the error is models.ErrNotFound.
func (q queries) ProjectAtPath(ctx context.Context, path string) (*models.Project, error) {
	forge, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	i := strings.LastIndex(rest, "/")
	if i <= 0 || i == len(rest)-1 {
		return nil, fmt.Errorf("finding project %q: %w", path, models.ErrNotFound)
	}
	p, err := q.ProjectAt(ctx, strings.ToLower(forge), rest[:i], rest[i+1:])
	if err == nil || !errors.Is(err, models.ErrNotFound) {
		return p, err
	}
	p = new(models.Project)
	err = q.db.NewSelect().Model(p).Where("forge = ?", strings.ToLower(forge)).
		Where("lower(namespace) = lower(?)", rest[:i]).Where("lower(name) = lower(?)", rest[i+1:]).Order("id").Limit(1).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding project %q: %w", path, notFound(err))
	}
	return p, nil
}

// NearProjects returns at most limit projects whose name is that of path, or
// contains it, for whoever asked for one that does not exist.
func (q queries) NearProjects(ctx context.Context, path string, limit int) ([]*models.Project, error) {
	name := path[strings.LastIndex(path, "/")+1:]
	if name == "" || len(name) > longestName {
		return nil, nil
	}
	var projects []*models.Project
	c := like("lower(project.name)", []models.Pattern{{"", strings.ToLower(name), ""}})
	err := q.db.NewSelect().Model(&projects).Where(c.sql, c.args...).
		OrderExpr("length(project.name), project.active_at DESC, project.id").Limit(rowsWanted(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding projects like %q: %w", name, err)
	}
	return projects, nil
}

// References returns a part of the list of a project's references of a kind, or
// of all kinds if it is empty: those with the newest pipelines first, each with
// at most perRef of its pipelines.
func (q queries) References(ctx context.Context, projectID int64, kind models.RefKind, page models.Page, perRef int) (*models.RefList, error) {
	k, err := readPage(page)
	if err != nil {
		return nil, err
	}
	var newest []*models.Pipeline
	query := q.db.NewSelect().Model(&newest).Relation("Commit").Where("pipeline.project_id = ?", projectID).
		Where(`pipeline.id = (SELECT max(n.id) FROM pipelines AS n
			WHERE n.project_id = pipeline.project_id AND n.kind = pipeline.kind AND n.ref = pipeline.ref)`)
	if kind != "" {
		query = query.Where("pipeline.kind = ?", kind)
	}
	if err := k.apply(query, "pipeline.id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("listing the references of project %d: %w", projectID, err)
	}
	list := new(models.RefList)
	newest, list.Cursors = cut(k, newest, func(p *models.Pipeline) int64 { return p.ID })
	for _, p := range newest {
		list.Rows = append(list.Rows, &models.RefRow{Commit: p.Commit, Pipelines: []*models.Pipeline{p}})
		p.Commit = nil
	}
	return list, addHistory(ctx, q.db, list.Rows, perRef)
}

// addHistory adds, to the newest pipeline of each reference, those before it.
func addHistory(ctx context.Context, db bun.IDB, rows []*models.RefRow, perRef int) error {
	if len(rows) == 0 || perRef <= 1 {
		return nil
	}
	type reference struct {
		kind models.RefKind
		ref  string
	}
	byRef := make(map[reference]*models.RefRow, len(rows))
	var parts []condition
	for i, row := range rows {
		p := row.Pipelines[0]
		byRef[reference{p.Kind, p.Ref}] = row
		parts = append(parts, where(fmt.Sprintf(`SELECT id FROM (SELECT n.id FROM pipelines AS n
			WHERE n.project_id = ? AND n.kind = ? AND n.ref = ? AND n.id < ? ORDER BY n.id DESC LIMIT ?) AS r%d`, i),
			p.ProjectID, p.Kind, p.Ref, p.ID, min(perRef, mostRows)-1))
	}
	var texts []string
	var args []any
	for _, part := range parts {
		texts, args = append(texts, part.sql), append(args, part.args...)
	}
	var before []*models.Pipeline
	err := db.NewSelect().Model(&before).Where("pipeline.id IN ("+strings.Join(texts, " UNION ALL ")+")", args...).
		Order("pipeline.id DESC").Scan(ctx)
	if err != nil {
		return fmt.Errorf("reading the pipelines of references: %w", err)
	}
	for _, p := range before {
		row := byRef[reference{p.Kind, p.Ref}]
		row.Pipelines = append(row.Pipelines, p)
	}
	return nil
}

// mostMeasured is how many pipelines of a project its figures are made of at
// most: the newest.
const mostMeasured = 1000

// ProjectStats sums up how the pipelines of a project made since then ended, at
// most the newest thousand, and its events of the last seven days before now.
func (q queries) ProjectStats(ctx context.Context, projectID int64, since, now time.Time) (*models.ProjectStats, error) {
	first, err := firstSince(ctx, q.db, "pipelines", since)
	if err != nil {
		return nil, err
	}
	var ends []struct {
		State                 models.State
		StartedAt, FinishedAt time.Time
	}
	err = q.db.NewSelect().TableExpr("pipelines").Column("state", "started_at", "finished_at").
		Where("project_id = ?", projectID).Where("id >= ?", first).Where("created_at >= ?", since).Where("state IN ('passed', 'failed')").
		Where("started_at IS NOT NULL").Where("finished_at IS NOT NULL").
		OrderExpr("id DESC").Limit(mostMeasured).Scan(ctx, &ends)
	if err != nil {
		return nil, fmt.Errorf("summing up project %d: %w", projectID, err)
	}
	stats := new(models.ProjectStats)
	var lengths []time.Duration
	for _, e := range ends {
		stats.Decided++
		if e.State == models.Passed {
			stats.Passed++
		}
		lengths = append(lengths, e.FinishedAt.Sub(e.StartedAt))
	}
	stats.Median = median(lengths)
	week := now.AddDate(0, 0, -7)
	if first, err = firstSince(ctx, q.db, "events", week); err != nil {
		return nil, err
	}
	events := q.db.NewSelect().TableExpr("events").ColumnExpr("1").Where("project_id = ?", projectID).
		Where("id >= ?", first).Where("created_at >= ?", week).Limit(mostMeasured)
	if stats.Events, err = countRows(ctx, q.db, events); err != nil {
		return nil, fmt.Errorf("counting the events of project %d: %w", projectID, err)
	}
	return stats, nil
}

// median is the one in the middle, or 0 of none. It sorts lengths.
func median(lengths []time.Duration) time.Duration {
	if len(lengths) == 0 {
		return 0
	}
	slices.Sort(lengths)
	return lengths[len(lengths)/2]
}

// LastConfig returns the newest event of a project for which a package config
// was read, without that text, or models.ErrNotFound.
func (q queries) LastConfig(ctx context.Context, projectID int64) (*models.Event, error) {
	e := new(models.Event)
	err := q.db.NewSelect().Model(e).ExcludeColumn(eventLong...).Where("project_id = ?", projectID).
		Where("config_file <> ''").Order("id DESC").Limit(1).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the config of project %d: %w", projectID, notFound(err))
	}
	return e, nil
}
