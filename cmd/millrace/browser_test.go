package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"millrace/views/browsertest"
)

// TestStories is what people do with the demo, in a real browser.
func TestStories(t *testing.T) {
	browser := browsertest.Start(t)
	d := startDemo(t, buildProgram(t), t.TempDir())
	for name, story := range map[string]func(*testing.T, *browsertest.Browser, *liveDemo){
		"a click passes": storyClick, "the connection breaks": storyReplay, "paused": storyPause,
		"the service is killed": storyKilled, "without scripts": storyNoScript, "a clone": storyClone,
		"searching": storySearch, "a log": storyLog, "why nothing ran": storyReasons, "errors": storyErrors,
		"keyboard": storyKeyboard, "many pages": storyManyPages,
		"automation": storyAutomate, "automation without scripts": storyAutomateNoScript,
		"steering": storySteer, "steering without the right": storyNoRight, "steering without scripts": storySteerNoScript,
		"steering from the forge": storyForge, "a release": storyRelease,
		"a hook": storyHook,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, browser, d)
		})
	}
	t.Run("accessibility", func(t *testing.T) {
		t.Parallel()
		storyAccessibility(t, browser, d)
	})
}

// demoSpeed lets a pipeline take some seconds: enough to see it move.
const demoSpeed = "4"

// liveDemo is a demo that runs beside the test.
type liveDemo struct {
	program, dir string
	URL, Box     string // without a slash at the end
	process      *exec.Cmd
	log          *lockedBuffer
}

func startDemo(t *testing.T, program, dir string) *liveDemo {
	t.Helper()
	d := &liveDemo{program: program, dir: dir, log: new(lockedBuffer)}
	d.start(t)
	t.Cleanup(func() {
		d.process.Process.Signal(syscall.SIGTERM)
		if err := d.process.Wait(); err != nil {
			t.Errorf("the demo ended badly: %v\n%s", err, d.log.tail(4000))
		}
	})
	return d
}

// start begins or goes on, and waits until the pages can be opened.
func (d *liveDemo) start(t *testing.T) {
	t.Helper()
	d.process = exec.Command(d.program, "demo", "--port", "0", "--dir", d.dir, "--speed", demoSpeed, "--builds", "simulated", "--still", "--bus", "inprocess")
	d.process.Stderr = d.log
	d.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := d.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { d.process.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, address, ok := strings.Cut(lines.Text(), "Fedora in a box: "); ok {
			address, _, _ = strings.Cut(address, " ")
			d.Box = strings.TrimSuffix(address, "/")
		}
		if address, ok := strings.CutPrefix(lines.Text(), "ready: "); ok {
			d.URL = strings.TrimSuffix(address, "/")
			go io.Copy(io.Discard, out) // ends with the demo
			return
		}
	}
	t.Fatalf("the demo does not become ready\n%s", d.log)
}

// pipelineJSON is what the tests need of a pipeline.
type pipelineJSON struct {
	ID      int64
	Attempt int
	State   string
	Ref     string
	SHA     string
	Steps   []struct {
		Kind, State string
		Targets     []struct {
			Name string
			Run  struct {
				State      string
				ExternalID string    `json:"external_id"`
				Queued     time.Time `json:"queued_at"`
				Finished   time.Time `json:"finished_at"`
			}
		}
	}
}

func (p *pipelineJSON) ended() bool {
	return p.State != "waiting" && p.State != "queued" && p.State != "running"
}

// getJSON asks the service as a program does.
func getJSON(t testing.TB, address string, into any) {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s", address, res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("it never comes to this: %s", what)
}

// open opens a pull request in the box, by its form, and returns its number.
func (d *liveDemo) open(t testing.TB, repo, scenario string) int {
	t.Helper()
	return d.post(t, "/"+repo+"/open", url.Values{"scenario": {scenario}})
}

// post sends a form of the box, and returns the number of the pull request that
// it leads to.
func (d *liveDemo) post(t testing.TB, place string, form url.Values) int {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(d.Box+place, form)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	number, err := strconv.Atoi(path.Base(res.Header.Get("Location")))
	if res.StatusCode != http.StatusSeeOther || err != nil {
		t.Fatalf("%s answers %s and leads to %q", place, res.Status, res.Header.Get("Location"))
	}
	return number
}

// pipelines are those of a pull request, the newest first.
func (d *liveDemo) pipelines(t testing.TB, repo string, pull int) []pipelineJSON {
	t.Helper()
	var list struct{ Items []pipelineJSON }
	query := url.Values{"q": {"pr:" + strconv.Itoa(pull)}, "project": {repo}}
	getJSON(t, d.URL+"/api/v3/pipelines?"+query.Encode(), &list)
	return list.Items
}

// planned waits for the pipeline of a pull request.
func (d *liveDemo) planned(t testing.TB, repo string, pull int) int64 {
	t.Helper()
	var id int64
	until(t, fmt.Sprintf("a pipeline of %s %d", repo, pull), func() bool {
		for _, p := range d.pipelines(t, repo, pull) {
			id = p.ID
		}
		return id != 0
	})
	return id
}

func (d *liveDemo) pipeline(t testing.TB, id int64) *pipelineJSON {
	t.Helper()
	p := new(pipelineJSON)
	getJSON(t, fmt.Sprintf("%s/api/v3/pipelines/%d", d.URL, id), p)
	return p
}

// ended waits for the end of a pipeline.
func (d *liveDemo) ended(t testing.TB, id int64) *pipelineJSON {
	t.Helper()
	var p *pipelineJSON
	until(t, fmt.Sprintf("the end of pipeline %d", id), func() bool {
		p = d.pipeline(t, id)
		return p.ended()
	})
	return p
}

func (d *liveDemo) pipelinePage(id int64) string { return fmt.Sprintf("%s/pipelines/%d", d.URL, id) }

const (
	helloRepo = "packit/hello-world"

	liveState = `document.querySelector("#live-state")?.dataset.live`
	stateWord = `document.title.split(" ")[0]`

	// asRead makes a function that says what a person reads in a part of a page:
	// what is different at each look, as ages are, is left out.
	asRead = `(selector => [...document.querySelectorAll(selector)].map(part => {
		const main = part.cloneNode(true);
		for (const el of main.querySelectorAll("#live, #say, script")) el.remove();
		for (const el of main.querySelectorAll("time")) { el.textContent = el.dateTime; el.removeAttribute("title"); }
		for (const el of main.querySelectorAll("[data-since]")) el.textContent = el.dataset.since;
		for (const el of main.querySelectorAll("[data-js], [hidden]")) { el.removeAttribute("data-js"); el.removeAttribute("hidden"); }
		for (const el of [main, ...main.querySelectorAll("*")]) for (const a of [...el.attributes]) if (/^(hx-|data-htmx)/.test(a.name)) el.removeAttribute(a.name);
		for (const el of [main, ...main.querySelectorAll(".htmx-request, .htmx-swapping, .htmx-settling")]) el.classList.remove("htmx-request", "htmx-swapping", "htmx-settling");
		const icon = document.querySelector("link[rel=icon]").getAttribute("href");
		return [document.title, icon, main.outerHTML.replace(/class=""/g, "").replace(/\s+/g, " ").replace(/ >/g, ">").replace(/> </g, "><")].join("\n");
	}).join("\n"))`
)

// sameAsFresh compares a page that followed what happened with the same page
// loaded now: the parts that the selectors find.
func sameAsFresh(t *testing.T, b *browsertest.Browser, tab *browsertest.Tab, selectors ...string) {
	t.Helper()
	read := fmt.Sprintf("%s(%q)", asRead, cmp.Or(strings.Join(selectors, ", "), "main"))
	fresh := b.Tab(t)
	fresh.Goto(tab.Value("location.href"))
	fresh.Until(`document.querySelector("[data-js][hidden]") === null`, "true")
	want, got := "", ""
	// The parts of a page follow one after the other.
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		fresh.Do(chromedp.Reload())
		want, got = fresh.Value(read), tab.Value(read)
		if want == got {
			return
		}
	}
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	from := max(0, i-200)
	t.Errorf("the page is not what a fresh one is:\n%s\nfresh:\n%s", got[from:min(len(got), i+300)], want[from:min(len(want), i+300)])
}

// cable is a connection to a service that can be cut.
type cable struct {
	URL string

	listener net.Listener
	target   string
	mu       sync.Mutex
	cut      bool
	open     map[net.Conn]bool
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{URL: "http://" + l.Addr().String(), listener: l, target: strings.TrimPrefix(target, "http://"), open: make(map[net.Conn]bool)}
	t.Cleanup(func() { l.Close(); c.Cut() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.join(conn)
		}
	}()
	return c
}

func (c *cable) join(near net.Conn) {
	defer near.Close()
	c.mu.Lock()
	if c.cut {
		c.mu.Unlock()
		return
	}
	far, err := net.Dial("tcp", c.target)
	if err != nil {
		c.mu.Unlock()
		return
	}
	defer far.Close()
	c.open[near], c.open[far] = true, true
	c.mu.Unlock()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // it ends when either side does
			done <- struct{}{}
		}()
	}
	<-done
	c.mu.Lock()
	delete(c.open, near)
	delete(c.open, far)
	c.mu.Unlock()
}

// Cut breaks all connections, in the middle of whatever they carry, and lets no
// other through.
func (c *cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for conn := range c.open {
		conn.Close()
	}
}

// Mend lets connections through again.
func (c *cable) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
}
