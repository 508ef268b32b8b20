package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// service is a kind whose work happens in the test: what it does is what the
// functions say, and it counts.
type service struct {
	submit func(w *Work) (Outcome, error)
	poll   func(w *Work) (Outcome, error)

	mu        sync.Mutex // above what follows
	submitted map[string]int
	canceled  []string
}

func (s *service) Submit(ctx context.Context, w *Work) (Outcome, error) {
	s.mu.Lock()
	if s.submitted == nil {
		s.submitted = map[string]int{}
	}
	s.submitted[w.Group.Key]++
	s.mu.Unlock()
	if s.submit == nil {
		return everyRun(w, models.Passed, ""), nil
	}
	return s.submit(w)
}

func (s *service) Poll(ctx context.Context, w *Work) (Outcome, error) {
	if s.poll == nil {
		return everyRun(w, models.Passed, ""), nil
	}
	return s.poll(w)
}

func (s *service) Cancel(ctx context.Context, w *Work) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.canceled = append(s.canceled, w.Group.ExternalID)
	return nil
}

func (s *service) count() (submissions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.submitted {
		submissions += n
	}
	return submissions
}

// submitted is the outcome of a submission that a service now works on.
func submitted(w *Work, id string) Outcome {
	o := Outcome{ExternalID: id, Waiting: true}
	for _, run := range w.Runs {
		o.Runs = append(o.Runs, Update{Run: run, State: models.Running, ExternalID: id})
	}
	return o
}

var testTiming = Timing{
	Lease: 2 * time.Second, Sweep: 20 * time.Millisecond, Retry: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond,
	Tries: 3, Poll: 20 * time.Millisecond, PollMax: 100 * time.Millisecond, GiveUp: time.Hour,
	Collect: 300 * time.Millisecond,
}

// newRunner makes a runner whose kinds are one service each, not yet started.
func newRunner(t *testing.T, s *store.Store) (*Runner, map[models.StepKind]*service) {
	t.Helper()
	services := map[models.StepKind]*service{}
	kinds := map[models.StepKind]Kind{}
	for _, kind := range []models.StepKind{models.SRPMStep, models.CoprBuildStep, models.TestsStep} {
		services[kind] = new(service)
		kinds[kind] = services[kind]
	}
	r := &Runner{AllowAll: true, Engine: &Engine{
		Store: s, Log: slog.New(slog.DiscardHandler), Kinds: kinds, Worker: "test", Base: "http://millrace.test", Timing: testTiming,
	}}
	if err := Migrate(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	queue, err := NewQueue(s, r.RiverConfig(Capacity{Intake: 4, Work: 8, Poll: 4, Report: 2, Logs: 1, Tell: 4}))
	if err != nil {
		t.Fatal(err)
	}
	r.Queue = queue
	return r, services
}

// run works until the test ends.
func run(t *testing.T, r *Runner) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if err := r.Queue.Start(ctx); err != nil {
		t.Fatal(err)
	}
	var sweeping sync.WaitGroup
	sweeping.Go(func() { r.Sweep(ctx) })
	t.Cleanup(func() {
		stop, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		if err := r.Queue.Stop(stop); err != nil {
			t.Error(err)
		}
		cancel()
		sweeping.Wait()
	})
}

// create makes a pipeline and starts it.
func create(t *testing.T, r *Runner, project string, number int, shape storetest.Shape) int64 {
	t.Helper()
	var id int64
	err := r.Store.InTx(t.Context(), func(tx *store.Tx) error {
		g, err := storetest.Create(t.Context(), tx, project, number, shape)
		if err != nil {
			return err
		}
		id = g.ID
		return r.advance(t.Context(), tx, g)
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// states are those of all targets, step by step.
func states(t *testing.T, r *Runner, pipeline int64) map[string]models.State {
	t.Helper()
	p, err := r.Store.Pipeline(t.Context(), pipeline)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]models.State{"pipeline": p.State}
	for _, step := range p.Steps {
		for _, target := range step.Targets {
			all[fmt.Sprintf("%s %s", step.Kind, target.Name)] = target.Run.State
		}
	}
	return all
}

// eventually waits until the pipeline's states are as wanted.
func eventually(t *testing.T, r *Runner, pipeline int64, want map[string]models.State) {
	t.Helper()
	var got map[string]models.State
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		all := states(t, r, pipeline)
		got = map[string]models.State{}
		for name := range want {
			got[name] = all[name]
		}
		if cmp.Equal(want, got) {
			return
		}
	}
	t.Fatalf("states (-want +got):\n%s", cmp.Diff(want, got))
}

func TestPipelineRunsToItsEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		services[models.CoprBuildStep].submit = func(w *Work) (Outcome, error) { return submitted(w, "77"), nil }
		run(t, r)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, id, map[string]models.State{"pipeline": models.Passed})
		counts := []int{services[models.SRPMStep].count(), services[models.CoprBuildStep].count(), services[models.TestsStep].count()}
		if diff := cmp.Diff([]int{1, 1, 2}, counts); diff != "" {
			t.Errorf("submissions by kind (-want +got):\n%s", diff)
		}
	})
}

func TestTestsStartWhenTheirChrootIsBuilt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		services[models.CoprBuildStep].submit = func(w *Work) (Outcome, error) { return submitted(w, "77"), nil }
		services[models.CoprBuildStep].poll = func(w *Work) (Outcome, error) { // one is built, the other goes on
			return Outcome{Runs: []Update{{Run: w.Runs[0], State: models.Passed}}}, nil
		}
		services[models.CoprBuildStep].poll = func(w *Work) (Outcome, error) {
			for _, run := range w.Runs {
				if run.Target == "fedora-43-x86_64" {
					return Outcome{Runs: []Update{{Run: run, State: models.Passed}}}, nil
				}
			}
			return Outcome{}, nil
		}
		run(t, r)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, id, map[string]models.State{
			"pipeline":                    models.Running,
			"copr_build fedora-43-x86_64": models.Passed, "tests fedora-43-x86_64": models.Passed,
			"copr_build fedora-44-x86_64": models.Running, "tests fedora-44-x86_64": models.Waiting,
		})
	})
}

func TestFailureSkipsWhatFollowsIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		services[models.CoprBuildStep].submit = func(w *Work) (Outcome, error) {
			return Outcome{Runs: []Update{
				{Run: w.Runs[0], State: models.Failed, Reason: "RPMs failed to be built."},
				{Run: w.Runs[1], State: models.Passed},
			}}, nil
		}
		run(t, r)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, id, map[string]models.State{
			"pipeline":                    models.Failed,
			"copr_build fedora-43-x86_64": models.Failed, "tests fedora-43-x86_64": models.Skipped,
			"copr_build fedora-44-x86_64": models.Passed, "tests fedora-44-x86_64": models.Passed,
		})
	})
}

func TestTroubleIsTriedAgainAndThenGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		var tries int
		services[models.SRPMStep].submit = func(w *Work) (Outcome, error) {
			if tries++; tries < 3 {
				return Outcome{}, errors.New("out of reach")
			}
			return everyRun(w, models.Passed, ""), nil
		}
		services[models.CoprBuildStep].submit = func(w *Work) (Outcome, error) { return Outcome{}, errors.New("out of reach for good") }
		run(t, r)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, id, map[string]models.State{
			"pipeline": models.Error, "srpm source": models.Passed,
			"copr_build fedora-43-x86_64": models.Error, "tests fedora-43-x86_64": models.Skipped,
		})
		p, err := s.Pipeline(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.Steps[1].Targets[0].Run.Reason, "Given up after 3 tries: out of reach for good"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	})
}

func TestRefusalIsFinal(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		services[models.SRPMStep].submit = func(w *Work) (Outcome, error) { return Outcome{}, fail("The spec file is gone.") }
		run(t, r)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, id, map[string]models.State{"pipeline": models.Failed, "srpm source": models.Failed})
		if n := services[models.SRPMStep].count(); n != 1 {
			t.Errorf("tried %d times", n)
		}
	})
}

// TestWorkerGoesOn has one job alone carry out what follows, as far as nobody
// else has a claim to it.
func TestWorkerGoesOn(t *testing.T) {
	t.Parallel()
	pause := func(t *testing.T, r *Runner) {
		const pause = "INSERT INTO paused_kinds (kind, actor, since) VALUES (?, 'operator', ?)"
		if _, err := r.Store.Writer().ExecContext(t.Context(), pause, models.CoprBuildStep, store.Now()); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(t *testing.T, r *Runner) { // another pipeline's build waits for a worker
		other := create(t, r, "other/first", 7, storetest.PullRequest)
		err := r.change(t.Context(), other, func(_ *store.Tx, g *models.Graph) error {
			for _, group := range g.Groups {
				if group.Kind == models.SRPMStep {
					return g.SetRun(group.Members[0], models.Passed, "", store.Now())
				}
			}
			return errors.New("no source RPM")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit := func(_ *testing.T, r *Runner) { r.Limits = map[models.StepKind]int{models.CoprBuildStep: 3} }
	tests := []struct {
		name  string
		setup func(*testing.T, *Runner)
		want  models.State // of the build
		built int
	}{
		{"alone", func(*testing.T, *Runner) {}, models.Passed, 1},
		{"others wait", wait, models.Queued, 0},
		{"paused", pause, models.Queued, 0},
		{"limited", limit, models.Queued, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				r, services := newRunner(t, s)
				tt.setup(t, r)
				id := create(t, r, "packit/hello", 1, storetest.PullRequest)
				if err := r.work(t.Context(), models.SRPMStep); err != nil {
					t.Fatal(err)
				}
				got := states(t, r, id)
				if got["srpm source"] != models.Passed || got["copr_build fedora-43-x86_64"] != tt.want {
					t.Errorf("states %v, want the build %s", got, tt.want)
				}
				if n := services[models.CoprBuildStep].count(); n != tt.built {
					t.Errorf("built %d times, want %d", n, tt.built)
				}
			})
		})
	}
}

// TestShutdownEndsAStint lets a job be told to stop while it works: it settles,
// and leaves what follows to others.
func TestShutdownEndsAStint(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		ctx, stop := context.WithCancel(t.Context())
		services[models.SRPMStep].submit = func(w *Work) (Outcome, error) {
			stop()
			return everyRun(w, models.Passed, ""), nil
		}
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		if err := r.work(ctx, models.SRPMStep); err != nil {
			t.Fatal(err)
		}
		want := map[string]models.State{"srpm source": models.Passed, "copr_build fedora-43-x86_64": models.Queued}
		got := states(t, r, id)
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s is %s, want %s", name, got[name], want[name])
			}
		}
		if n := services[models.CoprBuildStep].count(); n != 0 {
			t.Errorf("built %d times while shutting down", n)
		}
	})
}

// TestZombieSettlesNothing lets a worker finish after its lease is over and
// another has taken the group.
func TestZombieSettlesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := newRunner(t, s)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		claim := func() *Work {
			var group *models.RunGroup
			err := s.InTx(t.Context(), func(tx *store.Tx) (err error) {
				group, err = tx.Claim(t.Context(), models.SRPMStep, "worker", -time.Second, 0)
				return err
			})
			if err != nil || group == nil {
				t.Fatalf("claim: %v, %v", group, err)
			}
			w, err := r.load(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		zombie := claim()
		if err := r.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		heir := claim()
		if _, err := r.settle(t.Context(), zombie, everyRun(zombie, models.Failed, "from the grave"), nil, true); !errors.Is(err, models.ErrLost) {
			t.Fatalf("the zombie settled: %v", err)
		}
		if got := states(t, r, id)["srpm source"]; got != models.Queued {
			t.Fatalf("the zombie settled it as %s", got)
		}
		if _, err := r.settle(t.Context(), heir, everyRun(heir, models.Passed, ""), nil, false); err != nil {
			t.Fatal(err)
		}
		if got := states(t, r, id)["srpm source"]; got != models.Passed {
			t.Fatalf("the heir's run is %s", got)
		}
	})
}

// TestStopCancelsOutside supersedes a pipeline while Copr builds.
func TestStopCancelsOutside(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		building := services[models.CoprBuildStep]
		building.submit = func(w *Work) (Outcome, error) { return submitted(w, "77"), nil }
		building.poll = func(w *Work) (Outcome, error) { return Outcome{}, nil }
		run(t, r)
		older := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, older, map[string]models.State{"copr_build fedora-43-x86_64": models.Running})
		err := s.InTx(t.Context(), func(tx *store.Tx) error {
			g, err := storetest.Create(t.Context(), tx, "packit/hello", 1, storetest.PullRequest)
			if err != nil {
				return err
			}
			return r.supersede(t.Context(), tx, g)
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, r, older, map[string]models.State{
			"pipeline": models.Superseded, "srpm source": models.Passed,
			"copr_build fedora-43-x86_64": models.Superseded, "tests fedora-43-x86_64": models.Superseded,
		})
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			building.mu.Lock()
			canceled := building.canceled
			building.mu.Unlock()
			if slices.Contains(canceled, "77") { // twice if its job was doubled
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("canceled %v, want the one build", canceled)
			}
		}
	})
}

// TestWorkThatIsCanceledMeanwhileIsUndone cancels while a worker submits.
func TestWorkThatIsCanceledMeanwhileIsUndone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		entered := make(chan struct{})
		enter := sync.OnceFunc(func() { close(entered) }) // a worker that was taken for dead has an heir
		r.Kinds[models.SRPMStep] = noticing{services[models.SRPMStep], func(ctx context.Context, w *Work) (Outcome, error) {
			enter()
			<-ctx.Done() // the worker has tried to renew its lease
			return submitted(w, "99"), nil
		}}
		run(t, r)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		<-entered
		err := r.change(t.Context(), id, func(_ *store.Tx, g *models.Graph) error {
			return g.Stop(models.Canceled, "Somebody changed their mind.", store.Now())
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, r, id, map[string]models.State{"pipeline": models.Canceled, "srpm source": models.Canceled})
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			services[models.SRPMStep].mu.Lock()
			canceled := fmt.Sprint(services[models.SRPMStep].canceled)
			services[models.SRPMStep].mu.Unlock()
			if canceled == "[ 99]" || canceled == "[99 ]" || canceled == "[99]" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("canceled %s, want the submission that came late", canceled)
			}
		}
	})
}

// noticing is a kind whose submission is told when its work is taken away.
type noticing struct {
	Kind
	submit func(ctx context.Context, w *Work) (Outcome, error)
}

func (n noticing) Submit(ctx context.Context, w *Work) (Outcome, error) { return n.submit(ctx, w) }

// TestWorkThatIsCanceledAtTheLastMomentIsUndone cancels while a worker submits,
// and lets it end before it can have noticed.
func TestWorkThatIsCanceledAtTheLastMomentIsUndone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		r.Timing.Lease = time.Minute
		var id int64
		entered, leave := make(chan struct{}), make(chan struct{})
		services[models.SRPMStep].submit = func(w *Work) (Outcome, error) {
			close(entered)
			<-leave
			return submitted(w, "99"), nil
		}
		run(t, r)
		id = create(t, r, "packit/hello", 1, storetest.PullRequest)
		<-entered
		err := r.change(t.Context(), id, func(_ *store.Tx, g *models.Graph) error {
			return g.Stop(models.Canceled, "Somebody changed their mind.", store.Now())
		})
		if err != nil {
			t.Fatal(err)
		}
		close(leave)
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			services[models.SRPMStep].mu.Lock()
			undone := slices.Contains(services[models.SRPMStep].canceled, "99")
			services[models.SRPMStep].mu.Unlock()
			if undone {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the submission that came late goes on")
			}
		}
	})
}

func TestLimitHolds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		r.Limits = map[models.StepKind]int{models.SRPMStep: 2}
		var mu sync.Mutex
		var now, most int
		// However slow the machine, the first waits for the second; a third
		// would have to come in the moment that both leave it.
		full := make(chan struct{})
		services[models.SRPMStep].submit = func(w *Work) (Outcome, error) {
			mu.Lock()
			now++
			if now == 2 && most < 2 {
				close(full)
			}
			most = max(most, now)
			mu.Unlock()
			select {
			case <-full:
			case <-time.After(patience):
			}
			time.Sleep(20 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return everyRun(w, models.Passed, ""), nil
		}
		run(t, r)
		var ids []int64
		for i := range 10 {
			ids = append(ids, create(t, r, "packit/hello", i, storetest.PullRequest))
		}
		for _, id := range ids {
			eventually(t, r, id, map[string]models.State{"pipeline": models.Passed})
		}
		if most != 2 {
			t.Errorf("at most %d were carried out at once, want 2", most)
		}
	})
}

func TestShutdownGivesWorkBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := newRunner(t, s)
		r.Timing.Lease = time.Minute
		entered := make(chan struct{})
		r.Kinds[models.SRPMStep] = kindFunc(func(ctx context.Context, w *Work) (Outcome, error) {
			close(entered)
			<-ctx.Done()
			return Outcome{}, ctx.Err()
		})
		if err := r.Queue.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		<-entered
		soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := r.Queue.Stop(soon); err != nil {
			t.Fatal(err)
		}
		if got := states(t, r, id)["srpm source"]; got != models.Queued {
			t.Errorf("the run is %s after the shutdown", got)
		}
		var again *models.RunGroup
		err := s.InTx(t.Context(), func(tx *store.Tx) (err error) {
			again, err = tx.Claim(t.Context(), models.SRPMStep, "next", time.Minute, 0)
			return err
		})
		if err != nil || again == nil || again.Tries != 0 {
			t.Errorf("the next process got %+v, %v", again, err)
		}
	})
}

// kindFunc is a kind that only submits.
type kindFunc func(ctx context.Context, w *Work) (Outcome, error)

func (f kindFunc) Submit(ctx context.Context, w *Work) (Outcome, error) { return f(ctx, w) }
func (kindFunc) Poll(ctx context.Context, w *Work) (Outcome, error)     { return Outcome{}, nil }
func (kindFunc) Cancel(ctx context.Context, w *Work) error              { return nil }

// patience is how long tests wait for what must happen: far longer than it takes
// on a machine that has nothing else to do.
const patience = 5 * time.Minute
