package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/testingfarm"
	"millrace/models"
)

// composesFresh is for how long a ranch's list of composes is believed.
const composesFresh = 10 * time.Minute

// submission is what Testing Farm is asked for.
func (k *Tests) submission(ctx context.Context, w *Work, run *models.Run) (testingfarm.Submission, error) {
	s := testingfarm.Submission{Key: w.Group.Key, Webhook: k.Webhook, Extra: w.View.TFExtraParams}
	environment, err := k.environment(ctx, w, run)
	if err != nil {
		return s, err
	}
	build, err := buildOf(w, run)
	if err != nil {
		return s, err
	}
	head, err := k.targetHead(ctx, w)
	if err != nil {
		return s, err
	}
	has, err := k.hasMetadata(ctx, w)
	switch {
	case err != nil:
		return s, err
	case has:
		s.Test, err = k.test(w, head)
		environment.Variables = k.variables(w, build, head)
	case build == nil:
		return s, &skipped{"No FMF metadata found. Please, initialize the metadata tree with `fmf init`."}
	default:
		s.Test = k.Install
		environment.Variables = map[string]any{"REPOSITORY": coprName(build.Run)}
	}
	if has && build != nil {
		environment.Artifacts = []testingfarm.Artifact{artifactOf(build.Run)}
	}
	if has && len(w.Step.Others) > 0 {
		others, err := othersFor(w.Step, w.Target(run))
		if err != nil {
			return s, err
		}
		for _, other := range others {
			environment.Artifacts = append(environment.Artifacts, testingfarm.Artifact{
				ID: other.BuildID + ":" + other.Chroot, Type: testingfarm.CoprBuild, Packages: other.Packages,
			})
		}
		addOthers(environment.Variables, others)
	}
	s.Environments = []testingfarm.Environment{environment}
	return s, err
}

// client speaks for the ranch that a job uses. Once a request is made there it
// is asked there, also if the operator has changed their mind.
func (k *Tests) client(w *Work) *testingfarm.Client {
	if w.View.UseInternalTF && k.Inside != nil {
		return k.Inside
	}
	return k.Client
}

// ranch is the part of Testing Farm that the job runs in. The internal one is
// for projects that the operator trusts, and there for people whom the project
// does.
func (k *Tests) ranch(ctx context.Context, w *Work) (string, error) {
	p := w.Pipeline
	if !w.View.UseInternalTF {
		return k.Ranch, nil
	}
	if k.Inside == nil || !k.Internal[p.Project.Path()] {
		return "", &skipped{"Internal TF not allowed for this project. Let us know."}
	}
	forge, err := k.Forge(p.Project)
	if err != nil {
		return "", err
	}
	login, err := k.login(ctx, p)
	if err != nil {
		return "", err
	}
	can, err := forge.CanMerge(ctx, p.Project, login)
	if err != nil {
		return "", fmt.Errorf("asking what %s may do in %s: %w", login, p.Project.Path(), err)
	}
	if !can {
		return "", &skipped{p.Actor + " can't run tests (and builds) internally: it takes the right to merge pull requests of the project."}
	}
	return testingfarm.Internal, nil
}

// login is who asked for a pipeline, by their name at the forge. People who asked
// on our pages go by another name here.
func (k *Tests) login(ctx context.Context, p *models.Pipeline) (string, error) {
	if p.RequesterID == 0 {
		return p.Actor, nil
	}
	login := ""
	if k.Login != nil {
		var err error
		if login, err = k.Login(ctx, p); err != nil {
			return "", fmt.Errorf("asking who %s is at %s: %w", p.Actor, p.Project.Forge, err)
		}
	}
	if login == "" {
		return "", &skipped{fmt.Sprintf("%s can't run tests (and builds) internally: no account at %s is known to be theirs. Ask with a comment there.", p.Actor, p.Project.Forge)}
	}
	return login, nil
}

// environment is the machine that the tests of a run want.
func (k *Tests) environment(ctx context.Context, w *Work, run *models.Run) (testingfarm.Environment, error) {
	var none testingfarm.Environment
	ranch, err := k.ranch(ctx, w)
	if err != nil {
		return none, err
	}
	distro, arch := testingfarm.SplitTarget(run.Target)
	if !testingfarm.HasArchitecture(ranch, arch) {
		return none, fail("%s", testingfarm.NoArchitecture(arch, ranch))
	}
	available, err := k.composes(ctx, ranch)
	if err != nil {
		return none, err
	}
	compose, ok := testingfarm.Compose(distro, ranch, available)
	if !ok {
		return none, k.noCompose(ctx, w, run, compose, ranch)
	}
	e := testingfarm.Environment{
		Arch: arch, Compose: compose,
		Context: map[string]string{
			"distro": distro, "arch": arch, "trigger": "commit", "initiator": "packit", "deployment": k.Deployment,
		},
	}
	if w.View.TFPostInstallScript != nil {
		e.PostInstallScript = *w.View.TFPostInstallScript
	}
	return e, nil
}

// noCompose explains a missing compose. It is for the user to mend if the job
// names the distribution itself; an alias may be ahead of Testing Farm.
func (k *Tests) noCompose(ctx context.Context, w *Work, run *models.Run, compose, ranch string) error {
	distro, _ := testingfarm.SplitTarget(run.Target)
	if w.View.SkipMissingBranchedComposes && distro != "fedora-rawhide" {
		releases, err := k.Releases(ctx)
		if err != nil {
			return err
		}
		branched := releases.Chroots("fedora-development")
		if slices.ContainsFunc(branched, func(c string) bool { return strings.HasPrefix(c, distro+"-") }) {
			return &skipped{"Compose not yet available for " + distro + ". Skipping."}
		}
	}
	reason := testingfarm.NoCompose(compose, ranch)
	if byName, err := namedTarget(w, run); err != nil {
		return err
	} else if byName {
		return fail("%s", reason)
	}
	return broken(nil, "%s", reason)
}

// namedTarget reports whether the job names what a run tests on, or the job of
// the build does if it has no targets of its own.
func namedTarget(w *Work, run *models.Run) (bool, error) {
	target, view := w.Target(run), w.View
	if target == nil {
		return false, nil
	}
	if build, err := buildOf(w, run); err == nil && build != nil && len(view.Targets) == 0 {
		if view, err = w.Pipeline.Step(build.StepID).View(); err != nil {
			return false, err
		}
	}
	return named(view, run.Target) || named(view, target.FollowedTarget()), nil
}

// composes are those of a ranch.
func (k *Tests) composes(ctx context.Context, ranch string) ([]string, error) {
	list, client := &k.public, k.Client
	if ranch == testingfarm.Internal {
		list = &k.internal
	}
	if ranch != k.Ranch && k.Inside != nil {
		client = k.Inside
	}
	return list.read(composesFresh, func() ([]string, error) { return client.Composes(ctx, ranch) })
}

// buildOf is the target whose packages a run tests, nil if it tests none.
func buildOf(w *Work, run *models.Run) (*models.Target, error) {
	target := w.Target(run)
	if target == nil || len(w.Step.Needs) == 0 {
		return nil, nil
	}
	for _, needed := range w.Needed(target) {
		if needed.Run.Kind == models.CoprBuildStep {
			return needed, nil
		}
	}
	return nil, broken(nil, "The build that these tests follow is not part of the pipeline.")
}

// othersFor are the builds of other pull requests that the tests of a target
// install: one of each.
func othersFor(step *models.Step, target *models.Target) ([]models.OtherBuild, error) {
	var found []models.OtherBuild
	have := map[string]bool{}
	for _, other := range step.Others {
		if other.Chroot == target.FollowedTarget() && !have[other.Of] {
			have[other.Of] = true
			found = append(found, other)
		}
	}
	for _, other := range step.Others {
		if !have[other.Of] {
			return nil, fail("%s, which these tests are to install too, has no successful build for %s.", other.Of, target.FollowedTarget())
		}
	}
	return found, nil
}

// addOthers adds builds of other pull requests to the variables about the build.
func addOthers(variables map[string]any, others []models.OtherBuild) {
	add := func(name, value string) {
		if now, ok := variables[name].(string); ok && now != "" {
			value = now + " " + value
		}
		variables[name] = value
	}
	for _, other := range others {
		add("PACKIT_COPR_PROJECT", other.Project)
		if len(other.Packages) > 0 {
			add("PACKIT_COPR_RPMS", strings.Join(other.Packages, " "))
		}
	}
}

func coprName(build *models.Run) string { return build.Data.CoprOwner + "/" + build.Data.CoprProject }

// artifactOf is what a build made, as Testing Farm installs it. Without a list
// of packages it installs all of them.
func artifactOf(build *models.Run) testingfarm.Artifact {
	return testingfarm.Artifact{ID: build.ExternalID + ":" + build.Target, Type: testingfarm.CoprBuild, Packages: build.Data.Packages}
}

// targetHead is the head of the branch that a pull request wants to go to, empty
// for anything else and if the branch is gone.
func (k *Tests) targetHead(ctx context.Context, w *Work) (string, error) {
	p := w.Pipeline
	if p.Kind != models.PullRequestRef || p.Commit.TargetRef == "" {
		return "", nil
	}
	forge, err := k.Forge(p.Project)
	if err != nil {
		return "", err
	}
	head, err := forge.BranchHead(ctx, p.Project, p.Commit.TargetRef)
	if httpx.Status(err) == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the head of %s: %w", p.Commit.TargetRef, err)
	}
	return head, nil
}

// variables are what Packit's users expect in the environment of their tests,
// with their own on top.
func (k *Tests) variables(w *Work, build *models.Target, targetHead string) map[string]any {
	p := w.Pipeline
	v := map[string]any{}
	set := func(name, value string) {
		if value != "" {
			v[name] = value
		}
	}
	set("PACKIT_FULL_REPO_NAME", p.Project.FullName())
	set("PACKIT_UPSTREAM_NAME", w.View.Upstream())
	set("PACKIT_UPSTREAM_URL", valueOr(w.View.UpstreamProjectURL, p.Project.URL))
	set("PACKIT_DOWNSTREAM_NAME", w.View.Downstream())
	if w.View.DistGitNamespace != nil {
		set("PACKIT_DOWNSTREAM_URL", strings.TrimSuffix(w.View.DistGitBaseURL, "/")+"/"+*w.View.DistGitNamespace+"/"+w.View.Downstream())
	}
	set("PACKIT_PACKAGE_NAME", w.View.Downstream())
	set("PACKIT_COMMIT_SHA", p.SHA)
	set("PACKIT_SOURCE_SHA", p.SHA)
	set("PACKIT_TARGET_URL", p.Project.URL)
	switch p.Kind {
	case models.PullRequestRef:
		set("PACKIT_PR_ID", p.Ref)
		set("PACKIT_SOURCE_URL", p.Commit.SourceURL)
		set("PACKIT_TARGET_BRANCH", p.Commit.TargetRef)
		set("PACKIT_TARGET_SHA", targetHead)
		if p.Event != nil && p.Event.Message != nil {
			set("PACKIT_SOURCE_BRANCH", p.Event.Message.Branch)
		}
	case models.ReleaseRef:
		set("PACKIT_TAG_NAME", p.Ref)
	}
	if build != nil {
		k.aboutBuild(w, build, v, set)
	}
	for name, value := range w.View.Env {
		if value == nil {
			delete(v, name)
			continue
		}
		v[name] = plain(value)
	}
	return v
}

// aboutBuild adds the variables about the build that is tested and its source
// package.
func (k *Tests) aboutBuild(w *Work, build *models.Target, v map[string]any, set func(name, value string)) {
	set("PACKIT_COPR_PROJECT", coprName(build.Run))
	if id, err := buildID(build.Run.ExternalID); err == nil && id != 0 {
		v["PACKIT_COPR_BUILD_ID"] = id
	}
	set("PACKIT_COPR_RPMS", strings.Join(build.Run.Data.Packages, " "))
	set("PACKIT_BUILD_LOG_URL", build.Run.LogURL)
	step := w.Pipeline.Step(build.StepID)
	if step == nil {
		return
	}
	for _, need := range step.Needs {
		if source := w.Pipeline.Step(need.NeedsID); source != nil && source.Kind == models.SRPMStep {
			set("PACKIT_SRPM_URL", source.Targets[0].Run.Data.SRPMURL)
			set("PACKIT_PACKAGE_NVR", source.Targets[0].Run.Data.NVR)
		}
	}
}

// plain is a value of a config as a variable can carry it.
func plain(value any) any {
	switch value.(type) {
	case string, bool, int, int64, float64, json.Number:
		return value
	}
	return fmt.Sprint(value)
}

// hasMetadata reports whether there are tests to run: whether the commit has
// metadata where the job says, or the job names another repository.
func (k *Tests) hasMetadata(ctx context.Context, w *Work) (bool, error) {
	if w.View.FmfURL != nil {
		return true, nil
	}
	p := w.Pipeline
	forge, err := k.Forge(p.Project)
	if err != nil {
		return false, err
	}
	tree := path.Join(testingfarm.TestPath(valueOr(w.View.FmfPath, "")), ".fmf/version")
	if !fs.ValidPath(tree) {
		return false, fail("fmf_path %q leads out of the repository.", *w.View.FmfPath)
	}
	_, err = forge.File(ctx, p.Project, p.SHA, tree, 1<<10)
	switch {
	case err == nil || errors.Is(err, httpx.ErrTooLarge):
		return true, nil
	case httpx.Status(err) == http.StatusNotFound:
		return false, nil
	}
	return false, fmt.Errorf("looking for test metadata: %w", err)
}

// test says where the tests are. targetHead is what a pull request is merged
// with for them.
func (k *Tests) test(w *Work, targetHead string) (testingfarm.Test, error) {
	p := w.Pipeline
	t := testingfarm.Test{Path: testingfarm.TestPath(valueOr(w.View.FmfPath, "")), Name: valueOr(w.View.TmtPlan, "")}
	if w.View.FmfURL != nil {
		t.URL, t.Ref = *w.View.FmfURL, valueOr(w.View.FmfRef, "")
		return t, nil
	}
	t.URL, t.Ref = p.Project.URL, p.SHA
	if p.Commit.SourceURL != "" && !w.View.UseTargetRepoForFmfURL {
		t.URL = p.Commit.SourceURL
	}
	if p.Kind == models.PullRequestRef && w.View.MergePRInCI {
		if targetHead == "" {
			return t, fail("The branch %s, which the pull request wants to go to, is gone.", p.Commit.TargetRef)
		}
		t.MergeSHA = targetHead
	}
	return t, nil
}
