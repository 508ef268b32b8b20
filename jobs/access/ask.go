package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/clients/fasjson"
	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
)

// questions are those that are being asked. Who asks what is being asked
// already waits for that answer.
type questions struct {
	mu    sync.Mutex
	open  map[string]*question
	quiet map[string]time.Time // sources that did not answer, and until when nobody asks them
}

// question is one that is being asked. What it says may be read when done is
// closed.
type question struct {
	done   chan struct{}
	answer any
	err    error
}

// errQuiet says that a source did not answer a moment ago.
var errQuiet = errors.New("it did not answer a moment ago")

// grant is what a source says of the viewer and an object: as it said minutes
// ago, or as it says now. With an error it is what is known nevertheless.
func (r *Rights) grant(ctx context.Context, viewer *models.Viewer, object, source string, ask func(context.Context) (models.Grant, error)) (models.Grant, error) {
	if viewer.ID != 0 {
		known, at, err := r.Store.Grant(ctx, viewer.ID, object, source)
		if err == nil && r.isFresh(at) {
			return known, nil
		}
	}
	return asked(ctx, r, source, fmt.Sprintf("%d %s\n%s\n%s", viewer.ID, viewer.Login, source, object), func(ctx context.Context) (models.Grant, error) {
		g, err := ask(ctx)
		if err == nil && viewer.ID != 0 {
			r.keep(ctx, func(tx *store.Tx) error { return tx.SaveGrant(ctx, viewer.ID, object, source, g) })
		}
		return g, err
	})
}

// errHolder says that it was the forge that did not answer.
var errHolder = errors.New("asking the forge whose name it is")

// link is the account that the viewer names at a forge, and whether it is theirs.
func (r *Rights) link(ctx context.Context, viewer *models.Viewer, host string, forge Forge) (models.Link, error) {
	named, err := r.named(ctx, viewer, forge.Service())
	if err != nil || named == "" {
		return models.Link{Forge: host}, err
	}
	unproved := models.Link{Forge: host, Account: named}
	if some, err := r.Store.Proves(ctx, host, viewer.Login); err != nil || !some {
		return unproved, err
	}
	id, err := r.holder(ctx, viewer, host, forge, named)
	if err != nil {
		return unproved, fmt.Errorf("%w: %w", errHolder, err)
	}
	proof, err := r.Store.Proof(ctx, host, named, id)
	link := models.NewLink(host, viewer.Login, named, id, proof)
	if err == nil && link.Proved() && proof.ID == 0 {
		r.keep(ctx, func(tx *store.Tx) error { return tx.NumberProof(ctx, host, named, id) })
	}
	return link, err
}

// holder is the number of the account that has a name at a forge, as it was
// minutes ago or is now: names change hands. 0 means that none has it.
func (r *Rights) holder(ctx context.Context, viewer *models.Viewer, host string, forge Forge, named string) (int64, error) {
	source := "number at " + host
	if viewer.ID != 0 {
		known, at, err := r.Store.Identity(ctx, viewer.ID, source)
		if name, id, ok := strings.Cut(known, " "); err == nil && ok && name == named && r.isFresh(at) {
			return strconv.ParseInt(id, 10, 64)
		}
	}
	return asked(ctx, r, host, fmt.Sprintf("%d %s\nnumber\n%s\n%s", viewer.ID, viewer.Login, host, named), func(ctx context.Context) (int64, error) {
		id, err := forge.AccountID(ctx, named)
		if err == nil && viewer.ID != 0 {
			r.keep(ctx, func(tx *store.Tx) error {
				return tx.SaveIdentity(ctx, viewer.ID, source, fmt.Sprintf("%s %d", named, id))
			})
		}
		return id, err
	})
}

// named is the login at a service that the viewer names as their own, or nothing.
func (r *Rights) named(ctx context.Context, viewer *models.Viewer, service fasjson.Service) (string, error) {
	if viewer.ID != 0 {
		known, at, err := r.Store.Identity(ctx, viewer.ID, string(service))
		if err == nil && r.isFresh(at) {
			return known, nil
		}
	}
	return asked(ctx, r, "accounts", fmt.Sprintf("%d %s\naccount\n%s", viewer.ID, viewer.Login, service), func(ctx context.Context) (string, error) {
		login, err := r.namedBy(ctx, viewer.Login, service)
		if err == nil && viewer.ID != 0 {
			r.keep(ctx, func(tx *store.Tx) error { return tx.SaveIdentity(ctx, viewer.ID, string(service), login) })
		}
		return login, err
	})
}

// isFresh reports whether what was said then is still believed. What was said in
// the future, before somebody set the clock, is not.
func (r *Rights) isFresh(at time.Time) bool {
	age := store.Now().Sub(at)
	return age >= -time.Second && age < cmp.Or(r.Fresh, fresh)
}

// keep remembers an answer; if that cannot be done it is good nevertheless.
func (r *Rights) keep(ctx context.Context, f func(tx *store.Tx) error) {
	if err := r.Store.InTx(ctx, f); err != nil {
		r.Log.WarnContext(ctx, "rights not remembered", "error", err)
	}
}

// asked asks a source, unless somebody is asking it the same: then it waits
// for that answer.
func asked[T any](ctx context.Context, r *Rights, source, key string, ask func(context.Context) (T, error)) (T, error) {
	q, mine, err := r.questions.begin(source, key)
	var none T
	if err != nil {
		return none, err
	}
	if !mine {
		select {
		case <-q.done:
		case <-ctx.Done():
			return none, ctx.Err()
		}
		answer, _ := q.answer.(T)
		return answer, q.err
	}
	// Whoever asks first may leave; the others still wait for the answer.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(r.Patience, patience))
	defer cancel()
	var answer T
	err = errors.New("it was not asked to the end")
	defer func() { r.questions.end(source, key, q, answer, err) }()
	answer, err = ask(asking)
	return answer, err
}

func (qs *questions) begin(source, key string) (q *question, mine bool, err error) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.open[key]; q != nil {
		return q, false, nil
	}
	if until := qs.quiet[source]; time.Now().Before(until) {
		return nil, false, errQuiet
	}
	if len(qs.open) >= maxAsked {
		return nil, false, errors.New("too much is being asked at once")
	}
	if qs.open == nil {
		qs.open, qs.quiet = map[string]*question{}, map[string]time.Time{}
	}
	q = &question{done: make(chan struct{})}
	qs.open[key] = q
	return q, true, nil
}

func (qs *questions) end(source, key string, q *question, answer any, err error) {
	q.answer, q.err = answer, err
	qs.mu.Lock()
	defer qs.mu.Unlock()
	delete(qs.open, key)
	if err != nil && httpx.Status(err) == 0 && httpx.Temporary(err) { // no answer at all
		qs.quiet[source] = time.Now().Add(pause)
	}
	close(q.done)
}
