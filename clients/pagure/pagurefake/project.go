package pagurefake

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/git/fakeforge"
)

func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// address is where people and programs reach the fake.
func (f *Fake) address(r *http.Request) string {
	if f.config.URL != "" || r == nil {
		return f.config.URL
	}
	return "http://" + r.Host
}

// list writes an empty list where there is none.
func list(names []string) []string { return append([]string{}, names...) }

func (f *Fake) userJSON(base, login string) object {
	p, _ := f.forge.Person(login)
	return object{"name": p.Login, "fullname": p.Name, "url_path": "user/" + p.Login, "full_url": base + "/user/" + p.Login}
}

// urlPath is a project's path on the web.
func urlPath(path string) string {
	if rest, ok := strings.CutPrefix(path, "forks/"); ok {
		return "fork/" + rest
	}
	return path
}

func (f *Fake) projectJSON(base string, r fakeforge.Repo) object {
	a := r.Access
	var parent any
	if p, err := f.forge.Repo(r.Parent); r.Parent != "" && err == nil {
		parent = f.projectJSON(base, p)
	}
	return object{
		"id": r.ID, "name": r.Name(), "fullname": r.Path, "url_path": urlPath(r.Path), "full_url": base + "/" + urlPath(r.Path),
		"description": r.Description, "namespace": r.Namespace(), "parent": parent,
		"date_created": stamp(r.Created), "date_modified": stamp(r.Created), "user": f.userJSON(base, r.Access.Owner),
		"access_users": object{
			"owner": []string{a.Owner}, "admin": list(a.Admins), "commit": list(a.Committers), "ticket": list(a.Ticketers),
			"collaborator": list(slices.Sorted(maps.Keys(a.Collaborators))),
		},
		"access_groups": object{
			"admin": list(a.AdminGroups), "commit": list(a.CommitterGroups), "ticket": []string{},
			"collaborator": list(slices.Sorted(maps.Keys(a.CollaboratorGroups))),
		},
		"tags": []string{}, "priorities": object{}, "custom_keys": []string{}, "close_status": []string{}, "milestones": object{},
	}
}

func (f *Fake) showProject(c *call) (any, error) {
	return f.projectJSON(f.address(c.r), c.repo), nil
}

func (f *Fake) showContributors(c *call) (any, error) {
	a := c.repo.Access
	levels := func(admins, committers, ticketers []string, collaborators map[string]string) object {
		some := []object{}
		for _, name := range slices.Sorted(maps.Keys(collaborators)) {
			// Who is on a higher level too stays in this list, as at the real one.
			some = append(some, object{"user": name, "branches": collaborators[name]})
		}
		committers = slices.DeleteFunc(slices.Clone(committers), func(name string) bool { return slices.Contains(admins, name) })
		sorted := func(names []string) []string { return list(slices.Sorted(slices.Values(names))) }
		return object{"admin": sorted(admins), "commit": sorted(committers), "ticket": sorted(ticketers), "collaborators": some}
	}
	return object{
		// The owner is an admin like the others here.
		"users":  levels(append(list(a.Admins), a.Owner), a.Committers, a.Ticketers, a.Collaborators),
		"groups": levels(a.AdminGroups, a.CommitterGroups, nil, a.CollaboratorGroups),
	}, nil
}

// modifyACLs gives somebody a right in a project, or takes all away if none is named.
func (f *Fake) modifyACLs(c *call) (any, error) {
	if err := required(c.form, "user_type", "name"); err != nil {
		return nil, err
	}
	level, ok := map[string]fakeforge.Level{
		"": fakeforge.Nobody, "ticket": fakeforge.Ticketer, "commit": fakeforge.Committer, "admin": fakeforge.Admin,
	}[c.form.Get("acl")]
	if !ok {
		return nil, invalid("acl", "Not a valid choice")
	}
	name, group := c.form.Get("name"), c.form.Get("user_type") == "group"
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Admin && (level != fakeforge.Nobody || name != c.login) {
		return nil, &refusal{401, "EMODIFYPROJECTNOTALLOWED", "You are not allowed to modify this project", nil}
	}
	if _, known := f.forge.Group(name); group && !known {
		return nil, &refusal{404, "ENOGROUP", "Group not found", nil}
	}
	if _, known := f.forge.Person(name); !group && !known {
		return nil, &refusal{404, "ENOUSER", "No such user found", nil}
	}
	if name != c.repo.Access.Owner || group { // who is the owner stays it
		err := f.forge.Grant(c.repo.Path, name, group, level)
		if errors.Is(err, fakeforge.ErrState) && !group {
			return nil, &refusal{400, "EINVALIDREQ", "Invalid or incomplete input submitted", "User does not have any rights on the repo"}
		}
		if err != nil && !errors.Is(err, fakeforge.ErrState) {
			return nil, err
		}
	}
	repo, err := f.forge.Repo(c.repo.Path)
	return f.projectJSON(f.address(c.r), repo), err
}

func (f *Fake) showHasCommit(c *call) (any, error) {
	user, branch := c.r.URL.Query().Get("user"), c.r.URL.Query().Get("branch")
	if user == "" || branch == "" {
		return nil, &refusal{400, "EINVALIDREQ", "Invalid input, branch or user argument missing", nil}
	}
	return object{
		"args":      object{"project": f.projectJSON(f.address(c.r), c.repo), "branch": branch, "user": user},
		"hascommit": f.forge.MayCommit(c.repo.Path, user, branch),
	}, nil
}

func (f *Fake) showGroup(r *http.Request) (any, error) {
	name := r.PathValue("group")
	members, ok := f.forge.Group(name)
	if !ok {
		return nil, &refusal{404, "ENOGROUP", "Group not found", nil}
	}
	base := f.address(r)
	return object{
		"name": name, "display_name": name, "description": name, "group_type": "user", "full_url": base + "/group/" + name,
		"date_created": stamp(f.forge.Now()), "creator": f.userJSON(base, cmp.Or(first(members), "admin")), "members": list(members),
	}, nil
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// listProjects lists the projects that match, by name.
func (f *Fake) listProjects(r *http.Request) (any, error) {
	query := r.URL.Query()
	user, namespace, forks := query.Get("username"), query.Get("namespace"), query.Get("fork")
	all := slices.DeleteFunc(f.forge.Repos(), func(p fakeforge.Repo) bool {
		return namespace != "" && p.Namespace() != namespace || user != "" && f.forge.Level(p.Path, user) < fakeforge.Collaborator ||
			forks == "false" && p.Parent != "" || forks == "true" && p.Parent == ""
	})
	base := f.address(r)
	of, pagination, err := paged(&call{r: r, form: query}, base, all)
	if err != nil {
		return nil, err
	}
	projects := []object{}
	for _, p := range of {
		about := f.projectJSON(base, p)
		if query.Get("short") == "true" {
			about = object{"name": p.Name(), "namespace": p.Namespace(), "fullname": p.Path, "description": p.Description}
		}
		projects = append(projects, about)
	}
	return object{"projects": projects, "total_projects": len(all), "pagination": pagination, "args": object{"username": user, "namespace": namespace}}, nil
}
