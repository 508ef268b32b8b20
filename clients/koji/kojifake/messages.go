package kojifake

import (
	"encoding/json"
	"path"
	"time"

	"millrace/clients/koji"
)

type message struct {
	topic string
	body  []byte
}

// say puts a message with those that go out when the lock is given back.
func (f *Fake) say(topic string, body map[string]any) {
	body["instance"] = "primary"
	body["base_url"] = f.options.BaseURL + "/koji"
	text, err := json.Marshal(body)
	if err != nil {
		f.log.Error("koji cannot make a message", "topic", topic, "error", err)
		return
	}
	f.messages = append(f.messages, message{f.options.Topic + "." + topic, text})
}

// announceTask tells about a task. Only scratch builds as a whole are told of.
func (f *Fake) announceTask(t *Task, old string) {
	if t.Parent != 0 || t.Method != "build" || !t.request().Scratch {
		return
	}
	body := map[string]any{"attribute": "state", "old": nil, "new": t.State.String(), "id": t.ID, "method": t.Method, "owner": t.Owner,
		"files_base_url": f.options.BaseURL + "/work", "info": f.taskMessage(t)}
	if old != "" {
		body["old"] = old
	}
	if source := t.request().Source; path.Ext(source) == ".rpm" {
		body["srpm"] = path.Base(source)
	} else if t.Spec != nil {
		body["srpm"] = t.Spec.NVR() + ".src.rpm"
	}
	f.say("buildsys.task.state.change", body)
}

func (f *Fake) taskMessage(t *Task) map[string]any {
	children := []any{}
	for _, c := range f.children(t) {
		children = append(children, map[string]any{"id": c.ID, "method": c.Method, "label": orNil(c.Label), "arch": c.Arch, "state": int64(c.State)})
	}
	return map[string]any{"id": t.ID, "parent": nil, "method": t.Method, "label": orNil(t.Label), "arch": t.Arch, "state": int64(t.State),
		"owner": f.user(t.Owner).ID, "request": t.Request, "result": nil, "children": children,
		"create_time": isoTime(t.Created), "start_time": isoTime(t.Started), "completion_time": isoTime(t.Completed)}
}

// announceBuild tells about a build; old is its state before, -1 if it is new.
func (f *Fake) announceBuild(b *Build, old int64) {
	body := map[string]any{"attribute": "state", "old": nil, "new": int64(b.State), "build_id": b.ID, "task_id": b.TaskID,
		"name": b.Spec.Name, "version": b.Spec.Version, "release": b.Spec.Release, "epoch": nil, "owner": b.Owner,
		"url": f.buildURL(b.ID), "files_base_url": f.options.BaseURL + "/work",
		"creation_time": isoTime(b.Created), "completion_time": isoTime(b.Completed)}
	if old >= 0 {
		body["old"] = old
	}
	if b.Spec.Epoch > 0 {
		body["epoch"] = b.Spec.Epoch
	}
	if t := f.tasks[b.TaskID]; t != nil {
		task := f.taskMessage(t)
		task["owner"], task["url"] = t.Owner, f.taskURL(t.ID)
		body["task"], body["request"] = task, t.Request
	}
	f.say("buildsys.build.state.change", body)
}

func (f *Fake) announceTag(topic string, t *Tag, b *Build, by string) {
	f.say(topic, map[string]any{"tag": t.Name, "tag_id": t.ID, "name": b.Spec.Name, "version": b.Spec.Version, "release": b.Spec.Release,
		"build_id": b.ID, "user": by, "owner": b.Owner})
}

func (f *Fake) client() *koji.Client { return &koji.Client{WebURL: f.options.BaseURL + "/koji"} }

func (f *Fake) taskURL(id int64) string  { return f.client().TaskURL(id) }
func (f *Fake) buildURL(id int64) string { return f.client().BuildURL(id) }

func isoTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Format("2006-01-02T15:04:05.000000-07:00")
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}
