package ports

import (
	"net"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestFree(t *testing.T) {
	t.Parallel()
	free, err := Free(20)
	if err != nil {
		t.Fatal(err)
	}
	for i, port := range free {
		if port < lowest || port >= outgoing() {
			t.Errorf("port %d may be given to an outgoing connection", port)
		}
		if slices.Contains(free[:i], port) {
			t.Errorf("port %d comes twice", port)
		}
	}
	// One that is taken is not offered.
	taken, err := Listen("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := "127.0.0.1:" + strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	if second, err := net.Listen("tcp", at); err == nil {
		second.Close()
		t.Errorf("%s can be listened at twice", at)
	}
}

func TestListenAt(t *testing.T) {
	t.Parallel()
	taken, err := Listen("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	at := taken.Addr().String()
	got := make(chan error, 1)
	go func() { // ends when the address is free, for which the test waits
		again, err := ListenAt(at)
		if err == nil {
			err = again.Close()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Errorf("it did not wait for the address: %v", err)
		got <- err
	case <-time.After(100 * time.Millisecond):
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	if _, err := ListenAt("127.0.0.1:-1"); err == nil {
		t.Error("a port that is none was listened at")
	}
}
