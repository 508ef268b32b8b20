package lookaside

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"millrace/clients/httpx"
)

// hashers are the kinds of sums. The weak ones are for old entries.
var hashers = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// FileEntry computes the entry, with a SHA512 sum, of a file on this machine,
// under the name of the file itself.
func FileEntry(ctx context.Context, path string) (Entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return Entry{}, fmt.Errorf("reading a source: %w", err)
	}
	defer file.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, &whileAlive{ctx, file}); err != nil {
		return Entry{}, fmt.Errorf("reading a source: %w", err)
	}
	e := Entry{Name: filepath.Base(path), HashType: "sha512", Hash: hex.EncodeToString(sum.Sum(nil))}
	return e, e.check()
}

// whileAlive reads as long as ctx lasts.
type whileAlive struct {
	ctx context.Context
	r   io.Reader
}

func (w *whileAlive) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}

var (
	// ErrChanged is matched when a file is no longer what its entry says.
	ErrChanged = errors.New("the file is not what its sum says")
	// ErrWrongSum is matched when the cache sent all of a file, and it is not
	// what its sum says.
	ErrWrongSum = errors.New("the lookaside cache sent something else than was asked for")
)

// Upload sends a file of a package to the cache under the name and sum of e. It
// may be there already. progress, if not nil, is called with how many bytes of
// how many have been sent, from another goroutine.
//
// What breaks on the way, the cache having got less than was sent included, is
// an error that is temporary: the same upload can be tried again.
func (c *Client) Upload(ctx context.Context, pkg string, e Entry, path string, progress func(sent, size int64)) error {
	if err := errors.Join(checkPackage(pkg), e.check()); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening a source: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("opening a source: %w", err)
	}
	fields := [][2]string{{"name", pkg}, {e.HashType + "sum", e.Hash}, {"mtime", strconv.FormatInt(info.ModTime().Unix(), 10)}}
	before, after, contentType, err := around(fields, e.Name)
	if err != nil {
		return err
	}
	ctx, moved, stop := c.watch(ctx)
	defer stop()
	sum, sent := hashers[e.HashType](), int64(0)
	content := moving{io.TeeReader(io.LimitReader(file, info.Size()), sum), func(n int) {
		moved()
		sent += int64(n)
		if progress != nil {
			progress(sent, info.Size())
		}
	}}
	// The transport closes what it sends once it no longer reads from it.
	body := &closing{Reader: io.MultiReader(before, content, after), closed: make(chan struct{})}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.uploadURL(), body)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.ContentLength = int64(before.Len()) + info.Size() + int64(after.Len())
	req.Header.Set("Content-Type", contentType)
	// So that a refusal comes before gigabytes are sent.
	req.Header.Set("Expect", "100-continue")
	if err := c.authorize(ctx, req); err != nil {
		return err
	}
	var said []byte
	err = stalled(ctx, c.patient().Do(ctx, "file.upload", req, &said))
	<-body.closed
	if sent == info.Size() && hex.EncodeToString(sum.Sum(nil)) != e.Hash {
		return fmt.Errorf("uploading %s of %s: %w", e.Name, pkg, ErrChanged)
	}
	return c.uploaded(pkg, e, said, err)
}

// closing tells when it is no longer read: nothing is after closed is.
type closing struct {
	io.Reader
	closed chan struct{}

	mu   sync.Mutex
	over bool
}

func (c *closing) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return 0, os.ErrClosed
	}
	return c.Reader.Read(p)
}

func (c *closing) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over = true
		close(c.closed)
	}
	return nil
}

// uploaded judges the answer to an upload.
func (c *Client) uploaded(pkg string, e Entry, said []byte, err error) error {
	refusal, refused := errors.AsType[*Error](err)
	switch text := strings.TrimSpace(string(said)); {
	case refused && refusal.Status == http.StatusBadRequest && strings.Contains(refusal.Message, "check failed"):
		// We sent the right bytes, and they did not all arrive.
		return fmt.Errorf("uploading %s of %s: %w", e.Name, pkg,
			&Error{Service: refusal.Service, Method: refusal.Method, URL: refusal.URL, Message: refusal.Message, Err: errors.New("the file did not arrive whole")})
	case err != nil:
		return fmt.Errorf("uploading %s of %s: %w", e.Name, pkg, err)
	case strings.Contains(text, "stored OK") || strings.Contains(text, "already exists"):
		return nil
	default:
		return fmt.Errorf("uploading %s of %s: the cache says %.200q", e.Name, pkg, httpx.Clean(text, 200))
	}
}

// around is what stands before and behind a file in a form.
func around(fields [][2]string, name string) (before, after *bytes.Reader, contentType string, err error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	if err := writeFields(form, fields); err != nil {
		return nil, nil, "", err
	}
	if _, err := form.CreateFormFile("file", name); err != nil {
		return nil, nil, "", fmt.Errorf("writing the form: %w", err)
	}
	head := bytes.Clone(b.Bytes())
	b.Reset()
	if err := form.Close(); err != nil {
		return nil, nil, "", fmt.Errorf("writing the form: %w", err)
	}
	return bytes.NewReader(head), bytes.NewReader(b.Bytes()), form.FormDataContentType(), nil
}

// Download brings a file of a package to path, which is only written to if the
// file is whole and has its sum.
func (c *Client) Download(ctx context.Context, pkg string, e Entry, path string) error {
	if err := errors.Join(checkPackage(pkg), e.check()); err != nil {
		return err
	}
	err := c.download(ctx, c.URL(pkg, e), e, path)
	if httpx.Status(err) == http.StatusNotFound && e.HashType == "md5" {
		err = c.download(ctx, c.oldURL(pkg, e), e, path)
	}
	if err != nil {
		return fmt.Errorf("downloading %s of %s: %w", e.Name, pkg, err)
	}
	return nil
}

func (c *Client) download(ctx context.Context, address string, e Entry, path string) (err error) {
	ctx, moved, stop := c.watch(ctx)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	res, err := c.patient().Open(ctx, "file.download", req)
	if err != nil {
		return stalled(ctx, err)
	}
	defer res.Body.Close()
	file, err := os.CreateTemp(filepath.Dir(path), ".download-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // it is not there any longer if all went well
	defer file.Close()
	limit := c.MaxFile
	if limit == 0 {
		limit = 8 << 30
	}
	sum := hashers[e.HashType]()
	n, err := io.Copy(io.MultiWriter(file, sum), moving{io.LimitReader(res.Body, limit+1), func(int) { moved() }})
	if _, local := errors.AsType[*fs.PathError](err); local {
		return err // the disk is full, or the like
	}
	switch {
	case err != nil:
		return stalled(ctx, &Error{Service: "lookaside", Method: req.Method, URL: req.URL.Path, Err: fmt.Errorf("after %d bytes: %w", n, err)})
	case n > limit:
		return httpx.ErrTooLarge
	case hex.EncodeToString(sum.Sum(nil)) != e.Hash:
		return ErrWrongSum
	}
	if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
