package jobs

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"millrace/clients/github/githubfake"
	"millrace/models"
)

// again runs what failed of a pipeline once more, and waits for the end.
func (f *fedora) again(t *testing.T, p *models.Pipeline, want models.State) *models.Pipeline {
	t.Helper()
	id, err := f.Rerun(t.Context(), RerunRequest{
		RerunRequest: models.RerunRequest{Scope: models.ScopeFailed}, Requester: Requester{Actor: "maren", Via: models.ViaButton}, Pipeline: p.ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, f.Runner, id, map[string]models.State{"pipeline": want})
	return pipeline(t, f.Store, id)
}

// tracker makes a repository with issues where the App is installed.
func (w *world) trackerAt(t *testing.T, owner, name string) string {
	t.Helper()
	if _, err := w.github.CreateRepo(t.Context(), owner, name, map[string]string{"README": "Tell us.\n"}, githubfake.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.github.Install(owner); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://%s/%s/%s", w.host, owner, name)
}

// issues are those of a repository: "1 open: title".
func issues(w *world, full string) (lines []string) {
	for _, i := range w.github.Issues(full) {
		lines = append(lines, fmt.Sprintf("%d %s: %s", i.Number, i.State, i.Title))
	}
	return lines
}

// said waits until so many comments are below an issue, and returns them.
func (w *world) said(t *testing.T, full string, number, n int) []githubfake.Comment {
	t.Helper()
	var all []githubfake.Comment
	soon(t, fmt.Sprintf("%d comments on issue %d", n, number), func() (bool, any) {
		all = w.github.Comments(full, number)
		return len(all) >= n, len(all)
	})
	return all
}

// TestFailureIssue: what fails has one open issue, which is told each time that
// it fails again, and closed when it works.
func TestFailureIssue(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		url := w.trackerAt(t, "team", "tracker")
		f.pack(t, pullConfig+"issue_repository: "+url+"\nnotifications: {failure_comment: {message: Ask the team.}}\n", "f44") // there is no f43
		run(t, w.Runner)
		f.announceVersions(t, "1.10")
		event := w.theEvent(t, models.UpstreamVersionEvent, 1)
		first := f.ended(t, event)
		const title = "[packit] Pull from upstream failed for release 1.10"
		soon(t, "the issue", func() (bool, any) {
			got := issues(w, "team/tracker")
			return slices.Equal(got, []string{"1 open: " + title}), got
		})
		text := w.github.Issues("team/tracker")[0].Body
		for _, part := range []string{
			"Packit failed on creating pull-requests in dist-git (" + event.Project.URL + "):", "<td><code>f43</code></td><td>The package has no branch f43 in dist-git.",
			"(`/packit pull-from-upstream`) into this issue", fmt.Sprintf("%s/pipelines/%d", w.Base, first.ID), "\n---\nAsk the team.",
		} {
			if !strings.Contains(text, part) {
				t.Errorf("the issue does not say %q:\n%s", part, text)
			}
		}
		if strings.Contains(text, "<code>rawhide</code>") {
			t.Errorf("the issue is about rawhide, which passed:\n%s", text)
		}

		second := f.again(t, first, models.Failed)
		f.repeatReports(t) // jobs come twice, and at once
		comments := w.said(t, "team/tracker", 1, 1)
		if !strings.Contains(comments[0].Body, fmt.Sprintf("/pipelines/%d", second.ID)) {
			t.Errorf("the comment says %s", comments[0].Body)
		}
		if err := f.distGit.Branch(t.Context(), "rpms/hello", "f43", ""); err != nil {
			t.Fatal(err)
		}
		f.again(t, second, models.Passed)
		f.repeatReports(t)
		soon(t, "the issue is closed", func() (bool, any) {
			got := issues(w, "team/tracker")
			return slices.Equal(got, []string{"1 closed: " + title}), got
		})
		f.repeatReports(t)
		if comments = w.github.Comments("team/tracker", 1); len(comments) != 2 || !strings.Contains(comments[1].Body, "are there now") {
			t.Errorf("%d comments: %v", len(comments), comments)
		}
	})
}

// repeatReports does the jobs of all reports again, several at once.
func (f *fedora) repeatReports(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	for id := int64(1); id <= 60; id++ {
		if _, err := f.Store.Report(t.Context(), id); err != nil {
			continue
		}
		for range 3 {
			all.Go(func() {
				if err := f.report(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
}

// TestFailureIssueUpstream: failures of proposals are told upstream, unless the
// config does not want that.
func TestFailureIssueUpstream(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, "")
		run(t, w.Runner)
		config := "specfile_path: hello.spec\njobs:\n- {job: propose_downstream, trigger: release, dist_git_branches: [f43]}\n"
		for owner, settings := range map[string]string{"ada": "", "bob": "notifications: {failure_issue: {create: false}}\n"} {
			files := map[string]string{"hello.spec": "Name: hello\nVersion: 2.0\n", ".packit.yaml": settings + config}
			if _, err := w.github.CreateRepo(t.Context(), owner, "hello", files, githubfake.RepoOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.github.Install(owner); err != nil {
				t.Fatal(err)
			}
			if _, err := w.github.PublishRelease(t.Context(), owner+"/hello", githubfake.NewRelease{Tag: "2.0"}); err != nil {
				t.Fatal(err)
			}
			full := owner + "/hello"
			soon(t, "the check", func() (bool, any) {
				got := w.checks(full, "")
				return got["propose-downstream:f43"] == "completed failure", got
			})
		}
		soon(t, "the issue", func() (bool, any) {
			got := issues(w, "ada/hello")
			return slices.Equal(got, []string{"1 open: [packit] Propose downstream failed for release 2.0"}), got
		})
		if got := issues(w, "bob/hello"); len(got) != 0 {
			t.Errorf("bob wants no issues, and got %v", got)
		}
	})
}
