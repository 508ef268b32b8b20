package jobs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river"

	"millrace/models"
	"millrace/models/store"
)

const (
	acceptTogether = 32               // deliveries in one transaction at most
	acceptPatience = 30 * time.Second // for a transaction
)

// arrivals are deliveries that wait to be stored. Those that come while others
// are being stored share the next transaction: storing ten takes hardly longer
// than storing one.
type arrivals struct {
	mu      sync.Mutex // above what follows
	waiting []*arrival
	storing int // transactions at work
}

// arrival is a delivery whose sender waits for an answer.
type arrival struct {
	delivery *models.Delivery
	fresh    bool // it did not come before; valid, as err is, once done is closed
	err      error
	done     chan struct{}
}

// Accept stores a delivery with the job that will handle it, and reports false
// if its source sent it before. If ctx ends first it may be stored nevertheless.
func (e *Engine) Accept(ctx context.Context, d *models.Delivery) (fresh bool, err error) {
	a := &arrival{delivery: d, done: make(chan struct{})}
	atOnce := 2 // one sends while the other waits for the disk
	if e.Store.Embedded() {
		atOnce = 1 // there is one writer anyway
	}
	q := &e.arrivals
	q.mu.Lock()
	q.waiting = append(q.waiting, a)
	if q.storing < atOnce {
		q.storing++
		go e.storeArrivals() // ends when nothing waits
	}
	q.mu.Unlock()
	select {
	case <-a.done:
		return a.fresh, a.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (e *Engine) storeArrivals() {
	q := &e.arrivals
	for {
		q.mu.Lock()
		n := min(len(q.waiting), acceptTogether)
		if n == 0 {
			q.storing--
			q.mu.Unlock()
			return
		}
		batch := q.waiting[:n:n]
		q.waiting = q.waiting[n:]
		q.mu.Unlock()

		err := e.store(batch)
		if err != nil && n > 1 { // one of them may be to blame, and is not to take the others with it
			for i := range batch {
				batch[i].err = e.store(batch[i : i+1])
			}
		} else {
			for _, a := range batch {
				a.err = err
			}
		}
		for _, a := range batch {
			close(a.done)
		}
	}
}

// asideLimit is how much is kept of what cannot be understood, in bytes.
const asideLimit = 1 << 20

// PutAside stores a message that nobody can take, with an event that shows people
// what came and why nothing follows from it. A repeat does nothing.
func (e *Engine) PutAside(ctx context.Context, d *models.Delivery, why string) error {
	if len(d.Body) > asideLimit {
		why = fmt.Sprintf("%s (only the first %d of its %d bytes are kept)", why, asideLimit, len(d.Body))
		d.Body = d.Body[:asideLimit:asideLimit]
	}
	return e.Store.InTx(ctx, func(tx *store.Tx) error {
		fresh, err := tx.CreateDelivery(ctx, d)
		if err != nil || !fresh {
			return err
		}
		event, err := tx.CreateEvent(ctx, &models.Event{
			DeliveryID: d.ID, Kind: models.EventKind(d.Type), State: models.EventFailed,
			Reason: sentence("It was put aside: " + why), DecidedAt: store.Now(),
		})
		if err != nil {
			return err
		}
		if err := tx.SaveEvent(ctx, event); err != nil {
			return err
		}
		return tx.DeliveryHandled(ctx, d.ID, event.Reason)
	})
}

// store stores deliveries and their jobs, all or none.
func (e *Engine) store(batch []*arrival) error {
	ctx, cancel := context.WithTimeout(context.Background(), acceptPatience)
	defer cancel()
	return e.Store.InTx(ctx, func(tx *store.Tx) error {
		var wanted []river.JobArgs
		for _, a := range batch {
			var err error
			if a.fresh, err = tx.CreateDelivery(ctx, a.delivery); err != nil {
				return err
			}
			if a.fresh {
				wanted = append(wanted, handleDeliveryArgs{a.delivery.ID})
			}
		}
		return e.Queue.AddAll(ctx, tx, wanted)
	})
}
