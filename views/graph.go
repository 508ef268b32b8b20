package views

import (
	"cmp"
	"slices"
	"strconv"

	"millrace/models"
)

// The measures of the drawing, in units of which 32 are --u high and 16 are
// --k wide in graph.css: both sides must agree.
const (
	boxWidth     = 272
	columnGap    = 64
	headerHeight = 48
	chipHeight   = 32
	boxBottom    = 8
	boxGap       = 24

	mostChips    = 8  // of a box; the rest is one line
	crowd        = 24 // a graph of more boxes than this
	chipsInCrowd = 4  // draws fewer chips in each
)

// graph is a pipeline laid out in columns: each step stands right of all it
// needs. Heights are those that the stylesheet gives the boxes.
type graph struct {
	Columns       [][]*box
	Edges         []edge
	Width, Height int
}

// box is a step.
type box struct {
	Step    *models.Step
	Column  int
	X, Y    int
	Height  int
	Chips   []*models.Target // drawn, in the order of the plan; of too many those that failed come first
	More    int              // targets that are not drawn
	MoreBad int              // of them failed or could not be found out
}

// right is where edges leave.
func (b *box) right() int { return b.X + boxWidth }

// middle is where edges of the whole step end.
func (b *box) middle() int { return b.Y + headerHeight/2 }

// chipMiddle is where edges of the i-th chip end; the line of those that are
// not drawn comes after the last.
func (b *box) chipMiddle(i int) int { return b.Y + headerHeight + i*chipHeight + chipHeight/2 }

// bad reports whether a target has failed or could not be found out.
func (b *box) bad() bool {
	return slices.ContainsFunc(b.Step.Targets, func(t *models.Target) bool { return urgency(t) == 0 })
}

// place is the position of a target among the chips.
func (b *box) place(t *models.Target) int {
	if i := slices.Index(b.Chips, t); i >= 0 {
		return i
	}
	return len(b.Chips)
}

// edge is a line from the right side of a box to the left side of a later one.
type edge struct {
	Class  string // done, flowing, idle or shut
	Points []point
}

type point struct{ X, Y int }

// layout places the steps and draws their needs. It works for any steps: needs
// that lead nowhere or in circles are left out.
func layout(steps []*models.Step) graph {
	l := layouter{byID: make(map[int64]*box, len(steps)), column: make(map[int64]int, len(steps))}
	most := mostChips
	if len(steps) > crowd {
		most = chipsInCrowd
	}
	for _, s := range steps {
		if _, double := l.byID[s.ID]; !double {
			l.byID[s.ID] = newBox(s, most)
			l.boxes = append(l.boxes, l.byID[s.ID])
		}
	}
	for _, b := range l.boxes {
		b.Column = l.columnOf(b.Step, 0)
	}
	l.place()
	for _, b := range l.boxes {
		l.connect(b)
	}
	slices.SortStableFunc(l.g.Edges, func(a, b edge) int {
		return cmp.Compare(drawOrder[a.Class], drawOrder[b.Class])
	})
	return l.g
}

// drawOrder puts what moves above what does not.
var drawOrder = map[string]int{"idle": 0, "done": 1, "flowing": 2, "shut": 3}

type layouter struct {
	g        graph
	boxes    []*box
	byID     map[int64]*box
	column   map[int64]int // -1 while it is being found out
	tracks   map[track][]stretch
	passages map[passage][]origin
}

func newBox(s *models.Step, most int) *box {
	b := &box{Step: s, Chips: s.Targets}
	if len(s.Targets) > most {
		b.Chips = slices.Clone(s.Targets)
		slices.SortStableFunc(b.Chips, func(x, y *models.Target) int { return cmp.Compare(urgency(x), urgency(y)) })
		for _, t := range b.Chips[most:] {
			b.More++
			if urgency(t) == 0 {
				b.MoreBad++
			}
		}
		b.Chips = b.Chips[:most]
	}
	lines := len(b.Chips)
	if b.More > 0 {
		lines++
	}
	b.Height = headerHeight + lines*chipHeight + boxBottom
	return b
}

// urgency is 0 for targets that must not be left out of a drawing.
func urgency(t *models.Target) int {
	if t.Run != nil && (t.Run.State == models.Failed || t.Run.State == models.Error) {
		return 0
	}
	return 1
}

// columnOf is the length of the longest way to s. Depth bounds it where
// needs form a circle, which plans do not have.
func (l *layouter) columnOf(s *models.Step, depth int) int {
	if c, ok := l.column[s.ID]; ok {
		return max(c, 0)
	}
	l.column[s.ID] = -1
	c := 0
	for _, n := range s.Needs {
		if b, ok := l.byID[n.NeedsID]; ok && b.Step != s && l.column[n.NeedsID] >= 0 && depth < len(l.boxes) {
			c = max(c, l.columnOf(b.Step, depth+1)+1)
		}
	}
	l.column[s.ID] = c
	return c
}

// place puts the boxes of each column under one another, near what they need.
func (l *layouter) place() {
	last := 0
	for _, b := range l.boxes {
		last = max(last, b.Column)
	}
	if len(l.boxes) == 0 {
		return
	}
	l.g.Columns = make([][]*box, last+1)
	for _, b := range l.boxes {
		l.g.Columns[b.Column] = append(l.g.Columns[b.Column], b)
	}
	for i, column := range l.g.Columns {
		slices.SortStableFunc(column, func(a, b *box) int { return cmp.Compare(l.pull(a), l.pull(b)) })
		y := 0
		for _, b := range column {
			b.X, b.Y = i*(boxWidth+columnGap), y
			y += b.Height + boxGap
		}
		l.g.Height = max(l.g.Height, y-boxGap)
	}
	l.g.Width = (last+1)*boxWidth + last*columnGap
}

// pull is the height at which a box would like to be: that of what it needs.
func (l *layouter) pull(b *box) int {
	sum, n := 0, 0
	for _, need := range b.Step.Needs {
		if from, ok := l.byID[need.NeedsID]; ok && from.Column < b.Column {
			sum += from.middle()
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

// connect draws all that b needs.
func (l *layouter) connect(b *box) {
	for _, need := range b.Step.Needs {
		from, ok := l.byID[need.NeedsID]
		if !ok || from.Column >= b.Column {
			continue
		}
		if !need.PerTarget {
			l.draw(from, from.middle(), b, b.middle(), flow(from.Step.State, b.Step.State))
			continue
		}
		l.connectTargets(from, b)
	}
}

// connectTargets draws one edge for each pair of chips; those that are not
// drawn share one.
func (l *layouter) connectTargets(from, to *box) {
	byName := make(map[string]*models.Target, len(from.Step.Targets))
	for _, t := range from.Step.Targets {
		byName[t.Name] = t
	}
	type pair struct{ from, to int }
	class := make(map[pair]string)
	var order []pair
	whole := false
	for _, t := range to.Step.Targets {
		source, ok := byName[t.FollowedTarget()]
		if !ok {
			whole = true // there is no such target, so the whole step is needed
			continue
		}
		p := pair{from.place(source), to.place(t)}
		c := flow(stateOf(source), stateOf(t))
		known, drawn := class[p]
		if !drawn {
			order = append(order, p)
		}
		if !drawn || drawOrder[c] > drawOrder[known] {
			class[p] = c
		}
	}
	if whole {
		l.draw(from, from.middle(), to, to.middle(), flow(from.Step.State, to.Step.State))
	}
	for _, p := range order {
		l.draw(from, from.chipMiddle(p.from), to, to.chipMiddle(p.to), class[p])
	}
}

func stateOf(t *models.Target) models.State {
	if t.Run == nil {
		return models.Waiting
	}
	return t.Run.State
}

// flow says how far the work has come on an edge: solid where it arrived,
// moving while the follower is at it, shut where a failure stopped it.
func flow(from, to models.State) string {
	switch {
	case from == models.Failed || from == models.Error:
		return "shut"
	case from != models.Passed:
		return "idle"
	case to == models.Running:
		return "flowing"
	case to == models.Passed || to == models.Failed || to == models.Error:
		return "done"
	}
	return "idle"
}

// origin is where an edge begins. Edges of one origin may lie on each other.
type origin struct {
	box *box
	y   int
}

// A track is a place for vertical lines between two columns, a passage one for
// horizontal lines between two boxes of a column.
type track struct{ gap, x int }
type passage struct{ column, y int }
type stretch struct {
	of     origin
	lo, hi int
}

// Where lines may run, in the order in which places are taken. A line that is
// shut needs room for its gate first.
var (
	tracksOpen = []int{32, 24, 40, 16, 48}
	tracksShut = []int{44, 50, 38}
	lanes      = []int{12, 8, 16, 4, 20}
)

// draw leads a line from one box to a later one, through the gaps between the
// boxes that stand in between.
func (l *layouter) draw(from *box, y0 int, to *box, y1 int, class string) {
	of := origin{from, y0}
	points := []point{{from.right(), y0}}
	y := y0
	for column := from.Column + 1; column <= to.Column; column++ {
		next := y1
		if column < to.Column {
			next = l.through(of, column, y)
		}
		if next != y {
			x := l.trackFor(of, column-1, min(y, next), max(y, next), class == "shut" && column == from.Column+1)
			points = append(points, point{x, y}, point{x, next})
		}
		y = next
	}
	l.g.Edges = append(l.g.Edges, edge{class, append(points, point{to.X, y1})})
}

// through finds the height nearest to y at which a line can cross a column.
func (l *layouter) through(of origin, column, y int) int {
	boxes := l.g.Columns[column]
	below := 0
	best := 1 << 30
	for _, b := range boxes {
		bottom := b.Y + b.Height
		if d := abs(bottom + boxGap/2 - y); d < best {
			best, below = d, bottom
		}
	}
	if l.passages == nil {
		l.passages = make(map[passage][]origin)
	}
	for _, lane := range lanes {
		p := passage{column, below + lane}
		if users := l.passages[p]; len(users) == 0 || users[0] == of {
			l.passages[p] = []origin{of}
			return p.y
		}
	}
	return below + lanes[0]
}

func (l *layouter) trackFor(of origin, gap, lo, hi int, shut bool) int {
	if l.tracks == nil {
		l.tracks = make(map[track][]stretch)
	}
	start := gap*(boxWidth+columnGap) + boxWidth
	choice := tracksOpen
	if shut {
		choice = tracksShut
	}
	for _, offset := range choice {
		at := track{gap, offset}
		free := !slices.ContainsFunc(l.tracks[at], func(s stretch) bool {
			return s.of != of && s.lo <= hi && lo <= s.hi
		})
		if free {
			l.tracks[at] = append(l.tracks[at], stretch{of, lo, hi})
			return start + offset
		}
	}
	return start + choice[0]
}

func abs(n int) int { return max(n, -n) }

// strokes are the lines of a graph as path data, one for each class, so that
// a graph of hundreds of edges is a handful of elements.
func (g graph) strokes() []stroke {
	data := make(map[string][]byte)
	for _, e := range g.Edges {
		if e.Class != "shut" {
			data[e.Class] = appendPath(data[e.Class], e.Points)
			continue
		}
		// up to the gate the line is there, behind it nothing arrives
		at := e.Points[0]
		gate := at.X + 22
		data["shut"] = appendPath(data["shut"], []point{at, {gate, at.Y}})
		data["gate"] = appendPath(data["gate"], []point{{gate, at.Y - 9}, {gate, at.Y + 9}})
		rest := slices.Clone(e.Points)
		rest[0].X = gate + 7
		data["idle"] = appendPath(data["idle"], rest)
	}
	var all []stroke
	for _, class := range []string{"idle", "done", "flowing", "shut", "gate"} {
		if d := data[class]; len(d) > 0 {
			all = append(all, stroke{class, string(d)})
		}
	}
	return all
}

type stroke struct{ Class, D string }

// appendPath writes right-angled lines with round corners.
func appendPath(d []byte, points []point) []byte {
	const radius = 10
	xy := func(d []byte, command byte, x, y int) []byte {
		d = append(d, command)
		d = strconv.AppendInt(d, int64(x), 10)
		d = append(d, ' ')
		return strconv.AppendInt(d, int64(y), 10)
	}
	d = xy(d, 'M', points[0].X, points[0].Y)
	for i := 1; i < len(points)-1; i++ {
		before, at, after := points[i-1], points[i], points[i+1]
		r := min(radius, (abs(at.X-before.X)+abs(at.Y-before.Y))/2, (abs(after.X-at.X)+abs(after.Y-at.Y))/2)
		in := point{at.X - r*sign(at.X-before.X), at.Y - r*sign(at.Y-before.Y)}
		out := point{at.X + r*sign(after.X-at.X), at.Y + r*sign(after.Y-at.Y)}
		d = xy(d, 'L', in.X, in.Y)
		d = xy(d, 'Q', at.X, at.Y)
		d = xy(d, ' ', out.X, out.Y)
	}
	last := points[len(points)-1]
	return xy(d, 'L', last.X, last.Y)
}

func sign(n int) int { return cmp.Compare(n, 0) }
