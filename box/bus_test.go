package box

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/copr"
	"millrace/clients/fedbus"
	"millrace/clients/fedmsg"
	"millrace/clients/fedmsg/rabbittest"

	"github.com/google/go-cmp/cmp"
)

// speak publishes a message of Copr about a build with this number.
func speak(b *Box, build int) {
	b.bus.publish("org.fedoraproject.prod.copr.build.end",
		fmt.Appendf(nil, `{"build": %d, "chroot": "fedora-44-x86_64", "status": 1, "owner": "millrace", "copr": "p1", "user": "millrace", "pkg": "loom", "version": "1-1"}`, build))
}

func heard(s *service) []int64 {
	ids := []int64{}
	for _, m := range s.messages() {
		ids = append(ids, m.message.BuildID)
	}
	return ids
}

// busTroubles are what is heard of the messages 1, 2 and 3.
var busTroubles = []struct {
	name    string
	trouble Trouble
	want    []int64
}{
	{"well", "", []int64{1, 2, 3}},
	{"lost", BusLoses, []int64{}},
	{"doubled", BusDoubles, []int64{1, 1, 2, 2, 3, 3}},
	{"out of order", BusSwaps, []int64{2, 3, 1}},
}

func TestBus(t *testing.T) {
	t.Parallel()
	for _, test := range busTroubles {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, s := newBox(t)
			s.answer(http.StatusServiceUnavailable) // all three wait
			if test.trouble != "" {
				if err := b.Trouble(test.trouble, time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			for build := range 3 {
				speak(b, build+1)
			}
			s.answer(0)
			until(t, "nothing is pending", func() bool { return carried(b) })
			if d := cmp.Diff(test.want, heard(s)); d != "" {
				t.Errorf("heard (-want +got):\n%s", d)
			}
			for _, m := range s.messages() {
				if m.token != "Bearer "+b.Access().BusToken || m.topic != "org.fedoraproject.prod.copr.build.end" || m.message.State != copr.Succeeded {
					t.Errorf("message %+v", m)
				}
			}
		})
	}
}

// carried reports whether no message waits.
func carried(b *Box) bool {
	return !slices.ContainsFunc(b.bus.list(), func(m Message) bool { return m.State == "pending" })
}

// ears are a service that listens to the broker.
type ears struct {
	mu    sync.Mutex
	heard []int64
}

func (e *ears) handle(_ context.Context, m fedmsg.Message) error {
	parsed, err := copr.ParseMessage(fedbus.Name(m.Topic), m.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, parsed.BuildID)
	return err
}

func (e *ears) all() []int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

// The broker has what was sent before it started, and the troubles are the same.
func TestBusOverRabbitMQ(t *testing.T) {
	t.Parallel()
	rabbittest.Need(t)
	b := open(t, seeded(t), nil, func(o *Options) { o.Bus, o.BusTopics = BusRabbitMQ, []string{"org.fedoraproject.prod.copr.#"} })
	speak(b, 10)
	b.StartBus()
	if rabbitMQ, err := b.AwaitBus(t.Context()); err != nil || !rabbitMQ {
		t.Fatalf("RabbitMQ: %v, %v", rabbitMQ, err)
	}
	a := b.Access().Bus
	config, err := fedmsg.LoadTLS(a.Authority, a.Certificate, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	e := &ears{}
	c := &fedmsg.Consumer{
		Broker: fedmsg.Broker{URL: a.URL, TLS: config}, Queue: a.Queue, Topics: b.options.BusTopics, Log: slog.New(slog.DiscardHandler), Handle: e.handle,
	}
	ctx, cancel := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer listening.Wait()
	defer cancel()
	want := []int64{10}
	for _, test := range busTroubles {
		b.bus.carryWith(nil) // all three wait
		if test.trouble != "" {
			if err := b.Trouble(test.trouble, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		for build := range 3 {
			speak(b, build+1)
		}
		b.bus.carryWith(b.broker)
		until(t, "nothing is pending", func() bool { return carried(b) })
		want = append(want, test.want...)
		until(t, "the service has heard it", func() bool { return len(e.all()) >= len(want) })
		if d := cmp.Diff(want, e.all()); d != "" {
			t.Errorf("%s: heard (-want +got):\n%s", test.name, d)
		}
		if test.trouble != "" {
			if err := b.Trouble(test.trouble, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, page := get(t, b.URL()+"/-/bus"); !strings.Contains(page, "through a RabbitMQ of the box") {
		t.Error("the page of the bus does not say that it is RabbitMQ")
	}
}

// Where the broker does not start, messages go another way, unless it was asked for.
func TestBrokerDoesNotStart(t *testing.T) {
	t.Parallel()
	for _, kind := range []Bus{BusAuto, BusRabbitMQ} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			rabbittest.Need(t)
			s := newService(t)
			b := open(t, seeded(t), s, func(o *Options) { o.Bus = kind })
			if err := os.Mkdir(b.path("rabbitmq", "server.log"), 0o700); err != nil {
				t.Fatal(err)
			}
			speak(b, 1)
			b.StartBus()
			rabbitMQ, err := b.AwaitBus(t.Context())
			if kind == BusRabbitMQ {
				if err == nil || !strings.Contains(err.Error(), "starting RabbitMQ") {
					t.Errorf("error %v", err)
				}
				return
			}
			if rabbitMQ || err != nil {
				t.Errorf("RabbitMQ: %v, %v", rabbitMQ, err)
			}
			until(t, "the message arrives", func() bool { return slices.Equal(heard(s), []int64{1}) })
			if _, _, page := get(t, b.URL()+"/"); !strings.Contains(page, "without a broker between: RabbitMQ did not start.") {
				t.Error("the page does not say why")
			}
		})
	}
}

// A message that the service refuses for good is not sent again by itself, but
// by a button.
func TestRefusedMessage(t *testing.T) {
	t.Parallel()
	b, s := newBox(t)
	s.answer(http.StatusBadRequest)
	speak(b, 7)
	until(t, "it is refused", func() bool { m := b.bus.list()[0]; return m.State == "refused" && m.Tries == 1 })
	s.answer(0)
	speak(b, 8)
	until(t, "the next arrives", func() bool { return slices.Equal(heard(s), []int64{8}) })
	status, to, _ := post(t, b.URL()+"/-/redeliver/bus/1", nil)
	if status != 303 || to != "/-/bus/1" {
		t.Errorf("sending it again: %d %q", status, to)
	}
	until(t, "it arrives", func() bool { return slices.Equal(heard(s), []int64{8, 7}) })
	if status, _, _ := post(t, b.URL()+"/-/redeliver/bus/99", nil); status != 404 {
		t.Errorf("sending nothing again: %d", status)
	}
	id := b.Forge.Deliveries()[0].ID
	if status, to, _ := post(t, fmt.Sprintf("%s/-/redeliver/webhook/%d", b.URL(), id), nil); status != 303 || !strings.HasSuffix(to, fmt.Sprint(id)) {
		t.Errorf("sending a webhook again: %d %q", status, to)
	}
}

// Old messages are forgotten, pending ones never.
func TestBusForgets(t *testing.T) {
	t.Parallel()
	b := open(t, seeded(t), nil, nil)
	speak(b, 1) // it cannot be delivered
	if err := b.Trouble(BusLoses, time.Minute); err != nil {
		t.Fatal(err)
	}
	for build := range maxMessages + 20 {
		speak(b, build+2)
	}
	list := b.bus.list()
	if n := len(list); n != maxMessages+21 || list[n-1].State != "pending" {
		t.Fatalf("%d messages, the oldest is %s", n, list[n-1].State)
	}
	s := newService(t)
	b.SetService(s.URL)
	until(t, "the first arrives", func() bool { return slices.Equal(heard(s), []int64{1}) })
	speak(b, 999)
	if n := len(b.bus.list()); n != maxMessages {
		t.Errorf("%d messages are kept, want %d", n, maxMessages)
	}
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	b, s := newBox(t)
	c, farm, forge := clients(b)
	if err := b.Trouble("none", 0); err == nil {
		t.Error("there is a trouble called none")
	}
	tests := []struct {
		trouble Trouble
		call    func() error
		words   string
	}{
		{CoprDown, func() error { _, err := c.User(t.Context()); return err }, "copr"},
		{FarmDown, func() error { _, err := farm.Composes(t.Context(), "public"); return err }, "503"},
		{GitHubLimited, func() error { _, err := forge.Repository(t.Context(), repoNamed(hello)); return err }, "rate limit"},
	}
	for _, test := range tests {
		if err := test.call(); err != nil {
			t.Errorf("%s has not begun: %v", test.trouble, err)
		}
		if err := b.Trouble(test.trouble, 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if err := test.call(); err == nil || !strings.Contains(strings.ToLower(err.Error()), test.words) {
			t.Errorf("%s: error %v, want one that says %q", test.trouble, err, test.words)
		}
		until(t, string(test.trouble)+" passes", func() bool { return len(b.Troubles()) == 0 })
	}
	until(t, "Copr answers again", func() bool { return tests[0].call() == nil })

	for _, lost := range []bool{true, false} {
		while := time.Minute
		if !lost {
			while = -1
		}
		if err := b.Trouble(GitHubLoses, while); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Open(t.Context(), hello, Passes); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Forge.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told := s.told("pull_request"); len(told) != 1 || !strings.Contains(string(told[0].Body), `"number":2`) {
		t.Errorf("%d webhooks came, want that of the second pull request", len(told))
	}

	status, to, _ := post(t, b.URL()+"/-/trouble", map[string][]string{"trouble": {string(FarmSlow)}, "back": {"/testing-farm/"}})
	_, _, page := get(t, b.URL()+"/copr/")
	if status != 303 || to != "/testing-farm/" || !strings.Contains(page, "Testing Farm: Slow") {
		t.Errorf("the button: %d %q; the pages say it: %v", status, to, strings.Contains(page, "Testing Farm: Slow"))
	}
	if b.farmQueue() <= time.Second {
		t.Errorf("requests wait for %s only", b.farmQueue())
	}
}
