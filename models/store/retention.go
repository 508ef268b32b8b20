package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// Ages say how long things are kept. What has no age is kept for ever.
type Ages struct {
	Logs    time.Duration // logs of runs, since they were last written
	Bodies  time.Duration // bodies of handled deliveries, since they came; the row stays if it made an event
	Events  time.Duration // events that nothing was planned for, with their deliveries
	Changes time.Duration // changes for browsers that were away
	Workers time.Duration // processes that no longer say that they live
	Leases  time.Duration // leases, since they ended
	Logins  time.Duration // sessions of browsers, since they ended
	Tokens  time.Duration // tokens of programs, since they expired
	Grants  time.Duration // rights of people, since they were asked for

	Happenings time.Duration // what people and programs were told, with how that went
}

// Forgotten counts what was removed.
type Forgotten struct {
	Logs, Bodies, Events, Deliveries, Changes, Workers, Leases, Logins, Tokens, Grants, Happenings int64
}

// mostBatches bounds what one call of Forget removes of each thing: the rest is
// for the next.
const mostBatches = 200

// Forget removes what is older than ages before now, batch rows at a time, each
// in a transaction of its own, so that nobody waits long for a lock. If it is
// stopped, it returns what was removed until then.
func (s *Store) Forget(ctx context.Context, now time.Time, ages Ages, batch int) (Forgotten, error) {
	var f Forgotten
	for _, thing := range []struct {
		age     time.Duration
		removed *int64
		remove  func(tx *Tx, ctx context.Context, before time.Time, limit int) (int64, error)
	}{
		{ages.Logs, &f.Logs, (*Tx).removeLogs},
		{ages.Bodies, &f.Deliveries, (*Tx).removeDeliveries},
		{ages.Bodies, &f.Bodies, (*Tx).emptyDeliveries},
		{ages.Events, &f.Events, (*Tx).removeEvents},
		{ages.Changes, &f.Changes, (*Tx).removeChanges},
		{ages.Workers, &f.Workers, (*Tx).removeWorkers},
		{ages.Leases, &f.Leases, (*Tx).removeLeases},
		{ages.Logins, &f.Logins, (*Tx).removeSessions},
		{ages.Tokens, &f.Tokens, (*Tx).removeTokens},
		{ages.Grants, &f.Grants, (*Tx).removeGrants},
		{ages.Happenings, &f.Happenings, (*Tx).removeHappenings},
	} {
		if thing.age <= 0 {
			continue
		}
		before := now.UTC().Add(-thing.age)
		for range mostBatches {
			var n int64
			err := s.InTx(ctx, func(tx *Tx) (err error) {
				n, err = thing.remove(tx, ctx, before, max(1, batch))
				return err
			})
			if err != nil {
				return f, err
			}
			*thing.removed += n
			if n < int64(max(1, batch)) {
				break
			}
		}
	}
	return f, nil
}

// removeLogs removes logs, with their text, that were last written before then.
func (tx *Tx) removeLogs(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.db.NewSelect().TableExpr("logs").Column("run_id").Where("updated_at < ?", before).Order("updated_at").Limit(int64(limit))
	return tx.affected(ctx, tx.db.NewDelete().Model((*Log)(nil)).Where("run_id IN (?)", old), "removing logs")
}

// removeDeliveries removes deliveries that came before then, were handled, made
// no event and still have their body: those without are not looked at again.
func (tx *Tx) removeDeliveries(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.fullDeliveries(before, limit).Where("NOT EXISTS (SELECT 1 FROM events AS e WHERE e.delivery_id = d.id)")
	return tx.affected(ctx, tx.db.NewDelete().Model((*models.Delivery)(nil)).Where("id IN (?)", old), "removing deliveries")
}

// emptyDeliveries removes the bodies of deliveries that came before then and
// were handled.
func (tx *Tx) emptyDeliveries(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.fullDeliveries(before, limit)
	return tx.affected(ctx, tx.db.NewUpdate().Model((*models.Delivery)(nil)).Set("body = NULL").Where("id IN (?)", old), "emptying deliveries")
}

func (tx *Tx) fullDeliveries(before time.Time, limit int) *bun.SelectQuery {
	return tx.db.NewSelect().TableExpr("deliveries AS d").ColumnExpr("d.id").Where("d.body IS NOT NULL").
		Where("d.received_at < ?", before).Where("d.handled_at IS NOT NULL").OrderExpr("d.received_at").Limit(int64(limit))
}

// removeEvents removes events from before then that were decided and that no
// pipeline and no report is about, with their deliveries.
func (tx *Tx) removeEvents(ctx context.Context, before time.Time, limit int) (int64, error) {
	first, err := lastBefore(ctx, tx.db, "events", before)
	if err != nil {
		return 0, err
	}
	var rows []struct{ ID, DeliveryID int64 }
	err = tx.db.NewSelect().TableExpr("events AS e").ColumnExpr("e.id, COALESCE(e.delivery_id, 0) AS delivery_id").
		Where("e.state IN ('nothing', 'refused', 'applied', 'failed')").Where("e.id <= ?", first).Where("e.created_at < ?", before).
		Where("NOT EXISTS (SELECT 1 FROM pipelines AS p WHERE p.event_id = e.id)").
		Where("NOT EXISTS (SELECT 1 FROM reports AS r WHERE r.event_id = e.id)").
		OrderExpr("e.id").Limit(int64(limit)).Scan(ctx, &rows)
	if err != nil || len(rows) == 0 {
		return 0, wrap(err, "finding events to remove")
	}
	var events, deliveries []int64
	for _, row := range rows {
		events = append(events, row.ID)
		if row.DeliveryID != 0 {
			deliveries = append(deliveries, row.DeliveryID)
		}
	}
	n, err := tx.affected(ctx, tx.db.NewDelete().Model((*models.Event)(nil)).Where("id IN (?)", bun.List(events)), "removing events")
	if err != nil || len(deliveries) == 0 {
		return n, err
	}
	_, err = tx.affected(ctx, tx.db.NewDelete().Model((*models.Delivery)(nil)).Where("id IN (?)", bun.List(deliveries)).
		Where("handled_at IS NOT NULL"), "removing the deliveries of events")
	return n, err
}

// removeChanges removes changes from before then. The newest stays, so that a
// reader can tell where it stands.
func (tx *Tx) removeChanges(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.db.NewSelect().TableExpr("outbox").Column("id").Where("created_at < ?", before).
		Where("id < (SELECT max(id) FROM outbox)").Order("created_at").Limit(int64(limit))
	return tx.affected(ctx, tx.db.NewDelete().Model((*models.Change)(nil)).Where("id IN (?)", old), "removing changes")
}

func (tx *Tx) removeWorkers(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.db.NewSelect().TableExpr("workers").Column("name").Where("seen_at < ?", before).Order("name").Limit(int64(limit))
	return tx.affected(ctx, tx.db.NewDelete().Model((*models.Worker)(nil)).Where("name IN (?)", old), "removing workers")
}

func (tx *Tx) removeLeases(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.db.NewSelect().TableExpr("leases").Column("key").Where("until < ?", before).Order("key").Limit(int64(limit))
	return tx.affected(ctx, tx.db.NewDelete().TableExpr("leases").Where("key IN (?)", old), "removing leases")
}

// affected runs a statement and returns how many rows it changed.
func (tx *Tx) affected(ctx context.Context, q interface {
	Exec(ctx context.Context, dest ...any) (sql.Result, error)
}, doing string) (int64, error) {
	res, err := q.Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return res.RowsAffected()
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
