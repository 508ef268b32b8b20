package jobs

import (
	"context"
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

// TestPutAside keeps what is no message, for people to see, once.
func TestPutAside(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := newRunner(t, s)
		for range 2 {
			d := &models.Delivery{Source: models.FromBus, Key: "k", Type: "a.b", Body: append([]byte("\x00\xff"), make([]byte, 2<<20)...)}
			if err := r.PutAside(t.Context(), d, "the body is not a JSON object"); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.Events(t.Context(), models.EventFilter{State: models.EventFailed}, models.Page{})
		if err != nil || len(list.Rows) != 1 {
			t.Fatalf("%d events, %v", len(list.Rows), err)
		}
		e, err := s.Event(t.Context(), list.Rows[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != "a.b" || e.Reason != "It was put aside: the body is not a JSON object (only the first 1048576 of its 2097154 bytes are kept)." || e.DecidedAt.IsZero() {
			t.Errorf("event %+v", e)
		}
		d, err := s.Delivery(t.Context(), e.DeliveryID)
		if err != nil || len(d.Body) != asideLimit || d.HandledAt.IsZero() || d.Error != e.Reason {
			t.Errorf("delivery of %d bytes, handled at %s, error %q, %v", len(d.Body), d.HandledAt, d.Error, err)
		}
	})
}

// TestOneJobHandlesADelivery: while one job is at a delivery another leaves it
// alone.
func TestOneJobHandlesADelivery(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := newRunner(t, s)
		d := &models.Delivery{Source: models.FromGitHub, Key: "one", Type: "ping", Body: []byte(`{"zen":"flow"}`)}
		if _, err := r.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		handled := func() bool {
			t.Helper()
			now, err := s.Delivery(t.Context(), d.ID)
			if err != nil {
				t.Fatal(err)
			}
			return !now.HandledAt.IsZero()
		}
		ran, err := r.ifAlone(t.Context(), fmt.Sprint("delivery:", d.ID), "the other", func(ctx context.Context) error {
			return r.handleDelivery(ctx, d.ID)
		})
		if !ran || err != nil || handled() {
			t.Fatalf("two were at it: %v, %v, %v", ran, err, handled())
		}
		if err := r.handleDelivery(t.Context(), d.ID); err != nil || !handled() {
			t.Errorf("nobody was at it any more: %v, %v", err, handled())
		}
	})
}
