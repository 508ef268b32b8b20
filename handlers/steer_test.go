package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
