package store

import (
	"slices"
	"strconv"

	"github.com/uptrace/bun"

	"millrace/models"
)

const (
	usualRows = 25
	mostRows  = 200
	mostFresh = 100 // newer rows are counted so far
)

// keyset is a page of a list that is ordered by id, newest first.
type keyset struct {
	before, after, upTo int64 // 0: none
	limit               int
}

func readPage(page models.Page) (keyset, error) {
	k := keyset{upTo: page.UpTo, limit: int(rowsWanted(page.Limit))}
	var err error
	if k.before, err = readCursor("before", page.Before); err != nil {
		return k, err
	}
	if k.after, err = readCursor("after", page.After); err != nil {
		return k, err
	}
	if k.before != 0 && k.after != 0 {
		return k, &models.InputError{Field: "after", Message: "A list is read in one direction: before or after, not both."}
	}
	return k, nil
}

func rowsWanted(limit int) int64 {
	if limit <= 0 {
		return usualRows
	}
	return int64(min(limit, mostRows))
}

func readCursor(field, cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || id <= 0 {
		return 0, &models.InputError{Field: field, Message: "This is not a place in the list."}
	}
	return id, nil
}

// apply narrows q to the page and one row more, which tells whether there are
// more. Rows come in the order of reading.
func (k keyset) apply(q *bun.SelectQuery, id string) *bun.SelectQuery {
	q = q.Limit(int64(k.limit) + 1)
	if k.upTo != 0 {
		q = q.Where("? <= ?", bun.Ident(id), k.upTo)
	}
	if k.after != 0 {
		return q.Where("? > ?", bun.Ident(id), k.after).OrderExpr("? ASC", bun.Ident(id))
	}
	if k.before != 0 {
		q = q.Where("? < ?", bun.Ident(id), k.before)
	}
	return q.OrderExpr("? DESC", bun.Ident(id))
}

// cut takes the row too many off rows, puts them newest first, and returns the
// cursors to what is around them.
func cut[T any](k keyset, rows []T, id func(T) int64) ([]T, models.Cursors) {
	more := len(rows) > k.limit
	if more {
		rows = rows[:k.limit]
	}
	first, last := k.before-1, k.after+1 // should there be no rows
	if k.after != 0 {
		slices.Reverse(rows)
	}
	if len(rows) > 0 {
		first, last = id(rows[0]), id(rows[len(rows)-1])
	}
	var c models.Cursors
	if more && k.after == 0 || k.after != 0 {
		c.Older = strconv.FormatInt(last, 10)
	}
	if more && k.after != 0 || k.before != 0 {
		c.Newer = strconv.FormatInt(first, 10)
	}
	return rows, c
}
