package store

import (
	"context"
	"fmt"
	"time"

	"millrace/models"
)

// Tokens returns the tokens of a user, the newest first.
func (q queries) Tokens(ctx context.Context, userID int64) ([]*models.Token, error) {
	var tokens []*models.Token
	err := q.db.NewSelect().Model(&tokens).Where("user_id = ?", userID).Order("id DESC").Limit(2 * models.MostTokens).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the tokens of user %d: %w", userID, err)
	}
	return tokens, nil
}

// TokenByHash returns the token whose secret has that hash, also an expired one.
func (q queries) TokenByHash(ctx context.Context, hash string) (*models.Token, error) {
	t := new(models.Token)
	if err := q.db.NewSelect().Model(t).Where("hash = ?", hash).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading a token: %w", notFound(err))
	}
	return t, nil
}

// CreateToken writes a new token and fills in its id. Who has models.MostTokens
// that have not expired gets an *models.InputError.
func (tx *Tx) CreateToken(ctx context.Context, t *models.Token) error {
	t.CreatedAt, t.ExpiresAt = Now(), t.ExpiresAt.UTC().Truncate(time.Microsecond)
	// Only the user's own requests count here; those that come at once wait for
	// the row of the user.
	err := forUpdate(tx.db.NewSelect().Model((*models.User)(nil)).Column("id").Where("id = ?", t.UserID)).Scan(ctx, new(int64))
	if err != nil {
		return fmt.Errorf("making a token for user %d: %w", t.UserID, notFound(err))
	}
	n, err := tx.db.NewSelect().Model((*models.Token)(nil)).Where("user_id = ?", t.UserID).Where("expires_at > ?", t.CreatedAt).Count(ctx)
	if err != nil {
		return fmt.Errorf("counting the tokens of user %d: %w", t.UserID, err)
	}
	if n >= models.MostTokens {
		return &models.InputError{Message: fmt.Sprintf("You have %d tokens, and there can be no more. Revoke one first.", n)}
	}
	if _, err := tx.db.NewInsert().Model(t).Returning("id").Exec(ctx); err != nil {
		return fmt.Errorf("making a token for user %d: %w", t.UserID, err)
	}
	return nil
}

// UseToken notes that a token is used, if it is still there.
func (tx *Tx) UseToken(ctx context.Context, id int64, at time.Time) error {
	_, err := tx.db.NewUpdate().Model((*models.Token)(nil)).Set("used_at = ?", at.UTC().Truncate(time.Microsecond)).Where("id = ?", id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("noting that token %d is used: %w", id, err)
	}
	return nil
}

// RemoveToken ends a token of a user and returns what it was.
func (tx *Tx) RemoveToken(ctx context.Context, userID, id int64) (*models.Token, error) {
	t := new(models.Token)
	err := tx.db.NewDelete().Model(t).Where("id = ?", id).Where("user_id = ?", userID).Returning("*").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("revoking token %d: %w", id, notFound(err))
	}
	return t, nil
}

// RemoveTokensOf ends all tokens of a user and returns how many there were.
func (tx *Tx) RemoveTokensOf(ctx context.Context, userID int64) (int64, error) {
	return tx.affected(ctx, tx.db.NewDelete().Model((*models.Token)(nil)).Where("user_id = ?", userID), "revoking the tokens of a user")
}

// removeTokens removes tokens that expired before then.
func (tx *Tx) removeTokens(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.db.NewSelect().TableExpr("tokens").Column("id").Where("expires_at < ?", before).Order("expires_at").Limit(int64(limit))
	return tx.affected(ctx, tx.db.NewDelete().Model((*models.Token)(nil)).Where("id IN (?)", old), "removing tokens")
}
