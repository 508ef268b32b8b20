package models

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestShare: what is the same and usable is shared, target by target, and the
// source only where nothing fresh needs what is gone.
func TestShare(t *testing.T) {
	t.Parallel()
	build := func(identifier string) *JobView {
		v := &JobView{Type: JobCoprBuild, Trigger: TriggerPullRequest, Package: "hello"}
		v.PackageSettings = DefaultSettings()
		v.Identifier = &identifier
		return v
	}
	// planned is a source, a build for two chroots, and tests of both.
	planned := func(view *JobView) *Planned {
		p := &Planned{Pipeline: &Pipeline{ProjectID: 1, Kind: PullRequestRef, Ref: "7", SHA: "abc", Package: "hello"}}
		for i, kind := range []StepKind{SRPMStep, CoprBuildStep, TestsStep} {
			step := &Step{ID: int64(i + 1), Kind: kind, Name: string(kind), Config: snapshot(view)}
			names := []string{"f43", "f44"}
			if kind == SRPMStep {
				names = []string{"source"}
			}
			for _, name := range names {
				target := &Target{Name: name, Run: &Run{Kind: kind, Target: name, State: Waiting}}
				step.Targets = append(step.Targets, target)
			}
			p.Pipeline.Steps = append(p.Pipeline.Steps, step)
		}
		for _, step := range p.Pipeline.Steps {
			var own []*RunGroup
			for _, target := range step.Targets {
				own = join(own, p.Pipeline, step, target, time.Unix(1, 0))
			}
			p.Groups = append(p.Groups, own...)
		}
		p.Needs = []PlannedNeed{{Step: 1, Needs: 0}, {Step: 2, Needs: 1, PerTarget: true}}
		return p
	}
	// earlier is a pipeline in which the source, f43 and f44 went so.
	earlier := func(view *JobView, states ...State) *Pipeline {
		p := planned(view).Pipeline
		id := int64(100)
		for i, run := range []*Run{p.Steps[0].Targets[0].Run, p.Steps[1].Targets[0].Run, p.Steps[1].Targets[1].Run} {
			id++
			run.ID, run.State = id, states[i]
		}
		p.Steps = p.Steps[:2]
		return p
	}
	other := earlier(build(""), Passed, Passed, Passed)
	other.SHA = "def"
	for _, tt := range []struct {
		name    string
		earlier []*Pipeline
		gone    map[int64]string
		want    []int64 // runs of source, f43 and f44; 0 for one of its own
		groups  int
	}{
		{"nothing was there", nil, nil, []int64{0, 0, 0}, 4},
		{"all of it passed", []*Pipeline{earlier(build(""), Passed, Passed, Passed)}, nil, []int64{101, 102, 103}, 2},
		{"one is still on its way", []*Pipeline{earlier(build(""), Passed, Running, Passed)}, nil, []int64{101, 102, 103}, 2},
		{"one failed", []*Pipeline{earlier(build(""), Passed, Failed, Passed)}, nil, []int64{101, 0, 103}, 3},
		{"a build is gone", []*Pipeline{earlier(build(""), Passed, Passed, Passed)}, map[int64]string{102: "was deleted"}, []int64{101, 0, 103}, 3},
		{"a build and the source are gone", []*Pipeline{earlier(build(""), Passed, Passed, Passed)}, map[int64]string{101: "was deleted", 102: "was deleted"}, []int64{0, 0, 103}, 4},
		{"the source is gone, and nothing needs it", []*Pipeline{earlier(build(""), Passed, Passed, Passed)}, map[int64]string{101: "was deleted"}, []int64{101, 102, 103}, 2},
		{"another job built, with the same source", []*Pipeline{earlier(build("other"), Passed, Passed, Passed)}, nil, []int64{101, 0, 0}, 3},
		{"another commit", []*Pipeline{other}, nil, []int64{0, 0, 0}, 4},
		{"stopped", []*Pipeline{earlier(build(""), Canceled, Superseded, Skipped)}, nil, []int64{0, 0, 0}, 4},
	} {
		p := planned(build(""))
		if err := p.Share(tt.earlier, tt.gone); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []int64
		for _, step := range p.Pipeline.Steps[:2] {
			for _, target := range step.Targets {
				if target.Reused != (target.RunID != 0) || target.Run.ID != target.RunID {
					t.Errorf("%s: %s is reused: %v, with run %d", tt.name, target.Name, target.Reused, target.RunID)
				}
				got = append(got, target.RunID)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || len(p.Groups) != tt.groups {
			t.Errorf("%s: %d groups, want %d (-want +got):\n%s", tt.name, len(p.Groups), tt.groups, diff)
		}
		for _, target := range p.Pipeline.Steps[2].Targets {
			if target.Reused {
				t.Errorf("%s: tests are reused", tt.name)
			}
		}
	}
}
