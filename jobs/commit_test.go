package jobs

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/clients/github/githubfake"
	"millrace/models"
)

const commitConfig = `
specfile_path: hello.spec
jobs:
- job: copr_build
  trigger: commit
  targets: [fedora-43]
- job: tests
  trigger: commit
  targets: [fedora-43]
- job: copr_build
  trigger: release
  targets: [fedora-44]
`

// installed makes a repository with the App installed.
func (w *world) installed(t *testing.T, owner, name, config string) {
	t.Helper()
	files := maps.Clone(helloFiles)
	files[".packit.yaml"] = config
	if _, err := w.github.CreateRepo(t.Context(), owner, name, files, githubfake.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.github.Install(owner); err != nil {
		t.Fatal(err)
	}
}

// push commits to a branch and returns the hash.
func (w *world) push(t *testing.T, full, branch string, files map[string]string) string {
	t.Helper()
	sha, err := w.github.Commit(t.Context(), full, githubfake.Change{Branch: branch, Message: "Change it", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

// decision waits until an event that matches is decided.
func (w *world) decision(t *testing.T, what string, matches func(*models.Event) bool) *models.Event {
	t.Helper()
	var found *models.Event
	soon(t, "a decision about "+what, func() (bool, any) {
		for id := int64(1); id < 300; id++ {
			e, err := w.Store.Event(t.Context(), id)
			if err == nil && e.Message != nil && matches(e) {
				found = e
				return e.State != models.EventNew, e.State
			}
		}
		return false, "no event"
	})
	return found
}

// sayBelow writes a comment below a commit and returns what became of it.
func (w *world) sayBelow(t *testing.T, sha, who, text string) *models.Event {
	t.Helper()
	c, err := w.github.CommentCommit(t.Context(), hello, sha, who, text)
	if err != nil {
		t.Fatal(err)
	}
	return w.decision(t, text, func(e *models.Event) bool { return e.Kind == models.CommentEvent && e.Message.CommentID == c.ID })
}

func TestPushAndReleaseAreBuilt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		w.installed(t, "packit", "hello", commitConfig)
		sha := w.push(t, hello, "main", map[string]string{"hello.sh": "echo hi\n"})
		pushed := w.decision(t, "the push", func(e *models.Event) bool { return e.Kind == models.PushEvent && e.Message.Commit == sha })
		if pushed.State != models.EventPlanned || len(pushed.Pipelines) != 1 {
			t.Fatalf("the push: %s, %s", pushed.State, pushed.Reason)
		}
		eventually(t, w.Runner, pushed.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		w.eventuallyChecks(t, hello, sha, map[string]string{
			"rpm-build:main:fedora-43-x86_64": "completed success", "testing-farm:main:fedora-43-x86_64": "completed success",
		})
		if p := pipeline(t, w.Store, pushed.Pipelines[0].ID); p.Kind != models.BranchRef || p.Ref != "main" || p.Title != "Change it" ||
			p.Steps[1].Targets[0].Run.Data.CoprProject != "packit-hello-main" {
			t.Errorf("the pipeline is about %s %s, %q, in %s", p.Kind, p.Ref, p.Title, p.Steps[1].Targets[0].Run.Data.CoprProject)
		}
		if _, err := w.github.PublishRelease(t.Context(), hello, githubfake.NewRelease{Tag: "v1:0", Name: "One"}); err == nil {
			t.Fatal("a colon is in no tag")
		}
		if _, err := w.github.PublishRelease(t.Context(), hello, githubfake.NewRelease{Tag: "v1.0", Name: "One"}); err != nil {
			t.Fatal(err)
		}
		released := w.decision(t, "the release", func(e *models.Event) bool { return e.Kind == models.ReleaseEvent && e.Message.Tag == "v1.0" })
		if released.State != models.EventPlanned || released.Commit.Kind != models.ReleaseRef || released.Commit.SHA != sha {
			t.Fatalf("the release: %s, %s, %+v", released.State, released.Reason, released.Commit)
		}
		eventually(t, w.Runner, released.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		w.eventuallyChecks(t, hello, sha, map[string]string{
			"rpm-build:main:fedora-43-x86_64": "completed success", "testing-farm:main:fedora-43-x86_64": "completed success",
			"rpm-build:v1.0:fedora-44-x86_64": "completed success",
		})
		if p := pipeline(t, w.Store, released.Pipelines[0].ID); p.Steps[1].Targets[0].Run.Data.CoprProject != "packit-hello-releases" {
			t.Errorf("releases are in %s", p.Steps[1].Targets[0].Run.Data.CoprProject)
		}
		if tag := w.theEvent(t, models.TagPushEvent, 1); tag.State != models.EventNothing || !strings.Contains(tag.Reason, "A tag alone") {
			t.Errorf("the tag: %s, %s", tag.State, tag.Reason)
		}
		other := w.push(t, hello, "topic", map[string]string{"hello.sh": "echo ho\n"})
		e := w.decision(t, "another branch", func(e *models.Event) bool { return e.Message.Commit == other })
		if e.State != models.EventNothing || len(e.Decisions) != 3 || !strings.Contains(e.Decisions[0].Reason, "default branch") {
			t.Errorf("another branch: %s, %+v", e.State, e.Decisions)
		}
	})
}

// TestLatePush: a push that is heard of after the next one does not stop what
// that one began.
func TestLatePush(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		w.installed(t, "packit", "hello", commitConfig)
		first := w.push(t, hello, "main", map[string]string{"hello.sh": "1\n"})
		second := w.push(t, hello, "main", map[string]string{"hello.sh": "2\n"})
		run(t, w.Runner)
		for sha, want := range map[string]models.EventState{first: models.EventNothing, second: models.EventPlanned} {
			if e := w.decision(t, "the push", func(e *models.Event) bool { return e.Kind == models.PushEvent && e.Message.Commit == sha }); e.State != want {
				t.Errorf("%.7s is %s, %s; want %s", sha, e.State, e.Reason, want)
			}
		}
	})
}

func TestCommentsOnCommits(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		w.copr.SetFaults(coprfake.Faults{Results: map[string]string{"fedora-43-x86_64": copr.Failed}})
		run(t, w.Runner)
		w.installed(t, "packit", "hello", commitConfig)
		sha := w.push(t, hello, "main", map[string]string{"hello.sh": "echo hi\n"})
		pushed := w.decision(t, "the push", func(e *models.Event) bool { return e.Kind == models.PushEvent && e.Message.Commit == sha })
		eventually(t, w.Runner, pushed.Pipelines[0].ID, map[string]models.State{"pipeline": models.Failed})
		w.copr.SetFaults(coprfake.Faults{})
		if e := w.sayBelow(t, sha, "packit", "/packit rebuild-failed"); e.State != models.EventApplied {
			t.Fatalf("rebuild-failed: %s, %s", e.State, e.Reason)
		}
		if second := w.attempt(t, pushed.Pipelines[0], 2); second.State != models.Passed || second.Kind != models.BranchRef {
			t.Errorf("attempt 2 of %s is %s", second.Kind, second.State)
		}
		if _, err := w.Store.Commit(t.Context(), pushed.CommitID); err != nil {
			t.Fatal(err)
		} else if c := w.theEvent(t, models.PushEvent, 1).Commit; c.Title != "Change it" {
			t.Errorf("the comment changed the commit's title to %q", c.Title)
		}
		if err := w.github.Tag(t.Context(), hello, "v2", sha, "", "packit"); err != nil {
			t.Fatal(err)
		}
		released := w.sayBelow(t, sha, "packit", "/packit build --release v2")
		if released.State != models.EventPlanned || released.Commit.Kind != models.ReleaseRef || released.Commit.Ref != "v2" {
			t.Fatalf("the release: %s, %s, %+v", released.State, released.Reason, released.Commit)
		}
		eventually(t, w.Runner, released.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed, "copr_build fedora-44-x86_64": models.Passed})
		later := w.push(t, hello, "main", map[string]string{"hello.sh": "echo later\n"})
		for _, tt := range []struct {
			who, sha, text string
			state          models.EventState
			answer         string
		}{
			{"stranger", sha, "/packit build", models.EventRefused, "those who may merge pull requests"},
			{"packit", sha, "/packit build --commit nowhere", models.EventRefused, "no branch or tag of that name"},
			{"packit", sha, "/packit build --release v3", models.EventRefused, "no branch or tag of that name"},
			{"packit", later, "/packit build --release v2", models.EventRefused, "and this comment is on " + later[:12]},
			{"packit", sha, "/packit build --commit a\n/packit test --commit b", models.EventRefused, "same branch or release"},
			{"packit", sha, "/packit cancel", models.EventNothing, "Nothing is running for this commit."},
			{"stranger", sha, "/packit help --nosuch", models.EventRefused, "There is no option --nosuch"},
			{"stranger", sha, "/packit help", models.EventApplied, "| `rebuild-failed` |"},
		} {
			if e := w.sayBelow(t, tt.sha, tt.who, tt.text); e.State != tt.state {
				t.Errorf("%s by %s: %s, %s; want %s", tt.text, tt.who, e.State, e.Reason, tt.state)
			}
			soon(t, "an answer about "+tt.answer, func() (bool, any) {
				all := w.github.CommitComments(hello)
				return slices.ContainsFunc(all, func(c githubfake.CommitComment) bool {
					return c.SHA == tt.sha && isOurs(c.Author, c.Body) && strings.Contains(c.Body, tt.answer)
				}), all
			})
		}
	})
}

func TestCommentsOnIssues(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		w.installed(t, "packit", "hello", commitConfig)
		issue, err := w.github.OpenIssue(hello, "packit", "A wish", "Please.")
		if err != nil {
			t.Fatal(err)
		}
		at := githubfake.Pull{Number: issue.Number}
		for _, tt := range []struct {
			text   string
			state  models.EventState
			answer string
		}{
			{"/packit propose-downstream", models.EventRefused, "understands the command propose-downstream, but does not carry it out yet"},
			{"/packit koji-build", models.EventRefused, "not about something that failed and that koji-build would repeat"},
			{"/packit build", models.EventRefused, "write it in a comment on a pull request or on a commit"},
			{"/packit verify-fas ada", models.EventRefused, "This service cannot ask the account system"},
			{"/packit helpp", models.EventRefused, "Did you mean help?"},
			{"/packit help", models.EventApplied, "| `test` |"},
		} {
			e, c := w.say(t, at, "packit", tt.text)
			if e.State != tt.state || e.Commit == nil || e.Commit.Kind != models.IssueRef || len(c.Reactions) != 1 {
				t.Errorf("%s: %s, %s, %v; want %s", tt.text, e.State, e.Reason, c.Reactions, tt.state)
			}
			w.eventuallyAnswered(t, at, tt.answer)
		}
	})
}

// TestEditedComments: what was taken up is not done again, and what is new is.
func TestEditedComments(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		edit := func(id int64, text string) *models.Event {
			before := w.theEvent(t, models.CommentEvent, 1).ID
			if _, err := w.github.EditComment(hello, id, text, "packit"); err != nil {
				t.Fatal(err)
			}
			return w.decision(t, text, func(e *models.Event) bool {
				return e.ID > before && e.Action == models.Edited && e.Message.Comment == text && e.Message.CommentID == id
			})
		}
		_, c := w.say(t, pull, "packit", "/packit rebuild-failed")
		w.attempt(t, first, 2)
		if e := edit(c.ID, "Thanks!\n/packit rebuild-failed"); e.State != models.EventNothing || !strings.Contains(e.Reason, "taken up before") {
			t.Errorf("edited around: %s, %s", e.State, e.Reason)
		}
		if e := edit(c.ID, "Thanks!\n/packit rebuild-failed\n/packit test"); e.State != models.EventApplied {
			t.Errorf("a command more: %s, %s", e.State, e.Reason)
		}
		if third := w.attempt(t, first, 3); len(reused(third)) != 3 {
			t.Errorf("attempt 3 reuses %v", reused(third))
		}
		_, c = w.say(t, pull, "packit", "/packit bild")
		if e := edit(c.ID, "/packit build"); e.State != models.EventApplied {
			t.Errorf("a mistake mended: %s, %s", e.State, e.Reason)
		}
		w.attempt(t, first, 4)
	})
}

// TestSeveralCommandsAreOneAttempt: all commands of a comment are obeyed, and
// those that start something make one attempt.
func TestSeveralCommandsAreOneAttempt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		e, _ := w.say(t, pull, "packit", "/packit rebuild-failed\n/packit test\n/packit frobnicate\n/packit help")
		if e.State != models.EventApplied || !strings.Contains(e.Reason, "frobnicate") || !strings.Contains(e.Reason, "Attempt 2") {
			t.Errorf("%s, %s", e.State, e.Reason)
		}
		second := w.attempt(t, first, 2)
		if want := []string{"srpm source", "copr_build fedora-44-x86_64"}; !slices.Equal(reused(second), want) {
			t.Errorf("reused %v, want %v", reused(second), want)
		}
		w.eventuallyAnswered(t, pull, `There is no command "frobnicate".`)
		w.eventuallyAnswered(t, pull, "| `rebuild-failed` |")
		e, _ = w.say(t, pull, "packit", "/packit test --env A=1\n/packit test --env B=2")
		if e.State != models.EventApplied || !strings.Contains(e.Reason, "a comment of their own") {
			t.Errorf("%s, %s", e.State, e.Reason)
		}
		third := w.attempt(t, first, 3)
		if view, err := third.Steps[2].View(); err != nil || view.Env["A"] != "1" || view.Env["B"] != nil {
			t.Errorf("the tests have %v, %v", view.Env, err)
		}
	})
}

// TestManualTestsUseBuilds: tests that wait for a command use what was built for
// the commit.
func TestManualTestsUseBuilds(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		config := strings.Replace(helloConfig, "- job: tests\n", "- job: tests\n  manual_trigger: true\n", 1)
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{".packit.yaml": config})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		asked, _ := w.say(t, pull, "packit", "/packit test")
		if asked.State != models.EventPlanned || len(asked.Pipelines) != 1 {
			t.Fatalf("asked: %s, %s", asked.State, asked.Reason)
		}
		eventually(t, w.Runner, asked.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed, "tests fedora-44-x86_64": models.Passed})
		p := pipeline(t, w.Store, asked.Pipelines[0].ID)
		if want := []string{"srpm source", "copr_build fedora-43-x86_64", "copr_build fedora-44-x86_64"}; !slices.Equal(reused(p), want) {
			t.Errorf("reused %v, want %v", reused(p), want)
		}
		if n := len(w.copr.Keys()); n != 1 {
			t.Errorf("%d submissions to Copr, want 1", n)
		}
	})
}

// TestTestsWithOtherPulls: tests install the builds of other pull requests too.
func TestTestsWithOtherPulls(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		library := w.open(t, "packit", "library", helloFiles, map[string]string{"hello.sh": "echo library\n"})
		lib := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, lib.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 2)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		before := len(w.farm.Runs())
		for i, name := range []string{fmt.Sprintf("packit/library#%d", library.Number), fmt.Sprintf("http://%s/packit/library/pull/%d", w.host, library.Number)} {
			said, _ := w.say(t, pull, "packit", "/packit test "+name)
			if said.State != models.EventApplied {
				t.Fatalf("%s: %s, %s", name, said.State, said.Reason)
			}
			w.attempt(t, e.Pipelines[0], i+2) // what is still on its way would do
		}
		if third := w.attempt(t, e.Pipelines[0], 3); third.State != models.Passed || len(third.Steps[2].Others) != 2 {
			t.Errorf("attempt 3 is %s, with %+v", third.State, third.Steps[2].Others)
		}
		made := pipeline(t, w.Store, lib.Pipelines[0].ID)
		for _, request := range w.farm.Runs()[before:] {
			var sent struct {
				Environments []struct {
					Artifacts []struct{ ID string }
					Variables map[string]any
				}
			}
			if err := json.Unmarshal(request.Payload, &sent); err != nil {
				t.Fatal(err)
			}
			environment := sent.Environments[0]
			if len(environment.Artifacts) != 2 || !slices.ContainsFunc(made.Steps[1].Targets, func(t *models.Target) bool {
				return environment.Artifacts[1].ID == t.Run.ExternalID+":"+t.Name
			}) {
				t.Errorf("artifacts %+v", environment.Artifacts)
			}
			if projects := fmt.Sprint(environment.Variables["PACKIT_COPR_PROJECT"]); projects != "packit/packit-hello-1 packit/packit-library-1" {
				t.Errorf("PACKIT_COPR_PROJECT is %q", projects)
			}
		}
		elsewhere, _ := w.say(t, pull, "packit", "/packit test https://elsewhere.example/packit/library/pull/1")
		if elsewhere.State != models.EventRefused {
			t.Errorf("of another forge: %s, %s", elsewhere.State, elsewhere.Reason)
		}
	})
}

// TestMissingAndInvalidConfigs: who asks is told, in a comment; of a push an
// issue tells.
func TestMissingAndInvalidConfigs(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		pull := w.open(t, "packit", "hello", map[string]string{"README": "hello\n"}, map[string]string{"README": "hi\n"})
		if e := w.theEvent(t, models.PullRequestEvent, 1); e.State != models.EventNothing {
			t.Errorf("without a config: %s, %s", e.State, e.Reason)
		}
		if comments := w.github.Comments(hello, pull.Number); len(comments) != 0 {
			t.Errorf("nobody asked, and %+v", comments)
		}
		e, _ := w.say(t, pull, "packit", "/packit build")
		if e.State != models.EventNothing {
			t.Errorf("asked: %s, %s", e.State, e.Reason)
		}
		w.eventuallyAnswered(t, pull, "No config file for packit (e.g. `.packit.yaml`) found in packit/hello on commit "+pull.HeadSHA)
		for i, text := range []string{"jobs: 1\n", "jobs: 2\n"} {
			w.push(t, hello, "main", map[string]string{".packit.yaml": text})
			soon(t, "an issue", func() (bool, any) {
				issues := w.github.Issues(hello)
				if len(issues) != 1 {
					return false, issues
				}
				return issues[0].Title == "[packit] Invalid config" && strings.Contains(issues[0].Body, "Failed to load packit config file:") &&
					len(w.github.Comments(hello, issues[0].Number)) == i, w.github.Comments(hello, issues[0].Number)
			})
		}
	})
}

// TestClicksWithoutRights: clicks of those who may not write do nothing, also
// beside those of others.
func TestClicksWithoutRights(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull, first := w.halfBroken(t)
		if err := w.github.RerequestAll(hello, pull.HeadSHA, "stranger"); err != nil {
			t.Fatal(err)
		}
		if err := w.github.Rerequest(hello, w.check(t, pull.HeadSHA, "rpm-build:fedora-43-x86_64").ID, "packit"); err != nil {
			t.Fatal(err)
		}
		second := w.attempt(t, first, 2)
		if second.Actor != "packit" || len(reused(second)) != 3 {
			t.Errorf("attempt 2 by %s reuses %v", second.Actor, reused(second))
		}
		e := w.decision(t, "the stranger's click", func(e *models.Event) bool { return e.Kind == models.CheckRerunEvent && e.Message.Suite })
		if e.State != models.EventRefused || !strings.Contains(e.Reason, "may write") {
			t.Errorf("the stranger's click: %s, %s", e.State, e.Reason)
		}
		log, err := w.Store.AuditLog(t.Context(), models.Page{})
		if err != nil || !slices.ContainsFunc(log.Rows, func(a *models.AuditEntry) bool {
			return a.Actor == "stranger" && a.Via == models.ViaCheck && a.Result == models.AuditRefused
		}) {
			t.Errorf("audit %+v, %v", log, err)
		}
		reusedCheck := w.check(t, pull.HeadSHA, "rpm-build:fedora-44-x86_64")
		if err := w.github.RequestAction(hello, w.check(t, pull.HeadSHA, "rpm-build:fedora-43-x86_64").ID, rerunAllAction, "stranger"); err != nil {
			t.Fatal(err)
		}
		if e := w.decision(t, "the stranger's button", func(e *models.Event) bool { return e.Message.RequestedID == rerunAllAction }); e.State != models.EventRefused {
			t.Errorf("the stranger's button: %s, %s", e.State, e.Reason)
		}
		if !strings.Contains(reusedCheck.Summary, "attempt") {
			t.Errorf("a check says %q", reusedCheck.Summary)
		}
	})
}
