package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/seed"
	"millrace/models/store/storetest"
)

// lister reads a part of some list as the ids of its rows.
type lister func(ctx context.Context, page models.Page) ([]int64, models.Cursors, error)

func ids[T any](rows []T, id func(T) int64) []int64 {
	all := make([]int64, len(rows))
	for i, row := range rows {
		all[i] = id(row)
	}
	return all
}

func listers(t *testing.T, s *store.Store) map[string]lister {
	query, err := models.ParseQuery("!status:canceled", models.PipelineFields, seededNow)
	if err != nil {
		t.Fatal(err)
	}
	pipelines := func(f models.PipelineFilter) lister {
		return func(ctx context.Context, page models.Page) ([]int64, models.Cursors, error) {
			list, err := s.Pipelines(ctx, f, page)
			if err != nil {
				return nil, models.Cursors{}, err
			}
			return ids(list.Rows, func(r *models.PipelineRow) int64 { return r.ID }), list.Cursors, nil
		}
	}
	return map[string]lister{
		"pipelines":              pipelines(models.PipelineFilter{}),
		"pipelines of a kind":    pipelines(models.PipelineFilter{Kind: models.PullRequestRef}),
		"pipelines of a query":   pipelines(models.PipelineFilter{Query: query}),
		"pipelines of a project": pipelines(models.PipelineFilter{ProjectID: 1}),
		"no pipelines":           pipelines(models.PipelineFilter{Project: "none/such"}),
		"events": func(ctx context.Context, page models.Page) ([]int64, models.Cursors, error) {
			list, err := s.Events(ctx, models.EventFilter{}, page)
			if err != nil {
				return nil, models.Cursors{}, err
			}
			return ids(list.Rows, func(e *models.Event) int64 { return e.ID }), list.Cursors, nil
		},
		"projects": func(ctx context.Context, page models.Page) ([]int64, models.Cursors, error) {
			list, err := s.Projects(ctx, models.ProjectFilter{}, page)
			if err != nil {
				return nil, models.Cursors{}, err
			}
			return ids(list.Rows, func(r *models.ProjectRow) int64 { return r.ID }), list.Cursors, nil
		},
		"references": func(ctx context.Context, page models.Page) ([]int64, models.Cursors, error) {
			list, err := s.References(ctx, 1, "", page, 2)
			if err != nil {
				return nil, models.Cursors{}, err
			}
			return ids(list.Rows, func(r *models.RefRow) int64 { return r.Pipelines[0].ID }), list.Cursors, nil
		},
	}
}

// TestPagesGiveEachRowOnce walks lists in parts of any length, to the end and
// back, while new rows come in front of them.
func TestPagesGiveEachRowOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seeded(t, s, seed.Size{Projects: 9, Pipelines: 70, Runs: 200})
		ctx := t.Context()
		all := listers(t, s)
		number := 10_000
		rapid.Check(t, func(rt *rapid.T) {
			name := rapid.SampledFrom([]string{
				"pipelines", "pipelines of a kind", "pipelines of a query", "pipelines of a project", "no pipelines", "events", "projects", "references",
			}).Draw(rt, "list")
			limit := rapid.IntRange(1, 40).Draw(rt, "limit")
			insert := rapid.IntRange(0, 3).Draw(rt, "insert") == 0
			list := all[name]
			want, _, err := list(ctx, models.Page{Limit: 200})
			if err != nil {
				rt.Fatal(err)
			}
			var got, back []int64
			page := models.Page{Limit: limit}
			for {
				rows, around, err := list(ctx, page)
				if err != nil {
					rt.Fatal(err)
				}
				got = append(got, rows...)
				if len(rows) > limit || len(got) > len(want) {
					rt.Fatalf("%d rows, at most %d were wanted; %d of %d in all", len(rows), limit, len(got), len(want))
				}
				if insert && number < 10_020 {
					number++
					storetest.Pipeline(t, s, "new/project", number, storetest.PullRequest)
				}
				if around.Older == "" {
					back = slices.Clone(rows)
					page = models.Page{Limit: limit, After: around.Newer}
					break
				}
				page.Before = around.Older
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				rt.Fatalf("%s, %d at a time (-want +got):\n%s", name, limit, diff)
			}
			for page.After != "" {
				rows, around, err := list(ctx, page)
				if err != nil {
					rt.Fatal(err)
				}
				if back = append(rows, back...); len(back) > len(want)+100 {
					rt.Fatalf("the way back has no end: %v", back)
				}
				page.After = around.Newer
			}
			if len(back) < len(want) || cmp.Diff(want, back[len(back)-len(want):], cmpopts.EquateEmpty()) != "" {
				rt.Fatalf("%s, %d at a time, on the way back %v, want %v at its end", name, limit, back, want)
			}
		})
	})
}

func TestCursorsOfStrangers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for name, list := range listers(t, s) {
			for _, page := range []models.Page{
				{Before: "x"}, {After: "-1"}, {Before: "0"}, {Before: "99999999999999999999"}, {After: "1-"}, {Before: "1e3"}, {Before: "2", After: "1"},
				{Before: "9007199254740993000-1"}, {Before: "1-1", After: "1-1"},
			} {
				_, _, err := list(t.Context(), page)
				if _, told := errors.AsType[*models.InputError](err); !told {
					t.Errorf("%s at %+v: %v", name, page, err)
				}
			}
			rows, around, err := list(t.Context(), models.Page{Limit: 1_000_000})
			if err != nil || len(rows) != 0 || around != (models.Cursors{}) {
				t.Errorf("%s of nothing: %v %v %v", name, rows, around, err)
			}
		}
	})
}

func TestListHasALimit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seeded(t, s, seed.Size{Projects: 3, Pipelines: 230, Runs: 500})
		for limit, want := range map[int]int{0: 25, -1: 25, 7: 7, 200: 200, 1000: 200} {
			list, err := s.Pipelines(t.Context(), models.PipelineFilter{}, models.Page{Limit: limit})
			if err != nil || len(list.Rows) != want {
				t.Errorf("%d wanted: %d rows, %v", limit, len(list.Rows), err)
			}
		}
	})
}

func TestNewerRowsAreCountedNotShown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seeded(t, s, seed.Size{Projects: 5, Pipelines: 150, Runs: 300})
		for upTo, want := range map[int64]struct {
			fresh int
			first int64
		}{0: {0, 150}, 150: {0, 150}, 147: {3, 147}, 10: {100, 10}} {
			list, err := s.Pipelines(t.Context(), models.PipelineFilter{}, models.Page{UpTo: upTo, Limit: 5})
			if err != nil || list.Fresh != want.fresh || list.Rows[0].ID != want.first {
				t.Errorf("up to %d: %d fresh, first %d, %v", upTo, list.Fresh, list.Rows[0].ID, err)
			}
			events, err := s.Events(t.Context(), models.EventFilter{}, models.Page{UpTo: upTo, Limit: 5})
			if err != nil || upTo == 10 && (events.Fresh != 100 || events.Rows[0].ID != 10) {
				t.Errorf("events up to %d: %d fresh, %v", upTo, events.Fresh, err)
			}
		}
		list, err := s.Pipelines(t.Context(), models.PipelineFilter{Project: "none"}, models.Page{UpTo: 5})
		if err != nil || list.Fresh != 0 || len(list.Rows) != 0 {
			t.Errorf("of a project that is none: %+v, %v", list, err)
		}
	})
}

func TestFlowOfAPipeline(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		graph := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		change(t, s, graph.ID, func(g *models.Graph) {
			for i, run := range []*models.Run{g.Steps[0].Targets[0].Run, g.Steps[1].Targets[0].Run, g.Steps[1].Targets[1].Run} {
				if err := g.SetRun(run, []models.State{models.Passed, models.Passed, models.Failed}[i], "", store.Now()); err != nil {
					t.Fatal(err)
				}
			}
		})
		list, err := s.Pipelines(t.Context(), models.PipelineFilter{}, models.Page{})
		if err != nil {
			t.Fatal(err)
		}
		want := []models.StepSum{
			{PipelineID: graph.ID, Name: "srpm-0", Kind: models.SRPMStep, State: models.Passed, Total: 1, Done: 1, Passed: 1},
			{PipelineID: graph.ID, Name: "copr_build-1", Kind: models.CoprBuildStep, State: models.Failed, Total: 2, Done: 2, Passed: 1, Bad: 1},
			{PipelineID: graph.ID, Name: "tests-2", Kind: models.TestsStep, State: models.Queued, Total: 2, Done: 1},
		}
		if diff := cmp.Diff(want, list.Rows[0].Flow); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if list.Rows[0].Project.FullName() != "packit/hello" {
			t.Errorf("project %+v", list.Rows[0].Project)
		}
	})
}

func TestFiltersOfPipelines(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, "packit/hello", 1, 2)
		start(t, s, "rpms/hello", 3)
		other := start(t, s, "rpms/World", 4)
		for _, c := range []struct {
			filter models.PipelineFilter
			want   []int64
		}{
			{models.PipelineFilter{}, []int64{4, 3, 2, 1}},
			{models.PipelineFilter{ProjectID: other}, []int64{4}},
			{models.PipelineFilter{Project: "packit/hello"}, []int64{2, 1}},
			{models.PipelineFilter{Project: "hello"}, []int64{3, 2, 1}},
			{models.PipelineFilter{Project: "RPMS/*"}, []int64{4, 3}},
			{models.PipelineFilter{Project: "github.com/*/world"}, []int64{4}},
			{models.PipelineFilter{Project: "hell"}, nil},
			{models.PipelineFilter{State: models.Queued, Kind: models.PullRequestRef, Package: "HELLO"}, []int64{4, 3, 2, 1}},
			{models.PipelineFilter{State: models.Passed}, nil},
			{models.PipelineFilter{Kind: models.BranchRef}, nil},
			{models.PipelineFilter{Package: "hell"}, nil},
		} {
			list, err := s.Pipelines(t.Context(), c.filter, models.Page{})
			if err != nil {
				t.Fatal(err)
			}
			got := ids(list.Rows, func(r *models.PipelineRow) int64 { return r.ID })
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", c.filter, diff)
			}
		}
	})
}

func TestFiltersOfProjects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			for _, url := range []string{
				"https://github.com/packit/hello", "https://github.com/packit/Hello-World", "https://gitlab.com/group/sub/hello",
				"https://gitlab.com/group/other", "https://gitlab.com/grouping/more", "https://github.com/a_b/c",
			} {
				p, err := models.ParseProjectURL(url)
				if err != nil {
					return err
				}
				if err := tx.EnsureProject(ctx, p); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			filter models.ProjectFilter
			want   []int64
		}{
			{models.ProjectFilter{}, []int64{6, 5, 4, 3, 2, 1}},
			{models.ProjectFilter{Query: "HELLO"}, []int64{3, 2, 1}},
			{models.ProjectFilter{Query: "hello*"}, []int64{3, 2, 1}},
			{models.ProjectFilter{Query: "packit/*"}, []int64{2, 1}},
			{models.ProjectFilter{Query: "github.com/*"}, []int64{6, 2, 1}},
			{models.ProjectFilter{Query: "*hello"}, []int64{3, 1}},
			{models.ProjectFilter{Query: "a_b"}, []int64{6}},
			{models.ProjectFilter{Query: "a%b"}, nil},
			{models.ProjectFilter{Forge: "gitlab.com"}, []int64{5, 4, 3}},
			{models.ProjectFilter{Forge: "GitLab.com", Namespace: "Group"}, []int64{4, 3}},
			{models.ProjectFilter{Forge: "gitlab.com", Namespace: "group/sub", Query: "hello"}, []int64{3}},
		} {
			list, err := s.Projects(t.Context(), c.filter, models.Page{})
			if err != nil {
				t.Fatal(err)
			}
			got := ids(list.Rows, func(r *models.ProjectRow) int64 { return r.ID })
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", c.filter, diff)
			}
		}
		forges, err := s.Forges(t.Context())
		if diff := cmp.Diff([]string{"github.com", "gitlab.com"}, forges); diff != "" || err != nil {
			t.Errorf("forges %v: %s", err, diff)
		}
		for path, want := range map[string]int64{
			"github.com/packit/hello": 1, "/GitHub.com/Packit/HELLO/": 1, "gitlab.com/group/sub/hello": 3, "gitlab.com/group": 0, "x": 0, "": 0, "gitlab.com/group/sub/": 0,
		} {
			p, err := s.ProjectAtPath(t.Context(), path)
			if want == 0 && !errors.Is(err, models.ErrNotFound) || want != 0 && (err != nil || p.ID != want) {
				t.Errorf("%s: %v, %v", path, p, err)
			}
		}
		near, err := s.NearProjects(t.Context(), "github.com/other/Hello", 2)
		if diff := cmp.Diff([]int64{3, 1}, ids(near, func(p *models.Project) int64 { return p.ID })); diff != "" || err != nil {
			t.Errorf("near: %v %s", err, diff)
		}
	})
}

// rerun makes the next attempt of a pipeline, with the first run shared.
func rerun(t *testing.T, s *store.Store, of *models.Graph) int64 {
	t.Helper()
	var id int64
	inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
		p := &models.Pipeline{
			EventID: of.EventID, ProjectID: of.ProjectID, CommitID: of.CommitID, Package: of.Package, Attempt: of.Attempt + 1, FirstAttemptID: of.ID,
			Kind: of.Kind, Ref: of.Ref, SHA: of.SHA, State: models.Waiting, CreatedAt: store.Now(),
			Steps: []*models.Step{{Kind: models.SRPMStep, Name: of.Steps[0].Name, State: models.Waiting}},
		}
		graph, err := tx.CreatePipeline(ctx, p, nil, nil)
		if err != nil {
			return err
		}
		id = graph.ID
		return nil
	})
	_, err := s.Writer().ExecContext(t.Context(), "INSERT INTO targets (step_id, position, name, run_id, reused) SELECT s.id, 0, ?, ?, TRUE FROM steps AS s WHERE s.pipeline_id = ?",
		of.Steps[0].Targets[0].Name, of.Steps[0].Targets[0].RunID, id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAroundAPipeline(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		first := storetest.Pipeline(t, s, "packit/hello", 7, storetest.PullRequest) // three events of one pull request
		second := storetest.Pipeline(t, s, "packit/hello", 7, storetest.PullRequest)
		again := rerun(t, s, second)
		third := storetest.Pipeline(t, s, "packit/hello", 7, storetest.PullRequest)
		storetest.Pipeline(t, s, "packit/hello", 8, storetest.PullRequest)
		p, err := s.Pipeline(ctx, second.ID)
		if err != nil {
			t.Fatal(err)
		}
		attempts, err := s.Attempts(ctx, p)
		if diff := cmp.Diff([]int64{second.ID, again}, ids(attempts, func(p *models.Pipeline) int64 { return p.ID })); diff != "" || err != nil {
			t.Errorf("attempts: %v %s", err, diff)
		}
		earlier, later, err := s.Neighbors(ctx, p)
		if err != nil || earlier == nil || earlier.ID != first.ID || later == nil || later.ID != third.ID {
			t.Errorf("neighbors %v, %v, %v", earlier, later, err)
		}
		if p, err = s.Pipeline(ctx, again); err != nil {
			t.Fatal(err)
		}
		if attempts, err = s.Attempts(ctx, p); err != nil || len(attempts) != 2 {
			t.Errorf("attempts seen from the second: %v, %v", attempts, err)
		}
		if earlier, _, err = s.Neighbors(ctx, p); err != nil || earlier.ID != first.ID {
			t.Errorf("before the second attempt: %v, %v", earlier, err)
		}
		if earlier, later, err = s.Neighbors(ctx, first.Pipeline); err != nil || earlier != nil || later.ID != second.ID {
			t.Errorf("around the first: %v, %v, %v", earlier, later, err)
		}
		newest, err := s.NewestPipeline(ctx, first.ProjectID, models.PullRequestRef, "7")
		if err != nil || newest.ID != third.ID || len(newest.Flow) != 3 {
			t.Errorf("newest %+v, %v", newest, err)
		}
		if _, err := s.NewestPipeline(ctx, first.ProjectID, models.ReleaseRef, ""); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("newest of a release: %v", err)
		}
		refs, err := s.References(ctx, first.ProjectID, models.PullRequestRef, models.Page{}, 3)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]int64{}
		for _, r := range refs.Rows {
			got[r.Commit.Ref] = ids(r.Pipelines, func(p *models.Pipeline) int64 { return p.ID })
		}
		if diff := cmp.Diff(map[string][]int64{"8": {5}, "7": {4, 3, 2}}, got); diff != "" {
			t.Errorf("references (-want +got):\n%s", diff)
		}
		place, err := s.TargetPlace(ctx, again, "srpm-0", "source")
		if err != nil {
			t.Fatal(err)
		}
		run := second.Steps[0].Targets[0].RunID
		want := []models.TargetAttempt{
			{PipelineID: second.ID, Attempt: 1, RunID: run, State: models.Waiting},
			{PipelineID: again, Attempt: 2, RunID: run, Reused: true, State: models.Waiting},
		}
		if diff := cmp.Diff(want, place.Attempts); diff != "" || !place.Target.Reused || place.Group.ID != place.Target.Run.GroupID {
			t.Errorf("attempts of the target (-want +got):\n%s", diff)
		}
		if place, err = s.RunPlace(ctx, run); err != nil || place.Pipeline.ID != second.ID || place.Target.RunID != run {
			t.Errorf("the run stands in %v, %v", place, err)
		}
		for _, at := range [][2]string{{"none", "source"}, {"srpm-0", "none"}} {
			if _, err := s.TargetPlace(ctx, again, at[0], at[1]); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("%v: %v", at, err)
			}
		}
		if _, err := s.RunPlace(ctx, 999); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("no run: %v", err)
		}
	})
}

func TestSameCommit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seeded(t, s, seed.Size{Projects: 2, Pipelines: 6, Runs: 12})
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE pipelines SET sha = 'abc', project_id = 1 WHERE id IN (2, 4)"); err != nil {
			t.Fatal(err)
		}
		p, err := s.Pipeline(t.Context(), 4)
		if err != nil {
			t.Fatal(err)
		}
		others, err := s.SameCommit(t.Context(), p, 10)
		if diff := cmp.Diff([]int64{2}, ids(others, func(p *models.Pipeline) int64 { return p.ID })); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		list, err := s.ReferencePipelines(t.Context(), 1, "", "abc", models.Page{})
		if diff := cmp.Diff([]int64{4, 2}, ids(list.Rows, func(r *models.PipelineRow) int64 { return r.ID })); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

func TestReferenceOfAProject(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		graph := storetest.Pipeline(t, s, "packit/hello", 7, storetest.PullRequest)
		storetest.Pipeline(t, s, "packit/hello", 7, storetest.PullRequest)
		storetest.Pipeline(t, s, "packit/hello", 8, storetest.PullRequest)
		c, err := s.Reference(ctx, graph.ProjectID, models.PullRequestRef, "7")
		if err != nil || c.ID != graph.CommitID || c.Project == nil {
			t.Errorf("reference %+v, %v", c, err)
		}
		if c, err = s.Reference(ctx, graph.ProjectID, "", fmt.Sprintf("%040x", 8)); err != nil || c.Ref != "8" {
			t.Errorf("commit %+v, %v", c, err)
		}
		for _, ref := range []string{"9", ""} {
			if _, err := s.Reference(ctx, graph.ProjectID, models.PullRequestRef, ref); !errors.Is(err, models.ErrNotFound) {
				t.Errorf("reference %q: %v", ref, err)
			}
		}
		events, err := s.ReferenceEvents(ctx, graph.ProjectID, models.PullRequestRef, "7", 10)
		if diff := cmp.Diff([]int64{2, 1}, ids(events, func(e *models.Event) int64 { return e.ID })); diff != "" || err != nil {
			t.Errorf("events: %v %s", err, diff)
		}
		history, err := s.ReferenceHistory(ctx, graph.ProjectID, models.PullRequestRef, "7", 1)
		if err != nil || len(history) != 1 || history[0].ID != 2 || history[0].ConfigText != "" {
			t.Errorf("history: %v, %v", history, err)
		}
		e, err := s.Event(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		around, err := s.EventsAround(ctx, e, 10)
		if diff := cmp.Diff([]int64{2}, ids(around, func(e *models.Event) int64 { return e.ID })); diff != "" || err != nil {
			t.Errorf("around: %v %s", err, diff)
		}
	})
}

func TestProjectInFigures(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		project := start(t, s, "packit/hello", 1, 2, 3, 4, 5, 6)
		now := store.Now()
		for id, end := range []struct {
			state models.State
			days  int
			took  time.Duration
		}{{models.Passed, 1, 10 * time.Minute}, {models.Passed, 2, 30 * time.Minute}, {models.Failed, 3, 20 * time.Minute}, {models.Error, 3, time.Hour}, {models.Passed, 40, time.Hour}} {
			at := now.Add(-time.Duration(end.days) * day)
			_, err := s.Writer().ExecContext(ctx, "UPDATE pipelines SET state = ?, created_at = ?, started_at = ?, finished_at = ? WHERE id = ?",
				end.state, at, at, at.Add(end.took), []int64{5, 4, 3, 2, 1}[id])
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Writer().ExecContext(ctx, "UPDATE events SET created_at = ?, config_file = 'old.yaml' WHERE id = 1", now.Add(-8*day)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Writer().ExecContext(ctx, "UPDATE events SET config_file = 'new.yaml', config_text = 'jobs: []' WHERE id = 3"); err != nil {
			t.Fatal(err)
		}
		stats, err := s.ProjectStats(ctx, project, now.AddDate(0, 0, -30), now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&models.ProjectStats{Decided: 3, Passed: 2, Median: 20 * time.Minute, Events: 5}, stats); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		config, err := s.LastConfig(ctx, project)
		if err != nil || config.ID != 3 || config.ConfigFile != "new.yaml" || config.ConfigText != "" {
			t.Errorf("config %+v, %v", config, err)
		}
		if _, err := s.LastConfig(ctx, project+1); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("config of nothing: %v", err)
		}
		strip, err := s.RecentPipelines(ctx, project, 4)
		if diff := cmp.Diff([]int64{6, 5, 4, 3}, ids(strip, func(p *models.Pipeline) int64 { return p.ID })); diff != "" || err != nil {
			t.Errorf("strip: %v %s", err, diff)
		}
	})
}

func TestQueueIsShownAsItIsServed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		start(t, s, "busy/project", 1, 2, 3)
		other := start(t, s, "other/project", 4)
		start(t, s, "third/project", 5)
		held := claim(t, s, models.SRPMStep, 0)
		_, err := s.Writer().ExecContext(ctx, "UPDATE run_groups SET not_before = ? WHERE phase = 'queued' AND project_id = ?", store.Now().Add(time.Hour), other)
		if err != nil {
			t.Fatal(err)
		}
		queue, err := s.Queue(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, item := range queue.Waiting {
			shown = append(shown, fmt.Sprintf("%d %s %s", item.Position, item.Pipeline.Project.FullName(), item.Targets))
		}
		want := []string{"0 other/project [source]", "1 third/project [source]", "2 busy/project [source]", "3 busy/project [source]"}
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(queue.Working) != 1 || queue.Working[0].Group.ID != held.ID || queue.Working[0].Group.Worker != "worker" || queue.Working[0].Step != "srpm-0" {
			t.Errorf("working: %+v", queue.Working)
		}
		k := queue.Kinds[0]
		if len(queue.Kinds) != 1 || k.Kind != models.SRPMStep || k.Queued != 4 || k.Working != 1 || k.Oldest.IsZero() || k.Paused {
			t.Errorf("kinds: %+v", queue.Kinds)
		}
		last := queue.Waiting[3].Group
		if n, err := s.QueuePosition(ctx, last); err != nil || n != 3 {
			t.Errorf("position %d, %v", n, err)
		}
		if n, err := s.QueuePosition(ctx, held); err != nil || n != 0 {
			t.Errorf("position of what is held: %d, %v", n, err)
		}
		if served := claim(t, s, models.SRPMStep, 0); served.ID != queue.Waiting[1].Group.ID {
			t.Errorf("group %d was served, %d was shown first", served.ID, queue.Waiting[1].Group.ID)
		}
		if other, err := s.Queue(ctx, models.TestsStep); err != nil || len(other.Kinds) != 0 || len(other.Waiting) != 0 {
			t.Errorf("queue of tests: %+v, %v", other, err)
		}
	})
}

func TestQueueTellsWhatIsStuck(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		graph := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		old(t, s, 2, false, "")
		old(t, s, 1, false, "")
		old(t, s, 5, true, "")
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			reports, err := tx.Want(ctx, []*models.Report{
				{ProjectID: graph.ProjectID, CommitID: graph.CommitID, SHA: graph.SHA, Name: "a", Wanted: models.CheckRunning, Title: "t"},
				{ProjectID: graph.ProjectID, CommitID: graph.CommitID, SHA: graph.SHA, Name: "b", Wanted: models.CheckRunning, Title: "t"},
				{ProjectID: graph.ProjectID, CommitID: graph.CommitID, SHA: graph.SHA, Name: "c", Wanted: models.CheckRunning, Title: "t"},
			})
			if err != nil {
				return err
			}
			if err := tx.ReportFailed(ctx, reports[0], "the forge sleeps", store.Now()); err != nil {
				return err
			}
			return tx.ReportSent(ctx, reports[2])
		})
		queue, err := s.Queue(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		age := time.Since(queue.UnhandledOld).Round(time.Hour)
		if queue.Unhandled != 2 || age != 48*time.Hour || queue.Unsent != 2 || queue.UnsentOld.IsZero() || queue.UnsentError != "the forge sleeps" {
			t.Errorf("%d unhandled for %s, %d unsent since %s: %q", queue.Unhandled, age, queue.Unsent, queue.UnsentOld, queue.UnsentError)
		}
		c, err := s.Counters(ctx)
		if err != nil || c.Unsent != 1 || c.Attention() != 1 {
			t.Errorf("counters %+v, %v", c, err)
		}
		n, at, err := s.SentReports(ctx, graph.CommitID)
		if err != nil || n != 1 || time.Since(at) > time.Minute {
			t.Errorf("%d sent, last %s, %v", n, at, err)
		}
		if n, at, err = s.SentReports(ctx, 99); err != nil || n != 0 || !at.IsZero() {
			t.Errorf("of nothing %d sent, last %s, %v", n, at, err)
		}
	})
}

func TestMedianWait(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, "busy/project", 1, 2, 3, 4, 5)
		at := store.Now()
		for id, wait := range map[int64]time.Duration{1: time.Hour, 2: 2 * time.Second, 3: 3 * time.Second, 4: time.Second} {
			_, err := s.Writer().ExecContext(t.Context(), "UPDATE runs SET queued_at = ?, started_at = ? WHERE kind = 'srpm' AND pipeline_id = ?", at, at.Add(wait), id)
			if err != nil {
				t.Fatal(err)
			}
		}
		queue, err := s.Queue(t.Context(), models.SRPMStep)
		if err != nil || queue.Kinds[0].Waits != 4 || queue.Kinds[0].MedianWait != 3*time.Second {
			t.Errorf("%+v, %v", queue.Kinds, err)
		}
	})
}

func TestCounters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		start(t, s, "packit/hello", 1, 2, 3, 4, 5)
		now := store.Now()
		for _, u := range []struct {
			id    int64
			state models.State
			ended time.Duration
		}{{1, models.Failed, time.Hour}, {2, models.Error, time.Hour}, {3, models.Failed, 25 * time.Hour}, {5, models.Failed, 30 * time.Hour}} {
			_, err := s.Writer().ExecContext(t.Context(), "UPDATE pipelines SET state = ?, finished_at = ? WHERE id = ?", u.state, now.Add(-u.ended), u.id)
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, statement := range []string{
			"UPDATE runs SET state = 'running' WHERE id = 2", "UPDATE pipelines SET created_at = '2020-01-01 00:00:00+00:00' WHERE id = 1",
		} {
			if _, err := s.Writer().ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.OldestWait <= 0 || got.OldestWait > time.Minute {
			t.Errorf("oldest wait %s", got.OldestWait)
		}
		got.OldestWait = 0
		want := &models.Counters{Running: 1, Queued: 5, Pipelines: 4, Failed: 1, Errors: 1, Unfinished: 1, WaitingToRun: 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestChangesAreReadInOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if n, err := s.NewestChange(t.Context()); n != 0 || err != nil {
			t.Errorf("newest of nothing: %d, %v", n, err)
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.Announce(ctx, models.Change{Topic: "a", Object: 1}, models.Change{Topic: "b"}, models.Change{Topic: "c"})
		})
		changes, err := s.ChangesAfter(t.Context(), 1, 1)
		if err != nil || len(changes) != 1 || changes[0].ID != 2 || changes[0].Topic != "b" {
			t.Errorf("%+v, %v", changes, err)
		}
		if changes, err = s.ChangesAfter(t.Context(), 3, 10); err != nil || len(changes) != 0 {
			t.Errorf("after the last: %+v, %v", changes, err)
		}
		newest, err := s.NewestChange(t.Context())
		oldest, err2 := s.OldestChange(t.Context())
		if newest != 3 || oldest != 1 || err != nil || err2 != nil {
			t.Errorf("%d to %d, %v, %v", oldest, newest, err, err2)
		}
	})
}
