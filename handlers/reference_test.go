package handlers

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// TestReferencePage: what happened to a pull request stands on one page, with
// what was decided, and everything that others wrote as text.
func TestReferencePage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDoors(t, s)
		g := storetest.Pipeline(t, s, "mill/wheel", 42, storetest.PullRequest)
		var e *models.Event
		d.write(t, func(tx *store.Tx) (err error) {
			commit := &models.Commit{
				ProjectID: g.ProjectID, Kind: models.PullRequestRef, Ref: "42", SHA: strings.Repeat("ab", 20), TargetRef: "main",
				Title: "Grind <b>finer</b>", Author: "rosa", SourceURL: "javascript:alert(1)",
			}
			if err := tx.EnsureCommit(t.Context(), commit); err != nil {
				return err
			}
			e, err = tx.CreateEvent(t.Context(), &models.Event{
				ProjectID: g.ProjectID, CommitID: commit.ID, Kind: models.PullRequestEvent, Action: models.Updated, Actor: "rosa",
				State: models.EventNothing, CreatedAt: store.Now(), DecidedAt: store.Now(),
				Message: &models.Message{URL: "https://github.com/mill/wheel/pull/42"},
				Decisions: []models.Decision{
					{Job: models.JobCoprBuild, Planned: true, Targets: []string{"a", "b"}, PipelineID: g.ID}, {Job: models.JobTests, JobIndex: 1, Reason: "It waits <i>for</i> a label."},
				},
			})
			return err
		})
		b := d.browser()
		w := b.open(t, "/projects/github.com/mill/wheel/-/pulls/42")
		contains(t, w, "PR 42: Grind &lt;b&gt;finer&lt;/b&gt;", "by rosa", "into main", `href="https://github.com/mill/wheel/pull/42"`,
			fmt.Sprintf(`href="/pipelines/%d"`, g.ID), "was planned for 2 targets", "was not planned: It waits &lt;i&gt;for&lt;/i&gt; a label.",
			fmt.Sprintf(`href="/events/%d"`, e.ID), "The newest 2, newest first")
		if body := w.Body.String(); strings.Contains(body, "javascript:") || strings.Contains(body, "<b>finer") {
			t.Error("what others wrote is more than text")
		}
		contains(t, b.open(t, "/projects/github.com/mill/wheel/-/pulls/42?fragment=events"), "It waits")
		contains(t, b.open(t, fmt.Sprintf("/pipelines/%d", g.ID)), `href="/projects/github.com/mill/wheel/-/pulls/42"`)
		contains(t, b.open(t, "/api/v3/projects/github.com/mill/wheel/-/pulls/42"), `"items":[{"id":`)
		for path, want := range map[string]int{
			"/projects/github.com/mill/wheel/-/pulls/43": http.StatusNotFound, "/projects/github.com/mill/wheel/-/pulls/42?fragment=x": http.StatusNotFound,
			"/projects/github.com/mill/wheel/-/branches/42": http.StatusNotFound,
		} {
			if w := b.open(t, path); w.Code != want {
				t.Errorf("%s: status %d, want %d", path, w.Code, want)
			}
		}
	})
}
