package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"millrace/clients/httpx"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// Steering makes attempts and stops runs; *jobs.Runner does. Whoever calls it
// has asked for the rights.
type Steering interface {
	PreviewRerun(ctx context.Context, pipelineID int64, request models.RerunRequest) (*models.Rerun, error)
	Rerun(ctx context.Context, request jobs.RerunRequest) (int64, error)
	Cancel(ctx context.Context, request jobs.CancelRequest) (int, error)
}

// The names of what people do here, in the audit log.
const (
	rerunAction  = "pipeline.rerun"
	cancelAction = "pipeline.cancel"
)

// rerunAsk is a wish for the next attempt of a pipeline. Pages and API make it
// from what came.
type rerunAsk struct {
	models.RerunRequest
	Pipeline int64  // any attempt
	Expected int    // number of the attempt that the asker takes for the newest; 0: whatever is
	Key      string // repeats with the same key make nothing new; empty: there are none
}

// cancelAsk is a wish to stop something.
type cancelAsk struct {
	Pipeline int64
	Step     string // empty: all of it
	Target   string // empty: all of the step
}

// rerunPreview is what an ask would do, and whether the asker may.
type rerunPreview struct {
	*models.Rerun
	Verdict models.Verdict
	Newer   int64 // pipeline of a later push to the same reference; 0: there is none
}

// maxRequestKey is how long the key of a request may be, in bytes.
const maxRequestKey = 200

// previewRerun works out what an ask would do. Everybody may look; the config as
// it is now is read for people who are logged in. Errors are those of rerun.
func (s *Server) previewRerun(r *http.Request, ask rerunAsk) (*rerunPreview, error) {
	if s.Steering == nil {
		return nil, noSteering()
	}
	if ask.Current {
		if err := s.mayReadNow(r); err != nil {
			return nil, err
		}
	}
	ctx := r.Context()
	again, err := s.Steering.PreviewRerun(ctx, ask.Pipeline, ask.RerunRequest)
	if err != nil {
		return nil, away(err)
	}
	preview := &rerunPreview{Rerun: again, Verdict: s.mayOn(r, models.RerunRight, again.Earlier, again.Steps()...)}
	preview.Newer, err = s.Store.NewerPipeline(ctx, again.Earlier)
	return preview, err
}

// mayReadNow keeps those who are not logged in, and those who ask too often,
// from having us read from forges.
func (s *Server) mayReadNow(r *http.Request) error {
	if viewerOf(r) == nil {
		return s.refused(r, models.May(nil, models.PersonalRight, models.About{}))
	}
	if wait := s.reads.take(asker(r), time.Now()); wait > 0 {
		return &refusal{status: http.StatusTooManyRequests, retry: wait, detail: "From your address the config was asked for too often."}
	}
	return nil
}

// away is an error because of something outside that does not answer, in words.
func away(err error) error {
	if e, ok := errors.AsType[*httpx.Error](err); ok && e.Temporary() {
		return &refusal{status: http.StatusServiceUnavailable, retry: 10 * time.Second, detail: fmt.Sprintf("This cannot be told now: %s does not answer. Try again in a moment.", e.Service)}
	}
	return err
}

// rerun makes the next attempt of a pipeline for whoever asks, if they may, and
// returns its id. What becomes of it is noted. What explain says of the errors:
// 409 with the attempt of who was faster, 422 if there is nothing to do, 401 and
// 403 without the right, 429 above the limits, 503 if something cannot be told.
func (s *Server) rerun(r *http.Request, ask rerunAsk) (int64, error) {
	if len(ask.Key) > maxRequestKey {
		return 0, &models.InputError{Field: "key", Message: fmt.Sprintf("it has more than %d bytes", maxRequestKey)}
	}
	p, err := s.steerable(r, ask.Pipeline)
	if err != nil {
		return 0, err
	}
	var steps []*models.Step // none: all of it
	if viewerOf(r) != nil {
		// An error here is found again below, by those who may.
		if again, err := s.Steering.PreviewRerun(r.Context(), ask.Pipeline, ask.RerunRequest); err == nil {
			steps = again.Steps()
		}
	}
	who, err := s.steerer(r, models.RerunRight, rerunAction, p, steps...)
	if err != nil {
		return 0, err
	}
	id, err := s.Steering.Rerun(r.Context(), jobs.RerunRequest{
		RerunRequest: ask.RerunRequest, Requester: who, Pipeline: ask.Pipeline, Expected: ask.Expected, Key: ask.Key,
	})
	return id, s.noteNothing(r, away(err), rerunAction, p)
}

// cancel stops what is still on its way for whoever asks, if they may, and
// returns how many runs that were. Errors are as of rerun.
func (s *Server) cancel(r *http.Request, ask cancelAsk) (int, error) {
	p, err := s.steerable(r, ask.Pipeline)
	if err != nil {
		return 0, err
	}
	var steps []*models.Step
	for _, step := range p.Steps {
		if step.Name == ask.Step {
			steps = append(steps, step)
		}
	}
	who, err := s.steerer(r, models.CancelRight, cancelAction, p, steps...)
	if err != nil {
		return 0, err
	}
	n, err := s.Steering.Cancel(r.Context(), jobs.CancelRequest{Requester: who, Pipeline: p.ID, Step: ask.Step, Target: ask.Target})
	return n, s.noteNothing(r, err, cancelAction, p)
}

func noSteering() error {
	return &refusal{status: http.StatusNotImplemented, detail: "This process only shows what happens; nothing can be started or stopped here."}
}

// steerable is the pipeline that somebody wants to steer.
func (s *Server) steerable(r *http.Request, id int64) (*models.Pipeline, error) {
	if s.Steering == nil {
		return nil, noSteering()
	}
	if viewer := viewerOf(r); viewer != nil { // before it is noted once more that they may not
		if err := s.withinLimit(r, viewer); err != nil {
			return nil, err
		}
	}
	return s.Store.Pipeline(r.Context(), id)
}

// steerer is who asks for something with steps of a pipeline, if they may. That
// they may not is noted.
func (s *Server) steerer(r *http.Request, right models.Right, action string, p *models.Pipeline, steps ...*models.Step) (jobs.Requester, error) {
	verdict := s.mayOn(r, right, p, steps...)
	if verdict.Unknown {
		return jobs.Requester{}, &refusal{status: http.StatusServiceUnavailable, retry: 10 * time.Second, detail: verdict.Reason + " " + verdict.HowTo}
	}
	viewer := viewerOf(r)
	if err := s.refused(r, verdict); err != nil {
		if no, ok := errors.AsType[*refusal](err); ok && viewer == nil {
			no.status = http.StatusUnauthorized
		}
		return jobs.Requester{}, s.noteRefusal(r, err, action, pipelineObject(p))
	}
	return jobs.Requester{Actor: viewer.Login, UserID: viewer.ID, Via: viaOf(r)}, nil
}

func pipelineObject(p *models.Pipeline) string {
	if p.Project == nil {
		return fmt.Sprintf("pipeline %d", p.ID)
	}
	return fmt.Sprintf("pipeline %d of %s", p.ID, p.Project.Path())
}

// withinLimit refuses those who did too much lately. All processes count
// together, by the audit log.
func (s *Server) withinLimit(r *http.Request, viewer *models.Viewer) error {
	at, err := s.Store.ActedAt(r.Context(), viewer.ID, models.UserActions)
	if err != nil {
		return err
	}
	if until := models.Until(at, store.Now()); !until.IsZero() {
		return models.TooManyActions(until)
	}
	return nil
}

// viaOf is the door that a request came by.
func viaOf(r *http.Request) models.AuditVia {
	if viewer := viewerOf(r); visitOf(r).api || viewer != nil && viewer.ByToken {
		return models.ViaAPI
	}
	return models.ViaButton
}

// mayOn decides whether the reader has a right to a pipeline: to all of it, or
// to these steps of it.
func (s *Server) mayOn(r *http.Request, right models.Right, p *models.Pipeline, steps ...*models.Step) models.Verdict {
	return s.Rights.May(r.Context(), viewerOf(r), right, p, steps...)
}

// noteNothing notes that somebody who may asked in vain, and returns why.
func (s *Server) noteNothing(r *http.Request, why error, action string, p *models.Pipeline) error {
	reason := s.inVain(why)
	if reason == nil || reason.status == http.StatusTooManyRequests { // the log is what is counted
		return why
	}
	viewer := viewerOf(r)
	err := s.Store.InTx(r.Context(), func(tx *store.Tx) error {
		return tx.Audit(r.Context(), &models.AuditEntry{
			Actor: viewer.Login, UserID: viewer.ID, Via: viaOf(r), Action: action, Object: pipelineObject(p), ProjectID: p.ProjectID,
			Detail: map[string]string{"reason": clip(reason.detail, 500)}, Result: models.AuditNothing,
		})
	})
	return errors.Join(why, err)
}

// inVain is the answer to an error that says why nothing was started or stopped;
// nil if err is about something else.
func (s *Server) inVain(err error) *refusal {
	if faster, ok := errors.AsType[*models.ConflictError](err); ok {
		return &refusal{
			status: http.StatusConflict, detail: fmt.Sprintf("Somebody was faster: the newest attempt is number %d now.", faster.Attempt),
			near: []views.Link{{Text: fmt.Sprintf("Attempt %d, pipeline %d", faster.Attempt, faster.Pipeline), URL: views.PipelineURL(faster.Pipeline)}},
		}
	}
	if nothing, ok := errors.AsType[*models.NothingError](err); ok {
		return &refusal{status: http.StatusUnprocessableEntity, detail: nothing.Reason}
	}
	if bad, ok := errors.AsType[*models.ConfigError](err); ok {
		return &refusal{status: http.StatusUnprocessableEntity, detail: configProblem(bad)}
	}
	if denied, ok := errors.AsType[*models.NotAllowedError](err); ok {
		return &refusal{status: http.StatusForbidden, detail: denied.Reason}
	}
	if limit, ok := errors.AsType[*models.LimitError](err); ok {
		if limit.Until.IsZero() {
			return &refusal{status: http.StatusUnprocessableEntity, detail: limit.Reason}
		}
		return &refusal{status: http.StatusTooManyRequests, detail: limit.Reason, retry: max(time.Second, limit.Until.Sub(store.Now()).Round(time.Second))}
	}
	return nil
}

func configProblem(e *models.ConfigError) string {
	what := "The config as it is now cannot be used."
	if e.File != "" {
		what = "The config as it is now, " + e.File + ", cannot be used."
	}
	return what + " " + strings.Join(e.Problems, " ")
}
