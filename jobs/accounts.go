package jobs

import (
	"context"
	"errors"

	"millrace/clients/fasjson"
	"millrace/models"
)

// FASJSON is the Accounts of that name.
type FASJSON struct{ Client *fasjson.Client }

// maxClaims is how many accounts are looked at that name the same login.
const maxClaims = 3

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

// AccountsOf is part of Accounts. What people keep private does not count, nor
// do accounts that may not be used.
func (f FASJSON) AccountsOf(ctx context.Context, login string) ([]string, error) {
	claims, err := f.Client.WithAccount(ctx, fasjson.GitHub, login)
	if err != nil {
		return nil, err
	}
	var shown []string
	for _, account := range claims[:min(len(claims), maxClaims)] {
		user, err := f.Client.User(ctx, account)
		if err != nil {
			return nil, err
		}
		if !user.Private && !user.Locked {
			shown = append(shown, user.Login)
		}
	}
	return shown, nil
}
