package main

import (
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/box"
	"millrace/clients/bodhi"
	"millrace/clients/bodhi/bodhifake"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

const (
	chainKills    = 6
	chainUpstream = "packit/hello-world"
	chainPackage  = "rpms/hello-world"
	// chainPatience is for how long each part of the way may take; it takes seconds
	// where the machine has nothing else to do.
	chainPatience = 3 * time.Minute
)

var chainBranches = []string{"epel9", "f43", "f44", "f45", "rawhide"}

// TestChainCrashes kills the service by SIGKILL while a release goes its way, from
// upstream through dist-git and Koji to Bodhi, and then counts there: nothing may
// be done twice, and nothing be missing.
func TestChainCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	program := buildProgram(t)
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		crashChain(t, program, storetest.SQLiteAddress(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		crashChain(t, program, storetest.PostgresAddress(t))
	})
}

// chain is a service that is killed, with a box that outlives it.
type chain struct {
	victim
	box *box.Box
}

func crashChain(t *testing.T, program, database string) {
	c := &chain{victim: victim{t: t, program: program, log: new(lockedBuffer), base: "http://" + freeAddress(t)}}
	var err error
	c.box, err = box.Start(t.Context(), box.Options{Dir: t.TempDir(), ServiceURL: c.base, Builds: box.BuildsSimulated})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.box.Close() })
	c.env = c.environment(database)
	c.command("migrate")
	c.command("allow", hostOf(c.box.URL())+"/packit")
	c.command("allow", hostOf(c.box.Access().DistGitURL)+"/rpms")
	c.start()
	defer c.stop()
	c.await(time.Minute)

	release, err := c.box.Release(t.Context(), chainUpstream)
	if err != nil {
		t.Fatal(err)
	}
	c.until("the release is told", c.told)
	c.killed(func() {
		c.until("everything is proposed", func() bool { return c.passed() == 1 })
		c.merge()
	})
	c.killed(func() {
		c.until("all updates are made", func() bool { return len(c.box.Bodhi.Updates()) >= len(chainBranches) })
	})
	c.until("all updates are stable", c.stable)
	c.until("all pipelines have passed", func() bool { return c.passed() == 2*len(chainBranches) })
	c.quiet()
	c.judge(database, release.Tag)
}

// environment points the service at the box.
func (c *chain) environment(database string) []string {
	a := c.box.Access()
	key := filepath.Join(c.t.TempDir(), "key.pem")
	if err := os.WriteFile(key, a.AppKey, 0o600); err != nil {
		c.t.Fatal(err)
	}
	env := os.Environ()
	for name, value := range map[string]string{
		"LISTEN": strings.TrimPrefix(c.base, "http://"), "BASE_URL": c.base, "DATABASE": database, "DATA_DIR": c.t.TempDir(), "LOG_LEVEL": "warn",
		"GITHUB_HOST": hostOf(a.URL), "GITHUB_API_URL": a.GitHubAPI, "GITHUB_APP_ID": strconv.FormatInt(a.AppID, 10),
		"GITHUB_PRIVATE_KEY": "@" + key, "GITHUB_WEBHOOK_SECRETS": a.WebhookSecret, "BUS_TOKENS": a.BusToken,
		"COPR_URL": a.CoprURL, "TESTING_FARM_URL": a.TestingFarmURL,
		"DISTGIT_URL": a.DistGitURL, "DISTGIT_USER": a.PackagesUser, "DISTGIT_TOKEN": a.PackagesToken,
		"LOOKASIDE_URL": a.LookasideURL, "BUGZILLA_URL": a.BugzillaURL, "KERBEROS_TOKEN": a.KerberosToken, "ALLOW_PRIVATE_SOURCES": "true",
		"KOJI_HUB_URL": a.KojiHubURL, "KOJI_WEB_URL": a.KojiWebURL, "KOJI_FILES_URL": a.KojiFilesURL,
		"BODHI_URL": a.BodhiURL, "BODHI_USER": a.PackagesUser, "BODHI_ISSUER": a.BodhiIssuer,
		"WORKERS_LEASE": "2s", "WORKERS_SWEEP": "200ms", "WORKERS_DOUBT": "500ms", "WORKERS_FIRST_POLL": "1s",
		"WORKERS_LONGEST_POLL": "2s", "WORKERS_FIRST_RETRY": "200ms", "WORKERS_LONGEST_RETRY": "2s", "WORKERS_TRIES": "50",
	} {
		env = append(env, "MILLRACE_"+name+"="+value)
	}
	return env
}

func (c *chain) until(what string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(chainPatience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("it has not come to this: %s\n%s", what, c.log.tail(4000))
		}
	}
}

// told reports whether the service has taken what the forge says, which says it
// again to a service that was away.
func (c *chain) told() bool {
	all := true
	for _, d := range c.box.Forge.Deliveries() {
		if d.Event != "release" || d.State == "delivered" {
			continue
		}
		all = false
		if d.State != "pending" {
			if err := c.box.Forge.Redeliver(d.ID); err != nil {
				c.t.Error(err)
			}
		}
	}
	return all
}

// killed has the service killed again and again while a part of the way is gone.
func (c *chain) killed(part func()) {
	kills := make(chan struct{})
	go func() { // ends after its kills, which are waited for below
		defer close(kills)
		for range chainKills / 2 {
			time.Sleep(time.Duration(300+mathrand.IntN(1500)) * time.Millisecond)
			c.kill()
			c.start()
		}
	}()
	defer func() { <-kills }()
	part()
}

// merge merges all pull requests.
func (c *chain) merge() {
	pulls, err := c.box.Packages.Pulls(chainPackage)
	if err != nil {
		c.t.Error(err)
	}
	for _, p := range pulls {
		if _, err := c.box.Packages.MergePull(c.t.Context(), chainPackage, p.Number, "visitor"); err != nil {
			c.t.Errorf("merging pull request %d: %v", p.Number, err)
		}
	}
}

// stable lets weeks pass once all updates are there, and reports whether they are
// stable.
func (c *chain) stable() bool {
	updates := c.box.Bodhi.Updates()
	if len(updates) < len(chainBranches) {
		return false
	}
	if err := c.box.Pass(7 * 24 * time.Hour); err != nil {
		c.t.Error(err)
	}
	return !slices.ContainsFunc(updates, func(u bodhifake.Update) bool { return u.Status != bodhi.Stable })
}

// passed counts the pipelines that have passed; what else there is fails the test
// at its end.
func (c *chain) passed() int {
	res, err := http.Get(c.base + "/api/v3/pipelines?limit=100")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	var list struct{ Items []struct{ State string } }
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		return 0
	}
	passed := 0
	for _, p := range list.Items {
		if p.State == string(models.Passed) {
			passed++
		}
	}
	return passed
}

// judge looks at what the world saw, and at what the service has of it.
func (c *chain) judge(database, version string) {
	t := c.t
	t.Helper()
	pulls, err := c.box.Packages.Pulls(chainPackage)
	if err != nil {
		t.Fatal(err)
	}
	var to, built, updated []string
	for _, p := range pulls {
		to = append(to, p.Branch)
	}
	for _, task := range c.box.Koji.Tasks() {
		if task.Parent == 0 && task.Method == "build" {
			built = append(built, fmt.Sprint(task.Request[1]))
		}
	}
	for _, u := range c.box.Bodhi.Updates() {
		updated = append(updated, u.Builds...)
	}
	releases := map[string]string{"epel9": "el9", "f43": "fc43", "f44": "fc44", "f45": "fc45", "rawhide": "fc46"}
	var targets, builds []string
	for _, branch := range chainBranches {
		targets = append(targets, strings.Replace(branch+"-candidate", "rawhide-candidate", "rawhide", 1))
		builds = append(builds, "hello-world-"+version+"-1."+releases[branch])
	}
	for what, found := range map[string][2][]string{"pull requests to": {to, chainBranches}, "builds for": {built, targets}, "updates with": {updated, builds}} {
		slices.Sort(found[0])
		slices.Sort(found[1])
		if !slices.Equal(found[0], found[1]) {
			t.Errorf("%s %v, want %v", what, found[0], found[1])
		}
	}
	c.stop()
	c.judgeWay(database, version)
}

// judgeWay looks whether the service knows the whole way.
func (c *chain) judgeWay(database, version string) {
	t := c.t
	db, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	upstream, err := db.ProjectAtPath(t.Context(), hostOf(c.box.URL())+"/"+chainUpstream)
	if err != nil {
		t.Fatal(err)
	}
	release, err := db.Product(t.Context(), models.ReleaseRefOf(upstream, version))
	if err != nil {
		t.Fatal(err)
	}
	ways, err := db.Ways(t.Context(), []*models.Product{release})
	if err != nil {
		t.Fatal(err)
	}
	if len(ways[0].Rows) != len(chainBranches) {
		t.Errorf("the way has %d branches, want %d", len(ways[0].Rows), len(chainBranches))
	}
	for _, row := range ways[0].Rows {
		for stage := models.UpstreamStage; stage <= models.UpdateStage; stage++ {
			if row.Cells[stage].State != models.CellDone {
				t.Errorf("on %s, stage %d is %s", row.Branch, stage, row.Cells[stage].State)
			}
		}
	}
}
