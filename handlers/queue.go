package handlers

import (
	"net/http"

	"github.com/a-h/templ"

	"millrace/views"
)

// showQueue is what waits for workers, what they hold, and what is still to be
// told.
func (s *Server) showQueue(w http.ResponseWriter, r *http.Request) error {
	queue, err := s.Store.Queue(r.Context(), "")
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, s.apiQueue(queue))
	}
	part, err := fragment(r, map[string]func(views.QueuePage) templ.Component{
		"numbers": views.QueueNumbers, "kinds": views.QueueKinds, "waiting": views.QueueWaiting, "workers": views.QueueWorkers,
	}, views.Queue)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(views.QueuePage{Queue: *queue}))
}
