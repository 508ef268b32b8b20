package access

import (
	"context"
	"slices"

	"millrace/clients/fasjson"
	"millrace/models"
)

// Viewer is what a user is while the groups named operators operate the service.
// What groups somebody is in was heard when they logged in. That is believed as
// long as anything else; then the account system, if it can be asked, has to
// confirm what makes an operator.
func (r *Rights) Viewer(ctx context.Context, u *models.User, operators []string) *models.Viewer {
	v := models.NewViewer(u, operators)
	if !v.Operator || r == nil || r.Accounts == nil || r.isFresh(u.SeenAt) {
		return v
	}
	v.Operator = false
	for _, group := range operators {
		if !slices.Contains(u.Groups, group) {
			continue
		}
		member, err := r.inGroup(ctx, v, group)
		if member {
			v.Operator, v.Silent = true, ""
			return v
		}
		if err != nil {
			v.Silent = "the account system"
			if ctx.Err() == nil {
				r.Log.WarnContext(ctx, "an operator cannot be confirmed", "user", u.Login, "group", group, "error", err)
			}
		}
	}
	return v
}

// inGroup reports whether the viewer is in a group, as the account system said
// minutes ago or says now.
func (r *Rights) inGroup(ctx context.Context, viewer *models.Viewer, group string) (bool, error) {
	g, err := r.grant(ctx, viewer, "group "+group, "accounts", func(ctx context.Context) (models.Grant, error) {
		members, err := r.Accounts.GroupMembers(ctx, group)
		if err != nil && !fasjson.IsNotFound(err) {
			return models.Grant{}, err
		}
		if slices.Contains(members, viewer.Login) {
			return models.Grant{Role: models.Maintainer}, nil
		}
		return models.Grant{}, nil
	})
	return g.Role == models.Maintainer, err
}
