package box

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"millrace/clients/bugzilla/bugzillafake"
	"millrace/clients/git/fakeforge"
	"millrace/clients/lookaside/lookasidefake"
	"millrace/clients/pagure/pagurefake"
)

// packager is who the service is for dist-git and what is behind it.
const packager = "packit"

// ticket is what stands for somebody's ticket of Kerberos.
func ticket(login string) string { return "sim:" + login }

// startFedora makes what is downstream: dist-git with its cache of archives, and
// bugs.
func (b *Box) startFedora(ctx context.Context) (err error) {
	b.Packages, err = fakeforge.New(fakeforge.Config{Dir: b.path("dist-git"), Log: b.log})
	if err != nil {
		return err
	}
	if err := b.Packages.SetToken(b.access.PackagesToken, fakeforge.Token{Login: packager}); err != nil {
		return err
	}
	b.Pagure = pagurefake.New(b.Packages, pagurefake.Config{URL: b.access.DistGitURL, Publish: b.bus.publish, Visitor: visitor, Log: b.log})
	// What was pushed when the box died is told of now.
	if err := b.Packages.CatchUp(ctx); err != nil {
		return err
	}
	if err := b.seedPackages(ctx); err != nil {
		return err
	}
	b.Lookaside, err = lookasidefake.New(lookasidefake.Config{
		Dir: b.path("lookaside"), Users: map[string]string{base64.StdEncoding.EncodeToString([]byte(b.access.KerberosToken)): packager},
		Known:   func(pkg string) bool { _, err := b.Packages.Repo(pkg); return err == nil },
		Publish: b.bus.publish,
	})
	if err != nil {
		return err
	}
	b.Bugzilla = new(bugzillafake.Server)
	return nil
}

// seedPackages makes the packages of a new box.
func (b *Box) seedPackages(ctx context.Context) error {
	err := b.Packages.CreateRepo(ctx, rightsPackage, "jonas-lind")
	if err == nil { // a new box
		err = b.Packages.SetAccess(rightsPackage, fakeforge.Access{Owner: "jonas-lind", Committers: []string{"pavel", packager}})
	}
	if errors.Is(err, fakeforge.ErrExists) {
		return nil
	}
	return err
}

// closeFedora ends what is downstream.
func (b *Box) closeFedora() error {
	if b.Pagure != nil {
		b.Pagure.Close()
	}
	if b.Packages != nil {
		b.Packages.Close()
	}
	return nil
}

// serveFedora answers at dist-git's address.
func (b *Box) serveFedora(w http.ResponseWriter, r *http.Request) {
	switch p := r.URL.Path; {
	case within(p, "/repo/pkgs"):
		b.Lookaside.ServeHTTP(w, r)
	default:
		b.Pagure.ServeHTTP(w, r)
	}
}
