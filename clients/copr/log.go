package copr

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"millrace/clients/httpx"
)

// maxLog is how much of a log is read, unpacked, in search of its end.
const maxLog = 1 << 30

// Log is a log, or its beginning and its end if it is longer than was asked.
type Log struct {
	Head    []byte
	Tail    []byte // nil if Head is all
	Skipped int64  // bytes between them
	// Partial says that the log went on after Tail, but we did not read on.
	Partial bool
}

// Log reads a log, packed or not, and keeps at most limit bytes: a quarter from
// its beginning, the rest from its end. A log that has moved, as it does when
// the build ends, is not found: ask for the build again.
func (c *Client) Log(ctx context.Context, address string, limit int) (Log, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return Log{}, fmt.Errorf("%q is not the address of a log", address)
	}
	// No credentials: the results are on another host.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Log{}, fmt.Errorf("making the request: %w", err)
	}
	// As it is: some servers label packed files with an encoding, some with a type.
	req.Header.Set("Accept-Encoding", "identity")
	res, err := c.caller().Open(ctx, "log.get", req)
	if err != nil {
		return Log{}, err
	}
	defer res.Body.Close()
	l, err := readLog(io.LimitReader(res.Body, maxLog), limit)
	if err != nil {
		return l, &httpx.Error{Service: "copr", Method: http.MethodGet, URL: u.Path, Err: fmt.Errorf("reading the log: %w", err)}
	}
	return l, nil
}

func readLog(r io.Reader, limit int) (Log, error) {
	buffered := bufio.NewReader(r)
	r = buffered
	if magic, err := buffered.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if r, err = gzip.NewReader(buffered); err != nil {
			return Log{}, err
		}
	}
	limit = max(limit, 4)
	head := make([]byte, limit/4)
	n, err := io.ReadFull(r, head)
	l := Log{Head: head[:n]}
	if errors.Is(err, io.EOF) || (errors.Is(err, io.ErrUnexpectedEOF) && n < len(head)) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	tail := ring{size: limit - len(head)}
	counted := io.LimitedReader{R: r, N: maxLog}
	_, err = io.Copy(&tail, &counted)
	// A packed log that is being written has no end yet.
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
		l.Partial = true
	}
	l.Partial = l.Partial || counted.N == 0
	rest := tail.bytes()
	l.Skipped = tail.written - int64(len(rest))
	if l.Skipped == 0 {
		l.Head = append(l.Head, rest...)
		return l, err
	}
	l.Tail = rest
	return l, err
}

// Bytes is the log as one text, with a line that says what is left out.
func (l Log) Bytes() []byte {
	if l.Skipped == 0 {
		return l.Head
	}
	return bytes.Join([][]byte{l.Head, fmt.Appendf(nil, "\n[... %d bytes left out ...]\n", l.Skipped), l.Tail}, nil)
}

// ring keeps the last size bytes written to it.
type ring struct {
	size    int
	buf     []byte
	next    int // where the next byte goes once buf is full
	written int64
}

func (r *ring) Write(p []byte) (int, error) {
	n := len(p)
	r.written += int64(n)
	if len(p) > r.size {
		p = p[len(p)-r.size:]
	}
	if free := r.size - len(r.buf); free > 0 {
		first := min(free, len(p))
		r.buf = append(r.buf, p[:first]...)
		p = p[first:]
	}
	for len(p) > 0 {
		copied := copy(r.buf[r.next:], p)
		r.next = (r.next + copied) % r.size
		p = p[copied:]
	}
	return n, nil
}

func (r *ring) bytes() []byte {
	return append(append(make([]byte, 0, len(r.buf)), r.buf[r.next:]...), r.buf[:r.next]...)
}
