// Package rabbittest starts a real RabbitMQ for tests, as Fedora's bus has it.
package rabbittest

import (
	"os"
	"testing"

	"millrace/clients/fedmsg/rabbitserver"
)

// Server is a broker with nothing in it.
type Server struct {
	*rabbitserver.Server
	t testing.TB
}

// Start runs a broker until the test ends. Without an installed RabbitMQ the
// test is skipped, but fails where the environment says CI=true.
func Start(t testing.TB) *Server {
	t.Helper()
	Need(t)
	// Not t.TempDir: its long path would not fit some of Erlang's limits, and
	// the broker may still write while it is being removed.
	dir, err := os.MkdirTemp("", "rabbit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, err := rabbitserver.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{server, t}
	t.Cleanup(s.Stop)
	s.Restart()
	return s
}

// Need skips the test without an installed RabbitMQ, but lets it fail where the
// environment says CI=true.
func Need(t testing.TB) {
	t.Helper()
	if rabbitserver.Installed() {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(rabbitserver.ErrMissing)
	}
	t.Skip(rabbitserver.ErrMissing)
}

// Restart starts the broker again after Kill, with all that it had on disk.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.Server.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}
