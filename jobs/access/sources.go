package access

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"millrace/clients/fasjson"
	"millrace/clients/forge"
	"millrace/clients/github"
	"millrace/clients/httpx"
	"millrace/models"
)

// maxGroups is how many groups of a package are looked into.
const maxGroups = 20

// grantOf is what a user may do with a package, in person and as a member of
// groups. With an error it is what is known nevertheless: a group that cannot be
// asked takes away nothing that is given in person.
func (r *Rights) grantOf(ctx context.Context, login, pkg string) (models.Grant, error) {
	a, err := r.DistGit.Access(ctx, pkg)
	if httpx.Status(err) == http.StatusNotFound {
		return models.Grant{}, nil
	}
	if err != nil {
		return models.Grant{}, err
	}
	g := granted(a, login)
	if g.Role == models.Maintainer {
		return g, nil
	}
	var trouble error
	for _, group := range groupsOf(a) {
		members, err := r.DistGit.GroupMembers(ctx, pkg, group.name)
		if httpx.Hidden(err) {
			// Forgejo shows a team to its organization alone; that its members may
			// commit is seen anyhow.
			continue
		}
		if err != nil {
			trouble = err
			continue
		}
		if slices.Contains(members, login) {
			g = g.Merge(group.grant)
		}
	}
	return g, trouble
}

// granted is what a user may do in person.
func granted(a *forge.Access, login string) models.Grant {
	switch {
	case login == "":
		return models.Grant{}
	case a.Owner == login, slices.Contains(a.Admins, login):
		return models.Grant{Role: models.Maintainer}
	case slices.Contains(a.Committers, login):
		return models.Grant{Role: models.Committer}
	}
	var g models.Grant
	for _, c := range a.Collaborators {
		if c.Name == login {
			g.Branches = append(g.Branches, c.Branches...)
		}
	}
	return g
}

type groupGrant struct {
	name  string
	grant models.Grant
}

// groupsOf are the groups of a package and what each gives, the most first.
func groupsOf(a *forge.Access) []groupGrant {
	var all []groupGrant
	for _, name := range a.AdminGroups {
		all = append(all, groupGrant{name, models.Grant{Role: models.Maintainer}})
	}
	for _, name := range a.CommitterGroups {
		all = append(all, groupGrant{name, models.Grant{Role: models.Committer}})
	}
	for _, c := range a.CollaboratorGroups {
		all = append(all, groupGrant{c.Name, models.Grant{Branches: c.Branches}})
	}
	return all[:min(len(all), maxGroups)]
}

// namedBy is the login at a service that a user names as their own, or nothing.
// Anybody may write any login into their profile: it is worth nothing unless
// that account names them too.
func (r *Rights) namedBy(ctx context.Context, login string, service fasjson.Service) (string, error) {
	user, err := r.Accounts.User(ctx, login)
	if fasjson.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if user.Locked || user.Login != login {
		return "", nil
	}
	return user.Accounts[service], nil
}

// GitHub is the Forge of that name.
type GitHub struct{ Client *github.Client }

// Service is part of Forge.
func (GitHub) Service() fasjson.Service { return fasjson.GitHub }

// AccountID is part of Forge.
func (f GitHub) AccountID(ctx context.Context, login string) (int64, error) {
	return f.Client.AccountID(ctx, login)
}

// Role is part of Forge. To whom GitHub does not show a project, or of whom it
// knows nothing, it gives no right.
func (f GitHub) Role(ctx context.Context, p *models.Project, login string) (models.Role, error) {
	permission, err := f.Client.Permission(ctx, github.Repo{Owner: p.Namespace, Name: p.Name}, login)
	switch {
	case github.IsNotFound(err), github.IsBadName(err):
		return models.Anyone, nil
	case err != nil:
		return models.Anyone, err
	}
	switch strings.ToLower(permission) {
	case "admin":
		return models.Maintainer, nil
	case "maintain", "write":
		return models.Committer, nil
	}
	return models.Anyone, nil
}
