package store

import (
	"context"
	"fmt"

	"millrace/models"
)

// ChangesAfter returns at most limit changes with ids above after, in their
// order. On PostgreSQL a change may appear later than one with a higher id,
// because its transaction took longer: whoever must miss none looks again for
// the ids that were not there.
func (q queries) ChangesAfter(ctx context.Context, after int64, limit int) ([]models.Change, error) {
	var changes []models.Change
	err := q.db.NewSelect().Model(&changes).Where("id > ?", after).Order("id").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading changes after %d: %w", after, err)
	}
	return changes, nil
}

// NewestChange returns the id of the newest change, or 0 if none is kept.
func (q queries) NewestChange(ctx context.Context) (int64, error) {
	return q.edgeChange(ctx, "max(id)")
}

// OldestChange returns the id of the oldest change that is kept, or 0 if none is.
// Whoever saw no change since one before it has missed some.
func (q queries) OldestChange(ctx context.Context) (int64, error) {
	return q.edgeChange(ctx, "min(id)")
}

func (q queries) edgeChange(ctx context.Context, edge string) (id int64, err error) {
	err = q.db.NewSelect().TableExpr("outbox").ColumnExpr("COALESCE("+edge+", 0)").Scan(ctx, &id)
	if err != nil {
		return 0, fmt.Errorf("reading which changes are kept: %w", err)
	}
	return id, nil
}
