package rpm

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// PEP440 is a version as Python packages write it, see
// https://packaging.python.org/en/latest/specifications/version-specifiers/.
// Numbers are kept as strings without leading zeros, so they may be of any
// size.
type PEP440 struct {
	epoch   string
	release []string
	preKind string // "a", "b", "rc" or empty
	pre     string
	post    string // empty if it is no post-release
	dev     string // empty if it is no development release
	local   []string
	isPost  bool
	isDev   bool
	text    string // as it was written
}

var pep440 = regexp.MustCompile(`(?i)^\s*v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
	`(?:[-_.]?(alpha|beta|preview|pre|a|b|c|rc)[-_.]?(\d*))?` +
	`(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?` +
	`(?:[-_.]?(dev)[-_.]?(\d*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$`)

// ParsePEP440 reads a version and says whether it is one.
func ParsePEP440(s string) (PEP440, bool) {
	if len(s) > maxLabel {
		return PEP440{}, false
	}
	m := pep440.FindStringSubmatch(s)
	if m == nil {
		return PEP440{}, false
	}
	v := PEP440{epoch: number(m[1]), text: strings.TrimSpace(s)}
	for part := range strings.SplitSeq(m[2], ".") {
		v.release = append(v.release, number(part))
	}
	switch strings.ToLower(m[3]) {
	case "":
	case "a", "alpha":
		v.preKind = "a"
	case "b", "beta":
		v.preKind = "b"
	default:
		v.preKind = "rc"
	}
	v.pre = number(m[4])
	v.isPost = m[5] != "" || m[6] != ""
	v.post = number(m[5] + m[7])
	v.isDev = m[8] != ""
	v.dev = number(m[9])
	if m[10] != "" {
		v.local = strings.FieldsFunc(strings.ToLower(m[10]), func(r rune) bool { return strings.ContainsRune("-_.", r) })
	}
	return v, true
}

// number drops leading zeros; nothing at all is 0.
func number(digits string) string {
	if d := strings.TrimLeft(digits, "0"); d != "" {
		return d
	}
	return "0"
}

func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// IsPrerelease reports whether v comes before its final release.
func (v PEP440) IsPrerelease() bool { return v.preKind != "" || v.isDev }

// Compare orders by PEP 440: development releases first, then pre-releases,
// the release, post-releases; a local part makes a version newer.
func (v PEP440) Compare(o PEP440) int {
	return cmp.Or(v.comparePublic(o), compareLocal(v.local, o.local))
}

func (v PEP440) comparePublic(o PEP440) int {
	return cmp.Or(
		compareNumbers(v.epoch, o.epoch),
		compareReleases(v.release, o.release),
		cmp.Compare(v.phase(), o.phase()),
		compareNumbers(v.pre, o.pre),
		compareFlagged(v.isPost, v.post, o.isPost, o.post),
		compareFlagged(!v.isDev, "0", !o.isDev, "0"),
		compareNumbers(v.dev, o.dev),
	)
}

// phase is the place of a version among those with the same release number.
func (v PEP440) phase() int {
	switch {
	case v.preKind == "a":
		return 1
	case v.preKind == "b":
		return 2
	case v.preKind == "rc":
		return 3
	case v.isDev && !v.isPost:
		return 0 // a development release of the release itself
	}
	return 4
}

func compareFlagged(a bool, an string, b bool, bn string) int {
	switch {
	case a && !b:
		return 1
	case !a && b:
		return -1
	}
	return compareNumbers(an, bn)
}

// compareReleases takes missing parts for zeros.
func compareReleases(a, b []string) int {
	for i := range max(len(a), len(b)) {
		x, y := "0", "0"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func compareLocal(a, b []string) int {
	for i := range min(len(a), len(b)) {
		an, bn := allDigits(a[i]), allDigits(b[i])
		c := 0
		switch {
		case an && bn:
			c = compareNumbers(number(a[i]), number(b[i]))
		case an:
			c = 1
		case bn:
			c = -1
		default:
			c = strings.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// CompareVersions orders two upstream versions. Those that PEP 440 knows are
// ordered by it, since upstream projects write pre-releases without a tilde;
// if one of them carries rpm's own marks (~, ^), rpm's order holds. A version
// that neither knows is older than any that PEP 440 knows, and two such are
// ordered as text.
//
// Packit knows only PEP 440 and so takes 2.0~rc1 for older than everything.
func CompareVersions(a, b string) int {
	va, okA := ParsePEP440(a)
	vb, okB := ParsePEP440(b)
	switch {
	case okA && okB:
		return va.Compare(vb)
	case strings.ContainsAny(a+b, "~^"):
		return Vercmp(a, b)
	case okA:
		return 1
	case okB:
		return -1
	}
	return strings.Compare(a, b)
}

// A Specifier is a set of conditions on a version, such as ">=1.0, <2.0".
type Specifier struct {
	clauses []clause
}

type clause struct {
	op       string
	version  PEP440
	text     string // what follows the operator
	wildcard bool   // 1.2.*
}

var clauseText = regexp.MustCompile(`^\s*(~=|===|==|!=|<=|>=|<|>)\s*([^\s,;]+)\s*$`)

// ParseSpecifier reads conditions separated by commas. An empty text is no
// condition at all.
func ParseSpecifier(s string) (Specifier, error) {
	var set Specifier
	if len(s) > maxLabel {
		return set, fmt.Errorf("parsing version specifiers: longer than %d bytes", maxLabel)
	}
	for part := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		c, ok := parseClause(part)
		if !ok {
			return Specifier{}, fmt.Errorf("invalid specifier: %q", strings.TrimSpace(part))
		}
		set.clauses = append(set.clauses, c)
	}
	return set, nil
}

func parseClause(s string) (clause, bool) {
	m := clauseText.FindStringSubmatch(s)
	if m == nil {
		return clause{}, false
	}
	c := clause{op: m[1], text: m[2]}
	if c.op == "===" {
		c.version, _ = ParsePEP440(c.text)
		return c, true
	}
	text := c.text
	if c.op == "==" || c.op == "!=" {
		text, c.wildcard = strings.CutSuffix(text, ".*")
	}
	var ok bool
	c.version, ok = ParsePEP440(text)
	switch {
	case !ok:
		return clause{}, false
	case c.wildcard && (c.version.isDev || c.version.local != nil):
		return clause{}, false
	case c.op == "~=" && len(c.version.release) < 2:
		return clause{}, false
	case c.version.local != nil && c.op != "==" && c.op != "!=":
		return clause{}, false
	}
	return c, true
}

// Allows reports whether a version satisfies every condition. What is no
// PEP 440 version satisfies none, not even the empty set. Pre-releases are
// left out unless a condition names one.
func (s Specifier) Allows(version string) bool {
	v, ok := ParsePEP440(version)
	if !ok {
		return false
	}
	named := false
	for _, c := range s.clauses {
		named = named || c.version.IsPrerelease()
		if !c.allows(v) {
			return false
		}
	}
	return named || !v.IsPrerelease()
}

func (c clause) allows(v PEP440) bool {
	switch c.op {
	case "===":
		return strings.EqualFold(v.text, c.text)
	case "==":
		return c.matches(v)
	case "!=":
		return !c.matches(v)
	case "<=":
		return v.comparePublic(c.version) <= 0
	case ">=":
		return v.comparePublic(c.version) >= 0
	case "<":
		// Pre-releases of the bound itself do not count as older.
		sameRelease := compareReleases(v.release, c.version.release) == 0 && v.epoch == c.version.epoch
		return v.Compare(c.version) < 0 && (c.version.IsPrerelease() || !v.IsPrerelease() || !sameRelease)
	case ">":
		sameRelease := compareReleases(v.release, c.version.release) == 0 && v.epoch == c.version.epoch
		return v.Compare(c.version) > 0 && !(sameRelease && (v.isPost && !c.version.isPost || v.local != nil))
	}
	// ~= X.Y: at least that, and the same up to the last part.
	prefix := c.version.release[:len(c.version.release)-1]
	return v.comparePublic(c.version) >= 0 && v.epoch == c.version.epoch && hasPrefix(v.release, prefix)
}

func (c clause) matches(v PEP440) bool {
	switch {
	case c.wildcard && c.version.preKind == "" && !c.version.isPost:
		return v.epoch == c.version.epoch && hasPrefix(v.release, c.version.release)
	case c.wildcard:
		return v.epoch == c.version.epoch && compareReleases(v.release, c.version.release) == 0 &&
			v.preKind == c.version.preKind && v.pre == c.version.pre &&
			(!c.version.isPost || v.isPost && v.post == c.version.post)
	case c.version.local == nil:
		return v.comparePublic(c.version) == 0
	}
	return v.Compare(c.version) == 0
}

// hasPrefix compares the first parts of a release number; parts it lacks are
// zeros.
func hasPrefix(release, prefix []string) bool {
	if len(release) > len(prefix) {
		release = release[:len(prefix)]
	}
	return compareReleases(release, prefix) == 0
}

// MaskAllows applies a version mask: a regular expression that has to match
// the beginning of both versions with the same text. A version that it does
// not match is not held back by it.
func MaskAllows(mask, current, proposed string) (bool, error) {
	if mask == "" {
		return true, nil
	}
	re, err := regexp.Compile(`^(?:` + mask + `)`)
	if err != nil {
		return false, fmt.Errorf("version mask %q: %w", mask, err)
	}
	was, is := re.FindStringIndex(current), re.FindStringIndex(proposed)
	if was == nil || is == nil {
		return true, nil
	}
	return current[:was[1]] == proposed[:is[1]], nil
}
