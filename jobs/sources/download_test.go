package sources

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/clients/httpx"
	"millrace/models"
)

// fileServer serves what a hostile or broken place of downloads would.
func fileServer(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/file.txt", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "for %s, %s", r.UserAgent(), r.Header.Get("Accept-Encoding"))
	})
	mux.HandleFunc("/packed.gz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, "as it is stored")
		z.Close()
	})
	mux.Handle("/moved", http.RedirectHandler("/file.txt", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/file-scheme", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "too little")
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestDownload(t *testing.T) {
	t.Parallel()
	s := fileServer(t)
	d := Download{AllowPrivate: true, MaxSize: 100_000, Timeout: time.Minute, UserAgent: "millrace/1"}
	for path, c := range map[string]struct {
		want      string // content, or a part of the error
		refused   bool
		temporary bool
	}{
		"/file.txt":    {want: "for millrace/1, identity"},
		"/moved":       {want: "for millrace/1, identity"},
		"/missing":     {want: "the server answered 404", refused: true},
		"/loop":        {want: "redirects more than 10 times", refused: true},
		"/file-scheme": {want: "only http and https are spoken, not file", refused: true},
		"/endless":     {want: "the file has more than 100000 bytes", refused: true},
		"/broken":      {want: "502", temporary: true},
		"/cut":         {want: "unexpected EOF", temporary: true},
		"/slow":        {want: "deadline exceeded", temporary: true},
	} {
		var b bytes.Buffer
		d := d
		if path == "/slow" {
			d.Timeout = 300 * time.Millisecond
		}
		_, err := d.fetch(t.Context(), s.URL+path, &b)
		if !c.refused && !c.temporary {
			if err != nil || b.String() != c.want {
				t.Errorf("%s: %q, %v, want %q", path, b.String(), err, c.want)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: no error", path)
			continue
		}
		err = failedDownload(t.Context(), s.URL+path, err)
		if IsUserError(err) != c.refused || httpx.Temporary(err) != c.temporary || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "Failed to download source from "+s.URL+path+":") {
			t.Errorf("%s: err = %v (user's: %t, temporary: %t), want %q", path, err, IsUserError(err), httpx.Temporary(err), c.want)
		}
	}
	var b bytes.Buffer
	if _, err := d.fetch(t.Context(), s.URL+"/packed.gz", &b); err != nil || !bytes.HasPrefix(b.Bytes(), []byte{0x1f, 0x8b}) {
		t.Errorf("a compressed file came as %q, %v", b.String(), err)
	}
	for _, address := range []string{"ftp://mill.example/x", "file:///etc/passwd", "x", "http://", "://", "gopher://x/y", "http://%zz/"} {
		if _, err := d.fetch(t.Context(), address, io.Discard); err == nil || !IsUserError(failedDownload(t.Context(), address, err)) {
			t.Errorf("%s: err = %v, want a refusal", address, err)
		}
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	s := fileServer(t)
	public := httptest.NewServer(http.RedirectHandler(s.URL+"/file.txt", http.StatusFound))
	defer public.Close()
	var d Download
	for _, address := range []string{s.URL + "/file.txt", strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/file.txt", public.URL} {
		_, err := d.fetch(t.Context(), address, io.Discard)
		if _, ok := errors.AsType[*refusedError](err); !ok || !strings.Contains(err.Error(), "is not a public address") {
			t.Errorf("%s: err = %v", address, err)
		}
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.1.1", "224.0.0.1", "255.255.255.255",
		"[::1]", "[::]", "[fe80::1%eth0]", "[fd00::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
		"[ff02::1]", "198.18.0.1", "[::127.0.0.1]",
	} {
		if err := checkAddress(address + ":80"); err == nil {
			t.Errorf("%s is taken for public", address)
		}
	}
	for _, address := range []string{"8.8.8.8", "[2a00:1450::1]", "193.99.144.80", "[::ffff:8.8.8.8]"} {
		if err := checkAddress(address + ":443"); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestSourcesAreDownloaded(t *testing.T) {
	t.Parallel()
	b, s := newBuilder(t), fileServer(t)
	u := hello(t, "")
	u.write("here.patch", "mine")
	spec := strings.Replace(helloSpec, "BuildArch", "Source1: "+s.URL+"/file.txt\nSource2: "+s.URL+"/%{name}.txt#/file-two.txt\n"+
		"Source3: local.conf\nPatch0: "+s.URL+"/here.patch\n%if 0\nSource4: "+s.URL+"/missing\n%endif\nBuildArch", 1)
	spec = strings.Replace(spec, "%{name}.txt#", "%(echo file).txt#", 1) // only rpm can tell
	u.write("hello.spec", spec)
	u.write("local.conf", "mine")
	u.commit("Name sources")
	extra := []models.ConfigSource{{Path: "more/extra.txt", URL: s.URL + "/file.txt"}}
	use := func(r *Request) {
		r.Package = helloPackage(func(p *models.PackageSettings) { p.Sources = extra })
	}
	o := succeed(t, b, u, use)
	if want := []string{"file-two.txt", "file.txt", "hello-1.2.3.tar.gz", "here.patch", "local.conf"}; !slices.Equal(o.Files, want) {
		t.Errorf("files %q, want %q", o.Files, want)
	}
	for name, want := range map[string]string{
		filepath.Join(o.Dir, "file-two.txt"):                    "for millrace, identity",
		filepath.Join(o.Dir, "here.patch"):                      "mine",
		filepath.Join(o.work, "hello", "more", "extra.txt"):     "for millrace, identity",
		filepath.Join(o.work, "hello", ".download-of-millrace"): "",
	} {
		if text, _ := os.ReadFile(name); string(text) != want {
			t.Errorf("%s holds %q, want %q", name, text, want)
		}
	}

	extra[0].Path = "../../outside.txt"
	refused(t, b, u, `The path "../../outside.txt" of a source is not inside of the repository.`, use)
	extra[0].Path = "link/outside.txt"
	outside := t.TempDir()
	refused(t, b, u, "leads out of the repository", func(r *Request) {
		withAction("post-upstream-clone", "ln -s "+outside+" link")(r)
		r.Package.Settings.Sources = extra
	})
	extra[0] = models.ConfigSource{Path: "x", URL: s.URL + "/missing"}
	refused(t, b, u, "Failed to download source from "+s.URL+"/missing: the server answered 404 Not Found", use)
	extra[0].URL = s.URL + "/broken"
	if o := prepare(t, b, u, use); IsUserError(o.err) || !httpx.Temporary(o.err) {
		t.Errorf("err = %v, want a temporary one", o.err)
	}
	u.write("sources", "")
	u.commit("Keep sources elsewhere")
	succeed(t, b, u, use)
}

func TestAllSourcesTogetherAreLimited(t *testing.T) {
	t.Parallel()
	b, s := newBuilder(t), fileServer(t)
	u := hello(t, "")
	u.write("hello.spec", strings.Replace(helloSpec, "BuildArch", "Source1: one\nSource2: two\nBuildArch", 1))
	u.commit("Name sources")
	script := "head -c 60000 /dev/zero > one; ln -s one two"
	succeed(t, b, u, withAction("post-modifications", script))
	b.MaxSources = 100_000
	refused(t, b, u, "all sources together are larger than allowed", withAction("post-modifications", script))

	address := s.URL + "/file.txt"
	b.MaxSources = int64(2 * len("for millrace, identity"))
	two := []models.ConfigSource{{Path: "one", URL: address}, {Path: "two", URL: address}}
	use := func(r *Request) {
		r.Package = helloPackage(func(p *models.PackageSettings) { p.Sources, p.PreserveSpec = two, true })
		r.Package.Settings.SpecfilePath = ptr("none.spec")
	}
	u.write("none.spec", localSpec)
	u.commit("A spec file without sources")
	refused(t, b, u, "all sources together", use) // the archive itself is larger
	two = append(two, models.ConfigSource{Path: "three", URL: address})
	refused(t, b, u, "the file has", use)
}
