package box

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"millrace/clients/fasjson/fasjsonfake"
	"millrace/clients/git/fakeforge"

	"github.com/a-h/templ"
)

// botLogin is who the service is for the account system.
const botLogin = "millrace"

// The sample project and package at which people's rights can be changed.
const (
	rightsProject = "packit/hello-world"
	rightsPackage = "rpms/hello-world"
)

// linked are the accounts at the forge that people of the box name as their own,
// and what they are there at first.
var linked = map[string]struct{ account, role string }{
	"maren": {"alma-reyes", "admin"}, // maintains hello-world upstream
	"pavel": {"pavel-dv", ""},        // opens pull requests there
	"olga":  {"", ""},
	"nils":  {"", ""},
}

// roles are what one can be at the forge, from the most.
var roles = []string{"admin", "maintain", "write", "triage", "read"}

// levels are what one can be in dist-git, from the most.
var levels = []string{"admin", "commit", "collaborator on epel*"}

// startPeople makes FASJSON, by which the service knows people.
func (b *Box) startPeople() error {
	b.People = fasjsonfake.New(fasjsonfake.Config{URL: b.access.FASJSONURL, Tokens: map[string]string{b.access.FASJSONToken: botLogin}})
	b.People.Put(fasjsonfake.Person{Login: botLogin})
	for _, p := range people {
		account, kept := b.state.Linked[p.Login]
		if !kept {
			account = linked[p.Login].account
		}
		b.People.Put(fasjsonfake.Person{Login: p.Login, Name: p.Name, Email: p.Email, Groups: p.Groups, GitHub: account})
	}
	if b.state.Linked != nil {
		return nil
	}
	for _, p := range people { // a new box
		l := linked[p.Login]
		if l.account == "" {
			continue
		}
		if err := errors.Join(b.Forge.AddUser(l.account), b.setRole(l.account, l.role)); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Linked = map[string]string{}
	return b.save()
}

func (b *Box) setRole(account, role string) error {
	return b.Forge.SetCollaborator(rightsProject, account, role)
}

// Links are the accounts at the forge that people of a new box have, by their
// login in the account system.
func (b *Box) Links() map[string]string {
	all := map[string]string{}
	for login, l := range linked {
		if l.account != "" {
			all[login] = l.account
		}
	}
	return all
}

// member is a person with what they are elsewhere.
type member struct {
	Login, Name, About string
	Groups             []string
	Account            string // at the forge, as their profile says
	Role               string // of that account in the sample project
	Level              string // in dist-git's sample package
}

func (b *Box) members() []member {
	var all []member
	repo, _ := b.Packages.Repo(rightsPackage) // startPeople made it
	for _, p := range people {
		profile, _ := b.People.Person(p.Login)
		m := member{Login: p.Login, Name: p.Name, About: p.About, Groups: p.Groups, Account: profile.GitHub, Level: levelIn(repo.Access, p.Login)}
		for _, r := range b.Forge.Repos() {
			if r.FullName() == rightsProject && m.Account != "" {
				m.Role = r.Collaborators[m.Account]
			}
		}
		all = append(all, m)
	}
	return all
}

func levelIn(a fakeforge.Access, login string) string {
	switch {
	case a.Owner == login, slices.Contains(a.Admins, login):
		return "admin"
	case slices.Contains(a.Committers, login):
		return "commit"
	case a.Collaborators[login] != "":
		return "collaborator on " + a.Collaborators[login]
	}
	return ""
}

func (b *Box) showPeople(context.Context, *http.Request) (templ.Component, error) {
	return accounts(b.members()), nil
}

// actPerson changes what somebody is elsewhere.
func (b *Box) actPerson(_ context.Context, r *http.Request) (string, error) {
	form := r.PostForm
	login := r.PathValue("login")
	profile, known := b.People.Person(login)
	if !known || login == botLogin {
		return "", cannot("Nobody of that name has an account.")
	}
	if form.Has("account") {
		account := strings.TrimSpace(form.Get("account"))
		if account != "" && b.Forge.AddUser(account) != nil {
			return "", cannot("That cannot be an account at the forge.")
		}
		if err := b.link(login, account); err != nil {
			return "", err
		}
		profile.GitHub = account
	}
	if role := form.Get("role"); form.Has("role") && profile.GitHub != "" {
		if role != "" && !slices.Contains(roles, role) {
			return "", cannot("There is no such role at the forge.")
		}
		if err := b.setRole(profile.GitHub, role); err != nil {
			return "", err
		}
	}
	if level := form.Get("level"); form.Has("level") {
		if level != "" && !slices.Contains(levels, level) {
			return "", cannot("There is no such level in dist-git.")
		}
		if err := b.setLevel(login, level); err != nil {
			return "", err
		}
	}
	return "/accounts/", nil
}

// link lets somebody name an account at the forge in their profile.
func (b *Box) link(login, account string) error {
	profile, _ := b.People.Person(login)
	profile.Login, profile.GitHub = login, account
	b.People.Put(profile)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Linked[login] = account
	return b.save()
}

func (b *Box) setLevel(login, level string) error {
	repo, err := b.Packages.Repo(rightsPackage)
	if err != nil {
		return err
	}
	a := repo.Access
	without := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == login })
	}
	a.Admins, a.Committers = without(a.Admins), without(a.Committers)
	some := map[string]string{}
	for name, branches := range a.Collaborators {
		if name != login {
			some[name] = branches
		}
	}
	branches, collaborates := strings.CutPrefix(level, "collaborator on ")
	switch {
	case level == "admin":
		a.Admins = append(a.Admins, login)
	case level == "commit":
		a.Committers = append(a.Committers, login)
	case collaborates:
		some[login] = branches
	}
	a.Collaborators = some
	return b.Packages.SetAccess(rightsPackage, a)
}
