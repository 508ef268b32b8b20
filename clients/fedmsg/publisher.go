package fedmsg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"millrace/clients/wire"
)

// Publisher sends messages. It connects when it is first used, and again after
// an error; Close ends it. Many may use one at once, and then take turns.
type Publisher struct {
	Broker

	mu      sync.Mutex
	conn    *amqp.Connection
	channel *amqp.Channel
	closed  chan *amqp.Error // why the channel was closed
}

// publishTimeout is how long the broker may take to confirm a message.
const publishTimeout = 30 * time.Second

// Publish returns when the broker has the message, or an *Error. If that is
// temporary, the message may have been sent: send it again with the same ID,
// which Publish makes up if it is "", as it does the time. It does not matter
// whether anyone listens.
func (p *Publisher) Publish(ctx context.Context, m Message) error {
	if err := checkBody(m.Body); err != nil {
		return fmt.Errorf("publishing on %s: %w", m.Topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.connect(ctx); err != nil {
		return err
	}
	if err := p.send(ctx, m); err != nil {
		p.disconnect()
		return err
	}
	return nil
}

// Close ends the connection. Publish would open another.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disconnect()
}

// connect is called with p.mu held, as are the following.
func (p *Publisher) connect(ctx context.Context) error {
	if p.channel != nil && !p.channel.IsClosed() {
		return nil
	}
	p.disconnect()
	conn, channel, err := p.open(ctx)
	if err != nil {
		return err
	}
	if err := channel.Confirm(false); err != nil {
		hangUp(conn)
		return failure("asking for confirmations", err)
	}
	p.conn, p.channel = conn, channel
	p.closed = channel.NotifyClose(make(chan *amqp.Error, 1))
	return nil
}

func (p *Publisher) disconnect() {
	if p.conn != nil {
		hangUp(p.conn)
	}
	p.conn, p.channel, p.closed = nil, nil, nil
}

func (p *Publisher) send(ctx context.Context, m Message) error {
	sentAt := m.SentAt
	if sentAt.IsZero() {
		sentAt = time.Now()
	}
	confirmation, err := p.channel.PublishWithDeferredConfirmWithContext(ctx, p.exchange(), m.Topic, false, false, amqp.Publishing{
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    amqp.Persistent,
		MessageId:       cmp.Or(m.ID, wire.NewUUID()),
		Headers: amqp.Table{
			"fedora_messaging_schema":         "base.message",
			"fedora_messaging_schema_package": "fedora_messaging",
			"fedora_messaging_severity":       int32(20), // information
			"sent-at":                         sentAt.UTC().Format("2006-01-02T15:04:05+00:00"),
		},
		Body: m.Body,
	})
	if err != nil {
		return failure("publishing on "+m.Topic, err)
	}
	confirmed, err := confirmation.WaitContext(ctx)
	if err != nil {
		return failure("waiting for the confirmation of a message on "+m.Topic, err)
	}
	if confirmed {
		return nil
	}
	select {
	case reason := <-p.closed:
		if reason != nil {
			return failure("publishing on "+m.Topic, reason)
		}
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond): // the channel is open: it said no
	}
	return failure("publishing on "+m.Topic, errors.New("the broker did not take the message"))
}
