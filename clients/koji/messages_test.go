package koji_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	id := submit(t, c, helloBuild)
	h.Settle()
	h.mu.Lock()
	var order []string
	for _, m := range h.messages {
		order = append(order, fmt.Sprint(strings.TrimPrefix(m.Topic, "org.fedoraproject.prod.buildsys."), " ", m.Body["old"], " ", m.Body["new"], " ", m.Body["tag"]))
	}
	h.mu.Unlock()
	if diff := cmp.Diff([]string{"build.state.change <nil> 0 <nil>", "build.state.change 0 1 <nil>", "tag <nil> <nil> f43-updates-candidate"}, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m := h.said("buildsys.build.state.change")[1]
	request, _ := m["request"].([]any)
	task, _ := m["task"].(map[string]any)
	if m["name"] != "hello" || m["owner"] != "packit" || m["task_id"] != float64(id) || len(request) != 3 || request[0] != helloBuild.Source ||
		request[1] != "f43-candidate" || task["method"] != "build" || m["instance"] != "primary" {
		t.Errorf("%v", m)
	}

	scratch := helloBuild
	scratch.Scratch = true
	id = submit(t, c, scratch)
	h.Settle()
	var states []string
	for _, m := range h.said("buildsys.task.state.change") {
		states = append(states, fmt.Sprint(m["old"], " ", m["new"], " ", m["id"] == float64(id), " ", m["method"], " ", m["owner"]))
	}
	if diff := cmp.Diff([]string{"<nil> FREE true build packit", "FREE ASSIGNED true build packit", "ASSIGNED OPEN true build packit",
		"OPEN CLOSED true build packit"}, states); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMessagesOfUploads(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	path, err := c.UploadSRPM(t.Context(), "cli-build/x", srpmName, bytes.NewReader([]byte("x")), 1)
	if err != nil {
		t.Fatal(err)
	}
	submit(t, c, koji.BuildRequest{Source: path, Target: "rawhide", Scratch: true})
	if got := h.said("buildsys.task.state.change"); len(got) != 1 || got[0]["srpm"] != srpmName {
		t.Errorf("%v", got)
	}
}

func TestMessagesMisbehave(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		faults kojifake.Faults
		early  int // messages before the submission was answered
		all    int
	}{
		"healthy": {kojifake.Faults{}, 1, 4},
		"lost":    {kojifake.Faults{LoseMessages: true}, 0, 0},
		"doubled": {kojifake.Faults{DoubleMessages: true}, 2, 8},
		"early":   {kojifake.Faults{EarlyMessages: true}, 3, 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, kojifake.Options{Manual: true})
			h.SetFaults(test.faults)
			scratch := helloBuild
			scratch.Scratch = true
			submit(t, h.as("packit"), scratch)
			early := h.said("buildsys.task.state.change")
			h.Settle()
			all := append(early, h.said("buildsys.task.state.change")...)
			if len(early) != test.early || len(all) != test.all {
				t.Errorf("%d of %d messages were early, want %d of %d", len(early), len(all), test.early, test.all)
			}
		})
	}
}

// What comes back from a hub is read without fear, whatever it is.
func FuzzTask(f *testing.F) {
	f.Add(`{"id":5,"method":"build","state":1,"owner":7,"create_ts":1.5,"request":["a","b",{"scratch":true}]}`)
	f.Add(`{"id":"5"}`)
	f.Add(`{"id":5,"method":"build","request":[1,2,3]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			t.Skip()
		}
		task, err := koji.ReadTask(value)
		if err != nil {
			return
		}
		if task.ID <= 0 || task.State.String() == "" {
			t.Errorf("%+v", task)
		}
		if r, ok := task.BuildRequest(); ok && r.Source == "" && len(task.Request) < 2 {
			t.Errorf("%s asked for %+v", strconv.FormatInt(task.ID, 10), r)
		}
	})
}
