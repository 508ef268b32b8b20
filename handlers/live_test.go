package handlers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// liveSite is a site on a real port whose hub runs until the test ends.
func liveSite(t testing.TB, s *store.Store) (*site, *httptest.Server) {
	t.Helper()
	web := newSite(t, s)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { web.Live.Listen(ctx, s) })
	running.Go(func() { web.Live.Run(ctx) })
	waitFor(t, web.Live.hasBegun)
	server := httptest.NewServer(web.web)
	t.Cleanup(func() {
		stop()
		running.Wait()
		server.Close() // would wait for ever if streams did not end with the hub
	})
	return web, server
}

// reader reads a stream.
type reader struct {
	close    func() error
	messages chan message
	end      chan struct{} // closed when the stream ended
}

// open opens a stream. Its first message, without a topic, has the id from
// which it goes on.
func open(t testing.TB, address, topics, last string) *reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/live?topics="+topics, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("the stream begins with %s, %v", res.Status, res.Header)
	}
	r := &reader{close: res.Body.Close, messages: make(chan message, 100), end: make(chan struct{})}
	t.Cleanup(func() { res.Body.Close() })
	go func() {
		defer close(r.end)
		r.read(res.Body)
	}()
	if hello := r.next(t); hello.id < 0 {
		t.Fatalf("the stream begins with %+v", hello)
	}
	return r
}

func (r *reader) read(body io.Reader) {
	var m message
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			fmt.Sscan(value, &m.id)
		case "event":
			m.name = value
		case "data":
			m.text = []byte(value)
		case "":
			if value == "" {
				r.messages <- m
			}
			m = message{}
		}
	}
}

func (r *reader) next(t testing.TB) message {
	t.Helper()
	select {
	case m := <-r.messages:
		return m
	case <-r.end:
		t.Fatal("the stream ended")
	case <-time.After(time.Minute):
		t.Fatal("nothing came within a minute")
	}
	return message{}
}

// silent checks that nothing comes.
func (r *reader) silent(t testing.TB) {
	t.Helper()
	select {
	case m := <-r.messages:
		t.Errorf("%s %s came, and nothing should have", m.name, m.text)
	case <-time.After(150 * time.Millisecond):
	}
}

func (s *site) announce(t testing.TB, changes ...models.Change) {
	t.Helper()
	s.write(t, func(tx *store.Tx) error { return tx.Announce(t.Context(), changes...) })
}

func pipelineChange(id, version int64) models.Change {
	return models.Change{Topic: models.PipelineTopic, Object: id, ProjectID: 3, Version: version}
}

func TestLive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		site, server := liveSite(t, s)
		mine := open(t, server.URL, "pipeline:5,log:9", "")
		home := open(t, server.URL, "home", "")
		site.announce(t, pipelineChange(4, 1), pipelineChange(5, 2), models.Change{Topic: models.LogTopic, Object: 9, Version: 40})

		m := mine.next(t)
		if want := `{"topic":"pipeline:5","object":5,"version":2}`; m.name != "changed" || string(m.text) != want {
			t.Errorf("the pipeline's page got %s %s, want %s", m.name, m.text, want)
		}
		if m := mine.next(t); string(m.text) != `{"topic":"log:9","object":9,"version":40}` {
			t.Errorf("then it got %s", m.text)
		}
		mine.silent(t)
		if m := home.next(t); !strings.HasPrefix(string(m.text), `{"topic":"home"`) {
			t.Errorf("the home page got %s", m.text)
		}
	})
}

// TestLiveReplay cuts a connection and looks whether what happened meanwhile is
// told, once for each topic.
func TestLiveReplay(t *testing.T) {
	t.Parallel()
	site, server := liveSite(t, storetest.SQLite(t))
	first := open(t, server.URL, "pipeline:5", "")
	site.announce(t, pipelineChange(5, 1))
	last := first.next(t)
	first.close()

	waitFor(t, func() bool { return site.Live.Viewers() == 0 })
	for version := range int64(3) {
		site.announce(t, pipelineChange(5, 2+version), pipelineChange(6, 1))
	}
	waitFor(t, func() bool { return site.Live.LastEvent() == 7 })
	again := open(t, server.URL, "pipeline:5", fmt.Sprint(last.id))
	if m := again.next(t); string(m.text) != `{"topic":"pipeline:5","object":5,"version":4}` {
		t.Errorf("after the cut came %s", m.text)
	}
	again.silent(t)

	t.Run("since of the page", func(t *testing.T) {
		r := open(t, server.URL, "pipeline:6&since=1", "")
		if m := r.next(t); string(m.text) != `{"topic":"pipeline:6","object":6,"version":1}` {
			t.Errorf("what happened since the page was made came as %s", m.text)
		}
	})
	t.Run("the header counts more", func(t *testing.T) {
		site.Live.mu.Lock()
		for i := range site.Live.recent { // a minute between two, not moments
			site.Live.recent[i].at = site.Live.recent[i].at.Add(time.Duration(i-10) * time.Minute)
		}
		site.Live.mu.Unlock()
		open(t, server.URL, "pipeline:5&since=1", "7").silent(t)
	})
	t.Run("of another outbox", func(t *testing.T) {
		r := open(t, server.URL, "pipeline:6", "7000")
		if m := r.next(t); m.name != "resync" || m.id != 7 {
			t.Errorf("an id that we never gave is answered with %+v", m)
		}
	})
}

// TestLiveResync comes back to a process that no longer knows so far back.
func TestLiveResync(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	site := newSite(t, s)
	changes := make([]models.Change, keptChanges+100)
	for i := range changes {
		changes[i] = pipelineChange(5, int64(i))
	}
	site.announce(t, changes...)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		site.Live.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
	waitFor(t, func() bool { return site.Live.LastEvent() == int64(len(changes)) })
	server := httptest.NewServer(site.web)
	t.Cleanup(func() { site.Live.Close(); server.Close() })

	if m := open(t, server.URL, "home", "50").next(t); m.name != "resync" {
		t.Errorf("a reader who missed too much got %s %s", m.name, m.text)
	}
	r := open(t, server.URL, "home", "200") // just within what is kept
	if m := r.next(t); m.name != "changed" || m.id != int64(len(changes)) {
		t.Errorf("a reader who missed much got %s %d", m.name, m.id)
	}
}

// TestLateChange commits changes in another order than that of their ids.
func TestLateChange(t *testing.T) {
	t.Parallel()
	s := storetest.Postgres(t)
	site, server := liveSite(t, s)
	site.announce(t, pipelineChange(1, 1))
	waitFor(t, func() bool { return site.Live.LastEvent() == 1 })
	r := open(t, server.URL, "pipeline:5,pipeline:6", "")

	slow, committed := make(chan struct{}), make(chan error)
	begun := make(chan struct{})
	go func() {
		committed <- s.InTx(t.Context(), func(tx *store.Tx) error {
			err := tx.Announce(t.Context(), pipelineChange(5, 1))
			close(begun)
			<-slow
			return err
		})
	}()
	<-begun
	site.announce(t, pipelineChange(6, 1))
	if m := r.next(t); m.id != 3 {
		t.Fatalf("first came %+v, want the id 3", m)
	}
	close(slow)
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if m := r.next(t); m.id != 2 || string(m.text) != `{"topic":"pipeline:5","object":5,"version":1}` {
		t.Errorf("then came %d %s, want the change that was late", m.id, m.text)
	}
}

func TestCoalescing(t *testing.T) {
	t.Parallel()
	site, server := liveSite(t, storetest.SQLite(t))
	r := open(t, server.URL, "home", "")
	start := time.Now()
	for i := range int64(20) {
		site.announce(t, pipelineChange(i+1, 1))
	}
	messages, last := 0, int64(0)
	for last != 20 { // ends with what names the newest change
		last = r.next(t).id
		messages++
	}
	// One at once, and then one a second at most, however long it took to announce.
	if took := time.Since(start); messages > 1+int((took+300*time.Millisecond)/time.Second) {
		t.Errorf("%d messages of a busy topic came within %v", messages, took)
	}
	r.silent(t)
}

// TestEarlyViewer comes before the hub knows the outbox.
func TestEarlyViewer(t *testing.T) {
	t.Parallel()
	site := newSite(t, storetest.SQLite(t))
	v, err := site.Live.watch([]string{"home"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	site.announce(t, pipelineChange(1, 1))
	if err := site.Live.look(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if messages, _ := v.take(); len(messages) != 1 || messages[0].name != "" || messages[0].id != 1 {
		t.Errorf("it got %v, want to be told to fetch everything", messages)
	}
}

func TestLiveEnds(t *testing.T) {
	t.Parallel()
	site, server := liveSite(t, storetest.SQLite(t))
	r := open(t, server.URL, "home", "")
	server.Config.RegisterOnShutdown(site.Live.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("an open stream holds up the shutdown: %v", err)
	}
	<-r.end
}

func TestWrongTopicsAreAProblemForPrograms(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	for _, accept := range []string{"text/event-stream", "*/*"} {
		w := site.get(t, "/live?topics=nothing:x", "Accept", accept)
		if p := decode[Problem](t, w.Body); w.Code != 400 || p.Status != 400 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %+v as %s", accept, w.Code, p, w.Header().Get("Content-Type"))
		}
	}
}

func TestLiveRefusals(t *testing.T) {
	t.Parallel()
	site := newSite(t, storetest.SQLite(t))
	many := strings.TrimSuffix(strings.Repeat("home,", maxTopics+1), ",")
	for _, query := range []string{"", "?topics=", "?topics=all", "?topics=pipeline", "?topics=pipeline:x", "?topics=pipeline:-1", "?topics=pipeline:01", "?topics=home:1", "?topics=" + many, "?topics=log:99999999999999999999"} {
		if w := site.get(t, "/live"+query); w.Code != http.StatusBadRequest {
			t.Errorf("/live%s: status %d", query, w.Code)
		}
	}
	site.Live.MaxViewers = 1
	if _, err := site.Live.watch([]string{"home"}, 0); err != nil {
		t.Fatal(err)
	}
	w := site.get(t, "/live?topics=home")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("with all places taken: status %d, %v", w.Code, w.Header())
	}
}

// TestSlowViewer does not read. It must cost nobody else anything, and be gone
// in the end.
func TestSlowViewer(t *testing.T) {
	t.Parallel()
	h := new(Hub)
	slow, err := h.watch([]string{"home", "pipeline:5"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range int64(10_000) {
		c := pipelineChange(5, i)
		c.ID = i + 1
		h.hear([]models.Change{c}, now.Add(time.Duration(i)*time.Second))
	}
	if n := len(slow.pending); n != 2 {
		t.Errorf("%d messages are kept for a viewer of two topics", n)
	}
	messages, _ := slow.take()
	if messages[0].id != 10_000 || messages[1].id != 10_000 {
		t.Errorf("it would get %d and %d, want the newest", messages[0].id, messages[1].id)
	}
	if len(h.recent) > 2*keptChanges {
		t.Errorf("%d changes are kept for replay", len(h.recent))
	}
	h.leave(slow)
	if len(h.viewers)+len(h.topics)+len(h.held) != 0 {
		t.Errorf("something of the viewer is left: %d viewers, %d topics, %d held", len(h.viewers), len(h.topics), len(h.held))
	}
}

func TestManyViewers(t *testing.T) {
	t.Parallel()
	site, server := liveSite(t, storetest.SQLite(t))
	const n = 200
	readers := make([]*reader, n)
	var opening sync.WaitGroup
	for i := range readers {
		opening.Go(func() { readers[i] = open(t, server.URL, "home,pipeline:5", "") })
	}
	opening.Wait()
	if got := site.Live.Viewers(); got != n {
		t.Fatalf("%d viewers are counted, want %d", got, n)
	}
	site.announce(t, pipelineChange(5, 1))
	for _, r := range readers {
		got := []string{string(r.next(t).text), string(r.next(t).text)}
		if got[0] == got[1] {
			t.Fatalf("a viewer got %v", got)
		}
	}
	for _, r := range readers {
		r.close()
	}
	waitFor(t, func() bool { return site.Live.Viewers() == 0 })
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("it did not happen within a minute")
}

// BenchmarkViewers says what an idle viewer costs in this process, beside what
// its reader in the same process costs: viewers come over pipes of which only
// the server's end is counted.
func BenchmarkViewers(b *testing.B) {
	const n = 2000
	for b.Loop() {
		site := newSite(b, storetest.SQLite(b))
		listener := newPipes()
		server := &http.Server{Handler: site.web, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
		go server.Serve(listener)
		before := memory()
		for i := range n {
			conn := listener.dial()
			fmt.Fprintf(conn, "GET /live?topics=home,pipeline:%d HTTP/1.1\r\nHost: millrace.example\r\nUser-Agent: Mozilla/5.0 (X11; Fedora; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/event-stream\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: http://millrace.example/pipelines/1\r\nCookie: tz=Europe%%2FPrague; theme=dark\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nConnection: keep-alive\r\n\r\n", i+1)
		}
		waitFor(b, func() bool { return site.Live.Viewers() == n })
		site.Live.pingAll() // so that every stream has written once more
		time.Sleep(300 * time.Millisecond)
		b.ReportMetric(float64(memory()-before)/n, "B/viewer")
		site.Live.Close()
		server.Close()
	}
}

// memory is what the process holds, with stacks, after garbage is gone.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// pipes is a listener whose connections need no sockets and no readers: what
// the server writes is thrown away.
type pipes struct {
	conns chan net.Conn
	ended chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) Close() error {
	close(p.ended)
	return nil
}

func (p *pipes) dial() io.Writer {
	here, there := net.Pipe()
	p.conns <- sink{here}
	return there
}

// sink reads from a pipe and writes nowhere.
type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error) { return len(b), nil }
