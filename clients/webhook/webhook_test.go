package webhook

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/wire"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func TestSend(t *testing.T) {
	t.Parallel()
	const body, secret = `{"state":"failed"}`, "mill"
	var got http.Header
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil || string(text) != body {
			t.Errorf("body %q, %v", text, err)
		}
		got = r.Header.Clone()
		io.WriteString(w, "thank\x00s")
	}))
	t.Cleanup(server.Close)
	client := &Client{Allowed: loopback, UserAgent: "Miller/1", TLS: server.Client().Transport.(*http.Transport).TLSClientConfig}
	m := Message{ID: "7", Event: "pipeline", URL: server.URL + "/hook?x=1", Secrets: []string{secret}, At: time.Unix(1_800_000_000, 0), Body: []byte(body)}
	answer, err := client.Send(t.Context(), m)
	if err != nil || answer.Status != 200 || answer.Body != "thanks" {
		t.Fatalf("%+v, %v", answer, err)
	}
	plain, _ := strings.CutPrefix(got.Get(SignatureHeader), "sha256=")
	timed, _ := strings.CutPrefix(got.Get(TimedSignatureHeader), "sha256=")
	if !wire.Signed([]string{secret}, []byte(body), plain) || !wire.Signed([]string{secret}, []byte(got.Get(TimestampHeader)+"."+body), timed) {
		t.Errorf("signatures in %v", got)
	}
	for name, want := range map[string]string{
		TimestampHeader: "1800000000", EventHeader: "pipeline", DeliveryHeader: "7", "Content-Type": "application/json", "User-Agent": "Miller/1",
	} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
	m.Secrets = nil
	if _, err := client.Send(t.Context(), m); err != nil || got.Get(SignatureHeader) != "" || got.Get(TimedSignatureHeader) != "" {
		t.Errorf("without a secret: %v %v", err, got)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	visited := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited = true }))
	t.Cleanup(elsewhere.Close)
	release := make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/moved":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/gone":
			http.Error(w, "nobody here", http.StatusGone)
		case "/broken":
			w.WriteHeader(http.StatusBadGateway)
		case "/vast":
			w.Write([]byte(strings.Repeat("x", 10<<20)))
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	client, hasty := &Client{Allowed: loopback, Timeout: time.Minute}, &Client{Allowed: loopback, Timeout: 300 * time.Millisecond}
	for path, test := range map[string]struct {
		status    int // 0: no answer
		wrong     bool
		temporary bool
	}{
		"/moved":  {307, true, false},
		"/gone":   {410, true, false},
		"/broken": {502, true, true},
		"/vast":   {200, false, false},
		"/slow":   {0, true, true},
	} {
		sender := client
		if path == "/slow" {
			sender = hasty
		}
		answer, err := sender.Send(t.Context(), Message{URL: server.URL + path, Body: []byte("{}")})
		status := 0
		if answer != nil {
			status = answer.Status
			if len(answer.Body) > MaxAnswer+10 {
				t.Errorf("%s: %d bytes of the answer are kept", path, len(answer.Body))
			}
		}
		if status != test.status || (err != nil) != test.wrong || httpx.Temporary(err) != test.temporary {
			t.Errorf("%s: %d, %v", path, status, err)
		}
	}
	if visited {
		t.Error("a redirection was followed")
	}
	if _, err := client.Send(t.Context(), Message{URL: server.URL, Body: make([]byte, MaxBody+1)}); err == nil || httpx.Temporary(err) {
		t.Errorf("a vast message: %v", err)
	}
}

// Nothing inside of the operator's network is reached, however it is called.
func TestNothingPrivateIsReached(t *testing.T) {
	t.Parallel()
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(server.Close)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	client := new(Client)
	for _, address := range []string{
		server.URL, "https://127.0.0.1" + port, "https://localhost" + port, "https://localhost." + port, "https://[::1]" + port, "https://[::ffff:127.0.0.1]" + port,
		"https://2130706433" + port, "https://0x7f.1" + port, "https://0" + port, "https://[::ffff:7f00:1]" + port, "https://10.0.0.1/", "https://169.254.169.254/",
		"https://[fe80::1%25lo]/", "https://[fd00::1]/", "https://100.64.0.1/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/",
		"http://example.org/", "ftp://example.org/", "https://user:secret@example.org/", "https://example.org/#x", "https:example.org", "", "https://",
	} {
		_, err := client.Send(t.Context(), Message{URL: address})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
	// A name that leads inside is found out when it is dialed.
	inside := &Client{Allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	_, err := inside.Send(t.Context(), Message{URL: "https://localhost" + port})
	if _, ok := errors.AsType[*Refusal](err); !ok || !strings.Contains(err.Error(), "not a public address") || httpx.Temporary(err) {
		t.Errorf("a name: %v", err)
	}
	if reached {
		t.Error("something private was reached")
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"1.1.1.1": true, "2606:4700::1111": true, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "127.0.0.1": false, "0.0.0.0": false,
		"100.127.255.255": false, "100.128.0.1": true, "169.254.169.254": false, "224.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false,
		"::": false, "::1": false, "::7f00:1": false, "fe80::1": false, "fc00::1": false, "ff02::1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "::ffff:10.0.0.1": false,
	} {
		if got := new(Client).may(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, address := range []string{"https://example.org/x", "http://[::1]", "https://a@b", "https://127.1"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if err := new(Client).Check(address); err == nil && !strings.HasPrefix(strings.ToLower(address), "https:") {
			t.Errorf("%q was taken", address)
		}
	})
}
