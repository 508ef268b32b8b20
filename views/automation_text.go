package views

import "millrace/models"

// jobWords are what the form calls the jobs.
var jobWords = map[models.JobType]struct{ heading, word, hint string }{
	models.JobPullFromUpstream: {
		"New upstream versions", "Propose them to dist-git",
		"A pull request for each branch, with the new version, sources and changelog. Release monitoring tells of the version.",
	},
	models.JobKojiBuild: {
		"Koji builds", "Build what is merged",
		"Starts when a commit on one of the branches changes the spec file.",
	},
	models.JobBodhiUpdate: {
		"Bodhi updates", "Create an update when a build has ended",
		"Rawhide gets its updates from Bodhi itself.",
	},
}

// jobShort names a job in a sentence.
func jobShort(job models.JobType) string {
	switch job {
	case models.JobPullFromUpstream:
		return "proposing new versions"
	case models.JobKojiBuild:
		return "Koji builds"
	case models.JobBodhiUpdate:
		return "Bodhi updates"
	}
	return string(job)
}

type fieldWord struct{ label, hint string }

// fieldWords are what the form calls the keys. A key with a job before it has
// other words there.
var fieldWords = map[string]fieldWord{
	"dist_git_branches":                             {"Branches", "Aliases follow Fedora: what they stand for changes when a release is branched or ends."},
	"upstream_project_url":                          {"Upstream repository", "Its address on a forge, such as https://github.com/encode/httpx. It lets pull requests link to the release."},
	"upstream_tag_template":                         {"Tags of releases", "How upstream names the tag of a version: v{version}. Without it, {version}."},
	"upstream_tag_include":                          {"Only tags that match", "A regular expression that the tag must begin with."},
	"upstream_tag_exclude":                          {"No tags that match", "A regular expression; tags that begin with it are left out, such as .*rc.*"},
	"version_update_mask":                           {"Part of the version that must stay", "A regular expression, such as \\d+\\.\\d+\\. The part of the version that it finds must be the same on the branch, except on rawhide."},
	"version_update_specifiers":                     {"Versions to take", "Such as <3.0, !=2.7.1: what is outside is not proposed."},
	"copy_upstream_release_description":             {"Put upstream's release notes into the changelog", ""},
	"create_sync_note":                              {"Leave a README.packit in dist-git", "It says what keeps the package in step."},
	"allowed_pr_authors":                            {"Build merges of pull requests by", "Logins, @groups, or these:"},
	"allowed_committers":                            {"Build commits pushed without a pull request by", "Logins, @groups, or these. Nobody is the usual choice."},
	"allowed_builders":                              {"Make updates of builds by", "Logins, @groups, or these:"},
	"scratch":                                       {"Only scratch builds", "They leave nothing in Fedora, and no update follows."},
	"sidetag_group":                                 {"Side tag group", "Packages that name the same group are built together in a side tag, and become one update."},
	"dependencies":                                  {"Packages to wait for in the side tag", "Names of packages that must be built there first."},
	"bodhi_extra_params.autokarma":                  {"Go stable by karma", "As soon as enough people have said that it works."},
	"bodhi_extra_params.stable_karma":               {"Karma at which it goes stable", "A whole number; without it, Bodhi's own."},
	"bodhi_extra_params.unstable_karma":             {"Karma at which it is taken back", "A whole number below zero; without it, Bodhi's own."},
	"bodhi_extra_params.autotime":                   {"Go stable by time", "After the days in testing."},
	"bodhi_extra_params.stable_days":                {"Days in testing", "A whole number; without it, as long as the release asks."},
	"bodhi_extra_params.type":                       {"Kind of update", ""},
	"issue_repository":                              {"Tell of failures in issues of", "Address of a repository on a forge, such as https://github.com/you/tickets. One issue for each thing that fails, closed when it works again. Without it, nobody is told but by the pages here."},
	string(models.JobBodhiUpdate) + ".dependencies": {"Packages that belong to the update", "Names of packages that must be built in the side tag before the update is made."},
}

func wordsOf(job models.JobType, key string) fieldWord {
	if w, ok := fieldWords[string(job)+"."+key]; ok {
		return w
	}
	if w, ok := fieldWords[key]; ok {
		return w
	}
	return fieldWord{label: key}
}

// choiceWord is what an empty choice is called.
func choiceWord(value string) string {
	if value == "" {
		return "as Bodhi has it"
	}
	return value
}

func readyLook(s models.ReadinessState) look {
	switch s {
	case models.ReadyMet:
		return look{"passed", "Good"}
	case models.ReadyOpen:
		return look{"failed", "Missing"}
	case models.ReadyAdvised:
		return look{"held", "Advised"}
	}
	return look{"unknown", "Not known"}
}
