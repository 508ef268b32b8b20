package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

const (
	mostQueued  = 50   // groups of each kind that are listed
	waitSamples = 50   // runs whose wait is looked at
	waitWindow  = 1000 // newest runs among which those are looked for
)

// duePhases are the words that the index of what is to be polled is made with.
const duePhases = "phase IN ('submitted', 'canceling')"

// Queue returns what waits and what is at work, of one kind or, if it is empty,
// of all.
func (q queries) Queue(ctx context.Context, kind models.StepKind) (*models.Queue, error) {
	queue := new(models.Queue)
	for _, read := range []func(context.Context, *models.Queue, models.StepKind) error{
		q.queueKinds, q.queueItems, q.queueOutside,
	} {
		if err := read(ctx, queue, kind); err != nil {
			return nil, fmt.Errorf("reading the queue: %w", err)
		}
	}
	var err error
	queue.Workers, err = q.Workers(ctx)
	return queue, err
}

// queueKinds counts the groups that are not settled. Each part of the union is
// what a partial index holds.
func (q queries) queueKinds(ctx context.Context, queue *models.Queue, kind models.StepKind) error {
	count := func(phase models.Phase, oldest string) *bun.SelectQuery {
		s := q.db.NewSelect().TableExpr("run_groups").ColumnExpr("kind, phase, count(*) AS n").ColumnExpr(oldest+" AS oldest").
			Where("phase = ?", phase).GroupExpr("kind, phase")
		if kind != "" {
			s = s.Where("kind = ?", kind)
		}
		if phase == models.PhaseSubmitted || phase == models.PhaseCanceling {
			s = s.Where(duePhases)
		}
		return s
	}
	byKind := map[models.StepKind]*models.QueueKind{}
	of := func(k models.StepKind) *models.QueueKind {
		if byKind[k] == nil {
			byKind[k] = &models.QueueKind{Kind: k}
		}
		return byKind[k]
	}
	for phase, number := range map[models.Phase]func(*models.QueueKind) *int{
		models.PhaseQueued:    func(k *models.QueueKind) *int { return &k.Queued },
		models.PhaseWorking:   func(k *models.QueueKind) *int { return &k.Working },
		models.PhaseSubmitted: func(k *models.QueueKind) *int { return &k.Submitted },
		models.PhaseCanceling: func(k *models.QueueKind) *int { return &k.Canceling },
	} {
		var rows []struct {
			Kind   models.StepKind
			Phase  models.Phase
			N      int
			Oldest time.Time
		}
		if err := count(phase, "min(updated_at)").Scan(ctx, &rows); err != nil {
			return err
		}
		for _, row := range rows {
			k := of(row.Kind)
			*number(k) = row.N
			if phase == models.PhaseQueued {
				k.Oldest = row.Oldest.UTC()
			}
		}
	}
	var paused []models.StepKind
	if err := q.db.NewSelect().TableExpr("paused_kinds").Column("kind").Scan(ctx, &paused); err != nil {
		return err
	}
	for _, k := range paused {
		if kind == "" || kind == k {
			of(k).Paused = true
		}
	}
	for _, k := range byKind {
		if err := q.waits(ctx, k); err != nil {
			return err
		}
		queue.Kinds = append(queue.Kinds, *k)
	}
	slices.SortFunc(queue.Kinds, func(a, b models.QueueKind) int { return stepOrder(a.Kind) - stepOrder(b.Kind) })
	return nil
}

// stepOrder is where a kind stands on the way of a change to Fedora.
func stepOrder(kind models.StepKind) int {
	i := slices.Index(models.StepKinds, kind)
	if i < 0 {
		return len(models.StepKinds)
	}
	return i
}

// waits measures how long the last runs of a kind waited for a worker.
func (q queries) waits(ctx context.Context, k *models.QueueKind) error {
	newest := q.db.NewSelect().TableExpr("runs").Column("id", "queued_at", "started_at").
		Where("kind = ?", k.Kind).Order("id DESC").Limit(waitWindow)
	var rows []struct{ QueuedAt, StartedAt time.Time }
	err := q.db.NewSelect().TableExpr("(?) AS r", newest).Column("queued_at", "started_at").
		Where("r.queued_at IS NOT NULL").Where("r.started_at IS NOT NULL").
		OrderExpr("r.id DESC").Limit(waitSamples).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	waited := make([]time.Duration, len(rows))
	for i, r := range rows {
		waited[i] = max(0, r.StartedAt.Sub(r.QueuedAt))
	}
	k.Waits, k.MedianWait = len(waited), median(waited)
	return nil
}

// queueItems lists the groups of each kind by what they wait for.
func (q queries) queueItems(ctx context.Context, queue *models.Queue, _ models.StepKind) error {
	now := Now()
	for _, k := range queue.Kinds {
		if k.Queued > 0 {
			waiting, err := q.groupsOf(ctx, k.Kind, models.PhaseQueued, "rank", "id")
			if err != nil {
				return err
			}
			position := 0
			for _, g := range waiting {
				item := models.QueueItem{Group: g}
				if !g.NotBefore.After(now) {
					position++
					item.Position = position
				}
				queue.Waiting = append(queue.Waiting, item)
			}
		}
		if k.Working > 0 {
			if err := q.addItems(ctx, &queue.Working, k.Kind, models.PhaseWorking, "lease_until", "id"); err != nil {
				return err
			}
		}
		if k.Submitted > 0 {
			if err := q.addItems(ctx, &queue.Submitted, k.Kind, models.PhaseSubmitted, "poll_at", "id"); err != nil {
				return err
			}
		}
	}
	var all []*models.QueueItem
	for _, list := range [][]models.QueueItem{queue.Waiting, queue.Working, queue.Submitted} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return q.describe(ctx, all)
}

func (q queries) addItems(ctx context.Context, list *[]models.QueueItem, kind models.StepKind, phase models.Phase, order ...string) error {
	groups, err := q.groupsOf(ctx, kind, phase, order...)
	for _, g := range groups {
		*list = append(*list, models.QueueItem{Group: g})
	}
	return err
}

func (q queries) groupsOf(ctx context.Context, kind models.StepKind, phase models.Phase, order ...string) ([]*models.RunGroup, error) {
	var groups []*models.RunGroup
	s := q.db.NewSelect().Model(&groups).Where("kind = ?", kind).Where("phase = ?", phase).Order(order...).Limit(mostQueued)
	if phase == models.PhaseSubmitted {
		s = s.Where(duePhases)
	}
	return groups, s.Scan(ctx)
}

// describe adds what the groups of items are for.
func (q queries) describe(ctx context.Context, items []*models.QueueItem) error {
	if len(items) == 0 {
		return nil
	}
	byGroup := make(map[int64]*models.QueueItem, len(items))
	var groups, pipelines []int64
	for _, item := range items {
		byGroup[item.Group.ID] = item
		groups, pipelines = append(groups, item.Group.ID), append(pipelines, item.Group.PipelineID)
	}
	var found []*models.Pipeline
	if err := q.db.NewSelect().Model(&found).Relation("Project").Where("pipeline.id IN (?)", bun.List(pipelines)).Scan(ctx); err != nil {
		return err
	}
	byID := make(map[int64]*models.Pipeline, len(found))
	for _, p := range found {
		byID[p.ID] = p
	}
	var rows []struct {
		GroupID      int64
		Step, Target string
	}
	err := q.db.NewSelect().TableExpr("runs AS r").
		Join("JOIN run_groups AS g ON g.id = r.group_id").Join("JOIN steps AS s ON s.id = g.step_id").
		ColumnExpr("r.group_id, s.name AS step, r.target").Where("r.group_id IN (?)", bun.List(groups)).
		OrderExpr("r.group_id, r.id").Scan(ctx, &rows)
	if err != nil {
		return err
	}
	for _, row := range rows {
		item := byGroup[row.GroupID]
		item.Step = row.Step
		item.Targets = append(item.Targets, row.Target)
	}
	for _, item := range items {
		item.Pipeline = byID[item.Group.PipelineID]
	}
	return nil
}

// queueOutside counts what is still to be read and told.
func (q queries) queueOutside(ctx context.Context, queue *models.Queue, _ models.StepKind) error {
	var deliveries, reports struct {
		N      int
		Oldest time.Time
	}
	err := q.db.NewSelect().TableExpr("deliveries").ColumnExpr("count(*) AS n, min(received_at) AS oldest").
		Where("handled_at IS NULL").Scan(ctx, &deliveries)
	if err != nil {
		return err
	}
	err = q.db.NewSelect().TableExpr("reports").ColumnExpr("count(*) AS n, min(updated_at) AS oldest").
		Where("sent_rev < revision").Scan(ctx, &reports)
	if err != nil {
		return err
	}
	queue.Unhandled, queue.UnhandledOld = deliveries.N, utc(deliveries.Oldest)
	queue.Unsent, queue.UnsentOld = reports.N, utc(reports.Oldest)
	var problems []string
	err = q.db.NewSelect().TableExpr("reports").Column("error").Where("sent_rev < revision").Where("error <> ''").
		Order("id DESC").Limit(1).Scan(ctx, &problems)
	if len(problems) > 0 {
		queue.UnsentError = problems[0]
	}
	return err
}

// utc is a time as it was written, without a zone for none.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// QueuePosition returns where a group stands among those of its kind that a
// worker may claim now, from 1, or 0 if it is not queued. It counts no further
// than to 1000.
func (q queries) QueuePosition(ctx context.Context, group *models.RunGroup) (int, error) {
	if group.Phase != models.PhaseQueued {
		return 0, nil
	}
	ahead := q.db.NewSelect().TableExpr("run_groups").ColumnExpr("1").Where("kind = ?", group.Kind).Where("phase = 'queued'").
		Where("not_before IS NULL OR not_before <= ?", Now()).Where("(rank, id) < (?, ?)", group.Rank, group.ID).Limit(999)
	n, err := countRows(ctx, q.db, ahead)
	if err != nil {
		return 0, fmt.Errorf("finding the position of group %d: %w", group.ID, err)
	}
	return n + 1, nil
}

// Counters returns what the automation is doing now.
func (q queries) Counters(ctx context.Context) (*models.Counters, error) {
	c, now := new(models.Counters), Now()
	day := now.AddDate(0, 0, -1)
	var row struct {
		Running, Queued, WaitingToRun, RunningInFull int
		Pipelines, Failed, Errors, Unsent, Unhandled int
		Oldest                                       time.Time
	}
	err := q.db.NewSelect().
		ColumnExpr("(SELECT count(*) FROM runs WHERE state = 'running') AS running").
		ColumnExpr("(SELECT count(*) FROM runs WHERE state = 'queued') AS queued").
		ColumnExpr("(SELECT count(*) FROM pipelines WHERE state IN ('queued', 'waiting')) AS waiting_to_run").
		ColumnExpr("(SELECT count(*) FROM pipelines WHERE state = 'running') AS running_in_full").
		ColumnExpr("(SELECT count(*) FROM pipelines WHERE created_at >= ?) AS pipelines", day).
		ColumnExpr("(SELECT count(*) FROM pipelines WHERE state IN ('failed', 'error') AND finished_at >= ? AND state = 'failed') AS failed", day).
		ColumnExpr("(SELECT count(*) FROM pipelines WHERE state IN ('failed', 'error') AND finished_at >= ? AND state = 'error') AS errors", day).
		ColumnExpr("(SELECT count(*) FROM reports WHERE sent_rev < revision AND tries > 0) AS unsent").
		ColumnExpr("(SELECT count(*) FROM deliveries WHERE handled_at IS NULL AND tries > 0) AS unhandled").
		ColumnExpr("(SELECT min(updated_at) FROM run_groups WHERE phase = 'queued') AS oldest").
		Scan(ctx, &row)
	if err != nil {
		return nil, fmt.Errorf("counting what is going on: %w", err)
	}
	c.Running, c.Queued, c.WaitingToRun, c.RunningInFull = row.Running, row.Queued, row.WaitingToRun, row.RunningInFull
	c.Unfinished = c.WaitingToRun + c.RunningInFull
	c.Pipelines, c.Failed, c.Errors, c.Unsent, c.Unhandled = row.Pipelines, row.Failed, row.Errors, row.Unsent, row.Unhandled
	if !row.Oldest.IsZero() {
		c.OldestWait = max(0, now.Sub(row.Oldest))
	}
	return c, nil
}
