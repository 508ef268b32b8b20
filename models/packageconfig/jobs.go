package packageconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/models"
)

const maxJobs = 1_000

// defaultJobs are those of a config that says nothing about jobs.
const defaultJobs = `jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-stable]}
- {job: tests, trigger: pull_request, targets: [fedora-stable]}
- {job: propose_downstream, trigger: release, dist_git_branches: [fedora-all]}
`

func (l *loader) loadJobs(config *models.PackageConfig, jobs *value) {
	inFile := jobs != nil
	if !inFile {
		jobs = read([]byte(defaultJobs), newProblems(nil)).get("jobs")
	}
	switch {
	case jobs.kind != list:
		l.problems.fail(at(jobs), "'jobs' must be a list, got "+jobs.typeRepr()+".",
			"Begin each job with a dash; write `jobs: []` for none.")
		return
	case len(jobs.items) > maxJobs:
		l.problems.fail(at(jobs), fmt.Sprintf("%d jobs are too many; at most %d are read.", len(jobs.items), maxJobs), "")
		return
	}
	next := 0
	for i, v := range jobs.items {
		if v.kind != dict {
			l.problems.fail(at(v), "A job must be a mapping, got "+v.typeRepr()+".", "Write `job: TYPE` and `trigger: EVENT`.")
			continue
		}
		j := job{loader: l, value: v, fileIndex: i, keys: mappingOf(v)}
		if !inFile {
			j.fileIndex = -1
		}
		next += j.load(config, next)
	}
}

// job is one entry of `jobs` while it is read.
type job struct {
	*loader
	value     *value
	fileIndex int
	keys      mapping
}

// load adds the views of the job, the first of which has this index, and
// returns how many jobs it counts for.
func (j *job) load(config *models.PackageConfig, index int) int {
	j.mergeMetadata()
	own := mapping{} // what only jobs have
	for _, key := range jobOnlyKeys {
		if e := j.keys[key]; e != nil && e.val.kind != null {
			own[key] = e
		}
		delete(j.keys, key)
	}
	base := models.JobView{FileIndex: j.fileIndex, Line: j.value.line}
	jobType, typeOK := j.jobType(own)
	base.Type = jobType
	base.Package, _ = j.onlyPackage(own)
	flagsOK := j.readOwn(&base, own)
	selected, overrides := j.selectPackages(own.get("packages"))
	triggers := j.triggers(own)

	for i, trigger := range triggers {
		view := base
		view.Index, view.Trigger = index+i, trigger
		for _, p := range selected {
			merged := j.keys.over(p.mapping)
			if o := overrides[p.name]; o != nil {
				merged = mappingOf(o).over(merged)
			}
			j.addView(config, view, p, merged, typeOK && flagsOK)
		}
		if base.Package != "" && !slices.ContainsFunc(selected, func(p pack) bool { return p.name == base.Package }) && len(selected) > 0 {
			j.problems.fail(at(own.get("package")), "Undefined package(s) referenced: "+clip(base.Package, 100)+".",
				didYouMean(base.Package, j.packageNames()))
		}
	}
	return len(triggers)
}

// addView adds the view of one package, unless the job is for another one.
func (j *job) addView(config *models.PackageConfig, view models.JobView, p pack, merged mapping, sound bool) {
	if !j.inherited(merged, j.value) {
		return
	}
	alone := view.Package != ""
	view.PackageSettings = j.settings(merged, true)
	if sound && view.Specfile() == "" && !(view.Type == models.JobTests && view.SkipBuild) {
		where := at(j.value)
		if j.fileIndex < 0 {
			where = place{line: 1}
		} else if len(j.packages) > 1 {
			where = where.child("packages").child(p.name)
		}
		j.problems.fail(where.child("specfile_path"),
			"'specfile_path' is not specified or no specfile was found in the repo",
			"Set specfile_path, or skip_build for tests that need no build.")
	}
	if alone && view.Package != p.name {
		return
	}
	view.Package = p.name
	if view.Identifier == nil && (alone || len(j.packages) > 1) {
		view.Identifier = &p.name
	}
	config.Jobs = append(config.Jobs, view)
	j.views = append(j.views, source{j.value, merged})
}

func (j *job) jobType(own mapping) (models.JobType, bool) {
	v := own.get("job")
	if v == nil {
		j.problems.fail(at(j.value).child("job"), missingField, "Say what the job does: copr_build, tests, ...")
		return "", false
	}
	names := make([]string, len(models.JobTypes))
	for i, t := range models.JobTypes {
		names[i] = string(t)
	}
	s, ok := j.choice(v, names)
	return models.JobType(s), ok
}

// triggers are the events the job waits for, separated by `|`.
func (j *job) triggers(own mapping) []models.Trigger {
	v := own.get("trigger")
	if v == nil {
		j.problems.fail(at(j.value).child("trigger"), missingField, "Say what the job waits for: pull_request, commit, release, ...")
		return []models.Trigger{""}
	}
	if v.kind == list {
		j.problems.fail(at(v), notString, "Write several triggers as one string: commit | koji_build.")
		return []models.Trigger{""}
	}
	if v.kind != text {
		readString(j.loader, v)
		return []models.Trigger{""}
	}
	names := make([]string, len(models.Triggers))
	for i, t := range models.Triggers {
		names[i] = string(t)
	}
	if strings.Count(v.s, "|") >= len(names)*2 {
		j.problems.fail(at(v), "Too many triggers.", "")
		return []models.Trigger{""}
	}
	var triggers []models.Trigger
	several := strings.Contains(v.s, "|") // only then are blanks around a name ignored
	for part := range strings.SplitSeq(v.s, "|") {
		t := part
		if several {
			t = strings.TrimSpace(part)
		}
		if !slices.Contains(names, t) {
			j.problems.fail(at(v), "Must be one of: "+strings.Join(names, ", ")+".", didYouMean(t, names))
		}
		triggers = append(triggers, models.Trigger(t))
	}
	return triggers
}

func (j *job) onlyPackage(own mapping) (string, bool) {
	v := own.get("package")
	if v == nil {
		return "", true
	}
	s, ok := readString(j.loader, v)
	if !ok {
		return "", false
	}
	return s.(string), true
}

// readOwn stores the keys that only jobs have.
func (j *job) readOwn(view *models.JobView, own mapping) bool {
	ok := true
	store := func(key string, set func(any)) {
		if v := own.get(key); v != nil {
			result, fine := j.decode(jobFields[key], v)
			if ok = ok && fine; fine {
				set(result)
			}
		}
	}
	store("skip_build", func(r any) { view.SkipBuild = r.(bool) })
	store("manual_trigger", func(r any) { view.ManualTrigger = r.(bool) })
	store("labels", func(r any) { view.Labels = r.([]string) })
	store("sidetag_group", func(r any) { view.SidetagGroup = r.(*string) })
	store("dependents", func(r any) { view.Dependents = r.([]string) })
	store("dependencies", func(r any) { view.Dependencies = r.([]string) })
	return ok
}

func (j *job) packageNames() []string {
	names := make([]string, len(j.packages))
	for i, p := range j.packages {
		names[i] = p.name
	}
	return names
}

// selectPackages are the packages the job is for, in the order of their views,
// and what it says about each of them.
func (j *job) selectPackages(v *value) (selected []pack, overrides map[string]*value) {
	if v == nil || v.empty() {
		return j.packages, nil
	}
	named := map[string]*value{}
	var order, undefined []string
	names := j.packageNames()
	note := func(key *value, val *value) {
		if key.kind != text || !slices.Contains(names, key.s) {
			undefined = append(undefined, clip(key.name(), 100))
			return
		}
		if _, twice := named[key.s]; !twice {
			order = append(order, key.s)
		}
		named[key.s] = val
	}
	switch v.kind {
	case list:
		for _, item := range v.items {
			note(item, nil)
		}
		order = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(order, name) })
	case dict:
		for _, e := range v.entries {
			note(e.key, e.val)
			if e.val.kind != dict {
				j.problems.fail(at(e.val), "What a job says about a package must be a mapping, got "+e.val.typeRepr()+".",
					"Write `{}` for nothing.")
			}
		}
	default:
		j.problems.fail(at(v), "Type is "+v.typeRepr()+" instead of 'list' or 'dict'.", "Write a list of packages.")
		return nil, nil
	}
	if len(undefined) > 0 {
		j.problems.fail(at(v), clip("Undefined package(s) referenced: "+strings.Join(undefined, ", "), 1000)+".",
			didYouMean(undefined[0], j.packageNames()))
	}
	for _, name := range order {
		i := slices.IndexFunc(j.packages, func(p pack) bool { return p.name == name })
		selected = append(selected, j.packages[i])
	}
	return selected, named
}

// mergeMetadata lays the deprecated mapping `metadata` over the job's keys.
func (j *job) mergeMetadata() {
	e := j.keys["metadata"]
	delete(j.keys, "metadata")
	if e == nil || e.val.empty() {
		return
	}
	if e.val.kind != dict {
		j.problems.fail(at(e.val), notMapping, "Move its content into the job and remove it.")
		return
	}
	j.problems.warn(atKey(e), "The 'metadata' key in jobs is deprecated and can be removed.", "Move its content into the job.")
	metadata := mappingOf(e.val)
	for _, old := range []string{"dist-git-branch", "dist_git_branch"} {
		if renamed := metadata[old]; renamed != nil {
			j.problems.warn(atKey(renamed), fmt.Sprintf("Job metadata key '%s' has been renamed to 'dist_git_branches'.", old), "")
			metadata["dist_git_branches"] = renamed
			delete(metadata, old)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(metadata)) {
		m := metadata[id]
		if !slices.Contains(metadataKeys, id) {
			j.unknown(m, metadataKeys)
			delete(metadata, id)
			continue
		}
		f, inPackages := packageFields[id]
		if !inPackages {
			f = jobFields[id]
		}
		v := m.val
		if v.kind == text && (id == "targets" || id == "dist_git_branches") {
			v = j.asList(v)
		}
		if _, ok := j.decode(f, v); !ok {
			delete(metadata, id)
		}
	}
	var mixed []string
	for _, key := range metadataKeys {
		// Packit forgets targets here, and takes those of the metadata.
		if j.keys[key] != nil && key != "targets" {
			mixed = append(mixed, key)
		}
	}
	if len(mixed) > 0 {
		slices.Sort(mixed)
		j.problems.fail(atKey(e), "Keys: {"+quotedList(mixed)+"} are defined outside job metadata dictionary. "+
			"Mixing obsolete metadata dictionary and new job keys is not possible. "+
			"Remove obsolete nested job metadata dictionary.", "")
	}
	maps.Copy(j.keys, metadata)
}
