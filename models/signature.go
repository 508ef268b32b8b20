package models

import (
	"fmt"
	"regexp"
	"strings"
)

var keyName = regexp.MustCompile(`^(?:[0-9A-F]{16}|[0-9A-F]{40}|[0-9A-F]{64})$`)

// KeyName is how allowed_gpg_keys names an OpenPGP key: a whole fingerprint, or the
// long id of 16 digits, in capitals and without blanks.
type KeyName string

// ParseKeyName reads a name as people write it: in groups of digits, in small
// letters, with 0x before it. Short ids are refused, as anybody can make a key that
// has one.
func ParseKeyName(text string) (KeyName, error) {
	name := strings.ToUpper(strings.NewReplacer(" ", "", "\t", "", ":", "").Replace(strings.TrimSpace(text)))
	name = strings.TrimPrefix(name, "0X")
	if !keyName.MatchString(name) {
		return "", fmt.Errorf("%.100q names no key: a fingerprint has 40 digits and letters from A to F, a long id 16", text)
	}
	return KeyName(name), nil
}

// Means reports whether the name is that of a key with a fingerprint. The long id
// is the end of a fingerprint of 40 digits, and the beginning of one of 64.
func (n KeyName) Means(fingerprint string) bool {
	switch {
	case len(n) == len(fingerprint):
		return string(n) == fingerprint
	case len(n) != 16:
		return false
	case len(fingerprint) == 64:
		return strings.HasPrefix(fingerprint, string(n))
	}
	return len(fingerprint) == 40 && strings.HasSuffix(fingerprint, string(n))
}

// KeyAllowed reports whether one of the names is that of a key: of the one that
// signed, or of that whose subkey it is.
func KeyAllowed(names []string, key, primary string) (bool, error) {
	allowed := false
	for _, text := range names {
		name, err := ParseKeyName(text)
		if err != nil {
			return false, err
		}
		allowed = allowed || name.Means(key) || name.Means(primary)
	}
	return allowed, nil
}
