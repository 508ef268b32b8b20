package access_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/fasjson/fasjsonfake"
	"millrace/clients/forge/forgetest"
	"millrace/clients/git/fakeforge"
	"millrace/clients/github/githubfake"
	"millrace/jobs/access"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// age makes everything that is remembered older.
func (w *world) age(t *testing.T, by time.Duration) {
	t.Helper()
	for _, table := range []string{"grants", "identities"} {
		if _, err := w.Store.Writer().ExecContext(t.Context(), "UPDATE "+table+" SET checked_at = ?", store.Now().Add(-by)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSourcesInTrouble lets each source be down, be slow, lie, and break off: a
// right that another source gives stays, and nobody gets one.
func TestSourcesInTrouble(t *testing.T) {
	t.Parallel()
	const everybody = "ada adm bo dee gus kim max olga"
	for _, c := range []struct {
		name    string
		trouble func(w *world)
		may     string // rerun the builds of a pull request
		unknown string
		release string // rerun a release
		of      string // source that is named
	}{
		{"none", func(*world) {}, everybody, "", "ada bo kim olga", ""},
		{"dist-git is down", func(w *world) { w.distGit.SetFaults(forgetest.Faults{Status: 503}) },
			"adm dee gus max olga", "ada bo cy ivy kim lok odd prv thief tim tri two", "olga", "dist-git"},
		{"dist-git limits", func(w *world) { w.distGit.SetFaults(forgetest.Faults{Status: 429}) },
			"adm dee gus max olga", "ada bo cy ivy kim lok odd prv thief tim tri two", "olga", "dist-git"},
		{"dist-git breaks off", func(w *world) { w.distGit.SetFaults(forgetest.Faults{Break: true}) },
			"adm dee gus max olga", "ada bo cy ivy kim lok odd prv thief tim tri two", "olga", "dist-git"},
		{"groups are down", func(w *world) { w.distGit.SetFaults(forgetest.Faults{Match: "/group/", Status: 503}) },
			"ada adm dee gus kim max olga", "bo cy ivy lok odd prv thief tim tri two", "ada kim olga", "dist-git"},
		{"GitHub is down", func(w *world) { w.github.SetFaults(githubfake.Faults{APIMatch: "/permission", APIFailEvery: 1}) },
			"ada bo gus kim olga", "adm dee max tri", "ada bo kim olga", "github.com"},
		{"GitHub limits", func(w *world) { w.github.SetFaults(githubfake.Faults{APIMatch: "/permission", RateLimited: time.Hour}) },
			"ada bo kim olga", "adm dee gus ivy max tri", "ada bo kim olga", "github.com"},
		{"the account system is down", func(w *world) { w.accounts.Misbehave(fasjsonfake.Fault{Status: 500}) },
			"ada bo kim olga", "adm cy dee gus ivy lok max odd prv thief tim tri two", "ada bo kim olga", "the account system"},
		{"the account system does not know us", func(w *world) { w.accounts.Misbehave(fasjsonfake.Fault{Status: 401}) },
			"ada bo kim olga", "adm cy dee gus ivy lok max odd prv thief tim tri two", "ada bo kim olga", "the account system"},
		{"the account system answers for another", func(w *world) {
			w.accounts.Misbehave(fasjsonfake.Fault{Match: "/users/ivy/", Body: `{"result": {"username": "adm", "github_username": "adm-gh"}}`})
		}, everybody, "", "ada bo kim olga", ""},
		{"a slow account system", func(w *world) {
			w.Patience = 5 * time.Second
			w.accounts.Misbehave(fasjsonfake.Fault{Delay: time.Hour})
		}, "ada bo kim olga", "adm cy dee gus ivy lok max odd prv thief tim tri two", "ada bo kim olga", "the account system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t))
			w.Patience = 20 * time.Second
			c.trouble(w)
			said := ""
			may, unknown := w.who(t, func(v *models.Viewer) models.Verdict {
				verdict := w.May(t.Context(), v, models.RerunRight, w.pull())
				if verdict.Unknown {
					said = verdict.Reason
				}
				return verdict
			})
			if got := strings.Join(may, " "); got != c.may {
				t.Errorf("may: %s\nwant: %s", got, c.may)
			}
			if got := strings.Join(unknown, " "); got != c.unknown {
				t.Errorf("unknown: %s\nwant: %s", got, c.unknown)
			}
			if !strings.Contains(said, c.of) {
				t.Errorf("people are told %q", said)
			}
			may, _ = w.who(t, func(v *models.Viewer) models.Verdict {
				return w.May(t.Context(), v, models.RerunRight, w.release("hello", "rawhide"))
			})
			if got := strings.Join(may, " "); got != c.release {
				t.Errorf("may rerun a release: %s\nwant: %s", got, c.release)
			}
		})
	}
}

// TestWhatWasSaidIsBelievedForMinutes: yes and no, and not longer.
func TestWhatWasSaidIsBelievedForMinutes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		ask := func(login string) models.Verdict {
			return w.May(t.Context(), w.users[login], models.RerunRight, w.pull())
		}
		if !ask("dee").Allowed || !ask("kim").Allowed || ask("tri").Allowed {
			t.Fatal("the wrong people may")
		}
		if err := w.github.SetCollaborator("mill/wheel", "dee-gh", "read"); err != nil {
			t.Fatal(err)
		}
		if err := w.github.SetCollaborator("mill/wheel", "tri-gh", "admin"); err != nil {
			t.Fatal(err)
		}
		if err := w.packages.SetAccess("rpms/hello", fakeforge.Access{Owner: "ada"}); err != nil {
			t.Fatal(err)
		}
		asked := len(w.accounts.Requests())
		w.age(t, 4*time.Minute)
		if !ask("dee").Allowed || !ask("kim").Allowed || ask("tri").Allowed {
			t.Error("what was said is not believed for minutes")
		}
		if n := len(w.accounts.Requests()) - asked; n > 0 {
			t.Errorf("the account system was asked %d times", n)
		}
		w.age(t, 6*time.Minute)
		if ask("dee").Allowed || ask("kim").Allowed || !ask("tri").Allowed {
			t.Error("what was said is believed too long")
		}
		w.age(t, -time.Hour) // the clock was wrong
		w.accounts.Misbehave(fasjsonfake.Fault{Status: 503})
		if v := ask("tri"); !v.Unknown {
			t.Errorf("what was said in the future is believed: %+v", v)
		}
	})
}

// TestForgetGrants: who logs in again is looked at afresh.
func TestForgetGrants(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		ask := func(login string) bool {
			return w.May(t.Context(), w.users[login], models.RerunRight, w.pull()).Allowed
		}
		if ask("tri") || !ask("dee") {
			t.Fatal("the wrong people may")
		}
		for _, login := range []string{"tri-gh", "dee-gh"} {
			if err := w.github.SetCollaborator("mill/wheel", login, map[string]string{"tri-gh": "write"}[login]); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.InTx(t.Context(), func(tx *store.Tx) error { return tx.ForgetGrants(t.Context(), w.users["tri"].ID) }); err != nil {
			t.Fatal(err)
		}
		if !ask("tri") {
			t.Error("who logged in again still may not")
		}
		if !ask("dee") {
			t.Error("another's rights were forgotten")
		}
	})
}

// TestProofs: a claim gives nothing until the account there agrees, from then on
// at once, and no longer when the profile or the account says otherwise.
func TestProofs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		may := func(login string) bool {
			t.Helper()
			v := w.May(t.Context(), w.users[login], models.RerunRight, w.pull())
			if v.Unknown {
				t.Errorf("%s: %+v", login, v)
			}
			return v.Allowed
		}
		prove := func(account, login string) {
			t.Helper()
			if err := s.InTx(t.Context(), func(tx *store.Tx) error {
				return tx.SaveProof(t.Context(), "github.com", models.Proof{Account: account, Login: login})
			}); err != nil {
				t.Fatal(err)
			}
		}
		if may("two") || may("thief") || !may("dee") {
			t.Fatal("the wrong people may")
		}
		prove("Two-GH", "two")
		if !may("two") {
			t.Error("who proved it may not")
		}
		prove("dee-gh", "thief") // dee gave the account to another, and said so
		if may("dee") || !may("thief") {
			t.Error("the account is of two")
		}
		prove("dee-gh", "dee")
		w.accounts.Put(fasjsonfake.Person{Login: "two", GitHub: "adm-gh"})
		w.accounts.Put(fasjsonfake.Person{Login: "dee"})
		w.age(t, 6*time.Minute)
		if may("two") || may("dee") {
			t.Error("the profile says otherwise")
		}
		links, err := w.Links(t.Context(), w.users["adm"])
		if err != nil || len(links) != 1 || links[0].Account != "adm-gh" || !links[0].Proved() || links[0].Forge != "github.com" {
			t.Errorf("links %+v, %v", links, err)
		}
		w.accounts.Misbehave(fasjsonfake.Fault{Status: 503})
		if links, err := w.Links(t.Context(), w.users["gus"]); err == nil {
			t.Errorf("links %+v without an account system", links)
		}
	})
}

// TestLogin is the name of who asked for a pipeline where its project is.
func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	for _, c := range []struct {
		login   string
		project *models.Project
		want    string
	}{
		{"dee", w.wheel, "DEE-gh"}, {"two", w.wheel, ""}, {"thief", w.wheel, ""}, {"ada", w.wheel, ""}, {"lok", w.wheel, ""},
		{"two", w.pkg, "two"}, {"dee", &models.Project{Forge: "git.example.net", Namespace: "a", Name: "b"}, ""},
	} {
		got, err := w.Login(t.Context(), &models.Pipeline{RequesterID: w.users[c.login].ID, Project: c.project})
		if err != nil || got != c.want {
			t.Errorf("%s at %s is %q, %v; want %q", c.login, c.project.Forge, got, err, c.want)
		}
	}
	w.accounts.Misbehave(fasjsonfake.Fault{Status: 503})
	w.age(t, time.Hour)
	if got, err := w.Login(t.Context(), &models.Pipeline{RequesterID: w.users["dee"].ID, Project: w.wheel}); err == nil {
		t.Errorf("without an account system dee is %q", got)
	}
}

// TestManyAskAtOnce sees to it that they share one question.
func TestManyAskAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.Patience = 30 * time.Second
	w.accounts.Misbehave(fasjsonfake.Fault{Match: "/users/dee/", Delay: 300 * time.Millisecond})
	var all sync.WaitGroup
	verdicts := make([]models.Verdict, 20)
	for i := range verdicts {
		all.Go(func() {
			ctx := t.Context()
			if i%4 == 1 { // some leave
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 10*time.Millisecond)
				defer cancel()
			}
			verdicts[i] = w.May(ctx, w.users["dee"], models.RerunRight, w.pull())
		})
	}
	all.Wait()
	for i, v := range verdicts {
		if i%4 != 1 && !v.Allowed {
			t.Errorf("%d: %+v", i, v)
		}
	}
	asked := slices.DeleteFunc(w.accounts.Requests(), func(path string) bool { return path != "/v1/users/dee/" })
	if len(asked) != 1 {
		t.Errorf("the account system was asked %d times", len(asked))
	}
}

// TestSilentSourceIsLeftAlone sees to it that a source that does not answer does
// not keep everybody waiting.
func TestSilentSourceIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.Patience = 100 * time.Millisecond
	w.accounts.Misbehave(fasjsonfake.Fault{Delay: time.Hour})
	for _, login := range []string{"dee", "adm", "tri", "gus"} {
		if v := w.May(t.Context(), w.users[login], models.RerunRight, w.pull()); !v.Unknown {
			t.Errorf("%s: %+v", login, v)
		}
	}
	if n := len(w.accounts.Requests()); n > 2 { // two if this machine is slow
		t.Errorf("it was asked %d times", n)
	}
}

// TestOperatorsAreConfirmed: who left the group is no operator minutes later, in
// whatever session or by whatever token.
func TestOperatorsAreConfirmed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		w.Operators = []string{"sysadmin-mill", "sysadmin-main"}
		user := &models.User{Login: "opal", Groups: []string{"packager", "sysadmin-main"}}
		if err := s.InTx(t.Context(), func(tx *store.Tx) error { return tx.SaveUser(t.Context(), user) }); err != nil {
			t.Fatal(err)
		}
		check := func(when string, operator bool, silent string) {
			t.Helper()
			if v := w.Viewer(t.Context(), user, w.Operators); v.Operator != operator || v.Silent != silent || v.Login != "opal" || v.ID != user.ID {
				t.Errorf("%s: %+v", when, v)
			}
		}
		asked := len(w.accounts.Requests())
		check("right after the login, whose word counts", true, "")
		if len(w.accounts.Requests()) != asked {
			t.Error("the account system was asked right after the login")
		}
		user.SeenAt = store.Now().Add(-6 * time.Minute)
		check("there is no such group", false, "")
		w.accounts.Put(fasjsonfake.Person{Login: "opal", Groups: []string{"sysadmin-main"}})
		w.age(t, 6*time.Minute)
		check("later", true, "")
		w.accounts.Put(fasjsonfake.Person{Login: "opal", Groups: []string{"packager"}})
		w.accounts.Put(fasjsonfake.Person{Login: "omar", Groups: []string{"sysadmin-main"}})
		check("the account system is not asked all the time", true, "")
		w.age(t, 6*time.Minute)
		check("after they left", false, "")
		w.accounts.Put(fasjsonfake.Person{Login: "opal", Groups: []string{"sysadmin-mill"}})
		w.age(t, 6*time.Minute)
		check("in a group that they were not in at the login", false, "")
		w.accounts.Put(fasjsonfake.Person{Login: "opal", Groups: []string{"sysadmin-main"}})
		w.accounts.Misbehave(fasjsonfake.Fault{Status: 503})
		w.age(t, 6*time.Minute)
		check("without an answer", false, "the account system")
		user.Groups = []string{"packager"}
		check("never an operator", false, "")
		w.Accounts = nil
		user.Groups = []string{"sysadmin-main"}
		check("nobody to ask", true, "")
		var none *access.Rights
		if v := none.Viewer(t.Context(), user, w.Operators); !v.Operator {
			t.Errorf("without rights: %+v", v)
		}
	})
}

// TestNamesChangeHands: who takes the name of an account that was proved has
// nothing of it, and who gave it up keeps what is theirs under the new one.
func TestNamesChangeHands(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		may := func(login string) bool {
			t.Helper()
			w.age(t, 6*time.Minute) // what was found out before is asked again
			v := w.May(t.Context(), w.users[login], models.RerunRight, w.pull())
			if v.Unknown {
				t.Errorf("%s: %+v", login, v)
			}
			return v.Allowed
		}
		if !may("dee") { // and the number of the account is kept from here on
			t.Fatal("dee may not")
		}
		if err := w.github.RenameUser("dee-gh", "dora-gh"); err != nil {
			t.Fatal(err)
		}
		if may("dee") {
			t.Error("nobody has the name, and dee may")
		}
		for _, login := range []string{"dee-gh", "dora-gh"} { // the first is another's now
			if err := w.github.SetCollaborator("mill/wheel", login, "admin"); err != nil {
				t.Fatal(err)
			}
		}
		if may("dee") || may("thief") {
			t.Error("who names the account that took the name may")
		}
		w.accounts.Put(fasjsonfake.Person{Login: "dee", GitHub: "dora-gh"})
		if !may("dee") {
			t.Error("dee has the account under its new name, and may not")
		}
	})
}
