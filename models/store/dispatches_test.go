package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func aUser(t *testing.T, s *store.Store, login, address string) *models.User {
	t.Helper()
	u := &models.User{Login: login, Email: address}
	inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SaveUser(ctx, u) })
	return u
}

func aHook(t *testing.T, s *store.Store, projectID int64) *models.Subscription {
	t.Helper()
	hook := &models.Subscription{ProjectID: projectID, URL: "https://hear.example/", Secret: "0123456789abcdef", Topics: models.Topics}
	inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.CreateHook(ctx, hook) })
	return hook
}

// TestSubscribers: those of a project, who asked and who switched something on,
// as long as they are on and have an address.
func TestSubscribers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		one := storetest.Pipeline(t, s, "packit/one", 1, storetest.PullRequest).ProjectID
		two := storetest.Pipeline(t, s, "packit/two", 1, storetest.PullRequest).ProjectID
		ada, bo, silent := aUser(t, s, "ada", "ada@example.org"), aUser(t, s, "bo", "bo@example.org"), aUser(t, s, "silent", "")
		hook := aHook(t, s, one)
		off := aHook(t, s, one)
		var watch, own, ownBo, unheard *models.Subscription
		inTx(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
			subscribe := func(u *models.User, interest models.Interest, project int64) (made *models.Subscription) {
				if err == nil {
					made, err = tx.Subscribe(ctx, u.ID, interest, project, models.UrgentLevel)
				}
				return made
			}
			watch, own = subscribe(ada, models.ProjectInterest, one), subscribe(ada, models.OwnInterest, 0)
			ownBo, unheard = subscribe(bo, models.OwnInterest, 0), subscribe(silent, models.ProjectInterest, one)
			subscribe(bo, models.AllInterest, 0)
			off.SwitchOff("x")
			return errors.Join(err, tx.SaveHealth(ctx, off))
		})
		save := func(version int, enabled bool) {
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
				return tx.SaveAutomation(ctx, &models.Automation{
					ProjectID: two, Package: "two", Job: models.JobKojiBuild, Enabled: enabled, Settings: models.AutomationSettings{}, Source: models.FromBrowser, UserID: bo.ID,
				}, version)
			})
		}
		who := func(project, requester int64) (ids []int64) {
			t.Helper()
			all, err := s.Subscribers(t.Context(), project, requester)
			if err != nil {
				t.Fatal(err)
			}
			for _, sub := range all {
				ids = append(ids, sub.ID)
			}
			return ids
		}
		check := func(what string, got []int64, want ...int64) {
			t.Helper()
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		check("of the project", who(one, 0), hook.ID, watch.ID)
		check("and who asked", who(one, ada.ID), hook.ID, watch.ID, own.ID)
		check("of another project", who(two, 0))
		check("there, who asked", who(two, bo.ID), ownBo.ID)
		save(0, true)
		check("who switched it on", who(two, 0), ownBo.ID)
		save(1, false)
		check("who switched it off again", who(two, 0))
		if slices.Contains(who(one, silent.ID), unheard.ID) {
			t.Error("somebody without an address is told")
		}
	})
}

// TestHappenOnce: what is stored twice happened once, also when that is done by
// several at a time.
func TestHappenOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "packit/one", 1, storetest.PullRequest)
		hook := aHook(t, s, g.ProjectID)
		for i, want := range []int{1, 0, 1} {
			key := fmt.Sprintf("pipeline/%d/%d", g.ID, i/2)
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
				h := &models.Happening{Key: key, Topic: models.PipelineFinished, ProjectID: g.ProjectID, PipelineID: g.ID, Title: "It ended", URL: "https://x.example/"}
				fresh, err := tx.SaveHappenings(ctx, []*models.Happening{h})
				if err != nil {
					return err
				}
				if len(fresh) != want {
					t.Errorf("%s for the %d. time: %d are news", key, i+1, len(fresh))
				}
				return tx.CreateDispatches(ctx, models.DispatchesOf(fresh, []*models.Subscription{hook}, store.Now()))
			})
		}
		list, err := s.Dispatches(t.Context(), hook.ID, models.Page{})
		if err != nil || len(list.Rows) != 2 || list.Rows[0].Happening.Title != "It ended" {
			t.Fatalf("%d dispatches, %v", len(list.Rows), err)
		}
		first, err := s.NextDispatch(t.Context(), hook.ID)
		if err != nil || first.ID != list.Rows[1].ID || first.Happening.Project == nil {
			t.Fatalf("the next is %+v, %v", first, err)
		}
		for _, body := range []string{"one", "two"} {
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
				kept, err := tx.KeepBody(ctx, first.Happening, []byte(body))
				if string(kept) != "one" {
					t.Errorf("kept %q of %q", kept, body)
				}
				return err
			})
		}
	})
}

// TestDueDispatches: what waits is found when it is due and has no job, once.
func TestDueDispatches(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "packit/one", 1, storetest.PullRequest)
		hook := aHook(t, s, g.ProjectID)
		var all []*models.Dispatch
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			var happened []*models.Happening
			for i := range 3 {
				happened = append(happened, &models.Happening{Key: fmt.Sprint(i), Topic: models.PipelineFinished, ProjectID: g.ProjectID, Title: "It ended", URL: "https://x.example/"})
			}
			fresh, err := tx.SaveHappenings(ctx, happened)
			if err != nil {
				return err
			}
			all = models.DispatchesOf(fresh, []*models.Subscription{hook}, store.Now())
			return tx.CreateDispatches(ctx, all)
		})
		due := func(before time.Time) (ids []int64) {
			t.Helper()
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
				found, err := tx.DueDispatches(ctx, before)
				for _, d := range found {
					if d.SubscriptionID != hook.ID {
						t.Errorf("found %+v", d)
					}
					ids = append(ids, d.ID)
				}
				return err
			})
			return ids
		}
		past, later := store.Now().Add(-time.Hour), store.Now().Add(time.Hour)
		if got := due(past); got != nil {
			t.Errorf("though they have jobs, %v are found", got)
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			all[0].NotBefore, all[0].HintedAt = later, time.Time{}
			all[1].State, all[1].HintedAt = models.DispatchArrived, time.Time{}
			all[2].HintedAt = time.Time{}
			for _, d := range all {
				if err := tx.SaveTry(ctx, d, &models.DispatchTry{At: store.Now()}); err != nil {
					return err
				}
			}
			return nil
		})
		if got := due(past); !slices.Equal(got, []int64{all[2].ID}) {
			t.Errorf("due are %v, want the one that waits", got)
		}
		if got := due(past); got != nil {
			t.Errorf("a moment later %v are found again", got)
		}
		if n, err := s.WaitingDispatches(t.Context()); err != nil || n[models.HookChannel] != 2 {
			t.Errorf("waiting are %v, %v", n, err)
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.RestDispatches(ctx, hook.ID, later.Add(time.Hour))
		})
		if d, err := s.NextDispatch(t.Context(), hook.ID); err != nil || d != nil {
			t.Errorf("of a hook that rests the next is %+v, %v", d, err)
		}
	})
}

// TestHookIsRemoved: what it was sent goes with it; what is old goes too.
func TestHookIsRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "packit/one", 1, storetest.PullRequest)
		one, two := aHook(t, s, g.ProjectID), aHook(t, s, g.ProjectID)
		count := func(table string) (n int) {
			t.Helper()
			if err := s.Writer().NewSelect().TableExpr(table).ColumnExpr("count(*)").Scan(t.Context(), &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			h := &models.Happening{Key: "1", Topic: models.PipelineFinished, ProjectID: g.ProjectID, Title: "It ended", URL: "https://x.example/"}
			fresh, err := tx.SaveHappenings(ctx, []*models.Happening{h})
			if err != nil {
				return err
			}
			all := models.DispatchesOf(fresh, []*models.Subscription{one, two}, store.Now())
			if err := tx.CreateDispatches(ctx, all); err != nil {
				return err
			}
			for _, d := range all {
				if err := tx.SaveTry(ctx, d, &models.DispatchTry{At: store.Now()}); err != nil {
					return err
				}
			}
			return tx.RemoveHook(ctx, one.ID)
		})
		if count("dispatches") != 1 || count("dispatch_tries") != 1 || count("happenings") != 1 {
			t.Errorf("%d dispatches, %d tries", count("dispatches"), count("dispatch_tries"))
		}
		if _, err := s.Hook(t.Context(), g.ProjectID, one.ID); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the hook: %v", err)
		}
		gone, err := s.Forget(t.Context(), store.Now().Add(time.Hour), store.Ages{Happenings: time.Minute}, 10)
		if err != nil || gone.Happenings != 1 || count("dispatches") != 0 || count("dispatch_tries") != 0 {
			t.Errorf("old things: %+v, %v", gone, err)
		}
	})
}

// TestMostHooks: a project has so many at most, also if they are made at once.
func TestMostHooks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "packit/one", 1, storetest.PullRequest)
		for range models.MostHooks {
			aHook(t, s, g.ProjectID)
		}
		err := s.InTx(t.Context(), func(tx *store.Tx) error {
			return tx.CreateHook(t.Context(), &models.Subscription{ProjectID: g.ProjectID, URL: "https://hear.example/", Topics: models.Topics})
		})
		if _, ok := errors.AsType[*models.InputError](err); !ok {
			t.Errorf("one more: %v", err)
		}
	})
}

// TestFailedBefore: what counts is the newest that came to an end by itself.
func TestFailedBefore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		states := []models.State{models.Passed, models.Failed, models.Superseded, models.Canceled}
		for i, state := range states {
			g := storetest.Pipeline(t, s, "packit/one", 1, storetest.PullRequest)
			if _, err := s.Writer().ExecContext(t.Context(), "UPDATE pipelines SET state = ? WHERE id = ?", state, g.ID); err != nil {
				t.Fatal(err)
			}
			got, err := s.FailedBefore(t.Context(), g.Pipeline)
			if want := []bool{false, false, true, true}[i]; err != nil || got != want {
				t.Errorf("before the %s one: %t, %v", state, got, err)
			}
		}
		other := storetest.Pipeline(t, s, "packit/one", 2, storetest.PullRequest)
		if got, err := s.FailedBefore(t.Context(), other.Pipeline); err != nil || got {
			t.Errorf("of another pull request: %t, %v", got, err)
		}
	})
}
