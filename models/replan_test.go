package models_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
)

// attempt is the first attempt of what a config makes of a pull request, as the
// database has it, all passed but for what states says.
func attempt(t testing.TB, config string, states map[string]models.State) *models.Pipeline {
	t.Helper()
	planned, _ := models.Plan(pullRequest(), parse(t, config), facts())
	if len(planned) != 1 {
		t.Fatalf("%d plans", len(planned))
	}
	p := planned[0].Pipeline
	p.ID = 1
	run := int64(0)
	for i, step := range p.Steps {
		step.ID = int64(10 + i)
		for _, n := range planned[0].Needs {
			if n.Step == i {
				step.Needs = append(step.Needs, &models.Need{StepID: step.ID, NeedsID: int64(10 + n.Needs), PerTarget: n.PerTarget})
			}
		}
		for _, target := range step.Targets {
			run++
			target.StepID, target.RunID = step.ID, run
			target.Run.ID, target.Run.PipelineID, target.Run.State = run, p.ID, models.Passed
			if s := states[step.Name+"/"+target.Name]; s != "" {
				target.Run.State = s
			}
		}
	}
	return p
}

func told(changes []models.PlanChange) string {
	var lines []string
	for _, c := range changes {
		line := fmt.Sprintf("%s %s", c.Change, strings.TrimSuffix(c.Step.Name+"/"+c.Target, "/"))
		for _, s := range c.Settings {
			line += fmt.Sprintf(" %s[%s→%s]", s.Name, s.From, s.To)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func listed(targets []models.RerunTarget) string {
	var names []string
	for _, t := range targets {
		names = append(names, t.Step.Name+"/"+t.Target.Name)
	}
	return strings.Join(names, " ")
}

// TestRerunWithTheCurrentConfig: what differs gets runs of its own, with what
// follows; what is the same and good is shared.
func TestRerunWithTheCurrentConfig(t *testing.T) {
	t.Parallel()
	const usual = `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}
- {job: tests, trigger: pull_request, targets: [fedora-43]}`
	failed := models.RerunRequest{Scope: models.ScopeFailed}
	restart := models.RerunRequest{Scope: models.ScopeFailed, Restart: true}
	for _, tt := range []struct {
		name                                    string
		now                                     string
		states                                  map[string]models.State
		request                                 models.RerunRequest
		changes, run, reused, removed, stop, no string
	}{
		{name: "the same", now: usual, request: failed, no: "Nothing has failed."},
		{name: "the same, all of it", now: usual, request: models.RerunRequest{Scope: models.ScopeAll},
			run: "srpm/source copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64 tests/fedora-43-x86_64"},
		{name: "a job that moved in the file is the same", request: failed, no: "Nothing has failed.", now: `
jobs:
- {job: tests, trigger: pull_request, targets: [fedora-43]}
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}`},
		{name: "what decides whether it is planned is not how it is carried out", request: failed, no: "Nothing has failed.", now: `
jobs:
- {job: copr_build, trigger: pull_request, branch: ma.*, targets: [fedora-42-x86_64, fedora-43], notifications: {failure_comment: {message: Oh}}}
- {job: tests, trigger: pull_request, targets: [fedora-43]}`},
		{name: "a target comes", request: failed, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43, fedora-44]}
- {job: tests, trigger: pull_request, targets: [fedora-43, fedora-44]}`,
			changes: "added copr_build/fedora-44-x86_64; added tests/fedora-44-x86_64",
			run:     "copr_build/fedora-44-x86_64 tests/fedora-44-x86_64", reused: "srpm/source copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64 tests/fedora-43-x86_64"},
		{name: "a target goes", request: failed, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43]}
- {job: tests, trigger: pull_request, targets: [fedora-43]}`,
			changes: "removed copr_build/fedora-42-x86_64", removed: "copr_build/fedora-42-x86_64",
			reused: "srpm/source copr_build/fedora-43-x86_64 tests/fedora-43-x86_64"},
		{name: "what goes and what failed", request: failed, states: map[string]models.State{"copr_build/fedora-42-x86_64": models.Failed, "tests/fedora-43-x86_64": models.Failed}, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43]}
- {job: tests, trigger: pull_request, targets: [fedora-43]}`,
			changes: "removed copr_build/fedora-42-x86_64", removed: "copr_build/fedora-42-x86_64", run: "tests/fedora-43-x86_64",
			reused: "srpm/source copr_build/fedora-43-x86_64"},
		{name: "a setting of tests", request: failed, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}
- {job: tests, trigger: pull_request, targets: [fedora-43], tmt_plan: smoke}`,
			changes: `changed tests tmt_plan[→"smoke"]`, run: "tests/fedora-43-x86_64", reused: "srpm/source copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64"},
		{name: "a setting of the build, which the tests follow", request: failed, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43], enable_net: true}
- {job: tests, trigger: pull_request, targets: [fedora-43]}`,
			changes: "changed copr_build enable_net[→true]", run: "copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64 tests/fedora-43-x86_64", reused: "srpm/source"},
		{name: "a setting of one target", request: failed, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: {fedora-42: {}, fedora-43: {additional_packages: [make]}}}
- {job: tests, trigger: pull_request, targets: [fedora-43]}`,
			changes: `changed copr_build targets_config[→{"fedora-43":{"additional_packages":["make"]}}]`,
			run:     "copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64 tests/fedora-43-x86_64", reused: "srpm/source"},
		{name: "the recipe of the source", request: failed, now: "srpm_build_deps: [make]\n" + usual,
			changes: `changed srpm srpm_build_deps[→["make"]]; changed copr_build srpm_build_deps[→["make"]]; changed tests srpm_build_deps[→["make"]]`,
			run:     "srpm/source copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64 tests/fedora-43-x86_64"},
		{name: "a step comes", request: failed, now: usual + `
- {job: tests, trigger: pull_request, targets: [fedora-42], identifier: more}`,
			changes: "added tests:more", run: "tests:more/fedora-42-x86_64",
			reused: "srpm/source copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64 tests/fedora-43-x86_64"},
		{name: "a step goes", request: failed, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}`,
			changes: "removed tests", removed: "tests/fedora-43-x86_64", reused: "srpm/source copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64"},
		{name: "what goes while it runs", request: restart, states: map[string]models.State{"tests/fedora-43-x86_64": models.Running}, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}`,
			changes: "removed tests", removed: "tests/fedora-43-x86_64", stop: "tests/fedora-43-x86_64", reused: "srpm/source copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64"},
		{name: "what comes needs what failed", request: models.RerunRequest{Scope: models.ScopeTarget, Step: "tests", Target: "fedora-42-x86_64"},
			states: map[string]models.State{"copr_build/fedora-42-x86_64": models.Failed}, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}
- {job: tests, trigger: pull_request, targets: [fedora-42, fedora-43]}`,
			changes: "added tests/fedora-42-x86_64", run: "copr_build/fedora-42-x86_64 tests/fedora-42-x86_64", reused: "srpm/source copr_build/fedora-43-x86_64 tests/fedora-43-x86_64"},
		{name: "a step that is not there any more", request: models.RerunRequest{Scope: models.ScopeStep, Step: "tests"}, no: `no step "tests"`, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}`},
		{name: "tests that follow another chroot", request: failed, now: `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}
- {job: tests, trigger: pull_request, targets: {fedora-42: {distros: [fedora-43-x86_64]}}}`,
			changes: `changed tests targets_config[→{"fedora-42":{"distros":["fedora-43-x86_64"]}}]`, run: "tests/fedora-43-x86_64",
			reused: "srpm/source copr_build/fedora-42-x86_64 copr_build/fedora-43-x86_64"},
	} {
		p := attempt(t, usual, tt.states)
		planned, _ := models.Plan(pullRequest(), parse(t, tt.now), facts())
		again, err := models.NewReplan(p, planned[0])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.changes, told(again.Changes)); diff != "" && tt.no == "" {
			t.Errorf("%s, changes (-want +got):\n%s", tt.name, diff)
		}
		tt.request.Current = true
		r, err := models.PlanRerun(p, tt.request, models.RerunFacts{Replan: again})
		if tt.no != "" {
			if err == nil || !strings.Contains(err.Error(), tt.no) {
				t.Errorf("%s: %v; want %q", tt.name, err, tt.no)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for what, pair := range map[string][2]string{
			"run": {tt.run, listed(r.Run)}, "reused": {tt.reused, listed(r.Reused)}, "removed": {tt.removed, listed(r.Removed)}, "stopped": {tt.stop, listed(r.Stopped)},
		} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.name, what, diff)
			}
		}
		checkNext(t, tt.name, r, planned[0])
	}
}

// checkNext compares the next attempt with the plan that it is made of.
func checkNext(t *testing.T, name string, r *models.Rerun, planned models.Planned) {
	t.Helper()
	next, err := r.Plan(noon, "jdoe")
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if diff := cmp.Diff(outline([]models.Planned{planned}), outline([]models.Planned{next})); diff != "" {
		t.Errorf("%s, the next attempt (-plan +made):\n%s", name, diff)
	}
	fresh := map[string]bool{}
	for _, one := range r.Run {
		fresh[one.Step.Name+"/"+one.Target.Name] = true
	}
	made := 0
	for i, step := range next.Pipeline.Steps {
		if string(step.Config) != string(planned.Pipeline.Steps[i].Config) {
			t.Errorf("%s: %s has the config %s", name, step.Name, step.Config)
		}
		for _, target := range step.Targets {
			if target.Reused == fresh[step.Name+"/"+target.Name] || target.Reused != (target.RunID > 0) {
				t.Errorf("%s: %s/%s reused %v, run %d", name, step.Name, target.Name, target.Reused, target.RunID)
			}
		}
	}
	for _, g := range next.Groups {
		made += len(g.Members)
	}
	if made != len(r.Run) {
		t.Errorf("%s: %d of %d runs are submitted", name, made, len(r.Run))
	}
	if p := next.Pipeline; p.SHA != r.Earlier.SHA || p.Attempt != r.Earlier.Attempt+1 || p.FirstAttemptID != r.Earlier.ID {
		t.Errorf("%s: the next is %+v", name, p)
	}
}

// TestRerunNeedsTheCurrentConfig: without somebody having read it there is none.
func TestRerunNeedsTheCurrentConfig(t *testing.T) {
	t.Parallel()
	p := attempt(t, "jobs:\n- {job: copr_build, trigger: pull_request, targets: [fedora-42]}", nil)
	if _, err := models.PlanRerun(p, models.RerunRequest{Scope: models.ScopeAll, Current: true}, models.RerunFacts{}); err == nil {
		t.Error("a rerun with a config that nobody has read is planned")
	}
}

// TestRerunFollowsAnother: a test with equal settings whose packages now come
// from another build runs again.
func TestRerunFollowsAnother(t *testing.T) {
	t.Parallel()
	const config = `
jobs:
- {job: copr_build, trigger: pull_request, targets: [%scentos-stream-9-x86_64]}
- {job: tests, trigger: pull_request}`
	p := attempt(t, fmt.Sprintf(config, "epel-9-x86_64, "), nil)
	planned, _ := models.Plan(pullRequest(), parse(t, fmt.Sprintf(config, "")), facts())
	again, err := models.NewReplan(p, planned[0])
	if err != nil {
		t.Fatal(err)
	}
	r, err := models.PlanRerun(p, models.RerunRequest{Scope: models.ScopeFailed, Current: true}, models.RerunFacts{Replan: again})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Run) != 1 || r.Run[0].Target.Name != "centos-stream-9-x86_64" || r.Run[0].Step.Kind != models.TestsStep || r.Run[0].Why != "It follows centos-stream-9-x86_64 now." {
		t.Errorf("runs %s, changes %s", listed(r.Run), told(again.Changes))
	}
}
