package box

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/copr/coprfake"
	"millrace/clients/github/githubfake"
	"millrace/clients/testingfarm/testingfarmfake"

	"github.com/a-h/templ"
)

type coprPage struct {
	Builds   []coprfake.Build
	Projects []coprfake.Project
	Name     string // of one project: owner/name
	Real     bool
	Why      string
}

func (b *Box) showCopr(context.Context, *http.Request) (templ.Component, error) {
	builds := b.Copr.Builds()
	return coprHome(coprPage{Builds: builds[:min(len(builds), listed)], Projects: b.Copr.Projects(), Real: b.real, Why: b.why}), nil
}

func (b *Box) showCoprProject(_ context.Context, r *http.Request) (templ.Component, error) {
	name := r.PathValue("owner") + "/" + r.PathValue("project")
	projects := b.Copr.Projects()
	i := slices.IndexFunc(projects, func(p coprfake.Project) bool { return p.Owner+"/"+p.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("project %s: %w", name, githubfake.ErrNotFound)
	}
	p := coprPage{Name: name, Projects: projects[i : i+1], Real: b.real, Why: b.why}
	for _, build := range b.Copr.Builds() {
		if build.Owner+"/"+build.Project == name {
			p.Builds = append(p.Builds, build)
		}
	}
	return coprHome(p), nil
}

func (b *Box) showBuild(_ context.Context, r *http.Request) (templ.Component, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("build %q: %w", r.PathValue("id"), githubfake.ErrNotFound)
	}
	build, ok := b.Copr.Build(id)
	if !ok {
		return nil, fmt.Errorf("build %d: %w", id, githubfake.ErrNotFound)
	}
	return coprBuild(&build), nil
}

// parts are the parts of a build, the source package first.
func parts(b *coprfake.Build) []coprfake.Part {
	return append([]coprfake.Part{b.SourcePart}, b.Chroots...)
}

func resultURL(b *coprfake.Build, p coprfake.Part) string {
	if p.ResultDir == "" {
		return ""
	}
	return "/copr" + "/" + path.Join("results", b.Owner, b.Dirname, p.Chroot, p.ResultDir) + "/"
}

func logURL(b *coprfake.Build, p coprfake.Part) string {
	dir := resultURL(b, p)
	if dir == "" {
		return ""
	}
	if p.State == "running" {
		return dir + "builder-live.log"
	}
	return dir + "builder-live.log.gz"
}

// coprState is the state of ours whose icon fits a word of Copr.
func coprState(word string) string {
	switch word {
	case "succeeded", "forked":
		return "passed"
	case "failed", "canceled", "skipped", "running", "waiting":
		return word
	case "importing":
		return "running"
	case "pending", "starting":
		return "queued"
	}
	return "unknown"
}

type farmPage struct {
	Runs []testingfarmfake.Run // the newest first
}

func (b *Box) showFarm(context.Context, *http.Request) (templ.Component, error) {
	return farmHome(farmPage{newest(b.Farm.Runs(), listed)}), nil
}

func farmState(r testingfarmfake.Run) (state, word string) {
	switch string(r.State) {
	case "new", "queued":
		return "queued", string(r.State)
	case "running":
		return "running", "running"
	case "complete":
		switch r.Ending {
		case testingfarmfake.Passes:
			return "passed", "passed"
		case testingfarmfake.Fails:
			return "failed", "failed"
		case testingfarmfake.Skips:
			return "skipped", "skipped"
		}
		return "error", "error"
	case "error":
		return "error", "error"
	}
	return "canceled", strings.ReplaceAll(string(r.State), "-", " ")
}

func (b *Box) showBodhi(context.Context, *http.Request) (templ.Component, error) {
	return bodhiHome(b.access.BodhiURL), nil
}

func (b *Box) showWebhooks(context.Context, *http.Request) (templ.Component, error) {
	return webhooks(newest(b.Forge.Deliveries(), listed)), nil
}

// payload is something that was sent to the service.
type payload struct {
	Title, Crumb, Back, Again string
	State                     string
	Facts                     [][2]string
	Body                      string
	Answer                    string
}

func (b *Box) showWebhook(_ context.Context, r *http.Request) (templ.Component, error) {
	for _, d := range b.Forge.Deliveries() {
		if strconv.FormatInt(d.ID, 10) != r.PathValue("id") {
			continue
		}
		return sent(payload{
			Title: strings.TrimSpace(d.Event + " " + d.Action), Crumb: "Webhooks", Back: "/-/webhooks", State: d.State,
			Again: fmt.Sprintf("/-/redeliver/webhook/%d", d.ID),
			Facts: [][2]string{{"Repository", d.Repo}, {"Id", d.GUID}, {"Sent to", cmp.Or(d.URL, "nobody")}, {"Made", d.Created.Format(time.DateTime)},
				{"Tries", strconv.Itoa(d.Attempts)}, {"Status", strconv.Itoa(d.StatusCode)}},
			Body: indented(d.Body), Answer: d.Answer,
		}), nil
	}
	return nil, fmt.Errorf("webhook %s: %w", r.PathValue("id"), githubfake.ErrNotFound)
}

func (b *Box) showBus(context.Context, *http.Request) (templ.Component, error) {
	list := b.bus.list()
	kind, why := b.Bus()
	return messages(list[:min(len(list), listed)], kind, why), nil
}

func (b *Box) showMessage(_ context.Context, r *http.Request) (templ.Component, error) {
	for _, m := range b.bus.list() {
		if strconv.FormatInt(m.Seq, 10) != r.PathValue("id") {
			continue
		}
		return sent(payload{
			Title: m.Topic, Crumb: "Message bus", Back: "/-/bus", State: m.State, Again: fmt.Sprintf("/-/redeliver/bus/%d", m.Seq),
			Facts: [][2]string{{"Id", m.ID}, {"Made", m.Created.Format(time.DateTime)}, {"Tries", strconv.Itoa(m.Tries)}},
			Body:  indented(m.Body), Answer: m.Answer,
		}), nil
	}
	return nil, fmt.Errorf("message %s: %w", r.PathValue("id"), githubfake.ErrNotFound)
}

func indented(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

// sentState is the state of ours whose icon fits what became of a message.
func sentState(state string) string {
	switch state {
	case "delivered":
		return "passed"
	case "refused":
		return "failed"
	case "unreachable":
		return "error"
	case "pending":
		return "queued"
	case "lost", "undirected":
		return "skipped"
	}
	return "unknown"
}
