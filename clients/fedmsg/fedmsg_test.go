package fedmsg_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"millrace/clients/fedmsg"
	"millrace/clients/fedmsg/rabbittest"
)

// inbox is a handler that remembers.
type inbox struct {
	mu       sync.Mutex
	messages []fedmsg.Message
	calls    int
	// refuse says what to answer to the nth call, counted from 1.
	refuse func(n int, m fedmsg.Message) error
}

func (i *inbox) handle(_ context.Context, m fedmsg.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls++
	if i.refuse != nil {
		if err := i.refuse(i.calls, m); err != nil {
			return err
		}
	}
	i.messages = append(i.messages, m)
	return nil
}

func (i *inbox) ids() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	ids := []string{}
	for _, m := range i.messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 20_000 { // over a minute: a broker may start meanwhile
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("waited in vain until %s", what)
}

// consume runs c until the returned function is called, or the test ends.
func consume(t *testing.T, c *fedmsg.Consumer) (stop func()) {
	t.Helper()
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	c.MinWait, c.MaxWait = time.Millisecond, 50*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(stop)
	await(t, "the consumer is connected", func() bool { return c.Status().Connected })
	return stop
}

func message(id, topic string) fedmsg.Message {
	return fedmsg.Message{
		ID: id, Topic: topic, SentAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Body: json.RawMessage(fmt.Sprintf(`{"of":%q}`, id)),
	}
}

// TestRabbitMQ runs against one real broker; each part has its own topics.
func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	server := rabbittest.Start(t)
	config, err := fedmsg.LoadTLS(server.Authority, server.Certificate, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	secure := fedmsg.Broker{URL: server.URL, TLS: config, App: "millrace", AppURL: "https://example.org", Contact: "admin@example.org"}
	for name, test := range map[string]func(*testing.T, *rabbittest.Server, fedmsg.Broker){
		"whole messages":     testWholeMessages,
		"topics":             testTopics,
		"errors":             testErrors,
		"connection lost":    testConnectionLost,
		"queue deleted":      testQueueDeleted,
		"durable queue":      testDurableQueue,
		"stop while storing": testStopWhileStoring,
		"refusals":           testRefusals,
		"publisher":          testPublisher,
		"put aside":          testPutAside,
		"many at once":       testManyAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server, secure)
		})
	}
}

func publisher(t *testing.T, b fedmsg.Broker) *fedmsg.Publisher {
	t.Helper()
	p := &fedmsg.Publisher{Broker: b}
	t.Cleanup(p.Close)
	return p
}

func publish(t *testing.T, p *fedmsg.Publisher, messages ...fedmsg.Message) {
	t.Helper()
	for _, m := range messages {
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// raw is a connection that knows nothing of the conventions.
func raw(t *testing.T, server *rabbittest.Server) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(server.PlainURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

func testWholeMessages(t *testing.T, _ *rabbittest.Server, secure fedmsg.Broker) {
	in := new(inbox)
	consumer := &fedmsg.Consumer{Broker: secure, Topics: []string{"whole.one"}, Handle: in.handle}
	consume(t, consumer)
	also := new(inbox) // another process, with a queue of its own
	consume(t, &fedmsg.Consumer{Broker: secure, Topics: []string{"whole.one"}, Handle: also.handle})
	out := publisher(t, secure)
	want := message("m-1", "whole.one")
	before := time.Now().Add(-time.Second)
	publish(t, out, want, fedmsg.Message{Topic: "whole.one", Body: json.RawMessage(`{}`)})
	await(t, "both are stored", func() bool { return consumer.Status().Received == 2 })
	if diff := cmp.Diff(want, in.messages[0]); diff != "" {
		t.Error(diff)
	}
	await(t, "the other has them too", func() bool { return len(also.ids()) == 2 })
	made := in.messages[1]
	if len(made.ID) != 36 || made.SentAt.Before(before) || made.SentAt.After(time.Now()) {
		t.Errorf("id and time made up: %+v", made)
	}
	if s := consumer.Status(); s.Dropped != 0 || s.Error != "" || s.Last.IsZero() {
		t.Errorf("%+v", s)
	}
}

func testTopics(t *testing.T, _ *rabbittest.Server, secure fedmsg.Broker) {
	in := new(inbox)
	consume(t, &fedmsg.Consumer{Broker: secure, Topics: []string{"topics.copr.build.end", "topics.pagure.*.new", "topics.git.#"}, Handle: in.handle, Prefetch: 1})
	out := publisher(t, secure)
	for _, topic := range []string{
		"topics.copr.build.end", "topics.copr.build.start", "topics.pagure.pr.new", "topics.pagure.new", "topics.git", "topics.git.a.b", "topics.last",
	} {
		publish(t, out, message(topic, topic))
	}
	want := []string{"topics.copr.build.end", "topics.pagure.pr.new", "topics.git", "topics.git.a.b"}
	await(t, "four have come", func() bool { return len(in.ids()) >= len(want) })
	if diff := cmp.Diff(want, in.ids()); diff != "" {
		t.Error(diff)
	}
}

func testErrors(t *testing.T, server *rabbittest.Server, secure fedmsg.Broker) {
	tried := map[string]int{}
	in := &inbox{refuse: func(_ int, m fedmsg.Message) error {
		tried[m.ID]++
		switch {
		case m.ID == "useless":
			return fmt.Errorf("looking at it: %w", fedmsg.ErrDrop)
		case m.ID == "twice" && tried[m.ID] < 3, m.ID == "never":
			return errors.New("the database is away")
		}
		return nil
	}}
	consumer := &fedmsg.Consumer{Broker: secure, Topics: []string{"errors.#"}, Handle: in.handle, Attempts: 4}
	consume(t, consumer)
	channel := raw(t, server)
	for _, body := range []string{"", "no JSON", "[]"} {
		if err := channel.Publish("amq.topic", "errors.broken", false, false, amqp.Publishing{Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	out := publisher(t, secure)
	for _, id := range []string{"useless", "twice", "never", "fine"} {
		publish(t, out, message(id, "errors."+id))
	}
	await(t, "all are done with", func() bool { s := consumer.Status(); return s.Received == 2 && s.Dropped == 5 })
	ids := in.ids()
	slices.Sort(ids)
	if diff := cmp.Diff([]string{"fine", "twice"}, ids); diff != "" {
		t.Error(diff)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if diff := cmp.Diff(map[string]int{"useless": 1, "twice": 3, "never": 4, "fine": 1}, tried); diff != "" {
		t.Error(diff)
	}
}

func testConnectionLost(t *testing.T, server *rabbittest.Server, secure fedmsg.Broker) {
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := rabbittest.NewProxy(t, address.Host)
	through := secure
	through.URL = proxy.Rewrite(server.URL)
	in := new(inbox)
	consumer := &fedmsg.Consumer{Broker: through, Topics: []string{"lost.x"}, Handle: in.handle}
	consume(t, consumer)
	out, idle := publisher(t, through), publisher(t, through)
	publish(t, out, message("before", "lost.x"))
	publish(t, idle, message("before, too", "lost.other"))
	await(t, "the first has come", func() bool { return len(in.ids()) == 1 })

	proxy.SetDown(true)
	await(t, "the loss is noticed", func() bool { s := consumer.Status(); return !s.Connected && s.Error != "" })
	err = out.Publish(t.Context(), message("meanwhile", "lost.x"))
	if failure, ok := errors.AsType[*fedmsg.Error](err); !ok || !failure.Temporary() {
		t.Errorf("publishing without a broker: %v", err)
	}
	proxy.SetDown(false)
	await(t, "it is connected again", func() bool { return consumer.Status().Connected })
	publish(t, out, message("after", "lost.x"))
	publish(t, idle, message("at once", "lost.other")) // which has noticed by itself
	await(t, "the second has come", func() bool { return len(in.ids()) == 2 })
	if diff := cmp.Diff([]string{"before", "after"}, in.ids()); diff != "" {
		t.Error(diff)
	}
}

func testQueueDeleted(t *testing.T, server *rabbittest.Server, secure fedmsg.Broker) {
	const queue = "0f9aa9e4-6f7e-4f5e-9b83-0d8c1f4d9a01"
	in := new(inbox)
	consumer := &fedmsg.Consumer{Broker: secure, Queue: queue, Topics: []string{"deleted.#"}, Handle: in.handle}
	consume(t, consumer)
	since := consumer.Status().Since
	if _, err := raw(t, server).QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	await(t, "the queue is declared again", func() bool { s := consumer.Status(); return s.Connected && s.Since.After(since) })
	publish(t, publisher(t, secure), message("m", "deleted.x"))
	await(t, "the message has come", func() bool { return len(in.ids()) == 1 })
}

// testDurableQueue sends while nobody listens: the named queue keeps it, the
// one without a name does not.
func testDurableQueue(t *testing.T, _ *rabbittest.Server, secure fedmsg.Broker) {
	named, own := new(inbox), new(inbox)
	first := &fedmsg.Consumer{Broker: secure, Queue: "0f9aa9e4-6f7e-4f5e-9b83-0d8c1f4d9a02", Topics: []string{"durable.#"}, Handle: named.handle}
	second := &fedmsg.Consumer{Broker: secure, Topics: []string{"durable.#"}, Handle: own.handle}
	stops := []func(){consume(t, first), consume(t, second)}
	for _, stop := range stops {
		stop()
	}
	out := publisher(t, secure)
	publish(t, out, message("away", "durable.x"))
	consume(t, first)
	consume(t, second)
	publish(t, out, message("back", "durable.x"))
	await(t, "both have it", func() bool { return len(named.ids()) == 2 && len(own.ids()) == 1 })
	if diff := cmp.Diff([]string{"away", "back"}, named.ids()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"back"}, own.ids()); diff != "" {
		t.Error(diff)
	}
}

// testStopWhileStoring ends a consumer that is busy: what it took is stored,
// what waited behind it comes to the next one.
func testStopWhileStoring(t *testing.T, _ *rabbittest.Server, secure fedmsg.Broker) {
	taken, release := make(chan bool), make(chan bool)
	var stored []string
	c := &fedmsg.Consumer{Broker: secure, Queue: "0f9aa9e4-6f7e-4f5e-9b83-0d8c1f4d9a03", Topics: []string{"stop.#"}}
	c.Handle = func(ctx context.Context, m fedmsg.Message) error {
		taken <- true
		<-release
		if ctx.Err() == nil {
			stored = append(stored, m.ID)
		}
		return ctx.Err()
	}
	stop := consume(t, c)
	publish(t, publisher(t, secure), message("taken", "stop.x"), message("behind", "stop.x"))
	<-taken
	stopped := make(chan bool)
	go func() {
		stop()
		close(stopped)
	}()
	time.Sleep(50 * time.Millisecond) // stopping is under way now
	close(release)
	select {
	case <-stopped:
	case <-taken: // ctx and the next delivery were both ready
		<-stopped
	}
	if !slices.Contains(stored, "taken") {
		t.Error("what was taken was not stored")
	}
	in := new(inbox)
	next := &fedmsg.Consumer{Broker: secure, Queue: c.Queue, Topics: c.Topics, Handle: in.handle}
	consume(t, next)
	await(t, "everything is stored", func() bool { return len(stored)+len(in.ids()) >= 2 })
	if diff := cmp.Diff([]string{"taken", "behind"}, append(stored, in.ids()...)); diff != "" {
		t.Error(diff)
	}
}

func testRefusals(t *testing.T, server *rabbittest.Server, secure fedmsg.Broker) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	handle := new(inbox).handle
	for name, c := range map[string]*fedmsg.Consumer{
		"no topics":  {Broker: secure, Handle: handle, Log: quiet},
		"no handler": {Broker: secure, Topics: []string{"x"}, Log: quiet},
		"no URL":     {Broker: fedmsg.Broker{URL: "http://secret@x"}, Topics: []string{"x"}, Handle: handle, Log: quiet},
	} {
		if err := c.Run(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	nobody := secure
	nobody.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: secure.TLS.RootCAs}
	stranger := secure
	stranger.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: secure.TLS.Certificates}
	guest := fedmsg.Broker{URL: strings.Replace(server.PlainURL, "fedora:", "guest:", 1)}
	for name, b := range map[string]fedmsg.Broker{"no certificate": nobody, "unknown authority": stranger, "wrong password": guest} {
		err := publisher(t, b).Publish(t.Context(), message("m", "refused"))
		if failure, ok := errors.AsType[*fedmsg.Error](err); !ok || failure.Op != "connecting" || name == "wrong password" && failure.Temporary() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := fedmsg.LoadTLS(server.Key, "", ""); err == nil {
		t.Error("a key was taken for an authority")
	}
	if _, err := fedmsg.LoadTLS("", server.Certificate, server.Authority); err == nil {
		t.Error("a certificate was taken for a key")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := publisher(t, secure).Publish(ctx, message("m", "refused")); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled call: %v", err)
	}
}

func testPublisher(t *testing.T, server *rabbittest.Server, secure fedmsg.Broker) {
	for _, body := range []string{``, `[]`, `{`} {
		if err := publisher(t, secure).Publish(t.Context(), fedmsg.Message{Topic: "p", Body: json.RawMessage(body)}); err == nil {
			t.Errorf("body %q was published", body)
		}
	}
	nowhere := secure
	nowhere.Exchange = "no.such.exchange"
	err := publisher(t, nowhere).Publish(t.Context(), message("m", "p"))
	if failure, ok := errors.AsType[*fedmsg.Error](err); !ok || failure.Temporary() || failure.Code != amqp.NotFound {
		t.Errorf("an unknown exchange: %v", err)
	}

	channel := raw(t, server)
	queue, err := channel.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.QueueBind(queue.Name, "published.#", "amq.topic", false, nil); err != nil {
		t.Fatal(err)
	}
	out := publisher(t, secure)
	var all sync.WaitGroup
	for i := range 20 { // many at once
		all.Go(func() {
			if err := out.Publish(t.Context(), message(fmt.Sprint(i), "published.x")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := map[string]bool{}
	for range 20 {
		d, ok, err := channel.Get(queue.Name, true)
		if err != nil || !ok {
			t.Fatalf("%t, %v", ok, err)
		}
		got[d.MessageId] = true
		want := amqp.Table{
			"fedora_messaging_schema": "base.message", "fedora_messaging_schema_package": "fedora_messaging",
			"fedora_messaging_severity": int32(20), "sent-at": "2026-01-02T03:04:05+00:00",
		}
		if diff := cmp.Diff(want, d.Headers); diff != "" || d.ContentType != "application/json" || d.ContentEncoding != "utf-8" || d.DeliveryMode != amqp.Persistent {
			t.Errorf("%s %+v", diff, d)
		}
	}
	if len(got) != 20 {
		t.Errorf("%d different messages", len(got))
	}
	out.Close()
	publish(t, out, message("again", "published.x")) // connects anew
}

// testPutAside has messages that nobody can store, and a database that is away:
// the first are kept for people, for the second the broker keeps them.
func testPutAside(t *testing.T, server *rabbittest.Server, secure fedmsg.Broker) {
	in := &inbox{refuse: func(_ int, m fedmsg.Message) error {
		if m.ID == "never" {
			return errors.New("the database refuses it")
		}
		return nil
	}}
	var mu sync.Mutex
	aside, refused := map[string]string{}, 0
	consumer := &fedmsg.Consumer{Broker: secure, Topics: []string{"aside.#"}, Handle: in.handle, Attempts: 3, AtOnce: 4}
	consumer.Aside = func(_ context.Context, m fedmsg.Message, why error) error {
		mu.Lock()
		defer mu.Unlock()
		if refused < 5 {
			refused++
			return errors.New("the database is away")
		}
		aside[m.Topic] = m.ID + ": " + why.Error()
		return nil
	}
	consume(t, consumer)
	channel := raw(t, server)
	for topic, message := range map[string]amqp.Publishing{
		"aside.broken":        {Body: []byte("no JSON"), MessageId: "broken"},
		"aside.topic\x00\xff": {Body: []byte("{}"), MessageId: "odd topic"},
		"aside.id":            {Body: []byte(`[]`), MessageId: "odd\x00id"},
	} {
		if err := channel.Publish("amq.topic", topic, false, false, message); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, publisher(t, secure), message("never", "aside.never"), message("fine", "aside.fine"))
	await(t, "all are done with", func() bool { s := consumer.Status(); return s.Received == 1 && s.Aside == 4 })
	mu.Lock()
	defer mu.Unlock()
	if id := aside["aside.id"]; !strings.HasPrefix(id, "sha256-") {
		t.Errorf("an odd id became %q", id)
	}
	delete(aside, "aside.id")
	want := map[string]string{
		"aside.broken": "broken: the body is not a JSON object", "aside.never": "never: the database refuses it",
		"aside.topic\uFFFD": "odd topic: the topic is malformed",
	}
	if diff := cmp.Diff(want, aside); diff != "" || consumer.Status().Dropped != 0 {
		t.Errorf("%+v %s", consumer.Status(), diff)
	}
}

// testManyAtOnce handles some while others are being stored; each once.
func testManyAtOnce(t *testing.T, _ *rabbittest.Server, secure fedmsg.Broker) {
	const atOnce = 4
	var mu sync.Mutex
	now, most := 0, 0
	in := new(inbox)
	full := make(chan bool)
	consumer := &fedmsg.Consumer{Broker: secure, Topics: []string{"many.x"}, AtOnce: atOnce}
	consumer.Handle = func(ctx context.Context, m fedmsg.Message) error {
		mu.Lock()
		now++
		most = max(most, now)
		if now == atOnce && most == atOnce && len(in.ids()) == 0 {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full // nobody ends before all places are taken
		mu.Lock()
		now--
		mu.Unlock()
		return in.handle(ctx, m)
	}
	consume(t, consumer)
	out := publisher(t, secure)
	want := map[string]bool{}
	for i := range 40 {
		id := fmt.Sprint(i)
		want[id] = true
		publish(t, out, message(id, "many.x"))
	}
	await(t, "all are stored", func() bool { return consumer.Status().Received == 40 })
	got := map[string]bool{}
	for _, id := range in.ids() {
		got[id] = true
	}
	if diff := cmp.Diff(want, got); diff != "" || most != atOnce {
		t.Errorf("%d at once %s", most, diff)
	}
}

// TestBrokerDies kills a broker while 10,000 messages come in a burst, some of
// them twice, and the database is away for a while: none is lost.
func TestBrokerDies(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes a while")
	}
	server := rabbittest.Start(t)
	plain := fedmsg.Broker{URL: server.PlainURL}
	const all = 10_000
	var mu sync.Mutex
	stored, calls := map[string]int{}, 0
	consumer := &fedmsg.Consumer{Broker: plain, Queue: "0f9aa9e4-6f7e-4f5e-9b83-0d8c1f4d9a07", Topics: []string{"burst.#"}, AtOnce: 16, Attempts: 2}
	consumer.Handle = func(_ context.Context, m fedmsg.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls > 3000 && calls < 3100 {
			return errors.New("the database is away")
		}
		stored[m.ID]++
		return nil
	}
	consumer.Aside = func(context.Context, fedmsg.Message, error) error { return errors.New("the database is away") }
	consume(t, consumer)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(stored)
	}
	var senders sync.WaitGroup
	for part := range 8 {
		senders.Go(func() {
			out := &fedmsg.Publisher{Broker: plain}
			defer out.Close()
			for i := part; i < all; i += 8 {
				m := message(fmt.Sprint(i), "burst.x")
				for range 1 + i%100/99 { // each hundredth twice
					// The broker may have taken it and died before it could say so.
					await(t, "the broker takes a message", func() bool { return out.Publish(t.Context(), m) == nil })
				}
			}
		})
	}
	for _, after := range []int{1000, 6000} {
		await(t, "some are stored", func() bool { return count() >= after })
		server.Kill()
		await(t, "the loss is noticed", func() bool { return !consumer.Status().Connected })
		server.Restart()
	}
	senders.Wait()
	await(t, "all are stored", func() bool { return count() == all })
	if s := consumer.Status(); s.Dropped != 0 || s.Aside != 0 {
		t.Errorf("%+v", s)
	}
}
