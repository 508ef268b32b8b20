package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/seed"
	"millrace/models/store/storetest"
)

// meets is what a query means for a pipeline, without a database. p has its
// project and its steps with targets.
func meets(q *models.Query, p *models.Pipeline) bool {
	switch q.Op {
	case models.QueryAnd:
		return !slices.ContainsFunc(q.Parts, func(part *models.Query) bool { return !meets(part, p) })
	case models.QueryOr:
		return slices.ContainsFunc(q.Parts, func(part *models.Query) bool { return meets(part, p) })
	case models.QueryNot:
		return !meets(q.Parts[0], p)
	}
	t := q.Term
	matches := func(texts ...string) bool {
		return slices.ContainsFunc(t.Values, func(v models.Pattern) bool { return slices.ContainsFunc(texts, v.Match) })
	}
	var steps, targets []string
	for _, s := range p.Steps {
		steps = append(steps, s.Name)
		for _, target := range s.Targets {
			targets = append(targets, target.Name)
		}
	}
	switch t.Field {
	case "", "project", "forge":
		return t.MatchesProject(p.Project)
	case "package":
		return matches(p.Package)
	case "actor":
		return matches(p.Actor)
	case "kind":
		return matches(string(p.Kind))
	case "status":
		return matches(string(p.State))
	case "step":
		return matches(steps...)
	case "target":
		return matches(targets...)
	case "pr":
		return p.Kind == models.PullRequestRef && matches(p.Ref)
	case "branch":
		return p.Kind == models.BranchRef && matches(p.Ref)
	case "tag":
		return p.Kind == models.ReleaseRef && matches(p.Ref)
	case "sha":
		return slices.ContainsFunc(t.Values, func(v models.Pattern) bool { return strings.HasPrefix(p.SHA, v[0]) })
	case "since":
		return !p.CreatedAt.Before(t.Time)
	case "before":
		return p.CreatedAt.Before(t.Time)
	case "attempt":
		return map[string]bool{
			"=": p.Attempt == t.Number, "<": p.Attempt < t.Number, "<=": p.Attempt <= t.Number,
			">": p.Attempt > t.Number, ">=": p.Attempt >= t.Number,
		}[t.Compare]
	}
	panic(t.Field)
}

// TestSearchFindsWhatTheQueryMeans compares what the database finds with what
// each query means for each of its rows.
func TestSearchFindsWhatTheQueryMeans(t *testing.T) {
	t.Parallel()
	searches := append(slices.Clone(pipelineSearches), "!hello", "HELLO", "project:PACKIT/*", `"hello"`, "project:hello", "project:forge.test/packit/hello",
		"attempt:<=1", "attempt:>=2", "attempt:<1", "!attempt:>1", "status:bad !actor:alice", "since:30d || before:60d", "!since:30d",
		"step:copr_build", "step:*", "target:fedora-4?-x86_64", "target:FEDORA-44*", "actor:ALICE", "package:HEL*", "sha:0000,abcd,1234", "kind:release tag:*",
		"pr:1,2,3", "branch:m*", "!branch:main !kind:pr", "!(status:passed || status:failed)", "r/hello$/ || r/^rhin/", "!r/hello/", "!nothing-is-called-so")
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seeded(t, s, seed.Size{Projects: 14, Pipelines: 150, Runs: 700, Open: 8})
		var all []*models.Pipeline
		for id := int64(150); id > 0; id-- {
			p, err := s.Pipeline(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		found := 0
		for _, text := range searches {
			q, err := models.ParseQuery(text, models.PipelineFields, seededNow)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			var want, got []int64
			for _, p := range all {
				if meets(q, p) {
					want = append(want, p.ID)
				}
			}
			list, err := s.Pipelines(t.Context(), models.PipelineFilter{Query: q}, models.Page{Limit: 200})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for _, row := range list.Rows {
				got = append(got, row.ID)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", text, diff)
			}
			if len(got) > 0 && len(got) < len(all) {
				found++
			}
		}
		if found < len(searches)/2 {
			t.Errorf("only %d of %d searches find some and not all", found, len(searches))
		}
	})
}

func TestEventSearch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seeded(t, s, seed.Size{Projects: 14, Pipelines: 100, Runs: 400})
		all, err := s.Events(t.Context(), models.EventFilter{}, models.Page{Limit: 200})
		if err != nil || len(all.Rows) < 100 {
			t.Fatal(len(all.Rows), err)
		}
		is := func(kind models.RefKind, ref string) func(*models.Event) bool {
			return func(e *models.Event) bool { return e.Commit.Kind == kind && e.Commit.Ref == ref }
		}
		pr := all.Rows[slices.IndexFunc(all.Rows, func(e *models.Event) bool { return e.Kind == models.PullRequestEvent })].Commit
		for text, want := range map[string]func(*models.Event) bool{
			"pr:" + pr.Ref:      is(models.PullRequestRef, pr.Ref),
			"branch:main":       is(models.BranchRef, "main"),
			"branch:m*":         func(e *models.Event) bool { return e.Commit.Kind == models.BranchRef && e.Commit.Ref[0] == 'm' },
			"!branch:main":      func(e *models.Event) bool { return !is(models.BranchRef, "main")(e) },
			"sha:" + pr.SHA[:8]: func(e *models.Event) bool { return strings.HasPrefix(e.Commit.SHA, pr.SHA[:8]) },
			"kind:comment":      func(e *models.Event) bool { return e.Kind == models.CommentEvent },
			"kind:pr,push":      func(e *models.Event) bool { return e.Kind == models.PullRequestEvent || e.Kind == models.PushEvent },
			"status:nothing":    func(e *models.Event) bool { return e.State == models.EventNothing },
			"project:packit/*":  func(e *models.Event) bool { return e.Project.Namespace == "packit" },
			"hello":             func(e *models.Event) bool { return strings.Contains(e.Project.FullName(), "hello") },
			"since:30d actor:alice || before:2026-01-01": func(e *models.Event) bool {
				return e.CreatedAt.After(seededNow.AddDate(0, 0, -30)) && e.Actor == "alice" || e.CreatedAt.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			},
		} {
			q, err := models.ParseQuery(text, models.EventFields, seededNow)
			if err != nil {
				t.Fatal(err)
			}
			list, err := s.Events(t.Context(), models.EventFilter{Query: q}, models.Page{Limit: 200})
			if err != nil {
				t.Fatal(err)
			}
			var wanted, got []int64
			for _, e := range all.Rows {
				if want(e) {
					wanted = append(wanted, e.ID)
				}
			}
			for _, e := range list.Rows {
				got = append(got, e.ID)
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", text, diff)
			}
			if len(got) == 0 {
				t.Errorf("%s finds nothing", text)
			}
		}
	})
}

func TestSearchIsStopped(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		slow := "SELECT pg_sleep(600)"
		if s.Embedded() {
			slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000000) SELECT count(*) FROM n"
		}
		// Left alone, both take longer than a test may.
		err := s.InTime(t.Context(), 100*time.Millisecond, slow)
		if _, told := errors.AsType[*models.InputError](err); !told {
			t.Errorf("a slow search ended with %v", err)
		}
		if err := s.InTime(t.Context(), time.Minute, "SELECT 1"); err != nil {
			t.Errorf("the next search: %v", err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.InTime(canceled, time.Minute, slow); !errors.Is(err, context.Canceled) {
			t.Errorf("somebody who left: %v", err)
		}
	})
}

func TestStatementsOfASearchHaveALimitOfTime(t *testing.T) {
	t.Parallel()
	s := storetest.Postgres(t)
	seen := new(statements)
	s.Watch(seen)
	q, err := models.ParseQuery("hello", models.PipelineFields, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pipelines(t.Context(), models.PipelineFilter{Query: q}, models.Page{}); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(seen.settings(), "SET LOCAL statement_timeout = 2000") {
		t.Errorf("settings: %q", seen.settings())
	}
}
