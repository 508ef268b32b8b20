package handlers

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"millrace/models/store"
	"millrace/models/store/storetest"
)

// TestPages opens every page and every fragment, as HTML and as JSON.
func TestPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		site := newMill(t, s)
		p := site.pipeline
		pipeline := fmt.Sprintf("/pipelines/%d", p.ID)
		target := pipeline + "/steps/srpm-0/source"
		run := fmt.Sprintf("/runs/%d", site.run(0, 0).ID)
		pages := []struct {
			path, fragments string
			has             string // in the HTML
			json            string // in the JSON; empty: there is none
		}{
			{"/", "numbers recent events", "wheel", `"recent":[{"id":`},
			{"/projects", "rows", "stone", `"path":"github.com/mill/wheel"`},
			{"/projects?q=wheel&forge=github.com", "rows", "wheel", `"items":[{`},
			{"/projects/github.com", "", "stone", `"path":"github.com/mill/stone"`},
			{"/projects/github.com/mill", "", "stone", `"path":"github.com/mill/stone"`},
			{"/projects/github.com/mill/wheel", "facts pulls rows", "wheel", `"last_30_days":{`},
			{"/projects/github.com/mill/wheel/-/pulls/7", "head events rows", "Change number 7", `"ref":"7"`},
			{fmt.Sprintf("/projects/github.com/mill/wheel/-/commits/%040x", 7), "", "sha:", `"items":[`},
			{"/pipelines", "rows", "wheel", `"next":null`},
			{"/pipelines?q=pr:7&kind=pr", "rows", "wheel", `"title":"Change number 7"`},
			{pipeline, "head facts plan failure steps history", "fedora-44-x86_64", `"edges":[{"from":"srpm-0"`},
			{pipeline + "?view=list", "plan", "fedora-44-x86_64", `"attempts":[{`},
			{pipeline + "?view=time", "plan", "fedora-44-x86_64", `"steps":[{`},
			{target, "head facts logbox log lines aside", "error: no water", `"step":"srpm-0"`},
			{target + "?from=2", "lines", "L2", `"step":"srpm-0"`},
			{"/events", "rows", "wheel", `"kind":"pull_request"`},
			{"/events/1", "head decisions", "wheel", `"decisions":[]`},
			{"/queue", "numbers kinds waiting workers", "Queue", `"waiting":[]`},
			{"/help", "", "/packit", ""},
		}
		for _, page := range pages {
			w := site.get(t, page.path)
			if w.Code != http.StatusOK {
				t.Errorf("%s: status %d: %s", page.path, w.Code, clip(w.Body.String(), 2000))
				continue
			}
			contains(t, w, page.has, "<!doctype html>", "</html>")
			for name := range strings.FieldsSeq(page.fragments) {
				at := page.path + map[bool]string{true: "&", false: "?"}[strings.Contains(page.path, "?")] + "fragment=" + name
				w := site.get(t, at, "HX-Request", "true")
				if body := w.Body.String(); w.Code != http.StatusOK || strings.Contains(body, "<html") || strings.TrimSpace(body) == "" {
					t.Errorf("%s: status %d, body %q", at, w.Code, clip(body, 300))
				}
			}
			if page.json == "" {
				continue
			}
			path, query, _ := strings.Cut(page.path, "?")
			for _, at := range []string{apiPrefix + page.path, strings.TrimSuffix(path, "/") + ".json?" + query} {
				if path == "/" && !strings.HasPrefix(at, apiPrefix) {
					continue
				}
				w := site.get(t, at)
				if kind := w.Header().Get("Content-Type"); w.Code != http.StatusOK || kind != "application/json" {
					t.Errorf("%s: status %d, %s: %s", at, w.Code, kind, clip(w.Body.String(), 500))
				}
				contains(t, w, page.json)
			}
			w = site.get(t, page.path, "Accept", "application/json")
			contains(t, w, page.json)
		}
		if w := site.get(t, run+".json"); w.Code != http.StatusOK {
			t.Errorf("%s as JSON: status %d", run, w.Code)
		}
	})
}
