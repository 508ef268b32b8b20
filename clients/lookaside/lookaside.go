// Package lookaside is a client of the cache in which dist-git keeps the files
// of packages that are too large for git, and knows the file "sources" that
// names them. It speaks the protocol of dist-git's upload.cgi
// (https://github.com/release-engineering/dist-git).
package lookaside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millrace/clients/forge"
	"millrace/clients/httpx"
)

// Fedora's cache, and the one of CentOS Stream, which is for downloads only.
const (
	DefaultURL       = "https://src.fedoraproject.org/repo/pkgs"
	DefaultStreamURL = "https://sources.stream.centos.org/sources"
)

// Client calls one cache. No method repeats a call.
type Client struct {
	BaseURL string // without a slash at the end; empty means DefaultURL
	// UploadURL is where files are sent to; empty means "upload.cgi" below
	// BaseURL.
	UploadURL string
	// Negotiate makes the token of HTTP's Negotiate scheme (a Kerberos ticket in
	// SPNEGO, in base64) for a host. Without it nothing can be uploaded to
	// Fedora's cache.
	Negotiate func(ctx context.Context, host string) (token string, err error)
	// HTTP makes the calls; nil means one of ours. Its Timeout counts for
	// questions, not for files.
	HTTP *http.Client

	// Stall is how long nothing may move while a file is sent or received, or
	// while the cache checks what it got, before the call ends; two minutes if
	// zero. There is no other limit of time but that of the context.
	Stall time.Duration
	// MaxFile is how large a download may be, in bytes; 8 GiB if zero.
	MaxFile int64
}

// Error is a call that did not work, and whether it may work later.
type Error = httpx.Error

func (c *Client) base() string {
	if c.BaseURL == "" {
		return DefaultURL
	}
	return strings.TrimSuffix(c.BaseURL, "/")
}

func (c *Client) uploadURL() string {
	if c.UploadURL == "" {
		return c.base() + "/upload.cgi"
	}
	return c.UploadURL
}

func checkPackage(name string) error {
	for part := range strings.SplitSeq(name, "/") {
		if !forge.Name(part) {
			return fmt.Errorf("%.100q is not the name of a package", name)
		}
	}
	return nil
}

// URL is where a file of a package, such as "rpms/hello", is downloaded.
func (c *Client) URL(pkg string, e Entry) string {
	file := url.PathEscape(e.Name)
	return c.base() + "/" + pkg + "/" + file + "/" + e.HashType + "/" + e.Hash + "/" + file
}

// oldURL is where files are that were uploaded when there was only MD5.
func (c *Client) oldURL(pkg string, e Entry) string {
	file := url.PathEscape(e.Name)
	return c.base() + "/" + pkg + "/" + file + "/" + e.Hash + "/" + file
}

// Exists reports whether the cache has a file. Nobody need be logged in for
// that.
func (c *Client) Exists(ctx context.Context, pkg string, e Entry) (bool, error) {
	if err := errors.Join(checkPackage(pkg), e.check()); err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.URL(pkg, e), nil)
	if err != nil {
		return false, fmt.Errorf("making the request: %w", err)
	}
	err = c.caller().Do(ctx, "file.head", req, nil)
	switch {
	case httpx.Status(err) == http.StatusNotFound:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("asking for %s of %s: %w", e.Name, pkg, err)
	}
	return true, nil
}

// Check asks the one who takes uploads whether a file is there already. It
// needs a login, and so tells whether an upload would be allowed.
func (c *Client) Check(ctx context.Context, pkg string, e Entry) (bool, error) {
	if err := errors.Join(checkPackage(pkg), e.check()); err != nil {
		return false, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	fields := [][2]string{{"name", pkg}, {e.HashType + "sum", e.Hash}, {"filename", e.Name}}
	if err := writeFields(form, fields); err != nil {
		return false, err
	}
	if err := form.Close(); err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.uploadURL(), &body)
	if err != nil {
		return false, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	if err := c.authorize(ctx, req); err != nil {
		return false, err
	}
	var said []byte
	if err := c.caller().Do(ctx, "file.check", req, &said); err != nil {
		return false, fmt.Errorf("checking %s of %s: %w", e.Name, pkg, err)
	}
	switch answer := strings.TrimSpace(string(said)); answer {
	case "Available":
		return true, nil
	case "Missing", "Required checksum is not present":
		return false, nil
	default:
		return false, fmt.Errorf("checking %s of %s: the cache says %.200q", e.Name, pkg, answer)
	}
}

func writeFields(form *multipart.Writer, fields [][2]string) error {
	for _, f := range fields {
		if err := form.WriteField(f[0], f[1]); err != nil {
			return fmt.Errorf("writing the form: %w", err)
		}
	}
	return nil
}

func (c *Client) authorize(ctx context.Context, req *http.Request) error {
	if c.Negotiate == nil {
		return nil
	}
	token, err := c.Negotiate(ctx, req.URL.Hostname())
	if err != nil {
		return fmt.Errorf("logging in to the lookaside cache: %w", err)
	}
	req.Header.Set("Authorization", "Negotiate "+token)
	return nil
}

func (c *Client) caller() httpx.Caller {
	return httpx.Caller{Service: "lookaside", HTTP: c.HTTP}
}

// patient is the caller for what may take hours.
func (c *Client) patient() httpx.Caller {
	client := &http.Client{Transport: &httpx.Transport{Service: "lookaside"}}
	if c.HTTP != nil {
		clone := *c.HTTP
		client = &clone
	}
	client.Timeout = 0
	return httpx.Caller{Service: "lookaside", HTTP: client}
}

// Words says in a sentence what stands in the way of an upload and who can do
// something about it, for refusals that people can do something about; otherwise
// it returns "".
func Words(err error) string {
	switch httpx.Status(err) {
	case http.StatusUnauthorized:
		return "The lookaside cache does not accept the Kerberos ticket of this service: an operator has to look at its login."
	case http.StatusForbidden:
		return "The account of this service is not in the group packager, which may upload sources: an operator has to apply for that."
	case http.StatusNotFound:
		return "The lookaside cache does not know this package."
	}
	return ""
}

// watch ends ctx with errStalled when nothing moves for a while. Whoever moves
// something calls moved.
func (c *Client) watch(ctx context.Context) (watched context.Context, moved, stop func()) {
	limit := c.Stall
	if limit == 0 {
		limit = 2 * time.Minute
	}
	ctx, cancel := context.WithCancelCause(ctx)
	// Without any deadline httpx would set its own.
	ctx, end := context.WithTimeout(ctx, 24*time.Hour)
	timer := time.AfterFunc(limit, func() { cancel(errStalled) })
	return ctx, func() { timer.Reset(limit) }, func() { timer.Stop(); end(); cancel(nil) }
}

var errStalled = errors.New("nothing moves any longer")

// stalled puts the reason into an error of a call that was ended by watch.
func stalled(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && errors.Is(context.Cause(ctx), errStalled) {
		e.Err = errStalled
	}
	return err
}

// moving tells of each piece that is read.
type moving struct {
	io.Reader
	moved func(n int)
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if n > 0 {
		m.moved(n)
	}
	return n, err
}
