package sources

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"millrace/models/specfile"
)

// tree is a directory that strangers write to. Paths are relative and use
// slashes; a path that leads out of the tree, by symbolic links too, is an
// error.
type tree struct {
	root *os.Root
	dir  string // absolute, without symbolic links on the way
}

func openTree(dir string) (*tree, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &tree{root, dir}, nil
}

func (t *tree) close() { t.root.Close() }

// abs is the path on this machine, for commands.
func (t *tree) abs(name string) string { return filepath.Join(t.dir, filepath.FromSlash(name)) }

// rel makes a path that a command printed relative to the tree. base is where
// it ran.
func (t *tree) rel(base, printed string) (string, bool) {
	if !filepath.IsAbs(printed) {
		printed = t.abs(path.Join(base, filepath.ToSlash(printed)))
	}
	name, err := filepath.Rel(t.dir, filepath.Clean(printed))
	if err != nil || !filepath.IsLocal(name) {
		return "", false
	}
	return filepath.ToSlash(name), true
}

func (t *tree) isFile(name string) bool {
	info, err := t.root.Stat(filepath.FromSlash(name))
	return err == nil && info.Mode().IsRegular()
}

const maxSources = 4 << 30

var errTooMuch = errors.New("all sources together are larger than allowed")

var errNotRegular = errors.New("it is not a regular file")

// open opens a regular file for reading.
func (t *tree) open(name string) (*os.File, error) {
	// Opening a pipe would wait for somebody to write to it.
	f, err := t.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// read returns the whole of a file of at most limit bytes.
func (t *tree) read(name string, limit int64) ([]byte, error) {
	f, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return b, nil
}

// write replaces what is in a file, which keeps its mode. A symbolic link to a
// file in the tree is followed.
func (t *tree) write(name string, content []byte) error {
	f, err := t.create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// create opens a file for writing that is regular or does not exist yet.
func (t *tree) create(name string) (*os.File, error) {
	name = filepath.FromSlash(name)
	if info, err := t.root.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NONBLOCK, 0o644)
}

// copyTo copies a file of at most limit bytes into another tree, and returns
// its size.
func (t *tree) copyTo(name string, to *tree, newName string, limit int64) (int64, error) {
	from, err := t.open(name)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	f, err := to.create(newName)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, io.LimitReader(from, limit+1))
	if n > limit {
		err = errTooMuch
	}
	return n, errors.Join(err, f.Close())
}

// readSpec parses the spec file at name.
func (t *tree) readSpec(name string) (*specfile.File, error) {
	b, err := t.read(name, specfile.MaxSize)
	if err != nil {
		return nil, unreadable(name, err)
	}
	file, err := specfile.Parse(b)
	if err != nil {
		return nil, unreadable(name, err)
	}
	return file, nil
}

// unreadable is the user's mistake behind an error of a tree, or err itself if
// it is this machine's.
func unreadable(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return userError("The file %s does not exist in the repository.", name)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("opening %s: %w", name, err)
	case strings.Contains(err.Error(), "escapes from parent"):
		return userError("The path %s leads out of the repository.", name)
	}
	return &UserError{Message: fmt.Sprintf("The file %s cannot be used:", name), Err: err}
}

// isBaseName reports whether name can be a file directly in a directory.
func isBaseName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) < 256 && !strings.ContainsAny(name, "/\x00\n")
}
