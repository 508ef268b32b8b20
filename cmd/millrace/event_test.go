package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEventParse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, body string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	note := file("note.json", `{"request_id": "a-1", "token": "secret"}`)
	ping := file("ping.json", `{"zen": "x"}`)
	tag := file("tag.json", `{"topic": "org.fedoraproject.prod.buildsys.tag", "body": {"build_id": 5, "tag": "f43", "name": "a<b"}}`)
	broken := file("broken.json", `{"zen": `)

	tests := []struct {
		name   string
		args   []string
		status int
		want   map[string]any // of standard output
		says   string         // part of standard error
	}{
		{"event", []string{"parse", "--source", "testing-farm", "--type", "results", note}, 0, map[string]any{"kind": "test_result", "external_id": "a-1"}, ""},
		{"flags last", []string{"parse", note, "--source=testing-farm", "--type=results"}, 0, map[string]any{"kind": "test_result", "external_id": "a-1"}, ""},
		{"no event", []string{"parse", "--source", "github", "--type", "ping", ping}, 0, map[string]any{"kind": nil, "reason": "GitHub tries out the webhook"}, ""},
		{"in its envelope", []string{"parse", "--source", "bus", "--type", "org.fedoraproject.prod.buildsys.tag", tag}, 0,
			map[string]any{"kind": nil, "reason": "it does not name the package"}, ""},
		{"broken", []string{"parse", "--source", "github", "--type", "ping", broken}, 1, nil, "not well-formed"},
		{"no file", []string{"parse", "--source", "github", "--type", "ping", filepath.Join(dir, "none")}, 1, nil, "none"},
		{"unknown source", []string{"parse", "--source", "pigeon", "--type", "ping", ping}, 2, nil, "Usage"},
		{"no type", []string{"parse", "--source", "github", ping}, 2, nil, "Usage"},
		{"two files", []string{"parse", "--source", "github", "--type", "ping", ping, ping}, 2, nil, "Usage"},
		{"unknown flag", []string{"parse", "--color", ping}, 2, nil, "color"},
		{"no verb", nil, 2, nil, "Usage"},
		{"help", []string{"--help"}, 0, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			if status := run(append([]string{"event"}, tt.args...), &stdout, &stderr); status != tt.status {
				t.Errorf("status %d, want %d; it said %s", status, tt.status, stderr.String())
			}
			if !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("it said %q, want a part %q", stderr.String(), tt.says)
			}
			if tt.want == nil {
				return
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}
