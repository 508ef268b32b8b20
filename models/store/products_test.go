package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func save(t *testing.T, s *store.Store, p *models.Product, from ...models.ProductRef) *models.Product {
	t.Helper()
	err := s.InTx(t.Context(), func(tx *store.Tx) error { return tx.SaveProduct(t.Context(), p, from...) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func product(projectID int64, kind models.ProductKind, key string, state models.ProductState) *models.Product {
	return &models.Product{Kind: kind, Key: key, ProjectID: projectID, Package: "hello", Name: key, State: state}
}

// TestWayProducts: what followed from a release is found, however it branches
// and joins, and nothing else; bad links do no harm.
func TestWayProducts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		graph := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		id := graph.ProjectID
		release := save(t, s, product(id, models.ReleaseProduct, "r1", models.ProductDone))
		other := save(t, s, product(id, models.ReleaseProduct, "r2", models.ProductDone))
		pull := save(t, s, product(id, models.PullProduct, "p1", models.ProductOpen), release.Ref())
		commit := save(t, s, product(id, models.CommitProduct, "c1", models.ProductDone), pull.Ref())
		build := save(t, s, product(id, models.BuildProduct, "b1", models.ProductBuilding), commit.Ref())
		theirs := save(t, s, product(id, models.BuildProduct, "b2", models.ProductComplete), other.Ref())
		update := save(t, s, product(id, models.UpdateProduct, "u1", models.ProductPending), build.Ref(), theirs.Ref(),
			models.ProductRef{Kind: models.BuildProduct, Key: "nobody knows it"})
		save(t, s, product(id, models.CommitProduct, "alone", models.ProductDone))

		ids := func(root *models.Product) []int64 {
			products, err := s.WayProducts(t.Context(), root.ID)
			if err != nil {
				t.Fatal(err)
			}
			var ids []int64
			for _, p := range products {
				ids = append(ids, p.ID)
			}
			return ids
		}
		want := []int64{release.ID, pull.ID, commit.ID, build.ID, update.ID}
		if diff := cmp.Diff(want, ids(release)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int64{other.ID, theirs.ID, update.ID}, ids(other)); diff != "" {
			t.Error(diff)
		}
		// A circle ends.
		save(t, s, product(id, models.CommitProduct, "c1", models.ProductDone), update.Ref())
		if diff := cmp.Diff(want, ids(release)); diff != "" {
			t.Error(diff)
		}
		if _, err := s.WayProducts(t.Context(), 1<<40); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a product that is none: %v", err)
		}
	})
}

// TestSaveProductKeeps: what was known stays where the news is silent, and the
// newest state counts.
func TestSaveProductKeeps(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		graph := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		run := graph.Steps[0].Targets[0].RunID
		first := product(graph.ProjectID, models.PullProduct, "p", models.ProductOpen)
		first.RunID, first.EventID, first.URL, first.Version, first.PollAt = run, graph.EventID, "https://git.test/p", "1.2", store.Now()
		first.CreatedAt = store.Now().Add(-time.Hour)
		save(t, s, first)
		ended := save(t, s, product(graph.ProjectID, models.PullProduct, "p", models.ProductMerged))
		ended.Data.Commit = "abc"
		save(t, s, ended)
		got, err := s.Product(t.Context(), first.Ref())
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != first.ID || ended.ID != first.ID || got.RunID != run || got.EventID != graph.EventID || got.URL != first.URL || got.Version != "1.2" {
			t.Errorf("something was lost: %+v", got)
		}
		if got.State != models.ProductMerged || got.Data.Commit != "abc" || got.FinishedAt.IsZero() || !got.PollAt.IsZero() || !got.CreatedAt.Equal(first.CreatedAt) {
			t.Errorf("the news was not stored: %+v", got)
		}
		made, err := s.ProductsOfRun(t.Context(), run)
		if err != nil || len(made) != 1 || made[0].ID != first.ID {
			t.Errorf("run %d made %v, %v", run, made, err)
		}
	})
}

// TestDueProducts: each that is due is handed out once, the longest due first.
func TestDueProducts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		graph := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		for key, wait := range map[string]time.Duration{"late": -time.Minute, "later": -time.Hour, "early": time.Hour} {
			p := product(graph.ProjectID, models.BuildProduct, key, models.ProductBuilding)
			p.PollAt = store.Now().Add(wait)
			save(t, s, p)
		}
		take := func(limit int) (keys []string) {
			err := s.InTx(t.Context(), func(tx *store.Tx) error {
				due, err := tx.DueProducts(t.Context(), store.Now().Add(time.Hour), limit)
				for _, p := range due {
					keys = append(keys, p.Key)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return keys
		}
		for _, want := range [][]string{{"later"}, {"late"}, nil} {
			if diff := cmp.Diff(want, take(1)); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// TestPipelinesOfEvents: the newest attempts, with all that belongs to them.
func TestPipelinesOfEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		one := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		two := storetest.Pipeline(t, s, "packit/hello", 2, storetest.PullRequest)
		storetest.Pipeline(t, s, "packit/hello", 3, storetest.PullRequest)
		pipelines, err := s.PipelinesOfEvents(t.Context(), []int64{two.EventID, one.EventID})
		if err != nil || len(pipelines) != 2 {
			t.Fatal(pipelines, err)
		}
		for i, want := range []*models.Graph{one, two} {
			whole, err := s.Pipeline(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range whole.Steps {
				step.Config = nil
			}
			if diff := cmp.Diff(whole.Steps, pipelines[i].Steps); diff != "" || pipelines[i].ID != want.ID {
				t.Errorf("pipeline %d is %d: %s", want.ID, pipelines[i].ID, diff)
			}
		}
		if none, err := s.PipelinesOfEvents(t.Context(), nil); err != nil || len(none) != 0 {
			t.Error(none, err)
		}
	})
}

// TestPackageReleases: a package's own, and those that were proposed to it; not
// what somebody upstream calls by its name.
func TestPackageReleases(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		pkg := storetest.Pipeline(t, s, "rpms/hello", 1, storetest.PullRequest).ProjectID
		upstream := storetest.Pipeline(t, s, "ada/hi", 1, storetest.PullRequest).ProjectID
		own := save(t, s, product(pkg, models.ReleaseProduct, "own", models.ProductDone))
		proposed := save(t, s, product(upstream, models.ReleaseProduct, "proposed", models.ProductDone))
		claimed := save(t, s, product(upstream, models.ReleaseProduct, "claimed", models.ProductDone))
		save(t, s, product(pkg, models.PullProduct, "p1", models.ProductOpen), proposed.Ref())
		save(t, s, product(pkg, models.PullProduct, "p2", models.ProductOpen), proposed.Ref())
		ids := func(releases []*models.Product, err error) (ids []int64) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range releases {
				ids = append(ids, r.ID)
				if r.Project == nil {
					t.Errorf("release %d comes without its project", r.ID)
				}
			}
			return ids
		}
		if diff := cmp.Diff([]int64{proposed.ID, own.ID}, ids(s.PackageReleases(t.Context(), pkg, 0, 10))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int64{own.ID}, ids(s.PackageReleases(t.Context(), pkg, proposed.ID, 10))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int64{claimed.ID, proposed.ID}, ids(s.Releases(t.Context(), upstream, 0, 10))); diff != "" {
			t.Error(diff)
		}
	})
}
