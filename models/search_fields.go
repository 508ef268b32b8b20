package models

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// QueryFields are the fields that a list can be searched by.
type QueryFields struct {
	what   string // of the list: pipelines
	fields []queryField
}

type queryField struct {
	name    string
	aliases []string
	add     func(term *QueryTerm, value Pattern, now time.Time) (mistake string)
}

// PipelineFields are the fields of pipelines. The main name is that of the
// project.
var PipelineFields = &QueryFields{"pipelines", []queryField{
	{"project", []string{"repo"}, addPattern},
	{"package", []string{"pkg"}, addPattern},
	{"kind", []string{"event"}, addWord(refKindWords)},
	{"status", []string{"state"}, addWord(stateWords)},
	{"step", []string{"job"}, addPattern},
	{"target", []string{"chroot"}, addPattern},
	{"pr", []string{"pull"}, addNumber},
	{"branch", nil, addPattern},
	{"tag", []string{"release"}, addPattern},
	{"sha", []string{"commit"}, addHash},
	{"since", []string{"after"}, addTime},
	{"before", []string{"until"}, addTime},
	{"attempt", nil, addComparison},
	{"actor", []string{"by", "user"}, addPattern},
	{"forge", []string{"host"}, addPattern},
}}

// EventFields are the fields of events. The main name is that of the project.
var EventFields = &QueryFields{"events", []queryField{
	{"project", []string{"repo"}, addPattern},
	{"kind", []string{"event"}, addWord(eventKindWords)},
	{"status", []string{"state"}, addWord(eventStateWords)},
	{"pr", []string{"pull"}, addNumber},
	{"branch", nil, addPattern},
	{"tag", []string{"release"}, addPattern},
	{"sha", []string{"commit"}, addHash},
	{"since", []string{"after"}, addTime},
	{"before", []string{"until"}, addTime},
	{"actor", []string{"by", "user"}, addPattern},
	{"forge", []string{"host"}, addPattern},
}}

func (f *QueryFields) find(name string) (*queryField, string) {
	for i := range f.fields {
		if field := &f.fields[i]; field.name == name || slices.Contains(field.aliases, name) {
			return field, field.name
		}
	}
	return nil, ""
}

func (f *QueryFields) names() string {
	names := make([]string, len(f.fields))
	for i := range f.fields {
		names[i] = f.fields[i].name
	}
	return strings.Join(names, ", ")
}

// nearest is the field that was perhaps meant by name, or nothing.
func (f *QueryFields) nearest(name string) string {
	var words []string
	for i := range f.fields {
		words = append(words, f.fields[i].name)
		words = append(words, f.fields[i].aliases...)
	}
	_, near := f.find(nearest(name, words))
	return near
}

// nearest is the word that differs least from text, or nothing if none is like
// it: at most one difference for every three characters.
func nearest(text string, words []string) string {
	best, least := "", len([]rune(text))/3+1
	for _, w := range words {
		if d := differences([]rune(text), []rune(w)); d < least || d == least && best == "" {
			best, least = w, d
		}
	}
	return best
}

// differences counts the characters that must be added, removed or replaced to
// make b of a; two that are exchanged count once.
func differences(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

func addPattern(term *QueryTerm, value Pattern, _ time.Time) string {
	term.Values = append(term.Values, value)
	return ""
}

var refKindWords = map[string][]string{
	"pr": {"pr"}, "push": {"push"}, "release": {"release"}, "issue": {"issue"}, "upstream": {"upstream"},
	"pull_request": {"pr"}, "branch": {"push"}, "tag": {"release"},
}

var stateWords = map[string][]string{
	"waiting": {"waiting"}, "queued": {"queued"}, "running": {"running"}, "passed": {"passed"}, "failed": {"failed"},
	"error": {"error"}, "canceled": {"canceled"}, "skipped": {"skipped"}, "superseded": {"superseded"},
	"success": {"passed"}, "failure": {"failed"}, "cancelled": {"canceled"},
	"open": {"running", "queued", "waiting"}, "bad": {"failed", "error"},
	"done": {"passed", "failed", "error", "canceled", "skipped", "superseded"},
}

var eventStateWords = map[string][]string{
	"new": {"new"}, "planned": {"planned"}, "nothing": {"nothing"}, "refused": {"refused"}, "applied": {"applied"}, "failed": {"failed"},
}

var eventKindWords = func() map[string][]string {
	words := map[string][]string{"pr": {string(PullRequestEvent)}, "upstream": {string(UpstreamVersionEvent)}}
	for _, kind := range []EventKind{
		PullRequestEvent, CommentEvent, PushEvent, TagPushEvent, ReleaseEvent, CheckRerunEvent, InstallationEvent,
		UpstreamVersionEvent, CoprBuildEvent, KojiBuildEvent, KojiTaskEvent, KojiTagEvent, BodhiUpdateEvent, TestResultEvent,
		ScanEvent, AnalysisEvent, CIResultEvent, FlagEvent,
	} {
		words[string(kind)] = []string{string(kind)}
	}
	return words
}()

// addWord takes values of an enumeration: each word stands for some of them.
func addWord(words map[string][]string) func(*QueryTerm, Pattern, time.Time) string {
	return func(term *QueryTerm, value Pattern, _ time.Time) string {
		text, _ := value.Exact()
		meant, ok := words[text]
		if !ok {
			known := sortedKeys(words)
			if near := nearest(text, known); near != "" && text != "" {
				return fmt.Sprintf("%s cannot be %q; perhaps %q?", term.Field, text, near)
			}
			return fmt.Sprintf("%s is one of %s.", term.Field, strings.Join(known, ", "))
		}
		for _, m := range meant {
			if !slices.ContainsFunc(term.Values, func(v Pattern) bool { return v[0] == m }) {
				term.Values = append(term.Values, Pattern{m})
			}
		}
		return ""
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func addNumber(term *QueryTerm, value Pattern, _ time.Time) string {
	if value.Any() {
		term.Values = append(term.Values, value)
		return ""
	}
	text, ok := value.Exact()
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 10, 40)
	if !ok || err != nil {
		return fmt.Sprintf("%s takes numbers, such as %s:42.", term.Field, term.Field)
	}
	term.Values = append(term.Values, Pattern{strconv.FormatUint(n, 10)})
	return ""
}

func addHash(term *QueryTerm, value Pattern, _ time.Time) string {
	text := strings.TrimSuffix(strings.Join(value, "*"), "*")
	hex := strings.Trim(text, "0123456789abcdef") == ""
	if !hex || len(text) < 4 || len(text) > 64 {
		return fmt.Sprintf("%s takes the beginning of a commit's hash, at least four of its digits.", term.Field)
	}
	term.Values = append(term.Values, Pattern{text})
	return ""
}

func addComparison(term *QueryTerm, value Pattern, _ time.Time) string {
	text, ok := value.Exact()
	if term.Compare != "" {
		return fmt.Sprintf("%s takes one value.", term.Field)
	}
	digits := strings.TrimLeft(text, "<>=")
	compare := strings.TrimSuffix(text, digits)
	n, err := strconv.ParseUint(digits, 10, 20)
	if compare == "" {
		compare = "="
	}
	if !ok || err != nil || !slices.Contains([]string{"=", "<", "<=", ">", ">="}, compare) {
		return fmt.Sprintf("%s takes a number, perhaps with <, <=, > or >= before it, such as %s:>1.", term.Field, term.Field)
	}
	term.Compare, term.Number = compare, int(n)
	return ""
}

var timeUnits = map[string]time.Duration{
	"min": time.Minute, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
}

var timeLayouts = []string{time.DateOnly, "2006-01-02t15:04", "2006-01-02t15:04:05", "2006-01-02t15:04:05z07:00"}

func addTime(term *QueryTerm, value Pattern, now time.Time) string {
	text, ok := value.Exact()
	if !term.Time.IsZero() {
		return fmt.Sprintf("%s takes one time.", term.Field)
	}
	if at, known := readTime(text, now); ok && known {
		term.Time = at
		return ""
	}
	return fmt.Sprintf("%s takes a time, such as %s:7d (w, d, h or m), %s:2026-08-01 or %s:2026-08-01T12:00, in UTC.",
		term.Field, term.Field, term.Field, term.Field)
}

// readTime reads a day, a time, or how long ago something was. Times are whole
// seconds in UTC.
func readTime(text string, now time.Time) (time.Time, bool) {
	now = now.UTC().Truncate(time.Second)
	switch text {
	case "now":
		return now, true
	case "today":
		return now.Truncate(24 * time.Hour), true
	case "yesterday":
		return now.Truncate(24*time.Hour).AddDate(0, 0, -1), true
	}
	unit := strings.TrimLeft(text, "0123456789")
	if length, ok := timeUnits[unit]; ok {
		n, err := strconv.ParseUint(strings.TrimSuffix(text, unit), 10, 32)
		if err != nil || n > uint64(100*timeUnits["y"]/length) {
			return time.Time{}, false
		}
		return now.Add(-time.Duration(n) * length), true
	}
	for _, layout := range timeLayouts {
		at, err := time.Parse(strings.ToUpper(layout), strings.ToUpper(text))
		if err == nil && at.Year() >= 1900 && at.Year() < 9999 {
			return at.UTC().Truncate(time.Second), true
		}
	}
	return time.Time{}, false
}
