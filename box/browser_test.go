package box

import (
	"testing"

	"millrace/clients/github"
	"millrace/views/browsertest"

	"github.com/chromedp/chromedp"
)

// A click opens a pull request, and its page shows the checks as they come.
func TestBrowser(t *testing.T) {
	t.Parallel()
	b, _ := newBox(t)
	tab := browsertest.Open(t)
	tab.Do(chromedp.EmulateViewport(390, 800), chromedp.Navigate(b.URL()+"/"),
		chromedp.Click(`form[action="/packit/hello-world/open"] button[value="passes"]`), chromedp.WaitVisible("#live-part .empty"))
	if got := tab.Value("location.pathname"); got != "/packit/hello-world/pull/1" {
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
	tab.Do(chromedp.Evaluate(`window.kept = true; 0`, nil), chromedp.WaitVisible(`#live-part .run [data-s="failed"]`))
	if got := tab.Value(`window.kept + " " + document.querySelector(".run strong").textContent`); got != "true rpm-build:fedora-44-x86_64" {
		t.Errorf("the page shows %q, or was loaded again", got)
	}
	for _, path := range []string{"/", "/packit/hello-world", "/packit/hello-world/pull/1", "/copr/", "/-/webhooks"} {
		tab.Goto(b.URL() + path)
		if got := tab.Value("document.documentElement.scrollWidth <= innerWidth"); got != "true" {
			t.Errorf("%s is wider than a phone", path)
		}
	}
}
