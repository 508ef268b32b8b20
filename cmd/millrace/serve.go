package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"millrace/clients/ports"
	"millrace/handlers"
	"millrace/jobs"
)

// version is what this program calls itself.
const version = "0.1.0"

// serveCommand runs the service until it is told to stop.
func serveCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace serve [--config FILE] [--web | --workers]\n\n"+
		"Serves pages and webhooks and carries jobs out; with --web or --workers only the one.\n"+
		"Several processes may share one PostgreSQL; an SQLite database is one process's.\n")
	file := configFlag(flags)
	web := flags.Bool("web", false, "serve pages and webhooks only")
	workers := flags.Bool("workers", false, "carry jobs out only")
	if code, done := parseOnly(flags, args, stderr); done {
		return code
	}
	if *web && *workers {
		fmt.Fprintln(stderr, "millrace serve: --web and --workers are the two halves; leave both out for the whole")
		return 2
	}
	s, err := loadSettings(*file)
	if err != nil {
		return complain(stderr, "serve", err)
	}
	log, err := newLog(stderr, s.LogLevel)
	if err != nil {
		return complain(stderr, "serve", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &process{settings: s, log: log, web: !*workers, workers: !*web}
	started := func(address string) {
		if address == "" {
			fmt.Fprintln(stdout, "working")
			return
		}
		fmt.Fprintf(stdout, "listening: http://%s/\n", address)
	}
	if err := p.run(ctx, started); err != nil {
		return complain(stderr, "serve", err)
	}
	return 0
}

func newLog(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log_level: %q is none of debug, info, warn, error", level)
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})), nil
}

// process is a running service: pages and webhooks, workers, or both.
type process struct {
	settings *settings
	log      *slog.Logger
	web      bool
	workers  bool
	demo     string // address of Fedora in a box, for a link
	service  *service

	opened func(v *service) error // called when the service is open, before it works; may be nil
	// broker waits until it is clear whether there is something to listen to at the
	// address of the message bus; nil: there is.
	broker func(ctx context.Context) (bool, error)
}

// run serves until ctx ends, and then lets running jobs and requests end. ready
// is called with the address when pages can be opened, or with nothing if there
// are none and workers begin.
func (p *process) run(ctx context.Context, ready func(address string)) error {
	metrics := handlers.NewMetrics(version)
	var capacity jobs.Capacity
	if w := p.settings.Workers; p.workers {
		capacity = jobs.Capacity{Intake: w.Intake, Work: w.Work, Poll: w.Poll, Report: w.Report, Logs: w.Logs, Tell: w.Tell}
	}
	v, err := openService(ctx, p.settings, p.log, capacity, metrics.Called)
	if err != nil {
		return err
	}
	defer v.store.Close()
	p.service, v.broker = v, p.broker
	if v.bus != nil && p.workers {
		metrics.WatchBus(v.bus.Status)
	}
	v.runner.Watch = jobs.Watcher{Settled: metrics.Settled, Retried: metrics.Retried}
	if p.opened != nil {
		if err := p.opened(v); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // when one half fails, the other ends too
	var halves sync.WaitGroup
	failures := make(chan error, 2)
	half := func(run func(context.Context) error) {
		halves.Go(func() {
			if err := run(ctx); err != nil {
				failures <- err
			}
			cancel()
		})
	}
	// The hub before the workers: it is what the store tells of their changes.
	server := p.server(v, metrics)
	if p.workers {
		half(v.work)
	}
	if p.web {
		half(func(ctx context.Context) error {
			return p.serve(ctx, v, server, p.settings.Listen, server.Handler(), ready)
		})
	} else {
		ready("")
		if at := p.settings.Workers.Listen; at != "" {
			half(func(ctx context.Context) error {
				return p.serve(ctx, v, server, at, server.StatusHandler(), func(string) {})
			})
		}
	}
	halves.Wait()
	close(failures)
	return errors.Join(<-failures, <-failures)
}

func (p *process) server(v *service, metrics *handlers.Metrics) *handlers.Server {
	s := p.settings
	server := &handlers.Server{
		Store: v.store, Log: p.log, Metrics: metrics, Accept: v.runner.Accept, Steering: v.runner, Limits: s.Workers.Limits, Base: s.Base, Version: version, Demo: p.demo,
		Secrets: handlers.Secrets{
			GitHub: s.GitHub.WebhookSecrets, TestingFarm: list(s.TestingFarm.WebhookToken), Bus: s.Bus.Tokens, Forgejo: s.DistGit.WebhookSecrets,
		},
		Checks: map[string]func(context.Context) error{"queue": v.queueAnswers}, Prefix: s.Prefix, KeepRaw: s.Retention.Deliveries,
		Programs: handlers.Programs(filepath.Join(s.DataDir, "programs")),
		Logins:   handlers.Logins{Operators: s.Login.OperatorGroups, Life: s.Login.Session, Idle: s.Login.Idle, TokenLife: s.Login.TokenLife, TokenMost: s.Login.TokenMost}, Flat: s.GitHub.Host, PackageForge: hostOf(s.DistGit.URL), Rights: v.runner.Rights,
	}
	if s.Login.Issuer != "" {
		server.Logins.Accounts = v.accounts()
	}
	if v.runner.Packages != nil {
		server.Automating = v.runner
	}
	v.tell(server, metrics)
	server.Live = server.NewHub()
	return server
}

// serve answers requests until ctx ends.
func (p *process) serve(ctx context.Context, v *service, server *handlers.Server, at string, handler http.Handler, ready func(address string)) error {
	var also sync.WaitGroup
	also.Go(func() { server.Live.Listen(ctx, v.store) })
	also.Go(func() { server.Live.Run(ctx) })
	also.Go(func() {
		if err := server.Programs.Keep(server, time.Now()); err != nil {
			p.log.WarnContext(ctx, "this program is not kept; source packages that wait when it is upgraded will fail", "error", err)
		}
	})

	listener, err := ports.ListenAt(at)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	h := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	h.RegisterOnShutdown(server.Live.Close)
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(listener) }() // ends in Shutdown or with an error
	ready(listener.Addr().String())
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = h.Shutdown(grace)
	also.Wait()
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shutting down: %w", err)
	}
	return nil
}

// queueAnswers reports whether jobs can be added.
func (v *service) queueAnswers(ctx context.Context) error { return v.runner.Queue.Ping(ctx) }
