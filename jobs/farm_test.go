package jobs

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/httpx"
	"millrace/clients/testingfarm"
	"millrace/clients/testingfarm/testingfarmfake"
	"millrace/models"
)

// newFarm is a Testing Farm that is done at once, and a kind that uses it.
func newFarm(t *testing.T) (*testingfarmfake.Server, *Tests, *aForge) {
	t.Helper()
	f, err := testingfarmfake.New(testingfarmfake.Config{
		Tokens: map[string]string{"token": "public", "inside": "redhat"},
		Pace:   testingfarmfake.Pace{New: time.Millisecond, Queued: time.Millisecond, Running: 5 * time.Millisecond},
		Composes: map[string][]string{
			"public": {"Fedora-Rawhide", "Fedora-4[0-3]", "CentOS-Stream-9"}, "redhat": {"Fedora-4[0-3]-Updated"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.Close()
		f.Close()
	})
	forge := &aForge{
		files: map[string]bool{".fmf/version": true, "plans/.fmf/version": true}, branches: map[string]string{"main": strings.Repeat("b", 40)},
		mergers: map[string]bool{"ada": true},
	}
	return f, &Tests{
		Client: &testingfarm.Client{BaseURL: server.URL + "/v0.1", Token: "token"},
		Inside: &testingfarm.Client{BaseURL: server.URL + "/v0.1", Token: "inside"},
		Forge:  func(*models.Project) (Forge, error) { return forge, nil }, Releases: knownReleases,
		Ranch: testingfarm.Public, Internal: map[string]bool{"git.test/milling/hello": true}, Deployment: "prod",
		Install: testingfarm.Test{URL: "https://tests.test/install", Ref: "main", Name: "/packit/installation"},
	}, forge
}

// tested is the work of testing a chroot that was built.
func tested(t *testing.T, e *models.Event, job, chroot, target string) *Work {
	t.Helper()
	p := planOf(t, e, "upstream_package_name: hi\njobs:\n- {job: copr_build, trigger: pull_request|release, targets: ["+chroot+"]}\n- {job: tests, trigger: pull_request|release"+job+"}\n")
	source := p.Steps[0].Targets[0].Run
	source.State, source.Data = models.Passed, models.RunData{SRPMURL: "https://copr.test/hello.src.rpm", NVR: "hello-1.0-1"}
	build := p.Steps[1].Targets[0].Run
	build.State, build.ExternalID, build.LogURL = models.Passed, "77", "https://copr.test/log"
	build.Data = models.RunData{CoprOwner: "packit", CoprProject: "milling-hello-7", Packages: []string{"hello-1.0-1.noarch", "hello-doc-0:1.0-1.noarch"}}
	return workOf(t, p, "tests", target)
}

// sent is what the farm was asked for last, without the key.
func sent(t *testing.T, f *testingfarmfake.Server) map[string]any {
	t.Helper()
	runs := f.Runs()
	if len(runs) == 0 {
		t.Fatal("nothing was submitted")
	}
	var payload map[string]any
	if err := json.Unmarshal(runs[len(runs)-1].Payload, &payload); err != nil {
		t.Fatal(err)
	}
	for _, e := range payload["environments"].([]any) {
		if v, ok := e.(map[string]any)["variables"].(map[string]any); ok {
			delete(v, testingfarm.KeyVariable)
		}
	}
	return payload
}

type object = map[string]any

func TestFarmPayload(t *testing.T) {
	t.Parallel()
	f, k, _ := newFarm(t)
	k.Webhook = testingfarm.Webhook{URL: "https://millrace.test/hooks/testing-farm", Token: "hush"}
	w := tested(t, event(), `, tmt_plan: fast, fmf_path: /plans/, tf_post_install_script: echo,
    env: {PACKIT_PR_ID: null, PACKIT_PACKAGE_NAME: mine, LEVEL: 3, LIST: [a]},
    tf_extra_params: {environments: [{pool: big, variables: {MILLRACE_SUBMISSION: x}, artifacts: [{id: other, type: repository}]}],
                      notification: {webhook: {url: evil}}}`, "fedora-43", "fedora-43-x86_64")
	submitTo(t, k, w)
	want := object{
		"test": object{"tmt": object{
			"url": "https://git.test/ada/hello", "ref": strings.Repeat("a", 40), "path": "plans", "name": "fast", "merge_sha": strings.Repeat("b", 40),
		}},
		"environments": []any{object{
			"arch": "x86_64", "os": object{"compose": "Fedora-43"}, "pool": "big",
			"tmt": object{"context": object{"distro": "fedora-43", "arch": "x86_64", "trigger": "commit", "initiator": "packit", "deployment": "prod"}},
			"variables": object{
				"PACKIT_FULL_REPO_NAME": "milling/hello", "PACKIT_UPSTREAM_NAME": "hi", "PACKIT_UPSTREAM_URL": "https://git.test/milling/hello",
				"PACKIT_DOWNSTREAM_NAME": "hello", "PACKIT_DOWNSTREAM_URL": "https://src.fedoraproject.org/rpms/hello", "PACKIT_PACKAGE_NAME": "mine",
				"PACKIT_COMMIT_SHA": strings.Repeat("a", 40), "PACKIT_SOURCE_SHA": strings.Repeat("a", 40), "PACKIT_SOURCE_BRANCH": "topic",
				"PACKIT_SOURCE_URL": "https://git.test/ada/hello", "PACKIT_TARGET_SHA": strings.Repeat("b", 40), "PACKIT_TARGET_BRANCH": "main",
				"PACKIT_TARGET_URL": "https://git.test/milling/hello", "PACKIT_COPR_PROJECT": "packit/milling-hello-7", "PACKIT_COPR_BUILD_ID": 77.0,
				"PACKIT_COPR_RPMS": "hello-1.0-1.noarch hello-doc-0:1.0-1.noarch", "PACKIT_BUILD_LOG_URL": "https://copr.test/log",
				"PACKIT_SRPM_URL": "https://copr.test/hello.src.rpm", "PACKIT_PACKAGE_NVR": "hello-1.0-1", "LEVEL": 3.0, "LIST": "[a]",
			},
			"artifacts": []any{
				object{"id": "77:fedora-43-x86_64", "type": "fedora-copr-build", "packages": []any{"hello-1.0-1.noarch", "hello-doc-0:1.0-1.noarch"}},
				object{"id": "other", "type": "repository"},
			},
			"settings": object{"provisioning": object{"post_install_script": "echo"}},
		}},
		"notification": object{"webhook": object{"url": "https://millrace.test/hooks/testing-farm", "token": "hush"}},
	}
	if diff := cmp.Diff(want, sent(t, f)); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	if f.Runs()[0].Key != w.Group.Key {
		t.Errorf("the key is %q, want %q", f.Runs()[0].Key, w.Group.Key)
	}
}

// TestFarmTests: where the tests are taken from.
func TestFarmTests(t *testing.T) {
	t.Parallel()
	head, sha := strings.Repeat("b", 40), strings.Repeat("a", 40)
	release := event()
	release.Kind, release.Commit.Kind, release.Commit.Ref, release.Commit.TargetRef, release.Commit.SourceURL = models.ReleaseEvent, models.ReleaseRef, "v1", "", ""
	tests := []struct {
		name, job string
		event     *models.Event
		want      object
	}{
		{"usual", "", event(), object{"url": "https://git.test/ada/hello", "ref": sha, "path": ".", "merge_sha": head}},
		{"of the target repository", ", use_target_repo_for_fmf_url: true", event(), object{"url": "https://git.test/milling/hello", "ref": sha, "path": ".", "merge_sha": head}},
		{"not merged", ", merge_pr_in_ci: false", event(), object{"url": "https://git.test/ada/hello", "ref": sha, "path": "."}},
		{"elsewhere", ", fmf_url: 'https://git.test/x/tests', fmf_ref: devel", event(), object{"url": "https://git.test/x/tests", "ref": "devel", "path": "."}},
		{"elsewhere, no ref", ", fmf_url: 'https://git.test/x/tests'", event(), object{"url": "https://git.test/x/tests", "path": "."}},
		{"release", "", release, object{"url": "https://git.test/milling/hello", "ref": sha, "path": "."}},
	}
	f, k, _ := newFarm(t)
	for _, test := range tests {
		submitTo(t, k, tested(t, test.event, test.job, "fedora-43", "fedora-43-x86_64"))
		payload := sent(t, f)
		if diff := cmp.Diff(test.want, payload["test"].(object)["tmt"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		tag, _ := payload["environments"].([]any)[0].(object)["variables"].(object)["PACKIT_TAG_NAME"].(string)
		if (tag == "v1") != (test.name == "release") {
			t.Errorf("%s: the tag is %q", test.name, tag)
		}
	}
}

// TestFarmInstall: a project without tests of its own gets one of the
// installation, with the repository that was built and nothing of the user's.
func TestFarmInstall(t *testing.T) {
	t.Parallel()
	f, k, forge := newFarm(t)
	forge.files = nil
	submitTo(t, k, tested(t, event(), ", env: {PACKIT_COPR_PROJECT: evil/thing}", "epel-9", "centos-stream-9-x86_64"))
	payload := sent(t, f)
	want := object{
		"test": object{"tmt": object{"url": "https://tests.test/install", "ref": "main", "name": "/packit/installation"}},
		"environments": []any{object{
			"arch": "x86_64", "os": object{"compose": "CentOS-Stream-9"}, "variables": object{"REPOSITORY": "packit/milling-hello-7"},
			"tmt": object{"context": object{"distro": "centos-stream-9", "arch": "x86_64", "trigger": "commit", "initiator": "packit", "deployment": "prod"}},
		}},
	}
	if diff := cmp.Diff(want, payload); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}

	p := planOf(t, event(), "jobs:\n- {job: tests, trigger: pull_request, skip_build: true, targets: [fedora-43]}\n")
	w := workOf(t, p, "tests", "fedora-43-x86_64")
	submitTo(t, k, w)
	if got := w.Runs[0]; got.State != models.Skipped || !strings.HasPrefix(got.Reason, "No FMF metadata found.") {
		t.Errorf("without a build it is %s: %s", got.State, got.Reason)
	}
	forge.files = map[string]bool{".fmf/version": true}
	p = planOf(t, event(), "jobs:\n- {job: tests, trigger: pull_request, skip_build: true, targets: [fedora-43]}\n")
	submitTo(t, k, workOf(t, p, "tests", "fedora-43-x86_64"))
	e := sent(t, f)["environments"].([]any)[0].(object)
	if _, has := e["artifacts"]; has || e["variables"].(object)["PACKIT_COPR_PROJECT"] != nil {
		t.Errorf("tests without a build get %v", e)
	}
}

// TestFarmWithoutListOfPackages: packages that Copr did not list are installed
// all the same.
func TestFarmWithoutListOfPackages(t *testing.T) {
	t.Parallel()
	f, k, _ := newFarm(t)
	w := tested(t, event(), "", "fedora-43", "fedora-43-x86_64")
	w.Pipeline.Steps[1].Targets[0].Run.Data.Packages = nil
	submitTo(t, k, w)
	got := sent(t, f)["environments"].([]any)[0].(object)["artifacts"]
	if diff := cmp.Diff([]any{object{"id": "77:fedora-43-x86_64", "type": "fedora-copr-build"}}, got); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
}

// TestFarmRefusals: what is not submitted, whose matter it is, and in which
// words it is told.
func TestFarmRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                string
		job, chroot, target string
		change              func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work)
		state               models.State // empty: try again
		reason              string
	}{
		{"architecture", "", "fedora-43-s390x", "fedora-43-s390x", nil, models.Failed, "The architecture s390x is not available in the public Testing Farm infrastructure."},
		{"compose that is named", "", "fedora-44", "fedora-44-x86_64", nil, models.Failed, "The compose Fedora-44 is not available in the public"},
		{"distribution that is named", ", targets: {fedora-43: {distros: [rocky-9]}}", "fedora-43", "rocky-9-x86_64", nil, models.Failed, "The compose Rocky-9 is not"},
		{"compose of an alias", ", targets: [fedora-development]", "fedora-44", "fedora-44-x86_64", nil, models.Error, "The compose Fedora-44 is not available in the public"},
		{"compose of a fresh branch", ", skip_missing_branched_composes: true", "fedora-44", "fedora-44-x86_64", nil, models.Skipped, "Compose not yet available for fedora-44. Skipping."},
		{"compose that is no fresh branch", ", skip_missing_branched_composes: true", "fedora-99", "fedora-99-x86_64", nil, models.Failed, "The compose Fedora-99 is not"},
		{"internal, not on the list", ", use_internal_tf: true", "fedora-43", "fedora-43-x86_64",
			func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work) { k.Internal = nil },
			models.Skipped, "Internal TF not allowed for this project. Let us know."},
		{"internal, no token", ", use_internal_tf: true", "fedora-43", "fedora-43-x86_64",
			func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work) { k.Inside = nil },
			models.Skipped, "Internal TF not allowed for this project. Let us know."},
		{"internal, a stranger", ", use_internal_tf: true", "fedora-43", "fedora-43-x86_64",
			func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work) { forge.mergers = nil },
			models.Skipped, "ada can't run tests (and builds) internally"},
		{"path out of the repository", ", fmf_path: ../../etc", "fedora-43", "fedora-43-x86_64", nil, models.Failed, `fmf_path "../../etc" leads out of the repository.`},
		{"target branch is gone", "", "fedora-43", "fedora-43-x86_64",
			func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work) { forge.branches = nil },
			models.Failed, "The branch main, which the pull request wants to go to, is gone."},
		{"the farm says no", ", tf_extra_params: {test: {tmt: {url: ''}}}", "fedora-43", "fedora-43-x86_64", nil, models.Failed, "Failed to submit tests: Test.tmt.url: missing data for required field."},
		{"token", "", "fedora-43", "fedora-43-x86_64",
			func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work) { k.Client.Token = "old" },
			models.Error, "an operator must renew it"},
		{"farm in trouble", "", "fedora-43", "fedora-43-x86_64",
			func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work) {
				f.SetFaults(testingfarmfake.Faults{FailNext: -1})
			}, "", ""},
		{"forge in trouble", "", "fedora-43", "fedora-43-x86_64",
			func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work) {
				forge.err = &httpx.Error{Service: "forge", Status: 503}
			}, "", ""},
		{"the build is not there", "", "fedora-43", "fedora-43-x86_64",
			func(f *testingfarmfake.Server, k *Tests, forge *aForge, w *Work) { w.Pipeline.Steps[1].Targets = nil },
			models.Error, "is not part of the pipeline"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, k, forge := newFarm(t)
			w := tested(t, event(), test.job, test.chroot, test.target)
			if test.change != nil {
				test.change(f, k, forge, w)
			}
			o, err := k.Submit(t.Context(), w)
			switch test.state {
			case "":
				tryLater(t, err)
			case models.Skipped:
				if err != nil || len(o.Runs) != 1 || o.Waiting || o.Runs[0].State != models.Skipped || !strings.HasPrefix(o.Runs[0].Reason, test.reason) {
					t.Errorf("outcome %+v, %v, want it to be skipped because %q", o.Runs, err, test.reason)
				}
			default:
				refusedAs(t, err, test.state, test.reason)
			}
			if n := len(f.Runs()); n != 0 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}

// TestFarmInside: who may test inside does.
func TestFarmInside(t *testing.T) {
	t.Parallel()
	f, k, _ := newFarm(t)
	w := tested(t, event(), ", use_internal_tf: true", "fedora-43-ppc64le", "fedora-43-ppc64le")
	submitTo(t, k, w)
	if got := f.Runs(); len(got) != 1 || got[0].Compose != "Fedora-43-Updated" || got[0].Arch != "ppc64le" {
		t.Fatalf("requests: %+v", got)
	}
	w.Group.Epoch, w.Group.ExternalID = 2, ""
	submitTo(t, k, w)
	if n := len(f.Runs()); n != 1 {
		t.Errorf("%d requests after a second try", n)
	}
	pollUntil(t, k, w)
	if w.Runs[0].State != models.Passed {
		t.Errorf("the test is %s: %s", w.Runs[0].State, w.Runs[0].Reason)
	}
}

// TestFarmInsideFromPages: who asked on our pages goes by another name at the
// forge, and may do there what that one may; without one, nothing.
func TestFarmInsideFromPages(t *testing.T) {
	t.Parallel()
	names := map[string]string{"ada": "lovelace", "olga": "mallory"}
	for _, tt := range []struct {
		actor  string
		linked bool
		state  models.State // empty: submitted
		says   string
	}{
		{"ada", true, "", ""},
		{"olga", true, models.Skipped, "olga can't run tests (and builds) internally: it takes the right"},
		{"nils", true, models.Skipped, "no account at"},
		{"ada", false, models.Skipped, "no account at"},
	} {
		f, k, forge := newFarm(t)
		forge.mergers = map[string]bool{"lovelace": true, "ada": true}
		if tt.linked {
			k.Login = func(_ context.Context, p *models.Pipeline) (string, error) { return names[p.Actor], nil }
		} else {
			forge.mergers["lovelace"] = false
		}
		w := tested(t, event(), ", use_internal_tf: true", "fedora-43-ppc64le", "fedora-43-ppc64le")
		w.Pipeline.Actor, w.Pipeline.RequesterID = tt.actor, 7
		o, err := k.Submit(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if tt.state == "" {
			if len(f.Runs()) != 1 {
				t.Errorf("%s: %+v", tt.actor, o)
			}
			continue
		}
		if u := o.Runs[0]; u.State != tt.state || !strings.Contains(u.Reason, tt.says) || len(f.Runs()) != 0 {
			t.Errorf("%s, linked %v: %s, %s", tt.actor, tt.linked, u.State, u.Reason)
		}
	}
}

func TestFarmEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		rule   testingfarmfake.Rule
		state  models.State
		reason string
		tests  *models.TestSummary
	}{
		{"passes", testingfarmfake.Rule{Ending: testingfarmfake.Passes}, models.Passed, "", &models.TestSummary{Passed: 3}},
		{"fails", testingfarmfake.Rule{Ending: testingfarmfake.Fails}, models.Failed, "", nil},
		{"fails in words", testingfarmfake.Rule{Ending: testingfarmfake.Fails, Summary: "plan failed"}, models.Failed, "plan failed", nil},
		{"cannot run a test", testingfarmfake.Rule{Ending: testingfarmfake.Errs}, models.Error, "Testing Farm could not run the tests.", nil},
		{"has no machine", testingfarmfake.Rule{Ending: testingfarmfake.FarmFails}, models.Error, "Guest provisioning failed", nil},
		{"skips", testingfarmfake.Rule{Ending: testingfarmfake.Skips}, models.Skipped, "Testing Farm skipped the tests.", nil},
		{"results elsewhere", testingfarmfake.Rule{Ending: testingfarmfake.Passes, NoXUnit: true}, models.Passed, "", &models.TestSummary{Passed: 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, k, _ := newFarm(t)
			f.SetRules(test.rule)
			w := tested(t, event(), "", "fedora-43", "fedora-43-x86_64")
			submitTo(t, k, w)
			pollUntil(t, k, w)
			run := w.Runs[0]
			if run.State != test.state || !strings.HasPrefix(run.Reason, test.reason) {
				t.Errorf("it is %s: %q, want %s: %q", run.State, run.Reason, test.state, test.reason)
			}
			if test.tests != nil {
				if diff := cmp.Diff(test.tests, run.Data.Tests); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
			}
			if test.state == models.Passed && (len(run.Data.Artifacts) == 0 || run.ExternalURL == "" || run.Data.Compose != "Fedora-43") {
				t.Errorf("it remembers %+v at %q", run.Data, run.ExternalURL)
			}
			if run.Data.Tests != nil && test.state == models.Failed && (run.Data.Tests.Failed == 0 || len(run.Data.Tests.First) == 0) {
				t.Errorf("the failing tests are %+v", run.Data.Tests)
			}
			if log := map[bool]string{true: "/tests/version/output.txt", false: "/pipeline.log"}[run.Data.Tests != nil && len(run.Data.Tests.First) > 0]; !strings.HasSuffix(run.LogURL, log) {
				t.Errorf("its log is %s, want %s", run.LogURL, log)
			}
		})
	}
}

// TestFarmResultsUnreadable: a result counts also when its details cannot be had.
func TestFarmResultsUnreadable(t *testing.T) {
	t.Parallel()
	f, k, _ := newFarm(t)
	f.SetRules(testingfarmfake.Rule{Ending: testingfarmfake.Passes, NoXUnit: true})
	w := tested(t, event(), "", "fedora-43", "fedora-43-x86_64")
	submitTo(t, k, w)
	f.SetFaults(testingfarmfake.Faults{FailNext: -1, FailOperation: "artifact"})
	pollUntil(t, k, w)
	if run := w.Runs[0]; run.State != models.Passed || len(run.Data.Notes) != 1 || run.Data.Tests != nil {
		t.Errorf("it is %s: %s, and remembers %+v", run.State, run.Reason, run.Data)
	}
}

func TestFarmCanceledThere(t *testing.T) {
	t.Parallel()
	f, k, _ := newFarm(t)
	f.SetRules(testingfarmfake.Rule{Queue: time.Hour})
	w := tested(t, event(), "", "fedora-43", "fedora-43-x86_64")
	if err := k.Cancel(t.Context(), w); err != nil {
		t.Errorf("canceling what was never submitted: %v", err)
	}
	submitTo(t, k, w)
	id := w.Group.ExternalID
	w.Group.ExternalID = "" // its worker died before it could say
	if err := k.Cancel(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	w.Group.ExternalID = id
	pollUntil(t, k, w)
	if run := w.Runs[0]; run.State != models.Canceled || run.Reason == "" {
		t.Errorf("it is %s: %s", run.State, run.Reason)
	}
	if err := k.Cancel(t.Context(), w); err != nil {
		t.Errorf("canceling twice: %v", err)
	}
	w.Group.ExternalID, w.Runs[0].State = "00000000-0000-0000-0000-000000000000", models.Running
	pollUntil(t, k, w)
	if run := w.Runs[0]; run.State != models.Error || run.Reason != "Testing Farm no longer knows the request." {
		t.Errorf("an unknown request is %s: %s", run.State, run.Reason)
	}
}

func TestFarmLog(t *testing.T) {
	t.Parallel()
	_, k, _ := newFarm(t)
	w := tested(t, event(), "", "fedora-43", "fedora-43-x86_64")
	submitTo(t, k, w)
	pollUntil(t, k, w)
	run := w.Runs[0]
	if run.LogURL == "" {
		t.Fatalf("no log among %+v", run.Data.Artifacts)
	}
	text, _, err := k.FetchLog(t.Context(), run, 1<<20)
	if err != nil || len(text) == 0 {
		t.Errorf("log %q, %v", text, err)
	}
	text, _, err = k.FetchLog(t.Context(), run, 5)
	if err != nil || !strings.Contains(string(text), run.LogURL) {
		t.Errorf("a log that is too long is kept as %q, %v", text, err)
	}
}
