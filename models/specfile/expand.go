package specfile

import (
	"strconv"
	"strings"
)

// Limits of expansion. maxDepth is rpm's own. What is left when they are
// reached stays unexpanded.
const (
	maxDepth = 64
	maxFuel  = 4 << 20  // bytes read and written in one evaluation
	maxBody  = 64 << 10 // of a macro that can be called
)

type macro struct {
	body     string
	params   string // options of a parametric macro, without parentheses
	hasParam bool
}

// macros are definitions in force. The zero value cannot be written to.
type macros map[string]macro

// expander expands macros within limits. Everything that it reads or writes is
// paid from fuel.
type expander struct {
	macros macros
	fuel   int
}

// call is the call of a parametric macro that a body belongs to.
type call struct {
	name    string
	args    []string
	options map[byte]string // with their arguments
	text    string          // all arguments as they were given
}

func (x *expander) expand(s string) string { return x.expandIn(s, 0, nil) }

func (x *expander) expandIn(s string, depth int, in *call) string {
	x.fuel -= len(s)
	if depth > maxDepth || x.fuel < 0 || strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && x.fuel >= 0; {
		percent := strings.IndexByte(s[i:], '%')
		if percent < 0 {
			b.WriteString(s[i:])
			break
		}
		b.WriteString(s[i : i+percent])
		i += percent
		text, size := x.one(s[i:], depth, in)
		x.fuel -= len(text) + 1
		b.WriteString(text)
		i += size
	}
	return b.String()
}

// one expands what stands at the beginning of s, a percent sign, and says how
// much of s that was.
func (x *expander) one(s string, depth int, in *call) (text string, size int) {
	if len(s) == 1 {
		return s, 1
	}
	switch s[1] {
	case '%':
		return "%", 2
	case '(':
		return x.verbatim(s, ')')
	case '[':
		raw, size := x.verbatim(s, ']')
		if size < 3 || raw[size-1] != ']' {
			return raw, size
		}
		if v, ok := evaluateExpression(x.expandIn(raw[2:size-1], depth+1, in)); ok {
			return v.String(), size
		}
		return raw, size
	case '{':
		raw, size := x.verbatim(s, '}')
		if size < 3 || raw[size-1] != '}' {
			return raw, size
		}
		return x.braced(raw, depth, in), size
	}
	return x.bare(s, depth, in)
}

// verbatim is a bracketed call with its brackets; if it is never closed, the
// percent sign alone.
func (x *expander) verbatim(s string, closing byte) (text string, size int) {
	end := matching(s, 1, closing)
	if end < 0 {
		x.fuel -= len(s) // which was read for nothing
		return s[:1], 1
	}
	return s[:end+1], end + 1
}

// matching finds the bracket that closes the one at s[open].
func matching(s string, open int, closing byte) int {
	depth := 0
	for i := open; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[open]:
			depth++
		case closing:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// bare expands %name, %?name, %1, and the directives that end with the line.
func (x *expander) bare(s string, depth int, in *call) (text string, size int) {
	i := 1
	for i < len(s) && (s[i] == '?' || s[i] == '!') {
		i++
	}
	prefix, start := s[1:i], i
	if in != nil && i < len(s) && strings.IndexByte("*#", s[i]) >= 0 {
		size = i + 1
		if strings.HasPrefix(s[i:], "**") {
			size++
		}
		value, _ := in.parameter(s[i:size])
		return value, size
	}
	for i < len(s) && isWord(s[i]) {
		i++
	}
	name := s[start:i]
	if name == "" {
		return s[:1], 1
	}
	if in != nil && name[0] <= '9' {
		value, _ := in.parameter(name)
		return value, i
	}
	if isLineDirective(name) && prefix == "" {
		end := directiveEnd(s, i)
		x.directive(name, s[i:end], depth, in)
		return "", end
	}
	if m, ok := x.macros[name]; ok && m.hasParam && prefix == "" {
		end := strings.IndexByte(s[i:], '\n')
		if end < 0 {
			end = len(s) - i
		}
		return x.callMacro(name, m, x.expandIn(s[i:i+end], depth+1, in), depth), i + end
	}
	return x.lookUp(prefix, name, s[:i], depth, in), i
}

// lookUp is the value of a macro called without arguments.
func (x *expander) lookUp(prefix, name, raw string, depth int, in *call) string {
	m, defined := x.macros[name]
	tests, negated := strings.Contains(prefix, "?"), strings.Count(prefix, "!")%2 == 1
	switch {
	case tests && (negated || !defined):
		return ""
	case !defined || depth >= maxDepth:
		return raw
	case m.hasParam:
		return x.callMacro(name, m, "", depth)
	}
	return x.expandIn(m.body, depth+1, in)
}

// braced expands %{...}; raw has the braces.
func (x *expander) braced(raw string, depth int, in *call) string {
	inner := raw[2 : len(raw)-1]
	i := 0
	for i < len(inner) && (inner[i] == '?' || inner[i] == '!') {
		i++
	}
	prefix, start := inner[:i], i
	for i < len(inner) && (isWord(inner[i]) || i == start && inner[i] == '-' || inner[i] == '*' || inner[i] == '#') {
		i++
	}
	name, rest := inner[start:i], inner[i:]
	if name == "" {
		return raw
	}
	if in != nil && strings.IndexByte("-*#0123456789", name[0]) >= 0 {
		return x.bracedParameter(prefix, name, rest, depth, in)
	}
	tests, negated := strings.Contains(prefix, "?"), strings.Count(prefix, "!")%2 == 1
	m, defined := x.macros[name]
	switch {
	case rest == "":
		return x.lookUp(prefix, name, raw, depth, in)
	case tests && rest[0] == ':':
		if defined == negated {
			return ""
		}
		return x.expandIn(rest[1:], depth+1, in)
	case tests && (negated || !defined):
		return ""
	case isLineDirective(name) && rest[0] != ':':
		x.directive(name, rest, depth, in)
		return ""
	case defined && m.hasParam:
		return x.callMacro(name, m, x.expandIn(rest[1:], depth+1, in), depth)
	case defined && rest[0] != ':':
		return x.expandIn(m.body, depth+1, in)
	}
	if text, ok := x.builtin(name, rest, depth, in); ok {
		return text
	}
	return raw
}

// bracedParameter expands %{1}, %{-o}, %{-o*} and %{-o:text} in a body.
func (x *expander) bracedParameter(prefix, name, rest string, depth int, in *call) string {
	value, given := in.parameter(name)
	if negated := strings.Count(prefix, "!")%2 == 1; negated {
		given, value = !given, ""
	}
	if strings.HasPrefix(rest, ":") {
		if !given {
			return ""
		}
		return x.expandIn(rest[1:], depth+1, in)
	}
	return value
}

// parameter is an argument or option of the call.
func (c *call) parameter(name string) (value string, given bool) {
	switch {
	case name == "*":
		return strings.Join(c.args, " "), len(c.args) > 0
	case name == "**":
		return c.text, c.text != ""
	case name == "#":
		return strconv.Itoa(len(c.args)), true
	case name == "0":
		return c.name, true
	case name[0] != '-':
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || n > len(c.args) {
			return "", false
		}
		return c.args[n-1], true
	case len(name) < 2:
		return "", false
	}
	argument, given := c.options[name[1]]
	switch {
	case !given:
		return "", false
	case strings.HasSuffix(name, "*"):
		return argument, true
	case argument != "":
		return name[:2] + " " + argument, true
	}
	return name[:2], true
}

func (x *expander) callMacro(name string, m macro, text string, depth int) string {
	if !m.hasParam {
		return x.expandIn(m.body, depth+1, nil)
	}
	c := &call{name: name, text: strings.TrimSpace(text), options: map[byte]string{}}
	fields := strings.Fields(text)
	for len(fields) > 0 && m.params != "-" && len(fields[0]) > 1 && fields[0][0] == '-' {
		option := fields[0]
		fields = fields[1:]
		if option == "--" {
			break
		}
		for j := 1; j < len(option); j++ {
			at := strings.IndexByte(m.params, option[j])
			takesArgument := at >= 0 && at+1 < len(m.params) && m.params[at+1] == ':'
			if !takesArgument {
				c.options[option[j]] = ""
				continue
			}
			argument := option[j+1:]
			if argument == "" && len(fields) > 0 {
				argument, fields = fields[0], fields[1:]
			}
			c.options[option[j]] = argument
			break
		}
	}
	c.args = fields
	return x.expandIn(m.body, depth+1, c)
}
