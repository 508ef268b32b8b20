package views

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/models"
	"millrace/static"
	"millrace/views/browsertest"

	"github.com/a-h/templ"
	"github.com/chromedp/chromedp"
)

// site serves sample pages the way handlers do: fragments by a parameter, one
// stream of changes, the policy on everything.
type site struct {
	*httptest.Server

	mu       sync.Mutex
	pipeline PipelinePage
	run      RunPage
	project  ProjectPage
	names    []string
	last     int64
	sent     []string // all messages so far; the n-th has the id n
	open     map[chan string]bool
	refuse   bool
	refused  int
	resumed  []string // what streams were asked to continue after
	asked    []string // fragments
}

func newSite(t *testing.T) *site {
	s := &site{pipeline: samplePipelinePage(), run: sampleRun(), project: sampleProjectPage(), names: []string{"ferryman", "ferry-bell", "cellar"}, open: make(map[chan string]bool)}
	s.run.Log.Ended = false
	mux := http.NewServeMux()
	mux.Handle(static.Prefix, static.Handler())
	mux.HandleFunc("/live", s.live)
	mux.HandleFunc("/pipelines/731", func(w http.ResponseWriter, r *http.Request) { s.show(w, r, s.pipelinePart) })
	mux.HandleFunc(TargetURL(731, "copr_build", "epel-9-x86_64"), func(w http.ResponseWriter, r *http.Request) { s.show(w, r, s.runPart) })
	mux.HandleFunc(ProjectURL(sampleProject()), func(w http.ResponseWriter, r *http.Request) { s.show(w, r, s.projectPart) })
	mux.HandleFunc("/times", func(w http.ResponseWriter, r *http.Request) { s.show(w, r, timesPart) })
	mux.HandleFunc("/projects", func(w http.ResponseWriter, r *http.Request) { s.show(w, r, s.projectsPart) })
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.cut(); s.CloseClientConnections(); s.Close() })
	return s
}

func (s *site) show(w http.ResponseWriter, r *http.Request, part func(*http.Request) templ.Component) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fragment := r.URL.Query().Get("fragment")
	if fragment != "" {
		s.asked = append(s.asked, fragment)
	}
	component := part(r)
	if component == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	ctx := WithFrame(r.Context(), Frame{Now: time.Now(), Path: r.RequestURI, LastEvent: s.last})
	_ = component.Render(ctx, w) // the browser is gone if this fails
}

func (s *site) pipelinePart(r *http.Request) templ.Component {
	p := s.pipeline
	switch r.URL.Query().Get("fragment") {
	case "":
		return Pipeline(p)
	case "head":
		return PipelineHead(p)
	case "facts":
		return PipelineFacts(p)
	case "plan":
		return PipelinePlan(p)
	case "failure":
		return PipelineFailure(p)
	case "steps":
		return PipelineSteps(p)
	case "history":
		return PipelineHistory(p)
	}
	return nil
}

func (s *site) runPart(r *http.Request) templ.Component {
	p := s.run
	switch r.URL.Query().Get("fragment") {
	case "":
		return Run(p)
	case "lines":
		from, _ := strconv.Atoi(r.URL.Query().Get("from"))
		var lines []LogLine
		for _, l := range p.Log.Lines {
			if l.N >= from {
				lines = append(lines, l)
			}
		}
		return RunLogLines(lines)
	case "log":
		return RunLogCount(p)
	case "logbox":
		return RunLog(p)
	case "head":
		return RunHead(p)
	case "facts":
		return RunFacts(p)
	case "aside":
		return RunAside(p)
	}
	return nil
}

func (s *site) projectPart(r *http.Request) templ.Component {
	switch r.URL.Query().Get("fragment") {
	case "":
		return Project(s.project)
	case "facts":
		return ProjectFacts(s.project)
	case "pulls":
		return ProjectPulls(s.project)
	case "rows":
		return ProjectPipelines(s.project)
	}
	return nil
}

// timesPart has ages and lengths of all sizes.
func timesPart(*http.Request) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		now := FrameOf(ctx).Now
		var parts []templ.Component
		for _, age := range []time.Duration{10 * time.Second, 70 * time.Second, 8*m + 10*time.Second, 58 * m, 59*m + 40*time.Second, 5 * time.Hour, 23*time.Hour + 20*m, 23*time.Hour + 40*m, 50 * time.Hour, 6 * 24 * time.Hour, -5*m - 10*time.Second, -10 * time.Second, -30 * time.Hour} {
			parts = append(parts, when(now.Add(-age)))
		}
		parts = append(parts, when(time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC))) // a date, the same at every look
		for _, length := range []time.Duration{0, 5 * time.Second, 75 * time.Second, 4*m + 10*time.Second, time.Hour + 10*time.Second, 3*time.Hour + 4*m + 10*time.Second, 50*time.Hour + 10*time.Second} {
			parts = append(parts, ticking(now.Add(-length), false), ticking(now.Add(-length), true))
		}
		return frame(page{Name: "Times"}).Render(templ.WithChildren(ctx, templ.Join(parts...)), w)
	})
}

func (s *site) projectsPart(r *http.Request) templ.Component {
	p := ProjectsPage{Query: r.URL.Query().Get("q")}
	for _, n := range s.names {
		if strings.Contains(n, p.Query) {
			p.Rows = append(p.Rows, &models.ProjectRow{Project: &models.Project{Forge: "f.example", Namespace: "tidewater", Name: n}})
		}
	}
	if r.URL.Query().Get("fragment") == "rows" {
		return ProjectRows(p)
	}
	return Projects(p)
}

func (s *site) live(w http.ResponseWriter, r *http.Request) {
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("since")
	}
	s.mu.Lock()
	if s.refuse {
		s.refused++
		s.mu.Unlock()
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	s.resumed = append(s.resumed, after)
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 200\n\n")
	if n, err := strconv.Atoi(after); err == nil {
		for _, message := range s.sent[min(n, len(s.sent)):] {
			fmt.Fprint(w, message)
		}
	}
	mine := make(chan string, 16)
	s.open[mine] = true
	s.mu.Unlock()
	flusher := w.(http.Flusher)
	flusher.Flush()
	defer func() {
		s.mu.Lock()
		delete(s.open, mine)
		s.mu.Unlock()
	}()
	for {
		select {
		case <-r.Context().Done():
			return
		case message, ok := <-mine:
			if !ok {
				return
			}
			fmt.Fprint(w, message)
			flusher.Flush()
		}
	}
}

// change alters what is shown and says so.
func (s *site) change(event, data string, alter func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changeLocked(event, data, alter)
}

func (s *site) changeLocked(event, data string, alter func()) {
	if alter != nil {
		alter()
	}
	s.last++
	message := fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", s.last, event, data)
	s.sent = append(s.sent, message)
	for c := range s.open {
		c <- message
	}
}

// cut ends all streams, as a restart does.
func (s *site) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		close(c)
		delete(s.open, c)
	}
}

// waitForRefusal waits until a browser that came back by itself was sent away,
// so that the script has to open a new stream.
func (s *site) waitForRefusal() {
	for range 200 {
		s.mu.Lock()
		n := s.refused
		s.mu.Unlock()
		if n > 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// browse opens a tab. That a service which is away answers with 503 is part of
// the stories here.
func browse(t *testing.T) *browsertest.Tab {
	t.Helper()
	return browsertest.Open(t, "503")
}

const liveState = `document.querySelector("#live-state").dataset.live`

// A pipeline page follows what happens, keeps the reader's place, survives
// restarts of the service, and stands still when it is told to.
func TestLivePage(t *testing.T) {
	t.Parallel()
	s, b := newSite(t), browse(t)
	b.Do(chromedp.Navigate(s.URL + "/pipelines/731"))
	b.Until(liveState, "on")
	s.mu.Lock()
	if n := len(s.open); n != 1 {
		b.Errorf("%d streams are open, want 1", n)
	}
	s.mu.Unlock()
	b.Do(chromedp.Evaluate(`window.kept = document.querySelector(".line a"); kept.focus(); document.querySelector("details.menu").open = true; 0`, nil))

	passed := func(v int64) func() {
		return func() {
			p := s.pipeline.Pipeline
			p.Version, p.State = v, models.Failed
			p.Steps[3].State = models.Passed
			p.FinishedAt = time.Now()
		}
	}
	s.change("changed", `{"topic":"pipeline:731","object":"pipeline","version":32}`, passed(32))
	b.Until(`document.title`, "Failed · ferryman PR 214 · Millrace")
	b.Until(`document.querySelector("link[rel=icon]").getAttribute("href")`, static.Favicon("failed"))
	b.Until(`document.querySelector("#step-tests\\:basic .st").textContent.trim()`, "Passed")
	b.Until(`document.querySelector("#say").textContent`, "Failed · ferryman PR 214 · Millrace")
	if got := b.Value(`[document.activeElement === kept, kept.isConnected, document.querySelector("details.menu").open].join()`); got != "true,true,true" {
		b.Errorf("focus kept, element kept, menu open = %s", got)
	}

	// What is known is not fetched again, and other topics are not ours. Parts
	// that were just fetched rest for a second first.
	time.Sleep(1100 * time.Millisecond)
	s.mu.Lock()
	s.asked = nil
	s.mu.Unlock()
	s.change("changed", `{"topic":"pipeline:731","object":"pipeline","version":32}`, nil)
	s.change("changed", `{"topic":"pipeline:8","object":"pipeline","version":99}`, nil)
	s.change("changed", `not JSON`, nil)
	time.Sleep(300 * time.Millisecond)
	s.mu.Lock()
	if len(s.asked) > 0 {
		b.Errorf("fetched %v without need", s.asked)
	}
	s.refuse = true
	s.mu.Unlock()

	// The service restarts; what happened meanwhile is made up for.
	s.cut()
	b.Until(liveState, "lost")
	b.Until(`document.querySelector("#live-state").textContent`, "Live updates off, connecting; as of")
	s.waitForRefusal()
	s.change("changed", `{"topic":"pipeline:731","object":"pipeline","version":33}`, func() {
		s.pipeline.Pipeline.Version, s.pipeline.Pipeline.State = 33, models.Passed
		s.refuse = false
	})
	b.Until(liveState, "on")
	b.Until(`document.title.split(" ")[0]`, "Passed")
	s.mu.Lock()
	if got := s.resumed[len(s.resumed)-1]; got != "4" {
		b.Errorf("the stream was continued after %q, want 4", got)
	}
	s.mu.Unlock()

	// Paused means paused, also for the next page; going live catches up.
	b.Do(chromedp.Evaluate(`document.querySelector("#live-switch").click()`, nil))
	b.Until(liveState, "paused")
	s.change("changed", `{"topic":"pipeline:731","object":"pipeline","version":34}`, func() {
		s.pipeline.Pipeline.Version, s.pipeline.Pipeline.State = 34, models.Error
	})
	time.Sleep(200 * time.Millisecond)
	s.mu.Lock()
	if n := len(s.open); n != 0 {
		b.Errorf("%d streams are open while paused", n)
	}
	s.mu.Unlock()
	if got := b.Value(`document.title.split(" ")[0]`); got != "Passed" {
		b.Errorf("a paused page changed to %s", got)
	}
	b.Do(chromedp.Reload())
	b.Until(liveState, "paused")
	s.change("changed", `{"topic":"pipeline:731","object":"pipeline","version":35}`, func() {
		s.pipeline.Pipeline.Version, s.pipeline.Pipeline.State = 35, models.Canceled
	})
	b.Do(chromedp.Evaluate(`document.querySelector("#live-switch").click()`, nil))
	b.Until(`document.title.split(" ")[0]`, "Canceled")

	// Too much was missed: everything is fetched again.
	s.change("resync", `{}`, func() { s.pipeline.Pipeline.State = models.Superseded })
	b.Until(`document.title.split(" ")[0]`, "Superseded")
}

// A page that was opened while the service was away becomes live later, and
// hears what it missed.
func TestLiveAfterAll(t *testing.T) {
	t.Parallel()
	s, b := newSite(t), browse(t)
	s.refuse = true
	b.Do(chromedp.Navigate(s.URL + "/pipelines/731"))
	s.waitForRefusal()
	s.change("changed", `{"topic":"pipeline:731","object":"pipeline","version":32}`, func() {
		s.pipeline.Pipeline.Version, s.pipeline.Pipeline.State = 32, models.Passed
	})
	s.mu.Lock()
	s.last, s.refuse = 1, false
	s.mu.Unlock()
	b.Until(liveState, "on")
	b.Until(`document.title.split(" ")[0]`, "Passed")
}

// Swaps leave open what the reader opened.
func TestOpenDetailsStayOpen(t *testing.T) {
	t.Parallel()
	s, b := newSite(t), browse(t)
	b.Do(chromedp.Navigate(s.URL + ProjectURL(sampleProject())))
	b.Until(liveState, "on")
	b.Do(chromedp.Evaluate(`document.querySelector("details.ref").open = true; document.querySelector("details.ref li a").focus(); 0`, nil))
	s.change("changed", `{"topic":"project:7","object":"project"}`, func() { s.project.Pulls.Rows[0].Commit.Title = "A better title" })
	b.Until(`document.querySelector("details.ref .grow").textContent.includes("A better title")`, "true")
	if got := b.Value(`[document.querySelector("details.ref").open, document.activeElement.textContent.trim()].join()`); got != "true,Pipeline 731" {
		b.Errorf("open, focus = %s", got)
	}
}

func TestLogInBrowser(t *testing.T) {
	t.Parallel()
	s, b := newSite(t), browse(t)
	place := s.URL + TargetURL(731, "copr_build", "epel-9-x86_64")
	b.Do(chromedp.Navigate(place + "#L1430-L1432"))
	b.Until(liveState, "on")
	b.Until(`[...document.querySelectorAll(".picked")].map(l => l.id).join()`, "L1430,L1431,L1432")
	b.Until(`document.querySelector("#copy-lines").hidden`, "false")

	s.change("changed", `{"topic":"log:101","object":"log"}`, func() {
		s.run.Log.Lines = append(s.run.Log.Lines, LogLine{1465, "one more"}, LogLine{1466, "and another"})
		s.run.Log.Total = 1466
	})
	b.Until(`document.querySelector(".log ol").lastElementChild.textContent.trim().endsWith("and another")`, "true")
	b.Until(`document.querySelector("#run-log-count").textContent.trim().startsWith("The end of 1466 lines, growing")`, "true")
	if got := b.Value(`document.querySelectorAll(".log li").length`); got != "42" {
		b.Errorf("%s lines, want 42", got)
	}

	// A line that is not here is looked for where it is, and only once.
	b.Do(chromedp.Navigate("about:blank"), chromedp.Navigate(place+"#L100"))
	b.Until(`location.search`, "?from=80")
}

func TestFilterAsYouType(t *testing.T) {
	t.Parallel()
	s, b := newSite(t), browse(t)
	b.Do(chromedp.Navigate(s.URL+"/projects"), chromedp.SendKeys("#project-query", "ferry", chromedp.ByQuery))
	b.Until(`document.querySelectorAll("#projects-list tbody tr").length`, "2")
	b.Until(`location.search`, "?q=ferry")
	if got := b.Value(`document.activeElement.id + " " + document.activeElement.value`); got != "project-query ferry" {
		b.Errorf("the focus is at %q", got)
	}
	b.Do(chromedp.Reload())
	b.Until(`document.querySelectorAll("#projects-list tbody tr").length`, "2")
}

// The script that counts on says the same as the server.
func TestTicking(t *testing.T) {
	t.Parallel()
	s, b := newSite(t), browse(t)
	b.Do(chromedp.Navigate(s.URL + "/times"))
	b.Until(`document.querySelector("[data-js][hidden]") === null`, "true")
	const texts = `[...root.querySelectorAll("time[data-abs], [data-since]")].map(t => t.textContent.trim()).join("\n")`
	// what the script made of the page, and the page again as the server has it now
	b.Until(`((root) => `+texts+`)(document).length > 100`, "true")
	b.Do(chromedp.Evaluate(`window.from = ""; fetch(location.href).then(r => r.text()).then(h => {
		const root = new DOMParser().parseFromString(h, "text/html");
		window.from = `+texts+`;
	}); 0`, nil))
	b.Until(`window.from.length > 100`, "true")
	first := strings.Split(b.Value("window.from"), "\n")
	got := strings.Split(b.Value(`((root) => `+texts+`)(document)`), "\n")
	for i := range first {
		// seconds go on while we look, so only their shape is compared
		seconds := strings.HasSuffix(first[i], " s")
		if shape(got[i]) != shape(first[i]) || !seconds && got[i] != first[i] {
			b.Errorf("the script says %q where the server says %q", got[i], first[i])
		}
	}
}

var digits = regexp.MustCompile(`\d+`)

func shape(s string) string { return digits.ReplaceAllString(s, "#") }

func TestDisplayChoices(t *testing.T) {
	t.Parallel()
	s, b := newSite(t), browse(t)
	b.Do(chromedp.Navigate(s.URL + "/pipelines/731"))
	b.Until(liveState, "on")
	b.Do(chromedp.Evaluate(`document.querySelector("button[name=theme][value=dark]").click(); document.querySelector("button[name=times][value=absolute]").click(); 0`, nil))
	b.Until(`document.documentElement.dataset.theme + " " + document.documentElement.dataset.times`, "dark absolute")
	b.Until(`[/theme=dark/, /times=absolute/, /tz=/].every(c => c.test(document.cookie))`, "true")
	b.Until(`document.querySelector("#pipeline-facts time").textContent === document.querySelector("#pipeline-facts time").dataset.abs`, "true")
	b.Do(chromedp.KeyEvent("/"))
	b.Until(`document.activeElement.id`, "seek")
}

// What is on its way when the reader stops a page does not change it any more.
func TestPausedMeansNow(t *testing.T) {
	t.Parallel()
	s, b := newSite(t), browse(t)
	b.Goto(s.URL + "/pipelines/731")
	b.Until(liveState, "on")
	time.Sleep(1100 * time.Millisecond) // parts that were just fetched rest for a second
	s.mu.Lock()                         // nothing is answered while we hold this
	s.changeLocked("changed", `{"topic":"pipeline:731","object":"pipeline","version":32}`, func() {
		s.pipeline.Pipeline.Version, s.pipeline.Pipeline.State = 32, models.Passed
	})
	b.Until(`document.querySelector("#pipeline-head.htmx-request") !== null`, "true")
	b.Do(chromedp.Evaluate(`document.querySelector("#live-switch").click()`, nil))
	s.mu.Unlock()
	b.Until(`document.querySelector(".htmx-request") === null`, "true")
	if got := b.Value(`document.title.split(" ")[0]`); got == "Passed" {
		b.Error("the page changed after it was stopped")
	}
	b.Do(chromedp.Evaluate(`document.querySelector("#live-switch").click()`, nil))
	b.Until(`document.title.split(" ")[0]`, "Passed")
}
