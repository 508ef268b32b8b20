package models_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
)

// downstreamFacts are those of a service that carries out everything.
func downstreamFacts(change func(*models.Downstream)) models.Facts {
	f := facts()
	f.Kinds = map[models.StepKind]bool{
		models.ProposeStep: true, models.PullFromUpstreamStep: true, models.KojiBuildStep: true,
		models.BodhiUpdateStep: true, models.KojiScratchStep: true,
	}
	if change != nil {
		f.Downstream.IsPackage = true
		change(&f.Downstream)
	}
	return f
}

func announced(version string) *models.Event {
	return eventOf(models.UpstreamVersionEvent, models.UpstreamRef, version)
}

func built(branch string) *models.Event {
	return eventOf(models.KojiBuildEvent, models.BranchRef, branch)
}

func tagged(branch string) *models.Event {
	return eventOf(models.KojiTagEvent, models.BranchRef, branch)
}

const sideTagChain = `
jobs:
- {job: koji_build, trigger: koji_build, dist_git_branches: [f43], sidetag_group: mill, dependencies: [lib]}
- {job: bodhi_update, trigger: koji_build, dist_git_branches: [f43], sidetag_group: mill, dependencies: [lib]}`

const wholeChain = `
jobs:
- {job: pull_from_upstream, trigger: release, dist_git_branches: [rawhide, fedora-stable]}
- {job: koji_build, trigger: commit, dist_git_branches: [fedora-all], allowed_committers: [ada, "@minders"]}
- {job: bodhi_update, trigger: koji_build, dist_git_branches: [fedora-branched], allowed_builders: [packit, all_committers]}`

func TestPlanDownstream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		event  *models.Event
		config string
		facts  models.Facts
		want   []string // steps
		why    []string // decisions that planned nothing
	}{
		{"a release is proposed to each branch", release("1.2"), `
jobs:
- {job: propose_downstream, trigger: release, dist_git_branches: [fedora-all, epel9]}`, downstreamFacts(nil),
			[]string{"hello propose_downstream: f42 f43 f44 rawhide epel9"}, nil},
		{"without branches it is for the default one, by its own name", release("1.2"), `
jobs:
- {job: propose_downstream, trigger: release}`, func() models.Facts {
			f := downstreamFacts(nil)
			f.Downstream.Defaults = map[string]string{"rpms/hello": "main"}
			return f
		}(), []string{"hello propose_downstream: main"}, nil},
		{"branches that follow", release("1.2"), `
jobs:
- job: propose_downstream
  trigger: release
  dist_git_branches: {rawhide: {fast_forward_merge_into: [f44, f43]}, f43: {}}`, downstreamFacts(nil),
			[]string{"hello propose_downstream: rawhide f43", "hello propose_downstream~2: f44(rawhide) <- propose_downstream each"}, nil},
		{"a tag that is not meant", release("1.2-rc1"), `
jobs:
- {job: propose_downstream, trigger: release, upstream_tag_exclude: '.*rc'}`, downstreamFacts(nil),
			nil, []string{"The tag 1.2-rc1 matches upstream_tag_exclude (.*rc)."}},
		{"a tag that does not match", release("v1"), `
jobs:
- {job: propose_downstream, trigger: release, upstream_tag_include: '\d'}`, downstreamFacts(nil),
			nil, []string{`The tag v1 does not match upstream_tag_include (\d).`}},
		{"news of release monitoring", announced("2.0"), wholeChain, downstreamFacts(func(*models.Downstream) {}),
			[]string{"hello pull_from_upstream: rawhide f42 f43"},
			[]string{"It waits for a push; this is a release.", "It waits for a Koji build; this is a release."}},
		{"a filter looks at the tag that the version would have", announced("2.0"), `
jobs:
- {job: pull_from_upstream, trigger: release, upstream_tag_template: 'v{version}', upstream_tag_include: 'v3'}`,
			downstreamFacts(func(*models.Downstream) {}), nil, []string{"The tag v2.0 does not match upstream_tag_include (v3)."}},
		{"an older version where upstream is no git repository", announced("1.9"), `
jobs:
- {job: pull_from_upstream, trigger: release}`, downstreamFacts(func(d *models.Downstream) { d.Newer = "2.0" }), nil,
			[]string{"The newer version 2.0 was announced with it. Older ones are pulled too if upstream_project_url is a git repository, or monitoring.toml says all_versions."}},
		{"an older version where all are wanted", announced("1.9"), `
jobs:
- {job: pull_from_upstream, trigger: release}`, downstreamFacts(func(d *models.Downstream) { d.Newer, d.AllVersions = "2.0", true }),
			[]string{"hello pull_from_upstream: rawhide"}, nil},
		{"an older version of a git repository, and the filter", announced("1.9"), `
upstream_project_url: https://mill.example/hello/hello
jobs:
- {job: pull_from_upstream, trigger: release, dist_git_branches: [f43]}
- {job: pull_from_upstream, trigger: release, upstream_tag_include: '2'}`, downstreamFacts(func(d *models.Downstream) { d.Newer = "2.0" }),
			[]string{"hello pull_from_upstream: f43"}, []string{"The tag 1.9 does not match upstream_tag_include (2)."}},
		{"a release upstream is no news of release monitoring", release("2.0"), `
jobs:
- {job: pull_from_upstream, trigger: release}`, downstreamFacts(nil), nil,
			[]string{"Jobs of type pull_from_upstream belong into the package config in dist-git; this is an upstream repository."}},
		{"dist-git proposes nothing to itself", announced("2.0"), `
jobs:
- {job: propose_downstream, trigger: release}
- {job: copr_build, trigger: release}`, downstreamFacts(func(*models.Downstream) {}), nil, []string{
			"Jobs of type propose_downstream belong into the package config upstream; this is dist-git.",
			"Jobs of type copr_build belong into the package config upstream; this is dist-git.",
		}},
		{"a push by somebody of the list", push("f43"), wholeChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor, d.Changed = "f43", "ada", []string{"hello.spec", "sources"}
		}), []string{"hello koji_build: f43"}, nil},
		{"a push by somebody of a group of the list", push("rawhide"), wholeChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor, d.Members = "rawhide", "eve", map[string][]string{"@minders": {"eve"}}
		}), []string{"hello koji_build: rawhide"}, nil},
		{"a push by a stranger", push("f43"), wholeChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor = "f43", "mallory"
		}), nil, []string{"mallory pushed the commit, and is not among allowed_committers (ada, @minders)."}},
		{"the merge of a stranger's pull request", push("f43"), wholeChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor, d.Author = "f43", "ada", "mallory"
		}), nil, []string{"mallory opened the pull request, and is not among allowed_pr_authors (packit)."}},
		{"a branch that is not meant", push("epel9"), wholeChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor = "epel9", "ada"
		}), nil, []string{"It is for the branches f42, f43, f44, rawhide; this is epel9."}},
		{"a commit that leaves the spec file", push("f43"), wholeChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor, d.Changed = "f43", "ada", []string{"tests/plan.fmf"}
		}), nil, []string{"The commit does not change the spec file."}},
		{"a build", built("f43"), wholeChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor = "f43", "packit"
		}), []string{"hello bodhi_update: f43"}, nil},
		{"a build of somebody who may not", built("f43"), wholeChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor = "f43", "eve"
		}), nil, []string{"eve made the build, and is not among allowed_builders (packit, all_committers)."}},
		{"updates under the older trigger", built("f43"), `
jobs:
- {job: bodhi_update, trigger: commit, dist_git_branches: [f43]}`, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor = "f43", "packit"
		}), []string{"hello bodhi_update: f43"}, nil},
		{"a side tag of another group", built("f43"), `
jobs:
- {job: bodhi_update, trigger: koji_build, sidetag_group: one}
- {job: bodhi_update, trigger: koji_build, sidetag_group: two, dist_git_branches: [f43]}`, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor, d.Group = "f43", "packit", "two"
		}), []string{"hello bodhi_update: f43"}, []string{"The build is in a side tag of the group two, which is not this job's."}},
		{"scratch builds of a pull request", pullRequest(), `
jobs:
- {job: upstream_koji_build, trigger: pull_request, scratch: true, targets: [fedora-all]}
- {job: upstream_koji_build, trigger: pull_request}`, func() models.Facts {
			f := downstreamFacts(nil)
			f.Downstream.MayWrite = true
			return f
		}(),
			[]string{"hello srpm: source", "hello upstream_koji_build: f42 f43 f44 rawhide <- srpm"},
			[]string{"Non-scratch builds not possible from upstream."}},
		{"scratch builds of a stranger's pull request", pullRequest(), `
jobs:
- {job: upstream_koji_build, trigger: pull_request, scratch: true, targets: [fedora-all]}`, downstreamFacts(nil), nil,
			[]string{"Only users with write or admin permissions to the repository can have it built in Koji, and who opened the pull request is none."}},
		{"a build in a side tag starts what waits for it", tagged("f43"), sideTagChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Group, d.Tagged = "f43", "mill", "lib"
		}), []string{"hello koji_build: f43", "hello bodhi_update: f43"}, nil},
		{"its own build does not start it again", tagged("f43"), sideTagChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Group, d.Tagged = "f43", "mill", "hello"
		}), []string{"hello bodhi_update: f43"}, []string{"The build is its own."}},
		{"a build in another side tag", tagged("f43"), sideTagChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Group, d.Tagged = "f43", "wheel", "lib"
		}), nil, []string{
			"The build is in a side tag of the group wheel, which is not this job's.", "The build is in a side tag of the group wheel, which is not this job's.",
		}},
		{"a build in a side tag of another branch", tagged("f42"), sideTagChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Group, d.Tagged = "f42", "mill", "lib"
		}), nil, []string{"It is for the branches f43; this is f42.", "It is for the branches f43; this is f42."}},
		{"a build in no side tag starts nothing there", built("f43"), sideTagChain, downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor = "f43", "packit"
		}), nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			planned, decisions := models.Plan(test.event, parse(t, test.config), test.facts)
			if diff := cmp.Diff(test.want, outline(planned)); diff != "" {
				t.Error(diff)
			}
			var why []string
			for _, d := range decisions {
				if waits := d.Reason == "" || d.Reason[:8] == "It waits"; !d.Planned && (!waits || test.event.Kind == models.UpstreamVersionEvent) {
					why = append(why, d.Reason)
				}
			}
			if diff := cmp.Diff(test.why, why); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPlansSayWhatIsAskedFirst: a job whose package has run-condition is planned,
// and its decision says what it waits for.
func TestPlansSayWhatIsAskedFirst(t *testing.T) {
	t.Parallel()
	push := func(config string) []models.Decision {
		_, decisions := models.Plan(push("f43"), parse(t, "jobs:\n- {job: koji_build, trigger: commit, dist_git_branches: [f43], allowed_committers: [ada]"+config), downstreamFacts(func(d *models.Downstream) {
			d.Branch, d.Actor = "f43", "ada"
		}))
		return decisions
	}
	tests := []struct {
		config string
		asks   bool
	}{
		{"}", false},
		{", actions: {run-condition: 'true'}}", true},
		{"}\nactions: {run-condition: [[test, -f, x]]}", true},
		{", actions: {run-condition: []}}\nactions: {run-condition: 'true'}", false}, // nothing is asked
		{", actions: {pre-sync: 'true'}}", false},
	}
	for _, test := range tests {
		d := push(test.config)
		if len(d) != 1 || !d[0].Planned || d[0].Reason != "" || (d[0].Condition != "") != test.asks {
			t.Errorf("%s: %+v", test.config, d)
		}
	}
	_, decisions := models.Plan(release("1.2"), parse(t, "jobs:\n- {job: propose_downstream, trigger: release}\nactions: {run-condition: 'true'}"), downstreamFacts(nil))
	if len(decisions) != 1 || decisions[0].Condition != "" {
		t.Errorf("a job that asks nobody: %+v", decisions)
	}
}
