package jobs

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/forge/forgetest"
	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// chain is the world of packages: dist-git, Koji and Bodhi, and a runner in it.
type chain struct {
	*world
	distgit *fakeforge.Forge
	forge   *forgetest.Server // that has the packages of distgit
	builds  *kojifake.Fake
	updates *bodhifake.Server
	lost    func(topic string) bool // messages that never come; nil: none
	quiet   atomic.Bool             // dist-git tells nothing
	pace    kojifake.Pace
}

var chainReleases = models.Releases{
	{Name: "F45", LongName: "Fedora 45", Version: "45", IDPrefix: "FEDORA", Branch: "rawhide", State: "pending"},
	{Name: "F44", LongName: "Fedora 44", Version: "44", IDPrefix: "FEDORA", Branch: "f44", State: "current"},
	{Name: "F43", LongName: "Fedora 43", Version: "43", IDPrefix: "FEDORA", Branch: "f43", State: "current"},
}

// newChain starts dist-git, Koji and Bodhi beside the world's other services. Their
// messages come at once.
func newChain(t *testing.T, s *store.Store) *chain {
	t.Helper()
	return newChainOn(t, s, forgetest.Pagure)
}

func newChainOn(t *testing.T, s *store.Store, forge forgetest.Forge) *chain {
	t.Helper()
	c := &chain{world: newWorld(t, s)}
	c.pace = kojifake.Pace{Queue: 10 * time.Millisecond, SRPM: 20 * time.Millisecond, Arch: 40 * time.Millisecond, Tag: 10 * time.Millisecond}
	c.AllowAll = true
	publish := func(topic string, body []byte) {
		if c.lost != nil && c.lost(topic) || c.quiet.Load() && ofPackages(topic) {
			return
		}
		d := &models.Delivery{Source: models.FromBus, Key: rand.Text(), Type: topic, Body: body}
		if _, err := c.Accept(context.Background(), d); err != nil {
			c.Log.Error("publishing", "error", err)
		}
	}
	c.startDistGit(t, forge, publish)
	c.startKoji(t, publish)
	c.startBodhi(t, publish)
	return c
}

// ofPackages reports whether a message is one of the forge of packages.
func ofPackages(topic string) bool {
	return strings.Contains(topic, ".pagure.") || strings.Contains(topic, ".forgejo.")
}

func (c *chain) startDistGit(t *testing.T, forge forgetest.Forge, publish func(string, []byte)) {
	t.Helper()
	f, err := fakeforge.New(fakeforge.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	if err := f.SetToken("a-secret", fakeforge.Token{Login: "packit"}); err != nil {
		t.Fatal(err)
	}
	c.distgit = f
	c.forge = forgetest.Serve(t, forge, f, forgetest.Options{Token: "a-secret", Publish: publish, Admins: []string{"packit"}})
	url := c.forge.URL
	c.Parser.Bus.DistGit = url
	c.Packages = &Packages{DistGit: c.forge.Client, Host: host(t, url), URL: url, User: "packit", Password: "a-secret"}
	c.Forges[c.Packages.Host] = PackagesForge{Packages: c.Packages}
}

func (c *chain) startKoji(t *testing.T, publish func(string, []byte)) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	f, err := kojifake.New(kojifake.Options{
		BaseURL: url, Publish: publish, Source: kojifake.FromGit(&git.Git{}, t.TempDir()),
		Pace: c.pace,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = f
	server.Start()
	t.Cleanup(func() {
		server.Close()
		f.Close()
	})
	c.builds = f
	c.Runner.Koji = &Koji{
		Client:   &koji.Client{HubURL: url + "/kojihub", WebURL: url + "/koji", FilesURL: url, Negotiate: kojifake.Negotiate("packit")},
		Engine:   c.Engine,
		Packages: c.Packages, Forge: c.Runner.Forge, Releases: c.Runner.Releases,
	}
	c.Kinds[models.KojiBuildStep] = &KojiBuild{c.Runner.Koji}
}

func (c *chain) startBodhi(t *testing.T, publish func(string, []byte)) {
	t.Helper()
	c.updates = c.world.bodhi
	c.updates.SetReleases(chainReleases)
	c.updates.Publish = publish
	c.updates.Tags = func(nvr string) ([]string, bool) {
		tags, err := c.Runner.Koji.Client.TagsOf(context.Background(), nvr)
		return tags, err == nil
	}
	c.updates.Tagged = func(tag string) ([]string, bool) {
		builds, err := c.Runner.Koji.Client.Tagged(context.Background(), tag, koji.TaggedFilter{})
		var nvrs []string
		for _, b := range newestBuilds(builds) {
			nvrs = append(nvrs, b.NVR)
		}
		return nvrs, err == nil
	}
	c.Bodhi.Account = &bodhi.Account{
		Issuer:    c.Bodhi.BaseURL + "/openidc",
		Negotiate: bodhifake.Negotiate("packit"),
	}
	c.Kinds[models.BodhiUpdateStep] = &BodhiUpdate{Koji: c.Runner.Koji, Client: c.Bodhi, User: "packit"}
}

// eachChain runs f in such a world on each database, and with packages on each forge.
func eachChain(t *testing.T, f func(t *testing.T, c *chain)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) { f(t, newChain(t, s)) })
	t.Run("forgejo", func(t *testing.T) {
		t.Parallel()
		f(t, newChainOn(t, storetest.SQLite(t), forgetest.Forgejo))
	})
}

func specOf(name, version string) string {
	return "Name: " + name + "\nVersion: " + version + "\nRelease: 1%{?dist}\nSummary: x\nLicense: MIT\n%description\nx\n"
}

// pack makes a package with the branches rawhide and f43, of which nobody hears.
func (c *chain) pack(t *testing.T, name, config string) {
	t.Helper()
	c.quiet.Store(true)
	defer c.quiet.Store(false)
	repo := "rpms/" + name
	if err := c.distgit.CreateRepo(t.Context(), repo, "ada"); err != nil {
		t.Fatal(err)
	}
	c.commit(t, name, "rawhide", map[string]string{name + ".spec": specOf(name, "1"), ".packit.yaml": config})
	if err := c.distgit.Branch(t.Context(), repo, "f43", ""); err != nil {
		t.Fatal(err)
	}
}

func (c *chain) commit(t *testing.T, name, branch string, files map[string]string) string {
	t.Helper()
	sha, err := c.distgit.Commit(t.Context(), "rpms/"+name, fakeforge.Change{Branch: branch, Author: "ada", Message: "Change it", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

// planned waits for the decision about an event of a kind in a package, and returns
// its only pipeline.
func (c *chain) planned(t *testing.T, kind models.EventKind, name string, matches func(*models.Event) bool) int64 {
	t.Helper()
	e := c.decision(t, fmt.Sprintf("a %s of %s", kind, name), func(e *models.Event) bool {
		return e.Kind == kind && e.Project != nil && e.Project.Name == name && (matches == nil || matches(e)) && e.State == models.EventPlanned
	})
	if len(e.Pipelines) != 1 {
		t.Fatalf("the %s of %s is %s (%s) with %d pipelines: %+v", kind, name, e.State, e.Reason, len(e.Pipelines), e.Decisions)
	}
	return e.Pipelines[0].ID
}

// pushed is the pipeline of a push.
func (c *chain) pushed(t *testing.T, name, sha string) int64 {
	return c.planned(t, models.PushEvent, name, func(e *models.Event) bool { return e.Message.Commit == sha })
}

// planOfBuild is the pipeline of what came of a complete build.
func (c *chain) planOfBuild(t *testing.T, name, nvr string) int64 {
	return c.planned(t, models.KojiBuildEvent, name, func(e *models.Event) bool { return e.Message.NVR == nvr })
}

// pipelinesOf counts the pipelines with a step of a kind.
func (c *chain) pipelinesOf(t *testing.T, kind models.StepKind) int {
	t.Helper()
	n := 0
	for id := int64(1); id < 100; id++ {
		p, err := c.Store.Pipeline(t.Context(), id)
		if err == nil && slices.ContainsFunc(p.Steps, func(s *models.Step) bool { return s.Kind == kind }) {
			n++
		}
	}
	return n
}

// soonProduct waits for a product as it shall be.
func (c *chain) soonProduct(t *testing.T, ref models.ProductRef, ok func(p *models.Product) bool) *models.Product {
	t.Helper()
	var found *models.Product
	soon(t, ref.Key, func() (bool, any) {
		p, err := c.Store.Product(t.Context(), ref)
		if err != nil {
			return false, err
		}
		found = p
		return ok(p), fmt.Sprintf("%+v", p)
	})
	return found
}

func (c *chain) project(t *testing.T, name string) *models.Project {
	t.Helper()
	p, err := c.Packages.Project("rpms/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const chainConfig = `
jobs:
- {job: koji_build, trigger: commit, dist_git_branches: [fedora-all], allowed_committers: [ada]}
- {job: bodhi_update, trigger: koji_build, dist_git_branches: [fedora-all]}
`

// TestPushBecomesAnUpdate is the chain's second half: a push is built, the build is
// made an update, the update becomes stable, and each followed from the one before.
func TestPushBecomesAnUpdate(t *testing.T) {
	t.Parallel()
	eachChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "hello", chainConfig)
		run(t, c.Runner)
		sha := c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		build := c.pushed(t, "hello", sha)
		eventually(t, c.Runner, build, map[string]models.State{"pipeline": models.Passed, "koji_build f43": models.Passed})
		data := c.pipeline(t, build).Steps[0].Targets[0].Run.Data
		if data.NVR != "hello-2-1.fc43" || data.Commit != sha {
			t.Errorf("built: %+v", data)
		}
		update := c.planOfBuild(t, "hello", "hello-2-1.fc43")
		eventually(t, c.Runner, update, map[string]models.State{"bodhi_update f43": models.Passed})
		made := c.updates.Updates()
		if len(made) != 1 || !slices.Equal(made[0].Builds, []string{"hello-2-1.fc43"}) || made[0].Type != "enhancement" ||
			!strings.HasPrefix(made[0].Notes, "Automatic update for hello-2-1.fc43.") {
			t.Fatalf("updates: %+v", made)
		}
		if err := c.updates.Advance(9 * 24 * time.Hour); err != nil {
			t.Fatal(err)
		}
		c.soonProduct(t, models.UpdateRefOf(made[0].Alias), func(p *models.Product) bool { return p.State == models.ProductStable })
		project := c.project(t, "hello")
		commit := c.soonProduct(t, models.CommitRefOf(project, "f43", sha), func(*models.Product) bool { return true })
		way, err := c.Store.WayProducts(t.Context(), commit.ID)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []models.ProductKind
		for _, p := range way {
			kinds = append(kinds, p.Kind)
		}
		if want := []models.ProductKind{models.CommitProduct, models.BuildProduct, models.UpdateProduct}; !slices.Equal(kinds, want) {
			t.Errorf("the way has %v, want %v", kinds, want)
		}
		facts, err := c.rerunFacts(t.Context(), c.pipeline(t, build))
		if err != nil {
			t.Fatal(err)
		}
		if got := facts.Fixed[c.pipeline(t, build).Steps[0].Targets[0].RunID]; !strings.Contains(got, "hello-2-1.fc43") {
			t.Errorf("a build may be repeated: %q", got)
		}
	})
}

// TestNoMessageComes: what Koji, dist-git and Bodhi do not tell is found out, once.
func TestNoMessageComes(t *testing.T) {
	t.Parallel()
	eachChain(t, func(t *testing.T, c *chain) {
		c.lost = func(topic string) bool { return !ofPackages(topic) }
		c.pack(t, "hello", chainConfig)
		run(t, c.Runner)
		sha := c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		eventually(t, c.Runner, c.pushed(t, "hello", sha), map[string]models.State{"pipeline": models.Passed})
		update := c.planOfBuild(t, "hello", "hello-2-1.fc43")
		eventually(t, c.Runner, update, map[string]models.State{"bodhi_update f43": models.Passed})
		if e := c.pipeline(t, update).Event; e.Delivery != nil && e.Delivery.Source != models.FromPoll {
			t.Errorf("the event came from %s", e.Delivery.Source)
		}
		alias := c.updates.Updates()[0].Alias
		if err := c.updates.Advance(9 * 24 * time.Hour); err != nil {
			t.Fatal(err)
		}
		c.soonProduct(t, models.UpdateRefOf(alias), func(p *models.Product) bool { return p.State == models.ProductStable })
		if n := c.pipelinesOf(t, models.BodhiUpdateStep); n != 1 {
			t.Errorf("%d plans of an update", n)
		}
	})
}

func specNamed(name, version string) kojifake.Spec {
	return kojifake.Spec{Name: name, Version: version, Release: "1.fc43"}
}
