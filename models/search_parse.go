package models

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What a query may be at most.
const (
	longestQuery  = 1000 // bytes
	deepestQuery  = 20   // parentheses and negations within each other
	mostTerms     = 40
	mostValues    = 100 // in all terms together
	mostStars     = 8   // in one value
	longestRegexp = 200 // bytes
	largestRegexp = 400 // instructions of the compiled program
)

const foldCase = "(?i)"

// QueryError is a mistake in a query.
type QueryError struct {
	Column  int // from 1, in characters
	Message string
}

func (e *QueryError) Error() string { return fmt.Sprintf("At column %d: %s", e.Column, e.Message) }

// Unwrap says that it is a mistake of whoever sent the query.
func (e *QueryError) Unwrap() error { return &InputError{Field: "q", Message: e.Error()} }

// ParseQuery reads the search language: words and r/…/ for the main name, terms
// field:value, quotes, !, &&, ||, parentheses; a blank means and. fields says
// which list is searched. Times such as since:7d count from now. A mistake is a
// *QueryError.
func ParseQuery(text string, fields *QueryFields, now time.Time) (*Query, error) {
	if len(text) > longestQuery {
		return nil, &QueryError{1, fmt.Sprintf("a search may have %d bytes at most.", longestQuery)}
	}
	for i, r := range text {
		if r == utf8.RuneError || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return nil, (&queryParser{text: text}).mistake(i, "this character cannot be searched for.")
		}
	}
	p := &queryParser{text: text, fields: fields, now: now}
	p.blanks()
	if p.at == len(p.text) {
		return &Query{}, nil
	}
	q, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.at < len(p.text) { // only a closing parenthesis ends an expression early
		return nil, p.mistake(p.at, "this parenthesis was never opened.")
	}
	return q, nil
}

type queryParser struct {
	text   string
	at     int // byte
	depth  int
	terms  int
	values int
	fields *QueryFields
	now    time.Time
}

func (p *queryParser) mistake(at int, format string, args ...any) error {
	return &QueryError{utf8.RuneCountInString(p.text[:at]) + 1, fmt.Sprintf(format, args...)}
}

func (p *queryParser) blanks() {
	p.at += len(p.text[p.at:]) - len(strings.TrimLeftFunc(p.text[p.at:], unicode.IsSpace))
}

// take moves over token, and the blanks behind it, if it comes next.
func (p *queryParser) take(token string) bool {
	if !strings.HasPrefix(p.text[p.at:], token) {
		return false
	}
	p.at += len(token)
	p.blanks()
	return true
}

func (p *queryParser) or() (*Query, error) {
	return p.joined(QueryOr, p.and, func() bool { return p.take("||") })
}

func (p *queryParser) and() (*Query, error) {
	return p.joined(QueryAnd, p.not, func() bool {
		if p.take("&&") {
			return true
		}
		rest := p.text[p.at:]
		return rest != "" && rest[0] != ')' && !strings.HasPrefix(rest, "||")
	})
}

// joined reads parts while more says that another follows. Parts of the same
// operator become its own.
func (p *queryParser) joined(op QueryOp, part func() (*Query, error), more func() bool) (*Query, error) {
	var parts []*Query
	for {
		q, err := part()
		if err != nil {
			return nil, err
		}
		if q.Op == op {
			parts = append(parts, q.Parts...)
		} else {
			parts = append(parts, q)
		}
		if !more() {
			break
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &Query{Op: op, Parts: parts}, nil
}

func (p *queryParser) not() (*Query, error) {
	start := p.at
	if p.depth++; p.depth > deepestQuery {
		return nil, p.mistake(start, "this is nested too deeply.")
	}
	defer func() { p.depth-- }()
	switch {
	case p.take("!"):
		q, err := p.not()
		switch {
		case err != nil:
			return nil, err
		case q.Op == QueryNot:
			return q.Parts[0], nil
		}
		return &Query{Op: QueryNot, Parts: []*Query{q}}, nil
	case p.take("("):
		q, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, p.mistake(start, "this parenthesis is never closed.")
		}
		return q, nil
	}
	term, err := p.term()
	if err != nil {
		return nil, err
	}
	p.blanks()
	return &Query{Op: QueryIs, Term: term}, nil
}

func (p *queryParser) term() (*QueryTerm, error) {
	if p.terms++; p.terms > mostTerms {
		return nil, p.mistake(p.at, "a search may have %d terms at most.", mostTerms)
	}
	start, rest := p.at, p.text[p.at:]
	switch {
	case rest == "":
		return nil, p.mistake(p.at, "something is missing here.")
	case rest[0] == ')' || rest[0] == '&' || rest[0] == '|':
		return nil, p.mistake(p.at, "there must be a word before %q.", rest[:1])
	case strings.HasPrefix(rest, "r/"):
		return p.regexp()
	}
	if name := fieldName(rest); name != "" {
		p.at += len(name) + 1
		return p.field(start, strings.ToLower(name))
	}
	value, err := p.value("()!&|")
	if err != nil {
		return nil, err
	}
	return &QueryTerm{Values: []Pattern{value}}, nil
}

// fieldName returns the word before a colon with which text begins.
func fieldName(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-' })
	if end <= 0 || text[end] != ':' {
		return ""
	}
	return text[:end]
}

// regexp reads r/…/, in which \/ is a slash.
func (p *queryParser) regexp() (*QueryTerm, error) {
	start := p.at
	var source strings.Builder
	for i := start + 2; i < len(p.text); i++ {
		switch {
		case strings.HasPrefix(p.text[i:], `\/`):
			source.WriteByte('/')
			i++
		case p.text[i] == '\\' && i+1 < len(p.text):
			source.WriteString(p.text[i : i+2])
			i++
		case p.text[i] == '/':
			p.at = i + 1
			re, message := compileBounded(source.String())
			if message != "" {
				return nil, p.mistake(start, "%s", message)
			}
			return &QueryTerm{Regexp: re}, nil
		default:
			source.WriteByte(p.text[i])
		}
	}
	return nil, p.mistake(start, "the regular expression has no closing slash.")
}

// compileBounded compiles an expression that cannot take long, or says in words
// for people why it does not. RE2 never looks back, so the size of its program
// bounds the time.
func compileBounded(source string) (*regexp.Regexp, string) {
	if len(source) > longestRegexp {
		return nil, fmt.Sprintf("a regular expression may have %d bytes at most.", longestRegexp)
	}
	parsed, err := syntax.Parse(foldCase+source, syntax.Perl)
	if err != nil {
		return nil, "the regular expression cannot be read: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ") + "."
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > largestRegexp {
		return nil, "the regular expression is too large."
	}
	re, err := regexp.Compile(foldCase + source)
	if err != nil {
		return nil, "the regular expression cannot be read."
	}
	return re, ""
}

// field reads the values of a field, which begin here: some with commas between
// them, in parentheses or not.
func (p *queryParser) field(start int, name string) (*QueryTerm, error) {
	f, canonical := p.fields.find(name)
	if f == nil {
		if near := p.fields.nearest(name); near != "" {
			return nil, p.mistake(start, "there is no field %q; perhaps %q?", name, near)
		}
		return nil, p.mistake(start, "there is no field %q. There are %s. To search for a text with a colon, put it between quotes.", name, p.fields.names())
	}
	enclosed := p.take("(")
	term := &QueryTerm{Field: canonical}
	for {
		at := p.at
		value, err := p.value("()!&|,")
		if err != nil {
			return nil, err
		}
		if p.values++; p.values > mostValues {
			return nil, p.mistake(at, "a search may have %d values at most.", mostValues)
		}
		if message := f.add(term, value, p.now); message != "" {
			return nil, p.mistake(at, "%s", message)
		}
		if enclosed {
			p.blanks()
		}
		if p.at >= len(p.text) || p.text[p.at] != ',' {
			break
		}
		p.at++
		if enclosed {
			p.blanks()
		}
	}
	if enclosed && !p.take(")") {
		return nil, p.mistake(start, "this parenthesis is never closed.")
	}
	return term, nil
}

// value reads a text up to a blank or one of stops: pieces with stars between
// them. What stands between quotes may contain anything.
func (p *queryParser) value(stops string) (Pattern, error) {
	start := p.at
	pattern, piece := Pattern{}, strings.Builder{}
	for p.at < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[p.at:])
		if unicode.IsSpace(r) || strings.ContainsRune(stops, r) {
			break
		}
		p.at += size
		switch r {
		case '"':
			text, err := p.quotedText(p.at - 1)
			if err != nil {
				return nil, err
			}
			piece.WriteString(text)
		case '*':
			if len(pattern) == 0 || piece.Len() > 0 {
				pattern = append(pattern, piece.String())
				piece.Reset()
			}
		default:
			piece.WriteRune(r)
		}
	}
	if p.at == start {
		return nil, p.mistake(start, "a value is missing here.")
	}
	if len(pattern) > mostStars {
		return nil, p.mistake(start, "a value may have %d stars at most.", mostStars)
	}
	pattern = append(pattern, piece.String())
	for i := range pattern {
		pattern[i] = strings.ToLower(pattern[i])
	}
	return pattern, nil
}

// quotedText reads the rest of a quoted text, in which \ takes the character
// behind it as it is.
func (p *queryParser) quotedText(start int) (string, error) {
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return b.String(), nil
		case c == '\\' && p.at < len(p.text):
			b.WriteByte(p.text[p.at])
			p.at++
		default:
			b.WriteByte(c)
		}
	}
	return "", p.mistake(start, "this quote is never closed.")
}
