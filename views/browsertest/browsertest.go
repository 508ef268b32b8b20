// Package browsertest opens pages in a real browser for tests.
package browsertest

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience is how long Until waits. It is for machines that have much to do: no
// test passes by waiting that long.
const patience = time.Minute

// Browser is a running Chromium. It ends with the test that started it.
type Browser struct {
	ctx context.Context
}

// Path is where a Chromium is installed, or empty.
func Path() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Start starts a browser. It skips the test if there is none, unless CI=true
// says that there must be.
func Start(t testing.TB) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	path := Path()
	switch {
	case path != "":
	case os.Getenv("CI") == "true":
		t.Fatal("there is no Chromium")
	default:
		t.Skip("there is no Chromium")
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	return &Browser{ctx}
}

// Tab is one page, with cookies and storage that no other tab sees. What the page
// complains about fails the test.
type Tab struct {
	testing.TB
	Ctx context.Context
}

// Tab opens an empty page for a test. Complaints that contain one of expected
// are part of the story.
func (b *Browser) Tab(t testing.TB, expected ...string) *Tab {
	t.Helper()
	ctx, cancel := b.window(t)
	t.Cleanup(cancel)
	// The tab goes when its test is over, not only when the browser does.
	ctx, stop := context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(stop)
	complain := func(text string) {
		for _, part := range expected {
			if strings.Contains(text, part) {
				return
			}
		}
		t.Errorf("the browser says: %s", text)
	}
	chromedp.ListenTarget(ctx, func(event any) {
		if ctx.Err() != nil {
			return
		}
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == cdplog.LevelError {
				complain(e.Entry.Text + " " + e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			complain(e.ExceptionDetails.Error())
		}
	})
	tab := &Tab{t, ctx}
	tab.Do(cdplog.Enable())
	return tab
}

// window opens a window with its own cookies. Some Chromiums open no tab where no
// window is, so we ask for one.
func (b *Browser) window(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	whole := cdp.WithExecutor(b.ctx, chromedp.FromContext(b.ctx).Browser)
	apart, err := target.CreateBrowserContext().Do(whole)
	if err != nil {
		t.Fatalf("opening a window: %v", err)
	}
	t.Cleanup(func() { _ = target.DisposeBrowserContext(apart).Do(whole) }) // it ends with the browser at the latest
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(apart).WithNewWindow(true).Do(whole)
	if err != nil {
		t.Fatalf("opening a window: %v", err)
	}
	return chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
}

// Open is Start and Tab for tests that need one page.
func Open(t testing.TB, expected ...string) *Tab {
	t.Helper()
	return Start(t).Tab(t, expected...)
}

// Do does something in the page, or ends the test.
func (t *Tab) Do(actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(t.Ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// Goto loads an address.
func (t *Tab) Goto(address string) {
	t.Helper()
	if err := chromedp.Run(t.Ctx, chromedp.Navigate(address)); err != nil {
		t.Fatalf("opening %s: %v", address, err)
	}
}

// Click clicks the first thing that the selector finds, once it can be seen.
func (t *Tab) Click(selector string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible)); err != nil {
		t.Fatalf("clicking %s at %s: %v", selector, t.Value("location.href"), err)
	}
}

// Follow clicks a link or sends a form, and waits for the page that it leads to.
func (t *Tab) Follow(selector string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Ctx, patience)
	defer cancel()
	click := chromedp.ActionFunc(func(ctx context.Context) error {
		for state := ""; ; time.Sleep(30 * time.Millisecond) {
			if err := chromedp.Evaluate(fmt.Sprintf(press, selector), &state).Do(ctx); err != nil {
				return fmt.Errorf("it was %s: %w", cmp.Or(state, "not looked at"), err)
			}
			if state == "pressed" {
				return nil
			}
		}
	})
	if _, err := chromedp.RunResponse(ctx, click); err != nil {
		t.Fatalf("following %s at %s: %v", selector, t.Value("location.href"), err)
	}
}

// press clicks a thing where a mouse would meet it. It looks and clicks at once: a
// page that moves between the two would be clicked beside it.
const press = `(() => {
	const el = document.querySelector(%q);
	if (!el) return "missing";
	el.scrollIntoView({ block: "center", behavior: "instant" });
	const box = [...el.getClientRects()].find(r => r.width > 0 && r.height > 0);
	if (!box || getComputedStyle(el).visibility !== "visible") return "hidden";
	const met = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
	if (!met || !(el.contains(met) || met.contains(el))) return "covered by " + (met ? met.tagName + "." + met.className : "nothing");
	el.click();
	return "pressed";
})()`

// Value is what an expression is in the page, as text. A promise is waited for.
func (t *Tab) Value(js string) string {
	t.Helper()
	var v any
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	if err := chromedp.Run(t.Ctx, chromedp.Evaluate(js, &v, await)); err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	return fmt.Sprint(v)
}

// Path is where the page is, without the host.
func (t *Tab) Path() string {
	t.Helper()
	u, err := url.Parse(t.Value("location.href"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

// Until waits for an expression to be what is wanted. While one page makes room
// for the next, there is nothing to ask; then it asks again.
func (t *Tab) Until(js, want string) {
	t.Helper()
	var got any
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if err = chromedp.Run(t.Ctx, chromedp.Evaluate(js, &got)); err == nil && fmt.Sprint(got) == want {
			return
		}
		if t.Ctx.Err() != nil {
			break
		}
	}
	t.Fatalf("%s stays %v, want %s (%v)", js, got, want, err)
}
