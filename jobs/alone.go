package jobs

import (
	"context"
	"fmt"
	"time"

	"millrace/models"
	"millrace/models/store"
)

// lease takes a thing that only one may use at a time, for as long as a lease.
func (e *Engine) lease(ctx context.Context, key, holder string) (ok bool, err error) {
	err = e.Store.InTx(ctx, func(tx *store.Tx) error {
		ok, err = tx.TakeLease(ctx, key, holder, store.Now().Add(e.Timing.Lease))
		return err
	})
	return ok, err
}

func (e *Engine) release(ctx context.Context, key, holder string) {
	ctx = context.WithoutCancel(ctx)
	err := e.Store.InTx(ctx, func(tx *store.Tx) error { return tx.DropLease(ctx, key, holder) })
	if err != nil {
		e.Log.WarnContext(ctx, "lease not dropped; it ends by itself", "key", key, "error", err)
	}
}

// alone runs f while nobody else, in any process, has the key. It waits for its
// turn until ctx ends. No two calls may have the same holder.
func (e *Engine) alone(ctx context.Context, key, holder string, f func(ctx context.Context) error) error {
	for {
		ran, err := e.ifAlone(ctx, key, holder, f)
		if ran || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", key, context.Cause(ctx))
		case <-time.After(min(time.Second, e.Timing.Lease/10)):
		}
	}
}

// ifAlone is alone, but reports false instead of waiting. The context of f ends
// when the key is lost, which takes a database that is away for a while.
func (e *Engine) ifAlone(ctx context.Context, key, holder string, f func(ctx context.Context) error) (ran bool, err error) {
	ok, err := e.lease(ctx, key, holder)
	if err != nil || !ok {
		return false, err
	}
	defer e.release(ctx, key, holder)
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() { // ends with held
		defer close(done)
		for {
			select {
			case <-held.Done():
				return
			case <-time.After(e.Timing.Lease / 3):
			}
			if ok, err := e.lease(held, key, holder); err == nil && !ok {
				cancel(models.ErrLost)
			}
		}
	}()
	err = f(held)
	cancel(nil)
	<-done
	return true, err
}
