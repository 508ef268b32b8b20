package git

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	maxName = 250 // bytes of a ref: it becomes a file name
	maxPath = 4096
	maxURL  = 2048
)

func bad(what, value string) error {
	if len(value) > 80 {
		value = value[:80] + "..."
	}
	return fmt.Errorf("%s %q: %w", what, value, ErrBadName)
}

// CheckRef accepts the names that git accepts for branches, tags and full
// refs, without those that begin with a dash, that are not UTF-8 or that are
// unreasonably long.
func CheckRef(name string) error {
	if !refName(name) {
		return bad("ref", name)
	}
	return nil
}

// refName has the rules of git-check-ref-format(1).
func refName(name string) bool {
	if name == "" || len(name) > maxName || name == "@" || !utf8.ValidString(name) {
		return false
	}
	if name[0] == '-' || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	if strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r)
	}) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

var (
	fullSHA  = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	ancestry = regexp.MustCompile(`((\^\{(commit|tree)?\})|(\^[0-9]{0,3})|(~[0-9]{0,6}))+$`)
)

// IsSHA reports whether s is a whole object name in lower case.
func IsSHA(s string) bool { return fullSHA.MatchString(s) }

// CheckRevision accepts a ref or an object name, and behind it the operators
// that name an ancestor or a type (^, ^2, ~3, ^{commit}).
func CheckRevision(rev string) error {
	base := rev
	if at := ancestry.FindStringIndex(rev); at != nil {
		base = rev[:at[0]]
	}
	if !refName(base) {
		return bad("revision", rev)
	}
	return nil
}

// CheckPath accepts a relative, clean path inside a repository; the
// repository's own administrative directory is not inside.
func CheckPath(p string) error {
	if p == "" || len(p) > maxPath || path.IsAbs(p) || path.Clean(p) != p || p == "." || p == ".." ||
		strings.HasPrefix(p, "../") || strings.ContainsAny(p, "\x00\n") || !utf8.ValidString(p) {
		return bad("path", p)
	}
	for part := range strings.SplitSeq(p, "/") {
		if strings.EqualFold(part, ".git") {
			return bad("path", p)
		}
	}
	return nil
}

// CheckURL accepts the address of a repository over HTTP or HTTPS. A password
// in it is refused: addresses end up in logs and in configuration files.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL || u.Scheme != "https" && u.Scheme != "http" ||
		u.Opaque != "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" ||
		u.Hostname() == "" || u.Hostname()[0] == '-' || strings.ContainsFunc(address, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"'`{}|^<>", r)
	}) {
		return bad("repository address", address)
	}
	return nil
}

func (g *Git) checkRemote(r Remote) error {
	if strings.ContainsAny(r.Authorization, "\r\n\x00") {
		return bad("authorization of", r.URL)
	}
	if r.SSH != nil {
		if r.Authorization != "" {
			return bad("authorization over SSH of", r.URL)
		}
		if err := r.SSH.Check(); err != nil {
			return fmt.Errorf("logging in over SSH: %w", err)
		}
		return CheckSSH(r.URL)
	}
	if g.AllowFile {
		local := strings.TrimPrefix(r.URL, "file://")
		if path.IsAbs(local) && path.Clean(local) == local && len(local) < maxPath && !strings.ContainsAny(local, "\x00\n") {
			return nil
		}
	}
	return CheckURL(r.URL)
}

// checkPattern accepts a ref with at most one star in it.
func checkPattern(p string) error {
	if strings.Count(p, "*") > 1 || !refName(strings.Replace(p, "*", "x", 1)) {
		return bad("ref pattern", p)
	}
	return nil
}

// refspec writes out what a caller asks to fetch: "refs/pull/7/head" is stored
// under its own name, an object name under refs/keep/, "a:b" as it says.
func refspec(spec string) (string, error) {
	from, to, both := strings.Cut(strings.TrimPrefix(spec, "+"), ":")
	switch {
	case !both && IsSHA(from):
		return "+" + from + ":" + KeepRef(from), nil
	case !both:
		to = from
	}
	if err := checkPattern(from); err != nil {
		return "", err
	}
	if err := checkPattern(to); err != nil {
		return "", err
	}
	if !strings.HasPrefix(to, "refs/") || strings.Contains(from, "*") != strings.Contains(to, "*") {
		return "", bad("refspec", spec)
	}
	return "+" + from + ":" + to, nil
}

// KeepRef is the ref under which a commit is kept that was fetched by its
// object name.
func KeepRef(sha string) string { return "refs/keep/" + sha }

// origin is the part of an address up to its path, for which git then uses
// the settings under http.<origin>.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "https://invalid/"
	}
	return u.Scheme + "://" + u.Host + "/"
}

// BasicAuth is the Authorization of a user with a password. GitHub takes
// installation tokens as the password of x-access-token.
func BasicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
