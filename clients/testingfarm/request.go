package testingfarm

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"millrace/clients/httpx"
)

// State is where a request stands, in Testing Farm's words.
type State string

// The states. A word that is not among them is treated as Running: the request
// is asked about again until it ends.
const (
	New             State = "new"
	Queued          State = "queued"
	Running         State = "running"
	Complete        State = "complete"
	Failed          State = "error" // the farm could not run the tests
	CancelRequested State = "cancel-requested"
	Canceled        State = "canceled"
)

// Finished reports whether no state can follow s.
func (s State) Finished() bool { return s == Complete || s == Failed || s == Canceled }

// Outcome is what a request means for who wants to know how the tests went.
type Outcome string

// The outcomes.
const (
	OutcomeQueued   Outcome = "queued"
	OutcomeRunning  Outcome = "running"
	OutcomePassed   Outcome = "passed"
	OutcomeFailed   Outcome = "failed" // the tests said no
	OutcomeError    Outcome = "error"  // it could not be found out
	OutcomeSkipped  Outcome = "skipped"
	OutcomeCanceled Outcome = "canceled"
)

// Request is what Testing Farm knows about a submission.
type Request struct {
	ID      string
	State   State
	Overall string // passed, failed, skipped, error, unknown; "" before the end
	// Summary says in the farm's words why it ended so. It is the first note
	// if the result, which may be missing even at the end, says nothing.
	Summary   string
	XUnit     string // results as XML; "" if they must be fetched, see Client.Results
	Artifacts string // URL of logs and results; "" until they exist

	TestURL, TestRef string
	Environments     []RequestedEnvironment

	Created           time.Time     // UTC
	QueuedFor, RanFor time.Duration // 0 until known
}

// RequestedEnvironment is an environment as it was submitted.
type RequestedEnvironment struct {
	Arch, Compose string
	Variables     map[string]any
	Artifacts     []Artifact
}

// Key is the key of the submission that made the request, "" if it had none.
func (r *Request) Key() string {
	for _, e := range r.Environments {
		if key, ok := e.Variables[KeyVariable].(string); ok {
			return key
		}
	}
	return ""
}

// Result is one word for state and overall result: the latter once there is
// one, the state otherwise.
func (r *Request) Result() string {
	if r.State == Complete || r.State == Failed {
		return cmp.Or(r.Overall, string(r.State))
	}
	return string(r.State)
}

// Outcome reads the request's state and result. It is an error if the farm
// failed, and if it finished but does not say how.
func (r *Request) Outcome() Outcome {
	switch r.State {
	case New, Queued:
		return OutcomeQueued
	case Canceled:
		return OutcomeCanceled
	case Failed:
		return OutcomeError
	case Complete:
	default:
		return OutcomeRunning
	}
	switch r.Overall {
	case "passed":
		return OutcomePassed
	case "failed", "needs_inspection": // the latter is an older name for tests that failed
		return OutcomeFailed
	case "skipped":
		return OutcomeSkipped
	}
	return OutcomeError
}

type wireRequest struct {
	ID    string `json:"id"`
	State State  `json:"state"`
	Test  struct {
		FMF *wireTest `json:"fmf"` // the answer's name for what was sent as tmt
		TMT *wireTest `json:"tmt"`
	} `json:"test"`
	Environments []struct {
		Arch string `json:"arch"`
		OS   *struct {
			Compose string `json:"compose"`
		} `json:"os"`
		Variables map[string]any `json:"variables"`
		Artifacts []Artifact     `json:"artifacts"`
	} `json:"environments_requested"`
	Notes []struct {
		Message string `json:"message"`
	} `json:"notes"`
	Result *struct {
		Overall string `json:"overall"`
		Summary string `json:"summary"`
		XUnit   string `json:"xunit"`
	} `json:"result"`
	Run *struct {
		Artifacts string `json:"artifacts"`
	} `json:"run"`
	Created    wireTime `json:"created"`
	QueuedTime float64  `json:"queued_time"` // seconds
	RunTime    float64  `json:"run_time"`
}

type wireTest struct {
	URL string `json:"url"`
	Ref string `json:"ref"`
}

// maxSummary is enough for a sentence from the farm; its logs have the rest.
const maxSummary = 2000

func (w *wireRequest) request() (*Request, error) {
	if !validID(w.ID) {
		return nil, fmt.Errorf("the request's id %.80q is not one", w.ID)
	}
	r := &Request{
		ID:        w.ID,
		State:     w.State,
		Created:   w.Created.Time,
		QueuedFor: seconds(w.QueuedTime),
		RanFor:    seconds(w.RunTime),
	}
	if w.Result != nil {
		r.Overall, r.Summary, r.XUnit = w.Result.Overall, w.Result.Summary, w.Result.XUnit
	}
	if r.Summary == "" && len(w.Notes) > 0 {
		r.Summary = w.Notes[0].Message
	}
	r.Summary = httpx.Clean(r.Summary, maxSummary)
	if w.Run != nil && isWebURL(w.Run.Artifacts) {
		r.Artifacts = w.Run.Artifacts
	}
	if test := cmp.Or(w.Test.FMF, w.Test.TMT); test != nil {
		r.TestURL, r.TestRef = test.URL, test.Ref
	}
	for _, e := range w.Environments {
		env := RequestedEnvironment{Arch: e.Arch, Variables: e.Variables, Artifacts: e.Artifacts}
		if e.OS != nil {
			env.Compose = e.OS.Compose
		}
		r.Environments = append(r.Environments, env)
	}
	return r, nil
}

// seconds bounds what it converts, so that no number of the farm's overflows.
func seconds(s float64) time.Duration {
	const most = 365 * 24 * 3600
	return time.Duration(max(0, min(s, most)) * float64(time.Second))
}

// wireTime reads ISO 8601 with a blank or T in the middle, with or without
// fractions; without a zone it is UTC. A time that cannot be read is zero: it
// is no reason to lose the result.
type wireTime struct{ time.Time }

func (t *wireTime) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return nil
	}
	text = strings.Replace(text, " ", "T", 1)
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			t.Time = at.UTC()
			return nil
		}
	}
	return nil
}

var idPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,63}$`)

// validID keeps ids, which become parts of URLs, to what UUIDs are made of.
func validID(id string) bool { return idPattern.MatchString(id) }

func isWebURL(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

// MaxNotification is the size in bytes above which a notification is refused.
const MaxNotification = 64 << 10

// ParseNotification reads what Testing Farm posts to a request's webhook. It
// says only that the request has changed: compare the token in constant time
// with the one of the submission, then ask for the request. The token is "" if
// there is none.
func ParseNotification(body []byte) (requestID, token string, err error) {
	if len(body) > MaxNotification {
		return "", "", errors.New("reading the notification: it is too large")
	}
	var n struct {
		RequestID string `json:"request_id"`
		Token     string `json:"token"`
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return "", "", fmt.Errorf("reading the notification: %w", err)
	}
	if !validID(n.RequestID) {
		return "", "", fmt.Errorf("reading the notification: %.80q is not a request's id", n.RequestID)
	}
	return n.RequestID, n.Token, nil
}
