package specfile

import (
	"slices"
	"strings"
)

// Section is a part of a spec file. The first is the preamble, whose Name is
// empty; each other begins with a line such as "%files devel".
type Section struct {
	span
	Name string // in lower case, without the percent sign
	Args string // what follows the name on its line
}

var sectionNames = []string{
	"build", "changelog", "check", "clean", "conf", "description", "end", "files", "filetrigger", "filetriggerin",
	"filetriggerpostun", "filetriggerun", "generate_buildrequires", "install", "package", "patchlist", "post", "posttrans",
	"postun", "postuntrans", "pre", "prep", "pretrans", "preun", "preuntrans", "sepolicy", "sourcelist",
	"transfiletrigger", "transfiletriggerin", "transfiletriggerpostun", "transfiletriggerun", "trigger", "triggerin",
	"triggerpostun", "triggerprein", "triggerun", "verifyscript",
}

// findSections divides a file. It always finds a preamble, maybe an empty one.
func findSections(lines []line, defs []definition) []Section {
	sections := []Section{{span: span{0, len(lines)}}}
	next := 0
	for i := 0; i < len(lines); i++ {
		for next < len(defs) && defs[next].end <= i {
			next++
		}
		if next < len(defs) && defs[next].start <= i {
			i = defs[next].end - 1
			continue
		}
		name, args, ok := sectionHeader(lines[i].text)
		if !ok {
			continue
		}
		sections[len(sections)-1].end = i
		sections = append(sections, Section{span: span{i, len(lines)}, Name: name, Args: args})
	}
	return sections
}

func sectionHeader(text string) (name, args string, ok bool) {
	if !strings.HasPrefix(text, "%") {
		return "", "", false
	}
	end := 1
	for end < len(text) && isWord(text[end]) {
		end++
	}
	name, rest := strings.ToLower(text[1:end]), text[end:]
	if _, known := slices.BinarySearch(sectionNames, name); !known {
		return "", "", false
	}
	if rest != "" && (rest[0] != ' ' && rest[0] != '\t' || continues(rest)) {
		return "", "", false
	}
	return name, strings.TrimSpace(rest), true
}

// body is the range of lines below the section's own.
func (s Section) body() span {
	if s.Name == "" {
		return s.span
	}
	return span{s.start + 1, s.end}
}

// Sections lists the parts of the file in their order.
func (f *File) Sections() []Section { return slices.Clone(f.sections) }

// SectionText is what stands in a section below its own line, as bytes of the
// file.
func (f *File) SectionText(s Section) string {
	var b strings.Builder
	for _, l := range f.lines[s.body().start:s.body().end] {
		b.WriteString(l.text)
		b.WriteString(l.eol)
	}
	return b.String()
}

func (f *File) named(name string) []Section {
	var found []Section
	for _, s := range f.sections {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
