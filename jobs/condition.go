package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"millrace/jobs/sandbox"
	"millrace/jobs/sources"
	"millrace/models"
	"millrace/models/specfile"
)

// Conditions lets packages decide for themselves whether something is done, by the
// commands of their action run-condition.
type Conditions struct {
	Builder *sources.Builder
	DataDir string // of work directories
}

// check runs the action, if there is one. stop says what becomes of the run
// instead of the work: it is skipped because the package says no, or its
// commands cannot be run.
func (k *Conditions) check(ctx context.Context, w *Work, run *models.Run, request func() (sources.ConditionRequest, error)) (stop *Outcome, err error) {
	if !w.View.HasCondition() {
		return nil, nil
	}
	if k == nil {
		return nil, broken(nil, "The package has the action run-condition, and this service runs no commands of packages.")
	}
	r, err := request()
	if err != nil {
		return nil, err
	}
	r.Package = &models.ConfigPackage{Name: w.View.Package, Settings: w.View.PackageSettings}
	r.Work = filepath.Join(k.DataDir, "work", w.Group.Key+"-condition")
	if err := sandbox.RemoveAll(r.Work); err != nil {
		return nil, fmt.Errorf("clearing the work directory: %w", err)
	}
	if err := os.MkdirAll(r.Work, 0o755); err != nil {
		return nil, fmt.Errorf("making the work directory: %w", err)
	}
	defer sandbox.RemoveAll(r.Work)
	log := newLogWriter(func(text []byte) error { return w.Log(run, text) })
	r.Log = log
	err = k.Builder.RunCondition(ctx, r)
	if logErr := log.Close(); err == nil && logErr != nil {
		return nil, fmt.Errorf("keeping the log: %w", logErr)
	}
	return conditionOutcome(w, run, log, err)
}

// conditionOutcome tells the package's no from what is somebody's mistake, and that
// from ours.
func conditionOutcome(w *Work, run *models.Run, log *logWriter, err error) (*Outcome, error) {
	if skip, ok := errors.AsType[*sources.SkipError](err); ok {
		o := everyRun(w, models.Skipped, skip.Reason)
		return &o, nil
	}
	if undecided, ok := errors.AsType[*sources.UndecidedError](err); ok {
		return nil, broken(nil, "%s", undecided.Reason)
	}
	if no, ok := errors.AsType[*sandbox.NoSandboxError](err); ok {
		return nil, broken(err, "The commands of this package are not run here without a sandbox: %s", no.Reason)
	}
	if user, ok := errors.AsType[*sources.UserError](err); ok && sources.IsUserError(err) {
		o := failed(run, user, log)
		return &o, nil
	}
	return nil, err
}

// specVersion is the version that a spec file says it has, or empty if the file
// alone does not say.
func specVersion(text []byte, dist string) string {
	file, err := specfile.Parse(text)
	if err != nil {
		return ""
	}
	if dist != "" {
		file.Define("dist", dist)
	}
	version := file.Version()
	if !specfile.IsExpanded(version) {
		return ""
	}
	return version
}
