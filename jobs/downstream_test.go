package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"millrace/clients/forge"
	"millrace/clients/forge/forgetest"
	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
	"millrace/clients/git/sshtest"
	"millrace/clients/github/githubfake"
	"millrace/clients/lookaside"
	"millrace/clients/lookaside/lookasidefake"
	"millrace/jobs/sandbox"
	"millrace/jobs/sources"
	"millrace/models"
	"millrace/models/store"
)

// fedora is a world with dist-git in it, and where it keeps archives.
type fedora struct {
	*world
	distGit  *fakeforge.Forge
	forge    *forgetest.Server // that has the packages of distGit
	on       forgetest.Forge   // which that is
	archives *httptest.Server  // of upstream
	cache    *lookasidefake.Server
	propose  *Propose
}

const packitToken = "token-of-packit"

func newFedora(t *testing.T, w *world) *fedora {
	t.Helper()
	return newFedoraOn(t, w, forgetest.Pagure)
}

// onForges runs f where packages are on each forge; with both databases on the first.
func onForges(t *testing.T, f func(t *testing.T, f *fedora)) {
	t.Helper()
	onBoth(t, func(t *testing.T, w *world) { f(t, newFedora(t, w)) })
	t.Run("forgejo", func(t *testing.T) {
		t.Parallel()
		onSQLite(t, func(t *testing.T, w *world) { f(t, newFedoraOn(t, w, forgetest.Forgejo)) })
	})
}

func newFedoraOn(t *testing.T, w *world, forge forgetest.Forge) *fedora {
	t.Helper()
	f := &fedora{world: w, on: forge}
	var err error
	if f.distGit, err = fakeforge.New(fakeforge.Config{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"packit", "maren"} {
		if err := f.distGit.AddPerson(login, login); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.distGit.SetToken(packitToken, fakeforge.Token{Login: "packit"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.distGit.Close)
	f.forge = forgetest.Serve(t, forge, f.distGit, forgetest.Options{Token: packitToken, Admins: []string{"packit"}, Publish: func(topic string, body []byte) {
		d := &models.Delivery{Source: models.FromBus, Key: rand.Text(), Type: topic, Body: body}
		if _, err := w.Accept(context.Background(), d); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	}})
	if f.cache, err = lookasidefake.New(lookasidefake.Config{Dir: t.TempDir(), Prefix: "/pkgs", Users: map[string]string{"ticket": "packit"}}); err != nil {
		t.Fatal(err)
	}
	kept := httptest.NewServer(f.cache)
	t.Cleanup(kept.Close)
	f.archives = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "archive ", r.URL.Path) }))
	t.Cleanup(f.archives.Close)

	url := f.forge.URL
	w.Packages = &Packages{DistGit: f.forge.Client, Host: host(t, url), URL: url, User: "packit", Password: packitToken}
	w.Forges[w.Packages.Host] = PackagesForge{w.Packages}
	w.Parser.Bus.DistGit = url
	g := &git.Git{}
	f.propose = &Propose{
		Engine: w.Engine, Packages: w.Packages, Forge: w.Runner.Forge, Releases: w.Runner.Releases, DataDir: t.TempDir(),
		Config: w.Runner.ConfigOfPackage,
		Builder: &sources.Builder{
			Git: g, Cache: &git.Cache{Git: g, Dir: t.TempDir()}, Sandbox: &sandbox.Sandbox{},
			Identity: git.Identity{Name: "Packit", Email: "packit@mill.example"}, Download: sources.Download{AllowPrivate: true},
		},
		Lookaside: &lookaside.Client{BaseURL: kept.URL + "/pkgs", Negotiate: func(context.Context, string) (string, error) { return "ticket", nil }},
	}
	w.Kinds[models.ProposeStep], w.Kinds[models.PullFromUpstreamStep] = f.propose, f.propose
	w.AllowAll = true
	return f
}

// pack makes the package rpms/hello with a spec file of version 1.0 and branches.
func (f *fedora) pack(t *testing.T, config string, branches ...string) {
	t.Helper()
	const repo = "rpms/hello"
	if err := f.distGit.CreateRepo(t.Context(), repo, "maren"); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"hello.spec": fmt.Sprintf("Name: hello\nVersion: 1.0\nRelease: 3%%{?dist}\nSummary: Says hello\nLicense: MIT\n"+
		"Source0: %s/hello-%%{version}.tar.gz\n\n%%description\nHello.\n\n%%changelog\n", f.archives.URL)}
	if config != "" {
		files[".packit.yaml"] = config
	}
	if _, err := f.distGit.Commit(t.Context(), repo, fakeforge.Change{Message: "Import", Files: files}); err != nil {
		t.Fatal(err)
	}
	for _, branch := range branches {
		if err := f.distGit.Branch(t.Context(), repo, branch, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// announceVersions says on the bus what release monitoring says of new versions.
func (f *fedora) announceVersions(t *testing.T, versions ...string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"package": "hello", "bug": map[string]any{"bug_id": 2300001},
		"trigger": map[string]any{"msg": map[string]any{
			"message": map[string]any{"upstream_versions": versions}, "project": map[string]any{"id": 4711, "name": "hello"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &models.Delivery{Source: models.FromBus, Key: rand.Text(), Type: "org.fedoraproject.prod.hotness.update.bug.file", Body: body}
	if _, err := f.Accept(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// pulls are the pull requests of the package: "f43 open: Update …".
func (f *fedora) pulls(t *testing.T) []string {
	t.Helper()
	all, err := f.distGit.Pulls("rpms/hello")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range all {
		lines = append(lines, fmt.Sprintf("%s %s: %s", p.Branch, strings.ToLower(string(p.State)), p.Title))
	}
	slices.Sort(lines)
	return lines
}

// ended waits for the end of the newest pipeline of an event.
func (f *fedora) ended(t *testing.T, e *models.Event) *models.Pipeline {
	t.Helper()
	var p *models.Pipeline
	soon(t, fmt.Sprintf("the pipeline of event %d (%s) ends", e.ID, e.Reason), func() (bool, any) {
		all, err := f.Store.NewestAttempts(t.Context(), e.ID)
		if err != nil || len(all) == 0 {
			return false, err
		}
		if p, err = f.Store.Pipeline(t.Context(), all[0].ID); err != nil {
			return false, err
		}
		return p.State.Finished(), p.State
	})
	return p
}

// outcomeOf is a pipeline in short.
func outcomeOf(p *models.Pipeline) []string {
	var lines []string
	for _, step := range p.Steps {
		for _, target := range step.Targets {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", step.Name, target.Name, target.Run.State, target.Run.Reason)))
		}
	}
	return lines
}

const pullConfig = `
jobs:
- job: pull_from_upstream
  trigger: release
  dist_git_branches: {rawhide: {fast_forward_merge_into: [f44]}, f43: {}}
`

// TestPullFromUpstream: news of a version becomes pull requests, a branch that
// fails does not stop the others, and doing it once more doubles nothing.
func TestPullFromUpstream(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, f *fedora) {
		w := f.world
		f.pack(t, pullConfig, "f44") // there is no f43
		run(t, w.Runner)
		f.announceVersions(t, "1.9", "1.10", "1.2")
		event := w.theEvent(t, models.UpstreamVersionEvent, 1)
		p := f.ended(t, event)
		want := []string{
			"pull_from_upstream rawhide passed",
			"pull_from_upstream f43 failed The package has no branch f43 in dist-git.",
			"pull_from_upstream~2 f44 passed",
		}
		if diff := gocmp.Diff(want, outcomeOf(p)); diff != "" {
			t.Fatal(diff)
		}
		open := []string{"f44 open: Update f44 to upstream release 1.10", "rawhide open: Update rawhide to upstream release 1.10"}
		if diff := gocmp.Diff(open, f.pulls(t)); diff != "" {
			t.Error(diff)
		}
		pulls, err := f.distGit.Pulls("rpms/hello")
		if err != nil {
			t.Fatal(err)
		}
		for _, pull := range pulls {
			if !strings.Contains(pull.Body, "[rhbz#2300001](") || !strings.Contains(pull.Body, "release-monitoring.org/project/4711") || !strings.Contains(pull.Body, w.Base+"/runs/") {
				t.Errorf("the body is\n%s", pull.Body)
			}
		}
		spec, err := f.distGit.Bare("forks/packit/rpms/hello").ShowFile(t.Context(), "refs/heads/rawhide-update-pull_from_upstream", "hello.spec", 1<<20)
		if err != nil || !strings.Contains(string(spec), "Version: 1.10\nRelease: 1%{?dist}\n") {
			t.Errorf("the fork's spec file is %v\n%s", err, spec)
		}

		// Again: the same pull requests.
		again, err := w.Rerun(t.Context(), RerunRequest{
			RerunRequest: models.RerunRequest{Scope: models.ScopeAll}, Requester: Requester{Actor: "maren", Via: models.ViaButton}, Pipeline: p.ID,
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, w.Runner, again, map[string]models.State{"pipeline": models.Failed})
		if diff := gocmp.Diff(open, f.pulls(t)); diff != "" {
			t.Error(diff)
		}
		f.wayIs(t, event, []string{"rawhide ++?....", "f44 ++?....", "f43 +X....."})
		soon(t, "our push to the fork is left alone", func() (bool, any) {
			list, err := w.Store.Events(t.Context(), models.EventFilter{Kind: models.PushEvent}, models.Page{})
			return err == nil && slices.ContainsFunc(list.Rows, func(e *models.Event) bool { return strings.Contains(e.Reason, "push to a fork") }), err
		})
	})
}

// wayIs waits until the way of an event's release is drawn like that.
func (f *fedora) wayIs(t *testing.T, e *models.Event, want []string) {
	t.Helper()
	letters := map[models.CellState]string{
		models.CellPlanned: ".", models.CellRunning: "r", models.CellDue: "?", models.CellDone: "+",
		models.CellFailed: "X", models.CellSkipped: "-", models.CellEnded: "/",
	}
	soon(t, "the way of the release", func() (bool, any) {
		release, err := f.Store.Product(t.Context(), models.ReleaseRefOf(e.Project, e.Commit.Ref))
		if err != nil {
			return false, err
		}
		products, err := f.Store.WayProducts(t.Context(), release.ID)
		if err != nil {
			return false, err
		}
		var events []int64
		for _, p := range products {
			events = append(events, cmp.Or(p.EventID, -1))
		}
		pipelines, err := f.Store.PipelinesOfEvents(t.Context(), events)
		if err != nil {
			return false, err
		}
		var lines []string
		for _, row := range models.NewWay(release, products, pipelines).Rows {
			line := row.Branch + " "
			for _, cell := range row.Cells {
				line += letters[cell.State]
			}
			lines = append(lines, line)
		}
		return slices.Equal(lines, want), strings.Join(lines, "\n")
	})
}

// TestProposeDownstream: a release upstream becomes pull requests in dist-git, and
// its checks say so.
func TestProposeDownstream(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, f *fedora) {
		w := f.world
		f.pack(t, "", "f43")
		run(t, w.Runner)
		spec := fmt.Sprintf("Name: hello\nVersion: 2.0\nRelease: 1%%{?dist}\nSummary: Says hello\nLicense: MIT\nSource0: %s/hello-%%{version}.tar.gz\n\n%%description\nHi.\n", f.archives.URL)
		files := map[string]string{
			"hello.spec":   spec,
			".packit.yaml": "specfile_path: hello.spec\njobs:\n- {job: propose_downstream, trigger: release, dist_git_branches: [rawhide, f43]}\ncopy_upstream_release_description: true\n",
		}
		if _, err := w.github.CreateRepo(t.Context(), "ada", "hello", files, githubfake.RepoOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.github.Install("ada"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.github.PublishRelease(t.Context(), "ada/hello", githubfake.NewRelease{Tag: "2.0", Body: "Says *hello* to all.\r\n* 100%{done}"}); err != nil {
			t.Fatal(err)
		}
		// GitHub sends several messages about a release; one of them is planned.
		event := w.decision(t, "the release", func(e *models.Event) bool { return e.Kind == models.ReleaseEvent && e.State == models.EventPlanned })
		p := f.ended(t, event)
		if diff := gocmp.Diff([]string{"propose_downstream rawhide passed", "propose_downstream f43 passed"}, outcomeOf(p)); diff != "" {
			t.Fatal(diff)
		}
		text, err := f.distGit.Bare("forks/packit/rpms/hello").ShowFile(t.Context(), "refs/heads/f43-update-propose_downstream", "hello.spec", 1<<20)
		if err != nil || !strings.Contains(string(text), " - 2.0-1\nSays *hello* to all.\n * 100%%{done}\n") {
			t.Errorf("the changelog does not say what the release said: %v\n%s", err, text)
		}
		want := []string{"f43 open: Update f43 to upstream release 2.0", "rawhide open: Update rawhide to upstream release 2.0"}
		if diff := gocmp.Diff(want, f.pulls(t)); diff != "" {
			t.Error(diff)
		}
		w.eventuallyChecks(t, "ada/hello", p.SHA, map[string]string{
			"propose-downstream:f43": "completed success", "propose-downstream:rawhide": "completed success",
		})
	})
}

// TestMergeIsOnTheWay: what a merge tells is a commit on the release's way, and
// an event that tells the same does nothing.
func TestMergeIsOnTheWay(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, f *fedora) {
		w := f.world
		f.pack(t, "jobs:\n- {job: pull_from_upstream, trigger: release}\n")
		run(t, w.Runner)
		f.announceVersions(t, "2.0")
		event := w.theEvent(t, models.UpstreamVersionEvent, 1)
		p := f.ended(t, event)
		number := p.Steps[0].Targets[0].Run.Data.PullNumber
		if _, err := f.distGit.MergePull(t.Context(), "rpms/hello", number, "maren"); err != nil {
			t.Fatal(err)
		}
		f.wayIs(t, event, []string{"rawhide +++...."})
		f.announceVersions(t, "2.0")
		twice := w.theEvent(t, models.UpstreamVersionEvent, 2)
		if twice.State != models.EventNothing || !strings.Contains(twice.Reason, "told of it already") {
			t.Errorf("the second news: %s, %s", twice.State, twice.Reason)
		}
	})
}

// TestAutomationWithoutAFile: what was switched on in the browser is planned like
// a file, and a file wins.
func TestAutomationWithoutAFile(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, f *fedora) {
		w := f.world
		f.pack(t, "")
		run(t, w.Runner)
		f.announceVersions(t, "1.1")
		if e := w.theEvent(t, models.UpstreamVersionEvent, 1); e.State != models.EventNothing || !strings.Contains(e.Reason, "nothing is switched on") {
			t.Fatalf("without anything: %s, %s", e.State, e.Reason)
		}
		project, err := w.Packages.Project("rpms/hello")
		if err != nil {
			t.Fatal(err)
		}
		err = w.Store.InTx(t.Context(), func(tx *store.Tx) error {
			if err := tx.EnsureProject(t.Context(), project); err != nil {
				return err
			}
			return tx.SaveAutomation(t.Context(), &models.Automation{
				ProjectID: project.ID, Package: "hello", Job: models.JobPullFromUpstream, Enabled: true, Source: models.FromBrowser,
				Settings: models.AutomationSettings{"dist_git_branches": []string{"rawhide"}, "create_sync_note": false},
			}, 0)
		})
		if err != nil {
			t.Fatal(err)
		}
		f.announceVersions(t, "1.2")
		event := w.theEvent(t, models.UpstreamVersionEvent, 2)
		p := f.ended(t, event)
		if diff := gocmp.Diff([]string{"pull_from_upstream rawhide passed"}, outcomeOf(p)); diff != "" {
			t.Fatal(diff)
		}
		view, err := p.Steps[0].View()
		if err != nil || view.Origin != "browser 1" || event.ConfigFile != "" || !strings.Contains(event.ConfigText, "pull_from_upstream") {
			t.Errorf("the job is from %q, %v; the config is %q", view.Origin, err, event.ConfigText)
		}
		if _, err := f.distGit.Commit(t.Context(), "rpms/hello", fakeforge.Change{Files: map[string]string{
			".packit.yaml": "jobs:\n- {job: pull_from_upstream, trigger: release, upstream_tag_include: '9'}\n",
		}}); err != nil {
			t.Fatal(err)
		}
		f.announceVersions(t, "1.3")
		last := w.theEvent(t, models.UpstreamVersionEvent, 3)
		if last.State != models.EventNothing || len(last.Decisions) != 2 || !strings.Contains(last.Decisions[1].Reason, ".packit.yaml") {
			t.Errorf("with a file: %s %+v", last.State, last.Decisions)
		}
	})
}

// TestMergedBeforeItWasKnown: of a pull request whose opening we did not live to
// note, and that somebody merged meanwhile, there is no second one.
func TestMergedBeforeItWasKnown(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, f *fedora) {
		w := f.world
		f.pack(t, "jobs:\n- {job: pull_from_upstream, trigger: release}\n")
		opened, merged := make(chan struct{}), make(chan struct{})
		w.Packages.DistGit = &forgetful{DistGit: w.Packages.DistGit, opened: opened, merged: merged}
		run(t, w.Runner)
		f.announceVersions(t, "2.0")
		event := w.theEvent(t, models.UpstreamVersionEvent, 1)
		<-opened
		_, err := f.distGit.MergePull(t.Context(), "rpms/hello", 1, "maren")
		close(merged)
		if err != nil {
			t.Fatal(err)
		}
		p := f.ended(t, event)
		if diff := gocmp.Diff([]string{"pull_from_upstream rawhide passed"}, outcomeOf(p)); diff != "" {
			t.Fatal(diff)
		}
		if got := f.pulls(t); len(got) != 1 || !strings.HasPrefix(got[0], "rawhide merged") {
			t.Errorf("the pull requests are %v", got)
		}
		f.wayIs(t, event, []string{"rawhide +++...."})
	})
}

// forgetful opens a pull request and loses the answer, once, when it was merged.
type forgetful struct {
	DistGit
	once           sync.Once
	opened, merged chan struct{}
}

func (f *forgetful) CreatePull(ctx context.Context, repo string, n forge.NewPull) (forge.PullRequest, error) {
	pull, err := f.DistGit.CreatePull(ctx, repo, n)
	f.once.Do(func() {
		close(f.opened)
		pull, err = forge.PullRequest{}, errors.New("the connection broke")
		<-f.merged
	})
	return pull, err
}

// overSSH has a forge say where in this machine's files its repositories are pushed
// to over SSH.
type overSSH struct {
	DistGit
	server *sshtest.Server
	forge  *fakeforge.Forge
}

func (o overSSH) PushURL(_ context.Context, repo, _ string) (string, error) {
	if owner, name, ok := strings.Cut(repo, "/"); ok && owner == "packit" { // as Forgejo calls it
		repo = "forks/packit/rpms/" + name
	}
	return o.server.URL(o.forge.Dir(repo)), nil
}

// TestProposeOverSSH: what is proposed is pushed with the key, and without a password;
// a key that is not taken is told of.
func TestProposeOverSSH(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	onForges(t, func(t *testing.T, f *fedora) {
		f.pack(t, "jobs:\n- {job: pull_from_upstream, trigger: release}\n")
		ssh := server.SSH
		f.Packages.DistGit, f.Packages.SSH, f.Packages.Password = overSSH{f.Packages.DistGit, server, f.distGit}, &ssh, ""
		run(t, f.Runner)
		f.announceVersions(t, "2.0")
		p := f.ended(t, f.theEvent(t, models.UpstreamVersionEvent, 1))
		if diff := gocmp.Diff([]string{"pull_from_upstream rawhide passed"}, outcomeOf(p)); diff != "" {
			t.Fatal(diff)
		}
		if diff := gocmp.Diff([]string{"rawhide open: Update rawhide to upstream release 2.0"}, f.pulls(t)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSSHKeyIsNotTaken(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	onSQLite(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, "jobs:\n- {job: pull_from_upstream, trigger: release}\n")
		ssh := server.SSH
		ssh.Key = server.NewKey(t, "stranger")
		f.Packages.DistGit, f.Packages.SSH = overSSH{f.Packages.DistGit, server, f.distGit}, &ssh
		run(t, w.Runner)
		f.announceVersions(t, "2.0")
		got := strings.Join(outcomeOf(f.ended(t, w.theEvent(t, models.UpstreamVersionEvent, 1))), "\n")
		if !strings.Contains(got, "rawhide error") || !strings.Contains(got, "Dist-git does not let us push to ssh://") || len(f.pulls(t)) != 0 {
			t.Errorf("it ends with %s", got)
		}
	})
}
