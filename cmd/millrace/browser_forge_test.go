package main

import (
	"fmt"
	"net/url"
	"testing"

	"millrace/views/browsertest"
)

// At the forge a comment, and then a click on a check, run again what failed; the
// page here shows that nothing else runs.
func storyForge(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	const repo = "osbuild-demo/cauldron"
	pull := d.open(t, repo, "passes")
	first := d.ended(t, d.planned(t, repo, pull))
	tab := b.Tab(t)
	forge := fmt.Sprintf("%s/%s/pull/%d", d.Box, repo, pull)
	next := func(attempt int) *pipelineJSON {
		t.Helper()
		var id int64
		until(t, fmt.Sprintf("attempt %d", attempt), func() bool {
			for _, p := range d.pipelines(t, repo, pull) {
				id = max(id, p.ID)
			}
			return d.pipeline(t, id).Attempt == attempt
		})
		return d.ended(t, id)
	}
	reused := func(p *pipelineJSON) string {
		t.Helper()
		tab.Goto(d.pipelinePage(p.ID))
		return tab.Value(`[...document.querySelectorAll("#pipeline-steps .line")].filter(l => l.textContent.includes("reused from attempt")).length + " of " + document.querySelectorAll("#pipeline-steps .line").length`)
	}
	tab.Goto(forge)
	tab.Follow(`button[name="body"][value="/packit rebuild-failed"]`)
	second := next(2)
	if got := reused(second); got != "5 of 7" || second.ID == first.ID {
		t.Errorf("after the comment %s targets are reused", got)
	}
	tab.Goto(forge)
	tab.Follow(`button[aria-label="Re-run testing-farm:fedora-44-x86_64"]`)
	if got := reused(next(3)); got != "6 of 7" {
		t.Errorf("after the click on a check %s targets are reused", got)
	}
	tab.Goto(forge)
	tab.Until(`[...document.querySelectorAll(".run")].some(r => r.textContent.includes("fedora-44-x86_64"))`, "true")
}

// A release upstream comes to all branches on its page, without a reload.
func storyRelease(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	const repo = helloRepo
	tab := b.Tab(t)
	tab.Goto(d.Box + "/fedora/")
	tab.Follow(fmt.Sprintf(`form[action="/%s/release"] button`, repo))
	var list struct{ Items []pipelineJSON }
	until(t, "the release is planned", func() bool {
		query := url.Values{"q": {"kind:release"}, "project": {repo}, "limit": {"1"}}
		getJSON(t, d.URL+"/api/v3/pipelines?"+query.Encode(), &list)
		return len(list.Items) > 0
	})
	version := list.Items[0].Ref
	tab.Goto(fmt.Sprintf("%s/-/releases/%s", d.projectPage(repo), version))
	tab.Until(liveState, "on")
	tab.Value(`window.loaded = true`)
	merge := b.Tab(t)
	until(t, "five pull requests", func() bool {
		merge.Goto(d.Box + "/fedora/")
		return merge.Value(`document.querySelectorAll('form[action="/fedora/merge/hello-world"]').length`) == "5"
	})
	for range 5 {
		merge.Follow(`form[action="/fedora/merge/hello-world"] button`)
	}
	at := func(stage int) string {
		return fmt.Sprintf(`[...document.querySelectorAll(".matrix tbody tr")].filter(r => r.children[%d].dataset.s == "passed").length`, stage+1)
	}
	const updates, stable = 4, 6
	tab.Until(at(updates), "5")
	merge.Goto(d.Box + "/fedora/")
	until(t, "the updates are stable", func() bool {
		merge.Follow(`form[action="/fedora/pass"] button[value="7"]`)
		return tab.Value(at(stable)) == "5"
	})
	tab.Until(stateWord, "Passed")
	if got := tab.Value(`window.loaded`); got != "true" {
		t.Error("the page was loaded anew")
	}
}
