// Package wire holds what the readers of all messages from outside share: how
// JSON that may be hostile is decoded, how secrets are compared, and the few
// shapes that every service writes alike.
package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	// MaxBody is the size in bytes of the largest message that is read. GitHub
	// sends no larger ones:
	// https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
	MaxBody = 25 << 20
	// MaxDepth is how deep objects and lists may be nested. Real messages stay
	// under 15.
	MaxDepth = 64

	maxURL = 2048
)

// Decode reads body, which must be one JSON object, into out. Members that out
// does not name are only checked for syntax.
func Decode(body []byte, out any) error {
	if len(body) > MaxBody {
		return fmt.Errorf("it is larger than %d bytes", MaxBody)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return errors.New("it is not a JSON object")
	}
	if Deeper(body, MaxDepth) {
		return fmt.Errorf("it is nested deeper than %d levels", MaxDepth)
	}
	err := json.Unmarshal(body, out)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%q cannot be a JSON %s", wrong.Field, wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("it is not well-formed JSON: %w", err)
	}
	return nil
}

// Object checks that body is one well-formed JSON object within the limits.
func Object(body []byte) error {
	if len(body) <= MaxBody && bytes.HasPrefix(body, []byte("{")) && !Deeper(body, MaxDepth) && json.Valid(body) {
		return nil // as most are; what is wrong with others Decode finds out
	}
	var raw json.RawMessage
	return Decode(body, &raw)
}

// NewUUID makes a random UUID.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Deeper reports whether brackets outside of strings are nested deeper than that.
// What it says about malformed JSON does not matter, as long as it stops.
func Deeper(body []byte, most int) bool {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Signed reports whether signature is the hexadecimal HMAC-SHA256 of body under
// one of secrets. Several are in use while a secret is replaced; empty ones
// prove nothing.
func Signed(secrets []string, body []byte, signature string) bool {
	got, err := hex.DecodeString(signature)
	if err != nil || len(got) != sha256.Size {
		return false
	}
	proven := false
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		proven = hmac.Equal(got, mac.Sum(nil)) || proven
	}
	return proven
}

// KnownSecret reports, in a time that does not depend on how much of it is
// right, whether got is one of secrets. Empty ones are not compared.
func KnownSecret(secrets []string, got string) bool {
	known := false
	sum := sha256.Sum256([]byte(got)) // hides the lengths
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		want := sha256.Sum256([]byte(secret))
		known = subtle.ConstantTimeCompare(sum[:], want[:]) == 1 || known
	}
	return known
}

// Printable reports whether s is 1 to limit bytes of visible ASCII and single
// spaces inside, as header values and identifiers are.
func Printable(s string, limit int) bool {
	if s == "" || len(s) > limit || s != strings.TrimSpace(s) {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Hash returns the full object name in s in lower case: 40 or 64 hexadecimal
// digits. For anything else, and for the zeros that say "no object", it
// returns "", so that what is passed on to git is never more than a hash.
func Hash(s string) string {
	if len(s) != 40 && len(s) != 64 {
		return ""
	}
	if strings.Trim(s, "0") == "" || strings.Trim(s, "0123456789abcdefABCDEF") != "" {
		return ""
	}
	return strings.ToLower(s)
}

// Ref splits a full ref into the short name of a branch or of a tag. Both are
// empty for other refs and for names that git itself would refuse to begin
// with.
func Ref(ref string) (branch, tag string) {
	if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return RefName(name), ""
	}
	if name, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "", RefName(name)
	}
	return "", ""
}

// RefName returns the short name of a branch or tag, or "" if git would not
// accept it or take it for an option.
// https://git-scm.com/docs/git-check-ref-format
func RefName(name string) string {
	if len(name) > 1024 || strings.HasPrefix(name, "-") || strings.HasPrefix(name, "/") ||
		strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "//") || strings.Contains(name, "@{") {
		return ""
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) {
			return ""
		}
	}
	return name
}

// WebURL returns s without a slash at its end if it is an absolute HTTP URL
// that carries no credentials, otherwise "".
func WebURL(s string) string {
	if len(s) > maxURL {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return strings.TrimRight(u.String(), "/")
}

// FirstLine is the first line of text, as commit messages have one for a title.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

// Quote shows a word of unknown origin inside a sentence.
func Quote(s string) string {
	const limit = 40
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strconv.Quote(s)
}
