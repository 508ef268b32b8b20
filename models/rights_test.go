package models

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRights tries every role with every action.
func TestRights(t *testing.T) {
	t.Parallel()
	const object = "mill/wheel"
	user := &Viewer{ID: 1, Login: "ada"}
	people := []struct {
		name   string
		viewer *Viewer
		facts  About
	}{
		{"anyone", nil, About{Object: object, Author: "ada", Requester: "ada"}},
		{"anyone, of whom nothing is known", nil, About{}},
		{"logged in", user, About{Object: object, Author: "bo", Requester: "bo"}},
		{"logged in, author not known", &Viewer{}, About{Object: object}},
		{"author", user, About{Object: object, Author: "ada", Requester: "bo"}},
		{"requester", user, About{Object: object, Author: "bo", Requester: "ada"}},
		{"committer", user, About{Object: object, Role: Committer}},
		{"maintainer", user, About{Object: object, Role: Maintainer}},
		{"whom a forge calls an operator", user, About{Object: object, Role: Operator}},
		{"operator", &Viewer{Login: "ada", Operator: true}, About{Object: object}},
	}
	got := map[string][]Right{}
	for _, p := range people {
		got[p.name] = nil
		for _, a := range []Right{ReadRight, RerunRight, CancelRight, AllowlistRight, AuditRight, "fly"} {
			v := May(p.viewer, a, p.facts)
			if v.Allowed {
				got[p.name] = append(got[p.name], a)
			}
			if v.Allowed != (v.Reason == "") || v.Allowed != (v.HowTo == "") {
				t.Errorf("%s, %s: %+v", p.name, a, v)
			}
			if p.viewer == nil && a != "fly" && !v.Allowed && v.Reason != needsLogin {
				t.Errorf("%s, %s: %q does not say to log in", p.name, a, v.Reason)
			}
		}
	}
	want := map[string][]Right{
		"anyone":                           {ReadRight},
		"anyone, of whom nothing is known": {ReadRight},
		"logged in":                        {ReadRight},
		"logged in, author not known":      {ReadRight},
		"author":                           {ReadRight, RerunRight},
		"requester":                        {ReadRight, CancelRight},
		"committer":                        {ReadRight, RerunRight, CancelRight},
		"maintainer":                       {ReadRight, RerunRight, CancelRight},
		"whom a forge calls an operator":   {ReadRight, RerunRight, CancelRight},
		"operator":                         {ReadRight, RerunRight, CancelRight, AllowlistRight, AuditRight},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOperators(t *testing.T) {
	t.Parallel()
	u := &User{ID: 7, Login: "ada", Name: "Ada", Groups: []string{"packager", "sysadmin-main"}}
	for _, c := range []struct {
		groups []string
		want   bool
	}{
		{nil, false}, {[]string{"sysadmin"}, false}, {[]string{"other", "sysadmin-main"}, true}, {[]string{""}, false},
	} {
		if got := NewViewer(u, c.groups).Operator; got != c.want {
			t.Errorf("operators %q: %v", c.groups, got)
		}
	}
	want := &Viewer{ID: 7, Login: "ada", Name: "Ada", Groups: u.Groups, Operator: true}
	if diff := cmp.Diff(want, NewViewer(u, []string{"packager"})); diff != "" {
		t.Error(diff)
	}
}
