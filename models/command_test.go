package models

import (
	"errors"
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
		{comment: "/packit test\n/packit build", want: &Command{Name: TestCommandName}},
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
		{comment: "/packit cancel", want: &Command{Name: CancelCommand}},
		{comment: "/packit pull-from-upstream --resolve-bug rhbz#1", want: &Command{Name: PullCommand}},
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
		got, err := ParseCommand("/packit", tt.comment)
		if tt.problem != "" {
			wrong, ok := errors.AsType[*CommandError](err)
			if !ok || !strings.Contains(wrong.Message, tt.problem) {
				t.Errorf("ParseCommand(%.60q) = %+v, %v; want a mistake about %s", tt.comment, got, err, tt.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseCommand(%.60q): %v", tt.comment, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseCommand(%.60q) (-want +got):\n%s", tt.comment, diff)
		}
	}
}

// FuzzParseCommand: whatever people write, it is a command of ours, a mistake
// that can be told on one line, or nothing.
func FuzzParseCommand(f *testing.F) {
	for _, seed := range []string{
		"/packit build", "/packit --package a test --id b --env C=d", "x\n/packit test 'a b' \"", "/packit test a/b#1 -i=x", "/packit \xff --",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, comment string) {
		c, err := ParseCommand("/packit", comment)
		if err != nil {
			wrong, ok := errors.AsType[*CommandError](err)
			if !ok || c != nil || strings.ContainsAny(wrong.Message, "\n`<@") || len(wrong.Message) > 500 {
				t.Fatalf("ParseCommand(%q) = %+v, %q", comment, c, err)
			}
			return
		}
		if c == nil {
			return
		}
		if !strings.Contains(comment, "/packit") || !strings.Contains(comment, strings.TrimSuffix(string(c.Name), "build")) {
			t.Fatalf("ParseCommand(%q) made up %+v", comment, c)
		}
		if again, err := ParseCommand("/packit", comment); err != nil || cmp.Diff(c, again) != "" {
			t.Fatalf("ParseCommand(%q) differs the second time", comment)
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
