package jobs

import (
	"strings"
	"testing"

	"millrace/models"
)

// TestLabelsOfAMerge: whether a merge is built may hang on the labels of its pull
// request in dist-git.
func TestLabelsOfAMerge(t *testing.T) {
	t.Parallel()
	eachChain(t, func(t *testing.T, c *chain) {
		run(t, c.Runner)
		merged := func(name string, labels ...string) *models.Event {
			t.Helper()
			c.pack(t, name, "jobs:\n- {job: koji_build, trigger: commit, dist_git_branches: [fedora-all], require: {label: {present: [build-me]}}}\n")
			pull, _ := c.propose(t, name, "packit", "2")
			if _, err := c.distgit.LabelPull("rpms/"+name, pull.Number, "ada", labels...); err != nil {
				t.Fatal(err)
			}
			if _, err := c.distgit.MergePull(t.Context(), "rpms/"+name, pull.Number, "ada"); err != nil {
				t.Fatal(err)
			}
			return c.decision(t, "the merge in "+name, func(e *models.Event) bool {
				return e.Kind == models.PushEvent && e.Project != nil && e.Project.Name == name && e.Message != nil && e.Message.Branch == "f43" && len(e.Decisions) > 0
			})
		}
		if e := merged("hello", "other"); e.State != models.EventNothing || len(e.Decisions) != 1 || !strings.Contains(e.Decisions[0].Reason, "requires: build-me") {
			t.Errorf("without the label: %s, %s, %+v", e.State, e.Reason, e.Decisions)
		}
		if e := merged("bye", "other", "build-me"); e.State != models.EventPlanned {
			t.Errorf("with the label: %s, %s, %+v", e.State, e.Reason, e.Decisions)
		}
	})
}
