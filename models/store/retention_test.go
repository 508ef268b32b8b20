package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func inTx(t *testing.T, s *store.Store, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := s.InTx(t.Context(), func(tx *store.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func rows(t *testing.T, s *store.Store, table string) (n int) {
	t.Helper()
	if err := s.Writer().NewSelect().TableExpr(table).ColumnExpr("count(*)").Scan(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

const day = 24 * time.Hour

// old stores a delivery of days ago, with an event in that state if it is given.
func old(t *testing.T, s *store.Store, days int, handled bool, state models.EventState) *models.Delivery {
	t.Helper()
	at := store.Now().Add(-time.Duration(days) * day)
	d := &models.Delivery{Source: models.FromGitHub, Key: fmt.Sprint(time.Now().UnixNano()), Type: "push", Body: []byte("{}"), ReceivedAt: at}
	inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.CreateDelivery(ctx, d); err != nil {
			return err
		}
		if state != "" {
			if _, err := tx.CreateEvent(ctx, &models.Event{DeliveryID: d.ID, Kind: models.PushEvent, State: state, CreatedAt: at}); err != nil {
				return err
			}
		}
		if handled {
			return tx.DeliveryHandled(ctx, d.ID, "")
		}
		return nil
	})
	return d
}

func forget(t *testing.T, s *store.Store, ages store.Ages) store.Forgotten {
	t.Helper()
	f, err := s.Forget(t.Context(), store.Now(), ages, 2)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOldBodiesAreEmptied(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		gone := []*models.Delivery{}
		for range 5 {
			gone = append(gone, old(t, s, 40, true, models.EventPlanned))
		}
		kept := []*models.Delivery{old(t, s, 40, false, models.EventNew), old(t, s, 20, true, models.EventPlanned)}
		noEvent := old(t, s, 40, true, "")
		got := forget(t, s, store.Ages{Bodies: 30 * day})
		if diff := cmp.Diff(store.Forgotten{Bodies: 5, Deliveries: 1}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, d := range gone {
			if d, err := s.Delivery(t.Context(), d.ID); err != nil || len(d.Body) != 0 || d.Size != 2 {
				t.Errorf("an old one came back as %+v, %v", d, err)
			}
		}
		for _, d := range kept {
			if d, err := s.Delivery(t.Context(), d.ID); err != nil || len(d.Body) == 0 {
				t.Errorf("a kept one came back as %+v, %v", d, err)
			}
		}
		if _, err := s.Delivery(t.Context(), noEvent.ID); err == nil {
			t.Error("a delivery without an event is still there")
		}
		if again := forget(t, s, store.Ages{Bodies: 30 * day}); again != (store.Forgotten{}) {
			t.Errorf("a second time: %+v", again)
		}
	})
}

func TestOldEventsThatPlannedNothingAreRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, state := range []models.EventState{models.EventNothing, models.EventRefused, models.EventApplied, models.EventFailed} {
			old(t, s, 100, true, state)
		}
		planned := old(t, s, 100, true, models.EventPlanned)
		waiting := old(t, s, 100, false, models.EventNew)
		young := old(t, s, 10, true, models.EventNothing)
		got := forget(t, s, store.Ages{Events: 90 * day})
		if diff := cmp.Diff(store.Forgotten{Events: 4}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if e, d := rows(t, s, "events"), rows(t, s, "deliveries"); e != 3 || d != 3 {
			t.Errorf("%d events and %d deliveries are left", e, d)
		}
		for _, d := range []*models.Delivery{planned, waiting, young} {
			if _, err := s.Delivery(t.Context(), d.ID); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestEventsWithPipelinesStay gives an event of a pipeline a state in which
// others are removed.
func TestEventsWithPipelinesStay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		graph := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		_, err := s.Writer().ExecContext(t.Context(), "UPDATE events SET state = 'failed', created_at = ? WHERE id = ?",
			store.Now().Add(-100*day), graph.EventID)
		if err != nil {
			t.Fatal(err)
		}
		if got := forget(t, s, store.Ages{Events: 90 * day}); got != (store.Forgotten{}) {
			t.Errorf("removed %+v", got)
		}
	})
}

func TestOldLogsAreRemovedWithTheirText(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			for run := range int64(4) {
				if err := tx.AppendLog(ctx, run+1, []byte("one\ntwo\n"), 1000); err != nil {
					return err
				}
			}
			return nil
		})
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE logs SET updated_at = ? WHERE run_id <= 3", store.Now().Add(-100*day)); err != nil {
			t.Fatal(err)
		}
		if got := forget(t, s, store.Ages{Logs: 90 * day}); got.Logs != 3 {
			t.Errorf("removed %+v", got)
		}
		if l, c := rows(t, s, "logs"), rows(t, s, "log_chunks"); l != 1 || c != 1 {
			t.Errorf("%d logs and %d chunks are left", l, c)
		}
	})
}

func TestOldChangesWorkersAndLeasesAreRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			for _, name := range []string{"dead", "alive"} {
				if err := tx.SeenWorker(ctx, &models.Worker{Name: name, Host: "h"}); err != nil {
					return err
				}
			}
			if _, err := tx.TakeLease(ctx, "ended", "me", store.Now().Add(-2*day)); err != nil {
				return err
			}
			if _, err := tx.TakeLease(ctx, "held", "me", store.Now().Add(day)); err != nil {
				return err
			}
			return tx.Announce(ctx, models.Change{Topic: "a"}, models.Change{Topic: "b"}, models.Change{Topic: "c"})
		})
		for _, statement := range []string{
			"UPDATE outbox SET created_at = ?", "UPDATE workers SET seen_at = ? WHERE name = 'dead'",
		} {
			if _, err := s.Writer().ExecContext(t.Context(), statement, store.Now().Add(-2*day)); err != nil {
				t.Fatal(err)
			}
		}
		got := forget(t, s, store.Ages{Changes: day, Workers: day, Leases: day})
		if diff := cmp.Diff(store.Forgotten{Changes: 2, Workers: 1, Leases: 1}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := forget(t, s, store.Ages{}); got != (store.Forgotten{}) {
			t.Errorf("without ages: %+v", got)
		}
		newest, err := s.NewestChange(t.Context())
		oldest, err2 := s.OldestChange(t.Context())
		if err != nil || err2 != nil || newest != 3 || oldest != 3 {
			t.Errorf("changes %d to %d are kept, %v, %v", oldest, newest, err, err2)
		}
	})
}

func TestWorkersAreKnownWhileTheyLive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, "packit/hello", 1)
		claim(t, s, models.SRPMStep, 0) // by "worker"
		seen := func(name string) *models.Worker {
			w := &models.Worker{Name: name, Host: "host"}
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SeenWorker(ctx, w) })
			return w
		}
		seen("worker")
		seen("another")
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.DrainWorker(ctx, "another", true) })
		if !seen("another").Draining || seen("worker").Draining {
			t.Error("only the other worker is to drain")
		}
		workers, err := s.Workers(t.Context())
		if err != nil || len(workers) != 2 || workers[0].Name != "another" || workers[0].Working != 0 || workers[1].Working != 1 {
			t.Errorf("workers %+v, %v", workers, err)
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.RemoveWorker(ctx, "worker") })
		if workers, err = s.Workers(t.Context()); err != nil || len(workers) != 1 {
			t.Errorf("left: %v, %v", workers, err)
		}
	})
}

// TestOldRightsAreRemoved: what was asked for lately is kept, and links between
// accounts are.
func TestOldRightsAreRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ada, bo := &models.User{Login: "ada"}, &models.User{Login: "bo"}
		save := func(source string, objects int) {
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
				for _, u := range []*models.User{ada, bo} {
					for i := range objects {
						if err := tx.SaveGrant(ctx, u.ID, fmt.Sprint(i), source, models.Grant{Role: models.Committer}); err != nil {
							return err
						}
					}
				}
				return tx.SaveIdentity(ctx, ada.ID, "github", "ada-gh")
			})
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SaveUser(ctx, ada); err != nil {
				return err
			}
			return tx.SaveUser(ctx, bo)
		})
		save("dist-git", 4)
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE grants SET checked_at = ?", store.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		save("github.com", 2)
		if diff := cmp.Diff(store.Forgotten{Grants: 8}, forget(t, s, store.Ages{Grants: time.Hour})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if g, i := rows(t, s, "grants"), rows(t, s, "identities"); g != 4 || i != 1 {
			t.Errorf("%d rights and %d links are left", g, i)
		}
		if g, _, err := s.Grant(t.Context(), bo.ID, "1", "github.com"); err != nil || g.Role != models.Committer {
			t.Errorf("a young one is %v, %v", g, err)
		}
	})
}
