package anitya_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/anitya"
	"millrace/clients/anitya/anityafake"
	"millrace/clients/fedbus"
	"millrace/clients/httpx"
	"millrace/models"
)

func start(t *testing.T) (*anityafake.Server, *anitya.Client) {
	t.Helper()
	fake := new(anityafake.Server)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, &anitya.Client{BaseURL: server.URL}
}

func mill(t *testing.T, fake *anityafake.Server) int64 {
	t.Helper()
	id := fake.Add(anitya.Project{Name: "mill", Homepage: "https://mill.example.org", Backend: "GitHub", Ecosystem: "https://mill.example.org",
		Versions: []string{"1.1rc1", "1.0"}, StableVersions: []string{"1.0"}})
	// The same name elsewhere, and a package whose name only begins so.
	other := fake.Add(anitya.Project{Name: "mill", Ecosystem: "npm"})
	for pkg, project := range map[string]int64{"mill": id, "nodejs-mill": other} {
		if err := fake.Map(anitya.Fedora, pkg, project); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

func TestProject(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	id := mill(t, fake)
	got, err := client.Project(t.Context(), anitya.Fedora, "mill")
	want := &anitya.Project{ID: id, Name: "mill", Homepage: "https://mill.example.org", Backend: "GitHub", Ecosystem: "https://mill.example.org",
		Version: "1.1rc1", Versions: []string{"1.1rc1", "1.0"}, StableVersions: []string{"1.0"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || got.NewestStable() != "1.0" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err = client.Project(t.Context(), anitya.Fedora, "nodejs-mill"); err != nil || got.Ecosystem != "npm" || got.Version != "" || got.NewestStable() != "" {
		t.Errorf("%+v, %v", got, err)
	}
	// Others' searches are less exact than what is looked for.
	fake.Misbehave(anityafake.Fault{Path: "/api/v2/projects/", Body: `{"items": [{"id": 1, "name": "mill", "ecosystem": "crates.io"}, {"id": 2, "name": "Mill", "ecosystem": "npm"}], "total_items": 2}`})
	if got, err = client.Project(t.Context(), anitya.Fedora, "nodejs-mill"); err == nil {
		t.Errorf("another project: %+v", got)
	}
	for distribution, pkg := range map[string]string{anitya.CentOS: "mill", anitya.Fedora: "nobody"} {
		if got, err := client.Project(t.Context(), distribution, pkg); got != nil || err != nil {
			t.Errorf("%s in %s: %+v, %v; want nothing", pkg, distribution, got, err)
		}
	}
	versions, err := client.Versions(t.Context(), id)
	if diff := cmp.Diff(&anitya.Versions{Latest: "1.1rc1", All: []string{"1.1rc1", "1.0"}, Stable: []string{"1.0"}}, versions); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := client.Versions(t.Context(), 1); !anitya.IsNotFound(err) || !strings.Contains(err.Error(), "No such project") {
		t.Errorf("no project: %v", err)
	}
}

func TestManyMappings(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	id := fake.Add(anitya.Project{Name: "mill"})
	for range 600 {
		if err := fake.Map(anitya.Fedora, "mill", id); err != nil {
			t.Fatal(err)
		}
	}
	all, err := client.Mappings(t.Context(), anitya.Fedora, "mill")
	if err != nil || len(all) != 600 {
		t.Errorf("%d mappings, %v", len(all), err)
	}
	endless := make([]anityafake.Fault, 30)
	for i := range endless {
		endless[i].Body = `{"items": [{"name": "x"}], "total_items": 1000000}`
	}
	fake.Misbehave(endless...)
	if _, err := client.Mappings(t.Context(), anitya.Fedora, "mill"); err == nil || !strings.Contains(err.Error(), "more than 20 pages") {
		t.Errorf("an endless list: %v", err)
	}
}

func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault     anityafake.Fault
		temporary bool
		says      string
	}{
		"proxy":    {anityafake.Fault{Status: http.StatusBadGateway}, true, "502"},
		"cut":      {anityafake.Fault{Cut: true}, true, "EOF"},
		"not JSON": {anityafake.Fault{Body: "{"}, false, "decoding"},
		"refused":  {anityafake.Fault{Status: 400, Body: `{"message": {"page": "bad", "name": "worse"}}`}, false, "name: worse; page: bad"},
	}
	for name, test := range tests {
		fake, client := start(t)
		fake.Misbehave(test.fault)
		_, err := client.Project(t.Context(), anitya.Fedora, "mill")
		if err == nil || !strings.Contains(err.Error(), test.says) || httpx.Temporary(err) != test.temporary {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the fake says on the bus is understood as the real one's is.
func TestReleaseIsTold(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	id := mill(t, fake)
	if err := fake.Map(anitya.CentOS, "mill-el", id); err != nil {
		t.Fatal(err)
	}
	var got []*models.Message
	fake.Publish = func(topic string, body []byte) {
		m, reason, err := fedbus.Parser{}.ParseEvent(topic, body)
		if err != nil || m == nil {
			t.Errorf("%s: %q, %v", topic, reason, err)
		}
		got = append(got, m)
	}
	fake.FileBug = func(pkg, version string) int { return len(pkg+version) + 2300000 }
	if err := fake.Release(id, []string{"1.2", "1.1"}, []string{"1.2", "1.1"}); err != nil {
		t.Fatal(err)
	}
	want := []*models.Message{
		{Kind: models.UpstreamVersionEvent, ProjectURL: fedbus.DefaultStreamDistGit + "/rpms/mill-el", Package: "mill-el", Versions: []string{"1.2", "1.1"}, UpstreamID: id, Title: "mill"},
		{Kind: models.UpstreamVersionEvent, ProjectURL: fedbus.DefaultDistGit + "/rpms/mill", Package: "mill", Versions: []string{"1.2", "1.1"}, Bug: 2300007, UpstreamID: id, Title: "mill"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	p, err := client.Project(t.Context(), anitya.Fedora, "mill")
	if err != nil || p.Version != "1.2" || fmt.Sprint(p.Versions) != "[1.2 1.1 1.1rc1 1.0]" || p.NewestStable() != "1.2" {
		t.Errorf("%+v, %v", p, err)
	}
}
