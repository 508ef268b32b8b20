// Package rabbittest starts a real RabbitMQ for tests, as Fedora's bus has it:
// TLS with client certificates, the virtual host /public_pubsub, the user
// fedora.
package rabbittest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// TB is what is needed of a testing.TB, so that who measures can use a broker
// too.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(f func())
	Skip(args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Server is a broker with nothing in it.
type Server struct {
	// URL is that of amqps, where the certificates in Dir prove the user.
	URL string
	// PlainURL is that of amqp, with a password.
	PlainURL string
	// Authority, Certificate and Key are PEM files for a client.
	Authority, Certificate, Key string
	// Address is where PlainURL leads, for a Proxy.
	Address string

	t      TB
	dir    string
	env    []string
	server string // path of the program
	pid    int    // of the process group
	ended  <-chan struct{}
}

const (
	user     = "fedora"
	password = "mill"
	vhost    = "/public_pubsub"
)

// startTimeout allows for a busy machine; a start takes about five seconds.
const startTimeout = 60 * time.Second

// Start runs a broker until the test ends. Without an installed RabbitMQ the
// test is skipped, but fails where the environment says CI=true.
func Start(t TB) *Server {
	t.Helper()
	server, erlangPorts := find("rabbitmq-server", "/usr/lib/rabbitmq/bin"), find("epmd", "/usr/bin")
	if server == "" || erlangPorts == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("rabbitmq-server is not installed")
		}
		t.Skip("rabbitmq-server is not installed")
	}
	// Not t.TempDir: its long path would not fit some of Erlang's limits, and
	// the broker may still write while it is being removed.
	dir, err := os.MkdirTemp("", "rabbit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ports := freePorts(t, 4)
	s := &Server{
		URL:         fmt.Sprintf("amqps://%s:@127.0.0.1:%d/%%2Fpublic_pubsub", user, ports[1]),
		PlainURL:    fmt.Sprintf("amqp://%s:%s@127.0.0.1:%d/%%2Fpublic_pubsub", user, password, ports[0]),
		Authority:   filepath.Join(dir, "ca.pem"),
		Certificate: filepath.Join(dir, "client.pem"),
		Key:         filepath.Join(dir, "client.key"),
		Address:     fmt.Sprintf("127.0.0.1:%d", ports[0]),
	}
	certify(t, dir)
	configure(t, dir, ports)

	s.t, s.dir, s.env, s.server = t, dir, environment(dir, ports), server
	// The node would start this daemon by itself, and leave it behind.
	run(t, s.env, filepath.Join(dir, "epmd.log"), erlangPorts, "-port", fmt.Sprint(ports[2]), "-address", "127.0.0.1")
	s.Restart()
	return s
}

// Kill ends the broker as a failure of its machine would.
func (s *Server) Kill() {
	s.t.Helper()
	_ = syscall.Kill(-s.pid, syscall.SIGKILL) // it may be gone
	<-s.ended
}

// Restart starts the broker again after Kill, with all that it had on disk.
func (s *Server) Restart() {
	s.t.Helper()
	log := filepath.Join(s.dir, "server.log")
	s.pid, s.ended = run(s.t, s.env, log, s.server)
	awaitReady(s.t, s, log, s.ended)
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

func freePorts(t TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports
}

func configure(t TB, dir string, ports []int) {
	t.Helper()
	write(t, dir, "plugins", "[rabbitmq_auth_mechanism_ssl].\n")
	write(t, dir, "advanced.config", "[].\n")
	write(t, dir, "rabbitmq.conf", strings.NewReplacer(
		"$DIR", dir, "$PORT", fmt.Sprint(ports[0]), "$TLSPORT", fmt.Sprint(ports[1]),
		"$USER", user, "$PASSWORD", password, "$VHOST", vhost,
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
`))
}

// environment keeps the broker apart from any other on the machine.
func environment(dir string, ports []int) []string {
	env := []string{
		"HOME=" + dir, // of the cookie
		"PATH=" + os.Getenv("PATH"),
		"LANG=C.UTF-8",
		fmt.Sprintf("ERL_EPMD_PORT=%d", ports[2]),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=mill%d@localhost", ports[0]),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", ports[3]),
		// One scheduler starts faster beside other tests than one a core.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
	}
	for name, file := range map[string]string{
		"CONF_ENV_FILE": "no-env", "CONFIG_FILE": "rabbitmq.conf", "ADVANCED_CONFIG_FILE": "advanced.config",
		"ENABLED_PLUGINS_FILE": "plugins", "MNESIA_BASE": "data", "LOG_BASE": "log", "PID_FILE": "pid",
		"GENERATED_CONFIG_DIR": "generated", "FEATURE_FLAGS_FILE": "features",
	} {
		env = append(env, "RABBITMQ_"+name+"="+filepath.Join(dir, file))
	}
	return env
}

// watched runs its arguments, and ends them when its file 3 does: the test
// holds the other end, and may itself be ended without a chance to clean up.
const watched = `(trap "" TERM; cat <&3; kill -TERM 0; sleep 10; kill -KILL 0) >/dev/null 2>&1 & exec "$@" 3<&-`

// run starts a program in a process group of its own, which is ended with the
// test. The channel is closed when the program has ended.
func run(t TB, env []string, log, name string, args ...string) (pid int, running <-chan struct{}) {
	t.Helper()
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	cmd := exec.Command("sh", append([]string{"-c", watched, "sh", name}, args...)...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = env, out, out, filepath.Dir(log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		// How it ended does not matter; the log says why if it was too early.
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
		}
		// Helpers of the runtime may outlive it.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		ours.Close()
	})
	return cmd.Process.Pid, ended
}

// awaitReady waits until the broker answers with its protocol.
func awaitReady(t TB, s *Server, log string, ended <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for !answers(ctx, s.Address) {
		select {
		case <-ended:
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
			continue
		}
		said, _ := os.ReadFile(log)
		t.Fatalf("RabbitMQ did not start:\n%s", said)
	}
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

// certify makes an authority and certificates for the broker and for user.
func certify(t TB, dir string) {
	t.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey := issue(t, dir, "ca", ca, ca, nil)
	issue(t, dir, "server", &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, caKey)
	issue(t, dir, "client", &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: user},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, caKey)
}

func issue(t TB, dir, name string, cert, signer *x509.Certificate, signerKey *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signerKey == nil {
		signerKey = key
	}
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, cert, signer, &key.PublicKey, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, name+".pem", encode("CERTIFICATE", der))
	write(t, dir, name+".key", encode("PRIVATE KEY", keyDER))
	return key
}

func encode(kind string, der []byte) string {
	var b bytes.Buffer
	// A buffer takes everything.
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
	return b.String()
}

func write(t TB, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
