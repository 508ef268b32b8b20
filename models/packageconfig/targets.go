package packageconfig

import (
	"fmt"
	"slices"

	"millrace/models"
)

// targetKeys are what may be set for one target; true for those that are lists.
var targetKeys = map[string]bool{
	"distros": true, "additional_packages": true, "additional_repos": true,
	"additional_modules": false, "with_opts": true, "without_opts": true,
}

// isDictOfDicts reports whether v maps strings to mappings.
func isDictOfDicts(v *value) bool {
	return v.kind == dict && !slices.ContainsFunc(v.entries, func(e *entry) bool {
		return e.key.kind != text || e.val.kind != dict
	})
}

func (l *loader) tooMany(v *value, n int) bool {
	if n > maxTargets {
		l.problems.fail(at(v), fmt.Sprintf("%d entries are too many; at most %d are read.", n, maxTargets), "")
	}
	return n > maxTargets
}

func readTargets(l *loader, v *value) (any, bool) {
	if l.tooMany(v, len(v.items)+len(v.entries)) {
		return nil, false
	}
	targets := models.Targets{}
	if names, ok := stringItems(v); ok {
		for _, name := range names {
			if !slices.ContainsFunc(targets, func(t models.TargetSettings) bool { return t.Name == name }) {
				targets = append(targets, models.TargetSettings{Name: name})
			}
		}
		return targets, true
	}
	if !isDictOfDicts(v) {
		return l.failed(v, "Expected 'list[str]' or 'dict[str,dict]', got "+v.repr()+" (type "+v.typeRepr()+").",
			"Write a list of targets, or `target: {}` for each.")
	}
	// Packit looks at the first key of the first target that has one and is
	// satisfied. What is wrong after that must not be an error for us either.
	strict := true
	for _, e := range v.entries {
		t := models.TargetSettings{Name: e.key.s}
		for _, a := range e.val.entries {
			message, hint := setTarget(&t, a)
			switch {
			case message == "":
			case strict:
				return l.failed(v, message, hint)
			default:
				if t.Unused == nil {
					t.Unused = map[string]any{}
				}
				t.Unused[a.key.name()] = a.val.plain()
				l.problems.warn(atKey(a), message+" It has no effect.", hint)
			}
			strict = false
		}
		targets = append(targets, t)
	}
	return targets, true
}

// setTarget stores one setting of a target. message tells what is wrong.
func setTarget(t *models.TargetSettings, a *entry) (message, hint string) {
	isList, known := targetKeys[a.key.s]
	if !known || a.key.kind != text {
		return "Unknown key " + a.key.repr() + " in " + a.val.parent.repr(), advice(a.key.name(), keysOfTargets)
	}
	if !isList {
		if a.val.kind != text {
			return fmt.Sprintf("Expected <class 'str'>, got %s (type %s)", a.val.repr(), a.val.typeRepr()),
				"Write the modules in one string, with commas between them."
		}
		t.AdditionalModules = &a.val.s
		return "", ""
	}
	items, ok := stringItems(a.val)
	switch {
	case ok:
		*t.List(a.key.s) = items
		return "", ""
	case a.key.s == "distros":
		return fmt.Sprintf("Expected list[str], got %s (type %s)", a.val.repr(), a.val.typeRepr()), "Write a list of strings."
	case a.val.kind != list:
		return fmt.Sprintf("Expected <class 'list'>, got %s (type %s)", a.val.repr(), a.val.typeRepr()), "Write a list of strings."
	}
	// A list of other things passes in Packit and fails in Copr. Keep what is
	// usable of it.
	kept := []string{}
	for _, item := range a.val.items {
		switch item.kind {
		case text, integer, float, date:
			kept = append(kept, item.s)
		}
	}
	*t.List(a.key.s) = kept
	return "", ""
}

var keysOfTargets = []string{
	"distros", "additional_packages", "additional_repos", "additional_modules", "with_opts", "without_opts",
}

const branchesExample = `Example -> "dist_git_branches": {"fedora-rawhide": {"fast_forward_merge_into": ["f40"]}, epel9: {}}`

func readBranches(l *loader, v *value) (any, bool) {
	if l.tooMany(v, len(v.items)+len(v.entries)) {
		return nil, false
	}
	var branches models.DistGitBranches
	if names, ok := stringItems(v); ok {
		for _, name := range names {
			if !slices.Contains(branches.Names(), name) {
				branches.List = append(branches.List, models.DistGitBranch{Name: name})
			}
		}
		return branches, true
	}
	const key = "fast_forward_merge_into"
	other := func(a *entry) bool { return a.key.kind != text || a.key.s != key }
	if !isDictOfDicts(v) || slices.ContainsFunc(v.entries, func(e *entry) bool { return slices.ContainsFunc(e.val.entries, other) }) {
		return l.failed(v, "Expected 'list[str]' or 'dict[str, dict[str, list]]', got "+v.repr()+
			" (type "+v.typeRepr()+").\n"+branchesExample, "")
	}
	branches.Mapping = len(v.entries) > 0
	for _, e := range v.entries {
		b := models.DistGitBranch{Name: e.key.s}
		if into := e.val.get(key); into != nil {
			if l.tooMany(into, len(into.items)) {
				return nil, false
			}
			names, ok := stringItems(into)
			if !ok {
				// Packit accepts anything here and ignores what is no list.
				l.problems.warn(at(into), "Only a list of strings has an effect here, got "+into.repr()+".",
					"Write a list of branches.")
			}
			b.FastForwardMergeInto = names
		}
		branches.List = append(branches.List, b)
	}
	return branches, true
}
