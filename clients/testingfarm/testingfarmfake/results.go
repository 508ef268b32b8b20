package testingfarmfake

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"millrace/clients/testingfarm"
)

// describe is the farm's answer about a request.
func (s *Server) describe(rec *record, base string) map[string]any {
	now := s.config.Now()
	p := rec.payload()
	state := rec.state(now)
	a := map[string]any{
		"id": rec.ID, "user_id": rec.User, "token_id": rec.Token, "test": answeredTest(p), "state": state,
		"environments_requested": withoutSecrets(raw(rec.Payload, "environments")),
		"notes":                  nil, "result": nil, "run": nil, "settings": raw(rec.Payload, "settings"),
		"created": stamp(rec.Created), "updated": stamp(rec.updated(now)),
		"queued_time": nil, "run_time": nil,
	}
	if !now.Before(rec.StartAt) {
		a["queued_time"] = rec.StartAt.Sub(rec.Created).Seconds()
		a["run"] = map[string]any{"console": nil, "stages": []any{}, "artifacts": artifactsURL(base, rec.ID)}
	}
	if !state.Finished() || state == testingfarm.Canceled {
		return a
	}
	a["run_time"] = rec.EndAt.Sub(rec.StartAt).Seconds()
	if state == testingfarm.Failed || rec.Rule.NoResult {
		a["notes"] = []any{map[string]any{"level": "error", "message": rec.summary()}}
	}
	if rec.Rule.NoResult {
		a["run"] = nil
		return a
	}
	result := map[string]any{"overall": rec.overall(), "summary": nullable(rec.summary()), "xunit": nil}
	if !rec.Rule.NoXUnit && state == testingfarm.Complete {
		result["xunit"] = string(rec.xunit(base))
	}
	a["result"] = result
	return a
}

func (rec *record) updated(now time.Time) time.Time {
	last := rec.Created
	for _, at := range []time.Time{rec.QueuedAt, rec.StartAt, rec.EndAt, rec.CancelAt} {
		if at.After(last) && !at.After(now) {
			last = at
		}
	}
	return last
}

func (rec *record) overall() string {
	if rec.Rule.Ending == FarmFails {
		return "error"
	}
	return string(rec.Rule.Ending)
}

func (rec *record) summary() string {
	if rec.Rule.Summary != "" {
		return rec.Rule.Summary
	}
	if rec.Rule.Ending == FarmFails {
		return "Guest provisioning failed, no machine became available"
	}
	return ""
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func artifactsURL(base, id string) string { return base + "/artifacts/" + id }

// answeredTest renames what was sent as tmt: the farm answers with fmf.
func answeredTest(p payload) map[string]any {
	t := p.test()
	return map[string]any{
		"fmf":    map[string]any{"url": t.URL, "ref": t.Ref, "path": t.Path, "name": nullable(t.Name)},
		"script": nil, "sti": nil,
	}
}

// raw is a part of a submission as it was sent.
func raw(body []byte, key string) any {
	var parts map[string]any
	// It was decoded once before it was stored.
	_ = json.Unmarshal(body, &parts)
	return parts[key]
}

func withoutSecrets(environments any) any {
	list, _ := environments.([]any)
	for _, e := range list {
		if e, ok := e.(map[string]any); ok && e["secrets"] != nil {
			e["secrets"] = nil
		}
	}
	return environments
}

// testsOf are the tests that a plan pretends to have.
var testsOf = []string{"/tests/install", "/tests/version", "/tests/upgrade"}

type xunitLog struct {
	XMLName xml.Name `xml:"log"`
	Href    string   `xml:"href,attr"`
	Name    string   `xml:"name,attr"`
}

type xunitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type xunitEnvironment struct {
	Name       string          `xml:"name,attr"`
	Properties []xunitProperty `xml:"property"`
}

type xunitCase struct {
	Name         string             `xml:"name,attr"`
	Result       string             `xml:"result,attr"`
	Time         int                `xml:"time,attr"`
	Logs         []xunitLog         `xml:"logs>log"`
	Environments []xunitEnvironment `xml:"testing-environment"`
}

type xunitSuite struct {
	Name   string      `xml:"name,attr"`
	Result string      `xml:"result,attr"`
	Tests  int         `xml:"tests,attr"`
	Stage  string      `xml:"stage,attr"`
	Logs   []xunitLog  `xml:"logs>log"`
	Cases  []xunitCase `xml:"testcase"`
}

type xunitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Overall string       `xml:"overall-result,attr"`
	Suites  []xunitSuite `xml:"testsuite"`
}

// xunit is the request's results: of its tests, the second tells the ending.
func (rec *record) xunit(base string) []byte {
	p := rec.payload()
	plan := p.plan()
	work := artifactsURL(base, rec.ID) + "/work" + strings.ReplaceAll(plan, "/", "-")
	suite := xunitSuite{
		Name: plan, Result: rec.overall(), Tests: len(testsOf), Stage: "complete",
		Logs: []xunitLog{{Href: work + "/", Name: "workdir"}, {Href: work + "/tmt-reproducer.sh", Name: "tmt-reproducer"}},
	}
	for i, name := range testsOf {
		result := "passed"
		if i == 1 || rec.Rule.Ending == Skips {
			result = rec.overall()
		}
		c := xunitCase{
			Name: name, Result: result, Time: i + 1,
			Logs: []xunitLog{{Href: work + name + "/output.txt", Name: "testout.log"}},
		}
		for _, stage := range []string{"requested", "provisioned"} {
			c.Environments = append(c.Environments, xunitEnvironment{stage, []xunitProperty{
				{"arch", p.Environments[0].Arch}, {"compose", p.Environments[0].OS.Compose},
			}})
		}
		suite.Cases = append(suite.Cases, c)
	}
	// Structs of strings cannot fail to encode.
	b, _ := xml.MarshalIndent(xunitSuites{Overall: rec.overall(), Suites: []xunitSuite{suite}}, "", " ")
	return append([]byte(xml.Header), b...)
}

func (p payload) plan() string {
	if name := p.test().Name; strings.HasPrefix(name, "/") {
		return name
	}
	return "/plans/all"
}

// artifact serves what lies beside a request: its log, which grows while it
// runs, its results once it is complete, and the tests' output.
func (s *Server) artifact(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	found := s.requests[r.PathValue("id")]
	var rec record
	if found != nil {
		rec = *found
	}
	s.mu.Unlock()
	now := s.config.Now()
	name := r.PathValue("path")
	complete := rec.state(now) == testingfarm.Complete
	work := strings.HasPrefix(name, "work-")
	switch {
	case found == nil || now.Before(rec.StartAt):
		http.NotFound(w, r)
	case name == "":
		s.renderPage(w, artifactsPage, pageOf(&rec, now, s.base(r)))
	case name == "pipeline.log":
		text(w, rec.log(now))
	case name == "results.xml" && complete:
		w.Header().Set("Content-Type", "application/xml")
		_, _ = w.Write(rec.xunit(s.base(r)))
	case work && complete && strings.HasSuffix(name, "/output.txt"):
		text(w, rec.output(name))
	case work && complete && strings.HasSuffix(name, "/tmt-reproducer.sh"):
		text(w, fmt.Sprintf("git clone %s testcode\ngit -C testcode checkout %s\ncd testcode && tmt run\n",
			rec.payload().test().URL, rec.payload().test().Ref))
	case work && complete && strings.HasSuffix(name, "/"):
		s.renderPage(w, artifactsPage, pageOf(&rec, now, s.base(r)))
	default:
		http.NotFound(w, r)
	}
}

func text(w http.ResponseWriter, content string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprint(w, content)
}

// log is the pipeline's log so far.
func (rec *record) log(now time.Time) string {
	p := rec.payload()
	lines := []string{
		"Testing Farm request " + rec.ID,
		"testing " + p.test().URL + " at " + p.test().Ref,
		fmt.Sprintf("provisioning %s on %s", p.Environments[0].OS.Compose, p.Environments[0].Arch),
		"installing artifacts",
		"running plan " + p.plan(),
	}
	whole := rec.EndAt.Sub(rec.StartAt)
	if state := rec.state(now); state.Finished() {
		return strings.Join(append(lines, "pipeline ended: "+string(state)+" "+rec.summary()), "\n") + "\n"
	}
	shown := len(lines)
	if whole > 0 {
		shown = 1 + int(int64(len(lines)-1)*int64(now.Sub(rec.StartAt))/int64(whole))
	}
	return strings.Join(lines[:min(shown, len(lines))], "\n") + "\n"
}

func (rec *record) output(name string) string {
	test := testsOf[1]
	verdict := "passed"
	if strings.Contains(name, test+"/") || rec.Rule.Ending == Skips {
		verdict = rec.overall()
	}
	return ":: running " + strings.TrimSuffix(name, "/output.txt") + "\n:: result: " + verdict + "\n"
}

type page struct {
	Title string
	Runs  []Run
	Run   *Run
	Base  string // of the request's artifacts
	Work  string
	Tests []string
	Done  bool
}

func pageOf(rec *record, now time.Time, base string) page {
	p := rec.payload()
	run := Run{
		ID: rec.ID, State: rec.state(now), URL: p.test().URL, Ref: p.test().Ref,
		Compose: p.Environments[0].OS.Compose, Arch: p.Environments[0].Arch,
	}
	return page{
		Title: "Artifacts of " + rec.ID, Run: &run, Base: artifactsURL(base, rec.ID), Tests: testsOf,
		Work: "work" + strings.ReplaceAll(p.plan(), "/", "-"), Done: run.State == testingfarm.Complete,
	}
}

func (s *Server) home(w http.ResponseWriter, _ *http.Request) {
	s.renderPage(w, homePage, page{Title: "Testing Farm", Runs: s.Runs()})
}

func (s *Server) renderPage(w http.ResponseWriter, t *template.Template, p page) {
	var b strings.Builder
	if err := t.Execute(&b, p); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	fmt.Fprint(w, b.String())
}

const frame = `<!doctype html><html lang="en"><meta charset="utf-8"><title>{{.Title}}</title><h1>{{.Title}}</h1>`

var homePage = template.Must(template.New("home").Parse(frame + `
<table><thead><tr><th>Request<th>State<th>Tests<th>Plan<th>Compose<th>Arch<tbody>
{{range .Runs}}<tr><td><a href="artifacts/{{.ID}}/">{{.ID}}</a><td>{{.State}}<td>{{.URL}} {{.Ref}}<td>{{.Plan}}<td>{{.Compose}}<td>{{.Arch}}
{{else}}<tr><td colspan="6">Nobody has asked for tests yet.{{end}}</table>
`))

var artifactsPage = template.Must(template.New("artifacts").Parse(frame + `
<p>{{.Run.URL}} {{.Run.Ref}} on {{.Run.Compose}} {{.Run.Arch}}: {{.Run.State}}
<ul><li><a href="{{.Base}}/pipeline.log">pipeline.log</a>
{{if .Done}}<li><a href="{{.Base}}/results.xml">results.xml</a>
{{range .Tests}}<li><a href="{{$.Base}}/{{$.Work}}{{.}}/output.txt">{{.}}</a>
{{end}}{{end}}</ul>
`))
