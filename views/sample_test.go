package views

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/models"
	"millrace/static"

	"github.com/a-h/templ"
)

var sampleNow = time.Date(2026, 5, 14, 9, 30, 41, 0, time.UTC)

func ago(d time.Duration) time.Time { return sampleNow.Add(-d) }

// sampleContext has a frame as middleware makes it.
func sampleContext(change ...func(*Frame)) context.Context {
	f := Frame{Version: "0.4.0", Now: sampleNow, Path: "/pipelines/731", LastEvent: 9001, Source: "https://forge.example/millrace"}
	for _, c := range change {
		c(&f)
	}
	return WithFrame(context.Background(), f)
}

func sampleProject() *models.Project {
	return &models.Project{ID: 7, Forge: "github.com", Namespace: "tidewater", Name: "ferryman", URL: "https://github.com/tidewater/ferryman", DefaultBranch: "main", ActiveAt: ago(8 * time.Minute)}
}

func sampleCommit() *models.Commit {
	return &models.Commit{ID: 11, ProjectID: 7, Kind: models.PullRequestRef, Ref: "214", SHA: "c41f0e7d2a90b3358e6f1d20947acb18d5530f66", Title: "Keep the rope taut while the ferry waits", TargetRef: "main", Author: "ahlberg", Project: sampleProject()}
}

// target is short for a target and its run.
func target(id int64, name string, state models.State, started, took time.Duration) *models.Target {
	r := &models.Run{ID: id, Target: name, State: state, CreatedAt: ago(9 * time.Minute)}
	if state != models.Waiting && state != models.Skipped {
		r.QueuedAt = ago(started + 20*time.Second)
	}
	if started > 0 && state != models.Queued {
		r.StartedAt = ago(started)
	}
	if state.Finished() && started > 0 {
		r.FinishedAt = r.StartedAt.Add(took)
	}
	return &models.Target{ID: id, Name: name, RunID: id, Run: r}
}

const m = time.Minute

func samplePipeline() *models.Pipeline {
	srpm := &models.Step{ID: 1, Kind: models.SRPMStep, Name: "srpm", State: models.Passed,
		Targets: []*models.Target{target(100, "source", models.Passed, 8*m, 48*time.Second)}}
	srpm.Targets[0].Reused = true
	copr := &models.Step{ID: 2, Kind: models.CoprBuildStep, Name: "copr_build", State: models.Running, Needs: []*models.Need{{StepID: 2, NeedsID: 1}},
		Targets: []*models.Target{
			target(101, "epel-9-x86_64", models.Failed, 7*m, 66*time.Second),
			target(102, "fedora-43-x86_64", models.Passed, 7*m, 221*time.Second),
			target(103, "fedora-43-aarch64", models.Running, 7*m, 0),
			target(104, "fedora-44-x86_64", models.Passed, 7*m, 192*time.Second),
			target(105, "fedora-rawhide-x86_64", models.Passed, 7*m, 242*time.Second),
		}}
	for _, t := range copr.Targets {
		t.Run.Kind, t.Run.ExternalID, t.Run.ExternalURL = models.CoprBuildStep, "5510042", "https://copr.fedorainfracloud.org/coprs/build/5510042"
	}
	failed := copr.Targets[0].Run
	failed.Reason = "exit status 1 in %build: the compiler is older than what the project asks for"
	failed.Data = models.RunData{LogLine: 1435, LogTail: "-- Detecting C compiler ABI info - done\n+ /usr/bin/cmake -S . -B redhat-linux-build\nCMake Error at CMakeLists.txt:3 (cmake_minimum_required):\n  CMake 3.29 or higher is required.\nerror: Bad exit status from /var/tmp/rpm-tmp.e6TqLk (%build)\n", CoprOwner: "tidewater", CoprProject: "ferryman-214", NVR: "ferryman-3.2-1.20260514.pr214.el9"}
	tests := &models.Step{ID: 3, Kind: models.TestsStep, Name: "tests:basic", Identifier: "basic", State: models.Running, Needs: []*models.Need{{StepID: 3, NeedsID: 2, PerTarget: true}},
		Targets: []*models.Target{
			target(111, "epel-9-x86_64", models.Skipped, 0, 0),
			target(112, "fedora-43-x86_64", models.Running, 3*m, 0),
			target(113, "fedora-43-aarch64", models.Waiting, 0, 0),
			target(114, "fedora-44-x86_64", models.Passed, 210*time.Second, 180*time.Second),
			target(115, "fedora-rawhide-x86_64", models.Running, 3*m, 0),
		}}
	tests.Targets[0].Run.Reason = "its build failed"
	upgrade := &models.Step{ID: 4, Kind: models.TestsStep, Name: "tests:upgrade", Identifier: "upgrade", State: models.Running, Needs: []*models.Need{{StepID: 4, NeedsID: 2, PerTarget: true}},
		Targets: []*models.Target{
			target(121, "fedora-44-x86_64", models.Running, 4*m, 0),
			target(122, "fedora-rawhide-x86_64", models.Queued, 30*time.Second, 0),
		}}
	scan := &models.Step{ID: 5, Kind: models.ScanStep, Name: "scan", State: models.Passed, Needs: []*models.Need{{StepID: 5, NeedsID: 1}},
		Targets: []*models.Target{target(131, "fedora-rawhide-x86_64", models.Passed, 7*m, 320*time.Second)}}
	scan.Targets[0].Run.Reason = "no new findings"
	return &models.Pipeline{ID: 731, EventID: 402, ProjectID: 7, CommitID: 11, Package: "ferryman", Attempt: 2, FirstAttemptID: 728,
		Kind: models.PullRequestRef, Ref: "214", Title: "Keep the rope taut while the ferry waits", Actor: "ahlberg", State: models.Running, Version: 31,
		Runs: 14, RunsDone: 8, RunsBad: 1, CreatedAt: ago(9 * m), StartedAt: ago(8 * m),
		Project: sampleProject(), Commit: sampleCommit(), Steps: []*models.Step{srpm, copr, scan, tests, upgrade},
		Event: &models.Event{ID: 402, Message: &models.Message{URL: "https://github.com/tidewater/ferryman/pull/214"}}}
}

// releasePipeline goes from upstream to updates, with a join and a need over
// several columns.
func releasePipeline() *models.Pipeline {
	branches := []string{"rawhide", "f44", "f43", "epel9"}
	step := func(id int64, kind models.StepKind, state models.State, needs []*models.Need, states ...models.State) *models.Step {
		s := &models.Step{ID: id, Kind: kind, Name: string(kind), State: state, Needs: needs}
		for i, st := range states {
			s.Targets = append(s.Targets, target(id*100+int64(i), branches[i], st, 40*m, 6*m))
		}
		return s
	}
	pull := step(1, models.PullFromUpstreamStep, models.Passed, nil, models.Passed, models.Passed, models.Passed, models.Passed)
	scratch := step(2, models.KojiScratchStep, models.Error, []*models.Need{{NeedsID: 1, PerTarget: true}}, models.Passed, models.Passed, models.Error, models.Passed)
	build := step(3, models.KojiBuildStep, models.Passed, []*models.Need{{NeedsID: 2, PerTarget: true}}, models.Passed, models.Passed, models.Canceled, models.Passed)
	tag := step(4, models.KojiTagStep, models.Passed, []*models.Need{{NeedsID: 3}}, models.Passed)
	update := step(5, models.BodhiUpdateStep, models.Waiting, []*models.Need{{NeedsID: 4}, {NeedsID: 1}, {NeedsID: 2}}, models.Waiting, models.Waiting, models.Skipped)
	return &models.Pipeline{ID: 640, EventID: 377, Kind: models.UpstreamRef, Ref: "2.8.0", Title: "New upstream version 2.8.0", State: models.Running, Attempt: 1, Runs: 16,
		CreatedAt: ago(50 * m), StartedAt: ago(49 * m), Project: &models.Project{ID: 9, Forge: "src.fedoraproject.org", Namespace: "rpms", Name: "python-lantern", URL: "https://src.fedoraproject.org/rpms/python-lantern"},
		Steps: []*models.Step{pull, scratch, build, tag, update}}
}

// bigPipeline has n targets in three wide steps and a join.
func bigPipeline(n int) *models.Pipeline {
	p := samplePipeline()
	srpm := p.Steps[0]
	states := []models.State{models.Passed, models.Failed, models.Running, models.Queued, models.Waiting, models.Error}
	wide := func(id int64, kind models.StepKind, need *models.Need) *models.Step {
		s := &models.Step{ID: id, Kind: kind, Name: string(kind), State: models.Running, Needs: []*models.Need{need}}
		for i := range (n - 2) / 3 {
			s.Targets = append(s.Targets, target(id*1000+int64(i), fmt.Sprintf("fedora-%d-x86_64", i), states[i%len(states)], 5*m, m))
		}
		return s
	}
	a := wide(2, models.CoprBuildStep, &models.Need{NeedsID: 1})
	b := wide(3, models.TestsStep, &models.Need{NeedsID: 2, PerTarget: true})
	c := wide(4, models.ScanStep, &models.Need{NeedsID: 2, PerTarget: true})
	end := &models.Step{ID: 5, Kind: models.BodhiUpdateStep, Name: "bodhi_update", State: models.Waiting, Needs: []*models.Need{{NeedsID: 3}, {NeedsID: 4}}, Targets: []*models.Target{target(5000, "f44", models.Waiting, 0, 0)}}
	p.Steps = []*models.Step{srpm, a, b, c, end}
	p.Runs = 0
	for _, s := range p.Steps {
		p.Runs += len(s.Targets)
	}
	return p
}

// crowdedPipeline has more than forty boxes.
func crowdedPipeline() *models.Pipeline {
	p := samplePipeline()
	p.Steps = p.Steps[:1]
	for i := range 15 {
		base := int64(10 + 3*i)
		name := fmt.Sprintf("part-%d", i)
		build := &models.Step{ID: base, Kind: models.CoprBuildStep, Name: "copr_build:" + name, Identifier: name, State: models.Passed, Needs: []*models.Need{{NeedsID: 1}}}
		test := &models.Step{ID: base + 1, Kind: models.TestsStep, Name: "tests:" + name, Identifier: name, State: models.Running, Needs: []*models.Need{{NeedsID: base, PerTarget: true}}}
		scan := &models.Step{ID: base + 2, Kind: models.ScanStep, Name: "scan:" + name, Identifier: name, State: models.Waiting, Needs: []*models.Need{{NeedsID: base + 1}, {NeedsID: 1}}}
		for j := range 6 {
			tn := fmt.Sprintf("fedora-%d-x86_64", 40+j)
			build.Targets = append(build.Targets, target(base*100+int64(j), tn, models.Passed, 7*m, m))
			test.Targets = append(test.Targets, target(base*100+50+int64(j), tn, models.Running, 2*m, 0))
		}
		scan.Targets = []*models.Target{target(base*100+99, "fedora-rawhide-x86_64", models.Waiting, 0, 0)}
		p.Steps = append(p.Steps, build, test, scan)
	}
	return p
}

func sampleRows() []*models.PipelineRow {
	var rows []*models.PipelineRow
	add := func(id int64, project, title string, kind models.RefKind, ref string, state models.State, start, took time.Duration, flow ...models.StepSum) {
		ns, name, _ := strings.Cut(project, "/")
		p := &models.Pipeline{ID: id, Project: &models.Project{Forge: "github.com", Namespace: ns, Name: name}, Title: title, Kind: kind, Ref: ref, State: state, Attempt: 1, Actor: "ahlberg", CreatedAt: ago(start + time.Minute), StartedAt: ago(start), Runs: 6, RunsDone: 4}
		if state.Finished() {
			p.FinishedAt = p.StartedAt.Add(took)
		}
		if state == models.Queued {
			p.StartedAt = time.Time{}
		}
		rows = append(rows, &models.PipelineRow{Pipeline: p, Flow: flow})
	}
	sum := func(k models.StepKind, s models.State, passed, total int) models.StepSum {
		return models.StepSum{Kind: k, State: s, Passed: passed, Total: total}
	}
	add(731, "tidewater/ferryman", "Keep the rope taut while the ferry waits", models.PullRequestRef, "214", models.Running, 8*m, 0, sum(models.SRPMStep, models.Passed, 1, 1), sum(models.CoprBuildStep, models.Running, 3, 5), sum(models.TestsStep, models.Running, 1, 5))
	add(730, "rpms/python-lantern", "New upstream version 2.8.0", models.UpstreamRef, "2.8.0", models.Running, 11*m, 0, sum(models.PullFromUpstreamStep, models.Passed, 4, 4), sum(models.KojiBuildStep, models.Running, 3, 4), sum(models.BodhiUpdateStep, models.Waiting, 0, 3))
	add(729, "rpms/rust-millstone", "Merged PR 31 to rawhide", models.BranchRef, "rawhide", models.Failed, 22*m, 370*time.Second, sum(models.KojiBuildStep, models.Failed, 0, 1), sum(models.BodhiUpdateStep, models.Skipped, 0, 1))
	add(728, "storehouse/cellar", "Do not probe casks that are open", models.PullRequestRef, "1432", models.Passed, 29*m, 1132*time.Second, sum(models.SRPMStep, models.Passed, 1, 1), sum(models.CoprBuildStep, models.Passed, 6, 6), sum(models.TestsStep, models.Passed, 6, 6))
	add(727, "rpms/gristle", "Update to 0.114.0", models.ReleaseRef, "0.114.0", models.Error, 33*m, 1864*time.Second, sum(models.KojiBuildStep, models.Passed, 2, 2), sum(models.BodhiUpdateStep, models.Error, 1, 2))
	add(726, "tidewater/ferryman", "Earlier push", models.PullRequestRef, "214", models.Superseded, 40*m, 248*time.Second, sum(models.SRPMStep, models.Passed, 1, 1), sum(models.CoprBuildStep, models.Canceled, 2, 5), sum(models.TestsStep, models.Skipped, 0, 5))
	add(725, "an-organisation-with-a-long-name/a_repository_whose_name-goes-on.and.on", "A title that somebody wrote with great care and without ever coming to its end, which must wrap rather than widen the page", models.PullRequestRef, "90210", models.Canceled, 3*time.Hour, m, sum(models.SRPMStep, models.Canceled, 0, 1))
	add(724, "rpms/just-so", "Comment /packit build", models.PullRequestRef, "3", models.Queued, 4*time.Hour, 0, sum(models.SRPMStep, models.Queued, 0, 1), sum(models.CoprBuildStep, models.Waiting, 0, 4), sum(models.TestsStep, models.Waiting, 0, 4))
	return rows
}

func sampleEvents() []*models.Event {
	p := sampleProject()
	return []*models.Event{
		{ID: 402, Kind: models.PullRequestEvent, Action: models.Updated, Actor: "ahlberg", State: models.EventPlanned, Project: p, Commit: sampleCommit(), CreatedAt: ago(9 * m)},
		{ID: 401, Kind: models.CommentEvent, Action: models.Created, Actor: "visitor", State: models.EventNothing, Reason: "The comment is no command.", Project: p, Commit: sampleCommit(), CreatedAt: ago(12 * m)},
		{ID: 400, Kind: models.CoprBuildEvent, Action: models.Ended, ExternalID: "5510042", State: models.EventApplied, CreatedAt: ago(13 * m)},
		{ID: 399, Kind: models.PushEvent, Actor: "ahlberg", State: models.EventRefused, Reason: "The package config is invalid: jobs[2].trigger is missing.", Project: p, Commit: &models.Commit{Kind: models.BranchRef, Ref: "main"}, CreatedAt: ago(50 * m)},
		{ID: 398, Kind: models.ReleaseEvent, Action: models.Created, State: models.EventFailed, Reason: "github.com did not answer for two hours.", Project: p, Commit: &models.Commit{Kind: models.ReleaseRef, Ref: "3.1"}, CreatedAt: ago(26 * time.Hour)},
		{ID: 397, Kind: models.UpstreamVersionEvent, State: models.EventNew, Project: p, Commit: &models.Commit{Kind: models.UpstreamRef, Ref: "3.2"}, CreatedAt: ago(9 * 24 * time.Hour)},
	}
}

const sampleConfig = `# what is built, and when
specfile_path: dist/ferryman.spec
upstream_package_name: ferryman

jobs:
  - job: copr_build
    trigger: pull_request
    targets: [fedora-all, epel-9]
  - job: tests
    trigger: pull_request
    identifier: basic
  - job: propose_downstream
    trigger: release
    dist_git_branches: [fedora-all]
`

func sampleEvent() EventPage {
	e := sampleEvents()[0]
	e.ConfigFile, e.ConfigSHA, e.ConfigText = ".packit.yaml", sampleCommit().SHA, sampleConfig
	e.DecidedAt = e.CreatedAt.Add(800 * time.Millisecond)
	e.Delivery = &models.Delivery{Source: models.FromGitHub, Type: "pull_request", Key: "5b1e4c10-4f1a-11f1-93ee-aa11bb22cc33", Size: 26311, ReceivedAt: e.CreatedAt}
	e.Message = &models.Message{URL: "https://github.com/tidewater/ferryman/pull/214", CommitBefore: "9c0ffb2aa0", Labels: []string{"bug", "linux"}}
	e.Pipelines = []*models.Pipeline{samplePipeline()}
	e.Decisions = []models.Decision{
		{JobIndex: 0, Job: "copr_build", Trigger: "pull_request", Planned: true, Reason: "The trigger is pull_request, and ahlberg may build here.", Targets: []string{"fedora-43-x86_64", "fedora-44-x86_64", "fedora-rawhide-x86_64", "epel-9-x86_64"}, Dropped: []models.Dropped{{Target: "fedora-39-x86_64", Reason: "Copr no longer has this chroot."}}, PipelineID: 731},
		{JobIndex: 1, Job: "tests", Identifier: "basic", Planned: true, Reason: "Follows the Copr build, one for each of its targets.", PipelineID: 731},
		{JobIndex: 2, Job: "propose_downstream", Trigger: "release", Reason: "The trigger is release; this is a pull request."},
	}
	return EventPage{Event: e, JobLines: []int{6, 9, 12}, Around: sampleEvents()[1:3], KeptTill: sampleNow.Add(20 * 24 * time.Hour)}
}

func sampleLog(from, n, total int) LogSlice {
	l := LogSlice{Total: total, Tail: from+n-1 == total, Ended: true, Errors: []int{1435, 1439}, Warnings: 1, Size: 181422}
	texts := []string{"Installing: gcc-11.5.0-5.el9.x86_64", "Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.e6TqLk", "+ cd ferryman-3.2", "-- The C compiler identification is GNU 11.5.0", "CMake Warning: Manually-specified variables were not used: LIB_SUFFIX", "CMake Error at CMakeLists.txt:3 (cmake_minimum_required):", "  CMake 3.29 or higher is required.", "", "\x1b[31merror: Bad exit status\x1b[0m from /var/tmp/rpm-tmp.e6TqLk (%build)", strings.Repeat("a very long line ", 30)}
	for i := range n {
		l.Lines = append(l.Lines, LogLine{from + i, texts[i%len(texts)]})
	}
	return l
}

func sampleRun() RunPage {
	p := samplePipeline()
	s := p.Steps[1]
	t := s.Targets[0]
	t.Run.Data.Artifacts = []models.Artifact{{Name: "builder-live.log.gz", URL: "https://download.example/builder-live.log.gz", Size: 9100}, {Name: "root.log.gz", URL: "https://download.example/root.log.gz", Size: 42000}}
	t.Run.Data.Notes = []string{"The chroot was added to the Copr project before the build."}
	t.Run.Data.Tests = &models.TestSummary{Passed: 12, Failed: 1, First: []string{"/plans/basic/rope-holds"}}
	t.Run.Data.ResultURL = "https://download.example/results/"
	return RunPage{RunPlace: models.RunPlace{Pipeline: p, Step: s, Target: t, Attempts: []models.TargetAttempt{{PipelineID: 728, Attempt: 1, State: models.Failed}, {PipelineID: 731, Attempt: 2, State: models.Failed}}, Group: &models.RunGroup{Phase: models.PhaseSettled}}, Log: sampleLog(1425, 40, 1464)}
}

func samplePipelinePage() PipelinePage {
	p := samplePipeline()
	first := *p
	first.ID, first.Attempt, first.State = 728, 1, models.Failed
	earlier := *p
	earlier.ID, earlier.State, earlier.Steps = 726, models.Superseded, nil
	return PipelinePage{Pipeline: p, Attempts: []*models.Pipeline{&first, p}, Earlier: &earlier, Failure: sampleLog(1429, 12, 1464), Reports: 6, ReportedAt: ago(m)}
}

func sampleProjectPage() ProjectPage {
	rows := sampleRows()
	var strip []*models.Pipeline
	for i := range 20 {
		strip = append(strip, rows[i%len(rows)].Pipeline)
	}
	return ProjectPage{Project: sampleProject(), Strip: strip, Pulls: models.RefList{Rows: []*models.RefRow{{Commit: sampleCommit(), Pipelines: []*models.Pipeline{rows[0].Pipeline, rows[5].Pipeline}}}}, Config: sampleEvent().Event,
		Stats: models.ProjectStats{Decided: 40, Passed: 34, Median: 11 * m, Events: 23}, PipelineList: models.PipelineList{Rows: rows, Fresh: 2, Cursors: models.Cursors{Older: "c724"}}}
}

func sampleQueue() QueuePage {
	p := samplePipeline()
	group := func(kind models.StepKind, phase models.Phase, since time.Duration) *models.RunGroup {
		return &models.RunGroup{Kind: kind, Phase: phase, UpdatedAt: ago(since)}
	}
	again := group(models.CoprBuildStep, models.PhaseQueued, 6*m)
	again.Tries, again.Error, again.NotBefore = 2, "submitting to Copr: 503 Service Unavailable", sampleNow.Add(m)
	held, dead := group(models.CoprBuildStep, models.PhaseWorking, 12*time.Second), group(models.KojiBuildStep, models.PhaseWorking, 10*m)
	held.Worker, held.LeaseUntil, dead.Worker, dead.LeaseUntil = "build-1/3", sampleNow.Add(m), "build-2/1", ago(m)
	away := group(models.TestsStep, models.PhaseSubmitted, 4*m)
	away.ExternalID, away.PollAt = "1f0c66a2-5d3e-4c39-8a41-0d6b5f7d2f11", sampleNow.Add(40*time.Second)
	return QueuePage{models.Queue{
		Kinds:   []models.QueueKind{{Kind: models.CoprBuildStep, Queued: 3, Working: 1, Submitted: 14, Oldest: ago(6 * m), MedianWait: 40 * time.Second, Waits: 50}, {Kind: models.TestsStep, Submitted: 22, Waits: 3}, {Kind: models.KojiBuildStep, Queued: 1, Working: 1, Submitted: 2, Oldest: ago(40 * time.Second), Paused: true}},
		Waiting: []models.QueueItem{{Group: group(models.KojiBuildStep, models.PhaseQueued, 40*time.Second), Position: 1, Pipeline: releasePipeline(), Targets: []string{"f44"}}, {Group: again, Pipeline: p, Targets: []string{"fedora-43-x86_64", "fedora-44-x86_64"}}},
		Working: []models.QueueItem{{Group: dead, Pipeline: releasePipeline(), Targets: []string{"f44"}}, {Group: held, Pipeline: p, Targets: []string{"epel-9-x86_64"}}}, Submitted: []models.QueueItem{{Group: away, Pipeline: p, Targets: []string{"fedora-43-x86_64"}}},
		Workers:   []*models.Worker{{Name: "build-1", SeenAt: ago(3 * time.Second), Working: 2}, {Name: "build-2", SeenAt: ago(10 * m)}, {Name: "build-3", SeenAt: ago(4 * time.Second), Draining: true}, {Name: "build-4", SeenAt: ago(5 * time.Second)}},
		Unhandled: 2, UnhandledOld: ago(4 * time.Second), Unsent: 1, UnsentOld: ago(3 * m), UnsentError: "github.com: 502 Bad Gateway",
	}}
}

// samples are all pages, named as files.
func sampleReference() ReferencePage {
	events := sampleEvents()
	events[0].Decisions = []models.Decision{
		{Job: "copr_build", Planned: true, Targets: []string{"a", "b"}, PipelineID: 7}, {Job: "tests", Identifier: "full", Planned: true},
		{JobIndex: -1, Reason: "It is broken."}, {Job: "propose_downstream", Reason: "It waits for a release."}, {Job: "tests"}, {Job: "tests"}, {Job: "tests"},
	}
	return ReferencePage{
		Project: sampleProject(),
		Commit: &models.Commit{
			Kind: models.PullRequestRef, Ref: "42", Title: "Grind finer", SHA: strings.Repeat("ab", 20), TargetRef: "main", Author: "rosa",
			SourceURL: "https://github.com/rosa/wheel",
		},
		Events:       events,
		PipelineList: models.PipelineList{Rows: []*models.PipelineRow{{Pipeline: samplePipeline()}}, Cursors: models.Cursors{Older: "x", Newer: "y"}},
	}
}

func samples() map[string]templ.Component {
	list := samplePipelinePage()
	list.View = ListView
	timed := samplePipelinePage()
	timed.View = TimeView
	return map[string]templ.Component{
		"home":             Home(sampleHome()),
		"home-empty":       Home(HomePage{}),
		"projects":         Projects(ProjectsPage{Query: "ferry", Forges: []string{"github.com", "gitlab.com"}, ProjectList: models.ProjectList{Rows: []*models.ProjectRow{{Project: sampleProject(), Last: samplePipeline()}, {Project: &models.Project{Forge: "gitlab.com", Namespace: "a/b/c", Name: "cellar", ActiveAt: ago(m)}}}, Cursors: models.Cursors{Older: "x"}}}),
		"projects-none":    Projects(ProjectsPage{Query: "zzz"}),
		"project":          Project(sampleProjectPage()),
		"project-empty":    Project(ProjectPage{Project: sampleProject()}),
		"pipelines":        Pipelines(PipelinesPage{PipelineList: models.PipelineList{Rows: sampleRows(), Fresh: 2, Cursors: models.Cursors{Older: "c724", Newer: "c800"}}}),
		"pipelines-none":   Pipelines(PipelinesPage{Filter: PipelineFilter{State: models.Failed, Query: "wayland"}}),
		"pipelines-wrong":  Pipelines(PipelinesPage{Filter: PipelineFilter{Query: "status:"}, Problem: "status: at column 8 has no value."}),
		"pipeline":         Pipeline(samplePipelinePage()),
		"pipeline-list":    Pipeline(list),
		"pipeline-time":    Pipeline(timed),
		"pipeline-release": Pipeline(PipelinePage{Pipeline: releasePipeline()}),
		"pipeline-big":     Pipeline(PipelinePage{Pipeline: bigPipeline(200)}),
		"pipeline-crowd":   Pipeline(PipelinePage{Pipeline: crowdedPipeline()}),
		"pipeline-empty":   Pipeline(PipelinePage{Pipeline: &models.Pipeline{ID: 1, EventID: 1, State: models.Waiting, CreatedAt: ago(m)}}),
		"run":              Run(sampleRun()),
		"run-new":          Run(newRun()),
		"events":           Events(EventsPage{EventList: models.EventList{Rows: sampleEvents(), Cursors: models.Cursors{Older: "x"}}}),
		"event":            Event(sampleEvent()),
		"event-nothing":    Event(EventPage{Event: sampleEvents()[1]}),
		"reference":        Reference(sampleReference()),
		"reference-empty":  Reference(ReferencePage{Project: sampleProject(), Commit: &models.Commit{Kind: models.BranchRef, Ref: "fix/a-very-long-name-of-a-branch"}}),
		"accounts": Accounts(AccountsPage{Login: "ada", Prefix: "/packit", Links: []models.Link{
			{Forge: "github.com", Account: "ada-gh", ProvedAt: ago(m)}, {Forge: "gitlab.com", Account: "ada-gl"}, {Forge: "codeberg.org"},
		}}),
		"accounts-none": Accounts(AccountsPage{Login: "ada", Prefix: "/packit"}),
		"queue":         Queue(sampleQueue()),
		"queue-empty":   Queue(QueuePage{}),
		"error-404":     Error(ErrorPage{Status: 404, RequestID: "6f2c0a9911", Near: []Link{{"rpms/python-lantern", "/projects/src.fedoraproject.org/rpms/python-lantern"}}}),
		"error-400":     Error(ErrorPage{Status: 400, Detail: "before: is no cursor of this list"}),
		"error-409":     Error(ErrorPage{Status: 409}),
		"error-413":     Error(ErrorPage{Status: 413}),
		"error-429":     Error(ErrorPage{Status: 429, RetryIn: 30 * time.Second}),
		"error-500":     Error(ErrorPage{Status: 500, RequestID: "6f2c0a9912"}),
		"help":          Help(HelpPage{CommandPrefix: "/packit"}),
	}
}

func sampleHome() HomePage {
	return HomePage{Counters: models.Counters{Running: 14, Queued: 31, OldestWait: 6 * m, Failed: 42, Errors: 3, Pipelines: 611, Unsent: 1}, Recent: models.PipelineList{Rows: sampleRows(), Fresh: 3}, Events: sampleEvents()}
}

func newRun() RunPage {
	p := samplePipeline()
	s := p.Steps[3]
	return RunPage{RunPlace: models.RunPlace{Pipeline: p, Step: s, Target: s.Targets[2]}}
}

func render(t testing.TB, ctx context.Context, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(ctx, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestWriteSamples writes all pages and what they refer to into the directory
// that MILLRACE_VIEWS_OUT names, to be looked at.
func TestWriteSamples(t *testing.T) {
	dir := os.Getenv("MILLRACE_VIEWS_OUT")
	if dir == "" {
		t.Skip("MILLRACE_VIEWS_OUT is not set")
	}
	for name, page := range samples() {
		for _, theme := range []string{"light", "dark"} {
			html := render(t, sampleContext(func(f *Frame) { f.Theme = theme }), page)
			if err := os.WriteFile(filepath.Join(dir, name+"."+theme+".html"), []byte(html), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "static"), 0o755); err != nil {
		t.Fatal(err)
	}
	names := []string{"millrace.css", "millrace.js", "htmx.js"}
	for _, state := range static.Icons {
		names = append(names, "favicon-"+state+".svg")
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, static.Path(name)), fetch(t, static.Path(name)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// flowOf sums up steps as lists do.
func flowOf(steps []*models.Step) []models.StepSum {
	sums := make([]models.StepSum, len(steps))
	for i, s := range steps {
		sums[i] = models.StepSum{Kind: s.Kind, State: s.State, Total: len(s.Targets)}
		for _, t := range s.Targets {
			if stateOf(t) == models.Passed {
				sums[i].Passed++
			}
		}
	}
	return sums
}
