package fakeforge

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Level is how far the rights of somebody reach in a repository. A higher one
// includes the lower ones.
type Level int

// The levels.
const (
	Nobody Level = iota
	Ticketer
	Collaborator // may commit to some branches
	Committer
	Admin
)

// Level returns what a login may do to a repository; Nobody, if there is no
// such repository.
func (f *Forge) Level(path, login string) Level {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return Nobody
	}
	return f.level(r, login)
}

// Writers are all who may commit to a repository, or to some of its branches, in
// person or as members of groups, sorted.
func (f *Forge) Writers(path string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return nil
	}
	var all []string
	for login := range f.world.People {
		if f.level(r, login) >= Collaborator {
			all = append(all, login)
		}
	}
	slices.Sort(all)
	return all
}

// level is Level for a caller that holds mu.
func (f *Forge) level(r *repo, login string) Level {
	a := r.Access
	in := func(groups []string) bool {
		return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(f.world.Groups[g], login) })
	}
	switch {
	case login == "":
		return Nobody
	case login == a.Owner || slices.Contains(a.Admins, login) || in(a.AdminGroups):
		return Admin
	case slices.Contains(a.Committers, login) || in(a.CommitterGroups):
		return Committer
	case len(f.patterns(r, login)) > 0:
		return Collaborator
	case slices.Contains(a.Ticketers, login):
		return Ticketer
	}
	return Nobody
}

// patterns are those of the branches to which a login may commit as a
// collaborator. The caller holds mu.
func (f *Forge) patterns(r *repo, login string) []string {
	var all []string
	add := func(list string) {
		for pattern := range strings.SplitSeq(list, ",") {
			if pattern = strings.TrimSpace(pattern); pattern != "" {
				all = append(all, pattern)
			}
		}
	}
	add(r.Access.Collaborators[login])
	for group, list := range r.Access.CollaboratorGroups {
		if slices.Contains(f.world.Groups[group], login) {
			add(list)
		}
	}
	slices.Sort(all)
	return all
}

// writable are the patterns of the branches that a login may push to. The
// caller holds mu.
func (f *Forge) writable(r *repo, login string) []string {
	if f.level(r, login) >= Committer {
		return []string{"*"}
	}
	return f.patterns(r, login)
}

// MayCommit reports whether a login may commit to a branch of a repository.
func (f *Forge) MayCommit(path, login, branch string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	return err == nil && slices.ContainsFunc(f.writable(r, login), func(p string) bool { return matches(p, branch) })
}

// matches reports whether a pattern of the shell matches a branch, in which a
// slash is nothing special.
func matches(pattern, branch string) bool {
	plain := func(s string) string { return strings.ReplaceAll(s, "/", "\x01") }
	ok, err := path.Match(plain(pattern), plain(branch))
	return err == nil && ok
}

// Grant puts a login, or a group, on a level of a repository alone: Ticketer, Committer
// or Admin. Nobody takes all rights away; that is ErrState if there were none.
func (f *Forge) Grant(path, name string, group bool, level Level) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return err
	}
	a := r.Access.clone()
	lists, some := map[Level]*[]string{Ticketer: &a.Ticketers, Committer: &a.Committers, Admin: &a.Admins}, a.Collaborators
	if group {
		lists, some = map[Level]*[]string{Committer: &a.CommitterGroups, Admin: &a.AdminGroups}, a.CollaboratorGroups
	}
	_, had := some[name]
	delete(some, name)
	for _, list := range lists {
		had = had || slices.Contains(*list, name)
		*list = slices.DeleteFunc(*list, func(one string) bool { return one == name })
	}
	if list := lists[level]; list != nil {
		*list = append(*list, name)
	} else if !had {
		return fmt.Errorf("%s has no rights in %s: %w", name, path, ErrState)
	}
	r.Access = a
	return f.save(r)
}
