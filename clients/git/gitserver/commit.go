package gitserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"millrace/clients/git"
)

// Change is a commit to be made on a branch.
type Change struct {
	Branch  string
	Start   string // the commit before it; empty for none
	Message string
	Author  string            // a login
	Files   map[string]string // path and new text; "#!" makes it executable
	Remove  []string
	At      time.Time
}

// Commit makes a commit in the bare repository in dir, and moves its branch
// there.
func Commit(ctx context.Context, dir string, c Change) error {
	stream, err := c.stream()
	if err != nil {
		return err
	}
	_, err = Run(ctx, dir, stream, "fast-import", "--quiet", "--force", "--date-format=raw")
	return err
}

// Identity is the name and address of a login, as commits have them.
func Identity(login string) string {
	return fmt.Sprintf("%s <%s@example.org>", login, strings.ReplaceAll(login, " ", "."))
}

// stream is the change in the words of git-fast-import(1).
func (c Change) stream() (io.Reader, error) {
	if err := git.CheckRef("refs/heads/" + c.Branch); err != nil {
		return nil, err
	}
	if strings.ContainsAny(c.Author, "<>\n\x00") {
		return nil, fmt.Errorf("author %q: %w", c.Author, git.ErrBadName)
	}
	var b bytes.Buffer
	who := fmt.Sprintf("%s %d +0000", Identity(c.Author), c.At.Unix())
	fmt.Fprintf(&b, "commit refs/heads/%s\nauthor %s\ncommitter %s\ndata %d\n%s\n", c.Branch, who, who, len(c.Message), c.Message)
	if c.Start != "" {
		fmt.Fprintf(&b, "from %s\n", c.Start)
	}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		if err := checkPath(path); err != nil {
			return nil, err
		}
		text, mode := c.Files[path], "100644"
		if strings.HasPrefix(text, "#!") {
			mode = "100755"
		}
		fmt.Fprintf(&b, "M %s inline %s\ndata %d\n%s\n", mode, path, len(text), text)
	}
	for _, path := range c.Remove {
		if err := checkPath(path); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "D %s\n", path)
	}
	b.WriteString("done\n")
	return &b, nil
}

func checkPath(path string) error {
	if strings.HasPrefix(path, `"`) {
		return fmt.Errorf("path %q: %w", path, git.ErrBadName)
	}
	return git.CheckPath(path)
}
