package fasjson_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/fasjson"
	"millrace/clients/fasjson/fasjsonfake"
	"millrace/clients/httpx"
)

var people = []fasjsonfake.Person{
	{Login: "ada", Name: "Ada L.", Email: "ada@example.org", GitHub: "ada-gh", GitLab: " ada.gl ", Groups: []string{"packager"}},
	{Login: "bo", GitHub: "Bo-GH", Private: true, Groups: []string{"packager", "other"}},
	{Login: "cy", GitHub: "ada-GH", Locked: true},
	{Login: "millrace"},
}

func start(t *testing.T) (*fasjsonfake.Fake, *fasjson.Client) {
	t.Helper()
	fake := fasjsonfake.New(fasjsonfake.Config{Tokens: map[string]string{"ticket": "millrace"}, People: people})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, &fasjson.Client{BaseURL: server.URL + "/", HTTP: &http.Client{Timeout: 10 * time.Second}, Negotiate: ticket("ticket")}
}

func ticket(text string) func(context.Context, string) ([]byte, error) {
	return func(context.Context, string) ([]byte, error) { return []byte(text), nil }
}

func TestUser(t *testing.T) {
	t.Parallel()
	_, client := start(t)
	for _, want := range []fasjson.User{
		{Login: "ada", Accounts: map[fasjson.Service]string{fasjson.GitHub: "ada-gh", fasjson.GitLab: "ada.gl"}},
		{Login: "bo", Private: true, Accounts: map[fasjson.Service]string{}},
		{Login: "cy", Locked: true, Accounts: map[fasjson.Service]string{fasjson.GitHub: "ada-GH"}},
	} {
		got, err := client.User(t.Context(), want.Login)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Login, diff)
		}
	}
	for _, name := range []string{"zoe", "", "../me", "a/b", "-x", strings.Repeat("x", 65)} {
		if _, err := client.User(t.Context(), name); !fasjson.IsNotFound(err) || httpx.Temporary(err) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	var want []string
	for i := range 95 { // which are three pages
		name := fmt.Sprintf("user%02d", i)
		fake.Put(fasjsonfake.Person{Login: name, Groups: []string{"crowd"}})
		want = append(want, name)
	}
	got, err := client.GroupMembers(t.Context(), "crowd")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := client.GroupMembers(t.Context(), "packager"); err != nil || !cmp.Equal(got, []string{"ada", "bo"}) {
		t.Errorf("packagers: %q, %v", got, err)
	}
	for _, name := range []string{"nobody", "a/b"} {
		if _, err := client.GroupMembers(t.Context(), name); !fasjson.IsNotFound(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKerberos(t *testing.T) {
	t.Parallel()
	_, client := start(t)
	if me, err := client.Me(t.Context()); err != nil || me != "millrace" {
		t.Errorf("we are %q, %v", me, err)
	}
	asked := ""
	client.Negotiate = func(_ context.Context, host string) ([]byte, error) {
		asked = host
		return nil, errors.New("the ticket is over")
	}
	if _, err := client.User(t.Context(), "ada"); !httpx.Temporary(err) || !strings.Contains(err.Error(), "the ticket is over") || asked != "127.0.0.1" {
		t.Errorf("without a ticket, for %q: %v", asked, err)
	}
	for _, negotiate := range []func(context.Context, string) ([]byte, error){nil, ticket("forged")} {
		client.Negotiate = negotiate
		if _, err := client.User(t.Context(), "ada"); !fasjson.IsUnknown(err) || httpx.Temporary(err) {
			t.Errorf("with a forged ticket: %v", err)
		}
	}
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	for _, c := range []struct {
		fault     fasjsonfake.Fault
		temporary bool
		says      string
	}{
		{fasjsonfake.Fault{Status: 500}, true, "LDAP server is down (LDAP)"},
		{fasjsonfake.Fault{Status: 503}, true, "status 503"},
		{fasjsonfake.Fault{Status: 429}, true, "status 429"},
		{fasjsonfake.Fault{Cut: true}, true, "reading the answer"},
		{fasjsonfake.Fault{Delay: time.Minute}, true, "asking who ada is"},
		{fasjsonfake.Fault{Body: `{"result": []}`}, false, "decoding"},
		{fasjsonfake.Fault{Body: `{"result": {"username": "` + strings.Repeat("x", 2<<20) + `"}}`}, false, "too large"},
	} {
		client.HTTP.Timeout = time.Minute
		if c.fault.Delay > 0 {
			client.HTTP.Timeout = 300 * time.Millisecond
		}
		fake.Misbehave(c.fault)
		u, err := client.User(t.Context(), "ada")
		if err == nil || httpx.Temporary(err) != c.temporary || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+.60v: %v, %.300v", c.fault, u, err)
		}
	}
	fake.Misbehave(fasjsonfake.Fault{Match: "/groups/", Status: 503})
	if _, err := client.User(t.Context(), "ada"); err != nil {
		t.Errorf("while groups fail: %v", err)
	}
}

// TestEndlessPages is a server that always has one page more.
func TestEndlessPages(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	fake.Misbehave(fasjsonfake.Fault{Body: `{"result": [{"username": "x"}], "page": {"total_pages": 1000000, "next_page": "http://evil.example/"}}`})
	got, err := client.GroupMembers(t.Context(), "packager")
	if err != nil || len(got) != 100 {
		t.Errorf("%d members, %v", len(got), err)
	}
}
