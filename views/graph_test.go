package views

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"millrace/models"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// plan makes steps of one target each; the needs are joins.
func plan(needs ...[]int64) []*models.Step {
	var steps []*models.Step
	for i, ids := range needs {
		s := &models.Step{ID: int64(i), Name: fmt.Sprint(i), Targets: []*models.Target{{Name: "t"}}}
		for _, n := range ids {
			s.Needs = append(s.Needs, &models.Need{StepID: s.ID, NeedsID: n})
		}
		steps = append(steps, s)
	}
	return steps
}

func TestColumns(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps []*models.Step
		want  [][]int64
	}{
		"nothing":                       {nil, nil},
		"one":                           {plan(nil), [][]int64{{0}}},
		"a chain":                       {plan(nil, []int64{0}, []int64{1}), [][]int64{{0}, {1}, {2}}},
		"the longest way counts":        {plan(nil, []int64{0}, []int64{0, 1}), [][]int64{{0}, {1}, {2}}},
		"two ways beside each other":    {plan(nil, []int64{0}, []int64{0}, []int64{1, 2}), [][]int64{{0}, {1, 2}, {3}}},
		"needs of steps that are not":   {plan([]int64{77}, []int64{0}), [][]int64{{0}, {1}}},
		"itself":                        {plan([]int64{0}), [][]int64{{0}}},
		"a circle does not hang":        {plan([]int64{1}, []int64{0}), [][]int64{{1}, {0}}},
		"near what it needs":            {plan(nil, nil, []int64{1}, []int64{0}), [][]int64{{0, 1}, {3, 2}}},
		"late in the list, early drawn": {plan([]int64{1}, nil), [][]int64{{1}, {0}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [][]int64
			for _, column := range layout(test.steps).Columns {
				var ids []int64
				for _, b := range column {
					ids = append(ids, b.Step.ID)
				}
				got = append(got, ids)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to models.State
		want     string
	}{
		{models.Passed, models.Passed, "done"},
		{models.Passed, models.Failed, "done"},
		{models.Passed, models.Running, "flowing"},
		{models.Passed, models.Queued, "idle"},
		{models.Passed, models.Skipped, "idle"},
		{models.Running, models.Waiting, "idle"},
		{models.Failed, models.Skipped, "shut"},
		{models.Error, models.Waiting, "shut"},
		{models.Canceled, models.Skipped, "idle"},
	}
	for _, test := range tests {
		if got := flow(test.from, test.to); got != test.want {
			t.Errorf("flow(%s, %s) = %s, want %s", test.from, test.to, got, test.want)
		}
	}
}

func TestFailedTargetsAreDrawn(t *testing.T) {
	t.Parallel()
	s := &models.Step{ID: 1}
	for i := range 12 {
		state := models.Passed
		if i >= 10 || i == 3 {
			state = models.Failed
		}
		s.Targets = append(s.Targets, target(int64(i), fmt.Sprint(i), state, m, m))
	}
	b := layout([]*models.Step{s}).Columns[0][0]
	var names []string
	for _, c := range b.Chips {
		names = append(names, c.Name)
	}
	want := []string{"3", "10", "11", "0", "1", "2", "4", "5"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if b.More != 4 || b.MoreBad != 0 {
		t.Errorf("more, bad = %d, %d, want 4, 0", b.More, b.MoreBad)
	}
	if s.Targets[0].Name != "0" {
		t.Error("the drawing changed the order of the plan")
	}

	for _, target := range s.Targets {
		target.Run.State = models.Error
	}
	if b := newBox(s, mostChips); b.MoreBad != 4 {
		t.Errorf("bad among the rest = %d, want 4", b.MoreBad)
	}
}

// A pipeline in which nothing crosses: the edges are known by heart.
func TestEdges(t *testing.T) {
	t.Parallel()
	build := &models.Step{ID: 1, State: models.Running, Targets: []*models.Target{
		target(1, "f43", models.Passed, m, m), target(2, "epel9", models.Failed, m, m),
	}}
	test := &models.Step{ID: 2, State: models.Running, Needs: []*models.Need{{NeedsID: 1, PerTarget: true}}, Targets: []*models.Target{
		target(3, "f43", models.Running, m, 0), target(4, "epel9", models.Skipped, 0, 0), target(5, "f43-upgrade", models.Passed, m, m),
	}}
	test.Targets[2].Follows = "f43"
	end := &models.Step{ID: 3, State: models.Waiting, Needs: []*models.Need{{NeedsID: 2}}, Targets: []*models.Target{target(6, "all", models.Waiting, 0, 0)}}
	got := layout([]*models.Step{build, test, end}).Edges
	want := []edge{
		{"idle", []point{{608, 24}, {672, 24}}},
		{"done", []point{{272, 64}, {304, 64}, {304, 128}, {336, 128}}},
		{"flowing", []point{{272, 64}, {336, 64}}},
		{"shut", []point{{272, 96}, {336, 96}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStrokes(t *testing.T) {
	t.Parallel()
	g := graph{Edges: []edge{
		{"done", []point{{272, 24}, {304, 24}, {304, 64}, {336, 64}}},
		{"shut", []point{{272, 96}, {336, 96}}},
	}}
	want := []stroke{
		{"idle", "M301 96L336 96"},
		{"done", "M272 24L294 24Q304 24 304 34L304 54Q304 64 314 64L336 64"},
		{"shut", "M272 96L294 96"},
		{"gate", "M294 87L294 105"},
	}
	if diff := cmp.Diff(want, g.strokes()); diff != "" {
		t.Error(diff)
	}
}

// anyPlan draws plans that planners would not make, too.
func anyPlan(t *rapid.T) []*models.Step {
	n := rapid.IntRange(0, 45).Draw(t, "steps")
	var steps []*models.Step
	for i := range n {
		s := &models.Step{ID: int64(i + 1), Name: fmt.Sprint(i), State: rapid.SampledFrom(models.States).Draw(t, "state")}
		for j := range rapid.IntRange(0, 14).Draw(t, "targets") {
			s.Targets = append(s.Targets, &models.Target{ID: int64(i*100 + j), Name: fmt.Sprint(j), Run: &models.Run{State: rapid.SampledFrom(models.States).Draw(t, "run")}})
		}
		for range rapid.IntRange(0, 3).Draw(t, "needs") {
			s.Needs = append(s.Needs, &models.Need{StepID: s.ID, NeedsID: int64(rapid.IntRange(0, n+1).Draw(t, "need")), PerTarget: rapid.Bool().Draw(t, "per target")})
		}
		steps = append(steps, s)
	}
	return steps
}

func TestLayoutHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		steps := anyPlan(t)
		g := layout(steps)
		var boxes []*box
		for i, column := range g.Columns {
			for j, b := range column {
				if b.X != i*(boxWidth+columnGap) || b.Column != i {
					t.Fatalf("box %d stands at %d in column %d", b.Step.ID, b.X, i)
				}
				if j > 0 && b.Y != column[j-1].Y+column[j-1].Height+boxGap {
					t.Fatalf("box %d is not right under the one above it", b.Step.ID)
				}
				if b.X+boxWidth > g.Width || b.Y+b.Height > g.Height {
					t.Fatalf("box %d lies outside of the drawing", b.Step.ID)
				}
				boxes = append(boxes, b)
			}
		}
		if len(boxes) != len(steps) {
			t.Fatalf("%d boxes for %d steps", len(boxes), len(steps))
		}
		for _, e := range g.Edges {
			first, last := e.Points[0], e.Points[len(e.Points)-1]
			if !slices.ContainsFunc(boxes, func(b *box) bool { return first.X == b.right() && within(b, first.Y) }) {
				t.Fatalf("an edge starts at %v, where no box ends", first)
			}
			if !slices.ContainsFunc(boxes, func(b *box) bool { return last.X == b.X && within(b, last.Y) }) {
				t.Fatalf("an edge ends at %v, where no box begins", last)
			}
			for i := 1; i < len(e.Points); i++ {
				checkStretch(t, boxes, e.Points[i-1], e.Points[i])
			}
		}
	})
}

func within(b *box, y int) bool { return b.Y < y && y < b.Y+b.Height }

// checkStretch wants right angles, no way back, and nothing through a box.
func checkStretch(t *rapid.T, boxes []*box, a, b point) {
	if a.X != b.X && a.Y != b.Y {
		t.Fatalf("%v to %v is askew", a, b)
	}
	if b.X < a.X {
		t.Fatalf("%v to %v leads back", a, b)
	}
	for _, box := range boxes {
		crossesX := a.X < box.X+boxWidth && b.X > box.X
		lo, hi := min(a.Y, b.Y), max(a.Y, b.Y)
		if crossesX && lo < box.Y+box.Height && hi > box.Y {
			t.Fatalf("%v to %v goes through box %d", a, b, box.Step.ID)
		}
	}
}

// The stylesheet repeats the measures of the drawing; they must agree.
func TestMeasuresAgree(t *testing.T) {
	t.Parallel()
	css := string(fetch(t, stylesheetPath))
	for what, rule := range map[string]string{
		"width of a column": fmt.Sprintf("grid-auto-columns: calc(%d * var(--k))", boxWidth/16),
		"gap of columns":    fmt.Sprintf("column-gap: calc(%d * var(--k))", columnGap/16),
		"gap of boxes":      fmt.Sprintf("gap: calc(var(--u) * %s)", fraction(boxGap)),
		"header":            fmt.Sprintf("height: calc(var(--u) * %s)", fraction(headerHeight)),
		"bottom of a box":   fmt.Sprintf("padding-bottom: calc(var(--u) * %s)", fraction(boxBottom)),
		"chip":              "height: var(--u)",
	} {
		if !strings.Contains(css, rule) {
			t.Errorf("%s: the stylesheet does not say %q", what, rule)
		}
	}
}

func fraction(units int) string {
	return strings.TrimPrefix(strings.TrimRight(fmt.Sprintf("%.2f", float64(units)/32), "0"), "0")
}

func BenchmarkPipelinePage(b *testing.B) {
	for _, n := range []int{5, 200} {
		b.Run(fmt.Sprintf("targets=%d", n), func(b *testing.B) {
			page := Pipeline(PipelinePage{Pipeline: bigPipeline(n)})
			ctx := sampleContext()
			b.ReportAllocs()
			for b.Loop() {
				if len(render(b, ctx, page)) == 0 {
					b.Fatal("nothing was written")
				}
			}
		})
	}
}
