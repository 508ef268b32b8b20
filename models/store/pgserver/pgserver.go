// Package pgserver starts PostgreSQL servers that are thrown away after use: for
// tests, which need them fast, and for benchmarks, which need them durable.
package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"millrace/clients/ports"
)

// ErrMissing says that PostgreSQL's programs are not on this machine.
var ErrMissing = errors.New("PostgreSQL's initdb and postgres are not installed (apt install postgresql, or dnf install postgresql-server)")

// patience is how long one statement, or the start of a server, may take.
const patience = 20 * time.Second

// Server is a running server with a directory of its own, on a free port of
// loopback. It dies with this process, however that ends.
type Server struct {
	dir     string
	port    int
	process *exec.Cmd
}

// Start makes a server and starts it. Unless it is to be durable, what it says
// it has committed may be lost when the machine, not just the server, stops.
// Everything else is as the server has it by default.
func Start(durable bool) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := new(Server)
	if s.dir, err = os.MkdirTemp("", "millrace-postgres-"); err != nil {
		return nil, err
	}
	if err := s.start(bin, durable); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(bin string, durable bool) error {
	owner, err := unprivileged(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "millrace", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	initdb.Dir = s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	free, err := ports.Free(1)
	if err != nil {
		return err
	}
	s.port = free[0]
	args := []string{"-D", data, "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300"}
	if !durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off")
	}
	var log bytes.Buffer
	s.process = exec.Command(filepath.Join(bin, "postgres"), args...)
	s.process.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGKILL}
	s.process.Dir = s.dir
	s.process.Stdout, s.process.Stderr = &log, &log
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := s.Exec("postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("postgres does not answer: %w\n%s", err, log.String())
		}
	}
}

// Stop ends the server and throws its data away.
func (s *Server) Stop() {
	if s.process != nil && s.process.Process != nil {
		s.process.Process.Signal(syscall.SIGQUIT) // immediate shutdown: the data is thrown away
		s.process.Wait()
	}
	os.RemoveAll(s.dir)
}

// Port is where on loopback the server listens. Its user is millrace, who needs
// no password.
func (s *Server) Port() int { return s.port }

// Address is the address of one of the server's databases.
func (s *Server) Address(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("millrace"), Host: "127.0.0.1:" + strconv.Itoa(s.port),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Create makes an empty database and returns its address.
func (s *Server) Create(database string) (string, error) {
	if err := s.Exec("postgres", "CREATE DATABASE "+pgx.Identifier{database}.Sanitize()); err != nil {
		return "", fmt.Errorf("creating the database %s: %w", database, err)
	}
	return s.Address(database), nil
}

// Drop removes a database, also one that somebody is connected to.
func (s *Server) Drop(database string) error {
	if err := s.Exec("postgres", "DROP DATABASE "+pgx.Identifier{database}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping the database %s: %w", database, err)
	}
	return nil
}

// Exec runs a statement in a database, over a connection of its own.
func (s *Server) Exec(database, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.Address(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// Tool finds another of PostgreSQL's programs: beside the server's, or on PATH.
func Tool(name string) (string, error) {
	for _, dir := range directories() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// binaries finds the directory of initdb and postgres.
func binaries() (string, error) {
	for _, dir := range directories() {
		_, noInit := os.Stat(filepath.Join(dir, "initdb"))
		_, noServer := os.Stat(filepath.Join(dir, "postgres"))
		if noInit == nil && noServer == nil {
			return dir, nil
		}
	}
	return "", ErrMissing
}

// directories are where the programs may be: where Debian keeps each version,
// newest first, on PATH, and where Fedora has them.
func directories() []string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(dirs)
	slices.Reverse(dirs)
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	return append(dirs, "/usr/bin")
}

// unprivileged gives dir to the user the server shall run as. PostgreSQL refuses
// to run as root, so there it is the user of that name, or nobody.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("finding a user for PostgreSQL: %w", err)
		}
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
