// Package mailfake is a small mail relay that speaks SMTP and keeps what it is
// given, in memory.
package mailfake

import (
	"bufio"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"time"
)

// Options say what kind of relay it is.
type Options struct {
	Addr     string // host and port to listen on; empty: any free one of this machine
	TLS      bool   // from the beginning
	StartTLS bool   // is offered
	User     string
	Password string // of that user, who has to log in if there is one
}

// Mail is a message that was taken.
type Mail struct {
	From, To string
	Text     string // with its headers, lines ending in \r\n
	Secure   bool   // it came over TLS
	At       time.Time
}

// Fault is how the relay answers a command, such as RCPT, instead of as it
// should; greeting is one of them.
type Fault struct {
	Command string
	Answer  string        // such as "451 later"; empty: it hangs up
	After   bool          // with DATA: the message is taken first
	Delay   time.Duration // before it
}

// Server is a relay. It is safe for concurrent use.
type Server struct {
	Addr  string      // where it listens
	Trust *tls.Config // with which clients trust it

	options  Options
	config   *tls.Config
	listener net.Listener
	working  sync.WaitGroup

	mu     sync.Mutex // above what follows
	mails  []Mail
	faults []Fault
	conns  map[net.Conn]bool
	closed bool
}

// Start opens a relay on this machine. Close ends it.
func Start(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", cmp.Or(o.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("starting the relay: %w", err)
	}
	s := &Server{Addr: listener.Addr().String(), options: o, listener: listener, conns: map[net.Conn]bool{}}
	if err := s.certify(); err != nil {
		listener.Close()
		return nil, fmt.Errorf("starting the relay: %w", err)
	}
	s.working.Go(s.accept)
	return s, nil
}

func (s *Server) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	s.Trust = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	s.config = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return nil
}

// Close ends the relay and all connections.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.listener.Close()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.working.Wait()
}

// Mails are the messages that were taken, the oldest first.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Misbehave spoils the next commands, each fault the first that it is for.
func (s *Server) Misbehave(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

func (s *Server) fault(command string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Command == command {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			return f, true
		}
	}
	return Fault{}, false
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			conn.Close()
		}
		s.conns[conn] = true
		s.mu.Unlock()
		s.working.Go(func() {
			defer func() {
				conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			t := &talk{server: s, conn: conn}
			if s.options.TLS {
				t.conn, t.secure = tls.Server(conn, s.config), true
			}
			t.run()
		})
	}
}

// talk is a connection.
type talk struct {
	server   *Server
	conn     net.Conn
	in       *textproto.Reader
	secure   bool
	loggedIn bool
	from, to string
}

func (t *talk) say(line string) bool {
	_, err := io.WriteString(t.conn, line+"\r\n")
	return err == nil
}

// spoiled does what is to go wrong with a command; goOn is whether the talk goes
// on.
func (t *talk) spoiled(command string) (spoiled, goOn bool) {
	f, ok := t.server.fault(command)
	if !ok || f.After {
		if ok {
			t.server.Misbehave(f)
		}
		return false, true
	}
	time.Sleep(f.Delay)
	return true, f.Answer != "" && t.say(f.Answer)
}

const (
	patience = time.Minute
	maxMail  = 10 << 20

	mostMails = 1000 // that are kept
)

func (t *talk) run() {
	t.in = textproto.NewReader(bufio.NewReader(t.conn))
	if bad, goOn := t.spoiled("greeting"); bad && !goOn || !bad && !t.say("220 relay ESMTP") {
		return
	}
	for {
		if t.conn.SetDeadline(time.Now().Add(patience)) != nil {
			return
		}
		line, err := t.in.ReadLine()
		if err != nil {
			return
		}
		command, rest, _ := strings.Cut(line, " ")
		command = strings.ToUpper(command)
		if bad, goOn := t.spoiled(command); bad {
			if !goOn {
				return
			}
			continue
		}
		if !t.answer(command, rest) {
			return
		}
	}
}

// answer does what a command says, and reports whether the talk goes on.
func (t *talk) answer(command, rest string) bool {
	o := t.server.options
	switch command {
	case "EHLO", "HELO":
		lines := []string{"relay"}
		if o.StartTLS && !t.secure {
			lines = append(lines, "STARTTLS")
		}
		if o.User != "" {
			lines = append(lines, "AUTH PLAIN")
		}
		for i, l := range lines {
			mark := "-"
			if i == len(lines)-1 {
				mark = " "
			}
			if !t.say("250" + mark + l) {
				return false
			}
		}
		return true
	case "STARTTLS":
		if !o.StartTLS || t.secure {
			return t.say("502 not here")
		}
		if !t.say("220 go on") {
			return false
		}
		t.conn, t.secure = tls.Server(t.conn, t.server.config), true
		t.in = textproto.NewReader(bufio.NewReader(t.conn))
		return true
	case "AUTH":
		_, secret, _ := strings.Cut(rest, " ")
		want := base64.StdEncoding.EncodeToString([]byte("\x00" + o.User + "\x00" + o.Password))
		if secret != want {
			return t.say("535 5.7.8 wrong login")
		}
		t.loggedIn = true
		return t.say("235 welcome")
	case "MAIL":
		if o.User != "" && !t.loggedIn {
			return t.say("530 5.7.0 log in first")
		}
		t.from = address(rest)
		return t.say("250 ok")
	case "RCPT":
		t.to = address(rest)
		return t.say("250 ok")
	case "DATA":
		return t.data()
	case "QUIT":
		t.say("221 bye")
		return false
	case "RSET", "NOOP":
		return t.say("250 ok")
	}
	return t.say("502 unknown")
}

func (t *talk) data() bool {
	if t.from == "" || t.to == "" {
		return t.say("503 whom to?")
	}
	if !t.say("354 go on") {
		return false
	}
	text, err := io.ReadAll(io.LimitReader(t.in.DotReader(), maxMail))
	if err != nil {
		return false
	}
	s := t.server
	s.mu.Lock()
	s.mails = append(s.mails, Mail{t.from, t.to, strings.ReplaceAll(string(text), "\n", "\r\n"), t.secure, time.Now()})
	s.mails = s.mails[max(0, len(s.mails)-mostMails):]
	s.mu.Unlock()
	if f, ok := s.fault("DATA"); ok {
		time.Sleep(f.Delay)
		return f.Answer != "" && t.say(f.Answer)
	}
	return t.say("250 taken")
}

// address is what stands in angles.
func address(text string) string {
	_, text, _ = strings.Cut(text, "<")
	text, _, _ = strings.Cut(text, ">")
	return text
}
