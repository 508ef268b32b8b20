package fedmsg

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Broker says where the bus is and who connects to it.
type Broker struct {
	// URL is amqps://user:@host/vhost, with the vhost's slashes as %2F. Fedora's
	// is amqps://fedora:@rabbitmq.fedoraproject.org/%2Fpublic_pubsub.
	URL string
	// TLS is for amqps. If it has a certificate, that proves who we are, and
	// not the password in URL.
	TLS      *tls.Config
	Exchange string // "" means amq.topic

	// App, AppURL and Contact tell the broker's admins whose connection it is.
	App, AppURL, Contact string
}

const (
	connectTimeout   = 10 * time.Second
	handshakeTimeout = 30 * time.Second
	heartbeat        = 30 * time.Second
	closeTimeout     = 5 * time.Second
)

// Error is what went wrong between the broker and us.
type Error struct {
	Op   string // what was being done, such as "declaring the queue"
	Code int    // AMQP's reply code, 0 if the broker said none
	Err  error
}

func (e *Error) Error() string { return "message bus: " + e.Op + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same may succeed later: anything but the
// broker's word that it is forbidden, unknown or otherwise than it should be.
func (e *Error) Temporary() bool {
	switch e.Code {
	case amqp.AccessRefused, amqp.NotFound, amqp.PreconditionFailed, amqp.NotAllowed, amqp.NotImplemented:
		return false
	}
	return true
}

func failure(op string, err error) *Error {
	e := &Error{Op: op, Err: err}
	if refusal, ok := errors.AsType[*amqp.Error](err); ok {
		e.Code = refusal.Code
	}
	return e
}

// LoadTLS makes a configuration for Broker from PEM files: the authority that
// signed the broker's certificate ("" means the system's), and our certificate
// with its key.
func LoadTLS(authority, certificate, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if authority != "" {
		pem, err := os.ReadFile(authority)
		if err != nil {
			return nil, fmt.Errorf("reading the message bus's authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the message bus's authority: no certificate in %s", authority)
		}
	}
	if certificate != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate for the message bus: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// check finds what no repetition will cure. It does not repeat the URL, which
// may hold a password.
func (b *Broker) check() error {
	if _, err := amqp.ParseURI(b.URL); err != nil {
		return errors.New("the message bus's URL is not one of amqp or amqps")
	}
	return nil
}

func (b *Broker) exchange() string { return cmp.Or(b.Exchange, "amq.topic") }

// open connects. The caller closes the connection, and with it the channel.
func (b *Broker) open(ctx context.Context) (*amqp.Connection, *amqp.Channel, error) {
	if err := b.check(); err != nil {
		return nil, nil, err
	}
	config := amqp.Config{
		Heartbeat:       heartbeat,
		TLSClientConfig: b.TLS.Clone(), // the library writes the host's name into it
		Properties:      amqp.NewConnectionProperties(),
		Dial: func(network, address string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: connectTimeout}
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			// The library takes it off after the handshake.
			if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
				conn.Close()
				return nil, err
			}
			return conn, nil
		},
	}
	for key, value := range map[string]string{"app": b.App, "app_url": b.AppURL, "app_contacts_email": b.Contact} {
		if value != "" {
			config.Properties[key] = value
		}
	}
	if b.TLS != nil && (len(b.TLS.Certificates) > 0 || b.TLS.GetClientCertificate != nil) {
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	conn, err := amqp.DialConfig(b.URL, config)
	if err != nil {
		return nil, nil, failure("connecting", err)
	}
	channel, err := conn.Channel()
	if err != nil {
		hangUp(conn)
		return nil, nil, failure("opening a channel", err)
	}
	return conn, channel, nil
}

// hangUp closes a connection, but does not wait long for a broker that may be
// gone. If closing fails, it is gone.
func hangUp(conn *amqp.Connection) {
	_ = conn.CloseDeadline(time.Now().Add(closeTimeout))
}
