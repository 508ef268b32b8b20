package packageconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/models"
)

// members reads a mapping with a closed set of keys. read stores the value of
// one of them and reports whether it could.
func (l *loader) members(v *value, read map[string]func(*value) bool) bool {
	if v.kind != dict {
		l.problems.fail(at(v), wrongType, "Write a mapping with the keys "+
			strings.Join(slices.Sorted(maps.Keys(read)), ", ")+".")
		return false
	}
	ok := true
	for _, e := range v.entries {
		store, known := read[e.key.s]
		if !known || e.key.kind != text {
			l.unknown(e, slices.Sorted(maps.Keys(read)))
			ok = false
			continue
		}
		ok = store(e.val) && ok
	}
	return ok
}

// into makes a reader of one member. nullOK tells that a null changes nothing.
func into[T any](l *loader, to *T, nullOK bool, read func(*loader, *value) (any, bool)) func(*value) bool {
	return func(v *value) bool {
		if v.kind == null {
			if !nullOK {
				l.problems.fail(at(v), notNull, "Remove the key, or give it a value.")
			}
			return nullOK
		}
		result, ok := read(l, v)
		if ok {
			*to = result.(T)
		}
		return ok
	}
}

// group makes a reader of a member that is a mapping itself.
func group(l *loader, nullOK bool, read func() map[string]func(*value) bool) func(*value) bool {
	return func(v *value) bool {
		if v.kind == null {
			if !nullOK {
				l.problems.fail(at(v), notNull, "Remove the key, or give it a value.")
			}
			return nullOK
		}
		return l.members(v, read())
	}
}

type membersOf = map[string]func(*value) bool

func readNotifications(l *loader, v *value) (any, bool) {
	n := models.DefaultSettings().Notifications
	ok := l.members(v, membersOf{
		"pull_request": group(l, false, func() membersOf {
			return membersOf{"successful_build": into(l, &n.PullRequest.SuccessfulBuild, false, readBool)}
		}),
		"failure_comment": group(l, false, func() membersOf {
			return membersOf{"message": into(l, &n.FailureComment.Message, true, readOptional)}
		}),
		"failure_issue": group(l, false, func() membersOf {
			return membersOf{"create": into(l, &n.FailureIssue.Create, false, readBool)}
		}),
	})
	return n, ok
}

func readTestCommand(l *loader, v *value) (any, bool) {
	var c models.TestCommand
	ok := l.members(v, membersOf{
		"default_labels":     into(l, &c.DefaultLabels, true, readStrings),
		"default_identifier": into(l, &c.DefaultIdentifier, true, readOptional),
	})
	return c, ok
}

func readRequire(l *loader, v *value) (any, bool) {
	r := models.DefaultSettings().Require
	ok := l.members(v, membersOf{"label": group(l, true, func() membersOf {
		return membersOf{
			"present": into(l, &r.Label.Present, false, readStrings),
			"absent":  into(l, &r.Label.Absent, false, readStrings),
		}
	})})
	return r, ok
}

func readOSHOptions(l *loader, v *value) (any, bool) {
	var o models.OSHOptions
	ok := l.members(v, membersOf{
		"analyzer": into(l, &o.Analyzer, true, readOptional),
		"config":   into(l, &o.Config, true, readOptional),
		"profile":  into(l, &o.Profile, true, readOptional),
	})
	return o, ok
}

// require reports members that a mapping must have and has not.
func (l *loader) require(v *value, keys ...string) bool {
	ok := true
	for _, key := range keys {
		if v.kind == dict && v.entry(key) == nil {
			l.problems.fail(at(v).child(key), missingField, "")
			ok = false
		}
	}
	return ok
}

func readSources(l *loader, v *value) (any, bool) {
	if v.kind != list {
		return l.failed(v, notList, "Write a list of mappings with path and url.")
	}
	result, ok := make([]models.ConfigSource, len(v.items)), true
	for i, item := range v.items {
		s := &result[i]
		read := group(l, false, func() membersOf {
			return membersOf{"path": into(l, &s.Path, false, readString), "url": into(l, &s.URL, false, readString)}
		})
		ok = read(item) && ok
		ok = l.require(item, "path", "url") && ok
	}
	return result, ok
}

func readFilesToSync(l *loader, v *value) (any, bool) {
	if v.kind != list {
		return l.failed(v, notList, "Write a list of paths, or of mappings with src and dest.")
	}
	result, ok := make([]models.SyncFiles, len(v.items)), true
	for i, item := range v.items {
		f := &result[i]
		f.Filters = []string{}
		switch item.kind {
		case text:
			f.Src, f.Dest = []string{item.s}, item.s
		case dict:
			fine := l.members(item, membersOf{
				"src":     into(l, &f.Src, false, readPaths),
				"dest":    into(l, &f.Dest, false, readString),
				"mkpath":  into(l, &f.MkPath, false, readBool),
				"delete":  into(l, &f.Delete, false, readBool),
				"filters": into(l, &f.Filters, true, readStrings),
			})
			ok = l.require(item, "src", "dest") && fine && ok
		case null:
			l.problems.fail(at(item), notNull, "")
			ok = false
		default:
			l.problems.fail(at(item), "Expected 'dict' or 'str', got "+item.typeRepr()+".", "")
			ok = false
		}
	}
	return result, ok
}

// readPaths reads a list of strings, or one string in its place.
func readPaths(l *loader, v *value) (any, bool) {
	if v.kind == text {
		return []string{v.s}, true
	}
	result, ok := stringItems(v)
	if !ok {
		return l.failed(v, "Expected 'list[str]' or 'str', got "+v.typeRepr()+".", "")
	}
	return result, true
}

// stringItems returns the items of a list that has nothing but strings.
func stringItems(v *value) ([]string, bool) {
	if v.kind != list {
		return nil, false
	}
	result := make([]string, len(v.items))
	for i, item := range v.items {
		if item.kind != text {
			return nil, false
		}
		result[i] = item.s
	}
	return result, true
}

func readActions(l *loader, v *value) (any, bool) {
	if v.kind != dict {
		return l.failed(v, "'dict' required, got "+v.typeRepr()+".", "Write `name: command` pairs.")
	}
	actions := map[string]models.ConfigAction{}
	var unknown, hints []string
	for _, e := range v.entries {
		if e.key.kind != text || !slices.Contains(models.ActionNames, e.key.s) {
			unknown = append(unknown, e.key.repr())
			if h := didYouMean(e.key.name(), models.ActionNames); h != "" {
				hints = append(hints, h)
			}
			continue
		}
		actions[e.key.s] = models.ConfigAction{Raw: e.val.plain()}
	}
	if len(unknown) == 0 {
		return actions, true
	}
	if len(hints) == 0 {
		hints = []string{"Actions are: " + strings.Join(models.ActionNames, ", ") + "."}
	}
	return l.failed(v, clip(fmt.Sprintf("Unknown action(s) provided: [%s]", strings.Join(unknown, ", ")), 1000),
		strings.Join(hints, " "))
}
