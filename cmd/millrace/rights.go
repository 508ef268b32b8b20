package main

import (
	"context"
	"fmt"
	"time"

	"millrace/clients/fasjson"
	"millrace/clients/kerberos"
	"millrace/clients/pagure"
	"millrace/jobs/access"
)

// sourceTime is how long one question to a source of rights may take: pages wait
// for them.
const sourceTime = 10 * time.Second

// rights knows who may do what, by what dist-git, the forge and the account
// system say, as far as they are configured.
func (v *service) rights(forge access.GitHub) *access.Rights {
	s := v.settings
	r := &access.Rights{
		Store: v.store, Log: v.log, Operators: s.Login.OperatorGroups,
		Forges: map[string]access.Forge{s.GitHub.Host: forge}, Accounts: v.people,
	}
	if s.DistGit.URL != "" {
		r.DistGit = v.pagure()
		r.DistGitHost = hostOf(s.DistGit.URL)
	}
	return r
}

func (v *service) pagure() *pagure.Client {
	return &pagure.Client{BaseURL: v.settings.DistGit.URL, HTTP: v.client("pagure", sourceTime)}
}

// findPeople makes the client that asks who people are; none if there is no way
// to log in there.
func (v *service) findPeople() *fasjson.Client {
	s := v.settings
	client := &fasjson.Client{BaseURL: s.FASJSON.URL, HTTP: v.client("fasjson", sourceTime)}
	switch {
	case s.FASJSON.URL == "":
		return nil
	case s.FASJSON.Token != "":
		client.Negotiate = func(context.Context, string) ([]byte, error) { return []byte(s.FASJSON.Token), nil }
	case v.negotiate != nil:
		client.Negotiate = v.negotiate
	default:
		return nil
	}
	return client
}

// negotiator makes the tokens for services that want Kerberos; nil: there are
// none.
func (v *service) negotiator() func(ctx context.Context, host string) ([]byte, error) {
	k := v.settings.Kerberos
	switch {
	case k.Token != "":
		return func(context.Context, string) ([]byte, error) { return []byte(k.Token), nil }
	case k.Principal == "":
		return nil
	}
	account := &kerberos.Account{Principal: k.Principal, Keytab: k.Keytab, Proxy: k.Proxy, HTTP: v.client("kerberos", sourceTime)}
	return account.Negotiate
}

func (v *service) checkFASJSON(ctx context.Context) (string, error) {
	if v.people == nil {
		return "not configured; nobody has rights from forges on pages, and authors of pull requests are strangers", nil
	}
	me, err := v.people.Me(ctx)
	if fasjson.IsUnknown(err) {
		return "", fmt.Errorf("it does not take our login; look at kerberos.principal and kerberos.keytab: %w", err)
	}
	if err != nil {
		return "", fmt.Errorf("the accounts that people have at forges cannot be asked: %w", err)
	}
	return "as " + me, nil
}
