package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// Claim gives the fairest queued group of a kind to worker until the lease ends,
// under a new epoch, or returns nil if there is none to have: nothing is queued,
// the kind is paused, or limit groups of it (0: no limit) are being worked on in
// all processes together.
func (tx *Tx) Claim(ctx context.Context, kind models.StepKind, worker string, lease time.Duration, limit int) (*models.RunGroup, error) {
	now := Now()
	if limit > 0 {
		if err := tx.serialize(ctx, "claim "+string(kind)); err != nil {
			return nil, err
		}
	}
	args := []any{kind, now}
	if limit > 0 {
		args = append(args, limit)
	}
	if !isPG(tx.db) {
		return tx.claim(ctx, tx.nextGroup(limit), worker, lease, args)
	}
	group, err := tx.claim(ctx, tx.nextGroup(limit).For("UPDATE SKIP LOCKED"), worker, lease, args)
	// What was passed over may have been locked by a change of its pipeline that
	// leaves it queued. Whoever is asked to claim is not asked again: they wait.
	for wait := 0; group == nil && err == nil && wait < claimWaits; wait++ {
		var due []int64
		if err := tx.nextGroup(limit).Conn(fixed(tx.db, args...)).Scan(ctx, &due); err != nil {
			return nil, fmt.Errorf("looking for a %s to claim: %w", kind, err)
		}
		if len(due) == 0 {
			return nil, nil
		}
		group, err = tx.claim(ctx, tx.nextGroup(limit).For("UPDATE"), worker, lease, args)
	}
	return group, err
}

// claimWaits is how often somebody waits for a group that others may take
// meanwhile.
const claimWaits = 3

// nextGroup is the fairest queued group that may be claimed; its arguments are
// kind, now, and limit if there is one.
func (tx *Tx) nextGroup(limit int) *bun.SelectQuery {
	next := tx.db.NewSelect().Model((*models.RunGroup)(nil)).Column("id").
		Where("run_group.kind = $1").Where("run_group.phase = 'queued'").
		Where("run_group.not_before IS NULL OR run_group.not_before <= $2").
		Where("NOT EXISTS (SELECT 1 FROM paused_kinds p WHERE p.kind = run_group.kind)").
		Order("run_group.rank", "run_group.id").Limit(1)
	if limit > 0 {
		next = next.Where("(SELECT count(*) FROM run_groups w WHERE w.kind = $1 AND w.phase = 'working') < $3")
	}
	return next
}

// claim claims the group that next selects, or none.
func (tx *Tx) claim(ctx context.Context, next *bun.SelectQuery, worker string, lease time.Duration, args []any) (*models.RunGroup, error) {
	kind, now := args[0], args[1].(time.Time)
	var claimed []*models.RunGroup
	n := len(args)
	_, err := tx.db.NewUpdate().Model(&claimed).Conn(fixed(tx.db, append(args, worker, now.Add(lease))...)).ModelTableExpr("run_groups").
		Set("phase = 'working'").Set("epoch = epoch + 1").Set(fmt.Sprintf("worker = $%d", n+1)).
		Set(fmt.Sprintf("lease_until = $%d", n+2)).Set("updated_at = $2").
		Where("id = (?)", next).Returning("*").Exec(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("claiming a %s: %w", kind, err)
	}
	if len(claimed) == 0 {
		return nil, nil
	}
	return claimed[0], nil
}

// Claim is that of Tx in a transaction of its own.
func (s *Store) Claim(ctx context.Context, kind models.StepKind, worker string, lease time.Duration, limit int) (group *models.RunGroup, err error) {
	if limit <= 0 { // it is one statement, which needs no more
		return (&Tx{queries: queries{s.write}}).Claim(ctx, kind, worker, lease, limit)
	}
	err = s.InTx(ctx, func(tx *Tx) (err error) {
		group, err = tx.Claim(ctx, kind, worker, lease, limit)
		return err
	})
	return group, err
}

// serialize lets one transaction at a time pass for the same purpose. On SQLite
// that is so anyway.
func (tx *Tx) serialize(ctx context.Context, purpose string) error {
	if !isPG(tx.db) {
		return nil
	}
	h := fnv.New64a()
	h.Write([]byte(purpose))
	if _, err := tx.db.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", int64(h.Sum64())); err != nil {
		return fmt.Errorf("waiting to %s: %w", purpose, err)
	}
	return nil
}

// Renew extends the lease of a group that is still held under that epoch. If it
// is not, the error is models.ErrLost.
func (tx *Tx) Renew(ctx context.Context, group *models.RunGroup, lease time.Duration) error {
	res, err := tx.db.NewUpdate().Model((*models.RunGroup)(nil)).Set("lease_until = ?", Now().Add(lease)).
		Where("id = ?", group.ID).Where("epoch = ?", group.Epoch).Where("phase = ?", models.PhaseWorking).Exec(ctx)
	if err != nil {
		return fmt.Errorf("renewing the lease of group %d: %w", group.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(models.ErrLost, err)
	}
	return nil
}

// GiveBack queues a group that is held under that epoch again, for another
// worker to claim: its process shuts down. It is not counted as a try.
func (tx *Tx) GiveBack(ctx context.Context, group *models.RunGroup) error {
	_, err := tx.db.NewUpdate().Model((*models.RunGroup)(nil)).
		Set("phase = ?", models.PhaseQueued).Set("worker = ''").Set("lease_until = NULL").Set("hinted_at = NULL").Set("updated_at = ?", Now()).
		Where("id = ?", group.ID).Where("epoch = ?", group.Epoch).Where("phase = ?", models.PhaseWorking).Exec(ctx)
	if err != nil {
		return fmt.Errorf("giving group %d back: %w", group.ID, err)
	}
	return nil
}

// Place is where a newly queued group goes.
type Place struct {
	Rank int64
	Free bool // nobody waits for a worker of the kind, which is not paused
}

// NextPlace is where a newly queued group of a project goes: behind the queued
// groups of its own project, and beside the first queued of the others. So a
// project with a thousand groups takes turns with the rest.
func (tx *Tx) NextPlace(ctx context.Context, kind models.StepKind, projectID int64) (Place, error) {
	var row struct{ First, Own, Paused sql.NullInt64 }
	// The ends of an index each, whatever the planner thinks of the tables' sizes.
	err := tx.db.NewSelect().Conn(fixed(tx.db, kind, projectID)).
		ColumnExpr("(SELECT rank FROM run_groups WHERE kind = $1 AND phase = 'queued' ORDER BY rank LIMIT 1) AS first").
		ColumnExpr("(SELECT rank FROM run_groups WHERE project_id = $2 AND kind = $1 AND phase = 'queued' ORDER BY rank DESC LIMIT 1) AS own").
		ColumnExpr("(SELECT 1 FROM paused_kinds WHERE kind = $1) AS paused").
		Scan(ctx, &row)
	if err != nil {
		return Place{}, fmt.Errorf("finding a place in the queue of %s: %w", kind, err)
	}
	place := Place{Rank: row.First.Int64, Free: !row.First.Valid && !row.Paused.Valid}
	if row.Own.Valid {
		place.Rank = max(place.Rank, row.Own.Int64+1)
	}
	return place, nil
}

// RecoverLapsed queues groups again whose worker did not renew its lease: the
// next claim has a new epoch, and the old worker can settle nothing.
func (tx *Tx) RecoverLapsed(ctx context.Context) (int64, error) {
	return tx.recover(ctx, time.Time{}, "lease_until < ?", Now())
}

// RecoverAll queues every group again that is being worked on, to be claimed
// from notBefore on. It is right only at the start of the one process of an
// embedded database: nobody else can be alive.
func (tx *Tx) RecoverAll(ctx context.Context, notBefore time.Time) (int64, error) {
	return tx.recover(ctx, notBefore, "1 = 1")
}

func (tx *Tx) recover(ctx context.Context, notBefore time.Time, which string, args ...any) (int64, error) {
	q := tx.db.NewUpdate().Model((*models.RunGroup)(nil)).
		Set("phase = ?", models.PhaseQueued).Set("worker = ''").Set("lease_until = NULL").Set("hinted_at = NULL").
		Set("epoch = epoch + 1").Set("updated_at = ?", Now()).
		Where("phase = 'working'").Where(which, args...)
	if !notBefore.IsZero() {
		q = q.Set("not_before = ?", notBefore)
	}
	res, err := q.Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("recovering groups that nobody works on: %w", err)
	}
	return res.RowsAffected()
}

// Unhinted counts, by kind, the queued groups that are due and for which no job
// was made since before; it notes that one is made now.
func (tx *Tx) Unhinted(ctx context.Context, before time.Time) (map[models.StepKind]int, error) {
	now := Now()
	due := tx.db.NewSelect().Model((*models.RunGroup)(nil)).Column("id").
		Where("run_group.phase = 'queued'").Where("run_group.hinted_at IS NULL OR run_group.hinted_at < ?", before).
		Where("run_group.not_before IS NULL OR run_group.not_before <= ?", now).
		Order("run_group.rank", "run_group.id").Limit(500)
	if isPG(tx.db) {
		due = due.For("UPDATE SKIP LOCKED")
	}
	var kinds []models.StepKind
	_, err := tx.db.NewUpdate().Model((*models.RunGroup)(nil)).ModelTableExpr("run_groups").Set("hinted_at = ?", now).
		Where("id IN (?)", due).Returning("kind").Exec(ctx, &kinds)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("finding queued groups without a job: %w", err)
	}
	counts := map[models.StepKind]int{}
	for _, k := range kinds {
		counts[k]++
	}
	return counts, nil
}

// DuePoll is a group whose service is to be asked.
type DuePoll struct {
	ID    int64
	Epoch int64
	Phase models.Phase
}

// DuePolls returns at most limit groups that are due to be polled, or to be
// canceled at their service, and puts them off until then: if the one who asks
// dies, another asks then.
func (tx *Tx) DuePolls(ctx context.Context, until time.Time, limit int64) ([]DuePoll, error) {
	due := tx.db.NewSelect().Model((*models.RunGroup)(nil)).Column("id").
		Where("run_group.phase IN ('submitted', 'canceling')").Where("run_group.poll_at <= ?", Now()).Order("run_group.poll_at").Limit(limit)
	if isPG(tx.db) {
		due = due.For("UPDATE SKIP LOCKED")
	}
	var polls []DuePoll
	_, err := tx.db.NewUpdate().Model((*models.RunGroup)(nil)).ModelTableExpr("run_groups").Set("poll_at = ?", until).
		Where("id IN (?)", due).Returning("id, epoch, phase").Exec(ctx, &polls)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("finding what is due to be polled: %w", err)
	}
	return polls, nil
}

// Group returns a group without its runs.
func (q queries) Group(ctx context.Context, id int64) (*models.RunGroup, error) {
	group := new(models.RunGroup)
	if err := q.db.NewSelect().Model(group).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading group %d: %w", id, notFound(err))
	}
	return group, nil
}

// GroupByExternalID returns the newest group of a kind that a service knows by
// that id.
func (q queries) GroupByExternalID(ctx context.Context, kind models.StepKind, externalID string) (*models.RunGroup, error) {
	group := new(models.RunGroup)
	err := q.db.NewSelect().Model(group).Where("kind = ?", kind).Where("external_id = ?", externalID).
		Order("id DESC").Limit(1).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the %s %s: %w", kind, externalID, notFound(err))
	}
	return group, nil
}

// PollNow makes a submitted group due at once.
func (tx *Tx) PollNow(ctx context.Context, groupID int64) error {
	_, err := tx.db.NewUpdate().Model((*models.RunGroup)(nil)).Set("poll_at = ?", Now()).
		Where("id = ?", groupID).Where("phase = 'submitted'").Exec(ctx)
	if err != nil {
		return fmt.Errorf("making group %d due: %w", groupID, err)
	}
	return nil
}

// SharingPipelines returns the other pipelines that show any of these runs.
func (q queries) SharingPipelines(ctx context.Context, runIDs []int64) ([]int64, error) {
	if len(runIDs) == 0 {
		return nil, nil
	}
	var ids []int64
	query := q.db.NewSelect().TableExpr("targets AS target").ColumnExpr("DISTINCT step.pipeline_id").
		Join("JOIN steps AS step ON step.id = target.step_id").Where("target.reused")
	if len(runIDs) == 1 {
		query = query.Conn(fixed(q.db, runIDs[0])).Where("target.run_id = $1")
	} else {
		query = query.Where("target.run_id IN (?)", bun.List(runIDs))
	}
	err := query.Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("finding pipelines that share runs: %w", err)
	}
	return ids, nil
}

// Submitted reports whether key is that of a submission of a pipeline that shows
// the run: its own, or a later attempt that uses it.
func (q queries) Submitted(ctx context.Context, runID int64, key string) (bool, error) {
	showing := func(column string, value any) *bun.SelectQuery {
		return q.db.NewSelect().TableExpr("targets AS target").Column("step.pipeline_id").
			Join("JOIN steps AS step ON step.id = target.step_id").Where(column+" = ?", value)
	}
	submission := showing("submission.key", key).
		Join("JOIN runs AS run ON run.id = target.run_id").Join("JOIN run_groups AS submission ON submission.id = run.group_id").
		Where("step.pipeline_id IN (?)", showing("target.run_id", runID))
	var known bool
	if err := q.db.NewSelect().ColumnExpr("EXISTS (?)", submission).Scan(ctx, &known); err != nil {
		return false, fmt.Errorf("finding the submission %q: %w", key, err)
	}
	return known, nil
}

// Announce tells the browsers of all processes, once the transaction commits,
// that something changed.
func (tx *Tx) Announce(ctx context.Context, changes ...models.Change) error {
	w := &writes{db: tx.db}
	tx.announce(w, changes...)
	if err := tx.send(ctx, w); err != nil {
		return fmt.Errorf("announcing changes: %w", err)
	}
	return nil
}

func (tx *Tx) announce(w *writes, changes ...models.Change) {
	now := Now()
	for _, c := range changes {
		w.add("INSERT INTO outbox (topic, object, project_id, version, created_at) VALUES ($1, $2, $3, $4, $5)",
			string(c.Topic), c.Object, c.ProjectID, c.Version, now)
	}
	tx.announced = true
}
