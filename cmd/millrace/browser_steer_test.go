package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"millrace/views/browsertest"
)

// logIn goes through the accounts of the box, from a page and back to it.
func logIn(t *testing.T, tab *browsertest.Tab, d *liveDemo, person, back string) {
	t.Helper()
	tab.Goto(d.URL + "/login?back=" + back)
	tab.Follow(fmt.Sprintf(`a[href*="person=%s"]`, person))
	tab.Follow(`form[action*="/accounts/login"] button`)
	if got := tab.Path(); got != back {
		t.Fatalf("the login leads to %s, want %s", got, back)
	}
}

// failedCauldron is a pipeline one of whose builds failed.
func failedCauldron(t *testing.T, d *liveDemo) int64 {
	t.Helper()
	id := d.planned(t, "osbuild-demo/cauldron", d.open(t, "osbuild-demo/cauldron", "passes"))
	if p := d.ended(t, id); p.State != "failed" {
		t.Fatalf("the pipeline is %s", p.State)
	}
	return id
}

// reusedTargets are those of the pipeline's page that an earlier attempt made.
const reusedTargets = `[...document.querySelectorAll("#pipeline-steps .line")].filter(l => l.textContent.includes("reused from attempt 1")).length`

// Somebody logs in, reruns what failed from the page, and sees only that run, with
// what follows; who looks at the old attempt hears of the new one.
func storySteer(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	id := failedCauldron(t, d)
	page := fmt.Sprintf("/pipelines/%d", id)
	old, tab := b.Tab(t), b.Tab(t)
	old.Goto(d.URL + page)
	old.Until(liveState, "on")
	logIn(t, tab, d, "olga", page)
	tab.Click("#rerun-menu summary")
	tab.Follow(`#rerun-menu a[href$="scope=failed"]`)
	if got := tab.Value(`[...document.querySelectorAll('[aria-labelledby="run-list"] tbody tr')].map(r => r.children[1].textContent.trim()).join()`); got != "epel-9-x86_64,centos-stream-9-x86_64" {
		t.Errorf("what would run: %s", got)
	}
	// The script shows at once what another choice does.
	tab.Click(`input[name="config"][value="current"]`)
	tab.Until(`document.querySelector("#diff-head") !== null && document.querySelector('input[name="config"][value="current"]').checked`, "true")
	tab.Click(`input[name="config"][value="event"]`)
	tab.Until(`document.querySelector("#diff-head") === null`, "true")
	tab.Follow("#rerun button.go")
	next := tab.Path()
	if next == page || !strings.HasPrefix(next, "/pipelines/") {
		t.Fatalf("the button leads to %s", next)
	}
	if got := tab.Value(reusedTargets + ` + " of " + document.querySelectorAll("#pipeline-steps .line").length`); got != "5 of 7" {
		t.Errorf("reused: %s", got)
	}
	if got := tab.Value(`[...document.querySelectorAll('nav.tabs a[href^="/pipelines/"] ')].filter(a => a.textContent.includes("Attempt")).length`); got != "2" {
		t.Errorf("%s attempts", got)
	}
	// An open menu stays open while the page moves, and the old page has heard.
	tab.Click("#rerun-menu summary")
	tab.Until(stateWord, "Passed")
	if got := tab.Value(`document.querySelector("#rerun-menu").open`); got != "true" {
		t.Error("the menu closed by itself")
	}
	old.Until(`document.querySelector("#pipeline-head .note")?.textContent.includes("Attempt 2 exists") ?? false`, "true")
	if got := old.Path(); got != page {
		t.Errorf("the old page went to %s by itself", got)
	}
	// So does a mark in the list.
	tab.Goto(d.URL + "/pipelines")
	tab.Until(liveState, "on")
	tab.Click(`#pipelines-list input[name="id"]`)
	d.planned(t, helloRepo, d.open(t, helloRepo, "passes"))
	tab.Until(`[...document.querySelectorAll("#pipelines-list a")].some(a => a.textContent.includes("new, show"))`, "true")
	if got := tab.Value(`document.querySelectorAll('#pipelines-list input[name="id"]:checked').length`); got != "1" {
		t.Errorf("%s marks are left", got)
	}
}

// Who may not sees the buttons, why they do nothing, and what to do; who is not
// logged in is led through the login and back.
func storyNoRight(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	id := failedCauldron(t, d)
	page := fmt.Sprintf("/pipelines/%d", id)
	tab := b.Tab(t)
	tab.Goto(d.URL + page)
	if got := tab.Value(`document.querySelector(".title .btns a.btn").textContent.trim()`); got != "Log in to rerun" {
		t.Errorf("without a login the button says %q", got)
	}
	logIn(t, tab, d, "nils", page)
	if got := tab.Value(`(() => { const b = document.querySelector(".title .btns button"); return b.disabled + " " + document.getElementById(b.getAttribute("aria-describedby")).textContent.trim() })()`); !strings.HasPrefix(got, "true Rerun: ") || !strings.Contains(got, "osbuild-demo/cauldron") {
		t.Errorf("the button and its reason: %s", got)
	}
	tab.Goto(d.URL + page + "/rerun?scope=failed")
	if got := tab.Value(`document.querySelector("#rerun button.go").disabled`); got != "true" {
		t.Error("the preview offers what nils may not")
	}
}

// All of it without scripts: choose, look, rerun, cancel; several at once.
func storySteerNoScript(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	id := failedCauldron(t, d)
	page := fmt.Sprintf("/pipelines/%d", id)
	tab := b.Tab(t)
	logIn(t, tab, d, "olga", page)
	tab.Do(emulation.SetScriptExecutionDisabled(true))
	tab.Goto(d.URL + page)
	tab.Click("#rerun-menu summary")
	tab.Follow(`#rerun-menu a[href*="scope=chosen"]`)
	tab.Click(`input[name="pick"][value="tests/fedora-44-x86_64"]`)
	tab.Follow(`button[formmethod="get"]`)
	if got := tab.Value(`document.querySelector("#rerun button.go").textContent.trim()`); got != "Rerun 1 run" {
		t.Errorf("the button says %s", got)
	}
	tab.Follow("#rerun button.go")
	if got := tab.Value(reusedTargets); got != "6" {
		t.Errorf("%s targets are reused", got)
	}
	tab.Goto(d.URL + "/pipelines?q=pr:1&project=osbuild-demo/cauldron")
	tab.Click(`#pipelines-list input[name="id"]`)
	tab.Follow(`#pipelines-list button[value="rerun"]`)
	if got := tab.Path(); got != "/pipelines/selected" {
		t.Errorf("the marked lead to %s", got)
	}
}
