package storetest

import (
	"context"
	"fmt"
	"testing"

	"millrace/models"
	"millrace/models/store"
)

// Shape describes a pipeline to make: its steps in planned order.
type Shape []Step

// Step describes a step of a Shape: the chroots of one submission, or one
// submission for each if they are Apart.
type Step struct {
	Kind      models.StepKind
	Targets   []string
	Apart     bool
	Needs     []int // positions of steps
	PerTarget bool
}

// PullRequest is a source RPM, builds in two chroots, and tests that follow them.
var PullRequest = Shape{
	{Kind: models.SRPMStep, Targets: []string{"source"}},
	{Kind: models.CoprBuildStep, Targets: []string{"fedora-43-x86_64", "fedora-44-x86_64"}, Needs: []int{0}},
	{Kind: models.TestsStep, Targets: []string{"fedora-43-x86_64", "fedora-44-x86_64"}, Apart: true, Needs: []int{1}, PerTarget: true},
}

// Pipeline creates a pipeline of that shape for a pull request of the project
// namespace/name, with an event and a commit of its own.
func Pipeline(t testing.TB, s *store.Store, project string, number int, shape Shape) *models.Graph {
	t.Helper()
	var graph *models.Graph
	err := s.InTx(context.Background(), func(tx *store.Tx) (err error) {
		graph, err = Create(context.Background(), tx, project, number, shape)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return graph
}

// Create is Pipeline within a transaction of the caller's.
func Create(ctx context.Context, tx *store.Tx, project string, number int, shape Shape) (*models.Graph, error) {
	p, err := models.ParseProjectURL("https://github.com/" + project)
	if err != nil {
		return nil, err
	}
	if err := tx.EnsureProject(ctx, p); err != nil {
		return nil, err
	}
	commit := &models.Commit{
		ProjectID: p.ID, Kind: models.PullRequestRef, Ref: fmt.Sprint(number), TargetRef: "main",
		SHA: fmt.Sprintf("%040x", number), Title: fmt.Sprintf("Change number %d", number),
	}
	if err := tx.EnsureCommit(ctx, commit); err != nil {
		return nil, err
	}
	event, err := tx.CreateEvent(ctx, &models.Event{
		ProjectID: p.ID, CommitID: commit.ID, Kind: models.PullRequestEvent, Action: models.Opened,
		Actor: "jdoe", State: models.EventPlanned, CreatedAt: store.Now(), DecidedAt: store.Now(),
	})
	if err != nil {
		return nil, err
	}
	pipeline, groups, needs := build(event, commit, shape)
	return tx.CreatePipeline(ctx, pipeline, groups, needs)
}

func build(event *models.Event, commit *models.Commit, shape Shape) (*models.Pipeline, []*models.RunGroup, []models.PlannedNeed) {
	p := &models.Pipeline{
		EventID: event.ID, ProjectID: event.ProjectID, CommitID: commit.ID, Package: "hello", Attempt: 1,
		Kind: commit.Kind, Ref: commit.Ref, Title: commit.Title, Actor: event.Actor, State: models.Waiting, CreatedAt: store.Now(),
	}
	var groups []*models.RunGroup
	var needs []models.PlannedNeed
	for i, s := range shape {
		step := &models.Step{Position: i, Kind: s.Kind, Name: fmt.Sprintf("%s-%d", s.Kind, i), JobIndex: i, State: models.Waiting, Config: []byte("null")}
		p.Steps = append(p.Steps, step)
		for _, n := range s.Needs {
			needs = append(needs, models.PlannedNeed{Step: i, Needs: n, PerTarget: s.PerTarget})
		}
		var group *models.RunGroup
		for j, name := range s.Targets {
			if group == nil || s.Apart {
				group = &models.RunGroup{
					Kind: s.Kind, Phase: models.PhasePlanned, Key: fmt.Sprintf("e%d/%d/%d", event.ID, i, j),
					CreatedAt: store.Now(), UpdatedAt: store.Now(),
				}
				groups = append(groups, group)
			}
			run := &models.Run{Kind: s.Kind, Target: name, State: models.Waiting, CreatedAt: store.Now()}
			step.Targets = append(step.Targets, &models.Target{Position: j, Name: name, Run: run})
			group.Members = append(group.Members, run)
			p.Runs++
		}
	}
	return p, groups, needs
}
