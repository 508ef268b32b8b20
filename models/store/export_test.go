package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// Watch calls hook for every statement of s.
func (s *Store) Watch(hook bun.QueryHook) {
	s.write = s.write.WithQueryHook(hook)
	s.queries.db = s.queries.db.(*bun.DB).WithQueryHook(hook)
}

// InTime runs a statement that may take no longer than limit.
func (s *Store) InTime(ctx context.Context, limit time.Duration, statement string) error {
	return s.inTime(ctx, limit, func(ctx context.Context, db bun.IDB) error {
		_, err := db.ExecContext(ctx, statement)
		return err
	})
}
