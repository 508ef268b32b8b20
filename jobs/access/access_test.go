package access_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/fasjson"
	"millrace/clients/fasjson/fasjsonfake"
	"millrace/clients/forge/forgetest"
	"millrace/clients/git/fakeforge"
	"millrace/clients/github"
	"millrace/clients/github/githubfake"
	"millrace/jobs/access"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

const distGitHost = "src.example.org"

// world is people, what they have elsewhere, and the sources that tell.
type world struct {
	*access.Rights
	github   *githubfake.Fake
	packages *fakeforge.Forge
	distGit  *forgetest.Server
	accounts *fasjsonfake.Fake
	users    map[string]*models.Viewer

	wheel *models.Project // upstream
	pkg   *models.Project // dist-git's hello
}

// newWorld has the upstream project mill/wheel, and the package rpms/hello on Pagure.
func newWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	return newWorldOn(t, s, forgetest.Pagure)
}

// newWorldOn has the package on a forge.
func newWorldOn(t *testing.T, s *store.Store, forge forgetest.Forge) *world {
	t.Helper()
	w := &world{users: map[string]*models.Viewer{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	client := &http.Client{Timeout: 20 * time.Second}

	var err error
	w.github, err = githubfake.New(githubfake.Config{Dir: t.TempDir(), Tokens: map[string]string{"ours": "millrace"}})
	must(err)
	t.Cleanup(w.github.Close)
	_, err = w.github.CreateRepo(t.Context(), "mill", "wheel", nil, githubfake.RepoOptions{})
	must(err)
	for login, role := range map[string]string{
		"dee-gh": "write", "max-gh": "maintain", "adm-gh": "admin", "tri-gh": "triage", "prv-gh": "admin", "two-gh": "admin", "lok-gh": "admin",
	} {
		must(w.github.SetCollaborator("mill/wheel", login, role))
	}
	must(w.github.AddUser("gus-gh"))

	w.packages, err = fakeforge.New(fakeforge.Config{Dir: t.TempDir()})
	must(err)
	must(w.packages.CreateRepo(t.Context(), "rpms/hello", "ada"))
	must(w.packages.CreateRepo(t.Context(), "rpms/other", "ivy"))
	must(w.packages.SetGroup("hello-sig", "bo"))
	must(w.packages.SetAccess("rpms/hello", fakeforge.Access{
		Owner: "ada", Committers: []string{"kim"}, Ticketers: []string{"tim"}, Collaborators: map[string]string{"cy": "epel*"},
		CommitterGroups: []string{"hello-sig", "gone-sig"},
	}))
	must(w.packages.SetToken("ours", fakeforge.Token{Login: "millrace"}))
	w.distGit = forgetest.Serve(t, forge, w.packages, forgetest.Options{Token: "ours", Admins: []string{"millrace"}, HTTP: client})

	w.accounts = fasjsonfake.New(fasjsonfake.Config{Tokens: map[string]string{"ticket": "millrace"}})
	for _, p := range []fasjsonfake.Person{
		{Login: "ada"}, {Login: "bo"}, {Login: "cy"}, {Login: "kim"}, {Login: "tim"}, {Login: "ivy", GitHub: "unheard-of"},
		{Login: "dee", GitHub: "DEE-gh"}, {Login: "max", GitHub: "max-gh"}, {Login: "adm", GitHub: "adm-gh"}, {Login: "tri", GitHub: "tri-gh"},
		{Login: "gus", GitHub: "gus-gh"}, {Login: "prv", GitHub: "prv-gh", Private: true}, {Login: "lok", GitHub: "lok-gh", Locked: true},
		{Login: "two", GitHub: "two-gh"}, {Login: "thief", GitHub: "Dee-GH"}, {Login: "odd", GitHub: "../../user"}, {Login: "olga"},
	} {
		w.accounts.Put(p)
		u := &models.User{Login: p.Login}
		must(s.InTx(t.Context(), func(tx *store.Tx) error { return tx.SaveUser(t.Context(), u) }))
		w.users[p.Login] = models.NewViewer(u, nil)
	}
	w.users["olga"].Operator = true
	must(s.InTx(t.Context(), func(tx *store.Tx) error {
		// Not two-gh, which nobody proved to be theirs.
		for account, login := range map[string]string{
			"dee-gh": "dee", "max-gh": "max", "adm-gh": "adm", "tri-gh": "tri", "gus-gh": "gus", "prv-gh": "prv", "lok-gh": "lok", "../../user": "odd",
			"unheard-of": "ivy",
		} {
			if err := tx.SaveProof(t.Context(), "github.com", models.Proof{Account: account, Login: login}); err != nil {
				return err
			}
		}
		return tx.SaveProof(t.Context(), distGitHost, models.Proof{Account: "two-gh", Login: "two"}) // said elsewhere, by a namesake
	}))

	w.wheel = &models.Project{ID: 1, Forge: "github.com", Namespace: "mill", Name: "wheel"}
	w.pkg = &models.Project{ID: 2, Forge: distGitHost, Namespace: "rpms", Name: "hello"}
	w.Rights = &access.Rights{
		Store: s, Log: slog.New(slog.DiscardHandler), DistGitHost: distGitHost,
		DistGit:  w.distGit.Client,
		Forges:   map[string]access.Forge{"github.com": access.GitHub{Client: &github.Client{BaseURL: serve(w.github) + "/api/v3", Token: "ours", HTTP: client}}},
		Accounts: &fasjson.Client{BaseURL: serve(w.accounts), HTTP: client, Negotiate: func(context.Context, string) ([]byte, error) { return []byte("ticket"), nil }},
	}
	return w
}

// step is one of a pipeline, by a config that names the package.
func step(kind models.StepKind, downstream string, targets ...string) *models.Step {
	config, _ := json.Marshal(map[string]string{"downstream_package_name": downstream})
	s := &models.Step{Kind: kind, Name: string(kind), Config: config}
	for _, name := range targets {
		s.Targets = append(s.Targets, &models.Target{Name: name})
	}
	return s
}

func pipeline(p *models.Project, kind models.RefKind, commit models.Commit, steps ...*models.Step) *models.Pipeline {
	commit.Kind = kind
	return &models.Pipeline{ID: 1, Kind: kind, Ref: commit.Ref, Actor: commit.Author, Project: p, Commit: &commit, Steps: steps}
}

func (w *world) pull() *models.Pipeline {
	return pipeline(w.wheel, models.PullRequestRef, models.Commit{Ref: "7", Author: "gus-gh", TargetRef: "main"}, step(models.CoprBuildStep, "hello", "fedora-44-x86_64"))
}

func (w *world) release(downstream string, branches ...string) *models.Pipeline {
	return pipeline(w.wheel, models.ReleaseRef, models.Commit{Ref: "1.0", Author: "gus-gh"},
		step(models.CoprBuildStep, downstream, "fedora-44-x86_64"), step(models.ProposeStep, downstream, branches...))
}

// who are those who may, and those of whom it cannot be told.
func (w *world) who(t *testing.T, ask func(*models.Viewer) models.Verdict) (may, unknown []string) {
	t.Helper()
	for login, viewer := range w.users {
		switch v := ask(viewer); {
		case v.Allowed:
			may = append(may, login)
		case v.Unknown:
			unknown = append(unknown, login)
		case v.Reason == "" || v.HowTo == "":
			t.Errorf("%s: refused without a word", login)
		}
	}
	slices.Sort(may)
	slices.Sort(unknown)
	return may, unknown
}

func (w *world) may(t *testing.T, right models.Right, p *models.Pipeline, steps ...*models.Step) string {
	t.Helper()
	may, unknown := w.who(t, func(v *models.Viewer) models.Verdict { return w.May(t.Context(), v, right, p, steps...) })
	if len(unknown) > 0 {
		t.Errorf("unknown of %q", unknown)
	}
	return strings.Join(may, " ")
}

// TestWhoMay tries everybody with every kind of object, with packages on each forge.
func TestWhoMay(t *testing.T) {
	t.Parallel()
	for _, forge := range forgetest.Forges {
		t.Run(string(forge), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, s *store.Store) { whoMay(t, newWorldOn(t, s, forge), forge) })
		})
	}
}

// whoMay asks. On Forgejo who may write may write to all branches.
func whoMay(t *testing.T, w *world, forge forgetest.Forge) {
	t.Helper()
	epel := pipeline(w.pkg, models.BranchRef, models.Commit{Ref: "epel9"}, step(models.KojiBuildStep, "hello", "epel9"))
	rawhide := pipeline(w.pkg, models.PullRequestRef, models.Commit{Ref: "3", TargetRef: "rawhide", Author: "tim"}, step(models.CoprBuildStep, "hello", "x"))
	foreign := pipeline(w.pkg, models.BranchRef, models.Commit{Ref: "rawhide"}, step(models.KojiBuildStep, "other", "rawhide"))
	release := w.release("hello", "rawhide", "epel9")
	got := map[string]string{
		"rerun of a pull request's builds":    w.may(t, models.RerunRight, w.pull()),
		"cancel of a pull request's builds":   w.may(t, models.CancelRight, w.pull()),
		"rerun of a release":                  w.may(t, models.RerunRight, release),
		"cancel of a release":                 w.may(t, models.CancelRight, release),
		"rerun of a release's builds alone":   w.may(t, models.RerunRight, release, release.Steps[0]),
		"rerun of a release to EPEL":          w.may(t, models.RerunRight, w.release("hello", "epel9", "epel10.0")),
		"rerun of a release of another":       w.may(t, models.RerunRight, w.release("other", "rawhide")),
		"rerun of a release of none":          w.may(t, models.RerunRight, w.release("", "rawhide")),
		"rerun of a release of what is not":   w.may(t, models.RerunRight, w.release("unheard-of", "rawhide")),
		"rerun of a release with a path":      w.may(t, models.RerunRight, w.release("../hello", "rawhide")),
		"rerun of a build on an EPEL branch":  w.may(t, models.RerunRight, epel),
		"rerun of a pull request in dist-git": w.may(t, models.RerunRight, rawhide),
		"rerun by a config that names others": w.may(t, models.RerunRight, foreign),
	}
	project := func(right models.Right, p *models.Project) string {
		may, unknown := w.who(t, func(v *models.Viewer) models.Verdict { return w.MayProject(t.Context(), v, right, p) })
		return strings.Join(append(may, unknown...), " ")
	}
	got["settings of a project"] = project(models.SettingsRight, w.wheel)
	got["settings of a package"] = project(models.SettingsRight, w.pkg)
	got["automation of a package"] = project(models.AutomateRight, w.pkg)
	got["messages of a package again"] = project(models.RedeliverRight, w.pkg)
	got["operating"] = project(models.OperateRight, w.wheel)
	want := map[string]string{
		"rerun of a pull request's builds":    "ada adm bo dee gus kim max olga",
		"cancel of a pull request's builds":   "ada adm bo dee gus kim max olga",
		"rerun of a release":                  "ada bo kim olga",
		"cancel of a release":                 "ada adm bo dee gus kim max olga",
		"rerun of a release's builds alone":   "ada adm bo dee kim max olga",
		"rerun of a release to EPEL":          "ada bo cy kim olga",
		"rerun of a release of another":       "ivy olga",
		"rerun of a release of none":          "olga",
		"rerun of a release of what is not":   "olga",
		"rerun of a release with a path":      "olga",
		"rerun of a build on an EPEL branch":  "ada bo cy kim olga",
		"rerun of a pull request in dist-git": "ada bo kim olga tim",
		"rerun by a config that names others": "olga",
		"settings of a project":               "adm olga",
		"settings of a package":               "ada olga",
		"automation of a package":             "ada bo kim olga",
		"messages of a package again":         "ada bo kim olga",
		"operating":                           "olga",
	}
	if forge == forgetest.Forgejo {
		for asked, who := range want {
			if strings.Contains(who, "ada bo kim") { // cy is a collaborator for EPEL's branches on Pagure
				want[asked] = strings.Replace(who, "ada bo kim", "ada bo cy kim", 1)
			}
		}
		want["rerun of a pull request's builds"] = "ada adm bo cy dee gus kim max olga"
		want["cancel of a pull request's builds"] = "ada adm bo cy dee gus kim max olga"
		want["cancel of a release"] = "ada adm bo cy dee gus kim max olga"
		want["rerun of a release's builds alone"] = "ada adm bo cy dee kim max olga"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v := w.May(t.Context(), nil, models.RerunRight, w.pull()); v.Allowed || v.Unknown || !strings.Contains(v.HowTo, "Log in") {
		t.Errorf("somebody who is not logged in: %+v", v)
	}
	if v := w.May(t.Context(), w.users["ivy"], models.RerunRight, w.pull()); !strings.Contains(v.Reason, "mill/wheel") {
		t.Errorf("somebody without rights: %+v", v)
	}
	if v := w.May(t.Context(), w.users["prv"], models.RerunRight, w.pull()); !strings.Contains(v.HowTo, "at github.com: name your account there") {
		t.Errorf("somebody without an account elsewhere: %+v", v)
	}
	if v := w.May(t.Context(), w.users["two"], models.RerunRight, w.pull()); v.Unknown || !strings.Contains(v.HowTo, "at github.com as two-gh: prove that") {
		t.Errorf("somebody whose account elsewhere is not proved: %+v", v)
	}
	if v := w.May(t.Context(), w.users["dee"], models.RerunRight, release); !strings.Contains(v.Reason, "commit to rpms/hello in dist-git") {
		t.Errorf("somebody from upstream: %+v", v)
	}
}

// TestLoadsWhatIsMissing asks about pipelines of lists, which know little.
func TestLoadsWhatIsMissing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		made := storetest.Pipeline(t, s, "mill/wheel", 7, storetest.PullRequest)
		if v := w.May(t.Context(), w.users["dee"], models.RerunRight, &models.Pipeline{ID: made.ID}); !v.Allowed {
			t.Errorf("who may write: %+v", v)
		}
		if v := w.May(t.Context(), w.users["ivy"], models.RerunRight, &models.Pipeline{ID: made.ID}); v.Allowed || !strings.Contains(v.Reason, "mill/wheel") {
			t.Errorf("who may not: %+v", v)
		}
		if v := w.May(t.Context(), w.users["dee"], models.RerunRight, &models.Pipeline{ID: made.ID + 1}); v.Allowed || !v.Unknown {
			t.Errorf("what is not there: %+v", v)
		}
	})
}

// TestRequester sees to it that people may cancel what they asked for, and that
// a login elsewhere is not one here.
func TestRequester(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	p := w.pull()
	p.Actor, p.RequesterID, p.Via = "ivy", w.users["ivy"].ID, models.ViaButton
	if v := w.May(t.Context(), w.users["ivy"], models.CancelRight, p); !v.Allowed {
		t.Errorf("who asked: %+v", v)
	}
	if v := w.May(t.Context(), w.users["gus"], models.CancelRight, p); v.Allowed {
		t.Errorf("who did not ask: %+v", v)
	}
	p.Actor = "gus-gh" // which is ivy's login here, and another's at GitHub
	if v := w.May(t.Context(), w.users["gus"], models.CancelRight, p); v.Allowed {
		t.Errorf("a namesake here: %+v", v)
	}
	p.Actor, p.RequesterID, p.Via = "ivy", 0, models.ViaComment // of that name at GitHub
	if v := w.May(t.Context(), w.users["ivy"], models.CancelRight, p); v.Allowed {
		t.Errorf("a namesake at the forge: %+v", v)
	}
	p.Actor = "Gus-GH"
	if v := w.May(t.Context(), w.users["gus"], models.CancelRight, p); !v.Allowed {
		t.Errorf("who asked in a comment: %+v", v)
	}
	p = w.pull()
	p.Commit.Author = "ivy"
	if v := w.May(t.Context(), w.users["ivy"], models.RerunRight, p); v.Allowed {
		t.Errorf("a namesake of the author at the forge: %+v", v)
	}
	for viewer, want := range map[string]models.About{
		"gus": {Object: "mill/wheel", Author: "gus", Requester: "gus"},
		"dee": {Object: "mill/wheel", Role: models.Committer},
		"adm": {Object: "mill/wheel", Role: models.Maintainer},
		"ada": {Object: "mill/wheel", Role: models.Committer, Unlinked: "github.com"},
	} {
		if diff := cmp.Diff(want, w.About(t.Context(), w.users[viewer], w.wheel, w.pull())); diff != "" {
			t.Errorf("about %s: %s", viewer, diff)
		}
	}
}

// TestForgejoTellsLittle asks with an account that is no admin: who may write is told
// to it, who is an admin is not, and teams are not shown to it. Nobody loses by that
// what is proved, and of nobody it cannot be told.
func TestForgejoTellsLittle(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, storetest.SQLite(t), forgetest.Forgejo)
	w.Rights.DistGit = forgetest.Serve(t, forgetest.Forgejo, w.packages, forgetest.Options{Token: "ours"}).Client
	got := map[string]string{
		"rerun of a release":  w.may(t, models.RerunRight, w.release("hello", "rawhide")),
		"cancel of a release": w.may(t, models.CancelRight, w.release("hello", "rawhide")),
	}
	may, unknown := w.who(t, func(v *models.Viewer) models.Verdict {
		return w.MayProject(t.Context(), v, models.SettingsRight, w.pkg)
	})
	got["settings of a package"] = strings.Join(append(may, unknown...), " ")
	want := map[string]string{
		"rerun of a release":    "ada bo cy kim olga",
		"cancel of a release":   "ada adm bo cy dee gus kim max olga",
		"settings of a package": "olga",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
