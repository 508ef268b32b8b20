// Package rpm holds what RPM says about versions: how they are ordered, how
// package identities are written, and how versions, tags and releases are made
// from one another. It does no I/O.
package rpm

import "strings"

// Vercmp orders two version or release strings as rpm does (rpmvercmp): -1 if
// a is older than b, 1 if it is newer, 0 if rpm takes them for the same. A
// tilde sorts before the end of the string, a caret right after it.
func Vercmp(a, b string) int {
	if a == b {
		return 0
	}
	for a != "" || b != "" {
		a, b = dropSeparators(a), dropSeparators(b)
		if startsWith(a, '~') || startsWith(b, '~') {
			if !startsWith(a, '~') {
				return 1
			}
			if !startsWith(b, '~') {
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		if startsWith(a, '^') || startsWith(b, '^') {
			switch {
			case a == "":
				return -1
			case b == "":
				return 1
			case a[0] != '^':
				return 1
			case b[0] != '^':
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		digits := isDigit(a[0])
		segmentA, restA := cutSegment(a, digits)
		segmentB, restB := cutSegment(b, digits)
		if segmentB == "" {
			if digits {
				return 1 // a number is newer than letters
			}
			return -1
		}
		if c := compareSegments(segmentA, segmentB, digits); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	switch {
	case a == "" && b == "":
		return 0
	case a == "":
		return -1
	}
	return 1
}

func compareSegments(a, b string, digits bool) int {
	if digits {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if len(a) != len(b) {
			if len(a) > len(b) {
				return 1
			}
			return -1
		}
	}
	return strings.Compare(a, b)
}

// cutSegment splits off the longest run of digits, or of letters.
func cutSegment(s string, digits bool) (segment, rest string) {
	is := isLetter
	if digits {
		is = isDigit
	}
	i := 0
	for i < len(s) && is(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func dropSeparators(s string) string {
	i := 0
	for i < len(s) && !isDigit(s[i]) && !isLetter(s[i]) && s[i] != '~' && s[i] != '^' {
		i++
	}
	return s[i:]
}

func startsWith(s string, c byte) bool { return s != "" && s[0] == c }
func isDigit(c byte) bool              { return '0' <= c && c <= '9' }
func isLetter(c byte) bool             { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
