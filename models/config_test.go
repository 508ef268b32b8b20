package models

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pointer(s string) *string { return &s }

func newView(t JobType, trigger Trigger) *JobView {
	v := &JobView{Type: t, Trigger: trigger, Package: "widget", PackageSettings: DefaultSettings()}
	v.SpecfilePath = pointer("widget.spec")
	return v
}

func TestSplitCommand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		want []string
	}{
		{"make dist", []string{"make", "dist"}},
		{"  a\t b\n", []string{"a", "b"}},
		{`bash -c "echo \"$HOME\" \$x && ls | wc"`, []string{"bash", "-c", `echo "$HOME" \$x && ls | wc`}},
		{`a'b c'd e\ f ''`, []string{"ab cd", "e f", ""}},
		{`'a\b'`, []string{`a\b`}},
		{"", nil},
		{`a "b`, nil},
		{`a\`, nil},
	}
	for _, test := range tests {
		got, err := SplitCommand(test.line)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("SplitCommand(%q) (-want +got):\n%s", test.line, diff)
		}
		if wrong := test.want == nil && test.line != ""; wrong != (err != nil) {
			t.Errorf("SplitCommand(%q) = %v", test.line, err)
		}
	}
}

func TestActionCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		json string
		want [][]string
		bad  bool
	}{
		{`"make dist"`, [][]string{{"make", "dist"}}, false},
		{`["a b", ["c d", "e"]]`, [][]string{{"a", "b"}, {"c d", "e"}}, false},
		{`[]`, [][]string{}, false},
		{`null`, nil, true},
		{`""`, nil, true},
		{`[[]]`, nil, true},
		{`[["a", 1]]`, nil, true},
		{`{"a": "b"}`, nil, true},
	}
	for _, test := range tests {
		var a ConfigAction
		if err := json.Unmarshal([]byte(test.json), &a); err != nil {
			t.Fatal(err)
		}
		got, err := a.Commands()
		if diff := cmp.Diff(test.want, got); diff != "" || (err != nil) != test.bad {
			t.Errorf("commands of %s: %v (-want +got):\n%s", test.json, err, diff)
		}
	}
}

func TestBranchMatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		trigger Trigger
		pattern *string
		branch  string
		want    bool
	}{
		{TriggerCommit, nil, "main", true},
		{TriggerCommit, nil, "main-2", true},
		{TriggerCommit, nil, "devel", false},
		{TriggerCommit, pointer("rel-[0-9]"), "rel-12", true},
		{TriggerCommit, pointer("rel-[0-9]"), "my-rel-1", false},
		{TriggerCommit, pointer("a|b"), "cab", false},
		{TriggerCommit, pointer("^x$"), "xy", false},
		{TriggerPullRequest, nil, "anything", true},
		{TriggerPullRequest, pointer("main"), "devel", false},
		{TriggerRelease, pointer("main"), "", true},
	}
	for _, test := range tests {
		v := newView(JobCoprBuild, test.trigger)
		v.Branch = test.pattern
		got, err := v.BranchMatches(test.branch, "main")
		if err != nil || got != test.want {
			t.Errorf("%s on %q with %v: %v, %v, want %v", test.trigger, test.branch, test.pattern, got, err, test.want)
		}
	}
	if got, _ := newView(JobCoprBuild, TriggerCommit).BranchMatches("main", ""); got {
		t.Error("without a default branch any branch matches")
	}
	for _, pattern := range []string{"(?!main)", "a)(b", strings.Repeat("a", 2000)} {
		v := newView(JobCoprBuild, TriggerCommit)
		v.Branch = &pattern
		if _, err := v.BranchMatches("main", "main"); err == nil {
			t.Errorf("%.20q was accepted", pattern)
		}
	}
}

func TestLabelsAllow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		present, absent, labels []string
		want                    bool
	}{
		{nil, nil, nil, true},
		{[]string{"a", "b"}, nil, []string{"b"}, true},
		{[]string{"a", "b"}, nil, []string{"c"}, false},
		{nil, []string{"x", "y"}, []string{"y"}, false},
		{[]string{"a"}, []string{"x"}, []string{"a", "x"}, false},
	}
	for _, test := range tests {
		v := newView(JobTests, TriggerPullRequest)
		v.Require.Label = LabelRequirement{test.present, test.absent}
		if got := v.LabelsAllow(test.labels); got != test.want {
			t.Errorf("present %v, absent %v, labels %v: %v", test.present, test.absent, test.labels, got)
		}
	}
}

func TestTestTargets(t *testing.T) {
	t.Parallel()
	v := newView(JobTests, TriggerPullRequest)
	v.Targets = Targets{
		{Name: "fedora-stable"},
		{Name: "epel-9-aarch64"},
		{Name: "fedora-43", Distros: []string{"centos-stream-9", "fedora-43-s390x"}},
	}
	want := []TestTarget{
		{"fedora-42-x86_64", "fedora-42-x86_64"},
		{"fedora-43-x86_64", "centos-stream-9-x86_64"},
		{"fedora-43-x86_64", "fedora-43-s390x"},
		{"epel-9-aarch64", "centos-stream-9-aarch64"},
	}
	if diff := cmp.Diff(want, v.TestTargets(autumn, nil)); diff != "" {
		t.Errorf("test targets (-want +got):\n%s", diff)
	}
	v.UseInternalTF = true
	want = []TestTarget{{"epel-8-x86_64", "rhel-8-x86_64"}}
	if diff := cmp.Diff(want, v.TestTargets(autumn, []string{"epel-8-x86_64"})); diff != "" {
		t.Errorf("internal (-want +got):\n%s", diff)
	}
}

func TestChrootSettings(t *testing.T) {
	t.Parallel()
	v := newView(JobCoprBuild, TriggerCommit)
	v.Targets = Targets{
		{Name: "fedora-stable", AdditionalPackages: []string{"a"}, WithOpts: []string{"x"}},
		{Name: "fedora-43", AdditionalPackages: []string{}, AdditionalModules: pointer("m:1")},
		{Name: "epel-8"},
	}
	want := map[string]TargetSettings{
		"fedora-42-x86_64": {Name: "fedora-42-x86_64", AdditionalPackages: []string{"a"}, WithOpts: []string{"x"}},
		"fedora-43-x86_64": {Name: "fedora-43-x86_64", AdditionalPackages: []string{}, WithOpts: []string{"x"}, AdditionalModules: pointer("m:1")},
		"epel-8-x86_64":    {Name: "epel-8-x86_64"},
	}
	got := v.ChrootSettings(autumn)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got["epel-8-x86_64"].CoprSettings() || !got["fedora-43-x86_64"].CoprSettings() {
		t.Error("CoprSettings does not tell which chroots are changed")
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		jobType  JobType
		branches []string
		want     []string
		events   map[string]bool
	}{
		{JobPullFromUpstream, nil, []string{"main"}, map[string]bool{"rawhide": true, "f42": false}},
		{JobKojiBuild, nil, []string{"main"}, map[string]bool{"main": true, "rawhide": true}},
		{JobBodhiUpdate, nil, []string{"f42", "f43"}, map[string]bool{"f42": true, "rawhide": false}},
		{JobBodhiUpdate, []string{"fedora-all"}, []string{"f42", "f43", "f44", "main"}, map[string]bool{"rawhide": true}},
		{JobKojiBuild, []string{"f44", "c9s"}, []string{"f44", "c9s"}, map[string]bool{"c9s": true, "main": false}},
	}
	for _, test := range tests {
		v := newView(test.jobType, TriggerCommit)
		for _, b := range test.branches {
			v.DistGitBranches.List = append(v.DistGitBranches.List, DistGitBranch{Name: b})
		}
		if diff := cmp.Diff(test.want, v.Branches(autumn, "main")); diff != "" {
			t.Errorf("%s of %v (-want +got):\n%s", test.jobType, test.branches, diff)
		}
		for branch, want := range test.events {
			if got := v.ForBranch(autumn, "main", branch); got != want {
				t.Errorf("%s of %v for %s: %v", test.jobType, test.branches, branch, got)
			}
		}
	}
}

func TestSRPMHash(t *testing.T) {
	t.Parallel()
	base := newView(JobCoprBuild, TriggerPullRequest).SRPMHash()
	same := []func(*JobView){
		func(v *JobView) { v.Targets = Targets{{Name: "fedora-all"}} },
		func(v *JobView) { v.Type, v.Index, v.Identifier = JobTests, 3, pointer("x") },
		func(v *JobView) { v.Owner, v.Env = pointer("me"), map[string]any{"A": "b"} },
	}
	for i, change := range same {
		v := newView(JobCoprBuild, TriggerPullRequest)
		if change(v); v.SRPMHash() != base {
			t.Errorf("change %d makes another source package", i)
		}
	}
	seen := map[string]bool{base: true}
	other := []func(*JobView){
		func(v *JobView) { v.Actions = map[string]ConfigAction{"create-archive": {Raw: "make"}} },
		func(v *JobView) { v.ReleaseSuffix = pointer("") },
		func(v *JobView) { v.Package = "other" },
		func(v *JobView) { v.MergePRInCI = false },
		func(v *JobView) { v.SRPMBuildDeps = []string{"gcc"} },
	}
	for i, change := range other {
		v := newView(JobCoprBuild, TriggerPullRequest)
		if change(v); seen[v.SRPMHash()] {
			t.Errorf("change %d makes the same source package", i)
		}
		seen[v.SRPMHash()] = true
	}
	// The hash is stored: a new release of ours must not change it by chance.
	const stored = "4b0e7806a00e301bbc8dd1a6394cee63dc138cb99ce0c4639856281c65775ffb"
	if base != stored {
		t.Errorf("the hash of a plain view changed to %s", base)
	}
}

func TestViewSnapshot(t *testing.T) {
	t.Parallel()
	v := newView(JobTests, TriggerPullRequest)
	v.Index, v.FileIndex, v.Line = 3, 2, 17
	v.SkipBuild, v.Labels, v.Dependents, v.SidetagGroup = true, []string{}, []string{"d"}, pointer("")
	v.Identifier, v.UpstreamPackageName = pointer("id"), nil
	v.Targets = Targets{
		{Name: "z", Distros: []string{}, Unused: map[string]any{"odd": int64(1), "distro": []any{"x"}}},
		{Name: "a", AdditionalModules: pointer("")},
	}
	v.DistGitBranches = DistGitBranches{List: []DistGitBranch{{Name: "rawhide", FastForwardMergeInto: []string{"f44"}}, {Name: "epel9"}}, Mapping: true}
	v.Env = map[string]any{"A": int64(1) << 60, "B": 1.5, "C": nil, "D": true}
	v.AllowedBuilders, v.AllowedPRAuthors, v.PackitInstances = []string{}, []string{"x"}, []string{}
	v.AllowedGPGKeys = []string{}
	v.ImageRequest = map[string]any{}
	v.CreatePR = false
	v.Notifications.FailureComment.Message = pointer("m")
	v.Actions = map[string]ConfigAction{"pre-sync": {Raw: []any{"a", []any{"b"}}}}
	v.FilesToSync = []SyncFiles{{Src: []string{"a"}, Dest: "b", Filters: []string{}}}
	v.ReleaseSuffix = pointer("")

	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var got JobView
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*v, got); diff != "" {
		t.Errorf("read back from %s (-want +got):\n%s", text, diff)
	}
	if err := json.Unmarshal([]byte(`{"timeout": "long"}`), &got); err == nil {
		t.Error("a timeout that is no number was read")
	}
}
