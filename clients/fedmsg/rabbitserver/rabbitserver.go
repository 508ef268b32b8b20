// Package rabbitserver runs a RabbitMQ of our own, as Fedora's bus has it: TLS
// with client certificates, the virtual host /public_pubsub, the user fedora.
// Only this machine reaches it, and it shares nothing with another on it.
package rabbitserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"millrace/clients/ports"
)

// ErrMissing says that RabbitMQ is not on this machine.
var ErrMissing = errors.New("rabbitmq-server is not installed")

// Server is a broker. Many may talk to it at once; one starts and stops it.
type Server struct {
	// URL is that of amqps, where Certificate proves the user.
	URL string
	// PlainURL is that of amqp, with a password.
	PlainURL string
	// Authority, Certificate and Key are PEM files for a client.
	Authority, Certificate, Key string
	// Address is where PlainURL leads: a host and port.
	Address string

	secure   string // host and port of URL
	dir      string
	epmdPort int
	env      []string
	programs programs
	group    *group // nil while it does not run
}

const (
	user  = "fedora"
	vhost = "/public_pubsub"
)

// startTimeout allows for a busy machine; a start takes about five seconds of one
// core.
const startTimeout = 3 * time.Minute

// Installed reports whether there is a RabbitMQ to run.
func Installed() bool {
	_, err := findPrograms()
	return err == nil
}

// New prepares a broker, which Start starts: it chooses free ports, and makes new
// certificates. It keeps all that it has in dir, which is for it alone, and has
// it again when a later broker is made there. The error is ErrMissing if there is
// no RabbitMQ.
func New(dir string) (*Server, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("preparing RabbitMQ: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("preparing RabbitMQ: %w", err)
	}
	password, err := keptPassword(dir)
	if err != nil {
		return nil, fmt.Errorf("preparing RabbitMQ: %w", err)
	}
	free, err := ports.Free(4)
	if err != nil {
		return nil, fmt.Errorf("preparing RabbitMQ: %w", err)
	}
	plain, secure, epmd, distribution := free[0], free[1], free[2], free[3]
	if err := errors.Join(certify(dir), configure(dir, password, plain, secure)); err != nil {
		return nil, fmt.Errorf("preparing RabbitMQ: %w", err)
	}
	return &Server{
		URL:         fmt.Sprintf("amqps://%s:@127.0.0.1:%d/%%2Fpublic_pubsub", user, secure),
		PlainURL:    fmt.Sprintf("amqp://%s:%s@127.0.0.1:%d/%%2Fpublic_pubsub", user, password, plain),
		Authority:   filepath.Join(dir, "ca.pem"),
		Certificate: filepath.Join(dir, "client.pem"),
		Key:         filepath.Join(dir, "client.key"),
		Address:     fmt.Sprintf("127.0.0.1:%d", plain),
		secure:      fmt.Sprintf("127.0.0.1:%d", secure),
		dir:         dir, epmdPort: epmd, env: environment(dir, epmd, distribution), programs: programs,
	}, nil
}

// Start returns when the broker answers. What is left of one that ran in the same
// directory, and whose owner was killed, is ended first.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := endOrphan(ctx, s.dir); err != nil {
		return fmt.Errorf("starting RabbitMQ: %w", err)
	}
	var err error
	if s.group, err = startGroup(s); err != nil {
		return fmt.Errorf("starting RabbitMQ: %w", err)
	}
	for !answers(ctx, s.Address) || !listens(ctx, s.secure) {
		select {
		case <-s.group.ended:
			err = errors.New("it ended")
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(100 * time.Millisecond):
			continue
		}
		s.Kill()
		return fmt.Errorf("starting RabbitMQ: %w; %s says:\n%s", err, s.log(), s.lastWords())
	}
	return nil
}

// Stop lets the broker end in good order, within ten seconds.
func (s *Server) Stop() { s.end(10 * time.Second) }

// Kill ends the broker as a failure of its machine would. Start starts it again
// with all that it had on disk.
func (s *Server) Kill() { s.end(0) }

func (s *Server) end(patience time.Duration) {
	if s.group == nil {
		return
	}
	s.group.end(patience)
	s.group = nil
}

func (s *Server) log() string { return filepath.Join(s.dir, "server.log") }

// lastWords is the end of what the broker said.
func (s *Server) lastWords() string {
	const most = 4000
	said, _ := os.ReadFile(s.log()) // if there is none, it said nothing
	return strings.TrimSpace(string(said[max(0, len(said)-most):]))
}

// programs are the paths of what is run: the broker, and the daemon that knows
// its port.
type programs struct{ server, epmd string }

func findPrograms() (programs, error) {
	p := programs{find("rabbitmq-server", "/usr/lib/rabbitmq/bin"), find("epmd", "/usr/bin")}
	if p.server == "" || p.epmd == "" {
		return programs{}, ErrMissing
	}
	return p, nil
}

// find prefers folder: what Debian puts into the path changes the user first.
func find(name, folder string) string {
	path := filepath.Join(folder, name)
	if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// keptPassword is that of the user, who is made when the broker first starts in a
// directory.
func keptPassword(dir string) (string, error) {
	kept := filepath.Join(dir, "password")
	text, err := os.ReadFile(kept)
	if !errors.Is(err, fs.ErrNotExist) {
		return string(text), err
	}
	password := rand.Text()
	return password, os.WriteFile(kept, []byte(password), 0o600)
}

func configure(dir, password string, plain, secure int) error {
	files := map[string]string{"plugins": "[rabbitmq_auth_mechanism_ssl].\n", "advanced.config": "[].\n", "rabbitmq.conf": strings.NewReplacer(
		"$DIR", dir, "$PORT", fmt.Sprint(plain), "$TLSPORT", fmt.Sprint(secure), "$USER", user, "$PASSWORD", password, "$VHOST", vhost,
	).Replace(`listeners.tcp.1 = 127.0.0.1:$PORT
listeners.ssl.1 = 127.0.0.1:$TLSPORT
ssl_options.cacertfile = $DIR/ca.pem
ssl_options.certfile = $DIR/server.pem
ssl_options.keyfile = $DIR/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_cert_login_from = common_name
auth_mechanisms.1 = EXTERNAL
auth_mechanisms.2 = PLAIN
default_vhost = $VHOST
default_user = $USER
default_pass = $PASSWORD
loopback_users = none
disk_free_limit.absolute = 1MB
log.console = true
log.console.level = warning
`)}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// environment keeps the broker apart from any other on the machine. Its name, by
// which it finds its data again, is unique at its own epmd.
func environment(dir string, epmd, distribution int) []string {
	env := []string{
		"HOME=" + dir, // of the cookie
		"PATH=" + os.Getenv("PATH"),
		"LANG=C.UTF-8",
		fmt.Sprintf("ERL_EPMD_PORT=%d", epmd),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=millrace@localhost",
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", distribution),
		// One scheduler starts faster beside other work than one a core, and one
		// that sleeps when there is nothing to do leaves the machine alone.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
	}
	for name, file := range map[string]string{
		"CONF_ENV_FILE": "no-env", "CONFIG_FILE": "rabbitmq.conf", "ADVANCED_CONFIG_FILE": "advanced.config",
		"ENABLED_PLUGINS_FILE": "plugins", "LOG_BASE": "log", "PID_FILE": "pid",
		"GENERATED_CONFIG_DIR": "generated", "FEATURE_FLAGS_FILE": "features",
	} {
		env = append(env, "RABBITMQ_"+name+"="+filepath.Join(dir, file))
	}
	return append(env, inDirectory(dir))
}

// inDirectory is the variable that tells the processes of a broker in dir from all
// others.
func inDirectory(dir string) string { return "RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data") }

func listens(ctx context.Context, address string) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// answers greets the broker, which begins to speak when it is ready for users.
func answers(ctx context.Context, address string) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return false
	}
	first := make([]byte, 1)
	n, _ := conn.Read(first)
	return n == 1 && first[0] == 1 // a method: connection.start
}
