package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"millrace/models"
)

// searchTime is how long a search may take.
const searchTime = 2 * time.Second

// inSearchTime calls f with a handle whose statements are stopped when they take
// too long.
func (q queries) inSearchTime(ctx context.Context, f func(ctx context.Context, db bun.IDB) error) error {
	return q.inTime(ctx, searchTime, f)
}

// inTime stops statements after limit: PostgreSQL does that itself, SQLite is
// interrupted by the context.
func (q queries) inTime(ctx context.Context, limit time.Duration, f func(ctx context.Context, db bun.IDB) error) error {
	patience := limit
	if isPG(q.db) {
		patience += time.Second // the server is the first to notice, and keeps the connection
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := q.readOnly(bounded, limit, f)
	pg, stopped := errors.AsType[*pgconn.PgError](err)
	if ctx.Err() == nil && (bounded.Err() != nil && err != nil || stopped && pg.Code == "57014") {
		return &models.InputError{Field: "q", Message: "The search takes too long. More terms, such as project: or since:, make it faster."}
	}
	return err
}

func (q queries) readOnly(ctx context.Context, limit time.Duration, f func(ctx context.Context, db bun.IDB) error) error {
	db, pooled := q.db.(*bun.DB)
	if !pooled || !isPG(q.db) {
		return f(ctx, q.db)
	}
	return db.RunInTx(ctx, &sql.TxOptions{ReadOnly: true}, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, "SET LOCAL statement_timeout = ?", limit.Milliseconds()); err != nil {
			return fmt.Errorf("limiting the time of a search: %w", err)
		}
		return f(ctx, tx)
	})
}

// condition is a part of a WHERE clause.
type condition struct {
	sql  string
	args []any
}

var (
	always = condition{sql: "1 = 1"}
	never  = condition{sql: "1 = 0"}
)

func where(sql string, args ...any) condition { return condition{sql, args} }

// search turns a query into conditions on the rows of one table. Names are
// looked up first, so that what remains is found through an index.
type search struct {
	db       bun.IDB
	row      string            // alias of the table: pipeline or event
	projects []*models.Project // their names; nil: not read yet
}

// compile is the condition of q, and of what bounds the ids if it must hold for
// all rows.
func (s *search) compile(ctx context.Context, q *models.Query, forAll bool) (condition, error) {
	switch {
	case q.Empty():
		return always, nil
	case q.Op == models.QueryIs:
		return s.term(ctx, q.Term, forAll)
	case q.Op == models.QueryNot:
		c, err := s.compile(ctx, q.Parts[0], false)
		if err != nil {
			return never, err
		}
		switch c.sql {
		case always.sql:
			return never, nil
		case never.sql:
			return always, nil
		}
		return condition{"NOT (" + c.sql + ")", c.args}, nil
	}
	parts := make([]condition, 0, len(q.Parts))
	for _, part := range q.Parts {
		c, err := s.compile(ctx, part, forAll && q.Op == models.QueryAnd)
		if err != nil {
			return never, err
		}
		parts = append(parts, c)
	}
	if q.Op == models.QueryOr {
		return either(parts), nil
	}
	return all(parts), nil
}

func all(parts []condition) condition { return join(parts, " AND ", always, never) }

func either(parts []condition) condition { return join(parts, " OR ", never, always) }

// join puts parts together. neutral changes nothing, decisive decides.
func join(parts []condition, between string, neutral, decisive condition) condition {
	var texts []string
	var args []any
	for _, c := range parts {
		switch c.sql {
		case decisive.sql:
			return decisive
		case neutral.sql:
		default:
			texts, args = append(texts, "("+c.sql+")"), append(args, c.args...)
		}
	}
	if len(texts) == 0 {
		return neutral
	}
	return condition{strings.Join(texts, between), args}
}

func (s *search) term(ctx context.Context, t *models.QueryTerm, forAll bool) (condition, error) {
	switch t.Field {
	case "", "project", "forge":
		return s.projectsWhere(ctx, t)
	case "status":
		return s.among("state", texts(t.Values)), nil
	case "kind":
		return s.among("kind", texts(t.Values)), nil
	case "actor", "package":
		return s.named(ctx, t.Field, t.Values)
	case "attempt":
		return s.attempt(t), nil
	case "since", "before":
		return s.time(ctx, t, forAll)
	case "pr":
		return s.reference(ctx, models.PullRequestRef, t.Values)
	case "branch":
		return s.reference(ctx, models.BranchRef, t.Values)
	case "tag":
		return s.reference(ctx, models.ReleaseRef, t.Values)
	case "sha":
		return s.hash(t.Values), nil
	case "step":
		return s.step(ctx, t.Values)
	case "target":
		return s.target(ctx, t.Values)
	}
	return never, fmt.Errorf("searching for the unknown field %q", t.Field)
}
