package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// SaveProduct stores what is known of a product now, and links it to those that
// it followed from, as far as these are stored. What is known of it already is
// kept where p is silent: who made it, the event that told of it, and when it
// was seen first. Its id, run and event are filled in as they are stored, and open
// pages hear of it.
func (tx *Tx) SaveProduct(ctx context.Context, p *models.Product, from ...models.ProductRef) error {
	p.UpdatedAt = Now()
	if p.CreatedAt.IsZero() {
		p.CreatedAt = p.UpdatedAt
	}
	if !p.State.Finished() {
		p.FinishedAt = time.Time{}
	} else if p.FinishedAt.IsZero() {
		p.FinishedAt = p.UpdatedAt
	}
	_, err := tx.db.NewInsert().Model(p).On("CONFLICT (kind, key) DO UPDATE").
		Set("name = EXCLUDED.name").Set("state = EXCLUDED.state").Set("data = EXCLUDED.data").
		Set("url = CASE WHEN EXCLUDED.url = '' THEN product.url ELSE EXCLUDED.url END").
		Set("version = CASE WHEN EXCLUDED.version = '' THEN product.version ELSE EXCLUDED.version END").
		Set("run_id = COALESCE(product.run_id, EXCLUDED.run_id)").
		Set("event_id = COALESCE(product.event_id, EXCLUDED.event_id)").
		Set("poll_at = EXCLUDED.poll_at").Set("polls = EXCLUDED.polls").Set("updated_at = EXCLUDED.updated_at").
		Set("finished_at = CASE WHEN EXCLUDED.finished_at IS NULL THEN NULL ELSE COALESCE(product.finished_at, EXCLUDED.finished_at) END").
		Returning("id, run_id, event_id").Exec(ctx)
	if err != nil {
		return fmt.Errorf("storing the %s %s: %w", p.Kind, p.Key, err)
	}
	for _, ref := range from {
		if err := tx.LinkProduct(ctx, p.ID, ref); err != nil {
			return err
		}
	}
	return tx.Announce(ctx, models.Change{Topic: models.ProductTopic, Object: p.ID, ProjectID: p.ProjectID})
}

// LinkProduct notes that a product followed from the one that ref names, if that
// one is stored.
func (tx *Tx) LinkProduct(ctx context.Context, id int64, ref models.ProductRef) error {
	_, err := tx.db.NewRaw("INSERT INTO product_links (product_id, from_id) SELECT ?, id FROM products WHERE kind = ? AND key = ? AND id <> ? "+
		"ON CONFLICT DO NOTHING", id, ref.Kind, ref.Key, id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("linking product %d to the %s %s: %w", id, ref.Kind, ref.Key, err)
	}
	return nil
}

// Product returns a product, or models.ErrNotFound.
func (q queries) Product(ctx context.Context, ref models.ProductRef) (*models.Product, error) {
	p := new(models.Product)
	err := q.db.NewSelect().Model(p).Relation("Project").Where("product.kind = ?", ref.Kind).Where("product.key = ?", ref.Key).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the %s %s: %w", ref.Kind, ref.Key, notFound(err))
	}
	return p, nil
}

// ProductByID is Product by its id.
func (q queries) ProductByID(ctx context.Context, id int64) (*models.Product, error) {
	p := new(models.Product)
	if err := q.db.NewSelect().Model(p).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading product %d: %w", id, notFound(err))
	}
	return p, nil
}

// BuildsNamed returns the builds of a package with an NVR.
func (q queries) BuildsNamed(ctx context.Context, pkg, nvr string) ([]*models.Product, error) {
	var builds []*models.Product
	err := q.db.NewSelect().Model(&builds).Where("package = ?", pkg).Where("kind = ?", models.BuildProduct).Where("name = ?", nvr).
		Order("id").Limit(10).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for the build %s: %w", nvr, err)
	}
	return builds, nil
}

// WatchNow has the service of a product asked at once.
func (tx *Tx) WatchNow(ctx context.Context, id int64) error {
	if _, err := tx.db.NewUpdate().Model((*models.Product)(nil)).Set("poll_at = ?", Now()).Where("id = ?", id).Exec(ctx); err != nil {
		return fmt.Errorf("making product %d due: %w", id, err)
	}
	return nil
}

// LockProduct is Product, and keeps others from changing it until the
// transaction ends.
func (tx *Tx) LockProduct(ctx context.Context, ref models.ProductRef) (*models.Product, error) {
	p := new(models.Product)
	err := forUpdate(tx.db.NewSelect().Model(p).Where("kind = ?", ref.Kind).Where("key = ?", ref.Key)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("locking the %s %s: %w", ref.Kind, ref.Key, notFound(err))
	}
	return p, nil
}

// PullOf is the pull request in dist-git that a commit there came from;
// ErrNotFound if it came from none.
func (q queries) PullOf(ctx context.Context, commit models.ProductRef) (*models.Product, error) {
	p := new(models.Product)
	err := q.db.NewSelect().Model(p).
		Join("JOIN product_links AS link ON link.from_id = product.id").
		Join("JOIN products AS made ON made.id = link.product_id").
		Where("made.kind = ?", commit.Kind).Where("made.key = ?", commit.Key).Where("product.kind = ?", models.PullProduct).
		Order("product.id DESC").Limit(1).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the pull request of %s: %w", commit.Key, notFound(err))
	}
	return p, nil
}

// ProductsOfRun returns what a run made.
func (q queries) ProductsOfRun(ctx context.Context, runID int64) ([]*models.Product, error) {
	var products []*models.Product
	if err := q.db.NewSelect().Model(&products).Where("run_id = ?", runID).Order("id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading what run %d made: %w", runID, err)
	}
	return products, nil
}

// DueProducts returns at most limit products whose service is to be asked again,
// those that are due the longest, and puts each off until again, so that nobody
// else asks meanwhile.
func (tx *Tx) DueProducts(ctx context.Context, again time.Time, limit int) ([]*models.Product, error) {
	due := tx.db.NewSelect().Model((*models.Product)(nil)).Column("id").
		Where("poll_at <= ?", Now()).Order("poll_at").Limit(int64(limit))
	if isPG(tx.db) {
		due = due.For("UPDATE SKIP LOCKED")
	}
	var products []*models.Product
	_, err := tx.db.NewUpdate().Model(&products).Set("poll_at = ?", again).Where("id IN (?)", due).Returning("*").Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding products to ask about: %w", err)
	}
	return products, nil
}

// Releases returns the newest releases that were announced for a project, the
// newest first; those with ids below before, 0 for all.
func (q queries) Releases(ctx context.Context, projectID, before int64, limit int) ([]*models.Product, error) {
	return releases(ctx, q.db.NewSelect().Where("product.project_id = ?", projectID), before, limit)
}

// PackageReleases is Releases for a package in dist-git: also those announced
// elsewhere that were proposed to it. What a project upstream says of itself makes
// no release one of the package's.
func (q queries) PackageReleases(ctx context.Context, projectID, before int64, limit int) ([]*models.Product, error) {
	proposed := q.db.NewSelect().TableExpr("products AS pull").ColumnExpr("l.from_id").
		Join("JOIN product_links AS l ON l.product_id = pull.id").
		Where("pull.project_id = ?", projectID).Where("pull.kind = ?", models.PullProduct)
	own := q.db.NewSelect().TableExpr("products AS own").ColumnExpr("own.id").
		Where("own.project_id = ?", projectID).Where("own.kind = ?", models.ReleaseProduct)
	return releases(ctx, q.db.NewSelect().Where("product.id IN (? UNION ?)", own, proposed), before, limit)
}

func releases(ctx context.Context, query *bun.SelectQuery, before int64, limit int) ([]*models.Product, error) {
	var found []*models.Product
	if before > 0 {
		query = query.Where("product.id < ?", before)
	}
	err := query.Model(&found).Relation("Project").Where("product.kind = ?", models.ReleaseProduct).
		Order("product.id DESC").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing releases: %w", err)
	}
	return found, nil
}

const (
	maxWay   = 2000 // products on the ways that are read together
	maxDepth = 8    // stages of a way
)

// WayProducts returns a product and all that followed from it, directly or not,
// in the order in which they became known.
func (q queries) WayProducts(ctx context.Context, rootID int64) ([]*models.Product, error) {
	ways, err := q.WaysProducts(ctx, []int64{rootID})
	if err != nil {
		return nil, err
	}
	if len(ways[rootID]) == 0 {
		return nil, fmt.Errorf("reading product %d: %w", rootID, models.ErrNotFound)
	}
	return ways[rootID], nil
}

// WaysProducts is WayProducts for several products, by their ids.
func (q queries) WaysProducts(ctx context.Context, rootIDs []int64) (map[int64][]*models.Product, error) {
	reached := make(map[int64]map[int64]bool, len(rootIDs)) // by product, the roots that it followed from
	for _, id := range rootIDs {
		reached[id] = map[int64]bool{id: true}
	}
	// The way has a handful of stages, and each is a query by an index: what a
	// planner makes of a recursive query depends on what it guesses. The limit on
	// depth ends what bad links might make go round in a circle.
	next := rootIDs
	for depth := 0; depth < maxDepth && len(next) > 0 && len(reached) < maxWay; depth++ {
		var links []*models.ProductLink
		if err := q.db.NewSelect().Model(&links).Where("from_id IN (?)", bun.List(next)).Order("from_id", "product_id").Limit(maxWay).Scan(ctx); err != nil {
			return nil, fmt.Errorf("reading what followed from products: %w", err)
		}
		next = next[:0:0]
		for _, l := range links {
			roots := reached[l.ProductID]
			if roots == nil {
				roots = map[int64]bool{}
				reached[l.ProductID] = roots
			}
			before := len(roots)
			maps.Copy(roots, reached[l.FromID])
			if len(roots) > before {
				next = append(next, l.ProductID)
			}
		}
	}
	if len(reached) == 0 {
		return nil, nil
	}
	var products []*models.Product
	err := q.db.NewSelect().Model(&products).Where("id IN (?)", bun.List(slices.Sorted(maps.Keys(reached)))).Order("id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading products: %w", err)
	}
	ways := make(map[int64][]*models.Product, len(rootIDs))
	for _, p := range products {
		for root := range reached[p.ID] {
			ways[root] = append(ways[root], p)
		}
	}
	return ways, nil
}

// Ways draws the ways of releases, in their order.
func (q queries) Ways(ctx context.Context, releases []*models.Product) ([]*models.Way, error) {
	ids := make([]int64, len(releases))
	for i, r := range releases {
		ids[i] = r.ID
	}
	products, err := q.WaysProducts(ctx, ids)
	if err != nil {
		return nil, err
	}
	var events []int64
	for _, all := range products {
		for _, p := range all {
			if p.EventID != 0 {
				events = append(events, p.EventID)
			}
		}
	}
	pipelines, err := q.PipelinesOfEvents(ctx, events)
	if err != nil {
		return nil, err
	}
	ways := make([]*models.Way, len(releases))
	for i, r := range releases {
		ways[i] = models.NewWay(r, products[r.ID], pipelines)
	}
	return ways, nil
}

// PipelinesOfEvents returns the newest attempts of all plans of some events, with
// their steps (without configs), needs, targets and runs, the oldest first.
func (q queries) PipelinesOfEvents(ctx context.Context, eventIDs []int64) ([]*models.Pipeline, error) {
	if len(eventIDs) == 0 {
		return nil, nil
	}
	var all []*models.Pipeline
	err := q.db.NewSelect().Model(&all).Where("event_id IN (?)", bun.List(eventIDs)).Order("id DESC").Limit(maxWay).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the pipelines of %d events: %w", len(eventIDs), err)
	}
	newest := newestOf(all)
	return newest, loadStepsOf(ctx, q.db, newest)
}

// NewestTold returns the newest product of a kind in a project that an event
// told of, or models.ErrNotFound.
func (q queries) NewestTold(ctx context.Context, projectID int64, kind models.ProductKind) (*models.Product, error) {
	p := new(models.Product)
	err := q.db.NewSelect().Model(p).Where("project_id = ?", projectID).Where("kind = ?", kind).Where("event_id IS NOT NULL").
		Order("id DESC").Limit(1).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the newest %s of project %d: %w", kind, projectID, notFound(err))
	}
	return p, nil
}
