package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/uptrace/bun"

	"millrace/models/store"
)

// Queue hides which of River's two client types is below. A job added in a
// transaction exists if and only if the transaction commits.
type Queue struct {
	postgres *river.Client[pgx.Tx]
	sqlite   *river.Client[*sql.Tx]
}

// NewQueue makes a queue in the store's database. Without queues in the config
// it only adds jobs.
func NewQueue(s *store.Store, config *river.Config) (q *Queue, err error) {
	q = new(Queue)
	if s.Embedded() {
		q.sqlite, err = river.NewClient(riversqlite.New(s.Writer().DB), config)
	} else {
		q.postgres, err = river.NewClient(riverpgxv5.New(s.River), config)
	}
	if err != nil {
		return nil, fmt.Errorf("setting the job queue up: %w", err)
	}
	return q, nil
}

// Migrate brings River's own tables up to date.
func Migrate(ctx context.Context, s *store.Store) error {
	if s.Embedded() {
		return migrate(ctx, riversqlite.New(s.Writer().DB))
	}
	conn, err := s.Writer().Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting to migrate the job queue: %w", err)
	}
	defer conn.Close()
	const lockKey = 7_261_520_016 // one process at a time, as for our own tables
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(?)", lockKey); err != nil {
		return fmt.Errorf("locking to migrate the job queue: %w", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(?)", lockKey)
	return migrate(ctx, riverpgxv5.New(s.River))
}

func migrate[T any](ctx context.Context, driver riverdriver.Driver[T]) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("preparing to migrate the job queue: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrating the job queue: %w", err)
	}
	return nil
}

// Add adds a job that the transaction calls for.
func (q *Queue) Add(ctx context.Context, tx *store.Tx, args river.JobArgs) error {
	return q.AddAll(ctx, tx, []river.JobArgs{args})
}

// AddAll adds jobs, in one statement however many there are.
func (q *Queue) AddAll(ctx context.Context, tx *store.Tx, all []river.JobArgs) error {
	if len(all) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(all))
	for i, args := range all {
		params[i].Args = args
	}
	var err error
	if q.sqlite != nil {
		_, err = q.sqlite.InsertManyTx(ctx, tx.SQL, params)
	} else {
		err = onPgx(tx.Conn, func(t pgx.Tx) error {
			_, err := q.postgres.InsertManyTx(ctx, t, params)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("adding %d jobs, the first to %s: %w", len(all), all[0].Kind(), err)
	}
	return nil
}

// Start begins to work on jobs.
func (q *Queue) Start(ctx context.Context) error {
	if q.sqlite != nil {
		return q.sqlite.Start(ctx)
	}
	return q.postgres.Start(ctx)
}

// Stop takes no more jobs and waits for the running ones until ctx ends; then it
// cancels their contexts and waits for them to give their work back.
func (q *Queue) Stop(ctx context.Context) error {
	stop, now := q.stops()
	if err := stop(ctx); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return now(context.WithoutCancel(ctx))
}

func (q *Queue) stops() (gentle, now func(context.Context) error) {
	if q.sqlite != nil {
		return q.sqlite.Stop, q.sqlite.StopAndCancel
	}
	return q.postgres.Stop, q.postgres.StopAndCancel
}

// onPgx lends f the connection of a bun transaction as a transaction of pgx, so
// that River's own driver inserts into it. bun's statements run uncached because
// their text always differs; River's insert is large, always the same, and much
// cheaper when it is prepared once.
func onPgx(conn bun.Conn, f func(pgx.Tx) error) error {
	return conn.Raw(func(driver any) error {
		c, ok := driver.(interface{ Conn() *pgx.Conn })
		if !ok {
			return fmt.Errorf("not a pgx connection: %T", driver)
		}
		return f(borrowed{c.Conn()})
	})
}

// borrowed is a pgx.Tx whose beginning and end are another's business.
type borrowed struct{ c *pgx.Conn }

var errBorrowed = errors.New("the transaction belongs to bun")

func (b borrowed) Begin(context.Context) (pgx.Tx, error) { return nil, errBorrowed }
func (b borrowed) Commit(context.Context) error          { return errBorrowed }
func (b borrowed) Rollback(context.Context) error        { return errBorrowed }
func (b borrowed) LargeObjects() pgx.LargeObjects        { return pgx.LargeObjects{} }
func (b borrowed) Conn() *pgx.Conn                       { return b.c }

func (b borrowed) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return b.c.CopyFrom(ctx, table, columns, rows)
}

func (b borrowed) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	return b.c.SendBatch(ctx, batch)
}

func (b borrowed) Prepare(ctx context.Context, name, statement string) (*pgconn.StatementDescription, error) {
	return b.c.Prepare(ctx, name, statement)
}

func (b borrowed) Exec(ctx context.Context, statement string, args ...any) (pgconn.CommandTag, error) {
	return b.c.Exec(ctx, statement, cached(args)...)
}

func (b borrowed) Query(ctx context.Context, statement string, args ...any) (pgx.Rows, error) {
	return b.c.Query(ctx, statement, cached(args)...)
}

func (b borrowed) QueryRow(ctx context.Context, statement string, args ...any) pgx.Row {
	return b.c.QueryRow(ctx, statement, cached(args)...)
}

func cached(args []any) []any {
	if len(args) == 0 {
		return nil
	}
	return append([]any{pgx.QueryExecModeCacheStatement}, args...)
}

// Ping reports whether the queue's tables answer.
func (q *Queue) Ping(ctx context.Context) error {
	var err error
	if q.sqlite != nil {
		_, err = q.sqlite.QueueList(ctx, river.NewQueueListParams().First(1))
	} else {
		_, err = q.postgres.QueueList(ctx, river.NewQueueListParams().First(1))
	}
	if err != nil {
		return fmt.Errorf("asking the job queue: %w", err)
	}
	return nil
}
