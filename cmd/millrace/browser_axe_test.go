package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"millrace/views/browsertest"
)

// axePath is where scripts/test puts axe-core.
const axePath = "bin/axe/package/axe.min.js"

// readAxe is the script that looks for barriers. Where it is missing the test is
// skipped, unless CI=true says that it must be there.
func readAxe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(axePath)))
	switch {
	case err == nil:
		return string(text)
	case os.Getenv("CI") == "true":
		t.Fatalf("axe-core is missing; scripts/test fetches it: %v", err)
	default:
		t.Skipf("axe-core is missing; scripts/test fetches it: %v", err)
	}
	return ""
}

// lookForBarriers runs rules of axe-core: all of WCAG 2.2 AA and of good practice,
// or those about colours. The rest is the same in all colours.
const (
	lookForBarriers = `axe.run(document, { resultTypes: ["violations"], preload: false, runOnly: %s })`
	allRules        = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`
	colourRules     = `{ type: "rule", values: ["color-contrast", "link-in-text-block"] }`
	listBarriers    = `.then(r => JSON.stringify(r.violations.map(v => ({
	rule: v.id, help: v.help, nodes: v.nodes.slice(0, 4).map(n => n.target.join(" ") + ": " + n.failureSummary.replace(/\s+/g, " ")),
}))))`
)

type barrier struct {
	Rule, Help string
	Nodes      []string
}

// Every page, also as people see it who are logged in, in both themes, wide and narrow: axe-core finds nothing, and nothing
// is wider than the screen.
func storyAccessibility(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	axe := readAxe(t)
	tab := b.Tab(t, "404", "422")
	tab.Goto(d.Box + "/fedora/")
	tab.Follow(`form[action="/fedora-crafts/loom/release"] button`)
	failed := d.planned(t, "osbuild-demo/cauldron", d.open(t, "osbuild-demo/cauldron", "passes"))
	mono := d.open(t, "mill/monorepo", "passes")
	d.planned(t, "mill/monorepo", mono)
	d.ended(t, failed)
	running := d.open(t, helloRepo, "passes")
	now := d.planned(t, helloRepo, running)
	event := d.event(t, failed)
	pages := []string{
		d.URL + "/", d.URL + "/projects", d.URL + "/projects?q=nothing-has-this-name", d.projectPage(helloRepo), d.projectPage("packit/hello"),
		d.projectPage(helloRepo) + fmt.Sprintf("/-/pulls/%d", running),
		d.URL + "/pipelines", d.URL + "/pipelines?q=status:(", d.URL + "/pipelines?q=nothing-has-this-title",
		d.pipelinePage(now), d.pipelinePage(failed), d.pipelinePage(failed) + "?view=list", d.pipelinePage(failed) + "?view=time",
		d.pipelinePage(failed) + "/steps/copr_build", d.pipelinePage(failed) + "/steps/copr_build/epel-9-x86_64",
		d.pipelinePage(failed) + "/steps/tests/fedora-44-x86_64", d.pipelinePage(failed) + "/steps/tests/centos-stream-9-x86_64",
		d.pipelinePage(failed) + "/rerun", d.pipelinePage(failed) + "/rerun?scope=chosen&pick=srpm", d.pipelinePage(now) + "/rerun?scope=all&restart=yes",
		fmt.Sprintf("%s/pipelines/selected?do=rerun&id=%d&id=%d", d.URL, failed, now),
		d.URL + "/events", fmt.Sprintf("%s/events/%d", d.URL, event), d.URL + "/queue", d.URL + "/help", d.URL + "/nothing-here",
		d.URL + "/packages", d.URL + "/packages/loom/automation", d.URL + "/packages/loom/automation/readiness", d.URL + "/packages/hello-world/automation",
		d.URL + "/packages/-/automation?package=loom&package=no-such-package",
		d.Box + "/", d.Box + "/" + helloRepo, d.Box + fmt.Sprintf("/%s/pull/%d", helloRepo, running), d.Box + "/copr/", d.Box + "/testing-farm/",
		d.Box + "/bodhi/", d.Box + "/-/webhooks", d.Box + "/-/bus", d.Box + "/-/receiver", d.Box + "/-/mail", d.Box + "/nobody",
	}
	until(t, "the release is on its way", func() bool {
		var pkg struct {
			Releases []struct {
				URL      string `json:"html_url"`
				Branches []any
			}
		}
		getJSON(t, d.URL+"/api/v3/packages/loom", &pkg)
		if len(pkg.Releases) == 0 || len(pkg.Releases[0].Branches) == 0 {
			return false
		}
		pages = append(pages, pkg.Releases[0].URL, d.URL+"/packages/loom", d.URL+"/packages/almanac")
		return true
	})
	lookAt(t, tab, d, axe, pages)

	// Pages that are another thing to who is logged in, with something on them. What
	// other stories have their hooks and mail from is left alone.
	logIn(t, tab, d, "maren", "/packages")
	project := d.projectPage(helloRepo)
	tab.Goto(project)
	tab.Follow(`form[action$="/-/watch"] button`)
	tab.Goto(d.Box + "/-/receiver")
	tab.Follow(`a[href*="/` + helloRepo + `/-/settings/hooks"]`)
	tab.Follow(`form[action$="/-/settings/hooks"] button.go`)
	hooks := project + "/-/settings/hooks"
	tab.Goto(hooks)
	tab.Follow(`[aria-label="Hooks of the project"] th a`)
	hook := d.URL + tab.Path()
	tab.Follow(`form[action$="/test"] button`)
	tab.Until(`document.querySelector("#dispatch .kick").textContent.trim().startsWith("Arrived")`, "true")
	dispatch := d.URL + tab.Path()
	lookAt(t, tab, d, axe, []string{project, hooks, hook, dispatch, d.URL + "/settings/notifications", d.Box + "/-/receiver",
		d.URL + "/packages", d.URL + "/packages/loom", d.URL + "/packages/almanac/automation", d.URL + "/packages/-/automation?package=loom&package=almanac"})

	tab = b.Tab(t)
	logIn(t, tab, d, "olga", "/settings/accounts")
	lookAt(t, tab, d, axe, []string{d.URL + "/settings/accounts", d.URL + "/settings/tokens", d.URL + "/settings/notifications",
		d.pipelinePage(failed), d.pipelinePage(failed) + "/rerun?scope=failed", d.Box + "/accounts/",
		d.URL + "/admin/allowlist", d.URL + "/admin/audit", d.URL + "/admin/automation-list"})
}

// lookAt looks for barriers on each page, in both themes, wide and narrow.
func lookAt(t *testing.T, tab *browsertest.Tab, d *liveDemo, axe string, pages []string) {
	t.Helper()
	for _, page := range pages {
		tab.Goto(page)
		tab.Until(`document.querySelector("[data-js][hidden]") === null`, "true")
		// A page that changes while it is looked at has other faults.
		tab.Do(chromedp.Evaluate(`document.querySelector("#live-switch:not([hidden])")?.click(); document.querySelectorAll("[hx-trigger]").forEach(e => e.removeAttribute("hx-trigger")); scrollTo(0, 0)`, nil))
		tab.Do(chromedp.Evaluate(axe+"; 0", nil))
		for _, look := range []struct {
			theme, rules string
			width        int64
		}{{"light", allRules, 1400}, {"dark", colourRules, 1400}, {"dark", colourRules, 390}, {"light", allRules, 390}} {
			tab.Do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: look.theme}, {Name: "prefers-reduced-motion", Value: "reduce"}, // colours do not fade over
			}), chromedp.EmulateViewport(look.width, 900))
			where := fmt.Sprintf("%s, %s, %d px", strings.TrimPrefix(strings.TrimPrefix(page, d.URL), d.Box), look.theme, look.width)
			var found []barrier
			if err := json.Unmarshal([]byte(tab.Value(fmt.Sprintf(lookForBarriers, look.rules)+listBarriers)), &found); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			for _, f := range found {
				t.Errorf("%s: %s (%s)\n\t%s", where, f.Help, f.Rule, strings.Join(f.Nodes, "\n\t"))
			}
			if wide := tab.Value(`document.documentElement.scrollWidth - innerWidth`); wide != "0" && !strings.HasPrefix(wide, "-") {
				t.Errorf("%s: it is %s px wider than the screen", where, wide)
			}
		}
		// The live switch is remembered; the next page shall move again.
		tab.Do(chromedp.Evaluate(`try { localStorage.removeItem("live") } catch {}; 0`, nil))
	}
}

// event is the event that a pipeline was made for.
func (d *liveDemo) event(t *testing.T, pipeline int64) int64 {
	t.Helper()
	var p struct {
		Event int64 `json:"event_id"`
	}
	getJSON(t, fmt.Sprintf("%s/api/v3/pipelines/%d", d.URL, pipeline), &p)
	return p.Event
}
