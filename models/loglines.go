package models

import (
	"regexp"
	"strings"
)

// LineKind says how a line of a log is marked for people.
type LineKind string

const (
	PlainLine   LineKind = ""
	CommandLine LineKind = "cmd"
	WarningLine LineKind = "warn"
	ErrorKind   LineKind = "bad"
)

// What rpmbuild, mock, dnf, compilers, test runners and tmt write when something
// is wrong. Matched against lines of logs, so they must be cheap and never
// backtrack; RE2 does not.
var (
	errorPattern = regexp.MustCompile(`^\s*(?i:error:|error\[E\d+\]:|e: |fatal:|fatal error\b|panic:|CMake Error|Traceback \(most recent|rpmbuild: |RPM build errors:|No matching package|No match for argument|Problem( \d+)?: |Failed to resolve the transaction|ninja: build stopped)` +
		`|^\s*(FAIL|FAILED|--- FAIL)\b|^not ok \d|^E   +\S|^\s*fail: ` +
		`|(?i:: (fatal )?error: |: fatal: |\berror: Failed build dependencies|\bmake(\[\d+\])?: \*\*\*|Bad exit status from|command not found$|No such file or directory$|Permission denied$|: undefined reference to )` +
		`|^ERROR: |^\S+Error: `)
	warnPattern = regexp.MustCompile(`(?i)^\s*(warning:|w: |CMake Warning|Failed to set locale)|: warning: `)
	cmdPattern  = regexp.MustCompile(`^(\++ |\$ |ENTER \[|Executing\()`)
	// lateErrors say that something failed, not what: the explanation is above.
	lateErrors = regexp.MustCompile(`(?i)^\s*(RPM build errors:|error: Bad exit status|Bad exit status|ERROR: Exception\(|ERROR: Command failed|make(\[\d+\])?: \*\*\*|ninja: build stopped|Traceback \(most recent|FAILED: )`)
	// weakErrors are often written by what looks whether something is there, and
	// goes on without it.
	weakErrors = regexp.MustCompile(`(?i)(command not found|No such file or directory|Permission denied)$`)
)

// longestLine is how much of a line is looked at.
const longestLine = 2000

// MarkLine says how a line of a log is marked.
func MarkLine(line string) LineKind {
	line = strings.TrimRight(line[:min(len(line), longestLine)], " \r")
	switch {
	case warnPattern.MatchString(line):
		return WarningLine
	case cmdPattern.MatchString(line):
		return CommandLine
	case errorPattern.MatchString(line):
		return ErrorKind
	}
	return PlainLine
}

// ErrorFinder finds the line that best explains why a log ends in failure, while
// the log is written.
type ErrorFinder struct {
	line               int // read so far
	strong, weak, late int // the first of each kind, from 1; 0 for none
}

// Add looks at the next line.
func (f *ErrorFinder) Add(line string) {
	f.line++
	if f.strong > 0 || MarkLine(line) != ErrorKind {
		return
	}
	line = strings.TrimRight(line[:min(len(line), longestLine)], " \r")
	first := func(n *int) {
		if *n == 0 {
			*n = f.line
		}
	}
	switch {
	case lateErrors.MatchString(line):
		first(&f.late)
	case weakErrors.MatchString(line):
		first(&f.weak)
	default:
		f.strong = f.line
	}
}

// Line is the number, from 1, of the first line that says what is wrong; or of
// the first that may; or of the first that says that something is; or 0.
func (f *ErrorFinder) Line() int {
	for _, n := range []int{f.strong, f.weak, f.late} {
		if n > 0 {
			return n
		}
	}
	return 0
}

// ErrorLine returns the number, from 1, of the line that best explains why a log
// ends in failure, or 0. See ErrorFinder.
func ErrorLine(lines []string) int {
	var f ErrorFinder
	for _, line := range lines {
		f.Add(line)
	}
	return f.Line()
}

// tailLines is how many lines a page shows of the log of its first failure.
const tailLines = 20

// LogTail returns the lines around line at, from 1, or the last ones if it is 0.
func LogTail(lines []string, at int) string {
	first := max(0, len(lines)-tailLines)
	if at > 0 {
		first = min(first, max(0, at-1-tailLines/4))
	}
	last := min(len(lines), first+tailLines)
	short := make([]string, 0, last-first)
	for _, line := range lines[first:last] {
		if len(line) > longestLine {
			line = strings.ToValidUTF8(line[:longestLine], "") + " …"
		}
		short = append(short, line)
	}
	return strings.Join(short, "\n")
}
