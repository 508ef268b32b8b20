package jobs

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/clients/fasjson"
	"millrace/clients/fasjson/fasjsonfake"
	"millrace/clients/github"
	"millrace/clients/github/githubfake"
	"millrace/jobs/access"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// gate is where the rights of dee come from, who writes to packit/hello.
type gate struct {
	*access.Rights
	github   *githubfake.Fake
	accounts *fasjsonfake.Fake
	dee      *models.User
}

// newGate makes the runner look at rights. What sources say is not believed for
// longer than a moment.
func newGate(t *testing.T, r *Runner) *gate {
	t.Helper()
	g := &gate{dee: &models.User{Login: "dee"}}
	err := r.Store.InTx(t.Context(), func(tx *store.Tx) error {
		return errors.Join(tx.SaveUser(t.Context(), g.dee), tx.SaveProof(t.Context(), "github.com", models.Proof{Account: "dee-gh", Login: "dee"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	g.github, err = githubfake.New(githubfake.Config{Dir: t.TempDir(), Tokens: map[string]string{"ours": "millrace"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.github.Close)
	if _, err := g.github.CreateRepo(t.Context(), "packit", "hello", nil, githubfake.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	g.may(t, "write")
	g.accounts = fasjsonfake.New(fasjsonfake.Config{
		Tokens: map[string]string{"ticket": "millrace"}, People: []fasjsonfake.Person{{Login: "dee", GitHub: "dee-gh"}},
	})
	client := &http.Client{Timeout: 20 * time.Second}
	g.Rights = &access.Rights{
		Store: r.Store, Log: slog.New(slog.DiscardHandler), Fresh: time.Nanosecond, Patience: 20 * time.Second,
		Forges:   map[string]access.Forge{"github.com": access.GitHub{Client: &github.Client{BaseURL: serve(g.github) + "/api/v3", Token: "ours", HTTP: client}}},
		Accounts: &fasjson.Client{BaseURL: serve(g.accounts), HTTP: client, Negotiate: func(context.Context, string) ([]byte, error) { return []byte("ticket"), nil }},
	}
	r.Rights = g.Rights
	return g
}

// may gives dee a role in the project.
func (g *gate) may(t *testing.T, role string) {
	t.Helper()
	if err := g.github.SetCollaborator("packit/hello", "dee-gh", role); err != nil {
		t.Fatal(err)
	}
}

func (g *gate) asks(pipeline int64, scope models.Scope) RerunRequest {
	return RerunRequest{
		RerunRequest: models.RerunRequest{Scope: scope}, Pipeline: pipeline,
		Requester: Requester{Actor: "dee", UserID: g.dee.ID, Via: models.ViaButton},
	}
}

// reasonOf is what a pipeline says about a run.
func reasonOf(t *testing.T, s *store.Store, id int64, step, target string) string {
	t.Helper()
	for _, st := range pipeline(t, s, id).Steps {
		if tg := st.Target(target); st.Name == step && tg != nil {
			return tg.Run.Reason
		}
	}
	t.Fatalf("pipeline %d has no %s %s", id, step, target)
	return ""
}

// TestRightIsLookedAtAgain withdraws a right between the click and the run: what
// was asked for does not run, and says why.
func TestRightIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		g := newGate(t, r)
		mend := failing(services, "fedora-43-x86_64")
		run(t, r)
		first := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, first, map[string]models.State{"pipeline": models.Failed})
		if n := len(g.accounts.Requests()); n > 0 {
			t.Errorf("of what an event asked for %d questions were asked", n)
		}
		mend()
		if v := r.Rights.May(t.Context(), models.NewViewer(g.dee, nil), models.RerunRight, &models.Pipeline{ID: first}); !v.Allowed {
			t.Fatalf("at the click: %+v", v)
		}
		g.may(t, "read")
		built := services[models.CoprBuildStep].count()
		second := rerun(t, r, g.asks(first, models.ScopeFailed))
		eventually(t, r, second, map[string]models.State{
			"pipeline": models.Canceled, builds + " fedora-43-x86_64": models.Canceled, tests + " fedora-43-x86_64": models.Skipped,
		})
		if n := services[models.CoprBuildStep].count(); n != built {
			t.Errorf("%d builds were submitted", n-built)
		}
		want := "Not run: dee asked for it, and may not any more. This needs the right to write to packit/hello."
		if got := reasonOf(t, s, second, buildStep, "fedora-43-x86_64"); got != want {
			t.Errorf("reason %q", got)
		}
		if p := pipeline(t, s, second); p.RequesterID != g.dee.ID || p.Via != models.ViaButton {
			t.Errorf("asked for by %d via %q", p.RequesterID, p.Via)
		}
		g.may(t, "write")
		third := rerun(t, r, g.asks(second, models.ScopeFailed))
		eventually(t, r, third, map[string]models.State{"pipeline": models.Passed})
	})
}

// TestRightThatCannotBeTold lets the source be down: nothing runs until it
// answers.
func TestRightThatCannotBeTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := newRunner(t, s)
		r.Timing.Tries = 1000
		g := newGate(t, r)
		failing(services)
		run(t, r)
		first := create(t, r, "packit/hello", 1, storetest.PullRequest)
		eventually(t, r, first, map[string]models.State{"pipeline": models.Passed})
		g.accounts.Misbehave(fasjsonfake.Fault{Status: http.StatusServiceUnavailable})
		made := services[models.SRPMStep].count()
		second := rerun(t, r, g.asks(first, models.ScopeAll))
		reason := ""
		for deadline := time.Now().Add(patience); !strings.HasPrefix(reason, "Try ") || strings.HasPrefix(reason, "Try 1 of"); time.Sleep(10 * time.Millisecond) {
			if reason = reasonOf(t, s, second, "srpm-0", "source"); time.Now().After(deadline) {
				t.Fatalf("reason %q", reason)
			}
		}
		if !strings.HasSuffix(reason, "dee asked for it, and whether they still may cannot be told now: the account system does not answer") {
			t.Errorf("reason %q", reason)
		}
		if got := states(t, r, second)["pipeline"]; slices.Contains([]models.State{models.Passed, models.Failed, models.Error, models.Canceled}, got) || services[models.SRPMStep].count() != made {
			t.Errorf("%s, %d submissions", got, services[models.SRPMStep].count()-made)
		}
		g.accounts.Misbehave(fasjsonfake.Fault{})
		eventually(t, r, second, map[string]models.State{"pipeline": models.Passed})
	})
}
