package handlers

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	mostTries   = 30 // from one address, each step of a login being one
	triesWindow = 5 * time.Minute
	mostAskers  = 10_000 // addresses that are remembered
)

// tries counts how often addresses do something. Its zero value is ready.
type tries struct {
	mu    sync.Mutex // above what follows
	since time.Time  // when the window began
	count map[netip.Prefix]int
}

// take counts a try of who, and returns how long they have to wait first; 0 if
// they may.
func (t *tries) take(who netip.Prefix, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	// So many addresses at once are an attack that counting does not stop; what
	// matters is that memory does not grow with it.
	if end := t.since.Add(triesWindow); t.count == nil || now.After(end) || len(t.count) >= mostAskers {
		t.since, t.count = now, make(map[netip.Prefix]int)
	}
	if t.count[who] >= mostTries {
		return max(time.Second, t.since.Add(triesWindow).Sub(now))
	}
	t.count[who]++
	return 0
}

// asker is the address that a request comes from; of IPv6 the network that one
// customer has. A proxy on this machine or in a private network is believed what
// it says of whom it speaks for; it adds to what came to it, so that the last
// address is the one it saw itself.
func asker(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().Unmap()
	if forwarded := r.Header.Values("X-Forwarded-For"); len(forwarded) > 0 && (address.IsLoopback() || address.IsPrivate()) {
		last := forwarded[len(forwarded)-1]
		if told, err := netip.ParseAddr(strings.TrimSpace(last[strings.LastIndex(last, ",")+1:])); err == nil {
			address = told.Unmap()
		}
	}
	bits := 32
	if address.Is6() {
		bits = 64
	}
	network, err := address.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
