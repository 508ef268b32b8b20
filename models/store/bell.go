package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	bellRest     = 10 * time.Millisecond // between two notifications
	bellPatience = 5 * time.Second       // for one
)

// bell tells the processes that listen that the outbox has something new. It
// does so after the commit, and for all commits of a moment at once: PostgreSQL
// lets only one transaction at a time commit that notifies. Should the process
// die in between, the others look by themselves some seconds later.
type bell struct {
	pool  *pgxpool.Pool
	rung  chan struct{} // holds one
	stop  chan struct{}
	ended chan struct{}
}

func newBell(pool *pgxpool.Pool) *bell {
	b := &bell{pool: pool, rung: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	go b.run() // ends in close
	return b
}

// ring never blocks.
func (b *bell) ring() {
	if b == nil {
		return
	}
	select {
	case b.rung <- struct{}{}:
	default: // a notification is due anyway
	}
}

// close lets the bell sound a last time if it was rung.
func (b *bell) close() {
	close(b.stop)
	<-b.ended
}

func (b *bell) run() {
	defer close(b.ended)
	for {
		select {
		case <-b.rung:
			b.notify()
		case <-b.stop:
			select {
			case <-b.rung:
				b.notify()
			default:
			}
			return
		}
		select {
		case <-time.After(bellRest):
		case <-b.stop: // and once more above
		}
	}
}

func (b *bell) notify() {
	ctx, cancel := context.WithTimeout(context.Background(), bellPatience)
	defer cancel()
	// Without an answer nobody is told; they look by themselves then.
	_, _ = b.pool.Exec(ctx, "SELECT pg_notify('millrace', '')")
}
