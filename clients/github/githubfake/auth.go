package githubfake

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// actor is who makes a call.
type actor struct {
	login        string        // "" is a stranger
	app          bool          // the App itself, by a signed token
	installation *Installation // the App, at work for an account
}

func badCredentials(why string) error {
	return &refusal{Status: http.StatusUnauthorized, Message: why, DocURL: "https://docs.github.com/rest"}
}

// identify says who makes a call. The caller holds mu.
func (f *Fake) identify(r *http.Request) (actor, error) {
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme == "" {
		return actor{}, nil
	}
	if strings.EqualFold(scheme, "basic") {
		if _, password, ok := r.BasicAuth(); ok {
			credential = password
		}
	}
	if strings.Count(credential, ".") == 2 {
		if err := f.verify(credential); err != nil {
			return actor{}, err
		}
		return actor{login: f.bot().Login, app: true}, nil
	}
	if t, ok := f.world.Tokens[credential]; ok && f.now().Before(t.Expires) {
		for _, i := range f.world.Installations {
			if i.ID == t.Installation {
				return actor{login: f.bot().Login, installation: i}, nil
			}
		}
	}
	if login, ok := f.config.Tokens[credential]; ok {
		return actor{login: f.user(login).Login}, nil
	}
	return actor{}, badCredentials("Bad credentials")
}

// verify proves that a JSON Web Token was signed by the App and is fresh.
func (f *Fake) verify(token string) error {
	parts := strings.Split(token, ".")
	var header struct{ Alg string }
	var claims struct {
		Iss any
		Iat float64
		Exp float64
	}
	if decodePart(parts[0], &header) != nil || decodePart(parts[1], &claims) != nil || header.Alg != "RS256" || f.config.PublicKey == nil {
		return badCredentials("A JSON web token could not be decoded")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return badCredentials("A JSON web token could not be decoded")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(f.config.PublicKey, crypto.SHA256, digest[:], signature) != nil {
		return badCredentials("A JSON web token could not be decoded")
	}
	now := float64(f.now().Unix())
	switch {
	case fmt.Sprint(claims.Iss) != fmt.Sprint(f.config.AppID):
		return badCredentials("'Issuer' claim ('iss') must be an Integer")
	case claims.Exp <= now:
		return badCredentials("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case claims.Exp > now+600:
		return badCredentials("'Expiration time' claim ('exp') is too far in the future")
	case claims.Iat > now+60:
		return badCredentials("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	}
	return nil
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// newToken makes a token for an installation. The caller holds mu.
func (f *Fake) newToken(i *Installation) (string, time.Time) {
	var b [18]byte
	rand.Read(b[:])
	token, expires := "ghs_"+hex.EncodeToString(b[:]), f.now().Add(f.config.TokenLife)
	for old, t := range f.world.Tokens {
		if !f.now().Before(t.Expires) {
			delete(f.world.Tokens, old)
		}
	}
	f.world.Tokens[token] = &installationToken{Installation: i.ID, Expires: expires}
	return token, expires
}

// RevokeTokens ends all installation tokens, as happens when an App's key is
// replaced.
func (f *Fake) RevokeTokens() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.world.Tokens)
}

// right is what a call needs.
type right int

const (
	anyone     right = iota
	someone          // logged in
	writer           // may write to the repository
	theApp           // the App itself
	checkWrite       // the App, installed on the repository
)

// allowed says whether an actor has a right to a repository, if there is one.
// The caller holds mu.
func (f *Fake) allowed(who actor, need right, r *repo) error {
	forbidden := &refusal{Status: http.StatusForbidden, Message: "Resource not accessible by integration",
		DocURL: "https://docs.github.com/rest"}
	if need == theApp {
		if who.app {
			return nil
		}
		return badCredentials("A JSON web token could not be decoded")
	}
	if who.app && need != anyone {
		return forbidden
	}
	if need == anyone {
		return nil
	}
	if who.login == "" {
		return badCredentials("Requires authentication")
	}
	if who.installation != nil {
		if r != nil && f.installation(r) != who.installation {
			return forbidden
		}
		if need == checkWrite && f.faults.ChecksForbidden {
			return forbidden
		}
		return nil
	}
	switch {
	case need == checkWrite:
		return &refusal{Status: http.StatusForbidden, Message: "You must authenticate via a GitHub App.", DocURL: "https://docs.github.com/rest"}
	case need == writer && (r == nil || !canWrite(r.permission(who.login))):
		return &refusal{Status: http.StatusNotFound, Message: "Not Found", DocURL: "https://docs.github.com/rest"}
	}
	return nil
}
