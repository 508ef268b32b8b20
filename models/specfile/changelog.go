package specfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"millrace/models/rpm"
)

// ChangelogEntry is an entry for a %changelog.
type ChangelogEntry struct {
	Author string // name <mail>
	Time   time.Time
	// DateOnly says that the time of day is not known. If it is, it is written
	// where the newest entry has one, too.
	DateOnly bool
	Lines    []string // each may hold several; see rpm.SanitizeChangelog
	// EVR ends the header. If it is empty, it is that of the file, and is left
	// out when that cannot be known.
	EVR string
}

// HasAutochangelog reports whether rpmautospec writes the changelog.
func (f *File) HasAutochangelog() bool {
	return slices.ContainsFunc(f.named("changelog"), f.isAutochangelog)
}

func (f *File) isAutochangelog(s Section) bool {
	if callsMacro(s.Args, "autochangelog") {
		return true
	}
	for _, l := range f.lines[s.body().start:s.end] {
		if !strings.HasPrefix(strings.TrimLeft(l.text, " \t"), "#") && callsMacro(l.text, "autochangelog") {
			return true
		}
	}
	return false
}

// HasChangelog reports whether the file has a section for entries.
func (f *File) HasChangelog() bool { return len(f.named("changelog")) > 0 }

// maxChangelogs bounds the sections that are changed. Conditions need a few.
const maxChangelogs = 100

// AddChangelogEntry puts an entry on top of every %changelog, except those that
// rpmautospec writes. A file without the section stays as it is. The text is
// made safe, so it may come from anybody.
func (f *File) AddChangelogEntry(e ChangelogEntry) error {
	author := strings.TrimSpace(e.Author)
	if author == "" || len(author) > maxVersion || hasControl(author) {
		return &ValueError{"the author of a changelog entry", e.Author}
	}
	if len(e.EVR) > maxVersion || hasControl(e.EVR) {
		return &ValueError{"the version of a changelog entry", e.EVR}
	}
	if e.EVR == "" {
		if evr, err := f.EVR(); err == nil {
			e.EVR = evr.String()
		}
	}
	e.Author = rpm.SanitizeChangelog(author)
	content := strings.Split(rpm.SanitizeChangelog(strings.Join(e.Lines, "\n")), "\n")
	for i, text := range content {
		content[i] = strings.TrimRight(text, " \t")
		// A section name at the start of a line has its percent sign doubled
		// already, so no line can begin a section.
	}
	sections := f.named("changelog")
	if len(sections) > maxChangelogs {
		return fmt.Errorf("there are %d changelogs", len(sections))
	}
	for _, s := range slices.Backward(sections) {
		if !f.isAutochangelog(s) {
			f.addEntry(s, e, content)
		}
	}
	f.reparse()
	return nil
}

func (f *File) addEntry(s Section, e ChangelogEntry, content []string) {
	headers := f.entryHeaders(s)
	at := s.body().start
	for at < s.end && !f.endsBranch(at) {
		at++
	}
	padding, withTime := "0", false
	if len(headers) > 0 {
		at = headers[0]
		withTime = !e.DateOnly && timestampText.MatchString(f.lines[at].text)
		padding = f.dayPadding(headers)
	}
	texts := append([]string{e.header(padding, withTime)}, content...)
	if len(headers) > 0 {
		texts = append(texts, "")
	}
	f.splice(at, at, texts)
}

// endsBranch reports whether the line ends a branch of a condition, behind
// which an entry would not belong to the section any more.
func (f *File) endsBranch(i int) bool {
	c, ok := parseCondition(f.lines, i)
	return ok && strings.HasPrefix(c.keyword, "e")
}

// entryHeaders are the lines that begin entries, newest first. A star begins
// one only if the entry before has any text.
func (f *File) entryHeaders(s Section) []int {
	var headers []int
	hasText := true
	for i := s.body().start; i < s.end; i++ {
		text := f.lines[i].text
		switch {
		case text == detachedSeparator && i+1 < s.end:
			headers, hasText = append(headers, i), false
			i++
		case strings.HasPrefix(text, "*") && hasText:
			headers, hasText = append(headers, i), false
		case strings.TrimSpace(text) != "":
			hasText = true
		}
	}
	return headers
}

// detachedSeparator precedes each entry in openSUSE's style.
var detachedSeparator = strings.Repeat("-", 67)

const (
	weekdays = `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)`
	months   = `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)`
)

var (
	timestampText = regexp.MustCompile(weekdays + ` ` + months +
		` +(?:[12]?\d|3[01]) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d \S+ \d{4}`)
	dayText = regexp.MustCompile(weekdays + ` ` + months + ` ( *)(0?)([12]\d|3[01]|[1-9])`)
)

// dayPadding is what precedes days of one digit: the longest that the entries
// use and that makes sense.
func (f *File) dayPadding(headers []int) string {
	longest := ""
	for _, i := range headers {
		m := dayText.FindStringSubmatch(f.lines[i].text)
		if m == nil {
			continue
		}
		padding := m[1] + m[2]
		if len(m[3]) == 2 {
			padding = m[2]
		}
		if len(padding) > len(longest) {
			longest = padding
		}
	}
	return longest
}

// header is the first line. Names of days and months are English always, and
// the date is that of UTC.
func (e ChangelogEntry) header(padding string, withTime bool) string {
	at := e.Time.UTC()
	day := fmt.Sprint(at.Day())
	if padding != "" {
		last := len(padding) - 1
		if len(day) < 2 {
			day = padding[last:] + day
		}
		day = padding[:last] + day
	}
	h := "* " + at.Format("Mon Jan ") + day
	if withTime {
		h += at.Format(" 15:04:05 MST")
	}
	h += at.Format(" 2006 ") + e.Author
	if e.EVR != "" {
		h += " - " + rpm.SanitizeChangelog(e.EVR)
	}
	return h
}

// WithChangelogOf is this file with the changelog of another one, as a new
// version that comes from upstream keeps the history of downstream. If other
// has no %changelog, nothing changes; if f has none, it is added at the end.
func (f *File) WithChangelogOf(other *File) *File {
	result := f.Clone()
	theirs := other.named("changelog")
	if len(theirs) == 0 {
		return result
	}
	header := other.lines[theirs[0].start].text
	texts := make([]string, 0, theirs[0].end-theirs[0].start)
	for _, l := range other.lines[theirs[0].body().start:theirs[0].end] {
		texts = append(texts, l.text)
	}
	if ours := result.named("changelog"); len(ours) > 0 {
		result.splice(ours[0].body().start, ours[0].end, texts)
	} else {
		end := len(result.lines)
		if end > 0 && strings.TrimSpace(result.lines[end-1].text) != "" {
			texts = append([]string{"", header}, texts...)
		} else {
			texts = append([]string{header}, texts...)
		}
		result.splice(end, end, texts)
	}
	result.reparse()
	return result
}
