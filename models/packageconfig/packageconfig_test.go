package packageconfig

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

// expectation is what a case of testdata says a config means.
type expectation struct {
	OK      bool
	Context struct {
		RepoName  string   `json:"repo_name"`
		RepoFiles []string `json:"repo_files"`
	}
	Packages          map[string]map[string]any
	Jobs              []map[string]any
	SuggestedWarnings []string `json:"suggested_warnings"`

	ErrorContains []string `json:"error_contains"`
	Key           string
	AlsoKeys      []string `json:"also_keys"`
}

func readCase(t *testing.T, name string) ([]byte, Options, expectation) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(strings.TrimSuffix(name, ".yaml") + ".expect.json")
	if err != nil {
		t.Fatal(err)
	}
	var want expectation
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	return text, Options{RepoName: want.Context.RepoName, RepoFiles: want.Context.RepoFiles}, want
}

func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 50 {
		t.Fatalf("found %d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, opts, want := readCase(t, file)
			config, err := Parse(text, opts)
			if want.OK {
				if err != nil {
					t.Fatal(err)
				}
				checkConfig(t, config, want)
				return
			}
			checkErrors(t, text, err, want)
		})
	}
}

// checkConfig compares whole configs, so that a key that should have its
// default is found too.
func checkConfig(t *testing.T, config *models.PackageConfig, want expectation) {
	t.Helper()
	packages := map[string]map[string]any{}
	for _, p := range config.Packages {
		packages[p.Name] = asJSON(t, p.Settings.Changed())
	}
	var jobs []map[string]any
	for i := range config.Jobs {
		jobs = append(jobs, asJSON(t, config.Jobs[i].Changed()))
	}
	for _, job := range slices.Concat(jobs, want.Jobs) {
		sortNames(job, "targets")
		sortNames(job, "dist_git_branches")
	}
	if diff := cmp.Diff(want.Packages, packages); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if len(jobs)+len(want.Jobs) > 0 {
		if diff := cmp.Diff(want.Jobs, jobs); diff != "" {
			t.Errorf("jobs (-want +got):\n%s", diff)
		}
	}
	if len(want.SuggestedWarnings) > len(config.Warnings) {
		t.Errorf("warnings = %v, want something like %q", config.Warnings, want.SuggestedWarnings)
	}
}

func sortNames(job map[string]any, key string) {
	names := job[key].([]any)
	slices.SortFunc(names, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
}

func asJSON(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func checkErrors(t *testing.T, text []byte, err error, want expectation) {
	t.Helper()
	errs, ok := AsErrors(err)
	if !ok {
		t.Fatalf("Parse = %v, want mistakes", err)
	}
	keys, all := map[string]bool{}, ""
	for _, e := range errs {
		keys[e.Key] = true
		all += e.Message + "\n"
	}
	for _, key := range append(want.AlsoKeys, want.Key) {
		// What jobs inherit is reported where it was written.
		if !keys[key] && !strings.HasPrefix(key, "jobs[0].upstream_project_name") {
			t.Errorf("no mistake at %q in %v", key, errs)
		}
	}
	for _, part := range want.ErrorContains {
		if !strings.Contains(strings.ToLower(all), strings.ToLower(part)) {
			t.Errorf("no mistake says %q in %q", part, all)
		}
	}
	checkPlaces(t, text, errs)
}

func checkPlaces(t *testing.T, text []byte, ps []models.ConfigProblem) {
	t.Helper()
	lines := strings.Count(strings.TrimSuffix(string(text), "\n"), "\n") + 1
	for _, p := range ps {
		if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" {
			t.Errorf("%+v is not a place in a file of %d lines", p, lines)
		}
	}
}

// Every key of the schema has a field of the type that its reader returns.
func TestSchemaHasFieldForEachKey(t *testing.T) {
	t.Parallel()
	got := slices.Sorted(maps.Keys(fieldIndex))
	want := slices.DeleteFunc(slices.Clone(packageKeys), func(k string) bool { return k == "targets" || k == "dist_git_branches" })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of the schema and of the settings (-schema +settings):\n%s", diff)
	}
	for key, f := range packageFields {
		i, ok := fieldIndex[key]
		if !ok || f.null == nil || key == "dist_git_base_url" {
			continue
		}
		field := reflect.TypeFor[models.PackageSettings]().Field(i)
		if !reflect.TypeOf(f.null).AssignableTo(field.Type) {
			t.Errorf("a null of %s is a %T, its field is a %v", key, f.null, field.Type)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       Errors
	}{
		{"unknown keys", "specfile_pat: x.spec\njobs:\n- job: copr_build\n  trigger: pull_request\n  target: [fedora-all]\n", Errors{
			{Key: "specfile_pat", Line: 1, Column: 1, Message: unknownField, Hint: "Did you mean specfile_path?"},
			{Key: "jobs[0].target", Line: 5, Column: 3, Message: unknownField, Hint: "Did you mean targets?"},
		}},
		{"job key outside", "labels: [a]\njobs: []\n", Errors{
			{Key: "labels", Line: 1, Column: 1, Message: unknownField, Hint: "Only jobs have this key: move it into one."},
		}},
		{"near value", "jobs:\n- job: copr-build\n  trigger: pull-request | relase\n", Errors{
			{Key: "jobs[0].job", Line: 2, Column: 8, Hint: "Did you mean copr_build?", Message: "Must be one of: propose_downstream, " +
				"pull_from_upstream, sync_from_downstream, copr_build, upstream_koji_build, koji_build, tests, bodhi_update, vm_image_build, koji_build_tag."},
			{Key: "jobs[0].trigger", Line: 3, Column: 12, Hint: "Did you mean pull_request?",
				Message: "Must be one of: release, pull_request, commit, koji_build, ignore."},
			{Key: "jobs[0].trigger", Line: 3, Column: 12, Hint: "Did you mean release?",
				Message: "Must be one of: release, pull_request, commit, koji_build, ignore."},
		}},
		{"blanks around one trigger", "jobs:\n- {job: tests, trigger: ' commit '}\n- {job: tests, trigger: ' commit | release'}\n", Errors{
			{Key: "jobs[0].trigger", Line: 2, Column: 25, Hint: "Did you mean commit?",
				Message: "Must be one of: release, pull_request, commit, koji_build, ignore."},
		}},
		{"inherited once", "scratch: maybe\njobs:\n- {job: tests, trigger: commit}\n- {job: tests, trigger: release}\n", Errors{
			{Key: "scratch", Line: 1, Column: 10, Message: notBoolean, Hint: "Write true or false."},
		}},
		{"override", "packages:\n  a: {specfile_path: a.spec}\n  b: {specfile_path: b.spec}\njobs:\n- job: tests\n  trigger: commit\n  packages: {a: {timeout: soon}}\n", Errors{
			{Key: "jobs[0].packages.a.timeout", Line: 7, Column: 27, Message: notInteger, Hint: "Write a whole number."},
		}},
		{"metadata", "jobs:\n- job: tests\n  trigger: commit\n  owner: me\n  metadata: {targets: fedora-all, scratch: 5}\n", Errors{
			{Key: "jobs[0].metadata", Line: 5, Column: 3, Message: "Keys: {'owner'} are defined outside job metadata dictionary. " +
				"Mixing obsolete metadata dictionary and new job keys is not possible. Remove obsolete nested job metadata dictionary."},
			{Key: "jobs[0].metadata.scratch", Line: 5, Column: 44, Message: notBoolean, Hint: "Write true or false."},
		}},
		{"what crashes Packit", "dist_git_url: x\njobs:\n- copr_build\n- null\n- job: tests\n  trigger: commit\n  package: other\n", Errors{
			{Key: "dist_git_url", Line: 1, Column: 1, Message: "'dist_git_url' is no longer being processed.",
				Hint: "Remove it: it is made of dist_git_base_url, dist_git_namespace and downstream_package_name."},
			{Key: "jobs[0]", Line: 3, Column: 3, Message: "A job must be a mapping, got <class 'str'>.", Hint: "Write `job: TYPE` and `trigger: EVENT`."},
			{Key: "jobs[1]", Line: 4, Column: 3, Message: "A job must be a mapping, got <class 'NoneType'>.", Hint: "Write `job: TYPE` and `trigger: EVENT`."},
			{Key: "jobs[2].package", Line: 7, Column: 12, Message: "Undefined package(s) referenced: other."},
		}},
		{"nested", "files_to_sync: [{src: a}]\nsources: [{path: p, url: null}, 3]\nrequire: {label: {present: [1]}}\nnotifications: []\njobs: []\n", Errors{
			{Key: "files_to_sync[0].dest", Line: 1, Column: 17, Message: missingField},
			{Key: "sources[0].url", Line: 2, Column: 26, Message: notNull, Hint: "Remove the key, or give it a value."},
			{Key: "sources[1]", Line: 2, Column: 33, Message: wrongType, Hint: "Write a mapping with the keys path, url."},
			{Key: "require.label.present[0]", Line: 3, Column: 29, Message: notString, Hint: "Put quotes around it: '1'."},
			{Key: "notifications", Line: 4, Column: 16, Message: wrongType, Hint: "Write a mapping with the keys failure_comment, failure_issue, pull_request."},
		}},
		{"specifiers", "version_update_specifiers: '>=1, about 2'\njobs: []\n", Errors{
			{Key: "version_update_specifiers", Line: 1, Column: 28, Message: "Invalid version specifier set: Invalid specifier: 'about 2'",
				Hint: "Write something like '>=1.2, <2'."},
		}},
		{"made of several keys", "pkg_tool: fedpgk\njobs:\n- {job: tests, trigger: commit}\n- {job: tests, trigger: release}\n", Errors{
			{Key: "pkg_tool", Line: 1, Column: 11, Message: "pkg_tool: Must be one of: fedpkg, fedpkg-stage, centpkg, centpkg-sig.", Hint: "Did you mean fedpkg?"},
		}},
		{"nothing at the end", "jobs: []\nscratch:\n\n", Errors{
			{Key: "scratch", Line: 2, Column: 9, Message: notNull, Hint: "Remove the key, or give it a value."},
		}},
		{"syntax", "jobs:\n- job: tests\n  trigger: [a,\n\n- job: x\n", Errors{
			{Line: 3, Column: 3, Message: correct + " This is not valid YAML: did not find expected node content."},
		}},
		{"tab", "jobs:\n\t- job: tests\n", Errors{
			{Line: 2, Column: 2, Message: correct + " This is not valid YAML: found character that cannot start any token.", Hint: "Indent with blanks, not with tabs."},
		}},
		{"two documents", "jobs: []\n---\njobs: []\n", Errors{
			{Line: 2, Column: 1, Message: correct + " This is not valid YAML: a second document begins here; a config is one document."},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(test.text), Options{RepoName: "widget", RepoFiles: []string{"widget.spec"}})
			got, _ := AsErrors(err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoName(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte("jobs: []"), Options{})
	if errs, _ := AsErrors(err); len(errs) != 1 || errs[0].Key != "downstream_package_name" {
		t.Errorf("Parse = %v, want one mistake at downstream_package_name", err)
	}
}

// env returns what the text makes of the variables in env.
func env(t *testing.T, text string) map[string]any {
	t.Helper()
	config, err := Parse([]byte("jobs: []\n"+text), Options{RepoName: "widget"})
	if err != nil {
		t.Fatal(err)
	}
	return config.Packages[0].Settings.Env
}

func TestScalars(t *testing.T) {
	t.Parallel()
	got := env(t, `env:
  booleans: [yes, No, ON, off, true]
  strings: [y, n, 'yes', !!str yes, 08, 0o10, 1e3, 1.2.3, "1", =x]
  integers: [010, 0x1F, 0b101, 1_000, 1:30, -1:30, +7, 0]
  floats: [1.5, 1., .5, 1.0e+3, 1:30.5, !!float 3]
  nulls: [~, null, Null]
  texts: [.inf, 2024-02-29]
`)
	want := map[string]any{
		"booleans": []any{true, false, true, false, true},
		"strings":  []any{"y", "n", "yes", "yes", "08", "0o10", "1e3", "1.2.3", "1", "=x"},
		"integers": []any{int64(8), int64(31), int64(5), int64(1000), int64(90), int64(-90), int64(7), int64(0)},
		"floats":   []any{1.5, 1.0, 0.5, 1000.0, 90.5, 3.0},
		"nulls":    []any{nil, nil, nil},
		"texts":    []any{".inf", "2024-02-29"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestMergeAndDuplicates(t *testing.T) {
	t.Parallel()
	config, err := Parse([]byte(`_:
  - &base {a: 1, b: 1}
  - &more {b: 2, c: 2}
env:
  <<: [*base, *more]
  c: 3
  d: 3
  d: 4
jobs: []
`), Options{RepoName: "widget"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": int64(1), "b": int64(1), "c": int64(3), "d": int64(4)}
	if diff := cmp.Diff(want, config.Packages[0].Settings.Env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	warned := []models.ConfigProblem{{Key: "env.d", Line: 8, Column: 3,
		Message: "This key stands here twice; only the last value counts.", Hint: "Remove line 7 or this one."}}
	if diff := cmp.Diff(warned, config.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestDistGitInstance(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, url, namespace string }{
		{"", "https://src.fedoraproject.org/", "rpms"},
		{"dist_git_namespace: other", "https://src.fedoraproject.org/", "rpms"},
		{"pkg_tool: fedpkg-stage", "https://src.stg.fedoraproject.org/", "rpms"},
		{"pkg_tool: centpkg", "https://gitlab.com/", "redhat/centos-stream/rpms"},
		{"pkg_tool: centpkg-sig", "https://gitlab.com/", "CentOS/{sig}/rpms"},
		{"pkg_tool: nonsense\ndist_git_base_url: http://DG.example.org/x\ndist_git_namespace: pkgs", "https://dg.example.org/", "pkgs"},
		{"dist_git_base_url: dg.example.org", "https://dg.example.org/", "null"},
	}
	for _, test := range tests {
		config, err := Parse([]byte("jobs: []\n"+test.text), Options{RepoName: "widget"})
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		s := config.Packages[0].Settings
		namespace := "null"
		if s.DistGitNamespace != nil {
			namespace = *s.DistGitNamespace
		}
		if s.DistGitBaseURL != test.url || namespace != test.namespace {
			t.Errorf("%q is %s and %s, want %s and %s", test.text, s.DistGitBaseURL, namespace, test.url, test.namespace)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	text := `upstream_tag_template: v1
timeout: 5
jobs:
- job: copr_build
  trigger: koji_build
- job: tests
  trigger: pull_request
  branch: (?!main)
  targets: [fedora-stabel, centos-stream-x86_64]
- job: copr_build
  trigger: release
  targets: [fedora-all]
- job: copr_build
  trigger: release
  targets: [fedora-all]
- job: upstream_koji_build
  trigger: release
  actions: {create-archive: {a: b}}
- job: copr_build
  trigger: ignore
`
	config, err := Parse([]byte(text), Options{RepoName: "widget", RepoFiles: []string{"x.spec", "packit.yaml", ".packit.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	type short struct {
		key  string
		line int
		part string
	}
	want := []short{
		{"", 1, ".packit.yaml, packit.yaml"},
		{"upstream_tag_template", 1, "{version}"},
		{"timeout", 2, "no effect"},
		{"jobs[0].trigger", 5, "never runs"},
		{"jobs[1]", 6, "wait for a Copr build"},
		{"jobs[1].branch", 8, "regular expression"},
		{"jobs[1].targets", 9, "'fedora-stabel' is no known"},
		{"jobs[1].targets", 9, "is deprecated"},
		{"jobs[3]", 13, "jobs[2]"},
		{"jobs[4]", 16, "scratch"},
		{"jobs[4].actions.create-archive", 18, "neither a string nor a list"},
	}
	for i, w := range config.Warnings {
		if i >= len(want) || w.Key != want[i].key || w.Line != want[i].line || !strings.Contains(w.Message, want[i].part) {
			t.Errorf("warning %d is %v", i, w)
		}
	}
	if len(config.Warnings) != len(want) {
		t.Errorf("%d warnings, want %d", len(config.Warnings), len(want))
	}
	checkPlaces(t, []byte(text), config.Warnings)
}

func TestFind(t *testing.T) {
	t.Parallel()
	if got := Find([]string{"a", "packit.yml", "sub/.packit.yaml", ".packit.yml"}); got != ".packit.yml" {
		t.Errorf("Find = %q", got)
	}
	if got := Find([]string{"sub/.packit.yaml"}); got != "" {
		t.Errorf("Find = %q, want none", got)
	}
}

type refusal struct{ text, says string }

// hostile are texts that cost much where no limit holds.
func hostile() map[string]refusal {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		laughs += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 10) + "]\n"
	}
	var packages strings.Builder
	packages.WriteString("packages:\n")
	for i := range 400 {
		packages.WriteString(" p" + strings.Repeat("x", i) + ": {specfile_path: a}\n")
	}
	return map[string]refusal{
		"laughs":    {laughs, tooLarge},
		"merges":    {"b: &b {" + strings.Repeat("k: 1, ", 5000) + "}\n_: [" + strings.Repeat("{<<: *b},", 5000) + "]\n", tooLarge},
		"deep":      {strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "nested more than 64"},
		"dashes":    {strings.Repeat("- ", 100_000), "exceeded max depth"},
		"questions": {strings.Repeat("? ", 100_000), "exceeded max depth"},
		"cycle":     {"a: &a [*a]\n", "inside of what it means"},
		"self":      {"a: &a {<<: *a}\n", "inside of what it means"},
		"keys":      {strings.Repeat("a: 1\n", 150_000), tooLarge},
		"views":     {packages.String() + "jobs:\n" + strings.Repeat("- {job: tests, trigger: commit|release}\n", 900), "too many jobs"},
		"inherit":   {"specfile_path: a\nenv: {a: " + strings.Repeat("x", 900_000) + "}\njobs:\n" + strings.Repeat("- {job: tests, trigger: commit}\n", 900), "too many jobs"},
		"size":      {strings.Repeat("#", MaxSize+1), "more than 1048576"},
		"targets":   {"targets: [" + strings.Repeat("a,", maxTargets+1) + "]\njobs: []\n", "too many; at most 500"},
		"pipes":     {"jobs: [{job: tests, trigger: '" + strings.Repeat("|", 500_000) + "'}]", "Too many triggers"},
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for name, test := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			config, err := Parse([]byte(test.text), Options{RepoName: "widget", RepoFiles: []string{"a.spec"}})
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			errs, _ := AsErrors(err)
			if len(errs) == 0 {
				t.Fatalf("Parse = %d jobs, %v, want a refusal", len(config.Jobs), err)
			}
			if !strings.Contains(errs.Error(), test.says) {
				t.Errorf("Parse = %v, want an error that says %q", errs, test.says)
			}
			checkPlaces(t, []byte(test.text), errs)
		})
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("_: &a {<<: [*a, {b: c}]}\njobs: [{metadata: {dist-git-branch: x}, packages: {a: }}]"))
	f.Add([]byte("a: !!binary aGk=\n? [x]\n: 2024-99-99\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 64<<10 {
			return
		}
		before := string(text)
		config, err := Parse(text, Options{RepoName: "widget", RepoFiles: []string{"widget.spec"}})
		if before != string(text) {
			t.Fatal("the text was changed")
		}
		if err != nil {
			errs, ok := AsErrors(err)
			if !ok || len(errs) == 0 || config != nil {
				t.Fatalf("Parse = %v, %v", config, err)
			}
			checkPlaces(t, text, errs)
			return
		}
		checkPlaces(t, text, config.Warnings)
		snapshot, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		var again models.PackageConfig
		if err := json.Unmarshal(snapshot, &again); err != nil {
			t.Fatalf("reading %s: %v", snapshot, err)
		}
		second, err := json.Marshal(again)
		if err != nil || string(second) != string(snapshot) {
			t.Fatalf("a snapshot changes when it is read: %s, then %s (%v)", snapshot, second, err)
		}
		for i := range config.Jobs {
			v := &config.Jobs[i]
			v.SRPMHash()
			v.BranchMatches("main", "main")
			for _, action := range v.Actions {
				action.Commands()
			}
		}
	})
}
