package box

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"millrace/clients/wire"
)

// maxMessages is how many delivered messages are remembered.
const maxMessages = 300

// Message is a message of the bus and what became of it.
type Message struct {
	Seq     int64 // from 1
	ID      string
	Topic   string
	Body    json.RawMessage
	Created time.Time
	State   string // pending, delivered, refused, lost
	Times   int    // how often it is to be delivered
	Tries   int
	Answer  string // to the last try
}

// trouble is how the bus misbehaves.
type trouble struct {
	lose   bool          // messages vanish
	double bool          // they come twice
	swap   bool          // each waits until the next one was delivered, or for a while
	late   time.Duration // they come later
}

// carrier takes messages on their way to the service.
type carrier interface {
	// carry returns what was said to the message. An error means again later,
	// unless it has errRefused in its chain.
	carry(ctx context.Context, m Message) (answer string, err error)
}

// errRefused says that there is no use in carrying a message again.
var errRefused = errors.New("refused")

// bus hands messages to its carrier: at least once, in order, and trying again
// while that cannot take them, unless it is told otherwise.
type bus struct {
	dir string
	log *slog.Logger

	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup
	woken   chan struct{}

	mu       sync.Mutex
	messages []*Message // the oldest first
	last     int64
	trouble  trouble
	carrier  carrier // nil: everything waits
}

func openBus(dir string, log *slog.Logger) (*bus, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	q := &bus{dir: dir, log: log, woken: make(chan struct{}, 1)}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m := new(Message)
		if err := json.Unmarshal(text, m); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		q.messages = append(q.messages, m)
		q.last = max(q.last, m.Seq)
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.working.Go(q.run)
	return q, nil
}

func (q *bus) close() {
	q.cancel()
	q.working.Wait()
}

// publish takes a message. It is on disk when publish returns.
func (q *bus) publish(topic string, body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	m := &Message{Seq: q.last, ID: wire.NewUUID(), Topic: topic, Body: body, Created: time.Now().UTC(), State: "pending", Times: 1}
	switch {
	case q.trouble.lose:
		m.State = "lost"
	case q.trouble.double:
		m.Times = 2
	}
	q.messages = append(q.messages, m)
	q.keep(m)
	for len(q.messages) > maxMessages && q.messages[0].State != "pending" {
		os.Remove(q.file(q.messages[0])) // a leftover is only read again
		q.messages = q.messages[1:]
	}
	q.wake()
}

func (q *bus) file(m *Message) string { return filepath.Join(q.dir, fmt.Sprintf("%012d.json", m.Seq)) }

// keep writes a message down. The caller holds mu.
func (q *bus) keep(m *Message) {
	text, err := json.Marshal(m)
	if err == nil {
		err = replaceFile(q.file(m), text)
	}
	if err != nil {
		q.log.Error("message not kept", "topic", m.Topic, "error", err)
	}
}

func (q *bus) wake() {
	select {
	case q.woken <- struct{}{}:
	default: // it will look anyway
	}
}

// setTrouble changes how the bus misbehaves from now on.
func (q *bus) setTrouble(t trouble) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.trouble = t
	q.wake()
}

// carryWith says who carries messages from now on.
func (q *bus) carryWith(c carrier) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.carrier = c
	q.wake()
}

// list returns copies of what was sent lately, the newest first.
func (q *bus) list() []Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]Message, 0, len(q.messages))
	for _, m := range slices.Backward(q.messages) {
		all = append(all, *m)
	}
	return all
}

// again delivers a message once more.
func (q *bus) again(seq int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		if m.Seq == seq {
			m.State, m.Times = "pending", max(m.Times, 1)
			q.keep(m)
			q.wake()
			return true
		}
	}
	return false
}

// held is for how long a message waits for the one that is to overtake it.
const held = 2 * time.Second

// due returns a copy of the message to deliver now, or how long to wait.
func (q *bus) due(now time.Time) (m Message, wait time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var pending []*Message
	for _, m := range q.messages {
		if m.State == "pending" {
			pending = append(pending, m)
		}
	}
	if len(pending) == 0 || q.carrier == nil {
		return m, time.Minute, false
	}
	first := pending[0]
	if wait := first.Created.Add(q.trouble.late).Sub(now); wait > 0 {
		return m, wait, false
	}
	if q.trouble.swap {
		if len(pending) > 1 {
			return *pending[1], 0, true
		}
		if wait := first.Created.Add(held).Sub(now); wait > 0 {
			return m, wait, false
		}
	}
	return *first, 0, true
}

func (q *bus) run() {
	pause := time.Duration(0)
	for {
		m, wait, ok := q.due(time.Now())
		if ok {
			if q.deliver(m) {
				pause = 0
				continue
			}
			pause = min(cmp.Or(pause*2, 100*time.Millisecond), 5*time.Second)
			wait = pause
		}
		timer := time.NewTimer(wait)
		select {
		case <-q.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-q.woken:
			timer.Stop()
			// A service that is away is not asked more often because more
			// messages come.
			if ok && !sleep(q.ctx, pause) {
				return
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver tries once and reports whether the message need not be tried again.
func (q *bus) deliver(m Message) bool {
	q.mu.Lock()
	carrier := q.carrier
	q.mu.Unlock()
	var answer string
	var err error
	for range max(m.Times, 1) {
		if answer, err = carrier.carry(q.ctx, m); err != nil {
			answer = err.Error()
			break
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, kept := range q.messages {
		if kept.Seq != m.Seq {
			continue
		}
		kept.Tries++
		kept.Answer = answer
		switch {
		case err == nil:
			kept.State = "delivered"
		case errors.Is(err, errRefused):
			kept.State = "refused"
		default:
			return false
		}
		q.keep(kept)
	}
	return true
}
