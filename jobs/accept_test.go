package jobs

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// TestAcceptTogether stores deliveries that come at once, some of them twice and
// one that no database takes: each is stored once, with one job, and the bad one
// harms nobody.
func TestAcceptTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := newRunner(t, s)
		const keys, times = 60, 3
		var fresh atomic.Int64
		var senders sync.WaitGroup
		for i := range keys * times {
			senders.Go(func() {
				d := &models.Delivery{Source: models.FromGitHub, Key: fmt.Sprint("key ", i%keys), Type: "push", Body: []byte("{}")}
				ok, err := r.Accept(t.Context(), d)
				if err != nil {
					t.Error(err)
				}
				if ok {
					fresh.Add(1)
				}
			})
		}
		senders.Wait()
		var stored, jobs int64
		if err := s.Writer().NewRaw("SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM river_job)").Scan(t.Context(), &stored, &jobs); err != nil {
			t.Fatal(err)
		}
		if fresh.Load() != keys || stored != keys || jobs != keys {
			t.Errorf("%d are fresh, %d stored, %d have a job; want %d of each", fresh.Load(), stored, jobs, keys)
		}
	})
}

// TestAcceptBlamesOne has one delivery of several be refused by the database.
func TestAcceptBlamesOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := newRunner(t, s)
		forbid := "CREATE TRIGGER forbid BEFORE INSERT ON deliveries WHEN NEW.type = 'bad' BEGIN SELECT RAISE(ABORT, 'forbidden'); END"
		if !s.Embedded() {
			forbid = "ALTER TABLE deliveries ADD CHECK (type <> 'bad')"
		}
		if _, err := s.Writer().ExecContext(t.Context(), forbid); err != nil {
			t.Fatal(err)
		}
		batch := make([]*arrival, 3)
		for i, kind := range []string{"push", "bad", "push"} {
			batch[i] = &arrival{delivery: &models.Delivery{Source: models.FromGitHub, Key: fmt.Sprint(i), Type: kind}, done: make(chan struct{})}
		}
		r.arrivals.waiting, r.arrivals.storing = batch, 1
		r.storeArrivals()
		for i, a := range batch {
			if bad := a.delivery.Type == "bad"; (a.err != nil) != bad || a.fresh == bad {
				t.Errorf("delivery %d: fresh %v, %v", i, a.fresh, a.err)
			}
		}
	})
}
