package specfile

import (
	"slices"
	"strings"

	"millrace/models/rpm"
)

// VersionOptions say how SetVersion treats pre-releases. The zero value leaves
// versions as they are.
type VersionOptions struct {
	// PrereleasePattern recognises the suffix of a pre-release; see
	// rpm.Prerelease. One that cannot be used recognises nothing.
	PrereleasePattern string
	// PrereleaseMacro is switched on for pre-releases and commented out for
	// others, if the file defines it and PrereleasePattern can be used.
	PrereleaseMacro string
}

// maxVersion bounds a version, in bytes.
const maxVersion = 512

// checkVersion refuses what would be a macro, or end the line or the macro that
// a version is written into.
func checkVersion(version string) error {
	refused := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("%{}()[]\\\"'`$;&|<>#", r) }
	if version == "" || len(version) > maxVersion || strings.ContainsFunc(version, refused) {
		return &ValueError{"version", version}
	}
	return nil
}

// SetVersionLiteral replaces the value of the Version tag. Macros in it are
// lost, those that it refers to keep their values.
func (f *File) SetVersionLiteral(version string) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	i := f.findTag("version")
	if i < 0 {
		return ErrNoTag
	}
	f.setTag(i, version)
	f.reparse()
	return nil
}

// SetVersion changes the version and keeps the macros it is made of: where the
// tag refers to definitions above it, their values are changed such that the
// whole comes to the new version. Where that is not possible, the innermost
// value that does not fit is replaced.
func (f *File) SetVersion(version string, o VersionOptions) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	if f.findTag("version") < 0 {
		return ErrNoTag
	}
	if rewritten, found, err := rpm.Prerelease(version, o.PrereleasePattern); err == nil {
		version = rewritten
		if o.PrereleasePattern != "" && o.PrereleaseMacro != "" {
			f.switchMacro(o.PrereleaseMacro, found)
		}
	}
	f.updateTag(f.findTag("version"), version)
	f.reparse()
	return nil
}

// switchMacro comments the definition of a macro out, or in again: the first in
// a true branch, else the first.
func (f *File) switchMacro(name string, on bool) {
	found := -1
	for i, d := range f.defs {
		if d.name != name || d.params != "" {
			continue
		}
		if d.valid {
			found = i
			break
		}
		if found < 0 {
			found = i
		}
	}
	if found < 0 {
		return
	}
	d := f.defs[found]
	if d.commented == !on || d.style == otherComment || d.end > d.start+1 {
		return
	}
	if !d.commented {
		d.style = hashComment
	}
	d.commented = !on
	f.splice(d.start, d.end, d.texts())
	f.reparse()
}

// entity is a definition or a tag of the preamble that has a value of its own.
type entity struct {
	name    string
	value   string
	start   int
	def     int // index in defs, or -1
	tag     int // index in tags, or -1
	updated bool
	flip    bool
}

// update is one change of a value with all it leads to.
type update struct {
	file     *File
	x        *expander            // with what holds at the end of the file
	entities []*entity            // in the order of the file
	byName   map[string][]*entity // likewise; tags under both names they go by
	fuel     int                  // for matching
}

// updateTag changes the tag to a value by changing what it is made of. Whatever
// is called a name stays, because too much else is made of names.
func (f *File) updateTag(i int, value string) {
	u := &update{file: f, x: &expander{macros: f.env.clone(), fuel: maxFuel}, fuel: maxMatching}
	for n, d := range f.defs {
		if d.valid && d.params == "" && !isName(d.name) {
			u.entities = append(u.entities, &entity{name: d.name, value: d.body, start: d.start, def: n, tag: -1})
		}
	}
	for n, t := range f.tags {
		if n == i || t.section == 0 && t.valid && !isName(t.name) {
			u.entities = append(u.entities, &entity{name: t.name, value: t.value, start: t.start, def: -1, tag: n})
		}
	}
	slices.SortStableFunc(u.entities, func(a, b *entity) int { return a.start - b.start })
	u.byName = map[string][]*entity{}
	for _, e := range u.entities {
		u.byName[e.name] = append(u.byName[e.name], e)
		if upper := strings.ToUpper(e.name); e.tag >= 0 && upper != e.name {
			u.byName[upper] = append(u.byName[upper], e)
		}
	}
	value = u.change(f.tags[i].value, value, f.tags[i].start, 0)
	u.apply(i, value)
}

func isName(s string) bool { return strings.Contains(strings.ToLower(s), "name") }

// maxChain bounds how many definitions are followed from one to the next, which
// always stands above it.
const maxChain = 32

// change is the new form of a value that stands at a line, so that it comes to
// requested. It notes the changes of entities that this needs.
func (u *update) change(value, requested string, at, depth int) string {
	if value == requested || depth > maxChain || len(value) > maxValue {
		return requested
	}
	set := entitySet{
		expand: u.x.expand,
		modifiable: func(name string) bool {
			return u.find(name, at, func(e *entity) bool { return !e.flip || u.disabled(e) }) != nil
		},
		flippable: func(name string) bool {
			return u.find(name, at, func(e *entity) bool { return e.def >= 0 && !e.flip }) != nil
		},
	}
	none := func(string) bool { return false }
	for _, flippable := range []func(string) bool{set.flippable, none} {
		set.flippable = flippable
		p, ok := newPattern(value, set)
		if !ok {
			continue
		}
		groups, ok := p.match(requested, &u.fuel)
		if !ok {
			continue
		}
		return u.distribute(p, groups, requested, at, depth)
	}
	return requested
}

// distribute gives the parts of a matched value to their macros.
func (u *update) distribute(p *pattern, groups []string, requested string, at, depth int) string {
	done := map[string]bool{}
	for i, part := range p.parts {
		if part.macro == "" || done[part.macro] {
			continue
		}
		done[part.macro] = true
		e := u.find(part.macro, at, func(*entity) bool { return true })
		if e == nil {
			return requested
		}
		e.value = u.change(e.value, groups[i], e.start, depth+1)
		e.updated = true
	}
	for name := range p.flip {
		for _, e := range u.above(name, at) {
			e.flip = true
		}
	}
	return p.write(groups)
}

// above are the entities of a name above a line.
func (u *update) above(name string, at int) []*entity {
	all := u.byName[name]
	n, _ := slices.BinarySearchFunc(all, at, func(e *entity, at int) int { return e.start - at })
	return all[:n]
}

// find is the last entity of a name above a line that satisfies ok.
func (u *update) find(name string, at int, ok func(*entity) bool) *entity {
	for _, e := range slices.Backward(u.above(name, at)) {
		if ok(e) {
			return e
		}
	}
	return nil
}

// disabled reports whether an entity has no effect as it stands.
func (u *update) disabled(e *entity) bool {
	return e.def >= 0 && (u.file.defs[e.def].commented || u.x.expand(u.file.defs[e.def].body) == "")
}

// apply writes the changes, from the end of the file upwards, so that the
// positions above still hold.
func (u *update) apply(tag int, value string) {
	f := u.file
	for _, e := range slices.Backward(u.entities) {
		switch {
		case e.tag == tag:
			f.setTag(tag, value)
		case e.tag >= 0 && e.updated:
			f.setTag(e.tag, e.value)
		case e.def >= 0 && (e.updated || e.flip):
			d := f.defs[e.def]
			switch {
			case e.updated:
				d.body, d.commented = e.value, d.commented && d.style == otherComment
			case d.end > d.start+1 || d.style == otherComment && d.commented:
				continue
			default:
				d.commented = !u.disabled(e)
			}
			f.splice(d.start, d.end, d.texts())
		}
	}
}
