package jobs

import (
	"context"
	"time"

	"millrace/clients/bodhi"
	"millrace/jobs/intake"
	"millrace/models"
	"millrace/models/store"
)

// Runner does the work that deliveries call for. Its fields are filled in by
// whoever starts it and not changed afterwards.
type Runner struct {
	*Engine
	Parser     intake.Parser      // of deliveries
	Forges     map[string]Forge   // by host
	Trackers   map[string]Tracker // by host: of issues where nothing else is ours
	Packages   *Packages          // dist-git; nil: there is none
	Bodhi      *bodhi.Client      // knows the releases; nil: the last known ones
	Koji       *Koji              // nil: builds there are none of our business
	Deployment string             // prod, stg or dev: what packit_instances means by it
	AllowAll   bool               // the allowlist is not looked at

	// GroupMembers are those of a group of the account system; nil: dist-git is asked.
	GroupMembers func(ctx context.Context, group string) ([]string, error)

	Accounts      Accounts        // knows who people are; nil: nobody does
	Notifications *models.Project // where people prove who they are, in issues; nil: nowhere

	Monitoring    Monitoring // watches for releases; nil: nobody is asked
	MonitoringURL string     // of its pages, without a trailing slash

	// Chroots tells what a custom Copr project has enabled; nil: nobody asks.
	Chroots func(ctx context.Context, owner, project string) ([]string, error)
}

const (
	releasesSource = "bodhi"
	releasesKey    = "releases"
	releasesFresh  = time.Hour
)

// Releases returns the distributions that aliases stand for, as Bodhi knew them
// within the last hour, or as they were last known.
func (r *Runner) Releases(ctx context.Context) (models.Releases, error) {
	var kept models.Releases
	at, err := r.Store.Cached(ctx, releasesSource, releasesKey, &kept)
	if err == nil && len(kept) > 0 && store.Now().Sub(at) < releasesFresh {
		return kept, nil
	}
	if r.Bodhi != nil {
		fresh, err := r.Bodhi.Releases(ctx)
		if err == nil && len(fresh) > 0 {
			return fresh, r.Store.InTx(ctx, func(tx *store.Tx) error {
				return tx.Cache(ctx, releasesSource, releasesKey, fresh)
			})
		}
		r.Log.WarnContext(ctx, "bodhi does not tell its releases; the last known ones are used", "error", err)
	}
	if len(kept) > 0 {
		return kept, nil
	}
	return bodhi.LastKnown(), nil
}
