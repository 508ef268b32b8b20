package bench

import (
	"context"
	"fmt"

	"millrace/models"
	"millrace/models/store"
)

// planned is a step of a pipeline that is made to be measured.
type planned struct {
	kind      models.StepKind
	targets   []string
	apart     bool // a submission for each target
	perTarget bool // how it needs the step before
	checked   bool // the forge is told how its targets do
}

// fanOut is a source RPM, builds in so many chroots, and tests in one less or,
// of few, in all of them: 2 chroots make 5 targets, 100 make 200.
func fanOut(chroots int) []planned {
	var names []string
	for i := range chroots {
		names = append(names, fmt.Sprintf("fedora-%d-x86_64", 40+i))
	}
	tests := names
	if chroots > 2 {
		tests = names[1:]
	}
	return []planned{
		{kind: models.SRPMStep, targets: []string{"source"}},
		{kind: models.CoprBuildStep, targets: names, checked: true},
		{kind: models.TestsStep, targets: tests, apart: true, perTarget: true, checked: true},
	}
}

// chain is steps that need each the one before, and of which no forge is told.
func chain(length int) []planned {
	kinds := []models.StepKind{models.SRPMStep, models.CoprBuildStep, models.TestsStep}
	var steps []planned
	for i := range length {
		steps = append(steps, planned{kind: kinds[min(i, 1+i%2)], targets: []string{"fedora-43-x86_64"}})
	}
	return steps
}

// makePipeline plans a pipeline for pull request number of one of ten projects.
func makePipeline(ctx context.Context, s *store.Store, number int, steps []planned) (g *models.Graph, err error) {
	err = s.InTx(ctx, func(tx *store.Tx) error {
		p, err := models.ParseProjectURL(fmt.Sprintf("https://github.com/example/bench-%d", number%10))
		if err != nil {
			return err
		}
		if err := tx.EnsureProject(ctx, p); err != nil {
			return err
		}
		c := &models.Commit{
			ProjectID: p.ID, Kind: models.PullRequestRef, Ref: fmt.Sprint(number), TargetRef: "main",
			SHA: fmt.Sprintf("%040x", number+1), Title: fmt.Sprintf("Change number %d", number),
		}
		if err := tx.EnsureCommit(ctx, c); err != nil {
			return err
		}
		e, err := tx.CreateEvent(ctx, &models.Event{
			ProjectID: p.ID, CommitID: c.ID, Kind: models.PullRequestEvent, Action: models.Opened, Actor: "jdoe",
			State: models.EventPlanned, CreatedAt: store.Now(), DecidedAt: store.Now(),
		})
		if err != nil {
			return err
		}
		pipeline, groups, needs := plan(e, c, steps)
		g, err = tx.CreatePipeline(ctx, pipeline, groups, needs)
		return err
	})
	return g, err
}

func plan(e *models.Event, c *models.Commit, steps []planned) (*models.Pipeline, []*models.RunGroup, []models.PlannedNeed) {
	p := &models.Pipeline{
		EventID: e.ID, ProjectID: e.ProjectID, CommitID: c.ID, Package: "bench", Attempt: 1, Kind: c.Kind, Ref: c.Ref,
		SHA: c.SHA, Title: c.Title, Actor: e.Actor, State: models.Waiting, CreatedAt: store.Now(),
	}
	var groups []*models.RunGroup
	var needs []models.PlannedNeed
	for i, s := range steps {
		step := &models.Step{Position: i, Kind: s.kind, Name: fmt.Sprintf("%s-%d", s.kind, i), JobIndex: i, State: models.Waiting, Config: []byte("null")}
		p.Steps = append(p.Steps, step)
		if i > 0 {
			needs = append(needs, models.PlannedNeed{Step: i, Needs: i - 1, PerTarget: s.perTarget})
		}
		var group *models.RunGroup
		for j, name := range s.targets {
			if group == nil || s.apart {
				group = &models.RunGroup{
					Kind: s.kind, Phase: models.PhasePlanned, Key: fmt.Sprintf("e%d/%d/%d", e.ID, i, j), CreatedAt: store.Now(), UpdatedAt: store.Now(),
				}
				groups = append(groups, group)
			}
			run := &models.Run{Kind: s.kind, Target: name, State: models.Waiting, CreatedAt: store.Now()}
			target := &models.Target{Position: j, Name: name, Run: run}
			if s.checked {
				target.Check = fmt.Sprintf("%s:%s", s.kind, name)
			}
			step.Targets = append(step.Targets, target)
			group.Members = append(group.Members, run)
			p.Runs++
		}
	}
	return p, groups, needs
}
