package store

import (
	"context"
	"fmt"
	"time"
)

// TakeLease gives key to holder until then, unless another's lease on it is
// still running.
func (tx *Tx) TakeLease(ctx context.Context, key, holder string, until time.Time) (bool, error) {
	res, err := tx.db.ExecContext(ctx, `INSERT INTO leases (key, holder, until) VALUES (?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until
		WHERE leases.until < ? OR leases.holder = EXCLUDED.holder`, key, holder, until, Now())
	if err != nil {
		return false, fmt.Errorf("taking the lease on %s: %w", key, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// DropLease gives key back.
func (tx *Tx) DropLease(ctx context.Context, key, holder string) error {
	_, err := tx.db.ExecContext(ctx, "DELETE FROM leases WHERE key = ? AND holder = ?", key, holder)
	if err != nil {
		return fmt.Errorf("dropping the lease on %s: %w", key, err)
	}
	return nil
}

// DropAllLeases gives everything back. It is for the start of the one process of
// an embedded database: the holders are dead.
func (tx *Tx) DropAllLeases(ctx context.Context) error {
	if _, err := tx.db.ExecContext(ctx, "DELETE FROM leases"); err != nil {
		return fmt.Errorf("dropping all leases: %w", err)
	}
	return nil
}
