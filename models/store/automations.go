package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"millrace/models"
)

// Automations returns what is switched on or off for a package in dist-git: the
// newest version of each job, in the order of models.AutomationJobs, with who
// saved it.
func (q queries) Automations(ctx context.Context, projectID int64) ([]*models.Automation, error) {
	all, err := q.AutomationHistory(ctx, projectID)
	return models.NewestAutomations(all), err
}

// maxHistory is how many versions are shown at most.
const maxHistory = 200

// AutomationHistory returns the versions of all jobs of a package, the newest
// first, with who saved them.
func (q queries) AutomationHistory(ctx context.Context, projectID int64) ([]*models.Automation, error) {
	var all []*models.Automation
	err := q.db.NewSelect().Model(&all).Relation("User").Where("automation.project_id = ?", projectID).
		Order("automation.id DESC").Limit(maxHistory).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what is switched on for project %d: %w", projectID, err)
	}
	return all, nil
}

// SaveAutomation stores the next version of a job and fills in its number and
// id. expected is the number of the version that it was made from, 0 for none:
// if there is a newer one the error is a *models.VersionError.
func (tx *Tx) SaveAutomation(ctx context.Context, a *models.Automation, expected int) error {
	var newest int
	err := tx.db.NewSelect().Model((*models.Automation)(nil)).ColumnExpr("COALESCE(max(version), 0)").
		Where("project_id = ?", a.ProjectID).Where("job = ?", a.Job).Scan(ctx, &newest)
	if err != nil {
		return fmt.Errorf("reading the version of %s: %w", a.Job, err)
	}
	if newest != expected {
		return &models.VersionError{Job: a.Job, Newest: newest}
	}
	a.Version, a.CreatedAt = newest+1, Now()
	// Of two who get this far at once the second finds the version taken.
	res, err := tx.db.NewInsert().Model(a).On("CONFLICT (project_id, job, version) DO NOTHING").Returning("id").Exec(ctx)
	if err != nil {
		return fmt.Errorf("saving %s: %w", a.Job, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return &models.VersionError{Job: a.Job, Newest: a.Version}
	}
	return nil
}

// StepOrigins says which steps of a pipeline are of jobs that are in no file, by
// the names of the steps.
func (q queries) StepOrigins(ctx context.Context, pipelineID int64) (map[string]models.Origin, error) {
	var steps []*models.Step
	err := q.db.NewSelect().Model(&steps).Column("name", "config").Where("pipeline_id = ?", pipelineID).Order("position").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading where the jobs of pipeline %d are from: %w", pipelineID, err)
	}
	origins := map[string]models.Origin{}
	for _, s := range steps {
		var view struct{ Origin string }
		if json.Unmarshal(s.Config, &view) != nil {
			continue // of a step that no job asked for
		}
		if o := models.ParseOrigin(view.Origin); o.Source != "" {
			origins[s.Name] = o
		}
	}
	return origins, nil
}

// ListEntries returns what the list of repositories says, those with mistakes
// first.
func (q queries) ListEntries(ctx context.Context) ([]*models.ListEntry, error) {
	var all []*models.ListEntry
	if err := q.db.NewSelect().Model(&all).Order("package").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the list of repositories: %w", err)
	}
	slices.SortStableFunc(all, func(a, b *models.ListEntry) int { return len(b.Problems) - len(a.Problems) })
	return all, nil
}

// ListEntry returns what the list of repositories says of a package, or
// models.ErrNotFound.
func (q queries) ListEntry(ctx context.Context, pkg string) (*models.ListEntry, error) {
	e := new(models.ListEntry)
	if err := q.db.NewSelect().Model(e).Where("package = ?", pkg).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading what the list says of %s: %w", pkg, notFound(err))
	}
	return e, nil
}

// SaveListEntry keeps what the list of repositories says of a package.
func (tx *Tx) SaveListEntry(ctx context.Context, e *models.ListEntry) error {
	e.UpdatedAt = Now()
	_, err := tx.db.NewInsert().Model(e).On("CONFLICT (package) DO UPDATE").
		Set("line = EXCLUDED.line").Set("jobs = EXCLUDED.jobs").Set("problems = EXCLUDED.problems").
		Set("project_id = COALESCE(EXCLUDED.project_id, entry.project_id)").Set("updated_at = EXCLUDED.updated_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("keeping what the list says of %s: %w", e.Package, err)
	}
	return nil
}

// RemoveListEntry forgets a package that is not in the list any more.
func (tx *Tx) RemoveListEntry(ctx context.Context, pkg string) error {
	if _, err := tx.db.NewDelete().Model((*models.ListEntry)(nil)).Where("package = ?", pkg).Exec(ctx); err != nil {
		return fmt.Errorf("forgetting what the list said of %s: %w", pkg, err)
	}
	return nil
}

// The state of the list is kept with what other places said.
const (
	listSource = "automation"
	listKey    = "list"
)

// ListState returns how the list of repositories was read the last time; zero if
// it never was.
func (q queries) ListState(ctx context.Context) (*models.ListState, error) {
	state := new(models.ListState)
	if _, err := q.Cached(ctx, listSource, listKey, state); err != nil && !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	return state, nil
}

// SaveListState keeps how the list of repositories was read.
func (tx *Tx) SaveListState(ctx context.Context, state *models.ListState) error {
	return tx.Cache(ctx, listSource, listKey, state)
}

// mostPackages is how many packages somebody is shown as their own.
const mostPackages = 300

// PackagesOf returns the packages on a forge, in a namespace, that a user may
// commit to as far as was found out here, or switched something on for, by name.
func (q queries) PackagesOf(ctx context.Context, userID int64, forge, namespace string) ([]*models.Project, error) {
	var granted []*grant
	err := q.db.NewSelect().Model(&granted).Where("user_id = ?", userID).Limit(mostPackages).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what user %d may commit to: %w", userID, err)
	}
	names := []string{""} // of no package: a list of none is no list
	for _, g := range granted {
		name, ok := strings.CutPrefix(g.Object, namespace+"/")
		if may, err := models.ParseGrant(g.Role); ok && err == nil && may.On() >= models.Committer {
			names = append(names, name)
		}
	}
	var projects []*models.Project
	err = q.db.NewSelect().Model(&projects).Where("project.forge = ?", forge).Where("project.namespace = ?", namespace).
		Where("(project.name IN (?) OR project.id IN (SELECT a.project_id FROM automations AS a WHERE a.user_id = ?))", bun.List(names), userID).
		Order("project.name").Limit(mostPackages).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the packages of user %d: %w", userID, err)
	}
	return projects, nil
}

// AutomationsOf returns the newest version of each job of several packages, by
// their projects.
func (q queries) AutomationsOf(ctx context.Context, projectIDs []int64) (map[int64][]*models.Automation, error) {
	by := map[int64][]*models.Automation{}
	if len(projectIDs) == 0 {
		return by, nil
	}
	var all []*models.Automation
	err := q.db.NewSelect().Model(&all).Relation("User").Where("automation.project_id IN (?)", bun.List(projectIDs)).
		Where("NOT EXISTS (SELECT 1 FROM automations AS newer WHERE newer.project_id = automation.project_id AND newer.job = automation.job AND newer.version > automation.version)").
		Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what is switched on: %w", err)
	}
	for _, a := range all {
		by[a.ProjectID] = append(by[a.ProjectID], a)
	}
	for id := range by {
		by[id] = models.NewestAutomations(by[id])
	}
	return by, nil
}
