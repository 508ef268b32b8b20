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

// What rpmbuild, mock, compilers, test runners and tmt write when something is
// wrong. Matched against lines of logs, so they must be cheap and never
// backtrack; RE2 does not.
var (
	errorPattern = regexp.MustCompile(`(?i)^(\s*)(error:|e:|fatal:|fatal error|make(\[\d+\])?: \*\*\*|CMake Error|Traceback \(most recent|panic:|FAIL(ED)?\b|rpmbuild: )|: (fatal )?error: |^RPM build errors:|\berror: Failed build dependencies|^No matching package|^Problem: |Bad exit status from|command not found$|No such file or directory$|^ERROR: `)
	warnPattern  = regexp.MustCompile(`(?i)^(\s*)(warning:|w:|CMake Warning)|: warning: |^WARNING: `)
	cmdPattern   = regexp.MustCompile(`^(\+ |\$ |# |ENTER \[|Executing\()`)
	// lateErrors say that something failed, not what: the explanation is above.
	lateErrors = regexp.MustCompile(`(?i)^(RPM build errors:|error: Bad exit status|\s*Bad exit status|ERROR: Exception\(|ERROR: Command failed|make(\[\d+\])?: \*\*\*)`)
)

// longestLine is how much of a line is looked at.
const longestLine = 2000

// MarkLine says how a line of a log is marked.
func MarkLine(line string) LineKind {
	if len(line) > longestLine {
		line = line[:longestLine]
	}
	switch {
	case errorPattern.MatchString(line):
		return ErrorKind
	case warnPattern.MatchString(line):
		return WarningLine
	case cmdPattern.MatchString(line):
		return CommandLine
	}
	return PlainLine
}

// ErrorLine returns the number, from 1, of the line that best explains why a log
// ends in failure: the first that says what is wrong, or the first that says that
// something is, or 0.
func ErrorLine(lines []string) int {
	late := 0
	for i, line := range lines {
		if MarkLine(line) != ErrorKind {
			continue
		}
		if !lateErrors.MatchString(line) {
			return i + 1
		}
		if late == 0 {
			late = i + 1
		}
	}
	return late
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
