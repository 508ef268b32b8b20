package coprfake

import (
	"io/fs"
	"path"
)

// subFS is a directory of a file system. Unlike fs.Sub's, it need not be
// checked for errors when it is made for each request.
type subFS struct {
	fs  fs.FS
	dir string
}

func (s subFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return s.fs.Open(path.Join(s.dir, name))
}
