package box

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"millrace/clients/git/fakeforge"
	"millrace/models"
)

// releaseStories are those about the way of a release.
var releaseStories = []Story{
	{"release-to-stable", "A release is proposed to five branches, merged, built, and tested until it is stable on each.", playReleaseToStable},
	{"branch-conflicts", "Somebody changes one branch while the release is proposed to it; the others go on.", playBranchConflicts},
	{"koji-fails", "A build in Koji fails on one branch; it is rerun from its page, and passes.", playKojiFails},
	{"koji-message-lost", "The messages of Koji's builds are lost; the updates are made all the same.", playKojiMessageLost},
	{"upload-breaks", "The upload of an archive is interrupted; it is tried again, and there is one pull request.", playUploadBreaks},
	{"without-config", "A package has no config file, but what is switched on in the browser; its release comes to stable.", playWithoutConfig},
	{"side-tag", "Two packages that need each other are built in a side tag, and are one update.", playSideTag},
	{"rights-lost", "Who asked for a rerun loses the right to commit before it runs; it is canceled.", playRightsLost},
}

const (
	helloPackage = "rpms/hello-world"
	f44          = "f44"
)

var (
	helloBranches = append([]string{"rawhide"}, olderBranches...)
	helloFails    = "failed push " + helloPackage + " " + f44
)

// helloEnding is how a release of hello-world ends that goes well.
func helloEnding(version string) ReleaseEnding {
	e := ReleaseEnding{
		Repo: hello, Ref: version, Others: []string{helloPackage}, Branches: map[string]models.Stage{},
		Pipelines: map[string]int{"passed release " + hello + " " + version: 1},
	}
	for _, branch := range helloBranches {
		e.Branches[branch] = models.StableStage
	}
	e.passed(helloPackage, 2, olderBranches...) // a build, and then an update
	e.passed(helloPackage, 1, "rawhide")
	return e
}

// propose makes a release of hello-world and waits for its pull requests.
func (t *Teller) propose(ctx context.Context) (version string, numbers map[string]int, err error) {
	if version, err = t.release(ctx, hello); err != nil {
		return "", nil, err
	}
	numbers, err = t.proposed(ctx, "hello-world", helloBranches...)
	return version, numbers, err
}

func playReleaseToStable(ctx context.Context, t *Teller) error {
	version, numbers, err := t.propose(ctx)
	if err == nil {
		err = t.merge(ctx, "hello-world", numbers)
	}
	if err == nil {
		err = t.updated(ctx, "hello-world", len(helloBranches))
	}
	if err != nil {
		return err
	}
	return t.ExpectRelease(ctx, helloEnding(version))
}

func playBranchConflicts(ctx context.Context, t *Teller) error {
	version, numbers, err := t.propose(ctx)
	if err != nil {
		return err
	}
	const branch = "f43"
	spec, err := t.Box.Packages.Bare(helloPackage).ShowFile(ctx, "refs/heads/"+branch, "hello-world.spec", maxText)
	if err != nil {
		return err
	}
	lines := strings.Split(string(spec), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Version:") {
			lines[i] = "Version:        1.2.0.1"
		}
	}
	// Nobody's commits but those of our pull requests are built by themselves.
	if _, err := t.Box.Packages.Commit(ctx, helloPackage, fakeforge.Change{
		Branch: branch, Author: "pavel", Message: "Mend it here", Files: map[string]string{"hello-world.spec": strings.Join(lines, "\n")},
	}); err != nil {
		return err
	}
	t.say("pavel changes the version on %s", branch)
	if _, err := t.Box.Packages.MergePull(ctx, helloPackage, numbers[branch], visitor); !errors.Is(err, fakeforge.ErrConflict) {
		return errors.Join(errors.New("the pull request to f43 can be merged"), err)
	}
	delete(numbers, branch)
	if err := t.merge(ctx, "hello-world", numbers); err != nil {
		return err
	}
	if err := t.updated(ctx, "hello-world", len(numbers)); err != nil {
		return err
	}
	want := helloEnding(version)
	want.Branches[branch] = models.PullStage
	delete(want.Pipelines, "passed push "+helloPackage+" "+branch)
	return t.ExpectRelease(ctx, want)
}

func playKojiFails(ctx context.Context, t *Teller) error {
	version, numbers, err := t.propose(ctx)
	if err != nil {
		return err
	}
	t.Box.FailBuild("hello-world-" + version + "-1.fc44")
	if err := t.merge(ctx, "hello-world", numbers); err != nil {
		return err
	}
	if err := t.rerunFailed(ctx, helloPackage, "pavel"); err != nil {
		return err
	}
	if err := t.updated(ctx, "hello-world", len(helloBranches)); err != nil {
		return err
	}
	want := helloEnding(version)
	want.Pipelines[helloFails] = 1 // the first attempt
	return t.ExpectRelease(ctx, want)
}

// rerunFailed waits for a pipeline that fails and has somebody rerun it.
func (t *Teller) rerunFailed(ctx context.Context, repo, login string) error {
	var failed int64
	err := t.await(ctx, "pipelines of "+repo, func() ([]string, error) {
		all, err := t.Ways.All(ctx, repo)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(p *models.Pipeline) bool { return p.State == models.Failed })
		if i < 0 {
			return []string{"none has failed"}, nil
		}
		failed = all[i].ID
		return nil, nil
	})
	if err != nil {
		return err
	}
	t.say("%s reruns pipeline %d", login, failed)
	return t.Hands.Rerun(ctx, failed, login)
}

func playKojiMessageLost(ctx context.Context, t *Teller) error {
	version, numbers, err := t.propose(ctx)
	if err != nil {
		return err
	}
	if err := t.Box.Trouble(KojiSilent, time.Hour); err != nil {
		return err
	}
	t.say("Koji says nothing of its builds")
	if err := t.merge(ctx, "hello-world", numbers); err != nil {
		return err
	}
	if err := t.updated(ctx, "hello-world", len(helloBranches)); err != nil {
		return err
	}
	return t.ExpectRelease(ctx, helloEnding(version))
}

func playUploadBreaks(ctx context.Context, t *Teller) error {
	if err := t.Box.Trouble(LookasideCuts, time.Hour); err != nil {
		return err
	}
	version, err := t.release(ctx, hello)
	if err != nil {
		return err
	}
	err = t.await(ctx, "uploads to the lookaside cache", func() ([]string, error) {
		if slices.ContainsFunc(t.Box.Lookaside.Requests(), func(r string) bool { return strings.HasPrefix(r, "POST ") }) {
			return nil, nil
		}
		return []string{"nothing was sent"}, nil
	})
	if err != nil {
		return err
	}
	t.say("the upload is interrupted, and goes well from now on")
	if err := t.Box.Trouble(LookasideCuts, -1); err != nil {
		return err
	}
	if _, err := t.proposed(ctx, "hello-world", helloBranches...); err != nil {
		return err
	}
	want := ReleaseEnding{Repo: hello, Ref: version, Others: []string{helloPackage}, Branches: map[string]models.Stage{},
		Pipelines: map[string]int{"passed release " + hello + " " + version: 1}}
	for _, branch := range helloBranches {
		want.Branches[branch] = models.PullStage
	}
	return t.ExpectRelease(ctx, want)
}

func playWithoutConfig(ctx context.Context, t *Teller) error {
	const repo, name = "rpms/almanac", "almanac"
	branches := []any{"rawhide", f44}
	err := t.Hands.Automate(ctx, repo, "pavel", map[models.JobType]models.AutomationSettings{
		models.JobPullFromUpstream: {"dist_git_branches": branches, "upstream_project_url": t.Box.URL() + "/mill/almanac"},
		models.JobKojiBuild:        {"dist_git_branches": branches},
		models.JobBodhiUpdate:      {"dist_git_branches": []any{f44}},
	})
	if err != nil {
		return err
	}
	t.say("pavel switches on what shall happen to almanac")
	version, err := t.release(ctx, "mill/almanac")
	if err != nil {
		return err
	}
	numbers, err := t.proposed(ctx, name, "rawhide", f44)
	if err == nil {
		err = t.merge(ctx, name, numbers)
	}
	if err == nil {
		err = t.updated(ctx, name, len(numbers))
	}
	if err != nil {
		return err
	}
	want := ReleaseEnding{
		Repo: repo, Ref: version, Branches: map[string]models.Stage{"rawhide": models.StableStage, f44: models.StableStage},
		Pipelines: map[string]int{"passed upstream " + repo + " " + version: 1},
	}
	want.passed(repo, 2, f44)
	want.passed(repo, 1, "rawhide")
	return t.ExpectRelease(ctx, want)
}

func playSideTag(ctx context.Context, t *Teller) error {
	for _, name := range []string{"wheel", "sluice"} { // sluice is what wheel waits for
		spec, err := t.Box.Packages.Bare("rpms/"+name).ShowFile(ctx, "refs/heads/"+f44, name+".spec", maxText)
		if err != nil {
			return err
		}
		if _, err := t.Box.Packages.Commit(ctx, "rpms/"+name, fakeforge.Change{
			Branch: f44, Author: "wren-okafor", Message: "Release 2.2", Files: map[string]string{name + ".spec": strings.ReplaceAll(string(spec), "2.1", "2.2")},
		}); err != nil {
			return err
		}
		t.say("wren-okafor pushes 2.2 of %s", name)
	}
	if err := t.updated(ctx, "wheel", 1); err != nil {
		return err
	}
	updates := t.Box.Bodhi.Updates()
	if len(updates) != 1 || !slices.Equal(updates[0].Builds, []string{"sluice-2.2-1.fc44", "wheel-2.2-1.fc44"}) {
		return errors.New("sluice and wheel are not one update")
	}
	return t.await(ctx, "pipelines of sluice and wheel", func() ([]string, error) {
		is := map[string]int{}
		for _, repo := range []string{"rpms/sluice", "rpms/wheel"} {
			all, err := t.Ways.All(ctx, repo)
			if err != nil {
				return nil, err
			}
			for _, p := range all {
				t.saw(p)
				is[string(p.State)+" "+repo]++
			}
		}
		return countDifferences(map[string]int{"passed rpms/sluice": 1, "passed rpms/wheel": 2}, is), nil
	})
}

func playRightsLost(ctx context.Context, t *Teller) error {
	version, numbers, err := t.propose(ctx)
	if err != nil {
		return err
	}
	t.Box.FailBuild("hello-world-" + version + "-1.fc44")
	if err := t.merge(ctx, "hello-world", map[string]int{f44: numbers[f44]}); err != nil {
		return err
	}
	if err := t.Box.setLevel("pavel", ""); err != nil {
		return err
	}
	t.say("pavel may not commit to hello-world any more")
	if err := t.rerunFailed(ctx, helloPackage, "pavel"); err != nil {
		return err
	}
	want := ReleaseEnding{Repo: hello, Ref: version, Others: []string{helloPackage}, Branches: map[string]models.Stage{f44: models.MergedStage},
		Pipelines: map[string]int{"passed release " + hello + " " + version: 1, helloFails: 1, strings.Replace(helloFails, "failed", "canceled", 1): 1}}
	for _, branch := range helloBranches {
		if branch != f44 {
			want.Branches[branch] = models.PullStage
		}
	}
	return t.ExpectRelease(ctx, want)
}
