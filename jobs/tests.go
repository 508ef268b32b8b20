package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	Deployment string              // ours, for tmt's context
	Install    testingfarm.Test    // tests the installation, for projects without tests of their own

	mu       sync.Mutex // above composes
	composes map[string]composeList
}

type composeList struct {
	names []string
	at    time.Time
}

// composesFresh is for how long a ranch's list of composes is believed.
const composesFresh = 10 * time.Minute

// Submit is part of Kind.
func (k *Tests) Submit(ctx context.Context, w *Work) (Outcome, error) {
	run := w.Runs[0]
	environment, err := k.environment(ctx, w, run)
	if skip, ok := errors.AsType[*skipped](err); ok {
		return everyRun(w, models.Skipped, skip.reason), nil
	}
	if err != nil {
		return Outcome{}, err
	}
	test, err := k.test(ctx, w, &environment)
	if err != nil {
		return Outcome{}, err
	}
	request, err := k.submit(ctx, w, testingfarm.Submission{
		Key: w.Group.Key, Test: test, Environments: []testingfarm.Environment{environment},
		Webhook: k.Webhook, Extra: w.View.TFExtraParams,
	})
	if err != nil {
		return Outcome{}, k.refused(err)
	}
	data := run.Data
	data.Compose, data.Plan = environment.Compose, test.Name
	return Outcome{ExternalID: request.ID, Waiting: true, Runs: []Update{{
		Run: run, State: models.Queued, Reason: "Tests have been submitted ...", ExternalID: request.ID, Data: &data,
	}}}, nil
}

// submit sends the request, unless an earlier try has.
func (k *Tests) submit(ctx context.Context, w *Work, s testingfarm.Submission) (*testingfarm.Request, error) {
	if w.Group.Epoch > 1 {
		found, err := k.Client.FindRequest(ctx, w.Group.Key, w.Group.CreatedAt.Add(-5*time.Minute))
		if err != nil || found != nil {
			return found, err
		}
	}
	return k.Client.Create(ctx, s)
}

func (k *Tests) refused(err error) error {
	if temporary(err) {
		return err
	}
	return fail("Failed to submit tests: %s", inWords(err))
}

// skipped is a reason not to run a test that is nobody's failure.
type skipped struct{ reason string }

func (s *skipped) Error() string { return s.reason }

// ranch is the part of Testing Farm that the job runs in.
func (k *Tests) ranch(w *Work) (string, error) {
	if !w.View.UseInternalTF {
		return k.Ranch, nil
	}
	if !k.Internal[w.Pipeline.Project.Path()] {
		return "", &skipped{"Internal TF not allowed for this project. Let us know."}
	}
	return "redhat", nil
}

// environment is the machine that the tests of a run want, with the packages
// that were built for them.
func (k *Tests) environment(ctx context.Context, w *Work, run *models.Run) (testingfarm.Environment, error) {
	var none testingfarm.Environment
	ranch, err := k.ranch(w)
	if err != nil {
		return none, err
	}
	distro, arch := testingfarm.SplitTarget(run.Target)
	if !testingfarm.HasArchitecture(ranch, arch) {
		return none, fail("%s", testingfarm.NoArchitecture(arch, ranch))
	}
	available, err := k.available(ctx, ranch)
	if err != nil {
		return none, err
	}
	compose, ok := testingfarm.Compose(distro, ranch, available)
	if !ok {
		return none, k.noCompose(ctx, w, distro, compose, ranch)
	}
	variables, artifact, err := k.variables(w, run)
	if err != nil {
		return none, err
	}
	e := testingfarm.Environment{
		Arch: arch, Compose: compose, Variables: variables,
		Context: map[string]string{
			"distro": distro, "arch": arch, "trigger": "commit", "initiator": "packit", "deployment": k.Deployment,
		},
	}
	if artifact != nil {
		e.Artifacts = []testingfarm.Artifact{*artifact}
	}
	if w.View.TFPostInstallScript != nil {
		e.PostInstallScript = *w.View.TFPostInstallScript
	}
	return e, nil
}

func (k *Tests) noCompose(ctx context.Context, w *Work, distro, compose, ranch string) error {
	if w.View.SkipMissingBranchedComposes {
		releases, err := k.Releases(ctx)
		if err != nil {
			return err
		}
		branched := releases.Chroots("fedora-development")
		if slices.ContainsFunc(branched, func(c string) bool { return strings.HasPrefix(c, distro+"-") }) && distro != "fedora-rawhide" {
			return &skipped{"Compose not yet available for " + distro + ". Skipping."}
		}
	}
	return fail("%s", testingfarm.NoCompose(compose, ranch))
}

func (k *Tests) available(ctx context.Context, ranch string) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if list, ok := k.composes[ranch]; ok && time.Since(list.at) < composesFresh {
		return list.names, nil
	}
	names, err := k.Client.Composes(ctx, ranch)
	if err != nil {
		return nil, err
	}
	if k.composes == nil {
		k.composes = map[string]composeList{}
	}
	k.composes[ranch] = composeList{names, time.Now()}
	return names, nil
}

// variables are what Packit's users expect in the environment of their tests,
// and the artifact to install, if something was built.
func (k *Tests) variables(w *Work, run *models.Run) (map[string]any, *testingfarm.Artifact, error) {
	p := w.Pipeline
	v := map[string]any{}
	set := func(name, value string) {
		if value != "" {
			v[name] = value
		}
	}
	set("PACKIT_FULL_REPO_NAME", p.Project.FullName())
	set("PACKIT_UPSTREAM_NAME", w.View.Upstream())
	set("PACKIT_UPSTREAM_URL", valueOr(w.View.UpstreamProjectURL, p.Project.URL))
	set("PACKIT_DOWNSTREAM_NAME", w.View.Downstream())
	if w.View.DistGitNamespace != nil {
		set("PACKIT_DOWNSTREAM_URL", strings.TrimSuffix(w.View.DistGitBaseURL, "/")+"/"+*w.View.DistGitNamespace+"/"+w.View.Downstream())
	}
	set("PACKIT_PACKAGE_NAME", w.View.Downstream())
	set("PACKIT_COMMIT_SHA", p.SHA)
	set("PACKIT_SOURCE_SHA", p.SHA)
	set("PACKIT_TARGET_BRANCH", p.Commit.TargetRef)
	set("PACKIT_SOURCE_URL", p.Commit.SourceURL)
	set("PACKIT_TARGET_URL", p.Project.URL)
	switch p.Kind {
	case models.PullRequestRef:
		set("PACKIT_PR_ID", p.Ref)
	case models.ReleaseRef:
		set("PACKIT_TAG_NAME", p.Ref)
	}
	if p.Event != nil && p.Event.Message != nil {
		set("PACKIT_SOURCE_BRANCH", p.Event.Message.Branch)
	}
	artifact, err := k.built(w, run, v)
	if err != nil {
		return nil, nil, err
	}
	for name, value := range w.View.Env {
		if value == nil {
			delete(v, name)
			continue
		}
		v[name] = plain(value)
	}
	return v, artifact, nil
}

// plain is a value of a config as a variable can carry it.
func plain(value any) any {
	switch value.(type) {
	case string, bool, int, int64, float64, json.Number:
		return value
	}
	return fmt.Sprint(value)
}

// built adds what is known of the build that the run follows.
func (k *Tests) built(w *Work, run *models.Run, v map[string]any) (*testingfarm.Artifact, error) {
	target := w.Target(run)
	if target == nil || len(w.Step.Needs) == 0 {
		return nil, nil
	}
	needed := w.Needed(target)
	if len(needed) == 0 {
		return nil, broken(nil, "The build that these tests follow is not part of the pipeline.")
	}
	build := needed[0].Run
	id, err := buildID(build.ExternalID)
	if err != nil {
		return nil, err
	}
	v["PACKIT_COPR_PROJECT"] = build.Data.CoprOwner + "/" + build.Data.CoprProject
	v["PACKIT_COPR_BUILD_ID"] = id
	v["PACKIT_COPR_RPMS"] = strings.Join(build.Data.Packages, " ")
	if build.LogURL != "" {
		v["PACKIT_BUILD_LOG_URL"] = build.LogURL
	}
	for _, step := range w.Pipeline.Steps {
		if step.Kind == models.SRPMStep && len(step.Targets) > 0 {
			data := step.Targets[0].Run.Data
			if data.SRPMURL != "" {
				v["PACKIT_SRPM_URL"] = data.SRPMURL
			}
			if data.NVR != "" {
				v["PACKIT_PACKAGE_NVR"] = data.NVR
			}
		}
	}
	if len(build.Data.Packages) == 0 {
		return nil, nil
	}
	return &testingfarm.Artifact{
		ID: strconv.FormatInt(id, 10) + ":" + build.Target, Type: testingfarm.CoprBuild, Packages: build.Data.Packages,
	}, nil
}

// test says where the tests are. A project without test metadata gets a test of
// the installation of what was built.
func (k *Tests) test(ctx context.Context, w *Work, e *testingfarm.Environment) (testingfarm.Test, error) {
	p := w.Pipeline
	t := testingfarm.Test{Path: testingfarm.TestPath(valueOr(w.View.FmfPath, "")), Name: valueOr(w.View.TmtPlan, "")}
	if w.View.FmfURL != nil {
		t.URL, t.Ref = *w.View.FmfURL, valueOr(w.View.FmfRef, "")
		return t, nil
	}
	forge, err := k.Forge(p.Project)
	if err != nil {
		return t, err
	}
	_, err = forge.File(ctx, p.Project, p.SHA, strings.TrimPrefix(strings.TrimPrefix(t.Path+"/.fmf/version", "./"), "/"), 1<<10)
	if httpx.Status(err) == 404 {
		return k.withoutMetadata(w, e)
	}
	if err != nil {
		return t, fmt.Errorf("looking for test metadata: %w", err)
	}
	t.URL, t.Ref = p.Project.URL, p.SHA
	if p.Commit.SourceURL != "" && !w.View.UseTargetRepoForFmfURL {
		t.URL = p.Commit.SourceURL
	}
	if p.Kind == models.PullRequestRef && w.View.MergePRInCI {
		if t.MergeSHA, err = forge.BranchHead(ctx, p.Project, p.Commit.TargetRef); err != nil {
			return t, fmt.Errorf("reading the head of %s: %w", p.Commit.TargetRef, err)
		}
	}
	return t, nil
}

func (k *Tests) withoutMetadata(w *Work, e *testingfarm.Environment) (testingfarm.Test, error) {
	if w.View.SkipBuild {
		return testingfarm.Test{}, fail("No FMF metadata found. Please, initialize the metadata tree with `fmf init`.")
	}
	repository, _ := e.Variables["PACKIT_COPR_PROJECT"].(string)
	e.Variables, e.Artifacts = map[string]any{"REPOSITORY": repository}, nil
	return k.Install, nil
}

// Poll is part of Kind.
func (k *Tests) Poll(ctx context.Context, w *Work) (Outcome, error) {
	request, err := k.Client.Request(ctx, w.Group.ExternalID)
	if httpx.Status(err) == 404 {
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
		found, err := k.Client.FindRequest(ctx, w.Group.Key, w.Group.CreatedAt.Add(-5*time.Minute))
		if err != nil || found == nil {
			return err
		}
		id = found.ID
	}
	return k.Client.Cancel(ctx, id)
}

// FetchLog is part of logFetcher.
func (k *Tests) FetchLog(ctx context.Context, run *models.Run, limit int) ([]byte, int64, error) {
	text, err := k.Client.Artifact(ctx, run.LogURL, int64(limit))
	return text, 0, err
}
