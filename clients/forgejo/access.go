package forgejo

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/forge"
	"millrace/clients/httpx"
)

// maxLooked is how many collaborators of a repository are looked at singly.
const maxLooked = 200

type teamJSON struct {
	ID         int64             `json:"id"`
	Name       string            `json:"name"`
	Permission string            `json:"permission"`
	Units      map[string]string `json:"units_map"` // in place of Permission, by part of a repository
}

// may is what members of the team may do with code.
func (t teamJSON) may() string { return cmp.Or(t.Units["repo.code"], t.Permission) }

func administers(permission string) bool { return permission == "admin" || permission == "owner" }

func writes(permission string) bool { return permission == "write" || administers(permission) }

// Access asks for all who may write to a repository: its owner, if that is a
// person, its collaborators and the teams of its organization. A token is needed.
//
// Rules for single branches are not looked at: Forgejo shows them to admins of the
// repository alone. Who of those who may write is an admin, too, it tells to admins
// only (and to those of the whole instance); to others they are committers.
func (c *Client) Access(ctx context.Context, repo string) (*forge.Access, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	access, err := c.access(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("asking who may commit to %s: %w", repo, err)
	}
	return access, nil
}

func (c *Client) access(ctx context.Context, at string) (*forge.Access, error) {
	var repo repoJSON
	if err := c.call(ctx, "repo.get", http.MethodGet, at, nil, nil, &repo); err != nil {
		return nil, err
	}
	access := new(forge.Access)
	teams, err := c.teams(ctx, at)
	if httpx.Status(err) == http.StatusMethodNotAllowed { // it belongs to no organization
		access.Owner, err = repo.Owner.Login, nil
	}
	if err != nil {
		return nil, err
	}
	for _, t := range teams {
		name := repo.Owner.Login + "/" + t.Name
		switch {
		case administers(t.may()):
			access.AdminGroups = append(access.AdminGroups, name)
		case writes(t.may()):
			access.CommitterGroups = append(access.CommitterGroups, name)
		}
	}
	var collaborators []string
	if err := list(ctx, c, "repo.collaborators", at+"/collaborators", nil, func(u userJSON) { collaborators = append(collaborators, u.Login) }); err != nil {
		return nil, err
	}
	access.Committers, err = c.writers(ctx, at)
	if err != nil {
		return nil, err
	}
	if access.Admins, err = c.admins(ctx, at, collaborators); err != nil {
		return nil, err
	}
	access.Committers = slices.DeleteFunc(access.Committers, func(login string) bool {
		return login == access.Owner || slices.Contains(access.Admins, login)
	})
	access.Admins = slices.DeleteFunc(access.Admins, func(login string) bool { return login == access.Owner })
	slices.Sort(access.Admins)
	slices.Sort(access.Committers)
	return access, nil
}

// admins are those of the collaborators who are; nobody if that is not told.
func (c *Client) admins(ctx context.Context, at string, collaborators []string) ([]string, error) {
	var admins []string
	for _, login := range collaborators[:min(len(collaborators), maxLooked)] {
		permission, err := c.permission(ctx, at, login)
		switch {
		case IsForbidden(err):
			return nil, nil
		case IsNotFound(err):
		case err != nil:
			return nil, err
		case administers(permission):
			admins = append(admins, login)
		}
	}
	return admins, nil
}

// writers are all who may write to a repository, in person or as members of teams:
// to them issues can be assigned.
func (c *Client) writers(ctx context.Context, at string) ([]string, error) {
	var in []userJSON // not in pages
	if err := c.call(ctx, "repo.assignees", http.MethodGet, at+"/assignees", nil, nil, &in); err != nil {
		return nil, err
	}
	var all []string
	for _, u := range in {
		all = append(all, u.Login)
	}
	return all, nil
}

func (c *Client) teams(ctx context.Context, at string) ([]teamJSON, error) {
	var all []teamJSON // not in pages
	err := c.call(ctx, "repo.teams", http.MethodGet, at+"/teams", nil, nil, &all)
	return all, err
}

func (c *Client) permission(ctx context.Context, at, login string) (string, error) {
	if !forge.Name(login) {
		return "", fmt.Errorf("%.80q is not the name of a user", login)
	}
	var in struct {
		Permission string `json:"permission"`
	}
	err := c.call(ctx, "repo.permission", http.MethodGet, at+"/collaborators/"+login+"/permission", nil, nil, &in)
	return in.Permission, err
}

// HasCommit reports whether a user may write to a repository; see Access about
// branches.
func (c *Client) HasCommit(ctx context.Context, repo, user, _ string) (bool, error) {
	at, err := address(repo)
	if err != nil {
		return false, err
	}
	permission, err := c.permission(ctx, at, user)
	switch {
	case IsNotFound(err): // nobody has ever logged in as user
		return false, nil
	case IsForbidden(err): // of others only admins may ask it
		var all []string
		if all, err = c.writers(ctx, at); err == nil {
			return slices.ContainsFunc(all, func(login string) bool { return strings.EqualFold(login, user) }), nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("asking whether %s may commit to %s: %w", httpx.Clean(user, 80), repo, err)
	}
	return writes(permission), nil
}

// GroupMembers lists the members of a team of the organization that a repository
// belongs to: "kernel", or "rpms/kernel" with the organization's name. Only who is
// in the organization is shown its teams, and of a team that is not shown the error
// says that it is not there.
func (c *Client) GroupMembers(ctx context.Context, repo, group string) ([]string, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	name := group
	owner, _, _ := strings.Cut(repo, "/")
	if organization, team, ok := strings.Cut(group, "/"); ok {
		owner, name = organization, team
	}
	if !forge.Name(owner) || !forge.Name(name) {
		return nil, fmt.Errorf("%.80q is not the name of a group", group)
	}
	id, err := c.team(ctx, at, owner, name)
	var all []string
	if err == nil {
		err = list(ctx, c, "team.members", "/teams/"+strconv.FormatInt(id, 10)+"/members", nil, func(u userJSON) { all = append(all, u.Login) })
	}
	if err != nil {
		return nil, fmt.Errorf("asking who is in the team %s of %s: %w", name, owner, err)
	}
	slices.Sort(all)
	return all, nil
}

// team finds a team: among those of the repository, which all may see, or else
// among those of the organization.
func (c *Client) team(ctx context.Context, at, owner, name string) (int64, error) {
	is := func(t teamJSON) bool { return strings.EqualFold(t.Name, name) }
	if strings.HasPrefix(at, "/repos/"+owner+"/") {
		teams, err := c.teams(ctx, at)
		if err != nil && httpx.Status(err) != http.StatusMethodNotAllowed {
			return 0, err
		}
		if i := slices.IndexFunc(teams, is); i >= 0 {
			return teams[i].ID, nil
		}
	}
	var found int64
	err := list(ctx, c, "org.teams", "/orgs/"+owner+"/teams", nil, func(t teamJSON) {
		if is(t) {
			found = t.ID
		}
	})
	if err == nil && found == 0 {
		err = &Error{Service: "forgejo", Method: http.MethodGet, URL: "/orgs/" + owner + "/teams", Status: http.StatusNotFound, Message: "there is no team " + name}
	}
	return found, err
}

// Grant lets a user write to a repository, or takes the rights of a collaborator away;
// only admins of the repository may. Teams are not looked after here: they belong to
// organizations, and cannot have a right in the fork of a person.
func (c *Client) Grant(ctx context.Context, repo string, g forge.Grant) error {
	at, err := address(repo)
	if err != nil {
		return err
	}
	if g.Group || !forge.Name(g.Name) {
		return fmt.Errorf("%.80q is not the name of a user", g.Name)
	}
	at += "/collaborators/" + g.Name
	if g.Commit {
		err = c.call(ctx, "repo.collaborator.put", http.MethodPut, at, nil, map[string]string{"permission": "write"}, nil)
	} else {
		err = c.call(ctx, "repo.collaborator.delete", http.MethodDelete, at, nil, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("changing what %s may do to %s: %w", g.Name, repo, err)
	}
	return nil
}
