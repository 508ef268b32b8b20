package store

import (
	"context"
	"database/sql/driver"
	"fmt"

	"modernc.org/sqlite"
)

// mostKept is how many prepared statements a connection to SQLite keeps.
const mostKept = 128

// keeping is a connector whose connections keep the statements that have
// arguments once they are prepared, which takes SQLite longer than carrying a
// small one out. Those without have their values in their text and do not come
// again.
type keeping struct{ driver.Connector }

func newKeeping(address string) (driver.Connector, error) {
	c, err := sqlite.NewConnector(address)
	if err != nil {
		return nil, err
	}
	return keeping{c}, nil
}

func (k keeping) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	lite, ok := c.(liteConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("not a connection to SQLite as we know it: %T", c)
	}
	return &keptConn{liteConn: lite, kept: map[string]*keptStatement{}}, nil
}

// liteConn is what the driver's connections can do.
type liteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type liteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// liteRows is what the driver's rows can do.
type liteRows interface {
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

// keptConn is used by one goroutine at a time, as database/sql sees to.
type keptConn struct {
	liteConn
	kept map[string]*keptStatement // those that nobody uses, by text
	uses int64
}

type keptStatement struct {
	liteStmt
	text string
	used int64 // when it was given back, in uses of the connection
}

// take prepares a statement, or takes one that was kept. It is the caller's
// until it is given back.
func (c *keptConn) take(ctx context.Context, text string) (*keptStatement, error) {
	if s := c.kept[text]; s != nil {
		delete(c.kept, text)
		return s, nil
	}
	prepared, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(liteStmt)
	if !ok {
		prepared.Close()
		return nil, fmt.Errorf("not a statement of SQLite as we know it: %T", prepared)
	}
	return &keptStatement{liteStmt: s, text: text}, nil
}

// giveBack keeps a statement, in place of the one that was not used for longest
// if there are too many.
func (c *keptConn) giveBack(s *keptStatement) error {
	if c.kept[s.text] != nil { // it was wanted twice at once
		return s.Close()
	}
	c.uses++
	s.used = c.uses
	c.kept[s.text] = s
	if len(c.kept) <= mostKept {
		return nil
	}
	oldest := s
	for _, other := range c.kept {
		if other.used < oldest.used {
			oldest = other
		}
	}
	delete(c.kept, oldest.text)
	return oldest.Close()
}

func (c *keptConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return c.liteConn.ExecContext(ctx, text, args)
	}
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args)
	if err != nil {
		s.Close()
		return nil, err
	}
	return result, c.giveBack(s)
}

func (c *keptConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.liteConn.QueryContext(ctx, text, args)
	}
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	found, err := s.QueryContext(ctx, args)
	if err != nil {
		s.Close()
		return nil, err
	}
	rows, ok := found.(liteRows)
	if !ok {
		found.Close()
		s.Close()
		return nil, fmt.Errorf("not rows of SQLite as we know them: %T", found)
	}
	return &keptRows{liteRows: rows, conn: c, statement: s}, nil
}

// Close lets go of the statements before the connection.
func (c *keptConn) Close() error {
	for text, s := range c.kept {
		s.Close()
		delete(c.kept, text)
	}
	return c.liteConn.Close()
}

// keptRows give their statement back at the end.
type keptRows struct {
	liteRows
	conn      *keptConn
	statement *keptStatement // nil once it is given back
}

func (r *keptRows) Close() error {
	err := r.liteRows.Close()
	s := r.statement
	if s == nil {
		return err
	}
	r.statement = nil
	if err != nil {
		s.Close()
		return err
	}
	return r.conn.giveBack(s)
}
