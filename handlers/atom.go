package handlers

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"

	"millrace/models"
	"millrace/views"
)

// feed is an Atom feed (RFC 4287).
type feed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Links   []feedLink  `xml:"link"`
	Entries []feedEntry `xml:"entry"`
}

type feedLink struct {
	Rel  string `xml:"rel,attr,omitempty"`
	Type string `xml:"type,attr,omitempty"`
	Href string `xml:"href,attr"`
}

type feedEntry struct {
	ID        string     `xml:"id"`
	Title     string     `xml:"title"`
	Published string     `xml:"published"`
	Updated   string     `xml:"updated"`
	Author    feedAuthor `xml:"author"`
	Link      feedLink   `xml:"link"`
	Summary   string     `xml:"summary"`
}

type feedAuthor struct {
	Name string `xml:"name"`
}

const feedLength = 50

// feedOf is a feed about what a page of ours shows; path is that page's.
func (s *Server) feedOf(title, path, self string, entries []feedEntry) feed {
	f := feed{
		ID: s.Base + path, Title: title, Updated: time.Unix(0, 0).UTC().Format(time.RFC3339), Entries: entries,
		Links: []feedLink{{Rel: "self", Type: "application/atom+xml", Href: s.Base + self}, {Rel: "alternate", Type: "text/html", Href: s.Base + path}},
	}
	for _, e := range entries {
		f.Updated = max(f.Updated, e.Updated) // all are UTC in the same form
	}
	return f
}

func (s *Server) sendFeed(w http.ResponseWriter, r *http.Request, f feed) error {
	body, err := xml.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding the feed %s: %w", f.ID, err)
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	s.send(w, r, http.StatusOK, "application/atom+xml; charset=utf-8", append([]byte(xml.Header), body...))
	return nil
}

// showFeed has the newest pipelines of a project, for feed readers.
func (s *Server) showFeed(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	list, err := s.Store.Pipelines(r.Context(), models.PipelineFilter{ProjectID: p.ID}, models.Page{Limit: feedLength})
	if err != nil {
		return err
	}
	path := views.ProjectURL(p)
	return s.sendFeed(w, r, s.feedOf("Pipelines of "+p.FullName(), path, path+"/-/feed.atom", each(list.Rows, s.feedEntry)))
}

// pipelinesFeed has the newest of all pipelines.
func (s *Server) pipelinesFeed(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Store.Pipelines(r.Context(), models.PipelineFilter{}, models.Page{Limit: feedLength})
	if err != nil {
		return err
	}
	return s.sendFeed(w, r, s.feedOf("Pipelines", "/pipelines", "/pipelines.atom", each(list.Rows, func(row *models.PipelineRow) feedEntry {
		e := s.feedEntry(row)
		if row.Project != nil {
			e.Title = row.Project.FullName() + ": " + e.Title
		}
		return e
	})))
}

// eventsFeed has the newest of all events.
func (s *Server) eventsFeed(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Store.Events(r.Context(), models.EventFilter{}, models.Page{Limit: feedLength})
	if err != nil {
		return err
	}
	return s.sendFeed(w, r, s.feedOf("Events", "/events", "/events.atom", each(list.Rows, s.eventEntry)))
}

func (s *Server) eventEntry(e *models.Event) feedEntry {
	at := s.Base + views.EventURL(e.ID)
	title := strings.ReplaceAll(string(e.Kind), "_", " ")
	if e.Action != "" {
		title += " " + string(e.Action)
	}
	if e.Commit != nil {
		title += ", " + e.Commit.RefName()
	}
	if e.Project != nil {
		title = e.Project.FullName() + ": " + title
	}
	updated := e.CreatedAt
	if e.DecidedAt.After(updated) {
		updated = e.DecidedAt
	}
	return feedEntry{
		ID: at, Title: title, Published: e.CreatedAt.UTC().Format(time.RFC3339), Updated: updated.UTC().Format(time.RFC3339),
		Author: feedAuthor{nameOr(e.Actor)}, Link: feedLink{Rel: "alternate", Type: "text/html", Href: at},
		Summary: strings.TrimSpace(string(e.State) + ". " + e.Reason),
	}
}

// nameOr is who did something; a feed needs a name.
func nameOr(actor string) string {
	if actor == "" {
		return "unknown"
	}
	return actor
}

// changedAt is when the state of a pipeline last changed, as far as its row says.
func changedAt(p *models.Pipeline) time.Time {
	for _, at := range []time.Time{p.FinishedAt, p.StartedAt} {
		if !at.IsZero() {
			return at
		}
	}
	return p.CreatedAt
}

func (s *Server) feedEntry(row *models.PipelineRow) feedEntry {
	p := row.Pipeline
	at := s.Base + views.PipelineURL(p.ID)
	title := strings.ToUpper(string(p.State[:min(1, len(p.State))])) + string(p.State[min(1, len(p.State)):]) + ": " + p.RefName()
	if p.Title != "" {
		title += ", " + clip(p.Title, 200)
	}
	if p.Attempt > 1 {
		title += fmt.Sprintf(" (attempt %d)", p.Attempt)
	}
	parts := make([]string, 0, len(row.Flow))
	for _, f := range row.Flow {
		parts = append(parts, fmt.Sprintf("%s: %s, %d of %d passed", f.Name, f.State, f.Passed, f.Total))
	}
	return feedEntry{
		ID: at, Title: title, Published: p.CreatedAt.UTC().Format(time.RFC3339), Updated: changedAt(p).UTC().Format(time.RFC3339),
		Author: feedAuthor{nameOr(p.Actor)}, Link: feedLink{Rel: "alternate", Type: "text/html", Href: at}, Summary: strings.Join(parts, "; "),
	}
}
