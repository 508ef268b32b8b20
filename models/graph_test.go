package models

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// sketch describes a step of a graph: how its targets are grouped, and what it
// needs.
type sketch struct {
	kind      StepKind
	targets   []string
	follows   map[string]string
	apart     bool // a group for each target
	needs     []int
	perTarget []bool // of each need; join if it is shorter
}

// draw makes a graph of sketches, as it is when it has just been stored.
func draw(sketches ...sketch) *Graph {
	p := &Pipeline{ID: 1, ProjectID: 2, CommitID: 3, EventID: 4, Kind: PullRequestRef, Ref: "7", SHA: "abc", Package: "hello", Attempt: 1, State: Waiting}
	var groups []*RunGroup
	id := int64(100)
	for i, s := range sketches {
		step := &Step{ID: int64(i + 1), Position: i, Kind: s.kind, Name: fmt.Sprintf("%s-%d", s.kind, i), State: Waiting}
		for n, need := range s.needs {
			step.Needs = append(step.Needs, &Need{StepID: step.ID, NeedsID: int64(need + 1), PerTarget: n < len(s.perTarget) && s.perTarget[n]})
		}
		for j, name := range s.targets {
			if j == 0 || s.apart {
				id++
				groups = append(groups, &RunGroup{ID: id, StepID: step.ID, Kind: s.kind, Phase: PhasePlanned})
			}
			id++
			run := &Run{ID: id, GroupID: groups[len(groups)-1].ID, PipelineID: 1, Kind: s.kind, Target: name, State: Waiting}
			target := &Target{ID: id, StepID: step.ID, Position: j, Name: name, Follows: s.follows[name], RunID: run.ID, Run: run}
			if s.kind != SRPMStep {
				target.Check = string(s.kind) + ":" + name
			}
			step.Targets = append(step.Targets, target)
		}
		p.Steps = append(p.Steps, step)
	}
	return NewGraph(p, groups)
}

// usual is a source RPM, builds in two chroots, and tests that follow them.
func usual() *Graph {
	return draw(
		sketch{kind: SRPMStep, targets: []string{"source"}},
		sketch{kind: CoprBuildStep, targets: []string{"f43", "f44"}, needs: []int{0}},
		sketch{kind: TestsStep, targets: []string{"f43", "f44"}, apart: true, needs: []int{1}, perTarget: []bool{true}},
	)
}

func advance(t rapidOrTest, g *Graph) []*RunGroup {
	t.Helper()
	queued, err := g.Advance(noon)
	if err != nil {
		t.Fatalf("Advance: %v", err)
	}
	return queued
}

type rapidOrTest interface {
	Helper()
	Fatalf(format string, args ...any)
}

func set(t *testing.T, g *Graph, step int, target string, state State) {
	t.Helper()
	if err := g.SetRun(g.Steps[step].Target(target).Run, state, "", noon); err != nil {
		t.Fatal(err)
	}
}

// picture is the states of a graph, a line for the pipeline and each step.
func picture(g *Graph) []string {
	lines := []string{string(g.State)}
	for _, s := range g.Steps {
		line := string(s.State) + ":"
		for _, t := range s.Targets {
			line += " " + string(t.Run.State)
		}
		lines = append(lines, line)
	}
	return lines
}

func want(t *testing.T, g *Graph, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, picture(g)); diff != "" {
		t.Fatalf("states (-want +got):\n%s", diff)
	}
}

func TestAdvanceFollowsEachTarget(t *testing.T) {
	t.Parallel()
	g := usual()
	if queued := advance(t, g); len(queued) != 1 || queued[0].Kind != SRPMStep || queued[0].Phase != PhaseQueued {
		t.Fatalf("queued at first: %+v", queued)
	}
	want(t, g, "queued", "queued: queued", "waiting: waiting waiting", "waiting: waiting waiting")
	set(t, g, 0, "source", Passed)
	if queued := advance(t, g); len(queued) != 1 || len(queued[0].Members) != 2 {
		t.Fatalf("queued after the source: %+v", queued)
	}
	want(t, g, "running", "passed: passed", "queued: queued queued", "waiting: waiting waiting")
	set(t, g, 1, "f44", Running)
	set(t, g, 1, "f44", Passed)
	if queued := advance(t, g); len(queued) != 1 || queued[0].Members[0].Target != "f44" {
		t.Fatalf("queued after one chroot: %+v", queued)
	}
	want(t, g, "running", "passed: passed", "running: queued passed", "queued: waiting queued")
	set(t, g, 1, "f43", Failed)
	if queued := advance(t, g); len(queued) != 0 {
		t.Fatalf("queued after a failure: %+v", queued)
	}
	want(t, g, "running", "passed: passed", "failed: failed passed", "queued: skipped queued")
	if got := g.Steps[2].Targets[0].Run.Reason; got != "It needs the Copr build of f43, which failed." {
		t.Errorf("it is skipped because: %s", got)
	}
	set(t, g, 2, "f44", Passed)
	advance(t, g)
	want(t, g, "failed", "passed: passed", "failed: failed passed", "passed: skipped passed")
	if g.Runs != 5 || g.RunsDone != 5 || g.RunsBad != 1 || !g.FinishedAt.Equal(noon) {
		t.Errorf("counted %d runs, %d done, %d bad, ended at %v", g.Runs, g.RunsDone, g.RunsBad, g.FinishedAt)
	}
	for _, group := range g.Groups {
		if group.Phase != PhaseSettled {
			t.Errorf("group %d is %s", group.ID, group.Phase)
		}
	}
}

func TestAdvanceSkipsWhatCannotRun(t *testing.T) {
	t.Parallel()
	for _, end := range []State{Failed, Error, Canceled, Skipped, Superseded} {
		g := usual()
		advance(t, g)
		set(t, g, 0, "source", end)
		if queued := advance(t, g); len(queued) != 0 {
			t.Errorf("after %s: queued %+v", end, queued)
		}
		want(t, g, string(end), string(end)+": "+string(end), "skipped: skipped skipped", "skipped: skipped skipped")
		if got, want := g.Steps[1].Targets[0].Run.Reason, "It needs the source RPM, whose build "+endWords[end]+"."; got != want {
			t.Errorf("the build is skipped because: %s", got)
		}
	}
}

func TestAdvanceJoins(t *testing.T) {
	t.Parallel()
	update := func() *Graph {
		return draw(
			sketch{kind: KojiBuildStep, targets: []string{"rawhide", "f44"}, apart: true},
			sketch{kind: BodhiUpdateStep, targets: []string{"f44"}, needs: []int{0}},
		)
	}
	g := update()
	if queued := advance(t, g); len(queued) != 2 {
		t.Fatalf("queued: %+v", queued)
	}
	set(t, g, 0, "f44", Passed)
	advance(t, g)
	want(t, g, "running", "running: queued passed", "waiting: waiting")
	set(t, g, 0, "rawhide", Passed)
	if queued := advance(t, g); len(queued) != 1 {
		t.Fatalf("queued: %+v", queued)
	}

	g = update()
	advance(t, g)
	set(t, g, 0, "rawhide", Error)
	advance(t, g) // skipped although the other build is still under way
	want(t, g, "running", "running: error queued", "skipped: skipped")
}

// TestAdvanceMixedGroup: a group whose targets follow different ones is queued
// when all that still can have what they need, without those that cannot.
func TestAdvanceMixedGroup(t *testing.T) {
	t.Parallel()
	mixed := func() *Graph {
		return draw(
			sketch{kind: KojiBuildStep, targets: []string{"a", "b", "c"}, apart: true},
			sketch{kind: CoprBuildStep, targets: []string{"a", "x"}, follows: map[string]string{"x": "b"}, needs: []int{0}, perTarget: []bool{true}},
			sketch{kind: TestsStep, targets: []string{"none"}, needs: []int{0}, perTarget: []bool{true}},
		)
	}
	g := mixed()
	advance(t, g)
	set(t, g, 0, "a", Passed)
	if queued := advance(t, g); len(queued) != 0 {
		t.Fatalf("queued before all are ready: %+v", queued)
	}
	set(t, g, 0, "b", Failed)
	if queued := advance(t, g); len(queued) != 1 {
		t.Fatalf("queued: %+v", queued)
	}
	want(t, g, "running", "running: passed failed queued", "queued: queued skipped", "skipped: skipped")
	if got := g.Steps[2].Targets[0].Run.Reason; got != "There is no Koji build for none." {
		t.Errorf("a target without what it follows is skipped because: %s", got)
	}
}

// TestAdvanceReused: runs of an earlier attempt count, and are left alone.
func TestAdvanceReused(t *testing.T) {
	t.Parallel()
	g := usual()
	for _, target := range g.Steps[0].Targets {
		target.Reused, target.Run.State, target.Run.StartedAt = true, Passed, noon.Add(-time.Hour)
	}
	g.Steps[1].Targets[0].Reused, g.Steps[1].Targets[0].Run.State = true, Waiting // still under way there
	g = clone(g)
	advance(t, g)
	want(t, g, "running", "passed: passed", "queued: waiting queued", "waiting: waiting waiting")
	if !g.StartedAt.IsZero() {
		t.Errorf("the pipeline has started at %v, when the earlier one did", g.StartedAt)
	}
	if err := g.Stop(Canceled, "ada wanted it.", noon); err != nil {
		t.Fatal(err)
	}
	advance(t, g)
	want(t, g, "running", "passed: passed", "running: waiting canceled", "canceled: canceled canceled")
}

// TestAdvanceLeavesReusedAlone: what another pipeline waits for there is not
// decided here.
func TestAdvanceLeavesReusedAlone(t *testing.T) {
	t.Parallel()
	g := usual()
	g.Steps[1].Targets[0].Reused = true
	g = clone(g)
	advance(t, g)
	set(t, g, 0, "source", Failed)
	advance(t, g)
	want(t, g, "running", "failed: failed", "waiting: waiting skipped", "waiting: waiting skipped")
}

func TestSetRun(t *testing.T) {
	t.Parallel()
	g := usual()
	run := g.Steps[0].Targets[0].Run
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for i, step := range []struct {
		next    State
		reason  string
		changed bool
	}{
		{Queued, "", true}, {Queued, "", false}, {Queued, "try again", true}, {Running, "", true}, {Queued, "again", true},
		{Running, "", true}, {Passed, "", true}, {Failed, "late", false}, {Passed, "twice", false},
	} {
		clear(g.runs)
		if err := g.SetRun(run, step.next, step.reason, at(i)); err != nil {
			t.Fatal(err)
		}
		if changed := len(g.ChangedRuns()) == 1; changed != step.changed {
			t.Errorf("step %d to %s: changed is %v", i, step.next, changed)
		}
	}
	if run.State != Passed || run.Reason != "" || !run.QueuedAt.Equal(at(0)) || !run.StartedAt.Equal(at(3)) || !run.FinishedAt.Equal(at(6)) {
		t.Errorf("the run is %+v", run)
	}
	other := g.Steps[1].Targets[0].Run
	if err := g.SetRun(other, Running, "", noon); err == nil || other.State != Waiting {
		t.Errorf("a waiting run is %s: %v", other.State, err)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	tests := []struct {
		phase, after Phase
		epoch        int64
	}{
		{PhasePlanned, PhaseSettled, 4}, {PhaseQueued, PhaseSettled, 4},
		{PhaseWorking, PhaseCanceling, 4}, {PhaseSubmitted, PhaseCanceling, 4}, {PhaseCanceling, PhaseCanceling, 4},
		{PhaseSettled, PhaseSettled, 3},
	}
	for _, test := range tests {
		g := draw(sketch{kind: SRPMStep, targets: []string{"source"}})
		group, run := g.Groups[101], g.Steps[0].Targets[0].Run
		group.Phase, group.Epoch, group.Polls, group.Worker, group.LeaseUntil = test.phase, 3, 90, "w", noon
		if test.phase == PhaseSettled {
			run.State = Passed
		}
		if err := g.Stop(Superseded, "A newer push came.", noon); err != nil {
			t.Fatal(err)
		}
		advance(t, g)
		if group.Phase != test.after || group.Epoch != test.epoch {
			t.Errorf("%s: the group is %s in epoch %d, want %s in %d", test.phase, group.Phase, group.Epoch, test.after, test.epoch)
		}
		if test.after == PhaseCanceling && (group.Polls != 0 && test.phase != PhaseCanceling || group.Worker != "" || !group.LeaseUntil.IsZero()) {
			t.Errorf("%s: polled %d times, held by %q until %v", test.phase, group.Polls, group.Worker, group.LeaseUntil)
		}
		if test.phase != PhaseSettled && (run.State != Superseded || run.Reason != "A newer push came." || g.State != Superseded) {
			t.Errorf("%s: the run is %s: %s", test.phase, run.State, run.Reason)
		}
	}
}

// anyGraph draws a graph with steps, targets, groups and needs of all sorts.
func anyGraph(t *rapid.T) *Graph {
	kinds := []StepKind{SRPMStep, CoprBuildStep, TestsStep, KojiBuildStep}
	names := []string{"a", "b", "c", "d"}
	sketches := make([]sketch, rapid.IntRange(1, 6).Draw(t, "steps"))
	for i := range sketches {
		s := sketch{
			kind: rapid.SampledFrom(kinds).Draw(t, "kind"), apart: rapid.Bool().Draw(t, "apart"),
			targets: names[:rapid.IntRange(1, len(names)).Draw(t, "targets")], follows: map[string]string{},
		}
		if rapid.Bool().Draw(t, "follows another") {
			s.follows["b"] = "a"
		}
		for need := range i {
			if rapid.IntRange(0, 2).Draw(t, "need") == 0 {
				s.needs = append(s.needs, need)
				s.perTarget = append(s.perTarget, rapid.Bool().Draw(t, "per target"))
			}
		}
		sketches[i] = s
	}
	return draw(sketches...)
}

// clone is a graph in the same state.
func clone(g *Graph) *Graph {
	p := *g.Pipeline
	p.Steps = nil
	for _, s := range g.Steps {
		step := *s
		step.Targets = nil
		for _, target := range s.Targets {
			c, run := *target, *target.Run
			c.Run = &run
			step.Targets = append(step.Targets, &c)
		}
		p.Steps = append(p.Steps, &step)
	}
	var groups []*RunGroup
	for _, group := range g.Groups {
		c := *group
		groups = append(groups, &c)
	}
	return NewGraph(&p, groups)
}

// answers are how each run ends if it is ever asked.
func answers(t *rapid.T, g *Graph) map[int64]State {
	ends := map[int64]State{}
	for _, s := range g.Steps {
		for _, target := range s.Targets {
			ends[target.RunID] = rapid.SampledFrom([]State{Passed, Passed, Passed, Failed, Error, Canceled}).Draw(t, "end")
		}
	}
	return ends
}

// play answers the runs that are queued, in an order that choose decides, until
// none is. After each answer it checks what always holds.
func play(t *rapid.T, g *Graph, ends map[int64]State, choose func(n int) int) {
	ever := map[int64]bool{}
	note := func(queued []*RunGroup) {
		for _, group := range queued {
			if ever[group.ID] {
				t.Fatalf("group %d is queued twice", group.ID)
			}
			ever[group.ID] = true
		}
	}
	note(advance(t, g))
	for {
		checkAdvanced(t, g)
		var open []*Run
		for _, s := range g.Steps {
			for _, target := range s.Targets {
				if target.Run.State == Queued {
					open = append(open, target.Run)
				}
			}
		}
		if len(open) == 0 {
			return
		}
		run := open[choose(len(open))]
		if err := g.SetRun(run, ends[run.ID], "", noon); err != nil {
			t.Fatal(err)
		}
		note(advance(t, g))
	}
}

// checkAdvanced checks that another Advance changes nothing, and that nothing
// runs before what it needs has passed.
func checkAdvanced(t *rapid.T, g *Graph) {
	again := clone(g)
	if queued := advance(t, again); len(queued) != 0 || again.Visible() || len(again.ChangedGroups()) != 0 {
		t.Fatalf("a second Advance queues %d groups and changes the graph: %v", len(queued), again.Visible())
	}
	if diff := cmp.Diff(picture(g), picture(again)); diff != "" {
		t.Fatalf("a second Advance changes states:\n%s", diff)
	}
	for _, s := range g.Steps {
		for _, target := range s.Targets {
			if target.Run.State == Waiting || target.Run.State == Skipped {
				continue
			}
			if ok, _ := g.needsPassed(s, target); !ok {
				t.Fatalf("%s of %s is %s, but what it needs has not passed", target.Name, s.Name, target.Run.State)
			}
		}
	}
}

func TestAdvanceProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(t)
		other := clone(g)
		ends := answers(t, g)
		play(t, g, ends, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "next") })
		play(t, other, ends, func(int) int { return 0 })
		if diff := cmp.Diff(picture(g), picture(other)); diff != "" {
			t.Fatalf("the order of answers matters:\n%s", diff)
		}
		if !g.State.Finished() || g.RunsDone != g.Runs {
			t.Fatalf("all is answered, and the pipeline is %s with %d of %d done", g.State, g.RunsDone, g.Runs)
		}
		for _, group := range g.Groups {
			if group.Phase != PhaseSettled {
				t.Fatalf("group %d is %s", group.ID, group.Phase)
			}
		}
	})
}

// TestStopProperties: a pipeline can be stopped at any moment, and then it ends.
func TestStopProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(t)
		ends := answers(t, g)
		left := rapid.IntRange(0, 12).Draw(t, "answers before the stop")
		advance(t, g)
		for _, s := range g.Steps {
			for _, target := range s.Targets {
				if left > 0 && target.Run.State == Queued {
					left--
					if err := g.SetRun(target.Run, ends[target.RunID], "", noon); err != nil {
						t.Fatal(err)
					}
					advance(t, g)
				}
			}
		}
		before := picture(g)
		if err := g.Stop(Canceled, "", noon); err != nil {
			t.Fatal(err)
		}
		if queued := advance(t, g); len(queued) != 0 || !g.State.Finished() {
			t.Fatalf("after the stop the pipeline is %s and %d groups are queued; before: %v", g.State, len(queued), before)
		}
		for _, s := range g.Steps {
			for _, target := range s.Targets {
				if !target.Run.State.Finished() {
					t.Fatalf("%s of %s is %s", target.Name, s.Name, target.Run.State)
				}
			}
		}
	})
}
