package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

const (
	// broad is the part of all projects from which on looking through the list in
	// its order finds a page sooner than collecting what all those projects have.
	broad = 5

	mostNames  = 5000 // distinct names that are looked at for a pattern
	fewNames   = 500  // names that may be listed in a condition
	mostProbes = 40   // names that are looked for one by one
	fewRows    = 2000 // steps or targets of a rare name that may be collected
)

// projectsWhere is the condition that a row's project meets t.
func (s *search) projectsWhere(ctx context.Context, t *models.QueryTerm) (condition, error) {
	if s.projects == nil {
		s.projects = []*models.Project{}
		err := s.db.NewSelect().Model(&s.projects).Column("id", "forge", "namespace", "name").Scan(ctx)
		if err != nil {
			return never, fmt.Errorf("reading the names of projects: %w", err)
		}
	}
	var ids []int64
	for _, p := range s.projects {
		if t.MatchesProject(p) {
			ids = append(ids, p.ID)
		}
	}
	switch {
	case len(ids) == 0:
		return never, nil
	case len(ids) > len(s.projects)/broad && len(ids) > fewNames/broad:
		return where("+"+s.row+".project_id IN (?)", bun.List(ids)), nil
	}
	return where(s.row+".project_id IN (?)", bun.List(ids)), nil
}

// named is the condition that a column, of which there is an index in lower case,
// matches one of values. Which names there are is looked up first, each by one
// step in the index, so that a pattern that matches little costs little.
func (s *search) named(ctx context.Context, column string, values []models.Pattern) (condition, error) {
	lower := "lower(" + s.row + "." + column + ")"
	if exact, ok := allExact(values); ok {
		return where(lower+" IN (?)", bun.List(exact)), nil
	}
	names, complete, err := s.names(ctx, s.table(), column, values)
	switch {
	case err != nil:
		return never, err
	case complete && len(names) == 0:
		return never, nil
	case complete && len(names) <= fewNames:
		return where(lower+" IN (?)", bun.List(names)), nil
	}
	return like(lower, values), nil
}

func (s *search) table() string { return s.row + "s" }

// names returns the values of a column, in lower case, that match; complete says
// that all were looked at. The table has an index that begins with lower(column).
func (s *search) names(ctx context.Context, table, column string, values []models.Pattern) (matching []string, complete bool, err error) {
	next := func(more string) string {
		return fmt.Sprintf("SELECT lower(t.%[1]s) FROM %[2]s AS t %[3]s ORDER BY lower(t.%[1]s) LIMIT 1", column, table, more)
	}
	rows, err := s.db.QueryContext(ctx, fmt.Sprintf(`WITH RECURSIVE names(name) AS (
		SELECT (%s) UNION ALL SELECT (%s) FROM names WHERE names.name IS NOT NULL
	) SELECT name FROM names WHERE name IS NOT NULL LIMIT %d`,
		next(""), next(fmt.Sprintf("WHERE lower(t.%s) > names.name", column)), mostNames))
	if err != nil {
		return nil, false, fmt.Errorf("reading the names in %s.%s: %w", table, column, err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, false, fmt.Errorf("reading the names in %s.%s: %w", table, column, err)
		}
		if anyMatch(values, name) {
			matching = append(matching, name)
		}
	}
	return matching, n < mostNames, rows.Err()
}

func anyMatch(values []models.Pattern, text string) bool {
	for _, v := range values {
		if v.Match(text) {
			return true
		}
	}
	return false
}

func allExact(values []models.Pattern) ([]string, bool) {
	exact := texts(values)
	return exact, len(exact) == len(values)
}

// texts are the values that stand for one text each.
func texts(values []models.Pattern) []string {
	var exact []string
	for _, v := range values {
		if text, ok := v.Exact(); ok {
			exact = append(exact, text)
		}
	}
	return exact
}

func like(expression string, values []models.Pattern) condition {
	parts := make([]condition, len(values))
	for i, v := range values {
		parts[i] = where(expression+` LIKE ? ESCAPE '\'`, v.Like())
	}
	return either(parts)
}

func (s *search) attempt(t *models.QueryTerm) condition {
	c := where("pipeline.attempt "+t.Compare+" ?", t.Number)
	again := t.Compare == ">" && t.Number >= 1 || (t.Compare == "=" || t.Compare == ">=") && t.Number >= 2
	if again { // in words that the index of second attempts is made with
		return all([]condition{where("pipeline.attempt > 1"), c})
	}
	return c
}

// clockSkew is by how much the times of rows may disagree with the order of
// their ids.
const clockSkew = time.Hour

// time is the condition that a row was created since or before a time. If all
// rows must meet it, it also bounds their ids: the list is then read from there
// on, and only so far.
func (s *search) time(ctx context.Context, t *models.QueryTerm, forAll bool) (condition, error) {
	compare, bound, edge := "<", lastBefore, "<="
	if t.Field == "since" {
		compare, bound, edge = ">=", firstSince, ">="
	}
	c := where(s.row+".created_at "+compare+" ?", t.Time)
	if !forAll {
		return c, nil
	}
	id, err := bound(ctx, s.db, s.table(), t.Time)
	if err != nil {
		return never, err
	}
	return all([]condition{where(s.row+".id "+edge+" ?", id), c}), nil
}

// firstSince returns an id below which no row of a table was created since t; it
// has an index of the times. Reading an index of something else and ids from
// there on is cheaper than another index.
func firstSince(ctx context.Context, db bun.IDB, table string, t time.Time) (int64, error) {
	return edgeID(ctx, db, table, "created_at >= ?", "ASC", t.Add(-clockSkew), math.MaxInt64)
}

// lastBefore returns an id above which no row of a table was created before t.
func lastBefore(ctx context.Context, db bun.IDB, table string, t time.Time) (int64, error) {
	return edgeID(ctx, db, table, "created_at < ?", "DESC", t.Add(clockSkew), 0)
}

func edgeID(ctx context.Context, db bun.IDB, table, match, order string, t time.Time, none int64) (int64, error) {
	var ids []int64
	err := db.NewSelect().TableExpr(table).Column("id").Where(match, t).OrderExpr("created_at "+order).Limit(1).Scan(ctx, &ids)
	if err != nil {
		return 0, fmt.Errorf("finding the %s around %s: %w", table, t.UTC().Format(time.RFC3339), err)
	}
	if len(ids) == 0 {
		return none, nil
	}
	return ids[0], nil
}

// rare are the states in which few rows are at a time.
var rare = []string{string(models.Waiting), string(models.Queued), string(models.Running), string(models.EventNew)}

// among is the condition that a column with few different values has one of
// some. For several SQLite would collect and sort all rows that have them; with
// the sign it goes through the list in its order.
func (s *search) among(column string, values []string) condition {
	column = s.row + "." + column
	frequent := slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(rare, v) })
	if len(values) > 1 && frequent && !isPG(s.db) {
		column = "+" + column
	}
	return where(column+" IN (?)", bun.List(values))
}

// reference is the condition that a row is about a reference of that kind.
func (s *search) reference(ctx context.Context, kind models.RefKind, values []models.Pattern) (condition, error) {
	exact, ok := allExact(values)
	if s.row == "pipeline" {
		if ok {
			return where("pipeline.kind = ? AND lower(pipeline.ref) IN (?)", kind, bun.List(exact)), nil
		}
		return all([]condition{where("pipeline.kind = ?", kind), like("lower(pipeline.ref)", values)}), nil
	}
	matches := like("lower(c.ref)", values)
	if ok && len(exact) <= mostProbes {
		ids, few, err := s.commits(ctx, kind, exact)
		switch {
		case err != nil || few && len(ids) == 0:
			return never, err
		case few:
			return where("event.commit_id IN (?)", bun.List(ids)), nil
		}
	}
	return condition{
		"(SELECT count(*) FROM commits AS c WHERE c.id = event.commit_id AND c.kind = ? AND (" + matches.sql + ")) > 0",
		append([]any{kind}, matches.args...),
	}, nil
}

// commits returns those of some references, if they are few; see collect.
func (s *search) commits(ctx context.Context, kind models.RefKind, refs []string) (ids []int64, few bool, err error) {
	for _, ref := range refs {
		var found []int64
		err := s.db.NewSelect().TableExpr("commits").Column("id").Where("kind = ?", kind).Where("lower(ref) = ?", ref).
			Order("id DESC").Limit(fewRows+1-int64(len(ids))).Scan(ctx, &found)
		if err != nil {
			return nil, false, fmt.Errorf("finding the commits of %s: %w", models.RefName(kind, ref), err)
		}
		if ids = append(ids, found...); len(ids) > fewRows {
			return ids, false, nil
		}
	}
	return ids, true, nil
}

// hash is the condition that the hash of a row's commit begins with a value. It
// is a range, which an index answers whatever the database's collation.
func (s *search) hash(values []models.Pattern) condition {
	column := "pipeline.sha"
	if s.row == "event" {
		column = "c.sha"
	}
	var parts []condition
	for _, from := range texts(values) {
		parts = append(parts, where(column+" >= ? AND "+column+" < ?", from, from+"g"))
	}
	c := either(parts)
	if s.row == "event" {
		c.sql = "event.commit_id IN (SELECT c.id FROM commits AS c WHERE " + c.sql + ")"
	}
	return c
}

// step is the condition that a pipeline has a step of that name, kind or
// identifier.
func (s *search) step(ctx context.Context, values []models.Pattern) (condition, error) {
	all, complete, err := s.names(ctx, "steps", "name", []models.Pattern{models.ParsePattern("*")})
	if err != nil {
		return never, err
	}
	var names []string
	for _, name := range all {
		if anyMatch(values, name) || anyMatch(values, stepKind(name)) || anyMatch(values, stepIdentifier(name)) {
			names = append(names, name)
		}
	}
	if !complete || len(names) > fewNames {
		return where("(SELECT count(*) FROM steps AS s WHERE s.pipeline_id = pipeline.id AND ("+like("lower(s.name)", values).sql+")) > 0",
			like("lower(s.name)", values).args...), nil
	}
	ids, few, err := s.collect(ctx, "steps", "pipeline_id", names)
	if err != nil || few {
		return idsWhere(ids), err
	}
	return where("(SELECT count(*) FROM steps AS s WHERE s.pipeline_id = pipeline.id AND lower(s.name) IN (?)) > 0", bun.List(names)), nil
}

// target is the condition that a pipeline has a target of that name.
func (s *search) target(ctx context.Context, values []models.Pattern) (condition, error) {
	names, complete, err := s.names(ctx, "targets", "name", values)
	if err != nil {
		return never, err
	}
	const joined = "steps AS s JOIN targets AS t ON t.step_id = s.id"
	if !complete || len(names) > fewNames {
		matches := like("lower(t.name)", values)
		return condition{"(SELECT count(*) FROM " + joined + " WHERE s.pipeline_id = pipeline.id AND (" + matches.sql + ")) > 0", matches.args}, nil
	}
	steps, few, err := s.collect(ctx, "targets", "step_id", names)
	switch {
	case err != nil || few && len(steps) == 0:
		return never, err
	case few:
		var ids []int64
		err := s.db.NewSelect().TableExpr("steps").Column("pipeline_id").Where("id IN (?)", bun.List(steps)).Scan(ctx, &ids)
		return idsWhere(ids), err
	}
	return where("(SELECT count(*) FROM "+joined+" WHERE s.pipeline_id = pipeline.id AND lower(t.name) IN (?)) > 0", bun.List(names)), nil
}

// collect returns a column of the rows of a table that have one of names, if
// those rows are few. Otherwise each pipeline is looked at in turn, of which a
// page needs few; counting in that condition keeps PostgreSQL from reading the
// tables whole instead. It asks for one name at a time, in the order of the
// index: of several PostgreSQL would rather read the table until it has enough.
func (s *search) collect(ctx context.Context, table, column string, names []string) (ids []int64, few bool, err error) {
	if len(names) > mostProbes {
		return nil, false, nil
	}
	for _, name := range names {
		var found []int64
		err := s.db.NewSelect().TableExpr(table).Column(column).Where("lower(name) = ?", name).
			Order(column+" DESC").Limit(fewRows+1-int64(len(ids))).Scan(ctx, &found)
		if err != nil {
			return nil, false, fmt.Errorf("finding the %s called %s: %w", table, name, err)
		}
		if ids = append(ids, found...); len(ids) > fewRows {
			return ids, false, nil
		}
	}
	return ids, true, nil
}

func idsWhere(ids []int64) condition {
	if len(ids) == 0 {
		return never
	}
	return where("pipeline.id IN (?)", bun.List(ids))
}

// stepKind is the kind in the name of a step: tests of tests:full~2.
func stepKind(name string) string {
	kind, _, _ := strings.Cut(name, ":")
	kind, _, _ = strings.Cut(kind, "~")
	return kind
}

// stepIdentifier is the identifier in the name of a step: full of tests:full~2.
func stepIdentifier(name string) string {
	_, identifier, _ := strings.Cut(name, ":")
	if i := strings.LastIndex(identifier, "~"); i >= 0 {
		identifier = identifier[:i]
	}
	return identifier
}
