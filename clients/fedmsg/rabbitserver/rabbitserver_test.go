package rabbitserver_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/fedmsg"
	"millrace/clients/fedmsg/rabbitserver"
	"millrace/clients/fedmsg/rabbittest"
)

// A broker whose owner was killed is ended by the next one in its directory, which
// has its messages; nobody else's process is.
func TestOrphan(t *testing.T) {
	t.Parallel()
	rabbittest.Need(t)
	dir, err := os.MkdirTemp("", "rabbit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ours := "RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data")
	before := linger(t, ours)         // so it was not the broker's
	time.Sleep(50 * time.Millisecond) // starts are told apart by ticks of the kernel, a hundred a second
	orphan := start(t, dir)
	elsewhere := linger(t, ours+"2")
	broker := fedmsg.Broker{URL: orphan.PlainURL}
	got := make(chan string, 1)
	queue := &fedmsg.Consumer{
		Broker: broker, Queue: "kept", Topics: []string{"org.example.#"}, Log: slog.New(slog.DiscardHandler),
		Handle: func(_ context.Context, m fedmsg.Message) error {
			got <- m.ID
			return nil
		},
	}
	if err := queue.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	sender := &fedmsg.Publisher{Broker: broker}
	defer sender.Close()
	if err := sender.Publish(t.Context(), fedmsg.Message{ID: "first", Topic: "org.example.news", Body: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}

	queue.Broker.URL = start(t, dir).PlainURL
	if conn, err := net.Dial("tcp", orphan.Address); err == nil {
		conn.Close()
		t.Error("the orphan still listens")
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := queue.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if id := <-got; id != "first" {
		t.Errorf("message %q was kept, want first", id)
	}
	stop()
	running.Wait()
	for name, process := range map[string]<-chan struct{}{"from before": before, "of elsewhere": elsewhere} {
		select {
		case <-process:
			t.Errorf("the process %s was ended", name)
		default:
		}
	}
}

func start(t *testing.T, dir string) *rabbitserver.Server {
	t.Helper()
	s, err := rabbitserver.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// linger runs a process with a variable in its environment until the test ends.
func linger(t *testing.T, variable string) (ended <-chan struct{}) {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	cmd.Env = []string{variable}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { // ends with the process, for which the test waits
		_ = cmd.Wait() // it is killed
		close(over)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-over
	})
	return over
}

// What cannot run says why.
func TestBrokerThatCannotStart(t *testing.T) {
	t.Parallel()
	rabbittest.Need(t)
	dir, err := os.MkdirTemp("", "rabbit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := rabbitserver.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rabbitmq.conf"), []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error %v, want one that names the setting", err)
	}
	s.Stop() // of nothing
}
