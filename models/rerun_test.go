package models

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// states gives the runs of a graph their states: a line for each step.
func states(t rapidOrTest, g *Graph, lines ...string) *Pipeline {
	t.Helper()
	for i, line := range lines {
		for j, word := range strings.Fields(line) {
			g.Steps[i].Targets[j].Run.State = State(word)
		}
	}
	return g.Pipeline
}

func shorthand(targets []RerunTarget) string {
	var names []string
	for _, t := range targets {
		names = append(names, fmt.Sprintf("%d/%s", t.Step.Position, t.Target.Name))
	}
	return strings.Join(names, " ")
}

func TestPlanRerun(t *testing.T) {
	t.Parallel()
	const build, tests = "copr_build-1", "tests-2"
	joined := func() *Graph { // an update of both builds, and something after it
		return draw(
			sketch{kind: SRPMStep, targets: []string{"source"}},
			sketch{kind: CoprBuildStep, targets: []string{"f43", "f44"}, needs: []int{0}},
			sketch{kind: BodhiUpdateStep, targets: []string{"f43"}, needs: []int{1}},
			sketch{kind: TestsStep, targets: []string{"f43"}, needs: []int{2}, perTarget: []bool{true}},
		)
	}
	twice := func() *Graph { // two builds with equal targets, each with its tests
		return draw(
			sketch{kind: SRPMStep, targets: []string{"source"}},
			sketch{kind: CoprBuildStep, targets: []string{"f43", "f44"}, needs: []int{0}},
			sketch{kind: CoprBuildStep, targets: []string{"f43", "f44"}, needs: []int{0}},
			sketch{kind: TestsStep, targets: []string{"f43", "f44"}, apart: true, needs: []int{1}, perTarget: []bool{true}},
			sketch{kind: TestsStep, targets: []string{"f43", "f44"}, apart: true, needs: []int{2}, perTarget: []bool{true}},
		)
	}
	other := func() *Graph { // tests on something with another name than the chroot
		return draw(
			sketch{kind: CoprBuildStep, targets: []string{"epel", "f44"}},
			sketch{kind: TestsStep, targets: []string{"centos", "f44"}, follows: map[string]string{"centos": "epel"}, apart: true, needs: []int{0}, perTarget: []bool{true}},
		)
	}
	for _, tt := range []struct {
		name                      string
		graph                     *Graph
		states                    []string
		request                   RerunRequest
		gone, fixed               map[string]string // by shorthand
		run, awaited, kept, stops string            // kept: fixed
		problem                   string
	}{
		{name: "all", graph: usual(), states: []string{"passed", "passed passed", "passed passed"}, request: RerunRequest{Scope: ScopeAll},
			run: "0/source 1/f43 1/f44 2/f43 2/f44"},
		{name: "failed with its follower", graph: usual(), states: []string{"passed", "failed passed", "skipped passed"}, request: RerunRequest{Scope: ScopeFailed},
			run: "1/f43 2/f43"},
		{name: "an error", graph: usual(), states: []string{"passed", "passed passed", "passed error"}, request: RerunRequest{Scope: ScopeFailed}, run: "2/f44"},
		{name: "canceled, and skipped because of it", graph: usual(), states: []string{"canceled", "skipped skipped", "skipped skipped"}, request: RerunRequest{Scope: ScopeFailed},
			run: "0/source 1/f43 1/f44 2/f43 2/f44"},
		{name: "skipped for a reason of its own", graph: usual(), states: []string{"passed", "passed passed", "skipped failed"}, request: RerunRequest{Scope: ScopeFailed}, run: "2/f44"},
		{name: "nothing failed", graph: usual(), states: []string{"passed", "passed passed", "passed skipped"}, request: RerunRequest{Scope: ScopeFailed}, problem: "Nothing has failed."},
		{name: "superseded is not failed", graph: usual(), states: []string{"passed", "superseded superseded", "superseded superseded"}, request: RerunRequest{Scope: ScopeFailed}, problem: "Nothing has failed."},
		{name: "a failure among what still runs", graph: usual(), states: []string{"passed", "failed running", "skipped waiting"}, request: RerunRequest{Scope: ScopeFailed}, run: "1/f43 2/f43"},
		{name: "a step", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeStep, Step: tests}, run: "2/f43 2/f44"},
		{name: "a target and its follower", graph: usual(), states: []string{"passed", "passed passed", "passed passed"}, request: RerunRequest{Scope: ScopeTarget, Step: build, Target: "f44"}, run: "1/f44 2/f44"},
		{name: "the source, and so everything", graph: usual(), states: []string{"passed", "passed passed", "passed passed"}, request: RerunRequest{Scope: ScopeStep, Step: "srpm-0"}, run: "0/source 1/f43 1/f44 2/f43 2/f44"},
		{name: "from here on", graph: usual(), states: []string{"passed", "passed failed", "passed skipped"}, request: RerunRequest{Scope: ScopeFrom, Step: build}, run: "1/f44 2/f43 2/f44"},
		{name: "chosen", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeChosen, Picks: []Pick{{build, "f43"}, {tests, "f44"}}}, run: "1/f43 2/f43 2/f44"},
		{name: "nothing chosen", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeChosen}, problem: "Nothing of it"},
		{name: "a failed ancestor", graph: usual(), states: []string{"passed", "failed passed", "skipped passed"}, request: RerunRequest{Scope: ScopeTarget, Step: tests, Target: "f43"}, run: "1/f43 2/f43"},
		{name: "ancestors of ancestors", graph: usual(), states: []string{"error", "skipped skipped", "skipped skipped"}, request: RerunRequest{Scope: ScopeTarget, Step: tests, Target: "f43"}, run: "0/source 1/f43 2/f43"},
		{name: "an ancestor that is gone", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeFailed}, gone: map[string]string{"1/f44": "was deleted"}, run: "1/f44 2/f44"},
		{name: "gone, but not needed", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeFailed}, gone: map[string]string{"0/source": "was deleted", "1/f43": "was deleted"}, run: "2/f44"},
		{name: "gone all the way", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeFailed}, gone: map[string]string{"0/source": "was deleted", "1/f44": "was deleted"}, run: "0/source 1/f44 2/f44"},
		{name: "a join needs all, and is followed", graph: joined(), states: []string{"passed", "passed failed", "skipped", "skipped"}, request: RerunRequest{Scope: ScopeFailed}, run: "1/f44 2/f43 3/f43"},
		{name: "one of many before a join", graph: joined(), states: []string{"passed", "passed passed", "passed", "passed"}, request: RerunRequest{Scope: ScopeTarget, Step: build, Target: "f44"}, run: "1/f44 2/f43 3/f43"},
		{name: "behind a join, with a failure before it", graph: joined(), states: []string{"passed", "passed failed", "skipped", "skipped"}, request: RerunRequest{Scope: ScopeTarget, Step: tests[:5] + "-3", Target: "f43"}, run: "1/f44 2/f43 3/f43"},
		{name: "equal targets in two steps", graph: twice(), states: []string{"passed", "failed passed", "passed passed", "skipped passed", "passed passed"}, request: RerunRequest{Scope: ScopeFailed}, run: "1/f43 3/f43"},
		{name: "equal targets, the other step", graph: twice(), states: []string{"passed", "passed passed", "passed passed", "passed passed", "passed passed"}, request: RerunRequest{Scope: ScopeTarget, Step: "copr_build-2", Target: "f44"}, run: "2/f44 4/f44"},
		{name: "followers by another name", graph: other(), states: []string{"failed passed", "skipped passed"}, request: RerunRequest{Scope: ScopeFailed}, run: "0/epel 1/centos"},
		{name: "what runs will do", graph: usual(), states: []string{"passed", "running passed", "waiting passed"}, request: RerunRequest{Scope: ScopeStep, Step: build}, run: "1/f44 2/f44", awaited: "1/f43 2/f43"},
		{name: "what runs is begun anew", graph: usual(), states: []string{"passed", "running passed", "waiting passed"}, request: RerunRequest{Scope: ScopeStep, Step: build, Restart: true}, run: "1/f43 1/f44 2/f43 2/f44", stops: "1/f43 2/f43"},
		{name: "what runs with what is made anew is not waited for", graph: usual(), states: []string{"passed", "passed passed", "running passed"}, request: RerunRequest{Scope: ScopeAll}, run: "0/source 1/f43 1/f44 2/f43 2/f44"},
		{name: "all of it runs", graph: usual(), states: []string{"passed", "running queued", "waiting waiting"}, request: RerunRequest{Scope: ScopeStep, Step: build}, problem: "still on its way"},
		{name: "what cannot be repeated stays", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeStep, Step: build}, fixed: map[string]string{"1/f43": "No."}, run: "1/f44 2/f43 2/f44", kept: "1/f43"},
		{name: "nothing can be repeated", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeFailed}, fixed: map[string]string{"2/f44": "It is carved in stone."}, problem: "carved in stone"},
		{name: "no such step", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeStep, Step: "x"}, problem: `no step "x"`},
		{name: "no such target", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: ScopeTarget, Step: build, Target: "x"}, problem: `no target "x"`},
		{name: "no such scope", graph: usual(), states: []string{"passed", "passed passed", "passed failed"}, request: RerunRequest{Scope: "some"}, problem: `no scope "some"`},
	} {
		p := states(t, tt.graph, tt.states...)
		facts := RerunFacts{Gone: map[int64]string{}, Fixed: map[int64]string{}, Attempts: map[int64]int{1: 1}}
		for _, s := range p.Steps {
			for _, target := range s.Targets {
				name := fmt.Sprintf("%d/%s", s.Position, target.Name)
				facts.Gone[target.RunID], facts.Fixed[target.RunID] = tt.gone[name], tt.fixed[name]
			}
		}
		r, err := PlanRerun(p, tt.request, facts)
		if tt.problem != "" {
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%s: %v; want a problem with %q", tt.name, err, tt.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := []string{shorthand(r.Run), shorthand(r.Awaited), shorthand(r.Fixed), shorthand(r.Stopped)}
		if diff := cmp.Diff([]string{tt.run, tt.awaited, tt.kept, tt.stops}, got); diff != "" {
			t.Errorf("%s: runs, awaited, fixed, stopped (-want +got):\n%s", tt.name, diff)
		}
		for _, one := range slices.Concat(r.Run, r.Awaited, r.Fixed) {
			if !strings.HasSuffix(one.Why, ".") || one.Attempt != 1 {
				t.Errorf("%s: %s of attempt %d because %q", tt.name, one.Target.Name, one.Attempt, one.Why)
			}
		}
	}
}

func TestRerunHasALimit(t *testing.T) {
	t.Parallel()
	p := states(t, usual(), "passed", "passed passed", "passed failed")
	p.Attempt = MaxAttempts
	_, err := PlanRerun(p, RerunRequest{Scope: ScopeAll}, RerunFacts{})
	if _, ok := errors.AsType[*LimitError](err); !ok {
		t.Errorf("attempt %d: %v", MaxAttempts+1, err)
	}
}

// TestRerunPlan looks at the attempt that comes of it: what is shared, what is
// submitted together, and under which keys.
func TestRerunPlan(t *testing.T) {
	t.Parallel()
	p := states(t, usual(), "passed", "failed failed", "skipped skipped")
	p.Steps[1].Config, p.Steps[2].Mirrors = []byte(`{"specfile_path":"a.spec"}`), true
	p.Steps[2].Targets[0].Follows = "f43"
	r, err := PlanRerun(p, RerunRequest{Scope: ScopeFailed, Env: map[string]string{"A": "1", "B": ""}}, RerunFacts{})
	if err != nil {
		t.Fatal(err)
	}
	planned, err := r.Plan(noon, "jdoe")
	if err != nil {
		t.Fatal(err)
	}
	next := planned.Pipeline
	if next.Attempt != 2 || next.FirstAttemptID != p.ID || next.EventID != p.EventID || next.SHA != p.SHA || next.Actor != "jdoe" || next.State != Running {
		t.Errorf("attempt %+v", next)
	}
	if next.Runs != 5 || next.RunsDone != 1 || next.RunsBad != 0 {
		t.Errorf("%d runs, %d done, %d bad", next.Runs, next.RunsDone, next.RunsBad)
	}
	var shape []string
	for _, s := range next.Steps {
		for _, target := range s.Targets {
			shape = append(shape, fmt.Sprintf("%d %s %v %d %s %s", s.Position, target.Name, target.Reused, target.RunID, target.Run.State, target.Check))
		}
	}
	source := p.Steps[0].Targets[0].RunID
	want := []string{fmt.Sprintf("0 source true %d passed ", source), "1 f43 false 0 waiting copr_build:f43", "1 f44 false 0 waiting copr_build:f44",
		"2 f43 false 0 waiting tests:f43", "2 f44 false 0 waiting tests:f44"}
	if diff := cmp.Diff(want, shape); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	var sizes []int
	keys := map[string]bool{}
	for _, g := range planned.Groups {
		sizes, keys[g.Key] = append(sizes, len(g.Members)), true
	}
	if !slices.Equal(sizes, []int{2, 1, 1}) || len(keys) != 3 {
		t.Errorf("groups of %v with %d keys", sizes, len(keys))
	}
	if diff := cmp.Diff([]PlannedNeed{{Step: 1, Needs: 0}, {Step: 2, Needs: 1, PerTarget: true}}, planned.Needs); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
	if string(next.Steps[1].Config) != string(p.Steps[1].Config) || !next.Steps[2].Mirrors || next.Steps[2].Targets[0].Follows != "f43" {
		t.Errorf("the steps are not those of before: %+v", next.Steps)
	}
	view, err := next.Steps[2].View()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"A": "1", "B": nil}, view.Env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	later, err := (&Rerun{Earlier: p, Run: r.Run}).Plan(noon.Add(time.Second), "jdoe")
	if err != nil || keys[later.Groups[0].Key] {
		t.Errorf("a key came twice: %v", err)
	}
}

// TestStopRunsLeavesOthers: a submission goes on as long as something of it is
// wanted.
func TestStopRunsLeavesOthers(t *testing.T) {
	t.Parallel()
	g := usual()
	states(t, g, "passed", "running running", "waiting waiting")
	group := g.Groups[g.Steps[1].Targets[0].Run.GroupID]
	group.Phase = PhaseSubmitted
	only := func(name string) func(*Run) bool {
		return func(r *Run) bool { return r.Kind == CoprBuildStep && r.Target == name }
	}
	if err := g.StopRuns(only("f43"), Canceled, "Canceled by jdoe.", noon); err != nil {
		t.Fatal(err)
	}
	advance(t, g)
	want(t, g, "running", "passed: passed", "running: canceled running", "waiting: skipped waiting")
	if group.Phase != PhaseSubmitted || group.Epoch != 0 {
		t.Errorf("the submission is %s, epoch %d", group.Phase, group.Epoch)
	}
	if err := g.StopRuns(only("f44"), Canceled, "Canceled by jdoe.", noon); err != nil {
		t.Fatal(err)
	}
	advance(t, g)
	want(t, g, "canceled", "passed: passed", "canceled: canceled canceled", "skipped: skipped skipped")
	if group.Phase != PhaseCanceling || group.Epoch != 1 {
		t.Errorf("the submission is %s, epoch %d", group.Phase, group.Epoch)
	}
}

// drawRandom makes any graph, with targets that have equal names in many steps,
// and lets time pass in it.
func drawRandom(t *rapid.T) *Graph {
	names := []string{"a", "b", "c"}
	var sketches []sketch
	for i := range rapid.IntRange(1, 6).Draw(t, "steps") {
		s := sketch{kind: rapid.SampledFrom([]StepKind{SRPMStep, CoprBuildStep, TestsStep, BodhiUpdateStep}).Draw(t, "kind")}
		s.targets = names[:rapid.IntRange(1, 3).Draw(t, "targets")]
		s.apart = !together(s.kind)
		for n := range i {
			if rapid.Bool().Draw(t, "needs") {
				per := len(sketches[n].targets) >= len(s.targets) && rapid.Bool().Draw(t, "per target")
				s.needs, s.perTarget = append(s.needs, n), append(s.perTarget, per)
			}
		}
		sketches = append(sketches, s)
	}
	g := draw(sketches...)
	for range rapid.IntRange(0, 25).Draw(t, "moments") {
		live(t, g)
	}
	return g
}

// live advances a graph and lets something happen to one of its runs.
func live(t *rapid.T, g *Graph) {
	advance(t, g)
	var moving []*Run
	for _, s := range g.Steps {
		for _, target := range s.Targets {
			if r := target.Run; !target.Reused && (r.State == Queued || r.State == Running) {
				moving = append(moving, r)
			}
		}
	}
	if len(moving) == 0 {
		return
	}
	next := rapid.SampledFrom([]State{Running, Passed, Passed, Failed, Error, Canceled}).Draw(t, "next")
	if err := g.SetRun(rapid.SampledFrom(moving).Draw(t, "run"), next, "", noon); err != nil {
		t.Fatalf("%v", err)
	}
	advance(t, g)
}

// TestRerunOfAnything: of whatever graph, nothing outside the closure runs,
// nothing inside is missed, shared runs stay shared, and the attempt ends.
func TestRerunOfAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawRandom(t)
		facts := RerunFacts{Gone: map[int64]string{}, Fixed: map[int64]string{}}
		for _, s := range g.Steps {
			for _, target := range s.Targets {
				if target.Run.State == Passed && rapid.IntRange(0, 9).Draw(t, "gone") == 0 {
					facts.Gone[target.RunID] = "was deleted"
				}
			}
		}
		step := rapid.SampledFrom(g.Steps).Draw(t, "step")
		request := RerunRequest{
			Scope: rapid.SampledFrom([]Scope{ScopeAll, ScopeFailed, ScopeStep, ScopeTarget, ScopeFrom}).Draw(t, "scope"),
			Step:  step.Name, Target: rapid.SampledFrom(step.Targets).Draw(t, "target").Name, Restart: rapid.Bool().Draw(t, "restart"),
		}
		r, err := PlanRerun(g.Pipeline, request, facts)
		if errors.Is(err, ErrNothing) {
			return
		}
		if err != nil {
			t.Fatalf("%+v: %v", request, err)
		}
		checkClosure(t, g.Pipeline, request, facts, r)
		planned, err := r.Plan(noon, "jdoe")
		if err != nil {
			t.Fatalf("%v", err)
		}
		carryOut(t, g, store(r, planned), r)
	})
}

// checkClosure compares with the definition, read backwards: it asks of each
// target whether it belongs, rather than going on from those that do.
func checkClosure(t *rapid.T, p *Pipeline, request RerunRequest, facts RerunFacts, r *Rerun) {
	in := map[*Target]string{}
	for list, targets := range map[string][]RerunTarget{"run": r.Run, "awaited": r.Awaited, "fixed": r.Fixed, "reused": r.Reused} {
		for _, one := range targets {
			if in[one.Target] != "" {
				t.Fatalf("%s of %s is in two lists", one.Target.Name, one.Step.Name)
			}
			in[one.Target] = list
		}
	}
	failed := p.Failed()
	var asked func(s *Step, target *Target) bool // for itself, or because of what it needs
	asked = func(s *Step, target *Target) bool {
		switch request.Scope {
		case ScopeAll:
			return true
		case ScopeFailed:
			if slices.Contains(failed, Pick{s.Name, target.Name}) {
				return true
			}
		case ScopeStep:
			if s.Name == request.Step {
				return true
			}
		case ScopeTarget:
			if s.Name == request.Step && target.Name == request.Target {
				return true
			}
		case ScopeFrom:
			if s.Name == request.Step && target.Run.State != Passed {
				return true
			}
			if s.Name != request.Step && after(p, s, request.Step) {
				return true
			}
		}
		for _, n := range p.neededBy(s, target) {
			if asked(p.Step(n.StepID), n) {
				return true
			}
		}
		return false
	}
	for _, s := range p.Steps {
		for _, target := range s.Targets {
			list, wanted := in[target], asked(s, target)
			needed := false
			for _, follower := range p.Steps {
				for _, f := range follower.Targets {
					needed = needed || (in[f] == "run" && slices.Contains(p.neededBy(follower, f), target) &&
						(target.Run.State.Bad() || facts.Gone[target.RunID] != ""))
				}
			}
			switch {
			case list == "":
				t.Fatalf("%s of %s is in no list", target.Name, s.Name)
			case (wanted || needed) && list == "reused":
				t.Fatalf("%s of %s is missed", target.Name, s.Name)
			case !wanted && !needed && list != "reused":
				t.Fatalf("%s of %s runs for no reason", target.Name, s.Name)
			case list == "awaited" && (target.Run.State.Finished() || request.Restart):
				t.Fatalf("%s of %s is %s, and awaited", target.Name, s.Name, target.Run.State)
			}
			for _, n := range p.neededBy(s, target) {
				if list == "awaited" && in[n] == "run" && facts.Gone[n.RunID] == "" {
					t.Fatalf("%s of %s is awaited, though %s that it needs is made anew", target.Name, s.Name, n.Name)
				}
			}
		}
	}
}

// after reports whether step needs the one of that name, directly or not.
func after(p *Pipeline, step *Step, name string) bool {
	for _, n := range step.Needs {
		if needed := p.Step(n.NeedsID); needed.Name == name || after(p, needed, name) {
			return true
		}
	}
	return false
}

// store gives a planned attempt ids, as the database would.
func store(r *Rerun, planned Planned) *Graph {
	p := planned.Pipeline
	p.ID = 2
	id := int64(10_000)
	for i, s := range p.Steps {
		s.ID, s.PipelineID = int64(1000+i), p.ID
		for _, target := range s.Targets {
			id++
			target.ID, target.StepID = id, s.ID
		}
	}
	for _, n := range planned.Needs {
		p.Steps[n.Step].Needs = append(p.Steps[n.Step].Needs, &Need{StepID: p.Steps[n.Step].ID, NeedsID: p.Steps[n.Needs].ID, PerTarget: n.PerTarget})
	}
	for _, g := range planned.Groups {
		id++
		g.ID, g.PipelineID = id, p.ID
		for _, run := range g.Members {
			id++
			run.ID, run.GroupID, run.PipelineID = id, g.ID, p.ID
		}
	}
	for _, s := range p.Steps {
		for _, target := range s.Targets {
			target.RunID = target.Run.ID
		}
	}
	return NewGraph(p, planned.Groups)
}

// carryOut lets both attempts go on to their ends.
func carryOut(t *rapid.T, earlier, next *Graph, r *Rerun) {
	before := map[int64]State{}
	for i, s := range next.Steps {
		for j, target := range s.Targets {
			old := earlier.Steps[i].Targets[j]
			fresh := slices.ContainsFunc(r.Run, func(one RerunTarget) bool { return one.Target == old })
			if fresh == target.Reused || (target.Reused && target.Run != old.Run) || (fresh && target.RunID == old.RunID) {
				t.Fatalf("%s of %s: fresh %v, reused %v, run %d after %d", target.Name, s.Name, fresh, target.Reused, target.RunID, old.RunID)
			}
			if target.Run.State.Finished() {
				before[target.RunID] = target.Run.State
			}
		}
	}
	if err := earlier.StopRuns(func(run *Run) bool {
		return slices.ContainsFunc(r.Stopped, func(one RerunTarget) bool { return one.Target.Run == run })
	}, Superseded, "", noon); err != nil {
		t.Fatalf("%v", err)
	}
	for range 400 {
		live(t, earlier)
		live(t, next)
	}
	advance(t, next)
	for _, s := range next.Steps {
		for _, target := range s.Targets {
			if state, was := before[target.RunID]; was && target.Run.State != state {
				t.Fatalf("%s of %s was %s, and is %s", target.Name, s.Name, state, target.Run.State)
			}
			if !target.Run.State.Finished() {
				t.Fatalf("%s of %s never ends: %s", target.Name, s.Name, target.Run.State)
			}
		}
	}
	if !next.State.Finished() {
		t.Fatalf("the attempt never ends: %s", next.State)
	}
}
