package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ada, bo := &models.User{Login: "ada"}, &models.User{Login: "bo"}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SaveUser(ctx, ada), tx.SaveUser(ctx, bo))
		})
		make := func(u *models.User, name string, life time.Duration) *models.Token {
			t.Helper()
			token := &models.Token{
				UserID: u.ID, Issuer: "https://id.example", Name: name,
				Scopes: []models.TokenScope{models.ReadScope, models.RerunScope}, ExpiresAt: store.Now().Add(life),
			}
			token.NewSecret()
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.CreateToken(ctx, token) })
			return token
		}
		old := make(ada, "old", -time.Hour)
		first, second := make(ada, "first", time.Hour), make(ada, "second", 24*time.Hour)
		other := make(bo, "first", time.Hour)
		list := func(u *models.User, want ...*models.Token) {
			t.Helper()
			got, err := s.Tokens(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		}
		list(ada, second, first, old)
		got, err := s.TokenByHash(t.Context(), first.Hash)
		if diff := cmp.Diff(first, got, cmpopts.EquateApproxTime(0)); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if _, err := s.TokenByHash(t.Context(), models.HashToken("")); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a hash of nothing: %v", err)
		}

		first.UsedAt = store.Now()
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.UseToken(ctx, first.ID, first.UsedAt.In(time.FixedZone("east", 3600))), tx.UseToken(ctx, 999, first.UsedAt))
		})
		list(ada, second, first, old)

		err = s.InTx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.RemoveToken(t.Context(), ada.ID, other.ID)
			return err
		})
		if !errors.Is(err, models.ErrNotFound) {
			t.Errorf("revoking the token of somebody else: %v", err)
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			gone, err := tx.RemoveToken(ctx, ada.ID, second.ID)
			if diff := cmp.Diff(second, gone, cmpopts.EquateApproxTime(0)); diff != "" {
				t.Error(diff)
			}
			return err
		})
		list(ada, first, old)
		if got := forget(t, s, store.Ages{Tokens: 2 * time.Hour}); got.Tokens != 0 {
			t.Errorf("%d tokens were forgotten too early", got.Tokens)
		}
		if got := forget(t, s, store.Ages{Tokens: time.Minute}); got.Tokens != 1 {
			t.Errorf("%d tokens were forgotten", got.Tokens)
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			n, err := tx.RemoveTokensOf(ctx, ada.ID)
			if n != 1 {
				t.Errorf("%d tokens were ended", n)
			}
			return err
		})
		list(ada)
		list(bo, other)

		for i := range models.MostTokens - 1 {
			make(bo, fmt.Sprint(i), time.Hour)
		}
		err = s.InTx(t.Context(), func(tx *store.Tx) error {
			return tx.CreateToken(t.Context(), &models.Token{UserID: bo.ID, Name: "one more", Hash: "x", ExpiresAt: store.Now().Add(time.Hour)})
		})
		if _, ok := errors.AsType[*models.InputError](err); !ok {
			t.Errorf("one more than there may be: %v", err)
		}
	})
}
