package git

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const maxAdminFiles = 200_000

// config is the configuration of a work tree of ours. The bytes are kept, for
// seal to compare and restore.
func (r *Repo) config(url string) []byte {
	var b strings.Builder
	b.WriteString("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n")
	if url != "" {
		fmt.Fprintf(&b, "[remote \"origin\"]\n\turl = \"%s\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
			strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(url))
	}
	r.sealed = []byte(b.String())
	return r.sealed
}

// seal makes sure that the repository's own files cannot make git run
// anything or write anywhere else: the configuration is ours, nothing points
// to another repository, and there is no symbolic link.
func (o *objects) seal() error {
	info, err := os.Lstat(o.gitDir)
	if err != nil || !info.IsDir() {
		return fmt.Errorf("%s is no directory: %w", o.gitDir, ErrTampered)
	}
	files := 0
	err = filepath.WalkDir(o.gitDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if files++; files > maxAdminFiles {
			return fmt.Errorf("more than %d files: %w", maxAdminFiles, ErrTampered)
		}
		if !d.IsDir() && !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a plain file: %w", path, ErrTampered)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking at a repository: %w", err)
	}
	for _, name := range []string{"config.worktree", "commondir", "hooks", "info/attributes", "info/grafts",
		"objects/info/alternates", "objects/info/http-alternates"} {
		if err := os.RemoveAll(filepath.Join(o.gitDir, name)); err != nil {
			return fmt.Errorf("cleaning a repository: %w", err)
		}
	}
	path := filepath.Join(o.gitDir, "config")
	if found, err := os.ReadFile(path); err == nil && bytes.Equal(found, o.sealed) {
		return nil
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("restoring a repository's configuration: %w", err)
	}
	if err := os.WriteFile(path, o.sealed, 0o644); err != nil {
		return fmt.Errorf("restoring a repository's configuration: %w", err)
	}
	return nil
}
