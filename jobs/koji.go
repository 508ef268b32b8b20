package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/httpx"
	"millrace/clients/koji"
	"millrace/models"
	"millrace/models/specfile"
)

// Koji is what the kinds that have to do with Koji have in common.
type Koji struct {
	Client   *koji.Client
	Engine   *Engine
	Packages *Packages
	Forge    func(p *models.Project) (Forge, error)
	Releases func(context.Context) (models.Releases, error)

	Conditions *Conditions // of packages; nil: one that has a condition cannot be served
}

// kojiTarget is the target in which a branch of dist-git is built.
func kojiTarget(branch string) string {
	if branch == "rawhide" || branch == "main" {
		return "rawhide"
	}
	return branch + "-candidate"
}

// kojiTask reads the id of a group's or a product's task.
func kojiTask(externalID string) (int64, error) {
	id, err := strconv.ParseInt(externalID, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the id of a Koji task: %w", err)
	}
	return id, nil
}

// find looks for the task that was submitted for a group that was claimed before;
// 0 if there is none.
func (k *Koji) find(ctx context.Context, w *Work, request koji.BuildRequest) (int64, error) {
	if w.Group.Epoch <= 1 {
		return 0, nil
	}
	return k.look(ctx, w, request)
}

func (k *Koji) look(ctx context.Context, w *Work, request koji.BuildRequest) (int64, error) {
	user, err := k.Client.LoggedInUser(ctx)
	if err != nil {
		return 0, k.refused(err, "logging in to Koji")
	}
	task, err := k.Client.FindTask(ctx, user.ID, request, w.Group.CreatedAt)
	if errors.Is(err, models.ErrNotFound) {
		return 0, nil
	}
	return task.ID, err
}

// submit asks for a build, once for the key of the group.
func (k *Koji) submit(ctx context.Context, request koji.BuildRequest) (int64, error) {
	task, err := k.Client.SubmitBuild(ctx, request)
	if err != nil {
		return 0, k.refused(err, "submitting the build")
	}
	return task, nil
}

// cancel has the task of a group canceled, which is looked for by the key if
// nobody wrote its id down.
func (k *Koji) cancel(ctx context.Context, w *Work) error {
	id, err := int64(0), error(nil)
	if w.Group.ExternalID != "" {
		id, err = kojiTask(w.Group.ExternalID)
	} else {
		id, err = k.look(ctx, w, koji.BuildRequest{Key: w.Group.Key})
	}
	if err != nil || id == 0 {
		return err
	}
	return k.Client.CancelTask(ctx, id)
}

// refused turns a final answer of Koji into one for people.
func (k *Koji) refused(err error, doing string) error {
	switch {
	case koji.IsLogin(err):
		return broken(err, "Koji does not accept this service's login; an operator must look at it.")
	case temporary(err):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fail("%s did not work; Koji says: %s", sentenceStart(doing), koji.Text(err))
}

// observe reads how a task is doing: the state of its run, the log that people
// want to see, and why it failed.
func (k *Koji) observe(ctx context.Context, run *models.Run, id int64) (Update, *koji.Fault, error) {
	task, err := k.Client.Task(ctx, id)
	if errors.Is(err, models.ErrNotFound) {
		return Update{Run: run, State: models.Error, Reason: "The task is no longer in Koji."}, nil, nil
	}
	if err != nil {
		return Update{}, nil, err
	}
	data := run.Data
	data.ServiceState = task.State.String()
	u := Update{Run: run, StartedAt: task.Started, FinishedAt: task.Completed, Data: &data}
	if task.State == koji.TaskOpen || task.State.Finished() {
		children, err := k.Client.TaskChildren(ctx, id)
		if err != nil {
			return u, nil, err
		}
		if child, ok := koji.Telling(children); ok {
			u.LogURL = k.Client.TaskLogURL(child.ID, koji.BuildLog)
		}
	}
	switch task.State {
	case koji.TaskFree, koji.TaskAssigned:
		u.State, u.Reason = models.Queued, "In Koji's queue."
	case koji.TaskOpen:
		u.State = models.Running
	case koji.TaskClosed:
		u.State = models.Passed
	case koji.TaskCanceled:
		u.State, u.Reason = models.Canceled, "It was canceled in Koji."
	case koji.TaskFailed:
		u.State, u.Reason = models.Failed, "The build failed in Koji."
		fault, err := k.Client.TaskFailure(ctx, id)
		if err != nil {
			return u, nil, err
		}
		if fault != nil {
			u.Reason = sentence(firstLine(fault.Text))
		}
		return u, fault, nil
	}
	return u, nil, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// logNames are the logs of a task in the order in which people want to see them.
var logNames = []string{koji.BuildLog, "mock_output.log", "root.log", "checkout.log"}

// FetchLog is part of logFetcher. A builder that fails early leaves no build.log;
// then the next best is taken.
func (k *Koji) FetchLog(ctx context.Context, run *models.Run, limit int) ([]byte, int64, error) {
	address, err := url.Parse(run.LogURL)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the address of a log: %w", err)
	}
	id, err := kojiTask(path.Base(path.Dir(address.Path)))
	if err != nil {
		return nil, 0, err
	}
	files, err := k.Client.TaskOutput(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range logNames {
		if _, ok := files[name]; ok {
			log, err := k.Client.TaskLog(ctx, id, name, int64(limit))
			return log.Bytes(), log.Skipped, err
		}
	}
	return nil, 0, &httpx.Error{Service: "koji", Message: fmt.Sprintf("task %d has no logs", id)}
}

// buildOfTask is the build that a task makes; models.ErrNotFound is in the chain of
// the error if it has not got so far.
func (k *Koji) buildOfTask(ctx context.Context, id int64) (koji.Build, error) {
	found, err := k.Client.ListBuilds(ctx, koji.BuildFilter{TaskID: id, Limit: 1})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("the build of task %d in koji: %w", id, models.ErrNotFound)
	}
	if err != nil {
		return koji.Build{}, err
	}
	return found[0], nil
}

var kojiStates = map[koji.BuildState]models.ProductState{
	koji.BuildBuilding: models.ProductBuilding, koji.BuildComplete: models.ProductComplete, koji.BuildFailed: models.ProductFailed,
	koji.BuildCanceled: models.ProductCanceled, koji.BuildDeleted: models.ProductCanceled,
}

// product is a build on the way of a release.
func (k *Koji) product(b koji.Build, branch string) *models.Product {
	p := &models.Product{
		Kind: models.BuildProduct, Key: buildRef(b).Key, Package: b.Package, Branch: branch, Name: b.NVR,
		State: kojiStates[b.State], URL: k.Client.BuildURL(b.ID),
		Data: models.ProductData{TaskID: b.TaskID, BuildID: b.ID, Author: b.OwnerName, Commit: commitOfSource(b.Source)},
	}
	if b.State == koji.BuildDeleted {
		p.Data.Reason = "The build was deleted in Koji."
	}
	return p
}

func buildRef(b koji.Build) models.ProductRef {
	if b.TaskID == 0 {
		return models.ImportRefOf(b.ID)
	}
	return models.BuildRefOf(b.TaskID)
}

// commitOfSource is the commit that a build was made of, or empty.
func commitOfSource(source string) string {
	_, commit, _ := strings.Cut(source, "#")
	return commit
}

// maxSpecfile is the largest spec file that is read, in bytes.
const maxSpecfile = 1 << 20

// identity is the name, version and release that a spec file would be built as, in
// a distribution whose packages' releases end in dist. It is empty if the file
// alone does not say: %autorelease counts commits, and macros may come from
// elsewhere.
func identity(text []byte, dist string) string {
	file, err := specfile.Parse(text)
	if err != nil || dist == "" {
		return ""
	}
	file.Define("dist", dist)
	if file.HasAutorelease() {
		return ""
	}
	evr, err := file.EVR()
	if err != nil {
		return ""
	}
	nvr := file.Name() + "-" + evr.Version + "-" + file.Expand(file.RawRelease())
	if file.Name() == "" || !specfile.IsExpanded(nvr) || strings.ContainsAny(nvr, " \t\n/") {
		return ""
	}
	return nvr
}

// existing finds the build that a submission would repeat: one with the same name,
// version and release, or, where that cannot be known before, one of the same
// commit for the same distribution, by whatever address of the repository it was
// asked for. It is nil if there is none that is complete or on its way.
//
// The number of %autorelease is not computed here. It counts commits since the
// version changed, and what the version was in each of them only rpm on a builder
// says, with all its macros; with a wrong number a build that is needed would be
// skipped. The right one says no more than the commit: on one branch, no two have
// the same.
func (k *Koji) existing(ctx context.Context, pkg, nvr, commit, dist string) (*koji.Build, error) {
	alive := func(b koji.Build) bool { return b.State == koji.BuildBuilding || b.State == koji.BuildComplete }
	if nvr != "" {
		b, err := k.Client.Build(ctx, nvr)
		switch {
		case errors.Is(err, models.ErrNotFound):
			return nil, nil
		case err != nil || !alive(b):
			return nil, err
		}
		return &b, nil
	}
	if dist == "" {
		return nil, nil
	}
	found, err := k.Client.ListBuilds(ctx, koji.BuildFilter{Package: pkg, Source: "*#" + commit, Limit: 50})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(found, func(b koji.Build) bool {
		return alive(b) && commitOfSource(b.Source) == commit && (strings.HasSuffix(b.Release, dist) || strings.Contains(b.Release, dist+"."))
	})
	if i < 0 {
		return nil, nil
	}
	return &found[i], nil
}

// newestBuilds is the build with the highest epoch, version and release of each package.
func newestBuilds(builds []koji.Build) map[string]koji.Build {
	best := map[string]koji.Build{}
	for _, b := range builds {
		if old, ok := best[b.Package]; !ok || compareBuilds(b, old) > 0 {
			best[b.Package] = b
		}
	}
	return best
}

func compareBuilds(x, y koji.Build) int {
	return cmp.Or(evrOf(x).Compare(evrOf(y)), cmp.Compare(x.ID, y.ID))
}
