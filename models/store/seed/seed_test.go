package seed_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/seed"
	"millrace/models/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func fill(t *testing.T, s *store.Store, size seed.Size) {
	t.Helper()
	err := seed.Seed(t.Context(), s, seed.Options{
		Size: size, Seed: 7, Now: now, Forge: "forge.test", ForgeURL: "https://forge.test", CoprURL: "https://copr.test",
	})
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, s *store.Store, table, where string) (n int) {
	t.Helper()
	if err := s.Writer().NewSelect().TableExpr(table).ColumnExpr("count(*)").Where(where).Scan(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSmallHistoryIsAllFinished(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		fill(t, s, seed.Small)
		got := map[string]int{
			"projects": count(t, s, "projects", "forge = 'forge.test'"), "pipelines": count(t, s, "pipelines", "1 = 1"),
			"unfinished runs":   count(t, s, "runs", "state IN ('waiting', 'queued', 'running') OR finished_at IS NULL"),
			"unfinished plans":  count(t, s, "pipelines", "finished_at IS NULL"),
			"unsettled groups":  count(t, s, "run_groups", "phase <> 'settled'"),
			"open deliveries":   count(t, s, "deliveries", "handled_at IS NULL"),
			"unsent reports":    count(t, s, "reports", "sent_rev < revision"),
			"runs to come":      count(t, s, "runs", "finished_at > '2026-11-20 12:00:00+00:00'"),
			"running backwards": count(t, s, "runs", "finished_at < started_at OR started_at < queued_at"),
		}
		want := map[string]int{
			"projects": 12, "pipelines": 60, "unfinished runs": 0, "unfinished plans": 0, "unsettled groups": 0,
			"open deliveries": 0, "unsent reports": 0, "runs to come": 0, "running backwards": 0,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := count(t, s, "pipelines", "created_at > '2026-11-19 12:00:00+00:00'"); n == 0 {
			t.Error("nothing happened in the last 24 hours")
		}
		if n := count(t, s, "log_chunks", "1 = 1"); n == 0 {
			t.Error("no run has a log")
		}
	})
}

// TestStatesFollowFromRuns loads pipelines as the engine does, which derives
// their states again.
func TestStatesFollowFromRuns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		fill(t, s, seed.Size{Projects: 20, Pipelines: 300, Runs: 1300, Open: 30})
		states := map[models.State]int{}
		for id := range int64(300) {
			err := s.InTx(t.Context(), func(tx *store.Tx) error {
				g, err := tx.LockGraph(t.Context(), id+1)
				if err != nil {
					return err
				}
				states[g.State]++
				before := *g.Pipeline
				if _, err := g.Advance(now); err != nil {
					return err
				}
				if g.Visible() {
					t.Errorf("pipeline %d was %s and became %s", g.ID, before.State, g.State)
				}
				if before.Runs != g.Runs || before.RunsDone != g.RunsDone || before.RunsBad != g.RunsBad {
					t.Errorf("pipeline %d counted %d, %d, %d", g.ID, before.Runs, before.RunsDone, before.RunsBad)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, state := range []models.State{models.Passed, models.Failed, models.Error, models.Running} {
			if states[state] == 0 {
				t.Errorf("no pipeline is %s: %v", state, states)
			}
		}
		if n := count(t, s, "pipelines", "attempt > 1"); n == 0 {
			t.Error("nothing was rerun")
		}
		if n := count(t, s, "targets", "reused"); n == 0 {
			t.Error("no run is shared")
		}
	})
}

func TestHistoryIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	titles := func(s *store.Store) (all []string) {
		fill(t, s, seed.Small)
		err := s.Writer().NewSelect().TableExpr("pipelines").
			ColumnExpr("kind || ' ' || ref || ' ' || sha || ' ' || title || ' ' || state || ' ' || attempt").Order("id").Scan(t.Context(), &all)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if diff := cmp.Diff(titles(storetest.SQLite(t)), titles(storetest.Postgres(t))); diff != "" {
		t.Errorf("differs (-first +second):\n%s", diff)
	}
}

func TestLargeHistoryHasItsSizeAndItsIndexes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		indexes := "SELECT count(*) FROM pg_indexes WHERE schemaname = current_schema()"
		if s.Embedded() {
			indexes = "SELECT count(*) FROM sqlite_master WHERE type = 'index'"
		}
		number := func() (n int) {
			if err := s.Writer().QueryRowContext(t.Context(), indexes).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := number()
		fill(t, s, seed.Size{Projects: 100, Pipelines: 5001, Runs: 20_000})
		if after := number(); after != before {
			t.Errorf("%d indexes before, %d after", before, after)
		}
		if runs := count(t, s, "runs", "1 = 1"); runs < 19_000 || runs > 21_000 {
			t.Errorf("%d runs", runs)
		}
	})
}

func TestNewRowsGoBehindTheSeed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		fill(t, s, seed.Small)
		graph := storetest.Pipeline(t, s, "some/project", 1, storetest.PullRequest)
		if graph.ID != 61 || graph.ProjectID != 13 {
			t.Errorf("pipeline %d of project %d", graph.ID, graph.ProjectID)
		}
	})
}

func TestSeedRefusesWhatIsThere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		fill(t, s, seed.Small)
		if err := seed.Seed(t.Context(), s, seed.Options{Size: seed.Small, Now: now, Forge: "f", ForgeURL: "https://f"}); !errors.Is(err, seed.ErrNotEmpty) {
			t.Errorf("second seed: %v", err)
		}
	})
}
