package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
)

// The tests of kinds carry steps out without engine and database: they plan a
// config and hand the kind its work, as the engine would, and then write what it
// answers into the runs.

var testReleases = models.Releases{
	{Name: "F45", LongName: "Fedora 45", Version: "45", IDPrefix: "FEDORA", Branch: "rawhide", State: "pending"},
	{Name: "F44", LongName: "Fedora 44", Version: "44", IDPrefix: "FEDORA", Branch: "f44", State: "frozen"},
	{Name: "F43", LongName: "Fedora 43", Version: "43", IDPrefix: "FEDORA", Branch: "f43", State: "current"},
}

func knownReleases(context.Context) (models.Releases, error) { return testReleases, nil }

// event is a pull request of ada's fork to milling/hello on a forge.
func event() *models.Event {
	return &models.Event{
		ID: 1, ProjectID: 1, CommitID: 1, Kind: models.PullRequestEvent, Actor: "ada",
		Message: &models.Message{Branch: "topic"},
		Project: &models.Project{ID: 1, Forge: "git.test", Namespace: "milling", Name: "hello", URL: "https://git.test/milling/hello"},
		Commit: &models.Commit{
			ID: 1, Kind: models.PullRequestRef, Ref: "7", SHA: strings.Repeat("a", 40), TargetRef: "main", SourceURL: "https://git.test/ada/hello",
		},
	}
}

var planning struct {
	sync.Mutex
	n int64
}

// planOf plans the config for e and gives everything ids. There must be one
// pipeline.
func planOf(t *testing.T, e *models.Event, config string) *models.Pipeline {
	t.Helper()
	c, err := packageconfig.Parse([]byte(config), packageconfig.Options{RepoName: "hello", RepoFiles: []string{"hello.spec"}})
	if err != nil {
		t.Fatal(err)
	}
	planning.Lock()
	defer planning.Unlock()
	next := func() int64 { planning.n++; return planning.n }
	planned, decisions := models.Plan(e, c, models.Facts{
		Now: time.Now().Add(time.Duration(next())), Deployment: "prod", DefaultBranch: "main", Releases: testReleases,
	})
	if len(planned) != 1 {
		t.Fatalf("%d pipelines: %+v", len(planned), decisions)
	}
	p := planned[0].Pipeline
	p.ID, p.Event, p.Project, p.Commit = next(), e, e.Project, e.Commit
	for _, s := range p.Steps {
		s.ID, s.PipelineID = next(), p.ID
		for _, target := range s.Targets {
			target.StepID, target.RunID = s.ID, next()
			target.Run.ID, target.Run.PipelineID = target.RunID, p.ID
		}
	}
	for _, need := range planned[0].Needs {
		step := p.Steps[need.Step]
		step.Needs = append(step.Needs, &models.Need{StepID: step.ID, NeedsID: p.Steps[need.Needs].ID, PerTarget: need.PerTarget})
	}
	for _, g := range planned[0].Groups {
		g.ID, g.Epoch = next(), 1
		for _, run := range g.Members {
			run.GroupID = g.ID
		}
		groupsOf.Store(g.ID, g)
	}
	return p
}

var groupsOf sync.Map // *models.RunGroup by id

// workOf is the work of the group that has the run of a target.
func workOf(t *testing.T, p *models.Pipeline, step, target string) *Work {
	t.Helper()
	for _, s := range p.Steps {
		if s.Name != step || s.Target(target) == nil {
			continue
		}
		found, _ := groupsOf.Load(s.Target(target).Run.GroupID)
		view, err := s.View()
		if err != nil {
			t.Fatal(err)
		}
		w := &Work{Group: found.(*models.RunGroup), Pipeline: p, Step: s, View: view, log: func(*models.Run, []byte) error { return nil }}
		for _, other := range s.Targets {
			if other.Run.GroupID == w.Group.ID && !other.Run.State.Finished() {
				w.Runs = append(w.Runs, other.Run)
			}
		}
		return w
	}
	t.Fatalf("there is no %s of %s", target, step)
	return nil
}

// write applies an outcome to the runs.
func write(w *Work, o Outcome) {
	if o.ExternalID != "" {
		w.Group.ExternalID = o.ExternalID
	}
	for _, u := range o.Runs {
		r := u.Run
		if u.State != "" {
			r.State, r.Reason = u.State, u.Reason
		}
		r.ExternalID, r.ExternalURL, r.LogURL = firstWord(u.ExternalID, r.ExternalID), firstWord(u.ExternalURL, r.ExternalURL), firstWord(u.LogURL, r.LogURL)
		if u.Data != nil {
			r.Data = *u.Data
		}
	}
}

// unchanged calls f and checks that it left alone what belongs to the engine.
func unchanged(t *testing.T, w *Work, f func() (Outcome, error)) (Outcome, error) {
	t.Helper()
	picture := func() string {
		text, err := json.Marshal([]any{w.Group, w.Pipeline, w.Step, w.View, w.Runs})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := picture()
	o, err := f()
	if diff := cmp.Diff(before, picture()); diff != "" {
		t.Errorf("the kind changed its work:\n%s", diff)
	}
	return o, err
}

// submitTo lets a kind submit and applies the outcome.
func submitTo(t *testing.T, k Kind, w *Work) {
	t.Helper()
	o, err := unchanged(t, w, func() (Outcome, error) { return k.Submit(t.Context(), w) })
	if err != nil {
		t.Fatalf("Submit: %v", err)
	}
	write(w, o)
}

// pollUntil asks a kind about a group until all of its runs are finished.
func pollUntil(t *testing.T, k Kind, w *Work) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		o, err := unchanged(t, w, func() (Outcome, error) { return k.Poll(t.Context(), w) })
		if err != nil {
			t.Fatalf("Poll: %v", err)
		}
		write(w, o)
		finished := true
		for _, run := range w.Runs {
			finished = finished && run.State.Finished()
		}
		if finished {
			return
		}
	}
	t.Fatal("the runs never end")
}

// refusedAs checks that err is a refusal in a state, whose reason has all the
// parts.
func refusedAs(t *testing.T, err error, state models.State, parts ...string) {
	t.Helper()
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("error %v, want a refusal", err)
	}
	if refusal.State != state {
		t.Errorf("refused as %s: %s, want %s", refusal.State, refusal.Reason, state)
	}
	for _, part := range parts {
		if !strings.Contains(refusal.Reason, part) {
			t.Errorf("refused because %q, want it to say %q", refusal.Reason, part)
		}
	}
}

// tryLater checks that err is worth another try.
func tryLater(t *testing.T, err error) {
	t.Helper()
	if _, final := errors.AsType[*Refusal](err); err == nil || final || !temporary(err) {
		t.Errorf("error %v, want one that is worth another try", err)
	}
}

// aForge has what a test says.
type aForge struct {
	Forge
	files    map[string]bool
	branches map[string]string
	mergers  map[string]bool
	clone    string
	err      error
}

func (f *aForge) Repository(context.Context, *models.Project) (Repository, error) {
	return Repository{DefaultBranch: "main", CloneURL: f.clone}, f.err
}

func (f *aForge) File(_ context.Context, _ *models.Project, _, path string, _ int64) ([]byte, error) {
	if f.err == nil && !f.files[path] {
		return nil, fmt.Errorf("reading %s: %w", path, &httpx.Error{Service: "forge", Status: 404})
	}
	return []byte("1\n"), f.err
}

func (f *aForge) BranchHead(_ context.Context, _ *models.Project, branch string) (string, error) {
	if f.err == nil && f.branches[branch] == "" {
		return "", &httpx.Error{Service: "forge", Status: 404}
	}
	return f.branches[branch], f.err
}

func (f *aForge) CanMerge(_ context.Context, _ *models.Project, login string) (bool, error) {
	return f.mergers[login], f.err
}
