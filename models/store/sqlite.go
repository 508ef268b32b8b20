package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"millrace/clients/filelock"
)

// openSQLite opens the file for one writing connection and several reading
// ones. One writer that waits its turn in Go is both faster and fairer than
// several that busy-wait for SQLite's lock.
func openSQLite(ctx context.Context, path string) (*Store, error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	return openLocked(ctx, path, lock)
}

// openLocked opens the file, and gives lock back at the end.
func openLocked(ctx context.Context, path string, lock io.Closer) (*Store, error) {
	forWriting, err := newKeeping(sqliteAddress(path, "immediate"))
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	writer := sql.OpenDB(forWriting)
	writer.SetMaxOpenConns(1)
	writer.SetMaxIdleConns(1)
	writer.SetConnMaxLifetime(0)
	if err := writer.PingContext(ctx); err != nil {
		writer.Close()
		lock.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	forReading, err := newKeeping(sqliteAddress(path, "deferred", "query_only(1)"))
	if err != nil {
		writer.Close()
		lock.Close()
		return nil, fmt.Errorf("opening %s for reading: %w", path, err)
	}
	reader := sql.OpenDB(forReading)
	readers := max(4, runtime.NumCPU())
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)

	return &Store{
		queries: queries{bun.NewDB(reader, sqlitedialect.New())},
		write:   bun.NewDB(writer, sqlitedialect.New()),
		closer: func() {
			reader.Close()
			writer.Close()
			lock.Close()
		},
	}, nil
}

func sqliteAddress(path, txlock string, pragmas ...string) string {
	values := url.Values{"_txlock": {txlock}, "_time_format": {"sqlite"}}
	for _, p := range append([]string{
		"busy_timeout(5000)", // first: journal_mode needs it
		"journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)",
		"temp_store(MEMORY)", "cache_size(-32000)",
	}, pragmas...) {
		values.Add("_pragma", p)
	}
	escaped := strings.NewReplacer("?", "%3f", "#", "%23", "%", "%25").Replace(path)
	return "file:" + escaped + "?" + values.Encode()
}

// OpenBeside opens a database for a command that changes a row while the service
// may have it. On SQLite it does without the lock that the service holds; whoever
// has a store of this kind must carry out no jobs.
func OpenBeside(ctx context.Context, address string) (*Store, error) {
	if IsPostgres(address) {
		return openPostgres(ctx, address)
	}
	return openLocked(ctx, address, io.NopCloser(nil))
}

// lockFile makes this process the only one that has the database: recovery at
// start and the in-process live updates rely on it.
func lockFile(path string) (*filelock.Lock, error) {
	lock, err := filelock.Take(path)
	switch {
	case errors.Is(err, filelock.ErrTaken):
		return nil, fmt.Errorf("another process has the database (%s is locked); several processes need PostgreSQL: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	return lock, nil
}
