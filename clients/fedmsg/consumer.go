package fedmsg

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"millrace/clients/wire"
)

// ErrDrop in a handler's error means that the message will never be of use.
var ErrDrop = errors.New("the message is of no use")

// Consumer hands the messages of some topics to a function.
type Consumer struct {
	Broker

	// Topics are routing keys: whole topics, or patterns with * for one word
	// and # for any number.
	Topics []string
	// Queue names the queue. "" means one of this process alone, which begins
	// empty and goes with the connection: what is sent meanwhile is lost.
	// Public users of Fedora's bus must give a UUID; a queue that nobody
	// listens to is removed there after about an hour.
	Queue string
	// Prefetch is how many messages may be under way to us; 0 means 25, or twice
	// AtOnce if that is more.
	Prefetch int
	// AtOnce is how many messages are handled at a time; 0 means one after the
	// other, in their order.
	AtOnce int

	// Handle stores a message. A message is acknowledged when Handle has
	// returned nil, so it may come again. After an error it is delivered again;
	// after Attempts of them, or one with ErrDrop in its chain, it is put aside.
	// The context outlives that of Run by HandleTimeout, so that what has been
	// taken is also stored.
	Handle func(ctx context.Context, m Message) error
	// Aside keeps, for people to look at, what Handle does not take and what is no
	// message at all: its body may be anything, of any size; its ID and topic
	// are harmless. As long as it returns an error too, the message is kept at
	// the broker: it is not the message's fault then. nil means that such
	// messages are dropped.
	Aside func(ctx context.Context, m Message, why error) error
	// Attempts is how often a message is tried; 0 means 10.
	Attempts      int
	HandleTimeout time.Duration // 0 means 30 seconds

	// MinWait and MaxWait bound the waits, which double, between attempts to
	// connect and between those to handle a message; 0 means 1 s and 1 min.
	MinWait, MaxWait time.Duration

	Log *slog.Logger

	mu     sync.Mutex
	status Status
}

// Status is how a consumer is doing.
type Status struct {
	Connected bool
	Since     time.Time // of the connection, or of its loss; zero before the first
	Error     string    // why there is no connection
	Received  int64     // messages stored since the start
	Aside     int64     // messages put aside since the start
	Dropped   int64     // messages given up since the start
	Last      time.Time // when the last one was stored
}

// Status may be called at any time.
func (c *Consumer) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Run consumes until ctx ends, and then returns nil. It connects again
// whenever the connection is lost, and declares the queue anew; it returns an
// error only if its fields make no sense.
func (c *Consumer) Run(ctx context.Context) error {
	switch err := c.check(); {
	case err != nil:
		return err
	case c.Handle == nil || c.Log == nil:
		return errors.New("the message bus's consumer needs a handler and a log")
	case len(c.Topics) == 0:
		return errors.New("the message bus's consumer has no topics")
	}
	failed := 0
	t := &tries{failed: map[string]int{}}
	for ctx.Err() == nil {
		connected, err := c.session(ctx, t)
		if ctx.Err() != nil {
			break
		}
		if connected {
			failed = 0
		}
		wait := c.wait(failed)
		failed++
		c.disconnected(err)
		c.Log.WarnContext(ctx, "message bus connection lost", "error", err, "retry", wait)
		sleep(ctx, wait)
	}
	c.disconnected(nil)
	return nil
}

// session connects, consumes, and returns why it ended.
func (c *Consumer) session(ctx context.Context, t *tries) (connected bool, err error) {
	conn, channel, err := c.open(ctx)
	if err != nil {
		return false, err
	}
	defer hangUp(conn) // gives back what was not acknowledged
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	deliveries, err := c.subscribe(channel)
	if err != nil {
		return false, err
	}
	c.connected()
	c.Log.InfoContext(ctx, "message bus connected", "topics", len(c.Topics))

	var handling sync.WaitGroup
	defer handling.Wait() // before hanging up: what is stored is acknowledged
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // nobody goes on waiting for a connection that is gone
	places, silent := make(chan struct{}, c.atOnce()), make(chan error, 1)
	for {
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case reason := <-closed:
			return true, lost(reason)
		case places <- struct{}{}:
		}
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case err := <-silent:
			return true, failure("acknowledging", err)
		case d, ok := <-deliveries:
			if !ok {
				return true, ending(closed)
			}
			handling.Go(func() {
				defer func() { <-places }()
				if err := c.deliver(ctx, &d, t); err != nil {
					select {
					case silent <- err:
					default: // one reason to end is enough
					}
				}
			})
		}
	}
}

func (c *Consumer) atOnce() int { return max(1, c.AtOnce) }

// ending finds out why deliveries have ended: the connection may still be
// there if only the queue is gone.
func ending(closed <-chan *amqp.Error) error {
	select {
	case reason := <-closed:
		return lost(reason)
	case <-time.After(100 * time.Millisecond):
		return lost(nil)
	}
}

func lost(reason *amqp.Error) error {
	if reason == nil {
		return failure("consuming", errors.New("the broker ended the deliveries"))
	}
	return failure("consuming", reason)
}

func (c *Consumer) subscribe(channel *amqp.Channel) (<-chan amqp.Delivery, error) {
	if err := channel.Qos(cmp.Or(c.Prefetch, max(25, 2*c.atOnce())), 0, false); err != nil {
		return nil, failure("limiting deliveries", err)
	}
	queue, err := c.declare(channel)
	if err != nil {
		return nil, err
	}
	deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, failure("consuming", err)
	}
	return deliveries, nil
}

// declare makes the queue if there is none, and lets the topics into it.
func (c *Consumer) declare(channel *amqp.Channel) (queue string, err error) {
	queue = c.Queue
	own := queue == ""
	if own {
		queue = wire.NewUUID()
	}
	if _, err := channel.QueueDeclare(queue, !own, own, own, false, nil); err != nil {
		return "", failure("declaring the queue", err)
	}
	for _, topic := range c.Topics {
		if err := channel.QueueBind(queue, topic, c.exchange(), false, nil); err != nil {
			return "", failure("binding "+topic, err)
		}
	}
	return queue, nil
}

// Declare makes the queue that Queue names, so that what is sent from now on waits
// there for the first Run.
func (c *Consumer) Declare(ctx context.Context) error {
	conn, channel, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	_, err = c.declare(channel)
	return err
}

// tries counts the failures of messages, by their ids.
type tries struct {
	mu     sync.Mutex // above failed
	failed map[string]int
}

// maxTries bounds the memory for messages that fail; they fail together, when
// the database is away, so to forget some only means a few more attempts.
const maxTries = 10_000

func (t *tries) add(id string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failed) > maxTries {
		clear(t.failed)
	}
	t.failed[id]++
	return t.failed[id]
}

func (t *tries) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failed, id)
}

// deliver handles one message and tells the broker what became of it. Its
// error is that of telling.
func (c *Consumer) deliver(ctx context.Context, d *amqp.Delivery, t *tries) error {
	m, err := fromDelivery(d)
	useless := err != nil
	if err == nil {
		err = c.handle(ctx, m, c.Handle)
		useless = errors.Is(err, ErrDrop)
	}
	if err == nil {
		t.forget(m.ID)
		c.count(func(s *Status) { s.Received++; s.Last = time.Now() })
		return d.Ack(false)
	}
	failed := t.add(m.ID)
	if useless || failed >= cmp.Or(c.Attempts, 10) {
		if c.Aside == nil {
			t.forget(m.ID)
			c.Log.ErrorContext(ctx, "message dropped", "error", err, "message", m.ID, "topic", m.Topic)
			c.count(func(s *Status) { s.Dropped++ })
			return d.Nack(false, false)
		}
		problem := c.handle(ctx, m, func(ctx context.Context, m Message) error { return c.Aside(ctx, m, err) })
		if problem == nil {
			t.forget(m.ID)
			c.Log.ErrorContext(ctx, "message put aside", "error", err, "message", m.ID, "topic", m.Topic)
			c.count(func(s *Status) { s.Aside++ })
			return d.Ack(false)
		}
		err = problem
	}
	wait := c.wait(failed - 1)
	c.Log.WarnContext(ctx, "message not stored", "error", err, "message", m.ID, "topic", m.Topic, "attempt", failed, "retry", wait)
	// It keeps its place meanwhile: what hinders one from being stored hinders
	// the others too.
	sleep(ctx, wait)
	return d.Nack(false, true)
}

// handle calls f with time to end: what was taken from the broker is to be
// written down, even while we end.
func (c *Consumer) handle(ctx context.Context, m Message, f func(context.Context, Message) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(c.HandleTimeout, 30*time.Second))
	defer cancel()
	return f(ctx, m)
}

func (c *Consumer) count(f func(s *Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.status)
}

// wait is the pause after so many failures: doubling, and up to a half longer,
// so that many consumers do not come back at once.
func (c *Consumer) wait(failures int) time.Duration {
	first, last := cmp.Or(c.MinWait, time.Second), cmp.Or(c.MaxWait, time.Minute)
	wait := last
	if failures < 20 {
		wait = min(first<<failures, last)
	}
	return wait + rand.N(wait/2+1)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (c *Consumer) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Connected, c.status.Since, c.status.Error = true, time.Now(), ""
}

func (c *Consumer) disconnected(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Connected || c.status.Since.IsZero() {
		c.status.Connected, c.status.Since = false, time.Now()
	}
	if why != nil {
		c.status.Error = why.Error()
	}
}
