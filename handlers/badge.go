package handlers

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millrace/models"
	"millrace/views"
)

// badgeColors are those of states on a badge: white text on them has a contrast
// of at least 4.5 to 1.
var badgeColors = map[models.State]string{
	models.Passed: "#1a7f37", models.Failed: "#b42318", models.Error: "#9a3412", models.Running: "#0b5cad",
}

// showBadge is the state of the newest pipeline as a picture, for READMEs. A
// project without one has a badge too: a broken picture says less.
func (s *Server) showBadge(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	kind, err := eventParam(r)
	if err != nil {
		return err
	}
	label, word := "millrace", "no pipeline"
	state := models.State("")
	newest, err := s.Store.NewestPipeline(r.Context(), p.ID, kind, "")
	if err != nil && !isMissing(err) {
		return err
	}
	if err == nil {
		state = newest.State
		if step := clipParam(r.URL.Query(), "step"); step != "" {
			label, state = step, ""
			for _, sum := range newest.Flow {
				if sum.Name == step || string(sum.Kind) == step {
					state = sum.State
				}
			}
			word = "no such step"
		}
		if state != "" {
			word = string(state)
		}
	}
	color, ok := badgeColors[state]
	if !ok {
		color = "#57606a"
	}
	picture := badge(clip(label, 40), word, color)
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=60") // image proxies of forges honour it
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'none'; sandbox")
	sum := fnv.New64a()
	sum.Write(picture)
	tag := `"` + strconv.FormatUint(sum.Sum64(), 36) + `"`
	h.Set("Etag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	s.send(w, r, http.StatusOK, "image/svg+xml", picture)
	return nil
}

// badge draws a label and a word beside each other.
func badge(label, word, color string) []byte {
	left, right := textWidth(label)+12, textWidth(word)+12
	var name bytes.Buffer
	_ = xml.EscapeText(&name, []byte(label)) // a buffer takes everything
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="20" role="img" aria-label="%s: %s"><title>%[2]s: %[3]s</title>`, left+right, name.String(), word)
	fmt.Fprintf(&b, `<rect width="%d" height="20" rx="3" fill="%s"/><path d="M3 0h%dv20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#24292f"/>`, left+right, color, left-3)
	fmt.Fprintf(&b, `<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"><text x="%d" y="14">%s</text><text x="%d" y="14">%s</text></g></svg>`,
		left/2, name.String(), left+right/2, word)
	return b.Bytes()
}

// textWidth is about how wide a text is in pixels, in eleven pixel Verdana.
func textWidth(text string) int {
	width := 0.0
	for _, c := range text {
		switch {
		case strings.ContainsRune("iljI.,:;'!|", c):
			width += 3.6
		case strings.ContainsRune("mwMW@%", c):
			width += 10.2
		case c >= 'A' && c <= 'Z':
			width += 7.8
		default:
			width += 6.7
		}
	}
	return int(width + 0.5)
}

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

// showFeed has the newest pipelines of a project, for feed readers.
func (s *Server) showFeed(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	list, err := s.Store.Pipelines(r.Context(), models.PipelineFilter{ProjectID: p.ID}, models.Page{Limit: feedLength})
	if err != nil {
		return err
	}
	here := s.Base + views.ProjectURL(p)
	f := feed{
		ID: here, Title: "Pipelines of " + p.FullName(), Updated: p.CreatedAt.UTC().Format(time.RFC3339),
		Links: []feedLink{{Rel: "self", Type: "application/atom+xml", Href: here + "/-/feed.atom"}, {Rel: "alternate", Type: "text/html", Href: here}},
	}
	var last time.Time
	for _, row := range list.Rows {
		e := s.feedEntry(row)
		f.Entries = append(f.Entries, e)
		if at := changedAt(row.Pipeline); at.After(last) {
			last, f.Updated = at, e.Updated
		}
	}
	body, err := xml.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding the feed of %s: %w", p.Path(), err)
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	s.send(w, r, http.StatusOK, "application/atom+xml; charset=utf-8", append([]byte(xml.Header), body...))
	return nil
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
	actor := p.Actor
	if actor == "" {
		actor = "unknown"
	}
	parts := make([]string, 0, len(row.Flow))
	for _, f := range row.Flow {
		parts = append(parts, fmt.Sprintf("%s: %s, %d of %d passed", f.Name, f.State, f.Passed, f.Total))
	}
	return feedEntry{
		ID: at, Title: title, Published: p.CreatedAt.UTC().Format(time.RFC3339), Updated: changedAt(p).UTC().Format(time.RFC3339),
		Author: feedAuthor{actor}, Link: feedLink{Rel: "alternate", Type: "text/html", Href: at}, Summary: strings.Join(parts, "; "),
	}
}
