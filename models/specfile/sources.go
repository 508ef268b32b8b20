package specfile

import (
	"slices"
	"strconv"
	"strings"

	"millrace/models/rpm"
)

// Source is a source or a patch.
type Source struct {
	Number   int
	Location string // as it is written
	Expanded string // with macros expanded; see IsExpanded
	FileName string // of Expanded, as rpmbuild looks for it
	Remote   bool   // it has to be fetched from a host
	Valid    bool   // it is in no false branch of a condition
	tag      int    // index in tags, or -1
	line     int    // of a list, if it is no tag
}

// Sources lists the sources of the Source tags and of %sourcelist, in the order
// in which rpm counts them: a tag without a number follows the one before it,
// and a list goes on after the last tag.
func (f *File) Sources() []Source { return f.numbered("source", "sourcelist") }

// Patches lists the patches, as Sources does the sources.
func (f *File) Patches() []Source { return f.numbered("patch", "patchlist") }

func (f *File) numbered(prefix, list string) []Source {
	var sources []Source
	last := -1
	for i, t := range f.tags {
		digits, ok := strings.CutPrefix(t.name, prefix)
		if !ok || t.section != 0 || digits != "" && !isNumber(digits) {
			continue
		}
		if n, err := strconv.Atoi(digits); digits != "" && err == nil && n < 1<<31 {
			last = n
		} else {
			last++
		}
		sources = append(sources, f.source(last, t.value, t.expanded, t.valid, i, 0))
	}
	for _, s := range f.named(list) {
		for i := s.body().start; i < s.end; i++ {
			text := strings.TrimSpace(f.lines[i].text)
			if _, isCondition := parseCondition(f.lines, i); isCondition || text == "" || text[0] == '#' {
				continue
			}
			last++
			sources = append(sources, f.source(last, text, "", f.env.valid[i], -1, i))
		}
	}
	return f.expandLists(sources)
}

// expandLists expands the lines of lists, all with one budget.
func (f *File) expandLists(sources []Source) []Source {
	first := slices.IndexFunc(sources, func(s Source) bool { return s.tag < 0 })
	if first < 0 {
		return sources
	}
	x := &expander{macros: f.env.clone(), fuel: maxFuel}
	for i := first; i < len(sources); i++ {
		if s := sources[i]; s.Valid {
			sources[i] = f.source(s.Number, s.Location, x.expand(s.Location), true, -1, s.line)
		}
	}
	return sources
}

func (f *File) source(number int, location, expanded string, valid bool, tag, line int) Source {
	if !valid {
		expanded = location
	}
	return Source{
		Number: number, Location: location, Expanded: expanded, Valid: valid, tag: tag, line: line,
		FileName: rpm.SourceFileName(expanded), Remote: rpm.IsRemote(expanded),
	}
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// SourceNumber is the number that a tag name such as "Source" or "Source01"
// stands for, without regard to case.
func SourceNumber(tagName string) (int, bool) {
	digits, ok := strings.CutPrefix(strings.ToLower(tagName), "source")
	if ok && digits == "" {
		return 0, true
	}
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && isNumber(digits)
}

// SetSource changes where a source comes from. It is ErrNoTag if there is no
// source of that number. Of several, as in the branches of a condition, the
// first valid one is changed. The location may contain macros.
func (f *File) SetSource(number int, location string) error {
	if err := checkLocation(location); err != nil {
		return err
	}
	found := Source{tag: -1, line: -1}
	for _, s := range f.Sources() {
		if s.Number == number && (found.tag < 0 && found.line < 0 || s.Valid && !found.Valid) {
			found = s
		}
	}
	switch {
	case found.tag >= 0:
		f.setTag(found.tag, location)
	case found.line >= 0:
		text := f.lines[found.line].text
		indent := text[:strings.Index(text, found.Location)]
		rest := text[len(indent)+len(found.Location):]
		f.lines[found.line].text = indent + location + rest
	default:
		return ErrNoTag
	}
	f.reparse()
	return nil
}

func checkLocation(location string) error {
	if location == "" || len(location) > maxValue || strings.ContainsAny(location, " \\") || hasControl(location) {
		return &ValueError{"the location of a source", location}
	}
	var open brackets
	if open.read(location); open.any() {
		return &ValueError{"the location of a source", location}
	}
	return nil
}

// Patch is a patch to add.
type Patch struct {
	Location string
	Comment  string // lines to put above it, without the number sign
	First    int    // number if there is no patch yet
	Digits   int    // at least so many in the number if there is no patch yet
}

// AddPatch adds a patch after all others and returns its number. Its tag looks
// like theirs; without any, it stands behind the last source. If the patches
// of the file are in a %patchlist, it goes there.
func (f *File) AddPatch(p Patch) (number int, err error) {
	if err := checkLocation(p.Location); err != nil {
		return 0, err
	}
	if len(p.Comment) > maxBody || strings.ContainsFunc(strings.ReplaceAll(p.Comment, "\n", ""), func(r rune) bool { return r < ' ' && r != '\t' }) {
		return 0, &ValueError{"a comment", p.Comment}
	}
	patches := f.Patches()
	if len(patches) == 0 {
		number = max(0, p.First)
	}
	for _, s := range patches {
		number = max(number, s.Number+1)
	}
	texts := commentLines(p.Comment)
	if lists := f.named("patchlist"); len(lists) > 0 && (len(patches) == 0 || patches[len(patches)-1].tag < 0) {
		at := lists[len(lists)-1].end
		if len(patches) > 0 {
			at = patches[len(patches)-1].line + 1
		}
		f.splice(at, at, append(texts, p.Location))
	} else {
		at, head := f.patchTag(number, p.Digits)
		f.splice(at, at, append(texts, head+p.Location))
	}
	f.reparse()
	return number, nil
}

func commentLines(comment string) []string {
	var texts []string
	for text := range strings.SplitSeq(comment, "\n") {
		if comment != "" {
			texts = append(texts, strings.TrimRight("# "+escapeMacros(text), " "))
		}
	}
	return texts
}

// escapeMacros doubles percent signs, since macros in comments count.
func escapeMacros(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// patchTag is the line for a new patch tag and what precedes its value.
func (f *File) patchTag(number, digits int) (at int, head string) {
	model := -1
	implicit := false
	for i, t := range f.tags {
		if t.section == 0 && strings.HasPrefix(t.name, "patch") {
			model, implicit = i, t.name == "patch"
			digits = 1
			if strings.HasPrefix(t.name[len("patch"):], "0") {
				digits = len(t.name) - len("patch")
			}
		}
	}
	if model < 0 {
		for i, t := range f.tags {
			if t.section == 0 && strings.HasPrefix(t.name, "source") {
				model = i
			}
		}
	}
	name := "Patch"
	if !implicit {
		number := strconv.Itoa(number)
		name += strings.Repeat("0", max(0, min(digits, 9)-len(number))) + number
	}
	if model < 0 {
		at = f.sections[0].end
		if n := len(f.tags); n > 0 {
			for _, t := range f.tags {
				if t.section == 0 {
					at = t.end
				}
			}
		}
		return at, name + ": "
	}
	t := f.tags[model]
	return t.end, name + alignedColon(t, name)
}

// alignedColon is the separator of a tag, widened or narrowed so that the value
// of a new tag begins below it.
func alignedColon(model tag, name string) string {
	before, blanks, _ := strings.Cut(model.head, ":")
	if strings.Trim(blanks, " ") != "" || model.guard != "" {
		return ":" + strings.TrimLeft(blanks, " ")
	}
	return ":" + strings.Repeat(" ", max(1, len(blanks)+len(strings.TrimLeft(before, " \t"))-len(name)))
}
