package store

import (
	"context"
	"fmt"

	"millrace/models"
)

// RunPlace returns where a run stands in the pipeline it was made for.
func (q queries) RunPlace(ctx context.Context, runID int64) (*models.RunPlace, error) {
	var at struct {
		PipelineID   int64
		Step, Target string
	}
	err := q.db.NewSelect().TableExpr("targets AS t").Join("JOIN steps AS s ON s.id = t.step_id").
		ColumnExpr("s.pipeline_id, s.name AS step, t.name AS target").
		Where("t.run_id = ?", runID).OrderExpr("t.reused, t.id").Limit(1).Scan(ctx, &at)
	if err != nil {
		return nil, fmt.Errorf("finding run %d: %w", runID, notFound(err))
	}
	return q.TargetPlace(ctx, at.PipelineID, at.Step, at.Target)
}

// TargetPlace returns the run of a target of a step of a pipeline, and what is
// around it.
func (q queries) TargetPlace(ctx context.Context, pipelineID int64, step, target string) (*models.RunPlace, error) {
	pipeline, err := q.PipelineOutline(ctx, pipelineID)
	if err != nil {
		return nil, err
	}
	place := &models.RunPlace{Pipeline: pipeline}
	for _, s := range pipeline.Steps {
		if s.Name == step {
			place.Step, place.Target = s, s.Target(target)
		}
	}
	if place.Target == nil {
		return nil, fmt.Errorf("finding target %q of step %q of pipeline %d: %w", target, step, pipelineID, models.ErrNotFound)
	}
	if place.Group, err = q.Group(ctx, place.Target.Run.GroupID); err != nil {
		return nil, err
	}
	place.Attempts, err = q.TargetAttempts(ctx, pipeline, step, target)
	return place, err
}

// PipelineOutline returns a pipeline as Pipeline does, without what is long: the
// configs of its steps and the config and decisions of its event.
func (q queries) PipelineOutline(ctx context.Context, id int64) (*models.Pipeline, error) {
	p := new(models.Pipeline)
	err := q.db.NewSelect().Model(p).Relation("Project").Relation("Commit").Where("pipeline.id = ?", id).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading pipeline %d: %w", id, notFound(err))
	}
	p.Event = new(models.Event)
	err = q.db.NewSelect().Model(p.Event).ExcludeColumn("decisions", "config_text").Where("id = ?", p.EventID).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the event of pipeline %d: %w", id, notFound(err))
	}
	if err := loadSteps(ctx, q.db, p, false); err != nil {
		return nil, err
	}
	return p, nil
}

// TargetAttempts returns what became of a target in each attempt of the plan
// that p is one of, in their order.
func (q queries) TargetAttempts(ctx context.Context, p *models.Pipeline, step, target string) ([]models.TargetAttempt, error) {
	first := p.ID
	if p.FirstAttemptID != 0 {
		first = p.FirstAttemptID
	}
	var attempts []models.TargetAttempt
	err := q.db.NewSelect().TableExpr("pipelines AS p").
		Join("JOIN steps AS s ON s.pipeline_id = p.id").Join("JOIN targets AS t ON t.step_id = s.id").Join("JOIN runs AS r ON r.id = t.run_id").
		ColumnExpr("p.id AS pipeline_id, p.attempt, t.run_id, t.reused, r.state").
		Where("p.id = ? OR p.first_attempt_id = ?", first, first).Where("s.name = ?", step).Where("t.name = ?", target).
		OrderExpr("p.attempt").Scan(ctx, &attempts)
	if err != nil {
		return nil, fmt.Errorf("listing the attempts of %s of %s in pipeline %d: %w", target, step, p.ID, err)
	}
	return attempts, nil
}
