package jobs

import (
	"testing"

	"millrace/clients/bodhi"
	"millrace/clients/git/fakeforge"
	"millrace/models"
	"millrace/models/store"
)

// propose opens a pull request to f43 of a package, as somebody, and stores it like
// the kind that proposes does.
func (c *chain) propose(t *testing.T, name, author, version string) (*fakeforge.Pull, models.ProductRef) {
	t.Helper()
	repo := "rpms/" + name
	if _, err := c.distgit.Commit(t.Context(), repo, fakeforge.Change{Branch: "topic", From: "f43", Author: author, Files: map[string]string{name + ".spec": specOf(name, version)}}); err != nil {
		t.Fatal(err)
	}
	pull, err := c.distgit.OpenPull(t.Context(), repo, fakeforge.NewPull{Title: "Update", Author: author, Branch: "f43", HeadRepo: repo, HeadBranch: "topic"})
	if err != nil {
		t.Fatal(err)
	}
	project := c.project(t, name)
	p := &models.Product{
		Kind: models.PullProduct, Key: models.PullRefOf(project, pull.Number).Key, Package: name, Branch: "f43", Name: "PR", State: models.ProductOpen,
		PollAt: store.Now(), Data: models.ProductData{Number: pull.Number, Head: pull.Head, Author: author},
	}
	err = c.Store.InTx(t.Context(), func(tx *store.Tx) error {
		if err := tx.EnsureProject(t.Context(), project); err != nil {
			return err
		}
		p.ProjectID = project.ID
		return tx.SaveProduct(t.Context(), p)
	})
	if err != nil {
		t.Fatal(err)
	}
	return pull, p.Ref()
}

// TestMergeOfWhichNobodyHears: the push that merged a pull request is found, and
// built once, whether its message comes or not.
func TestMergeOfWhichNobodyHears(t *testing.T) {
	t.Parallel()
	eachChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "hello", buildConfig)
		c.quiet.Store(true)
		run(t, c.Runner)
		pull, ref := c.propose(t, "hello", "packit", "2")
		c.soonProduct(t, ref, func(p *models.Product) bool { return p.Polls > 0 && p.State == models.ProductOpen })
		if _, _, err := c.distgit.SetFlag("rpms/hello", 0, fakeforge.Flag{Commit: pull.Head, Name: "CI", Status: "failure", Text: "It failed.", URL: "https://ci.test", Author: "ada"}); err != nil {
			t.Fatal(err)
		}
		c.soonProduct(t, ref, func(p *models.Product) bool { return p.Data.Checks == "failed" })
		if _, err := c.distgit.MergePull(t.Context(), "rpms/hello", pull.Number, "ada"); err != nil {
			t.Fatal(err)
		}
		id := c.pushed(t, "hello", pull.Head)
		eventually(t, c.Runner, id, map[string]models.State{"pipeline": models.Passed})
		e := c.pipeline(t, id).Event
		if e.Message.PR != pull.Number {
			t.Errorf("the push: %+v", e.Message)
		}
		c.soonProduct(t, ref, func(p *models.Product) bool { return p.State == models.ProductMerged && p.PollAt.IsZero() })
		merged := c.soonProduct(t, models.CommitRefOf(c.project(t, "hello"), "f43", pull.Head), func(p *models.Product) bool { return p.EventID == e.ID })
		way, err := c.Store.WayProducts(t.Context(), c.soonProduct(t, ref, func(*models.Product) bool { return true }).ID)
		if err != nil || len(way) < 3 || way[1].ID != merged.ID {
			t.Errorf("the way of the pull request: %v, %v", way, err)
		}
	})
}

// TestMergeOfAStranger: a push that nobody told of is not taken for what may be
// built because there was a pull request.
func TestMergeOfAStranger(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "hello", buildConfig)
		c.quiet.Store(true)
		pull, ref := c.propose(t, "hello", "packit", "2")
		if _, err := c.distgit.MergePull(t.Context(), "rpms/hello", pull.Number, "ada"); err != nil {
			t.Fatal(err)
		}
		later := c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "3")})
		run(t, c.Runner) // dist-git is asked when both have happened
		e := c.decision(t, "the push", func(e *models.Event) bool { return e.Kind == models.PushEvent && e.Message.Commit == later })
		if e.State != models.EventNothing || e.Message.PR != 0 {
			t.Errorf("the push: %s, %s, %+v", e.State, e.Reason, e.Decisions)
		}
		c.soonProduct(t, ref, func(p *models.Product) bool { return p.State == models.ProductMerged })
	})
}

func TestWatchedUpdate(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "hello", chainConfig)
		run(t, c.Runner)
		c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		eventually(t, c.Runner, c.planOfBuild(t, "hello", "hello-2-1.fc43"), map[string]models.State{"pipeline": models.Passed})
		alias := c.updates.Updates()[0].Alias
		ref := models.UpdateRefOf(alias)
		if err := c.updates.SetGating(alias, bodhi.GatingFailed); err != nil {
			t.Fatal(err)
		}
		if err := c.updates.Opine(alias, "eve", "It does not start.", -1); err != nil {
			t.Fatal(err)
		}
		c.soonProduct(t, ref, func(p *models.Product) bool {
			return p.State == models.ProductPending && p.Data.Gating == "failed" && p.Data.Karma == -1 && p.Data.NeedsKarma == 3
		})
		if err := c.updates.Compose(); err != nil {
			t.Fatal(err)
		}
		c.soonProduct(t, ref, func(p *models.Product) bool {
			return p.State == models.ProductTesting && !p.Data.TestingAt.IsZero() && p.Data.StableAt.After(p.Data.TestingAt)
		})
		if _, err := c.Bodhi.Request(t.Context(), alias, bodhi.Unpush); err != nil {
			t.Fatal(err)
		}
		c.soonProduct(t, ref, func(p *models.Product) bool {
			return p.State == models.ProductDropped && p.Data.Reason != "" && p.PollAt.IsZero()
		})
	})
}

// TestUpdateOfOthers: what Bodhi tells of an update of a build that is known here is
// looked into; of other updates nothing is kept.
func TestUpdateOfOthers(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "hello", buildConfig)
		run(t, c.Runner)
		c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		b := func() models.ProductRef {
			e := c.decision(t, "the build", func(e *models.Event) bool { return e.Kind == models.KojiBuildEvent && e.Message.State == "complete" })
			return buildProduct(e.Message).Ref()
		}()
		c.soonProduct(t, b, func(p *models.Product) bool { return p.State == models.ProductComplete })
		var saved *bodhi.Saved
		soon(t, "the tag", func() (bool, any) {
			var err error
			saved, err = c.Bodhi.CreateUpdate(t.Context(), &bodhi.Draft{Builds: []string{"hello-2-1.fc43"}, Notes: "By hand.", Type: "bugfix"})
			return err == nil, err
		})
		c.soonProduct(t, models.UpdateRefOf(saved.Updates[0].Alias), func(p *models.Product) bool { return p.RunID == 0 && p.Branch == "f43" })
		if _, err := c.builds.AddBuild("eve", specNamed("other", "1"), "f43-updates-candidate"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Bodhi.CreateUpdate(t.Context(), &bodhi.Draft{Builds: []string{"other-1-1.fc43"}, Notes: "Another.", Type: "bugfix"}); err != nil {
			t.Fatal(err)
		}
		for id := int64(1); id < 50; id++ {
			if e, err := c.Store.Event(t.Context(), id); err == nil && e.Kind == models.BodhiUpdateEvent && len(e.Message.Builds) > 0 && e.Message.Builds[0] == "other-1-1.fc43" {
				t.Errorf("there is an event of another's update: %+v", e)
			}
		}
	})
}
