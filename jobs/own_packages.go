package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"millrace/models"
	"millrace/models/store"
)

const (
	ownSource = "packages of people" // of what is kept of dist-git
	ownFresh  = 15 * time.Minute
)

// OwnPackages are the packages that somebody may do anything with, by what
// dist-git said.
type OwnPackages struct {
	Names []string  // sorted
	At    time.Time // when it said so; zero: it has not yet
}

// findPackagesArgs says that somebody wants to know what packages are theirs.
type findPackagesArgs struct {
	Login string `json:"login"`
}

func (findPackagesArgs) Kind() string { return "find_packages" }

// InsertOpts lets a list that many pages wait for be fetched once.
func (findPackagesArgs) InsertOpts() river.InsertOpts {
	o := opts(pollQueue, 1)
	o.UniqueOpts = river.UniqueOpts{ByArgs: true, ByPeriod: time.Minute}
	return o
}

// OwnPackages returns what is known of the packages of a user. Somebody waits for
// a page: the list of who has thousands, and one that was read long ago, is
// fetched by a job.
func (r *Runner) OwnPackages(ctx context.Context, login string) (*OwnPackages, error) {
	own, err := r.keptPackages(ctx, login)
	if err != nil || store.Now().Sub(own.At) < ownFresh {
		return own, err
	}
	if own.At.IsZero() {
		asking, cancel := context.WithTimeout(ctx, pagePatience)
		defer cancel()
		if fresh, err := r.askPackages(asking, login); err == nil {
			return fresh, nil
		}
	}
	return own, r.Store.InTx(ctx, func(tx *store.Tx) error { return r.Queue.Add(ctx, tx, findPackagesArgs{login}) })
}

// findPackages fetches the list of a user's packages, unless that was just done.
func (r *Runner) findPackages(ctx context.Context, login string) error {
	own, err := r.keptPackages(ctx, login)
	if err != nil || store.Now().Sub(own.At) < ownFresh {
		return err
	}
	_, err = r.askPackages(ctx, login)
	return err
}

func (r *Runner) keptPackages(ctx context.Context, login string) (*OwnPackages, error) {
	own := new(OwnPackages)
	at, err := r.Store.Cached(ctx, ownSource, login, &own.Names)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	own.At = at
	return own, nil
}

func (r *Runner) askPackages(ctx context.Context, login string) (*OwnPackages, error) {
	if r.Packages == nil {
		return nil, fmt.Errorf("asking for the packages of %s: this service works with no dist-git", login)
	}
	names, err := r.Packages.RepositoriesOf(ctx, login, packageSpace)
	if err != nil {
		return nil, err
	}
	own := &OwnPackages{Names: names, At: store.Now()}
	return own, r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.Cache(ctx, ownSource, login, names) })
}
