package jobs

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"millrace/clients/fasjson"
	"millrace/clients/fasjson/fasjsonfake"
	"millrace/clients/httpx"
	"millrace/models"
)

// TestFASJSON asks who people are at GitHub, and gets nothing wrong from an
// account system in trouble.
func TestFASJSON(t *testing.T) {
	t.Parallel()
	fake := fasjsonfake.New(fasjsonfake.Config{Tokens: map[string]string{"ticket": "millrace"}, People: []fasjsonfake.Person{
		{Login: "ada", GitHub: "ada-gh"}, {Login: "bo"}, {Login: "prv", GitHub: "prv-gh", Private: true}, {Login: "lok", GitHub: "lok-gh", Locked: true},
	}})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	token := "ticket"
	accounts := FASJSON{Client: &fasjson.Client{
		BaseURL: server.URL, HTTP: &http.Client{Timeout: 20 * time.Second},
		Negotiate: func(context.Context, string) ([]byte, error) { return []byte(token), nil },
	}}
	for account, want := range map[string]string{"ada": "ada-gh", "bo": "", "prv": ""} {
		if got, err := accounts.GitHubOf(t.Context(), account); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", account, got, err, want)
		}
	}
	for _, account := range []string{"nobody", "lok", "../me", ""} {
		if got, err := accounts.GitHubOf(t.Context(), account); !errors.Is(err, models.ErrNotFound) || httpx.Temporary(err) || got != "" {
			t.Errorf("%q is %q, %v", account, got, err)
		}
	}
	for _, fault := range []fasjsonfake.Fault{{Status: 500}, {Status: 503}, {Status: 429}, {Cut: true}, {Body: `{"result": {"username": "ada", "github_username": 7}}`}} {
		fake.Misbehave(fault)
		if got, err := accounts.GitHubOf(t.Context(), "ada"); err == nil || errors.Is(err, models.ErrNotFound) || got != "" {
			t.Errorf("%+v: ada is %q, %v", fault, got, err)
		}
	}
	fake.Misbehave(fasjsonfake.Fault{})
	token = "forged"
	if got, err := accounts.GitHubOf(t.Context(), "ada"); !fasjson.IsUnknown(err) || errors.Is(err, models.ErrNotFound) {
		t.Errorf("with a forged ticket ada is %q, %v", got, err)
	}
}
