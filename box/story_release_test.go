package box

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
)

func way(branches map[string]models.Stage) *models.Way {
	w := &models.Way{}
	for branch, stage := range branches {
		row := &models.WayRow{Branch: branch}
		row.Cells[models.UpstreamStage].State = models.CellDone
		row.Cells[stage].State = models.CellDone
		w.Rows = append(w.Rows, row)
	}
	return w
}

func TestWayDifferences(t *testing.T) {
	t.Parallel()
	stable := map[string]models.Stage{"f44": models.StableStage}
	tests := map[string]struct {
		want map[string]models.Stage
		way  *models.Way
		said []string
	}{
		"as it should":  {stable, way(stable), nil},
		"unknown":       {stable, nil, []string{"nothing is known of it"}},
		"not so far":    {stable, way(map[string]models.Stage{"f44": models.BuildStage}), []string{"on f44 it has come to build, want stable"}},
		"too far":       {map[string]models.Stage{"f44": models.PullStage}, way(stable), []string{"on f44 it has come to stable, want pull request"}},
		"missing":       {stable, way(nil), []string{"on f44 it has come to upstream, want stable"}},
		"one too many":  {nil, way(stable), []string{"it has come to f44, too"}},
		"none, as said": {nil, way(nil), nil},
	}
	for name, test := range tests {
		if d := cmp.Diff(test.said, wayDifferences(test.want, test.way)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	want, is := map[string]int{"a": 1, "b": 2}, map[string]int{"b": 1, "c": 1}
	said := []string{`pipelines "a": 0, want 1`, `pipelines "b": 1, want 2`, `pipelines "c": 1, want none`}
	if d := cmp.Diff(said, countDifferences(want, is)); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	teller := &Teller{Patience: 50 * time.Millisecond, Every: time.Millisecond}
	looks := 0
	err := teller.await(t.Context(), "it", func() ([]string, error) {
		if looks++; looks < 3 {
			return []string{"not yet"}, nil
		}
		return nil, nil
	})
	if err != nil || looks != 3 {
		t.Errorf("after %d looks: %v", looks, err)
	}
	err = teller.await(t.Context(), "the thing", func() ([]string, error) { return []string{"never so"}, nil })
	if err == nil || !strings.Contains(err.Error(), "patience is over; the thing:\n\tnever so") {
		t.Errorf("what never comes: %v", err)
	}
	broken := errors.New("broken")
	if err := teller.await(t.Context(), "it", func() ([]string, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("what breaks: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := teller.await(ended, "it", func() ([]string, error) { return []string{"not yet"}, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("what is ended: %v", err)
	}
}
