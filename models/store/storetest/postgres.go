package storetest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"millrace/models/store/pgserver"
)

// server is the one PostgreSQL of a test binary, started by the first test that
// wants it.
var server struct {
	once sync.Once
	*pgserver.Server
	err error

	mu    sync.Mutex // above count
	count int
}

// PostgresAddress creates an empty database, dropped when the test ends, and
// returns its address.
func PostgresAddress(t testing.TB) string {
	t.Helper()
	server.once.Do(func() { server.Server, server.err = pgserver.Start(false) })
	if errors.Is(server.err, pgserver.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(server.err)
	}
	if server.err != nil {
		t.Fatal(server.err)
	}
	server.mu.Lock()
	server.count++
	name := fmt.Sprintf("test_%d", server.count)
	server.mu.Unlock()
	address, err := server.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Drop(name); err != nil {
			t.Error(err)
		}
	})
	return address
}

func stop() {
	if server.Server != nil {
		server.Stop()
	}
}
