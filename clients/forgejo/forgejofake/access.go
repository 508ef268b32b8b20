package forgejofake

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/git/fakeforge"
)

// Packages belong to an organization, which is the first part of their paths: their
// owner and admins in the forge are collaborators here, and groups are its teams.
// Whoever may commit to some branches may write; that rules of branches then keep
// them from others shows when they push.

// permission is what somebody may do with a repository.
func (f *Fake) permission(r fakeforge.Repo, login string) string {
	switch f.forge.Level(r.Path, login) {
	case fakeforge.Admin:
		if r.Parent != "" {
			return "owner"
		}
		return "admin"
	case fakeforge.Committer, fakeforge.Collaborator:
		return "write"
	}
	return "read"
}

// collaborators are those who have rights in person, sorted.
func collaborators(r fakeforge.Repo) []string {
	a := r.Access
	var all []string
	if r.Parent == "" {
		all = append(all, a.Owner)
	}
	all = slices.Concat(all, a.Admins, a.Committers, slices.Collect(maps.Keys(a.Collaborators)))
	slices.Sort(all)
	return slices.Compact(all)
}

func (f *Fake) listCollaborators(c *call) (any, error) {
	out := []object{}
	for _, login := range paged(c, collaborators(c.repo)) {
		out = append(out, f.userJSON(login))
	}
	return out, nil
}

// showPermission tells people about themselves, and admins about everybody.
func (f *Fake) showPermission(c *call) (any, error) {
	login := c.r.PathValue("user")
	if login != c.login && !slices.Contains(f.config.Admins, c.login) && f.forge.Level(c.repo.Path, c.login) < fakeforge.Admin {
		return nil, &refusal{http.StatusForbidden, "Only admins can query all permissions, repo admins can query all repo permissions, collaborators can query only their own"}
	}
	if _, ok := f.forge.Person(login); !ok {
		return nil, notFound()
	}
	permission := f.permission(c.repo, login)
	return object{"permission": permission, "role_name": permission, "user": f.userJSON(login)}, nil
}

// putCollaborator gives somebody a right in a repository.
func (f *Fake) putCollaborator(c *call) (any, error) {
	level, ok := map[string]fakeforge.Level{
		"": fakeforge.Committer, "read": fakeforge.Ticketer, "write": fakeforge.Committer, "admin": fakeforge.Admin,
	}[c.in["permission"]]
	if !ok {
		return nil, &refusal{http.StatusUnprocessableEntity, "[Permission]: In"}
	}
	return nil, f.setLevel(c, level)
}

// deleteCollaborator takes the rights away that somebody has in person. That there are
// none is fine.
func (f *Fake) deleteCollaborator(c *call) (any, error) { return nil, f.setLevel(c, fakeforge.Nobody) }

func (f *Fake) setLevel(c *call, level fakeforge.Level) error {
	login := c.r.PathValue("user")
	if _, known := f.forge.Person(login); !known {
		return &refusal{http.StatusUnprocessableEntity, "user does not exist [uid: 0, name: " + login + "]"}
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Admin {
		return &refusal{http.StatusForbidden, "user should be an owner or a collaborator with admin write of a repository"}
	}
	if login == c.repo.Access.Owner {
		return nil
	}
	if err := f.forge.Grant(c.repo.Path, login, false, level); err != nil && !errors.Is(err, fakeforge.ErrState) {
		return err
	}
	return nil
}

// listAssignees are all who may write, without pages.
func (f *Fake) listAssignees(c *call) (any, error) {
	out := []object{}
	for _, login := range f.forge.Writers(c.repo.Path) {
		out = append(out, f.userJSON(login))
	}
	return out, nil
}

// teams are the groups that have rights in a repository, with their permission.
func teams(a fakeforge.Access) map[string]string {
	all := make(map[string]string)
	for name := range a.CollaboratorGroups {
		all[name] = "write"
	}
	for _, name := range a.CommitterGroups {
		all[name] = "write"
	}
	for _, name := range a.AdminGroups {
		all[name] = "admin"
	}
	return all
}

// teamID is a number for a group. There is one for each that exists.
func (f *Fake) teamID(name string) int { return slices.Index(f.forge.Groups(), name) + 1 }

// teamJSON says what a team may do in parts of a repository, as teams do whose
// permission is not the same in all.
func (f *Fake) teamJSON(name, permission string) object {
	return object{"id": f.teamID(name), "name": name, "permission": permission, "units_map": object{"repo.code": permission, "repo.issues": "read"}}
}

func (f *Fake) listRepoTeams(c *call) (any, error) {
	if c.repo.Parent != "" {
		return nil, &refusal{http.StatusMethodNotAllowed, "repo is not owned by an organization"}
	}
	out := []object{}
	all := teams(c.repo.Access)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if f.teamID(name) > 0 { // others were deleted
			out = append(out, f.teamJSON(name, all[name]))
		}
	}
	return out, nil
}

// belongs reports whether somebody is in the organization: a member of any of its
// teams.
func (f *Fake) belongs(login string) bool {
	return slices.Contains(f.config.Admins, login) || slices.ContainsFunc(f.forge.Groups(), func(name string) bool { return f.isMember(name, login) })
}

func (f *Fake) isMember(group, login string) bool {
	members, _ := f.forge.Group(group)
	return slices.Contains(members, login)
}

func (f *Fake) listTeams(c *call) (any, error) {
	if !f.belongs(c.login) {
		return nil, &refusal{http.StatusForbidden, "Must be an organization member"}
	}
	organization := c.r.PathValue("organization")
	if !slices.ContainsFunc(f.forge.Repos(), func(r fakeforge.Repo) bool { return strings.HasPrefix(r.Path, organization+"/") }) {
		return nil, notFound()
	}
	out := []object{}
	for _, name := range paged(c, f.forge.Groups()) {
		out = append(out, f.teamJSON(name, "write"))
	}
	return out, nil
}

// listMembers shows a team to those in it, and to admins; to strangers of the
// organization it is not there.
func (f *Fake) listMembers(c *call) (any, error) {
	id, err := strconv.Atoi(c.r.PathValue("id"))
	groups := f.forge.Groups()
	if err != nil || id < 1 || id > len(groups) || !f.belongs(c.login) {
		return nil, notFound()
	}
	name := groups[id-1]
	if !f.isMember(name, c.login) && !slices.Contains(f.config.Admins, c.login) {
		return nil, &refusal{http.StatusForbidden, "Must be a team member"}
	}
	members, _ := f.forge.Group(name)
	out := []object{}
	for _, login := range paged(c, members) {
		out = append(out, f.userJSON(login))
	}
	return out, nil
}
