package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

// maxSignedCommit bounds a commit whose signature is looked at, in bytes.
const maxSignedCommit = 1 << 20

// SignedCommit is a commit as it was signed.
type SignedCommit struct {
	SHA       string
	Signature []byte // nil: it is not signed
	Payload   []byte // what was signed: the commit without its signature
}

// Signed returns a commit with its signature, which is not looked at.
func (o *objects) Signed(ctx context.Context, rev string) (*SignedCommit, error) {
	sha, err := o.RevParse(ctx, rev)
	if err != nil {
		return nil, err
	}
	text, err := o.run(ctx, command{args: []string{"cat-file", "commit", sha}, limit: maxSignedCommit})
	if err != nil {
		return nil, fmt.Errorf("reading the commit %s: %w", sha, err)
	}
	c := &SignedCommit{SHA: sha}
	if c.Payload, c.Signature, err = splitSignature(text); err != nil {
		return nil, fmt.Errorf("reading the signature of the commit %s: %w", sha, err)
	}
	return c, nil
}

var errTwoSignatures = errors.New("there are two signatures, of which each may mean another commit")

// signatureHeaders are those that git leaves out of what it signs. The second is for
// repositories with names of 64 digits, whose commits may carry both.
var signatureHeaders = []string{"gpgsig", "gpgsig-sha256"}

// splitSignature takes the signature out of a commit object. A header goes on in
// lines that begin with a blank; an empty line ends all headers.
func splitSignature(object []byte) (payload, signature []byte, err error) {
	var taken, inSignature bool
	rest := object
	for len(rest) > 0 {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			n = len(rest)
		}
		line := rest[:n]
		if n == 1 { // the end of the headers
			break
		}
		rest = rest[n:]
		name, value, _ := strings.Cut(string(line), " ")
		switch {
		case name == "" && inSignature:
			signature = append(signature, value...)
		case name == "":
			payload = append(payload, line...)
		case name == signatureHeaders[0], name == signatureHeaders[1]:
			if taken {
				return nil, nil, errTwoSignatures
			}
			taken, inSignature = true, true
			signature = append(signature, value...)
		default:
			inSignature = false
			payload = append(payload, line...)
		}
	}
	if !taken {
		return object, nil, nil
	}
	if signature == nil {
		signature = []byte{}
	}
	return append(payload, rest...), signature, nil
}
