package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/clients/fedmsg/rabbittest"
	"millrace/models/store"
)

var pipelineLine = regexp.MustCompile(`(?m)^[0-9]+ (passed|failed|canceled) (release|push|upstream) (packit/hello-world|rpms/[a-z-]+) \S+$`)

// TestReleaseStories plays the stories of releases with the program as users have
// it: dist-git, Koji and Bodhi in the box, the service beside them.
func TestReleaseStories(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	program := buildProgram(t)
	pipelines := map[string]int{
		"release-to-stable": 10, "branch-conflicts": 8, "koji-fails": 11, "koji-message-lost": 10, "upload-breaks": 1, "without-config": 4, "side-tag": 3, "rights-lost": 3,
	}
	play := func(t *testing.T, story string, more ...string) {
		t.Parallel()
		out := playStory(t, program, story, append([]string{"--dir", t.TempDir()}, more...)...)
		if found := pipelineLine.FindAllString(out, -1); len(found) != pipelines[story] {
			t.Errorf("%d pipelines, want %d:\n%s", len(found), pipelines[story], out)
		}
	}
	for story := range pipelines {
		t.Run(story, func(t *testing.T) { play(t, story) })
	}
	for _, story := range []string{"release-to-stable", "without-config", "rights-lost"} {
		t.Run(story+" on forgejo", func(t *testing.T) { play(t, story, "--packages", "forgejo") })
	}
}

// playStory returns what is printed while a story is played to its end.
func playStory(t *testing.T, program, story string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	var problems strings.Builder
	command := exec.CommandContext(ctx, program, append([]string{"demo", "--port", "0", "--play", story}, args...)...)
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, problems.String())
	}
	return string(out)
}

// TestStoryOverRabbitMQ plays a story whose messages the service takes from a
// broker, as in production.
func TestStoryOverRabbitMQ(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a broker")
	}
	rabbittest.Need(t)
	t.Parallel()
	// Not t.TempDir: see rabbittest.
	dir, err := os.MkdirTemp("", "rabbit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	out := playStory(t, buildProgram(t), "release-to-stable", "--dir", dir, "--bus", "rabbitmq")
	if found := pipelineLine.FindAllString(out, -1); len(found) != 10 || !strings.Contains(out, "its message bus is RabbitMQ") {
		t.Errorf("%d pipelines, want 10:\n%s", len(found), out)
	}
	s, err := store.Open(t.Context(), filepath.Join(dir, "millrace.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var heard int
	if err := s.Writer().NewRaw("SELECT count(*) FROM deliveries WHERE source = 'bus'").Scan(t.Context(), &heard); err != nil || heard == 0 {
		t.Errorf("%d messages came from the bus, %v", heard, err)
	}
}
