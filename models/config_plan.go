package models

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// BranchMatches reports whether the job is for a branch: of a push the pushed
// one, of a pull request its target. defaultBranch is the repository's, which
// a job for pushes is for if it names none. As with Packit, the regex, and the
// default too, need to match only the beginning of the name.
//
// An error means that the regex is none we can use.
func (v *JobView) BranchMatches(branch, defaultBranch string) (bool, error) {
	switch v.Trigger {
	case TriggerCommit:
		if v.Branch == nil {
			return defaultBranch != "" && strings.HasPrefix(branch, defaultBranch), nil
		}
	case TriggerPullRequest:
		if v.Branch == nil {
			return true, nil
		}
	default:
		return true, nil
	}
	pattern, err := CompilePrefix(*v.Branch)
	if err != nil {
		return false, fmt.Errorf("reading the branch pattern %q: %w", *v.Branch, err)
	}
	return pattern.MatchString(branch), nil
}

// CompilePrefix compiles a regex of a config, which must match at the beginning
// of a text but need not reach its end. Look-around and back-references, which
// Python has, are errors.
func CompilePrefix(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > 1000 {
		return nil, fmt.Errorf("longer than 1000 characters")
	}
	if _, err := regexp.Compile(pattern); err != nil { // "a)(b" would be legal in the brackets
		return nil, err
	}
	return regexp.Compile("^(?:" + pattern + ")")
}

// LabelsAllow reports whether a pull request with these labels has what the job
// requires.
func (v *JobView) LabelsAllow(labels []string) bool {
	has := func(label string) bool { return slices.Contains(labels, label) }
	want := v.Require.Label
	if slices.ContainsFunc(want.Absent, has) {
		return false
	}
	return len(want.Present) == 0 || slices.ContainsFunc(want.Present, has)
}

// RunsOn reports whether the job is meant for a deployment of this name ("dev",
// "stg", "prod").
func (v *JobView) RunsOn(deployment string) bool {
	return slices.Contains(v.PackitInstances, deployment)
}

// Chroots are the chroots of the job's targets; of DefaultTargets if it has
// none. A custom Copr project without targets means the project's own chroots,
// and tests without targets mean those of their build: look at v.Targets first.
func (v *JobView) Chroots(r Releases) []string {
	if len(v.Targets) == 0 {
		return r.Chroots(DefaultTargets)
	}
	return r.Chroots(v.Targets.Names()...)
}

// ChrootSettings are what the targets say about each of their chroots. Where two
// of them say different things of one, the later one is right.
func (v *JobView) ChrootSettings(r Releases) map[string]TargetSettings {
	settings := map[string]TargetSettings{}
	for _, t := range v.Targets {
		for _, chroot := range r.Chroots(t.Name) {
			merged := settings[chroot]
			merged.Name = chroot
			for _, key := range []string{"distros", "additional_packages", "additional_repos", "with_opts", "without_opts"} {
				if list := *t.List(key); list != nil {
					*merged.List(key) = list
				}
			}
			if t.AdditionalModules != nil {
				merged.AdditionalModules = t.AdditionalModules
			}
			settings[chroot] = merged
		}
	}
	return settings
}

// TestTarget is something to run tests on, and the chroot whose packages are
// tested there.
type TestTarget struct {
	Chroot string // such as "epel-9-x86_64"
	Name   string // such as "centos-stream-9-x86_64"
}

var (
	publicTestDistros = map[string]string{
		"epel-6": "centos-6", "epel-7": "centos-7",
		"epel-8": "centos-stream-8", "epel-9": "centos-stream-9", "epel-10": "centos-stream-10",
	}
	internalTestDistros = map[string]string{
		"epel-6": "rhel-6", "epel-7": "rhel-7", "epel-8": "rhel-8",
		"epel-9": "centos-stream-9", "epel-10": "centos-stream-10",
	}
)

// TestTargets are what the tests run on, chroot by chroot. chroots are those of
// the build; nil means those of the job's own targets.
func (v *JobView) TestTargets(r Releases, chroots []string) []TestTarget {
	if chroots == nil {
		chroots = v.Chroots(r)
	}
	settings := v.ChrootSettings(r)
	var targets []TestTarget
	for _, chroot := range chroots {
		for _, name := range v.testDistros(settings[chroot].Distros, chroot) {
			if t := (TestTarget{chroot, name}); !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	return targets
}

// testDistros are what a chroot is tested on; set is what its target says.
func (v *JobView) testDistros(set []string, chroot string) []string {
	distro, arch := SplitArchitecture(chroot)
	if len(set) > 0 {
		names := make([]string, len(set))
		for i, d := range set {
			d, a := SplitArchitecture(d)
			if a == "" {
				a = arch
			}
			names[i] = joinArchitecture(d, a)
		}
		return names
	}
	known := publicTestDistros
	if v.UseInternalTF {
		known = internalTestDistros
	}
	if other, ok := known[distro]; ok {
		return []string{joinArchitecture(other, arch)}
	}
	return []string{chroot}
}

// KojiTargets are the Koji targets of the job's targets.
func (v *JobView) KojiTargets(r Releases) []string {
	if len(v.Targets) == 0 {
		return r.KojiTargets(DefaultTargets)
	}
	return r.KojiTargets(v.Targets.Names()...)
}

// Branches are the dist-git branches of the job. defaultBranch is that of the
// dist-git repository; it stands for Rawhide. Without branches in the config a
// job that proposes a release is for the default branch, koji_build is too, and
// bodhi_update is for DefaultTargets.
func (v *JobView) Branches(r Releases, defaultBranch string) []string {
	if names := v.DistGitBranches.Names(); len(names) > 0 {
		return r.Branches(defaultBranch, names...)
	}
	if v.Type == JobBodhiUpdate {
		return r.Branches(defaultBranch, DefaultTargets)
	}
	return []string{defaultBranch}
}

// ForBranch reports whether the job is for an event on a dist-git branch.
// "rawhide" and the default branch are the same.
func (v *JobView) ForBranch(r Releases, defaultBranch, branch string) bool {
	branches := v.Branches(r, defaultBranch)
	if branch == "rawhide" && slices.Contains(branches, defaultBranch) {
		return true
	}
	return slices.Contains(branches, branch)
}

// FastForward are the branches that follow when the job has changed branch.
func (v *JobView) FastForward(r Releases, defaultBranch, branch string) []string {
	return r.FastForward(defaultBranch, branch, v.DistGitBranches.List)
}

// srpmKeys are the settings that change what is in a source package. Names in
// dist-git and paths count because actions see them.
var srpmKeys = []string{
	"specfile_path", "downstream_package_name", "upstream_package_name", "upstream_project_url", "paths",
	"upstream_ref", "upstream_tag_template", "upstream_tag_include", "upstream_tag_exclude", "archive_root_dir_template",
	"spec_source_id", "actions", "patch_generation_ignore_paths", "patch_generation_patch_id_digits", "sources",
	"merge_pr_in_ci", "srpm_build_deps", "release_suffix", "version_suffix", "update_release", "preserve_spec",
	"prerelease_suffix_pattern", "prerelease_suffix_macro", "parse_time_macros", "files_to_sync",
}

// SRPMHash is the same for views that make the same source package of the same
// commit: 64 hexadecimal digits that depend on nothing else, so that they may
// be stored.
func (v *JobView) SRPMHash() string {
	changed := v.PackageSettings.Changed()
	relevant := map[string]any{"package": v.Package}
	for _, key := range srpmKeys {
		if value, ok := changed[key]; ok {
			relevant[key] = value
		}
	}
	// What a config holds came from JSON's types, so this cannot fail; map
	// keys are sorted.
	text, _ := json.Marshal(relevant)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
