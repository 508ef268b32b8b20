package jobs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/clients/github/githubfake"
	"millrace/clients/testingfarm/testingfarmfake"
	"millrace/models"
)

const hello = "packit/hello"

// halfBroken is a pull request whose build failed for one chroot. What failed is
// mended before it returns.
func (w *world) halfBroken(t *testing.T) (githubfake.Pull, *models.Pipeline) {
	t.Helper()
	w.allow(t, "packit")
	w.copr.SetFaults(coprfake.Faults{Results: map[string]string{"fedora-43-x86_64": copr.Failed}})
	run(t, w.Runner)
	pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
	e := w.theEvent(t, models.PullRequestEvent, 1)
	eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Failed})
	w.eventuallyChecks(t, hello, pull.HeadSHA, map[string]string{
		"rpm-build:fedora-43-x86_64": "completed failure", "rpm-build:fedora-44-x86_64": "completed success",
		"testing-farm:fedora-43-x86_64": "completed failure", "testing-farm:fedora-44-x86_64": "completed success",
	})
	w.copr.SetFaults(coprfake.Faults{})
	return pull, pipeline(t, w.Store, e.Pipelines[0].ID)
}

// check is the newest check run of that name.
func (w *world) check(t *testing.T, sha, name string) githubfake.CheckRun {
	t.Helper()
	for _, c := range slices.Backward(w.github.CheckRuns(hello, sha)) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s", name)
	return githubfake.CheckRun{}
}

func (w *world) allPass(t *testing.T, pull githubfake.Pull) {
	t.Helper()
	w.eventuallyChecks(t, hello, pull.HeadSHA, map[string]string{
		"rpm-build:fedora-43-x86_64": "completed success", "rpm-build:fedora-44-x86_64": "completed success",
		"testing-farm:fedora-43-x86_64": "completed success", "testing-farm:fedora-44-x86_64": "completed success",
	})
}

// attempt waits for an attempt to pass.
func (w *world) attempt(t *testing.T, first *models.Pipeline, n int) *models.Pipeline {
	t.Helper()
	var last *models.Pipeline
	soon(t, fmt.Sprintf("attempt %d", n), func() (bool, any) {
		attempts, err := w.Store.Attempts(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		last = attempts[len(attempts)-1]
		return last.Attempt == n && last.State.Finished(), last.State
	})
	return pipeline(t, w.Store, last.ID)
}

func reused(p *models.Pipeline) (names []string) {
	for _, step := range p.Steps {
		for _, target := range step.Targets {
			if target.Reused {
				names = append(names, step.Name+" "+target.Name)
			}
		}
	}
	return names
}

func TestRerunOfACheck(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		failed := w.check(t, pull.HeadSHA, "rpm-build:fedora-43-x86_64")
		if len(failed.Actions) != 2 || failed.Actions[0].Identifier != rerunFailedAction {
			t.Errorf("buttons: %+v", failed.Actions)
		}
		if err := w.github.Rerequest(hello, failed.ID, "packit"); err != nil {
			t.Fatal(err)
		}
		second := w.attempt(t, first, 2)
		if second.State != models.Passed {
			t.Fatalf("attempt 2 is %s", second.State)
		}
		want := []string{"srpm source", "copr_build fedora-44-x86_64", "tests fedora-44-x86_64"}
		if got := reused(second); !slices.Equal(got, want) {
			t.Errorf("reused %v, want %v", got, want)
		}
		w.allPass(t, pull)
		if body := w.check(t, pull.HeadSHA, "rpm-build:fedora-43-x86_64").Summary; !strings.Contains(body, "attempt 2") {
			t.Errorf("the check says %q", body)
		}
		e := w.theEvent(t, models.CheckRerunEvent, 1)
		if e.State != models.EventApplied || !strings.Contains(e.Reason, fmt.Sprintf("pipeline %d", second.ID)) || e.CommitID != second.CommitID {
			t.Errorf("the click: %s, %s", e.State, e.Reason)
		}
		for key, n := range w.copr.Keys() {
			if n != 1 {
				t.Errorf("submission %s was made %d times", key, n)
			}
		}
	})
}

// TestClicksAreCollected: three clicks, doubled by the forge, are one attempt.
func TestClicksAreCollected(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		w.github.SetFaults(githubfake.Faults{HookDoubleEvery: 1})
		for _, name := range []string{"rpm-build:fedora-43-x86_64", "testing-farm:fedora-43-x86_64"} {
			if err := w.github.Rerequest(hello, w.check(t, pull.HeadSHA, name).ID, "packit"); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.github.RequestAction(hello, w.check(t, pull.HeadSHA, "rpm-build:fedora-43-x86_64").ID, rerunFailedAction, "packit"); err != nil {
			t.Fatal(err)
		}
		w.theEvent(t, models.CheckRerunEvent, 3)
		second := w.attempt(t, first, 2)
		w.allPass(t, pull)
		if second.State != models.Passed || len(reused(second)) != 3 {
			t.Errorf("attempt 2 is %s, reuses %v", second.State, reused(second))
		}
		if attempts, err := w.Store.Attempts(t.Context(), first); err != nil || len(attempts) != 2 {
			t.Errorf("%d attempts, %v", len(attempts), err)
		}
	})
}

func TestRerunOfAllChecks(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		if err := w.github.RerequestAll(hello, pull.HeadSHA, "packit"); err != nil {
			t.Fatal(err)
		}
		second := w.attempt(t, first, 2)
		w.allPass(t, pull)
		if second.State != models.Passed || len(reused(second)) != 0 {
			t.Errorf("attempt 2 is %s, reuses %v", second.State, reused(second))
		}
	})
}

// TestForeignClicks: clicks on what this service does not know do nothing.
func TestForeignClicks(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		check := w.check(t, pull.HeadSHA, "rpm-build:fedora-43-x86_64")
		if err := w.github.RequestAction(hello, check.ID, "delete-all", "packit"); err != nil {
			t.Fatal(err)
		}
		if e := w.theEvent(t, models.CheckRerunEvent, 1); e.State != models.EventNothing {
			t.Errorf("a strange button: %s, %s", e.State, e.Reason)
		}
		m := &models.Message{Commit: pull.HeadSHA, ExternalID: fmt.Sprint(first.EventID), CheckName: check.Name}
		other := &models.Event{ID: 1000, ProjectID: first.ProjectID + 1, Message: m}
		if about, err := w.clickedEvents(t.Context(), other); err != nil || len(about) != 0 {
			t.Errorf("another project's click is about %v, %v", about, err)
		}
		for _, id := range []string{"", "x", "999999"} {
			m.ExternalID = id
			other.ProjectID = first.ProjectID
			if about, err := w.clickedEvents(t.Context(), other); err != nil || len(about) != 0 {
				t.Errorf("%q is about %v, %v", id, about, err)
			}
		}
	})
}

// say writes a comment and returns what became of it, and it with its signs.
func (w *world) say(t *testing.T, pull githubfake.Pull, who, text string) (*models.Event, githubfake.Comment) {
	t.Helper()
	c, err := w.github.Comment(hello, pull.Number, who, text)
	if err != nil {
		t.Fatal(err)
	}
	var e *models.Event
	soon(t, "a decision about "+text, func() (bool, any) {
		for id := int64(1); id < 200; id++ {
			e, err = w.Store.Event(t.Context(), id)
			if err == nil && e.Kind == models.CommentEvent && e.Message.CommentID == c.ID {
				return e.State != models.EventNew, e.State
			}
		}
		return false, "no event"
	})
	for _, now := range w.github.Comments(hello, pull.Number) {
		if now.ID == c.ID {
			c = now
		}
	}
	return e, c
}

// eventuallyAnswered waits for a comment of ours with that text.
func (w *world) eventuallyAnswered(t *testing.T, pull githubfake.Pull, text string) {
	t.Helper()
	soon(t, "an answer about "+text, func() (bool, any) {
		comments := w.github.Comments(hello, pull.Number)
		return slices.ContainsFunc(comments, func(c githubfake.Comment) bool {
			return isOurs(c.Author, c.Body) && strings.Contains(c.Body, text)
		}), comments
	})
}

func TestRerunByComment(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		e, c := w.say(t, pull, "packit", "I see.\n/packit rebuild-failed")
		if e.State != models.EventApplied || len(c.Reactions) != 1 || c.Reactions[0].Content != "eyes" {
			t.Fatalf("the comment: %s, %s; reactions %v", e.State, e.Reason, c.Reactions)
		}
		second := w.attempt(t, first, 2)
		w.allPass(t, pull)
		if second.State != models.Passed || len(reused(second)) != 3 || second.Actor != "packit" {
			t.Errorf("attempt 2 by %s is %s, reuses %v", second.Actor, second.State, reused(second))
		}
		if e, _ = w.say(t, pull, "packit", "/packit rebuild-failed"); e.State != models.EventNothing {
			t.Errorf("nothing failed, and: %s, %s", e.State, e.Reason)
		}
		w.eventuallyAnswered(t, pull, "No build of this commit has failed. So nothing was started.")
		if e, _ = w.say(t, pull, "packit", "/packit test --env GREETING=hi"); e.State != models.EventApplied {
			t.Errorf("tests: %s, %s", e.State, e.Reason)
		}
		third := w.attempt(t, first, 3)
		if third.State != models.Passed || len(reused(third)) != 3 {
			t.Errorf("attempt 3 is %s, reuses %v", third.State, reused(third))
		}
		if view, err := third.Steps[2].View(); err != nil || view.Env["GREETING"] != "hi" {
			t.Errorf("the tests have %v, %v", view.Env, err)
		}
		if e, _ = w.say(t, pull, "packit", "/packit build"); e.State != models.EventApplied {
			t.Errorf("build: %s, %s", e.State, e.Reason)
		}
		if fourth := w.attempt(t, first, 4); fourth.State != models.Passed || len(reused(fourth)) != 0 {
			t.Errorf("attempt 4 is %s, reuses %v", fourth.State, reused(fourth))
		}
	})
}

func TestRetestFailed(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		w.farm.SetRules(testingfarmfake.Rule{Compose: "Fedora-44", Ending: testingfarmfake.Fails})
		run(t, w.Runner)
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Failed})
		w.farm.SetRules()
		w.say(t, pull, "packit", "/packit retest-failed")
		second := w.attempt(t, e.Pipelines[0], 2)
		if second.State != models.Passed || len(reused(second)) != 4 {
			t.Errorf("attempt 2 is %s, reuses %v", second.State, reused(second))
		}
	})
}

func TestCommentsThatAreAnswered(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		for _, tt := range []struct {
			who, text string
			state     models.EventState
			answer    string
		}{
			{"stranger", "Nice!", models.EventNothing, ""},
			{"stranger", "/packit help", models.EventApplied, "| `rebuild-failed` |"},
			{"stranger", "/packit rebuild-failed", models.EventRefused, "for the author of the pull request"},
			{"stranger", "/packit cancel", models.EventRefused, "for the author of the pull request"},
			{"packit", "/packit biuld", models.EventRefused, `There is no command "biuld". Did you mean build?`},
			{"packit", "/packit test --nosuch", models.EventRefused, "There is no option --nosuch here."},
			{"packit", "/packit koji-build", models.EventRefused, "does not carry it out yet"},
			{"packit", "/packit propose-downstream", models.EventRefused, "propose-downstream is for issues of upstream projects"},
			{"packit", "/packit pull-from-upstream", models.EventRefused, "pull-from-upstream, but does not carry it out yet"},
			{"packit", "/packit verify-fas packit", models.EventRefused, "This service cannot ask the account system"},
			{"packit", "/packit test other/repo#3", models.EventRefused, "knows of no successful build of the newest commit of other/repo#3"},
			{"packit", "/packit build --commit main", models.EventRefused, "comments on commits"},
			{"packit", "/packit test --id nothing", models.EventNothing, "no tests for this that the command means"},
			{"packit", "/packit --package nothing build", models.EventNothing, "no build for this that the command means"},
			{"packit", "/packit cancel", models.EventNothing, "Nothing is running"},
		} {
			e, c := w.say(t, pull, tt.who, tt.text)
			if e.State != tt.state {
				t.Errorf("%s by %s: %s, %s; want %s", tt.text, tt.who, e.State, e.Reason, tt.state)
			}
			if (len(c.Reactions) == 1) != (tt.answer != "") {
				t.Errorf("%s: reactions %v", tt.text, c.Reactions)
			}
			if tt.answer != "" {
				w.eventuallyAnswered(t, pull, tt.answer)
			}
		}
		if attempts, err := w.Store.Attempts(t.Context(), first); err != nil || len(attempts) != 1 {
			t.Errorf("%d attempts, %v", len(attempts), err)
		}
	})
}

// TestManualJobsStartWhenAsked: what has manual_trigger waits for a command, and
// does not start again what is there.
func TestManualJobsStartWhenAsked(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		config := helloConfig + "- job: copr_build\n  trigger: pull_request\n  identifier: extra\n  manual_trigger: true\n  targets: [fedora-43]\n"
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{".packit.yaml": config})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		asked, _ := w.say(t, pull, "packit", "/packit build")
		if asked.State != models.EventPlanned || len(asked.Pipelines) != 1 {
			t.Fatalf("asked: %s, %s, %d pipelines", asked.State, asked.Reason, len(asked.Pipelines))
		}
		eventually(t, w.Runner, asked.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed, "copr_build fedora-43-x86_64": models.Passed})
		if p := pipeline(t, w.Store, asked.Pipelines[0].ID); len(p.Steps) != 2 {
			t.Errorf("the asked one has %d steps", len(p.Steps))
		}
		if second := w.attempt(t, e.Pipelines[0], 2); second.State != models.Passed {
			t.Errorf("the others' attempt 2 is %s", second.State)
		}
		w.eventuallyChecks(t, hello, pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed success", "rpm-build:fedora-44-x86_64": "completed success",
			"rpm-build:fedora-43-x86_64:extra": "completed success",
			"testing-farm:fedora-43-x86_64":    "completed success", "testing-farm:fedora-44-x86_64": "completed success",
		})
	})
}

func TestCancelByComment(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		w.farm.SetRules(testingfarmfake.Rule{Queue: time.Minute})
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		soon(t, "tests are submitted", func() (bool, any) { return len(w.farm.Submissions()) == 2, w.farm.Submissions() })
		said, _ := w.say(t, pull, "packit", "/packit cancel")
		if said.State != models.EventApplied {
			t.Errorf("cancel: %s, %s", said.State, said.Reason)
		}
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Canceled})
		soon(t, "canceled outside", func() (bool, any) {
			runs := w.farm.Runs()
			return !slices.ContainsFunc(runs, func(r testingfarmfake.Run) bool { return !strings.HasPrefix(string(r.State), "cancel") }), runs
		})
	})
}
