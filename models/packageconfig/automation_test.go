package packageconfig_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/packageconfig"
)

func automation(job models.JobType, settings models.AutomationSettings) *models.Automation {
	return &models.Automation{Package: "hello", Job: job, Version: 3, Enabled: true, Settings: settings, Source: models.FromBrowser}
}

var dist = packageconfig.Options{RepoName: "hello", RepoFiles: []string{"hello.spec", "sources"}}

func TestWriteAutomations(t *testing.T) {
	t.Parallel()
	off := automation(models.JobKojiBuild, models.AutomationSettings{"scratch": true})
	off.Enabled = false
	tests := []struct {
		name string
		of   []*models.Automation
		want string
	}{
		{"nothing", nil, "jobs: []\n"},
		{"what is switched off or the format's default is not written", []*models.Automation{
			automation(models.JobPullFromUpstream, models.AutomationSettings{
				"dist_git_branches": []string{"rawhide", "f44"}, "upstream_tag_template": "{version}", "upstream_tag_include": "",
				"create_sync_note": false, "upstream_project_url": "https://forge.test/a/hello", "made_up": "x",
			}), off,
		}, `upstream_project_url: https://forge.test/a/hello
jobs:
  - job: pull_from_upstream
    trigger: release
    dist_git_branches: [rawhide, f44]
    create_sync_note: false
`},
		{"keys below keys, numbers, and what must be quoted", []*models.Automation{
			automation(models.JobBodhiUpdate, models.AutomationSettings{
				"bodhi_extra_params.stable_days": 3, "bodhi_extra_params.autokarma": false, "allowed_builders": []string{"@a: b", "packit"},
				"sidetag_group": "yes", "issue_repository": "https://forge.test/a/issues",
			}),
		}, `issue_repository: https://forge.test/a/issues
jobs:
  - job: bodhi_update
    trigger: koji_build
    allowed_builders: ['@a: b', packit]
    bodhi_extra_params:
      autokarma: false
      stable_days: 3
    sidetag_group: "yes"
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := packageconfig.WriteAutomations(test.of)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Error(diff)
			}
			if _, err := packageconfig.Parse(got, dist); err != nil && test.of != nil {
				t.Errorf("it is no valid config: %v", err)
			}
		})
	}
}

// TestAutomationsComeBack: settings that went through the database mean the same.
func TestAutomationsComeBack(t *testing.T) {
	t.Parallel()
	for _, job := range models.AutomationJobs {
		settings := models.AutomationSettings{}
		for _, field := range models.AutomationFields(job) {
			switch field.Kind {
			case models.ListField:
				settings[field.Key] = []string{"one", "two"}
			case models.NumberField:
				settings[field.Key] = 2
			case models.SwitchField:
				settings[field.Key] = field.Usual != true
			case models.ChoiceField:
				settings[field.Key] = field.Choices[1]
			case models.TextField:
				settings[field.Key] = map[string]string{"upstream_tag_template": "v{version}", "version_update_specifiers": "<3"}[field.Key]
				if settings[field.Key] == "" {
					settings[field.Key] = "some"
				}
			}
		}
		stored, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		var back models.AutomationSettings
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		direct, err := packageconfig.ParseAutomations([]*models.Automation{automation(job, settings)}, dist)
		if err != nil {
			t.Fatalf("%s: %v", job, err)
		}
		again, err := packageconfig.ParseAutomations([]*models.Automation{automation(job, back)}, dist)
		if err != nil {
			t.Fatalf("%s: %v", job, err)
		}
		if diff := cmp.Diff(direct.Jobs, again.Jobs); diff != "" {
			t.Errorf("%s: %s", job, diff)
		}
		if len(direct.Jobs) != 1 || direct.Jobs[0].Type != job || direct.Jobs[0].Origin != "browser 3" || !job.CanRun(direct.Jobs[0].Trigger) {
			t.Errorf("%s became %+v", job, direct.Jobs)
		}
		// Every field but the lists that say nothing reached the job.
		changed := direct.Jobs[0].Changed()
		for key := range settings {
			top, _, _ := strings.Cut(key, ".")
			if _, ok := changed[top]; !ok {
				t.Errorf("%s: %s changed nothing", job, key)
			}
		}
	}
}

func TestAutomationsWithMistakes(t *testing.T) {
	t.Parallel()
	_, err := packageconfig.ParseAutomations([]*models.Automation{
		automation(models.JobPullFromUpstream, models.AutomationSettings{"version_update_specifiers": "about 3", "upstream_tag_template": 7.0}),
	}, dist)
	problems, ok := packageconfig.AsErrors(err)
	if !ok || len(problems) != 2 {
		t.Fatalf("the mistakes are %v", err)
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	file, err := packageconfig.Parse([]byte("jobs:\n- {job: koji_build, trigger: commit}\n- {job: tests, trigger: commit, skip_build: true}\n"), dist)
	if err != nil {
		t.Fatal(err)
	}
	automated, err := packageconfig.ParseAutomations([]*models.Automation{
		automation(models.JobPullFromUpstream, nil), automation(models.JobKojiBuild, nil), automation(models.JobBodhiUpdate, nil),
	}, dist)
	if err != nil {
		t.Fatal(err)
	}
	joined, overruled := packageconfig.Join(file, automated, ".packit.yaml")
	var got []string
	seen := map[int]bool{}
	for _, job := range joined.Jobs {
		got = append(got, strings.TrimSpace(string(job.Type)+" "+job.Origin))
		if seen[job.Index] {
			t.Errorf("two jobs are number %d", job.Index)
		}
		seen[job.Index] = true
	}
	if diff := cmp.Diff([]string{"koji_build", "tests", "pull_from_upstream browser 3", "bodhi_update browser 3"}, got); diff != "" {
		t.Error(diff)
	}
	if len(overruled) != 1 || overruled[0].Job != models.JobKojiBuild || !strings.Contains(overruled[0].Reason, ".packit.yaml") {
		t.Errorf("overruled: %+v", overruled)
	}
	if len(file.Jobs) != 2 {
		t.Error("the file's config was changed")
	}
	if alone, overruled := packageconfig.Join(nil, automated, ""); alone != automated || overruled != nil {
		t.Error("without a file the automations count as they are")
	}
}
