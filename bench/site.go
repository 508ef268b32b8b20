package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"millrace/handlers"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
)

// site is the service's pages and intake in this process, behind a real socket.
type site struct {
	store   *store.Store
	runner  *jobs.Runner
	address string
	close   func()
}

// secret signs the webhooks that are sent to a site.
const secret = "a secret for measuring only"

// openSite serves the database at address. Nothing is carried out: its jobs stay
// in the queue. Observers are told of every query.
func openSite(ctx context.Context, address string, observers ...func(query string)) (*site, error) {
	s, err := store.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	for _, observer := range observers {
		s.Observe(observer)
	}
	r := &jobs.Runner{Engine: &jobs.Engine{Store: s, Log: slog.New(slog.DiscardHandler), Worker: "bench", Timing: jobs.DefaultTiming}}
	if r.Queue, err = jobs.NewQueue(s, r.RiverConfig(jobs.Capacity{})); err != nil {
		s.Close()
		return nil, err
	}
	web := &handlers.Server{
		Store: s, Log: r.Log, Metrics: handlers.NewMetrics("bench"), Accept: r.Accept, Base: "http://millrace.test", Version: "bench",
		Secrets: handlers.Secrets{GitHub: []string{secret}}, Prefix: "/packit",
	}
	web.Live = web.NewHub()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { web.Live.Listen(ctx, s) })
	running.Go(func() { web.Live.Run(ctx) })
	server := &http.Server{Handler: web.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(r.Log.Handler(), slog.LevelWarn)}
	running.Go(func() { server.Serve(listener) })
	return &site{store: s, runner: r, address: listener.Addr().String(), close: func() {
		server.Close()
		cancel()
		running.Wait()
		s.Close()
	}}, nil
}

// visitor is one connection of a browser, or of a forge. net/http's client would
// cost as much as what it is to measure.
type visitor struct {
	conn net.Conn
	in   *bufio.Reader
}

func visit(address string) (*visitor, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &visitor{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

// get fetches a page to its end and returns its size.
func (v *visitor) get(path string) (size int64, err error) {
	err = v.exchange("GET "+path+" HTTP/1.1\r\nHost: millrace.test\r\n\r\n", nil, func(r *http.Response) error {
		if r.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(io.LimitReader(r.Body, 500))
			return fmt.Errorf("%s answered %s: %s", path, r.Status, text)
		}
		size, err = io.Copy(io.Discard, r.Body)
		return err
	})
	return size, err
}

// ask fetches a page that may not be there.
func (v *visitor) ask(path string) error {
	return v.exchange("GET "+path+" HTTP/1.1\r\nHost: millrace.test\r\n\r\n", nil, func(r *http.Response) error {
		if r.StatusCode >= http.StatusInternalServerError {
			return fmt.Errorf("%s answered %s", path, r.Status)
		}
		return nil
	})
}

// exchange sends a request as it is written and gives the answer to read.
func (v *visitor) exchange(head string, body []byte, read func(*http.Response) error) error {
	if err := v.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	parts := net.Buffers{[]byte(head), body}
	if _, err := parts.WriteTo(v.conn); err != nil {
		return err
	}
	r, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if err := read(r); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// newest is the id of the newest pipeline.
func newest(ctx context.Context, s *store.Store) (*models.Pipeline, error) {
	list, err := s.Pipelines(ctx, models.PipelineFilter{}, models.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(list.Rows) == 0 {
		return nil, errors.New("the database has no pipelines: seed it first")
	}
	return list.Rows[0].Pipeline, nil
}
