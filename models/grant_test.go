package models

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGrantOnBranches(t *testing.T) {
	t.Parallel()
	epel := Grant{Branches: []string{"epel*"}}
	for _, c := range []struct {
		grant    Grant
		branches []string
		want     Role
	}{
		{Grant{}, nil, Anyone},
		{Grant{}, []string{"rawhide"}, Anyone},
		{Grant{Role: Committer}, nil, Committer},
		{Grant{Role: Maintainer}, []string{"rawhide"}, Maintainer},
		{epel, nil, Anyone},
		{epel, []string{"epel9"}, Committer},
		{epel, []string{"epel9", "epel10.0"}, Committer},
		{epel, []string{"epel9", "rawhide"}, Anyone},
		{epel, []string{"f43-epel"}, Anyone},
		{Grant{Branches: []string{"*"}}, nil, Committer},
		{Grant{Branches: []string{"f43", "f4?"}}, []string{"f43", "f44"}, Committer},
		{Grant{Branches: []string{"f43", "f4?"}}, []string{"f43", "f50"}, Anyone},
		{epel.Merge(Grant{Branches: []string{"rawhide"}}), []string{"epel9", "rawhide"}, Committer},
		{epel.Merge(Grant{Role: Committer}), []string{"rawhide"}, Committer},
	} {
		if got := c.grant.On(c.branches...); got != c.want {
			t.Errorf("%q on %q: %d, want %d", c.grant, c.branches, got, c.want)
		}
	}
}

func TestMatchBranch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, branch string
		want            bool
	}{
		{"f43", "f43", true}, {"f43", "f430", false}, {"f43", "xf43", false}, {"f4.", "f43", false},
		{"*", "private/ada", true}, {"p*a", "private/ada", true}, {"f??", "f43", true}, {"f??", "f4", false},
		{"f[0-3]*", "f29", true}, {"f[0-3]*", "f43", false}, {"f[!0-3]*", "f43", true}, {"f[!0-3]*", "f29", false},
		{"f[43", "f[43", false}, {"f[]", "f[]", false}, {`f\`, `f\`, false}, {"(f43)+", "f43", false}, {"epel*\nf43", "f43", false},
		{"f[z-a]", "fz", false}, {"f43", "f43\n", false}, {"", "f43", false},
	} {
		if got := matchBranch(c.pattern, c.branch); got != c.want {
			t.Errorf("%.20q matches %q: %v", c.pattern, c.branch, got)
		}
	}
}

func TestGrantText(t *testing.T) {
	t.Parallel()
	for _, g := range []Grant{
		{}, {Role: Committer}, {Role: Maintainer}, {Branches: []string{"epel*", "f43"}}, {Role: Committer, Branches: []string{"*"}},
	} {
		got, err := ParseGrant(g.String())
		if err != nil || got.String() != g.String() || got.Role != g.Role {
			t.Errorf("%q: %+v, %v", g, got, err)
		}
	}
	for _, text := range []string{"", " ", "root", "operator", "committer"} {
		if g, err := ParseGrant(text); err == nil || g.Role != Anyone || len(g.Branches) > 0 {
			t.Errorf("%q is read as %+v", text, g)
		}
	}
	if got := (Grant{Role: Operator}).String(); got != "none" {
		t.Errorf("a source makes operators: %q", got)
	}
	many := Grant{Branches: append([]string{"", "a b", "f43\n*"}, slices.Repeat([]string{"f43"}, 500)...)}
	if got, err := ParseGrant(many.String()); err != nil || len(got.Branches) > maxBranchPatterns || slices.Contains(got.Branches, "*") {
		t.Errorf("%d patterns are kept, %v", len(got.Branches), err)
	}
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	step := func(kind StepKind, downstream string, targets ...string) *Step {
		config, err := json.Marshal(map[string]string{"downstream_package_name": downstream})
		if err != nil {
			t.Fatal(err)
		}
		s := &Step{Kind: kind, Config: config}
		for _, name := range targets {
			s.Targets = append(s.Targets, &Target{Name: name})
		}
		return s
	}
	for _, c := range []struct {
		name  string
		steps []*Step
		want  []Concern
		ok    bool
	}{
		{"none", nil, nil, true},
		{"builds are about the whole package", []*Step{step(CoprBuildStep, "hello", "fedora-43-x86_64")}, []Concern{{Package: "rpms/hello"}}, true},
		{"what writes is about branches", []*Step{step(ProposeStep, "hello", "rawhide", "f43"), step(KojiBuildStep, "hello", "f43", "f44")},
			[]Concern{{"rpms/hello", []string{"rawhide", "f43", "f44"}}}, true},
		{"two packages", []*Step{step(ProposeStep, "a", "f43"), step(ProposeStep, "b", "f44")},
			[]Concern{{"rpms/a", []string{"f43"}}, {"rpms/b", []string{"f44"}}}, true},
		{"no package", []*Step{step(ProposeStep, "", "f43")}, nil, false},
		{"a path", []*Step{step(ProposeStep, "../kernel", "f43")}, nil, false},
		{"an option", []*Step{step(ProposeStep, "-x", "f43")}, nil, false},
		{"one of two has none", []*Step{step(ProposeStep, "a", "f43"), step(ProposeStep, "", "f43")}, []Concern{{"rpms/a", []string{"f43"}}}, false},
		{"a config that cannot be read", []*Step{{Kind: ProposeStep, Config: json.RawMessage(`{"jobs":`)}}, nil, false},
	} {
		got, ok := Concerns(c.steps)
		if diff := cmp.Diff(c.want, got); diff != "" || ok != c.ok {
			t.Errorf("%s: %v, %s", c.name, ok, diff)
		}
	}
	for _, kind := range StepKinds {
		want := strings.Contains(" propose_downstream pull_from_upstream koji_build koji_build_tag bodhi_update ", " "+string(kind)+" ")
		if got := (&Step{Kind: kind}).WritesToFedora(); got != want {
			t.Errorf("%s writes to Fedora: %v", kind, got)
		}
	}
}
