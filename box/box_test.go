package box

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/copr"
	"millrace/clients/fedbus"
	"millrace/clients/fedmsg"
	"millrace/clients/github"
	"millrace/clients/github/githubfake"
	"millrace/clients/koji/kojifake"
	"millrace/clients/testingfarm"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

// service is what the box tells things to.
type service struct {
	*httptest.Server
	secret string

	mu       sync.Mutex
	webhooks []*models.Delivery
	bus      []busMessage
	notes    []string // requests that Testing Farm spoke of
	status   int      // what it answers; 202 if zero
	bad      []string // what should not have come
}

type busMessage struct {
	token, topic string
	message      copr.Message
}

func newService(t *testing.T) *service {
	s := &service{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST "+GitHubHook, func(w http.ResponseWriter, r *http.Request) {
		s.receive(w, r, func(body []byte) error {
			d, err := github.ParseWebhook(r.Header, body, []string{s.secret})
			if err == nil && !slices.ContainsFunc(s.webhooks, func(old *models.Delivery) bool { return old.Key == d.Key }) {
				s.webhooks = append(s.webhooks, d)
			}
			return err
		})
	})
	mux.HandleFunc("POST "+BusHook, func(w http.ResponseWriter, r *http.Request) {
		s.receive(w, r, func(body []byte) error {
			in, err := fedmsg.ParseEnvelope(body)
			if err != nil || in.ID == "" {
				return fmt.Errorf("message %s: %v", body, err)
			}
			m, err := copr.ParseMessage(fedbus.Name(in.Topic), in.Body)
			s.bus = append(s.bus, busMessage{r.Header.Get("Authorization"), in.Topic, m})
			return err
		})
	})
	mux.HandleFunc("POST "+TestingFarmHook, func(w http.ResponseWriter, r *http.Request) {
		s.receive(w, r, func(body []byte) error {
			id, _, err := testingfarm.ParseNotification(body)
			s.notes = append(s.notes, id)
			return err
		})
	})
	// Below a path of its own: what another test still sends to a service that had
	// this port before is not for this one.
	own := "/" + rand.Text()
	s.Server = httptest.NewServer(http.StripPrefix(own, mux))
	s.URL += own
	t.Cleanup(s.Close)
	return s
}

func (s *service) receive(w http.ResponseWriter, r *http.Request, keep func([]byte) error) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	if err == nil {
		err = keep(body)
	}
	if err != nil {
		s.bad = append(s.bad, err.Error())
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (s *service) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// told lists the webhooks of one kind.
func (s *service) told(kind string) []*models.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*models.Delivery
	for _, d := range s.webhooks {
		if d.Type == kind {
			found = append(found, d)
		}
	}
	return found
}

func (s *service) messages() []busMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bus)
}

// open starts a simulated box in a directory.
func open(t *testing.T, dir string, s *service, change func(*Options)) *Box {
	t.Helper()
	o := Options{Dir: dir, Builds: BuildsSimulated}
	if s != nil {
		o.ServiceURL = s.URL
	}
	if change != nil {
		change(&o)
	}
	b, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if s != nil {
		s.mu.Lock()
		s.secret = b.Access().WebhookSecret
		s.mu.Unlock()
	}
	return b
}

func newBox(t *testing.T) (*Box, *service) {
	s := newService(t)
	return open(t, seeded(t), s, nil), s
}

// seeded is a directory with the repositories in it, which are made once for
// all tests.
func seeded(t *testing.T) string {
	t.Helper()
	made, err := template()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "forge"), os.DirFS(filepath.Join(made, "forge"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

var template = sync.OnceValues(func() (string, error) {
	b, err := Start(context.Background(), Options{Dir: filepath.Join(temporary, "template"), Builds: BuildsSimulated})
	if err != nil {
		return "", err
	}
	return b.options.Dir, b.Close()
})

var temporary string

func TestMain(m *testing.M) {
	if dir := os.Getenv("BOX_TO_KILL"); dir != "" {
		live(dir)
	}
	dir, err := os.MkdirTemp("", "box-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	temporary = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not happen: %s", what)
		}
	}
}

// get reads a page.
func get(t *testing.T, address string) (status int, header http.Header, body string) {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

// post sends a form and returns where it leads.
func post(t *testing.T, address string, values url.Values) (status int, to, body string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(address, values)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(text)
}

func clients(b *Box) (*copr.Client, *testingfarm.Client, *github.Client) {
	a := b.Access()
	return &copr.Client{BaseURL: a.CoprURL, Login: a.CoprLogin, Token: a.CoprToken},
		&testingfarm.Client{BaseURL: a.TestingFarmURL, Token: a.TestingFarmToken},
		&github.Client{BaseURL: a.GitHubAPI, AppID: a.AppID, PrivateKey: a.AppKey}
}

// What the box gives access to can be used with it.
func TestAccess(t *testing.T) {
	t.Parallel()
	b, _ := newBox(t)
	c, farm, forge := clients(b)
	if user, err := c.User(t.Context()); err != nil || user != b.Access().CoprOwner {
		t.Errorf("Copr's user = %q, %v", user, err)
	}
	if composes, err := farm.Composes(t.Context(), "public"); err != nil || len(composes) == 0 {
		t.Errorf("composes = %v, %v", composes, err)
	}
	repo := github.Repo{Owner: "packit", Name: "hello-world"}
	text, err := forge.File(t.Context(), repo, "main", ".packit.yaml", 1<<16)
	if err != nil || !strings.Contains(string(text), "copr_build") {
		t.Errorf("config = %q, %v", text, err)
	}
	built := kojifake.Spec{Name: "hello-world", Version: "1.3.0", Release: "1.fc44"}
	if _, err := b.Koji.AddBuild("packit", built, "f44-updates-candidate"); err != nil {
		t.Fatal(err)
	}
	updates := &bodhi.Client{BaseURL: b.Access().BodhiURL, Account: &bodhi.Account{
		Issuer:    b.Access().BodhiURL + "/openidc",
		Negotiate: bodhifake.Negotiate("packit"),
	}}
	releases, err := updates.Releases(t.Context())
	if err != nil || len(releases) == 0 {
		t.Errorf("releases = %v, %v", releases, err)
	}
	saved, err := updates.CreateUpdate(t.Context(), &bodhi.Draft{Builds: []string{built.NVR()}, Notes: "New.", Type: "enhancement"})
	if err != nil {
		t.Fatalf("submitting an update: %v", err)
	}
	if found, err := updates.Update(t.Context(), saved.Updates[0].Alias); err != nil || !strings.HasPrefix(found.URL, b.Access().BodhiURL+"/updates/FEDORA-") {
		t.Errorf("the update = %+v, %v", found, err)
	}
	want := []Namespace{{"fedora-crafts", true}, {"mill", true}, {"millhouse", true}, {"osbuild-demo", true}, {"packit", true}, {"windmill-club", false}}
	if d := cmp.Diff(want, b.Namespaces()); d != "" {
		t.Errorf("namespaces (-want +got):\n%s", d)
	}
}

var inline = regexp.MustCompile(`(?i)<style|\sstyle=|<script(?:>|\s[^>]*[^>\s]>[^<])|\son[a-z]+="|javascript:`)

// Addresses of the service's made-up history say what they are.
func TestMadeUpPast(t *testing.T) {
	t.Parallel()
	b := open(t, seeded(t), newService(t), func(o *Options) { o.Past = []string{"teemtee/tmt", "packit/hello-world"} })
	for path, want := range map[string]struct {
		status int
		words  string
	}{
		"/teemtee/tmt": {200, "It never happened"}, "/teemtee/tmt/pull/7": {200, "It never happened"}, "/rosa/tmt": {200, "It never happened"},
		"/teemtee": {200, "It never happened"}, "/copr/coprs/build/7000001/": {200, "It never happened"},
		"/packit/hello-world": {200, "Greets the world"}, "/packit/none": {404, "There is nothing"}, "/nobody": {404, "There is nothing"},
	} {
		res, err := http.Get(b.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != want.status || !strings.Contains(string(body), want.words) {
			t.Errorf("%s: status %d, %v; want %d and %q", path, res.StatusCode, err, want.status, want.words)
		}
	}
	res, err := http.Post(b.URL()+"/teemtee/tmt/pulls", "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode == http.StatusOK {
		t.Error("something can be done to what never was")
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	b, s := newBox(t)
	p, err := b.Open(t.Context(), hello, BreaksBuild)
	if err != nil {
		t.Fatal(err)
	}
	c, farm, _ := clients(b)
	build := submit(t, b, c, hello, p.Number, "hello-world", "fedora-43-x86_64")
	await(t, c, build)
	request, err := farm.Create(t.Context(), testingfarm.Submission{Key: "k", Test: testingfarm.Test{URL: b.URL() + "/" + hello, Ref: "main"},
		Environments: []testingfarm.Environment{{Arch: "x86_64", Compose: "Fedora-44"}}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the bus is quiet", func() bool { return len(s.messages()) >= 4 })
	delivery, message := b.Forge.Deliveries()[0], b.bus.list()[0]
	tests := []struct {
		path   string
		status int
		words  []string
	}{
		{"/", 200, []string{"packit/hello-world", "Breaks a build in one chroot", "pull_request opened", "Loses messages"}},
		{"/packit", 200, []string{"packit/hello-world"}},
		{"/fedora/", 200, []string{"rpms/hello-world", "fedora-crafts/loom", "A week passes", "No updates yet"}},
		{"/anitya/", 200, []string{"almanac", "loom"}}, {"/anitya/project/0/", 404, nil},
		{"/bugzilla/show_bug.cgi?id=1", 404, nil},
		{"/packit/hello-world", 200, []string{"git clone " + b.URL() + "/packit/hello-world.git", "hello-world.spec", "1.2.0", "Read names with readarray -d"}},
		{"/packit/hello-world/pulls", 200, []string{"#1"}},
		{"/packit/hello-world/tree/1.0.0", 200, []string{"Files of 1.0.0"}},
		{"/packit/hello-world/tree/none", 404, []string{"nothing at this address"}},
		{"/packit/hello-world/blob/main/.packit.yaml", 200, []string{"job: copr_build"}},
		{"/packit/hello-world/blob/main/../../../etc/passwd", 404, nil},
		{"/packit/hello-world/blob/main/%2e%2e/secret", 404, nil},
		{"/packit/hello-world/commit/" + p.HeadSHA, 200, []string{"Read names", "+1"}},
		{"/packit/hello-world/commit/--help", 404, nil},
		{"/packit/hello-world/pull/1", 200, []string{"hello-world.spec", "No checks yet", "Push another commit", "%{?fc44:echo"}},
		{"/packit/hello-world/pull/1?refresh=1", 200, []string{`http-equiv="refresh"`}},
		{"/packit", 200, []string{"Install the App anew", "remy-falk"}},
		{"/packit/hello-world/issues/99", 404, nil},
		{"/packit/hello-world/pull/99", 404, nil},
		{"/packit/hello-world/pull/99999999999999999999", 404, nil},
		{"/nobody/nothing", 404, []string{"Not Found"}},
		{"/copr/", 200, []string{fmt.Sprint(build), "millrace/p1"}},
		{"/copr/coprs/millrace/p1/", 200, []string{"fedora-43-x86_64"}},
		{"/copr/coprs/millrace/none/", 404, nil},
		{fmt.Sprintf("/copr/coprs/build/%d/", build), 200, []string{"hello-world 1.2.0-1", "succeeded", "source package"}},
		{"/copr/coprs/build/1/", 404, nil},
		{"/testing-farm/", 200, []string{short(request.ID), "Fedora-44"}},
		{"/bodhi/", 200, []string{"Fedora"}},
		{"/-/webhooks", 200, []string{"installation created"}},
		{fmt.Sprintf("/-/webhooks/%d", delivery.ID), 200, []string{delivery.GUID, "Send it again"}},
		{"/-/webhooks/1", 404, nil},
		{"/-/bus", 200, []string{"org.fedoraproject.prod.copr.build.end"}},
		{fmt.Sprintf("/-/bus/%d", message.Seq), 200, []string{message.ID, "&#34;chroot&#34;"}},
		{"/-/bus/x", 404, nil},
		{"/-/none", 404, nil},
	}
	for _, test := range tests {
		status, header, body := get(t, b.URL()+test.path)
		if status != test.status {
			t.Errorf("%s: status %d, want %d", test.path, status, test.status)
		}
		for _, words := range test.words {
			if !strings.Contains(body, words) {
				t.Errorf("%s does not say %q", test.path, words)
			}
		}
		if found := inline.FindString(body); found != "" {
			t.Errorf("%s has something inline: %q", test.path, found)
		}
		if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'self'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", test.path, policy)
		}
		if !strings.Contains(body, "Nothing here is the real GitHub") {
			t.Errorf("%s does not say that it is the box", test.path)
		}
	}
	status, header, _ := get(t, b.URL()+stylesheetPath)
	if status != 200 || !strings.Contains(header.Get("Cache-Control"), "immutable") {
		t.Errorf("stylesheet: %d %v", status, header)
	}
	for _, path := range []string{fmt.Sprintf("/copr/results/millrace/p1/srpm-builds/%08d/builder-live.log.gz", build), "/testing-farm/artifacts/" + request.ID + "/"} {
		until(t, path+" is there", func() bool { status, _, _ := get(t, b.URL()+path); return status == 200 })
	}
}

// Every button of the pages does what it says, and the service hears of it.
func TestButtons(t *testing.T) {
	t.Parallel()
	b, s := newBox(t)
	repo := b.URL() + "/" + hello
	titles := map[Scenario]string{}
	for i, sc := range scenarios {
		if sc.Scenario == WithLabel {
			continue
		}
		status, to, body := post(t, repo+"/open", url.Values{"scenario": {string(sc.Scenario)}})
		if want := fmt.Sprintf("/%s/pull/%d", hello, i+1); status != 303 || to != want {
			t.Fatalf("%s: %d %q, want 303 %q: %s", sc.Scenario, status, to, want, body)
		}
		p, err := b.Forge.Pull(hello, i+1)
		if err != nil {
			t.Fatal(err)
		}
		titles[sc.Scenario] = p.Title
	}
	until(t, "the service hears of all", func() bool { return len(s.told("pull_request")) == len(titles) })
	for name, want := range map[int]string{6: "README.md", 1: ""} {
		_, _, body := get(t, fmt.Sprintf("%s/pull/%d", repo, name))
		if got := strings.Contains(body, "there is a conflict in README.md"); got != (want != "") {
			t.Errorf("pull request %d says that it conflicts: %v", name, got)
		}
	}
	first, err := b.Forge.Pull(hello, 1)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		path   string
		values url.Values
		status int
		holds  func() bool
	}{
		{"/pull/1/push", nil, 303, func() bool { p, _ := b.Forge.Pull(hello, 1); return p.HeadSHA != first.HeadSHA }},
		{"/pull/1/comment", url.Values{"body": {"/packit build"}}, 303, func() bool { return len(b.Forge.Comments(hello, 1)) == 1 }},
		{"/pull/1/comment", url.Values{"body": {"  "}}, 422, nil},
		{"/pull/1/comment", url.Values{"body": {"/packit build"}, "who": {"sol-andersen"}}, 303, func() bool {
			all := b.Forge.Comments(hello, 1)
			return len(all) == 2 && all[1].Author == "sol-andersen"
		}},
		{"/pull/1/comment", url.Values{"body": {"/packit build"}, "who": {"mallory"}}, 422, nil},
		{"/issues", url.Values{"title": {" A wish "}}, 303, func() bool { return len(b.Forge.Issues(hello)) == 1 }},
		{"/issues", url.Values{"title": {" "}}, 422, nil},
		{"/issues/7/comment", url.Values{"body": {"/packit help"}, "who": {"alma-reyes"}}, 303, func() bool { return len(b.Forge.Comments(hello, 7)) == 1 }},
		{"/issues/8/comment", url.Values{"body": {"/packit help"}}, 404, nil},
		{"/commit/main/comment", url.Values{"body": {"/packit build"}}, 303, func() bool { return len(b.Forge.CommitComments(hello)) == 1 }},
		{"/commit/none/comment", url.Values{"body": {"/packit build"}}, 404, nil},
		{"/commit/main/comment", url.Values{"body": {""}}, 422, nil},
		{"/pull/1/close", nil, 303, func() bool { p, _ := b.Forge.Pull(hello, 1); return p.State == "closed" }},
		{"/pull/1/push", nil, 422, nil},
		{"/pull/1/reopen", nil, 303, func() bool { p, _ := b.Forge.Pull(hello, 1); return p.State == "open" }},
		{"/pull/1/merge", nil, 303, func() bool { p, _ := b.Forge.Pull(hello, 1); return p.Merged }},
		{"/pull/1/reopen", nil, 422, nil},
		{"/pull/6/merge", nil, 409, nil},
		{"/pull/77/close", nil, 404, nil},
		{"/pull/2/rerequest", url.Values{"check": {"x"}}, 422, nil},
		{"/pull/2/rerequest", url.Values{"check": {"5"}}, 404, nil},
		{"/open", url.Values{"scenario": {"none"}}, 422, nil},
		{"/open", url.Values{"scenario": {string(WithLabel)}}, 422, nil},
		{"/pulls", url.Values{"head": {"none"}}, 422, nil},
		{"/pulls", url.Values{"head": {"main"}}, 422, nil},
		{"/pulls", url.Values{"head": {"nobody:main"}}, 404, nil},
	}
	for _, step := range steps {
		status, to, _ := post(t, repo+step.path, step.values)
		if status != step.status {
			t.Errorf("%s %v: status %d, want %d", step.path, step.values, status, step.status)
		}
		if step.holds != nil && !step.holds() {
			t.Errorf("%s %v led to %q, but nothing came of it", step.path, step.values, to)
		}
	}
	for _, try := range []struct {
		owner, who string
		status     int
	}{{"packit", "remy-falk", 303}, {"packit", "mallory", 422}, {"nobody", "remy-falk", 404}} {
		if status, _, _ := post(t, b.URL()+"/"+try.owner+"/install", url.Values{"who": {try.who}}); status != try.status {
			t.Errorf("the App on %s by %s: status %d, want %d", try.owner, try.who, status, try.status)
		}
	}
	if all := b.Forge.Deliveries(); !slices.ContainsFunc(all, func(d githubfake.Delivery) bool {
		return d.Event == "installation" && d.Action == "created" && strings.Contains(string(d.Body), `"sender":{"avatar_url":"","html_url":"`+b.URL()+`/remy-falk"`)
	}) {
		t.Errorf("nobody was told who installed the App")
	}
	p, err := b.Open(t.Context(), "fedora-crafts/loom", WithLabel)
	if err != nil || !slices.Equal(p.Labels, []string{"next"}) {
		t.Errorf("labels %v, %v", p.Labels, err)
	}
	for repo, sc := range map[string]Scenario{"fedora-crafts/notes": BreaksTest, "mill/almanac": BreaksBuild} {
		if _, err := b.Open(t.Context(), repo, sc); err == nil {
			t.Errorf("%s can be opened in %s, which has nothing of the kind", sc, repo)
		}
	}
	_, _, forge := clients(b)
	for _, check := range []github.CheckRun{
		{Name: "rpm-build:a", Status: github.Completed, Conclusion: "success"}, {Name: "rpm-build:b", Status: github.InProgress},
	} {
		second, err := b.Forge.Pull(hello, 2)
		if err != nil {
			t.Fatal(err)
		}
		check.HeadSHA, check.Title, check.Summary = second.HeadSHA, "so it is", "so it is"
		if _, err := forge.CreateCheckRun(t.Context(), repoNamed(hello), check); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, body := get(t, repo); !strings.Contains(body, "checks running") || strings.Contains(body, "checks passed") {
		t.Error("the list does not say that checks are running")
	}
	if len(s.bad) > 0 {
		t.Errorf("the service was sent what it does not understand: %v", s.bad)
	}
}

// Another site's page cannot push the buttons.
func TestForeignForm(t *testing.T) {
	t.Parallel()
	b, _ := newBox(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL()+"/"+hello+"/open", strings.NewReader("scenario=passes"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://elsewhere.example")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden || len(b.Forge.Pulls(hello)) > 0 {
		t.Errorf("status %d, %d pull requests", res.StatusCode, len(b.Forge.Pulls(hello)))
	}
	for to, want := range map[string]string{"/packit": "/packit", "//elsewhere.example": "/#services", "///elsewhere.example": "/#services", "https://elsewhere.example/": "/#services", `/\elsewhere.example`: "/#services"} {
		_, got, _ := post(t, b.URL()+"/-/trouble", url.Values{"trouble": {string(FarmSlow)}, "back": {to}})
		if got != want {
			t.Errorf("back to %q leads to %q, want %q", to, got, want)
		}
	}
}

func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// A person clones, pushes without a login, and opens pull requests by page and
// by API.
func TestCloneAndPush(t *testing.T) {
	t.Parallel()
	b, s := newBox(t)
	dir := t.TempDir()
	runGit(t, dir, "clone", "-q", b.URL()+"/"+hello+".git", "work")
	work := filepath.Join(dir, "work")
	if tags := runGit(t, work, "tag"); tags != "1.0.0\n1.1.0\n1.2.0" {
		t.Errorf("tags %q", tags)
	}
	for _, branch := range []string{"evening", "feature/morning"} {
		runGit(t, work, "switch", "-q", "-c", branch, "origin/main")
		if err := os.WriteFile(filepath.Join(work, "greeting.txt"), []byte("Good "+branch+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		runGit(t, work, "add", "greeting.txt")
		runGit(t, work, "commit", "-q", "-m", "Greet in the "+branch)
		runGit(t, work, "push", "-q", "origin", branch)
	}
	_, _, page := get(t, b.URL()+"/"+hello)
	if !strings.Contains(page, `value="feature/morning"`) {
		t.Error("the page does not offer to open a pull request from the branch")
	}
	status, to, _ := post(t, b.URL()+"/"+hello+"/pulls", url.Values{"head": {"feature/morning"}})
	if status != 303 || to != "/"+hello+"/pull/1" {
		t.Errorf("opening by page: %d %q", status, to)
	}
	if _, again, _ := post(t, b.URL()+"/"+hello+"/pulls", url.Values{"head": {"feature/morning"}}); again != to {
		t.Errorf("opening it again leads to %q, want %q", again, to)
	}
	call := func(token string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Access().GitHubAPI+"repos/"+hello+"/pulls",
			strings.NewReader(`{"title": "By program", "head": "evening", "base": "main"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if status := call("wrong"); status != http.StatusUnauthorized {
		t.Errorf("with a wrong token: %d", status)
	}
	if status := call(b.Access().UserToken); status != http.StatusCreated {
		t.Errorf("opening by API: %d", status)
	}
	var titles []string
	for _, p := range b.Forge.Pulls(hello) {
		titles = append(titles, p.Author+": "+p.Title)
	}
	if d := cmp.Diff([]string{"visitor: Greet in the feature/morning", "visitor: By program"}, titles); d != "" {
		t.Errorf("pull requests (-want +got):\n%s", d)
	}
	until(t, "the service hears of both", func() bool { return len(s.told("pull_request")) == 2 })
}

// The same directory is the same box.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := newService(t)
	dir := seeded(t)
	slow := func(o *Options) { o.Pace = FastPace; o.Pace.Chroot = 1500 * time.Millisecond }
	b := open(t, dir, s, slow)
	until(t, "the App is installed", func() bool { return len(s.told("installation")) == 6 })
	if _, err := Start(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opening an open box: %v", err)
	}
	p, err := b.Open(t.Context(), hello, Passes)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the service hears of it", func() bool { return len(s.told("pull_request")) == 1 })
	s.answer(http.StatusServiceUnavailable)
	c, _, _ := clients(b)
	build := submit(t, b, c, hello, p.Number, "hello-world", "fedora-44-x86_64")
	until(t, "it is building", func() bool { x, _ := b.Copr.Build(build); return x.Chroots[0].State == "running" })
	before, troubles := b.Access(), len(b.bus.list())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = open(t, dir, s, func(o *Options) { slow(o); o.Addr = "127.0.0.1:0" })
	if d := cmp.Diff(before, b.Access()); d != "" {
		t.Errorf("access is different (-before +after):\n%s", d)
	}
	if n := len(b.bus.list()); n < troubles || troubles == 0 {
		t.Errorf("%d messages, there were %d", n, troubles)
	}
	c, _, _ = clients(b)
	if got := await(t, c, build); got.State != copr.Succeeded {
		t.Errorf("the build is %s", got.State)
	}
	s.answer(0)
	until(t, "the messages arrive", func() bool { return len(s.messages()) == 4 })
	if again, err := b.Forge.Pull(hello, p.Number); err != nil || again.HeadSHA != p.HeadSHA {
		t.Errorf("pull request %+v, %v", again, err)
	}
	if next, err := b.Open(t.Context(), hello, Passes); err != nil || next.HeadBranch == p.HeadBranch {
		t.Errorf("the next one has branch %q, %v", next.HeadBranch, err)
	}
}

// live is what a process does until it is killed.
func live(dir string) {
	b, err := Start(context.Background(), Options{Dir: dir, Builds: BuildsSimulated})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(b.URL())
	for n := 0; ; n++ {
		if _, err := b.Open(context.Background(), samples[n%len(samples)].fullName(), Passes); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		speak(b, n)
	}
}

// Whenever a box is killed, it can be opened again and has what it had.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url := ""
	for _, after := range []time.Duration{20, 60, 150, 700, 500, 300} { // the first ones while it is made
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "BOX_TO_KILL="+dir)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait() // it was killed
		said := strings.TrimSpace(out.String())
		if said != "" && url != "" && said != url || strings.Contains(said, "\n") {
			t.Fatalf("it said %q, before that %q", said, url)
		}
		if url == "" {
			url = said
		}
	}
	b := open(t, dir, nil, nil)
	if url != "" && b.URL() != url {
		t.Errorf("its address is %s, it was %s", b.URL(), url)
	}
	if n := len(b.Forge.Repos()); n < len(samples) {
		t.Errorf("%d repositories, want %d at least", n, len(samples))
	}
	for _, sample := range samples {
		name := sample.fullName()
		for _, p := range b.Forge.Pulls(name) {
			if status, _, _ := get(t, b.URL()+pullURL(name, p.Number)); status != 200 {
				t.Errorf("pull request %d of %s: status %d", p.Number, name, status)
			}
		}
	}
	if _, err := b.Open(t.Context(), hello, Passes); err != nil {
		t.Errorf("opening one more: %v", err)
	}
}

// A webhook that found nobody is sent again when the service is there.
func TestWebhooksWait(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	b := open(t, dir, nil, func(o *Options) { o.ServiceURL = gone.URL })
	if _, err := b.Open(t.Context(), hello, Passes); err != nil {
		t.Fatal(err)
	}
	if err := b.Forge.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newService(t)
	s.secret = b.Access().WebhookSecret
	b.SetService(s.URL)
	until(t, "it hears of the pull request", func() bool { return len(s.told("pull_request")) == 1 && len(s.told("installation")) == 6 })
}

// script is what the service has Copr do, as far as the box looks at it.
func script(b *Box, repo string, pull int, pack string) string {
	p, err := b.Forge.Pull(repo, pull)
	if err != nil {
		return "exit 1"
	}
	return fmt.Sprintf("#!/bin/sh\ncurl -o tool http://127.0.0.1:1/millrace\nexec tool prepare-sources --package '%s' --ref '%s' --pr-id %d --merge-pr -- '%s/%s'\n",
		pack, p.HeadSHA, pull, b.URL(), repo)
}

func submit(t *testing.T, b *Box, c *copr.Client, repo string, pull int, pack string, chroots ...string) int64 {
	t.Helper()
	name := fmt.Sprintf("p%d", pull)
	if _, err := c.CreateProject(t.Context(), b.Access().CoprOwner, name, copr.ProjectOptions{Chroots: chroots}); err != nil {
		t.Fatal(err)
	}
	build, err := c.SubmitCustom(t.Context(), copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: b.Access().CoprOwner, Project: name, Chroots: chroots},
		Script: script(b, repo, pull, pack)})
	if err != nil {
		t.Fatal(err)
	}
	return build.ID
}

func await(t *testing.T, c *copr.Client, id int64) copr.Build {
	t.Helper()
	var build copr.Build
	until(t, fmt.Sprintf("build %d ends", id), func() bool {
		var err error
		if build, err = c.Build(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return copr.Finished(build.State)
	})
	return build
}

// A simulated build ends as a real one would.
func TestSimulatedBuilds(t *testing.T) {
	t.Parallel()
	b, _ := newBox(t)
	c, _, _ := clients(b)
	tests := []struct {
		repo     string
		scenario Scenario
		pack     string
		chroots  []string
		name     string
		failed   []string // chroots
		log      string   // of the first of them
	}{
		{hello, Passes, "hello-world", []string{"fedora-43-x86_64", "fedora-rawhide-x86_64"}, "hello-world 1.2.0-1", nil, ""},
		{hello, BreaksBuild, "", []string{"fedora-43-x86_64", "fedora-44-x86_64"}, "hello-world 1.2.0-1", []string{"fedora-44-x86_64"}, "readarray -d is not known"},
		{cauldron, Passes, "cauldron", []string{"epel-9-x86_64", "fedora-44-x86_64"}, "cauldron 3.2-1", []string{"epel-9-x86_64"}, "EPEL 9 has CMake 3.26.5"},
		{"mill/monorepo", Passes, "wheel", []string{"fedora-44-x86_64"}, "wheel 2.1-1", nil, ""},
		{hello, Conflicts, "hello-world", []string{"fedora-44-x86_64"}, "", []string{copr.SourceChroot, "fedora-44-x86_64"}, "Merge conflict in README.md"},
	}
	for _, test := range tests {
		t.Run(test.repo+" "+string(test.scenario), func(t *testing.T) {
			t.Parallel()
			p, err := b.Open(t.Context(), test.repo, test.scenario)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.ReplaceAll(t.Name(), "/", "-")
			name = regexp.MustCompile(`[^\w-]`).ReplaceAllString(name, "-")
			if _, err := c.CreateProject(t.Context(), "millrace", name, copr.ProjectOptions{Chroots: test.chroots}); err != nil {
				t.Fatal(err)
			}
			build, err := c.SubmitCustom(t.Context(), copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: "millrace", Project: name},
				Script: script(b, test.repo, p.Number, test.pack)})
			if err != nil {
				t.Fatal(err)
			}
			build = await(t, c, build.ID)
			if got := strings.TrimSpace(build.Package + " " + build.Version); got != test.name {
				t.Errorf("it is %q, want %q", got, test.name)
			}
			full, _ := b.Copr.Build(build.ID)
			var failed []string
			for _, part := range parts(&full) {
				if part.State == copr.Failed {
					failed = append(failed, part.Chroot)
				}
			}
			if d := cmp.Diff(test.failed, failed); d != "" {
				t.Errorf("failed (-want +got):\n%s", d)
			}
			if len(test.failed) == 0 {
				return
			}
			part, err := c.BuildChroot(t.Context(), build.ID, test.failed[0])
			if err != nil {
				t.Fatal(err)
			}
			log, err := c.Log(t.Context(), part.LogURL(), 1<<20)
			if err != nil || !strings.Contains(string(log.Bytes()), test.log) || strings.Contains(string(log.Bytes()), "Wrote:") {
				t.Errorf("its log (%v) does not say %q, or says too much:\n%s", err, test.log, log.Bytes())
			}
		})
	}
}

// What a build is about is found also where the script does not say it.
func TestSubjectOfProject(t *testing.T) {
	t.Parallel()
	b, _ := newBox(t)
	p, err := b.Open(t.Context(), hello, Passes)
	if err != nil {
		t.Fatal(err)
	}
	c, _, _ := clients(b)
	o := copr.BuildOptions{Owner: "millrace", Project: "box-packit-hello-world-1", ForgeProject: "box/packit/hello-world"}
	if _, err := c.CreateProject(t.Context(), o.Owner, o.Project, copr.ProjectOptions{Chroots: []string{"fedora-44-x86_64"}, ForgeProjects: []string{o.ForgeProject}}); err != nil {
		t.Fatal(err)
	}
	id, err := c.SubmitURL(t.Context(), o, "http://127.0.0.1:1/srpms/5/key/source.src.rpm")
	if err != nil {
		t.Fatal(err)
	}
	if build := await(t, c, id.ID); build.Package != "hello-world" || build.Version != "1.2.0-1" {
		t.Errorf("built %s %s of pull request %d", build.Package, build.Version, p.Number)
	}
}

// Tests end as their scripts say.
func TestFarm(t *testing.T) {
	t.Parallel()
	b, s := newBox(t)
	broken, err := b.Open(t.Context(), hello, BreaksTest)
	if err != nil {
		t.Fatal(err)
	}
	weave, err := b.Open(t.Context(), "fedora-crafts/loom", BreaksTest) // its config has the plan weave first
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		test testingfarm.Test
		want string
	}{
		{testingfarm.Test{URL: b.URL() + "/" + hello, Ref: "main"}, "passed"},
		{testingfarm.Test{URL: b.URL() + "/" + hello + ".git"}, "passed"},
		{testingfarm.Test{URL: b.URL() + "/" + broken.HeadRepo, Ref: broken.HeadSHA}, "failed"},
		{testingfarm.Test{URL: b.URL() + "/" + hello, Ref: broken.HeadSHA}, "failed"},
		{testingfarm.Test{URL: b.URL() + "/" + weave.HeadRepo, Ref: weave.HeadSHA, Name: "/plans/weave"}, "failed"},
		{testingfarm.Test{URL: b.URL() + "/" + weave.HeadRepo, Ref: weave.HeadSHA, Name: "/plans/unravel"}, "passed"},
		{testingfarm.Test{URL: b.URL() + "/" + hello, Ref: "none"}, "error"},
		{testingfarm.Test{URL: b.URL() + "/nobody/nothing", Ref: "main"}, "error"},
		{testingfarm.Test{URL: "https://elsewhere.example/x/y", Ref: "main"}, "passed"},
	}
	_, farm, _ := clients(b)
	ids := make([]string, len(tests))
	for i, test := range tests {
		r, err := farm.Create(t.Context(), testingfarm.Submission{Key: fmt.Sprint(i), Test: test.test,
			Environments: []testingfarm.Environment{{Arch: "x86_64", Compose: "Fedora-44"}},
			Webhook:      testingfarm.Webhook{URL: s.URL + TestingFarmHook, Token: b.Access().TestingFarmWebhookToken}})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = r.ID
	}
	for i, test := range tests {
		until(t, fmt.Sprintf("request %d ends", i), func() bool {
			r, err := farm.Request(t.Context(), ids[i])
			if err != nil {
				t.Fatal(err)
			}
			return r.State.Finished()
		})
		run := b.Farm.Runs()[i]
		if _, word := farmState(run); word != test.want {
			t.Errorf("tests of %+v: %s, want %s", test.test, word, test.want)
		}
	}
	until(t, "the service hears of all", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(s.notes, id) })
	})
	res, err := http.Post(b.Access().TestingFarmURL+"/requests", "application/json", bytes.NewReader(make([]byte, maxSubmission+10)))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode/100 != 4 {
		t.Errorf("a huge submission: %d", res.StatusCode)
	}
}
