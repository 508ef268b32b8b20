package coprfake_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
)

var users = []coprfake.User{
	{Name: "miller", Login: "miller-login", Token: "miller-token", Groups: []string{"mill"}},
	{Name: "baker", Login: "baker-login", Token: "baker-token"},
}

// start starts a Copr and logs in to it as miller.
func start(t *testing.T, o coprfake.Options) (*coprfake.Fake, *copr.Client) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Users = users
	fake, err := coprfake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(fake)
	t.Cleanup(func() {
		server.Close()
		fake.Close()
	})
	return fake, clientOf(server.URL, "miller")
}

func clientOf(address, user string) *copr.Client {
	return &copr.Client{BaseURL: address, Login: user + "-login", Token: user + "-token"}
}

func newProject(t *testing.T, c *copr.Client, name string, chroots ...string) copr.Project {
	t.Helper()
	p, err := c.CreateProject(t.Context(), "miller", name, copr.ProjectOptions{Chroots: chroots})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// await waits for the end of a build.
func await(t *testing.T, c *copr.Client, id int64) copr.Build {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		b, err := c.Build(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if copr.Finished(b.State) {
			return b
		}
		if time.Now().After(deadline) {
			t.Fatalf("build %d is %s after a minute", id, b.State)
		}
	}
}

func logOf(t *testing.T, c *copr.Client, id int64, chroot string) string {
	t.Helper()
	part, err := c.BuildChroot(t.Context(), id, chroot)
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Log(t.Context(), part.LogURL(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(l.Bytes())
}
