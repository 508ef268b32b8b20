package handlers

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// aRelease stores a release of rpms/hello that has come to f44, failed on f43 and
// waits on rawhide, and one before it.
func aRelease(t testing.TB, s *store.Store) (project *models.Project, failed *models.Graph) {
	t.Helper()
	failed = storetest.Pipeline(t, s, "rpms/hello", 1, storetest.Shape{{Kind: models.KojiBuildStep, Targets: []string{"f43"}}})
	run := failed.Steps[0].Targets[0].Run
	err := s.InTx(t.Context(), func(tx *store.Tx) error {
		g, err := tx.LockGraph(t.Context(), failed.ID)
		if err != nil {
			return err
		}
		if err := g.SetRun(g.Run(run.ID), models.Failed, "The build of it failed.", store.Now()); err != nil {
			return err
		}
		g.Advance(store.Now())
		return tx.SaveGraph(t.Context(), g)
	})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := s.Pipeline(t.Context(), failed.ID)
	if err != nil {
		t.Fatal(err)
	}
	project = whole.Project
	save := func(p *models.Product, from ...models.ProductRef) *models.Product {
		t.Helper()
		p.ProjectID, p.Package = project.ID, "hello"
		if err := s.InTx(t.Context(), func(tx *store.Tx) error { return tx.SaveProduct(t.Context(), p, from...) }); err != nil {
			t.Fatal(err)
		}
		return p
	}
	release := func(version string) models.ProductRef {
		ref := models.ReleaseRefOf(project, version)
		return save(&models.Product{Kind: ref.Kind, Key: ref.Key, Name: version, Version: version, State: models.ProductDone, CreatedAt: store.Now().Add(-time.Hour)}).Ref()
	}
	release("1.9")
	newest := release("2.0")
	way := func(branch string, event int64, build models.ProductState, update models.ProductState) {
		pull := save(&models.Product{Kind: models.PullProduct, Key: "p" + branch, Branch: branch, Name: "PR 7", State: models.ProductMerged, URL: "https://dist.test/pr/7"}, newest)
		commit := save(&models.Product{Kind: models.CommitProduct, Key: "c" + branch, Branch: branch, Name: "abcdef1", State: models.ProductDone, EventID: event}, pull.Ref())
		if build == "" {
			return
		}
		made := save(&models.Product{Kind: models.BuildProduct, Key: "b" + branch, Branch: branch, Name: "hello-2.0-1.fc44", State: build}, commit.Ref())
		if update != "" {
			save(&models.Product{Kind: models.UpdateProduct, Key: "u" + branch, Branch: branch, Name: "FEDORA-2026-1", State: update, URL: "javascript:alert(1)"}, made.Ref())
		}
	}
	way("f44", 0, models.ProductComplete, models.ProductStable)
	way("f43", failed.EventID, models.ProductFailed, "")
	save(&models.Product{Kind: models.PullProduct, Key: "open", Branch: "rawhide", Name: "PR 8", State: models.ProductOpen, URL: "https://dist.test/pr/8"}, newest)
	return project, failed
}

// TestReleasePages: the way of a release, its parts, and the package, on both
// databases.
func TestReleasePages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		project, failed := aRelease(t, s)
		at := newSite(t, s)
		at.PackageForge = project.Forge
		tests := []struct {
			path string
			want []string
			not  []string
		}{
			{"/projects/" + project.Path() + "/-/releases/2.0", []string{
				"hello 2.0", "1 of 3 stable", "1 failed", "1 to be merged", "Merge PR 8.", `href="https://dist.test/pr/8"`, "Why f43 stopped",
				"The build of it failed.", fmt.Sprintf("/pipelines/%d/rerun?scope=target&amp;step=koji_build-0&amp;target=f43", failed.ID),
				"/-/releases/1.9", `href="/packages/hello"`, "FEDORA-<wbr>2026",
			}, []string{"javascript:alert"}},
			{"/projects/" + project.Path() + "/-/releases/2.0?fragment=way", []string{`id="release-way"`, "Branches and stages"}, []string{"<html"}},
			{"/projects/" + project.Path() + "/-/releases/2.0?fragment=head", []string{`id="release-head"`}, []string{"<html"}},
			{"/projects/" + project.Path() + "/-/releases/1.9", []string{"This release goes nowhere"}, []string{"Earlier releases"}},
			{"/packages/hello", []string{"Release ", "2.0", "1.9", "Pipelines in dist-git"}, nil},
			{"/packages/hello?fragment=releases", []string{`id="package-releases"`}, []string{"<html"}},
			{"/packages", []string{`rpms/<wbr>hello`}, nil},
		}
		for _, test := range tests {
			answer := at.get(t, test.path)
			body := answer.Body.String()
			if answer.Code != http.StatusOK {
				t.Errorf("%s: %d", test.path, answer.Code)
			}
			for _, want := range test.want {
				if !strings.Contains(body, want) {
					t.Errorf("%s lacks %q", test.path, want)
				}
			}
			for _, not := range test.not {
				if strings.Contains(body, not) {
					t.Errorf("%s has %q", test.path, not)
				}
			}
		}
		for _, path := range []string{"/packages/nothing", "/projects/" + project.Path() + "/-/ways/9", "/projects/" + project.Path() + "/-/releases/9"} {
			if answer := at.get(t, path); answer.Code != http.StatusNotFound {
				t.Errorf("%s: %d", path, answer.Code)
			}
		}
	})
}

func TestReleaseJSON(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	project, failed := aRelease(t, s)
	at := newSite(t, s)
	at.PackageForge = project.Forge
	way := decode[Way](t, at.get(t, "/api/v3/projects/"+project.Path()+"/-/ways/2.0").Body)
	if way.State != models.Failed || len(way.Branches) != 3 || way.Branches[0].Branch != "rawhide" || way.Branches[0].Due != models.DueMerge {
		t.Errorf("the way is %+v", way)
	}
	build := way.Branches[2].Stages[3]
	if build.Stage != "build" || build.State != models.CellFailed || build.PipelineID != failed.ID {
		t.Errorf("the build of f43 is %+v", build)
	}
	if pkg := decode[Package](t, at.get(t, "/api/v3/packages/hello").Body); pkg.Name != "hello" || len(pkg.Releases) != 2 {
		t.Errorf("the package is %+v", pkg)
	}
}
