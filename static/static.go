// Package static holds what browsers fetch beside the pages: one stylesheet,
// scripts and icons. Each file is served under a name with a hash of its
// content, so it may be kept for ever.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// Prefix is where Handler expects to be mounted.
const Prefix = "/static/"

// vendor has htmx 4.0.1 (0BSD) as its authors publish it.
//
//go:embed css millrace.js vendor icons
var files embed.FS

// The stylesheet is written in parts and served as one.
var stylesheet = []string{
	"css/tokens.css", "css/base.css", "css/frame.css", "css/parts.css",
	"css/graph.css", "css/pages.css", "css/modes.css",
}

// Icons are the states that have a favicon of their own.
var Icons = []string{"neutral", "waiting", "running", "passed", "failed", "error", "ended"}

type asset struct {
	path        string // with the hash: /static/millrace.0123456789ab.css
	contentType string
	body        []byte
	zipped      func() []byte
	etag        string
}

var byName, byPath = load()

// Sprite has the symbols of all icons, for the inside of an svg element.
var Sprite = strings.ReplaceAll(string(read("icons/sprite.svg")), "\n", "")

// Path is where the browser finds the file of that name. A name that does not
// exist gives an address at which nothing is.
func Path(name string) string {
	if a, ok := byName[name]; ok {
		return a.path
	}
	return Prefix + name
}

// Favicon is where the icon of a state is. States without one have the neutral.
func Favicon(state string) string {
	if a, ok := byName["favicon-"+state+".svg"]; ok {
		return a.path
	}
	return Path("favicon-neutral.svg")
}

// Handler serves the files at their paths below Prefix, and nothing else.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this can only be read", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Accept-Encoding")
		body, etag := a.body, a.etag
		if r.Header.Get("Range") == "" && acceptsGzip(r.Header.Get("Accept-Encoding")) {
			body, etag = a.zipped(), a.etag+"-gz"
			h.Set("Content-Encoding", "gzip")
		}
		h.Set("Etag", `"`+etag+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}

func load() (byName, byPath map[string]*asset) {
	byName, byPath = make(map[string]*asset), make(map[string]*asset)
	add := func(name string, body []byte) {
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:6])
		ext := path.Ext(name)
		a := &asset{
			path:        Prefix + strings.TrimSuffix(name, ext) + "." + hash + ext,
			contentType: contentTypes[ext],
			body:        body,
			zipped:      sync.OnceValue(func() []byte { return zip(body) }),
			etag:        hash,
		}
		byName[name], byPath[a.path] = a, a
	}
	var css []byte
	for _, part := range stylesheet {
		css = append(css, read(part)...)
	}
	add("millrace.css", css)
	add("millrace.js", read("millrace.js"))
	add("htmx.js", read("vendor/htmx.min.js"))
	add("htmx-licence.txt", read("vendor/htmx.LICENSE"))
	for _, state := range Icons {
		name := "favicon-" + state + ".svg"
		add(name, read("icons/"+name))
	}
	return byName, byPath
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

// read reads an embedded file. That it exists was settled when the program was
// compiled and its tests ran.
func read(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is a valid one
	w.Write(b)                                              // a bytes.Buffer takes everything
	w.Close()
	return out.Bytes()
}
