package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
)

func noEnv(string) (string, bool) { return "", false }

// env is an environment of these variables alone.
func env(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	if _, err := readSettings("", noEnv); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentOverrulesFile(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "millrace.toml", `
base_url = "https://mill.example/"
deployment = "stg"
[github]
webhook_secrets = ["one", "two"]
app_id = 7
private_key = "key"
[workers]
lease = "45s"
[workers.limits]
srpm = 3
tests = 20
[retention]
logs = "30d"
`)
	s, err := readSettings(file, env(map[string]string{"MILLRACE_DEPLOYMENT": "dev", "MILLRACE_GITHUB_APP_ID": "8"}))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{s.Base, s.Deployment, s.GitHub.WebhookSecrets, s.GitHub.AppID, s.Workers.Lease, s.Workers.Limits, s.Retention.Logs}
	want := []any{
		"https://mill.example", "dev", []string{"one", "two"}, int64(8), 45 * time.Second,
		map[models.StepKind]int{models.SRPMStep: 3, models.TestsStep: 20}, 30 * 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestAllMistakesAreSaidAtOnce(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "millrace.toml", `
base_ulr = "https://mill.example"
deployment = "production"
[workers]
lease = "soon"
intake = 0
`)
	_, err := readSettings(file, env(map[string]string{
		"MILLRACE_GITHUB_APP_ID": "seven", "MILLRACE_COPR_URL": "copr", "MILLRACE_COPR_SRPM": "there", "MILLRACE_WORKERS_LIMITS": "srpm",
		"MILLRACE_DATABASE": "mysql://db/x", "MILLRACE_LOG_LEVEL": "loud", "MILLRACE_ALLOW_ALL": "perhaps",
	}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		`no setting "base_ulr"`, `deployment: "production"`, `workers.lease: "soon"`, "workers.intake: must be",
		`MILLRACE_GITHUB_APP_ID: "seven"`, `copr.url: "copr"`, `copr.srpm: "there"`, `MILLRACE_WORKERS_LIMITS: "srpm"`,
		`database: "mysql://db/x"`, `log_level: "loud"`, `MILLRACE_ALLOW_ALL: "perhaps" is not true or false`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing is said about %s in\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "workers.lease: must") {
		t.Errorf("what cannot be read is wrong once, not twice:\n%v", err)
	}
}

func TestBrokenFileIsLocated(t *testing.T) {
	t.Parallel()
	_, err := readSettings(writeFile(t, "millrace.toml", "deployment = prod\n"), noEnv)
	if err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("error %v does not say where", err)
	}
	if _, err := readSettings("/does/not/exist.toml", noEnv); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestPrivateKeyFromFile(t *testing.T) {
	t.Parallel()
	key := writeFile(t, "key.pem", "KEY")
	s, err := readSettings("", env(map[string]string{"MILLRACE_GITHUB_APP_ID": "1", "MILLRACE_GITHUB_PRIVATE_KEY": "@" + key}))
	if err != nil || s.GitHub.PrivateKey != "KEY" {
		t.Errorf("the key is %q, %v", s.GitHub.PrivateKey, err)
	}
}

// TestSecretsAreNotShown runs the command that lists settings. It is not
// parallel: it sets environment variables.
func TestSecretsAreNotShown(t *testing.T) {
	t.Setenv("MILLRACE_COPR_TOKEN", "hush-hush")
	t.Setenv("MILLRACE_CONFIG", writeFile(t, "empty.toml", ""))
	var out, problems bytes.Buffer
	if code := run([]string{"settings"}, &out, &problems); code != 0 {
		t.Fatalf("exit %d: %s", code, problems.String())
	}
	if strings.Contains(out.String(), "hush-hush") || !strings.Contains(out.String(), "copr.token = (set)") {
		t.Errorf("settings:\n%s", out.String())
	}
}

func TestAllowlistCommand(t *testing.T) {
	t.Setenv("MILLRACE_DATABASE", filepath.Join(t.TempDir(), "millrace.db"))
	t.Setenv("MILLRACE_CONFIG", writeFile(t, "empty.toml", ""))
	steps := []struct {
		args string
		code int
		want string
	}{
		{"allow --list", 0, "the allowlist is empty"},
		{"allow github.com/packit https://gitlab.com/a/b", 0, "allowed all projects of gitlab.com/a/b"},
		{"allow --deny --reason abuse --project github.com/packit/bad", 0, "denied the project github.com/packit/bad"},
		{"allow --list", 0, "denied   the project github.com/packit/bad"},
		{"allow --list", 0, ": abuse"},
		{"allow --remove github.com/packit", 0, "removed all projects of github.com/packit"},
		{"allow --remove github.com/packit", 1, "not found"},
		{"allow https://github.com/packit/ogr", 1, "namespaces of github.com have no slash"},
		{"allow nonsense", 1, "want FORGE/NAMESPACE"},
		{"allow --project github.com/packit", 1, "there must be a name"},
		{"allow", 2, "give paths or --list"},
		{"allow --deny --remove github.com/x", 2, "at most one of"},
	}
	for _, s := range steps {
		var out bytes.Buffer
		if code := run(strings.Fields(s.args), &out, &out); code != s.code || !strings.Contains(out.String(), s.want) {
			t.Errorf("millrace %s: exit %d, want %d; printed\n%swant it to say %q", s.args, code, s.code, out.String(), s.want)
		}
	}
}

// TestAllowBesideTheService changes the allowlist while the service has the
// database.
func TestAllowBesideTheService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "millrace.db")
	t.Setenv("MILLRACE_DATABASE", file)
	t.Setenv("MILLRACE_CONFIG", writeFile(t, "empty.toml", ""))
	db, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := migrateStore(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run([]string{"allow", "github.com/packit"}, &out, &out); code != 0 {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	entries, err := db.AllAllowances(t.Context())
	if err != nil || len(entries) != 1 {
		t.Errorf("the service sees %v, %v", entries, err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{
		"": 0, "help": 0, "nonsense": 2, "serve --web --workers": 2, "serve extra": 2, "demo --play nonsense": 2, "demo --list": 0,
		"migrate --nonsense": 2, "doctor extra": 2, "serve --help": 0, "demo --help": 0, "settings --help": 0,
	} {
		var out bytes.Buffer
		if code := run(strings.Fields(args), &out, &out); code != want || out.Len() == 0 {
			t.Errorf("millrace %s: exit %d, want %d; printed %q", args, code, want, out.String())
		}
	}
}

// What is wrong with mail is said at once, as of all settings.
func TestMailMistakes(t *testing.T) {
	t.Parallel()
	s := defaults()
	s.Mail.Relay, s.Mail.Security = "relay.example.org", "perhaps"
	problems := errors.Join(s.checkTelling()...).Error()
	for _, part := range []string{"mail.from", "is not a host and a port", "is none of starttls, tls, none"} {
		if !strings.Contains(problems, part) {
			t.Errorf("%q does not say %q", problems, part)
		}
	}
}
