package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Session is a browser's session. Token is a hash: who reads the database cannot
// take a session over.
type Session struct {
	bun.BaseModel `bun:"table:sessions,alias:session"`

	Token  string `bun:",pk"`
	UserID int64  `bun:",nullzero"` // 0: nobody has logged in yet
	Data   []byte
	Expiry time.Time
}

// Session returns the data of a session that has not ended at the time now.
func (q queries) Session(ctx context.Context, token string, now time.Time) (data []byte, found bool, err error) {
	err = q.db.NewSelect().Model((*Session)(nil)).Column("data").Where("token = ?", token).Where("expiry > ?", now.UTC()).Scan(ctx, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading a session: %w", err)
	}
	return data, true, nil
}

// SaveSession writes a session, over the one of the same token.
func (tx *Tx) SaveSession(ctx context.Context, s *Session) error {
	s.Expiry = s.Expiry.UTC().Truncate(time.Microsecond)
	_, err := tx.db.NewInsert().Model(s).On("CONFLICT (token) DO UPDATE").
		Set("user_id = EXCLUDED.user_id").Set("data = EXCLUDED.data").Set("expiry = EXCLUDED.expiry").Exec(ctx)
	if err != nil {
		return fmt.Errorf("saving a session: %w", err)
	}
	return nil
}

// ExtendSession writes a session anew if it is still there: one that was ended
// meanwhile stays ended.
func (tx *Tx) ExtendSession(ctx context.Context, s *Session) error {
	_, err := tx.db.NewUpdate().Model((*Session)(nil)).
		Set("expiry = ?", s.Expiry.UTC().Truncate(time.Microsecond)).Set("data = ?", s.Data).Where("token = ?", s.Token).Exec(ctx)
	if err != nil {
		return fmt.Errorf("extending a session: %w", err)
	}
	return nil
}

// RemoveSession ends a session, if it is there.
func (tx *Tx) RemoveSession(ctx context.Context, token string) error {
	if _, err := tx.db.NewDelete().Model((*Session)(nil)).Where("token = ?", token).Exec(ctx); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// RemoveSessionsOf ends all sessions of a user and returns how many there were.
func (tx *Tx) RemoveSessionsOf(ctx context.Context, userID int64) (int64, error) {
	return tx.affected(ctx, tx.db.NewDelete().Model((*Session)(nil)).Where("user_id = ?", userID), "ending the sessions of a user")
}

// removeSessions removes sessions that ended before then.
func (tx *Tx) removeSessions(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.db.NewSelect().TableExpr("sessions").Column("token").Where("expiry < ?", before).Order("expiry").Limit(int64(limit))
	return tx.affected(ctx, tx.db.NewDelete().Model((*Session)(nil)).Where("token IN (?)", old), "removing sessions")
}
