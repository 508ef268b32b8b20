package packageconfig

import "millrace/models"

// removed are keys that existed, are asked for, or are written another way, and
// what to write today.
var removed = map[string]string{
	"upstream_project_name":   "It is called upstream_package_name.",
	"upstream_name":           "It is called upstream_package_name.",
	"downstream_name":         "It is called downstream_package_name.",
	"current_version_command": "Use the action get-current-version.",
	"create_tarball_command":  "Use the action create-archive.",
	"synced_files":            "It is called files_to_sync.",
	"metadata":                "Only jobs had this key; its content stands in the job today.",
	"follow_fedora_branching": "There is no such key: use an alias such as fedora-branched.",
	"open_pr":                 "There is no such key: a pull request is always opened.",
	"update_type":             "There is no such key: use bodhi_extra_params.",
	"dist-git-branch":         "It is called dist_git_branches.",
	"dist_git_branch":         "It is called dist_git_branches.",
	"enabled":                 "There is no such key: `trigger: ignore` switches a job off.",
}

// advice says what to do about a key that is unknown where it stands.
func advice(key string, allowed []string) string {
	if hint := removed[key]; hint != "" {
		return hint
	}
	return didYouMean(key, allowed)
}

// didYouMean names the allowed word that is nearest to what was written, if any
// is near.
func didYouMean(written string, allowed []string) string {
	if best := models.Nearest(written, allowed); best != "" {
		return "Did you mean " + best + "?"
	}
	return ""
}
