package views

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/models"
	"millrace/static"

	"golang.org/x/net/html"
)

var stylesheetPath = static.Path("millrace.css")

// fetch gets a static file as a browser does.
func fetch(t testing.TB, path string) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != 200 {
		t.Fatalf("GET %s = %d", path, w.Code)
	}
	return w.Body.Bytes()
}

func parse(t testing.TB, page string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// find returns the elements for which want holds, in their order.
func find(n *html.Node, want func(*html.Node) bool) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && want(d) {
			found = append(found, d)
		}
	}
	return found
}

func tag(names ...string) func(*html.Node) bool {
	return func(n *html.Node) bool {
		for _, name := range names {
			if n.Data == name {
				return true
			}
		}
		return false
	}
}

func class(name string) func(*html.Node) bool {
	return func(n *html.Node) bool {
		for _, c := range strings.Fields(attr(n, "class")) {
			if c == name {
				return true
			}
		}
		return false
	}
}

var inline = tag("a", "span", "code", "b", "strong", "time", "small", "wbr")

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode:
			b.WriteString(d.Data)
		case !inline(d):
			b.WriteString(" ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// What holds for every page.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	for name, page := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := parse(t, render(t, sampleContext(), page))
			if n := len(find(root, tag("h1"))); n != 1 {
				t.Errorf("%d h1, want 1", n)
			}
			for _, landmark := range []string{"header", "main", "footer", "nav", "title"} {
				if len(find(root, tag(landmark))) == 0 {
					t.Errorf("there is no %s", landmark)
				}
			}
			if !strings.HasSuffix(text(find(root, tag("title"))[0]), "· Millrace") {
				t.Errorf("title = %q", text(find(root, tag("title"))[0]))
			}
			links := find(root, tag("a"))
			if attr(links[0], "href") != "#main" {
				t.Error("the first link does not skip to the content")
			}
			checkHeadings(t, root)
			checkPolicy(t, root)
			checkIDs(t, root)
			checkLabels(t, root)
			if m := regexp.MustCompile(`.{0,20}\s[,;](\s.{0,20}|$)`).FindString(visible(root)); m != "" {
				t.Errorf("a space stands before a comma: %q", m)
			}
		})
	}
}

// visible is the text of the page with the spaces that a browser keeps.
func visible(root *html.Node) string {
	var b strings.Builder
	for d := range root.Descendants() {
		switch {
		case d.Type == html.TextNode && d.Parent.Data != "script" && d.Parent.Parent.Data != "li":
			b.WriteString(d.Data)
		case !inline(d):
			b.WriteString("\x00")
		}
	}
	return b.String()
}

func checkHeadings(t *testing.T, root *html.Node) {
	t.Helper()
	level := 0
	for _, h := range find(root, tag("h1", "h2", "h3", "h4")) {
		l := int(h.Data[1] - '0')
		if l > level+1 {
			t.Errorf("heading %q of level %d follows level %d", text(h), l, level)
		}
		if text(h) == "" {
			t.Errorf("a heading of level %d is empty", l)
		}
		level = l
	}
}

// checkPolicy wants nothing that the content security policy forbids.
func checkPolicy(t *testing.T, root *html.Node) {
	t.Helper()
	for _, n := range find(root, func(*html.Node) bool { return true }) {
		if n.Data == "style" || n.Data == "script" && (!strings.HasPrefix(attr(n, "src"), static.Prefix) || text(n) != "") {
			t.Errorf("there is an inline %s", n.Data)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Key, "hx-on") {
				t.Errorf("%s has the attribute %s", n.Data, a.Key)
			}
			if (a.Key == "href" || a.Key == "src" || a.Key == "action") && n.Data != "use" && !goodAddress(a.Val) {
				t.Errorf("%s leads to %q", n.Data, a.Val)
			}
		}
	}
}

func goodAddress(s string) bool {
	for _, prefix := range []string{"/", "#", "https://", "http://"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// checkIDs wants each id once, and what refers to one to find it.
func checkIDs(t *testing.T, root *html.Node) {
	t.Helper()
	ids := make(map[string]int)
	for _, n := range find(root, func(n *html.Node) bool { return hasAttr(n, "id") }) {
		ids[attr(n, "id")]++
	}
	for id, n := range ids {
		if n > 1 || id == "" || strings.ContainsAny(id, " \t\n") {
			t.Errorf("id %q stands %d times", id, n)
		}
	}
	for _, n := range find(root, func(*html.Node) bool { return true }) {
		for _, a := range n.Attr {
			refers := a.Key == "aria-labelledby" || a.Key == "aria-describedby" || a.Key == "for"
			if id, ok := strings.CutPrefix(a.Val, "#"); ok && (a.Key == "href" || a.Key == "hx-target") {
				a.Val, refers = id, true
			}
			if refers && ids[a.Val] == 0 {
				t.Errorf("%s of %s refers to %q, which is not there", a.Key, n.Data, a.Val)
			}
		}
	}
}

// checkLabels wants a name for each control.
func checkLabels(t *testing.T, root *html.Node) {
	t.Helper()
	labelled := make(map[string]bool)
	for _, l := range find(root, tag("label")) {
		labelled[attr(l, "for")] = true
	}
	for _, n := range find(root, tag("input", "select")) {
		inLabel := n.Parent.Data == "label"
		if attr(n, "type") != "hidden" && !labelled[attr(n, "id")] && !inLabel {
			t.Errorf("%s %s has no label", n.Data, attr(n, "name"))
		}
	}
	for _, n := range find(root, tag("a", "button")) {
		if text(n) == "" {
			t.Errorf("%s %s has no text", n.Data, attr(n, "href"))
		}
	}
}

// Nothing that comes from outside becomes markup or a link that does things.
func TestHostileWords(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`
	const bad = "javascript:alert(1)//https://github.com"
	p := samplePipeline()
	p.Title, p.Actor, p.Package, p.Ref = evil, evil, evil, evil
	p.Project.Name, p.Project.Namespace, p.Project.URL, p.Project.Forge = evil, evil+"/x", bad, evil
	p.Commit.SHA, p.Commit.Title, p.Commit.Author = evil, evil, evil
	p.Event.Message.URL = bad
	for _, s := range p.Steps {
		s.Name, s.Identifier = s.Name+evil, evil
		for _, tg := range s.Targets {
			tg.Name += evil
			r := tg.Run
			r.Reason, r.ExternalID, r.ExternalURL, r.LogURL = evil, evil, bad, bad
			r.Data = models.RunData{LogTail: evil, Notes: []string{evil}, NVR: evil, ResultURL: bad, SRPMURL: bad, Compose: evil, Plan: evil, ServiceState: evil, CoprOwner: "x; rm -rf /", CoprProject: "y",
				Packages: []string{evil}, Artifacts: []models.Artifact{{Name: evil, URL: "data:text/html," + evil}}, Tests: &models.TestSummary{First: []string{evil}}}
		}
	}
	e := sampleEvent()
	e.Event.Reason, e.Event.Actor, e.Event.ConfigText, e.Event.ConfigFile, e.Event.Kind = evil, evil, evil+"\n"+evil, evil, models.EventKind(evil)
	e.Event.Message.URL, e.Event.Message.Comment, e.Event.Message.Labels = bad, evil, []string{evil}
	e.Event.Decisions[0].Reason, e.Event.Decisions[0].Identifier, e.Event.Decisions[0].Dropped[0].Target = evil, evil, evil
	e.Event.Delivery.Error, e.Event.Delivery.Key = evil, evil
	log := LogSlice{Lines: []LogLine{{1, evil}, {2, "\x1b]0;" + evil}}, Total: 2, Tail: true}
	row := &models.PipelineRow{Pipeline: p, Flow: flowOf(p.Steps)}
	rows := models.PipelineList{Rows: []*models.PipelineRow{row}, Cursors: models.Cursors{Older: evil}}
	q := sampleQueue()
	q.UnsentError, q.Working[0].Group.Worker, q.Waiting[1].Targets, q.Waiting[1].Group.Error = evil, evil, []string{evil}, evil
	bigIDs := Run(RunPage{RunPlace: models.RunPlace{Pipeline: p, Step: p.Steps[1], Target: p.Steps[1].Targets[1], Group: &models.RunGroup{Worker: evil, Phase: models.PhaseWorking, Error: evil}}, Log: log})
	pages := map[string]string{
		"home":      render(t, sampleContext(), Home(HomePage{Recent: rows, Events: []*models.Event{e.Event}})),
		"pipelines": render(t, sampleContext(), Pipelines(PipelinesPage{PipelineList: rows, Filter: PipelineFilter{Query: evil, Project: evil}})),
		"problem":   render(t, sampleContext(), Pipelines(PipelinesPage{Problem: evil})),
		"projects":  render(t, sampleContext(), Projects(ProjectsPage{Query: evil, Forges: []string{evil, "b"}, ProjectList: models.ProjectList{Rows: []*models.ProjectRow{{Project: p.Project, Last: p}}}})),
		"project":   render(t, sampleContext(), Project(ProjectPage{Project: p.Project, Strip: []*models.Pipeline{p}, PipelineList: rows, Config: e.Event, Pulls: models.RefList{Rows: []*models.RefRow{{Commit: &models.Commit{Kind: models.PullRequestRef, Ref: "7", Title: evil, Author: evil}, Pipelines: []*models.Pipeline{p}}}}})),
		"pipeline":  render(t, sampleContext(), Pipeline(PipelinePage{Pipeline: p, Failure: log})),
		"tail":      render(t, sampleContext(), Pipeline(PipelinePage{Pipeline: p, View: TimeView})),
		"run":       render(t, sampleContext(), bigIDs),
		"event":     render(t, sampleContext(), Event(e)),
		"events":    render(t, sampleContext(), Events(EventsPage{EventList: models.EventList{Rows: []*models.Event{e.Event}}})),
		"queue":     render(t, sampleContext(), Queue(q)),
		"error":     render(t, sampleContext(), Error(ErrorPage{Status: 400, Detail: evil, RequestID: evil, Near: []Link{{evil, "/x"}}})),
		"frame":     render(t, sampleContext(func(f *Frame) { f.Notice, f.Demo, f.Source, f.Path, f.Theme = evil, bad, bad, evil, evil }), Help(HelpPage{CommandPrefix: evil})),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			root := parse(t, page)
			checkPolicy(t, root)
			if n := len(find(root, tag("img"))); n > 0 {
				t.Errorf("%d images came in with the words", n)
			}
			if strings.Contains(page, "rm -rf") {
				t.Error("a command to be copied has words of others")
			}
			if !strings.Contains(page, "&lt;script&gt;") && !strings.Contains(page, "%3Cscript") {
				t.Error("the words are not on the page at all")
			}
		})
	}
}

func TestPipelineParts(t *testing.T) {
	t.Parallel()
	root := parse(t, render(t, sampleContext(), Pipeline(samplePipelinePage())))
	if got := text(find(root, tag("title"))[0]); got != "Running, 1 failed · ferryman PR 214 · Millrace" {
		t.Errorf("title = %q", got)
	}
	if n := len(find(root, class("step"))); n != 5 {
		t.Errorf("%d boxes, want 5", n)
	}
	chips, lines := find(root, class("chip")), find(root, class("line"))
	if len(chips) != 14 || len(lines) != 14 {
		t.Errorf("%d chips and %d lines, want 14 of each", len(chips), len(lines))
	}
	if got := text(chips[1]); got != "Copr build, epel9 x86_64 Failed 1 m 6 s" {
		t.Errorf("a chip reads %q", got)
	}
	if got := text(find(root, class("failbox"))[0]); !strings.HasPrefix(got, "First failure Copr build, epel-9-x86_64 stopped after 1 min 6 s") {
		t.Errorf("the first failure reads %q", got)
	}
	jump := find(root, func(n *html.Node) bool { return strings.HasSuffix(attr(n, "href"), "?from=1415#L1435") })
	if len(jump) == 0 {
		t.Error("nothing leads to the line that explains the failure")
	}
	if n := len(find(root, func(n *html.Node) bool { return n.Data == "path" && class("gate")(n) })); n != 1 {
		t.Errorf("%d gates, want 1", n)
	}
	icon := find(root, func(n *html.Node) bool { return n.Data == "link" && attr(n, "rel") == "icon" })[0]
	if attr(icon, "href") != static.Favicon("running") || attr(icon, "data-failed") != static.Favicon("failed") {
		t.Errorf("favicon = %v", icon.Attr)
	}
}

// A fragment is what the page has at its place, so that a swap changes what
// changed and nothing else.
func TestFragmentsAreParts(t *testing.T) {
	t.Parallel()
	ctx := sampleContext()
	h := sampleHome()
	pl, run, project, event, queue := samplePipelinePage(), sampleRun(), sampleProjectPage(), sampleEvent(), sampleQueue()
	tests := map[string]struct {
		whole string
		parts []string
	}{
		"home":     {render(t, ctx, Home(h)), []string{render(t, ctx, HomeNumbers(h)), render(t, ctx, HomeRecent(h)), render(t, ctx, HomeEvents(h))}},
		"pipeline": {render(t, ctx, Pipeline(pl)), []string{render(t, ctx, PipelineHead(pl)), render(t, ctx, PipelineFacts(pl)), render(t, ctx, PipelinePlan(pl)), render(t, ctx, PipelineFailure(pl)), render(t, ctx, PipelineSteps(pl)), render(t, ctx, PipelineHistory(pl))}},
		"run":      {render(t, ctx, Run(run)), []string{render(t, ctx, RunHead(run)), render(t, ctx, RunFacts(run)), render(t, ctx, RunLog(run)), render(t, ctx, RunLogCount(run)), render(t, ctx, RunLogLines(run.Log.Lines)), render(t, ctx, RunAside(run))}},
		"project":  {render(t, ctx, Project(project)), []string{render(t, ctx, ProjectFacts(project)), render(t, ctx, ProjectPulls(project)), render(t, ctx, ProjectPipelines(project))}},
		"event":    {render(t, ctx, Event(event)), []string{render(t, ctx, EventHead(event)), render(t, ctx, EventDecisions(event))}},
		"queue":    {render(t, ctx, Queue(queue)), []string{render(t, ctx, QueueNumbers(queue)), render(t, ctx, QueueKinds(queue)), render(t, ctx, QueueWaiting(queue)), render(t, ctx, QueueWorkers(queue))}},
	}
	for name, test := range tests {
		for i, part := range test.parts {
			if part == "" || !strings.Contains(test.whole, part) {
				t.Errorf("%s: part %d is not on the page as it is", name, i)
			}
		}
	}
}

// What is live says where it is fetched from, listens to a topic that the page
// subscribes to, and keeps its id.
func TestLiveParts(t *testing.T) {
	t.Parallel()
	for name, page := range samples() {
		root := parse(t, render(t, sampleContext(), page))
		stream := ""
		for _, n := range find(root, func(n *html.Node) bool { return attr(n, "id") == "live" }) {
			stream = attr(n, "data-stream")
		}
		for _, n := range find(root, func(n *html.Node) bool { return hasAttr(n, "data-live-topic") }) {
			for topic := range strings.FieldsSeq(attr(n, "data-live-topic")) {
				if !strings.Contains(stream, strings.ReplaceAll(topic, ":", "%3A")) {
					t.Errorf("%s: %s listens to %s, which is not in %q", name, attr(n, "id"), topic, stream)
				}
			}
			if !strings.Contains(attr(n, "data-live-url"), "fragment=") || attr(n, "id") == "" && attr(n, "data-live-mode") == "" {
				t.Errorf("%s: a live part lacks its address or id: %v", name, n.Attr)
			}
		}
	}
}

func TestEmptyAndLong(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"home-empty":     "No pipeline yet",
		"projects-none":  "No project is called so",
		"project-empty":  "No pull request had a pipeline",
		"pipelines-none": "No pipeline matches",
		"pipeline-empty": "No steps",
		"event-nothing":  "The comment is no command.",
		"queue-empty":    "Nothing to do",
		"run-new":        "No log yet",
	} {
		if page := render(t, sampleContext(), samples()[name]); !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", name, want)
		}
	}
	if page := render(t, sampleContext(), samples()["pipelines"]); !strings.Contains(page, "an-<wbr>organisation-<wbr>with-") {
		t.Error("long names have no places to wrap at")
	}
	big := parse(t, render(t, sampleContext(), samples()["pipeline-big"]))
	for _, s := range find(big, class("step")) {
		if n := len(find(s, class("chip"))); n > mostChips+1 {
			t.Errorf("a box has %d lines", n)
		}
	}
	if n := len(find(big, class("line"))); n != 200 {
		t.Errorf("the list has %d targets, want all 200", n)
	}
}

// A log that says little or everything.
func TestRunLogs(t *testing.T) {
	t.Parallel()
	p := sampleRun()
	p.Log = LogSlice{Lines: sampleLog(501, 500, 1464).Lines, Total: 1464, Ended: true, Errors: []int{1435}}
	root := parse(t, render(t, sampleContext(), Run(p)))
	var hrefs []string
	for _, n := range find(root, tag("a")) {
		hrefs = append(hrefs, attr(n, "href"))
	}
	all := strings.Join(hrefs, "\n")
	base := TargetURL(731, "copr_build", "epel-9-x86_64")
	for _, want := range []string{base + "?from=1#log", base + "?from=1001#log", base + "?from=1415#L1435", "#L501", "/runs/101/log.txt"} {
		if !strings.Contains(all, want) {
			t.Errorf("no link to %s", want)
		}
	}
	line := find(root, func(n *html.Node) bool { return attr(n, "id") == "L506" })[0]
	if !class("bad")(line) || text(line) != "error, line 506 CMake Error at CMakeLists.txt:3 (cmake_minimum_required):" {
		t.Errorf("line 506 is %q of class %q", text(line), attr(line, "class"))
	}
	if strings.Contains(text(root), "[31m") {
		t.Error("colours of the terminal are shown as text")
	}

	p = sampleRun()
	p.Log = LogSlice{}
	if page := render(t, sampleContext(), Run(p)); !strings.Contains(page, "Only the end of the log was kept") {
		t.Error("without a log the tail of the run is not shown")
	}
}

func TestFrame(t *testing.T) {
	t.Parallel()
	ctx := sampleContext(func(f *Frame) {
		f.Theme, f.Absolute, f.Demo, f.Viewer = "dark", true, "http://127.0.0.1:8081/", &models.Viewer{Login: "ahlberg", Operator: true}
		f.Zone = time.FixedZone("UTC+2", 7200)
		f.Notice = "Koji is away until noon"
		f.JSON, f.Atom = "/queue.json", "/queue.atom"
	})
	page := render(t, ctx, Queue(sampleQueue()))
	root := parse(t, page)
	top := find(root, tag("html"))[0]
	if attr(top, "data-theme") != "dark" || attr(top, "data-times") != "absolute" || attr(top, "lang") != "en" {
		t.Errorf("html has %v", top.Attr)
	}
	for _, want := range []string{"Fedora in a box", "ahlberg", "Koji is away until noon", "Times in UTC+2", ">11:24:41</time>", `data-last="9001"`, `type="application/atom+xml" href="/queue.atom"`, ">This page as JSON</a>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	current := find(root, func(n *html.Node) bool { return n.Data == "a" && attr(n, "aria-current") == "page" })
	if len(current) != 1 || text(current[0]) != "Queue" {
		t.Errorf("%d entries of the menu are current", len(current))
	}
	if plain := render(t, sampleContext(), Help(HelpPage{})); strings.Contains(plain, "Fedora in a box") || strings.Contains(plain, "data-stream") {
		t.Error("a page that does not move opens a stream, or shows the demo outside of it")
	}
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{400: "cannot be understood", 404: "nothing at this address", 409: "Somebody was faster", 413: "too big", 429: "Too many requests", 500: "our mistake", 418: "did not work", 502: "our mistake"} {
		page := render(t, sampleContext(), Error(ErrorPage{Status: status, RequestID: "abc123", Detail: "what is wrong"}))
		for _, w := range []string{want, "abc123", "what is wrong", fmt.Sprintf("Error %d", status)} {
			if !strings.Contains(page, w) {
				t.Errorf("%d: the page does not say %q", status, w)
			}
		}
		var b bytes.Buffer
		if err := ErrorFragment(ErrorPage{Status: status}).Render(sampleContext(), &b); err != nil || strings.Contains(b.String(), "<html") {
			t.Errorf("%d: the fragment is a page, or %v", status, err)
		}
	}
}

// A version that has no page of its own stands below its state, where the line to
// the next stage does not run through it.
func TestWayCellNames(t *testing.T) {
	t.Parallel()
	ctx := sampleContext()
	for address, want := range map[string]string{"": `<span class="name">2026.<wbr>3</span>`, "https://forge.example/v3": `<a href="https://forge.example/v3"`} {
		cell := models.Cell{State: models.CellDone, Product: &models.Product{Name: "2026.3", URL: address}}
		if got := render(t, ctx, wayCell(models.UpstreamStage, cell)); !strings.Contains(got, want) || strings.Contains(got, "name") != (address == "") {
			t.Errorf("at %q: %s", address, got)
		}
	}
}

// A preview says whether a file in dist-git has a part in it.
func TestForeseenWith(t *testing.T) {
	t.Parallel()
	p := AutomationPage{Project: &models.Project{Name: "loom"}, Foresight: &models.Foresight{}}
	ctx := sampleContext()
	if got := render(t, ctx, foresight(p)); !strings.Contains(got, "as they stand in the form:") {
		t.Errorf("without a file: %s", got)
	}
	p.File.Jobs = []models.JobType{models.JobKojiBuild}
	if got := render(t, ctx, foresight(p)); !strings.Contains(got, "and the jobs of the file in dist-git:") {
		t.Errorf("with a file: %s", got)
	}
}
