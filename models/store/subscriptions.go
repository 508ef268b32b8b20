package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace/models"
)

// Subscribers are those who may want to hear of what happens in a project:
// its hooks, who watches it, and who asked for it (a user, 0 if it was none) or
// switched it on. It is one read by indexes, as the engine makes it often. Those
// without an address for mail are left out.
func (q queries) Subscribers(ctx context.Context, projectID, requesterID int64) ([]*models.Subscription, error) {
	const interested = `subscription.id IN (
		SELECT p.id FROM subscriptions AS p WHERE p.project_id = $1
		UNION SELECT o.id FROM subscriptions AS o WHERE o.interest = 'own' AND o.user_id IN (
			SELECT CAST($2 AS BIGINT) UNION SELECT a.user_id FROM automations AS a WHERE a.project_id = $1 AND a.enabled AND NOT EXISTS (
				SELECT 1 FROM automations AS newer WHERE newer.project_id = a.project_id AND newer.job = a.job AND newer.version > a.version)))`
	var all []*models.Subscription
	err := q.db.NewSelect().Model(&all).Conn(fixed(q.db, projectID, requesterID)).Where(interested).Where("subscription.state = 'on'").
		Where("subscription.channel = 'webhook' OR EXISTS (SELECT 1 FROM users AS u WHERE u.id = subscription.user_id AND u.email <> '')").
		Order("subscription.id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding who wants to hear of project %d: %w", projectID, err)
	}
	return all, nil
}

// Hooks returns the hooks of a project, the oldest first, with who made them.
func (q queries) Hooks(ctx context.Context, projectID int64) ([]*models.Subscription, error) {
	var all []*models.Subscription
	err := q.db.NewSelect().Model(&all).Relation("User").Where("subscription.project_id = ?", projectID).
		Where("subscription.channel = ?", models.HookChannel).Order("subscription.id").Limit(2 * models.MostHooks).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the hooks of project %d: %w", projectID, err)
	}
	return all, nil
}

// Subscription returns a subscription with its project and user.
func (q queries) Subscription(ctx context.Context, id int64) (*models.Subscription, error) {
	s := new(models.Subscription)
	err := q.db.NewSelect().Model(s).Relation("Project").Relation("User").Where("subscription.id = ?", id).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading subscription %d: %w", id, notFound(err))
	}
	return s, nil
}

// SubscriptionByToken is Subscription by its token.
func (q queries) SubscriptionByToken(ctx context.Context, token string) (*models.Subscription, error) {
	s := new(models.Subscription)
	err := q.db.NewSelect().Model(s).Relation("Project").Relation("User").Where("subscription.token = ?", token).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading a subscription: %w", notFound(err))
	}
	return s, nil
}

// Hook is Subscription of a hook of a project.
func (q queries) Hook(ctx context.Context, projectID, id int64) (*models.Subscription, error) {
	s, err := q.Subscription(ctx, id)
	if err == nil && (s.ProjectID != projectID || s.Channel != models.HookChannel) {
		err = fmt.Errorf("reading hook %d of project %d: %w", id, projectID, models.ErrNotFound)
	}
	return s, err
}

// CreateHook stores a hook and fills in its id. A project that has
// models.MostHooks gets an *models.InputError.
func (tx *Tx) CreateHook(ctx context.Context, s *models.Subscription) error {
	s.Channel, s.Interest, s.State = models.HookChannel, models.ProjectInterest, models.SubscriptionOn
	s.CreatedAt, s.UpdatedAt = Now(), Now()
	s.NewToken()
	// Those that come at once wait for the row of the project.
	err := forUpdate(tx.db.NewSelect().Model((*models.Project)(nil)).Column("id").Where("id = ?", s.ProjectID)).Scan(ctx, new(int64))
	if err != nil {
		return fmt.Errorf("making a hook of project %d: %w", s.ProjectID, notFound(err))
	}
	n, err := tx.db.NewSelect().Model((*models.Subscription)(nil)).Where("project_id = ?", s.ProjectID).Where("channel = ?", models.HookChannel).Count(ctx)
	if err != nil {
		return fmt.Errorf("counting the hooks of project %d: %w", s.ProjectID, err)
	}
	if n >= models.MostHooks {
		return &models.InputError{Message: fmt.Sprintf("The project has %d hooks, and there can be no more. Delete one first.", n)}
	}
	if _, err := tx.db.NewInsert().Model(s).Returning("id").Exec(ctx); err != nil {
		return fmt.Errorf("making a hook of project %d: %w", s.ProjectID, err)
	}
	return nil
}

// SaveHook writes what people choose of a hook.
func (tx *Tx) SaveHook(ctx context.Context, s *models.Subscription) error {
	s.UpdatedAt = Now()
	return tx.saveSubscription(ctx, s, "url", "topics", "secret", "secret_before", "rotated_at", "updated_at")
}

// SaveHealth writes whether anything is sent to a hook, and how that goes.
func (tx *Tx) SaveHealth(ctx context.Context, s *models.Subscription) error {
	return tx.saveSubscription(ctx, s, "state", "reason", "failing_since", "silences", "rests_until")
}

func (tx *Tx) saveSubscription(ctx context.Context, s *models.Subscription, columns ...string) error {
	if _, err := tx.db.NewUpdate().Model(s).WherePK().Column(columns...).Exec(ctx); err != nil {
		return fmt.Errorf("saving subscription %d: %w", s.ID, err)
	}
	return nil
}

// RemoveHook deletes a hook with its dispatches.
func (tx *Tx) RemoveHook(ctx context.Context, id int64) error {
	if _, err := tx.db.NewDelete().Model((*models.Subscription)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
		return fmt.Errorf("deleting hook %d: %w", id, err)
	}
	return nil
}

// MailSubscriptions returns what a person hears of by mail, with the projects.
func (q queries) MailSubscriptions(ctx context.Context, userID int64) ([]*models.Subscription, error) {
	var all []*models.Subscription
	err := q.db.NewSelect().Model(&all).Relation("Project").Where("subscription.user_id = ?", userID).
		Where("subscription.channel = ?", models.MailChannel).Where("subscription.interest <> ?", models.AllInterest).
		Where("subscription.state = 'on'").Order("subscription.id").Limit(2 * models.MostWatches).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what user %d hears of: %w", userID, err)
	}
	return all, nil
}

// Watch returns the subscription by which a person hears of a project, or
// models.ErrNotFound.
func (q queries) Watch(ctx context.Context, userID, projectID int64) (*models.Subscription, error) {
	s, err := q.mailOf(ctx, userID, models.ProjectInterest, projectID)
	if err == nil && !s.On() {
		err = fmt.Errorf("project %d is not watched: %w", projectID, models.ErrNotFound)
	}
	return s, err
}

func (q queries) mailOf(ctx context.Context, userID int64, interest models.Interest, projectID int64) (*models.Subscription, error) {
	s := new(models.Subscription)
	err := q.db.NewSelect().Model(s).Where("user_id = ?", userID).Where("channel = ?", models.MailChannel).Where("interest = ?", interest).
		Where("COALESCE(project_id, 0) = ?", projectID).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading whether user %d hears of project %d: %w", userID, projectID, notFound(err))
	}
	return s, nil
}

// Subscribe has a person hear of something by mail: of a project, or with the
// project 0 of what is theirs. Its token stays the same for ever, so that the
// address in an old mail still ends it.
func (tx *Tx) Subscribe(ctx context.Context, userID int64, interest models.Interest, projectID int64, level models.Level) (*models.Subscription, error) {
	err := forUpdate(tx.db.NewSelect().Model((*models.User)(nil)).Column("id").Where("id = ?", userID)).Scan(ctx, new(int64))
	if err != nil {
		return nil, fmt.Errorf("subscribing user %d: %w", userID, notFound(err))
	}
	s, err := tx.mailOf(ctx, userID, interest, projectID)
	switch {
	case err == nil:
		s.Level, s.State, s.Reason, s.UpdatedAt = level, models.SubscriptionOn, "", Now()
		return s, tx.saveSubscription(ctx, s, "level", "state", "reason", "updated_at")
	case !errors.Is(err, models.ErrNotFound):
		return nil, err
	}
	n, err := tx.db.NewSelect().Model((*models.Subscription)(nil)).Where("user_id = ?", userID).Where("channel = ?", models.MailChannel).Count(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting what user %d hears of: %w", userID, err)
	}
	if n >= models.MostWatches {
		return nil, &models.InputError{Message: fmt.Sprintf("You watch %d projects, and there can be no more.", n)}
	}
	s = &models.Subscription{
		Channel: models.MailChannel, Interest: interest, ProjectID: projectID, UserID: userID, Level: level, State: models.SubscriptionOn,
		CreatedAt: Now(), UpdatedAt: Now(),
	}
	s.NewToken()
	if _, err := tx.db.NewInsert().Model(s).Returning("id").Exec(ctx); err != nil {
		return nil, fmt.Errorf("subscribing user %d: %w", userID, err)
	}
	return s, nil
}

// Unsubscribe ends mail: that of a subscription, or, of one about all, all to
// the person. It returns how much ended.
func (tx *Tx) Unsubscribe(ctx context.Context, s *models.Subscription) (int64, error) {
	q := tx.db.NewUpdate().Model((*models.Subscription)(nil)).Set("state = ?", models.SubscriptionOff).Set("updated_at = ?", Now()).
		Where("channel = ?", models.MailChannel).Where("state = 'on'").Where("interest <> ?", models.AllInterest)
	if s.Interest == models.AllInterest {
		q = q.Where("user_id = ?", s.UserID)
	} else {
		q = q.Where("id = ?", s.ID)
	}
	n, err := tx.affected(ctx, q, "ending mail")
	if err != nil || n == 0 {
		return n, err
	}
	// What is on its way is not sent any more either.
	gone := tx.db.NewSelect().Model((*models.Subscription)(nil)).Column("id").Where("user_id = ?", s.UserID).
		Where("channel = ?", models.MailChannel).Where("state = 'off'")
	_, err = tx.affected(ctx, tx.db.NewUpdate().Model((*models.Dispatch)(nil)).Set("state = ?", models.DispatchFailed).
		Set("error = 'It was not wanted any more.'").Set("finished_at = ?", Now()).
		Where("state = 'waiting'").Where("channel = 'mail'").Where("user_id = ?", s.UserID).Where("subscription_id IN (?)", gone), "ending mail that waits")
	return n, err
}

// FailedBefore reports whether the pipeline before this one of the same reference
// and package came to a bad end. What was stopped says nothing.
func (q queries) FailedBefore(ctx context.Context, p *models.Pipeline) (bool, error) {
	var states []models.State
	err := q.db.NewSelect().Model((*models.Pipeline)(nil)).Column("state").Where("project_id = ?", p.ProjectID).Where("kind = ?", p.Kind).
		Where("ref = ?", p.Ref).Where("package = ?", p.Package).Where("id < ?", p.ID).Where("state IN ('passed', 'failed', 'error')").
		Order("id DESC").Limit(1).Scan(ctx, &states)
	if err != nil {
		return false, fmt.Errorf("finding how %s went before: %w", p.RefName(), err)
	}
	return len(states) > 0 && states[0] != models.Passed, nil
}

// ProductStateBefore is the state that a product is stored with, which nobody
// else changes until the transaction ends; empty if it is not stored.
func (tx *Tx) ProductStateBefore(ctx context.Context, ref models.ProductRef) (models.ProductState, error) {
	var states []models.ProductState
	err := forUpdate(tx.db.NewSelect().Model((*models.Product)(nil)).Column("state").Where("kind = ?", ref.Kind).Where("key = ?", ref.Key)).Scan(ctx, &states)
	if err != nil {
		return "", fmt.Errorf("reading the %s %s: %w", ref.Kind, ref.Key, err)
	}
	if len(states) == 0 {
		return "", nil
	}
	return states[0], nil
}

// removeHappenings removes what happened before then, with its dispatches.
func (tx *Tx) removeHappenings(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.db.NewSelect().TableExpr("happenings").Column("id").Where("created_at < ?", before).Order("created_at").Limit(int64(limit))
	return tx.affected(ctx, tx.db.NewDelete().Model((*models.Happening)(nil)).Where("id IN (?)", old), "removing happenings")
}
