package gpg

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// Verdict is what is known of a signature.
type Verdict struct {
	Key     string // fingerprint of the key that signed, empty if that is not known
	Primary string // fingerprint of the key that Key is a subkey of; Key itself otherwise
	Problem string // why the signature is not good, words for the end of a sentence; empty: it is
}

// kind is how something was signed: openPGP, or why that is none of ours.
type kind string

const openPGP kind = ""

// kindOf tells signatures apart as git does, by how they begin.
func kindOf(signature []byte) kind {
	text := bytes.TrimSpace(signature)
	switch {
	case signature == nil:
		return "it is not signed"
	case bytes.HasPrefix(text, []byte("-----BEGIN PGP SIGNATURE-----")):
		return openPGP
	case bytes.HasPrefix(text, []byte("-----BEGIN SSH SIGNATURE-----")):
		return "it is signed with an SSH key, which allowed_gpg_keys cannot name"
	case bytes.HasPrefix(text, []byte("-----BEGIN SIGNED MESSAGE-----")):
		return "it is signed with an X.509 certificate, which allowed_gpg_keys cannot name"
	}
	return "its signature is of no known kind"
}

// problems are gpg's words for signatures that are not good.
var problems = map[string]string{
	"BADSIG":    "its signature is bad",
	"EXPSIG":    "its signature has expired",
	"EXPKEYSIG": "the key that signed it has expired",
	"REVKEYSIG": "the key that signed it was revoked",
	"ERRSIG":    "its signature cannot be checked",
	"NO_PUBKEY": "the key that signed it is not in the keyring of this service",
}

// weakHashes are the numbers of hashes for which somebody can make another commit
// with the same one.
var weakHashes = map[string]string{"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160"}

var fingerprint = regexp.MustCompile(`^(?:[0-9A-F]{40}|[0-9A-F]{64})$`)

// readStatus reads what gpg --verify says for programs. One good signature is good,
// and nothing else: neither none, nor two, nor one of which anything else is said.
func readStatus(status string) *Verdict {
	v := new(Verdict)
	good, valid, all := 0, 0, 0
	problem := ""
	for line := range strings.Lines(status) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "[GNUPG:] ")
		words := strings.Fields(text)
		if !ok || len(words) == 0 {
			continue
		}
		switch word := words[0]; word {
		case "NEWSIG":
			all++
		case "GOODSIG":
			good++
		case "VALIDSIG":
			valid++
			if why := v.readValid(words[1:]); why != "" && problem == "" {
				problem = why
			}
		case "NO_PUBKEY":
			problem = problems[word] // follows ERRSIG, and says more
		default:
			if why := problems[word]; why != "" && problem == "" {
				problem = why
			}
		}
	}
	switch {
	case problem != "":
		v.Problem = problem
	case all > 1 || good > 1 || valid > 1:
		v.Problem = "it has several signatures"
	case good != 1 || valid != 1:
		v.Problem = "gpg does not say that its signature is good"
	}
	return v
}

// readValid reads the fields of VALIDSIG: fingerprint, date, time, expiry, version,
// reserved, algorithm, hash, class, primary fingerprint.
func (v *Verdict) readValid(fields []string) string {
	if len(fields) < 9 || !fingerprint.MatchString(fields[0]) {
		return "gpg does not say who signed it"
	}
	v.Key, v.Primary = fields[0], fields[0]
	if len(fields) > 9 && fingerprint.MatchString(fields[9]) {
		v.Primary = fields[9]
	}
	if hash := weakHashes[fields[7]]; hash != "" {
		return fmt.Sprintf("its signature is over a hash of %s, which can be forged", hash)
	}
	if class := fields[8]; class != "00" && class != "01" {
		return "its signature is not one over a document"
	}
	return ""
}
