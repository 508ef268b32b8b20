package static

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestServing(t *testing.T) {
	t.Parallel()
	for name, contentType := range map[string]string{
		"millrace.css":       "text/css; charset=utf-8",
		"millrace.js":        "text/javascript; charset=utf-8",
		"htmx.js":            "text/javascript; charset=utf-8",
		"htmx-licence.txt":   "text/plain; charset=utf-8",
		"favicon-failed.svg": "image/svg+xml",
	} {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest("GET", Path(name), nil))
		h := w.Header()
		if w.Code != 200 || h.Get("Content-Type") != contentType || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %s, %d bytes", name, w.Code, h.Get("Content-Type"), w.Body.Len())
		}
		if !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, h)
		}
		r := httptest.NewRequest("GET", Path(name), nil)
		r.Header.Set("If-None-Match", h.Get("Etag"))
		w = httptest.NewRecorder()
		Handler().ServeHTTP(w, r)
		if w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("%s asked again: %d with %d bytes", name, w.Code, w.Body.Len())
		}
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	get := func(accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", Path("millrace.css"), nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, r)
		return w
	}
	plain, zipped := get("br, gzip;q=0"), get("br, gzip;q=0.5")
	if plain.Header().Get("Content-Encoding") != "" || zipped.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("encodings are %q and %q", plain.Header().Get("Content-Encoding"), zipped.Header().Get("Content-Encoding"))
	}
	if plain.Header().Get("Etag") == zipped.Header().Get("Etag") {
		t.Error("both forms have the same tag")
	}
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
		t.Errorf("what is unpacked differs: %v", err)
	}
}

func TestNothingElse(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/static/", "/static", "/static/css/", "/static/millrace.css", "/static/../static.go", "/static/vendor/htmx.min.js", "/static/millrace.000000000000.css"} {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://x"+path, nil))
		if w.Code != 404 {
			t.Errorf("GET %s = %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest("POST", Path("millrace.css"), nil))
	if w.Code != 405 || w.Header().Get("Allow") == "" {
		t.Errorf("POST = %d", w.Code)
	}
}

func TestFavicons(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, state := range Icons {
		body := string(byPath[Favicon(state)].body)
		shape := regexp.MustCompile(`#[0-9a-f]{3,6}`).ReplaceAllString(body, "")
		if other, ok := seen[shape]; ok {
			t.Errorf("%s and %s differ by colour alone", state, other)
		}
		seen[shape] = state
	}
	if Favicon("no such state") != Path("favicon-neutral.svg") {
		t.Error("a state without an icon has not the neutral one")
	}
}

func TestSprite(t *testing.T) {
	t.Parallel()
	ids := make(map[string]bool)
	for _, m := range regexp.MustCompile(`<symbol id="([^"]+)"`).FindAllStringSubmatch(Sprite, -1) {
		if ids[m[1]] {
			t.Errorf("%s stands twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, state := range []string{"waiting", "queued", "running", "passed", "failed", "error", "canceled", "skipped", "superseded", "unknown", "retrying", "held", "planned"} {
		if !ids["i-"+state] {
			t.Errorf("%s has no icon", state)
		}
	}
}

// What the policy forbids is not in our own files either.
func TestScriptKeepsPolicy(t *testing.T) {
	t.Parallel()
	js := string(read("millrace.js"))
	for _, word := range []string{"eval(", "new Function", "innerHTML", "outerHTML", "document.write", "setAttribute(\"style", ".style.", "insertAdjacentHTML"} {
		if strings.Contains(js, word) {
			t.Errorf("millrace.js has %s", word)
		}
	}
	if css := string(byName["millrace.css"].body); strings.Contains(css, "url(") || strings.Contains(css, "@import") {
		t.Error("the stylesheet fetches something")
	}
}

// colours reads the tokens of one theme; 0 is light, 1 is dark.
func colours(t *testing.T, theme int) map[string][3]float64 {
	t.Helper()
	all := make(map[string][3]float64)
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`).FindAllStringSubmatch(string(read("css/tokens.css")), -1) {
		var c [3]float64
		for i := range c {
			v, err := strconv.ParseUint(m[2+theme][1+2*i:3+2*i], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			c[i] = float64(v) / 255
		}
		all[m[1]] = c
	}
	return all
}

// contrast is that of WCAG 2.2 between two colours.
func contrast(a, b [3]float64) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + .05) / (min(x, y) + .05)
}

func luminance(c [3]float64) float64 {
	sum := 0.0
	for i, weight := range []float64{.2126, .7152, .0722} {
		v := c[i] / 12.92
		if c[i] > .04045 {
			v = math.Pow((c[i]+.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func TestContrast(t *testing.T) {
	t.Parallel()
	if c := contrast([3]float64{}, [3]float64{1, 1, 1}); math.Abs(c-21) > .01 {
		t.Fatalf("black on white has %f", c)
	}
	pairs := map[float64][][2]string{}
	grounds := []string{"ground", "surface", "sunk", "log"}
	washes := []string{"water-wash", "moss-wash", "oxide-wash", "rust-wash", "wood-wash"}
	for _, ink := range []string{"ink", "ink-2", "water", "moss", "oxide", "rust", "wood"} {
		for _, ground := range grounds {
			pairs[4.5] = append(pairs[4.5], [2]string{ink, ground})
		}
	}
	for _, wash := range washes {
		pairs[4.5] = append(pairs[4.5], [2]string{"ink", wash}, [2]string{"ink-2", wash}, [2]string{strings.TrimSuffix(wash, "-wash"), wash}, [2]string{"water", wash})
	}
	pairs[4.5] = append(pairs[4.5], [2]string{"slate-ink", "slate"}, [2]string{"slate-2", "slate"}, [2]string{"lit", "slate"}, [2]string{"surface", "water"}, [2]string{"surface", "water-deep"})
	for _, ground := range grounds {
		pairs[3] = append(pairs[3], [2]string{"line-2", ground})
	}
	pairs[3] = append(pairs[3], [2]string{"slate-line", "slate"})
	for theme, name := range []string{"light", "dark"} {
		c := colours(t, theme)
		for least, list := range pairs {
			for _, p := range list {
				a, okA := c[p[0]]
				b, okB := c[p[1]]
				if !okA || !okB {
					t.Fatalf("%v: a token is missing", p)
				}
				if got := contrast(a, b); got < least {
					t.Errorf("%s: %s on %s has %.2f, want %.1f", name, p[0], p[1], got, least)
				}
			}
		}
	}
}

// Colours are written in one place.
func TestColoursAreTokens(t *testing.T) {
	t.Parallel()
	for _, part := range stylesheet[1:] {
		for i, line := range strings.Split(string(read(part)), "\n") {
			rest := strings.ReplaceAll(strings.ReplaceAll(line, "#fff", ""), "rgb(0 0 0 / .16)", "") // paper, and the shadow of menus
			if m := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(`).FindString(rest); m != "" {
				t.Errorf("%s:%d has the colour %s", part, i+1, m)
			}
		}
	}
	for _, m := range regexp.MustCompile(`var\(--([a-z0-9-]+)`).FindAllStringSubmatch(string(byName["millrace.css"].body), -1) {
		if !bytes.Contains(byName["millrace.css"].body, fmt.Appendf(nil, "--%s:", m[1])) {
			t.Errorf("--%s is used but not set", m[1])
		}
	}
}
