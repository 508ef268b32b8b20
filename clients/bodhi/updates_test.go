package bodhi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/bodhi"
	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/httpx"
)

// account is who writes in these tests: packit, unless the world says otherwise.
func writing(t *testing.T, user string) (*bodhifake.Server, *bodhi.Client) {
	t.Helper()
	fake, client := start(t)
	client.Account = &bodhi.Account{
		Issuer:    client.BaseURL + "/openidc",
		Negotiate: bodhifake.Negotiate(user),
	}
	return fake, client
}

func draft(builds ...string) *bodhi.Draft {
	return &bodhi.Draft{Builds: builds, Notes: "Automatic update.", Type: "enhancement", Bugs: []int{2300001}}
}

func create(t *testing.T, client *bodhi.Client, d *bodhi.Draft) *bodhi.Update {
	t.Helper()
	saved, err := client.CreateUpdate(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return saved.Updates[0]
}

// bus remembers topics without their prefix.
type bus struct {
	mu     sync.Mutex
	topics []string
}

func (b *bus) publish(topic string, _ []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics = append(b.topics, strings.TrimPrefix(topic, "org.fedoraproject.prod.bodhi.update."))
}

// An update goes its whole way, and the bus tells each part of it.
func TestUpdateGoesToStable(t *testing.T) {
	t.Parallel()
	fake, client := writing(t, "packit")
	heard := new(bus)
	fake.Publish = heard.publish
	d := draft("mill-wheel-1.0-1.fc44", "mill-1.0-1.fc44")
	karma := 5
	d.StableKarma, d.DisplayName = &karma, "Mill"
	u := create(t, client, d)
	want := &bodhi.Update{
		Alias: u.Alias, Title: "Mill", DisplayName: "Mill", URL: client.UpdateURL(u.Alias), Status: bodhi.Pending, Request: bodhi.ToTesting,
		Type: "enhancement", Severity: "unspecified", Notes: "Automatic update.", AutoKarma: true, AutoTime: true, StableKarma: 5, StableDays: 7,
		Gating: bodhi.GatingWaiting, Release: "F44", User: "packit", Builds: []string{"mill-1.0-1.fc44", "mill-wheel-1.0-1.fc44"}, Bugs: []int{2300001},
		Comments:  []bodhi.Comment{{ID: 1, Author: "bodhi", Text: "This update has been submitted for testing by packit.", At: u.Submitted}},
		Submitted: u.Submitted,
	}
	if diff := cmp.Diff(want, u); diff != "" || u.Alias == "" || time.Since(u.Submitted) > time.Hour {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	for _, step := range []struct {
		days   int
		status bodhi.Status
	}{{0, bodhi.Pending}, {1, bodhi.Testing}, {6, bodhi.Testing}, {1, bodhi.Stable}} {
		if err := fake.Advance(time.Duration(step.days) * 24 * time.Hour); err != nil {
			t.Fatal(err)
		}
		got, err := client.Update(t.Context(), u.Alias)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != step.status {
			t.Fatalf("after %d more days it is %s, %q requested", step.days, got.Status, got.Request)
		}
		if got.Status == bodhi.Stable && (got.Stabled.Before(got.Tested) || got.Tested.Before(got.Submitted) || !got.Status.Final()) {
			t.Errorf("times: %s %s %s", got.Submitted, got.Tested, got.Stabled)
		}
	}
	if diff := cmp.Diff([]string{
		"request.testing", "complete.testing", "status.testing.koji-build-group.build.complete", "requirements_met.stable", "request.stable", "complete.stable",
	}, heard.topics); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// What was submitted is found again, whatever became of the answer.
func TestLostSubmissionIsFound(t *testing.T) {
	t.Parallel()
	fake, client := writing(t, "packit")
	d := draft("mill-1.0-1.fc44", "mill-wheel-1.0-1.fc44")
	if found, err := client.FindUpdate(t.Context(), d.Builds); found != nil || err != nil {
		t.Fatalf("FindUpdate before = %v, %v", found, err)
	}
	fake.Misbehave(bodhifake.Fault{Method: http.MethodPost, Path: "/updates/", Lose: true})
	if _, err := client.CreateUpdate(t.Context(), d); !httpx.Temporary(err) {
		t.Fatalf("CreateUpdate with its answer lost = %v, want a temporary error", err)
	}
	found, err := client.FindUpdate(t.Context(), d.Builds)
	if err != nil || found == nil {
		t.Fatalf("FindUpdate = %v, %v", found, err)
	}
	if _, err := client.CreateUpdate(t.Context(), d); !bodhi.IsExisting(err) || httpx.Temporary(err) {
		t.Errorf("the second submission: %v, want that it exists", err)
	}
	if n := len(fake.Updates()); n != 1 {
		t.Errorf("%d updates", n)
	}
	if part, err := client.FindUpdate(t.Context(), append(d.Builds, "flour-1-1.fc44")); part != nil || err != nil {
		t.Errorf("an update without one of the builds was found: %v, %v", part, err)
	}
	if _, err := client.Request(t.Context(), found.Alias, bodhi.Unpush); err != nil {
		t.Fatal(err)
	}
	if gone, err := client.FindUpdate(t.Context(), d.Builds); gone != nil || err != nil {
		t.Errorf("an unpushed update was found: %v, %v", gone, err)
	}
}

func TestSeveralReleases(t *testing.T) {
	t.Parallel()
	_, client := writing(t, "packit")
	saved, err := client.CreateUpdate(t.Context(), draft("mill-1.0-1.fc43", "mill-1.0-1.fc44", "mill-1.0-1.el9"))
	if err != nil {
		t.Fatal(err)
	}
	releases := map[string]string{}
	for _, u := range saved.Updates {
		releases[u.Release] = u.Alias[:strings.LastIndex(u.Alias[:strings.LastIndex(u.Alias, "-")], "-")]
	}
	if diff := cmp.Diff(map[string]string{"F43": "FEDORA", "F44": "FEDORA", "EPEL-9": "FEDORA-EPEL"}, releases); diff != "" || len(saved.Caveats) != 1 {
		t.Errorf("%v %s", saved.Caveats, diff)
	}
}

func TestSideTag(t *testing.T) {
	t.Parallel()
	fake, client := writing(t, "packit")
	builds := []string{"mill-1.0-1.fc44", "wheel-2.0-1.fc44"}
	fake.Tagged = func(tag string) ([]string, bool) {
		switch tag {
		case "f44-build-side-7":
			return builds, true
		case "f44-build-side-8":
			return nil, true
		}
		return nil, tag == "f44-updates"
	}
	d := &bodhi.Draft{FromTag: "f44-build-side-7", Notes: "Both.", Type: "bugfix"}
	u := create(t, client, d)
	if u.Request != "" || u.FromTag != d.FromTag || !u.Has(builds) {
		t.Errorf("%+v", u)
	}
	for tag, says := range map[string]string{
		"f44-build-side-7": "already exists", "f44-build-side-8": "doesn't contain", "f44-updates": "not a side tag", "f44-build-side-9": "doesn't exist",
	} {
		_, err := client.CreateUpdate(t.Context(), &bodhi.Draft{FromTag: tag, Notes: "Both.", Type: "bugfix"})
		if err == nil || !strings.Contains(bodhi.Text(err), says) || bodhi.IsExisting(err) != (tag == d.FromTag) {
			t.Errorf("%s: %v", tag, err)
		}
	}
	builds = append(builds, "flour-3.0-1.fc44")
	d.Builds = builds
	saved, err := client.EditUpdate(t.Context(), u.Alias, d)
	if err != nil {
		t.Fatal(err)
	}
	if got := saved.Updates[0]; got.Alias != u.Alias || len(got.Builds) != 3 || got.Modified.IsZero() {
		t.Errorf("edited: %+v", got)
	}
	found, err := client.Updates(t.Context(), bodhi.Query{SideTag: d.FromTag, User: "packit"})
	if err != nil || len(found) != 1 {
		t.Errorf("by side tag: %d, %v", len(found), err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	fake, client := writing(t, "ann")
	fake.Users = map[string][]string{"ann": {"packager"}, "bob": {}, "carl": {"provenpackager"}}
	fake.Commits = func(user, pkg string) bool { return user == "ann" && pkg != "kernel" }
	fake.Tags = func(nvr string) ([]string, bool) {
		return map[string][]string{"late-1-1.fc44": {"f44-build"}}[nvr], nvr != "missing-1-1.fc44"
	}
	good := fake.Tags
	fake.Tags = func(nvr string) ([]string, bool) {
		if strings.HasPrefix(nvr, "mill-") || strings.HasPrefix(nvr, "kernel-") {
			return []string{"f44-updates-candidate"}, true
		}
		return good(nvr)
	}
	tests := []struct {
		name   string
		change func(*bodhi.Draft)
		says   string
		is     func(error) bool
	}{
		{"late", func(d *bodhi.Draft) { d.Builds = []string{"late-1-1.fc44"} }, "not tagged with any", bodhi.IsTooEarly},
		{"missing", func(d *bodhi.Draft) { d.Builds = []string{"missing-1-1.fc44"} }, "Build does not exist", bodhi.IsTooEarly},
		{"twice", func(d *bodhi.Draft) { d.Builds = []string{"mill-1-1.fc44", "mill-2-1.fc44"} }, "Multiple mill builds", nil},
		{"rawhide", func(d *bodhi.Draft) { d.Builds = []string{"mill-1-1.fc46"} }, "not composed by Bodhi", bodhi.IsNotComposed},
		{"foreign", func(d *bodhi.Draft) { d.Builds = []string{"kernel-1-1.fc44"} }, "does not have commit access to kernel", bodhi.IsPermission},
		{"no release", func(d *bodhi.Draft) { d.Builds = []string{"mill-1-1.fc20"} }, "Cannot find release", nil},
		{"nothing", func(d *bodhi.Draft) { d.Builds = nil }, "neither a build nor a side tag", nil},
		{"notes", func(d *bodhi.Draft) { d.Notes = "" }, "notes have 0 characters", nil},
		{"type", func(d *bodhi.Draft) { d.Type = "magic" }, "no type", nil},
		{"severity", func(d *bodhi.Draft) { d.Type = "security" }, "needs a severity", nil},
	}
	for _, test := range tests {
		d := draft("mill-1-1.fc44")
		test.change(d)
		_, err := client.CreateUpdate(t.Context(), d)
		if err == nil || !strings.Contains(err.Error(), test.says) || test.is != nil && !test.is(err) || httpx.Temporary(err) {
			t.Errorf("%s: %v", test.name, err)
		}
		if strings.HasPrefix(bodhi.Text(err), "builds: ") {
			t.Errorf("%s: the name of a field is in %q", test.name, bodhi.Text(err))
		}
	}
	if _, err := client.EditUpdate(t.Context(), "FEDORA-2026-0000000000", draft("mill-1-1.fc44")); err == nil || !strings.Contains(err.Error(), "Cannot find update to edit") {
		t.Errorf("editing nothing: %v", err)
	}
	if _, err := client.Update(t.Context(), "../releases/F44"); !bodhi.IsNotFound(err) {
		t.Errorf("a strange alias: %v", err)
	}
	fake.Misbehave(bodhifake.Fault{Method: http.MethodPost, Status: 400, Body: `{"status":"error","errors":[{"location":"body","name":"builds","description":"ACL validation mechanism was unable to determine ACLs."}]}`})
	if _, err := client.CreateUpdate(t.Context(), draft("mill-1-1.fc44")); !httpx.Temporary(err) || !strings.HasPrefix(bodhi.Text(err), "ACL validation") {
		t.Errorf("dist-git is away: %v, want a temporary error", err)
	}
}

func TestRequestsAndComments(t *testing.T) {
	t.Parallel()
	fake, client := writing(t, "packit")
	fake.Users = map[string][]string{"packit": {"packager"}, "bob": {"packager"}}
	u := create(t, client, draft("mill-1.0-1.fc44"))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(fake.Compose())
	if _, err := client.Request(t.Context(), u.Alias, bodhi.ToStable); !bodhi.IsNotReady(err) {
		t.Errorf("too early: %v", err)
	}
	must(client.Comment(t.Context(), u.Alias, "Works here", 1)) // our own karma does not count
	must(fake.SetGating(u.Alias, bodhi.GatingFailed))
	for _, who := range []string{"ann", "bob", "carl"} {
		must(fake.Opine(u.Alias, who, "Works", 1))
	}
	if _, err := client.Request(t.Context(), u.Alias, bodhi.ToStable); !bodhi.IsNotReady(err) || !strings.Contains(err.Error(), "Required tests") {
		t.Errorf("tests failed: %v", err)
	}
	must(client.Waive(t.Context(), u.Alias, "The test is wrong", "fedora-ci.koji-build.tier0.functional"))
	must(client.TriggerTests(t.Context(), u.Alias))
	must(fake.SetGating(u.Alias, bodhi.GatingPassed))
	got, err := client.Request(t.Context(), u.Alias, bodhi.ToStable)
	must(err)
	if got.Karma != 3 || got.Request != bodhi.ToStable || !got.Ready {
		t.Errorf("%+v", got)
	}
	if last := got.Comments[len(got.Comments)-1]; last.Author != "bodhi" || !slices.ContainsFunc(got.Comments, func(c bodhi.Comment) bool {
		return c.Author == "packit" && c.Text == "Works here" && c.Karma == 0
	}) {
		t.Errorf("comments: %+v", got.Comments)
	}
	if got, err = client.Request(t.Context(), u.Alias, bodhi.Revoke); err != nil || got.Request != "" {
		t.Errorf("revoked: %+v, %v", got, err)
	}
	must(fake.SetLocked(u.Alias, true))
	if _, err := client.Request(t.Context(), u.Alias, bodhi.ToStable); !bodhi.IsNotReady(err) {
		t.Errorf("locked: %v", err)
	}
	// A newer one takes its place.
	must(fake.SetLocked(u.Alias, false))
	create(t, client, draft("mill-1.1-1.fc44"))
	if got, err = client.Update(t.Context(), u.Alias); err != nil || got.Status != bodhi.Obsoleted || got.Lives() {
		t.Errorf("the older one: %+v, %v", got, err)
	}
	// Bad karma ends one.
	u = create(t, client, draft("wheel-1.0-1.fc44"))
	must(fake.Compose())
	for _, who := range []string{"ann", "bob", "carl"} {
		must(fake.Opine(u.Alias, who, "Breaks", -1))
	}
	if got, err = client.Update(t.Context(), u.Alias); err != nil || got.Status != bodhi.Obsoleted {
		t.Errorf("disliked: %+v, %v", got, err)
	}
}

// Updates of Rawhide come by themselves.
func TestAutomaticUpdates(t *testing.T) {
	t.Parallel()
	fake, client := writing(t, "packit")
	rawhide := ""
	for _, r := range bodhi.LastKnown() {
		if r.Branch == "rawhide" {
			rawhide = r.Version
		}
	}
	nvr := "mill-1.0-1.fc" + rawhide
	for range 2 {
		if err := fake.Automatic(nvr, "packit"); err != nil {
			t.Fatal(err)
		}
	}
	if err := fake.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	found, err := client.Updates(t.Context(), bodhi.Query{Packages: []string{"mill"}, Releases: []string{"F" + rawhide}, Statuses: []bodhi.Status{bodhi.Stable}})
	if err != nil || len(found) != 1 || found[0].Notes != "Automatic update for "+nvr+"." {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestUpdatesOnManyPages(t *testing.T) {
	t.Parallel()
	_, client := writing(t, "packit")
	var builds []string
	for i := range 130 {
		nvr := fmt.Sprintf("mill%03d-1-1.fc44", i)
		builds = append(builds, nvr)
		create(t, client, draft(nvr))
	}
	all, err := client.Updates(t.Context(), bodhi.Query{User: "packit", Limit: 1000})
	if err != nil || len(all) != 130 {
		t.Fatalf("%d updates, %v", len(all), err)
	}
	some, err := client.Updates(t.Context(), bodhi.Query{User: "packit"})
	if err != nil || len(some) != 100 {
		t.Errorf("%d updates without a limit, %v", len(some), err)
	}
	byBuilds, err := client.Updates(t.Context(), bodhi.Query{Builds: builds, Limit: 1000})
	if err != nil || len(byBuilds) != 130 {
		t.Errorf("%d updates by %d builds, %v", len(byBuilds), len(builds), err)
	}
}

// One login does for all calls, and another is made when it is over.
func TestLogin(t *testing.T) {
	t.Parallel()
	for _, codes := range []bool{true, false} {
		fake, client := writing(t, "packit")
		if !codes {
			fake.ShowNoCodes()
		}
		logins := func() int {
			n := 0
			for _, r := range fake.Requests() {
				if strings.HasPrefix(r, "/oidc/login-token") {
					n++
				}
			}
			return n
		}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if _, err := client.CreateUpdate(t.Context(), draft(fmt.Sprintf("mill%d-1-1.fc44", i))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := logins(); n != 1 {
			t.Errorf("%d logins for 8 calls", n)
		}
		fake.ChangeForms()
		create(t, client, draft("forms-1-1.fc44"))
		if n := logins(); n != 1 {
			t.Errorf("%d logins after the token of forms changed", n)
		}
		fake.ExpireSessions()
		create(t, client, draft("session-1-1.fc44"))
		if n := logins(); n != 2 {
			t.Errorf("%d logins after the session ended", n)
		}
	}
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	fake, client := writing(t, "stranger")
	if _, err := client.CreateUpdate(t.Context(), draft("mill-1-1.fc44")); err == nil || httpx.Temporary(err) || !strings.Contains(err.Error(), "does not take our Kerberos ticket") {
		t.Errorf("a stranger: %v", err)
	}
	client.Account.Negotiate = func(context.Context, string) ([]byte, error) { return nil, errors.New("the ticket is over") }
	if _, err := client.CreateUpdate(t.Context(), draft("mill-1-1.fc44")); err == nil || !strings.Contains(err.Error(), "the ticket is over") {
		t.Errorf("no ticket: %v", err)
	}
	client.Account = nil
	if _, err := client.CreateUpdate(t.Context(), draft("mill-1-1.fc44")); !errors.Is(err, bodhi.ErrNoAccount) {
		t.Errorf("no account: %v", err)
	}
	if n := len(fake.Updates()); n != 0 {
		t.Errorf("%d updates", n)
	}
}

// The ticket is shown to nobody but the provider that was configured, whoever
// sends us there.
func TestLoginStaysWithItsProvider(t *testing.T) {
	t.Parallel()
	shown := make(chan string, 10)
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown <- r.Header.Get("Authorization")
		w.Header().Set("WWW-Authenticate", "Negotiate")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(thief.Close)
	tests := map[string]http.HandlerFunc{
		"discovery": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"authorization_endpoint":%q,"token_endpoint":%q}`, thief.URL+"/a", thief.URL+"/t")
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/Authorization" {
				http.Redirect(w, r, thief.URL, http.StatusFound)
				return
			}
			fmt.Fprintf(w, `{"authorization_endpoint":"http://%s/Authorization","token_endpoint":"http://%s/Token","response_modes_supported":["oob"]}`, r.Host, r.Host)
		},
		"round and round": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/Authorization" {
				http.Redirect(w, r, "/Authorization", http.StatusFound)
				return
			}
			fmt.Fprintf(w, `{"authorization_endpoint":"http://%s/Authorization","token_endpoint":"http://%s/Token"}`, r.Host, r.Host)
		},
		"another state": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/Authorization" {
				io.WriteString(w, "<title>code=abc;state=other</title>")
				return
			}
			fmt.Fprintf(w, `{"authorization_endpoint":"http://%s/Authorization","token_endpoint":"http://%s/Token","response_modes_supported":["oob"]}`, r.Host, r.Host)
		},
	}
	for name, serve := range tests {
		provider := httptest.NewServer(serve)
		t.Cleanup(provider.Close)
		client := &bodhi.Client{BaseURL: provider.URL, Account: &bodhi.Account{
			Issuer: provider.URL, Negotiate: func(context.Context, string) ([]byte, error) { return []byte("secret"), nil },
		}}
		_, err := client.CreateUpdate(t.Context(), draft("mill-1-1.fc44"))
		says := map[string]string{"another state": "not to what we asked", "round and round": "more than 20 times"}[name]
		if _, ok := errors.AsType[*bodhi.LoginError](err); !ok || httpx.Temporary(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(shown) != 0 {
		t.Errorf("the thief was visited, and shown %q", <-shown)
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	_, client := writing(t, "packit")
	const nvr = "mill-1.0-1.fc44"
	if _, err := client.Override(t.Context(), nvr); !bodhi.IsNotFound(err) {
		t.Errorf("before: %v", err)
	}
	until := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	o, err := client.CreateOverride(t.Context(), nvr, "For wheel", until)
	if err != nil {
		t.Fatal(err)
	}
	want := &bodhi.Override{NVR: nvr, Notes: "For wheel", Submitter: "packit", Submitted: o.Submitted, Expires: until}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Error(diff)
	}
	if _, err := client.CreateOverride(t.Context(), nvr, "Too long", time.Now().Add(40*24*time.Hour)); err == nil {
		t.Error("a second, and too long a one, was taken")
	}
	if o, err = client.ExpireOverride(t.Context(), o); err != nil || o.Expired.IsZero() {
		t.Errorf("ended: %+v, %v", o, err)
	}
	if o, err = client.Override(t.Context(), nvr); err != nil || o.Expired.IsZero() {
		t.Errorf("after: %+v, %v", o, err)
	}
}

func TestCutNotes(t *testing.T) {
	t.Parallel()
	for _, notes := range []string{"short", strings.Repeat("ö", bodhi.MaxNotes), strings.Repeat("ö", bodhi.MaxNotes+1), "```\n" + strings.Repeat("ö\n", bodhi.MaxNotes)} {
		got := bodhi.CutNotes(notes)
		if n := len([]rune(got)); n > bodhi.MaxNotes || n < min(len([]rune(notes)), bodhi.MaxNotes-200) {
			t.Errorf("%d characters became %d", len([]rune(notes)), n)
		}
		if strings.Count(got, "```")%2 != 0 {
			t.Errorf("a block of code is open in %.20q", got)
		}
	}
}

// The state outlives the process.
func TestFakeKeepsItsState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fake, client := writing(t, "packit")
	if err := fake.Open(dir); err != nil {
		t.Fatal(err)
	}
	create(t, client, draft("mill-1.0-1.fc44"))
	if err := fake.Advance(100 * time.Hour); err != nil {
		t.Fatal(err)
	}
	again := bodhifake.New()
	if err := again.Open(dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fake.Updates(), again.Updates()); diff != "" {
		t.Error(diff)
	}
	if time.Until(again.Now()) < 90*time.Hour {
		t.Error("time went back")
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	_, client := writing(t, "packit")
	d := draft("mill-1.0-1.fc44")
	d.Notes = "<script>alert(1)</script>"
	u := create(t, client, d)
	for path, want := range map[string]int{"/updates/" + u.Alias: 200, "/updates/": 200, "/updates/FEDORA-1": 404} {
		res, err := http.Get(client.BaseURL + path)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != want || strings.Contains(string(page), "<script") || want == 200 && !strings.Contains(string(page), "mill-1.0-1.fc44") {
			t.Errorf("%s: %d, %v\n%s", path, res.StatusCode, err, page)
		}
	}
}
