package store

import (
	"context"
	"fmt"

	"millrace/models"
)

// EnsureProject stores a project that was heard of, or notes that something
// happened in it, and fills in its id. A default branch that is not known is
// left as it is.
func (tx *Tx) EnsureProject(ctx context.Context, p *models.Project) error {
	p.CreatedAt, p.ActiveAt = Now(), Now()
	q := tx.db.NewInsert().Model(p).On("CONFLICT (forge, namespace, name) DO UPDATE").
		Set("active_at = EXCLUDED.active_at").Set("url = EXCLUDED.url").Returning("*")
	if p.DefaultBranch != "" {
		q = q.Set("default_branch = EXCLUDED.default_branch")
	}
	if _, err := q.Exec(ctx); err != nil {
		return fmt.Errorf("storing project %s: %w", p.Path(), err)
	}
	return nil
}

// EnsureCommit stores a commit, or brings what people wrote about it up to date,
// and fills in its id. A title that is not known is left as it is.
func (tx *Tx) EnsureCommit(ctx context.Context, c *models.Commit) error {
	c.CreatedAt = Now()
	_, err := tx.db.NewInsert().Model(c).On("CONFLICT (project_id, kind, ref, sha) DO UPDATE").
		Set("title = COALESCE(NULLIF(EXCLUDED.title, ''), git_commit.title)").Set("target_ref = EXCLUDED.target_ref").
		Set("source_url = EXCLUDED.source_url").Returning("*").Exec(ctx)
	if err != nil {
		return fmt.Errorf("storing commit %s of project %d: %w", c.SHA, c.ProjectID, err)
	}
	return nil
}

// Project returns the project with that id.
func (q queries) Project(ctx context.Context, id int64) (*models.Project, error) {
	p := new(models.Project)
	if err := q.db.NewSelect().Model(p).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading project %d: %w", id, notFound(err))
	}
	return p, nil
}

// ProjectAt returns the project at forge/namespace/name.
func (q queries) ProjectAt(ctx context.Context, forge, namespace, name string) (*models.Project, error) {
	p := new(models.Project)
	err := q.db.NewSelect().Model(p).
		Where("forge = ?", forge).Where("namespace = ?", namespace).Where("name = ?", name).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding project %s/%s/%s: %w", forge, namespace, name, notFound(err))
	}
	return p, nil
}

// Commit returns a commit with its project.
func (q queries) Commit(ctx context.Context, id int64) (*models.Commit, error) {
	c := new(models.Commit)
	if err := q.db.NewSelect().Model(c).Relation("Project").Where("git_commit.id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading commit %d: %w", id, notFound(err))
	}
	return c, nil
}
