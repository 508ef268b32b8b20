package kerberos

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/service"
	"github.com/jcmturner/gokrb5/v8/spnego"

	"millrace/clients/ports"
)

const realm = "MILL.EXAMPLE"

// centre is a real key distribution centre, behind a proxy of ours.
type centre struct {
	dir   string
	kdc   string // address
	proxy *httptest.Server
	asked atomic.Int64
}

func startCentre(t *testing.T) *centre {
	t.Helper()
	for _, program := range []string{"krb5kdc", "kdb5_util", "kadmin.local"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("%s is not installed", program)
		}
	}
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free[0])
	c := &centre{dir: t.TempDir(), kdc: "127.0.0.1:" + port}
	c.write(t, "krb5.conf", "[libdefaults]\n default_realm = "+realm+"\n dns_lookup_kdc = false\n")
	c.write(t, "kdc.conf", fmt.Sprintf("[kdcdefaults]\n kdc_listen = \"\"\n kdc_tcp_listen = 127.0.0.1:%s\n[realms]\n %s = {\n  database_name = %s/principal\n  key_stash_file = %s/stash\n"+
		"  acl_file = %s/acl\n  supported_enctypes = aes256-cts-hmac-sha1-96:normal\n  max_life = 1h\n }\n[logging]\n kdc = FILE:%s/log\n", port, realm, c.dir, c.dir, c.dir, c.dir))
	c.run(t, "kdb5_util", "-r", realm, "create", "-s", "-W", "-P", "secret")
	c.run(t, "kadmin.local", "-r", realm, "-q", "addprinc -randkey miller")
	c.run(t, "kadmin.local", "-r", realm, "-q", "addprinc -randkey HTTP/hub.example")
	c.run(t, "kadmin.local", "-r", realm, "-q", "ktadd -k "+c.dir+"/miller.keytab miller")
	c.run(t, "kadmin.local", "-r", realm, "-q", "ktadd -k "+c.dir+"/hub.keytab HTTP/hub.example")
	kdc := c.command("krb5kdc", "-n", "-r", realm)
	if err := kdc.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kdc.Process.Kill()
		kdc.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", c.kdc)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	c.proxy = httptest.NewServer(c)
	t.Cleanup(c.proxy.Close)
	return c
}

func (c *centre) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *centre) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "KRB5_CONFIG="+c.dir+"/krb5.conf", "KRB5_KDC_PROFILE="+c.dir+"/kdc.conf")
	return cmd
}

func (c *centre) run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := c.command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// ServeHTTP is the proxy: it passes a message on as it stands in the body.
func (c *centre) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.asked.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/kerberos" || !strings.Contains(string(body), realm) {
		http.Error(w, "not a message", http.StatusBadRequest)
		return
	}
	message, err := unwrap(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	conn, err := net.Dial("tcp", c.kdc)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer conn.Close()
	if _, err := conn.Write(message); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer, err := readFrame(conn)
	if err == nil {
		answer, err = wrap(answer, realm)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Write(answer)
}

// hub is a service that knows people by their tokens.
func (c *centre) hub(t *testing.T) *httptest.Server {
	t.Helper()
	keys, err := keytab.Load(c.dir + "/hub.keytab")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(spnego.SPNEGOKRB5Authenticate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "welcome") }), keys,
		service.DecodePAC(false))) // it has what Windows wants to know, which a centre of MIT's does not say
	t.Cleanup(server.Close)
	return server
}

func TestTokensAreTaken(t *testing.T) {
	t.Parallel()
	c := startCentre(t)
	hub := c.hub(t)
	a := &Account{Principal: "miller@" + realm, Keytab: c.dir + "/miller.keytab", Proxy: c.proxy.URL}
	t.Cleanup(a.Close)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			token, err := a.Negotiate(t.Context(), "hub.example")
			if err != nil {
				t.Error(err)
				return
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, hub.URL, nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Negotiate "+base64.StdEncoding.EncodeToString(token))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("the token was answered with %s", res.Status)
			}
		})
	}
	all.Wait()
	asked := c.asked.Load()
	if _, err := a.Negotiate(t.Context(), "hub.example"); err != nil || c.asked.Load() != asked {
		t.Errorf("the centre was asked again for a ticket that we have, error %v", err)
	}
	if _, err := a.Negotiate(t.Context(), "nobody.example"); err == nil {
		t.Error("there is a ticket for a service that the centre does not know")
	}
	a.Close()
	if _, err := a.Negotiate(t.Context(), "hub.example"); err != nil || c.asked.Load() == asked {
		t.Errorf("after closing: %v", err)
	}
}

func TestWhoCannotHaveTokens(t *testing.T) {
	t.Parallel()
	c := startCentre(t)
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }))
	defer odd.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		account *Account
		ctx     context.Context
		host    string
	}{
		"another's keys": {&Account{Principal: "miller", Realm: realm, Keytab: c.dir + "/hub.keytab", Proxy: c.proxy.URL}, t.Context(), "hub.example"},
		"no keys":        {&Account{Principal: "miller", Realm: realm, Keytab: c.dir + "/none", Proxy: c.proxy.URL}, t.Context(), "hub.example"},
		"no principal":   {&Account{Realm: realm, Keytab: c.dir + "/miller.keytab", Proxy: c.proxy.URL}, t.Context(), "hub.example"},
		"odd realm":      {&Account{Principal: "miller@A\nB", Keytab: c.dir + "/miller.keytab", Proxy: c.proxy.URL}, t.Context(), "hub.example"},
		"no host":        {&Account{Principal: "miller", Realm: realm, Keytab: c.dir + "/miller.keytab", Proxy: c.proxy.URL}, t.Context(), "a/b"},
		"proxy is gone":  {&Account{Principal: "miller", Realm: realm, Keytab: c.dir + "/miller.keytab", Proxy: down.URL}, t.Context(), "hub.example"},
		"proxy is odd":   {&Account{Principal: "miller", Realm: realm, Keytab: c.dir + "/miller.keytab", Proxy: odd.URL}, t.Context(), "hub.example"},
		"given up":       {&Account{Principal: "miller", Realm: realm, Keytab: c.dir + "/miller.keytab", Proxy: c.proxy.URL}, canceled, "hub.example"},
	} {
		if token, err := test.account.Negotiate(test.ctx, test.host); err == nil {
			t.Errorf("%s: a token of %d bytes", name, len(token))
		}
		test.account.Close()
	}
}

func FuzzUnwrap(f *testing.F) {
	message := binary.BigEndian.AppendUint32(nil, 3)
	message = append(message, "abc"...)
	whole, err := wrap(message, realm)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		frame, err := unwrap(body)
		if err == nil && (len(frame) < 5 || int(binary.BigEndian.Uint32(frame)) != len(frame)-4) {
			t.Errorf("a frame of %d bytes", len(frame))
		}
	})
}
