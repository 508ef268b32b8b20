package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
)

// releases shows stories how releases stand, and does for them what people do on
// pages.
type releases struct {
	*service
	packages string // host of dist-git
}

// project finds a repository of the forge or, below rpms/, a package; models.ErrNotFound
// is in the chain of the error if nothing has happened to it yet.
func (r releases) project(ctx context.Context, repo string) (*models.Project, error) {
	host := r.settings.GitHub.Host
	if strings.HasPrefix(repo, "rpms/") {
		host = r.packages
	}
	return r.store.ProjectAtPath(ctx, host+"/"+repo)
}

// Way is part of box.Ways.
func (r releases) Way(ctx context.Context, repo, ref string) (*models.Way, error) {
	p, err := r.project(ctx, repo)
	var release *models.Product
	if err == nil {
		release, err = r.store.Product(ctx, models.ReleaseRefOf(p, ref))
	}
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ways, err := r.store.Ways(ctx, []*models.Product{release})
	if err != nil {
		return nil, err
	}
	return ways[0], nil
}

// All is part of box.Ways.
func (r releases) All(ctx context.Context, repo string) ([]*models.Pipeline, error) {
	p, err := r.project(ctx, repo)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := r.store.Pipelines(ctx, models.PipelineFilter{ProjectID: p.ID}, models.Page{Limit: 200})
	if err != nil {
		return nil, err
	}
	var all []*models.Pipeline
	for _, row := range slices.Backward(list.Rows) {
		whole, err := r.store.Pipeline(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, whole)
	}
	return all, nil
}

// person is the account of somebody in the box, as their login makes it.
func (r releases) person(ctx context.Context, login string) (*models.User, error) {
	u := &models.User{Login: login, Groups: []string{"packager"}, SeenAt: store.Now()}
	err := r.store.InTx(ctx, func(tx *store.Tx) error { return tx.SaveUser(ctx, u) })
	return u, err
}

// Rerun is part of box.Hands.
func (r releases) Rerun(ctx context.Context, pipeline int64, login string) error {
	u, err := r.person(ctx, login)
	if err != nil {
		return err
	}
	_, err = r.runner.Rerun(ctx, jobs.RerunRequest{
		RerunRequest: models.RerunRequest{Scope: models.ScopeFailed}, Pipeline: pipeline,
		Requester: jobs.Requester{Actor: login, UserID: u.ID, Via: models.ViaButton},
	})
	return err
}

// Automate is part of box.Hands.
func (r releases) Automate(ctx context.Context, repo, login string, jobs map[models.JobType]models.AutomationSettings) error {
	u, err := r.person(ctx, login)
	if err != nil {
		return err
	}
	p, err := models.ParseProjectURL(r.settings.DistGit.URL + "/" + repo)
	if err != nil {
		return err
	}
	return r.store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.EnsureProject(ctx, p); err != nil {
			return err
		}
		for job, settings := range jobs {
			a := &models.Automation{
				ProjectID: p.ID, Package: p.Name, Job: job, Enabled: true, Settings: settings, Source: models.FromBrowser, UserID: u.ID,
			}
			if err := tx.SaveAutomation(ctx, a, 0); err != nil {
				return fmt.Errorf("switching on %s for %s: %w", job, repo, err)
			}
		}
		return nil
	})
}
