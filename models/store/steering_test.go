package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// TestAttemptsAreUnique: of several who make the same attempt at once one does,
// and the others learn which it is.
func TestAttemptsAreUnique(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		first := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		for _, step := range first.Steps {
			for _, target := range step.Targets {
				target.Run.State = models.Failed
			}
		}
		const people = 4
		made, errs := make([]*models.Graph, people), make([]error, people)
		var trying sync.WaitGroup
		for i := range people {
			trying.Go(func() {
				again, err := models.PlanRerun(first.Pipeline, models.RerunRequest{Scope: models.ScopeStep, Step: "tests-2"}, models.RerunFacts{})
				if err != nil {
					errs[i] = err
					return
				}
				planned, err := again.Plan(store.Now(), "jdoe")
				if err != nil {
					errs[i] = err
					return
				}
				errs[i] = s.InTx(context.Background(), func(tx *store.Tx) error {
					made[i], err = tx.CreatePipeline(context.Background(), planned.Pipeline, planned.Groups, planned.Needs)
					return err
				})
			})
		}
		trying.Wait()
		newest, err := s.AttemptOf(t.Context(), first.ID)
		if err != nil || newest.Attempt != 2 {
			t.Fatalf("the newest is %+v, %v", newest, err)
		}
		winners := 0
		for i, err := range errs {
			conflict, lost := errors.AsType[*models.ConflictError](err)
			switch {
			case err == nil && made[i].ID == newest.ID:
				winners++
			case !lost || conflict.Pipeline != newest.ID || conflict.Attempt != 2:
				t.Errorf("person %d: %v", i, err)
			}
		}
		if winners != 1 {
			t.Errorf("%d made it", winners)
		}
	})
}

// TestAttemptsShareRuns: a target of a later attempt may be another's run.
func TestAttemptsShareRuns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		first := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		for _, step := range first.Steps {
			step.Targets[0].Run.State = models.Failed
		}
		again, err := models.PlanRerun(first.Pipeline, models.RerunRequest{Scope: models.ScopeTarget, Step: "tests-2", Target: "fedora-43-x86_64"}, models.RerunFacts{})
		if err != nil {
			t.Fatal(err)
		}
		planned, err := again.Plan(store.Now(), "jdoe")
		if err != nil {
			t.Fatal(err)
		}
		planned.Pipeline.RequestKey = "key"
		err = s.InTx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.CreatePipeline(t.Context(), planned.Pipeline, planned.Groups, planned.Needs)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Pipeline(t.Context(), planned.Pipeline.ID)
		if err != nil {
			t.Fatal(err)
		}
		shared := 0
		for i, step := range p.Steps {
			for j, target := range step.Targets {
				if same := target.RunID == first.Steps[i].Targets[j].RunID; same != target.Reused {
					t.Errorf("%s %s: reused %v, same run %v", step.Name, target.Name, target.Reused, same)
				}
				if target.Reused {
					shared++
				}
			}
		}
		if shared != 2 { // the chroot and the tests of the other
			t.Errorf("%d are shared", shared)
		}
		sharing, err := s.SharingPipelines(t.Context(), []int64{first.Steps[2].Targets[1].RunID})
		if err != nil || len(sharing) != 1 || sharing[0] != p.ID {
			t.Errorf("sharing: %v, %v", sharing, err)
		}
		if of, err := s.PipelineOfRequest(t.Context(), "key"); err != nil || of.ID != p.ID {
			t.Errorf("the request made %+v, %v", of, err)
		}
		newest, err := s.NewestAt(t.Context(), p.ProjectID, p.Kind, p.Ref, p.SHA)
		if err != nil || len(newest) != 1 || newest[0].ID != p.ID {
			t.Errorf("newest: %+v, %v", newest, err)
		}
		if newest, err = s.NewestAttempts(t.Context(), p.EventID); err != nil || len(newest) != 1 || newest[0].ID != p.ID {
			t.Errorf("newest of the event: %+v, %v", newest, err)
		}
	})
}

// TestOlderEventsDoNotWinReports: the results of a rerun of what an older event
// planned do not change checks that a newer event has set.
func TestOlderEventsDoNotWinReports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		older := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		newer := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		say := func(eventID, pipelineID int64, title string) int {
			var changed []*models.Report
			err := s.InTx(t.Context(), func(tx *store.Tx) (err error) {
				changed, err = tx.Want(t.Context(), []*models.Report{{
					ProjectID: older.ProjectID, CommitID: older.CommitID, SHA: "abc", Name: "check", EventID: eventID, PipelineID: pipelineID,
					Wanted: models.CheckFailure, Title: title,
				}})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return len(changed)
		}
		for _, tt := range []struct {
			event, pipeline int64
			title           string
			want            int
		}{
			{older.EventID, newer.ID, "a late attempt of the older event", 1},
			{newer.EventID, older.ID, "an earlier pipeline of the newer event", 1},
			{older.EventID, newer.ID, "the older event again", 0},
			{newer.EventID, newer.ID, "a later attempt of the newer event", 1},
			{newer.EventID, older.ID, "its earlier attempt", 0},
			{newer.EventID, 0, "something without a pipeline", 1},
		} {
			if got := say(tt.event, tt.pipeline, tt.title); got != tt.want {
				t.Errorf("%s: %d reports changed, want %d", tt.title, got, tt.want)
			}
		}
	})
}

// TestNewLinksOfChecksAreNews: a check is told again when its summary leads
// somewhere new, not for any other change of it.
func TestNewLinksOfChecksAreNews(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		g.SHA = "abc"
		run := g.Steps[1].Targets[0]
		run.Check = "check"
		say := func() int {
			var changed []*models.Report
			inTx(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
				changed, err = tx.Want(ctx, g.Reports("https://millrace.example"))
				return err
			})
			return len(changed)
		}
		for _, step := range []struct {
			what string
			do   func()
			want int
		}{
			{"the first", func() {}, 1},
			{"nothing", func() {}, 0},
			{"a note", func() { run.Run.Data.Notes = []string{"By the way."} }, 0},
			{"its build", func() { run.Run.ExternalURL = "https://copr.example/build/7" }, 1},
			{"its log", func() { run.Run.LogURL = "https://copr.example/build/7/log" }, 1},
			{"another note", func() { run.Run.Data.Notes = []string{"By another way."} }, 0},
			{"no log any more", func() { run.Run.LogURL = "" }, 0},
		} {
			step.do()
			if got := say(); got != step.want {
				t.Errorf("%s: %d reports changed, want %d", step.what, got, step.want)
			}
		}
	})
}
