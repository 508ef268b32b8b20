package models

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Stage is a column of the way of a release: how far it has come on a branch.
type Stage int

const (
	UpstreamStage Stage = iota
	PullStage
	MergedStage
	BuildStage
	UpdateStage
	TestingStage
	StableStage
	stages
)

// CellState says how a branch stands at a stage.
type CellState string

const (
	CellPlanned CellState = "planned" // not there yet
	CellRunning CellState = "running" // on its way by itself
	CellDue     CellState = "due"     // waits for a person
	CellDone    CellState = "done"
	CellFailed  CellState = "failed"
	CellSkipped CellState = "skipped" // this branch goes without it
	CellEnded   CellState = "ended"   // canceled, closed, dropped: it goes no further here
)

// Way is how a release has come to Fedora, branch by branch. It joins what are
// several pipelines of several events.
type Way struct {
	Release *Product
	Rows    []*WayRow // rawhide first, then by name, the newest first
}

// WayRow is the way of a release on one branch.
type WayRow struct {
	Branch string
	Cells  [stages]Cell
	Due    Due
}

// Cell is how a branch stands at a stage.
type Cell struct {
	State   CellState
	Product *Product // what is there; nil for none
	Made    *Made    // the newest run that was to make it; nil for none
	Since   time.Time
	Note    string // why it is so, for people; may be empty
}

// Made is a run where it stands.
type Made struct {
	Pipeline *Pipeline
	Step     *Step
	Target   *Target
}

// DueKind is what somebody has to do for a branch to go on.
type DueKind string

const (
	DueNothing DueKind = ""
	DueMerge   DueKind = "merge"    // the pull request
	DueRerun   DueKind = "rerun"    // what failed
	DueKarma   DueKind = "feedback" // for the update, or patience
	DueGating  DueKind = "gating"   // tests of the update failed
)

// Due is what a branch waits for.
type Due struct {
	Kind  DueKind
	Stage Stage
	Words string // what to do, a whole sentence
}

// NewWay puts together how a release stands: products are all that followed from
// it, itself included, and pipelines are the newest attempts of what was planned
// for the events that told of them.
func NewWay(release *Product, products []*Product, pipelines []*Pipeline) *Way {
	b := &wayBuilder{rows: map[string]*WayRow{}, events: map[int64][]*Pipeline{}}
	for _, p := range pipelines {
		b.events[p.EventID] = append(b.events[p.EventID], p)
	}
	products = slices.Clone(products)
	slices.SortStableFunc(products, func(x, y *Product) int { return cmp.Compare(x.ID, y.ID) })
	b.proposed(release)
	for _, p := range products {
		b.place(p)
	}
	w := &Way{Release: release}
	for _, row := range b.rows {
		row.Cells[UpstreamStage] = Cell{State: CellDone, Product: release, Since: release.CreatedAt}
		row.finish()
		w.Rows = append(w.Rows, row)
	}
	slices.SortFunc(w.Rows, func(x, y *WayRow) int { return compareBranches(x.Branch, y.Branch) })
	return w
}

type wayBuilder struct {
	rows   map[string]*WayRow
	events map[int64][]*Pipeline
}

func (b *wayBuilder) row(branch string) *WayRow {
	row := b.rows[branch]
	if row == nil {
		row = &WayRow{Branch: branch}
		for i := range row.Cells {
			row.Cells[i].State = CellPlanned
		}
		b.rows[branch] = row
	}
	return row
}

// proposed fills in what the pipelines of the release itself are doing.
func (b *wayBuilder) proposed(release *Product) {
	for _, p := range b.events[release.EventID] {
		b.eachTarget(p, func(m *Made) {
			if m.Step.Kind == ProposeStep || m.Step.Kind == PullFromUpstreamStep {
				b.row(m.Target.Name).Cells[PullStage] = cellOf(m)
			}
		})
	}
}

func (b *wayBuilder) eachTarget(p *Pipeline, f func(*Made)) {
	for _, step := range p.Steps {
		for _, target := range step.Targets {
			if target.Run != nil {
				f(&Made{p, step, target})
			}
		}
	}
}

// cellOf is how a stage stands whose product is still to be made.
func cellOf(m *Made) Cell {
	run := m.Target.Run
	c := Cell{State: CellRunning, Made: m, Since: firstTime(run.FinishedAt, run.StartedAt, run.QueuedAt, run.CreatedAt), Note: run.Reason}
	switch run.State {
	case Waiting:
		c.State = CellPlanned
	case Passed:
		c.State = CellDone
	case Failed, Error:
		c.State = CellFailed
	case Skipped:
		c.State = CellSkipped
	case Canceled, Superseded:
		c.State = CellEnded
	}
	return c
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// place puts a product where it belongs. Products come in the order in which
// they became known, so the newest of a stage stays.
func (b *wayBuilder) place(p *Product) {
	if p.Kind == ReleaseProduct {
		return
	}
	row := b.row(p.Branch)
	switch p.Kind {
	case PullProduct:
		row.set(PullStage, p, pullCells[p.State], "")
	case CommitProduct:
		row.set(MergedStage, p, CellDone, "")
		b.follow(p, row, map[StepKind]Stage{KojiBuildStep: BuildStage})
	case BuildProduct:
		row.set(BuildStage, p, buildCells[p.State], p.Data.Reason)
		b.follow(p, row, map[StepKind]Stage{BodhiUpdateStep: UpdateStage})
	case UpdateProduct:
		row.update(p)
	}
}

// follow fills in what was planned for the event that told of a product.
func (b *wayBuilder) follow(p *Product, row *WayRow, to map[StepKind]Stage) {
	if p.EventID == 0 {
		return
	}
	for _, pipeline := range b.events[p.EventID] {
		b.eachTarget(pipeline, func(m *Made) {
			if stage, ok := to[m.Step.Kind]; ok && m.Target.Name == row.Branch {
				row.Cells[stage] = cellOf(m)
				for later := stage + 1; later < stages; later++ {
					row.Cells[later] = Cell{State: CellPlanned}
				}
			}
		})
	}
}

func (r *WayRow) set(stage Stage, p *Product, state CellState, note string) {
	made := r.Cells[stage].Made
	if made != nil && p.RunID != 0 && made.Target.RunID != p.RunID && !made.Target.Run.State.Finished() {
		return // it is being made anew
	}
	r.Cells[stage] = Cell{State: state, Product: p, Made: made, Since: firstTime(p.FinishedAt, p.CreatedAt), Note: note}
}

var pullCells = map[ProductState]CellState{ProductOpen: CellDone, ProductMerged: CellDone, ProductClosed: CellEnded}

var buildCells = map[ProductState]CellState{
	ProductBuilding: CellRunning, ProductComplete: CellDone, ProductFailed: CellFailed, ProductCanceled: CellEnded,
}

// update fills in the three stages that Bodhi knows.
func (r *WayRow) update(p *Product) {
	r.set(UpdateStage, p, CellDone, "")
	testing, stable := &r.Cells[TestingStage], &r.Cells[StableStage]
	*testing, *stable = Cell{State: CellPlanned, Product: p}, Cell{State: CellPlanned, Product: p}
	switch p.State {
	case ProductPending:
		*testing = Cell{State: CellRunning, Product: p, Since: p.CreatedAt}
		if p.Data.Gating == "failed" {
			testing.State, testing.Note = CellFailed, "Its tests failed, which Bodhi asks for."
		}
	case ProductTesting:
		*testing = Cell{State: CellRunning, Product: p, Since: firstTime(p.Data.TestingAt, p.CreatedAt)}
	case ProductStable:
		*testing = Cell{State: CellDone, Product: p, Since: firstTime(p.Data.TestingAt, p.CreatedAt)}
		*stable = Cell{State: CellDone, Product: p, Since: firstTime(p.Data.StableAt, p.FinishedAt)}
	case ProductDropped:
		*testing = Cell{State: CellEnded, Product: p, Since: p.FinishedAt, Note: p.Data.Reason}
	}
}

// finish works out what is due.
func (r *WayRow) finish() {
	pull, merged := r.Cells[PullStage], &r.Cells[MergedStage]
	if pull.Product != nil && merged.Product == nil {
		switch pull.Product.State {
		case ProductOpen:
			merged.State, merged.Since = CellDue, pull.Product.CreatedAt
			r.Due = Due{DueMerge, MergedStage, fmt.Sprintf("Merge %s.", pull.Product.Name)}
		case ProductMerged:
			merged.State, merged.Since = CellDone, pull.Product.FinishedAt
		case ProductClosed:
			merged.State, merged.Note = CellEnded, "The pull request was closed without being merged."
		}
	}
	for stage := PullStage; stage < stages; stage++ {
		if cell := r.Cells[stage]; cell.State == CellFailed {
			r.Due = Due{DueRerun, stage, "Look why it failed, then run it again."}
			if stage == TestingStage {
				r.Due = Due{DueGating, stage, "Look at the tests of the update: waive those that are wrong, or mend the package."}
			}
		}
	}
	if testing := r.Cells[TestingStage]; testing.State == CellRunning && testing.Product.State == ProductTesting {
		r.Due = Due{DueKarma, TestingStage, "Give karma in Bodhi, or wait."}
	}
}

// Failure is the newest run that failed on the branch, nil if none did.
func (r *WayRow) Failure() *Made {
	for _, cell := range slices.Backward(r.Cells[:]) {
		if cell.State == CellFailed && cell.Made != nil {
			return cell.Made
		}
	}
	return nil
}

// Counts says how the branches stand: on their way by themselves, failed, waiting
// for somebody, and arrived.
func (w *Way) Counts() (moving, failed, due, stable int) {
	for _, row := range w.Rows {
		switch {
		case row.Failed():
			failed++
		case row.Stable():
			stable++
		case row.Due.Kind == DueMerge:
			due++
		case !row.Ended():
			moving++
		}
	}
	return moving, failed, due, stable
}

// Took is how long it was from the release to the last branch that it reached,
// and whether it has reached any.
func (w *Way) Took() (time.Duration, bool) {
	var last time.Time
	for _, row := range w.Rows {
		if at := row.Cells[StableStage].Since; row.Stable() && at.After(last) {
			last = at
		}
	}
	if last.IsZero() || w.Release.CreatedAt.IsZero() {
		return 0, false
	}
	return last.Sub(w.Release.CreatedAt), true
}

// State is how the release stands as a whole.
func (w *Way) State() State {
	moving, failed, due, stable := w.Counts()
	switch {
	case failed > 0:
		return Failed
	case moving+due > 0:
		return Running
	case stable > 0:
		return Passed
	case len(w.Rows) == 0:
		return Skipped
	}
	return Canceled
}

// Failed reports whether something on the branch failed.
func (r *WayRow) Failed() bool {
	return slices.ContainsFunc(r.Cells[:], func(c Cell) bool { return c.State == CellFailed })
}

// Stable reports whether the release has arrived on the branch.
func (r *WayRow) Stable() bool { return r.Cells[StableStage].State == CellDone }

// Ended reports whether it goes no further on the branch, without having failed.
func (r *WayRow) Ended() bool {
	return !r.Failed() && slices.ContainsFunc(r.Cells[:], func(c Cell) bool { return c.State == CellEnded || c.State == CellSkipped })
}

// compareBranches sorts rawhide first, then Fedora's branches, then EPEL's, the
// newest first.
func compareBranches(x, y string) int {
	return cmp.Or(cmp.Compare(branchFamily(x), branchFamily(y)), -compareDigits(x, y), cmp.Compare(x, y))
}

func branchFamily(branch string) int {
	switch {
	case branch == "rawhide" || branch == "main":
		return 0
	case len(branch) > 1 && branch[0] == 'f' && branch[1] >= '0' && branch[1] <= '9':
		return 1
	case len(branch) > 4 && branch[:4] == "epel":
		return 2
	}
	return 3
}

// compareDigits compares names by the numbers in them.
func compareDigits(x, y string) int { return slices.Compare(numbersIn(x), numbersIn(y)) }

func numbersIn(s string) []int {
	var all []int
	in := false
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			in = false
			continue
		}
		if !in {
			all, in = append(all, 0), true
		}
		last := &all[len(all)-1]
		*last = min(*last*10+int(s[i]-'0'), 1<<30)
	}
	return all
}
