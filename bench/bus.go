package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"millrace/clients/fedmsg"
	"millrace/clients/fedmsg/rabbitserver"
	"millrace/models"
)

const busTopic = "org.example.bench.copr.build.end"

// bus measures how many messages a second a real broker gets rid of, each stored
// with its job before it is acknowledged, beside the rows that pgbench inserts.
func bus(ctx context.Context, b *bench) error {
	broker, stop, err := startBroker(ctx)
	if errors.Is(err, rabbitserver.ErrMissing) {
		b.add(Row{What: "bus messages stored, PostgreSQL", Figure: "not measured: " + err.Error(), Budget: "at least 0.13"})
		return nil
	}
	if err != nil {
		return err
	}
	defer stop()
	yardstick, err := b.insertLoad("bus")
	if err != nil {
		return err
	}
	var sites []*site
	for _, postgres := range []bool{true, false} {
		address, err := b.empty(ctx, "bus", postgres)
		if err != nil {
			return err
		}
		s, err := openSite(ctx, address)
		if err != nil {
			return err
		}
		defer s.close()
		sites = append(sites, s)
	}
	messages := b.pick(4000, 1000)
	rates := make([][]float64, 3)
	for range b.pick(5, 3) {
		rate, err := yardstick.rate(ctx, b.pick(4, 2))
		if err != nil {
			return err
		}
		rates[0] = append(rates[0], rate)
		for i, s := range sites {
			if rate, err = drain(ctx, broker, s, messages); err != nil {
				return err
			}
			rates[i+1] = append(rates[i+1], rate)
		}
	}
	rows, postgres, sqlite := median(rates[0]), median(rates[1]), median(rates[2])
	b.add(Row{
		What: "bus messages stored, PostgreSQL", Figure: fmt.Sprintf("%.0f/s", postgres), Yardstick: fmt.Sprintf("%s %.0f/s", yardstick.name(), rows),
		Ratio: ratio(postgres, rows), Budget: "at least 0.13", Verdict: verdict(postgres >= 0.13*rows),
	})
	b.add(Row{
		What: "bus messages stored, SQLite", Figure: fmt.Sprintf("%.0f/s", sqlite), Yardstick: fmt.Sprintf("PostgreSQL %.0f/s", postgres),
		Ratio: ratio(sqlite, postgres),
	})
	return nil
}

// drain lets messages pile up at the broker, and returns how many a second are
// stored once somebody listens.
func drain(ctx context.Context, broker fedmsg.Broker, s *site, messages int) (float64, error) {
	run := fmt.Sprintf("%016x", rand.Uint64())
	listen := func(done func(stored int64) bool) (err error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		consumer := &fedmsg.Consumer{ // as the service has it
			Broker: broker, Topics: []string{busTopic}, Queue: run, Prefetch: 64, AtOnce: 32, Log: slog.New(slog.DiscardHandler),
			Handle: func(ctx context.Context, m fedmsg.Message) error {
				_, err := s.runner.Accept(ctx, &models.Delivery{Source: models.FromBus, Key: m.ID, Type: m.Topic, Body: m.Body})
				return err
			},
		}
		var running sync.WaitGroup
		running.Go(func() { err = consumer.Run(ctx) })
		for ctx.Err() == nil {
			if status := consumer.Status(); status.Connected && done(status.Received) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		late := ctx.Err()
		cancel()
		running.Wait()
		return errors.Join(err, late)
	}
	if err := listen(func(int64) bool { return true }); err != nil { // makes the queue
		return 0, err
	}
	if err := pile(ctx, broker, run, messages); err != nil {
		return 0, err
	}
	begin := time.Now()
	err := listen(func(stored int64) bool { return stored >= int64(messages) })
	return float64(messages) / time.Since(begin).Seconds(), err
}

func pile(ctx context.Context, broker fedmsg.Broker, run string, messages int) error {
	const senders = 8
	body := hookBody()
	failures := make([]error, senders)
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			out := &fedmsg.Publisher{Broker: broker}
			defer out.Close()
			for n := i; n < messages && failures[i] == nil; n += senders {
				failures[i] = out.Publish(ctx, fedmsg.Message{ID: fmt.Sprintf("%s-%d", run, n), Topic: busTopic, Body: body})
			}
		})
	}
	sending.Wait()
	return errors.Join(failures...)
}

// startBroker starts a broker that is thrown away after use.
func startBroker(ctx context.Context) (broker fedmsg.Broker, stop func(), err error) {
	dir, err := os.MkdirTemp("", "rabbit")
	if err != nil {
		return broker, nil, err
	}
	server, err := rabbitserver.New(dir)
	if err == nil {
		err = server.Start(ctx)
	}
	if err != nil {
		os.RemoveAll(dir)
		return broker, nil, err
	}
	return fedmsg.Broker{URL: server.PlainURL}, func() {
		server.Stop()
		os.RemoveAll(dir)
	}, nil
}
