package packageconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"millrace/models"
)

// lint warns of what is legal and surely not meant. The config is sound.
func (l *loader) lint(config *models.PackageConfig) {
	l.lintFiles()
	for i, p := range config.Packages {
		l.lintSettings(source{l.packages[i].at, l.packages[i].mapping}, &p.Settings)
	}
	for i := range config.Jobs {
		v, from := &config.Jobs[i], l.views[i]
		if v.FileIndex < 0 {
			continue
		}
		l.lintJob(from, v)
		l.lintSettings(from, &v.PackageSettings)
	}
	l.lintTestsWithoutBuild(config)
	l.lintTwins(config)
}

func (l *loader) lintFiles() {
	var found []string
	for _, name := range Names {
		if slices.Contains(l.opts.RepoFiles, name) {
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		l.problems.warn(place{line: 1}, "The repository has several config files: "+strings.Join(found, ", ")+".",
			"Only "+found[0]+" is read; remove the others.")
	}
}

func (l *loader) lintJob(from source, v *models.JobView) {
	if v.Trigger != models.TriggerIgnore && !v.Type.CanRun(v.Trigger) {
		useful := make([]string, 0, 3)
		for _, t := range v.Type.UsefulTriggers() {
			useful = append(useful, "`"+string(t)+"`")
		}
		where := at(from.job)
		if t := from.job.get("trigger"); t != nil {
			where = at(t)
		}
		l.problems.warn(where, fmt.Sprintf("%s only reacts to %s: this job never runs.", v.Type, strings.Join(useful, ", ")), "")
	}
	switch {
	case v.Type == models.JobUpstreamKojiBuild && !v.Scratch:
		l.problems.warn(at(from.job), "upstream_koji_build makes nothing but scratch builds.", "Set `scratch: true`.")
	case v.Type == models.JobKojiBuildTag:
		l.problems.warn(at(from.job), "koji_build_tag is not meant for config files; it never runs.", "Remove the job.")
	}
	if v.Branch != nil && v.Trigger == models.TriggerRelease {
		l.problems.warn(from.place("branch"), "`branch` has no effect on jobs for releases.", "")
	}
}

var (
	fedoraName = regexp.MustCompile(`^fedora-(?:all|stable|development|latest|latest-stable|branched|rawhide|eln|[0-9]+)$`)
	epelName   = regexp.MustCompile(`^epel-(?:all|[0-9]+(?:\.[0-9]+)?|[0-9]+-(?:all|branched))$`)
	aliasNames = []string{
		"fedora-all", "fedora-stable", "fedora-development", "fedora-latest", "fedora-latest-stable",
		"fedora-branched", "fedora-rawhide", "fedora-eln", "epel-all",
	}
	sourceName = regexp.MustCompile(`^(?i:source)[0-9]*$`)
)

// lintSettings looks at what packages and jobs share.
func (l *loader) lintSettings(from source, s *models.PackageSettings) {
	for _, t := range s.Targets {
		l.lintName(from.place("targets"), t.Name)
		name, arch := models.SplitArchitecture(t.Name)
		if name == "centos-stream" && arch != "" {
			l.problems.warn(from.place("targets"), fmt.Sprintf("Target '%s' is deprecated.", t.Name),
				fmt.Sprintf("Please update your configuration file and use 'centos-stream-8-%s' instead.", arch))
		}
	}
	for _, b := range s.DistGitBranches.List {
		l.lintName(from.place("dist_git_branches"), b.Name)
		for _, name := range b.FastForwardMergeInto {
			l.lintName(from.place("dist_git_branches"), name)
		}
	}
	l.lintPatterns(from, s)
	l.lintUnused(from, s)
	if !strings.Contains(s.UpstreamTagTemplate, "{version}") {
		l.problems.warn(from.place("upstream_tag_template"), "The template has no `{version}`: no tag can be made or read with it.", "")
	}
	if !sourceName.MatchString(s.SpecSourceID) {
		l.problems.warn(from.place("spec_source_id"), "This names no Source of a specfile.", "Write the number of one, or its name such as Source1.")
	}
	if s.PkgTool != nil && *s.PkgTool == "centpkg-sig" && s.Sig == nil {
		l.problems.warn(from.place("pkg_tool"), "centpkg-sig needs to know the SIG.", "Set `sig`.")
	}
	for name, action := range s.Actions {
		if _, err := action.Commands(); err != nil {
			l.problems.warn(from.place("actions").child(name), "This action cannot run: "+err.Error()+".", "")
		}
	}
	if len(s.PackitInstances) == 0 {
		l.problems.warn(from.place("packit_instances"), "An empty list means that no deployment reacts.", "")
	}
}

func (l *loader) lintName(where place, name string) {
	base, _ := models.SplitArchitecture(name)
	if strings.HasPrefix(base, "fedora-") && !fedoraName.MatchString(base) ||
		strings.HasPrefix(base, "epel-") && !epelName.MatchString(base) {
		l.problems.warn(where, fmt.Sprintf("'%s' is no known release or alias.", clip(name, 100)), didYouMean(base, aliasNames))
	}
}

func (l *loader) lintPatterns(from source, s *models.PackageSettings) {
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	for key, pattern := range map[string]string{
		"branch": text(s.Branch), "version_update_mask": text(s.VersionUpdateMask),
		"upstream_tag_include": s.UpstreamTagInclude, "upstream_tag_exclude": s.UpstreamTagExclude,
		"prerelease_suffix_pattern": s.PrereleaseSuffixPattern,
	} {
		if _, err := models.CompilePrefix(pattern); err != nil {
			l.problems.warn(from.place(key), "This is no regular expression we can use: "+clip(err.Error(), 200)+".",
				"Look-around and back-references are not supported.")
		}
	}
}

func (l *loader) lintUnused(from source, s *models.PackageSettings) {
	if len(s.AdditionalPackages) > 0 {
		l.problems.warn(from.place("additional_packages"), "`additional_packages` has no effect here.", "Set it for each target.")
	}
	if from.mapping["dist_git_namespace"] != nil && from.mapping["dist_git_base_url"] == nil {
		l.problems.warn(from.place("dist_git_namespace"), "`dist_git_namespace` has no effect without `dist_git_base_url`.", "")
	}
	if s.DistGitNamespace == nil {
		l.problems.warn(from.place("dist_git_base_url"), "`dist_git_base_url` needs a namespace.", "Set `dist_git_namespace`.")
	}
	if s.Timeout != models.DefaultSettings().Timeout {
		l.problems.warn(from.place("timeout"), "`timeout` has no effect in the service.", "")
	}
}

// lintTestsWithoutBuild finds tests of packages that nothing builds.
func (l *loader) lintTestsWithoutBuild(config *models.PackageConfig) {
	type build struct {
		pack    string
		trigger models.Trigger
	}
	built := map[build]bool{}
	for _, v := range config.Jobs {
		if v.Type == models.JobCoprBuild {
			built[build{v.Package, v.Trigger}] = true
		}
	}
	for i, v := range config.Jobs {
		if v.Type == models.JobTests && !v.SkipBuild && v.Type.CanRun(v.Trigger) && !built[build{v.Package, v.Trigger}] {
			l.problems.warn(at(l.views[i].job), fmt.Sprintf("These tests wait for a Copr build on `%s`, and no job makes one.", v.Trigger),
				"Add a copr_build job, or set `skip_build: true`.")
		}
	}
}

// lintTwins finds jobs that would overwrite each other's results: the same
// work, for the same branch and target, under the same name.
func (l *loader) lintTwins(config *models.PackageConfig) {
	first := map[string]int{}
	for i := range config.Jobs {
		v := &config.Jobs[i]
		if !v.Type.CanRun(v.Trigger) || v.Type == models.JobVMImageBuild || len(v.Labels) > 0 {
			continue
		}
		branch := "none"
		if v.Branch != nil {
			branch = *v.Branch
		}
		for _, name := range append(v.Targets.Names(), v.DistGitBranches.Names()...) {
			key := strings.Join([]string{string(v.Type), string(v.Trigger), v.Package, v.ID(), branch, name}, "\x00")
			j, seen := first[key]
			if !seen {
				first[key] = i
				continue
			}
			other := &config.Jobs[j]
			if other.FileIndex != v.FileIndex && v.FileIndex >= 0 {
				l.problems.warn(at(l.views[i].job), fmt.Sprintf("This job and jobs[%d] do the same for %s: their results overwrite each other.",
					other.FileIndex, clip(name, 100)), "Give one of them an `identifier`.")
				break
			}
		}
	}
}
