package box

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for box.css
	"encoding/hex"
	"net/http"
	"time"
)

//go:embed box.css
var stylesheet []byte

// stylesheetPath has a hash of the content in it, so that it may be kept for ever.
var stylesheetPath = func() string {
	sum := sha256.Sum256(stylesheet)
	return "/-/box." + hex.EncodeToString(sum[:6]) + ".css"
}()

func serveStylesheet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(stylesheet))
}
