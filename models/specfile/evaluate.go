package specfile

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// evaluation is what rpm would know after reading the file.
type evaluation struct {
	final macros // in force at the end
	valid []bool // for each line: it is in no false branch
	tags  []tag  // of the file, with their values
}

func (e *evaluation) expandFinal(s string) string {
	x := &expander{macros: e.clone(), fuel: maxFuel}
	return x.expand(s)
}

// evaluate reads the file from top to bottom as rpm does: conditions,
// definitions and tags take effect where they stand. Conditions that cannot
// be decided count as false.
func (f *File) evaluate() {
	e := f.run(nil)
	f.env, f.tags = e, e.tags
	for i := range f.defs {
		f.defs[i].valid = e.valid[f.defs[i].start]
	}
}

// run evaluates the file with further macros, which it puts above those of
// Define.
func (f *File) run(extra []namedBody) *evaluation {
	fuel := maxFuel + 2*f.size()
	r := &reader{
		file:  f,
		x:     &expander{macros: maps.Clone(defaults), fuel: fuel},
		valid: make([]bool, len(f.lines)),
		tags:  slices.Clone(f.tags),
	}
	for _, d := range slices.Concat(f.defines, extra) {
		r.x.macros[d.name] = macro{body: d.body}
	}
	r.read()
	// A tag may use macros that come later, as a source does with %{version}.
	x := &expander{macros: maps.Clone(r.x.macros), fuel: fuel}
	for i := range r.tags {
		if t := &r.tags[i]; t.valid && !IsExpanded(t.expanded) {
			t.expanded = x.expand(t.value)
		}
	}
	return &evaluation{final: r.x.macros, valid: r.valid, tags: r.tags}
}

// reader goes through the lines of a file.
type reader struct {
	file     *File
	x        *expander
	valid    []bool
	tags     []tag
	branches []branch
}

// branch is an open condition.
type branch struct {
	active bool // its present branch is true, and so is all around it
	taken  bool // one of its branches was true
	outer  bool
}

// maxBranches bounds the nesting of conditions. Deeper ones count as false.
const maxBranches = 1000

func (r *reader) active() bool {
	return len(r.branches) == 0 || r.branches[len(r.branches)-1].active
}

func (r *reader) read() {
	f := r.file
	def, tag, block := 0, 0, 0
	for i := 0; i < len(f.lines); {
		for block < len(f.blocks) && f.blocks[block].start < i {
			block++
		}
		end := i + 1
		switch {
		case def < len(f.defs) && f.defs[def].start == i:
			end = f.defs[def].end
			r.define(f.defs[def])
			def++
		case tag < len(r.tags) && r.tags[tag].start == i:
			end = r.tags[tag].end
			r.tag(&r.tags[tag])
			tag++
		case block < len(f.blocks) && f.blocks[block].start == i:
			end = f.blocks[block].end
			r.sideEffects(joined(f.lines[i:end]))
		default:
			if c, ok := parseCondition(f.lines, i); ok {
				end = c.end
				r.condition(c)
			} else {
				r.sideEffects(f.lines[i].text)
			}
		}
		r.mark(i, end)
		i = end
	}
}

// mark marks lines with the state after reading them.
func (r *reader) mark(start, end int) {
	for i := start; i < end; i++ {
		r.valid[i] = r.active()
	}
}

func joined(lines []line) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(l.text)
	}
	return b.String()
}

func (r *reader) define(d definition) {
	if r.active() && !d.commented {
		r.x.define(d.name, d.params, d.body, d.keyword == "global", 0, nil)
	}
}

// sideEffects lets definitions that stand inside of other macros happen.
func (r *reader) sideEffects(text string) {
	if !r.active() || strings.HasPrefix(text, "%dnl") {
		return
	}
	for _, directive := range []string{"%global", "%define", "%undefine", "%bcond", "%{bcond", "%{define", "%{global"} {
		if strings.Contains(text, directive) {
			r.x.expand(text)
			return
		}
	}
}

func (r *reader) tag(t *tag) {
	_, guarded := r.x.macros[t.guard]
	t.valid = r.active() && (t.guard == "" || guarded != t.negated)
	t.expanded = ""
	if !t.valid {
		return
	}
	t.expanded = r.x.expand(t.value)
	if t.section == 0 && len(t.expanded) <= maxBody {
		m := macro{body: strings.ReplaceAll(t.expanded, "%", "%%")}
		if !IsExpanded(t.expanded) {
			m.body = t.value // may be known later
		}
		if strings.Contains(m.body, "%{"+t.name+"}") || strings.Contains(m.body, "%"+t.name) {
			return // or it would stand for itself
		}
		r.x.macros[t.name] = m
		r.x.macros[strings.ToUpper(t.name)] = m
	}
}

// condition is a line such as "%if 0%{?fedora}", with those that continue it.
type condition struct {
	span
	keyword string // without the percent sign
	text    string
}

var conditionText = regexp.MustCompile(
	`^\s*%(if|ifarch|ifnarch|ifos|ifnos|elif|elifarch|elifos|else|endif)(?:[\s(!"].*)?$`)

func parseCondition(lines []line, i int) (condition, bool) {
	text := lines[i].text
	if !strings.Contains(text, "%e") && !strings.Contains(text, "%if") {
		return condition{}, false
	}
	m := conditionText.FindStringSubmatch(text)
	if m == nil {
		return condition{}, false
	}
	c := condition{span: span{i, i + 1}, keyword: m[1]}
	c.text = strings.TrimSpace(text[strings.Index(text, "%")+1+len(m[1]):])
	if c.keyword == "else" || c.keyword == "endif" {
		return c, true
	}
	for continues(c.text) && c.end < len(lines) && len(c.text) <= maxExpression {
		c.text = c.text[:len(c.text)-1] + " " + lines[c.end].text
		c.end++
	}
	return c, true
}

func (r *reader) condition(c condition) {
	switch c.keyword {
	case "endif":
		if len(r.branches) > 0 {
			r.branches = r.branches[:len(r.branches)-1]
		}
	case "else", "elif", "elifarch", "elifos":
		if len(r.branches) == 0 {
			return
		}
		b := &r.branches[len(r.branches)-1]
		b.active = b.outer && !b.taken && (c.keyword == "else" || r.holds(c))
		b.taken = b.taken || b.active
	default:
		b := branch{outer: r.active()}
		b.active = b.outer && len(r.branches) < maxBranches && r.holds(c)
		b.taken = b.active
		r.branches = append(r.branches, b)
	}
}

func (r *reader) holds(c condition) bool {
	text := r.x.expand(c.text)
	keyword := strings.TrimPrefix(c.keyword, "el")
	switch keyword {
	case "if":
		v, ok := evaluateExpression(text)
		return ok && v.isTrue()
	case "ifarch", "ifnarch":
		return r.among("%{_target_cpu}", text) != (keyword == "ifnarch")
	}
	return r.among("%{_target_os}", text) != (keyword == "ifnos")
}

func (r *reader) among(macro, list string) bool {
	return slices.Contains(strings.FieldsFunc(list, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' }), r.x.expand(macro))
}

// clone is a copy of the macros at the end that expansion may change.
func (e *evaluation) clone() macros { return maps.Clone(e.final) }
