package store

import (
	"context"
	"fmt"

	"millrace/models"
)

// SeenWorker notes that a worker process lives, and fills in whether operators
// want it to drain.
func (tx *Tx) SeenWorker(ctx context.Context, w *models.Worker) error {
	w.SeenAt = Now()
	if w.StartedAt.IsZero() {
		w.StartedAt = w.SeenAt
	}
	_, err := tx.db.NewInsert().Model(w).On("CONFLICT (name) DO UPDATE").
		Set("host = EXCLUDED.host").Set("started_at = EXCLUDED.started_at").Set("seen_at = EXCLUDED.seen_at").
		Returning("draining").Exec(ctx)
	if err != nil {
		return fmt.Errorf("noting that worker %s lives: %w", w.Name, err)
	}
	return nil
}

// RemoveWorker forgets a worker process that ends in good order.
func (tx *Tx) RemoveWorker(ctx context.Context, name string) error {
	if _, err := tx.db.NewDelete().Model((*models.Worker)(nil)).Where("name = ?", name).Exec(ctx); err != nil {
		return fmt.Errorf("removing worker %s: %w", name, err)
	}
	return nil
}

// DrainWorker says whether a worker process is to take nothing new.
func (tx *Tx) DrainWorker(ctx context.Context, name string, drain bool) error {
	res, err := tx.db.NewUpdate().Model((*models.Worker)(nil)).Set("draining = ?", drain).Where("name = ?", name).Exec(ctx)
	if err != nil {
		return fmt.Errorf("draining worker %s: %w", name, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("draining worker %s: %w", name, models.ErrNotFound)
	}
	return nil
}

// Workers returns the worker processes by name, each with the number of groups
// that it holds.
func (q queries) Workers(ctx context.Context) ([]*models.Worker, error) {
	var workers []*models.Worker
	err := q.db.NewSelect().Model(&workers).ColumnExpr("worker.*").
		ColumnExpr("(SELECT count(*) FROM run_groups AS g WHERE g.phase = 'working' AND g.worker = worker.name) AS working").
		Order("worker.name").Limit(mostRows).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing workers: %w", err)
	}
	return workers, nil
}
