package specfile

import "strings"

// node is a piece of a value: plain text, a reference to a macro, or a
// conditional with a body.
type node struct {
	kind    nodeKind
	raw     string // as it is written
	name    string // of the macro
	negated bool
	head    string // of a conditional: %{?name:
	body    []node // of a conditional
}

type nodeKind int

const (
	literal     nodeKind = iota
	reference            // %name, %{name}, %{?name}
	conditional          // %{?name:body}
	other                // whatever has arguments or runs a program
)

// maxParsed bounds the values that are parsed into nodes, in bytes.
const maxParsed = 256 << 10

// parseValue divides a value. It is not ok if a macro in it never ends.
func parseValue(s string) (nodes []node, ok bool) {
	if len(s) > maxParsed {
		return nil, false
	}
	return parseNodes(s, 0)
}

func parseNodes(s string, depth int) (nodes []node, ok bool) {
	if depth > maxDepth {
		return nil, false
	}
	start := 0
	for i := 0; i < len(s); {
		percent := strings.IndexByte(s[i:], '%')
		if percent < 0 {
			break
		}
		i += percent
		if i+1 == len(s) {
			return nil, false
		}
		if s[i+1] == '%' {
			i += 2
			continue
		}
		n, size, ok := parseCall(s[i:], depth)
		if !ok {
			return nil, false
		}
		if size == 0 { // it means nothing to rpm
			i++
			continue
		}
		if i > start {
			nodes = append(nodes, node{kind: literal, raw: s[start:i]})
		}
		nodes = append(nodes, n)
		i += size
		start = i
	}
	if start < len(s) {
		nodes = append(nodes, node{kind: literal, raw: s[start:]})
	}
	return nodes, true
}

// parseCall reads the macro call at the beginning of s, a percent sign.
func parseCall(s string, depth int) (n node, size int, ok bool) {
	closing := strings.IndexByte("({[", s[1])
	if closing < 0 {
		i := 1
		for i < len(s) && (s[i] == '?' || s[i] == '!') {
			i++
		}
		nameStart := i
		for i < len(s) && isWord(s[i]) {
			i++
		}
		if i == nameStart {
			return node{}, 0, true
		}
		negated := strings.Count(s[1:nameStart], "!")%2 == 1
		return node{kind: reference, raw: s[:i], name: s[nameStart:i], negated: negated}, i, true
	}
	end := matching(s, 1, ")}]"[closing])
	if end < 0 {
		return node{}, 0, false
	}
	raw := s[:end+1]
	if s[1] != '{' {
		return node{kind: other, raw: raw}, len(raw), true
	}
	return parseBraced(raw, depth)
}

func parseBraced(raw string, depth int) (n node, size int, ok bool) {
	inner := raw[2 : len(raw)-1]
	i := 0
	for i < len(inner) && (inner[i] == '?' || inner[i] == '!') {
		i++
	}
	prefix, nameStart := inner[:i], i
	for i < len(inner) && isWord(inner[i]) {
		i++
	}
	n = node{kind: other, raw: raw, name: inner[nameStart:i], negated: strings.Count(prefix, "!")%2 == 1}
	switch {
	case n.name == "":
	case i == len(inner):
		n.kind = reference
	case inner[i] == ':' && strings.Contains(prefix, "?"):
		n.kind, n.head = conditional, raw[:2+i+1]
		n.body, ok = parseNodes(inner[i+1:], depth+1)
		if !ok {
			return node{}, 0, false
		}
	}
	return n, len(raw), true
}

// callsMacro reports whether a text calls the macro, also with arguments or in
// the body of a conditional.
func callsMacro(s, name string) bool {
	if !strings.Contains(s, name) {
		return false
	}
	nodes, ok := parseValue(s)
	return ok && anyCalls(nodes, name)
}

func anyCalls(nodes []node, name string) bool {
	for _, n := range nodes {
		if n.kind != literal && n.kind != conditional && n.name == name || anyCalls(n.body, name) {
			return true
		}
	}
	return false
}
