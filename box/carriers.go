package box

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"millrace/clients/fedmsg"
	"millrace/clients/fedmsg/rabbitserver"
)

// hook is the carrier that needs nothing: it posts messages to the service.
type hook struct {
	token  string
	target func() string // address of the service's hook; empty while unknown
	client *http.Client
}

// envelope is how a message is written that was taken from AMQP.
type envelope struct {
	Topic   string          `json:"topic"`
	ID      string          `json:"id"`
	Headers map[string]any  `json:"headers"`
	Body    json.RawMessage `json:"body"`
}

func (h *hook) carry(ctx context.Context, m Message) (answer string, err error) {
	target := h.target()
	if target == "" {
		return "", errors.New("the service is not known yet")
	}
	text, err := json.Marshal(envelope{m.Topic, m.ID, map[string]any{
		"fedora_messaging_schema": "base.message", "fedora_messaging_severity": 20, "priority": 0,
		"sent-at": m.Created.Format(time.RFC3339),
	}, m.Body})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+h.token)
	res, err := h.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	begin, err := io.ReadAll(io.LimitReader(res.Body, 1000))
	if err != nil {
		return "", err
	}
	answer = fmt.Sprintf("%d %s", res.StatusCode, strings.ToValidUTF8(string(begin), "�"))
	switch status := res.StatusCode; {
	case status/100 == 2:
		return answer, nil
	case status/100 == 4 && status != http.StatusTooManyRequests:
		return "", fmt.Errorf("%w: %s", errRefused, answer)
	}
	return "", errors.New(answer)
}

// broker is the carrier that is as Fedora's: a RabbitMQ, which keeps messages
// until the service has taken them.
type broker struct {
	server    *rabbitserver.Server
	publisher *fedmsg.Publisher
}

// brokerAnswer is what is said to messages that a broker has taken.
const brokerAnswer = "RabbitMQ has it, for the queue of the service."

func (c *broker) carry(ctx context.Context, m Message) (answer string, err error) {
	err = c.publisher.Publish(ctx, fedmsg.Message{ID: m.ID, Topic: m.Topic, SentAt: m.Created, Body: m.Body})
	if failure, ok := errors.AsType[*fedmsg.Error](err); err != nil && (!ok || !failure.Temporary()) {
		return "", fmt.Errorf("%w: %w", errRefused, err)
	}
	return brokerAnswer, err
}

func (c *broker) close() {
	c.publisher.Close()
	c.server.Stop()
}

// BusAccess is how the service listens to the message bus over AMQP.
type BusAccess struct {
	URL, Queue                  string
	Authority, Certificate, Key string // PEM files
}

// busQueue is the queue of the service at the broker.
const busQueue = "millrace"

// passage is how messages come to the service.
type passage struct {
	kind    Bus
	why     string        // it is not RabbitMQ, if that should be known
	err     error         // RabbitMQ was asked for and did not start
	settled chan struct{} // closed when the above no longer changes
}

// Bus says what carries messages, which may be a RabbitMQ that is still being
// started; or why it is none, if that should be known.
func (b *Box) Bus() (kind Bus, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.passage.kind, b.passage.why
}

// AwaitBus waits until it is clear what carries messages, and reports whether that
// is a RabbitMQ. The error is that one was asked for and did not start.
func (b *Box) AwaitBus(ctx context.Context) (rabbitMQ bool, err error) {
	select {
	case <-b.passage.settled:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.passage.kind == BusRabbitMQ, b.passage.err
}

// StartBus starts the broker, if there shall be one. It takes longer than all else
// together, so it is for when there is nothing more to be shown first.
func (b *Box) StartBus() {
	if b.broker != nil {
		b.working.Go(b.startBroker)
	}
}

// openBus opens the bus and prepares its broker, if there shall be one.
func (b *Box) openBus() (err error) {
	if b.bus, err = openBus(b.path("bus"), b.log); err != nil {
		return err
	}
	b.passage.settled = make(chan struct{})
	if b.options.Bus == BusInProcess {
		b.settle("", nil)
		return nil
	}
	server, err := rabbitserver.New(b.path("rabbitmq"))
	if err != nil {
		return b.settle("", err)
	}
	a := BusAccess{URL: server.URL, Queue: busQueue, Authority: server.Authority, Certificate: server.Certificate, Key: server.Key}
	config, err := fedmsg.LoadTLS(a.Authority, a.Certificate, a.Key)
	if err != nil {
		return err
	}
	b.access.Bus, b.passage.kind = a, BusRabbitMQ
	b.broker = &broker{server, &fedmsg.Publisher{Broker: fedmsg.Broker{URL: a.URL, TLS: config, App: "Fedora in a box", AppURL: b.access.URL}}}
	return nil
}

// startBroker starts the broker. Messages are kept until its queue is there.
func (b *Box) startBroker() {
	err := b.broker.server.Start(b.ctx)
	if err == nil {
		queue := &fedmsg.Consumer{Broker: b.broker.publisher.Broker, Queue: busQueue, Topics: b.options.BusTopics}
		err = queue.Declare(b.ctx)
	}
	if b.ctx.Err() != nil {
		return // nothing more is carried
	}
	if err = b.settle("RabbitMQ did not start", err); err != nil {
		b.log.Error("there is no message bus", "error", err)
	}
}

// settle says who carries messages: the broker if there is one and nothing went
// wrong with it; otherwise the hook, unless it had to be the broker.
func (b *Box) settle(why string, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer close(b.passage.settled)
	switch {
	case b.broker != nil && err == nil:
		b.bus.carryWith(b.broker)
		return nil
	case err != nil && b.options.Bus == BusRabbitMQ:
		b.passage.err = err
		return err
	case err != nil:
		b.log.Warn("messages do not go through RabbitMQ", "error", err)
		b.passage.why = cmp.Or(why, err.Error())
	}
	b.passage.kind = BusInProcess
	b.bus.carryWith(&hook{b.access.BusToken, b.target(BusHook), &http.Client{Timeout: 10 * time.Second}})
	return nil
}
