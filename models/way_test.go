package models_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
)

// world is what a way is made of, put together a step at a time.
type world struct {
	products  []*models.Product
	pipelines []*models.Pipeline
}

// add adds a product with the next id, told of by the event of the same number.
func (w *world) add(kind models.ProductKind, branch string, state models.ProductState) *models.Product {
	p := &models.Product{
		ID: int64(len(w.products) + 1), Kind: kind, Branch: branch, State: state,
		Name: fmt.Sprint(kind, " ", branch), CreatedAt: noon,
	}
	p.EventID = p.ID
	w.products = append(w.products, p)
	return p
}

// merged adds a merged pull request and the commit that it became.
func (w *world) merged(branch string) *models.Product {
	w.add(models.PullProduct, branch, models.ProductMerged)
	return w.add(models.CommitProduct, branch, models.ProductDone)
}

// ran adds a pipeline of a product's event with one step: targets as
// "f43=passed".
func (w *world) ran(p *models.Product, kind models.StepKind, targets ...string) {
	step := &models.Step{Kind: kind, Name: string(kind)}
	for _, t := range targets {
		name, state, _ := strings.Cut(t, "=")
		id := int64(1000 + len(w.pipelines)*100 + len(step.Targets))
		step.Targets = append(step.Targets, &models.Target{Name: name, RunID: id, Run: &models.Run{ID: id, State: models.State(state), CreatedAt: noon}})
	}
	w.pipelines = append(w.pipelines, &models.Pipeline{ID: int64(len(w.pipelines) + 1), EventID: p.EventID, Steps: []*models.Step{step}})
}

// drawn is a way in short: a letter for each cell, and what is due.
func drawn(w *models.Way) []string {
	letters := map[models.CellState]string{
		models.CellPlanned: ".", models.CellRunning: "r", models.CellDue: "?", models.CellDone: "+",
		models.CellFailed: "X", models.CellSkipped: "-", models.CellEnded: "/",
	}
	var lines []string
	for _, row := range w.Rows {
		line := row.Branch + " "
		for _, cell := range row.Cells {
			line += letters[cell.State]
		}
		if row.Due.Kind != "" {
			line += " " + string(row.Due.Kind)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestWay(t *testing.T) {
	t.Parallel()
	const (
		release, pull = models.ReleaseProduct, models.PullProduct
		build, update = models.BuildProduct, models.UpdateProduct
	)
	tests := []struct {
		name string
		make func(w *world, r *models.Product)
		want []string
	}{
		{"nothing is planned for it", func(*world, *models.Product) {}, nil},
		{"pull requests are being made", func(w *world, r *models.Product) {
			w.ran(r, models.PullFromUpstreamStep, "epel9=skipped", "f9=waiting", "f43=running", "f44=failed", "rawhide=passed")
			w.add(pull, "rawhide", models.ProductOpen)
		}, []string{"rawhide ++?.... merge", "f44 +X..... rerun", "f43 +r.....", "f9 +......", "epel9 +-....."}},
		{"merged, before the commit is known", func(w *world, _ *models.Product) {
			w.add(pull, "f43", models.ProductMerged)
		}, []string{"f43 +++...."}},
		{"closed", func(w *world, _ *models.Product) {
			w.add(pull, "f43", models.ProductClosed)
		}, []string{"f43 +//...."}},
		{"the build waits for its turn", func(w *world, _ *models.Product) {
			c := w.merged("f43")
			w.ran(c, models.KojiBuildStep, "f43=queued")
		}, []string{"f43 +++r..."}},
		{"the build failed, and is being made anew", func(w *world, _ *models.Product) {
			c := w.merged("f43")
			b := w.add(build, "f43", models.ProductFailed)
			w.ran(c, models.KojiBuildStep, "f43=running")
			b.RunID = 1 // that of the attempt before
		}, []string{"f43 +++r..."}},
		{"the build failed", func(w *world, _ *models.Product) {
			c := w.merged("f43")
			w.ran(c, models.KojiBuildStep, "f43=failed")
			w.add(build, "f43", models.ProductFailed).RunID = w.pipelines[0].Steps[0].Targets[0].RunID
		}, []string{"f43 +++X... rerun"}},
		{"another branch's pipeline of the same event is another row's", func(w *world, _ *models.Product) {
			c := w.merged("f43")
			w.ran(c, models.KojiBuildStep, "f44=failed")
		}, []string{"f43 +++...."}},
		{"the update could not be made", func(w *world, _ *models.Product) {
			w.merged("f43")
			w.ran(w.add(build, "f43", models.ProductComplete), models.BodhiUpdateStep, "f43=error")
		}, []string{"f43 ++++X.. rerun"}},
		{"updates at all their stages", func(w *world, _ *models.Product) {
			for branch, state := range map[string]models.ProductState{
				"f41": models.ProductPending, "f42": models.ProductTesting, "f43": models.ProductStable, "f44": models.ProductDropped, "f40": models.ProductPending,
			} {
				w.merged(branch)
				w.add(build, branch, models.ProductComplete)
				u := w.add(update, branch, state)
				if branch == "f40" {
					u.Data.Gating = "failed"
				}
			}
		}, []string{"f44 +++++/.", "f43 +++++++", "f42 +++++r. feedback", "f41 +++++r.", "f40 +++++X. gating"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := new(world)
			r := w.add(release, "", models.ProductDone)
			test.make(w, r)
			way := models.NewWay(r, w.products, w.pipelines)
			if diff := cmp.Diff(test.want, drawn(way)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProductsThatGoOn(t *testing.T) {
	t.Parallel()
	var open []models.ProductState
	for _, s := range []models.ProductState{
		models.ProductDone, models.ProductOpen, models.ProductMerged, models.ProductClosed, models.ProductBuilding, models.ProductComplete,
		models.ProductFailed, models.ProductCanceled, models.ProductPending, models.ProductTesting, models.ProductStable, models.ProductDropped,
	} {
		if !s.Finished() {
			open = append(open, s)
		}
	}
	want := []models.ProductState{models.ProductOpen, models.ProductBuilding, models.ProductPending, models.ProductTesting}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Error(diff)
	}
}
