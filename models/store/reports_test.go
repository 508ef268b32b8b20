package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// TestIssuesOfThings: a thing has one report at whatever commit it fails, the
// newest event wins, and that it works is news only after it failed.
func TestIssuesOfThings(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		first := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		second := storetest.Pipeline(t, s, "packit/hello", 2, storetest.PullRequest)
		elsewhere := storetest.Pipeline(t, s, "team/tracker", 1, storetest.PullRequest).ProjectID
		var last *models.Report
		say := func(g *models.Graph, state models.CheckState, body string, tracker int64) bool {
			var news *models.Report
			inTx(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
				news, err = tx.WantIssue(ctx, &models.Report{
					ProjectID: tracker, CommitID: g.CommitID, SHA: "abc", Name: "issue:thing", Thing: "thing", EventID: g.EventID, PipelineID: g.ID,
					Wanted: state, Title: "It fails", Body: body, IfFailing: state == models.CheckSuccess,
				})
				return err
			})
			if news != nil {
				last = news
			}
			return news != nil
		}
		for _, tt := range []struct {
			what  string
			g     *models.Graph
			state models.CheckState
			body  string
			at    int64
			news  bool
		}{
			{"it works, as ever", first, models.CheckSuccess, "", first.ProjectID, false},
			{"it fails", first, models.CheckFailure, "1", first.ProjectID, true},
			{"the same again", first, models.CheckFailure, "1", first.ProjectID, false},
			{"it fails at another commit", second, models.CheckFailure, "2", first.ProjectID, true},
			{"the older works, late", first, models.CheckSuccess, "", first.ProjectID, false},
			{"it works", second, models.CheckSuccess, "", first.ProjectID, true},
			{"it works still", second, models.CheckSuccess, "!", first.ProjectID, false},
			{"it fails elsewhere", second, models.CheckFailure, "3", elsewhere, true},
		} {
			if got := say(tt.g, tt.state, tt.body, tt.at); got != tt.news {
				t.Errorf("%s: news %t", tt.what, got)
			}
			if last == nil || last.ExternalID != "" {
				continue
			}
			last.ExternalID = "9"
			inTx(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.ReportSent(ctx, last) })
			open, err := s.OpenThings(t.Context(), tt.at, "9")
			if err != nil || len(open) != 1 || open[0].CommitID != tt.g.CommitID {
				t.Errorf("%s: open are %v, %v", tt.what, open, err)
			}
		}
		if open, err := s.OpenThings(t.Context(), first.ProjectID, "9"); err != nil || len(open) != 0 {
			t.Errorf("open where it was told before: %v, %v", open, err)
		}
	})
}

// TestThingsAtOnce: of many that fail at once for the first time one is news to
// begin with, and none is an error.
func TestThingsAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		var all sync.WaitGroup
		ids := make(chan int64, 8)
		for n := range cap(ids) {
			all.Go(func() {
				err := s.InTx(t.Context(), func(tx *store.Tx) error {
					r, err := tx.WantIssue(t.Context(), &models.Report{
						ProjectID: g.ProjectID, CommitID: g.CommitID, SHA: "abc", Name: "issue:thing", Thing: "thing", EventID: g.EventID,
						Wanted: models.CheckFailure, Title: "It fails", Body: fmt.Sprint(n),
					})
					if err == nil && r != nil {
						ids <- r.ID
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		close(ids)
		seen := map[int64]bool{}
		for id := range ids {
			seen[id] = true
		}
		if len(seen) != 1 {
			t.Errorf("%d reports of one thing", len(seen))
		}
	})
}

// TestPullOf: a commit in dist-git leads to the pull request that it came from.
func TestPullOf(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		g := storetest.Pipeline(t, s, "rpms/hello", 1, storetest.PullRequest)
		pull := models.ProductRef{Kind: models.PullProduct, Key: "here#7"}
		commit := models.ProductRef{Kind: models.CommitProduct, Key: "here@f43@abc"}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			made := &models.Product{Kind: pull.Kind, Key: pull.Key, ProjectID: g.ProjectID, State: models.ProductOpen, Data: models.ProductData{Number: 7}}
			if err := tx.SaveProduct(ctx, made); err != nil {
				return err
			}
			return tx.SaveProduct(ctx, &models.Product{Kind: commit.Kind, Key: commit.Key, ProjectID: g.ProjectID, State: models.ProductDone}, pull)
		})
		if found, err := s.PullOf(t.Context(), commit); err != nil || found.Data.Number != 7 {
			t.Errorf("the pull request is %+v, %v", found, err)
		}
		if found, err := s.PullOf(t.Context(), pull); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("a pull request came from %+v, %v", found, err)
		}
	})
}
