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
