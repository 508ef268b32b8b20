package packageconfig

import (
	"regexp"
	"strings"
)

// A version specifier set by PEP 440: what each operator takes. A leading v is
// legal, and the words for pre-releases have many spellings.
var specifierForms = func() *regexp.Regexp {
	const (
		release = `v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*`
		pre     = `(?:[-_.]?(?:alpha|beta|preview|pre|a|b|c|rc)[-_.]?[0-9]*)?`
		post    = `(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?`
		dev     = `(?:[-_.]?dev[-_.]?[0-9]*)?`
		local   = `(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?`
	)
	return regexp.MustCompile(`(?i)^(?:` +
		`===\s*[^\s;)]*` +
		`|(?:==|!=)\s*` + release + `(?:\.\*|` + pre + post + dev + local + `)` +
		`|~=\s*v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)+` + pre + post + dev +
		`|(?:<=|>=|<|>)\s*` + release + pre + post + dev + `)\s*$`)
}()

func readSpecifiers(l *loader, v *value) (any, bool) {
	if v.kind == text {
		for part := range strings.SplitSeq(v.s, ",") {
			part = strings.TrimSpace(part)
			if part != "" && !specifierForms.MatchString(part) {
				return l.failed(v, "Invalid version specifier set: Invalid specifier: "+quote(clip(part, 100)),
					"Write something like '>=1.2, <2'.")
			}
		}
	}
	return readOptional(l, v)
}
