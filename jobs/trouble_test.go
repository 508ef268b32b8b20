package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"millrace/clients/anitya"
	"millrace/clients/git/fakeforge"
	"millrace/clients/github/githubfake"
	"millrace/clients/koji/kojifake"
	"millrace/clients/pagure"
	"millrace/models"
	"millrace/models/store"
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
		if e := w.sayOn(t, "team/tracker", 1, "mallory", "/packit pull-from-upstream"); e.State != models.EventRefused {
			t.Errorf("a stranger: %s, %s", e.State, e.Reason)
		}
		e := w.sayOn(t, "team/tracker", 1, "team", "/packit pull-from-upstream")
		if e.State != models.EventApplied {
			t.Fatalf("the team: %s, %s", e.State, e.Reason)
		}
		if third := w.attempt(t, first, 3); third.State != models.Passed || len(reused(third)) != 2 {
			t.Errorf("attempt 3 is %s, reuses %v", third.State, reused(third))
		}
		f.repeatReports(t)
		soon(t, "the issue is closed", func() (bool, any) {
			got := issues(w, "team/tracker")
			return slices.Equal(got, []string{"1 closed: " + title}), got
		})
		f.repeatReports(t)
		told := ourComments(w, "team/tracker", 1)
		if worked := slices.DeleteFunc(told, func(c string) bool { return !strings.Contains(c, "are there now") }); len(worked) != 1 {
			t.Errorf("it is said %d times that it works: %q", len(worked), told)
		}
	})
}

// ourComments are what we said below an issue.
func ourComments(w *world, full string, number int) (texts []string) {
	for _, c := range w.github.Comments(full, number) {
		if strings.Contains(c.Body, strings.TrimSpace(commentMark)) {
			texts = append(texts, c.Body)
		}
	}
	return texts
}

// sayOn writes a comment on an issue or pull request and returns what became of it.
func (w *world) sayOn(t *testing.T, full string, number int, who, text string) *models.Event {
	t.Helper()
	c, err := w.github.Comment(full, number, who, text)
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
		return false, "none yet"
	})
	return e
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
			files := map[string]string{"hello.spec": specOf("hello", "2.0"), ".packit.yaml": settings + config}
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

		if err := f.distGit.Branch(t.Context(), "rpms/hello", "f43", ""); err != nil {
			t.Fatal(err)
		}
		if e := w.sayOn(t, "ada/hello", 1, "ada", "/packit propose-downstream"); e.State != models.EventApplied {
			t.Fatalf("the issue about the failure: %s, %s", e.State, e.Reason)
		}
		soon(t, "the issue is closed", func() (bool, any) {
			got := issues(w, "ada/hello")
			return slices.Equal(got, []string{"1 closed: [packit] Propose downstream failed for release 2.0"}), got
		})
	})
}

// TestProposeOnAnIssue: whoever can merge has the newest release proposed by a
// comment on any issue.
func TestProposeOnAnIssue(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, "", "f43")
		run(t, w.Runner)
		files := map[string]string{
			"hello.spec":   specOf("hello", "2.0"),
			".packit.yaml": "specfile_path: hello.spec\njobs:\n- {job: propose_downstream, trigger: release, dist_git_branches: [f43], manual_trigger: true}\n",
		}
		if _, err := w.github.CreateRepo(t.Context(), "ada", "hello", files, githubfake.RepoOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.github.Install("ada"); err != nil {
			t.Fatal(err)
		}
		issue, err := w.github.OpenIssue("ada/hello", "eve", "Fedora is behind", "Please.")
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			who, text string
			want      models.EventState
			reason    string
		}{
			{"eve", "/packit propose-downstream", models.EventRefused, "those who may merge"},
			{"ada", "/packit propose-downstream", models.EventNothing, "There is no release yet."},
			{"ada", "/packit koji-build", models.EventRefused, "not about something that failed"},
		} {
			if e := w.sayOn(t, "ada/hello", issue.Number, tt.who, tt.text); e.State != tt.want || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("%s by %s: %s, %s", tt.text, tt.who, e.State, e.Reason)
			}
		}
		if _, err := w.github.PublishRelease(t.Context(), "ada/hello", githubfake.NewRelease{Tag: "2.0"}); err != nil {
			t.Fatal(err)
		}
		e := w.sayOn(t, "ada/hello", issue.Number, "ada", "/packit propose-downstream")
		if e.State != models.EventPlanned {
			t.Fatalf("the newest release: %s, %s, %+v", e.State, e.Reason, e.Decisions)
		}
		if p := f.ended(t, e); p.State != models.Passed || p.Ref != "2.0" {
			t.Fatalf("%s: %v", p.Ref, outcomeOf(p))
		}
		if got := f.pulls(t); !slices.Equal(got, []string{"f43 open: Update f43 to upstream release 2.0"}) {
			t.Errorf("pull requests: %v", got)
		}
		soon(t, "the answer on the issue", func() (bool, any) {
			all := ourComments(w, "ada/hello", issue.Number)
			return len(all) > 0 && strings.Contains(all[len(all)-1], "/pipelines/"), all
		})
	})
}

// watching is a release monitoring that knows the newest versions of packages.
type watching map[string]string

func (w watching) Project(_ context.Context, _, pkg string) (*anitya.Project, error) {
	return &anitya.Project{Version: w[pkg]}, nil
}

// TestPullFromUpstreamCommand: a packager has a version brought to dist-git by a
// comment on a pull request there, with bugs, by the config of the pull request.
func TestPullFromUpstreamCommand(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, "jobs:\n- {job: pull_from_upstream, trigger: release, dist_git_branches: [f43]}\n", "f43")
		if err := f.distGit.SetGroup("packager", "maren"); err != nil {
			t.Fatal(err)
		}
		w.Monitoring = watching{"hello": "3.0"}
		run(t, w.Runner)
		_, err := f.distGit.Commit(t.Context(), "rpms/hello", fakeforge.Change{Branch: "topic", From: "rawhide", Files: map[string]string{
			".packit.yaml": "jobs:\n- {job: pull_from_upstream, trigger: release, dist_git_branches: [rawhide]}\n",
		}})
		if err != nil {
			t.Fatal(err)
		}
		topic, err := f.distGit.OpenPull(t.Context(), "rpms/hello", fakeforge.NewPull{
			Title: "Take rawhide", Author: "maren", Branch: "rawhide", HeadRepo: "rpms/hello", HeadBranch: "topic",
		})
		if err != nil {
			t.Fatal(err)
		}
		say := func(who, text string) *models.Event {
			said, err := f.distGit.CommentPull("rpms/hello", topic.Number, who, text)
			if err != nil {
				t.Fatal(err)
			}
			id := said.Comments[len(said.Comments)-1].ID
			var e *models.Event
			soon(t, "a decision about "+text, func() (bool, any) {
				for n := int64(1); n < 200; n++ {
					if e, err = w.Store.Event(t.Context(), n); err == nil && e.Kind == models.CommentEvent && e.Message.CommentID == id {
						return e.State != models.EventNew, e.State
					}
				}
				return false, "none yet"
			})
			return e
		}
		if e := say("bob", "/packit pull-from-upstream"); e.State != models.EventRefused || !strings.Contains(e.Reason, "packagers") {
			t.Errorf("a stranger: %s, %s", e.State, e.Reason)
		}
		for _, tt := range []struct{ text, branch, version, bug string }{
			{"/packit pull-from-upstream --version 2.0 --resolve-bug rhbz#7,rhbz#8", "f43", "2.0", "[rhbz#8]("},
			{"/packit pull-from-upstream", "f43", "3.0", ""},
			{"/packit pull-from-upstream --with-pr-config", "rawhide", "3.0", ""},
		} {
			e := say("maren", tt.text)
			if e.State != models.EventPlanned {
				t.Fatalf("%s: %s, %s, %+v", tt.text, e.State, e.Reason, e.Decisions)
			}
			if p := f.ended(t, e); p.State != models.Passed {
				t.Fatalf("%s: %v", tt.text, outcomeOf(p))
			}
			pulls, err := f.distGit.Pulls("rpms/hello")
			if err != nil {
				t.Fatal(err)
			}
			title := fmt.Sprintf("Update %s to upstream release %s", tt.branch, tt.version)
			if !slices.ContainsFunc(pulls, func(p *fakeforge.Pull) bool { return p.Title == title && strings.Contains(p.Body, tt.bug) }) {
				t.Errorf("%s: no pull request %q that resolves %q", tt.text, title, tt.bug)
			}
		}
	})
}

// TestPullIsTold: the pull request that a build came from is told that it failed,
// and that it works later.
func TestPullIsTold(t *testing.T) {
	t.Parallel()
	eachChain(t, func(t *testing.T, c *chain) {
		url := c.trackerAt(t, "team", "tracker")
		c.pack(t, "hello", "issue_repository: "+url+"\njobs:\n- {job: koji_build, trigger: commit, dist_git_branches: [fedora-all], allowed_pr_authors: [packit]}\n")
		run(t, c.Runner)
		c.builds.SetFaults(kojifake.Faults{Fail: []string{"srpm"}})
		pull, _ := c.propose(t, "hello", "packit", "2")
		if _, err := c.distgit.MergePull(t.Context(), "rpms/hello", pull.Number, "ada"); err != nil {
			t.Fatal(err)
		}
		const title = "1 %s: [packit] Fedora Koji build failed for hello"
		soon(t, "the issue", func() (bool, any) {
			got := issues(c.world, "team/tracker")
			return slices.Equal(got, []string{fmt.Sprintf(title, "open")}), got
		})
		comments := func() (texts []string) {
			all, err := c.distgit.Pulls("rpms/hello")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range all {
				for _, said := range p.Comments {
					if said.Author == "packit" {
						texts = append(texts, said.Text)
					}
				}
			}
			return texts
		}
		soon(t, "the comment", func() (bool, any) {
			all := comments()
			return len(all) == 1 && strings.Contains(all[0], "adding a comment (`/packit koji-build`) into this pull request"), all
		})
		c.builds.SetFaults(kojifake.Faults{})
		if e := c.sayOn(t, "team/tracker", 1, "team", "/packit koji-build"); e.State != models.EventApplied {
			t.Fatalf("the team: %s, %s", e.State, e.Reason)
		}
		soon(t, "the issue is closed", func() (bool, any) {
			got := issues(c.world, "team/tracker")
			return slices.Equal(got, []string{fmt.Sprintf(title, "closed")}), got
		})
		soon(t, "the pull request is told", func() (bool, any) {
			all := comments()
			return strings.Contains(all[len(all)-1], "The Koji build is complete now."), all
		})
	})
}

// TestPagureTracker: issues are told in a Pagure that is nothing but a tracker,
// where things that share a title share an issue.
func TestPagureTracker(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		f := newFedora(t, w) // its Pagure has issues too, if they are switched on
		if err := f.distGit.CreateRepo(t.Context(), "team/tracker", "maren"); err != nil {
			t.Fatal(err)
		}
		if err := f.distGit.SwitchIssues("team/tracker", true); err != nil {
			t.Fatal(err)
		}
		at, err := models.ParseProjectURL(w.Packages.URL + "/team/tracker")
		if err != nil {
			t.Fatal(err)
		}
		commit := storedCommit(t, w, w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"}))
		delete(w.Forges, w.Packages.Host)
		w.Trackers = map[string]Tracker{w.Packages.Host: Pagure{Client: w.Packages.DistGit.(*pagure.Client), User: "packit"}}
		run(t, w.Runner)
		say := func(thing string, state models.CheckState, body string) {
			t.Helper()
			err := w.Store.InTx(t.Context(), func(tx *store.Tx) error {
				return w.wantTrouble(t.Context(), tx, &models.Report{
					CommitID: commit.ID, SHA: commit.SHA, Name: models.IssuePrefix + thing, Thing: thing, Tracker: at,
					Wanted: state, Title: "[packit] It failed", Body: body, IfFailing: state == models.CheckSuccess,
				})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		look := func(want string) {
			t.Helper()
			soon(t, want, func() (bool, any) {
				all, err := f.distGit.Issues("team/tracker")
				if err != nil {
					return false, err
				}
				var lines []string
				for _, i := range all {
					line := fmt.Sprintf("%s closed=%t %s", i.Title, i.Closed, i.Body)
					for _, c := range i.Comments {
						line += "; " + c.Text
					}
					lines = append(lines, line)
				}
				got := strings.Join(lines, "\n")
				return got == want, got
			})
		}
		say("one", models.CheckFailure, "One.")
		look("[packit] It failed closed=false One.")
		say("two", models.CheckFailure, "Two.")
		look("[packit] It failed closed=false One.; Two.")
		say("one", models.CheckSuccess, "One works.")
		look("[packit] It failed closed=false One.; Two.; One works.")
		say("two", models.CheckSuccess, "Two works.")
		look("[packit] It failed closed=true One.; Two.; One works.; Two works.")
		say("one", models.CheckFailure, "One, again.")
		look("[packit] It failed closed=false One, again.\n[packit] It failed closed=true One.; Two.; One works.; Two works.")
	})
}
