package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"millrace/views/browsertest"
)

func (d *liveDemo) projectPage(repo string) string {
	return d.URL + "/projects/" + strings.TrimPrefix(d.Box, "http://") + "/" + repo
}

const rowsOf = `document.querySelectorAll("%s tbody tr").length`

// Lists follow what is typed, and their address follows both.
func storySearch(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	tab := b.Tab(t, "422") // a search that cannot be read
	tab.Goto(d.URL + "/projects")
	tab.Do(chromedp.SendKeys("#project-query", "fastf", chromedp.ByQuery))
	tab.Until(fmt.Sprintf(rowsOf, "#projects-list"), "1")
	tab.Until("location.search", "?q=fastf")
	tab.Do(chromedp.SendKeys("#project-query", strings.Repeat(kb.Backspace, 5)+"*/t*", chromedp.ByQuery))
	tab.Until(`[...document.querySelectorAll("#projects-list tbody th a")].some(a => a.textContent === "teemtee/tmt")`, "true")
	tab.Do(chromedp.SendKeys("#project-query", "zzz", chromedp.ByQuery))
	tab.Until(`document.querySelector("#projects-list .empty") !== null`, "true")
	tab.Do(chromedp.Reload())
	tab.Until(`document.querySelector("#project-query").value`, "*/t*zzz")

	tab.Goto(d.URL + "/pipelines")
	tab.Do(chromedp.SendKeys("#pipeline-query", "status:failed", chromedp.ByQuery))
	tab.Until("location.search", "?q=status%3Afailed")
	tab.Until(`[...document.querySelectorAll("#pipelines-list tbody .st")].every(s => s.textContent.trim() === "Failed")`, "true")
	tab.Do(chromedp.SendKeys("#pipeline-query", " kimd:pr", chromedp.ByQuery))
	tab.Until(`document.querySelector("#pipelines-list [role=alert]")?.textContent.includes("kind")`, "true")
	tab.Goto(d.URL + "/pipelines")
	tab.Do(chromedp.SetValue("#pipeline-state", "passed", chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector("#pipeline-state").dispatchEvent(new Event("input", { bubbles: true }))`, nil))
	tab.Until("location.search", "?state=passed")
	tab.Until(`[...document.querySelectorAll("#pipelines-list tbody .st")].every(s => s.textContent.trim() === "Passed")`, "true")

	// Older and back again, with the filter.
	const ids = `[...document.querySelectorAll("#pipelines-list tbody tr")].map(r => r.id).join()`
	first := tab.Value(ids)
	tab.Follow(`#pipelines-list a[rel="next"]`)
	tab.Until(`document.querySelector("#pipelines-list a[rel=prev]") !== null`, "true")
	second := tab.Value(ids)
	if first == second || !strings.Contains(tab.Value("location.search"), "state=passed") {
		t.Errorf("the next part of the list at %s shows %s", tab.Value("location.search"), second)
	}
	tab.Follow(`#pipelines-list a[rel="prev"]`)
	tab.Until(ids, first)

	// The search of the frame opens what it recognises.
	for text, want := range map[string]string{
		"teemtee/tmt": "/projects/", d.Box + "/packit/hello": "/projects/", "1": "/pipelines/1",
	} {
		tab.Goto(d.URL + "/")
		tab.Do(chromedp.SendKeys("#seek", text, chromedp.ByQuery))
		if _, err := chromedp.RunResponse(tab.Ctx, chromedp.SendKeys("#seek", kb.Enter, chromedp.ByQuery)); err != nil {
			t.Fatal(err)
		}
		if got := tab.Path(); !strings.HasPrefix(got, want) || strings.HasSuffix(got, "/projects") {
			t.Errorf("%q leads to %s", text, got)
		}
	}
}

// A log has lines to point at, and is there as text.
func storyLog(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	const repo = "osbuild-demo/cauldron"
	id := d.planned(t, repo, d.open(t, repo, "passes"))
	tab := b.Tab(t)
	place := d.pipelinePage(id) + "/steps/copr_build/epel-9-x86_64"
	tab.Goto(place)
	tab.Until(liveState, "on")
	tab.Until(`document.querySelectorAll(".log ol li").length > 0`, "true") // it grows under our eyes
	tab.Until(stateWord, "Failed")
	tab.Until(`document.querySelector("#run-log-count").textContent.includes("ended")`, "true")
	if got := tab.Value(`new Set([...document.querySelectorAll(".log ol li")].map(l => l.id)).size === document.querySelectorAll(".log ol li").length`); got != "true" {
		t.Error("lines are there twice")
	}
	sameAsFresh(t, b, tab, "#run-head", "#run-facts", ".log ol")
	total := tab.Value(`document.querySelector(".log ol").lastElementChild.id.slice(1)`)

	tab.Goto("about:blank")
	tab.Goto(place + "#L3-L5")
	tab.Until(`[...document.querySelectorAll(".picked")].map(l => l.id).join()`, "L3,L4,L5")
	tab.Click("#L2 > a")
	tab.Until(`[...document.querySelectorAll(".picked")].map(l => l.id).join()`, "L2")
	raw := tab.Value(`fetch(document.querySelector(".logbox .tools a.btn").href).then(r => r.text()).then(t => t.split("\n").length - 1)`)
	if raw != total {
		t.Errorf("the raw log has %s lines, the page %s", raw, total)
	}
	tab.Goto(d.pipelinePage(id))
	tab.Until(`document.querySelector(".failbox h2").textContent.trim()`, "First failure")
	tab.Follow(".failbox .btns a")
	tab.Until(`document.querySelectorAll(".picked").length`, "1")
	if got := tab.Path(); !strings.HasSuffix(got, "/steps/copr_build/epel-9-x86_64") {
		t.Errorf("the failure is looked up at %s", got)
	}
}

// Where nothing runs, the event says why.
func storyReasons(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	tab := b.Tab(t)
	for _, c := range []struct{ repo, scenario, state, why string }{
		{"packit/hello-world", "breaks-config", "Refused", "Did you mean pull_request?"},
		{"packit/hello-world", "matches-nothing", "Nothing", "a release"},
		{"windmill-club/windmill", "passes", "Refused", "allowlist"},
		{"fedora-crafts/notes", "passes", "Nothing", "config"},
	} {
		pull := d.open(t, c.repo, c.scenario)
		query := url.Values{"q": {fmt.Sprintf("pr:%d kind:pull_request", pull)}, "project": {c.repo}}
		var list struct {
			Items []struct {
				ID    int64
				State string
			}
		}
		until(t, "an event of "+c.repo, func() bool {
			getJSON(t, d.URL+"/api/v3/events?"+query.Encode(), &list)
			return len(list.Items) > 0 && list.Items[0].State != "new"
		})
		tab.Goto(fmt.Sprintf("%s/events/%d", d.URL, list.Items[0].ID))
		text := tab.Value(`document.querySelector("#event-head").textContent + document.querySelector("#event-decisions").textContent`)
		if !strings.Contains(strings.ToLower(text), strings.ToLower(c.state)) || !strings.Contains(text, c.why) {
			t.Errorf("%s in %s: the event says %s", c.scenario, c.repo, strings.Join(strings.Fields(text), " "))
		}
		if c.why == "allowlist" {
			approve(t, b, d, fmt.Sprintf("/events/%d", list.Items[0].ID))
		}
	}
}

// approve lets in who waits, as an operator, and what was refused goes on before
// the eyes of who looks at it.
func approve(t *testing.T, b *browsertest.Browser, d *liveDemo, event string) {
	t.Helper()
	author, operator := b.Tab(t), b.Tab(t)
	author.Goto(d.URL + event)
	author.Until(liveState, "on")
	logIn(t, operator, d, "olga", "/admin/allowlist")
	const waiting = `[...document.querySelectorAll('[aria-labelledby="waiting"] li')].filter(l => l.textContent.includes("windmill-club"))`
	if got := operator.Value(waiting + `.map(l => l.textContent.includes("sol-andersen")).join()`); got != "true" {
		t.Fatalf("who waits, and who asked: %q", got)
	}
	operator.Do(chromedp.SendKeys(`[aria-labelledby="waiting"] input[name="reason"]`, "They grind by wind."))
	operator.Follow(`button[value="allow"][aria-label$="windmill-club"]`)
	if got := operator.Value(waiting + ".length"); operator.Path() != "/admin/allowlist" || got != "0" {
		t.Errorf("%s still wait, at %s", got, operator.Path())
	}
	author.Until(`document.querySelector('#event-head')?.textContent.includes("Planned") ?? false`, "true")
	author.Goto(d.URL + event)
	author.Follow(`main a[href^="/pipelines/"]`)
	author.Until(stateWord, "Passed")
	operator.Goto(d.URL + "/admin/audit")
	if got := operator.Value(`[...document.querySelectorAll("main tbody tr")].some(r => r.textContent.includes("allowlist.allow") && r.textContent.includes("They grind by wind."))`); got != "true" {
		t.Error("the audit log does not have it")
	}
}

// What is not there is said to be not there, in the form that was asked for.
func storyErrors(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	tab := b.Tab(t, "404", "422")
	for place, want := range map[string]string{
		"/pipelnes": "Error 404", "/pipelines/999999": "Error 404", "/pipelines/x": "Error 404", "/events/0": "Error 404",
		"/projects/nowhere.example/a/b": "Error 404", "/pipelines?q=(": "The search cannot be read.",
	} {
		tab.Goto(d.URL + place)
		if got := tab.Value(`document.querySelector("main").textContent`); !strings.Contains(got, want) {
			t.Errorf("%s does not say %q: %s", place, want, strings.Join(strings.Fields(got), " "))
		}
		if got := tab.Value(`document.querySelectorAll("h1").length + " " + document.querySelectorAll("main a").length`); got[0] != '1' || got == "1 0" {
			t.Errorf("%s: headings and links %s", place, got)
		}
	}
	tab.Goto(d.URL + "/pipelnes")
	tab.Follow(`main a[href="/pipelines"]`)
}

// The main things can be done with the keyboard alone.
func storyKeyboard(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	tab := b.Tab(t)
	tab.Goto(d.URL + "/pipelines/1")
	tab.Do(chromedp.KeyEvent(kb.Tab))
	tab.Until(`document.activeElement.className`, "skip")
	tab.Do(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	tab.Until(`document.querySelector("main").contains(document.activeElement)`, "true")
	// Every thing that has the focus shows it, and is on the screen.
	stops := 0
	for range 60 {
		state := tab.Value(`(() => {
			const el = document.activeElement;
			if (!el || el === document.body) return "end";
			const s = getComputedStyle(el), r = el.getBoundingClientRect();
			const shown = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || s.boxShadow !== "none";
			const seen = r.bottom > 0 && r.top < innerHeight && r.width > 0;
			return shown && seen ? "ok" : (el.outerHTML.slice(0, 120) + " outline " + s.outlineStyle + " " + s.outlineWidth + " at " + r.top);
		})()`)
		if state == "end" {
			break
		}
		stops++
		if state != "ok" {
			t.Errorf("the focus cannot be seen: %s", state)
			break
		}
		tab.Do(chromedp.KeyEvent(kb.Tab))
	}
	if stops < 10 {
		t.Errorf("only %d stops", stops)
	}
	tab.Goto(d.URL + "/")
	tab.Do(chromedp.Evaluate(`document.querySelector("details.menu summary").focus()`, nil), chromedp.KeyEvent(kb.Enter))
	tab.Until(`document.querySelector("details.menu").open`, "true")
	tab.Do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Escape))
	tab.Until(`document.querySelector("details.menu").open + " " + document.activeElement.tagName`, "false SUMMARY")
}

var (
	hrefs = regexp.MustCompile(`<a\s[^>]*href="([^"]*)"`)
	forms = regexp.MustCompile(`<form\s[^>]*>`)
	plain = regexp.MustCompile(`[0-9]+`)
)

// Without scripts every page is there, lists are narrowed by forms and turned by
// links, and the buttons of the box work.
func storyNoScript(t *testing.T, b *browsertest.Browser, d *liveDemo) {
	crawl(t, d.URL)
	crawl(t, d.Box)

	tab := b.Tab(t)
	tab.Do(emulation.SetScriptExecutionDisabled(true))
	tab.Goto(d.Box + "/")
	tab.Follow(`form[action="/packit/hello-world/open"] button[value="passes"]`)
	if got := tab.Path(); !strings.HasPrefix(got, "/packit/hello-world/pull/") {
		t.Fatalf("the button leads to %s", got)
	}
	pull := strings.TrimPrefix(tab.Path(), "/packit/hello-world/pull/")
	tab.Do(chromedp.SendKeys("#body", "Looks good to me.", chromedp.ByQuery))
	tab.Follow(`form[action$="/comment"] button`)
	if got := tab.Value(`document.querySelector("#live-part").textContent`); !strings.Contains(got, "Looks good to me.") {
		t.Error("the comment is not there")
	}

	tab.Goto(d.URL + "/pipelines")
	if got := tab.Value(`[...document.querySelectorAll("button")].filter(b => b.checkVisibility() && !b.form).length`); got != "0" {
		t.Errorf("%s buttons do nothing without a script", got)
	}
	tab.Do(chromedp.SendKeys("#pipeline-query", "pr:"+pull, chromedp.ByQuery), chromedp.SendKeys("#pipeline-project", helloRepo, chromedp.ByQuery))
	tab.Follow("form.filters button")
	if got := fmt.Sprintf(rowsOf, "#pipelines-list"); tab.Value(got) != "1" {
		t.Errorf("%s shows %s pipelines", tab.Value("location.search"), tab.Value(got))
	}
	tab.Follow("#pipelines-list tbody th a")
	if got := tab.Value(`document.querySelectorAll("#pipeline-steps .line").length`); got != "7" {
		t.Errorf("%s targets", got)
	}
	tab.Follow("#pipeline-steps .line a")
	tab.Goto(d.URL + "/pipelines")
	tab.Follow(`#pipelines-list a[rel="next"]`)
	tab.Follow(`#pipelines-list a[rel="prev"]`)

	// The choice of a theme is a form, too.
	tab.Goto(d.URL + "/queue")
	tab.Click("details.menu summary")
	tab.Follow(`button[name="theme"][value="dark"]`)
	if got := tab.Value(`document.documentElement.dataset.theme + " " + location.pathname`); got != "dark /queue" {
		t.Errorf("theme and place = %s", got)
	}
}

// crawl follows all links of a site, one of each kind, as a plain program, and
// looks at what comes back.
func crawl(t *testing.T, site string) {
	t.Helper()
	kinds := make(map[string]bool)
	type link struct{ to, from string }
	queue := []link{{"/", "the door"}}
	for n := 0; len(queue) > 0 && n < 150; n++ {
		l := queue[0]
		queue = queue[1:]
		res, err := http.Get(site + l.to)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
		res.Body.Close()
		if strings.HasPrefix(l.to, "/settings/") && res.StatusCode == http.StatusForbidden {
			continue // for who is logged in; it says so
		}
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s, linked from %s, answers %s (%v)", l.to, l.from, res.Status, err)
			continue
		}
		elsewhere := "http://"+res.Request.URL.Host != site // where people log in
		if elsewhere || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, form := range forms.FindAllString(string(body), -1) {
			if !strings.Contains(form, "action=") {
				t.Errorf("%s has a form that goes nowhere: %s", l.to, form)
			}
		}
		base, err := url.Parse(site + l.to)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range hrefs.FindAllStringSubmatch(string(body), -1) {
			to, err := base.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
			if err != nil || m[1] == "" || m[1] == "#" {
				t.Errorf("%s has a link to %q", l.to, m[1])
				continue
			}
			// Copr packs its logs when a build ends: those of a running one move.
			if to.Scheme+"://"+to.Host != site || strings.HasPrefix(to.Path, "/copr/results/") {
				continue
			}
			if id := to.Fragment; id != "" && to.RequestURI() == base.RequestURI() && !strings.Contains(string(body), `id="`+id+`"`) {
				t.Errorf("%s has a link to #%s, which is not there", l.to, id)
			}
			// Numbers and names make no other kind of page.
			kind := plain.ReplaceAllString(strings.Join(append(strings.Split(to.Path, "/")[:min(3, strings.Count(to.Path, "/")+1)], fmt.Sprint(strings.Count(to.Path, "/"))), "/"), "0")
			for key := range to.Query() {
				kind += "?" + key
			}
			if !kinds[kind] {
				kinds[kind] = true
				queue = append(queue, link{to.RequestURI(), l.to})
			}
		}
	}
	if len(kinds) < 15 {
		t.Errorf("only %d kinds of pages were found at %s", len(kinds), site)
	}
}
