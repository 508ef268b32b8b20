package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"millrace/models"
	"millrace/models/store"
)

// Accounts is the account system, as far as it knows who people are elsewhere.
type Accounts interface {
	// GitHubOf returns the GitHub login that an account names as its owner's, or
	// nothing if it names none, or to nobody. If there is no such account the
	// error matches models.ErrNotFound.
	GitHubOf(ctx context.Context, account string) (string, error)
	// AccountsOf returns the accounts that name a GitHub login as their owner's.
	AccountsOf(ctx context.Context, login string) ([]string, error)
}

// handleInstallation puts the namespace where our App was installed on the
// allowlist: as allowed if the account system knows who did it, else as waiting,
// with an issue where they can prove who they are.
func (r *Runner) handleInstallation(ctx context.Context, e *models.Event, m *models.Message) error {
	where, err := url.Parse(m.URL)
	if err != nil || r.Forges[where.Host] == nil {
		return r.conclude(ctx, e, models.EventNothing, "This service does not know the forge where its App was installed.")
	}
	var entry *models.Allowance
	err = r.Store.InTx(ctx, func(tx *store.Tx) (err error) {
		entry, err = tx.AskAllowance(ctx, &models.Allowance{
			Forge: where.Host, Namespace: m.Account, Requester: m.Actor, Reason: fmt.Sprintf("%s installed the App.", m.Actor),
		})
		return err
	})
	if err != nil {
		return err
	}
	switch entry.State {
	case models.AllowedState:
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("%s is allowed already.", entry.Path()))
	case models.DeniedState:
		return r.conclude(ctx, e, models.EventRefused, fmt.Sprintf("%s is denied. Only an operator of this service can change that.", entry.Path()))
	}
	account, err := r.accountOf(ctx, m.Actor)
	if err != nil {
		return fmt.Errorf("asking the account system about %s: %w", m.Actor, err)
	}
	if account != "" {
		reason := fmt.Sprintf("The Fedora account %s names %s, who installed the App.", account, m.Actor)
		return r.Store.InTx(ctx, func(tx *store.Tx) error {
			if err := r.approve(ctx, tx, entry, account, reason, models.ViaInstall); err != nil {
				return err
			}
			return r.decided(ctx, tx, e, models.EventApplied, fmt.Sprintf("%s is allowed. %s", entry.Path(), reason))
		})
	}
	if err := r.askToVerify(ctx, entry, m); err != nil {
		return err
	}
	reason := fmt.Sprintf("%s waits to be allowed: no Fedora account names %s.", entry.Path(), m.Actor)
	if entry.IssueURL != "" {
		reason += " How to go on stands on " + entry.IssueURL + "."
	}
	return r.conclude(ctx, e, models.EventApplied, reason)
}

// accountOf finds the account that names a GitHub login, or nothing. The one of
// the same name is looked at first: most people use one name.
func (r *Runner) accountOf(ctx context.Context, login string) (string, error) {
	if r.Accounts == nil || login == "" {
		return "", nil
	}
	github, err := r.Accounts.GitHubOf(ctx, login)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return "", err
	}
	if err == nil && strings.EqualFold(github, login) {
		return login, nil
	}
	accounts, err := r.Accounts.AccountsOf(ctx, login)
	if err != nil || len(accounts) == 0 {
		return "", err
	}
	return accounts[0], nil
}

// approve allows an entry because an account names who asked for it.
func (r *Runner) approve(ctx context.Context, tx *store.Tx, entry *models.Allowance, account, reason string, via models.AuditVia) error {
	a := *entry
	a.ID, a.State, a.Account, a.Reason, a.Actor = 0, models.AllowedState, account, reason, entry.Requester
	if err := tx.SetAllowance(ctx, &a); err != nil {
		return err
	}
	return tx.Audit(ctx, &models.AuditEntry{
		Actor: entry.Requester, Via: via, Action: "allowlist.allow", Object: a.Path(), Detail: a.Facts(), Result: models.AuditDone,
	})
}

// askToVerify opens the issue where who installed the App can prove who they
// are, if the operator has a repository for that.
func (r *Runner) askToVerify(ctx context.Context, entry *models.Allowance, m *models.Message) error {
	if r.Notifications == nil || entry.Issue != 0 {
		return nil
	}
	forge, err := r.Forge(r.Notifications)
	if err != nil {
		return err
	}
	kind := "User"
	if m.AccountType == "organization" {
		kind = "Organization"
	}
	text := fmt.Sprintf("@%[1]s installed the App of this service on %[2]s. Before it works there, it wants to know that you are a Fedora contributor.\n\n"+
		"1. Log in to the Fedora account system, and enter `%[1]s` as your GitHub username. Your profile must not be private.\n"+
		"2. Write a comment here, `%[3]s verify-fas ACCOUNT`, with the name of your Fedora account.\n\n"+
		"Then %[2]s is allowed at once, and what was refused goes on by itself. If you have no account, or this does not work, "+
		"an operator of the service decides; they see that you wait.", m.Actor, entry.Path(), r.Prefix)
	issue, err := forge.SetIssue(ctx, r.Notifications, fmt.Sprintf("%s %s needs to be approved.", kind, m.Account), text)
	if err != nil {
		return fmt.Errorf("opening an issue about %s: %w", entry.Path(), err)
	}
	if !issue.Fresh && entry.Requester != "" {
		if _, err := forge.SetComment(ctx, r.Notifications, issue.Number, "", text); err != nil {
			return fmt.Errorf("writing on issue %d about %s: %w", issue.Number, entry.Path(), err)
		}
	}
	entry.Issue, entry.IssueURL = issue.Number, issue.URL
	return r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.NoteIssue(ctx, entry) })
}

// verify allows the namespace that an issue is about, if the account names who
// asks, and who asks is the one who installed our App.
func (r *Runner) verify(ctx context.Context, o *order, account string) error {
	entry, problem, err := r.verifiable(ctx, o)
	if err != nil {
		return err
	}
	if problem == "" && (entry.State != models.AllowedState || entry.Account != account) {
		problem, err = r.prove(ctx, entry, account)
		if err != nil {
			return err
		}
	}
	if problem != "" {
		o.note(models.EventRefused, problem, problem)
		return nil
	}
	// Again, if the last try was cut off here.
	if err := o.forge.CloseIssue(ctx, o.event.Project, o.event.Message.Issue); err != nil {
		return fmt.Errorf("closing issue %d of %s: %w", o.event.Message.Issue, o.event.Project.Path(), err)
	}
	reason := fmt.Sprintf("%s is allowed: the Fedora account %s names %s.", entry.Path(), account, entry.Requester)
	o.note(models.EventApplied, reason, reason+" What was refused goes on by itself. Welcome!")
	return nil
}

// verifiable finds the entry that an issue is about, and says why who asks can
// change nothing about it.
func (r *Runner) verifiable(ctx context.Context, o *order) (*models.Allowance, string, error) {
	e := o.event
	if o.on != onIssue || r.Notifications == nil || !strings.EqualFold(e.Project.Path(), r.Notifications.Path()) {
		return nil, "The command verify-fas is for the issue that this service opens when its App was installed by somebody whom it does not know.", nil
	}
	entry, err := r.Store.AllowanceOfIssue(ctx, e.Project.Forge, e.Message.Issue)
	if errors.Is(err, models.ErrNotFound) {
		return nil, "Nobody waits to be allowed because of this issue.", nil
	}
	switch {
	case err != nil:
		return nil, "", err
	case entry.State == models.DeniedState:
		return nil, fmt.Sprintf("%s is denied. Only an operator of this service can change that.", entry.Path()), nil
	case !strings.EqualFold(entry.Requester, e.Actor):
		return nil, fmt.Sprintf("Only %s, who installed the App, can prove who they are here.", entry.Requester), nil
	case r.Accounts == nil:
		return nil, "This service cannot ask the account system. An operator will decide.", nil
	}
	return entry, "", nil
}

// prove allows an entry, or says why the account does not prove what it should.
func (r *Runner) prove(ctx context.Context, entry *models.Allowance, account string) (problem string, err error) {
	github, err := r.Accounts.GitHubOf(ctx, account)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return fmt.Sprintf("There is no Fedora account %s. Look at its spelling, and write the command again.", account), nil
	case err != nil:
		return "", fmt.Errorf("asking the account system about %s: %w", account, err)
	case github == "":
		return fmt.Sprintf("The Fedora account %s names no GitHub username, or its profile is private. "+
			"Enter %s there, in a profile that is not private, and write the command again.", account, entry.Requester), nil
	case !strings.EqualFold(github, entry.Requester):
		return fmt.Sprintf("The Fedora account %s names another GitHub username than %s. Correct it there, and write the command again.", account, entry.Requester), nil
	}
	return "", r.Store.InTx(ctx, func(tx *store.Tx) error {
		return r.approve(ctx, tx, entry, account, fmt.Sprintf("The Fedora account %s names %s.", account, entry.Requester), models.ViaComment)
	})
}
