package main

import (
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"millrace/views/browsertest"
)

// A person clicks in the box, follows the link, and watches.
func storyClick(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	tab := b.Tab(t)
	tab.Goto(d.Box + "/")
	clicked := time.Now()
	tab.Follow(`form[action="/packit/hello-world/open"] button[value="passes"]`)
	pullPage := tab.Value("location.href")
	pull, err := strconv.Atoi(path.Base(pullPage))
	if err != nil {
		t.Fatalf("the click leads to %s", pullPage)
	}
	id := d.planned(t, helloRepo, pull)
	t.Logf("the pipeline was there %v after the click", time.Since(clicked).Round(10*time.Millisecond))
	// The first check on the page of the pull request leads to Millrace.
	tab.Until(`document.querySelectorAll("#live-part .run").length > 0`, "true")
	tab.Follow(`#live-part .run a[href^="` + d.URL + `"]`)
	tab.Follow(`#run-head .sub a`)
	if got, want := tab.Path(), fmt.Sprintf("/pipelines/%d", id); got != want {
		t.Fatalf("the links lead to %s, want %s", got, want)
	}
	if got := tab.Value(`[document.querySelectorAll(".graph .step").length, document.querySelectorAll(".graph .chip").length, document.querySelectorAll("#pipeline-steps .line").length].join()`); got != "3,7,7" {
		t.Errorf("steps, targets in the graph, targets in the list = %s", got)
	}
	tab.Until(liveState, "on")
	tab.Do(chromedp.Evaluate(watchChips, nil))
	seen := tab.Value(stateWord)
	if seen == "Passed" {
		t.Fatal("it was over before anybody could look")
	}
	tab.Until(stateWord, "Passed")
	tab.Until(`document.querySelector("link[rel=icon]").href === new URL(document.querySelector("link[rel=icon]").dataset.passed, location).href`, "true")
	tab.Until(`document.querySelectorAll('.graph .chip[data-s="passed"]').length`, "7")
	if got := tab.Value(`window.changes > 2 && !performance.getEntriesByType("navigation").some(n => n.type === "reload")`); got != "true" {
		t.Errorf("the page changed %s times", tab.Value("window.changes"))
	}
	if early := tab.Value("window.early.join()"); early != "" {
		t.Errorf("tests began before their chroot was built: %s", early)
	}
	sameAsFresh(t, b, tab)
	testsFollowBuilds(t, d.pipeline(t, id))

	tab.Goto(pullPage)
	tab.Until(`document.querySelectorAll('#live-part .run [data-s="passed"]').length`, "6")
	names := tab.Value(`[...document.querySelectorAll("#live-part .run strong")].map(s => s.textContent).join()`)
	if want := "rpm-build:fedora-43-x86_64,rpm-build:fedora-44-x86_64,rpm-build:fedora-rawhide-x86_64,testing-farm:fedora-43-x86_64,testing-farm:fedora-44-x86_64,testing-farm:fedora-rawhide-x86_64"; names != want {
		t.Errorf("the checks are %s", names)
	}
}

// watchChips counts changes of the graph, and notes tests that are at work while
// their chroot is not built.
const watchChips = `(() => {
	window.changes = 0;
	window.early = [];
	const state = () => Object.fromEntries([...document.querySelectorAll(".graph .chip")].map(c => [c.querySelector("a").getAttribute("href").split("/steps/")[1], c.dataset.s]));
	let last = JSON.stringify(state());
	new MutationObserver(() => {
		const now = state(), text = JSON.stringify(now);
		if (text !== last) window.changes++;
		last = text;
		for (const [key, s] of Object.entries(now)) {
			const built = now[key.replace(/^tests/, "copr_build")];
			if (key.startsWith("tests") && ["running", "passed"].includes(s) && built !== "passed") window.early.push(key);
		}
	}).observe(document.querySelector("main"), { subtree: true, childList: true, attributes: true });
	return 0;
})()`

// testsFollowBuilds looks whether tests of a chroot began when that chroot was
// built: not before, and not all at once, when the last of them was.
func testsFollowBuilds(t *testing.T, p *pipelineJSON) {
	t.Helper()
	built := make(map[string]time.Time) // to the second, as Copr says it
	var queued []time.Time
	for _, step := range p.Steps {
		for _, target := range step.Targets {
			switch step.Kind {
			case "copr_build":
				built[target.Name] = target.Run.Finished
			case "tests":
				if target.Run.Queued.Before(built[target.Name]) {
					t.Errorf("tests in %s were queued before it was built", target.Name)
				}
				queued = append(queued, target.Run.Queued)
			}
		}
	}
	slices.SortFunc(queued, time.Time.Compare)
	if len(queued) != 3 || queued[2].Sub(queued[0]) < 5*time.Millisecond {
		t.Errorf("the tests were queued together, at %v", queued)
	}
}

// The connection breaks again and again while things happen; at the end the pages
// show what a fresh look shows.
func storyReplay(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	c := newCable(t, d.URL)
	// What cannot be fetched while the cable is cut is complained about.
	const cut, failed = "net::ERR_", "Failed to fetch"
	repo := "osbuild-demo/cauldron"
	first := d.open(t, repo, "passes")
	id := d.planned(t, repo, first)
	page, project := b.Tab(t, cut, failed), b.Tab(t, cut, failed)
	page.Goto(fmt.Sprintf("%s/pipelines/%d", c.URL, id))
	project.Goto(c.URL + "/projects/" + strings.TrimPrefix(d.Box, "http://") + "/" + repo)
	page.Until(liveState, "on")
	project.Until(liveState, "on")

	c.Cut()
	page.Until(liveState, "lost")
	second := d.planned(t, repo, d.open(t, repo, "passes"))
	until(t, "the source package", func() bool { return d.pipeline(t, id).Steps[0].State == "passed" })
	shown := page.Value(stateWord)
	c.Mend()
	page.Until(liveState, "on")
	c.Cut()
	page.Until(liveState, "lost")
	d.ended(t, id)
	if now := page.Value(stateWord); now != shown && !strings.HasPrefix(now, "Running") {
		t.Errorf("without a connection the page says %s", now)
	}
	d.ended(t, second)
	c.Mend()
	page.Until(stateWord, "Failed") // there is no EPEL 9 for it
	project.Until(liveState, "on")
	project.Until(fmt.Sprintf(`document.querySelectorAll('a[href="/pipelines/%d"]').length > 0`, second), "true")
	sameAsFresh(t, b, page)
	sameAsFresh(t, b, project, "#project-facts") // new rows of its lists come when they are asked for
}

// A paused page stands still, and so does the next one, until it is told to go on.
func storyPause(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	id := d.planned(t, helloRepo, d.open(t, helloRepo, "breaks-test"))
	tab := b.Tab(t)
	tab.Goto(d.pipelinePage(id))
	tab.Until(liveState, "on")
	tab.Click("#live-switch")
	tab.Until(liveState, "paused")
	before, word := tab.Value(asRead+`("main")`), tab.Value(stateWord)
	if word == "Failed" {
		t.Fatal("it was over before anybody could look")
	}
	d.ended(t, id)
	if tab.Value(asRead+`("main")`) != before {
		t.Error("a paused page has changed")
	}
	tab.Click("#live-switch")
	tab.Until(liveState, "on")
	tab.Until(stateWord, "Failed")
	sameAsFresh(t, b, tab)

	tab.Click("#live-switch")
	tab.Goto(d.URL + "/queue")
	tab.Until(liveState, "paused")
	tab.Click("#live-switch")
	tab.Until(liveState, "on")
}

// The service dies in the middle and comes back; the page that was open all the
// time shows the end, and nothing was done twice.
func storyKilled(t *testing.T, b *browsertest.Browser, shared *liveDemo) {
	d := startDemo(t, shared.program, t.TempDir())
	tab := b.Tab(t, "net::ERR_", "Failed to fetch", "502", "503")
	id := d.planned(t, helloRepo, d.open(t, helloRepo, "passes"))
	tab.Goto(d.pipelinePage(id))
	tab.Until(liveState, "on")
	tab.Do(chromedp.Evaluate("window.kept = true", nil))
	for _, kind := range []string{"srpm", "copr_build"} {
		until(t, kind+" begins", func() bool {
			for _, s := range d.pipeline(t, id).Steps {
				// What it says while the service is away is made up for in one go.
				if s.Kind == kind && s.State != "waiting" && s.State != "queued" {
					return true
				}
			}
			return false
		})
		was := d.URL
		d.process.Process.Kill()
		d.process.Wait() // it was killed
		tab.Until(liveState, "lost")
		d.start(t)
		if d.URL != was {
			t.Fatalf("it came back at %s, and was at %s", d.URL, was)
		}
		tab.Until(liveState, "on")
	}
	p := d.ended(t, id)
	tab.Until(stateWord, "Passed")
	if got := tab.Value("window.kept"); got != "true" {
		t.Error("the page was loaded again")
	}
	sameAsFresh(t, b, tab)
	external := make(map[string]map[string]bool)
	for _, s := range p.Steps {
		external[s.Kind] = make(map[string]bool)
		for _, target := range s.Targets {
			if target.Run.State != "passed" {
				t.Errorf("%s in %s is %s", s.Kind, target.Name, target.Run.State)
			}
			external[s.Kind][target.Run.ExternalID] = true
		}
	}
	if len(external["copr_build"]) != 1 || len(external["tests"]) != 3 {
		t.Errorf("submissions: %v", external)
	}
	tab.Goto(d.Box + "/copr/")
	if got := tab.Value(`document.querySelectorAll('main a[href*="/copr/coprs/build/"]').length`); got == "0" {
		t.Error("Copr lists no build")
	}
}

// A person clones, commits, pushes, and opens a pull request for real.
func storyClone(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.org"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("clone", "--quiet", d.Box+"/"+helloRepo+".git", ".")
	run("switch", "--quiet", "-c", "evening")
	run("commit", "--quiet", "--allow-empty", "-m", "Greet in the evening")
	run("push", "--quiet", "origin", "evening")
	sha := run("rev-parse", "HEAD")

	tab := b.Tab(t)
	tab.Goto(d.Box + "/" + helloRepo)
	tab.Do(chromedp.SendKeys("#title-evening", "Good evening", chromedp.ByQuery))
	tab.Follow(`form.join:has(#title-evening) button`)
	pull, err := strconv.Atoi(path.Base(tab.Path()))
	if err != nil {
		t.Fatalf("the form leads to %s", tab.Path())
	}
	id := d.planned(t, helloRepo, pull)
	if got := d.pipeline(t, id).SHA; got != sha {
		t.Errorf("the pipeline is about %s, want %s", got, sha)
	}
	tab.Goto(d.pipelinePage(id))
	tab.Until(`document.querySelector("h1").textContent`, "Good evening")

	// A push makes a new pipeline, and ends the old one.
	run("commit", "--quiet", "--allow-empty", "-m", "Greet again")
	run("push", "--quiet", "origin", "evening")
	tab.Until(stateWord, "Superseded")
	tab.Until(`document.querySelector("#pipeline-facts").textContent.includes("Superseded by")`, "true")
	tab.Follow(`#pipeline-facts a[href^="/pipelines/"]`)
	tab.Until(liveState, "on")
	tab.Until(stateWord, "Passed")
}

// Pages that were left keep no connection: the seventh loads as fast as the first,
// and one that is come back to is live again.
func storyManyPages(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	tab := b.Tab(t)
	for range 3 {
		for _, place := range []string{"/", "/pipelines", "/queue", "/events", "/pipelines/1"} {
			begun := time.Now()
			tab.Goto(d.URL + place)
			tab.Until(liveState, "on")
			if took := time.Since(begun); took > 15*time.Second {
				t.Fatalf("%s took %v", place, took)
			}
		}
	}
	tab.Do(chromedp.Evaluate("history.back(); 0", nil)) // it may be kept, and then not load
	tab.Until("location.pathname", "/events")
	tab.Until(liveState, "on")
}
