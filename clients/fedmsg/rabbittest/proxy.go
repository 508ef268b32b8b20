package rabbittest

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Proxy stands between a client and a broker, and can break what it carries.
type Proxy struct {
	target   string
	listener net.Listener
	work     sync.WaitGroup

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

// NewProxy carries connections to a host and port until the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: listener, conns: map[net.Conn]bool{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.SetDown(true)
		p.work.Wait()
	})
	return p
}

// Rewrite leads a broker's URL through the proxy.
func (p *Proxy) Rewrite(url string) string {
	return strings.Replace(url, p.target, p.listener.Addr().String(), 1)
}

// SetDown breaks all connections and refuses new ones until it is up again.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	if down {
		for conn := range p.conns {
			conn.Close()
		}
	}
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.carry(conn) })
	}
}

func (p *Proxy) carry(client net.Conn) {
	defer client.Close()
	broker, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer broker.Close()
	if !p.keep(client, broker) {
		return
	}
	defer p.forget(client, broker)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, broker}, {broker, client}} {
		both.Go(func() {
			// When one way ends, so does the other.
			_, _ = io.Copy(way[0], way[1])
			client.Close()
			broker.Close()
		})
	}
	both.Wait()
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.conns[conn] = true
	}
	return !p.down
}

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.conns, conn)
	}
}
