package kojifake

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"millrace/clients/koji"
)

// userFile has the number of who made a directory for uploads.
const userFile = ".user"

// uploadPath is where a file goes, below the Fake's directory.
func uploadPath(dir, name string) (string, error) {
	if strings.Contains(name, "/") || strings.HasPrefix(name, ".") || name == "" {
		return "", fault(koji.GenericFault, "Invalid upload filename: "+name)
	}
	clean := path.Clean(dir)
	if dir == "" || strings.HasPrefix(clean, "..") || path.IsAbs(clean) {
		return "", fault(koji.GenericFault, "Invalid upload directory: "+dir)
	}
	if strings.HasPrefix(clean+"/", "tasks/") {
		return "", fault(koji.DeniedFault, "only builders may write there")
	}
	return path.Join("work", clean, name), nil
}

// verifier is the checksum of a name; nil if none is wanted.
func verifier(name string) (hash.Hash, error) {
	switch name {
	case "":
		return nil, nil
	case "adler32":
		return adler32.New(), nil
	case "md5":
		return md5.New(), nil
	case "sha256":
		return sha256.New(), nil
	}
	return nil, fault(koji.GenericFault, "Unsupported verify type: "+name)
}

// upload writes a chunk. The lock is held.
func (f *Fake) upload(s *session, query url.Values, chunk []byte) (any, error) {
	if s == nil {
		return nil, fault(koji.DeniedFault, "you must be logged-in to upload a file")
	}
	dir, name, verify := query.Get("filepath"), query.Get("filename"), query.Get("fileverify")
	target, err := uploadPath(dir, name)
	if err != nil {
		return nil, err
	}
	sum, err := verifier(verify)
	if err != nil {
		return nil, err
	}
	offset, err := strconv.ParseInt(query.Get("offset"), 10, 64)
	if err != nil || offset < -1 {
		return nil, fault(1, "<class 'ValueError'>: invalid offset")
	}
	if err := f.claim(path.Dir(target), dir, f.user(s.user).ID); err != nil {
		return nil, err
	}
	overwrite := query.Get("overwrite") != ""
	if _, err := f.root.Lstat(target); err == nil && offset == 0 && !overwrite {
		return nil, fault(koji.GenericFault, "upload path exists: "+target)
	}
	offset, err = f.writeChunk(target, offset, overwrite, chunk)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"size": int64(len(chunk)), "fileverify": verify, "offset": offset}
	if sum != nil {
		sum.Write(chunk)
		out["hexdigest"] = hex.EncodeToString(sum.Sum(nil))
	}
	return out, nil
}

// claim makes a directory whose owner is a user, or checks that it is.
func (f *Fake) claim(dir, asked string, user int64) error {
	if err := f.root.MkdirAll(dir, 0o755); err != nil {
		return fault(1, "<class 'OSError'>: "+err.Error())
	}
	id := strconv.FormatInt(user, 10)
	owner, err := f.root.ReadFile(path.Join(dir, userFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = f.root.WriteFile(path.Join(dir, userFile), []byte(id), 0o644)
	case err == nil && string(owner) != id:
		return fault(koji.GenericFault, "Invalid upload directory, not owner: "+asked)
	}
	if err != nil {
		return fault(1, "<class 'OSError'>: "+err.Error())
	}
	return nil
}

func (f *Fake) writeChunk(target string, offset int64, overwrite bool, chunk []byte) (at int64, err error) {
	file, err := f.root.OpenFile(target, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return 0, fault(1, "<class 'OSError'>: "+err.Error())
	}
	defer file.Close()
	if offset == -1 {
		offset, err = file.Seek(0, io.SeekEnd)
	} else if overwrite {
		err = file.Truncate(offset)
	}
	if err == nil {
		_, err = file.WriteAt(chunk, offset)
	}
	if err != nil {
		return 0, fault(1, "<class 'OSError'>: "+err.Error())
	}
	end, err := file.Seek(0, io.SeekEnd)
	if expected := offset + int64(len(chunk)); err == nil && !overwrite && end != expected {
		return 0, fault(koji.GenericFault, fmt.Sprintf("Incorrect upload length for %s - Expected %d, actual %d", target, expected, end))
	}
	return offset, nil
}

func (f *Fake) checkUpload(c *call) (any, error) {
	target, err := uploadPath(c.text("path"), c.text("name"))
	if err := cmpErr(c.err, err); err != nil {
		return nil, err
	}
	sum, err := verifier(c.text("verify"))
	if err != nil {
		return nil, err
	}
	file, err := f.root.Open(target)
	if err != nil {
		return nil, nil // there is none
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fault(koji.GenericFault, "Not a regular file: "+target)
	}
	out := map[string]any{"size": info.Size(), "mtime": float64(info.ModTime().UnixMicro()) / 1e6}
	if sum != nil {
		n, err := io.Copy(sum, file)
		if err != nil {
			return nil, fault(1, "<class 'OSError'>: "+err.Error())
		}
		out["sumlength"], out["hexdigest"] = n, hex.EncodeToString(sum.Sum(nil))
	}
	return out, nil
}
