package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"millrace/models"
)

// The queues, so that a flood of one kind of job does not hold up another.
const (
	intakeQueue = "intake" // deliveries; what a person waits for first
	workQueue   = "work"   // groups to carry out
	pollQueue   = "poll"   // services to ask
	reportQueue = "report" // forges to tell
	logQueue    = "logs"   // logs to fetch
	tellQueue   = "tell"   // people and programs to tell
)

// handleDeliveryArgs asks to understand a stored delivery.
type handleDeliveryArgs struct {
	Delivery int64 `json:"delivery"`
}

// workArgs says that a group of a kind may be ready to be claimed.
type workArgs struct {
	Step models.StepKind `json:"step"`
}

// pollArgs says that a group's service should be asked now.
type pollArgs struct {
	Group int64 `json:"group"`
}

// advanceArgs says that something a pipeline shows was changed elsewhere.
type advanceArgs struct {
	Pipeline int64 `json:"pipeline"`
}

// reportArgs says that a forge is to be told something.
type reportArgs struct {
	Report int64 `json:"report"`
}

// fetchLogArgs says that a run's log can be fetched.
type fetchLogArgs struct {
	Run int64 `json:"run"`
}

// watchArgs says that the service of a product should be asked now.
type watchArgs struct {
	Product int64 `json:"product"`
}

// hookArgs says that something is to be sent to a hook.
type hookArgs struct {
	Hook int64 `json:"hook"`
}

// mailArgs says that mail is to be sent to a person.
type mailArgs struct {
	User int64 `json:"user"`
}

func (hookArgs) Kind() string           { return "tell_hook" }
func (mailArgs) Kind() string           { return "tell_person" }
func (watchArgs) Kind() string          { return "watch" }
func (handleDeliveryArgs) Kind() string { return "handle_delivery" }
func (workArgs) Kind() string           { return "work" }
func (pollArgs) Kind() string           { return "poll" }
func (advanceArgs) Kind() string        { return "advance" }
func (reportArgs) Kind() string         { return "report" }
func (fetchLogArgs) Kind() string       { return "fetch_log" }

// Most jobs are hints, which the sweep repeats when it is time, so that a job
// itself is not tried again.
func (handleDeliveryArgs) InsertOpts() river.InsertOpts { return opts(intakeQueue, 1) }
func (workArgs) InsertOpts() river.InsertOpts           { return opts(workQueue, 1) }
func (pollArgs) InsertOpts() river.InsertOpts           { return opts(pollQueue, 1) }
func (watchArgs) InsertOpts() river.InsertOpts          { return opts(pollQueue, 1) }
func (advanceArgs) InsertOpts() river.InsertOpts        { return opts(intakeQueue, 5) }
func (reportArgs) InsertOpts() river.InsertOpts         { return opts(reportQueue, 1) }
func (hookArgs) InsertOpts() river.InsertOpts           { return opts(tellQueue, 1) }
func (mailArgs) InsertOpts() river.InsertOpts           { return opts(tellQueue, 1) }
func (fetchLogArgs) InsertOpts() river.InsertOpts       { return opts(logQueue, 6) }

func opts(queue string, tries int) river.InsertOpts {
	return river.InsertOpts{Queue: queue, MaxAttempts: tries}
}

// Capacity is how many jobs of each sort one process works on at a time.
type Capacity struct {
	Intake, Work, Poll, Report, Logs, Tell int
}

// DefaultCapacity is mostly waiting for the network, so it is more than cores.
var DefaultCapacity = Capacity{Intake: 16, Work: 64, Poll: 16, Report: 8, Logs: 4, Tell: 8}

// RiverConfig is the queue's configuration of a process that works. The zero
// Capacity makes one that only adds jobs.
func (r *Runner) RiverConfig(capacity Capacity) *river.Config {
	config := &river.Config{
		Logger:              r.Log,
		Workers:             r.workers(),
		JobTimeout:          -1, // leases and each client's own limits end what hangs
		FetchCooldown:       20 * time.Millisecond,
		FetchPollInterval:   200 * time.Millisecond,
		ErrorHandler:        errorHandler{r.Log},
		SkipUnknownJobCheck: true,

		CompletedJobRetentionPeriod: time.Hour,
		DiscardedJobRetentionPeriod: 7 * 24 * time.Hour,
		CancelledJobRetentionPeriod: 24 * time.Hour,
		RescueStuckJobsAfter:        time.Hour, // of deliveries; the sweep is much faster
	}
	if capacity == (Capacity{}) {
		return config
	}
	config.Queues = map[string]river.QueueConfig{
		intakeQueue: {MaxWorkers: capacity.Intake}, workQueue: {MaxWorkers: capacity.Work},
		pollQueue: {MaxWorkers: capacity.Poll}, reportQueue: {MaxWorkers: capacity.Report},
		logQueue: {MaxWorkers: capacity.Logs}, tellQueue: {MaxWorkers: capacity.Tell},
	}
	return config
}

func (r *Runner) workers() *river.Workers {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[handleDeliveryArgs]) error {
		return r.handleDelivery(ctx, job.Args.Delivery)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[workArgs]) error {
		return r.work(ctx, job.Args.Step)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[pollArgs]) error {
		return r.poll(ctx, job.Args.Group)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[watchArgs]) error {
		return r.watch(ctx, job.Args.Product)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[findPackagesArgs]) error {
		return r.findPackages(ctx, job.Args.Login)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[advanceArgs]) error {
		return r.Advance(ctx, job.Args.Pipeline)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[reportArgs]) error {
		return r.report(ctx, job.Args.Report)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[fetchLogArgs]) error {
		return r.fetchLog(ctx, job.Args.Run, job.Attempt >= job.MaxAttempts)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[hookArgs]) error {
		return r.tellHook(ctx, job.Args.Hook)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[mailArgs]) error {
		return r.tellPerson(ctx, job.Args.User)
	}))
	return workers
}

// errorHandler writes what jobs could not do to the log, once.
type errorHandler struct{ log *slog.Logger }

func (h errorHandler) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	h.log.ErrorContext(ctx, "job failed", "job", job.Kind, "args", string(job.EncodedArgs), "attempt", job.Attempt, "of", job.MaxAttempts, "error", err)
	return nil
}

func (h errorHandler) HandlePanic(ctx context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	h.log.ErrorContext(ctx, "job panicked", "job", job.Kind, "args", string(job.EncodedArgs), "panic", fmt.Sprint(value), "trace", trace)
	return nil
}
