package box

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"millrace/clients/forgejo/forgejofake"
	"millrace/clients/git/fakeforge"
	"millrace/clients/pagure/pagurefake"
)

// distGit is the packages' forge. The API of the other one answers at the same
// address, as while packages move; pages and messages are those of the one that they
// are on.
type distGit struct {
	on      PackagesForge
	address string
	pagure  *pagurefake.Fake
	forgejo *forgejofake.Fake
	down    atomic.Bool
}

func newDistGit(on PackagesForge, packages *fakeforge.Forge, address string, publish func(topic string, body []byte), log *slog.Logger) (*distGit, error) {
	d := &distGit{on: on, address: address}
	old := pagurefake.Config{URL: address, Visitor: visitor, Log: log}
	// Who the service is may look at whoever has rights, which at Fedora takes an
	// account with more of them.
	next := forgejofake.Config{URL: address, Visitor: visitor, Admins: []string{packager}, Log: log}
	switch on {
	case PackagesOnPagure:
		old.Publish = publish
	case PackagesOnForgejo:
		next.Publish = publish
	default:
		return nil, fmt.Errorf("packages are on %s or %s, not on %q", PackagesOnPagure, PackagesOnForgejo, on)
	}
	d.pagure, d.forgejo = pagurefake.New(packages, old), forgejofake.New(packages, next)
	return d, nil
}

// pullURL is the page of a pull request.
func (d *distGit) pullURL(repo string, number int) string {
	if d.on == PackagesOnForgejo {
		return fmt.Sprintf("%s/%s/pulls/%d", d.address, repo, number)
	}
	return fmt.Sprintf("%s/%s/pull-request/%d", d.address, repo, number)
}

// ServeHTTP answers programs at both APIs, and git and people at the forge that the
// packages are on.
func (d *distGit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case d.down.Load():
		http.Error(w, "Dist-git is down.", http.StatusServiceUnavailable)
	case within(r.URL.Path, "/api/v1"):
		d.forgejo.ServeHTTP(w, r)
	case within(r.URL.Path, "/api/0"), within(r.URL.Path, "/_dg"):
		d.pagure.ServeHTTP(w, r)
	case d.on == PackagesOnForgejo:
		d.forgejo.ServeHTTP(w, r)
	default:
		d.pagure.ServeHTTP(w, r)
	}
}
