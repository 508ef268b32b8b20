package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/models"
)

// programPatience is how long fetching the program may take.
const programPatience = 20 * time.Minute

// program serves this very program, or one that ran here before, so that a build
// machine elsewhere makes source packages as this service would. Its hash is in the address: whoever
// has that knows what it gets.
func (s *Server) program(w http.ResponseWriter, r *http.Request) error {
	file, hash, err := s.programFile()
	if err != nil {
		return err
	}
	if asked := param(r, "sha256"); asked != hash {
		file.Close()
		if file, err = s.Programs.open(asked); errors.Is(err, fs.ErrNotExist) {
			return &refusal{status: http.StatusNotFound, detail: "This service runs another version of the program by now, and does not keep that one."}
		}
		if err != nil {
			return fmt.Errorf("opening a kept program: %w", err)
		}
		hash = asked
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("measuring the program: %w", err)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(programPatience)) // only connections have deadlines
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Etag", `"`+hash+`"`)
	http.ServeContent(w, r, "", info.ModTime(), file)
	return nil
}

var programHash struct {
	mu   sync.Mutex // above what is known of files by their names
	sums map[string]programSum
}

type programSum struct {
	hash string
	info os.FileInfo
}

// ProgramHash is the SHA-256, in hexadecimal, of what /srpm-tool serves.
func (s *Server) ProgramHash() (string, error) {
	file, hash, err := s.programFile()
	if err != nil {
		return "", err
	}
	return hash, file.Close()
}

// programFile opens the program. The running one is opened as the kernel knows
// it, so that an upgrade on disk does not change what is served.
func (s *Server) programFile() (*os.File, string, error) {
	name := s.Program
	if name == "" {
		name = "/proc/self/exe"
		if _, err := os.Stat(name); err != nil {
			if name, err = os.Executable(); err != nil {
				return nil, "", fmt.Errorf("finding the program: %w", err)
			}
		}
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, "", fmt.Errorf("opening the program: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, "", fmt.Errorf("measuring the program: %w", err)
	}
	programHash.mu.Lock()
	defer programHash.mu.Unlock()
	known, ok := programHash.sums[name]
	if ok && os.SameFile(known.info, info) && known.info.Size() == info.Size() && known.info.ModTime().Equal(info.ModTime()) {
		return file, known.hash, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		file.Close()
		return nil, "", fmt.Errorf("reading the program: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		file.Close()
		return nil, "", fmt.Errorf("reading the program: %w", err)
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	if programHash.sums == nil {
		programHash.sums = make(map[string]programSum)
	}
	programHash.sums[name] = programSum{hash, info}
	return file, hash, nil
}

// sourcePackage leads Copr to the source package that a run of ours made. The
// key of the submission stands in the address so that Copr's record of a build
// tells which submission it was; it has to be the right one.
func (s *Server) sourcePackage(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(param(r, "run"), 10, 64)
	if err != nil || id <= 0 {
		return models.ErrNotFound
	}
	run, err := s.Store.Run(r.Context(), id)
	if err != nil {
		return err
	}
	known, err := s.Store.Submitted(r.Context(), run.ID, param(r, "key"))
	if err != nil {
		return err
	}
	to, ok := webAddress(run.Data.SRPMURL)
	if !known || !ok {
		return models.ErrNotFound
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, to, http.StatusFound)
	return nil
}

// webAddress returns an address if a browser may be sent there.
func webAddress(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") || strings.ContainsAny(raw, "\r\n\\") {
		return "", false
	}
	return u.String(), true
}
