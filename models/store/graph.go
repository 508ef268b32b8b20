package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"millrace/models"
)

// LockGraph loads a pipeline whole, but for the configs of its steps, and locks
// it: until the transaction ends no one else changes the pipeline, its runs or
// its groups.
func (tx *Tx) LockGraph(ctx context.Context, pipelineID int64) (*models.Graph, error) {
	return tx.lockGraph(ctx, pipelineID, nil)
}

// LockKnown is LockGraph of a pipeline that Pipeline returned before. What was
// not changed since is not read again: its steps are then part of the graph, and
// change with it. The graph's pipeline has all that Pipeline reads.
func (tx *Tx) LockKnown(ctx context.Context, known *models.Pipeline) (*models.Graph, error) {
	return tx.lockGraph(ctx, known.ID, known)
}

func (tx *Tx) lockGraph(ctx context.Context, pipelineID int64, known *models.Pipeline) (*models.Graph, error) {
	pipeline := new(models.Pipeline)
	err := forUpdate(tx.db.NewSelect().Model(pipeline).Conn(fixed(tx.db, pipelineID)).Where("id = $1")).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("locking pipeline %d: %w", pipelineID, notFound(err))
	}
	if known != nil && known.Version == pipeline.Version && !reuses(known) {
		pipeline.Steps = known.Steps
	} else if err := loadSteps(ctx, tx.db, pipeline, known != nil); err != nil {
		return nil, err
	}
	if known != nil {
		pipeline.Event, pipeline.Project, pipeline.Commit = known.Event, known.Project, known.Commit
	}
	var groups []*models.RunGroup
	// Locked in the same breath, so that no worker claims one meanwhile.
	err = forUpdate(tx.db.NewSelect().Model(&groups).Conn(fixed(tx.db, pipelineID)).Where("pipeline_id = $1").Order("id")).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("locking the groups of pipeline %d: %w", pipelineID, err)
	}
	return models.NewGraph(pipeline, groups), nil
}

// reuses reports whether a pipeline shows runs of others. Their changes do not
// count its version up.
func reuses(p *models.Pipeline) bool {
	for _, s := range p.Steps {
		for _, t := range s.Targets {
			if t.Reused {
				return true
			}
		}
	}
	return false
}

// stepRow is a step with its needs, as text: one query less for each pipeline.
type stepRow struct {
	models.Step `bun:",extend"`
	Needed      string `bun:",scanonly"`
}

// neededColumn has "4:0 7:1" for a step that needs step 4 as a join, and step 7
// per target.
const neededColumn = `COALESCE((SELECT string_agg(CAST(need.needs_id AS TEXT) || ':' || CAST(CAST(need.per_target AS INTEGER) AS TEXT), ' ' ORDER BY need.needs_id)
	FROM step_needs AS need WHERE need.step_id = step.id), '') AS needed`

func (row *stepRow) needs() error {
	for _, text := range strings.Fields(row.Needed) {
		id, perTarget, _ := strings.Cut(text, ":")
		needed, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return fmt.Errorf("reading the needs of step %d: %w", row.ID, err)
		}
		row.Needs = append(row.Needs, &models.Need{StepID: row.ID, NeedsID: needed, PerTarget: perTarget == "1"})
	}
	return nil
}

// loadSteps fills in the steps of a pipeline with their needs, targets and runs,
// in planned order. Configs are left out unless they are asked for: they are
// large, and few show them.
func loadSteps(ctx context.Context, db bun.IDB, p *models.Pipeline, configs bool) error {
	conn := fixed(db, p.ID)
	var rows []*stepRow
	q := db.NewSelect().Model(&rows).Conn(conn).Where("step.pipeline_id = $1").Order("step.position")
	if configs {
		q = q.ColumnExpr("step.*")
	} else {
		q = q.ExcludeColumn("config")
	}
	if err := q.ColumnExpr(neededColumn).Scan(ctx); err != nil {
		return fmt.Errorf("reading steps: %w", err)
	}
	p.Steps = make([]*models.Step, len(rows))
	byID := make(map[int64]*models.Step, len(p.Steps))
	for i, row := range rows {
		p.Steps[i], byID[row.ID] = &row.Step, &row.Step
		if err := row.needs(); err != nil {
			return err
		}
	}
	const inPipeline = "step_id IN (SELECT id FROM steps WHERE pipeline_id = $1)"
	var targets []*models.Target
	err := db.NewSelect().Model(&targets).Conn(conn).Relation("Run").Where(inPipeline).Order("target.step_id", "target.position").Scan(ctx)
	if err != nil {
		return fmt.Errorf("reading targets: %w", err)
	}
	for _, t := range targets {
		byID[t.StepID].Targets = append(byID[t.StepID].Targets, t)
	}
	return nil
}

// loadStepsOf is loadSteps for several pipelines at once, without the configs of
// their steps.
func loadStepsOf(ctx context.Context, db bun.IDB, pipelines []*models.Pipeline) error {
	if len(pipelines) == 0 {
		return nil
	}
	byID := make(map[int64]*models.Pipeline, len(pipelines))
	ids := make([]int64, len(pipelines))
	for i, p := range pipelines {
		byID[p.ID], ids[i] = p, p.ID
	}
	var steps []*models.Step
	err := db.NewSelect().Model(&steps).ExcludeColumn("config").Where("pipeline_id IN (?)", bun.List(ids)).
		Order("pipeline_id", "position").Scan(ctx)
	if err != nil {
		return fmt.Errorf("reading the steps of %d pipelines: %w", len(pipelines), err)
	}
	stepByID := make(map[int64]*models.Step, len(steps))
	for _, s := range steps {
		byID[s.PipelineID].Steps = append(byID[s.PipelineID].Steps, s)
		stepByID[s.ID] = s
	}
	const inPipelines = "step_id IN (SELECT id FROM steps WHERE pipeline_id IN (?))"
	var needs []*models.Need
	if err := db.NewSelect().Model(&needs).Where(inPipelines, bun.List(ids)).Order("step_id", "needs_id").Scan(ctx); err != nil {
		return fmt.Errorf("reading the needs of %d pipelines: %w", len(pipelines), err)
	}
	for _, n := range needs {
		stepByID[n.StepID].Needs = append(stepByID[n.StepID].Needs, n)
	}
	var targets []*models.Target
	err = db.NewSelect().Model(&targets).Relation("Run").Where(inPipelines, bun.List(ids)).Order("target.step_id", "target.position").Scan(ctx)
	if err != nil {
		return fmt.Errorf("reading the targets of %d pipelines: %w", len(pipelines), err)
	}
	for _, t := range targets {
		stepByID[t.StepID].Targets = append(stepByID[t.StepID].Targets, t)
	}
	return nil
}

// SaveGraph writes what was changed in g since it was locked. If people see any
// of it, it counts the pipeline's version up and tells the browsers.
func (tx *Tx) SaveGraph(ctx context.Context, g *models.Graph) error {
	w := &writes{db: tx.db}
	update(w, g.ChangedRuns(), "state", "reason", "external_id", "external_url", "log_url",
		"retries", "queued_at", "started_at", "finished_at", "data")
	update(w, g.ChangedGroups(), "phase", "epoch", "worker", "lease_until", "rank", "tries",
		"not_before", "hinted_at", "poll_at", "polls", "external_id", "error", "updated_at")
	update(w, g.ChangedSteps(), "state")
	if g.Visible() {
		g.Version++
		update(w, []*models.Pipeline{g.Pipeline}, "state", "version", "runs", "runs_done", "runs_bad",
			"superseded_by", "started_at", "finished_at")
		tx.announce(w, models.Change{Topic: models.PipelineTopic, Object: g.ID, ProjectID: g.ProjectID, Version: g.Version})
	}
	if err := tx.send(ctx, w); err != nil {
		return fmt.Errorf("saving pipeline %d: %w", g.ID, err)
	}
	return nil
}

// updateAll writes the columns of rows, in one statement however many there are.
func updateAll[T any](ctx context.Context, db bun.IDB, rows []*T, columns ...string) error {
	switch len(rows) {
	case 0:
		return nil
	case 1:
		_, err := db.NewUpdate().Model(rows[0]).WherePK().Column(columns...).Exec(ctx)
		return err
	}
	_, err := db.NewUpdate().Model(&rows).Column(columns...).Bulk().Exec(ctx)
	return err
}

// CreatePipeline writes a planned pipeline with its steps, needs, targets, runs
// and groups, and fills in their ids. The plan's needs name steps by position.
// Targets that are marked as reused share a run that is there already. If the
// plan has that attempt already the error is a *models.ConflictError.
func (tx *Tx) CreatePipeline(ctx context.Context, p *models.Pipeline, groups []*models.RunGroup, needs []models.PlannedNeed) (*models.Graph, error) {
	_, err := tx.db.NewInsert().Model(p).On("CONFLICT (event_id, package, attempt) DO NOTHING").Exec(ctx)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && p.ID == 0) {
		return nil, tx.conflict(ctx, p)
	}
	if err != nil {
		return nil, fmt.Errorf("creating a pipeline: %w", err)
	}
	for _, s := range p.Steps {
		s.PipelineID = p.ID
	}
	if _, err := tx.db.NewInsert().Model(&p.Steps).Exec(ctx); err != nil {
		return nil, fmt.Errorf("creating the steps of pipeline %d: %w", p.ID, err)
	}
	rows := make([]*models.Need, len(needs))
	for i, n := range needs {
		rows[i] = &models.Need{StepID: p.Steps[n.Step].ID, NeedsID: p.Steps[n.Needs].ID, PerTarget: n.PerTarget}
		p.Steps[n.Step].Needs = append(p.Steps[n.Step].Needs, rows[i])
	}
	if len(rows) > 0 {
		if _, err := tx.db.NewInsert().Model(&rows).Exec(ctx); err != nil {
			return nil, fmt.Errorf("creating the needs of pipeline %d: %w", p.ID, err)
		}
	}
	if err := tx.createRuns(ctx, p, groups); err != nil {
		return nil, err
	}
	return models.NewGraph(p, groups), nil
}

// conflict says which pipeline has the place that p was meant for.
func (tx *Tx) conflict(ctx context.Context, p *models.Pipeline) error {
	winner := new(models.Pipeline)
	err := tx.db.NewSelect().Model(winner).Column("id", "attempt").
		Where("event_id = ?", p.EventID).Where("package = ?", p.Package).Where("attempt = ?", p.Attempt).Scan(ctx)
	if err != nil {
		return fmt.Errorf("finding attempt %d of event %d: %w", p.Attempt, p.EventID, notFound(err))
	}
	return &models.ConflictError{Pipeline: winner.ID, Attempt: winner.Attempt}
}

func (tx *Tx) createRuns(ctx context.Context, p *models.Pipeline, groups []*models.RunGroup) error {
	stepOf := make(map[*models.Run]*models.Step)
	var targets []*models.Target
	for _, s := range p.Steps {
		for _, t := range s.Targets {
			t.StepID = s.ID
			if !t.Reused {
				stepOf[t.Run] = s
			}
			targets = append(targets, t)
		}
	}
	for _, g := range groups {
		g.PipelineID, g.ProjectID, g.StepID = p.ID, p.ProjectID, stepOf[g.Members[0]].ID
	}
	if len(groups) > 0 {
		if _, err := tx.db.NewInsert().Model(&groups).Exec(ctx); err != nil {
			return fmt.Errorf("creating the groups of pipeline %d: %w", p.ID, err)
		}
	}
	var runs []*models.Run
	for _, g := range groups {
		for _, r := range g.Members {
			r.GroupID, r.PipelineID, r.ProjectID = g.ID, p.ID, p.ProjectID
			runs = append(runs, r)
		}
	}
	if len(runs) > 0 {
		if _, err := tx.db.NewInsert().Model(&runs).Exec(ctx); err != nil {
			return fmt.Errorf("creating the runs of pipeline %d: %w", p.ID, err)
		}
	}
	for _, t := range targets {
		t.RunID = t.Run.ID
	}
	if len(targets) == 0 {
		return nil
	}
	if _, err := tx.db.NewInsert().Model(&targets).Exec(ctx); err != nil {
		return fmt.Errorf("creating the targets of pipeline %d: %w", p.ID, err)
	}
	return nil
}
