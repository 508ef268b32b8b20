package koji_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
	"millrace/models"
)

func TestPing(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	version, err := h.anonymous().Ping(t.Context())
	if err != nil || !strings.HasPrefix(version, "1.") {
		t.Errorf("version %q, error %v", version, err)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true, Users: []kojifake.User{{ID: 77, Name: "packit"}}})
	c := h.as("packit")
	u, err := c.LoggedInUser(t.Context())
	if err != nil || u != (koji.User{ID: 77, Name: "packit"}) {
		t.Errorf("%+v, error %v", u, err)
	}
	if _, err := c.CreateSideTag(t.Context(), "f43-build"); err != nil {
		t.Fatal(err)
	}
	if logins := slices.DeleteFunc(h.Calls(), func(m string) bool { return m != "sslLogin" }); len(logins) != 1 {
		t.Errorf("%d logins", len(logins))
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Errorf("logging out twice: %v", err)
	}

	h.SetBlocked("packit", true)
	_, err = c.SubmitBuild(t.Context(), helloBuild)
	if !koji.IsLogin(err) || httpx.Temporary(err) || koji.Text(err) != "logins by packit are not allowed" {
		t.Errorf("a blocked user: %v", err)
	}
	_, err = h.as("").SubmitBuild(t.Context(), helloBuild)
	if !koji.IsLogin(err) || httpx.Status(err) != http.StatusUnauthorized {
		t.Errorf("a token of nobody: %v", err)
	}
	_, err = h.anonymous().SubmitBuild(t.Context(), helloBuild)
	if !errors.Is(err, koji.ErrNoLogin) || !koji.IsLogin(err) {
		t.Errorf("without any login: %v", err)
	}
	broken := h.anonymous()
	broken.Negotiate = func(context.Context, string) ([]byte, error) { return nil, errors.New("no ticket") }
	if _, err := broken.SubmitBuild(t.Context(), helloBuild); err == nil || !strings.Contains(err.Error(), "no ticket") {
		t.Errorf("without a ticket: %v", err)
	}
}

func TestNegotiateLearnsTheHost(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.anonymous()
	var asked string
	c.Negotiate = func(ctx context.Context, host string) ([]byte, error) {
		asked = host
		return kojifake.Negotiate("packit")(ctx, host)
	}
	if _, err := c.LoggedInUser(t.Context()); err != nil || asked != "127.0.0.1" {
		t.Errorf("asked for %q, error %v", asked, err)
	}
}

func TestCertificateLogin(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "builder"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, kojifake.Options{Manual: true})
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	httpClient := server.Client()
	httpClient.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	c := &koji.Client{HubURL: server.URL + "/kojihub", HTTP: httpClient, Certificate: true}
	if u, err := c.LoggedInUser(t.Context()); err != nil || u.Name != "builder" {
		t.Errorf("%+v, error %v", u, err)
	}
}

func TestSessionIsRenewed(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*kojifake.Fake){"forgotten": (*kojifake.Fake).ForgetSessions, "expired": (*kojifake.Fake).ExpireSessions} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, kojifake.Options{Manual: true})
			c := h.as("packit")
			submit(t, c, helloBuild)
			lose(h.Fake)
			submit(t, c, helloBuild)
			if n := h.Submissions(helloBuild.Key); n != 2 {
				t.Errorf("%d submissions", n)
			}
		})
	}
}

func TestCallsOfManyGoroutines(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	const n = 24
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, errs[i] = c.SubmitBuild(t.Context(), helloBuild)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if got := h.Submissions(helloBuild.Key); got != n {
		t.Errorf("%d submissions", got)
	}
}

func TestWaitingForTheSessionEnds(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.anonymous()
	inside, leave := make(chan struct{}), make(chan struct{})
	c.Negotiate = func(ctx context.Context, host string) ([]byte, error) {
		close(inside)
		<-leave
		return kojifake.Negotiate("packit")(ctx, host)
	}
	done := make(chan error, 1)
	go func() { // waited for below
		_, err := c.LoggedInUser(t.Context())
		done <- err
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.SubmitBuild(ctx, helloBuild); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	if _, err := c.Ping(t.Context()); err != nil { // needs no session
		t.Error(err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A number of a call that came before is not a refusal, and one that is lower
// is: that is how counters which start again are found.
func TestCallNumbers(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	h.SetFaults(kojifake.Faults{Methods: []string{"build"}, Calls: 1, DoubleCalls: true})
	c := h.as("packit")
	_, err := c.SubmitBuild(t.Context(), helloBuild)
	if !koji.IsDone(err) || !httpx.Temporary(err) {
		t.Errorf("a call that was repeated on the way: %v", err)
	}
	if n := h.Submissions(helloBuild.Key); n != 1 {
		t.Errorf("%d submissions", n)
	}
	submit(t, c, helloBuild)
}

func TestLostSubmissionIsFound(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	user, err := c.LoggedInUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	since := time.Now()
	if _, err := c.FindTask(t.Context(), user.ID, helloBuild, since); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("found before it was there: %v", err)
	}
	h.SetFaults(kojifake.Faults{Methods: []string{"build"}, Calls: 1, LoseAnswers: true})
	if _, err := c.SubmitBuild(t.Context(), helloBuild); !httpx.Temporary(err) {
		t.Errorf("a lost answer: %v", err)
	}
	for i := range 60 { // more than one page of others
		r := helloBuild
		r.Key = fmt.Sprintf("key-of-another-%d", i)
		submit(t, c, r)
	}
	other := h.as("somebody")
	submit(t, other, helloBuild)

	want := h.Tasks()[0].ID
	for name, r := range map[string]koji.BuildRequest{"key": {Key: helloBuild.Key},
		"source": {Source: helloBuild.Source, Target: helloBuild.Target}} {
		task, err := c.FindTask(t.Context(), user.ID, r, since)
		if err != nil || (name == "key" && task.ID != want) || task.Owner != user.ID {
			t.Errorf("by %s: task %d, error %v, want %d", name, task.ID, err, want)
		}
	}
	for name, r := range map[string]koji.BuildRequest{"key": {Key: "key-of-nobody", Source: helloBuild.Source, Target: helloBuild.Target},
		"scratch": {Source: helloBuild.Source, Target: helloBuild.Target, Scratch: true}, "target": {Source: helloBuild.Source, Target: "rawhide"}} {
		if task, err := c.FindTask(t.Context(), user.ID, r, since); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("another %s: task %d, error %v", name, task.ID, err)
		}
	}
	if _, err := c.FindTask(t.Context(), user.ID, helloBuild, since.Add(time.Hour)); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("much later: %v", err)
	}
	// Not found and not looked at are two things.
	for i := range 1000 {
		if _, err := c.SubmitBuild(t.Context(), koji.BuildRequest{Source: "a", Target: "b", Key: fmt.Sprintf("key-%08d", i+10)}); err != nil {
			t.Fatal(err)
		}
	}
	if task, err := c.FindTask(t.Context(), user.ID, helloBuild, since); err == nil || errors.Is(err, models.ErrNotFound) {
		t.Errorf("task %d, error %v", task.ID, err)
	}
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		faults    kojifake.Faults
		temporary bool
		retry     bool
	}{
		"down":       {kojifake.Faults{Down: true}, true, false},
		"bad proxy":  {kojifake.Faults{Status: 502}, true, false},
		"slow down":  {kojifake.Faults{Status: 429, RetryAfter: time.Minute}, true, true},
		"a page":     {kojifake.Faults{Status: 200}, true, false},
		"forbidden":  {kojifake.Faults{Status: 403}, false, false},
		"offline":    {kojifake.Faults{Offline: true}, true, false},
		"no answers": {kojifake.Faults{LoseAnswers: true}, true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, kojifake.Options{Manual: true})
			c := h.as("packit")
			if _, err := c.LoggedInUser(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.SetFaults(test.faults)
			_, anonymous := c.Task(t.Context(), 1)
			_, inSession := c.SubmitBuild(t.Context(), helloBuild)
			for _, err := range []error{anonymous, inSession} {
				if err == nil || httpx.Temporary(err) != test.temporary || httpx.RetryAfter(err).IsZero() == test.retry {
					t.Errorf("error = %v", err)
				}
			}
			h.SetFaults(kojifake.Faults{})
			submit(t, c, helloBuild)
		})
	}
}

func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	h.SetFaults(kojifake.Faults{Methods: []string{"getTaskInfo"}, Delay: time.Hour})
	c := h.anonymous()
	c.HTTP = &http.Client{Timeout: 50 * time.Millisecond}
	if _, err := c.Task(t.Context(), 1); !httpx.Temporary(err) {
		t.Errorf("error = %v", err)
	}
}
