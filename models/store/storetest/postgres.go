package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var errNoPostgres = errors.New("PostgreSQL's initdb and postgres are not installed (apt install postgresql, or dnf install postgresql-server)")

// server is the one PostgreSQL of a test binary, started by the first test that
// wants it.
var server struct {
	once    sync.Once
	mu      sync.Mutex // above count
	count   int
	dir     string
	address url.URL
	process *exec.Cmd
	err     error
}

// PostgresAddress creates an empty database, dropped when the test ends, and
// returns its address.
func PostgresAddress(t testing.TB) string {
	t.Helper()
	server.once.Do(func() { server.err = start() })
	if errors.Is(server.err, errNoPostgres) && os.Getenv("CI") != "true" {
		t.Skip(server.err)
	}
	if server.err != nil {
		t.Fatal(server.err)
	}
	server.mu.Lock()
	server.count++
	name := fmt.Sprintf("test_%d", server.count)
	server.mu.Unlock()
	if err := admin("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	address := server.address
	address.Path = "/" + name
	return address.String()
}

// start makes a server in a directory of its own, on a free port of loopback.
// It dies with this process, however that ends.
func start() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	if server.dir, err = os.MkdirTemp("", "millrace-postgres-"); err != nil {
		return err
	}
	owner, err := unprivileged(server.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(server.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "millrace", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	initdb.Dir = server.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	server.address = url.URL{Scheme: "postgres", User: url.User("millrace"), Host: "127.0.0.1:" + strconv.Itoa(port), RawQuery: "sslmode=disable"}
	var log bytes.Buffer
	server.process = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300",
		"-c", "fsync=off", "-c", "full_page_writes=off")
	server.process.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGKILL}
	server.process.Dir = server.dir
	server.process.Stdout, server.process.Stderr = &log, &log
	if err := server.process.Start(); err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := admin("SELECT 1")
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("postgres does not answer: %w\n%s", err, log.String())
		}
	}
}

func stop() {
	if server.process != nil && server.process.Process != nil {
		server.process.Process.Signal(syscall.SIGQUIT) // immediate shutdown: the data is thrown away
		server.process.Wait()
	}
	if server.dir != "" {
		os.RemoveAll(server.dir)
	}
}

// binaries finds the directory of initdb and postgres: on PATH, or where Debian
// keeps the newest version.
func binaries() (string, error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(candidates)
	slices.Reverse(candidates)
	if path, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, dir := range append(candidates, "/usr/bin") {
		_, noInit := os.Stat(filepath.Join(dir, "initdb"))
		_, noServer := os.Stat(filepath.Join(dir, "postgres"))
		if noInit == nil && noServer == nil {
			return dir, nil
		}
	}
	return "", errNoPostgres
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

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	address := server.address
	address.Path = "/postgres"
	conn, err := pgx.Connect(ctx, address.String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
