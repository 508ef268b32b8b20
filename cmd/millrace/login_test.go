package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/fas/fasfake"
)

func TestMistakesOfTheLogin(t *testing.T) {
	t.Parallel()
	for variables, want := range map[string]string{
		"ISSUER=https://id.example/":                                   "login.client_id",
		"ISSUER=http://id.example/ CLIENT_ID=x":                        "begin with https",
		"ISSUER=id.example CLIENT_ID=x":                                "is not an http or https address",
		"SESSION=1h IDLE=2h":                                           "at least login.idle",
		"IDLE=1s":                                                      "at least 1m",
		"CLIENT_SECRET=@/does/not/exist":                               "login.client_secret",
		"ISSUER=http://127.0.0.1:1/ CLIENT_ID=x SESSION=1h IDLE=1h":    "",
		"ISSUER=http://localhost/ CLIENT_ID=x OPERATOR_GROUPS=one,two": "",
	} {
		values := map[string]string{}
		for pair := range strings.FieldsSeq(variables) {
			name, value, _ := strings.Cut(pair, "=")
			values["MILLRACE_LOGIN_"+name] = value
		}
		_, err := readSettings("", env(values))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", variables, err, want)
		}
	}
	secret := writeFile(t, "secret", " hush\n")
	s, err := readSettings("", env(map[string]string{"MILLRACE_LOGIN_CLIENT_SECRET": "@" + secret}))
	if err != nil || s.Login.ClientSecret != "hush" {
		t.Errorf("%q, %v", s.Login.ClientSecret, err)
	}
}

func TestDoctorLooksAtTheLogin(t *testing.T) {
	t.Parallel()
	var fake http.Handler = http.NotFoundHandler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
	defer server.Close()
	v := &service{settings: defaults()}
	look := func(want string, wrong bool) {
		t.Helper()
		found, err := v.checkLogin(t.Context())
		if err != nil {
			found = err.Error()
		}
		if wrong != (err != nil) || !strings.Contains(found, want) {
			t.Errorf("found %q, want %q", found, want)
		}
	}
	look("nobody can log in", false)
	l := &v.settings.Login
	l.Issuer, l.ClientID = server.URL+"/openidc/", "millrace"
	look("look at login.issuer", true)
	f, err := fasfake.New(fasfake.Config{Issuer: l.Issuer, ClientID: l.ClientID, LoginPage: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	fake = f
	look("login.operator_groups", true)
	l.OperatorGroups = []string{"sysadmin-main"}
	look(v.settings.Base+"/login/callback", false)
	if err := f.Misbehave(fasfake.Fault{Status: 503}); err != nil {
		t.Fatal(err)
	}
	look("503", true)
}

// TestDemoLogin goes the whole way in the demo: from a page to the accounts in
// the box, and back to the page as an operator, and as somebody who is none.
func TestDemoLogin(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the demo")
	}
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var out lockedText
	d := &demo{dir: t.TempDir(), speed: 100, builds: "simulated", still: true, stdout: &out}
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx, slog.New(slog.DiscardHandler)) }() // ends with ctx, below
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	base := ""
	for deadline := time.Now().Add(time.Minute); base == ""; time.Sleep(50 * time.Millisecond) {
		if _, rest, ok := strings.Cut(out.String(), "ready: "); ok {
			base = strings.TrimSuffix(strings.TrimSpace(rest), "/")
		}
		if time.Now().After(deadline) {
			t.Fatalf("the demo is not ready: %s", out.String())
		}
	}
	for person, may := range map[string]bool{"olga": true, "nils": false} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
		status, at, page := fetch(t, client, base+"/admin/audit")
		login := regexp.MustCompile(`href="(/login\?back=[^"]+)"`).FindStringSubmatch(page)
		if status != http.StatusForbidden || login == nil {
			t.Fatalf("%s: status %d, no way to log in", at, status)
		}
		_, at, page = fetch(t, client, base+login[1])
		choice := regexp.MustCompile(`href="(/accounts/login\?request=[^"]+person=` + person + `)"`).FindStringSubmatch(page)
		if choice == nil || !strings.Contains(page, "Who are you?") {
			t.Fatalf("%s lets nobody choose: %s", at, page)
		}
		_, at, page = fetch(t, client, at.ResolveReference(&url.URL{Path: "/"}).String()+strings.ReplaceAll(choice[1][1:], "&amp;", "&"))
		request := regexp.MustCompile(`name="request" value="([^"]+)"`).FindStringSubmatch(page)
		if request == nil || !strings.Contains(page, "the groups you are in") {
			t.Fatalf("%s does not ask: %s", at, page)
		}
		res, err := client.PostForm(at.Scheme+"://"+at.Host+"/accounts/login", url.Values{"request": {request[1]}, "person": {person}})
		if err != nil {
			t.Fatal(err)
		}
		page = read(t, res)
		if got := res.Request.URL.String(); got != base+"/admin/audit" || (res.StatusCode == http.StatusOK) != may || !strings.Contains(page, "Logged in as "+person) {
			t.Errorf("%s comes back to %s with status %d", person, got, res.StatusCode)
		}
		if may != strings.Contains(page, "Who changed what") || may == strings.Contains(page, "Only operators of this service") {
			t.Errorf("%s sees another page: %s", person, page)
		}
	}
}

func fetch(t *testing.T, client *http.Client, address string) (int, *url.URL, string) {
	t.Helper()
	res, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Request.URL, read(t, res)
}

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lockedText is a buffer that is read while somebody writes.
type lockedText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
