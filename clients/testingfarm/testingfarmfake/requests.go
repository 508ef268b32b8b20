package testingfarmfake

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"slices"
	"time"

	"millrace/clients/testingfarm"
	"millrace/clients/wire"
)

// Ending is how a request ends.
type Ending string

// The endings.
const (
	Passes    Ending = "passed"
	Fails     Ending = "failed"  // a test says no
	Errs      Ending = "error"   // a test could not be run
	Skips     Ending = "skipped" // no test applies
	FarmFails Ending = "farm"    // no machine: state error, and no result
)

// Rule decides about requests that it fits. Empty fields fit everything, the
// others are shell patterns; the first rule that fits a new request counts.
// Without one a request passes.
type Rule struct {
	URL     string // of the tests' repository; a pattern's * stops at slashes
	Plan    string // what test.tmt.name says
	Compose string
	Arch    string

	Ending Ending
	// Queue replaces the pace's time in the queue, if it is not 0.
	Queue time.Duration
	// NoXUnit leaves the results out of the answer, as for big runs: they are
	// only in the artifacts. NoResult leaves out result and run as well.
	NoXUnit, NoResult bool
	// Summary is the farm's sentence about the ending; "" means a usual one.
	Summary string
}

func (r Rule) fits(p payload) bool {
	test := p.test()
	e := p.Environments[0]
	for _, c := range []struct{ pattern, value string }{
		{r.URL, test.URL}, {r.Plan, test.Name}, {r.Compose, e.OS.Compose}, {r.Arch, e.Arch},
	} {
		if c.pattern == "" {
			continue
		}
		if fits, err := path.Match(c.pattern, c.value); !fits || err != nil {
			return false
		}
	}
	return true
}

// SetRules replaces the rules. Requests that exist keep theirs.
func (s *Server) SetRules(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = slices.Clone(rules)
}

// record is a request as it is kept. What it is like follows from the time.
type record struct {
	ID       string          `json:"id"`
	Token    string          `json:"token"` // who made it, as an identity
	User     string          `json:"user"`
	Ranch    string          `json:"ranch"`
	Key      string          `json:"key"`
	Payload  json.RawMessage `json:"payload"`
	Rule     Rule            `json:"rule"`
	Created  time.Time       `json:"created"`
	QueuedAt time.Time       `json:"queued_at"`
	StartAt  time.Time       `json:"start_at"`
	EndAt    time.Time       `json:"end_at"`
	CancelAt time.Time       `json:"cancel_at"` // zero: nobody asked
	// Told is the last state that the webhook was told of.
	Told testingfarm.State `json:"told"`
}

type payload struct {
	Test struct {
		TMT *wireTest `json:"tmt"`
		FMF *wireTest `json:"fmf"`
	} `json:"test"`
	Environments []struct {
		Arch string `json:"arch"`
		OS   struct {
			Compose string `json:"compose"`
		} `json:"os"`
		Variables map[string]any `json:"variables"`
	} `json:"environments"`
	Notification struct {
		Webhook struct {
			URL   string `json:"url"`
			Token string `json:"token"`
		} `json:"webhook"`
	} `json:"notification"`
	Settings json.RawMessage `json:"settings"`
}

type wireTest struct {
	URL  string `json:"url"`
	Ref  string `json:"ref"`
	Path string `json:"path"`
	Name string `json:"name"`
}

func (p payload) test() wireTest {
	switch {
	case p.Test.TMT != nil:
		return *p.Test.TMT
	case p.Test.FMF != nil:
		return *p.Test.FMF
	}
	return wireTest{}
}

func (rec *record) payload() payload {
	var p payload
	// It was decoded once before it was stored.
	_ = json.Unmarshal(rec.Payload, &p)
	return p
}

// cancelTakes is how long a cancelled request goes on.
const cancelTakes = 50 * time.Millisecond

func (rec *record) state(now time.Time) testingfarm.State {
	if !rec.CancelAt.IsZero() && rec.CancelAt.Before(rec.EndAt) {
		if now.Before(rec.CancelAt.Add(cancelTakes)) {
			return testingfarm.CancelRequested
		}
		return testingfarm.Canceled
	}
	switch {
	case now.Before(rec.QueuedAt):
		return testingfarm.New
	case now.Before(rec.StartAt):
		return testingfarm.Queued
	case now.Before(rec.EndAt):
		return testingfarm.Running
	case rec.Rule.Ending == FarmFails:
		return testingfarm.Failed
	}
	return testingfarm.Complete
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	token, ranch, ok := s.caller(r)
	if !ok || token == "" {
		refuse(w, http.StatusUnauthorized, "Not authorized to perform this action")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "The request is too large")
		return
	}
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		refuse(w, http.StatusBadRequest, "The browser (or proxy) sent a request that this server could not understand.")
		return
	}
	if problems := p.problems(ranch); len(problems) > 0 {
		answer(w, http.StatusBadRequest, map[string]any{"errors": problems, "message": "Input payload validation failed"})
		return
	}
	rec := s.record(token, ranch, p, body)
	s.mu.Lock()
	s.apply(rec, p)
	first := s.faults.NotifyBeforeAnswer
	if first {
		rec.Told = testingfarm.New
	}
	err = s.save(rec)
	if err == nil {
		s.requests[rec.ID] = rec
	}
	lost := err == nil && spend(&s.faults.LoseAnswers)
	response := map[string]any{
		"id": rec.ID, "test": answeredTest(p), "notification": raw(body, "notification"),
		"settings": raw(body, "settings"), "created": stamp(rec.Created), "updated": stamp(rec.Created),
	}
	s.mu.Unlock()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	if first {
		s.notify(r.Context(), rec.ID, p)
	}
	s.nudge()
	if lost {
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
	answer(w, http.StatusOK, response)
}

func (s *Server) record(token, ranch string, p payload, body []byte) *record {
	rec := &record{
		ID: wire.NewUUID(), Token: identity("token", token), User: identity("user", token), Ranch: ranch,
		Payload: body, Created: s.config.Now().UTC(),
	}
	rec.Key, _ = p.Environments[0].Variables[testingfarm.KeyVariable].(string)
	return rec
}

// apply decides how a new request goes on. It is called with s.mu held.
func (s *Server) apply(rec *record, p payload) {
	rec.Rule = Rule{Ending: Passes}
	if i := slices.IndexFunc(s.rules, func(r Rule) bool { return r.fits(p) }); i >= 0 {
		rec.Rule = s.rules[i]
	}
	compose := p.Environments[0].OS.Compose
	if compose != "" && !s.hasCompose(rec.Ranch, compose) {
		rec.Rule.Ending, rec.Rule.Summary = FarmFails, "Compose '"+compose+"' not found"
	}
	pace := s.config.Pace
	if rec.Rule.Queue > 0 {
		pace.Queued = rec.Rule.Queue
	}
	rec.QueuedAt = rec.Created.Add(pace.New)
	rec.StartAt = rec.QueuedAt.Add(pace.Queued)
	rec.EndAt = rec.StartAt.Add(pace.Running)
}

func (s *Server) hasCompose(ranch, compose string) bool {
	return slices.ContainsFunc(s.config.Composes[ranch], func(name string) bool {
		matched, err := regexp.MatchString("^(?:"+name+")$", compose)
		return name == compose || err == nil && matched
	})
}

// problems lists what is wrong with a submission, in the shape of the real
// farm's answer.
func (p payload) problems(ranch string) map[string]any {
	if p.Test.TMT == nil && p.Test.FMF == nil {
		return map[string]any{"test": "one of fmf, tmt, sti is required"}
	}
	if p.test().URL == "" {
		return map[string]any{"test": map[string]any{"tmt": map[string]any{"url": "missing data for required field"}}}
	}
	if len(p.Environments) == 0 {
		return map[string]any{"environments": "at least one is required"}
	}
	wrong := map[string]any{}
	for i, e := range p.Environments {
		if !testingfarm.HasArchitecture(ranch, e.Arch) {
			wrong[fmt.Sprint(i)] = map[string]any{"arch": fmt.Sprintf("%q is not a supported architecture", e.Arch)}
		}
	}
	if len(wrong) > 0 {
		return map[string]any{"environments": wrong}
	}
	return nil
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	rec, status := s.find(r)
	if status != 0 {
		refuse(w, status, http.StatusText(status))
		return
	}
	answer(w, http.StatusOK, s.describe(&rec, s.base(r)))
}

// find returns a copy of the request that a call is about, or the status with
// which to refuse: a token sees only its own.
func (s *Server) find(r *http.Request) (record, int) {
	token, _, ok := s.caller(r)
	if !ok {
		return record{}, http.StatusUnauthorized
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.requests[r.PathValue("id")]
	switch {
	case rec == nil:
		return record{}, http.StatusNotFound
	case token != "" && rec.Token != identity("token", token):
		return record{}, http.StatusForbidden
	}
	return *rec, 0
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	token, _, ok := s.caller(r)
	if !ok {
		refuse(w, http.StatusUnauthorized, "Not authorized")
		return
	}
	query := r.URL.Query()
	after, err1 := queryTime(query.Get("created_after"))
	before, err2 := queryTime(query.Get("created_before"))
	if err1 != nil || err2 != nil {
		refuse(w, http.StatusBadRequest, "created_after and created_before want ISO 8601")
		return
	}
	s.mu.Lock()
	all := s.sorted()
	s.mu.Unlock()
	now := s.config.Now()
	list := []any{}
	for i := range all {
		rec := &all[i]
		switch {
		case token != "" && rec.Token != identity("token", token),
			query.Has("state") && query.Get("state") != string(rec.state(now)),
			query.Has("user_id") && query.Get("user_id") != rec.User,
			query.Has("token_id") && query.Get("token_id") != rec.Token,
			query.Has("ranch") && query.Get("ranch") != rec.Ranch,
			!after.IsZero() && rec.Created.Before(after),
			!before.IsZero() && rec.Created.After(before):
			continue
		}
		list = append(list, s.describe(rec, s.base(r)))
	}
	if len(list) == 0 {
		answer(w, http.StatusOK, nil)
		return
	}
	answer(w, http.StatusOK, list)
}

func queryTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse("2006-01-02T15:04:05", text)
}

func (s *Server) cancelRequest(w http.ResponseWriter, r *http.Request) {
	token, _, _ := s.caller(r)
	if token == "" {
		refuse(w, http.StatusUnauthorized, "Not authorized")
		return
	}
	found, status := s.find(r)
	if status != 0 {
		refuse(w, status, http.StatusText(status))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.requests[found.ID]
	now := s.config.Now().UTC()
	switch rec.state(now) {
	case testingfarm.Canceled, testingfarm.CancelRequested:
		w.WriteHeader(http.StatusNoContent)
		return
	case testingfarm.Complete, testingfarm.Failed:
		refuse(w, http.StatusConflict, "The request is already finished")
		return
	}
	rec.CancelAt = now
	if err := s.save(rec); err != nil {
		rec.CancelAt = time.Time{}
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.nudge()
	answer(w, http.StatusOK, map[string]any{"id": rec.ID, "state": testingfarm.CancelRequested})
}

// stamp writes a time as the farm does: with a blank, microseconds, no zone.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000") }

// identity is the UUID of a token or of its user: always the same, and the
// token cannot be read from it.
func identity(kind, token string) string {
	b := sha256.Sum256([]byte(kind + "\x00" + token))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
