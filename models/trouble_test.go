package models

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const teamTracker = "https://github.com/team/tracker"

// chainGraph is a pipeline of one kind of the release chain on a branch of
// dist-git.
func chainGraph(kind StepKind, branches ...string) (*Graph, Telling) {
	g := draw(sketch{kind: kind, targets: branches})
	g.ProjectID, g.Package, g.Kind, g.Ref, g.SHA = 3, "hello", BranchRef, "f43", "abc"
	g.Steps[0].Notices = &Notices{Issues: teamTracker}
	project := &Project{ID: 3, Forge: "src.fedoraproject.org", Namespace: "rpms", Name: "hello", URL: "https://src.fedoraproject.org/rpms/hello"}
	return g, Telling{
		Base: "http://mill.test", Prefix: "/packit", Project: project, Event: &Event{Kind: PushEvent}, Pull: 7,
		Hears: func(p *Project) bool { return p.Forge == "github.com" },
	}
}

// told are reports in short.
func told(reports []*Report) []string {
	lines := []string{}
	for _, r := range reports {
		line := string(r.Wanted) + " " + r.Name
		if r.Thing != "" {
			line += " " + r.Tracker.Path() + " " + r.Title
		}
		if r.IfFailing {
			line += " if failing"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	const build, built = "koji_build/hello//f43", "koji_build/hello//f43/built"
	const triggerTitle = " github.com/team/tracker [packit] Fedora Koji build failed to be triggered for hello"
	for _, tt := range []struct {
		name  string
		kind  StepKind
		state State
		id    string
		want  []string
	}{
		{"a build that runs", KojiBuildStep, Running, "", []string{}},
		{"a build that was stopped", KojiBuildStep, Canceled, "", []string{}},
		{"a build that cannot be triggered", KojiBuildStep, Error, "", []string{
			"failure issue:3/" + build + triggerTitle, "failure comment:" + build,
		}},
		{"a build that fails", KojiBuildStep, Failed, "77", []string{
			"success issue:3/" + build + triggerTitle + " if failing", "success comment:" + build + " if failing",
			"failure issue:3/" + built + " github.com/team/tracker [packit] Fedora Koji build failed for hello", "failure comment:" + built,
		}},
		{"a build that passes", KojiBuildStep, Passed, "77", []string{
			"success issue:3/" + build + triggerTitle + " if failing", "success comment:" + build + " if failing",
			"success issue:3/" + built + " github.com/team/tracker [packit] Fedora Koji build failed for hello if failing", "success comment:" + built + " if failing",
		}},
		{"an update that cannot be created", BodhiUpdateStep, Failed, "", []string{
			"failure issue:3/bodhi_update/hello//f43 github.com/team/tracker [packit] Fedora Bodhi update failed to be created for hello",
			"failure comment:bodhi_update/hello//f43",
		}},
		{"a proposal that fails", PullFromUpstreamStep, Failed, "", []string{
			"failure issue:3/pull_from_upstream/hello//f43 github.com/team/tracker [packit] Pull from upstream failed for release f43",
		}},
		{"a proposal that is not due", PullFromUpstreamStep, Skipped, "", []string{}},
		{"a scratch build is not on the way", KojiScratchStep, Failed, "77", []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, telling := chainGraph(tt.kind, "f43")
			g.Steps[0].Targets[0].Run.State, g.Steps[0].Targets[0].Run.ExternalID = tt.state, tt.id
			if diff := cmp.Diff(tt.want, told(g.Troubles(telling))); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTroubleOfSeveralBranches: proposals are one thing, which is told when all
// branches are at their ends.
func TestTroubleOfSeveralBranches(t *testing.T) {
	t.Parallel()
	g, telling := chainGraph(PullFromUpstreamStep, "rawhide", "f43")
	first, second := g.Steps[0].Targets[0].Run, g.Steps[0].Targets[1].Run
	first.State, first.Reason = Failed, "It <fails> for @ada and `bob`."
	second.State = Running
	if got := told(g.Troubles(telling)); len(got) != 0 {
		t.Errorf("told too early: %v", got)
	}
	second.State = Passed
	reports := g.Troubles(telling)
	if len(reports) != 1 || reports[0].Wanted != CheckFailure {
		t.Fatalf("told %v", told(reports))
	}
	text := reports[0].Body
	if !strings.Contains(text, "<td>It &lt;fails&gt; for @<!-- -->ada and 'bob'. See ") || strings.Contains(text, "rawhide</code></td><td>It failed") {
		t.Errorf("the text is\n%s", text)
	}
	if !strings.Contains(text, "adding a comment (`/packit pull-from-upstream`) into this issue") {
		t.Errorf("the text does not say what to do:\n%s", text)
	}
	telling.Hears = nil
	if text = g.Troubles(telling)[0].Body; strings.Contains(text, "adding a comment") || !strings.Contains(text, "You can retrigger it on http://mill.test/pipelines/") {
		t.Errorf("nobody hears comments there, and the text says\n%s", text)
	}
	for _, none := range []*Notices{nil, {}, {Issues: "no address"}} {
		g.Steps[0].Notices = none
		if got := told(g.Troubles(telling)); len(got) != 0 {
			t.Errorf("with %+v it is told: %v", none, got)
		}
	}
}

func TestIssuesOf(t *testing.T) {
	t.Parallel()
	set := func(job JobType, create bool, repository *string) string {
		v := newView(job, TriggerRelease)
		v.Notifications.FailureIssue.Create, v.IssueRepository = create, repository
		return issuesOf(v)
	}
	url := pointer(teamTracker)
	for _, tt := range []struct{ got, want string }{
		{set(JobProposeDownstream, true, nil), IssuesHere},
		{set(JobProposeDownstream, false, url), ""},
		{set(JobPullFromUpstream, true, nil), ""},
		{set(JobPullFromUpstream, false, url), teamTracker},
		{set(JobKojiBuild, true, url), teamTracker},
		{set(JobBodhiUpdate, true, url), teamTracker},
		{set(JobCoprBuild, true, url), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
