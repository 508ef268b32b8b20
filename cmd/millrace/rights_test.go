package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/box"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
)

// TestRightsInTheBox asks about the people of the box as the demo does: their
// accounts, the App, and dist-git are all on the way.
func TestRightsInTheBox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := box.Start(t.Context(), box.Options{Dir: filepath.Join(dir, "box"), Builds: box.BuildsSimulated})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s := (&demo{dir: dir, port: 1}).settings("http://127.0.0.1:1", b.Access())
	v, err := openService(t.Context(), s, slog.New(slog.DiscardHandler), jobs.Capacity{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.store.Close() })
	if err := (&demo{dir: dir, story: "any"}).welcome(t.Context(), v, b); err != nil {
		t.Fatal(err)
	}
	project := &models.Project{Forge: s.GitHub.Host, Namespace: "packit", Name: "hello-world"}
	ask := func(login string, right models.Right) models.Verdict {
		t.Helper()
		u := &models.User{Login: login}
		err := v.store.InTx(t.Context(), func(tx *store.Tx) error {
			if err := tx.SaveUser(t.Context(), u); err != nil {
				return err
			}
			return tx.ForgetGrants(t.Context(), u.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		return v.runner.Rights.MayProject(t.Context(), models.NewViewer(u, nil), right, project)
	}
	for login, want := range map[string]bool{"maren": true, "pavel": false, "nils": false} {
		if v := ask(login, models.SettingsRight); v.Allowed != want || v.Unknown {
			t.Errorf("%s: %+v", login, v)
		}
	}
	if err := b.Forge.SetCollaborator("packit/hello-world", "alma-reyes", "read"); err != nil {
		t.Fatal(err)
	}
	if v := ask("maren", models.SettingsRight); v.Allowed || v.Unknown {
		t.Errorf("after the right was withdrawn: %+v", v)
	}
	found, err := v.checkFASJSON(t.Context())
	if err != nil || found != "as millrace" {
		t.Errorf("doctor says of FASJSON %q, %v", found, err)
	}
	if found, err = v.checkDistGit(t.Context()); err != nil {
		t.Errorf("doctor says of dist-git %q, %v", found, err)
	}
	if found, err = v.checkMonitoring(t.Context()); err != nil || found != "it answers, and does not watch bash" {
		t.Errorf("doctor says of release monitoring %q, %v", found, err)
	}
	if found, err = v.checkList(t.Context()); err != nil || !strings.HasPrefix(found, "not configured") {
		t.Errorf("doctor says of no list %q, %v", found, err)
	}
	v.settings.Automation.List = b.URL() + "/packit/hello-world.git"
	if found, err = v.checkList(t.Context()); err != nil || !strings.HasSuffix(found, "can be read") {
		t.Errorf("doctor says of the list %q, %v", found, err)
	}
	v.settings.Automation.List = b.URL() + "/packit/none.git"
	if found, err = v.checkList(t.Context()); err == nil {
		t.Errorf("doctor says of a list that is not there %q", found)
	}
	if err := b.Trouble(box.PeopleDown, time.Hour); err != nil {
		t.Fatal(err)
	}
	if v := ask("maren", models.SettingsRight); !v.Unknown {
		t.Errorf("while FASJSON is down: %+v", v)
	}
	if _, err := v.checkFASJSON(t.Context()); err == nil {
		t.Error("doctor says nothing of FASJSON that is down")
	}
}
