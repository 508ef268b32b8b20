package kojifake

import (
	"bytes"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strconv"
	"time"

	"millrace/clients/koji"
)

// maxShownLog is how much of the end of a log is on a page, in bytes.
const maxShownLog = 64 << 10

var pages = template.Must(template.New("").Funcs(template.FuncMap{"when": func(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Format("2006-01-02 15:04:05 UTC")
}}).Parse(`
{{define "top"}}<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{{.}} · Koji in the box</title></head><body><p><a href="/koji/">Koji in the box</a></p><h1>{{.}}</h1>{{end}}
{{define "rows"}}<table><thead><tr><th scope="col">Task</th><th scope="col">Method</th><th scope="col">For</th><th scope="col">State</th></tr></thead><tbody>
{{range .}}<tr><td><a href="/koji/taskinfo?taskID={{.ID}}">{{.ID}}</a></td><td>{{.Method}}</td><td>{{.Label}}</td><td>{{.State}}</td></tr>{{end}}</tbody></table>{{end}}
{{define "tasks"}}{{template "top" "Tasks"}}{{template "rows" .Tasks}}</body></html>{{end}}
{{define "task"}}{{template "top" .Title}}<dl><dt>State</dt><dd>{{.Task.State}}</dd><dt>Owner</dt><dd>{{.Task.Owner}}</dd>
<dt>Created</dt><dd>{{when .Task.Created}}</dd><dt>Started</dt><dd>{{when .Task.Started}}</dd><dt>Completed</dt><dd>{{when .Task.Completed}}</dd>
{{if .Task.Parent}}<dt>Part of</dt><dd><a href="/koji/taskinfo?taskID={{.Task.Parent}}">{{.Task.Parent}}</a></dd>{{end}}
{{if .Task.BuildID}}<dt>Build</dt><dd><a href="/koji/buildinfo?buildID={{.Task.BuildID}}">{{.Task.BuildID}}</a></dd>{{end}}
{{with .Source}}<dt>Source</dt><dd>{{.}}</dd>{{end}}{{with .Target}}<dt>Target</dt><dd>{{.}}</dd>{{end}}{{with .Task.Fault}}<dt>Result</dt><dd>{{.Text}}</dd>{{end}}</dl>
{{if .Tasks}}<h2>Consists of</h2>{{template "rows" .Tasks}}{{end}}
{{if .Files}}<h2>Output</h2><ul>{{range .Files}}<li><a href="{{.URL}}">{{.Name}}</a></li>{{end}}</ul>{{end}}
{{with .Log}}<h2>Log</h2><pre tabindex="0">{{.}}</pre>{{end}}</body></html>{{end}}
{{define "build"}}{{template "top" .Title}}<dl><dt>State</dt><dd>{{.Build.State}}</dd><dt>Owner</dt><dd>{{.Build.Owner}}</dd>
<dt>Source</dt><dd>{{.Build.Source}}</dd>{{if .Build.TaskID}}<dt>Task</dt><dd><a href="/koji/taskinfo?taskID={{.Build.TaskID}}">{{.Build.TaskID}}</a></dd>{{end}}
<dt>Tags</dt><dd>{{range .Tags}}<a href="/koji/taginfo?tagID={{.ID}}">{{.Name}}</a> {{else}}none{{end}}</dd></dl></body></html>{{end}}
{{define "tag"}}{{template "top" .Title}}<ul>{{range .Builds}}<li><a href="/koji/buildinfo?buildID={{.ID}}">{{.Spec.NVR}}</a></li>{{else}}<li>No builds</li>{{end}}</ul></body></html>{{end}}
`))

type filePart struct{ Name, URL string }

// page is what the pages are made of; each uses its part.
type page struct {
	Title          string
	Task           Task
	Source, Target string
	Tasks          []Task
	Files          []filePart
	Log            string
	Build          Build
	Builds         []Build
	Tags           []Tag
}

func (f *Fake) show(w http.ResponseWriter, name string, p *page) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		f.log.Error("koji cannot make a page", "page", name, "error", err)
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

func (f *Fake) showTasks(w http.ResponseWriter, _ *http.Request) {
	const most = 100
	tasks := slices.DeleteFunc(f.Tasks(), func(t Task) bool { return t.Parent != 0 })
	slices.Reverse(tasks)
	f.show(w, "tasks", &page{Tasks: tasks[:min(most, len(tasks))]})
}

func queryID(r *http.Request, name string) int64 {
	id, _ := strconv.ParseInt(r.URL.Query().Get(name), 10, 64) // nothing has the number 0
	return id
}

func (f *Fake) showTask(w http.ResponseWriter, r *http.Request) {
	p := f.taskPage(queryID(r, "taskID"))
	if p == nil {
		http.NotFound(w, r)
		return
	}
	f.show(w, "task", p)
}

func (f *Fake) taskPage(id int64) *page {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tasks[id]
	if t == nil {
		return nil
	}
	p := &page{Title: "Task " + strconv.FormatInt(id, 10) + ": " + t.Method, Task: t.clone()}
	if t.Method == "build" {
		p.Source, p.Target = t.request().Source, t.request().Target
	}
	for _, c := range f.children(t) {
		p.Tasks = append(p.Tasks, c.clone())
	}
	for _, name := range sorted(f.taskFiles(id)) {
		p.Files = append(p.Files, filePart{name, "/" + path.Join(taskDir(id), name)})
	}
	if text, err := f.root.ReadFile(path.Join(taskDir(id), koji.BuildLog)); err == nil {
		p.Log = string(text[max(0, len(text)-maxShownLog):])
	}
	return p
}

func (f *Fake) showBuild(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	var p *page
	if b := f.builds[queryID(r, "buildID")]; b != nil {
		p = &page{Title: b.nvr(), Build: b.clone()}
		for _, t := range byID(f.world.Tags) {
			if slices.Contains(t.Builds, b.ID) {
				p.Tags = append(p.Tags, Tag{ID: t.ID, Name: t.Name})
			}
		}
	}
	f.mu.Unlock()
	if p == nil {
		http.NotFound(w, r)
		return
	}
	f.show(w, "build", p)
}

func (f *Fake) showTag(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	var p *page
	if t := f.world.Tags[queryID(r, "tagID")]; t != nil {
		p = &page{Title: "Tag " + t.Name}
		for _, x := range f.taggedIn(t, false, "") {
			p.Builds = append(p.Builds, x.build.clone())
		}
	}
	f.mu.Unlock()
	if p == nil {
		http.NotFound(w, r)
		return
	}
	f.show(w, "tag", p)
}
