package specfile

import (
	"regexp"
	"strings"
)

// definition is a %global or %define, also one that is commented out.
type definition struct {
	span
	name      string // without parameters
	params    string // with their parentheses; empty if the macro takes none
	body      string // lines joined by "\n"
	head      string // what precedes the body, after comment
	tail      string // blanks behind the body
	indent    string
	keyword   string // global or define
	prefix    string // between comment mark and %
	commented bool
	style     commentStyle
	valid     bool // in no false branch
}

type commentStyle int

const (
	dnlComment   commentStyle = iota // %dnl %global
	hashComment                      // #global
	otherComment                     // # %%global, which cannot be undone safely
)

var definitionText = regexp.MustCompile(
	`^(\s*)(?:(%dnl)(.*?)%|(#.*?)%|(#)|%)(global|define)(\s+)(\w+)(\(.*?\))?(\s+)(.*)$`)

// findDefinitions lists the macro definitions of a file in their order.
func findDefinitions(lines []line) []definition {
	var defs []definition
	for i := 0; i < len(lines); i++ {
		if !strings.Contains(lines[i].text, "global") && !strings.Contains(lines[i].text, "define") {
			continue
		}
		d, ok := parseDefinition(lines, i)
		if !ok {
			continue
		}
		defs = append(defs, d)
		i = d.end - 1
	}
	return defs
}

func parseDefinition(lines []line, i int) (definition, bool) {
	m := definitionText.FindStringSubmatch(lines[i].text)
	if m == nil {
		return definition{}, false
	}
	d := definition{span: span{i, i + 1}, indent: m[1], keyword: m[6], name: m[8], params: m[9]}
	d.head = m[7] + m[8] + m[9] + m[10]
	switch {
	case m[2] != "":
		d.commented, d.style, d.prefix = true, dnlComment, m[3]
	case m[5] != "":
		d.commented, d.style = true, hashComment
	default:
		// rpm expands macros in comments, so "# %global" defines one, and
		// "# %%global" does not.
		d.prefix = strings.TrimSuffix(m[4], "%")
		if strings.HasSuffix(d.prefix, "%") {
			d.commented, d.style = true, otherComment
		}
	}
	body := m[11]
	if !d.commented {
		body, d.end = gatherBody(lines, i, body)
	}
	d.body = strings.TrimRight(body, " \t\r\f\v")
	d.tail = body[len(d.body):]
	return d, true
}

// gatherBody joins the lines of a macro body: it goes on after a backslash at
// the end of a line and while braces or parentheses of macros are open.
func gatherBody(lines []line, i int, first string) (body string, end int) {
	var open brackets
	open.read(first)
	end = i + 1
	if !open.any() && !continues(first) {
		return first, end
	}
	var b strings.Builder
	b.WriteString(first)
	last := first
	for end < len(lines) && (open.any() || continues(last)) {
		last = lines[end].text
		open.read(last)
		b.WriteString("\n")
		b.WriteString(last)
		end++
	}
	return b.String(), end
}

func continues(text string) bool { return strings.HasSuffix(text, `\`) }

// brackets counts the %{ and %( that wait for their ends.
type brackets struct{ braces, parens int }

func (b *brackets) any() bool { return b.braces > 0 || b.parens > 0 }

func (b *brackets) read(s string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '%':
			i++
			if i < len(s) && s[i] == '{' {
				b.braces++
			} else if i < len(s) && s[i] == '(' {
				b.parens++
			}
		case '{':
			if b.braces > 0 {
				b.braces++
			}
		case '}':
			b.braces = max(0, b.braces-1)
		case '(':
			if b.parens > 0 {
				b.parens++
			}
		case ')':
			b.parens = max(0, b.parens-1)
		}
	}
}

// texts are the lines of a definition.
func (d *definition) texts() []string {
	mark := "%"
	switch {
	case d.commented && d.style == dnlComment:
		mark = "%dnl" + d.prefix + "%"
	case d.commented && d.style == hashComment:
		mark = d.prefix + "#"
	default:
		mark = d.prefix + "%"
	}
	return strings.Split(d.indent+mark+d.keyword+d.head+d.body+d.tail, "\n")
}

func definitionSpans(defs []definition) []span {
	spans := make([]span, 0, len(defs))
	for _, d := range defs {
		spans = append(spans, d.span)
	}
	return spans
}

// findBlocks finds macro calls over several lines between start and end, such
// as %{lua: ... }, whose inner lines are no tags. One that is never closed is
// taken for a line like others.
func findBlocks(lines []line, defs []definition, within span, patience *int) []span {
	var blocks []span
	next := 0
	for i := within.start; i < within.end; i++ {
		for next < len(defs) && defs[next].end <= i {
			next++
		}
		if next < len(defs) && defs[next].start <= i {
			i = defs[next].end - 1
			continue
		}
		text := strings.TrimLeft(lines[i].text, " \t")
		if !strings.HasPrefix(text, "%{") && !strings.HasPrefix(text, "%(") {
			continue
		}
		if end := blockEnd(lines, i, within.end, lines[i].text, patience); end > i+1 {
			blocks = append(blocks, span{i, end})
			i = end - 1
		}
	}
	return blocks
}

// maxBlock bounds how far the end of a multi-line call is looked for, in lines.
const maxBlock = 2000

// blockEnd finds the end of the lines that a call takes which begins in first,
// on line i. If it is never closed, or too many lines were read for nothing
// already and patience is gone, the call is taken to be that line alone.
func blockEnd(lines []line, i, limit int, first string, patience *int) int {
	var open brackets
	open.read(first)
	for end := i + 1; ; end++ {
		switch {
		case !open.any():
			return end
		case end >= min(limit, i+maxBlock) || *patience <= 0:
			return i + 1
		}
		*patience--
		open.read(lines[end].text)
	}
}
