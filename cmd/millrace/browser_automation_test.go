package main

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"millrace/views/browsertest"
)

const (
	loomAutomation = "/packages/loom/automation"
	previewText    = `document.querySelector("#automation-preview").textContent.replace(/\s+/g, " ")`
	// previewInView says whether a preview can be seen without scrolling.
	previewInView = `document.querySelector("#automation-preview").getBoundingClientRect().top < innerHeight`
)

// storyAutomate switches a package on as its packager, with no file anywhere.
func storyAutomate(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	tab := b.Tab(t)
	logIn(t, tab, d, "pavel", loomAutomation)
	tab.Until(`document.querySelector("#automation-readiness").textContent.includes("loom.spec can be edited")`, "true")
	tab.Click("#switch-pull-from-upstream-on")
	tab.Click(`input[name="pull_from_upstream.dist_git_branches"][value="f44"]`)
	// The script shows what it would cause, also on a phone, where it is far below; nothing is saved.
	tab.Do(chromedp.EmulateViewport(390, 800))
	tab.Until(`document.querySelector("#automation-preview").getBoundingClientRect().top > innerHeight`, "true")
	tab.Click(`button[value="preview"]`)
	tab.Until(previewInView, "true")
	tab.Do(chromedp.EmulateViewport(1400, 900))
	tab.Until(previewText+`.includes("2 pull requests on f44, rawhide") || `+previewText+`.includes("2 pull requests on rawhide, f44")`, "true")
	tab.Until(previewText+`.includes("job: pull_from_upstream")`, "true")
	if got := tab.Value(`document.querySelectorAll('[aria-labelledby="history-head"] tbody tr').length`); got != "0" {
		t.Errorf("the preview saved %s versions", got)
	}
	tab.Follow(`button[value="save"]`)
	if got := tab.Value(`document.querySelector('[role="status"].note')?.textContent ?? ""`); !strings.Contains(got, "Saved.") {
		t.Errorf("after saving: %q", got)
	}
	if got := tab.Value(`document.querySelector('[aria-labelledby="sources-head"] li').textContent.replace(/\s+/g, " ")`); !strings.Contains(got, "in the browser, version 1, by pavel") {
		t.Errorf("in force: %q", got)
	}
}

// storyAutomateNoScript does the same for another package, with a mistake first,
// and switches it off again.
func storyAutomateNoScript(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	const page = "/packages/hello-world/automation"
	tab := b.Tab(t, "422")
	logIn(t, tab, d, "pavel", page)
	tab.Do(emulation.SetScriptExecutionDisabled(true))
	tab.Goto(d.URL + page)
	tab.Click("#switch-pull-from-upstream-on")
	tab.Click(`fieldset:first-of-type details.extra summary`)
	tab.Do(chromedp.SendKeys("#pull-from-upstream-version-update-specifiers", "about 3", chromedp.ByQuery))
	tab.Follow(`button[value="save"]`)
	if got := tab.Value(`document.querySelector("#pull-from-upstream-version-update-specifiers[aria-invalid]")?.value`); got != "about 3" {
		t.Fatalf("the mistake is kept as %q", got)
	}
	tab.Do(chromedp.EmulateViewport(390, 800))
	tab.Goto(d.URL + page)
	tab.Click("#switch-pull-from-upstream-on")
	tab.Follow(`button[value="preview"]`)
	tab.Until(previewInView, "true")
	if got := tab.Value(previewText); !strings.Contains(got, "1 pull request on rawhide") {
		t.Errorf("the preview says %s", got)
	}
	tab.Follow(`button[value="save"]`)
	tab.Follow(`button[value="off"]`)
	if got := tab.Value(`document.querySelectorAll('[aria-labelledby="history-head"] tbody tr').length`); got != "2" {
		t.Errorf("%s versions", got)
	}
	tab.Goto(d.URL + page + "/readiness")
	if got := tab.Value(`document.querySelector("#automation-readiness").textContent`); !strings.Contains(got, "Spec file") {
		t.Errorf("what it takes: %s", got)
	}
}
