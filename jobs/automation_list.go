package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/clients/git"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
)

// AutomationList is a file in a git repository that says what is switched on for
// packages, and that people send pull requests to.
type AutomationList struct {
	Git    *git.Git
	Cache  *git.Cache
	Remote git.Remote
	Path   string        // of the file
	Every  time.Duration // it is read
}

const (
	listKey     = "automation list" // of the lease
	listTime    = 5 * time.Minute   // for reading it once
	listLookups = 100               // of packages in dist-git, each time
)

// FollowList reads the list again and again, until ctx ends. Of several processes
// one does.
func (r *Runner) FollowList(ctx context.Context, list *AutomationList) {
	for {
		err := r.alone(ctx, listKey, r.Worker, func(ctx context.Context) error {
			state, err := r.Store.ListState(ctx)
			if err != nil || store.Now().Sub(state.TriedAt) < list.Every/2 {
				return err // another process did it a moment ago
			}
			return r.SyncList(ctx, list)
		})
		if err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "the list of repositories cannot be read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(list.Every):
		}
	}
}

// SyncList reads the list, and switches on and off what it says. What is wrong is
// kept for people to see: with the whole, so that nothing changes, or with an
// entry, so that this one does not. What was switched in the browser stays as it
// is there.
func (r *Runner) SyncList(ctx context.Context, list *AutomationList) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	before, err := r.Store.ListState(ctx)
	if err != nil {
		return err
	}
	state := *before
	state.URL, state.Path, state.TriedAt, state.Problem, state.Problems = list.Remote.URL, list.Path, store.Now(), "", nil
	if before.URL != state.URL || before.Path != state.Path {
		state.SHA, state.Pending = "", 0
	}
	failed := r.readList(ctx, list, &state)
	if problems, ok := packageconfig.AsErrors(failed); ok {
		state.Problem, state.Problems, failed = fmt.Sprintf("%s has %s.", list.Path, count(len(problems), "mistake", "mistakes")), problems, nil
	} else if failed != nil {
		state.Problem = "The repository could not be read."
	}
	err = r.Store.InTx(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return tx.SaveListState(context.WithoutCancel(ctx), &state)
	})
	return errors.Join(failed, err)
}

// readList applies the newest commit of the list, unless that was done.
func (r *Runner) readList(ctx context.Context, list *AutomationList, state *models.ListState) error {
	_, head, err := list.Git.LsRemote(ctx, list.Remote, "HEAD")
	if err != nil {
		return err
	}
	mirror, err := list.Cache.Mirror(ctx, list.Remote)
	if err != nil {
		return err
	}
	if err := mirror.Fetch(ctx); err != nil {
		return err
	}
	sha, err := mirror.RevParse(ctx, head)
	if err != nil {
		return err
	}
	if sha == state.SHA && state.Pending == 0 {
		state.ReadAt = state.TriedAt
		return nil
	}
	text, err := mirror.ShowFile(ctx, sha, list.Path, packageconfig.MaxSize)
	if err != nil {
		return fmt.Errorf("reading %s of %s: %w", list.Path, list.Remote.URL, err)
	}
	entries, err := packageconfig.ParseList(text)
	if err != nil {
		return err
	}
	pending, err := r.applyList(ctx, entries, sha)
	if err != nil {
		return err
	}
	state.SHA, state.ReadAt, state.Pending = sha, state.TriedAt, pending
	return nil
}

// applyList switches on and off what the entries say, and off what is not among
// them any more. It returns how many packages are still to be looked for.
func (r *Runner) applyList(ctx context.Context, entries []models.ListEntry, sha string) (pending int, err error) {
	known, err := r.Store.ListEntries(ctx)
	if err != nil {
		return 0, err
	}
	lookups := 0
	for i := range entries {
		e := &entries[i]
		k := slices.IndexFunc(known, func(other *models.ListEntry) bool { return other.Package == e.Package })
		if k >= 0 {
			e.ProjectID = known[k].ProjectID
		}
		if e.ProjectID == 0 && len(e.Problems) == 0 {
			if lookups++; lookups > listLookups {
				pending++
				continue
			}
		}
		if err := r.applyEntry(ctx, e, sha); err != nil {
			return 0, err
		}
	}
	for _, gone := range known {
		if slices.ContainsFunc(entries, func(e models.ListEntry) bool { return e.Package == gone.Package }) {
			continue
		}
		if err := r.dropEntry(ctx, gone, sha); err != nil {
			return 0, err
		}
	}
	return pending, nil
}

// applyEntry does what the list says of a package. An entry with mistakes is
// kept, and changes nothing.
func (r *Runner) applyEntry(ctx context.Context, e *models.ListEntry, sha string) error {
	var p *models.Project
	if len(e.Problems) == 0 {
		var err error
		p, err = r.FindPackage(ctx, e.Package)
		if errors.Is(err, models.ErrNotFound) {
			e.Problems = []models.ConfigProblem{{Key: "packages." + e.Package, Line: e.Line, Column: 1, Message: "Dist-git has no such package."}}
		} else if err != nil {
			return err
		}
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if len(e.Problems) > 0 {
			return tx.SaveListEntry(ctx, e)
		}
		if p.ID == 0 {
			if err := tx.EnsureProject(ctx, p); err != nil {
				return err
			}
		}
		e.ProjectID = p.ID
		if err := tx.SaveListEntry(ctx, e); err != nil {
			return err
		}
		return r.switchByList(ctx, tx, p, e.Automations(p), sha)
	})
}

// dropEntry switches off what a package had of the list.
func (r *Runner) dropEntry(ctx context.Context, e *models.ListEntry, sha string) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if e.ProjectID != 0 {
			p, err := tx.Project(ctx, e.ProjectID)
			if err != nil {
				return err
			}
			if err := r.switchByList(ctx, tx, p, nil, sha); err != nil {
				return err
			}
		}
		return tx.RemoveListEntry(ctx, e.Package)
	})
}

// switchByList makes the jobs of a package what the list wants. Those that
// somebody switched in the browser are left alone.
func (r *Runner) switchByList(ctx context.Context, tx *store.Tx, p *models.Project, wanted []*models.Automation, sha string) error {
	now, err := tx.Automations(ctx, p.ID)
	if err != nil {
		return err
	}
	changed := map[string]string{}
	for _, job := range models.AutomationJobs {
		is := func(a *models.Automation) bool { return a.Job == job }
		i, k := slices.IndexFunc(wanted, is), slices.IndexFunc(now, is)
		next, expected := (*models.Automation)(nil), 0
		if k >= 0 {
			if now[k].Source != models.FromList {
				continue
			}
			expected = now[k].Version
		}
		switch {
		case i >= 0 && (k < 0 || !now[k].Same(wanted[i])):
			next = wanted[i]
		case i < 0 && k >= 0 && now[k].Enabled:
			next = &models.Automation{ProjectID: p.ID, Package: p.Name, Job: job, Settings: now[k].Settings, Source: models.FromList}
		default:
			continue
		}
		if err := tx.SaveAutomation(ctx, next, expected); err != nil {
			return err
		}
		changed[string(job)] = fmt.Sprintf("version %d, %s", next.Version, onOff(next.Enabled))
	}
	if len(changed) == 0 {
		return nil
	}
	return tx.Audit(ctx, &models.AuditEntry{
		Actor: strings.TrimSpace(fmt.Sprintf("the list at %.7s", sha)), Via: models.ViaList, Action: "automation.save", Object: p.Path(), ProjectID: p.ID,
		Detail: changed, Result: models.AuditDone,
	})
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
