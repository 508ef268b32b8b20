package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"millrace/clients/webhook"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
)

// stepsInChain is how many steps follow one another in a pipeline.
const stepsInChain = 5

// engine measures how many steps a second go from queued to settled if nothing
// outside is asked, beside pgbench's transactions.
func engine(ctx context.Context, b *bench) error {
	yardstick, err := b.defaultLoad(ctx)
	if err != nil {
		return err
	}
	var workers []*worker
	for _, postgres := range []bool{true, false} {
		address, err := b.empty(ctx, "engine", postgres)
		if err != nil {
			return err
		}
		s, err := store.Open(ctx, address)
		if err != nil {
			return err
		}
		defer s.Close()
		w := &worker{store: s}
		if _, err := w.settle(ctx, 100); err != nil { // connections are made, statements planned
			return err
		}
		if postgres { // as autovacuum does, were there more time
			if err := b.server.Exec("engine", "VACUUM ANALYZE"); err != nil {
				return err
			}
		}
		workers = append(workers, w)
	}
	rates := make([][]float64, 3)
	for range b.pick(5, 3) {
		rate, err := yardstick.rate(ctx, b.pick(4, 2))
		if err != nil {
			return err
		}
		rates[0] = append(rates[0], rate)
		for i, w := range workers {
			if rate, err = w.settle(ctx, b.pick(400, 200)); err != nil {
				return err
			}
			rates[1+i] = append(rates[1+i], rate)
		}
	}
	transactions, postgres, sqlite := median(rates[0]), median(rates[1]), median(rates[2])
	b.add(Row{
		What: "steps settled, PostgreSQL", Figure: fmt.Sprintf("%.0f/s", postgres), Yardstick: fmt.Sprintf("%s %.0f/s", yardstick.name(), transactions),
		Ratio: ratio(postgres, transactions), Budget: "at least 0.25", Verdict: verdict(postgres >= 0.25*transactions),
	})
	b.add(Row{
		What: "steps settled, SQLite", Figure: fmt.Sprintf("%.0f/s", sqlite), Yardstick: fmt.Sprintf("PostgreSQL %.0f/s", postgres),
		Ratio: ratio(sqlite, postgres), Budget: "none",
	})
	return nil
}

// worker carries out the pipelines of a database.
type worker struct {
	store *store.Store
	made  int // pipelines so far
}

// settle carries out pipelines, that are queued before it begins, with workers
// as a service has them, and returns how many steps a second that made.
func (w *worker) settle(ctx context.Context, pipelines int) (rate float64, err error) {
	e := &jobs.Engine{Store: w.store, Log: slog.New(slog.DiscardHandler), Worker: "bench", Timing: jobs.DefaultTiming, Kinds: map[models.StepKind]jobs.Kind{},
		Teller: &jobs.Teller{Hooks: new(webhook.Client)}} // it looks whether somebody wants to hear of it; nobody does
	for _, kind := range []models.StepKind{models.SRPMStep, models.CoprBuildStep, models.TestsStep} {
		e.Kinds[kind] = passing{}
	}
	r := &jobs.Runner{Engine: e}
	if r.Queue, err = jobs.NewQueue(w.store, r.RiverConfig(jobs.DefaultCapacity)); err != nil {
		return 0, err
	}
	for range pipelines {
		w.made++
		g, err := makePipeline(ctx, w.store, w.made, chain(stepsInChain))
		if err != nil {
			return 0, err
		}
		if err := r.Advance(ctx, g.ID); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	if err := r.Queue.Start(ctx); err != nil {
		return 0, err
	}
	sweeping, stop := context.WithCancel(ctx)
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		r.Sweep(sweeping)
	}()
	err = finished(ctx, w.store)
	took := time.Since(begin)
	stop()
	<-swept
	return float64(pipelines*stepsInChain) / took.Seconds(), errors.Join(err, r.Queue.Stop(ctx))
}

// finished waits until no pipeline is unfinished.
func finished(ctx context.Context, s *store.Store) error {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var open bool
		if err := s.Writer().NewRaw("SELECT EXISTS (SELECT 1 FROM pipelines WHERE state IN ('waiting', 'queued', 'running'))").Scan(ctx, &open); err != nil {
			return err
		}
		if !open {
			return nil
		}
	}
	return errors.New("not all pipelines end")
}

// passing is a kind of step that passes at once.
type passing struct{}

func (passing) Submit(_ context.Context, w *jobs.Work) (jobs.Outcome, error) {
	var o jobs.Outcome
	for _, run := range w.Runs {
		o.Runs = append(o.Runs, jobs.Update{Run: run, State: models.Passed})
	}
	return o, nil
}

func (passing) Poll(context.Context, *jobs.Work) (jobs.Outcome, error) {
	return jobs.Outcome{}, errors.New("nothing was submitted")
}

func (passing) Cancel(context.Context, *jobs.Work) error { return nil }
