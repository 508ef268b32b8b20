package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// grant is what a source said a user may do with an object, for minutes.
type grant struct {
	bun.BaseModel `bun:"table:grants,alias:granted"`

	UserID    int64  `bun:",pk"`
	Object    string `bun:",pk"`
	Source    string `bun:",pk"`
	Role      string
	CheckedAt time.Time
}

// identity is an account of a user on another service.
type identity struct {
	bun.BaseModel `bun:"table:identities,alias:identity"`

	UserID    int64  `bun:",pk"`
	Service   string `bun:",pk"`
	Login     string
	CheckedAt time.Time
}

// Grant returns what source said about a user and an object, and when. If it
// never did the error is models.ErrNotFound.
func (q queries) Grant(ctx context.Context, userID int64, object, source string) (models.Grant, time.Time, error) {
	row := new(grant)
	err := q.db.NewSelect().Model(row).Where("user_id = ?", userID).Where("object = ?", object).Where("source = ?", source).Scan(ctx)
	if err != nil {
		return models.Grant{}, time.Time{}, fmt.Errorf("reading what %s said of %s: %w", source, object, notFound(err))
	}
	g, err := models.ParseGrant(row.Role)
	if err != nil {
		return models.Grant{}, time.Time{}, fmt.Errorf("reading what %s said of %s: %w", source, object, err)
	}
	return g, row.CheckedAt, nil
}

// SaveGrant keeps what source says now.
func (tx *Tx) SaveGrant(ctx context.Context, userID int64, object, source string, g models.Grant) error {
	row := &grant{UserID: userID, Object: object, Source: source, Role: g.String(), CheckedAt: Now()}
	_, err := tx.db.NewInsert().Model(row).On("CONFLICT (user_id, object, source) DO UPDATE").
		Set("role = EXCLUDED.role").Set("checked_at = EXCLUDED.checked_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("keeping what %s says of %s: %w", source, object, err)
	}
	return nil
}

// Identity returns the login that a user has on a service, empty if they have
// none there, and when that was found out. If it never was the error is
// models.ErrNotFound.
func (q queries) Identity(ctx context.Context, userID int64, service string) (string, time.Time, error) {
	row := new(identity)
	err := q.db.NewSelect().Model(row).Where("user_id = ?", userID).Where("service = ?", service).Scan(ctx)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("reading the account of user %d at %s: %w", userID, service, notFound(err))
	}
	return row.Login, row.CheckedAt, nil
}

// SaveIdentity keeps the login of a user on a service.
func (tx *Tx) SaveIdentity(ctx context.Context, userID int64, service, login string) error {
	row := &identity{UserID: userID, Service: service, Login: login, CheckedAt: Now()}
	_, err := tx.db.NewInsert().Model(row).On("CONFLICT (user_id, service) DO UPDATE").
		Set("login = EXCLUDED.login").Set("checked_at = EXCLUDED.checked_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("keeping the account of user %d at %s: %w", userID, service, err)
	}
	return nil
}

// removeGrants removes what sources said before then.
func (tx *Tx) removeGrants(ctx context.Context, before time.Time, limit int) (int64, error) {
	old := tx.db.NewSelect().TableExpr("grants").Column("user_id", "object", "source").Where("checked_at < ?", before).Order("checked_at").Limit(int64(limit))
	return tx.affected(ctx, tx.db.NewDelete().Model((*grant)(nil)).Where("(user_id, object, source) IN (?)", old), "removing rights")
}

// proof is whose an account at a forge is, as it said itself.
type proof struct {
	bun.BaseModel `bun:"table:proofs,alias:proof"`

	Forge     string `bun:",pk"`
	Account   string `bun:",pk"` // in lower case: forges do not tell cases apart
	AccountID int64  `bun:",nullzero"`
	Login     string
	ProvedAt  time.Time
}

// Proof returns what the account that has this name and number at a forge now said
// of itself; the zero value if it said nothing. What an account of another number
// said when it had the name is none of it.
func (q queries) Proof(ctx context.Context, forge, account string, id int64) (models.Proof, error) {
	row := new(proof)
	err := q.db.NewSelect().Model(row).Where("forge = ?", forge).
		Where("account_id = ? OR account_id IS NULL AND account = ?", id, strings.ToLower(account)).
		OrderExpr("account_id IS NULL").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return models.Proof{}, nil
	}
	if err != nil {
		return models.Proof{}, fmt.Errorf("reading whose %s at %s is: %w", account, forge, err)
	}
	return models.Proof{Account: row.Account, ID: row.AccountID, Login: row.Login, At: row.ProvedAt}, nil
}

// Proves reports whether any account at a forge said that it is the login's.
func (q queries) Proves(ctx context.Context, forge, login string) (bool, error) {
	found, err := q.db.NewSelect().Model((*proof)(nil)).Where("forge = ?", forge).Where("login = ?", login).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for accounts of %s at %s: %w", login, forge, err)
	}
	return found, nil
}

// SaveProof keeps that an account at a forge said now whose it is. What it said
// before, and what another said that had its name, is over.
func (tx *Tx) SaveProof(ctx context.Context, forge string, p models.Proof) error {
	row := &proof{Forge: forge, Account: strings.ToLower(p.Account), AccountID: p.ID, Login: p.Login, ProvedAt: Now()}
	_, err := tx.db.NewDelete().Model((*proof)(nil)).Where("forge = ?", forge).Where("account = ? OR account_id = ?", row.Account, row.AccountID).Exec(ctx)
	if err == nil {
		_, err = tx.db.NewInsert().Model(row).Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("keeping whose %s at %s is: %w", p.Account, forge, err)
	}
	return nil
}

// NumberProof keeps the number of an account whose proof is from before numbers
// were kept.
func (tx *Tx) NumberProof(ctx context.Context, forge, account string, id int64) error {
	_, err := tx.db.NewUpdate().Model((*proof)(nil)).Set("account_id = ?", id).
		Where("forge = ?", forge).Where("account = ?", strings.ToLower(account)).Where("account_id IS NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("keeping the number of %s at %s: %w", account, forge, err)
	}
	return nil
}

// ForgetGrants removes what was found out about a user's rights and accounts,
// so that it is asked anew.
func (tx *Tx) ForgetGrants(ctx context.Context, userID int64) error {
	for _, model := range []any{(*grant)(nil), (*identity)(nil)} {
		if _, err := tx.db.NewDelete().Model(model).Where("user_id = ?", userID).Exec(ctx); err != nil {
			return fmt.Errorf("forgetting the rights of user %d: %w", userID, err)
		}
	}
	return nil
}
