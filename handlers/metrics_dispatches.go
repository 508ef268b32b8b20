package handlers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/models"
)

// dispatchCollector counts what is to be told when it is asked for.
type dispatchCollector struct {
	read func(ctx context.Context) (map[models.Channel]int, error)
	log  *slog.Logger

	mu      sync.Mutex // above what was read last
	at      time.Time
	waiting map[models.Channel]int
}

// Describe implements prometheus.Collector.
func (c *dispatchCollector) Describe(out chan<- *prometheus.Desc) { out <- waitingToTell }

// Collect implements prometheus.Collector.
func (c *dispatchCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.waiting == nil || now.Sub(c.at) > queueFresh {
		ctx, cancel := context.WithTimeout(context.Background(), queueFresh)
		defer cancel()
		waiting, err := c.read(ctx)
		if err != nil {
			c.log.WarnContext(ctx, "dispatches not measured", "error", err)
			return
		}
		c.waiting, c.at = waiting, now
	}
	for _, channel := range []models.Channel{models.HookChannel, models.MailChannel} {
		out <- prometheus.MustNewConstMetric(waitingToTell, prometheus.GaugeValue, float64(c.waiting[channel]), string(channel))
	}
}
