// Package mail sends messages to people, through a relay that takes them from
// us (RFC 5321, RFC 5322).
package mail

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/wire"
)

// Security is how the way to the relay is protected.
type Security string

const (
	StartTLS Security = "starttls" // asked for after the greeting; without it nothing is sent
	TLS      Security = "tls"      // from the beginning
	Plain    Security = "none"     // for a relay on this machine
)

// Client sends through one relay. It repeats nothing.
type Client struct {
	Relay    string // host and port
	From     string // such as Millrace <millrace@example.org>
	User     string // empty: the relay needs no login
	Password string
	Security Security    // empty means StartTLS
	TLS      *tls.Config // for an authority of the operator's own; nil means the system's
	Hello    string      // our name for the relay; empty means localhost
	Timeout  time.Duration
}

// defaultTimeout is for a whole message: relays look at each for a while.
const defaultTimeout = time.Minute

// Message is a text for one person.
type Message struct {
	// ID is the same when it is sent again, so that readers' programs show it
	// once; it has no blanks and no @.
	ID      string
	Thread  string // ID of the first message about the same; empty: this one is
	To      string
	Subject string
	Text    string
	At      time.Time
	Manage  string // address of the page where one stops getting such messages; may be empty
	OneStep bool   // a POST to that address stops them, without a question or a login (RFC 8058)
}

const (
	maxText    = 256 << 10 // bytes
	maxSubject = 200       // characters
)

// Error is why a message was not sent.
type Error struct {
	Doing string // such as "handing over the recipient"
	Code  int    // the relay's, 0 if it said none
	Err   error
}

func (e *Error) Error() string { return "mail: " + e.Doing + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same message may be taken later: the relay said
// so, or said nothing.
func (e *Error) Temporary() bool {
	if errors.Is(e.Err, errUnfit) {
		return false
	}
	return e.Code == 0 || e.Code/100 == 4
}

// errUnfit says that a message, or the settings, are not as they must be.
var errUnfit = errors.New("it cannot be sent")

func unfit(doing, text string, args ...any) *Error {
	return &Error{Doing: doing, Err: fmt.Errorf("%w: "+text, append([]any{errUnfit}, args...)...)}
}

func failure(doing string, err error) *Error {
	e := &Error{Doing: doing, Err: err}
	if said, ok := errors.AsType[*textproto.Error](err); ok {
		e.Code = said.Code
		e.Err = fmt.Errorf("%d %s", said.Code, httpx.Clean(said.Msg, 500))
	}
	return e
}

// Check says everything that is wrong with the settings, without a connection.
func (c *Client) Check() error {
	var wrong []error
	if _, err := netmail.ParseAddress(c.From); err != nil {
		wrong = append(wrong, unfit("reading the sender", "%q is no address", c.From))
	}
	host, _, err := net.SplitHostPort(c.Relay)
	if err != nil || host == "" {
		wrong = append(wrong, unfit("reading the relay", "%q is not a host and a port", c.Relay))
	}
	switch c.Security {
	case "", StartTLS, TLS:
	case Plain:
		if c.User != "" && !isLocal(host) {
			wrong = append(wrong, unfit("reading the settings", "the password would go over the network in the clear"))
		}
	default:
		wrong = append(wrong, unfit("reading the settings", "%q is none of starttls, tls, none", c.Security))
	}
	return errors.Join(wrong...)
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Reach connects to the relay and logs in, and sends nothing.
func (c *Client) Reach(ctx context.Context) error {
	if err := c.Check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, defaultTimeout))
	defer cancel()
	client, hangUp, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp()
	_ = client.Quit() // it let us in
	return nil
}

// Send hands one message to the relay. When it returns nil the relay has it. If
// its error is temporary, the relay may have it too.
func (c *Client) Send(ctx context.Context, m Message) error {
	if err := c.Check(); err != nil {
		return err
	}
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return unfit("reading the sender", "%q is no address", c.From)
	}
	to, err := netmail.ParseAddress(m.To)
	if err != nil {
		return unfit("reading the recipient", "%q is no address", httpx.Clean(m.To, 200))
	}
	text, err := write(m, from, to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, defaultTimeout))
	defer cancel()
	client, hangUp, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp()
	if err := client.Mail(from.Address); err != nil {
		return failure("handing over the sender", err)
	}
	if err := client.Rcpt(to.Address); err != nil {
		return failure("handing over the recipient", err)
	}
	w, err := client.Data()
	if err != nil {
		return failure("handing over the text", err)
	}
	if _, err := w.Write(text); err != nil {
		return failure("handing over the text", err)
	}
	if err := w.Close(); err != nil {
		return failure("handing over the text", err)
	}
	_ = client.Quit() // it has the message, whatever it says to this
	return nil
}

// connect greets the relay and logs in. hangUp ends the connection.
func (c *Client) connect(ctx context.Context) (client *smtp.Client, hangUp func(), err error) {
	host, _, err := net.SplitHostPort(c.Relay)
	if err != nil {
		return nil, nil, unfit("reading the relay", "%q is not a host and a port", c.Relay)
	}
	config := c.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.ServerName = cmp.Or(config.ServerName, host)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.Relay)
	if err != nil {
		return nil, nil, failure("connecting", err)
	}
	raw := conn
	stop := context.AfterFunc(ctx, func() { raw.Close() }) // ends what is being waited for
	end := func() {
		stop()
		raw.Close()
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	if c.Security == TLS {
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, nil, failure("securing the connection", err)
		}
		conn = secured
	}
	if client, err = smtp.NewClient(&bounded{Conn: conn}, host); err != nil {
		return nil, nil, failure("being greeted", err)
	}
	if err := client.Hello(cmp.Or(c.Hello, "localhost")); err != nil {
		return nil, nil, failure("greeting", err)
	}
	if cmp.Or(c.Security, StartTLS) == StartTLS {
		if err := client.StartTLS(config); err != nil {
			return nil, nil, failure("securing the connection", err)
		}
	}
	if c.User != "" {
		// It refuses by itself to say the password without TLS, but to this machine.
		if err := client.Auth(smtp.PlainAuth("", c.User, c.Password, host)); err != nil {
			return nil, nil, failure("logging in", err)
		}
	}
	return client, end, nil
}

// bounded ends a relay that talks without end.
type bounded struct {
	net.Conn
	read int
}

const maxTalk = 1 << 20

func (b *bounded) Read(p []byte) (int, error) {
	if b.read > maxTalk {
		return 0, errors.New("the relay talks too much")
	}
	n, err := b.Conn.Read(p)
	b.read += n
	return n, err
}

// write makes the text of a message. Nothing in m can add a header: all is
// encoded.
func write(m Message, from, to *netmail.Address) ([]byte, error) {
	_, domain, _ := strings.Cut(from.Address, "@")
	id := func(text string) (string, error) {
		if !wire.Printable(text, 200) || strings.ContainsAny(text, " <>@\"\\()[],:;") {
			return "", unfit("writing the message", "%s is no id of a message", wire.Quote(text))
		}
		return "<" + text + "@" + domain + ">", nil
	}
	own, err := id(m.ID)
	if err != nil {
		return nil, err
	}
	if len(m.Text) > maxText {
		return nil, unfit("writing the message", "the text has %d bytes, more than %d", len(m.Text), maxText)
	}
	subject := strings.Join(strings.Fields(httpx.Clean(m.Subject, 4*maxSubject)), " ")
	if r := []rune(subject); len(r) > maxSubject {
		subject = string(r[:maxSubject-1]) + "…"
	}
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", from.String())
	header("To", to.String())
	header("Subject", mime.QEncoding.Encode("utf-8", subject))
	header("Date", m.At.UTC().Format(time.RFC1123Z))
	header("Message-ID", own)
	if m.Thread != "" && m.Thread != m.ID {
		first, err := id(m.Thread)
		if err != nil {
			return nil, err
		}
		header("In-Reply-To", first)
		header("References", first)
	}
	if page := wire.WebURL(m.Manage); page != "" && !strings.ContainsAny(page, "<> ,") {
		header("List-Unsubscribe", "<"+page+">")
		if m.OneStep {
			header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
		}
	}
	header("Auto-Submitted", "auto-generated") // RFC 3834: no absence notes, please
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := io.WriteString(w, httpx.Clean(m.Text, maxText)+"\n"); err != nil { // into memory: it does not fail
		return nil, failure("writing the message", err)
	}
	if err := w.Close(); err != nil {
		return nil, failure("writing the message", err)
	}
	return b.Bytes(), nil
}
