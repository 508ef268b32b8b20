package handlers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"millrace/clients/git/fakeforge"
	"millrace/clients/webhook"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// bell is a shop whose rpms/hello has hooks, which only wait.
type bell struct {
	*shop
	project *models.Project
	pages   string // of its hooks
	calls   string // of its hooks, for programs
}

func newBell(t testing.TB, s *store.Store) *bell {
	t.Helper()
	b := &bell{shop: newShop(t, s)}
	b.runner.Base = b.Base
	b.runner.Teller = &jobs.Teller{Hooks: &webhook.Client{Allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}}
	var err error
	if b.runner.Queue, err = jobs.NewQueue(s, b.runner.RiverConfig(jobs.Capacity{})); err != nil {
		t.Fatal(err)
	}
	b.Telling, b.Mails = b.runner, true
	if b.project, err = models.ParseProjectURL("https://" + b.PackageForge + "/rpms/hello"); err != nil {
		t.Fatal(err)
	}
	b.write(t, func(tx *store.Tx) error { return tx.EnsureProject(t.Context(), b.project) })
	b.pages = "/projects/" + b.project.Path() + "/-/settings/hooks"
	b.calls = "/projects/" + b.project.Path() + "/-/hooks"
	return b
}

// hook makes one, with a dispatch that waits.
func (b *bell) hook(t testing.TB) (hook *models.Subscription, d *models.Dispatch) {
	t.Helper()
	hook = &models.Subscription{ProjectID: b.project.ID, URL: "https://hear.example/in", Secret: "a-secret-of-the-test", Topics: []models.Topic{models.PipelineFinished}}
	b.write(t, func(tx *store.Tx) error { return tx.CreateHook(t.Context(), hook) })
	hook.Project = b.project
	d, err := b.runner.PingHook(t.Context(), hook, &models.AuditEntry{Actor: "test", Action: "test", Via: models.ViaCommand, Object: "x", Result: models.AuditDone})
	if err != nil {
		t.Fatal(err)
	}
	return hook, d
}

// TestHookRights: every role at every door, by page and by token.
func TestHookRights(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		b := newBell(t, s)
		if err := b.distGit.SetAccess("rpms/hello", fakeforge.Access{Owner: "ada", Committers: []string{"bo"}}); err != nil {
			t.Fatal(err)
		}
		stranger := "olga" // no operator in this test
		b.Logins.Operators = []string{"nobody-here"}
		b.Rights.Operators = b.Logins.Operators
		keepers := map[string]*browser{"nobody": b.browser()}
		for _, login := range []string{stranger, "bo", "ada"} {
			keepers[login] = b.browser()
			keepers[login].login(t, login)
		}
		const no, yes = http.StatusForbidden, http.StatusOK
		for _, door := range []struct {
			method, path, form string
			body               string // of programs; empty: they have no such door
			roles              string // who may: committers and maintainers, or maintainers alone
			done               int
		}{
			{"GET", "", "", "-", "bo ada", yes},
			{"GET", "/ID", "", "-", "bo ada", yes},
			{"GET", "/ID/dispatches/DISPATCH", "", "-", "bo ada", yes},
			{"POST", "/ID/dispatches/DISPATCH/redeliver", "x=y", "-", "bo ada", http.StatusSeeOther},
			{"POST", "", "url=https%3A%2F%2Fhear.example&topic=ping&topic=pipeline.finished", `{"url":"https://hear.example","topics":["run.finished"]}`, "ada", http.StatusUnprocessableEntity},
			{"POST", "/ID", "do=save&url=https%3A%2F%2Fhear.example%2Ftwo&topic=pipeline.created", "", "ada", http.StatusSeeOther},
			{"POST", "/ID", "do=off", "", "ada", http.StatusSeeOther},
			{"POST", "/ID", "do=rotate", "", "ada", yes},
			{"POST", "/ID", "do=finish", "", "ada", http.StatusSeeOther},
			{"POST", "/ID/test", "x=y", "-", "ada", http.StatusSeeOther},
			{"GET", "/ID/delete", "", "", "ada", yes},
			{"PUT", "/ID", "", `{"state":"off"}`, "ada", 0},
			{"POST", "/ID/secret", "", `{}`, "ada", 0},
			{"DELETE", "/ID", "", "-", "ada", 0},
			{"POST", "/ID/delete", "x=y", "", "ada", http.StatusSeeOther},
		} {
			for _, who := range []string{"nobody", stranger, "bo", "ada"} {
				hook, d := b.hook(t)
				path := strings.NewReplacer("ID", decimal(hook.ID), "DISPATCH", decimal(d.ID)).Replace(door.path)
				may := slices.Contains(strings.Fields(door.roles), who)
				name := fmt.Sprintf("%s %s %s as %s", door.method, door.path, door.form, who)
				if door.done != 0 {
					want := no
					if may {
						want = door.done
					}
					if w := keepers[who].do(t, door.method, b.pages+path, door.form); w.Code != want {
						t.Errorf("%s: status %d, want %d: %s", name, w.Code, want, clip(w.Body.String(), 300))
					}
					if door.method == http.MethodPost {
						if w := keepers[who].do(t, door.method, b.pages+path, door.form, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
							t.Errorf("%s, from another site: status %d", name, w.Code)
						}
					}
				}
				if door.body == "" {
					continue
				}
				hook, d = b.hook(t)
				path = strings.NewReplacer("ID", decimal(hook.ID), "DISPATCH", decimal(d.ID)).Replace(door.path)
				body := strings.TrimPrefix(door.body, "-")
				w := keepers[who].do(t, door.method, apiPrefix+b.calls+path, body, "Content-Type", jsonMediaType)
				refused := w.Code == http.StatusForbidden || w.Code == http.StatusUnauthorized
				if refused == may || w.Code >= 500 || (w.Code == http.StatusUnauthorized) != (who == "nobody") {
					t.Errorf("%s, as a program: status %d: %s", name, w.Code, clip(w.Body.String(), 300))
				}
				if _, err := s.Writer().ExecContext(t.Context(), "DELETE FROM subscriptions"); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Writer().ExecContext(t.Context(), "DELETE FROM audit"); err != nil { // it is counted
					t.Fatal(err)
				}
			}
		}
		hook, _ := b.hook(t)
		for scope, want := range map[models.TokenScope]int{models.HooksScope: http.StatusOK, models.SettingsScope: http.StatusForbidden, models.AdminScope: http.StatusForbidden} {
			token := keepers["ada"].token(t, string(scope), scope)
			if w := b.with(t, token, http.MethodGet, apiPrefix+b.calls+"/"+decimal(hook.ID), ""); w.Code != want {
				t.Errorf("a token with the scope %s: status %d", scope, w.Code)
			}
		}
	})
}

var hookSecretOnPage = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]{44}`)

// TestHookStory: a hook from its making to its end, by the forms of its pages.
func TestHookStory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		b := newBell(t, s)
		ada := b.browser()
		ada.login(t, "ada")
		for form, problem := range map[string]string{
			"url=&topic=pipeline.finished":                                                      "say where it is to be sent",
			"url=https%3A%2F%2Fhear.example":                                                    "choose at least one topic",
			"url=https%3A%2F%2Fhear.example&topic=ping":                                         "there is no topic",
			"url=https%3A%2F%2F192.168.0.1%2F&topic=pipeline.finished":                          "192.168.0.1 is not a public address",
			"url=ftp%3A%2F%2Fhear.example&topic=pipeline.finished":                              "the address must be one of https",
			"url=https%3A%2F%2Fhear.example&topic=pipeline.finished&secret=short":               "it has from 16 to 200 characters",
			"url=https%3A%2F%2Fhear.example&topic=pipeline.finished&secret=whsec_not-of-base64": "comes base64",
		} {
			w := ada.do(t, http.MethodPost, b.pages, form)
			if w.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s: status %d", form, w.Code)
			}
			says(t, w, problem)
		}
		w := ada.do(t, http.MethodPost, b.pages, "url=https%3A%2F%2Fhear.example%2Fin&topic=run.finished&topic=pipeline.finished")
		secret := hookSecretOnPage.FindString(w.Body.String())
		if w.Code != http.StatusOK || secret == "" {
			t.Fatalf("making a hook: status %d, secret %q", w.Code, secret)
		}
		hooks, err := s.Hooks(t.Context(), b.project.ID)
		if err != nil || len(hooks) != 1 || hooks[0].Secret != secret || !slices.Equal(hooks[0].Topics, []models.Topic{models.PipelineFinished, models.RunFinished}) {
			t.Fatalf("hooks %+v, %v", hooks, err)
		}
		page := b.pages + "/" + decimal(hooks[0].ID)
		if w := ada.open(t, page); strings.Contains(w.Body.String(), secret) {
			t.Error("the secret is shown twice")
		}
		now := func() *models.Subscription {
			t.Helper()
			hook, err := s.Subscription(t.Context(), hooks[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			return hook
		}
		w = ada.do(t, http.MethodPost, page, "do=rotate")
		second := hookSecretOnPage.FindString(w.Body.String())
		if hook := now(); second == "" || second == secret || !slices.Equal(hook.Secrets(), []string{second, secret}) {
			t.Errorf("after a change the secrets are %q", hook.Secrets())
		}
		says(t, w, "Two secrets sign.")
		ada.do(t, http.MethodPost, page, "do=finish")
		if hook := now(); !slices.Equal(hook.Secrets(), []string{second}) {
			t.Errorf("after its end the secrets are %q", hook.Secrets())
		}
		w = ada.do(t, http.MethodPost, page+"/test", "")
		says(t, ada.open(t, w.Header().Get("Location")), "This is a try", "Not tried yet", "Redeliver")
		if w := ada.do(t, http.MethodPost, page, "do=off"); w.Code != http.StatusSeeOther || now().On() {
			t.Errorf("switching off: status %d", w.Code)
		}
		says(t, ada.open(t, page), "Nothing is sent.", "Somebody switched it off.", "Switch on", "The hook was switched off.")
		ada.do(t, http.MethodPost, page, "do=on")
		ada.do(t, http.MethodPost, page, url.Values{"do": {"save"}, "url": {"https://hear.example/two"}, "topic": {"build.changed"}}.Encode())
		if hook := now(); !hook.On() || hook.URL != "https://hear.example/two" || !slices.Equal(hook.Topics, []models.Topic{models.BuildChanged}) {
			t.Errorf("the hook is %+v", hook)
		}
		says(t, ada.open(t, page+"/delete"), "Delete Hook", "Keep it")
		if now() == nil {
			t.Error("looking at the question deleted it")
		}
		ada.do(t, http.MethodPost, page+"/delete", "")
		if w := ada.open(t, page); w.Code != http.StatusNotFound {
			t.Errorf("a hook that is gone: status %d", w.Code)
		}
		log, err := s.AuditLog(t.Context(), models.Page{Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		var done []string
		for _, e := range log.Rows {
			if strings.HasPrefix(e.Action, "hook.") && e.Result == models.AuditDone {
				done = append(done, e.Action)
			}
		}
		if want := []string{"hook.delete", "hook.save", "hook.on", "hook.off", "hook.test", "hook.finish", "hook.rotate", "hook.create"}; !slices.Equal(done, want) {
			t.Errorf("the audit log has %q", done)
		}
	})
}

// TestHooksOfOthers: the hook of one project is none of another's, and neither is
// a dispatch.
func TestHooksOfOthers(t *testing.T) {
	t.Parallel()
	b := newBell(t, storetest.SQLite(t))
	b.stock(t, "other")
	other, err := models.ParseProjectURL("https://" + b.PackageForge + "/rpms/other")
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, func(tx *store.Tx) error { return tx.EnsureProject(t.Context(), other) })
	one, d := b.hook(t)
	two, _ := b.hook(t)
	ada := b.browser()
	ada.login(t, "ada")
	for _, path := range []string{
		"/projects/" + other.Path() + "/-/settings/hooks/" + decimal(one.ID),
		"/projects/" + other.Path() + "/-/settings/hooks/" + decimal(one.ID) + "/dispatches/" + decimal(d.ID),
		b.pages + "/" + decimal(two.ID) + "/dispatches/" + decimal(d.ID),
		b.pages + "/999", b.pages + "/x", b.pages + "/01", b.pages + "/1/none", b.pages + "/1/dispatches/x", b.pages + "/1/dispatches/1/2",
	} {
		if w := ada.open(t, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	redeliver := b.pages + "/" + decimal(two.ID) + "/dispatches/" + decimal(d.ID) + "/redeliver"
	if w := ada.do(t, http.MethodPost, redeliver, ""); w.Code != http.StatusNotFound {
		t.Errorf("redelivering through another hook: status %d", w.Code)
	}
	if w := ada.do(t, http.MethodPost, "/projects/"+other.Path(), ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("posting to a project: status %d", w.Code)
	}
}

// TestHappeningBody: what hooks are sent is what the API shows.
func TestHappeningBody(t *testing.T) {
	t.Parallel()
	h := newWheelhouse(t, storetest.SQLite(t))
	p, err := h.Store.Pipeline(t.Context(), h.pipeline.ID)
	if err != nil {
		t.Fatal(err)
	}
	run := p.Steps[1].Targets[0].Run
	product := &models.Product{Kind: models.PullProduct, Key: "pr/1", ProjectID: p.ProjectID, Package: "wheel", Name: "PR 1", State: models.ProductOpen}
	h.write(t, func(tx *store.Tx) error { return tx.SaveProduct(t.Context(), product) })
	for _, tt := range []struct {
		happening models.Happening
		part      string // of the body
		path      string // that has the same
	}{
		{models.Happening{Topic: models.PipelineFinished, PipelineID: p.ID}, "pipeline", fmt.Sprintf("/pipelines/%d", p.ID)},
		{models.Happening{Topic: models.RunFinished, PipelineID: p.ID, RunID: run.ID}, "run", fmt.Sprintf("/runs/%d", run.ID)},
		{models.Happening{Topic: models.StepFinished, PipelineID: p.ID, Step: p.Steps[1].Name}, "step", fmt.Sprintf("/pipelines/%d/steps/%s", p.ID, p.Steps[1].Name)},
		{models.Happening{Topic: models.PullChanged, ProductID: product.ID}, "product", ""},
		{models.Happening{Topic: models.Ping}, "project", ""},
	} {
		tt.happening.Key, tt.happening.ProjectID, tt.happening.Title = "key", p.ProjectID, "It happened"
		text, err := h.HappeningBody(t.Context(), &tt.happening)
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]json.RawMessage
		if err := json.Unmarshal(text, &body); err != nil || string(body["title"]) != `"It happened"` || len(body[tt.part]) < 3 {
			t.Errorf("%s: %s, %v", tt.happening.Topic, text, err)
		}
		if tt.path == "" {
			continue
		}
		w := h.request(t, http.MethodGet, apiPrefix+tt.path, "")
		if got := string(body[tt.part]); got != strings.TrimSpace(w.Body.String()) {
			t.Errorf("%s: the hook is sent\n%s\nthe API shows\n%s", tt.happening.Topic, got, w.Body)
		}
	}
}

// TestStopMail: one click without a login ends mail, and looking at the address
// ends nothing; forged addresses end nothing, and repeated ones no more.
func TestStopMail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		b := newBell(t, s)
		ada, bo := &models.User{Login: "ada", Email: "ada@example.org"}, &models.User{Login: "bo", Email: "bo@example.org"}
		var watch, own, all, others *models.Subscription
		b.write(t, func(tx *store.Tx) (err error) {
			for _, u := range []*models.User{ada, bo} {
				if err := tx.SaveUser(t.Context(), u); err != nil {
					return err
				}
			}
			subscribe := func(u *models.User, interest models.Interest, id int64) (made *models.Subscription) {
				if err == nil {
					made, err = tx.Subscribe(t.Context(), u.ID, interest, id, models.UrgentLevel)
				}
				return made
			}
			watch, own, all = subscribe(ada, models.ProjectInterest, b.project.ID), subscribe(ada, models.OwnInterest, 0), subscribe(ada, models.AllInterest, 0)
			others = subscribe(bo, models.ProjectInterest, b.project.ID)
			return err
		})
		on := func(u *models.User) int {
			t.Helper()
			list, err := s.MailSubscriptions(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		click := func(token string) *httptest.ResponseRecorder {
			return b.request(t, http.MethodPost, "/mail/stop/"+token, "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded")
		}
		w := b.request(t, http.MethodGet, "/mail/stop/"+watch.Token, "")
		if says(t, w, "Stop this mail?", "rpms/hello", "Stop it"); w.Code != http.StatusOK || on(ada) != 2 {
			t.Errorf("looking: status %d, %d left", w.Code, on(ada))
		}
		forged := []byte(watch.Token)
		forged[0] ^= 1
		hook, _ := b.hook(t)
		for _, token := range []string{string(forged), "x", strings.Repeat("a", models.TokenLength), watch.Token + "a", "%FF", hook.Token} {
			if w := click(token); w.Code != http.StatusNotFound || on(ada) != 2 {
				t.Errorf("the forged token %q: status %d, %d left", token, w.Code, on(ada))
			}
		}
		for range 2 { // sent again it ends nothing more
			w := click(watch.Token)
			if says(t, w, "It is stopped"); w.Code != http.StatusOK || on(ada) != 1 {
				t.Errorf("one click: status %d, %d left", w.Code, on(ada))
			}
		}
		if w := click(all.Token); w.Code != http.StatusOK || on(ada) != 0 || on(bo) != 1 {
			t.Errorf("all: status %d, %d left, %d of another", w.Code, on(ada), on(bo))
		}
		click(own.Token)
		log, err := s.AuditLog(t.Context(), models.Page{})
		if err != nil {
			t.Fatal(err)
		}
		var ends []string
		for _, e := range log.Rows {
			if e.Action == "mail.unsubscribe" {
				ends = append(ends, e.Actor+" "+string(e.Via)+" "+e.Object)
			}
		}
		if want := []string{"ada mail all mail", "ada mail " + b.project.Path()}; !slices.Equal(ends, want) {
			t.Errorf("the audit log has %q", ends)
		}
		if others.ID == 0 {
			t.Error("bo hears of nothing")
		}
	})
}

// TestNotificationsPage: what somebody chooses is theirs alone.
func TestNotificationsPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		b := newBell(t, s)
		if w := b.browser().open(t, "/settings/notifications"); w.Code != http.StatusForbidden {
			t.Errorf("nobody: status %d", w.Code)
		}
		if w := b.browser().do(t, http.MethodPost, "/projects/"+b.project.Path()+"/-/watch", "do=watch"); w.Code != http.StatusForbidden {
			t.Errorf("nobody watches: status %d", w.Code)
		}
		ada, bo := b.browser(), b.browser()
		ada.login(t, "ada")
		bo.login(t, "bo")
		says(t, ada.open(t, "/settings/notifications"), "It goes to ada@example.org", "Nothing is watched")
		says(t, bo.open(t, "/settings/notifications"), "knows no address of yours")
		place := "/projects/" + b.project.Path()
		for _, page := range []string{place, "/packages/hello"} {
			if w := ada.open(t, page); !strings.Contains(w.Body.String(), `value="watch"`) {
				t.Errorf("%s has no button", page)
			}
			w := ada.do(t, http.MethodPost, place+"/-/watch", url.Values{"do": {"watch"}, "back": {page}}.Encode())
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != page {
				t.Errorf("watching: status %d to %q", w.Code, w.Header().Get("Location"))
			}
			says(t, ada.open(t, page), "Watching: stop")
			ada.do(t, http.MethodPost, place+"/-/watch", "do=stop&back=%2F%2Fevil.example")
		}
		ada.do(t, http.MethodPost, place+"/-/watch", "do=watch")
		form := url.Values{"do": {"watch"}, "project": {decimal(b.project.ID)}, "level": {"everything"}}
		if w := ada.do(t, http.MethodPost, "/settings/notifications", form.Encode()); w.Code != http.StatusSeeOther {
			t.Errorf("everything: status %d", w.Code)
		}
		ada.do(t, http.MethodPost, "/settings/notifications", "do=own&level=urgent")
		list := decode[List[Notification]](t, ada.open(t, "/api/v3/settings/notifications").Body)
		want := []Notification{{models.ProjectInterest, b.project.Path(), models.EverythingLevel}, {models.OwnInterest, "", models.UrgentLevel}}
		if !slices.Equal(list.Items, want) {
			t.Errorf("ada hears of %+v", list.Items)
		}
		if list := decode[List[Notification]](t, bo.open(t, "/api/v3/settings/notifications").Body); len(list.Items) != 0 {
			t.Errorf("bo hears of %+v", list.Items)
		}
		if w := ada.do(t, http.MethodPost, "/settings/notifications", "do=own&level=all"); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("a level that is none: status %d", w.Code)
		}
		ada.do(t, http.MethodPost, "/settings/notifications", "do=own&level=")
		ada.do(t, http.MethodPost, "/settings/notifications", "do=stop&project="+decimal(b.project.ID))
		if list := decode[List[Notification]](t, ada.open(t, "/api/v3/settings/notifications").Body); len(list.Items) != 0 {
			t.Errorf("after the end ada hears of %+v", list.Items)
		}
	})
}
