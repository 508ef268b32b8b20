package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// start creates pipelines and queues what they can start with.
// It returns the id of their project.
func start(t *testing.T, s *store.Store, project string, numbers ...int) (projectID int64) {
	t.Helper()
	for _, n := range numbers {
		graph := storetest.Pipeline(t, s, project, n, storetest.PullRequest)
		change(t, s, graph.ID, func(*models.Graph) {})
		projectID = graph.ProjectID
	}
	return projectID
}

// change does what the engine's one function does, without making jobs.
func change(t *testing.T, s *store.Store, pipeline int64, f func(*models.Graph)) {
	t.Helper()
	err := s.InTx(t.Context(), func(tx *store.Tx) error {
		g, err := tx.LockGraph(t.Context(), pipeline)
		if err != nil {
			return err
		}
		f(g)
		queued, err := g.Advance(store.Now())
		if err != nil {
			return err
		}
		for _, group := range queued {
			place, err := tx.NextPlace(t.Context(), group.Kind, group.ProjectID)
			if err != nil {
				return err
			}
			group.Rank = place.Rank
			if err := tx.SaveGraph(t.Context(), g); err != nil { // each rank counts for the next
				return err
			}
		}
		return tx.SaveGraph(t.Context(), g)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func claim(t *testing.T, s *store.Store, kind models.StepKind, limit int) *models.RunGroup {
	t.Helper()
	var group *models.RunGroup
	err := s.InTx(t.Context(), func(tx *store.Tx) (err error) {
		group, err = tx.Claim(t.Context(), kind, "worker", time.Minute, limit)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return group
}

func TestGraphComesBackAsItWasSaved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		graph := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		change(t, s, graph.ID, func(g *models.Graph) {
			for _, target := range g.Steps[1].Targets {
				target.Run.ExternalID = "77"
				target.Run.Data = models.RunData{Packages: []string{"hello-1-1"}, LogLine: 7}
				if err := g.SetRun(target.Run, models.Failed, "It said no.", store.Now()); err != nil {
					t.Fatal(err)
				}
			}
		})
		got, err := s.Pipeline(t.Context(), graph.ID)
		if err != nil {
			t.Fatal(err)
		}
		var states []models.State
		for _, step := range got.Steps {
			states = append(states, step.State)
			for _, target := range step.Targets {
				states = append(states, target.Run.State)
			}
		}
		want := []models.State{
			models.Queued, models.Queued,
			models.Failed, models.Failed, models.Failed,
			models.Skipped, models.Skipped, models.Skipped,
		}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		run := got.Steps[1].Targets[0].Run
		if run.ExternalID != "77" || run.Data.LogLine != 7 || run.FinishedAt.IsZero() || run.Reason != "It said no." {
			t.Errorf("run came back as %+v", run)
		}
		if got.State != models.Running || got.Runs != 5 || got.RunsDone != 4 || got.RunsBad != 2 {
			t.Errorf("pipeline is %s, %d of %d done, %d bad", got.State, got.RunsDone, got.Runs, got.RunsBad)
		}
		if len(got.Steps[2].Needs) != 1 || !got.Steps[2].Needs[0].PerTarget {
			t.Errorf("needs of the tests: %+v", got.Steps[2].Needs)
		}
	})
}

func TestClaimIsExclusive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, "packit/hello", 1)
		first := claim(t, s, models.SRPMStep, 0)
		if first == nil || first.Epoch != 1 || first.Phase != models.PhaseWorking {
			t.Fatalf("first claim = %+v", first)
		}
		if second := claim(t, s, models.SRPMStep, 0); second != nil {
			t.Fatalf("claimed twice: %+v", second)
		}
	})
}

// TestClaimWaitsForAChange: who is asked to claim a group while its pipeline is
// changed gets it afterwards, for they are not asked again.
func TestClaimWaitsForAChange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, limit := range []int{0, 1} {
			var id int64
			err := s.InTx(t.Context(), func(tx *store.Tx) error {
				g, err := storetest.Create(t.Context(), tx, "packit/hello", 10+limit, storetest.PullRequest)
				if err != nil {
					return err
				}
				id = g.ID
				if _, err := g.Advance(store.Now()); err != nil {
					return err
				}
				return tx.SaveGraph(t.Context(), g)
			})
			if err != nil {
				t.Fatal(err)
			}
			locked, release := make(chan struct{}), make(chan struct{})
			var changing sync.WaitGroup
			changing.Go(func() {
				err := s.InTx(t.Context(), func(tx *store.Tx) error {
					_, err := tx.LockGraph(t.Context(), id)
					close(locked)
					<-release
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
			<-locked
			claimed := make(chan *models.RunGroup, 1)
			changing.Go(func() {
				group, err := s.Claim(t.Context(), models.SRPMStep, "late", time.Minute, limit)
				if err != nil {
					t.Error(err)
				}
				claimed <- group
			})
			select {
			case group := <-claimed:
				t.Errorf("limit %d: the claim ended in the middle of the change, with %+v", limit, group)
				claimed <- group
			case <-time.After(100 * time.Millisecond):
			}
			close(release)
			changing.Wait()
			group := <-claimed
			if group == nil || group.PipelineID != id {
				t.Fatalf("limit %d: claimed %+v, want the group of the pipeline that was changed", limit, group)
			}
			if none := claim(t, s, models.SRPMStep, limit); none != nil {
				t.Errorf("limit %d: claimed twice: %+v", limit, none)
			}
			if err := s.InTx(t.Context(), func(tx *store.Tx) error { return tx.GiveBack(t.Context(), group) }); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Writer().ExecContext(t.Context(), "UPDATE run_groups SET phase = 'settled' WHERE phase = 'queued'"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestClaimRespectsLimitAndPause(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, "packit/hello", 1, 2, 3)
		for range 2 {
			if claim(t, s, models.SRPMStep, 2) == nil {
				t.Fatal("two should be had")
			}
		}
		if third := claim(t, s, models.SRPMStep, 2); third != nil {
			t.Fatalf("third claim over the limit: %+v", third)
		}
		if claim(t, s, models.SRPMStep, 3) == nil {
			t.Fatal("a higher limit should give the third")
		}
		start(t, s, "packit/hello", 4)
		pause := "INSERT INTO paused_kinds (kind, actor, since) VALUES (?, 'operator', ?)"
		if _, err := s.Writer().ExecContext(t.Context(), pause, models.SRPMStep, store.Now()); err != nil {
			t.Fatal(err)
		}
		if paused := claim(t, s, models.SRPMStep, 0); paused != nil {
			t.Fatalf("claimed while the kind is paused: %+v", paused)
		}
	})
}

func TestQueueIsFairToProjects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		busy := start(t, s, "busy/project", 1, 2, 3, 4, 5, 6)
		other := start(t, s, "other/project", 7)
		third := start(t, s, "third/project", 8)
		var order []int64
		for range 4 {
			order = append(order, claim(t, s, models.SRPMStep, 0).ProjectID)
		}
		if diff := cmp.Diff([]int64{busy, other, third, busy}, order); diff != "" {
			t.Errorf("projects in the order they were served (-want +got):\n%s", diff)
		}
	})
}

func TestLapsedLeaseIsTakenOver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, "packit/hello", 1)
		dead := claim(t, s, models.SRPMStep, 0)
		err := s.InTx(t.Context(), func(tx *store.Tx) error {
			if err := tx.Renew(t.Context(), dead, -time.Minute); err != nil { // over already
				return err
			}
			n, err := tx.RecoverLapsed(t.Context())
			if n != 1 {
				t.Errorf("recovered %d, want 1", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		heir := claim(t, s, models.SRPMStep, 0)
		if heir == nil || heir.Epoch <= dead.Epoch {
			t.Fatalf("heir = %+v after epoch %d", heir, dead.Epoch)
		}
		err = s.InTx(t.Context(), func(tx *store.Tx) error { return tx.Renew(t.Context(), dead, time.Minute) })
		if !errors.Is(err, models.ErrLost) {
			t.Errorf("the dead worker renewed: %v", err)
		}
	})
}

func TestDeliveryIsStoredOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		store1 := func() (id int64, created bool) {
			d := &models.Delivery{Source: models.FromGitHub, Key: "abc", Type: "push", Body: []byte("{}")}
			err := s.InTx(t.Context(), func(tx *store.Tx) (err error) {
				created, err = tx.CreateDelivery(t.Context(), d)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return d.ID, created
		}
		id, created := store1()
		if !created || id == 0 {
			t.Fatalf("first: id %d, created %v", id, created)
		}
		if _, created := store1(); created {
			t.Fatal("stored twice")
		}
		d, err := s.Delivery(t.Context(), id)
		if err != nil || string(d.Body) != "{}" || d.Size != 2 {
			t.Fatalf("came back as %+v, %v", d, err)
		}
	})
}
