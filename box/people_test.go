package box

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"millrace/clients/fasjson"
	"millrace/clients/pagure"
)

// TestPeopleChange changes what people are elsewhere, as the page does, and asks
// the services in the box.
func TestPeopleChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, dir, nil, nil)
	a := b.Access()
	people := &fasjson.Client{BaseURL: a.FASJSONURL, Negotiate: func(context.Context, string) ([]byte, error) { return []byte(a.FASJSONToken), nil }}
	packages := &pagure.Client{BaseURL: a.DistGitURL}
	account := func(login string) string {
		t.Helper()
		u, err := people.User(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		return u.Accounts[fasjson.GitHub]
	}
	level := func(login string) string {
		t.Helper()
		repo, err := b.Packages.Repo(rightsPackage)
		if err != nil {
			t.Fatal(err)
		}
		return levelIn(repo.Access, login)
	}
	role := func(account string) string {
		t.Helper()
		for _, r := range b.Forge.Repos() {
			if r.FullName() == rightsProject {
				return r.Collaborators[account]
			}
		}
		return ""
	}
	change := func(login string, status int, pairs ...string) {
		t.Helper()
		form := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		res, err := http.PostForm(b.URL()+"/accounts/people/"+login, form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("changing %s to %v: status %d", login, form, res.StatusCode)
		}
	}
	if account("maren") != "alma-reyes" || role("alma-reyes") != "admin" || level("pavel") != "commit" || account("nils") != "" {
		t.Fatal("the people of a new box are not as they should be")
	}
	change("maren", http.StatusOK, "role", "read", "level", "collaborator on epel*")
	change("nils", http.StatusOK, "account", "nils-gh", "role", "maintain", "level", "admin")
	change("pavel", http.StatusOK, "account", "", "level", "")
	if role("alma-reyes") != "read" || level("maren") != "collaborator on epel*" || account("maren") != "alma-reyes" {
		t.Errorf("maren is %q and %q", role("alma-reyes"), level("maren"))
	}
	if account("nils") != "nils-gh" || role("nils-gh") != "maintain" || level("nils") != "admin" {
		t.Errorf("nils is %q, %q and %q", account("nils"), role("nils-gh"), level("nils"))
	}
	if account("pavel") != "" || level("pavel") != "" {
		t.Errorf("pavel is %q and %q", account("pavel"), level("pavel"))
	}
	access, err := packages.Access(t.Context(), rightsPackage)
	if err != nil || len(access.Admins) != 2 || access.Admins[0] != "nils" || len(access.Committers) != 1 || len(access.Collaborators) != 1 {
		t.Errorf("dist-git says %+v, %v", access, err)
	}
	change("nobody", http.StatusUnprocessableEntity, "role", "admin")
	change(botLogin, http.StatusUnprocessableEntity, "account", "x")
	change("nils", http.StatusUnprocessableEntity, "role", "emperor")
	change("nils", http.StatusUnprocessableEntity, "level", "emperor")
	change("nils", http.StatusUnprocessableEntity, "account", "../nils")

	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir, nil, nil)
	if account("nils") != "nils-gh" || account("pavel") != "" || role("nils-gh") != "maintain" || level("nils") != "admin" {
		t.Error("what was changed is forgotten when the box is opened again")
	}
	if err := b.Trouble(PeopleDown, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Trouble(DistGitDown, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := people.User(t.Context(), "nils"); err == nil {
		t.Error("FASJSON answers while it is down")
	}
	if _, err := packages.Access(t.Context(), rightsPackage); err == nil {
		t.Error("dist-git answers while it is down")
	}
}
