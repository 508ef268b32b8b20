package pagure

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"millrace/clients/forge"
	"millrace/clients/httpx"
)

// Access asks for all who may commit to a project. It takes two calls: only one
// of them tells the branches of collaborators, and only the other the owner.
func (c *Client) Access(ctx context.Context, repo string) (*forge.Access, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	var project struct {
		Users struct {
			Owner []string `json:"owner"`
		} `json:"access_users"`
	}
	if err := c.get(ctx, "project.get", at, nil, &project); err != nil {
		return nil, fmt.Errorf("asking who owns %s: %w", repo, err)
	}
	var answer struct{ Users, Groups contributors }
	if err := c.get(ctx, "project.contributors", at+"/contributors", nil, &answer); err != nil {
		return nil, fmt.Errorf("asking who may commit to %s: %w", repo, err)
	}
	access := &forge.Access{
		Committers: answer.Users.Commit, Collaborators: answer.Users.collaborators(),
		AdminGroups: answer.Groups.Admin, CommitterGroups: answer.Groups.Commit, CollaboratorGroups: answer.Groups.collaborators(),
	}
	if len(project.Users.Owner) > 0 {
		access.Owner = project.Users.Owner[0]
	}
	for _, name := range answer.Users.Admin {
		if name != access.Owner {
			access.Admins = append(access.Admins, name)
		}
	}
	return access, nil
}

// contributors is how Pagure lists users, or groups.
type contributors struct {
	Admin         []string `json:"admin"`
	Commit        []string `json:"commit"`
	Collaborators []struct {
		User     string `json:"user"` // of groups too
		Branches string `json:"branches"`
	} `json:"collaborators"`
}

func (c contributors) collaborators() []forge.Collaborator {
	var all []forge.Collaborator
	for _, in := range c.Collaborators {
		one := forge.Collaborator{Name: in.User}
		for pattern := range strings.SplitSeq(in.Branches, ",") {
			if pattern = strings.TrimSpace(pattern); pattern != "" {
				one.Branches = append(one.Branches, pattern)
			}
		}
		all = append(all, one)
	}
	return all
}

// GroupMembers lists the users in a group. Groups are those of the whole forge,
// not of a project.
func (c *Client) GroupMembers(ctx context.Context, _, group string) ([]string, error) {
	if !forge.Name(group) {
		return nil, fmt.Errorf("%.80q is not the name of a group", group)
	}
	var answer struct {
		Members []string `json:"members"`
	}
	if err := c.get(ctx, "group.get", "/group/"+url.PathEscape(group), nil, &answer); err != nil {
		return nil, fmt.Errorf("asking who is in the group %s: %w", group, err)
	}
	return answer.Members, nil
}

// HasCommit reports whether a user may commit to a branch, in whatever way.
// Pagure says no, too, to users whom it has never seen.
func (c *Client) HasCommit(ctx context.Context, repo, user, branch string) (bool, error) {
	at, err := address(repo)
	if err != nil {
		return false, err
	}
	var answer struct {
		HasCommit bool `json:"hascommit"`
	}
	query := url.Values{"user": {user}, "branch": {branch}}
	if err := c.get(ctx, "project.hascommit", at+"/hascommit", query, &answer); err != nil {
		return false, fmt.Errorf("asking whether %s may commit to %s: %w", httpx.Clean(user, 80), repo, err)
	}
	return answer.HasCommit, nil
}

// Grant lets a user or a group commit to a project, or takes all rights from them; only
// admins of the project may, with the right "modify_project" of the token.
func (c *Client) Grant(ctx context.Context, repo string, g forge.Grant) error {
	at, err := address(repo)
	if err != nil {
		return err
	}
	if !forge.Name(g.Name) {
		return fmt.Errorf("%.80q is nobody's name", g.Name)
	}
	form := url.Values{"user_type": {"user"}, "name": {g.Name}}
	if g.Group {
		form.Set("user_type", "group")
	}
	if g.Commit { // without it rights are taken away
		form.Set("acl", "commit")
	}
	if err := c.post(ctx, "project.modifyacls", at+"/git/modifyacls", form, nil); err != nil {
		return fmt.Errorf("changing what %s may do to %s: %w", g.Name, repo, err)
	}
	return nil
}
