package forge_test

import (
	"slices"
	"strings"
	"testing"

	"millrace/clients/forge"
)

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
		c := forge.Collaborator{Branches: strings.Fields(test.patterns)}
		if got := c.Covers(test.branch); got != test.want {
			t.Errorf("%q covers %q: %t, want %t", test.patterns, test.branch, got, test.want)
		}
	}
}

func TestKeepers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		access   forge.Access
		keepers  []string
		orphaned bool
	}{
		{"an owner", forge.Access{Owner: "ada", Admins: []string{"bo"}}, []string{"ada"}, false},
		{"admins", forge.Access{Admins: []string{"bo"}, AdminGroups: []string{"rpms/infra"}, Committers: []string{"cy"}}, []string{"bo", "@rpms/infra"}, false},
		{"committers", forge.Access{Committers: []string{"cy"}, CommitterGroups: []string{"sig"}}, []string{"cy", "@sig"}, false},
		{"an orphan", forge.Access{Owner: "orphan", Admins: []string{"bo"}}, []string{"orphan"}, true},
		{"nobody", forge.Access{}, nil, true},
	}
	for _, test := range tests {
		if got := test.access.Keepers(); !slices.Equal(got, test.keepers) || test.access.Orphaned() != test.orphaned {
			t.Errorf("%s: kept by %q, orphaned %t", test.name, got, test.access.Orphaned())
		}
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	pkg := forge.Access{
		Owner: "ada", Admins: []string{"bo"}, Committers: []string{"cy", "packit", "bo"}, Collaborators: []forge.Collaborator{{Name: "di"}},
		AdminGroups: []string{"sig"}, CommitterGroups: []string{"looms"}, CollaboratorGroups: []forge.Collaborator{{Name: "some"}},
	}
	tests := []struct {
		name string
		pkg  forge.Access
		fork forge.Access
		want []forge.Grant
	}{
		{"a new fork", pkg, forge.Access{Owner: "packit"}, []forge.Grant{
			{Name: "ada", Commit: true}, {Name: "bo", Commit: true}, {Name: "cy", Commit: true},
			{Name: "looms", Group: true, Commit: true}, {Name: "sig", Group: true, Commit: true},
		}},
		{"nothing differs", pkg, forge.Access{
			Owner: "packit", Admins: []string{"ada"}, Committers: []string{"cy", "bo"}, AdminGroups: []string{"looms"}, CommitterGroups: []string{"sig"},
		}, nil},
		{"some left", forge.Access{Owner: "ada"}, forge.Access{
			Owner: "packit", Admins: []string{"eve"}, Committers: []string{"ada", "bo"}, Collaborators: []forge.Collaborator{{Name: "di"}, {Name: "packit"}},
			CommitterGroups: []string{"sig"}, CollaboratorGroups: []forge.Collaborator{{Name: "some"}},
		}, []forge.Grant{{Name: "bo"}, {Name: "di"}, {Name: "eve"}, {Name: "sig", Group: true}, {Name: "some", Group: true}}},
		{"one who had a part", forge.Access{Owner: "ada"}, forge.Access{Owner: "packit", Collaborators: []forge.Collaborator{{Name: "ada"}}}, []forge.Grant{{Name: "ada", Commit: true}}},
		{"a team", forge.Access{Committers: []string{"ada"}, AdminGroups: []string{"rpms/sig"}}, forge.Access{Owner: "packit", Committers: []string{"ada"}}, nil},
		{"an orphan", forge.Access{Owner: "orphan"}, forge.Access{Owner: "packit", Committers: []string{"ada"}}, []forge.Grant{{Name: "ada"}}},
	}
	for _, test := range tests {
		if got := test.pkg.Grants(&test.fork); !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
