package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/testingfarm"
	"millrace/models"
)

// Tests runs tests in Testing Farm: one request for each target.
type Tests struct {
	Client     *testingfarm.Client
	Forge      func(p *models.Project) (Forge, error)
	Releases   func(context.Context) (models.Releases, error)
	Webhook    testingfarm.Webhook // told of changes
	Ranch      string              // where tests run that do not ask for the internal one: public
	Internal   map[string]bool     // projects, by path, that may use the internal ranch
	Inside     *testingfarm.Client // speaks for the internal ranch; nil: nobody may use it
	Deployment string              // ours, for tmt's context
	Install    testingfarm.Test    // tests the installation, for projects without tests of their own

	// Login is the login that who asked for a pipeline on our pages has at the
	// project's forge, empty if they have none that can be believed; nil: nobody
	// knows.
	Login func(ctx context.Context, p *models.Pipeline) (string, error)

	public, internal remembered // composes of each ranch
}

// Submit is part of Kind.
func (k *Tests) Submit(ctx context.Context, w *Work) (Outcome, error) {
	run := w.Runs[0]
	submission, err := k.submission(ctx, w, run)
	if skip, ok := errors.AsType[*skipped](err); ok {
		return everyRun(w, models.Skipped, skip.reason), nil
	}
	if err != nil {
		return Outcome{}, err
	}
	request, err := k.submit(ctx, w, submission)
	if err != nil {
		return Outcome{}, k.refused(err)
	}
	data := run.Data
	data.Compose, data.Plan = submission.Environments[0].Compose, submission.Test.Name
	return Outcome{ExternalID: request.ID, Waiting: true, Runs: []Update{{
		Run: run, State: models.Queued, Reason: "Tests have been submitted ...", ExternalID: request.ID, Data: &data,
	}}}, nil
}

// submit sends the request, unless an earlier try has.
func (k *Tests) submit(ctx context.Context, w *Work, s testingfarm.Submission) (*testingfarm.Request, error) {
	if w.Group.Epoch > 1 {
		found, err := k.client(w).FindRequest(ctx, w.Group.Key, w.Group.CreatedAt.Add(-5*time.Minute))
		if err != nil || found != nil {
			return found, err
		}
	}
	return k.client(w).Create(ctx, s)
}

func (k *Tests) refused(err error) error {
	switch status := httpx.Status(err); {
	case temporary(err):
		return err
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return broken(err, "Testing Farm does not accept this service's token; an operator must renew it.")
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		if e, ok := errors.AsType[*httpx.Error](err); ok && e.Message != "" {
			return fail("Failed to submit tests: %s", sentence(e.Message))
		}
	}
	return broken(err, "Failed to submit tests: %s", inWords(err))
}

// skipped is a reason not to run a test that is nobody's failure.
type skipped struct{ reason string }

func (s *skipped) Error() string { return s.reason }

// Poll is part of Kind.
func (k *Tests) Poll(ctx context.Context, w *Work) (Outcome, error) {
	request, err := k.client(w).Request(ctx, w.Group.ExternalID)
	if httpx.Status(err) == http.StatusNotFound {
		return everyRun(w, models.Error, "Testing Farm no longer knows the request."), nil
	}
	if err != nil {
		return Outcome{}, err
	}
	run := w.Runs[0]
	data := run.Data
	data.ServiceState = request.Result()
	u := Update{Run: run, ExternalURL: request.Artifacts, Data: &data}
	switch request.Outcome() {
	case testingfarm.OutcomeQueued:
		u.State, u.Reason = models.Queued, "Tests have been submitted ..."
	case testingfarm.OutcomeRunning:
		u.State = models.Running
	case testingfarm.OutcomePassed:
		u.State = models.Passed
	case testingfarm.OutcomeFailed:
		u.State, u.Reason = models.Failed, request.Summary
	case testingfarm.OutcomeCanceled:
		u.State, u.Reason = models.Canceled, firstWord(request.Summary, "The tests were canceled in Testing Farm.")
	case testingfarm.OutcomeSkipped:
		u.State, u.Reason = models.Skipped, firstWord(request.Summary, "Testing Farm skipped the tests.")
	default:
		u.State, u.Reason = models.Error, firstWord(request.Summary, "Testing Farm could not run the tests.")
	}
	if u.State.Finished() {
		k.summarize(ctx, request, &u)
		if u.LogURL == "" && request.Artifacts != "" {
			u.LogURL = strings.TrimSuffix(request.Artifacts, "/") + "/pipeline.log"
		}
	}
	return Outcome{Runs: []Update{u}}, nil
}

func firstWord(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

// summarize adds the results of a finished request. They help, but the request
// has ended without them too.
func (k *Tests) summarize(ctx context.Context, request *testingfarm.Request, u *Update) {
	results, err := k.Client.Results(ctx, request)
	if err != nil {
		u.Data.Notes = append(slices.Clone(u.Data.Notes), "The results could not be fetched from Testing Farm.")
		return
	}
	summary, err := testingfarm.Summarize(results)
	if err != nil {
		u.Data.Notes = append(slices.Clone(u.Data.Notes), "The results of Testing Farm could not be read.")
		return
	}
	u.Data.Tests = &models.TestSummary{
		Passed: summary.Tests.Passed, Failed: summary.Tests.Failed, Errors: summary.Tests.Error,
		Skipped: summary.Tests.Skipped, First: summary.Failing,
	}
	u.Data.Artifacts = nil
	for _, log := range summary.Logs {
		u.Data.Artifacts = append(u.Data.Artifacts, models.Artifact{Name: strings.TrimSpace(log.Of + " " + log.Name), URL: log.URL})
		if u.LogURL == "" && (strings.HasSuffix(log.URL, ".txt") || strings.HasSuffix(log.URL, ".log")) {
			u.LogURL = log.URL
		}
	}
}

// Cancel is part of Kind.
func (k *Tests) Cancel(ctx context.Context, w *Work) error {
	id := w.Group.ExternalID
	if id == "" {
		found, err := k.client(w).FindRequest(ctx, w.Group.Key, w.Group.CreatedAt.Add(-5*time.Minute))
		if err != nil || found == nil {
			return err
		}
		id = found.ID
	}
	return k.client(w).Cancel(ctx, id)
}

// FetchLog is part of logFetcher.
func (k *Tests) FetchLog(ctx context.Context, run *models.Run, limit int) ([]byte, int64, error) {
	text, err := k.Client.Artifact(ctx, run.LogURL, int64(limit))
	if errors.Is(err, httpx.ErrTooLarge) {
		return fmt.Appendf(nil, "[The log is longer than the %d bytes that are kept here. It is at %s]\n", limit, run.LogURL), 0, nil
	}
	return text, 0, err
}
