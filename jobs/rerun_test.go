package jobs

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// What steps of storetest.PullRequest are called, and how states names them.
const (
	buildStep, testsStep = "copr_build-1", "tests-2"
	builds, tests        = "copr_build", "tests"
)

// failing makes builds of some chroots fail, until the function is called.
func failing(services map[models.StepKind]*service, chroots ...string) (mend func()) {
	var mu sync.Mutex // above chroots
	services[models.CoprBuildStep].submit = func(w *Work) (Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		o := everyRun(w, models.Passed, "")
		for i, u := range o.Runs {
			if slices.Contains(chroots, u.Run.Target) {
				o.Runs[i].State, o.Runs[i].Reason = models.Failed, "RPMs failed to be built."
			}
		}
		return o, nil
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		chroots = nil
	}
}

func asked(pipeline int64, scope models.Scope) RerunRequest {
	return RerunRequest{
		RerunRequest: models.RerunRequest{Scope: scope}, Pipeline: pipeline, Expected: 1,
		Requester: Requester{Actor: "jdoe", Via: models.ViaCheck},
	}
}

func rerun(t *testing.T, r *Runner, request RerunRequest) int64 {
	t.Helper()
	id, err := r.Rerun(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func pipeline(t *testing.T, s *store.Store, id int64) *models.Pipeline {
	t.Helper()
	p, err := s.Pipeline(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRerunOfWhatFailed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		mend := failing(services, "fedora-43-x86_64")
		run(t, r)
		first := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, first, map[string]models.State{"pipeline": models.Failed, tests + " fedora-43-x86_64": models.Skipped})
		mend()
		preview, err := r.PreviewRerun(t.Context(), first, models.RerunRequest{Scope: models.ScopeFailed})
		if err != nil || len(preview.Run) != 2 || len(preview.Reused) != 3 || preview.Reused[0].Attempt != 1 {
			t.Fatalf("preview %+v, %v", preview, err)
		}
		second := rerun(t, r, asked(first, models.ScopeFailed))
		eventually(t, r, second, map[string]models.State{"pipeline": models.Passed, tests + " fedora-43-x86_64": models.Passed})
		old, now := pipeline(t, s, first), pipeline(t, s, second)
		if old.State != models.Failed || now.Attempt != 2 || now.FirstAttemptID != first || now.Actor != "jdoe" {
			t.Errorf("the old one is %s, the new one attempt %d of %d by %s", old.State, now.Attempt, now.FirstAttemptID, now.Actor)
		}
		shared := map[string]bool{}
		for i, step := range now.Steps {
			for j, target := range step.Targets {
				shared[step.Name+" "+target.Name] = target.Reused
				if before := old.Steps[i].Targets[j]; target.Reused != (target.RunID == before.RunID) {
					t.Errorf("%s %s: run %d after %d", step.Name, target.Name, target.RunID, before.RunID)
				}
			}
		}
		want := map[string]bool{"srpm-0 source": true, buildStep + " fedora-43-x86_64": false, buildStep + " fedora-44-x86_64": true,
			testsStep + " fedora-43-x86_64": false, testsStep + " fedora-44-x86_64": true}
		if diff := cmp.Diff(want, shared); diff != "" {
			t.Errorf("shared (-want +got):\n%s", diff)
		}
		if n := services[models.SRPMStep].count() + services[models.CoprBuildStep].count() + services[models.TestsStep].count(); n != 1+2+2 {
			t.Errorf("%d submissions", n)
		}
		log, err := s.AuditLog(t.Context(), models.Page{})
		if err != nil || len(log.Rows) != 1 || log.Rows[0].Actor != "jdoe" || log.Rows[0].Detail["scope"] != "failed" ||
			log.Rows[0].Detail["set"] != buildStep+"/fedora-43-x86_64, "+testsStep+"/fedora-43-x86_64" {
			t.Errorf("audit: %+v, %v", log, err)
		}
		again := asked(first, models.ScopeFailed)
		again.Expected = 2
		if _, err := r.Rerun(t.Context(), again); !errors.Is(err, models.ErrNothing) {
			t.Errorf("nothing has failed any more, and the rerun: %v", err)
		}
	})
}

// TestTwoClickAtOnce: one attempt comes of it, and the slower learn which.
func TestTwoClickAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		failing(services, "fedora-43-x86_64")
		run(t, r)
		first := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, first, map[string]models.State{"pipeline": models.Failed})
		const people = 6
		ids, errs := make([]int64, people), make([]error, people)
		var clicking sync.WaitGroup
		for i := range people {
			clicking.Go(func() {
				request := asked(first, models.ScopeFailed)
				if request.Key = "slow"; i < 3 { // the same person, whose browser tries again
					request.Key = "impatient"
				}
				ids[i], errs[i] = r.Rerun(t.Context(), request)
			})
		}
		clicking.Wait()
		attempts, err := s.Attempts(t.Context(), &models.Pipeline{ID: first})
		if err != nil || len(attempts) != 2 {
			t.Fatalf("%d attempts, %v", len(attempts), err)
		}
		winner := attempts[1]
		won := 0
		for i := range people {
			conflict, lost := errors.AsType[*models.ConflictError](errs[i])
			switch {
			case errs[i] == nil && ids[i] == winner.ID:
				won++
			case lost && conflict.Pipeline == winner.ID && conflict.Attempt == 2:
			default:
				t.Errorf("person %d: pipeline %d, %v", i, ids[i], errs[i])
			}
		}
		if won != 3 {
			t.Errorf("%d were told that the attempt is theirs; three clicks had its key", won)
		}
	})
}

// TestRerunWhileRunning: the new attempt shares what is still on its way, and
// ends when that does.
func TestRerunWhileRunning(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		mend := failing(services, "fedora-43-x86_64")
		services[models.TestsStep].submit = func(w *Work) (Outcome, error) {
			return submitted(w, w.Runs[0].Target+w.Group.Key), nil
		}
		var mu sync.Mutex // above ended
		ended := false
		services[models.TestsStep].poll = func(w *Work) (Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			if w.Runs[0].Target == "fedora-44-x86_64" && !ended {
				return everyRun(w, models.Running, ""), nil
			}
			return everyRun(w, models.Passed, ""), nil
		}
		run(t, r)
		first := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, first, map[string]models.State{"pipeline": models.Running, tests + " fedora-44-x86_64": models.Running})
		mend()
		second := rerun(t, r, asked(first, models.ScopeFailed))
		eventually(t, r, second, map[string]models.State{
			"pipeline": models.Running, tests + " fedora-43-x86_64": models.Passed, tests + " fedora-44-x86_64": models.Running,
		})
		mu.Lock()
		ended = true
		mu.Unlock()
		eventually(t, r, second, map[string]models.State{"pipeline": models.Passed})
		eventually(t, r, first, map[string]models.State{"pipeline": models.Failed})
		if n := services[models.TestsStep].count(); n != 2 {
			t.Errorf("%d tests were submitted", n)
		}
	})
}

// TestRestart: what runs is stopped, and its place taken.
func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		hold := true
		var mu sync.Mutex // above hold
		services[models.TestsStep].submit = func(w *Work) (Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			if hold {
				return submitted(w, w.Runs[0].Target), nil
			}
			return everyRun(w, models.Passed, ""), nil
		}
		services[models.TestsStep].poll = func(w *Work) (Outcome, error) { return everyRun(w, models.Running, ""), nil }
		run(t, r)
		first := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, first, map[string]models.State{tests + " fedora-43-x86_64": models.Running, tests + " fedora-44-x86_64": models.Running})
		mu.Lock()
		hold = false
		mu.Unlock()
		request := asked(first, models.ScopeStep)
		request.Step = testsStep
		if _, err := r.Rerun(t.Context(), request); !errors.Is(err, models.ErrNothing) {
			t.Errorf("all of it runs, and the rerun: %v", err)
		}
		request.Restart = true
		second := rerun(t, r, request)
		eventually(t, r, second, map[string]models.State{"pipeline": models.Passed})
		eventually(t, r, first, map[string]models.State{"pipeline": models.Superseded, tests + " fedora-43-x86_64": models.Superseded})
		soon(t, "canceled outside", func() (bool, any) {
			services[models.TestsStep].mu.Lock()
			defer services[models.TestsStep].mu.Unlock()
			canceled := slices.Compact(slices.Sorted(slices.Values(services[models.TestsStep].canceled))) // asking twice is no harm
			return slices.Equal(canceled, []string{"fedora-43-x86_64", "fedora-44-x86_64"}), canceled
		})
	})
}

// TestRerunSurvivesACrash: the process dies after the attempt was made and
// before anything of it was done, and its jobs are gone with it.
func TestRerunSurvivesACrash(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		mend := failing(services, "fedora-43-x86_64")
		first := create(t, r, "packit/hello", 1, storetest.PullRequest)
		err := s.InTx(t.Context(), func(tx *store.Tx) error { // as if it had failed
			g, err := tx.LockGraph(t.Context(), first)
			if err != nil {
				return err
			}
			return r.changeLocked(t.Context(), tx, g, func(_ *store.Tx, g *models.Graph) error {
				return g.SetRun(g.Steps[0].Targets[0].Run, models.Failed, "", store.Now())
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		mend()
		second := rerun(t, r, asked(first, models.ScopeFailed))
		if _, err := s.Writer().ExecContext(t.Context(), "DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		if err := r.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		eventually(t, r, second, map[string]models.State{"pipeline": models.Passed})
	})
}

func TestAttemptsAreLimited(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	r, _ := newRunner(t, s)
	id := create(t, r, "packit/hello", 1, storetest.Shape{{Kind: models.SRPMStep, Targets: []string{"source"}}})
	request := asked(id, models.ScopeAll)
	request.Expected, request.Restart = 0, true
	for range models.MaxAttempts - 1 {
		rerun(t, r, request)
	}
	_, err := r.Rerun(t.Context(), request)
	if limit, ok := errors.AsType[*models.LimitError](err); !ok || !strings.Contains(limit.Reason, "20") {
		t.Errorf("attempt 21: %v", err)
	}
}

func TestCancelOfATarget(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		services[models.CoprBuildStep].submit = func(w *Work) (Outcome, error) { return submitted(w, "77"), nil }
		services[models.CoprBuildStep].poll = func(w *Work) (Outcome, error) { return everyRun(w, models.Running, ""), nil }
		run(t, r)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, id, map[string]models.State{builds + " fedora-43-x86_64": models.Running})
		by := Requester{Actor: "jdoe", Via: models.ViaComment}
		n, err := r.Cancel(t.Context(), CancelRequest{Requester: by, Pipeline: id, Step: buildStep, Target: "fedora-43-x86_64"})
		if err != nil || n != 1 {
			t.Fatalf("canceled %d, %v", n, err)
		}
		eventually(t, r, id, map[string]models.State{
			builds + " fedora-43-x86_64": models.Canceled, tests + " fedora-43-x86_64": models.Skipped,
			builds + " fedora-44-x86_64": models.Running, tests + " fedora-44-x86_64": models.Waiting,
		})
		services[models.CoprBuildStep].mu.Lock()
		early := len(services[models.CoprBuildStep].canceled)
		services[models.CoprBuildStep].mu.Unlock()
		if early != 0 {
			t.Error("the build was canceled outside, though another chroot is wanted")
		}
		second := rerun(t, r, asked(id, models.ScopeFailed))
		eventually(t, r, second, map[string]models.State{builds + " fedora-43-x86_64": models.Running})
		if n, err = r.Cancel(t.Context(), CancelRequest{Requester: by, Pipeline: second}); err != nil || n != 4 {
			t.Fatalf("canceled %d, %v", n, err)
		}
		for _, p := range []int64{id, second} { // they share what was running
			eventually(t, r, p, map[string]models.State{"pipeline": models.Canceled, builds + " fedora-44-x86_64": models.Canceled})
		}
		soon(t, "canceled outside", func() (bool, any) {
			services[models.CoprBuildStep].mu.Lock()
			defer services[models.CoprBuildStep].mu.Unlock()
			return len(services[models.CoprBuildStep].canceled) >= 2, services[models.CoprBuildStep].canceled
		})
		if _, err = r.Cancel(t.Context(), CancelRequest{Requester: by, Pipeline: second}); !errors.Is(err, models.ErrNothing) {
			t.Errorf("nothing runs, and canceling: %v", err)
		}
		if _, err = r.Cancel(t.Context(), CancelRequest{Requester: by, Pipeline: second, Step: "x"}); err == nil {
			t.Error("a step that is not there was canceled")
		}
	})
}
