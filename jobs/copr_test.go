package jobs

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/models"
)

// coprWorld is a Copr with two users: ourselves, and ada with projects of her
// own.
type coprWorld struct {
	fake  *coprfake.Fake
	srpm  *SRPMInCopr
	build *CoprBuild
	ada   *copr.Client
}

func newCopr(t *testing.T) *coprWorld {
	t.Helper()
	return newCoprAt(t, coprfake.Pace{Source: 5 * time.Millisecond, Build: 10 * time.Millisecond})
}

// slowly is a pace at which a test can do something before the end.
var slowly = coprfake.Pace{Source: time.Hour, Build: time.Hour}

func newCoprAt(t *testing.T, pace coprfake.Pace) *coprWorld {
	t.Helper()
	f, err := coprfake.New(coprfake.Options{
		Dir: t.TempDir(),
		Users: []coprfake.User{
			{Name: "packit", Login: "login", Token: "token"}, {Name: "ada", Login: "ada", Token: "secret"},
		},
		Builder: coprfake.Simulated(pace),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.Close()
		f.Close()
	})
	service := &Copr{
		Client: &copr.Client{BaseURL: server.URL, Login: "login", Token: "token"}, Owner: "packit",
		OmitHost: map[string]bool{"git.test": true}, Releases: knownReleases, KeepDays: 60,
	}
	return &coprWorld{
		fake: f, ada: &copr.Client{BaseURL: server.URL, Login: "ada", Token: "secret"},
		srpm:  &SRPMInCopr{Copr: service, Script: func(context.Context, *Work) (string, error) { return "#!/bin/sh\necho\n", nil }},
		build: &CoprBuild{Copr: service, Base: "https://millrace.test"},
	}
}

func (c *coprWorld) project(t *testing.T, name string) coprfake.Project {
	t.Helper()
	for _, p := range c.fake.Projects() {
		if p.Owner+"/"+p.Name == name {
			return p
		}
	}
	t.Fatalf("there is no project %s", name)
	return coprfake.Project{}
}

// adas makes a project of ada's.
func (c *coprWorld) adas(t *testing.T, name string, o copr.ProjectOptions) {
	t.Helper()
	if _, err := c.ada.CreateProject(t.Context(), "ada", name, o); err != nil {
		t.Fatal(err)
	}
}

func TestCoprPlace(t *testing.T) {
	t.Parallel()
	pr, push, release := event(), event(), event()
	push.Kind, push.Commit.Kind, push.Commit.Ref = models.PushEvent, models.BranchRef, "main/x y"
	release.Kind, release.Commit.Kind, release.Commit.Ref = models.ReleaseEvent, models.ReleaseRef, "v1.2"
	elsewhere, nested := event(), event()
	elsewhere.Project = &models.Project{Forge: "gitlab.test:8080", Namespace: "milling", Name: "hello"}
	nested.Project = &models.Project{Forge: "git.test", Namespace: "a/b~c", Name: "hello"}
	const build = "jobs:\n- {job: copr_build, trigger: pull_request|commit|release, branch: .*, targets: [fedora-43]%s}\n"
	tests := []struct {
		name   string
		event  *models.Event
		config string
		want   place
	}{
		{"pull request", pr, fmt.Sprintf(build, ""), place{"packit", "milling-hello-7", false}},
		{"push", push, fmt.Sprintf(build, ""), place{"packit", "milling-hello-main-x-y", false}},
		{"release", release, fmt.Sprintf(build, ""), place{"packit", "milling-hello-releases", false}},
		{"another forge", elsewhere, fmt.Sprintf(build, ""), place{"packit", "gitlab.test-8080-milling-hello-7", false}},
		{"groups in groups", nested, fmt.Sprintf(build, ""), place{"packit", "a-b-c-hello-7", false}},
		{"identifier", pr, fmt.Sprintf(build, ", identifier: full"), place{"packit", "milling-hello-7-full", false}},
		{"owner", pr, fmt.Sprintf(build, ", owner: ada"), place{"ada", "milling-hello-7", true}},
		{"project", pr, fmt.Sprintf(build, ", project: mill"), place{"packit", "mill", true}},
		{"what it would be anyway", pr, fmt.Sprintf(build, ", owner: packit, project: milling-hello-7"), place{"packit", "milling-hello-7", false}},
		{"of the tests", pr, fmt.Sprintf(build, "") + "- {job: tests, trigger: pull_request}\n- {job: tests, trigger: pull_request, identifier: a, owner: ada, project: mill}\n- {job: tests, trigger: pull_request, identifier: b, owner: bob, project: dam}\n",
			place{"ada", "mill", true}},
		{"its own before that of the tests", pr, fmt.Sprintf(build, ", project: own") + "- {job: tests, trigger: pull_request, owner: ada, project: mill}\n",
			place{"ada", "own", true}},
		{"a package among others", pr, "packages: {hello: {specfile_path: hello.spec}, world: {specfile_path: w.spec}}\njobs:\n- {job: copr_build, trigger: pull_request, packages: [hello], targets: [fedora-43]}\n",
			place{"packit", "milling-hello-7", false}},
	}
	c := &Copr{Owner: "packit", OmitHost: map[string]bool{"git.test": true}}
	for _, test := range tests {
		p := planOf(t, test.event, test.config)
		step := p.Steps[1]
		view, err := step.View()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.place(p, step, view); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// TestCoprProjectSettings: a project is made as the job says, and later brought
// to what it says then; chroots are only added.
func TestCoprProjectSettings(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	submit := func(job string) {
		t.Helper()
		p := planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request"+job+"}\n")
		submitTo(t, c.srpm, workOf(t, p, "srpm", "source"))
	}
	submit(", targets: [fedora-43], bootstrap: 'on', module_hotfixes: true, additional_repos: [copr://ada/mill]")
	p := c.project(t, "packit/milling-hello-7")
	for key, want := range map[string]any{
		"unlisted_on_hp": true, "delete_after_days": float64(60), "bootstrap": "on", "module_hotfixes": true,
		"description":  "Continuous builds of milling/hello, made by Millrace.",
		"instructions": "These packages were built for PR 7 of https://git.test/milling/hello. They are not for production.",
		"homepage":     "https://git.test/milling/hello",
	} {
		if got := p.Settings[key]; got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if diff := cmp.Diff([][]string{{"fedora-43-x86_64"}, {"copr://ada/mill"}}, [][]string{p.Chroots, p.AdditionalRepos}); diff != "" {
		t.Errorf("chroots and repositories (-want +got):\n%s", diff)
	}

	submit(`, list_on_homepage: true, targets: {fedora-44: {additional_packages: [wheel], additional_repos: [copr://a/b],
    additional_modules: "ruby:2.7, nodejs:20", with_opts: [x], without_opts: [y]}}`)
	p = c.project(t, "packit/milling-hello-7")
	if p.Settings["unlisted_on_hp"] != false || p.Settings["bootstrap"] != "default" || p.Settings["module_hotfixes"] != false {
		t.Errorf("settings: %v", p.Settings)
	}
	if diff := cmp.Diff([]string{"fedora-43-x86_64", "fedora-44-x86_64"}, p.Chroots); diff != "" || len(p.AdditionalRepos) != 0 {
		t.Errorf("repositories %v, chroots (-want +got):\n%s", p.AdditionalRepos, diff)
	}
	want := copr.ChrootOptions{
		AdditionalPackages: []string{"wheel"}, AdditionalRepos: []string{"copr://a/b"}, AdditionalModules: []string{"ruby:2.7", "nodejs:20"},
		WithOpts: []string{"x"}, WithoutOpts: []string{"y"},
	}
	if diff := cmp.Diff(want, p.ChrootOptions["fedora-44-x86_64"]); diff != "" {
		t.Errorf("the chroot (-want +got):\n%s", diff)
	}

	submit(", targets: {fedora-44: {with_opts: [x]}}") // what is not said any more goes
	got := c.project(t, "packit/milling-hello-7").ChrootOptions["fedora-44-x86_64"]
	if len(got.WithOpts) != 1 || len(got.AdditionalPackages)+len(got.AdditionalRepos)+len(got.AdditionalModules)+len(got.WithoutOpts) != 0 {
		t.Errorf("the chroot is now %+v", got)
	}

	submit(", targets: [fedora-43], identifier: keep, preserve_project: true")
	if got := c.project(t, "packit/milling-hello-7-keep").Settings["delete_after_days"]; got != float64(-1) {
		t.Errorf("a project to be preserved is deleted after %v days", got)
	}
}

// TestCoprForeignProject: what may not be done in another's project is asked for
// and explained; when it is granted it works.
func TestCoprForeignProject(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	job := func(more string) *Work {
		t.Helper()
		p := planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, owner: ada, project: mill"+more+"}\n")
		return workOf(t, p, "srpm", "source")
	}
	submit := func(w *Work) error {
		_, err := c.srpm.Submit(t.Context(), w)
		return err
	}
	refusedAs(t, submit(job(", targets: [fedora-43]")), models.Failed, "There is no Copr project ada/mill")

	c.adas(t, "mill", copr.ProjectOptions{Chroots: []string{"fedora-42-x86_64"}, AdditionalRepos: []string{"copr://ada/own"}})
	refusedAs(t, submit(job(", targets: [fedora-43]")), models.Failed, "may not change the settings of the Copr project ada/mill",
		"The permission admin was asked for", "chroots: fedora-42-x86_64 → fedora-42-x86_64, fedora-43-x86_64")
	if got := c.project(t, "ada/mill").Permissions["packit"]; got.Admin != "request" {
		t.Errorf("permissions: %+v", got)
	}
	refusedAs(t, submit(job(", targets: {fedora-42: {with_opts: [x]}}")), models.Failed, "may not change the chroot fedora-42-x86_64 of the Copr project ada/mill",
		"The permission admin", "with_opts: [] → [x]")

	refusedAs(t, submit(job(", targets: [fedora-42]")), models.Failed, "may not build in the Copr project ada/mill", "The permission builder was asked for")
	if err := c.ada.SetPermissions(t.Context(), "ada", "mill", map[string]copr.Role{"packit": {Admin: "approved", Builder: "approved"}}); err != nil {
		t.Fatal(err)
	}
	refusedAs(t, submit(job(", targets: [fedora-42]")), models.Failed, "Not allowed to build in ada/mill Copr project.", "git.test/milling/hello")

	if _, err := c.ada.EditProject(t.Context(), "ada", "mill", copr.ProjectOptions{ForgeProjects: []string{"git.test/milling/*"}}); err != nil {
		t.Fatal(err)
	}
	if err := submit(job(", targets: [fedora-43]")); err != nil {
		t.Fatal(err)
	}
	p := c.project(t, "ada/mill")
	if diff := cmp.Diff([]string{"fedora-42-x86_64", "fedora-43-x86_64"}, p.Chroots); diff != "" {
		t.Errorf("chroots (-want +got):\n%s", diff)
	}
	if len(p.AdditionalRepos) != 1 || p.Settings["unlisted_on_hp"] == true {
		t.Errorf("what belongs to the owner was changed: %v, %v", p.AdditionalRepos, p.Settings)
	}
	if got := c.fake.Builds()[0].ForgeProject; got != "git.test/milling/hello" {
		t.Errorf("the build names the forge project %q", got)
	}
}

func TestCoprRefusalsInWords(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	submit := func(job string) error {
		p := planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-43]"+job+"}\n")
		_, err := c.srpm.Submit(t.Context(), workOf(t, p, "srpm", "source"))
		return err
	}
	refusedAs(t, submit(", project: 'no name!'"), models.Failed, "Creating the Copr project packit/no name!", "Copr says: name: Name must contain only letters")

	c.fake.SetFaults(coprfake.Faults{LoginExpired: true})
	refusedAs(t, submit(""), models.Error, "an operator must renew it")

	for _, faults := range []coprfake.Faults{{Down: true}, {Status: 503, HTML: true}, {Status: 429, RetryAfter: time.Minute}} {
		c.fake.SetFaults(faults)
		tryLater(t, submit(""))
	}
	c.fake.SetFaults(coprfake.Faults{})

	c.srpm.Script = func(context.Context, *Work) (string, error) { return strings.Repeat("x", copr.MaxScript), nil }
	refusedAs(t, submit(""), models.Failed, "too long")

	p := planOf(t, event(), "jobs:\n- {job: tests, trigger: pull_request, skip_build: true, targets: [fedora-43]}\n")
	p.Steps[0].Kind = models.SRPMStep
	_, err := c.srpm.Submit(t.Context(), workOf(t, p, "tests", "fedora-43-x86_64"))
	refusedAs(t, err, models.Error, "No build follows")
}

// TestCoprBuildsWhileSettingsChange: Copr refuses to drop chroots with builds in
// them; that passes.
func TestCoprConflictIsTriedAgain(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	p := planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-43]}\n")
	submitTo(t, c.srpm, workOf(t, p, "srpm", "source"))
	c.fake.SetFaults(coprfake.Faults{Path: "/api_3/project/edit", Status: 409})
	p = planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-44]}\n")
	_, err := c.srpm.Submit(t.Context(), workOf(t, p, "srpm", "source"))
	tryLater(t, err)
}

const twoBuilds = `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43, fedora-99]}
- {job: copr_build, trigger: pull_request, identifier: more, targets: [fedora-44]}
- {job: tests, trigger: pull_request, targets: [fedora-43, fedora-99]}
`

// TestCoprUnknownChroots: what Copr does not have is told at once, the others
// are built.
func TestCoprUnknownChroots(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	p := planOf(t, event(), twoBuilds)
	source := workOf(t, p, "srpm", "source")
	submitTo(t, c.srpm, source)
	missing := p.Steps[1].Target("fedora-99-x86_64").Run
	if missing.State != models.Failed || !strings.HasPrefix(missing.Reason, "Not supported target: fedora-99-x86_64") {
		t.Errorf("the unknown chroot is %s: %s", missing.State, missing.Reason)
	}
	if !missing.Data.Unsupported || !slices.Contains(missing.Data.Supported, "fedora-43-x86_64") {
		t.Errorf("it remembers %+v", missing.Data)
	}
	if got := c.fake.Builds()[0].Chroots; len(got) != 1 || got[0].Chroot != "fedora-43-x86_64" {
		t.Errorf("Copr builds %+v", got)
	}
	pollUntil(t, c.srpm, source)
	if source.Runs[0].State != models.Passed || source.Runs[0].Data.Version != "1.0" {
		t.Errorf("the source is %+v", source.Runs[0])
	}
	build := workOf(t, p, "copr_build", "fedora-43-x86_64")
	submitTo(t, c.build, build)
	if len(c.fake.Builds()) != 1 {
		t.Errorf("%d builds, want that of the source to go on", len(c.fake.Builds()))
	}
	pollUntil(t, c.build, build)
	run := build.Runs[0]
	if run.State != models.Passed || len(run.Data.Packages) == 0 || run.Data.CoprProject != "milling-hello-7" || run.LogURL == "" {
		t.Errorf("the build is %+v", run)
	}
}

func TestCoprHasNoneOfTheChroots(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	p := planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-98]}\n- {job: copr_build, trigger: pull_request, identifier: a, targets: [fedora-99]}\n")
	source := workOf(t, p, "srpm", "source")
	submitTo(t, c.srpm, source)
	states := []models.State{source.Runs[0].State, p.Steps[1].Targets[0].Run.State, p.Steps[2].Targets[0].Run.State}
	if diff := cmp.Diff([]models.State{models.Skipped, models.Failed, models.Failed}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if len(c.fake.Builds())+len(c.fake.Projects()) != 0 {
		t.Error("something was made for nothing")
	}
}

// TestCoprLacksAliasedChroot: a release that an alias stands for and that Copr
// does not have yet is not the user's mistake; and it is noticed soon when Copr
// gets it.
func TestCoprLacksAliasedChroot(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	all := coprfake.DefaultChroots()
	c.fake.SetChroots(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "fedora-43-x86_64" }))
	p := planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-stable, fedora-44]}\n")
	submitTo(t, c.srpm, workOf(t, p, "srpm", "source"))
	if got := p.Steps[1].Target("fedora-43-x86_64").Run; got.State != models.Error {
		t.Errorf("the chroot is %s: %s", got.State, got.Reason)
	}
	c.fake.SetChroots(all)
	known := &c.build.Copr.known
	known.mu.Lock()
	known.at = time.Now().Add(-chrootsRecheck - time.Second)
	known.mu.Unlock()
	p = planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-stable]}\n")
	submitTo(t, c.srpm, workOf(t, p, "srpm", "source"))
	if got := p.Steps[1].Target("fedora-43-x86_64").Run; got.State != models.Waiting {
		t.Errorf("the chroot is %s: %s", got.State, got.Reason)
	}
}

// TestCoprSecondBuildStep: another build step of the same source RPM fetches it
// by way of our address, and a repeated submission finds it.
func TestCoprSecondBuildStep(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	p := planOf(t, event(), twoBuilds)
	source := workOf(t, p, "srpm", "source")
	submitTo(t, c.srpm, source)
	pollUntil(t, c.srpm, source)
	work := workOf(t, p, "copr_build:more", "fedora-44-x86_64")
	submitTo(t, c.build, work)
	builds := c.fake.Builds()
	want := fmt.Sprintf("https://millrace.test/srpms/%d/%s/source.src.rpm", source.Runs[0].ID, work.Group.Key)
	if len(builds) != 2 || builds[0].Source.Data["url"] != want || builds[0].Project != "milling-hello-7-more" {
		t.Fatalf("builds: %+v, want one of %s", builds, want)
	}
	first := work.Group.ExternalID
	work.Group.Epoch, work.Group.ExternalID = 2, ""
	submitTo(t, c.build, work)
	if work.Group.ExternalID != first || len(c.fake.Builds()) != 2 {
		t.Errorf("the second try is build %s of %d, want %s", work.Group.ExternalID, len(c.fake.Builds()), first)
	}
}

func TestCoprLostAnswersAreFound(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	w := workOf(t, planOf(t, event(), twoBuilds), "srpm", "source")
	c.fake.SetFaults(coprfake.Faults{Path: "/api_3/build/create", Calls: 1, LoseAnswers: true})
	_, err := c.srpm.Submit(t.Context(), w)
	tryLater(t, err)
	w.Group.Epoch = 2
	submitTo(t, c.srpm, w)
	if n := c.fake.Submissions(w.Group.Key); n != 1 || w.Group.ExternalID == "" {
		t.Errorf("submitted %d times, as %q", n, w.Group.ExternalID)
	}
}

// TestCoprUpload: a source RPM that was built here is uploaded, and one that is
// gone is not the user's fault.
func TestCoprUpload(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	dir := t.TempDir()
	local := &SRPMHere{DataDir: dir}
	c.build.Open = local.Open
	p := planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-43]}\n")
	source := p.Steps[0].Targets[0].Run
	source.State, source.Data.SRPMPath = models.Passed, "srpms/key/hello-1-1.src.rpm"
	w := workOf(t, p, "copr_build", "fedora-43-x86_64")
	_, err := c.build.Submit(t.Context(), w)
	refusedAs(t, err, models.Error, "no longer here")

	if err := os.MkdirAll(filepath.Join(dir, "srpms/key"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, source.Data.SRPMPath), []byte("the source"), 0o644); err != nil {
		t.Fatal(err)
	}
	submitTo(t, c.build, w)
	b := c.fake.Builds()[0]
	if got, err := os.ReadFile(b.Upload); err != nil || string(got) != "the source" || c.fake.Submissions(w.Group.Key) != 1 {
		t.Errorf("uploaded %q, %v", got, err)
	}
	source.Data.SRPMPath = "../../etc/passwd"
	w = workOf(t, p, "copr_build", "fedora-43-x86_64")
	w.Group.Key += "x"
	_, err = c.build.Submit(t.Context(), w)
	refusedAs(t, err, models.Error, "no longer here")
}

// TestCoprEnds: how builds end in Copr, and who is to do something about it.
func TestCoprEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		results map[string]string
		during  func(t *testing.T, c *coprWorld, id int64)
		source  models.State
		build   models.State
		reason  string
	}{
		{"the source fails", map[string]string{copr.SourceChroot: copr.Failed}, nil, models.Failed, "", "SRPM build failed, check the logs for details."},
		{"a chroot fails", map[string]string{"fedora-43-x86_64": copr.Failed}, nil, models.Passed, models.Failed, "RPMs failed to be built."},
		{"a chroot is skipped", map[string]string{"fedora-43-x86_64": copr.Skipped}, nil, models.Passed, models.Error, "Copr skipped this chroot"},
		{"canceled there", nil, func(t *testing.T, c *coprWorld, id int64) {
			if _, err := c.ada.CancelBuild(t.Context(), id); !copr.IsPermission(err) {
				t.Errorf("anybody may cancel: %v", err)
			}
			if _, err := c.build.Client.CancelBuild(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}, models.Canceled, "", "It was canceled in Copr."},
		{"deleted there", nil, func(t *testing.T, c *coprWorld, id int64) {
			if _, err := c.build.Client.CancelBuild(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if err := c.build.Client.DeleteBuild(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}, models.Error, "", "The build is no longer in Copr."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCopr(t)
			if test.during != nil {
				c = newCoprAt(t, slowly)
			}
			c.fake.SetFaults(coprfake.Faults{Results: test.results})
			p := planOf(t, event(), "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-43]}\n")
			source := workOf(t, p, "srpm", "source")
			submitTo(t, c.srpm, source)
			id, err := buildID(source.Group.ExternalID)
			if err != nil {
				t.Fatal(err)
			}
			if test.during != nil {
				test.during(t, c, id)
			}
			pollUntil(t, c.srpm, source)
			run := source.Runs[0]
			if run.State != test.source {
				t.Fatalf("the source is %s: %s, want %s", run.State, run.Reason, test.source)
			}
			if test.source == models.Passed {
				build := workOf(t, p, "copr_build", "fedora-43-x86_64")
				submitTo(t, c.build, build)
				pollUntil(t, c.build, build)
				if run = build.Runs[0]; run.State != test.build {
					t.Errorf("the build is %s: %s, want %s", run.State, run.Reason, test.build)
				}
			}
			if !strings.HasPrefix(run.Reason, test.reason) {
				t.Errorf("because: %q, want %q", run.Reason, test.reason)
			}
		})
	}
}

// TestCoprBuildGone: builds and chroots that vanish after they were submitted.
func TestCoprBuildGone(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	p := planOf(t, event(), twoBuilds)
	source := workOf(t, p, "srpm", "source")
	submitTo(t, c.srpm, source)
	pollUntil(t, c.srpm, source)
	build := workOf(t, p, "copr_build", "fedora-43-x86_64")
	submitTo(t, c.build, build)
	other := workOf(t, p, "copr_build:more", "fedora-44-x86_64")
	other.Group.ExternalID = build.Group.ExternalID // which has no such chroot
	pollUntil(t, c.build, build)
	pollUntil(t, c.build, other)
	if got := other.Runs[0]; got.State != models.Error || !strings.Contains(got.Reason, "without this chroot") {
		t.Errorf("a chroot that the build never had is %s: %s", got.State, got.Reason)
	}
	id, _ := buildID(build.Group.ExternalID)
	if err := c.build.Client.DeleteBuild(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	build.Runs[0].State = models.Running
	pollUntil(t, c.build, build)
	if got := build.Runs[0]; got.State != models.Error || got.Reason != "The build is no longer in Copr." {
		t.Errorf("a deleted build is %s: %s", got.State, got.Reason)
	}
	c.fake.SetFaults(coprfake.Faults{Down: true})
	_, err := c.build.Poll(t.Context(), build)
	tryLater(t, err)
}

func TestCoprCancel(t *testing.T) {
	t.Parallel()
	c := newCoprAt(t, slowly)
	p := planOf(t, event(), twoBuilds)
	source := workOf(t, p, "srpm", "source")
	if err := c.srpm.Cancel(t.Context(), source); err != nil {
		t.Errorf("canceling what was never submitted: %v", err)
	}
	submitTo(t, c.srpm, source)
	id := source.Group.ExternalID
	source.Group.ExternalID = "" // its worker died before it could say
	if err := c.srpm.Cancel(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	if b := c.fake.Builds()[0]; !b.Canceled {
		t.Error("the build was not found by its key")
	}
	source.Group.ExternalID = id
	if err := c.srpm.Cancel(t.Context(), source); err != nil {
		t.Errorf("canceling twice: %v", err)
	}

	p = planOf(t, event(), twoBuilds)
	source = workOf(t, p, "srpm", "source")
	submitTo(t, c.srpm, source)
	build := workOf(t, p, "copr_build", "fedora-43-x86_64") // not claimed yet; the source's build goes on to it
	if err := c.build.Cancel(t.Context(), build); err != nil {
		t.Fatal(err)
	}
	if b := c.fake.Builds()[0]; !b.Canceled {
		t.Error("the build of the source goes on to chroots that nobody wants")
	}
}

func TestCoprLog(t *testing.T) {
	t.Parallel()
	c := newCopr(t)
	c.fake.SetFaults(coprfake.Faults{Results: map[string]string{copr.SourceChroot: copr.Failed}})
	w := workOf(t, planOf(t, event(), twoBuilds), "srpm", "source")
	submitTo(t, c.srpm, w)
	pollUntil(t, c.srpm, w)
	text, cut, err := c.srpm.FetchLog(t.Context(), w.Runs[0], 1<<20)
	if err != nil || cut != 0 || !strings.Contains(string(text), "ERROR: Command failed. This builder has been told to fail.") {
		t.Errorf("log %q, %d cut, %v", text, cut, err)
	}
	short, cut, err := c.srpm.FetchLog(t.Context(), w.Runs[0], 200)
	if err != nil || cut != int64(len(text)-200) || len(short) > 300 {
		t.Errorf("%d bytes of log, %d cut, %v", len(short), cut, err)
	}
}
