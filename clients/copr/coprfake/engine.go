package coprfake

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"millrace/clients/copr"
)

// Task is a part of a build that is to be made.
type Task struct {
	Build   Build // a copy
	Chroot  string
	Started time.Time // long ago if the process has been away meanwhile
	Dir     string    // for what is to be found beside the log; empty, or left by an earlier try
	SRPM    string    // path; empty in the task that makes it, and if that kept none
	Log     io.Writer
}

// Outcome is what became of a Task.
type Outcome struct {
	Failed   bool
	Package  string // these three of the task that makes the SRPM; the file, if any, is in Task.Dir
	Version  string
	SRPM     string
	Packages []copr.Package
	Ended    time.Time // zero means now
}

// Builder makes a part of a build. It writes the log and leaves its results in
// Task.Dir. It ends early when ctx does. An error is a failure whose text goes
// to the log.
type Builder func(ctx context.Context, t Task) (Outcome, error)

const (
	liveLog   = "builder-live.log"
	packedLog = "builder-live.log.gz"
)

// begin works on a build until it is finished, canceled or the Fake is closed.
// The lock is held.
func (f *Fake) begin(id int64) {
	if f.closed {
		return
	}
	ctx, cancel := context.WithCancel(f.ctx)
	f.cancels[id] = cancel
	f.working.Go(func() {
		defer func() {
			cancel()
			f.mu.Lock()
			delete(f.cancels, id)
			f.mu.Unlock()
		}()
		f.work(ctx, id)
	})
}

func (f *Fake) work(ctx context.Context, id int64) {
	if !f.makePart(ctx, id, copr.SourceChroot) || !f.importSource(ctx, id) {
		return
	}
	b, ok := f.Build(id)
	if !ok {
		return
	}
	var parts sync.WaitGroup
	for _, part := range b.Chroots {
		parts.Go(func() { f.makePart(ctx, id, part.Chroot) })
	}
	parts.Wait()
}

// makePart makes a part unless that has been done, and reports whether it is
// there now.
func (f *Fake) makePart(ctx context.Context, id int64, chroot string) bool {
	b, ok := f.Build(id)
	if !ok {
		return false
	}
	part := b.part(chroot)
	if copr.Finished(part.State) || part.State == copr.Importing {
		return part.State == copr.Succeeded || part.State == copr.Importing
	}
	if part.Started.IsZero() {
		half := f.options.Queue / 2
		if !sleepUntil(ctx, part.Queued.Add(half)) || !f.update(ctx, id, chroot, func(_ *Build, p *Part) { p.State = copr.Starting }) ||
			!sleepUntil(ctx, part.Queued.Add(f.options.Queue)) {
			return false
		}
	}
	if !f.acquire(ctx) {
		return false
	}
	defer f.release()
	if err := f.prepare(id, chroot); err != nil {
		return f.settle(ctx, id, chroot, Outcome{}, err)
	}
	demanded, ok := f.run(ctx, id, chroot)
	if !ok {
		return false
	}
	outcome, err := f.build(ctx, id, chroot, demanded)
	if ctx.Err() != nil {
		return false // canceled, which is written down already, or closed
	}
	return f.settle(ctx, id, chroot, outcome, err)
}

// resultDir names the directory of a part of b that is about to run.
func resultDir(b *Build, chroot string) string {
	dir := fmt.Sprintf("%08d", b.ID)
	if chroot != copr.SourceChroot {
		dir += "-" + b.Package
	}
	return dir
}

// prepare makes the directory and the log of a part, so that whoever hears that
// it is running finds them.
func (f *Fake) prepare(id int64, chroot string) error {
	b, ok := f.Build(id)
	if !ok {
		return errors.New("the build is gone")
	}
	part := b.part(chroot)
	part.ResultDir = resultDir(&b, chroot)
	dir := f.path(b.resultDir(part))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, liveLog))
	if err != nil {
		return err
	}
	return log.Close()
}

// run marks a part as running, tells the bus, and returns the state in which
// it must end, if it must.
func (f *Fake) run(ctx context.Context, id int64, chroot string) (demanded string, ok bool) {
	announce := false
	ok = f.update(ctx, id, chroot, func(b *Build, p *Part) {
		p.State = copr.Running
		p.ResultDir = resultDir(b, chroot)
		if p.Started.IsZero() {
			p.Started = time.Now().UTC()
			// Whoever has a worker for each task had one while we were away.
			if f.workers == nil {
				p.Started = p.Queued.Add(f.options.Queue)
			}
		}
		announce = !p.Announced
		p.Announced = true
		demanded = f.faults.Results[chroot]
		if f.options.Fails != nil && demanded == "" && f.options.Fails(b.clone(), chroot) {
			demanded = copr.Failed
		}
	})
	if b, found := f.Build(id); ok && found && announce {
		f.publish("copr.build.start", b, chroot, copr.Running)
	}
	return demanded, ok
}

// build lets the builder make a part, and packs its log.
func (f *Fake) build(ctx context.Context, id int64, chroot, demanded string) (Outcome, error) {
	b, ok := f.Build(id)
	if !ok {
		return Outcome{}, errors.New("the build is gone")
	}
	part := b.part(chroot)
	t := Task{Build: b, Chroot: chroot, Started: part.Started, Dir: f.path(b.resultDir(part))}
	if b.SRPM != "" && chroot != copr.SourceChroot {
		t.SRPM = filepath.Join(f.path(b.resultDir(&b.SourcePart)), b.SRPM)
	}
	log, err := os.OpenFile(filepath.Join(t.Dir, liveLog), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return Outcome{}, err
	}
	t.Log = log
	outcome, err := f.options.Builder(ctx, t)
	switch {
	case err != nil && ctx.Err() == nil:
		fmt.Fprintf(log, "ERROR: %v\n", err) // the error itself is handed on
	case demanded == copr.Failed && !outcome.Failed:
		outcome.Failed = true
		fmt.Fprintln(log, "ERROR: Command failed. This builder has been told to fail.")
	}
	if closeErr := log.Close(); err == nil {
		err = closeErr
	}
	if f.ctx.Err() == nil {
		if packErr := pack(t.Dir); err == nil {
			err = packErr
		}
	}
	if demanded == copr.Skipped && err == nil {
		outcome = Outcome{Ended: outcome.Ended}
		return outcome, errSkipped
	}
	return outcome, err
}

var errSkipped = errors.New("skipped")

// settle writes down how a part ended and tells the bus, then reports whether
// it is there.
func (f *Fake) settle(ctx context.Context, id int64, chroot string, o Outcome, err error) bool {
	state := copr.Succeeded
	switch {
	case errors.Is(err, errSkipped):
		state = copr.Skipped
	case err != nil || o.Failed:
		state = copr.Failed
	case chroot == copr.SourceChroot && o.Package == "":
		state = copr.Failed
	}
	if err != nil && state == copr.Failed {
		f.log.InfoContext(ctx, "a build in copr failed", "build", id, "chroot", chroot, "error", err)
	}
	ok := f.update(ctx, id, chroot, func(b *Build, p *Part) {
		p.State, p.Packages = state, o.Packages
		p.Ended = cmp.Or(o.Ended, time.Now().UTC())
		if chroot != copr.SourceChroot {
			return
		}
		if state == copr.Succeeded {
			b.Package, b.Version, b.SRPM = o.Package, o.Version, o.SRPM
			p.State = copr.Importing
			return
		}
		// Without an SRPM there is nothing to do in the chroots.
		for i := range b.Chroots {
			b.Chroots[i].State = state
			b.Chroots[i].Started, b.Chroots[i].Ended = p.Ended, p.Ended
		}
	})
	if !ok {
		return false
	}
	if b, found := f.Build(id); found {
		// The plain log goes last, so that there is always one of the two.
		os.Remove(filepath.Join(f.path(b.resultDir(b.part(chroot))), liveLog)) // left over, it does no harm
		f.publish("copr.build.end", b, chroot, state)
	}
	return state == copr.Succeeded
}

// importSource puts the SRPM where the chroots take it from.
func (f *Fake) importSource(ctx context.Context, id int64) bool {
	b, ok := f.Build(id)
	if !ok {
		return false
	}
	if b.SourcePart.State != copr.Importing {
		return b.SourcePart.State == copr.Succeeded
	}
	at := b.SourcePart.Ended.Add(f.options.Import)
	return sleepUntil(ctx, at) && f.update(ctx, id, copr.SourceChroot, func(b *Build, p *Part) {
		p.State = copr.Succeeded
		for i := range b.Chroots {
			if b.Chroots[i].State == copr.Waiting {
				b.Chroots[i].State, b.Chroots[i].Queued = copr.Pending, at
			}
		}
	})
}

// update changes a part of a build that is not finished, and stores it.
func (f *Fake) update(ctx context.Context, id int64, chroot string, change func(*Build, *Part)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.builds[id]
	if !ok || ctx.Err() != nil {
		return false
	}
	part := b.part(chroot)
	if part == nil || copr.Finished(part.State) {
		return false
	}
	change(b, part)
	if err := f.saveBuild(b); err != nil {
		f.log.ErrorContext(ctx, "copr cannot write a build down", "build", id, "error", err)
		return false
	}
	return true
}

func (f *Fake) acquire(ctx context.Context) bool {
	if f.workers == nil {
		return ctx.Err() == nil
	}
	select {
	case f.workers <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *Fake) release() {
	if f.workers != nil {
		<-f.workers
	}
}

// numbers are the states as messages give them.
var numbers = map[string]int{copr.Failed: 0, copr.Succeeded: 1, copr.Canceled: 2, copr.Running: 3, copr.Pending: 4, copr.Skipped: 5,
	copr.Starting: 6, copr.Importing: 7, copr.Forked: 8, copr.Waiting: 9}

func (f *Fake) publish(topic string, b Build, chroot, state string) {
	f.mu.Lock()
	lose, double := f.faults.LoseMessages, f.faults.DoubleMessages
	f.mu.Unlock()
	if f.options.Publish == nil || lose {
		return
	}
	status := numbers[state]
	message := map[string]any{"user": b.Submitter, "owner": b.Owner, "copr": b.Dirname, "pkg": nil, "version": nil,
		"build": b.ID, "chroot": chroot, "status": status, "ip": "127.0.0.1", "who": fmt.Sprintf("backend.worker-rpm_build_worker-%d", b.ID), "pid": os.Getpid()}
	if chroot != copr.SourceChroot {
		message["pkg"], message["version"] = orNull(b.Package), orNull(b.Version)
	}
	word := topic[strings.LastIndex(topic, ".")+1:]
	message["what"] = fmt.Sprintf("build %s: user:%s copr:%s build:%d pkg:%s version:%s ip:127.0.0.1 pid:%d status:%d",
		word, b.Submitter, b.Dirname, b.ID, b.Package, b.Version, os.Getpid(), status)
	body, err := json.Marshal(message)
	if err != nil {
		f.log.Error("copr cannot make a message", "build", b.ID, "error", err)
		return
	}
	times := 1
	if double {
		times = 2
	}
	for range times {
		f.options.Publish(f.options.Topic+"."+topic, body)
	}
}

// pack makes the logs of a part that has ended.
func pack(dir string) error {
	in, err := os.Open(filepath.Join(dir, liveLog))
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := filepath.Join(dir, ".packing")
	out, err := os.Create(tmp)
	if err != nil {
		return err
	}
	packer := gzip.NewWriter(out)
	_, err = io.Copy(packer, in)
	err = errors.Join(err, packer.Close(), out.Close())
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, filepath.Join(dir, packedLog)); err != nil {
		return err
	}
	buildLog := filepath.Join(dir, "build.log.gz")
	os.Remove(buildLog) // of an earlier try
	return os.Link(filepath.Join(dir, packedLog), buildLog)
}

// sleepUntil reports whether it could sleep so long.
func sleepUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
