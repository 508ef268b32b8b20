package models

// PackageSettings are the keys a package may have, and a job may override. Tags
// are the keys of the file. A nil pointer, slice or map is a null, which means
// something else than an empty value for some keys.
type PackageSettings struct {
	ConfigFilePath        *string  `json:"config_file_path"`
	SpecfilePath          *string  `json:"specfile_path"` // null only for tests without build
	DownstreamPackageName *string  `json:"downstream_package_name"`
	UpstreamPackageName   *string  `json:"upstream_package_name"`
	UpstreamProjectURL    *string  `json:"upstream_project_url"`
	Paths                 []string `json:"paths"` // never empty; only the first is used

	UpstreamRef            *string `json:"upstream_ref"`
	UpstreamTagTemplate    string  `json:"upstream_tag_template"`
	UpstreamTagInclude     string  `json:"upstream_tag_include"`
	UpstreamTagExclude     string  `json:"upstream_tag_exclude"`
	ArchiveRootDirTemplate string  `json:"archive_root_dir_template"`

	// DistGitBaseURL and DistGitNamespace are what the keys of the same names,
	// pkg_tool and sig come to together. A null namespace is the user's mistake.
	DistGitBaseURL   string  `json:"dist_git_base_url"`
	DistGitNamespace *string `json:"dist_git_namespace"`
	PkgTool          *string `json:"pkg_tool"`
	Sig              *string `json:"sig"`

	AllowedGPGKeys                 []string                `json:"allowed_gpg_keys"` // nil means no check
	SpecSourceID                   string                  `json:"spec_source_id"`   // such as "Source0"
	FilesToSync                    []SyncFiles             `json:"files_to_sync"`
	Actions                        map[string]ConfigAction `json:"actions"`
	CreatePR                       bool                    `json:"create_pr"`
	SyncChangelog                  bool                    `json:"sync_changelog"`
	CreateSyncNote                 bool                    `json:"create_sync_note"`
	PatchGenerationIgnorePaths     []string                `json:"patch_generation_ignore_paths"`
	PatchGenerationPatchIDDigits   int                     `json:"patch_generation_patch_id_digits"`
	Notifications                  Notifications           `json:"notifications"`
	CopyUpstreamReleaseDescription bool                    `json:"copy_upstream_release_description"`
	Sources                        []ConfigSource          `json:"sources"`
	MergePRInCI                    bool                    `json:"merge_pr_in_ci"`
	SRPMBuildDeps                  []string                `json:"srpm_build_deps"`

	Identifier      *string  `json:"identifier"` // of a view: the effective one
	PackitInstances []string `json:"packit_instances"`
	IssueRepository *string  `json:"issue_repository"`

	ReleaseSuffix           *string        `json:"release_suffix"`
	VersionSuffix           *string        `json:"version_suffix"`
	UpdateRelease           bool           `json:"update_release"`
	PreserveSpec            bool           `json:"preserve_spec"`
	PrereleaseSuffixPattern string         `json:"prerelease_suffix_pattern"` // Python regex, "" for none
	PrereleaseSuffixMacro   *string        `json:"prerelease_suffix_macro"`
	UploadSources           bool           `json:"upload_sources"`
	VersionUpdateMask       *string        `json:"version_update_mask"`
	VersionUpdateSpecifiers *string        `json:"version_update_specifiers"`
	ParseTimeMacros         map[string]any `json:"parse_time_macros"` // a nil value undefines

	TestCommand                   TestCommand `json:"test_command"`
	Require                       Requirement `json:"require"`
	StatusNameTemplate            *string     `json:"status_name_template"`
	SyncTestJobStatusesWithBuilds bool        `json:"sync_test_job_statuses_with_builds"`

	Targets         Targets         `json:"-"` // "targets" and "targets_config"
	DistGitBranches DistGitBranches `json:"-"` // "dist_git_branches" and "dist_git_branches_config"

	Timeout            int      `json:"timeout"` // seconds
	Owner              *string  `json:"owner"`
	Project            *string  `json:"project"`
	Branch             *string  `json:"branch"` // Python regex; see JobView.BranchMatches
	Scratch            bool     `json:"scratch"`
	ListOnHomepage     bool     `json:"list_on_homepage"`
	PreserveProject    bool     `json:"preserve_project"`
	AdditionalPackages []string `json:"additional_packages"` // accepted, without effect
	AdditionalRepos    []string `json:"additional_repos"`
	Bootstrap          string   `json:"bootstrap"` // default, on, off, image
	EnableNet          bool     `json:"enable_net"`
	ModuleHotfixes     bool     `json:"module_hotfixes"`

	UseInternalTF                bool           `json:"use_internal_tf"`
	FmfURL                       *string        `json:"fmf_url"`
	FmfRef                       *string        `json:"fmf_ref"`
	FmfPath                      *string        `json:"fmf_path"`
	UseTargetRepoForFmfURL       bool           `json:"use_target_repo_for_fmf_url"`
	TmtPlan                      *string        `json:"tmt_plan"`
	TFPostInstallScript          *string        `json:"tf_post_install_script"`
	TFExtraParams                map[string]any `json:"tf_extra_params"`
	SkipMissingBranchedComposes  bool           `json:"skip_missing_branched_composes"`
	Env                          map[string]any `json:"env"`
	AllowedPRAuthors             []string       `json:"allowed_pr_authors"`
	AllowedCommitters            []string       `json:"allowed_committers"`
	AllowedBuilders              []string       `json:"allowed_builders"`
	BodhiExtraParams             map[string]any `json:"bodhi_extra_params"`
	ImageDistribution            *string        `json:"image_distribution"`
	CoprChroot                   *string        `json:"copr_chroot"`
	ImageRequest                 map[string]any `json:"image_request"`
	ImageCustomizations          map[string]any `json:"image_customizations"`
	OSHDiffScanAfterCoprBuild    bool           `json:"osh_diff_scan_after_copr_build"`
	CsmockArgs                   *string        `json:"csmock_args"`
	OSHOptions                   OSHOptions     `json:"osh_options"`
	CloneReposBeforeRunCondition bool           `json:"clone_repos_before_run_condition"`
}

// SyncFiles is an item of files_to_sync: what rsync is asked to carry over.
type SyncFiles struct {
	Src     []string `json:"src"`
	Dest    string   `json:"dest"`
	MkPath  bool     `json:"mkpath"`
	Delete  bool     `json:"delete"`
	Filters []string `json:"filters"`
}

// ConfigSource is an item of sources: a file to fetch beside those of the spec.
type ConfigSource struct {
	Path string `json:"path"`
	URL  string `json:"url"`
}

// Notifications say where people want to hear from us.
type Notifications struct {
	PullRequest struct {
		SuccessfulBuild bool `json:"successful_build"`
	} `json:"pull_request"`
	FailureComment struct {
		Message *string `json:"message"`
	} `json:"failure_comment"`
	FailureIssue struct {
		Create bool `json:"create"`
	} `json:"failure_issue"`
}

// TestCommand chooses the jobs that a bare `test` comment starts.
type TestCommand struct {
	DefaultLabels     []string `json:"default_labels"`
	DefaultIdentifier *string  `json:"default_identifier"`
}

// Requirement is what a pull request must have before a job runs for it.
type Requirement struct {
	Label LabelRequirement `json:"label"`
}

// LabelRequirement asks for any of Present and none of Absent.
type LabelRequirement struct {
	Present []string `json:"present"`
	Absent  []string `json:"absent"`
}

// OSHOptions are passed to OpenScanHub.
type OSHOptions struct {
	Analyzer *string `json:"analyzer"`
	Config   *string `json:"config"`
	Profile  *string `json:"profile"`
}

// DefaultTargets is what jobs without targets are for.
const DefaultTargets = "fedora-stable"

// DefaultSettings are the settings of a package that sets nothing, except for
// its names and its specfile.
func DefaultSettings() PackageSettings {
	namespace := "rpms"
	s := PackageSettings{
		Paths:                         []string{"./"},
		UpstreamTagTemplate:           "{version}",
		ArchiveRootDirTemplate:        "{upstream_pkg_name}-{version}",
		DistGitBaseURL:                "https://src.fedoraproject.org/",
		DistGitNamespace:              &namespace,
		SpecSourceID:                  "Source0",
		FilesToSync:                   []SyncFiles{},
		Actions:                       map[string]ConfigAction{},
		CreatePR:                      true,
		CreateSyncNote:                true,
		PatchGenerationIgnorePaths:    []string{},
		PatchGenerationPatchIDDigits:  4,
		Sources:                       []ConfigSource{},
		MergePRInCI:                   true,
		PackitInstances:               []string{"prod"},
		UpdateRelease:                 true,
		PrereleaseSuffixPattern:       `([.\-_~^]?)(alpha|beta|rc|pre(view)?)([.\-_]?\d+)?`,
		UploadSources:                 true,
		ParseTimeMacros:               map[string]any{},
		Require:                       Requirement{LabelRequirement{Present: []string{}, Absent: []string{}}},
		SyncTestJobStatusesWithBuilds: true,
		Targets:                       Targets{},
		Timeout:                       7200,
		AdditionalPackages:            []string{},
		AdditionalRepos:               []string{},
		Bootstrap:                     "default",
		TFExtraParams:                 map[string]any{},
		Env:                           map[string]any{},
		AllowedPRAuthors:              []string{"packit"},
		AllowedCommitters:             []string{},
		AllowedBuilders:               []string{"packit"},
		BodhiExtraParams:              map[string]any{},
		OSHDiffScanAfterCoprBuild:     true,
	}
	s.Notifications.FailureIssue.Create = true
	return s
}

// Downstream is the name of the package in dist-git, "" if the config says
// null.
func (s *PackageSettings) Downstream() string { return textOr(s.DownstreamPackageName, "") }

// Upstream is the name of the package upstream, as in its archives; without one
// it is the name in dist-git.
func (s *PackageSettings) Upstream() string { return textOr(s.UpstreamPackageName, s.Downstream()) }

// Specfile is the path of the specfile from the top of the repository, "" if
// there is none.
func (s *PackageSettings) Specfile() string { return textOr(s.SpecfilePath, "") }

func textOr(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}
