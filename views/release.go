package views

import (
	"fmt"
	"time"

	"millrace/models"
)

// ReleasePage is the way of a release to Fedora.
type ReleasePage struct {
	Project *models.Project // that it was announced for: upstream, or the package in dist-git
	Way     *models.Way
	Topics  []string      // of the projects that take part
	Earlier []*models.Way // the releases before it, newest first
	Package string        // name of its package in dist-git; empty if it has no page here
}

// PackagePage is a package in dist-git, and its releases.
type PackagePage struct {
	Project *models.Project
	Ways    []*models.Way // newest first; the first is shown whole
	Older   int64         // id before which there are more releases; 0: there are none
	Recent  models.PipelineList
	First   bool // the newest releases are shown, not older ones

	Watching Watching
}

// PackagesURL lists packages.
func PackagesURL() string { return "/packages" }

// PackageURL is the page of a package, by its name in dist-git.
func PackageURL(name string) string { return "/packages" + path(name) }

// ReleaseURL is the page of a release.
func ReleaseURL(p *models.Project, ref string) string {
	return RefURL(p, models.ReleaseRef, ref)
}

// stageHeads are the columns of the way: what they are called and where they are.
var stageHeads = [...]struct{ name, where string }{
	models.UpstreamStage: {"Upstream", "the release"},
	models.PullStage:     {"Pull request", "dist-git"},
	models.MergedStage:   {"Merged", "dist-git"},
	models.BuildStage:    {"Build", "Koji"},
	models.UpdateStage:   {"Update", "Bodhi"},
	models.TestingStage:  {"Testing", "Bodhi"},
	models.StableStage:   {"Stable", "the mirrors"},
}

// cellWords are what cells say, by stage and state; what is missing is said in
// the same words everywhere.
var cellWords = [...]map[models.CellState]string{
	models.UpstreamStage: {models.CellDone: "Released"},
	models.PullStage:     {models.CellDone: "Opened", models.CellRunning: "Being made", models.CellEnded: "Closed", models.CellSkipped: "Not proposed"},
	models.MergedStage:   {models.CellDone: "Merged", models.CellDue: "Waits for you", models.CellEnded: "Not merged"},
	models.BuildStage:    {models.CellDone: "Built", models.CellRunning: "Building"},
	models.UpdateStage:   {models.CellDone: "Created", models.CellRunning: "Being made"},
	models.TestingStage:  {models.CellDone: "Tested", models.CellRunning: "Testing", models.CellEnded: "Dropped"},
	models.StableStage:   {models.CellDone: "Stable"},
}

var cellLooks = map[models.CellState]look{
	models.CellPlanned: {"waiting", "Planned"}, models.CellRunning: {"running", "Running"}, models.CellDue: {"held", "Due"},
	models.CellDone: {"passed", "Done"}, models.CellFailed: {"failed", "Failed"}, models.CellSkipped: {"skipped", "Skipped"},
	models.CellEnded: {"canceled", "Ended"},
}

func cellLook(stage models.Stage, c models.Cell) look {
	l := cellLooks[c.State]
	if word := cellWords[stage][c.State]; word != "" {
		l.word = word
	}
	if stage == models.TestingStage && c.State == models.CellRunning && c.Product != nil && c.Product.State == models.ProductPending {
		l.word = "Gating"
	}
	return l
}

// cellName is what a cell links to, and where.
func cellName(stage models.Stage, c models.Cell) (text, address string) {
	p := c.Product
	switch {
	case p == nil:
		return "", ""
	case stage == models.TestingStage && p.State == models.ProductTesting && p.Data.NeedsKarma > 0:
		return fmt.Sprintf("karma %d of %d", p.Data.Karma, p.Data.NeedsKarma), p.URL
	case stage == models.TestingStage && p.Data.Gating != "":
		return "tests " + p.Data.Gating, p.URL
	case stage >= models.TestingStage, stage == models.MergedStage && c.State != models.CellDone:
		return "", ""
	}
	return clip(p.Name, 80), p.URL
}

// rowLook is how a branch stands as a whole.
func rowLook(r *models.WayRow) look {
	switch {
	case r.Failed():
		return look{"failed", "failed"}
	case r.Stable():
		return look{"passed", "stable"}
	case r.Due.Kind == models.DueMerge:
		return look{"held", "waits for a merge"}
	case r.Ended():
		return look{"canceled", "ended"}
	}
	return look{"running", "on its way"}
}

// dueUntil says until when patience would do too.
func dueUntil(r *models.WayRow, now time.Time) (time.Time, bool) {
	p := r.Cells[models.TestingStage].Product
	if r.Due.Kind != models.DueKarma || p == nil || !p.Data.StableAt.After(now) {
		return time.Time{}, false
	}
	return p.Data.StableAt, true
}

// rerunOf is where what a branch waits for is run again.
func rerunOf(m *models.Made) string {
	return withQuery(PipelineURL(m.Pipeline.ID)+"/rerun", "scope", "target", "step", m.Step.Name, "target", m.Target.Name)
}

// whereStopped is the first branch on which something failed, and what.
func whereStopped(w *models.Way) (*models.WayRow, *models.Made) {
	for _, row := range w.Rows {
		if m := row.Failure(); m != nil {
			return row, m
		}
	}
	return nil, nil
}

// releaseName is the package or project and the version.
func releaseName(p *models.Project, release *models.Product) string {
	name := p.Name
	if release.Package != "" {
		name = release.Package
	}
	return name + " " + clip(release.Name, 60)
}
