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
)

// ErrDrop in a handler's error means that the message will never be of use.
var ErrDrop = errors.New("the message is of no use")

// Consumer hands the messages of some topics to a function, one at a time.
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
	// Prefetch is how many messages may be under way to us; 0 means 25.
	Prefetch int

	// Handle stores a message. A message is acknowledged when Handle has
	// returned nil, so it may come again. An error with ErrDrop in its chain
	// drops it; after any other it is delivered again, up to Attempts times in
	// all. The context outlives that of Run by HandleTimeout, so that what has
	// been taken is also stored.
	Handle func(ctx context.Context, m Message) error
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
	tries := map[string]int{}
	for ctx.Err() == nil {
		connected, err := c.session(ctx, tries)
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

// session connects, consumes, and returns why it ended. tries counts the
// failures of messages, by their ids.
func (c *Consumer) session(ctx context.Context, tries map[string]int) (connected bool, err error) {
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
	for {
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case d, ok := <-deliveries:
			if !ok {
				return true, ending(closed)
			}
			if err := c.deliver(ctx, &d, tries); err != nil {
				return true, failure("acknowledging", err)
			}
		}
	}
}

// ending finds out why deliveries have ended: the connection may still be
// there if only the queue is gone.
func ending(closed <-chan *amqp.Error) error {
	select {
	case reason := <-closed:
		if reason != nil {
			return failure("consuming", reason)
		}
	case <-time.After(100 * time.Millisecond):
	}
	return failure("consuming", errors.New("the broker ended the deliveries"))
}

func (c *Consumer) subscribe(channel *amqp.Channel) (<-chan amqp.Delivery, error) {
	if err := channel.Qos(cmp.Or(c.Prefetch, 25), 0, false); err != nil {
		return nil, failure("limiting deliveries", err)
	}
	queue := c.Queue
	own := queue == ""
	if own {
		queue = newID()
	}
	if _, err := channel.QueueDeclare(queue, !own, own, own, false, nil); err != nil {
		return nil, failure("declaring the queue", err)
	}
	for _, topic := range c.Topics {
		if err := channel.QueueBind(queue, topic, c.exchange(), false, nil); err != nil {
			return nil, failure("binding "+topic, err)
		}
	}
	deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, failure("consuming", err)
	}
	return deliveries, nil
}

// maxTries bounds the memory for messages that fail; they fail together, when
// the database is away, so to forget some only means a few more attempts.
const maxTries = 10_000

// deliver handles one message and tells the broker what became of it. Its
// error is that of telling.
func (c *Consumer) deliver(ctx context.Context, d *amqp.Delivery, tries map[string]int) error {
	m, err := fromDelivery(d)
	if err != nil {
		return c.drop(ctx, d, m, err)
	}
	// What was taken from the broker is to be written down, even while ending.
	handling, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(c.HandleTimeout, 30*time.Second))
	err = c.Handle(handling, m)
	cancel()
	if err == nil {
		delete(tries, m.ID)
		if err := d.Ack(false); err != nil {
			return err
		}
		c.mu.Lock()
		c.status.Received++
		c.status.Last = time.Now()
		c.mu.Unlock()
		return nil
	}
	tries[m.ID]++
	failed := tries[m.ID]
	if errors.Is(err, ErrDrop) || failed >= cmp.Or(c.Attempts, 10) {
		delete(tries, m.ID)
		return c.drop(ctx, d, m, err)
	}
	if len(tries) > maxTries {
		clear(tries)
	}
	wait := c.wait(failed - 1)
	c.Log.WarnContext(ctx, "message not stored", "error", err, "message", m.ID, "topic", m.Topic, "attempt", failed, "retry", wait)
	// The others wait as well: what keeps one from being stored keeps them too.
	sleep(ctx, wait)
	return d.Nack(false, true)
}

func (c *Consumer) drop(ctx context.Context, d *amqp.Delivery, m Message, why error) error {
	c.Log.ErrorContext(ctx, "message dropped", "error", why, "message", m.ID, "topic", m.Topic)
	c.mu.Lock()
	c.status.Dropped++
	c.mu.Unlock()
	return d.Nack(false, false)
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
