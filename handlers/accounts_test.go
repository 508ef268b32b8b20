package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/clients/fasjson"
	"millrace/clients/fasjson/fasjsonfake"
	"millrace/jobs/access"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// TestAccountsElsewhere: people see which of their accounts count, and what is
// missing.
func TestAccountsElsewhere(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	people := fasjsonfake.New(fasjsonfake.Config{Tokens: map[string]string{"ticket": "millrace"}, People: []fasjsonfake.Person{{Login: "ada"}}})
	server := httptest.NewServer(people)
	t.Cleanup(server.Close)
	nobody, ada := d.browser(), d.browser()
	if w := nobody.open(t, "/settings/accounts"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "Log in") {
		t.Errorf("nobody: status %d", w.Code)
	}
	ada.login(t, "ada")
	contains(t, ada.open(t, "/settings/accounts"), "No forge to ask about")
	d.Rights = &access.Rights{
		Store: d.Store, Log: quietLog(), Forges: map[string]access.Forge{"github.com": asked{}},
		Accounts: &fasjson.Client{BaseURL: server.URL, HTTP: server.Client(), Negotiate: func(context.Context, string) ([]byte, error) { return []byte("ticket"), nil }},
	}
	contains(t, ada.open(t, "/settings/accounts"), "No account there is known to be yours", "/packit verify-fas ada")
	forget := func(tx *store.Tx) error {
		u := &models.User{Login: "ada"}
		return errors.Join(tx.SaveUser(t.Context(), u), tx.ForgetGrants(t.Context(), u.ID))
	}
	people.Put(fasjsonfake.Person{Login: "ada", GitHub: "ada-gh"})
	d.write(t, forget)
	contains(t, ada.open(t, "/settings/accounts"), "ada-gh is not proved to be yours", "/packit verify-fas ada")
	contains(t, ada.open(t, "/api/v3/settings/accounts"), `"account":"ada-gh"`, `"proved":false`, `"proved_at":null`)
	d.write(t, func(tx *store.Tx) error {
		return tx.SaveProof(t.Context(), "github.com", models.Proof{Account: "ADA-gh", Login: "ada"})
	})
	w := ada.open(t, "/settings/accounts")
	contains(t, w, "ada-gh is proved to be yours")
	if strings.Contains(w.Body.String(), "verify-fas") {
		t.Error("what is proved is to be proved again")
	}
	contains(t, ada.open(t, "/api/v3/settings/accounts"), `"proved":true`)
	people.Misbehave(fasjsonfake.Fault{Status: http.StatusServiceUnavailable})
	d.write(t, forget)
	if w := ada.open(t, "/settings/accounts"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the account system does not answer") {
		t.Errorf("without an answer: status %d", w.Code)
	}
}
