package store_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func TestAutomationVersions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		project := storetest.Pipeline(t, s, "rpms/hello", 1, storetest.PullRequest).ProjectID
		save := func(job models.JobType, enabled bool, expected int) error {
			return s.InTx(t.Context(), func(tx *store.Tx) error {
				return tx.SaveAutomation(t.Context(), &models.Automation{
					ProjectID: project, Package: "hello", Job: job, Enabled: enabled, Source: models.FromBrowser,
					Settings: models.AutomationSettings{"dist_git_branches": []string{"rawhide"}, "scratch": true},
				}, expected)
			})
		}
		for _, step := range []struct {
			job      models.JobType
			enabled  bool
			expected int
		}{{models.JobBodhiUpdate, true, 0}, {models.JobKojiBuild, true, 0}, {models.JobKojiBuild, false, 1}} {
			if err := save(step.job, step.enabled, step.expected); err != nil {
				t.Fatal(err)
			}
		}
		newer, ok := errors.AsType[*models.VersionError](save(models.JobKojiBuild, true, 1))
		if !ok || newer.Newest != 2 {
			t.Errorf("saving over a newer version: %v", newer)
		}
		now, err := s.Automations(t.Context(), project)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range now {
			state := "off"
			if a.Enabled {
				state = "on"
			}
			got = append(got, string(a.Job)+" "+state)
			if a.CreatedAt.IsZero() || a.Settings["scratch"] != true {
				t.Errorf("stored as %+v", a)
			}
		}
		if diff := cmp.Diff([]string{"koji_build off", "bodhi_update on"}, got); diff != "" {
			t.Error(diff)
		}
		all, err := s.AutomationHistory(t.Context(), project)
		if err != nil || len(all) != 3 || all[0].Version != 2 {
			t.Errorf("the history is %v, %v", all, err)
		}
	})
}

// TestAutomationRace: of several who save at once one does, and the others are
// told.
func TestAutomationRace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		project := storetest.Pipeline(t, s, "rpms/hello", 1, storetest.PullRequest).ProjectID
		errs := make([]error, 4)
		var saving sync.WaitGroup
		for i := range errs {
			saving.Go(func() {
				errs[i] = s.InTx(t.Context(), func(tx *store.Tx) error {
					return tx.SaveAutomation(t.Context(), &models.Automation{
						ProjectID: project, Package: "hello", Job: models.JobKojiBuild, Enabled: true, Source: models.FromBrowser,
						Settings: models.AutomationSettings{},
					}, 0)
				})
			})
		}
		saving.Wait()
		saved := 0
		for _, err := range errs {
			if err == nil {
				saved++
			} else if _, told := errors.AsType[*models.VersionError](err); !told {
				t.Error(err)
			}
		}
		if saved != 1 {
			t.Errorf("%d saved version 1", saved)
		}
	})
}
