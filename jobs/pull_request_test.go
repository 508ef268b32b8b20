package jobs

import (
	"strings"
	"testing"
	"time"

	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/clients/github/githubfake"
	"millrace/clients/testingfarm/testingfarmfake"
	"millrace/models"
)

func TestPullRequestPasses(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		if e.State != models.EventPlanned || len(e.Pipelines) != 1 {
			t.Fatalf("event is %s (%s) with %d pipelines", e.State, e.Reason, len(e.Pipelines))
		}
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed success", "rpm-build:fedora-44-x86_64": "completed success",
			"testing-farm:fedora-43-x86_64": "completed success", "testing-farm:fedora-44-x86_64": "completed success",
		})
		for key, n := range w.copr.Keys() {
			if n != 1 {
				t.Errorf("submission %s was made %d times", key, n)
			}
		}
		p, err := w.Store.Pipeline(t.Context(), e.Pipelines[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Steps[1].Targets[0].Run; len(got.Data.Packages) == 0 || got.Data.CoprProject != "packit-hello-1" || got.ExternalURL == "" {
			t.Errorf("the build remembers %+v at %q", got.Data, got.ExternalURL)
		}
		if got := p.Steps[2].Targets[0].Run.Data.Tests; got == nil || got.Passed == 0 {
			t.Errorf("the tests remember %+v", got)
		}
	})
}

func TestChrootFailsAndItsTestsAreSkipped(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		w.copr.SetFaults(coprfake.Faults{Results: map[string]string{"fedora-43-x86_64": copr.Failed}})
		run(t, w.Runner)
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{
			"pipeline":                    models.Failed,
			"copr_build fedora-43-x86_64": models.Failed, "tests fedora-43-x86_64": models.Skipped,
			"copr_build fedora-44-x86_64": models.Passed, "tests fedora-44-x86_64": models.Passed,
		})
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed failure", "rpm-build:fedora-44-x86_64": "completed success",
			"testing-farm:fedora-43-x86_64": "completed failure", "testing-farm:fedora-44-x86_64": "completed success",
		})
		p, err := w.Store.Pipeline(t.Context(), e.Pipelines[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		failed := p.Steps[1].Target("fedora-43-x86_64").Run
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			log, err := w.Store.Log(t.Context(), failed.ID)
			if err == nil && log.Complete && log.Lines > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the log of the failed build: %+v, %v", log, err)
			}
		}
	})
}

func TestTestFails(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		w.farm.SetRules(testingfarmfake.Rule{Compose: "Fedora-44", Ending: testingfarmfake.Fails})
		run(t, w.Runner)
		w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{
			"pipeline": models.Failed, "tests fedora-43-x86_64": models.Passed, "tests fedora-44-x86_64": models.Failed,
		})
	})
}

func TestInvalidConfigIsExplained(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{".packit.yaml": "jobs:\n- job: cpr_build\n  trigger: pull_request\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		if e.State != models.EventRefused || len(e.Pipelines) != 0 || len(e.Decisions) == 0 {
			t.Fatalf("event is %s (%s) with %d pipelines and decisions %v", e.State, e.Reason, len(e.Pipelines), e.Decisions)
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			comments := w.github.Comments("packit/hello", pull.Number)
			if len(comments) == 1 && strings.Contains(comments[0].Body, "copr_build") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("comments: %+v", comments)
			}
		}
	})
}

func TestNotAllowedIsExplained(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		run(t, w.Runner)
		pull := w.open(t, "stranger", "thing", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		if e.State != models.EventRefused || !strings.Contains(e.Reason, "allowlist") {
			t.Fatalf("event is %s: %s", e.State, e.Reason)
		}
		w.eventuallyChecks(t, "stranger/thing", pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed neutral", "rpm-build:fedora-44-x86_64": "completed neutral",
			"testing-farm:fedora-43-x86_64": "completed neutral", "testing-farm:fedora-44-x86_64": "completed neutral",
		})
	})
}

func TestNothingMatches(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		w.open(t, "packit", "hello", helloFiles, map[string]string{
			".packit.yaml": "specfile_path: hello.spec\njobs:\n- job: copr_build\n  trigger: release\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		if e.State != models.EventNothing || len(e.Decisions) != 1 || e.Decisions[0].Reason == "" {
			t.Fatalf("event is %s with decisions %+v", e.State, e.Decisions)
		}
	})
}

// TestTestsWithoutBuildAreExplained waits for the checks that say why nothing
// comes of a job that people may wait for.
func TestTestsWithoutBuildAreExplained(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{
			".packit.yaml": "specfile_path: hello.spec\njobs:\n- job: tests\n  trigger: pull_request\n  targets: [fedora-43]\n"})
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{"testing-farm:fedora-43-x86_64": "completed neutral"})
		for _, c := range w.github.CheckRuns("packit/hello", pull.HeadSHA) {
			if c.Title != "Test job requires build job definition in the configuration." {
				t.Errorf("the check says %q", c.Title)
			}
		}
	})
}

func TestNewerPushSupersedes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		w.farm.SetRules(testingfarmfake.Rule{Queue: time.Hour}) // the first is still at it when the second comes
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		first := w.theEvent(t, models.PullRequestEvent, 1)
		for deadline := time.Now().Add(patience); len(w.farm.Submissions()) < 2; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the first pipeline's tests were not submitted")
			}
		}
		w.farm.SetRules()
		newer, err := w.github.Commit(t.Context(), "packit/hello", githubfake.Change{Branch: "topic", Message: "Better", Files: map[string]string{"hello.sh": "echo ho\n"}})
		if err != nil {
			t.Fatal(err)
		}
		second := w.theEvent(t, models.PullRequestEvent, 2)
		eventually(t, w.Runner, second.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		p, err := w.Store.Pipeline(t.Context(), first.Pipelines[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if p.State != models.Superseded || p.SupersededBy != second.Pipelines[0].ID {
			t.Errorf("the first pipeline is %s, superseded by %d", p.State, p.SupersededBy)
		}
		w.eventuallyChecks(t, "packit/hello", newer, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed success", "rpm-build:fedora-44-x86_64": "completed success",
			"testing-farm:fedora-43-x86_64": "completed success", "testing-farm:fedora-44-x86_64": "completed success",
		})
		soon(t, "checks of the old commit", func() (bool, any) {
			checks := w.checks("packit/hello", pull.HeadSHA)
			for _, state := range checks {
				if state != "completed cancelled" && state != "completed success" {
					return false, checks
				}
			}
			return true, checks
		})
	})
}

// TestServicesMisbehave lets Copr be down, lose its messages and an answer, and
// Testing Farm lose its notes; nothing is submitted twice.
func TestServicesMisbehave(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		w.Timing.Tries = 50
		w.copr.SetFaults(coprfake.Faults{Path: "/api_3/build/create", Calls: 1, LoseAnswers: true, LoseMessages: true})
		w.farm.SetFaults(testingfarmfake.Faults{LoseNotifications: true, LoseAnswers: 1})
		run(t, w.Runner)
		w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		time.Sleep(150 * time.Millisecond)
		w.copr.SetFaults(coprfake.Faults{Down: true, Until: time.Now().Add(400 * time.Millisecond), LoseMessages: true})
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		for key, n := range w.copr.Keys() {
			if n != 1 {
				t.Errorf("submission %s was made %d times in Copr", key, n)
			}
		}
		for key, n := range w.farm.Submissions() {
			if n != 1 {
				t.Errorf("submission %s was made %d times in Testing Farm", key, n)
			}
		}
	})
}

// TestGitHubMisbehaves doubles and swaps webhooks and breaks calls of the API.
func TestGitHubMisbehaves(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		w.Timing.Tries = 50
		w.github.SetFaults(githubfake.Faults{HookDoubleEvery: 1, APIFailEvery: 4, APIDropEvery: 7})
		run(t, w.Runner)
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{
			"rpm-build:fedora-43-x86_64": "completed success", "rpm-build:fedora-44-x86_64": "completed success",
			"testing-farm:fedora-43-x86_64": "completed success", "testing-farm:fedora-44-x86_64": "completed success",
		})
	})
}

func TestChecksForbiddenBecomeStatuses(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		w.github.SetFaults(githubfake.Faults{ChecksForbidden: true})
		run(t, w.Runner)
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			final := map[string]string{}
			for _, s := range w.github.Statuses("packit/hello", pull.HeadSHA) {
				final[s.Context] = s.State
			}
			if len(final) == 4 && final["rpm-build:fedora-43-x86_64"] == "success" && final["testing-farm:fedora-44-x86_64"] == "success" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("statuses: %v", final)
			}
		}
	})
}
