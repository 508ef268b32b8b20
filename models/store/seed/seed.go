// Package seed fills an empty database with a year of history that looks like
// the real thing: for measuring, for tests that need many rows, and for the demo.
// The same options make the same rows.
package seed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"millrace/models"
	"millrace/models/store"
)

// Size says how much history there shall be.
type Size struct {
	Projects  int
	Pipelines int
	Runs      int // in all pipelines together; about
	Open      int // of the pipelines, the newest, that are not finished
}

var (
	// Small is a history for a demo. All of it is finished, so that no worker
	// takes it up.
	Small = Size{Projects: len(known), Pipelines: 60, Runs: 300}
	// Full is what the service must be fast with.
	Full = Size{Projects: 2000, Pipelines: 100_000, Runs: 400_000, Open: 200}
)

// Options say what history is made.
type Options struct {
	Size
	Seed     uint64                // another number, another history
	Now      time.Time             // when it ends
	Forge    string                // host that the projects are on
	ForgeURL string                // address of the forge, without a trailing slash
	CoprURL  string                // address of Copr's pages, without a trailing slash; empty: builds have no page
	Progress func(done, total int) // called now and then with a number of pipelines; may be nil
}

// ErrNotEmpty says that there is something in the database already.
var ErrNotEmpty = errors.New("the database is not empty")

const (
	year      = 365 * 24 * time.Hour
	batchSize = 1000 // pipelines
	large     = 5000 // pipelines from which on indexes are made at the end
	fewLogs   = 200  // runs that have a log
	reported  = 5000 // newest pipelines that the forge was told about
)

// Seed fills the database of s, which must be migrated and empty and which no one
// else uses meanwhile.
func Seed(ctx context.Context, s *store.Store, o Options) error {
	if o.Projects <= 0 || o.Pipelines < 0 {
		return fmt.Errorf("a history of %d projects and %d pipelines cannot be made", o.Projects, o.Pipelines)
	}
	list, err := s.Projects(ctx, models.ProjectFilter{}, models.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(list.Rows) > 0 {
		return ErrNotEmpty
	}
	w, err := newWriter(ctx, s)
	if err != nil {
		return fmt.Errorf("beginning to seed: %w", err)
	}
	defer w.rollback(context.WithoutCancel(ctx)) // does nothing after the commit
	m := newMaker(o)
	if err := m.writeAll(ctx, w, s); err != nil {
		return err
	}
	if err := w.commit(ctx, tables); err != nil {
		return fmt.Errorf("committing the seed: %w", err)
	}
	if err := m.writeLogs(ctx, s); err != nil {
		return err
	}
	if _, err := s.Writer().ExecContext(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("analyzing the seeded tables: %w", err)
	}
	return nil
}

// writeAll makes the pipelines in the order of their times and writes them batch
// by batch.
func (m *maker) writeAll(ctx context.Context, w writer, s *store.Store) error {
	var indexes []string
	if m.Pipelines > large {
		var err error
		if indexes, err = dropIndexes(ctx, w); err != nil {
			return err
		}
	}
	for _, p := range m.projects {
		m.batch.projects = append(m.batch.projects, &p.Project)
	}
	for i, at := range m.times {
		m.pipeline(i, at)
		if (i+1)%batchSize != 0 && i+1 < len(m.times) {
			continue
		}
		if err := m.batch.save(ctx, w, s.Writer()); err != nil {
			return err
		}
		m.batch = batch{}
		if m.Progress != nil {
			m.Progress(i+1, len(m.times))
		}
	}
	if err := m.batch.save(ctx, w, s.Writer()); err != nil {
		return err
	}
	for _, definition := range indexes {
		if err := w.exec(ctx, definition); err != nil {
			return fmt.Errorf("making an index again: %w", err)
		}
	}
	return m.settle(ctx, w)
}

// settle writes what only the rows that came later told: what superseded a
// pipeline, and when something last happened in a project.
func (m *maker) settle(ctx context.Context, w writer) error {
	for older, newer := range m.superseded {
		err := w.exec(ctx, fmt.Sprintf("UPDATE pipelines SET superseded_by = %d WHERE id = %d", newer, older))
		if err != nil {
			return fmt.Errorf("writing what superseded pipeline %d: %w", older, err)
		}
	}
	err := w.exec(ctx, `UPDATE projects SET active_at = COALESCE(
		(SELECT e.created_at FROM events AS e WHERE e.project_id = projects.id ORDER BY e.id DESC LIMIT 1), created_at)`)
	if err != nil {
		return fmt.Errorf("writing when projects were active: %w", err)
	}
	return nil
}

// writeLogs adds the logs of the runs that were chosen to have one.
func (m *maker) writeLogs(ctx context.Context, s *store.Store) error {
	for _, l := range m.logs {
		err := s.InTx(ctx, func(tx *store.Tx) error {
			return tx.ReplaceLog(ctx, l.run, "", l.text, 0, true)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// maker makes the rows. What it makes depends on its options alone.
type maker struct {
	Options
	rand     *rand.Rand
	batch    batch
	projects []*project
	weights  []float64 // running sums of how active the projects are
	times    []time.Time
	pending  []pending
	logs     []runLog
	made     int // runs so far
	builds   int // number of the last Copr build

	superseded map[int64]int64 // ids of pipelines, and of those that superseded them

	deliveryID, commitID, eventID, pipelineID, stepID, groupID, runID, targetID, reportID int64
}

// project is what a project is like.
type project struct {
	models.Project
	chroots []string
	tests   bool
	branch  string
	number  int // of its last pull request
	version int
	open    []*models.Commit // its open pull requests
}

// pending is a pipeline that must come soon because of another.
type pending struct {
	from  *made
	again bool // it is another attempt; otherwise a push that superseded it
}

type runLog struct {
	run  int64
	text []byte
}

func newMaker(o Options) *maker {
	o.Now = o.Now.UTC().Truncate(time.Second)
	m := &maker{Options: o, rand: rand.New(rand.NewPCG(o.Seed, 0x6d696c6c72616365)), builds: 7_000_000, superseded: map[int64]int64{}}
	sum := 0.0
	for i := range o.Projects {
		namespace, name := projectName(i)
		p := &project{branch: pick(m.rand, []string{"main", "main", "main", "master", "devel"})}
		p.ID = int64(i + 1)
		p.Forge, p.Namespace, p.Name = o.Forge, namespace, name
		p.URL = o.ForgeURL + "/" + namespace + "/" + name
		p.DefaultBranch = p.branch
		p.CreatedAt = o.Now.Add(-year - time.Hour)
		p.ActiveAt = p.CreatedAt
		p.chroots = slices.Clone(chroots[:2+m.rand.IntN(3)])
		if m.rand.IntN(4) == 0 {
			p.chroots = slices.Clone(chroots[:4+m.rand.IntN(len(chroots)-4)])
		}
		p.tests = m.rand.IntN(3) > 0
		p.number = 1 + m.rand.IntN(900)
		m.projects = append(m.projects, p)
		sum += 1 / math.Pow(float64(i+3), 0.8) // few do most
		m.weights = append(m.weights, sum)
	}
	m.times = m.moments()
	return m
}

// moments are the times of the pipelines, in order. A small history is denser
// towards its end, so that there is something in its last hours.
func (m *maker) moments() []time.Time {
	power := 1.0
	if m.Pipelines < 1000 {
		power = 3
	}
	times := make([]time.Time, m.Pipelines)
	for i := range times {
		age := time.Duration(float64(year) * math.Pow(m.rand.Float64(), power))
		times[i] = m.Now.Add(-age - time.Minute).Truncate(time.Millisecond)
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

func (m *maker) someProject() *project {
	x := m.rand.Float64() * m.weights[len(m.weights)-1]
	i, _ := slices.BinarySearch(m.weights, x)
	return m.projects[min(i, len(m.projects)-1)]
}
