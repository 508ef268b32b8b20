// Package ports finds ports of this machine for what is to listen there again
// after it was stopped. The kernel picks ports for outgoing connections from a
// range of its own: one of these may be taken just then.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	lowest = 10240 // below are those of well-known services
	tries  = 200
)

// Listen listens at a port of host that is not given to outgoing connections.
func Listen(host string) (net.Listener, error) {
	end := outgoing()
	for range tries {
		if end <= lowest {
			break
		}
		at := net.JoinHostPort(host, strconv.Itoa(lowest+rand.IntN(end-lowest)))
		if listener, err := net.Listen("tcp", at); err == nil {
			return listener, nil
		}
	}
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}

// patience is for how long ListenAt waits for an address.
const patience = 5 * time.Second

// ListenAt listens at an address that was just given up, perhaps: a process that
// is being started elsewhere in this program, or one that was killed, may hold it
// for a moment.
func ListenAt(address string) (net.Listener, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		listener, err := net.Listen("tcp", address)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return listener, err
		}
	}
}

// outgoing is where the range begins from which outgoing connections get ports.
func outgoing() int {
	from, to := 32768, 60999 // Linux's default
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		fmt.Sscan(string(text), &from, &to) // what cannot be read leaves the default
	}
	return from
}

// Free returns n ports at 127.0.0.1, all different, at which nobody listens now.
func Free(n int) ([]int, error) {
	free := make([]int, n)
	for i := range free {
		listener, err := Listen("127.0.0.1")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer listener.Close() // after the last, so that they differ
		free[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return free, nil
}
