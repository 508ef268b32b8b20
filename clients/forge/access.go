package forge

import (
	"path"
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
