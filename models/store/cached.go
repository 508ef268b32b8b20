package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// cachedItem is what a service told us, kept for a while.
type cachedItem struct {
	bun.BaseModel `bun:"table:cached_items,alias:cached_item"`

	Source    string `bun:",pk"`
	Key       string `bun:",pk"`
	Data      json.RawMessage
	FetchedAt time.Time
	Error     string
}

// Cached reads what source said under key into value, and when it said so. If
// it never did the error is models.ErrNotFound.
func (q queries) Cached(ctx context.Context, source, key string, value any) (time.Time, error) {
	item := new(cachedItem)
	err := q.db.NewSelect().Model(item).Where("source = ?", source).Where("key = ?", key).Scan(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading what %s said about %s: %w", source, key, notFound(err))
	}
	if err := json.Unmarshal(item.Data, value); err != nil {
		return time.Time{}, fmt.Errorf("reading what %s said about %s: %w", source, key, err)
	}
	return item.FetchedAt, nil
}

// Cache keeps what source said under key.
func (tx *Tx) Cache(ctx context.Context, source, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keeping what %s said about %s: %w", source, key, err)
	}
	item := &cachedItem{Source: source, Key: key, Data: data, FetchedAt: Now()}
	_, err = tx.db.NewInsert().Model(item).On("CONFLICT (source, key) DO UPDATE").
		Set("data = EXCLUDED.data").Set("fetched_at = EXCLUDED.fetched_at").Set("error = ''").Exec(ctx)
	if err != nil {
		return fmt.Errorf("keeping what %s said about %s: %w", source, key, err)
	}
	return nil
}
