package jobs

import (
	"context"
	"strconv"
	"strings"
	"time"

	"millrace/clients/copr"
	"millrace/models"
)

// SRPMInCopr has Copr make source RPMs: its custom source method runs this very
// program in a disposable machine, and goes on to the chroots of the first build
// step.
type SRPMInCopr struct {
	*Copr
	Script func(ctx context.Context, w *Work) (string, error) // what Copr runs
	Deps   []string                                           // packages that the script needs

	// Otherwise makes those that no build in Copr follows, which it makes with
	// builds only; nil: nobody does.
	Otherwise Kind
}

// Submit is part of Kind. Chroots of the builds that Copr does not have are told
// right here: nobody needs to wait for the source RPM to learn that.
func (k *SRPMInCopr) Submit(ctx context.Context, w *Work) (Outcome, error) {
	run := w.Runs[0]
	if k.Otherwise != nil && len(buildsOf(w.Pipeline, w.Step)) == 0 {
		return k.Otherwise.Submit(ctx, w)
	}
	h, refused, err := k.host(ctx, w)
	if err != nil {
		return Outcome{}, err
	}
	if h.step == nil {
		return Outcome{Runs: append(refused, Update{Run: run, State: models.Skipped, Reason: "Copr has none of the chroots to build for."})}, nil
	}
	at := k.place(w.Pipeline, h.step, h.view)
	build, found, err := k.find(ctx, at, w.Group)
	if err != nil {
		return Outcome{}, err
	}
	if !found {
		if build, err = k.submit(ctx, w, at, h); err != nil {
			return Outcome{}, err
		}
	}
	data := run.Data
	data.CoprOwner, data.CoprProject = at.owner, at.project
	id := strconv.FormatInt(build.ID, 10)
	return Outcome{ExternalID: id, Waiting: true, Runs: append(refused, Update{
		Run: run, State: models.Queued, Reason: "SRPM build in Copr was submitted...",
		ExternalID: id, ExternalURL: k.Client.BuildURL(build.ID), Data: &data,
	})}, nil
}

// hostStep is the build step whose chroots go on from the source RPM by themselves.
type hostStep struct {
	step    *models.Step // nil: none
	view    *models.JobView
	chroots []string
}

// host chooses the first build step with chroots that Copr has. It refuses the
// chroots that Copr does not have, as far as it looks.
func (k *SRPMInCopr) host(ctx context.Context, w *Work) (hostStep, []Update, error) {
	builds := buildsOf(w.Pipeline, w.Step)
	if len(builds) == 0 {
		return hostStep{}, nil, broken(nil, "No build follows this source RPM.")
	}
	var refused []Update
	for _, step := range builds {
		view, err := step.View()
		if err != nil {
			return hostStep{}, nil, err
		}
		var runs []*models.Run
		var names []string
		for _, t := range step.Targets {
			if !t.Reused && !t.Run.State.Finished() {
				runs, names = append(runs, t.Run), append(names, t.Name)
			}
		}
		chroots, err := k.split(ctx, names)
		if err != nil {
			return hostStep{}, nil, err
		}
		refused = append(refused, chroots.unsupported(view, runs)...)
		if len(chroots.have) > 0 {
			return hostStep{step, view, chroots.have}, refused, nil
		}
	}
	return hostStep{}, refused, nil
}

func (k *SRPMInCopr) submit(ctx context.Context, w *Work, at place, h hostStep) (copr.Build, error) {
	script, err := k.Script(ctx, w)
	if err != nil {
		return copr.Build{}, err
	}
	if len(script) > copr.MaxScript-scriptRoom {
		return copr.Build{}, fail("The names in the package config are too long: what Copr is to run has %d bytes, and it takes %d.",
			len(script), copr.MaxScript-scriptRoom)
	}
	if err := k.prepare(ctx, at, w, h.view, h.chroots); err != nil {
		return copr.Build{}, err
	}
	releases, err := k.Releases(ctx)
	if err != nil {
		return copr.Build{}, err
	}
	build, err := k.Client.SubmitCustom(ctx, copr.CustomBuild{
		BuildOptions: k.buildOptions(at, w, h.view, h.chroots), Script: script,
		ScriptChroot: newest(releases.Chroots("fedora-latest-stable")),
		BuildDeps:    append(append([]string{}, k.Deps...), h.view.SRPMBuildDeps...),
	})
	if err != nil {
		return build, k.submitRefused(ctx, at, w.Pipeline.Project, err)
	}
	return build, nil
}

// scriptRoom is what the client adds to a script: the key, in a line of its own.
const scriptRoom = 128

func newest(chroots []string) string {
	if len(chroots) == 0 {
		return ""
	}
	return chroots[len(chroots)-1]
}

// Poll is part of Kind.
func (k *SRPMInCopr) Poll(ctx context.Context, w *Work) (Outcome, error) {
	id, err := buildID(w.Group.ExternalID)
	if err != nil {
		return Outcome{}, err
	}
	source, err := k.Client.BuildChroot(ctx, id, copr.SourceChroot)
	if copr.IsNotFound(err) {
		return everyRun(w, models.Error, "The build is no longer in Copr."), nil
	}
	if err != nil {
		return Outcome{}, err
	}
	run := w.Runs[0]
	state, reason := stateOf(source.State)
	if source.State == copr.Importing { // the RPM is made; Copr keeps it in its git
		state, reason = models.Running, "Copr imports the SRPM."
	}
	if state == models.Failed {
		reason = "SRPM build failed, check the logs for details."
	}
	data := run.Data
	data.ServiceState, data.ResultURL = source.State, source.ResultURL
	if state == models.Passed {
		build, err := k.Client.Build(ctx, id)
		if err != nil {
			return Outcome{}, err
		}
		data.SRPMURL = build.SourceURL
		data.Version, _, _ = strings.Cut(build.Version, "-") // Copr's has the release too
		if build.Package != "" {
			data.NVR = build.Package + "-" + build.Version
		}
	}
	return Outcome{Runs: []Update{{
		Run: run, State: state, Reason: reason, LogURL: source.LogURL(),
		StartedAt: source.Started, FinishedAt: finishedAt(source, state), Data: &data,
	}}}, nil
}

// finishedAt is when Copr ended, if the chroot has.
func finishedAt(c copr.BuildChroot, state models.State) time.Time {
	if state.Finished() {
		return c.Ended
	}
	return time.Time{}
}

// Cancel is part of Kind.
func (k *SRPMInCopr) Cancel(ctx context.Context, w *Work) error {
	host := hostOf(w.Pipeline, w.Step)
	if host == nil {
		return nil
	}
	view, err := host.View()
	if err != nil {
		return err
	}
	return k.cancel(ctx, w.Group, w.Group.ExternalID, k.place(w.Pipeline, host, view))
}

// FetchLog is part of logFetcher.
func (k *SRPMInCopr) FetchLog(ctx context.Context, run *models.Run, limit int) ([]byte, int64, error) {
	log, err := k.Client.Log(ctx, run.LogURL, limit)
	return log.Bytes(), log.Skipped, err
}
