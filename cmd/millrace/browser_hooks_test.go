package main

import (
	"strings"
	"testing"
	"time"

	"millrace/views/browsertest"
)

// Somebody makes a hook to the box's receiver, tries it, lets a pipeline run, and
// finds what was sent and what came back; sent again it has the same id. The
// mail about what they watch can be stopped with one click.
func storyHook(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	const repo = "osbuild-demo/cauldron" // one build of it fails
	d.planned(t, repo, d.open(t, repo, "passes"))
	tab := b.Tab(t)
	logIn(t, tab, d, "olga", "/pipelines")
	tab.Goto(d.Box + "/-/receiver")
	tab.Follow(`a[href*="/` + repo + `/-/settings/hooks"]`)
	tab.Follow(`form[action$="/-/settings/hooks"] button.go`)
	if got := tab.Value(`document.querySelector("code.secret").textContent.trim().startsWith("whsec_")`); got != "true" {
		t.Fatalf("no hook was made: %s", tab.Value(`document.querySelector("main").textContent`))
	}
	hooks := tab.Path()
	tab.Goto(d.URL + hooks)
	tab.Follow(`[aria-label="Hooks of the project"] th a`)
	hook := tab.Path()
	tab.Follow(`form[action$="/test"] button`)
	tab.Until(`document.querySelector("#dispatch .kick").textContent.trim().startsWith("Arrived")`, "true")

	tab.Goto(d.URL + strings.TrimSuffix(hooks, "/-/settings/hooks"))
	tab.Follow(`form[action$="/-/watch"] button`)
	if got := d.ended(t, d.planned(t, repo, d.open(t, repo, "passes"))).State; got != "failed" {
		t.Fatalf("the pipeline is %s", got)
	}
	const finished = `[...document.querySelectorAll("#hook-dispatches tbody tr")].filter(r => r.textContent.includes("pipeline.finished") && r.textContent.includes("Arrived")).length > 0`
	untilReloaded(t, tab, d.URL+hook, finished)
	tab.Follow(`#hook-dispatches tbody th a`)
	dispatch := tab.Path()
	if got := tab.Value(`document.querySelector("main").textContent.includes("Webhook-Signature") && document.querySelector("pre.yaml") !== null`); got != "true" {
		t.Error("the page does not show what was sent")
	}
	tab.Follow(`form[action$="/redeliver"] button`)
	if got := tab.Path(); got != dispatch {
		t.Errorf("redelivering leads to %s", got)
	}
	tab.Until(`document.querySelectorAll("#dispatch details.ref").length`, "2")
	tab.Goto(d.Box + "/-/receiver")
	tab.Until(`[...document.querySelectorAll("#list tbody tr")].some(r => r.textContent.includes("came before"))`, "true")
	if got := tab.Value(`[...document.querySelectorAll("#list tbody tr")].some(r => r.textContent.includes("does not hold"))`); got != "false" {
		t.Error("a signature does not hold")
	}

	untilReloaded(t, tab, d.Box+"/-/mail", `document.querySelector("#list tbody a") !== null`)
	tab.Follow(`#list tbody a`)
	tab.Follow(`a[href*="/mail/stop/"]`)
	tab.Follow(`form[action*="/mail/stop/"] button`)
	if got := tab.Value(`document.querySelector("h1").textContent`); got != "It is stopped" {
		t.Errorf("the button leads to %q", got)
	}
}

// untilReloaded opens a page until it is as js says.
func untilReloaded(t *testing.T, tab *browsertest.Tab, address, js string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		tab.Goto(address)
		if tab.Value(js) == "true" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never comes to %s: %s", address, js, tab.Value(`document.querySelector("main").textContent`))
		}
	}
}
