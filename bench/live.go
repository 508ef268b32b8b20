package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/models"
	"millrace/models/store"
)

// live measures what open pages cost a process of the service, and how long a
// change takes to reach them all. The viewers are in this process and the
// service in another, so that each has only one end of every connection.
func live(ctx context.Context, b *bench) error {
	viewers := b.pick(10_000, 2000)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	note := ""
	if most := int(files.Max) - 500; viewers > most { // Go raises the soft limit to that by itself
		viewers, note = most, fmt.Sprintf(" (the limit of open files is %d)", files.Max)
	}
	address, err := b.empty(ctx, "live", true)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, address)
	if err != nil {
		return err
	}
	defer s.Close()
	c, err := b.serve(ctx, address, "--web")
	if err != nil {
		return err
	}
	defer c.stop()
	v, err := visit(c.address)
	if err != nil {
		return err
	}
	defer v.conn.Close()
	if _, err := v.get("/pipelines"); err != nil {
		return err
	}
	before, err := c.memory()
	if err != nil {
		return err
	}
	crowd, err := gather(c.address, viewers)
	if err != nil {
		return err
	}
	defer crowd.leave()
	if err := wait(ctx, time.Duration(b.pick(5, 2))*time.Second); err != nil {
		return err
	}
	after, err := c.memory()
	if err != nil {
		return err
	}
	each := float64(after-before) / float64(viewers)
	b.add(Row{
		What: fmt.Sprintf("%d idle viewers, memory of each%s", viewers, note), Figure: fmt.Sprintf("%.1f kB", each/1e3),
		Budget: "at most 40 kB", Verdict: verdict(each <= 40e3),
	})
	var took sample
	for i := range b.pick(15, 7) {
		last, err := crowd.tell(ctx, s, int64(i+1))
		if err != nil {
			return err
		}
		if i > 0 { // the first finds no memory made ready
			took = append(took, last)
		}
		if err := wait(ctx, 1200*time.Millisecond); err != nil { // longer than a topic is held back
			return err
		}
	}
	worst := took.quantile(0.5)
	b.add(Row{
		What: fmt.Sprintf("a change reaches the last of %d", viewers), Figure: fmt.Sprintf("%s, worst %s", millis(worst), millis(took.quantile(1))),
		Budget: "at most 250 ms", Verdict: verdict(worst <= 250*time.Millisecond),
	})
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// crowd is many viewers of the same topic, each on a connection.
type crowd struct {
	conns   []net.Conn
	heard   atomic.Int64 // of the change that was told last
	all     chan struct{}
	reading sync.WaitGroup
}

// gather opens the streams, some at a time, and waits until each has begun.
func gather(address string, n int) (*crowd, error) {
	c := &crowd{all: make(chan struct{}, 1)}
	const atOnce = 100
	for len(c.conns) < n {
		group := make([]net.Conn, min(atOnce, n-len(c.conns)))
		failures := make([]error, len(group))
		var opening sync.WaitGroup
		for i := range group {
			opening.Go(func() { group[i], failures[i] = openStream(address) })
		}
		opening.Wait()
		for _, conn := range group {
			if conn != nil {
				c.conns = append(c.conns, conn)
			}
		}
		if err := errors.Join(failures...); err != nil {
			c.leave()
			return nil, err
		}
	}
	for _, conn := range c.conns {
		c.reading.Go(func() { c.read(conn) })
	}
	return c, nil
}

func openStream(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, time.Minute)
	if err != nil {
		return nil, err
	}
	_, err = conn.Write([]byte("GET /live?topics=pipeline:1 HTTP/1.1\r\nHost: millrace.test\r\nAccept: text/event-stream\r\n\r\n"))
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(time.Minute))
	}
	var hello []byte
	for part := make([]byte, 1024); err == nil && !bytes.Contains(hello, []byte("retry:")); {
		var n int
		n, err = conn.Read(part)
		hello = append(hello, part[:n]...)
	}
	if err == nil && !bytes.HasPrefix(hello, []byte("HTTP/1.1 200")) {
		err = fmt.Errorf("a stream was answered with %.60q", hello)
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// read counts the changes that a viewer hears of, until its connection is closed.
func (c *crowd) read(conn net.Conn) {
	var part [512]byte
	for {
		n, err := conn.Read(part[:])
		if err != nil {
			return
		}
		if bytes.Contains(part[:n], []byte("event: changed")) && c.heard.Add(1) == int64(len(c.conns)) {
			c.all <- struct{}{}
		}
	}
}

// tell commits a change and returns the time until every viewer heard of it.
func (c *crowd) tell(ctx context.Context, s *store.Store, version int64) (time.Duration, error) {
	c.heard.Store(0)
	begin := time.Now()
	err := s.InTx(ctx, func(tx *store.Tx) error {
		return tx.Announce(ctx, models.Change{Topic: models.PipelineTopic, Object: 1, ProjectID: 1, Version: version})
	})
	if err != nil {
		return 0, err
	}
	select {
	case <-c.all:
		return time.Since(begin), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(30 * time.Second):
		return 0, fmt.Errorf("only %d of %d viewers heard of a change", c.heard.Load(), len(c.conns))
	}
}

func (c *crowd) leave() {
	for _, conn := range c.conns {
		conn.Close()
	}
	c.reading.Wait()
}
