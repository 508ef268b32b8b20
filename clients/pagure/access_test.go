package pagure_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/forge"
	"millrace/clients/git/fakeforge"
	"millrace/clients/httpx"
	"millrace/clients/pagure"
	"millrace/clients/pagure/pagurefake"
)

// pagureOf starts a Pagure with a project, rpms/hello of alice's.
func pagureOf(t *testing.T) (*fakeforge.Forge, *pagurefake.Fake, *pagure.Client) {
	t.Helper()
	made, err := fakeforge.New(fakeforge.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := made.CreateRepo(t.Context(), "rpms/hello", "alice"); err != nil {
		t.Fatal(err)
	}
	fake := pagurefake.New(made, pagurefake.Config{})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return made, fake, &pagure.Client{BaseURL: server.URL}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	packages, _, client := pagureOf(t)
	if err := packages.SetAccess("rpms/hello", fakeforge.Access{
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
	want := &forge.Access{
		Owner: "alice", Admins: []string{"bob", "zoe"}, Committers: []string{"carol"},
		Collaborators:      []forge.Collaborator{{Name: "dave", Branches: []string{"epel*", "f44"}}},
		AdminGroups:        []string{"infra-sig"},
		CommitterGroups:    []string{"hello-sig"},
		CollaboratorGroups: []forge.Collaborator{{Name: "epel-packagers-sig", Branches: []string{"epel*"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("access (-want +got):\n%s", diff)
	}
}

func TestHasCommit(t *testing.T) {
	t.Parallel()
	packages, _, client := pagureOf(t)
	if err := packages.SetGroup("epel-packagers-sig", "erin"); err != nil {
		t.Fatal(err)
	}
	if err := packages.SetAccess("rpms/hello", fakeforge.Access{
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

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	packages, _, client := pagureOf(t)
	if err := packages.SetGroup("hello-sig", "erin", "bob"); err != nil {
		t.Fatal(err)
	}
	got, err := client.GroupMembers(t.Context(), "rpms/hello", "hello-sig")
	if diff := cmp.Diff([]string{"bob", "erin"}, got); err != nil || diff != "" {
		t.Errorf("members (-want +got):\n%s\n%v", diff, err)
	}
	if _, err := client.GroupMembers(t.Context(), "rpms/hello", "nobody-sig"); !pagure.IsNotFound(err) || httpx.Temporary(err) ||
		!strings.Contains(err.Error(), "Group not found (ENOGROUP)") {
		t.Errorf("members of a group that is not there: %v", err)
	}
	if _, err := client.GroupMembers(t.Context(), "rpms/hello", "../rpms"); err == nil || pagure.IsNotFound(err) {
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
	if _, err := client.GroupMembers(t.Context(), "rpms/hello", "x"); httpx.RetryAfter(err).IsZero() {
		t.Errorf("with a limit: %v, want a time", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	c := &pagure.Client{BaseURL: "https://git.example.org/"}
	for got, want := range map[string]string{
		c.PullURL("rpms/hello", 12):                      "https://git.example.org/rpms/hello/pull-request/12",
		c.CommitURL("forks/packit/rpms/hello", "abc"):    "https://git.example.org/fork/packit/rpms/hello/c/abc",
		c.FileURL("rpms/hello", "abc", "tests/a b.yaml"): "https://git.example.org/rpms/hello/blob/abc/f/tests/a%20b.yaml",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestGrantGroup: groups get rights as people do, by a token that has the right to do so.
func TestGrantGroup(t *testing.T) {
	t.Parallel()
	packages, _, client := pagureOf(t)
	err := errors.Join(packages.SetGroup("looms", "lea"), packages.SetToken("all", fakeforge.Token{Login: "alice"}),
		packages.SetToken("few", fakeforge.Token{Login: "alice", Rights: []string{"fork_project"}}))
	if err != nil {
		t.Fatal(err)
	}
	client.Token = "few"
	if err := client.Grant(t.Context(), "rpms/hello", forge.Grant{Name: "looms", Group: true, Commit: true}); err == nil || !strings.Contains(err.Error(), "modify_project") {
		t.Errorf("with a token that may not: %v", err)
	}
	client.Token = "all"
	for _, want := range []bool{true, false} {
		if err := client.Grant(t.Context(), "rpms/hello", forge.Grant{Name: "looms", Group: true, Commit: want}); err != nil {
			t.Error(err)
		}
		access, err := client.Access(t.Context(), "rpms/hello")
		if err != nil || slices.Contains(access.CommitterGroups, "looms") != want || packages.MayCommit("rpms/hello", "lea", "rawhide") != want {
			t.Errorf("granted %t: %+v, %v", want, access, err)
		}
	}
	if err := client.Grant(t.Context(), "rpms/hello", forge.Grant{Name: "lea", Group: true, Commit: true}); !pagure.IsNotFound(err) {
		t.Errorf("a group that is none: %v", err)
	}
}
