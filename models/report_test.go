package models

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	pr := &Commit{Kind: PullRequestRef, Ref: "7"}
	branch := &Commit{Kind: BranchRef, Ref: "rel:1"}
	tag := &Commit{Kind: ReleaseRef, Ref: "v1.2"}
	tests := []struct {
		kind       StepKind
		commit     *Commit
		identifier *string
		template   *string
		want       string
	}{
		{CoprBuildStep, pr, nil, nil, "rpm-build:fedora-43-x86_64"},
		{TestsStep, pr, pointer("full"), nil, "testing-farm:fedora-43-x86_64:full"},
		{CoprBuildStep, branch, nil, nil, "rpm-build:rel-1:fedora-43-x86_64"},
		{TestsStep, tag, pointer("x"), nil, "testing-farm:v1.2:fedora-43-x86_64:x"},
		{ProposeStep, tag, nil, nil, "propose-downstream:fedora-43-x86_64"},
		{KojiScratchStep, pr, nil, nil, "koji-build:fedora-43-x86_64"},
		{VMImageStep, pr, nil, nil, "vm-image-build:fedora-43-x86_64"},
		{SRPMStep, pr, nil, nil, ""},
		{CoprBuildStep, branch, pointer("i"), pointer("{job_name} of {package} ({event}) on {chroot} {{{identifier}}}"),
			"rpm-build of widget (rel-1) on fedora-43-x86_64 {i}"},
		{CoprBuildStep, pr, nil, pointer("{job_name}{event}"), "rpm-build"},
		// Templates that cannot be filled in count for nothing.
		{CoprBuildStep, pr, nil, pointer("{job}"), "rpm-build:fedora-43-x86_64"},
		{CoprBuildStep, pr, nil, pointer("{"), "rpm-build:fedora-43-x86_64"},
		{CoprBuildStep, pr, nil, pointer("a } b"), "rpm-build:fedora-43-x86_64"},
		{CoprBuildStep, pr, nil, pointer("{event}"), "rpm-build:fedora-43-x86_64"},
		{CoprBuildStep, pr, nil, pointer(""), "rpm-build:fedora-43-x86_64"},
		// Names are one line.
		{CoprBuildStep, pr, pointer("a\nb\x00c"), nil, "rpm-build:fedora-43-x86_64:a b c"},
	}
	for _, test := range tests {
		v := newView(JobCoprBuild, TriggerPullRequest)
		v.Identifier, v.StatusNameTemplate = test.identifier, test.template
		if got := CheckName(v, test.kind, test.commit, "fedora-43-x86_64"); got != test.want {
			t.Errorf("%s of %s %s: %q, want %q", test.kind, test.commit.Kind, test.commit.Ref, got, test.want)
		}
	}
	v := newView(JobCoprBuild, TriggerPullRequest)
	v.Identifier = pointer(strings.Repeat("ä", 1000))
	if got := CheckName(v, CoprBuildStep, pr, "x"); utf8.RuneCountInString(got) != maxCheckName {
		t.Errorf("a name has %d characters", utf8.RuneCountInString(got))
	}
}

// reported are the checks of a graph: state and title by name.
func reported(g *Graph) map[string]string {
	all := map[string]string{}
	for _, r := range g.Reports("http://mill.test") {
		if !strings.HasPrefix(r.Name, CommentPrefix) {
			all[r.Name] = string(r.Wanted) + ": " + r.Title
		}
	}
	return all
}

// TestReports: what each check says while the pipeline goes on, in the words
// that Packit's users know.
func TestReports(t *testing.T) {
	t.Parallel()
	const building, testing43 = "copr_build:f43", "tests:f43"
	tests := []struct {
		name    string
		mirrors bool
		change  func(srpm, build, test *Run)
		build   string
		test    string
	}{
		{"accepted", true, func(srpm, build, test *Run) {}, "pending: The task was accepted.", "pending: The task was accepted."},
		{"accepted, on its own", false, func(srpm, build, test *Run) {}, "pending: The task was accepted.", "pending: Waiting for RPMs to be built..."},
		{"source submitted", true, func(srpm, build, test *Run) {
			srpm.State, srpm.ExternalID, srpm.Reason = Queued, "1", "SRPM build in Copr was submitted..."
		}, "running: SRPM build in Copr was submitted...", "running: SRPM build in Copr was submitted..."},
		{"source could not be submitted yet", true, func(srpm, build, test *Run) {
			srpm.State, srpm.Reason = Queued, "Try 1 of 8 did not work"
		}, "pending: Try 1 of 8 did not work", "pending: Try 1 of 8 did not work"},
		{"source running", true, func(srpm, build, test *Run) { srpm.State = Running },
			"running: SRPM build is in progress...", "running: SRPM build is in progress..."},
		{"source passed", true, func(srpm, build, test *Run) { srpm.State = Passed },
			"running: SRPM build succeeded. Waiting for RPM build to start...", "running: SRPM build succeeded. Waiting for RPM build to start..."},
		{"source failed", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Failed, Skipped, Skipped },
			"failure: SRPM build failed, check the logs for details.", "failure: SRPM build failed, check the logs for details."},
		{"source failed for a reason", true, func(srpm, build, test *Run) {
			srpm.State, srpm.Reason, build.State, test.State = Failed, "There is\nno spec file.", Skipped, Skipped
		}, "failure: There is no spec file.", "failure: There is no spec file."},
		{"source error", true, func(srpm, build, test *Run) {
			srpm.State, srpm.Reason, build.State, test.State = Error, "Copr is gone.", Skipped, Skipped
		}, "error: Copr is gone.", "error: Copr is gone."},
		{"source canceled", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Canceled, Skipped, Skipped },
			"canceled: The SRPM build was stopped.", "canceled: The SRPM build was stopped."},
		{"build in a queue", true, func(srpm, build, test *Run) {
			srpm.State, build.State, build.ExternalID, build.Reason = Passed, Queued, "1", "In Copr's queue."
		}, "running: SRPM build succeeded. Waiting for RPM build to start...", "running: SRPM build succeeded. Waiting for RPM build to start..."},
		{"build running", true, func(srpm, build, test *Run) { srpm.State, build.State = Passed, Running },
			"running: RPM build is in progress...", "running: RPM build is in progress..."},
		{"build running, tests on their own", false, func(srpm, build, test *Run) { srpm.State, build.State = Passed, Running },
			"running: RPM build is in progress...", "pending: Waiting for RPMs to be built..."},
		{"build passed", true, func(srpm, build, test *Run) { srpm.State, build.State = Passed, Passed },
			"success: RPMs were built successfully.", "pending: RPMs were built successfully."},
		{"build failed", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Passed, Failed, Skipped },
			"failure: RPMs failed to be built.", "failure: RPMs failed to be built."},
		{"no chroot", true, func(srpm, build, test *Run) {
			srpm.State, build.State, build.Reason, test.State = Passed, Error, "Not supported target: f43.", Skipped
		}, "error: Not supported target: f43.", "error: Not supported target: f43."},
		{"build canceled", true, func(srpm, build, test *Run) {
			srpm.State, build.State, build.Reason, test.State = Passed, Canceled, "It was canceled in Copr.", Skipped
		}, "canceled: It was canceled in Copr.", "canceled: It was canceled in Copr."},
		{"tests to be submitted", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Passed, Passed, Queued },
			"success: RPMs were built successfully.", "running: Build succeeded. Submitting the tests ..."},
		{"tests submitted", true, func(srpm, build, test *Run) {
			srpm.State, build.State, test.State, test.Reason = Passed, Passed, Queued, "Tests have been submitted ..."
		}, "success: RPMs were built successfully.", "running: Tests have been submitted ..."},
		{"tests running", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Passed, Passed, Running },
			"success: RPMs were built successfully.", "running: Tests are running ..."},
		{"tests passed", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Passed, Passed, Passed },
			"success: RPMs were built successfully.", "success: Tests passed ..."},
		{"tests failed", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Passed, Passed, Failed },
			"success: RPMs were built successfully.", "failure: Tests failed ..."},
		{"tests failed in the farm's words", true, func(srpm, build, test *Run) {
			srpm.State, build.State, test.State, test.Reason = Passed, Passed, Failed, "plan failed"
		}, "success: RPMs were built successfully.", "failure: plan failed"},
		{"tests skipped", true, func(srpm, build, test *Run) {
			srpm.State, build.State, test.State, test.Reason = Passed, Passed, Skipped, "No FMF metadata found."
		}, "success: RPMs were built successfully.", "neutral: No FMF metadata found."},
		{"tests canceled", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Passed, Passed, Canceled },
			"success: RPMs were built successfully.", "canceled: Tests canceled ..."},
		{"tests error", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Passed, Passed, Error },
			"success: RPMs were built successfully.", "error: It could not be found out."},
		{"superseded", true, func(srpm, build, test *Run) {
			srpm.State, build.State, build.Reason, test.State = Passed, Superseded, "Pipeline 9 took over.", Superseded
		}, "canceled: A newer commit took over.", "canceled: A newer commit took over."},
		{"superseded at the source", true, func(srpm, build, test *Run) { srpm.State, build.State, test.State = Superseded, Superseded, Skipped },
			"canceled: A newer commit took over.", "canceled: A newer commit took over."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := usual()
			g.Steps[2].Mirrors = test.mirrors
			test.change(g.Steps[0].Targets[0].Run, g.Steps[1].Targets[0].Run, g.Steps[2].Targets[0].Run)
			got := reported(g)
			if got[building] != test.build {
				t.Errorf("the build says %q, want %q", got[building], test.build)
			}
			if got[testing43] != test.test {
				t.Errorf("the test says %q, want %q", got[testing43], test.test)
			}
			if len(got) != 4 {
				t.Errorf("reports: %v", got)
			}
		})
	}
}

func TestReportsAreAboutTheirRun(t *testing.T) {
	t.Parallel()
	g := usual()
	run := g.Steps[1].Targets[0].Run
	run.State, run.Reason, run.ExternalURL, run.LogURL = Failed, "A | b\n<c>", "https://copr.test/1", "https://copr.test/log"
	run.Data = RunData{Notes: []string{"Look `here`."}, Tests: &TestSummary{Passed: 1, Failed: 2}}
	reports := g.Reports("http://mill.test")
	got := *reports[0]
	body := got.Body
	got.Body = ""
	want := Report{ProjectID: 2, CommitID: 3, SHA: "abc", Name: "copr_build:f43", PipelineID: 1, RunID: run.ID, EventID: 4,
		Wanted: CheckFailure, Title: "A | b <c>", URL: "http://mill.test/runs/104"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	for _, part := range []string{"| Pipeline | 1, attempt 1 |", "| Target | f43 |", "https://copr.test/log", `A \| b &lt;c>`, "1 passed, 2 failed", "Look 'here'."} {
		if !strings.Contains(body, part) {
			t.Errorf("the body lacks %q:\n%s", part, body)
		}
	}
	g.SHA = ""
	if got := g.Reports(""); got != nil {
		t.Errorf("%d reports about no commit", len(got))
	}
}

// TestReportsShare: jobs that have a check in common show the worse of them.
func TestReportsShare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b State
		want CheckState
	}{
		{Passed, Failed, CheckFailure}, {Failed, Passed, CheckFailure}, {Passed, Running, CheckRunning},
		{Passed, Passed, CheckSuccess}, {Error, Running, CheckError}, {Canceled, Passed, CheckCanceled},
	} {
		g := draw(
			sketch{kind: TestsStep, targets: []string{"f43"}}, sketch{kind: TestsStep, targets: []string{"f43"}},
		)
		g.Steps[0].Targets[0].Run.State, g.Steps[1].Targets[0].Run.State = test.a, test.b
		reports := g.Reports("")
		if len(reports) != 1 || reports[0].Wanted != test.want {
			t.Errorf("%s and %s: %+v, want %s", test.a, test.b, reports, test.want)
		}
	}
}

// commented are the comments of a graph by topic.
func commented(g *Graph) map[string]string {
	all := map[string]string{}
	for _, r := range g.Reports("http://mill.test") {
		if topic, ok := strings.CutPrefix(r.Name, CommentPrefix); ok {
			all[topic] = r.Body
		}
	}
	return all
}

func TestFailureComments(t *testing.T) {
	t.Parallel()
	const template = "{{@ada}} {commit_sha} {packit_dashboard_url} {external_dashboard_url} {logs_url} {what}"
	g := usual()
	g.Steps[1].Notices = &Notices{Failure: template}
	g.Steps[2].Notices = &Notices{Failure: "Tests fail."}
	if got := commented(g); len(got) != 0 {
		t.Errorf("comments before anything failed: %v", got)
	}
	build := g.Steps[1].Targets[0].Run
	build.State, build.ExternalURL = Failed, "https://copr.test/1"
	for _, target := range g.Steps[2].Targets {
		target.Run.State = Failed
	}
	want := map[string]string{
		"failure:copr_build-1": "{@ada} abc http://mill.test/runs/104 https://copr.test/1 {no entry for logs_url} {what}",
		"failure:tests-2":      "Tests fail.", // once, although two failed
	}
	if diff := cmp.Diff(want, commented(g)); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}

	g.Steps[1].Targets[1].Run.State = Failed
	if got := commented(g)["failure:copr_build-1"]; strings.Count(got, "{@ada} abc") != 2 {
		t.Errorf("two failures: %s", got)
	}
	g.Kind = BranchRef
	if got := commented(g); len(got) != 0 {
		t.Errorf("comments on a push: %v", got)
	}

	g = usual()
	g.Steps[1].Notices = &Notices{Failure: "See {logs_url}, {"}
	g.Steps[0].Targets[0].Run.State = Failed
	advance(t, g)
	if got := commented(g); got["failure:copr_build-1"] != "See {logs_url}, {" || len(got) != 1 {
		t.Errorf("a template that cannot be filled in, for a source: %v", got)
	}
}

// TestFailureCommentIsBounded: hundreds of failures do not make a comment that no
// forge takes.
func TestFailureCommentIsBounded(t *testing.T) {
	t.Parallel()
	names := make([]string, 300)
	for i := range names {
		names[i] = strings.Repeat("n", i+1)
	}
	g := draw(sketch{kind: CoprBuildStep, targets: names})
	v := newView(JobCoprBuild, TriggerPullRequest)
	v.Notifications.FailureComment.Message = pointer(strings.Repeat("ä", maxNotice) + "{packit_dashboard_url}")
	g.Steps[0].Notices = noticesOf(v)
	g.Steps[0].Notices.Failure += "{packit_dashboard_url}"
	for _, target := range g.Steps[0].Targets {
		target.Run.State = Failed
	}
	if got := commented(g)["failure:copr_build-0"]; len(got) < maxNotice || len(got) > 65_000 || !utf8.ValidString(got) {
		t.Errorf("the comment has %d bytes", len(got))
	}
}

func TestOtherComments(t *testing.T) {
	t.Parallel()
	g := usual()
	built := g.Steps[1].Targets[0].Run
	built.State, built.Data = Passed, RunData{CoprOwner: "ada", CoprProject: "mill"}
	missing := g.Steps[1].Targets[1].Run
	missing.State, missing.Data = Error, RunData{Unsupported: true, Supported: []string{"fedora-42-x86_64", "fedora-43-x86_64"}}
	got := commented(g)
	if _, ok := got["success"]; ok || len(got) != 1 {
		t.Errorf("nobody asked to hear of success: %v", got)
	}
	if text := got["chroots"]; !strings.Contains(text, "for them: `f44`.") || !strings.Contains(text, "`fedora-42-x86_64`, `fedora-43-x86_64`") {
		t.Errorf("about chroots: %s", text)
	}
	g.Steps[1].Notices = &Notices{Success: true}
	if text := commented(g)["success"]; !strings.Contains(text, "dnf copr enable -y ada/mill\n") {
		t.Errorf("about success: %s", text)
	}
	built.State = Running
	if _, ok := commented(g)["success"]; ok {
		t.Error("success is told before it is there")
	}
}
