package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"millrace/clients/github/githubfake"
	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
)

// register knows who people are.
type register struct {
	mu     sync.Mutex // above what follows
	github map[string]string
	err    error
}

func (r *register) set(account, github string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.github[account] = github
}

func (r *register) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *register) GitHubOf(_ context.Context, account string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	login, ok := r.github[account]
	if !ok && r.err == nil {
		return "", fmt.Errorf("%s: %w", account, models.ErrNotFound)
	}
	return login, r.err
}

// prove lets an account at the forge have said whose it is.
func (w *world) prove(t *testing.T, account, login string) {
	t.Helper()
	if err := w.Store.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.SaveProof(t.Context(), w.host, models.Proof{Account: account, Login: login})
	}); err != nil {
		t.Fatal(err)
	}
}

const notifications = "millrace/notifications"

// withAccounts gives the world people, and a place where they can prove who they
// are.
func withAccounts(t *testing.T, w *world) *register {
	t.Helper()
	people := &register{github: map[string]string{"ada": "ada", "grace": "hopper", "private": ""}}
	w.Accounts = people
	if _, err := w.github.CreateRepo(t.Context(), "millrace", "notifications", map[string]string{"README": "Here.\n"}, githubfake.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	w.allow(t, "millrace")
	if _, err := w.github.Install("millrace"); err != nil {
		t.Fatal(err)
	}
	w.Notifications = &models.Project{Forge: w.host, Namespace: "millrace", Name: "notifications", URL: "http://" + w.host + "/" + notifications}
	return people
}

// install installs the App and waits for what comes of it.
func (w *world) install(t *testing.T, by, account string) *models.Event {
	t.Helper()
	if _, err := w.github.InstallAs(by, account); err != nil {
		t.Fatal(err)
	}
	var last int64
	return w.decision(t, "the installation on "+account, func(e *models.Event) bool {
		last = max(last, e.ID)
		return e.Kind == models.InstallationEvent && e.Message.Account == account && e.Message.Actor == by
	})
}

func (w *world) entry(t *testing.T, namespace string) *models.Allowance {
	t.Helper()
	entries, err := w.Store.Allowances(t.Context(), &models.Project{Forge: w.host, Namespace: namespace})
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries of %s, %v", len(entries), namespace, err)
	}
	return entries[0]
}

func TestInstallerIsKnown(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		people := withAccounts(t, w)
		run(t, w.Runner)
		people.set("liar", "idle") // their own word
		w.prove(t, "ada", "ada")
		w.prove(t, "Hopper", "grace")
		w.prove(t, "turing", "ada") // who named another since
		w.prove(t, "gone", "nobody")
		for by, account := range map[string]string{"ada": "ada", "hopper": "grace"} {
			e := w.install(t, by, by+"-project")
			if entry := w.entry(t, by+"-project"); entry.State != models.AllowedState || entry.Account != account || entry.Requester != by {
				t.Errorf("%s: %+v; the event is %s, %s", by, entry, e.State, e.Reason)
			}
		}
		if issues := w.github.Issues(notifications); len(issues) != 0 {
			t.Errorf("issues %+v", issues)
		}
		for _, by := range []string{"idle", "turing", "gone"} {
			e := w.install(t, by, by+"-project")
			if entry := w.entry(t, by+"-project"); entry.State != models.PendingState || !strings.Contains(e.Reason, "no Fedora account is proved to be of "+by) {
				t.Errorf("%s: %+v; the event is %s, %s", by, entry, e.State, e.Reason)
			}
		}
		if err := w.github.RenameUser("ada", "lovelace"); err != nil {
			t.Fatal(err)
		}
		e := w.install(t, "ada", "taken") // by another, who took the name
		if entry := w.entry(t, "taken"); entry.State != models.PendingState || entry.Account != "" {
			t.Errorf("by who took over the name: %+v; the event is %s, %s", entry, e.State, e.Reason)
		}
		log, err := w.Store.AuditLog(t.Context(), models.Page{})
		if err != nil || len(log.Rows) != 2 || log.Rows[0].Via != models.ViaInstall || log.Rows[0].Action != "allowlist.allow" {
			t.Errorf("audit %+v, %v", log, err)
		}
	})
}

// TestVerifyFas is the way of somebody whom no account names, until their
// pull request, which was refused, is built.
func TestVerifyFas(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		people := withAccounts(t, w)
		run(t, w.Runner)
		w.github.SetFaults(githubfake.Faults{HookDoubleEvery: 1})
		installed := w.install(t, "newcomer", "mill")
		entry := w.entry(t, "mill")
		if entry.State != models.PendingState || entry.Requester != "newcomer" || installed.State != models.EventApplied {
			t.Fatalf("%+v; %s, %s", entry, installed.State, installed.Reason)
		}
		issues := w.github.Issues(notifications)
		if len(issues) != 1 || issues[0].Title != "User mill needs to be approved." || !strings.Contains(issues[0].Body, "/packit verify-fas ACCOUNT") || entry.Issue != issues[0].Number {
			t.Fatalf("issues %+v, entry %+v", issues, entry)
		}
		w.github.SetFaults(githubfake.Faults{})
		pull := w.open(t, "mill", "wheel", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		refused := w.theEvent(t, models.PullRequestEvent, 1)
		if refused.State != models.EventRefused || !refused.Held || !strings.Contains(refused.Reason, "verify-fas ACCOUNT") || !strings.Contains(refused.Reason, issues[0].Title[:0]+entry.IssueURL) {
			t.Fatalf("the pull request: %s, held %v, %s", refused.State, refused.Held, refused.Reason)
		}
		say := func(who, text string) *models.Event {
			c, err := w.github.Comment(notifications, issues[0].Number, who, text)
			if err != nil {
				t.Fatal(err)
			}
			return w.decision(t, text, func(e *models.Event) bool { return e.Message.CommentID == c.ID })
		}
		people.set("newbie", "other")
		for _, tt := range []struct{ who, account, reason string }{
			{"stranger", "ada", "Only newcomer, who installed the App"},
			{"newcomer", "nobody", "There is no Fedora account nobody"},
			{"newcomer", "private", "or its profile is private"},
			{"newcomer", "newbie", "names another GitHub username than newcomer"},
		} {
			if e := say(tt.who, "/packit verify-fas "+tt.account); e.State != models.EventRefused || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("%s with %s: %s, %s", tt.who, tt.account, e.State, e.Reason)
			}
		}
		if entry := w.entry(t, "mill"); entry.State != models.PendingState {
			t.Fatalf("%+v", entry)
		}
		people.set("newbie", "newcomer")
		if e := say("newcomer", "/packit verify-fas newbie"); e.State != models.EventApplied {
			t.Errorf("verified: %s, %s", e.State, e.Reason)
		}
		if entry := w.entry(t, "mill"); entry.State != models.AllowedState || entry.Account != "newbie" || entry.Issue != issues[0].Number {
			t.Errorf("%+v", entry)
		}
		if p, err := w.Store.Proof(t.Context(), w.host, "newcomer", w.github.AccountID("newcomer")); err != nil || p.Login != "newbie" {
			t.Errorf("proof %+v, %v", p, err)
		}
		soon(t, "the issue is closed, and welcomes", func() (bool, any) {
			comments := w.github.Comments(notifications, issues[0].Number)
			last := comments[len(comments)-1]
			return w.github.Issues(notifications)[0].State == "closed" && strings.Contains(last.Body, "Welcome!"), comments
		})
		w.eventuallyChecks(t, "mill/wheel", pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed success", "rpm-build:fedora-44-x86_64": "completed success",
			"testing-farm:fedora-43-x86_64": "completed success", "testing-farm:fedora-44-x86_64": "completed success",
		})
		if e := w.theEvent(t, models.PullRequestEvent, 1); e.ID != refused.ID || e.State != models.EventPlanned || e.Held || e.Reason != "" {
			t.Errorf("the pull request: %s, held %v, %s", e.State, e.Held, e.Reason)
		}
	})
}

// TestInstallationWithoutAnswer: as long as the account system says nothing,
// nobody is allowed, and operators see who waits.
func TestInstallationWithoutAnswer(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		people := withAccounts(t, w)
		w.prove(t, "ada", "ada")
		people.fail(&httpx.Error{Service: "accounts", Status: 503})
		run(t, w.Runner)
		if _, err := w.github.InstallAs("ada", "ada"); err != nil {
			t.Fatal(err)
		}
		soon(t, "it waits", func() (bool, any) {
			waiting, err := w.Store.Waiting(t.Context(), 10)
			return err == nil && len(waiting) == 1 && waiting[0].Requester == "ada", waiting
		})
		people.fail(nil)
		soon(t, "it is allowed", func() (bool, any) {
			entry := w.entry(t, "ada")
			return entry.State == models.AllowedState, entry
		})
		if issues := w.github.Issues(notifications); len(issues) != 0 {
			t.Errorf("issues %+v", issues)
		}
	})
}

func TestDeniedStaysDenied(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		withAccounts(t, w)
		run(t, w.Runner)
		err := w.Store.InTx(t.Context(), func(tx *store.Tx) error {
			return tx.SetAllowance(t.Context(), &models.Allowance{Forge: w.host, Namespace: "ada", State: models.DeniedState, Reason: "They mine coins."})
		})
		if err != nil {
			t.Fatal(err)
		}
		if e := w.install(t, "ada", "ada"); e.State != models.EventRefused || !strings.Contains(e.Reason, "is denied") {
			t.Errorf("the installation: %s, %s", e.State, e.Reason)
		}
		if entry := w.entry(t, "ada"); entry.State != models.DeniedState {
			t.Errorf("%+v", entry)
		}
		// Whoever is denied is so in the projects of others too.
		pull, first := w.halfBroken(t)
		if e, _ := w.say(t, pull, "ada", "/packit build"); e.State != models.EventRefused || !strings.Contains(e.Reason, "They mine coins.") {
			t.Errorf("a comment of theirs: %s, %s", e.State, e.Reason)
		}
		if attempts, err := w.Store.Attempts(t.Context(), first); err != nil || len(attempts) != 1 {
			t.Errorf("%d attempts, %v", len(attempts), err)
		}
	})
}

// TestAllowedGoesOn: an operator's decision lets the newest of each reference go
// on, and of those that are not decided nothing.
func TestAllowedGoesOn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		run(t, w.Runner)
		w.installed(t, "packit", "hello", commitConfig)
		old := w.push(t, hello, "main", map[string]string{"hello.sh": "1\n"})
		w.decision(t, "the first push", func(e *models.Event) bool { return e.Message.Commit == old })
		sha := w.push(t, hello, "main", map[string]string{"hello.sh": "2\n"})
		e := w.decision(t, "the push", func(e *models.Event) bool { return e.Message.Commit == sha })
		if e.State != models.EventRefused || !e.Held {
			t.Fatalf("the push: %s, %s", e.State, e.Reason)
		}
		soon(t, "a comment below the commit", func() (bool, any) {
			all := w.github.CommitComments(hello)
			return len(all) > 0 && strings.Contains(all[len(all)-1].Body, "is waiting for an operator"), all
		})
		if checks := w.checks(hello, sha); len(checks) != 0 {
			t.Errorf("checks %v", checks)
		}
		entry := w.entry(t, "packit")
		if entry.State != models.PendingState || entry.Issue != 0 {
			t.Fatalf("%+v", entry)
		}
		w.allow(t, "packit")
		w.eventuallyChecks(t, hello, sha, map[string]string{
			"rpm-build:main:fedora-43-x86_64": "completed success", "testing-farm:main:fedora-43-x86_64": "completed success",
		})
		if e := w.decision(t, "the first push", func(e *models.Event) bool { return e.Message.Commit == old }); e.State == models.EventPlanned {
			t.Errorf("the old push: %s, %s", e.State, e.Reason)
		}
	})
}

// TestProveByComment: an account says below any pull request whose it is; what
// others made of its words does not count.
func TestProveByComment(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		people := withAccounts(t, w)
		people.set("mallory", "dee-gh") // claims it
		people.set("dee", "Dee-GH")
		pull, _ := w.halfBroken(t)
		if e, _ := w.say(t, pull, "mal-gh", "/packit verify-fas mallory"); e.State != models.EventRefused || !strings.Contains(e.Reason, "another GitHub username") {
			t.Errorf("not the account itself: %s, %s", e.State, e.Reason)
		}
		refused := w.github.Comments(hello, pull.Number)
		i := slices.IndexFunc(refused, func(c githubfake.Comment) bool { return c.Author == "mal-gh" })
		edited, err := w.github.EditComment(hello, refused[i].ID, "/packit verify-fas mallory\n\n(by dee-gh: no)", "dee-gh")
		if err != nil {
			t.Fatal(err)
		}
		e := w.decision(t, "the edited comment", func(e *models.Event) bool {
			return e.Message.CommentID == edited.ID && e.Message.Actor == "dee-gh"
		})
		if e.State != models.EventRefused || !strings.Contains(e.Reason, "dee-gh edited what another wrote") {
			t.Errorf("the account edits a comment: %s, %s", e.State, e.Reason)
		}
		if p, err := w.Store.Proof(t.Context(), w.host, "dee-gh", w.github.AccountID("dee-gh")); err != nil || p.Login != "" {
			t.Fatalf("proof %+v, %v", p, err)
		}
		if e, _ := w.say(t, pull, "dee-gh", "/packit verify-fas dee"); e.State != models.EventApplied || !strings.Contains(e.Reason, "is proved to be the Fedora account dee") {
			t.Errorf("the account itself: %s, %s", e.State, e.Reason)
		}
		if p, err := w.Store.Proof(t.Context(), w.host, "DEE-gh", w.github.AccountID("dee-gh")); err != nil || p.Login != "dee" {
			t.Errorf("proof %+v, %v", p, err)
		}
		log, err := w.Store.AuditLog(t.Context(), models.Page{})
		if err != nil || len(log.Rows) != 1 || log.Rows[0].Action != "account.prove" || log.Rows[0].Detail["Fedora account"] != "dee" {
			t.Errorf("audit %+v, %v", log.Rows, err)
		}
	})
}
