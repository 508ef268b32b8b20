package kojifake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"millrace/clients/koji"
)

// logParts is in how many parts the log of a task is written while it is open.
const logParts = 4

// run lets tasks go on when their time has come.
func (f *Fake) run() {
	for f.ctx.Err() == nil {
		wait := time.Hour
		f.mu.Lock()
		if t := f.nextTask(); t != nil {
			wait = t.Due.Sub(f.now())
		}
		f.mu.Unlock()
		if wait <= 0 {
			f.Step()
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-f.wake:
		case <-f.ctx.Done():
		}
		timer.Stop()
	}
}

func (f *Fake) nudge() {
	select {
	case f.wake <- struct{}{}:
	default: // it is awake
	}
}

// nextTask is the task whose change is due first. The lock is held.
func (f *Fake) nextTask() *Task {
	var next *Task
	for _, t := range byID(f.tasks) {
		if !t.Due.IsZero() && !t.State.Finished() && (next == nil || t.Due.Before(next.Due)) {
			next = t
		}
	}
	return next
}

// Step makes the change that is due next, without waiting for its time, and
// reports whether there was one.
func (f *Fake) Step() bool {
	f.stepMu.Lock()
	defer f.stepMu.Unlock()
	f.mu.Lock()
	t := f.nextTask()
	f.mu.Unlock()
	if t == nil {
		return false
	}
	f.advance(t)
	return true
}

// Settle makes all changes, until nothing is left to do.
func (f *Fake) Settle() {
	for f.Step() {
	}
}

// advance makes the next change of a task.
func (f *Fake) advance(t *Task) {
	// The only one for which something outside is asked, so without the lock.
	var spec Spec
	var err error
	f.mu.Lock()
	due := t.State == koji.TaskOpen && t.Label == "srpm" && t.Written >= logParts
	asked := f.sourceOf(t)
	f.mu.Unlock()
	if due {
		spec, err = f.lookAt(asked)
	}
	f.mu.Lock()
	defer f.unlock()
	f.moment = t.Due
	defer func() { f.moment = time.Time{} }()
	switch {
	case t.State.Finished(): // canceled meanwhile
	case t.State == koji.TaskFree:
		f.setTask(t, koji.TaskAssigned)
		t.Due = t.Due.Add(f.options.Pace.Queue / 2)
		f.touchTask(t)
	case t.State == koji.TaskAssigned:
		t.Started = f.now()
		f.setTask(t, koji.TaskOpen)
		f.openTask(t)
	case t.Written < logParts:
		f.writeLog(t)
		t.Due = t.Due.Add(f.duration(t) / logParts)
	case due && err != nil:
		f.appendLog(t, "ERROR: "+err.Error()+"\n")
		f.fail(t, Fault{koji.BuildFault, err.Error()})
	default:
		f.endTask(t, spec)
	}
}

func (f *Fake) duration(t *Task) time.Duration {
	switch t.Method {
	case "buildArch":
		return f.options.Pace.Arch
	case "tagBuild":
		return f.options.Pace.Tag
	case "waitrepo":
		return f.options.Pace.Repo
	}
	return f.options.Pace.SRPM
}

// newTask makes a task that waits for a builder.
func (f *Fake) newTask(parent *Task, method, label, arch, owner string, request ...any) *Task {
	f.world.LastTask++
	f.touchWorld()
	at := f.now()
	t := &Task{ID: f.world.LastTask, Method: method, Label: label, Arch: arch, State: koji.TaskFree, Owner: owner, Priority: 20,
		Request: request, Created: at, Due: at.Add(f.options.Pace.Queue / 2)}
	if parent != nil {
		t.Parent, t.Priority, t.BuildID = parent.ID, parent.Priority-1, parent.BuildID
	}
	f.tasks[t.ID] = t
	f.touchTask(t)
	f.nudge()
	return t
}

// setTask changes a task's state and tells about it.
func (f *Fake) setTask(t *Task, state koji.TaskState) {
	old := t.State
	t.State = state
	if state.Finished() {
		t.Completed, t.Due = f.now(), time.Time{}
	}
	f.touchTask(t)
	f.announceTask(t, old.String())
}

func (f *Fake) children(t *Task) []*Task {
	var out []*Task
	for _, c := range byID(f.tasks) {
		if c.Parent == t.ID {
			out = append(out, c)
		}
	}
	return out
}

// openTask begins the work of a task.
func (f *Fake) openTask(t *Task) {
	if t.Method != "build" {
		t.Due = t.Started.Add(f.duration(t) / logParts)
		return
	}
	t.Due = time.Time{} // it waits for its children
	r, options := t.request(), t.options()
	target := f.targetNamed(r.Target)
	switch {
	case target == nil:
		f.fail(t, Fault{koji.GenericFault, "unknown build target: " + r.Target})
	case len(r.Arches) > 0 && !r.Scratch:
		f.fail(t, Fault{koji.BuildFault, "arch_override is only allowed for scratch builds"})
	case !strings.Contains(r.Source, "://") && !r.Scratch:
		f.fail(t, Fault{koji.DeniedFault, "policy violation (build_from_srpm)"})
	case options["wait_repo"] == true || options["wait_builds"] != nil:
		f.newTask(t, "waitrepo", "waitrepo", "noarch", t.Owner, f.tagName(target.BuildTag), nil, options["wait_builds"])
	default:
		f.makeSRPM(t)
	}
}

func (f *Fake) makeSRPM(t *Task) {
	r, target := t.request(), f.targetNamed(t.request().Target)
	if target == nil { // a side tag that was removed meanwhile
		f.fail(t, Fault{koji.GenericFault, "unknown build target: " + r.Target})
		return
	}
	method := "rebuildSRPM"
	if strings.Contains(r.Source, "://") {
		method = "buildSRPMFromSCM"
	}
	f.newTask(t, method, "srpm", "noarch", t.Owner, r.Source, target.BuildTag, map[string]any{"scratch": r.Scratch})
}

// endTask ends a task as the builder finds, and goes on with its parent.
func (f *Fake) endTask(t *Task, spec Spec) {
	if t.Method != "tagBuild" && t.Method != "waitrepo" && (slices.Contains(f.faults.Fail, t.Label) || f.options.Fails != nil && f.options.Fails(t.clone())) {
		f.appendLog(t, "RPM build errors:\nerror: Bad exit status from /var/tmp/rpm-tmp (%build)\nERROR: Command failed. This builder has been told to fail.\n")
		f.fail(t, Fault{koji.BuildFault, "error building package (arch " + t.Arch + "), mock exited with status 1; see build.log or root.log for more information"})
		return
	}
	if t.Method == "tagBuild" {
		f.endTag(t)
		return
	}
	parent := f.tasks[t.Parent]
	if t.Label == "srpm" {
		t.Spec = &spec
		f.outputFile(t, spec.NVR()+".src.rpm", "not a real package\n")
	}
	f.setTask(t, koji.TaskClosed)
	if parent == nil || parent.State.Finished() {
		return
	}
	switch {
	case t.Method == "waitrepo":
		f.makeSRPM(parent)
	case t.Label == "srpm":
		parent.Spec = t.Spec
		f.beginArches(parent)
	case !slices.ContainsFunc(f.children(parent), func(c *Task) bool { return c.Method == "buildArch" && c.State != koji.TaskClosed }):
		f.complete(parent)
	}
}

// beginArches asks for the builds once the source package is known.
func (f *Fake) beginArches(t *Task) {
	r := t.request()
	target := f.targetNamed(r.Target)
	if target == nil {
		f.fail(t, Fault{koji.GenericFault, "unknown build target: " + r.Target})
		return
	}
	if !r.Scratch {
		if fault, ok := f.initBuild(t, r, target); !ok {
			f.fail(t, fault)
			return
		}
	}
	names := strings.Fields(f.world.Tags[target.BuildTag].Arches)
	if len(r.Arches) > 0 {
		names = r.Arches
	}
	if t.Spec.NoArch {
		names = []string{"noarch"}
	}
	for _, arch := range names {
		f.newTask(t, "buildArch", arch, arch, t.Owner, "tasks/"+t.Spec.NVR()+".src.rpm", target.BuildTag, arch, true, map[string]any{})
	}
}

// initBuild writes down that there is going to be a build, or says why not.
func (f *Fake) initBuild(t *Task, r koji.BuildRequest, target *Target) (Fault, bool) {
	if f.options.Packages != nil && !r.SkipTag && !slices.Contains(f.options.Packages, t.Spec.Name) {
		return Fault{koji.BuildFault, fmt.Sprintf("package %s not in list for tag %s", t.Spec.Name, f.tagName(target.DestTag))}, false
	}
	b := f.buildNamed(t.Spec.NVR())
	old := int64(-1)
	switch {
	case b == nil:
		b = &Build{ID: f.nextID()}
		f.builds[b.ID] = b
	case b.State == koji.BuildBuilding:
		return Fault{koji.GenericFault, fmt.Sprintf("Build already in progress (task %d)", b.TaskID)}, false
	case b.State != koji.BuildFailed && b.State != koji.BuildCanceled:
		return Fault{koji.GenericFault, fmt.Sprintf("Build already exists (id=%d, state=%s): {'name': '%s', 'version': '%s', 'release': '%s'}",
			b.ID, b.State, b.Spec.Name, b.Spec.Version, b.Spec.Release)}, false
	default:
		old = int64(b.State)
	}
	f.packageID(t.Spec.Name)
	metadata, _ := t.options()["custom_user_metadata"].(map[string]any)
	*b = Build{ID: b.ID, Spec: *t.Spec, State: koji.BuildBuilding, TaskID: t.ID, Owner: t.Owner, Source: r.Source, Metadata: metadata, Created: f.now()}
	t.BuildID = b.ID
	f.touchBuild(b)
	f.touchTask(t)
	f.announceBuild(b, old)
	return Fault{}, true
}

// complete ends a build all of whose parts are there.
func (f *Fake) complete(t *Task) {
	b := f.builds[t.BuildID]
	if b == nil {
		f.setTask(t, koji.TaskClosed)
		return
	}
	f.keepLogs(t, b)
	f.setBuild(b, koji.BuildComplete)
	r := t.request()
	target := f.targetNamed(r.Target)
	if r.SkipTag || target == nil {
		f.setTask(t, koji.TaskClosed)
		return
	}
	tag := f.newTask(t, "tagBuild", "tag", "noarch", t.Owner, target.DestTag, b.ID, false, nil, true)
	tag.TagID = target.DestTag
}

func (f *Fake) setBuild(b *Build, state koji.BuildState) {
	old := b.State
	b.State, b.Completed = state, f.now()
	f.touchBuild(b)
	f.announceBuild(b, int64(old))
}

func (f *Fake) endTag(t *Task) {
	tag, b := f.world.Tags[t.TagID], f.builds[t.BuildID]
	if tag == nil || b == nil {
		f.fail(t, Fault{koji.TagFault, "the tag or the build is gone"})
		return
	}
	f.tagBuild(tag, b, t.Owner)
	f.setTask(t, koji.TaskClosed)
	if parent := f.tasks[t.Parent]; parent != nil && !parent.State.Finished() {
		f.setTask(parent, koji.TaskClosed)
	}
}

// fail ends a task that failed, and with it all that it is part of.
func (f *Fake) fail(t *Task, fault Fault) {
	t.Fault = &fault
	f.setTask(t, koji.TaskFailed)
	for _, c := range f.children(t) {
		f.cancelTask(c)
	}
	if b := f.builds[t.BuildID]; b != nil && t.Method == "build" && b.State == koji.BuildBuilding {
		f.setBuild(b, koji.BuildFailed)
	}
	if parent := f.tasks[t.Parent]; parent != nil && !parent.State.Finished() {
		f.fail(parent, fault)
	}
}

// cancelTask cancels a task, what it consists of, and its build.
func (f *Fake) cancelTask(t *Task) {
	if t.State.Finished() {
		return
	}
	f.setTask(t, koji.TaskCanceled)
	if b := f.builds[t.BuildID]; b != nil && t.Method == "build" && b.State == koji.BuildBuilding {
		f.setBuild(b, koji.BuildCanceled)
	}
	for _, c := range f.children(t) {
		f.cancelTask(c)
	}
}

func (f *Fake) tagName(id int64) string {
	if t := f.world.Tags[id]; t != nil {
		return t.Name
	}
	return ""
}

// hurry lets a build begin before its submission is answered, so that its
// messages are out first.
func (f *Fake) hurry(id int64) {
	f.stepMu.Lock()
	defer f.stepMu.Unlock()
	for range 2 {
		f.mu.Lock()
		t := f.tasks[id]
		early := t != nil && (t.State == koji.TaskFree || t.State == koji.TaskAssigned)
		f.mu.Unlock()
		if early {
			f.advance(t)
		}
	}
}

// sorted lists the names of a map, for answers that are the same each time.
func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
