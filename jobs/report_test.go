package jobs

import (
	"fmt"
	"testing"
	"time"

	"millrace/clients/github/githubfake"
	"millrace/models"
	"millrace/models/store"
)

func TestRepeatedStatesAreNotSent(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		run(t, w.Runner)
		w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		e := w.theEvent(t, models.PullRequestEvent, 1)
		eventually(t, w.Runner, e.Pipelines[0].ID, map[string]models.State{"pipeline": models.Passed})
		if err := w.Advance(t.Context(), e.Pipelines[0].ID); err != nil { // which changes nothing
			t.Fatal(err)
		}
		last := map[string]string{}
		for _, r := range w.github.Reports("packit/hello") {
			now := fmt.Sprint(r.Status, r.Conclusion, r.Title, r.Summary)
			if last[r.Name] == now {
				t.Errorf("%s was said to be %q twice", r.Name, now)
			}
			last[r.Name] = now
		}
		if len(last) != 4 {
			t.Errorf("%d checks were told, want 4", len(last))
		}
	})
}

// TestNewestStateWins changes what is wanted while the forge is out of reach.
func TestNewestStateWins(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		commit := storedCommit(t, w, pull)
		for i, title := range []string{"first", "second", "third"} {
			state := []models.CheckState{models.CheckPending, models.CheckRunning, models.CheckSuccess}[i]
			err := w.Store.InTx(t.Context(), func(tx *store.Tx) error {
				return w.want(t.Context(), tx, []*models.Report{{
					ProjectID: commit.ProjectID, CommitID: commit.ID, SHA: commit.SHA, Name: "check", Wanted: state, Title: title,
				}})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		run(t, w.Runner)
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{"check": "completed success"})
		if told := w.github.Reports("packit/hello"); len(told) != 1 || told[0].Title != "third" {
			t.Errorf("the forge was told %+v, want the newest alone", told)
		}
	})
}

// storedCommit stores the head of a pull request as handling its event would.
func storedCommit(t *testing.T, w *world, pull githubfake.Pull) *models.Commit {
	t.Helper()
	p, err := models.ParseProjectURL("http://" + w.host + "/packit/hello")
	if err != nil {
		t.Fatal(err)
	}
	c := &models.Commit{Kind: models.PullRequestRef, Ref: fmt.Sprint(pull.Number), SHA: pull.HeadSHA}
	err = w.Store.InTx(t.Context(), func(tx *store.Tx) error {
		if err := tx.EnsureProject(t.Context(), p); err != nil {
			return err
		}
		c.ProjectID = p.ID
		return tx.EnsureCommit(t.Context(), c)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRateLimitIsRespected lets GitHub refuse calls until a time that it names.
func TestRateLimitIsRespected(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.allow(t, "packit")
		pull := w.open(t, "packit", "hello", helloFiles, map[string]string{"hello.sh": "echo hi\n"})
		commit := storedCommit(t, w, pull)
		w.github.SetFaults(githubfake.Faults{APIMatch: "check-runs", RateLimited: 3 * time.Second})
		began := time.Now()
		report := &models.Report{
			ProjectID: commit.ProjectID, CommitID: commit.ID, SHA: commit.SHA, Name: "check", Wanted: models.CheckSuccess, Title: "Done",
		}
		err := w.Store.InTx(t.Context(), func(tx *store.Tx) error { return w.want(t.Context(), tx, []*models.Report{report}) })
		if err != nil {
			t.Fatal(err)
		}
		run(t, w.Runner)
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			r, err := w.Store.Report(t.Context(), report.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !r.NotBefore.IsZero() {
				if wait := r.NotBefore.Sub(began); wait < time.Second {
					t.Errorf("asked again after %s, though GitHub named a later time", wait)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the report does not wait: %+v", r)
			}
		}
		w.github.SetFaults(githubfake.Faults{})
		w.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{"check": "completed success"})
	})
}
