package jobs

import (
	"context"
	"errors"

	"millrace/clients/fasjson"
	"millrace/models"
)

// FASJSON is the Accounts of that name.
type FASJSON struct{ Client *fasjson.Client }

// GitHubOf is part of Accounts. An account that may not be used is none.
func (f FASJSON) GitHubOf(ctx context.Context, account string) (string, error) {
	user, err := f.Client.User(ctx, account)
	switch {
	case fasjson.IsNotFound(err):
		return "", errors.Join(models.ErrNotFound, err)
	case err != nil:
		return "", err
	case user.Locked:
		return "", models.ErrNotFound
	case user.Private:
		return "", nil
	}
	return user.Accounts[fasjson.GitHub], nil
}
