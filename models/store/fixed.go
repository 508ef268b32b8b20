package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// bun writes arguments into the text of statements, so that PostgreSQL plans
// each of them anew, which takes longer than carrying it out. The statements
// that the engine and the intake live on are fixed instead: what differs is $1,
// $2 and so on in their text, and each connection plans them once.

// fixed is a connection for queries whose text has $1 and so on for args. It is
// for Conn of bun's queries, which scan what comes as usual.
func fixed(db bun.IDB, args ...any) bun.IConn {
	c := fixedConn{args: args}
	if isPG(db) {
		c.args = append([]any{pgx.QueryExecModeCacheStatement}, args...)
	}
	switch db := db.(type) { // below bun, which would look for its own arguments
	case bun.Tx:
		c.IConn = db.Tx
	case *bun.DB:
		c.IConn = db.DB
	default:
		c.IConn = db
	}
	return c
}

type fixedConn struct {
	bun.IConn
	args []any
}

func (c fixedConn) QueryContext(ctx context.Context, text string, _ ...any) (*sql.Rows, error) {
	if told, ok := ctx.Value(toldKey{}).(*[]any); ok {
		*told = c.args
	}
	return c.IConn.QueryContext(ctx, text, c.args...)
}

func (c fixedConn) ExecContext(ctx context.Context, text string, _ ...any) (sql.Result, error) {
	return c.IConn.ExecContext(ctx, text, c.args...)
}

// Observe has f told every query, with its arguments in the text; f may be called
// from several goroutines. What is written is not told. Call it before use.
func (s *Store) Observe(f func(query string)) {
	hook := observer{f, s.write.QueryGen()}
	s.write = s.write.WithQueryHook(hook)
	if read, ok := s.db.(*bun.DB); ok {
		s.queries = queries{read.WithQueryHook(hook)}
	}
}

type observer struct {
	tell func(string)
	gen  schema.QueryGen
}

// toldKey is of a place for the arguments of a fixed query.
type toldKey struct{}

func (o observer) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	return context.WithValue(ctx, toldKey{}, new([]any))
}

func (o observer) AfterQuery(ctx context.Context, e *bun.QueryEvent) {
	if operation := e.Operation(); operation != "SELECT" && operation != "WITH" {
		return
	}
	args := *ctx.Value(toldKey{}).(*[]any)
	if len(args) > 0 {
		if _, ok := args[0].(pgx.QueryExecMode); ok {
			args = args[1:]
		}
	}
	o.tell(parameter.ReplaceAllStringFunc(e.Query, func(p string) string {
		n, err := strconv.Atoi(p[1:])
		if err != nil || n < 1 || n > len(args) {
			return p
		}
		return o.gen.FormatQuery("?", args[n-1])
	}))
}

var parameter = regexp.MustCompile(`\$[0-9]+`)

// writes are statements that are sent together: one round trip, however many.
type writes struct {
	db   bun.IDB
	list []write
	err  error // of making one of them
}

type write struct {
	text string
	args []any
}

func (w *writes) add(text string, args ...any) { w.list = append(w.list, write{text, args}) }

// rowByRow is up to how many rows are updated by a statement each. The statement
// for many rows is planned each time.
const rowByRow = 8

// update writes columns of rows.
func update[T any](w *writes, rows []*T, columns ...string) {
	if len(rows) > rowByRow {
		w.add(w.db.NewUpdate().Model(&rows).Column(columns...).Bulk().String())
		return
	}
	table := w.db.Dialect().Tables().Get(reflect.TypeFor[*T]())
	for _, row := range rows {
		v := reflect.ValueOf(row).Elem()
		var set strings.Builder
		args := make([]any, 0, len(columns)+1)
		for _, name := range append(columns[:len(columns):len(columns)], table.PKs[0].Name) {
			field, err := table.Field(name)
			if err != nil {
				w.err = err
				return
			}
			value, err := columnValue(field, field.Value(v))
			if err != nil {
				w.err = fmt.Errorf("writing %s.%s: %w", table.Name, name, err)
				return
			}
			args = append(args, value)
			switch {
			case len(args) > len(columns):
				set.WriteString(" WHERE ")
			case len(args) > 1:
				set.WriteString(", ")
			}
			set.WriteString(name + " = $" + strconv.Itoa(len(args)))
		}
		w.add("UPDATE "+table.Name+" SET "+set.String(), args...)
	}
}

// columnValue is what the driver takes for a field, so that the column has what
// bun would write.
func columnValue(f *schema.Field, v reflect.Value) (any, error) {
	if v.IsZero() && (f.NullZero || f.IsPtr || v.Kind() == reflect.Slice) {
		return nil, nil
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return x.UTC(), nil
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

// send sends the statements in their order. After an error the transaction
// cannot go on.
func (tx *Tx) send(ctx context.Context, w *writes) error {
	if w.err != nil || len(w.list) == 0 {
		return w.err
	}
	if !isPG(tx.db) {
		for _, s := range w.list {
			if _, err := tx.SQL.ExecContext(ctx, s.text, s.args...); err != nil {
				return err
			}
		}
		return nil
	}
	return tx.Conn.Raw(func(driver any) error {
		c, ok := driver.(interface{ Conn() *pgx.Conn })
		if !ok {
			return fmt.Errorf("not a pgx connection: %T", driver)
		}
		conn, batch := c.Conn(), new(pgx.Batch)
		for _, s := range w.list {
			if len(s.args) > 0 { // the same text each time; without effect from the second time on
				if _, err := conn.Prepare(ctx, s.text, s.text); err != nil {
					return err
				}
			}
			batch.Queue(s.text, s.args...)
		}
		return conn.SendBatch(ctx, batch).Close()
	})
}
