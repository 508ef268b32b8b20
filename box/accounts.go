package box

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"millrace/clients/fas/fasfake"
)

const (
	clientID      = "millrace"
	operatorGroup = "sysadmin-main"
)

// people have accounts. What they may do at the service differs.
var people = []fasfake.Person{
	{Login: "maren", Name: "Maren Voss", Email: "maren@fedora.example", Groups: []string{"fedora-contributor"}, About: "maintains software upstream; is not a packager"},
	{Login: "pavel", Name: "Pavel Dvořák", Email: "pavel@fedora.example", Groups: []string{"fedora-contributor", "packager"}, About: "packages software for Fedora"},
	{Login: "olga", Name: "Olga Ferrante", Email: "olga@fedora.example", Groups: []string{"fedora-contributor", "packager", operatorGroup}, About: "operates the service"},
	{Login: "nils", Name: "Nils Åkerlund", Email: "nils@fedora.example", About: "has come yesterday, and is in no group"},
}

// comeBack is where people may be sent after they have logged in.
func (b *Box) comeBack() []string {
	if address := b.Service(); address != "" {
		return []string{address + LoginCallback}
	}
	return nil
}

func (b *Box) loginPage(request string) string {
	return b.access.URL + "/accounts/login?request=" + url.QueryEscape(request)
}

// showLogin asks who one is, and then whether the service may know.
func (b *Box) showLogin(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	request, err := b.Accounts.Request(q.Get("request"))
	if err != nil {
		b.refuse(w, r, loginOver(err))
		return
	}
	everybody := b.Accounts.People()
	i := slices.IndexFunc(everybody, func(p fasfake.Person) bool { return p.Login == q.Get("person") })
	if i < 0 {
		b.render(w, r, http.StatusOK, chooser(request, everybody))
		return
	}
	// The form leads, by way of the accounts, back to the service.
	w.Header().Set("Content-Security-Policy", policy("'self' "+request.Origin()))
	b.render(w, r, http.StatusOK, consent(request, everybody[i]))
}

// actLogin takes the answer and sends the browser on.
func (b *Box) actLogin(_ context.Context, r *http.Request) (string, error) {
	id := r.PostForm.Get("request")
	if r.PostForm.Get("refuse") != "" {
		to, err := b.Accounts.Deny(id)
		return to, loginOver(err)
	}
	person := r.PostForm.Get("person")
	if !slices.ContainsFunc(b.Accounts.People(), func(p fasfake.Person) bool { return p.Login == person }) {
		return "", cannot("Nobody of that name has an account.")
	}
	to, err := b.Accounts.Allow(id, person)
	return to, loginOver(err)
}

func loginOver(err error) error {
	if errors.Is(err, fasfake.ErrNoRequest) {
		return cannot("This login is over, or never began. Go back to where you wanted to log in, and begin again.")
	}
	return err
}

// asked says what a scope lets the service know.
func asked(scope string) string {
	switch scope {
	case "openid":
		return "that it is you"
	case "profile":
		return "your login and your name"
	case "email":
		return "your address"
	case fasfake.GroupsScope:
		return "the groups you are in"
	}
	return scope
}
