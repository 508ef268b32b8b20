package sources

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/models"
)

// ask runs the condition of a package, and returns what it wrote beside its answer.
func (m *mill) ask(action any, clone bool, change func(*ConditionRequest)) (string, error) {
	m.t.Helper()
	settings := models.DefaultSettings()
	settings.Actions = map[string]models.ConfigAction{"run-condition": {Raw: action}}
	settings.CloneReposBeforeRunCondition = clone
	settings.DownstreamPackageName = ptr("hello")
	var log bytes.Buffer
	r := ConditionRequest{
		Package: &models.ConfigPackage{Name: "hello", Settings: settings}, Version: "1.2",
		DistGit: git.Remote{URL: m.dist.dir}, Ref: "f43", Work: m.t.TempDir(), Log: &log,
	}
	if change != nil {
		change(&r)
	}
	err := m.builder.RunCondition(m.t.Context(), r)
	return log.String(), err
}

func TestRunCondition(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	m.dist.git("checkout", "--quiet", "f43")
	m.dist.write("only-here", "f43")
	m.dist.commit("On f43 alone")
	upstream := func(r *ConditionRequest) { r.Upstream, r.Tag = git.Remote{URL: m.upstream.dir}, "1.2" }
	tests := []struct {
		name   string
		action any
		clone  bool
		change func(*ConditionRequest)
		no     string // what its no says, if that is the answer
	}{
		{"yes", "true", false, nil, ""},
		{"nothing to ask", []any{}, false, nil, ""},
		{"no", []any{"true", []any{"bash", "-c", "echo too early; exit 3"}, "touch never"}, false, nil,
			"The action run-condition says no: its command bash -c 'echo too early; exit 3' ended with exit status 3."},
		{"no such program", "no-such-program", false, nil, "its command no-such-program ended with exit status 127."},
		{"the version", `bash -c 'test "$PACKIT_PROJECT_VERSION" = 1.2 -a "$PACKIT_DOWNSTREAM_PACKAGE_NAME" = hello'`, false, nil, ""},
		{"no version", `bash -c 'test -z "${PACKIT_PROJECT_VERSION+x}"'`, false, func(r *ConditionRequest) { r.Version = "" }, ""},
		{"nothing was cloned", `bash -c 'test -z "$PACKIT_DOWNSTREAM_REPO$PACKIT_UPSTREAM_REPO" && test -z "$(ls -A)"'`, false, upstream, ""},
		{"dist-git", `bash -c 'test -z "$PACKIT_UPSTREAM_REPO" && test "$PWD" = "$PACKIT_DOWNSTREAM_REPO" && grep -q f43 only-here && git log -1'`, true, nil, ""},
		{"both", `bash -c 'test "$PWD" = "$PACKIT_UPSTREAM_REPO" && test -f extra/one.conf && test -f "$PACKIT_DOWNSTREAM_REPO/sources"'`, true, upstream, ""},
		{"a commit", `test -f only-here`, true, func(r *ConditionRequest) { r.Ref = m.dist.git("rev-parse", "f43") }, ""},
	}
	for _, test := range tests {
		log, err := m.ask(test.action, test.clone, test.change)
		skipped, no := errors.AsType[*SkipError](err)
		switch {
		case test.no == "" && err != nil:
			t.Errorf("%s: %v\n%s", test.name, err, log)
		case test.no != "" && (!no || !strings.HasSuffix(skipped.Reason, test.no)):
			t.Errorf("%s: %v, want the answer %s", test.name, err, test.no)
		case test.name == "no" && (!strings.Contains(log, "too early\n") || strings.Contains(log, "touch never")):
			t.Errorf("%s: the log is\n%s", test.name, log)
		}
	}
}

// TestConditionWithoutAnswer: what is no answer of the package is not taken for its no.
func TestConditionWithoutAnswer(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	if _, err := m.ask([]any{"bash -c 'unfinished"}, false, nil); !IsUserError(err) || !strings.Contains(err.Error(), "cannot be run") {
		t.Errorf("a command that cannot be read: %v", err)
	}
	if _, err := m.ask("true", true, func(r *ConditionRequest) { r.Ref = "f99" }); err == nil || !IsUserError(err) {
		t.Errorf("a branch that is not there: %v", err)
	}
	undecided := func(what string, err error, says string) {
		t.Helper()
		answer, ok := errors.AsType[*UndecidedError](err)
		if !ok || !strings.Contains(answer.Reason, says) || answer.Temporary() {
			t.Errorf("%s: %v, want it to say %s", what, err, says)
		}
	}
	hold := "dd if=/dev/zero bs=120M count=1 | sleep 1000 &"
	m.builder.Limits.Memory = 200 << 20
	_, err := m.ask([]any{[]any{"sh", "-c", hold + hold + hold + "wait"}}, false, nil)
	undecided("a command that takes all memory", err, "more memory than allowed")
	m.builder.Timeout = 1
	_, err = m.ask("sleep 1000", false, nil)
	undecided("a command without end", err, "limit")
	m.builder.Sandbox = &sandbox.Sandbox{Bwrap: "/nonexistent/bwrap"}
	m.builder.Timeout = 0
	if _, err := m.ask("true", false, nil); !errors.Is(err, sandbox.ErrNoSandbox) {
		t.Errorf("no sandbox: %v", err)
	}
}

// TestConditionSeesNoSecrets: commands of strangers get what they need to know, and
// nothing of ours.
func TestConditionSeesNoSecrets(t *testing.T) {
	t.Setenv("MILLRACE_DISTGIT_TOKEN", "hush")
	m := newMill(t)
	log, err := m.ask("env", true, nil)
	if err != nil || strings.Contains(log, "hush") || strings.Contains(log, "MILLRACE") {
		t.Errorf("%v\n%s", err, log)
	}
	if _, err := os.Stat(m.dist.dir); err != nil {
		t.Error(err)
	}
}
