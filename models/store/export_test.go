package store

import "github.com/uptrace/bun"

// Watch calls hook for every statement of s.
func (s *Store) Watch(hook bun.QueryHook) {
	s.write = s.write.WithQueryHook(hook)
	s.queries.db = s.queries.db.(*bun.DB).WithQueryHook(hook)
}
