package models

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// MostTokens is how many tokens a person may have at a time.
const MostTokens = 50

// Token lets a program act as a user. The secret itself is stored nowhere.
type Token struct {
	bun.BaseModel `bun:"table:tokens,alias:token"`

	ID        int64 `bun:",pk,autoincrement"`
	UserID    int64
	Issuer    string // account system that said who the user is
	Name      string // what its user calls it
	Hint      string // how the secret begins, to tell tokens apart
	Hash      string // of the secret
	Scopes    []TokenScope
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time `bun:",nullzero"` // to some minutes; zero: never
}

// TokenPrefix is what secrets begin with, so that people and programs that look
// for secrets recognize one.
const TokenPrefix = "millrace_"

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewSecret makes the secret of a new token and fills in what is stored of it.
func (t *Token) NewSecret() (secret string) {
	var b [32]byte
	rand.Read(b[:])
	secret = TokenPrefix + tokenEncoding.EncodeToString(b[:])
	t.Hash, t.Hint = HashToken(secret), secret[:len(TokenPrefix)+4]
	return secret
}

// HashToken is what is stored of a secret. A fast hash will do: a secret has 256
// random bits, which nobody guesses however fast they are tried; slow hashes are
// for passwords that people think of.
func HashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Has reports whether the token has a scope.
func (t *Token) Has(scope TokenScope) bool { return slices.Contains(t.Scopes, scope) }

// Expired reports whether the token's time is over.
func (t *Token) Expired(now time.Time) bool { return !now.Before(t.ExpiresAt) }

// Check finds what is wrong with a token that somebody wants to have, and brings
// its scopes into order. It may live for most.
func (t *Token) Check(now time.Time, most time.Duration) error {
	t.Name = strings.TrimSpace(t.Name)
	switch {
	case t.Name == "":
		return &InputError{"name", "say what the token is for"}
	case len(t.Name) > 100 || strings.ContainsFunc(t.Name, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' }):
		return &InputError{"name", "it has at most 100 bytes, all of them printable"}
	case len(t.Scopes) == 0:
		return &InputError{"scopes", "choose at least one scope"}
	case !t.ExpiresAt.After(now) || t.ExpiresAt.Sub(now) > most:
		return &InputError{"days", fmt.Sprintf("a token lives from 1 to %d days", int(most.Hours()/24))}
	}
	for _, scope := range t.Scopes {
		if !slices.Contains(TokenScopes, scope) {
			return &InputError{"scopes", fmt.Sprintf("there is no scope %q", scope)}
		}
	}
	wanted := t.Scopes
	t.Scopes = slices.DeleteFunc(slices.Clone(TokenScopes), func(s TokenScope) bool { return !slices.Contains(wanted, s) })
	return nil
}
