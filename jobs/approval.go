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
}

// handleInstallation puts the namespace where our App was installed on the
// allowlist: as allowed if they proved before who did it, else as waiting, with an
// issue where they can.
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
	account, err := r.accountOf(ctx, where.Host, m.Actor, m.ActorID)
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
	reason := fmt.Sprintf("%s waits to be allowed: no Fedora account is proved to be of %s.", entry.Path(), m.Actor)
	if entry.IssueURL != "" {
		reason += " How to go on stands on " + entry.IssueURL + "."
	}
	return r.conclude(ctx, e, models.EventApplied, reason)
}

// accountOf finds whose the account is that has a login and a number at a forge:
// that it said so there itself once, and the account system still does. Else it is
// nobody's, also if it took over the login of one that said so.
func (r *Runner) accountOf(ctx context.Context, forge, login string, id int64) (string, error) {
	if r.Accounts == nil || login == "" || id == 0 {
		return "", nil
	}
	proof, err := r.Store.Proof(ctx, forge, login, id)
	if err != nil || proof.Login == "" {
		return "", err
	}
	github, err := r.Accounts.GitHubOf(ctx, proof.Login)
	if errors.Is(err, models.ErrNotFound) {
		return "", nil
	}
	if err != nil || !strings.EqualFold(github, login) || !models.NewLink(forge, proof.Login, github, id, proof).Proved() {
		return "", err
	}
	if proof.ID == 0 {
		err = r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.NumberProof(ctx, forge, login, id) })
	}
	return proof.Login, err
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

// verify takes the word of an account at the forge that it is of an account in
// the account system, if that one says so too. On the issue that was opened for
// who installed our App, it lets in what the issue is about.
func (r *Runner) verify(ctx context.Context, o *order, account string) error {
	entry, problem, err := r.verifiable(ctx, o)
	if err != nil {
		return err
	}
	actor := o.event.Actor
	if problem == "" {
		problem, err = r.agreed(ctx, account, actor)
	}
	if err != nil {
		return err
	}
	if problem != "" {
		o.note(models.EventRefused, problem, problem)
		return nil
	}
	reason := fmt.Sprintf("The Fedora account %s names %s.", account, actor)
	err = r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.proved(ctx, tx, o.event, account); err != nil || entry == nil || entry.State == models.AllowedState {
			return err
		}
		return r.approve(ctx, tx, entry, account, reason, models.ViaComment)
	})
	if err != nil {
		return err
	}
	if entry == nil {
		reason = fmt.Sprintf("%s at %s is proved to be the Fedora account %s.", actor, o.event.Project.Forge, account)
		o.note(models.EventApplied, reason, reason+" What it may do here, you may now do on the pages of this service.")
		return nil
	}
	// Again, if the last try was cut off here.
	if err := o.forge.CloseIssue(ctx, o.event.Project, o.event.Message.Issue); err != nil {
		return fmt.Errorf("closing issue %d of %s: %w", o.event.Message.Issue, o.event.Project.Path(), err)
	}
	reason = fmt.Sprintf("%s is allowed: the Fedora account %s names %s.", entry.Path(), account, actor)
	o.note(models.EventApplied, reason, reason+" What was refused goes on by itself. Welcome!")
	return nil
}

// verifiable says why who asks can prove nothing here. Where an entry waits
// because of the issue that the command stands on, it finds it.
func (r *Runner) verifiable(ctx context.Context, o *order) (*models.Allowance, string, error) {
	e := o.event
	switch {
	case r.Packages != nil && e.Project.Forge == r.Packages.Host:
		return nil, "Accounts in dist-git are Fedora accounts: there is nothing to prove. Write the command on GitHub.", nil
	case !strings.EqualFold(e.Message.Author, e.Actor):
		// Who may write to a repository may edit what others said there, and then
		// it is not clear whose word it is.
		return nil, fmt.Sprintf("%s edited what another wrote: the command proves something only in a comment of one's own.", e.Actor), nil
	case r.Accounts == nil:
		return nil, "This service cannot ask the account system.", nil
	case o.on != onIssue || r.Notifications == nil || !strings.EqualFold(e.Project.Path(), r.Notifications.Path()):
		return nil, "", nil
	}
	entry, err := r.Store.AllowanceOfIssue(ctx, e.Project.Forge, e.Message.Issue)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return nil, "", nil
	case err != nil:
		return nil, "", err
	case entry.State == models.DeniedState:
		return nil, fmt.Sprintf("%s is denied. Only an operator of this service can change that.", entry.Path()), nil
	case !strings.EqualFold(entry.Requester, e.Actor):
		return nil, fmt.Sprintf("Only %s, who installed the App, can prove who they are here.", entry.Requester), nil
	}
	return entry, "", nil
}

// agreed says why an account does not confirm that a GitHub login is its
// owner's; nothing if it does.
func (r *Runner) agreed(ctx context.Context, account, login string) (problem string, err error) {
	github, err := r.Accounts.GitHubOf(ctx, account)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return fmt.Sprintf("There is no Fedora account %s. Look at its spelling, and write the command again.", account), nil
	case err != nil:
		return "", fmt.Errorf("asking the account system about %s: %w", account, err)
	case github == "":
		return fmt.Sprintf("The Fedora account %s names no GitHub username, or its profile is private. "+
			"Enter %s there, in a profile that is not private, and write the command again.", account, login), nil
	case !strings.EqualFold(github, login):
		return fmt.Sprintf("The Fedora account %s names another GitHub username than %s. Correct it there, and write the command again.", account, login), nil
	}
	return "", nil
}

// proved keeps that who wrote a comment is of an account, unless that is known.
func (r *Runner) proved(ctx context.Context, tx *store.Tx, e *models.Event, account string) error {
	id := e.Message.ActorID
	known, err := tx.Proof(ctx, e.Project.Forge, e.Actor, id)
	if err != nil || known.Login == account && known.ID == id && strings.EqualFold(known.Account, e.Actor) {
		return err
	}
	if err := tx.SaveProof(ctx, e.Project.Forge, models.Proof{Account: e.Actor, ID: id, Login: account}); err != nil {
		return err
	}
	return tx.Audit(ctx, &models.AuditEntry{
		Actor: e.Actor, Via: models.ViaComment, Action: "account.prove", Object: e.Actor + " at " + e.Project.Forge,
		Detail: map[string]string{"Fedora account": account}, Result: models.AuditDone,
	})
}
