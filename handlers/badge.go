package handlers

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"

	"millrace/models"
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
