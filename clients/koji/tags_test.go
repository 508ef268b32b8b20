package koji_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
	"millrace/models"
)

func TestTags(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	day := time.Date(2025, 3, 4, 12, 0, 0, 0, time.UTC)
	entry := koji.ChangelogEntry{Time: day, Name: "A B <a@b.example> - 1-2", Text: "- New"}
	for release, tag := range map[string]string{"1.fc43": "f43", "2.fc43": "f43-updates", "3.fc43": "f43-updates-candidate"} {
		if _, err := h.AddBuild("packit", kojifake.Spec{Name: "hello", Version: "1", Release: release, Epoch: 2, Changelog: []koji.ChangelogEntry{entry}}, tag); err != nil {
			t.Fatal(err)
		}
	}
	target, err := c.Target(t.Context(), "f43-candidate")
	if err != nil || target != (koji.Target{Name: "f43-candidate", BuildTag: "f43-build", DestTag: "f43-updates-candidate"}) {
		t.Errorf("%+v, error %v", target, err)
	}
	if _, err := c.Target(t.Context(), "none"); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("a target that is not there: %v", err)
	}
	targets, err := c.Targets(t.Context())
	if err != nil || len(targets) != 11 || targets[0].Name != "epel10" || targets[1].Name != "epel10-candidate" || targets[10].Name != "rawhide" {
		t.Errorf("%+v, error %v", targets, err)
	}
	tag, err := c.Tag(t.Context(), "f43-build")
	if err != nil || !slices.Equal(tag.Arches, []string{"x86_64", "aarch64"}) || tag.SideTagOwner != "" {
		t.Errorf("%+v, error %v", tag, err)
	}
	if _, err := c.Tag(t.Context(), "none"); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("a tag that is not there: %v", err)
	}
	above, err := c.Inheritance(t.Context(), "f43-updates-candidate")
	if err != nil || !slices.Equal(koji.StableTags(above), []string{"f43-updates", "f43"}) {
		t.Errorf("%v, error %v", above, err)
	}
	for name, test := range map[string]struct {
		tag    string
		filter koji.TaggedFilter
		want   []string
	}{
		"own":       {"f43-updates-candidate", koji.TaggedFilter{Package: "hello"}, []string{"hello-1-3.fc43"}},
		"inherited": {"f43-updates-candidate", koji.TaggedFilter{Package: "hello", Inherit: true}, []string{"hello-1-3.fc43", "hello-1-2.fc43", "hello-1-1.fc43"}},
		"latest":    {"f43-build", koji.TaggedFilter{Inherit: true, Latest: true}, []string{"hello-1-2.fc43"}},
		"none":      {"f42", koji.TaggedFilter{Package: "hello", Inherit: true}, nil},
	} {
		list, err := c.Tagged(t.Context(), test.tag, test.filter)
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
	b, err := c.LatestBuild(t.Context(), "f43-build", "hello")
	if err != nil || b.NVR != "hello-1-2.fc43" || b.Tag != "f43-updates" || b.Epoch != 2 {
		t.Errorf("%+v, error %v", b, err)
	}
	if _, err := c.LatestBuild(t.Context(), "f42", "hello"); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("a build that is not there: %v", err)
	}
	log, err := c.Changelog(t.Context(), "hello-1-2.fc43")
	if diff := cmp.Diff([]koji.ChangelogEntry{entry}, log); diff != "" || err != nil {
		t.Errorf("changelog, error %v (-want +got):\n%s", err, diff)
	}
}

func TestTagging(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	const nvr = "hello-1-1.fc43"
	if _, err := h.AddBuild("packit", kojifake.Spec{Name: "hello", Version: "1", Release: "1.fc43"}, "f43-updates-candidate"); err != nil {
		t.Fatal(err)
	}
	before, err := c.Repo(t.Context(), "f43-build")
	if err != nil {
		t.Fatal(err)
	}
	task, err := c.TagBuild(t.Context(), "f43-updates", nvr)
	if err != nil {
		t.Fatal(err)
	}
	h.Settle()
	if s := taskOf(t, c, task).State; s != koji.TaskClosed {
		t.Errorf("tagging is %v", s)
	}
	after, err := c.Repo(t.Context(), "f43-build")
	if err != nil || after.Event <= before.Event {
		t.Errorf("repository %+v after %+v, error %v", after, before, err)
	}
	tags, err := c.TagsOf(t.Context(), nvr)
	if err != nil || !slices.Equal(tags, []string{"f43-updates", "f43-updates-candidate"}) {
		t.Errorf("tags %v, error %v", tags, err)
	}
	if err := c.UntagBuild(t.Context(), "f43-updates", nvr); err != nil {
		t.Fatal(err)
	}
	if err := c.UntagBuild(t.Context(), "f43-updates", nvr); koji.Text(err) != "build hello-1-1.fc43 not in tag f43-updates" {
		t.Errorf("untagging twice: %v", err)
	}
	if _, err := c.TagBuild(t.Context(), "f43-updates", "none-1-1"); koji.Text(err) != "No such build: none-1-1" {
		t.Errorf("tagging what is not there: %v", err)
	}
	if err := h.Move(nvr, "f43-updates-candidate", "f43-updates", "bodhi"); err != nil {
		t.Fatal(err)
	}
	if got := h.said("buildsys.tag"); len(got) != 2 || got[1]["user"] != "bodhi" || got[1]["tag"] != "f43-updates" {
		t.Errorf("%v", got)
	}
}

func TestSideTags(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	side, err := c.CreateSideTag(t.Context(), "f43-build")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("f43-build-side-%d", side.ID); side.Name != want {
		t.Errorf("it is named %s, not %s", side.Name, want)
	}
	if _, err := h.as("somebody").CreateSideTag(t.Context(), "f42-build"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		base, user string
		want       int
	}{"all": {"", "", 2}, "base": {"f43-build", "", 1}, "user": {"", "somebody", 1}, "none": {"f43-build", "somebody", 0}} {
		if list, err := c.SideTags(t.Context(), test.base, test.user); err != nil || len(list) != test.want {
			t.Errorf("%s: %v, error %v", name, list, err)
		}
	}
	tag, err := c.Tag(t.Context(), side.Name)
	if err != nil || tag.SideTagOwner != "packit" {
		t.Errorf("%+v, error %v", tag, err)
	}

	r := helloBuild
	r.Target = side.Name
	submit(t, c, r)
	h.Settle()
	inside, err := c.Tagged(t.Context(), side.Name, koji.TaggedFilter{Package: "hello"})
	if err != nil || len(inside) != 1 || inside[0].NVR != "hello-1.0-3.fc43" {
		t.Errorf("%v, error %v", inside, err)
	}
	// What needs the first waits for it.
	r.Key, r.WaitBuilds = "key-00000002", []string{"hello-1.0-3.fc43"}
	second := submit(t, c, r)
	h.Settle()
	children, err := c.TaskChildren(t.Context(), second)
	if err != nil || children[0].Method != "waitrepo" || children[1].Label != "srpm" {
		t.Errorf("%+v, error %v", children, err)
	}

	yes := true
	edit := koji.SideTagEdit{DebugInfo: &yes, Macros: map[string]string{"dist": ".fc43.x"}, RemoveMacros: []string{"_with_bootstrap"}}
	if err := c.EditSideTag(t.Context(), side.Name, edit); err != nil {
		t.Error(err)
	}
	if err := c.EditSideTag(t.Context(), side.Name, koji.SideTagEdit{Macros: map[string]string{"other": "1"}}); err == nil {
		t.Error("any macro can be set")
	}
	if err := h.as("somebody").RemoveSideTag(t.Context(), side.Name); !koji.IsPermission(err) {
		t.Errorf("somebody removed it: %v", err)
	}
	if err := c.RemoveSideTag(t.Context(), "f43-build"); koji.Text(err) != "Not a sidetag: f43-build" {
		t.Errorf("error = %v", err)
	}
	if err := c.RemoveSideTag(t.Context(), side.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Target(t.Context(), side.Name); !errors.Is(err, models.ErrNotFound) {
		t.Errorf("its target: %v", err)
	}
}

func TestMultiCall(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.anonymous()
	answers, err := c.MultiCall(t.Context(), []koji.Call{{Method: "getBuild", Args: []any{"none-1-1"}},
		{Method: "getBuildTarget", Args: []any{"nope", koji.Keywords{"strict": true}}}, {Method: "nothing"}, {Method: "getAPIVersion"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range answers {
		got = append(got, fmt.Sprint(a.Value, " ", koji.Text(a.Err)))
	}
	if diff := cmp.Diff([]string{"<nil> ", "<nil> No such build target: nope", "<nil> Invalid method: nothing", "1 "}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, call := range []koji.Call{{Method: "getBuild"}, {Method: "getBuild", Args: []any{"a", false, "c"}}, {Method: "getBuild", Args: []any{"a", koji.Keywords{"other": 1}}},
		{Method: "getBuild", Args: []any{"a", koji.Keywords{"buildInfo": "b"}}}, {Method: "getBuild", Args: []any{"a", "yes"}}} {
		answers, err := c.MultiCall(t.Context(), []koji.Call{call})
		if err != nil {
			t.Fatal(err)
		}
		fault, ok := errors.AsType[*koji.Fault](answers[0].Err)
		if !ok || fault.Code != koji.ParameterFault {
			t.Errorf("%+v: %+v", call, answers[0])
		}
	}
	if answers, err := c.MultiCall(t.Context(), nil); answers != nil || err != nil {
		t.Errorf("no calls: %v, error %v", answers, err)
	}
}
