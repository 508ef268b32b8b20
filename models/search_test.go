package models

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var searchNow = time.Date(2026, 8, 10, 12, 30, 15, 0, time.UTC)

func TestParseQuery(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              "",
		"  \t ":                         "",
		"hello":                         "hello",
		"Hello World":                   "hello world",
		"a && b":                        "a b",
		"a b || c":                      "a b || c",
		"a || b c":                      "a || b c",
		"(a || b) c":                    "(a || b) c",
		"((a))":                         "a",
		"(a b) c":                       "a b c",
		"a || (b || c)":                 "a || b || c",
		"!a b":                          "!a b",
		"!!a":                           "a",
		"!(a b)":                        "!(a b)",
		"!(a || b)":                     "!(a || b)",
		"! a":                           "!a",
		`"two words"`:                   `"two words"`,
		`"a\"b"`:                        `"a\"b"`,
		`"project:x"`:                   `"project:x"`,
		"12:30":                         `"12:30"`,
		"pack*t":                        "pack*t",
		"a**b":                          "a*b",
		`"a*b"*c`:                       `"a*b"*c`,
		"r/^rust-/":                     "r/^rust-/",
		`r/a\/b/`:                       `r/a\/b/`,
		`!r/^rust-/ && status:failed`:   "!r/^rust-/ status:failed",
		"project:rpms/*":                "project:rpms/*",
		"PROJECT:Rpms/X":                "project:rpms/x",
		"kind:pr,push":                  "kind:pr,push",
		"kind:(pr, push , release)":     "kind:pr,push,release",
		"kind:pull_request":             "kind:pr",
		"status:success,passed":         "status:passed",
		"status:open":                   "status:running,queued,waiting",
		"state:failure":                 "status:failed",
		"pr:#42,7":                      "pr:42,7",
		"pr:*":                          "pr:*",
		"pr:007":                        "pr:7",
		"sha:ABCDEF12":                  "sha:abcdef12",
		"attempt:2":                     "attempt:2",
		"attempt:>1":                    "attempt:>1",
		"attempt:>=3":                   "attempt:>=3",
		"since:7d":                      "since:2026-08-03T12:30:15Z",
		"since:90min":                   "since:2026-08-10T11:00:15Z",
		"since:today":                   "since:2026-08-10T00:00:00Z",
		"before:2026-08-01":             "before:2026-08-01T00:00:00Z",
		"before:2026-08-01T12:00":       "before:2026-08-01T12:00:00Z",
		"since:2026-08-01T12:00:00Z":    "since:2026-08-01T12:00:00Z",
		`branch:"with space",main`:      `branch:"with space",main`,
		`actor:""`:                      `actor:""`,
		"forge:github.com||actor:alice": "forge:github.com || actor:alice",
		"a(b)":                          "a b",
		"packit/hello":                  "packit/hello",
		"a,b":                           `"a,b"`,
	} {
		q, err := ParseQuery(text, PipelineFields, searchNow)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := q.String(); got != want {
			t.Errorf("%q means %q, want %q", text, got, want)
		}
	}
}

func TestMistakesInQueries(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"stauts:failed":                    `At column 1: there is no field "stauts"; perhaps "status"?`,
		"hello packge:x":                   `At column 7: there is no field "packge"; perhaps "package"?`,
		"https://x":                        `At column 1: there is no field "https". There are project, package,`,
		"status:faild":                     `At column 8: status cannot be "faild"; perhaps "failed"?`,
		"kind:zzzzzzzz":                    "At column 6: kind is one of branch, issue,",
		"ä status:faild":                   `At column 10: status cannot be "faild"`,
		"(a":                               "At column 1: this parenthesis is never closed.",
		"a)":                               "At column 2: this parenthesis was never opened.",
		"()":                               "At column 2: there must be a word before",
		"a ||":                             "At column 5: something is missing here.",
		"|| a":                             "At column 1: there must be a word before",
		"a & b":                            `At column 3: there must be a word before "&".`,
		"!":                                "At column 2: something is missing here.",
		`"abc`:                             "At column 1: this quote is never closed.",
		"r/abc":                            "At column 1: the regular expression has no closing slash.",
		"x r/[/":                           "At column 3: the regular expression cannot be read: missing closing ]",
		"r/(a{500}){2}/":                   "At column 1: the regular expression is too large.",
		"r/.{999}.{999}.{999}/":            "At column 1: the regular expression is too large.",
		"project:":                         "At column 9: a value is missing here.",
		"kind:(pr":                         "At column 1: this parenthesis is never closed.",
		"kind:pr,":                         "At column 9: a value is missing here.",
		"pr:x":                             "At column 4: pr takes numbers",
		"sha:xyz1":                         "At column 5: sha takes the beginning",
		"sha:abc":                          "At column 5: sha takes the beginning",
		"attempt:>x":                       "At column 9: attempt takes a number",
		"attempt:1,2":                      "At column 11: attempt takes one value.",
		"since:yesteryear":                 "At column 7: since takes a time",
		"since:1d,2d":                      "At column 10: since takes one time.",
		"since:200y":                       "At column 7: since takes a time",
		"a\x00b":                           "At column 2: this character cannot be searched for.",
		"a\xffb":                           "At column 2: this character cannot be searched for.",
		"*a*b*c*d*e*f*g*h*i*":              "At column 1: a value may have 8 stars at most.",
		strings.Repeat("(", 30) + "a":      "At column 21: this is nested too deeply.",
		strings.Repeat("!", 30) + "a":      "At column 21: this is nested too deeply.",
		strings.Repeat("a ", 41):           "At column 81: a search may have 40 terms at most.",
		strings.Repeat("a", 1001):          "At column 1: a search may have 1000 bytes at most.",
		"pr:1" + strings.Repeat(",1", 100): "At column 204: a search may have 100 values at most.",
	} {
		q, err := ParseQuery(text, PipelineFields, searchNow)
		if err == nil {
			t.Errorf("%q means %q, want a mistake", text, q)
			continue
		}
		if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %s\nwant %s", text, err, want)
		}
		if _, told := errors.AsType[*InputError](err); !told {
			t.Errorf("%q: %T is no mistake of the sender", text, err)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"abc", "ABC", true}, {"abc", "abcd", false}, {"a*", "abc", true}, {"*c", "abc", true}, {"a*c", "abc", true}, {"a*c", "ac", true},
		{"a*b*c", "axxbxxc", true}, {"a*b*c", "acb", false}, {"ab*ba", "aba", false}, {"*", "", true}, {"*b*", "abc", true}, {"*d*", "abc", false},
		{"**", "x", true}, {"a*a", "a", false}, {"rpms/*", "rpms/x", true}, {"", "", true}, {"", "a", false}, {"a_%", "a_%", true}, {"a_*", "abc", false},
	} {
		if got := ParsePattern(c.pattern).Match(c.text); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
	}
	if got := ParsePattern(`50%_*\`).Like(); got != `50\%\_%\\` {
		t.Errorf("for LIKE: %q", got)
	}
}

func TestTermsOnProjects(t *testing.T) {
	t.Parallel()
	project := &Project{Forge: "github.com", Namespace: "packit", Name: "hello-World"}
	for text, want := range map[string]bool{
		"hello": true, "kit/he": true, "github": false, "github.com/packit/*": true, "packit/*": true, "hello*": true, "hell": true,
		"project:hello": false, "project:hello-world": true, "project:packit/hello-world": true, "project:github.com/packit/hello-world": true,
		"project:*world": true, "r/WORLD$/": true, "r/^hello/": false, "forge:github.com": true, "forge:packit": false, "forge:*hub*": true,
	} {
		q, err := ParseQuery(text, PipelineFields, searchNow)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Term.MatchesProject(project); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// FuzzParseQuery holds that the normal form of whatever is accepted is accepted,
// and is its own normal form.
func FuzzParseQuery(f *testing.F) {
	for _, text := range []string{
		"", "hello", `!r/^x/ && (a || "b c") project:rpms/*,x`, "since:7d before:2026-08-01", "attempt:>1 pr:#4,5", `a"*"*b`, "kind:(pr, push)",
		`r/a\/\\/`, "12:30 status:open", "a*b* *", "İ ſ", `"\\" actor:""*`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, fields := range []*QueryFields{PipelineFields, EventFields} {
			q, err := ParseQuery(text, fields, searchNow)
			if err != nil {
				if bad, ok := errors.AsType[*QueryError](err); !ok || bad.Column < 1 || bad.Column > len(text)+1 {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			normal := q.String()
			if len(normal) > longestQuery {
				continue
			}
			again, err := ParseQuery(normal, fields, searchNow)
			if err != nil {
				t.Fatalf("%q has the normal form %q: %v", text, normal, err)
			}
			if twice := again.String(); twice != normal {
				t.Fatalf("%q has the normal form %q, and that %q", text, normal, twice)
			}
		}
	})
}
