package handlers

import (
	"net/http"
	"time"

	"millrace/models"
	"millrace/views"
)

// Hook is a hook of a project, without its secret.
type Hook struct {
	ID           int64                    `json:"id"`
	Project      string                   `json:"project" doc:"forge/namespace/name"`
	URL          string                   `json:"url" doc:"where it is sent"`
	Topics       []models.Topic           `json:"topics"`
	State        models.SubscriptionState `json:"state" doc:"on, off"`
	Reason       string                   `json:"reason" doc:"why it is off; may be empty"`
	FailingSince *time.Time               `json:"failing_since" doc:"since when nothing arrived"`
	Rotating     bool                     `json:"rotating" doc:"the secret before the last change signs too"`
	RotatedAt    *time.Time               `json:"rotated_at" doc:"when that change began"`
	By           string                   `json:"by" doc:"login of who made it; may be empty"`
	Last         *Dispatch                `json:"last" doc:"the newest dispatch"`
	HTMLURL      string                   `json:"html_url"`
	CreatedAt    *time.Time               `json:"created_at"`
	UpdatedAt    *time.Time               `json:"updated_at"`
}

// HookSecret is a hook with its secret, which is told once.
type HookSecret struct {
	Hook
	Secret string `json:"secret" doc:"told only now"`
}

// HookBody asks for a hook.
type HookBody struct {
	URL    string         `json:"url" minLength:"1" maxLength:"1000" doc:"https, without a login in it"`
	Topics []models.Topic `json:"topics" minItems:"1" maxItems:"8" nullable:"false" enum:"pipeline.created,pipeline.finished,step.finished,run.finished,rerun.requested,pull_request.changed,build.changed,update.changed"`
	Secret string         `json:"secret,omitempty" maxLength:"200" doc:"that signs the messages; without one the service makes one"`
}

// HookChange changes a hook. What is not named stays as it is.
type HookChange struct {
	URL    string                   `json:"url,omitempty" maxLength:"1000"`
	Topics []models.Topic           `json:"topics,omitempty" minItems:"1" maxItems:"8" nullable:"false" enum:"pipeline.created,pipeline.finished,step.finished,run.finished,rerun.requested,pull_request.changed,build.changed,update.changed"`
	State  models.SubscriptionState `json:"state,omitempty" enum:"on,off"`
}

// SecretBody changes the secret of a hook, or finishes that.
type SecretBody struct {
	Secret string `json:"secret,omitempty" maxLength:"200" doc:"the new one; without one the service makes one"`
	Finish bool   `json:"finish,omitempty" doc:"all receivers know the new one: the one before signs no more"`
}

// Dispatch is something that happened on its way to a hook.
type Dispatch struct {
	ID         int64                `json:"id"`
	Key        string               `json:"key" doc:"by which the receiver tells repeats: webhook-id"`
	Topic      models.Topic         `json:"topic"`
	Result     string               `json:"result" doc:"state of what happened"`
	Title      string               `json:"title"`
	State      models.DispatchState `json:"state" doc:"waiting, arrived, failed"`
	Tries      int                  `json:"tries"`
	Error      string               `json:"error" doc:"of the last try"`
	NextTryAt  *time.Time           `json:"next_try_at"`
	CreatedAt  *time.Time           `json:"created_at"`
	FinishedAt *time.Time           `json:"finished_at"`
	HTMLURL    string               `json:"html_url"`
}

// DispatchDetail is a dispatch with what was sent and what came back.
type DispatchDetail struct {
	Dispatch
	Body     string        `json:"body" doc:"as it is sent; empty before the first try"`
	Attempts []DispatchTry `json:"attempts" doc:"newest first"`
}

// DispatchTry is a try to hand over a dispatch.
type DispatchTry struct {
	At      *time.Time `json:"at"`
	By      string     `json:"by" doc:"login of who asked for it; empty: nobody did"`
	Seconds float64    `json:"seconds" doc:"that it took"`
	Status  int        `json:"status" doc:"0: no answer came"`
	Request string     `json:"request" doc:"headers that were sent"`
	Answer  string     `json:"answer" doc:"its beginning"`
	Error   string     `json:"error" doc:"empty: it arrived"`
}

func (s *Server) apiHook(p *models.Project, h *models.Subscription, last *models.Dispatch) Hook {
	out := Hook{
		ID: h.ID, Project: p.Path(), URL: h.URL, Topics: some(h.Topics), State: h.State, Reason: h.Reason, FailingSince: when(h.FailingSince),
		Rotating: h.SecretBefore != "", RotatedAt: when(h.RotatedAt), HTMLURL: s.Base + views.HookURL(p, h.ID), CreatedAt: when(h.CreatedAt), UpdatedAt: when(h.UpdatedAt),
	}
	if h.User != nil {
		out.By = h.User.Login
	}
	if last != nil {
		d := s.apiDispatch(p, last)
		out.Last = &d
	}
	return out
}

func (s *Server) apiDispatch(p *models.Project, d *models.Dispatch) Dispatch {
	out := Dispatch{
		ID: d.ID, Key: d.Key, State: d.State, Tries: d.Tries, Error: d.Error, NextTryAt: when(d.NotBefore), CreatedAt: when(d.CreatedAt),
		FinishedAt: when(d.FinishedAt), HTMLURL: s.Base + views.DispatchURL(p, d.SubscriptionID, d.ID),
	}
	if h := d.Happening; h != nil {
		out.Topic, out.Result, out.Title = h.Topic, h.State, h.Title
	}
	return out
}

func apiTry(t *models.DispatchTry) DispatchTry {
	return DispatchTry{when(t.At), t.AskedBy, t.Took().Seconds(), t.Status, t.Request, t.Answer, t.Error}
}

// hookPath and dispatchPath are those of the API.
func hookPath(p *models.Project, hookID int64) string {
	return views.ProjectURL(p) + "/-/hooks/" + decimal(hookID)
}

func dispatchPath(p *models.Project, hookID, dispatchID int64) string {
	return hookPath(p, hookID) + "/dispatches/" + decimal(dispatchID)
}

// takeHook makes a hook.
func (s *Server) takeHook(w http.ResponseWriter, r *http.Request, p *models.Project) error {
	body, err := readBody[HookBody](s, w, r)
	if err != nil {
		return err
	}
	hook, err := s.newHook(r, p, views.HookEntry{URL: body.URL, Topics: body.Topics, Secret: body.Secret})
	if err != nil {
		return err
	}
	return s.sendMade(w, r, http.StatusCreated, hookPath(p, hook.ID), HookSecret{s.apiHook(p, hook, nil), hook.Secret})
}

// putHook changes a hook.
func (s *Server) putHook(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	body, err := readBody[HookChange](s, w, r)
	if err != nil {
		return err
	}
	_, err = s.alterHook(r, p, hookID, "hook.save", func(hook *models.Subscription) error {
		if body.URL != "" {
			hook.URL = body.URL
		}
		if len(body.Topics) > 0 {
			hook.Topics = body.Topics
		}
		switch {
		case body.State == models.SubscriptionOn && !hook.On():
			hook.SwitchOn()
		case body.State == models.SubscriptionOff && hook.On():
			hook.SwitchOff("Somebody switched it off.")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.showHook(w, r, p, hookID)
}

// takeSecret changes the secret of a hook.
func (s *Server) takeSecret(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	if !visitOf(r).json {
		return noMethod(w, r)
	}
	body, err := readBody[SecretBody](s, w, r)
	if err != nil {
		return err
	}
	if body.Finish && body.Secret != "" {
		return wrongFields([]FieldProblem{{Field: "secret", Message: "a change is begun or finished, not both at once"}})
	}
	action := "hook.rotate"
	if body.Finish {
		action = "hook.finish"
	}
	hook, err := s.alterHook(r, p, hookID, action, func(hook *models.Subscription) error {
		if body.Finish {
			hook.FinishRotation()
			return nil
		}
		return rotate(hook, body.Secret)
	})
	if err != nil {
		return err
	}
	out := HookSecret{Hook: s.apiHook(p, hook, nil)}
	if !body.Finish {
		out.Secret = hook.Secret
	}
	return s.writeJSON(w, r, out)
}

// takeHookEnd deletes a hook.
func (s *Server) takeHookEnd(w http.ResponseWriter, r *http.Request, p *models.Project, hookID int64) error {
	if err := s.removeHook(r, p, hookID); err != nil {
		return err
	}
	return sendNothing(w)
}
