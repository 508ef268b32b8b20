package models_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
)

func entry(day int, name, text string) models.ChangelogEntry {
	return models.ChangelogEntry{Time: time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC), Name: name, Text: text}
}

func TestNewEntries(t *testing.T) {
	t.Parallel()
	three := []models.ChangelogEntry{entry(20, "ada - 3", "- three"), entry(19, "ada - 2", "- two"), entry(18, "ada - 1", "- one")}
	for _, test := range []struct {
		name               string
		changelog, earlier []models.ChangelogEntry
		want               int
	}{
		{"what was added", three, three[1:], 1},
		{"nothing was added", three, three, 0},
		{"on the same day", append([]models.ChangelogEntry{entry(20, "ada - 4", "- four")}, three...), three, 1},
		{"the earlier one was rewritten", three, []models.ChangelogEntry{entry(19, "eve - 2", "- other")}, 2},
		{"the earlier one is newer", three, []models.ChangelogEntry{entry(21, "eve - 9", "- nine")}, 0},
		{"a new package", three, nil, 1},
		{"no changelog", nil, nil, 0},
	} {
		if got := models.NewEntries(test.changelog, test.earlier); len(got) != test.want {
			t.Errorf("%s: %v, want %d of them", test.name, got, test.want)
		}
	}
}

func TestUpdateNotes(t *testing.T) {
	t.Parallel()
	got := models.UpdateNotes([]models.UpdatedBuild{
		{NVR: "hello-2-1.fc43", Package: "hello", News: []models.ChangelogEntry{
			entry(20, "Ada <ada@fedoraproject.org> - 2-1", "- Update to 2\n- Resolves: rhbz#2300001\n"), entry(9, "Ada", "- ``` in it"),
		}},
		{NVR: "wheel-1-1.fc43", Package: "wheel"},
	})
	want := "Automatic update for hello-2-1.fc43, wheel-1-1.fc43.\n\n##### **Changelog for hello**\n\n```\n" +
		"* Fri Nov 20 2026 Ada <ada@fedoraproject.org> - 2-1\n- Update to 2\n- Resolves: rhbz#2300001\n\n" +
		"* Mon Nov 09 2026 Ada\n- ''' in it\n\n```"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
