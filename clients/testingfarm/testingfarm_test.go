package testingfarm_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/httpx"
	"millrace/clients/testingfarm"
	"millrace/clients/testingfarm/testingfarmfake"
)

// fast is quick enough to wait for, and slow enough to be looked at.
var fast = testingfarmfake.Pace{New: 5 * time.Millisecond, Queued: 5 * time.Millisecond, Running: 20 * time.Millisecond}

// slow never ends by itself.
var slow = testingfarmfake.Pace{New: time.Millisecond, Queued: time.Millisecond, Running: time.Hour}

func start(t *testing.T, config testingfarmfake.Config) (*testingfarmfake.Server, *testingfarm.Client) {
	t.Helper()
	fake, err := testingfarmfake.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(fake)
	t.Cleanup(func() {
		server.Close()
		fake.Close()
	})
	return fake, &testingfarm.Client{BaseURL: server.URL + "/v0.1", Token: "token"}
}

func submission(key string) testingfarm.Submission {
	return testingfarm.Submission{
		Key:  key,
		Test: testingfarm.Test{URL: "https://example.org/mill", Ref: "abc123", Path: ".", Name: "/plans/smoke"},
		Environments: []testingfarm.Environment{{
			Arch: "x86_64", Compose: "Fedora-43",
			Context:   map[string]string{"distro": "fedora-43", "arch": "x86_64"},
			Variables: map[string]any{"COLOUR": "red"},
			Artifacts: []testingfarm.Artifact{{ID: "7:fedora-43-x86_64", Type: testingfarm.CoprBuild}},
		}},
	}
}

func mustCreate(t *testing.T, c *testingfarm.Client, s testingfarm.Submission) string {
	t.Helper()
	r, err := c.Create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func waitFinished(t *testing.T, c *testingfarm.Client, id string) *testingfarm.Request {
	t.Helper()
	return waitFor(t, c, id, func(r *testingfarm.Request) bool { return r.State.Finished() })
}

func waitFor(t *testing.T, c *testingfarm.Client, id string, ok func(*testingfarm.Request) bool) *testingfarm.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		r, err := c.Request(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if ok(r) {
			return r
		}
		time.Sleep(3 * time.Millisecond)
	}
}

func TestEndings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule    testingfarmfake.Rule
		compose string
		outcome testingfarm.Outcome
		result  string
		summary string
	}{
		{rule: testingfarmfake.Rule{Ending: testingfarmfake.Passes}, outcome: testingfarm.OutcomePassed, result: "passed"},
		{rule: testingfarmfake.Rule{Plan: "/plans/*", Ending: testingfarmfake.Fails}, outcome: testingfarm.OutcomeFailed, result: "failed"},
		{rule: testingfarmfake.Rule{Plan: "/other", Ending: testingfarmfake.Fails}, outcome: testingfarm.OutcomePassed, result: "passed"},
		{rule: testingfarmfake.Rule{Ending: testingfarmfake.Errs, Summary: "a crash"}, outcome: testingfarm.OutcomeError, result: "error", summary: "a crash"},
		{rule: testingfarmfake.Rule{Ending: testingfarmfake.Skips}, outcome: testingfarm.OutcomeSkipped, result: "skipped"},
		{
			rule:    testingfarmfake.Rule{Ending: testingfarmfake.FarmFails},
			outcome: testingfarm.OutcomeError, result: "error", summary: "Guest provisioning failed, no machine became available",
		},
		{
			rule:    testingfarmfake.Rule{Ending: testingfarmfake.FarmFails, NoResult: true, Summary: "no machines"},
			outcome: testingfarm.OutcomeError, result: "error", summary: "no machines",
		},
		{
			compose: "Fedora-1", outcome: testingfarm.OutcomeError, result: "error", summary: "Compose 'Fedora-1' not found",
		},
	} {
		fake, client := start(t, testingfarmfake.Config{Pace: fast})
		fake.SetRules(test.rule)
		s := submission("k")
		if test.compose != "" {
			s.Environments[0].Compose = test.compose
		}
		r := waitFinished(t, client, mustCreate(t, client, s))
		if r.Outcome() != test.outcome || r.Result() != test.result || r.Summary != test.summary {
			t.Errorf("%+v: got %s, %s, %q", test, r.Outcome(), r.Result(), r.Summary)
		}
	}
}

func TestRequestInFull(t *testing.T) {
	t.Parallel()
	fake, client := start(t, testingfarmfake.Config{Pace: fast})
	fake.SetRules(testingfarmfake.Rule{Ending: testingfarmfake.Fails})
	id := mustCreate(t, client, submission("in-full"))
	got := waitFinished(t, client, id)
	if got.XUnit == "" || got.Artifacts == "" || got.Created.IsZero() {
		t.Errorf("incomplete: %+v", got)
	}
	want := &testingfarm.Request{
		ID: id, State: testingfarm.Complete, Overall: "failed", XUnit: got.XUnit, Artifacts: got.Artifacts,
		TestURL: "https://example.org/mill", TestRef: "abc123",
		Environments: []testingfarm.RequestedEnvironment{{
			Arch: "x86_64", Compose: "Fedora-43",
			Variables: map[string]any{"COLOUR": "red", testingfarm.KeyVariable: "in-full"},
			Artifacts: []testingfarm.Artifact{{ID: "7:fedora-43-x86_64", Type: testingfarm.CoprBuild}},
		}},
		Created: got.Created, QueuedFor: 10 * time.Millisecond, RanFor: 20 * time.Millisecond,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	results, err := client.Results(t.Context(), got)
	if err != nil {
		t.Fatal(err)
	}
	summary, err := testingfarm.Summarize(results)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/plans/smoke: /tests/version"}, summary.Failing); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(testingfarm.Counts{Passed: 2, Failed: 1}, summary.Tests); diff != "" {
		t.Error(diff)
	}
	for _, l := range summary.Logs { // each link leads somewhere
		if _, err := client.Artifact(t.Context(), l.URL, 1<<20); err != nil {
			t.Errorf("log %s: %v", l.Name, err)
		}
	}
	log, err := client.Artifact(t.Context(), got.Artifacts+"/pipeline.log", 1<<20)
	if err != nil || !strings.Contains(string(log), "pipeline ended: complete") {
		t.Errorf("log %q, %v", log, err)
	}
	if _, err := client.Artifact(t.Context(), got.Artifacts+"/pipeline.log", 10); !errors.Is(err, httpx.ErrTooLarge) || httpx.Temporary(err) {
		t.Errorf("a log over the limit: %v", err)
	}
	if _, err := client.Artifact(t.Context(), "file:///etc/passwd", 10); err == nil {
		t.Error("a file was fetched")
	}
}

func TestResultsFromArtifacts(t *testing.T) {
	t.Parallel()
	fake, client := start(t, testingfarmfake.Config{Pace: fast})
	fake.SetRules(testingfarmfake.Rule{Ending: testingfarmfake.Errs, NoXUnit: true})
	r := waitFinished(t, client, mustCreate(t, client, submission("k")))
	if r.XUnit != "" {
		t.Fatal("the answer has the results")
	}
	results, err := client.Results(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := testingfarm.Summarize(results); err != nil || s.Overall != "error" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := client.Results(t.Context(), &testingfarm.Request{ID: "x"}); err == nil {
		t.Error("results came from nowhere")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	fake, client := start(t, testingfarmfake.Config{Pace: slow, Tokens: map[string]string{"token": "public", "other": "public"}})
	id := mustCreate(t, client, submission("k"))
	other := *client
	other.Token = "other"
	if err := other.Cancel(t.Context(), id); httpx.Status(err) != http.StatusForbidden {
		t.Errorf("another's request: %v", err)
	}
	for range 2 { // the second time it is canceled already
		if err := client.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if r := waitFinished(t, client, id); r.Outcome() != testingfarm.OutcomeCanceled || r.Result() != "canceled" {
		t.Errorf("got %s", r.Outcome())
	}
	ended := mustCreate(t, client, submission("k2"))
	fake.Finish(ended, "")
	if err := client.Cancel(t.Context(), ended); err != nil {
		t.Errorf("a finished request: %v", err)
	}
	if r := waitFinished(t, client, ended); r.Outcome() != testingfarm.OutcomePassed {
		t.Errorf("canceling changed a finished request: %s", r.Outcome())
	}
	if err := client.Cancel(t.Context(), "nobody"); httpx.Status(err) != http.StatusNotFound {
		t.Errorf("an unknown request: %v", err)
	}
	for _, id := range []string{"", "../composes", "a/b", "a?b"} {
		if err := client.Cancel(t.Context(), id); err == nil || httpx.Status(err) != 0 {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

// TestPublicRequest reads what another token submitted: it is public.
func TestPublicRequest(t *testing.T) {
	t.Parallel()
	_, client := start(t, testingfarmfake.Config{Pace: slow, Tokens: map[string]string{"token": "public", "other": "public"}})
	id := mustCreate(t, client, submission("k"))
	other := *client
	other.Token = "other"
	if r, err := other.Request(t.Context(), id); err != nil || r.ID != id {
		t.Errorf("%+v, %v", r, err)
	}
	other.Token = "unknown"
	if _, err := other.Request(t.Context(), id); httpx.Status(err) != http.StatusUnauthorized {
		t.Errorf("an unknown token: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	_, client := start(t, testingfarmfake.Config{Pace: slow})
	s := submission("k")
	s.Environments[0].Arch = "mips"
	_, err := client.Create(t.Context(), s)
	refusal, ok := errors.AsType[*httpx.Error](err)
	if !ok || refusal.Temporary() || refusal.Message != `environments.0.arch: "mips" is not a supported architecture` {
		t.Errorf("got %v", err)
	}
	stranger := *client
	stranger.Token = "wrong"
	if _, err := stranger.Create(t.Context(), submission("k")); httpx.Status(err) != http.StatusUnauthorized {
		t.Errorf("a wrong token: %v", err)
	}
	if _, err := client.Create(t.Context(), testingfarm.Submission{}); err == nil {
		t.Error("an empty submission was accepted")
	}
}

func TestRefusalDialects(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"code":400,"message":"no"}`:                                     "no",
		`{"errors":{"test":"bad","environments":{"0":{"os":["a","b"]}}}}`: "environments.0.os: a; environments.0.os: b; test: bad",
		`{"detail":[{"loc":["body","test"],"msg":"field required"}]}`:     "body.test: field required",
		`{"errors":{},"message":"still no"}`:                              "still no",
		`{"detail":"plain"}`:                                              "plain",
		`[]`:                                                              "[]",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, body)
		}))
		client := testingfarm.Client{BaseURL: server.URL}
		_, err := client.Create(t.Context(), submission("k"))
		if refusal, ok := errors.AsType[*httpx.Error](err); !ok || refusal.Message != want {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
		server.Close()
	}
}

// TestLostAnswer is a process that dies, or loses the connection, between the
// farm's acceptance and its own commit: it must find its request.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	fake, client := start(t, testingfarmfake.Config{Pace: slow})
	mustCreate(t, client, submission("another"))
	before := time.Now().Add(-time.Minute)
	fake.SetFaults(testingfarmfake.Faults{LoseAnswers: 1})
	_, err := client.Create(t.Context(), submission("lost"))
	if !httpx.Temporary(err) {
		t.Fatalf("got %v, want a temporary error", err)
	}
	r, err := client.FindRequest(t.Context(), "lost", before)
	if err != nil || r == nil || r.Key() != "lost" {
		t.Fatalf("found %+v, %v", r, err)
	}
	if diff := cmp.Diff(map[string]int{"another": 1, "lost": 1}, fake.Submissions()); diff != "" {
		t.Error(diff)
	}
	for key, since := range map[string]time.Time{"never": before, "lost": time.Now().Add(time.Hour)} {
		if r, err := client.FindRequest(t.Context(), key, since); r != nil || err != nil {
			t.Errorf("key %s found %+v, %v", key, r, err)
		}
	}
	// One that did repeat gets the first, and the farm tells.
	second := mustCreate(t, client, submission("lost"))
	again, err := client.FindRequest(t.Context(), "lost", before)
	if err != nil || again.ID != r.ID || again.ID == second {
		t.Errorf("found %+v, %v, want %s", again, err, r.ID)
	}
	if fake.Submissions()["lost"] != 2 {
		t.Errorf("submissions: %v", fake.Submissions())
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	fake, client := start(t, testingfarmfake.Config{Pace: slow})
	id := mustCreate(t, client, submission("k"))
	for _, test := range []struct {
		name   string
		faults testingfarmfake.Faults
		status int
		after  time.Duration
	}{
		{"unavailable", testingfarmfake.Faults{FailNext: 1}, 503, 0},
		{"broken", testingfarmfake.Faults{FailNext: 1, FailStatus: 500, FailOperation: "get"}, 500, 0},
		{"too many", testingfarmfake.Faults{FailNext: 1, FailStatus: 429, RetryAfter: 90 * time.Second}, 429, 90 * time.Second},
		{"a proxy's page", testingfarmfake.Faults{HTMLNext: 1}, 502, 0},
	} {
		fake.SetFaults(test.faults)
		_, err := client.Request(t.Context(), id)
		if httpx.Status(err) != test.status || !httpx.Temporary(err) {
			t.Errorf("%s: %v", test.name, err)
		}
		if wait := time.Until(httpx.RetryAfter(err)); test.after > 0 && (wait < test.after-10*time.Second || wait > test.after) {
			t.Errorf("%s: retry after %v", test.name, wait)
		}
		if _, err := client.Request(t.Context(), id); err != nil {
			t.Errorf("after %s: %v", test.name, err)
		}
	}
	fake.SetFaults(testingfarmfake.Faults{FailNext: -1, FailOperation: "create"})
	for range 2 {
		if _, err := client.Create(t.Context(), submission("refused")); !httpx.Temporary(err) {
			t.Errorf("got %v", err)
		}
	}
	if fake.Submissions()["refused"] != 0 {
		t.Error("a refused submission was kept")
	}
	fake.SetFaults(testingfarmfake.Faults{Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := client.Request(ctx, id); !errors.Is(err, context.DeadlineExceeded) || !httpx.Temporary(err) {
		t.Errorf("slow: %v", err)
	}
}

func TestComposes(t *testing.T) {
	t.Parallel()
	_, client := start(t, testingfarmfake.Config{Pace: slow})
	for ranch, want := range map[string]string{testingfarm.Public: "Fedora-43", testingfarm.Internal: "Fedora-43-Updated"} {
		available, err := client.Composes(t.Context(), ranch)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := testingfarm.Compose("fedora-43", ranch, available); got != want || !ok {
			t.Errorf("%s: %s, %t", ranch, got, ok)
		}
	}
	if _, err := client.Composes(t.Context(), "moon"); httpx.Status(err) != http.StatusNotFound {
		t.Errorf("got %v", err)
	}
}

// receiver collects notifications.
type receiver struct {
	mu  sync.Mutex
	got []string
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	id, token, err := testingfarm.ParseNotification(body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		id = err.Error()
	}
	r.got = append(r.got, id+" "+token)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func (r *receiver) wait(t *testing.T, n int) {
	t.Helper()
	for range 10000 {
		if r.count() >= n {
			return
		}
		time.Sleep(3 * time.Millisecond)
	}
	t.Fatalf("%d notifications came, want %d", r.count(), n)
}

func listen(t *testing.T) (*receiver, string) {
	t.Helper()
	r := new(receiver)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

// steps is how many states a request passes through at the pace of stepping.
const steps = 4

var stepping = testingfarmfake.Pace{New: 500 * time.Millisecond, Queued: 500 * time.Millisecond, Running: 500 * time.Millisecond}

func TestNotifications(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		faults testingfarmfake.Faults
		want   int
	}{
		{"in time", testingfarmfake.Faults{}, steps},
		{"doubled", testingfarmfake.Faults{DoubleNotifications: true}, 2 * steps},
		{"late", testingfarmfake.Faults{LateNotifications: 50 * time.Millisecond}, steps},
		{"lost", testingfarmfake.Faults{LoseNotifications: true}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fake, client := start(t, testingfarmfake.Config{Pace: stepping})
			fake.SetFaults(test.faults)
			received, address := listen(t)
			s := submission("k")
			s.Webhook = testingfarm.Webhook{URL: address, Token: "shared"}
			id := mustCreate(t, client, s)
			waitFinished(t, client, id)
			received.wait(t, test.want)
			time.Sleep(80 * time.Millisecond) // for more than should come
			received.mu.Lock()
			defer received.mu.Unlock()
			// A busy machine may let a state go by unseen; none is told twice.
			if len(received.got) > test.want {
				t.Errorf("%d notifications came, want %d", len(received.got), test.want)
			}
			for _, n := range received.got {
				if n != id+" shared" {
					t.Errorf("got %q", n)
				}
			}
		})
	}
}

func TestNotificationBeforeAnswer(t *testing.T) {
	t.Parallel()
	fake, client := start(t, testingfarmfake.Config{Pace: testingfarmfake.Pace{New: time.Hour}})
	fake.SetFaults(testingfarmfake.Faults{NotifyBeforeAnswer: true})
	received, address := listen(t)
	s := submission("k")
	s.Webhook.URL = address
	id := mustCreate(t, client, s)
	if received.count() != 1 {
		t.Errorf("%d notifications came before the answer, want 1", received.count())
	}
	fake.Notify(t.Context(), id) // and one out of order
	if received.count() != 2 {
		t.Errorf("%d notifications", received.count())
	}
}

// TestFarmRestarts shows that requests go on while no farm is running.
func TestFarmRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	received, address := listen(t)
	first, client := start(t, testingfarmfake.Config{Dir: dir, Pace: testingfarmfake.Pace{Running: time.Hour}})
	s := submission("k")
	s.Webhook.URL = address
	id := mustCreate(t, client, s)
	received.wait(t, 1)
	first.Close()

	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	second, client := start(t, testingfarmfake.Config{Dir: dir, Now: later})
	if r := waitFinished(t, client, id); r.Outcome() != testingfarm.OutcomePassed {
		t.Errorf("got %+v", r)
	}
	received.wait(t, 2)
	if diff := cmp.Diff(map[string]int{"k": 1}, second.Submissions()); diff != "" {
		t.Error(diff)
	}
	runs := second.Runs()
	if len(runs) != 1 || runs[0].State != testingfarm.Complete || runs[0].Plan != "/plans/smoke" || !json.Valid(runs[0].Payload) {
		t.Errorf("got %+v", runs)
	}
}

func TestSlowQueue(t *testing.T) {
	t.Parallel()
	fake, client := start(t, testingfarmfake.Config{Pace: fast})
	fake.SetRules(testingfarmfake.Rule{Compose: "Fedora-43", Queue: time.Hour, Ending: testingfarmfake.Fails})
	id := mustCreate(t, client, submission("k"))
	waitFor(t, client, id, func(r *testingfarm.Request) bool {
		return r.State == testingfarm.Queued && r.Outcome() == testingfarm.OutcomeQueued
	})
	if !fake.Finish(id, testingfarmfake.Passes) || fake.Finish(id, "") {
		t.Error("a request ends once")
	}
	if r := waitFinished(t, client, id); r.Outcome() != testingfarm.OutcomePassed {
		t.Errorf("got %s", r.Outcome())
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	fake, client := start(t, testingfarmfake.Config{Pace: fast})
	s := submission("k")
	s.Test.Ref = "<script>"
	r := waitFinished(t, client, mustCreate(t, client, s))
	root := strings.TrimSuffix(client.BaseURL, "v0.1")
	for _, address := range []string{root, r.Artifacts + "/"} {
		page, err := client.Artifact(t.Context(), address, 1<<20)
		if err != nil || !strings.Contains(string(page), r.ID) || strings.Contains(string(page), "<script>") {
			t.Errorf("%s: %v\n%s", address, err, page)
		}
	}
	if len(fake.Runs()) != 1 {
		t.Error("no run")
	}
}
