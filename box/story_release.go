package box

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/git/fakeforge"
	"millrace/models"
)

// Ways is what the service says of releases and packages. Packages are repositories
// of dist-git: rpms/hello-world.
type Ways interface {
	// Way returns how a release has come to Fedora; nil if nothing is known of it.
	// Of what release monitoring found, repo is the package.
	Way(ctx context.Context, repo, ref string) (*models.Way, error)
	// All returns all pipelines of a repository that anything is planned for, the
	// oldest first.
	All(ctx context.Context, repo string) ([]*models.Pipeline, error)
}

// Hands are what somebody does on the service's pages.
type Hands interface {
	// Rerun repeats what failed of a pipeline, as a person of the box.
	Rerun(ctx context.Context, pipeline int64, login string) error
	// Automate switches jobs on for a package.
	Automate(ctx context.Context, repo, login string, jobs map[models.JobType]models.AutomationSettings) error
}

// ReleaseEnding is how a story says that a release ends.
type ReleaseEnding struct {
	Repo, Ref string // the release; of one that release monitoring found, the package and the version
	// Branches are how far it came on each: the last stage that is done.
	Branches map[string]models.Stage
	// Pipelines are those of the repositories that are concerned, each as
	// "STATE KIND REPO REF" and how many there are of it. None is left out.
	Pipelines map[string]int
	// Others are further repositories to look at.
	Others []string
}

// passed counts pipelines for a push to each branch that have passed.
func (e *ReleaseEnding) passed(repo string, n int, branches ...string) {
	if e.Pipelines == nil {
		e.Pipelines = map[string]int{}
	}
	for _, branch := range branches {
		e.Pipelines["passed push "+repo+" "+branch] += n
	}
}

// ExpectRelease waits until a release is as the ending says.
func (t *Teller) ExpectRelease(ctx context.Context, want ReleaseEnding) error {
	return t.await(ctx, "the release "+want.Ref+" of "+want.Repo, func() ([]string, error) {
		way, err := t.Ways.Way(ctx, want.Repo, want.Ref)
		if err != nil {
			return nil, err
		}
		pipelines := map[string]int{}
		for _, repo := range append([]string{want.Repo}, want.Others...) {
			all, err := t.Ways.All(ctx, repo)
			if err != nil {
				return nil, err
			}
			for _, p := range all {
				t.saw(p)
				pipelines[fmt.Sprintf("%s %s %s %s", p.State, p.Kind, repo, p.Ref)]++
			}
		}
		return append(wayDifferences(want.Branches, way), countDifferences(want.Pipelines, pipelines)...), nil
	})
}

// wayDifferences says how a way is different from how far it should have come.
func wayDifferences(want map[string]models.Stage, way *models.Way) []string {
	if way == nil {
		return []string{"nothing is known of it"}
	}
	is := map[string]models.Stage{}
	for _, row := range way.Rows {
		for stage, cell := range row.Cells {
			if cell.State == models.CellDone {
				is[row.Branch] = models.Stage(stage)
			}
		}
	}
	var d []string
	for _, branch := range slices.Sorted(maps.Keys(want)) {
		if stage, ok := is[branch]; !ok || stage != want[branch] {
			d = append(d, fmt.Sprintf("on %s it has come to %s, want %s", branch, stageName(stage), stageName(want[branch])))
		}
		delete(is, branch)
	}
	for _, branch := range slices.Sorted(maps.Keys(is)) {
		d = append(d, "it has come to "+branch+", too")
	}
	return d
}

// stageName is what a stage is called in differences.
func stageName(s models.Stage) string {
	return []string{"upstream", "pull request", "merged", "build", "update", "testing", "stable"}[s]
}

func countDifferences(want, is map[string]int) []string {
	var d []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if is[key] != want[key] {
			d = append(d, fmt.Sprintf("pipelines %q: %d, want %d", key, is[key], want[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(is)) {
		if want[key] == 0 {
			d = append(d, fmt.Sprintf("pipelines %q: %d, want none", key, is[key]))
		}
	}
	return d
}

// await waits until look finds no differences any more.
func (t *Teller) await(ctx context.Context, what string, look func() (differences []string, err error)) error {
	patience, every := t.Patience, t.Every
	if patience == 0 {
		patience = 5 * time.Minute // what is lost is only found out by asking again
	}
	if every == 0 {
		every = 200 * time.Millisecond
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("patience is over"))
	defer cancel()
	differences := []string{"it could not be looked at in time"}
	for {
		found, err := look()
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			if differences = found; len(found) == 0 {
				return nil
			}
		}
		if !sleep(ctx, every) {
			return fmt.Errorf("%w; %s:\n\t%s", context.Cause(ctx), what, strings.Join(differences, "\n\t"))
		}
	}
}

// release makes a release upstream.
func (t *Teller) release(ctx context.Context, repo string) (version string, err error) {
	release, err := t.Box.Release(ctx, repo)
	if err != nil {
		return "", err
	}
	t.say("%s of %s is released", release.Tag, repo)
	return release.Tag, nil
}

// proposed waits until there is one open pull request for each branch of a package,
// and returns their numbers by branch.
func (t *Teller) proposed(ctx context.Context, pkg string, branches ...string) (map[string]int, error) {
	numbers := map[string]int{}
	err := t.await(ctx, "pull requests of "+pkg, func() ([]string, error) {
		pulls, err := t.Box.Packages.Pulls("rpms/" + pkg)
		if err != nil {
			return nil, err
		}
		clear(numbers)
		var d []string
		for _, p := range pulls {
			if p.State != fakeforge.Open {
				continue
			}
			if numbers[p.Branch] != 0 || !slices.Contains(branches, p.Branch) {
				d = append(d, fmt.Sprintf("pull request %d to %s is too much", p.Number, p.Branch))
			}
			numbers[p.Branch] = p.Number
		}
		for _, branch := range branches {
			if numbers[branch] == 0 {
				d = append(d, "there is none to "+branch)
			}
		}
		return d, nil
	})
	return numbers, err
}

// merge merges pull requests of a package.
func (t *Teller) merge(ctx context.Context, pkg string, numbers map[string]int) error {
	for _, branch := range slices.Sorted(maps.Keys(numbers)) {
		if _, err := t.Box.Packages.MergePull(ctx, "rpms/"+pkg, numbers[branch], visitor); err != nil {
			return err
		}
		t.say("%s merges pull request %d of %s to %s", visitor, numbers[branch], pkg, branch)
	}
	return nil
}

// updated waits until there are that many updates of a package, and lets weeks pass
// until they are stable.
func (t *Teller) updated(ctx context.Context, pkg string, n int) error {
	ofPackage := func(u []string) bool {
		return slices.ContainsFunc(u, func(nvr string) bool { return strings.HasPrefix(nvr, pkg+"-") })
	}
	return t.await(ctx, "updates of "+pkg, func() ([]string, error) {
		all, stable := 0, 0
		for _, u := range t.Box.Bodhi.Updates() {
			if !ofPackage(u.Builds) {
				continue
			}
			all++
			if u.Status == bodhi.Stable {
				stable++
			}
		}
		if all != n {
			return []string{fmt.Sprintf("there are %d, want %d", all, n)}, nil
		}
		if stable == n {
			return nil, nil
		}
		return []string{fmt.Sprintf("%d of %d are stable", stable, n)}, t.Box.Pass(7 * 24 * time.Hour)
	})
}
