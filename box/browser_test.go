package box

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"millrace/clients/github"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a page in a real browser. What the page complains about fails the test.
func tab(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" || testing.Short() {
		t.Skip("needs a Chromium, and time")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == cdplog.LevelError {
				t.Errorf("the browser says: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("the script failed: %v", e.ExceptionDetails.Error())
		}
	})
	if err := chromedp.Run(ctx, cdplog.Enable()); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func value(t *testing.T, ctx context.Context, js string) string {
	t.Helper()
	var v any
	if err := chromedp.Run(ctx, chromedp.Evaluate(js, &v)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v)
}

// A click opens a pull request, and its page shows the checks as they come.
func TestBrowser(t *testing.T) {
	t.Parallel()
	b, _ := newBox(t)
	ctx := tab(t)
	err := chromedp.Run(ctx, chromedp.EmulateViewport(390, 800), chromedp.Navigate(b.URL()+"/"),
		chromedp.Click(`form[action="/packit/hello-world/open"] button[value="passes"]`), chromedp.WaitVisible("#live-part .empty"))
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, ctx, "location.pathname"); got != "/packit/hello-world/pull/1" {
		t.Fatalf("the click led to %s", got)
	}
	p, err := b.Forge.Pull(hello, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, _, forge := clients(b)
	if _, err := forge.CreateCheckRun(t.Context(), repoNamed(hello), github.CheckRun{Name: "rpm-build:fedora-44-x86_64", HeadSHA: p.HeadSHA,
		Status: github.Completed, Conclusion: "failure", Title: "RPMs failed to be built.", Summary: "So it is.", DetailsURL: b.URL() + "/"}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Run(ctx, chromedp.Evaluate(`window.kept = true; 0`, nil), chromedp.WaitVisible(`#live-part .run [data-s="failed"]`)); err != nil {
		t.Fatal(err)
	}
	if got := value(t, ctx, `window.kept + " " + document.querySelector(".run strong").textContent`); got != "true rpm-build:fedora-44-x86_64" {
		t.Errorf("the page shows %q, or was loaded again", got)
	}
	for _, path := range []string{"/", "/packit/hello-world", "/packit/hello-world/pull/1", "/copr/", "/-/webhooks"} {
		if err := chromedp.Run(ctx, chromedp.Navigate(b.URL()+path)); err != nil {
			t.Fatal(err)
		}
		if got := value(t, ctx, "document.documentElement.scrollWidth <= innerWidth"); got != "true" {
			t.Errorf("%s is wider than a phone", path)
		}
	}
}
