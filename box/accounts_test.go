package box

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"millrace/clients/fas"
	"millrace/views/browsertest"
)

// visitors is a service that people of the box log in to.
type visitors struct {
	*httptest.Server
	box *Box

	mu     sync.Mutex // above what follows
	client *fas.Client
	begun  *fas.Attempt
}

func newVisitors(t *testing.T) *visitors {
	t.Helper()
	v := new(visitors)
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	v.box = open(t, seeded(t), nil, func(o *Options) { o.ServiceURL = v.URL })
	a := v.box.Access()
	v.client = &fas.Client{Issuer: a.Issuer, ID: a.ClientID, Secret: a.ClientSecret, RedirectURL: v.URL + LoginCallback}
	return v
}

func (v *visitors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch r.URL.Path {
	case "/login":
		attempt, to, err := v.client.Begin(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		v.begun = attempt
		http.Redirect(w, r, to, http.StatusFound)
	case LoginCallback:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		person, err := v.client.Finish(r.Context(), v.begun, r.URL.Query())
		if err != nil {
			io.WriteString(w, "<link rel=icon href=data:,><p id=who>nobody: "+err.Error())
			return
		}
		io.WriteString(w, "<link rel=icon href=data:,><p id=who>"+person.Login+" "+strings.Join(person.Groups, ","))
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func TestAccountPages(t *testing.T) {
	t.Parallel()
	v := newVisitors(t)
	get := func(path string, status int, words ...string) string {
		t.Helper()
		res, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status {
			t.Errorf("%s: %s", path, res.Status)
		}
		for _, w := range words {
			if !strings.Contains(string(body), w) {
				t.Errorf("%s does not have %q", path, w)
			}
		}
		return res.Request.URL.Query().Get("request")
	}
	b := v.box.URL()
	get(b+"/accounts/", 200, "Olga Ferrante", operatorGroup, "nils", "/login?back=/")
	id := get(v.URL+"/login", 200, "Who are you?", "Maren Voss", "person=pavel")
	get(b+"/accounts/login?request="+id+"&person=nobody", 200, "Who are you?")
	get(b+"/accounts/login?request="+id+"&person=pavel", 200, "as Pavel Dvořák?", "the groups you are in", "Refuse")
	get(b+"/accounts/login?request=none", 422, "This login is over")
	post := func(form url.Values) (int, string) {
		t.Helper()
		res, err := http.PostForm(b+"/accounts/login", form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, _ := post(url.Values{"request": {id}, "person": {"nobody"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("nobody logs in: status %d", status)
	}
	if _, body := post(url.Values{"request": {id}, "person": {"pavel"}}); !strings.HasSuffix(body, "pavel fedora-contributor,packager") {
		t.Errorf("came back as %s", body)
	}
	if status, _ := post(url.Values{"request": {id}, "person": {"olga"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("a login that is over: status %d", status)
	}
	id = get(v.URL+"/login", 200)
	if _, body := post(url.Values{"request": {id}, "refuse": {"1"}}); !strings.Contains(body, "nobody: ") || !strings.Contains(body, "access_denied") {
		t.Errorf("a refusal: %s", body)
	}

	// The service moves; only where it is now are people sent.
	v.box.SetService("http://127.0.0.1:1")
	get(v.URL+"/login", 400, "not registered")
}

// TestLoginInABrowser: policies of the pages let a real browser all the way back.
func TestLoginInABrowser(t *testing.T) {
	t.Parallel()
	page := browsertest.Open(t)
	v := newVisitors(t)
	page.Goto(v.URL + "/login")
	page.Do(
		chromedp.Click(`//a[text()="Olga Ferrante"]`, chromedp.BySearch),
		chromedp.Click("#allow", chromedp.ByQuery),
		chromedp.WaitVisible("#who", chromedp.ByQuery),
	)
	if got := page.Value(`document.querySelector("#who").textContent`); !strings.HasPrefix(got, "olga ") || !strings.Contains(got, operatorGroup) {
		t.Errorf("came back as %q", got)
	}
}
