package models

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"millrace/models/rpm"
)

// Downstream is what planning must know of dist-git, Koji and Bodhi.
type Downstream struct {
	IsPackage bool              // the project of the event is a package in dist-git
	Defaults  map[string]string // default branches of packages, by DistGitPath; those that are missing have "rawhide"

	// About a commit or a build on a branch of dist-git:
	Branch  string              // as dist-git calls it
	Author  string              // who opened the pull request that was merged; empty: somebody pushed
	Actor   string              // who pushed, or owns the build
	Members map[string][]string // of what a list of people names as a whole: "@group", "all_admins", "all_committers"
	Changed []string            // files of the push; empty if they are not known
	Group   string              // sidetag_group of the side tag that the build went to; empty: none
	Tagged  string              // package whose build went there

	// About a version that was announced together with a newer one:
	Newer       string // the newest; empty: this is it
	AllVersions bool   // the package's monitoring wants all versions, not the newest alone

	// About a pull request upstream:
	MayWrite bool // who opened it may write to the repository
}

// DefaultDistGitBranch is what most packages call the branch that becomes
// Rawhide.
const DefaultDistGitBranch = "rawhide"

// DistGitPath is the namespace and name of the job's package in dist-git:
// "rpms/hello".
func (v *JobView) DistGitPath() string {
	return textOr(v.DistGitNamespace, "rpms") + "/" + v.Downstream()
}

// defaultOf is the default branch of the view's package in dist-git.
func (d *Downstream) defaultOf(view *JobView) string {
	return firstOf(d.Defaults[view.DistGitPath()], DefaultDistGitBranch)
}

// downstreamTypes are the job types that end in dist-git, Koji or Bodhi, and the
// kinds of their steps.
var downstreamTypes = map[JobType]StepKind{
	JobProposeDownstream: ProposeStep, JobPullFromUpstream: PullFromUpstreamStep, JobKojiBuild: KojiBuildStep,
	JobBodhiUpdate: BodhiUpdateStep, JobUpstreamKojiBuild: KojiScratchStep,
}

// starts reports whether an event that is this trigger starts the view. Bodhi
// updates wait for builds under either name that Packit gave that.
func (p *planner) starts(view *JobView) bool {
	if p.facts.Asked != nil && p.facts.Downstream.IsPackage { // both kinds of builds and updates can be asked for
		return p.facts.Asked.Wants(view) && view.Type.CanRun(view.Trigger)
	}
	if p.trigger == TriggerKojiBuild && view.Type == JobBodhiUpdate {
		return view.Trigger == TriggerKojiBuild || view.Trigger == TriggerCommit
	}
	return view.Trigger == p.trigger
}

// downstreamObstacle says why a view that ends in dist-git, Koji or Bodhi does
// not ask for a step, or nothing.
func (p *planner) downstreamObstacle(view *JobView) string {
	d := &p.facts.Downstream
	inPackage := view.Type != JobProposeDownstream && view.Type != JobUpstreamKojiBuild
	switch {
	case inPackage && !d.IsPackage:
		return fmt.Sprintf("Jobs of type %s belong into the package config in dist-git; this is an upstream repository.", view.Type)
	case !inPackage && d.IsPackage:
		return fmt.Sprintf("Jobs of type %s belong into the package config upstream; this is dist-git.", view.Type)
	}
	switch view.Type {
	case JobProposeDownstream:
		return tagObstacle(view, p.event.Commit.Ref)
	case JobPullFromUpstream:
		if p.event.Kind != UpstreamVersionEvent && p.event.Commit.Kind != UpstreamRef {
			return "It waits for news of release monitoring."
		}
		if d.Newer != "" && !d.AllVersions && !view.PullsAllVersions() {
			return fmt.Sprintf("The newer version %s was announced with it. Older ones are pulled too if upstream_project_url is a git repository, or monitoring.toml says all_versions.", d.Newer)
		}
		return tagObstacle(view, view.TagOf(p.event.Commit.Ref))
	case JobKojiBuild:
		return p.buildObstacle(view, d)
	case JobBodhiUpdate:
		return p.updateObstacle(view, d)
	}
	switch {
	case !view.Scratch:
		return "Non-scratch builds not possible from upstream."
	case p.event.Commit.Kind == PullRequestRef && !d.MayWrite:
		return "Only users with write or admin permissions to the repository can have it built in Koji, and who opened the pull request is none."
	}
	return ""
}

// tagObstacle says why a release is none that the view is for, or nothing.
func tagObstacle(view *JobView, tag string) string {
	for _, filter := range []struct {
		pattern string
		want    bool
		words   string
	}{
		{view.UpstreamTagInclude, true, "does not match upstream_tag_include"},
		{view.UpstreamTagExclude, false, "matches upstream_tag_exclude"},
	} {
		if filter.pattern == "" {
			continue
		}
		re, err := CompilePrefix(filter.pattern)
		if err != nil {
			return fmt.Sprintf("Its pattern %q cannot be used: %v.", filter.pattern, err)
		}
		if re.MatchString(tag) != filter.want {
			return fmt.Sprintf("The tag %s %s (%s).", tag, filter.words, filter.pattern)
		}
	}
	return ""
}

// TagOf is the tag of a version, by upstream_tag_template.
func (v *JobView) TagOf(version string) string {
	tag, err := rpm.TagFromVersion(v.UpstreamTagTemplate, version, textOr(v.UpstreamPackageName, ""))
	if err != nil {
		return version
	}
	return tag
}

// VersionOf is the version that a tag stands for, by upstream_tag_template; the
// tag itself if the template does not fit it.
func (v *JobView) VersionOf(tag string) string {
	version, err := rpm.VersionFromTag(v.UpstreamTagTemplate, tag)
	if err != nil {
		return tag
	}
	return version
}

// PullsAllVersions reports whether a job pulls each of several versions that are
// announced together: those of a git repository, whose tags its filters choose
// from.
func (v *JobView) PullsAllVersions() bool {
	return v.Type == JobPullFromUpstream && textOr(v.UpstreamProjectURL, "") != ""
}

func (p *planner) buildObstacle(view *JobView, d *Downstream) string {
	switch {
	case p.facts.Asked != nil:
		return p.branchObstacle(view, d)
	case p.event.Kind == KojiTagEvent:
		return p.sideTagObstacle(view, d)
	case view.Trigger == TriggerKojiBuild:
		return "It waits for a build in its side tag."
	case p.event.Kind != PushEvent:
		return "It waits for a commit in dist-git."
	}
	if d.Author != "" && !view.LabelsAllow(p.facts.Labels) {
		return labelObstacle(view.Require.Label, p.facts.Labels)
	}
	if reason := p.branchObstacle(view, d); reason != "" {
		return reason
	}
	if len(d.Changed) > 0 && !slices.ContainsFunc(d.Changed, func(f string) bool { return path.Ext(f) == ".spec" }) {
		return "The commit does not change the spec file."
	}
	if d.Author != "" {
		return d.personObstacle(view.AllowedPRAuthors, d.Author, "opened the pull request", "allowed_pr_authors")
	}
	return d.personObstacle(view.AllowedCommitters, d.Actor, "pushed the commit", "allowed_committers")
}

// sideTagObstacle says why a build that another package has in a side tag does not
// start a build of this one, or nothing. What a package builds itself does not
// start it again.
func (p *planner) sideTagObstacle(view *JobView, d *Downstream) string {
	if reason := d.groupObstacle(view); reason != "" {
		return reason
	}
	if d.Tagged == view.Downstream() {
		return "The build is its own."
	}
	return p.branchObstacle(view, d)
}

// groupObstacle says why the side tag of a build, or that it has none, is not what
// a view is for, or nothing.
func (d *Downstream) groupObstacle(view *JobView) string {
	switch group := view.Group(); {
	case group != d.Group && d.Group == "":
		return fmt.Sprintf("It waits for builds in a side tag of the group %s; this build is in none.", group)
	case group != d.Group:
		return fmt.Sprintf("The build is in a side tag of the group %s, which is not this job's.", d.Group)
	}
	return ""
}

func (p *planner) updateObstacle(view *JobView, d *Downstream) string {
	if p.facts.Asked != nil {
		return p.branchObstacle(view, d)
	}
	if p.event.Kind != KojiBuildEvent && p.event.Kind != KojiTagEvent {
		return "It waits for a Koji build."
	}
	if reason := d.groupObstacle(view); reason != "" {
		return reason
	}
	if reason := p.branchObstacle(view, d); reason != "" || p.event.Kind == KojiTagEvent {
		return reason
	}
	return d.personObstacle(view.AllowedBuilders, d.Actor, "made the build", "allowed_builders")
}

func (p *planner) branchObstacle(view *JobView, d *Downstream) string {
	if view.ForBranch(p.facts.Releases, d.defaultOf(view), d.Branch) {
		return ""
	}
	return fmt.Sprintf("It is for the branches %s; this is %s.", strings.Join(view.Branches(p.facts.Releases, d.defaultOf(view)), ", "), d.Branch)
}

// personObstacle says why a list of people does not let somebody start the job,
// or nothing.
func (d *Downstream) personObstacle(allowed []string, login, did, key string) string {
	for _, name := range allowed {
		if name == login || slices.Contains(d.Members[name], login) {
			return ""
		}
	}
	if len(allowed) == 0 {
		return fmt.Sprintf("%s %s, and %s is empty.", firstOf(login, "Somebody unknown"), did, key)
	}
	return fmt.Sprintf("%s %s, and is not among %s (%s).", firstOf(login, "Somebody unknown"), did, key, strings.Join(allowed, ", "))
}

// addDownstream plans a view that ends in dist-git, Koji or Bodhi.
func (b *builder) addDownstream(view *JobView, d *Decision) {
	switch view.Type {
	case JobProposeDownstream, JobPullFromUpstream:
		b.addProposal(view, d)
	case JobKojiBuild, JobBodhiUpdate:
		b.addStep(downstreamTypes[view.Type], view, []*Target{{Name: b.facts.Downstream.Branch}})
		d.Targets = []string{b.facts.Downstream.Branch}
	case JobUpstreamKojiBuild:
		b.addScratchBuild(view, d)
	}
	if len(d.Targets) > 0 && view.HasCondition() {
		d.Condition = "It begins if the action run-condition says so, which each target asks when it is its turn."
	}
}

// addProposal plans a pull request for each branch, and more for the branches
// that are to follow without a change of their own.
func (b *builder) addProposal(view *JobView, d *Decision) {
	base := b.facts.Downstream.defaultOf(view)
	branches := view.Branches(b.facts.Releases, base)
	if len(branches) == 0 {
		d.Reason = fmt.Sprintf("Its branches (%s) stand for none.", strings.Join(view.DistGitBranches.Names(), ", "))
		return
	}
	var targets, followers []*Target
	for _, branch := range branches {
		targets = append(targets, &Target{Name: branch})
	}
	targets = distinct(targets)
	for _, branch := range names(targets) {
		for _, follower := range view.FastForward(b.facts.Releases, base, branch) {
			if slices.Contains(branches, follower) {
				d.Dropped = append(d.Dropped, Dropped{Target: follower, Reason: fmt.Sprintf("It gets a pull request of its own, so it is not fast-forwarded to %s.", branch)})
				continue
			}
			followers = append(followers, &Target{Name: follower, Follows: branch})
		}
	}
	kind := downstreamTypes[view.Type]
	first := b.addStep(kind, view, targets)
	d.Targets = names(targets)
	if followers = distinct(followers); len(followers) > 0 {
		position := b.addStep(kind, view, followers)
		b.needs = append(b.needs, PlannedNeed{Step: position, Needs: first, PerTarget: true})
		d.Targets = append(d.Targets, names(followers)...)
	}
}

// addScratchBuild plans builds in Koji of what is not in dist-git.
func (b *builder) addScratchBuild(view *JobView, d *Decision) {
	var targets []*Target
	for _, name := range view.KojiTargets(b.facts.Releases) {
		targets = append(targets, &Target{Name: name})
	}
	if len(targets) == 0 {
		d.Reason = fmt.Sprintf("Its targets (%s) stand for nothing in Koji.", strings.Join(view.Targets.Names(), ", "))
		return
	}
	targets = distinct(targets)
	source := b.source(view)
	position := b.addStep(KojiScratchStep, view, targets)
	b.needs = append(b.needs, PlannedNeed{Step: position, Needs: source})
	d.Targets = names(targets)
}
