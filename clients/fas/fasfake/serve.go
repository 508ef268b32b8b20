package fasfake

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const maxForm = 64 << 10

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-r.Context().Done():
			return
		}
	}
	if fault.Status != 0 {
		http.Error(w, "<h1>"+http.StatusText(fault.Status)+"</h1>", fault.Status)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "no-store")
	switch strings.TrimPrefix(r.URL.Path, f.path) {
	case "/.well-known/openid-configuration":
		answer(w, http.StatusOK, f.description())
	case "/Authorization":
		f.authorize(w, r)
	case "/Authorization/callback", "/Jwks":
		f.pass(w, r)
	case "/Token":
		f.token(w, r, fault)
	case "/UserInfo":
		f.userinfo(w, r, fault)
	case "/Registration":
		fail(w, http.StatusBadRequest, "invalid_request", "dynamic client registration has been disabled")
	default:
		http.NotFound(w, r)
	}
}

// pass lets the library answer. It knows its pages by other names; to give it
// ours would change them for all providers of the process.
func (f *Fake) pass(w http.ResponseWriter, r *http.Request) {
	u := *r.URL
	u.RawPath = ""
	u.Path = map[string]string{
		"/Authorization": f.op.AuthorizationEndpoint().Relative(), "/Authorization/callback": f.op.AuthorizationEndpoint().Relative() + "/callback",
		"/Token": f.op.TokenEndpoint().Relative(), "/UserInfo": f.op.UserinfoEndpoint().Relative(), "/Jwks": f.op.KeysEndpoint().Relative(),
	}[strings.TrimPrefix(r.URL.Path, f.path)]
	inside := *r
	inside.URL = &u
	f.op.ServeHTTP(w, &inside)
}

// description is what the account system says of itself. The slip among the
// response types is the real one's.
func (f *Fake) description() map[string]any {
	at := func(name string) string { return f.config.Issuer + name }
	return map[string]any{
		"issuer": f.config.Issuer, "authorization_endpoint": at("Authorization"), "token_endpoint": at("Token"),
		"userinfo_endpoint": at("UserInfo"), "jwks_uri": at("Jwks"), "scopes_supported": scopes,
		"response_types_supported": []string{"code", "id_token", "token", "id_tokentoken"},
		"response_modes_supported": []string{"query", "fragment", "form_post", "oob", "none"},
		"grant_types_supported":    []string{"authorization_code", "implicit", "refresh_token"},
		"subject_types_supported":  []string{"pairwise", "public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"claims_supported":                      []string{"sub", "name", "nickname", "email", "zoneinfo", "locale"},
		"claims_parameter_supported":            true,
	}
}

// authorize refuses scopes that do not exist, which the library would pass over.
// The redirect address is looked at first: nobody is sent to a foreign one.
func (f *Fake) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The request cannot be read.", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	known := r.Form.Get("client_id") == f.config.ClientID && slices.Contains(f.redirects, r.Form.Get("redirect_uri"))
	f.mu.Unlock()
	if !known {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "<!doctype html><title>Error</title><h1>Invalid request</h1><p>The client or its redirect address is not registered.</p>\n")
		return
	}
	for scope := range strings.FieldsSeq(r.Form.Get("scope")) {
		if !slices.Contains(scopes, scope) {
			http.Redirect(w, r, back(r.Form.Get("redirect_uri"), r.Form.Get("state"), "invalid_scope", "unknown scope requested"), http.StatusFound)
			return
		}
	}
	f.pass(w, r)
}

// token answers as the real one: the client's secret must be in the form, since
// it is registered so; a refused grant has status 200.
func (f *Fake) token(w http.ResponseWriter, r *http.Request, fault Fault) {
	if r.Header.Get("Authorization") != "" {
		fail(w, http.StatusBadRequest, "invalid_client", "client authentication error")
		return
	}
	recorded := httptest.NewRecorder()
	f.pass(recorded, r)
	var body map[string]any
	if err := json.Unmarshal(recorded.Body.Bytes(), &body); err != nil {
		http.Error(w, "The answer cannot be read.", http.StatusInternalServerError)
		return
	}
	if body["error"] != nil {
		status := recorded.Code
		if body["error"] == "invalid_grant" {
			status = http.StatusOK
		}
		answer(w, status, body)
		return
	}
	if signed, ok := body["id_token"].(string); ok {
		anew, err := f.again(signed, fault)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body["id_token"] = anew
	}
	answer(w, recorded.Code, body)
}

// again signs an id token once more, with the claims that the real one has.
func (f *Fake) again(signed string, fault Fault) (string, error) {
	f.mu.Lock()
	key := f.keys.current
	if fault.Expired {
		key = f.keys.before
	}
	f.mu.Unlock()
	parsed, err := jose.ParseSigned(signed, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", fmt.Errorf("reading a token: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return "", fmt.Errorf("reading a token: %w", err)
	}
	claims["amr"], claims["acr"] = "[]", "0"
	change(claims, fault.Token)
	if fault.Foreign {
		foreign, err := newKey()
		if err != nil {
			return "", err
		}
		key = &signingKey{id: key.id, key: foreign}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key.key, KeyID: key.id}}, nil)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return object.CompactSerialize()
}

// userinfo refuses with the real one's words.
func (f *Fake) userinfo(w http.ResponseWriter, r *http.Request, fault Fault) {
	if r.Header.Get("Authorization") == "" {
		fail(w, http.StatusForbidden, "no_token_provided", "no token provided")
		return
	}
	recorded := httptest.NewRecorder()
	f.pass(recorded, r)
	var claims map[string]any
	if recorded.Code != http.StatusOK || json.Unmarshal(recorded.Body.Bytes(), &claims) != nil {
		fail(w, http.StatusBadRequest, "invalid_token", "the token is not valid")
		return
	}
	change(claims, fault.Info)
	answer(w, http.StatusOK, claims)
}

// change sets claims, and removes those that are nil.
func change(claims, to map[string]any) {
	maps.Copy(claims, to)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked may have left
}

func fail(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, map[string]string{"error": code, "error_description": description})
}

// origin is the part of an address that policies of browsers name.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Origin is the origin to which the browser is sent afterwards.
func (r Request) Origin() string { return origin(r.Back) }
