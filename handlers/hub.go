package handlers

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/models"
	"millrace/models/store"
)

// Hub tells open pages what changed. Every process has one, fed from the outbox
// that all processes share, so it matters not which process made a change.
//
// What it sends are hints: a page that gets one twice, or one that is newer
// than what it names, fetches the same part again and is right. So messages of
// one topic may be merged, and none is ever kept for a reader beyond the newest
// of each of its topics.
type Hub struct {
	Store *store.Store // whose outbox it is
	Log   *slog.Logger

	// MaxViewers is how many streams this process holds; 0: DefaultMaxViewers.
	MaxViewers int

	once sync.Once
	bell chan struct{} // somebody put a change into the outbox

	mu      sync.Mutex // above everything below
	viewers map[*viewer]struct{}
	topics  map[string]*topic // only those with viewers
	held    map[*topic]struct{}
	recent  []heard // in the order in which they came to us
	newest  int64   // greatest id we read
	gaps    map[int64]time.Time
	begun   bool // newest and recent are what the outbox had at our start, or later
	closed  bool
}

const (
	// DefaultMaxViewers is twice what one process is meant to serve.
	DefaultMaxViewers = 20_000
	// maxTopics is how many topics one stream may have.
	maxTopics = 50

	keptChanges = 4096 // for replay, at least
	readChanges = 1000 // in one query
	// Ids are given before commits, so a change may come after ones with
	// greater ids. For so long it is looked for: no transaction takes longer.
	// Those that were rolled back never come, so far back is looked seldom.
	gapPatience = 30 * time.Second
	maxGaps     = 1000
	nearGap     = 100
	// Readers who come back hear again what came so shortly before the last
	// they heard of: it may have been on its way, in another order.
	replaySlack    = 3 * time.Second
	replayOverlap  = 64
	feedInterval   = 5 * time.Second       // between looks that nobody rang for
	feedBreath     = 20 * time.Millisecond // between looks that somebody rang for
	feedBreathLong = time.Second           // after one that failed
)

// heard is a change and when it came to us.
type heard struct {
	models.Change
	at time.Time
}

// message is what viewers of one topic get. All of them share its bytes.
type message struct {
	id   int64
	name string // of its topic; empty for resync
	text []byte // with the empty line at the end
}

// topic is what viewers listen to.
type topic struct {
	name    string
	viewers map[*viewer]struct{}
	gap     time.Duration // between two messages at least
	sent    time.Time
	waiting models.Change // the newest that was held back
}

// viewer is one stream. Its goroutine waits for wake and takes what there is.
type viewer struct {
	topics []string
	from   int64         // id up to which the reader knows, or need not know
	wake   chan struct{} // holds one; closed when the hub closes

	mu      sync.Mutex // above everything below
	pending []*message // at most one for each topic
	ping    bool
}

func (h *Hub) init() {
	h.once.Do(func() {
		h.bell = make(chan struct{}, 1)
		h.viewers = make(map[*viewer]struct{})
		h.topics = make(map[string]*topic)
		h.held = make(map[*topic]struct{})
		h.gaps = make(map[int64]time.Time)
	})
}

// Ring says that something was put into the outbox. It never blocks.
func (h *Hub) Ring() {
	h.init()
	select {
	case h.bell <- struct{}{}:
	default: // a look is due anyway
	}
}

// LastEvent is the id of the newest change that is known here. A page that is
// read afterwards shows at least that.
func (h *Hub) LastEvent() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest
}

// Viewers is how many streams are open.
func (h *Hub) Viewers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers)
}

// Close ends all streams, so that they do not hold up shutdown.
func (h *Hub) Close() {
	h.init()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for v := range h.viewers {
		close(v.wake)
	}
	clear(h.viewers)
	clear(h.topics)
	clear(h.held)
}

// intervalOf is how much time is left at least between two messages of a topic,
// so that a busy service does not keep all its readers busy.
func intervalOf(name string) time.Duration {
	kind, _, _ := strings.Cut(name, ":")
	switch kind {
	case "home", "queue", "project":
		return time.Second
	case models.LogTopic:
		return 250 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// topicsOf names the topics that a change is news for.
func topicsOf(c models.Change) []string {
	object := ":" + strconv.FormatInt(c.Object, 10)
	switch c.Topic {
	case models.PipelineTopic:
		return []string{"pipeline" + object, "project:" + strconv.FormatInt(c.ProjectID, 10), "home", "queue"}
	case models.EventTopic:
		return []string{"event" + object, "project:" + strconv.FormatInt(c.ProjectID, 10), "home"}
	case models.ReportsTopic:
		return []string{"reports" + object, "queue"}
	case models.LogTopic:
		return []string{"log" + object}
	case models.ProductTopic:
		return []string{"project:" + strconv.FormatInt(c.ProjectID, 10)}
	}
	return []string{c.Topic}
}

// newMessage makes what viewers of a topic get about a change.
func newMessage(name string, c models.Change) *message {
	data, _ := json.Marshal(struct { // strings and numbers only: it cannot fail
		Topic   string `json:"topic"`
		Object  int64  `json:"object,omitempty"`
		Version int64  `json:"version,omitempty"`
	}{name, c.Object, c.Version})
	b := make([]byte, 0, len(data)+48)
	b = append(b, "id: "...)
	b = strconv.AppendInt(b, c.ID, 10)
	b = append(b, "\nevent: changed\ndata: "...)
	b = append(b, data...)
	b = append(b, "\n\n"...)
	return &message{c.ID, name, b}
}

func newResync(id int64) *message {
	n := strconv.FormatInt(id, 10)
	return &message{id, "", []byte("id: " + n + "\nevent: resync\ndata: {}\n\n")}
}

// errFull says that no more streams are held.
var errFull = errors.New("too many live pages are open")

// watch opens a stream for a reader who heard everything up to last; 0 is one
// who begins now.
func (h *Hub) watch(topics []string, last int64) (*viewer, error) {
	h.init()
	v := &viewer{topics: topics, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := h.MaxViewers
	if limit == 0 {
		limit = DefaultMaxViewers
	}
	if h.closed || len(h.viewers) >= limit {
		return nil, errFull
	}
	h.viewers[v] = struct{}{}
	for _, name := range topics {
		t := h.topics[name]
		if t == nil {
			t = &topic{name: name, gap: intervalOf(name), viewers: make(map[*viewer]struct{}, 1)}
			h.topics[name] = t
		}
		t.viewers[v] = struct{}{}
	}
	h.replay(v, last)
	return v, nil
}

func (h *Hub) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers, v)
	for _, name := range v.topics {
		t := h.topics[name]
		if t == nil {
			continue
		}
		delete(t.viewers, v)
		if len(t.viewers) == 0 {
			delete(h.topics, name)
			delete(h.held, t)
		}
	}
}

// replay gives a reader what it missed. The caller holds mu.
func (h *Hub) replay(v *viewer, last int64) {
	v.from = last
	if last == 0 {
		v.from = h.newest
	}
	first := h.since(last, time.Now())
	if first < 0 {
		v.from = h.newest
		v.give(newResync(h.newest))
		return
	}
	for _, c := range h.recent[first:] {
		for _, name := range topicsOf(c.Change) {
			if slices.Contains(v.topics, name) {
				v.give(newMessage(name, c.Change))
			}
		}
	}
}

// since finds where in recent a reader who heard last has to go on, or returns
// -1 if what is kept does not reach back so far, or last is not of our outbox.
// One who heard nothing gets what came while the page was on its way.
func (h *Hub) since(last int64, now time.Time) int {
	if last > h.newest {
		return -1
	}
	if last == 0 {
		first := len(h.recent)
		for first > 0 && len(h.recent)-first < replayOverlap && now.Sub(h.recent[first-1].at) < replaySlack {
			first--
		}
		return first
	}
	if len(h.recent) == 0 {
		if last == h.newest {
			return 0
		}
		return -1
	}
	at := -1 // of the last one heard
	for i := len(h.recent) - 1; i >= 0; i-- {
		if h.recent[i].ID == last {
			at = i
			break
		}
	}
	if at < 0 {
		// It came to another process, or was forgotten. With all older ones still
		// here nothing can have been missed.
		if last < h.recent[0].ID {
			return -1
		}
		return slices.IndexFunc(h.recent, func(c heard) bool { return c.ID > last-replayOverlap })
	}
	first := at + 1
	from := h.recent[at].at.Add(-replaySlack)
	for first > 0 && at-first < replayOverlap && !h.recent[first-1].at.Before(from) {
		first--
	}
	return first
}

// give puts a message where the viewer's goroutine finds it, in the place of an
// older one of the same topic.
func (v *viewer) give(m *message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if m.name == "" {
		v.pending = append(v.pending[:0], m)
	} else if i := slices.IndexFunc(v.pending, func(p *message) bool { return p.name == m.name }); i >= 0 {
		if v.pending[i].id < m.id {
			v.pending[i] = m
		}
	} else {
		v.pending = append(v.pending, m)
	}
	v.signal()
}

func (v *viewer) signal() {
	select {
	case v.wake <- struct{}{}:
	default: // it has yet to look
	}
}

// take returns what is to be written, oldest first, and whether a sign of life
// is due.
func (v *viewer) take() (messages []*message, ping bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	messages, ping = v.pending, v.ping
	v.pending, v.ping = nil, false
	slices.SortFunc(messages, func(a, b *message) int { return cmp.Compare(a.id, b.id) })
	return messages, ping
}

// hear takes changes that were read from the outbox and tells whom they concern.
func (h *Hub) hear(changes []models.Change, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		if !h.keep(c, now) {
			continue
		}
		for _, name := range topicsOf(c) {
			if t := h.topics[name]; t != nil {
				h.tell(t, c, now)
			}
		}
	}
	for id, since := range h.gaps {
		if now.Sub(since) > gapPatience {
			delete(h.gaps, id)
		}
	}
}

// keep remembers a change for replay, and the ids before it that are not there
// yet; it reports false if the change is known. The caller holds mu.
func (h *Hub) keep(c models.Change, now time.Time) bool {
	_, late := h.gaps[c.ID]
	if c.ID <= h.newest && !late {
		return false
	}
	delete(h.gaps, c.ID)
	if h.newest > 0 {
		for id := max(h.newest+1, c.ID-maxGaps); id < c.ID && len(h.gaps) < maxGaps; id++ {
			h.gaps[id] = now
		}
	}
	h.newest = max(h.newest, c.ID)
	h.recent = append(h.recent, heard{c, now})
	if len(h.recent) >= 2*keptChanges {
		h.recent = slices.Delete(h.recent, 0, keptChanges)
	}
	return true
}

// after is the id after which the outbox is to be read: the newest, or before
// the oldest that is missing, of all or of those not far back.
func (h *Hub) after(all bool) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	after := h.newest
	for id := range h.gaps {
		if all || id > h.newest-nearGap {
			after = min(after, id-1)
		}
	}
	return after
}

// tell sends a change to the viewers of a topic, or holds it back if they heard
// of the topic a moment ago. The caller holds mu.
func (h *Hub) tell(t *topic, c models.Change, now time.Time) {
	if now.Sub(t.sent) < t.gap {
		if t.waiting.ID < c.ID {
			t.waiting = c
		}
		h.held[t] = struct{}{}
		return
	}
	h.send(t, c, now)
}

func (h *Hub) send(t *topic, c models.Change, now time.Time) {
	t.sent, t.waiting = now, models.Change{}
	m := newMessage(t.name, c)
	for v := range t.viewers {
		v.give(m)
	}
}

// release sends what was held back long enough, and says when to look again; 0
// if nothing is held.
func (h *Hub) release(now time.Time) (again time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t := range h.held {
		wait := t.gap - now.Sub(t.sent)
		if wait <= 0 {
			h.send(t, t.waiting, now)
			delete(h.held, t)
			continue
		}
		if again == 0 || wait < again {
			again = wait
		}
	}
	return again
}

// pingAll has every stream write a sign of life, so that proxies keep it and
// dead ones are found.
func (h *Hub) pingAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for v := range h.viewers {
		v.mu.Lock()
		v.ping = true
		v.signal()
		v.mu.Unlock()
	}
}
