package views

import (
	"strings"
	"testing"
	"time"

	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration][3]string{
		-time.Second:                    {"0 s", "0 s", "PT0S"},
		900 * time.Millisecond:          {"0 s", "0 s", "PT0S"},
		59 * time.Second:                {"59 s", "59 s", "PT59S"},
		time.Minute:                     {"1 min", "1 m", "PT1M"},
		250 * time.Second:               {"4 min 10 s", "4 m 10 s", "PT4M10S"},
		time.Hour:                       {"1 h", "1 h", "PT1H"},
		3*time.Hour + 4*time.Minute + 5: {"3 h 4 min", "3 h 4 m", "PT3H4M"},
		50*time.Hour + time.Minute:      {"2 d 2 h", "2 d 2 h", "PT50H1M"},
	} {
		if diff := cmp.Diff(want, [3]string{duration(d), shortDuration(d), isoDuration(d)}); diff != "" {
			t.Errorf("%v: %s", d, diff)
		}
	}
}

func TestRelative(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]string{
		0:                    "just now",
		44 * time.Second:     "just now",
		50 * time.Second:     "1 min ago",
		8 * time.Minute:      "8 min ago",
		59 * time.Minute:     "59 min ago",
		3580 * time.Second:   "1 h ago",
		23 * time.Hour:       "23 h ago",
		30 * time.Hour:       "1 d ago",
		6 * 24 * time.Hour:   "6 d ago",
		7 * 24 * time.Hour:   "",
		-10 * time.Second:    "in a moment",
		-time.Second:         "in a moment",
		-time.Second / 2:     "just now",
		-5 * time.Minute:     "in 5 min",
		-8 * 24 * time.Hour:  "",
		84700 * time.Second:  "1 d ago",
		84500 * time.Second:  "23 h ago",
		3569 * time.Second:   "59 min ago",
		100 * 24 * time.Hour: "",
	} {
		got, ok := relative(sampleNow.Add(-age), sampleNow)
		if got != want || ok != (want != "") {
			t.Errorf("relative(%v) = %q, %v, want %q", age, got, ok, want)
		}
	}
}

func TestAbsolute(t *testing.T) {
	t.Parallel()
	prague := time.FixedZone("CEST", 2*3600)
	at := time.Date(2026, 5, 13, 23, 1, 2, 0, time.UTC)
	tests := []struct {
		t    time.Time
		zone *time.Location
		want string
	}{
		{sampleNow, time.UTC, "09:30:41"},
		{at, time.UTC, "13 May 23:01"},
		{at, prague, "01:01:02"}, // there it is today
		{at.AddDate(-1, 0, 0), time.UTC, "13 May 2025 23:01"},
	}
	for _, test := range tests {
		if got := absolute(test.t, sampleNow, test.zone); got != test.want {
			t.Errorf("absolute(%v, %v) = %q, want %q", test.t, test.zone, got, test.want)
		}
	}
}

func TestShortTarget(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"fedora-43-x86_64":       "f43 x86_64",
		"fedora-rawhide-aarch64": "rawhide aarch64",
		"fedora-eln-s390x":       "eln s390x",
		"epel-9-ppc64le":         "epel9 ppc64le",
		"centos-stream-10-i686":  "stream10 i686",
		"opensuse-leap-x86_64":   "opensuse-leap x86_64",
		"rawhide":                "rawhide",
		"":                       "",
	} {
		if got := shortTarget(name); got != want {
			t.Errorf("shortTarget(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1464: "1464", 18230: "18\u202f230", 1234567: "1\u202f234\u202f567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{12: "12 B", 9100: "9.1 kB", 42000: "42 kB", 999_600: "1.0 MB", 5_300_000_000: "5.3 GB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	p := &models.Project{ID: 3, Forge: "git.example:8443", Namespace: "a/b c", Name: "d?e"}
	for got, want := range map[string]string{
		ProjectURL(p):                          "/projects/git.example:8443/a/b%20c/d%3Fe",
		RefURL(p, models.PullRequestRef, "42"): "/projects/git.example:8443/a/b%20c/d%3Fe/-/pulls/42",
		RefURL(p, models.BranchRef, "fix/it"):  "/projects/git.example:8443/a/b%20c/d%3Fe/-/branches/fix%2Fit",
		TargetURL(7, "tests:full", "a/b#c"):    "/pipelines/7/steps/tests:full/a%2Fb%23c",
		ProjectsURL("x&y", ""):                 "/projects?q=x%26y",
		PipelinesURL(PipelineFilter{}):         "/pipelines",
		PipelinesURL(PipelineFilter{State: "failed", Kind: "pr", Query: "a b", Before: "z"}): "/pipelines?before=z&kind=pr&q=a+b&state=failed",
		EventsURL(EventFilter{Kind: "push"}):                                                 "/events?kind=push",
		RunLogURL(5):                                                                         "/runs/5/log.txt",
		LiveURL([]string{"pipeline:7", "log:5"}):                                             "/live?topics=pipeline%3A7%2Clog%3A5",
		"#" + StepAnchor("tests:a b\"<#"):                                                    "#step-tests:a-b---",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestOutside(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		"https://copr.example/b/1": true, "http://127.0.0.1:8080/x": true,
		"javascript:alert(1)": false, "JAVASCRIPT:alert(1)": false, "data:text/html,x": false, "//copr.example/x": false,
		"https:///x": false, "": false, "/pipelines": false, "https://user:secret@copr.example/": false, " https://x.example/": false,
		"java\nscript:alert(1)": false,
	} {
		if _, ok := outside(raw); ok != want {
			t.Errorf("outside(%q) = %v, want %v", raw, ok, want)
		}
	}
}

// Every state has a word, an icon and a meaning; a word from elsewhere is
// shown as it came.
func TestStatesHaveWords(t *testing.T) {
	t.Parallel()
	icons := make(map[string]bool)
	for _, s := range models.States {
		l := lookOf(s)
		if l.word == "" || l.key == "unknown" || icons[l.key] {
			t.Errorf("%s: %+v is not its own", s, l)
		}
		icons[l.key] = true
		explained := false
		for _, m := range stateMeanings {
			explained = explained || m.State == s
		}
		if !explained {
			t.Errorf("%s is not explained", s)
		}
	}
	if diff := cmp.Diff(look{"unknown", "Unknown: needs_inspection"}, lookOf("needs_inspection"), cmp.AllowUnexported(look{})); diff != "" {
		t.Error(diff)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"plain text\n":                       "plain text",
		"\x1b[1;31merror:\x1b[0m no":         "error: no",
		"10%\r50%\r100%\r\n":                 "100%",
		"a\tb":                               "a\tb",
		"bell \x07 and \xff\xfe":             "bell · and ··",
		"\x1b":                               "",
		"\x1b[31":                            "",
		"ends \x1b]":                         "ends ",
		strings.Repeat("x", 5000):            strings.Repeat("x", 4000) + " …",
		"\u202eright to left stays as it is": "\u202eright to left stays as it is",
	} {
		if got := clean(line); got != want {
			t.Errorf("clean(%q) = %q, want %q", clip(line, 40), clip(got, 40), clip(want, 40))
		}
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]mark{
		"+ make -j4": commandMark,
		"Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.x": commandMark,
		"error: Failed build dependencies:":                errorMark,
		"CMake Error at CMakeLists.txt:1":                  errorMark,
		"ERROR: Exception(x)":                              errorMark,
		"make: *** [Makefile:3: all] Error 2":              errorMark,
		"No matching package to install: 'foo-devel'":      errorMark,
		"main.c:3:1: warning: unused variable":             warningMark,
		"WARNING: deprecated":                              warningMark,
		"0 errors: all is well":                            noMark,
		"checking for strerror... yes":                     noMark,
		"":                                                 noMark,
	} {
		if got := markOf(line); got != want {
			t.Errorf("markOf(%q) = %q, want %q", line, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "a\x1b[0mb", "\x1b[", "\r\r", "\xc3\x28", strings.Repeat("é", 2500)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if len(got) > 3*4000+8 {
			t.Fatalf("%d bytes came out", len(got))
		}
		if strings.ContainsAny(got, "\x1b\r\x00\x07") {
			t.Fatalf("control characters are left in %q", got)
		}
		markOf(got)
	})
}

func TestHistory(t *testing.T) {
	t.Parallel()
	var got []string
	for _, h := range history(samplePipeline()) {
		got = append(got, strings.TrimSpace(h.At.Format("15:04:05 ")+h.Text+" "+h.Of+" "+string(h.State)))
	}
	want := []string{
		"09:29:01 Static scan  passed",
		"09:24:47 Copr build epel-9-x86_64 failed",
		"09:23:41 Copr took Copr build as 5510042",
		"09:21:41 Attempt 2 planned from event 402",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if long := history(bigPipeline(200)); len(long) != longestHistory || long[len(long)-1].Link == "" {
		t.Errorf("a long history has %d entries and ends with %+v", len(long), long[len(long)-1])
	}
}

func TestFirstFailure(t *testing.T) {
	t.Parallel()
	p := samplePipeline()
	s, tg := FirstFailure(p)
	if s.Name != "copr_build" || tg.Name != "epel-9-x86_64" {
		t.Errorf("first failure is %s of %s", tg.Name, s.Name)
	}
	// what failed tells more than what could not be found out, even if later
	early := target(900, "early", models.Error, 8*m, time.Second)
	p.Steps[0].Targets = append(p.Steps[0].Targets, early)
	if _, tg := FirstFailure(p); tg.Name != "epel-9-x86_64" {
		t.Errorf("first failure is %s", tg.Name)
	}
	p.Steps[1].Targets[0].Run.State = models.Passed
	if _, tg := FirstFailure(p); tg != early {
		t.Errorf("first failure is %v", tg)
	}
	early.Run.State = models.Passed
	if s, tg := FirstFailure(p); s != nil || tg != nil {
		t.Error("a failure is found where none is")
	}
}

func TestAround(t *testing.T) {
	t.Parallel()
	needs, then := around(sampleRun())
	name := func(list []nextTo) (names []string) {
		for _, n := range list {
			s := n.Step.Name
			if n.Target != nil {
				s += "/" + n.Target.Name
			}
			names = append(names, s)
		}
		return names
	}
	if diff := cmp.Diff([]string{"srpm"}, name(needs)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"tests:basic/epel-9-x86_64"}, name(then)); diff != "" {
		t.Error(diff)
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	queued := &models.Step{Targets: []*models.Target{target(1, "a", models.Passed, 8*m, 4*m), target(2, "b", models.Running, 2*m, 0), target(3, "c", models.Waiting, 0, 0)}}
	got := timeline(&models.Pipeline{CreatedAt: ago(10 * m), Steps: []*models.Step{queued}}, sampleNow)
	type bar struct{ From, Started, Ended int }
	var bars []bar
	for _, b := range got.Bars {
		bars = append(bars, bar{b.From, b.Started, b.Ended})
	}
	if diff := cmp.Diff([]bar{{166, 200, 600}, {766, 800, 1000}}, bars); diff != "" {
		t.Error(diff)
	}
	if !got.Start.Equal(ago(10*m)) || !got.End.Equal(sampleNow) {
		t.Errorf("from %v to %v", got.Start, got.End)
	}
}
