package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"millrace/models"
)

// SaveUser writes what the account system says of somebody who logs in, and
// fills in the id.
func (tx *Tx) SaveUser(ctx context.Context, u *models.User) error {
	if u.Groups == nil {
		u.Groups = []string{}
	}
	u.CreatedAt, u.SeenAt = Now(), Now()
	_, err := tx.db.NewInsert().Model(u).On("CONFLICT (login) DO UPDATE").
		Set("name = EXCLUDED.name").Set("email = EXCLUDED.email").Set("groups = EXCLUDED.groups").Set("seen_at = EXCLUDED.seen_at").
		Returning("id, created_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("saving the user %s: %w", u.Login, err)
	}
	return nil
}

// User returns a user by id.
func (q queries) User(ctx context.Context, id int64) (*models.User, error) {
	u := new(models.User)
	if err := q.db.NewSelect().Model(u).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading user %d: %w", id, notFound(err))
	}
	return u, nil
}

// Audit notes what somebody did, in the transaction that did it.
func (tx *Tx) Audit(ctx context.Context, e *models.AuditEntry) error {
	if e.At.IsZero() {
		e.At = Now()
	}
	if _, err := tx.db.NewInsert().Model(e).Returning("id").Exec(ctx); err != nil {
		return fmt.Errorf("noting who did %s: %w", e.Action, err)
	}
	return nil
}

// ActedAt returns when a user did the n-th last of all things that the audit log
// has; zero if they were fewer.
func (q queries) ActedAt(ctx context.Context, userID int64, n int) (time.Time, error) {
	return q.nth(ctx, n, "user_id = ?", userID)
}

// RerunAt is ActedAt of the reruns of a project's pipelines, by anybody.
func (q queries) RerunAt(ctx context.Context, projectID int64, n int) (time.Time, error) {
	return q.nth(ctx, n, "action = 'pipeline.rerun' AND result = 'done' AND project_id = ?", projectID)
}

func (q queries) nth(ctx context.Context, n int, which string, id int64) (time.Time, error) {
	var e models.AuditEntry
	err := q.db.NewSelect().Model(&e).Column("at").Where(which, id).Order("entry.id DESC").Offset(int64(n - 1)).Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("finding when something was done: %w", err)
	}
	return e.At, nil
}

// AuditLog returns a part of the audit log, newest first.
func (q queries) AuditLog(ctx context.Context, page models.Page) (*models.AuditList, error) {
	k, err := readPage(page)
	if err != nil {
		return nil, err
	}
	list := new(models.AuditList)
	if err := k.apply(q.db.NewSelect().Model(&list.Rows), "entry.id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	list.Rows, list.Cursors = cut(k, list.Rows, func(e *models.AuditEntry) int64 { return e.ID })
	return list, nil
}
