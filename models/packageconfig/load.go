package packageconfig

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"millrace/models"
)

// mapping is what inheritance works on: the entries of one or several mappings
// of the file, by key. Entries of a lower level replace those of a higher one
// whole.
type mapping map[string]*entry

func mappingOf(v *value) mapping {
	m := mapping{}
	for _, e := range v.entries {
		m[mapKey(e.key)] = e
	}
	return m
}

// mapKey tells the number 1 and the string "1" apart.
func mapKey(key *value) string {
	if key.kind == text {
		return key.s
	}
	return "\x00" + key.name()
}

func (m mapping) get(key string) *value {
	if e := m[key]; e != nil {
		return e.val
	}
	return nil
}

func (m mapping) over(lower mapping) mapping {
	merged := maps.Clone(lower)
	maps.Copy(merged, m)
	return merged
}

// set adds a value that is not in the file, as if it stood where v stands.
func (m mapping) set(key, s string, kind kind, parent *value) {
	v := &value{kind: kind, s: s, line: parent.line, column: parent.column, parent: parent, key: key, weight: 16 + len(s)}
	m[key] = &entry{&value{kind: text, s: key, line: v.line, column: v.column}, v}
}

// loader turns one document into a config.
type loader struct {
	opts     Options
	problems *problems
	decoded  map[*value]decoded
	listed   map[*value]*value // strings to the one-element lists they are short for
	unknowns map[*entry]bool

	packages []pack
	views    []source // of the config's jobs, in the same order
	weight   int      // of all views
}

// pack is a package with everything it inherits.
type pack struct {
	name string
	at   *value
	mapping
}

// source is where a view comes from.
type source struct {
	job *value
	mapping
}

// place is where the file sets key for the view, or else where the job stands.
func (s source) place(key string) place {
	if e := s.mapping[key]; e != nil {
		return at(e.val)
	}
	return at(s.job)
}

func (l *loader) load(text []byte) *models.PackageConfig {
	root := read(text, l.problems)
	switch {
	case root == nil:
		return nil
	case root.kind != dict && root.empty():
		root = &value{kind: dict, line: 1, column: 1}
	case root.kind != dict:
		l.problems.fail(place{line: root.line, column: root.column},
			"The document must be a mapping, got "+root.typeRepr()+".", "Begin with `jobs:` or another key.")
		return nil
	}
	top := mappingOf(root)
	jobs := top.get("jobs")
	delete(top, "_")
	delete(top, "jobs")
	if !l.findPackages(root, top) {
		return nil
	}
	config := &models.PackageConfig{}
	for _, p := range l.packages {
		s := l.settings(p.mapping, false)
		config.Packages = append(config.Packages, models.ConfigPackage{Name: p.name, Settings: s})
	}
	l.loadJobs(config, jobs)
	return config
}

// findPackages fills l.packages from the top level of the file.
func (l *loader) findPackages(root *value, top mapping) bool {
	packages := top["packages"]
	delete(top, "packages")
	if packages == nil {
		return l.onePackage(root, top)
	}
	v := packages.val
	switch {
	case v.kind != dict:
		l.problems.fail(at(v), "'packages' must be a mapping of names to packages, got "+v.typeRepr()+".", "")
		return false
	case len(v.entries) == 0:
		l.problems.fail(at(v), "'packages' is empty: a config needs a package.", "Remove the key if there is only one.")
		return false
	case len(v.entries) > maxPackages:
		l.problems.fail(at(v), fmt.Sprintf("%d packages are too many; at most %d are read.", len(v.entries), maxPackages), "")
		return false
	}
	ok := true
	for _, e := range v.entries {
		if e.key.kind != text {
			l.problems.fail(atKey(e), notString, "Put quotes around the name of the package.")
			ok = false
			continue
		}
		if e.val.kind != dict {
			l.problems.fail(at(e.val), "A package must be a mapping, got "+e.val.typeRepr()+".", "Write `{}` for one without settings.")
			ok = false
			continue
		}
		own := mappingOf(e.val)
		if url := top["upstream_project_url"]; url != nil {
			own["upstream_project_url"] = url
		}
		l.setDefaults(own, e.val)
		if own["downstream_package_name"] == nil {
			own.set("downstream_package_name", e.key.s, text, e.val)
		}
		l.packages = append(l.packages, pack{e.key.s, e.val, own.over(top)})
	}
	return ok
}

// onePackage makes the package of a config that has no `packages`.
func (l *loader) onePackage(root *value, top mapping) bool {
	l.setDefaults(top, root)
	name := top.get("downstream_package_name")
	switch {
	case name == nil:
		l.problems.fail(at(root).child("downstream_package_name"), missingField,
			"Set it: nothing else tells the name of the package.")
		return false
	case name.kind == null:
		l.problems.fail(at(name), notNull, "Without a name there is no package.")
		return false
	case name.kind != text:
		l.problems.fail(at(name), notString, "")
		return false
	}
	l.packages = []pack{{name.s, root, top}}
	return true
}

// setDefaults fills in what a package gets from its repository. The specfile
// comes first: only a name that the user wrote decides what it is called.
func (l *loader) setDefaults(m mapping, where *value) {
	if v := m.get("specfile_path"); v == nil || v.empty() {
		name := m.get("downstream_package_name")
		switch {
		case name != nil && name.kind == text && name.s != "":
			m.set("specfile_path", name.s+".spec", text, where)
		case l.opts.findSpecfile() != "":
			m.set("specfile_path", l.opts.findSpecfile(), text, where)
		default:
			m.set("specfile_path", "", null, where)
		}
	}
	if l.opts.RepoName == "" {
		return
	}
	for _, key := range []string{"upstream_package_name", "downstream_package_name"} {
		if m[key] == nil {
			m.set(key, l.opts.RepoName, text, where)
		}
	}
}

// settings reads the keys of a package, or of a job's view of it.
func (l *loader) settings(m mapping, inJob bool) models.PackageSettings {
	s := models.DefaultSettings()
	to := reflect.ValueOf(&s).Elem()
	var base, namespace *string
	for _, id := range slices.Sorted(maps.Keys(m)) {
		e := m[id]
		f, known := packageFields[id]
		if !known {
			l.unknownKey(e, inJob)
			continue
		}
		v := e.val
		if inJob && v.kind == text && (id == "targets" || id == "dist_git_branches") {
			v = l.asList(v)
		}
		result, ok := l.decode(f, v)
		if !ok {
			continue
		}
		switch id {
		case "dist_git_base_url":
			base = result.(*string)
		case "dist_git_namespace":
			namespace = result.(*string)
		case "targets":
			s.Targets = result.(models.Targets)
		case "dist_git_branches":
			s.DistGitBranches = result.(models.DistGitBranches)
		default:
			to.Field(fieldIndex[id]).Set(reflect.ValueOf(result))
		}
	}
	if len(s.Paths) == 0 {
		s.Paths = models.DefaultSettings().Paths
	}
	l.distGit(m, &s, base, namespace)
	return s
}

// asList is the list of one string that the string v is short for.
func (l *loader) asList(v *value) *value {
	if l.listed[v] == nil {
		item := *v
		whole := *v
		whole.kind, whole.s, whole.items = list, "", []*value{&item}
		item.parent, item.index = &whole, 0
		l.listed[v] = &whole
	}
	return l.listed[v]
}

func (l *loader) unknownKey(e *entry, inJob bool) {
	if l.unknowns[e] {
		return
	}
	l.unknowns[e] = true
	name := e.key.name()
	switch {
	case name == "dist_git_url":
		l.problems.fail(atKey(e), "'dist_git_url' is no longer being processed.",
			"Remove it: it is made of dist_git_base_url, dist_git_namespace and downstream_package_name.")
	case !inJob && slices.Contains(jobOnlyKeys, name):
		l.problems.fail(atKey(e), unknownField, "Only jobs have this key: move it into one.")
	case inJob:
		l.unknown(e, slices.Concat(packageKeys, jobOnlyKeys))
	default:
		l.unknown(e, packageKeys)
	}
}

// inherited counts what a view holds, so that a small file cannot make a huge
// config.
func (l *loader) inherited(m mapping, where *value) bool {
	for _, e := range m {
		l.weight += e.val.weight
	}
	if len(l.views) < maxViews && l.weight <= maxInherit {
		return true
	}
	l.problems.fail(at(where), fmt.Sprintf("There are too many jobs: at most %d, counted for each package and trigger, "+
		"with %d MiB of settings together, are read.", maxViews, maxInherit>>20), "")
	return false
}

// quotedList writes names as Python writes a set or a list of them.
func quotedList(names []string) string {
	quotedNames := make([]string, len(names))
	for i, n := range names {
		quotedNames[i] = quote(clip(n, 100))
	}
	return strings.Join(quotedNames, ", ")
}
