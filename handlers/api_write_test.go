package handlers

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// TestBodies: what is wrong with a body is told by its field or its place.
func TestBodies(t *testing.T) {
	t.Parallel()
	h := newWheelhouse(t, storetest.SQLite(t))
	in := h.browser()
	in.login(t, "olga")
	secret := in.token(t, "CI", models.RerunScope)
	rerun := fmt.Sprintf("/api/v3/pipelines/%d/rerun", h.pipeline.ID)
	for _, c := range []struct {
		body   string
		status int
		fields string
		says   string
	}{
		{`{"scope":"failed","scop":1,"Step ":"x"}`, 422, "Step ,scop", "scop: unexpected property"},
		{`{"scope":"some"}`, 422, "scope", `all, failed, step, target, from, chosen`},
		{`{"scope":7,"restart":"yes"}`, 422, "restart,scope", "restart: expected boolean"},
		{`{}`, 422, "", "expected required property scope to be present"},
		{`{"scope":"chosen","picks":[{"step":"srpm-0"},{"target":"x"},{"step":""}]}`, 422, "picks[1],picks[2].step", "picks[2].step: expected length >= 1"},
		{`{"scope":"all","expected_attempt":1e30}`, 422, "expected_attempt", "expected number <= 1000"},
		{`{"scope":"all","step":"a\u0000b"}`, 422, "", "U+0000"},
		{`{"scope":"all","step":"` + strings.Repeat("x", 201) + `"}`, 422, "step", "expected length <= 200"},
		{`[]`, 422, "", "expected object"},
		{`null`, 422, "", "expected object"},
		{"", 400, "", "at line 1, byte 0"},
		{"{\n \"scope\": all}", 400, "", "at line 2, byte 11: invalid character 'a'"},
		{`{"scope":"all"} {}`, 400, "", "after top-level value"},
		{strings.Repeat("[", 1000) + strings.Repeat("]", 1000), 400, "", "more than 20 levels deep"},
		{`{"scope":"step","step":"` + strings.Repeat("[", 100) + `"}`, 400, "step", "this pipeline has no step"},
		{`{"scope":"` + strings.Repeat("x", maxBody) + `"}`, 413, "", "At most 65536 bytes"},
		{`{"scope":"step","step":"none"}`, 400, "step", `this pipeline has no step "none"`},
		{`{"scope":"all","expected_attempt":9}`, 409, "", "Somebody was faster"},
	} {
		w := h.with(t, secret, http.MethodPost, rerun, c.body, "Content-Type", "application/json; charset=utf-8")
		p := decode[Problem](t, w.Body)
		var fields []string
		for _, e := range p.Errors {
			if e.Field != "" {
				fields = append(fields, e.Field)
			}
		}
		if w.Code != c.status || p.Status != c.status || !strings.Contains(p.Detail, c.says) || strings.Join(fields, ",") != c.fields {
			t.Errorf("%s: status %d, want %d; fields %q, want %q: %s", clip(c.body, 100), w.Code, c.status, fields, c.fields, p.Detail)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "a/b; c"} {
		w := h.with(t, secret, http.MethodPost, rerun, `{"scope":"failed"}`, "Content-Type", kind)
		if p := decode[Problem](t, w.Body); w.Code != http.StatusUnsupportedMediaType || !strings.Contains(p.Detail, "Content-Type: application/json") {
			t.Errorf("%q: status %d, %s", kind, w.Code, p.Detail)
		}
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf(`"field%d":1`, i)
	}
	w := h.with(t, secret, http.MethodPost, rerun, `{"scope":"all",`+strings.Join(many, ",")+"}", "Content-Type", jsonMediaType)
	if p := decode[Problem](t, w.Body); len(p.Errors) != mostMistakes || !strings.Contains(p.Detail, "and 20 more") {
		t.Errorf("%d mistakes are told: %s", len(p.Errors), p.Detail)
	}
	if got := h.attempts(t); got != 1 {
		t.Errorf("there are %d attempts", got)
	}
}

func (h *wheelhouse) attempts(t testing.TB) int {
	t.Helper()
	p, err := h.Store.AttemptOf(t.Context(), h.pipeline.ID)
	if err != nil {
		t.Fatal(err)
	}
	return p.Attempt
}

// TestRerunsByPrograms: a repeat makes nothing new, a program of another person
// is not taken for it, and limits are told.
func TestRerunsByPrograms(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		people := map[string]string{}
		for _, login := range []string{"olga", "otto"} {
			in := h.browser()
			in.login(t, login)
			people[login] = in.token(t, "CI", models.RerunScope)
		}
		rerun := fmt.Sprintf("/api/v3/pipelines/%d/rerun", h.pipeline.ID)
		send := func(login, key string, status int) Pipeline {
			t.Helper()
			w := h.with(t, people[login], http.MethodPost, rerun, `{"scope":"all","restart":true}`, "Content-Type", jsonMediaType, "Idempotency-Key", key)
			if w.Code != status {
				t.Fatalf("%s with %q: status %d, want %d: %s", login, key, w.Code, status, w.Body)
			}
			if status != http.StatusAccepted {
				return Pipeline{}
			}
			p := decode[Pipeline](t, w.Body)
			if want := fmt.Sprintf("/api/v3/pipelines/%d", p.ID); w.Header().Get("Location") != want {
				t.Errorf("it is at %q, want %q", w.Header().Get("Location"), want)
			}
			return p
		}
		first, again := send("olga", "nightly", 202), send("olga", "nightly", 202)
		other, without, more := send("otto", "nightly", 202), send("olga", "", 202), send("olga", "", 202)
		ids := []int64{first.ID, other.ID, without.ID, more.ID}
		if slices.Sort(ids); again.ID != first.ID || len(slices.Compact(ids)) != 4 || first.Actor != "olga" || more.Attempt != 5 {
			t.Errorf("pipelines %v, again %d; %+v", ids, again.ID, more.PipelineSummary)
		}
		send("olga", strings.Repeat("k", maxRequestKey+1), 400)

		olga := h.userID(t, "olga")
		for range models.UserActions { // what somebody did by other doors counts too
			h.write(t, func(tx *store.Tx) error {
				return tx.Audit(t.Context(), &models.AuditEntry{Actor: "olga", UserID: olga, Via: models.ViaButton, Action: "test", Result: models.AuditDone})
			})
		}
		w := h.with(t, people["olga"], http.MethodPost, rerun, `{"scope":"all"}`, "Content-Type", jsonMediaType)
		p := decode[Problem](t, w.Body)
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(p.Detail, "at most 60 things within 10 minutes") {
			t.Errorf("too often: status %d, %q: %s", w.Code, w.Header().Get("Retry-After"), p.Detail)
		}
		many := h.with(t, people["olga"], http.MethodPost, "/api/v3/pipelines/rerun", fmt.Sprintf(`{"scope":"all","pipelines":[%d]}`, h.pipeline.ID), "Content-Type", jsonMediaType)
		if r := decode[RerunResults](t, many.Body); len(r.Items) != 1 || r.Items[0].Problem == nil || r.Items[0].Problem.Status != http.StatusTooManyRequests {
			t.Errorf("too often, several: %+v", r)
		}
		send("otto", "", 202)
	})
}

func (h *wheelhouse) userID(t testing.TB, login string) (id int64) {
	t.Helper()
	if err := h.Store.Writer().NewSelect().Table("users").Column("id").Where("login = ?", login).Scan(t.Context(), &id); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestPreviewWithOtherConfig: what a config as it is now changes is told.
func TestPreviewWithOtherConfig(t *testing.T) {
	t.Parallel()
	target := models.RerunTarget{
		Step: &models.Step{Name: "copr_build"}, Target: &models.Target{Name: "fedora-42-x86_64", Run: &models.Run{State: models.Failed}}, Attempt: 1,
		Why: "The config does not have it any more.",
	}
	got := apiPreview(&rerunPreview{Newer: 9, Verdict: models.Verdict{Allowed: true}, Rerun: &models.Rerun{
		Earlier: &models.Pipeline{ID: 7, Attempt: 2}, Removed: []models.RerunTarget{target},
		Replan: &models.Replan{File: ".packit.yaml", SHA: "abc", Changes: []models.PlanChange{
			{Change: models.PlanRemoved, Step: target.Step, Target: "fedora-42-x86_64"},
			{Change: models.PlanChanged, Step: &models.Step{Name: "tests"}, Settings: []models.SettingChange{{Name: "tmt_plan", To: `"smoke"`}}},
		}},
	}})
	newer := int64(9)
	want := RerunPreview{
		PipelineID: 7, Attempt: 2, Run: []RerunTarget{}, Awaited: []RerunTarget{}, Fixed: []RerunTarget{}, Reused: []RerunTarget{}, Stopped: []RerunTarget{},
		Removed: []RerunTarget{{Step: "copr_build", Target: "fedora-42-x86_64", State: models.Failed, Attempt: 1, Why: "The config does not have it any more."}},
		Changes: []PlanChange{
			{Change: models.PlanRemoved, Step: "copr_build", Target: "fedora-42-x86_64", Settings: []SettingChange{}},
			{Change: models.PlanChanged, Step: "tests", Settings: []SettingChange{{Name: "tmt_plan", To: `"smoke"`}}},
		},
		ConfigFile: ".packit.yaml", ConfigSHA: "abc", NewerID: &newer, Allowed: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	which := Which{Scope: models.ScopeFailed, Config: currentConfig, Seen: "abc"}.request()
	asked, err := whichParam(url.Values{"config": {currentConfig}})
	if !which.Current || which.Seen != "abc" || err != nil || !asked.Current {
		t.Errorf("%+v; %+v, %v", which, asked, err)
	}
	if _, err := whichParam(url.Values{"config": {"newest"}}); err == nil {
		t.Error("a config that is neither is taken")
	}
}
