package models_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/packageconfig"
)

// releases are those of shortly after a branch was made of Rawhide: stable are
// 42 and 43.
var releases = models.Releases{
	{Name: "F45", LongName: "Fedora 45", Version: "45", IDPrefix: "FEDORA", Branch: "rawhide", State: "pending"},
	{Name: "F44", LongName: "Fedora 44", Version: "44", IDPrefix: "FEDORA", Branch: "f44", State: "frozen"},
	{Name: "F43", LongName: "Fedora 43", Version: "43", IDPrefix: "FEDORA", Branch: "f43", State: "current"},
	{Name: "F42", LongName: "Fedora 42", Version: "42", IDPrefix: "FEDORA", Branch: "f42", State: "current"},
	{Name: "EPEL-9", LongName: "Fedora EPEL 9", Version: "9", IDPrefix: "FEDORA-EPEL", Branch: "epel9", State: "current"},
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func facts() models.Facts {
	return models.Facts{Now: noon, Deployment: "prod", DefaultBranch: "main", Releases: releases}
}

func pullRequest() *models.Event { return eventOf(models.PullRequestEvent, models.PullRequestRef, "7") }
func push(branch string) *models.Event {
	return eventOf(models.PushEvent, models.BranchRef, branch)
}
func release(tag string) *models.Event {
	return eventOf(models.ReleaseEvent, models.ReleaseRef, tag)
}

func eventOf(kind models.EventKind, ref models.RefKind, name string) *models.Event {
	return &models.Event{
		ID: 3, ProjectID: 5, CommitID: 9, Kind: kind, Actor: "ada",
		Commit: &models.Commit{ID: 9, Kind: ref, Ref: name, SHA: strings.Repeat("ab", 20), TargetRef: "main", Title: "Change it"},
	}
}

func parse(t testing.TB, text string) *models.PackageConfig {
	t.Helper()
	config, err := packageconfig.Parse([]byte(text), packageconfig.Options{RepoName: "hello", RepoFiles: []string{"hello.spec"}})
	if err != nil {
		t.Fatalf("the config of the test: %v", err)
	}
	return config
}

// outline is a plan in short: a line for each step with its targets, those they
// follow in brackets, and what the step needs.
func outline(planned []models.Planned) []string {
	var lines []string
	for _, p := range planned {
		for i, step := range p.Pipeline.Steps {
			line := p.Pipeline.Package + " " + step.Name + ":"
			for _, t := range step.Targets {
				line += " " + t.Name
				if t.Follows != "" {
					line += "(" + t.Follows + ")"
				}
			}
			for _, need := range p.Needs {
				if need.Step == i {
					line += " <- " + p.Pipeline.Steps[need.Needs].Name
					if need.PerTarget {
						line += " each"
					}
				}
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestPlan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		event  *models.Event
		config string
		facts  func(*models.Facts)
		want   []string
	}{
		{"build and tests", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43, fedora-44-aarch64]}
- {job: tests, trigger: pull_request, targets: [fedora-43]}`, nil, []string{
			"hello srpm: source",
			"hello copr_build: fedora-43-x86_64 fedora-44-aarch64 <- srpm",
			"hello tests: fedora-43-x86_64 <- copr_build each",
		}},
		{"the tests come first in the file", pullRequest(), `
jobs:
- {job: tests, trigger: pull_request, targets: [fedora-43]}
- {job: copr_build, trigger: pull_request, targets: [fedora-43]}`, nil, []string{
			"hello srpm: source", "hello copr_build: fedora-43-x86_64 <- srpm", "hello tests: fedora-43-x86_64 <- copr_build each",
		}},
		{"no targets mean the stable releases, and tests are for all that is built", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request}
- {job: tests, trigger: pull_request}`, nil, []string{
			"hello srpm: source",
			"hello copr_build: fedora-42-x86_64 fedora-43-x86_64 <- srpm",
			"hello tests: fedora-42-x86_64 fedora-43-x86_64 <- copr_build each",
		}},
		{"a custom project without targets means its chroots", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, owner: ada, project: mill}`,
			func(f *models.Facts) {
				f.CoprChroots = map[string][]string{"ada/mill": {"epel-9-x86_64", "mageia-9-x86_64"}}
			}, []string{"hello srpm: source", "hello copr_build: epel-9-x86_64 mageia-9-x86_64 <- srpm"}},
		{"a custom project that is not known yet", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, owner: ada, project: mill}`, nil,
			[]string{"hello srpm: source", "hello copr_build: fedora-42-x86_64 fedora-43-x86_64 <- srpm"}},
		{"packages for EPEL are tested on CentOS Stream", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, targets: [epel-9]}
- {job: tests, trigger: pull_request, targets: [epel-9]}`, nil, []string{
			"hello srpm: source", "hello copr_build: epel-9-x86_64 <- srpm",
			"hello tests: centos-stream-9-x86_64(epel-9-x86_64) <- copr_build each",
		}},
		{"a target with distributions of its own", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, targets: [epel-9]}
- job: tests
  trigger: pull_request
  targets: {epel-9: {distros: [rocky-9, centos-stream-9]}}`, nil, []string{
			"hello srpm: source", "hello copr_build: epel-9-x86_64 <- srpm",
			"hello tests: rocky-9-x86_64(epel-9-x86_64) centos-stream-9-x86_64(epel-9-x86_64) <- copr_build each",
		}},
		{"two chroots that are tested on the same", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, targets: [centos-stream-9, epel-9]}
- {job: tests, trigger: pull_request, targets: [centos-stream-9, epel-9]}`, nil, []string{
			"hello srpm: source", "hello copr_build: centos-stream-9-x86_64 epel-9-x86_64 <- srpm",
			"hello tests: centos-stream-9-x86_64 <- copr_build each",
		}},
		{"tests without a build need none", pullRequest(), `
jobs:
- {job: tests, trigger: pull_request, skip_build: true, targets: [fedora-43, fedora-rawhide]}`, nil,
			[]string{"hello tests: fedora-43-x86_64 fedora-rawhide-x86_64"}},
		{"builds of one recipe share the source RPM", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43]}
- {job: copr_build, trigger: pull_request, identifier: arm, targets: [fedora-43-aarch64]}
- {job: copr_build, trigger: pull_request, identifier: other, release_suffix: x, targets: [fedora-43]}`, nil, []string{
			"hello srpm: source",
			"hello copr_build: fedora-43-x86_64 <- srpm",
			"hello copr_build:arm: fedora-43-aarch64 <- srpm",
			"hello srpm~2: source",
			"hello copr_build:other: fedora-43-x86_64 <- srpm~2",
		}},
		{"one chroot is built once for one place", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43, fedora-42]}
- {job: copr_build, trigger: pull_request, targets: [fedora-43, fedora-rawhide]}
- {job: copr_build, trigger: pull_request, owner: ada, project: mill, targets: [fedora-43]}`, nil, []string{
			"hello srpm: source",
			"hello copr_build: fedora-43-x86_64 fedora-42-x86_64 <- srpm",
			"hello copr_build~2: fedora-rawhide-x86_64 <- srpm",
			"hello copr_build~3: fedora-43-x86_64 <- srpm",
		}},
		{"tests prefer the build with their identifier", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43, fedora-42]}
- {job: copr_build, trigger: pull_request, identifier: full, targets: [fedora-43]}
- {job: tests, trigger: pull_request, identifier: full, targets: [fedora-42, fedora-43]}
- {job: tests, trigger: pull_request, identifier: full, tmt_plan: more}`, nil, []string{
			"hello srpm: source",
			"hello copr_build: fedora-43-x86_64 fedora-42-x86_64 <- srpm",
			"hello copr_build:full: fedora-43-x86_64 <- srpm",
			"hello tests:full: fedora-43-x86_64 <- copr_build:full each",
			"hello tests:full~2: fedora-42-x86_64 <- copr_build each",
			"hello tests:full~3: fedora-43-x86_64 <- copr_build:full each",
		}},
		{"names of steps are theirs alone, whatever identifiers say", pullRequest(), `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43]}
- {job: tests, trigger: pull_request, identifier: a, tmt_plan: one}
- {job: tests, trigger: pull_request, identifier: a, tmt_plan: two}
- {job: tests, trigger: pull_request, identifier: "a~2"}
- {job: tests, trigger: pull_request, identifier: "a/../ä?"}`, nil, []string{
			"hello srpm: source", "hello copr_build: fedora-43-x86_64 <- srpm",
			"hello tests:a: fedora-43-x86_64 <- copr_build each",
			"hello tests:a~2: fedora-43-x86_64 <- copr_build each",
			"hello tests:a-2: fedora-43-x86_64 <- copr_build each",
			"hello tests:a-..-: fedora-43-x86_64 <- copr_build each",
		}},
		{"a pipeline for each package", pullRequest(), `
packages: {hello: {specfile_path: hello.spec}, world: {specfile_path: world.spec, paths: [world]}, idle: {specfile_path: i.spec}}
jobs:
- {job: copr_build, trigger: pull_request, packages: [hello, world], targets: [fedora-43]}
- {job: tests, trigger: pull_request, packages: [world], targets: [fedora-43]}
- {job: copr_build, trigger: release, packages: [idle]}`, nil, []string{
			"hello srpm: source", "hello copr_build: fedora-43-x86_64 <- srpm",
			"world srpm: source", "world copr_build: fedora-43-x86_64 <- srpm", "world tests: fedora-43-x86_64 <- copr_build each",
		}},
		{"a push to the default branch", push("main"), `
jobs:
- {job: copr_build, trigger: commit, targets: [fedora-43]}
- {job: copr_build, trigger: commit, branch: "rel-[0-9]", targets: [fedora-42]}
- {job: copr_build, trigger: pull_request, targets: [fedora-42]}`, nil,
			[]string{"hello srpm: source", "hello copr_build: fedora-43-x86_64 <- srpm"}},
		{"a push to another branch", push("rel-1.x"), `
jobs:
- {job: copr_build, trigger: commit, targets: [fedora-43]}
- {job: copr_build, trigger: commit, branch: "rel-[0-9]", targets: [fedora-42]}`, nil,
			[]string{"hello srpm: source", "hello copr_build: fedora-42-x86_64 <- srpm"}},
		{"a release, whatever the branch says", release("1.2"), `
jobs:
- {job: copr_build, trigger: release, branch: nowhere, targets: [fedora-43]}`, nil,
			[]string{"hello srpm: source", "hello copr_build: fedora-43-x86_64 <- srpm"}},
		{"nothing", pullRequest(), "jobs:\n- {job: copr_build, trigger: release}", nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			if test.facts != nil {
				test.facts(&f)
			}
			planned, decisions := models.Plan(test.event, parse(t, test.config), f)
			if diff := cmp.Diff(test.want, outline(planned)); diff != "" {
				t.Errorf("plan (-want +got):\n%s\ndecisions: %+v", diff, decisions)
			}
			checkPlan(t, planned, decisions)
		})
	}
}

var keyCharset = regexp.MustCompile(`^[a-z0-9]{8,64}$`)

// checkPlan checks what holds for every plan.
func checkPlan(t *testing.T, planned []models.Planned, decisions []models.Decision) {
	t.Helper()
	keys := map[string]bool{}
	for _, p := range planned {
		runs, members, steps := 0, 0, map[string]bool{}
		for i, step := range p.Pipeline.Steps {
			if step.Position != i || steps[step.Name] || !regexp.MustCompile(`^[A-Za-z0-9:._~-]+$`).MatchString(step.Name) {
				t.Errorf("step %d is called %q at %d", i, step.Name, step.Position)
			}
			steps[step.Name] = true
			targets := map[string]bool{}
			for j, target := range step.Targets {
				if target.Position != j || target.Name == "" || targets[target.Name] || target.Run.State != models.Waiting {
					t.Errorf("target %d of %s is %+v", j, step.Name, target)
				}
				targets[target.Name] = true
				runs++
			}
			if _, err := step.View(); err != nil || len(targets) == 0 {
				t.Errorf("step %s has %d targets and the config %v", step.Name, len(targets), err)
			}
		}
		for _, group := range p.Groups {
			if !keyCharset.MatchString(group.Key) || keys[group.Key] || len(group.Members) == 0 {
				t.Errorf("a group has the key %q and %d members", group.Key, len(group.Members))
			}
			keys[group.Key] = true
			members += len(group.Members)
		}
		for _, need := range p.Needs {
			if need.Needs >= need.Step {
				t.Errorf("step %d needs step %d, which comes later", need.Step, need.Needs)
			}
		}
		if runs != p.Pipeline.Runs || runs != members || p.Pipeline.State != models.Waiting {
			t.Errorf("%d targets are counted as %d, and %d are in groups; the pipeline is %s", runs, p.Pipeline.Runs, members, p.Pipeline.State)
		}
	}
	for _, d := range decisions {
		if d.Planned == (d.Reason != "") || d.Planned != (len(d.Targets) > 0) {
			t.Errorf("decision %+v", d)
		}
	}
}

// TestPlanSaysWhy: for what is not done there is a reason that a person
// understands.
func TestPlanSaysWhy(t *testing.T) {
	t.Parallel()
	label := func(labels ...string) func(*models.Facts) {
		return func(f *models.Facts) { f.Labels = labels }
	}
	const require = "{job: copr_build, trigger: pull_request, require: {label: {present: [ok, fine], absent: [wip]}}}"
	tests := []struct {
		name  string
		event *models.Event
		job   string
		facts func(*models.Facts)
		want  string // of the last job; empty: it is planned
	}{
		{"trigger", pullRequest(), "{job: copr_build, trigger: release}", nil, "It waits for a release; this is a pull request."},
		{"ignored", push("main"), "{job: copr_build, trigger: ignore}", nil, "It waits for nothing (trigger: ignore); this is a push."},
		{"deployment", pullRequest(), "{job: copr_build, trigger: pull_request, packit_instances: [stg, dev]}", nil,
			"It is meant for stg, dev (packit_instances); this is prod."},
		{"no deployment", pullRequest(), "{job: copr_build, trigger: pull_request, packit_instances: []}", nil,
			"It is meant for no deployment (packit_instances); this is prod."},
		{"our deployment", pullRequest(), "{job: copr_build, trigger: pull_request, packit_instances: [stg, prod]}", nil, ""},
		{"type", release("1"), "{job: propose_downstream, trigger: release}", nil, "Jobs of type propose_downstream are not carried out by this service."},
		{"type that does nothing here", pullRequest(), "{job: koji_build, trigger: pull_request}", nil, "A koji_build job does nothing for a pull request."},
		{"manual", pullRequest(), "{job: copr_build, trigger: pull_request, manual_trigger: true}", nil,
			"It has manual_trigger, so it starts only when somebody asks for it."},
		{"default branch", push("devel"), "{job: copr_build, trigger: commit}", nil, "It is for the default branch main; this is branch devel."},
		{"branch", push("devel"), "{job: copr_build, trigger: commit, branch: rel}", nil, `Branch devel does not match its pattern "rel".`},
		{"target branch", pullRequest(), "{job: copr_build, trigger: pull_request, branch: devel}", nil, `Branch main does not match its pattern "devel".`},
		{"target branch that fits", pullRequest(), "{job: copr_build, trigger: pull_request, branch: ma}", nil, ""},
		{"pattern of Python's", push("main"), `{job: copr_build, trigger: commit, branch: "(?!main)"}`, nil, "Its branch pattern cannot be used: "},
		{"label is missing", pullRequest(), require, nil, "The pull request has none of the labels that it requires: ok, fine."},
		{"label is there", pullRequest(), require, label("fine"), ""},
		{"label must not be there", pullRequest(), require, label("ok", "wip"), `The pull request has the label "wip", which it must not have.`},
		{"labels of a push do not matter", push("main"), strings.Replace(require, "pull_request", "commit", 1), nil, ""},
		{"tests without a build job", pullRequest(), "{job: tests, trigger: pull_request}", nil, "Test job requires build job definition in the configuration."},
		{"tests of a build that does not run", pullRequest(), "{job: copr_build, trigger: pull_request, manual_trigger: true}\n- {job: tests, trigger: pull_request}",
			nil, "Its build, job 0, does not run. It has manual_trigger, so it starts only when somebody asks for it."},
		{"tests of a build for something else", pullRequest(), "{job: copr_build, trigger: commit}\n- {job: tests, trigger: pull_request}",
			nil, "Test job requires build job definition in the configuration."},
		{"tests of what is not built", pullRequest(), "{job: copr_build, trigger: pull_request, targets: [fedora-42]}\n- {job: tests, trigger: pull_request, targets: [fedora-43]}",
			nil, "None of its targets is built."},
		{"all is built already", pullRequest(), "{job: copr_build, trigger: pull_request}\n- {job: copr_build, trigger: pull_request, targets: [fedora-42]}",
			nil, "Every target of it is built by another job with the same identifier."},
		{"tests that need no build", pullRequest(), "{job: tests, trigger: pull_request, skip_build: true}", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			if test.facts != nil {
				test.facts(&f)
			}
			planned, decisions := models.Plan(test.event, parse(t, "jobs:\n- "+test.job+"\n"), f)
			got := decisions[len(decisions)-1]
			if !strings.HasPrefix(got.Reason, test.want) || (test.want == "") != got.Planned {
				t.Errorf("planned is %v, because: %q, want %q", got.Planned, got.Reason, test.want)
			}
			checkPlan(t, planned, decisions)
		})
	}
}

func TestPlanDropsTargets(t *testing.T) {
	t.Parallel()
	_, decisions := models.Plan(pullRequest(), parse(t, `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43, centos-stream-9, epel-9]}
- {job: copr_build, trigger: pull_request, targets: [fedora-43, fedora-42]}
- {job: tests, trigger: pull_request, targets: [fedora-43, fedora-rawhide, centos-stream-9, epel-9]}
`), facts())
	want := [][]models.Dropped{
		nil,
		{{Target: "fedora-43-x86_64", Reason: "Job 0 already builds it."}},
		{
			{
				Target: "fedora-rawhide-x86_64", Reason: "No build defined for the target 'fedora-rawhide-x86_64'.",
				Check: "testing-farm:fedora-rawhide-x86_64",
			},
			{Target: "centos-stream-9-x86_64", Reason: "It is tested with the packages of centos-stream-9-x86_64; those of epel-9-x86_64 would be tested on the same."},
		},
	}
	for i, d := range decisions {
		if diff := cmp.Diff(want[i], d.Dropped); diff != "" {
			t.Errorf("job %d drops (-want +got):\n%s", i, diff)
		}
	}
}

// TestPlanIsStable: the same arguments give the same plan, and another time,
// event or package gives other keys.
func TestPlanIsStable(t *testing.T) {
	t.Parallel()
	config := parse(t, `
packages: {hello: {specfile_path: hello.spec}, world: {specfile_path: world.spec}}
jobs:
- {job: copr_build, trigger: pull_request}
- {job: tests, trigger: pull_request}`)
	keys := func(e *models.Event, f models.Facts) []string {
		planned, _ := models.Plan(e, config, f)
		var all []string
		for _, p := range planned {
			for _, g := range p.Groups {
				all = append(all, g.Key)
			}
		}
		return all
	}
	first := keys(pullRequest(), facts())
	if diff := cmp.Diff(first, keys(pullRequest(), facts())); diff != "" || len(first) != 8 {
		t.Errorf("%d keys; a second plan has others:\n%s", len(first), diff)
	}
	later, another := facts(), pullRequest()
	later.Now = later.Now.Add(time.Microsecond)
	another.ID++
	for _, other := range [][]string{keys(pullRequest(), later), keys(another, facts())} {
		for _, key := range other {
			if slices.Contains(first, key) {
				t.Errorf("key %s comes again", key)
			}
		}
	}
}

func TestPlanSettings(t *testing.T) {
	t.Parallel()
	planned, _ := models.Plan(pullRequest(), parse(t, `
notifications: {failure_comment: {message: "  Look, {commit_sha}!  "}}
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43], notifications: {pull_request: {successful_build: true}}}
- {job: tests, trigger: pull_request, identifier: own, targets: [fedora-43]}
- {job: tests, trigger: pull_request, sync_test_job_statuses_with_builds: false, targets: [fedora-43]}
- {job: tests, trigger: pull_request, identifier: alone, skip_build: true, targets: [fedora-43]}
`), facts())
	type settings struct {
		Name, Identifier string
		JobIndex         int
		Mirrors          bool
		Notices          *models.Notices
		Groups           int
	}
	var got []settings
	for _, s := range planned[0].Pipeline.Steps {
		got = append(got, settings{s.Name, s.Identifier, s.JobIndex, s.Mirrors, s.Notices, 0})
	}
	look := &models.Notices{Failure: "Look, {commit_sha}!"}
	want := []settings{
		{"srpm", "", -1, false, nil, 0},
		{"copr_build", "", 0, false, &models.Notices{Success: true}, 0},
		{"tests:own", "own", 1, true, look, 0},
		{"tests", "", 2, false, look, 0},
		{"tests:alone", "alone", 3, false, look, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestPlanIsBounded: a few lines that ask for a million targets get a part of
// them, and the jobs that get none hear why.
func TestPlanIsBounded(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("targets: [")
	for i := range 400 {
		fmt.Fprintf(&text, "fedora-%d,", 100+i)
	}
	text.WriteString("]\njobs:\n")
	for i := range 300 {
		fmt.Fprintf(&text, "- {job: copr_build, trigger: pull_request, identifier: i%d}\n", i)
	}
	start := time.Now()
	planned, decisions := models.Plan(pullRequest(), parse(t, text.String()), facts())
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := planned[0].Pipeline.Runs; n < 4000 || n > 5500 {
		t.Errorf("%d targets are planned", n)
	}
	if last := decisions[len(decisions)-1]; last.Planned || !strings.Contains(last.Reason, "more are not planned for one event") {
		t.Errorf("the last decision is %+v", last)
	}
}

func FuzzPlan(f *testing.F) {
	files, _ := filepath.Glob("packageconfig/testdata/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "main", "ok")
	}
	f.Add([]byte("jobs:\n- {job: copr_build, trigger: pull_request|commit|release, owner: o, project: p}\n- {job: tests, trigger: commit|pull_request, branch: '.*'}"), "x", "")
	f.Add([]byte("status_name_template: '{job_name}{{}}{chroot}{x'\njobs:\n- {job: tests, skip_build: true, trigger: release, identifier: \"\\0\"}"), "a:b", "")
	f.Fuzz(func(t *testing.T, text []byte, branch, label string) {
		if len(text) > 16<<10 {
			return
		}
		config, err := packageconfig.Parse(text, packageconfig.Options{RepoName: "widget", RepoFiles: []string{"widget.spec"}})
		if err != nil {
			return
		}
		before, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		with := facts()
		with.Labels, with.CoprChroots = []string{label}, map[string][]string{"o/p": {"a-b", "a-b"}}
		for _, event := range []*models.Event{pullRequest(), push(branch), release(branch)} {
			planned, decisions := models.Plan(event, config, with)
			if len(decisions) != len(config.Jobs) {
				t.Fatalf("%d decisions about %d jobs", len(decisions), len(config.Jobs))
			}
			total := 0
			for _, p := range planned {
				total += p.Pipeline.Runs
			}
			if total > 20_000 {
				t.Fatalf("%d targets", total)
			}
			checkPlan(t, planned, decisions)
		}
		if after, err := json.Marshal(config); err != nil || string(after) != string(before) {
			t.Fatal("the config was changed")
		}
	})
}
