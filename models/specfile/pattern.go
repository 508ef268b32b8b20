package specfile

import "strings"

// pattern recognises the parts of a new value that belong to the macros of an
// old one, and is the template that puts them together again.
type pattern struct {
	parts []part
	flip  map[string]bool // macros to switch on or off for it to hold
}

// part of a pattern: constant text, or a group of at least one byte.
type part struct {
	constant string // to match; template says what to write
	template string
	macro    string // the group stands for this macro
	free     bool   // the group is text of the value itself
}

// partKind tells what a piece of the old value may become.
type partKind int

const (
	fixed   partKind = iota // expands to something that cannot be changed
	free                    // text of the value
	grouped                 // a macro that can be changed
)

type token struct {
	kind     partKind
	match    string // text, or for grouped the name
	template string
}

// entitySet answers what may be changed from where a value stands.
type entitySet struct {
	modifiable func(name string) bool
	flippable  func(name string) bool
	expand     func(s string) string
}

// newPattern makes the pattern of a value. There is none if two macros stand
// side by side, because then nobody can tell where one ends, nor if the value
// cannot be parsed.
func newPattern(value string, set entitySet) (*pattern, bool) {
	nodes, ok := parseValue(value)
	if !ok {
		return nil, false
	}
	c := &conditions{set: set, flip: map[string]bool{}, seen: map[string]bool{}}
	tokens, ok := squash(c.tokens(nodes))
	if !ok {
		return nil, false
	}
	p := &pattern{flip: c.flip}
	for i, t := range tokens {
		switch t.kind {
		case fixed:
			p.parts = append(p.parts, part{constant: t.match, template: t.template})
		case grouped:
			p.parts = append(p.parts, part{macro: t.match, template: t.template})
		case free:
			p.parts = append(p.parts, freeParts(t.match, nearGroup(tokens, i, -1), nearGroup(tokens, i, 1))...)
		}
	}
	return p, true
}

// conditions walks over conditionals and notes which macros decide them.
type conditions struct {
	set  entitySet
	flip map[string]bool
	seen map[string]bool
}

func (c *conditions) tokens(nodes []node) []token {
	var tokens []token
	for _, n := range nodes {
		switch {
		case n.kind == literal:
			tokens = append(tokens, token{free, n.raw, n.raw})
		case n.kind == conditional && c.enters(n):
			tokens = append(tokens, token{fixed, "", n.head})
			tokens = append(tokens, c.tokens(n.body)...)
			tokens = append(tokens, token{fixed, "", "}"})
		case n.kind == conditional:
			tokens = append(tokens, token{fixed, "", n.raw})
		case n.kind == reference && !n.negated && c.set.modifiable(n.name):
			tokens = append(tokens, token{grouped, n.name, n.raw})
		default:
			tokens = append(tokens, token{fixed, c.set.expand(n.raw), n.raw})
		}
	}
	return tokens
}

// enters reports whether the body of a conditional counts: it holds, or it can
// be made to hold by switching its macro.
func (c *conditions) enters(n node) bool {
	if !c.set.modifiable(n.name) {
		return false
	}
	defined := c.set.expand("%{?"+n.name+":1}") != ""
	switch {
	case defined == n.negated: // does not hold
		if !c.set.flippable(n.name) || c.seen[n.name] && !c.flip[n.name] {
			return false
		}
		c.flip[n.name] = true
	case c.flip[n.name]: // holds now, but will not
		return false
	}
	c.seen[n.name] = true
	return true
}

// squash joins neighbours of one kind. Groups cannot be joined.
func squash(tokens []token) ([]token, bool) {
	var joined []token
	for _, t := range tokens {
		last := len(joined) - 1
		if last < 0 || joined[last].kind != t.kind {
			joined = append(joined, t)
			continue
		}
		if t.kind == grouped {
			return nil, false
		}
		joined[last].match += t.match
		joined[last].template += t.template
	}
	return joined, true
}

// nearGroup reports whether a group follows in a direction with nothing
// constant between.
func nearGroup(tokens []token, i, step int) bool {
	for i += step; i >= 0 && i < len(tokens); i += step {
		switch {
		case tokens[i].kind == grouped:
			return true
		case tokens[i].kind == free, tokens[i].match != "":
			return false
		}
	}
	return false
}

// freeParts makes text changeable, but for a delimiter on each side where a
// group is near.
func freeParts(text string, before, after bool) []part {
	start, end := 0, len(text)
	if before {
		for start < len(text) && isWordByte(text[start]) {
			start++
		}
		start++ // the delimiter itself
	}
	if after {
		for end > 0 && isWordByte(text[end-1]) {
			end--
		}
		end--
	}
	if start > end || start > len(text) || end < 0 || strings.Contains(text, "\n") {
		return []part{{constant: text, template: text}}
	}
	parts := []part{{constant: text[:start], template: text[:start]}}
	if start < end {
		parts = append(parts, part{free: true})
	}
	return append(parts, part{constant: text[end:], template: text[end:]})
}

// isWordByte takes the bytes of other scripts for letters.
func isWordByte(c byte) bool { return isWord(c) || c >= 0x80 }

// maxMatching bounds the work of matching for one change.
const maxMatching = 1_000_000

// match finds what each group stands for in s. Macros get as much as they can,
// the first ones first; free text gets as little as it can. A macro that is
// there twice stands for the same both times. When fuel is gone, nothing matches.
func (p *pattern) match(s string, fuel *int) (groups []string, ok bool) {
	m := &matcher{parts: p.parts, s: s, groups: make([]string, len(p.parts)), fuel: fuel}
	if !m.from(0, 0) {
		return nil, false
	}
	return m.groups, true
}

type matcher struct {
	parts  []part
	s      string
	groups []string // by part
	fuel   *int
}

func (m *matcher) from(i, at int) bool {
	if *m.fuel--; *m.fuel < 0 {
		return false
	}
	if i == len(m.parts) {
		return at == len(m.s)
	}
	p := m.parts[i]
	if p.macro == "" && !p.free {
		return strings.HasPrefix(m.s[at:], p.constant) && m.from(i+1, at+len(p.constant))
	}
	if earlier, repeated := m.earlier(i); repeated {
		m.groups[i] = earlier
		return strings.HasPrefix(m.s[at:], earlier) && m.from(i+1, at+len(earlier))
	}
	for n := 1; at+n <= len(m.s); n++ {
		end := at + n
		if !p.free {
			end = len(m.s) - n + 1
		}
		m.groups[i] = m.s[at:end]
		if m.from(i+1, end) {
			return true
		}
	}
	return false
}

func (m *matcher) earlier(i int) (string, bool) {
	if m.parts[i].macro == "" {
		return "", false
	}
	for j := range i {
		if m.parts[j].macro == m.parts[i].macro {
			return m.groups[j], true
		}
	}
	return "", false
}

// write is the new value: the template with its free text replaced.
func (p *pattern) write(groups []string) string {
	var b strings.Builder
	for i, part := range p.parts {
		if part.free {
			b.WriteString(groups[i])
		} else {
			b.WriteString(part.template)
		}
	}
	return b.String()
}
