package testingfarm

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestMergeExtra(t *testing.T) {
	t.Parallel()
	const own = `{"test":{"tmt":{"url":"u","ref":"r"}},"notification":{"webhook":{"url":"w"}},
		"environments":[{"arch":"x86_64","os":{"compose":"F"},"artifacts":[{"id":"1"}],"tmt":{"context":{"distro":"f"}}}]}`
	const bare = `{"test":{"tmt":{"url":"u"}},"environments":[{"arch":"x86_64"}]}`
	for _, test := range []struct{ name, own, extra, want string }{
		{"nothing", own, `{}`, own},
		{"other subtrees", own, `{"notification":{"webhook":{"url":"evil"}},"api_key":"k","user":{"a":1}}`, own},
		{"added subtree", bare, `{"settings":{"pipeline":{"timeout":3}}}`,
			`{"test":{"tmt":{"url":"u"}},"environments":[{"arch":"x86_64"}],"settings":{"pipeline":{"timeout":3}}}`},
		{"scalar and new key", bare, `{"test":{"tmt":{"url":"v","name":"n"},"fmf":{"url":"x"}}}`,
			`{"test":{"tmt":{"url":"v","name":"n"},"fmf":{"url":"x"}},"environments":[{"arch":"x86_64"}]}`},
		{"scalar replaces object", bare, `{"test":{"tmt":null}}`,
			`{"test":{"tmt":null},"environments":[{"arch":"x86_64"}]}`},
		{"object does not replace scalar", bare, `{"environments":[{"arch":{"a":1}}]}`, bare},
		{"list does not replace object", bare, `{"test":{"tmt":["v"]}}`, bare},
		{"subtree of another type", bare, `{"test":"x","environments":{"arch":"y"}}`, bare},
		{"lists are zipped", bare, `{"environments":[{"pool":"p"},{"arch":"s390x"}]}`,
			`{"test":{"tmt":{"url":"u"}},"environments":[{"arch":"x86_64","pool":"p"}]}`},
		{"scalars in lists stay", `{"environments":["a","b"]}`, `{"environments":["c"]}`, `{"environments":["a","b"]}`},
		{"artifacts are appended", own, `{"environments":[{"artifacts":[{"id":"2"}],"tmt":{"context":{"arch":"a"}}}]}`,
			strings.NewReplacer(`{"id":"1"}`, `{"id":"1"},{"id":"2"}`, `"distro":"f"`, `"distro":"f","arch":"a"`).Replace(own)},
		{"artifacts that are no list", own, `{"environments":[{"artifacts":{"id":"2"}}]}`, own},
		{"artifacts where we have none", bare, `{"environments":[{"artifacts":[{"id":"2"}]}]}`,
			`{"test":{"tmt":{"url":"u"}},"environments":[{"arch":"x86_64","artifacts":[{"id":"2"}]}]}`},
	} {
		payload, extra := object(t, test.own), object(t, test.extra)
		got := MergeExtra(payload, extra)
		if diff := cmp.Diff(object(t, test.want), got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		scribble(got)
		if diff := cmp.Diff(object(t, test.own), payload) + cmp.Diff(object(t, test.extra), extra); diff != "" {
			t.Errorf("%s changed its arguments: %s", test.name, diff)
		}
	}
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// scribble changes everything that can be reached.
func scribble(value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, v := range value {
			scribble(v)
		}
		clear(value)
	case []any:
		for i, v := range value {
			scribble(v)
			value[i] = "scribble"
		}
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	s := Submission{
		Key:  "the-key",
		Test: Test{URL: "u", Ref: "r", Path: ".", MergeSHA: "m", Name: "n"},
		Environments: []Environment{{
			Arch: "x86_64", Compose: "Fedora-43", Context: map[string]string{"distro": "fedora-43"},
			Variables: map[string]any{"A": "b", "N": 7}, PostInstallScript: "true",
			Artifacts: []Artifact{{ID: "1:c", Type: CoprBuild, Packages: []string{"p"}}},
		}},
		Webhook: Webhook{URL: "w", Token: "t"},
		Extra: map[string]any{
			"environments": []map[string]any{{"variables": map[string]any{KeyVariable: "forged", "X": "y"}}},
			"notification": map[string]any{"webhook": map[string]any{"url": "evil"}},
		},
	}
	payload, err := s.Payload()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"test":{"tmt":{"url":"u","ref":"r","path":".","merge_sha":"m","name":"n"}},
		"environments":[{"arch":"x86_64","os":{"compose":"Fedora-43"},"tmt":{"context":{"distro":"fedora-43"}},
			"variables":{"A":"b","N":7,"X":"y","` + KeyVariable + `":"the-key"},
			"artifacts":[{"id":"1:c","type":"fedora-copr-build","packages":["p"]}],
			"settings":{"provisioning":{"post_install_script":"true"}}}],
		"notification":{"webhook":{"url":"w","token":"t"}}}`
	if diff := cmp.Diff(object(t, want), object(t, string(got))); diff != "" {
		t.Error(diff)
	}
}

// TestKeySurvivesExtra lets users break the places where the key lives.
func TestKeySurvivesExtra(t *testing.T) {
	t.Parallel()
	for _, extra := range []any{
		nil, "x", []any{}, []any{"x"}, []any{nil},
		[]any{map[string]any{"variables": nil}}, []any{map[string]any{"variables": "x"}},
	} {
		s := Submission{Key: "k", Environments: []Environment{{Arch: "x86_64"}}, Extra: map[string]any{"environments": extra}}
		payload, err := s.Payload()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(map[string]any{"id": "i", "environments_requested": payload["environments"]})
		if err != nil {
			t.Fatal(err)
		}
		var w wireRequest
		if err := json.Unmarshal(b, &w); err != nil {
			t.Fatal(err)
		}
		if r, err := w.request(); err != nil || r.Key() != "k" {
			t.Errorf("extra %v: %+v, %v", extra, r, err)
		}
	}
}

func TestTestPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"": ".", "/": ".", "./": ".", ".": ".", "./ci/": "ci", "/a/b/": "a/b", ".tests": ".tests", "a": "a",
	} {
		if got := TestPath(path); got != want {
			t.Errorf("TestPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	public := []string{"Fedora-Rawhide", "Fedora-4[0-9]", "Fedora-eln", "CentOS-Stream-8", "CentOS-Stream-9", "Oracle-Linux-8.6", "("}
	internal := []string{"Fedora-Rawhide-Nightly", "Fedora-4[0-9]-Updated", "CentOS-7-latest", "CentOS-8-latest", "CentOS-Stream-9",
		`RHEL-9\.[0-9]+.*`, "RHEL-8.5.0-Nightly", "RHEL-7-LatestReleased", "RHEL-6-LatestReleased", "Oracle-Linux-8.6"}
	for _, test := range []struct {
		distro, ranch, want string
		ok                  bool
	}{
		{"fedora-43", Public, "Fedora-43", true},
		{"fedora-430", Public, "Fedora-430", false},
		{"fedora-rawhide", Public, "Fedora-Rawhide", true},
		{"fedora-eln", Public, "Fedora-eln", true},
		{"Fedora-44", Public, "Fedora-44", true},
		{"centos-stream-9", Public, "CentOS-Stream-9", true},
		{"centos-stream", Public, "CentOS-Stream-8", true},
		{"oraclelinux-8.6", Public, "Oracle-Linux-8.6", true},
		{"centos-7-latest", Public, "CentOS-7-latest", false},
		{"", Public, "", false},
		{"fedora-39", Public, "Fedora-39", false},
		{"fedora-43", Internal, "Fedora-43-Updated", true},
		{"fedora-rawhide", Internal, "Fedora-Rawhide-Nightly", true},
		{"centos-7", Internal, "CentOS-7-latest", true},
		{"centos-8", Internal, "CentOS-8-latest", true},
		{"centos-8.4", Internal, "CentOS-8.4", false},
		{"centos-stream-9", Internal, "CentOS-Stream-9", true},
		{"rhel-6", Internal, "RHEL-6-LatestReleased", true},
		{"rhel-7", Internal, "RHEL-7-LatestReleased", true},
		{"rhel-8", Internal, "RHEL-8.5.0-Nightly", true},
		{"RHEL-9.4.0-Nightly", Internal, "RHEL-9.4.0-Nightly", true},
		{"x-RHEL-9.4.0", Internal, "X-RHEL-9.4.0", false},
		{"oraclelinux-8", Internal, "Oracle-Linux-8.6", true},
	} {
		available := public
		if test.ranch == Internal {
			available = internal
		}
		if got, ok := Compose(test.distro, test.ranch, available); got != test.want || ok != test.ok {
			t.Errorf("Compose(%s, %s) = %s, %t, want %s, %t", test.distro, test.ranch, got, ok, test.want, test.ok)
		}
	}
}

func TestDistroOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ chroot, ranch, want string }{
		{"fedora-43-x86_64", Public, "fedora-43"},
		{"fedora-rawhide-aarch64", Internal, "fedora-rawhide"},
		{"epel-6-x86_64", Public, "centos-6"}, {"epel-6-x86_64", Internal, "rhel-6"},
		{"epel-7-x86_64", Public, "centos-7"}, {"epel-7-x86_64", Internal, "rhel-7"},
		{"epel-8-x86_64", Public, "centos-stream-8"}, {"epel-8-x86_64", Internal, "rhel-8"},
		{"epel-9-x86_64", Public, "centos-stream-9"}, {"epel-9-x86_64", Internal, "centos-stream-9"},
		{"epel-10-x86_64", Public, "centos-stream-10"}, {"epel-10-x86_64", Internal, "centos-stream-10"},
		{"nodash", Public, "nodash"}, {"", Public, ""},
	} {
		if got := DistroOf(test.chroot, test.ranch); got != test.want {
			t.Errorf("DistroOf(%s, %s) = %s, want %s", test.chroot, test.ranch, got, test.want)
		}
	}
}

func TestArchitectures(t *testing.T) {
	t.Parallel()
	for arch, want := range map[string][2]bool{
		"x86_64": {true, true}, "aarch64": {true, true}, "ppc64le": {false, true}, "s390x": {false, true}, "i386": {false, false}, "": {},
	} {
		if got := [2]bool{HasArchitecture(Public, arch), HasArchitecture(Internal, arch)}; got != want {
			t.Errorf("%s: %v, want %v", arch, got, want)
		}
	}
	if got := NoCompose("C", Internal) + NoArchitecture("a", Public); got != "The compose C is not available in the internal Testing Farm infrastructure."+
		"The architecture a is not available in the public Testing Farm infrastructure." {
		t.Error(got)
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		state   State
		overall string
		outcome Outcome
		result  string
	}{
		{New, "", OutcomeQueued, "new"},
		{Queued, "", OutcomeQueued, "queued"},
		{Running, "passed", OutcomeRunning, "running"},
		{CancelRequested, "", OutcomeRunning, "cancel-requested"},
		{"provisioning", "", OutcomeRunning, "provisioning"},
		{Canceled, "", OutcomeCanceled, "canceled"},
		{Complete, "passed", OutcomePassed, "passed"},
		{Complete, "failed", OutcomeFailed, "failed"},
		{Complete, "needs_inspection", OutcomeFailed, "needs_inspection"},
		{Complete, "skipped", OutcomeSkipped, "skipped"},
		{Complete, "error", OutcomeError, "error"},
		{Complete, "unknown", OutcomeError, "unknown"},
		{Complete, "", OutcomeError, "complete"},
		{Failed, "", OutcomeError, "error"},
		{Failed, "passed", OutcomeError, "passed"},
	} {
		r := Request{State: test.state, Overall: test.overall}
		if r.Outcome() != test.outcome || r.Result() != test.result {
			t.Errorf("%s %s: %s, %s", test.state, test.overall, r.Outcome(), r.Result())
		}
	}
}

func TestWireRequest(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"id":"a","created":"2025-03-04 10:30:00.5","queued_time":1.5,"run_time":null}`:               "2025-03-04 10:30:00.5 +0000 UTC 1.5s 0s ",
		`{"id":"a","created":"2025-03-04T10:30:00+02:00","run_time":-1}`:                               "2025-03-04 08:30:00 +0000 UTC 0s 0s ",
		`{"id":"a","created":7,"run_time":1e300}`:                                                      "0001-01-01 00:00:00 +0000 UTC 0s 8760h0m0s ",
		`{"id":"a","notes":[{"message":"why"}],"result":{"summary":null}}`:                             "0001-01-01 00:00:00 +0000 UTC 0s 0s why",
		`{"id":"a","notes":null,"result":null,"run":{"artifacts":"javascript:x"},"test":{"fmf":null}}`: "0001-01-01 00:00:00 +0000 UTC 0s 0s ",
	} {
		var w wireRequest
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		r, err := w.request()
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := fmt.Sprintln(r.Created, r.QueuedFor, r.RanFor, r.Summary+r.Artifacts); strings.TrimRight(got, "\n") != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if _, err := new(wireRequest).request(); err == nil {
		t.Error("a request without an id was accepted")
	}
}

func TestParseNotification(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"request_id":"5f1c-a","token":"t","source":"testing-farm"}`: "5f1c-a t true",
		`{"request_id":"5f1c-a"}`:                                     "5f1c-a  true",
		`{"request_id":"../x","token":"t"}`:                           "  false",
		`{"token":"t"}`:                                               "  false",
		`{"request_id":7}`:                                            "  false",
		`[]`:                                                          "  false",
		``:                                                            "  false",
		`{"request_id":"a","token":"` + strings.Repeat("t", MaxNotification) + `"}`: "  false",
	} {
		id, token, err := ParseNotification([]byte(body))
		if got := fmt.Sprintf("%s %s %t", id, token, err == nil); got != want {
			t.Errorf("%.80s: %s, want %s", body, got, want)
		}
	}
}

const farmShape = `<?xml version="1.0"?>
<testsuites overall-result="failed">
 <testsuite name="/plans/smoke" result="failed" tests="3" stage="complete">
  <logs><log href="https://a.example/work/" name="workdir"/><log href="javascript:alert(1)" name="evil"/></logs>
  <properties><property name="x" value="y"/></properties>
  <testcase name="/t/one" result="passed"><logs><log href="https://a.example/one.txt" name="out"/></logs></testcase>
  <testcase name="/t/two" result="failed"><logs><log href="https://a.example/two.txt" name="out"/></logs>
   <testing-environment name="requested"><property name="arch" value="x86_64"/></testing-environment></testcase>
  <testcase name="/t/three" result="error"/>
 </testsuite>
 <testsuite name="/plans/empty" result="skipped"/>
 <testsuite name="/plans/odd" result="undefined"/>
</testsuites>`

const junitShape = `<testsuite name="unit" tests="4">
 <testcase name="a"/><testcase name="b"><failure message="no"/></testcase>
 <testcase name="c"><skipped/></testcase><testcase name="d"><error>trace</error></testcase>
 <error/>
</testsuite>`

func TestSummarize(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want *Summary
	}{
		{farmShape, &Summary{
			Overall: "failed",
			Suites:  Counts{Failed: 1, Skipped: 1, Error: 1},
			Tests:   Counts{Passed: 1, Failed: 1, Error: 1},
			Failing: []string{"/plans/smoke: /t/two", "/plans/smoke: /t/three"},
			Logs: []Log{
				{Of: "/plans/smoke", Name: "workdir", URL: "https://a.example/work/"},
				{Of: "/plans/smoke: /t/two", Name: "out", URL: "https://a.example/two.txt"},
			},
		}},
		{junitShape, &Summary{
			Suites: Counts{Error: 1}, Tests: Counts{Passed: 1, Failed: 1, Skipped: 1, Error: 1},
			Failing: []string{"unit: b", "unit: d"},
		}},
		{`<testsuites overall-result="passed"/>`, &Summary{Overall: "passed"}},
		{`<testsuite result="passed"/>`, &Summary{Overall: "passed", Suites: Counts{Passed: 1}}},
		{`<testsuites><testsuite name="s"><testcase result="skipped"/></testsuite></testsuites>`,
			&Summary{Suites: Counts{Skipped: 1}, Tests: Counts{Skipped: 1}}},
		{``, nil},
		{`{"json": true}`, nil},
		{`<html/>`, nil},
		{`<testsuites>`, nil},
		{`<testsuites></testsuite>`, nil},
		{`<testsuites/><testsuites/>`, nil},
		{`<testsuites>&unknown;</testsuites>`, nil},
		{`<!DOCTYPE t [<!ENTITY a "aaaa">]><testsuites><testsuite name="&a;"/></testsuites>`, nil},
		{`<testsuites>` + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + `</testsuites>`, nil},
	} {
		got, err := Summarize([]byte(test.text))
		if (err == nil) != (test.want != nil) {
			t.Errorf("%.100s: %+v, %v", test.text, got, err)
		}
		if diff := cmp.Diff(test.want, got); err == nil && diff != "" {
			t.Errorf("%.100s: %s", test.text, diff)
		}
	}
}

func TestSummarizeIsBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`<testsuites>`)
	for i := range 5000 {
		fmt.Fprintf(&b, `<testsuite name="s%d"><logs><log href="http://l" name="n"/></logs><testcase name="%s" result="failed"><logs><log href="http://l" name="n"/></logs></testcase></testsuite>`,
			i, strings.Repeat("é", 1000))
	}
	b.WriteString(`</testsuites>`)
	s, err := Summarize([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if s.Tests.Failed != 5000 || s.Suites.Total() != 5000 || len(s.Failing) != MaxFailing || len(s.Logs) != MaxLogs {
		t.Errorf("%+v, %d failing, %d logs", s.Tests, len(s.Failing), len(s.Logs))
	}
	for _, name := range s.Failing {
		if len(name) > 2*maxName || !utf8.ValidString(name) {
			t.Fatalf("%d bytes: %q", len(name), name)
		}
	}
}

func FuzzSummarize(f *testing.F) {
	for _, text := range []string{farmShape, junitShape, `<testsuites/>`, `<testsuite><testcase><failure></testcase>`, `<!-- -->`, `<?xml version="1.0" encoding="latin1"?><testsuite/>`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Summarize(b)
		if err != nil {
			return
		}
		if len(s.Failing) > min(MaxFailing, s.Tests.Failed+s.Tests.Error) || len(s.Logs) > MaxLogs {
			t.Errorf("%+v", s)
		}
		for _, l := range s.Logs {
			if !isWebURL(l.URL) {
				t.Errorf("link to %q", l.URL)
			}
		}
	})
}

func FuzzMergeExtra(f *testing.F) {
	f.Add([]byte(`{"environments":[{"artifacts":[1]}],"test":{"tmt":null}}`), []byte(`{"environments":[{"artifacts":[2]},{}],"test":[]}`))
	f.Fuzz(func(t *testing.T, own, extra []byte) {
		var a, b map[string]any
		if json.Unmarshal(own, &a) != nil || json.Unmarshal(extra, &b) != nil || a == nil {
			return
		}
		merged := MergeExtra(a, b)
		for key := range a {
			if _, ok := merged[key]; !ok {
				t.Errorf("lost %q", key)
			}
		}
		if diff := cmp.Diff(a["notification"], merged["notification"]); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzParseNotification(f *testing.F) {
	f.Add([]byte(`{"request_id":"5f1c-a","token":"t"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, _, err := ParseNotification(b); err == nil && !validID(id) {
			t.Errorf("id %q", id)
		}
	})
}
