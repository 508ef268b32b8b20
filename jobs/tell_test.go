package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/httpx"
	"millrace/clients/mail"
	"millrace/clients/mail/mailfake"
	"millrace/clients/webhook"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// receiver is a program of a user: it takes messages as answer says.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	taken  map[string][]string // topics by the id of the message, as often as it was taken
	bodies map[string]string
	asked  int
	answer func(n int, r *http.Request) int // status of the n-th request, from 1
}

func newReceiver(t *testing.T, answer func(n int, r *http.Request) int) *receiver {
	t.Helper()
	r := &receiver{taken: map[string][]string{}, bodies: map[string]string{}, answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		r.mu.Lock()
		r.asked++
		n := r.asked
		r.mu.Unlock()
		status := http.StatusOK
		if r.answer != nil {
			status = r.answer(n, req)
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		if status == http.StatusOK && err == nil {
			id := req.Header.Get(webhook.StandardIDHeader)
			r.mu.Lock()
			r.taken[id] = append(r.taken[id], req.Header.Get(webhook.EventHeader))
			r.bodies[id] = string(body)
			r.mu.Unlock()
		}
		w.WriteHeader(status)
		io.WriteString(w, "so it is")
	}))
	t.Cleanup(r.Close)
	return r
}

// got are the topics that were taken, in order of their names, each as often as
// it came; twice if an id came twice.
func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, topics := range r.taken {
		all = append(all, topics...)
	}
	slices.Sort(all)
	return all
}

// telling makes a runner that tells.
func telling(t *testing.T, s *store.Store) (*Runner, map[models.StepKind]*service) {
	t.Helper()
	r, services := newRunner(t, s)
	r.Timing.Lease = 4 * time.Second // no try is cut short where the machine is slow
	r.Teller = &Teller{
		Hooks: &webhook.Client{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: time.Minute},
		Body: func(_ context.Context, h *models.Happening) ([]byte, error) {
			return json.Marshal(map[string]string{"topic": string(h.Topic), "key": h.Key})
		},
		Retry: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond,
	}
	return r, services
}

func project(t *testing.T, s *store.Store, name string) *models.Project {
	t.Helper()
	p, err := models.ParseProjectURL("https://github.com/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.InTx(t.Context(), func(tx *store.Tx) error { return tx.EnsureProject(t.Context(), p) }); err != nil {
		t.Fatal(err)
	}
	return p
}

func hookTo(t *testing.T, s *store.Store, name, address string, topics ...models.Topic) *models.Subscription {
	t.Helper()
	hook := &models.Subscription{ProjectID: project(t, s, name).ID, URL: address, Secret: "a-secret-of-the-test", Topics: topics}
	if err := s.InTx(t.Context(), func(tx *store.Tx) error { return tx.CreateHook(t.Context(), hook) }); err != nil {
		t.Fatal(err)
	}
	hook, err := s.Subscription(t.Context(), hook.ID)
	if err != nil {
		t.Fatal(err)
	}
	return hook
}

// dispatches are those of a hook in words, in the order in which they were made.
func dispatches(t *testing.T, s *store.Store, hook int64) (all []string, rows []*models.Dispatch) {
	t.Helper()
	list, err := s.Dispatches(t.Context(), hook, models.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list.Rows)
	for _, d := range list.Rows {
		all = append(all, fmt.Sprintf("%s %s %s", d.Happening.Topic, d.Happening.State, d.State))
	}
	return all, list.Rows
}

// TestHooksHearOfPipelines: each topic is told once, with the same body as is
// stored, and to nobody else's project.
func TestHooksHearOfPipelines(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := telling(t, s)
		services[models.TestsStep].submit = func(w *Work) (Outcome, error) {
			return Outcome{Runs: []Update{{Run: w.Runs[0], State: models.Failed, Reason: "It fails."}}}, nil
		}
		in := newReceiver(t, nil)
		hook := hookTo(t, s, "packit/hello", in.URL, models.Topics...)
		other := hookTo(t, s, "packit/other", in.URL, models.Topics...)
		run(t, r)
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, id, map[string]models.State{"pipeline": models.Failed})
		want := []string{
			"pipeline.created", "pipeline.finished", "run.finished", "run.finished", "run.finished", "run.finished", "run.finished",
			"step.finished", "step.finished", "step.finished",
		}
		soon(t, "not all was told", func() (bool, any) { got := in.got(); return cmp.Equal(want, got), got })
		soon(t, "not all is noted", func() (bool, any) {
			words, _ := dispatches(t, s, hook.ID)
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.HasSuffix(w, " arrived") }), words
		})
		if words, _ := dispatches(t, s, other.ID); len(words) != 0 {
			t.Errorf("another project's hook heard %q", words)
		}
		words, rows := dispatches(t, s, hook.ID)
		if words[0] != "pipeline.created queued arrived" || words[len(words)-1] != "pipeline.finished failed arrived" {
			t.Errorf("told in the order %q", words)
		}
		last, err := s.Dispatch(t.Context(), rows[len(rows)-1].ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := in.bodies[last.Key]; got == "" || got != string(last.Happening.Body) {
			t.Errorf("sent %q, stored %q", got, last.Happening.Body)
		}
		if h := last.Happening; len(h.Data.Failures) != 2 || h.Data.Failures[0].Reason != "It fails." || h.TodoURL == "" {
			t.Errorf("the failure is told as %+v", h)
		}
		tries, err := s.DispatchTries(t.Context(), last.ID)
		if err != nil || len(tries) != 1 || tries[0].Status != 200 || tries[0].Answer != "so it is" || !strings.Contains(tries[0].Request, "Webhook-Signature: v1,") {
			t.Errorf("tries %+v, %v", tries[0], err)
		}
	})
}

// TestReceiverIsDown: what happened meanwhile arrives afterwards, once for each
// id, and in order.
func TestReceiverIsDown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		up := make(chan bool)
		in := newReceiver(t, func(n int, req *http.Request) int {
			select {
			case <-up:
				return http.StatusOK
			default:
			}
			if n%2 == 0 {
				return http.StatusServiceUnavailable
			}
			panic(http.ErrAbortHandler) // nobody answers
		})
		hook := hookTo(t, s, "packit/hello", in.URL, models.PipelineCreated, models.PipelineFinished)
		run(t, r)
		for n := range 5 {
			id := create(t, r, "packit/hello", n+1, storetest.PullRequest)
			eventually(t, r, id, map[string]models.State{"pipeline": models.Passed})
		}
		soon(t, "nothing was tried", func() (bool, any) {
			_, rows := dispatches(t, s, hook.ID)
			return len(rows) == 10 && rows[0].Tries > 2, rows
		})
		close(up)
		soon(t, "not all arrived", func() (bool, any) {
			words, _ := dispatches(t, s, hook.ID)
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.HasSuffix(w, "arrived") }), words
		})
		if ids := slices.Collect(maps.Keys(in.taken)); len(ids) != 10 || len(in.got()) != 10 {
			t.Errorf("%d ids came %d times", len(ids), len(in.got()))
		}
		now, err := s.Subscription(t.Context(), hook.ID)
		if err != nil || !now.FailingSince.IsZero() || now.Silences != 0 || !now.On() {
			t.Errorf("the hook is %+v, %v", now, err)
		}
		d, err := s.Dispatch(t.Context(), mustFirst(t, s, hook.ID))
		if err != nil {
			t.Fatal(err)
		}
		tries, err := s.DispatchTries(t.Context(), d.ID)
		if err != nil || len(tries) != min(d.Tries, 100) || tries[0].Error != "" || tries[len(tries)-1].Error == "" {
			t.Errorf("%d tries are kept of %d, the last %+v, %v", len(tries), d.Tries, tries[0], err)
		}
	})
}

func mustFirst(t *testing.T, s *store.Store, hook int64) int64 {
	t.Helper()
	_, rows := dispatches(t, s, hook)
	if len(rows) == 0 {
		t.Fatal("nothing was told")
	}
	return rows[0].ID
}

// ping has a hook tried.
func ping(t *testing.T, r *Runner, hook *models.Subscription) *models.Dispatch {
	t.Helper()
	d, err := r.PingHook(t.Context(), hook, &models.AuditEntry{Actor: "ada", Action: "hook.test", Via: models.ViaButton, Object: "x", Result: models.AuditDone})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ended waits until a dispatch is over, and returns it with its tries.
func ended(t *testing.T, r *Runner, id int64) (*models.Dispatch, []*models.DispatchTry) {
	t.Helper()
	var d *models.Dispatch
	soon(t, "the dispatch does not end", func() (bool, any) {
		var err error
		if d, err = r.Store.Dispatch(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return d.State != models.DispatchWaiting, d
	})
	tries, err := r.Store.DispatchTries(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d, tries
}

// TestAnswersOfReceivers: what is tried again and what is not.
func TestAnswersOfReceivers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		run(t, r)
		for _, tt := range []struct {
			answers []int // the last for ever
			state   models.DispatchState
			tries   int
			says    string
		}{
			{[]int{200}, models.DispatchArrived, 1, ""},
			{[]int{500, 429, 408, 503, 204, 200}, models.DispatchArrived, 5, ""},
			{[]int{400}, models.DispatchFailed, 1, "status 400"},
			{[]int{410}, models.DispatchFailed, 1, "status 410"},
			{[]int{302}, models.DispatchFailed, 1, "redirects"},
		} {
			in := newReceiver(t, func(n int, _ *http.Request) int { return tt.answers[min(n, len(tt.answers))-1] })
			d, tries := ended(t, r, ping(t, r, hookTo(t, s, fmt.Sprintf("packit/answers%d", tt.answers[0]), in.URL, models.PipelineFinished)).ID)
			if d.State != tt.state || d.Tries != tt.tries || len(tries) != tt.tries || !strings.Contains(d.Error, tt.says) || tries[len(tries)-1].AskedBy != "ada" {
				t.Errorf("%v: %s after %d tries (%d kept): %q", tt.answers, d.State, d.Tries, len(tries), d.Error)
			}
			if in.asked != tt.tries {
				t.Errorf("%v: asked %d times", tt.answers, in.asked)
			}
		}
		private := hookTo(t, s, "packit/private", "https://10.0.0.1/", models.PipelineFinished)
		d, _ := ended(t, r, ping(t, r, private).ID)
		if d.State != models.DispatchFailed || d.Tries != 1 || !strings.Contains(d.Error, "not a public address") {
			t.Errorf("a private address: %s %q", d.State, d.Error)
		}
	})
}

// TestOneSlowReceiver: it has one worker at most, and others are told meanwhile.
func TestOneSlowReceiver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		r.Timing.Lease = 10 * time.Minute
		release := make(chan bool)
		slow := newReceiver(t, func(int, *http.Request) int { <-release; return http.StatusOK })
		in := newReceiver(t, nil)
		slowly, quickly := hookTo(t, s, "packit/slow", slow.URL, models.PipelineFinished), hookTo(t, s, "packit/quick", in.URL, models.PipelineFinished)
		run(t, r)
		var waiting []*models.Dispatch
		for range 10 { // more than there are workers
			waiting = append(waiting, ping(t, r, slowly))
		}
		soon(t, "the slow one is not asked", func() (bool, any) {
			slow.mu.Lock()
			defer slow.mu.Unlock()
			return slow.asked > 0, nil
		})
		for range 5 {
			if d, _ := ended(t, r, ping(t, r, quickly).ID); d.State != models.DispatchArrived {
				t.Fatalf("the quick one: %+v", d)
			}
		}
		slow.mu.Lock()
		if slow.asked != 1 {
			t.Errorf("the slow one was asked %d times at once", slow.asked)
		}
		slow.mu.Unlock()
		close(release)
		for _, d := range waiting {
			if d, _ := ended(t, r, d.ID); d.State != models.DispatchArrived {
				t.Errorf("the slow one: %+v", d)
			}
		}
	})
}

// TestKilledTeller: a job that is lost in the middle leaves the dispatch as it
// was, and another process sends it with the same id.
func TestKilledTeller(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		ctx, kill := context.WithCancel(t.Context())
		in := newReceiver(t, func(n int, _ *http.Request) int {
			if n == 1 {
				kill() // the message arrived, and nobody will note that
			}
			return http.StatusOK
		})
		hook := hookTo(t, s, "packit/hello", in.URL, models.PipelineFinished)
		d := ping(t, r, hook)
		if err := r.tellHook(ctx, hook.ID); err == nil {
			t.Fatal("the job was not killed")
		}
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE dispatches SET hinted_at = NULL"); err != nil { // as after a while
			t.Fatal(err)
		}
		if _, err := s.Writer().ExecContext(t.Context(), "DELETE FROM leases"); err != nil { // it is over, too
			t.Fatal(err)
		}
		run(t, r)
		if d, _ := ended(t, r, d.ID); d.State != models.DispatchArrived {
			t.Errorf("the dispatch is %+v", d)
		}
		if topics := in.taken[d.Key]; len(topics) < 2 {
			t.Errorf("it came %d times under its id", len(topics))
		}
	})
}

// TestHookIsSwitchedOff: one at which nothing arrives for long ends, with what
// waits for it; its owner is told. Redelivering tries it nevertheless.
func TestHookIsSwitchedOff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		relay := withMail(t, r)
		ada := person(t, s, "ada", "ada@example.org")
		in := newReceiver(t, func(n int, _ *http.Request) int {
			if n <= 2 {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		})
		hook := hookTo(t, s, "packit/hello", in.URL, models.PipelineFinished)
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE subscriptions SET user_id = ?", ada.ID); err != nil {
			t.Fatal(err)
		}
		r.Teller.Retry, r.Teller.RetryMax = time.Hour, time.Hour
		first := ping(t, r, hook)
		run(t, r)
		soon(t, "it was not tried", func() (bool, any) {
			d, err := s.Dispatch(t.Context(), first.ID)
			return err == nil && d.Tries == 1 && d.State == models.DispatchWaiting, d
		})
		now, err := s.Subscription(t.Context(), hook.ID)
		if err != nil || !now.On() || now.FailingSince.IsZero() {
			t.Fatalf("after one failure: %+v, %v", now, err)
		}
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE subscriptions SET failing_since = ?", store.Now().Add(-tellPatience)); err != nil {
			t.Fatal(err)
		}
		second := ping(t, r, now)
		if d, _ := ended(t, r, first.ID); d.State != models.DispatchFailed || d.Error != "The hook was switched off." {
			t.Errorf("what waited is %+v", d)
		}
		if now, err = s.Subscription(t.Context(), hook.ID); err != nil || now.On() || !strings.Contains(now.Reason, "status 500") {
			t.Errorf("the hook is %+v, %v", now, err)
		}
		soon(t, "its owner is not told", func() (bool, any) { return len(relay.Mails()) == 1, relay.Mails() })
		if m := relay.Mails()[0]; m.To != "ada@example.org" || !strings.Contains(m.Text, "a hook was switched off") || strings.Contains(m.Text, "List-Unsubscribe-Post") {
			t.Errorf("the mail is %s", m.Text)
		}
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE dispatches SET state = 'failed'"); err != nil {
			t.Fatal(err)
		}
		id := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, id, map[string]models.State{"pipeline": models.Passed})
		if words, _ := dispatches(t, s, hook.ID); len(words) != 2 {
			t.Errorf("one that is off is sent %q", words)
		}
		entry := &models.AuditEntry{Actor: "bo", Action: "hook.redeliver", Via: models.ViaButton, Object: "x", Result: models.AuditDone}
		if err := r.Redeliver(t.Context(), second.ID, entry); err != nil {
			t.Fatal(err)
		}
		d, tries := ended(t, r, second.ID)
		if d.State != models.DispatchArrived || d.Key != second.Key || tries[0].AskedBy != "bo" || len(in.taken[d.Key]) != 1 {
			t.Errorf("redelivered: %+v, %+v", d, tries[0])
		}
	})
}

func person(t *testing.T, s *store.Store, login, address string) *models.User {
	t.Helper()
	u := &models.User{Login: login, Email: address}
	if err := s.InTx(t.Context(), func(tx *store.Tx) error { return tx.SaveUser(t.Context(), u) }); err != nil {
		t.Fatal(err)
	}
	return u
}

// withMail gives a runner a relay.
func withMail(t *testing.T, r *Runner) *mailfake.Server {
	t.Helper()
	relay, err := mailfake.Start(mailfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	r.Teller.Mail = &mail.Client{Relay: relay.Addr, From: "Millrace <millrace@example.org>", Security: mail.Plain}
	return relay
}

// TestBodyCannotBeMade: what cannot be sent waits, and is given up in the end.
func TestBodyCannotBeMade(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		r.Teller.Body = func(context.Context, *models.Happening) ([]byte, error) { return nil, errors.New("no ink") }
		hook := hookTo(t, s, "packit/hello", "https://hear.example/", models.PipelineFinished)
		d := ping(t, r, hook)
		if err := r.tellHook(t.Context(), hook.ID); err == nil {
			t.Error("the job does not say that it could not")
		}
		if now, err := s.Dispatch(t.Context(), d.ID); err != nil || now.State != models.DispatchWaiting {
			t.Errorf("the dispatch is %+v, %v", now, err)
		}
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE dispatches SET until = ?", store.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := r.tellHook(t.Context(), hook.ID); err != nil {
			t.Error(err)
		}
		if now, err := s.Dispatch(t.Context(), d.ID); err != nil || now.State != models.DispatchFailed || now.Error == "" {
			t.Errorf("the dispatch is %+v, %v", now, err)
		}
	})
}

// What went wrong is said in words for people, not in those of the library.
func TestWhyNot(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"The answer was status 500.":                           &httpx.Error{Status: 500},
		"The answer was status 410: It is gone.":               &httpx.Error{Status: 410, Message: "It is gone"},
		"The receiver ended the connection without an answer.": &httpx.Error{Err: &url.Error{Op: "Post", URL: "https://hear.example", Err: io.EOF}},
		"Nobody answered: connection refused.":                 &httpx.Error{Err: errors.New("connection refused")},
		"It was not sent: 10.0.0.1 is not a public address.":   &webhook.Refusal{Reason: "10.0.0.1 is not a public address"},
	} {
		if got := whyNot(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
