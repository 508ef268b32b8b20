package rpm

import (
	"regexp"
	"strings"
)

// SanitizeChangelog makes text safe for a %changelog: a percent sign that rpm
// would take for the start of a macro is doubled, a star that would begin an
// entry gets a blank before it, and control characters go. It changes nothing
// when applied again.
func SanitizeChangelog(text string) string {
	text = dropControls(text) // first, or what it joins could be a macro
	var b strings.Builder
	lineStart := true
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '%':
			n := 1
			for i+n < len(text) && text[i+n] == '%' {
				n++
			}
			b.WriteString(text[i : i+n])
			if n%2 == 1 && startsMacro(text[i+n:]) {
				b.WriteByte('%')
			}
			i += n - 1
		case c == '*' && lineStart:
			b.WriteString(" *")
		default:
			b.WriteByte(c)
		}
		lineStart = c == '\n'
	}
	return b.String()
}

// dropControls keeps line feeds and tabs, and bytes that are no UTF-8.
func dropControls(text string) string {
	kept := make([]byte, 0, len(text))
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c != 0x7f || c == '\n' || c == '\t' {
			kept = append(kept, c)
		}
	}
	return string(kept)
}

// startsMacro reports whether rpm takes a percent sign before s for a macro.
func startsMacro(s string) bool {
	s = strings.TrimLeft(s, "?!")
	if s == "" {
		return false
	}
	return isLetter(s[0]) || isDigit(s[0]) || strings.IndexByte("_{[(", s[0]) >= 0
}

var closedBug = regexp.MustCompile(
	`(?i)(?:fix(?:es)?|closes?|resolves?):?\s(?:fedora|epel|rh(?:bz)?)#(\d{5,})`)

// ClosedBugs finds the numbers of the bugs that a text says it closes, in
// order. It takes one bug for each keyword, and repeats those named twice.
func ClosedBugs(text string) []string {
	var bugs []string
	for _, m := range closedBug.FindAllStringSubmatch(text, -1) {
		bugs = append(bugs, m[1])
	}
	return bugs
}
