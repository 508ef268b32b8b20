package handlers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"millrace/clients/webhook"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// load reads the document as another library understands it. strict forbids
// fields in answers that the document does not name.
func load(t testing.TB, text []byte, strict bool) *openapi3.T {
	t.Helper()
	if strict {
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		forbidMore(v)
		text, _ = json.Marshal(v) // it was JSON a moment ago
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func forbidMore(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, isObject := v["properties"]; isObject && v["type"] == "object" && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			forbidMore(inner)
		}
	case []any:
		for _, inner := range v {
			forbidMore(inner)
		}
	}
}

// TestDocument: it is valid OpenAPI 3.1, complete, and in order.
func TestDocument(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	w := site.get(t, "/api/v3/openapi.json")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != jsonMediaType {
		t.Fatalf("status %d, %v", w.Code, w.Header())
	}
	doc := load(t, w.Body.Bytes(), false)
	if err := doc.Validate(t.Context(), openapi3.EnableSchemaDefaultsValidation(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Servers) != 1 || doc.Servers[0].URL != "https://millrace.example/api/v3" {
		t.Errorf("version %s, servers %v", doc.OpenAPI, doc.Servers)
	}
	for _, path := range doc.Paths.InMatchingOrder() {
		for method, o := range doc.Paths.Find(path).Operations() {
			if o.Summary == "" || strings.HasSuffix(o.Summary, ".") || len(o.Tags) != 1 || doc.Tags.Get(o.Tags[0]) == nil {
				t.Errorf("%s %s: %q, in %v", method, path, o.Summary, o.Tags)
			}
			for _, p := range o.Parameters {
				if p.Value.Description == "" {
					t.Errorf("%s %s: nothing is said of %s", method, path, p.Value.Name)
				}
			}
		}
	}
	schemas := doc.Components.Schemas
	for name, want := range map[string]string{"Problem": "request_id", "RerunBody": "expected_attempt", "NewToken": "secret"} {
		if schemas[name] == nil || schemas[name].Value.Properties[want] == nil {
			t.Errorf("the schema %s has no %s", name, want)
		}
	}
	if more := schemas["RerunBody"].Value.AdditionalProperties.Has; more == nil || *more {
		t.Error("bodies with unknown fields are taken")
	}
	if schemas["Pipeline"].Value.AdditionalProperties.Has != nil {
		t.Error("answers can never have more fields")
	}
}

// notDescribed are the routes that are not for JSON.
var notDescribed = map[string]string{
	"/live": "a stream", "/healthz": "for machines", "/readyz": "for machines", "/metrics": "for machines", "/version.json": "for machines",
	"/robots.txt": "for robots", "/favicon.ico": "for browsers", "/static/*": "for browsers", "/srpm-tool/{sha256}/millrace": "for builds",
	"/srpms/{run}/{key}/{file}": "for builds", "/login": "for people", "/login/callback": "for people", "/find": "for people", "/help": "for people", "/pipelines/selected": "for people",
	"/packages/-/automation": "for people", "/packages/{name}/automation/readiness": "for people", "/admin/automation-list": "for people", "/mail/stop/{token}": "for people",
	"/runs/{id}/log.txt": "text", "/pipelines.atom": "Atom", "/events.atom": "Atom", "/projects/*": "described by what is in it",
}

// TestEverythingIsDescribed: what can be read as JSON stands in the document.
func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	described := map[string]bool{}
	for _, o := range site.api.operations {
		described[o.method+" "+o.path] = true
	}
	err := chi.Walk(site.routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method == http.MethodGet && !described["GET "+route] && notDescribed[route] == "" {
			t.Errorf("%s is neither in the document nor said not to belong there", route)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// caller is who sends requests.
type caller struct {
	name    string
	headers []string
}

// bench is a site with a document, and callers of all kinds.
type bench struct {
	*wheelhouse
	doc      *openapi3.T
	callers  []caller
	released string                  // path of a project with a release 2.0
	hit      map[string]map[int]bool // statuses of the answers, by the name of the operation
	sent     int
}

// stock is a dist-git with one package, which has no config file.
type stock struct{ *models.Project }

func (s stock) FindPackage(_ context.Context, name string) (*models.Project, error) {
	if name != s.Name {
		return nil, models.ErrNotFound
	}
	return s.Project, nil
}

func (s stock) OwnPackages(context.Context, string) (*jobs.OwnPackages, error) {
	return &jobs.OwnPackages{Names: []string{s.Name}, At: time.Now()}, nil
}

func (stock) PackageFile(context.Context, *models.Project) (*jobs.PackageFile, error) {
	return new(jobs.PackageFile), nil
}

func (stock) Foresee(context.Context, *models.Project, *models.PackageConfig, *jobs.PackageFile) (*models.Foresight, []models.Decision, error) {
	return new(models.Foresight), nil, nil
}

func (stock) Readiness(context.Context, *models.Project) []models.Readiness { return nil }

func (stock) Releases(context.Context) (models.Releases, error) { return nil, nil }

func newBench(t testing.TB, s *store.Store) *bench {
	t.Helper()
	b := &bench{wheelhouse: newWheelhouse(t, s), hit: map[string]map[int]bool{}}
	b.doc = load(t, b.api.text, true)
	project, _ := aRelease(t, s)
	b.PackageForge, b.released = project.Forge, project.Path()
	b.Automating = stock{project}
	b.runner.Teller = &jobs.Teller{Hooks: new(webhook.Client)}
	b.Telling = b.runner
	b.write(t, func(tx *store.Tx) error {
		return tx.ReplaceLog(t.Context(), b.run(0, 0).ID, "https://logs.example/1", []byte("one\ntwo\nerror: three\n"), 0, true)
	})
	session := func(login string) *browser {
		in := b.browser()
		in.login(t, login)
		b.callers = append(b.callers, caller{login, []string{"Cookie", cookieOfSession + "=" + in.cookies[cookieOfSession]}})
		return in
	}
	b.callers = append(b.callers, caller{name: "nobody"}, caller{"a token of nobody", []string{"Authorization", "Bearer " + models.TokenPrefix + "x"}})
	session("olga")
	session("ada")
	// Their sessions may end their tokens, so others have those.
	otto, bo := b.browser(), b.browser()
	otto.login(t, "otto")
	bo.login(t, "bo")
	for _, scope := range models.TokenScopes {
		b.callers = append(b.callers, caller{"operator, " + string(scope), []string{"Authorization", "Bearer " + otto.token(t, string(scope), scope)}})
	}
	b.callers = append(b.callers,
		caller{"operator, all", []string{"Authorization", "Bearer " + otto.token(t, "all", models.TokenScopes...)}},
		caller{"bo, all", []string{"Authorization", "Bearer " + bo.token(t, "all", models.TokenScopes...)}})
	return b
}

// ask is a request that is made for an operation.
type ask struct {
	path, body, kind, key string
}

// try sends a request and looks whether the answer is one that the document
// knows.
func (b *bench) try(t testing.TB, o *operation, who caller, a ask) *httptest.ResponseRecorder {
	t.Helper()
	if b.sent++; b.sent%20 == 0 { // what is counted for the limits of people and projects
		if _, err := b.Store.Writer().ExecContext(t.Context(), "DELETE FROM audit"); err != nil {
			t.Fatal(err)
		}
	}
	headers := slices.Clone(who.headers)
	if a.kind != "" {
		headers = append(headers, "Content-Type", a.kind)
	}
	if a.key != "" {
		headers = append(headers, "Idempotency-Key", a.key)
	}
	w := b.request(t, o.method, apiPrefix+a.path, a.body, headers...)
	if b.hit[o.name] == nil {
		b.hit[o.name] = map[int]bool{}
	}
	b.hit[o.name][w.Code] = true
	if problem := b.judge(o, w); problem != "" {
		t.Errorf("%s %s as %s, with %s %q: %s\n%s", o.method, clip(a.path, 200), who.name, a.kind, clip(a.body, 300), problem, clip(w.Body.String(), 300))
	}
	return w
}

// judge says what is wrong with an answer.
func (b *bench) judge(o *operation, w *httptest.ResponseRecorder) string {
	if w.Code >= 500 {
		return fmt.Sprintf("status %d", w.Code)
	}
	described := b.doc.Paths.Find(o.path).GetOperation(o.method)
	response := described.Responses.Status(w.Code)
	if response == nil {
		return fmt.Sprintf("status %d is not in the document", w.Code)
	}
	h := w.Header()
	switch {
	case len(response.Value.Content) == 0 && w.Body.Len() > 0:
		return "there is a body, and the document does not know of it"
	case len(response.Value.Content) > 0 && response.Value.Content.Get(h.Get("Content-Type")) == nil:
		return fmt.Sprintf("content type %q", h.Get("Content-Type"))
	case (w.Code > 300 && w.Code < 400 && w.Code != 304 || w.Code == 201 || w.Code == 202) != (h.Get("Location") != ""):
		return fmt.Sprintf("status %d with the location %q", w.Code, h.Get("Location"))
	case (w.Code == http.StatusTooManyRequests) != (h.Get("Retry-After") != ""):
		return fmt.Sprintf("status %d, to try again after %q", w.Code, h.Get("Retry-After"))
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: httptest.NewRequest(o.method, "/", nil), Route: &routers.Route{Spec: b.doc, Method: o.method, Operation: described},
		},
		Status: w.Code, Header: h, Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())), Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestAnswersAreAsDescribed asks for everything that the document has: once as it
// is meant, by somebody who may, and then with values good and bad, by everybody.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		b := newBench(t, s)
		b.askWell(t)
		for _, o := range b.api.operations {
			if !b.hit[o.name][o.status] {
				t.Errorf("%s was never answered %d, but %v", o.name, o.status, b.hit[o.name])
			}
		}
		random := rand.New(rand.NewPCG(7, 11))
		rounds := 6
		if testing.Short() {
			rounds = 1
		}
		for range rounds {
			for _, o := range b.api.operations {
				for _, who := range b.callers {
					b.try(t, o, who, b.invent(random, o))
				}
			}
			if t.Failed() {
				return
			}
		}
	})
}

// FuzzAPI looks for a request whose answer the document does not know.
func FuzzAPI(f *testing.F) {
	b := newBench(f, storetest.SQLite(f))
	f.Add(byte(0), byte(0), uint64(1), "")
	f.Add(byte(15), byte(2), uint64(2), `{"scope":"failed"}`)
	f.Add(byte(25), byte(2), uint64(3), `{"name":"x","scopes":["read"]}`)
	f.Fuzz(func(t *testing.T, which, who byte, seed uint64, body string) {
		o := b.api.operations[int(which)%len(b.api.operations)]
		a := b.invent(rand.New(rand.NewPCG(seed, 0)), o)
		if o.body != nil && body != "" {
			a.body = body
		}
		b.try(t, o, b.callers[int(who)%len(b.callers)], a)
	})
}

// askWell makes a request of each kind that is answered as it should be.
func (b *bench) askWell(t *testing.T) {
	t.Helper()
	by := map[string]*operation{}
	for _, o := range b.api.operations {
		by[o.name] = o
	}
	olga := b.callers[2]
	send := func(name, path, body string) *httptest.ResponseRecorder {
		t.Helper()
		a := ask{path: path, body: body}
		if body != "" {
			a.kind = jsonMediaType
		}
		return b.try(t, by[name], olga, a)
	}
	pipeline := fmt.Sprintf("/pipelines/%d", b.pipeline.ID)
	run := fmt.Sprintf("/runs/%d", b.run(0, 0).ID)
	for name, path := range map[string]string{
		"showHome": "/", "showQueue": "/queue", "listProjects": "/projects?limit=1", "listProjectsOfForge": "/projects/github.com",
		"listProjectsOfNamespace": "/projects/github.com/mill", "showProject": "/projects/github.com/mill/wheel",
		"listPipelinesOfReference": "/projects/github.com/mill/wheel/-/pulls/7", "findLatestPipeline": "/projects/github.com/mill/wheel/-/latest",
		"listPipelines": "/pipelines", "showPipeline": pipeline, "showStep": pipeline + "/steps/srpm-0", "showTarget": pipeline + "/steps/srpm-0/source",
		"showRun": run, "showLog": run + "/log?from=2", "previewRerun": pipeline + "/rerun", "listEvents": "/events?q=kind:pull_request", "showEvent": "/events/1",
		"showWay": "/projects/" + b.released + "/-/ways/2.0", "listPackages": "/packages", "showPackage": "/packages/hello", "showAutomation": "/packages/hello/automation", "listAccounts": "/settings/accounts", "showMe": "/me", "listTokens": "/settings/tokens", "listNotifications": "/settings/notifications", "listAudit": "/admin/audit", "showDocument": "/openapi.json",
	} {
		send(name, path, "")
	}
	made := decode[Pipeline](t, send("rerun", pipeline+"/rerun", `{"scope":"failed","expected_attempt":1}`).Body)
	if made.Attempt != 2 || made.FirstAttemptID != b.pipeline.ID {
		t.Errorf("the new pipeline is %+v", made.PipelineSummary)
	}
	again := fmt.Sprintf("/pipelines/%d", made.ID)
	for _, path := range []string{"", "/steps/srpm-0/source"} {
		w := b.get(t, "/api/v3"+pipeline+path+"?attempt=2")
		if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to != "/api/v3"+again+path {
			t.Errorf("another attempt is at %q with status %d", to, w.Code)
		}
	}
	i := slices.IndexFunc(made.Steps, func(s Step) bool { return s.Kind == models.CoprBuildStep })
	j := slices.IndexFunc(made.Steps[i].Targets, func(t Target) bool { return t.Name == "fedora-43-x86_64" })
	stopped := decode[Canceled](t, send("cancelRun", fmt.Sprintf("/runs/%d/cancel", made.Steps[i].Targets[j].Run.ID), "").Body)
	if stopped.Runs != 1 || stopped.Pipeline.ID != made.ID {
		t.Errorf("canceled %+v", stopped)
	}
	send("rerun", again+"/rerun", `{"scope":"all","restart":true}`)
	send("cancelPipeline", fmt.Sprintf("/pipelines/%d/cancel", made.ID+1), `{}`)
	many := decode[RerunResults](t, send("rerunMany", "/pipelines/rerun", fmt.Sprintf(`{"scope":"failed","pipelines":[%d,99999]}`, made.ID+1)).Body)
	if len(many.Items) != 2 || many.Items[0].Made == nil || many.Items[0].Made.Attempt != 4 || many.Items[1].Problem == nil || many.Items[1].Problem.Status != 404 {
		t.Errorf("several: %+v", many.Items)
	}
	token := decode[NewToken](t, send("makeToken", "/settings/tokens", `{"name":"CI","scopes":["rerun","read"],"days":7}`).Body)
	if me := decode[Me](t, b.with(t, token.Secret, http.MethodGet, "/api/v3/me", "").Body); me.Login != "olga" || me.Token == nil || me.Token.ID != token.ID || !me.Operator {
		t.Errorf("the token is of %+v", me)
	}
	send("revokeToken", "/settings/tokens/"+decimal(token.ID), "")
	saved := decode[AutomationDetail](t, send("saveAutomation", "/packages/hello/automation", `{"jobs":[{"job":"koji_build","enabled":true,"settings":{"scratch":true},"expected_version":0}]}`).Body)
	if !strings.Contains(saved.YAML, "scratch: true") {
		t.Errorf("the automation is %+v", saved)
	}
	b.askHooks(t, send)
	send("decideAllowance", "/admin/allowlist", `{"path":"github.com/mill","state":"denied","reason":"noise"}`)
	if list := decode[List[Allowance]](t, send("listAllowances", "/admin/allowlist", "").Body); len(list.Items) != 1 || list.Items[0].State != models.DeniedState {
		t.Errorf("the allowlist is %+v", list.Items)
	}
	send("removeAllowance", "/admin/allowlist?path=github.com/mill", "")
}

// askHooks makes a hook, and does everything with it.
func (b *bench) askHooks(t *testing.T, send func(name, path, body string) *httptest.ResponseRecorder) {
	t.Helper()
	const hooks = "/projects/github.com/mill/wheel/-/hooks"
	made := decode[HookSecret](t, send("makeHook", hooks, `{"url":"https://hear.example/","topics":["pipeline.finished"]}`).Body)
	if made.Secret == "" || made.By != "" || made.State != models.SubscriptionOn {
		t.Errorf("the hook is %+v", made)
	}
	hook := hooks + "/" + decimal(made.ID)
	send("changeHook", hook, `{"topics":["run.finished","ping"]}`)
	if now := decode[Hook](t, send("changeHook", hook, `{"topics":["run.finished"],"state":"off"}`).Body); now.State != models.SubscriptionOff || now.URL != made.URL || len(now.Topics) != 1 {
		t.Errorf("the hook is %+v", now)
	}
	if now := decode[HookSecret](t, send("changeSecret", hook+"/secret", `{}`).Body); now.Secret == "" || now.Secret == made.Secret || !now.Rotating {
		t.Errorf("after a change of the secret: %+v", now)
	}
	if now := decode[HookSecret](t, send("changeSecret", hook+"/secret", `{"finish":true}`).Body); now.Secret != "" || now.Rotating {
		t.Errorf("after its end: %+v", now)
	}
	ping := decode[Dispatch](t, send("testHook", hook+"/test", "").Body)
	if ping.Topic != models.Ping || ping.State != models.DispatchWaiting || !strings.HasPrefix(ping.Key, "msg_") {
		t.Errorf("the ping is %+v", ping)
	}
	for name, path := range map[string]string{
		"listHooks": hooks, "showHook": hook, "listDispatches": hook + "/dispatches", "showDispatch": hook + "/dispatches/" + decimal(ping.ID),
	} {
		send(name, path, "")
	}
	if again := decode[Dispatch](t, send("redeliver", hook+"/dispatches/"+decimal(ping.ID)+"/redeliver", "").Body); again.Key != ping.Key {
		t.Errorf("sent again as %+v", again)
	}
	other := decode[HookSecret](t, send("makeHook", hooks, `{"url":"https://hear.example/","topics":["build.changed"],"secret":"0123456789abcdef"}`).Body)
	if other.Secret != "0123456789abcdef" {
		t.Errorf("a secret that was given is %q", other.Secret)
	}
	send("deleteHook", hooks+"/"+decimal(other.ID), "")
}

// hostile are values that nobody means well with.
var hostile = []string{
	"x", "-1", "0", "01", "9223372036854775807", "9223372036854775808", "1e3", "..", "%", "'; DROP TABLE runs; --", "<script>", "\x00", "a\x00b", "\xff\xfe",
	"🦀", "a/b", "//", "null", "true", "[]", "{}", strings.Repeat("a", 600), strings.Repeat("(", 2500), strings.Repeat("é", 3000), strings.Repeat("x", 9000),
	"a b", "q:(", "*", `\`, "%00", "a\r\nb: c", "x.json", "NaN", "-0",
}

// good are values that exist, by the name of what they are for.
var good = map[string][]string{
	"id": {"1", "1", "2", "3", "4", "5"}, "forge": {"github.com"}, "namespace": {"mill", "rpms"}, "name": {"wheel", "hello"}, "collection": {"pulls", "commits"}, "ref": {"7", "2.0"},
	"config": {"snapshot", "current"}, "step": {"srpm-0", "copr_build-1", "tests-2"}, "target": {"source", "fedora-43-x86_64"}, "path": {"github.com/mill"}, "q": {"pr:7", "wheel", ""}, "project": {"true", "wheel"},
	"before": {"3", ""}, "after": {"1", ""}, "pick": {"copr_build-1", "copr_build-1/fedora-43-x86_64"}, "scope": {"all", "failed", "step", "target", "from", "chosen"},
	"scopes": {"read", "rerun"}, "picks": {}, "state": {"failed", "allowed", "denied"}, "kind": {"pr"}, "event": {"pr"}, "restart": {"true", "false"},
	"hook": {"1", "2"}, "dispatch": {"1", "2"}, "url": {"https://hear.example/"}, "topics": {"run.finished"}, "secret": {"0123456789abcdef"}, "finish": {"true"},
}

func pickOne[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// text is a value for a parameter, mostly a good one.
func (b *bench) text(random *rand.Rand, name string) string {
	if known := good[name]; len(known) > 0 && random.IntN(3) > 0 {
		return pickOne(random, known)
	}
	if random.IntN(2) == 0 {
		return strconv.Itoa(random.IntN(300))
	}
	return pickOne(random, hostile)
}

// invent makes a request for an operation out of what the document says of it.
func (b *bench) invent(random *rand.Rand, o *operation) ask {
	described := b.doc.Paths.Find(o.path).GetOperation(o.method)
	a := ask{path: o.path}
	q := url.Values{}
	for _, p := range described.Parameters {
		name := p.Value.Name
		switch p.Value.In {
		case "path":
			a.path = strings.ReplaceAll(a.path, "{"+name+"}", url.PathEscape(cmp.Or(b.text(random, name), "x")))
		case "query":
			for range random.IntN(3) {
				q.Add(name, b.text(random, name))
			}
		case "header":
			if random.IntN(2) == 0 {
				a.key = strings.Map(func(c rune) rune { // what a client can send at all
					if c < ' ' || c > '~' {
						return '?'
					}
					return c
				}, b.text(random, name))
			}
		}
	}
	if random.IntN(10) == 0 {
		q.Add(pickOne(random, hostile), pickOne(random, hostile))
	}
	if len(q) > 0 {
		a.path += "?" + q.Encode()
	}
	if described.RequestBody == nil {
		return a
	}
	a.kind = jsonMediaType
	body, _ := json.Marshal(b.value(random, "", described.RequestBody.Value.Content.Get(jsonMediaType).Schema.Value, 0)) // it is made of what JSON has
	a.body = string(body)
	switch random.IntN(12) {
	case 0:
		a.body = a.body[:random.IntN(len(a.body)+1)]
	case 1:
		a.body = pickOne(random, hostile)
	case 2:
		a.kind = pickOne(random, []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8", "multipart/form-data", "application/problem+json"})
	case 3:
		a.body = strings.Repeat("[", 10_000)
	case 4:
		a.body += a.body
	case 5:
		a.body = `{"scope":"` + strings.Repeat("a", maxBody) + `"}`
	}
	return a
}

// value makes one for a schema, now and then one that does not fit.
func (b *bench) value(random *rand.Rand, name string, schema *openapi3.Schema, depth int) any {
	if random.IntN(14) == 0 || depth > 5 {
		return pickOne[any](random, []any{nil, true, -1, 1e300, 0.5, "", pickOne(random, hostile), []any{}, []any{nil}, map[string]any{}, map[string]any{"x": map[string]any{}}})
	}
	switch {
	case len(schema.Enum) > 0:
		return pickOne(random, schema.Enum)
	case schema.Type.Is("object"):
		out := map[string]any{}
		for property, inner := range sorted(schema.Properties) {
			if slices.Contains(schema.Required, property) && random.IntN(12) > 0 || random.IntN(3) == 0 {
				out[property] = b.value(random, property, inner.Value, depth+1)
			}
		}
		if schema.AdditionalProperties.Schema != nil || random.IntN(15) == 0 {
			out[pickOne(random, hostile)] = pickOne(random, hostile)
		}
		return out
	case schema.Type.Is("array"):
		out := []any{}
		for range random.IntN(4) {
			out = append(out, b.value(random, name, schema.Items.Value, depth+1))
		}
		return out
	case schema.Type.Is("integer"):
		return random.Int64N(7)
	case schema.Type.Is("boolean"):
		return random.IntN(2) == 0
	}
	return b.text(random, name)
}

// sorted goes through a map in order, so that the same seed makes the same.
func sorted[V any](m map[string]V) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
