package jobs

import (
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
	"millrace/models"
	"millrace/models/store/storetest"
)

// onChain runs f in a world of packages where the database does not matter.
func onChain(t *testing.T, f func(t *testing.T, c *chain)) {
	t.Helper()
	f(t, newChain(t, storetest.SQLite(t)))
}

const buildConfig = `
jobs:
- {job: koji_build, trigger: commit, dist_git_branches: [fedora-all], allowed_committers: [ada]}
`

// theRun is the only run of a pipeline.
func (c *chain) theRun(t *testing.T, pipeline int64) *models.Run {
	t.Helper()
	return c.pipeline(t, pipeline).Steps[0].Targets[0].Run
}

// ends waits for the end of a pipeline of one run, in a state and for a reason that
// has a part.
func (c *chain) ends(t *testing.T, pipeline int64, state models.State, part string) *models.Run {
	t.Helper()
	eventually(t, c.Runner, pipeline, map[string]models.State{"pipeline": state})
	run := c.theRun(t, pipeline)
	if !strings.Contains(run.Reason, part) {
		t.Errorf("it is %s because %q, want it to say %q", run.State, run.Reason, part)
	}
	return run
}

// submissions counts the builds that Koji was asked for.
func (c *chain) submissions() int {
	n := 0
	for _, task := range c.builds.Tasks() {
		if task.Method == "build" {
			n++
		}
	}
	return n
}

func TestBuildThatIsThere(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		if _, err := c.builds.AddBuild("eve", kojifake.Spec{Name: "hello", Version: "2", Release: "1.fc43"}, "f43-updates-candidate"); err != nil {
			t.Fatal(err)
		}
		c.pack(t, "hello", buildConfig)
		run(t, c.Runner)
		sha := c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		c.ends(t, c.pushed(t, "hello", sha), models.Skipped, "Koji has hello-2-1.fc43 already")
		if n := c.submissions(); n != 0 {
			t.Errorf("Koji was asked for %d builds", n)
		}
		b, err := c.Runner.Koji.Client.Build(t.Context(), "hello-2-1.fc43")
		if err != nil {
			t.Fatal(err)
		}
		if p := c.soonProduct(t, models.ImportRefOf(b.ID), func(p *models.Product) bool { return p.State == models.ProductComplete }); p.Data.Author != "eve" {
			t.Errorf("the build is %+v", p)
		}
	})
}

// TestAutorelease: what the release will be cannot be known, but which commit was
// built can.
func TestAutorelease(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "hello", buildConfig)
		run(t, c.Runner)
		spec := strings.Replace(specOf("hello", "2"), "1%{?dist}", "%autorelease", 1)
		first := c.pushed(t, "hello", c.commit(t, "hello", "f43", map[string]string{"hello.spec": spec}))
		eventually(t, c.Runner, first, map[string]models.State{"pipeline": models.Passed})
		if nvr := c.theRun(t, first).Data.NVR; nvr != "hello-2-1.fc43" {
			t.Errorf("it is %s", nvr)
		}
		w := &Work{Pipeline: c.pipeline(t, first)}
		w.Step = w.Pipeline.Steps[0]
		view, err := w.Step.View()
		if err != nil {
			t.Fatal(err)
		}
		w.View, w.Runs, w.Group = view, []*models.Run{w.Step.Targets[0].Run}, &models.RunGroup{Key: "mr00000000", Epoch: 1}
		o, err := c.Kinds[models.KojiBuildStep].Submit(t.Context(), w)
		if err != nil || o.Runs[0].State != models.Skipped || !strings.Contains(o.Runs[0].Reason, "hello-2-1.fc43") {
			t.Errorf("the same commit again: %+v, %v", o.Runs, err)
		}
		// What somebody else asked for by another address of the repository counts too.
		sha := c.theRun(t, first).Data.Commit
		c.quiet.Store(true) // so that the service does not build it
		other := c.commit(t, "hello", "f43", map[string]string{"more": "x"})
		address, err := c.Runner.Koji.cloneURL(t.Context(), w.Pipeline.Project)
		if err != nil {
			t.Fatal(err)
		}
		task, err := c.Runner.Koji.Client.SubmitBuild(t.Context(), koji.BuildRequest{
			Source: koji.GitSource(strings.Replace(address, "127.0.0.1", "localhost", 1), other), Target: "f43-candidate", Key: "mr11111111",
		})
		if err != nil {
			t.Fatal(err)
		}
		var found *koji.Build
		soon(t, "the build of somebody else", func() (bool, any) {
			found, err = c.Runner.Koji.existing(t.Context(), "hello", "", other, ".fc43")
			return err == nil && found != nil && found.TaskID == task, found
		})
		for what, args := range map[string][2]string{"another branch": {sha, ".fc44"}, "another commit": {strings.Repeat("0", 40), ".fc43"}, "a part of it": {other[:10], ".fc43"}} {
			if b, err := c.Runner.Koji.existing(t.Context(), "hello", "", args[0], args[1]); err != nil || b != nil {
				t.Errorf("%s: %+v, %v", what, b, err)
			}
		}
	})
}

func TestBuildFails(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.builds.SetFaults(kojifake.Faults{Fail: []string{"aarch64"}, DoubleMessages: true})
		c.pack(t, "hello", chainConfig)
		run(t, c.Runner)
		sha := c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		id := c.pushed(t, "hello", sha)
		failed := c.ends(t, id, models.Failed, "mock exited with status 1")
		soon(t, "the log", func() (bool, any) {
			failed = c.theRun(t, id)
			return strings.Contains(failed.Data.LogTail, "told to fail"), failed.Data
		})
		task, err := kojiTask(failed.ExternalID)
		if err != nil {
			t.Fatal(err)
		}
		c.soonProduct(t, models.BuildRefOf(task), func(p *models.Product) bool {
			return p.State == models.ProductFailed && strings.Contains(p.Data.Reason, "mock") && p.RunID == failed.ID
		})
		c.builds.SetFaults(kojifake.Faults{})
		again, err := c.Rerun(t.Context(), RerunRequest{
			RerunRequest: models.RerunRequest{Scope: models.ScopeFailed}, Requester: Requester{Actor: "ada", Via: models.ViaComment}, Pipeline: id,
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, c.Runner, again, map[string]models.State{"pipeline": models.Passed})
		eventually(t, c.Runner, c.planOfBuild(t, "hello", "hello-2-1.fc43"), map[string]models.State{"pipeline": models.Passed})
	})
}

// TestAnswerIsLost: what Koji took, but did not say so, is not asked for twice.
func TestAnswerIsLost(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.builds.SetFaults(kojifake.Faults{Methods: []string{"build"}, Calls: 1, LoseAnswers: true})
		c.pack(t, "hello", buildConfig)
		run(t, c.Runner)
		sha := c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		id := c.pushed(t, "hello", sha)
		eventually(t, c.Runner, id, map[string]models.State{"pipeline": models.Passed})
		if n := c.submissions(); n != 1 {
			t.Errorf("Koji was asked for %d builds", n)
		}
		if commit := c.theRun(t, id).Data.Commit; commit != sha {
			t.Errorf("the commit is %s, want %s", commit, sha)
		}
	})
}

func TestBuildIsStopped(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.slow(t)
		c.pack(t, "hello", buildConfig)
		run(t, c.Runner)
		id := c.pushed(t, "hello", c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")}))
		soon(t, "the submission", func() (bool, any) { return c.theRun(t, id).ExternalID != "", c.theRun(t, id) })
		if _, err := c.Runner.Cancel(t.Context(), CancelRequest{Requester: Requester{Actor: "ada", Via: models.ViaComment}, Pipeline: id}); err != nil {
			t.Fatal(err)
		}
		soon(t, "Koji", func() (bool, any) {
			tasks := c.builds.Tasks()
			return len(tasks) > 0 && tasks[0].State == koji.TaskCanceled, tasks
		})
		eventually(t, c.Runner, id, map[string]models.State{"pipeline": models.Canceled})
	})
}

// slow replaces Koji by one whose builds take an hour.
func (c *chain) slow(t *testing.T) {
	t.Helper()
	c.pace = kojifake.Pace{Queue: time.Millisecond, SRPM: time.Hour}
	c.startKoji(t, func(string, []byte) {})
}

func TestUpdateThatIsThere(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.updates.Users = map[string][]string{"packit": {"packager"}, "eve": {"packager"}}
		c.pack(t, "hello", chainConfig)
		run(t, c.Runner)
		sha := c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		c.pushed(t, "hello", sha)
		first := c.planOfBuild(t, "hello", "hello-2-1.fc43")
		eventually(t, c.Runner, first, map[string]models.State{"pipeline": models.Passed})
		again, err := c.Rerun(t.Context(), RerunRequest{
			RerunRequest: models.RerunRequest{Scope: models.ScopeAll}, Requester: Requester{Actor: "ada", Via: models.ViaComment}, Pipeline: first,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.ends(t, again, models.Skipped, "already")
		if n := len(c.updates.Updates()); n != 1 {
			t.Errorf("%d updates", n)
		}
	})
}

// TestAnswerOfBodhiIsLost: an update that Bodhi made, but did not say so, is found.
func TestAnswerOfBodhiIsLost(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.updates.Misbehave(bodhifake.Fault{Method: "POST", Path: "/updates/", Lose: true})
		c.pack(t, "hello", chainConfig)
		run(t, c.Runner)
		c.commit(t, "hello", "f43", map[string]string{"hello.spec": specOf("hello", "2")})
		eventually(t, c.Runner, c.planOfBuild(t, "hello", "hello-2-1.fc43"), map[string]models.State{"pipeline": models.Passed})
		if n := len(c.updates.Updates()); n != 1 {
			t.Errorf("%d updates", n)
		}
	})
}

// TestRawhide: Bodhi makes the update, which is found by its build.
func TestRawhide(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "hello", chainConfig)
		run(t, c.Runner)
		c.commit(t, "hello", "rawhide", map[string]string{"hello.spec": specOf("hello", "2")})
		c.ends(t, c.planOfBuild(t, "hello", "hello-2-1.fc45"), models.Skipped, "Bodhi makes updates for rawhide by itself")
		if err := c.updates.Automatic("hello-2-1.fc45", "packit"); err != nil {
			t.Fatal(err)
		}
		alias := c.updates.Updates()[0].Alias
		c.soonProduct(t, models.UpdateRefOf(alias), func(p *models.Product) bool { return p.Branch == "rawhide" })
		if err := c.updates.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		c.soonProduct(t, models.UpdateRefOf(alias), func(p *models.Product) bool { return p.State == models.ProductStable })
	})
}

const libConfig = `
jobs:
- {job: koji_build, trigger: commit, dist_git_branches: [f43], allowed_committers: [ada], sidetag_group: mill, dependents: [tool]}
`

const toolConfig = `
jobs:
- {job: koji_build, trigger: koji_build, dist_git_branches: [f43], sidetag_group: mill, dependencies: [lib]}
- {job: bodhi_update, trigger: koji_build, dist_git_branches: [f43], sidetag_group: mill, dependencies: [lib]}
`

// TestSideTag: a library is built in a side tag, then what needs it; both come to
// users in one update, and a later build of the library changes that.
func TestSideTag(t *testing.T) {
	t.Parallel()
	eachChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "lib", libConfig)
		c.pack(t, "tool", toolConfig)
		run(t, c.Runner)
		sha := c.commit(t, "lib", "f43", map[string]string{"lib.spec": specOf("lib", "2")})
		c.pushed(t, "lib", sha)
		c.soonUpdate(t, "lib-2-1.fc43", "tool-1-1.fc43")
		tags := slices.DeleteFunc(c.builds.TagNames(), func(name string) bool { return !strings.Contains(name, "-side-") })
		if len(tags) != 1 || c.updates.Updates()[0].FromTag != tags[0] {
			t.Errorf("side tags %v, update %+v", tags, c.updates.Updates())
		}
		c.commit(t, "lib", "f43", map[string]string{"lib.spec": specOf("lib", "3")})
		c.soonUpdate(t, "lib-3-1.fc43", "tool-1-1.fc43")
		update := c.soonProduct(t, models.UpdateRefOf(c.updates.Updates()[0].Alias), func(p *models.Product) bool {
			return slices.Equal(p.Data.NVRs, []string{"lib-3-1.fc43", "tool-1-1.fc43"})
		})
		b, err := c.Runner.Koji.Client.Build(t.Context(), "lib-2-1.fc43")
		if err != nil {
			t.Fatal(err)
		}
		root := c.soonProduct(t, models.BuildRefOf(b.TaskID), func(p *models.Product) bool { return p.State == models.ProductComplete })
		way, err := c.Store.WayProducts(t.Context(), root.ID)
		if err != nil || !slices.ContainsFunc(way, func(p *models.Product) bool { return p.ID == update.ID }) {
			t.Errorf("the update did not follow from the library's build: %v, %v", way, err)
		}
	})
}

const moreConfig = `
jobs:
- {job: koji_build, trigger: commit, dist_git_branches: [f43], allowed_committers: [ada], sidetag_group: mill}
- {job: bodhi_update, trigger: koji_build, dist_git_branches: [f43], sidetag_group: mill, bodhi_extra_params: {type: bugfix}}
`

// TestSideTagUpdateGrows: a package that knows nothing of the others joins their
// update, and leaves them in it.
func TestSideTagUpdateGrows(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.pack(t, "lib", libConfig)
		c.pack(t, "tool", toolConfig)
		c.pack(t, "more", moreConfig)
		run(t, c.Runner)
		c.commit(t, "lib", "f43", map[string]string{"lib.spec": specOf("lib", "2")})
		c.soonUpdate(t, "lib-2-1.fc43", "tool-1-1.fc43")
		c.commit(t, "more", "f43", map[string]string{"more.spec": specOf("more", "2")})
		c.soonUpdate(t, "lib-2-1.fc43", "more-2-1.fc43", "tool-1-1.fc43")
		if got := c.updates.Updates()[0].Type; got != "bugfix" {
			t.Errorf("its type is %s", got)
		}
	})
}

// TestSideTagWithoutMessages: the same when Koji tells nothing.
func TestSideTagWithoutMessages(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.lost = func(topic string) bool { return !ofPackages(topic) }
		c.pack(t, "lib", libConfig)
		c.pack(t, "tool", toolConfig)
		run(t, c.Runner)
		c.commit(t, "lib", "f43", map[string]string{"lib.spec": specOf("lib", "2")})
		c.soonUpdate(t, "lib-2-1.fc43", "tool-1-1.fc43")
		if n := c.submissions(); n != 2 {
			t.Errorf("Koji was asked for %d builds", n)
		}
	})
}

// soonUpdate waits until there is one update, with these builds.
func (c *chain) soonUpdate(t *testing.T, nvrs ...string) {
	t.Helper()
	soon(t, "the update", func() (bool, any) {
		all := c.updates.Updates()
		return len(all) == 1 && slices.Equal(all[0].Builds, nvrs), all
	})
}

// TestIdentity: what a spec file would be built as is known from the file alone, or
// not at all.
func TestIdentity(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, spec, want string }{
		{"plain", specOf("hello", "2"), "hello-2-1.fc43"},
		{"macros of its own", "%global v 3\nName: hello\nVersion: %{v}.1\nRelease: 2%{?dist}.4\n", "hello-3.1-2.fc43.4"},
		{"an epoch", "Name: hello\nEpoch: 2\nVersion: 1\nRelease: 1%{?dist}\n", "hello-1-1.fc43"},
		{"autorelease", "Name: hello\nVersion: 1\nRelease: %autorelease\n", ""},
		{"autorelease with a base", "Name: hello\nVersion: 1\nRelease: %autorelease -b 3\n", ""},
		{"macros of others", "Name: hello\nVersion: %{kernel_version}\nRelease: 1%{?dist}\n", ""},
		{"no version", "Name: hello\nRelease: 1%{?dist}\n", ""},
		{"no spec file", "\x00\x01", ""},
	} {
		if got := identity([]byte(test.spec), ".fc43"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if got := identity([]byte(specOf("hello", "2")), ""); got != "" {
		t.Errorf("for a branch that is not known: %q", got)
	}
}

// TestDraftOf: what a package config says of updates reaches Bodhi, but for what is
// ours to say.
func TestDraftOf(t *testing.T) {
	t.Parallel()
	d, unknown, err := draftOf(map[string]any{"type": "security", "severity": "high", "stable_karma": 2, "autotime": false, "nonsense": 1, "stable_days": nil})
	if err != nil || d.Type != "security" || d.Severity != "high" || *d.StableKarma != 2 || *d.AutoTime || d.StableDays != nil || !slices.Equal(unknown, []string{"nonsense"}) {
		t.Errorf("%+v, %v, %v", d, unknown, err)
	}
	if d, _, err := draftOf(nil); err != nil || d.Type != "enhancement" {
		t.Errorf("nothing: %+v, %v", d, err)
	}
	if _, _, err := draftOf(map[string]any{"stable_karma": "three"}); err == nil || !strings.Contains(err.Error(), "stable_karma must not be a string") {
		t.Errorf("a number that is a text: %v", err)
	}
}
