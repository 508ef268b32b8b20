package specfile

import (
	"cmp"
	"strconv"
	"strings"

	"millrace/models/rpm"
)

// value is what an expression of %if or %[...] comes to.
type value struct {
	kind valueKind
	n    int64
	s    string
}

type valueKind int

const (
	integer valueKind = iota
	text
	version // v"1.0"
)

func (v value) isTrue() bool {
	if v.kind == integer {
		return v.n != 0
	}
	return v.s != ""
}

// String is how rpm prints the value.
func (v value) String() string {
	if v.kind == integer {
		return strconv.FormatInt(v.n, 10)
	}
	return v.s
}

// maxExpression bounds an expression, in bytes.
const maxExpression = 16 << 10

// evaluateExpression computes an expression whose macros are expanded. What is
// no expression, or is beyond the limits, is not ok.
func evaluateExpression(s string) (value, bool) {
	if len(s) > maxExpression {
		return value{}, false
	}
	p := &expression{rest: s}
	v := p.ternary()
	p.skip()
	if p.failed || p.rest != "" {
		return value{}, false
	}
	return v, true
}

// expression is what is left to read. Once failed is set, values mean nothing.
type expression struct {
	rest   string
	depth  int
	failed bool
}

func (p *expression) skip() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *expression) fail() value {
	p.failed, p.rest = true, ""
	return value{}
}

// take reads one of the operators, longest first.
func (p *expression) take(operators ...string) string {
	p.skip()
	for _, op := range operators {
		if strings.HasPrefix(p.rest, op) {
			p.rest = p.rest[len(op):]
			return op
		}
	}
	return ""
}

func (p *expression) ternary() value {
	if p.depth++; p.depth > maxDepth {
		return p.fail()
	}
	defer func() { p.depth-- }()
	condition := p.or()
	if p.take("?") == "" {
		return condition
	}
	yes := p.ternary()
	if p.take(":") == "" {
		return p.fail()
	}
	no := p.ternary()
	if condition.isTrue() {
		return yes
	}
	return no
}

func (p *expression) or() value {
	v := p.and()
	for !p.failed && p.take("||") != "" {
		if w := p.and(); !v.isTrue() {
			v = w
		}
	}
	return v
}

func (p *expression) and() value {
	v := p.comparison()
	for !p.failed && p.take("&&") != "" {
		if w := p.comparison(); v.isTrue() {
			v = w
		}
	}
	return v
}

func (p *expression) comparison() value {
	v := p.sum()
	for !p.failed {
		op := p.take("==", "!=", "<=", ">=", "<", ">")
		if op == "" {
			return v
		}
		w := p.sum()
		if v.kind != w.kind {
			return p.fail()
		}
		v = value{n: int64(boolInt(holds(op, compareValues(v, w))))}
	}
	return v
}

// holds reports whether a comparison that came out as c satisfies op.
func holds(op string, c int) bool {
	switch op {
	case "==":
		return c == 0
	case "!=":
		return c != 0
	case "<=":
		return c <= 0
	case ">=":
		return c >= 0
	case "<":
		return c < 0
	}
	return c > 0
}

func compareValues(v, w value) int {
	switch v.kind {
	case text:
		return strings.Compare(v.s, w.s)
	case version:
		a, errA := rpm.ParseEVR(v.s)
		b, errB := rpm.ParseEVR(w.s)
		if errA != nil || errB != nil {
			return rpm.Vercmp(v.s, w.s)
		}
		return a.Compare(b)
	}
	return cmp.Compare(v.n, w.n)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (p *expression) sum() value {
	v := p.product()
	for !p.failed {
		op := p.take("+", "-")
		if op == "" {
			return v
		}
		w := p.product()
		switch {
		case v.kind == text && w.kind == text && op == "+":
			if v.s += w.s; len(v.s) > maxExpression {
				return p.fail()
			}
		case v.kind != integer || w.kind != integer:
			return p.fail()
		case op == "+":
			v.n += w.n
		default:
			v.n -= w.n
		}
	}
	return v
}

func (p *expression) product() value {
	v := p.unary()
	for !p.failed {
		op := p.take("*", "/")
		if op == "" {
			return v
		}
		w := p.unary()
		switch {
		case v.kind != integer || w.kind != integer || op == "/" && w.n == 0:
			return p.fail()
		case op == "*":
			v.n *= w.n
		default:
			v.n /= w.n
		}
	}
	return v
}

func (p *expression) unary() value {
	if p.depth++; p.depth > maxDepth {
		return p.fail()
	}
	defer func() { p.depth-- }()
	p.skip()
	switch {
	case p.rest == "":
		return p.fail()
	case p.rest[0] == '!':
		p.rest = p.rest[1:]
		return value{n: int64(boolInt(!p.unary().isTrue()))}
	case p.rest[0] == '-':
		p.rest = p.rest[1:]
		v := p.unary()
		if v.kind != integer {
			return p.fail()
		}
		return value{n: -v.n}
	case p.rest[0] == '(':
		p.rest = p.rest[1:]
		v := p.ternary()
		if p.take(")") == "" {
			return p.fail()
		}
		return v
	}
	return p.literal()
}

func (p *expression) literal() value {
	kind := text
	s := p.rest
	if strings.HasPrefix(s, `v"`) {
		kind, s = version, s[1:]
	}
	if s[0] == '"' {
		end := strings.IndexByte(s[1:], '"')
		if end < 0 {
			return p.fail()
		}
		p.rest = s[end+2:]
		return value{kind: kind, s: s[1 : end+1]}
	}
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil || end < len(s) && isWord(s[end]) {
		return p.fail() // rpm refuses bare words, too
	}
	p.rest = s[end:]
	return value{n: n}
}
