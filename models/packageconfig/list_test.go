package packageconfig_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/packageconfig"
)

func TestParseList(t *testing.T) {
	t.Parallel()
	entries, err := packageconfig.ParseList([]byte(`packages:
  hello:
    pull_from_upstream: true
    koji_build:
      dist_git_branches: [f44, rawhide]
      allowed_pr_authors: null
    bodhi_update: false
  cowsay:
    koji_biuld: true
  bad/name: {pull_from_upstream: true}
  wrong:
    pull_from_upstream:
      version_update_specifiers: about 3
  typed:
    koji_build: {scratch: sometimes, dist_git_branch: x}
  empty: {}
  text: yes please
  number: {koji_build: 7}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		var lines []string
		for _, p := range e.Problems {
			lines = append(lines, p.Error())
		}
		got[e.Package] = strings.Join(lines, "\n")
	}
	want := map[string]string{
		"hello":    "",
		"cowsay":   "9:5: packages.cowsay.koji_biuld: koji_biuld cannot be switched on by a list. Did you mean koji_build?",
		"bad/name": "10:3: packages.bad/name: This is no name of a package.",
		"typed": "15:27: packages.typed.koji_build.scratch: It must be true or false.\n" +
			"15:55: packages.typed.koji_build.dist_git_branch: There is no such key here for koji_build. Did you mean dist_git_branches?",
		"empty":  "",
		"text":   "17:9: packages.text: A package must be a mapping of jobs, got <class 'str'>. Such as `pull_from_upstream: true`.",
		"number": "18:24: packages.number.koji_build: A job is true, false, or a mapping of settings, got <class 'int'>.",
	}
	for name, problems := range want {
		if diff := cmp.Diff(problems, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if !strings.HasPrefix(got["wrong"], "13:7: jobs[0].version_update_specifiers: ") || len(got) != len(want)+1 {
		t.Errorf("wrong: %s, of %d entries", got["wrong"], len(got))
	}
	for _, e := range entries {
		if e.Package != "hello" {
			continue
		}
		want := map[models.JobType]models.AutomationSettings{
			models.JobPullFromUpstream: {"dist_git_branches": []string{"fedora-rawhide"}, "create_sync_note": false},
			models.JobKojiBuild:        {"dist_git_branches": []string{"f44", "rawhide"}},
		}
		if diff := cmp.Diff(want, e.Jobs); diff != "" || e.Line != 2 {
			t.Errorf("line %d: %s", e.Line, diff)
		}
	}
	var many strings.Builder
	many.WriteString("packages:\n")
	for i := range 5001 {
		fmt.Fprintf(&many, "  p%d: {}\n", i)
	}
	for text, says := range map[string]string{
		"packages: [a]": "1:11: packages: 'packages' must be a mapping", "[a]": "must be a mapping with the key packages", "package: {}": "Did you mean packages?",
		"packages: {a: &x {b: *x}}": "", "a: [": "", many.String(): "5001 packages are too many",
	} {
		if _, err := packageconfig.ParseList([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	for _, text := range []string{"", "# nothing\n", "packages:\n", "packages: {}\n"} {
		if entries, err := packageconfig.ParseList([]byte(text)); err != nil || len(entries) != 0 {
			t.Errorf("%q: %v, %v", text, entries, err)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte("packages:\n  a: {koji_build: true, bodhi_update: {dependencies: [b]}}\n"))
	f.Add([]byte("packages: {a: {pull_from_upstream: {upstream_tag_template: '{'}}}"))
	f.Add([]byte("packages: {? [x] : {}, 1: {}, a: {<<: {koji_build: true}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 32<<10 {
			return
		}
		entries, err := packageconfig.ParseList(text)
		if _, ok := packageconfig.AsErrors(err); err != nil && !ok {
			t.Fatalf("an error that names no place: %v", err)
		}
		for _, e := range entries {
			if len(e.Problems) > 0 {
				continue
			}
			p := &models.Project{Name: e.Package}
			if _, err := packageconfig.ParseAutomations(e.Automations(p), packageconfig.Options{RepoName: p.Name, RepoFiles: []string{p.Name + ".spec"}}); err != nil {
				t.Fatalf("%s was found to be good: %v", e.Package, err)
			}
		}
	})
}
