package bench

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"millrace/models"
	"millrace/models/store"
)

// listed are the lists that are measured: paths with what they are.
func listed(ctx context.Context, s *store.Store) ([][2]string, error) {
	p, err := newest(ctx, s)
	if err != nil {
		return nil, err
	}
	return [][2]string{
		{"pipelines", "/pipelines"},
		{"pipelines that failed", "/pipelines?state=failed"},
		{"pipelines of a project", "/pipelines?project=" + p.Project.Path()},
		{"projects", "/projects"},
		{"events", "/events"},
	}, nil
}

// lists measures each list as a page and as an endpoint beside its queries,
// sent alone through pgx.
func lists(ctx context.Context, b *bench) error {
	address, err := b.full(ctx, true)
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
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	all, err := listed(ctx, site.store)
	if err != nil {
		return err
	}
	for _, list := range all {
		html, json := list[1], "/api/v3"+list[1]
		queries, err := queriesOf(ctx, address, []string{html, json})
		if err != nil {
			return err
		}
		samples, err := alternate(ctx, b.pick(400, 100),
			v.fetch(html),
			func(ctx context.Context) error { return replay(ctx, conn, queries[html]) },
			v.fetch(json),
			func(ctx context.Context) error { return replay(ctx, conn, queries[json]) },
		)
		if err != nil {
			return err
		}
		b.beside(list[0]+", HTML", samples[0], samples[1], "its SQL", 4, "guide 5 ms")
		b.beside(list[0]+", JSON", samples[2], samples[3], "its SQL", 3, "guide 2 ms")
	}
	return nil
}

// fetch is getting a page, to be measured.
func (v *visitor) fetch(path string) func(context.Context) error {
	return func(context.Context) error {
		_, err := v.get(path)
		return err
	}
}

// beside adds a row about the median of figure, which may be times that of the
// yardstick.
func (b *bench) beside(what string, figure, yardstick sample, of string, times float64, guide string) {
	f, y := float64(figure.quantile(0.5)), float64(yardstick.quantile(0.5))
	budget := fmt.Sprintf("at most %g x", times)
	if guide != "" {
		budget += ", " + guide
	}
	b.add(Row{
		What: what, Figure: figure.String(), Yardstick: of + " " + yardstick.String(),
		Ratio: ratio(f, y), Budget: budget, Verdict: verdict(f <= times*y),
	})
}

// deep measures the last page of lists beside their first.
func deep(ctx context.Context, b *bench) error {
	address, err := b.full(ctx, true)
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
	p, err := newest(ctx, site.store)
	if err != nil {
		return err
	}
	project := "/pipelines?project=" + p.Project.Path()
	for _, list := range []struct{ what, path, last string }{
		{"pipelines", "/pipelines?", "SELECT id FROM pipelines ORDER BY id LIMIT 1 OFFSET 25"},
		{"pipelines that failed", "/pipelines?state=failed", "SELECT id FROM pipelines WHERE state = 'failed' ORDER BY id LIMIT 1 OFFSET 25"},
		{"pipelines of a project", project, fmt.Sprintf("SELECT id FROM pipelines WHERE project_id = %d ORDER BY id LIMIT 1 OFFSET 25", p.ProjectID)},
		{"projects", "/projects?", "SELECT CAST(EXTRACT(EPOCH FROM active_at) * 1000000 AS BIGINT) || '-' || id FROM projects ORDER BY active_at, id LIMIT 1 OFFSET 25"},
		{"events", "/events?", "SELECT id FROM events ORDER BY id LIMIT 1 OFFSET 25"},
	} {
		var cursor string
		if err := site.store.Writer().NewRaw(list.last).Scan(ctx, &cursor); err != nil {
			return fmt.Errorf("finding the last page of %s: %w", list.what, err)
		}
		samples, err := alternate(ctx, b.pick(400, 100), v.fetch(list.path+"&before="+cursor), v.fetch(list.path))
		if err != nil {
			return err
		}
		b.beside("last page of "+list.what, samples[0], samples[1], "first page", 1.3, "")
	}
	return nil
}

// scale measures lists of the full database beside the same of a small one.
func scale(ctx context.Context, b *bench) error {
	var visitors [2]*visitor
	var projects [2]*models.Pipeline
	for i, make := range []func() (string, error){
		func() (string, error) { return b.full(ctx, true) },
		func() (string, error) { return b.small(ctx) },
	} {
		address, err := make()
		if err != nil {
			return err
		}
		site, err := openSite(ctx, address)
		if err != nil {
			return err
		}
		defer site.close()
		if visitors[i], err = visit(site.address); err != nil {
			return err
		}
		defer visitors[i].conn.Close()
		if projects[i], err = newest(ctx, site.store); err != nil {
			return err
		}
	}
	for _, list := range [][2]string{
		{"pipelines, HTML", "/pipelines"}, {"pipelines, JSON", "/api/v3/pipelines"},
		{"pipelines that failed", "/pipelines?state=failed"}, {"events", "/events"}, {"projects", "/projects?limit=20"},
	} {
		samples, err := alternate(ctx, b.pick(400, 100), visitors[0].fetch(list[1]), visitors[1].fetch(list[1]))
		if err != nil {
			return err
		}
		b.beside(list[0], samples[0], samples[1], "of 1,000 pipelines", 1.3, "")
	}
	return nil
}

// targets measures the page of a pipeline with many targets beside that of one
// with few.
func targets(ctx context.Context, b *bench) error {
	address, err := b.empty(ctx, "targets", true)
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
	var paths []string
	for i, chroots := range []int{100, 2} {
		g, err := makePipeline(ctx, site.store, i, fanOut(chroots))
		if err != nil {
			return err
		}
		if err := site.runner.Advance(ctx, g.ID); err != nil {
			return err
		}
		paths = append(paths, fmt.Sprintf("/pipelines/%d", g.ID))
	}
	samples, err := alternate(ctx, b.pick(300, 60),
		v.fetch(paths[0]), v.fetch(paths[1]), v.fetch("/api/v3"+paths[0]), v.fetch("/api/v3"+paths[1]))
	if err != nil {
		return err
	}
	b.beside("pipeline page of 200 targets, HTML", samples[0], samples[1], "of 5 targets", 10, "guide 10 ms")
	b.beside("pipeline page of 200 targets, JSON", samples[2], samples[3], "of 5 targets", 10, "guide 10 ms")
	return nil
}
