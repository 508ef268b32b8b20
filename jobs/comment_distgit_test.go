package jobs

import (
	"strings"
	"testing"

	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
	"millrace/models"
)

// say writes a comment on a pull request of a package and returns what became of it.
func (c *chain) say(t *testing.T, name string, number int, who, text string) *models.Event {
	t.Helper()
	said, err := c.distgit.CommentPull("rpms/"+name, number, who, text)
	if err != nil {
		t.Fatal(err)
	}
	id := said.Comments[len(said.Comments)-1].ID
	return c.decision(t, text, func(e *models.Event) bool { return e.Kind == models.CommentEvent && e.Message.CommentID == id })
}

// TestCommandsInDistGit: who may can have the branch of a merged pull request built,
// and its newest build made an update.
func TestCommandsInDistGit(t *testing.T) {
	t.Parallel()
	eachChain(t, func(t *testing.T, c *chain) {
		if err := c.distgit.SetGroup("packager", "ada", "bob"); err != nil {
			t.Fatal(err)
		}
		c.pack(t, "hello", `
jobs:
- {job: koji_build, trigger: commit, dist_git_branches: [fedora-all], allowed_pr_authors: []}
- {job: bodhi_update, trigger: koji_build, dist_git_branches: [fedora-all], allowed_builders: []}
`)
		run(t, c.Runner)
		pull, _ := c.propose(t, "hello", "packit", "2")
		if _, err := c.distgit.MergePull(t.Context(), "rpms/hello", pull.Number, "ada"); err != nil {
			t.Fatal(err)
		}
		if e := c.say(t, "hello", pull.Number, "mallory", "/packit koji-build"); e.State != models.EventRefused || !strings.Contains(e.Reason, "packagers") {
			t.Errorf("a stranger: %s, %s", e.State, e.Reason)
		}
		built := c.say(t, "hello", pull.Number, "bob", "/packit koji-build")
		if built.State != models.EventPlanned || len(built.Pipelines) != 1 {
			t.Fatalf("a packager: %s, %s, %+v", built.State, built.Reason, built.Decisions)
		}
		eventually(t, c.Runner, built.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed, "koji_build f43": models.Passed})
		if e := c.say(t, "hello", pull.Number, "bob", "/packit create-update"); e.State != models.EventRefused || !strings.Contains(e.Reason, "commit to the package") {
			t.Errorf("a packager who may not commit: %s, %s", e.State, e.Reason)
		}
		updated := c.say(t, "hello", pull.Number, "ada", "/packit create-update")
		if updated.State != models.EventPlanned || len(updated.Pipelines) != 1 {
			t.Fatalf("a committer: %s, %s, %+v", updated.State, updated.Reason, updated.Decisions)
		}
		eventually(t, c.Runner, updated.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed, "bodhi_update f43": models.Passed})
		if all := c.updates.Updates(); len(all) != 1 || all[0].Builds[0] != "hello-2-1.fc43" {
			t.Errorf("updates: %+v", all)
		}
		if e := c.say(t, "hello", pull.Number, "ada", "/packit build"); e.State != models.EventRefused || !strings.Contains(e.Reason, "upstream") {
			t.Errorf("build: %s, %s", e.State, e.Reason)
		}
	})
}

func TestKojiTagCommand(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		if _, err := c.builds.AddBuild("eve", kojifake.Spec{Name: "lib", Version: "1", Release: "1.fc43"}, "f43-updates"); err != nil {
			t.Fatal(err)
		}
		c.pack(t, "lib", libConfig)
		run(t, c.Runner)
		pull, _ := c.propose(t, "lib", "packit", "2")
		for _, part := range []string{"lib-1-1.fc43 is being tagged with f43-build-side-", "lib-1-1.fc43 is in the side tag"} {
			if e := c.say(t, "lib", pull.Number, "ada", "/packit koji-tag --all-branches"); e.State != models.EventApplied || !strings.Contains(e.Reason, part) {
				t.Errorf("%s, %s, want %s", e.State, e.Reason, part)
			}
			tag, err := c.Store.SideTag(t.Context(), "mill", "f43")
			if err != nil {
				t.Fatal(err)
			}
			soon(t, "the tag", func() (bool, any) {
				builds, err := c.Runner.Koji.Client.Tagged(t.Context(), tag.Name, koji.TaggedFilter{})
				return err == nil && len(builds) == 1, err
			})
		}
	})
}
