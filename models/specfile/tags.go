package specfile

import (
	"regexp"
	"slices"
	"strings"
)

// Tag is a line such as "Version: 1.0" of the preamble or of a %package.
type Tag struct {
	Name     string // in lower case; a number belongs to it, as in source0
	Value    string // as it is written
	Expanded string // with macros expanded as far as possible
	Package  string // arguments of the %package it is in; empty in the preamble
	// Valid says that the tag is in no branch of a condition that is false.
	// Expanded is known only then.
	Valid bool
}

// tag is a Tag with its place.
type tag struct {
	span
	name     string
	head     string // what precedes the value
	value    string // lines joined by "\n"
	tail     string // what follows it
	guard    string // the macro of %{?guard:Tag: value}, or empty
	negated  bool   // %{!?guard:...}
	section  int
	valid    bool
	expanded string
}

var tagNames = []string{
	"autoprov", "autoreq", "autoreqprov", "bugurl", "buildarch", "buildarchitectures", "buildconflicts", "buildoption",
	"buildprereq", "buildrequires", "buildroot", "buildsystem", "conflicts", "distribution", "disttag", "disturl", "docdir",
	"enhances", "epoch", "excludearch", "excludeos", "exclusivearch", "exclusiveos", "group", "icon", "license",
	"modularitylabel", "name", "nopatch", "nosource", "obsoletes", "orderwithrequires", "packager", "patch", "prefix",
	"prefixes", "prereq", "provides", "recommends", "release", "removepathpostfixes", "requires", "source", "sourcelicense",
	"suggests", "summary", "supplements", "translationurl", "upstreamreleases", "url", "vcs", "vendor", "version",
}

var (
	tagText   = regexp.MustCompile(`^(\s*([A-Za-z]+)(\d*)(?:\s*\([^\s)]*\))?\s*:\s*)(\S.*)$`)
	guardText = regexp.MustCompile(`^(\s*%\{(!?)\?(\w+):)(.*)(\}\s*)$`)
)

func findTags(lines []line, sections []Section, skip []span, patience *int) []tag {
	slices.SortFunc(skip, func(a, b span) int { return a.start - b.start })
	var tags []tag
	next := 0
	for n, s := range sections {
		if s.Name != "" && s.Name != "package" {
			continue
		}
		for i := s.body().start; i < s.end; i++ {
			for next < len(skip) && skip[next].end <= i {
				next++
			}
			if next < len(skip) && skip[next].start <= i {
				i = skip[next].end - 1
				continue
			}
			if t, ok := parseTag(lines[:s.end], i, patience); ok {
				t.section = n
				tags = append(tags, t)
				i = t.end - 1
			}
		}
	}
	return tags
}

func parseTag(lines []line, i int, patience *int) (tag, bool) {
	text := lines[i].text
	if !strings.Contains(text, ":") {
		return tag{}, false
	}
	t := tag{span: span{i, i + 1}}
	before, after := "", ""
	if m := guardText.FindStringSubmatch(text); m != nil {
		before, t.negated, t.guard, text, after = m[1], m[2] != "", m[3], m[4], m[5]
	}
	m := tagText.FindStringSubmatch(text)
	if m == nil {
		return tag{}, false
	}
	base := strings.ToLower(m[2])
	if _, known := slices.BinarySearch(tagNames, base); !known || m[3] != "" && base != "source" && base != "patch" {
		return tag{}, false
	}
	t.name, t.head = base+m[3], before+m[1]
	value := m[4]
	if t.guard == "" {
		if t.end = blockEnd(lines, i, len(lines), value, patience); t.end > i+1 {
			value += "\n" + joined(lines[i+1:t.end])
		}
	}
	t.value = strings.TrimRight(value, " \t\r\f\v")
	t.tail = value[len(t.value):] + after
	return t, true
}

func (t *tag) texts() []string { return strings.Split(t.head+t.value+t.tail, "\n") }

// Tags lists the tags of the preamble and of all sub-packages in their order.
func (f *File) Tags() []Tag {
	tags := make([]Tag, 0, len(f.tags))
	for _, t := range f.tags {
		tags = append(tags, f.public(t))
	}
	return tags
}

func (f *File) public(t tag) Tag {
	return Tag{Name: t.name, Value: t.value, Expanded: t.expanded, Package: f.sections[t.section].Args, Valid: t.valid}
}

// Tag finds a tag of the preamble by its name, without regard to case: the
// first in a true branch, or if there is none, the first.
func (f *File) Tag(name string) (Tag, bool) {
	i := f.findTag(name)
	if i < 0 {
		return Tag{}, false
	}
	return f.public(f.tags[i]), true
}

func (f *File) findTag(name string) int {
	name = strings.ToLower(name)
	first := -1
	for i, t := range f.tags {
		if t.section != 0 || t.name != name {
			continue
		}
		if t.valid {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

func (f *File) rawTag(name string) string {
	if i := f.findTag(name); i >= 0 {
		return f.tags[i].value
	}
	return ""
}

func (f *File) expandedTag(name string) string {
	if i := f.findTag(name); i >= 0 {
		return f.tags[i].expanded
	}
	return ""
}

// setTag replaces the value of a tag. Positions are those of the last parse.
func (f *File) setTag(i int, value string) {
	t := f.tags[i]
	if t.value == value {
		return
	}
	t.value = value
	f.splice(t.start, t.end, t.texts())
}
