package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
)

// keptDB is a database of one connection, and that connection.
func keptDB(t *testing.T) (*sql.DB, *keptConn) {
	t.Helper()
	connector, err := newKeeping(sqliteAddress(filepath.Join(t.TempDir(), "kept.db"), "immediate"))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var kept *keptConn
	err = conn.Raw(func(driver any) error {
		kept = driver.(*keptConn)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return db, kept
}

func TestStatementsAreKept(t *testing.T) {
	t.Parallel()
	db, kept := keptDB(t)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES ($1)", i); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT n FROM t WHERE n = $1", i).Scan(&n); err != nil || n != i {
			t.Fatalf("%d came back as %d, %v", i, n, err)
		}
	}
	if len(kept.kept) != 2 {
		t.Errorf("%d statements are kept, want the two with arguments", len(kept.kept))
	}
	// The table that a kept statement was prepared for is another one now.
	for _, change := range []string{"DROP TABLE t", "CREATE TABLE t (word TEXT, n INTEGER)", "INSERT INTO t VALUES ('seven', 7)"} {
		if _, err := db.ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT n FROM t WHERE n = $1", 7).Scan(&n); err != nil || n != 7 {
		t.Errorf("after the change: %d, %v", n, err)
	}
}

func TestStatementInUseIsNotShared(t *testing.T) {
	t.Parallel()
	db, kept := keptDB(t)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	const counting = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < $1) SELECT n FROM c"
	outer, err := tx.QueryContext(t.Context(), counting, 3)
	if err != nil {
		t.Fatal(err)
	}
	var pairs string
	for outer.Next() {
		var a int
		if err := outer.Scan(&a); err != nil {
			t.Fatal(err)
		}
		inner, err := tx.QueryContext(t.Context(), counting, 2)
		if err != nil {
			t.Fatal(err)
		}
		for inner.Next() {
			var b int
			if err := inner.Scan(&b); err != nil {
				t.Fatal(err)
			}
			pairs += fmt.Sprintf("%d%d ", a, b)
		}
		inner.Close()
	}
	if err := outer.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "11 12 21 22 31 32 "; pairs != want {
		t.Errorf("pairs %q, want %q", pairs, want)
	}
	if len(kept.kept) != 1 {
		t.Errorf("%d statements are kept, want 1", len(kept.kept))
	}
}

func TestKeptStatementsAreBounded(t *testing.T) {
	t.Parallel()
	db, kept := keptDB(t)
	ask := func(i int) {
		var n int
		text := fmt.Sprintf("SELECT %d + $1", i)
		if err := db.QueryRowContext(t.Context(), text, 1).Scan(&n); err != nil || n != i+1 {
			t.Fatalf("%s: %d, %v", text, n, err)
		}
	}
	for i := range 2 * mostKept {
		ask(0) // always in use
		ask(i)
	}
	if len(kept.kept) != mostKept || kept.kept["SELECT 0 + $1"] == nil {
		t.Errorf("%d statements are kept, want %d with the one that is always used", len(kept.kept), mostKept)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO nowhere VALUES ($1)", 1); err == nil {
		t.Error("a table that is not there took a row")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.QueryContext(canceled, "SELECT 0 + $1", 1); err == nil {
		t.Error("a canceled query was carried out")
	}
	ask(0)
}
