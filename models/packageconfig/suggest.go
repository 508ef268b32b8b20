package packageconfig

import "strings"

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
	if best := nearest(written, allowed); best != "" {
		return "Did you mean " + best + "?"
	}
	return ""
}

func nearest(written string, allowed []string) string {
	if len(written) == 0 || len(written) > 64 {
		return ""
	}
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }
	best, bestDistance := "", max(1, len(written)/3)+1
	for _, a := range allowed {
		if d := distance(plain(written), plain(a)); d < bestDistance {
			best, bestDistance = a, d
		}
	}
	return best
}

// distance is how many letters must be added, removed, replaced or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
