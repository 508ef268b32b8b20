package jobs

import (
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
	"millrace/jobs/sandbox"
	"millrace/jobs/sources"
	"millrace/models"
)

// conditions are what packages can decide by, in a sandbox that is there or not.
func conditions(t *testing.T, box *sandbox.Sandbox) *Conditions {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { sandbox.RemoveAll(dir) })
	return &Conditions{DataDir: dir, Builder: &sources.Builder{Git: &git.Git{}, Sandbox: box, Timeout: time.Minute}}
}

// TestBuildIsConditional: the package's no ends a build before Koji hears of it,
// with the log of who said so.
func TestBuildIsConditional(t *testing.T) {
	t.Parallel()
	needTools(t)
	onChain(t, func(t *testing.T, c *chain) {
		c.Runner.Koji.Conditions = conditions(t, &oneSandbox)
		c.pack(t, "hello", buildConfig+`
actions:
  run-condition: bash -c 'echo "looking at $PACKIT_PROJECT_VERSION"; grep -q "^$PACKIT_PROJECT_VERSION$" $PACKIT_DOWNSTREAM_REPO/wanted'
clone_repos_before_run_condition: true
`)
		run(t, c.Runner)
		sha := c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		no := c.pushed(t, "hello", sha)
		skipped := c.ends(t, no, models.Skipped, "The action run-condition says no: its command bash -c")
		if n := c.submissions(); n != 0 {
			t.Errorf("Koji was asked for %d builds", n)
		}
		log, err := c.Store.LogLines(t.Context(), skipped.ID, 1, 100)
		if err != nil || !slices.Contains(log, "looking at 2") {
			t.Errorf("the log is %q, %v", log, err)
		}
		e, err := c.Store.Event(t.Context(), c.pipeline(t, no).EventID)
		if err != nil || len(e.Decisions) != 1 || !e.Decisions[0].Planned || !strings.Contains(e.Decisions[0].Condition, "run-condition") {
			t.Errorf("decisions: %+v, %v", e.Decisions, err)
		}
		sha = c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "3"), "wanted": "3\n"})
		eventually(t, c.Runner, c.pushed(t, "hello", sha), map[string]models.State{"pipeline": models.Passed})
	})
}

// TestUpdateIsConditional: an update waits for the package's yes, too.
func TestUpdateIsConditional(t *testing.T) {
	t.Parallel()
	needTools(t)
	onChain(t, func(t *testing.T, c *chain) {
		c.Runner.Koji.Conditions = conditions(t, &oneSandbox)
		c.pack(t, "hello", `
jobs:
- {job: koji_build, trigger: commit, dist_git_branches: [fedora-all], allowed_committers: [ada], actions: {run-condition: []}}
- job: bodhi_update
  trigger: koji_build
  dist_git_branches: [fedora-all]
  clone_repos_before_run_condition: true
  actions: {run-condition: ["bash -c 'test $PACKIT_PROJECT_VERSION != 2'", "grep -q 'Version: 3' hello.spec"]}
`)
		run(t, c.Runner)
		eventually(t, c.Runner, c.pushed(t, "hello", c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})), map[string]models.State{"pipeline": models.Passed})
		c.ends(t, c.planOfBuild(t, "hello", "hello-2-1.fc43"), models.Skipped, "ended with exit status 1.")
		if made := c.updates.Updates(); len(made) != 0 {
			t.Fatalf("updates: %+v", made)
		}
		eventually(t, c.Runner, c.pushed(t, "hello", c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "3")})), map[string]models.State{"pipeline": models.Passed})
		c.ends(t, c.planOfBuild(t, "hello", "hello-3-1.fc43"), models.Passed, "")
		if made := c.updates.Updates(); len(made) != 1 {
			t.Errorf("updates: %+v", made)
		}
	})
}

// TestConditionThatCannotBeAsked: without a sandbox nobody's commands run, and that
// is not the package's no.
func TestConditionThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "hello", buildConfig+"\nactions: {run-condition: 'true'}\n")
		run(t, c.Runner)
		push := func(version string) int64 {
			return c.pushed(t, "hello", c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", version)}))
		}
		c.ends(t, push("2"), models.Error, "this service runs no commands of packages")
		c.Runner.Koji.Conditions = conditions(t, &sandbox.Sandbox{Bwrap: "/nonexistent/bwrap"})
		c.ends(t, push("3"), models.Error, "without a sandbox")
		if n := c.submissions(); n != 0 {
			t.Errorf("Koji was asked for %d builds", n)
		}
	})
}

// TestPullIsConditional: nothing is proposed where the package says no, nor what
// would follow from there.
func TestPullIsConditional(t *testing.T) {
	t.Parallel()
	needTools(t)
	onSQLite(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.propose.Builder.Sandbox = &oneSandbox
		f.pack(t, pullConfig+`
actions: {run-condition: "bash -c 'echo $PACKIT_PROJECT_VERSION; ! test -f only-on-rawhide'"}
clone_repos_before_run_condition: true
`, "f44", "f43")
		if _, err := f.distGit.Commit(t.Context(), "rpms/hello", fakeforge.Change{Files: map[string]string{"only-on-rawhide": "x"}}); err != nil {
			t.Fatal(err)
		}
		run(t, w.Runner)
		f.announceVersions(t, "1.9")
		p := f.ended(t, w.theEvent(t, models.UpstreamVersionEvent, 1))
		want := []string{
			"pull_from_upstream rawhide skipped The action run-condition says no: its command bash -c 'echo $PACKIT_PROJECT_VERSION; ! test -f only-on-rawhide' ended with exit status 1.",
			"pull_from_upstream f43 passed",
			"pull_from_upstream~2 f44 skipped It needs the dist-git pull request of rawhide, which was skipped.",
		}
		if diff := gocmp.Diff(want, outcomeOf(p)); diff != "" {
			t.Error(diff)
		}
		if diff := gocmp.Diff([]string{"f43 open: Update f43 to upstream release 1.9"}, f.pulls(t)); diff != "" {
			t.Error(diff)
		}
	})
}
