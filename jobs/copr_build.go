package jobs

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"

	"millrace/clients/copr"
	"millrace/models"
)

// CoprBuild builds RPMs in Copr: all chroots of a step in one build.
type CoprBuild struct {
	*Copr
	Base string                                  // address of our pages, from where Copr can fetch
	Open func(srpmPath string) (*os.File, error) // source RPMs that were built here
}

func buildID(externalID string) (int64, error) {
	if externalID == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(externalID, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the id of a Copr build: %w", err)
	}
	return id, nil
}

// Submit is part of Kind. If Copr made the source RPM, the build that made it
// goes on to these chroots by itself.
func (k *CoprBuild) Submit(ctx context.Context, w *Work) (Outcome, error) {
	source, err := sourceOf(w)
	if err != nil {
		return Outcome{}, err
	}
	chroots, err := k.split(ctx, targetsOf(w))
	if err != nil {
		return Outcome{}, err
	}
	have := chroots.have
	o := Outcome{Waiting: len(have) > 0, Runs: chroots.unsupported(w.View, w.Runs)}
	if len(have) == 0 {
		return o, nil
	}
	at := k.place(w.Pipeline, w.Step, w.View)
	id, err := k.submit(ctx, w, at, source, have)
	if err != nil {
		return o, err
	}
	o.ExternalID = strconv.FormatInt(id, 10)
	for _, run := range w.Runs {
		if !slices.Contains(have, run.Target) {
			continue
		}
		data := run.Data
		data.CoprOwner, data.CoprProject = at.owner, at.project
		o.Runs = append(o.Runs, Update{
			Run: run, State: models.Queued, Reason: "In Copr's queue.",
			ExternalID: o.ExternalID, ExternalURL: k.Client.BuildURL(id), Data: &data,
		})
	}
	return o, nil
}

// sourceOf is the target whose run made the source RPM.
func sourceOf(w *Work) (*models.Target, error) {
	for _, t := range w.Needed(w.Step.Targets[0]) {
		if t.Run.Kind == models.SRPMStep {
			return t, nil
		}
	}
	return nil, broken(nil, "The pipeline has no source RPM for this build.")
}

func targetsOf(w *Work) []string {
	names := make([]string, len(w.Runs))
	for i, run := range w.Runs {
		names[i] = run.Target
	}
	return names
}

func (k *CoprBuild) submit(ctx context.Context, w *Work, at place, source *models.Target, chroots []string) (int64, error) {
	if id, err := buildID(source.Run.ExternalID); err != nil || (id != 0 && hosts(w, source)) {
		return id, err
	}
	if build, found, err := k.find(ctx, at, w.Group); err != nil || found {
		return build.ID, err
	}
	if err := k.prepare(ctx, at, w, w.View, chroots); err != nil {
		return 0, err
	}
	build, err := k.send(ctx, k.buildOptions(at, w, w.View, chroots), source.Run)
	if err != nil {
		return 0, k.submitRefused(ctx, at, w.Pipeline.Project, err)
	}
	return build.ID, nil
}

// hosts reports whether the Copr build that made the source RPM was submitted
// with the chroots of this step: of the first build step that follows it, in
// the same attempt.
func hosts(w *Work, source *models.Target) bool {
	step := w.Pipeline.Step(source.StepID)
	host := hostOf(w.Pipeline, step)
	return !source.Reused && host != nil && host.ID == w.Step.ID
}

// hostOf is the first build step that needs a source RPM and has a chroot that
// this attempt builds and Copr has.
func hostOf(p *models.Pipeline, source *models.Step) *models.Step {
	for _, step := range buildsOf(p, source) {
		if slices.ContainsFunc(step.Targets, func(t *models.Target) bool { return !t.Reused && !t.Run.Data.Unsupported }) {
			return step
		}
	}
	return nil
}

// buildsOf are the build steps that need a source RPM.
func buildsOf(p *models.Pipeline, source *models.Step) []*models.Step {
	var builds []*models.Step
	for _, step := range p.Steps {
		for _, need := range step.Needs {
			if need.NeedsID == source.ID && step.Kind == models.CoprBuildStep {
				builds = append(builds, step)
			}
		}
	}
	return builds
}

func (k *CoprBuild) send(ctx context.Context, o copr.BuildOptions, source *models.Run) (copr.Build, error) {
	if source.Data.SRPMPath == "" {
		// By way of our own address, which can carry the key; it redirects.
		return k.Client.SubmitURL(ctx, o, fmt.Sprintf("%s/srpms/%d/%s/source.src.rpm", k.Base, source.ID, o.Key))
	}
	file, err := k.Open(source.Data.SRPMPath)
	if err != nil {
		return copr.Build{}, broken(err, "The source RPM is no longer here; build it again.")
	}
	defer file.Close()
	return k.Client.SubmitUpload(ctx, o, file)
}

// Poll is part of Kind.
func (k *CoprBuild) Poll(ctx context.Context, w *Work) (Outcome, error) {
	id, err := buildID(w.Group.ExternalID)
	if err != nil {
		return Outcome{}, err
	}
	chroots, err := k.Client.BuildChroots(ctx, id)
	if copr.IsNotFound(err) {
		return everyRun(w, models.Error, "The build is no longer in Copr."), nil
	}
	if err != nil {
		return Outcome{}, err
	}
	byName := make(map[string]copr.BuildChroot, len(chroots))
	for _, c := range chroots {
		byName[c.Name] = c
	}
	var o Outcome
	var packages map[string][]copr.Package
	for _, run := range w.Runs {
		c, there := byName[run.Target]
		if !there {
			u, err := k.missing(ctx, run, id)
			if err != nil {
				return o, err
			}
			o.Runs = append(o.Runs, u)
			continue
		}
		state, reason := stateOf(c.State)
		data := run.Data
		data.ServiceState, data.ResultURL = c.State, c.ResultURL
		if state == models.Passed {
			if packages == nil {
				if packages, err = k.Client.BuiltPackages(ctx, id); err != nil {
					return o, err
				}
			}
			data.Packages = nil
			for _, p := range packages[run.Target] {
				data.Packages = append(data.Packages, p.NEVRA())
			}
		}
		o.Runs = append(o.Runs, Update{
			Run: run, State: state, Reason: reason, LogURL: c.LogURL(),
			StartedAt: c.Started, FinishedAt: finishedAt(c, state), Data: &data,
		})
	}
	return o, nil
}

// missing is what became of a chroot that the build does not list: not yet, or
// never, if the build has ended.
func (k *CoprBuild) missing(ctx context.Context, run *models.Run, id int64) (Update, error) {
	build, err := k.Client.Build(ctx, id)
	if err != nil {
		return Update{}, err
	}
	if copr.Finished(build.State) {
		return Update{Run: run, State: models.Error, Reason: "Copr ended the build (" + build.State + ") without this chroot."}, nil
	}
	return Update{Run: run, State: models.Queued, Reason: "In Copr's queue."}, nil
}

// Cancel is part of Kind. A build that the source RPM's goes on to by itself has
// that one's id, also before anybody wrote it down.
func (k *CoprBuild) Cancel(ctx context.Context, w *Work) error {
	id := w.Group.ExternalID
	if source, err := sourceOf(w); err == nil && id == "" && hosts(w, source) {
		id = source.Run.ExternalID
	}
	return k.cancel(ctx, w.Group, id, k.place(w.Pipeline, w.Step, w.View))
}

// FetchLog is part of logFetcher.
func (k *CoprBuild) FetchLog(ctx context.Context, run *models.Run, limit int) ([]byte, int64, error) {
	log, err := k.Client.Log(ctx, run.LogURL, limit)
	return log.Bytes(), log.Skipped, err
}
