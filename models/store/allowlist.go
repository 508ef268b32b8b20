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

// continued is how many events go on at once when somebody is allowed. What was
// held longer ago is for those who wrote it to ask for again.
const continued = 20

// SetAllowance writes an entry of the allowlist, over the one of the same path
// if there is one; who asked for that, and where, is kept. What was held for an
// entry that allows goes on.
func (tx *Tx) SetAllowance(ctx context.Context, a *models.Allowance) error {
	a.CreatedAt, a.UpdatedAt = Now(), Now()
	_, err := tx.db.NewInsert().Model(a).On("CONFLICT (forge, namespace, name) DO UPDATE").
		Set("state = EXCLUDED.state").Set("reason = EXCLUDED.reason").Set("actor = EXCLUDED.actor").
		Set("requester = COALESCE(NULLIF(EXCLUDED.requester, ''), allowance.requester)").
		Set("account = COALESCE(NULLIF(EXCLUDED.account, ''), allowance.account)").
		Set("issue = CASE WHEN EXCLUDED.issue = 0 THEN allowance.issue ELSE EXCLUDED.issue END").
		Set("issue_url = COALESCE(NULLIF(EXCLUDED.issue_url, ''), allowance.issue_url)").
		Set("updated_at = EXCLUDED.updated_at").Returning("*").Exec(ctx)
	if err != nil {
		return fmt.Errorf("writing %s to the allowlist: %w", a.Path(), err)
	}
	if a.State != models.AllowedState {
		return nil
	}
	_, err = tx.ReleaseHeld(ctx, a, continued)
	return err
}

// AskAllowance notes that somebody asks for an entry. One that is decided, or
// asked for by the same, stays as it is; it returns the entry as it is then.
func (tx *Tx) AskAllowance(ctx context.Context, a *models.Allowance) (*models.Allowance, error) {
	a.State, a.CreatedAt, a.UpdatedAt = models.PendingState, Now(), Now()
	_, err := tx.db.NewInsert().Model(a).On("CONFLICT (forge, namespace, name) DO UPDATE").
		Set("requester = EXCLUDED.requester").Set("reason = EXCLUDED.reason").Set("issue = 0").Set("issue_url = ''").
		Set("updated_at = EXCLUDED.updated_at").
		Where("allowance.state = 'waiting'").Where("allowance.requester <> EXCLUDED.requester").Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for %s on the allowlist: %w", a.Path(), err)
	}
	now := new(models.Allowance)
	err = forUpdate(tx.db.NewSelect().Model(now).Where("forge = ?", a.Forge).Where("namespace = ?", a.Namespace).Where("name = ?", a.Name)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s of the allowlist: %w", a.Path(), notFound(err))
	}
	return now, nil
}

// NoteIssue notes where who asked for an entry can prove who they are.
func (tx *Tx) NoteIssue(ctx context.Context, a *models.Allowance) error {
	_, err := tx.db.NewUpdate().Model(a).WherePK().Column("issue", "issue_url").Exec(ctx)
	if err != nil {
		return fmt.Errorf("noting the issue about %s: %w", a.Path(), err)
	}
	return nil
}

// AllowanceOfIssue returns the entry that an issue is about.
func (q queries) AllowanceOfIssue(ctx context.Context, forge string, issue int) (*models.Allowance, error) {
	a := new(models.Allowance)
	err := q.db.NewSelect().Model(a).Where("forge = ?", forge).Where("issue = ?", issue).Where("issue <> 0").Order("id DESC").Limit(1).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding what issue %d of %s is about: %w", issue, forge, notFound(err))
	}
	return a, nil
}

// Waiting returns the entries that somebody asked for and nobody has decided
// about, those that wait longest first.
func (q queries) Waiting(ctx context.Context, limit int) ([]*models.Allowance, error) {
	var entries []*models.Allowance
	if err := q.db.NewSelect().Model(&entries).Where("state = 'waiting'").Order("id").Limit(int64(limit)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading who waits to be allowed: %w", err)
	}
	return entries, nil
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
