package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/jobs/sources"
	"millrace/models"
)

// SRPMHere makes source RPMs on this machine, in a sandbox.
type SRPMHere struct {
	Builder *sources.Builder
	Forge   func(p *models.Project) (Forge, error)
	DataDir string // of work directories and of what was built
}

// startsAtOnce is part of local: the work begins when a worker claims it.
func (*SRPMHere) startsAtOnce() {}

// Submit is part of Kind. What an earlier try finished is found by its key.
func (k *SRPMHere) Submit(ctx context.Context, w *Work) (Outcome, error) {
	run := w.Runs[0]
	out := filepath.Join(k.DataDir, "srpms", w.Group.Key)
	if path, ok := built(out); ok {
		return k.passed(run, path, run.Data.Version)
	}
	forge, err := k.Forge(w.Pipeline.Project)
	if err != nil {
		return Outcome{}, err
	}
	repository, err := forge.Repository(ctx, w.Pipeline.Project)
	if err != nil {
		return Outcome{}, fmt.Errorf("asking where to clone %s: %w", w.Pipeline.Project.Path(), err)
	}
	work := filepath.Join(k.DataDir, "work", w.Group.Key)
	if err := errors.Join(sandbox.RemoveAll(work), sandbox.RemoveAll(out)); err != nil {
		return Outcome{}, fmt.Errorf("clearing the work directory: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(work, "tree"), 0o755); err != nil {
		return Outcome{}, fmt.Errorf("making the work directory: %w", err)
	}
	defer sandbox.RemoveAll(work)
	log := &logWriter{write: func(text []byte) error { return w.Log(run, text) }}
	defer log.Close()
	path, version, err := k.build(ctx, w, repository.CloneURL, work, out, log)
	if err != nil {
		return Outcome{}, k.explain(err)
	}
	return k.passed(run, path, version)
}

func (k *SRPMHere) build(ctx context.Context, w *Work, url, work, out string, log *logWriter) (path, version string, err error) {
	request, err := sourceRequest(w, url)
	if err != nil {
		return "", "", err
	}
	request.Work, request.ResultDir, request.Log = filepath.Join(work, "tree"), filepath.Join(work, "sources"), log
	prepared, err := k.Builder.Prepare(ctx, request)
	if err != nil {
		return "", "", err
	}
	path, err = k.Builder.BuildSRPM(ctx, sources.SRPMRequest{
		Dir: prepared.Dir, Spec: prepared.Spec, Out: out, ParseTimeMacros: w.View.ParseTimeMacros, Log: log,
	})
	return path, prepared.Version, err
}

// sourceRequest says what to prepare for a step.
func sourceRequest(w *Work, url string) (sources.Request, error) {
	p := w.Pipeline
	r := sources.Request{
		Remote: git.Remote{URL: url}, Package: &models.ConfigPackage{Name: w.View.Package, Settings: w.View.PackageSettings},
		Ref: p.SHA, NoMerge: !w.View.MergePRInCI, MergedRef: mergedRef(p),
	}
	if p.Kind == models.PullRequestRef {
		number, err := strconv.Atoi(p.Ref)
		if err != nil {
			return r, fmt.Errorf("reading the number of pull request %q: %w", p.Ref, err)
		}
		r.PR, r.TargetBranch = number, p.Commit.TargetRef
	}
	if p.Kind == models.ReleaseRef {
		no := false
		r.UpdateRelease = &no
	}
	return r, nil
}

// mergedRef is from where tags must be reachable to count.
func mergedRef(p *models.Pipeline) string {
	switch p.Kind {
	case models.PullRequestRef:
		return p.Commit.TargetRef
	case models.ReleaseRef:
		return p.Ref
	}
	return p.SHA
}

// explain tells the user's failures from ours.
func (k *SRPMHere) explain(err error) error {
	if user, ok := errors.AsType[*sources.UserError](err); ok {
		return &Refusal{State: models.Failed, Reason: user.Message, Err: user.Err}
	}
	if no, ok := errors.AsType[*sandbox.NoSandboxError](err); ok {
		return broken(err, "The commands of this package are not run here without a sandbox: %s", no.Reason)
	}
	return err
}

func (k *SRPMHere) passed(run *models.Run, path, version string) (Outcome, error) {
	relative, err := filepath.Rel(k.DataDir, path)
	if err != nil {
		return Outcome{}, fmt.Errorf("naming the source RPM: %w", err)
	}
	data := run.Data
	data.SRPMPath, data.Version = relative, version
	data.NVR = strings.TrimSuffix(filepath.Base(path), ".src.rpm")
	return Outcome{Runs: []Update{{Run: run, State: models.Passed, Data: &data}}}, nil
}

// built finds the source RPM in a directory that was filled to its end.
func built(dir string) (string, bool) {
	found, _ := filepath.Glob(filepath.Join(dir, "*.src.rpm")) // the pattern is good
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}

// Open returns a source RPM that was built here.
func (k *SRPMHere) Open(path string) (*os.File, error) {
	root, err := os.OpenRoot(k.DataDir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(path)
}

// Poll is part of Kind. Nothing is ever submitted elsewhere.
func (k *SRPMHere) Poll(ctx context.Context, w *Work) (Outcome, error) { return Outcome{}, nil }

// Cancel is part of Kind. The worker learns from its lease.
func (k *SRPMHere) Cancel(ctx context.Context, w *Work) error { return nil }

// logWriter passes whole lines on, a few times a second rather than one by one.
type logWriter struct {
	write func(text []byte) error

	mu    sync.Mutex // above what follows
	kept  bytes.Buffer
	since time.Time
}

// flushAfter is how long a line may wait for others to come along.
const flushAfter = 500 * time.Millisecond

func (l *logWriter) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept.Len() == 0 {
		l.since = time.Now()
	}
	l.kept.Write(text)
	if time.Since(l.since) < flushAfter && l.kept.Len() < 64<<10 {
		return len(text), nil
	}
	end := bytes.LastIndexByte(l.kept.Bytes(), '\n') + 1
	if end == 0 {
		return len(text), nil
	}
	l.since = time.Now()
	return len(text), l.write(l.kept.Next(end))
}

// Close passes on what is left.
func (l *logWriter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept.Len() == 0 {
		return nil
	}
	if !bytes.HasSuffix(l.kept.Bytes(), []byte("\n")) {
		l.kept.WriteByte('\n')
	}
	return l.write(l.kept.Next(l.kept.Len()))
}
