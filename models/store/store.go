// Package store keeps the models in PostgreSQL or, embedded, in SQLite. What is
// read is read by methods of Store and Tx alike; what is written is written by
// methods of Tx only, so that a write outside a transaction does not compile.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"millrace/migrations"
	"millrace/models"
)

// Store is the database. Its methods read; InTx writes.
type Store struct {
	queries
	write  *bun.DB
	bell   *bell // nil on SQLite
	closer func()

	// Changed, if not nil, is called after each commit that put a change into the
	// outbox. Set it before use. Other processes hear by NOTIFY instead.
	Changed func()

	// River is the pool that River's own driver runs on; nil on SQLite.
	River *pgxpool.Pool
}

// Tx reads and writes in one transaction.
type Tx struct {
	queries
	SQL  *sql.Tx  // the transaction itself, for River on SQLite
	Conn bun.Conn // the connection it runs on, for River on PostgreSQL; zero on SQLite

	announced bool // a change is in the outbox
}

// queries is what can be read, inside a transaction and outside.
type queries struct{ db bun.IDB }

// Open connects to the database at address: a postgres:// address, or the path
// of an SQLite file, which this process then owns until Close.
func Open(ctx context.Context, address string) (*Store, error) {
	if IsPostgres(address) {
		return openPostgres(ctx, address)
	}
	return openSQLite(ctx, address)
}

// IsPostgres tells an address of a PostgreSQL server from the path of a file.
func IsPostgres(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

// Close gives the connections back, and on SQLite the file.
func (s *Store) Close() { s.closer() }

// Embedded reports whether this process alone has the database (SQLite).
func (s *Store) Embedded() bool { return s.River == nil }

// Migrate brings the schema up to date and returns what it applied. River's own
// tables are jobs.Migrate's business.
func (s *Store) Migrate(ctx context.Context) ([]string, error) {
	return migrations.Up(ctx, s.write)
}

// MissingMigrations names what Migrate would apply.
func (s *Store) MissingMigrations(ctx context.Context) ([]string, error) {
	return migrations.Missing(ctx, s.write)
}

// Ping reports whether the database answers, for reading and for writing.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.write.NewSelect().ColumnExpr("1").Scan(ctx, &one); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}

// Writer is the handle that writes, for River's driver and for sessions.
func (s *Store) Writer() *bun.DB { return s.write }

// InTx calls f in a transaction, which commits if f returns nil. Talk to outside
// services before or after, never in f: they cannot be rolled back, and rows
// stay locked while they answer. On SQLite only tx may be used within f: the
// store's one writing connection is taken.
func (s *Store) InTx(ctx context.Context, f func(tx *Tx) error) error {
	t := new(Tx)
	err := s.begin(ctx, t, f)
	if err == nil && t.announced {
		if s.Changed != nil {
			s.Changed()
		}
		s.bell.ring()
	}
	return err
}

func (s *Store) begin(ctx context.Context, t *Tx, f func(tx *Tx) error) error {
	inside := func(ctx context.Context, tx bun.Tx) error {
		t.queries, t.SQL = queries{tx}, tx.Tx
		return f(t)
	}
	if s.Embedded() {
		return s.write.RunInTx(ctx, nil, inside)
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("taking a connection: %w", err)
	}
	defer conn.Close()
	t.Conn = conn
	return conn.RunInTx(ctx, nil, inside)
}

// Now is the one clock for rows: UTC in microseconds, so that both databases
// give back what was written and SQLite's text form sorts.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func isPG(db bun.IDB) bool { return db.Dialect().Name() == dialect.PG }

// forUpdate locks the rows of a SELECT. On SQLite the transaction already holds
// the whole database (BEGIN IMMEDIATE).
func forUpdate(q *bun.SelectQuery) *bun.SelectQuery {
	if q.Dialect().Name() == dialect.PG {
		return q.For("UPDATE")
	}
	return q
}

// notFound turns "no such row" into the models' word for it.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return models.ErrNotFound
	}
	return err
}

// IsDuplicate reports whether err is a violated UNIQUE or PRIMARY KEY.
func IsDuplicate(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23505"
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}
