package handlers

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/models"
)

// writePatience is how long one write to a stream may take. Whoever is slower
// is dropped, comes back, and gets what it missed.
const writePatience = 10 * time.Second

// live is the one stream of changes of a page. Everything in it is public; what
// a change is about is fetched, and judged, by its own address.
func (s *Server) live(w http.ResponseWriter, r *http.Request) error {
	visitOf(r).json = true // a refusal is for a program: nobody sees a page of it
	topics, err := topicsParam(r)
	if err != nil {
		return err
	}
	v, err := s.Live.watch(topics, lastHeard(r))
	if err != nil {
		return &refusal{status: http.StatusServiceUnavailable, detail: "Too many live pages are open here. This page renews itself now and then instead.", retry: 30 * time.Second}
	}
	defer s.Live.leave(v)
	s.Metrics.viewer(1)
	defer s.Metrics.viewer(-1)

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	// Readers whose connection broke come back at different moments.
	retry := 2000 + s.jitter()%3000
	send := func(texts ...[]byte) error {
		// Where a deadline cannot be set the writer is not a connection. It must
		// not outlast the write: HTTP/2 ends streams whose deadline passes.
		_ = out.SetWriteDeadline(time.Now().Add(writePatience))
		for _, text := range texts {
			if _, err := w.Write(text); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		_ = out.SetWriteDeadline(time.Time{})
		return nil
	}
	// The id, without a message, is what the browser says when it comes back.
	hello := "retry: " + strconv.Itoa(retry) + "\nid: " + decimal(v.from) + "\n\n"
	if send([]byte(hello)) != nil {
		return nil // gone already
	}
	return stream(r, v, send)
}

// stream writes what comes for v until the reader or the service goes. That a
// reader goes is no error.
func stream(r *http.Request, v *viewer, send func(...[]byte) error) error {
	gone := r.Context().Done()
	for {
		select {
		case <-gone:
			return nil
		case _, open := <-v.wake:
			if !open {
				return nil
			}
		}
		messages, ping := v.take()
		texts := make([][]byte, 0, len(messages)+1)
		for _, m := range messages {
			texts = append(texts, m.text)
		}
		if len(texts) == 0 {
			if !ping {
				continue
			}
			texts = append(texts, pingText)
		}
		if send(texts...) != nil {
			return nil
		}
	}
}

var pingText = []byte(": ping\n\n")

// lastHeard is the id of the last message that the reader got: of the stream
// that broke, or from the page.
func lastHeard(r *http.Request) int64 {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("since")
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 {
		return 0 // as good as none
	}
	return id
}

// topicsParam returns the topics that are asked for, each once.
func topicsParam(r *http.Request) ([]string, error) {
	text := r.URL.Query().Get("topics")
	if text == "" {
		return nil, &models.InputError{Field: "topics", Message: "name at least one topic, such as home or pipeline:1"}
	}
	topics := strings.Split(text, ",")
	if len(topics) > maxTopics {
		return nil, &models.InputError{Field: "topics", Message: "one stream has at most " + strconv.Itoa(maxTopics)}
	}
	for _, t := range topics {
		if !isTopic(t) {
			return nil, &models.InputError{Field: "topics", Message: "there are home, queue, and pipeline, reports, project, event and log with a number after a colon"}
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics), nil
}

func isTopic(name string) bool {
	kind, object, hasObject := strings.Cut(name, ":")
	switch kind {
	case "home", "queue":
		return !hasObject
	case "pipeline", "reports", "project", "event", "log":
		n, err := strconv.ParseInt(object, 10, 64)
		return err == nil && n > 0 && strconv.FormatInt(n, 10) == object
	}
	return false
}
