package jobs

import (
	"strings"
	"testing"

	"millrace/clients/git/fakeforge"
	"millrace/models"
)

// proposed is the pull request of the package, and what was said about it.
func (f *fedora) proposed(t *testing.T) (fakeforge.Pull, []string) {
	t.Helper()
	all, err := f.distGit.Pulls("rpms/hello")
	if err != nil || len(all) != 1 {
		t.Fatalf("%d pull requests, %v", len(all), err)
	}
	var said []string
	for _, c := range all[0].Comments {
		if !c.Notification {
			said = append(said, c.Text)
		}
	}
	return *all[0], said
}

// TestDescriptionIsLeftToPeople: what we wrote is written anew for each release; what
// somebody edited stays, and a comment says what is new, once.
func TestDescriptionIsLeftToPeople(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, f *fedora) {
		f.pack(t, "jobs:\n- {job: pull_from_upstream, trigger: release}\n"+
			"- {job: koji_build, trigger: commit, dist_git_branches: [rawhide], allowed_pr_authors: [packit, maren]}\n")
		run(t, f.Runner)
		bring := func(n int, version string) *models.Pipeline {
			f.announceVersions(t, version)
			return f.ended(t, f.theEvent(t, models.UpstreamVersionEvent, n))
		}
		bring(1, "2.0")
		pull, _ := f.proposed(t)
		for _, want := range []string{
			"git clone --branch rawhide-update-pull_from_upstream " + f.forge.URL + "/", "git remote set-url --push origin ",
			"among `allowed_pr_authors` of the package's job `koji_build`: `packit`, `maren`. What is pushed to `rawhide`",
		} {
			if !strings.Contains(pull.Body, want) {
				t.Errorf("the body lacks %q:\n%s", want, pull.Body)
			}
		}
		bring(2, "3.0")
		second, said := f.proposed(t)
		if second.Body == pull.Body || second.Title != "Update rawhide to upstream release 3.0" || len(said) != 0 {
			t.Errorf("the second release: %s\n%s\n%q", second.Title, second.Body, said)
		}
		const edited = "Please wait for the soname bump.\r\n\r\nThank you."
		if _, err := f.distGit.EditPull("rpms/hello", pull.Number, "packit", second.Title, edited); err != nil {
			t.Fatal(err)
		}
		p := bring(3, "4.0")
		third, said := f.proposed(t)
		if third.Body != edited || third.Title != "Update rawhide to upstream release 4.0" || len(said) != 1 ||
			!strings.HasPrefix(said[0], "This pull request brings version 4.0 now.\n") || !strings.Contains(said[0], "("+f.propose.runURL(p.Steps[0].Targets[0].Run)+")") {
			t.Errorf("the third release: %s\n%s\n%q", third.Title, third.Body, said)
		}
		again, err := f.Rerun(t.Context(), RerunRequest{
			RerunRequest: models.RerunRequest{Scope: models.ScopeAll}, Requester: Requester{Actor: "maren", Via: models.ViaButton}, Pipeline: p.ID,
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, f.Runner, again, map[string]models.State{"pipeline": models.Passed})
		if last, said := f.proposed(t); last.Body != edited || len(said) != 1 {
			t.Errorf("after a rerun: %s\n%q", last.Body, said)
		}
	})
}
