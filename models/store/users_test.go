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

func TestUsers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ada := &models.User{Login: "ada", Name: "Ada", Email: "ada@example.org", Groups: []string{"packager", "sysadmin"}}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SaveUser(ctx, ada) })
		again := &models.User{Login: "ada", Name: "Ada L."}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SaveUser(ctx, again) })
		upper := &models.User{Login: "Ada"}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SaveUser(ctx, upper) })
		if again.ID != ada.ID || upper.ID == ada.ID || ada.ID == 0 {
			t.Errorf("ids %d, %d, %d", ada.ID, again.ID, upper.ID)
		}
		got, err := s.User(t.Context(), ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := &models.User{ID: ada.ID, Login: "ada", Name: "Ada L.", Groups: []string{}, CreatedAt: ada.CreatedAt, SeenAt: again.SeenAt}
		if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Error(diff)
		}
		if _, err := s.User(t.Context(), 999); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ada, bo := &models.User{Login: "ada"}, &models.User{Login: "bo"}
		now := store.Now()
		save := func(token string, user int64, data string, expiry time.Time) {
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
				return tx.SaveSession(ctx, &store.Session{Token: token, UserID: user, Data: []byte(data), Expiry: expiry})
			})
		}
		has := func(token, want string) {
			t.Helper()
			data, found, err := s.Session(t.Context(), token, now)
			if err != nil || found != (want != "") || string(data) != want {
				t.Errorf("session %s: %q, %v, %v; want %q", token, data, found, err, want)
			}
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SaveUser(ctx, ada), tx.SaveUser(ctx, bo))
		})
		zone := time.FixedZone("east", 5*3600) // the text of times in SQLite must sort
		save("one", ada.ID, "first", now.Add(time.Minute).In(zone))
		save("one", ada.ID, "second", now.Add(time.Minute).In(zone))
		save("two", ada.ID, "x", now.Add(time.Hour))
		save("three", bo.ID, "y", now.Add(time.Hour))
		save("over", bo.ID, "z", now)
		save("nobody", 0, "n", now.Add(-time.Hour))
		has("one", "second")
		has("over", "")
		has("none", "")

		extend := func(token string) {
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
				return tx.ExtendSession(ctx, &store.Session{Token: token, Data: []byte("more"), Expiry: now.Add(2 * time.Hour)})
			})
		}
		extend("one")
		has("one", "more")
		if data, found, err := s.Session(t.Context(), "one", now.Add(90*time.Minute)); err != nil || !found || string(data) != "more" {
			t.Errorf("the session was not extended: %q, %v, %v", data, found, err)
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.RemoveSession(ctx, "two") })
		extend("two")
		has("two", "")

		if got := forget(t, s, store.Ages{Logins: time.Minute}); got.Logins != 1 {
			t.Errorf("%d sessions were forgotten", got.Logins)
		}
		save("four", ada.ID, "f", now.Add(time.Hour))
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			n, err := tx.RemoveSessionsOf(ctx, ada.ID)
			if n != 2 {
				t.Errorf("%d sessions of ada were ended", n)
			}
			return err
		})
		has("one", "")
		has("four", "")
		has("three", "y")
	})
}

func TestAuditLog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ada := &models.User{Login: "ada"}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SaveUser(ctx, ada) })
		var want []*models.AuditEntry
		for i := range 7 {
			e := &models.AuditEntry{
				Actor: "ada", UserID: ada.ID, Via: models.ViaButton, Action: "test", Object: fmt.Sprint(i),
				Detail: map[string]string{"reason": "why"}, Result: models.AuditDone,
			}
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.Audit(ctx, e) })
			want = append([]*models.AuditEntry{e}, want...)
		}
		list, err := s.AuditLog(t.Context(), models.Page{Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[:3], list.Rows, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Error(diff)
		}
		list, err = s.AuditLog(t.Context(), models.Page{Limit: 3, Before: list.Cursors.Older})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[3:6], list.Rows, cmpopts.EquateApproxTime(0)); diff != "" || list.Cursors.Newer == "" {
			t.Error(diff, list.Cursors)
		}
		if _, err := s.AuditLog(t.Context(), models.Page{Before: "x"}); err == nil {
			t.Error("a place that is none was taken")
		}
	})
}
