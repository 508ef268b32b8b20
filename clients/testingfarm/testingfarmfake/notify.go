package testingfarmfake

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"millrace/clients/testingfarm"
)

// idle is how long the notifier sleeps when it expects nothing.
const idle = time.Second

// notifyAll posts to webhooks whenever the state of a request has changed,
// until the farm closes. What happened while no farm was running is told when
// one starts again.
func (s *Server) notifyAll() {
	for {
		due, next := s.changed()
		for _, n := range due {
			s.work.Go(func() { s.deliver(n) })
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-time.After(next):
		}
	}
}

// nudge makes the notifier look again at once.
func (s *Server) nudge() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

type notification struct {
	id      string
	payload payload
	faults  Faults
}

// changed marks the requests whose state nobody was told of as told, and
// returns them with the time until the next change.
func (s *Server) changed() ([]notification, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	next := idle
	var due []notification
	for _, rec := range s.requests {
		for _, at := range []time.Time{rec.QueuedAt, rec.StartAt, rec.EndAt, rec.CancelAt.Add(cancelTakes)} {
			if wait := at.Sub(now); wait > 0 {
				next = min(next, wait)
			}
		}
		state := rec.state(now)
		if state == rec.Told {
			continue
		}
		told := rec.Told
		rec.Told = state
		if s.save(rec) != nil {
			rec.Told = told // the next turn tries again
			continue
		}
		due = append(due, notification{rec.ID, rec.payload(), s.faults})
	}
	return due, max(next, time.Millisecond)
}

func (s *Server) deliver(n notification) {
	if n.faults.LoseNotifications {
		return
	}
	if n.faults.LateNotifications > 0 {
		select {
		case <-time.After(n.faults.LateNotifications):
		case <-s.ctx.Done():
			return
		}
	}
	times := 1
	if n.faults.DoubleNotifications {
		times = 2
	}
	for range times {
		s.notify(s.ctx, n.id, n.payload)
	}
}

// notify posts one notification. Nobody hears of it if that fails: the farm
// does not try again.
func (s *Server) notify(ctx context.Context, id string, p payload) {
	webhook := p.Notification.Webhook
	if webhook.URL == "" {
		return
	}
	body, err := json.Marshal(map[string]string{
		"request_id": id, "token": webhook.Token, "source": "testing-farm",
	})
	if err != nil {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook.URL, bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := s.config.HTTP.Do(req)
	if err != nil {
		return
	}
	res.Body.Close()
}

// Notify posts a notification about a request once more, out of order.
func (s *Server) Notify(ctx context.Context, id string) {
	s.mu.Lock()
	rec := s.requests[id]
	var p payload
	if rec != nil {
		p = rec.payload()
	}
	s.mu.Unlock()
	if rec != nil {
		s.notify(ctx, id, p)
	}
}

// Run is what the farm shows of a request.
type Run struct {
	ID      string
	Key     string // of the submission
	State   testingfarm.State
	Ending  Ending // how it will end, or has
	URL     string
	Ref     string
	Plan    string
	Compose string
	Arch    string
	Created time.Time
	Payload json.RawMessage // as it was sent
}

// Runs lists the requests, oldest first.
func (s *Server) Runs() []Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	list := []Run{}
	for _, rec := range s.sorted() {
		p := rec.payload()
		test, e := p.test(), p.Environments[0]
		list = append(list, Run{
			ID: rec.ID, Key: rec.Key, State: rec.state(now), Ending: rec.Rule.Ending,
			URL: test.URL, Ref: test.Ref, Plan: test.Name, Compose: e.OS.Compose, Arch: e.Arch,
			Created: rec.Created, Payload: rec.Payload,
		})
	}
	return list
}

// Submissions counts the requests of each key: more than one means that
// somebody repeated a submission that had succeeded.
func (s *Server) Submissions() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := map[string]int{}
	for _, rec := range s.requests {
		count[rec.Key]++
	}
	return count
}

// Finish ends a request now, in its own way or, if ending is not "", in that.
// It reports whether there was something to end.
func (s *Server) Finish(id string, ending Ending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.requests[id]
	now := s.config.Now().UTC()
	if rec == nil || rec.state(now).Finished() {
		return false
	}
	before := *rec
	if ending != "" {
		rec.Rule.Ending = ending
	}
	for _, at := range []*time.Time{&rec.QueuedAt, &rec.StartAt, &rec.EndAt} {
		if at.After(now) {
			*at = now
		}
	}
	if s.save(rec) != nil {
		*rec = before
		return false
	}
	s.nudge()
	return true
}
