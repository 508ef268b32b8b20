package store

import (
	"context"
	"fmt"

	"millrace/models"
)

// SideTag returns the side tag of a group for a branch, or models.ErrNotFound.
func (q queries) SideTag(ctx context.Context, group, branch string) (*models.SideTag, error) {
	t := new(models.SideTag)
	err := q.db.NewSelect().Model(t).Where("sidetag_group = ?", group).Where("branch = ?", branch).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the side tag of %s for %s: %w", group, branch, notFound(err))
	}
	return t, nil
}

// SideTagNamed returns the side tag that Koji knows by a name, or
// models.ErrNotFound.
func (q queries) SideTagNamed(ctx context.Context, name string) (*models.SideTag, error) {
	t := new(models.SideTag)
	if err := q.db.NewSelect().Model(t).Where("name = ?", name).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the side tag %s: %w", name, notFound(err))
	}
	return t, nil
}

// SaveSideTag stores the side tag of a group for a branch, in place of the one
// that Koji has lost.
func (tx *Tx) SaveSideTag(ctx context.Context, t *models.SideTag) error {
	t.CreatedAt = Now()
	_, err := tx.db.NewInsert().Model(t).On("CONFLICT (sidetag_group, branch) DO UPDATE").
		Set("name = EXCLUDED.name").Set("created_at = EXCLUDED.created_at").Returning("id").Exec(ctx)
	if err != nil {
		return fmt.Errorf("storing the side tag %s: %w", t.Name, err)
	}
	return nil
}
