package handlers

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/a-h/templ"

	"millrace/views"
)

// render makes all of a page before any of it is written, so that one that
// fails becomes an error and not half a page.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, page templ.Component) error {
	b := buffers.Get().(*bytes.Buffer)
	defer recycle(b)
	if err := page.Render(r.Context(), b); err != nil {
		return fmt.Errorf("rendering: %w", err)
	}
	w.Header().Add("Vary", "Accept, Cookie, HX-Request")
	if same := views.FrameOf(r.Context()).JSON; same != "" && status == http.StatusOK && !isFragment(r) && !strings.ContainsAny(same, `<>"`) {
		w.Header().Add("Link", "<"+same+`>; rel="alternate"; type="application/json"`)
	}
	s.send(w, r, status, "text/html; charset=utf-8", b.Bytes())
	return nil
}

// sendJSON answers with v. That v can be encoded is the types' promise.
func (s *Server) sendJSON(w http.ResponseWriter, r *http.Request, status int, kind string, v any) {
	b := buffers.Get().(*bytes.Buffer)
	defer recycle(b)
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		s.Log.ErrorContext(r.Context(), "answer not encoded", "error", err, "request", visitOf(r).id)
		status, kind = http.StatusInternalServerError, "application/problem+json"
		b.Reset()
		b.WriteString(`{"type":"about:blank","title":"Internal Server Error","status":500}`)
	}
	w.Header().Add("Vary", "Accept")
	s.send(w, r, status, kind, b.Bytes())
}

// writeJSON answers a request for JSON that went well.
func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	s.sendJSON(w, r, http.StatusOK, "application/json", v)
	return nil
}

// gzipFrom is the size in bytes from which an answer is packed.
const gzipFrom = 1400

// send writes a whole answer, packed if that is worth it and wanted.
func (s *Server) send(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Add("Vary", "Accept-Encoding")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "private, no-cache")
	}
	if len(body) >= gzipFrom && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		b := buffers.Get().(*bytes.Buffer)
		defer recycle(b)
		packer := packers.Get().(*gzip.Writer)
		packer.Reset(b)
		packer.Write(body) // a buffer takes everything
		packer.Close()
		packers.Put(packer)
		h.Set("Content-Encoding", "gzip")
		body = b.Bytes()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	// That the reader left before the end is nobody's error.
	_, _ = w.Write(body)
}

var (
	buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	packers = sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // that level exists
		return w
	}}
)

// recycle keeps a buffer for the next page, unless it has grown for a rare one.
func recycle(b *bytes.Buffer) {
	if b.Cap() > 1<<20 {
		return
	}
	b.Reset()
	buffers.Put(b)
}

func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		quality, isQuality := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		return !isQuality || strings.Trim(quality, "0.") != ""
	}
	return false
}

// unchanged sets the tag of what is about to be answered, and answers 304 if the
// reader has that already.
func unchanged(w http.ResponseWriter, r *http.Request, tag string) bool {
	h := w.Header()
	h.Set("Etag", tag)
	h.Set("Cache-Control", "private, no-cache")
	for have := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimSpace(have) == tag {
			h.Add("Vary", "Accept, Cookie, HX-Request, Accept-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}
