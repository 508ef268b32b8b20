package views

import (
	"context"
	"strings"
	"time"

	"millrace/models"
	"millrace/static"

	"github.com/a-h/templ"
)

// Frame is what all pages share and no page is about: who looks, how they
// like to see things, which program answers. Middleware makes one for each
// request; pages take it from the context.
type Frame struct {
	Version   string         // of the program
	Now       time.Time      // what ages are counted from; taken once for a request
	Zone      *time.Location // of the reader; nil is UTC
	Absolute  bool           // the reader wants times of the clock, not ages
	Theme     string         // "light" or "dark"; anything else is as the system
	Path      string         // path and query of this page; the display form comes back to it
	Viewer    *models.Viewer // nil if nobody is logged in
	Login     string         // address to log in at and come back; empty if nobody can log in
	Demo      string         // address of Fedora in a box; empty outside demos
	Notice    string         // what operators want everybody to know; may be empty
	LastEvent int64          // id of the newest live message before the page was read; 0 if there is none
	Source    string         // address of the program's source; may be empty
	JSON      string         // address of the same page as JSON; empty if it has no such form
	Atom      string         // address of the same list as a feed; empty if it has no such form
}

type frameKey struct{}

// WithFrame makes f the frame of all that is rendered with the context.
func WithFrame(ctx context.Context, f Frame) context.Context {
	if f.Zone == nil {
		f.Zone = time.UTC
	}
	return context.WithValue(ctx, frameKey{}, &f)
}

// FrameOf returns the frame of a context; without one it is empty.
func FrameOf(ctx context.Context) *Frame {
	if f, ok := ctx.Value(frameKey{}).(*Frame); ok {
		return f
	}
	return &Frame{Zone: time.UTC}
}

// page is what one page tells its frame.
type page struct {
	Name   string // of what it shows
	State  string // word of its state, for the title; may be empty
	Icon   string // favicon: neutral, waiting, running, passed, failed, error, ended
	Nav    string // entry of the main menu it belongs to
	Crumbs []crumb
	Topics []string // what its live parts listen to; none: it does not change by itself
}

// crumb is a step of the way to the page. The last has no address.
type crumb struct{ Text, URL string }

// Title is what the tab says: state first, as it is cut at its end.
func (p page) title() string { return titleOf(p.State, p.Name) }

func titleOf(state, name string) string {
	parts := []string{clip(name, 120), product}
	if state != "" {
		parts = append([]string{state}, parts...)
	}
	return strings.Join(parts, " · ")
}

// clip cuts long text at n characters.
func clip(s string, n int) string {
	count := 0
	for i := range s {
		if count == n {
			return strings.TrimSpace(s[:i]) + "…"
		}
		count++
	}
	return s
}

func (p page) icon() string {
	if p.Icon == "" {
		return "neutral"
	}
	return p.Icon
}

var menu = []struct{ Key, Text, URL string }{
	{"home", "Home", HomeURL()},
	{"packages", "Packages", PackagesURL()},
	{"projects", "Projects", ProjectsURL("", "")},
	{"pipelines", "Pipelines", PipelinesURL(PipelineFilter{})},
	{"events", "Events", EventsURL(EventFilter{})},
	{"queue", "Queue", QueueURL()},
	{"help", "Help", HelpURL()},
}

// faviconPaths lets the script change the icon of the tab.
var faviconPaths = func() templ.Attributes {
	m := make(templ.Attributes, len(static.Icons))
	for _, state := range static.Icons {
		m["data-"+state] = static.Favicon(state)
	}
	return m
}()

func projectCrumb(p *models.Project) crumb { return crumb{p.FullName(), ProjectURL(p)} }

// htmxConfig forbids what the policy forbids anyway, and lets open menus stay
// open when a part of the page is renewed.
const htmxConfig = `{"includeIndicatorCSS":false,"history":false,"morphIgnore":["data-htmx-powered","open"]}`
