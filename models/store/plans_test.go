package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/seed"
	"millrace/models/store/storetest"
)

var seededNow = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func seeded(t testing.TB, s *store.Store, size seed.Size) {
	t.Helper()
	err := seed.Seed(t.Context(), s, seed.Options{
		Size: size, Seed: 1, Now: seededNow, Forge: "forge.test", ForgeURL: "https://forge.test",
	})
	if err != nil {
		t.Fatal(err)
	}
}

// big are the tables that no list may read whole.
var big = []string{"products", "product_links", "pipelines", "runs", "events", "steps", "targets", "run_groups", "commits", "deliveries", "reports"}

// statements collects the SQL of a store.
type statements struct {
	mu  sync.Mutex // above the two
	all []string   // that read
	set []string   // that change settings
}

func (s *statements) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (s *statements) AfterQuery(_ context.Context, event *bun.QueryEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.TrimSpace(event.Query)
	if strings.HasPrefix(text, "SET") {
		s.set = append(s.set, text)
	}
	if strings.Contains(text, "$1") {
		return // a fixed statement of the engine, whose arguments are not told here
	}
	if strings.HasPrefix(text, "SELECT") || strings.HasPrefix(text, "WITH") {
		s.all = append(s.all, text)
	}
}

func (s *statements) settings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.set)
}

func (s *statements) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.all
	s.all = nil
	return taken
}

// reading is something that a page reads.
type reading struct {
	name string
	read func(ctx context.Context, s *store.Store) error
}

var pipelineSearches = []string{
	"", "lantern", "r/^rpms/", "r/(amber|birch)/ status:failed", "nothing-is-called-so", "project:rpms/*", "project:packit/hello", "!project:rpms/*",
	"package:hello", "package:amber*", "package:*zzz*", "kind:pr", "kind:issue", "kind:pr,release", "status:failed", "status:queued", "status:failed,error",
	"!status:passed", "step:tests", "step:nothing", "target:fedora-44-x86_64", "target:*s390x", "target:none", "pr:42", "pr:*", "branch:main",
	"branch:zzz*", "tag:v1.0.1", "sha:abcd", "since:7d", "before:2026-01-01", "since:2026-02-01 before:2026-02-02 status:failed",
	"attempt:>1", "attempt:3", "actor:alice", "actor:ali*", "actor:nobody", "actor:*nobody*", "forge:forge.test", "forge:elsewhere.test",
	"actor:alice kind:release status:error", "hello || tag:v1.0.0", "status:failed (hello || actor:alice)", "!target:*aarch64",
	"target:*ppc64le !step:tests status:failed", "target:fedora-eln-x86_64 || actor:zuzana",
}

var eventSearches = []string{
	"", "lantern", "nothing-is-called-so", "kind:comment", "status:nothing", "kind:upstream", "actor:alice", "actor:*nobody*", "since:1d", "before:2026-01-01",
	"pr:42", "tag:v1.0.1", "sha:abcd", "project:rpms/* status:planned", "branch:main", "forge:forge.test kind:release",
}

func readings(t *testing.T, s *store.Store) []reading {
	var all []reading
	add := func(name string, read func(ctx context.Context, s *store.Store) error) {
		all = append(all, reading{name, read})
	}
	others := []models.Page{{Before: "2500"}, {After: "2500"}, {UpTo: 4000}}
	for i, text := range pipelineSearches {
		q, err := models.ParseQuery(text, models.PipelineFields, seededNow)
		if err != nil {
			t.Fatal(text, err)
		}
		for _, page := range []models.Page{{}, others[i%3]} {
			add(fmt.Sprintf("pipelines %s %+v", text, page), func(ctx context.Context, s *store.Store) error {
				_, err := s.Pipelines(ctx, models.PipelineFilter{Query: q}, page)
				return err
			})
		}
	}
	for i, text := range eventSearches {
		q, err := models.ParseQuery(text, models.EventFields, seededNow)
		if err != nil {
			t.Fatal(text, err)
		}
		for _, page := range []models.Page{{}, others[i%3]} {
			add(fmt.Sprintf("events %s %+v", text, page), func(ctx context.Context, s *store.Store) error {
				_, err := s.Events(ctx, models.EventFilter{Query: q}, page)
				return err
			})
		}
	}
	return append(all, otherReadings(t, s)...)
}

func otherReadings(t *testing.T, s *store.Store) []reading {
	list, err := s.Pipelines(t.Context(), models.PipelineFilter{Kind: models.PullRequestRef}, models.Page{Before: "3000", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	p := list.Rows[0].Pipeline
	e, err := s.Event(t.Context(), p.EventID)
	if err != nil {
		t.Fatal(err)
	}
	step := list.Rows[0].Flow[0].Name
	ignore := func(_ any, err error) error { return err }
	return []reading{
		{"who wants to hear", func(ctx context.Context, s *store.Store) error { return ignore(s.Subscribers(ctx, p.ProjectID, 1)) }},
		{"how it went before", func(ctx context.Context, s *store.Store) error { return ignore(s.FailedBefore(ctx, p)) }},
		{"pipelines of a project", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Pipelines(ctx, models.PipelineFilter{ProjectID: p.ProjectID, State: models.Error}, models.Page{}))
		}},
		{"pipelines of a kind and package", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Pipelines(ctx, models.PipelineFilter{Kind: models.ReleaseRef, Package: p.Package, Project: "*"}, models.Page{}))
		}},
		{"events of a project", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Events(ctx, models.EventFilter{ProjectID: p.ProjectID, Kind: models.CommentEvent, State: models.EventNothing}, models.Page{}))
		}},
		{"recent pipelines", func(ctx context.Context, s *store.Store) error {
			return ignore(s.RecentPipelines(ctx, p.ProjectID, 20))
		}},
		{"newest pipeline", func(ctx context.Context, s *store.Store) error {
			return ignore(s.NewestPipeline(ctx, p.ProjectID, models.BranchRef, ""))
		}},
		{"newest attempt", func(ctx context.Context, s *store.Store) error { return ignore(s.AttemptOf(ctx, p.ID)) }},
		{"newest attempts of an event", func(ctx context.Context, s *store.Store) error { return ignore(s.NewestAttempts(ctx, p.EventID)) }},
		{"newest attempts at a commit", func(ctx context.Context, s *store.Store) error {
			return ignore(s.NewestAt(ctx, p.ProjectID, p.Kind, p.Ref, p.SHA))
		}},
		{"newer pipeline", func(ctx context.Context, s *store.Store) error { return ignore(s.NewerPipeline(ctx, p)) }},
		{"what made an attempt", func(ctx context.Context, s *store.Store) error {
			if _, err := s.PipelineOfRequest(ctx, "button/ada/1"); !errors.Is(err, models.ErrNotFound) {
				return err
			}
			return nil
		}},
		{"how long runs took", func(ctx context.Context, s *store.Store) error { return ignore(s.PassedRuns(ctx, p.ProjectID)) }},
		{"what is ahead", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Ahead(ctx, models.CoprBuildStep, p.ProjectID))
		}},
		{"what a person did", func(ctx context.Context, s *store.Store) error { return ignore(s.ActedAt(ctx, 1, models.UserActions)) }},
		{"reruns of a project", func(ctx context.Context, s *store.Store) error {
			return ignore(s.RerunAt(ctx, p.ProjectID, models.ProjectRuns))
		}},
		{"sharing pipelines", func(ctx context.Context, s *store.Store) error {
			return ignore(s.SharingPipelines(ctx, []int64{4321, 4322}))
		}},
		{"attempts", func(ctx context.Context, s *store.Store) error { return ignore(s.Attempts(ctx, p)) }},
		{"neighbors", func(ctx context.Context, s *store.Store) error {
			_, _, err := s.Neighbors(ctx, p)
			return err
		}},
		{"same commit", func(ctx context.Context, s *store.Store) error { return ignore(s.SameCommit(ctx, p, 10)) }},
		{"projects", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Projects(ctx, models.ProjectFilter{}, models.Page{}))
		}},
		{"projects called", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Projects(ctx, models.ProjectFilter{Query: "rpms/*", Forge: "forge.test"}, models.Page{}))
		}},
		{"references", func(ctx context.Context, s *store.Store) error {
			return ignore(s.References(ctx, 1, models.PullRequestRef, models.Page{}, 5))
		}},
		{"references of all kinds", func(ctx context.Context, s *store.Store) error {
			return ignore(s.References(ctx, p.ProjectID, "", models.Page{Before: "1000"}, 5))
		}},
		{"stats", func(ctx context.Context, s *store.Store) error {
			return ignore(s.ProjectStats(ctx, p.ProjectID, seededNow.AddDate(0, 0, -30), seededNow))
		}},
		{"last config", func(ctx context.Context, s *store.Store) error { return ignore(s.LastConfig(ctx, p.ProjectID)) }},
		{"event", func(ctx context.Context, s *store.Store) error { return ignore(s.Event(ctx, e.ID)) }},
		{"around an event", func(ctx context.Context, s *store.Store) error { return ignore(s.EventsAround(ctx, e, 10)) }},
		{"reference", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Reference(ctx, p.ProjectID, p.Kind, p.Ref))
		}},
		{"commit", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Reference(ctx, p.ProjectID, "", p.SHA))
		}},
		{"history of a reference", func(ctx context.Context, s *store.Store) error {
			return ignore(s.ReferenceHistory(ctx, p.ProjectID, p.Kind, p.Ref, 20))
		}},
		{"pipelines of a reference", func(ctx context.Context, s *store.Store) error {
			return ignore(s.ReferencePipelines(ctx, p.ProjectID, p.Kind, p.Ref, models.Page{}))
		}},
		{"pipelines of a commit", func(ctx context.Context, s *store.Store) error {
			return ignore(s.ReferencePipelines(ctx, p.ProjectID, "", p.SHA, models.Page{}))
		}},
		{"sent reports", func(ctx context.Context, s *store.Store) error {
			_, _, err := s.SentReports(ctx, p.CommitID)
			return err
		}},
		{"what an issue is about", func(ctx context.Context, s *store.Store) error { return ignore(s.OpenThings(ctx, p.ProjectID, "7")) }},
		{"pipeline", func(ctx context.Context, s *store.Store) error { return ignore(s.Pipeline(ctx, p.ID)) }},
		{"target", func(ctx context.Context, s *store.Store) error {
			return ignore(s.TargetPlace(ctx, p.ID, step, "source"))
		}},
		{"run", func(ctx context.Context, s *store.Store) error { return ignore(s.RunPlace(ctx, 4321)) }},
		{"queue", func(ctx context.Context, s *store.Store) error { return ignore(s.Queue(ctx, "")) }},
		{"queue of a kind", func(ctx context.Context, s *store.Store) error { return ignore(s.Queue(ctx, models.CoprBuildStep)) }},
		{"counters", func(ctx context.Context, s *store.Store) error { return ignore(s.Counters(ctx)) }},
		{"changes", func(ctx context.Context, s *store.Store) error { return ignore(s.ChangesAfter(ctx, 0, 100)) }},
		{"what came before an event", func(ctx context.Context, s *store.Store) error {
			return ignore(s.EarlierEvents(ctx, &models.Event{ID: e.ID, ProjectID: p.ProjectID, Kind: models.CommentEvent, ExternalID: "pull_request/7"}))
		}},
		{"releases of a package", func(ctx context.Context, s *store.Store) error {
			releases, err := s.PackageReleases(ctx, p.ProjectID, 0, 20)
			if err != nil || len(releases) == 0 {
				return fmt.Errorf("there are no releases: %w", err)
			}
			return ignore(s.Ways(ctx, releases))
		}},
		{"releases of a project", func(ctx context.Context, s *store.Store) error {
			return ignore(s.Releases(ctx, p.ProjectID, 5000, 5))
		}},
		{"products of a run", func(ctx context.Context, s *store.Store) error { return ignore(s.ProductsOfRun(ctx, 77)) }},
		{"due products", func(ctx context.Context, s *store.Store) error {
			return s.InTx(ctx, func(tx *store.Tx) error { return ignore(tx.DueProducts(ctx, store.Now(), 10)) })
		}},
		{"projects by name", func(ctx context.Context, s *store.Store) error {
			project, err := s.Project(ctx, p.ProjectID)
			if err != nil {
				return err
			}
			rows, err := s.ProjectsNamed(ctx, project.Forge, project.Namespace, []string{project.Name, "none"})
			if err == nil && len(rows) != 1 {
				err = fmt.Errorf("%d projects were found", len(rows))
			}
			return err
		}},
		{"what somebody has", func(ctx context.Context, s *store.Store) error {
			return ignore(s.PackagesOf(ctx, 1, "forge.test", "rpms"))
		}},
		{"what is switched on", func(ctx context.Context, s *store.Store) error { return ignore(s.Automations(ctx, p.ProjectID)) }},
		{"what was held", func(ctx context.Context, s *store.Store) error {
			return s.InTx(ctx, func(tx *store.Tx) error {
				return ignore(tx.ReleaseHeld(ctx, &models.Allowance{Forge: "forge.test", Namespace: "packit"}, 20))
			})
		}},
	}
}

// release stores so many products of releases: packages of ten each, whose
// releases went one stage far, some of them told of by events.
func release(t *testing.T, s *store.Store, products int) {
	t.Helper()
	var rows []*models.Product
	var links []*models.ProductLink
	for i := 1; i <= products; i++ {
		p := &models.Product{
			ID: int64(i), Kind: models.ReleaseProduct, Key: fmt.Sprint("r", i), ProjectID: int64(1 + i%400), Package: fmt.Sprintf("wheel-%d", i/20),
			Name: fmt.Sprint("1.", i), State: models.ProductDone, CreatedAt: seededNow, UpdatedAt: seededNow,
		}
		if i%2 == 0 {
			p.Kind, p.Branch, p.State, p.EventID = models.PullProduct, "f44", models.ProductOpen, int64(i%3000+1)
			links = append(links, &models.ProductLink{ProductID: p.ID, FromID: p.ID - 1})
		}
		if i%500 == 0 {
			p.PollAt = seededNow
		}
		rows = append(rows, p)
	}
	db := s.Writer()
	for part := range slices.Chunk(rows, 500) {
		if _, err := db.NewInsert().Model(&part).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for part := range slices.Chunk(links, 500) {
		if _, err := db.NewInsert().Model(&part).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
}

// TestListsReadNoTableWhole looks at the plan of every statement of every list
// and page on a database that is large enough for the planner to care.
func TestListsReadNoTableWhole(t *testing.T) {
	t.Parallel()
	size := seed.Size{Projects: 400, Pipelines: 5200, Runs: 20_800, Open: 60}
	if os.Getenv("MILLRACE_FULL_PLANS") != "" {
		size = seed.Full
	}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seeded(t, s, size)
		release(t, s, 8000)
		seen := new(statements)
		plain := s.Writer()
		s.Watch(seen)
		for _, r := range readings(t, s) {
			seen.take()
			begin := time.Now()
			if err := r.read(t.Context(), s); err != nil {
				t.Errorf("%s: %v", r.name, err)
			}
			if took := time.Since(begin); size == seed.Full {
				t.Logf("%8.1f ms  %s", float64(took.Microseconds())/1000, r.name)
			}
			for _, statement := range seen.take() {
				if problem := wholeTable(t, plain, s.Embedded(), statement, size); problem != "" {
					t.Errorf("%s: %s\n%s", r.name, problem, statement)
				}
			}
		}
	})
}

// wholeTable says what is wrong with the plan of a statement, if anything is.
func wholeTable(t *testing.T, db *bun.DB, embedded bool, statement string, size seed.Size) string {
	if embedded {
		return wholeTableSQLite(t, db, statement)
	}
	var text string
	err := db.DB.QueryRowContext(t.Context(), "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) "+statement).Scan(&text)
	if err != nil {
		t.Fatalf("explaining %s: %v", statement, err)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.problem(size.Pipelines)
}

// planNode is a node of a plan as PostgreSQL explains it, with what it did.
type planNode struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Plans    []planNode
}

// problem finds the node that read a large part of a big table. In a search for
// what hardly any row meets, all rows of a kind or project may be looked at, and
// a page that skips the frequent some more.
func (n *planNode) problem(pipelines int) string {
	touched := (n.Rows + n.Removed) * n.Loops
	if slices.Contains(big, n.Relation) {
		switch {
		case n.Type == "Seq Scan" && touched > 200:
			return fmt.Sprintf("reads %s from beginning to end", n.Relation)
		case touched > float64(pipelines)*0.8:
			return fmt.Sprintf("reads %.0f rows of %s by %s", touched, n.Relation, n.Type)
		}
	}
	for _, child := range n.Plans {
		if problem := child.problem(pipelines); problem != "" {
			return problem
		}
	}
	return ""
}

// partial are indexes of the few rows that wait for something.
var partial = regexp.MustCompile(`INDEX (run_groups_\w+|deliveries_unhandled|reports_unsent|products_due)$`)

var scanned = regexp.MustCompile(`^SCAN (\w+)(.*)`)

// small are names in SQLite's plans that stand for no big table.
var small = []string{"project", "projects", "names", "paused_kinds", "worker", "workers", "counted", "outbox", "change", "CONSTANT", "forges"}

func wholeTableSQLite(t *testing.T, db *bun.DB, statement string) string {
	rows, err := db.DB.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement)
	if err != nil {
		t.Fatalf("explaining %s: %v", statement, err)
	}
	defer rows.Close()
	var problem string
	sorts := false
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		sorts = sorts || strings.Contains(detail, "TEMP B-TREE FOR ORDER BY")
		if m := scanned.FindStringSubmatch(detail); m != nil && !slices.Contains(small, m[1]) && !partial.MatchString(m[2]) {
			problem = detail
		}
	}
	// In the order of the list, and no further than the page is long, is right.
	ordered := strings.Contains(statement, "LIMIT") && !sorts
	if problem == "" || ordered {
		return ""
	}
	return problem
}
