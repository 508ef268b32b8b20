package models

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// played is a pipeline of two steps, saved once, to which something happens.
func played(attempt int, change func(g *Graph, now time.Time) error) ([]*Happening, error) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	p := &Pipeline{ID: 7, ProjectID: 3, Kind: PullRequestRef, Ref: "42", Title: "Grind finer", Actor: "ada", Package: "wheel", Attempt: attempt, State: Waiting, Version: 1}
	var groups []*RunGroup
	id := int64(0)
	for i, kind := range []StepKind{SRPMStep, CoprBuildStep} {
		step := &Step{ID: int64(i + 1), PipelineID: 7, Position: i, Kind: kind, Name: string(kind), State: Waiting}
		if i > 0 {
			step.Needs = []*Need{{StepID: 2, NeedsID: 1}}
		}
		group := &RunGroup{ID: int64(i + 1), PipelineID: 7, StepID: step.ID, Kind: kind, Phase: PhasePlanned}
		for _, target := range [][]string{{"source"}, {"f43", "f44"}}[i] {
			id++
			run := &Run{ID: id, GroupID: group.ID, PipelineID: 7, Kind: kind, Target: target, State: Waiting}
			step.Targets = append(step.Targets, &Target{StepID: step.ID, Name: target, RunID: id, Run: run})
		}
		p.Steps, groups = append(p.Steps, step), append(groups, group)
	}
	g := NewGraph(p, groups)
	if err := change(g, now); err != nil {
		return nil, err
	}
	if _, err := g.Advance(now); err != nil {
		return nil, err
	}
	return g.Happenings("https://mill.example"), nil
}

func end(state State, runs ...int64) func(g *Graph, now time.Time) error {
	return func(g *Graph, now time.Time) error {
		for _, id := range runs {
			if err := g.SetRun(g.Run(id), state, "It is so.", now); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestHappenings(t *testing.T) {
	t.Parallel()
	const pr = "PR 42 (Grind finer)"
	for name, tt := range map[string]struct {
		attempt int
		change  func(g *Graph, now time.Time) error
		want    []string
	}{
		"a change that is no news": {1, end(Queued, 1), nil},
		"it is new": {1, func(g *Graph, _ time.Time) error {
			g.Version = 0
			return nil
		}, []string{"pipeline.created pipeline/7/created queued: " + pr + " is planned"}},
		"it is the next attempt": {2, func(g *Graph, _ time.Time) error {
			g.Version = 0
			return nil
		}, []string{"pipeline.created pipeline/7/created queued: " + pr + " is planned", "rerun.requested pipeline/7/rerun queued: " + pr + " runs again, attempt 2"}},
		"a run and its step": {1, end(Passed, 1), []string{
			"run.finished run/1/finished passed: " + pr + ": the source RPM of source passed", "step.finished step/1/finished passed: " + pr + ": the step srpm passed",
		}},
		"one run of two": {1, func(g *Graph, now time.Time) error {
			return errors.Join(end(Passed, 1)(g, now), end(Failed, 2)(g, now))
		}, []string{
			"run.finished run/1/finished passed: " + pr + ": the source RPM of source passed", "step.finished step/1/finished passed: " + pr + ": the step srpm passed",
			"run.finished run/2/finished failed: " + pr + ": the Copr build of f43 failed",
		}},
		"all of it": {1, func(g *Graph, now time.Time) error {
			return errors.Join(end(Passed, 1)(g, now), end(Failed, 2, 3)(g, now))
		}, []string{
			"run.finished run/1/finished passed: " + pr + ": the source RPM of source passed", "step.finished step/1/finished passed: " + pr + ": the step srpm passed",
			"run.finished run/2/finished failed: " + pr + ": the Copr build of f43 failed", "run.finished run/3/finished failed: " + pr + ": the Copr build of f44 failed",
			"step.finished step/2/finished failed: " + pr + ": the step copr_build failed",
			"pipeline.finished pipeline/7/finished failed: " + pr + " failed: the Copr build of f43 and 1 more",
		}},
		"a run of an earlier attempt": {2, func(g *Graph, now time.Time) error {
			g.Steps[0].Targets[0].Reused = true
			return end(Passed, 1)(g, now)
		}, []string{"step.finished step/1/finished passed: " + pr + ": the step srpm passed"}},
		"superseded": {1, func(g *Graph, now time.Time) error {
			g.SupersededBy = 9
			return g.Stop(Superseded, "A newer push.", now)
		}, []string{
			"run.finished run/1/finished superseded: " + pr + ": the source RPM of source was superseded", "step.finished step/1/finished superseded: " + pr + ": the step srpm was superseded",
			"run.finished run/2/finished superseded: " + pr + ": the Copr build of f43 was superseded", "run.finished run/3/finished superseded: " + pr + ": the Copr build of f44 was superseded",
			"step.finished step/2/finished superseded: " + pr + ": the step copr_build was superseded", "pipeline.finished pipeline/7/finished superseded: " + pr + " was superseded",
		}},
		"canceled": {1, func(g *Graph, now time.Time) error {
			if err := g.Stop(Canceled, "Ada stopped it.", now); err != nil {
				return err
			}
			g.runs, g.steps = map[int64]bool{}, map[int64]bool{} // the rest is as above
			return nil
		}, []string{"step.finished step/1/finished canceled: " + pr + ": the step srpm was canceled", "step.finished step/2/finished canceled: " + pr + ": the step copr_build was canceled",
			"pipeline.finished pipeline/7/finished canceled: " + pr + " was canceled"}},
	} {
		all, err := played(tt.attempt, tt.change)
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, h := range all {
			got = append(got, fmt.Sprintf("%s %s %s: %s", h.Topic, h.Key, h.State, h.Title))
			if h.ProjectID != 3 || h.PipelineID != 7 || !strings.HasPrefix(h.URL, "https://mill.example/") || h.Thread == "" {
				t.Errorf("%s: %+v", name, h)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestHappeningOf(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(5).UTC()
	for _, tt := range []struct {
		product Product
		before  ProductState
		want    string // empty: nothing
		urgent  bool
	}{
		{Product{Kind: PullProduct, State: ProductOpen, Name: "PR 4", Version: "1.2", Branch: "f44"}, "", "product/9/new PR 4 to 1.2 for f44 was opened", true},
		{Product{Kind: PullProduct, State: ProductOpen, Name: "PR 4"}, ProductOpen, "", false},
		{Product{Kind: PullProduct, State: ProductOpen, Name: "PR 4"}, ProductClosed, "product/9/open/5 PR 4 was opened again", true},
		{Product{Kind: PullProduct, State: ProductMerged, Name: "PR 4"}, ProductOpen, "product/9/merged/5 PR 4 was merged", false},
		{Product{Kind: BuildProduct, State: ProductFailed, Name: "hello-1-1.fc44", Branch: "f44"}, ProductBuilding, "product/9/failed/5 hello-1-1.fc44 failed to build", true},
		{Product{Kind: UpdateProduct, State: ProductTesting, Name: "FEDORA-1", Branch: "f44"}, ProductPending, "product/9/testing/5 FEDORA-1 for f44 is in testing", false},
		{Product{Kind: UpdateProduct, State: ProductDropped, Name: "FEDORA-1"}, ProductTesting, "product/9/dropped/5 FEDORA-1 was taken back", true},
		{Product{Kind: ReleaseProduct, State: ProductDone, Name: "1.2"}, "", "", false},
		{Product{Kind: CommitProduct, State: ProductDone, Name: "abc"}, "", "", false},
	} {
		p := tt.product
		p.ID, p.ProjectID, p.Package, p.UpdatedAt = 9, 3, "hello", at
		h := HappeningOf(&p, tt.before, "https://mill.example")
		got, urgent := "", false
		if h != nil {
			got, urgent = h.Key+" "+h.Title, h.Urgent()
		}
		if got != tt.want || urgent != tt.urgent {
			t.Errorf("%s %s after %q: %q, urgent %t", p.Kind, p.State, tt.before, got, urgent)
		}
	}
}

// TestWants: which subscription is for what.
func TestWants(t *testing.T) {
	t.Parallel()
	hook := func(topics ...Topic) *Subscription {
		return &Subscription{Channel: HookChannel, Interest: ProjectInterest, Topics: topics, State: SubscriptionOn}
	}
	mail := func(level Level) *Subscription {
		return &Subscription{Channel: MailChannel, Interest: ProjectInterest, Level: level, State: SubscriptionOn}
	}
	off := hook(PipelineFinished)
	off.SwitchOff("x")
	all := mail(EverythingLevel)
	all.Interest = AllInterest
	for _, tt := range []struct {
		name string
		s    *Subscription
		h    Happening
		want bool
	}{
		{"a topic", hook(PipelineFinished), Happening{Topic: PipelineFinished}, true},
		{"another topic", hook(PipelineFinished), Happening{Topic: RunFinished}, false},
		{"one that is off", off, Happening{Topic: PipelineFinished}, false},
		{"a failure", mail(UrgentLevel), Happening{Topic: PipelineFinished, State: "failed"}, true},
		{"an error", mail(UrgentLevel), Happening{Topic: PipelineFinished, State: "error"}, true},
		{"a success", mail(UrgentLevel), Happening{Topic: PipelineFinished, State: "passed"}, false},
		{"it works again", mail(UrgentLevel), Happening{Topic: PipelineFinished, State: "passed", Data: HappeningData{Again: true}}, true},
		{"a success, for who wants everything", mail(EverythingLevel), Happening{Topic: PipelineFinished, State: "passed"}, true},
		{"superseded", mail(EverythingLevel), Happening{Topic: PipelineFinished, State: "superseded"}, false},
		{"a single run", mail(EverythingLevel), Happening{Topic: RunFinished, State: "failed"}, false},
		{"a rerun", mail(EverythingLevel), Happening{Topic: RerunRequested}, false},
		{"a pull request to merge", mail(UrgentLevel), Happening{Topic: PullChanged, State: "open"}, true},
		{"one that was merged", mail(UrgentLevel), Happening{Topic: PullChanged, State: "merged"}, false},
		{"a build of somebody that failed", mail(UrgentLevel), Happening{Topic: BuildChanged, State: "failed"}, true},
		{"one of ours, of which the pipeline tells", mail(EverythingLevel), Happening{Topic: BuildChanged, State: "failed", RunID: 1}, false},
		{"the token for all mail", all, Happening{Topic: PipelineFinished, State: "failed"}, false},
	} {
		if got := tt.s.Wants(&tt.h); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// TestDispatchesOf: a person gets one mail about one thing, a hook that rests
// gets it later.
func TestDispatchesOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	h := &Happening{ID: 1, Topic: PipelineFinished, State: "failed"}
	resting := &Subscription{ID: 4, Channel: HookChannel, Topics: []Topic{PipelineFinished}, State: SubscriptionOn, RestsUntil: now.Add(time.Minute)}
	mail := func(id, user int64) *Subscription {
		return &Subscription{ID: id, Channel: MailChannel, Interest: OwnInterest, UserID: user, Level: UrgentLevel, State: SubscriptionOn}
	}
	all := DispatchesOf([]*Happening{h}, []*Subscription{mail(1, 10), mail(2, 10), mail(3, 11), resting}, now)
	var got []string
	for _, d := range all {
		got = append(got, fmt.Sprintf("%d %d %t", d.SubscriptionID, d.UserID, d.NotBefore.IsZero()))
	}
	if diff := cmp.Diff([]string{"1 10 true", "3 11 true", "4 0 false"}, got); diff != "" {
		t.Error(diff)
	}
	if all[0].Key == all[1].Key || len(all[0].Key) < 20 {
		t.Errorf("keys %q and %q", all[0].Key, all[1].Key)
	}
}

func TestMailWords(t *testing.T) {
	t.Parallel()
	project := &Project{Namespace: "packit", Name: "hello"}
	h := &Happening{
		Topic: PipelineFinished, State: "failed", Title: "PR 7 failed: the Copr build of f44", URL: "https://mill.example/pipelines/7", Thread: "thread-1", Project: project,
		Todo: "Mend it.", TodoURL: "https://mill.example/rerun", Data: HappeningData{Actor: "ada", Failures: []Failure{{"the Copr build of f44", "It needs water.", "https://mill.example/runs/1"}}, More: 2},
	}
	watch := &Subscription{Interest: ProjectInterest, Level: UrgentLevel, Project: project}
	want := `packit/hello: PR 7 failed: the Copr build of f44.
By ada.

- the Copr build of f44: It needs water.
  https://mill.example/runs/1
- and 2 more

What you can do: Mend it.
  https://mill.example/rerun

All about it:
  https://mill.example/pipelines/7

-- 
You hear of packit/hello, which you watch: failures, and what waits for somebody.
To stop that, or to hear of more or less:
  https://mill.example/stop
`
	m := MailOf(h, watch.Why(), "https://mill.example/stop")
	if diff := cmp.Diff(Mail{"packit/hello: PR 7 failed: the Copr build of f44", want, "thread-1"}, m); diff != "" {
		t.Error(diff)
	}
	again := &Happening{Topic: PipelineFinished, State: "passed", Title: "PR 7 passed", Project: project, Data: HappeningData{Again: true}}
	if m := MailOf(again, "", ""); m.Subject != "packit/hello: PR 7 works again" {
		t.Errorf("subject %q", m.Subject)
	}
	if m := DigestOf([]*Happening{h, again}, "x"); m.Subject != "2 things happened, 1 of them wait for somebody" || m.Thread != "" || strings.Count(m.Text, "packit/hello") != 2 {
		t.Errorf("the digest is %+v", m)
	}
	var nobody *Subscription
	if nobody.Why() == "" || (&Subscription{Interest: OwnInterest, Level: EverythingLevel}).Why() == watch.Why() {
		t.Error("it is not said why")
	}
}

func TestHookCheck(t *testing.T) {
	t.Parallel()
	good := Subscription{URL: "https://hear.example/", Topics: []Topic{RunFinished, PipelineCreated, RunFinished}, Secret: NewHookSecret()}
	if err := good.Check(); err != nil || len(good.Topics) != 2 || good.Topics[0] != PipelineCreated {
		t.Errorf("a good one: %v, %v", good.Topics, err)
	}
	for name, change := range map[string]func(*Subscription){
		"url":    func(s *Subscription) { s.URL = "" },
		"topics": func(s *Subscription) { s.Topics = []Topic{Ping} },
		"secret": func(s *Subscription) { s.Secret = "whsec_no base64 at all" },
	} {
		bad := good
		change(&bad)
		if e, ok := bad.Check().(*InputError); !ok || e.Field != name {
			t.Errorf("%s: %v", name, e)
		}
	}
	for _, secret := range []string{"", "short", strings.Repeat("x", 201), "with a blank in it", "ünicode-is-no-key", "whsec_%%%%%%%%%%%%%%%%"} {
		if CheckSecret(secret) == nil {
			t.Errorf("the secret %q is taken", secret)
		}
	}
	s := &Subscription{Secret: "new-new-new-new-new"}
	s.Rotate("newer", time.Now())
	if diff := cmp.Diff([]string{"newer", "new-new-new-new-new"}, s.Secrets()); diff != "" {
		t.Error(diff)
	}
	if s.FinishRotation(); len(s.Secrets()) != 1 {
		t.Errorf("after the end of the change: %q", s.Secrets())
	}
}
