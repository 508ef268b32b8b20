package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"millrace/models"
)

// Allowances returns what the allowlist says about a project, its namespace,
// the namespaces above and the forge, the closest first.
func (q queries) Allowances(ctx context.Context, p *models.Project) ([]*models.Allowance, error) {
	spaces := []string{""}
	for i, c := range p.Namespace {
		if c == '/' {
			spaces = append(spaces, strings.ToLower(p.Namespace[:i]))
		}
	}
	spaces = append(spaces, strings.ToLower(p.Namespace))
	var entries []*models.Allowance
	err := q.db.NewSelect().Model(&entries).Where("forge = ?", p.Forge).
		Where("(name = '' AND lower(namespace) IN (?)) OR (lower(namespace) = ? AND lower(name) = ?)",
			bun.List(spaces), strings.ToLower(p.Namespace), strings.ToLower(p.Name)).
		OrderExpr("length(name) DESC, length(namespace) DESC").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the allowlist for %s: %w", p.Path(), err)
	}
	return entries, nil
}

// AllAllowances returns the allowlist in the order of its paths.
func (q queries) AllAllowances(ctx context.Context) ([]*models.Allowance, error) {
	var entries []*models.Allowance
	if err := q.db.NewSelect().Model(&entries).Order("forge", "namespace", "name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the allowlist: %w", err)
	}
	return entries, nil
}

// Allowlist returns a part of the allowlist, the newest entries first: those of a
// state, if it is not empty, whose path contains text.
func (q queries) Allowlist(ctx context.Context, state models.AllowState, text string, page models.Page) (*models.AllowList, error) {
	k, err := readPage(page)
	if err != nil {
		return nil, err
	}
	list := new(models.AllowList)
	query := q.db.NewSelect().Model(&list.Rows)
	if state != "" {
		query = query.Where("state = ?", state)
	}
	if text != "" {
		path := "lower(forge || '/' || namespace || CASE WHEN name = '' THEN '' ELSE '/' || name END)"
		query = query.Where(path+" LIKE ? ESCAPE '!'", "%"+likeText.Replace(strings.ToLower(text))+"%")
	}
	if err := k.apply(query, "allowance.id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the allowlist: %w", err)
	}
	list.Rows, list.Cursors = cut(k, list.Rows, func(a *models.Allowance) int64 { return a.ID })
	return list, nil
}

var likeText = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// SetAllowance writes an entry of the allowlist, over the one of the same path
// if there is one.
func (tx *Tx) SetAllowance(ctx context.Context, a *models.Allowance) error {
	a.CreatedAt, a.UpdatedAt = Now(), Now()
	_, err := tx.db.NewInsert().Model(a).On("CONFLICT (forge, namespace, name) DO UPDATE").
		Set("state = EXCLUDED.state").Set("reason = EXCLUDED.reason").Set("actor = EXCLUDED.actor").
		Set("updated_at = EXCLUDED.updated_at").Returning("*").Exec(ctx)
	if err != nil {
		return fmt.Errorf("writing %s to the allowlist: %w", a.Path(), err)
	}
	return nil
}

// RemoveAllowance takes an entry off the allowlist.
func (tx *Tx) RemoveAllowance(ctx context.Context, a *models.Allowance) error {
	res, err := tx.db.NewDelete().Model((*models.Allowance)(nil)).
		Where("forge = ?", a.Forge).Where("namespace = ?", a.Namespace).Where("name = ?", a.Name).Exec(ctx)
	if err != nil {
		return fmt.Errorf("removing %s from the allowlist: %w", a.Path(), err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("removing %s from the allowlist: %w", a.Path(), models.ErrNotFound)
	}
	return nil
}
