package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// CreateDelivery stores a delivery and fills in its id, or reports false if its
// source sent it before.
func (tx *Tx) CreateDelivery(ctx context.Context, d *models.Delivery) (created bool, err error) {
	d.Size = len(d.Body)
	if d.ReceivedAt.IsZero() {
		d.ReceivedAt = Now()
	}
	d.HintedAt = d.ReceivedAt // its job is made in the same transaction
	conn := fixed(tx.db, d.Source, d.Key, d.Type, d.Body, d.Size, d.ReceivedAt)
	// Bodies are large: written into the text of a statement they would cost more
	// than all else.
	var ids []int64
	err = tx.db.NewRaw("INSERT INTO deliveries (source, key, type, body, size, received_at, hinted_at) VALUES ($1, $2, $3, $4, $5, $6, $6) "+
		"ON CONFLICT (source, key) DO NOTHING RETURNING id").Conn(conn).Scan(ctx, &ids)
	if err != nil && !errors.Is(notFound(err), models.ErrNotFound) {
		return false, fmt.Errorf("storing delivery %s: %w", d.Key, err)
	}
	if len(ids) == 0 {
		return false, nil
	}
	d.ID = ids[0]
	return true, nil
}

// Delivery returns a delivery with its body.
func (q queries) Delivery(ctx context.Context, id int64) (*models.Delivery, error) {
	d := new(models.Delivery)
	if err := q.db.NewSelect().Model(d).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading delivery %d: %w", id, notFound(err))
	}
	return d, nil
}

// DeliveryHandled notes that a delivery's job is done, and what was wrong with
// the message if anything was.
func (tx *Tx) DeliveryHandled(ctx context.Context, id int64, problem string) error {
	_, err := tx.db.NewUpdate().Model((*models.Delivery)(nil)).
		Set("handled_at = ?", Now()).Set("error = ?", problem).Where("id = ?", id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("marking delivery %d as handled: %w", id, err)
	}
	return nil
}

// DeliveryFailed notes why a delivery could not be handled yet, and when to try
// again.
func (tx *Tx) DeliveryFailed(ctx context.Context, id int64, problem string, again time.Time) error {
	_, err := tx.db.NewUpdate().Model((*models.Delivery)(nil)).
		Set("error = ?", problem).Set("tries = tries + 1").Set("not_before = ?", again).Set("hinted_at = NULL").
		Where("id = ?", id).Where("handled_at IS NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("noting that delivery %d failed: %w", id, err)
	}
	return nil
}

// DueDeliveries returns deliveries that nobody has handled, that are due, and
// for which no job was made since before; it notes that one is made now.
func (tx *Tx) DueDeliveries(ctx context.Context, before time.Time) ([]int64, error) {
	return hinted(ctx, tx.db, (*models.Delivery)(nil), before, "handled_at IS NULL")
}

// hinted finds rows that match and are due, and notes that a job is made for
// each: it is for tables that have not_before and hinted_at.
func hinted(ctx context.Context, db bun.IDB, model any, before time.Time, match string) ([]int64, error) {
	now := Now()
	due := db.NewSelect().Model(model).Column("id").Where(match).
		Where("hinted_at IS NULL OR hinted_at < ?", before).
		Where("not_before IS NULL OR not_before <= ?", now).Order("id").Limit(200)
	if isPG(db) {
		due = due.For("UPDATE SKIP LOCKED")
	}
	var ids []int64
	_, err := db.NewUpdate().Model(model).Set("hinted_at = ?", now).Where("id IN (?)", due).Returning("id").Exec(ctx, &ids)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("finding %T that have no job: %w", model, err)
	}
	return ids, nil
}

// ForgetHints makes everything that waits for a job due to get one: the jobs of
// the last process are gone with it.
func (tx *Tx) ForgetHints(ctx context.Context) error {
	for model, match := range map[any]string{
		(*models.Delivery)(nil): "handled_at IS NULL",
		(*models.Report)(nil):   "sent_rev < revision",
		(*models.Dispatch)(nil): "state = 'waiting'",
		(*models.RunGroup)(nil): "phase = 'queued'",
	} {
		if _, err := tx.db.NewUpdate().Model(model).Set("hinted_at = NULL").Where(match).Exec(ctx); err != nil {
			return fmt.Errorf("forgetting the jobs of %T: %w", model, err)
		}
	}
	_, err := tx.db.NewUpdate().Model((*models.RunGroup)(nil)).Set("poll_at = ?", Now()).
		Where("phase IN ('submitted', 'canceling')").Exec(ctx)
	if err != nil {
		return fmt.Errorf("making submitted groups due: %w", err)
	}
	return nil
}

// CreateEvent stores an event and fills in its id. A delivery has one event; if
// it is there already the stored one is returned instead.
func (tx *Tx) CreateEvent(ctx context.Context, e *models.Event) (*models.Event, error) {
	if e.CreatedAt.IsZero() {
		e.CreatedAt = Now()
	}
	if e.DeliveryID != 0 {
		stored := new(models.Event)
		err := tx.db.NewSelect().Model(stored).Relation("Project").Relation("Commit").
			Where("event.delivery_id = ?", e.DeliveryID).Scan(ctx)
		if err == nil {
			return stored, nil
		}
		if !errors.Is(notFound(err), models.ErrNotFound) {
			return nil, fmt.Errorf("looking for the event of delivery %d: %w", e.DeliveryID, err)
		}
	}
	if _, err := tx.db.NewInsert().Model(e).Exec(ctx); err != nil {
		return nil, fmt.Errorf("creating an event: %w", err)
	}
	return e, nil
}

// SaveEvent writes what was found out and decided about an event, and tells the
// browsers.
func (tx *Tx) SaveEvent(ctx context.Context, e *models.Event) error {
	_, err := tx.db.NewUpdate().Model(e).WherePK().
		Column("project_id", "commit_id", "state", "reason", "message", "decisions", "config_file", "config_sha", "config_text", "held", "decided_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("saving event %d: %w", e.ID, err)
	}
	return tx.Announce(ctx, models.Change{Topic: models.EventTopic, Object: e.ID, ProjectID: e.ProjectID})
}

// Event returns an event with its project, commit, delivery (without its body)
// and pipelines, newest first.
func (q queries) Event(ctx context.Context, id int64) (*models.Event, error) {
	e := new(models.Event)
	err := q.db.NewSelect().Model(e).Relation("Project").Relation("Commit").
		Relation("Delivery", func(q *bun.SelectQuery) *bun.SelectQuery { return q.ExcludeColumn("body") }).
		Relation("Pipelines", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("pipeline.id DESC") }).
		Where("event.id = ?", id).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading event %d: %w", id, notFound(err))
	}
	return e, nil
}

// EarlyEvents reports whether an event about this outside thing came before
// anything of ours was known by its id.
func (q queries) EarlyEvents(ctx context.Context, kind models.EventKind, externalID string) (bool, error) {
	n, err := q.db.NewSelect().Model((*models.Event)(nil)).
		Where("kind = ?", kind).Where("external_id = ?", externalID).Where("external_id <> ''").Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for early events of %s %s: %w", kind, externalID, err)
	}
	return n, nil
}

// EarlierEvents returns the events of a project about the same outside thing as
// e, that came before it, the oldest first.
func (q queries) EarlierEvents(ctx context.Context, e *models.Event) ([]*models.Event, error) {
	if e.ExternalID == "" {
		return nil, nil
	}
	var events []*models.Event
	err := q.db.NewSelect().Model(&events).ExcludeColumn("decisions", "config_text").Where("event.kind = ?", e.Kind).
		Where("event.external_id = ?", e.ExternalID).Where("event.external_id <> ''").Where("event.project_id = ?", e.ProjectID).
		Where("event.id < ?", e.ID).Order("event.id").Limit(100).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding what came before event %d: %w", e.ID, err)
	}
	return events, nil
}

// ReleaseHeld has the newest held events of a namespace, or of one project of it,
// handled again: one for each reference, and at most limit. Those whose delivery
// is not kept any more stay as they are. It returns how many there are.
func (tx *Tx) ReleaseHeld(ctx context.Context, a *models.Allowance, limit int) (int, error) {
	projects := tx.db.NewSelect().Model((*models.Project)(nil)).Column("id").Where("forge = ?", a.Forge)
	if a.Name != "" {
		projects = projects.Where("lower(namespace) = ?", strings.ToLower(a.Namespace)).Where("lower(name) = ?", strings.ToLower(a.Name))
	} else if a.Namespace != "" {
		projects = projects.Where("(lower(namespace) = ? OR lower(namespace) LIKE ? ESCAPE '!')",
			strings.ToLower(a.Namespace), likeText.Replace(strings.ToLower(a.Namespace))+"/%")
	}
	var ids []int64
	if err := projects.Order("active_at DESC").Limit(500).Scan(ctx, &ids); err != nil || len(ids) == 0 {
		return 0, wrapHeld(a, err)
	}
	var held []*models.Event
	err := tx.db.NewSelect().Model(&held).Column("event.id", "event.delivery_id", "event.project_id", "event.kind", "event.commit_id").Relation("Commit").
		Where("event.held").Where("event.project_id IN (?)", bun.List(ids)).Order("event.id DESC").Limit(20 * int64(limit)).Scan(ctx)
	if err != nil || len(held) == 0 {
		return 0, wrapHeld(a, err)
	}
	of := make([]int64, len(held))
	for i, e := range held {
		of[i] = e.DeliveryID
	}
	var kept []int64
	err = tx.db.NewSelect().Model((*models.Delivery)(nil)).Column("id").Where("id IN (?)", bun.List(of)).Where("size > 0 AND length(body) > 0").Scan(ctx, &kept)
	if err != nil {
		return 0, wrapHeld(a, err)
	}
	type place struct {
		project int64
		kind    models.EventKind
		of      models.RefKind
		ref     string
	}
	seen := map[place]bool{}
	var events, deliveries []int64
	for _, e := range held {
		at := place{project: e.ProjectID, kind: e.Kind}
		if e.Commit != nil {
			at.of, at.ref = e.Commit.Kind, e.Commit.Ref
		}
		if seen[at] || len(events) == limit || !slices.Contains(kept, e.DeliveryID) {
			continue
		}
		seen[at] = true
		events, deliveries = append(events, e.ID), append(deliveries, e.DeliveryID)
	}
	if len(events) == 0 {
		return 0, nil
	}
	_, err = tx.db.NewUpdate().Model((*models.Event)(nil)).Set("state = ?", models.EventNew).Set("held = FALSE").Set("reason = ''").
		Set("decisions = NULL").Set("decided_at = NULL").Where("id IN (?)", bun.List(events)).Exec(ctx)
	if err == nil {
		_, err = tx.db.NewUpdate().Model((*models.Delivery)(nil)).Set("handled_at = NULL").Set("hinted_at = NULL").Set("not_before = NULL").Set("tries = 0").
			Where("id IN (?)", bun.List(deliveries)).Exec(ctx)
	}
	return len(events), wrapHeld(a, err)
}

func wrapHeld(a *models.Allowance, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("letting go on what was held for %s: %w", a.Path(), err)
}

// LockEvent returns an event, alone, and locks it.
func (tx *Tx) LockEvent(ctx context.Context, id int64) (*models.Event, error) {
	e := new(models.Event)
	if err := forUpdate(tx.db.NewSelect().Model(e).Where("event.id = ?", id)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("locking event %d: %w", id, notFound(err))
	}
	return e, nil
}
