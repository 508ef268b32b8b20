package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millrace/clients/fedmsg"
	"millrace/models"
)

// Metrics counts what the process does, for Prometheus. Its methods may be
// called on nil, which counts nothing.
type Metrics struct {
	registry *prometheus.Registry

	intakes  *prometheus.CounterVec
	requests *prometheus.HistogramVec
	viewers  prometheus.Gauge
	settled  *prometheus.HistogramVec
	retried  *prometheus.CounterVec
	told     *prometheus.HistogramVec
	calls    *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

// NewMetrics makes the counters of one process. version is that of the program.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		intakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_intake_total", Help: "Messages that came in, by source and what became of them.",
		}, []string{"source", "result"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_http_request_seconds", Help: "Time to answer HTTP requests, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "method", "status"}),
		viewers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_live_viewers", Help: "Open streams of live updates.",
		}),
		settled: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_run_seconds", Help: "Time from start to end of runs, by kind and end state.",
			Buckets: []float64{1, 5, 15, 60, 180, 600, 1800, 3600, 10800, 43200},
		}, []string{"kind", "state"}),
		retried: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_run_retries_total", Help: "Submissions that did not work and are tried again, by kind.",
		}, []string{"kind"}),
		told: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_dispatch_seconds", Help: "Time that tries to tell hooks and people took, by channel and state of the dispatch after it.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"channel", "state"}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_client_request_seconds", Help: "Time until outside services answered, by service, operation and status class.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"service", "operation", "status"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_client_errors_total", Help: "Requests that outside services did not answer, or refused, or answered with an error of theirs.",
		}, []string{"service", "operation", "reason"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "millrace_build_info", Help: "Always 1; its label is the version of the program.",
	}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.intakes, m.requests, m.viewers, m.settled, m.retried, m.told, m.calls, m.failures, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watchQueue adds what waits in the database, read at a scrape, but not more
// often than every five seconds.
func (m *Metrics) watchQueue(log *slog.Logger, read func(ctx context.Context) (*models.Queue, error)) {
	if m != nil {
		// The only error is that it is there already: the handler was made twice.
		_ = m.registry.Register(&queueCollector{read: read, log: log})
	}
}

// WatchBus adds how the connection to the message bus is doing.
func (m *Metrics) WatchBus(status func() fedmsg.Status) {
	if m != nil {
		// The only error is that it is there already: the process was put together twice.
		_ = m.registry.Register(&busCollector{status})
	}
}

// Register adds a collector of somebody else's.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// Handler serves what was counted.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Timeout: 10 * time.Second, MaxRequestsInFlight: 4})
}

func (m *Metrics) intake(source, result string) {
	if m != nil {
		m.intakes.WithLabelValues(source, result).Inc()
	}
}

func (m *Metrics) request(route, method string, status int, took time.Duration) {
	if m == nil || route == "/live" { // how long people look is no latency
		return
	}
	switch method { // anybody may invent methods
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *Metrics) viewer(change float64) {
	if m != nil {
		m.viewers.Add(change)
	}
}

// Settled counts a run that ended.
func (m *Metrics) Settled(kind models.StepKind, state models.State, took time.Duration) {
	if m != nil {
		m.settled.WithLabelValues(string(kind), string(state)).Observe(took.Seconds())
	}
}

// Retried counts a submission that is tried again.
func (m *Metrics) Retried(kind models.StepKind) {
	if m != nil {
		m.retried.WithLabelValues(string(kind)).Inc()
	}
}

// Dispatched counts a try to tell a hook or a person.
func (m *Metrics) Dispatched(channel models.Channel, state models.DispatchState, took time.Duration) {
	if m != nil {
		m.told.WithLabelValues(string(channel), string(state)).Observe(took.Seconds())
	}
}

// watchDispatches adds what is still to be told, read at a scrape, but not more
// often than every five seconds.
func (m *Metrics) watchDispatches(log *slog.Logger, read func(ctx context.Context) (map[models.Channel]int, error)) {
	if m != nil {
		// The only error is that it is there already: the handler was made twice.
		_ = m.registry.Register(&dispatchCollector{read: read, log: log})
	}
}

// Called counts a request to an outside service. status is 0 if err came
// instead of an answer.
func (m *Metrics) Called(service, operation string, status int, err error, took time.Duration) {
	if m == nil {
		return
	}
	class := "none"
	if status > 0 {
		class = strconv.Itoa(status/100) + "xx"
	}
	m.calls.WithLabelValues(service, operation, class).Observe(took.Seconds())
	switch {
	case err != nil:
		m.failures.WithLabelValues(service, operation, "no_answer").Inc()
	case status == http.StatusTooManyRequests:
		m.failures.WithLabelValues(service, operation, "rate_limited").Inc()
	case status >= 500:
		m.failures.WithLabelValues(service, operation, "server").Inc()
	case status >= 400:
		m.failures.WithLabelValues(service, operation, "refused").Inc()
	}
}

// queueCollector reads the queue when it is asked for.
type queueCollector struct {
	read func(ctx context.Context) (*models.Queue, error)
	log  *slog.Logger

	mu    sync.Mutex // above what was read last
	at    time.Time
	queue *models.Queue
}

const queueFresh = 5 * time.Second

var (
	queueGroups   = prometheus.NewDesc("millrace_queue_groups", "Submissions in the queue, by kind and phase.", []string{"kind", "phase"}, nil)
	queueAge      = prometheus.NewDesc("millrace_queue_age_seconds", "For how long the oldest queued submission waits, by kind.", []string{"kind"}, nil)
	unhandled     = prometheus.NewDesc("millrace_deliveries_unhandled", "Messages whose job is still to come.", nil, nil)
	unhandledAge  = prometheus.NewDesc("millrace_deliveries_unhandled_age_seconds", "Age of the oldest of them.", nil, nil)
	unsentReports = prometheus.NewDesc("millrace_reports_unsent", "Reports that forges are still to be told.", nil, nil)
	waitingToTell = prometheus.NewDesc("millrace_dispatches_waiting", "What hooks and people are still to be told, by channel.", []string{"channel"}, nil)
	unsentAge     = prometheus.NewDesc("millrace_reports_unsent_age_seconds", "For how long the oldest of them waits.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueGroups, queueAge, unhandled, unhandledAge, unsentReports, unsentAge} {
		out <- d
	}
}

// Collect implements prometheus.Collector. While the database is away it tells
// nothing rather than something old.
func (c *queueCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.queue == nil || now.Sub(c.at) > queueFresh {
		ctx, cancel := context.WithTimeout(context.Background(), queueFresh)
		defer cancel()
		queue, err := c.read(ctx)
		if err != nil {
			c.log.WarnContext(ctx, "queue not measured", "error", err)
			return
		}
		c.queue, c.at = queue, now
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	age := func(since time.Time) float64 {
		if since.IsZero() {
			return 0
		}
		return max(0, now.Sub(since).Seconds())
	}
	for _, k := range c.queue.Kinds {
		kind := string(k.Kind)
		gauge(queueGroups, float64(k.Queued), kind, string(models.PhaseQueued))
		gauge(queueGroups, float64(k.Working), kind, string(models.PhaseWorking))
		gauge(queueGroups, float64(k.Submitted), kind, string(models.PhaseSubmitted))
		gauge(queueAge, age(k.Oldest), kind)
	}
	gauge(unhandled, float64(c.queue.Unhandled))
	gauge(unhandledAge, age(c.queue.UnhandledOld))
	gauge(unsentReports, float64(c.queue.Unsent))
	gauge(unsentAge, age(c.queue.UnsentOld))
}

// busCollector asks the consumer of the message bus.
type busCollector struct{ status func() fedmsg.Status }

var (
	busConnected = prometheus.NewDesc("millrace_bus_connected", "1 while the message bus is connected.", nil, nil)
	busMessages  = prometheus.NewDesc("millrace_bus_messages_total", "Messages of the bus, by what became of them.", []string{"result"}, nil)
)

// Describe implements prometheus.Collector.
func (c *busCollector) Describe(out chan<- *prometheus.Desc) {
	out <- busConnected
	out <- busMessages
}

// Collect implements prometheus.Collector.
func (c *busCollector) Collect(out chan<- prometheus.Metric) {
	s := c.status()
	connected := 0.0
	if s.Connected {
		connected = 1
	}
	out <- prometheus.MustNewConstMetric(busConnected, prometheus.GaugeValue, connected)
	for result, n := range map[string]int64{"stored": s.Received, "aside": s.Aside, "dropped": s.Dropped} {
		out <- prometheus.MustNewConstMetric(busMessages, prometheus.CounterValue, float64(n), result)
	}
}
