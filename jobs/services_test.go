package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/clients/github"
	"millrace/clients/github/githubfake"
	"millrace/clients/testingfarm/testingfarmfake"
	"millrace/models"
	"millrace/models/store"
)

// with is helloFiles with another config.
func with(config string) map[string]string {
	files := map[string]string{}
	for name, text := range helloFiles {
		files[name] = text
	}
	files[".packit.yaml"] = config
	return files
}

// start opens a pull request and returns the pipeline that is made for it.
func (w *world) start(t *testing.T, config string) (pull githubfake.Pull, pipeline int64) {
	t.Helper()
	w.allow(t, "packit")
	run(t, w.Runner)
	pull = w.open(t, "packit", "hello", with(config), map[string]string{"hello.sh": "echo hi\n"})
	e := w.theEvent(t, models.PullRequestEvent, 1)
	if len(e.Pipelines) != 1 {
		t.Fatalf("event is %s (%s) with %d pipelines: %+v", e.State, e.Reason, len(e.Pipelines), e.Decisions)
	}
	return pull, e.Pipelines[0].ID
}

func (w *world) pipeline(t *testing.T, id int64) *models.Pipeline {
	t.Helper()
	p, err := w.Store.Pipeline(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSecondBuildFetchesTheSource: a source RPM that Copr made for one build is
// what another builds, by way of our own address.
func TestSecondBuildFetchesTheSource(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, id := w.start(t, `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43]}
- {job: copr_build, trigger: pull_request, identifier: more, targets: [fedora-44]}
- {job: tests, trigger: pull_request, identifier: more, targets: [fedora-44]}
`)
		eventually(t, w.Runner, id, map[string]models.State{"pipeline": models.Passed})
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed success", "rpm-build:fedora-44-x86_64:more": "completed success",
			"testing-farm:fedora-44-x86_64:more": "completed success",
		})
		if n := len(w.copr.Builds()); n != 2 {
			t.Errorf("%d builds in Copr", n)
		}
	})
}

// texts are those of the comments on a pull request.
func (w *world) texts(number int) []string {
	var texts []string
	for _, c := range w.github.Comments("packit/hello", number) {
		texts = append(texts, strings.TrimSuffix(c.Body, commentMark))
	}
	return texts
}

const talkative = `
notifications: {failure_comment: {message: "Look here, @ada."}, pull_request: {successful_build: true}}
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43, fedora-44, fedora-99]}
`

// TestComments: comments are written where the config asks for them, once, and
// not again for a later push with nothing new to say.
func TestComments(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.copr.SetFaults(coprfake.Faults{Results: map[string]string{"fedora-43-x86_64": copr.Failed}})
		pull, id := w.start(t, talkative)
		eventually(t, w.Runner, id, map[string]models.State{
			"pipeline": models.Failed, "copr_build fedora-43-x86_64": models.Failed,
			"copr_build fedora-44-x86_64": models.Passed, "copr_build fedora-99-x86_64": models.Failed,
		})
		has := func(part string) int {
			n := 0
			for _, text := range w.texts(pull.Number) {
				if strings.Contains(text, part) {
					n++
				}
			}
			return n
		}
		soon(t, "comments", func() (bool, any) {
			return has("Look here, @ada.") == 1 && has("dnf copr enable -y packit/packit-hello-1") == 1 && has("`fedora-99-x86_64`") == 1, w.texts(pull.Number)
		})
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed failure", "rpm-build:fedora-44-x86_64": "completed success",
			"rpm-build:fedora-99-x86_64": "completed failure",
		})
		if n := len(w.texts(pull.Number)); n != 3 {
			t.Errorf("comments: %q", w.texts(pull.Number))
		}
	})
}

// TestCommentIsNotRepeated: a push that fails like the one before says nothing
// new.
func TestCommentIsNotRepeated(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.copr.SetFaults(coprfake.Faults{Results: map[string]string{"fedora-43-x86_64": copr.Failed}})
		pull, id := w.start(t, "notifications: {failure_comment: {message: 'Look here.'}}\njobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-43]}\n")
		eventually(t, w.Runner, id, map[string]models.State{"pipeline": models.Failed})
		soon(t, "comments", func() (bool, any) { return len(w.texts(pull.Number)) == 1, w.texts(pull.Number) })
		newer, err := w.github.Commit(t.Context(), "packit/hello", githubfake.Change{Branch: "topic", Message: "Better", Files: map[string]string{"hello.sh": "echo ho\n"}})
		if err != nil {
			t.Fatal(err)
		}
		second := w.theEvent(t, models.PullRequestEvent, 2)
		eventually(t, w.Runner, second.Pipelines[0].ID, map[string]models.State{"pipeline": models.Failed})
		w.eventuallyChecks(t, "packit/hello", newer, map[string]string{"rpm-build:fedora-43-x86_64": "completed failure"})
		soon(t, "reports", func() (bool, any) {
			due, _, err := w.Store.SentReports(t.Context(), second.CommitID)
			return err == nil && due == 2, due
		})
		if got := w.texts(pull.Number); len(got) != 1 || got[0] != "Look here." {
			t.Errorf("comments: %q", got)
		}
	})
}

// TestCoprIsDown: at first it is waited for; in the end it is said that Copr,
// and not the change, is the problem.
func TestCoprIsDown(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.copr.SetFaults(coprfake.Faults{Down: true})
		pull, id := w.start(t, helloConfig)
		eventually(t, w.Runner, id, map[string]models.State{
			"pipeline": models.Error, "srpm source": models.Error, "copr_build fedora-43-x86_64": models.Skipped, "tests fedora-43-x86_64": models.Skipped,
		})
		if got, want := w.pipeline(t, id).Steps[0].Targets[0].Run.Reason, "Given up after 3 tries: copr could not be reached."; got != want {
			t.Errorf("because: %q, want %q", got, want)
		}
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed failure", "rpm-build:fedora-44-x86_64": "completed failure",
			"testing-farm:fedora-43-x86_64": "completed failure", "testing-farm:fedora-44-x86_64": "completed failure",
		})
	})
}

// TestCoprIsDownWhileItBuilds: that is no reason to give a build up.
func TestCoprIsDownWhileItBuilds(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.copr.SetFaults(coprfake.Faults{LoseMessages: true})
		_, id := w.start(t, helloConfig)
		soon(t, "builds", func() (bool, any) { return len(w.copr.Builds()) == 1, len(w.copr.Builds()) })
		w.copr.SetFaults(coprfake.Faults{Status: 500, HTML: true, LoseMessages: true, Until: time.Now().Add(700 * time.Millisecond), Path: "/api_3/build"})
		eventually(t, w.Runner, id, map[string]models.State{"pipeline": models.Passed})
	})
}

// TestMessagesComeEarlyAndTwice: a message may come before the answer that names
// what it is about.
func TestMessagesComeEarlyAndTwice(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.Timing.Poll, w.Timing.PollMax = time.Minute, time.Minute // nothing but messages
		w.copr.SetFaults(coprfake.Faults{EarlyMessages: true, DoubleMessages: true, Delay: 100 * time.Millisecond, Path: "/api_3/build/create"})
		w.farm.SetFaults(testingfarmfake.Faults{NotifyBeforeAnswer: true, DoubleNotifications: true})
		_, id := w.start(t, helloConfig)
		eventually(t, w.Runner, id, map[string]models.State{"pipeline": models.Passed})
		for key, n := range w.copr.Keys() {
			if n != 1 {
				t.Errorf("submission %s was made %d times in Copr", key, n)
			}
		}
		if diff := cmp.Diff(2, len(w.farm.Submissions())); diff != "" {
			t.Errorf("requests: %s", diff)
		}
	})
}

// TestLogOfFailure: the log of a failure is kept, its middle left out if it is
// too long, and the page can show the line that explains it.
func TestLogOfFailure(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.LogLimit = 400
		w.copr.SetFaults(coprfake.Faults{Results: map[string]string{"fedora-43-x86_64": copr.Failed}})
		_, id := w.start(t, helloConfig)
		eventually(t, w.Runner, id, map[string]models.State{"pipeline": models.Failed})
		var run *models.Run
		soon(t, "the run", func() (bool, any) {
			run = w.pipeline(t, id).Steps[1].Target("fedora-43-x86_64").Run
			return run.Data.LogTail != "", run
		})
		log, err := w.Store.Log(t.Context(), run.ID)
		if err != nil || !log.Complete || log.CutBytes == 0 || log.Bytes > 500 {
			t.Errorf("the log is %+v, %v", log, err)
		}
		lines, err := w.Store.LogLines(t.Context(), run.ID, int64(run.Data.LogLine), 1)
		if err != nil || len(lines) != 1 || !strings.HasPrefix(lines[0], "ERROR: Command failed.") || !strings.Contains(run.Data.LogTail, lines[0]) {
			t.Errorf("line %d is %q, %v; the tail is %q", run.Data.LogLine, lines, err, run.Data.LogTail)
		}
	})
}

// TestStoppedTestsEndThere: what is stopped here is stopped there.
func TestStoppedTestsEndThere(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.farm.SetRules(testingfarmfake.Rule{Queue: time.Hour})
		_, id := w.start(t, helloConfig)
		soon(t, "requests", func() (bool, any) { return len(w.farm.Runs()) == 2, len(w.farm.Runs()) })
		err := w.change(t.Context(), id, func(_ *store.Tx, g *models.Graph) error {
			return g.Stop(models.Canceled, "ada wanted it.", store.Now())
		})
		if err != nil {
			t.Fatal(err)
		}
		soon(t, "requests", func() (bool, any) {
			for _, r := range w.farm.Runs() {
				if !strings.HasPrefix(string(r.State), "cancel") {
					return false, w.farm.Runs()
				}
			}
			return true, nil
		})
		eventually(t, w.Runner, id, map[string]models.State{"pipeline": models.Canceled, "tests fedora-43-x86_64": models.Canceled})
	})
}

func TestGitHubComments(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		p, err := models.ParseProjectURL("http://" + w.host + "/packit/hello")
		if err != nil {
			t.Fatal(err)
		}
		forge := w.Forges[w.host]
		say := func(id, text string) (string, error) {
			return forge.SetComment(t.Context(), p, pull.Number, id, text)
		}
		count := func() int { return len(w.github.Comments("packit/hello", pull.Number)) }
		first, err := say("", "One.")
		if err != nil || count() != 1 {
			t.Fatalf("comment %s, %v, of %d", first, err, count())
		}
		if again, err := say("", "One."); err != nil || again != first || count() != 1 {
			t.Errorf("said twice: comment %s, %v, of %d", again, err, count())
		}
		if changed, err := say(first, "Two."); err != nil || changed != first || w.texts(pull.Number)[0] != "Two." {
			t.Errorf("rewritten: comment %s, %v: %q", changed, err, w.texts(pull.Number))
		}
		if _, err := w.github.Comment("packit/hello", pull.Number, "mallory", "Three."+commentMark); err != nil {
			t.Fatal(err)
		}
		third, err := say("", "Three.")
		if err != nil || count() != 3 {
			t.Errorf("what another wrote is taken for ours: comment %s, %v, of %d", third, err, count())
		}
		if back, err := say("", "Two."); err != nil || back == first || count() != 4 {
			t.Errorf("what was said before something else is not said again: comment %s, %v, of %d", back, err, count())
		}
		if anew, err := say("999999", "Five."); err != nil || anew == "999999" || count() != 5 {
			t.Errorf("a comment that is gone: %s, %v, of %d", anew, err, count())
		}
		if _, err := say("x", "Six."); err == nil {
			t.Error("x is the id of a comment")
		}
		w.github.SetFaults(githubfake.Faults{APIDropEvery: 1, APIMatch: "POST /api/v3/repos"})
		if id, err := say("", "Seven."); err == nil || id != "" {
			t.Errorf("a lost answer: comment %q, %v", id, err)
		}
		w.github.SetFaults(githubfake.Faults{})
		if id, err := say("", "Seven."); err != nil || id == "" || count() != 6 {
			t.Errorf("after a lost answer: comment %q, %v, of %d", id, err, count())
		}
	})
}

func TestGitHubChecks(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		p, err := models.ParseProjectURL("http://" + w.host + "/packit/hello")
		if err != nil {
			t.Fatal(err)
		}
		forge := w.Forges[w.host]
		report := &models.Report{SHA: pull.HeadSHA, Name: "rpm-build:x", EventID: 7, Wanted: models.CheckPending, Title: "The task was accepted.", URL: "https://millrace.test/runs/1"}
		tell := func() (string, bool, error) { return forge.SetCheck(t.Context(), p, report) }
		runs := func() []githubfake.CheckRun { return w.github.CheckRuns("packit/hello", pull.HeadSHA) }
		w.github.SetFaults(githubfake.Faults{APIDropEvery: 1, APIMatch: "POST /api/v3/repos"})
		if id, _, err := tell(); err == nil || id != "" {
			t.Fatalf("a lost answer: check %q, %v", id, err)
		}
		w.github.SetFaults(githubfake.Faults{})
		report.Tries = 1
		id, status, err := tell()
		if err != nil || status || len(runs()) != 1 {
			t.Fatalf("check %q, %v, %v, of %d", id, status, err, len(runs()))
		}
		for _, state := range []models.CheckState{models.CheckRunning, models.CheckSuccess, models.CheckCanceled, models.CheckNeutral, models.CheckError, models.CheckFailure} {
			report.ExternalID, report.Tries, report.SentState, report.Wanted = id, 0, report.Wanted, state
			if again, _, err := tell(); err != nil || again != id || len(runs()) != 1 {
				t.Fatalf("%s: check %q, %v, of %d", state, again, err, len(runs()))
			}
		}
		if got := runs()[0]; got.Status != github.Completed || got.Conclusion != "failure" || got.ExternalID != "7" {
			t.Errorf("the check is %+v", got)
		}
		report.SentState, report.Wanted = models.CheckFailure, models.CheckRunning // a rerun
		if anew, _, err := tell(); err != nil || anew == id || len(runs()) != 2 {
			t.Errorf("a check that begins again: %q, %v, of %d", anew, err, len(runs()))
		}
		w.github.SetFaults(githubfake.Faults{ChecksForbidden: true})
		report.Wanted = models.CheckNeutral
		if id, status, err := tell(); err != nil || !status || id != "" {
			t.Errorf("where checks may not be written: %q, %v, %v", id, status, err)
		}
		if got := w.github.Statuses("packit/hello", pull.HeadSHA); len(got) != 1 || got[0].State != "error" {
			t.Errorf("statuses: %+v", got)
		}
	})
}
