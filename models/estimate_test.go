package models_test

import (
	"testing"
	"time"

	"millrace/models"
)

// TestEstimate: what a rerun takes is its longest way, by what the same took
// lately; what runs already takes what is left.
func TestEstimate(t *testing.T) {
	t.Parallel()
	took := func(kind models.StepKind, target string, minutes ...int) (runs []*models.Run) {
		for _, m := range minutes {
			runs = append(runs, &models.Run{Kind: kind, Target: target, StartedAt: noon, FinishedAt: noon.Add(time.Duration(m) * time.Minute)})
		}
		return runs
	}
	join := func(lists ...[]*models.Run) (all []*models.Run) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	full := join(
		took(models.SRPMStep, "source", 1, 2, 90), took(models.CoprBuildStep, "fedora-42-x86_64", 5),
		took(models.CoprBuildStep, "fedora-43-x86_64", 10, 10), took(models.TestsStep, "another", 7),
		[]*models.Run{{Kind: models.SRPMStep, Target: "source", FinishedAt: noon}}, // never started
	)
	const config = `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-42, fedora-43]}
- {job: tests, trigger: pull_request, targets: [fedora-43]}`
	for _, tt := range []struct {
		name    string
		states  map[string]models.State
		request models.RerunRequest
		runs    []*models.Run
		total   int // minutes
		whole   bool
	}{
		{"all of it", nil, models.RerunRequest{Scope: models.ScopeAll}, full, 2 + 10 + 7, true},
		{"one target", nil, models.RerunRequest{Scope: models.ScopeTarget, Step: "copr_build", Target: "fedora-42-x86_64"}, full, 5, true},
		{"with its follower", nil, models.RerunRequest{Scope: models.ScopeTarget, Step: "copr_build", Target: "fedora-43-x86_64"}, full, 10 + 7, true},
		{"what runs has run for a while", map[string]models.State{"copr_build/fedora-43-x86_64": models.Running, "tests/fedora-43-x86_64": models.Waiting, "copr_build/fedora-42-x86_64": models.Failed},
			models.RerunRequest{Scope: models.ScopeFailed}, full, 10 - 4 + 7, true},
		{"nothing is known of tests", nil, models.RerunRequest{Scope: models.ScopeAll}, full[:6], 2 + 10, false},
		{"nothing is known", nil, models.RerunRequest{Scope: models.ScopeAll}, nil, 0, false},
	} {
		p := attempt(t, config, tt.states)
		for _, step := range p.Steps {
			for _, target := range step.Targets {
				if target.Run.State == models.Running {
					target.Run.StartedAt = noon.Add(-4 * time.Minute)
				}
			}
		}
		r, err := models.PlanRerun(p, tt.request, models.RerunFacts{})
		if err != nil {
			t.Fatal(err)
		}
		e := r.Estimate(models.DurationsOf(tt.runs), noon)
		if e.Total != time.Duration(tt.total)*time.Minute || e.Whole != tt.whole {
			t.Errorf("%s: %v, whole %v", tt.name, e.Total, e.Whole)
		}
	}
}
