// Package packageconfig reads the package config that users keep in their
// repositories, with the meaning Packit gives to it: the same files are valid,
// and mean the same.
//
// The text is parsed by go.yaml.in/yaml/v3, and only to its nodes: they know
// line, column, anchors and whether a scalar was quoted, keep duplicate keys,
// and cost nothing to expand until we do it ourselves, within limits.
// (goccy/go-yaml has columns in its syntax errors too, but it refuses duplicate
// keys and some merges in the parser, where we cannot decide otherwise.) What a
// plain scalar means is decided here, by the rules of YAML 1.1.
package packageconfig

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"millrace/models"
)

// Names are the file names of a config, in the order in which they are looked
// for in the top directory of a repository.
var Names = []string{".packit.yaml", ".packit.yml", "packit.yaml", "packit.yml"}

// Find returns the config among the files of a repository, "" if there is none.
func Find(files []string) string {
	for _, name := range Names {
		for _, f := range files {
			if f == name {
				return name
			}
		}
	}
	return ""
}

// Options are what the text alone does not say.
type Options struct {
	FileName  string   // of the config; "" means the first of Names
	RepoName  string   // last part of the project's path: the default of package names
	RepoFiles []string // paths from the top of the repository, among which specfiles are looked for
}

// Limits of what is read. They are far from what anybody writes.
const (
	MaxSize     = 1 << 20 // bytes of text
	MaxDepth    = 64      // of lists and mappings in each other
	maxNodes    = 100_000 // after aliases are expanded
	maxPackages = 500
	maxViews    = 2_000
	maxTargets  = 500      // in one list
	maxWeight   = 8 << 20  // of all text, in bytes, after aliases are expanded
	maxInherit  = 64 << 20 // the same, summed over packages and views
	maxErrors   = 100      // reported
)

// Error is a mistake in a config: where it is, and what to do about it.
type Error = models.ConfigProblem

// Errors are the mistakes of one config, in the order of their lines. They are
// an answer for the user who wrote it: trying again is of no use.
type Errors []Error

func (e Errors) Error() string {
	if len(e) == 0 {
		return "the package config is wrong"
	}
	s := e[0].Error()
	if len(e) > 1 {
		s += fmt.Sprintf(" (and %d more)", len(e)-1)
	}
	return s
}

// Parse reads a config. Any error is of type Errors. text is neither changed
// nor kept.
func Parse(text []byte, opts Options) (*models.PackageConfig, error) {
	if opts.FileName == "" {
		opts.FileName = Names[0]
	}
	l := &loader{opts: opts, problems: newProblems(text), decoded: map[*value]decoded{}, listed: map[*value]*value{},
		unknowns: map[*entry]bool{}}
	config := l.load(text)
	if errs := l.problems.errors(); len(errs) > 0 {
		return nil, errs
	}
	l.lint(config)
	config.Warnings = l.problems.sorted(l.problems.warnings)
	return config, nil
}

// AsErrors returns the mistakes that err reports, if that is what it does.
func AsErrors(err error) (Errors, bool) { return errors.AsType[Errors](err) }

var specfile = regexp.MustCompile(`^.+\.spec$`)

// findSpecfile returns the first specfile among the repository's files, in any
// directory.
func (o Options) findSpecfile() string {
	for _, f := range o.RepoFiles {
		if strings.HasSuffix(f, ".spec") && specfile.MatchString(f) {
			return f
		}
	}
	return ""
}
