package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// SaveHappenings stores what happened, and returns what was not stored before.
func (tx *Tx) SaveHappenings(ctx context.Context, all []*models.Happening) ([]*models.Happening, error) {
	var fresh []*models.Happening
	for _, h := range all {
		h.CreatedAt = Now()
		_, err := tx.db.NewInsert().Model(h).On("CONFLICT (key) DO NOTHING").Returning("id").Exec(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("storing what happened (%s): %w", h.Key, err)
		}
		if h.ID != 0 {
			fresh = append(fresh, h)
		}
	}
	return fresh, nil
}

// CreateDispatches stores dispatches and fills in their ids. What goes to a
// person already is left out, and returned without an id.
func (tx *Tx) CreateDispatches(ctx context.Context, all []*models.Dispatch) error {
	for _, d := range all {
		_, err := tx.db.NewInsert().Model(d).On("CONFLICT DO NOTHING").Returning("id").Exec(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("storing a dispatch of %s: %w", d.Happening.Key, err)
		}
	}
	return nil
}

// NextDispatch returns the oldest dispatch to a hook that is due, with what
// happened; nil if none is.
func (q queries) NextDispatch(ctx context.Context, subscriptionID int64) (*models.Dispatch, error) {
	due, err := q.dueDispatches(ctx, 1, "dispatch.subscription_id = ? AND dispatch.channel = 'webhook'", subscriptionID)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	return due[0], nil
}

// DueMail returns the oldest dispatches to a person that are due, with what
// happened.
func (q queries) DueMail(ctx context.Context, userID int64, limit int) ([]*models.Dispatch, error) {
	return q.dueDispatches(ctx, limit, "dispatch.user_id = ? AND dispatch.channel = 'mail'", userID)
}

func (q queries) dueDispatches(ctx context.Context, limit int, whose string, id int64) ([]*models.Dispatch, error) {
	var due []*models.Dispatch
	err := q.db.NewSelect().Model(&due).Relation("Happening").Relation("Happening.Project").Relation("Subscription").Relation("Subscription.Project").
		Where(whose, id).Where("dispatch.state = 'waiting'").Where("dispatch.not_before IS NULL OR dispatch.not_before <= ?", Now()).
		Order("dispatch.id").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding what is to be sent: %w", err)
	}
	return due, nil
}

// Dispatch returns a dispatch with what happened and the subscription.
func (q queries) Dispatch(ctx context.Context, id int64) (*models.Dispatch, error) {
	d := new(models.Dispatch)
	err := q.db.NewSelect().Model(d).Relation("Happening").Relation("Happening.Project").Relation("Subscription").Where("dispatch.id = ?", id).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading dispatch %d: %w", id, notFound(err))
	}
	return d, nil
}

// Dispatches returns a part of the list of a hook's dispatches, the newest first.
func (q queries) Dispatches(ctx context.Context, subscriptionID int64, page models.Page) (*models.DispatchList, error) {
	k, err := readPage(page)
	if err != nil {
		return nil, err
	}
	list := new(models.DispatchList)
	query := q.db.NewSelect().Model(&list.Rows).Relation("Happening", func(q *bun.SelectQuery) *bun.SelectQuery { return q.ExcludeColumn("body") }).
		Where("dispatch.subscription_id = ?", subscriptionID)
	if err := k.apply(query, "dispatch.id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the dispatches of hook %d: %w", subscriptionID, err)
	}
	list.Rows, list.Cursors = cut(k, list.Rows, func(d *models.Dispatch) int64 { return d.ID })
	return list, nil
}

// mostTries is how many tries of a dispatch are shown.
const mostTries = 100

// DispatchTries returns the tries of a dispatch, the newest first.
func (q queries) DispatchTries(ctx context.Context, dispatchID int64) ([]*models.DispatchTry, error) {
	var tries []*models.DispatchTry
	err := q.db.NewSelect().Model(&tries).Where("dispatch_id = ?", dispatchID).Order("id DESC").Limit(mostTries).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the tries of dispatch %d: %w", dispatchID, err)
	}
	return tries, nil
}

// KeepBody stores what hooks are sent about something, unless another did: what
// is stored is what all are sent. It is returned.
func (tx *Tx) KeepBody(ctx context.Context, h *models.Happening, body []byte) ([]byte, error) {
	if _, err := tx.db.NewUpdate().Model((*models.Happening)(nil)).Set("body = ?", body).Where("id = ?", h.ID).Where("body IS NULL").Exec(ctx); err != nil {
		return nil, fmt.Errorf("keeping the body of %s: %w", h.Key, err)
	}
	kept := new(models.Happening)
	if err := tx.db.NewSelect().Model(kept).Column("body").Where("id = ?", h.ID).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the body of %s: %w", h.Key, notFound(err))
	}
	return kept.Body, nil
}

// SaveTry notes how a try went, if there is anything to be said of it, and how
// the dispatch stands after it.
func (tx *Tx) SaveTry(ctx context.Context, d *models.Dispatch, try *models.DispatchTry) error {
	if try != nil {
		try.DispatchID = d.ID
		if _, err := tx.db.NewInsert().Model(try).Returning("id").Exec(ctx); err != nil {
			return fmt.Errorf("noting a try of dispatch %d: %w", d.ID, err)
		}
	}
	_, err := tx.db.NewUpdate().Model(d).WherePK().
		Column("state", "held", "mail", "tries", "not_before", "hinted_at", "until", "asked_by", "error", "finished_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("saving dispatch %d: %w", d.ID, err)
	}
	return nil
}

// RestDispatches puts off what waits for a hook that nobody answers at.
func (tx *Tx) RestDispatches(ctx context.Context, subscriptionID int64, until time.Time) error {
	_, err := tx.db.NewUpdate().Model((*models.Dispatch)(nil)).Set("not_before = ?", until).Set("hinted_at = NULL").
		Where("subscription_id = ?", subscriptionID).Where("state = 'waiting'").Where("not_before IS NULL OR not_before < ?", until).Exec(ctx)
	if err != nil {
		return fmt.Errorf("putting off the dispatches of hook %d: %w", subscriptionID, err)
	}
	return nil
}

// DropDispatches ends what waits for a hook, because of its state.
func (tx *Tx) DropDispatches(ctx context.Context, subscriptionID int64, reason string) error {
	_, err := tx.db.NewUpdate().Model((*models.Dispatch)(nil)).Set("state = ?", models.DispatchFailed).Set("error = ?", reason).
		Set("finished_at = ?", Now()).Where("subscription_id = ?", subscriptionID).Where("state = 'waiting'").Exec(ctx)
	if err != nil {
		return fmt.Errorf("ending the dispatches of hook %d: %w", subscriptionID, err)
	}
	return nil
}

// MailsSince returns how many mails went to a person since then, and when the
// first of them did.
func (q queries) MailsSince(ctx context.Context, userID int64, since time.Time) (n int, first time.Time, err error) {
	var sent []*models.Dispatch
	err = q.db.NewSelect().Model(&sent).Column("mail", "finished_at").Where("user_id = ?", userID).Where("channel = 'mail'").
		Where("finished_at > ?", since).Where("state = 'arrived'").Order("finished_at").Limit(10_000).Scan(ctx)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("counting the mails to user %d: %w", userID, err)
	}
	seen := map[string]bool{}
	for _, d := range sent {
		seen[d.Mail] = true
	}
	if len(sent) > 0 {
		first = sent[0].FinishedAt
	}
	return len(seen), first, nil
}

// DueDispatches returns dispatches that are due and for which no job was made
// since before; it notes that one is made now.
func (tx *Tx) DueDispatches(ctx context.Context, before time.Time) ([]*models.Dispatch, error) {
	ids, err := hinted(ctx, tx.db, (*models.Dispatch)(nil), before, "state = 'waiting'")
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var due []*models.Dispatch
	err = tx.db.NewSelect().Model(&due).Column("id", "channel", "subscription_id", "user_id").Where("id IN (?)", bun.List(ids)).Order("id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading dispatches that have no job: %w", err)
	}
	return due, nil
}

// WaitingDispatches counts what is still to be sent, by channel.
func (q queries) WaitingDispatches(ctx context.Context) (map[models.Channel]int, error) {
	var rows []struct {
		Channel models.Channel
		N       int
	}
	err := q.db.NewSelect().Model((*models.Dispatch)(nil)).ColumnExpr("channel, count(*) AS n").Where("state = 'waiting'").Group("channel").Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("counting what is to be sent: %w", err)
	}
	n := map[models.Channel]int{}
	for _, row := range rows {
		n[row.Channel] = row.N
	}
	return n, nil
}

// LastDispatches returns the newest dispatch of each of some hooks, by the hook.
func (q queries) LastDispatches(ctx context.Context, subscriptionIDs []int64) (map[int64]*models.Dispatch, error) {
	last := map[int64]*models.Dispatch{}
	for _, id := range subscriptionIDs { // a project has few
		list, err := q.Dispatches(ctx, id, models.Page{Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(list.Rows) > 0 {
			last[id] = list.Rows[0]
		}
	}
	return last, nil
}
