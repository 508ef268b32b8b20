package jobs

import (
	"errors"
	"strings"
	"testing"

	"millrace/clients/github/githubfake"
	"millrace/models"
)

// TestRerunWithTheCurrentConfig: what the config at the head of the pull request
// plans now replaces the plan of the event, which is about the commit it was.
func TestRerunWithTheCurrentConfig(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		first := e.Pipelines[0].ID
		eventually(t, w.Runner, first, map[string]models.State{"pipeline": models.Passed})
		events := 1
		commit := func(config string) {
			t.Helper()
			if _, err := w.github.Commit(t.Context(), "packit/hello", githubfake.Change{Branch: "topic", Message: "Configure", Files: map[string]string{".packit.yaml": config}}); err != nil {
				t.Fatal(err)
			}
			events++ // its own pipeline would take the place of one that is still on its way
			w.theEvent(t, models.PullRequestEvent, events)
		}
		request := models.RerunRequest{Scope: models.ScopeFailed, Current: true}
		if _, err := w.PreviewRerun(t.Context(), first, request); !errors.Is(err, models.ErrNothing) {
			t.Errorf("the config is the same, and the preview: %v", err)
		}
		// A push that is only of the config makes a pipeline of its own, which
		// this test is not about.
		commit(strings.Replace(helloConfig, "targets: [fedora-43, fedora-44]", "targets: [fedora-43, fedora-42]", 1))
		preview, err := w.PreviewRerun(t.Context(), first, request)
		if err != nil {
			t.Fatal(err)
		}
		if preview.Replan == nil || preview.Replan.SHA == e.Commit.SHA || preview.Replan.File != ".packit.yaml" || len(preview.Replan.Changes) == 0 ||
			len(preview.Run) != 1 || preview.Run[0].Target.Name != "fedora-42-x86_64" || len(preview.Removed) != 2 {
			t.Fatalf("preview %+v, replan %+v", preview, preview.Replan)
		}
		ask := asked(first, models.ScopeFailed)
		ask.Current, ask.Seen = true, "another"
		if _, err := w.Rerun(t.Context(), ask); !errors.Is(err, models.ErrNothing) {
			t.Errorf("the config changed since, and the rerun: %v", err)
		}
		ask.Seen = preview.Replan.SHA
		second := rerun(t, w.Runner, ask)
		eventually(t, w.Runner, second, map[string]models.State{
			"pipeline": models.Passed, "copr_build fedora-42-x86_64": models.Passed, "copr_build fedora-43-x86_64": models.Passed, "tests fedora-43-x86_64": models.Passed,
		})
		next := pipeline(t, w.Store, second)
		if next.SHA != e.Commit.SHA || next.Attempt != 2 || next.Runs != 4 || next.Steps[1].Target("fedora-44-x86_64") != nil || !next.Steps[1].Target("fedora-43-x86_64").Reused {
			t.Errorf("the next attempt: %+v", next)
		}
		commit("jobs: [{job: nonsense}]\n")
		_, err = w.PreviewRerun(t.Context(), first, request)
		if bad, ok := errors.AsType[*models.ConfigError](err); !ok || bad.File != ".packit.yaml" || len(bad.Problems) == 0 {
			t.Errorf("with a config that is invalid: %v", err)
		}
		commit("specfile_path: hello.spec\njobs: [{job: copr_build, trigger: release, targets: [fedora-43]}]\n")
		_, err = w.PreviewRerun(t.Context(), first, request)
		if bad, ok := errors.AsType[*models.ConfigError](err); !ok || !strings.Contains(bad.Error(), "plans nothing") || !strings.Contains(bad.Error(), "It waits for a release") {
			t.Errorf("with a config that plans nothing: %v", err)
		}
	})
}
