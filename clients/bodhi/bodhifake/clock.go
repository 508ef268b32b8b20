package bodhifake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/clients/bodhi"
)

// now is the time here. The lock is held.
func (s *Server) now() time.Time { return time.Now().UTC().Add(s.state.Now).Truncate(time.Second) }

// Now is the time in the world of this server.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

const betweenComposes = 24 * time.Hour

// Advance lets time pass: tests end, what was tested long enough is requested
// for stable, and once a day a compose carries out what is requested.
func (s *Server) Advance(d time.Duration) error {
	s.mu.Lock()
	end := s.now().Add(d)
	if s.state.Composed.IsZero() {
		s.state.Composed = s.now()
	}
	s.settle()
	for next := s.state.Composed.Add(betweenComposes); !next.After(end); next = s.state.Composed.Add(betweenComposes) {
		s.state.Now += max(0, next.Sub(s.now()))
		s.settle()
		s.compose()
	}
	s.state.Now += max(0, end.Sub(s.now()))
	s.settle()
	return s.finish()
}

// Compose carries out what is requested, now.
func (s *Server) Compose() error {
	s.mu.Lock()
	s.settle()
	s.compose()
	s.settle()
	return s.finish()
}

// finish writes down and tells what happened, and lets the lock go.
func (s *Server) finish() error {
	err := s.keep()
	s.mu.Unlock()
	s.send()
	if err != nil {
		return fmt.Errorf("keeping bodhi's state: %w", err)
	}
	return nil
}

// settle does what happens between composes.
func (s *Server) settle() {
	for _, u := range s.state.Updates {
		if !u.lives() || u.Status == bodhi.Stable {
			continue
		}
		rel, _ := s.release(u.Release)
		if u.Gating == bodhi.GatingWaiting && !u.HoldGating {
			u.Gating = bodhi.GatingPassed
		}
		switch {
		case !rel.composed():
			if !u.gated() {
				s.carry(u, bodhi.Testing)
				s.carry(u, bodhi.Stable)
			}
		case u.Status == bodhi.Pending && u.Request == "" && u.FromTag != "" && u.Modified.IsZero():
			u.Request = bodhi.ToTesting // all is signed
			s.publish("bodhi.update.request.testing", map[string]any{"update": s.json(u, s.Address), "agent": u.User})
		case u.Status == bodhi.Testing && u.Request == "" && s.ready(u, s.now()):
			s.publish("bodhi.update.requirements_met.stable", map[string]any{"update": s.json(u, s.Address), "agent": "bodhi"})
			if u.AutoTime {
				s.request(u, bodhi.ToStable, "bodhi")
			}
		}
	}
}

// compose carries updates where they are requested to go.
func (s *Server) compose() {
	s.state.Composed = s.now()
	for _, u := range s.state.Updates {
		switch {
		case u.Locked || !u.lives():
		case u.Request == bodhi.ToTesting && u.Status == bodhi.Pending:
			s.carry(u, bodhi.Testing)
		case u.Request == bodhi.ToStable:
			s.carry(u, bodhi.Stable)
		}
	}
}

func (s *Server) carry(u *Update, to bodhi.Status) {
	if u.Status == to {
		return
	}
	u.Status, u.Request, u.Pushed = to, "", s.now()
	if to == bodhi.Testing {
		u.Tested = s.now()
	} else {
		u.Stabled = s.now()
	}
	s.say(u, "bodhi", fmt.Sprintf("This update has been pushed to %s.", to), 0)
	s.publish("bodhi.update.complete."+string(to), map[string]any{"update": s.json(u, s.Address), "agent": "bodhi"})
	if to == bodhi.Testing {
		s.publish("bodhi.update.status.testing.koji-build-group.build.complete", map[string]any{
			"update": s.json(u, s.Address), "agent": "bodhi", "re-trigger": false,
		})
	}
	s.moved = append(s.moved, u.clone())
}

// SetGating says how the tests stand that gate an update; they stand so until
// the next call.
func (s *Server) SetGating(alias, gating string) error {
	return s.change(alias, func(u *Update) { u.Gating, u.HoldGating = gating, true })
}

// SetLocked says whether a compose is at work on an update, which nobody can
// change meanwhile.
func (s *Server) SetLocked(alias string, locked bool) error {
	return s.change(alias, func(u *Update) { u.Locked = locked })
}

// Opine lets somebody say something of an update, with karma from -1 to 1.
func (s *Server) Opine(alias, user, text string, karma int) error {
	return s.change(alias, func(u *Update) { s.opinion(u, user, text, karma) })
}

func (s *Server) change(alias string, f func(*Update)) error {
	s.mu.Lock()
	u := s.find(alias)
	if u == nil {
		s.mu.Unlock()
		return fmt.Errorf("there is no update %s", alias)
	}
	f(u)
	return s.finish()
}

// Automatic makes the update that Bodhi makes by itself of a build for a release
// that people do not compose, as Rawhide, when Koji has tagged it. For other
// builds, and the second time, it does nothing.
func (s *Server) Automatic(nvr, user string) error {
	s.mu.Lock()
	rel, ok := s.releaseOf(nvr)
	known := slices.ContainsFunc(s.state.Updates, func(u *Update) bool { return u.lives() && slices.Contains(u.Builds, nvr) })
	if ok && !known && !rel.composed() {
		u := s.save(user, rel.Name, []string{nvr}, nil, form{
			"notes": "Automatic update for " + nvr + ".", "type": "unspecified",
		})
		u.Request = ""
	}
	return s.finish()
}

// outgoing is a message that waits until the lock is gone.
type outgoing struct {
	topic string
	body  []byte
}

func (s *Server) publish(topic string, body map[string]any) {
	if s.Publish == nil {
		return
	}
	prefix := s.Topic
	if prefix == "" {
		prefix = "org.fedoraproject.prod"
	}
	text, err := json.Marshal(body)
	if err != nil {
		return // it is made of texts and numbers: it cannot fail
	}
	s.outgoing = append(s.outgoing, outgoing{strings.TrimSuffix(prefix, ".") + "." + topic, text})
}

// send tells what happened, in its order.
func (s *Server) send() {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	messages, moved := s.outgoing, s.moved
	s.outgoing, s.moved = nil, nil
	s.mu.Unlock()
	for _, u := range moved {
		if s.Moved != nil {
			s.Moved(u)
		}
	}
	for _, m := range messages {
		s.Publish(m.topic, m.body)
	}
}
