package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
		return k.passed(run, path)
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
	log := newLogWriter(func(text []byte) error { return w.Log(run, text) })
	made, err := k.build(ctx, w, repository.CloneURL, work, log)
	logErr := log.Close()
	if user, ok := errors.AsType[*sources.UserError](err); ok {
		return failed(run, user, log), nil
	}
	if err != nil {
		return Outcome{}, k.explain(err)
	}
	if logErr != nil {
		return Outcome{}, fmt.Errorf("keeping the log: %w", logErr)
	}
	path, err := keep(made, out)
	if err != nil {
		return Outcome{}, err
	}
	return k.passed(run, path)
}

// failed is the outcome when the user must mend something, with the lines of the
// log that say what.
func failed(run *models.Run, problem *sources.UserError, log *logWriter) Outcome {
	data := run.Data
	data.LogLine, data.LogTail = log.explain()
	return Outcome{Runs: []Update{{Run: run, State: models.Failed, Reason: problem.Message, Data: &data}}}
}

// build makes the source RPM in a directory below work.
func (k *SRPMHere) build(ctx context.Context, w *Work, url, work string, log io.Writer) (string, error) {
	request, err := sourceRequest(w, url)
	if err != nil {
		return "", err
	}
	request.Work, request.ResultDir, request.Log = filepath.Join(work, "tree"), filepath.Join(work, "sources"), log
	prepared, err := k.Builder.Prepare(ctx, request)
	if err != nil {
		return "", err
	}
	return k.Builder.BuildSRPM(ctx, sources.SRPMRequest{
		Dir: prepared.Dir, Spec: prepared.Spec, Out: filepath.Join(work, "out"), ParseTimeMacros: w.View.ParseTimeMacros, Log: log,
	})
}

// keep copies a source RPM that is finished into the directory dir, which appears
// with all of it or not at all: a file that rpmbuild was writing when this
// process died is never taken for one.
func keep(path, dir string) (string, error) {
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return "", fmt.Errorf("keeping the source RPM: %w", err)
	}
	name := filepath.Base(path)
	if err := copyFile(path, filepath.Join(part, name)); err != nil {
		return "", fmt.Errorf("keeping the source RPM: %w", errors.Join(err, os.RemoveAll(part)))
	}
	if err := os.Rename(part, dir); err != nil {
		return "", fmt.Errorf("keeping the source RPM: %w", errors.Join(err, os.RemoveAll(part)))
	}
	return filepath.Join(dir, name), nil
}

func copyFile(from, to string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
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

// explain puts what is not the user's failure into words.
func (k *SRPMHere) explain(err error) error {
	if no, ok := errors.AsType[*sandbox.NoSandboxError](err); ok {
		return broken(err, "The commands of this package are not run here without a sandbox: %s", no.Reason)
	}
	return err
}

func (k *SRPMHere) passed(run *models.Run, path string) (Outcome, error) {
	relative, err := filepath.Rel(k.DataDir, path)
	if err != nil {
		return Outcome{}, fmt.Errorf("naming the source RPM: %w", err)
	}
	data := run.Data
	data.SRPMPath, data.NVR = relative, strings.TrimSuffix(filepath.Base(path), ".src.rpm")
	if parts := strings.Split(data.NVR, "-"); len(parts) >= 3 { // name-version-release
		data.Version = parts[len(parts)-2]
	}
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

// logWriter passes whole lines on, a few times a second rather than one by one,
// and remembers those that explain a failure. Its writes never fail: a command
// must not end because its log cannot be kept.
type logWriter struct {
	write func(text []byte) error

	mu     sync.Mutex // above what follows
	kept   bytes.Buffer
	timer  *time.Timer // flushes what waits; nil if nothing does
	closed bool
	err    error // the first of write

	finder models.ErrorFinder
	line   int      // read so far
	recent []string // the last ones
	at     int      // line that explains a failure best, 0 for none yet
	around []string // lines from a few before it to a few after it
	first  int      // number of the first of them
}

const (
	flushAfter = 500 * time.Millisecond // how long a line may wait for others to come along
	flushSize  = 64 << 10               // how much may wait, in bytes
	logWindow  = 32                     // lines that are remembered before and after one
	logLine    = 2100                   // bytes of each that are remembered
)

func newLogWriter(write func(text []byte) error) *logWriter { return &logWriter{write: write} }

func (l *logWriter) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.Write(text)
	switch {
	case l.kept.Len() >= flushSize:
		l.flush(false)
	case l.timer == nil && !l.closed:
		l.timer = time.AfterFunc(flushAfter, func() { // stopped by Close
			l.mu.Lock()
			defer l.mu.Unlock()
			l.timer = nil
			if !l.closed {
				l.flush(false)
			}
		})
	}
	return len(text), nil
}

// flush passes whole lines on; all there is at the end, and of a line that is
// too long to wait for its end. The lock is held.
func (l *logWriter) flush(end bool) {
	n := bytes.LastIndexByte(l.kept.Bytes(), '\n') + 1
	if n == 0 && l.kept.Len() >= flushSize || end {
		n = l.kept.Len()
	}
	if n == 0 {
		return
	}
	text := l.kept.Next(n)
	if text[len(text)-1] != '\n' {
		text = append(bytes.Clone(text), '\n')
	}
	l.remember(text)
	if err := l.write(text); err != nil && l.err == nil {
		l.err = err
	}
}

// remember looks for the line that explains a failure, and keeps what is around
// it, or the last lines as long as there is none.
func (l *logWriter) remember(text []byte) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		line = strings.ToValidUTF8(line[:min(len(line), logLine)], "�")
		l.line++
		l.finder.Add(line)
		switch at := l.finder.Line(); {
		case at != l.at: // then it is this one
			l.at, l.first = at, at-len(l.recent)
			l.around = append(slices.Clone(l.recent), line)
		case l.at > 0 && l.line <= l.at+logWindow:
			l.around = append(l.around, line)
		}
		if len(l.recent) == logWindow {
			l.recent = slices.Delete(l.recent, 0, 1)
		}
		l.recent = append(l.recent, line)
	}
}

// explain returns the number of the line that best explains a failure, from 1 or
// 0, and the lines around it.
func (l *logWriter) explain() (line int, tail string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == 0 {
		return 0, models.LogTail(l.recent, 0)
	}
	return l.at, models.LogTail(l.around, l.at-l.first+1)
}

// Close passes on what is left, and returns what went wrong on the way.
func (l *logWriter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.flush(true)
	return l.err
}

// Gone is part of keeper.
func (k *SRPMHere) Gone(_ context.Context, _ *models.JobView, run *models.Run, _ time.Time) (string, error) {
	if run.Data.SRPMPath == "" {
		return "", nil
	}
	_, err := os.Stat(filepath.Join(k.DataDir, run.Data.SRPMPath))
	if errors.Is(err, os.ErrNotExist) {
		return "was deleted here", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking for a source RPM: %w", err)
	}
	return "", nil
}
