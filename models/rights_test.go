package models

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everyRight is all rights, and one that there is not.
var everyRight = []Right{
	ReadRight, PersonalRight, RerunRight, CancelRight, RedeliverRight, SettingsRight, AutomateRight, HooksRight, AllowlistRight, AuditRight, OperateRight, "fly",
}

// TestRights tries every role with every action on every kind of object.
func TestRights(t *testing.T) {
	t.Parallel()
	const object = "mill/wheel"
	user := &Viewer{ID: 1, Login: "ada"}
	operator := &Viewer{Login: "ada", Operator: true}
	people := []struct {
		name   string
		viewer *Viewer
		facts  About
	}{
		{"anyone", nil, About{Object: object, Role: Maintainer, Author: "ada", Requester: "ada"}},
		{"anyone, of whom nothing is known", nil, About{}},
		{"logged in", user, About{Object: object, Author: "bo", Requester: "bo"}},
		{"logged in, author not known", &Viewer{}, About{Object: object}},
		{"author", user, About{Object: object, Author: "ada", Requester: "bo"}},
		{"author of what writes to Fedora", user, About{Object: object, Author: "ada", Production: true}},
		{"requester", user, About{Object: object, Author: "bo", Requester: "ada"}},
		{"committer", user, About{Object: object, Role: Committer}},
		{"committer of what writes to Fedora", user, About{Object: object, Role: Committer, Production: true}},
		{"maintainer", user, About{Object: object, Role: Maintainer}},
		{"whom a forge calls an operator", user, About{Object: object, Role: Operator}},
		{"operator", operator, About{Object: object}},
		{"operator, of what writes to Fedora", operator, About{Object: object, Production: true}},
	}
	got := map[string][]Right{}
	for _, p := range people {
		got[p.name] = nil
		for _, a := range everyRight {
			v := May(p.viewer, a, p.facts)
			if v.Allowed {
				got[p.name] = append(got[p.name], a)
			}
			if v.Allowed != (v.Reason == "") || v.Allowed != (v.HowTo == "") || v.Unknown {
				t.Errorf("%s, %s: %+v", p.name, a, v)
			}
			if p.viewer == nil && a != "fly" && !v.Allowed && v.Reason != needsLogin {
				t.Errorf("%s, %s: %q does not say to log in", p.name, a, v.Reason)
			}
		}
	}
	committer := []Right{ReadRight, PersonalRight, RerunRight, CancelRight, RedeliverRight, AutomateRight}
	maintainer := []Right{ReadRight, PersonalRight, RerunRight, CancelRight, RedeliverRight, SettingsRight, AutomateRight, HooksRight}
	all := everyRight[:len(everyRight)-1]
	want := map[string][]Right{
		"anyone":                             {ReadRight},
		"anyone, of whom nothing is known":   {ReadRight},
		"logged in":                          {ReadRight, PersonalRight},
		"logged in, author not known":        {ReadRight, PersonalRight},
		"author":                             {ReadRight, PersonalRight, RerunRight},
		"author of what writes to Fedora":    {ReadRight, PersonalRight},
		"requester":                          {ReadRight, PersonalRight, CancelRight},
		"committer":                          committer,
		"committer of what writes to Fedora": committer,
		"maintainer":                         maintainer,
		"whom a forge calls an operator":     maintainer,
		"operator":                           all,
		"operator, of what writes to Fedora": all,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRightsOfTokens tries every right with every scope: of somebody who may do
// everything, and of somebody who may do nothing.
func TestRightsOfTokens(t *testing.T) {
	t.Parallel()
	got := map[TokenScope][]Right{}
	for _, scope := range append([]TokenScope{"", "all"}, TokenScopes...) {
		strong := &Viewer{Login: "ada", Operator: true, ByToken: true}
		weak := &Viewer{Login: "bo", ByToken: true}
		if scope != "" {
			strong.Scopes, weak.Scopes = []TokenScope{scope}, []TokenScope{scope}
		}
		for _, a := range everyRight {
			v := May(strong, a, About{Object: "mill/wheel"})
			if v.Allowed {
				got[scope] = append(got[scope], a)
			} else if a != "fly" && !strings.Contains(v.Reason, "token") {
				t.Errorf("scope %s, %s: %+v", scope, a, v)
			}
			if v := May(weak, a, About{Object: "mill/wheel", Silent: []string{"dist-git"}}); v.Allowed != (a == ReadRight) {
				t.Errorf("scope %s gives the right to %s", scope, a)
			}
		}
	}
	want := map[TokenScope][]Right{
		"":            {ReadRight},
		"all":         {ReadRight},
		ReadScope:     {ReadRight},
		RerunScope:    {ReadRight, RerunRight},
		CancelScope:   {ReadRight, CancelRight},
		HooksScope:    {ReadRight, RedeliverRight, HooksRight},
		SettingsScope: {ReadRight, SettingsRight, AutomateRight},
		AdminScope:    {ReadRight, AllowlistRight, AuditRight, OperateRight},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSilentSources sees to it that a source that does not answer gives no right
// and takes none away.
func TestSilentSources(t *testing.T) {
	t.Parallel()
	user := &Viewer{ID: 1, Login: "ada"}
	silent := []string{"dist-git", "github.com"}
	for _, c := range []struct {
		viewer  *Viewer
		right   Right
		facts   About
		allowed bool
		unknown bool
	}{
		{user, RerunRight, About{Silent: silent}, false, true},
		{user, RerunRight, About{Silent: silent, Role: Committer}, true, false},
		{user, RerunRight, About{Silent: silent, Author: "ada"}, true, false},
		{user, RerunRight, About{Silent: silent, Author: "ada", Production: true}, false, true},
		{user, CancelRight, About{Silent: silent, Author: "ada"}, false, true},
		{user, CancelRight, About{Silent: silent, Requester: "ada"}, true, false},
		{user, SettingsRight, About{Silent: silent, Role: Committer}, false, true},
		{user, OperateRight, About{Silent: silent}, false, false},
		{user, "fly", About{Silent: silent}, false, false},
		{nil, RerunRight, About{Silent: silent}, false, false},
		{&Viewer{Login: "ada", ByToken: true, Scopes: []TokenScope{ReadScope}}, RerunRight, About{Silent: silent}, false, false},
		{&Viewer{Operator: true}, RerunRight, About{Silent: silent}, true, false},
	} {
		v := May(c.viewer, c.right, c.facts)
		if v.Allowed != c.allowed || v.Unknown != c.unknown {
			t.Errorf("%s with %+v: %+v", c.right, c.facts, v)
		}
		if c.unknown && (v.Reason != "Whether you may cannot be told now: dist-git and github.com do not answer." || v.HowTo != howToTell) {
			t.Errorf("%s: %+v", c.right, v)
		}
	}
}

// TestWaysToRights looks at what people are told who may not.
func TestWaysToRights(t *testing.T) {
	t.Parallel()
	user := &Viewer{ID: 1, Login: "ada"}
	for _, c := range []struct {
		right  Right
		facts  About
		reason string
		howTo  string
	}{
		{RerunRight, About{Object: "mill/wheel"}, "This needs the right to write to mill/wheel.", "Who opened a pull request may rerun"},
		{RerunRight, About{Object: "rpms/hello", Production: true}, "needs the right to commit to rpms/hello in dist-git", "the package's maintainers"},
		{CancelRight, About{}, "This needs the right to write to the project.", "What you asked for yourself"},
		{SettingsRight, About{Object: "mill/wheel"}, "administer mill/wheel", "administrator"},
		{AutomateRight, About{Object: "rpms/hello"}, "needs the right to commit to rpms/hello in dist-git", "the package's maintainers"},
		{RerunRight, About{Object: "mill/wheel", Unlinked: "github.com"}, "write to mill/wheel", "If you may at github.com: name your account there"},
		{RerunRight, About{Object: "mill/wheel", Unproved: Link{Forge: "github.com", Account: "ada-gh"}}, "write to mill/wheel", "at github.com as ada-gh: prove that"},
		{OperateRight, About{Unlinked: "github.com"}, "operators", "login.operator_groups"},
	} {
		v := May(user, c.right, c.facts)
		if !strings.Contains(v.Reason, c.reason) || !strings.Contains(v.HowTo, c.howTo) {
			t.Errorf("%s, %+v: %+v", c.right, c.facts, v)
		}
	}
	if v := May(user, OperateRight, About{Unlinked: "github.com"}); strings.Contains(v.HowTo, "github.com") {
		t.Errorf("operators are not made at forges: %+v", v)
	}
}

// TestDoubtfulOperators: who was an operator and cannot be confirmed now is one
// no longer, nor told that they are not.
func TestDoubtfulOperators(t *testing.T) {
	t.Parallel()
	u := &Viewer{ID: 1, Login: "olga", Silent: "the account system"}
	for _, c := range []struct {
		right   Right
		about   About
		allowed bool
		silence string
	}{
		{OperateRight, About{}, false, "the account system does not answer"},
		{AuditRight, About{Role: Maintainer}, false, "the account system does not answer"},
		{RerunRight, About{}, false, "the account system does not answer"},
		{RerunRight, About{Silent: []string{"dist-git"}}, false, "dist-git and the account system do not answer"},
		{RerunRight, About{Silent: []string{"the account system"}}, false, "the account system does not answer"},
		{RerunRight, About{Role: Committer}, true, ""},
		{PersonalRight, About{}, true, ""},
	} {
		if v := May(u, c.right, c.about); v.Allowed != c.allowed || v.Unknown == c.allowed || v.Silence != c.silence {
			t.Errorf("%s, %+v: %+v", c.right, c.about, v)
		}
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
