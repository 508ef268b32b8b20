package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"
	"go.yaml.in/yaml/v3"

	"millrace/models"
	"millrace/views"
)

func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	text, err := textParam(q, "q")
	if err != nil {
		return err
	}
	shown := views.EventFilter{
		Query: text, Kind: eventKindParam(q), State: eventStateParam(q), Project: clipParam(q, "project"),
		Before: clipParam(q, "before"), After: clipParam(q, "after"),
	}
	list := new(models.EventList)
	query, err := models.ParseQuery(text, models.EventFields, time.Now())
	if err == nil {
		var found *models.EventList
		found, err = s.Store.Events(r.Context(), models.EventFilter{Query: query, Kind: shown.Kind, State: shown.State, Project: shown.Project}, listPage(r))
		if err == nil {
			list = found
		}
	}
	problem := mistake(err)
	if err != nil && problem == "" {
		return err
	}
	if visitOf(r).json {
		if problem != "" {
			return &refusal{status: http.StatusUnprocessableEntity, detail: problem}
		}
		return s.writeJSON(w, r, listOf(s, w, r, each(list.Rows, s.apiEventSummary), list.Cursors))
	}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	part, err := fragment(r, map[string]func(views.EventsPage) templ.Component{"rows": views.EventRows}, views.Events)
	if err != nil {
		return err
	}
	return s.render(w, r, status, part(views.EventsPage{Filter: shown, Problem: problem, EventList: *list}))
}

// eventKindParam takes any word: a kind that does not exist has no events.
func eventKindParam(q url.Values) models.EventKind {
	kind := clipParam(q, "kind")
	if len(kind) > 40 || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return models.EventKind(kind)
}

func eventStateParam(q url.Values) models.EventState {
	switch state := models.EventState(q.Get("state")); state {
	case models.EventNew, models.EventPlanned, models.EventNothing, models.EventRefused, models.EventApplied, models.EventFailed:
		return state
	}
	return ""
}

const eventsAround = 10

// showEvent says what arrived, what was decided, and why.
func (s *Server) showEvent(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	e, err := s.Store.Event(r.Context(), id)
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, s.apiEvent(e))
	}
	part, err := fragment(r, map[string]func(views.EventPage) templ.Component{
		"head": views.EventHead, "decisions": views.EventDecisions,
	}, views.Event)
	if err != nil {
		return err
	}
	page := views.EventPage{Event: e, JobLines: jobLines(e.ConfigText)}
	if e.Delivery != nil && s.KeepRaw > 0 {
		if till := e.Delivery.ReceivedAt.Add(s.KeepRaw); till.After(time.Now()) {
			page.KeptTill = till
		}
	}
	if page.Around, err = s.Store.EventsAround(r.Context(), e, eventsAround); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(page))
}

// longestConfig is how much of a package config is looked through for the lines
// of its jobs, in bytes.
const longestConfig = 256 << 10

// jobLines are the lines at which the jobs of a package config begin. Of a
// config that cannot be read there are none.
func jobLines(text string) []int {
	if text == "" || len(text) > longestConfig {
		return nil
	}
	var document yaml.Node // only nodes: aliases are not expanded
	if yaml.Unmarshal([]byte(text), &document) != nil || len(document.Content) == 0 {
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		jobs := root.Content[i+1]
		if root.Content[i].Value != "jobs" || jobs.Kind != yaml.SequenceNode {
			continue
		}
		lines := make([]int, len(jobs.Content))
		for j, job := range jobs.Content {
			lines[j] = job.Line
		}
		return lines
	}
	return nil
}
