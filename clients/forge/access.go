package forge

import (
	"path"
	"slices"
	"strings"
)

// Access is who may commit to a repository, by level. Each level may do what those
// after it may; who is on two levels has the rights of the higher one.
type Access struct {
	Owner         string // a person: on Pagure the main admin; empty where packages are an organization's
	Admins        []string
	Committers    []string
	Collaborators []Collaborator // on Pagure alone

	AdminGroups        []string
	CommitterGroups    []string
	CollaboratorGroups []Collaborator // on Pagure alone
}

// orphan is who owns what nobody looks after on Fedora's Pagure.
const orphan = "orphan"

// Orphaned reports whether nobody looks after the repository.
func (a *Access) Orphaned() bool {
	if a.Owner != "" {
		return a.Owner == orphan
	}
	return len(a.Admins)+len(a.Committers)+len(a.AdminGroups)+len(a.CommitterGroups) == 0
}

// Keepers are those who look after the repository first of all: its owner, or else
// its admins, or else all who may commit; groups with an @ before their names.
func (a *Access) Keepers() []string {
	if a.Owner != "" {
		return []string{a.Owner}
	}
	named := func(people, groups []string) []string {
		all := append([]string(nil), people...)
		for _, name := range groups {
			all = append(all, "@"+name)
		}
		return all
	}
	if admins := named(a.Admins, a.AdminGroups); len(admins) > 0 {
		return admins
	}
	return named(a.Committers, a.CommitterGroups)
}

// Grant is that a user or a group may commit to all branches of a repository, or that
// they may do nothing to it any more.
type Grant struct {
	Name   string
	Group  bool
	Commit bool
}

// Grants are what is missing for a fork to be open to those who may commit to the whole
// of the repository, and to nobody else. Whose fork it is stays out of it, and so do
// teams of an organization ("rpms/kernel"), which a person's fork cannot be shared with;
// Forgejo tells their members as committers. What is taken away comes first.
func (a *Access) Grants(fork *Access) []Grant {
	people := slices.Concat(a.Admins, a.Committers)
	if a.Owner != "" && !a.Orphaned() {
		people = append(people, a.Owner)
	}
	own := func(name string) bool { return name == fork.Owner }
	all := differences(slices.DeleteFunc(people, own), slices.Concat(fork.Admins, fork.Committers), slices.DeleteFunc(names(fork.Collaborators), own), false)
	isTeam := func(name string) bool { return strings.Contains(name, "/") }
	groups := slices.DeleteFunc(slices.Concat(a.AdminGroups, a.CommitterGroups), isTeam)
	all = append(all, differences(groups, slices.Concat(fork.AdminGroups, fork.CommitterGroups), names(fork.CollaboratorGroups), true)...)
	slices.SortStableFunc(all, func(a, b Grant) int {
		switch {
		case a.Commit == b.Commit:
			return strings.Compare(a.Name, b.Name)
		case b.Commit:
			return -1
		}
		return 1
	})
	return all
}

// differences are what it takes from those who have a right, or a part of it, to those
// who are to have it.
func differences(wanted, have, part []string, group bool) []Grant {
	var all []Grant
	add := func(g Grant) {
		if !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	for _, name := range wanted {
		if !slices.Contains(have, name) {
			add(Grant{name, group, true})
		}
	}
	for _, name := range slices.Concat(have, part) {
		if !slices.Contains(wanted, name) {
			add(Grant{name, group, false})
		}
	}
	return all
}

func names(all []Collaborator) []string {
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	return names
}

// Collaborator is a user or a group that may commit to some branches.
type Collaborator struct {
	Name     string
	Branches []string // patterns with *, ? and [...], such as "epel*"
}

// Covers reports whether the patterns of c match a branch.
func (c Collaborator) Covers(branch string) bool {
	// As Pagure has it, a star matches slashes too. To path.Match they are
	// special, and what stands for them here is in no name of a branch.
	plain := strings.NewReplacer("/", "\x01", "[!", "[^")
	for _, pattern := range c.Branches {
		if ok, err := path.Match(plain.Replace(pattern), strings.ReplaceAll(branch, "/", "\x01")); err == nil && ok {
			return true
		}
	}
	return false
}
