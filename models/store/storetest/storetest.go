// Package storetest gives each test databases of its own: an SQLite file, and a
// database on a PostgreSQL server that the tests start and stop.
package storetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"millrace/models/store"
)

// Each runs f once on SQLite and once on PostgreSQL, as subtests with those
// names. The store is migrated and empty, and is f's alone.
func Each(t *testing.T, f func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, Postgres(t))
	})
}

// SQLite returns a store in a file of the test's own directory.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	return open(t, SQLiteAddress(t))
}

// SQLiteAddress returns the path of a file that does not exist yet.
func SQLiteAddress(t testing.TB) string {
	return filepath.Join(t.TempDir(), "millrace.db")
}

// Postgres returns a store in a database of its own. Without PostgreSQL's
// programs on the machine the test is skipped, or fails where CI is set.
func Postgres(t testing.TB) *store.Store {
	t.Helper()
	return open(t, PostgresAddress(t))
}

func open(t testing.TB, address string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Main runs a package's tests and stops the server after them. Every package
// that uses this one calls it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	stop()
	os.Exit(code)
}
