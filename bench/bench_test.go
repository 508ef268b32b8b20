package bench

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/fedmsg/rabbitserver"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestQuantile(t *testing.T) {
	t.Parallel()
	s := sample{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
	if got := (sample{}).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

func TestAlternateTakesTurnsAndStops(t *testing.T) {
	t.Parallel()
	var order strings.Builder
	calls := func(name string) func(context.Context) error {
		return func(context.Context) error { order.WriteString(name); return nil }
	}
	samples, err := alternate(t.Context(), 2, calls("a"), calls("b"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("ababababab", order.String()); diff != "" { // three rounds to warm up
		t.Error(diff)
	}
	if len(samples[0]) != 2 || len(samples[1]) != 2 {
		t.Errorf("%d and %d were counted, want 2", len(samples[0]), len(samples[1]))
	}
	broken := errors.New("broken")
	if _, err := alternate(t.Context(), 2, func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

func TestBesideJudges(t *testing.T) {
	t.Parallel()
	b := new(bench)
	b.beside("enough", sample{40}, sample{10}, "x", 4, "")
	b.beside("too slow", sample{41}, sample{10}, "x", 4, "")
	if b.rows[0].Verdict != Holds || b.rows[1].Verdict != Fails {
		t.Errorf("verdicts are %q and %q", b.rows[0].Verdict, b.rows[1].Verdict)
	}
}

func TestWriteAlignsColumns(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := Write(&b, []Row{{Name: "lists", What: "é", Verdict: Holds}, {Name: "x", What: "longer", Verdict: Fails}}); err != nil {
		t.Fatal(err)
	}
	var widths []int
	for line := range strings.Lines(b.String()) {
		widths = append(widths, len([]rune(line)))
	}
	for _, w := range widths {
		if w != widths[0] {
			t.Fatalf("lines differ in width:\n%s", b.String())
		}
	}
}

func TestRunKnowsItsNames(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), Options{Only: []string{"nothing"}, Progress: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "engine") {
		t.Errorf("the error does not say what there is: %v", err)
	}
}

// TestWholeReadsAreSeen explains a query that no index helps and one that an
// index does.
func TestWholeReadsAreSeen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, err := s.Writer().NewRaw(`INSERT INTO deliveries (source, key, type, size, received_at)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			SELECT 'github', 'key' || i, 'push', i, '2026-01-01 00:00:00+00:00' FROM n`, 2*bigTable).Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Writer().ExecContext(t.Context(), "ANALYZE"); err != nil {
			t.Fatal(err)
		}
		bad, err := wholeReads(t.Context(), s, map[string][]string{
			"/good": {`SELECT d.id FROM deliveries AS d WHERE d.id = 7`, `SELECT d.id FROM deliveries AS d ORDER BY d.id DESC LIMIT 5`},
			"/bad":  {`SELECT d.id FROM deliveries AS d WHERE d.size = 7`},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(bad) != 1 || !strings.HasPrefix(bad[0], "/bad reads all of deliveries") {
			t.Errorf("found %q", bad)
		}
	})
}

// TestObservedQueriesAreWhole replays what a store says it sent: fixed queries
// have their arguments in the text.
func TestObservedQueriesAreWhole(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		r := new(recorder)
		s.Observe(r.hear)
		queries, err := r.record(func() error {
			_, err := s.Pipeline(t.Context(), g.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(queries) != 3 {
			t.Errorf("%d queries were seen, want 3", len(queries))
		}
		for _, q := range queries {
			rows, err := s.Writer().DB.QueryContext(t.Context(), q)
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			if !rows.Next() {
				t.Errorf("nothing is found by %s", q)
			}
			rows.Close()
		}
	})
}

// TestWorkerSettles carries a few pipelines out as the measurement does.
func TestWorkerSettles(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		address := storetest.SQLiteAddress(t)
		if !s.Embedded() {
			address = storetest.PostgresAddress(t)
		}
		own, err := open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		rate, err := (&worker{store: own}).settle(t.Context(), 2)
		if err != nil || rate <= 0 {
			t.Errorf("%.1f steps/s, %v", rate, err)
		}
		p, err := newest(t.Context(), own)
		if err != nil || p.State != "passed" || p.Runs != stepsInChain {
			t.Errorf("the newest pipeline is %+v, %v", p, err)
		}
	})
}

// TestForgeIsAccepted sends webhooks for a moment.
func TestForgeIsAccepted(t *testing.T) {
	t.Parallel()
	address := storetest.SQLiteAddress(t)
	s, err := open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	site, err := openSite(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer site.close()
	f, err := newForge(site.address)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if _, err := f.rate(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var stored int64
	if err := site.store.Writer().NewRaw("SELECT count(*) FROM deliveries WHERE length(body) >= ?", hookBytes).Scan(t.Context(), &stored); err != nil {
		t.Fatal(err)
	}
	if sent := f.sent.Load(); stored != sent || sent < hookConnections {
		t.Errorf("%d of %d deliveries are stored", stored, sent)
	}
}

// TestDrain stores what a real broker has, and counts it.
func TestDrain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts a broker")
	}
	broker, stop, err := startBroker(t.Context())
	if errors.Is(err, rabbitserver.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	address := filepath.Join(t.TempDir(), "bus.db")
	s, err := open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	served, err := openSite(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer served.close()
	const messages = 50
	rate, err := drain(t.Context(), broker, served, messages)
	if err != nil || rate <= 0 {
		t.Errorf("%g messages a second, %v", rate, err)
	}
	var stored int
	if err := served.store.Writer().NewRaw("SELECT count(*) FROM deliveries WHERE source = 'bus'").Scan(t.Context(), &stored); err != nil || stored != messages {
		t.Errorf("%d messages are stored, %v", stored, err)
	}
}
