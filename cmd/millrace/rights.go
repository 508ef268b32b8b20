package main

import (
	"context"
	"fmt"
	"time"

	"millrace/clients/fasjson"
	"millrace/clients/kerberos"
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
		r.DistGit = v.rightsSource()
		r.DistGitHost = hostOf(s.DistGit.URL)
	}
	return r
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
		client.Negotiate = standIn(s.FASJSON.Token).Negotiate
	case v.kerberos != nil:
		client.Negotiate = v.kerberos.Negotiate
	default:
		return nil
	}
	return client
}

// negotiator makes the tokens for services that want Kerberos, by host.
type negotiator interface {
	Negotiate(ctx context.Context, host string) ([]byte, error)
}

// standIn is a token that test instances take in place of any.
type standIn string

func (t standIn) Negotiate(context.Context, string) ([]byte, error) { return []byte(t), nil }

// kerberosAccount is who we are for services that want Kerberos; nil: nobody.
func (v *service) kerberosAccount() negotiator {
	k := v.settings.Kerberos
	switch {
	case k.Token != "":
		return standIn(k.Token)
	case k.Principal == "":
		return nil
	}
	return &kerberos.Account{Principal: k.Principal, Keytab: k.Keytab, Proxy: k.Proxy, HTTP: v.client("kerberos", sourceTime)}
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
