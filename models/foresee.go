package models

import "slices"

// Foresight is what a config would make of what happens to a package in
// dist-git, from a release to its updates.
type Foresight struct {
	Release *Event   // the newest that was heard of; nil: none yet, and any is meant
	Pulls   Foreseen // what the release would cause
	Builds  Foreseen // what the merge of these pull requests would cause, or of others if there are none
	Updates Foreseen // what these builds would cause, or others if there are none

	Commit   *Event   // the newest that was heard of; nil: none yet
	OfCommit Foreseen // builds that it would have caused

	Unsure []string // what could not be found out, and may change this; whole sentences
}

// Foreseen is one stage of it.
type Foreseen struct {
	Branches []string  // where something happens
	Not      []Dropped // where nothing does, though a stage before it comes there, and why
	Reason   string    // why nothing happens anywhere; empty if something does
}

// Foresee works out what a config would make of a release and of a commit, by
// the same Plan that decides when they come. It looks nothing up. facts are those
// of the package; bot is our account, who opens the pull requests. release and
// commit may be nil; of commit, made is what was found out.
func Foresee(p *Project, config *PackageConfig, facts Facts, bot string, release, commit *Event, made Downstream) *Foresight {
	f := foreseer{project: p, config: config, facts: facts, bot: bot}
	out := &Foresight{Release: release, Commit: commit}
	out.Pulls = f.release(release)
	branches := out.Pulls.Branches
	if len(branches) == 0 {
		branches = f.branches(JobKojiBuild)
	}
	out.Builds = f.each(JobKojiBuild, PushEvent, branches, Downstream{Author: bot, Actor: bot})
	branches = out.Builds.Branches
	if len(branches) == 0 {
		branches = f.branches(JobBodhiUpdate)
	}
	out.Updates = f.each(JobBodhiUpdate, KojiBuildEvent, branches, Downstream{Actor: bot})
	if commit != nil && commit.Commit != nil {
		out.OfCommit = f.plan(JobKojiBuild, commit, made)
	}
	return out
}

type foreseer struct {
	project *Project
	config  *PackageConfig
	facts   Facts
	bot     string
}

// release plans for a release; for one that nobody knows yet, filters of tags let
// everything through.
func (f *foreseer) release(e *Event) Foreseen {
	if e != nil && e.Commit != nil {
		return f.plan(JobPullFromUpstream, e, Downstream{})
	}
	unfiltered := *f.config
	unfiltered.Jobs = slices.Clone(f.config.Jobs)
	for i := range unfiltered.Jobs {
		unfiltered.Jobs[i].UpstreamTagInclude, unfiltered.Jobs[i].UpstreamTagExclude = "", ""
	}
	lenient := *f
	lenient.config = &unfiltered
	return lenient.plan(JobPullFromUpstream, &Event{Kind: UpstreamVersionEvent, Commit: &Commit{Kind: UpstreamRef}}, Downstream{})
}

// branches are those that the jobs of a type are for.
func (f *foreseer) branches(job JobType) []string {
	var all []string
	for i := range f.config.Jobs {
		view := &f.config.Jobs[i]
		if view.Type != job {
			continue
		}
		for _, branch := range view.Branches(f.facts.Releases, f.facts.Downstream.defaultOf(view)) {
			if !slices.Contains(all, branch) {
				all = append(all, branch)
			}
		}
	}
	return all
}

// each plans for the same event on several branches, one after the other.
func (f *foreseer) each(job JobType, kind EventKind, branches []string, about Downstream) Foreseen {
	var out Foreseen
	if len(branches) == 0 || !slices.ContainsFunc(f.config.Jobs, func(view JobView) bool { return view.Type == job }) {
		return f.plan(job, &Event{Kind: kind, Commit: &Commit{Kind: BranchRef}}, about)
	}
	for _, branch := range branches {
		about.Branch = branch
		if job == JobBodhiUpdate {
			about.Group = f.group(branch)
		}
		one := f.plan(job, &Event{Kind: kind, Actor: f.bot, Commit: &Commit{Kind: BranchRef, Ref: branch}}, about)
		if one.Reason == "" {
			out.Branches = append(out.Branches, branch)
			continue
		}
		out.Not, out.Reason = append(out.Not, Dropped{Target: branch, Reason: one.Reason}), one.Reason
	}
	if len(out.Branches) > 0 {
		out.Reason = ""
	}
	return out
}

// group is the sidetag_group of the builds that the config asks for on a branch.
func (f *foreseer) group(branch string) string {
	for i := range f.config.Jobs {
		view := &f.config.Jobs[i]
		if view.Type == JobKojiBuild && view.ForBranch(f.facts.Releases, f.facts.Downstream.defaultOf(view), branch) {
			return textOr(view.SidetagGroup, "")
		}
	}
	return ""
}

// plan is what jobs of a type become by an event.
func (f *foreseer) plan(job JobType, e *Event, about Downstream) Foreseen {
	facts := f.facts
	about.IsPackage, about.Defaults, about.Members = true, f.facts.Downstream.Defaults, f.facts.Downstream.Members
	facts.Downstream = about
	_, decisions := Plan(e, f.config, facts)
	var out Foreseen
	for _, d := range decisions {
		switch {
		case d.Job != job:
		case d.Planned:
			for _, branch := range d.Targets {
				if !slices.Contains(out.Branches, branch) {
					out.Branches = append(out.Branches, branch)
				}
			}
		default:
			out.Reason = firstOf(out.Reason, d.Reason)
		}
	}
	switch {
	case len(out.Branches) > 0:
		out.Reason = ""
	case out.Reason == "":
		out.Reason = "No job is switched on for it."
	}
	return out
}
