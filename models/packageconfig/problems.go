package packageconfig

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"millrace/models"
)

// problems collects mistakes and oddities. The same thing at the same place is
// kept once, however many jobs inherit it.
type problems struct {
	lines    int
	found    []Error
	warnings []models.ConfigProblem
	seen     map[models.ConfigProblem]bool
}

func newProblems(text []byte) *problems {
	lines := bytes.Count(text, []byte("\n"))
	if !bytes.HasSuffix(text, []byte("\n")) {
		lines++
	}
	return &problems{lines: max(1, lines), seen: map[models.ConfigProblem]bool{}}
}

// place is a position in the file and the key found there.
type place struct {
	key          string
	line, column int
}

// at is the place of v.
func at(v *value) place { return place{v.path(), v.line, v.column} }

// atKey is the place of e's key.
func atKey(e *entry) place { return place{e.val.path(), e.key.line, e.key.column} }

// child is the place of something that is missing in what stands at p.
func (p place) child(key string) place { return place{joinPath(p.key, key), p.line, p.column} }

func (p *problems) problem(where place, message, hint string) models.ConfigProblem {
	return models.ConfigProblem{
		Key: where.key, Line: min(max(1, where.line), p.lines), Column: max(1, where.column),
		Message: message, Hint: hint,
	}
}

// fail records a mistake.
func (p *problems) fail(where place, message, hint string) {
	e := p.problem(where, message, hint)
	if len(p.found) < maxErrors && !p.seen[e] {
		p.seen[e] = true
		p.found = append(p.found, e)
	}
}

// warn records an oddity.
func (p *problems) warn(where place, message, hint string) {
	w := p.problem(where, message, hint)
	if len(p.warnings) < maxErrors && !p.seen[w] {
		p.seen[w] = true
		p.warnings = append(p.warnings, w)
	}
}

func (p *problems) errors() Errors {
	errs := Errors(p.sorted(p.found))
	if len(errs) == maxErrors {
		errs[maxErrors-1].Hint = fmt.Sprintf("(Only the first %d mistakes are shown.)", maxErrors)
	}
	return errs
}

func (p *problems) sorted(ps []models.ConfigProblem) []models.ConfigProblem {
	slices.SortStableFunc(ps, func(a, b models.ConfigProblem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}
