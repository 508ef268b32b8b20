package copr_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/clients/httpx"
)

// start starts a Copr with the users miller, of the group mill, and baker, and
// logs in to it as miller.
func start(t *testing.T, o coprfake.Options) (*coprfake.Fake, *copr.Client) {
	t.Helper()
	o.Dir = t.TempDir()
	o.Users = []coprfake.User{
		{Name: "miller", Login: "miller-login", Token: "miller-token", Groups: []string{"mill"}},
		{Name: "baker", Login: "baker-login", Token: "baker-token"},
	}
	fake, err := coprfake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(fake)
	t.Cleanup(func() {
		server.Close()
		fake.Close()
	})
	return fake, &copr.Client{BaseURL: server.URL, Login: "miller-login", Token: "miller-token"}
}

func baker(c *copr.Client) *copr.Client {
	return &copr.Client{BaseURL: c.BaseURL, Login: "baker-login", Token: "baker-token"}
}

func newProject(t *testing.T, c *copr.Client, chroots ...string) {
	t.Helper()
	if _, err := c.CreateProject(t.Context(), "miller", "wheel", copr.ProjectOptions{Chroots: chroots}); err != nil {
		t.Fatal(err)
	}
}

func build(key string) copr.CustomBuild {
	return copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: "miller", Project: "wheel", Key: key},
		Script: "#!/bin/sh\ngit clone https://forge.example/mill/wheel.git\n"}
}

func submit(t *testing.T, c *copr.Client, key string) copr.Build {
	t.Helper()
	b, err := c.SubmitCustom(t.Context(), build(key))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func await(t *testing.T, c *copr.Client, id int64) copr.Build {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
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

func TestProject(t *testing.T) {
	t.Parallel()
	_, c := start(t, coprfake.Options{})
	unlisted, days, bootstrap := true, 60, "on"
	p, err := c.CreateProject(t.Context(), "@mill", "wheel", copr.ProjectOptions{Chroots: []string{"fedora-43-x86_64"}, Unlisted: &unlisted,
		DeleteAfterDays: &days, ForgeProjects: []string{"forge.example/mill/*"}})
	if err != nil {
		t.Fatal(err)
	}
	want := copr.Project{ID: p.ID, Owner: "@mill", Name: "wheel", Chroots: []string{"fedora-43-x86_64"}, Bootstrap: "default", Unlisted: true,
		ChrootRepos:     map[string]string{"fedora-43-x86_64": c.BaseURL + "/results/@mill/wheel/fedora-43-x86_64/"},
		AdditionalRepos: []string{}, ForgeProjects: []string{"forge.example/mill/*"}}
	if diff := cmp.Diff(want, p); diff != "" || p.ID == 0 {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	again, err := c.CreateProject(t.Context(), "@mill", "wheel", copr.ProjectOptions{Chroots: []string{"epel-9-x86_64"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("created again (-want +got):\n%s", diff)
	}
	text := "Turns."
	if _, err = c.EditProject(t.Context(), "@mill", "wheel", copr.ProjectOptions{Chroots: []string{"fedora-43-x86_64", "epel-9-x86_64"},
		Bootstrap: &bootstrap, Description: &text, AdditionalRepos: []string{"https://r.example/1", "copr://baker/bread"}, ForgeProjects: []string{}}); err != nil {
		t.Fatal(err)
	}
	p, err = c.Project(t.Context(), "@mill", "wheel")
	if err != nil {
		t.Fatal(err)
	}
	want.Chroots = []string{"epel-9-x86_64", "fedora-43-x86_64"}
	want.ChrootRepos["epel-9-x86_64"] = c.BaseURL + "/results/@mill/wheel/epel-9-x86_64/"
	want.Bootstrap, want.Description, want.ForgeProjects = "on", text, []string{}
	want.AdditionalRepos = []string{"https://r.example/1", "copr://baker/bread"}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("edited (-want +got):\n%s", diff)
	}
	if err := c.DeleteProject(t.Context(), "@mill", "wheel"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Project(t.Context(), "@mill", "wheel"); !copr.IsNotFound(err) {
		t.Errorf("deleted project: %v", err)
	}
	if got, want := c.ProjectURL("@mill", "wheel"), c.BaseURL+"/coprs/g/mill/wheel/"; got != want {
		t.Errorf("page of a group's project at %s, want %s", got, want)
	}
}

func TestProjectChroot(t *testing.T) {
	t.Parallel()
	_, c := start(t, coprfake.Options{})
	newProject(t, c, "fedora-43-x86_64")
	want := copr.ChrootOptions{AdditionalRepos: []string{"https://r.example"}, AdditionalPackages: []string{"oak", "rope"},
		AdditionalModules: []string{"mill:1", "wind:2"}, WithOpts: []string{"sails"}, WithoutOpts: []string{}}
	if err := c.EditProjectChroot(t.Context(), "miller", "wheel", "fedora-43-x86_64", want); err != nil {
		t.Fatal(err)
	}
	got, err := c.ProjectChroot(t.Context(), "miller", "wheel", "fedora-43-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chroot (-want +got):\n%s", diff)
	}
	if err := c.EditProjectChroot(t.Context(), "miller", "wheel", "fedora-43-x86_64", copr.ChrootOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err = c.ProjectChroot(t.Context(), "miller", "wheel", "fedora-43-x86_64"); err != nil || len(got.AdditionalPackages)+len(got.AdditionalModules) != 0 {
		t.Errorf("emptied chroot: %+v, %v", got, err)
	}
	if _, err := c.ProjectChroot(t.Context(), "miller", "wheel", "epel-9-x86_64"); !copr.IsNotFound(err) {
		t.Errorf("chroot of another project: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	_, c := start(t, coprfake.Options{})
	newProject(t, c, "fedora-43-x86_64")
	ctx := t.Context()
	if roles, err := c.Permissions(ctx, "miller", "wheel"); err != nil || len(roles) != 0 {
		t.Errorf("before any: %v, %v", roles, err)
	}
	other := baker(c)
	if _, err := other.SubmitCustom(ctx, build("")); !copr.IsPermission(err) || !strings.Contains(copr.Text(err), "baker is not allowed") {
		t.Errorf("build of a stranger: %v", err)
	}
	for i, want := range []bool{true, false} {
		if updated, err := other.RequestPermission(ctx, "miller", "wheel", false, true); err != nil || updated != want {
			t.Errorf("request %d: %t, %v", i, updated, err)
		}
	}
	if can, err := other.CanBuild(ctx, "baker", "miller", "wheel"); err != nil || can {
		t.Errorf("requested, not approved: %t, %v", can, err)
	}
	roles, err := c.Permissions(ctx, "miller", "wheel")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]copr.Role{"baker": {Builder: "request"}}, roles); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	if err := c.SetPermissions(ctx, "miller", "wheel", map[string]copr.Role{"baker": {Builder: "approved"}}); err != nil {
		t.Fatal(err)
	}
	if can, err := other.CanBuild(ctx, "baker", "miller", "wheel"); err != nil || !can {
		t.Errorf("approved: %t, %v", can, err)
	}
	if _, err := other.SubmitCustom(ctx, build("")); err != nil {
		t.Errorf("build of a builder: %v", err)
	}
	if _, err := other.EditProject(ctx, "miller", "wheel", copr.ProjectOptions{}); !copr.IsPermission(err) {
		t.Errorf("edit by a builder: %v", err)
	}
	if user, err := other.User(ctx); err != nil || user != "baker" {
		t.Errorf("user %q, %v", user, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	fake, c := start(t, coprfake.Options{Queue: time.Minute})
	newProject(t, c, "fedora-43-x86_64", "epel-9-x86_64")
	running := submit(t, c, "")
	ctx := t.Context()
	with := func(change func(*copr.CustomBuild)) error {
		b := build("")
		change(&b)
		_, err := c.SubmitCustom(ctx, b)
		return err
	}
	_, createUnknown := c.CreateProject(ctx, "miller", "other", copr.ProjectOptions{Chroots: []string{"fedora-43-x86_64", "fedora-12-ppc", "mageia-9-x86_64"}})
	_, createNone := c.CreateProject(ctx, "miller", "other", copr.ProjectOptions{Chroots: []string{}})
	_, createOthers := c.CreateProject(ctx, "baker", "other", copr.ProjectOptions{Chroots: []string{"fedora-43-x86_64"}})
	_, drop := c.EditProject(ctx, "miller", "wheel", copr.ProjectOptions{Chroots: []string{"fedora-43-x86_64"}})
	_, anonymous := (&copr.Client{BaseURL: c.BaseURL}).SubmitCustom(ctx, build(""))
	_, noBuild := c.Build(ctx, 17)
	_, noChroot := c.BuildChroot(ctx, running.ID, "fedora-1-x86_64")
	keyed := build("attempt-1").BuildOptions
	_, keyElsewhere := c.SubmitURL(ctx, keyed, "https://s.example/attempt-10/a.src.rpm")
	_, badURL := c.SubmitURL(ctx, build("").BuildOptions, "ftp://f.example/a.src.rpm")
	tests := []struct {
		name    string
		err     error
		status  int
		words   string
		unknown []string
	}{
		{"unknown chroots of a project", createUnknown, 400, "Unexpected chroot", []string{"fedora-12-ppc", "mageia-9-x86_64"}},
		{"unknown chroots of a build", with(func(b *copr.CustomBuild) { b.Chroots = []string{"fedora-43-x86_64", "fedora-42-x86_64"} }), 400,
			"not a valid choice", []string{"fedora-42-x86_64"}},
		{"no chroots", createNone, 400, "At least one chroot", nil},
		{"another's project", createOthers, 403, "baker", nil},
		{"chroot with running builds", drop, 409, fmt.Sprintf("related build %d is still in progress", running.ID), nil},
		{"no login", anonymous, 401, "Login invalid/expired", nil},
		{"no build", noBuild, 404, "Build 17 does not exist", nil},
		{"no chroot of a build", noChroot, 404, "fedora-1-x86_64", nil},
		{"forge project", with(func(b *copr.CustomBuild) { b.ForgeProject = "forge.example/a/b" }), 403, "Forge project forge.example/a/b can't build", nil},
		{"no project", with(func(b *copr.CustomBuild) { b.Project = "windmill" }), 404, "miller/windmill", nil},
		{"timeout", with(func(b *copr.CustomBuild) { b.Timeout = 100 * time.Hour }), 400, "108000", nil},
		{"directory of another", with(func(b *copr.CustomBuild) { b.Dirname = "bread:pr:1" }), 400, "bread:pr:1", nil},
		{"an address that is none", badURL, 400, "ftp://f.example", nil},
		{"script too long", with(func(b *copr.CustomBuild) { b.Script = strings.Repeat("#", 5000) }), 0, "5000 bytes", nil},
		{"an address without the key", keyElsewhere, 0, "must have the key", nil},
		{"bad key", with(func(b *copr.CustomBuild) { b.Key = "a\nb\nc\nd\ne" }), 0, "cannot identify", nil},
	}
	for _, test := range tests {
		if test.err == nil || httpx.Status(test.err) != test.status || !strings.Contains(copr.Text(test.err), test.words) || httpx.Temporary(test.err) {
			t.Errorf("%s: %v", test.name, test.err)
		}
		if diff := cmp.Diff(test.unknown, copr.UnknownChroots(test.err)); diff != "" {
			t.Errorf("%s: unknown chroots (-want +got):\n%s", test.name, diff)
		}
		if strings.Contains(test.err.Error(), "-token") {
			t.Errorf("%s: the token is in the error: %v", test.name, test.err)
		}
	}
	if !copr.IsConflict(drop) || !copr.IsLogin(anonymous) || !copr.IsForgeProjectRefused(tests[8].err) || copr.IsForgeProjectRefused(createOthers) {
		t.Error("a refusal is not recognised")
	}
	c.Token = "another"
	if _, err := c.SubmitCustom(ctx, build("")); !copr.IsLogin(err) {
		t.Errorf("wrong token: %v", err)
	}
	c.Token = "miller-token"
	fake.SetFaults(coprfake.Faults{LoginExpired: true})
	if _, err := c.SubmitCustom(ctx, build("")); !copr.IsLogin(err) {
		t.Errorf("expired login: %v", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	fake, c := start(t, coprfake.Options{Builder: coprfake.Simulated(coprfake.Pace{Source: time.Minute})})
	newProject(t, c, "fedora-43-x86_64")
	b := submit(t, c, "")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if got, _ := fake.Build(b.ID); got.State() == copr.Running {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("build is %s", got.State())
		}
	}
	canceled, err := c.CancelBuild(t.Context(), b.ID)
	if err != nil || canceled.State != copr.Canceled {
		t.Fatalf("canceled: %+v, %v", canceled, err)
	}
	chroots, err := c.BuildChroots(t.Context(), b.ID)
	if err != nil || len(chroots) != 1 || chroots[0].State != copr.Canceled || chroots[0].Ended.IsZero() {
		t.Errorf("chroots: %+v, %v", chroots, err)
	}
	if _, err := c.CancelBuild(t.Context(), b.ID); !copr.IsConflict(err) {
		t.Errorf("canceling again: %v", err)
	}
	if err := c.DeleteBuild(t.Context(), b.ID); err != nil {
		t.Error(err)
	}
	if _, err := c.Build(t.Context(), b.ID); !copr.IsNotFound(err) {
		t.Errorf("deleted build: %v", err)
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	_, c := start(t, coprfake.Options{})
	newProject(t, c, "fedora-43-x86_64", "fedora-44-aarch64", "epel-9-x86_64")
	in := build("attempt-1")
	in.Chroots, in.Timeout, in.BuildDeps, in.Repos = []string{"fedora-*"}, 90*time.Minute, []string{"git", "make"}, []string{"copr://miller/tools"}
	b, err := c.SubmitCustom(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if b.State != copr.Pending || b.Owner != "miller" || b.Project != "wheel" || b.Submitter != "miller" || time.Since(b.Submitted) > time.Minute {
		t.Errorf("submitted %+v", b)
	}
	b = await(t, c, b.ID)
	if b.State != copr.Succeeded || b.Package != "wheel" || b.Version != "1.0-1" || b.Ended.IsZero() {
		t.Errorf("ended as %+v", b)
	}
	source, err := c.Source(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := copr.Source{Type: "custom", Data: map[string]string{"script": in.Script + "# millrace-submission: attempt-1\n",
		"builddeps": "git make", "repos": "copr://miller/tools", "resultdir": "", "chroot": "fedora-latest-x86_64"}}
	if diff := cmp.Diff(want, source); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
	chroots, err := c.BuildChroots(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, part := range chroots {
		names = append(names, part.Name)
		l, err := c.Log(t.Context(), part.LogURL(), 400)
		if err != nil || part.State != copr.Succeeded || part.Started.IsZero() || part.Ended.IsZero() {
			t.Fatalf("%+v, %v", part, err)
		}
		if l.Skipped == 0 || !strings.HasSuffix(string(l.Bytes()), "Finish: run\n") || len(l.Head)+len(l.Tail) != 400 {
			t.Errorf("log of %s: %+v", part.Name, l)
		}
	}
	if diff := cmp.Diff([]string{"fedora-43-x86_64", "fedora-44-aarch64"}, names); diff != "" {
		t.Errorf("chroots (-want +got):\n%s", diff)
	}
	packages, err := c.BuiltPackages(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]copr.Package{{Name: "wheel", Version: "1.0", Release: "1.fc44", Arch: "src"}, {Name: "wheel", Version: "1.0", Release: "1.fc44", Arch: "noarch"}},
		packages["fedora-44-aarch64"]); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if _, err := c.Log(t.Context(), "file:///etc/passwd", 400); err == nil {
		t.Error("a log was read from a file")
	}
	if known, err := c.Chroots(t.Context()); err != nil || !slices.Contains(known, "fedora-rawhide-x86_64") {
		t.Errorf("chroots: %v, %v", known, err)
	}
}

func TestLogHasNoCredentials(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); ok {
			t.Error("the results' host got the token")
		}
		fmt.Fprint(w, "fine\n")
	}))
	defer server.Close()
	c := &copr.Client{Login: "a", Token: "b"}
	if l, err := c.Log(t.Context(), server.URL+"/x.log", 100); err != nil || string(l.Head) != "fine\n" {
		t.Errorf("log %q, %v", l.Head, err)
	}
}

func TestFindBuild(t *testing.T) {
	t.Parallel()
	fake, c := start(t, coprfake.Options{Queue: time.Hour}) // nothing of the build is known yet
	newProject(t, c, "fedora-43-x86_64")
	ctx, since := t.Context(), time.Now()
	lookup := func(key string) copr.Lookup {
		return copr.Lookup{Owner: "miller", Project: "wheel", Key: key, Since: since, Submitter: "miller"}
	}
	o := build("").BuildOptions
	ways := map[string]func(key string) error{
		"custom-1": func(key string) error { _, err := c.SubmitCustom(ctx, build(key)); return err },
		"upload-1": func(key string) error {
			o.Key = key
			_, err := c.SubmitUpload(ctx, o, strings.NewReader("no matter what"))
			return err
		},
		"address-1": func(key string) error {
			o.Key = key
			_, err := c.SubmitURL(ctx, o, "https://s.example/"+key+"/wheel-1-1.src.rpm")
			return err
		},
	}
	for key, way := range ways {
		if err := way(key + "0"); err != nil { // a key that begins like ours
			t.Errorf("%s: %v", key, err)
		}
		if b, found, err := c.FindBuild(ctx, lookup(key)); err != nil || found {
			t.Errorf("%s: found before it was submitted: %+v, %v", key, b, err)
		}
		fake.SetFaults(coprfake.Faults{LoseAnswers: true, Path: "/api_3/build/create"})
		if err := way(key); !httpx.Temporary(err) {
			t.Errorf("%s: lost answer: %v", key, err)
		}
		fake.SetFaults(coprfake.Faults{})
		b, found, err := c.FindBuild(ctx, lookup(key))
		if err != nil || !found || b.ID == 0 {
			t.Errorf("%s: not found: %+v, %v", key, b, err)
		}
		if n := fake.Submissions(key); n != 1 {
			t.Errorf("%s: %d submissions", key, n)
		}
	}
	first, _, err := c.FindBuild(ctx, lookup("custom-1"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // more than a page
		submit(t, c, fmt.Sprintf("another-%d", i))
	}
	if b, found, err := c.FindBuild(ctx, lookup("custom-1")); err != nil || !found || b.ID != first.ID {
		t.Errorf("behind newer builds: %+v, %t, %v", b, found, err)
	}
	late := lookup("custom-1")
	late.Since = time.Now().Add(time.Hour)
	if _, found, err := c.FindBuild(ctx, late); err != nil || found {
		t.Errorf("found a build from before the submission: %v", err)
	}
	gone := lookup("custom-1")
	gone.Project = "windmill"
	if _, found, err := c.FindBuild(ctx, gone); err != nil || found {
		t.Errorf("in a project that is not there: %t, %v", found, err)
	}
	fake.SetFaults(coprfake.Faults{Status: 503})
	if _, _, err := c.FindBuild(ctx, lookup("custom-1")); !httpx.Temporary(err) {
		t.Errorf("while Copr is down: %v", err)
	}
}

func TestFindBuildReadsLittle(t *testing.T) {
	t.Parallel()
	_, c := start(t, coprfake.Options{Queue: time.Hour})
	newProject(t, c, "fedora-43-x86_64")
	submit(t, c, "attempt-1")
	calls := 0
	c.HTTP = &http.Client{Timeout: 10 * time.Second, Transport: &httpx.Transport{Observe: func(string, string, int, error, time.Duration) { calls++ }}}
	if _, found, err := c.FindBuild(t.Context(), copr.Lookup{Owner: "miller", Project: "wheel", Key: "attempt-1", Since: time.Now()}); err != nil || !found {
		t.Fatal(found, err)
	}
	if calls != 2 {
		t.Errorf("%d calls, want 2", calls)
	}
	o := build("upload-1").BuildOptions
	if _, err := c.SubmitUpload(t.Context(), o, strings.NewReader("no matter what")); err != nil {
		t.Fatal(err)
	}
	calls = 0
	if _, found, err := c.FindBuild(t.Context(), copr.Lookup{Owner: "miller", Project: "wheel", Key: "upload-1", Since: time.Now()}); err != nil || !found {
		t.Fatal(found, err)
	}
	if calls != 1 {
		t.Errorf("%d calls for an upload, want 1", calls)
	}
}

// Once a build has its SRPM, the list shows that one's address and not where
// it came from.
func TestFindBuildThatHasEnded(t *testing.T) {
	t.Parallel()
	_, c := start(t, coprfake.Options{Builder: func(context.Context, coprfake.Task) (coprfake.Outcome, error) {
		return coprfake.Outcome{Package: "wheel", Version: "1-1", SRPM: "wheel-1-1.src.rpm"}, nil
	}})
	newProject(t, c, "fedora-43-x86_64")
	b, err := c.SubmitURL(t.Context(), build("address-1").BuildOptions, "https://s.example/address-1/wheel-1-1.src.rpm")
	if err != nil {
		t.Fatal(err)
	}
	if b = await(t, c, b.ID); strings.Contains(b.SourceURL, "address-1") {
		t.Fatalf("the list still shows %s", b.SourceURL)
	}
	found, ok, err := c.FindBuild(t.Context(), copr.Lookup{Owner: "miller", Project: "wheel", Key: "address-1", Since: time.Now()})
	if err != nil || !ok || found.ID != b.ID {
		t.Errorf("found %+v, %t, %v", found, ok, err)
	}
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	fake, c := start(t, coprfake.Options{})
	newProject(t, c, "fedora-43-x86_64")
	tests := []struct {
		name   string
		faults coprfake.Faults
		status int
		retry  bool
	}{
		{"in trouble", coprfake.Faults{Status: 503}, 503, false},
		{"a proxy's page", coprfake.Faults{Status: 502, HTML: true}, 502, false},
		{"too many calls", coprfake.Faults{Status: 429, RetryAfter: time.Minute}, 429, true},
		{"down", coprfake.Faults{Down: true}, 0, false},
		{"slow", coprfake.Faults{Delay: time.Minute}, 0, false},
	}
	for _, test := range tests {
		fake.SetFaults(test.faults)
		patience := time.Minute
		if test.faults.Delay > 0 {
			patience = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := c.Project(ctx, "miller", "wheel")
		cancel()
		if !httpx.Temporary(err) || httpx.Status(err) != test.status || httpx.RetryAfter(err).After(time.Now()) != test.retry {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	fake.SetFaults(coprfake.Faults{Status: 500, Calls: 1})
	if _, err := c.Project(t.Context(), "miller", "wheel"); httpx.Status(err) != 500 {
		t.Errorf("first call: %v", err)
	}
	if _, err := c.Project(t.Context(), "miller", "wheel"); err != nil {
		t.Errorf("second call: %v", err)
	}
	fake.SetFaults(coprfake.Faults{Down: true, Until: time.Now().Add(-time.Second)})
	if _, err := c.Project(t.Context(), "miller", "wheel"); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestUploadThatCannotBeRead(t *testing.T) {
	t.Parallel()
	fake, c := start(t, coprfake.Options{})
	newProject(t, c, "fedora-43-x86_64")
	if _, err := c.SubmitUpload(t.Context(), build("attempt-1").BuildOptions, brokenReader{}); err == nil {
		t.Error("half a file was submitted")
	}
	if n := fake.Submissions("attempt-1"); n != 0 {
		t.Errorf("%d submissions", n)
	}
	if _, err := c.SubmitUpload(t.Context(), build("attempt-1").BuildOptions, bytes.NewReader(make([]byte, 3<<20))); err != nil {
		t.Error(err)
	}
}

type brokenReader struct{}

func (brokenReader) Read(p []byte) (int, error) { return 0, context.Canceled }
