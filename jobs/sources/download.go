package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"millrace/clients/git"
	"millrace/models/specfile"
)

const (
	connectTimeout = 10 * time.Second
	readTimeout    = 30 * time.Second // without a single byte
	maxRedirects   = 10
)

// download fetches what the spec file and the config name and is not there yet.
func (p *preparation) download(ctx context.Context) error {
	if p.tree.exists("sources") {
		p.log.printf("There is a file called sources: nothing is downloaded\n")
		return nil
	}
	all, err := p.allSources(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 3*p.Download.timeout(), errLong)
	defer cancel()
	for _, s := range all {
		if !s.Remote || !specfile.IsExpanded(s.Expanded) {
			continue
		}
		if !isBaseName(s.FileName) {
			return userError("Failed to download source from %s: the address does not end with a file name.", s.Expanded)
		}
		if err := p.fetchTo(ctx, p.tree, s.Expanded, path.Join(p.specDir(), s.FileName)); err != nil {
			return err
		}
	}
	for _, s := range p.pkg.Settings.Sources {
		name := path.Join(p.specDir(), s.Path)
		if err := git.CheckPath(name); err != nil {
			return userError("The path %q of a source is not inside of the repository.", s.Path)
		}
		if err := p.tree.root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o755); err != nil {
			return unreadable(path.Dir(name), err)
		}
		if err := p.fetchTo(ctx, p.tree, s.URL, name); err != nil {
			return err
		}
	}
	return nil
}

// fetchTo downloads address to a name in a tree, unless that exists.
func (p *preparation) fetchTo(ctx context.Context, t *tree, address, name string) error {
	if t.exists(name) {
		return nil
	}
	p.log.step("Downloading %s", address)
	temporary := path.Join(path.Dir(name), ".download-of-millrace")
	f, err := t.root.OpenFile(filepath.FromSlash(temporary), os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return unreadable(temporary, err)
	}
	defer t.root.Remove(filepath.FromSlash(temporary)) // gone already if all went well
	d := p.Download
	if left := p.maxSources() - p.downloaded; left < d.maxSize() {
		d.MaxSize = cmp.Or(left, -1) // zero would be the default
	}
	size, err := d.fetch(ctx, address, f)
	p.downloaded += size
	if err := errors.Join(err, f.Close()); err != nil {
		return failedDownload(ctx, address, err)
	}
	if err := t.root.Rename(filepath.FromSlash(temporary), filepath.FromSlash(name)); err != nil {
		return unreadable(name, err)
	}
	p.log.printf("%s: %d bytes\n", name, size)
	return nil
}

// failedDownload tells what the user can change from what may pass.
func failedDownload(ctx context.Context, address string, err error) error {
	message := fmt.Sprintf("Failed to download source from %s:", address)
	if cause := context.Cause(ctx); cause != nil && cause != errLong {
		return fmt.Errorf("%s %w", message, cause)
	}
	if refusal, ok := errors.AsType[*refusedError](err); ok {
		return &UserError{Message: message, Err: refusal}
	}
	return temporaryError{fmt.Errorf("%s %w", message, err)}
}

// refusedError is a download that will not work the next time either.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// errNotThere is what a server says of a file that it does not have.
var errNotThere = &refusedError{"the server answered 404 Not Found"}

func refuse(format string, args ...any) error { return &refusedError{fmt.Sprintf(format, args...)} }

// errLong ends downloads that take too long together.
var errLong = errors.New("the downloads take too long")

var errStalled = fmt.Errorf("no byte came for %s", readTimeout)

// fetch writes what is at address to w and returns its size.
func (d *Download) fetch(ctx context.Context, address string, w io.Writer) (int64, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return 0, refuse("this is no address of a file")
	}
	u.Fragment = ""
	if err := checkScheme(u); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, refuse("this is no address of a file")
	}
	agent := d.UserAgent
	if agent == "" {
		agent = "millrace"
	}
	req.Header.Set("User-Agent", agent)
	// Archives shall arrive as they are stored.
	req.Header.Set("Accept-Encoding", "identity")
	transport := d.Transport
	if transport == nil {
		own := newTransports(d.AllowPrivate)
		defer own.close()
		transport = own
	}
	client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	res, err := client.Do(req)
	if err != nil {
		return 0, withoutMethod(err)
	}
	defer res.Body.Close()
	if err := checkStatus(res); err != nil {
		return 0, err
	}
	n, err := d.store(res, w, func() { stop(errStalled) })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return n, err
}

// store copies a body, within limits on its size and on pauses in it.
func (d *Download) store(res *http.Response, w io.Writer, stop func()) (int64, error) {
	most := d.maxSize()
	if res.ContentLength > most {
		return 0, refuse("the file has %d bytes, which is more than %d", res.ContentLength, most)
	}
	idle := time.AfterFunc(readTimeout, stop)
	defer idle.Stop()
	body := readerFunc(func(b []byte) (int, error) {
		n, err := res.Body.Read(b)
		idle.Reset(readTimeout)
		return n, err
	})
	n, err := io.Copy(w, io.LimitReader(body, most+1))
	if err != nil {
		return n, err
	}
	if n > most {
		return n, refuse("the file has more than %d bytes", most)
	}
	return n, nil
}

func (d *Download) timeout() time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return 10 * time.Minute
}

func (d *Download) maxSize() int64 {
	if d.MaxSize != 0 {
		return d.MaxSize
	}
	return 1 << 30
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func checkStatus(res *http.Response) error {
	switch code := res.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return fmt.Errorf("the server answered %s", res.Status)
	case code == http.StatusNotFound:
		return errNotThere
	default:
		return refuse("the server answered %s", res.Status)
	}
}

func checkScheme(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return refuse("only http and https are spoken, not %s", shorten(u.Scheme, 20))
	}
	return nil
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return refuse("the server redirects more than %d times", maxRedirects)
	}
	return checkScheme(req.URL)
}

// withoutMethod drops what net/http puts before the cause.
func withoutMethod(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// transports connects to public addresses only, unless AllowPrivate, or asks
// the proxy of the environment, if there is one: what that may reach is for
// whoever runs it to say.
type transports struct {
	direct, proxied *http.Transport
}

// newTransports makes them. A direct address is looked at when the connection
// is made, so that a name cannot change its meaning in between.
func newTransports(allowPrivate bool) *transports {
	guarded := &net.Dialer{Timeout: connectTimeout}
	if !allowPrivate {
		guarded.Control = func(_, address string, _ syscall.RawConn) error { return checkAddress(address) }
	}
	t := &transports{direct: newTransport(guarded), proxied: newTransport(&net.Dialer{Timeout: connectTimeout})}
	t.proxied.Proxy = http.ProxyFromEnvironment
	return t
}

func newTransport(dialer *net.Dialer) *http.Transport {
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		ResponseHeaderTimeout:  readTimeout,
		MaxResponseHeaderBytes: 1 << 20,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transports) RoundTrip(req *http.Request) (*http.Response, error) {
	if proxy, err := http.ProxyFromEnvironment(req); err != nil || proxy != nil {
		return t.proxied.RoundTrip(req)
	}
	return t.direct.RoundTrip(req)
}

func (t *transports) close() {
	t.direct.CloseIdleConnections()
	t.proxied.CloseIdleConnections()
}

// nonPublic are ranges that package netip has no word for: "this network",
// carrier-grade NAT, protocol assignments, documentation, benchmarks, reserved,
// and the IPv6 forms that carry an IPv4 address.
var nonPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("::/96"),
}

func checkAddress(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return refuse("%s is no address", address)
	}
	ip := at.Addr().Unmap()
	public := ip.IsGlobalUnicast() && !ip.IsPrivate()
	for _, prefix := range nonPublic {
		public = public && !prefix.Contains(ip.WithZone(""))
	}
	if !public {
		return refuse("%s is not a public address", ip)
	}
	return nil
}
