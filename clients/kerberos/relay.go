package kerberos

import (
	"bytes"
	"context"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"millrace/clients/httpx"
)

const (
	// maxMessage is how large a message of Kerberos may be, in bytes. Those in
	// use have some thousand.
	maxMessage   = 64 << 10
	relayTimeout = 30 * time.Second
)

// relay is a key distribution centre on this machine that passes all on to a
// proxy over HTTPS (MS-KKDCP), which the library does not speak.
type relay struct {
	realm    string
	proxy    string
	http     *http.Client
	listener net.Listener
	ctx      context.Context
	stop     context.CancelFunc
	working  sync.WaitGroup
}

func startRelay(realm, proxy string, client *http.Client) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a way to the Kerberos proxy: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &relay{realm: realm, proxy: proxy, http: client, listener: listener, ctx: ctx, stop: stop}
	r.working.Go(r.serve)
	return r, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) close() {
	r.stop()
	r.listener.Close() // there is nothing in it to lose
	r.working.Wait()
}

func (r *relay) serve() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.working.Go(func() {
			defer conn.Close()
			// The library sees that no answer comes, and why is of no use to it.
			_ = r.pass(conn)
		})
	}
}

// pass carries one message to the proxy and its answer back.
func (r *relay) pass(conn net.Conn) error {
	ctx, cancel := context.WithTimeout(r.ctx, relayTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	message, err := readFrame(conn)
	if err != nil {
		return err
	}
	answer, err := r.ask(ctx, message)
	if err != nil {
		return err
	}
	_, err = conn.Write(answer)
	return err
}

// readFrame reads a message with the length before it.
func readFrame(in io.Reader) ([]byte, error) {
	frame := make([]byte, 4)
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(frame)
	if size == 0 || size > maxMessage {
		return nil, fmt.Errorf("a message of Kerberos with %d bytes", size)
	}
	frame = append(frame, make([]byte, size)...)
	_, err := io.ReadFull(in, frame[4:])
	return frame, err
}

func (r *relay) ask(ctx context.Context, message []byte) ([]byte, error) {
	body, err := wrap(message, r.realm)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.proxy, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/kerberos")
	var answer []byte
	if err := (httpx.Caller{Service: "kerberos", HTTP: r.http, Limit: maxMessage + 1024}).Do(ctx, "kdcproxy", req, &answer); err != nil {
		return nil, err
	}
	return unwrap(answer)
}

// wrap writes a message, with its length before it, as proxies take it.
// https://learn.microsoft.com/openspecs/windows_protocols/ms-kkdcp
func wrap(message []byte, realm string) ([]byte, error) {
	name := asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagGeneralString, Bytes: []byte(realm)}
	return asn1.Marshal(struct {
		Message []byte        `asn1:"explicit,tag:0"`
		Realm   asn1.RawValue `asn1:"explicit,tag:1"`
	}{message, name})
}

// unwrap returns the message in an answer, with the length before it.
func unwrap(body []byte) ([]byte, error) {
	var in struct {
		Message []byte        `asn1:"explicit,tag:0"`
		Realm   asn1.RawValue `asn1:"optional,explicit,tag:1"`
		Flags   asn1.RawValue `asn1:"optional,explicit,tag:2"`
	}
	if rest, err := asn1.Unmarshal(body, &in); err != nil || len(rest) > 0 {
		return nil, errors.New("the answer of the Kerberos proxy cannot be read")
	}
	frame, err := readFrame(bytes.NewReader(in.Message))
	if err != nil || len(frame) != len(in.Message) {
		return nil, errors.New("the answer of the Kerberos proxy has no whole message")
	}
	return frame, nil
}
