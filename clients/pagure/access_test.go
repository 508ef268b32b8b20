package pagure_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/git/fakeforge"
	"millrace/clients/httpx"
	"millrace/clients/pagure"
	"millrace/clients/pagure/pagurefake"
)

// pagureOf starts a Pagure with a project, rpms/hello of alice's.
func pagureOf(t *testing.T) (*fakeforge.Forge, *pagurefake.Fake, *pagure.Client) {
	t.Helper()
	forge, err := fakeforge.New(fakeforge.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := forge.CreateRepo(t.Context(), "rpms/hello", "alice"); err != nil {
		t.Fatal(err)
	}
	fake := pagurefake.New(forge, pagurefake.Config{})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return forge, fake, &pagure.Client{BaseURL: server.URL}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	forge, _, client := pagureOf(t)
	if err := forge.SetAccess("rpms/hello", fakeforge.Access{
		Admins: []string{"zoe", "bob"}, Committers: []string{"carol"}, Ticketers: []string{"tim"},
		Collaborators: map[string]string{"dave": "epel*, f44"},
		AdminGroups:   []string{"infra-sig"}, CommitterGroups: []string{"hello-sig"}, CollaboratorGroups: map[string]string{"epel-packagers-sig": "epel*"},
	}); err != nil {
		t.Fatal(err)
	}
	got, err := client.Access(t.Context(), "rpms/hello")
	if err != nil {
		t.Fatal(err)
	}
	want := &pagure.Access{
		Owner: "alice", Admins: []string{"bob", "zoe"}, Committers: []string{"carol"},
		Collaborators:      []pagure.Collaborator{{Name: "dave", Branches: []string{"epel*", "f44"}}},
		AdminGroups:        []string{"infra-sig"},
		CommitterGroups:    []string{"hello-sig"},
		CollaboratorGroups: []pagure.Collaborator{{Name: "epel-packagers-sig", Branches: []string{"epel*"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("access (-want +got):\n%s", diff)
	}
}

func TestHasCommit(t *testing.T) {
	t.Parallel()
	forge, _, client := pagureOf(t)
	if err := forge.SetGroup("epel-packagers-sig", "erin"); err != nil {
		t.Fatal(err)
	}
	if err := forge.SetAccess("rpms/hello", fakeforge.Access{
		Committers: []string{"carol"}, Ticketers: []string{"tim"}, Collaborators: map[string]string{"dave": "epel*, f44"},
		CollaboratorGroups: map[string]string{"epel-packagers-sig": "epel*"},
	}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		user, branch string
		want         bool
	}{
		{"alice", "rawhide", true},
		{"carol", "rawhide", true},
		{"dave", "rawhide", false},
		{"dave", "f44", true},
		{"dave", "f441", false},
		{"dave", "epel9/next", true},
		{"erin", "epel10", true},
		{"erin", "f44", false},
		{"tim", "rawhide", false},
		{"nobody", "rawhide", false},
	}
	for _, test := range tests {
		got, err := client.HasCommit(t.Context(), "rpms/hello", test.user, test.branch)
		if err != nil || got != test.want {
			t.Errorf("HasCommit(%s, %s) = %t, %v, want %t", test.user, test.branch, got, err, test.want)
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		patterns, branch string
		want             bool
	}{
		{"epel*", "epel9", true},
		{"epel*", "epel/9/x", true},
		{"f4[34]", "f44", true},
		{"f4[!4]", "f44", false},
		{"f4?", "f4", false},
		{"[", "[", false},
		{"", "rawhide", false},
		{"f43 f44", "f44", true},
	}
	for _, test := range tests {
		c := pagure.Collaborator{Branches: strings.Fields(test.patterns)}
		if got := c.Covers(test.branch); got != test.want {
			t.Errorf("%q covers %q: %t, want %t", test.patterns, test.branch, got, test.want)
		}
	}
}

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	forge, _, client := pagureOf(t)
	if err := forge.SetGroup("hello-sig", "erin", "bob"); err != nil {
		t.Fatal(err)
	}
	got, err := client.GroupMembers(t.Context(), "hello-sig")
	if diff := cmp.Diff([]string{"bob", "erin"}, got); err != nil || diff != "" {
		t.Errorf("members (-want +got):\n%s\n%v", diff, err)
	}
	if _, err := client.GroupMembers(t.Context(), "nobody-sig"); !pagure.IsNotFound(err) || httpx.Temporary(err) ||
		!strings.Contains(err.Error(), "Group not found (ENOGROUP)") {
		t.Errorf("members of a group that is not there: %v", err)
	}
	if _, err := client.GroupMembers(t.Context(), "../rpms"); err == nil || pagure.IsNotFound(err) {
		t.Errorf("members of no group at all: %v", err)
	}
}

func TestAccessRefused(t *testing.T) {
	t.Parallel()
	_, fake, client := pagureOf(t)
	if _, err := client.Access(t.Context(), "rpms/gone"); !pagure.IsNotFound(err) {
		t.Errorf("access of a project that is not there: %v", err)
	}
	for _, name := range []string{"", "rpms/../hello", "rpms//hello", "a/b/c", "forks/x/a/b/c", "rpms/hello?x", "-/whoami"} {
		if _, err := client.Access(t.Context(), name); err == nil || httpx.Status(err) != 0 {
			t.Errorf("access of %q: %v, want it not asked for", name, err)
		}
	}
	for _, faults := range []pagurefake.Faults{{FailEvery: 1}, {DropEvery: 1}, {LimitEvery: 1}, {Match: "contributors", FailEvery: 1}} {
		fake.SetFaults(faults)
		if access, err := client.Access(t.Context(), "rpms/hello"); !httpx.Temporary(err) || access != nil {
			t.Errorf("with %+v: %v, %v, want a temporary error", faults, access, err)
		}
	}
	fake.SetFaults(pagurefake.Faults{LimitEvery: 1})
	if _, err := client.GroupMembers(t.Context(), "x"); httpx.RetryAfter(err).IsZero() {
		t.Errorf("with a limit: %v, want a time", err)
	}
}
