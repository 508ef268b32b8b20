package handlers

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"millrace/models"
	"millrace/models/store"
)

// pingInterval is between two signs of life on a stream.
const pingInterval = 20 * time.Second

// NewHub makes a hub for the outbox of the server's store, and has that ring it
// on the embedded database: so it is called before anybody writes there. Nobody
// hears anything before Run.
func (s *Server) NewHub() *Hub {
	h := &Hub{Store: s.Store, Log: s.Log}
	if s.Store.Embedded() {
		s.Store.Changed = h.Ring
	}
	return h
}

// Run feeds the hub until ctx ends, then closes it.
func (h *Hub) Run(ctx context.Context) {
	h.init()
	defer h.Close()
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	look := time.NewTicker(feedInterval)
	defer look.Stop()
	release := time.NewTimer(time.Hour)
	defer release.Stop()

	broken, due, all := false, true, true
	for {
		if due {
			err := h.look(ctx, all)
			if err != nil && ctx.Err() == nil && !broken {
				h.Log.WarnContext(ctx, "open pages are not being updated", "error", err)
			}
			if broken && err == nil {
				h.Log.InfoContext(ctx, "open pages are being updated again")
			}
			broken = err != nil
			breath := feedBreath
			if broken {
				breath = feedBreathLong
			}
			sleep(ctx, breath)
		}
		if again := h.release(time.Now()); again > 0 {
			release.Reset(again)
		}
		due, all = false, false
		select {
		case <-ctx.Done():
			return
		case <-h.bell:
			due = true
		case <-look.C:
			due, all = true, true
		case <-ping.C:
			h.pingAll()
		case <-release.C:
		}
	}
}

// look takes what is new in the outbox, with all that is missing from before, or
// only what cannot be far back. The first time it begins where the outbox ends.
func (h *Hub) look(ctx context.Context, all bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if !h.hasBegun() {
		return h.begin(ctx)
	}
	return h.read(ctx, h.after(all), h.hear)
}

func (h *Hub) hasBegun() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.begun
}

// read hands on what is in the outbox after an id.
func (h *Hub) read(ctx context.Context, after int64, to func(changes []models.Change, now time.Time)) error {
	for {
		changes, err := h.Store.ChangesAfter(ctx, after, readChanges)
		if err != nil {
			return err
		}
		to(changes, time.Now())
		if len(changes) < readChanges {
			return nil
		}
		after = changes[len(changes)-1].ID
	}
}

// begin reads the end of the outbox, for replay. Readers who came before that
// fetch everything once: nobody knows what they know.
func (h *Hub) begin(ctx context.Context) error {
	newest, err := h.Store.NewestChange(ctx)
	if err != nil {
		return err
	}
	err = h.read(ctx, max(0, newest-keptChanges), func(changes []models.Change, now time.Time) {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, c := range changes {
			h.keep(c, now.Add(-replaySlack))
		}
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun = true
	m := newResync(h.newest)
	for v := range h.viewers {
		v.give(m)
	}
	return nil
}

// Listen rings whenever another process, or this one, put something into the
// outbox of a PostgreSQL database, until ctx ends. On the embedded database the
// store rings, and it returns at once.
func (h *Hub) Listen(ctx context.Context, s *store.Store) {
	if s.Embedded() {
		return
	}
	for ctx.Err() == nil {
		if err := h.listen(ctx, s); err != nil && ctx.Err() == nil {
			h.Log.WarnContext(ctx, "the database does not tell of changes; they are looked for now and then", "error", err)
			sleep(ctx, feedBreathLong)
		}
	}
}

// listen holds a connection of its own: one of a pool would be missing
// there, and notifications come only to the connection that listens.
func (h *Hub) listen(ctx context.Context, s *store.Store) error {
	conn, err := pgx.ConnectConfig(ctx, s.River.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connecting to listen: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN millrace"); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	for {
		h.Ring() // also once at the start: for what happened before
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("waiting for changes: %w", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
