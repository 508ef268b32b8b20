// Package specfile reads and edits RPM spec files. It changes the bytes that an
// edit is about and keeps all others: line endings, alignment, comments, a
// missing newline at the end, any encoding.
//
// Macros are expanded as far as that needs no program: what only a shell, Lua
// or an unknown macro can tell stays as it is written. Nothing is run and
// nothing is read from the machine, so a spec file from anybody can be parsed.
package specfile

import (
	"errors"
	"fmt"
	"strings"

	"millrace/models/rpm"
)

// MaxSize is the size of the largest spec file that is read, in bytes.
const MaxSize = 16 << 20

// ErrTooLarge is the answer to a file of more than MaxSize bytes.
var ErrTooLarge = fmt.Errorf("a spec file has at most %d bytes", MaxSize)

// ErrNoTag says that the tag to change is not in the file. It may come from
// an included file or a macro.
var ErrNoTag = errors.New("there is no such tag")

// A ValueError is a value that must not be written into a spec file, because
// it could not be read back or would mean something else there.
type ValueError struct {
	What  string // such as "version"
	Value string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%.200q cannot be used as %s", e.Value, e.What)
}

// File is a spec file. Its methods are not safe for concurrent use.
type File struct {
	lines    []line
	defines  []namedBody // from outside, in the order given
	defs     []definition
	sections []Section
	tags     []tag
	blocks   []span // further multi-line macro calls in the preamble
	env      *evaluation
}

type namedBody struct{ name, body string }

// A span is a range of lines, end excluded.
type span struct{ start, end int }

// Parse reads a spec file. Only its size can be wrong: whatever is not
// understood is kept as it is.
func Parse(data []byte) (*File, error) {
	if len(data) > MaxSize {
		return nil, ErrTooLarge
	}
	f := &File{lines: splitLines(string(data))}
	f.reparse()
	return f, nil
}

// Bytes is the file as it stands now.
func (f *File) Bytes() []byte {
	b := make([]byte, 0, f.size())
	for _, l := range f.lines {
		b = append(append(b, l.text...), l.eol...)
	}
	return b
}

func (f *File) size() int {
	n := 0
	for _, l := range f.lines {
		n += len(l.text) + len(l.eol)
	}
	return n
}

// Clone is a copy that can be edited on its own.
func (f *File) Clone() *File {
	c := &File{lines: append([]line(nil), f.lines...), defines: append([]namedBody(nil), f.defines...)}
	c.reparse()
	return c
}

// Define sets a macro from outside, such as dist or fedora, as rpmbuild's
// --define does.
func (f *File) Define(name, body string) {
	f.defines = append(f.defines, namedBody{name, body})
	f.evaluate()
}

// Expand replaces the macros of a text by what they are at the end of the
// file. What cannot be expanded stays.
func (f *File) Expand(s string) string { return f.env.expandFinal(s) }

// Name is the expanded Name tag, or empty.
func (f *File) Name() string { return f.expandedTag("name") }

// Version is the expanded Version tag, or empty. It contains a percent sign if
// it could not be expanded wholly; see IsExpanded.
func (f *File) Version() string { return f.expandedTag("version") }

// RawVersion is the Version tag as it is written.
func (f *File) RawVersion() string { return f.rawTag("version") }

// Epoch is the expanded Epoch tag, or empty.
func (f *File) Epoch() string { return f.expandedTag("epoch") }

// EVR is the identity of the builds of this file, without the part of the
// release that names the distribution. It is an error if one of its parts
// needs a program to be known, as %autorelease does.
func (f *File) EVR() (rpm.EVR, error) {
	version, release := f.Version(), f.Release()
	if version == "" || !IsExpanded(version) || !IsExpanded(release) {
		return rpm.EVR{}, fmt.Errorf("version %.100q and release %.100q cannot be known without building", version, release)
	}
	text := version
	if release != "" {
		text += "-" + release
	}
	if epoch := f.Epoch(); epoch != "" {
		text = epoch + ":" + text
	}
	return rpm.ParseEVR(text)
}

// IsExpanded reports whether an expanded text has no macro left in it.
func IsExpanded(s string) bool { return !strings.Contains(s, "%") }

func (f *File) reparse() {
	f.defs = findDefinitions(f.lines)
	f.sections = findSections(f.lines, f.defs)
	patience := 4*len(f.lines) + maxBlock
	f.blocks = findBlocks(f.lines, f.defs, f.sections[0].span, &patience)
	f.tags = findTags(f.lines, f.sections, append(definitionSpans(f.defs), f.blocks...), &patience)
	f.evaluate()
}

// line is a line of a file. A last line without a newline has an empty eol.
type line struct{ text, eol string }

func splitLines(s string) []line {
	lines := make([]line, 0, strings.Count(s, "\n")+1)
	for l := range strings.SplitAfterSeq(s, "\n") {
		if l == "" {
			continue
		}
		text, isWhole := strings.CutSuffix(l, "\n")
		if !isWhole {
			lines = append(lines, line{text, ""})
		} else if cut, isCRLF := strings.CutSuffix(text, "\r"); isCRLF {
			lines = append(lines, line{cut, "\r\n"})
		} else {
			lines = append(lines, line{text, "\n"})
		}
	}
	return lines
}

// eolAt is the line ending for lines added near line i.
func (f *File) eolAt(i int) string {
	for i = min(i, len(f.lines)-1); i >= 0; i-- {
		if f.lines[i].eol != "" {
			return f.lines[i].eol
		}
	}
	return "\n"
}

// splice puts texts in the place of the lines [start, end). Whether the file
// ends in a newline does not change. Positions of what was parsed before hold
// only above start; reparse when done.
func (f *File) splice(start, end int, texts []string) {
	if len(texts) == end-start {
		for i, text := range texts {
			f.lines[start+i].text = text
		}
		return
	}
	eol := f.eolAt(max(start, end-1))
	added := make([]line, len(texts))
	for i, text := range texts {
		added[i] = line{text, eol}
	}
	atEnd := end == len(f.lines) && len(added) > 0 && end > 0
	if atEnd {
		added[len(added)-1].eol = f.lines[end-1].eol
	}
	if atEnd && start == end && f.lines[end-1].eol == "" {
		f.lines[end-1].eol = eol
	}
	f.lines = append(f.lines[:start:start], append(added, f.lines[end:]...)...)
}
