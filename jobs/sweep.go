package jobs

import (
	"context"
	"time"

	"millrace/models/store"
)

// Sweep repairs what was lost and starts what is due, until ctx ends. Every
// process with workers runs it; what one of them takes, the others pass over.
func (r *Runner) Sweep(ctx context.Context) {
	tick := time.NewTicker(r.Timing.Sweep)
	defer tick.Stop()
	for {
		if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "sweep failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Recover takes back at once what the last process was working on. It is for
// the embedded database, where no other process can be alive.
func (r *Runner) Recover(ctx context.Context) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		n, err := tx.RecoverAll(ctx, store.Now().Add(r.Timing.Doubt))
		if err != nil {
			return err
		}
		if n > 0 {
			r.Log.InfoContext(ctx, "taken up again what the last process was working on", "groups", n)
		}
		if err := tx.DropAllLeases(ctx); err != nil {
			return err
		}
		return tx.ForgetHints(ctx)
	})
}

func (r *Runner) sweep(ctx context.Context) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		lapsed, err := tx.RecoverLapsed(ctx)
		if err != nil {
			return err
		}
		if lapsed > 0 {
			r.Log.WarnContext(ctx, "leases are over; others take the work up", "groups", lapsed)
		}
		for _, look := range []func(context.Context, *store.Tx) error{r.hint, r.pollDue, r.watchDue, r.remind, r.tellDue} {
			if err := look(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// hint makes jobs for queued groups that have none, or whose job is overdue.
func (r *Runner) hint(ctx context.Context, tx *store.Tx) error {
	missing, err := tx.Unhinted(ctx, store.Now().Add(-2*r.Timing.Lease))
	if err != nil {
		return err
	}
	for kind, n := range missing {
		if limit := r.Limits[kind]; limit > 0 {
			n = min(n, limit) // each settled group makes the next job
		}
		for range n {
			if err := r.Queue.Add(ctx, tx, workArgs{kind}); err != nil {
				return err
			}
		}
	}
	return nil
}

// pollDue makes jobs for the groups whose service is to be asked.
func (r *Runner) pollDue(ctx context.Context, tx *store.Tx) error {
	due, err := tx.DuePolls(ctx, store.Now().Add(2*r.Timing.Lease), 500)
	if err != nil {
		return err
	}
	for _, group := range due {
		if err := r.Queue.Add(ctx, tx, pollArgs{group.ID}); err != nil {
			return err
		}
	}
	return nil
}

// watchDue makes jobs for the products whose service is to be asked.
func (r *Runner) watchDue(ctx context.Context, tx *store.Tx) error {
	due, err := tx.DueProducts(ctx, store.Now().Add(watchAgain), 50)
	if err != nil {
		return err
	}
	for _, p := range due {
		if err := r.Queue.Add(ctx, tx, watchArgs{p.ID}); err != nil {
			return err
		}
	}
	return nil
}

// remind makes jobs for deliveries and reports that have none.
func (r *Runner) remind(ctx context.Context, tx *store.Tx) error {
	before := store.Now().Add(-2 * r.Timing.Lease)
	deliveries, err := tx.DueDeliveries(ctx, before)
	if err != nil {
		return err
	}
	reports, err := tx.DueReports(ctx, before)
	if err != nil {
		return err
	}
	for _, id := range deliveries {
		if err := r.Queue.Add(ctx, tx, handleDeliveryArgs{id}); err != nil {
			return err
		}
	}
	for _, id := range reports {
		if err := r.Queue.Add(ctx, tx, reportArgs{id}); err != nil {
			return err
		}
	}
	return nil
}
