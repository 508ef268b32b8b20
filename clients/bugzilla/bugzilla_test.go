package bugzilla_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/bugzilla"
	"millrace/clients/bugzilla/bugzillafake"
	"millrace/clients/httpx"
)

func start(t *testing.T) (*bugzillafake.Server, *bugzilla.Client) {
	t.Helper()
	fake := &bugzillafake.Server{Keys: map[string]string{"k": "packit@example.org"}}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, &bugzilla.Client{BaseURL: server.URL, APIKey: "k"}
}

func TestReleaseBug(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	for _, b := range []bugzilla.Bug{
		{Summary: "mill-1.0 is available and breaks", Components: []string{"mill"}},
		{Summary: "mill-wheel-1.0 is available", Components: []string{"mill-wheel"}, Creator: bugzilla.MonitoringAccount},
		{Summary: "mill-1.0 is available", Components: []string{"mill"}, Status: "CLOSED", Resolution: "ERRATA", Creator: bugzilla.MonitoringAccount},
		{Summary: "mill-1.0 is available", Components: []string{"mill"}}, // of somebody
		{Summary: "mill-1.0 is available", Components: []string{"mill"}, Product: "Red Hat", Creator: bugzilla.MonitoringAccount},
	} {
		fake.File(b, "")
	}
	if b, err := client.ReleaseBug(t.Context(), "mill", "1.0"); b != nil || err != nil {
		t.Errorf("before: %+v, %v", b, err)
	}
	id := fake.Release("mill", "1.0")
	b, err := client.ReleaseBug(t.Context(), "mill", "1.0")
	if err != nil || b == nil {
		t.Fatalf("ReleaseBug = %v, %v", b, err)
	}
	want := &bugzilla.Bug{ID: id, Summary: "mill-1.0 is available", Status: "NEW", Product: "Fedora", Components: []string{"mill"}, Versions: []string{"rawhide"},
		AssignedTo: "nobody@fedoraproject.org", Creator: bugzilla.MonitoringAccount, Keywords: []string{"FutureFeature", "Triaged"}, Open: true,
		Created: b.Created, Changed: b.Changed}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Error(diff)
	}
	if again := fake.Release("mill", "1.1"); again != id {
		t.Errorf("a second bug, %d", again)
	}
	if b, err = client.ReleaseBug(t.Context(), "mill", "1.0"); b != nil || err != nil {
		t.Errorf("of the version before: %+v, %v", b, err)
	}
	// Others' searches are less exact than what is looked for.
	fake.Misbehave(bugzillafake.Fault{Body: `{"bugs": [null, {"id": 1, "summary": "mill-1.1 is available", "component": ["mill"], "is_open": false},
		{"id": 2, "summary": "mill-1.1 is available", "component": ["windmill"], "is_open": true}]}`})
	if b, err = client.ReleaseBug(t.Context(), "mill", "1.1"); b != nil || err != nil {
		t.Errorf("closed, or another's: %+v, %v", b, err)
	}
	all, err := client.ReleaseBugs(t.Context(), "mill")
	if err != nil || len(all) != 1 || all[0].ID != id {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestChangeBug(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	id := fake.Release("mill", "1.0")
	if user, err := client.User(t.Context()); err != nil || user != "packit@example.org" {
		t.Errorf("User = %q, %v", user, err)
	}
	if err := client.ChangeBug(t.Context(), id, bugzilla.Change{Comment: "Update " + strings.Repeat("ö", 70_000)}); err != nil {
		t.Fatal(err)
	}
	if err := client.ChangeBug(t.Context(), id, bugzilla.Change{Status: "CLOSED"}); bugzilla.Code(err) != 120 || httpx.Temporary(err) {
		t.Errorf("closed without a resolution: %v", err)
	}
	if err := client.ChangeBug(t.Context(), id, bugzilla.Change{Status: "CLOSED", Resolution: "ERRATA", Comment: "Done."}); err != nil {
		t.Fatal(err)
	}
	b, err := client.Bug(t.Context(), id)
	if err != nil || b.Open || b.Resolution != "ERRATA" {
		t.Errorf("%+v, %v", b, err)
	}
	comments, err := client.Comments(t.Context(), id)
	if err != nil || len(comments) != 3 || comments[2].Text != "Done." || comments[2].Creator != "packit@example.org" || len([]rune(comments[1].Text)) != 65535 {
		t.Errorf("%d comments, %v", len(comments), err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	id := fake.Release("mill", "1.0")
	fake.Hide(id)
	nobody := &bugzilla.Client{BaseURL: client.BaseURL}
	stranger := &bugzilla.Client{BaseURL: client.BaseURL, APIKey: "revoked"}
	old := &bugzilla.Client{BaseURL: client.BaseURL, APIKey: "k", KeyInHeader: true}
	for name, test := range map[string]struct {
		client *bugzilla.Client
		id     int
		is     func(error) bool
	}{
		"no bug":      {client, 5, bugzilla.IsNotFound},
		"hidden":      {nobody, id, bugzilla.IsPermission},
		"revoked key": {stranger, id, bugzilla.IsLogin},
		"other key":   {old, id, bugzilla.IsLogin},
	} {
		if _, err := test.client.Bug(t.Context(), test.id); !test.is(err) || httpx.Temporary(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := nobody.ChangeBug(t.Context(), fake.File(bugzilla.Bug{Summary: "x"}, ""), bugzilla.Change{Comment: "x"}); !bugzilla.IsLogin(err) {
		t.Errorf("a comment of nobody: %v", err)
	}
	fake.Misbehave(bugzillafake.Fault{Status: http.StatusServiceUnavailable}, bugzillafake.Fault{Body: `{"bugs": []}`}, bugzillafake.Fault{Body: `{"bugs": [{"id": 1, "component": "mill", "version": "45"}]}`})
	if _, err := client.Bug(t.Context(), id); !httpx.Temporary(err) {
		t.Errorf("a query that took too long: %v", err)
	}
	if _, err := client.Bug(t.Context(), id); !bugzilla.IsNotFound(err) {
		t.Errorf("an answer without bugs: %v", err)
	}
	// Other instances have one component and one version.
	if b, err := client.Bug(t.Context(), 1); err != nil || len(b.Components) != 1 || b.Components[0] != "mill" || b.Versions[0] != "45" {
		t.Errorf("%+v, %v", b, err)
	}
}
