package koji_test

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
	"millrace/models"
)

func TestBuildIsTagged(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{})
	c := h.as("packit")
	id := submit(t, c, helloBuild)
	if task := await(t, c, id); task.State != koji.TaskClosed {
		t.Fatalf("the build is %v", task.State)
	}
	b, err := c.Build(t.Context(), "hello-1.0-3.fc43")
	if err != nil {
		t.Fatal(err)
	}
	if b.Created.IsZero() || b.Completed.Before(b.Created) {
		t.Errorf("created %v, completed %v", b.Created, b.Completed)
	}
	byID, err := c.BuildByID(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := koji.Build{ID: b.ID, NVR: "hello-1.0-3.fc43", Package: "hello", Version: "1.0", Release: "3.fc43", State: koji.BuildComplete,
		TaskID: id, OwnerName: "packit", Source: helloBuild.Source, Key: helloBuild.Key, Created: b.Created, Completed: b.Completed}
	for _, got := range []koji.Build{b, byID} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	tags, err := c.TagsOf(t.Context(), b.NVR)
	if err != nil || !slices.Equal(tags, []string{"f43-updates-candidate"}) {
		t.Errorf("tags %v, error %v", tags, err)
	}
	children, err := c.TaskChildren(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, child := range children {
		parts = append(parts, child.Method+" "+child.Label+" "+child.State.String())
		if child.Parent != id {
			t.Errorf("the parent of %d is %d", child.ID, child.Parent)
		}
	}
	if diff := cmp.Diff([]string{"buildSRPMFromSCM srpm CLOSED", "buildArch x86_64 CLOSED", "buildArch aarch64 CLOSED", "tagBuild tag CLOSED"}, parts); diff != "" {
		t.Errorf("children (-want +got):\n%s", diff)
	}
	if failure, err := c.TaskFailure(t.Context(), id); failure != nil || err != nil {
		t.Errorf("failure %v, error %v", failure, err)
	}
}

func TestTasksGoThroughTheirStates(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	id := submit(t, c, helloBuild)
	user, err := c.LoggedInUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := taskOf(t, c, id)
	if first.Owner != user.ID || first.Created.IsZero() || !first.Started.IsZero() {
		t.Errorf("%+v", first)
	}
	if r, ok := first.BuildRequest(); !ok || !cmp.Equal(r, helloBuild) {
		t.Errorf("it was asked for with %+v", r)
	}
	states := []koji.TaskState{first.State}
	for h.Step() {
		if s := taskOf(t, c, id).State; s != states[len(states)-1] {
			states = append(states, s)
		}
	}
	if diff := cmp.Diff([]koji.TaskState{koji.TaskFree, koji.TaskAssigned, koji.TaskOpen, koji.TaskClosed}, states); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	tasks, err := c.Tasks(t.Context(), []int64{id, 5, id + 1})
	if err != nil || len(tasks) != 2 || tasks[id].State != koji.TaskClosed {
		t.Errorf("%v, error %v", tasks, err)
	}
	if _, err := c.Task(t.Context(), 5); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("a task that is not there: %v", err)
	}
}

func TestTheClockIsPushed(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Pace: kojifake.Pace{Queue: 10 * time.Minute, SRPM: time.Hour, Arch: 10 * time.Hour, Tag: time.Hour}})
	c := h.as("packit")
	id := submit(t, c, helloBuild)
	if s := taskOf(t, c, id).State; s != koji.TaskFree {
		t.Errorf("the build is %v at once", s)
	}
	for range 6 {
		h.Advance(4 * time.Hour)
	}
	await(t, c, id)
	if b, err := c.Build(t.Context(), "hello-1.0-3.fc43"); err != nil || b.State != koji.BuildComplete || b.Completed.Sub(b.Created) < 10*time.Hour {
		t.Errorf("%+v, error %v", b, err)
	}
}

func TestOneArchitectureFails(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	h.SetFaults(kojifake.Faults{Fail: []string{"x86_64"}})
	c := h.as("packit")
	id := submit(t, c, helloBuild)
	h.Settle()
	failure, err := c.TaskFailure(t.Context(), id)
	if err != nil || failure == nil || failure.Code != koji.BuildFault || !strings.Contains(failure.Text, "see build.log") {
		t.Errorf("failure %v, error %v", failure, err)
	}
	children, err := c.TaskChildren(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	told, ok := koji.Telling(children)
	if !ok || told.Label != "x86_64" || told.State != koji.TaskFailed {
		t.Errorf("the log of %+v tells", told)
	}
	if i := slices.IndexFunc(children, func(x koji.Task) bool { return x.Label == "aarch64" }); children[i].State != koji.TaskCanceled {
		t.Errorf("the other architecture is %v", children[i].State)
	}
	log, err := c.TaskLog(t.Context(), told.ID, koji.BuildLog, 1<<20)
	if err != nil || !strings.Contains(string(log.Bytes()), "told to fail") {
		t.Errorf("log %q, error %v", log.Bytes(), err)
	}
	if b, err := c.Build(t.Context(), "hello-1.0-3.fc43"); err != nil || b.State != koji.BuildFailed {
		t.Errorf("%+v, error %v", b, err)
	}

	// The same may be built again, and is the same build.
	h.SetFaults(kojifake.Faults{})
	again := submit(t, c, helloBuild)
	h.Settle()
	if b, err := c.Build(t.Context(), "hello-1.0-3.fc43"); err != nil || b.State != koji.BuildComplete || b.TaskID != again {
		t.Errorf("again: %+v, error %v", b, err)
	}
	if n := len(h.Builds()); n != 1 {
		t.Errorf("there are %d builds", n)
	}
}

func TestSameNVRTwice(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true, Pace: kojifake.Pace{Arch: time.Hour}})
	c := h.as("packit")
	first, second := submit(t, c, helloBuild), submit(t, c, helloBuild)
	for !slices.ContainsFunc(h.Tasks(), func(x kojifake.Task) bool { return x.ID == second && x.State.Finished() }) {
		h.Step()
	}
	failure, err := c.TaskFailure(t.Context(), second)
	if err != nil || !koji.IsBuildExists(failure) || !strings.Contains(failure.Text, "in progress") {
		t.Errorf("failure %v, error %v", failure, err)
	}
	h.Settle()
	third := submit(t, c, helloBuild)
	h.Settle()
	failure, err = c.TaskFailure(t.Context(), third)
	if err != nil || !koji.IsBuildExists(failure) || !strings.Contains(failure.Text, "already exists") {
		t.Errorf("failure %v, error %v", failure, err)
	}
	if s := taskOf(t, c, first).State; s != koji.TaskClosed {
		t.Errorf("the first is %v", s)
	}
}

func TestWhatTasksFindWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		request koji.BuildRequest
		code    int
		text    string
	}{
		"target":  {koji.BuildRequest{Source: helloBuild.Source, Target: "f99-candidate"}, koji.GenericFault, "unknown build target: f99-candidate"},
		"package": {koji.BuildRequest{Source: helloBuild.Source, Target: "f43-candidate"}, koji.BuildFault, "package hello not in list for tag f43-updates-candidate"},
		"no git":  {koji.BuildRequest{Source: "https://git.example/x#" + commit, Target: "f43-candidate"}, koji.BuildFault, "invalid source specification: https://git.example/x#" + commit},
		"no file": {koji.BuildRequest{Source: "cli-build/x/a-1-1.src.rpm", Target: "f43-candidate", Scratch: true}, koji.BuildFault, "there is no cli-build/x/a-1-1.src.rpm"},
		"no scratch of a file": {koji.BuildRequest{Source: "cli-build/x/a-1-1.src.rpm", Target: "f43-candidate"}, koji.DeniedFault,
			"policy violation (build_from_srpm)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, kojifake.Options{Manual: true, Packages: []string{"other"}})
			c := h.as("packit")
			id := submit(t, c, test.request)
			h.Settle()
			failure, err := c.TaskFailure(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&koji.Fault{Code: test.code, Text: test.text}, failure); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNotEvenAsked(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	for _, r := range []koji.BuildRequest{{Target: "f43-candidate"}, {Source: helloBuild.Source},
		{Source: helloBuild.Source, Target: "f43", Key: "a b"}, {Source: helloBuild.Source, Target: "f43", Arches: []string{"x86_64"}}} {
		if id, err := c.SubmitBuild(t.Context(), r); err == nil {
			t.Errorf("%+v is task %d", r, id)
		}
	}
	if calls := h.Calls(); len(calls) > 0 {
		t.Errorf("the hub was asked: %v", calls)
	}
}

func TestScratchOfOneArchitecture(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	r := helloBuild
	r.Scratch, r.Arches, r.Background, r.FailFast = true, []string{"aarch64"}, true, true
	id := submit(t, c, r)
	h.Settle()
	children, err := c.TaskChildren(t.Context(), id)
	if err != nil || len(children) != 2 || children[1].Label != "aarch64" {
		t.Errorf("%+v, error %v", children, err)
	}
	if n := len(h.Builds()); n != 0 {
		t.Errorf("a scratch build left %d builds", n)
	}
	if got := h.Tasks()[0].Priority; got != 25 {
		t.Errorf("priority %d", got)
	}
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	id := submit(t, c, helloBuild)
	for len(h.Builds()) == 0 {
		h.Step()
	}
	err := h.as("somebody").CancelTask(t.Context(), id)
	if !koji.IsPermission(err) {
		t.Errorf("somebody canceled it: %v", err)
	}
	if err := c.CancelTask(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.Settle()
	for _, task := range h.Tasks() {
		if task.State != koji.TaskCanceled && task.Label != "srpm" {
			t.Errorf("%s %s is %v", task.Method, task.Label, task.State)
		}
	}
	if b := h.Builds()[0]; b.State != koji.BuildCanceled {
		t.Errorf("the build is %v", b.State)
	}
	if _, err := c.TaskFailure(t.Context(), id); err == nil || !strings.Contains(err.Error(), "is canceled") {
		t.Errorf("why it failed: %v", err)
	}
	if err := c.CancelTask(t.Context(), id); err != nil {
		t.Errorf("canceling again: %v", err)
	}

	again := submit(t, c, helloBuild)
	for h.Builds()[0].State != koji.BuildBuilding {
		h.Step()
	}
	build := h.Builds()[0].ID
	for _, want := range []bool{true, false} {
		if got, err := c.CancelBuild(t.Context(), build); err != nil || got != want {
			t.Errorf("canceled %v, error %v, want %v", got, err, want)
		}
	}
	if s := taskOf(t, c, again).State; s != koji.TaskCanceled {
		t.Errorf("the task is %v", s)
	}
}

func TestListBuilds(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	for _, release := range []string{"1.fc43", "2.fc43", "3.fc43"} {
		if _, err := h.AddBuild("packit", kojifake.Spec{Name: "hello", Version: "1", Release: release}, "f43"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.AddBuild("packit", kojifake.Spec{Name: "world", Version: "1", Release: "1"}); err != nil {
		t.Fatal(err)
	}
	c := h.as("packit")
	id := submit(t, c, helloBuild)
	h.Settle()
	user, err := c.LoggedInUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failed := koji.BuildFailed
	for name, test := range map[string]struct {
		filter koji.BuildFilter
		want   []string
	}{
		"package":    {koji.BuildFilter{Package: "hello", Limit: 2}, []string{"hello-1.0-3.fc43", "hello-1-3.fc43"}},
		"no package": {koji.BuildFilter{Package: "none"}, nil},
		"task":       {koji.BuildFilter{TaskID: id}, []string{"hello-1.0-3.fc43"}},
		"owner":      {koji.BuildFilter{Owner: user.ID + 100}, []string{}},
		"state":      {koji.BuildFilter{State: &failed}, []string{}},
		"source":     {koji.BuildFilter{Source: "git+https://git.example/*"}, []string{"hello-1.0-3.fc43"}},
		"after":      {koji.BuildFilter{After: time.Now().Add(time.Hour)}, []string{}},
	} {
		list, err := c.ListBuilds(t.Context(), test.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range list {
			got = append(got, b.NVR)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	found, err := c.Builds(t.Context(), []string{"hello-1-2.fc43", "none-1-1", "world-1-1"})
	if err != nil || len(found) != 2 || found["world-1-1"].Package != "world" {
		t.Errorf("%v, error %v", found, err)
	}
	if _, err := c.Build(t.Context(), "none-1-1"); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("a build that is not there: %v", err)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	id := submit(t, c, helloBuild)
	if _, err := c.TaskLog(t.Context(), id, koji.BuildLog, 100); !strings.Contains(koji.Text(err), "no file") {
		t.Errorf("the log of a task without any: %v", err)
	}
	for !slices.ContainsFunc(h.Tasks(), func(x kojifake.Task) bool { return x.Label == "x86_64" && x.Written == 1 }) {
		h.Step()
	}
	i := slices.IndexFunc(h.Tasks(), func(x kojifake.Task) bool { return x.Label == "x86_64" })
	part := h.Tasks()[i].ID
	early, err := c.TaskLog(t.Context(), part, koji.BuildLog, 1<<20)
	if err != nil || !strings.HasPrefix(string(early.Bytes()), "Building target") || strings.Contains(string(early.Bytes()), "Wrote:") {
		t.Errorf("early log %q, error %v", early.Bytes(), err)
	}
	h.Settle()
	whole, err := c.TaskLog(t.Context(), part, koji.BuildLog, 1<<20)
	if err != nil || len(whole.Bytes()) <= len(early.Bytes()) || !strings.Contains(string(whole.Bytes()), "Wrote:") {
		t.Errorf("whole log %q, error %v", whole.Bytes(), err)
	}
	short, err := c.TaskLog(t.Context(), part, koji.BuildLog, 40)
	text := string(whole.Bytes())
	if err != nil || string(short.Head) != text[:10] || string(short.Tail) != text[len(text)-30:] || short.Skipped != int64(len(text)-40) {
		t.Errorf("short log %+v, error %v", short, err)
	}
	if !strings.Contains(string(short.Bytes()), "bytes left out") {
		t.Errorf("%q", short.Bytes())
	}
	for _, name := range []string{"../build.log", "a/b", ".."} {
		if _, err := c.TaskLog(t.Context(), part, name, 40); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	b, err := c.Build(t.Context(), "hello-1.0-3.fc43")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		c.TaskLogURL(part, koji.BuildLog):              text,
		c.BuildLogURL(b, "x86_64", koji.BuildLog):      text,
		c.TaskURL(part):                                "Wrote:",
		c.TaskURL(id):                                  "buildArch",
		c.BuildURL(b.ID):                               "f43-updates-candidate",
		h.url + "/koji/":                               "taskinfo?taskID=",
		h.url + "/work/cli-build/x/" + ".user":         "",
		h.url + "/work" + "/../world.json":             "",
		h.url + "/koji/taskinfo?taskID=1%27%3Cscript>": "",
	} {
		res, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || (want == "") != (res.StatusCode == 404) || !strings.Contains(string(body), want) {
			t.Errorf("%s: status %d, %q, error %v", address, res.StatusCode, body, err)
		}
	}
}

func TestFakeGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "koji")
	first := start(t, kojifake.Options{Manual: true, Dir: dir})
	c := first.as("packit")
	id := submit(t, c, helloBuild)
	tag, err := c.CreateSideTag(t.Context(), "f43-build")
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		first.Step()
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := start(t, kojifake.Options{Manual: true, Dir: dir})
	c = second.as("packit")
	second.Settle()
	task := taskOf(t, c, id)
	if r, _ := task.BuildRequest(); task.State != koji.TaskClosed || !cmp.Equal(r, helloBuild) {
		t.Errorf("%+v", task)
	}
	got, err := c.Tag(t.Context(), tag.Name)
	if err != nil || got.SideTagOwner != "packit" {
		t.Errorf("%+v, error %v", got, err)
	}
	if next := submit(t, c, helloBuild); next <= id {
		t.Errorf("task %d follows %d", next, id)
	}
}
