package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/anitya"
	"millrace/clients/anitya/anityafake"
	"millrace/clients/forge/forgetest"
	"millrace/clients/git/fakeforge"
	"millrace/jobs"
	"millrace/jobs/access"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// shop is a site with a dist-git: rpms/hello is ada's, with bo as a collaborator
// on EPEL.
type shop struct {
	*doors
	distGit *fakeforge.Forge
	forge   *forgetest.Server // that has the packages of distGit
	runner  *jobs.Runner
}

func newShop(t testing.TB, s *store.Store) *shop {
	t.Helper()
	return newShopOn(t, s, forgetest.Pagure)
}

// down has dist-git answer nothing, or answer again.
func (d *shop) down(down bool) {
	faults := forgetest.Faults{}
	if down {
		faults.Status = http.StatusBadGateway
	}
	d.forge.SetFaults(faults)
}

// eachShop runs f with packages on each forge.
func eachShop(t *testing.T, f func(t *testing.T, d *shop, forge forgetest.Forge)) {
	t.Helper()
	for _, forge := range forgetest.Forges {
		t.Run(string(forge), func(t *testing.T) {
			t.Parallel()
			f(t, newShopOn(t, storetest.SQLite(t), forge), forge)
		})
	}
}

func newShopOn(t testing.TB, s *store.Store, forge forgetest.Forge) *shop {
	t.Helper()
	d := &shop{doors: newDoors(t, s)}
	var err error
	if d.distGit, err = fakeforge.New(fakeforge.Config{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"packit", "ada", "bo", "olga"} {
		if err := d.distGit.AddPerson(login, login); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.distGit.SetToken("ours", fakeforge.Token{Login: "packit"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.distGit.Close)
	d.forge = forgetest.Serve(t, forge, d.distGit, forgetest.Options{Token: "ours", Admins: []string{"packit"}})
	at, err := models.ParseProjectURL(d.forge.URL + "/rpms/hello")
	if err != nil {
		t.Fatal(err)
	}
	d.PackageForge = at.Forge
	client := d.forge.Client
	d.runner = &jobs.Runner{
		Engine:   &jobs.Engine{Store: s, Log: quietLog()},
		Forges:   map[string]jobs.Forge{},
		Packages: &jobs.Packages{DistGit: client, Host: at.Forge, URL: d.forge.URL, User: "packit"}, AllowAll: true, Deployment: "prod",
	}
	d.runner.Forges[at.Forge] = jobs.PackagesForge{Packages: d.runner.Packages}
	d.runner.Kinds = map[models.StepKind]jobs.Kind{models.PullFromUpstreamStep: nil, models.KojiBuildStep: nil, models.BodhiUpdateStep: nil}
	if d.runner.Queue, err = jobs.NewQueue(s, d.runner.RiverConfig(jobs.Capacity{})); err != nil {
		t.Fatal(err)
	}
	d.Automating = d.runner
	d.Rights = &access.Rights{Store: s, Log: quietLog(), Operators: d.Logins.Operators, DistGit: client, DistGitHost: at.Forge}
	d.stock(t, "hello")
	if err := d.distGit.SetAccess("rpms/hello", fakeforge.Access{Owner: "ada", Collaborators: map[string]string{"bo": "epel*"}}); err != nil {
		t.Fatal(err)
	}
	return d
}

// stock makes a package of ada's.
func (d *shop) stock(t testing.TB, name string) {
	t.Helper()
	if err := d.distGit.CreateRepo(t.Context(), "rpms/"+name, "ada"); err != nil {
		t.Fatal(err)
	}
	d.commit(t, name, map[string]string{
		name + ".spec": "Name: " + name + "\nVersion: 1.0\nRelease: 3%{?dist}\nSummary: Says hello\nLicense: MIT\n\n%description\nHello.\n",
	})
}

func (d *shop) commit(t testing.TB, name string, files map[string]string) {
	t.Helper()
	if _, err := d.distGit.Commit(t.Context(), "rpms/"+name, fakeforge.Change{Message: "Change", Files: files}); err != nil {
		t.Fatal(err)
	}
}

const helloAutomation = "/packages/hello/automation"

// switches is the form with these jobs on.
func switches(more url.Values, on ...models.JobType) url.Values {
	form := url.Values{"do": {"save"}}
	for _, job := range models.AutomationJobs {
		form.Set(string(job)+".version", "0")
		form.Set(string(job)+".dist_git_branches", "f44 rawhide")
	}
	for _, job := range on {
		form.Set(string(job)+".on", "true")
	}
	for key, values := range more {
		form[key] = values
	}
	return form
}

func (b *browser) post(t testing.TB, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return b.do(t, http.MethodPost, path, form.Encode(), headers...)
}

var markup = regexp.MustCompile(`<[^>]*>`)

// says fails the test unless the text of a page has all of these.
func says(t testing.TB, w *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	plain := strings.Join(strings.Fields(markup.ReplaceAllString(strings.ReplaceAll(w.Body.String(), "<wbr>", ""), " ")), " ")
	for _, text := range texts {
		if !strings.Contains(plain, text) {
			t.Errorf("the page does not say %q: %s", text, clip(plain, 3000))
		}
	}
}

func (d *shop) saved(t testing.TB) []string {
	t.Helper()
	p, err := d.Store.ProjectAt(t.Context(), d.PackageForge, "rpms", "hello")
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	all, err := d.Store.AutomationHistory(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range all {
		out = append(out, auditWords(a)+"; "+string(a.Job)+" by "+a.Who())
	}
	return out
}

func TestAutomationRoles(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newShop(t, s)
		d.stock(t, "other")
		form := switches(nil, models.JobKojiBuild)
		for _, who := range []struct {
			login  string
			says   string
			status int
		}{
			{"", "You are not logged in.", http.StatusForbidden},
			{"bo", "needs the right to commit to rpms/hello in dist-git", http.StatusForbidden}, // a collaborator
			{"otto", "", http.StatusSeeOther},                                                   // an operator
			{"ada", "", http.StatusSeeOther},
		} {
			b := d.browser()
			if who.login != "" {
				b.login(t, who.login)
			}
			w := b.open(t, helloAutomation)
			if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: status %d", who.login, w.Code)
			}
			says(t, w, "What is in force now", "no config file in dist-git", "Preview", who.says)
			if may := strings.Contains(w.Body.String(), `value="save"`); may != (who.says == "") {
				t.Errorf("%s is offered to save: %v", who.login, may)
			}
			if who.login == "ada" {
				form.Set("koji_build.version", "1")
				form.Set("koji_build.scratch", "true")
			}
			w = b.post(t, helloAutomation, form)
			if w.Code != who.status {
				t.Errorf("%s: saving ends with status %d: %s", who.login, w.Code, clip(w.Body.String(), 500))
			}
			says(t, w, who.says)
			if w := b.post(t, helloAutomation, form, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
				t.Errorf("%s: a form of another site: status %d", who.login, w.Code)
			}
			if w := b.post(t, "/packages/other/automation", url.Values{"do": {"preview"}}); w.Code != http.StatusOK {
				t.Errorf("%s: a preview ends with status %d", who.login, w.Code)
			}
		}
		if diff := cmp.Diff([]string{
			"version 2, on; dist_git_branches: f44 rawhide; scratch: true; koji_build by ada",
			"version 1, on; dist_git_branches: f44 rawhide; koji_build by otto",
		}, d.saved(t)); diff != "" {
			t.Error(diff)
		}
		log, err := s.AuditLog(t.Context(), models.Page{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range log.Rows {
			if e.Action == "automation.save" {
				got = append(got, e.Actor+" "+string(e.Result)+" "+e.Detail["koji_build"])
			}
		}
		if diff := cmp.Diff([]string{
			"ada done version 2, on; dist_git_branches: f44 rawhide; scratch: true", "otto done version 1, on; dist_git_branches: f44 rawhide", "bo refused ",
		}, got); diff != "" {
			t.Error(diff)
		}
		if w := d.get(t, "/packages/hello"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), helloAutomation) {
			t.Errorf("the package's page does not lead here: status %d", w.Code)
		}
	})
}

func TestAutomationStory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newShop(t, s)
		b := d.browser()
		b.login(t, "ada")
		preview := switches(url.Values{"do": {"preview"}}, models.AutomationJobs...)
		w := b.post(t, helloAutomation, preview)
		says(t, w, "What the next release would cause", "2 pull requests on f44, rawhide", "2 Koji builds on f44, rawhide", "2 updates on f44, rawhide", "Merging the pull requests.", "job: pull_from_upstream")
		if w.Code != http.StatusOK || d.saved(t) != nil {
			t.Fatalf("a preview: status %d, saved %q", w.Code, d.saved(t))
		}
		if w := b.post(t, helloAutomation, preview, "HX-Request", "true"); strings.Contains(w.Body.String(), "<html") || !strings.Contains(w.Body.String(), `id="automation-preview"`) {
			t.Errorf("the preview as a part: %s", clip(w.Body.String(), 500))
		}

		if w := b.post(t, helloAutomation, switches(nil, models.JobPullFromUpstream)); w.Code != http.StatusSeeOther || w.Header().Get("Location") != helloAutomation+"?saved=1" {
			t.Fatalf("saving: status %d", w.Code)
		}
		w = b.open(t, helloAutomation+"?saved=1")
		says(t, w, "Saved. It counts from the next event on.", "Switched on in the browser, version 1, by ada; there is no file in dist-git.", "pull_from_upstream 1", "switched on", "dist_git_branches f44, rawhide")

		// Saving the same again makes no version; a job of the file counts instead.
		b.post(t, helloAutomation, switches(url.Values{"pull_from_upstream.version": {"1"}}, models.JobPullFromUpstream))
		if n := len(d.saved(t)); n != 1 {
			t.Errorf("%d versions", n)
		}
		d.commit(t, "hello", map[string]string{".packit.yaml": "jobs:\n- {job: pull_from_upstream, trigger: release}\n"})
		d.forgetFile(t)
		w = b.open(t, helloAutomation)
		says(t, w, ".packit.yaml in dist-git has a job of this type, which counts. What is switched on in the browser, version 1, by ada is not in force.",
			"It is switched on without a file, but .packit.yaml has a job of this type, which counts instead.", "1 pull request on rawhide")
		d.commit(t, "hello", map[string]string{".packit.yaml": "jobs: 7\n"})
		d.forgetFile(t)
		says(t, b.open(t, helloAutomation), "Nothing is done for the package now. .packit.yaml in dist-git cannot be used")
		d.commit(t, "hello", map[string]string{".packit.yaml": "jobs: []\n"})
		d.forgetFile(t)

		// Off, and back.
		if w := b.post(t, helloAutomation, url.Values{"do": {"off"}, "pull_from_upstream.version": {"1"}}); w.Code != http.StatusSeeOther {
			t.Errorf("switching off: status %d", w.Code)
		}
		all := d.saved(t)
		if len(all) != 2 || !strings.HasPrefix(all[0], "version 2, off; dist_git_branches: f44 rawhide") {
			t.Errorf("after switching off: %q", all)
		}
		w = b.open(t, helloAutomation)
		says(t, w, "It was switched off in the browser, version 2, by ada.", "Put this back")
		id := regexp.MustCompile(`name="version" value="(\d+)"`).FindStringSubmatch(w.Body.String())
		if id == nil {
			t.Fatal("no version can be put back")
		}
		for range 2 { // the second time another is the newest
			b.post(t, helloAutomation, url.Values{"do": {"restore"}, "version": {id[1]}, "newest": {"2"}})
		}
		if all := d.saved(t); len(all) != 3 || !strings.HasPrefix(all[0], "version 3, on; dist_git_branches: f44 rawhide") {
			t.Errorf("after putting back: %q", all)
		}
		for _, bad := range []url.Values{{"do": {"restore"}, "version": {"99999"}, "newest": {"3"}}, {"do": {"restore"}}, {"do": {"dance"}}, {}} {
			if w := b.post(t, helloAutomation, bad); w.Code != http.StatusNotFound && w.Code != http.StatusBadRequest {
				t.Errorf("%v: status %d", bad, w.Code)
			}
		}
	})
}

// forgetFile lets dist-git be asked at once.
func (d *shop) forgetFile(t testing.TB) {
	t.Helper()
	if _, err := d.Store.Writer().ExecContext(t.Context(), "DELETE FROM cached_items WHERE source = 'package config'"); err != nil {
		t.Fatal(err)
	}
}

func TestAutomationMistakes(t *testing.T) {
	t.Parallel()
	d := newShop(t, storetest.SQLite(t))
	b := d.browser()
	b.login(t, "ada")
	for _, c := range []struct {
		name   string
		form   url.Values
		on     []models.JobType
		status int
		says   string
		keeps  string
	}{
		{"a number", url.Values{"bodhi_update.bodhi_extra_params.stable_days": {"three"}}, models.AutomationJobs, 422, "It must be a whole number.", `value="three"`},
		{"the parser's word", url.Values{"pull_from_upstream.version_update_specifiers": {"about 3"}}, models.AutomationJobs, 422, "about 3", `value="about 3"`},
		{"of a job that is off", url.Values{"pull_from_upstream.version_update_specifiers": {"about 3"}}, nil, 303, "", ""},
		{"something that cannot be stored", url.Values{"koji_build.sidetag_group": {"a\x00\x1bb"}}, models.AutomationJobs, 422, "It has characters that cannot be shown.", ""},
		{"a choice that is none", url.Values{"bodhi_update.bodhi_extra_params.type": {"party"}}, models.AutomationJobs, 422, "It must be one of bugfix", ""},
		{"far too long", url.Values{"issue_repository": {strings.Repeat("x", 600)}}, models.AutomationJobs, 422, "more than 500 bytes", ""},
		{"too large", url.Values{"issue_repository": {strings.Repeat("x", maxForm)}}, models.AutomationJobs, 400, "cannot be read", ""},
		{"markup", url.Values{"koji_build.sidetag_group": {`"><b>`}, "bodhi_update.bodhi_extra_params.stable_days": {"x"}}, models.AutomationJobs, 422, "", `value="&#34;&gt;&lt;b&gt;"`},
	} {
		w := b.post(t, helloAutomation, switches(c.form, c.on...))
		if w.Code != c.status {
			t.Errorf("%s: status %d", c.name, w.Code)
		}
		if says(t, w, c.says); !strings.Contains(w.Body.String(), c.keeps) {
			t.Errorf("%s: what was entered is not kept", c.name)
		}
		if c.status == 422 {
			contains(t, w, `aria-invalid="true"`)
			says(t, w, "Nothing was saved.")
		}
	}
	for _, entry := range d.saved(t) {
		t.Errorf("saved: %s", entry)
	}
	for path, text := range map[string]string{
		"/packages/helo/automation": "Dist-git has no package of that name", "/packages/..%2Fetc/automation": "no package of that name",
		"/packages/" + strings.Repeat("x", 300) + "/automation": "no package of that name", "/packages/%3Cb%3E/automation": "no package of that name",
	} {
		if w := b.open(t, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		} else {
			says(t, w, text)
		}
	}
}

func TestAutomationConflict(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newShop(t, s)
		ada, otto := d.browser(), d.browser()
		ada.login(t, "ada")
		otto.login(t, "otto")
		otto.post(t, helloAutomation, switches(url.Values{"koji_build.scratch": {"true"}}, models.JobKojiBuild))
		mine := switches(url.Values{"koji_build.sidetag_group": {"mine"}}, models.JobKojiBuild, models.JobPullFromUpstream)
		w := ada.post(t, helloAutomation, mine)
		if w.Code != http.StatusConflict || len(d.saved(t)) != 1 {
			t.Fatalf("status %d, saved %q", w.Code, d.saved(t))
		}
		says(t, w, "Nothing was saved: somebody else was faster.", "Koji builds, version 1 , by otto", "switched on", "scratch true")
		contains(t, w, `value="mine"`, `name="koji_build.version" value="1"`, `name="pull_from_upstream.version" value="0"`)
		mine.Set("koji_build.version", "1")
		if w := ada.post(t, helloAutomation, mine); w.Code != http.StatusSeeOther || len(d.saved(t)) != 3 {
			t.Errorf("saving over it: status %d, saved %q", w.Code, d.saved(t))
		}
		// Who wants what is there already has no conflict.
		if w := otto.post(t, helloAutomation, mine); w.Code != http.StatusSeeOther || len(d.saved(t)) != 3 {
			t.Errorf("the same from an older version: status %d, saved %q", w.Code, d.saved(t))
		}
	})
}

func TestAutomationWhileDistGitIsDown(t *testing.T) {
	t.Parallel()
	eachShop(t, func(t *testing.T, d *shop, forge forgetest.Forge) {
		b := d.browser()
		b.login(t, "ada")
		b.post(t, helloAutomation, switches(nil, models.AutomationJobs...))
		d.forgetFile(t)
		d.down(true)
		w := b.open(t, helloAutomation)
		if w.Code != http.StatusOK {
			t.Fatalf("status %d", w.Code)
		}
		says(t, w, "Dist-git does not answer, so whether there is a file is not known", "whether a file in dist-git counts instead cannot be told now")
		if w := b.open(t, "/packages/new/automation"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("a package that is not known here: status %d", w.Code)
		}
		w = b.open(t, helloAutomation+"/readiness")
		says(t, w, "What automation of hello takes", "Not known", string(forge)+" answers with status 502", "Allowed here Good")
	})
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	eachShop(t, func(t *testing.T, d *shop, forge forgetest.Forge) {
		b := d.browser()
		b.login(t, "ada")
		b.post(t, helloAutomation, switches(nil, models.AutomationJobs...))
		w := b.open(t, helloAutomation+"/readiness")
		says(t, w, "Maintained Good It is maintained by ada.", "packit may not commit to rpms/hello", "This service asks no release monitoring.",
			"hello.spec can be edited. For a version after 1.0 these lines would become:", "2: Version: 1.0.999", "3: Release: 1%{?dist}", "The package has no branch f44.")
		watch := new(anityafake.Server)
		monitoring := httptest.NewServer(watch)
		t.Cleanup(monitoring.Close)
		d.runner.Monitoring, d.runner.MonitoringURL = &anitya.Client{BaseURL: monitoring.URL}, "https://monitoring.test"
		says(t, b.open(t, helloAutomation+"/readiness", "HX-Request", "true"), "Nobody watches for new versions of it")
		if err := watch.Map(anitya.Fedora, "hello", watch.Add(anitya.Project{Name: "hello", Versions: []string{"1.0"}, StableVersions: []string{"1.0"}})); err != nil {
			t.Fatal(err)
		}
		if forge == forgetest.Pagure { // Forgejo keeps nothing of the kind
			says(t, b.open(t, helloAutomation+"/readiness"), "Release monitoring Missing It is switched off for this package in dist-git", "Switch it on with “Monitoring status”")
			if err := d.distGit.SetNote("rpms/hello", "monitoring", "monitoring"); err != nil {
				t.Fatal(err)
			}
		}
		says(t, b.open(t, helloAutomation+"/readiness"), "Release monitoring Good It is made of the project 4242, hello, whose newest version is 1.0.")
		d.commit(t, "hello", map[string]string{"monitoring.toml": "monitoring = false\n"})
		says(t, b.open(t, helloAutomation+"/readiness"), "Write monitoring = true into monitoring.toml on rawhide.")
		d.commit(t, "hello", map[string]string{"monitoring.toml": "monitoring = [\n"})
		says(t, b.open(t, helloAutomation+"/readiness"), "The file monitoring.toml on rawhide cannot be read")
		d.commit(t, "hello", map[string]string{"monitoring.toml": "monitoring = true\n"})
		says(t, b.open(t, helloAutomation+"/readiness"), "It is made of the project 4242")
		d.commit(t, "hello", map[string]string{"hello.spec": "Name: hello\n%include version.inc\n", "dead.package": "Nobody said hello\n"})
		if err := d.distGit.SetAccess("rpms/hello", fakeforge.Access{Owner: "ada", Committers: []string{"packit"}}); err != nil {
			t.Fatal(err)
		}
		says(t, b.open(t, helloAutomation+"/readiness"), "It is retired on rawhide: Nobody said hello.", "packit may commit to rpms/hello.", "hello.spec cannot be edited")
	})
}

func TestAutomationByPrograms(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newShop(t, s)
		ada, bo := d.browser(), d.browser()
		ada.login(t, "ada")
		bo.login(t, "bo")
		good, weak, stranger := ada.token(t, "good", models.SettingsScope), ada.token(t, "weak", models.RerunScope), bo.token(t, "stranger", models.SettingsScope)
		const path = "/api/v3/packages/hello/automation"
		at := d.request(t, http.MethodGet, path, "")
		detail := decode[AutomationDetail](t, at.Body)
		if len(detail.Jobs) != 3 || detail.Jobs[1].Enabled || detail.Jobs[1].Version != 0 || detail.Allowed || detail.YAML != "jobs: []\n" {
			t.Errorf("before anything: %+v", detail)
		}
		body := `{"jobs":[{"job":"koji_build","enabled":true,"settings":{"dist_git_branches":["f44"],"scratch":true},"expected_version":0}]}`
		for _, c := range []struct {
			name, token, body string
			status            int
			says              string
		}{
			{"nobody", "", body, 401, ""},
			{"a small token", weak, body, 403, "has not the scope settings"},
			{"a collaborator", stranger, body, 403, "right to commit"},
			{"no job", good, `{"jobs":[]}`, 422, "jobs"},
			{"an unknown job", good, `{"jobs":[{"job":"tests","enabled":true,"expected_version":0}]}`, 422, "jobs[0].job"},
			{"a job twice", good, `{"jobs":[{"job":"koji_build","enabled":true,"expected_version":0},{"job":"koji_build","enabled":true,"expected_version":0}]}`, 422, "named twice"},
			{"an unknown key", good, strings.Replace(body, "scratch", "scrath", 1), 422, "jobs[0].settings.scrath"},
			{"the parser's word", good, `{"jobs":[{"job":"pull_from_upstream","enabled":true,"settings":{"version_update_specifiers":"about 3"},"expected_version":0}]}`, 422, "pull_from_upstream.version_update_specifiers"},
			{"good", good, body, 200, `"version":1`},
			{"an older version", good, strings.Replace(body, `true}`, `false}`, 1), 409, "version 1 of koji_build by ada"},
			{"off, with its settings", good, `{"jobs":[{"job":"koji_build","enabled":false,"expected_version":1}]}`, 200, `"version":2`},
		} {
			var headers []string
			if c.token != "" {
				headers = []string{"Authorization", "Bearer " + c.token}
			}
			w := d.request(t, http.MethodPut, path, c.body, append(headers, "Content-Type", jsonMediaType)...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%s: status %d: %s", c.name, w.Code, clip(w.Body.String(), 600))
			}
		}
		detail = decode[AutomationDetail](t, d.with(t, good, http.MethodGet, path, "").Body)
		job := detail.Jobs[1]
		if !detail.Allowed || job.Enabled || job.By != "ada" || job.Source != models.FromBrowser || job.Settings["scratch"] != true || time.Since(*job.At) > time.Hour {
			t.Errorf("at last: %+v", detail)
		}
		if w := d.request(t, http.MethodGet, "/api/v3/packages/none/automation", ""); w.Code != http.StatusNotFound || !json.Valid(w.Body.Bytes()) {
			t.Errorf("no such package: status %d", w.Code)
		}
	})
}

// TestOrigins: pages say of jobs that are in no file where they are from.
func TestOrigins(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "rpms/hello", 1, storetest.PullRequest)
		site := newSite(t, s)
		origin := models.Origin{Source: models.FromBrowser, Version: 3, Who: "maren"}.String()
		if _, err := s.Writer().NewUpdate().Model(g.Steps[1]).Set("config = ?", `{"origin":"`+origin+`"}`).WherePK().Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		e := &models.Event{ID: g.EventID, State: models.EventPlanned, Decisions: []models.Decision{{Job: models.JobKojiBuild, Planned: true, Origin: origin}}}
		if _, err := s.Writer().NewUpdate().Model(e).Column("decisions", "state").WherePK().Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := s.Pipeline(t.Context(), g.ID)
		if err != nil {
			t.Fatal(err)
		}
		run := "/runs/" + decimal(g.Steps[1].Targets[0].RunID)
		at := site.get(t, run).Header().Get("Location")
		pages := []string{"/pipelines/" + decimal(g.ID), at, "/pipelines/" + decimal(g.ID) + "?fragment=facts"}
		for _, path := range pages {
			if w := site.get(t, path); strings.Contains(w.Body.String(), "maren") {
				t.Errorf("%s tells of automation where there is no dist-git", path)
			}
		}
		site.PackageForge = p.Project.Forge
		for _, path := range append(pages, "/events/"+decimal(g.EventID)) {
			w := site.get(t, path)
			says(t, w, "in the browser, version 3, by maren")
			contains(t, w, `href="/packages/hello/automation"`)
		}
	})
}

func TestAutomationList(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newShop(t, s)
		ada, otto := d.browser(), d.browser()
		ada.login(t, "ada")
		otto.login(t, "otto")
		if w := ada.open(t, "/admin/automation-list"); w.Code != http.StatusForbidden {
			t.Errorf("of no operator: status %d", w.Code)
		}
		says(t, otto.open(t, "/admin/automation-list"), "There is no list")
		keep := func(problems ...models.ConfigProblem) {
			t.Helper()
			err := s.InTx(t.Context(), func(tx *store.Tx) error {
				return errors.Join(tx.SaveListState(t.Context(), &models.ListState{URL: "https://git.test/list", Path: "packages.yaml", SHA: "0123456789", TriedAt: time.Now(), ReadAt: time.Now()}),
					tx.SaveListEntry(t.Context(), &models.ListEntry{Package: "hello", Line: 7, Problems: problems, Jobs: map[models.JobType]models.AutomationSettings{
						models.JobKojiBuild: {"dist_git_branches": []string{"f44"}, "scratch": true},
					}}))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		keep()
		ada.post(t, helloAutomation, switches(nil, models.JobKojiBuild, models.JobBodhiUpdate))
		says(t, ada.open(t, helloAutomation), "The list has it on, and does not count because it was switched in the browser.", "The list names the package, and not this job", "Go by the list")
		for _, c := range []struct {
			form   url.Values
			status int
		}{
			{url.Values{"do": {"list"}, "job": {"tests"}, "newest": {"1"}}, 422},
			{url.Values{"do": {"list"}, "job": {"koji_build"}}, 422},
			{url.Values{"do": {"list"}, "job": {"koji_build"}, "newest": {"9"}}, 409},
			{url.Values{"do": {"list"}, "job": {"koji_build"}, "newest": {"1"}}, 303},
			{url.Values{"do": {"list"}, "job": {"bodhi_update"}, "newest": {"1"}}, 303},
		} {
			if w := ada.post(t, helloAutomation, c.form); w.Code != c.status {
				t.Errorf("%v: status %d", c.form, w.Code)
			}
		}
		w := ada.open(t, helloAutomation)
		says(t, w, "Switched on from the list, version 2, by ada", "It was switched off from the list, version 2, by ada.")
		if strings.Contains(w.Body.String(), "Go by the list") {
			t.Error("what goes by the list is to go by it")
		}
		says(t, otto.open(t, "/admin/automation-list"), "packages.yaml", "0123456", "Good", "hello", "koji_build", "7")
		keep(models.ConfigProblem{Key: "packages.hello.build", Line: 8, Message: "build cannot be switched on by a list."})
		says(t, otto.open(t, "/admin/automation-list"), "Wrong", "Line 8: packages.hello.build build cannot be switched on by a list.")
		says(t, ada.open(t, helloAutomation), "The list names the package, but not rightly.", "Line 8:")
		if w := ada.post(t, helloAutomation, url.Values{"do": {"list"}, "job": {"koji_build"}, "newest": {"2"}}); w.Code != 422 {
			t.Errorf("going by an entry with mistakes: status %d", w.Code)
		}
	})
}

func TestAutomationOfMany(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newShop(t, s)
		d.stock(t, "cowsay")
		if err := d.distGit.CreateRepo(t.Context(), "rpms/olgas", "olga"); err != nil {
			t.Fatal(err)
		}
		ada := d.browser()
		ada.login(t, "ada")
		says(t, ada.open(t, "/packages"), "2 packages of yours in dist-git", "cowsay nothing", "hello nothing")
		ada.post(t, helloAutomation, switches(url.Values{"pull_from_upstream.upstream_tag_template": {"v{version}"}}, models.JobPullFromUpstream))
		w := ada.open(t, "/packages")
		says(t, w, "2 packages of yours in dist-git", "hello proposing new versions")
		contains(t, w, `name="package" value="hello"`, `href="/packages?all=1"`)
		says(t, d.get(t, "/packages"), "In dist-git, as far as anything happened to them here.", "hello")

		const path = "/packages/-/automation"
		many := "package=hello&package=cowsay&package=olgas&package=none&package=hello"
		w = ada.open(t, path+"?"+many)
		says(t, w, "Automation of 4 packages", "Now on: proposing new versions", "needs the right to commit to rpms/olgas", "Dist-git has no package of that name.")
		contains(t, w, `name="version.hello.pull_from_upstream" value="1"`)
		form := url.Values{
			"package": {"hello", "cowsay", "olgas", "none"}, "version.hello.pull_from_upstream": {"1"}, "pull_from_upstream.do": {"on"}, "koji_build.do": {"on"}, "bodhi_update.do": {"off"},
			"pull_from_upstream.dist_git_branches": {"f44"}, "koji_build.dist_git_branches": {"f44"}, "do": {"preview"},
		}
		w = ada.post(t, path, form)
		says(t, w, "hello Would change pull_from_upstream changed: dist_git_branches", "cowsay Would change pull_from_upstream on", "olgas You may not")
		if n := len(d.saved(t)); n != 1 {
			t.Errorf("a preview made %d versions", n)
		}
		form.Set("do", "save")
		w = ada.post(t, path, form)
		if w.Code != http.StatusOK {
			t.Fatalf("status %d: %s", w.Code, clip(w.Body.String(), 500))
		}
		says(t, w, "It was done for each package by itself.", "hello Saved", "cowsay Saved", "olgas You may not")
		if diff := cmp.Diff([]string{
			"version 1, on; dist_git_branches: f44; koji_build by ada",
			"version 2, on; dist_git_branches: f44; upstream_tag_template: v{version}; pull_from_upstream by ada",
			"version 1, on; dist_git_branches: f44 rawhide; upstream_tag_template: v{version}; pull_from_upstream by ada",
		}, d.saved(t)); diff != "" {
			t.Error(diff)
		}
		// The same from the same page: nothing to change for one, and for another
		// somebody was faster.
		form.Set("koji_build.scratch", "true")
		form.Set("pull_from_upstream.do", "")
		w = ada.post(t, path, form)
		says(t, w, "hello Not saved Somebody else was faster: version 1 of koji_build by ada.")
		for _, c := range []struct {
			form   url.Values
			status int
			says   string
		}{
			{url.Values{"do": {"save"}}, 422, "No package is marked."},
			{url.Values{"do": {"dance"}, "package": {"hello"}}, 400, "does not say what to do"},
			{url.Values{"do": {"save"}, "package": {"hello"}, "pull_from_upstream.do": {"on"}, "pull_from_upstream.version_update_specifiers": {"about 3"}}, 422, "about 3"},
		} {
			w := ada.post(t, path, c.form)
			if w.Code != c.status {
				t.Errorf("%v: status %d", c.form, w.Code)
			}
			says(t, w, c.says)
		}
		tooMany := url.Values{}
		for i := range 51 {
			tooMany.Add("package", "p"+decimal(int64(i)))
		}
		if w := ada.open(t, path+"?"+tooMany.Encode()); w.Code != 422 {
			t.Errorf("51 packages: status %d", w.Code)
		}
		if w := d.browser().post(t, path, form); w.Code != http.StatusForbidden {
			t.Errorf("nobody: status %d", w.Code)
		}
		if w := ada.post(t, path, form, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
			t.Errorf("a form of another site: status %d", w.Code)
		}
	})
}
