package bodhi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/httpx"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

func start(t *testing.T) (*bodhifake.Server, *bodhi.Client) {
	t.Helper()
	fake := bodhifake.New()
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, &bodhi.Client{BaseURL: server.URL}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	got, err := client.Releases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"fedora-all":       {"f43", "f44", "f45", "rawhide"},
		"fedora-latest":    {"f45"},
		"epel-all":         {"epel8", "epel9", "epel10.2", "epel10.3", "epel10"},
		"epel-10-branched": {"epel10.2", "epel10.3"},
	}
	for alias, branches := range want {
		if diff := cmp.Diff(branches, got.Branches("rawhide", alias)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", alias, diff)
		}
	}
	for _, r := range got {
		if r.State == "archived" {
			t.Errorf("%s is archived", r.Name)
		}
	}
	if n := len(fake.Requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// Every release arrives once, however many pages there are.
func TestReleasesOnManyPages(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	var many models.Releases
	for i := range 250 {
		many = append(many, models.Release{Name: fmt.Sprintf("F%03d", i), IDPrefix: "FEDORA", State: "current"})
	}
	fake.SetReleases(many)
	got, err := client.Releases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(many, got); diff != "" {
		t.Errorf("releases (-want +got):\n%s", diff)
	}
	if n := len(fake.Requests()); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	// A release that moved to the next page while we were reading.
	page := `{"releases": [{"name": "F000", "id_prefix": "FEDORA"}], "page": 1, "pages": 2}`
	fake.Misbehave(bodhifake.Fault{Body: page}, bodhifake.Fault{Body: page})
	if got, err = client.Releases(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("Releases = %v, %v, want one", got, err)
	}
}

func TestReleasesWhenBodhiMisbehaves(t *testing.T) {
	t.Parallel()
	endless := make([]bodhifake.Fault, 100)
	for i := range endless {
		endless[i].Body = `{"releases": [{"name": "F1", "id_prefix": "FEDORA"}], "pages": 1000000}`
	}
	tests := []struct {
		name      string
		faults    []bodhifake.Fault
		temporary bool
		says      string
	}{
		{"proxy", []bodhifake.Fault{{Status: http.StatusBadGateway}}, true, "502"},
		{"too many", []bodhifake.Fault{{Status: http.StatusTooManyRequests, Retry: "7"}}, true, "429"},
		{"forbidden", []bodhifake.Fault{{Status: http.StatusForbidden}}, false, "403"},
		{"web page", []bodhifake.Fault{{Status: http.StatusOK}}, true, "web page"},
		{"cut", []bodhifake.Fault{{Cut: true}}, true, "EOF"},
		{"not JSON", []bodhifake.Fault{{Body: "{"}}, false, "decoding"},
		{"wrong type", []bodhifake.Fault{{Body: `{"releases": {"a": 1}}`}}, false, "decoding"},
		{"nothing", []bodhifake.Fault{{Body: `{"releases": [], "pages": 0}`}}, false, "no release of Fedora"},
		{"only ELN", []bodhifake.Fault{{Body: `{"releases": [{"name": "ELN", "id_prefix": "FEDORA"}], "pages": 1}`}}, false, "no release of Fedora"},
		{"endless", endless, false, "more than 50"},
		{"huge", []bodhifake.Fault{{Body: `{"x": "` + strings.Repeat("x", 9<<20) + `"}`}}, false, "too large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fake, client := start(t)
			fake.Misbehave(test.faults...)
			got, err := client.Releases(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("Releases = %v, %v, want an error that says %q", got, err, test.says)
			}
			if httpx.Temporary(err) != test.temporary {
				t.Errorf("%v: temporary is %v", err, !test.temporary)
			}
		})
	}
}

func TestReleasesRetryAfter(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	fake.Misbehave(bodhifake.Fault{Status: http.StatusServiceUnavailable, Retry: "60"})
	_, err := client.Releases(t.Context())
	if e, ok := errors.AsType[*bodhi.Error](err); !ok || time.Until(e.RetryAfter) < 50*time.Second {
		t.Errorf("Releases = %v, want when to come back", err)
	}
}

func TestReleasesGivesUp(t *testing.T) {
	t.Parallel()
	fake, client := start(t)
	fake.Misbehave(bodhifake.Fault{Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Releases(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Releases = %v, want the deadline", err)
	}
}

// The copy in the program is whole, and its date is not forgotten.
func TestLastKnown(t *testing.T) {
	t.Parallel()
	releases := bodhi.LastKnown()
	if got := releases.Chroots("fedora-latest-stable", "epel-10"); len(got) != 2 {
		t.Errorf("chroots of the last known releases: %v", got)
	}
	if _, err := time.Parse(time.DateOnly, bodhi.LastKnownDate); err != nil {
		t.Error(err)
	}
}

// The fake refuses what Bodhi refuses.
func TestFakeRefuses(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(bodhifake.New())
	t.Cleanup(server.Close)
	for path, want := range map[string]int{
		"/releases/?state=gone":         http.StatusBadRequest,
		"/releases/?rows_per_page=101":  http.StatusBadRequest,
		"/releases/?page=0":             http.StatusBadRequest,
		"/releases/?page=x":             http.StatusBadRequest,
		"/releases/F99":                 http.StatusNotFound,
		"/nothing":                      http.StatusNotFound,
		"/releases/F44":                 http.StatusOK,
		"/releases/?page=99":            http.StatusOK,
		"/releases/?exclude_archived=1": http.StatusOK,
	} {
		req, err := http.NewRequest(http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, res.StatusCode, want)
		}
	}
}
