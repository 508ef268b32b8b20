package jobs

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"millrace/clients/forge"
	"millrace/clients/forge/forgetest"
	"millrace/clients/git/fakeforge"
	"millrace/models"
)

// granting counts the rights that are asked to be changed.
type granting struct {
	DistGit
	n atomic.Int64
}

func (g *granting) Grant(ctx context.Context, repo string, grant forge.Grant) error {
	g.n.Add(1)
	return g.DistGit.Grant(ctx, repo, grant)
}

// TestForkIsShared: those who may commit to the package may commit to our fork, others
// may not, and when nothing differs nothing is sent.
func TestForkIsShared(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, f *fedora) {
		const repo, fork = "rpms/hello", "forks/packit/rpms/hello"
		f.pack(t, "jobs:\n- {job: pull_from_upstream, trigger: release}\n")
		asked := &granting{DistGit: f.Packages.DistGit}
		f.Packages.DistGit = asked
		err := errors.Join(
			f.distGit.SetGroup("looms", "lea"), f.distGit.AddPerson("lea", "Lea"), f.distGit.AddPerson("eve", "Eve"),
			f.distGit.SetAccess(repo, fakeforge.Access{Admins: []string{"adm"}, Committers: []string{"com", "packit"}, CommitterGroups: []string{"looms"}}),
		)
		if err != nil {
			t.Fatal(err)
		}
		run(t, f.Runner)
		bring := func(n int, version string) {
			t.Helper()
			f.announceVersions(t, version)
			p := f.ended(t, f.theEvent(t, models.UpstreamVersionEvent, n))
			if p.State != models.Passed {
				t.Fatalf("%s: %v", version, outcomeOf(p))
			}
		}
		may := func(when string, want ...string) {
			t.Helper()
			var got []string
			for _, login := range f.distGit.Writers(fork) {
				if login != "packit" {
					got = append(got, login)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s %v may commit to the fork, want %v", when, got, want)
			}
		}
		f.forge.SetFaults(forgetest.Faults{Match: "/modifyacls", Status: http.StatusForbidden})
		if f.on == forgetest.Forgejo {
			f.forge.SetFaults(forgetest.Faults{Match: "/collaborators", Status: http.StatusForbidden})
		}
		bring(1, "2.0")
		may("when the forge refuses")
		f.forge.SetFaults(forgetest.Faults{})
		bring(2, "3.0")
		may("then", "adm", "com", "lea", "maren")
		before := asked.n.Load()
		bring(3, "4.0")
		if n := asked.n.Load() - before; n != 0 {
			t.Errorf("%d rights are changed when nothing differs", n)
		}
		err = errors.Join(
			f.distGit.Grant(fork, "eve", false, fakeforge.Committer),
			f.distGit.SetAccess(repo, fakeforge.Access{Committers: []string{"com"}}),
		)
		if err != nil {
			t.Fatal(err)
		}
		bring(4, "5.0")
		may("after some left", "com", "maren")
		r, err := f.distGit.Repo(fork)
		if err != nil || r.Access.Owner != "packit" {
			t.Errorf("the fork is %s's, %v", r.Access.Owner, err)
		}
	})
}
