package koji

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"millrace/models"
)

// keyMember is the member of a build's custom metadata that holds our key.
const keyMember = "millrace_submission"

var keyPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{8,64}$`)

// backgroundPriority is added to that of a build that shall wait for others.
const backgroundPriority = 5

// BuildRequest is what a build is asked for with.
type BuildRequest struct {
	// Source is a commit of a repository, as GitSource writes it, or the path of
	// an uploaded source RPM.
	Source string
	Target string // such as "f43-candidate", or the name of a side tag

	// Key identifies the submission: the same in every repeat of it, another in
	// every new attempt. Koji takes no such key, so it goes into the metadata
	// that users may give to a build, where FindTask finds it. 8 to 64 letters,
	// digits, dots, dashes and underscores; empty for none.
	Key string

	Scratch    bool     // nothing is kept but for some days
	SkipTag    bool     // the build is not tagged when it is complete
	Arches     []string // for which to build in place of all; scratch builds only
	FailFast   bool     // the other architectures are canceled when one fails
	WaitRepo   bool     // for a repository that is newer than this request
	WaitBuilds []string // NVRs that must be in the buildroot before it begins
	Background bool     // after builds that are not
}

// GitSource names a commit of a repository as Koji wants it: address is that
// for reading, such as "https://src.fedoraproject.org/rpms/hello.git".
func GitSource(address, commit string) string { return "git+" + address + "#" + commit }

// SubmitBuild asks for a build and returns its task. That the target does not
// exist, or that the package may not be built for it, only the task finds out.
func (c *Client) SubmitBuild(ctx context.Context, r BuildRequest) (int64, error) {
	if err := r.check(); err != nil {
		return 0, fmt.Errorf("asking koji for a build: %w", err)
	}
	args := []any{r.Source, r.Target, r.options()}
	if r.Background {
		args = append(args, backgroundPriority)
	}
	var task int64
	if err := c.callIn(ctx, "build", &task, args...); err != nil {
		return 0, err
	}
	if task <= 0 {
		return 0, c.garbled(errors.New("the answer to a submission has no task"))
	}
	return task, nil
}

func (r BuildRequest) check() error {
	switch {
	case r.Source == "" || r.Target == "":
		return errors.New("it needs a source and a target")
	case r.Key != "" && !keyPattern.MatchString(r.Key):
		return fmt.Errorf("%q cannot identify a submission", r.Key)
	case len(r.Arches) > 0 && !r.Scratch:
		return errors.New("architectures can be chosen for scratch builds only")
	}
	return nil
}

// options are those that are not as the hub has them by default.
func (r BuildRequest) options() map[string]any {
	o := map[string]any{}
	for name, set := range map[string]bool{"scratch": r.Scratch, "skip_tag": r.SkipTag, "fail_fast": r.FailFast, "wait_repo": r.WaitRepo} {
		if set {
			o[name] = true
		}
	}
	if len(r.Arches) > 0 {
		o["arch_override"] = strings.Join(r.Arches, " ")
	}
	if len(r.WaitBuilds) > 0 {
		o["wait_builds"] = r.WaitBuilds
	}
	if r.Key != "" {
		o["custom_user_metadata"] = map[string]any{keyMember: r.Key}
	}
	return o
}

// BuildRequest is what a task of the method "build" was asked for with, as far
// as it tells.
func (t Task) BuildRequest() (BuildRequest, bool) {
	if t.Method != "build" || len(t.Request) < 2 {
		return BuildRequest{}, false
	}
	source, isText := t.Request[0].(string)
	if !isText {
		return BuildRequest{}, false
	}
	r := BuildRequest{Source: source}
	r.Target, _ = t.Request[1].(string)
	if len(t.Request) > 2 {
		options, _ := t.Request[2].(map[string]any)
		r.Scratch, _ = options["scratch"].(bool)
		r.SkipTag, _ = options["skip_tag"].(bool)
		if arches, _ := options["arch_override"].(string); arches != "" {
			r.Arches = strings.Fields(arches)
		}
		metadata, _ := options["custom_user_metadata"].(map[string]any)
		r.Key, _ = metadata[keyMember].(string)
	}
	return r, true
}

const (
	findPage  = 50
	findPages = 20
	// clockSkew is how wrong the hub's clock may be beside ours.
	clockSkew = 10 * time.Minute
)

// FindTask looks for the task of a submission whose answer was lost: a build
// that owner (see LoggedInUser) asked for since some time with this key, or, if
// the request has none, from the same source for the same target, and the
// same in being scratch. models.ErrNotFound is in the chain of the error if
// there is none.
func (c *Client) FindTask(ctx context.Context, owner int64, r BuildRequest, since time.Time) (Task, error) {
	in := map[string]any{"owner": owner, "method": "build", "decode": true, "createdAfter": seconds(since.Add(-clockSkew))}
	last := int64(0)
	for page := range findPages {
		var values []any
		err := c.call(ctx, "listTasks", &values, in, map[string]any{"order": "-id", "limit": findPage, "offset": page * findPage})
		if err != nil {
			return Task{}, err
		}
		tasks, err := c.readTasks(values)
		if err != nil {
			return Task{}, err
		}
		for _, t := range tasks {
			if got, ok := t.BuildRequest(); ok && r.same(got) {
				return t, nil
			}
		}
		if len(tasks) < findPage {
			return Task{}, fmt.Errorf("a build of %s for %s in koji: %w", r.Source, r.Target, models.ErrNotFound)
		}
		last = tasks[len(tasks)-1].ID
	}
	return Task{}, fmt.Errorf("looking for a build of %s in koji: there are more than %d, the last looked at is task %d", r.Source, findPage*findPages, last)
}

func (r BuildRequest) same(got BuildRequest) bool {
	if r.Key != "" {
		return got.Key == r.Key
	}
	return got.Source == r.Source && got.Target == r.Target && got.Scratch == r.Scratch
}
