package main

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

var pipelineLine = regexp.MustCompile(`(?m)^[0-9]+ (passed|failed|canceled) (release|push|upstream) (packit/hello-world|rpms/[a-z-]+) \S+$`)

// TestReleaseStories plays the stories of releases with the program as users have
// it: dist-git, Koji and Bodhi in the box, the service beside them.
func TestReleaseStories(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	program := buildProgram(t)
	for story, pipelines := range map[string]int{
		"release-to-stable": 10, "branch-conflicts": 8, "koji-fails": 11, "koji-message-lost": 10, "upload-breaks": 1, "without-config": 4, "side-tag": 3, "rights-lost": 3,
	} {
		t.Run(story, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
			defer cancel()
			var problems strings.Builder
			command := exec.CommandContext(ctx, program, "demo", "--port", "0", "--dir", t.TempDir(), "--play", story)
			command.Stderr = &problems
			out, err := command.Output()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, problems.String())
			}
			if found := pipelineLine.FindAllString(string(out), -1); len(found) != pipelines {
				t.Errorf("%d pipelines, want %d:\n%s", len(found), pipelines, out)
			}
		})
	}
}
