package kojifake

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"millrace/clients/koji"
)

func allMethods() map[string]method {
	methods := map[string]method{
		"getAPIVersion":  {run: func(*Fake, *call) (any, error) { return int64(1), nil }},
		"getKojiVersion": {run: func(*Fake, *call) (any, error) { return version, nil }},
		"getLoggedInUser": {run: func(f *Fake, c *call) (any, error) {
			if c.user == "" {
				return nil, nil
			}
			return f.userRow(c.user), nil
		}},
		"logout": {login: true, run: (*Fake).logout},

		"build":              {params: []string{"src", "target", "opts?", "priority?", "channel?"}, login: true, run: (*Fake).build},
		"getTaskInfo":        {params: []string{"task_id", "request?", "strict?"}, run: (*Fake).getTaskInfo},
		"getTaskChildren":    {params: []string{"task_id", "request?", "strict?"}, run: (*Fake).getTaskChildren},
		"getTaskResult":      {params: []string{"taskId", "raise_fault?"}, run: (*Fake).getTaskResult},
		"listTasks":          {params: []string{"opts?", "queryOpts?"}, run: (*Fake).listTasks},
		"listTaskOutput":     {params: []string{"taskID", "stat?", "all_volumes?", "strict?"}, run: (*Fake).listTaskOutput},
		"downloadTaskOutput": {params: []string{"taskID", "fileName", "offset?", "size?"}, run: (*Fake).downloadTaskOutput},
		"cancelTask":         {params: []string{"task_id", "recurse?"}, login: true, run: (*Fake).cancelTaskCall},
		"checkUpload":        {params: []string{"path", "name", "verify?", "tail?", "volume?"}, run: (*Fake).checkUpload},
	}
	for _, more := range []map[string]method{buildMethods(), tagMethods(), sideTagMethods()} {
		for name, m := range more {
			methods[name] = m
		}
	}
	return methods
}

func (f *Fake) userRow(name string) map[string]any {
	u := f.user(name)
	return map[string]any{"id": u.ID, "name": u.Name, "status": int64(0), "usertype": int64(0), "krb_principal": nil, "authtype": int64(3)}
}

func (f *Fake) logout(c *call) (any, error) {
	for id, s := range f.sessions {
		if s.user == c.user {
			delete(f.sessions, id)
		}
	}
	return nil, nil
}

// build takes whatever it gets: mistakes are found by the task.
func (f *Fake) build(c *call) (any, error) {
	src, target, opts, priority := c.text("src"), c.text("target"), c.members("opts"), c.number("priority")
	if c.err != nil {
		return nil, c.err
	}
	if priority < 0 && !f.user(c.user).Admin {
		return nil, fault(koji.DeniedFault, "only admins may create high-priority tasks")
	}
	if opts == nil {
		opts = map[string]any{}
	}
	t := f.newTask(nil, "build", "", "noarch", c.user, src, target, opts)
	t.Priority += priority
	f.announceTask(t, "")
	return t.ID, nil
}

func timeText(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Format("2006-01-02 15:04:05.000000-07:00")
}

func timeStamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return float64(t.UnixMicro()) / 1e6
}

func (f *Fake) taskRow(t *Task, withRequest bool) map[string]any {
	row := map[string]any{"id": t.ID, "method": t.Method, "state": int64(t.State), "owner": f.user(t.Owner).ID, "arch": t.Arch,
		"channel_id": int64(1), "host_id": nil, "parent": nil, "label": orNil(t.Label), "waiting": nil, "awaited": nil,
		"priority": t.Priority, "weight": 0.2,
		"create_time": timeText(t.Created), "create_ts": timeStamp(t.Created), "start_time": timeText(t.Started), "start_ts": timeStamp(t.Started),
		"completion_time": timeText(t.Completed), "completion_ts": timeStamp(t.Completed)}
	if t.Parent != 0 {
		row["parent"] = t.Parent
	}
	if !t.Started.IsZero() {
		row["host_id"] = int64(391)
	}
	if withRequest {
		row["request"] = t.Request
	}
	return row
}

func (f *Fake) getTaskInfo(c *call) (any, error) {
	if ids, ok := c.args["task_id"].([]any); ok {
		rows := make([]any, 0, len(ids))
		for _, id := range ids {
			row, err := f.taskInfo(id, c.flag("request"), c.flag("strict"))
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		return rows, c.err
	}
	row, err := f.taskInfo(c.args["task_id"], c.flag("request"), c.flag("strict"))
	return row, errors.Join(err, c.err)
}

func (f *Fake) taskInfo(id any, request, strict bool) (any, error) {
	n, _ := id.(int64)
	if t := f.tasks[n]; t != nil {
		return f.taskRow(t, request), nil
	}
	if strict {
		return nil, fault(koji.GenericFault, fmt.Sprintf("No such task: %v", id))
	}
	return nil, nil
}

func (f *Fake) getTaskChildren(c *call) (any, error) {
	id, request := c.number("task_id"), c.flag("request")
	rows := []any{}
	for _, t := range byID(f.tasks) {
		if t.Parent == id && id != 0 {
			rows = append(rows, f.taskRow(t, request))
		}
	}
	return rows, c.err
}

func (f *Fake) getTaskResult(c *call) (any, error) {
	id := c.number("taskId")
	raise, given := c.args["raise_fault"].(bool)
	t := f.tasks[id]
	switch {
	case c.err != nil:
		return nil, c.err
	case t == nil:
		return nil, fault(koji.GenericFault, "No such task")
	case t.State == koji.TaskCanceled:
		return nil, fault(koji.GenericFault, fmt.Sprintf("Task %d is canceled", id))
	case !t.State.Finished():
		return nil, fault(koji.GenericFault, fmt.Sprintf("Task %d is not finished", id))
	case t.Fault != nil && (raise || !given):
		return nil, fault(t.Fault.Code, t.Fault.Text)
	case t.Fault != nil:
		return map[string]any{"faultCode": t.Fault.Code, "faultString": t.Fault.Text}, nil
	case t.Method == "build":
		return nil, nil
	}
	return map[string]any{"logs": []any{"tasks/" + fmt.Sprint(id%10000) + "/" + fmt.Sprint(id) + "/build.log"}}, nil
}

// listTasks knows the filters by which people look for their own builds.
func (f *Fake) listTasks(c *call) (any, error) {
	opts, query := c.members("opts"), c.members("queryOpts")
	if c.err != nil {
		return nil, c.err
	}
	after, _ := opts["createdAfter"].(float64)
	states, hasStates := opts["state"].([]any)
	rows := []map[string]any{}
	for _, t := range byID(f.tasks) {
		owner := f.user(t.Owner)
		if id, ok := opts["owner"].(int64); ok && id != owner.ID {
			continue
		}
		if m, ok := opts["method"].(string); ok && m != t.Method {
			continue
		}
		if parent, ok := opts["parent"]; ok && (parent == nil) != (t.Parent == 0) {
			continue
		}
		if hasStates && !slices.Contains(states, any(int64(t.State))) {
			continue
		}
		if float64(t.Created.UnixMicro())/1e6 <= after {
			continue
		}
		row := f.taskRow(t, true)
		if opts["decode"] != true {
			row["request"] = "<?xml version='1.0'?>"
		}
		row["owner_name"], row["owner_type"], row["result"] = owner.Name, int64(0), nil
		rows = append(rows, row)
	}
	return selectRows(rows, query)
}

func (f *Fake) listTaskOutput(c *call) (any, error) {
	files, stat := f.taskFiles(c.number("taskID")), c.flag("stat")
	if c.err != nil {
		return nil, c.err
	}
	if !stat {
		names := sorted(files)
		return append([]string{}, names...), nil
	}
	out := map[string]any{}
	for name, size := range files {
		out[name] = map[string]any{"st_size": fmt.Sprint(size)} // a text, for the sake of large files
	}
	return out, nil
}

func (f *Fake) downloadTaskOutput(c *call) (any, error) {
	id, name, offset := c.number("taskID"), c.text("fileName"), c.number("offset")
	size := int64(-1)
	if c.args["size"] != nil {
		size = c.number("size")
	}
	if c.err != nil {
		return nil, c.err
	}
	if strings.Contains(name, "..") {
		return nil, fault(koji.GenericFault, "Invalid file name: "+name)
	}
	file, err := f.root.Open(path.Join(taskDir(id), name))
	if err != nil {
		return nil, fault(koji.GenericFault, fmt.Sprintf("no file %q output by task %d", name, id))
	}
	defer file.Close()
	whence := io.SeekStart
	if offset < 0 {
		whence = io.SeekEnd
	}
	if _, err := file.Seek(offset, whence); err != nil {
		return nil, fault(1, "<class 'OSError'>: [Errno 22] Invalid argument")
	}
	var in io.Reader = file
	if size >= 0 {
		in = io.LimitReader(file, size)
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return nil, fault(1, "<class 'OSError'>: "+err.Error())
	}
	return base64.StdEncoding.EncodeToString(content), nil
}

func (f *Fake) cancelTaskCall(c *call) (any, error) {
	t := f.tasks[c.number("task_id")]
	switch {
	case c.err != nil:
		return nil, c.err
	case t == nil:
		return nil, fault(koji.GenericFault, "No such task")
	case t.Owner != c.user && !f.user(c.user).Admin:
		return nil, fault(koji.DeniedFault, "Cannot cancel task, not owner")
	}
	f.cancelTask(t)
	return nil, nil
}
