package models

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Query is what a list is searched for: a condition that each row meets or does
// not. Its zero value lets everything through.
type Query struct {
	Op    QueryOp
	Parts []*Query // of QueryAnd and QueryOr all, of QueryNot the one
	Term  *QueryTerm
}

// QueryOp says how the parts of a query come together.
type QueryOp int

const (
	QueryAnd QueryOp = iota // all parts; true without parts
	QueryOr                 // at least one of the parts
	QueryNot                // not the one part
	QueryIs                 // Term
)

// QueryTerm is a condition on one field.
type QueryTerm struct {
	Field   string         // empty: the main name
	Values  []Pattern      // any of them
	Regexp  *regexp.Regexp // of the main name, instead of Values
	Compare string         // of attempt, instead of Values: =, <, <=, >, >=
	Number  int            // what Compare compares with
	Time    time.Time      // of since and before, instead of Values
}

// Empty reports whether q lets everything through.
func (q *Query) Empty() bool { return q == nil || q.Op == QueryAnd && len(q.Parts) == 0 }

// String is the normal form: what it says when it is parsed again is the same,
// and so is its normal form.
func (q *Query) String() string {
	if q.Empty() {
		return ""
	}
	var b strings.Builder
	q.write(&b, QueryOr)
	return b.String()
}

// write puts parentheses around q where it stands within an operator that binds
// at least as tightly.
func (q *Query) write(b *strings.Builder, within QueryOp) {
	switch q.Op {
	case QueryIs:
		q.Term.write(b)
	case QueryNot:
		b.WriteByte('!')
		q.Parts[0].write(b, QueryNot)
	case QueryAnd, QueryOr:
		between := " "
		bare := within == QueryOr || within == QueryAnd && q.Op == QueryAnd
		if q.Op == QueryOr {
			between = " || "
		}
		if !bare {
			b.WriteByte('(')
		}
		for i, part := range q.Parts {
			if i > 0 {
				b.WriteString(between)
			}
			part.write(b, q.Op)
		}
		if !bare {
			b.WriteByte(')')
		}
	}
}

func (t *QueryTerm) write(b *strings.Builder) {
	if t.Regexp != nil {
		b.WriteString("r/" + strings.ReplaceAll(strings.TrimPrefix(t.Regexp.String(), foldCase), "/", `\/`) + "/")
		return
	}
	if t.Field != "" {
		b.WriteString(t.Field + ":")
	}
	switch {
	case !t.Time.IsZero():
		b.WriteString(t.Time.UTC().Format(time.RFC3339))
	case t.Compare == "=":
		fmt.Fprint(b, t.Number)
	case t.Compare != "":
		fmt.Fprint(b, t.Compare, t.Number)
	default:
		for i, v := range t.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(v.quoted(t.Field == ""))
		}
	}
}

// Pattern is a text in which * stands for anything, in lower case: the literal
// pieces between the stars. One piece is a whole text.
type Pattern []string

// ParsePattern reads a text in which * stands for anything. Repeated stars are
// one.
func ParsePattern(text string) Pattern {
	pieces := strings.Split(strings.ToLower(text), "*")
	pattern := Pattern{pieces[0]}
	for i, piece := range pieces[1:] {
		if piece == "" && i < len(pieces)-2 {
			continue // between two stars
		}
		pattern = append(pattern, piece)
	}
	return pattern
}

// Exact returns the one text that the pattern matches, and false if there are
// more.
func (p Pattern) Exact() (string, bool) {
	if len(p) == 1 {
		return p[0], true
	}
	return "", false
}

// Any reports whether the pattern matches everything.
func (p Pattern) Any() bool { return len(p) == 2 && p[0] == "" && p[1] == "" }

// Match reports whether the pattern matches the whole of text, in whatever case.
// It never looks back.
func (p Pattern) Match(text string) bool {
	text = strings.ToLower(text)
	if len(p) == 1 {
		return text == p[0]
	}
	rest, ok := strings.CutPrefix(text, p[0])
	if !ok {
		return false
	}
	last := len(p) - 1
	for _, piece := range p[1:last] {
		_, after, found := strings.Cut(rest, piece)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, p[last])
}

// Like is the pattern for SQL's LIKE with \ as escape character, to be compared
// with lower case.
func (p Pattern) Like() string {
	escape := strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)
	pieces := make([]string, len(p))
	for i, piece := range p {
		pieces[i] = escape.Replace(piece)
	}
	return strings.Join(pieces, "%")
}

// quoted is the pattern as it is written in a query. Text between quotes has no
// stars, so a pattern with both is written piece by piece.
func (p Pattern) quoted(bare bool) string {
	var b strings.Builder
	for i, piece := range p {
		if i > 0 {
			b.WriteByte('*')
		}
		if plainPiece(piece) && !(bare && i == 0 && looksSpecial(piece)) && !(len(p) == 1 && piece == "") {
			b.WriteString(piece)
			continue
		}
		if len(p) > 1 && piece == "" {
			continue
		}
		b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(piece) + `"`)
	}
	return b.String()
}

func plainPiece(piece string) bool {
	return !strings.ContainsFunc(piece, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`()!&|",*\`, r)
	}) && !strings.HasPrefix(piece, "<") && !strings.HasPrefix(piece, ">")
}

// looksSpecial reports whether a bare word that begins with piece would be read
// as something else: a regular expression, or a field.
func looksSpecial(piece string) bool {
	return strings.HasPrefix(piece, "r/") || strings.Contains(piece, ":")
}

// MatchesProject reports whether a project meets a term on its name or forge.
// Words are looked for in namespace/name; a term with stars, and the field
// project, mean the whole of the name, of namespace/name, or of
// forge/namespace/name.
func (t *QueryTerm) MatchesProject(p *Project) bool {
	if t.Regexp != nil {
		return t.Regexp.MatchString(p.FullName())
	}
	for _, v := range t.Values {
		if word, ok := v.Exact(); ok && t.Field == "" {
			if strings.Contains(strings.ToLower(p.FullName()), word) {
				return true
			}
			continue
		}
		if t.Field == "forge" {
			if v.Match(p.Forge) {
				return true
			}
			continue
		}
		if v.Match(p.Name) || v.Match(p.FullName()) || v.Match(p.Path()) {
			return true
		}
	}
	return false
}
