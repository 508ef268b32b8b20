package models

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		comment string
		want    *Command
		problem string
	}{
		{comment: "Nice work!"},
		{comment: ""},
		{comment: "/packitbuild"},
		{comment: "please /packit build"},
		{comment: "/packit build", want: &Command{Name: BuildCommand}},
		{comment: "Thanks.\r\n\r\n  /packit\tcopr-build  \r\nmore", want: &Command{Name: BuildCommand}},
		{comment: "/packit test\n/packit build", want: &Command{Name: TestCommandName}}, // TestSeveralCommands has the second
		{comment: "/packit retest-failed --release 1.0", want: &Command{Name: RetestFailed, Release: "1.0"}},
		{comment: "/packit build --rel v1:2", want: &Command{Name: BuildCommand, Release: "v1:2"}},
		{comment: "/packit verify-fas Ada", want: &Command{Name: VerifyCommand, Account: "ada"}},
		{comment: "/packit verify-fas", problem: "name of your account"},
		{comment: "/packit verify-fas a b", problem: `what "b" is`},
		{comment: "/packit verify-fas ../x", problem: `what "../x" is`},
		{comment: "/packit build --commit a --release b", problem: "not both"},
		{comment: "/packit biuld", problem: "Did you mean build?"},
		{comment: "/packit rebuild_failed", problem: "Did you mean rebuild-failed?"},
		{comment: "/packit propose-upstream", problem: "Did you mean propose-downstream?"},
		{comment: "/packit test" + strings.Repeat(" a/b#1", 11), problem: "more than 10"},
		{comment: "/packit --package libfoo build", want: &Command{Name: BuildCommand, Package: "libfoo"}},
		{comment: "/packit --pack=libfoo rebuild-failed", want: &Command{Name: RebuildFailed, Package: "libfoo"}},
		{comment: "/packit test --id full", want: &Command{Name: TestCommandName, Identifier: "full"}},
		{comment: "/packit test --ident=full", want: &Command{Name: TestCommandName, Identifier: "full"}},
		{comment: "/packit test --i full", want: &Command{Name: TestCommandName, Identifier: "full"}},
		{comment: "/packit test -i full", want: &Command{Name: TestCommandName, Identifier: "full"}},
		{comment: "/packit test -ifull", want: &Command{Name: TestCommandName, Identifier: "full"}},
		{comment: "/packit test --labels regression, --lab 'a b,c'", want: &Command{Name: TestCommandName, Labels: []string{"regression", "a b", "c"}}},
		{comment: `/packit test --env A=1 --env "B=two words" --env C=`, want: &Command{Name: TestCommandName, Env: map[string]string{"A": "1", "B": "two words", "C": ""}}},
		{comment: "/packit test a/b#7 https://github.com/c/d/pull/8", want: &Command{Name: TestCommandName, Pulls: []PullName{{Namespace: "a", Name: "b", Number: 7}, {Forge: "github.com", Namespace: "c", Name: "d", Number: 8}}}},
		{comment: "/packit build --commit main", want: &Command{Name: BuildCommand, Commit: "main"}},
		{comment: "/packit koji-build", want: &Command{Name: KojiBuildCommand}},
		{comment: "/packit create-update", want: &Command{Name: UpdateCommand}},
		{comment: "/packit koji-tag", want: &Command{Name: KojiTagCommand}},
		{comment: "/packit koji-tag --all", want: &Command{Name: KojiTagCommand, AllBranches: true}},
		{comment: "/packit koji-tag --all-branches=yes", problem: "has no value"},
		{comment: "/packit koji-tag f43", problem: `what "f43" is`},
		{comment: "/packit koji-build --all-branches", problem: "no option"},
		{comment: "/packit cancel", want: &Command{Name: CancelCommand}},
		{comment: "/packit propose-downstream", want: &Command{Name: ProposeCommand}},
		{comment: "/packit pull-from-upstream --resolve-bug rhbz#1", want: &Command{Name: PullCommand, Bugs: []string{"rhbz#1"}}},
		{
			comment: "/packit pull-from-upstream --resolve rhbz#1,rhbz#2 --with --version=1.0~rc1",
			want:    &Command{Name: PullCommand, Bugs: []string{"rhbz#1", "rhbz#2"}, WithPRConfig: true, Version: "1.0~rc1"},
		},
		{comment: "/packit pull-from-upstream --resolve-bug", problem: "--resolve-bug needs a value"},
		{comment: "/packit pull-from-upstream --resolve-bug 1", problem: "as rhbz#1,rhbz#2"},
		{comment: "/packit pull-from-upstream --version ../1", problem: "is no version"},
		{comment: "/packit pull-from-upstream --with-pr-config=yes", problem: "has no value"},
		{comment: "/packit", problem: "what to do"},
		{comment: "/packit --package", problem: "needs a value"},
		{comment: "/packit --package= build", problem: "name of a package"},
		{comment: "/packit frobnicate `x`", problem: `no command "frobnicate"`},
		{comment: "/packit build now", problem: `what "now" is`},
		{comment: "/packit build --id full", problem: "no option --id"},
		{comment: "/packit build -x", problem: "no option -x"},
		{comment: "/packit test --", problem: "no option --"},
		{comment: "/packit test --id", problem: "--id needs a value"},
		{comment: "/packit test --id --labels a", problem: "--id needs a value"},
		{comment: "/packit test --env A", problem: "NAME=VALUE"},
		{comment: "/packit test --env 1=2", problem: "NAME=VALUE"},
		{comment: "/packit test 'open", problem: "not closed"},
		{comment: "/packit test " + strings.Repeat("a/b#1 ", 100), problem: "words"},
		{comment: "/packit test " + strings.Repeat("a", 4000), problem: "characters"},
	} {
		said := ParseCommands("/packit", tt.comment)
		if tt.problem != "" {
			if len(said) != 1 || said[0].Command != nil || !strings.Contains(said[0].Mistake, tt.problem) {
				t.Errorf("ParseCommands(%.60q) = %+v; want a mistake about %s", tt.comment, said, tt.problem)
			}
			continue
		}
		var got *Command
		if len(said) > 0 {
			if got = said[0].Command; said[0].Mistake != "" {
				t.Errorf("ParseCommands(%.60q): %s", tt.comment, said[0].Mistake)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseCommands(%.60q) (-want +got):\n%s", tt.comment, diff)
		}
	}
}

func TestSeveralCommands(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, comment string
		want          []Said
	}{
		{"in their order", "First\n/packit cancel\n> /packit help\n  /packit build", []Said{
			{Line: "/packit cancel", Command: &Command{Name: CancelCommand}}, {Line: "/packit build", Command: &Command{Name: BuildCommand}},
		}},
		{"a mistake spoils no other", "/packit frob\n/packit help", []Said{
			{Line: "/packit frob", Mistake: `There is no command "frob".`}, {Line: "/packit help", Command: &Command{Name: HelpCommand}},
		}},
		{"the prefix of another deployment", "/packit-stg build\n/packit-ci test", nil},
	} {
		if diff := cmp.Diff(tt.want, ParseCommands("/packit", tt.comment)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	many := ParseCommands("/packit", strings.Repeat("/packit help\n", 1000))
	if len(many) != maxCommands+1 || many[maxCommands].Command != nil || !strings.Contains(many[maxCommands].Mistake, "were not read") {
		t.Errorf("a thousand commands are %d, the last %+v", len(many), many[len(many)-1])
	}
	if said := ParseCommands("", "/packit help"); said != nil {
		t.Errorf("without a prefix: %+v", said)
	}
}

// FuzzParseCommands: whatever people write, it is commands of ours, mistakes that
// can be told on one line, or nothing.
func FuzzParseCommands(f *testing.F) {
	for _, seed := range []string{
		"/packit build", "/packit --package a test --id b --env C=d", "x\n/packit test 'a b' \"", "/packit test a/b#1 -i=x", "/packit \xff --", "/packit build\n/packit verify-fas a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, comment string) {
		all := ParseCommands("/packit", comment)
		if len(all) > maxCommands+1 {
			t.Fatalf("ParseCommands(%q) = %d commands", comment, len(all))
		}
		for _, s := range all {
			if (s.Command == nil) == (s.Mistake == "") || strings.ContainsAny(s.Mistake, "\n`<@") || len(s.Mistake) > 500 {
				t.Fatalf("ParseCommands(%q) = %+v", comment, s)
			}
			if c := s.Command; c != nil && (!strings.Contains(s.Line, strings.TrimSuffix(string(c.Name), "build")) || !strings.Contains(comment, s.Line) || len(c.Pulls) > maxOtherPulls) {
				t.Fatalf("ParseCommands(%q) made up %+v", comment, c)
			}
		}
		if diff := cmp.Diff(all, ParseCommands("/packit", comment)); diff != "" {
			t.Fatalf("ParseCommands(%q) differs the second time:\n%s", comment, diff)
		}
	})
}

func TestMatchesTest(t *testing.T) {
	t.Parallel()
	full := "full"
	view := func(id string, labels ...string) *JobView {
		v := &JobView{Labels: labels}
		v.Identifier = &id
		return v
	}
	byDefault := view("other", "a")
	byDefault.TestCommand.DefaultIdentifier = &full
	byLabel := view("x", "b")
	byLabel.TestCommand.DefaultLabels = []string{"b", "c"}
	for _, tt := range []struct {
		name string
		c    Command
		view *JobView
		want bool
	}{
		{"bare", Command{}, view("x"), true},
		{"identifier", Command{Identifier: "x"}, view("x"), true},
		{"another identifier", Command{Identifier: "y"}, view("x"), false},
		{"one of the labels", Command{Labels: []string{"a", "b"}}, view("x", "b"), true},
		{"no label", Command{Labels: []string{"a"}}, view("x"), false},
		{"bare, but the job says which", Command{}, byDefault, false},
		{"bare, the job's label", Command{}, byLabel, true},
		{"said, so the job's default does not count", Command{Labels: []string{"a"}}, byDefault, true},
	} {
		if got := tt.c.MatchesTest(tt.view); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
