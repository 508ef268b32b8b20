package kojifake

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace/clients/koji"
)

// Task is a task of the hub's.
type Task struct {
	ID        int64
	Parent    int64 // 0 if there is none
	Method    string
	Label     string
	Arch      string
	State     koji.TaskState
	Owner     string
	Priority  int64
	Request   []any // as it was asked for
	Created   time.Time
	Started   time.Time
	Completed time.Time
	Due       time.Time // of its next change; zero if it waits for others
	Written   int       // parts of its log
	Spec      *Spec     // of a build, when its source is known
	BuildID   int64     // of a build that is none of scratch, and of what tags it
	TagID     int64     // of what tags
	Fault     *Fault    // why it failed
}

// Fault is what the hub refuses with, and what tasks fail with.
type Fault struct {
	Code int64
	Text string
}

// Build is a build that is kept.
type Build struct {
	ID        int64
	Spec      Spec
	State     koji.BuildState
	TaskID    int64
	Owner     string
	Source    string
	Metadata  map[string]any // that its owner gave it
	Created   time.Time
	Completed time.Time
}

// Tag is a tag with the builds that were tagged with it, newest tagging last.
type Tag struct {
	ID      int64
	Name    string
	Arches  string
	Dist    string  // of releases built in it
	Parents []int64 // by priority
	Extra   map[string]any
	Builds  []int64
	Event   int64 // the last change of its builds
}

// Target is a target.
type Target struct {
	ID                int64
	Name              string
	BuildTag, DestTag int64
}

// world is all but tasks and builds.
type world struct {
	Advanced time.Duration
	LastTask int64
	LastID   int64 // of builds, tags, targets, users, sessions and packages
	Event    int64
	Users    map[string]*User
	Packages map[string]int64
	Tags     map[int64]*Tag
	Targets  map[int64]*Target
}

// Tasks returns copies of all tasks, oldest first.
func (f *Fake) Tasks() []Task {
	f.mu.Lock()
	defer f.mu.Unlock()
	tasks := make([]Task, 0, len(f.tasks))
	for _, id := range slices.Sorted(maps.Keys(f.tasks)) {
		tasks = append(tasks, f.tasks[id].clone())
	}
	return tasks
}

// Builds returns copies of all builds, oldest first.
func (f *Fake) Builds() []Build {
	f.mu.Lock()
	defer f.mu.Unlock()
	builds := make([]Build, 0, len(f.builds))
	for _, id := range slices.Sorted(maps.Keys(f.builds)) {
		builds = append(builds, f.builds[id].clone())
	}
	return builds
}

// Submissions counts the builds that were asked for with a key of
// koji.BuildRequest: more than one means that a submission was repeated.
func (f *Fake) Submissions(key string) int {
	n := 0
	for _, t := range f.Tasks() {
		if t.Method == "build" && t.request().Key == key {
			n++
		}
	}
	return n
}

// request is what a build was asked for with.
func (t *Task) request() koji.BuildRequest {
	r, _ := koji.Task{Method: t.Method, Request: t.Request}.BuildRequest()
	return r
}

func (t *Task) options() map[string]any {
	if t.Method != "build" || len(t.Request) < 3 {
		return nil
	}
	options, _ := t.Request[2].(map[string]any)
	return options
}

func (t *Task) clone() Task {
	c := *t
	c.Request = slices.Clone(t.Request)
	return c
}

func (b *Build) clone() Build {
	c := *b
	c.Metadata = maps.Clone(b.Metadata)
	return c
}

func (b *Build) nvr() string { return b.Spec.NVR() }

func (f *Fake) touchTask(t *Task)   { f.dirty[path.Join("tasks", fmt.Sprintf("%d.json", t.ID))] = t }
func (f *Fake) touchBuild(b *Build) { f.dirty[path.Join("builds", fmt.Sprintf("%d.json", b.ID))] = b }
func (f *Fake) touchWorld()         { f.dirty["world.json"] = &f.world }

func (f *Fake) nextID() int64 {
	f.world.LastID++
	f.touchWorld()
	return f.world.LastID
}

// open makes the directories, reads the state in them, or makes the world.
func (f *Fake) open() error {
	for _, dir := range []string{"tasks", "builds", "work/tasks", "work/cli-build", "packages"} {
		if err := os.MkdirAll(f.path(dir), 0o755); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(f.options.Dir)
	if err != nil {
		return err
	}
	f.root = root
	f.mu.Lock()
	defer f.unlock()
	text, err := root.ReadFile("world.json")
	if os.IsNotExist(err) {
		f.makeWorld()
		return nil
	}
	if err == nil {
		err = readJSON(text, &f.world)
	}
	if err != nil {
		return fmt.Errorf("reading world.json: %w", err)
	}
	for _, t := range f.world.Tags {
		t.Extra, _ = whole(t.Extra).(map[string]any)
	}
	err = readAll(root.FS(), "tasks", func(t *Task) {
		t.Request, _ = whole(t.Request).([]any)
		f.tasks[t.ID] = t
	})
	if err != nil {
		return err
	}
	return readAll(root.FS(), "builds", func(b *Build) {
		b.Metadata, _ = whole(b.Metadata).(map[string]any)
		f.builds[b.ID] = b
	})
}

// whole makes integers again of what JSON knows as numbers only.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = whole(v[name])
		}
	}
	return v
}

func readAll[T any](dir fs.FS, name string, each func(*T)) error {
	entries, err := fs.ReadDir(dir, name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		text, err := fs.ReadFile(dir, path.Join(name, entry.Name()))
		v := new(T)
		if err == nil {
			err = readJSON(text, v)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", entry.Name(), err)
		}
		each(v)
	}
	return nil
}

func readJSON(text []byte, v any) error {
	return json.NewDecoder(bytes.NewReader(text)).Decode(v)
}

func writeFile(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	// The name of a temporary file ends differently, so that readAll passes
	// over what a killed process left.
	t, err := os.CreateTemp(filepath.Dir(name), "*.tmp")
	if err != nil {
		return err
	}
	_, err = t.Write(text)
	err = cmp.Or(err, t.Close())
	if err == nil {
		err = os.Rename(t.Name(), name)
	}
	if err != nil {
		os.Remove(t.Name()) // best effort: the error matters more
	}
	return err
}
