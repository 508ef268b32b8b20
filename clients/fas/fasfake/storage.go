package fasfake

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	requestLife = 10 * time.Minute // of a login that waits, and of its code
	tokenLife   = time.Hour
	idTokenLife = 10 * time.Minute
)

// kept is what outlives the process.
type kept struct {
	Secret   [32]byte // codes and access tokens are encrypted with it
	Key      []byte   // PKCS #1
	KeyID    string
	Requests map[string]*request
	Codes    map[string]string // ids of requests
	Tokens   map[string]*token
}

// keys sign id tokens.
type keys struct{ current, before *signingKey }

type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *signingKey) Key() any                                    { return k.key }
func (k *signingKey) ID() string                                  { return k.id }

type publicKey struct{ *signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.key.PublicKey }

func newKey() (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// open reads what is kept, or begins it.
func (f *Fake) open() error {
	f.kept = kept{Requests: map[string]*request{}, Codes: map[string]string{}, Tokens: map[string]*token{}}
	text, err := []byte(nil), fs.ErrNotExist
	if f.config.Dir != "" {
		if err := os.MkdirAll(f.config.Dir, 0o700); err != nil {
			return err
		}
		text, err = os.ReadFile(f.file())
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		rand.Read(f.kept.Secret[:])
		return f.rotate()
	case err != nil:
		return err
	}
	if err := json.Unmarshal(text, &f.kept); err != nil {
		return fmt.Errorf("reading %s: %w", f.file(), err)
	}
	key, err := x509.ParsePKCS1PrivateKey(f.kept.Key)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.file(), err)
	}
	f.keys.current = &signingKey{f.kept.KeyID, key}
	return nil
}

func (f *Fake) file() string { return filepath.Join(f.config.Dir, "accounts.json") }

// rotate signs with a new key from now on. The caller holds mu.
func (f *Fake) rotate() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	f.keys.before, f.keys.current = f.keys.current, &signingKey{rand.Text()[:8] + "-sig", key}
	f.kept.Key, f.kept.KeyID = x509.MarshalPKCS1PrivateKey(key), f.keys.current.id
	return f.save()
}

// save forgets what is over and writes the rest. The caller holds mu.
func (f *Fake) save() error {
	now := time.Now()
	maps.DeleteFunc(f.kept.Requests, func(_ string, r *request) bool { return now.Sub(r.At) > requestLife })
	maps.DeleteFunc(f.kept.Codes, func(_, id string) bool { return f.kept.Requests[id] == nil })
	maps.DeleteFunc(f.kept.Tokens, func(_ string, t *token) bool { return now.After(t.Till) })
	if f.config.Dir == "" {
		return nil
	}
	text, err := json.Marshal(&f.kept)
	if err != nil {
		return err
	}
	t, err := os.CreateTemp(f.config.Dir, "*.tmp")
	if err != nil {
		return err
	}
	_, err = t.Write(text)
	err = errors.Join(err, t.Close())
	if err == nil {
		err = os.Rename(t.Name(), f.file())
	}
	if err != nil {
		os.Remove(t.Name()) // best effort: the error matters more
	}
	return err
}

// request is a login under way.
type request struct {
	ID, Client, Redirect, State, TheNonce string
	Scopes                                []string
	Challenge                             *oidc.CodeChallenge
	Mode                                  oidc.ResponseMode
	At                                    time.Time
	Login                                 string // of the person, once there is one
	LoggedIn                              time.Time
	IsDone                                bool
}

func (r *request) GetID() string                         { return r.ID }
func (r *request) GetACR() string                        { return "0" }
func (r *request) GetAMR() []string                      { return nil }
func (r *request) GetAudience() []string                 { return []string{r.Client} }
func (r *request) GetAuthTime() time.Time                { return r.LoggedIn }
func (r *request) GetClientID() string                   { return r.Client }
func (r *request) GetCodeChallenge() *oidc.CodeChallenge { return r.Challenge }
func (r *request) GetNonce() string                      { return r.TheNonce }
func (r *request) GetRedirectURI() string                { return r.Redirect }
func (r *request) GetResponseType() oidc.ResponseType    { return oidc.ResponseTypeCode }
func (r *request) GetResponseMode() oidc.ResponseMode    { return r.Mode }
func (r *request) GetScopes() []string                   { return r.Scopes }
func (r *request) GetState() string                      { return r.State }
func (r *request) GetSubject() string                    { return r.Login }
func (r *request) Done() bool                            { return r.IsDone }

// token is an access token.
type token struct {
	Login  string
	Scopes []string
	Till   time.Time
}

// request finds one that is not over. The caller holds mu.
func (f *Fake) request(id string) (*request, bool) {
	r, ok := f.kept.Requests[id]
	return r, ok && time.Since(r.At) <= requestLife
}

// forget ends a request and its code. The caller holds mu.
func (f *Fake) forget(id string) {
	delete(f.kept.Requests, id)
	maps.DeleteFunc(f.kept.Codes, func(_, of string) bool { return of == id })
}

// storage is what the library asks and tells.
type storage Fake

func (s *storage) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if slices.Contains(r.Prompt, oidc.PromptNone) {
		return nil, oidc.ErrLoginRequired()
	}
	made := &request{
		ID: rand.Text(), Client: r.ClientID, Redirect: r.RedirectURI, State: r.State, TheNonce: r.Nonce,
		Scopes: r.Scopes, Mode: r.ResponseMode, At: time.Now().UTC(),
	}
	if r.CodeChallenge != "" {
		made.Challenge = &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.Requests[made.ID] = made
	return made, (*Fake)(s).save()
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := (*Fake)(s).request(id)
	if !ok {
		return nil, ErrNoRequest
	}
	was := *r
	return &was, nil
}

func (s *storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id := s.kept.Codes[code]
	s.mu.Unlock()
	return s.AuthRequestByID(ctx, id)
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.Codes[code] = id
	return (*Fake)(s).save()
}

func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	(*Fake)(s).forget(id)
	return (*Fake)(s).save()
}

func (s *storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, till := rand.Text(), time.Now().UTC().Add(tokenLife)
	s.kept.Tokens[id] = &token{Login: r.GetSubject(), Scopes: r.GetScopes(), Till: till}
	return id, till, (*Fake)(s).save()
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.current, nil
}

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []op.Key{publicKey{s.keys.current}}, nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != s.config.ClientID {
		return nil, errors.New("there is no such client")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &client{id: id, redirects: slices.Clone(s.redirects), page: s.config.LoginPage}, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != s.config.ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(s.config.ClientSecret)) != 1 {
		return errors.New("client authentication error")
	}
	return nil
}

// SetUserinfoFromScopes is for the id token, which says hardly anything.
func (s *storage) SetUserinfoFromScopes(_ context.Context, info *oidc.UserInfo, login, _ string, _ []string) error {
	info.Subject = login
	return nil
}

func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, id, _, _ string) error {
	s.mu.Lock()
	t, ok := s.kept.Tokens[id]
	s.mu.Unlock()
	if !ok || time.Now().After(t.Till) {
		return errors.New("the token is not valid")
	}
	p, ok := (*Fake)(s).person(t.Login)
	if !ok {
		return errors.New("the account is gone")
	}
	info.Subject = p.Login
	for _, scope := range t.Scopes {
		switch scope {
		case oidc.ScopeProfile:
			info.Name, info.Nickname, info.PreferredUsername = p.Name, p.Login, p.Login
			info.Zoneinfo = "UTC"
		case oidc.ScopeEmail:
			info.Email = p.Email
		case GroupsScope:
			info.AppendClaims("groups", p.Groups)
		}
	}
	return nil
}

func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

func (s *storage) Health(context.Context) error { return nil }

// What follows belongs to grants and pages that are not served.

var errNotServed = errors.New("this is not served here")

func (s *storage) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, errNotServed
}

func (s *storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, op.ErrInvalidRefreshToken
}
func (s *storage) TerminateSession(context.Context, string, string) error { return errNotServed }
func (s *storage) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return oidc.ErrInvalidRequest()
}

func (s *storage) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}

func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotServed
}

func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotServed
}

func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotServed
}

// client is the one that is registered.
type client struct {
	id        string
	redirects []string
	page      func(string) string
}

func (c *client) GetID() string                       { return c.id }
func (c *client) RedirectURIs() []string              { return c.redirects }
func (c *client) PostLogoutRedirectURIs() []string    { return nil }
func (c *client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c *client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodPost }
func (c *client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c *client) GrantTypes() []oidc.GrantType                                 { return []oidc.GrantType{oidc.GrantTypeCode} }
func (c *client) LoginURL(request string) string                               { return c.page(request) }
func (c *client) AccessTokenType() op.AccessTokenType                          { return op.AccessTokenTypeBearer }
func (c *client) IDTokenLifetime() time.Duration                               { return idTokenLife }
func (c *client) DevMode() bool                                                { return false }
func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return everything }
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return everything }
func (c *client) IsScopeAllowed(scope string) bool                             { return slices.Contains(scopes, scope) }
func (c *client) IDTokenUserinfoClaimsAssertion() bool                         { return false }
func (c *client) ClockSkew() time.Duration                                     { return 0 }

func everything(scopes []string) []string { return scopes }
