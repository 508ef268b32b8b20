package bench

import (
	"context"
	"fmt"

	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// What is measured of releases: the largest that anybody will have, among what a
// few years of a distribution leave.
const (
	releaseBranches = 30
	releaseRounds   = 3 // builds of each branch, so that about 200 events tell of it
	otherReleases   = 500
)

// releases measures the page of a release beside that of a pipeline with 5
// targets.
func releases(ctx context.Context, b *bench) error {
	address, err := b.empty(ctx, "releases", true)
	if err != nil {
		return err
	}
	site, err := openSite(ctx, address)
	if err != nil {
		return err
	}
	defer site.close()
	v, err := visit(site.address)
	if err != nil {
		return err
	}
	defer v.conn.Close()
	g, err := makePipeline(ctx, site.store, 0, fanOut(2))
	if err != nil {
		return err
	}
	p, err := site.store.Pipeline(ctx, g.ID)
	if err != nil {
		return err
	}
	for i := range b.pick(otherReleases, 50) {
		if _, err := makeRelease(ctx, site.store, p.Project, fmt.Sprintf("0.%d", i), 4, 0); err != nil {
			return err
		}
	}
	events, err := makeRelease(ctx, site.store, p.Project, "1.0", releaseBranches, releaseRounds)
	if err != nil {
		return err
	}
	page, pipeline := views.ReleaseURL(p.Project, "1.0"), fmt.Sprintf("/pipelines/%d", g.ID)
	ways := fmt.Sprintf("/api/v3/projects/%s/-/ways/1.0", p.Project.Path())
	samples, err := alternate(ctx, b.pick(300, 60), v.fetch(page), v.fetch(pipeline), v.fetch(ways), v.fetch("/api/v3"+pipeline))
	if err != nil {
		return err
	}
	name := fmt.Sprintf("release of %d branches and %d events", releaseBranches, events)
	b.beside(name+", HTML", samples[0], samples[1], "a pipeline of 5 targets", 10, "guide 10 ms")
	b.beside(name+", JSON", samples[2], samples[3], "a pipeline of 5 targets", 10, "guide 10 ms")
	return nil
}

// makeRelease makes a release that has come to testing on so many branches, after
// so many builds of each, and returns how many events tell of it. Without rounds
// nothing but its products is there.
func makeRelease(ctx context.Context, s *store.Store, project *models.Project, version string, branches, rounds int) (events int, err error) {
	made := 1 // numbers of pull requests that pipelines are made for
	save := func(p *models.Product, from ...models.ProductRef) (models.ProductRef, error) {
		p.ProjectID, p.Package = project.ID, project.Name
		return p.Ref(), s.InTx(ctx, func(tx *store.Tx) error { return tx.SaveProduct(ctx, p, from...) })
	}
	tell := func(kind models.StepKind, branch string) (int64, error) {
		if rounds == 0 {
			return 0, nil
		}
		made++
		events++
		g, err := makePipeline(ctx, s, made, []planned{{kind: kind, targets: []string{branch}}})
		if err != nil {
			return 0, err
		}
		return g.EventID, nil
	}
	root := models.ReleaseRefOf(project, version)
	if _, err = save(&models.Product{Kind: root.Kind, Key: root.Key, Name: version, Version: version, State: models.ProductDone}); err != nil {
		return events, err
	}
	for i := range branches {
		branch := fmt.Sprintf("f%d", 100-i)
		key := fmt.Sprintf("%s/%s/%s", project.Path(), version, branch)
		pull, err := save(&models.Product{Kind: models.PullProduct, Key: key, Branch: branch, Name: fmt.Sprint("PR ", i), State: models.ProductMerged}, root)
		if err != nil {
			return events, err
		}
		for round := range max(1, rounds) {
			key := fmt.Sprintf("%s/%d", key, round)
			committed, err := tell(models.KojiBuildStep, branch)
			if err != nil {
				return events, err
			}
			commit, err := save(&models.Product{Kind: models.CommitProduct, Key: key, Branch: branch, Name: "abcdef1", State: models.ProductDone, EventID: committed}, pull)
			if err != nil {
				return events, err
			}
			complete, err := tell(models.BodhiUpdateStep, branch)
			if err != nil {
				return events, err
			}
			build, err := save(&models.Product{Kind: models.BuildProduct, Key: key, Branch: branch, Name: "bench-1.0-1", State: models.ProductComplete, EventID: complete}, commit)
			if err != nil {
				return events, err
			}
			if _, err := save(&models.Product{Kind: models.UpdateProduct, Key: key, Branch: branch, Name: "FEDORA-2026-" + version, State: models.ProductTesting}, build); err != nil {
				return events, err
			}
		}
	}
	return events, nil
}
