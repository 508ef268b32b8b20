package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"millrace/models/store"
)

// bigTable is how many rows make a table big: reading it whole is a mistake,
// even where it is fast enough today.
const bigTable = 5000

// plans explains every query that the pages make on the full database, on both
// databases, and reports those that read a big table whole.
func plans(ctx context.Context, b *bench) error {
	for _, postgres := range []bool{true, false} {
		address, err := b.full(ctx, postgres)
		if err != nil {
			return err
		}
		if err := b.explain(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) explain(ctx context.Context, address string) error {
	r := new(recorder)
	site, err := openSite(ctx, address, r.hear)
	if err != nil {
		return err
	}
	defer site.close()
	pages, err := everyPage(ctx, site.store)
	if err != nil {
		return err
	}
	queries, err := r.visit(site, pages)
	if err != nil {
		return err
	}
	bad, err := wholeReads(ctx, site.store, queries)
	if err != nil {
		return err
	}
	for _, line := range bad {
		b.say("%s: %s", kindOf(address), line)
	}
	n := 0
	for _, list := range queries {
		n += len(list)
	}
	b.add(Row{
		What:   fmt.Sprintf("%d queries of %d pages, %s", n, len(pages), kindOf(address)),
		Figure: fmt.Sprintf("%d read a whole big table", len(bad)), Budget: "none", Verdict: verdict(len(bad) == 0),
	})
	return nil
}

// everyPage is one address of each page, and of lists one of each way to narrow
// them.
func everyPage(ctx context.Context, s *store.Store) ([]string, error) {
	p, err := newest(ctx, s)
	if err != nil {
		return nil, err
	}
	full, err := s.Pipeline(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	step := full.Steps[len(full.Steps)-1]
	target := step.Targets[0]
	project := "/projects/" + p.Project.Path()
	pages := []string{
		"/", "/projects", "/projects?q=lib*", "/projects?q=lib", "/projects?forge=github.com", "/projects?namespace=" + p.Project.Namespace,
		project, project + "/pulls/1", project + "/branches/main", project + "/feed", project + "/badge.svg",
		"/pipelines", "/pipelines?project=" + p.Project.Path(), "/pipelines?project=*" + p.Project.Name, "/pipelines?before=5000", "/pipelines?after=5000",
		fmt.Sprintf("/pipelines/%d", p.ID), fmt.Sprintf("/pipelines/%d?view=list", p.ID), fmt.Sprintf("/pipelines/%d/steps/%s", p.ID, step.Name),
		fmt.Sprintf("/pipelines/%d/steps/%s/%s", p.ID, step.Name, target.Name), fmt.Sprintf("/runs/%d", target.RunID), fmt.Sprintf("/runs/%d/log", target.RunID),
		"/events", "/events?project=" + p.Project.Path(), fmt.Sprintf("/events/%d", p.EventID), "/queue", "/find?q=" + p.Project.Name,
	}
	for _, state := range []string{"waiting", "queued", "running", "passed", "failed", "error", "canceled", "superseded"} {
		pages = append(pages, "/pipelines?state="+state)
	}
	for _, kind := range []string{"pr", "push", "release", "issue"} {
		pages = append(pages, "/pipelines?kind="+kind)
	}
	for _, state := range []string{"new", "planned", "nothing", "refused", "applied", "failed"} {
		pages = append(pages, "/events?state="+state)
	}
	for _, term := range []string{
		"state:failed", "is:running", "kind:pr", "ref:main", "sha:" + full.SHA[:8], "actor:" + p.Actor, "package:" + p.Package, "step:tests",
		"target:" + target.Name, "project:" + p.Project.Name, p.Project.Name, "created:>2026-01-01", "-state:passed", "attempt:>1",
		"state:failed project:" + p.Project.Name, "target:fedora-*", "state:failed target:" + target.Name,
	} {
		pages = append(pages, "/pipelines?q="+strings.ReplaceAll(term, " ", "+"))
	}
	return pages, nil
}

// wholeReads explains queries and says, in a line each, which read a whole big
// table.
func wholeReads(ctx context.Context, s *store.Store, queries map[string][]string) ([]string, error) {
	sizes, err := tableSizes(ctx, s)
	if err != nil {
		return nil, err
	}
	read := readLite
	if !s.Embedded() {
		read = readPostgres
	}
	var bad []string
	seen := map[string]bool{}
	for _, page := range slices.Sorted(maps.Keys(queries)) {
		for _, q := range queries[page] {
			tables, err := read(ctx, s, q, sizes)
			if err != nil {
				return nil, fmt.Errorf("explaining %.200s: %w", q, err)
			}
			for _, t := range tables {
				if shape := t + digits.ReplaceAllString(q, "0"); !seen[shape] {
					seen[shape] = true
					bad = append(bad, fmt.Sprintf("%s reads all of %s: %s", page, t, columns.ReplaceAllString(q, "SELECT ... FROM ")))
				}
			}
		}
	}
	return bad, nil
}

var columns = regexp.MustCompile(`^SELECT "[^(]* FROM `)

var digits = regexp.MustCompile(`\d+`)

// tableSizes counts the rows of the tables that grow.
func tableSizes(ctx context.Context, s *store.Store) (map[string]int, error) {
	sizes := map[string]int{}
	for _, table := range []string{"deliveries", "commits", "events", "pipelines", "steps", "step_needs", "run_groups", "runs", "targets", "reports"} {
		var n int
		if err := s.Writer().NewRaw("SELECT count(*) FROM "+table).Scan(ctx, &n); err != nil {
			return nil, err
		}
		sizes[table] = n
	}
	return sizes, nil
}

// whole says whether so many rows of a table are as good as all of it.
func whole(rows float64, size int) bool { return size >= bigTable && rows >= float64(size)/2 }

// readPostgres runs a query and names the big tables that it read whole, be it
// in order or by an index.
func readPostgres(ctx context.Context, s *store.Store, query string, sizes map[string]int) ([]string, error) {
	var text string
	if err := s.Writer().NewRaw("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ?", bun.Safe(query)).Scan(ctx, &text); err != nil {
		return nil, err
	}
	var explained []struct{ Plan node }
	if err := json.Unmarshal([]byte(text), &explained); err != nil {
		return nil, err
	}
	read := map[string]float64{}
	for _, e := range explained {
		e.Plan.count(read)
	}
	var tables []string
	for _, table := range slices.Sorted(maps.Keys(read)) {
		if whole(read[table], sizes[table]) {
			tables = append(tables, table)
		}
	}
	return tables, nil
}

// node is a part of a plan, as EXPLAIN writes it. Rows are those of one loop.
type node struct {
	Table     string  `json:"Relation Name"`
	Rows      float64 `json:"Actual Rows"`
	Loops     float64 `json:"Actual Loops"`
	Removed   float64 `json:"Rows Removed by Filter"`
	Rechecked float64 `json:"Rows Removed by Index Recheck"`
	Plans     []node  `json:"Plans"`
}

// count adds the rows that were looked at to those of their tables.
func (n *node) count(read map[string]float64) {
	if n.Table != "" {
		read[n.Table] += (n.Rows + n.Removed + n.Rechecked) * n.Loops
	}
	for i := range n.Plans {
		n.Plans[i].count(read)
	}
}

var scanLine = regexp.MustCompile(`^SCAN (\w+)`)

// readLite names the big tables that a query reads whole on SQLite, as far as its
// plan tells. A plan does not show limits, so that a scan for a query with a
// limit and without a sort is taken to stop early.
func readLite(ctx context.Context, s *store.Store, query string, sizes map[string]int) ([]string, error) {
	var lines []struct {
		ID, Parent, Notused int
		Detail              string
	}
	if err := s.Writer().NewRaw("EXPLAIN QUERY PLAN ?", bun.Safe(query)).Scan(ctx, &lines); err != nil {
		return nil, err
	}
	sorts := false
	for _, l := range lines {
		sorts = sorts || strings.Contains(l.Detail, "USE TEMP B-TREE FOR")
	}
	var tables []string
	for _, l := range lines {
		m := scanLine.FindStringSubmatch(l.Detail)
		if m == nil || partial(l.Detail) || strings.Contains(query, " LIMIT ") && !sorts {
			continue
		}
		if t := tableOf(query, m[1]); sizes[t] >= bigTable && !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	return tables, nil
}

// partial reports whether a scan is of an index that has few of the rows.
func partial(detail string) bool {
	return slices.ContainsFunc([]string{
		"deliveries_unhandled", "reports_unsent", "run_groups_queued", "run_groups_working", "run_groups_due", "run_groups_project", "pipelines_bad", "pipelines_again",
	}, func(index string) bool { return strings.HasSuffix(detail, index) })
}

// tableOf is the table that a query calls by an alias.
func tableOf(query, alias string) string {
	m := regexp.MustCompile(`(?i)"?(\w+)"? AS "?` + regexp.QuoteMeta(alias) + `"?\b`).FindStringSubmatch(query)
	if m == nil {
		return alias
	}
	return m[1]
}
