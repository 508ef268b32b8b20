package store_test

import (
	"errors"
	"testing"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// TestSideTags: each group has one for each branch, the newest.
func TestSideTags(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		save := func(group, branch, name string) {
			t.Helper()
			err := s.InTx(t.Context(), func(tx *store.Tx) error {
				return tx.SaveSideTag(t.Context(), &models.SideTag{Group: group, Branch: branch, Name: name})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		save("one", "f43", "f43-build-side-1")
		save("one", "f44", "f44-build-side-2")
		save("one", "f43", "f43-build-side-3")
		for _, test := range []struct{ group, branch, want string }{
			{"one", "f43", "f43-build-side-3"}, {"one", "f44", "f44-build-side-2"}, {"two", "f43", ""},
		} {
			tag, err := s.SideTag(t.Context(), test.group, test.branch)
			if test.want == "" {
				if !errors.Is(err, models.ErrNotFound) {
					t.Errorf("%s for %s: %v", test.group, test.branch, err)
				}
				continue
			}
			if err != nil || tag.Name != test.want {
				t.Errorf("%s for %s: %+v, %v, want %s", test.group, test.branch, tag, err, test.want)
			}
		}
		if tag, err := s.SideTagNamed(t.Context(), "f43-build-side-3"); err != nil || tag.Group != "one" || tag.Branch != "f43" {
			t.Errorf("by its name: %+v, %v", tag, err)
		}
		if _, err := s.SideTagNamed(t.Context(), "f43-build-side-1"); !errors.Is(err, models.ErrNotFound) {
			t.Errorf("the one that was replaced: %v", err)
		}
	})
}
