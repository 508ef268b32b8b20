package handlers

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

const (
	logLines     = 500  // on a page
	mostLogLines = 5000 // in one answer
	failureLines = 20   // around what explains a failure
)

// showTarget is a run where it stands in a pipeline.
func (s *Server) showTarget(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	place, err := s.Store.TargetPlace(r.Context(), id, param(r, "step"), param(r, "target"))
	if err != nil {
		return err
	}
	if n, ok := number(r.URL.Query().Get("attempt")); ok && n != int64(place.Pipeline.Attempt) {
		for _, a := range place.Attempts {
			if int64(a.Attempt) == n {
				redirect(w, inForm(r, views.TargetURL(a.PipelineID, place.Step.Name, place.Target.Name)), http.StatusSeeOther)
				return nil
			}
		}
		return &refusal{status: http.StatusNotFound, detail: "This target has no attempt of that number."}
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, s.apiRunDetail(place))
	}
	part, err := fragment(r, map[string]func(views.RunPage) templ.Component{
		"head": views.RunHead, "facts": views.RunFacts, "logbox": views.RunLog, "log": views.RunLogCount, "aside": views.RunAside,
		"lines": func(p views.RunPage) templ.Component { return views.RunLogLines(p.Log.Lines) },
	}, views.Run)
	if err != nil {
		return err
	}
	page := views.RunPage{RunPlace: *place}
	if n := len(place.Attempts); n > 0 {
		p := place.Pipeline
		if viewerOf(r) != nil { // whose rights depend on the packages that the steps' configs name
			if p, err = s.Store.Pipeline(r.Context(), id); err != nil {
				return err
			}
		}
		page.Steer = s.steerOf(r, p, place.Attempts[n-1].PipelineID, place.Attempts[n-1].Attempt)
	}
	if page.Log, err = s.logSlice(r, place.Target.Run); err != nil {
		return err
	}
	if page.Origins, err = s.originsOf(r.Context(), place.Pipeline); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(page))
}

func (s *Server) apiRunDetail(place *models.RunPlace) RunDetail {
	return RunDetail{
		Run: s.apiRun(place.Target.Run), Pipeline: s.apiPipeline(place.Pipeline, nil).PipelineSummary, Step: place.Step.Name,
		Attempts: each(place.Attempts, func(a models.TargetAttempt) TargetAttempt {
			return TargetAttempt{a.PipelineID, a.Attempt, a.RunID, a.Reused, a.State}
		}),
	}
}

// showRun leads from the permanent address of a run to its page.
func (s *Server) showRun(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	place, err := s.Store.RunPlace(r.Context(), id)
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, s.apiRunDetail(place))
	}
	redirect(w, views.TargetURL(place.Pipeline.ID, place.Step.Name, place.Target.Name), http.StatusFound)
	return nil
}

// showLog is a part of a log: lines for a page that grows, or JSON.
func (s *Server) showLog(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if !visitOf(r).json && !isFragment(r) {
		place, err := s.Store.RunPlace(r.Context(), id)
		if err != nil {
			return err
		}
		to := views.TargetURL(place.Pipeline.ID, place.Step.Name, place.Target.Name)
		if from, ok := number(r.URL.Query().Get("from")); ok {
			to += "?from=" + decimal(from)
		}
		redirect(w, to+"#log", http.StatusSeeOther)
		return nil
	}
	l, err := s.Store.Log(r.Context(), id)
	if err != nil {
		return noLog(err)
	}
	first, n := logRange(r, l)
	lines, err := s.Store.LogLines(r.Context(), id, int64(first), n)
	if err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, apiLog(id, l, first, lines))
	}
	return s.render(w, r, http.StatusOK, views.RunLogLines(numbered(first, lines)))
}

func noLog(err error) error {
	if isMissing(err) {
		return &refusal{status: http.StatusNotFound, detail: "Nothing is kept of the log of this run."}
	}
	return err
}

// logRange is the part of a log that is asked for: the lines from a number on,
// otherwise its end.
func logRange(r *http.Request, l *store.Log) (first, n int) {
	q := r.URL.Query()
	n = logLines
	if lines, ok := number(q.Get("lines")); ok {
		n = int(min(lines, mostLogLines))
	} else if q.Get("fragment") == "lines" {
		n = mostLogLines // what a page that was open has missed
	}
	if from, ok := number(q.Get("from")); ok {
		return int(min(from, l.Lines+1)), n
	}
	return int(max(1, l.Lines-int64(n)+1)), n
}

func numbered(first int, lines []string) []views.LogLine {
	out := make([]views.LogLine, len(lines))
	for i, text := range lines {
		out[i] = views.LogLine{N: first + i, Text: text}
	}
	return out
}

// logSlice is what a page shows of a run's log. A run without one has an empty
// slice.
func (s *Server) logSlice(r *http.Request, run *models.Run) (views.LogSlice, error) {
	l, err := s.Store.Log(r.Context(), run.ID)
	if isMissing(err) {
		return views.LogSlice{Ended: run.State.Finished(), Tail: true}, nil
	}
	if err != nil {
		return views.LogSlice{}, err
	}
	first, n := logRange(r, l)
	lines, err := s.Store.LogLines(r.Context(), run.ID, int64(first), n)
	if err != nil {
		return views.LogSlice{}, err
	}
	_, asked := number(r.URL.Query().Get("from"))
	return sliceOf(l, run, numbered(first, lines), !asked), nil
}

func sliceOf(l *store.Log, run *models.Run, lines []views.LogLine, tail bool) views.LogSlice {
	slice := views.LogSlice{Lines: lines, Total: int(l.Lines), Ended: l.Complete, Tail: tail, Size: l.Bytes}
	if n := run.Data.LogLine; n > 0 && n <= slice.Total {
		slice.Errors = append(slice.Errors, n)
	}
	for _, line := range lines {
		if views.LooksLikeError(line.Text) && line.N != run.Data.LogLine {
			slice.Errors = append(slice.Errors, line.N)
		} else if views.LooksLikeWarning(line.Text) {
			slice.Warnings++
		}
	}
	return slice
}

// failure is the part of a log that explains why a pipeline failed first.
func (s *Server) failure(r *http.Request, p *models.Pipeline) (views.LogSlice, error) {
	_, target := views.FirstFailure(p)
	if part := r.URL.Query().Get("fragment"); target == nil || target.Run == nil || part != "" && part != "failure" {
		return views.LogSlice{}, nil
	}
	run := target.Run
	l, err := s.Store.Log(r.Context(), run.ID)
	if isMissing(err) {
		return views.LogSlice{}, nil
	}
	if err != nil {
		return views.LogSlice{}, err
	}
	first := max(1, l.Lines-failureLines+1)
	if at := int64(run.Data.LogLine); at > 0 {
		first = min(first, max(1, at-failureLines/4))
	}
	lines, err := s.Store.LogLines(r.Context(), run.ID, first, failureLines)
	if err != nil {
		return views.LogSlice{}, err
	}
	return sliceOf(l, run, numbered(int(first), lines), false), nil
}

// rawLog is a log as text: all of it, a range of its bytes, or the lines that
// the query asks for.
func (s *Server) rawLog(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	l, err := s.Store.Log(r.Context(), id)
	if err != nil {
		return noLog(err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `inline; filename="run-`+decimal(id)+`.txt"`)
	if unchanged(w, r, `"`+decimal(id)+"-"+decimal(l.Lines)+"-"+decimal(l.Bytes)+"-"+strconv.FormatInt(l.UpdatedAt.UnixMicro(), 36)+`"`) {
		return nil
	}
	q := r.URL.Query()
	from, some := number(q.Get("from"))
	if n, ok := number(q.Get("lines")); ok || some {
		if !ok {
			n = l.Lines
		}
		return s.rawLines(w, r, id, max(from, 1), n)
	}
	text, err := s.Store.LogText(r.Context(), id)
	if err != nil {
		return err
	}
	http.ServeContent(w, r, "", time.Time{}, patient{text, http.NewResponseController(w)})
	return nil
}

// patient gives whoever reads an answer time for each piece of it.
type patient struct {
	io.ReadSeeker
	conn *http.ResponseController
}

func (p patient) Read(b []byte) (int, error) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(logPatience)) // only connections have deadlines
	return p.ReadSeeker.Read(b)
}

// logPatience is how long a reader may take for one piece of a log.
const logPatience = time.Minute

func (s *Server) rawLines(w http.ResponseWriter, r *http.Request, id, first, n int64) error {
	conn := http.NewResponseController(w)
	for n > 0 {
		want := int(min(n, mostLogLines))
		lines, err := s.Store.LogLines(r.Context(), id, first, want)
		if err != nil || len(lines) == 0 {
			return err
		}
		_ = conn.SetWriteDeadline(time.Now().Add(logPatience))
		if _, err := io.WriteString(w, strings.Join(lines, "\n")+"\n"); err != nil {
			return fmt.Errorf("sending a log: %w", err)
		}
		if len(lines) < want {
			return nil
		}
		first, n = first+int64(len(lines)), n-int64(len(lines))
	}
	return nil
}
