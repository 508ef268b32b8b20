package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/forge"
	"millrace/clients/httpx"
	"millrace/clients/koji"
	"millrace/models"
	"millrace/models/rpm"
	"millrace/models/store"
)

const (
	watchAgain  = 5 * time.Minute     // after which a product is handed out again whose job was lost
	watchMost   = time.Hour           // between two questions about a product
	watchSeldom = 12 * time.Hour      // the same, once it is old
	watchOld    = 30 * 24 * time.Hour // when a product is old
	seekUpdates = 7 * 24 * time.Hour  // for how long updates of a build are looked for
)

// watched is what was found out about a product: what there is now beside it, and
// what a message should have told.
type watched struct {
	product *models.Product // as it is now
	again   bool            // it is to be asked about once more
	news    []Made
	missed  *models.Message // by the key
	key     string
}

// watch asks a product's service how it is doing. Services are asked outside of any
// transaction; what somebody else wrote meanwhile is newer.
func (r *Runner) watch(ctx context.Context, id int64) error {
	p, err := r.Store.ProductByID(ctx, id)
	if err != nil {
		return err
	}
	if p.PollAt.IsZero() {
		return nil
	}
	project, err := r.Store.Project(ctx, p.ProjectID)
	if err != nil {
		return err
	}
	read := p.UpdatedAt
	found, problem := r.look(ctx, p, project)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if problem != nil {
		r.Log.WarnContext(ctx, "a product could not be asked about", "product", p.Key, "error", problem)
		found = watched{product: p, again: true}
	}
	return r.Store.InTx(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		now, err := tx.LockProduct(ctx, p.Ref())
		if err != nil {
			return err
		}
		if !now.UpdatedAt.Equal(read) {
			return nil
		}
		next := found.product
		next.Polls = now.Polls + 1
		next.PollAt = time.Time{}
		if found.again {
			next.PollAt = store.Now().Add(r.watchWait(next))
			if at := httpx.RetryAfter(problem); at.After(next.PollAt) {
				next.PollAt = at
			}
		}
		if err := r.saveProduct(ctx, tx, next); err != nil {
			return err
		}
		for _, made := range found.news {
			if err := tx.EnsureProject(ctx, made.Project); err != nil {
				return err
			}
			made.ProjectID = made.Project.ID
			if err := r.saveProduct(ctx, tx, made.Product, made.From...); err != nil {
				return err
			}
		}
		if found.missed != nil {
			_, err = r.deliver(ctx, tx, found.key, found.missed)
		}
		return err
	})
}

// watchWait grows by half with every question, up to an hour.
func (r *Runner) watchWait(p *models.Product) time.Duration {
	if store.Now().Sub(p.CreatedAt) > watchOld {
		return watchSeldom
	}
	t := r.Timing
	t.PollMax = max(t.PollMax, watchMost)
	if p.Kind == models.BuildProduct && p.State == models.ProductBuilding {
		t.PollMax = r.Timing.PollMax
	}
	return pollWait(t, p.Polls)
}

func (r *Runner) look(ctx context.Context, p *models.Product, project *models.Project) (watched, error) {
	switch {
	case p.Kind == models.PullProduct && r.Packages.Holds(project):
		return r.lookAtPull(ctx, p, project)
	case p.Kind == models.BuildProduct && r.Koji != nil:
		return r.lookAtBuild(ctx, p, project)
	case p.Kind == models.UpdateProduct && r.Bodhi != nil:
		return r.lookAtUpdate(ctx, p)
	}
	return watched{product: p}, nil // nobody can be asked here
}

// lookAtPull sees whether a pull request was merged. The message about the push
// that merged it gets some time to come.
func (r *Runner) lookAtPull(ctx context.Context, p *models.Product, project *models.Project) (watched, error) {
	pull, err := r.Packages.Pull(ctx, pathOf(project), p.Data.Number)
	if httpx.Status(err) == http.StatusNotFound {
		p.State, p.Data.Reason = models.ProductClosed, "Dist-git does not have it any more."
		return watched{product: p}, nil
	}
	if err != nil {
		return watched{}, err
	}
	heard := p.State == models.ProductMerged
	p.Data.Head = pull.Head
	switch {
	case pull.Merged:
		p.State = models.ProductMerged
	case !pull.Open:
		p.State = models.ProductClosed
		return watched{product: p}, nil
	default:
		p.State = models.ProductOpen
		statuses, err := r.Packages.Statuses(ctx, pathOf(project), pull.Head)
		if err != nil {
			return watched{}, err
		}
		p.Data.Checks = checksOf(statuses)
		return watched{product: p, again: true}, nil
	}
	if !heard {
		p.Polls = 0
		return watched{product: p, again: true}, nil
	}
	return r.missedPush(ctx, p, pull, project)
}

// missedPush is the push of a merge of which no message came. If the branch's head
// is not the pull request's, somebody pushed after it or, where the forge does not say
// which, the merge made a commit: then nobody knows who is behind it, and the push is
// told of as somebody's.
func (r *Runner) missedPush(ctx context.Context, p *models.Product, pull forge.PullRequest, project *models.Project) (watched, error) {
	branches, err := r.Packages.Branches(ctx, pathOf(project))
	if err != nil {
		return watched{}, err
	}
	found := watched{product: p}
	head, ok := branches[pull.Target]
	if !ok {
		return found, nil
	}
	came := head == pull.Head || head == pull.Merge
	commit, err := r.Store.Product(ctx, models.CommitRefOf(project, pull.Target, head))
	if err == nil && came { // its message may have come before we knew of the pull request
		found.news = []Made{{Product: commit, Project: project, From: []models.ProductRef{p.Ref()}}}
	}
	if err == nil || !errors.Is(err, models.ErrNotFound) {
		return found, err
	}
	p.Data.Commit = head
	found.key = fmt.Sprintf("push %s %s %s", project.Path(), pull.Target, head)
	found.missed = &models.Message{
		Kind: models.PushEvent, ProjectURL: project.URL, Branch: pull.Target, Commit: head, Title: pull.Title, URL: pull.URL,
	}
	if came {
		found.missed.PR = pull.Number
	}
	return found, nil
}

// checksOf is what the checks of a pull request come to.
func checksOf(statuses []forge.Status) string {
	word := ""
	for _, s := range statuses {
		switch s.State {
		case forge.Failure, forge.Error:
			return "failed"
		case forge.Pending:
			word = "running"
		case forge.Success:
			if word == "" {
				word = "passed"
			}
		}
	}
	return word
}

// lookAtBuild sees how a build that nobody else asks about is doing, tells of one
// that is complete if no message did, and looks for its update.
func (r *Runner) lookAtBuild(ctx context.Context, p *models.Product, project *models.Project) (watched, error) {
	b, err := r.askBuild(ctx, p)
	if errors.Is(err, models.ErrNotFound) {
		task, err := r.Koji.Client.Task(ctx, p.Data.TaskID)
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return watched{}, err
		}
		if err == nil && !task.State.Finished() {
			return watched{product: p, again: true}, nil
		}
		if p.State = models.ProductFailed; err == nil && task.State == koji.TaskCanceled {
			p.State = models.ProductCanceled
		}
		return watched{product: p}, nil
	}
	if err != nil {
		return watched{}, err
	}
	now := r.Koji.product(b, p.Branch)
	p.Name, p.State, p.URL = now.Name, now.State, now.URL
	p.Data.BuildID, p.Data.Author = now.Data.BuildID, now.Data.Author
	switch p.State {
	case models.ProductBuilding:
		return watched{product: p, again: true}, nil
	case models.ProductComplete:
	default:
		return watched{product: p}, nil
	}
	found := watched{product: p}
	if p.EventID == 0 && p.RunID != 0 { // of others' builds nobody waits for a message
		found.key, found.missed = missedBuild(p, b, project)
	}
	updates, err := r.seekUpdates(ctx, p, project)
	if err != nil {
		return watched{}, err
	}
	found.news = updates
	found.again = len(updates) == 0 && (p.FinishedAt.IsZero() || store.Now().Sub(p.FinishedAt) < seekUpdates)
	return found, nil
}

func (r *Runner) askBuild(ctx context.Context, p *models.Product) (koji.Build, error) {
	if p.Data.TaskID != 0 {
		return r.Koji.buildOfTask(ctx, p.Data.TaskID)
	}
	return r.Koji.Client.BuildByID(ctx, p.Data.BuildID)
}

// missedBuild is what Koji should have told of a complete build: that it is, or,
// in a side tag, that it was tagged.
func missedBuild(p *models.Product, b koji.Build, project *models.Project) (key string, m *models.Message) {
	m = &models.Message{
		Kind: models.KojiBuildEvent, Action: models.Ended, ProjectURL: project.URL, Branch: p.Branch, Commit: commitOfSource(b.Source),
		ExternalID: strconv.FormatInt(b.ID, 10), State: "complete", Package: b.Package, NVR: b.NVR, Actor: b.OwnerName, URL: p.URL,
	}
	if b.TaskID != 0 {
		m.TaskID = strconv.FormatInt(b.TaskID, 10)
	}
	if p.Data.SideTag == "" {
		return fmt.Sprintf("koji build %d complete", b.ID), m
	}
	return fmt.Sprintf("koji tag %s %s", p.Data.SideTag, b.NVR), &models.Message{
		Kind: models.KojiTagEvent, Action: models.Created, ProjectURL: project.URL, ExternalID: m.ExternalID, Tag: p.Data.SideTag,
		Package: b.Package, NVR: b.NVR, Actor: b.OwnerName, URL: p.URL,
	}
}

// seekUpdates finds the updates that others made of a build, as Bodhi itself does
// for Rawhide.
func (r *Runner) seekUpdates(ctx context.Context, p *models.Product, project *models.Project) ([]Made, error) {
	if r.Bodhi == nil {
		return nil, nil
	}
	found, err := r.Bodhi.Updates(ctx, bodhi.Query{Builds: []string{p.Name}, Limit: 10})
	if err != nil {
		return nil, err
	}
	var made []Made
	for _, u := range found {
		if !u.Has([]string{p.Name}) {
			continue
		}
		own := *project
		product := updateProduct(u, p.Package, p.Branch)
		if !product.State.Finished() {
			product.PollAt = store.Now().Add(r.Timing.Poll)
		}
		made = append(made, Made{Product: product, Project: &own, From: []models.ProductRef{p.Ref()}})
	}
	return made, nil
}

// lookAtUpdate sees how an update is doing.
func (r *Runner) lookAtUpdate(ctx context.Context, p *models.Product) (watched, error) {
	u, err := r.Bodhi.Update(ctx, p.Key)
	if bodhi.IsNotFound(err) {
		p.State, p.Data.Reason = models.ProductDropped, "Bodhi does not have it any more."
		return watched{product: p}, nil
	}
	if err != nil {
		return watched{}, err
	}
	now := updateProduct(u, p.Package, p.Branch)
	if now.State != p.State {
		p.Polls = 0 // what follows may follow soon
	}
	p.State, p.URL, p.Data = now.State, now.URL, now.Data
	return watched{product: p, again: !p.State.Finished()}, nil
}

// handleUpdate has Bodhi asked at once about an update that we know, or that has a
// build that we know. Of others there are too many to keep an event for each.
func (r *Runner) handleUpdate(ctx context.Context, d *models.Delivery, m *models.Message) error {
	known, err := r.productsOfUpdate(ctx, m)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return r.unheard(ctx, d, "It is about no update or build that is known here.")
	}
	e, err := r.event(ctx, d, m)
	if err != nil || e.State != models.EventNew {
		return err
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		e.ProjectID = known[0].ProjectID
		for _, p := range known {
			if err := tx.WatchNow(ctx, p.ID); err != nil {
				return err
			}
			if err := r.Queue.Add(ctx, tx, watchArgs{p.ID}); err != nil {
				return err
			}
		}
		return r.decided(ctx, tx, e, models.EventApplied, fmt.Sprintf("Bodhi was asked about the update %s.", m.ExternalID))
	})
}

// watchNow has the service of a product asked at once, if the product is known.
func (r *Runner) watchNow(ctx context.Context, ref models.ProductRef) error {
	p, err := r.Store.Product(ctx, ref)
	if errors.Is(err, models.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := tx.WatchNow(ctx, p.ID); err != nil {
			return err
		}
		return r.Queue.Add(ctx, tx, watchArgs{p.ID})
	})
}

func (r *Runner) productsOfUpdate(ctx context.Context, m *models.Message) ([]*models.Product, error) {
	update, err := r.Store.Product(ctx, models.UpdateRefOf(m.ExternalID))
	if err == nil {
		return []*models.Product{update}, nil
	}
	if !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	var known []*models.Product
	for _, nvr := range m.Builds[:min(len(m.Builds), maxDependents)] {
		name, err := rpm.ParseNEVR(nvr)
		if err != nil {
			continue
		}
		builds, err := r.Store.BuildsNamed(ctx, name.Name, nvr)
		if err != nil {
			return nil, err
		}
		known = append(known, builds...)
	}
	return known, nil
}
