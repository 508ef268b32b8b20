package seed

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"millrace/models"
	"millrace/models/store"
)

// writer writes many rows of a table at once, in one transaction over all.
type writer interface {
	write(ctx context.Context, table string, columns []string, rows [][]any) error
	exec(ctx context.Context, statement string) error
	texts(ctx context.Context, query string) ([]string, error) // of a query for one column
	indexes() string                                           // query for the definitions of all indexes that are no constraints
	commit(ctx context.Context, tables []string) error
	rollback(ctx context.Context)
}

func newWriter(ctx context.Context, s *store.Store) (writer, error) {
	if s.Embedded() {
		tx, err := s.Writer().BeginTx(ctx, nil)
		return &sqliteWriter{tx.Tx}, err
	}
	tx, err := s.River.Begin(ctx)
	return &postgresWriter{tx}, err
}

type postgresWriter struct{ tx pgx.Tx }

func (w *postgresWriter) write(ctx context.Context, table string, columns []string, rows [][]any) error {
	_, err := w.tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
	return err
}

func (w *postgresWriter) exec(ctx context.Context, statement string) error {
	_, err := w.tx.Exec(ctx, statement)
	return err
}

func (w *postgresWriter) texts(ctx context.Context, query string) ([]string, error) {
	rows, err := w.tx.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (w *postgresWriter) indexes() string {
	return `SELECT i.indexdef FROM pg_indexes AS i WHERE i.schemaname = current_schema()
		AND i.tablename IN ('` + strings.Join(tables, "', '") + `', 'step_needs')
		AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conname = i.indexname)`
}

// commit also moves the sequences behind the ids that were written.
func (w *postgresWriter) commit(ctx context.Context, tables []string) error {
	for _, table := range tables {
		_, err := w.tx.Exec(ctx, fmt.Sprintf(
			"SELECT setval(pg_get_serial_sequence('%[1]s', 'id'), (SELECT max(id) FROM %[1]s)) FROM (SELECT 1 FROM %[1]s LIMIT 1) AS filled", table))
		if err != nil {
			return err
		}
	}
	return w.tx.Commit(ctx)
}

func (w *postgresWriter) rollback(ctx context.Context) { w.tx.Rollback(ctx) }

type sqliteWriter struct{ tx *sql.Tx }

// together is how many rows one statement of SQLite inserts.
const together = 25

func (w *sqliteWriter) write(ctx context.Context, table string, columns []string, rows [][]any) error {
	for _, n := range []int{together, 1} {
		if len(rows) < n {
			continue
		}
		row := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + ")"
		statement, err := w.tx.PrepareContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES %s",
			table, strings.Join(columns, ", "), strings.TrimSuffix(strings.Repeat(row+", ", n), ", ")))
		if err != nil {
			return err
		}
		defer statement.Close()
		args := make([]any, 0, n*len(columns))
		for ; len(rows) >= n; rows = rows[n:] {
			args = args[:0]
			for _, r := range rows[:n] {
				args = append(args, r...)
			}
			if _, err := statement.ExecContext(ctx, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *sqliteWriter) exec(ctx context.Context, statement string) error {
	_, err := w.tx.ExecContext(ctx, statement)
	return err
}

func (w *sqliteWriter) texts(ctx context.Context, query string) ([]string, error) {
	rows, err := w.tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var texts []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}

func (w *sqliteWriter) indexes() string {
	return `SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL
		AND tbl_name IN ('` + strings.Join(tables, "', '") + `', 'step_needs')`
}

func (w *sqliteWriter) commit(context.Context, []string) error { return w.tx.Commit() }
func (w *sqliteWriter) rollback(context.Context)               { w.tx.Rollback() }

// save writes models into their table.
func save[T any](ctx context.Context, w writer, db *bun.DB, list []*T) error {
	if len(list) == 0 {
		return nil
	}
	table := db.Table(reflect.TypeFor[T]())
	columns := make([]string, len(table.Fields))
	for i, f := range table.Fields {
		columns[i] = f.Name
	}
	rows := make([][]any, len(list))
	for i, item := range list {
		rows[i] = make([]any, len(table.Fields))
		for j, f := range table.Fields {
			value, err := columnValue(f, f.Value(reflect.ValueOf(item).Elem()))
			if err != nil {
				return fmt.Errorf("writing %s.%s: %w", table.Name, f.Name, err)
			}
			rows[i][j] = value
		}
	}
	if err := w.write(ctx, table.Name, columns, rows); err != nil {
		return fmt.Errorf("writing %d rows of %s: %w", len(list), table.Name, err)
	}
	return nil
}

// columnValue is what a driver takes for a field, written as bun writes it.
func columnValue(f *schema.Field, v reflect.Value) (any, error) {
	if v.IsZero() && (f.NullZero || v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice) {
		return nil, nil
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return x.UTC(), nil
	case json.RawMessage:
		return string(x), nil
	case []byte:
		return x, nil
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Int, reflect.Int64:
		return v.Int(), nil
	case reflect.Bool:
		return v.Bool(), nil
	}
	text, err := json.Marshal(v.Interface())
	return string(text), err
}

// dropIndexes drops the indexes and returns the statements that make them again:
// made at once they take a fraction of the time.
func dropIndexes(ctx context.Context, w writer) ([]string, error) {
	definitions, err := w.texts(ctx, w.indexes())
	if err != nil {
		return nil, fmt.Errorf("reading the indexes: %w", err)
	}
	for _, d := range definitions {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.Replace(d, "CREATE UNIQUE ", "CREATE ", 1), "CREATE INDEX "), " ")
		if err := w.exec(ctx, "DROP INDEX "+name); err != nil {
			return nil, fmt.Errorf("dropping index %s: %w", name, err)
		}
	}
	return definitions, nil
}

// batch is what is written together.
type batch struct {
	deliveries []*models.Delivery
	projects   []*models.Project
	commits    []*models.Commit
	events     []*models.Event
	pipelines  []*models.Pipeline
	steps      []*models.Step
	needs      []*models.Need
	groups     []*models.RunGroup
	runs       []*models.Run
	targets    []*models.Target
	reports    []*models.Report
}

// tables are those with ids.
var tables = []string{"deliveries", "projects", "commits", "events", "pipelines", "steps", "run_groups", "runs", "targets", "reports"}

// save writes b in an order in which what is referred to comes first.
func (b *batch) save(ctx context.Context, w writer, db *bun.DB) error {
	for _, f := range []func() error{
		func() error { return save(ctx, w, db, b.deliveries) },
		func() error { return save(ctx, w, db, b.projects) },
		func() error { return save(ctx, w, db, b.commits) },
		func() error { return save(ctx, w, db, b.events) },
		func() error { return save(ctx, w, db, b.pipelines) },
		func() error { return save(ctx, w, db, b.steps) },
		func() error { return save(ctx, w, db, b.needs) },
		func() error { return save(ctx, w, db, b.groups) },
		func() error { return save(ctx, w, db, b.runs) },
		func() error { return save(ctx, w, db, b.targets) },
		func() error { return save(ctx, w, db, b.reports) },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
