package models_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/packageconfig"
)

var seen = models.Releases{
	{Name: "F43", LongName: "Fedora 43", Version: "43", IDPrefix: "FEDORA", Branch: "f43", State: "current"},
	{Name: "F44", LongName: "Fedora 44", Version: "44", IDPrefix: "FEDORA", Branch: "f44", State: "current"},
	{Name: "F45", LongName: "Fedora 45", Version: "45", IDPrefix: "FEDORA", Branch: "rawhide", State: "pending"},
	{Name: "EPEL-9", LongName: "Fedora EPEL 9", Version: "9", IDPrefix: "FEDORA-EPEL", Branch: "epel9", State: "current"},
}

func switched(job models.JobType, settings models.AutomationSettings) *models.Automation {
	return &models.Automation{Package: "hello", Job: job, Version: 1, Enabled: true, Settings: settings, Source: models.FromBrowser}
}

func TestForesee(t *testing.T) {
	t.Parallel()
	project := &models.Project{Forge: "dist.test", Namespace: "rpms", Name: "hello", DefaultBranch: "rawhide"}
	release := &models.Event{Kind: models.UpstreamVersionEvent, Commit: &models.Commit{Kind: models.UpstreamRef, Ref: "1.2rc1"}}
	push := &models.Event{Kind: models.PushEvent, Actor: "ada", Commit: &models.Commit{Kind: models.BranchRef, Ref: "f44"}}
	pull := func(branches ...string) *models.Automation {
		return switched(models.JobPullFromUpstream, models.AutomationSettings{"dist_git_branches": branches})
	}
	build := func(more models.AutomationSettings, branches ...string) *models.Automation {
		more["dist_git_branches"] = branches
		return switched(models.JobKojiBuild, more)
	}
	update := func(branches ...string) *models.Automation {
		return switched(models.JobBodhiUpdate, models.AutomationSettings{"dist_git_branches": branches})
	}
	tests := []struct {
		name    string
		of      []*models.Automation
		release *models.Event
		want    models.Foresight
	}{
		{"nothing is switched on", nil, nil, models.Foresight{
			Pulls:    models.Foreseen{Reason: "No job is switched on for it."},
			Builds:   models.Foreseen{Reason: "No job is switched on for it."},
			Updates:  models.Foreseen{Reason: "No job is switched on for it."},
			OfCommit: models.Foreseen{Reason: "No job is switched on for it."},
		}},
		{"all of it, and a branch without updates", []*models.Automation{
			pull("fedora-all", "epel9"), build(models.AutomationSettings{"allowed_committers": []string{"all_committers"}}, "fedora-all", "epel9"), update("fedora-branched"),
		}, release, models.Foresight{
			Pulls:  models.Foreseen{Branches: []string{"f43", "f44", "rawhide", "epel9"}},
			Builds: models.Foreseen{Branches: []string{"f43", "f44", "rawhide", "epel9"}},
			Updates: models.Foreseen{Branches: []string{"f43", "f44"}, Not: []models.Dropped{
				{Target: "rawhide", Reason: "It is for the branches f43, f44; this is rawhide."},
				{Target: "epel9", Reason: "It is for the branches f43, f44; this is epel9."},
			}},
			OfCommit: models.Foreseen{Branches: []string{"f44"}},
		}},
		{"builds alone, of others", []*models.Automation{build(models.AutomationSettings{"allowed_pr_authors": []string{"bo"}}, "f43")}, nil, models.Foresight{
			Pulls: models.Foreseen{Reason: "No job is switched on for it."},
			Builds: models.Foreseen{
				Reason: "packit opened the pull request, and is not among allowed_pr_authors (bo).",
				Not:    []models.Dropped{{Target: "f43", Reason: "packit opened the pull request, and is not among allowed_pr_authors (bo)."}},
			},
			Updates:  models.Foreseen{Reason: "No job is switched on for it."},
			OfCommit: models.Foreseen{Reason: "It is for the branches f43; this is f44."},
		}},
		{"updates of builds in side tags", []*models.Automation{
			build(models.AutomationSettings{"sidetag_group": "stack"}, "f44"), update("f44"),
		}, nil, models.Foresight{
			Pulls:  models.Foreseen{Reason: "No job is switched on for it."},
			Builds: models.Foreseen{Branches: []string{"f44"}},
			Updates: models.Foreseen{
				Reason: "The build is in a side tag of the group stack, which is not this job's.",
				Not:    []models.Dropped{{Target: "f44", Reason: "The build is in a side tag of the group stack, which is not this job's."}},
			},
			OfCommit: models.Foreseen{Reason: "ada pushed the commit, and allowed_committers is empty."},
		}},
		{"a release that a filter refuses", []*models.Automation{
			switched(models.JobPullFromUpstream, models.AutomationSettings{"dist_git_branches": []string{"rawhide"}, "upstream_tag_exclude": ".*rc.*"}),
		}, release, models.Foresight{
			Pulls:    models.Foreseen{Reason: "The tag 1.2rc1 matches upstream_tag_exclude (.*rc.*)."},
			Builds:   models.Foreseen{Reason: "No job is switched on for it."},
			Updates:  models.Foreseen{Reason: "No job is switched on for it."},
			OfCommit: models.Foreseen{Reason: "No job is switched on for it."},
		}},
		{"the same filter, and no release yet", []*models.Automation{
			switched(models.JobPullFromUpstream, models.AutomationSettings{"dist_git_branches": []string{"rawhide"}, "upstream_tag_include": "v9"}),
		}, nil, models.Foresight{
			Pulls:    models.Foreseen{Branches: []string{"rawhide"}},
			Builds:   models.Foreseen{Reason: "No job is switched on for it."},
			Updates:  models.Foreseen{Reason: "No job is switched on for it."},
			OfCommit: models.Foreseen{Reason: "No job is switched on for it."},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config, err := packageconfig.ParseAutomations(test.of, packageconfig.Options{RepoName: "hello", RepoFiles: []string{"hello.spec"}})
			if err != nil {
				t.Fatal(err)
			}
			facts := models.Facts{
				Deployment: "prod", Releases: seen,
				Kinds:      map[models.StepKind]bool{models.PullFromUpstreamStep: true, models.KojiBuildStep: true, models.BodhiUpdateStep: true},
				Downstream: models.Downstream{IsPackage: true, Defaults: map[string]string{"rpms/hello": "rawhide"}, Members: map[string][]string{"all_committers": {"ada"}}},
			}
			got := models.Foresee(project, config, facts, "packit", test.release, push, models.Downstream{Branch: "f44", Actor: "ada", Changed: []string{"hello.spec"}})
			test.want.Release, test.want.Commit = test.release, push
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for _, o := range []models.Origin{{}, {Source: models.FromBrowser, Version: 3, Who: "maren"}, {Source: models.FromList, Version: 12}} {
		if got := models.ParseOrigin(o.String()); got != o {
			t.Errorf("%+v comes back as %+v", o, got)
		}
	}
	for _, text := range []string{"browser", "browser x", "browser 3 a b", " "} {
		if got := models.ParseOrigin(text); got != (models.Origin{}) {
			t.Errorf("%q is %+v", text, got)
		}
	}
}
