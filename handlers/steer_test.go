package handlers

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/httpx"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// idle is a kind whose work nobody does.
type idle struct{}

func (idle) Submit(context.Context, *jobs.Work) (jobs.Outcome, error) { return jobs.Outcome{}, nil }
func (idle) Poll(context.Context, *jobs.Work) (jobs.Outcome, error)   { return jobs.Outcome{}, nil }
func (idle) Cancel(context.Context, *jobs.Work) error                 { return nil }

// wheelhouse is a site that people can log in to and steer: olga may, ada may not.
type wheelhouse struct {
	*doors
	runner *jobs.Runner
}

func newWheelhouse(t testing.TB, s *store.Store) *wheelhouse {
	t.Helper()
	h := &wheelhouse{doors: newDoors(t, s)}
	h.runner = &jobs.Runner{AllowAll: true, Engine: &jobs.Engine{
		Store: s, Log: quietLog(), Base: h.Base, Timing: jobs.DefaultTiming,
		Kinds: map[models.StepKind]jobs.Kind{models.SRPMStep: idle{}, models.CoprBuildStep: idle{}, models.TestsStep: idle{}},
	}}
	var err error
	if h.runner.Queue, err = jobs.NewQueue(s, h.runner.RiverConfig(jobs.Capacity{})); err != nil {
		t.Fatal(err)
	}
	h.Steering = h.runner
	h.pipeline = h.make(t, "mill/wheel", 7)
	return h
}

// make creates a pipeline one of whose builds failed, so that a test is skipped;
// the others passed.
func (h *wheelhouse) make(t testing.TB, project string, number int) *models.Graph {
	t.Helper()
	g := storetest.Pipeline(t, h.Store, project, number, storetest.PullRequest)
	h.end(t, g.ID, models.Passed, "")
	h.end(t, g.ID, models.Failed, "fedora-43-x86_64")
	return g
}

// end gives the runs of a pipeline a state: all, or that of the build of a target.
func (h *wheelhouse) end(t testing.TB, id int64, state models.State, build string) {
	t.Helper()
	ctx, now := t.Context(), store.Now()
	where, args := "pipeline_id = ?", []any{id}
	if build != "" {
		where += " AND kind = 'copr_build' AND target = ?"
		args = append(args, build)
	}
	query := "UPDATE runs SET state = ?, started_at = ?, finished_at = ? WHERE " + where
	if _, err := h.Store.Writer().ExecContext(ctx, query, append([]any{state, now.Add(-time.Minute), now}, args...)...); err != nil {
		t.Fatal(err)
	}
	if build != "" {
		_, err := h.Store.Writer().ExecContext(ctx, "UPDATE runs SET state = 'skipped', started_at = NULL WHERE pipeline_id = ? AND kind = 'tests' AND target = ?", id, build)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := h.runner.Advance(ctx, id); err != nil {
		t.Fatal(err)
	}
}

// asker is a request of somebody; of nobody without a name.
func (h *wheelhouse) asker(t testing.TB, login string, operator bool) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://millrace.example/", strings.NewReader(""))
	if login == "" {
		return r
	}
	user := &models.User{Login: login}
	h.write(t, func(tx *store.Tx) error { return tx.SaveUser(t.Context(), user) })
	viewer := &models.Viewer{ID: user.ID, Login: login, Operator: operator}
	return r.WithContext(context.WithValue(r.Context(), viewerKey{}, viewer))
}

func (h *wheelhouse) audit(t testing.TB) []string {
	t.Helper()
	log, err := h.Store.AuditLog(t.Context(), models.Page{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range slices.Backward(log.Rows) {
		if e.Action != "login" {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", e.Actor, e.Via, e.Action, e.Result, e.Detail["scope"])))
		}
	}
	return all
}

// statusOf is the answer to an error of steering, and its words.
func (h *wheelhouse) statusOf(r *http.Request, err error) (int, *refusal) {
	if err == nil {
		return http.StatusOK, &refusal{}
	}
	why := h.explain(r, err)
	return why.status, why
}

// TestSteeringAsksForRights: who may not gets the reason and the way, and is
// noted; who may makes one attempt a wish.
func TestSteeringAsksForRights(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		failed := rerunAsk{RerunRequest: models.RerunRequest{Scope: models.ScopeFailed}, Pipeline: h.pipeline.ID, Expected: 1, Key: "k"}
		stop := cancelAsk{Pipeline: h.pipeline.ID}
		nobody, ada, olga := h.asker(t, "", false), h.asker(t, "ada", false), h.asker(t, "olga", true)
		for who, want := range map[*http.Request]int{nobody: http.StatusUnauthorized, ada: http.StatusForbidden} {
			_, err := h.rerun(who, failed)
			if status, why := h.statusOf(who, err); status != want || why.detail == "" {
				t.Errorf("rerun by %+v: %d %q", viewerOf(who), status, why.detail)
			}
			_, err = h.cancel(who, stop)
			if status, why := h.statusOf(who, err); status != want || (want == http.StatusUnauthorized) != (why.login != "") {
				t.Errorf("cancel by %+v: %d %+v", viewerOf(who), status, why)
			}
		}
		preview, err := h.previewRerun(ada, failed)
		if err != nil || len(preview.Run) != 2 || preview.Verdict.Allowed || preview.Verdict.HowTo == "" {
			t.Fatalf("preview %+v, %v", preview, err)
		}
		if preview, err = h.previewRerun(olga, failed); err != nil || !preview.Verdict.Allowed {
			t.Fatalf("preview of who may: %+v, %v", preview, err)
		}
		id, err := h.rerun(olga, failed)
		if err != nil || id == h.pipeline.ID {
			t.Fatalf("rerun: %d, %v", id, err)
		}
		if again, err := h.rerun(olga, failed); err != nil || again != id {
			t.Errorf("the same once more: %d, %v", again, err)
		}
		failed.Key = "another"
		_, err = h.rerun(olga, failed)
		if status, why := h.statusOf(olga, err); status != http.StatusConflict || len(why.near) != 1 || !strings.HasSuffix(why.near[0].URL, fmt.Sprint(id)) {
			t.Errorf("when somebody was faster: %d %+v", status, why)
		}
		_, err = h.cancel(olga, stop)
		if status, _ := h.statusOf(olga, err); status != http.StatusUnprocessableEntity {
			t.Errorf("canceling what has ended: %v", err)
		}
		if n, err := h.cancel(olga, cancelAsk{Pipeline: id}); err != nil || n != 2 {
			t.Errorf("cancel: %d, %v", n, err)
		}
		_, err = h.cancel(olga, cancelAsk{Pipeline: id, Step: "none"})
		if status, _ := h.statusOf(olga, err); status != http.StatusBadRequest {
			t.Errorf("canceling a step that is none: %v", err)
		}
		want := []string{
			"olga button pipeline.rerun done failed", "olga button pipeline.rerun nothing",
			"olga button pipeline.cancel nothing", "olga button pipeline.cancel done all",
		}
		got := h.audit(t)
		if n := len(got); n != 6 || got[0] != "ada button pipeline.rerun refused" || got[1] != "ada button pipeline.cancel refused" || !slices.Equal(got[2:], want) {
			t.Errorf("audit %q", got)
		}
		if _, err := h.rerun(olga, rerunAsk{Pipeline: 99999}); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("rerun of what is not there: %v", err)
		}
		failed.Key = strings.Repeat("k", maxRequestKey+1)
		if _, err := h.rerun(olga, failed); err == nil {
			t.Error("a key without end is taken")
		}
	})
}

// TestSteeringAtOnce: of many who click at once one makes the attempt.
func TestSteeringAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		const people = 5
		errs := make([]error, people)
		var clicking sync.WaitGroup
		olga := h.asker(t, "olga", true)
		for i := range people {
			clicking.Go(func() {
				_, errs[i] = h.rerun(olga, rerunAsk{RerunRequest: models.RerunRequest{Scope: models.ScopeAll}, Pipeline: h.pipeline.ID, Expected: 1, Key: fmt.Sprint(i)})
			})
		}
		clicking.Wait()
		made := 0
		for _, err := range errs {
			if status, _ := h.statusOf(olga, err); status == http.StatusOK {
				made++
			} else if status != http.StatusConflict {
				t.Errorf("status %d: %v", status, err)
			}
		}
		if made != 1 {
			t.Errorf("%d made an attempt", made)
		}
	})
}

// TestSteeringLimits: a person, and a project, can do so much in a while, and
// the message says when there is more.
func TestSteeringLimits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		olga, omar := h.asker(t, "olga", true), h.asker(t, "omar", true)
		acted := func(n int, e models.AuditEntry) {
			t.Helper()
			h.write(t, func(tx *store.Tx) error {
				for range n {
					e.ID = 0
					if err := tx.Audit(t.Context(), &e); err != nil {
						return err
					}
				}
				return nil
			})
		}
		ask := rerunAsk{RerunRequest: models.RerunRequest{Scope: models.ScopeAll, Restart: true}, Pipeline: h.pipeline.ID}
		lately := store.Now().Add(-time.Minute)
		acted(models.UserActions, models.AuditEntry{At: lately, Actor: "olga", UserID: viewerOf(olga).ID, Via: models.ViaButton, Action: "x", Result: models.AuditRefused})
		_, err := h.rerun(olga, ask)
		status, why := h.statusOf(olga, err)
		if status != http.StatusTooManyRequests || why.retry < 5*time.Minute || why.retry > models.SteerWindow || !strings.Contains(why.detail, "UTC") {
			t.Errorf("who did too much: %d %+v", status, why)
		}
		_, err = h.cancel(olga, cancelAsk{Pipeline: h.pipeline.ID})
		if status, _ := h.statusOf(olga, err); status != http.StatusTooManyRequests {
			t.Errorf("the same with cancel: %v", err)
		}
		rerun := models.AuditEntry{At: lately, Actor: "somebody", Via: models.ViaComment, Action: rerunAction, Result: models.AuditDone, ProjectID: h.pipeline.ProjectID}
		acted(models.ProjectRuns-1, rerun)
		refused := rerun
		refused.Result = models.AuditRefused
		acted(5, refused)
		if _, err := h.rerun(omar, ask); err != nil {
			t.Errorf("the last one before the limit: %v", err)
		}
		_, err = h.rerun(omar, ask)
		if status, why := h.statusOf(omar, err); status != http.StatusTooManyRequests || !strings.Contains(why.detail, "project") {
			t.Errorf("a project that was rerun too often: %d %+v", status, why)
		}
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE audit SET at = ?", store.Now().Add(-models.SteerWindow)); err != nil {
			t.Fatal(err)
		}
		for who, r := range map[string]*http.Request{"olga": olga, "omar": omar} {
			if _, err := h.rerun(r, ask); err != nil {
				t.Errorf("%s, after a while: %v", who, err)
			}
		}
	})
}

// steerer is a browser in which somebody is logged in.
func (h *wheelhouse) steerer(t testing.TB, login string) *browser {
	t.Helper()
	b := h.browser()
	b.login(t, login)
	return b
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)"`)

// form is what the form of a preview page would send, if nothing is changed.
func previewForm(t testing.TB, w *httptest.ResponseRecorder) url.Values {
	t.Helper()
	_, main, _ := strings.Cut(w.Body.String(), `class="split pipe"`)
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(main, -1) {
		form.Add(m[1], html.UnescapeString(m[2]))
	}
	for _, m := range regexp.MustCompile(`<input type="(?:checkbox|radio)" name="([a-z]+)" value="([^"]*)" checked`).FindAllStringSubmatch(main, -1) {
		form.Add(m[1], html.UnescapeString(m[2]))
	}
	return form
}

func (h *wheelhouse) attempt(t testing.TB, id int64) *models.Pipeline {
	t.Helper()
	newest, err := h.Store.AttemptOf(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Store.Pipeline(t.Context(), newest.ID)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fresh are the targets of an attempt that have runs of their own.
func fresh(p *models.Pipeline) string {
	var names []string
	for _, step := range p.Steps {
		for _, target := range step.Targets {
			if !target.Reused {
				names = append(names, step.Name+"/"+target.Name)
			}
		}
	}
	return strings.Join(names, " ")
}

// TestRerunForms: each scope, from the page that shows what it does to the new
// attempt, with forms alone.
func TestRerunForms(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		olga := h.steerer(t, "olga")
		for i, tt := range []struct {
			query, heading, fresh string
			shows                 []string
		}{
			{"", "Rerun what failed in", "copr_build-1/fedora-43-x86_64 tests-2/fedora-43-x86_64",
				[]string{"This makes attempt 2. 2 runs start, 3 are reused.", "Rerun 2 runs", "Made in attempt 1.", "1 + 1 follower", "Shown as"}},
			{"?scope=all", "Rerun all of", "srpm-0/source copr_build-1/fedora-43-x86_64 copr_build-1/fedora-44-x86_64 tests-2/fedora-43-x86_64 tests-2/fedora-44-x86_64",
				[]string{"5 runs start", "It was asked for."}},
			{"?scope=step&step=tests-2", "Rerun Tests of", "copr_build-1/fedora-43-x86_64 tests-2/fedora-43-x86_64 tests-2/fedora-44-x86_64",
				[]string{"needs it, and it failed", "From here on"}},
			{"?scope=target&step=copr_build-1&target=fedora-44-x86_64", "Rerun Copr build, fedora-44-x86_64, of", "copr_build-1/fedora-44-x86_64 tests-2/fedora-44-x86_64", []string{"2 runs start, 3 are reused"}},
			{"?scope=from&step=copr_build-1", "Rerun everything from Copr build on of", "copr_build-1/fedora-43-x86_64 tests-2/fedora-43-x86_64 tests-2/fedora-44-x86_64", []string{"It comes after"}},
			{"?scope=chosen&pick=tests-2%2Ffedora-44-x86_64", "Rerun what you choose of", "tests-2/fedora-44-x86_64", []string{"1 run starts, 4 are reused", `value="tests-2/fedora-44-x86_64" checked`}},
		} {
			g := h.make(t, "mill/stone", 100+i)
			path := fmt.Sprintf("/pipelines/%d/rerun", g.ID)
			w := olga.open(t, path+tt.query)
			if w.Code != http.StatusOK {
				t.Fatalf("%s: status %d: %s", tt.query, w.Code, w.Body)
			}
			contains(t, w, append(tt.shows, tt.heading)...)
			form := previewForm(t, w)
			w = olga.do(t, http.MethodPost, path, form.Encode())
			made := h.attempt(t, g.ID)
			if at := w.Header().Get("Location"); w.Code != http.StatusSeeOther || at != fmt.Sprintf("/pipelines/%d", made.ID) {
				t.Fatalf("%s: status %d, to %q: %s", tt.query, w.Code, at, w.Body)
			}
			if diff := cmp.Diff(tt.fresh, fresh(made)); diff != "" || made.Actor != "olga" || made.Attempt != 2 {
				t.Errorf("%s: attempt %d by %s (-want +got):\n%s", tt.query, made.Attempt, made.Actor, diff)
			}
			// Sent twice it is done once; sent anew somebody was faster.
			if w := olga.do(t, http.MethodPost, path, form.Encode()); w.Code != http.StatusSeeOther || h.attempt(t, g.ID).Attempt != 2 {
				t.Errorf("%s once more: status %d, attempt %d", tt.query, w.Code, h.attempt(t, g.ID).Attempt)
			}
			form.Set("key", "other")
			w = olga.do(t, http.MethodPost, path, form.Encode())
			if w.Code != http.StatusConflict {
				t.Errorf("%s, when somebody was faster: status %d", tt.query, w.Code)
			}
			contains(t, w, "Somebody was faster.", fmt.Sprintf(`href="/pipelines/%d"`, made.ID))
			if tt.query == "?scope=chosen" {
				contains(t, w, `value="tests-2/fedora-44-x86_64" checked`)
			}
		}
	})
}

// TestRerunPageSaysNo: what cannot be is told on the page, with its status.
func TestRerunPageSaysNo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		olga, ada, nobody := h.steerer(t, "olga"), h.steerer(t, "ada"), h.browser()
		path := fmt.Sprintf("/pipelines/%d/rerun", h.pipeline.ID)
		good := storetest.Pipeline(t, s, "mill/good", 3, storetest.PullRequest)
		h.end(t, good.ID, models.Passed, "")
		look := func(b *browser, method, path, form string, status int, says ...string) {
			t.Helper()
			w := b.do(t, method, path, form)
			if w.Code != status {
				t.Errorf("%s %s %s: status %d, want %d", method, path, form, w.Code, status)
			}
			contains(t, w, says...)
		}
		look(olga, "GET", fmt.Sprintf("/pipelines/%d/rerun", good.ID), "", 422, "Nothing would start.", "Nothing has failed.")
		look(olga, "POST", fmt.Sprintf("/pipelines/%d/rerun", good.ID), "scope=failed", 422, "Nothing has failed.")
		look(olga, "GET", path+"?scope=chosen", "", 200, "Mark what is to run again", "Show what would run")
		look(olga, "POST", path, "scope=chosen", 422, "Nothing of it is to be run again.")
		look(olga, "GET", path+"?scope=step&step=none", "", 400, "this pipeline has no step")
		look(olga, "GET", path+"?scope=some", "", 400, "there is no scope")
		look(olga, "GET", "/pipelines/99999/rerun", "", 404)
		look(olga, "GET", path+"?scope=chosen"+strings.Repeat("&pick=x", maxPicks+1), "", 400, "at most 500")
		look(olga, "POST", path, "scope=all&restart=yes&shown=event", 200, "You chose otherwise", "Nothing has started yet")
		look(ada, "GET", path, "", 200, "This needs the right to write to", "disabled", "Ask somebody")
		look(ada, "POST", path, "scope=failed", 403, "This needs the right to write to")
		look(nobody, "GET", path, "", 200, "Log in to rerun", "You are not logged in.", `href="/login?back=%2Fpipelines%2F`)
		look(nobody, "POST", path, "scope=failed", 401, "Log in")
		look(nobody, "GET", path+"?config=current", "", 403, "Log in")
		if h.attempt(t, h.pipeline.ID).Attempt != 1 {
			t.Error("something was started")
		}
		foreign := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
		for _, to := range []string{path, fmt.Sprintf("/pipelines/%d/cancel", h.pipeline.ID), "/pipelines/selected"} {
			if w := olga.do(t, http.MethodPost, to, "scope=all&do=rerun&id=1", foreign...); w.Code != http.StatusForbidden {
				t.Errorf("%s from another origin: status %d", to, w.Code)
			}
		}
		if w := olga.do(t, http.MethodPost, path, strings.Repeat("x", maxForm+1)); w.Code != http.StatusBadRequest {
			t.Errorf("a form without end: status %d", w.Code)
		}
		h.Steering = silent{}
		look(olga, "POST", path, "scope=failed", 503, "Copr does not answer")
		h.Steering = nil
		look(olga, "GET", path, "", 501)
	})
}

// silent is what steers while a service is away.
type silent struct{ Steering }

func (silent) PreviewRerun(context.Context, int64, models.RerunRequest) (*models.Rerun, error) {
	return nil, &httpx.Error{Service: "Copr", Status: 503}
}

func (silent) Rerun(context.Context, jobs.RerunRequest) (int64, error) {
	return 0, &httpx.Error{Service: "Copr", Status: 503}
}

// TestCancelForms: a run, a step, a pipeline; what follows is skipped.
func TestCancelForms(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		olga, ada := h.steerer(t, "olga"), h.steerer(t, "ada")
		for i, tt := range []struct{ form, to, want string }{
			{"step=tests-2&target=fedora-43-x86_64&back=run", "/steps/tests-2/fedora-43-x86_64", "queued waiting waiting canceled waiting"},
			{"step=copr_build-1", "", "queued canceled canceled skipped skipped"},
			{"", "", "canceled canceled canceled canceled canceled"},
		} {
			g := storetest.Pipeline(t, s, "mill/stone", 200+i, storetest.PullRequest)
			if err := h.runner.Advance(t.Context(), g.ID); err != nil {
				t.Fatal(err)
			}
			path := fmt.Sprintf("/pipelines/%d/cancel", g.ID)
			if w := ada.do(t, http.MethodPost, path, tt.form); w.Code != http.StatusForbidden {
				t.Errorf("%q without the right: status %d", tt.form, w.Code)
			}
			w := olga.do(t, http.MethodPost, path, tt.form)
			if at := w.Header().Get("Location"); w.Code != http.StatusSeeOther || at != fmt.Sprintf("/pipelines/%d%s", g.ID, tt.to) {
				t.Errorf("%q: status %d, to %q", tt.form, w.Code, at)
			}
			var states []string
			for _, step := range h.attempt(t, g.ID).Steps {
				for _, target := range step.Targets {
					states = append(states, string(target.Run.State))
				}
			}
			if got := strings.Join(states, " "); got != tt.want {
				t.Errorf("%q: %s, want %s", tt.form, got, tt.want)
			}
			if tt.form == "" {
				contains(t, olga.open(t, fmt.Sprintf("/pipelines/%d", g.ID)), "Canceled by olga.")
				if w := olga.do(t, http.MethodPost, path, ""); w.Code != http.StatusUnprocessableEntity {
					t.Errorf("canceling once more: status %d", w.Code)
				}
			}
			if w := olga.do(t, http.MethodPost, path, "target=x"); w.Code != http.StatusBadRequest {
				t.Errorf("a target of no step: status %d", w.Code)
			}
		}
	})
}

// TestSteerButtons: what somebody may not do is there, and says why.
func TestSteerButtons(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		running := storetest.Pipeline(t, s, "mill/stone", 9, storetest.PullRequest)
		olga, ada, nobody := h.steerer(t, "olga"), h.steerer(t, "ada"), h.browser()
		for _, id := range []int64{h.pipeline.ID, running.ID} {
			page := fmt.Sprintf("/pipelines/%d", id)
			for _, path := range []string{page, page + "/steps/copr_build-1/fedora-43-x86_64"} {
				w := olga.open(t, path)
				contains(t, w, `id="rerun-menu"`, page+`/rerun?scope=`)
				has := strings.Contains(w.Body.String(), `action="`+page+`/cancel"`)
				if has != (id == running.ID) {
					t.Errorf("%s: cancel is there: %v", path, has)
				}
				w = ada.open(t, path)
				contains(t, w, "This needs the right to write to", "Ask somebody", `disabled aria-describedby="steer-why"`)
				if strings.Contains(w.Body.String(), page+`/rerun?scope=`) {
					t.Errorf("%s offers what ada may not", path)
				}
				contains(t, nobody.open(t, path), "Log in to rerun", `href="/login?back=`+url.QueryEscape(path)+`"`)
			}
		}
		contains(t, olga.open(t, fmt.Sprintf("/pipelines/%d", h.pipeline.ID)), "What failed: 1 + 1 follower…", "All: 5 runs…", "Choose…",
			"Rerun this step and its followers…", "Rerun this target and its followers…")
		contains(t, olga.open(t, "/pipelines"), `name="id" id="mark-`, "Rerun failed of the marked…")
		contains(t, nobody.open(t, "/pipelines"), "Log in to rerun or cancel")
		// An old attempt says that there is a newer one, by itself too.
		r := h.asker(t, "olga", true)
		made, err := h.rerun(r, rerunAsk{RerunRequest: models.RerunRequest{Scope: models.ScopeFailed}, Pipeline: h.pipeline.ID})
		if err != nil {
			t.Fatal(err)
		}
		changes, err := s.ChangesAfter(t.Context(), 0, 1000)
		if err != nil || !slices.ContainsFunc(changes, func(c models.Change) bool {
			return c.Topic == models.PipelineTopic && c.Object == h.pipeline.ID && c.Version == 0
		}) {
			t.Errorf("nobody who looks at the old attempt hears of it: %v", err)
		}
		old := fmt.Sprintf("/pipelines/%d", h.pipeline.ID)
		contains(t, olga.open(t, old+"?fragment=head"), fmt.Sprintf(`href="/pipelines/%d"`, made), "Attempt 2 exists")
		contains(t, olga.open(t, old+"/steps/srpm-0/source"), "Attempt 2 exists")
		if strings.Contains(olga.open(t, old).Body.String(), `id="rerun-menu"`) {
			t.Error("an old attempt has the menu of the newest")
		}
	})
}

// TestSelected: several at once, each by its own rights and facts.
func TestSelected(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		olga, ada := h.steerer(t, "olga"), h.steerer(t, "ada")
		other := h.make(t, "mill/stone", 8)
		good := storetest.Pipeline(t, s, "mill/good", 3, storetest.PullRequest)
		h.end(t, good.ID, models.Passed, "")
		query := fmt.Sprintf("?do=rerun&id=%d&id=%d&id=%d&id=%d&id=99999&id=x", h.pipeline.ID, other.ID, good.ID, other.ID)
		w := olga.open(t, "/pipelines/selected"+query)
		contains(t, w, "Rerun what failed in 3 pipelines?", "4 runs start in 2 pipelines; 1 is left as it is.", "Nothing has failed.", "Rerun 4 runs")
		contains(t, ada.open(t, "/pipelines/selected"+query), "This needs the right to write to", "0 runs start in 0 pipelines")
		form := url.Values{"do": {"rerun"}}
		for _, m := range hidden.FindAllStringSubmatch(w.Body.String(), -1) {
			if m[1] == "id" || m[1] == "attempt" || m[1] == "key" {
				form.Add(m[1], m[2])
			}
		}
		if len(form["id"]) != 2 || len(form["attempt"]) != 2 {
			t.Fatalf("the form has %v", form)
		}
		form.Add("id", fmt.Sprint(good.ID))
		w = olga.do(t, http.MethodPost, "/pipelines/selected", form.Encode())
		contains(t, w, "The new attempts", "2 attempts were made; 1 is left as it is.", "Nothing has failed.", "Attempt 2, pipeline")
		if w = olga.do(t, http.MethodPost, "/pipelines/selected", form.Encode()); h.attempt(t, other.ID).Attempt != 2 {
			t.Error("sent twice it is done twice")
		}
		contains(t, w, "2 attempts were made")
		w = ada.do(t, http.MethodPost, "/pipelines/selected", form.Encode())
		contains(t, w, "0 attempts were made", "This needs the right to write to")

		second := h.attempt(t, other.ID).ID
		contains(t, olga.open(t, fmt.Sprintf("/pipelines/selected?do=cancel&id=%d&id=%d", second, good.ID)), "2 runs stop in 1 pipeline; 1 is left as it is.", "Nothing of it is still on its way.")
		w = olga.do(t, http.MethodPost, "/pipelines/selected", fmt.Sprintf("do=cancel&id=%d&id=%d", second, good.ID))
		contains(t, w, "2 runs were stopped in 1 pipeline")
		if p := h.attempt(t, other.ID); p.State != models.Canceled && p.State != models.Failed {
			t.Errorf("it is %s", p.State)
		}
		many := ""
		for i := range maxSelected + 1 {
			many += fmt.Sprintf("&id=%d", i+1)
		}
		contains(t, olga.open(t, "/pipelines/selected?do=rerun"+many), "At most 25 can be chosen at once; 1 pipeline was left out.")
		for form, want := range map[string]int{"do=cancel" + many: 422, "id=1": 400, "do=else&id=1": 400} {
			if w := olga.do(t, http.MethodPost, "/pipelines/selected", form); w.Code != want {
				t.Errorf("%.30s: status %d, want %d", form, w.Code, want)
			}
		}
		contains(t, olga.open(t, "/pipelines/selected"), "Nothing is chosen")
	})
}

// TestManyAttempts: a pipeline with all its attempts is read with as many
// queries as one with one.
func TestManyAttempts(t *testing.T) {
	t.Parallel()
	s := storetest.Postgres(t) // which has one handle for all
	h := newWheelhouse(t, s)
	olga := h.steerer(t, "olga")
	count := func(id int64, path string) int64 {
		t.Helper()
		before := int64(s.Writer().DBStats().Queries)
		if w := olga.open(t, fmt.Sprintf("/pipelines/%d%s", id, path)); w.Code != http.StatusOK {
			t.Fatalf("%s: status %d", path, w.Code)
		}
		return int64(s.Writer().DBStats().Queries) - before
	}
	page, preview := count(h.pipeline.ID, ""), count(h.pipeline.ID, "/rerun?scope=all&restart=yes")
	r := h.asker(t, "olga", true)
	last := h.pipeline.ID
	for range models.MaxAttempts - 2 {
		id, err := h.rerun(r, rerunAsk{RerunRequest: models.RerunRequest{Scope: models.ScopeAll, Restart: true}, Pipeline: last})
		if err != nil {
			t.Fatal(err)
		}
		last = id
	}
	if page < 3 || preview < 3 {
		t.Fatalf("%d and %d queries: they are not counted", page, preview)
	}
	if n := count(last, ""); n > page {
		t.Errorf("%d queries, %d with one attempt", n, page)
	}
	if n := count(last, "/rerun?scope=all&restart=yes"); n > preview {
		t.Errorf("the preview: %d queries, %d with one attempt", n, preview)
	}
	ask := rerunAsk{RerunRequest: models.RerunRequest{Scope: models.ScopeAll, Restart: true}, Pipeline: last}
	if _, err := h.rerun(r, ask); err != nil {
		t.Errorf("the last attempt: %v", err)
	}
	w := olga.open(t, fmt.Sprintf("/pipelines/%d/rerun?scope=all", last))
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("one more than there may be: status %d", w.Code)
	}
	contains(t, w, "20 attempts at most")
}
