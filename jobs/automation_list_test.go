package jobs

import (
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
	"millrace/models"
	"millrace/models/store"
)

// TestSyncList reads a list of repositories from a real repository, again and
// again: packages are switched on, changed, left alone, and off.
func TestSyncList(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, "")
		ctx := t.Context()
		for _, name := range []string{"list", "cowsay"} {
			if err := f.distGit.CreateRepo(ctx, "rpms/"+name, "maren"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.distGit.Commit(ctx, "rpms/cowsay", fakeforge.Change{Message: "Import", Files: map[string]string{"cowsay.spec": "Name: cowsay\n"}}); err != nil {
			t.Fatal(err)
		}
		repository, err := w.Packages.Repository(ctx, "rpms/list")
		if err != nil {
			t.Fatal(err)
		}
		g := &git.Git{}
		list := &AutomationList{
			Git: g, Cache: &git.Cache{Git: g, Dir: t.TempDir()}, Remote: git.Remote{URL: repository.CloneURL}, Path: "packages.yaml", Every: time.Hour,
		}
		write := func(text string) {
			t.Helper()
			if _, err := f.distGit.Commit(ctx, "rpms/list", fakeforge.Change{Message: "Change", Files: map[string]string{"packages.yaml": text}}); err != nil {
				t.Fatal(err)
			}
		}
		sync := func() *models.ListState {
			t.Helper()
			if err := w.SyncList(ctx, list); err != nil {
				t.Fatal(err)
			}
			state, err := w.Store.ListState(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return state
		}
		// are the newest versions of a package's jobs.
		are := func(name string, want ...string) {
			t.Helper()
			var got []string
			if p, err := w.FindPackage(ctx, name); err != nil {
				t.Fatal(err)
			} else if all, err := w.Store.Automations(ctx, p.ID); err != nil {
				t.Fatal(err)
			} else {
				for _, a := range all {
					got = append(got, string(a.Job)+" "+a.Origin().String()+" "+onOff(a.Enabled))
				}
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}

		write("packages:\n  hello: {pull_from_upstream: true, koji_build: {scratch: true}}\n  cowsay: {koji_build: true}\n  unheard-of: {koji_build: true}\n  wrong: {build: true}\n")
		state := sync()
		if state.Problem != "" || state.SHA == "" || state.Pending != 0 {
			t.Fatalf("the list is %+v", state)
		}
		are("hello", "pull_from_upstream list 1 on", "koji_build list 1 on")
		are("cowsay", "koji_build list 1 on")
		entries, err := w.Store.ListEntries(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var mistakes []string
		for _, e := range entries {
			for _, p := range e.Problems {
				mistakes = append(mistakes, p.Error())
			}
		}
		if diff := gocmp.Diff([]string{
			"4:1: packages.unheard-of: Dist-git has no such package.", "5:11: packages.wrong.build: build cannot be switched on by a list.",
		}, mistakes); diff != "" {
			t.Error(diff)
		}
		sync() // the same commit again
		are("hello", "pull_from_upstream list 1 on", "koji_build list 1 on")

		// What somebody switches in the browser is theirs from then on.
		hello, err := w.FindPackage(ctx, "hello")
		if err != nil {
			t.Fatal(err)
		}
		err = w.Store.InTx(ctx, func(tx *store.Tx) error {
			return tx.SaveAutomation(ctx, &models.Automation{ProjectID: hello.ID, Package: "hello", Job: models.JobKojiBuild, Source: models.FromBrowser, Settings: models.AutomationSettings{}}, 1)
		})
		if err != nil {
			t.Fatal(err)
		}
		write("packages:\n  hello: {pull_from_upstream: {dist_git_branches: [f44]}, koji_build: true, bodhi_update: true}\n  cowsay: {koji_build: maybe}\n")
		sync()
		are("hello", "pull_from_upstream list 2 on", "koji_build browser 2 off", "bodhi_update list 1 on")
		are("cowsay", "koji_build list 1 on") // an entry that is wrong changes nothing

		// A list that cannot be read changes nothing; entries that are gone are
		// switched off.
		good := sync().SHA
		write("packages: [hello]\n")
		if state = sync(); state.SHA != good || len(state.Problems) != 1 || !strings.Contains(state.Problem, "1 mistake") {
			t.Errorf("a list that is none: %+v", state)
		}
		are("cowsay", "koji_build list 1 on")
		write("packages:\n  hello: {pull_from_upstream: {dist_git_branches: [f44]}}\n")
		sync()
		are("hello", "pull_from_upstream list 2 on", "koji_build browser 2 off", "bodhi_update list 2 off")
		are("cowsay", "koji_build list 2 off")
		if entries, err := w.Store.ListEntries(ctx); err != nil || len(entries) != 1 {
			t.Errorf("%d entries, %v", len(entries), err)
		}
		log, err := w.Store.AuditLog(ctx, models.Page{})
		if err != nil || len(log.Rows) != 5 || log.Rows[0].Via != models.ViaList || !strings.HasPrefix(log.Rows[0].Actor, "the list at ") {
			t.Errorf("the audit log has %d rows, %+v, %v", len(log.Rows), log.Rows[0], err)
		}

		list.Remote.URL = strings.Replace(repository.CloneURL, "list.git", "none.git", 1)
		if err := w.SyncList(ctx, list); err == nil {
			t.Error("a repository that is not there was read")
		}
		if state, err := w.Store.ListState(ctx); err != nil || state.Problem != "The repository could not be read." {
			t.Errorf("the list is %+v, %v", state, err)
		}
		are("hello", "pull_from_upstream list 2 on", "koji_build browser 2 off", "bodhi_update list 2 off")
	})
}
