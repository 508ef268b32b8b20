package koji

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"millrace/clients/httpx"
	"millrace/clients/xmlrpc"
	"millrace/models"
)

// TaskState is where a task stands.
type TaskState int

// States of tasks, by Koji's numbers.
const (
	TaskFree     TaskState = 0 // waits for a builder
	TaskOpen     TaskState = 1
	TaskClosed   TaskState = 2 // it worked
	TaskCanceled TaskState = 3
	TaskAssigned TaskState = 4 // a builder is about to take it
	TaskFailed   TaskState = 5
)

var taskStates = []string{"FREE", "OPEN", "CLOSED", "CANCELED", "ASSIGNED", "FAILED"}

// String is Koji's word for the state, as pages and messages have it.
func (s TaskState) String() string {
	if s < 0 || int(s) >= len(taskStates) {
		return fmt.Sprintf("state %d", int(s))
	}
	return taskStates[s]
}

// Finished reports whether no state can follow.
func (s TaskState) Finished() bool {
	return s == TaskClosed || s == TaskCanceled || s == TaskFailed
}

// Task is a piece of work: a build as a whole, or one of the tasks that it
// consists of, such as the build for one architecture.
type Task struct {
	ID        int64
	Parent    int64  // 0 if there is none
	Method    string // such as "build", "buildSRPMFromSCM", "buildArch", "tagBuild"
	Label     string // among its siblings: the architecture, or "srpm"
	Arch      string
	State     TaskState
	Owner     int64 // a User
	Created   time.Time
	Started   time.Time // zero if it has not
	Completed time.Time // zero if it has not
	Request   []any     // what it was asked for with
}

type taskJSON struct {
	ID         int64     `json:"id"`
	Parent     *int64    `json:"parent"`
	Method     string    `json:"method"`
	Label      *string   `json:"label"`
	Arch       string    `json:"arch"`
	State      TaskState `json:"state"`
	Owner      *int64    `json:"owner"`
	Create     *stamp    `json:"create_ts"`
	Start      *stamp    `json:"start_ts"`
	Completion *stamp    `json:"completion_ts"`
}

// readTask reads a task. The request stays as it was decoded: lists and
// structs of whatever the method takes.
func readTask(value any) (Task, error) {
	members, ok := value.(map[string]any)
	if !ok {
		return Task{}, errors.New("a task is not a struct")
	}
	var in taskJSON
	request, _ := members["request"].([]any)
	if err := xmlrpc.Into(without(members, "request", "result"), &in); err != nil {
		return Task{}, fmt.Errorf("reading a task: %w", err)
	}
	if in.ID <= 0 {
		return Task{}, errors.New("a task has no id")
	}
	return Task{ID: in.ID, Parent: deref(in.Parent), Method: in.Method, Label: deref(in.Label), Arch: in.Arch, State: in.State,
		Owner: deref(in.Owner), Created: in.Create.time(), Started: in.Start.time(), Completed: in.Completion.time(), Request: request}, nil
}

func (c *Client) readTasks(values []any) ([]Task, error) {
	tasks := make([]Task, 0, len(values))
	for _, value := range values {
		t, err := readTask(value)
		if err != nil {
			return nil, c.garbled(err)
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// Task returns a task with its request. models.ErrNotFound is in the chain of
// the error if there is none.
func (c *Client) Task(ctx context.Context, id int64) (Task, error) {
	value, err := c.send(ctx, nil, "getTaskInfo", []any{id, Keywords{"request": true}})
	if err != nil {
		return Task{}, err
	}
	if value == nil {
		return Task{}, fmt.Errorf("task %d in koji: %w", id, models.ErrNotFound)
	}
	t, err := readTask(value)
	if err != nil {
		return Task{}, c.garbled(err)
	}
	return t, nil
}

// Tasks returns those of the tasks that exist, without their requests, by one
// request. It is what to poll with.
func (c *Client) Tasks(ctx context.Context, ids []int64) (map[int64]Task, error) {
	calls := make([]Call, len(ids))
	for i, id := range ids {
		calls[i] = Call{Method: "getTaskInfo", Args: []any{id}}
	}
	answers, err := c.MultiCall(ctx, calls)
	if err != nil {
		return nil, err
	}
	tasks := make(map[int64]Task, len(ids))
	for _, a := range answers {
		if a.Err != nil {
			return nil, a.Err
		}
		if a.Value == nil {
			continue
		}
		t, err := readTask(a.Value)
		if err != nil {
			return nil, c.garbled(err)
		}
		tasks[t.ID] = t
	}
	return tasks, nil
}

// TaskChildren lists the tasks that a task consists of, in the order in which
// they were made.
func (c *Client) TaskChildren(ctx context.Context, id int64) ([]Task, error) {
	var values []any
	if err := c.call(ctx, "getTaskChildren", &values, id); err != nil {
		return nil, err
	}
	tasks, err := c.readTasks(values)
	slices.SortFunc(tasks, func(a, b Task) int { return int(a.ID - b.ID) })
	return tasks, err
}

// TaskFailure is why a task failed, nil if it did not. It is an error to ask
// about a task that is canceled or not finished.
func (c *Client) TaskFailure(ctx context.Context, id int64) (*Fault, error) {
	value, err := c.send(ctx, nil, "getTaskResult", []any{id, Keywords{"raise_fault": false}})
	if err != nil {
		return nil, err
	}
	fault, err := xmlrpc.FaultOf(value)
	if err != nil {
		return nil, nil // a result of its own shape
	}
	return &Fault{Code: int(fault.Code), Text: httpx.Clean(fault.Text, maxText)}, nil
}

// CancelTask cancels a task of ours and all that belongs to it. Nothing
// happens to one that is finished.
func (c *Client) CancelTask(ctx context.Context, id int64) error {
	return c.callIn(ctx, "cancelTask", nil, id)
}

// Telling picks, of a build's children, the one whose log people want to see:
// that which failed, else that which is at work, else the last one.
func Telling(children []Task) (Task, bool) {
	for _, state := range []TaskState{TaskFailed, TaskOpen} {
		for _, t := range children {
			// The builder's own logs are those of these: others have none.
			if t.State == state && (t.Label == "srpm" || t.Method == "buildArch") {
				return t, true
			}
		}
	}
	for _, t := range slices.Backward(children) {
		if t.Label == "srpm" || t.Method == "buildArch" {
			return t, true
		}
	}
	return Task{}, false
}

func without(members map[string]any, names ...string) map[string]any {
	rest := make(map[string]any, len(members))
	for name, value := range members {
		if !slices.Contains(names, name) {
			rest[name] = value
		}
	}
	return rest
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
