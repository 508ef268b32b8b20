package handlers

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/clients/fedmsg"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
	"millrace/static"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	for _, c := range []struct {
		path   string
		status int
		says   string
	}{
		{"/pipelines/99999", 404, "There is nothing at this address"},
		{"/pipelines/0", 404, "nothing at this address"},
		{"/pipelines/01", 404, "nothing at this address"},
		{"/pipelines/-1", 404, "nothing at this address"},
		{"/pipelines/9223372036854775808", 404, "nothing at this address"},
		{"/pipelines/x", 404, "nothing at this address"},
		{"/pipelines/1/steps/none", 404, "nothing at this address"},
		{"/pipelines/1/steps/srpm-0/none", 404, "nothing at this address"},
		{"/pipelines/1?attempt=9", 404, "no attempt of that number"},
		{"/pipelines/1?fragment=none", 404, "no part of that name"},
		{"/pipelines?q=nofield:x", 422, "nofield"},
		{"/pipelines?q=(", 422, "column"},
		{"/pipelines?before=x", 422, "not a place in the list"},
		{"/events?q=r/(/", 422, "column"},
		{"/events/77", 404, "nothing at this address"},
		{"/runs/77", 404, "nothing at this address"},
		{"/runs/77/log.txt", 404, "Nothing is kept"},
		{"/projects/github.com/mill/whee", 404, "github.com/mill/wheel"},
		{"/projects/forge.example", 404, "nothing at this address"},
		{"/projects/github.com/mill/wheel/-/pulls/1000", 404, "Nothing ever happened here"},
		{"/projects/github.com/mill/wheel/-/none", 404, "nothing at this address"},
		{"/projects/github.com/mill/none/-/badge.svg", 404, "nothing at this address"},
		{"/projects/github.com/mill/wheel/-/latest?event=flood", 400, "event"},
		{"/jobs/copr/1", 404, "another service"},
		{"/qeue", 404, `href="/queue"`},
		{"/wheel", 404, "/projects?q=wheel"},
		{"/hooks/github", 405, "does not take that"},
		{"/.git/config", 404, "nothing at this address"},
	} {
		w := site.get(t, c.path)
		if w.Code != c.status || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s: status %d, want %d; %s", c.path, w.Code, c.status, w.Header().Get("Content-Type"))
		}
		if contains(t, w, c.says); strings.Contains(w.Body.String(), "</html>") == strings.Contains(c.path, "fragment=") {
			t.Errorf("%s: a whole page for a part, or the other way round", c.path)
		}
		if c.status != 422 {
			contains(t, w, w.Header().Get("X-Request-Id"))
		}

		w = site.get(t, apiPrefix+c.path)
		p := decode[Problem](t, bytes.NewReader(w.Body.Bytes()))
		if w.Code != c.status || p.Status != c.status || p.Type != "about:blank" || p.Title != http.StatusText(c.status) ||
			p.RequestID != w.Header().Get("X-Request-Id") || w.Header().Get("Content-Type") != "application/problem+json" ||
			!strings.HasPrefix(apiPrefix+c.path, p.Instance) || p.Instance == "" {
			t.Errorf("%s as JSON: status %d, %+v", c.path, w.Code, p)
		}
		w = site.get(t, c.path, "HX-Request", "true")
		if body := w.Body.String(); w.Code != c.status || c.status != 422 && strings.Contains(body, "<html") {
			t.Errorf("%s as a part of a page: status %d", c.path, w.Code)
		}
	}
	if w := site.request(t, http.MethodDelete, "/pipelines/1", ""); w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), "GET") {
		t.Errorf("DELETE: status %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	if w := site.get(t, "/"+strings.Repeat("x", maxURL)); w.Code != http.StatusRequestURITooLong {
		t.Errorf("a long address: status %d", w.Code)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	run := site.run(0, 0).ID
	for _, c := range []struct {
		from   string
		status int
		to     string
	}{
		{"/pipelines/", 308, "/pipelines"},
		{"/Pipelines/1?view=list", 308, "/pipelines/1?view=list"},
		{"//evil.example/", 308, "/evil.example"},
		{"///evil.example/x/", 308, "/evil.example/x"},
		{"/projects/github.com/Mill//Wheel/", 308, "/projects/github.com/Mill/Wheel"},
		{"/projects/github.com/mill%2Fwheel", 308, "/projects/github.com/mill/wheel"},
		{"/projects/github.com%2Fmill/wheel/-/pulls/7?x=1", 308, "/projects/github.com/mill/wheel/-/pulls/7?x=1"},
		{"/api/v3/pipelines/", 308, "/api/v3/pipelines"},
		{fmt.Sprintf("/runs/%d", run), 302, "/pipelines/1/steps/srpm-0/source"},
		{fmt.Sprintf("/runs/%d/log?from=7", run), 303, "/pipelines/1/steps/srpm-0/source?from=7#log"},
		{"/pipelines/1/steps/srpm-0", 303, "/pipelines/1/steps/srpm-0/source"},
		{"/pipelines/1/steps/copr_build-1", 303, "/pipelines/1#step-copr_build-1"},
		{"/projects/github.com/mill/wheel/-/latest", 302, "/pipelines/1"},
		{"/projects/github.com/mill/wheel/-/latest?event=pr", 302, "/pipelines/1"},
		{"/find?q=", 303, "/projects"},
		{"/find?q=12", 303, "/pipelines/12"},
		{"/find?q=%2312", 303, "/pipelines/12"},
		{"/find?q=wheel", 303, "/projects/github.com/mill/wheel"},
		{"/find?q=mill", 303, "/projects?q=mill"},
		{"/find?q=0123abc", 303, "/pipelines?q=sha%3A0123abc"},
		{"/find?q=https://github.com/mill/wheel/pull/7/files", 303, "/projects/github.com/mill/wheel/-/pulls/7"},
		{"/find?q=https://github.com/mill/wheel/tree/main", 303, "/projects/github.com/mill/wheel"},
		{"/find?q=https://github.com/mill/unknown", 303, "/projects?forge=github.com&q=mill%2Funknown"},
		{"/find?q=https://github.com", 303, "/projects"},
		{"/favicon.ico", 302, static.Favicon("neutral")},
	} {
		w := site.get(t, c.from)
		if got := w.Header().Get("Location"); w.Code != c.status || got != c.to {
			t.Errorf("%s leads to %q with %d, want %q with %d", c.from, got, w.Code, c.to, c.status)
		}
	}
}

func TestDisplay(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for back, to := range map[string]string{
		"/pipelines/1?view=list": "/pipelines/1?view=list", "": "/", "//evil.example": "/", "https://evil.example/": "/",
		`/\evil.example`: "/", "javascript:alert(1)": "/", "pipelines": "/", "///evil.example/x": "/", "/\r\nSet-Cookie: a=b": "/",
	} {
		w := site.request(t, http.MethodPost, "/settings/display", url.Values{"theme": {"dark"}, "times": {"never"}, "back": {back}}.Encode(), form...)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != to {
			t.Errorf("back to %q: %d %q, want %q", back, w.Code, w.Header().Get("Location"), to)
		}
		if cookies := w.Result().Cookies(); len(cookies) != 1 || cookies[0].Name != "theme" || cookies[0].Value != "dark" || !cookies[0].Secure {
			t.Errorf("cookies %v", cookies)
		}
	}
	foreign := append(form, "Sec-Fetch-Site", "cross-site")
	if w := site.request(t, http.MethodPost, "/settings/display", "theme=dark", foreign...); w.Code != http.StatusForbidden {
		t.Errorf("a form on another site: status %d", w.Code)
	}
	w := site.get(t, "/pipelines", "Cookie", "theme=dark; times=absolute; tz=Europe%2FPrague")
	contains(t, w, `data-theme="dark"`, `data-times="absolute"`, "Times in Europe/Prague")
	for _, zone := range []string{"../../etc/passwd", "Local", "Nowhere/Else", strings.Repeat("A", 200), "%zz"} {
		contains(t, site.get(t, "/pipelines", "Cookie", "tz="+zone), "Times in UTC")
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	for _, path := range []string{"/", "/none", "/pipelines/1", "/api/v3/pipelines", "/healthz", "/runs/1/log.txt"} {
		h := site.get(t, path).Header()
		if h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" ||
			h.Get("Cross-Origin-Opener-Policy") != "same-origin" || h.Get("Cache-Control") == "" && path != "/runs/1/log.txt" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
	if vary := strings.Join(site.get(t, "/pipelines/1").Header().Values("Vary"), ","); !strings.Contains(vary, "HX-Request") || !strings.Contains(vary, "Accept") {
		t.Errorf("Vary: %s", vary)
	}

	plain := site.get(t, "/pipelines/1")
	packed := site.get(t, "/pipelines/1", "Accept-Encoding", "br, gzip;q=0.8")
	r, err := gzip.NewReader(packed.Body)
	if err != nil || packed.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("not packed: %v, %v", err, packed.Header())
	}
	text, err := io.ReadAll(r)
	if err != nil || len(text) != plain.Body.Len() {
		t.Errorf("unpacked %d bytes, want %d: %v", len(text), plain.Body.Len(), err)
	}
	if h := site.get(t, "/pipelines/1", "Accept-Encoding", "gzip;q=0").Header(); h.Get("Content-Encoding") != "" {
		t.Error("packed for one who does not want that")
	}
	if w := site.request(t, http.MethodHead, "/pipelines/1", ""); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != fmt.Sprint(plain.Body.Len()) {
		t.Errorf("HEAD: %d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
}

func TestUnchanged(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	for _, path := range []string{"/pipelines/1.json", "/runs/1/log.txt", "/projects/github.com/mill/wheel/-/badge.svg"} {
		tag := site.get(t, path).Header().Get("Etag")
		if w := site.get(t, path, "If-None-Match", tag); w.Code != http.StatusNotModified && !strings.Contains(path, "json") || tag == "" {
			t.Errorf("%s with %s: status %d", path, tag, w.Code)
		}
	}
	tag := func(headers ...string) string {
		return site.get(t, "/pipelines/1?fragment=head", headers...).Header().Get("Etag")
	}
	before, asJSON := tag(), site.get(t, "/pipelines/1.json").Header().Get("Etag")
	if before == tag("Cookie", "times=absolute") || before == tag("Cookie", "tz=Europe%2FPrague") {
		t.Error("readers who see it otherwise share a tag")
	}
	site.write(t, func(tx *store.Tx) error {
		g, err := tx.LockGraph(t.Context(), 1)
		if err != nil {
			return err
		}
		if _, err := g.Advance(store.Now()); err != nil {
			return err
		}
		return tx.SaveGraph(t.Context(), g)
	})
	if before == tag() || asJSON == site.get(t, "/pipelines/1.json").Header().Get("Etag") {
		t.Error("a pipeline that changed has the same tag")
	}
}

func TestRawLog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		site := newMill(t, s)
		at := fmt.Sprintf("/runs/%d/log", site.run(0, 0).ID)
		w := site.get(t, at+".txt")
		if body := w.Body.String(); w.Code != 200 || len(body) != 600*10+16 || !strings.HasSuffix(body, "error: no water\n") ||
			w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("Content-Length") != fmt.Sprint(len(body)) {
			t.Errorf("%d, %d bytes, %v", w.Code, len(body), w.Header())
		}
		if body := site.get(t, at+".txt?from=1199&lines=2").Body.String(); body != "+ make\nok\n" {
			t.Errorf("two lines are %q", body)
		}
		if body := site.get(t, at+".txt?from=1201").Body.String(); body != "error: no water\n" {
			t.Errorf("the last line is %q", body)
		}
		part := decode[LogPart](t, site.get(t, apiPrefix+at+"?from=1200&lines=10").Body)
		if part.From != 1200 || part.Total != 1201 || !part.Ended || len(part.Lines) != 2 || part.Lines[1] != "error: no water" {
			t.Errorf("as JSON: %+v", part)
		}
		if tail := decode[LogPart](t, site.get(t, at+".json").Body); tail.From != 702 || len(tail.Lines) != 500 {
			t.Errorf("the end begins at line %d and has %d lines", tail.From, len(tail.Lines))
		}
		if beyond := decode[LogPart](t, site.get(t, at+".json?from=999999999").Body); beyond.From != 1202 || len(beyond.Lines) != 0 {
			t.Errorf("beyond the end: %+v", beyond)
		}
	})
}

func TestRangeOfRawLog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		site := newMill(t, s)
		at := fmt.Sprintf("/runs/%d/log.txt", site.run(0, 0).ID)
		whole := site.get(t, at)
		size, tag := whole.Body.Len(), whole.Header().Get("Etag")
		for _, tt := range []struct {
			name    string
			headers []string
			status  int
			where   string // Content-Range
			body    string
		}{
			{"end", []string{"Range", "bytes=-9"}, 206, fmt.Sprintf("bytes %d-%d/%d", size-9, size-1, size), "no water\n"},
			{"middle", []string{"Range", "bytes=0-5"}, 206, fmt.Sprintf("bytes 0-5/%d", size), whole.Body.String()[:6]},
			{"same", []string{"Range", "bytes=0-5", "If-Range", tag}, 206, fmt.Sprintf("bytes 0-5/%d", size), whole.Body.String()[:6]},
			{"changed", []string{"Range", "bytes=0-5", "If-Range", `"another"`}, 200, "", whole.Body.String()},
			{"beyond", []string{"Range", "bytes=999999-"}, 416, fmt.Sprintf("bytes */%d", size), ""},
		} {
			w := site.get(t, at, tt.headers...)
			if w.Code != tt.status || w.Header().Get("Content-Range") != tt.where || tt.status != 416 && w.Body.String() != tt.body {
				t.Errorf("%s: %d, %q, %d bytes", tt.name, w.Code, w.Header().Get("Content-Range"), w.Body.Len())
			}
		}
		if w := site.request(t, http.MethodHead, at, ""); w.Body.Len() != 0 || w.Header().Get("Content-Length") != fmt.Sprint(size) {
			t.Errorf("HEAD: %d bytes, %v", w.Body.Len(), w.Header())
		}
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	if w := site.get(t, "/healthz"); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("healthz: %d %q", w.Code, w.Body)
	}
	w := site.get(t, "/readyz")
	if got := decode[Readiness](t, w.Body); w.Code != 200 || !got.Ready || got.Checks["queue"] != "ok" || got.Checks["database"] != "ok" {
		t.Errorf("readyz: %d %+v", w.Code, got)
	}
	site.Checks["queue"] = func(context.Context) error { return errors.New("secret detail") }
	w = site.get(t, "/readyz")
	if w.Code != 503 || strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Body.String(), `"queue":"does not answer"`) {
		t.Errorf("readyz without a queue: %d %s", w.Code, w.Body)
	}
	if got := decode[Version](t, site.get(t, "/version.json").Body); got.Version != "1.2.3" || got.Name != "millrace" {
		t.Errorf("version: %+v", got)
	}
	contains(t, site.get(t, "/robots.txt"), "User-agent: *")
	site.write(t, func(tx *store.Tx) error { // what may start does
		g, err := tx.LockGraph(t.Context(), 1)
		if err != nil {
			return err
		}
		if _, err := g.Advance(store.Now()); err != nil {
			return err
		}
		return tx.SaveGraph(t.Context(), g)
	})
	site.Metrics.Called("copr", "build.get", 503, nil, 1e9)
	site.Metrics.Settled(models.TestsStep, models.Passed, 60e9)
	site.Metrics.WatchBus(func() fedmsg.Status { return fedmsg.Status{Connected: true, Received: 7, Aside: 2} })
	contains(t, site.get(t, "/metrics"), `millrace_queue_groups{kind="srpm",phase="queued"} 1`, `millrace_queue_age_seconds{kind="srpm"}`, "millrace_deliveries_unhandled 0",
		`millrace_http_request_seconds_count{method="GET",route="/readyz",status="503"} 1`, `millrace_run_seconds_count{kind="tests",state="passed"} 1`,
		`millrace_client_errors_total{operation="build.get",reason="server",service="copr"} 1`, `millrace_build_info{version="1.2.3"} 1`,
		"millrace_bus_connected 1", `millrace_bus_messages_total{result="stored"} 7`, `millrace_bus_messages_total{result="aside"} 2`)
}

func TestProgram(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	site.Program = filepath.Join(t.TempDir(), "millrace")
	content := bytes.Repeat([]byte("mill"), 5000)
	if err := os.WriteFile(site.Program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	at := "/srpm-tool/" + hex.EncodeToString(sum[:]) + "/millrace"
	w := site.get(t, at, "Accept-Encoding", "gzip")
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), content) || w.Header().Get("Content-Length") != "20000" || w.Header().Get("Etag") != `"`+hex.EncodeToString(sum[:])+`"` {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
	if w := site.get(t, at, "Range", "bytes=4-7"); w.Code != 206 || w.Body.String() != "mill" {
		t.Errorf("a part: %d %q", w.Code, w.Body)
	}
	if w := site.get(t, "/srpm-tool/"+strings.Repeat("0", 64)+"/millrace"); w.Code != 404 {
		t.Errorf("another version: %d", w.Code)
	}
	if hash, err := (&Server{}).ProgramHash(); err != nil || len(hash) != 64 {
		t.Errorf("this program: %q, %v", hash, err)
	}
}

func TestSourcePackage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		site := newMill(t, s)
		run, build := site.run(0, 0), site.run(1, 0)
		group, err := s.Group(t.Context(), build.GroupID)
		if err != nil {
			t.Fatal(err)
		}
		at := func(key string) string {
			return fmt.Sprintf("/srpms/%d/%s/source.src.rpm", run.ID, url.PathEscape(key))
		}
		for address, want := range map[string]int{
			"https://copr.example/wheel.src.rpm": 302, "": 404, "ftp://copr.example/x": 404, "javascript:alert(1)": 404, "https://u:p@copr.example/x": 404, "/etc/passwd": 404,
		} {
			site.write(t, func(tx *store.Tx) error {
				g, err := tx.LockGraph(t.Context(), site.pipeline.ID)
				if err != nil {
					return err
				}
				r := g.Run(run.ID)
				r.Data.SRPMURL = address
				g.TouchRun(r)
				return tx.SaveGraph(t.Context(), g)
			})
			w := site.get(t, at(group.Key))
			if w.Code != want || want == 302 && w.Header().Get("Location") != address {
				t.Errorf("%q: status %d to %q", address, w.Code, w.Header().Get("Location"))
			}
			if w := site.get(t, at("guess")); w.Code != 404 {
				t.Errorf("with another key: status %d", w.Code)
			}
		}
	})
}

func TestBadgeAndFeeds(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	at := "/projects/github.com/mill/wheel/-/"
	for query, word := range map[string]string{"": ">waiting<", "?event=pr": ">waiting<", "?event=release": ">no pipeline<", "?step=tests-2": ">tests-2<", "?step=" + url.QueryEscape(`"><script>`): ">no such step<"} {
		w := site.get(t, at+"badge.svg"+query)
		if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("badge%s: %d %s", query, w.Code, w.Body)
		}
		var picture struct{ XMLName xml.Name }
		if err := xml.Unmarshal(w.Body.Bytes(), &picture); err != nil || picture.XMLName.Local != "svg" {
			t.Errorf("badge%s is no picture: %v", query, err)
		}
		if !strings.Contains(w.Body.String(), word) {
			t.Errorf("badge%s does not say %s: %s", query, word, w.Body)
		}
	}
	for path, title := range map[string]string{at + "feed.atom": "Waiting: PR 7, Change number 7", "/pipelines.atom": "mill/stone: Waiting: PR 8, Change number 8", "/events.atom": "mill/stone: pull request opened, PR 8"} {
		var f feed
		w := site.get(t, path)
		if err := xml.Unmarshal(w.Body.Bytes(), &f); err != nil || len(f.Entries) == 0 {
			t.Fatalf("%s: %v\n%s", path, err, w.Body)
		}
		if f.Entries[0].Title != title || !strings.HasPrefix(f.Entries[0].ID, "https://millrace.example/") || f.Updated != f.Entries[0].Updated {
			t.Errorf("%s: %+v", path, f)
		}
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	site := newSite(t, storetest.SQLite(t))
	var log bytes.Buffer
	site.Log = slog.New(slog.NewTextHandler(&log, nil))
	site.web = site.enter(site.page(func(http.ResponseWriter, *http.Request) error { panic("the dam broke") }))
	w := site.get(t, "/pipelines")
	if w.Code != 500 || strings.Contains(w.Body.String(), "dam") {
		t.Errorf("status %d", w.Code)
	}
	contains(t, w, "This is our mistake", w.Header().Get("X-Request-Id"))
	if !strings.Contains(log.String(), "the dam broke") || !strings.Contains(log.String(), w.Header().Get("X-Request-Id")) {
		t.Errorf("the log has %s", log.String())
	}
}

func TestJobLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"jobs:\n- job: a\n- job: b\n":            "[2 3]",
		"a: 1\njobs:\n\n  - job: a\n    x: 1\n":  "[4]",
		`{"jobs": [{"job": "a"}, {"job": "b"}]}`: "[1 1]",
		"jobs: 7":                                "[]",
		"- jobs":                                 "[]",
		"jobs: [":                                "[]",
		"":                                       "[]",
		"a: &a [*a]\njobs:\n- <<: *a\n":          "[3]",
		"x: &x {a: b}\njobs:\n- *x\n- {job: *x}\n": "[3 4]",
	} {
		if got := fmt.Sprint(jobLines(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// FuzzAddress sends whatever address: no answer may be our mistake, and nobody
// is sent away from here.
func FuzzAddress(f *testing.F) {
	site := newMill(f, storetest.SQLite(f))
	for _, seed := range []string{
		"/", "/pipelines?q=a&before=3", "/pipelines/1/steps/srpm-0/source?from=3&fragment=lines", "/projects/github.com/mill/wheel/-/pulls/7.json",
		"/projects/%2F/-/-", "/projects//-/badge.svg", "/runs/1/log?from=-1&lines=0", "/find?q=http://x/y/z", "/events?kind=%00", "/api/v3/api/v3/",
		"/api/v3", "/api/v3.json", "/.json", "/projects/.json", "//x.example/%2e%2e/", "/srpms/1/k/f", "/static/../x", "/%ff", "/queue.json?fragment=kinds",
		"/pipelines?q=r/(a|b)*/ && !(x || y)&limit=9999999", "/projects?q=%25_\\&forge=A&after=1_2",
	} {
		f.Add(seed, "Accept", "application/json")
	}
	f.Fuzz(func(t *testing.T, address, name, value string) {
		u, err := url.ParseRequestURI(address)
		if err != nil || u.Host != "" || strings.HasPrefix(u.Path, "/live") || strings.HasPrefix(u.Path, "/metrics") || !strings.HasPrefix(u.Path, "/") {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://millrace.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI = u, address
		switch name {
		case "Accept", "Cookie", "If-None-Match", "HX-Request", "Accept-Encoding":
			r.Header.Set(name, value)
		}
		w := &answer{header: http.Header{}}
		site.web.ServeHTTP(w, r)
		if w.status >= 500 {
			t.Errorf("%s: status %d: %s", address, w.status, clip(w.body.String(), 1000))
		}
		if to := w.header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`)) {
			t.Errorf("%s leads to %s", address, to)
		}
	})
}

type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(n int)   { a.status = n }
func (a *answer) Write(b []byte) (int, error) {
	return a.body.Write(b)
}
