package models

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewSecret(t *testing.T) {
	t.Parallel()
	var a, b Token
	one, two := a.NewSecret(), b.NewSecret()
	if one == two || len(one) != len(TokenPrefix)+52 || !strings.HasPrefix(one, TokenPrefix) || !strings.HasPrefix(one, a.Hint) || len(a.Hint) != len(TokenPrefix)+4 {
		t.Errorf("secrets %q and %q, hint %q", one, two, a.Hint)
	}
	if a.Hash != HashToken(one) || a.Hash == b.Hash || strings.Contains(one, a.Hash) {
		t.Errorf("hashes %q, %q", a.Hash, b.Hash)
	}
}

func TestTokenCheck(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	read := []TokenScope{ReadScope}
	for _, c := range []struct {
		token Token
		field string
	}{
		{Token{Name: "CI", Scopes: read, ExpiresAt: now.Add(time.Hour)}, ""},
		{Token{Name: "  CI  ", Scopes: []TokenScope{AdminScope, ReadScope, AdminScope}, ExpiresAt: now.Add(year)}, ""},
		{Token{Name: " ", Scopes: read, ExpiresAt: now.Add(time.Hour)}, "name"},
		{Token{Name: "a\x00b", Scopes: read, ExpiresAt: now.Add(time.Hour)}, "name"},
		{Token{Name: strings.Repeat("x", 101), Scopes: read, ExpiresAt: now.Add(time.Hour)}, "name"},
		{Token{Name: "CI", ExpiresAt: now.Add(time.Hour)}, "scopes"},
		{Token{Name: "CI", Scopes: []TokenScope{ReadScope, "root"}, ExpiresAt: now.Add(time.Hour)}, "scopes"},
		{Token{Name: "CI", Scopes: read, ExpiresAt: now}, "days"},
		{Token{Name: "CI", Scopes: read, ExpiresAt: now.Add(year + time.Second)}, "days"},
		{Token{Name: "CI", Scopes: read}, "days"},
	} {
		token, field := c.token, ""
		err := token.Check(now, year)
		if bad, ok := err.(*InputError); ok {
			field = bad.Field
		}
		if field != c.field || (err == nil) != (c.field == "") {
			t.Errorf("%+v: %v, want a mistake in %q", c.token, err, c.field)
		}
	}
	token := Token{Name: " CI ", Scopes: []TokenScope{AdminScope, ReadScope, AdminScope}, ExpiresAt: now.Add(time.Hour)}
	if err := token.Check(now, year); err != nil || token.Name != "CI" || !cmp.Equal(token.Scopes, []TokenScope{ReadScope, AdminScope}) {
		t.Errorf("%+v, %v", token, err)
	}
	if token.Expired(now.Add(time.Hour-time.Second)) || !token.Expired(now.Add(time.Hour)) {
		t.Error("the token expires at another time than it says")
	}
}
