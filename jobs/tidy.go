package jobs

import (
	"context"
	"os"
	"time"

	"millrace/models"
	"millrace/models/store"
)

// Retention says how long things are kept. Zero keeps them for ever.
type Retention struct {
	Logs       time.Duration
	Deliveries time.Duration // the bodies of messages
	Events     time.Duration // of events without pipelines
	Happenings time.Duration // what people and programs were told
}

// heartbeat is how often a process says that it is alive.
const heartbeat = 15 * time.Second

// Tidy says that this process is alive, and removes what is old, until ctx ends.
func (r *Runner) Tidy(ctx context.Context, keep Retention) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	self := &models.Worker{Name: r.Worker, Host: host, StartedAt: store.Now()}
	defer r.leave(ctx)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for beats := 0; ; beats++ {
		err := r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.SeenWorker(ctx, self) })
		if err == nil {
			err = r.remindLogs(ctx)
		}
		if err == nil && beats%int(time.Hour/heartbeat) == 0 {
			err = r.tidy(ctx, keep)
		}
		if err != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "tidying up", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *Runner) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.RemoveWorker(ctx, r.Worker) })
	if err != nil {
		r.Log.WarnContext(ctx, "this process stays on the list of workers for a while", "error", err)
	}
}

// tidy removes what is old.
func (r *Runner) tidy(ctx context.Context, keep Retention) error {
	gone, err := r.Store.Forget(ctx, store.Now(), store.Ages{
		Logs: keep.Logs, Bodies: keep.Deliveries, Events: keep.Events, Happenings: keep.Happenings,
		Changes: keepChanges, Workers: keepWorkers, Leases: keepLeases, Logins: keepLogins, Tokens: keepTokens, Grants: keepGrants,
	}, 500)
	if gone != (store.Forgotten{}) {
		r.Log.InfoContext(ctx, "removed what is old", "removed", gone)
	}
	return err
}

// What nobody chooses: changes are for browsers that were away for a moment,
// workers and leases for those who look why one of them is silent, sessions that
// ended for nobody, tokens for their owners, who wonder why a program is refused;
// rights are believed for minutes.
const (
	keepChanges = 24 * time.Hour
	keepWorkers = time.Hour
	keepLeases  = time.Hour
	keepLogins  = time.Minute
	keepTokens  = 30 * 24 * time.Hour
	keepGrants  = time.Hour
)
