// Package lookasidefake is a small lookaside cache: dist-git's upload.cgi and the
// files below it, kept in a directory. It checks sums as the real one does.
package lookasidefake

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/clients/fault"
)

// Config says what a cache is. Dir is needed.
type Config struct {
	Dir    string            // of the files
	Prefix string            // of all addresses; empty means "/repo/pkgs"
	Users  map[string]string // tokens of HTTP's Negotiate scheme, and whose they are
	// Packager reports whether a user may upload; nil: all may.
	Packager func(user string) bool
	// Known reports whether there is a package of that name, such as
	// "rpms/hello"; nil: there are all.
	Known func(pkg string) bool
	// Publish sends a message to the bus, with its full topic, before the upload
	// is answered.
	Publish func(topic string, body []byte)
}

// Server is a cache, an http.Handler and safe for concurrent use. Misbehave, of
// its Faults, spoils single requests.
type Server struct {
	fault.Faults
	config Config

	mu    sync.Mutex
	moves Moves
}

// Moves is how the transfer of files goes wrong. The zero value is none.
type Moves struct {
	CutUpload   int64 // bytes of an upload after which the connection breaks
	CutDownload int64 // bytes of a download after which it does
	// Pause is before each piece of a file. An upload notices only after it that
	// its sender has gone.
	Pause time.Duration
	Spoil bool // downloads have other bytes than were uploaded
}

// New opens the cache that is kept in config.Dir, or begins one.
func New(config Config) (*Server, error) {
	if config.Dir == "" {
		return nil, errors.New("a lookaside cache needs a directory")
	}
	if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening a lookaside cache: %w", err)
	}
	if config.Prefix == "" {
		config.Prefix = "/repo/pkgs"
	}
	return &Server{config: config}, nil
}

// SetMoves changes how transfers go wrong from now on.
func (s *Server) SetMoves(m Moves) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moves = m
}

func (s *Server) howItMoves() Moves {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moves
}

// ServeHTTP takes uploads and sends files.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Serve(w, r, func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, s.config.Prefix+"/")
		switch {
		case ok && path == "upload.cgi":
			s.upload(w, r)
		case ok:
			s.download(w, r, path)
		default:
			http.NotFound(w, r)
		}
	})
}

var (
	packageName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9+._-]*(/[A-Za-z0-9_][A-Za-z0-9+._-]*)*$`)
	fileName    = regexp.MustCompile(`^[^/\x00-\x20\x7f]{1,255}$`)
	hexadecimal = regexp.MustCompile(`^[0-9a-f]{32,128}$`)
)

// upload is what upload.cgi does behind the proxy that asks who it is.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Negotiate ")
	user, known := s.config.Users[token]
	if !known {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		refuse(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	if s.config.Packager != nil && !s.config.Packager(user) {
		refuse(w, http.StatusForbidden, "You must be in the packager group to upload.")
		return
	}
	moves := s.howItMoves()
	r.Body = struct {
		io.Reader
		io.Closer
	}{&slow{r: r.Body, pause: moves.Pause, cut: moves.CutUpload, done: r.Context().Done()}, r.Body}
	reader, err := r.MultipartReader()
	if err != nil {
		refuse(w, http.StatusBadRequest, "Required field \"name\" is not present.")
		return
	}
	u := &upload{server: s, user: user, fields: make(map[string]string)}
	defer u.clean()
	if err := u.read(reader); err != nil {
		if errors.Is(err, errCut) {
			panic(http.ErrAbortHandler) // net/http's way to break a connection
		}
		refuse(w, http.StatusInternalServerError, "Could not read the upload.")
		return
	}
	u.answer(w)
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	fmt.Fprintf(w, format+"\n", args...)
}

// upload is one call of upload.cgi.
type upload struct {
	server *Server
	user   string
	fields map[string]string

	name    string // of the file that was sent
	file    *os.File
	size    int64
	sha, md hash.Hash
}

const maxField = 64 << 10

// read takes the form to pieces. A file goes to the disk.
func (u *upload) read(form *multipart.Reader) error {
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if part.FormName() != "file" {
			text, err := io.ReadAll(io.LimitReader(part, maxField))
			if err != nil {
				return err
			}
			u.fields[part.FormName()] = string(text)
			continue
		}
		if u.file, err = os.CreateTemp(u.server.config.Dir, ".upload-*"); err != nil {
			return err
		}
		u.name, u.sha, u.md = part.FileName(), sha512.New(), md5.New()
		if u.size, err = io.Copy(io.MultiWriter(u.file, u.sha, u.md), part); err != nil {
			return err
		}
	}
}

func (u *upload) clean() {
	if u.file != nil {
		u.file.Close()
		os.Remove(u.file.Name())
	}
}

// answer checks what came in the order of the real one, and keeps it.
func (u *upload) answer(w http.ResponseWriter) {
	pkg, check := u.fields["name"], false
	kind, sum := "sha512", strings.ToLower(u.fields["sha512sum"])
	if sum == "" {
		kind, sum = "md5", strings.ToLower(u.fields["md5sum"])
	}
	if name, ok := u.fields["filename"]; ok && u.file == nil {
		u.name, check = name, true
	}
	if pkg != "" && !strings.Contains(pkg, "/") {
		pkg = "rpms/" + pkg
	}
	switch {
	case pkg == "":
		refuse(w, http.StatusBadRequest, "Required field %q is not present.", "name")
		return
	case sum == "":
		refuse(w, http.StatusBadRequest, "Required checksum is not present")
		return
	case u.name == "":
		refuse(w, http.StatusBadRequest, "Required field %q is not present.", "file")
		return
	case !packageName.MatchString(pkg) || !fileName.MatchString(u.name) || strings.Trim(u.name, ".") == "" || !hexadecimal.MatchString(sum):
		refuse(w, http.StatusBadRequest, "Invalid name or checksum")
		return
	case u.server.config.Known != nil && !u.server.config.Known(pkg):
		refuse(w, http.StatusNotFound, "Module %q does not exist!", pkg)
		return
	case kind == "md5" && !check:
		refuse(w, http.StatusNotAcceptable, "Uploads with md5 are no longer allowed.")
		return
	}
	u.keep(w, pkg, kind, sum, check)
}

func (u *upload) keep(w http.ResponseWriter, pkg, kind, sum string, check bool) {
	dir := filepath.Join(u.server.config.Dir, filepath.FromSlash(pkg), u.name, kind, sum)
	dest := filepath.Join(dir, u.name)
	info, err := os.Stat(dest)
	switch {
	case err == nil && check:
		refuse(w, http.StatusOK, "Available")
		return
	case err == nil:
		refuse(w, http.StatusOK, "File %s already exists\nFile: %s Size: %d", u.name, dest, info.Size())
		return
	case check:
		refuse(w, http.StatusOK, "Missing")
		return
	}
	if got := hex.EncodeToString(u.sha.Sum(nil)); got != sum {
		refuse(w, http.StatusBadRequest, "SHA512 check failed. Received %s instead of %s.", got, sum)
		return
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), u.file.Chmod(0o644), os.Rename(u.file.Name(), dest)); err != nil {
		refuse(w, http.StatusInternalServerError, "Could not store the file.")
		return
	}
	if seconds, err := strconv.ParseInt(u.fields["mtime"], 10, 64); err == nil {
		// As at the real one, it does not matter if the time cannot be set.
		_ = os.Chtimes(dest, time.Unix(seconds, 0), time.Unix(seconds, 0))
	}
	u.tell(pkg, sum)
	refuse(w, http.StatusOK, "File %s size %d SHA512 %s stored OK", u.name, u.size, sum)
}

// tell sends the message about a new file, whose key for the sum is md5sum
// whatever it is.
func (u *upload) tell(pkg, sum string) {
	if u.server.config.Publish == nil {
		return
	}
	body, err := json.Marshal(map[string]string{
		"name": pkg, "md5sum": sum, "filename": u.name, "agent": u.user, "path": pkg + "/" + u.name + "/sha512/" + sum + "/" + u.name,
	})
	if err == nil {
		u.server.config.Publish("org.fedoraproject.prod.git.lookaside.new", body)
	}
}

// download sends a file.
func (s *Server) download(w http.ResponseWriter, r *http.Request, path string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	root, err := os.OpenRoot(s.config.Dir)
	if err != nil {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	defer root.Close()
	file, err := root.Open(path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	if r.Method == http.MethodHead {
		return
	}
	moves := s.howItMoves()
	var from io.Reader = &slow{r: file, pause: moves.Pause, cut: moves.CutDownload, done: r.Context().Done()}
	if moves.Spoil {
		from = io.LimitReader(endless('x'), info.Size())
	}
	if _, err := io.Copy(w, from); errors.Is(err, errCut) {
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
}

var errCut = errors.New("the connection was cut")

// slow reads in small pieces, and breaks in the middle if it is told to.
type slow struct {
	r     io.Reader
	pause time.Duration
	cut   int64 // bytes; none if zero
	read  int64
	done  <-chan struct{}
}

func (s *slow) Read(p []byte) (int, error) {
	if s.pause > 0 {
		select {
		case <-time.After(s.pause):
		case <-s.done:
			return 0, errCut
		}
	}
	if s.cut > 0 {
		if s.read >= s.cut {
			return 0, errCut
		}
		p = p[:min(int64(len(p)), s.cut-s.read)]
	}
	n, err := s.r.Read(p)
	s.read += int64(n)
	return n, err
}

// endless is a reader of one byte, again and again.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}
