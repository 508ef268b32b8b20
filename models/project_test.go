package models

import (
	"strings"
	"testing"
)

func TestParseProjectURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		raw  string
		path string // empty: refused
		url  string
	}{
		{"https://github.com/ada/mill", "github.com/ada/mill", "https://github.com/ada/mill"},
		{" https://github.com/ada/mill.git/ ", "github.com/ada/mill", "https://github.com/ada/mill"},
		{"https://GitHub.com:443/ada/Mill?x=1#y", "github.com/ada/Mill", "https://github.com/ada/Mill"},
		{"http://user:secret@127.0.0.1:3000/ada/mill", "127.0.0.1:3000/ada/mill", "http://127.0.0.1:3000/ada/mill"},
		{"http://[::1]:80/ada/mill", "[::1]/ada/mill", "http://[::1]/ada/mill"},
		{"https://gitlab.com/group/sub/sub-sub/mill", "gitlab.com/group/sub/sub-sub/mill", "https://gitlab.com/group/sub/sub-sub/mill"},
		{"https://src.fedoraproject.org/fork/ada/rpms/c++", "src.fedoraproject.org/fork/ada/rpms/c++", "https://src.fedoraproject.org/fork/ada/rpms/c++"},
		{"https://git.sr.ht/~ada/mill_2.0", "git.sr.ht/~ada/mill_2.0", "https://git.sr.ht/~ada/mill_2.0"},
		{"https://github.com/ada/.github", "github.com/ada/.github", "https://github.com/ada/.github"},

		{"", "", ""},
		{"git@github.com:ada/mill.git", "", ""},
		{"ssh://git@github.com/ada/mill", "", ""},
		{"file:///etc/passwd/x", "", ""},
		{"javascript:alert(1)//a/b", "", ""},
		{"https:///ada/mill", "", ""},
		{"https://github.com/mill", "", ""},
		{"https://github.com/", "", ""},
		{"https://github.com/ada/.git", "", ""},
		{"https://github.com/ada//mill", "", ""},
		{"https://github.com/../mill", "", ""},
		{"https://github.com/ada/..", "", ""},
		{"https://github.com/ada/%2e%2e", "", ""},
		{"https://github.com/ada/mi%0all", "", ""},
		{"https://github.com/ada/mi ll", "", ""},
		{"https://github.com/ada/mill%00", "", ""},
		{"https://github.com/ada/<script>", "", ""},
		{"https://github.com/ada/mïll", "", ""},
		{"https://github.com/ada/mill/-/issues", "", ""},
		{"https://github.com:0/ada/mill", "", ""},
		{"https://github.com:99999/ada/mill", "", ""},
		{"https://git hub.com/ada/mill", "", ""},
		{"https://-x.com/ada/mill", "", ""},
		{"https://a..b/ada/mill", "", ""},
		{"https://[::1%25eth0]/ada/mill", "", ""},
		{"https://github.com/" + strings.Repeat("a/", 40) + "mill", "", ""},
		{"https://github.com/ada/" + strings.Repeat("m", 300), "", ""},
		{"https://github.com/ada/" + strings.Repeat("m", 3000), "", ""},
	}
	for _, test := range tests {
		p, err := ParseProjectURL(test.raw)
		if test.path == "" {
			if err == nil {
				t.Errorf("%.60q is read as %s", test.raw, p.Path())
			} else if len(err.Error()) > 4500 {
				t.Errorf("%.60q: an error of %d bytes", test.raw, len(err.Error()))
			}
			continue
		}
		if err != nil || p.Path() != test.path || p.URL != test.url {
			t.Errorf("%q: %+v, %v", test.raw, p, err)
		}
	}
}

// FuzzParseProjectURL: what is read can be read again and is the same.
func FuzzParseProjectURL(f *testing.F) {
	f.Add("https://github.com/ada/mill.git")
	f.Add("http://[::1]:3000/a/b.git.git/")
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := ParseProjectURL(raw)
		if err != nil {
			return
		}
		again, err := ParseProjectURL(p.URL)
		if err != nil && !strings.HasSuffix(p.URL, ".git") {
			t.Fatalf("%q gives %q, which is refused: %v", raw, p.URL, err)
		}
		if err == nil && again.Path() != p.Path() && !strings.HasSuffix(p.URL, ".git") {
			t.Fatalf("%q gives %q, which gives %q", raw, p.Path(), again.Path())
		}
		if strings.ContainsAny(p.Path(), " \t\n\"'<>\\%?#@\x00") || strings.Contains(p.Path(), "/../") {
			t.Fatalf("%q gives %q", raw, p.Path())
		}
	})
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	p := &Project{Forge: "github.com", Namespace: "ada", Name: "mill", URL: "https://github.com/ada/mill"}
	entry := func(namespace, name string, state AllowState) *Allowance {
		return &Allowance{Forge: "github.com", Namespace: namespace, Name: name, State: state}
	}
	denied := entry("ada", "", DeniedState)
	denied.Reason = "They mine coins"
	asked := entry("ada", "", PendingState)
	asked.Requester, asked.IssueURL = "grace", "https://github.com/n/n/issues/7"
	tests := []struct {
		name    string
		entries []*Allowance
		want    string // beginning; empty: allowed
		advice  string // part of what it says to do
	}{
		{"nobody decided", nil, "https://github.com/ada/mill is not on the allowlist of this service.", "Ask an operator to allow github.com/ada, on https://mill/admin/allowlist"},
		{"namespace", []*Allowance{entry("ada", "", AllowedState)}, "", ""},
		{"project", []*Allowance{entry("ada", "mill", AllowedState)}, "", ""},
		{"forge", []*Allowance{entry("", "", AllowedState)}, "", ""},
		{"asked for", []*Allowance{entry("ada", "", PendingState)}, "github.com/ada is waiting for an operator", "What was refused then goes on by itself"},
		{"asked for, and can be proved", []*Allowance{asked}, "github.com/ada is waiting to be allowed.", "grace can do that with the comment `/pk verify-fas ACCOUNT`"},
		{"asked for, allowed above", []*Allowance{entry("ada", "mill", PendingState), entry("ada", "", AllowedState)}, "", ""},
		{"denied above", []*Allowance{entry("ada", "mill", AllowedState), denied}, "github.com/ada is denied: They mine coins. ", "Only an operator"},
		{"denied itself", []*Allowance{entry("ada", "mill", DeniedState), entry("ada", "", AllowedState)}, "github.com/ada/mill is denied: an operator", "Only an operator"},
	}
	for _, test := range tests {
		got := Refusal(p, test.entries, Advice{Base: "https://mill", Prefix: "/pk"})
		if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") || !strings.Contains(got, test.advice) {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}
