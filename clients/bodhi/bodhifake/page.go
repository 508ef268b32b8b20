package bodhifake

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
)

var pages = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title>
<style>
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.4rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8885;vertical-align:top;overflow-wrap:anywhere}
th{width:11rem;font-weight:600}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;font:inherit}
.state{border:1px solid;border-radius:1rem;padding:0 .6rem}
</style></head><body>
<p><a href="{{.Base}}/updates/">Updates</a></p>
<h1>{{.Title}}</h1>
{{with .Update}}
<table>
<tr><th scope="row">Status</th><td><span class="state">{{.Status}}</span>{{with .Request}} requested: {{.}}{{end}}{{if .Locked}}, locked by a compose{{end}}</td></tr>
<tr><th scope="row">Update</th><td>{{.Alias}}</td></tr>
<tr><th scope="row">Release</th><td>{{.Release}}</td></tr>
<tr><th scope="row">Submitted</th><td>{{.Submitted.Format "2006-01-02 15:04"}} UTC by {{.User}}</td></tr>
<tr><th scope="row">Tests</th><td>{{.Gating}}</td></tr>
<tr><th scope="row">Karma</th><td>{{$.Karma}} (stable at {{.StableKarma}}, unstable at {{.UnstableKarma}}), at least {{.StableDays}} days in testing</td></tr>
<tr><th scope="row">Type</th><td>{{.Type}}, severity {{.Severity}}</td></tr>
{{with .FromTag}}<tr><th scope="row">Side tag</th><td>{{.}}</td></tr>{{end}}
<tr><th scope="row">Builds</th><td>{{range .Builds}}{{.}}<br>{{end}}</td></tr>
{{with .Bugs}}<tr><th scope="row">Bugs</th><td>{{range .}}#{{.}} {{end}}</td></tr>{{end}}
<tr><th scope="row">Notes</th><td><pre>{{.Notes}}</pre></td></tr>
</table>
<h2>Comments</h2>
<table>{{range .Comments}}<tr><th scope="row">{{.User}}<br>{{.At.Format "2006-01-02 15:04"}}</th><td><pre>{{.Text}}</pre>{{with .Karma}}karma {{.}}{{end}}</td></tr>{{end}}</table>
{{else}}
<table>{{range .Updates}}<tr><th scope="row">{{.Release}}</th><td><a href="{{$.Base}}/updates/{{.Alias}}">{{range .Builds}}{{.}} {{end}}</a></td><td>{{.Status}}</td></tr>{{else}}<tr><td>No updates yet.</td></tr>{{end}}</table>
{{end}}
</body></html>
`))

// showPage answers a browser.
func (s *Server) showPage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data := struct {
		Title, Base string
		Karma       int
		Update      *Update
		Updates     []Update
	}{Title: "Updates", Base: s.address(r)}
	alias, one := strings.CutPrefix(r.URL.Path, "/updates/")
	if one && alias != "" {
		if u := s.find(alias); u != nil {
			c := u.clone()
			data.Update, data.Title, data.Karma = &c, c.title(), c.karma()
		}
	} else {
		for _, u := range slices.Backward(s.state.Updates) {
			data.Updates = append(data.Updates, u.clone())
			if len(data.Updates) == 200 {
				break
			}
		}
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if one && alias != "" && data.Update == nil {
		w.WriteHeader(http.StatusNotFound)
		data.Title = "There is no such update"
	}
	_ = pages.Execute(w, data) // whoever asked may have left
}
