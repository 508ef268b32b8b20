package jobs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"millrace/clients/git/fakeforge"
	"millrace/models"
)

// versionEvents waits until so many events about versions are decided, and says what
// became of them, in the order of the versions.
func (f *fedora) versionEvents(t *testing.T, n int) map[string]*models.Event {
	t.Helper()
	all := map[string]*models.Event{}
	soon(t, fmt.Sprintf("%d events about versions", n), func() (bool, any) {
		list, err := f.Store.Events(t.Context(), models.EventFilter{Kind: models.UpstreamVersionEvent}, models.Page{})
		if err != nil {
			return false, err
		}
		clear(all)
		for _, row := range list.Rows {
			e, err := f.Store.Event(t.Context(), row.ID)
			if err == nil && e.State != models.EventNew && e.Commit != nil {
				all[e.Commit.Ref] = e
			}
		}
		return len(all) >= n, all
	})
	return all
}

func TestNewestFirst(t *testing.T) {
	t.Parallel()
	got := newestFirst([]string{"1.9", "1.10", "2.0~rc1", "1.9", "1.10.0", "1.10"})
	if want := []string{"2.0~rc1", "1.10", "1.10.0", "1.9"}; !slices.Equal(got, want) && !slices.Equal(got, []string{"2.0~rc1", "1.10.0", "1.10", "1.9"}) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestOnlyTheNewestVersion: without a git repository upstream the newest of several
// versions is meant, and the event says what became of the others.
func TestOnlyTheNewestVersion(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, "jobs:\n- {job: pull_from_upstream, trigger: release}\n")
		run(t, w.Runner)
		f.announceVersions(t, "1.9", "1.10")
		e := w.theEvent(t, models.UpstreamVersionEvent, 1)
		f.ended(t, e)
		if e.State != models.EventPlanned || !strings.Contains(e.Reason, "only the newest counts") || !strings.HasSuffix(e.Reason, "not 1.9.") {
			t.Errorf("the event is %s: %s", e.State, e.Reason)
		}
		if _, err := f.distGit.Commit(t.Context(), "rpms/hello", fakeforge.Change{Files: map[string]string{"monitoring.toml": "all_versions = \n"}}); err != nil {
			t.Fatal(err)
		}
		f.announceVersions(t, "1.11", "1.12")
		e = f.versionEvents(t, 2)["1.12"]
		if e == nil || !strings.Contains(e.Reason, "monitoring.toml cannot be read: toml: line 1") || len(f.versionEvents(t, 2)) != 2 {
			t.Errorf("with a broken file: %+v", e)
		}
	})
}

// TestSeveralVersions: each branch gets the newest version that it takes.
func TestSeveralVersions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, `
version_update_mask: '\d+'
jobs:
- {job: pull_from_upstream, trigger: release, dist_git_branches: [rawhide, f43]}
`, "f43")
		if _, err := f.distGit.Commit(t.Context(), "rpms/hello", fakeforge.Change{Files: map[string]string{"monitoring.toml": "monitoring = true\nall_versions = true\n"}}); err != nil {
			t.Fatal(err)
		}
		run(t, w.Runner)
		f.announceVersions(t, "1.2", "2.1", "1.3")
		events := f.versionEvents(t, 3)
		if e := events["2.1"]; e == nil || e.Message.Bug != 2300001 || !strings.HasSuffix(e.Reason, "as events of their own: 1.3, 1.2.") {
			t.Fatalf("the newest: %+v", e)
		}
		for _, version := range []string{"2.1", "1.3", "1.2"} {
			p := f.ended(t, events[version])
			if version == "2.1" {
				want := []string{"pull_from_upstream rawhide passed", "pull_from_upstream f43 skipped The upstream released version 2.1 does not match specfile version 1.0 at branch f43 using the version_update_mask \"\\\\d+\"." + maskHint}
				if diff := gocmp.Diff(want, outcomeOf(p)); diff != "" {
					t.Error(diff)
				}
			}
		}
		if e := events["1.3"]; e.Message.Newer != "2.1" || e.Message.Bug != 0 || e.Delivery == nil && e.DeliveryID == 0 {
			t.Errorf("an older one: %+v", e.Message)
		}
		want := []string{"f43 open: Update f43 to upstream release 1.3", "rawhide open: Update rawhide to upstream release 2.1"}
		if diff := gocmp.Diff(want, f.pulls(t)); diff != "" {
			t.Error(diff)
		}
		f.announceVersions(t, "1.2", "2.1", "1.3") // the bus says it twice
		again := w.theEvent(t, models.UpstreamVersionEvent, 4)
		if again.State != models.EventNothing || !strings.Contains(again.Reason, "told of it already") {
			t.Errorf("the second time: %s, %s", again.State, again.Reason)
		}
	})
}

// TestOlderVersionGivesWay: what comes later and is older leaves the pull request of
// the newer version alone, whatever that is called by now.
func TestOlderVersionGivesWay(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, "jobs:\n- job: pull_from_upstream\n  trigger: release\n  dist_git_branches: {rawhide: {fast_forward_merge_into: [f44]}}\n", "f44")
		run(t, w.Runner)
		pull := func(version string) []string {
			t.Helper()
			f.announceVersions(t, version)
			var e *models.Event
			soon(t, version, func() (bool, any) {
				e = f.versionEvents(t, 1)[version]
				return e != nil, e
			})
			return outcomeOf(f.ended(t, e))
		}
		if diff := gocmp.Diff([]string{"pull_from_upstream rawhide passed", "pull_from_upstream~2 f44 passed"}, pull("2.0")); diff != "" {
			t.Fatal(diff)
		}
		tip := func() string {
			sha, err := f.distGit.Bare("forks/packit/rpms/hello").RevParse(t.Context(), "refs/heads/rawhide-update-pull_from_upstream")
			if err != nil {
				t.Fatal(err)
			}
			return sha
		}
		before := tip()
		number := 0
		pulls, err := f.distGit.Pulls("rpms/hello")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pulls {
			if p.Branch == "rawhide" {
				number = p.Number
			}
		}
		want := []string{
			fmt.Sprintf("pull_from_upstream rawhide skipped Pull request %d is open for the newer version 2.0, and 1.5 does not take its place.", number),
			"pull_from_upstream~2 f44 skipped It needs the dist-git pull request of rawhide, which was skipped.",
		}
		if diff := gocmp.Diff(want, pull("1.5")); diff != "" {
			t.Error(diff)
		}
		if err := w.Packages.EditPull(t.Context(), "rpms/hello", number, "Please look at this", "By hand."); err != nil {
			t.Fatal(err)
		}
		if got := pull("1.6"); !strings.Contains(got[0], "for the newer version 2.0, and 1.6") {
			t.Errorf("under another title: %q", got)
		}
		if after := tip(); after != before {
			t.Errorf("the branch moved from %s to %s", before, after)
		}
		if diff := gocmp.Diff([]string{"pull_from_upstream rawhide passed", "pull_from_upstream~2 f44 passed"}, pull("2.1")); diff != "" {
			t.Error(diff)
		}
		if diff := gocmp.Diff([]string{"f44 open: Update f44 to upstream release 2.1", "rawhide open: Update rawhide to upstream release 2.1"}, f.pulls(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestBranchesThatFollowHaveTheirSay: a branch gets the commit of another only if its
// own spec file lets the release in.
func TestBranchesThatFollowHaveTheirSay(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		f.pack(t, `
version_update_mask: '\d+'
jobs:
- job: pull_from_upstream
  trigger: release
  dist_git_branches: {rawhide: {fast_forward_merge_into: [f44, f43, f42]}}
`, "f44", "f43")
		if _, err := f.distGit.Commit(t.Context(), "rpms/hello", fakeforge.Change{Branch: "f44", Files: map[string]string{"hello.spec": "Name: hello\nVersion: 3.0\nRelease: 1\n"}}); err != nil {
			t.Fatal(err)
		}
		run(t, w.Runner)
		f.announceVersions(t, "2.0")
		want := []string{
			"pull_from_upstream rawhide passed",
			"pull_from_upstream~2 f44 skipped Downstream specfile version 3.0 is higher than the version to propose (2.0). Skipping the update.",
			"pull_from_upstream~2 f43 skipped The upstream released version 2.0 does not match specfile version 1.0 at branch f43 using the version_update_mask \"\\\\d+\"." + maskHint,
			"pull_from_upstream~2 f42 failed The package has no branch f42 in dist-git.",
		}
		if diff := gocmp.Diff(want, outcomeOf(f.ended(t, w.theEvent(t, models.UpstreamVersionEvent, 1)))); diff != "" {
			t.Error(diff)
		}
		if diff := gocmp.Diff([]string{"rawhide open: Update rawhide to upstream release 2.0"}, f.pulls(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// maskHint is what people are told of a mask that keeps a release out.
const maskHint = " If the branch shall have it, change version_update_mask in the package config: https://packit.dev/docs/configuration#version_update_mask"
