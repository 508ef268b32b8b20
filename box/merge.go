package box

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"millrace/clients/git"
)

// conflicts lists the files in which two revisions contradict each other.
func (b *Box) conflicts(ctx context.Context, repo, ours, theirs string) ([]string, error) {
	for _, rev := range []string{ours, theirs} {
		if err := git.CheckRevision(rev); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "--git-dir="+b.path("forge", "git", strings.ToLower(repo)+".git"),
		"merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.ExitCode() == 1 {
		names := strings.Split(strings.Trim(out.String(), "\x00"), "\x00")
		return names[1:], nil // behind the tree
	}
	if err != nil {
		return nil, fmt.Errorf("merging %s in %s: %w: %s", theirs, repo, err, strings.TrimSpace(said.String()))
	}
	return nil, nil
}
